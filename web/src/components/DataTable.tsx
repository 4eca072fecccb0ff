/** A long list as a table: read page by page, drawn only where it is seen, walked through with j and k. */
import { Button } from "@mantine/core";
import type { InfiniteData, UseInfiniteQueryResult } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, type KeyboardEvent, type ReactNode } from "react";
import css from "./DataTable.module.css";
import { ProblemView } from "./Problem";
import { Loading } from "./States";

/** One line of text with room around it, as the style sheet has it. */
const ROW_PX = 36;
/** Lists that are shorter are drawn as a whole, so that the browser's own search finds everything. */
const WHOLE_ROWS = 150;
/** The next page is read when so few rows are left below: before somebody gets there. */
const AHEAD_ROWS = 50;

export interface Column<T> {
  head: string;
  cell: (row: T) => ReactNode;
  /** Left out where there is no room for it: below 1,500, 1,100 or 700 pixels. */
  from?: "huge" | "wide" | "medium";
  end?: boolean;
  /** Takes the room that the others leave, and is cut where that is little. */
  fill?: boolean;
}

interface Listed<T> {
  items: T[];
}

interface TableProps<T> {
  label: string;
  columns: Column<T>[];
  id: (row: T) => string;
  empty: ReactNode;
}

interface DataTableProps<T> extends TableProps<T> {
  query: UseInfiniteQueryResult<InfiniteData<Listed<T>>>;
  /** What remains of the rows that were read, where the server has no such filter. */
  keep?: (row: T) => boolean;
}

export function DataTable<T>({ label, columns, query, id, keep, empty }: DataTableProps<T>) {
  const rows = useMemo(() => {
    const all = query.data?.pages.flatMap((page) => page.items) ?? [];
    return keep === undefined ? all : all.filter(keep);
  }, [query.data, keep]);
  if (query.data === undefined) {
    return query.isError ? (
      <ProblemView error={query.error} retry={query.refetch} />
    ) : (
      <Loading label={`Loading ${label}`} />
    );
  }
  return (
    <>
      {query.isError && <ProblemView error={query.error} retry={query.refetch} />}
      <RowTable
        label={label}
        columns={columns}
        rows={rows}
        id={id}
        empty={empty}
        more={query.hasNextPage ? { busy: query.isFetchingNextPage, read: query.fetchNextPage } : undefined}
      />
    </>
  );
}

interface RowTableProps<T> extends TableProps<T> {
  rows: T[];
  /** How further rows are read, if there are any. */
  more?: { busy: boolean; read: () => unknown } | undefined;
}

/** The table of rows that are at hand. */
export function RowTable<T>({ label, columns, rows, id, empty, more }: RowTableProps<T>) {
  const scroll = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_PX,
    overscan: 20,
    enabled: rows.length > WHOLE_ROWS,
  });
  const drawn = rows.length > WHOLE_ROWS ? virtual.getVirtualItems() : undefined;
  const last = drawn?.at(-1)?.index;
  useEffect(() => {
    if (more !== undefined && !more.busy && last !== undefined && last >= rows.length - AHEAD_ROWS) void more.read();
  }, [more, last, rows.length]);
  const before = drawn?.[0]?.start ?? 0;
  const after = drawn === undefined ? 0 : virtual.getTotalSize() - (drawn.at(-1)?.end ?? 0);
  const [from, to] = drawn === undefined ? [0, rows.length] : [drawn[0]?.index ?? 0, (last ?? -1) + 1];
  return (
    <div ref={scroll} className={css["scroll"]} tabIndex={0} role="group" aria-label={label} onKeyDown={walk}>
      {rows.length === 0 ? (
        empty
      ) : (
        <table className={css["table"]} aria-rowcount={more === undefined ? rows.length + 1 : -1}>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column.head} scope="col" className={classOf(column)}>
                  {column.head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <Gap height={before} />
            {rows.slice(from, to).map((row, index) => (
              <tr key={id(row)} className={css["row"]} aria-rowindex={from + index + 2}>
                {columns.map((column) => (
                  <td key={column.head} className={classOf(column)}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            ))}
            <Gap height={after} />
          </tbody>
        </table>
      )}
      {more !== undefined && (
        <div className={css["foot"]}>
          {rows.length.toLocaleString()} so far
          <Button size="compact-xs" variant="default" loading={more.busy} onClick={() => void more.read()}>
            More
          </Button>
        </div>
      )}
    </div>
  );
}

function Gap({ height }: { height: number }) {
  return height > 0 ? <tr aria-hidden style={{ height }} /> : null;
}

function classOf<T>(column: Column<T>): string {
  const end = column.end === true ? css["end"] : "";
  const fill = column.fill === true ? css["fill"] : "";
  return `${column.from === undefined ? "" : css[column.from]} ${end} ${fill}`.trim();
}

/** Arrows, j and k go from row to row; the link of a row is what Enter follows. */
function walk(event: KeyboardEvent<HTMLDivElement>): void {
  const step =
    event.key === "j" || event.key === "ArrowDown" ? 1 : event.key === "k" || event.key === "ArrowUp" ? -1 : 0;
  const target = event.target as HTMLElement;
  if (step === 0 || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
    return;
  const links = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-row-link]")];
  const at = links.findIndex((link) => link.closest("tr")?.contains(document.activeElement));
  const next = links[at === -1 ? (step > 0 ? 0 : links.length - 1) : at + step];
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

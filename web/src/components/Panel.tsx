/** The parts that every page is made of: its head, panels, pairs of a name and a value, and small tables. */
import { useEffect, useId, type ReactNode } from "react";
import css from "./Panel.module.css";

interface PageProps {
  title: ReactNode;
  /** What the browser's tab says. */
  name: string;
  over?: ReactNode;
  actions?: ReactNode;
  /** Takes the whole height, for a list that scrolls by itself. */
  full?: boolean;
  children: ReactNode;
}

export function Page({ title, name, over, actions, full = false, children }: PageProps) {
  useEffect(() => {
    document.title = `${name} · Sixpack`;
  }, [name]);
  return (
    <div className={`${css["page"]} ${full ? css["full"] : ""}`}>
      <div className={css["title"]}>
        <div className="grow">
          {over !== undefined && <div className={css["over"]}>{over}</div>}
          <h1>{title}</h1>
        </div>
        {actions !== undefined && <div className="row">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

interface PanelProps {
  title: ReactNode;
  actions?: ReactNode;
  /** Without a margin, for what brings its own. */
  flush?: boolean;
  children: ReactNode;
}

export function Panel({ title, actions, flush = false, children }: PanelProps) {
  const id = useId();
  return (
    <section className={css["panel"]} aria-labelledby={id}>
      <div className={css["head"]}>
        <h2 id={id}>{title}</h2>
        {actions !== undefined && <div className="row">{actions}</div>}
      </div>
      <div className={flush ? css["flush"] : css["body"]}>{children}</div>
    </section>
  );
}

/** Names and values; values that are absent are left out with their names. */
export function Facts({ of }: { of: [name: string, value: ReactNode][] }) {
  const there = of.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  return (
    <dl className={css["facts"]}>
      {there.map(([name, value]) => (
        <div key={name} style={{ display: "contents" }}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface SmallTableProps {
  label: string;
  head: string[];
  /** Where there is little room, each row becomes a stack of its cells, for cells that say by themselves what they are. */
  stacks?: boolean;
  children: ReactNode;
}

/** A table of a few rows; long lists are a `DataTable`. */
export function SmallTable({ label, head, stacks = false, children }: SmallTableProps) {
  return (
    <div style={{ overflowX: "auto" }} tabIndex={0} role="group" aria-label={label}>
      <table className={`${css["table"]} ${stacks ? css["stacks"] : ""}`}>
        <thead>
          <tr>
            {head.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

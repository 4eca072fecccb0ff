/** What a page shows while it has nothing to show yet, when there is nothing, and when it could not be read. */
import { Skeleton } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ProblemView } from "./Problem";
import css from "./States.module.css";

export function Loading({ rows = 6, label = "Loading" }: { rows?: number; label?: string }) {
  return (
    <div role="status" aria-label={label} className="stack" style={{ gap: 10, padding: 14 }}>
      {Array.from({ length: rows }, (_, row) => (
        <Skeleton key={row} height={14} width={`${92 - ((row * 17) % 40)}%`} />
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={css["empty"]}>
      <p className={css["title"]}>{title}</p>
      {children}
    </div>
  );
}

interface ReadProps<T> {
  query: UseQueryResult<T>;
  rows?: number;
  children: (data: T) => ReactNode;
}

/** The data of a query once it is there; what went wrong instead, or beside what is known from before. */
export function Read<T>({ query, rows, children }: ReadProps<T>) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <ProblemView error={query.error} retry={query.refetch} />}
        {children(query.data)}
      </>
    );
  }
  return query.isError ? (
    <ProblemView error={query.error} retry={query.refetch} />
  ) : (
    <Loading {...(rows ? { rows } : {})} />
  );
}

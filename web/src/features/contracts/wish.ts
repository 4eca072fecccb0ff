/** What the form has put together, as the API takes it; what is as it would be anyway is left out. */
import type { Source } from "~/api/schema";

export interface Draft {
  input: Record<string, unknown>;
  source: Source;
  count: number;
  ttl_s: number;
  timeout_s: number;
  /** Properties of the input that rank what is in stock. */
  prefer: Record<string, unknown>;
  /** Criteria on the output of what is in stock. */
  select: Record<string, unknown>;
  /** Nothing whose evidence is stale. */
  fresh: boolean;
}

export const EMPTY_DRAFT: Draft = {
  input: {},
  source: "stock_first",
  count: 1,
  ttl_s: 1800,
  timeout_s: 300,
  prefer: {},
  select: {},
  fresh: false,
};

const isEmpty = (of: object) => Object.keys(of).length === 0;

/** Options that differ from what holds when nothing is said. */
export function optionsOf(draft: Draft) {
  const { source, count, ttl_s, timeout_s, prefer, select, fresh, input } = draft;
  const fromStock = source === "stock_first" || source === "stock_only";
  const ranking = Object.fromEntries(Object.entries(prefer).filter(([name]) => !(name in input)));
  return {
    ...(source === "stock_first" ? {} : { source }),
    ...(count === 1 ? {} : { count }),
    ...(ttl_s === 1800 ? {} : { lease: { ttl_s } }),
    ...(timeout_s === 300 ? {} : { timeout_s }),
    ...(!fromStock || isEmpty(ranking) ? {} : { prefer: ranking }),
    ...(!fromStock || isEmpty(select) ? {} : { select }),
    ...(fromStock && fresh ? { require: "fresh" as const } : {}),
  };
}

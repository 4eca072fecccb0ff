/** What is read from the server: one entry a noun, with the key under which it is kept. */
import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { PAGE, api, body } from "./client";
import { ApiProblem } from "./problem";
import type { ContractStatistics, Dataset, StockHistory } from "./schema";

/** Statistics are told from dozens of requests: one more changes them little. */
const STATISTICS_MS = 30_000;

/** What stock had is noted every five minutes: nobody has to wait long for the next point. */
const HISTORY_MS = 60_000;

/** Lists are read page by page as somebody scrolls. */
interface Page<T> {
  items: T[];
  next_cursor?: string;
}

function pages<T>(
  key: readonly unknown[],
  read: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>,
) {
  return infiniteQueryOptions({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => read(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: Page<T>) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
}

const limit = PAGE;

/** Environments come into being by use: before that, one has nothing yet, which is no failure. */
async function orNothingYet<T>(answer: Promise<Page<T>>): Promise<Page<T>> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiProblem && error.code === "environment_not_found") return { items: [] };
    throw error;
  }
}

export const signIn = queryOptions({
  queryKey: ["sign-in"],
  queryFn: ({ signal }) => body(api.GET("/v1/sign-in", { signal })),
  staleTime: Infinity,
  retry: false,
});

export const version = queryOptions({
  queryKey: ["version"],
  queryFn: ({ signal }) => body(api.GET("/version", { signal })),
  staleTime: Infinity,
});

export const environments = queryOptions({
  queryKey: ["environments"],
  queryFn: ({ signal }) => body(api.GET("/v1/environments", { params: { query: { limit: 1000 } }, signal })),
});

export interface ContractFilter {
  q?: string;
  owner?: string;
  domain?: string;
  kind?: "capability" | "scenario";
  label?: string;
  channel?: string;
}

export function contracts(env: string, filter: ContractFilter = {}) {
  const { label, ...rest } = filter;
  const query = { ...rest, ...(label ? { label: [label] } : {}), limit: 1000 };
  return pages(["contracts", env, filter], (cursor, signal) =>
    orNothingYet(
      body(
        api.GET("/v1/environments/{env}/contracts", { params: { path: { env }, query: { ...query, cursor } }, signal }),
      ),
    ),
  );
}

export function contract(env: string, name: string, of: { version?: number; channel?: string } = {}) {
  const [domain = "", last = ""] = name.split("/");
  const path = { env, domain, name: last };
  const query = { channel: of.channel };
  const { version } = of;
  return queryOptions({
    queryKey: ["contract", env, name, of],
    queryFn: ({ signal }) =>
      version === undefined
        ? body(api.GET("/v1/environments/{env}/contracts/{domain}/{name}", { params: { path, query }, signal }))
        : body(
            api.GET("/v1/environments/{env}/contracts/{domain}/{name}/versions/{version}", {
              params: { path: { ...path, version }, query },
              signal,
            }),
          ),
  });
}

export interface RequestFilter {
  status?: "building" | "fulfilled" | "failed" | "cancelled" | "expired";
  contract?: string;
  refills?: boolean;
  holder?: string;
}

export function requests(env: string, filter: RequestFilter = {}) {
  return pages(["requests", env, filter], (cursor, signal) =>
    body(api.GET("/v1/requests", { params: { query: { environment: env, ...filter, limit, cursor } }, signal })),
  );
}

/** How all contracts have been doing, by name. It changes little from one request to the next, and is read again after a while. */
export function statistics(env: string) {
  return queryOptions({
    queryKey: ["statistics", env],
    queryFn: async ({ signal }) => {
      const all = new Map<string, ContractStatistics>();
      let cursor: string | undefined;
      do {
        const query = { limit, cursor };
        const page: Page<ContractStatistics> = await orNothingYet(
          body(api.GET("/v1/environments/{env}/statistics", { params: { path: { env }, query }, signal })),
        );
        for (const each of page.items) all.set(each.contract, each);
        cursor = page.next_cursor;
      } while (cursor !== undefined);
      return all;
    },
    staleTime: STATISTICS_MS,
    refetchInterval: STATISTICS_MS,
  });
}

/** How one contract has been doing, with its failures by reason. */
export function contractStatistics(env: string, name: string) {
  const [domain = "", last = ""] = name.split("/");
  return queryOptions({
    queryKey: ["contract-statistics", env, name],
    queryFn: ({ signal }) =>
      body(
        api.GET("/v1/environments/{env}/contracts/{domain}/{name}/statistics", {
          params: { path: { env, domain, name: last } },
          signal,
        }),
      ),
    staleTime: STATISTICS_MS,
    refetchInterval: STATISTICS_MS,
  });
}

export function limits(env: string) {
  return queryOptions({
    queryKey: ["limits", env],
    queryFn: ({ signal }) => body(api.GET("/v1/environments/{env}/limits", { params: { path: { env } }, signal })),
  });
}

export function request(id: string) {
  return queryOptions({
    queryKey: ["request", id],
    queryFn: ({ signal }) => body(api.GET("/v1/requests/{id}", { params: { path: { id } }, signal })),
  });
}

export interface LeaseFilter {
  status?: "held" | "released" | "expired" | "revoked";
  holder?: string;
}

export function leases(env: string, filter: LeaseFilter = {}) {
  return pages(["leases", env, filter], (cursor, signal) =>
    body(api.GET("/v1/leases", { params: { query: { environment: env, ...filter, limit, cursor } }, signal })),
  );
}

export function lease(id: string) {
  return queryOptions({
    queryKey: ["lease", id],
    queryFn: ({ signal }) => body(api.GET("/v1/leases/{id}", { params: { path: { id } }, signal })),
  });
}

export interface DatasetFilter {
  contract?: string;
  status?: Exclude<Dataset["status"], "waiting" | "cancelling">;
  entity?: string;
}

export function datasets(env: string, filter: DatasetFilter = {}) {
  return pages(["datasets", env, filter], (cursor, signal) =>
    body(api.GET("/v1/datasets", { params: { query: { environment: env, ...filter, limit, cursor } }, signal })),
  );
}

export function dataset(id: string) {
  return queryOptions({
    queryKey: ["dataset", id],
    queryFn: ({ signal }) => body(api.GET("/v1/datasets/{id}", { params: { path: { id } }, signal })),
  });
}

export function stockRules(env: string) {
  return queryOptions({
    queryKey: ["stock-rules", env],
    // An environment has at most 1,000 rules: one page.
    queryFn: ({ signal }) =>
      orNothingYet(
        body(
          api.GET("/v1/environments/{env}/stock-rules", { params: { path: { env }, query: { limit: 1000 } }, signal }),
        ),
      ),
  });
}

/** What all rules had ready over the last day, by name, in at most so many points. */
export function stockHistory(env: string, points: number) {
  return queryOptions({
    queryKey: ["stock-history", env, points],
    // An environment has at most 1,000 rules: one page.
    queryFn: async ({ signal }) => {
      const query = { points, limit: 1000 };
      const page = await orNothingYet(
        body(api.GET("/v1/environments/{env}/stock-history", { params: { path: { env }, query }, signal })),
      );
      return new Map<string, StockHistory>(page.items.map((history) => [history.name, history]));
    },
    staleTime: HISTORY_MS,
    refetchInterval: HISTORY_MS,
  });
}

/** What one rule had ready over the last day, as closely as it is noted. */
export function stockHistoryOf(env: string, name: string) {
  return queryOptions({
    queryKey: ["stock-history-of", env, name],
    queryFn: ({ signal }) =>
      body(api.GET("/v1/environments/{env}/stock-rules/{name}/history", { params: { path: { env, name } }, signal })),
    staleTime: HISTORY_MS,
    refetchInterval: HISTORY_MS,
  });
}

export function sessions(
  env: string,
  filter: { domain?: string; state?: "live" | "draining" | "dead" | "ended" } = {},
) {
  return pages(["sessions", env, filter], (cursor, signal) =>
    body(api.GET("/v1/sessions", { params: { query: { environment: env, ...filter, limit, cursor } }, signal })),
  );
}

export function quarantine(env: string) {
  return pages(["quarantine", env], (cursor, signal) =>
    body(api.GET("/v1/quarantine", { params: { query: { environment: env, limit, cursor } }, signal })),
  );
}

export function debts(env: string) {
  return pages(["debts", env], (cursor, signal) =>
    body(api.GET("/v1/debts", { params: { query: { environment: env, limit, cursor } }, signal })),
  );
}

export const tokens = pages(["tokens"], (cursor, signal) =>
  body(api.GET("/v1/tokens", { params: { query: { limit, cursor } }, signal })),
);

export function scenarioSource(env: string, name: string) {
  const [domain = "", last = ""] = name.split("/");
  return queryOptions({
    queryKey: ["scenario-source", env, name],
    queryFn: async ({ signal }) => {
      const { data, response } = await api.GET("/v1/environments/{env}/scenarios/{domain}/{name}", {
        params: { path: { env, domain, name: last } },
        parseAs: "text",
        signal,
      });
      return { text: data ?? "", etag: response.headers.get("etag") ?? "" };
    },
  });
}

/** What is looked at is kept up to date: one stream of events for each visible tab, and queries that events make stale. */
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { ApiProblem } from "~/api/problem";
import type { Event } from "~/api/schema";
import { follow } from "~/api/stream";

/** Events come in bursts; queries are asked again at most so often, well within the second that is promised. */
const GATHER_MS = 400;
/** First and longest pause before the server is called again. */
const RETRY_MS = [500, 10_000] as const;

export type Connection = { state: "connecting" | "open" } | { state: "lost"; since: number };

/** The kinds of queries that an event makes stale, by the noun in its kind. */
const STALE: Record<string, string[]> = {
  request: ["request", "requests", "stock-rules", "limits"],
  dataset: ["dataset", "datasets", "request", "lease", "quarantine", "debts", "stock-rules", "contracts"],
  task: ["request", "dataset", "lease"],
  lease: ["lease", "leases", "request", "dataset", "environments", "stock-rules", "limits"],
  session: ["sessions", "contracts", "contract", "environments"],
  contract: ["contracts", "contract", "scenario-source", "environments", "stock-rules"],
  capability: ["contracts", "contract", "stock-rules"],
  stock_rule: ["stock-rules"],
  token: ["tokens"],
};

/** Follows the events of an environment as long as the tab is seen. */
export function useLive(environment: string | undefined): Connection {
  const client = useQueryClient();
  const visible = useVisible();
  const [connection, setConnection] = useState<Connection>({ state: "connecting" });
  const seen = useRef<{ environment: string | undefined; id: number | undefined }>({ environment, id: undefined });
  useEffect(() => {
    if (!visible || environment === undefined) return;
    if (seen.current.environment !== environment) seen.current = { environment, id: undefined };
    const stopping = new AbortController();
    const stale = new StaleQueries(client);
    const isStopped = () => stopping.signal.aborted;
    const run = async () => {
      let pause: number = RETRY_MS[0];
      for (;;) {
        const opened = { once: false };
        try {
          await follow({
            query: { environment },
            after: seen.current.id,
            signal: stopping.signal,
            onOpen: () => {
              opened.once = true;
              pause = RETRY_MS[0];
              setConnection({ state: "open" });
              // Whatever happened while nobody listened is caught up with.
              stale.all();
            },
            onEvent: (event) => {
              seen.current.id = event.id;
              stale.note(event);
            },
          });
        } catch (error) {
          if (error instanceof ApiProblem && error.status === 401) {
            void client.invalidateQueries({ queryKey: ["sign-in"] });
            return;
          }
        }
        if (isStopped()) return;
        setConnection((before) => (before.state === "lost" ? before : { state: "lost", since: Date.now() }));
        await pausing(pause, stopping.signal);
        if (isStopped()) return;
        pause = Math.min(opened.once ? RETRY_MS[0] : pause * 2, RETRY_MS[1]);
      }
    };
    void run();
    return () => {
      stopping.abort();
      stale.stop();
    };
  }, [environment, visible, client]);
  return connection;
}

/** Gathers what has become stale, and has it read anew in one go. */
class StaleQueries {
  private readonly names = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: QueryClient) {}

  note(event: Event): void {
    const noun = event.kind.split(".")[0] ?? "";
    for (const name of STALE[noun] ?? []) this.names.add(name);
    this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  all(): void {
    void this.client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "sign-in" });
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private flush(): void {
    this.timer = undefined;
    const names = new Set(this.names);
    this.names.clear();
    void this.client.invalidateQueries({ predicate: (query) => names.has(String(query.queryKey[0])) });
  }
}

function pausing(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Browsers open six connections to a server at most, for all tabs together: only those that are seen take one. */
function useVisible(): boolean {
  return useSyncExternalStore(
    (changed) => {
      document.addEventListener("visibilitychange", changed);
      return () => document.removeEventListener("visibilitychange", changed);
    },
    () => document.visibilityState !== "hidden",
  );
}

/** The last events of an environment and those that come, the newest first. */
import { useEffect, useState } from "react";
import type { Event } from "~/api/schema";
import { follow } from "~/api/stream";

/** How far back the page begins; the server allows no more. */
const BACK = 1000;
/** What is kept; older ones leave. */
const KEPT_MAX = 5000;
/** Events come in bursts; the page is drawn anew at most so often. */
const GATHER_MS = 200;
const RETRY_MS = 3000;

export function useEvents(environment: string): { events: Event[]; error: unknown } {
  const [events, setEvents] = useState<Event[]>([]);
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    const stopping = new AbortController();
    let came: Event[] = [];
    let drawing: ReturnType<typeof setTimeout> | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    let last: number | undefined;
    const draw = () => {
      drawing = undefined;
      const fresh = came.reverse();
      came = [];
      setEvents((before) => [...fresh, ...before].slice(0, KEPT_MAX));
    };
    const run = async () => {
      try {
        await follow({
          query: { environment, back: String(BACK) },
          after: last,
          signal: stopping.signal,
          onOpen: () => setError(undefined),
          onEvent: (event) => {
            last = event.id;
            came.push(event);
            drawing ??= setTimeout(draw, GATHER_MS);
          },
        });
      } catch (thrown) {
        if (!stopping.signal.aborted) setError(thrown);
      }
      if (!stopping.signal.aborted) again = setTimeout(() => void run(), RETRY_MS);
    };
    setEvents([]);
    void run();
    return () => {
      stopping.abort();
      clearTimeout(drawing);
      clearTimeout(again);
    };
  }, [environment]);
  return { events, error };
}

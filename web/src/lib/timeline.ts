/** What a dataset's timeline says about attempts and the waits between them, part by part. */
import type { TimelineEntry } from "~/api/schema";

export interface Attempt {
  from: number;
  to: number;
  state: "ready" | "failed" | "building" | "waiting";
  says: string;
}

/** Ends of attempts; each says how long its supplier had it. */
const ENDS: Record<string, Attempt["state"]> = {
  "task.done": "ready",
  "task.again": "building",
  "task.obtained": "building",
  "task.found_none": "building",
  "task.failed": "failed",
  "task.lost": "failed",
};

/** Attempts by path, the oldest first, with the waits between those of one part. */
export function attemptsOf(timeline: TimelineEntry[]): Map<string, Attempt[]> {
  const rows = new Map<string, Attempt[]>();
  for (const entry of timeline) {
    const state = ENDS[entry.kind];
    if (state === undefined || entry.duration_ms === undefined) continue;
    const to = Date.parse(entry.at);
    const from = to - entry.duration_ms;
    const row = rows.get(entry.path) ?? [];
    const before = row.at(-1);
    if (before !== undefined && from > before.to)
      row.push({ from: before.to, to: from, state: "waiting", says: "waits" });
    const attempt = entry.attempt === undefined ? "" : ` attempt ${entry.attempt}`;
    const why = entry.message === "" ? "" : `: ${entry.message}`;
    row.push({ from, to, state, says: `${entry.operation ?? "task"}${attempt}${why}` });
    rows.set(entry.path, row);
  }
  return rows;
}

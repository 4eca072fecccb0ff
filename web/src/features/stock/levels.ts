/** The levels of stock: those of the last day as the server has noted them, and those that were seen while a page was open. */
import { useEffect, useState } from "react";
import type { StockHistory, StockRule } from "~/api/schema";
import { counted } from "~/lib/words";
import { relative, span } from "~/lib/times";

export interface Level {
  at: number;
  ready: number;
  target: number;
}

/** A level that lasts until the next one; nothing where nobody has looked. */
export interface Point {
  at: number;
  ready: number | null;
  target: number | null;
}

/** What a history comes to. */
export interface Told {
  /** How long it reaches back. */
  ms: number;
  lowest: number;
  /** When it was so low last. */
  lowestAt: number;
  highest: number;
  hits: number;
  misses: number;
  made: number;
  failed: number;
}

/** Enough for an hour of a busy rule; older ones leave. */
const LEVELS_MAX = 2000;

const seen = new Map<string, Level[]>();

/** Notes the level of a rule as it is now; answers all that were noted, the oldest first. */
export function useLevels(env: string, rule: StockRule, readAt: number): Level[] {
  const key = `${env} ${rule.name}`;
  const [levels, setLevels] = useState<Level[]>(() => seen.get(key) ?? []);
  const { ready } = rule.stock;
  const { target } = rule;
  useEffect(() => {
    const noted = [...(seen.get(key) ?? []), { at: readAt, ready, target }].slice(-LEVELS_MAX);
    seen.set(key, noted);
    setLevels(noted);
  }, [key, readAt, ready, target]);
  return levels;
}

/** What the server has noted, and behind it what was seen here, which is finer. */
export function pointsOf(history: StockHistory | undefined, levels: Level[]): Point[] {
  const from = levels[0]?.at ?? Infinity;
  const start = Date.parse(history?.since ?? "");
  const noted = (history?.ready ?? []).map((ready, number) => ({
    at: start + number * 1000 * (history?.every_s ?? 0),
    ready,
    target: history?.target[number] ?? null,
  }));
  return [...noted.filter(({ at }) => at < from), ...levels];
}

/** What the server has noted, and was seen since, summed up; nothing when it has noted nothing yet. */
export function toldOf(history: StockHistory | undefined, seen: Level[] = []): Told | undefined {
  if (history?.since === undefined) return undefined;
  const levels = history.ready.filter((ready) => ready !== null);
  const sum = (all: (number | null)[]) => all.reduce<number>((total, each) => total + (each ?? 0), 0);
  const noted = Math.min(...levels);
  const lowest = Math.min(noted, ...seen.map(({ ready }) => ready));
  const every = 1000 * history.every_s;
  const notedAt = Date.parse(history.since) + every * history.ready.lastIndexOf(noted);
  return {
    ms: every * history.ready.length,
    lowest,
    lowestAt: seen.findLast(({ ready }) => ready === lowest)?.at ?? notedAt,
    highest: Math.max(...levels, ...seen.map(({ ready }) => ready)),
    hits: sum(history.hits),
    misses: sum(history.misses),
    made: sum(history.made),
    failed: sum(history.failed),
  };
}

/** The same in words, for those who do not see the line. */
export function inWords(told: Told | undefined, now: number): string {
  if (told === undefined) return "nothing was noted yet";
  const { ms, lowest, lowestAt, highest } = told;
  const when = lowest === highest ? "" : ` ${relative(new Date(lowestAt).toISOString(), now)}`;
  return `over ${span(ms)}: lowest ${lowest.toLocaleString()}${when}, highest ${highest.toLocaleString()}`;
}

/** How much of what was asked for came from stock. */
export function servedInWords({ hits, misses }: { hits: number; misses: number }): string {
  const asked = hits + misses;
  if (asked === 0) return "nobody has asked yet";
  return `${Math.round((100 * hits) / asked)} % of ${asked.toLocaleString()} from stock`;
}

/** What refills came to. */
export function refillsInWords({ made, failed }: { made: number; failed: number }): string {
  if (made === 0 && failed === 0) return "none";
  return `${counted(made, "dataset")} made${failed > 0 ? `, ${failed.toLocaleString()} failed` : ""}`;
}

/** The levels of stock as they were while a page was open: the server keeps no history of them. */
import { useEffect, useState } from "react";
import type { StockRule } from "~/api/schema";

export interface Level {
  at: number;
  ready: number;
  target: number;
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

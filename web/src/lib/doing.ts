/** How a contract has been doing, from what the server tells of it. */
import type { ContractStatistics, Spread } from "~/api/schema";
import { span } from "./times";

export interface Typical extends Spread {
  how: "from stock" | "when made";
}

/** How long whoever asks now waits: for what is in stock, or for one to be made. */
export function typicalOf(of: ContractStatistics | undefined, ready: number): Typical | undefined {
  if (of === undefined) return undefined;
  const { from_stock_ms: stock } = of.requests;
  const made = makingOf(of);
  if (stock !== undefined && (ready > 0 || made === undefined)) return { ...stock, how: "from stock" };
  return made && { ...made, how: "when made" };
}

/** How long it takes to make one: what somebody waited for says more than what was made for stock or as a part. */
export function makingOf(of: ContractStatistics): Spread | undefined {
  return of.requests.made_ms ?? of.datasets.made_ms;
}

export interface Success {
  made: number;
  tried: number;
  percent: number;
  /** What was counted. */
  of: "requests" | "datasets";
}

/** How many come to what they should; what people called off themselves says nothing about the contract. */
export function successOf({ requests, datasets }: ContractStatistics): Success | undefined {
  const asked = requests.fulfilled + requests.failed + requests.expired;
  const [made, tried, of] =
    asked > 0
      ? [requests.fulfilled, asked, "requests" as const]
      : [datasets.made, datasets.made + datasets.failed, "datasets" as const];
  // All but all of them is not all of them.
  return tried === 0 ? undefined : { made, tried, percent: Math.floor((100 * made) / tried), of };
}

/** `1.2 s, 9 of 10 within 3.9 s`. */
export function spread({ median, p90 }: Spread): string {
  return p90 > median ? `${span(median)}, 9 of 10 within ${span(p90)}` : span(median);
}

/** How long it usually still takes; nothing once it takes longer than nine of ten. */
export function remaining(made: Spread, sinceMs: number): { usual: number; most: number } | undefined {
  const most = made.p90 - sinceMs;
  return most <= 0 ? undefined : { usual: Math.max(0, made.median - sinceMs), most };
}

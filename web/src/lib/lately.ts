/** How contracts have been doing, told from requests: what they came to, how long they took, and what failed. */
import type { Failure, Request } from "~/api/schema";
import { median } from "./times";

export interface Doing {
  made: number;
  /** Those that came to an end; what people called off themselves says nothing about the contract. */
  tried: number;
  took: number | undefined;
  failed: Request | undefined;
}

/** Of requests that are given newest first. */
export function doingOf(last: Request[]): Doing {
  const fulfilled = last.filter(({ status }) => status === "fulfilled");
  const failed = last.filter(({ status }) => status === "failed" || status === "expired");
  const took = fulfilled.flatMap(({ created_at, ended_at }) =>
    ended_at === undefined ? [] : [Date.parse(ended_at) - Date.parse(created_at)],
  );
  return { made: fulfilled.length, tried: fulfilled.length + failed.length, took: median(took), failed: failed[0] };
}

/** The same by contract. */
export function doingByContract(last: Request[]): Map<string, Doing> {
  const groups = new Map<string, Request[]>();
  for (const request of last) {
    if (request.contract === undefined) continue;
    const group = groups.get(request.contract);
    if (group === undefined) groups.set(request.contract, [request]);
    else group.push(request);
  }
  return new Map([...groups].map(([name, group]) => [name, doingOf(group)]));
}

export interface Cause {
  failure: Failure;
  count: number;
  last: Request;
}

/** Failures at one place of one kind are one cause; the most frequent first. */
export function causesOf(last: Request[]): Cause[] {
  const causes = new Map<string, Cause>();
  for (const request of last) {
    const { failure } = request;
    if (failure === undefined) continue;
    const key = `${failure.path} ${failure.class} ${failure.code ?? ""}`;
    const known = causes.get(key);
    if (known === undefined) causes.set(key, { failure, count: 1, last: request });
    else known.count += 1;
  }
  return [...causes.values()].sort((a, b) => b.count - a.count);
}

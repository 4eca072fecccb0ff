/** Problems: what the server refuses, in the words in which it says so. */
import type { Problem } from "./schema";

/** An answer that is a refusal, or the lack of one. */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly problem: Pick<Problem, "code" | "title" | "detail"> & Partial<Problem>,
  ) {
    super(problem.detail);
    this.name = "ApiProblem";
  }

  get code(): string {
    return this.problem.code;
  }
}

/** The server did not answer at all; nobody knows whether the call has arrived. */
export function unreachable(cause: unknown): ApiProblem {
  const problem = new ApiProblem(0, {
    code: "unreachable",
    title: "The server cannot be reached",
    detail: "No answer came. It may be restarting, or the network is away; what you see may be old.",
  });
  problem.cause = cause;
  return problem;
}

/** The problem of an answer, also of one that something between us and the server has written. */
export function problemOf(status: number, body: string): ApiProblem {
  try {
    const problem = JSON.parse(body) as Problem;
    if (typeof problem.code === "string" && typeof problem.detail === "string") return new ApiProblem(status, problem);
  } catch {
    // It is no problem document; the status has to do.
  }
  return new ApiProblem(status, {
    code: "no_problem",
    title: `Status ${status}`,
    detail: "The answer does not come from Sixpack; look at what stands between your browser and the server.",
  });
}

/** Anything that was thrown, as a problem. */
export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ApiProblem(0, { code: "page_fault", title: "This page has a fault", detail });
}

/** What a refusal says about what lies below a place, by the place within that. */
export function faultsUnder(error: unknown, place: string): Map<string, string> {
  const errors = error === null ? [] : (asProblem(error).problem.errors ?? []);
  const inside = errors.filter(({ pointer }) => pointer.startsWith(`${place}/`));
  return new Map(inside.map(({ pointer, message }) => [pointer.slice(place.length), message]));
}

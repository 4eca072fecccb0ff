/** The client of the API: typed by its OpenAPI document, with every refusal as one kind of error. */
import createClient, { type Middleware } from "openapi-fetch";
import { parseExact } from "~/lib/exact";
import { problemOf, unreachable } from "./problem";
import type { paths } from "./schema";

const refusals: Middleware = {
  async onResponse({ response }) {
    if (response.status === 204) return response;
    const text = await response.text();
    if (!response.ok) throw problemOf(response.status, text);
    const headers = new Headers(response.headers);
    // The client parses by itself unless a length is said.
    headers.set("content-length", String(text.length));
    const exact = new Response(text, { status: response.status, headers });
    exact.json = () => Promise.resolve(parseExact(text));
    return exact;
  },
  onError({ error }) {
    // Calls that we gave up ourselves are no trouble of the server.
    if (error instanceof DOMException && error.name === "AbortError") return error;
    return unreachable(error);
  },
};

const here = typeof location === "undefined" ? "http://localhost" : location.origin;

export const api = createClient<paths>({
  baseUrl: here,
  // Looked up at each call, so that tests can stand in for the network.
  fetch: (request) => globalThis.fetch(request),
});
api.use(refusals);

/** The body of an answer; refusals have been thrown before. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer;
  return data as T;
}

/** The largest page of a list. */
export const PAGE = 200;

/** A stand-in for the server, whose answers have the types of the API's document. */
import { http, HttpResponse, type HttpHandler } from "msw";
import { setupServer } from "msw/node";
import type { paths } from "~/api/schema";

type Method = "get" | "post" | "put" | "patch" | "delete";

/** What an operation answers when all is well. */
type Answer<P extends keyof paths, M extends Method> = paths[P][M] extends { responses: infer R }
  ? R[keyof R & (200 | 201)] extends { content: { "application/json": infer B } }
    ? B
    : undefined
  : never;

interface Call {
  body: unknown;
  params: Record<string, string | readonly string[] | undefined>;
  query: URLSearchParams;
  headers: Headers;
}

const placeholders = (path: string) => path.replaceAll(/\{(\w+)\}/g, ":$1");

/** Arranges what an operation answers. */
export function answers<P extends keyof paths, M extends Method>(
  method: M,
  path: P,
  answer: Answer<P, M> | ((call: Call) => Answer<P, M>),
): HttpHandler {
  return http[method](`*${placeholders(path)}`, async ({ request, params }) => {
    const text = await request.text();
    const call = {
      body: text === "" ? undefined : (JSON.parse(text) as unknown),
      params,
      query: new URL(request.url).searchParams,
      headers: request.headers,
    };
    const body = typeof answer === "function" ? (answer as (call: Call) => Answer<P, M>)(call) : answer;
    return body === undefined ? new HttpResponse(null, { status: 204 }) : HttpResponse.json(body as never);
  });
}

/** Arranges a refusal. */
export function refuses(
  method: Method,
  path: keyof paths,
  status: number,
  problem: { code: string; detail: string; errors?: { pointer: string; code: string; message: string }[] },
): HttpHandler {
  return http[method](`*${placeholders(path)}`, () =>
    HttpResponse.json(
      { type: `/docs/errors#${problem.code}`, title: "Refused", status, request_id: "call-1", ...problem },
      { status },
    ),
  );
}

/** Arranges a stream of events: those that are given, and then silence. */
export function streams(...events: { id: number; kind: string; [field: string]: unknown }[]): HttpHandler {
  return http.get("*/v1/events", () => {
    const text = [
      ": open\n\n",
      ...events.map((event) => `id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`),
    ].join("");
    const body = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(text)) });
    return new HttpResponse(body, { headers: { "content-type": "text/event-stream" } });
  });
}

/** A stream that tells what a test has happen, when it has it happen. */
export function eventually(): { handler: HttpHandler; happen: (event: { id: number; kind: string }) => void } {
  let controller: ReadableStreamDefaultController | undefined;
  const handler = http.get("*/v1/events", () => {
    const body = new ReadableStream({
      start: (opened) => {
        controller = opened;
        opened.enqueue(new TextEncoder().encode(": open\n\n"));
      },
    });
    return new HttpResponse(body, { headers: { "content-type": "text/event-stream" } });
  });
  const happen = (event: { id: number; kind: string }) => {
    const data = JSON.stringify({ at: "2026-11-22T10:41:07.120Z", environment: "default", message: "", ...event });
    controller?.enqueue(new TextEncoder().encode(`id: ${event.id}\nevent: ${event.kind}\ndata: ${data}\n\n`));
  };
  return { handler, happen };
}

export const server = setupServer();

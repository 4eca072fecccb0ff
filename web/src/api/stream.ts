/** The stream of events, read by hand: the kinds are not known in advance, and a place to go on from goes with the call. */
import { problemOf } from "./problem";
import type { Event } from "./schema";

export interface StreamOptions {
  query: Record<string, string>;
  /** The last event that was seen. */
  after: number | undefined;
  signal: AbortSignal;
  onOpen: () => void;
  onEvent: (event: Event) => void;
}

/** Follows events until the server ends the stream; throws when it cannot be followed. */
export async function follow({ query, after, signal, onOpen, onEvent }: StreamOptions): Promise<void> {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (after !== undefined) headers["last-event-id"] = String(after);
  const answer = await fetch(`${location.origin}/v1/events?${new URLSearchParams(query).toString()}`, {
    headers,
    signal,
  });
  if (!answer.ok || answer.body === null) throw problemOf(answer.status, await answer.text());
  onOpen();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = eventOf(block);
      if (event !== undefined) onEvent(event);
    }
  }
}

/** The event of a block; comments, which keep the connection alive, have none. */
export function eventOf(block: string): Event | undefined {
  const data = block
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => line.slice(6));
  return data.length === 0 ? undefined : (JSON.parse(data.join("\n")) as Event);
}

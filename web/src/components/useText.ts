/** A text that is in the address: what is typed shows at once, and the address follows when the typing pauses. */
import { useDebouncedCallback } from "@mantine/hooks";
import { useRouter } from "@tanstack/react-router";
import { useEffect, useRef, useState, type ChangeEvent } from "react";

/** Between two keys of somebody who types on. */
const PAUSE_MS = 200;

interface TypedText {
  text: string;
  /** For the field in which it is typed. */
  field: { value: string; onChange: (event: ChangeEvent<HTMLInputElement>) => void; onBlur: () => void };
}

export function useText(addressed: string | undefined, put: (text: string | undefined) => void): TypedText {
  const router = useRouter();
  const [text, setText] = useState(addressed ?? "");
  const told = useRef(addressed);
  const tell = useDebouncedCallback((typed: string | undefined, on: string) => {
    // Whoever has gone to another page in the meantime stays there.
    if (router.history.location.pathname !== on) return;
    told.current = typed;
    put(typed);
  }, PAUSE_MS);
  useEffect(() => {
    // Only what came from elsewhere, such as the way back, replaces what stands there.
    if (addressed === told.current) return;
    told.current = addressed;
    setText(addressed ?? "");
  }, [addressed]);
  const onChange = (event: ChangeEvent<HTMLInputElement>) => {
    const typed = event.currentTarget.value;
    setText(typed);
    tell(typed === "" ? undefined : typed, router.history.location.pathname);
  };
  // Before a link is followed, so that the way back leads to what was looked for.
  return { text, field: { value: text, onChange, onBlur: () => tell.flush() } };
}

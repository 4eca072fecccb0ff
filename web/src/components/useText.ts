/** A text that is in the address: what is typed shows at once, and the address follows when the typing pauses. */
import { useDebouncedCallback } from "@mantine/hooks";
import { useEffect, useRef, useState } from "react";

/** Between two keys of somebody who types on. */
const PAUSE_MS = 200;

export function useText(
  addressed: string | undefined,
  put: (text: string | undefined) => void,
): [string, (text: string) => void] {
  const [text, setText] = useState(addressed ?? "");
  const told = useRef(addressed);
  const tell = useDebouncedCallback((typed: string | undefined) => {
    told.current = typed;
    put(typed);
  }, PAUSE_MS);
  useEffect(() => {
    // Only what came from elsewhere, such as the way back, replaces what stands there.
    if (addressed === told.current) return;
    told.current = addressed;
    setText(addressed ?? "");
  }, [addressed]);
  return [
    text,
    (typed) => {
      setText(typed);
      tell(typed === "" ? undefined : typed);
    },
  ];
}

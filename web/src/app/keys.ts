/** The keys that work on every page. */
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { isTyping, keysWanted } from "~/lib/shortcuts";
import { PAGES } from "./pages";

/** How long the second key may follow `g`. */
const CHORD_MS = 1500;

interface Keys {
  env: string | undefined;
  onPalette: () => void;
  onSheet: () => void;
}

export function useKeys({ env, onPalette, onSheet }: Keys): void {
  const navigate = useNavigate();
  // Outlives renders between the two keys.
  const chordAt = useRef(0);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        onPalette();
        return;
      }
      const modified = event.ctrlKey || event.metaKey || event.altKey;
      if (modified || isTyping(event.target) || !keysWanted() || document.querySelector("[role=dialog]") !== null)
        return;
      if (Date.now() - chordAt.current < CHORD_MS) {
        chordAt.current = 0;
        const page = PAGES.find(({ key }) => key === event.key);
        // The page may put the focus into a field before the key becomes a letter.
        event.preventDefault();
        if (page !== undefined && env !== undefined) void navigate({ to: page.to, params: { env } });
        return;
      }
      if (event.key === "g") chordAt.current = Date.now();
      if (event.key === "?") onSheet();
      if (event.key === "/") focusOn("[data-search]", event);
      if (event.key === "j" && document.activeElement?.closest("[data-row-link], main table") == null) {
        focusOn("main [data-row-link]", event);
      }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [env, navigate, onPalette, onSheet]);
}

function focusOn(selector: string, event: KeyboardEvent): void {
  const found = document.querySelector<HTMLElement>(selector);
  if (found === null) return;
  event.preventDefault();
  found.focus();
}

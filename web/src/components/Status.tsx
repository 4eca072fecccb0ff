/** A state: a mark whose shape and colour say how it stands, beside the word. */
import { tone, words, type Tone } from "~/lib/words";
import css from "./Status.module.css";

export function Status({ word, title }: { word: string; title?: string | undefined }) {
  return (
    <span className={`${css["status"]} ${css[tone(word)]}`} title={title}>
      <span className={css["mark"]} aria-hidden />
      {words(word)}
    </span>
  );
}

/** A short remark in a colour of its own. */
export function Pill({
  children,
  tone: of = "calm",
  title,
}: {
  children: React.ReactNode;
  tone?: Tone;
  title?: string;
}) {
  return (
    <span className={`${css["status"]} ${css["pill"]} ${css[of]}`} title={title}>
      {children}
    </span>
  );
}

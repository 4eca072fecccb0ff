/** Times: local and short, with the exact one in UTC on hover. */
import { between, local, relative, span, utc } from "~/lib/times";
import { useNow } from "./now";

/** When something was, or will be. */
export function Time({ at, absolute = false }: { at: string; absolute?: boolean }) {
  const now = useNow();
  const title = `${local(at, 0)} local · ${utc(at)}`;
  return (
    <time dateTime={at} title={title} className="nowrap">
      {absolute ? local(at, now) : relative(at, now)}
    </time>
  );
}

/** How long something took, or goes on. */
export function Took({ from, to }: { from: string; to?: string | undefined }) {
  const now = useNow();
  const end = to === undefined ? "" : ` – ${utc(to)}`;
  return (
    <span className="nowrap" title={`${utc(from)}${end}`}>
      {span(Math.max(0, between(from, to, now)))}
    </span>
  );
}

/** A line of levels that fits into the cell of a table. */
import type { StockHistory } from "~/api/schema";
import { useNow } from "~/components/now";
import { inWords, pointsOf, toldOf } from "./levels";

const WIDTH = 96;
const HEIGHT = 20;

export function MiniSpark({ name, history }: { name: string; history: StockHistory | undefined }) {
  const now = useNow();
  const told = toldOf(history);
  if (history === undefined || told === undefined) {
    return <span className="dim">{history === undefined ? "" : "not noted yet"}</span>;
  }
  const words = `Level of ${name} ${inWords(told, now)}`;
  return (
    <svg
      width={WIDTH}
      height={HEIGHT}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={words}
    >
      <title>{words}</title>
      <path
        d={path(history)}
        style={{ fill: "none", stroke: "var(--sp-accent)", strokeWidth: 1.5 }}
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  );
}

/** Steps from one level to the next, with a gap where nobody has looked. */
function path(history: StockHistory): string {
  const points = pointsOf(history, []);
  const top = Math.max(1, ...points.map(({ ready, target }) => Math.max(ready ?? 0, target ?? 0)));
  const step = WIDTH / points.length;
  let line = "";
  let before: number | null = null;
  for (const [number, { ready }] of points.entries()) {
    if (ready !== null) {
      const [x, y] = [number * step, HEIGHT - 1 - (ready / top) * (HEIGHT - 2)].map((place) => place.toFixed(1));
      line += `${before === null ? "M" : "L"}${x},${y}H${((number + 1) * step).toFixed(1)}`;
    }
    before = ready;
  }
  return line;
}

/** What was going on when: a row a part, a bar for each attempt, and stripes where something was waited for. */
import { span, utc } from "~/lib/times";
import { tone, words } from "~/lib/words";
import css from "./Gantt.module.css";

export interface Bar {
  /** Milliseconds of the wall clock. */
  from: number;
  to: number;
  state: string;
  says: string;
}

export interface GanttRow {
  id: string;
  name: React.ReactNode;
  bars: Bar[];
}

export function Gantt({ label, rows }: { label: string; rows: GanttRow[] }) {
  const all = rows.flatMap(({ bars }) => bars);
  if (all.length === 0) return <p className="dim">Nothing has begun yet.</p>;
  const begin = Math.min(...all.map(({ from }) => from));
  const end = Math.max(...all.map(({ to }) => to), begin + 1);
  const percent = (ms: number) => `${(100 * ms) / (end - begin)}%`;
  return (
    <ul className={css["chart"]} aria-label={label}>
      {rows.map((row) => {
        const from = Math.min(...row.bars.map((bar) => bar.from));
        const to = Math.max(...row.bars.map((bar) => bar.to));
        return (
          <li key={row.id} style={{ display: "contents" }}>
            <span className={css["name"]}>{row.name}</span>
            <span className={css["track"]}>
              {row.bars.map((bar, index) => (
                <span
                  key={index}
                  className={`${css["bar"]} ${bar.state === "waiting" ? css["wait"] : css[tone(bar.state)]}`}
                  style={{ left: percent(bar.from - begin), width: percent(bar.to - bar.from) }}
                  title={`${bar.says} · ${span(bar.to - bar.from)} · ${utc(new Date(bar.from).toISOString())}`}
                  role="img"
                  aria-label={`${bar.says}, ${words(bar.state)}, ${span(bar.to - bar.from)}`}
                />
              ))}
            </span>
            <span className={css["took"]}>{row.bars.length === 0 ? "" : span(to - from)}</span>
          </li>
        );
      })}
    </ul>
  );
}

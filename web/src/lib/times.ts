/** Times and spans for people: local, short, and exact in UTC when somebody looks closer. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `1 d 3 h`, `4 min 10 s`, `12.3 s`, `340 ms`: two units at most, so that it fits a cell. */
export function span(ms: number): string {
  if (ms < 0) return `-${span(-ms)}`;
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) {
    const seconds = ms / SECOND;
    return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  }
  const [big, small, units] =
    ms < HOUR ? [MINUTE, SECOND, ["min", "s"]] : ms < DAY ? [HOUR, MINUTE, ["h", "min"]] : [DAY, HOUR, ["d", "h"]];
  const whole = Math.floor(ms / big);
  const rest = Math.floor((ms - whole * big) / small);
  return rest === 0 ? `${whole} ${units[0]}` : `${whole} ${units[0]} ${rest} ${units[1]}`;
}

/** `12 s ago`, `in 3 min`: one unit, because a table is read at a glance. */
export function relative(at: string, now: number): string {
  const ms = now - Date.parse(at);
  const size = Math.abs(ms);
  if (size < 2 * SECOND) return "now";
  const text =
    size < MINUTE
      ? `${Math.floor(size / SECOND)} s`
      : size < HOUR
        ? `${Math.floor(size / MINUTE)} min`
        : size < DAY
          ? `${Math.floor(size / HOUR)} h`
          : `${Math.floor(size / DAY)} d`;
  return ms > 0 ? `${text} ago` : `in ${text}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

/** Local time; with the day unless it is today's. */
export function local(at: string, now: number): string {
  const time = new Date(at);
  return time.toDateString() === new Date(now).toDateString()
    ? clock.format(time)
    : `${day.format(time)}, ${clock.format(time)}`;
}

/** As the API says it, to the millisecond. */
export function utc(at: string): string {
  return new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** How far apart two times are; to now when the second is not known. */
export function between(from: string, to: string | undefined, now: number): number {
  return (to === undefined ? now : Date.parse(to)) - Date.parse(from);
}

/** The value that half of them lie below; nothing of nothing. */
export function median(values: number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

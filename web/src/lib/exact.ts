/** JSON whose numbers keep every digit, because identifiers of services may be longer than a double holds. */

interface Source {
  source?: string;
}

interface RawJson {
  rawJSON?: (text: string) => unknown;
}

const rawJson = (JSON as RawJson).rawJSON;

/** Parses; a number that a double would change stays as it was written, and is written so again. */
export function parseExact(text: string): unknown {
  if (rawJson === undefined) return JSON.parse(text);
  return JSON.parse(text, function (this: unknown, _key: string, value: unknown, context?: Source) {
    const source = context?.source;
    if (typeof value !== "number" || source === undefined || keeps(value, source)) return value;
    return rawJson(source);
  } as (key: string, value: unknown) => unknown);
}

function keeps(value: number, source: string): boolean {
  return String(value) === source || (source.length <= 15 && /^-?\d+(\.\d+)?$/.test(source));
}

/** A value for people: texts bare, everything else as JSON. */
export function shown(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A value as indented JSON. */
export function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** Whether a value is an object with fields. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

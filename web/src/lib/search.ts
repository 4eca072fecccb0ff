/** What stands behind the `?` of an address: only what a page knows, in the form that it knows. */

type Raw = Record<string, unknown>;

/** A text, unless there is none. */
export function text(raw: Raw, name: string): string | undefined {
  const value = raw[name];
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** One of some words; anything else is as good as nothing. */
export function oneOf<T extends string>(raw: Raw, name: string, known: readonly T[]): T | undefined {
  return known.find((word) => word === raw[name]);
}

/** A whole number from 1. */
export function count(raw: Raw, name: string): number | undefined {
  const value = Number(raw[name]);
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** A switch that is on. */
export function on(raw: Raw, name: string): true | undefined {
  return raw[name] === true || raw[name] === "true" ? true : undefined;
}

/** The environment that was looked at last in this browser. */

const KEY = "sixpack.environment";

export function lastEnvironment(): string | undefined {
  try {
    return localStorage.getItem(KEY) ?? undefined;
  } catch {
    // Storage may be forbidden; then nothing is remembered.
    return undefined;
  }
}

export function rememberEnvironment(name: string): void {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // As above.
  }
}

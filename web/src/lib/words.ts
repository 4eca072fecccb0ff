/** The states of everything: what they are called, and what colour they have in every page. */

/** What a state means for whoever looks: `busy` moves by itself, `warn` may need somebody, `bad` does. */
export type Tone = "good" | "busy" | "warn" | "bad" | "calm";

const TONES: Record<string, Tone> = {
  // Contracts and sessions
  online: "good",
  offline: "warn",
  broken: "bad",
  live: "good",
  draining: "warn",
  dead: "bad",
  ended: "calm",
  // Requests
  queued: "busy",
  building: "busy",
  fulfilled: "good",
  failed: "bad",
  cancelled: "calm",
  expired: "bad",
  // Datasets and steps
  pending: "calm",
  waiting: "busy",
  checking: "busy",
  ready: "good",
  leased: "good",
  skipped: "calm",
  suspect: "warn",
  quarantined: "warn",
  cancelling: "busy",
  undoing: "busy",
  gone: "calm",
  debt: "bad",
  // Leases
  held: "good",
  released: "calm",
  revoked: "warn",
  // Evidence and diagnosis
  valid: "good",
  invalid: "bad",
  unknown: "warn",
  stale: "warn",
  unchecked: "calm",
  same: "good",
  changed: "bad",
  still_valid: "good",
  check_failed: "warn",
  // Stock rules and versions
  active: "good",
  paused: "warn",
  new: "good",
  compatible: "good",
  updated: "good",
  breaking: "bad",
};

export function tone(word: string): Tone {
  return TONES[word] ?? "calm";
}

/** A word of the API as people write it. */
export function words(word: string): string {
  return word.replaceAll("_", " ");
}

/** `1 step`, `2 steps`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

/** What each class of failure says about whose move it is. */
export const CLASSES: Record<string, { means: string; next: string }> = {
  rejected: { means: "The domain said no to this input.", next: "Change the input, or ask the owner." },
  unavailable: {
    means: "The service of the domain could not do it, and the attempts are used up. The input is not to blame.",
    next: "Try again later, or ask the owner.",
  },
  contract_violation: {
    means: "The answer of the supplier does not keep its own contract.",
    next: "Report it to the owner; trying again does not help.",
  },
  supplier_offline: { means: "Nobody is connected who could do it.", next: "Ask the owner to start the supplier." },
  timeout: { means: "The time was over.", next: "Allow more time, or ask the owner why it takes so long." },
  crashed: { means: "The supplier went away in the middle of it, again and again.", next: "Ask the owner." },
  binding: {
    means: "The scenario could not put this step's input together from what came before.",
    next: "Ask the owner of the scenario.",
  },
  invariant: {
    means: "Every service agrees for itself, and together they contradict each other.",
    next: "Ask the owner of the scenario which side is wrong.",
  },
  check: { means: "A service did not agree that the state holds.", next: "Ask the owner of that service." },
  orchestration: { means: "The orchestrator asked for its children in a way that cannot be.", next: "Ask the owner." },
};

/** What depends on what, told from the catalogue: domains with the arrows between them, and what an outage would stop. */
import type { ContractEntry, ContractStatistics, FailureCause, StockRule } from "~/api/schema";
import { median } from "~/lib/times";

export interface Domain {
  name: string;
  contracts: ContractEntry[];
  /** The worst state of what it publishes. */
  state: "online" | "offline" | "broken";
  /** Domains whose contracts its scenarios use. */
  uses: string[];
}

const BADNESS = ["online", "offline", "broken"] as const;

export const domainOf = (contract: string) => contract.split("/")[0] ?? contract;

export function domainsOf(contracts: ContractEntry[]): Domain[] {
  const domains = new Map<string, Domain>();
  for (const contract of contracts) {
    const name = domainOf(contract.name);
    const domain = domains.get(name) ?? { name, contracts: [], state: "online" as const, uses: [] };
    const worse = BADNESS.indexOf(contract.status) > BADNESS.indexOf(domain.state);
    const uses = contract.uses.map(domainOf).filter((used) => used !== name && !domain.uses.includes(used));
    domains.set(name, {
      name,
      contracts: [...domain.contracts, contract],
      state: worse ? contract.status : domain.state,
      uses: [...domain.uses, ...new Set(uses)],
    });
  }
  return [...domains.values()].sort((a, b) => a.name.localeCompare(b.name));
}

export interface Stopped {
  contract: ContractEntry;
  /** How many requests stock could still serve. */
  ready: number;
}

/** Contracts that cannot be made while a domain is down, with what is in stock of each. */
export function stoppedBy(down: string, contracts: ContractEntry[], rules: StockRule[]): Stopped[] {
  const stopped = new Set(
    contracts.filter(({ name, kind }) => kind === "capability" && domainOf(name) === down).map(({ name }) => name),
  );
  // Scenarios may use scenarios: on until nothing is added any more.
  for (let before = -1; before !== stopped.size;) {
    before = stopped.size;
    for (const { name, uses } of contracts) if (uses.some((used) => stopped.has(used))) stopped.add(name);
  }
  return contracts
    .filter(({ name }) => stopped.has(name))
    .map((contract) => ({ contract, ready: readyOf(contract.name, rules) }));
}

/** Rules for the same input share what is ready. */
function readyOf(contract: string, rules: StockRule[]): number {
  const shelves = new Map<string, number>();
  for (const rule of rules) {
    if (rule.contract === contract && rule.stock.doubted === undefined)
      shelves.set(JSON.stringify(rule.input), rule.stock.ready);
  }
  return [...shelves.values()].reduce((sum, ready) => sum + ready, 0);
}

export interface Pace {
  made: number;
  failed: number;
  /** Half of its contracts are made sooner. */
  usual: number | undefined;
  slowest: ContractStatistics | undefined;
  last: FailureCause | undefined;
}

/** How a domain has been doing: what its contracts tell together. */
export function paceOf({ contracts }: Domain, told: Map<string, ContractStatistics> | undefined): Pace {
  const all = contracts.flatMap(({ name }) => told?.get(name) ?? []);
  const timed = all.flatMap((each) =>
    each.datasets.made_ms === undefined ? [] : [{ each, ...each.datasets.made_ms }],
  );
  const sum = (of: (each: ContractStatistics) => number) => all.reduce((total, each) => total + of(each), 0);
  const failures = all.flatMap(({ last_failure }) => last_failure ?? []);
  return {
    made: sum(({ datasets }) => datasets.made),
    failed: sum(({ datasets }) => datasets.failed),
    usual: median(timed.map(({ median }) => median)),
    slowest: timed.toSorted((a, b) => b.p90 - a.p90)[0]?.each,
    last: failures.toSorted((a, b) => b.last_at.localeCompare(a.last_at))[0],
  };
}

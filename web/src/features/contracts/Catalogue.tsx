/** The catalogue: everything that can be requested, found by typing. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useDeferredValue, useMemo } from "react";
import { contracts, statistics, stockRules } from "~/api/queries";
import type { ContractEntry, ContractStatistics, StockRule } from "~/api/schema";
import { DataTable, type Column } from "~/components/DataTable";
import { Icon } from "~/components/Icon";
import { Page } from "~/components/Panel";
import { Pill, Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { useText } from "~/components/useText";
import { CauseLink, ContractLink } from "~/components/links";
import { spread, successOf, typicalOf } from "~/lib/doing";
import { span } from "~/lib/times";
import { counted } from "~/lib/words";
import { Beginning } from "./Beginning";

const FROM = "/frame/env/$env/contracts";

export function Catalogue() {
  const { env } = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/contracts" });
  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  // All of them are read once and searched here: typing is then answered at once, whatever the line.
  const query = useInfiniteQuery(contracts(env, search.channel === undefined ? {} : { channel: search.channel }));
  const all = useMemo(() => query.data?.pages.flatMap(({ items }) => items) ?? [], [query.data]);
  const stock = useReadyStock(env);
  const { text: q, field } = useText(search.q, (text) => set({ q: text }));
  const { domain, owner, label, kind, health } = search;
  const asked = useMemo(
    () => ({ q: q === "" ? undefined : q, domain, owner, label, kind, health }),
    [q, domain, owner, label, kind, health],
  );
  const wanted = useDeferredValue(asked);
  const keep = useMemo(() => (entry: ContractEntry) => fits(entry, wanted), [wanted]);
  const doing = useQuery(statistics(env)).data;
  const columns = useMemo(() => columnsOf(env, stock, doing), [env, stock, doing]);
  const { domains, owners, labels } = useMemo(() => choicesOf(all), [all]);
  const filters: (string | undefined)[] = Object.values(search);
  const filtered = filters.some((value) => value !== undefined);
  return (
    <Page title="Catalogue" name={`Catalogue of ${env}`} full>
      <p className="dim">
        Choose the state that your test needs, and request it: you get data that all services agree on.
      </p>
      <div className="row" role="search">
        <TextInput
          data-search
          autoFocus
          className="grow"
          style={{ minWidth: 200, maxWidth: 460 }}
          aria-label="Search the catalogue"
          placeholder="Search by name, description, owner or label"
          leftSection={<Icon name="search" size={14} />}
          {...field}
        />
        <Choice label="Domain" value={search.domain} choices={domains} onChoose={(domain) => set({ domain })} />
        <Choice label="Owner" value={search.owner} choices={owners} onChoose={(owner) => set({ owner })} />
        <Choice label="Label" value={search.label} choices={labels} onChoose={(label) => set({ label })} />
        <Choice
          label="Kind"
          value={search.kind}
          choices={["capability", "scenario"]}
          onChoose={(kind) => set({ kind: kind as never })}
        />
        <Choice
          label="Health"
          value={search.health}
          choices={["online", "offline", "broken"]}
          onChoose={(health) => set({ health: health as never })}
        />
        {filtered && (
          <Button size="compact-sm" variant="subtle" onClick={() => void navigate({ search: {}, replace: true })}>
            Clear
          </Button>
        )}
        {search.channel !== undefined && <Pill tone="busy">channel {search.channel}</Pill>}
      </div>
      <DataTable
        label="Contracts"
        columns={columns}
        query={query}
        keep={keep}
        id={(entry) => entry.name}
        empty={<Beginning env={env} filtered={filtered && all.length > 0} />}
      />
    </Page>
  );
}

/** Everything that the filters can be set to. */
function choicesOf(all: ContractEntry[]): { domains: string[]; owners: string[]; labels: string[] } {
  const labels = all.flatMap((entry) => Object.entries(entry.labels).map(([key, value]) => `${key}:${value}`));
  return {
    domains: distinct(all.map(({ name }) => name.split("/")[0] ?? "")),
    owners: distinct(all.map(({ owner }) => owner.team)),
    labels: distinct(labels),
  };
}

interface ChoiceProps {
  label: string;
  value: string | undefined;
  choices: string[];
  onChoose: (value: string | undefined) => void;
}

function Choice({ label, value, choices, onChoose }: ChoiceProps) {
  if (choices.length < 2 && value === undefined) return null;
  return (
    <NativeSelect
      size="sm"
      maw={190}
      aria-label={label}
      value={value ?? ""}
      data={[{ value: "", label: `Any ${label.toLowerCase()}` }, ...choices]}
      onChange={(event) => onChoose(event.currentTarget.value || undefined)}
    />
  );
}

interface Ready {
  ready: number;
  target: number;
}

function columnsOf(
  env: string,
  stock: Map<string, Ready> | undefined,
  doing: Map<string, ContractStatistics> | undefined,
): Column<ContractEntry>[] {
  return [
    {
      head: "Contract",
      cell: (entry) => (
        <span title={entry.description}>
          <ContractLink env={env} name={entry.name} version={entry.version} row />
          {entry.channel !== undefined && <Pill tone="busy">in channel</Pill>}
        </span>
      ),
    },
    { head: "What it is", cell: (entry) => <span className="dim">{entry.description}</span>, from: "wide", fill: true },
    { head: "Health", cell: (entry) => <Status word={entry.status} /> },
    { head: "Owner", cell: (entry) => entry.owner.team, from: "medium" },
    {
      head: "Ready now",
      end: true,
      from: "medium",
      cell: (entry) => {
        const ready = stock?.get(entry.name);
        return ready === undefined ? (
          <span className="dim">–</span>
        ) : (
          <span title={`${ready.ready} ready of ${ready.target} that stock rules ask for`}>
            {ready.ready} <span className="dim">/ {ready.target}</span>
          </span>
        );
      },
    },
    {
      head: "Checked",
      end: true,
      from: "huge",
      cell: (entry) => (
        <span title={`${entry.checked} of ${entry.of} parts have a check`}>
          {entry.checked} <span className="dim">/ {entry.of}</span>
        </span>
      ),
    },
    {
      head: "Typical time",
      end: true,
      from: "wide",
      cell: (entry) => {
        const typical = typicalOf(doing?.get(entry.name), stock?.get(entry.name)?.ready ?? 0);
        return typical === undefined ? (
          <span className="dim">–</span>
        ) : (
          <span title={`${typical.how}: ${spread(typical)}`}>{span(typical.median)}</span>
        );
      },
    },
    {
      head: "Succeeds",
      end: true,
      from: "wide",
      cell: (entry) => {
        const told = doing?.get(entry.name);
        const success = told && successOf(told);
        return success === undefined ? (
          <span className="dim">–</span>
        ) : (
          <span title={`${success.made} of the last ${counted(success.tried, success.of.slice(0, -1))}`}>
            {success.percent} %
          </span>
        );
      },
    },
    {
      head: "Last failure",
      end: true,
      from: "wide",
      cell: (entry) => {
        const failed = doing?.get(entry.name)?.last_failure;
        return failed === undefined ? (
          <span className="dim">–</span>
        ) : (
          <span title={`${failed.contract}: ${failed.message}`}>
            <CauseLink env={env} cause={failed}>
              <Time at={failed.last_at} />
            </CauseLink>
          </span>
        );
      },
    },
  ];
}

/** What the stock rules of each contract have ready together; rules for one input share their datasets. */
function useReadyStock(env: string): Map<string, Ready> | undefined {
  const rules = useQuery(stockRules(env)).data?.items;
  return useMemo(() => (rules === undefined ? undefined : readyOf(rules)), [rules]);
}

export function readyOf(rules: StockRule[]): Map<string, Ready> {
  const shelves = new Map<string, StockRule>();
  for (const rule of rules) {
    const shelf = `${rule.contract} ${JSON.stringify(rule.input)}`;
    const other = shelves.get(shelf);
    if (other === undefined || rule.target > other.target) shelves.set(shelf, rule);
  }
  const ready = new Map<string, Ready>();
  for (const rule of shelves.values()) {
    const sum = ready.get(rule.contract) ?? { ready: 0, target: 0 };
    ready.set(rule.contract, { ready: sum.ready + rule.stock.ready, target: sum.target + rule.target });
  }
  return ready;
}

interface Wanted {
  q?: string | undefined;
  domain?: string | undefined;
  owner?: string | undefined;
  label?: string | undefined;
  kind?: string | undefined;
  health?: string | undefined;
}

/** All words have to occur, wherever; the server's own search says the same. */
export function fits(entry: ContractEntry, { q, domain, owner, label, kind, health }: Wanted): boolean {
  if (domain !== undefined && !entry.name.startsWith(`${domain}/`)) return false;
  if (owner !== undefined && entry.owner.team !== owner) return false;
  if (kind !== undefined && entry.kind !== kind) return false;
  if (health !== undefined && entry.status !== health) return false;
  const labels = Object.entries(entry.labels).map(([key, value]) => `${key}:${value}`);
  if (label !== undefined && !labels.includes(label)) return false;
  if (q === undefined) return true;
  const text = [entry.name, entry.description, entry.owner.team, ...labels].join(" ").toLowerCase();
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function distinct(values: string[]): string[] {
  return [...new Set(values)].sort((a, b) => a.localeCompare(b));
}

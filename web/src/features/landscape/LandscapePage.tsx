/** The landscape: domains and what they depend on, and what stops when one of them is down. */
import { NativeSelect } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { contracts, sessions, statistics, stockRules } from "~/api/queries";
import type { ContractEntry, ContractStatistics, Session } from "~/api/schema";
import type { GraphEdge, GraphNode } from "~/components/Graph";
import { LazyGraph } from "~/components/LazyGraph";
import { OwnerLine } from "~/components/Owner";
import { Page, Panel, SmallTable } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Empty, Loading } from "~/components/States";
import { Pill, Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { CauseLink, ContractLink } from "~/components/links";
import { span } from "~/lib/times";
import { counted } from "~/lib/words";
import { domainOf, domainsOf, paceOf, stoppedBy, type Domain } from "./dependence";

const FROM = "/frame/env/$env/landscape";

export function LandscapePage() {
  const { env } = useParams({ from: FROM });
  const query = useInfiniteQuery(contracts(env));
  const all = useMemo(() => query.data?.pages.flatMap(({ items }) => items), [query.data]);
  return (
    <Page title="Landscape" name={`Landscape of ${env}`}>
      {all === undefined ? (
        query.isError ? (
          <ProblemView error={query.error} retry={query.refetch} />
        ) : (
          <Loading />
        )
      ) : all.length === 0 ? (
        <Empty title="There are no domains yet">They appear with the first supplier that connects.</Empty>
      ) : (
        <Domains env={env} all={all} />
      )}
    </Page>
  );
}

function Domains({ env, all }: { env: string; all: ContractEntry[] }) {
  const { down } = useSearch({ from: FROM });
  const domains = useMemo(() => domainsOf(all), [all]);
  const live = useInfiniteQuery(sessions(env, { state: "live" })).data?.pages.flatMap(({ items }) => items) ?? [];
  const stopped = down === undefined ? [] : stoppedBy(down, all, []).map(({ contract }) => domainOf(contract.name));
  const nodes = domains.map((domain): GraphNode => ({
    id: domain.name,
    name: (
      <Link to="/env/$env/contracts" params={{ env }} search={{ domain: domain.name }}>
        {domain.name}
      </Link>
    ),
    below: [counted(domain.contracts.length, "contract"), suppliersOf(domain, live)].filter(Boolean).join(", "),
    state: domain.name === down ? "failed" : stopped.includes(domain.name) ? "suspect" : domain.state,
  }));
  const edges = useMemo(
    () =>
      domains.flatMap((domain) =>
        domain.uses.map((from): GraphEdge => ({ from, to: domain.name, active: from === down })),
      ),
    [domains, down],
  );
  return (
    <>
      <Panel title="What depends on what" flush>
        <LazyGraph
          label="Domains and what depends on them"
          nodes={nodes}
          edges={edges}
          height={160 + nodes.length * 44}
        />
      </Panel>
      <WhatIf env={env} all={all} domains={domains} />
      <DomainTable env={env} domains={domains} live={live} />
    </>
  );
}

/** A domain of scenarios alone needs no supplier. */
function suppliersOf(domain: Domain, live: Session[]): string {
  const own = live.filter((session) => session.domain === domain.name).length;
  return domain.contracts.some(({ kind }) => kind === "capability") ? counted(own, "supplier") : "";
}

function WhatIf({ env, all, domains }: { env: string; all: ContractEntry[]; domains: Domain[] }) {
  const { down } = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/landscape" });
  const rules = useQuery(stockRules(env)).data?.items ?? [];
  const stopped = down === undefined ? [] : stoppedBy(down, all, rules);
  return (
    <Panel title="What stops if one of them is down">
      <div className="stack">
        <NativeSelect
          aria-label="Domain that is down"
          maw={260}
          value={down ?? ""}
          data={[{ value: "", label: "choose a domain" }, ...domains.map(({ name }) => name)]}
          onChange={(event) =>
            void navigate({ search: { down: event.currentTarget.value || undefined }, replace: true })
          }
        />
        {stopped.length > 0 && (
          <SmallTable label="What stops" head={["Contract", "Without it", "Owner"]}>
            {stopped.map(({ contract, ready }) => (
              <tr key={contract.name}>
                <td>
                  <ContractLink env={env} name={contract.name} />
                </td>
                <td className="row">
                  {ready > 0 ? <Pill tone="warn">lives on</Pill> : <Pill tone="bad">stops</Pill>}{" "}
                  {ready > 0 ? `from stock, for about ${counted(ready, "request")}` : "nothing of it is in stock"}
                </td>
                <td>
                  <OwnerLine owner={contract.owner} />
                </td>
              </tr>
            ))}
          </SmallTable>
        )}
        {down !== undefined && stopped.length === 0 && <p>Nothing that can be requested depends on {down}.</p>}
      </div>
    </Panel>
  );
}

function DomainTable({ env, domains, live }: { env: string; domains: Domain[]; live: Session[] }) {
  const told = useQuery(statistics(env)).data;
  return (
    <Panel title="Domains">
      <SmallTable
        label="Domains"
        head={["Domain", "Health", "Owner", "Suppliers", "Builds", "Makes one in", "Fails", "Slowest", "Last failure"]}
      >
        {domains.map((domain) => {
          const own = live.filter((session) => session.domain === domain.name);
          return (
            <tr key={domain.name}>
              <td>
                <Link to="/env/$env/suppliers" params={{ env }} search={{ domain: domain.name }}>
                  {domain.name}
                </Link>
              </td>
              <td>
                <Status word={domain.state} />
              </td>
              <td>
                <OwnerLine owner={domain.contracts[0]?.owner} />
              </td>
              <td>{suppliersOf(domain, live)}</td>
              <td>{[...new Set(own.map(({ build }) => build).filter(Boolean))].join(", ")}</td>
              <Doing env={env} domain={domain} told={told} />
            </tr>
          );
        })}
      </SmallTable>
    </Panel>
  );
}

interface DoingProps {
  env: string;
  domain: Domain;
  told: Map<string, ContractStatistics> | undefined;
}

/** How quickly a domain makes what it is asked for, and how often it cannot. */
function Doing({ env, domain, told }: DoingProps) {
  const { made, failed, usual, slowest, last } = useMemo(() => paceOf(domain, told), [domain, told]);
  const tried = made + failed;
  return (
    <>
      <td>{usual === undefined ? "" : span(usual)}</td>
      <td>
        {tried > 0 && <span title={`${failed} of the last ${tried}`}>{Math.ceil((100 * failed) / tried)} %</span>}
      </td>
      <td>
        {slowest !== undefined && (
          <>
            <ContractLink env={env} name={slowest.contract} />{" "}
            <span className="dim">{span(slowest.datasets.made_ms?.p90 ?? 0)}</span>
          </>
        )}
      </td>
      <td>
        {last !== undefined && (
          <span title={`${last.contract}: ${last.message}`}>
            <CauseLink env={env} cause={last}>
              <Time at={last.last_at} />
            </CauseLink>
          </span>
        )}
      </td>
    </>
  );
}

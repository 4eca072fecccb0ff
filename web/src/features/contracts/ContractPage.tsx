/** A contract: what it is, whose, how to request it, what it is made of, and how it has been doing. */
import { Tabs } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { contract as contractQuery, contractStatistics, signIn } from "~/api/queries";
import type { Contract } from "~/api/schema";
import { CopyButton, Snippet } from "~/components/Copy";
import { OwnerLine } from "~/components/Owner";
import { Facts, Page, Panel } from "~/components/Panel";
import { Pill, Status } from "~/components/Status";
import { Read } from "~/components/States";
import { Time } from "~/components/Time";
import { CauseLink, ContractLink } from "~/components/links";
import { makingOf, spread, successOf } from "~/lib/doing";
import { pretty } from "~/lib/exact";
import { counted } from "~/lib/words";
import { ContractGraph } from "./ContractGraph";
import { Lately } from "./Lately";
import { RequestForm } from "./RequestForm";
import { SchemaTable } from "./SchemaTable";
import { StockOfContract } from "./StockOfContract";
import { Versions } from "./Versions";
import { snippets } from "./snippets";
import { EMPTY_DRAFT, type Draft } from "./wish";
import { ImportPanel, isImportable } from "./ImportPanel";

const FROM = "/frame/env/$env/contracts/$domain/$name";

export function ContractPage() {
  const { env, domain, name } = useParams({ from: FROM });
  const { version, channel } = useSearch({ from: FROM });
  const full = `${domain}/${name}`;
  const of = { ...(version === undefined ? {} : { version }), ...(channel === undefined ? {} : { channel }) };
  const query = useQuery(contractQuery(env, full, of));
  return (
    <Page
      name={full}
      over={
        <Link to="/env/$env/contracts" params={{ env }} search={{ domain }}>
          {domain}
        </Link>
      }
      title={<Title contract={query.data} name={full} />}
      actions={
        <CopyButton value={location.href} what="the address of this page">
          Copy link
        </CopyButton>
      }
    >
      <Read query={query}>{(contract) => <About env={env} contract={contract} />}</Read>
    </Page>
  );
}

function Title({ contract, name }: { contract: Contract | undefined; name: string }) {
  return (
    <span className="row">
      {name}
      {contract !== undefined && (
        <>
          <span className="dim">@{contract.version}</span>
          <Status word={contract.status} />
          <Pill>{contract.kind}</Pill>
          {contract.channel !== undefined && <Pill tone="busy">channel {contract.channel}</Pill>}
        </>
      )}
    </span>
  );
}

function About({ env, contract }: { env: string; contract: Contract }) {
  const { tab = "request", channel } = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/contracts/$domain/$name" });
  const [draft, setDraft] = useState<Draft>(EMPTY_DRAFT);
  const role = useQuery(signIn).data?.role;
  const importable = isImportable(contract) && (role === "admin" || role === "supplier");
  return (
    <>
      <Head env={env} contract={contract} />
      <Tabs
        value={tab}
        keepMounted={false}
        onChange={(chosen) =>
          void navigate({ search: (before) => ({ ...before, tab: chosen as typeof tab }), replace: true })
        }
      >
        <Tabs.List mb="sm">
          <Tabs.Tab value="request">Request</Tabs.Tab>
          <Tabs.Tab value="schema">Input and output</Tabs.Tab>
          <Tabs.Tab value="code">As code</Tabs.Tab>
          <Tabs.Tab value="graph">Dependencies</Tabs.Tab>
          <Tabs.Tab value="versions">Versions</Tabs.Tab>
          <Tabs.Tab value="runs">Lately</Tabs.Tab>
          {importable && <Tabs.Tab value="import">Import</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="request">
          <div className="columns">
            <Panel title="Request it">
              <RequestForm env={env} contract={contract} channel={channel} draft={draft} onDraft={setDraft} />
            </Panel>
            <StockOfContract env={env} contract={contract} />
          </div>
        </Tabs.Panel>
        <Tabs.Panel value="schema">
          <Schemas contract={contract} />
        </Tabs.Panel>
        <Tabs.Panel value="code">
          <AsCode env={env} contract={contract} draft={draft} />
        </Tabs.Panel>
        <Tabs.Panel value="graph">
          <ContractGraph env={env} contract={contract} />
        </Tabs.Panel>
        <Tabs.Panel value="versions">
          <Versions env={env} contract={contract} />
        </Tabs.Panel>
        <Tabs.Panel value="runs">
          <Lately env={env} contract={contract.name} />
        </Tabs.Panel>
        {importable && (
          <Tabs.Panel value="import">
            <ImportPanel env={env} contract={contract} />
          </Tabs.Panel>
        )}
      </Tabs>
    </>
  );
}

function Head({ env, contract }: { env: string; contract: Contract }) {
  const labels = Object.entries(contract.labels);
  const { version } = useSearch({ from: FROM });
  return (
    <div className="stack" style={{ gap: 8 }}>
      {version !== undefined && version !== contract.versions[0]?.version && (
        <p role="status">
          <Pill tone="warn">version {version}</Pill> This is how it was; what is requested is always the version on
          offer.
        </p>
      )}
      {contract.description !== "" && <p>{contract.description}</p>}
      {contract.faults.length > 0 && (
        <Panel title="Its parts no longer fit together">
          <ul className="stack">
            {contract.faults.map((fault, index) => (
              <li key={index}>
                <code>
                  {fault.line}:{fault.column}
                </code>{" "}
                {fault.message} {fault.hint !== undefined && <span className="dim">· {fault.hint}</span>}
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {contract.doubted !== undefined && (
        <Panel title="Nothing of it is handed out from stock">
          <p>
            {contract.doubted.message} <OwnerLine owner={contract.doubted.owner} />
          </p>
        </Panel>
      )}
      <Facts
        of={[
          ["Owner", <OwnerLine owner={contract.owner} />],
          ["Checked", `${contract.checked} of ${counted(contract.of, "part")} can be checked`],
          ["Performs", contract.operations?.join(", ")],
          ["Suppliers", contract.sessions === undefined ? undefined : counted(contract.sessions, "live session")],
          [
            "Labels",
            labels.length > 0 && (
              <span className="row">
                {labels.map(([key, value]) => (
                  <Pill key={key}>{`${key}: ${value}`}</Pill>
                ))}
              </span>
            ),
          ],
          [
            "Used by",
            contract.used_by.length > 0 && (
              <span className="row">
                {contract.used_by.map((name) => (
                  <ContractLink key={name} env={env} name={name} />
                ))}
              </span>
            ),
          ],
          ["Changed", <Time at={contract.updated_at} />],
          ...useDoing(env, contract),
        ]}
      />
    </div>
  );
}

/** How it has been doing, as lines of the head; the tab says more. */
function useDoing(env: string, contract: Contract): [string, ReactNode][] {
  const told = useQuery({
    ...contractStatistics(env, contract.name),
    // What a channel makes is counted for nobody.
    enabled: contract.channel === undefined,
  }).data;
  if (told === undefined) return [];
  const { from_stock_ms: stock } = told.requests;
  const made = makingOf(told);
  const success = successOf(told);
  const waits = [stock && `${spread(stock)} from stock`, made && `${spread(made)} when made`].filter(Boolean);
  const failed = told.last_failure;
  return [
    ["Typical time", waits.join(" · ")],
    [
      "Succeeds",
      success && `${success.percent} %, ${success.made} of the last ${counted(success.tried, success.of.slice(0, -1))}`,
    ],
    [
      "Last failure",
      failed && (
        <span>
          <CauseLink env={env} cause={failed}>
            <Time at={failed.last_at} />
          </CauseLink>{" "}
          <span className="dim">
            {failed.contract}: {failed.message}
          </span>
        </span>
      ),
    ],
  ];
}

function Schemas({ contract }: { contract: Contract }) {
  return (
    <div className="stack">
      {(["input", "output", "facts"] as const).map((part) =>
        contract[part] === undefined ? null : (
          <Panel
            key={part}
            title={{ input: "Input", output: "Output", facts: "Facts that a check reads back" }[part]}
            actions={
              <CopyButton value={pretty(contract[part])} what={`JSON Schema of the ${part}`}>
                JSON Schema
              </CopyButton>
            }
          >
            <SchemaTable schema={contract[part]} label={`Properties of the ${part}`} />
          </Panel>
        ),
      )}
      {contract.invariants !== undefined && contract.invariants.length > 0 && (
        <Panel title="Invariants">
          <ul className="stack">
            {contract.invariants.map(({ that, says }) => (
              <li key={that}>
                {says}
                <br />
                <code className="dim">{that}</code>
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </div>
  );
}

function AsCode({ env, contract, draft }: { env: string; contract: Contract; draft: Draft }) {
  const all = snippets({ origin: location.origin, environment: env, contract: contract.name, ...draft });
  return (
    <Panel title="The request of the form, as code">
      <Tabs defaultValue="CLI" keepMounted={false}>
        <Tabs.List mb="xs">
          {all.map(({ name }) => (
            <Tabs.Tab key={name} value={name}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {all.map(({ name, text }) => (
          <Tabs.Panel key={name} value={name}>
            <Snippet text={text} what={`the request for ${name}`} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Panel>
  );
}

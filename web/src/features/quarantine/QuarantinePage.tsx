/** Quarantine and debts: what drifted and waits for a decision, and what could not be undone. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { debts, quarantine } from "~/api/queries";
import type { Debt, QuarantinedDataset } from "~/api/schema";
import { DataTable, type Column } from "~/components/DataTable";
import { OwnerLine } from "~/components/Owner";
import { Page } from "~/components/Panel";
import { Empty } from "~/components/States";
import { Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { useMayNotPublish } from "~/components/role";
import { ContractLink, DatasetLink } from "~/components/links";
import { shown } from "~/lib/exact";
import { words } from "~/lib/words";
import { Button } from "@mantine/core";
import { Resolve } from "./Resolve";
import { ResolveDebt } from "./ResolveDebt";

const FROM = "/frame/env/$env/quarantine";

export function QuarantinePage() {
  const { env } = useParams({ from: FROM });
  const mayNot = useMayNotPublish();
  const [resolving, setResolving] = useState<QuarantinedDataset>();
  const [settling, setSettling] = useState<Debt>();
  const drifted = useInfiniteQuery(quarantine(env));
  const owed = useInfiniteQuery(debts(env));
  const quarantined = useMemo(() => quarantineColumns(env, mayNot, setResolving), [env, mayNot]);
  const owing = useMemo(() => debtColumns(env, mayNot, setSettling), [env, mayNot]);
  return (
    <Page title="Quarantine and debts" name={`Quarantine of ${env}`} full>
      <h2>Drifted in stock, and waiting for somebody to decide</h2>
      <DataTable
        label="Quarantine"
        columns={quarantined}
        query={drifted}
        id={({ dataset_id }) => dataset_id}
        empty={
          <Empty title="Nothing drifted">
            What services no longer agree with is set aside here, and never handed out.
          </Empty>
        }
      />
      <h2>Debts: effects that are still there</h2>
      <DataTable
        label="Debts"
        columns={owing}
        query={owed}
        id={({ dataset_id }) => dataset_id}
        empty={<Empty title="Nothing is owed">Whatever was made and is not needed any more has been undone.</Empty>}
      />
      <Resolve key={resolving?.dataset_id} dataset={resolving} onClose={() => setResolving(undefined)} />
      <ResolveDebt key={settling?.dataset_id} env={env} debt={settling} onClose={() => setSettling(undefined)} />
    </Page>
  );
}

function quarantineColumns(
  env: string,
  mayNot: string | undefined,
  onResolve: (dataset: QuarantinedDataset) => void,
): Column<QuarantinedDataset>[] {
  return [
    {
      head: "Dataset",
      cell: (entry) => (
        <DatasetLink env={env} id={entry.dataset_id} row>
          {entry.contract}
          <span className="dim">@{entry.version}</span>
        </DatasetLink>
      ),
    },
    {
      head: "First to drift",
      cell: ({ drifted }) => drifted && <span title={drifted.path}>{drifted.contract}</span>,
      from: "medium",
    },
    {
      head: "Why",
      cell: ({ drifted }) => drifted && <span title={drifted.message}>{drifted.message}</span>,
      from: "wide",
      fill: true,
    },
    { head: "Owner", cell: ({ drifted }) => drifted && <OwnerLine owner={drifted.owner} />, from: "wide" },
    { head: "Noticed", cell: ({ because }) => because && words(because), from: "huge" },
    { head: "Since", cell: ({ since }) => since && <Time at={since} />, end: true, from: "medium" },
    {
      head: "Decision",
      end: true,
      cell: (entry) => (
        <Button
          size="compact-xs"
          variant="default"
          disabled={mayNot !== undefined}
          title={mayNot}
          onClick={() => onResolve(entry)}
          aria-label={`Decide about ${entry.contract} ${entry.dataset_id}`}
        >
          Decide
        </Button>
      ),
    },
  ];
}

function debtColumns(env: string, mayNot: string | undefined, onResolve: (debt: Debt) => void): Column<Debt>[] {
  return [
    {
      head: "Effect",
      cell: (debt) => (
        <DatasetLink env={env} id={debt.dataset_id} row>
          {debt.path}
        </DatasetLink>
      ),
    },
    { head: "State", cell: (debt) => <Status word={debt.status} />, from: "medium" },
    { head: "Why", cell: (debt) => <span title={debt.message}>{debt.message}</span>, from: "medium", fill: true },
    { head: "What is left", cell: (debt) => <span className="mono">{shown(debt.output)}</span>, from: "huge" },
    { head: "Owner", cell: (debt) => <OwnerLine owner={debt.owner} />, from: "wide" },
    {
      head: "Contract",
      cell: (debt) => <ContractLink env={env} name={debt.contract} version={debt.version} />,
      from: "huge",
    },
    { head: "Since", cell: (debt) => debt.since && <Time at={debt.since} />, end: true, from: "medium" },
    {
      head: "Resolution",
      end: true,
      // What waits is undone as soon as its supplier is there.
      cell: (debt) =>
        debt.status === "debt" && (
          <Button
            size="compact-xs"
            variant="default"
            disabled={mayNot !== undefined}
            title={mayNot}
            onClick={() => onResolve(debt)}
            aria-label={`Resolve ${debt.path} ${debt.dataset_id}`}
          >
            Resolve
          </Button>
        ),
    },
  ];
}

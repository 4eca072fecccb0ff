/** Datasets, found by the entity that they own or use, by contract, or by state. */
import { NativeSelect, TextInput } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { datasets } from "~/api/queries";
import type { Dataset } from "~/api/schema";
import { DataTable, type Column } from "~/components/DataTable";
import { Page } from "~/components/Panel";
import { Empty } from "~/components/States";
import { Pill, Status } from "~/components/Status";
import { useText } from "~/components/useText";
import { Time } from "~/components/Time";
import { DatasetLink, Id, LeaseLink } from "~/components/links";
import { shown } from "~/lib/exact";

const FROM = "/frame/env/$env/datasets";
const STATES = [
  "pending",
  "building",
  "checking",
  "ready",
  "leased",
  "suspect",
  "quarantined",
  "undoing",
  "gone",
  "failed",
  "debt",
] as const;

export function DatasetsPage() {
  const { env } = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/datasets" });
  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const { entity, contract, status } = search;
  const typed = useText(entity, (text) => set({ entity: text }));
  const named = useText(contract, (text) => set({ contract: text }));
  const filter = {
    ...(status === undefined ? {} : { status }),
    // What is not written to its end would only be refused.
    ...(entity !== undefined && /^[^:]+:.+$/.test(entity) ? { entity } : {}),
    ...(contract !== undefined && /^[^/]+\/[^/]+$/.test(contract) ? { contract } : {}),
  };
  const query = useInfiniteQuery(datasets(env, filter));
  const columns = useMemo(() => columnsOf(env), [env]);
  return (
    <Page title="Datasets" name={`Datasets in ${env}`} full>
      <div className="row">
        <TextInput
          data-search
          className="grow"
          style={{ minWidth: 240, maxWidth: 320 }}
          aria-label="Entity"
          placeholder="Entity, such as customer:c-17"
          {...typed.field}
        />
        <TextInput aria-label="Contract" placeholder="domain/name" {...named.field} />
        <NativeSelect
          aria-label="State"
          value={status ?? ""}
          data={[{ value: "", label: "Any state" }, ...STATES]}
          onChange={(event) => set({ status: STATES.find((state) => state === event.currentTarget.value) })}
        />
      </div>
      <DataTable
        label="Datasets"
        columns={columns}
        query={query}
        id={({ id }) => id}
        empty={<Empty title="No dataset">None fits what you look for.</Empty>}
      />
    </Page>
  );
}

function columnsOf(env: string): Column<Dataset>[] {
  return [
    {
      head: "Dataset",
      cell: (dataset) => (
        <DatasetLink env={env} id={dataset.id} row>
          {dataset.contract}
        </DatasetLink>
      ),
    },
    { head: "Id", cell: (dataset) => <Id id={dataset.id} />, from: "wide" },
    {
      head: "State",
      cell: (dataset) => (
        <span className="row" style={{ flexWrap: "nowrap" }}>
          <Status word={dataset.status} />
          {dataset.origin !== "made" && <Pill>{dataset.origin}</Pill>}
        </span>
      ),
    },
    {
      head: "Evidence",
      cell: (dataset) => dataset.evidence !== undefined && <Status word={dataset.evidence.verdict} />,
      from: "medium",
    },
    {
      head: "Lease",
      cell: (dataset) => dataset.lease_id !== undefined && <LeaseLink env={env} id={dataset.lease_id} />,
      from: "medium",
    },
    { head: "Output", cell: (dataset) => <span className="mono dim">{shown(dataset.output)}</span>, from: "wide" },
    { head: "Begun", cell: (dataset) => <Time at={dataset.created_at} />, end: true },
  ];
}

/** A dataset: the tree of what it is made of, what each part knows, and everything that happened to it. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { contract as contractQuery, dataset as datasetQuery } from "~/api/queries";
import type { Dataset } from "~/api/schema";
import { CopyButton } from "~/components/Copy";
import { EvidenceView } from "~/components/EvidenceView";
import { FailureAnswer } from "~/components/FailureAnswer";
import { Gantt, type GanttRow } from "~/components/Gantt";
import { OwnerLine } from "~/components/Owner";
import { Facts, Page, Panel } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Read } from "~/components/States";
import { Pill, Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { JsonOf, Values } from "~/components/Values";
import { useRerun } from "~/components/useMade";
import { ContractLink, DatasetLink, LeaseLink, RequestLink } from "~/components/links";
import { attemptsOf } from "~/lib/timeline";
import { words } from "~/lib/words";
import { EntityLinks } from "./EntityLinks";
import { Timeline } from "./Timeline";
import { Tree } from "./Tree";

const FROM = "/frame/env/$env/datasets/$id";

export function DatasetPage() {
  const { env, id } = useParams({ from: FROM });
  const query = useQuery(datasetQuery(id));
  const dataset = query.data;
  return (
    <Page
      name={dataset === undefined ? "Dataset" : `${dataset.contract}, ${words(dataset.status)}`}
      over={
        <>
          <Link to="/env/$env/datasets" params={{ env }}>
            Datasets
          </Link>{" "}
          · <span className="mono">{id}</span>
        </>
      }
      title={
        dataset === undefined ? (
          "Dataset"
        ) : (
          <span className="row" aria-live="polite">
            <ContractLink env={env} name={dataset.contract} version={dataset.version} />
            <Status word={dataset.status} />
            {dataset.origin !== "made" && <Pill>{dataset.origin}</Pill>}
          </span>
        )
      }
      actions={<Actions env={env} dataset={dataset} />}
    >
      <Read query={query}>{(dataset) => <About env={env} dataset={dataset} />}</Read>
    </Page>
  );
}

function Actions({ env, dataset }: { env: string; dataset: Dataset | undefined }) {
  const rerun = useRerun(env);
  return (
    <>
      <CopyButton value={location.href} what="the address of this page">
        Copy link
      </CopyButton>
      {dataset !== undefined && dataset.path === "" && (
        <Button size="compact-sm" variant="default" loading={rerun.isPending} onClick={() => rerun.mutate(dataset.id)}>
          Another like it
        </Button>
      )}
      {rerun.isError && <ProblemView error={rerun.error} />}
    </>
  );
}

function About({ env, dataset }: { env: string; dataset: Dataset }) {
  const about = useQuery(contractQuery(env, dataset.contract, { version: dataset.version })).data;
  const of = { contract: dataset.contract, version: dataset.version };
  const { failure, waits_for, evidence, timeline = [], parts = [] } = dataset;
  return (
    <>
      {failure !== undefined && <FailureAnswer env={env} failure={failure} reference={location.href} />}
      {waits_for !== undefined && (
        <Panel title={`It waits for a supplier of ${waits_for.contract}`}>
          <p>
            Nobody who could {waits_for.operation} it is connected since <Time at={waits_for.since} />.{" "}
            <OwnerLine owner={waits_for.owner} />
          </p>
        </Panel>
      )}
      <div className="columns">
        <Panel
          title="Output"
          actions={
            dataset.output !== undefined && (
              <CopyButton value={dataset.output} what="the output as JSON">
                Copy all
              </CopyButton>
            )
          }
        >
          <Values env={env} {...of} part="output" value={dataset.output} label="Output" />
          <EntityLinks env={env} schema={about?.output} output={dataset.output} />
        </Panel>
        <Panel title="About">
          <Facts
            of={[
              ["Owner", <OwnerLine owner={dataset.owner} />],
              ["Lease", dataset.lease_id !== undefined && <LeaseLink env={env} id={dataset.lease_id} />],
              ["Request", <RequestLink env={env} id={dataset.request_id} />],
              ["Part of", dataset.id !== dataset.root_id && <DatasetLink env={env} id={dataset.root_id} />],
              ["Step", dataset.path],
              ["Input", <JsonOf env={env} {...of} part="input" value={dataset.input} label="the input" />],
              [
                "From stock",
                dataset.from_stock !== undefined && <DatasetLink env={env} id={dataset.from_stock.dataset_id} />,
              ],
              ["Is now a part", dataset.joined_id !== undefined && <DatasetLink env={env} id={dataset.joined_id} />],
              [
                "Looked for",
                dataset.search !== undefined && (dataset.search.given_up?.message ?? `${dataset.search.asked} times`),
              ],
              [
                "Resolved",
                dataset.resolved !== undefined && (
                  <>
                    {dataset.resolved.reason} · {dataset.resolved.by}, <Time at={dataset.resolved.at} />
                  </>
                ),
              ],
              ["Channel", dataset.channel],
              ["Begun", <Time at={dataset.created_at} absolute />],
              ["Ready", dataset.ready_at !== undefined && <Time at={dataset.ready_at} absolute />],
              ["Ended", dataset.ended_at !== undefined && <Time at={dataset.ended_at} absolute />],
            ]}
          />
        </Panel>
      </div>
      {parts.length > 0 && (
        <Panel title="What it is made of">
          <Tree env={env} parts={parts} />
        </Panel>
      )}
      {dataset.facts !== undefined && evidence === undefined && (
        <Panel title="Facts">
          <Values env={env} {...of} part="facts" value={dataset.facts} label="Facts" />
        </Panel>
      )}
      {evidence !== undefined && (
        <Panel title="What the services say">
          <EvidenceView env={env} evidence={evidence} />
        </Panel>
      )}
      <Panel title="Attempts, and the waits between them">
        <Attempts dataset={dataset} />
      </Panel>
      <Panel title="All that happened">
        <Timeline env={env} entries={timeline} />
      </Panel>
    </>
  );
}

function Attempts({ dataset }: { dataset: Dataset }) {
  const rows = [...attemptsOf(dataset.timeline ?? [])].map(([path, bars]): GanttRow => ({
    id: path,
    name: path === "" ? dataset.contract : path,
    bars,
  }));
  return rows.length === 0 ? (
    <p className="dim">No supplier has been asked.</p>
  ) : (
    <Gantt label="Attempts of each part" rows={rows} />
  );
}

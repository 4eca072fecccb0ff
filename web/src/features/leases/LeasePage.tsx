/** A lease: the data, how long it is still mine, and everything that can be done with it. */
import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api, body } from "~/api/client";
import { lease as leaseQuery } from "~/api/queries";
import type { Lease } from "~/api/schema";
import { CopyButton } from "~/components/Copy";
import { EvidenceView } from "~/components/EvidenceView";
import { Facts, Page, Panel } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Read } from "~/components/States";
import { Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { Values } from "~/components/Values";
import { useRerun } from "~/components/useMade";
import { useMayNotPublish } from "~/components/role";
import { ContractLink, DatasetLink, RequestLink } from "~/components/links";
import { span } from "~/lib/times";
import { words } from "~/lib/words";
import { Countdown } from "./Countdown";
import { DiagnosisView } from "./DiagnosisView";
import { Extend } from "./Extend";
import { Release } from "./Release";
import { Revoke } from "./Revoke";

const FROM = "/frame/env/$env/leases/$id";

export function LeasePage() {
  const { env, id } = useParams({ from: FROM });
  const query = useQuery(leaseQuery(id));
  const lease = query.data;
  return (
    <Page
      name={lease === undefined ? "Lease" : `${lease.dataset.contract}, ${lease.status}`}
      over={
        <>
          <Link to="/env/$env/mine" params={{ env }}>
            Leases
          </Link>{" "}
          · <span className="mono">{id}</span>
        </>
      }
      title={
        lease === undefined ? (
          "Lease"
        ) : (
          <span className="row" aria-live="polite">
            <ContractLink env={env} name={lease.dataset.contract} version={lease.dataset.version} />
            <Status word={lease.status} />
          </span>
        )
      }
      actions={
        <CopyButton value={location.href} what="the address of this page">
          Copy link
        </CopyButton>
      }
    >
      <Read query={query}>{(lease) => <About env={env} lease={lease} readAt={query.dataUpdatedAt} />}</Read>
    </Page>
  );
}

function About({ env, lease, readAt }: { env: string; lease: Lease; readAt: number }) {
  const { dataset } = lease;
  const diagnosis = useMutation({
    mutationFn: () => body(api.POST("/v1/leases/{id}/diagnose", { params: { path: { id: lease.id } } })),
  });
  const held = lease.status === "held";
  return (
    <>
      {held ? (
        <Held env={env} lease={lease} readAt={readAt} diagnosis={diagnosis} />
      ) : (
        <Ended env={env} lease={lease} />
      )}
      {diagnosis.isError && <ProblemView error={diagnosis.error} />}
      {diagnosis.data !== undefined && <DiagnosisView env={env} diagnosis={diagnosis.data} />}
      <div className="columns">
        <Panel
          title="The data"
          actions={
            <CopyButton value={dataset.output} what="the data as JSON">
              Copy all
            </CopyButton>
          }
        >
          <Values
            env={env}
            contract={dataset.contract}
            version={dataset.version}
            part="output"
            value={dataset.output}
            label="Output"
          />
        </Panel>
        <Panel title="About">
          <Facts
            of={[
              ["For whom", lease.holder],
              [
                "Dataset",
                <DatasetLink env={env} id={dataset.id}>
                  tree and timeline
                </DatasetLink>,
              ],
              ["Request", <RequestLink env={env} id={lease.request_id} />],
              ["Channel", lease.channel],
              ["Since", <Time at={lease.granted_at} absolute />],
              ["Length", span(lease.ttl_s * 1000)],
              [
                "Fence",
                <span
                  className="mono"
                  title="Grows with every lease of this dataset: a call with an older one is refused"
                >
                  {lease.fence}
                </span>,
              ],
            ]}
          />
        </Panel>
      </div>
      {dataset.evidence !== undefined && (
        <Panel title="What the services say">
          <EvidenceView env={env} evidence={dataset.evidence} />
        </Panel>
      )}
      <Extend env={env} lease={lease} />
    </>
  );
}

interface HeldProps {
  env: string;
  lease: Lease;
  readAt: number;
  diagnosis: { mutate: () => void; isPending: boolean };
}

function Held({ env, lease, readAt, diagnosis }: HeldProps) {
  const client = useQueryClient();
  const [releasing, setReleasing] = useState(false);
  const [revoking, setRevoking] = useState(false);
  const mayNotRevoke = useMayNotPublish();
  const fresh = (lease: Lease) => client.setQueryData(leaseQuery(lease.id).queryKey, lease);
  const renew = useMutation({
    mutationFn: () =>
      body(api.POST("/v1/leases/{id}/renew", { params: { path: { id: lease.id } }, body: { fence: lease.fence } })),
    onSuccess: fresh,
  });
  const rerun = useRerun(env);
  return (
    <Panel title="Yours until you give it back">
      <div className="stack">
        <div className="row between">
          <Countdown lease={lease} readAt={readAt} />
          <div className="row">
            <Button size="compact-sm" variant="default" loading={renew.isPending} onClick={() => renew.mutate()}>
              Renew for {span(lease.ttl_s * 1000)}
            </Button>
            <Button size="compact-sm" loading={diagnosis.isPending} onClick={() => diagnosis.mutate()}>
              Diagnose
            </Button>
            <Button
              size="compact-sm"
              variant="default"
              loading={rerun.isPending}
              onClick={() => rerun.mutate(lease.dataset.id)}
            >
              Another like it
            </Button>
            <Button size="compact-sm" color="red" variant="light" onClick={() => setReleasing(true)}>
              Release
            </Button>
            {mayNotRevoke === undefined && (
              <Button size="compact-sm" color="red" variant="subtle" onClick={() => setRevoking(true)}>
                Take away
              </Button>
            )}
          </div>
        </div>
        {(renew.error ?? rerun.error) !== null && <ProblemView error={renew.error ?? rerun.error} />}
        <Revoke lease={lease} opened={revoking} onClose={() => setRevoking(false)} onRevoked={fresh} />
        <Release lease={lease} opened={releasing} onClose={() => setReleasing(false)} onReleased={fresh} />
      </div>
    </Panel>
  );
}

function Ended({ env, lease }: { env: string; lease: Lease }) {
  const rerun = useRerun(env);
  return (
    <Panel
      title={`It was ${words(lease.status)}${lease.outcome === undefined ? "" : ` as ${lease.outcome}`}`}
      actions={
        <Button size="compact-sm" loading={rerun.isPending} onClick={() => rerun.mutate(lease.dataset.id)}>
          Request the same once more
        </Button>
      }
    >
      <Facts
        of={[
          ["Ended", lease.ended_at !== undefined && <Time at={lease.ended_at} absolute />],
          ["By", lease.revoked_by],
          ["Note", lease.note],
        ]}
      />
      {rerun.isError && <ProblemView error={rerun.error} />}
    </Panel>
  );
}

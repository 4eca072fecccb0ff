/** My data: what I hold, what is being made for me, and what I had. */
import { SegmentedControl } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { leases, requests, signIn } from "~/api/queries";
import type { Lease } from "~/api/schema";
import { DataTable, type Column } from "~/components/DataTable";
import { Page, Panel, SmallTable } from "~/components/Panel";
import { Empty } from "~/components/States";
import { Status } from "~/components/Status";
import { Time, Took } from "~/components/Time";
import { LeaseLink, RequestLink } from "~/components/links";
import { shown } from "~/lib/exact";

const FROM = "/frame/env/$env/mine";

export function MinePage() {
  const { env } = useParams({ from: FROM });
  const me = useQuery(signIn).data?.name;
  const { whose = "mine", which = "held" } = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/mine" });
  const set = (change: { whose?: "all" | undefined; which?: "all" | undefined }) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const filter = {
    ...(which === "held" ? { status: "held" as const } : {}),
    ...(whose === "mine" && me !== undefined ? { holder: me } : {}),
  };
  const query = useInfiniteQuery({ ...leases(env, filter), enabled: me !== undefined });
  const columns = useMemo(() => columnsOf(env), [env]);
  return (
    <Page
      title="My data"
      name={`My data in ${env}`}
      full
      actions={
        <>
          <SegmentedControl
            size="xs"
            aria-label="Whose"
            value={whose}
            onChange={(value) => set({ whose: value === "all" ? value : undefined })}
            data={[
              { value: "mine", label: `Held by ${me ?? "me"}` },
              { value: "all", label: "By anybody" },
            ]}
          />
          <SegmentedControl
            size="xs"
            aria-label="Which"
            value={which}
            onChange={(value) => set({ which: value === "all" ? value : undefined })}
            data={[
              { value: "held", label: "Held now" },
              { value: "all", label: "Ever held" },
            ]}
          />
        </>
      }
    >
      <Underway env={env} me={whose === "mine" ? me : undefined} />
      <DataTable
        label="Leases"
        columns={columns}
        query={query}
        id={({ id }) => id}
        empty={
          <Empty title={which === "held" ? "You hold nothing" : "You never held anything"}>
            <Link to="/env/$env/contracts" params={{ env }}>
              Find something in the catalogue
            </Link>
          </Empty>
        }
      />
    </Page>
  );
}

function Underway({ env, me }: { env: string; me: string | undefined }) {
  const whose = me === undefined ? {} : { holder: me };
  const query = useInfiniteQuery(requests(env, { status: "building", refills: false, ...whose }));
  const open = query.data?.pages.flatMap(({ items }) => items) ?? [];
  if (open.length === 0) return null;
  return (
    <Panel title="Being made">
      <SmallTable label="Requests that are being made" head={["Request", "Made", "Since", "Deadline"]}>
        {open.map((request) => (
          <tr key={request.id}>
            <td>
              <RequestLink env={env} id={request.id}>
                {request.contract ?? request.id}
              </RequestLink>
            </td>
            <td>
              {request.progress.done} of {request.progress.total}
            </td>
            <td>
              <Took from={request.created_at} />
            </td>
            <td>
              <Time at={request.deadline_at} />
            </td>
          </tr>
        ))}
      </SmallTable>
    </Panel>
  );
}

function columnsOf(env: string): Column<Lease>[] {
  return [
    {
      head: "Data",
      cell: (lease) => (
        <LeaseLink env={env} id={lease.id} row>
          {lease.dataset.contract}
        </LeaseLink>
      ),
    },
    { head: "State", cell: (lease) => <Status word={lease.status} /> },
    {
      head: "Evidence",
      cell: (lease) => lease.dataset.evidence !== undefined && <Status word={lease.dataset.evidence.verdict} />,
      from: "wide",
    },
    { head: "Output", cell: (lease) => <span className="mono dim">{shown(lease.dataset.output)}</span>, from: "wide" },
    { head: "For whom", cell: (lease) => lease.holder, from: "medium" },
    { head: "Since", cell: (lease) => <Time at={lease.granted_at} />, end: true, from: "medium" },
    { head: "Until", cell: (lease) => <Time at={lease.ended_at ?? lease.expires_at} />, end: true },
  ];
}

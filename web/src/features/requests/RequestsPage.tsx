/** All requests of an environment, the newest first. */
import { NativeSelect, Switch, TextInput } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { requests } from "~/api/queries";
import type { Request } from "~/api/schema";
import { DataTable, type Column } from "~/components/DataTable";
import { Page } from "~/components/Panel";
import { Empty } from "~/components/States";
import { Pill, Status } from "~/components/Status";
import { useText } from "~/components/useText";
import { Time, Took } from "~/components/Time";
import { RequestLink } from "~/components/links";
import { counted } from "~/lib/words";

const FROM = "/frame/env/$env/requests";
const STATES = ["building", "fulfilled", "failed", "cancelled", "expired"] as const;

export function RequestsPage() {
  const { env } = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/requests" });
  const set = (change: Partial<typeof search>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const { status, contract, refills, holder } = search;
  const typed = useText(contract, (text) => set({ contract: text }));
  const whom = useText(holder, (text) => set({ holder: text }));
  const filter = {
    ...(status === undefined ? {} : { status }),
    // A name that is not written to its end is no name yet.
    ...(contract !== undefined && /^[^/]+\/[^/]+$/.test(contract) ? { contract } : {}),
    ...(refills === true ? {} : { refills: false }),
    ...(holder === undefined ? {} : { holder }),
  };
  const query = useInfiniteQuery(requests(env, filter));
  const columns = useMemo(() => requestColumns(env), [env]);
  return (
    <Page
      title="Requests"
      name={`Requests in ${env}`}
      full
      actions={
        <Link to="/env/$env/requests/new" params={{ env }}>
          Request several together
        </Link>
      }
    >
      <div className="row">
        <NativeSelect
          aria-label="State"
          value={status ?? ""}
          data={[{ value: "", label: "Any state" }, ...STATES]}
          onChange={(event) => set({ status: STATES.find((state) => state === event.currentTarget.value) })}
        />
        <TextInput data-search aria-label="Contract" placeholder="domain/name" {...typed.field} />
        <TextInput aria-label="For whom, exactly" placeholder="for whom, exactly" {...whom.field} />
        <Switch
          label="Also those that refill stock"
          checked={refills === true}
          onChange={(event) => set({ refills: event.currentTarget.checked || undefined })}
        />
      </div>
      <DataTable
        label="Requests"
        columns={columns}
        query={query}
        id={({ id }) => id}
        empty={<Empty title="No request">Nobody has asked for anything like that.</Empty>}
      />
    </Page>
  );
}

export function requestColumns(env: string): Column<Request>[] {
  return [
    {
      head: "Request",
      cell: (request) => (
        <RequestLink env={env} id={request.id} row>
          {request.contract ?? counted(request.items?.length ?? 0, "contract")}
          {request.count > 1 && request.items === undefined && ` × ${request.count}`}
        </RequestLink>
      ),
    },
    { head: "State", cell: (request) => <Status word={request.status} /> },
    {
      head: "Why",
      from: "wide",
      cell: ({ failure, progress, ended_at }) =>
        failure !== undefined ? (
          <span title={failure.path}>
            {failure.owner.team}: {failure.message}
          </span>
        ) : ended_at === undefined ? (
          <span className="dim">
            {progress.done} of {progress.total} made
          </span>
        ) : null,
    },
    {
      head: "For whom",
      from: "medium",
      cell: (request) => (request.refills === undefined ? request.holder : <Pill>refills {request.refills}</Pill>),
    },
    { head: "Asked", end: true, cell: (request) => <Time at={request.created_at} /> },
    {
      head: "Took",
      end: true,
      from: "medium",
      cell: (request) => <Took from={request.created_at} to={request.ended_at} />,
    },
  ];
}

/** Suppliers: who is connected, with what build, and what each of them can do. */
import { NativeSelect } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { sessions } from "~/api/queries";
import type { Session } from "~/api/schema";
import { DataTable, type Column } from "~/components/DataTable";
import { Page } from "~/components/Panel";
import { Empty } from "~/components/States";
import { Pill, Status } from "~/components/Status";
import { Time } from "~/components/Time";
import { ContractLink, Id } from "~/components/links";
import { counted } from "~/lib/words";

const FROM = "/frame/env/$env/suppliers";
const STATES = ["live", "draining", "dead", "ended"] as const;

export function SuppliersPage() {
  const { env } = useParams({ from: FROM });
  const search = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/suppliers" });
  const { state, domain } = search;
  const query = useInfiniteQuery(
    sessions(env, { ...(state === undefined ? {} : { state }), ...(domain === undefined ? {} : { domain }) }),
  );
  const columns = useMemo(() => columnsOf(env), [env]);
  return (
    <Page title="Suppliers" name={`Suppliers of ${env}`} full>
      <div className="row">
        <NativeSelect
          aria-label="State"
          value={state ?? ""}
          data={[{ value: "", label: "Any state" }, ...STATES]}
          onChange={(event) => {
            const chosen = STATES.find((each) => each === event.currentTarget.value);
            void navigate({ search: (before) => ({ ...before, state: chosen }), replace: true });
          }}
        />
        {domain !== undefined && <Pill>domain {domain}</Pill>}
      </div>
      <DataTable
        label="Suppliers"
        columns={columns}
        query={query}
        id={({ id }) => id}
        empty={
          <Empty title="Nobody is connected">
            A supplier connects outward, from beside the service whose states it makes.
          </Empty>
        }
      />
    </Page>
  );
}

function columnsOf(env: string): Column<Session>[] {
  return [
    {
      head: "Supplier",
      cell: (session) => (
        <span className="row" style={{ flexWrap: "nowrap" }}>
          {session.domain} <span className="dim">{session.instance}</span>
          {session.channel !== undefined && <Pill tone="busy">channel {session.channel}</Pill>}
        </span>
      ),
    },
    { head: "State", cell: (session) => <Status word={session.state} /> },
    {
      head: "Performs",
      from: "medium",
      cell: (session) => {
        const [first, ...others] = session.capabilities;
        if (first === undefined) return null;
        const all = session.capabilities.map(({ name, operations }) => `${name}: ${operations.join(", ")}`).join("\n");
        return (
          <span title={all}>
            <ContractLink env={env} name={first.name} version={first.version} row />
            {others.length > 0 && <span className="dim"> and {counted(others.length, "other")}</span>}
          </span>
        );
      },
    },
    { head: "At work on", cell: (session) => session.claimed, end: true, from: "medium" },
    { head: "Build", cell: (session) => session.build, from: "wide" },
    { head: "SDK", cell: (session) => session.sdk && `${session.sdk.name} ${session.sdk.version}`, from: "wide" },
    { head: "Session", cell: (session) => <Id id={session.id} />, from: "wide" },
    { head: "Since", cell: (session) => <Time at={session.started_at} />, end: true, from: "wide" },
    { head: "Last heard", cell: (session) => <Time at={session.ended_at ?? session.last_seen_at} />, end: true },
  ];
}

/** Activity: everything that happens in an environment, as it happens. */
import { NativeSelect, TextInput } from "@mantine/core";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { asProblem } from "~/api/problem";
import type { Event } from "~/api/schema";
import { RowTable, type Column } from "~/components/DataTable";
import { Page } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Empty } from "~/components/States";
import { Time } from "~/components/Time";
import { useText } from "~/components/useText";
import { ContractLink, DatasetLink, LeaseLink, RequestLink } from "~/components/links";
import { span } from "~/lib/times";
import { words } from "~/lib/words";
import { useEvents } from "./useEvents";

const FROM = "/frame/env/$env/activity";
const NOUNS = [
  "request",
  "dataset",
  "task",
  "lease",
  "session",
  "contract",
  "capability",
  "stock_rule",
  "token",
] as const;

export function ActivityPage() {
  const { env } = useParams({ from: FROM });
  const { noun, q } = useSearch({ from: FROM });
  const navigate = useNavigate({ from: "/env/$env/activity" });
  const { text: typed, field } = useText(
    q,
    (text) => void navigate({ search: (before) => ({ ...before, q: text }), replace: true }),
  );
  const { events, error } = useEvents(env);
  const columns = useMemo(() => columnsOf(env), [env]);
  const rows = useMemo(() => events.filter((event) => fits(event, noun, typed || undefined)), [events, noun, typed]);
  return (
    <Page title="Activity" name={`Activity in ${env}`} full>
      <div className="row">
        <NativeSelect
          aria-label="About"
          value={noun ?? ""}
          data={[{ value: "", label: "About anything" }, ...NOUNS.map((each) => ({ value: each, label: words(each) }))]}
          onChange={(event) => {
            const chosen = event.currentTarget.value || undefined;
            void navigate({ search: (before) => ({ ...before, noun: chosen }), replace: true });
          }}
        />
        <TextInput
          data-search
          className="grow"
          style={{ minWidth: 200, maxWidth: 320 }}
          aria-label="Search in what happened"
          placeholder="A kind, a path, an id, a message"
          {...field}
        />
        <span className="dim">The last 1,000 events, and those that come.</span>
      </div>
      {error !== undefined && <ProblemView error={asProblem(error)} />}
      <RowTable
        label="Activity"
        columns={columns}
        rows={rows}
        id={({ id }) => String(id)}
        empty={<Empty title="Nothing has happened">What happens appears here at once.</Empty>}
      />
    </Page>
  );
}

export function fits(event: Event, noun: string | undefined, q: string | undefined): boolean {
  if (noun !== undefined && !event.kind.startsWith(`${noun}.`)) return false;
  return q === undefined || Object.values(event).join(" ").toLowerCase().includes(q.toLowerCase());
}

function columnsOf(env: string): Column<Event>[] {
  return [
    { head: "When", cell: (event) => <Time at={event.at} absolute /> },
    { head: "What", cell: (event) => <span className="mono">{event.kind}</span> },
    { head: "Of what", cell: (event) => <Subject env={env} event={event} /> },
    {
      head: "Remark",
      from: "medium",
      cell: (event) => (
        <span title={event.message}>
          {[
            event.operation,
            event.attempt !== undefined && `attempt ${event.attempt}`,
            event.class && words(event.class),
            event.code,
            event.message,
          ]
            .filter(Boolean)
            .join(" · ")}
        </span>
      ),
    },
    {
      head: "Took",
      end: true,
      from: "wide",
      cell: (event) => (event.duration_ms === undefined ? null : span(event.duration_ms)),
    },
  ];
}

function Subject({ env, event }: { env: string; event: Event }) {
  if (event.lease_id !== undefined) return <LeaseLink env={env} id={event.lease_id} row />;
  if (event.dataset_id !== undefined) {
    return (
      <DatasetLink env={env} id={event.dataset_id} row>
        {event.path === undefined || event.path === "" ? undefined : event.path}
      </DatasetLink>
    );
  }
  if (event.request_id !== undefined) return <RequestLink env={env} id={event.request_id} row />;
  if (event.contract !== undefined) return <ContractLink env={env} name={event.contract} version={event.version} row />;
  if (event.session_id !== undefined) {
    return (
      <Link to="/env/$env/suppliers" params={{ env }} data-row-link="">
        {event.session_id}
      </Link>
    );
  }
  return null;
}

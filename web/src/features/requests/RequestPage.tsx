/** A request: live while it is made, what it came to, and when it failed, the answer first. */
import { Button, Progress } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { api, body } from "~/api/client";
import { contractStatistics, request as requestQuery } from "~/api/queries";
import type { Request, Step } from "~/api/schema";
import { CopyButton } from "~/components/Copy";
import { Gantt, type GanttRow } from "~/components/Gantt";
import { Facts, Page, Panel, SmallTable } from "~/components/Panel";
import { ProblemView } from "~/components/Problem";
import { Read } from "~/components/States";
import { Pill, Status } from "~/components/Status";
import { Time, Took } from "~/components/Time";
import { JsonOf, Values } from "~/components/Values";
import { useNow } from "~/components/now";
import { ContractLink, DatasetLink, LeaseLink } from "~/components/links";
import { makingOf, remaining } from "~/lib/doing";
import { newKey } from "~/lib/ids";
import { shown } from "~/lib/exact";
import { span } from "~/lib/times";
import { counted, words } from "~/lib/words";
import { FailureAnswer } from "~/components/FailureAnswer";
import { RequestGraph } from "./RequestGraph";

const FROM = "/frame/env/$env/requests/$id";

export function RequestPage() {
  const { env, id } = useParams({ from: FROM });
  const query = useQuery(requestQuery(id));
  const request = query.data;
  const name = request?.contract ?? counted(request?.items?.length ?? 0, "contract");
  return (
    <Page
      name={request === undefined ? "Request" : `${words(request.status)}: ${name}`}
      over={
        <>
          <Link to="/env/$env/requests" params={{ env }}>
            Requests
          </Link>{" "}
          · <span className="mono">{id}</span>
        </>
      }
      title={
        <span className="row" aria-live="polite">
          {request?.contract === undefined ? (
            name
          ) : (
            <ContractLink env={env} name={request.contract} version={request.version} />
          )}
          {request !== undefined && <Status word={request.status} />}
          {request?.refills !== undefined && <Pill>refills {request.refills}</Pill>}
          {request?.channel !== undefined && <Pill tone="busy">channel {request.channel}</Pill>}
        </span>
      }
      actions={request !== undefined && <Actions env={env} request={request} />}
    >
      <Read query={query}>{(request) => <About env={env} request={request} />}</Read>
    </Page>
  );
}

function Actions({ env, request }: { env: string; request: Request }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const cancel = useMutation({
    mutationFn: () => body(api.POST("/v1/requests/{id}/cancel", { params: { path: { id: request.id } } })),
    onSuccess: (fresh) => client.setQueryData(requestQuery(request.id).queryKey, fresh),
  });
  const again = useMutation({
    mutationFn: () => {
      const { contract, input, items, count, source, lease, holder } = request;
      const what =
        items === undefined
          ? { contract, input, count }
          : { items: items.map(({ contract, input }) => ({ contract, input })) };
      return body(
        api.POST("/v1/requests", {
          body: {
            environment: env,
            ...what,
            source,
            lease,
            holder,
            priority: "person",
            ...(request.channel ? { channel: request.channel } : {}),
          },
          params: { header: { "Idempotency-Key": newKey() } },
        }),
      );
    },
    onSuccess: (made) => navigate({ to: "/env/$env/requests/$id", params: { env, id: made.id } }),
  });
  const open = request.ended_at === undefined;
  return (
    <>
      <CopyButton value={location.href} what="the address of this page">
        Copy link
      </CopyButton>
      {open && (
        <Button
          size="compact-sm"
          color="red"
          variant="light"
          loading={cancel.isPending}
          onClick={() => cancel.mutate()}
        >
          Cancel
        </Button>
      )}
      {!open && request.refills === undefined && (
        <Button size="compact-sm" variant="default" loading={again.isPending} onClick={() => again.mutate()}>
          Request again
        </Button>
      )}
      {(cancel.error ?? again.error) !== null && <ProblemView error={cancel.error ?? again.error} />}
    </>
  );
}

function About({ env, request }: { env: string; request: Request }) {
  const { failure, warnings, leases, rerun } = request;
  return (
    <>
      {failure !== undefined && <FailureAnswer env={env} failure={failure} reference={location.href} />}
      {request.status === "expired" && failure === undefined && (
        <Panel title="Its time was over">
          It was given until <Time at={request.deadline_at} absolute />. Give the next one more time.
        </Panel>
      )}
      {warnings !== undefined && (
        <Panel title="Probably not meant">
          <ul>
            {warnings.map((warning) => (
              <li key={warning.pointer}>
                <code>{warning.pointer}</code> {warning.message}
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {request.ended_at === undefined && <Underway env={env} request={request} />}
      {leases.length > 0 && (
        <Panel
          title={leases.length === 1 ? "What you got" : `The ${leases.length} datasets you got`}
          flush={leases.length > 1}
        >
          {leases.map((lease) => (
            <div key={lease.id} style={{ padding: leases.length > 1 ? 14 : 0 }}>
              <div className="row between" style={{ marginBottom: 6 }}>
                <span className="row">
                  <Status word={lease.status} />
                  {lease.dataset.evidence !== undefined && <Status word={lease.dataset.evidence.verdict} />}
                </span>
                <span className="row">
                  {lease.status === "held" && (
                    <span className="dim">
                      yours until <Time at={lease.expires_at} absolute />
                    </span>
                  )}
                  <LeaseLink env={env} id={lease.id}>
                    <Button size="compact-sm" component="span">
                      Open the lease
                    </Button>
                  </LeaseLink>
                </span>
              </div>
              <Values
                env={env}
                contract={lease.dataset.contract}
                version={lease.dataset.version}
                part="output"
                value={lease.dataset.output}
                label="Output"
              />
            </div>
          ))}
        </Panel>
      )}
      {rerun !== undefined && (
        <Panel title="Compared with the dataset that it repeats">
          <p>
            <DatasetLink env={env} id={rerun.of} />: facts {rerun.facts}
            {rerun.differences.map((each) => (
              <span key={`${each.path}${each.pointer}`} className="mono">
                {" "}
                {each.path}
                {each.pointer}: {shown(each.before)} → {shown(each.after)}
              </span>
            ))}
          </p>
        </Panel>
      )}
      {(request.progress.steps?.length ?? 0) > 1 && (
        <Panel title="Steps" flush>
          <RequestGraph env={env} request={request} />
        </Panel>
      )}
      <Panel title="When what was done">
        <Chart request={request} />
      </Panel>
      <div className="columns">
        <Panel title="Steps in detail">
          <Steps env={env} steps={request.progress.steps ?? []} />
        </Panel>
        <Panel title="What was asked for">
          <Facts
            of={[
              ["For whom", request.holder],
              ["Input", <Asked env={env} request={request} />],
              ["Contracts", request.items?.map(({ contract }) => contract).join(", ")],
              ["How many", request.count > 1 && request.count],
              ["Where from", words(request.source)],
              ["Lease", span(request.lease.ttl_s * 1000)],
              ["Priority", request.priority],
              ["Asked", <Time at={request.created_at} absolute />],
              ["Ended", request.ended_at !== undefined && <Time at={request.ended_at} absolute />],
              ["Took", <Took from={request.created_at} to={request.ended_at} />],
              ["Deadline", request.ended_at === undefined && <Time at={request.deadline_at} />],
            ]}
          />
        </Panel>
      </div>
    </>
  );
}

/** The input; of a contract that nobody knows the version of there is none. */
function Asked({ env, request }: { env: string; request: Request }) {
  const { contract, version, input } = request;
  if (contract === undefined || version === undefined) return null;
  return <JsonOf env={env} contract={contract} version={version} part="input" value={input} label="the input" />;
}

function Underway({ env, request }: { env: string; request: Request }) {
  const { done, total } = request.progress;
  return (
    <Panel title={`${done} of ${total} made`}>
      <div className="stack" style={{ gap: 6 }}>
        <Progress value={total === 0 ? 0 : (100 * done) / total} aria-label="Progress" />
        <p className="dim">
          <Took from={request.created_at} /> so far; it has until <Time at={request.deadline_at} absolute />.
          {request.ahead !== undefined &&
            ` ${counted(request.ahead, "request")} come first in line for the same from stock.`}
        </p>
        {request.contract !== undefined && (
          <Remaining env={env} contract={request.contract} since={request.created_at} />
        )}
      </div>
    </Panel>
  );
}

/** How long it usually still takes, told from the last that were made. */
function Remaining({ env, contract, since }: { env: string; contract: string; since: string }) {
  const told = useQuery(contractStatistics(env, contract)).data;
  const now = useNow();
  const made = told && makingOf(told);
  if (made === undefined) return null;
  const left = remaining(made, now - Date.parse(since));
  return (
    <p className="dim">
      {left === undefined
        ? `It takes longer than usual: 9 of 10 took less than ${span(made.p90)}.`
        : left.usual > 0
          ? `Usually ${span(left.usual)} to go; nine of ten are there within ${span(left.most)}.`
          : `It should be there any moment: nine of ten are within ${span(left.most)}.`}
    </p>
  );
}

function Chart({ request }: { request: Request }) {
  const now = useNow();
  const begin = Date.parse(request.created_at);
  const rows = (request.progress.steps ?? []).flatMap((step): GanttRow[] => {
    if (step.started_at === undefined) return [];
    // What came from stock was made before; here it only arrives.
    const from = Math.max(begin, Date.parse(step.started_at));
    const to = Math.max(from, step.ended_at === undefined ? Math.max(now, from) : Date.parse(step.ended_at));
    const says = step.from_stock === undefined ? (step.operation ?? "made") : "taken from stock";
    return [
      {
        id: step.path,
        name: step.path === "" ? step.contract : step.path,
        bars: [{ from, to, state: step.status, says }],
      },
    ];
  });
  return <Gantt label="When each step was made" rows={rows} />;
}

function Steps({ env, steps }: { env: string; steps: Step[] }) {
  return (
    <SmallTable label="Steps" head={["Step", "State", "Contract", "Attempt", "Remark"]}>
      {steps.map((step) => (
        <tr key={step.path}>
          <td>
            {step.dataset_id === undefined ? (
              step.path
            ) : (
              <DatasetLink env={env} id={step.dataset_id}>
                {step.path || "all of it"}
              </DatasetLink>
            )}
          </td>
          <td>
            <Status word={step.status} />
          </td>
          <td>
            <ContractLink env={env} name={step.contract} version={step.version} />
          </td>
          <td>{step.attempt ?? ""}</td>
          <td style={{ overflowWrap: "anywhere" }}>
            {step.message ?? (step.from_stock !== undefined ? "from stock" : "")}
          </td>
        </tr>
      ))}
    </SmallTable>
  );
}

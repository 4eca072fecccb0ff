/** One scenario on the bench: its text, what is wrong with it, what applying it would mean, and its graph. */
import { Button } from "@mantine/core";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useDebouncedValue } from "@mantine/hooks";
import { useNavigate } from "@tanstack/react-router";
import { Suspense, lazy, useState } from "react";
import { api } from "~/api/client";
import { ApiProblem } from "~/api/problem";
import type { Applied, Diagnostic, ProblemFault } from "~/api/schema";
import { Panel, SmallTable } from "~/components/Panel";
import { LazyGraph } from "~/components/LazyGraph";
import { ProblemView } from "~/components/Problem";
import { Loading } from "~/components/States";
import { useMayNotPublish } from "~/components/role";
import { Status } from "~/components/Status";
import { counted } from "~/lib/words";
import { graphOf, nameOf } from "./reading";

const Editor = lazy(() => import("./Editor"));

/** After the last key; short enough to feel immediate, long enough not to ask for every letter. */
const CHECK_AFTER_MS = 350;

interface WorkbenchProps {
  env: string;
  begun: { text: string; etag: string };
}

/** The same each time, so that nothing is marked anew for nothing. */
const NONE: Diagnostic[] = [];
const NO_FAULTS: ProblemFault[] = [];

interface Checked {
  applied?: Applied;
  faults: ProblemFault[];
}

export function Workbench({ env, begun }: WorkbenchProps) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const mayNot = useMayNotPublish();
  const [text, setText] = useState(begun.text);
  const [written] = useDebouncedValue(text, CHECK_AFTER_MS);
  const name = nameOf(written);
  const check = useQuery({
    queryKey: ["scenario-check", env, written],
    queryFn: ({ signal }) => checked(env, name, written, signal),
    placeholderData: keepPreviousData,
    staleTime: 0,
    retry: false,
  });
  const apply = useMutation({
    mutationFn: () => put(env, nameOf(text), text, begun.etag),
    onSuccess: async (applied) => {
      await client.invalidateQueries({
        predicate: ({ queryKey }) => ["contracts", "contract", "scenario-source"].includes(String(queryKey[0])),
      });
      await navigate({ to: "/env/$env/scenarios", params: { env }, search: { open: applied.name } });
    },
  });
  const faults = check.data?.faults ?? NO_FAULTS;
  const graph = graphOf(written);
  const settled = written === text && !check.isFetching;
  return (
    <div className="stack">
      <Panel
        title={<span role="status">{verdict(check.data, settled)}</span>}
        actions={
          <Button
            size="compact-sm"
            loading={apply.isPending}
            title={mayNot}
            disabled={mayNot !== undefined || !settled || faults.length > 0 || check.isError || text === begun.text}
            onClick={() => apply.mutate()}
          >
            Apply
          </Button>
        }
        flush
      >
        <Suspense fallback={<Loading rows={10} />}>
          <Editor
            text={begun.text}
            onChange={setText}
            faults={settled ? faults : undefined}
            warnings={check.data?.applied?.warnings ?? NONE}
          />
        </Suspense>
      </Panel>
      {apply.isError && <ProblemView error={apply.error} />}
      {check.isError && <ProblemView error={check.error} retry={check.refetch} />}
      {faults.length > 0 && (
        <Panel title="Faults">
          <SmallTable label="Faults" head={["Where", "What", "Hint"]}>
            {faults.map((fault, index) => (
              <tr key={index}>
                <td className="mono nowrap">
                  {fault.line}:{fault.column}
                </td>
                <td>{fault.message}</td>
                <td>{fault.hint}</td>
              </tr>
            ))}
          </SmallTable>
        </Panel>
      )}
      {check.data?.applied !== undefined && faults.length === 0 && <Plan applied={check.data.applied} />}
      {graph.nodes.length > 0 && (
        <Panel title="Its graph" flush>
          <LazyGraph
            label="Steps of the scenario"
            nodes={graph.nodes}
            edges={graph.edges}
            height={130 + graph.nodes.length * 40}
          />
        </Panel>
      )}
    </div>
  );
}

function verdict(data: Checked | undefined, settled: boolean): string {
  if (!settled || data === undefined) return "Checking…";
  return data.faults.length === 0 ? "It can be applied" : counted(data.faults.length, "fault");
}

function Plan({ applied }: { applied: Applied }) {
  return (
    <Panel
      title={
        <span className="row">
          Applying it: {applied.name}@{applied.version} <Status word={applied.change} />
        </span>
      }
    >
      <div className="stack">
        {applied.change === "same" && <p className="dim">Nothing would change.</p>}
        {applied.changes.length > 0 && (
          <ul aria-label="Changes">
            {applied.changes.map((change) => (
              <li key={`${change.pointer}${change.message}`}>
                <code>{change.pointer}</code> {change.message}
              </li>
            ))}
          </ul>
        )}
        {applied.breaks.length > 0 && (
          <ul aria-label="What it breaks">
            {applied.breaks.map((one) => (
              <li key={`${one.contract}${one.message}`} style={{ color: "var(--sp-bad)" }}>
                breaks {one.stock_rule === undefined ? one.contract : `the stock rule ${one.stock_rule}`}: {one.message}
              </li>
            ))}
          </ul>
        )}
        {applied.warnings?.map((warning) => (
          <p key={`${warning.line}:${warning.column}${warning.code}`}>
            <code>
              {warning.line}:{warning.column}
            </code>{" "}
            {warning.message} {warning.hint !== undefined && <span className="dim">· {warning.hint}</span>}
          </p>
        ))}
      </div>
    </Panel>
  );
}

async function put(env: string, name: string, text: string, etag: string): Promise<Applied> {
  const [domain = "", last = ""] = name.split("/");
  const { data } = await api.PUT("/v1/environments/{env}/scenarios/{domain}/{name}", {
    params: { path: { env, domain, name: last }, header: { "If-Match": etag } },
    body: text as never,
    bodySerializer: (body) => body,
    headers: { "content-type": "application/yaml" },
  });
  return data as Applied;
}

/** What applying the text would mean; faults are an answer, and no error. */
async function checked(env: string, name: string, text: string, signal: AbortSignal): Promise<Checked> {
  try {
    const answer = await api.POST("/v1/environments/{env}/apply", {
      params: { path: { env } },
      body: { files: [{ path: `${name}.yaml`, text }], dry_run: true },
      signal,
    });
    const applied = answer.data?.applied[0];
    return { faults: [], ...(applied === undefined ? {} : { applied }) };
  } catch (error) {
    if (error instanceof ApiProblem && error.code === "scenario_faults") return { faults: error.problem.errors ?? [] };
    throw error;
  }
}

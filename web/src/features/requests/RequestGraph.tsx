/** The steps of a request as they are made: coloured by their state, with what each waits for. */
import { useQuery } from "@tanstack/react-query";
import { contract as contractQuery } from "~/api/queries";
import type { Request, Step } from "~/api/schema";
import type { GraphEdge, GraphNode } from "~/components/Graph";
import { LazyGraph } from "~/components/LazyGraph";
import { ContractLink } from "~/components/links";
import { words } from "~/lib/words";

/** A picture of more than this is no picture. */
const NODES_MAX = 150;

export function RequestGraph({ env, request }: { env: string; request: Request }) {
  const { contract, version } = request;
  const about = useQuery({
    ...contractQuery(env, contract ?? "", { ...(version === undefined ? {} : { version }) }),
    enabled: contract !== undefined,
  }).data;
  const steps = (request.progress.steps ?? []).slice(0, NODES_MAX);
  if (steps.length < 2) return null;
  const needs = new Map((about?.steps ?? []).map((step) => [step.name, step.needs]));
  const nodes = steps.map((step): GraphNode => ({
    id: step.path,
    name: <span title={step.path}>{step.path === "" ? step.contract : step.path}</span>,
    below: (
      <>
        {words(step.status)}
        {step.from_stock !== undefined && " from stock"} · <ContractLink env={env} name={step.contract} />
      </>
    ),
    state: step.status,
  }));
  return (
    <LazyGraph
      label="Steps of the request"
      nodes={nodes}
      edges={edgesOf(steps, needs)}
      height={130 + nodes.length * 40}
    />
  );
}

/** Steps of the scenario by what they need; what lies deeper follows its own outermost step. */
export function edgesOf(steps: Step[], needs: Map<string, string[]>): GraphEdge[] {
  const outermost = (path: string) => (path.split(" › ")[0] ?? path).replace(/\[\d+\]$/, "");
  return steps.flatMap((step) => {
    const wanted = needs.get(outermost(step.path)) ?? [];
    return steps
      .filter((other) => wanted.includes(outermost(other.path)))
      .map((other): GraphEdge => ({
        from: other.path,
        to: step.path,
        active: step.status === "building" || step.status === "checking",
      }));
  });
}

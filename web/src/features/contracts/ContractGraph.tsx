/** What a contract is made of: the steps of a scenario as they depend on each other, or who uses a capability. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { contracts } from "~/api/queries";
import type { Contract, ContractEntry } from "~/api/schema";
import type { GraphEdge, GraphNode } from "~/components/Graph";
import { LazyGraph } from "~/components/LazyGraph";
import { OwnerLine } from "~/components/Owner";
import { Panel, SmallTable } from "~/components/Panel";
import { Status } from "~/components/Status";
import { ContractLink } from "~/components/links";
import { shown } from "~/lib/exact";

export function ContractGraph({ env, contract }: { env: string; contract: Contract }) {
  const all = useInfiniteQuery(contracts(env)).data?.pages.flatMap(({ items }) => items) ?? [];
  const known = new Map(all.map((entry) => [entry.name, entry]));
  const steps = contract.steps ?? [];
  const { nodes, edges } = steps.length > 0 ? graphOfSteps(env, contract, known) : graphOfUses(env, contract, known);
  return (
    <div className="stack">
      <Panel title={steps.length > 0 ? "Steps, in the sequence in which they are made" : "Who depends on it"} flush>
        <LazyGraph
          label={`Dependencies of ${contract.name}`}
          nodes={nodes}
          edges={edges}
          height={140 + nodes.length * 40}
        />
      </Panel>
      {steps.length > 0 && (
        <Panel title="The same as a table">
          <SmallTable label="Steps" head={["Step", "Contract", "Health", "Owner", "Needs", "Input", "When"]}>
            {steps.map((step) => {
              const entry = known.get(step.uses);
              return (
                <tr key={step.name}>
                  <td className="mono">{step.name}</td>
                  <td>
                    <ContractLink env={env} name={step.uses} />
                  </td>
                  <td>{entry !== undefined && <Status word={entry.status} />}</td>
                  <td>{entry !== undefined && <OwnerLine owner={entry.owner} />}</td>
                  <td className="mono">{step.needs.join(", ")}</td>
                  <td className="mono">{shown(step.with)}</td>
                  <td className="mono">
                    {[step.if && `if ${step.if}`, step.for_each && `for each of ${step.for_each}`]
                      .filter(Boolean)
                      .join(", ")}
                  </td>
                </tr>
              );
            })}
          </SmallTable>
        </Panel>
      )}
    </div>
  );
}

type Known = Map<string, ContractEntry>;

function graphOfSteps(env: string, contract: Contract, known: Known): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const steps = contract.steps ?? [];
  const nodes = steps.map((step): GraphNode => ({
    id: step.name,
    name: step.name,
    below: <ContractLink env={env} name={step.uses} />,
    state: known.get(step.uses)?.status ?? "unknown",
  }));
  const edges = steps.flatMap((step) => step.needs.map((from): GraphEdge => ({ from, to: step.name })));
  return { nodes, edges };
}

function graphOfUses(env: string, contract: Contract, known: Known): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const node = (name: string): GraphNode => ({
    id: name,
    name: <ContractLink env={env} name={name} />,
    below: known.get(name)?.owner.team ?? "",
    state: known.get(name)?.status ?? "unknown",
  });
  const names = [...new Set([contract.name, ...contract.uses, ...contract.used_by])];
  const edges = [
    ...contract.uses.map((from): GraphEdge => ({ from, to: contract.name })),
    ...contract.used_by.map((to): GraphEdge => ({ from: contract.name, to })),
  ];
  return { nodes: names.map(node), edges };
}

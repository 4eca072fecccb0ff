/** What can be told of a scenario from its text alone, as far as it can be read while it is being written. */
import { isMap, isScalar, parseDocument } from "yaml";
import type { GraphEdge, GraphNode } from "~/components/Graph";
import { isRecord } from "~/lib/exact";

/** The name at the top, or one that says that there is none. */
export function nameOf(text: string): string {
  return /^scenario:\s*["']?([a-z0-9][a-z0-9._-]*\/[a-z0-9][a-z0-9._-]*)/m.exec(text)?.[1] ?? "unnamed/scenario";
}

/** The steps with the arrows that their bindings and `needs` say. */
export function graphOf(text: string): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const steps = stepsOf(text);
  const names = new Set(steps.map(({ name }) => name));
  const nodes = steps.map(({ name, uses }): GraphNode => ({ id: name, name, below: uses, state: "pending" }));
  const edges = steps.flatMap(({ name, body }) => {
    const bound = [...JSON.stringify(body).matchAll(/\bsteps\.([a-z][a-z0-9_]*)/g)].map(([, step]) => step ?? "");
    const needs = isRecord(body) && Array.isArray(body["needs"]) ? body["needs"].map(String) : [];
    return [...new Set([...bound, ...needs])]
      .filter((from) => names.has(from) && from !== name)
      .map((from): GraphEdge => ({ from, to: name }));
  });
  return { nodes, edges };
}

function stepsOf(text: string): { name: string; uses: string; body: unknown }[] {
  const steps = parseDocument(text, { logLevel: "silent" }).get("steps");
  if (!isMap(steps)) return [];
  return steps.items.flatMap(({ key, value }) => {
    if (!isScalar(key)) return [];
    const body: unknown = isMap(value) ? value.toJSON() : undefined;
    return [
      {
        name: String(key.value),
        uses: isRecord(body) && typeof body["uses"] === "string" ? body["uses"] : "",
        body: body ?? {},
      },
    ];
  });
}

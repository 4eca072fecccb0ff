/** A graph of what depends on what, laid out from left to right, or from top to bottom where that is narrow; each node leads somewhere. */
import { Graph as Layout, layout } from "@dagrejs/dagre";
import { useComputedColorScheme } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { Controls, Handle, Position, ReactFlow, type Edge, type Node, type NodeProps } from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { useMemo, type ReactNode } from "react";
import { tone, type Tone } from "~/lib/words";
import css from "./Graph.module.css";

/** As the style sheet has them. */
const WIDTH_PX = 260;
const HEIGHT_PX = 50;

export interface GraphNode {
  id: string;
  name: ReactNode;
  below?: ReactNode;
  /** A state, which gives the node its colour. */
  state: string;
}

export interface GraphEdge {
  from: string;
  to: string;
  /** Draws attention to what is going on along it. */
  active?: boolean;
}

interface GraphProps {
  label: string;
  nodes: GraphNode[];
  edges: GraphEdge[];
  height?: number;
}

type Direction = "LR" | "TB";
type Places = Map<string, { x: number; y: number }>;
type Drawn = Node<{ name: ReactNode; below?: ReactNode; tone: Tone; state: string; direction: Direction }, "thing">;

export default function Graph({ label, nodes, edges, height = 340 }: GraphProps) {
  const scheme = useComputedColorScheme("light", { getInitialValueInEffect: false });
  const narrow = useMediaQuery("(max-width: 700px)", false, { getInitialValueInEffect: false });
  const kept = useMemo(() => withoutImplied(edges), [edges]);
  // What is not drawn takes no room either.
  const { places, direction } = useMemo(() => laidOut(nodes, kept, narrow), [nodes, kept, narrow]);
  const drawn = nodes.map((node): Drawn => ({
    id: node.id,
    type: "thing",
    position: places.get(node.id) ?? { x: 0, y: 0 },
    data: { name: node.name, below: node.below, tone: tone(node.state), state: node.state, direction },
    draggable: false,
    selectable: false,
    focusable: false,
  }));
  const lines = kept.map((edge): Edge => ({
    id: `${edge.from} ${edge.to}`,
    source: edge.from,
    target: edge.to,
    animated: edge.active === true,
    focusable: false,
    selectable: false,
  }));
  const tall = Math.max(...[...places.values()].map(({ y }) => y), 0) + HEIGHT_PX + 110;
  return (
    <figure className={css["frame"]} aria-label={label} style={{ height: Math.min(height, Math.max(tall, 220), 720) }}>
      <ReactFlow
        key={direction}
        nodes={drawn}
        edges={lines}
        nodeTypes={NODES}
        colorMode={scheme}
        fitView
        // Names stay readable: what is wider is moved, not made smaller.
        fitViewOptions={{ padding: 0.12, minZoom: 0.5, maxZoom: 1 }}
        minZoom={0.15}
        maxZoom={1.6}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        zoomOnScroll={false}
        preventScrolling={false}
        proOptions={{ hideAttribution: true }}
      >
        <Controls showInteractive={false} />
      </ReactFlow>
    </figure>
  );
}

const NODES = { thing: Thing };

function Thing({ data }: NodeProps<Drawn>) {
  return (
    <div className={`${css["node"]} ${css[data.tone]}`} title={data.state.replaceAll("_", " ")}>
      <Handle
        type="target"
        position={data.direction === "LR" ? Position.Left : Position.Top}
        className={css["handle"]}
        isConnectable={false}
      />
      <div className={css["name"]}>{data.name}</div>
      <div className={css["below"]}>{data.below}</div>
      <Handle
        type="source"
        position={data.direction === "LR" ? Position.Right : Position.Bottom}
        className={css["handle"]}
        isConnectable={false}
      />
    </div>
  );
}

/** Lines that other lines imply only hide what matters. */
export function withoutImplied(edges: GraphEdge[]): GraphEdge[] {
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const leads = (from: string, to: string, seen: Set<string>): boolean =>
    (next.get(from) ?? []).some((each) => each === to || (!seen.has(each) && leads(each, to, seen.add(each))));
  // Within a circle everything implies everything: there, each line stands for itself.
  return edges.filter(
    ({ from, to }) =>
      leads(to, from, new Set([to])) ||
      !(next.get(from) ?? []).some((via) => via !== to && leads(via, to, new Set([via]))),
  );
}

/** From left to right, unless there is little room and it takes less from top to bottom. */
function laidOut(nodes: GraphNode[], edges: GraphEdge[], narrow: boolean): { places: Places; direction: Direction } {
  const across = placesOf(nodes, edges, "LR");
  if (!narrow) return { places: across, direction: "LR" };
  const down = placesOf(nodes, edges, "TB");
  return widthOf(down) < widthOf(across) ? { places: down, direction: "TB" } : { places: across, direction: "LR" };
}

function widthOf(places: Places): number {
  return Math.max(0, ...[...places.values()].map(({ x }) => x));
}

function placesOf(nodes: GraphNode[], edges: GraphEdge[], rankdir: Direction): Places {
  const graph = new Layout();
  graph.setGraph({ rankdir, nodesep: 18, ranksep: rankdir === "LR" ? 56 : 36 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id } of nodes) graph.setNode(id, { width: WIDTH_PX, height: HEIGHT_PX });
  const known = new Set(nodes.map(({ id }) => id));
  for (const { from, to } of edges) if (known.has(from) && known.has(to)) graph.setEdge(from, to);
  layout(graph);
  return new Map(
    nodes.map(({ id }) => {
      const { x = 0, y = 0 } = graph.node(id) as { x?: number; y?: number };
      return [id, { x: x - WIDTH_PX / 2, y: y - HEIGHT_PX / 2 }];
    }),
  );
}

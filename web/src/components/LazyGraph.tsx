/** The graph, fetched when a page shows one for the first time. */
import { Suspense, lazy, type ComponentProps } from "react";
import { Loading } from "./States";

const Graph = lazy(() => import("./Graph"));

export function LazyGraph(props: ComponentProps<typeof Graph>) {
  return (
    <Suspense fallback={<Loading label={`Loading ${props.label}`} rows={4} />}>
      <Graph {...props} />
    </Suspense>
  );
}

/** The addresses of all pages, with what stands behind their `?`: everything that can be sent to a colleague. */
import type { QueryClient } from "@tanstack/react-query";
import {
  Outlet,
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";
import { api } from "~/api/client";
import { ApiProblem } from "~/api/problem";
import { environments, signIn } from "~/api/queries";
import { Empty, Loading } from "~/components/States";
import { ProblemView } from "~/components/Problem";
import { Catalogue } from "~/features/contracts/Catalogue";
import { lastEnvironment } from "~/lib/env";
import { count, on, oneOf, text } from "~/lib/search";
import { Shell } from "./Shell";
import { SignInPage } from "./SignInPage";

interface Context {
  client: QueryClient;
}

const KINDS = ["capability", "scenario"] as const;
const HEALTH = ["online", "offline", "broken"] as const;
const CONTRACT_TABS = ["request", "schema", "code", "graph", "versions", "runs", "import"] as const;
const REQUEST_STATUS = ["building", "fulfilled", "failed", "cancelled", "expired"] as const;
const DATASET_STATUS = [
  "pending",
  "building",
  "checking",
  "ready",
  "skipped",
  "leased",
  "suspect",
  "quarantined",
  "undoing",
  "gone",
  "failed",
  "debt",
] as const;
const SESSION_STATE = ["live", "draining", "dead", "ended"] as const;

type Raw = Record<string, unknown>;

/** Everything behind the `?` may be left out. */
const search =
  <T extends object>(read: (raw: Raw) => T) =>
  (raw: Raw): Partial<T> =>
    read(raw);

const root = createRootRouteWithContext<Context>()({
  component: Outlet,
  notFoundComponent: () => (
    <Empty title="There is no such page">The catalogue is where the mark at the top left leads.</Empty>
  ),
});

const signInRoute = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: search((raw) => ({ to: text(raw, "to") })),
  component: SignInPage,
});

/** A cookie that is not good any more is given back: a server that needs no tokens then answers without one. */
async function isSignedIn(client: QueryClient): Promise<boolean> {
  const ask = () => client.query({ ...signIn, staleTime: "static" });
  const refused = (error: unknown) => {
    if (error instanceof ApiProblem && error.status === 401) return undefined;
    throw error;
  };
  if ((await ask().catch(refused)) !== undefined) return true;
  await api.DELETE("/v1/sign-in", {});
  return (await ask().catch(refused)) !== undefined;
}

/** Everything but the sign-in is for those who are signed in. */
const frame = createRoute({
  getParentRoute: () => root,
  id: "frame",
  beforeLoad: async ({ context, location }) => {
    if (!(await isSignedIn(context.client))) throw redirect({ to: "/sign-in", search: { to: location.href } });
  },
  component: Shell,
});

const start = createRoute({
  getParentRoute: () => frame,
  path: "/",
  beforeLoad: async ({ context }) => {
    const { items } = await context.client.query({ ...environments, staleTime: "static" });
    const names = items.map(({ name }) => name);
    const last = lastEnvironment();
    // Environments come into being by use: an empty server has the one that everything uses that names none.
    const env = last !== undefined && names.includes(last) ? last : (names[0] ?? "default");
    throw redirect({ to: "/env/$env/contracts", params: { env } });
  },
});

const env = createRoute({ getParentRoute: () => frame, path: "/env/$env", component: Outlet });

const contractsRoute = createRoute({
  getParentRoute: () => env,
  path: "contracts",
  validateSearch: search((raw) => ({
    q: text(raw, "q"),
    domain: text(raw, "domain"),
    owner: text(raw, "owner"),
    label: text(raw, "label"),
    kind: oneOf(raw, "kind", KINDS),
    health: oneOf(raw, "health", HEALTH),
    channel: text(raw, "channel"),
  })),
  component: Catalogue,
});

const contractRoute = createRoute({
  getParentRoute: () => env,
  path: "contracts/$domain/$name",
  validateSearch: search((raw) => ({
    tab: oneOf(raw, "tab", CONTRACT_TABS),
    version: count(raw, "version"),
    channel: text(raw, "channel"),
  })),
  component: lazyRouteComponent(() => import("~/features/contracts/ContractPage"), "ContractPage"),
});

const requestsRoute = createRoute({
  getParentRoute: () => env,
  path: "requests",
  validateSearch: search((raw) => ({
    status: oneOf(raw, "status", REQUEST_STATUS),
    contract: text(raw, "contract"),
    refills: on(raw, "refills"),
    holder: text(raw, "holder"),
  })),
  component: lazyRouteComponent(() => import("~/features/requests/RequestsPage"), "RequestsPage"),
});

const jointRoute = createRoute({
  getParentRoute: () => env,
  path: "requests/new",
  validateSearch: search((raw) => ({ of: text(raw, "of") })),
  component: lazyRouteComponent(() => import("~/features/requests/JointPage"), "JointPage"),
});

const requestRoute = createRoute({
  getParentRoute: () => env,
  path: "requests/$id",
  component: lazyRouteComponent(() => import("~/features/requests/RequestPage"), "RequestPage"),
});

const leaseRoute = createRoute({
  getParentRoute: () => env,
  path: "leases/$id",
  component: lazyRouteComponent(() => import("~/features/leases/LeasePage"), "LeasePage"),
});

const datasetsRoute = createRoute({
  getParentRoute: () => env,
  path: "datasets",
  validateSearch: search((raw) => ({
    entity: text(raw, "entity"),
    contract: text(raw, "contract"),
    status: oneOf(raw, "status", DATASET_STATUS),
  })),
  component: lazyRouteComponent(() => import("~/features/datasets/DatasetsPage"), "DatasetsPage"),
});

const datasetRoute = createRoute({
  getParentRoute: () => env,
  path: "datasets/$id",
  component: lazyRouteComponent(() => import("~/features/datasets/DatasetPage"), "DatasetPage"),
});

const mineRoute = createRoute({
  getParentRoute: () => env,
  path: "mine",
  validateSearch: search((raw) => ({ whose: oneOf(raw, "whose", ["all"]), which: oneOf(raw, "which", ["all"]) })),
  component: lazyRouteComponent(() => import("~/features/mine/MinePage"), "MinePage"),
});

const stockRoute = createRoute({
  getParentRoute: () => env,
  path: "stock",
  validateSearch: search((raw) => ({ rule: text(raw, "rule") })),
  component: lazyRouteComponent(() => import("~/features/stock/StockPage"), "StockPage"),
});

const suppliersRoute = createRoute({
  getParentRoute: () => env,
  path: "suppliers",
  validateSearch: search((raw) => ({ state: oneOf(raw, "state", SESSION_STATE), domain: text(raw, "domain") })),
  component: lazyRouteComponent(() => import("~/features/sessions/SuppliersPage"), "SuppliersPage"),
});

const landscapeRoute = createRoute({
  getParentRoute: () => env,
  path: "landscape",
  validateSearch: search((raw) => ({ down: text(raw, "down") })),
  component: lazyRouteComponent(() => import("~/features/landscape/LandscapePage"), "LandscapePage"),
});

const quarantineRoute = createRoute({
  getParentRoute: () => env,
  path: "quarantine",
  component: lazyRouteComponent(() => import("~/features/quarantine/QuarantinePage"), "QuarantinePage"),
});

const scenariosRoute = createRoute({
  getParentRoute: () => env,
  path: "scenarios",
  validateSearch: search((raw) => ({ open: text(raw, "open") })),
  component: lazyRouteComponent(() => import("~/features/scenarios/ScenariosPage"), "ScenariosPage"),
});

const activityRoute = createRoute({
  getParentRoute: () => env,
  path: "activity",
  validateSearch: search((raw) => ({ noun: text(raw, "noun"), q: text(raw, "q") })),
  component: lazyRouteComponent(() => import("~/features/activity/ActivityPage"), "ActivityPage"),
});

const settingsRoute = createRoute({
  getParentRoute: () => frame,
  path: "/settings",
  component: lazyRouteComponent(() => import("~/features/settings/SettingsPage"), "SettingsPage"),
});

const tree = root.addChildren([
  signInRoute,
  frame.addChildren([
    start,
    settingsRoute,
    env.addChildren([
      contractsRoute,
      contractRoute,
      requestsRoute,
      jointRoute,
      requestRoute,
      leaseRoute,
      datasetsRoute,
      datasetRoute,
      mineRoute,
      stockRoute,
      suppliersRoute,
      landscapeRoute,
      quarantineRoute,
      scenariosRoute,
      activityRoute,
    ]),
  ]),
]);

export function createAppRouter(client: QueryClient, history?: Parameters<typeof createRouter>[0]["history"]) {
  return createRouter({
    routeTree: tree,
    context: { client },
    ...(history === undefined ? {} : { history }),
    defaultPendingComponent: () => <Loading />,
    defaultErrorComponent: ({ error, reset }) => <ProblemView error={error} retry={reset} />,
    // Parts of the program are small and near; they are fetched when somebody means to go there.
    defaultPreload: "intent",
    scrollRestoration: true,
  });
}

/** Leads to the sign-in, and back from there to where somebody was, or was on the way to. */
export function goToSignIn(router: ReturnType<typeof createAppRouter>): void {
  const { pathname, href } = router.latestLocation;
  if (pathname !== "/sign-in") void router.navigate({ to: "/sign-in", search: { to: href } });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}

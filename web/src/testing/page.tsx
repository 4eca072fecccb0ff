/** The whole application at an address, before a stand-in for the server. */
import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider, createMemoryHistory } from "@tanstack/react-router";
import { render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { HttpHandler } from "msw";
import { createQueryClient } from "~/app/queryClient";
import { createAppRouter, goToSignIn } from "~/app/router";
import { answers, server, streams } from "./server";
import { contract, statisticsOf } from "./things";

/** What every page asks for. */
const ALWAYS = [
  answers("get", "/v1/sign-in", { name: "ada", role: "admin" }),
  answers("delete", "/v1/sign-in", undefined),
  answers("get", "/v1/environments", {
    items: [
      {
        name: "default",
        created_at: "2026-11-22T10:41:07.120Z",
        contracts: 1,
        sessions: 1,
        leases: 0,
        waiting_undos: 0,
      },
    ],
  }),
  answers("get", "/v1/environments/{env}/contracts", { items: [] }),
  answers("get", "/v1/environments/{env}/stock-rules", { items: [] }),
  answers("get", "/v1/environments/{env}/stock-history", { items: [] }),
  answers("get", "/v1/environments/{env}/statistics", { items: [] }),
  answers("get", "/v1/environments/{env}/contracts/{domain}/{name}/statistics", statisticsOf()),
  answers("get", "/v1/environments/{env}/limits", {
    leases: { of_token: { taken: 3, limit: 1000 }, of_environment: { taken: 41, limit: 10_000 } },
    offline_grace_s: 60,
    retention: { datasets_s: 2_592_000 },
  }),
  answers("get", "/v1/requests", { items: [] }),
  answers("get", "/v1/environments/{env}/contracts/{domain}/{name}/versions/{version}", () => contract()),
  streams(),
];

/** Opens an address; what is arranged goes before what every page has. */
export function open(address: string, ...arranged: HttpHandler[]) {
  server.use(...arranged, ...ALWAYS);
  const client = createQueryClient(() => goToSignIn(router));
  const router = createAppRouter(client, createMemoryHistory({ initialEntries: [address] }));
  render(
    <MantineProvider env="test" withCssVariables={false} withGlobalClasses={false}>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>,
  );
  return { user: userEvent.setup(), router };
}

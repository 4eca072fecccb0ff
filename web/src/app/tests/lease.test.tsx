/** What a holder does with a lease. */
import { screen, within } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Diagnosis } from "~/api/schema";
import { open } from "~/testing/page";
import { answers, refuses } from "~/testing/server";
import { OWNER, contract, lease } from "~/testing/things";

const VERSION = "/v1/environments/{env}/contracts/{domain}/{name}/versions/{version}";
const ONE = "/v1/leases/{id}";
const about = answers("get", VERSION, contract());

test("a secret is shown when somebody asks for it", async () => {
  const { user } = open("/env/default/leases/lease_1", about, answers("get", ONE, lease()));
  await user.click(await screen.findByRole("button", { name: "Show pin" }));
  expect(screen.getByText("1234")).toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "Hide pin" }));
  expect(screen.queryByText("1234")).not.toBeInTheDocument();
});

test("whoever is not the holder is told that a secret is one", async () => {
  const covered = lease();
  open(
    "/env/default/leases/lease_1",
    about,
    answers("get", ONE, { ...covered, dataset: { ...covered.dataset, output: { pin: "***" } } }),
  );
  expect(await screen.findByText("secret, shown to the holder of the lease only")).toBeInTheDocument();
});

test("renewing names the fence", async () => {
  let asked: unknown;
  const { user } = open(
    "/env/default/leases/lease_1",
    about,
    answers("get", ONE, lease()),
    answers("post", "/v1/leases/{id}/renew", ({ body }) => {
      asked = body;
      return lease({ ttl_ms: 1_800_000 });
    }),
  );
  expect(await screen.findByText(/^2[45] min.* left$/)).toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "Renew for 30 min" }));
  expect(await screen.findByText(/^(30 min|29 min 59 s) left$/)).toBeInTheDocument();
  expect(asked).toEqual({ fence: 7 });
});

test("releasing says how it went", async () => {
  let asked: unknown;
  const { user } = open(
    "/env/default/leases/lease_1",
    about,
    answers("get", ONE, lease()),
    answers("post", "/v1/leases/{id}/release", ({ body }) => {
      asked = body;
      return lease({ status: "released", outcome: "broken", note: "no account" });
    }),
  );
  await user.click(await screen.findByRole("button", { name: "Release" }));
  const dialog = await screen.findByRole("dialog");
  await user.click(within(dialog).getByLabelText("The data was wrong"));
  await user.type(within(dialog).getByLabelText("Note"), "no account");
  await user.click(within(dialog).getByRole("button", { name: "Release it" }));
  expect(await screen.findByText("It was released as broken")).toBeInTheDocument();
  expect(asked).toEqual({ fence: 7, outcome: "broken", note: "no account" });
});

test("a diagnosis names who drifted, with the facts side by side", async () => {
  const known = { verdict: "valid" as const, facts: { status: "OPEN" } };
  const part = { path: "payment", dataset_id: "ds_1_2", contract: "billing/payment-account", version: 3, owner: OWNER };
  const diagnosis: Diagnosis = {
    lease_id: "lease_1",
    dataset_id: "ds_1",
    verdict: "changed",
    message: "changed under your lease: `billing` closed it; noticed at 2026-11-22T10:41:59Z",
    first: { ...part, path: "payment › billing/payment-account@3" },
    handed_over_at: "2026-11-22T10:41:09.000Z",
    diagnosed_at: "2026-11-22T10:42:31.204Z",
    checked: 4,
    of: 4,
    parts: [
      {
        ...part,
        state: "changed",
        then: known,
        now: { verdict: "invalid", facts: { status: "CLOSED" }, message: "the account is closed" },
      },
    ],
    differences: [{ path: "payment", pointer: "/status", before: "OPEN", after: "CLOSED" }],
  };
  const { user } = open(
    "/env/default/leases/lease_1",
    about,
    answers("get", ONE, lease()),
    answers("post", "/v1/leases/{id}/diagnose", diagnosis),
  );
  await user.click(await screen.findByRole("button", { name: "Diagnose" }));
  const table = await screen.findByRole("group", { name: "What is different" });
  expect(within(table).getByRole("row", { name: "payment /status OPEN CLOSED" })).toBeInTheDocument();
  expect(screen.getByText("the account is closed")).toBeInTheDocument();
  expect(screen.getByText(/`billing` closed it; noticed at/)).not.toHaveTextContent("2026-11-22T10:41:59Z");
  expect(screen.getByTitle(/2026-11-22 10:41:59/)).toBeInTheDocument();
});

test("a lease that is somebody else's is refused in the server's words", async () => {
  const { user } = open(
    "/env/default/leases/lease_1",
    about,
    answers("get", ONE, lease()),
    refuses("post", "/v1/leases/{id}/renew", 404, {
      code: "lease_not_found",
      detail: "There is no lease `lease_1` of this token.",
    }),
  );
  await user.click(await screen.findByRole("button", { name: /^Renew/ }));
  expect(await screen.findByText("There is no lease `lease_1` of this token.")).toBeInTheDocument();
});

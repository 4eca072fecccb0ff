/** Stock, quarantine, suppliers, landscape, activity and tokens, as those meet them who run the landscape. */
import { screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { open } from "~/testing/page";
import { answers, streams } from "~/testing/server";
import { OWNER, contractEntry, dataset, stockRule } from "~/testing/things";

const AT = "2026-11-22T10:41:07.120Z";
const RULES = "/v1/environments/{env}/stock-rules";

test("a rule says how it stands, what keeps it away, and whose that is", async () => {
  const starved = {
    code: "failing" as const,
    message: "no accounts until Monday",
    contract: "billing/payment-account",
    owner: OWNER,
  };
  open(
    "/env/default/stock",
    answers("get", RULES, { items: [stockRule({ stock: { ...stockRule().stock, starved } })] }),
  );
  expect(await screen.findByText("ready of 5")).toBeInTheDocument();
  expect(screen.getByText(/no accounts until Monday/)).toBeInTheDocument();
  expect(screen.getByText("90 % of 10 from stock")).toBeInTheDocument();
});

test("another target is put without touching the rest of the rule", async () => {
  let asked: unknown;
  let target = 5;
  const { user } = open(
    "/env/default/stock",
    answers("get", RULES, () => ({ items: [stockRule({ target })] })),
    answers("patch", "/v1/environments/{env}/stock-rules/{name}", ({ body }) => {
      asked = body;
      target = 8;
      return stockRule({ target });
    }),
  );
  await user.click(await screen.findByRole("button", { name: "Change target of accounts" }));
  const box = await screen.findByLabelText("Datasets kept ready");
  await user.clear(box);
  await user.type(box, "8");
  await user.click(screen.getByRole("button", { name: "Keep 8 ready" }));
  expect(await screen.findByText("ready of 8")).toBeInTheDocument();
  expect(asked).toEqual({ target: 8 });
});

test("a decision about quarantine needs a reason", async () => {
  let asked: unknown;
  const entry = {
    dataset_id: "ds_1",
    environment: "default",
    contract: "billing/payment-account",
    version: 3,
    since: AT,
    because: "hand_over",
  };
  const drifted = {
    path: "",
    dataset_id: "ds_1",
    contract: "billing/payment-account",
    version: 3,
    owner: OWNER,
    class: "check" as const,
    message: "the account is closed",
  };
  const { user } = open(
    "/env/default/quarantine",
    answers("get", "/v1/quarantine", { items: [{ ...entry, drifted }] }),
    answers("get", "/v1/debts", { items: [] }),
    answers("post", "/v1/datasets/{id}/resolve", ({ body }) => {
      asked = body;
      return dataset({ status: "checking" });
    }),
  );
  await user.click(await screen.findByRole("button", { name: /^Decide about/ }));
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).getByRole("button", { name: "Decide" })).toBeDisabled();
  await user.click(within(dialog).getByLabelText("Undo it"));
  await user.type(within(dialog).getByLabelText(/Why/), "gone for good");
  await user.click(within(dialog).getByRole("button", { name: "Decide" }));
  await waitFor(() => expect(asked).toEqual({ resolution: "undo", reason: "gone for good" }));
});

test("an outage is told with what lives on from stock", async () => {
  open(
    "/env/default/landscape?down=billing",
    answers("get", "/v1/environments/{env}/contracts", {
      items: [
        contractEntry(),
        contractEntry({ name: "checkout/ready", kind: "scenario", uses: ["billing/payment-account"] }),
        contractEntry({ name: "order/draft" }),
      ],
    }),
    answers("get", RULES, { items: [stockRule({ contract: "checkout/ready" })] }),
    answers("get", "/v1/sessions", { items: [] }),
  );
  const table = await screen.findByRole("group", { name: "What stops" });
  expect(
    await within(table).findByRole("row", { name: /checkout\/ready lives on from stock, for about 2 requests/ }),
  ).toBeInTheDocument();
  expect(
    within(table).getByRole("row", { name: /billing\/payment-account stops nothing of it is in stock/ }),
  ).toBeInTheDocument();
  expect(within(table).queryByText("order/draft")).not.toBeInTheDocument();
});

test("activity shows what happened, the newest first, and as text", async () => {
  open(
    "/env/default/activity",
    streams(
      {
        id: 1,
        kind: "task.failed",
        at: AT,
        environment: "default",
        message: "<img src=x onerror=alert(1)>",
        dataset_id: "ds_1",
        path: "payment",
      },
      { id: 2, kind: "lease.granted", at: AT, environment: "default", message: "", lease_id: "lease_1" },
    ),
  );
  const rows = await screen.findAllByRole("row");
  expect(rows[1]).toHaveTextContent("lease.granted");
  expect(rows[2]).toHaveTextContent("<img src=x onerror=alert(1)>");
  expect(document.querySelector("img[src=x]")).toBeNull();
});

test("a new token is shown once", async () => {
  const token = { id: "tok_1", name: "ci", role: "consumer" as const, created_at: AT };
  const { user } = open(
    "/settings",
    answers("get", "/v1/tokens", { items: [token] }),
    answers("post", "/v1/tokens", { ...token, token: "sxp_secret" }),
    answers("get", "/version", {
      name: "sixpack",
      version: "0.1.0",
      api: "v1",
      store: { kind: "sqlite", schema_version: 17 },
    }),
  );
  await user.click(await screen.findByRole("button", { name: "New token" }));
  await user.type(await screen.findByLabelText(/What it is for/), "ci");
  await user.click(screen.getByRole("button", { name: "Make it" }));
  expect(await screen.findByLabelText("the token")).toHaveTextContent("sxp_secret");
  await user.click(screen.getByRole("button", { name: "I have it" }));
  await waitFor(() => expect(screen.queryByText("sxp_secret")).not.toBeInTheDocument());
});

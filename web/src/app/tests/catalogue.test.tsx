/** The catalogue as testers meet it. */
import { screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import type { ContractEntry } from "~/api/schema";
import { open } from "~/testing/page";
import { answers, eventually, refuses } from "~/testing/server";
import { OWNER, contract, contractEntry, statisticsOf, stockRule } from "~/testing/things";

const LIST = "/v1/environments/{env}/contracts";
const listed = answers("get", LIST, {
  items: [
    contractEntry(),
    contractEntry({
      name: "customer/active-customer",
      owner: { team: "Customer" },
      description: "May buy",
      status: "offline",
      labels: { pii: "none" },
    }),
  ],
});

test("typing finds contracts by any of their words", async () => {
  const { user, router } = open("/env/default/contracts", listed);
  await screen.findByRole("link", { name: /billing\/payment-account/ });
  await user.type(screen.getByLabelText("Search the catalogue"), "may cust");
  await waitFor(() => expect(screen.queryByRole("link", { name: /payment-account/ })).not.toBeInTheDocument());
  expect(screen.getByRole("link", { name: /active-customer/ })).toBeInTheDocument();
  await waitFor(() => expect(router.state.location.search).toMatchObject({ q: "may cust" }));
});

test("whoever follows a link at once gets there, and the way back leads to what was looked for", async () => {
  const { user, router } = open(
    "/env/default/contracts",
    listed,
    answers("get", `${LIST}/{domain}/{name}`, contract()),
  );
  await user.type(await screen.findByLabelText("Search the catalogue"), "open account");
  await user.click(screen.getByRole("link", { name: /payment-account/ }));
  expect(await screen.findByRole("heading", { name: "Request it" })).toBeInTheDocument();
  await waitFor(() => expect(router.history.location.pathname).toBe("/env/default/contracts/billing/payment-account"));
  router.history.back();
  expect(await screen.findByLabelText("Search the catalogue")).toHaveValue("open account");
});

test("an address holds the filters", async () => {
  open("/env/default/contracts?health=offline", listed);
  expect(await screen.findByRole("link", { name: /active-customer/ })).toBeInTheDocument();
  expect(screen.queryByRole("link", { name: /payment-account/ })).not.toBeInTheDocument();
});

test("a row says what is ready, and how its requests have been going", async () => {
  const told = statisticsOf({
    requests: {
      fulfilled: 1,
      failed: 1,
      expired: 0,
      cancelled: 0,
      from_stock: 1,
      from_stock_ms: { median: 40, p90: 90 },
    },
    last_failure: {
      contract: "billing/payment-account",
      class: "rejected",
      message: "closed",
      owner: OWNER,
      count: 1,
      last_at: "2026-11-22T10:41:09.120Z",
      request_id: "req_2",
    },
  });
  open(
    "/env/default/contracts",
    listed,
    answers("get", "/v1/environments/{env}/stock-rules", { items: [stockRule()] }),
    answers("get", "/v1/environments/{env}/statistics", { items: [told] }),
  );
  const row = (await screen.findByRole("link", { name: /payment-account/ })).closest("tr") as HTMLElement;
  expect(await within(row).findByTitle("2 ready of 5 that stock rules ask for")).toBeInTheDocument();
  expect(await within(row).findByText("40 ms")).toBeInTheDocument();
  expect(await within(row).findByText("50 %")).toBeInTheDocument();
  expect(within(row).getByTitle("billing/payment-account: closed")).toContainHTML("/env/default/requests/req_2");
});

test("an empty catalogue says how to begin", async () => {
  open("/env/default/contracts");
  expect(await screen.findByText("Nothing can be requested in default yet")).toBeInTheDocument();
});

test("an environment that nobody has used yet says how to begin, and which there are", async () => {
  open(
    "/env/nothing/contracts",
    refuses("get", LIST, 404, { code: "environment_not_found", detail: "There is none." }),
  );
  expect(await screen.findByText("Nothing can be requested in nothing yet")).toBeInTheDocument();
  expect(await screen.findByRole("link", { name: "default" })).toHaveAttribute("href", "/env/default/contracts");
});

test("what cannot be read says why and can be tried again", async () => {
  const { user } = open(
    "/env/default/contracts",
    refuses("get", LIST, 403, { code: "forbidden", detail: "This token may not." }),
  );
  expect(await screen.findByText("This token may not.")).toBeInTheDocument();
  expect(screen.getByRole("link", { name: "forbidden" })).toHaveAttribute("href", "/docs/errors#forbidden");
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByText("This token may not.")).toBeInTheDocument();
});

test("an event has the list read anew", async () => {
  const { handler, happen } = eventually();
  let items: ContractEntry[] = [];
  const { router } = open(
    "/env/default/contracts",
    answers("get", LIST, () => ({ items })),
    handler,
  );
  expect(await screen.findByText("Nothing can be requested in default yet")).toBeInTheDocument();
  await waitFor(() => expect(router.options.context.client.isFetching()).toBe(0));
  items = [contractEntry()];
  happen({ id: 1, kind: "contract.new" });
  expect(await screen.findByRole("link", { name: /payment-account/ })).toBeInTheDocument();
});

test("arrows and letters walk through the rows", async () => {
  const { user } = open("/env/default/contracts", listed);
  const first = await screen.findByRole("link", { name: /payment-account/ });
  (document.activeElement as HTMLElement).blur();
  await user.keyboard("j");
  expect(first).toHaveFocus();
  await user.keyboard("j");
  expect(screen.getByRole("link", { name: /active-customer/ })).toHaveFocus();
  await user.keyboard("k");
  expect(first).toHaveFocus();
});

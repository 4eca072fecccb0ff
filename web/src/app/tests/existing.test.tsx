/** Data that exists already, several contracts at once, and what is chosen from stock. */
import { screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { open } from "~/testing/page";
import { answers, refuses } from "~/testing/server";
import { contract, contractEntry, request, statisticsOf, stockRule } from "~/testing/things";

const CONTRACT = "/v1/environments/{env}/contracts/{domain}/{name}";
const IMPORTS = "/v1/environments/{env}/imports";
const HERE = "/env/default/contracts/billing/payment-account";
const TABLE = "output.account_id,output.pin\na-1,1234\n\na-1,5678";

test("every fault of an import is told at its line, and nothing is imported", async () => {
  const { user } = open(
    `${HERE}?tab=import`,
    answers("get", CONTRACT, contract()),
    refuses("post", IMPORTS, 422, {
      code: "rows_invalid",
      detail: "There is 1 fault.",
      errors: [
        { pointer: "/rows/1/output/account_id", code: "duplicate_entity", message: "is the same as in `/rows/0`" },
      ],
    }),
  );
  await user.click(await screen.findByLabelText("Rows, as CSV or JSON"));
  await user.paste(TABLE);
  await user.click(screen.getByRole("button", { name: "Check" }));
  const faults = within(await screen.findByRole("group", { name: "What is wrong with the rows" }));
  const cells = faults.getAllByRole("cell").map((cell) => cell.textContent);
  expect(cells).toEqual(["4", "output.account_id", "is the same as in `line 2`"]);
});

test("a file that is right is imported as rows of input and output", async () => {
  let sent: unknown;
  const { user } = open(
    `${HERE}?tab=import`,
    answers("get", CONTRACT, contract()),
    answers("post", IMPORTS, ({ body }) => {
      sent = body;
      return { contract: "billing/payment-account", version: 3, datasets: ["ds_1", "ds_2"] };
    }),
  );
  await user.click(await screen.findByLabelText("Rows, as CSV or JSON"));
  await user.paste(TABLE);
  await user.click(screen.getByRole("button", { name: "Import 2 rows" }));
  expect(await screen.findByText(/2 datasets registered/)).toBeInTheDocument();
  const output = [
    { account_id: "a-1", pin: "1234" },
    { account_id: "a-1", pin: "5678" },
  ];
  expect(sent).toEqual({ contract: "billing/payment-account", rows: output.map((output) => ({ input: {}, output })) });
});

test("several contracts are asked for in one request", async () => {
  let sent: unknown;
  const { user, router } = open(
    "/env/default/requests/new?of=billing/payment-account",
    answers("get", "/v1/environments/{env}/contracts", {
      items: [contractEntry(), contractEntry({ name: "customer/active-customer" })],
    }),
    answers("get", CONTRACT, ({ params }) =>
      contract({ name: `${String(params["domain"])}/${String(params["name"])}` }),
    ),
    answers("post", "/v1/requests", ({ body }) => {
      sent = body;
      return request({ id: "req_9" });
    }),
    answers("get", "/v1/requests/{id}", request({ id: "req_9" })),
  );
  await user.type(await screen.findByPlaceholderText("domain/name"), "customer/active-customer{Enter}");
  const emails = await waitFor(() => {
    const found = screen.getAllByLabelText(/^email/);
    expect(found).toHaveLength(2);
    return found;
  });
  await user.type(emails[1] as HTMLElement, "ada@x.test");
  await user.click(screen.getByRole("button", { name: "Request 2 datasets" }));
  await waitFor(() => expect(router.state.location.pathname).toBe("/env/default/requests/req_9"));
  expect(sent).toMatchObject({
    items: [
      { contract: "billing/payment-account", input: {} },
      { contract: "customer/active-customer", input: { email: "ada@x.test" } },
    ],
  });
});

test("a request says how long it usually still takes", async () => {
  const made = { median: 60_000, p90: 120_000 };
  open(
    "/env/default/requests/req_1",
    answers("get", "/v1/requests/{id}", request({ created_at: new Date().toISOString() })),
    answers("get", `${CONTRACT}/statistics`, statisticsOf({ datasets: { made: 9, failed: 0, made_ms: made } })),
  );
  expect(await screen.findByText(/^Usually .* to go; nine of ten are there within/)).toBeInTheDocument();
});

test("many stock rules are a table, those in need first", async () => {
  const starved = { code: "failing" as const, message: "billing said no", contract: "a/b", owner: { team: "Billing" } };
  const rules = Array.from({ length: 20 }, (_, at) =>
    stockRule({ name: `rule-${String(at).padStart(2, "0")}`, target: 2 }),
  );
  const [last] = rules.slice(-1);
  if (last !== undefined) last.stock = { ...last.stock, ready: 0, starved };
  open("/env/default/stock", answers("get", "/v1/environments/{env}/stock-rules", { items: rules }));
  const table = within(await screen.findByRole("group", { name: "Stock rules" }));
  const [, first] = table.getAllByRole("row");
  expect(first).toHaveTextContent("rule-19");
  expect(first).toHaveTextContent("billing said no");
});

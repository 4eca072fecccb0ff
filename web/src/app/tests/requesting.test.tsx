/** From the form to the data, and what is told when there is none. */
import { screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { open } from "~/testing/page";
import { answers, refuses } from "~/testing/server";
import { OWNER, contract, lease, request } from "~/testing/things";

const CONTRACT = "/v1/environments/{env}/contracts/{domain}/{name}";
const PAGE = "/env/default/contracts/billing/payment-account";

test("the form asks for what the schema needs before it asks the server", async () => {
  const { user } = open(PAGE, answers("get", CONTRACT, contract()));
  await user.click(await screen.findByRole("button", { name: "Request it" }));
  expect(await screen.findByText("is needed")).toBeInTheDocument();
});

test("a request has only what was filled in, once, with a key", async () => {
  const made: { body: unknown; key: string | null }[] = [];
  const { user, router } = open(
    PAGE,
    answers("get", CONTRACT, contract()),
    answers("post", "/v1/requests", ({ body, headers }) => {
      made.push({ body, key: headers.get("idempotency-key") });
      return request();
    }),
    answers("get", "/v1/requests/{id}", request()),
  );
  await user.type(await screen.findByLabelText(/email/), "ada@shop.test");
  await user.type(screen.getByLabelText(/lines/), "7");
  await user.selectOptions(screen.getByLabelText(/country/), "DE");
  await user.click(screen.getByRole("button", { name: "Request it" }));
  await waitFor(() => expect(router.state.location.pathname).toBe("/env/default/requests/req_1"));
  expect(made).toEqual([
    {
      body: {
        environment: "default",
        contract: "billing/payment-account",
        input: { email: "ada@shop.test", lines: 7, country: "DE" },
        priority: "person",
      },
      key: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown,
    },
  ]);
});

test("what the server finds wrong stands at its field", async () => {
  const { user } = open(
    PAGE,
    answers("get", CONTRACT, contract()),
    refuses("post", "/v1/requests", 422, {
      code: "input_invalid",
      detail: "The input breaks the schema.",
      errors: [{ pointer: "/input/email", code: "format", message: "is no address" }],
    }),
  );
  await user.type(await screen.findByLabelText(/email/), "ada");
  await user.click(screen.getByRole("button", { name: "Request it" }));
  expect(await screen.findByText("is no address")).toBeInTheDocument();
  expect(screen.getByLabelText(/email/)).toHaveAccessibleDescription("is no address");
});

test("the request of the form is there as code", async () => {
  const { user } = open(PAGE, answers("get", CONTRACT, contract()));
  await user.type(await screen.findByLabelText(/email/), "a'b");
  await user.click(screen.getByRole("tab", { name: "As code" }));
  expect(await screen.findByLabelText("the request for CLI")).toHaveTextContent(
    `sixpack request billing/payment-account --input '{"email":"a'\\''b"}'`,
  );
  await user.click(screen.getByRole("tab", { name: "Go" }));
  expect(await screen.findByLabelText("the request for Go")).toHaveTextContent("http.NewRequest");
});

test("a failure is told with its owner and what to do, before anything else", async () => {
  const failure = {
    path: "payment › billing/payment-account@3",
    class: "rejected" as const,
    code: "currency_mismatch",
    message: "currency CZK does not fit country FR",
    contract: "billing/payment-account",
    version: 3,
    owner: OWNER,
    attempts: 1,
    blocked: ["order › order/prepared-order@1"],
    lately: { failures: 12, of: 40, since: "2026-11-22T09:41:08.000Z", first_failed_at: "2026-11-22T10:31:08.000Z" },
    undo: { done: ["customer › customer/active-customer@1"], pending: [], debts: [] },
  };
  open(
    "/env/default/requests/req_1",
    answers("get", "/v1/requests/{id}", request({ status: "failed", failure, ended_at: "2026-11-22T10:41:09.000Z" })),
  );
  const heads = await screen.findAllByRole("heading", { level: 2 });
  expect(heads[0]).toHaveTextContent("Billing: currency CZK does not fit country FR");
  expect(screen.getByText("Change the input, or ask the owner.")).toBeInTheDocument();
  expect(screen.getByRole("link", { name: "report an issue" })).toHaveAttribute("href", OWNER.issues);
  expect(screen.getByText(/12 of 40 failed since.*, the first one begun/)).toBeInTheDocument();
});

test("a request that is under way can be cancelled", async () => {
  const cancelled = request({ status: "cancelled", ended_at: "2026-11-22T10:41:09.000Z" });
  const { user } = open(
    "/env/default/requests/req_1",
    answers("get", "/v1/requests/{id}", request({ progress: { done: 1, total: 4, steps: [] } })),
    answers("post", "/v1/requests/{id}/cancel", cancelled),
  );
  expect(await screen.findByText("1 of 4 made")).toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "Cancel" }));
  expect(await screen.findByText("cancelled")).toBeInTheDocument();
});

test("what was got can be copied value by value", async () => {
  const { user } = open(
    "/env/default/requests/req_1",
    answers(
      "get",
      "/v1/requests/{id}",
      request({ status: "fulfilled", ended_at: "2026-11-22T10:41:09.000Z", leases: [lease()] }),
    ),
    answers("get", "/v1/environments/{env}/contracts/{domain}/{name}/versions/{version}", contract()),
  );
  await user.click(await screen.findByRole("button", { name: "Copy account_id" }));
  expect(await navigator.clipboard.readText()).toBe("a-1");
  expect(screen.queryByText("1234")).not.toBeInTheDocument();
});

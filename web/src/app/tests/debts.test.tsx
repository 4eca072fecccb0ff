/** Debts: listed with what is left, resolved with a reason, and who has done so. */
import { screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Debt } from "~/api/schema";
import { open } from "~/testing/page";
import { answers, refuses } from "~/testing/server";
import { OWNER, dataset } from "~/testing/things";

const AT = "2026-11-22T10:41:07.120Z";

function debt(of: Partial<Debt> = {}): Debt {
  return {
    dataset_id: "ds_1_2",
    root_id: "ds_1",
    environment: "default",
    status: "debt",
    path: "payment › billing/payment-account@3",
    contract: "billing/payment-account",
    version: 3,
    owner: OWNER,
    since: AT,
    attempts: 5,
    message: "the account has bookings",
    output: { account_id: "a-17" },
    request_id: "req_1",
    ...of,
  };
}

const QUARANTINE = answers("get", "/v1/quarantine", { items: [] });
const RESOLVE = "/v1/debts/{id}/resolve";

test("a debt is resolved with a reason, and is listed no more", async () => {
  let asked: unknown;
  let owed = [debt()];
  const { user } = open(
    "/env/default/quarantine",
    QUARANTINE,
    answers("get", "/v1/debts", () => ({ items: owed })),
    answers("post", RESOLVE, ({ body, params }) => {
      asked = [params["id"], body];
      owed = [];
      return dataset({ status: "gone" });
    }),
  );
  await user.click(await screen.findByRole("button", { name: /^Resolve payment/ }));
  const dialog = within(await screen.findByRole("dialog"));
  expect(dialog.getByText(/the account has bookings/)).toBeInTheDocument();
  expect(dialog.getByText(/a-17/)).toBeInTheDocument();
  expect(dialog.getByRole("button", { name: "Resolve it" })).toBeDisabled();
  await user.type(dialog.getByLabelText(/What has become of it/), " removed in the console ");
  await user.click(dialog.getByRole("button", { name: "Resolve it" }));
  await waitFor(() => expect(asked).toEqual(["ds_1_2", { reason: "removed in the console" }]));
  expect(await screen.findByText("Nothing is owed")).toBeInTheDocument();
});

test("what waits for its supplier is not resolved by hand", async () => {
  open(
    "/env/default/quarantine",
    QUARANTINE,
    answers("get", "/v1/debts", { items: [debt({ status: "waiting", message: "its undo waits for a supplier" })] }),
  );
  expect(await screen.findByText("its undo waits for a supplier")).toBeInTheDocument();
  expect(screen.queryByRole("button", { name: /^Resolve/ })).not.toBeInTheDocument();
});

test("a resolution that is refused says why, and keeps the reason", async () => {
  const { user } = open(
    "/env/default/quarantine",
    QUARANTINE,
    answers("get", "/v1/debts", { items: [debt()] }),
    refuses("post", RESOLVE, 403, { code: "foreign_dataset", detail: "No part of it is of your domain." }),
  );
  await user.click(await screen.findByRole("button", { name: /^Resolve payment/ }));
  const dialog = within(await screen.findByRole("dialog"));
  await user.type(dialog.getByLabelText(/What has become of it/), "gone");
  await user.click(dialog.getByRole("button", { name: "Resolve it" }));
  expect(await dialog.findByText("No part of it is of your domain.")).toBeInTheDocument();
  expect(dialog.getByLabelText(/What has become of it/)).toHaveValue("gone");
});

test("a dataset says who has resolved what it owed", async () => {
  const resolved = { by: "ada", reason: "removed in the console", at: AT };
  open("/env/default/datasets/ds_1_2", answers("get", "/v1/datasets/{id}", dataset({ status: "gone", resolved })));
  expect(await screen.findByText(/removed in the console · ada/)).toBeInTheDocument();
});

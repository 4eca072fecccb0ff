/** Every list while it is read, when there is nothing in it, when it cannot be read, and when it is very long. */
import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import { http } from "msw";
import { expect, test } from "vitest";
import type { paths } from "~/api/schema";
import { RowTable } from "~/components/DataTable";
import { open } from "~/testing/page";
import { answers, refuses } from "~/testing/server";

const EMPTY = { items: [] };
const OTHERS = [
  answers("get", "/v1/leases", EMPTY),
  answers("get", "/v1/datasets", EMPTY),
  answers("get", "/v1/sessions", EMPTY),
  answers("get", "/v1/quarantine", EMPTY),
  answers("get", "/v1/debts", EMPTY),
  answers("get", "/v1/tokens", EMPTY),
  answers("get", "/version", {
    name: "sixpack",
    version: "0.1.0",
    api: "v1",
    store: { kind: "sqlite", schema_version: 17 },
  }),
];

const LISTS: [address: string, path: keyof paths, empty: string][] = [
  ["/env/default/contracts", "/v1/environments/{env}/contracts", "Nothing can be requested in default yet"],
  ["/env/default/requests", "/v1/requests", "No request"],
  ["/env/default/datasets", "/v1/datasets", "No dataset"],
  ["/env/default/mine", "/v1/leases", "You hold nothing"],
  ["/env/default/stock", "/v1/environments/{env}/stock-rules", "Nothing is kept ready"],
  ["/env/default/suppliers", "/v1/sessions", "Nobody is connected"],
  ["/env/default/quarantine", "/v1/quarantine", "Nothing drifted"],
  ["/env/default/quarantine", "/v1/debts", "Nothing is owed"],
  ["/env/default/landscape", "/v1/environments/{env}/contracts", "There are no domains yet"],
  ["/env/default/scenarios", "/v1/environments/{env}/contracts", "None is applied yet."],
];

test.each(LISTS)("%s says that it is reading %s", async (address, path) => {
  const never = http.get(`*${path.replaceAll(/\{(\w+)\}/g, ":$1")}`, () => new Promise<Response>(() => undefined));
  open(address, never, ...OTHERS);
  expect((await screen.findAllByRole("status", { name: /^Loading/ })).length).toBeGreaterThan(0);
});

test.each(LISTS)("%s says what it means that there is nothing in %s", async (address, _path, empty) => {
  open(address, ...OTHERS);
  expect(await screen.findByText(empty)).toBeInTheDocument();
});

test.each(LISTS)("%s says why %s cannot be read", async (address, path) => {
  open(address, refuses("get", path, 403, { code: "forbidden", detail: "This token may not." }), ...OTHERS);
  expect((await screen.findAllByText("This token may not.")).length).toBeGreaterThan(0);
});

test.each(LISTS.filter(([, path]) => path.includes("{env}")))(
  "%s is empty in an environment that does not exist yet",
  async (address, path, empty) => {
    open(address, refuses("get", path, 404, { code: "environment_not_found", detail: "There is none." }), ...OTHERS);
    expect(await screen.findByText(empty)).toBeInTheDocument();
    expect(screen.queryByText("There is none.")).not.toBeInTheDocument();
  },
);

test("of a hundred thousand rows only those are drawn that are seen", () => {
  const rows = Array.from({ length: 100_000 }, (_, index) => index);
  render(
    <MantineProvider env="test" withCssVariables={false}>
      <RowTable label="Numbers" columns={[{ head: "Number", cell: String }]} rows={rows} id={String} empty={null} />
    </MantineProvider>,
  );
  expect(screen.getByRole("table")).toHaveAttribute("aria-rowcount", "100001");
  expect(screen.getAllByRole("row").length).toBeLessThan(100);
});

/** How stock went: the history of levels on the page of stock, in panels and in a table. */
import { screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { inWords, pointsOf, refillsInWords, servedInWords, toldOf } from "~/features/stock/levels";
import { open } from "~/testing/page";
import { answers, refuses } from "~/testing/server";
import { stockHistory, stockRule } from "~/testing/things";

const RULES = "/v1/environments/{env}/stock-rules";
const HISTORY = "/v1/environments/{env}/stock-history";
const ONE = "/v1/environments/{env}/stock-rules/{name}/history";
const AT = Date.parse("2026-11-22T10:41:07.120Z");

test("a rule shows how it went, also to those who do not see the line", async () => {
  let points: string | null = null;
  open(
    "/env/default/stock",
    answers("get", RULES, { items: [stockRule()] }),
    answers("get", HISTORY, ({ query }) => {
      points = query.get("points");
      return { items: [stockHistory({ misses: [0, 2, 0], failed: [1, 0, 0] })] };
    }),
  );
  const line = await screen.findByRole("img", {
    name: /^Level of accounts: 2 of 5 now; over 15 min: lowest 0 .*, highest 5$/,
  });
  expect(line).toBeInTheDocument();
  expect(screen.getByText(/^over 15 min: lowest 0/)).toBeInTheDocument();
  expect(screen.getByText("Last 15 min")).toBeInTheDocument();
  expect(screen.getByText("75 % of 8 from stock; refills: 3 datasets made, 1 failed")).toBeInTheDocument();
  expect(screen.getByText("12 datasets made")).toBeInTheDocument();
  expect(points).toBe("288");
});

test("a rule of which nothing was noted says so, and shows what is seen meanwhile", async () => {
  const empty = stockHistory({ ready: [] });
  delete empty.since;
  open(
    "/env/default/stock",
    answers("get", RULES, { items: [stockRule()] }),
    answers("get", HISTORY, { items: [empty] }),
  );
  expect(await screen.findByText("since this page was opened; what was before was not noted yet")).toBeInTheDocument();
  expect(screen.queryByText(/^Last /)).not.toBeInTheDocument();
});

test("a history that cannot be read leaves the rule to be seen", async () => {
  open(
    "/env/default/stock",
    answers("get", RULES, { items: [stockRule()] }),
    refuses("get", HISTORY, 403, { code: "forbidden", detail: "This token may not." }),
  );
  expect(await screen.findByText("since this page was opened; what was before cannot be read now")).toBeInTheDocument();
  expect(screen.getByText("ready of 5")).toBeInTheDocument();
});

test("many rules are told by one call, each with a line in its row", async () => {
  const rules = Array.from({ length: 20 }, (_, at) => stockRule({ name: `rule-${String(at).padStart(2, "0")}` }));
  const calls: (string | null)[] = [];
  open(
    "/env/default/stock",
    answers("get", RULES, { items: rules }),
    answers("get", HISTORY, ({ query }) => {
      calls.push(query.get("points"));
      return { items: rules.slice(1).map(({ name }) => stockHistory({ name, ready: [4, null, 2] })) };
    }),
  );
  const table = within(await screen.findByRole("group", { name: "Stock rules" }));
  const line = await table.findByRole("img", { name: /^Level of rule-01 over 15 min: lowest 2 .*, highest 4$/ });
  // One step, a gap, and another step.
  await waitFor(() =>
    expect(line.querySelector("path")?.getAttribute("d")).toMatch(/^M[^M]*H32\.0M64\.0,[^M]*H96\.0$/),
  );
  expect(table.queryByRole("img", { name: /rule-00/ })).not.toBeInTheDocument();
  expect(calls).toEqual(["48"]);
});

test("a rule that was chosen is told as closely as it is noted", async () => {
  open(
    "/env/default/stock?rule=accounts",
    answers("get", RULES, { items: [stockRule(), stockRule({ name: "other" })] }),
    answers("get", ONE, ({ params }) => stockHistory({ name: String(params["name"]), ready: [5, 5, 5] })),
  );
  // Two are ready now, which was seen and not noted yet.
  expect(await screen.findByText("over 15 min: lowest 2 now, highest 5")).toBeInTheDocument();
});

test("what was noted goes on with what was seen here", () => {
  const history = stockHistory({ ready: [3, null, 5] });
  const seen = [{ at: AT + 450_000, ready: 4, target: 6 }];
  expect(pointsOf(history, seen)).toEqual([
    { at: AT, ready: 3, target: 5 },
    { at: AT + 300_000, ready: null, target: null },
    ...seen,
  ]);
  expect(pointsOf(undefined, seen)).toEqual(seen);
});

test("a history is summed up by its last low, and says what came of it", () => {
  const told = toldOf(stockHistory({ ready: [0, 0, null, 7], misses: [1, 0, null, 0], failed: [0, 0, null, 3] }));
  expect(told).toMatchObject({ ms: 1_200_000, lowest: 0, lowestAt: AT + 300_000, highest: 7 });
  expect(inWords(told, AT + 3_900_000)).toBe("over 20 min: lowest 0 1 h ago, highest 7");
  const seen = [{ at: AT + 1_250_000, ready: 9, target: 9 }];
  expect(toldOf(stockHistory({ ready: [0, 7] }), seen)).toMatchObject({ lowest: 0, lowestAt: AT, highest: 9 });
  expect(toldOf(stockHistory({ ready: [9, 9] }), [...seen, { at: AT, ready: 4, target: 9 }])).toMatchObject({
    lowest: 4,
    lowestAt: AT,
  });
  expect(inWords(undefined, AT)).toBe("nothing was noted yet");
  expect(servedInWords({ hits: 0, misses: 0 })).toBe("nobody has asked yet");
  expect(refillsInWords({ made: 0, failed: 0 })).toBe("none");
  expect(refillsInWords({ made: 1, failed: 2 })).toBe("1 dataset made, 2 failed");
});

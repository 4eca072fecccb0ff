/** The small rules that pages are made of, with values alone. */
import { expect, test } from "vitest";
import { eventOf } from "~/api/stream";
import { asProblem, problemOf } from "~/api/problem";
import { withoutImplied } from "~/components/Graph";
import { isLink } from "~/components/Owner";
import { edgesOf } from "~/features/requests/RequestGraph";
import { graphOf, nameOf } from "~/features/scenarios/reading";
import { selectable, without } from "~/features/contracts/MoreOptions";
import { bodyOf, quoted } from "~/features/contracts/snippets";
import { EMPTY_DRAFT, optionsOf } from "~/features/contracts/wish";
import { faultAt, recordsOf, rowsOf } from "~/features/contracts/importRows";
import { entitiesOf } from "~/features/datasets/EntityLinks";
import { domainsOf, paceOf } from "~/features/landscape/dependence";
import { filledFrom, fits } from "~/features/leases/Extend";
import { remaining, spread, successOf, typicalOf } from "~/lib/doing";
import { faultsOf, resolved, typeInWords } from "~/lib/schema";
import { COVER, covered, hasSecret, secretAt } from "~/lib/secrets";
import { attemptsOf } from "~/lib/timeline";
import { local, median, relative, span, utc } from "~/lib/times";
import { count, oneOf, text } from "~/lib/search";
import { contractEntry, statisticsOf } from "~/testing/things";

test("spans have two units at most", () => {
  for (const [ms, said] of [
    [0, "0 ms"],
    [340, "340 ms"],
    [1234, "1.2 s"],
    [59_900, "59 s"],
    [60_000, "1 min"],
    [250_000, "4 min 10 s"],
    [3_600_000, "1 h"],
    [97_200_000, "1 d 3 h"],
    [-1000, "-1.0 s"],
  ] as const) {
    expect(span(ms), String(ms)).toBe(said);
  }
});

test("times are told from now, in both directions", () => {
  const now = Date.parse("2026-11-22T10:00:00.000Z");
  for (const [at, said] of [
    ["2026-11-22T09:59:59.000Z", "now"],
    ["2026-11-22T09:59:30.000Z", "30 s ago"],
    ["2026-11-22T10:03:00.000Z", "in 3 min"],
    ["2026-11-20T10:00:00.000Z", "2 d ago"],
  ] as const) {
    expect(relative(at, now), at).toBe(said);
  }
  expect(utc("2026-11-22T10:41:07.120Z")).toBe("2026-11-22 10:41:07.120 UTC");
  expect(local("2026-11-22T10:41:07.120Z", Date.parse("2026-11-29T10:00:00Z"))).toContain("2026");
});

test("the median of nothing is nothing", () => {
  expect(median([])).toBeUndefined();
  expect(median([9, 1, 5])).toBe(5);
});

test("events come out of blocks, and comments are none", () => {
  expect(eventOf('id: 7\nevent: task.done\ndata: {"id":7,"kind":"task.done"}')).toEqual({ id: 7, kind: "task.done" });
  expect(eventOf(": open")).toBeUndefined();
});

test("an answer that is no problem document is told as what it is", () => {
  expect(problemOf(502, "<html>").problem.detail).toContain("does not come from Sixpack");
  expect(problemOf(404, '{"code":"lease_not_found","title":"Not found","detail":"gone"}').code).toBe("lease_not_found");
  expect(asProblem(new TypeError("x is undefined")).code).toBe("page_fault");
});

test("references are followed, and circles end", () => {
  const root = { $defs: { a: { $ref: "#/$defs/b" }, b: { type: "string" }, c: { $ref: "#/$defs/c" } } };
  expect(resolved({ $ref: "#/$defs/a", description: "x" }, root)).toEqual({ type: "string", description: "x" });
  expect(resolved({ $ref: "#/$defs/c" }, root)).toBeDefined();
  expect(resolved({ $ref: "#/$defs/missing" }, root)).toEqual({});
});

test("types are told in words", () => {
  for (const [schema, said] of [
    [{ enum: ["CZ", 1, null] }, "CZ | 1 | null"],
    [{ type: "integer", minimum: 1, maximum: 50 }, "integer from 1 to 50"],
    [{ type: "array", items: { type: "string" } }, "list of string"],
    [{ type: ["string", "null"], format: "date" }, "string or null (date)"],
    [{ oneOf: [{ type: "string" }, { const: 1 }] }, "string or 1"],
    [{}, "anything"],
  ] as const) {
    expect(typeInWords(schema as Record<string, unknown>, {})).toBe(said);
  }
});

test("faults stand at the place that is wrong, not at everything around it", () => {
  const schema = {
    type: "object",
    properties: {
      lines: { type: "integer", minimum: 1 },
      to: { type: "object", properties: { zip: { type: "string" } }, required: ["zip"] },
    },
    required: ["to", "name"],
  };
  const faults = faultsOf(schema, { lines: 0, to: {} });
  expect([...faults.keys()].sort()).toEqual(["/lines", "/name", "/to/zip"]);
  expect(faults.get("/name")).toBe("is needed");
});

test("a schema that cannot be read is left to the server", () => {
  expect(faultsOf({ $ref: "#/nowhere" }, {}).size).toBe(0);
});

test("requests of people who changed their mind say nothing of a contract", () => {
  const told = statisticsOf({ requests: { fulfilled: 999, failed: 1, expired: 0, cancelled: 70, from_stock: 0 } });
  expect(successOf(told)).toEqual({ made: 999, tried: 1000, percent: 99, of: "requests" });
  expect(successOf(statisticsOf({ datasets: { made: 3, failed: 1 } }))?.of).toBe("datasets");
  expect(successOf(statisticsOf())).toBeUndefined();
});

test("what is in stock is there at once, and without it one is made", () => {
  const [stock, made] = [
    { median: 5, p90: 9 },
    { median: 1200, p90: 3900 },
  ];
  const counts = { fulfilled: 2, failed: 0, expired: 0, cancelled: 0, from_stock: 1 };
  const told = statisticsOf({
    requests: { ...counts, from_stock_ms: stock },
    datasets: { made: 1, failed: 0, made_ms: made },
  });
  expect(typicalOf(told, 3)).toEqual({ ...stock, how: "from stock" });
  expect(typicalOf(told, 0)).toEqual({ ...made, how: "when made" });
  expect(spread(made)).toBe("1.2 s, 9 of 10 within 3.9 s");
  expect(remaining(made, 1000)).toEqual({ usual: 200, most: 2900 });
  expect(remaining(made, 4000)).toBeUndefined();
});

test("a domain is as slow as half of its contracts, and fails as often as all of them", () => {
  const of = (contract: string, ms: number, failed: number) =>
    statisticsOf({ contract, datasets: { made: 1, failed, made_ms: { median: ms, p90: ms } } });
  const told = new Map(["a/x", "a/y", "a/z"].map((name, at) => [name, of(name, 100 * (at + 1), at)]));
  const [domain] = domainsOf([...told.keys(), "a/new"].map((name) => contractEntry({ name })));
  const pace = domain && paceOf(domain, told);
  expect(pace).toMatchObject({ made: 3, failed: 3, usual: 200 });
  expect(pace?.slowest?.contract).toBe("a/z");
});

test("attempts are told with the waits between them", () => {
  const entry = (kind: string, second: number, attempt: number) => ({
    at: `2026-11-22T10:41:0${second}.000Z`,
    kind,
    path: "a",
    message: "",
    operation: "produce" as const,
    attempt,
    duration_ms: 500,
  });
  const bars = attemptsOf([
    entry("task.failed", 1, 1),
    { at: "2026-11-22T10:41:02.000Z", kind: "dataset.ready", path: "", message: "" },
    entry("task.done", 3, 2),
  ]).get("a");
  expect(bars?.map(({ state, says }) => `${state}: ${says}`)).toEqual([
    "failed: produce attempt 1",
    "waiting: waits",
    "ready: produce attempt 2",
  ]);
});

test("lines that others imply are left out", () => {
  const edges = [
    { from: "a", to: "b" },
    { from: "b", to: "c" },
    { from: "a", to: "c" },
  ];
  expect(withoutImplied(edges)).toEqual([
    { from: "a", to: "b" },
    { from: "b", to: "c" },
  ]);
  const circle = [
    { from: "a", to: "b" },
    { from: "b", to: "a" },
  ];
  expect(withoutImplied(circle)).toEqual(circle);
  const round = [...edges, { from: "c", to: "a" }];
  expect(withoutImplied(round)).toEqual(round);
});

test("steps of a nested scenario follow what its own step needs", () => {
  const step = (path: string) => ({ path, contract: "a/b", status: "building" as const });
  const edges = edgesOf(
    [step("ready › customer"), step("lines[2]"), step("paid")],
    new Map([["paid", ["ready", "lines"]]]),
  );
  expect(edges.map(({ from, to }) => `${from} → ${to}`)).toEqual(["ready › customer → paid", "lines[2] → paid"]);
});

test("a scenario's graph is told from a text that is not finished", () => {
  const text =
    'scenario: checkout/x\nsteps:\n  a: { uses: customer/c }\n  b:\n    uses: order/o\n    with: { id: "${{ steps.a.id }}" }\n  c: { uses: x/y, needs: [b, zzz] }\noutput: {';
  const { nodes, edges } = graphOf(text);
  expect(nodes.map(({ id }) => id)).toEqual(["a", "b", "c"]);
  expect(edges).toEqual([
    { from: "a", to: "b" },
    { from: "b", to: "c" },
  ]);
  expect(nameOf(text)).toBe("checkout/x");
  expect(nameOf("steps: {}")).toBe("unnamed/scenario");
});

test("code leaves out what is as it would be anyway", () => {
  const wish = { ...EMPTY_DRAFT, origin: "http://x", environment: "default", contract: "a/b" };
  expect(bodyOf(wish)).toEqual({ contract: "a/b" });
  expect(bodyOf({ ...wish, environment: "qa", count: 2, ttl_s: 60 })).toEqual({
    contract: "a/b",
    environment: "qa",
    count: 2,
    lease: { ttl_s: 60 },
  });
});

test("what is chosen from stock stands in the code, and not where nothing is taken from there", () => {
  const wish = { ...EMPTY_DRAFT, input: { a: 1 }, prefer: { a: 2, b: 3 }, select: { slot: "x" }, fresh: true };
  expect(optionsOf(wish)).toEqual({ prefer: { b: 3 }, select: { slot: "x" }, require: "fresh" });
  expect(optionsOf({ ...wish, source: "fresh" })).toEqual({ source: "fresh" });
});

test("only what the output marks can be chosen by", () => {
  const schema = { type: "object", properties: { a: { "x-selectable": true }, b: {} } };
  expect(Object.keys((selectable(schema) as { properties: object }).properties)).toEqual(["a"]);
  expect(selectable({ type: "object", properties: { b: {} } })).toBeUndefined();
  expect(without(schema, ["a", "b"])).toBeUndefined();
});

test("tables are read as they are written, quotes and all", () => {
  expect(recordsOf('a,b\r\n"x, ""y""\nz",2\n\n3,')).toEqual([
    { line: 1, cells: ["a", "b"] },
    { line: 2, cells: ['x, "y"\nz', "2"] },
    { line: 5, cells: ["3", ""] },
  ]);
});

test("rows of a file are typed by the contract, and faults name lines", () => {
  const schemas = {
    input: { type: "object", properties: { lines: { type: "integer" } } },
    output: { type: "object", properties: { id: { type: "string" } } },
  };
  expect(rowsOf("input.lines,output.id\n7,7\n,x\n1", schemas)).toEqual({
    rows: [
      { line: 2, input: { lines: 7 }, output: { id: "7" } },
      { line: 3, input: {}, output: { id: "x" } },
    ],
    faults: [{ line: 4, place: "", message: "has 1 values, and the table has 2 columns" }],
  });
  expect(rowsOf("lines,output.id\n1,2", schemas).faults[0]).toMatchObject({ line: 1, place: "lines" });
  const { rows, faults } = rowsOf('{"output":{"id":"a"}}\n\n{"input":{}}\n{', schemas);
  expect(rows).toEqual([{ line: 1, input: {}, output: { id: "a" } }]);
  expect(faults.map(({ line }) => line)).toEqual([4, 3]);
  const [fault] = [{ pointer: "/rows/0/output/id", message: "is the same as in /rows/0" }];
  expect(faultAt(fault, rows)).toEqual({ line: 1, place: "output.id", message: "is the same as in line 1" });
});

test("what the data has need not be filled in again when it is extended", () => {
  const input = { type: "object", required: ["id", "note"], properties: { id: { type: "string" }, note: {} } };
  expect(filledFrom({ id: "o-1" }, input)).toEqual({ ...input, required: ["note"] });
  expect([fits(input, { id: "o-1" }), fits(input, { id: "o-1", note: 1 }), fits({}, {})]).toEqual([false, true, false]);
});

test("a shell never reads more into a word than is there", () => {
  expect(quoted("it's $(rm -rf /)")).toBe("'it'\\''s $(rm -rf /)'");
  expect(quoted("a/b")).toBe("a/b");
});

test("only addresses of the web become links", () => {
  for (const [address, link] of [
    ["https://x.test", true],
    ["javascript:alert(1)", false],
    ["data:text/html,x", false],
    [" https://x", false],
  ] as const) {
    expect(isLink(address), address).toBe(link);
  }
});

test("entities are the keys that the contract marks", () => {
  const schema = { properties: { id: { "x-entity": "customer" }, other: { "x-entity": "account" }, plain: {} } };
  expect(entitiesOf(schema, { id: "c-1", other: { no: "key" }, plain: "x" })).toEqual(["customer:c-1"]);
});

test("what stands in an address and is nothing we know is nothing", () => {
  expect(oneOf({ kind: "x" }, "kind", ["a"] as const)).toBeUndefined();
  expect(text({ q: 12 }, "q")).toBe("12");
  expect(text({ q: { a: 1 } }, "q")).toBeUndefined();
  expect(count({ version: "3" }, "version")).toBe(3);
  expect(count({ version: "-1" }, "version")).toBeUndefined();
});

test("secrets are covered wherever the schema marks them, and what is unknown beside them as well", () => {
  const card = { type: "object", properties: { number: { "x-secret": true }, brand: { type: "string" } } };
  const schema = {
    $defs: { card },
    properties: {
      id: {},
      cards: { type: "array", items: { $ref: "#/$defs/card" } },
      pin: { type: "string", "x-secret": true },
    },
  };
  const value = { id: 1, pin: "1234", cards: [{ number: "4111", brand: "v" }] };
  expect(covered(value, schema, schema)).toEqual({ id: 1, pin: COVER, cards: [{ number: COVER, brand: "v" }] });
  expect(covered({ id: 1 }, { properties: { id: {} } }, {})).toEqual({ id: 1 });
  expect(hasSecret({ $ref: "#/$defs/card" }, schema)).toBe(true);
  expect(secretAt(schema, schema, "/cards/0/number")).toBe(true);
  expect(secretAt(schema, schema, "/cards/0/brand")).toBe(false);
  expect(secretAt(schema, schema, "/id")).toBe(false);
});

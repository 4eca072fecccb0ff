/** The same request as code: in every language with what it has at hand, and in the SDK where there is one. */
import { optionsOf, type Draft } from "./wish";

export interface Wish extends Draft {
  origin: string;
  environment: string;
  contract: string;
}

export interface Snippet {
  name: string;
  text: string;
}

export function snippets(wish: Wish): Snippet[] {
  const body = bodyOf(wish);
  const json = JSON.stringify(body);
  const indented = JSON.stringify(body, null, 2);
  return [
    { name: "CLI", text: cli(wish) },
    { name: "curl", text: curl(wish, json) },
    { name: "TypeScript", text: typescript(wish, indented) },
    { name: "Python", text: python(wish, json) },
    { name: "Java", text: java(wish, json) },
    { name: "Go", text: go(wish, json) },
    { name: "Rust", text: rust(wish) },
    { name: "GitHub Actions", text: actions(wish) },
  ];
}

/** What stands in the body; defaults are left out. */
export function bodyOf(wish: Wish): Record<string, unknown> {
  const { environment, contract, input } = wish;
  return {
    ...(environment === "default" ? {} : { environment }),
    contract,
    ...(Object.keys(input).length === 0 ? {} : { input }),
    ...optionsOf(wish),
  };
}

/** A word of a POSIX shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function cli(wish: Wish): string {
  const { environment, contract, input } = wish;
  const { source, count, lease, timeout_s, prefer, select, require } = optionsOf(wish);
  const flags = [
    ...(environment === "default" ? [] : ["--environment", environment]),
    ...(Object.keys(input).length === 0 ? [] : ["--input", JSON.stringify(input)]),
    ...(source === undefined ? [] : ["--source", source]),
    ...(count === undefined ? [] : ["--count", String(count)]),
    ...(lease === undefined ? [] : ["--ttl", String(lease.ttl_s)]),
    ...(timeout_s === undefined ? [] : ["--timeout", String(timeout_s)]),
    ...(prefer === undefined ? [] : ["--prefer-json", JSON.stringify(prefer)]),
    ...Object.entries(select ?? {}).flatMap(([name, value]) => ["--select", `${name}=${JSON.stringify(value)}`]),
    ...(require === undefined ? [] : ["--require-fresh"]),
  ];
  return ["sixpack", "request", contract, ...flags].map(quoted).join(" ");
}

function curl({ origin }: Wish, json: string): string {
  return [
    `curl -sS -X POST ${quoted(`${origin}/v1/requests?wait_s=60`)} \\`,
    `  -H "Authorization: Bearer $SIXPACK_TOKEN" -H 'Content-Type: application/json' \\`,
    `  -H "Idempotency-Key: $(uuidgen)" \\`,
    `  -d ${quoted(json)}`,
  ].join("\n");
}

function typescript({ origin }: Wish, indented: string): string {
  return [
    `const answer = await fetch(${JSON.stringify(`${origin}/v1/requests?wait_s=60`)}, {`,
    `  method: "POST",`,
    "  headers: {",
    "    authorization: `Bearer ${process.env.SIXPACK_TOKEN}`,",
    `    "content-type": "application/json",`,
    `    "idempotency-key": crypto.randomUUID(),`,
    "  },",
    `  body: JSON.stringify(${indented.replaceAll("\n", "\n  ")}),`,
    "});",
    "const request = await answer.json();",
    `if (request.status !== "fulfilled") throw new Error(request.failure?.message ?? request.detail ?? request.status);`,
    "const data = request.leases[0].dataset.output;",
  ].join("\n");
}

function python({ origin }: Wish, json: string): string {
  return [
    "import json, os, urllib.request, uuid",
    "",
    "call = urllib.request.Request(",
    `    ${JSON.stringify(`${origin}/v1/requests?wait_s=60`)},`,
    '    method="POST",',
    "    headers={",
    `        "Authorization": f"Bearer {os.environ['SIXPACK_TOKEN']}",`,
    `        "Content-Type": "application/json",`,
    `        "Idempotency-Key": str(uuid.uuid4()),`,
    "    },",
    `    data=${JSON.stringify(json)}.encode(),`,
    ")",
    "request = json.load(urllib.request.urlopen(call))",
    `assert request["status"] == "fulfilled", request.get("failure", request["status"])`,
    `data = request["leases"][0]["dataset"]["output"]`,
  ].join("\n");
}

function java({ origin }: Wish, json: string): string {
  return [
    "var call = HttpRequest.newBuilder(URI.create(" + JSON.stringify(`${origin}/v1/requests?wait_s=60`) + "))",
    `    .header("Authorization", "Bearer " + System.getenv("SIXPACK_TOKEN"))`,
    `    .header("Content-Type", "application/json")`,
    `    .header("Idempotency-Key", UUID.randomUUID().toString())`,
    `    .POST(HttpRequest.BodyPublishers.ofString(${JSON.stringify(json)}))`,
    "    .build();",
    "var answer = HttpClient.newHttpClient().send(call, HttpResponse.BodyHandlers.ofString());",
    '// `status` is "fulfilled", and `leases[0].dataset.output` has the data',
    "System.out.println(answer.body());",
  ].join("\n");
}

function go({ origin }: Wish, json: string): string {
  return [
    `call, err := http.NewRequest("POST", ${JSON.stringify(`${origin}/v1/requests?wait_s=60`)}, strings.NewReader(${JSON.stringify(json)}))`,
    "if err != nil {",
    "\tlog.Fatal(err)",
    "}",
    `call.Header.Set("Authorization", "Bearer "+os.Getenv("SIXPACK_TOKEN"))`,
    `call.Header.Set("Content-Type", "application/json")`,
    "answer, err := http.DefaultClient.Do(call)",
    "if err != nil {",
    "\tlog.Fatal(err)",
    "}",
    "defer answer.Body.Close()",
    '// `status` is "fulfilled", and `leases[0].dataset.output` has the data',
    "io.Copy(os.Stdout, answer.Body)",
  ].join("\n");
}

function rust(wish: Wish): string {
  const { environment, contract, input } = wish;
  const { source, count, lease, timeout_s, prefer, select, require } = optionsOf(wish);
  const seconds = (name: string, s: number) => `    .${name}(std::time::Duration::from_secs(${s}))`;
  const json = (name: string, value: unknown) => `    .${name}(serde_json::json!(${JSON.stringify(value)}))`;
  const sources: Record<string, string> = { stock_only: "StockOnly", fresh: "Fresh", find_first: "FindFirst" };
  const lines = [
    "let client = sixpack::Client::from_env()?;",
    "let lease = client",
    `    .request(${JSON.stringify(contract)})`,
    ...(environment === "default" ? [] : [`    .environment(${JSON.stringify(environment)})`]),
    ...(Object.keys(input).length === 0 ? [] : [json("input", input)]),
    ...(source === undefined ? [] : [`    .source(sixpack::Source::${sources[source]})`]),
    ...(count === undefined ? [] : [`    .count(${count})`]),
    ...(lease === undefined ? [] : [seconds("ttl", lease.ttl_s)]),
    ...(timeout_s === undefined ? [] : [seconds("timeout", timeout_s)]),
    ...(prefer === undefined ? [] : [json("prefer", prefer)]),
    ...(select === undefined ? [] : [json("select", select)]),
    ...(require === undefined ? [] : ["    .require_fresh()"]),
    count === undefined ? "    .send()" : "    .send_all()",
    "    .await?;",
  ];
  return lines.join("\n");
}

function actions(wish: Wish): string {
  return [
    "- name: Get test data",
    "  id: data",
    "  env:",
    `    SIXPACK_URL: ${wish.origin}`,
    "    SIXPACK_TOKEN: ${{ secrets.SIXPACK_TOKEN }}",
    "  run: |",
    `    ${cli(wish)} --holder "ci $GITHUB_RUN_ID" --json > data.json`,
    '    echo "output=$(jq -c \'.leases[0].dataset.output\' data.json)" >> "$GITHUB_OUTPUT"',
  ].join("\n");
}

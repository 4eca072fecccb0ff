/** The same request as code: in every language with what it has at hand, and in the SDK where there is one. */

export interface Wish {
  origin: string;
  environment: string;
  contract: string;
  input: Record<string, unknown>;
  source: string;
  count: number;
  ttl_s: number;
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
  const { environment, contract, input, source, count, ttl_s } = wish;
  return {
    ...(environment === "default" ? {} : { environment }),
    contract,
    ...(Object.keys(input).length === 0 ? {} : { input }),
    ...(source === "stock_first" ? {} : { source }),
    ...(count === 1 ? {} : { count }),
    ...(ttl_s === 1800 ? {} : { lease: { ttl_s } }),
  };
}

/** A word of a POSIX shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function cli({ environment, contract, input, source, count, ttl_s }: Wish): string {
  const flags = [
    ...(environment === "default" ? [] : ["--environment", environment]),
    ...(Object.keys(input).length === 0 ? [] : ["--input", JSON.stringify(input)]),
    ...(source === "stock_first" ? [] : ["--source", source]),
    ...(count === 1 ? [] : ["--count", String(count)]),
    ...(ttl_s === 1800 ? [] : ["--ttl", String(ttl_s)]),
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

function rust({ environment, contract, input, source, count, ttl_s }: Wish): string {
  const sources: Record<string, string> = { stock_only: "StockOnly", fresh: "Fresh", find_first: "FindFirst" };
  const lines = [
    "let client = sixpack::Client::from_env()?;",
    "let lease = client",
    `    .request(${JSON.stringify(contract)})`,
    ...(environment === "default" ? [] : [`    .environment(${JSON.stringify(environment)})`]),
    ...(Object.keys(input).length === 0 ? [] : [`    .input(serde_json::json!(${JSON.stringify(input)}))`]),
    ...(sources[source] === undefined ? [] : [`    .source(sixpack::Source::${sources[source]})`]),
    ...(count === 1 ? [] : [`    .count(${count})`]),
    ...(ttl_s === 1800 ? [] : [`    .ttl(std::time::Duration::from_secs(${ttl_s}))`]),
    count === 1 ? "    .send()" : "    .send_all()",
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

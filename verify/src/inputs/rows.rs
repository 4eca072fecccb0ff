//! The rows: inputs that are as costly as they can be made, each with the status that it must get.

use serde_json::{Value, json};

/// One input.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) status: u16,
    /// What goes over the socket.
    pub(super) bytes: Vec<u8>,
}

/// What rows need to know of the server.
pub(super) struct Stage<'a> {
    pub(super) address: &'a str,
    pub(super) token: &'a str,
    pub(super) session: &'a str,
}

/// A scenario whose bindings double a text and multiply loops.
pub(super) const BOMB: &str = r#"
scenario: bad/bomb
owner: { team: Bench }
input: { type: object, properties: { list: { type: array }, text: { type: string } } }
steps:
  loops: { uses: bad/step, with: { n: "${{ input.list.map(a, input.list.map(b, input.list.size())) }}" } }
  texts: { uses: bad/step, with: { t: "${{ input.list.map(a, input.text + input.text) }}" } }
output: {}
"#;

const MIB: usize = 1024 * 1024;

/// All of them.
pub(super) fn all(stage: &Stage<'_>) -> Vec<Row> {
    let mut rows = heads(stage);
    rows.extend(bodies(stage));
    rows.extend(scenarios(stage));
    rows.extend(manifests(stage));
    rows.extend(traffic(stage));
    rows
}

impl Stage<'_> {
    fn head(&self, line: &str, fields: &str) -> Vec<u8> {
        let Self { address, token, .. } = self;
        format!(
            "{line} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{fields}\r\n"
        )
        .into_bytes()
    }

    fn get(&self, name: &'static str, status: u16, path: &str) -> Row {
        Row { name, status, bytes: self.head(&format!("GET {path}"), "") }
    }

    fn send(&self, name: &'static str, status: u16, line: &str, kind: &str, body: &[u8]) -> Row {
        let fields = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        Row { name, status, bytes: [&self.head(line, &fields), body].concat() }
    }

    fn post(&self, name: &'static str, status: u16, path: &str, body: impl AsRef<[u8]>) -> Row {
        self.send(name, status, &format!("POST {path}"), "application/json", body.as_ref())
    }

    fn yaml(&self, name: &'static str, status: u16, body: impl AsRef<[u8]>) -> Row {
        let line = "PUT /v1/environments/default/scenarios/a/b?dry_run=true";
        self.send(name, status, line, "application/yaml", body.as_ref())
    }
}

fn heads(stage: &Stage<'_>) -> Vec<Row> {
    let raw = |name, status, bytes: Vec<u8>| Row { name, status, bytes };
    let get = "GET /version";
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let with_body = |body: &[u8]| [&stage.head("POST /v1/requests", chunked), body].concat();
    let pipelined = format!("GET /version HTTP/1.1\r\nHost: {}\r\n\r\n", stage.address).repeat(10_000);
    vec![
        raw("65 headers", 431, stage.head(get, &"X-A: b\r\n".repeat(65))),
        raw("header of 33 KiB", 431, stage.head(get, &format!("X-A: {}\r\n", "b".repeat(33 * 1024)))),
        stage.get("address of 9 KiB", 414, &format!("/{}", "a".repeat(9 * 1024))),
        raw(
            "a thousand ranges",
            200,
            stage.head(get, &format!("Range: bytes=0-{}\r\n", ",0-".repeat(1_000))),
        ),
        raw(
            "chunk extension of 1 MiB",
            400,
            with_body(&[b"1;", &vec![b'e'; MIB][..], b"\r\n{\r\n0\r\n\r\n"].concat()),
        ),
        raw("chunk size that overflows", 400, with_body(b"FFFFFFFFFFFFFFFFF\r\nx")),
        raw("10,000 requests at once", 200, pipelined.into_bytes()),
        stage.get("limit of 21 digits", 422, "/v1/requests?limit=100000000000000000000"),
        stage.get("cursor of 7 KiB", 400, &format!("/v1/requests?cursor={}", "A".repeat(7_000))),
        stage.get(
            "101 labels",
            422,
            &format!("/v1/environments/default/contracts?{}", vec!["label=a:b"; 101].join("&")),
        ),
        stage.get("wildcards", 200, "/v1/environments/default/contracts?q=%25%25%25%25%25"),
    ]
}

fn bodies(stage: &Stage<'_>) -> Vec<Row> {
    let requests = "/v1/requests";
    let sessions = "/v1/sessions";
    let keys: Vec<String> = (0..100_001).map(|number| format!("\"k{number}\":0")).collect();
    vec![
        stage.post("100,000 levels", 400, requests, "[".repeat(100_000)),
        stage.post("body one byte too long", 413, requests, " ".repeat(MIB + 1)),
        stage.post(
            "as many small objects as a body may have",
            422,
            "/v1/requests",
            format!("{{\"a\":[{}]}}", vec!["{\"a\":1}"; 19_990].join(",")),
        ),
        stage.post("a million values", 422, sessions, format!("{{\"a\":[{}0]}}", "0,".repeat(1_000_000))),
        stage.post("100,001 keys", 422, sessions, format!("{{{}}}", keys.join(","))),
        stage.post("key of 1 MiB", 422, requests, format!("{{\"{}\":0}}", "k".repeat(MIB - 10))),
        stage.post(
            "number of a million digits",
            422,
            requests,
            format!("{{\"a\":{}}}", "9".repeat(MIB - 10)),
        ),
        stage.post("number that expands", 422, requests, r#"{"contract":"bad/step","input":{"a":1e131071}}"#),
        stage.post(
            "text of 1 MiB as a name",
            422,
            requests,
            format!("{{\"contract\":\"{}\"}}", "x".repeat(MIB - 20)),
        ),
        stage.post("doubled key", 400, requests, r#"{"a":{"b":1,"\u0062":2}}"#),
    ]
}

fn scenarios(stage: &Stage<'_>) -> Vec<Row> {
    let head = "scenario: a/b\nowner: { team: T }\noutput: {}\nsteps:\n";
    let steps = |count: usize, rest: fn(usize) -> String| {
        let step = |number| format!("  s{number}: {{ uses: bad/step{} }}\n", rest(number));
        format!("{head}{}", (0..count).map(step).collect::<String>())
    };
    let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", format!("*a{},", level - 1).repeat(9)));
    }
    let given = |text: &str| format!("{head}  s: {{ uses: bad/step, with: {{ a: \"{text}\" }} }}\n");
    let nested = |open: &str, close: &str, times: usize| {
        given(&format!("${{{{ {}1{} }}}}", open.repeat(times), close.repeat(times)))
    };
    vec![
        stage.yaml("billion laughs", 422, laughs),
        stage.yaml("100,000 aliases", 422, format!("a: &a x\nb: [{}]\n", "*a,".repeat(100_001))),
        stage.yaml("alias of itself", 422, "a: &a [*a]\n"),
        stage.yaml("flow of 100,000 levels", 422, format!("a: {}", "[".repeat(100_000))),
        stage.yaml("line of nearly 1 MiB", 422, format!("a: {}", "x".repeat(MIB - 10))),
        stage.yaml(
            "expression in nearly 1 MiB of text",
            422,
            given(&format!("${{{{ nobody }}}}{}", "x".repeat(MIB - 200))),
        ),
        stage.yaml("file of 10 MiB", 413, "#".repeat(10 * MIB)),
        stage.yaml("100,000 lines of names", 422, "- a\n".repeat(99_000)),
        stage.yaml("1,001 steps", 422, steps(1_001, |_| String::new())),
        stage.yaml(
            "circle of 200 steps",
            422,
            steps(200, |number| format!(", needs: [s{}]", (number + 1) % 200)),
        ),
        stage.yaml(
            "200 steps that read 200 unknown ones",
            422,
            steps(200, |number| {
                let reads: Vec<String> = (0..60)
                    .map(|other| format!("k{other}: \"${{{{ steps.t{number}_{other}.x }}}}\""))
                    .collect();
                format!(", with: {{ {} }}", reads.join(", "))
            }),
        ),
        stage.yaml(
            "one step that reads 12,000 unknown ones",
            422,
            steps(1, |_| {
                let reads: Vec<String> =
                    (0..12_000).map(|other| format!("k{other}: \"${{{{ steps.t{other}.x }}}}\"")).collect();
                format!(", with: {{ {} }}", reads.join(", "))
            }),
        ),
        stage.yaml(
            "as many expressions as are read",
            422,
            steps(200, |number| {
                let reads: Vec<String> = (0..12)
                    .map(|other| format!("k{other}: \"${{{{ steps.t{number}_{other}.x }}}}\""))
                    .collect();
                format!(", with: {{ {} }}", reads.join(", "))
            }),
        ),
        stage.yaml(
            "95,000 values in 190 steps",
            422,
            steps(190, |_| format!(", with: {{ a: [{}x] }}", "x,".repeat(499))),
        ),
        stage.yaml(
            "as many values as are read",
            200,
            steps(190, |_| format!(", with: {{ a: [{}x] }}", "x,".repeat(49))),
        ),
        stage.yaml(
            "one step that needs 90,000",
            422,
            steps(1, |_| {
                let needs: Vec<String> = (0..90_000).map(|other| format!("t{other}")).collect();
                format!(", needs: [{}]", needs.join(","))
            }),
        ),
        stage.yaml("300 parentheses", 422, nested("(", ")", 300)),
        stage.yaml("2,000 signs", 422, nested("-", "", 2_000)),
        stage.yaml("2,000 sums", 422, nested("", "+1", 2_000)),
    ]
}

fn manifests(stage: &Stage<'_>) -> Vec<Row> {
    let manifest = |capabilities: Value| {
        json!({
            "environment": "default", "domain": "other", "instance": "by-hand", "owner": { "team": "Bench" },
            "capabilities": capabilities,
        })
        .to_string()
    };
    let taking = |input: Value| manifest(json!([{ "name": "a", "input": input, "output": true }]));
    let path = "/v1/sessions";
    let fan = |level: usize| {
        let next = json!({ "$ref": format!("#/$defs/w{}", level + 1) });
        (format!("w{level}"), json!({ "anyOf": [next, next] }))
    };
    let mut fanned: serde_json::Map<String, Value> = (0..30).map(fan).collect();
    fanned.insert("w30".to_owned(), json!({ "type": "object" }));
    let alternatives: Vec<Value> = (0..10_000).map(|number| json!({ "const": number })).collect();
    let small = |number: usize| json!({ "name": format!("c{number}"), "input": true, "output": true });
    let labels: serde_json::Map<String, Value> =
        (0..90_000).map(|number| (format!("l{number}"), json!("x"))).collect();
    let deep = format!("{}true{}", r#"{"properties":{"a":"#.repeat(5_000), "}}".repeat(5_000));
    vec![
        stage.post("schema of 5,000 levels", 400, path, taking(json!("@")).replace("\"@\"", &deep)),
        stage.post("10,000 alternatives", 422, path, taking(json!({ "anyOf": alternatives }))),
        stage.post(
            "references that fan out",
            422,
            path,
            taking(json!({ "$defs": fanned, "$ref": "#/$defs/w0" })),
        ),
        stage.post(
            "pattern that is large when compiled",
            422,
            path,
            taking(json!({ "pattern": "\\pL{1000}" })),
        ),
        stage.post(
            "pattern of nested counts",
            422,
            path,
            taking(json!({ "pattern": "((((a{1,30}){1,30}){1,30}){1,30})" })),
        ),
        stage.post(
            "as many values as a manifest may have",
            422,
            path,
            taking(json!({ "enum": vec![0; 449_980] })),
        ),
        stage.post(
            "as many small objects as a manifest may not have",
            422,
            path,
            taking(json!({ "enum": vec![json!({ "a": 1 }); 200_000] })),
        ),
        stage.post("10,001 capabilities", 422, path, manifest((0..10_001).map(small).collect())),
        stage.post("description of 9 MiB", 422, path, taking(json!({ "description": "x".repeat(9 * MIB) }))),
        stage.post(
            "90,000 labels",
            422,
            path,
            manifest(json!([{ "name": "a", "input": true, "output": true, "labels": labels }])),
        ),
        stage.post("manifest of 11 MiB", 413, path, "x".repeat(11 * MIB)),
    ]
}

fn traffic(stage: &Stage<'_>) -> Vec<Row> {
    let of_session = |operation: &str| format!("/v1/sessions/{}/{operation}", stage.session);
    let results = of_session("results");
    let list: Vec<usize> = (0..1_000).collect();
    let running: Vec<String> = (0..10_001).map(|number| format!("task_{number}")).collect();
    let word = format!("{}b", "a".repeat(900_000));
    vec![
        stage.post("result of 33 MiB", 413, &results, "x".repeat(33 * MIB)),
        stage.post(
            "result with a text of 31 MiB",
            200,
            &results,
            json!({ "results": [{ "task_id": "x".repeat(31 * MIB) }] }).to_string(),
        ),
        stage.post(
            "result with thirty texts of 1 MiB",
            200,
            &results,
            json!({ "results": [{ "task_id": stage.session, "output": vec!["x".repeat(MIB); 30] }] })
                .to_string(),
        ),
        stage.post(
            "result of 300 levels",
            400,
            &results,
            format!("{{\"results\":{}1{}}}", "[".repeat(300), "]".repeat(300)),
        ),
        stage.post(
            "10,001 running tasks",
            422,
            &of_session("heartbeat"),
            json!({ "running": running }).to_string(),
        ),
        stage.post(
            "pattern against 900 KB",
            422,
            "/v1/requests",
            json!({ "contract": "bad/step", "input": { "word": word } }).to_string(),
        ),
        stage.post(
            "expression bombs",
            201,
            "/v1/requests",
            json!({ "contract": "bad/bomb", "input": { "list": list, "text": "x".repeat(100_000) } })
                .to_string(),
        ),
    ]
}

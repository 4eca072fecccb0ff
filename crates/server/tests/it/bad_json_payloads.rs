//! Bad JSON on the routes of the API: what each route refuses, and what a payload keeps from one end to the other.

use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest};
use crate::witness::Witness;

/// A payload with its keys in order, as it is written again.
const PAYLOAD: &str = r#"{"__proto__":{"a":1},"constructor":{"prototype":null},"numbers":[9007199254740993,18446744073709551616,-9223372036854775809,123456789012345678901234567890,1.10,1.0,-0,1e+2,2.5e-300],"toString":7}"#;

/// Characters that names must not have, and payloads may.
const ODD_TEXT: &str = "\u{fffe}\u{fdd0}\u{e000}\u{378}\u{10ffff} a\u{202e}b 👩\u{200d}🚀 e\u{301}";

fn accounts() -> Value {
    manifest("billing", &[capability("account", &["produce"])])
}

#[tokio::test]
async fn a_payload_comes_back_digit_for_digit_from_consumer_and_supplier() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let input = format!(r#"{{"country":"CZ","given":{PAYLOAD},"odd":{}}}"#, json!(ODD_TEXT));
    let made =
        admin.post_text("/v1/requests", format!(r#"{{"contract":"billing/account","input":{input}}}"#)).await;
    assert!(made.text.contains(&input), "the answer shows it: {}", made.text);
    let request = format!("/v1/requests/{}", made.expect(201)["id"].as_str().unwrap());
    assert!(admin.get(&request).await.text.contains(&input), "a later reader sees it");
    let claimed = admin.post(&supplier.path("claim"), &json!({"max": 1, "wait_s": 20})).await;
    assert!(claimed.text.contains(&input), "the supplier gets it: {}", claimed.text);
    let task = claimed.expect(200)["tasks"][0].clone();
    let output = format!(r#"{{"id":"a-1","made":{PAYLOAD},"odd":{}}}"#, json!(ODD_TEXT));
    let result = format!(
        r#"{{"results":[{{"task_id":{},"attempt":{},"outcome":"done","output":{output}}}]}}"#,
        task["id"], task["attempt"]
    );
    let receipts = admin.post_text(&supplier.path("results"), result).await.expect(200);
    assert_eq!(receipts["results"][0]["accepted"], true, "{receipts}");
    let fulfilled = admin.until(&request, |request| request["status"] == "fulfilled").await;
    let lease = &fulfilled["leases"][0];
    for path in [
        request,
        format!("/v1/leases/{}", lease["id"].as_str().unwrap()),
        format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap()),
        "/v1/datasets".to_owned(),
    ] {
        let reply = admin.get(&path).await;
        assert!(reply.text.contains(&output), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_number_that_would_have_to_be_expanded_is_refused_at_both_ends() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let long = "9".repeat(401);
    let mut witness = Witness::of(&server, &admin).await;
    for (number, code) in [
        ("1e400", "input_invalid"),
        ("1e-309", "input_invalid"),
        (&long[..101], "input_invalid"),
        ("1e131071", "number_range"),
        ("-1E+99999999999999999999", "number_range"),
        (&long, "number_range"),
    ] {
        let body = format!(r#"{{"contract":"billing/account","input":{{"deep":[{{"n":{number}}}]}}}}"#);
        let reply = witness.post_text("/v1/requests", body).await;
        reply.refused(422, code);
        assert_eq!(reply.json()["errors"][0]["pointer"], "/input/deep/0/n", "{}", reply.text);
        assert!(reply.text.len() < 2_000, "it is not written out: {}", reply.text);
    }
    witness.end().await;
    admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = supplier.claim().await;
    let result = |number: &str| {
        let id = &task["id"];
        format!(
            r#"{{"results":[{{"task_id":{id},"attempt":1,"outcome":"done","output":{{"id":"a","n":{number}}}}}]}}"#
        )
    };
    admin.post_text(&supplier.path("results"), result("1e131071")).await.refused(422, "number_range");
    let receipts = admin.post_text(&supplier.path("results"), result("1e400")).await.expect(200);
    assert_eq!(receipts["results"][0]["reason"], "contract_violation", "{receipts}");
}

#[tokio::test]
async fn a_text_of_many_megabytes_is_refused_wherever_it_stands() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let text = "x".repeat(16 * 1024 * 1024);
    let input = json!({"contract": "billing/account", "input": {"country": text}});
    admin.post("/v1/requests", &input).await.refused(413, "body_too_large");
    admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = supplier.claim().await;
    let receipt = supplier.answer(&task, json!({"outcome": "done", "output": {"id": text}})).await;
    assert_eq!(receipt["reason"], "contract_violation", "{}", receipt["message"]);
    assert!(receipt["message"].as_str().unwrap().len() < 1_000, "it is not repeated");
}

/// What stands for a value in the bodies below.
const HERE: &str = "@";

/// An integer of a body: its route, its body around the integer, its place and its bounds.
struct IntegerField {
    path: String,
    body: String,
    pointer: &'static str,
    min: i128,
    max: i128,
}

async fn integer_fields(admin: &Api) -> Vec<IntegerField> {
    let supplier = HandSupplier::open(admin, &accounts()).await;
    let claim = supplier.path("claim");
    supplier.serve();
    let made = admin.post("/v1/requests?wait_s=20", &json!({"contract": "billing/account"})).await;
    let lease = made.expect(201)["leases"][0].clone();
    let (id, fence) = (lease["id"].as_str().unwrap(), &lease["fence"]);
    let field = |path: &str, body: &str, pointer: &'static str, min: i128, max: i128| IntegerField {
        path: path.to_owned(),
        body: body.replace("FENCE", &fence.to_string()),
        pointer,
        min,
        max,
    };
    let renew = format!("/v1/leases/{id}/renew");
    let extend = format!("/v1/leases/{id}/extend");
    let fence_max = (1 << 53) - 1;
    vec![
        field("/v1/requests", r#"{"contract":"billing/account","count":@}"#, "/count", 1, 1_000),
        field("/v1/requests", r#"{"contract":"billing/account","timeout_s":@}"#, "/timeout_s", 1, 86_400),
        field(
            "/v1/requests",
            r#"{"contract":"billing/account","lease":{"ttl_s":@}}"#,
            "/lease/ttl_s",
            1,
            86_400,
        ),
        field(
            "/v1/tokens",
            r#"{"name":"a","role":"consumer","expires_in_s":@}"#,
            "/expires_in_s",
            60,
            31_536_000,
        ),
        field(&renew, r#"{"fence":FENCE,"ttl_s":@}"#, "/ttl_s", 1, 86_400),
        field(&renew, r#"{"fence":@}"#, "/fence", 0, fence_max),
        field(&renew.replace("renew", "release"), r#"{"fence":@}"#, "/fence", 0, fence_max),
        field(&extend, r#"{"fence":@,"contract":"billing/account"}"#, "/fence", 0, fence_max),
        field(&extend, r#"{"fence":FENCE,"contract":"billing/account","number":@}"#, "/number", 1, 20),
        field(&claim, r#"{"max":@}"#, "/max", 1, 100),
        field(&claim, r#"{"wait_s":@}"#, "/wait_s", 0, 30),
    ]
}

#[tokio::test]
async fn an_integer_field_takes_plain_digits_within_its_bounds_and_names_both() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let fields = integer_fields(&admin).await;
    let mut witness = Witness::of(&server, &admin).await;
    for IntegerField { path, body, pointer, min, max } in &fields {
        let mut refusal = async |value: &str, code: &str| {
            let reply = witness.post_text(path, body.replace(HERE, value)).await;
            assert_eq!((reply.status, reply.code().as_str()), (422, code), "{path} {value}: {}", reply.text);
            let fault = reply.json()["errors"][0].clone();
            assert_eq!(fault["pointer"], *pointer, "{path} {value}: {fault}");
            fault["message"].as_str().unwrap().to_owned()
        };
        for value in [
            "1.0",
            "1e2",
            "1E2",
            "-0",
            "true",
            "null",
            "[1]",
            "{}",
            r#""1""#,
            r#""""#,
            r#""12""#,
            r#""5m""#,
            r#""90s""#,
            r#""PT5S""#,
            r#""P1Y""#,
            r#""-PT5S""#,
            r#""1 day""#,
            r#""1h30""#,
            r#""ten""#,
        ] {
            refusal(value, "type").await;
        }
        let edges = [
            -1,
            0,
            min - 1,
            max + 1,
            1 << 31,
            1 << 53,
            (1 << 63) - 1,
            1 << 63,
            1 << 64,
            -(1 << 63) - 1,
            1_000_000_000_000_000_000_000_000_000_000,
        ];
        for value in edges.into_iter().filter(|value| !(min..=max).contains(&value)) {
            let message = refusal(&value.to_string(), "range").await;
            let (min, max) = (min.to_string(), max.to_string());
            assert!(message.contains(&min) && message.contains(&max), "{path} {value}: {message}");
        }
    }
    witness.end().await;
}

/// Every route that takes JSON, with a body that it takes.
async fn routes(admin: &Api) -> Vec<(String, Value)> {
    let supplier = HandSupplier::open(admin, &accounts()).await;
    let lease = "/v1/leases/lease_00000000000000000000000000";
    vec![
        ("/v1/requests".to_owned(), json!({"contract": "billing/account"})),
        ("/v1/tokens".to_owned(), json!({"name": "a", "role": "consumer"})),
        ("/v1/sessions".to_owned(), accounts()),
        (supplier.path("claim"), json!({"max": 1})),
        (supplier.path("heartbeat"), json!({"running": []})),
        (supplier.path("results"), json!({"results": [{"task_id": "a", "attempt": 1}]})),
        (format!("{lease}/renew"), json!({"fence": 1})),
        (format!("{lease}/release"), json!({"fence": 1})),
        (format!("{lease}/extend"), json!({"fence": 1, "contract": "billing/account"})),
        (
            "/v1/environments/default/apply".to_owned(),
            json!({"files": [{"path": "a.yaml", "text": "a"}], "dry_run": true}),
        ),
    ]
}

#[tokio::test]
async fn every_route_refuses_what_is_not_its_json() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let routes = routes(&admin).await;
    let mut witness = Witness::of(&server, &admin).await;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (path, body) in &routes {
        let body = body.to_string();
        let inside = &body[1..body.len() - 1];
        let rows = [
            (String::new(), 400, "json_syntax"),
            ("{".to_owned(), 400, "json_syntax"),
            ("{'a':1}".to_owned(), 400, "json_syntax"),
            (format!("{{{inside},}}"), 400, "json_syntax"),
            (format!("{body}x"), 400, "json_syntax"),
            (format!("\u{feff}{body}"), 400, "json_syntax"),
            (format!(r#"{{{inside},"a":NaN}}"#), 400, "json_syntax"),
            (format!(r#"{{{inside},"a":01}}"#), 400, "json_syntax"),
            (format!(r#"{{{inside},"a":"\x"}}"#), 400, "json_syntax"),
            (format!("{{{inside},\"a\":\"\n\"}}"), 400, "json_syntax"),
            (format!(r#"{{{inside},"a":"\ud800"}}"#), 400, "json_syntax"),
            (format!(r#"{{{inside},"a":{}}}"#, deep(128)), 400, "json_too_deep"),
            (deep(100_000), 400, "json_too_deep"),
            (format!("{{{inside},{inside}}}"), 400, "duplicate_key"),
            (format!(r#"{{{inside},"a":1,"\u0061":1}}"#), 400, "duplicate_key"),
            (format!(r#"{{{inside},"a":[{{"b":{{"c":1,"c":1}}}}]}}"#), 400, "duplicate_key"),
            (format!(r#"{{{inside},"a":"\u0000"}}"#), 422, "nul_not_allowed"),
            (format!(r#"{{{inside},"\u0000":1}}"#), 422, "nul_not_allowed"),
            (format!(r#"{{{inside},"a":1e131071}}"#), 422, "number_range"),
            (format!(r#"{{{inside},"{}":1}}"#, "k".repeat(100_000)), 422, "key_too_long"),
            ("[]".to_owned(), 422, "type"),
            ("\"x\"".to_owned(), 422, "type"),
            ("1".to_owned(), 422, "type"),
            ("true".to_owned(), 422, "type"),
            ("null".to_owned(), 422, "type"),
        ];
        for (text, status, code) in rows {
            let reply = witness.post_text(path, &text).await;
            let found = (reply.status, reply.code());
            assert_eq!(found, (status, code.to_owned()), "{path} {text:.80}: {}", reply.text);
            let place = &reply.json()["errors"][0];
            assert!(status == 422 || place["line"].is_u64() && place["column"].is_u64(), "{path}: {place}");
        }
    }
    witness.end().await;
}

#[tokio::test]
async fn a_field_that_is_not_to_be_given_is_refused_with_the_nearest_name() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let routes = routes(&admin).await;
    let mut witness = Witness::of(&server, &admin).await;
    for (path, body) in &routes {
        // Fields of an answer, of another version and of nobody.
        for name in ["id", "status", "created_at", "revision", "apiVersion", "__proto__", "x y/~z"] {
            let mut more = body.clone();
            more[name] = json!(1);
            let reply = witness.post(path, &more).await;
            reply.refused(422, "unknown_field");
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            assert_eq!(reply.json()["errors"][0]["pointer"], pointer.as_str(), "{path}: {}", reply.text);
        }
        let known = body.as_object().unwrap().keys().next().unwrap();
        let mut misspelt = body.clone();
        misspelt[format!("{known}e")] = json!(1);
        let reply = witness.post(path, &misspelt).await;
        reply.refused(422, "unknown_field");
        let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("did you mean") && message.contains(known), "{path}: {message}");
    }
    witness.end().await;
}

#[tokio::test]
async fn null_is_not_the_absence_of_a_field() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let mut witness = Witness::of(&server, &admin).await;
    let mut null = async |path: &str, mut body: Value, field: &str| {
        body[field] = Value::Null;
        let reply = witness.post(path, &body).await;
        reply.refused(422, "type");
        assert_eq!(reply.json()["errors"][0]["pointer"], format!("/{field}"), "{path}: {}", reply.text);
    };
    let order = json!({"contract": "billing/account"});
    for field in [
        "contract",
        "input",
        "items",
        "count",
        "environment",
        "source",
        "lease",
        "holder",
        "timeout_s",
        "priority",
    ] {
        null("/v1/requests", order.clone(), field).await;
    }
    for field in ["name", "role", "environment", "domain", "expires_in_s"] {
        null("/v1/tokens", json!({"name": "a", "role": "supplier"}), field).await;
    }
    for field in ["max", "wait_s"] {
        null(&supplier.path("claim"), json!({}), field).await;
    }
    for field in ["outcome", "note"] {
        let lease = "/v1/leases/lease_00000000000000000000000000/release";
        null(lease, json!({"fence": 1}), field).await;
    }
    witness.end().await;
}

/// Parts of names of types and of their kinds: of the language that the server is written in, and of the server.
const LEAKS: [&str; 20] = [
    "Json",
    "enum ",
    "struct ",
    "tuple",
    "visitor",
    "variant",
    "newtype",
    "::",
    " u8",
    " u16",
    " u32",
    " u64",
    " i32",
    " i64",
    " f64",
    "usize",
    "a map",
    "a sequence",
    "Option",
    "serde",
];

/// Values of every type, none of which fits most fields.
fn of_every_type() -> [Value; 7] {
    [
        json!(-1),
        json!(1.5),
        json!(true),
        json!("no such word"),
        json!([[]]),
        json!({"a": {"b": 1}}),
        json!(null),
    ]
}

#[tokio::test]
async fn no_field_of_any_body_and_no_parameter_is_told_of_by_a_name_of_ours() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let document: Value = admin.get("/openapi.json").await.json();
    let (mut sent, mut refused) = (0, 0);
    let mut look = |what: String, reply: &crate::api_server::Reply| {
        sent += 1;
        refused += u32::from(reply.status == 422);
        assert_ne!(reply.status, 500, "{what}: {}", reply.text);
        // That everything is well is told as text.
        if reply.text.is_empty()
            || (reply.status == 200 && reply.header("content-type").starts_with("text/plain"))
        {
            return;
        }
        let problem = reply.json();
        // Results are told each for itself.
        let lists =
            [&problem["errors"], &problem["results"]].into_iter().filter_map(Value::as_array).flatten();
        let faults = lists.map(|fault| &fault["message"]);
        for text in faults.chain([&problem["detail"]]).filter_map(Value::as_str) {
            let leak = LEAKS.iter().find(|leak| text.contains(**leak));
            assert_eq!(leak, None, "{what}: {text}");
        }
    };
    for (template, operations) in document["paths"].as_object().unwrap() {
        let path = template
            .replace("/sessions/{id}", &format!("/sessions/{}", supplier.session))
            .replace("{env}", "default")
            .replace("{domain}", "billing")
            .replace("{name}", "account")
            .replace("{version}", "1")
            .replace("{id}", "x");
        for (method, operation) in operations.as_object().unwrap() {
            let method: reqwest::Method = method.to_uppercase().parse().unwrap();
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            // The stream of events does not end; what is wrong with its parameters is told before it begins.
            for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
                let name = parameter["name"].as_str().unwrap();
                for value in ["-1", "no+such+word", ""].iter().filter(|_| template != "/v1/events") {
                    let reply = crate::api_server::read(
                        admin.request(method.clone(), &format!("{path}?{name}={value}")),
                    )
                    .await;
                    look(format!("{method} {template}?{name}={value}"), &reply);
                }
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            for (pointer, body) in wrong_bodies(&document, schema) {
                let reply = crate::api_server::read(admin.request(method.clone(), &path).json(&body)).await;
                look(format!("{method} {template} {pointer} {body}"), &reply);
            }
        }
    }
    assert!(sent > 400 && refused > 300, "{sent} were sent, {refused} of them refused");
}

/// Bodies of one field each, with values of every type; also of the objects that fields hold, alone or in lists.
fn wrong_bodies(document: &Value, schema: &Value) -> Vec<(String, Value)> {
    let mut bodies = Vec::new();
    let mut open = vec![(String::new(), schema.clone(), HERE.to_owned())];
    while let Some((pointer, schema, around)) = open.pop() {
        let schema = match schema["$ref"].as_str() {
            Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap().clone(),
            None => schema,
        };
        // Deeper than any body of the API.
        if pointer.matches('/').count() > 6 {
            continue;
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let inside = around.replace(HERE, &format!("{{{}:{HERE}}}", json!(name)));
            let pointer = format!("{pointer}/{name}");
            for value in of_every_type() {
                let body = inside.replace(HERE, &value.to_string());
                bodies.push((pointer.clone(), serde_json::from_str(&body).unwrap()));
            }
            let items = &property["items"];
            if items.is_object() {
                open.push((pointer.clone(), items.clone(), inside.replace(HERE, &format!("[{HERE}]"))));
            }
            open.push((pointer, property.clone(), inside));
        }
    }
    bodies
}

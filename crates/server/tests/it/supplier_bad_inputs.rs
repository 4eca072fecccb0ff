//! Rubbish from suppliers: bad manifests, claims and results, each with its status and code, and nothing changed.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, HandSupplier, capability, manifest};

fn accounts() -> Value {
    manifest("billing", &[capability("account", &["produce", "check", "undo"])])
}

#[tokio::test]
async fn a_bad_manifest_is_refused_and_publishes_nothing() {
    let server = ApiServer::start().await;
    let supplier = server.supplier().await;
    let before = server.engine.last_event().await.unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut manifest = accounts();
        *manifest.pointer_mut(pointer).unwrap() = value;
        manifest
    };
    let without = |name: &str| {
        let mut manifest = accounts();
        manifest.as_object_mut().unwrap().remove(name);
        manifest
    };
    let with = |name: &str, value: Value| {
        let mut manifest = accounts();
        manifest[name] = value;
        manifest
    };
    let in_channel = |channel: Value| {
        let mut manifest = with("mode", json!("dev"));
        manifest["channel"] = channel;
        manifest
    };
    let rows = [
        (json!([]), "type", ""),
        (without("domain"), "required", "/domain"),
        (without("environment"), "required", "/environment"),
        (without("owner"), "required", "/owner"),
        (changed("/domain", json!("Bill ing")), "name_pattern", "/domain"),
        (changed("/capabilities", json!([])), "limit", "/capabilities"),
        (with("mode", json!("sometimes")), "enum", "/mode"),
        (with("mode", json!("dev")), "required", "/channel"),
        (with("channel", json!("anna")), "not_allowed", "/channel"),
        (in_channel(json!("")), "name_pattern", "/channel"),
        (in_channel(json!("Anna's laptop")), "name_pattern", "/channel"),
        (in_channel(json!("a".repeat(64))), "name_pattern", "/channel"),
        (in_channel(json!(7)), "type", "/channel"),
        (in_channel(Value::Null), "type", "/channel"),
        (with("moed", json!("deployment")), "unknown_field", "/moed"),
        (
            changed("/capabilities/0/input", json!({"$ref": "https://x.test/a"})),
            "ref_not_allowed",
            "/capabilities/0/input/$ref",
        ),
        (changed("/capabilities/0/operations", json!(["check"])), "required", "/capabilities/0/operations"),
        (
            changed("/capabilities/0/retry", json!({"max_attempts": 0})),
            "range",
            "/capabilities/0/retry/max_attempts",
        ),
    ];
    for (manifest, code, pointer) in rows {
        let reply = supplier.post("/v1/sessions", &manifest).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{}", reply.text);
        assert_eq!(
            reply.json()["errors"][0]["pointer"].as_str().unwrap_or_default(),
            pointer,
            "{}",
            reply.text
        );
    }
    supplier.post_text("/v1/sessions", "x".repeat(11 * 1024 * 1024)).await.refused(413, "body_too_large");
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
    assert_eq!(supplier.get("/v1/environments").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn a_bad_claim_or_heartbeat_is_refused() {
    let server = ApiServer::start().await;
    let supplier = HandSupplier::open(&server.supplier().await, &accounts()).await;
    for (operation, body, code) in [
        ("claim", r#"{"max":0}"#, "range"),
        ("claim", r#"{"max":101}"#, "range"),
        ("claim", r#"{"max":1000000}"#, "range"),
        ("claim", r#"{"wait_s":-1}"#, "range"),
        ("claim", r#"{"wait_s":31}"#, "range"),
        ("claim", r#"{"wait_s":1000000000}"#, "range"),
        ("claim", r#"{"wait_s":"5"}"#, "type"),
        ("claim", r#"{"wait_ms":5}"#, "unknown_field"),
        ("heartbeat", r"{}", "missing_field"),
        ("heartbeat", r#"{"running":"all"}"#, "type"),
        ("heartbeat", r#"{"running":[7]}"#, "type"),
        ("results", r#"{"results":[]}"#, "range"),
        ("results", r#"{"results":{}}"#, "type"),
        ("results", r"{}", "missing_field"),
    ] {
        let reply = supplier.api.post_text(&supplier.path(operation), body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{operation} {body}: {}", reply.text);
    }
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    supplier.api.post(&supplier.path("heartbeat"), &json!({"running": many})).await.refused(422, "too_many");
    let many = vec![json!({}); 101];
    supplier.api.post(&supplier.path("results"), &json!({"results": many})).await.refused(422, "too_many");
    let none = supplier.api.post(&supplier.path("claim"), &json!({"wait_s": 0})).await.expect(200);
    assert_eq!(none, json!({"tasks": []}), "no wait answers at once");
}

/// Results that are none, and the words that the receipt explains it with.
const BAD_RESULTS: &[(&str, &str)] = &[
    (r#"{"outcome":"finished"}"#, "/outcome"),
    (r"{}", "/outcome"),
    (r#"{"outcome":"done","output":{"id":"a"},"verdict":"valid"}"#, "/output"),
    (r#"{"outcome":"done","facts":{}}"#, "/facts"),
    (r#"{"outcome":"done","output":{"id":"a"},"retryable":true}"#, "/retryable"),
    (r#"{"outcome":"done","verdict":"good"}"#, "/verdict"),
    (r#"{"outcome":"again"}"#, "/after_ms"),
    (r#"{"outcome":"again","after_ms":1.5}"#, "/after_ms"),
    (r#"{"outcome":"failed","retryable":true,"message":"x"}"#, "/code"),
    (r#"{"outcome":"failed","retryable":true,"code":"Not A Code","message":"x"}"#, "/code"),
    (r#"{"outcome":"failed","code":"x","message":"x"}"#, "/retryable"),
    (r#"{"outcome":"obtain","children":[]}"#, "/children"),
    (r#"{"outcome":"obtain","children":[{"name":"A b","contract":"x/y"}]}"#, "/children/0/name"),
    (r#"{"outcome":"obtain","children":[{"name":"a","contract":"x"}]}"#, "/children/0/contract"),
    (r#"{"outcome":"done","output":{"id":"a"},"progress":150}"#, "/progress"),
];

#[tokio::test]
async fn a_bad_result_leaves_the_task_with_its_supplier() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = supplier.claim().await;
    let before = server.engine.last_event().await.unwrap();
    for (rest, place) in BAD_RESULTS {
        let receipt = supplier.answer(&task, serde_json::from_str(rest).unwrap()).await;
        assert_eq!(
            (&receipt["accepted"], &receipt["reason"]),
            (&json!(false), &json!("bad_result")),
            "{rest}"
        );
        assert!(receipt["message"].as_str().unwrap().contains(place), "{rest}: {receipt}");
    }
    for (field, bytes) in [("state", 65 * 1024), ("state", 2 * 1024 * 1024)] {
        let mut large = json!({"outcome": "again", "after_ms": 1});
        large[field] = json!("x".repeat(bytes));
        assert_eq!(supplier.answer(&task, large).await["reason"], "bad_result");
    }
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
    let receipt = supplier.answer(&task, json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    assert_eq!(receipt["accepted"], true, "one that is good is still taken");
}

#[tokio::test]
async fn results_for_what_is_not_ones_own_are_refused_by_reason_and_harm_no_other() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let billing = HandSupplier::open(&admin, &accounts()).await;
    let order = HandSupplier::open(&admin, &manifest("order", &[capability("draft", &["produce"])])).await;
    admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = billing.claim().await;
    let done = |id: &Value, attempt: u32| json!({"task_id": id, "attempt": attempt, "outcome": "done", "output": {"id": "a-1"}});
    let foreign = order.answer(&task, json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    assert_eq!(foreign["reason"], "unknown_task");
    let missing = json!(task["id"].as_str().unwrap().replace("_0_1", "_0_9"));
    let results = json!({"results": [
        done(&json!("rubbish"), 1), done(&json!(7), 1), done(&missing, 1), done(&task["id"], 2), "rubbish", done(&task["id"], 1),
        done(&task["id"], 1),
    ]});
    let receipts = admin.post(&billing.path("results"), &results).await.expect(200);
    let reasons: Vec<Value> =
        receipts["results"].as_array().unwrap().iter().map(|receipt| receipt["reason"].clone()).collect();
    assert_eq!(reasons[..2], [json!("unknown_task"), json!("unknown_task")]);
    assert_eq!(reasons[2], "unknown_task");
    assert_eq!(reasons[3], "claim_lost", "another attempt goes on: {receipts}");
    assert_eq!(reasons[4], "unknown_task");
    let good = &receipts["results"].as_array().unwrap()[5..];
    let accepted = good.iter().filter(|receipt| receipt["accepted"] == true).count();
    assert_eq!(accepted, 1, "of two equal answers one is taken: {receipts}");
    let again = billing.answer(&task, json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    assert_eq!((&again["accepted"], &again["reason"]), (&json!(false), &json!("already_completed")));
}

#[tokio::test]
async fn a_supplier_cannot_ask_for_the_past_or_for_next_year() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let made = admin
        .post("/v1/requests", &json!({"contract": "billing/account", "timeout_s": 86400}))
        .await
        .expect(201);
    supplier.perform("produce", json!({"outcome": "again", "after_ms": -5})).await;
    supplier.perform("produce", json!({"outcome": "again", "after_ms": 1_000_000_000})).await;
    let dataset = made["progress"]["steps"][0]["dataset_id"].as_str().unwrap();
    let shown = admin.get(&format!("/v1/datasets/{dataset}")).await.expect(200);
    assert_eq!(shown["status"], "waiting");
}

#[tokio::test]
async fn a_call_that_cannot_be_read_changes_nothing_and_a_long_message_is_cut() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = supplier.claim().await;
    let before = server.engine.last_event().await.unwrap();
    let result = |output: &str| {
        let id = task["id"].as_str().unwrap();
        format!(r#"{{"results":[{{"task_id":"{id}","attempt":1,"outcome":"done","output":{output}}}]}}"#)
    };
    let deep = format!("{}1{}", "[".repeat(129), "]".repeat(129));
    let keys: Vec<String> = (0..100_001).map(|key| format!("\"k{key}\":1")).collect();
    for (output, status, code) in [
        (deep, 400, "json_too_deep"),
        (format!("{{{}}}", keys.join(",")), 422, "too_many_values"),
        (r#"{"id":"a\u0000b"}"#.to_owned(), 422, "nul_not_allowed"),
        (r#"{"id":"a","id":"b"}"#.to_owned(), 400, "duplicate_key"),
    ] {
        supplier.api.post_text(&supplier.path("results"), result(&output)).await.refused(status, code);
    }
    let long = format!("{{\"results\":[\"{}\"]}}", "x".repeat(33 * 1024 * 1024));
    supplier.api.post_text(&supplier.path("results"), long).await.refused(413, "body_too_large");
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
    let message = "é".repeat(3_000);
    let failed = json!({"outcome": "failed", "retryable": false, "code": "no", "message": message});
    assert_eq!(supplier.answer(&task, failed).await["accepted"], true, "one that is good is still taken");
    let failed = admin.get(&format!("/v1/requests/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(failed["failure"]["message"].as_str().unwrap().chars().count(), 2_000);
}

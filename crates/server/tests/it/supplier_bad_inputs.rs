//! Rubbish from suppliers: bad manifests, claims and results, each with its status and code, and nothing changed.

use serde_json::{Value, json};

use crate::api_server::{ApiServer, HandSupplier, capability, manifest, within};
use crate::witness::Witness;

fn accounts() -> Value {
    manifest("billing", &[capability("account", &["produce", "check", "undo"])])
}

#[tokio::test]
async fn a_bad_manifest_is_refused_and_publishes_nothing() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut witness = Witness::of(&server, &admin).await;
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
        let reply = witness.post("/v1/sessions", &manifest).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{}", reply.text);
        assert_eq!(
            reply.json()["errors"][0]["pointer"].as_str().unwrap_or_default(),
            pointer,
            "{}",
            reply.text
        );
    }
    witness.post_text("/v1/sessions", "x".repeat(11 * 1024 * 1024)).await.refused(413, "body_too_large");
    witness.end().await;
    assert_eq!(admin.get("/v1/environments").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn a_bad_claim_or_heartbeat_is_refused() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let mut witness = Witness::of(&server, &admin).await;
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
        let reply = witness.post_text(&supplier.path(operation), body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{operation} {body}: {}", reply.text);
    }
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    witness.post(&supplier.path("heartbeat"), &json!({"running": many})).await.refused(422, "too_many");
    let many = vec![json!({}); 101];
    witness.post(&supplier.path("results"), &json!({"results": many})).await.refused(422, "too_many");
    let none = witness.post(&supplier.path("claim"), &json!({"wait_s": 0})).await.expect(200);
    assert_eq!(none, json!({"tasks": []}), "no wait answers at once");
    witness.end().await;
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
    let witness = Witness::of(&server, &admin).await;
    for (rest, place) in BAD_RESULTS {
        let receipt = supplier.answer(&task, serde_json::from_str(rest).unwrap()).await;
        assert_eq!(
            (&receipt["accepted"], &receipt["reason"]),
            (&json!(false), &json!("bad_result")),
            "{rest}"
        );
        assert!(receipt["message"].as_str().unwrap().contains(place), "{rest}: {receipt}");
    }
    for (rest, field, kib, place) in [
        (json!({"outcome": "again", "after_ms": 1}), "state", 65, "/state: has more than 65536 bytes"),
        (json!({"outcome": "again", "after_ms": 1}), "state", 2 * 1024, "/state: has more than 65536 bytes"),
        (
            json!({"outcome": "done", "verdict": "valid"}),
            "facts",
            2 * 1024,
            "/facts: has more than 1048576 bytes",
        ),
        (json!({"outcome": "done", "output": {}}), "rubbish", 2 * 1024, "/rubbish"),
    ] {
        let mut large = rest;
        large[field] = json!("x".repeat(kib * 1024));
        let receipt = supplier.answer(&task, large).await;
        assert_eq!(receipt["reason"], "bad_result", "{field} of {kib} KiB");
        assert!(receipt["message"].as_str().unwrap().contains(place), "{field} of {kib} KiB: {receipt}");
    }
    witness.end().await;
    let receipt = supplier.answer(&task, json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    assert_eq!(receipt["accepted"], true, "one that is good is still taken");
}

#[tokio::test]
async fn a_text_of_many_megabytes_fails_its_own_result_and_no_other() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    for _ in 0..3 {
        admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    }
    let tasks = [supplier.claim().await, supplier.claim().await, supplier.claim().await];
    let huge = "x".repeat(8 * 1024 * 1024);
    let mut results = [
        json!({"outcome": "done", "output": {"id": huge}}),
        json!({"outcome": "failed", "retryable": false, "code": "no", "message": huge}),
        json!({"outcome": "done", "output": {"id": "a-1"}}),
    ];
    for (result, task) in results.iter_mut().zip(&tasks) {
        result["task_id"] = task["id"].clone();
        result["attempt"] = task["attempt"].clone();
    }
    let receipts = admin.post(&supplier.path("results"), &json!({"results": results})).await.expect(200);
    let told: Vec<_> = receipts["results"].as_array().unwrap().iter().collect();
    assert!(told.iter().all(|receipt| receipt["accepted"] == true), "{receipts}");
    let reasons = [json!("contract_violation"), Value::Null, Value::Null];
    assert!(told.iter().zip(&reasons).all(|(receipt, reason)| receipt["reason"] == *reason), "{receipts}");
    assert!(told[0]["message"].as_str().unwrap().contains("more than 1048576 bytes"), "{receipts}");
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
    let mut witness = Witness::of(&server, &admin).await;
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
        witness.post_text(&supplier.path("results"), result(&output)).await.refused(status, code);
    }
    let long = format!("{{\"results\":[\"{}\"]}}", "x".repeat(33 * 1024 * 1024));
    witness.post_text(&supplier.path("results"), long).await.refused(413, "body_too_large");
    witness.end().await;
    let message = "é".repeat(3_000);
    let failed = json!({"outcome": "failed", "retryable": false, "code": "no", "message": message});
    assert_eq!(supplier.answer(&task, failed).await["accepted"], true, "one that is good is still taken");
    let failed = admin.get(&format!("/v1/requests/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(failed["failure"]["message"].as_str().unwrap().chars().count(), 2_000);
}

#[tokio::test]
async fn a_supplier_of_another_protocol_is_told_which_one_is_spoken() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut witness = Witness::of(&server, &admin).await;
    for (named, who) in [
        (json!(0), "upgrade the SDK of the supplier"),
        (json!(-1), "upgrade the SDK of the supplier"),
        (json!(2), "upgrade the server"),
        (serde_json::from_str("99999999999999999999").unwrap(), "upgrade the server"),
    ] {
        // What else there is may mean something else in that protocol, and is not looked at.
        let manifest = json!({"protocol": named, "capabilities": {"of": "another form"}});
        let reply = witness.post("/v1/sessions", &manifest).await;
        reply.refused(409, "protocol");
        let problem = reply.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with(&format!("The supplier speaks protocol {named}, and this server speaks 1")),
            "{detail}"
        );
        assert!(detail.contains(who), "{detail}");
        assert_eq!(problem["errors"][0]["pointer"], "/protocol");
        assert_eq!(problem["errors"][0]["message"], "must be 1");
    }
    for (named, code) in [(json!("1"), "type"), (json!(1.5), "type"), (Value::Null, "type")] {
        let mut manifest = accounts();
        manifest["protocol"] = named;
        let reply = witness.post("/v1/sessions", &manifest).await;
        reply.refused(422, code);
        assert_eq!(reply.json()["errors"][0]["pointer"], "/protocol", "{}", reply.text);
    }
    witness.end().await;
    let mut manifest = accounts();
    manifest["protocol"] = json!(1);
    let opened = admin.post("/v1/sessions", &manifest).await.expect(201);
    assert_eq!(opened["protocols"], json!({"min": 1, "max": 1}));
}

#[tokio::test]
async fn strictly_taken_a_warning_refuses_a_manifest() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut witness = Witness::of(&server, &admin).await;
    let mut slip = accounts();
    slip["capabilities"][0]["input"]["properties"]["country"]["default"] = json!(7);
    let reply = witness.post("/v1/sessions?strict=true", &slip).await;
    reply.refused(422, "example_invalid");
    let at = "/capabilities/0/input/properties/country/default";
    assert_eq!(reply.json()["errors"][0]["pointer"], at, "{}", reply.text);
    witness.end().await;
    let opened = admin.post("/v1/sessions", &slip).await.expect(201);
    assert_eq!(opened["warnings"][0]["pointer"], at, "otherwise it is only warned of");
    admin.post("/v1/sessions?strict=true", &accounts()).await.expect(201);
}

#[tokio::test]
async fn a_manifest_of_too_many_is_refused_by_count() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut witness = Witness::of(&server, &admin).await;
    let small = |number: usize| json!({"name": format!("c{number}"), "input": true, "output": true});
    let many = manifest("billing", &(0..10_001).map(small).collect::<Vec<_>>());
    let reply = witness.post("/v1/sessions", &many).await;
    reply.refused(422, "limit");
    assert!(reply.text.contains("1000"), "{}", reply.text);
    for labels in [33, 50_000] {
        let mut labelled = accounts();
        labelled["capabilities"][0]["labels"] =
            (0..labels).map(|number| (format!("l{number}"), json!("x"))).collect();
        let reply = witness.post("/v1/sessions", &labelled).await;
        reply.refused(422, "limit");
        assert_eq!(reply.json()["errors"][0]["pointer"], "/capabilities/0/labels", "{}", reply.text);
    }
    let mut labelled = accounts();
    labelled["capabilities"][0]["labels"] =
        (0..500_001).map(|number| (format!("l{number}"), json!("x"))).collect();
    witness.post("/v1/sessions", &labelled).await.refused(422, "too_many_values");
    let mut described = accounts();
    described["capabilities"][0]["description"] = json!("x".repeat(9 * 1024 * 1024));
    let reply = witness.post("/v1/sessions", &described).await;
    reply.refused(422, "too_long");
    assert_eq!(reply.json()["errors"][0]["pointer"], "/capabilities/0/description", "{}", reply.text);
    witness.end().await;
}

#[tokio::test]
async fn a_manifest_may_have_more_values_than_any_other_body() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    // What many compiled schemas take is the benchmark's to measure: here one large value is in many defaults.
    let default: Vec<usize> = (0..4_000).collect();
    let capability = |number: usize| {
        let input = json!({"type": "object", "properties": {"list": {"type": "array", "default": default}}});
        json!({"name": format!("c{number}"), "description": "one of several", "input": input, "output": true})
    };
    let large = manifest("billing", &(0..30).map(capability).collect::<Vec<_>>());
    let opened = within(admin.post("/v1/sessions", &large)).await.expect(201);
    assert_eq!(opened["contracts"].as_array().unwrap().len(), 30);
    let request = json!({"contract": "billing/c0", "input": {"list": vec![0; 100_000]}});
    admin.post("/v1/requests", &request).await.refused(422, "too_many_values");
}

#[tokio::test]
async fn a_flood_of_heartbeats_is_refused_and_no_other_session_notices() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let loud = HandSupplier::open(&admin, &accounts()).await;
    let quiet = HandSupplier::open(&admin, &manifest("order", &[capability("draft", &["produce"])])).await;
    let beat = json!({"running": []});
    // Many more at once than may come, again and again: a slow machine only needs more rounds.
    let flood = async {
        loop {
            let path = loud.path("heartbeat");
            let replies = futures::future::join_all((0..64).map(|_| admin.post(&path, &beat))).await;
            for reply in replies {
                if reply.status != 200 {
                    return reply;
                }
            }
        }
    };
    let refused = within(flood).await;
    refused.refused(429, "too_many_heartbeats");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(refused.text.contains("10 heartbeats a second"), "{}", refused.text);
    admin.post(&quiet.path("heartbeat"), &beat).await.expect(200);
    // Everything else of the loud one goes on as well.
    admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    loud.perform("produce", json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    // Somebody else's calls are not counted as its own.
    let stranger = server.supplier().await;
    stranger.post(&quiet.path("heartbeat"), &beat).await.refused(404, "session_not_found");
}

#[tokio::test]
async fn a_receipt_repeats_no_more_of_an_id_than_an_id_has() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let mut witness = Witness::of(&server, &admin).await;
    let results =
        json!({"results": [{"task_id": "\u{e9}".repeat(8 * 1024 * 1024)}, {"task_id": "a\u{202e}"}, {}]});
    let reply = witness.post(&supplier.path("results"), &results).await;
    assert!(reply.text.len() < 1_000, "{} bytes", reply.text.len());
    let receipts = reply.expect(200);
    let first = receipts["results"][0]["task_id"].as_str().unwrap();
    assert_eq!((first.chars().count(), &receipts["results"][0]["reason"]), (64, &json!("unknown_task")));
    witness.end().await;
}

#[tokio::test]
async fn progress_told_a_thousand_times_counts_once() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = supplier.claim().await;
    let again = json!({"task_id": task["id"], "attempt": task["attempt"], "outcome": "again", "after_ms": 600_000,
        "message": "150 %"});
    let calls = json!({"results": vec![again; 100]});
    let path = supplier.path("results");
    let replies = futures::future::join_all((0..10).map(|_| admin.post(&path, &calls))).await;
    let receipts: Vec<Value> = replies
        .into_iter()
        .flat_map(|reply| reply.expect(200)["results"].as_array().unwrap().clone())
        .collect();
    let accepted = receipts.iter().filter(|receipt| receipt["accepted"] == true).count();
    assert_eq!((receipts.len(), accepted), (1_000, 1));
    assert!(receipts.iter().all(|receipt| receipt["accepted"] == true
        || receipt["reason"] == "claim_lost"
        || receipt["reason"] == "already_completed"));
}

//! Reruns over HTTP: a dataset asked for again, what is said of its facts, and what bad ones get.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read};

/// An account of which a check reads back how it stands, when, and its number.
fn account() -> Value {
    let mut account = capability("account", &["produce", "check", "undo"]);
    account["facts"] = json!({"properties": {
        "at": {"x-volatile": true},
        "number": {"x-secret": true}
    }});
    account
}

/// Has an account made and checked with these facts; answers with its request, fulfilled.
async fn make(api: &Api, supplier: &HandSupplier, body: Value, facts: Value) -> Value {
    let made = api.post("/v1/requests", &body).await.expect(201);
    // No two live leases own the same account.
    let account = made["id"].as_str().unwrap();
    let output = json!({"outcome": "done", "output": {"id": account, "pin": "9"}});
    supplier.perform("produce", output).await;
    supplier.perform("check", json!({"outcome": "done", "verdict": "valid", "facts": facts})).await;
    let request = api.get(&format!("/v1/requests/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(request["status"], "fulfilled", "{request}");
    request
}

fn dataset(request: &Value) -> String {
    request["leases"][0]["dataset"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_dataset_is_asked_for_again_and_its_facts_are_compared() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &manifest("billing", &[account()])).await;
    let body = json!({"contract": "billing/account", "input": {"country": "CZ"}});
    let facts = |at: u32, number: u32, status: Value| json!({"at": at, "number": number, "status": status, "cards": [{"kind": "debit"}]});
    let first = make(&admin, &supplier, body, facts(1, 7, json!("OPEN"))).await;
    assert!(first.get("rerun").is_none(), "{first}");
    let of = dataset(&first);
    let again = json!({"rerun_of": of, "source": "fresh", "environment": "default"});
    let same = make(&admin, &supplier, again.clone(), facts(2, 7, json!("OPEN"))).await;
    assert_eq!(same["rerun"], json!({"of": of, "facts": "equal", "differences": []}));
    assert_eq!(
        (&same["contract"], &same["version"], &same["input"], &same["source"]),
        (&json!("billing/account"), &json!(1), &json!({"country": "CZ"}), &json!("fresh"))
    );
    let other = make(&admin, &supplier, again.clone(), json!({"at": 3, "number": 8, "status": null})).await;
    let differences = json!([
        {"path": "", "pointer": "/cards", "before": [{"kind": "debit"}]},
        {"path": "", "pointer": "/number", "before": "***", "after": "***"},
        {"path": "", "pointer": "/status", "before": "OPEN", "after": null}
    ]);
    assert_eq!(other["rerun"], json!({"of": of, "facts": "different", "differences": differences}));
    let listed = admin.get("/v1/requests?limit=1").await.expect(200);
    assert_eq!(listed["items"][0]["rerun"]["differences"], differences);
    let open = admin.post("/v1/requests", &again).await.expect(201);
    assert_eq!(open["rerun"], json!({"of": of, "facts": "pending", "differences": []}));
    let path = format!("/v1/requests/{}/cancel", open["id"].as_str().unwrap());
    let cancelled = read(admin.request(Method::POST, &path)).await.expect(200);
    assert_eq!(cancelled["rerun"], json!({"of": of, "facts": "unknown", "differences": []}));
}

#[tokio::test]
async fn a_bad_rerun_is_refused_with_its_place() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &manifest("billing", &[account()])).await;
    let first = make(&admin, &supplier, json!({"contract": "billing/account"}), json!({})).await;
    let of = dataset(&first);
    let unknown = "ds_00000000000000000000000000";
    for (body, status, code, pointer) in [
        (json!({"rerun_of": 7}), 422, "type", "/rerun_of"),
        (json!({"rerun_of": null}), 422, "type", "/rerun_of"),
        (json!({"rerun_of": "first"}), 422, "invalid_value", "/rerun_of"),
        (json!({"rerun_of": format!("{of}_00")}), 422, "invalid_value", "/rerun_of"),
        (json!({"rerun_of": unknown}), 404, "dataset_not_found", ""),
        (json!({"rerun_of": format!("{of}_1")}), 404, "dataset_not_found", ""),
        (json!({"rerun_of": of, "contract": "billing/account"}), 422, "exclusive", "/contract"),
        (json!({"rerun_of": of, "input": {}}), 422, "exclusive", "/input"),
        (json!({"rerun_of": of, "items": [{"contract": "billing/account"}]}), 422, "exclusive", "/items"),
        (json!({"rerun_of": of, "count": 1}), 422, "exclusive", "/count"),
        (json!({"rerun_of": of, "source": "stock_first"}), 422, "exclusive", "/source"),
        (json!({"rerun_of": of, "environment": "staging"}), 422, "other_environment", "/environment"),
        (json!({"rerun_of": of, "environment": "A B"}), 422, "name_pattern", "/environment"),
        (json!({"rerun_of": of, "channel": "ada"}), 422, "other_channel", "/channel"),
        (json!({"rerun_of": of, "holder": "x".repeat(201)}), 422, "too_long", "/holder"),
    ] {
        let reply = admin.post("/v1/requests", &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{body}: {}", reply.text);
        let found = reply.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
        assert_eq!(found, pointer, "{body}: {}", reply.text);
    }
    let open = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let open = open["progress"]["steps"][0]["dataset_id"].as_str().unwrap().to_owned();
    admin.post("/v1/requests", &json!({"rerun_of": open})).await.refused(409, "dataset_never_made");
    server.supplier().await.post("/v1/requests", &json!({"rerun_of": of})).await.refused(403, "forbidden");
}

#[tokio::test]
async fn a_version_that_is_gone_is_named_with_the_one_on_offer() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &manifest("billing", &[account()])).await;
    let first = make(&admin, &supplier, json!({"contract": "billing/account"}), json!({})).await;
    let mut renamed = account();
    renamed["output"] = json!({"type": "object", "properties": {"key": {}}, "required": ["key"]});
    HandSupplier::open(&admin, &manifest("billing", &[renamed])).await;
    let refused = admin.post("/v1/requests", &json!({"rerun_of": dataset(&first)})).await;
    refused.refused(409, "version_gone");
    let problem = refused.json();
    let told = "billing/account@1 is not on offer any more, but billing/account@2";
    assert_eq!(problem["errors"][0]["message"], told);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(told) && detail.contains("Request its contract anew"), "{detail}");
}

#[tokio::test]
async fn secrets_of_another_token_are_not_taken_over() {
    let server = ApiServer::start().await;
    let (admin, consumer) = (server.admin().await, server.consumer().await);
    let mut account = account();
    account["input"]["properties"]["code"] = json!({"x-secret": true});
    let supplier = HandSupplier::open(&admin, &manifest("billing", &[account])).await;
    let body = json!({"contract": "billing/account", "input": {"code": "let me in"}});
    let first = make(&consumer, &supplier, body, json!({})).await;
    let again = json!({"rerun_of": dataset(&first)});
    let refused = server.consumer().await.post("/v1/requests", &again).await;
    refused.refused(409, "secret_input");
    assert!(!refused.text.contains("let me in"));
    let shown = consumer.post("/v1/requests", &again).await.expect(201);
    assert_eq!(shown["input"]["code"], "***", "as in any other request that has no lease yet");
}

//! Doubts over HTTP: a check that calls everything invalid is told on the rule, in the catalogue, as an event, to who asks.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read};
use crate::events::until;

const RULE: &str = "/v1/environments/default/stock-rules/accounts";

fn says(verdict: &str, message: &str) -> Value {
    json!({"outcome": "done", "verdict": verdict, "message": message, "facts": {}})
}

/// Makes so many accounts for stock, each of which is found to be valid.
async fn fill(admin: &Api, supplier: &HandSupplier, target: u32) {
    let rule = json!({"contract": "billing/account", "target": target});
    read(admin.request(Method::PUT, RULE).json(&rule)).await.expect(201);
    for _ in 0..2 * target {
        let task = supplier.claim().await;
        let answer = match task["operation"].as_str().unwrap() {
            "produce" => json!({"outcome": "done", "output": {"id": task["unique"], "pin": "9"}}),
            _ => says("valid", ""),
        };
        supplier.answer(&task, answer).await;
    }
    admin.until(RULE, |rule| rule["stock"]["ready"] == target).await;
    read(admin.request(Method::PATCH, RULE).json(&json!({"state": "paused"}))).await.expect(200);
}

#[tokio::test]
async fn a_capability_that_calls_everything_invalid_is_told_wherever_somebody_looks() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut account = capability("account", &["produce", "check", "undo"]);
    // Never fresh: it is asked about whenever it is handed over.
    account["fresh_for_s"] = json!(0);
    let supplier = HandSupplier::open(&admin, &manifest("billing", &[account])).await;
    fill(&admin, &supplier, 7).await;
    let consumer = server.consumer().await;
    let stock_only = json!({"contract": "billing/account", "source": "stock_only"});
    let asked = consumer.post("/v1/requests", &stock_only).await.expect(201);
    for _ in 0..5 {
        supplier.perform("check", says("invalid", "no such table")).await;
    }
    let path = format!("/v1/requests/{}", asked["id"].as_str().unwrap());
    let failed = admin.until(&path, |request| request["status"] == "failed").await;
    let message = failed["failure"]["message"].as_str().unwrap();
    assert!(message.contains("billing/account said invalid 5 of 5 times"), "{message}");

    assert_eq!(admin.get("/v1/quarantine").await.expect(200)["items"].as_array().unwrap().len(), 4);
    let rule = consumer.get(RULE).await.expect(200);
    let doubted = &rule["stock"]["doubted"];
    assert_eq!(rule["stock"]["ready"], 3, "what is left is there: {rule}");
    assert_eq!(
        (&doubted["contract"], &doubted["owner"]["team"], &doubted["invalid"], &doubted["of"]),
        (&json!("billing/account"), &json!("Team billing"), &json!(5), &json!(5)),
        "{doubted}"
    );
    let told = doubted["message"].as_str().unwrap();
    assert!(told.starts_with("billing/account said invalid 5 of 5 times since 20"), "{told}");
    assert!(told.ends_with("Z: no such table") && doubted["since"].is_string(), "{told}");
    let contract = consumer.get("/v1/environments/default/contracts/billing/account").await.expect(200);
    assert_eq!(contract["doubted"]["message"], told);
    let refused = consumer.post("/v1/requests", &stock_only).await;
    refused.refused(409, "out_of_stock");
    for part in ["is handed out from stock now", told, "its owner is Team billing"] {
        assert!(refused.text.contains(part), "{part}: {}", refused.text);
    }
    let events = until(&admin, "/v1/events?environment=default", 0, "capability.doubted").await;
    let event = events.last().unwrap();
    assert_eq!(
        (&event["contract"], &event["invalid"], &event["message"]),
        (&json!("billing/account"), &json!(5), &json!("no such table")),
        "{event}"
    );
    // Whoever takes what is made is not kept waiting.
    let made = consumer.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    assert_eq!(made["status"], "building");
}

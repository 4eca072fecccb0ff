//! Staleness over HTTP: what is handed over while a service cannot be asked says so, and who requires it fresh waits.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read};

const RULE: &str = "/v1/environments/default/stock-rules/accounts";

fn billing() -> Value {
    let mut account = capability("account", &["produce", "check", "undo"]);
    // Never fresh: it is asked about whenever it is handed over.
    account["fresh_for_s"] = json!(0);
    manifest("billing", &[account])
}

fn valid() -> Value {
    json!({"outcome": "done", "verdict": "valid"})
}

/// One account is in stock, and its supplier is gone.
async fn alone(admin: &Api) {
    let supplier = HandSupplier::open(admin, &billing()).await;
    let rule = json!({"contract": "billing/account", "target": 1});
    read(admin.request(Method::PUT, RULE).json(&rule)).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1", "pin": "9"}})).await;
    supplier.perform("check", valid()).await;
    admin.until(RULE, |rule| rule["stock"]["ready"] == 1).await;
    read(admin.request(Method::PATCH, RULE).json(&json!({"state": "paused"}))).await.expect(200);
    admin.delete(&format!("/v1/sessions/{}", supplier.session)).await;
}

#[tokio::test]
async fn what_could_not_be_confirmed_is_handed_over_as_stale_with_since_when_and_why() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    alone(&admin).await;
    let body = json!({"contract": "billing/account", "source": "stock_only"});
    let served = server.consumer().await.post("/v1/requests?wait_s=20", &body).await.expect(201);
    assert_eq!(served["status"], "fulfilled", "{served}");
    let evidence = &served["leases"][0]["dataset"]["evidence"];
    let part = &evidence["parts"][0];
    assert_eq!(
        (&evidence["verdict"], &part["verdict"], &part["stale"]),
        (&json!("stale"), &json!("unknown"), &json!(true))
    );
    assert!(part["valid_at"].as_str().unwrap() < part["checked_at"].as_str().unwrap(), "{part}");
    let message = part["message"].as_str().unwrap();
    assert!(message.starts_with("no supplier of billing/account has been connected since 20"), "{message}");
}

#[tokio::test]
async fn whoever_requires_it_fresh_waits_until_the_service_has_said_so_and_not_when_only_stock_may_serve() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    alone(&admin).await;
    let consumer = server.consumer().await;
    let only = json!({"contract": "billing/account", "source": "stock_only", "require": "fresh"});
    let ended = consumer.post("/v1/requests?wait_s=20", &only).await.expect(201);
    let failure = &ended["failure"];
    assert_eq!((&ended["status"], &failure["code"]), (&json!("failed"), &json!("out_of_stock")), "{ended}");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("no supplier of billing/account has been connected since 20"), "{message}");

    let body = json!({"contract": "billing/account", "require": "fresh"});
    let waiting = consumer.post("/v1/requests", &body).await.expect(201);
    assert_eq!(waiting["status"], "building");
    let path = format!("/v1/requests/{}", waiting["id"].as_str().unwrap());
    HandSupplier::open(&admin, &billing()).await.perform("check", valid()).await;
    let served = consumer.until(&path, |request| request["status"] != "building").await;
    let evidence = &served["leases"][0]["dataset"]["evidence"];
    assert_eq!(
        (&evidence["verdict"], evidence["parts"][0].get("stale")),
        (&json!("valid"), None),
        "{served}"
    );
}

#[tokio::test]
async fn nothing_but_fresh_can_be_required() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    for (require, code) in [(json!("stale"), "unknown_value"), (json!(true), "type"), (json!(null), "type")] {
        let body = json!({"contract": "billing/account", "require": require});
        consumer.post("/v1/requests", &body).await.refused(422, code);
    }
}

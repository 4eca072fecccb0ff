//! Quarantine over HTTP: listed with what drifted, decided about, and who may.

use reqwest::Method;
use serde_json::{Value, json};
use sixpack_model::token::Role;

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read};

const RULE: &str = "/v1/environments/default/stock-rules/accounts";

fn says(verdict: &str, message: &str) -> Value {
    json!({"outcome": "done", "verdict": verdict, "message": message, "facts": {}})
}

/// One account was in stock and has drifted; the request that wanted it has failed.
async fn set_aside(server: &ApiServer, admin: &Api) -> (HandSupplier, String) {
    let mut account = capability("account", &["produce", "check", "undo"]);
    // Never fresh: it is asked about whenever it is handed over.
    account["fresh_for_s"] = json!(0);
    let supplier = HandSupplier::open(admin, &manifest("billing", &[account])).await;
    let rule = json!({"contract": "billing/account", "target": 1});
    read(admin.request(Method::PUT, RULE).json(&rule)).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1", "pin": "9"}})).await;
    supplier.perform("check", says("valid", "")).await;
    admin.until(RULE, |rule| rule["stock"]["ready"] == 1).await;
    read(admin.request(Method::PATCH, RULE).json(&json!({"state": "paused"}))).await.expect(200);
    let body = json!({"contract": "billing/account", "source": "stock_only"});
    let asked = server.consumer().await.post("/v1/requests", &body).await.expect(201);
    supplier.perform("check", says("invalid", "the account is closed")).await;
    let path = format!("/v1/requests/{}", asked["id"].as_str().unwrap());
    admin.until(&path, |request| request["status"] == "failed").await;
    let listed = admin.get("/v1/quarantine").await.expect(200);
    let id = listed["items"][0]["dataset_id"].as_str().unwrap().to_owned();
    (supplier, id)
}

#[tokio::test]
async fn what_has_drifted_is_listed_counted_and_decided_about_by_its_owner() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let (supplier, id) = set_aside(&server, &admin).await;
    let listed = server.consumer().await.get("/v1/quarantine?environment=default").await.expect(200);
    let item = &listed["items"][0];
    assert_eq!(
        (&item["contract"], &item["because"]),
        (&json!("billing/account"), &json!("hand_over")),
        "{item}"
    );
    assert!(item["since"].is_string());
    let drifted = &item["drifted"];
    assert_eq!(
        (&drifted["path"], &drifted["class"], &drifted["owner"]["team"]),
        (&json!("billing/account@1"), &json!("check"), &json!("Team billing"))
    );
    assert!(drifted["message"].as_str().unwrap().contains("the account is closed"), "{drifted}");
    assert_eq!(admin.get("/v1/quarantine?environment=staging").await.expect(200)["items"], json!([]));
    let contract = admin.get("/v1/environments/default/contracts/billing/account").await.expect(200);
    assert_eq!(contract["drifted"], 1);
    let shown = admin.get(&format!("/v1/datasets/{id}")).await.expect(200);
    assert_eq!(shown["status"], "quarantined");

    let resolve = format!("/v1/datasets/{id}/resolve");
    let owner = server.api(Role::Supplier, None, Some("billing")).await;
    let retry = json!({"resolution": "retry", "reason": "it was opened again"});
    let asked = owner.post(&resolve, &retry).await.expect(200);
    assert_eq!(asked["status"], "checking");
    supplier.perform("check", says("valid", "")).await;
    admin.until(RULE, |rule| rule["stock"]["ready"] == 1).await;
    let timeline = admin.get(&format!("/v1/datasets/{id}")).await.expect(200)["timeline"].clone();
    let told = timeline.as_array().unwrap().iter().find(|event| event["kind"] == "dataset.resolved").unwrap();
    assert_eq!(
        (&told["resolution"], &told["by"], &told["message"]),
        (&json!("retry"), &json!("test supplier"), &json!("it was opened again"))
    );
    owner.post(&resolve, &retry).await.refused(409, "not_in_quarantine");
}

#[tokio::test]
async fn a_bad_decision_is_refused_and_so_is_one_of_somebody_else() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let (_supplier, id) = set_aside(&server, &admin).await;
    let resolve = format!("/v1/datasets/{id}/resolve");
    for (body, code) in [
        (json!({"resolution": "undo"}), "missing_field"),
        (json!({"reason": "x"}), "missing_field"),
        (json!({"resolution": "forget", "reason": "x"}), "unknown_value"),
        (json!({"resolution": "undo", "reason": "  "}), "empty"),
        (json!({"resolution": "undo", "reason": "x".repeat(501)}), "too_long"),
        (json!({"resolution": "undo", "reason": "x", "force": true}), "unknown_field"),
    ] {
        admin.post(&resolve, &body).await.refused(422, code);
    }
    let undo = json!({"resolution": "undo", "reason": "x"});
    let stranger = server.api(Role::Supplier, None, Some("delivery")).await.post(&resolve, &undo).await;
    stranger.refused(403, "foreign_dataset");
    assert!(stranger.text.contains("`billing`"), "{}", stranger.text);
    server.consumer().await.post(&resolve, &undo).await.refused(403, "forbidden");
    let unknown = "/v1/datasets/ds_00000000000000000000000000/resolve";
    admin.post(unknown, &undo).await.refused(404, "dataset_not_found");
    let undone = admin.post(&resolve, &undo).await.expect(200);
    assert_eq!(undone["status"], "undoing");
}

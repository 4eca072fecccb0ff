//! Debts over HTTP: resolved with a reason, by whoever has a say, and what bad calls get.

use serde_json::{Value, json};
use sixpack_model::token::Role;

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest};

/// A customer that could not be undone; its id.
async fn owed(admin: &Api) -> String {
    let customer = capability("customer", &["produce", "undo"]);
    let supplier = HandSupplier::open(admin, &manifest("shop", &[customer])).await;
    let made = admin.post("/v1/requests", &json!({"contract": "shop/customer"})).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-17", "pin": "9"}})).await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let lease = admin.until(&path, |request| request["status"] == "fulfilled").await["leases"][0].clone();
    let release = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
    admin.post(&release, &json!({"fence": lease["fence"]})).await.expect(200);
    let no = json!({"outcome": "failed", "retryable": false, "code": "has_orders", "message": "the customer has orders"});
    supplier.perform("undo", no).await;
    let debts = admin.until("/v1/debts", |debts| debts["items"] != json!([])).await;
    debts["items"][0]["dataset_id"].as_str().unwrap().to_owned()
}

fn because(reason: &str) -> Value {
    json!({"reason": reason})
}

#[tokio::test]
async fn a_debt_is_resolved_with_a_reason_that_stays_with_who_gave_it() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let id = owed(&admin).await;
    let resolve = format!("/v1/debts/{id}/resolve");
    let owner = server.api(Role::Supplier, None, Some("shop")).await;
    let after = owner.post(&resolve, &because("removed in the console")).await.expect(200);
    assert_eq!((&after["id"], &after["status"]), (&json!(id), &json!("gone")), "{after}");
    assert_eq!(
        (&after["resolved"]["by"], &after["resolved"]["reason"]),
        (&json!("test supplier"), &json!("removed in the console"))
    );
    assert!(after["resolved"]["at"].is_string() && after.get("failure").is_none(), "{after}");
    assert_eq!(after["output"], json!({"id": "c-17", "pin": "***"}), "secrets stay covered");
    assert_eq!(admin.get("/v1/debts").await.expect(200)["items"], json!([]));
    let shown = admin.get(&format!("/v1/datasets/{id}")).await.expect(200);
    let told = shown["timeline"].as_array().unwrap();
    let told = told.iter().find(|event| event["kind"] == "dataset.debt_resolved").unwrap();
    assert_eq!(
        (&told["by"], &told["message"]),
        (&json!("test supplier"), &json!("removed in the console")),
        "{told}"
    );

    let again = admin.post(&resolve, &because("another reason")).await.expect(200);
    assert_eq!(again["resolved"], after["resolved"], "what was resolved first stays");
}

#[tokio::test]
async fn a_bad_reason_is_refused_and_so_is_one_of_somebody_else_or_of_what_is_not_owed() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let id = owed(&admin).await;
    let resolve = format!("/v1/debts/{id}/resolve");
    for (body, code) in [
        (json!({}), "missing_field"),
        (because(""), "empty"),
        (because("  "), "empty"),
        (because("two\nlines"), "control_character"),
        (because(&"x".repeat(501)), "too_long"),
        (json!({"reason": 1}), "type"),
        (json!({"reason": "x", "resolution": "undo"}), "unknown_field"),
    ] {
        let reply = admin.post(&resolve, &body).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text);
        assert!(reply.text.contains(code), "{code} for {body} in {}", reply.text);
    }
    let foreign = server.api(Role::Supplier, None, Some("billing")).await;
    foreign.post(&resolve, &because("x")).await.refused(403, "foreign_dataset");
    server.consumer().await.post(&resolve, &because("x")).await.refused(403, "forbidden");
    let elsewhere = server.api(Role::Supplier, Some("qa2"), Some("shop")).await;
    elsewhere.post(&resolve, &because("x")).await.refused(404, "dataset_not_found");
    admin.post("/v1/debts/ds_nothing/resolve", &because("x")).await.refused(404, "not_found");
    assert_eq!(admin.get("/v1/debts").await.expect(200)["items"].as_array().unwrap().len(), 1);

    admin.post("/v1/requests", &json!({"contract": "shop/customer"})).await.expect(201);
    let building = admin.get("/v1/datasets?status=building").await.expect(200);
    let other = format!("/v1/debts/{}/resolve", building["items"][0]["id"].as_str().unwrap());
    admin.post(&other, &because("x")).await.refused(409, "not_owed");
}

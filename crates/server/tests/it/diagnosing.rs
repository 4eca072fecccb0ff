//! Diagnosis over HTTP: three answers, who may ask, what is covered.

use reqwest::Method;
use serde_json::{Value, json};
use sixpack_model::token::Role;

use crate::api_server::{Api, ApiServer, HandSupplier, Reply, capability, manifest, read};

/// An account of which a check reads back how it stands, when, and its number.
fn account() -> Value {
    let mut account = capability("account", &["produce", "check", "undo"]);
    account["facts"] = json!({"properties": {
        "at": {"x-volatile": true},
        "number": {"x-secret": true}
    }});
    account
}

fn checked(verdict: &str, facts: Value) -> Value {
    json!({"outcome": "done", "verdict": verdict, "facts": facts})
}

/// An account leased to this consumer.
async fn leased(server: &ApiServer, consumer: &Api) -> (HandSupplier, String) {
    let mut billing = manifest("billing", &[account()]);
    billing["build"] = json!("git:1a2b3c");
    let supplier = HandSupplier::open(&server.admin().await, &billing).await;
    let made = consumer.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1", "pin": "9"}})).await;
    supplier.perform("check", checked("valid", json!({"at": 1, "number": 7, "status": "OPEN"}))).await;
    let request = consumer.get(&format!("/v1/requests/{}", made["id"].as_str().unwrap())).await.expect(200);
    let lease = request["leases"][0]["id"].as_str().unwrap().to_owned();
    (supplier, format!("/v1/leases/{lease}"))
}

async fn diagnose(api: &Api, lease: &str) -> Reply {
    read(api.request(Method::POST, &format!("{lease}/diagnose"))).await
}

/// Diagnoses while the supplier says this of the account.
async fn diagnosed(api: &Api, lease: &str, supplier: &HandSupplier, says: Value) -> Value {
    tokio::join!(diagnose(api, lease), supplier.perform("check", says)).0.expect(200)
}

#[tokio::test]
async fn a_lease_is_diagnosed_in_one_of_three_ways() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let (supplier, lease) = leased(&server, &consumer).await;
    let same = checked("valid", json!({"at": 2, "number": 7, "status": "OPEN"}));
    let valid = diagnosed(&consumer, &lease, &supplier, same).await;
    assert_eq!(
        (&valid["verdict"], &valid["checked"], &valid["of"], valid.get("first")),
        (&json!("still_valid"), &json!(1), &json!(1), None),
        "{valid}"
    );
    assert_eq!((&valid["parts"][0]["state"], &valid["differences"]), (&json!("same"), &json!([])));

    let mut closed = checked("invalid", json!({"at": 3, "number": 8, "status": "CLOSED"}));
    closed["message"] = json!("the account is closed");
    let changed = diagnosed(&consumer, &lease, &supplier, closed.clone()).await;
    assert_eq!(changed["verdict"], "changed");
    let message = changed["message"].as_str().unwrap();
    for part in ["changed under your lease: `billing` says", ": the account is closed; noticed at 20"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(
        (&changed["first"]["path"], &changed["first"]["owner"]["team"]),
        (&json!("billing/account@1"), &json!("Team billing"))
    );
    let part = &changed["parts"][0];
    assert_eq!((&part["then"]["verdict"], &part["now"]["verdict"]), (&json!("valid"), &json!("invalid")));
    assert_eq!(part["then"]["facts"], json!({"at": 1, "number": 7, "status": "OPEN"}), "shown to the holder");
    assert_eq!(part["now"]["build"], "git:1a2b3c");
    assert_eq!(part["now"]["valid_at"], valid["parts"][0]["now"]["checked_at"], "when it was last valid");
    assert_eq!(
        changed["differences"],
        json!([
            {"path": "", "pointer": "/number", "before": 7, "after": 8},
            {"path": "", "pointer": "/status", "before": "OPEN", "after": "CLOSED"}
        ])
    );
    let by_admin = diagnosed(&server.admin().await, &lease, &supplier, closed).await;
    assert_eq!(
        by_admin["differences"][0],
        json!({"path": "", "pointer": "/number", "before": "***", "after": "***"})
    );
    assert_eq!(by_admin["parts"][0]["then"]["facts"]["number"], "***");

    supplier.api.delete(&format!("/v1/sessions/{}", supplier.session)).await;
    let failed = diagnose(&consumer, &lease).await.expect(200);
    assert_eq!(
        (&failed["verdict"], &failed["parts"][0]["state"]),
        (&json!("check_failed"), &json!("failed"))
    );
    let message = failed["message"].as_str().unwrap();
    assert!(
        message.starts_with("the check itself fails: billing/account@1: no supplier of billing/account"),
        "{message}"
    );
    assert_eq!(failed["parts"][0]["now"].get("facts"), None, "nobody knows them now");
}

#[tokio::test]
async fn only_a_live_lease_is_diagnosed_by_whoever_may_act_on_it() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let (_supplier, lease) = leased(&server, &consumer).await;
    diagnose(&server.consumer().await, &lease).await.refused(404, "lease_not_found");
    diagnose(&server.supplier().await, &lease).await.refused(403, "forbidden");
    let elsewhere = server.api(Role::Admin, Some("staging"), None).await;
    diagnose(&elsewhere, &lease).await.refused(404, "lease_not_found");
    diagnose(&consumer, "/v1/leases/lease_00000000000000000000000000").await.refused(404, "lease_not_found");
    let with_parameter = read(consumer.request(Method::POST, &format!("{lease}/diagnose?wait_s=1"))).await;
    with_parameter.refused(400, "unknown_parameter");
    let shown = consumer.get(&lease).await.expect(200);
    consumer.post(&format!("{lease}/release"), &json!({"fence": shown["fence"]})).await.expect(200);
    diagnose(&consumer, &lease).await.refused(409, "lease_ended");
}

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
    assert_eq!(
        shown["failure"]["undo"],
        json!({"done": [], "pending": [], "debts": []}),
        "nothing is undone"
    );

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

/// A pair whose two parts are both checked, with a condition over both.
const PAIR: &str = r#"scenario: checkout/pair
owner: { team: Checkout }
description: Two that go together.
steps:
  customer: { uses: shop/customer }
  account: { uses: shop/account, needs: [customer] }
invariants:
  - that: facts.customer.ok == facts.account.ok
    says: both say the same
output: { id: "${{ steps.account.id }}" }
"#;

fn evidence(shown: &Value) -> (&Value, &Value) {
    (&shown["evidence"]["invariants"][0], &shown["evidence"]["verdict"])
}

#[tokio::test]
async fn an_invariant_says_when_it_was_evaluated_and_that_it_was_not_since_a_part_drifted() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let of = |name: &str| {
        let mut of = capability(name, &["produce", "check", "undo"]);
        of["fresh_for_s"] = json!(0);
        of
    };
    let supplier = HandSupplier::open(&admin, &manifest("shop", &[of("customer"), of("account")])).await;
    admin.put_yaml("/v1/environments/default/scenarios/checkout/pair", PAIR).await.expect(201);
    let rule = json!({"contract": "checkout/pair", "target": 1});
    const PAIRS: &str = "/v1/environments/default/stock-rules/pairs";
    read(admin.request(Method::PUT, PAIRS).json(&rule)).await.expect(201);
    let verdict = |verdict: &str| json!({"outcome": "done", "verdict": verdict, "facts": {"ok": true}});
    for id in ["c-1", "a-1"] {
        supplier.perform("produce", json!({"outcome": "done", "output": {"id": id}})).await;
    }
    for _ in 0..2 {
        supplier.perform("check", verdict("valid")).await;
    }
    admin.until(PAIRS, |rule| rule["stock"]["ready"] == 1).await;
    read(admin.request(Method::PATCH, PAIRS).json(&json!({"state": "paused"}))).await.expect(200);
    let listed = admin.get("/v1/datasets?contract=checkout/pair").await.expect(200);
    let path = format!("/v1/datasets/{}", listed["items"][0]["id"].as_str().unwrap());
    let before = admin.get(&path).await.expect(200);
    let (invariant, whole) = evidence(&before);
    assert_eq!((&invariant["held"], whole), (&json!(true), &json!("valid")), "{before}");
    assert!(invariant["evaluated_at"].is_string() && invariant.get("outdated").is_none(), "{invariant}");
    let evaluated_at = invariant["evaluated_at"].as_str().unwrap().to_owned();

    let body = json!({"contract": "checkout/pair", "source": "stock_only"});
    let asked = server.consumer().await.post("/v1/requests", &body).await.expect(201);
    supplier.perform("check", verdict("invalid")).await;
    let request = format!("/v1/requests/{}", asked["id"].as_str().unwrap());
    let failed = admin.until(&request, |request| request["status"] == "failed").await;
    assert_eq!(failed["failure"]["undo"]["pending"], json!([]), "{failed}");
    let after = admin.get(&path).await.expect(200);
    let (invariant, whole) = evidence(&after);
    assert_eq!((whole, &invariant["outdated"]), (&json!("invalid"), &json!(true)), "{after}");
    assert!(
        invariant["evaluated_at"].as_str().unwrap() <= evaluated_at.as_str(),
        "{invariant} {evaluated_at}"
    );
}

#[tokio::test]
async fn a_request_whose_dataset_went_back_into_stock_lists_nothing_as_being_undone() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut account = capability("account", &["produce", "check", "undo"]);
    account["fresh_for_s"] = json!(0);
    let supplier = HandSupplier::open(&admin, &manifest("billing", &[account])).await;
    let rule = json!({"contract": "billing/account", "target": 1});
    read(admin.request(Method::PUT, RULE).json(&rule)).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1", "pin": "9"}})).await;
    supplier.perform("check", says("valid", "")).await;
    admin.until(RULE, |rule| rule["stock"]["ready"] == 1).await;
    // What would be made in its place might be handed out before the check is written.
    read(admin.request(Method::PATCH, RULE).json(&json!({"state": "paused"}))).await.expect(200);
    let body =
        json!({"contract": "billing/account", "source": "stock_only", "require": "fresh", "timeout_s": 1});
    let asked = server.consumer().await.post("/v1/requests", &body).await.expect(201);
    supplier.perform("check", says("unknown", "the database is away")).await;
    let path = format!("/v1/requests/{}", asked["id"].as_str().unwrap());
    let ended = admin.until(&path, |request| request["status"] != "building").await;
    assert_eq!(ended["leases"], json!([]), "{ended}");
    assert_eq!(ended["failure"]["undo"], json!({"done": [], "pending": [], "debts": []}), "{ended}");
    // It goes back, and is no business of the request any more.
    admin.until(&path, |request| request["progress"]["total"] == 0).await;
}

#[tokio::test]
async fn what_goes_back_into_stock_because_the_rest_failed_is_not_undone() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let both = [capability("account", &["produce", "check", "undo"]), capability("other", &["produce"])];
    let supplier = HandSupplier::open(&admin, &manifest("billing", &both)).await;
    let rule = json!({"contract": "billing/account", "target": 1});
    read(admin.request(Method::PUT, RULE).json(&rule)).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1", "pin": "9"}})).await;
    supplier.perform("check", says("valid", "")).await;
    admin.until(RULE, |rule| rule["stock"]["ready"] == 1).await;
    read(admin.request(Method::PATCH, RULE).json(&json!({"state": "paused"}))).await.expect(200);
    let body = json!({"items": [{"contract": "billing/account"}, {"contract": "billing/other"}]});
    let asked = server.consumer().await.post("/v1/requests", &body).await.expect(201);
    let refused = json!({"outcome": "failed", "retryable": false, "code": "closed", "message": "no"});
    supplier.perform("produce", refused).await;
    let path = format!("/v1/requests/{}", asked["id"].as_str().unwrap());
    let failed = admin.until(&path, |request| request["status"] == "failed").await;
    assert_eq!(failed["failure"]["undo"]["pending"], json!([]), "{failed}");
    admin.until(RULE, |rule| rule["stock"]["ready"] == 1).await;
    let after = admin.get(&path).await.expect(200);
    assert_eq!(after["failure"]["undo"], json!({"done": [], "pending": [], "debts": []}), "{after}");
    assert_eq!(after["progress"]["total"], 1, "only what was made for it: {after}");
}

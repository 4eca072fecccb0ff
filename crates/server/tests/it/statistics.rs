//! Statistics over HTTP: how contracts have been doing, and what of the limits is taken.

use reqwest::Method;
use serde_json::{Value, json};
use sixpack_engine::EngineSettings;

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read, settings};

const RULE: &str = "/v1/environments/default/stock-rules/pairs";

const PAIR: &str = "\
scenario: checkout/pair
owner: { team: Checkout }
steps:
  account: { uses: billing/account }
output:
  id: \"${{ steps.account.id }}\"
";

async fn with_pair() -> (ApiServer, Api, HandSupplier) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier =
        HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    admin.put_yaml("/v1/environments/default/scenarios/checkout/pair", PAIR).await.expect(201);
    (server, admin, supplier)
}

async fn ask(admin: &Api, supplier: &HandSupplier, answer: Value) -> Value {
    let made = admin.post("/v1/requests", &json!({"contract": "checkout/pair"})).await.expect(201);
    supplier.perform("produce", answer).await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    admin.until(&path, |request| request["status"] != "building").await
}

async fn told(admin: &Api, contract: &str) -> Value {
    admin.get(&format!("/v1/environments/default/contracts/{contract}/statistics")).await.expect(200)
}

#[tokio::test]
async fn a_contract_says_how_long_it_takes_how_often_it_fails_and_for_what() {
    let (_server, admin, supplier) = with_pair().await;
    ask(&admin, &supplier, json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    let no = json!({"outcome": "failed", "retryable": false, "code": "closed", "message": "FR is closed"});
    ask(&admin, &supplier, no).await;
    let failed =
        json!({"outcome": "failed", "retryable": false, "code": "closed", "message": "DE is closed"});
    let failed = ask(&admin, &supplier, failed).await;

    let pair = told(&admin, "checkout/pair").await;
    let requests = &pair["requests"];
    assert_eq!(
        (&requests["fulfilled"], &requests["failed"], &requests["from_stock"]),
        (&json!(1), &json!(2), &json!(0))
    );
    assert!(requests["made_ms"]["median"].is_u64() && requests.get("from_stock_ms").is_none(), "{pair}");
    let cause = &pair["failures"][0];
    assert_eq!(
        (&cause["contract"], &cause["class"], &cause["code"]),
        (&json!("billing/account"), &json!("rejected"), &json!("closed"))
    );
    assert_eq!((&cause["count"], &cause["message"]), (&json!(2), &json!("DE is closed")));
    assert_eq!(cause["request_id"], failed["id"]);
    assert_eq!(pair["last_failure"]["message"], "DE is closed");

    let account = told(&admin, "billing/account").await;
    assert_eq!((&account["datasets"]["made"], &account["datasets"]["failed"]), (&json!(1), &json!(2)));
    assert_eq!((&account["requests"]["fulfilled"], &account["failures"][0]["count"]), (&json!(0), &json!(2)));
    assert!(account["failures"][0]["dataset_id"].is_string(), "{account}");

    let listed = admin.get("/v1/environments/default/statistics?limit=1").await.expect(200);
    assert_eq!(listed["items"][0]["contract"], "billing/account");
    assert!(listed["items"][0].get("failures").is_none());
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest =
        admin.get(&format!("/v1/environments/default/statistics?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!(rest["items"][0]["contract"], "checkout/pair");
    assert!(rest.get("next_cursor").is_none());
}

#[tokio::test]
async fn what_was_there_before_it_was_asked_for_is_counted_as_from_stock() {
    let (_server, admin, supplier) = with_pair().await;
    let rule = json!({"contract": "checkout/pair", "target": 1});
    read(admin.request(Method::PUT, RULE).json(&rule)).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    let filled = |rule: &Value| rule["stock"]["ready"] == 1;
    admin.until(RULE, filled).await;
    let wanted = json!({"contract": "checkout/pair", "source": "stock_only"});
    admin.post("/v1/requests", &wanted).await.expect(201);
    let requests = &told(&admin, "checkout/pair").await["requests"];
    assert_eq!((&requests["fulfilled"], &requests["from_stock"]), (&json!(1), &json!(1)), "{requests}");
    assert!(requests["from_stock_ms"]["p90"].is_u64(), "{requests}");
}

#[tokio::test]
async fn statistics_of_what_is_not_there_are_not_found() {
    let (_server, admin, _supplier) = with_pair().await;
    admin
        .get("/v1/environments/default/contracts/billing/acount/statistics")
        .await
        .refused(404, "contract_not_found");
    admin.get("/v1/environments/nowhere/statistics").await.refused(404, "environment_not_found");
    admin.get("/v1/environments/nowhere/limits").await.refused(404, "environment_not_found");
}

#[tokio::test]
async fn limits_say_what_is_taken_of_them() {
    let engine = EngineSettings { leases_per_token: 5, ..EngineSettings::default() };
    let server = ApiServer::start_over(settings(), engine).await;
    let (admin, other) = (server.admin().await, server.consumer().await);
    HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    admin.post("/v1/requests", &json!({"contract": "billing/account", "count": 3})).await.expect(201);
    other.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let limits = admin.get("/v1/environments/default/limits").await.expect(200);
    assert_eq!(limits["leases"]["of_token"], json!({"taken": 3, "limit": 5}));
    assert_eq!(limits["leases"]["of_environment"], json!({"taken": 4, "limit": 10_000}));
    assert_eq!(limits["retention"]["datasets_s"], 30 * 86_400);
}

//! The catalogue and datasets, read over HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use sixpack_engine::EngineSettings;

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read, settings};

const FILE: &str = "\
scenario: checkout/pair
owner: { team: Checkout, contact: checkout@shop.test }
description: Customer and account.
input: { type: object, properties: { country: { type: string, default: CZ } } }
steps:
  customer: { uses: shop/customer, with: { country: \"${{ input.country }}\" } }
  account: { uses: shop/account, needs: [customer], if: \"input.country == 'CZ'\" }
invariants:
  - { that: \"facts.account.status == 'OPEN'\", says: the account is open }
output:
  id: \"${{ steps.customer.id }}\"
";

async fn with_scenario() -> (ApiServer, Api, HandSupplier) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut account = capability("account", &["produce", "check", "undo"]);
    account["labels"] = json!({"pii": "none"});
    account["facts"] = json!({"type": "object", "properties": {"status": {"type": "string"}}});
    let shop = manifest("shop", &[capability("customer", &["produce", "undo"]), account]);
    let supplier = HandSupplier::open(&admin, &shop).await;
    admin.put_yaml("/v1/environments/default/scenarios/checkout/pair", FILE).await.expect(201);
    (server, admin, supplier)
}

#[tokio::test]
async fn the_catalogue_is_searched_by_text_owner_label_kind_and_domain() {
    let (_server, admin, _supplier) = with_scenario().await;
    for (query, names) in [
        ("", vec!["checkout/pair", "shop/account", "shop/customer"]),
        ("?q=ACCOUNT", vec!["checkout/pair", "shop/account"]),
        ("?owner=checkout", vec!["checkout/pair"]),
        ("?label=pii:none", vec!["shop/account"]),
        ("?kind=scenario", vec!["checkout/pair"]),
        ("?domain=shop", vec!["shop/account", "shop/customer"]),
        ("?q=nothing", vec![]),
    ] {
        let found = admin.get(&format!("/v1/environments/default/contracts{query}")).await.expect(200);
        let found: Vec<&str> =
            found["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{query}");
    }
    admin.get("/v1/environments/nowhere/contracts").await.refused(404, "environment_not_found");
    let environments = admin.get("/v1/environments").await.expect(200);
    assert_eq!(
        (&environments["items"][0]["name"], &environments["items"][0]["contracts"]),
        (&json!("default"), &json!(3))
    );
}

#[tokio::test]
async fn a_contract_shows_what_it_is_made_of_and_who_uses_it() {
    let (_server, admin, supplier) = with_scenario().await;
    let pair = admin.get("/v1/environments/default/contracts/checkout/pair").await.expect(200);
    assert_eq!(
        (&pair["kind"], &pair["status"], &pair["checked"], &pair["of"]),
        (&json!("scenario"), &json!("online"), &json!(1), &json!(2))
    );
    assert_eq!(
        pair["steps"][0],
        json!({"name": "customer", "uses": "shop/customer", "with": {"country": "${{ input.country }}"}, "needs": [], "from": "stock_first"})
    );
    assert_eq!(
        (&pair["steps"][1]["needs"], &pair["steps"][1]["if"]),
        (&json!(["customer"]), &json!("input.country == 'CZ'"))
    );
    assert_eq!(
        pair["invariants"],
        json!([{"that": "facts.account.status == 'OPEN'", "says": "the account is open"}])
    );
    assert_eq!(pair["uses"], json!(["shop/account", "shop/customer"]));
    let listed = admin.get("/v1/environments/default/contracts?kind=scenario").await.expect(200);
    assert_eq!(listed["items"][0]["uses"], pair["uses"], "the list has the arrows of the whole landscape");
    assert_eq!((&pair["versions"][0]["version"], &pair["versions"][0]["change"]), (&json!(1), &json!("new")));
    let account = admin.get("/v1/environments/default/contracts/shop/account").await.expect(200);
    assert_eq!(account["used_by"], json!(["checkout/pair"]));
    assert_eq!((&account["retry"]["max_attempts"], &account["timeout_s"]), (&json!(2), &json!(60)));
    assert!(account.get("steps").is_none() && account["facts"].is_object() && account["output"].is_object());
    let version = "/v1/environments/default/contracts/shop/account/versions";
    assert_eq!(admin.get(&format!("{version}/1")).await.expect(200)["version"], 1);
    admin.get(&format!("{version}/2")).await.refused(404, "contract_not_found");
    admin.get(&format!("{version}/01")).await.refused(404, "not_found");
    let misspelt = admin.get("/v1/environments/default/contracts/shop/acount").await;
    misspelt.refused(404, "contract_not_found");
    assert!(misspelt.text.contains("shop/account"), "{}", misspelt.text);
    admin.delete(&format!("/v1/sessions/{}", supplier.session)).await.expect(200);
    admin.until("/v1/environments/default/contracts/checkout/pair", |pair| pair["status"] == "offline").await;
}

#[tokio::test]
async fn a_dataset_shows_its_parts_its_evidence_and_what_happened() {
    let (_server, admin, supplier) = with_scenario().await;
    let made = admin.post("/v1/requests", &json!({"contract": "checkout/pair"})).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-17", "pin": "9"}})).await;
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    let unsure = json!({"outcome": "done", "verdict": "unknown", "message": "no event yet"});
    supplier.perform("check", unsure).await;
    supplier
        .perform("check", json!({"outcome": "done", "verdict": "valid", "facts": {"status": "OPEN"}}))
        .await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let request = admin.until(&path, |request| request["status"] == "fulfilled").await;
    let lease = &request["leases"][0];
    let root = format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap());
    let dataset = admin.get(&root).await.expect(200);
    assert_eq!(
        (&dataset["kind"], &dataset["status"], &dataset["path"]),
        (&json!("scenario"), &json!("leased"), &json!(""))
    );
    assert_eq!((&dataset["lease_id"], &dataset["request_id"]), (&lease["id"], &request["id"]));
    let evidence = &dataset["evidence"];
    assert_eq!(
        (&evidence["verdict"], &evidence["checked"], &evidence["of"]),
        (&json!("valid"), &json!(1), &json!(2))
    );
    let evaluated_at = &evidence["checked_at"];
    let held = json!([{"says": "the account is open", "held": true, "evaluated_at": evaluated_at}]);
    assert_eq!(evidence["invariants"], held);
    let verdicts: Vec<(&Value, &Value)> =
        evidence["parts"].as_array().unwrap().iter().map(|part| (&part["path"], &part["verdict"])).collect();
    assert_eq!(verdicts, [(&json!("customer"), &json!("unchecked")), (&json!("account"), &json!("valid"))]);
    let part = &dataset["parts"][0];
    assert_eq!(
        (&part["step"], &part["status"], &part["output"]["pin"]),
        (&json!("customer"), &json!("ready"), &json!("9"))
    );
    let kinds: Vec<&str> =
        dataset["timeline"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"dataset.building"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "task.done").count(), 4);
    assert!(kinds.contains(&"dataset.ready") && kinds.contains(&"lease.granted"), "{kinds:?}");
    let said = dataset["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["message"] == "no event yet")
        .unwrap();
    assert_eq!((&said["path"], &said["operation"]), (&json!("account"), &json!("check")));
    assert!(said["duration_ms"].is_u64(), "{said}");
    let subtree = admin.get(&format!("/v1/datasets/{}", part["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&subtree["root_id"], &subtree["parts"]), (&dataset["id"], &json!([])));
    assert!(subtree["timeline"].as_array().unwrap().iter().all(|entry| entry["path"] == "customer"));
    let found = admin.get("/v1/datasets?entity=customer:c-17").await.expect(200);
    assert!(found["items"].as_array().unwrap().iter().any(|item| item["id"] == part["id"]), "{found}");
    assert!(found["items"].as_array().unwrap().iter().all(|item| item.get("parts").is_none()));
    admin.get("/v1/datasets/ds_00000000000000000000000000").await.refused(404, "dataset_not_found");
    admin.get("/v1/datasets/nonsense").await.refused(404, "not_found");
}

#[tokio::test]
async fn an_effect_that_cannot_be_undone_is_listed_as_a_debt() {
    let (_server, admin, supplier) = with_scenario().await;
    let made = admin.post("/v1/requests", &json!({"contract": "shop/customer"})).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-17", "pin": "9"}})).await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let lease = admin.until(&path, |request| request["status"] == "fulfilled").await["leases"][0].clone();
    let release = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
    admin.post(&release, &json!({"fence": lease["fence"]})).await.expect(200);
    let refused = json!({"outcome": "failed", "retryable": false, "code": "has_orders", "message": "the customer has orders"});
    supplier.perform("undo", refused).await;
    let debts = admin.until("/v1/debts", |debts| debts["items"] != json!([])).await;
    let debt = &debts["items"][0];
    assert_eq!((&debt["path"], &debt["code"]), (&json!("shop/customer@1"), &json!("has_orders")));
    assert_eq!(
        (&debt["owner"]["team"], &debt["output"]),
        (&json!("Team shop"), &json!({"id": "c-17", "pin": "***"}))
    );
    assert_eq!(admin.get("/v1/debts?contract=shop/account").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn an_undo_whose_supplier_is_away_says_whom_it_waits_for() {
    let engine = EngineSettings { offline_grace: Duration::ZERO, ..EngineSettings::default() };
    let server = ApiServer::start_over(settings(), engine).await;
    let admin = server.admin().await;
    let supplier =
        HandSupplier::open(&admin, &manifest("shop", &[capability("customer", &["produce", "undo"])])).await;
    let made = admin.post("/v1/requests", &json!({"contract": "shop/customer"})).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-17", "pin": "9"}})).await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let lease = admin.until(&path, |request| request["status"] == "fulfilled").await["leases"][0].clone();
    admin.delete(&format!("/v1/sessions/{}", supplier.session)).await.expect(200);
    let release = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
    admin.post(&release, &json!({"fence": lease["fence"]})).await.expect(200);
    let debts = admin.until("/v1/debts", |debts| debts["items"] != json!([])).await;
    let waiting = &debts["items"][0];
    assert_eq!((&waiting["status"], &waiting["attempts"]), (&json!("waiting"), &json!(0)), "{waiting}");
    assert_eq!(
        (&waiting["contract"], &waiting["owner"]),
        (&json!("shop/customer"), &json!({"team": "Team shop", "contact": "team@shop.test"}))
    );
    assert_eq!(waiting["output"], json!({"id": "c-17", "pin": "***"}));
    assert!(waiting["message"].as_str().unwrap().contains("none is connected"), "{waiting}");
    assert_eq!(admin.get("/v1/debts?status=debt").await.expect(200)["items"], json!([]));
    admin.get("/v1/debts?status=late").await.refused(422, "unknown_value");
    let dataset =
        admin.get(&format!("/v1/datasets/{}", waiting["root_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(
        dataset["waits_for"],
        json!({"operation": "undo", "contract": "shop/customer", "version": 1,
               "owner": {"team": "Team shop", "contact": "team@shop.test"}, "since": waiting["since"]})
    );
    let environments = admin.get("/v1/environments").await.expect(200);
    assert_eq!(environments["items"][0]["waiting_undos"], 1);
}

#[tokio::test]
async fn a_problem_leads_to_a_page_that_explains_it() {
    let server = ApiServer::start().await;
    let nobody = server.client(None);
    let refused = nobody.get("/v1/requests").await.expect(401);
    let (path, code) = refused["type"].as_str().unwrap().split_once('#').unwrap();
    let page = nobody.get(path).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text.contains(&format!("<tr id=\"{code}\"><td><code>{code}</code></td>")), "{}", page.text);
    for code in ["dialect_not_supported", "duplicate_capability", "too_many_connections"] {
        assert!(page.text.contains(&format!("<tr id=\"{code}\">")), "{code}");
    }
    assert!(!page.text.contains("<script"), "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    nobody.get(&format!("{path}?a=1")).await.refused(400, "unknown_parameter");
    nobody.post(path, &json!({})).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    admin.get("/v1/nothing").await.refused(404, "route_not_found");
    let wrong = admin.delete("/v1/requests").await;
    wrong.refused(405, "method_not_allowed");
    assert!(wrong.header("allow").contains("POST"));
    let picky = admin.request(reqwest::Method::GET, "/v1/requests").header("accept", "application/xml");
    read(picky).await.refused(406, "not_acceptable");
    let plain =
        admin.request(reqwest::Method::POST, "/v1/requests").header("content-type", "text/plain").body("{}");
    read(plain).await.refused(415, "content_type");
}

#[tokio::test]
async fn evidence_says_which_supplier_gave_it_and_when_the_part_was_valid() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut billing = manifest("billing", &[capability("account", &["produce", "check"])]);
    billing["build"] = json!("git:1a2b");
    let supplier = HandSupplier::open(&admin, &billing).await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    let dataset = format!("/v1/datasets/{}", made["progress"]["steps"][0]["dataset_id"].as_str().unwrap());
    supplier.perform("check", json!({"outcome": "done", "verdict": "invalid"})).await;
    let part = admin.get(&dataset).await.expect(200)["evidence"]["parts"][0].clone();
    let by = (&json!("git:1a2b"), &json!("by-hand"));
    assert_eq!((&part["verdict"], part.get("valid_at")), (&json!("invalid"), None), "{part}");
    assert_eq!((&part["build"], &part["instance"]), by);
    supplier.perform("check", json!({"outcome": "done", "verdict": "valid"})).await;
    let part = admin.get(&dataset).await.expect(200)["evidence"]["parts"][0].clone();
    assert!(part["valid_at"].is_string() && part["valid_at"] == part["checked_at"], "{part}");
    assert_eq!((&part["build"], &part["instance"]), by);
}

//! Channels over HTTP: a supplier under development registers, is seen and asked by those who name its channel.

use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest};
use crate::events::until as events_until;

/// The first version of a contract in any channel.
const FIRST: u64 = 1_000_000_000;

const FILE: &str = "\
scenario: checkout/pair
owner: { team: Checkout, contact: checkout@shop.test }
description: Customer and account.
steps:
  customer: { uses: shop/customer }
  account: { uses: billing/account, needs: [customer] }
output:
  id: \"${{ steps.account.id }}\"
  account: \"${{ steps.account }}\"
";

fn accounts() -> Value {
    manifest("billing", &[capability("account", &["produce", "undo"])])
}

/// The same in a channel.
fn developed(channel: &str, mut manifest: Value) -> Value {
    manifest["mode"] = json!("dev");
    manifest["channel"] = json!(channel);
    manifest["build"] = json!("git:work");
    manifest
}

/// Accounts with a number that nobody but the holder may see.
fn wider() -> Value {
    let mut wider = accounts();
    wider["capabilities"][0]["output"]["properties"]["iban"] = json!({"type": "string", "x-secret": true});
    wider
}

/// Accounts whose id is called otherwise.
fn renamed() -> Value {
    let mut renamed = accounts();
    renamed["capabilities"][0]["output"] =
        json!({"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]});
    renamed
}

/// A server with both suppliers deployed and the scenario applied.
async fn deployed() -> (ApiServer, Api, HandSupplier, HandSupplier) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let shop = manifest("shop", &[capability("customer", &["produce", "undo"])]);
    let shop = HandSupplier::open(&admin, &shop).await;
    let billing = HandSupplier::open(&admin, &accounts()).await;
    admin.put_yaml("/v1/environments/default/scenarios/checkout/pair", FILE).await.expect(201);
    (server, admin, shop, billing)
}

#[tokio::test]
async fn a_supplier_under_development_is_told_what_its_change_would_break_and_breaks_nothing() {
    let (_server, admin, ..) = deployed().await;
    let opened = admin.post("/v1/sessions", &developed("ada-laptop", renamed())).await.expect(201);
    let contract = &opened["contracts"][0];
    assert_eq!((&contract["version"], &contract["change"]), (&json!(FIRST), &json!("breaking")));
    assert_eq!(
        (&contract["against"], &contract["breaks"][0]["contract"]),
        (&json!(1), &json!("checkout/pair"))
    );
    assert!(contract["changes"][0]["message"].is_string(), "{contract}");
    let pair = admin.get("/v1/environments/default/contracts/checkout/pair").await.expect(200);
    assert_eq!((&pair["status"], &pair["faults"]), (&json!("online"), &json!([])));
    let account = admin.get("/v1/environments/default/contracts/billing/account").await.expect(200);
    assert_eq!((&account["version"], account.get("channel")), (&json!(1), None));
    assert_eq!(account["versions"].as_array().unwrap().len(), 1);
    let again = admin.post("/v1/sessions", &accounts()).await.expect(201);
    assert!(again["contracts"][0].get("against").is_none(), "{again}");
}

#[tokio::test]
async fn the_catalogue_is_shown_as_the_channel_has_it_to_those_who_ask_for_it() {
    let (_server, admin, ..) = deployed().await;
    HandSupplier::open(&admin, &developed("ada-laptop", renamed())).await;
    let extra = manifest("returns", &[capability("parcel", &["produce"])]);
    HandSupplier::open(&admin, &developed("ada-laptop", extra)).await;
    let list = "/v1/environments/default/contracts";
    let shown = async |query: &str| -> Vec<String> {
        let listed = admin.get(&format!("{list}{query}")).await.expect(200);
        let shown = listed["items"].as_array().unwrap().iter().map(|contract| {
            let channel = contract.get("channel").map(|channel| format!(" {channel}")).unwrap_or_default();
            format!(
                "{} {}{channel}",
                contract["name"].as_str().unwrap(),
                contract["status"].as_str().unwrap()
            )
        });
        shown.collect()
    };
    assert_eq!(shown("").await, ["billing/account online", "checkout/pair online", "shop/customer online"]);
    assert_eq!(
        shown("?channel=ada-laptop").await,
        [
            "billing/account online \"ada-laptop\"",
            "checkout/pair broken",
            "returns/parcel online \"ada-laptop\"",
            "shop/customer online"
        ]
    );
    assert_eq!(shown("?channel=ada-laptop&domain=returns").await.len(), 1);
    let account = admin.get(&format!("{list}/billing/account?channel=ada-laptop")).await.expect(200);
    assert_eq!(account["output"]["required"], json!(["key"]));
    let versions: Vec<&Value> =
        account["versions"].as_array().unwrap().iter().map(|version| &version["version"]).collect();
    assert_eq!(versions, [&json!(FIRST), &json!(1)]);
    let one = format!("{list}/billing/account/versions/{FIRST}");
    assert_eq!(admin.get(&format!("{one}?channel=ada-laptop")).await.expect(200)["version"], FIRST);
    admin.get(&one).await.refused(404, "contract_not_found");
    admin.get(&format!("{list}/returns/parcel")).await.refused(404, "contract_not_found");
    for query in ["?channel=", "?channel=Ada", "?channel=a%2Fb"] {
        admin.get(&format!("{list}{query}")).await.refused(422, "name_pattern");
    }
    admin.get(&format!("{list}?channel=a&channel=b")).await.refused(400, "duplicate_parameter");
}

#[tokio::test]
async fn a_request_that_names_the_channel_is_made_in_it_and_one_beside_it_is_not() {
    let (_server, admin, shop, billing) = deployed().await;
    let ada = HandSupplier::open(&admin, &developed("ada-laptop", wider())).await;
    let ask = async |body: Value| admin.post("/v1/requests", &body).await.expect(201);
    let plain = ask(json!({"contract": "checkout/pair"})).await;
    let named = ask(json!({"contract": "checkout/pair", "channel": "ada-laptop"})).await;
    assert_eq!((plain.get("channel"), &named["channel"]), (None, &json!("ada-laptop")));
    for customer in ["c-1", "c-2"] {
        shop.perform("produce", json!({"outcome": "done", "output": {"id": customer}})).await;
    }
    let here = billing.perform("produce", json!({"outcome": "done", "output": {"id": "deployed"}})).await;
    let there = json!({"outcome": "done", "output": {"id": "developed", "iban": "FR76"}});
    let there = ada.perform("produce", there).await;
    assert_eq!((&here["version"], &there["version"]), (&json!(1), &json!(FIRST)));
    for (request, made_by) in [(&plain, "deployed"), (&named, "developed")] {
        let path = format!("/v1/requests/{}", request["id"].as_str().unwrap());
        let done = admin.until(&path, |request| request["status"] == "fulfilled").await;
        let lease = &done["leases"][0];
        assert_eq!(lease["dataset"]["output"]["id"], made_by);
        assert_eq!(lease.get("channel"), request.get("channel"));
        let dataset = format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap());
        assert_eq!(admin.get(&dataset).await.expect(200).get("channel"), request.get("channel"));
    }
    let release = async |request: &Value| {
        let path = format!("/v1/requests/{}", request["id"].as_str().unwrap());
        let lease = admin.get(&path).await.expect(200)["leases"][0].clone();
        let release = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
        admin.post(&release, &json!({"fence": lease["fence"]})).await.expect(200);
    };
    release(&named).await;
    let undo = ada.perform("undo", json!({"outcome": "done"})).await;
    assert_eq!(undo["output"]["id"], "developed");
}

#[tokio::test]
async fn a_secret_that_only_the_channel_knows_of_leaves_towards_the_holder_only() {
    let (server, admin, shop, _billing) = deployed().await;
    let ada = HandSupplier::open(&admin, &developed("ada-laptop", wider())).await;
    let body = json!({"contract": "checkout/pair", "channel": "ada-laptop"});
    let made = admin.post("/v1/requests", &body).await.expect(201);
    shop.perform("produce", json!({"outcome": "done", "output": {"id": "c-1"}})).await;
    ada.perform("produce", json!({"outcome": "done", "output": {"id": "a-1", "iban": "FR76"}})).await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let lease = admin.until(&path, |request| request["status"] == "fulfilled").await["leases"][0].clone();
    assert_eq!(lease["dataset"]["output"]["account"]["iban"], "FR76");
    let dataset = format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap());
    admin.delete(&format!("/v1/sessions/{}", ada.session)).await.expect(200);
    let other = server.consumer().await;
    for path in [path.as_str(), "/v1/leases", dataset.as_str(), "/v1/datasets?contract=billing/account"] {
        let reply = other.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.text.contains("FR76") && reply.text.contains("***"), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_scenario_that_the_channel_breaks_is_refused_with_its_faults() {
    let (server, admin, ..) = deployed().await;
    HandSupplier::open(&admin, &developed("ada-laptop", renamed())).await;
    let before = server.engine.last_event().await.unwrap();
    let refused =
        admin.post("/v1/requests", &json!({"contract": "checkout/pair", "channel": "ada-laptop"})).await;
    refused.refused(409, "contract_broken");
    let problem = refused.json();
    assert!(problem["detail"].as_str().unwrap().contains("the channel `ada-laptop`"), "{problem}");
    let fault = &problem["errors"][0];
    assert!(fault["line"].is_u64() && fault["message"].as_str().unwrap().contains("id"), "{problem}");
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
    admin.post("/v1/requests", &json!({"contract": "checkout/pair"})).await.expect(201);
}

#[tokio::test]
async fn a_channel_that_is_not_live_is_refused_and_the_live_ones_are_named() {
    let (_server, admin, ..) = deployed().await;
    let body = json!({"contract": "checkout/pair", "channel": "ada-laptop"});
    let nobody = admin.post("/v1/requests", &body).await;
    nobody.refused(404, "channel_not_found");
    assert!(nobody.text.contains("No supplier under development is connected there"), "{}", nobody.text);
    let bob = HandSupplier::open(&admin, &developed("bob", wider())).await;
    HandSupplier::open(&admin, &developed("zoe", wider())).await;
    let refused = admin.post("/v1/requests", &body).await;
    refused.refused(404, "channel_not_found");
    assert!(refused.text.contains("Live channels are `bob`, `zoe`"), "{}", refused.text);
    let listed = admin.get("/v1/environments/default/contracts?channel=ada-laptop").await;
    listed.refused(404, "channel_not_found");
    admin.delete(&format!("/v1/sessions/{}", bob.session)).await.expect(200);
    let gone = admin.post("/v1/requests", &json!({"contract": "checkout/pair", "channel": "bob"})).await;
    gone.refused(404, "channel_not_found");
    assert!(gone.text.contains("Live channels are `zoe`;"), "{}", gone.text);
}

#[tokio::test]
async fn suppliers_and_events_show_mode_and_channel() {
    let (_server, admin, ..) = deployed().await;
    let extra = manifest("returns", &[capability("parcel", &["produce"])]);
    HandSupplier::open(&admin, &developed("ada-laptop", extra)).await;
    let listed = admin.get("/v1/sessions").await.expect(200);
    let (ours, deployed) = (&listed["items"][0], &listed["items"][1]);
    assert_eq!((&ours["mode"], &ours["channel"]), (&json!("dev"), &json!("ada-laptop")));
    let version = ours["capabilities"][0]["version"].clone();
    assert!(version.as_u64() >= Some(1_000_000_000), "one of the channel: {version}");
    let served = json!([{"name": "returns/parcel", "version": version, "operations": ["produce"]}]);
    assert_eq!(ours["capabilities"], served);
    assert_eq!((&deployed["mode"], deployed.get("channel")), (&json!("deployment"), None));
    let body = json!({"contract": "returns/parcel", "channel": "ada-laptop"});
    admin.post("/v1/requests", &body).await.expect(201);
    let told = events_until(&admin, "/v1/events", 0, "dataset.building").await;
    let of = |kind: &str| -> Vec<&Value> {
        let of_kind = told.iter().filter(|event| event["kind"] == kind);
        of_kind.map(|event| event.get("channel").unwrap_or(&Value::Null)).collect()
    };
    let (null, ada) = (json!(null), json!("ada-laptop"));
    assert_eq!(of("session.live"), [&null, &null, &ada]);
    assert_eq!(of("request.building"), [&ada]);
    assert_eq!(of("dataset.building"), [&ada]);
    assert_eq!(of("contract.new").len(), 3, "the catalogue has not changed with the channel");
}

#[tokio::test]
async fn two_suppliers_of_a_domain_in_a_channel_do_not_fight_and_the_deployed_one_stays() {
    let (_server, admin, _shop, billing) = deployed().await;
    let older = HandSupplier::open(&admin, &developed("ada-laptop", wider())).await;
    let mut newer = developed("ada-laptop", wider());
    newer["instance"] = json!("another");
    HandSupplier::open(&admin, &newer).await;
    admin.post(&older.path("claim"), &json!({})).await.refused(409, "superseded");
    admin.post(&billing.path("claim"), &json!({})).await.expect(200);
}

#[tokio::test]
async fn an_environment_has_only_so_many_channels() {
    let (_server, admin, ..) = deployed().await;
    for number in 0..100 {
        admin.post("/v1/sessions", &developed(&format!("c{number}"), wider())).await.expect(201);
    }
    let refused = admin.post("/v1/sessions", &developed("one-more", wider())).await;
    refused.refused(409, "too_many_channels");
    assert!(refused.text.contains("`default` has 100 live channels") && refused.text.contains("`c42`"));
    admin.post("/v1/sessions", &developed("c42", wider())).await.expect(201);
}

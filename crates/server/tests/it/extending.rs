//! Extensions over HTTP: a lease tells what its dataset was advanced by, what came of it, and what is refused.

use serde_json::{Value, json};
use sixpack_model::token::Role;

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest};

/// What a paid order is made from: the account is known from the dataset, and never shown to others.
fn paid() -> Value {
    let mut paid = capability("paid", &["produce", "undo"]);
    paid["input"] = json!({
        "type": "object",
        "properties": { "id": { "type": "string" }, "method": { "type": "string", "default": "CARD" } },
        "required": ["id"],
        "additionalProperties": false,
    });
    paid["output"] = json!({
        "type": "object",
        "properties": { "order": { "type": "string" }, "pin": { "type": "string", "x-secret": true } },
        "required": ["order"],
    });
    paid
}

/// A leased account, and whoever makes it and extends it by hand.
async fn leased(server: &ApiServer, consumer: &Api) -> (Value, HandSupplier) {
    let admin = server.admin().await;
    let mut account = capability("account", &["produce", "undo"]);
    account["output"] =
        json!({ "type": "object", "properties": { "id": { "type": "string" } }, "required": ["id"] });
    let supplier = HandSupplier::open(&admin, &manifest("billing", &[account, paid()])).await;
    let order = json!({"contract": "billing/account", "lease": {"ttl_s": 60}});
    let request = consumer.post("/v1/requests", &order).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    let path = format!("/v1/requests/{}?wait_s=20", request["id"].as_str().unwrap());
    (consumer.get(&path).await.expect(200)["leases"][0].clone(), supplier)
}

fn path(lease: &Value) -> String {
    format!("/v1/leases/{}", lease["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_extended_lease_shows_what_was_made_and_its_holder_the_secrets() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let (lease, supplier) = leased(&server, &consumer).await;
    assert_eq!(lease.get("extensions"), None);
    let extend = format!("{}/extend", path(&lease));
    let body = json!({"fence": lease["fence"], "contract": "billing/paid", "number": 1});
    let begun = consumer.post(&extend, &body).await.expect(200);
    let shown = &begun["extensions"][0];
    assert_eq!(
        (&shown["step"], &shown["contract"], &shown["version"], &shown["status"]),
        (&json!("extend_1"), &json!("billing/paid"), &json!(1), &json!("building"))
    );
    assert_eq!((shown.get("output"), &begun["status"]), (None, &json!("held")));
    let waited = format!("{}?wait_s=20", path(&lease));
    let (made, task) = tokio::join!(
        consumer.get(&waited),
        supplier.perform("produce", json!({"outcome": "done", "output": {"order": "o-1", "pin": "1234"}}))
    );
    assert_eq!(task["input"], json!({"id": "a-1", "method": "CARD"}));
    let made = made.expect(200);
    assert_eq!(made["extensions"][0]["status"], "ready");
    assert_eq!(made["extensions"][0]["output"], json!({"order": "o-1", "pin": "1234"}));
    assert_eq!(made["dataset"]["output"], lease["dataset"]["output"]);
    assert_eq!(made["dataset"]["evidence"]["of"], 2, "it is a part of the dataset");
    let other = server.api(Role::Consumer, None, None).await;
    let seen = other.get(&path(&lease)).await.expect(200);
    assert_eq!(seen["extensions"][0]["output"], json!({"order": "o-1", "pin": "***"}));
    let again = consumer.post(&format!("{extend}?wait_s=20"), &body).await.expect(200);
    assert_eq!(again["extensions"], made["extensions"], "the same call answers the same");
    let dataset = format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap());
    let dataset = consumer.get(&dataset).await.expect(200);
    assert_eq!(dataset["parts"][0]["step"], "extend_1");
    let kinds: Vec<&str> =
        dataset["timeline"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for kind in ["dataset.extending", "dataset.extended"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let request = format!("/v1/requests/{}", lease["request_id"].as_str().unwrap());
    assert_eq!(consumer.get(&request).await.expect(200)["progress"]["total"], 1, "it was not asked for then");
}

#[tokio::test]
async fn an_extension_that_fails_leaves_the_dataset_as_it_was() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let (lease, supplier) = leased(&server, &consumer).await;
    let extend = format!("{}/extend?wait_s=20", path(&lease));
    let body = json!({"fence": lease["fence"], "contract": "billing/paid", "input": {"method": "CASH"}});
    let refused =
        json!({"outcome": "failed", "retryable": false, "code": "no_cash", "message": "cards only"});
    let (answer, task) = tokio::join!(consumer.post(&extend, &body), supplier.perform("produce", refused));
    assert_eq!(task["input"]["method"], "CASH");
    let answer = answer.expect(200);
    let failed = &answer["extensions"][0];
    assert_eq!((&failed["status"], failed.get("output")), (&json!("failed"), None));
    let failure = &failed["failure"];
    assert_eq!(
        (&failure["class"], &failure["code"], &failure["message"], &failure["path"]),
        (&json!("rejected"), &json!("no_cash"), &json!("cards only"), &json!("extend_1 › billing/paid@1"))
    );
    assert_eq!(failure["undo"], json!({"done": [], "pending": [], "debts": []}));
    assert_eq!((&answer["status"], &answer["dataset"]), (&json!("held"), &lease["dataset"]));
    let dataset = format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap());
    let dataset = consumer.get(&dataset).await.expect(200);
    assert_eq!((&dataset["status"], dataset.get("failure")), (&json!("leased"), None));
    assert_eq!(dataset["parts"][0]["failure"]["code"], "no_cash");
    consumer.post(&format!("{}/release", path(&lease)), &json!({"fence": lease["fence"]})).await.expect(200);
}

#[tokio::test]
async fn what_cannot_be_extended_is_refused_and_nothing_begins() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let (lease, supplier) = leased(&server, &consumer).await;
    let extend = format!("{}/extend", path(&lease));
    let fence = lease["fence"].as_u64().unwrap();
    for (body, status, code) in [
        (json!({"fence": fence}), 422, "missing_field"),
        (json!({"contract": "billing/paid"}), 422, "missing_field"),
        (json!({"fence": fence, "contract": "Paid"}), 422, "name_pattern"),
        (json!({"fence": fence, "contract": "billing/paid", "input": 5}), 422, "type"),
        (json!({"fence": fence, "contract": "billing/paid", "steps": 5}), 422, "unknown_field"),
        (json!({"fence": fence, "contract": "billing/paid", "number": 0}), 422, "range"),
        (json!({"fence": fence, "contract": "billing/paid", "number": 21}), 422, "range"),
        (json!({"fence": fence, "contract": "billing/paid", "number": 2}), 422, "range"),
        (json!({"fence": fence, "contract": "billing/paid", "input": {"id": 7}}), 422, "input_invalid"),
        (json!({"fence": fence, "contract": "billing/paid", "input": {"ID": "7"}}), 422, "input_invalid"),
        (json!({"fence": fence, "contract": "billing/nothing"}), 404, "contract_not_found"),
        (json!({"fence": fence + 1, "contract": "billing/paid"}), 409, "lease_fenced"),
    ] {
        let refused = consumer.post(&extend, &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text);
        assert!(refused.text.contains(code), "{body}: {}", refused.text);
    }
    let body = json!({"fence": fence, "contract": "billing/paid"});
    server.api(Role::Consumer, None, None).await.post(&extend, &body).await.refused(404, "lease_not_found");
    assert_eq!(consumer.get(&path(&lease)).await.expect(200).get("extensions"), None);
    consumer.post(&extend, &body).await.expect(200);
    assert_eq!(supplier.claim().await["operation"], "produce");
    let second = consumer.post(&extend, &body).await;
    second.refused(409, "extending");
    assert!(second.text.contains("extend_1"), "{}", second.text);
    let diagnose = format!("{}/diagnose", path(&lease));
    consumer.post(&diagnose, &json!({})).await.refused(409, "extending");
    let other = json!({"fence": fence, "contract": "billing/paid", "number": 1, "input": {"method": "CASH"}});
    consumer.post(&extend, &other).await.refused(409, "extension_mismatch");
    let released =
        consumer.post(&format!("{}/release", path(&lease)), &json!({"fence": fence})).await.expect(200);
    assert_eq!(released["extensions"][0]["status"], "cancelled");
    consumer.post(&extend, &body).await.refused(409, "lease_ended");
}

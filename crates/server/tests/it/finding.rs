//! Finding through the API: the task that asks for existing data, the answers, what is shown, and what is refused.

use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest};
use crate::witness::Witness;

const FIND: &[&str] = &["produce", "check", "undo", "find"];

async fn with_shop() -> (ApiServer, Api, HandSupplier) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let kinds = [capability("customer", FIND), capability("order", &["produce", "undo"])];
    let supplier = HandSupplier::open(&admin, &manifest("shop", &kinds)).await;
    (server, admin, supplier)
}

fn find_first() -> Value {
    json!({"contract": "shop/customer", "source": "find_first"})
}

async fn ask(api: &Api) -> String {
    let request = api.post("/v1/requests", &find_first()).await.expect(201);
    assert_eq!(request["source"], "find_first");
    request["id"].as_str().unwrap().to_owned()
}

async fn fulfilled(api: &Api, request: &str) -> Value {
    api.until(&format!("/v1/requests/{request}?wait_s=20"), |request| request["status"] == "fulfilled").await
}

#[tokio::test]
async fn existing_data_is_found_shown_as_such_and_left_when_its_lease_ends() {
    let (_server, admin, supplier) = with_shop().await;
    let request = ask(&admin).await;
    let done = json!({"outcome": "done", "output": {"id": "c-1"}});
    let task = supplier.perform("find", done.clone()).await;
    assert_eq!((&task["exclude"], &task["input"]), (&json!([]), &json!({"country": "FR"})), "{task}");
    assert_eq!(task.get("output"), None);
    let check = supplier.perform("check", json!({"outcome": "done", "verdict": "valid"})).await;
    assert_eq!((&check["output"], check.get("exclude")), (&json!({"id": "c-1"}), None));
    let lease = fulfilled(&admin, &request).await["leases"][0].clone();
    let path = format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap());
    let dataset = admin.get(&path).await.expect(200);
    assert_eq!((&dataset["origin"], &dataset["search"]), (&json!("found"), &json!({"asked": 1})));

    let second = ask(&admin).await;
    let task = supplier.perform("find", done).await;
    assert_eq!(task["exclude"], json!([{"kind": "customer", "key": "c-1"}]));
    supplier.perform("find", json!({"outcome": "none", "message": "no other in FR"})).await;
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-2"}})).await;
    supplier.perform("check", json!({"outcome": "done", "verdict": "valid"})).await;
    let made = fulfilled(&admin, &second).await["leases"][0]["dataset"]["id"].clone();
    let made = admin.get(&format!("/v1/datasets/{}", made.as_str().unwrap())).await.expect(200);
    let search = json!({"asked": 2, "given_up": {"code": "nothing_found", "message": "no other in FR"}});
    assert_eq!((&made["origin"], &made["search"]), (&json!("made"), &search));
    let kinds: Vec<&str> =
        made["timeline"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for kind in ["dataset.find_refused", "task.found_none", "dataset.not_found", "dataset.ready"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }

    let release = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
    admin.post(&release, &json!({"fence": lease["fence"]})).await.expect(200);
    let gone = admin.until(&path, |dataset| dataset["status"] == "gone").await;
    let last = gone["timeline"].as_array().unwrap().iter().rev().map(|event| &event["kind"]);
    let last: Vec<&Value> = last.take(2).collect();
    assert_eq!(last, ["dataset.gone", "dataset.released"], "{gone}");
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_told_to_the_supplier_and_the_data_is_made() {
    let (_server, admin, supplier) = with_shop().await;
    let request = ask(&admin).await;
    let task = supplier.claim().await;
    let bad = json!({"outcome": "done", "output": {"id": "c-1"}, "verdict": "valid"});
    assert_eq!(supplier.answer(&task, bad).await["reason"], "bad_result");
    let bad = json!({"outcome": "none", "output": {"id": "c-1"}});
    assert_eq!(supplier.answer(&task, bad).await["reason"], "bad_result");
    let receipt = supplier.answer(&task, json!({"outcome": "done", "output": {"id": 7}})).await;
    assert_eq!((&receipt["accepted"], &receipt["reason"]), (&json!(true), &json!("contract_violation")));
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-2"}})).await;
    supplier.perform("check", json!({"outcome": "done", "verdict": "valid"})).await;
    fulfilled(&admin, &request).await;
}

#[tokio::test]
async fn whoever_cannot_be_asked_is_refused_with_its_place() {
    let (server, admin, _supplier) = with_shop().await;
    let mut witness = Witness::of(&server, &admin).await;
    let with = |changes: Value| {
        let mut body = find_first();
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    let items = json!([{"contract": "shop/customer"}, {"contract": "shop/order"}]);
    for (body, code, pointer) in [
        (with(json!({"contract": "shop/order"})), "not_findable", "/source"),
        (json!({"items": items, "source": "find_first"}), "not_findable", "/items/1"),
        (with(json!({"select": {"id": "x"}})), "exclusive", "/select"),
        (with(json!({"prefer": {"country": "FR"}})), "exclusive", "/prefer"),
        (
            json!({"rerun_of": "ds_00000000000000000000000000", "source": "find_first"}),
            "exclusive",
            "/source",
        ),
        (with(json!({"source": "find_only"})), "unknown_value", "/source"),
    ] {
        let reply = witness.post("/v1/requests", &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{}", reply.text);
        let errors = reply.json()["errors"].clone();
        let at = errors.as_array().unwrap().iter().any(|error| error["pointer"] == pointer);
        assert!(at, "{pointer} in {errors}");
    }
    let mut keyless = manifest("bank", &[capability("account", FIND)]);
    keyless["capabilities"][0]["output"] = json!({"type": "object"});
    let reply = witness.post("/v1/sessions", &keyless).await;
    reply.refused(422, "no_entity");
    assert_eq!(reply.json()["errors"][0]["pointer"], "/capabilities/0/output");
    witness.end().await;
}

//! Steps of scenarios over HTTP: their time, and scenarios that are made anew.

use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest};

async fn apply(api: &Api, name: &str, steps: &str) {
    let file = format!("scenario: shop/{name}\nowner: {{ team: Shop }}\nsteps:\n{steps}output: {{}}\n");
    api.put_yaml(&format!("/v1/environments/default/scenarios/shop/{name}"), &file).await.expect(201);
}

async fn customers(api: &Api) -> HandSupplier {
    HandSupplier::open(api, &manifest("shop", &[capability("customer", &["produce", "undo"])])).await
}

fn refused() -> Value {
    json!({"outcome": "failed", "retryable": true, "code": "busy", "message": "not now"})
}

#[tokio::test]
async fn a_step_out_of_time_ends_when_its_time_comes_and_tells_its_supplier() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = customers(&admin).await;
    apply(&admin, "quick", "  one: { uses: shop/customer, timeout_s: 1 }\n").await;
    let made = admin.post("/v1/requests", &json!({"contract": "shop/quick"})).await.expect(201);
    let task = supplier.claim().await;
    let path = format!("/v1/requests/{}?wait_s=20", made["id"].as_str().unwrap());
    let failed = admin.get(&path).await.expect(200);
    assert_eq!((&failed["status"], &failed["failure"]["class"]), (&json!("failed"), &json!("timeout")));
    let message = failed["failure"]["message"].as_str().unwrap();
    let expected =
        "step `one` was not made within its `timeout_s` of 1 s: it had attempt 1 of `produce` running since";
    assert!(message.starts_with(expected), "{message}");
    let heartbeat = json!({"running": [task["id"]]});
    let told = admin.post(&supplier.path("heartbeat"), &heartbeat).await.expect(200);
    assert_eq!(told["cancelled"], json!([task["id"]]));
    let late = supplier.answer(&task, json!({"outcome": "done", "output": {"id": "c-1"}})).await;
    assert_eq!((&late["accepted"], &late["reason"]), (&json!(false), &json!("cancelled")));
    let undo = supplier.perform("undo", json!({"outcome": "done"})).await;
    assert_eq!(undo["output"]["id"], "c-1");
}

#[tokio::test]
async fn a_scenario_that_is_made_anew_shows_its_attempts() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = customers(&admin).await;
    apply(&admin, "inner", "  one: { uses: shop/customer }\n").await;
    let retry = "retry: { max_attempts: 2, first_delay_ms: 1, max_delay_ms: 1 }";
    apply(&admin, "outer", &format!("  inner: {{ uses: shop/inner, {retry} }}\n")).await;
    let made = admin.post("/v1/requests", &json!({"contract": "shop/outer"})).await.expect(201);
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let first = supplier.perform("produce", refused()).await;
    supplier.perform("produce", refused()).await;
    supplier.perform("undo", json!({"outcome": "done"})).await;
    let second = supplier.perform("produce", refused()).await;
    for other in ["dataset_id", "seed", "unique", "idempotency_key"] {
        assert_ne!(first[other], second[other], "{other}");
    }
    let building = admin.get(&path).await.expect(200);
    assert_eq!(building["progress"]["total"], 1, "only the attempt that is on counts");
    supplier.perform("produce", refused()).await;
    supplier.perform("undo", json!({"outcome": "done"})).await;
    let failed = admin.get(&format!("{path}?wait_s=20")).await.expect(200);
    let failure = &failed["failure"];
    assert_eq!(failure["retried"], json!([{"path": "inner › shop/inner@1", "attempts": 2}]));
    assert_eq!((&failure["class"], &failure["attempts"]), (&json!("unavailable"), &json!(2)));
    let root = first["dataset_id"].as_str().unwrap().rsplit_once('_').unwrap().0;
    let dataset = admin.get(&format!("/v1/datasets/{root}")).await.expect(200);
    let parts = dataset["parts"][0]["parts"].as_array().unwrap();
    let attempts: Vec<&Value> = parts.iter().map(|part| &part["attempt"]).collect();
    assert_eq!(attempts, [&json!(1), &json!(2)]);
    let kinds =
        dataset["timeline"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "dataset.retrying");
    assert_eq!(kinds.map(|entry| &entry["attempt"]).collect::<Vec<_>>(), [&json!(1)]);
}

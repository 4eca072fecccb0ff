//! Sessions over HTTP: opened, superseded, drained; tasks of every operation; orchestrators; results refused.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sixpack_model::token::Role;

use crate::api_server::{ApiServer, HandSupplier, capability, manifest, within};

fn accounts() -> Value {
    manifest("billing", &[capability("account", &["produce", "check", "undo"])])
}

#[tokio::test]
async fn a_session_says_what_became_of_its_contracts() {
    let server = ApiServer::start().await;
    let supplier = server.supplier().await;
    let opened = supplier.post("/v1/sessions", &accounts()).await;
    let id = opened.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(opened.header("location"), format!("/v1/sessions/{id}"));
    let opened = opened.expect(201);
    assert_eq!(opened["heartbeat_s"], 5);
    assert_eq!(
        opened["contracts"],
        json!([{"name": "billing/account", "version": 1, "change": "new", "changes": [], "breaks": []}])
    );
    let mut changed = accounts();
    changed["instance"] = json!("another");
    changed["capabilities"][0]["output"]["properties"]["id"] = json!({"type": "integer"});
    let again = supplier.post("/v1/sessions", &changed).await.expect(201);
    assert_eq!(
        (&again["contracts"][0]["version"], &again["contracts"][0]["change"]),
        (&json!(2), &json!("breaking"))
    );
    assert!(again["contracts"][0]["changes"][0]["message"].is_string());
    let listed = supplier.get("/v1/sessions?domain=billing&state=live").await.expect(200);
    let instances: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|session| &session["instance"]).collect();
    assert_eq!(instances, ["another", "by-hand"], "newest first");
    assert_eq!(
        listed["items"][0]["capabilities"],
        json!([{"name": "billing/account", "version": 2, "operations": ["produce", "check", "undo"]}])
    );
    assert_eq!(listed["items"][1]["capabilities"][0]["version"], 1);
    assert_eq!(supplier.get("/v1/sessions?domain=other").await.expect(200)["items"], json!([]));
    let contract = supplier.get("/v1/environments/default/contracts/billing/account").await.expect(200);
    assert_eq!((&contract["version"], &contract["sessions"]), (&json!(2), &json!(1)));
    let of_versions: Vec<_> = contract["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["version"], &one["sessions"]))
        .collect();
    assert_eq!(of_versions, [(&json!(2), &json!(1)), (&json!(1), &json!(1))], "newest first");
    // The newer build is rolled back by ending it.
    let id = again["id"].as_str().unwrap();
    assert_eq!(supplier.delete(&format!("/v1/sessions/{id}")).await.status, 200);
    let contract = supplier.get("/v1/environments/default/contracts/billing/account").await.expect(200);
    let shown = (&contract["version"], &contract["status"], &contract["sessions"]);
    assert_eq!(shown, (&json!(1), &json!("online"), &json!(1)));
}

#[tokio::test]
async fn every_operation_carries_the_same_key_seed_and_unique() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let again = json!({"outcome": "again", "after_ms": 0, "state": {"ref": 7}, "message": "still verifying"});
    let first = supplier.perform("produce", again).await;
    assert_eq!(
        (&first["capability"], &first["version"], &first["attempt"]),
        (&json!("account"), &json!(1), &json!(1))
    );
    assert_eq!(first["input"], json!({"country": "FR"}));
    assert!(first.get("state").is_none() && first.get("output").is_none() && first.get("children").is_none());
    assert!(first["seed"].as_u64().unwrap() < 1 << 53 && first["unique"].as_str().unwrap().len() >= 8);
    let output = json!({"id": "a-1", "pin": "1234"});
    let second = supplier.perform("produce", json!({"outcome": "done", "output": output})).await;
    assert_eq!((&second["state"], &second["attempt"]), (&json!({"ref": 7}), &json!(2)));
    let check = supplier
        .perform("check", json!({"outcome": "done", "verdict": "valid", "facts": {"status": "OPEN"}}))
        .await;
    assert_eq!(check["output"], output);
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let lease = admin.until(&path, |request| request["status"] == "fulfilled").await["leases"][0].clone();
    assert_eq!(lease["dataset"]["evidence"]["parts"][0]["facts"], json!({"status": "OPEN"}));
    let release = format!("/v1/leases/{}/release", lease["id"].as_str().unwrap());
    admin.post(&release, &json!({"fence": lease["fence"]})).await.expect(200);
    let undo = supplier.perform("undo", json!({"outcome": "done"})).await;
    assert_eq!((&undo["output"], &undo["facts"]), (&output, &json!({"status": "OPEN"})));
    for task in [&second, &check, &undo] {
        for same in ["dataset_id", "seed", "unique", "idempotency_key"] {
            assert_eq!(task[same], first[same], "{same}");
        }
    }
}

#[tokio::test]
async fn an_orchestrator_obtains_children_by_name() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(
        &admin,
        &manifest("shop", &[capability("basket", &["produce"]), capability("account", &["produce"])]),
    )
    .await;
    let made = admin.post("/v1/requests", &json!({"contract": "shop/basket"})).await.expect(201);
    let wish = json!({"name": "payer", "contract": "shop/account", "input": {"country": "CZ"}});
    supplier.perform("produce", json!({"outcome": "obtain", "children": [wish]})).await;
    let child = supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    assert_eq!((&child["capability"], &child["input"]), (&json!("account"), &json!({"country": "CZ"})));
    let task = supplier.claim().await;
    assert_eq!(
        task["children"],
        json!({"payer": {"dataset_id": child["dataset_id"], "contract": "shop/account", "version": 1, "output": {"id": "a-1"}}})
    );
    supplier.answer(&task, json!({"outcome": "done", "output": {"id": "b-1"}})).await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let done = admin.until(&path, |request| request["status"] == "fulfilled").await;
    let steps: Vec<&Value> =
        done["progress"]["steps"].as_array().unwrap().iter().map(|step| &step["path"]).collect();
    assert_eq!(steps, ["", "payer"]);
}

#[tokio::test]
async fn a_newer_instance_supersedes_the_older() {
    let server = ApiServer::start().await;
    let supplier = server.supplier().await;
    let older = HandSupplier::open(&supplier, &accounts()).await;
    HandSupplier::open(&supplier, &accounts()).await;
    supplier.post(&older.path("claim"), &json!({})).await.refused(409, "superseded");
    supplier.post(&older.path("heartbeat"), &json!({"running": []})).await.refused(409, "superseded");
}

#[tokio::test]
async fn a_draining_session_gets_nothing_more_and_may_still_answer() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = supplier.claim().await;
    let path = format!("/v1/sessions/{}", supplier.session);
    assert_eq!(admin.delete(&path).await.expect(200), json!({"claimed": 1}));
    assert_eq!(admin.delete(&path).await.expect(200), json!({"claimed": 1}));
    let beat = admin.post(&supplier.path("heartbeat"), &json!({"running": [task["id"]]})).await.expect(200);
    assert_eq!(beat["draining"], true);
    let receipt = supplier.answer(&task, json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    assert_eq!(receipt["accepted"], true);
}

#[tokio::test]
async fn results_bring_the_next_tasks_when_they_ask_for_them() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    for _ in 0..3 {
        admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    }
    let first = supplier.claim().await;
    let result = json!({"task_id": first["id"], "attempt": 1, "outcome": "done", "output": {"id": "a-1"}});
    let body = json!({"results": [result], "claim": {"max": 2}});
    let answered = supplier.api.post(&supplier.path("results"), &body).await.expect(200);
    assert_eq!(answered["results"][0]["accepted"], true);
    // Refused results bring what is ready all the same. In which sequence, tasks that became ready at the same moment, is the store's.
    let rest = supplier.api.post(&supplier.path("results"), &body).await.expect(200);
    assert_eq!(rest["results"][0]["reason"], "already_completed");
    let tasks = |of: &Value| of["tasks"].as_array().unwrap().clone();
    assert_eq!((tasks(&answered).len(), tasks(&rest).len()), (2, 1));
    let mut all: Vec<_> = [tasks(&answered), tasks(&rest)].concat();
    all.sort_by_key(|task| task["operation"].to_string());
    let all: Vec<_> = all.iter().map(|task| (task["operation"].as_str(), &task["attempt"])).collect();
    // The check of what was made, and what was asked for besides.
    let one = json!(1);
    assert_eq!(all, [(Some("check"), &one), (Some("produce"), &one), (Some("produce"), &one)]);
    let none = supplier.api.post(&supplier.path("results"), &body).await.expect(200);
    assert_eq!(none["tasks"], json!([]));
}

#[tokio::test]
async fn results_do_not_wait_for_the_tasks_that_they_ask_for() {
    let server = ApiServer::start().await;
    let supplier = HandSupplier::open(&server.admin().await, &accounts()).await;
    let result = json!({"task_id": "task_x", "attempt": 1, "outcome": "done"});
    for (claim, code, pointer) in [
        (json!({"max": 0}), "range", "/claim/max"),
        (json!({"max": 101}), "range", "/claim/max"),
        (json!({}), "missing_field", "/claim/max"),
        (json!({"max": 1, "wait_s": 1}), "unknown_field", "/claim/wait_s"),
    ] {
        let body = json!({"results": [result], "claim": claim});
        let reply = supplier.api.post(&supplier.path("results"), &body).await;
        reply.refused(422, code);
        assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{}", reply.text);
    }
}

#[tokio::test]
async fn a_session_belongs_to_the_token_that_opened_it() {
    let server = ApiServer::start().await;
    let supplier = HandSupplier::open(&server.supplier().await, &accounts()).await;
    let stranger = server.supplier().await;
    for (operation, body) in [
        ("claim", json!({})),
        ("heartbeat", json!({"running": []})),
        ("results", json!({"results": [{"task_id": "task_x", "attempt": 1, "outcome": "done"}]})),
    ] {
        stranger.post(&supplier.path(operation), &body).await.refused(404, "session_not_found");
    }
    stranger.delete(&format!("/v1/sessions/{}", supplier.session)).await.refused(404, "session_not_found");
    stranger.post("/v1/sessions/ses_nonsense/claim", &json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_bound_token_supplies_its_domain_and_environment_only() {
    let server = ApiServer::start().await;
    let bound = server.api(Role::Supplier, Some("default"), Some("billing")).await;
    bound.post("/v1/sessions", &accounts()).await.expect(201);
    bound
        .post("/v1/sessions", &manifest("order", &[capability("x", &["produce"])]))
        .await
        .refused(404, "domain_not_found");
    let mut elsewhere = accounts();
    elsewhere["environment"] = json!("staging");
    bound.post("/v1/sessions", &elsewhere).await.refused(404, "environment_not_found");
    let listed = bound.get("/v1/environments").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_supplier_that_answers_another_kind_of_operation_breaks_its_contract() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = supplier.claim().await;
    let receipt = supplier.answer(&task, json!({"outcome": "done", "output": {"id": 7}})).await;
    assert_eq!((&receipt["accepted"], &receipt["reason"]), (&json!(true), &json!("contract_violation")));
    assert!(receipt["message"].as_str().unwrap().contains("/id"), "{receipt}");
    let failed = admin.get(&format!("/v1/requests/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(failed["failure"]["class"], "contract_violation");
    let undo = supplier.claim().await;
    assert_eq!(undo["operation"], "undo");
    assert!(undo.get("output").is_none(), "nothing that can be relied on was made: {undo}");
}

#[tokio::test]
async fn a_session_has_eight_parked_claims() {
    let server = ApiServer::start().await;
    let supplier = HandSupplier::open(&server.supplier().await, &accounts()).await;
    let claim = || {
        let (api, path) = (supplier.api.clone(), supplier.path("claim"));
        async move { api.post(&path, &json!({"wait_s": 30})).await }
    };
    let parked: Vec<_> = (0..9).map(|_| tokio::spawn(claim())).collect();
    let (refused, _, others) = within(futures::future::select_all(parked)).await;
    refused.unwrap().refused(429, "too_many_polls");
    supplier.api.delete(&format!("/v1/sessions/{}", supplier.session)).await.expect(200);
    for other in within(futures::future::join_all(others)).await {
        let reply = other.unwrap();
        // One that had its place and had not asked for tasks yet finds the session ended.
        assert!(matches!(reply.status, 200 | 409), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_supplier_that_hangs_up_takes_no_task_with_it() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = HandSupplier::open(&admin, &accounts()).await;
    for _ in 0..5 {
        let hangs_up = admin.request(Method::POST, &supplier.path("claim"));
        let hangs_up = hangs_up.json(&json!({"wait_s": 20})).timeout(Duration::from_millis(20));
        assert!(hangs_up.send().await.unwrap_err().is_timeout());
        let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
        let task = supplier.claim().await;
        assert_eq!(task["dataset_id"], made["progress"]["steps"][0]["dataset_id"]);
        let receipt = supplier.answer(&task, json!({"outcome": "again", "after_ms": 600_000})).await;
        assert_eq!(receipt["accepted"], true);
    }
}

//! Requests over HTTP: made, waited for, repeated, cancelled, failed; and what bad ones get.

use reqwest::Method;
use serde_json::{Value, json};

use sixpack_server::ServerSettings;

use crate::api_server::{Api, ApiServer, HandSupplier, Reply, capability, manifest, read, settings, within};

#[tokio::test]
async fn a_request_is_fulfilled_with_a_lease_on_what_was_made() {
    let server = ApiServer::start().await;
    let (consumer, supplier) = (server.consumer().await, server.supplier().await);
    let billing = manifest("billing", &[capability("account", &["produce", "check", "undo"])]);
    let serving = HandSupplier::open(&supplier, &billing).await.serve();
    let made = consumer
        .post(
            "/v1/requests?wait_s=20",
            &json!({"contract": "billing/account", "lease": {"ttl_s": 60}, "holder": "me"}),
        )
        .await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/v1/requests/{id}"));
    assert_eq!(made.header("idempotency-replayed"), "");
    let request = made.expect(201);
    assert_eq!(request["status"], "fulfilled");
    assert_eq!(request["input"], json!({"country": "FR"}));
    assert_eq!(
        (&request["count"], &request["version"], &request["lease"]["ttl_s"]),
        (&json!(1), &json!(1), &json!(60))
    );
    assert_eq!(request["progress"]["done"], 1);
    assert_eq!(request["progress"]["steps"][0]["status"], "ready");
    let lease = &request["leases"][0];
    assert_eq!((&lease["holder"], &lease["status"]), (&json!("me"), &json!("held")));
    assert_eq!(lease["dataset"]["output"]["pin"], "1234", "the holder sees secrets");
    assert_eq!(lease["dataset"]["evidence"]["verdict"], "valid");
    assert!(lease["ttl_ms"].as_u64().unwrap() <= 60_000 && lease["ttl_ms"].as_u64().unwrap() > 50_000);
    assert!(lease["fence"].as_u64().unwrap() < 1 << 53);
    // To everybody else the same lease shows no secrets.
    let other = server.consumer().await;
    let shown = other.get(&format!("/v1/requests/{id}")).await.expect(200);
    assert_eq!(shown["leases"][0]["dataset"]["output"]["pin"], "***");
    serving.abort();
}

#[tokio::test]
async fn an_input_that_nothing_reads_is_warned_of() {
    let server = ApiServer::start().await;
    let (consumer, supplier) = (server.consumer().await, server.supplier().await);
    HandSupplier::open(&supplier, &manifest("billing", &[capability("account", &["produce"])])).await;
    let misspelt = json!({"contract": "billing/account", "input": {"contry": "DE"}});
    let made = consumer.post("/v1/requests", &misspelt).await.expect(201);
    let id = made["id"].as_str().unwrap();
    for shown in [made.clone(), consumer.get(&format!("/v1/requests/{id}")).await.expect(200)] {
        let warning = &shown["warnings"][0];
        assert_eq!(
            (&warning["pointer"], &warning["code"]),
            (&json!("/input/contry"), &json!("undeclared_input"))
        );
        assert!(warning["message"].as_str().unwrap().contains("did you mean \"country\"?"), "{warning}");
    }
    let items = json!({"items": [{"contract": "billing/account"}, {"contract": "billing/account", "input": {"x": 1}}]});
    let made = consumer.post("/v1/requests", &items).await.expect(201);
    assert_eq!(made["warnings"][0]["pointer"], "/items/1/input/x");
    let made = consumer.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    assert_eq!(made.get("warnings"), None);
}

#[tokio::test]
async fn a_repeated_call_answers_with_the_same_request() {
    let server = ApiServer::start().await;
    let (consumer, supplier) = (server.consumer().await, server.supplier().await);
    HandSupplier::open(&supplier, &manifest("billing", &[capability("account", &["produce"])])).await;
    let send = async |api: &Api, key: &str, body: &str| {
        let request = api.request(Method::POST, "/v1/requests").header("content-type", "application/json");
        read(request.header("idempotency-key", key).body(body.to_owned())).await
    };
    let body = r#"{"contract":"billing/account","input":{"country":"CZ"},"count":2}"#;
    let reordered = r#"{"count":2,"input":{"country":"CZ"},"contract":"billing/account"}"#;
    let first = send(&consumer, "k-1", body).await;
    let again = send(&consumer, "k-1", reordered).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(first.json()["id"], again.json()["id"]);
    send(&consumer, "k-1", r#"{"contract":"billing/account","count":3}"#)
        .await
        .refused(422, "idempotency_mismatch");
    let other = send(&server.consumer().await, "k-1", body).await;
    assert_ne!(first.json()["id"], other.json()["id"], "keys belong to their token");
    let listed = consumer.get("/v1/requests").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

/// A customer, an account that needs it, and a last part that needs the account; each can be undone.
async fn with_pair(admin: &Api) -> HandSupplier {
    let supplier = HandSupplier::open(
        admin,
        &manifest(
            "shop",
            &[capability("customer", &["produce", "undo"]), capability("account", &["produce", "undo"])],
        ),
    )
    .await;
    let file = "scenario: shop/pair\nowner: { team: Shop }\ndescription: Both.\ninput: { type: object }\nsteps:\n  \
                customer: { uses: shop/customer }\n  account: { uses: shop/account, needs: [customer] }\n  \
                last: { uses: shop/customer, needs: [account] }\noutput:\n  id: \"${{ steps.customer.id }}\"\n";
    admin.put_yaml("/v1/environments/default/scenarios/shop/pair", file).await.expect(201);
    supplier
}

#[tokio::test]
async fn a_rejected_request_says_who_whom_to_ask_and_what_was_undone() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = with_pair(&admin).await;
    let made = admin.post("/v1/requests", &json!({"contract": "shop/pair"})).await.expect(201);
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let statuses = |request: &Value| -> Vec<String> {
        let steps = request["progress"]["steps"].as_array().unwrap();
        steps
            .iter()
            .map(|step| format!("{} {}", step["path"].as_str().unwrap(), step["status"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(statuses(&made), ["customer building", "account pending", "last pending"]);
    assert_eq!(made["progress"]["total"], 3);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-1", "pin": "9"}})).await;
    let rejected = r#"{"outcome":"failed","retryable":false,"code":"closed","message":"no accounts today","details":{"until":12.50}}"#;
    let rejected: Value = serde_json::from_str(rejected).unwrap();
    supplier.perform("produce", rejected).await;
    let failed = admin.get(&path).await.expect(200);
    assert_eq!(failed["status"], "failed");
    let failure = &failed["failure"];
    assert_eq!(failure["path"], "account › shop/account@1");
    assert_eq!((&failure["class"], &failure["code"]), (&json!("rejected"), &json!("closed")));
    assert_eq!(
        (&failure["message"], &failure["owner"]["team"]),
        (&json!("no accounts today"), &json!("Team shop"))
    );
    assert!(admin.get(&path).await.text.contains(r#""until":12.50"#), "numbers come back digit for digit");
    assert_eq!(failure["undo"], json!({"done": [], "pending": ["customer › shop/customer@1"], "debts": []}));
    assert_eq!(failure["lately"]["failures"], 1);
    assert!(failure["dataset_id"].as_str().unwrap().starts_with("ds_"));
    let undo = supplier.perform("undo", json!({"outcome": "done"})).await;
    assert_eq!(undo["output"], json!({"id": "c-1", "pin": "9"}), "suppliers see secrets");
    let undone = admin.get(&path).await.expect(200);
    assert_eq!(undone["failure"]["undo"]["done"], json!(["customer › shop/customer@1"]));
    assert_eq!(statuses(&undone), ["customer gone", "account failed", "last gone"]);
    let root = undone["failure"]["dataset_id"].as_str().unwrap().rsplit_once('_').unwrap().0;
    let root = admin.get(&format!("/v1/datasets/{root}")).await.expect(200);
    assert_eq!((&root["status"], &root["path"]), (&json!("failed"), &json!("")));
    for place in ["path", "class", "message", "dataset_id"] {
        assert_eq!(
            root["failure"][place], undone["failure"][place],
            "the root points at the part that failed"
        );
    }
    let parts = root["parts"].as_array().unwrap().iter();
    let blamed: Vec<_> = parts.map(|part| (part["path"].as_str(), part.get("failure").is_some())).collect();
    assert_eq!(blamed, [(Some("customer"), false), (Some("account"), true)]);
    let listed = admin.get("/v1/datasets?status=failed").await.expect(200);
    assert_eq!(listed["items"][0]["failure"]["path"], "account › shop/account@1");
    assert!(undone["revision"].as_u64() > failed["revision"].as_u64());
}

#[tokio::test]
async fn only_the_part_that_owes_something_is_told_as_a_debt() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = with_pair(&admin).await;
    let made = admin.post("/v1/requests", &json!({"contract": "shop/pair"})).await.expect(201);
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-1", "pin": "9"}})).await;
    let refused =
        |code: &str| json!({"outcome": "failed", "retryable": false, "code": code, "message": "no"});
    supplier.perform("produce", refused("closed")).await;
    supplier.perform("undo", refused("has_orders")).await;
    let failed = admin.get(&format!("/v1/requests/{}", made["id"].as_str().unwrap())).await.expect(200);
    let undo = json!({"done": [], "pending": [], "debts": ["customer › shop/customer@1"]});
    assert_eq!((&failed["failure"]["code"], &failed["failure"]["undo"]), (&json!("closed"), &undo));
    let owing = admin.get("/v1/datasets?status=debt").await.expect(200);
    let root = owing["items"].as_array().unwrap().iter().find(|item| item["path"] == "").unwrap();
    assert_eq!((&root["failure"]["code"], &root["failure"]["undo"]), (&json!("closed"), &undo));
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_the_next_revision() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier =
        HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let path = format!("/v1/requests/{}?wait_s=60&after={}", made["id"].as_str().unwrap(), made["revision"]);
    let reader = tokio::spawn({
        let admin = admin.clone();
        async move { admin.get(&path).await.expect(200) }
    });
    supplier.perform("produce", json!({"outcome": "again", "after_ms": 60000, "state": {"ref": 7}})).await;
    let news = within(reader).await.unwrap();
    assert_eq!(
        (&news["status"], &news["progress"]["steps"][0]["status"]),
        (&json!("building"), &json!("waiting"))
    );
    assert!(news["revision"].as_u64() > made["revision"].as_u64());
}

#[tokio::test]
async fn a_cancelled_request_is_cancelled_at_once_and_its_tasks_are_told() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier =
        HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce", "undo"])]))
            .await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let task = supplier.claim().await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let stranger = server.consumer().await;
    stranger.post(&format!("{path}/cancel"), &json!({})).await.refused(404, "request_not_found");
    let cancelled = admin.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    let told = admin.until(&path, |request| request["progress"]["steps"][0]["status"] == "cancelling").await;
    assert_eq!(told["leases"], json!([]));
    let beat =
        supplier.api.post(&supplier.path("heartbeat"), &json!({"running": [task["id"]]})).await.expect(200);
    assert_eq!(beat, json!({"cancelled": [task["id"]], "draining": false}));
    let late = supplier.answer(&task, json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    assert_eq!((&late["accepted"], &late["reason"]), (&json!(false), &json!("cancelled")));
    supplier.perform("undo", json!({"outcome": "done"})).await;
    admin.until(&path, |request| request["progress"]["steps"][0]["status"] == "gone").await;
    let again = admin.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert_eq!(again["status"], "cancelled");
}

#[tokio::test]
async fn several_contracts_are_leased_all_or_none() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let shop = manifest("shop", &[capability("customer", &["produce"]), capability("account", &["produce"])]);
    let serving = HandSupplier::open(&admin, &shop).await.serve();
    let items = json!({"items": [{"contract": "shop/account", "input": {"country": "CZ"}}, {"contract": "shop/customer"}]});
    let request = admin.post("/v1/requests?wait_s=20", &items).await.expect(201);
    assert_eq!(request["status"], "fulfilled");
    assert_eq!(
        request["items"][0],
        json!({"contract": "shop/account", "version": 1, "input": {"country": "CZ"}})
    );
    assert!(request.get("contract").is_none() && request.get("failure").is_none());
    let contracts: Vec<&Value> =
        request["leases"].as_array().unwrap().iter().map(|lease| &lease["dataset"]["contract"]).collect();
    assert_eq!(contracts, ["shop/account", "shop/customer"]);
    serving.abort();
}

/// Bad bodies: what is sent, the status, the code, and where.
const BAD_BODIES: &[(&str, u16, &str, &str)] = &[
    ("", 400, "json_syntax", ""),
    ("{", 400, "json_syntax", ""),
    ("[]", 422, "type", ""),
    ("{}", 422, "required", "/contract"),
    (r#"{"contract":7}"#, 422, "type", "/contract"),
    (r#"{"contract":null}"#, 422, "type", "/contract"),
    (r#"{"contract":"billing/account","contract":"billing/account"}"#, 400, "duplicate_key", "/contract"),
    (r#"{"contract":"billing"}"#, 422, "name_pattern", "/contract"),
    (r#"{"contract":"billing/account","environment":"A B"}"#, 422, "name_pattern", "/environment"),
    (r#"{"contract":"billing/account","environment":"nowhere"}"#, 404, "environment_not_found", ""),
    (r#"{"contract":"billing/acount"}"#, 404, "contract_not_found", ""),
    (r#"{"contract":"billing/account","ttl_s":5}"#, 422, "unknown_field", "/ttl_s"),
    (
        r#"{"contract":"billing/account","items":[{"contract":"billing/account"}]}"#,
        422,
        "exclusive",
        "/items",
    ),
    (r#"{"items":[{"contract":"billing/account"}],"count":2}"#, 422, "exclusive", "/count"),
    (r#"{"items":[]}"#, 422, "range", "/items"),
    (r#"{"contract":"billing/account","count":0}"#, 422, "range", "/count"),
    (r#"{"contract":"billing/account","count":-1}"#, 422, "range", "/count"),
    (r#"{"contract":"billing/account","count":1001}"#, 422, "range", "/count"),
    (r#"{"contract":"billing/account","count":9223372036854775808}"#, 422, "range", "/count"),
    (r#"{"contract":"billing/account","count":1.0}"#, 422, "type", "/count"),
    (r#"{"contract":"billing/account","count":1e2}"#, 422, "type", "/count"),
    (r#"{"contract":"billing/account","count":"1"}"#, 422, "type", "/count"),
    (r#"{"contract":"billing/account","lease":{"ttl_s":0}}"#, 422, "range", "/lease/ttl_s"),
    (r#"{"contract":"billing/account","lease":{"ttl_s":90000}}"#, 422, "range", "/lease/ttl_s"),
    (r#"{"contract":"billing/account","lease":{"ttl_s":"5m"}}"#, 422, "type", "/lease/ttl_s"),
    (r#"{"contract":"billing/account","lease":{"ttl_s":1e3}}"#, 422, "type", "/lease/ttl_s"),
    (r#"{"contract":"billing/account","lease":{"ttl":5}}"#, 422, "unknown_field", "/lease/ttl"),
    (r#"{"contract":"billing/account","timeout_s":86401}"#, 422, "range", "/timeout_s"),
    (r#"{"contract":"billing/account","source":"stock"}"#, 422, "unknown_value", "/source"),
    (r#"{"contract":"billing/account","priority":"people"}"#, 422, "unknown_value", "/priority"),
    (r#"{"contract":"billing/account","input":[]}"#, 422, "type", "/input"),
    (r#"{"contract":"billing/account","input":{"country":5}}"#, 422, "input_invalid", "/input/country"),
    (
        r#"{"items":[{"contract":"billing/account","input":{"country":5}}]}"#,
        422,
        "input_invalid",
        "/items/0/input/country",
    ),
    (
        r#"{"contract":"billing/account","input":{"country":"a\u0000b"}}"#,
        422,
        "nul_not_allowed",
        "/input/country",
    ),
];

#[tokio::test]
async fn a_bad_request_is_refused_with_its_place_and_makes_nothing() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    let before = server.engine.last_event().await.unwrap();
    for (body, status, code, pointer) in BAD_BODIES {
        let reply = admin.post_text("/v1/requests", *body).await;
        assert_eq!((reply.status, reply.code().as_str()), (*status, *code), "{body}: {}", reply.text);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{body}");
        let first = reply.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
        assert_eq!(first, *pointer, "{body}: {}", reply.text);
    }
    let long = json!({"contract": "billing/account", "holder": "x".repeat(201)});
    admin.post("/v1/requests", &long).await.refused(422, "too_long");
    let many = json!({"items": vec![json!({"contract": "billing/account"}); 101]});
    admin.post("/v1/requests", &many).await.refused(422, "too_many");
    for query in ["wait_s=61", "wait_s=-1"] {
        let reply =
            admin.post(&format!("/v1/requests?{query}"), &json!({"contract": "billing/account"})).await;
        reply.refused(422, "range");
    }
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
    assert_eq!(admin.get("/v1/requests").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn a_bad_idempotency_key_is_refused() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    let body = json!({"contract": "billing/account"});
    for key in ["".to_owned(), "x".repeat(256), "clé".to_owned()] {
        let request = admin.request(Method::POST, "/v1/requests").header("idempotency-key", key.as_bytes());
        read(request.json(&body)).await.refused(400, "bad_idempotency_key");
    }
    let twice = admin
        .request(Method::POST, "/v1/requests")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    read(twice.json(&body)).await.refused(400, "bad_idempotency_key");
    assert_eq!(admin.get("/v1/requests").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn a_parked_call_is_answered_when_the_server_stops() {
    let settings = ServerSettings { long_polls_per_token: 2, ..settings() };
    let server = ApiServer::start_with(settings).await;
    let admin = server.admin().await;
    let supplier =
        HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    supplier.claim().await;
    let path = format!("/v1/requests/{}", made["id"].as_str().unwrap());
    let reading = {
        let (admin, path) = (admin.clone(), format!("{path}?wait_s=60"));
        tokio::spawn(async move { until_parked(|| admin.get(&path)).await })
    };
    let claiming = {
        let (admin, path) = (admin.clone(), supplier.path("claim"));
        let body = json!({"wait_s": 30});
        tokio::spawn(async move { until_parked(|| admin.post(&path, &body)).await })
    };
    // The token has two places: when there is none left, both calls are parked.
    let full = async { while admin.get(&format!("{path}?wait_s=1")).await.status != 429 {} };
    within(full).await;
    server.shutdown.cancel();
    assert_eq!(within(reading).await.unwrap().expect(200)["status"], "building");
    assert_eq!(within(claiming).await.unwrap().expect(200), json!({"tasks": []}));
    within(server.running).await.unwrap().unwrap();
}

/// Calls until there was a place to wait in.
async fn until_parked<F: Future<Output = Reply>>(call: impl Fn() -> F) -> Reply {
    loop {
        let reply = call().await;
        if reply.status != 429 {
            return reply;
        }
        assert_eq!((reply.code().as_str(), reply.header("retry-after")), ("too_many_polls", "1"));
    }
}

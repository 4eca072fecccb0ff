//! Who may call what: tokens good and bad, roles against operations, bounds, and calls without a token.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sixpack_model::token::Role;
use sixpack_server::{ServerSettings, openapi};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read, settings};

/// Operations that need no token.
const OPEN: [&str; 9] =
    ["sign_in", "sign_out", "livez", "readyz", "startupz", "healthz", "version", "get_openapi", "get_errors"];

/// Operations that a consumer may not call.
const NOT_FOR_CONSUMERS: [&str; 16] = [
    "remove_contract",
    "import_datasets",
    "revoke_lease",
    "resolve_dataset",
    "resolve_debt",
    "open_session",
    "drain_session",
    "claim_tasks",
    "answer_tasks",
    "heartbeat",
    "delete_scenario",
    "edit_stock_rule",
    "delete_stock_rule",
    "create_token",
    "list_tokens",
    "revoke_token",
];

/// Operations that a supplier may not call.
const NOT_FOR_SUPPLIERS: [&str; 9] = [
    "create_request",
    "cancel_request",
    "extend_lease",
    "renew_lease",
    "release_lease",
    "diagnose_lease",
    "create_token",
    "list_tokens",
    "revoke_token",
];

/// Every operation of the document: name, method, a path with names and ids that do not exist.
fn operations() -> Vec<(String, Method, String)> {
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path.replace("{version}", "1").replace("{env}", "nowhere").replace("{domain}", "a");
            let path = path.replace("{name}", "b").replace("{id}", "x");
            let name = operation["operationId"].as_str().unwrap().to_owned();
            found.push((name, method.to_uppercase().parse().unwrap(), path));
        }
    }
    found
}

#[tokio::test]
async fn every_operation_is_for_its_roles_and_no_others() {
    let server = ApiServer::start().await;
    let callers = [
        (server.admin().await, BTreeSet::new()),
        (server.consumer().await, BTreeSet::from(NOT_FOR_CONSUMERS)),
        (server.supplier().await, BTreeSet::from(NOT_FOR_SUPPLIERS)),
    ];
    let nobody = server.client(None);
    let operations = operations();
    assert!(operations.len() > 30);
    for (name, method, path) in operations {
        // The stream of events does not end by itself; its head tells enough.
        let status =
            async |api: &Api| api.request(method.clone(), &path).send().await.unwrap().status().as_u16();
        let open = OPEN.contains(&name.as_str());
        assert_eq!(status(&nobody).await == 401, !open, "{name} without a token");
        for (api, forbidden) in &callers {
            let status = status(api).await;
            assert_eq!(status == 403, forbidden.contains(name.as_str()), "{name} answered {status}");
            assert!(status != 401 && status < 500, "{name} answered {status}");
        }
    }
}

#[tokio::test]
async fn every_unusable_token_gets_the_same_answer() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let made = admin.post("/v1/tokens", &json!({"name": "ci", "role": "consumer"})).await.expect(201);
    let (id, secret) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(server.client(Some(secret.to_owned())).get("/v1/requests").await.status, 200);
    assert_eq!(admin.delete(&format!("/v1/tokens/{id}")).await.status, 204);
    assert_eq!(admin.delete(&format!("/v1/tokens/{id}")).await.status, 204, "also when repeated");
    let mistyped = format!("{}x", &secret[..secret.len() - 1]);
    let unknown = "sxp_0000000000000000000000000000000000000000000000";
    let long = format!("Bearer {}", "x".repeat(10 * 1024));
    let revoked = format!("Bearer {secret}");
    let nobody = server.client(None);
    let mut bodies = BTreeSet::new();
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        &revoked,
        &format!("Bearer {mistyped}"),
        &format!("Bearer {unknown}"),
        "Bearer abc_0000",
        &long,
        &format!("Bearer  {secret}"),
    ] {
        let reply = read(nobody.request(Method::GET, "/v1/requests").header("authorization", value)).await;
        reply.refused(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        let mut body = reply.json();
        body.as_object_mut().unwrap().remove("request_id");
        bodies.insert(body.to_string());
    }
    let good = admin.secret.clone().unwrap();
    let twice = nobody.request(Method::GET, "/v1/requests");
    let twice = twice
        .header("authorization", format!("Bearer {good}"))
        .header("authorization", format!("Bearer {good}"));
    read(twice).await.refused(401, "unauthenticated");
    nobody.get(&format!("/v1/requests?token={good}")).await.refused(401, "unauthenticated");
    nobody.get(&format!("/v1/requests?access_token={good}")).await.refused(401, "unauthenticated");
    let cookie = nobody.request(Method::GET, "/v1/requests").header("cookie", format!("token={good}"));
    read(cookie).await.refused(401, "unauthenticated");
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn a_role_that_does_not_suffice_is_told_which_one_does() {
    let server = ApiServer::start().await;
    let supplier = server.supplier().await;
    let refused = supplier.post("/v1/requests", &json!({"contract": "a/b"})).await;
    refused.refused(403, "forbidden");
    assert!(refused.text.contains("consumer"), "{}", refused.text);
    let consumer = server.consumer().await;
    let file = json!({"files": [{"path": "a.yaml", "text": "x"}]});
    consumer.post("/v1/environments/default/apply", &file).await.refused(403, "forbidden");
    let dry = json!({"files": [{"path": "a.yaml", "text": "x"}], "dry_run": true});
    consumer.post("/v1/environments/default/apply", &dry).await.refused(422, "scenario_faults");
}

#[tokio::test]
async fn what_lies_outside_of_a_bound_token_does_not_exist() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut staging = manifest("billing", &[capability("account", &["produce"])]);
    staging["environment"] = json!("staging");
    let serving = HandSupplier::open(&admin, &staging).await.serve();
    let order = json!({"environment": "staging", "contract": "billing/account"});
    let request = admin.post("/v1/requests?wait_s=20", &order).await.expect(201);
    let lease = request["leases"][0]["id"].as_str().unwrap();
    let dataset = request["leases"][0]["dataset"]["id"].as_str().unwrap();
    let bound = server.api(Role::Consumer, Some("default"), None).await;
    for (path, code) in [
        (format!("/v1/requests/{}", request["id"].as_str().unwrap()), "request_not_found"),
        (format!("/v1/leases/{lease}"), "lease_not_found"),
        (format!("/v1/datasets/{dataset}"), "dataset_not_found"),
        ("/v1/environments/staging/contracts".to_owned(), "environment_not_found"),
        ("/v1/environments/staging/contracts/billing/account".to_owned(), "environment_not_found"),
    ] {
        bound.get(&path).await.refused(404, code);
    }
    bound.post("/v1/requests", &order).await.refused(404, "environment_not_found");
    for list in ["requests", "leases", "datasets", "sessions", "debts", "environments"] {
        let listed = bound.get(&format!("/v1/{list}")).await.expect(200);
        assert_eq!(listed["items"], json!([]), "{list}");
    }
    for list in ["requests", "leases", "datasets", "sessions", "debts"] {
        let listed = bound.get(&format!("/v1/{list}?environment=staging")).await.expect(200);
        assert_eq!(listed["items"], json!([]), "{list}");
    }
    serving.abort();
}

#[tokio::test]
async fn a_server_for_development_takes_calls_without_a_token_as_an_administrators() {
    let settings = ServerSettings { insecure_dev: true, ..settings() };
    let server = ApiServer::start_with(settings).await;
    let nobody = server.client(None);
    let serving = HandSupplier::open(&nobody, &manifest("billing", &[capability("account", &["produce"])]))
        .await
        .serve();
    let request =
        nobody.post("/v1/requests?wait_s=20", &json!({"contract": "billing/account"})).await.expect(201);
    assert_eq!(request["leases"][0]["dataset"]["output"]["pin"], "1234");
    let wrong = server.client(Some("sxp_wrong".to_owned()));
    wrong.get("/v1/requests").await.refused(401, "unauthenticated");
    serving.abort();
}

#[tokio::test]
async fn a_token_is_shown_once_and_kept_with_its_bounds() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let order = json!({"name": "billing", "role": "supplier", "environment": "staging", "domain": "billing", "expires_in_s": 60});
    let made = admin.post("/v1/tokens", &order).await.expect(201);
    assert!(made["token"].as_str().unwrap().starts_with("sxp_"));
    assert_eq!(
        (&made["role"], &made["environment"], &made["domain"]),
        (&json!("supplier"), &json!("staging"), &json!("billing"))
    );
    let listed = admin.get("/v1/tokens").await;
    assert!(!listed.text.contains(made["token"].as_str().unwrap()));
    let listed = listed.expect(200);
    assert_eq!(listed["items"][0]["id"], made["id"]);
    assert!(listed["items"][0]["expires_at"].is_string() && listed["items"][1].get("expires_at").is_none());
    assert_eq!(listed["items"][0].get("last_used_at"), None, "nobody has used it");
    assert!(listed["items"][1]["last_used_at"].is_string(), "{listed}");
    let before = server.engine.last_event().await.unwrap();
    for (body, code) in [
        (json!({"name": "", "role": "admin"}), "empty"),
        (json!({"name": "x".repeat(201), "role": "admin"}), "too_long"),
        (json!({"name": "x", "role": "root"}), "unknown_value"),
        (json!({"name": "x"}), "missing_field"),
        (json!({"name": "x", "role": "consumer", "domain": "billing"}), "exclusive"),
        (json!({"name": "x", "role": "consumer", "environment": "A B"}), "name_pattern"),
        (json!({"name": "x", "role": "consumer", "expires_in_s": 59}), "range"),
        (json!({"name": "x", "role": "consumer", "expires_in_s": 31_536_001}), "range"),
    ] {
        let reply = admin.post("/v1/tokens", &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{body}: {}", reply.text);
    }
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
    admin.delete("/v1/tokens/tok_00000000000000000000000000").await.refused(404, "token_not_found");
}

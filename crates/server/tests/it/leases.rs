//! Leases over HTTP: read, renewed, released; and what wrong fences, times and holders get.

use serde_json::{Value, json};
use sixpack_engine::EngineSettings;
use sixpack_model::token::Role;

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, settings};

/// A lease of sixty seconds on a fresh account.
async fn leased(server: &ApiServer, consumer: &Api) -> Value {
    let admin = server.admin().await;
    let billing = manifest("billing", &[capability("account", &["produce"])]);
    HandSupplier::open(&admin, &billing).await.serve();
    let order = json!({"contract": "billing/account", "lease": {"ttl_s": 60}, "holder": "ci 4711"});
    consumer.post("/v1/requests?wait_s=20", &order).await.expect(201)["leases"][0].clone()
}

fn path(lease: &Value) -> String {
    format!("/v1/leases/{}", lease["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_renewed_lease_never_ends_earlier() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let lease = leased(&server, &consumer).await;
    let renew = format!("{}/renew", path(&lease));
    let longer = consumer.post(&renew, &json!({"fence": lease["fence"], "ttl_s": 600})).await.expect(200);
    assert!(longer["ttl_ms"].as_u64().unwrap() > 590_000);
    let shorter = consumer.post(&renew, &json!({"fence": lease["fence"], "ttl_s": 1})).await.expect(200);
    assert_eq!(shorter["expires_at"], longer["expires_at"]);
    let shown = consumer.get(&path(&lease)).await.expect(200);
    assert_eq!((&shown["expires_at"], &shown["ttl_s"]), (&longer["expires_at"], &json!(60)));
}

#[tokio::test]
async fn an_environment_counts_its_live_sessions_and_held_leases() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let counts = async || {
        let listed = consumer.get("/v1/environments").await.expect(200);
        let environment = listed["items"][0].clone();
        ["name", "contracts", "sessions", "leases"].map(|name| environment[name].clone())
    };
    let lease = leased(&server, &consumer).await;
    assert_eq!(counts().await, [json!("default"), json!(1), json!(1), json!(1)]);
    consumer.post(&format!("{}/release", path(&lease)), &json!({"fence": lease["fence"]})).await.expect(200);
    assert_eq!(counts().await, [json!("default"), json!(1), json!(1), json!(0)]);
}

#[tokio::test]
async fn a_second_release_answers_the_same() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let lease = leased(&server, &consumer).await;
    let release = format!("{}/release", path(&lease));
    let body = json!({"fence": lease["fence"], "outcome": "broken", "note": "no payment\nmethod"});
    let first = consumer.post(&release, &body).await.expect(200);
    assert_eq!(
        (&first["status"], &first["outcome"], &first["note"]),
        (&json!("released"), &json!("broken"), &json!("no payment\nmethod"))
    );
    assert_eq!(first["ttl_ms"], 0);
    let second = consumer.post(&release, &json!({"fence": lease["fence"]})).await.expect(200);
    assert_eq!(second["outcome"], "broken");
    consumer.post(&release, &json!({"fence": lease["fence"], "outcome": "broken"})).await.expect(200);
    // What follows from the first one cannot be changed any more.
    for other in ["used", "unused"] {
        let reply = consumer.post(&release, &json!({"fence": lease["fence"], "outcome": other})).await;
        reply.refused(409, "lease_ended");
        let fault = &reply.json()["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/outcome"), &json!("immutable")), "{other}");
        assert!(reply.text.contains("`broken`"), "{}", reply.text);
    }
    let renew = json!({"fence": lease["fence"]});
    consumer.post(&format!("{}/renew", path(&lease)), &renew).await.refused(409, "lease_ended");
}

#[tokio::test]
async fn a_revoked_lease_is_told_to_its_holder_with_who_and_why() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let lease = leased(&server, &consumer).await;
    let revoke = format!("{}/revoke", path(&lease));
    let why = json!({"reason": " billing is migrated at noon "});
    consumer.post(&revoke, &why).await.refused(403, "forbidden");
    let stranger = server.api(Role::Supplier, None, Some("delivery")).await;
    let refused = stranger.post(&revoke, &why).await;
    refused.refused(403, "foreign_dataset");
    assert!(
        refused.text.contains("supplies `delivery`") && refused.text.contains("`billing`"),
        "{}",
        refused.text
    );
    let elsewhere = server.api(Role::Supplier, Some("staging"), None).await;
    elsewhere.post(&revoke, &why).await.refused(404, "lease_not_found");
    let owner = server.api(Role::Supplier, None, Some("billing")).await;
    for (body, code) in [
        (json!({}), "missing_field"),
        (json!({"reason": "  "}), "empty"),
        (json!({"reason": "two\nlines"}), "control_character"),
        (json!({"reason": "x".repeat(501)}), "too_long"),
        (json!({"reason": "x", "fence": 1}), "unknown_field"),
    ] {
        owner.post(&revoke, &body).await.refused(422, code);
    }
    let revoked = owner.post(&revoke, &why).await.expect(200);
    assert_eq!(
        (&revoked["status"], &revoked["revoked_by"], &revoked["note"], &revoked["ttl_ms"]),
        (&json!("revoked"), &json!("test supplier"), &json!("billing is migrated at noon"), &json!(0))
    );
    let again = server.admin().await.post(&revoke, &json!({"reason": "another"})).await.expect(200);
    assert_eq!((&again["note"], &again["ended_at"]), (&revoked["note"], &revoked["ended_at"]));
    for operation in ["renew", "release"] {
        let path = format!("{}/{operation}", path(&lease));
        let late = consumer.post(&path, &json!({"fence": lease["fence"]})).await;
        late.refused(409, "lease_ended");
        let detail = late.json()["detail"].as_str().unwrap().to_owned();
        for part in ["revoked by `test supplier` at ", ": billing is migrated at noon. ", "Request another"] {
            assert!(detail.contains(part), "{operation}: {detail}");
        }
    }
}

#[tokio::test]
async fn the_events_of_a_dataset_tell_how_its_lease_has_ended() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let lease = leased(&server, &consumer).await;
    let body = json!({"reason": "it is needed"});
    server.admin().await.post(&format!("{}/revoke", path(&lease)), &body).await.expect(200);
    let dataset = format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap());
    let timeline = consumer.get(&dataset).await.expect(200)["timeline"].clone();
    let told = timeline.as_array().unwrap().iter().find(|event| event["kind"] == "lease.revoked").unwrap();
    assert_eq!(
        (&told["lease_id"], &told["by"], &told["message"]),
        (&lease["id"], &json!("test admin"), &json!("it is needed"))
    );
}

#[tokio::test]
async fn a_quota_says_how_many_there_are_and_what_to_do() {
    let quota =
        EngineSettings { leases_per_token: 2, leases_per_environment: 3, ..EngineSettings::default() };
    let server = ApiServer::start_over(settings(), quota).await;
    let consumer = server.consumer().await;
    let lease = leased(&server, &consumer).await;
    let ask = async |api: &Api, count: u32| {
        let order = json!({"contract": "billing/account", "count": count, "lease": {"ttl_s": 60}});
        api.post("/v1/requests?wait_s=20", &order).await
    };
    let refused = ask(&consumer, 2).await;
    refused.refused(429, "quota_leases");
    assert_eq!(refused.header("retry-after"), "60");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    for part in [
        "The token `test consumer` has 1 of 2 allowed leases",
        "asks for 2 more; nothing was created",
        "`limits.leases_per_token`",
    ] {
        assert!(detail.contains(part), "{part} in {detail}");
    }
    let requests = consumer.get("/v1/requests").await.expect(200)["items"].clone();
    assert_eq!(requests.as_array().unwrap().len(), 1);
    ask(&consumer, 1).await.expect(201);
    let other = server.consumer().await;
    ask(&other, 1).await.expect(201);
    let refused = ask(&other, 1).await;
    refused.refused(429, "quota_leases");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("All tokens in `default` together have 3 of 3 allowed leases"), "{detail}");
    consumer.post(&format!("{}/release", path(&lease)), &json!({"fence": lease["fence"]})).await.expect(200);
    ask(&other, 1).await.expect(201);
}

#[tokio::test]
async fn wrong_fences_times_and_holders_are_refused_and_change_nothing() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let lease = leased(&server, &consumer).await;
    let fence = lease["fence"].as_u64().unwrap();
    for operation in ["renew", "release"] {
        let path = format!("{}/{operation}", path(&lease));
        for wrong in [0, 1, fence - 1, fence + 1, 9_007_199_254_740_991] {
            let reply = consumer.post(&path, &json!({"fence": wrong})).await;
            reply.refused(409, "lease_fenced");
            assert_eq!(reply.json()["errors"][0]["pointer"], "/fence", "{wrong}: {}", reply.text);
        }
        server.consumer().await.post(&path, &json!({"fence": fence})).await.refused(404, "lease_not_found");
        for (body, status, code) in [
            ("{}".to_owned(), 422, "missing_field"),
            (format!(r#"{{"fence":{fence}.0}}"#), 422, "type"),
            (format!(r#"{{"fence":"{fence}"}}"#), 422, "type"),
            (r#"{"fence":true}"#.to_owned(), 422, "type"),
            (r#"{"fence":-1}"#.to_owned(), 422, "range"),
            (r#"{"fence":9007199254740992}"#.to_owned(), 422, "range"),
            (r#"{"fence":18446744073709551616}"#.to_owned(), 422, "range"),
            (format!(r#"{{"fence":{fence},"fence":{fence}}}"#), 400, "duplicate_key"),
        ] {
            let reply = consumer.post_text(&path, &*body).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (status, code),
                "{operation} {body}: {}",
                reply.text
            );
        }
    }
    let renew = format!("{}/renew", path(&lease));
    for ttl_s in ["0", "86401", "-1"] {
        let body = format!(r#"{{"fence":{fence},"ttl_s":{ttl_s}}}"#);
        consumer.post_text(&renew, body).await.refused(422, "range");
    }
    let release = format!("{}/release", path(&lease));
    for (body, code) in [
        (json!({"fence": fence, "outcome": "lost"}), "unknown_value"),
        (json!({"fence": fence, "note": "x".repeat(1_001)}), "too_long"),
        (json!({"fence": fence, "note": "\u{7}"}), "control_character"),
    ] {
        consumer.post(&release, &body).await.refused(422, code);
    }
    consumer.get("/v1/leases/lease_00000000000000000000000000").await.refused(404, "lease_not_found");
    consumer.get("/v1/leases/nonsense").await.refused(404, "not_found");
    let shown = consumer.get(&path(&lease)).await.expect(200);
    assert_eq!((&shown["status"], &shown["expires_at"]), (&json!("held"), &lease["expires_at"]));
}

#[tokio::test]
async fn secrets_are_shown_to_the_holder_as_long_as_the_lease_is_held() {
    let server = ApiServer::start().await;
    let consumer = server.consumer().await;
    let lease = leased(&server, &consumer).await;
    let dataset = format!("/v1/datasets/{}", lease["dataset"]["id"].as_str().unwrap());
    let pin = async |api: &Api| {
        let lease = api.get(&path(&lease)).await.expect(200)["dataset"]["output"]["pin"].clone();
        (lease, api.get(&dataset).await.expect(200)["output"]["pin"].clone())
    };
    assert_eq!(pin(&consumer).await, (json!("1234"), json!("1234")));
    assert_eq!(pin(&server.admin().await).await, (json!("***"), json!("***")));
    let listed = consumer.get("/v1/leases?status=held&holder=ci%204711").await.expect(200);
    assert_eq!(listed["items"][0]["dataset"]["output"]["pin"], "***", "lists show no secrets");
    consumer.post(&format!("{}/release", path(&lease)), &json!({"fence": lease["fence"]})).await.expect(200);
    assert_eq!(pin(&consumer).await, (json!("***"), json!("***")));
}

/// A capability of which the input and the output name a customer.
fn of_customer(name: &str) -> Value {
    let customer = json!({"type": "string", "x-entity": "customer"});
    let mut capability = capability(name, &["produce"]);
    capability["input"] = json!({"type": "object", "properties": {"customer": customer}});
    capability["output"]["properties"]["customer"] = customer;
    capability
}

#[tokio::test]
async fn an_entity_is_found_in_every_contract_with_the_lease_that_it_is_under() {
    let server = ApiServer::start().await;
    let (admin, consumer) = (server.admin().await, server.consumer().await);
    let customers = HandSupplier::open(&admin, &manifest("customer", &[of_customer("person")])).await;
    let orders = HandSupplier::open(&admin, &manifest("order", &[of_customer("basket")])).await;
    let lease = async |supplier: &HandSupplier, contract: &str, input: Value, output: Value| {
        let order = json!({"contract": contract, "input": input});
        let request = consumer.post("/v1/requests", &order).await.expect(201);
        let task = supplier.claim().await;
        supplier.answer(&task, json!({"outcome": "done", "output": output})).await;
        let path = format!("/v1/requests/{}", request["id"].as_str().unwrap());
        consumer.until(&path, |request| request["status"] != "building").await
    };
    let person = lease(&customers, "customer/person", json!({}), json!({"id": "p", "customer": "42"})).await;
    let basket = json!({"id": "b", "customer": "42"});
    let basket = lease(&orders, "order/basket", json!({"customer": "42"}), basket).await;
    let by_entity = async || {
        let rows = consumer.get("/v1/datasets?entity=customer:42").await.expect(200)["items"].clone();
        let row =
            |row: &Value| ["contract", "lease_id"].map(|name| row[name].as_str().unwrap_or("").to_owned());
        let mut rows: Vec<[String; 2]> = rows.as_array().unwrap().iter().map(row).collect();
        rows.sort_unstable();
        rows
    };
    let id = |request: &Value| request["leases"][0]["id"].as_str().unwrap().to_owned();
    let rows = |expected: &[(&str, &str)]| -> Vec<[String; 2]> {
        expected.iter().map(|(contract, lease)| [(*contract).to_owned(), (*lease).to_owned()]).collect()
    };
    let (of_person, of_basket) = (id(&person), id(&basket));
    assert_eq!(by_entity().await, rows(&[("customer/person", &of_person), ("order/basket", &of_basket)]));
    let lost = lease(&orders, "order/basket", json!({}), json!({"id": "c", "customer": "42"})).await;
    assert_eq!((&lost["status"], &lost["failure"]["code"]), (&json!("failed"), &json!("entity_held")));
    let message = lost["failure"]["message"].as_str().unwrap();
    assert!(message.contains(&of_person), "the one that has made it owns it: {message}");
    let person = &person["leases"][0];
    consumer.post(&format!("{}/release", path(person)), &json!({"fence": person["fence"]})).await.expect(200);
    let left = rows(&[("customer/person", ""), ("order/basket", ""), ("order/basket", &of_basket)]);
    assert_eq!(by_entity().await, left);
}

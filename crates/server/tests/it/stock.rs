//! Stock over HTTP: filled, taken at once, taken over, out of stock, starved; and what bad choices get.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, Reply, capability, manifest, read};
use crate::witness::Witness;

const RULE: &str = "/v1/environments/default/stock-rules/customers";

/// A supplier of customers that can be chosen by their id.
async fn with_shop() -> (ApiServer, Api, HandSupplier) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier = open_shop(&admin).await;
    (server, admin, supplier)
}

async fn open_shop(admin: &Api) -> HandSupplier {
    let mut customer = capability("customer", &["produce", "undo"]);
    customer["output"]["properties"]["id"]["x-selectable"] = json!(true);
    customer["output"]["properties"]["slot"] = json!({"enum": ["MORNING", "EVENING"], "x-selectable": true});
    HandSupplier::open(admin, &manifest("shop", &[customer])).await
}

/// Puts the rule that keeps so many customers in FR.
async fn keep(api: &Api, target: u32) -> Value {
    let rule = json!({"contract": "shop/customer", "target": target});
    let reply = read(api.request(Method::PUT, RULE).json(&rule)).await;
    assert!(reply.status == 201 || reply.status == 200, "{}", reply.text);
    reply.json()
}

/// Reads the rule until its stock is as wanted.
async fn until_stock(api: &Api, wanted: impl Fn(&Value) -> bool) -> Value {
    api.until(RULE, |rule| wanted(&rule["stock"])).await["stock"].clone()
}

async fn ask(api: &Api, body: &Value) -> Reply {
    api.post("/v1/requests", body).await
}

fn stock_only() -> Value {
    json!({"contract": "shop/customer", "source": "stock_only"})
}

#[tokio::test]
async fn a_request_is_served_from_stock_at_once_with_a_lease_and_stock_is_filled_again() {
    let (server, admin, supplier) = with_shop().await;
    supplier.serve();
    let put = keep(&admin, 2).await;
    assert_eq!((&put["stock"]["ready"], &put["stock"]["hits"]), (&json!(0), &json!(0)), "{put}");
    let full = until_stock(&admin, |stock| stock["ready"] == 2).await;
    assert_eq!((&full["coming"], full.get("starved")), (&json!(0), None), "{full}");
    assert!(full["oldest_at"].is_string() && full["oldest_age_ms"].is_u64(), "{full}");

    let consumer = server.consumer().await;
    let served = ask(&consumer, &json!({"contract": "shop/customer", "lease": {"ttl_s": 60}})).await;
    let id = served.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(served.header("location"), format!("/v1/requests/{id}"));
    let request = served.expect(201);
    assert_eq!(
        (&request["status"], &request["source"]),
        (&json!("fulfilled"), &json!("stock_first")),
        "without waiting: {request}"
    );
    assert_eq!((request.get("ahead"), request.get("refills")), (None, None), "{request}");
    let lease = &request["leases"][0];
    assert_eq!((&lease["status"], &lease["ttl_s"]), (&json!("held"), &json!(60)));
    assert_eq!(lease["dataset"]["output"]["pin"], "1234", "the holder sees secrets");
    assert_eq!(lease["dataset"]["contract"], "shop/customer");
    assert!(lease["ttl_ms"].as_u64().unwrap() > 50_000, "it lasts from now on: {lease}");

    let again = until_stock(&admin, |stock| stock["ready"] == 2 && stock["hits"] == 1).await;
    assert_eq!(again["misses"], 0);
    let listed = admin.get("/v1/requests").await.expect(200);
    let refills: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|request| request["refills"] == "customers")
        .collect();
    assert_eq!(refills.len(), 3, "two at first, and one after it: {listed}");
    for (filter, count) in [("true", 3), ("false", 1)] {
        let page = admin.get(&format!("/v1/requests?refills={filter}")).await.expect(200);
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), count, "{filter}: {page}");
        assert!(items.iter().all(|item| item.get("refills").is_some() == (filter == "true")), "{page}");
    }
    for filter in ["yes", "1", ""] {
        admin.get(&format!("/v1/requests?refills={filter}")).await.refused(422, "type");
    }
    for refill in refills {
        assert_eq!(
            (&refill["priority"], &refill["status"], &refill["leases"]),
            (&json!("stock"), &json!("fulfilled"), &json!([])),
            "{refill}"
        );
    }
}

#[tokio::test]
async fn a_repeated_call_answers_with_the_same_lease_and_takes_nothing_more() {
    let (_server, admin, supplier) = with_shop().await;
    supplier.serve();
    keep(&admin, 1).await;
    until_stock(&admin, |stock| stock["ready"] == 1).await;
    let send = async || {
        let request = admin.request(Method::POST, "/v1/requests").header("idempotency-key", "k-1");
        read(request.json(&stock_only())).await
    };
    let (first, again) = (send().await, send().await);
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(first.header("idempotency-replayed"), "");
    let (first, again) = (first.json(), again.json());
    assert_eq!((&first["id"], &first["status"]), (&again["id"], &json!("fulfilled")));
    for field in ["id", "fence"] {
        assert_eq!(first["leases"][0][field], again["leases"][0][field], "{field}");
    }
    let full = until_stock(&admin, |stock| stock["ready"] == 1 && stock["hits"] != 0).await;
    assert_eq!(full["hits"], 1, "{full}");
    // Also once there is nothing left to take.
    edit(&admin, json!({"state": "draining"})).await;
    until_stock(&admin, |stock| stock["ready"] == 0).await;
    assert_eq!(send().await.json()["leases"][0]["id"], first["leases"][0]["id"]);
}

async fn edit(api: &Api, edit: Value) -> Value {
    read(api.request(Method::PATCH, RULE).json(&edit)).await.expect(200)
}

#[tokio::test]
async fn what_is_not_in_stock_is_refused_with_what_is_being_made() {
    let (server, admin, supplier) = with_shop().await;
    let unkept = ask(&admin, &stock_only()).await;
    unkept.refused(409, "out_of_stock");
    assert_eq!(unkept.header("retry-after"), "");
    assert!(
        unkept.text.contains("no stock rule keeps it for this input") && unkept.text.contains("stock_first"),
        "{}",
        unkept.text
    );
    keep(&admin, 2).await;
    until_stock(&admin, |stock| stock["coming"] == 2).await;
    let mut witness = Witness::of(&server, &admin).await;
    let coming = witness.post("/v1/requests", &stock_only()).await;
    coming.refused(409, "out_of_stock");
    assert_eq!(coming.header("retry-after"), "5");
    assert!(coming.text.contains("0 of 1 are there"), "{}", coming.text);
    assert!(coming.text.contains("2 are being made since 2"), "{}", coming.text);
    let told = coming.json()["stock"].clone();
    assert_eq!(
        (&told["asked"], &told["ready"], &told["coming"]),
        (&json!(1), &json!(0), &json!(2)),
        "{told}"
    );
    assert!(told["coming_since"].is_string() && told["rule"].is_string(), "{told}");
    let chosen = json!({"contract": "shop/customer", "select": {"id": "c-1"}});
    witness.post("/v1/requests", &chosen).await.refused(409, "out_of_stock");
    let other = json!({"contract": "shop/customer", "input": {"country": "CZ"}, "source": "stock_only"});
    let other = witness.post("/v1/requests", &other).await;
    other.refused(409, "out_of_stock");
    assert!(other.text.contains("no stock rule keeps it"), "{}", other.text);
    witness.end().await;

    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "c-1"}})).await;
    until_stock(&admin, |stock| stock["ready"] == 1).await;
    let two = json!({"contract": "shop/customer", "source": "stock_only", "count": 2});
    let two = ask(&admin, &two).await;
    two.refused(409, "out_of_stock");
    assert!(two.text.contains("1 of 2 are there") && two.text.contains("1 is being made"), "{}", two.text);
    let told = two.json()["stock"].clone();
    assert!(told["expected_at"].is_string(), "how long one takes is known by now: {told}");
    let listed = json!({"items": [{"contract": "shop/customer"}, {"contract": "shop/customer", "input": {"country": "CZ"}}],
                        "source": "stock_only"});
    ask(&admin, &listed).await.refused(409, "out_of_stock");
    let another = json!({"contract": "shop/customer", "select": {"id": ["c-7", "c-8"]}});
    ask(&admin, &another).await.refused(409, "out_of_stock");
    let chosen =
        json!({"contract": "shop/customer", "select": {"id": ["c-7", "c-1"]}, "prefer": {"country": "CZ"}});
    let chosen = ask(&admin, &chosen).await.expect(201);
    assert_eq!(chosen["leases"][0]["dataset"]["output"]["id"], "c-1", "{chosen}");
}

#[tokio::test]
async fn what_is_being_made_for_stock_is_taken_over_and_others_wait_in_line() {
    let (server, admin, supplier) = with_shop().await;
    keep(&admin, 1).await;
    until_stock(&admin, |stock| stock["coming"] == 1).await;
    let consumer = server.consumer().await;
    let wanted = json!({"contract": "shop/customer"});
    let first = ask(&consumer, &wanted).await.expect(201);
    assert_eq!((&first["status"], &first["ahead"]), (&json!("building"), &json!(0)), "{first}");
    let second = ask(&consumer, &wanted).await.expect(201);
    assert_eq!(second["status"], "building", "{second}");
    // Of two in one millisecond either may come first.
    let mut places = Vec::new();
    for request in [&first, &second] {
        let shown =
            consumer.get(&format!("/v1/requests/{}", request["id"].as_str().unwrap())).await.expect(200);
        places.push(shown["ahead"].as_u64());
    }
    places.sort_unstable();
    assert_eq!(places, [Some(0), Some(1)]);
    let fresh = ask(&consumer, &json!({"contract": "shop/customer", "source": "fresh"})).await.expect(201);
    assert_eq!((&fresh["status"], fresh.get("ahead")), (&json!("building"), None), "{fresh}");
    supplier.serve();
    for request in [first, second] {
        let path = format!("/v1/requests/{}?wait_s=20", request["id"].as_str().unwrap());
        let ended = consumer.get(&path).await.expect(200);
        assert_eq!((&ended["status"], ended.get("ahead")), (&json!("fulfilled"), None), "{ended}");
    }
    until_stock(&admin, |stock| stock["ready"] == 1 && stock["misses"] == 2).await;
}

#[tokio::test]
async fn a_rule_that_is_not_filled_says_why_whom_to_ask_and_when_it_is_tried_again() {
    let (_server, admin, supplier) = with_shop().await;
    keep(&admin, 1).await;
    let refused =
        json!({"outcome": "failed", "retryable": false, "code": "closed", "message": "no customers today"});
    supplier.perform("produce", refused).await;
    let starved = until_stock(&admin, |stock| stock.get("starved").is_some()).await["starved"].clone();
    assert_eq!(
        (&starved["code"], &starved["contract"], &starved["owner"]["team"]),
        (&json!("failing"), &json!("shop/customer"), &json!("Team shop"))
    );
    assert_eq!(starved["message"], "shop/customer rejected 1 of 1: no customers today");
    assert!(starved["since"].as_str() < starved["retry_at"].as_str(), "{starved}");
    assert!(starved["retry_in_ms"].is_u64(), "{starved}");
    let reply = ask(&admin, &stock_only()).await;
    reply.refused(409, "out_of_stock");
    assert!(reply.text.contains("shop/customer rejected 1 of 1"), "{}", reply.text);
    let told = reply.json()["stock"]["starved"].clone();
    assert_eq!((&told["code"], &told["owner"]["team"]), (&json!("failing"), &json!("Team shop")), "{told}");
    assert!(!reply.header("retry-after").is_empty(), "it says when it is tried again");

    supplier.serve();
    let mended = until_stock(&admin, |stock| stock["ready"] == 1).await;
    assert_eq!(mended.get("starved"), None, "{mended}");
}

#[tokio::test]
async fn a_rule_without_a_supplier_names_the_capability_and_begins_nothing() {
    let (server, admin, supplier) = with_shop().await;
    admin.delete(&format!("/v1/sessions/{}", supplier.session)).await.expect(200);
    let put = keep(&admin, 1).await;
    let starved = &put["stock"]["starved"];
    assert_eq!(
        (&starved["code"], &starved["message"], &starved["owner"]["team"]),
        (&json!("offline"), &json!("no supplier of shop/customer is connected"), &json!("Team shop")),
        "{put}"
    );
    assert_eq!((starved.get("since"), starved.get("retry_at")), (None, None), "{starved}");
    let shown = server.consumer().await.get(RULE).await.expect(200);
    assert_eq!(shown["stock"]["starved"], *starved, "everybody may read why");
    open_shop(&admin).await.serve();
    let filled = until_stock(&admin, |stock| stock["ready"] == 1).await;
    assert_eq!(filled.get("starved"), None, "{filled}");
    let requests = admin.get("/v1/requests").await.expect(200);
    assert_eq!(requests["items"].as_array().unwrap().len(), 1, "{requests}");
}

#[tokio::test]
async fn a_deleted_rule_has_its_stock_undone_and_leases_stay() {
    let (_server, admin, supplier) = with_shop().await;
    supplier.serve();
    keep(&admin, 2).await;
    until_stock(&admin, |stock| stock["ready"] == 2).await;
    edit(&admin, json!({"state": "paused"})).await;
    let served = ask(&admin, &stock_only()).await.expect(201);
    let kept = served["leases"][0]["dataset"]["id"].as_str().unwrap();
    assert_eq!(admin.get(RULE).await.expect(200)["stock"]["ready"], 1, "a paused rule is not refilled");
    admin.delete(RULE).await.expect(204);
    let datasets = admin
        .until("/v1/datasets", |page| {
            page["items"].as_array().unwrap().iter().any(|dataset| dataset["status"] == "gone")
        })
        .await;
    for dataset in datasets["items"].as_array().unwrap() {
        let status = if dataset["id"] == kept { "leased" } else { "gone" };
        assert_eq!(dataset["status"], status, "{dataset}");
    }
    ask(&admin, &stock_only()).await.refused(409, "out_of_stock");
}

#[tokio::test]
async fn bad_choices_are_refused_with_pointers_and_take_nothing() {
    let (server, admin, supplier) = with_shop().await;
    supplier.serve();
    keep(&admin, 1).await;
    until_stock(&admin, |stock| stock["ready"] == 1).await;
    let mut witness = Witness::of(&server, &admin).await;
    let many: Vec<String> = (0..101).map(|number| format!("c-{number}")).collect();
    for (fields, pointer, code) in [
        (json!({"source": "stock_only", "channel": "ada"}), "/source", "exclusive"),
        (json!({"source": "stock"}), "/source", "unknown_value"),
        (json!({"source": 1}), "/source", "type"),
        (json!({"prefer": {"country": "FR"}, "channel": "ada"}), "/prefer", "exclusive"),
        (json!({"select": {"id": "c-1"}, "channel": "ada"}), "/select", "exclusive"),
        (json!({"prefer": {"country": "FR"}, "source": "fresh"}), "/prefer", "exclusive"),
        (json!({"select": {"id": "c-1"}, "source": "fresh"}), "/select", "exclusive"),
        (json!({"prefer": ["country"]}), "/prefer", "type"),
        (json!({"prefer": "FR"}), "/prefer", "type"),
        (json!({"select": "c-1"}), "/select", "type"),
        (json!({"select": {"id": 7}}), "/select/id", "type"),
        (json!({"select": {"id": true}}), "/select/id", "type"),
        (json!({"select": {"id": null}}), "/select/id", "type"),
        (json!({"select": {"id": [["c-1"]]}}), "/select/id/0", "type"),
        (json!({"select": {"id": []}}), "/select/id", "empty"),
        (json!({"select": {"id": many}}), "/select/id", "limit"),
        (json!({"select": {"slot": "NOON"}}), "/select/slot", "enum"),
        (json!({"select": {"slot": ["MORNING", "NOON"]}}), "/select/slot/1", "enum"),
        (json!({"select": {"pin": "1234"}}), "/select/pin", "not_selectable"),
        (json!({"select": {"plan": "gold"}}), "/select/plan", "not_selectable"),
        (json!({"select": {"id": {"deep": 1}}}), "/select/id/deep", "not_selectable"),
        (json!({"select": {"a~/b\u{202e}": 1}}), "/select/a~0~1b", "not_selectable"),
    ] {
        let mut body = json!({"contract": "shop/customer"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let reply = witness.post("/v1/requests", &body).await;
        reply.refused(422, code);
        let fault = reply.json()["errors"][0].clone();
        assert!(fault["pointer"].as_str().unwrap().starts_with(pointer), "{body}: {fault}");
    }
    for name in ["prefer", "select"] {
        let mut body = json!({"items": [{"contract": "shop/customer"}]});
        body[name] = json!({"id": "c-1"});
        let reply = witness.post("/v1/requests", &body).await;
        reply.refused(422, "exclusive");
        assert_eq!(reply.json()["errors"][0]["pointer"], format!("/{name}"), "{}", reply.text);
    }
    let all =
        json!({"contract": "shop/customer", "prefer": {}, "select": {}, "channel": "ada", "source": "fresh"});
    let all = witness.post("/v1/requests", &all).await;
    assert_eq!(all.json()["errors"].as_array().unwrap().len(), 4, "all faults at once: {}", all.text);
    witness.end().await;
    assert_eq!(admin.get(RULE).await.expect(200)["stock"]["ready"], 1);
}

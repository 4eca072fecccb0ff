//! Stock rules over HTTP: put, listed, read, edited, deleted, applied with scenarios; and every kind of refusal.

use reqwest::Method;
use serde_json::{Value, json};
use sixpack_model::token::Role;

use crate::api_server::{Api, ApiServer, HandSupplier, Reply, capability, manifest, read};

const RULES: &str = "/v1/environments/default/stock-rules";

const SCENARIO: &str = "\
scenario: checkout/customer
owner: { team: Checkout }
input: { type: object, properties: { country: { enum: [CZ, FR], default: CZ } }, additionalProperties: false }
steps:
  one: { uses: shop/customer, with: { country: \"${{ input.country }}\" } }
output: { id: \"${{ steps.one.id }}\" }
";

async fn with_shop() -> (ApiServer, Api) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("shop", &[capability("customer", &["produce"])])).await;
    (server, admin)
}

fn path(name: &str) -> String {
    format!("{RULES}/{name}")
}

fn rule() -> Value {
    json!({
        "contract": "shop/customer", "input": {"country": "FR"}, "target": 20, "max_age_s": 86400, "check_every_s": 900,
        "priority": 70, "window": {"opens": "0 6 * * 1-5", "for_s": 43200, "time_zone": "Europe/Prague"}
    })
}

/// The rule with one field changed.
fn with(field: &str, value: Value) -> Value {
    let mut rule = rule();
    rule[field] = value;
    rule
}

fn window(opens: &str, for_s: Value, time_zone: &str) -> Value {
    with("window", json!({"opens": opens, "for_s": for_s, "time_zone": time_zone}))
}

async fn put(api: &Api, name: &str, body: &Value) -> Reply {
    read(api.request(Method::PUT, &path(name)).json(body)).await
}

async fn edit(api: &Api, name: &str, body: &Value) -> Reply {
    read(api.request(Method::PATCH, &path(name)).json(body)).await
}

fn pointers(reply: &Reply) -> Vec<(String, String)> {
    let body = reply.json();
    let faults = body["errors"].as_array().cloned().unwrap_or_default();
    let text = |fault: &Value, field: &str| fault[field].as_str().unwrap().to_owned();
    faults.iter().map(|fault| (text(fault, "pointer"), text(fault, "code"))).collect()
}

#[tokio::test]
async fn a_rule_is_put_read_listed_edited_and_deleted() {
    let (_server, admin) = with_shop().await;
    let created = put(&admin, "french", &rule()).await;
    let etag = created.header("etag").to_owned();
    let body = created.expect(201);
    for (field, value) in rule().as_object().unwrap() {
        if field != "window" {
            assert_eq!(&body[field], value, "{field}");
        }
    }
    assert_eq!(
        (&body["name"], &body["state"], &body["faults"]),
        (&json!("french"), &json!("active"), &json!([]))
    );
    assert_eq!(body["window"]["time_zone"], "Europe/Prague");
    assert!(
        body["window"]["is_open"].is_boolean() && body["window"]["next_opening_at"].is_string(),
        "{body}"
    );
    assert_eq!(etag, format!("\"{}\"", body["revision"]));
    let again = put(&admin, "french", &rule()).await;
    assert_eq!(again.header("etag"), etag, "the same rule keeps its revision");
    assert_eq!(again.expect(200)["changed_at"], body["changed_at"]);
    let least = put(&admin, "least", &json!({"contract": "shop/customer", "target": 1})).await.expect(201);
    for absent in ["max_age_s", "check_every_s", "window"] {
        assert!(least.get(absent).is_none(), "{absent} in {least}");
    }
    assert_eq!((&least["input"], &least["priority"]), (&json!({}), &json!(50)));

    let one = admin.get(&path("french")).await;
    assert_eq!(one.header("etag"), etag);
    assert_eq!(one.expect(200)["target"], 20);
    let page = admin.get(&format!("{RULES}?limit=1")).await.expect(200);
    assert_eq!(page["items"][0]["name"], "french");
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = admin.get(&format!("{RULES}?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((&rest["items"][0]["name"], rest.get("next_cursor")), (&json!("least"), None));

    let edited = edit(&admin, "french", &json!({"target": 5, "state": "paused"})).await;
    assert_ne!(edited.header("etag"), etag);
    let edited_etag = edited.header("etag").to_owned();
    let body = edited.expect(200);
    assert_eq!(
        (&body["target"], &body["state"], &body["priority"]),
        (&json!(5), &json!("paused"), &json!(70))
    );
    for nothing in [json!({}), json!({"target": 5}), json!({"state": "paused"})] {
        assert_eq!(edit(&admin, "french", &nothing).await.header("etag"), edited_etag, "{nothing}");
    }
    let replaced = put(&admin, "french", &rule()).await.expect(200);
    assert_eq!(
        (&replaced["target"], &replaced["state"]),
        (&json!(20), &json!("paused")),
        "it does not say `paused`"
    );
    assert_eq!(put(&admin, "french", &with("paused", json!(false))).await.expect(200)["state"], "active");
    assert_eq!(edit(&admin, "french", &json!({"state": "draining"})).await.expect(200)["state"], "draining");
    assert_eq!(admin.delete(&path("french")).await.status, 204);
    admin.delete(&path("french")).await.refused(404, "stock_rule_not_found");
    admin.get(&path("french")).await.refused(404, "stock_rule_not_found");
    edit(&admin, "french", &json!({"target": 1})).await.refused(404, "stock_rule_not_found");
    let near = admin.get(&path("leas")).await;
    assert!(near.text.contains("Did you mean `least`?"), "{}", near.text);
}

#[tokio::test]
async fn a_bad_rule_is_refused_with_pointers_and_changes_nothing() {
    let (server, admin) = with_shop().await;
    // Paused, so that nothing is made for it meanwhile.
    put(&admin, "there", &with("paused", json!(true))).await.expect(201);
    let before = server.engine.last_event().await.unwrap();
    let huge: Value = serde_json::from_str("100000000000000000000000").unwrap();
    for (body, pointer, code) in [
        (json!({"target": 3}), "/contract", "required"),
        (json!({"contract": "shop/customer"}), "/target", "required"),
        (with("target", json!(-1)), "/target", "range"),
        (with("target", json!(0)), "/target", "range"),
        (with("target", json!(100_001)), "/target", "range"),
        (with("target", json!(1_000_000_000)), "/target", "range"),
        (with("target", huge), "/target", "range"),
        (with("target", json!(1.0)), "/target", "type"),
        (with("target", json!("20")), "/target", "type"),
        (with("target", Value::Null), "/target", "type"),
        (with("priority", json!(101)), "/priority", "range"),
        (with("priority", json!(-1)), "/priority", "range"),
        (with("max_age_s", json!(0)), "/max_age_s", "range"),
        (with("max_age_s", json!(31_536_001)), "/max_age_s", "range"),
        (with("max_age_s", json!(899)), "/check_every_s", "range"),
        (with("check_every_s", json!(86_401)), "/check_every_s", "range"),
        (with("paused", json!("yes")), "/paused", "type"),
        (with("contract", json!("shop/custmer")), "/contract", "unknown_contract"),
        (with("contract", json!("customer")), "/contract", "name_pattern"),
        (with("contract", json!("shop/\u{202e}x")), "/contract", "bidi_or_invisible"),
        (with("input", json!([])), "/input", "type"),
        (with("input", json!({"country": 1})), "/input/country", "type"),
        (with("input", json!({"a": "x".repeat(70_000)})), "/input", "too_long"),
        (with("targt", json!(1)), "/targt", "unknown_field"),
        (with("state", json!("paused")), "/state", "unknown_field"),
        (window("* * * * * *", json!(60), "UTC"), "/window/opens", "cron"),
        (window("*/0", json!(60), "UTC"), "/window/opens", "cron"),
        (window("*/0 * * * *", json!(60), "UTC"), "/window/opens", "cron"),
        (window("0 0 1 1 * 2200", json!(60), "UTC"), "/window/opens", "cron"),
        (window("@daily", json!(60), "UTC"), "/window/opens", "cron"),
        (window("0 0 30 2 *", json!(60), "UTC"), "/window/opens", "cron_never"),
        (window("0 0 31 4,6,9,11 *", json!(60), "UTC"), "/window/opens", "cron_never"),
        (window("0 24 * * *", json!(60), "UTC"), "/window/opens", "cron"),
        (window("", json!(60), "UTC"), "/window/opens", "empty"),
        (window("0 6 * * *", json!(59), "UTC"), "/window/for_s", "range"),
        (window("0 6 * * *", json!(60), ""), "/window/time_zone", "empty"),
        (window("0 6 * * *", json!(60), "Mars/Olympus"), "/window/time_zone", "time_zone"),
        (window("0 6 * * *", json!(0), "UTC"), "/window/for_s", "range"),
        (window("0 6 * * *", json!(604_801), "UTC"), "/window/for_s", "range"),
        (with("window", json!({"opens": "0 6 * * *", "for_s": 60})), "/window/time_zone", "required"),
        (with("window", json!("0 6 * * *")), "/window", "type"),
    ] {
        for name in ["new", "there"] {
            let reply = put(&admin, name, &body).await;
            reply.refused(422, code);
            assert_eq!(pointers(&reply), [(pointer.to_owned(), code.to_owned())], "{body}");
            assert!(!reply.text.contains('\u{202e}'));
            // Whoever asks for too much is told how much there may be.
            let names_it = reply.text.contains("from 1 to 100000");
            assert!(names_it || (pointer, code) != ("/target", "range"), "{}", reply.text);
        }
    }
    let all = put(&admin, "new", &json!({"contract": "x", "target": 0, "priority": 200, "more": 1})).await;
    assert_eq!(pointers(&all).len(), 4, "all faults at once: {}", all.text);
    for body in ["[]", "1", "null", "\"x\""] {
        let request = admin.request(Method::PUT, &path("new")).header("content-type", "application/json");
        read(request.body(body)).await.refused(422, "type");
    }
    let twice = admin.request(Method::PUT, &path("new")).header("content-type", "application/json");
    read(twice.body("{\"target\":1,\"target\":2}")).await.refused(400, "duplicate_key");
    let text = admin.request(Method::PUT, &path("new")).header("content-type", "application/yaml");
    read(text.body("target: 1")).await.refused(415, "content_type");
    let large = json!({"contract": "shop/customer", "target": 1, "input": {"a": "x".repeat(300_000)}});
    put(&admin, "new", &large).await.refused(413, "body_too_large");
    for name in ["New", "a%20b", "a%2Fb", "-a", &"a".repeat(64)] {
        put(&admin, name, &rule()).await.refused(404, "not_found");
    }
    admin.get(&path("there?x=1")).await.refused(400, "unknown_parameter");
    admin.get("/v1/environments/qa9/stock-rules").await.refused(404, "environment_not_found");
    read(admin.request(Method::PUT, "/v1/environments/qa9/stock-rules/a").json(&rule()))
        .await
        .refused(404, "environment_not_found");
    admin.post(RULES, &rule()).await.refused(405, "method_not_allowed");
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
}

#[tokio::test]
async fn a_bad_edit_is_refused_with_pointers_and_changes_nothing() {
    let (server, admin) = with_shop().await;
    // Paused, so that nothing is made for it meanwhile.
    put(&admin, "there", &with("paused", json!(true))).await.expect(201);
    let before = server.engine.last_event().await.unwrap();
    for (body, pointer, code) in [
        (json!({"target": 0}), "/target", "range"),
        (json!({"target": -1}), "/target", "range"),
        (json!({"target": 100_001}), "/target", "range"),
        (json!({"target": 1_000_000_000}), "/target", "range"),
        (json!({"target": null}), "/target", "type"),
        (json!({"state": "stopped"}), "/state", "enum"),
        (json!({"state": 1}), "/state", "type"),
        (json!({"contract": "shop/other"}), "/contract", "immutable"),
        (json!({"input": {}}), "/input", "immutable"),
        (json!({"window": null}), "/window", "immutable"),
        (json!({"paused": true}), "/paused", "immutable"),
        (json!({"statt": "paused"}), "/statt", "unknown_field"),
    ] {
        let reply = edit(&admin, "there", &body).await;
        reply.refused(422, code);
        assert_eq!(pointers(&reply), [(pointer.to_owned(), code.to_owned())], "{body}");
    }
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
}

#[tokio::test]
async fn one_rule_more_than_an_environment_may_have_is_refused() {
    let (_server, admin) = with_shop().await;
    let rules: String =
        (0..1_000).map(|number| format!("  r{number}: {{ contract: shop/customer, target: 1 }}\n")).collect();
    let apply = |text: String| json!({"files": [{"path": "stock.yaml", "text": format!("stock:\n{text}")}]});
    let apply_path = "/v1/environments/default/apply";
    let applied = admin.post(apply_path, &apply(rules)).await.expect(200);
    assert_eq!(applied["rules"].as_array().unwrap().len(), 1_000);
    let one_more = put(&admin, "more", &json!({"contract": "shop/customer", "target": 1})).await;
    one_more.refused(422, "limit");
    assert!(one_more.text.contains("1000"), "{}", one_more.text);
    put(&admin, "r0", &json!({"contract": "shop/customer", "target": 2})).await.expect(200);
    let file = apply("  more: { contract: shop/customer, target: 1 }\n".to_owned());
    admin.post(apply_path, &file).await.refused(422, "limit");
    admin.delete(&path("r1")).await.expect(204);
    put(&admin, "more", &json!({"contract": "shop/customer", "target": 1})).await.expect(201);
}

#[tokio::test]
async fn a_rule_is_changed_only_over_the_revision_that_was_seen() {
    let (_server, admin) = with_shop().await;
    let tagged =
        |method: Method, tag: &str| admin.request(method, &path("r")).header("if-match", tag.to_owned());
    let absent = read(tagged(Method::PUT, "\"3\"").json(&rule())).await;
    absent.refused(412, "version_mismatch");
    let created = read(tagged(Method::PUT, "\"0\"").json(&rule())).await;
    let first = created.header("etag").to_owned();
    created.expect(201);
    let edited = read(tagged(Method::PATCH, &first).json(&json!({"target": 1}))).await;
    let second = edited.header("etag").to_owned();
    edited.expect(200);
    for stale in [first.as_str(), "\"0\"", "\"18446744073709551615\""] {
        read(tagged(Method::PUT, stale).json(&rule())).await.refused(412, "version_mismatch");
        read(tagged(Method::PATCH, stale).json(&json!({"target": 2}))).await.refused(412, "version_mismatch");
        read(tagged(Method::DELETE, stale)).await.refused(412, "version_mismatch");
    }
    for tag in ["*", "W/\"1\"", "1", "\"1\", \"2\"", "\"one\"", "\"-1\""] {
        read(tagged(Method::PUT, tag).json(&rule())).await.refused(400, "bad_if_match");
        read(tagged(Method::DELETE, tag)).await.refused(400, "bad_if_match");
    }
    assert_eq!(read(tagged(Method::DELETE, &second)).await.status, 204);
    let anew = put(&admin, "r", &rule()).await;
    assert!(
        anew.header("etag") != first && anew.header("etag") != second,
        "an old tag never fits a new rule"
    );
}

#[tokio::test]
async fn rules_are_changed_by_who_supplies_their_domain_and_read_by_everybody() {
    let (server, admin) = with_shop().await;
    put(&admin, "r", &rule()).await.expect(201);
    let consumer = server.consumer().await;
    put(&consumer, "r", &rule()).await.refused(403, "forbidden");
    edit(&consumer, "r", &json!({"target": 1})).await.refused(403, "forbidden");
    consumer.delete(&path("r")).await.refused(403, "forbidden");
    consumer.get(&path("r")).await.expect(200);
    assert_eq!(consumer.get(RULES).await.expect(200)["items"].as_array().unwrap().len(), 1);
    let dry = format!("{}?dry_run=true", path("other"));
    let would = read(consumer.request(Method::PUT, &dry).json(&rule())).await.expect(200);
    assert_eq!(would["name"], "other");
    admin.get(&path("other")).await.refused(404, "stock_rule_not_found");
    let elsewhere = server.api(Role::Supplier, None, Some("billing")).await;
    put(&elsewhere, "mine", &rule()).await.refused(404, "domain_not_found");
    put(&elsewhere, "r", &rule()).await.refused(404, "domain_not_found");
    let foreign = edit(&elsewhere, "r", &json!({"target": 1})).await;
    foreign.refused(404, "stock_rule_not_found");
    assert!(!foreign.text.contains("Did you mean"), "the name itself is no help: {}", foreign.text);
    elsewhere.delete(&path("r")).await.refused(404, "stock_rule_not_found");
    let own = server.api(Role::Supplier, None, Some("shop")).await;
    edit(&own, "r", &json!({"target": 1})).await.expect(200);
    let other_environment = server.api(Role::Supplier, Some("qa2"), None).await;
    other_environment.get(&path("r")).await.refused(404, "environment_not_found");
    server.client(None).get(RULES).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn files_of_both_kinds_are_applied_together_or_not_at_all() {
    let (server, admin) = with_shop().await;
    let apply = "/v1/environments/default/apply";
    let files = |stock: &str, dry_run: bool| {
        json!({
            "files": [{"path": "stock.yaml", "text": stock}, {"path": "customer.yaml", "text": SCENARIO}],
            "dry_run": dry_run
        })
    };
    let good = "stock:\n  french: { contract: checkout/customer, input: { country: FR }, target: 3 }\n";
    let consumer = server.consumer().await;
    let would = consumer.post(apply, &files(good, true)).await.expect(200);
    assert_eq!(
        (&would["rules"][0]["change"], &would["applied"][0]["change"]),
        (&json!("new"), &json!("new"))
    );
    consumer.post(apply, &files(good, false)).await.refused(403, "forbidden");
    let before = server.engine.last_event().await.unwrap();
    for (stock, line, code) in [
        (good.replace("FR", "DE"), 2, "enum"),
        (good.replace("checkout/customer", "checkout/custmer"), 2, "unknown_contract"),
        (good.replace("target: 3", "target: 0"), 2, "range"),
        ("rules: {}\n".to_owned(), 1, "unknown_kind"),
    ] {
        let reply = admin.post(apply, &files(&stock, false)).await;
        reply.refused(422, "scenario_faults");
        let fault = &reply.json()["errors"][0];
        assert_eq!(
            (&fault["file"], &fault["line"], &fault["code"]),
            (&json!("stock.yaml"), &json!(line), &json!(code)),
            "{}",
            reply.text
        );
        assert!(fault["hint"].is_string(), "{fault}");
    }
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
    let applied = admin.post(apply, &files(good, false)).await.expect(200);
    let rule = &applied["rules"][0];
    assert_eq!(
        (&rule["path"], &rule["name"], &rule["change"]),
        (&json!("stock.yaml"), &json!("french"), &json!("new"))
    );
    assert_eq!(admin.get(&path("french")).await.expect(200)["revision"], rule["revision"]);
    assert_eq!(admin.post(apply, &files(good, false)).await.expect(200)["rules"][0]["change"], "same");

    let in_use = admin.delete("/v1/environments/default/scenarios/checkout/customer").await;
    in_use.refused(409, "contract_in_use");
    assert!(in_use.text.contains("the stock rule french uses it"), "{}", in_use.text);
    let narrower = SCENARIO.replace("[CZ, FR]", "[CZ]");
    let broken =
        admin.put_yaml("/v1/environments/default/scenarios/checkout/customer", &narrower).await.expect(200);
    assert_eq!(broken["breaks"][0]["stock_rule"], "french", "{broken}");
    let shown = admin.get(&path("french")).await.expect(200);
    assert_eq!(
        (&shown["faults"][0]["pointer"], &shown["faults"][0]["code"]),
        (&json!("/input/country"), &json!("enum"))
    );
    let file = admin.put_yaml("/v1/environments/default/scenarios/checkout/customer", good).await;
    file.refused(422, "scenario_faults");
}

#[tokio::test]
async fn secrets_in_the_input_of_a_rule_are_covered() {
    let (_server, admin) = with_shop().await;
    let mut account = capability("account", &["produce"]);
    account["input"]["properties"]["pin"] = json!({"type": "string", "x-secret": true});
    HandSupplier::open(&admin, &manifest("billing", &[account])).await;
    let body = json!({"contract": "billing/account", "target": 1, "input": {"pin": "1234"}});
    let created = put(&admin, "r", &body).await;
    assert!(!created.text.contains("1234"), "{}", created.text);
    assert_eq!(created.expect(201)["input"]["pin"], "***");
    assert!(!admin.get(RULES).await.text.contains("1234"));
    let same = put(&admin, "r", &body).await.expect(200);
    assert_eq!(same["created_at"], same["changed_at"]);
}

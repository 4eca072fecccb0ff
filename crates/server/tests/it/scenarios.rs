//! Scenarios over HTTP: applied one by one and together, read, deleted; and every kind of refusal.

use reqwest::Method;
use serde_json::{Value, json};
use sixpack_model::token::Role;

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read};
use crate::witness::Witness;

const PATH: &str = "/v1/environments/default/scenarios/checkout/customer";

const FILE: &str = "\
scenario: checkout/customer
owner: { team: Checkout, contact: checkout@shop.test }
description: A customer.
input: { type: object, properties: { country: { type: string, default: CZ } } }
steps:
  one: { uses: shop/customer, with: { country: \"${{ input.country }}\" } }
invariants:
  - { that: \"steps.one.id != ''\", says: the customer has an id }
output:
  id: \"${{ steps.one.id }}\"
";

async fn with_shop() -> (ApiServer, Api) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("shop", &[capability("customer", &["produce"])])).await;
    (server, admin)
}

#[tokio::test]
async fn a_scenario_is_applied_read_replaced_and_deleted() {
    let (_server, admin) = with_shop().await;
    let applied = admin.put_yaml(PATH, FILE).await;
    let first = applied.header("etag").to_owned();
    assert!(first.starts_with("\"1."), "{first}");
    let applied = applied.expect(201);
    assert_eq!(
        (&applied["name"], &applied["version"], &applied["change"]),
        (&json!("checkout/customer"), &json!(1), &json!("new"))
    );
    assert_eq!(admin.put_yaml(PATH, FILE).await.expect(200)["change"], "same");
    let source = admin.get(PATH).await;
    assert_eq!(
        (source.text.as_str(), source.header("content-type"), source.header("etag")),
        (FILE, "application/yaml", first.as_str())
    );
    let changed = FILE.replace("id: \"${{ steps.one.id }}\"", "customer_id: \"${{ steps.one.id }}\"");
    let put = |tag: &str| {
        admin
            .request(Method::PUT, PATH)
            .header("content-type", "application/yaml")
            .header("if-match", tag.to_owned())
    };
    read(put("\"7\"").body(changed.clone())).await.refused(412, "version_mismatch");
    let many = vec!["\"1\""; 1_000].join(", ");
    for tag in ["*", "W/\"1\"", "1", "\"1\", \"2\"", "\"one\"", &many] {
        read(put(tag).body(changed.clone())).await.refused(400, "bad_if_match");
    }
    let described = FILE.replace("A customer.", "A customer of now.");
    let updated = read(put(&first).body(described)).await;
    let second = updated.header("etag").to_owned();
    assert!(second.starts_with("\"1.") && second != first, "{second}");
    assert_eq!(updated.expect(200)["change"], "updated");
    read(put(&first).body(changed.clone())).await.refused(412, "version_mismatch");
    let replaced = read(put(&second).body(changed.clone())).await;
    assert!(replaced.header("etag").starts_with("\"2."), "{}", replaced.header("etag"));
    assert_eq!(read(put("\"2\"").body(FILE)).await.expect(200)["version"], 3, "any text of version 2");
    let replaced = read(put("\"3\"").body(changed)).await;
    assert_eq!(replaced.expect(200)["change"], "breaking");
    assert_eq!(admin.delete(PATH).await.status, 204);
    assert_eq!(admin.delete(PATH).await.status, 204, "also when repeated");
    admin.get(PATH).await.refused(404, "scenario_not_found");
    admin.delete(&PATH.replace("customer", "never")).await.refused(404, "scenario_not_found");
}

#[tokio::test]
async fn a_dry_run_answers_the_same_and_changes_nothing() {
    let (server, admin) = with_shop().await;
    let consumer = server.consumer().await;
    let before = server.engine.last_event().await.unwrap();
    let would = consumer.put_yaml(&format!("{PATH}?dry_run=true"), FILE).await;
    assert_eq!(would.expect(200)["change"], "new");
    consumer.put_yaml(PATH, FILE).await.refused(403, "forbidden");
    admin.get(PATH).await.refused(404, "scenario_not_found");
    assert_eq!(server.engine.last_event().await.unwrap(), before);
}

#[tokio::test]
async fn faults_have_their_place_and_a_hint() {
    let (server, admin) = with_shop().await;
    let before = server.engine.last_event().await.unwrap();
    let misspelt = FILE.replace("steps.one.id }}\"\n", "steps.one.idd }}\"\n");
    let reply = admin.put_yaml(PATH, &misspelt).await;
    reply.refused(422, "scenario_faults");
    let fault = &reply.json()["errors"][0];
    assert_eq!((&fault["file"], &fault["line"]), (&json!("checkout/customer"), &json!(10)));
    assert!(fault["column"].as_u64() > Some(1) && fault["length"].as_u64() > Some(0), "{fault}");
    assert!(
        fault["hint"].as_str().unwrap().contains("`id`")
            || fault["hint"].as_str().unwrap().contains("\"id\""),
        "{fault}"
    );
    let elsewhere = PATH.replace("checkout/customer", "checkout/other");
    let reply = admin.put_yaml(&elsewhere, FILE).await;
    assert_eq!((reply.status, &reply.json()["errors"][0]["code"]), (422, &json!("name_mismatch")));
    let taken = FILE.replace("scenario: checkout/customer", "scenario: shop/customer");
    let taken = taken.replace("uses: shop/customer", "uses: shop/other");
    let reply = admin.put_yaml(&PATH.replace("checkout/customer", "shop/customer"), &taken).await;
    reply.refused(409, "name_taken");
    let binary =
        admin.request(Method::PUT, PATH).header("content-type", "application/yaml").body(vec![0xff, 0xfe]);
    read(binary).await.refused(422, "scenario_faults");
    for kind in ["text/plain", "multipart/form-data", ""] {
        let request = admin.request(Method::PUT, PATH).header("content-type", kind).body(FILE);
        read(request).await.refused(415, "content_type");
    }
    let packed = admin
        .request(Method::PUT, PATH)
        .header("content-type", "application/yaml")
        .header("content-encoding", "gzip");
    read(packed.body(FILE)).await.refused(415, "content_encoding");
    let large = admin
        .request(Method::PUT, PATH)
        .header("content-type", "application/yaml")
        .body("#".repeat(1024 * 1024 + 1));
    read(large).await.refused(413, "body_too_large");
    admin.put_yaml(&PATH.replace("default", "No Such"), FILE).await.refused(422, "name_pattern");
    admin.put_yaml(&PATH.replace("checkout/", "Check Out/"), FILE).await.refused(422, "name_pattern");
    assert_eq!(server.engine.last_event().await.unwrap(), before, "nothing happened");
}

/// A file with a secret in the binding of its step (line 6) and one in its output (line 11).
fn with_secrets() -> String {
    FILE.replace(
        "with: { country: \"${{ input.country }}\" }",
        "with: { country: CZ, api_key: 9f86d081884c7d659a2feaa0c55ad015 }",
    ) + "  password: hunter2\n"
}

#[tokio::test]
async fn a_secret_that_is_written_out_is_warned_of_with_its_place_and_never_repeated() {
    let (_server, admin) = with_shop().await;
    let clean = admin.put_yaml(&format!("{PATH}?dry_run=true"), FILE).await.expect(200);
    assert_eq!(clean["warnings"], json!([]));
    for path in [format!("{PATH}?dry_run=true"), PATH.to_owned(), PATH.to_owned()] {
        let reply = admin.put_yaml(&path, &with_secrets()).await;
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
        assert!(!reply.text.contains("hunter2") && !reply.text.contains("9f86"), "{}", reply.text);
        let warnings = reply.json()["warnings"].clone();
        let places: Vec<_> = warnings
            .as_array()
            .unwrap()
            .iter()
            .map(|w| {
                (
                    w["code"].as_str().unwrap(),
                    w["line"].as_u64().unwrap(),
                    w["column"].as_u64().unwrap(),
                    w["length"].as_u64().unwrap(),
                )
            })
            .collect();
        let expected =
            [("undeclared_input", 6, 52, 7), ("literal_secret", 6, 61, 32), ("literal_secret", 11, 13, 7)];
        assert_eq!(places, expected, "{warnings}");
        assert_eq!(warnings[0]["file"], "checkout/customer");
        assert!(warnings[0]["message"].as_str().unwrap().contains("`api_key`"), "{warnings}");
        assert!(warnings[1]["hint"].is_string(), "{warnings}");
    }
    let body = json!({"files": [{"path": "a.yaml", "text": with_secrets()}]});
    let applied = admin.post("/v1/environments/default/apply", &body).await.expect(200);
    assert_eq!(applied["applied"][0]["warnings"][1]["file"], "a.yaml", "{applied}");
    assert_eq!(applied["applied"][0]["change"], "same");
}

#[tokio::test]
async fn strictly_taken_a_warning_refuses_all_files() {
    let (server, admin) = with_shop().await;
    let mut witness = Witness::of(&server, &admin).await;
    let files = json!([
        {"path": "good.yaml", "text": FILE.replace("checkout/customer", "checkout/other")},
        {"path": "bad.yaml", "text": with_secrets()}
    ]);
    for reply in [
        witness.put_yaml(&format!("{PATH}?strict=true"), with_secrets()).await,
        witness.put_yaml(&format!("{PATH}?strict=true&dry_run=true"), with_secrets()).await,
        witness.post("/v1/environments/default/apply", &json!({"files": files, "strict": true})).await,
    ] {
        reply.refused(422, "scenario_faults");
        let faults = reply.json()["errors"].clone();
        assert_eq!(faults.as_array().unwrap().len(), 3, "{faults}");
        assert_eq!((&faults[1]["code"], &faults[1]["line"]), (&json!("literal_secret"), &json!(6)));
        assert!(!reply.text.contains("hunter2"), "{}", reply.text);
    }
    witness.put_yaml(&format!("{PATH}?strict=yes"), FILE).await.refused(422, "type");
    witness.end().await;
    admin.get(PATH).await.refused(404, "scenario_not_found");
    admin.put_yaml(&format!("{PATH}?strict=true"), FILE).await.expect(201);
}

#[tokio::test]
async fn a_file_without_its_line_breaks_is_told_how_they_are_kept() {
    let (_server, admin) = with_shop().await;
    let sent = admin.put_yaml(PATH, &FILE.replace('\n', "")).await;
    sent.refused(422, "scenario_faults");
    let detail = sent.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("--data-binary"), "{detail}");
    let wrong = admin.put_yaml(PATH, &FILE.replace("scenario:", "scenaro:")).await;
    assert!(!wrong.text.contains("--data-binary"), "{}", wrong.text);
}

#[tokio::test]
async fn json_is_taken_as_well() {
    let (_server, admin) = with_shop().await;
    let file = json!({
        "scenario": "checkout/customer", "owner": {"team": "Checkout"}, "description": "A customer.", "input": {"type": "object"},
        "steps": {"one": {"uses": "shop/customer"}}, "output": {"id": "${{ steps.one.id }}"}
    });
    read(admin.request(Method::PUT, PATH).json(&file)).await.expect(201);
}

#[tokio::test]
async fn several_files_are_applied_together_or_not_at_all() {
    let (_server, admin) = with_shop().await;
    let outer = FILE
        .replace("checkout/customer", "checkout/outer")
        .replace("uses: shop/customer", "uses: checkout/customer");
    let files = |second: &str| json!({"files": [{"path": "outer.yaml", "text": second}, {"path": "inner.yaml", "text": FILE}]});
    let broken = outer.replace("steps.one.id", "steps.two.id");
    let reply = admin.post("/v1/environments/default/apply", &files(&broken)).await;
    reply.refused(422, "scenario_faults");
    assert_eq!(reply.json()["errors"][0]["file"], "outer.yaml");
    admin.get(PATH).await.refused(404, "scenario_not_found");
    let applied = admin.post("/v1/environments/default/apply", &files(&outer)).await.expect(200);
    let paths: Vec<&Value> =
        applied["applied"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, ["outer.yaml", "inner.yaml"]);
    let in_use = admin.delete(PATH).await;
    in_use.refused(409, "contract_in_use");
    assert!(in_use.text.contains("checkout/outer"));
    for (body, code) in [
        (json!({"files": []}), "range"),
        (json!({"files": vec![json!({"path": "a", "text": ""}); 201]}), "too_many"),
        (json!({"files": [{"path": "", "text": ""}]}), "empty"),
        (json!({"files": [{"path": "a"}]}), "missing_field"),
        (json!({"files": [{"path": "a", "text": ""}], "dryrun": true}), "unknown_field"),
    ] {
        admin.post("/v1/environments/default/apply", &body).await.refused(422, code);
    }
}

#[tokio::test]
async fn a_bound_supplier_applies_to_its_domain_only() {
    let (server, _) = with_shop().await;
    let bound = server.api(Role::Supplier, None, Some("billing")).await;
    bound.put_yaml(PATH, FILE).await.refused(404, "domain_not_found");
    let own = server.api(Role::Supplier, None, Some("checkout")).await;
    own.put_yaml(PATH, FILE).await.expect(201);
}

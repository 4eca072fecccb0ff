//! Importing through the API: what comes of good rows, and what bad ones get.

use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest};
use crate::witness::Witness;

const IMPORTS: &str = "/v1/environments/default/imports";

async fn with_shop() -> (ApiServer, Api, HandSupplier) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut keyless = capability("keyless", &["produce"]);
    keyless["output"] = json!({"type": "object"});
    let kinds = [capability("customer", &["produce", "undo"]), keyless];
    let supplier = HandSupplier::open(&admin, &manifest("shop", &kinds)).await;
    (server, admin, supplier)
}

fn rows(rows: Value) -> Value {
    json!({"contract": "shop/customer", "rows": rows})
}

#[tokio::test]
async fn imported_rows_are_datasets_in_stock_that_say_where_they_come_from() {
    let (server, admin, _supplier) = with_shop().await;
    let body = rows(json!([
        {"output": {"id": "c-1", "pin": "9"}},
        {"input": {"country": "CZ"}, "output": {"id": "c-2"}},
    ]));
    let imported = admin.post(IMPORTS, &body).await.expect(201);
    assert_eq!((&imported["contract"], &imported["version"]), (&json!("shop/customer"), &json!(1)));
    let first = imported["datasets"][0].as_str().unwrap();
    let dataset = admin.get(&format!("/v1/datasets/{first}")).await.expect(200);
    assert_eq!((&dataset["origin"], &dataset["status"]), (&json!("imported"), &json!("ready")), "{dataset}");
    assert_eq!((&dataset["input"], &dataset["output"]["pin"]), (&json!({"country": "FR"}), &json!("***")));
    let contract = admin.get("/v1/environments/default/contracts/shop/customer").await.expect(200);
    assert_eq!(contract["imported"], json!({"ready": 2, "checking": 0}), "{contract}");

    let consumer = server.consumer().await;
    let ask = json!({"contract": "shop/customer", "input": {"country": "FR"}, "source": "stock_only"});
    let request = consumer.post("/v1/requests", &ask).await.expect(201);
    assert_eq!(request["leases"][0]["dataset"]["output"], json!({"id": "c-1", "pin": "9"}), "{request}");
    consumer.post("/v1/requests", &ask).await.refused(409, "out_of_stock");

    let rule = json!({"contract": "shop/customer", "input": {"country": "CZ"}, "target": 1});
    let path = "/v1/environments/default/stock-rules/czech";
    crate::api_server::read(admin.request(reqwest::Method::PUT, path).json(&rule)).await.expect(201);
    let shown = admin.until(path, |rule| rule["stock"]["ready"] == 1).await;
    assert_eq!((&shown["stock"]["imported"], &shown["stock"]["coming"]), (&json!(1), &json!(0)), "{shown}");
}

#[tokio::test]
async fn bad_imports_are_refused_with_every_place_and_nothing_is_imported() {
    let (server, admin, _supplier) = with_shop().await;
    let taken = rows(json!([{"output": {"id": "taken"}}]));
    admin.post(IMPORTS, &taken).await.expect(201);
    let mut witness = Witness::of(&server, &admin).await;
    let good = json!({"output": {"id": "good"}});
    let with = |bad: Value| rows(json!([good, bad]));
    let many: Vec<Value> = (0..1_001).map(|number| json!({"output": {"id": number.to_string()}})).collect();
    for (body, code, pointer) in [
        (json!({}), "missing_field", "/contract"),
        (json!([]), "type", ""),
        (json!({"contract": "shop/customer"}), "missing_field", "/rows"),
        (rows(json!([])), "range", "/rows"),
        (rows(json!({})), "type", "/rows"),
        (rows(json!(many)), "too_many", "/rows"),
        (json!({"contract": "Shop", "rows": [good]}), "name_pattern", "/contract"),
        (json!({"contract": "shop/customer", "rows": [good], "dry": true}), "unknown_field", "/dry"),
        (json!({"contract": "shop/keyless", "rows": [good]}), "not_importable", "/contract"),
        (with(json!(7)), "type", "/rows/1"),
        (with(json!({})), "missing_field", "/rows/1/output"),
        (with(json!({"output": {"id": "x"}, "inputs": {}})), "unknown_field", "/rows/1/inputs"),
        (with(json!({"output": {"id": "x"}, "input": []})), "type", "/rows/1/input"),
        (with(json!({"output": {"id": 7}})), "rows_invalid", "/rows/1/output/id"),
        (with(json!({"output": {}})), "rows_invalid", "/rows/1/output/id"),
        (with(json!({"output": null})), "rows_invalid", "/rows/1/output"),
        (
            with(json!({"input": {"country": 7}, "output": {"id": "x"}})),
            "rows_invalid",
            "/rows/1/input/country",
        ),
        (with(json!({"output": {"id": "good"}})), "rows_invalid", "/rows/1/output"),
        (with(json!({"output": {"id": "taken"}})), "rows_invalid", "/rows/1/output"),
        (with(json!({"output": {"id": ""}})), "rows_invalid", "/rows/1/output"),
        (with(json!({"output": {"id": "x".repeat(300)}})), "rows_invalid", "/rows/1/output"),
    ] {
        let reply = witness.post(IMPORTS, &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{}", reply.text);
        let errors = reply.json()["errors"].clone();
        let at = errors.as_array().unwrap().iter().any(|error| error["pointer"] == pointer);
        assert!(at, "{pointer} in {errors}");
    }
    let many = rows(json!(vec![json!({"output": {"id": 7}}); 80]));
    let reply = witness.post(IMPORTS, &many).await;
    assert_eq!(reply.json()["errors"].as_array().unwrap().len(), 50);
    assert!(reply.text.contains("80 faults in 80 rows"), "{}", reply.text);
    for (path, body, status, code) in [
        ("/v1/environments/nowhere/imports", rows(json!([good])), 404, "environment_not_found"),
        (IMPORTS, json!({"contract": "shop/other", "rows": [good]}), 404, "contract_not_found"),
    ] {
        witness.post(path, &body).await.refused(status, code);
    }
    witness.post_text(IMPORTS, "{").await.refused(400, "json_syntax");
    witness.post_text(IMPORTS, "x".repeat(9 * 1024 * 1024)).await.refused(413, "body_too_large");
    witness.end().await;
}

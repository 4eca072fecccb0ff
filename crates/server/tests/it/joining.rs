//! Joining over HTTP: what is shown of a child that came from stock, where it is now and where it was.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read};

const PAIR: &str = r#"
scenario: checkout/pair
owner: { team: Checkout, contact: checkout@shop.test }
steps:
  customer: { uses: shop/customer, with: { country: FR } }
  order: { uses: shop/order, with: { country: FR }, needs: [customer] }
output: { id: "${{ steps.order.id }}" }
"#;

async fn with_stock() -> (ApiServer, Api) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let kinds = ["customer", "order"].map(|kind| capability(kind, &["produce", "check", "undo"]));
    let supplier = HandSupplier::open(&admin, &manifest("shop", &kinds)).await;
    supplier.serve();
    let put = admin.request(Method::PUT, "/v1/environments/default/scenarios/checkout/pair");
    let put = read(put.header("content-type", "application/yaml").body(PAIR)).await;
    assert!(put.status < 300, "{}", put.text);
    let rule = json!({"contract": "shop/customer", "target": 1});
    let put = admin.request(Method::PUT, "/v1/environments/default/stock-rules/customers").json(&rule);
    assert_eq!(read(put).await.status, 201);
    let rule = "/v1/environments/default/stock-rules/customers";
    admin.until(rule, |rule| rule["stock"]["ready"] == 1).await;
    (server, admin)
}

#[tokio::test]
async fn a_child_from_stock_says_what_it_was_and_what_was_in_stock_says_where_it_is() {
    let (_server, admin) = with_stock().await;
    let listed = admin.get("/v1/datasets?status=ready").await.expect(200);
    let stocked = listed["items"][0]["id"].clone();
    let request = admin.post("/v1/requests", &json!({"contract": "checkout/pair"})).await.expect(201);
    let path = format!("/v1/requests/{}?wait_s=20", request["id"].as_str().unwrap());
    let request = admin.until(&path, |request| request["status"] == "fulfilled").await;

    let dataset = request["leases"][0]["dataset"]["id"].as_str().unwrap();
    let dataset = admin.get(&format!("/v1/datasets/{dataset}")).await.expect(200);
    let part = &dataset["parts"][0];
    assert_eq!((&part["step"], &part["from_stock"]["dataset_id"]), (&json!("customer"), &stocked));
    assert_eq!(part["from_stock"]["ready_at"], part["ready_at"]);
    assert_eq!(dataset["parts"][1].get("from_stock"), None, "that one was made: {dataset}");
    let told = |dataset: &Value| {
        let events = dataset["timeline"].as_array().unwrap().iter();
        events.filter(|event| event["kind"] == "dataset.joined").cloned().collect::<Vec<_>>()
    };
    let joined = told(&dataset);
    assert_eq!((joined.len(), &joined[0]["path"], &joined[0]["from"]), (1, &json!("customer"), &stocked));

    let steps = request["progress"]["steps"].as_array().unwrap();
    assert_eq!(steps[0]["from_stock"]["dataset_id"], stocked, "{steps:?}");
    assert_eq!(steps[1].get("from_stock"), None, "{steps:?}");

    let over = admin.get(&format!("/v1/datasets/{}", stocked.as_str().unwrap())).await.expect(200);
    assert_eq!((&over["status"], &over["joined_id"]), (&json!("gone"), &part["id"]));
    assert_eq!(told(&over)[0]["into"], part["id"]);
}

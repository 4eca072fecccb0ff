//! History of stock over HTTP: one call for a page of rules, one for a rule, and what bad parameters get.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read};

const RULES: &str = "/v1/environments/default/stock-rules";
const HISTORY: &str = "/v1/environments/default/stock-history";

async fn keep(admin: &Api, name: &str, target: u32) {
    let rule =
        json!({"contract": "shop/customer", "target": target, "input": {"country": name.to_uppercase()}});
    read(admin.request(Method::PUT, &format!("{RULES}/{name}")).json(&rule)).await.expect(201);
}

async fn with_rules() -> (ApiServer, Api, HandSupplier) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier =
        HandSupplier::open(&admin, &manifest("shop", &[capability("customer", &["produce", "undo"])])).await;
    keep(&admin, "cz", 1).await;
    keep(&admin, "fr", 2).await;
    (server, admin, supplier)
}

#[tokio::test]
async fn what_rules_had_is_told_by_one_call_for_a_page_and_for_one_rule() {
    let (server, admin, supplier) = with_rules().await;
    supplier.serve();
    let one = format!("{RULES}/fr/history");
    let noted = admin.until(&one, |told| told["since"].is_string()).await;
    assert_eq!((&noted["name"], &noted["contract"]), (&json!("fr"), &json!("shop/customer")));
    assert_eq!((&noted["every_s"], &noted["target"]), (&json!(300), &json!([2])), "{noted}");
    let told = admin
        .until(&one, |told| {
            let made: u64 = told["made"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
            made == 2
        })
        .await;
    let spans = told["ready"].as_array().unwrap().len();
    for list in ["coming", "target", "hits", "misses", "made", "failed"] {
        assert_eq!(told[list].as_array().unwrap().len(), spans, "{list}: {told}");
    }
    let rule = admin.get(&format!("{RULES}/fr")).await.expect(200);
    assert_eq!((&rule["stock"]["made"], &rule["stock"]["failed"]), (&json!(2), &json!(0)), "{rule}");

    let consumer = server.consumer().await;
    let first = consumer.get(&format!("{HISTORY}?limit=1")).await.expect(200);
    assert_eq!((&first["items"][0]["name"], &first["items"][0]["every_s"]), (&json!("cz"), &json!(1_800)));
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = consumer.get(&format!("{HISTORY}?limit=1&points=12&cursor={cursor}")).await.expect(200);
    assert_eq!((&rest["items"][0]["name"], &rest["items"][0]["every_s"]), (&json!("fr"), &json!(7_200)));
    assert_eq!((rest["items"].as_array().unwrap().len(), rest.get("next_cursor")), (1, None));
}

#[tokio::test]
async fn an_environment_without_rules_has_no_history() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("shop", &[capability("customer", &["produce"])])).await;
    let none = admin.get(HISTORY).await.expect(200);
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn a_history_of_what_is_not_there_and_of_no_such_points_is_refused() {
    let (_server, admin, _supplier) = with_rules().await;
    admin.get(&format!("{RULES}/never/history")).await.refused(404, "stock_rule_not_found");
    admin.get("/v1/environments/nowhere/stock-history").await.refused(404, "environment_not_found");
    for points in ["11", "289", "0", "-1", "many", "1.5"] {
        for path in [HISTORY, &format!("{RULES}/fr/history")] {
            let reply = admin.get(&format!("{path}?points={points}")).await;
            assert_eq!(reply.status, 422, "{points}: {}", reply.text);
        }
    }
    admin.get(&format!("{HISTORY}?since=now")).await.refused(400, "unknown_parameter");
}

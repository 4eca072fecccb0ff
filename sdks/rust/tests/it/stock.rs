//! Stock: a rule that is filled, requests that are served from it, and what is not there.

use serde_json::json;
use sixpack::wire::{NewStockRule, Priority, RequestFilter, RuleState, StockHistoryFilter, StockRuleEdit};
use sixpack::{DynamicCapability, Source};

use crate::server::{Server, until};

const RULE: &str = "orders";

/// Orders that can be chosen by their size.
fn order() -> DynamicCapability {
    let order = DynamicCapability::new("order", |cx, input| async move {
        Ok(json!({ "id": cx.unique(), "size": input["size"] }))
    });
    order
        .input_schema(json!({
            "type": "object", "properties": { "size": { "type": "integer", "default": 1 } },
        }))
        .output_schema(json!({
            "type": "object", "required": ["id", "size"],
            "properties": { "id": { "type": "string" }, "size": { "type": "integer", "x-selectable": true } },
        }))
}

#[tokio::test]
async fn a_request_is_served_from_stock_or_says_that_there_is_none() {
    let server = Server::start().await;
    let client = server.client();
    let mut running = server.supplier(order()).start().unwrap();
    running.ready().await.unwrap();
    let ask = || client.request("shop/order").source(Source::StockOnly);
    let unkept = ask().send().await.unwrap_err();
    assert!(unkept.is_out_of_stock() && unkept.to_string().contains("no stock rule keeps it"), "{unkept}");

    let mut events = server.events();
    let rule = NewStockRule::new("shop/order", 1).input(json!({ "size": 3 }));
    let put = client.put_stock_rule("default", RULE, &rule).await.unwrap();
    assert_eq!((put.stock.ready, put.stock.hit_rate()), (0, None));
    until(&mut events, "request.fulfilled").await;
    // What is given is not made again, so that there is one dataset in all.
    let pause = StockRuleEdit { state: Some(RuleState::Paused), ..StockRuleEdit::default() };
    let full = client.edit_stock_rule("default", RULE, &pause).await.unwrap().stock;
    assert_eq!((full.ready, full.coming, full.starved.as_ref()), (1, 0, None));
    assert!(full.oldest_at.is_some() && full.oldest_age_ms.is_some());

    let history = client.stock_history("default", RULE, 24).await.unwrap();
    assert_eq!((history.every_s, history.target.as_slice()), (3_600, &[Some(1)][..]));
    let listed = client.stock_histories("default", &StockHistoryFilter::default()).await.unwrap();
    assert_eq!((listed.items.len(), listed.items[0].name.as_str()), (1, RULE));
    assert!(listed.items[0].since.is_some());

    let other = ask().select(json!({ "size": [4, 5] })).send().await.unwrap_err();
    assert!(other.is_out_of_stock(), "{other}");
    let chosen = client.request("shop/order");
    let chosen = chosen.prefer(json!({ "size": 9 })).select(json!({ "size": [3, 4] }));
    let lease = chosen.send().await.unwrap();
    assert_eq!(lease.json()["size"], 3);
    lease.release().await.unwrap();
    let wrong = client.request("shop/order").select(json!({ "id": "x" })).send().await.unwrap_err();
    assert_eq!(wrong.code(), Some("not_selectable"), "{wrong}");
    assert!(!wrong.is_out_of_stock());

    let listed = client.requests(&RequestFilter::default()).await.unwrap().items;
    let refills: Vec<_> = listed.iter().filter(|request| request.refills.is_some()).collect();
    assert_eq!(refills.len(), 1);
    assert_eq!((refills[0].refills.as_deref(), refills[0].priority), (Some(RULE), Some(Priority::Stock)));
    assert!(refills[0].leases.is_empty() && listed.iter().all(|request| request.ahead.is_none()));
    running.drain().await.unwrap();
}

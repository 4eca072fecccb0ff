//! What a service does with events, whatever way they come.

use serde_json::{Value, json};
use shop::service::ServiceName;

use crate::shop::{Lags, Shop, conflict, reason};

async fn tell(shop: &Shop, events: Value) -> u16 {
    let http = shop::client::http_client().unwrap();
    let told = http.post(format!("{}/events", shop.urls.order)).json(&json!({ "events": events })).send();
    told.await.unwrap().status().as_u16()
}

fn event(event_id: &str, kind: &str, status: &str) -> Value {
    let data = json!({ "customer_id": "cus_1", "email": "a@shop.test", "name": "Ada", "country": "FR", "status": status });
    json!({ "event_id": event_id, "kind": kind, "at_ms": 0, "data": data })
}

#[tokio::test]
async fn an_event_that_is_heard_twice_counts_once() {
    let shop = Shop::start(Lags::SHORT).await;
    let activated = event("evt_1", "customer.activated", "ACTIVE");
    assert_eq!(tell(&shop, json!([activated])).await, 204);
    shop.open_order("cus_1").await.unwrap();
    assert_eq!(tell(&shop, json!([event("evt_2", "customer.deleted", "ACTIVE")])).await, 204);
    assert_eq!(tell(&shop, json!([activated])).await, 204);
    let new = shop::order::NewOrder { customer_id: "cus_1".to_owned() };
    let opened = shop.client.order.open("another", &new).await;
    assert_eq!(reason(opened), conflict(ServiceName::Order, "customer_unknown"));
}

#[tokio::test]
async fn a_batch_with_an_event_that_cannot_be_understood_changes_nothing() {
    let shop = Shop::start(Lags::SHORT).await;
    let good = event("evt_1", "customer.activated", "ACTIVE");
    let bad = event("evt_2", "customer.activated", "ASLEEP");
    assert_eq!(tell(&shop, json!([good, bad])).await, 422);
    let order = shop.client.admin(ServiceName::Order);
    assert_eq!(order.counts().await.unwrap().copies["known_customers"], 0);
    assert_eq!(tell(&shop, json!([good])).await, 204);
    assert_eq!(order.counts().await.unwrap().copies["known_customers"], 1);
}

#[tokio::test]
async fn news_of_no_use_is_passed_over() {
    let shop = Shop::start(Lags::SHORT).await;
    assert_eq!(tell(&shop, json!([event("evt_1", "weather.changed", "SUNNY")])).await, 204);
    assert!(shop.client.admin(ServiceName::Order).counts().await.unwrap().are_zero());
}

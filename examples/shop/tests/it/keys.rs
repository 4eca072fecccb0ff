//! Idempotency keys and deletes: doing it again changes nothing.

use shop::client::ShopClient;
use shop::customer::NewCustomer;
use shop::order::NewLine;
use shop::service::ServiceName;

use crate::shop::{Lags, Shop};

#[tokio::test]
async fn the_same_key_answers_the_same_entity_with_200() {
    let shop = Shop::start(Lags::SHORT).await;
    let post = |email: &'static str| {
        let body = serde_json::json!({ "email": email, "name": "Ada", "country": "CZ" });
        let request = shop::client::http_client().unwrap().post(format!("{}/customers", shop.urls.customer));
        async move {
            let response = request.header("idempotency-key", "k1").json(&body).send().await.unwrap();
            (response.status().as_u16(), response.json::<serde_json::Value>().await.unwrap())
        }
    };
    let (first_status, first) = post("ada@shop.test").await;
    let (again_status, again) = post("other@shop.test").await;
    assert_eq!((first_status, again_status), (201, 200));
    assert_eq!(first, again);
}

#[tokio::test]
async fn every_kind_of_entity_is_made_once_and_found_by_its_key() {
    let shop = Shop::start(Lags::SHORT).await;
    let ShopClient { customer, order, billing, delivery, .. } = &shop.client;
    let ada = shop.registered("ada").await;
    assert_eq!(shop.registered("ada").await, ada);
    assert_eq!(customer.customer_by_key("ada").await.unwrap(), Some(ada));
    assert_eq!(customer.customer_by_key("bob").await.unwrap(), None);

    let id = shop.active_customer("bob").await;
    let draft = shop.prepared_order(&id).await;
    assert_eq!(shop.open_order(&id).await.unwrap(), draft);
    assert_eq!(order.order_by_key(&format!("order of {id}")).await.unwrap(), Some(draft));

    let account = shop.open_account(&id).await;
    assert_eq!(shop.account(&id).await.unwrap(), account);
    assert_eq!(billing.account_by_key(&format!("account of {id}")).await.unwrap(), Some(account));

    let address = shop.address(&id, "75011").await;
    assert_eq!(shop.address(&id, "75011").await, address);
    assert_eq!(delivery.address_by_key(&format!("{id} 75011")).await.unwrap(), Some(address));
}

#[tokio::test]
async fn a_line_with_the_same_key_is_added_once() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer_id = shop.active_customer("ada").await;
    let order = shop.prepared_order(&customer_id).await;
    let line = NewLine { sku: "mug".to_owned(), quantity: 2 };
    let again = shop.client.order.add_line(&order.order_id, "line 1", &line).await.unwrap();
    assert_eq!(again, order);
    assert_eq!(again.lines.len(), 1);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused_and_nothing_is_made() {
    let shop = Shop::start(Lags::SHORT).await;
    let new = NewCustomer { email: "ada@shop.test".into(), name: "Ada".into(), country: "FR".into() };
    let refusal = shop.client.customer.register(&"k".repeat(201), &new).await.unwrap_err();
    assert_eq!((refusal.status, refusal.code.as_str()), (400, "key_invalid"));
    assert!(shop.client.admin(ServiceName::Customer).counts().await.unwrap().are_zero());
}

#[tokio::test]
async fn deleting_twice_is_deleting_once() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer_id = shop.active_customer("ada").await;
    let address_id = shop.address(&customer_id, "75011").await.address_id;
    let account_id = shop.open_account(&customer_id).await.account_id;
    let order_id = shop.prepared_order(&customer_id).await.order_id;
    for _ in 0..2 {
        shop.client.order.delete_order(&order_id).await.unwrap();
        shop.client.billing.delete_account(&account_id).await.unwrap();
        shop.client.billing.delete_charge("chg_none").await.unwrap();
        shop.client.delivery.delete_address(&address_id).await.unwrap();
        shop.client.delivery.delete_shipment("shp_none").await.unwrap();
        shop.client.customer.delete_customer(&customer_id).await.unwrap();
    }
    assert!(shop.client.customer.customer(&customer_id).await.unwrap_err().is_not_found());
    assert!(shop.client.order.order(&order_id).await.unwrap_err().is_not_found());
}

//! The switches that break a service, and the drift that nobody hears of.

use std::time::Duration;

use shop::billing::AccountStatus;
use shop::customer::CustomerStatus;
use shop::fault::{Fault, FaultMode};
use shop::order::OrderStatus;
use shop::service::ServiceName;

use crate::shop::{Lags, Shop, conflict, reason, until, until_accepted};

#[tokio::test]
async fn a_service_that_is_down_answers_503_until_it_is_mended() {
    let shop = Shop::start(Lags::SHORT).await;
    let admin = shop.client.admin(ServiceName::Customer);
    let id = shop.registered("ada").await.customer_id;
    admin.set_fault(&Fault::new(FaultMode::Down)).await.unwrap();
    let down = (ServiceName::Customer, 503, "down".to_owned());
    assert_eq!(reason(shop.client.customer.customer(&id).await), down);
    assert_eq!(reason(admin.health().await), down);
    assert!(shop.client.customer.customer(&id).await.unwrap_err().is_temporary());
    admin.set_fault(&Fault::new(FaultMode::None)).await.unwrap();
    admin.health().await.unwrap();
    shop.client.customer.customer(&id).await.unwrap();
}

#[tokio::test]
async fn a_subscriber_that_was_down_hears_the_news_later() {
    let shop = Shop::start(Lags::SHORT).await;
    let order = shop.client.admin(ServiceName::Order);
    order.set_fault(&Fault::new(FaultMode::Down)).await.unwrap();
    let customer_id = shop.active_customer("ada").await;
    // Billing has the news, so order would have it too.
    until_accepted(|| shop.account(&customer_id)).await;
    assert_eq!(order.counts().await.unwrap().copies["known_customers"], 0);
    order.set_fault(&Fault::new(FaultMode::None)).await.unwrap();
    until_accepted(|| shop.open_order(&customer_id)).await;
}

#[tokio::test]
async fn a_rejecting_service_refuses_creates_of_one_collection_in_its_own_words() {
    let shop = Shop::start(Lags::SHORT).await;
    let billing = shop.client.admin(ServiceName::Billing);
    let ada = shop.active_customer("ada").await;
    let bob = shop.active_customer("bob").await;
    let account = shop.open_account(&ada).await;
    let order_id = shop.placed_order(&ada).await.order_id;
    let fault = Fault {
        code: Some("credit_check_failed".to_owned()),
        message: Some("the credit check says no".to_owned()),
        only: Some("accounts".to_owned()),
        ..Fault::new(FaultMode::Reject)
    };
    billing.set_fault(&fault).await.unwrap();
    let refusal = shop.account(&bob).await.unwrap_err();
    assert_eq!(refusal.message, "the credit check says no");
    assert_eq!(reason::<()>(Err(refusal)), conflict(ServiceName::Billing, "credit_check_failed"));
    // What exists is still served, and so are other collections.
    shop.client.billing.account(&account.account_id).await.unwrap();
    until_accepted(|| shop.client.order.pay(&order_id)).await;
}

#[tokio::test]
async fn a_slow_service_answers_late_and_at_once_when_it_is_mended() {
    let shop = Shop::start(Lags::SHORT).await;
    let admin = shop.client.admin(ServiceName::Customer);
    let id = shop.registered("ada").await.customer_id;
    let slow = Fault { delay_ms: 60_000, ..Fault::new(FaultMode::Slow) };
    admin.set_fault(&slow).await.unwrap();
    let mut asked = std::pin::pin!(shop.client.customer.customer(&id));
    let in_time = tokio::time::timeout(Duration::from_millis(200), &mut asked).await;
    assert!(in_time.is_err(), "it answered in spite of the delay");
    admin.set_fault(&Fault::new(FaultMode::None)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("it is set free").unwrap();
}

#[tokio::test]
async fn a_delay_beyond_the_limit_is_refused() {
    let shop = Shop::start(Lags::SHORT).await;
    let slow = Fault { delay_ms: 60_001, ..Fault::new(FaultMode::Slow) };
    let set = shop.client.admin(ServiceName::Order).set_fault(&slow).await;
    assert_eq!(reason(set), (ServiceName::Order, 422, "delay_too_long".to_owned()));
}

#[tokio::test]
async fn a_payment_fails_for_a_moment_while_billing_is_down() {
    let shop = Shop::start(Lags::SHORT).await;
    let billing = shop.client.admin(ServiceName::Billing);
    let customer_id = shop.active_customer("ada").await;
    shop.open_account(&customer_id).await;
    let order_id = shop.placed_order(&customer_id).await.order_id;
    billing.set_fault(&Fault::new(FaultMode::Down)).await.unwrap();
    let paid = shop.client.order.pay(&order_id).await;
    assert_eq!(reason(paid), (ServiceName::Order, 503, "billing_unavailable".to_owned()));
    billing.set_fault(&Fault::new(FaultMode::None)).await.unwrap();
    until_accepted(|| shop.client.order.pay(&order_id)).await;
}

#[tokio::test]
async fn every_service_drifts_behind_the_backs_of_the_others() {
    let shop = Shop::start(Lags::SHORT).await;
    let client = &shop.client;
    let customer_id = shop.active_customer("ada").await;
    let account_id = shop.open_account(&customer_id).await.account_id;
    let address_id = shop.address(&customer_id, "75011").await.address_id;
    let order_id = shop.placed_order(&customer_id).await.order_id;
    until(|| async {
        let heard = client.admin(ServiceName::Billing).counts().await.unwrap();
        (heard.copies["known_orders"] == 1).then_some(())
    })
    .await;

    client.admin(ServiceName::Customer).drift(&customer_id).await.unwrap();
    let suspended = client.customer.customer(&customer_id).await.unwrap();
    assert_eq!(suspended.status, CustomerStatus::Suspended);

    client.admin(ServiceName::Billing).drift(&account_id).await.unwrap();
    assert_eq!(client.billing.account(&account_id).await.unwrap().status, AccountStatus::Closed);
    until(|| async {
        let (_, _, code) = reason(client.order.pay(&order_id).await);
        (code == "account_closed").then_some(())
    })
    .await;

    client.admin(ServiceName::Delivery).drift(&address_id).await.unwrap();
    let address = client.delivery.address(&address_id).await.unwrap();
    assert_eq!((address.serviceable, address.slots.len()), (false, 0));

    client.admin(ServiceName::Order).drift(&order_id).await.unwrap();
    assert_eq!(client.order.order(&order_id).await.unwrap().status, OrderStatus::Cancelled);
    let unknown = client.admin(ServiceName::Order).drift("ord_none").await;
    assert!(unknown.unwrap_err().is_not_found());
}

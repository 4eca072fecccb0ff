//! From a new customer to a shipped order, in a hurry and with patience.

use shop::billing::{AccountStatus, MethodStatus, NewCharge};
use shop::delivery::{NewShipment, ShipmentStatus};
use shop::order::OrderStatus;
use shop::service::ServiceName;

use crate::shop::{Lags, NEVER_MS, Shop, conflict, reason, until, until_accepted};

#[tokio::test]
async fn a_hasty_script_is_refused_by_services_that_have_not_heard_of_the_customer() {
    let shop = Shop::start(Lags { customer_ms: NEVER_MS, ..Lags::SHORT }).await;
    let customer_id = shop.active_customer("ada").await;
    let unknown = |service| conflict(service, "customer_unknown");
    assert_eq!(reason(shop.open_order(&customer_id).await), unknown(ServiceName::Order));
    assert_eq!(reason(shop.account(&customer_id).await), unknown(ServiceName::Billing));
}

#[tokio::test]
async fn order_refuses_a_customer_that_is_known_and_not_active() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer_id = shop.registered("ada").await.customer_id;
    until(|| async {
        let (_, _, code) = reason(shop.open_order(&customer_id).await);
        (code == "customer_not_active").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hasty_payment_is_refused_by_billing_and_passed_on_by_order() {
    let shop = Shop::start(Lags { order_ms: NEVER_MS, ..Lags::SHORT }).await;
    let customer_id = shop.active_customer("ada").await;
    shop.open_account(&customer_id).await;
    let order_id = shop.placed_order(&customer_id).await.order_id;
    let paid = shop.client.order.pay(&order_id).await;
    assert_eq!(reason(paid), conflict(ServiceName::Order, "order_unknown"));
    assert_eq!(shop.client.order.order(&order_id).await.unwrap().status, OrderStatus::Placed);
}

#[tokio::test]
async fn nothing_is_charged_before_the_bank_has_verified_the_card() {
    let shop = Shop::start(Lags { verify_ms: NEVER_MS, ..Lags::SHORT }).await;
    let customer_id = shop.active_customer("ada").await;
    let account = shop.account_with_card(&customer_id).await;
    assert_eq!(account.status, AccountStatus::Pending);
    assert_eq!(account.payment_method.unwrap().status, MethodStatus::Pending);
    let order = shop.placed_order(&customer_id).await;
    let charge = NewCharge {
        order_id: order.order_id,
        account_id: Some(account.account_id),
        customer_id: None,
        amount_cents: order.total_cents.unwrap(),
    };
    until(|| async {
        let (_, _, code) = reason(shop.client.billing.charge("charge", &charge).await);
        (code == "payment_method_not_verified").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_not_paid_is_not_shipped() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer_id = shop.active_customer("ada").await;
    let new = NewShipment {
        order_id: shop.placed_order(&customer_id).await.order_id,
        address_id: shop.address(&customer_id, "75011").await.address_id,
        slot: "MORNING".to_owned(),
    };
    let shipped = shop.client.delivery.ship("ship", &new).await;
    assert_eq!(reason(shipped), conflict(ServiceName::Delivery, "order_not_paid"));
}

#[tokio::test]
async fn a_patient_script_gets_through_and_deleting_leaves_nothing_behind() {
    let shop = Shop::start(Lags::SHORT).await;
    let client = &shop.client;
    let customer_id = shop.active_customer("ada").await;
    let account = shop.open_account(&customer_id).await;
    assert_eq!((account.country.as_str(), account.currency.as_str()), ("FR", "EUR"));
    let address = shop.address(&customer_id, "75011").await;
    assert_eq!((address.zone.as_str(), address.serviceable), ("FR-75", true));

    let order = shop.placed_order(&customer_id).await;
    assert_eq!((order.currency.as_str(), order.total_cents), ("EUR", Some(2_400)));
    let paid = until_accepted(|| client.order.pay(&order.order_id)).await;
    assert_eq!(paid.status, OrderStatus::Paid);
    let new = NewShipment {
        order_id: order.order_id.clone(),
        address_id: address.address_id.clone(),
        slot: "EVENING".to_owned(),
    };
    let shipment = until_accepted(|| client.delivery.ship("ship", &new)).await;
    assert_eq!(shipment.status, ShipmentStatus::Scheduled);

    let billing = client.admin(ServiceName::Billing).counts().await.unwrap();
    assert_eq!((billing.own["accounts"], billing.own["charges"]), (1, 1));
    assert_eq!((billing.copies["known_customers"], billing.copies["known_orders"]), (1, 1));

    client.order.delete_order(&order.order_id).await.unwrap();
    client.delivery.delete_address(&address.address_id).await.unwrap();
    client.billing.delete_account(&account.account_id).await.unwrap();
    client.customer.delete_customer(&customer_id).await.unwrap();
    for service in ServiceName::ALL {
        until(|| async { client.admin(service).counts().await.unwrap().are_zero().then_some(()) }).await;
    }
}

#[tokio::test]
async fn paying_twice_charges_once() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer_id = shop.active_customer("ada").await;
    shop.open_account(&customer_id).await;
    let order_id = shop.placed_order(&customer_id).await.order_id;
    let first = until_accepted(|| shop.client.order.pay(&order_id)).await;
    assert_eq!(shop.client.order.pay(&order_id).await.unwrap(), first);
    let counts = shop.client.admin(ServiceName::Billing).counts().await.unwrap();
    assert_eq!(counts.own["charges"], 1);
}

#[tokio::test]
async fn an_order_is_paid_when_billing_says_so_even_if_it_was_charged_by_someone_else() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer_id = shop.active_customer("ada").await;
    shop.open_account(&customer_id).await;
    let order = shop.placed_order(&customer_id).await;
    let charge = NewCharge {
        order_id: order.order_id.clone(),
        account_id: None,
        customer_id: Some(customer_id),
        amount_cents: order.total_cents.unwrap(),
    };
    until_accepted(|| shop.client.billing.charge("by hand", &charge)).await;
    until(|| async {
        let status = shop.client.order.order(&order.order_id).await.unwrap().status;
        (status == OrderStatus::Paid).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_payment_whose_answer_was_lost_is_finished_by_paying_again() {
    let shop = Shop::start(Lags { billing_ms: NEVER_MS, ..Lags::SHORT }).await;
    let customer_id = shop.active_customer("ada").await;
    shop.open_account(&customer_id).await;
    let order = shop.placed_order(&customer_id).await;
    let charge = NewCharge {
        order_id: order.order_id.clone(),
        account_id: None,
        customer_id: Some(customer_id),
        amount_cents: order.total_cents.unwrap(),
    };
    // What order asked for before it lost the answer.
    let key = format!("pay-{}", order.order_id);
    until_accepted(|| shop.client.billing.charge(&key, &charge)).await;
    assert_eq!(shop.client.order.order(&order.order_id).await.unwrap().status, OrderStatus::Placed);
    assert_eq!(shop.client.order.pay(&order.order_id).await.unwrap().status, OrderStatus::Paid);
}

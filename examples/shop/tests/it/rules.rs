//! The rules of each service, by the code of the refusal.

use shop::billing::{AccountStatus, NewAccount, NewCharge, NewPaymentMethod};
use shop::customer::NewCustomer;
use shop::delivery::NewShipment;
use shop::order::{NewLine, OrderStatus};
use shop::service::ServiceName;

use crate::shop::{Lags, Shop, conflict, reason, until, until_accepted};

#[tokio::test]
async fn a_customer_is_verified_once_and_then_activated_once() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer = &shop.client.customer;
    let id = shop.registered("ada").await.customer_id;
    let refused = |code| conflict(ServiceName::Customer, code);
    assert_eq!(reason(customer.activate(&id).await), refused("customer_not_verified"));
    customer.verify(&id).await.unwrap();
    assert_eq!(reason(customer.verify(&id).await), refused("customer_not_registered"));
    customer.activate(&id).await.unwrap();
    assert_eq!(reason(customer.activate(&id).await), refused("customer_not_verified"));
}

#[tokio::test]
async fn those_who_may_buy_are_listed_by_country_page_by_page() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer = &shop.client.customer;
    let mut active = Vec::new();
    for name in ["ada", "boris", "dana"] {
        let id = shop.registered(name).await.customer_id;
        customer.verify(&id).await.unwrap();
        customer.activate(&id).await.unwrap();
        active.push(id);
    }
    shop.registered("emil").await;
    let listed = async |country: &str, after: &str| {
        let page = customer.active_in(country, after).await.unwrap();
        page.into_iter().map(|customer| customer.customer_id).collect::<Vec<_>>()
    };
    let country = customer.customer(&active[0]).await.unwrap().country;
    assert_eq!(listed(&country, "").await, active);
    assert_eq!(listed(&country, &active[0]).await, active[1..]);
    assert_eq!(listed("XX", "").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_customer_needs_a_name_an_address_of_their_own_and_a_country_of_ours() {
    let shop = Shop::start(Lags::SHORT).await;
    shop.registered("taken").await;
    for (email, name, country, status, code) in [
        ("taken@shop.test", "Ada", "FR", 409, "email_taken"),
        ("ada", "Ada", "FR", 422, "email_invalid"),
        ("@shop.test", "Ada", "FR", 422, "email_invalid"),
        ("ada@shop.test", " ", "FR", 422, "name_missing"),
        ("ada@shop.test", "Ada", "US", 422, "country_not_served"),
    ] {
        let new = NewCustomer { email: email.into(), name: name.into(), country: country.into() };
        let made = shop.client.customer.register("new", &new).await;
        assert_eq!(reason(made), (ServiceName::Customer, status, code.to_owned()), "{new:?}");
    }
    assert_eq!(shop.client.admin(ServiceName::Customer).counts().await.unwrap().own["customers"], 1);
}

#[tokio::test]
async fn the_currency_of_an_account_has_to_fit_its_country() {
    let shop = Shop::start(Lags::SHORT).await;
    let billing = &shop.client.billing;
    for (country, currency, fits) in [
        ("CZ", "CZK", true),
        ("CZ", "EUR", false),
        ("FR", "EUR", true),
        ("FR", "CZK", false),
        ("DE", "EUR", true),
        ("DE", "USD", false),
    ] {
        let name = format!("{country}-{currency}").to_lowercase();
        let customer_id = shop.registered(&name).await.customer_id;
        let new = NewAccount {
            customer_id,
            country: Some(country.to_owned()),
            currency: Some(currency.to_owned()),
        };
        let made = until(|| async {
            match billing.open_account(&name, &new).await {
                Err(refusal) if refusal.code == "customer_unknown" => None,
                made => Some(made),
            }
        })
        .await;
        if fits {
            assert_eq!(made.unwrap().currency, currency);
        } else {
            assert_eq!(reason(made), (ServiceName::Billing, 422, "currency_unfit".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_customer_has_one_account_until_it_is_closed() {
    let shop = Shop::start(Lags::SHORT).await;
    let billing = &shop.client.billing;
    let customer_id = shop.registered("ada").await.customer_id;
    let first = until_accepted(|| shop.account(&customer_id)).await;
    let new = NewAccount { customer_id, country: None, currency: None };
    let second = billing.open_account("second", &new).await;
    assert_eq!(reason(second), conflict(ServiceName::Billing, "account_exists"));
    billing.close_account(&first.account_id).await.unwrap();
    let card = NewPaymentMethod { kind: "card".to_owned() };
    let late = billing.add_payment_method(&first.account_id, &card).await;
    assert_eq!(reason(late), conflict(ServiceName::Billing, "account_closed"));
    billing.open_account("second", &new).await.unwrap();
    let beside_another = billing.reopen_account(&first.account_id).await;
    assert_eq!(reason(beside_another), conflict(ServiceName::Billing, "account_exists"));
}

#[tokio::test]
async fn a_closed_account_is_opened_again_as_it_was() {
    let shop = Shop::start(Lags::SHORT).await;
    let customer_id = shop.active_customer("ada").await;
    let open = shop.open_account(&customer_id).await;
    let billing = &shop.client.billing;
    assert_eq!(billing.reopen_account(&open.account_id).await.unwrap(), open, "it is not closed");
    shop.client.admin(ServiceName::Billing).drift(&open.account_id).await.unwrap();
    assert_eq!(billing.account(&open.account_id).await.unwrap().status, AccountStatus::Closed);
    assert_eq!(billing.reopen_account(&open.account_id).await.unwrap(), open);
    assert!(billing.reopen_account("acc_none").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn an_order_takes_its_steps_in_turn() {
    let shop = Shop::start(Lags::SHORT).await;
    let order = &shop.client.order;
    let customer_id = shop.active_customer("ada").await;
    let id = until_accepted(|| shop.open_order(&customer_id)).await.order_id;
    let refused = |code| conflict(ServiceName::Order, code);
    assert_eq!(reason(order.prepare(&id).await), refused("order_empty"));
    assert_eq!(reason(order.place(&id).await), refused("order_not_prepared"));
    assert_eq!(reason(order.pay(&id).await), refused("order_not_placed"));
    for (sku, quantity, code) in
        [("moon", 1, "sku_unknown"), ("mug", 0, "quantity_invalid"), ("mug", 100, "quantity_invalid")]
    {
        let line = NewLine { sku: sku.to_owned(), quantity };
        let added = order.add_line(&id, "bad", &line).await;
        assert_eq!(reason(added), (ServiceName::Order, 422, code.to_owned()));
    }
    let line = NewLine { sku: "shirt".to_owned(), quantity: 3 };
    order.add_line(&id, "good", &line).await.unwrap();
    let prepared = order.prepare(&id).await.unwrap();
    assert_eq!((prepared.status, prepared.total_cents), (OrderStatus::Prepared, Some(7_500)));
    assert_eq!(reason(order.add_line(&id, "late", &line).await), refused("order_not_draft"));
}

#[tokio::test]
async fn billing_charges_the_total_to_an_open_account_of_the_same_customer() {
    let shop = Shop::start(Lags::SHORT).await;
    let billing = &shop.client.billing;
    let ada = shop.active_customer("ada").await;
    let bob = shop.active_customer("bob").await;
    let order = shop.placed_order(&ada).await;
    let new = |account_id: Option<String>, customer_id: Option<String>, amount_cents| NewCharge {
        order_id: order.order_id.clone(),
        account_id,
        customer_id,
        amount_cents,
    };
    let charge = |new: NewCharge| async move {
        until(|| async {
            match billing.charge("charge", &new).await {
                Err(refusal) if ["order_unknown", "order_not_placed"].contains(&refusal.code.as_str()) => {
                    None
                }
                charged => Some(charged),
            }
        })
        .await
    };
    let refused = |code| conflict(ServiceName::Billing, code);
    assert_eq!(reason(charge(new(None, Some(ada.clone()), 2_400)).await), refused("account_missing"));
    let account = until_accepted(|| shop.account(&ada)).await;
    assert_eq!(reason(charge(new(None, Some(ada.clone()), 2_400)).await), refused("payment_method_missing"));
    shop.open_account(&ada).await;
    let other = shop.open_account(&bob).await.account_id;
    assert_eq!(reason(charge(new(Some(other), None, 2_400)).await), refused("account_of_other_customer"));
    assert_eq!(reason(charge(new(None, Some(ada.clone()), 1)).await), refused("amount_mismatch"));
    let unclear = (ServiceName::Billing, 422, "payer_unclear".to_owned());
    assert_eq!(reason(charge(new(None, None, 2_400)).await), unclear);
    let charged = charge(new(Some(account.account_id), None, 2_400)).await.unwrap();
    let again = billing.charge("another key", &new(None, Some(ada), 2_400)).await;
    assert_eq!(reason(again), refused("order_already_charged"));
    billing.delete_charge(&charged.charge_id).await.unwrap();
}

#[tokio::test]
async fn delivery_ships_once_to_a_serviceable_address_of_the_same_customer() {
    let shop = Shop::start(Lags::SHORT).await;
    let delivery = &shop.client.delivery;
    let ada = shop.active_customer("ada").await;
    let bob = shop.active_customer("bob").await;
    shop.open_account(&ada).await;
    let order_id = shop.placed_order(&ada).await.order_id;
    until_accepted(|| shop.client.order.pay(&order_id)).await;
    let ship = |address_id: String, slot: &str| {
        let new = NewShipment { order_id: order_id.clone(), address_id, slot: slot.to_owned() };
        async move {
            until(|| async {
                match delivery.ship("ship", &new).await {
                    Err(refusal) if refusal.code == "order_not_paid" => None,
                    shipped => Some(shipped),
                }
            })
            .await
        }
    };
    let refused = |code| conflict(ServiceName::Delivery, code);
    let island = shop.address(&ada, "20000").await.address_id;
    let home = shop.address(&ada, "13001").await.address_id;
    let elsewhere = shop.address(&bob, "13001").await.address_id;
    assert_eq!(reason(ship("adr_none".into(), "MORNING").await), refused("address_unknown"));
    assert_eq!(reason(ship(elsewhere, "MORNING").await), refused("address_of_other_customer"));
    assert_eq!(reason(ship(island, "MORNING").await), refused("address_not_serviceable"));
    assert_eq!(reason(ship(home.clone(), "EVENING").await), refused("slot_not_offered"));
    ship(home.clone(), "MORNING").await.unwrap();
    let new = NewShipment { order_id: order_id.clone(), address_id: home, slot: "MORNING".to_owned() };
    let again = delivery.ship("another key", &new).await;
    assert_eq!(reason(again), refused("order_already_shipped"));
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_code_and_a_sentence() {
    let shop = Shop::start(Lags::SHORT).await;
    let http = shop::client::http_client().unwrap();
    let customers = format!("{}/customers", shop.urls.customer);
    let json =
        |body: &str| http.post(&customers).header("content-type", "application/json").body(body.to_owned());
    for (request, status, code) in [
        (json("{"), 400, "body_invalid"),
        (json("{\"email\":\"a@b.c\"}"), 422, "body_invalid"),
        (json("{\"email\":\"a@b.c\",\"name\":\"A\",\"country\":\"FR\",\"age\":1}"), 422, "body_invalid"),
        (http.post(&customers).body("hello"), 415, "body_invalid"),
        (http.get(&customers), 400, "query_invalid"),
        (http.get(format!("{customers}?size=1")), 400, "query_invalid"),
        (http.get(format!("{customers}/cus_none")), 404, "customer_not_found"),
        (http.put(&customers), 405, "method_not_allowed"),
        (http.get(format!("{}/nothing", shop.urls.customer)), 404, "route_unknown"),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{code}");
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["code"], code, "{body}");
        assert!(body["message"].as_str().unwrap().contains(' '), "{body}");
    }
}

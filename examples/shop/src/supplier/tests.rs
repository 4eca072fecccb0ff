//! Tests of the suppliers against the real services: what each does with a key, however often it is called.

use std::time::Duration;

use tempfile::TempDir;

use super::billing::PaymentAccount;
use super::customer::ActiveCustomer;
use super::delivery::{self, ServiceableAddress};
use super::order::{PaidOrder, PreparedInput, PreparedOrder};
use super::progress::Pause;
use super::{Country, Team, of};
use crate::billing::AccountStatus;
use crate::client::{ShopClient, ShopUrls};
use crate::customer::{CustomerStatus, NewCustomer};
use crate::fault::{Fault, FaultMode};
use crate::order::OrderStatus;
use crate::service::{Options, Peers, Running, ServiceName, start};

struct Shop {
    client: ShopClient,
    _running: Vec<Running>,
    _data: TempDir,
}

impl Shop {
    /// Services whose news is late enough to be waited for, and soon there.
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut running = Vec::new();
        for name in ServiceName::ALL {
            let (listen, data) = ("127.0.0.1:0".parse().unwrap(), data.path().to_path_buf());
            let peers = Peers::default();
            running
                .push(start(Options { name, listen, data, lag_ms: 50, verify_ms: 50, peers }).await.unwrap());
        }
        let url = |index: usize| running[index].url().to_owned();
        let urls = ShopUrls { customer: url(0), order: url(1), billing: url(2), delivery: url(3) };
        let client = ShopClient::new(urls).unwrap();
        client.introduce().await.unwrap();
        Self { client, _running: running, _data: data }
    }

    async fn customer(&self, key: &str) -> String {
        let supplier = ActiveCustomer(self.client.customer.clone());
        supplier.activate(key, &new_customer(key)).await.unwrap().customer_id
    }

    async fn prepared_order(&self, key: &str, customer_id: &str) -> String {
        let supplier = PreparedOrder(self.client.order.clone());
        let (order, _) = until_made(async || supplier.prepare(key, prepared_input(customer_id)).await).await;
        order.order_id
    }

    fn paid(&self) -> PaidOrder {
        PaidOrder { service: self.client.order.clone(), receipts: self.client.billing.clone() }
    }

    async fn until_empty(&self) {
        let ask = async || {
            for service in ServiceName::ALL {
                if !self.client.admin(service).counts().await.unwrap().are_zero() {
                    return Err(Pause::Unfinished(service.to_string()));
                }
            }
            Ok(())
        };
        until_made(ask).await;
    }
}

fn new_customer(key: &str) -> NewCustomer {
    NewCustomer { email: format!("{key}@shop.test"), name: "Ada Test".to_owned(), country: "FR".to_owned() }
}

fn prepared_input(customer_id: &str) -> PreparedInput {
    PreparedInput { customer_id: customer_id.to_owned(), lines: 3 }
}

/// Calls until it is made, as Sixpack does after `again`; answers also why it was not there at once.
async fn until_made<T>(make: impl AsyncFn() -> Result<T, Pause>) -> (T, Vec<String>) {
    let calling = async {
        let mut reasons = Vec::new();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            let reason = match make().await {
                Ok(made) => return (made, reasons),
                Err(Pause::Unfinished(message)) => message,
                Err(Pause::Refused(refusal)) if refusal.status == 409 => refusal.code,
                Err(Pause::Refused(refusal)) => panic!("{refusal}"),
            };
            if reasons.last() != Some(&reason) {
                reasons.push(reason);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), calling).await.expect("it is made within 30 seconds")
}

#[tokio::test]
async fn a_customer_that_an_earlier_attempt_left_half_made_becomes_active() {
    let shop = Shop::start().await;
    let registered = shop.client.customer.register("k", &new_customer("k")).await.unwrap();
    let supplier = ActiveCustomer(shop.client.customer.clone());
    for attempt in 1..=2 {
        let customer = supplier.activate("k", &new_customer("k")).await.unwrap();
        assert_eq!(customer.customer_id, registered.customer_id, "attempt {attempt}");
        assert_eq!(customer.status, CustomerStatus::Active, "attempt {attempt}");
    }
}

#[tokio::test]
async fn an_account_is_open_when_the_news_of_the_customer_and_the_bank_have_come() {
    let shop = Shop::start().await;
    let customer_id = shop.customer("k").await;
    let supplier = PaymentAccount(shop.client.billing.clone());
    let (account, _) = until_made(async || supplier.open("k", customer_id.clone()).await).await;
    assert_eq!(account.status, AccountStatus::Open);

    let (again, reasons) = until_made(async || supplier.open("k", customer_id.clone()).await).await;
    assert_eq!((again.account_id, reasons), (account.account_id, vec![]));
    let Err(Pause::Refused(refusal)) = supplier.open("other", "cus_of_nobody".to_owned()).await else {
        panic!("billing has not heard of this customer");
    };
    assert_eq!(refusal.code, "customer_unknown");
}

#[tokio::test]
async fn an_order_has_as_many_lines_as_were_asked_for_whatever_came_in_between() {
    let shop = Shop::start().await;
    let customer_id = shop.customer("k").await;
    let order_id = shop.prepared_order("k", &customer_id).await;
    let supplier = PreparedOrder(shop.client.order.clone());
    let order = supplier.prepare("k", prepared_input(&customer_id)).await.unwrap();
    assert_eq!((order.order_id, order.status, order.lines.len()), (order_id, OrderStatus::Prepared, 3));
}

#[tokio::test]
async fn an_order_is_paid_once_however_often_it_is_asked_for() {
    let shop = Shop::start().await;
    let customer_id = shop.customer("k").await;
    let accounts = PaymentAccount(shop.client.billing.clone());
    until_made(async || accounts.open("k", customer_id.clone()).await).await;
    let order_id = shop.prepared_order("k", &customer_id).await;

    let (first, _) = until_made(async || shop.paid().pay(&order_id).await).await;
    let (second, reasons) = until_made(async || shop.paid().pay(&order_id).await).await;
    assert_eq!((first.charge_id, reasons), (second.charge_id, vec![]));
    assert_eq!(shop.client.order.order(&order_id).await.unwrap().status, OrderStatus::Paid);
}

#[tokio::test]
async fn what_a_key_has_made_is_undone_without_knowing_what_it_was() {
    let shop = Shop::start().await;
    let customer_id = shop.customer("k").await;
    let customers = ActiveCustomer(shop.client.customer.clone());
    let accounts = PaymentAccount(shop.client.billing.clone());
    let addresses = ServiceableAddress(shop.client.delivery.clone());
    let orders = PreparedOrder(shop.client.order.clone());
    until_made(async || accounts.open("k", customer_id.clone()).await).await;
    let place = delivery::Input { customer_id: customer_id.clone(), country: Country::Cz };
    addresses.note("k", place, 7).await.unwrap();
    shop.prepared_order("k", &customer_id).await;

    for time in 1..=2 {
        orders.delete("k", None).await.unwrap_or_else(|refusal| panic!("time {time}: {refusal}"));
        addresses.forget("k", None).await.unwrap_or_else(|refusal| panic!("time {time}: {refusal}"));
        accounts.remove("k", None).await.unwrap_or_else(|refusal| panic!("time {time}: {refusal}"));
        customers.forget("k", None).await.unwrap_or_else(|refusal| panic!("time {time}: {refusal}"));
    }
    shop.until_empty().await;
}

#[tokio::test]
async fn an_order_that_only_needs_a_customer_that_never_comes_is_refused_by_its_own_code() {
    let shop = Shop::start().await;
    let supplier = PreparedOrder(shop.client.order.clone());
    let Err(Pause::Refused(refusal)) = supplier.prepare("k", prepared_input("cus_of_nobody")).await else {
        panic!("order has not heard of this customer");
    };
    assert_eq!((refusal.service, refusal.code.as_str()), (ServiceName::Order, "customer_unknown"));
}

/// Whatever a supplier asks of a service that is down is answered so that another attempt follows: no rule stands against
/// the input.
#[tokio::test]
async fn a_service_that_is_down_rejects_nothing() {
    let shop = Shop::start().await;
    let customer_id = shop.customer("k").await;
    let accounts = PaymentAccount(shop.client.billing.clone());
    until_made(async || accounts.open("k", customer_id.clone()).await).await;
    let order_id = shop.prepared_order("k", &customer_id).await;
    let place = || delivery::Input { customer_id: customer_id.clone(), country: Country::Fr };
    for service in ServiceName::ALL {
        shop.client.admin(service).set_fault(&Fault::new(FaultMode::Down)).await.unwrap();
    }
    let customers = ActiveCustomer(shop.client.customer.clone());
    let orders = PreparedOrder(shop.client.order.clone());
    let addresses = ServiceableAddress(shop.client.delivery.clone());
    for (what, made) in [
        ("customer", customers.activate("other", &new_customer("other")).await.err()),
        ("account", accounts.open("other", customer_id.clone()).await.err()),
        ("address", addresses.note("other", place(), 7).await.err()),
        ("order", orders.prepare("other", prepared_input(&customer_id)).await.err()),
        ("payment", shop.paid().pay(&order_id).await.err()),
    ] {
        let Some(Pause::Refused(refusal)) = made else { panic!("{what} was made") };
        assert!(refusal.is_temporary(), "{what}: {refusal}");
    }
    for (what, refused) in [
        ("customer", customers.forget("k", None).await.err()),
        ("account", accounts.remove("k", None).await.err()),
        ("address", addresses.forget("k", None).await.err()),
        ("order", orders.delete("k", Some(order_id.clone())).await.err()),
        ("check", shop.client.order.order(&order_id).await.err()),
        ("find", shop.client.customer.active_in("FR", "").await.err()),
    ] {
        let refusal = refused.unwrap_or_else(|| panic!("{what} was answered"));
        assert!(refusal.is_temporary(), "{what}: {refusal}");
    }
    shop.client.admin(ServiceName::Order).set_fault(&Fault::new(FaultMode::None)).await.unwrap();
    let Err(Pause::Refused(refusal)) = shop.paid().pay(&order_id).await else { panic!("billing is down") };
    assert!(refusal.is_temporary(), "what order hears of billing is no rule either: {refusal}");
}

#[tokio::test]
async fn every_address_that_is_chosen_is_serviceable() {
    let shop = Shop::start().await;
    let supplier = ServiceableAddress(shop.client.delivery.clone());
    for country in [Country::Cz, Country::Fr, Country::De] {
        for seed in 0..6 {
            let input = delivery::Input { customer_id: "cus_1".to_owned(), country };
            let address = supplier.note(&format!("{country:?} {seed}"), input, seed).await.unwrap();
            assert!(address.serviceable && !address.slots.is_empty(), "{address:?}");
        }
    }
}

#[tokio::test]
async fn every_team_has_a_supplier_that_can_start() {
    let service_url = || "http://127.0.0.1:9".to_owned();
    for team in [
        Team::Customer { service_url: service_url() },
        Team::Order { service_url: service_url(), billing_url: service_url() },
        Team::Billing { service_url: service_url() },
        Team::Delivery { service_url: service_url() },
        Team::Qa,
    ] {
        let supplier = of(team.clone()).unwrap().url("http://127.0.0.1:9").token("sxp_x");
        let running = supplier.start().unwrap_or_else(|error| panic!("{team:?}: {error}"));
        running.drain().await.unwrap_or_else(|error| panic!("{team:?}: {error}"));
    }
}

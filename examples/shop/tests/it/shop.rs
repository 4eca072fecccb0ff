//! A whole shop in this process, and what a script does with it.

use std::future::Future;
use std::time::Duration;

use shop::billing::{Account, AccountStatus, NewAccount, NewPaymentMethod};
use shop::client::{Refusal, ShopClient, ShopUrls};
use shop::customer::{Customer, NewCustomer};
use shop::delivery::{Address, NewAddress};
use shop::order::{NewLine, NewOrder, Order};
use shop::service::{self, Options, Peers, Running, ServiceName};
use tempfile::TempDir;

/// Longer than any test runs.
pub(crate) const NEVER_MS: u64 = 3_600_000;

/// How late the news of each service is, and how slow the bank.
#[derive(Clone, Copy)]
pub(crate) struct Lags {
    pub(crate) customer_ms: u64,
    pub(crate) order_ms: u64,
    pub(crate) billing_ms: u64,
    pub(crate) verify_ms: u64,
}

impl Lags {
    /// Late enough to be a lag, and soon over.
    pub(crate) const SHORT: Self = Self { customer_ms: 20, order_ms: 20, billing_ms: 20, verify_ms: 50 };
}

pub(crate) struct Shop {
    pub(crate) client: ShopClient,
    pub(crate) urls: ShopUrls,
    _running: Vec<Running>,
    _data: TempDir,
}

impl Shop {
    pub(crate) async fn start(lags: Lags) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut running = Vec::new();
        for name in ServiceName::ALL {
            let lag_ms = match name {
                ServiceName::Customer => lags.customer_ms,
                ServiceName::Order => lags.order_ms,
                ServiceName::Billing => lags.billing_ms,
                ServiceName::Delivery => 0,
            };
            let options =
                Options { lag_ms, verify_ms: lags.verify_ms, ..options(name, data.path().to_path_buf()) };
            running.push(service::start(options).await.unwrap());
        }
        let url = |index: usize| running[index].url().to_owned();
        let urls = ShopUrls { customer: url(0), order: url(1), billing: url(2), delivery: url(3) };
        let client = ShopClient::new(urls.clone()).unwrap();
        client.introduce().await.unwrap();
        Self { client, urls, _running: running, _data: data }
    }

    pub(crate) async fn registered(&self, name: &str) -> Customer {
        let new = NewCustomer {
            email: format!("{name}@shop.test"),
            name: name.to_owned(),
            country: "FR".to_owned(),
        };
        self.client.customer.register(name, &new).await.unwrap()
    }

    pub(crate) async fn active_customer(&self, name: &str) -> String {
        let id = self.registered(name).await.customer_id;
        self.client.customer.verify(&id).await.unwrap();
        self.client.customer.activate(&id).await.unwrap();
        id
    }

    pub(crate) async fn open_order(&self, customer_id: &str) -> Result<Order, Refusal> {
        let new = NewOrder { customer_id: customer_id.to_owned() };
        self.client.order.open(&format!("order of {customer_id}"), &new).await
    }

    /// Waits until order knows the customer.
    pub(crate) async fn prepared_order(&self, customer_id: &str) -> Order {
        let id = until_accepted(|| self.open_order(customer_id)).await.order_id;
        let line = NewLine { sku: "mug".to_owned(), quantity: 2 };
        self.client.order.add_line(&id, "line 1", &line).await.unwrap();
        self.client.order.prepare(&id).await.unwrap()
    }

    pub(crate) async fn placed_order(&self, customer_id: &str) -> Order {
        let id = self.prepared_order(customer_id).await.order_id;
        self.client.order.place(&id).await.unwrap()
    }

    pub(crate) async fn account(&self, customer_id: &str) -> Result<Account, Refusal> {
        let new = NewAccount { customer_id: customer_id.to_owned(), country: None, currency: None };
        self.client.billing.open_account(&format!("account of {customer_id}"), &new).await
    }

    /// Waits until billing knows the customer; the bank may not have answered yet.
    pub(crate) async fn account_with_card(&self, customer_id: &str) -> Account {
        let id = until_accepted(|| self.account(customer_id)).await.account_id;
        let card = NewPaymentMethod { kind: "card".to_owned() };
        self.client.billing.add_payment_method(&id, &card).await.unwrap()
    }

    pub(crate) async fn open_account(&self, customer_id: &str) -> Account {
        let id = self.account_with_card(customer_id).await.account_id;
        until(|| async {
            let account = self.client.billing.account(&id).await.unwrap();
            (account.status == AccountStatus::Open).then_some(account)
        })
        .await
    }

    pub(crate) async fn address(&self, customer_id: &str, postcode: &str) -> Address {
        let new = NewAddress {
            customer_id: customer_id.to_owned(),
            country: "FR".to_owned(),
            city: "Ville".to_owned(),
            postcode: postcode.to_owned(),
            street: "rue du Bac 1".to_owned(),
        };
        self.client.delivery.add_address(&format!("{customer_id} {postcode}"), &new).await.unwrap()
    }
}

pub(crate) fn options(name: ServiceName, data: std::path::PathBuf) -> Options {
    let listen = "127.0.0.1:0".parse().unwrap();
    Options { name, listen, data, lag_ms: 0, verify_ms: 0, peers: Peers::default() }
}

/// Asks until there is something, or the test has waited long enough to be sure there never will be.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            if let Some(found) = ask().await {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking).await.expect("it happens within 30 seconds")
}

/// Asks until the services have heard enough of each other to agree.
pub(crate) async fn until_accepted<T, F: Future<Output = Result<T, Refusal>>>(
    mut ask: impl FnMut() -> F,
) -> T {
    until(|| {
        let asked = ask();
        async {
            match asked.await {
                Ok(accepted) => Some(accepted),
                Err(refusal) => {
                    assert_eq!(refusal.status, 409, "{refusal}");
                    None
                }
            }
        }
    })
    .await
}

/// Who refused, with which status and code.
pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (ServiceName, u16, String) {
    let refusal = result.expect_err("it is refused");
    assert!(refusal.message.contains(' '), "a refusal says a sentence: {refusal:?}");
    (refusal.service, refusal.status, refusal.code)
}

/// A refusal by a rule.
pub(crate) fn conflict(service: ServiceName, code: &str) -> (ServiceName, u16, String) {
    (service, 409, code.to_owned())
}

//! A typed client of the four services, for suppliers, for a checkout, and for whoever switches faults.

mod billing;
mod customer;
mod delivery;
mod order;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::billing::BillingClient;
pub use self::customer::CustomerClient;
pub use self::delivery::DeliveryClient;
pub use self::order::OrderClient;
use crate::fault::Fault;
use crate::http::WireDenial;
use crate::service::{Counts, Peers, ServiceName};

/// On loopback a connection comes at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A little more than the longest delay that a service can be switched to.
const CALL_TIMEOUT: Duration = Duration::from_secs(70);
/// What stands for the status of a service that gave none.
const NO_ANSWER: u16 = 0;

/// A service did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{service} refused with {status} {code}: {message}")]
pub struct Refusal {
    /// Who.
    pub service: ServiceName,
    /// The HTTP status; 0 when there was no answer at all.
    pub status: u16,
    /// Stable; `unreachable` when there was no answer, `answer_invalid` when it could not be understood.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

impl Refusal {
    /// Whether the service may do the same another time without anything else being done first: it was down,
    /// could not be reached, or failed. A 409 may pass as well, when news arrives; only its code can tell.
    pub fn is_temporary(&self) -> bool {
        self.status == NO_ANSWER || self.status >= 500
    }

    /// Whether the entity in question does not exist (any more).
    pub fn is_not_found(&self) -> bool {
        self.status == 404
    }
}

/// Where the four services are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopUrls {
    /// Of customer.
    pub customer: String,
    /// Of order.
    pub order: String,
    /// Of billing.
    pub billing: String,
    /// Of delivery.
    pub delivery: String,
}

/// Calls all four services.
#[derive(Debug, Clone)]
pub struct ShopClient {
    /// Who the customers are.
    pub customer: CustomerClient,
    /// What they want.
    pub order: OrderClient,
    /// How they pay.
    pub billing: BillingClient,
    /// Where it goes.
    pub delivery: DeliveryClient,
    urls: ShopUrls,
    http: reqwest::Client,
}

impl ShopClient {
    /// Connects to nothing yet.
    pub fn new(urls: ShopUrls) -> reqwest::Result<Self> {
        let http = http_client()?;
        Ok(Self {
            customer: CustomerClient::new(http.clone(), &urls.customer),
            order: OrderClient::new(http.clone(), &urls.order),
            billing: BillingClient::new(http.clone(), &urls.billing),
            delivery: DeliveryClient::new(http.clone(), &urls.delivery),
            urls,
            http,
        })
    }

    /// The back door of one service.
    pub fn admin(&self, service: ServiceName) -> AdminClient {
        AdminClient::new(self.http.clone(), service, self.url(service))
    }

    /// Tells every service where those are that it has to do with.
    pub async fn introduce(&self) -> Result<(), Refusal> {
        for service in ServiceName::ALL {
            let (billing, subscribers): (_, &[ServiceName]) = match service {
                ServiceName::Customer => (None, &[ServiceName::Order, ServiceName::Billing]),
                ServiceName::Order => {
                    (Some(self.urls.billing.clone()), &[ServiceName::Billing, ServiceName::Delivery])
                }
                ServiceName::Billing => (None, &[ServiceName::Order]),
                ServiceName::Delivery => (None, &[]),
            };
            let subscribers = subscribers.iter().map(|subscriber| self.url(*subscriber).to_owned()).collect();
            self.admin(service).set_peers(&Peers { billing, subscribers }).await?;
        }
        Ok(())
    }

    fn url(&self, service: ServiceName) -> &str {
        match service {
            ServiceName::Customer => &self.urls.customer,
            ServiceName::Order => &self.urls.order,
            ServiceName::Billing => &self.urls.billing,
            ServiceName::Delivery => &self.urls.delivery,
        }
    }
}

/// Calls the back door that every service has.
#[derive(Debug, Clone)]
pub struct AdminClient(Caller);

impl AdminClient {
    /// Connects to nothing yet.
    pub fn new(http: reqwest::Client, service: ServiceName, url: &str) -> Self {
        Self(Caller::new(http, service, url))
    }

    /// Whether the service answers. One that is switched to `down` does not.
    pub async fn health(&self) -> Result<(), Refusal> {
        self.0.send(Method::GET, "health", None, None::<&()>).await.map(drop)
    }

    /// Tells the service where the others are.
    pub async fn set_peers(&self, peers: &Peers) -> Result<(), Refusal> {
        self.0.send(Method::PUT, "admin/peers", None, Some(peers)).await.map(drop)
    }

    /// Breaks the service, or mends it.
    pub async fn set_fault(&self, fault: &Fault) -> Result<(), Refusal> {
        self.0.send(Method::PUT, "admin/fault", None, Some(fault)).await.map(drop)
    }

    /// Changes an entity behind everyone's back: suspends the customer, cancels the order, closes the account, or
    /// stops serving the address, whichever this service has.
    pub async fn drift(&self, id: &str) -> Result<(), Refusal> {
        let field = match self.0.service {
            ServiceName::Customer => "customer_id",
            ServiceName::Order => "order_id",
            ServiceName::Billing => "account_id",
            ServiceName::Delivery => "address_id",
        };
        let body = serde_json::json!({ field: id });
        self.0.send(Method::POST, "admin/drift", None, Some(&body)).await.map(drop)
    }

    /// How many rows there are.
    pub async fn counts(&self) -> Result<Counts, Refusal> {
        self.0.get("admin/counts").await
    }
}

/// The HTTP client of services and suppliers. Everything is plain HTTP on the local machine, so no certificate is
/// trusted and no proxy asked.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    // Someone else in this process may have chosen a provider already; any will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .build()
}

/// Calls one service.
#[derive(Debug, Clone)]
struct Caller {
    http: reqwest::Client,
    service: ServiceName,
    url: Arc<str>,
}

impl Caller {
    fn new(http: reqwest::Client, service: ServiceName, url: &str) -> Self {
        Self { http, service, url: url.trim_end_matches('/').into() }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        self.answer(self.send(Method::GET, path, None, None::<&()>).await?).await
    }

    /// What a key has made, if it still exists.
    async fn find_by_key<T: DeserializeOwned>(
        &self,
        collection: &str,
        key: &str,
    ) -> Result<Option<T>, Refusal> {
        let asked = self.http.get(format!("{}/{collection}", self.url)).query(&[("key", key)]);
        let found: Vec<T> = self.answer(self.check(asked.send().await).await?).await?;
        Ok(found.into_iter().next())
    }

    async fn create<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, Refusal> {
        self.answer(self.send(Method::POST, path, Some(key), Some(body)).await?).await
    }

    /// A step of an entity's life, with or without a body.
    async fn step<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Refusal> {
        self.answer(self.send(Method::POST, path, None, body).await?).await
    }

    /// Deleting what is not there is fine.
    async fn delete(&self, path: &str) -> Result<(), Refusal> {
        self.send(Method::DELETE, path, None, None::<&()>).await.map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&impl Serialize>,
    ) -> Result<reqwest::Response, Refusal> {
        let mut request = self.http.request(method, format!("{}/{path}", self.url));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.check(request.send().await).await
    }

    async fn check(&self, sent: reqwest::Result<reqwest::Response>) -> Result<reqwest::Response, Refusal> {
        let response = sent.map_err(|error| {
            let message = format!("{} does not answer at {}: {error}", self.service, self.url);
            self.refusal(NO_ANSWER, "unreachable", message)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let denial: WireDenial = response.json().await.map_err(|error| {
            let message = format!("{} gave no reason that can be read: {error}", self.service);
            self.refusal(status.as_u16(), "answer_invalid", message)
        })?;
        Err(self.refusal(status.as_u16(), &denial.code, denial.message))
    }

    async fn answer<T: DeserializeOwned>(&self, response: reqwest::Response) -> Result<T, Refusal> {
        let status = response.status().as_u16();
        response.json().await.map_err(|error| {
            let message = format!("the answer of {} cannot be understood: {error}", self.service);
            self.refusal(status, "answer_invalid", message)
        })
    }

    fn refusal(&self, status: u16, code: &str, message: String) -> Refusal {
        Refusal { service: self.service, status, code: code.to_owned(), message }
    }
}

//! One request from its first call to its leases.

use std::time::Duration;

use serde_json::Value;

use super::{Client, Lease};
use crate::Error;
use crate::clock::Moment;
use crate::error::RequestFailed;
use crate::wire::{
    Item, LeaseTerms, NewRequest, Outcome, Priority, Release, Request, RequestStatus, Require, Source,
};

/// How long one call waits for news. Short enough for proxies that close silent connections after a minute.
const WAIT_S: u64 = 30;
/// How long after its deadline a request may go on answering that it has not ended, before we give up on the server.
const GRACE: Duration = Duration::from_secs(60);
/// The server's default deadline of a request.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// Sees every new revision of a request.
type Seen = Box<dyn FnMut(&Request) + Send>;

/// A request being put together; [`send`](Self::send) makes it.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    client: Client,
    body: NewRequest,
    key: Option<String>,
    on_progress: Option<Seen>,
}

impl RequestBuilder {
    pub(super) fn of_contract(client: Client, contract: String) -> Self {
        Self::of(client, NewRequest { contract: Some(contract), ..NewRequest::default() })
    }

    pub(super) fn of_items(client: Client, items: Vec<Item>) -> Self {
        Self::of(client, NewRequest { items, ..NewRequest::default() })
    }

    /// The channel is that of the dataset, whatever the client's is.
    pub(super) fn of_rerun(client: Client, dataset: String) -> Self {
        let body = NewRequest { rerun_of: Some(dataset), ..NewRequest::default() };
        Self { client, body, key: None, on_progress: None }
    }

    fn of(client: Client, body: NewRequest) -> Self {
        let body = NewRequest { channel: client.channel.clone(), ..body };
        Self { client, body, key: None, on_progress: None }
    }

    /// Input of the contract; what is left out takes its default.
    pub fn input(mut self, input: Value) -> Self {
        self.body.input = Some(input);
        self
    }

    /// Environment (`default` otherwise).
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.body.environment = Some(environment.into());
        self
    }

    /// How many datasets, all or nothing; with more than one end by [`send_all`](Self::send_all).
    pub fn count(mut self, count: u32) -> Self {
        self.body.count = Some(count);
        self
    }

    /// Who uses the data, for people who look at a list of leases (at most 200 bytes).
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.body.holder = Some(holder.into());
        self
    }

    /// Length of the leases in whole seconds (30 minutes otherwise). A [`Lease`] renews itself, so this is how long the
    /// data stays taken after your process dies.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.body.lease = Some(LeaseTerms::new(whole_seconds(ttl)));
        self
    }

    /// Total deadline of the request in whole seconds (5 minutes otherwise).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.body.timeout_s = Some(whole_seconds(timeout));
        self
    }

    /// Stock or fresh (stock first otherwise).
    ///
    /// With [`Source::StockOnly`] nothing is made: what is not there is refused at once, and what has to be asked about first and cannot be
    /// handed over fails with the same code.
    ///
    /// ```
    /// # mod landscape { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/landscape.rs")); }
    /// # landscape::consume(async |client| {
    /// use sixpack::Source;
    ///
    /// match client.request("checkout/ready-customer").source(Source::StockOnly).send().await {
    ///     Ok(lease) => println!("testing with {}", lease.json()["customer_id"]),
    ///     Err(error) if error.is_out_of_stock() => println!("skipped: {error}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(()) });
    /// ```
    pub fn source(mut self, source: Source) -> Self {
        self.body.source = Some(source);
        self
    }

    /// Ranks what is in stock by properties that the input leaves open: what has most of them comes first, and nothing is excluded.
    /// For one contract only, not in a channel, and not with [`Source::Fresh`].
    pub fn prefer(mut self, prefer: Value) -> Self {
        self.body.prefer = Some(prefer);
        self
    }

    /// Chooses from stock by what the output marks `x-selectable`: for each property a scalar, or a list of scalars of
    /// which any will do. What does not meet them is never made: without a match the request is refused as
    /// [out of stock](Error::is_out_of_stock). For one contract only, not in a channel, and not with [`Source::Fresh`].
    ///
    /// ```
    /// # mod landscape { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/landscape.rs")); }
    /// # landscape::consume(async |client| {
    /// use serde_json::json;
    ///
    /// let request = client.request("checkout/ready-customer").input(json!({ "country": "FR" }));
    /// let lease = request.prefer(json!({ "lines": 3 })).select(json!({ "slot": ["MORNING", "EVENING"] })).send().await?;
    /// assert_eq!(lease.json()["slot"], "MORNING");
    /// # Ok(()) });
    /// ```
    pub fn select(mut self, select: Value) -> Self {
        self.body.select = Some(select);
        self
    }

    /// Takes nothing from stock whose evidence is stale: while a service cannot be asked, the request waits, at most until its
    /// deadline.
    pub fn require_fresh(mut self) -> Self {
        self.body.require = Some(Require::Fresh);
        self
    }

    /// Person or pipeline (pipeline otherwise).
    pub fn priority(mut self, priority: Priority) -> Self {
        self.body.priority = Some(priority);
        self
    }

    /// A channel of suppliers under development (that of the client otherwise): what they offer takes the place of what is
    /// deployed, and everything else runs on the deployed suppliers.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.body.channel = Some(channel.into());
        self
    }

    /// A key under which a rerun of this program finds the same request again (a random one otherwise).
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Calls `seen` with every new revision of the request, the last one included.
    pub fn on_progress(mut self, seen: impl FnMut(&Request) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(seen));
        self
    }

    /// Makes the request and waits for its lease.
    ///
    /// Connection errors and a busy server are retried with the same key, so it happens once. Dropping the future
    /// cancels the request in the background.
    ///
    /// # Errors
    /// [`Error::Failed`] names the capability, its owner and the reason; [`Error::Problem`] is a refusal.
    pub async fn send(self) -> Result<Lease, Error> {
        if self.body.count.is_some_and(|count| count != 1) || self.body.items.len() > 1 {
            return Err(Error::Usage("the request is for several datasets; end it with send_all()".into()));
        }
        let mut leases = self.send_all().await?;
        leases.pop().ok_or_else(|| Error::Unreadable {
            what: "the fulfilled request".into(),
            reason: "it holds no lease".into(),
        })
    }

    /// As [`send`](Self::send), calling `seen` with every new revision of the request.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_with_progress(
        self,
        seen: impl FnMut(&Request) + Send + 'static,
    ) -> Result<Lease, Error> {
        self.on_progress(seen).send().await
    }

    /// Makes a request for several datasets and waits for all leases, in the order of the items.
    ///
    /// # Errors
    /// As [`send`](Self::send); there are all leases or none.
    pub async fn send_all(self) -> Result<Vec<Lease>, Error> {
        let Self { client, body, key, mut on_progress } = self;
        let key = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let timeout = body.timeout_s.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
        let began = Moment::now();
        let first_wait_s = if on_progress.is_some() { 0 } else { WAIT_S };
        let mut asked = began;
        let mut request = client.create_request(&body, &key, first_wait_s).await?;
        let mut guard = CancelOnDrop { client: client.clone(), id: Some(request.id.clone()) };
        loop {
            if let Some(seen) = &mut on_progress {
                seen(&request);
            }
            if request.status.ended() {
                break;
            }
            if Moment::now().since(began) > timeout + GRACE {
                return Err(Error::Timeout { what: format!("request {}", request.id) });
            }
            asked = Moment::now();
            request = next_revision(&client, &request, WAIT_S).await?;
        }
        guard.id = None;
        if request.status == RequestStatus::Fulfilled {
            return Ok(request
                .leases
                .into_iter()
                .map(|lease| Lease::new(client.clone(), lease, asked))
                .collect());
        }
        if request.status == RequestStatus::Expired && request.failure.is_none() {
            return Err(Error::Timeout { what: format!("request {}", request.id) });
        }
        Err(Error::Failed(Box::new(RequestFailed::of(request))))
    }
}

async fn next_revision(client: &Client, request: &Request, wait_s: u64) -> Result<Request, Error> {
    client.get_request(&request.id, wait_s, Some(request.revision)).await
}

/// Whole seconds, rounded up: zero is refused by the server, not rounded into it by us.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// Cancels a request that nobody waits for any more.
struct CancelOnDrop {
    client: Client,
    id: Option<String>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) else { return };
        let client = self.client.clone();
        runtime.spawn(async move {
            let Ok(request) = client.cancel_request(&id).await else { return };
            // It was fulfilled in the same moment: the data is untouched.
            for lease in request.leases {
                let release = Release::new(lease.fence, Outcome::Unused);
                let _ = client.release_lease(&lease.id, &release).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::with_patience("http://127.0.0.1:1", None, Duration::ZERO).unwrap()
    }

    #[test]
    fn a_builder_sends_only_what_was_said() {
        let builder = client().request("a/b").ttl(Duration::from_millis(1500)).priority(Priority::Person);
        assert_eq!(
            serde_json::to_value(&builder.body).unwrap(),
            serde_json::json!({"contract":"a/b","lease":{"ttl_s":2},"priority":"person"})
        );
        let builder = client().request("a/b").source(Source::StockOnly);
        let builder = builder.prefer(serde_json::json!({"x":1})).select(serde_json::json!({"y":["a","b"]}));
        let strict = client().request("a/b").require_fresh();
        assert_eq!(
            serde_json::to_value(&strict.body).unwrap(),
            serde_json::json!({"contract":"a/b","require":"fresh"})
        );
        assert_eq!(
            serde_json::to_value(&builder.body).unwrap(),
            serde_json::json!({"contract":"a/b","source":"stock_only","prefer":{"x":1},"select":{"y":["a","b"]}})
        );
        let builder = client().request_all([("a/b", serde_json::json!({"x":1}))]);
        assert_eq!(
            serde_json::to_value(&builder.body).unwrap(),
            serde_json::json!({"items":[{"contract":"a/b","input":{"x":1}}]})
        );
    }

    #[test]
    fn a_rerun_names_the_dataset_and_nothing_of_the_client() {
        let builder = client().in_channel("bob").rerun("ds_1").ttl(Duration::from_secs(60));
        assert_eq!(
            serde_json::to_value(&builder.body).unwrap(),
            serde_json::json!({"rerun_of":"ds_1","lease":{"ttl_s":60}})
        );
    }

    #[test]
    fn a_request_names_its_own_channel_or_that_of_its_client() {
        let named = |builder: RequestBuilder| builder.body.channel;
        assert_eq!(named(client().request("a/b")), None);
        assert_eq!(named(client().request("a/b").channel("ada")).as_deref(), Some("ada"));
        let client = client().in_channel("bob");
        assert_eq!(named(client.request("a/b")).as_deref(), Some("bob"));
        assert_eq!(named(client.request_all([("a/b", serde_json::json!({}))])).as_deref(), Some("bob"));
        assert_eq!(named(client.request("a/b").channel("ada")).as_deref(), Some("ada"));
    }

    #[tokio::test]
    async fn several_datasets_are_not_squeezed_into_one_lease() {
        let error = client().request("a/b").count(3).send().await.unwrap_err();
        assert!(matches!(&error, Error::Usage(text) if text.contains("send_all")), "{error}");
    }
}

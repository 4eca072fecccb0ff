//! Consumers: they ask, insist until they are answered, use what they get, and remember what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{Api, Reply};

/// A consumer insists for so long: longer than any restart.
const INSIST: Duration = Duration::from_secs(60);

/// The pause before a call is repeated.
const PAUSE: Duration = Duration::from_millis(25);

/// Leases are short, so that many of them expire in the hands of their holder.
const TTL_S: u64 = 3;

/// What was acknowledged, and what was seen that must never be.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Requests by idempotency key.
    pub(crate) requests: BTreeMap<String, String>,
    /// Leases that were seen, by id: dataset and fence.
    pub(crate) leases: BTreeMap<String, (String, u64)>,
    /// Leases whose release was acknowledged.
    pub(crate) released: Vec<String>,
    /// Sentences about what went wrong.
    pub(crate) wrong: Vec<String>,
    /// How many requests were served from stock, of those that ask for nothing else.
    pub(crate) from_stock: u64,
    /// How many of those were refused.
    pub(crate) out_of_stock: u64,
    /// How many calls were repeated because nobody had answered.
    pub(crate) repeated: u64,
}

/// All consumers of one run.
pub(crate) struct Consumers {
    history: Arc<Mutex<History>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Consumers {
    /// Starts so many consumers.
    pub(crate) fn start(api: &Api, count: usize) -> Self {
        let history = Arc::new(Mutex::new(History::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let numbers = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let consumer = Consumer {
                api: api.clone(),
                history: Arc::clone(&history),
                numbers: Arc::clone(&numbers),
                random: fastrand::Rng::with_seed(fastrand::u64(..)),
            };
            tasks.spawn(consumer.work(Arc::clone(&stop)));
        }
        Self { history, stop, tasks }
    }

    /// Lets every consumer finish what it is at.
    pub(crate) async fn stop(mut self) -> History {
        self.stop.store(true, Ordering::SeqCst);
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut *self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Consumer {
    api: Api,
    history: Arc<Mutex<History>>,
    numbers: Arc<AtomicU64>,
    random: fastrand::Rng,
}

impl Consumer {
    async fn work(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            self.ask_once().await;
        }
    }

    async fn ask_once(&mut self) {
        let key = format!("kill-{}", self.numbers.fetch_add(1, Ordering::SeqCst));
        let count = if self.random.u8(..10) == 0 { 3 } else { 1 };
        // Whoever takes what is there or being made leaves nothing to be stocked: some do not, and some wait for nothing.
        let source = match self.random.u8(..10) {
            0..3 => "stock_only",
            3..6 => "stock_first",
            _ => "fresh",
        };
        let body = json!({
            "contract": "verify/chain", "count": count, "timeout_s": 120, "lease": { "ttl_s": TTL_S }, "holder": key,
            "source": source,
        });
        let Some(reply) = self.insist("/v1/requests?wait_s=5", &body, Some(&key)).await else { return };
        if reply.status == 409 && reply.body["code"] == "out_of_stock" && source == "stock_only" {
            self.note(|history| history.out_of_stock += 1);
            tokio::time::sleep(PAUSE).await;
            return;
        }
        let id = text(&reply.body["id"]);
        self.note(|history| {
            history.requests.insert(key.clone(), id.clone());
        });
        if self.random.u8(..10) == 0 {
            self.ask_again(&key, &body, &id).await;
        }
        if self.random.u8(..20) == 0 {
            self.insist(&format!("/v1/requests/{id}/cancel"), &json!({}), None).await;
        }
        let Some(request) = self.wait_for_end(&id, reply.body).await else { return };
        if source == "stock_only" && request["status"] == "fulfilled" {
            self.note(|history| history.from_stock += 1);
        }
        for lease in request["leases"].as_array().into_iter().flatten() {
            self.use_lease(lease, count).await;
        }
    }

    /// The same key must bring the same request, whatever has happened in between.
    async fn ask_again(&mut self, key: &str, body: &Value, id: &str) {
        if let Some(reply) = self.insist("/v1/requests", body, Some(key)).await {
            let again = text(&reply.body["id"]);
            self.expect(again == id, || format!("key {key} brought {id} first and {again} later"));
        }
    }

    async fn wait_for_end(&mut self, id: &str, mut request: Value) -> Option<Value> {
        let limit = Instant::now() + Duration::from_secs(150);
        while matches!(request["status"].as_str(), Some("queued" | "building")) {
            if Instant::now() > limit {
                self.expect(false, || format!("request {id} did not end: {request}"));
                return None;
            }
            match self.api.get(&format!("/v1/requests/{id}?wait_s=5")).await {
                Ok(found) => request = found,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Some(request)
    }

    async fn use_lease(&mut self, lease: &Value, count: usize) {
        let (id, dataset) = (text(&lease["id"]), text(&lease["dataset"]["id"]));
        let Some(fence) = lease["fence"].as_u64() else {
            return self.expect(false, || format!("a lease without a fence: {lease}"));
        };
        let first =
            self.note(|history| history.leases.insert(id.clone(), (dataset.clone(), fence)).is_none());
        self.expect(first, || format!("lease {id} was granted to two requests"));
        let _ = count;
        match self.random.u8(..10) {
            0..4 => self.release(&id, fence, "used").await,
            4..6 => self.release(&id, fence, "unused").await,
            6..8 => {
                self.insist(&format!("/v1/leases/{id}/renew"), &json!({ "fence": fence }), None).await;
                self.release(&id, fence, "broken").await;
            }
            // Forgotten: it expires.
            _ => {}
        }
    }

    async fn release(&mut self, id: &str, fence: u64, outcome: &str) {
        let wrong =
            self.insist(&format!("/v1/leases/{id}/release"), &json!({ "fence": fence + 1 }), None).await;
        self.expect(wrong.is_none_or(|reply| reply.status == 409), || {
            format!("lease {id} was released with a fence that is not its own")
        });
        let body = json!({ "fence": fence, "outcome": outcome });
        let reply = self.insist(&format!("/v1/leases/{id}/release"), &body, None).await;
        if reply.is_some_and(|reply| reply.status == 200) {
            self.note(|history| history.released.push(id.to_owned()));
        }
    }

    /// Sends until somebody answers; what the server refuses is an answer too.
    async fn insist(&mut self, path: &str, body: &Value, key: Option<&str>) -> Option<Reply> {
        let limit = Instant::now() + INSIST;
        loop {
            match self.api.post(path, body, key).await {
                Ok(reply) if !matches!(reply.status, 408 | 429 | 500..) => {
                    let refused = reply.status >= 400 && reply.status != 409;
                    self.expect(!refused, || format!("{path}: {} {}", reply.status, reply.body));
                    return (!refused).then_some(reply);
                }
                Ok(reply) if reply.status == 500 => {
                    self.expect(false, || format!("{path}: 500 {}", reply.body));
                    return None;
                }
                _ if Instant::now() > limit => {
                    self.expect(false, || format!("{path}: nobody answered for {INSIST:?}"));
                    return None;
                }
                _ => {
                    self.note(|history| history.repeated += 1);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn expect(&self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.note(|history| history.wrong.push(otherwise()));
        }
    }

    fn note<T>(&self, note: impl FnOnce(&mut History) -> T) -> T {
        note(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

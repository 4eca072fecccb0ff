//! Consumers: they ask whichever server, insist until they are answered, use what they get, and sometimes lie or come too late.
//!
//! Half of them are testers, who hold one dataset and use it over its whole life; half are pipelines, who take several at once and give
//! them back at once.

mod calling;
mod holding;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::calling::{Heard, Intent};
use super::journal::{Act, End, Journal, SeenLease};
use crate::api::Api;
use crate::guard::{Entry, Guard};

/// The pause before a call is repeated.
const PAUSE: Duration = Duration::from_millis(25);

/// Leases are short, so that many of them expire in the hands of their holder.
const TTL_S: std::ops::RangeInclusive<u64> = 1..=3;

/// A request may take so long: far longer than anything takes, so that none may run out of it.
const REQUEST_S: u64 = 120;

/// A pipeline asks for so many datasets at once.
const AT_ONCE: std::ops::RangeInclusive<u64> = 1..=4;

/// What happened often enough to mean something.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many requests were served from stock, of those that ask for nothing else.
    pub(crate) from_stock: AtomicU64,
    /// How many of those were refused.
    pub(crate) out_of_stock: AtomicU64,
    /// How often a holder came with a lease that had expired.
    pub(crate) came_too_late: AtomicU64,
}

/// All consumers of one trial.
pub(crate) struct Consumers {
    tally: Arc<Tally>,
    guard: Guard,
    healed: Healed,
    journal: Journal,
    tasks: JoinSet<()>,
}

/// Since when nothing is struck any more, by the clock of the journal: nobody asks anew from then on, and nobody waits for long.
#[derive(Clone, Default)]
struct Healed(Arc<AtomicU64>);

impl Healed {
    fn since_us(&self) -> Option<u64> {
        Some(self.0.load(Ordering::SeqCst)).filter(|us| *us > 0)
    }
}

impl Consumers {
    /// Starts so many consumers of these servers.
    pub(crate) fn start(servers: &[Api], count: usize, journal: &Journal) -> Self {
        let (tally, healed) = (Arc::<Tally>::default(), Healed::default());
        let (numbers, guard) = (Arc::new(AtomicU64::new(0)), Guard::default());
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let consumer = Consumer {
                number,
                kind: if number % 2 == 0 { Kind::Tester } else { Kind::Pipeline },
                servers: servers.to_vec(),
                journal: journal.clone(),
                tally: Arc::clone(&tally),
                guard: guard.clone(),
                numbers: Arc::clone(&numbers),
                healed: healed.clone(),
                given_back: Vec::new(),
                random: fastrand::Rng::with_seed(fastrand::u64(..)),
            };
            tasks.spawn(consumer.go_on());
        }
        Self { tally, guard, healed, journal: journal.clone(), tasks }
    }

    /// From now on nothing is struck any more: nobody asks anew.
    pub(crate) fn heal(&self) {
        self.healed.0.store(self.journal.now_us(), Ordering::SeqCst);
    }

    /// Lets every consumer finish what it is at; returns the log of the system under test as well.
    pub(crate) async fn finish(mut self) -> (Arc<Tally>, Vec<Entry>) {
        while self.tasks.join_next().await.is_some() {}
        (self.tally, self.guard.log())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tester,
    Pipeline,
}

struct Consumer {
    number: usize,
    kind: Kind,
    servers: Vec<Api>,
    journal: Journal,
    tally: Arc<Tally>,
    guard: Guard,
    numbers: Arc<AtomicU64>,
    healed: Healed,
    /// What it gave back unused, and may use again although it must not; somebody else may have it by then.
    given_back: Vec<SeenLease>,
    random: fastrand::Rng,
}

impl Consumer {
    async fn go_on(mut self) {
        while self.healed.since_us().is_none() {
            self.ask_once().await;
            self.use_what_was_given_back();
        }
    }

    async fn ask_once(&mut self) {
        let key = format!("verify-{}", self.numbers.fetch_add(1, Ordering::SeqCst));
        let count = if self.kind == Kind::Pipeline { self.random.u64(AT_ONCE) } else { 1 };
        // Whoever takes what is there or being made leaves nothing to be stocked: some do not, and some wait for nothing.
        let source = match self.random.u8(..10) {
            0..4 => "stock_only",
            4..6 => "stock_first",
            _ => "fresh",
        };
        let body = json!({
            "contract": "verify/chain", "count": count, "timeout_s": REQUEST_S, "lease": { "ttl_s": self.random.u64(TTL_S) },
            "holder": key, "source": source,
        });
        let Some(asked) = self.ask(&key, &body).await else { return };
        if asked.answer.code == "out_of_stock" && source == "stock_only" {
            self.tally.out_of_stock.fetch_add(1, Ordering::Relaxed);
            return tokio::time::sleep(PAUSE).await;
        }
        if asked.end != End::Ok {
            return self.journal.wrong(format!("request {key} was refused: {:?}", asked.answer));
        }
        let id = asked.answer.id.clone();
        match self.random.u8(..20) {
            // The same key must bring the same request, whatever has happened in between.
            0..6 => drop(self.ask(&key, &body).await),
            6..8 => self.ask_other(&key, &body).await,
            8 => self.cancel(&id).await,
            _ => {}
        }
        let Some(ended) = self.wait_for_end(&id, asked).await else { return };
        if source == "stock_only" && ended.answer.status == "fulfilled" {
            self.tally.from_stock.fetch_add(1, Ordering::Relaxed);
        }
        for lease in &ended.answer.leases {
            match self.kind {
                Kind::Tester => self.hold(lease, ended.begun_us).await,
                Kind::Pipeline => self.use_once(lease, ended.begun_us).await,
            }
        }
    }

    async fn ask(&mut self, key: &str, body: &Value) -> Option<Heard> {
        let path = "/v1/requests?wait_s=5";
        self.insist(Intent { body: Some(body), ..Intent::look(Act::Ask, key, path) }).await
    }

    /// A key that is taken must not be taken for something else.
    async fn ask_other(&mut self, key: &str, body: &Value) {
        let mut other = body.clone();
        other["holder"] = json!("somebody else");
        let intent = Intent { body: Some(&other), ..Intent::look(Act::AskOther, key, "/v1/requests") };
        if let Some(heard) = self.insist(intent).await
            && heard.answer.code != "idempotency_mismatch"
        {
            self.journal.wrong(format!("key {key} was taken for another request: {:?}", heard.answer));
        }
    }

    async fn cancel(&mut self, id: &str) {
        let (path, body) = (format!("/v1/requests/{id}/cancel"), json!({}));
        let intent = Intent { body: Some(&body), ..Intent::look(Act::Cancel, id, &path) };
        if let Some(heard) = self.insist(intent).await
            && heard.end != End::Ok
        {
            self.journal.wrong(format!("{path} was refused: {:?}", heard.answer));
        }
    }

    async fn wait_for_end(&mut self, id: &str, asked: Heard) -> Option<Heard> {
        let path = format!("/v1/requests/{id}?wait_s=5");
        let begun_us = self.journal.now_us();
        let mut heard = asked;
        while matches!(heard.answer.status.as_str(), "queued" | "building") {
            if self.is_too_late(begun_us, Duration::from_secs(REQUEST_S)) {
                self.journal.wrong(format!("request {id} did not end: {:?}", heard.answer));
                return None;
            }
            let next = self.insist(Intent::look(Act::Look, id, &path)).await?;
            if next.end != End::Ok {
                self.journal
                    .wrong(format!("request {id} was acknowledged and is not there: {:?}", next.answer));
                return None;
            }
            heard = next;
        }
        Some(heard)
    }
}

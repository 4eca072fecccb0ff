//! Consumers: they ask whichever server, insist until they are answered, use what they get, and sometimes lie or come too late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::journal::{Act, Answer, CLOCKS, Call, End, Journal, SeenLease};
use crate::api::{Api, Reply};
use crate::guard::Guard;

/// A consumer insists for so long: longer than any restart.
const INSIST: Duration = Duration::from_secs(60);

/// The pause before a call is repeated.
const PAUSE: Duration = Duration::from_millis(25);

/// Leases are short, so that many of them expire in the hands of their holder.
const TTL_S: std::ops::RangeInclusive<u64> = 1..=3;

/// A request may take so long, and is looked at for a little longer.
const REQUEST_S: u64 = 120;

/// What happened often enough to mean something.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many requests were served from stock, of those that ask for nothing else.
    pub(crate) from_stock: AtomicU64,
    /// How many of those were refused.
    pub(crate) out_of_stock: AtomicU64,
    /// How often a holder came with a lease that had expired.
    pub(crate) came_too_late: AtomicU64,
    /// How often the system under test refused an older fence.
    pub(crate) refused_by_guard: AtomicU64,
}

/// All consumers of one trial.
pub(crate) struct Consumers {
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Consumers {
    /// Starts so many consumers of these servers.
    pub(crate) fn start(servers: &[Api], count: usize, journal: &Journal) -> Self {
        let tally = Arc::<Tally>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (numbers, guard) = (Arc::new(AtomicU64::new(0)), Guard::default());
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let consumer = Consumer {
                number,
                servers: servers.to_vec(),
                journal: journal.clone(),
                tally: Arc::clone(&tally),
                guard: guard.clone(),
                numbers: Arc::clone(&numbers),
                random: fastrand::Rng::with_seed(fastrand::u64(..)),
            };
            tasks.spawn(consumer.go_on(Arc::clone(&stop)));
        }
        Self { tally, stop, tasks }
    }

    /// Lets every consumer finish what it is at.
    pub(crate) async fn stop(mut self) -> Arc<Tally> {
        self.stop.store(true, Ordering::SeqCst);
        while self.tasks.join_next().await.is_some() {}
        self.tally
    }
}

struct Consumer {
    number: usize,
    servers: Vec<Api>,
    journal: Journal,
    tally: Arc<Tally>,
    guard: Guard,
    numbers: Arc<AtomicU64>,
    random: fastrand::Rng,
}

/// What is sent, and what for.
struct Intent<'a> {
    act: Act,
    subject: &'a str,
    path: &'a str,
    body: Option<&'a Value>,
    fence: Option<u64>,
    outcome: Option<&'static str>,
}

impl Consumer {
    async fn go_on(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            self.ask_once().await;
        }
    }

    async fn ask_once(&mut self) {
        let key = format!("verify-{}", self.numbers.fetch_add(1, Ordering::SeqCst));
        let count = if self.random.u8(..10) == 0 { 3 } else { 1 };
        // Whoever takes what is there or being made leaves nothing to be stocked: some do not, and some wait for nothing.
        let source = match self.random.u8(..10) {
            0..3 => "stock_only",
            3..6 => "stock_first",
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
            self.use_lease(lease, ended.begun_us).await;
        }
    }

    async fn ask(&mut self, key: &str, body: &Value) -> Option<Heard> {
        let path = "/v1/requests?wait_s=5";
        self.insist(Intent {
            act: Act::Ask,
            subject: key,
            path,
            body: Some(body),
            fence: None,
            outcome: None,
        })
        .await
    }

    /// A key that is taken must not be taken for something else.
    async fn ask_other(&mut self, key: &str, body: &Value) {
        let mut other = body.clone();
        other["holder"] = json!("somebody else");
        let (act, path) = (Act::AskOther, "/v1/requests");
        let intent = Intent { act, subject: key, path, body: Some(&other), fence: None, outcome: None };
        if let Some(heard) = self.insist(intent).await
            && heard.answer.code != "idempotency_mismatch"
        {
            self.journal.wrong(format!("key {key} was taken for another request: {:?}", heard.answer));
        }
    }

    async fn cancel(&mut self, id: &str) {
        let path = format!("/v1/requests/{id}/cancel");
        let intent = Intent {
            act: Act::Cancel,
            subject: id,
            path: &path,
            body: Some(&json!({})),
            fence: None,
            outcome: None,
        };
        self.expect_ok(intent).await;
    }

    async fn wait_for_end(&mut self, id: &str, asked: Heard) -> Option<Heard> {
        let limit = Instant::now() + Duration::from_secs(REQUEST_S) + INSIST;
        let path = format!("/v1/requests/{id}?wait_s=5");
        let mut heard = asked;
        while matches!(heard.answer.status.as_str(), "queued" | "building") {
            if Instant::now() > limit {
                self.journal.wrong(format!("request {id} did not end: {:?}", heard.answer));
                return None;
            }
            let intent =
                Intent { act: Act::Look, subject: id, path: &path, body: None, fence: None, outcome: None };
            let next = self.insist(intent).await?;
            if next.end != End::Ok {
                self.journal
                    .wrong(format!("request {id} was acknowledged and is not there: {:?}", next.answer));
                return None;
            }
            heard = next;
        }
        Some(heard)
    }

    /// Uses a lease that was seen in the answer to a call begun at `asked_us`.
    async fn use_lease(&mut self, lease: &SeenLease, asked_us: u64) {
        // A holder counts from before it asked, and stops at four fifths.
        let believed_until = asked_us + lease.ttl_us / 5 * 4;
        let admitted = self.guard.admits(&lease.dataset, lease.fence);
        if !admitted && self.journal.now_us() < believed_until {
            self.journal
                .wrong(format!("{lease:?} was in use by somebody with a higher fence, while it was held"));
        }
        match self.random.u8(..20) {
            0..7 => self.release(lease, "used").await,
            7..11 => self.release(lease, "unused").await,
            11..15 => {
                self.renew(lease).await;
                self.release(lease, "broken").await;
            }
            15..18 => self.come_too_late(lease).await,
            // Forgotten: it expires.
            _ => {}
        }
    }

    /// Holds a lease until it has surely expired, and goes on all the same.
    async fn come_too_late(&mut self, lease: &SeenLease) {
        tokio::time::sleep(Duration::from_micros(lease.ttl_us) + CLOCKS).await;
        self.tally.came_too_late.fetch_add(1, Ordering::Relaxed);
        if !self.guard.admits(&lease.dataset, lease.fence) {
            self.tally.refused_by_guard.fetch_add(1, Ordering::Relaxed);
        }
        if self.random.bool() {
            self.renew(lease).await;
        } else {
            self.release(lease, "unused").await;
        }
    }

    async fn renew(&mut self, lease: &SeenLease) {
        let path = format!("/v1/leases/{}/renew", lease.id);
        let body = json!({ "fence": lease.fence });
        let intent = Intent {
            act: Act::Renew,
            subject: &lease.id,
            path: &path,
            body: Some(&body),
            fence: Some(lease.fence),
            outcome: None,
        };
        self.insist(intent).await;
    }

    /// Gives a lease back; sometimes with a fence first that is not its own.
    async fn release(&mut self, lease: &SeenLease, outcome: &'static str) {
        let path = format!("/v1/leases/{}/release", lease.id);
        let lie = match self.random.u8(..8) {
            0 => Some(lease.fence + 1),
            1 => Some(lease.fence - 1),
            2 => Some((1 << 53) - 1),
            _ => None,
        };
        for fence in lie.into_iter().chain([lease.fence]) {
            let body = json!({ "fence": fence, "outcome": outcome });
            let intent = Intent {
                act: Act::Release,
                subject: &lease.id,
                path: &path,
                body: Some(&body),
                fence: Some(fence),
                outcome: Some(outcome),
            };
            self.insist(intent).await;
        }
    }

    async fn expect_ok(&mut self, intent: Intent<'_>) {
        let path = intent.path.to_owned();
        if let Some(heard) = self.insist(intent).await
            && heard.end != End::Ok
        {
            self.journal.wrong(format!("{path} was refused: {:?}", heard.answer));
        }
    }

    /// Sends to any server until one answers; what a server refuses is an answer too.
    async fn insist(&mut self, intent: Intent<'_>) -> Option<Heard> {
        let limit = Instant::now() + INSIST;
        loop {
            let server = self.random.usize(..self.servers.len());
            let begun_us = self.journal.now_us();
            let reply = self.send(server, &intent).await;
            let call = Call {
                consumer: self.number,
                act: intent.act,
                subject: intent.subject.to_owned(),
                fence: intent.fence,
                outcome: intent.outcome,
                server,
            };
            let (end, answer) = self.journal.note(call, begun_us, &reply);
            if end != End::Maybe {
                return Some(Heard { end, answer, begun_us });
            }
            if let Ok(Reply { status: 500..503 | 505.., body }) = &reply {
                self.journal.wrong(format!("{}: a mistake of the server: {body}", intent.path));
            }
            if Instant::now() > limit {
                self.journal.wrong(format!("{}: nobody answered for {INSIST:?}", intent.path));
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send(&self, server: usize, intent: &Intent<'_>) -> anyhow::Result<Reply> {
        let api = &self.servers[server];
        match intent.body {
            None => api.look(intent.path).await,
            Some(body) => {
                let key = matches!(intent.act, Act::Ask | Act::AskOther).then_some(intent.subject);
                api.post(intent.path, body, key).await
            }
        }
    }
}

/// An answer, and when the call was begun that it belongs to.
struct Heard {
    end: End,
    answer: Answer,
    begun_us: u64,
}

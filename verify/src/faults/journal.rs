//! Journal: every call that a consumer has sent, when, and what came back; the one history that is checked and written down.
//!
//! Times are microseconds since the start, of one clock for all consumers. What nobody has answered may have been carried
//! out, or may yet be: such a call ends as `maybe`, and never returned as far as any rule is concerned.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::moments::micros;
use crate::api::Reply;

/// What a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A request, under a key of its own; again under the same key when nobody answered.
    Ask,
    /// Another request under a key that is taken.
    AskOther,
    Look,
    Cancel,
    Renew,
    Release,
    /// A look at a lease, by whoever believes to hold it.
    LookAtLease,
    /// The dataset is used: it is the system under test that says whether it may be.
    Use,
    /// A look at the stock rule.
    LookAtStock,
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::AskOther => "ask_other",
            Self::Look => "look",
            Self::Cancel => "cancel",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::LookAtLease => "look_at_lease",
            Self::Use => "use",
            Self::LookAtStock => "look_at_stock",
        }
    }
}

/// How a call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was carried out.
    Ok,
    /// It was refused and has changed nothing.
    Fail,
    /// Nobody knows.
    Maybe,
}

/// A lease as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenLease {
    pub(crate) id: String,
    pub(crate) dataset: String,
    pub(crate) fence: u64,
    pub(crate) status: String,
    /// What was left of it at the time of the answer.
    pub(crate) ttl_us: u64,
    /// When it ends by the clock of the store, in microseconds since 1970.
    pub(crate) expires_us: u64,
}

/// What a stock rule has, as an answer shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) target: u64,
    pub(crate) ready: u64,
    pub(crate) coming: u64,
    /// Of those that are ready, how many came back and stay beyond the target.
    pub(crate) came_back: u64,
}

impl Level {
    /// Reads a stock rule.
    pub(crate) fn of(body: &Value) -> Option<Self> {
        let stock = &body["stock"];
        Some(Self {
            target: body["target"].as_u64()?,
            ready: stock["ready"].as_u64()?,
            coming: stock["coming"].as_u64()?,
            came_back: stock["came_back"].as_u64()?,
        })
    }

    fn to_json(self) -> Value {
        json!({ "target": self.target, "ready": self.ready, "coming": self.coming, "came_back": self.came_back })
    }
}

/// What an answer says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// The id of the request or lease.
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) revision: Option<u64>,
    /// The leases of the request, or the one lease.
    pub(crate) leases: Vec<SeenLease>,
    /// The code of a refusal.
    pub(crate) code: String,
    /// What the stock rule has.
    pub(crate) level: Option<Level>,
}

impl Answer {
    /// Reads a request, a lease, a stock rule, or a problem.
    pub(crate) fn of(body: &Value) -> Self {
        let alone = body["fence"].is_u64().then_some(body);
        let leases = body["leases"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            id: text(&body["id"]),
            status: body["status"].as_str().unwrap_or_default().to_owned(),
            revision: body["revision"].as_u64(),
            leases: alone.into_iter().chain(leases).filter_map(lease).collect(),
            code: text(&body["code"]),
            level: Level::of(body),
        }
    }
}

fn lease(body: &Value) -> Option<SeenLease> {
    Some(SeenLease {
        id: text(&body["id"]),
        dataset: text(&body["dataset"]["id"]),
        fence: body["fence"].as_u64()?,
        status: text(&body["status"]),
        ttl_us: body["ttl_ms"].as_u64()? * 1_000,
        expires_us: body["expires_at"].as_str().and_then(micros)?,
    })
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) consumer: usize,
    pub(crate) act: Act,
    /// The idempotency key of a request that is made; else the id of what the call is about.
    pub(crate) subject: String,
    pub(crate) fence: Option<u64>,
    /// What the holder says of the data, when it is given back.
    pub(crate) outcome: Option<&'static str>,
    pub(crate) server: usize,
    pub(crate) begun_us: u64,
    pub(crate) ended_us: u64,
    pub(crate) end: End,
    pub(crate) http_status: u16,
    pub(crate) answer: Answer,
}

#[cfg(test)]
impl Operation {
    /// A call that was carried out, for tests of rules: they change what they are about.
    pub(crate) fn made_up(act: Act, subject: &str, answer: Answer) -> Self {
        Self {
            consumer: 0,
            act,
            subject: subject.to_owned(),
            fence: None,
            outcome: None,
            server: 0,
            begun_us: 0,
            ended_us: 0,
            end: End::Ok,
            http_status: 200,
            answer,
        }
    }
}

impl Operation {
    fn to_json(&self) -> Value {
        let leases = |lease: &SeenLease| json!({ "id": lease.id, "dataset": lease.dataset, "fence": lease.fence, "status": lease.status, "ttl_us": lease.ttl_us, "expires_us": lease.expires_us });
        json!({
            "process": format!("consumer-{}", self.consumer),
            "operation": self.act.name(),
            "subject": self.subject,
            "fence": self.fence,
            "outcome": self.outcome,
            "server": self.server,
            "begun_us": self.begun_us,
            "ended_us": self.ended_us,
            "end": match self.end { End::Ok => "ok", End::Fail => "fail", End::Maybe => "maybe" },
            "http_status": self.http_status,
            "id": self.answer.id,
            "status": self.answer.status,
            "revision": self.answer.revision,
            "code": self.answer.code,
            "leases": self.answer.leases.iter().map(leases).collect::<Vec<_>>(),
            "level": self.answer.level.map(Level::to_json),
        })
    }
}

/// A call that is about to be sent.
pub(crate) struct Call {
    pub(crate) consumer: usize,
    pub(crate) act: Act,
    pub(crate) subject: String,
    pub(crate) fence: Option<u64>,
    pub(crate) outcome: Option<&'static str>,
    pub(crate) server: usize,
}

/// The history while it is being made.
#[derive(Clone)]
pub(crate) struct Journal {
    started: Instant,
    operations: Arc<Mutex<Vec<Operation>>>,
    wrong: Arc<Mutex<Vec<String>>>,
    struck: Arc<Mutex<Vec<Value>>>,
}

impl Journal {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            operations: Arc::default(),
            wrong: Arc::default(),
            struck: Arc::default(),
        }
    }

    /// Microseconds since the start.
    pub(crate) fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// Notes a call that has come back, or has not; returns how it ended and what the answer says.
    pub(crate) fn note(&self, call: Call, begun_us: u64, reply: &anyhow::Result<Reply>) -> (End, Answer) {
        let (end, http_status, answer) = match reply {
            Ok(reply) => (end_of(reply.status), reply.status, Answer::of(&reply.body)),
            Err(_) => (End::Maybe, 0, Answer::default()),
        };
        let Call { consumer, act, subject, fence, outcome, server } = call;
        let ended_us = self.now_us();
        let operation = Operation {
            consumer,
            act,
            subject,
            fence,
            outcome,
            server,
            begun_us,
            ended_us,
            end,
            http_status,
            answer: answer.clone(),
        };
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
        (end, answer)
    }

    /// Notes that a dataset was used, or that the system under test refused it.
    pub(crate) fn note_use(&self, consumer: usize, lease: &SeenLease, begun_us: u64, admitted: bool) {
        let operation = Operation {
            consumer,
            act: Act::Use,
            subject: lease.id.clone(),
            fence: Some(lease.fence),
            outcome: None,
            server: 0,
            begun_us,
            ended_us: self.now_us(),
            end: if admitted { End::Ok } else { End::Fail },
            http_status: 0,
            answer: Answer::default(),
        };
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// How many calls have come back.
    pub(crate) fn calls(&self) -> usize {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many of the calls that came back behind the first `seen` were refused with one of these codes.
    pub(crate) fn refused(&self, seen: usize, codes: &[&str]) -> usize {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations[seen..].iter().filter(|call| codes.contains(&call.answer.code.as_str())).count()
    }

    /// Notes what must never be seen.
    pub(crate) fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Notes what is about to be done to the servers.
    pub(crate) fn struck(&self, what: &str) {
        let line = json!({ "process": "trial", "operation": what, "begun_us": self.now_us() });
        self.struck.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Writes everything into a file, one call or strike a line; returns the calls, in the sequence in which they came back, and
    /// everything that must never be seen.
    pub(crate) fn close(&self, file: &Path) -> anyhow::Result<(Vec<Operation>, Vec<String>)> {
        let operations = std::mem::take(&mut *self.operations.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lines = std::mem::take(&mut *self.struck.lock().unwrap_or_else(PoisonError::into_inner));
        lines.extend(operations.iter().map(Operation::to_json));
        lines.sort_by_key(|line| line["begun_us"].as_u64());
        let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok((operations, std::mem::take(&mut *self.wrong.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}

fn end_of(status: u16) -> End {
    match status {
        200..400 => End::Ok,
        // Whoever is told to come later may have been heard all the same, when the answer of a store was lost.
        408 | 429 | 500.. => End::Maybe,
        _ => End::Fail,
    }
}

/// So much later than it can have ended by then, because two clocks do not run alike.
pub(crate) const CLOCKS: Duration = Duration::from_millis(50);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

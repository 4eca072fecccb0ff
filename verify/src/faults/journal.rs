//! Journal: every call that a consumer has sent, when, and what came back; the one history that is checked and written down.
//!
//! Times are microseconds since the start, of one clock for all consumers. What nobody has answered may have been carried
//! out, or may yet be: such a call ends as `maybe`, and never returned as far as any rule is concerned.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
    pub(crate) ttl_us: u64,
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
}

impl Answer {
    /// Reads a request, a lease, or a problem.
    pub(crate) fn of(body: &Value) -> Self {
        let alone = body["fence"].is_u64().then_some(body);
        let leases = body["leases"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            id: text(&body["id"]),
            status: body["status"].as_str().unwrap_or_default().to_owned(),
            revision: body["revision"].as_u64(),
            leases: alone.into_iter().chain(leases).filter_map(lease).collect(),
            code: text(&body["code"]),
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

impl Operation {
    fn to_json(&self) -> Value {
        let leases = |lease: &SeenLease| json!({ "id": lease.id, "dataset": lease.dataset, "fence": lease.fence, "status": lease.status, "ttl_us": lease.ttl_us });
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

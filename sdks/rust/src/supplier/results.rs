//! Results on their way to the server: sent at once, and gathered while a send is under way.
//!
//! ```text
//! attempt --its session is open--> Outbox of the session --answered--> (gone)
//!    \--its session is over--> Late <--session lost--/   \
//!                                |--through the next session--> answered, or dropped as the oldest of too many
//!                                \--the supplier has ended--> through its last session, or never reported
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::ended::UnreportedResult;
use super::session::{Bench, Ended, lost_or_fatal};
use super::tasks::Tasks;
use crate::Error;
use crate::http::Http;
use crate::retry::{Trouble, backoff};
use crate::wire::{ResultAnswer, ResultsAnswer, TaskResult};

/// The server takes no more in one call.
const MAX_BATCH: usize = 100;
/// Half of what the server takes in one call, so that a batch always fits.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Results of lost sessions that are kept at most: more than a supplier runs at once, and little to remember.
const MAX_LATE: usize = 1000;

/// One result, already written as JSON in the task that made it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    task_id: String,
    attempt: u32,
    json: Box<RawValue>,
    /// The place of the attempt, for the task that may come back with the answer.
    slot: Option<OwnedSemaphorePermit>,
}

impl Outgoing {
    /// Writes the result down.
    pub(crate) fn new(result: &TaskResult) -> Self {
        let json = serde_json::value::to_raw_value(result).expect("a result holds JSON already");
        Self { task_id: result.task_id.clone(), attempt: result.attempt, json, slot: None }
    }
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<NextClaim>,
}

/// Asks for tasks that are ready with the results.
#[derive(Serialize)]
struct NextClaim {
    max: usize,
}

/// What becomes of a batch after its call.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The same again, later.
    Repeat,
    /// One by one: some result in it is not acceptable.
    Split,
    /// This one result is not acceptable: answer with a failure in its place.
    Replace,
    /// The session cannot go on.
    End,
}

/// Where the result of an attempt goes: through its own session, or when that is over, through the next.
#[derive(Clone)]
pub(crate) struct Way {
    own: mpsc::UnboundedSender<Outgoing>,
    late: mpsc::UnboundedSender<Outgoing>,
}

impl Way {
    /// Sends the result of an attempt that has ended, and the slot that it had.
    pub(crate) fn send(&self, result: &TaskResult, slot: OwnedSemaphorePermit) {
        if let Err(unsent) = self.own.send(Outgoing { slot: Some(slot), ..Outgoing::new(result) }) {
            // Nobody listens here either when the supplier is over.
            let _ = self.late.send(Outgoing { slot: None, ..unsent.0 });
        }
    }
}

/// Results that wait for their answers, and the attempts that they are awaited from.
pub(crate) struct Outbox {
    incoming: mpsc::UnboundedReceiver<Outgoing>,
    waiting: VecDeque<Outgoing>,
    tasks: Arc<Tasks>,
    /// Whether the attempts belong to lost sessions.
    late: bool,
}

impl Outbox {
    /// The results of one open session.
    pub(crate) fn new(incoming: mpsc::UnboundedReceiver<Outgoing>, tasks: Arc<Tasks>) -> Self {
        Self { incoming, waiting: VecDeque::new(), tasks, late: false }
    }

    fn keep(&mut self, mut outgoing: Outgoing) {
        if self.late {
            // Who works for the next session must not wait for the results of the last one.
            outgoing.slot = None;
        }
        self.waiting.push_back(outgoing);
        if self.late && self.waiting.len() > MAX_LATE {
            let oldest = self.waiting.pop_front().expect("one was added");
            if let Some(attempt) = self.tasks.forget(&oldest.task_id, oldest.attempt) {
                attempt.log("too many results of lost sessions wait for the server, and this one is dropped");
            }
        }
    }

    /// Waits until there is something to send, and takes in all there is.
    async fn fill(&mut self) {
        if self.waiting.is_empty() {
            match self.incoming.recv().await {
                Some(first) => self.keep(first),
                // Everything was answered; the session ends by its drain.
                None => std::future::pending().await,
            }
        }
        self.take_in();
    }

    /// Takes in what has come by now.
    fn take_in(&mut self) {
        while let Ok(more) = self.incoming.try_recv() {
            self.keep(more);
        }
    }

    /// Takes the slots of the results at the front.
    fn slots(&mut self, size: usize) -> Vec<OwnedSemaphorePermit> {
        self.waiting.iter_mut().take(size).filter_map(|outgoing| outgoing.slot.take()).collect()
    }

    /// Takes the answered results off the front; one that the server could not read is answered once more.
    fn settle(&mut self, size: usize, answers: Vec<ResultAnswer>) {
        let sent: Vec<Outgoing> = self.waiting.drain(..size).collect();
        let mut answers = answers.into_iter();
        for outgoing in sent {
            let Some(answer) = answers.next() else {
                // Not what was promised. The server hands the task out again if it took nothing.
                tracing::error!(task = outgoing.task_id, "the server left a result unanswered");
                self.tasks.forget(&outgoing.task_id, outgoing.attempt);
                continue;
            };
            let message = answer.message.as_deref().unwrap_or_default();
            match answer.reason.as_deref() {
                Some("bad_result") if !is_replacement(&outgoing) => {
                    tracing::error!(task = outgoing.task_id, message, "the server cannot take a result");
                    self.waiting.push_back(self.replacement(&outgoing, message));
                    continue;
                }
                Some("contract_violation") => {
                    tracing::error!(task = outgoing.task_id, message, "an output broke its schema");
                }
                reason => log_refused(&answer, reason),
            }
            self.tasks.forget(&outgoing.task_id, outgoing.attempt);
        }
    }

    /// What is said instead of a result that the server cannot take.
    fn replacement(&self, refused: &Outgoing, why: &str) -> Outgoing {
        let message = format!("the server refused the supplier's result: {why}");
        // A late failure that may pass lets the server undo by key; live, trying again would make the same result.
        let retryable = self.late;
        Outgoing::new(&TaskResult::failed(&refused.task_id, refused.attempt, retryable, REPLACED, message))
    }
}

/// Results of attempts whose sessions were lost. The server does not count them, but learns of effects to undo.
pub(crate) struct Late {
    sender: mpsc::UnboundedSender<Outgoing>,
    pub(crate) outbox: Outbox,
}

impl Late {
    /// Nothing is late yet.
    pub(crate) fn new() -> Self {
        let (sender, incoming) = mpsc::unbounded_channel();
        let outbox = Outbox { late: true, ..Outbox::new(incoming, Arc::default()) };
        Self { sender, outbox }
    }

    /// The way of results of a session that listens to `own`.
    pub(crate) fn way(&self, own: mpsc::UnboundedSender<Outgoing>) -> Way {
        Way { own, late: self.sender.clone() }
    }

    /// Takes what a session that is over leaves: its unanswered results, and the attempts that still run.
    pub(crate) async fn take_over(&mut self, mut over: Outbox) {
        self.outbox.tasks.begin_all(&over.tasks);
        // From here on attempts send to `self`; what they sent before is read to its end.
        over.incoming.close();
        for outgoing in over.waiting {
            self.outbox.keep(outgoing);
        }
        while let Some(outgoing) = over.incoming.recv().await {
            self.outbox.keep(outgoing);
        }
    }

    /// Attempts of lost sessions that the server has not answered.
    pub(crate) fn tasks(&self) -> &Arc<Tasks> {
        &self.outbox.tasks
    }

    /// The attempts that the server has not answered and will not hear of any more, by task.
    pub(crate) fn unreported(&mut self) -> Vec<UnreportedResult> {
        self.outbox.take_in();
        let waiting = self.outbox.waiting.iter();
        let finished: HashMap<_, _> =
            waiting.map(|outgoing| ((outgoing.task_id.as_str(), outgoing.attempt), outgoing)).collect();
        let mut unreported = self.outbox.tasks.unanswered();
        for attempt in &mut unreported {
            if let Some(result) = finished.get(&(attempt.task_id.as_str(), attempt.attempt)) {
                attempt.finished = true;
                attempt.may_have_made &= !is_rejection(result);
            }
        }
        unreported.sort_by(|one, other| (&one.task_id, one.attempt).cmp(&(&other.task_id, other.attempt)));
        unreported
    }
}

/// Sends results through a session until it ends, and begins what comes back with the answers on its `bench`. What is not
/// answered by then stays in `outbox`.
pub(crate) async fn deliver(
    http: &Http,
    session: &str,
    outbox: &mut Outbox,
    bench: Option<&Bench<'_, '_>>,
) -> Ended {
    let mut largest = MAX_BATCH;
    let mut tries = 0;
    loop {
        outbox.fill().await;
        let size = batch_size(&outbox.waiting, largest);
        let bench = bench.filter(|bench| bench.takes_more());
        let batch = outbox.waiting.range(..size);
        let (trouble, error) = match send(http, session, batch, bench.is_some()).await {
            Ok(answers) => {
                (largest, tries) = (MAX_BATCH, 0);
                // Noted before the results are forgotten: a drain in between must not find nothing running.
                let slots = outbox.slots(size);
                let received = bench.map(|bench| bench.take(answers.tasks, slots));
                outbox.settle(size, answers.results);
                if let (Some(bench), Some(received)) = (bench, received) {
                    bench.start(received);
                }
                continue;
            }
            Err(failed) => failed,
        };
        match after(&trouble, size) {
            Next::Repeat => {
                tries += 1;
                tokio::time::sleep(backoff(tries, fastrand::f64())).await;
            }
            Next::Split => largest = 1,
            Next::Replace => {
                let refused = outbox.waiting.pop_front().expect("a batch of one was sent");
                tracing::error!(task = refused.task_id, %error, "the server refuses a result");
                outbox.waiting.push_front(outbox.replacement(&refused, &error.to_string()));
            }
            Next::End => return lost_or_fatal(&trouble, error),
        }
    }
}

async fn send(
    http: &Http,
    session: &str,
    batch: impl Iterator<Item = &Outgoing> + Clone,
    takes_more: bool,
) -> Result<ResultsAnswer, (Trouble, Error)> {
    let free = batch.clone().filter(|outgoing| outgoing.slot.is_some()).count();
    let claim = (takes_more && free > 0).then_some(NextClaim { max: free });
    let results = Results { results: batch.map(|outgoing| &*outgoing.json).collect(), claim };
    let call = http
        .call(Method::POST, &["v1", "sessions", session, "results"])
        .json(&results)
        .expect("results are JSON already");
    let answer = http.send_once(&call).await?;
    answer.read("the answer to results").map_err(|error| (Trouble::Connection, error))
}

/// How many results from the front go into one call.
fn batch_size(waiting: &VecDeque<Outgoing>, largest: usize) -> usize {
    let mut bytes = 0;
    let fits = |outgoing: &&Outgoing| {
        bytes += outgoing.json.get().len();
        bytes <= MAX_BATCH_BYTES
    };
    waiting.iter().take(largest).take_while(fits).count().max(1)
}

/// What to do after a call with `size` results met `trouble`.
fn after(trouble: &Trouble, size: usize) -> Next {
    match trouble {
        Trouble::Connection | Trouble::Status { status: 408 | 429 | 500..=599, .. } => Next::Repeat,
        Trouble::Status { status: 400 | 413 | 422, .. } if size > 1 => Next::Split,
        Trouble::Status { status: 400 | 413 | 422, .. } => Next::Replace,
        Trouble::Status { .. } => Next::End,
    }
}

fn log_refused(answer: &ResultAnswer, reason: Option<&str>) {
    if !answer.accepted {
        // Ordinary after a cancel or a lost heartbeat: another attempt goes on, and what this one made is undone.
        tracing::info!(task = answer.task_id, reason, "the server took no notice of a late result");
    }
}

const REPLACED: &str = "bad_result";

fn is_replacement(outgoing: &Outgoing) -> bool {
    reads_as(outgoing, |result| result.code.as_deref() == Some(REPLACED))
}

/// A plain no is the only result that says that nothing was made.
fn is_rejection(outgoing: &Outgoing) -> bool {
    reads_as(outgoing, |result| result.retryable == Some(false))
}

fn reads_as(outgoing: &Outgoing, wanted: impl FnOnce(&TaskResult) -> bool) -> bool {
    serde_json::from_str(outgoing.json.get()).is_ok_and(|result| wanted(&result))
}

#[cfg(test)]
mod tests;

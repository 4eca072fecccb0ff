//! Results on their way to the server: sent at once, and gathered while a send is under way.

use std::collections::VecDeque;

use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::session::{Ended, Tasks, lost_or_fatal};
use crate::Error;
use crate::http::Http;
use crate::retry::{Trouble, backoff};
use crate::wire::{ResultAnswer, ResultsAnswer, TaskResult};

/// The server takes no more in one call.
const MAX_BATCH: usize = 100;
/// Half of what the server takes in one call, so that a batch always fits.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// One result, already written as JSON in the task that made it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    task_id: String,
    attempt: u32,
    json: Box<RawValue>,
}

impl Outgoing {
    /// Writes the result down.
    pub(crate) fn new(result: &TaskResult) -> Self {
        let json = serde_json::value::to_raw_value(result).expect("a result holds JSON already");
        Self { task_id: result.task_id.clone(), attempt: result.attempt, json }
    }
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<&'a RawValue>,
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

/// Sends results of one session until it ends. A result that cannot be delivered before is dropped: the server
/// hands its task out again, and refuses the old attempt anyway.
pub(crate) async fn deliver(
    http: &Http,
    session: &str,
    tasks: &Tasks,
    outgoing: &mut mpsc::UnboundedReceiver<Outgoing>,
) -> Ended {
    let mut waiting: VecDeque<Outgoing> = VecDeque::new();
    let mut largest = MAX_BATCH;
    let mut tries = 0;
    loop {
        if waiting.is_empty() {
            match outgoing.recv().await {
                Some(first) => waiting.push_back(first),
                // Everything was answered; the session ends by its drain.
                None => std::future::pending().await,
            }
        }
        while let Ok(more) = outgoing.try_recv() {
            waiting.push_back(more);
        }
        let size = batch_size(&waiting, largest);
        let (trouble, error) = match send(http, session, waiting.range(..size)).await {
            Ok(answers) => {
                (largest, tries) = (MAX_BATCH, 0);
                settle(&mut waiting, size, answers, tasks);
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
                let refused = waiting.pop_front().expect("a batch of one was sent");
                tracing::error!(task = refused.task_id, %error, "the server refuses a result");
                waiting.push_front(replacement(&refused, &error.to_string()));
            }
            Next::End => return lost_or_fatal(&trouble, error),
        }
    }
}

async fn send(
    http: &Http,
    session: &str,
    batch: impl Iterator<Item = &Outgoing>,
) -> Result<ResultsAnswer, (Trouble, Error)> {
    let results = Results { results: batch.map(|outgoing| &*outgoing.json).collect() };
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

/// Takes the answered results off the front; one that the server could not read is answered once more.
fn settle(waiting: &mut VecDeque<Outgoing>, size: usize, answers: ResultsAnswer, tasks: &Tasks) {
    let sent: Vec<Outgoing> = waiting.drain(..size).collect();
    let mut answers = answers.results.into_iter();
    for outgoing in sent {
        let Some(answer) = answers.next() else {
            // Not what was promised. The server hands the task out again if it took nothing.
            tracing::error!(task = outgoing.task_id, "the server left a result unanswered");
            tasks.forget(&outgoing.task_id, outgoing.attempt);
            continue;
        };
        let message = answer.message.as_deref().unwrap_or_default();
        match answer.reason.as_deref() {
            Some("bad_result") if !is_replacement(&outgoing) => {
                tracing::error!(task = outgoing.task_id, message, "the server cannot take a result");
                waiting.push_back(replacement(&outgoing, message));
                continue;
            }
            Some("contract_violation") => {
                tracing::error!(task = outgoing.task_id, message, "an output broke its schema");
            }
            reason => log_refused(&answer, reason),
        }
        tasks.forget(&outgoing.task_id, outgoing.attempt);
    }
}

fn log_refused(answer: &ResultAnswer, reason: Option<&str>) {
    if !answer.accepted {
        // Ordinary after a cancel or a lost heartbeat: another attempt goes on, and what this one made is undone.
        tracing::info!(task = answer.task_id, reason, "the server took no notice of a late result");
    }
}

const REPLACED: &str = "bad_result";

fn replacement(refused: &Outgoing, why: &str) -> Outgoing {
    let message = format!("the server refused the supplier's result: {why}");
    Outgoing::new(&TaskResult::failed(&refused.task_id, refused.attempt, false, REPLACED, message))
}

fn is_replacement(outgoing: &Outgoing) -> bool {
    serde_json::from_str::<TaskResult>(outgoing.json.get())
        .is_ok_and(|result| result.code.as_deref() == Some(REPLACED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outgoing(id: &str, bytes: usize) -> Outgoing {
        Outgoing::new(&TaskResult::produced(id, 1, json!("x".repeat(bytes))))
    }

    fn status(status: u16) -> Trouble {
        Trouble::Status { status, code: String::new(), retry_after: None }
    }

    fn answers(value: &serde_json::Value) -> ResultsAnswer {
        serde_json::from_value(json!({ "results": value })).unwrap()
    }

    #[test]
    fn a_batch_is_bounded_by_count_and_by_bytes() {
        let many: VecDeque<_> = (0..150).map(|index| outgoing(&index.to_string(), 1)).collect();
        assert_eq!(batch_size(&many, MAX_BATCH), 100);
        let large: VecDeque<_> =
            (0..3).map(|index| outgoing(&index.to_string(), MAX_BATCH_BYTES / 2)).collect();
        assert_eq!(batch_size(&large, MAX_BATCH), 1);
        let huge: VecDeque<_> = [outgoing("a", MAX_BATCH_BYTES + 1)].into();
        assert_eq!(batch_size(&huge, MAX_BATCH), 1);
    }

    #[test]
    fn a_refused_batch_is_split_and_a_refused_result_replaced() {
        assert_eq!(after(&status(413), 40), Next::Split);
        assert_eq!(after(&status(422), 1), Next::Replace);
        assert_eq!(after(&status(503), 40), Next::Repeat);
        assert_eq!(after(&Trouble::Connection, 40), Next::Repeat);
        for ended in [401, 403, 404, 409] {
            assert_eq!(after(&status(ended), 1), Next::End, "{ended}");
        }
    }

    #[test]
    fn an_answered_result_is_no_longer_running() {
        let tasks = Tasks::default();
        tasks.begin("a", 1);
        tasks.begin("b", 1);
        let mut waiting: VecDeque<_> = [outgoing("a", 1), outgoing("b", 1), outgoing("c", 1)].into();
        let answer = answers(&json!([{"task_id":"a","accepted":true},
                                    {"task_id":"b","accepted":false,"reason":"claim_lost"}]));
        settle(&mut waiting, 2, answer, &tasks);
        assert_eq!(waiting.len(), 1);
        assert!(tasks.running().is_empty());
    }

    #[test]
    fn an_unreadable_result_is_replaced_once() {
        let tasks = Tasks::default();
        tasks.begin("a", 1);
        let bad =
            || answers(&json!([{"task_id":"a","accepted":false,"reason":"bad_result","message":"after_ms"}]));
        let mut waiting: VecDeque<_> = [outgoing("a", 1)].into();
        settle(&mut waiting, 1, bad(), &tasks);
        assert!(is_replacement(&waiting[0]));
        assert_eq!(tasks.running(), ["a"]);
        settle(&mut waiting, 1, bad(), &tasks);
        assert!(waiting.is_empty() && tasks.running().is_empty());
    }
}

//! The attempts that a session has claimed, until their results are answered.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ended::UnreportedResult;
use crate::wire::Task;

/// Attempts that were claimed and whose results are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    running: Mutex<HashMap<(String, u32), Running>>,
    answered: Notify,
}

#[derive(Debug, Clone)]
struct Running {
    cancelled: CancellationToken,
    /// What is to be said of it if its result is never answered.
    otherwise: UnreportedResult,
}

impl Tasks {
    /// Notes an attempt.
    pub(crate) fn begin(&self, task: &Task) {
        self.note(UnreportedResult::of(task));
    }

    /// Notes all attempts of `other`.
    pub(crate) fn begin_all(&self, other: &Self) {
        other.unanswered().into_iter().for_each(|attempt| self.note(attempt));
    }

    /// Forgets an attempt whose result was answered, and returns what would have been said of it otherwise.
    pub(crate) fn forget(&self, id: &str, attempt: u32) -> Option<UnreportedResult> {
        let mut running = self.lock();
        let known = running.remove(&(id.to_owned(), attempt));
        if running.is_empty() {
            self.answered.notify_waiters();
        }
        known.map(|known| known.otherwise)
    }

    /// Ids for a heartbeat.
    pub(crate) fn running(&self) -> Vec<String> {
        self.lock().keys().map(|(id, _)| id.clone()).collect()
    }

    /// Whether every attempt was answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Every attempt that was not answered, in no particular order.
    pub(crate) fn unanswered(&self) -> Vec<UnreportedResult> {
        self.lock().values().map(|running| running.otherwise.clone()).collect()
    }

    /// Tells the handler of an attempt that nobody wants its result any more.
    pub(crate) fn token(&self, id: &str, attempt: u32) -> CancellationToken {
        self.lock()
            .get(&(id.to_owned(), attempt))
            .map(|running| running.cancelled.clone())
            .unwrap_or_default()
    }

    /// Cancels all attempts of these tasks.
    pub(crate) fn cancel(&self, ids: &[String]) {
        let running = self.lock();
        let wanted = running.iter().filter(|((id, _), _)| ids.contains(id));
        wanted.for_each(|(_, running)| running.cancelled.cancel());
    }

    /// Cancels all attempts.
    pub(crate) fn cancel_all(&self) {
        self.lock().values().for_each(|running| running.cancelled.cancel());
    }

    /// Returns once every attempt was answered.
    pub(crate) async fn all_answered(&self) {
        loop {
            let mut notified = pin!(self.answered.notified());
            // Listening begins before looking: an answer in between is not missed.
            notified.as_mut().enable();
            if self.is_empty() {
                return;
            }
            notified.await;
        }
    }

    fn note(&self, otherwise: UnreportedResult) {
        let key = (otherwise.task_id.clone(), otherwise.attempt);
        self.lock().insert(key, Running { cancelled: CancellationToken::new(), otherwise });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, u32), Running>> {
        // Single inserts and removals: a panic elsewhere leaves nothing half done.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A produce of some capability, for tests that care only about which attempt it is.
#[cfg(test)]
pub(crate) fn task(id: &str, attempt: u32) -> Task {
    serde_json::from_value(serde_json::json!({
        "id": id, "attempt": attempt, "operation": "produce", "capability": "x", "dataset_id": format!("ds_{id}"),
        "seed": 1, "unique": "abc", "idempotency_key": format!("key-{id}"), "deadline_ms": 60_000
    }))
    .expect("a task has no other fields that must be there")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_cancelled_task_keeps_running_until_its_result_is_answered() {
        let tasks = Tasks::default();
        tasks.begin(&task("a", 1));
        tasks.begin(&task("b", 1));
        tasks.cancel(&["a".into()]);
        assert!(tasks.token("a", 1).is_cancelled());
        assert!(!tasks.token("b", 1).is_cancelled());
        assert_eq!(tasks.running().len(), 2);
    }

    #[test]
    fn another_attempt_of_a_task_is_another_entry() {
        let tasks = Tasks::default();
        tasks.begin(&task("a", 1));
        tasks.begin(&task("a", 2));
        assert_eq!(tasks.forget("a", 1).map(|attempt| attempt.idempotency_key), Some("key-a".to_owned()));
        assert_eq!(tasks.running(), ["a"]);
    }

    #[tokio::test]
    async fn a_drain_waits_for_the_last_answer() {
        let tasks = Arc::new(Tasks::default());
        tasks.all_answered().await;
        tasks.begin(&task("a", 1));
        let mut waiting = pin!(tasks.all_answered());
        assert!(futures::poll!(&mut waiting).is_pending());
        tasks.forget("a", 1);
        waiting.await;
    }
}

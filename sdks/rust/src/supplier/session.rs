//! One session: claims tasks, runs them, sends heartbeats, until it is lost or drained.
//!
//! ```text
//! live --drain--> draining --last result answered--> drained
//!   \--404, 409: dead, or the server lost it--> lost (a new session is opened)
//!   \--superseded, 401, 403--> fatal (its handlers finish, and what they say is reported if the server listens)
//! ```

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::attempt;
use super::offer::Offer;
use super::results::{Late, Outbox, Way, deliver};
use super::tasks::Tasks;
use crate::Error;
use crate::http::Http;
use crate::retry::{Trouble, backoff, delay_before_retry};
use crate::wire::{Claim, Claimed, Heartbeat, HeartbeatAnswer, Task};

/// Longest wait of one claim that the server allows.
const CLAIM_WAIT_S: u64 = 30;
/// The server hands out no more in one answer.
const MAX_CLAIM: usize = 100;
/// How long a parked claim may take to come back after the session was told to drain; it does at once.
const DRAIN_ANSWER: Duration = Duration::from_secs(5);

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The server does not know it any more: open another.
    Lost(String),
    /// Everything claimed was answered after a drain.
    Drained,
    /// Opening another would not help.
    Fatal(Error),
}

/// What all sessions of one supplier have in common.
pub(crate) struct Shared {
    pub(crate) http: Http,
    pub(crate) environment: Arc<str>,
    pub(crate) offers: HashMap<String, Arc<dyn Offer>>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) drain: CancellationToken,
    /// The server shall refuse what it otherwise only warns of.
    pub(crate) strict: bool,
}

/// One open session.
pub(crate) struct Session<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) id: String,
    pub(crate) heartbeat: Duration,
}

impl Session<'_> {
    /// Works until the session is over. Handlers run in `handlers`, and outlive the session until they end by
    /// themselves: stopping them half-way would leave more behind than letting them finish. What they say then waits in
    /// `late`.
    pub(crate) async fn serve(&self, handlers: &mut JoinSet<()>, late: &mut Late) -> Ended {
        let tasks = Arc::new(Tasks::default());
        let (own, incoming) = mpsc::unbounded_channel();
        let bench = Bench {
            shared: self.shared,
            handlers: Mutex::new(handlers),
            tasks: Arc::clone(&tasks),
            way: late.way(own),
        };
        let mut outbox = Outbox::new(incoming, Arc::clone(&tasks));
        let working = async {
            match self.claim_until_drained(&bench).await {
                Some(ended) => ended,
                None => {
                    tasks.all_answered().await;
                    Ended::Drained
                }
            }
        };
        let ended = tokio::select! {
            ended = working => ended,
            ended = self.beat(&tasks) => ended,
            ended = deliver(&self.shared.http, &self.id, &mut outbox, Some(&bench)) => ended,
            // On its own, so that live results never wait behind late ones.
            ended = deliver(&self.shared.http, &self.id, &mut late.outbox, None) => ended,
        };
        let ended = match ended {
            // The server ends a drained session with its last result, which a heartbeat may hear of first.
            Ended::Lost(_) if self.shared.drain.is_cancelled() && tasks.is_empty() => Ended::Drained,
            ended => ended,
        };
        tasks.cancel_all();
        late.take_over(outbox).await;
        match ended {
            Ended::Drained => self.finish(late).await,
            ended => ended,
        }
    }

    /// Waits for attempts of lost sessions and sends what they say: the server listens to a drained session, too.
    async fn finish(&self, late: &mut Late) -> Ended {
        let tasks = Arc::clone(late.tasks());
        tokio::select! {
            () = tasks.all_answered() => Ended::Drained,
            ended = deliver(&self.shared.http, &self.id, &mut late.outbox, None) => ended,
        }
    }

    /// Keeps one claim parked while there are free slots. `None` when the session drains.
    async fn claim_until_drained(&self, bench: &Bench<'_, '_>) -> Option<Ended> {
        if self.shared.drain.is_cancelled() {
            // Opened only to send what is late.
            self.announce_drain().await;
            return None;
        }
        let mut received = Vec::new();
        loop {
            bench.clear();
            let slots = self.free_slots();
            let mut claim = pin!(self.claim(slots.len()));
            if !slots.is_empty() {
                // Sent before the handlers run, so that a busy machine never leaves the server without a claim.
                if let std::task::Poll::Ready(answer) = futures::poll!(&mut claim) {
                    bench.start(received);
                    received = match answer {
                        Ok(claimed) => bench.take(claimed.tasks, slots),
                        Err(ended) => return Some(ended),
                    };
                    continue;
                }
            }
            bench.start(std::mem::take(&mut received));
            if slots.is_empty() {
                tokio::select! {
                    () = self.shared.drain.cancelled() => {
                        self.announce_drain().await;
                        return None;
                    }
                    slot = Arc::clone(&self.shared.slots).acquire_owned() => drop(slot),
                }
                continue;
            }
            tokio::select! {
                answer = &mut claim => match answer {
                    Ok(claimed) => received = bench.take(claimed.tasks, slots),
                    Err(ended) => return Some(ended),
                },
                () = self.shared.drain.cancelled() => {
                    self.announce_drain().await;
                    // Tasks that were on their way are ours all the same.
                    if let Ok(Ok(claimed)) = tokio::time::timeout(DRAIN_ANSWER, claim).await {
                        bench.start(bench.take(claimed.tasks, slots));
                    }
                    return None;
                }
            }
        }
    }

    /// All slots that are free now, at most as many as one claim can use.
    fn free_slots(&self) -> Vec<OwnedSemaphorePermit> {
        let slot = || Arc::clone(&self.shared.slots).try_acquire_owned().ok();
        std::iter::from_fn(slot).take(MAX_CLAIM).collect()
    }

    /// Claims up to `max` tasks; repeats for as long as the session lives.
    async fn claim(&self, max: usize) -> Result<Claimed, Ended> {
        let body = Claim::new(u32::try_from(max).expect("at most 100"), CLAIM_WAIT_S);
        let call = self
            .shared
            .http
            .call(Method::POST, &["v1", "sessions", &self.id, "claim"])
            .waiting(Duration::from_secs(CLAIM_WAIT_S))
            .json(&body)
            .expect("a claim is plain JSON");
        for tries in 1.. {
            let (trouble, error) = match self.shared.http.send_once(&call).await {
                Ok(answer) => match answer.read("the claimed tasks") {
                    Ok(claimed) => return Ok(claimed),
                    Err(error) => (Trouble::Connection, error),
                },
                Err(failed) => failed,
            };
            // The heartbeats find out whether the session lives; until then a broken connection is no reason to stop.
            match delay_before_retry(&trouble, tries.min(10), Duration::ZERO, Duration::MAX, fastrand::f64())
            {
                Some(delay) => {
                    tracing::debug!(%error, "a claim was not answered");
                    tokio::time::sleep(delay).await;
                }
                None if is_internal(&trouble) => tokio::time::sleep(backoff(tries, fastrand::f64())).await,
                None => return Err(lost_or_fatal(&trouble, error)),
            }
        }
        unreachable!("an endless loop ends by returning")
    }

    async fn announce_drain(&self) {
        let http = &self.shared.http;
        let call = http.call(Method::DELETE, &["v1", "sessions", &self.id]);
        if let Ok(Err((_, error))) = tokio::time::timeout(DRAIN_ANSWER, http.send_once(&call)).await {
            tracing::debug!(%error, "the server was not told of the drain; it notices by missing heartbeats");
        }
    }

    /// Sends heartbeats until the session is over.
    async fn beat(&self, tasks: &Tasks) -> Ended {
        let mut ticks = tokio::time::interval(self.heartbeat);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick is at once, and the session is new.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let body = Heartbeat { running: tasks.running() };
            let call = self
                .shared
                .http
                .call(Method::POST, &["v1", "sessions", &self.id, "heartbeat"])
                .json(&body)
                .expect("a heartbeat is plain JSON");
            match tokio::time::timeout(self.heartbeat, self.shared.http.send_once(&call)).await {
                Ok(Ok(answer)) => {
                    let answer: HeartbeatAnswer = answer.read("the heartbeat").unwrap_or_default();
                    tasks.cancel(&answer.cancelled);
                    if answer.draining {
                        self.shared.drain.cancel();
                    }
                }
                Ok(Err((trouble @ Trouble::Status { status: 401 | 403 | 404 | 409, .. }, error))) => {
                    return lost_or_fatal(&trouble, error);
                }
                Ok(Err((_, error))) => tracing::debug!(%error, "a heartbeat was not answered"),
                Err(_) => tracing::debug!("a heartbeat took too long"),
            }
        }
    }
}

/// Where the tasks of one session are worked on.
pub(crate) struct Bench<'a, 'h> {
    shared: &'a Shared,
    handlers: Mutex<&'h mut JoinSet<()>>,
    tasks: Arc<Tasks>,
    way: Way,
}

impl<'h> Bench<'_, 'h> {
    /// Whether tasks may be asked for.
    pub(crate) fn takes_more(&self) -> bool {
        !self.shared.drain.is_cancelled()
    }

    /// Notes tasks as running, each with its slot; slots that are left over become free.
    pub(crate) fn take(
        &self,
        tasks: Vec<Task>,
        mut slots: Vec<OwnedSemaphorePermit>,
    ) -> Vec<(Task, OwnedSemaphorePermit)> {
        let mut taken = Vec::with_capacity(tasks.len());
        for task in tasks {
            // A server that hands out more than was asked for finds them again after the next heartbeat.
            let Some(slot) = slots.pop() else { break };
            self.tasks.begin(&task);
            taken.push((task, slot));
        }
        taken
    }

    /// Begins to work on tasks.
    pub(crate) fn start(&self, received: Vec<(Task, OwnedSemaphorePermit)>) {
        for (task, slot) in received {
            let offer = self.shared.offers.get(&task.capability).cloned();
            let environment = Arc::clone(&self.shared.environment);
            let cancelled = self.tasks.token(&task.id, task.attempt);
            let way = self.way.clone();
            self.handlers().spawn(async move {
                let result = attempt(offer, task, environment, cancelled).await;
                way.send(&result, slot);
            });
        }
    }

    /// Forgets handlers that have ended.
    fn clear(&self) {
        let mut handlers = self.handlers();
        while handlers.try_join_next().is_some() {}
    }

    fn handlers(&self) -> MutexGuard<'_, &'h mut JoinSet<()>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_internal(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Status { status: 500..=599, .. })
}

/// What an error answer means for the session.
pub(crate) fn lost_or_fatal(trouble: &Trouble, error: Error) -> Ended {
    match trouble {
        Trouble::Status { status: 409, code, .. } if code == "superseded" => Ended::Fatal(error),
        Trouble::Connection | Trouble::Status { status: 404 | 409 | 500..=599, .. } => {
            Ended::Lost(error.to_string())
        }
        Trouble::Status { .. } => Ended::Fatal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, code: &str) -> Trouble {
        Trouble::Status { status, code: code.into(), retry_after: None }
    }

    fn ended(trouble: &Trouble) -> Ended {
        lost_or_fatal(trouble, Error::Usage("because".into()))
    }

    #[test]
    fn a_session_that_the_server_forgot_is_opened_anew() {
        assert!(matches!(ended(&status(404, "session_not_found")), Ended::Lost(_)));
        assert!(matches!(ended(&status(409, "session_ended")), Ended::Lost(_)));
    }

    #[test]
    fn two_processes_of_one_name_do_not_fight() {
        assert!(matches!(ended(&status(409, "superseded")), Ended::Fatal(_)));
    }

    #[test]
    fn a_revoked_token_ends_the_supplier() {
        assert!(matches!(ended(&status(401, "unauthenticated")), Ended::Fatal(_)));
        assert!(matches!(ended(&status(403, "forbidden")), Ended::Fatal(_)));
    }
}

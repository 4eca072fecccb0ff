//! Tasks: handing them to suppliers, and taking their answers.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use jiff::Timestamp;
use serde_json::Value;
use sixpack_model::failure::FailureClass;
use sixpack_model::find::WhyGivenUp;
use sixpack_model::ids::{SessionId, TaskId};
use sixpack_model::plan::{Answer, Attempt, Happened};
use sixpack_model::tree::{Claim, Operation, Part, PartStatus, Tree};
use sixpack_storage::StoreError;
use sixpack_storage::mutants::{self, Mutant};
use sixpack_storage::tasks::{Claimed, Claims};
use sixpack_storage::trees::Guard;
use tokio::time::Instant;

use crate::Engine;
use crate::assignment::Assignment;
use crate::caller::Caller;
use crate::on_the_way::OnTheWay;
use crate::parked::{Given, Queue};
use crate::refusal::Refusal;
use crate::sessions::KnownSession;
use crate::successors::Successors;
use crate::trees::Changed;

/// One answer of a supplier.
#[derive(Debug, Clone)]
pub struct TaskAnswer {
    /// The task.
    pub task: TaskId,
    /// The attempt that was made.
    pub attempt: u32,
    /// What came of it.
    pub answer: Answer,
}

/// What became of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// It is recorded.
    Recorded,
    /// It is recorded as a failed attempt, because it breaks the contract.
    ContractViolation(String),
    /// There is no such task, or it is not this supplier's.
    UnknownTask,
    /// Another attempt goes on.
    ClaimLost,
    /// The task has its answer.
    AlreadyCompleted,
    /// Nobody wants it any more.
    Cancelled,
}

impl Engine {
    /// Hands a session up to `max` tasks; waits for the first of them up to `wait`.
    pub async fn claim(
        &self,
        caller: &Caller,
        session: SessionId,
        max: u32,
        wait: Duration,
    ) -> Result<Vec<Assignment>, Refusal> {
        let known = self.known_session(caller, session).await?;
        let until = Instant::now() + wait;
        // Whoever does not wait, and whoever looks again, wants to know for sure; and whoever is gone before it looks again, when
        // others may have left something that is not known here.
        let looks_again = self.look_again() * (self.calls_of(session) + 1);
        let mut for_sure = wait.is_zero() || (wait <= looks_again && !self.is_alone());
        loop {
            // Parked first, asked second: whatever is written in between finds the supplier parked.
            let mut place = self.inner.parked.park(session, max, Arc::clone(&known.queues));
            let (mut tasks, next_at) = if !place.is_taken && (for_sure || place.worth_a_look) {
                self.claim_for(session, max).await?
            } else {
                (Vec::new(), None)
            };
            for_sure = true;
            if !tasks.is_empty() {
                // Taken in this very moment, it may have been given others as well: it gets them, too, as far as it has room,
                // and the rest goes back.
                if !place.leave() {
                    let on_the_way = OnTheWay::new(self, session, tasks);
                    let also = given_tasks(place.given().await);
                    tasks = on_the_way.arrive();
                    tasks.extend(also);
                    drop(OnTheWay::new(self, session, tasks.split_off(tasks.len().min(max as usize))));
                }
                return Ok(tasks);
            }
            // All calls that a session has parked look in turn: together they look once in that time.
            let look_again = self.look_again() * self.calls_of(session).max(1);
            let look_again = self.pause_until(next_at).await?.min(look_again);
            let waited = tokio::time::timeout_at(until.min(Instant::now() + look_again), place.given()).await;
            let given = match waited {
                Ok(given) => given,
                Err(_) if place.leave() => Given::Nothing,
                Err(_) => place.given().await,
            };
            match given {
                Given::Tasks(tasks) => return Ok(tasks),
                Given::GoAway => return Ok(Vec::new()),
                Given::Nothing if Instant::now() >= until => return Ok(Vec::new()),
                Given::Nothing => {}
            }
        }
    }

    /// How many calls a session has parked here.
    fn calls_of(&self, session: SessionId) -> u32 {
        u32::try_from(self.inner.parked.places_of(session)).unwrap_or(u32::MAX / 10)
    }

    /// Takes a supplier's answers, each on its own: one that is refused harms no other. Hands it up to `max` tasks that are
    /// ready then, without waiting for any.
    pub async fn answer(
        &self,
        caller: &Caller,
        session: SessionId,
        answers: Vec<TaskAnswer>,
        max: u32,
    ) -> Result<(Vec<Receipt>, Vec<Assignment>), Refusal> {
        let known = self.known_session(caller, session).await?;
        let engine = self.clone();
        // Detached, because a supplier that hangs up must not leave half of its answers behind.
        let all = tokio::spawn(async move {
            let successors = Successors::of(session, Arc::clone(&known.queues), max);
            // The first poll of an answer writes it when its tree is remembered, so that the claim is right behind.
            let answering =
                join_all(answers.into_iter().map(|one| engine.answer_one(&known, one, &successors)));
            let (receipts, tasks) = match engine.is_alone() {
                true => join(answering, engine.claim_successors(&known, max, &successors)).await,
                // A store that others use as well is asked before it is written to, so that the claim would be the first.
                false => (answering.await, engine.claim_successors(&known, max, &successors).await),
            };
            (receipts, OnTheWay::new(&engine, session, tasks))
        });
        let (receipts, tasks) = all.await.map_err(|_| Refusal::Busy)?;
        Ok((receipts.into_iter().collect::<Result<_, _>>()?, tasks.arrive()))
    }

    /// Claims behind answers that were written a moment ago, if there is reason to believe that there is anything.
    async fn claim_successors(
        &self,
        session: &KnownSession,
        max: u32,
        successors: &Successors,
    ) -> Vec<Assignment> {
        let (expected, claimed) = successors.close();
        // What is kept for it is claimed already.
        let mut tasks = self.inner.parked.collect(session.id, (max as usize).saturating_sub(claimed.len()));
        let more = max.saturating_sub(u32::try_from(claimed.len() + tasks.len()).unwrap_or(u32::MAX));
        let is_worth_a_look =
            || !expected.is_empty() || self.inner.parked.worth_a_look(session.id, &session.queues);
        let claims = match more > 0 && is_worth_a_look() {
            true => self.claim_in_store(session.id, more).await,
            false => Ok(Claims::NotLive),
        };
        self.leave_what_nobody_took(expected, std::iter::once(&claims));
        let mut all = claimed;
        // The next claim tells the supplier itself what is wrong.
        if let Ok(Claims::Given { tasks: more, .. }) = claims {
            all.extend(more);
        }
        tasks.extend(self.assignments(all).await);
        tasks
    }

    async fn answer_one(
        &self,
        session: &KnownSession,
        answer: TaskAnswer,
        successors: &Successors,
    ) -> Result<Receipt, Refusal> {
        let TaskAnswer { task, attempt, answer } = answer;
        let Some(mut tree) = self.remembered(task.tree, 0).await? else { return Ok(Receipt::UnknownTask) };
        if !concerns(&tree, task, session) {
            // What is remembered may be behind; what is stored has the last word.
            let stored = self.store().load_tree(task.tree).await?;
            match stored.filter(|stored| concerns(stored, task, session)) {
                Some(stored) => tree = Arc::new(stored),
                None => return Ok(Receipt::UnknownTask),
            }
        }
        let answer = match mutants::on(Mutant::CancelledStepNotUndone) && is_cancelled(&tree, task) {
            true => nothing_made(),
            false => answer,
        };
        let claim = Claim { task, attempt, session: session.id };
        let happened = Happened::Answered {
            attempt: Attempt { part: task.part, serial: task.serial, number: attempt },
            session: session.id,
            by: session.answerer.clone(),
            answer: answer.clone(),
        };
        match self.change_for(task.tree, Guard::Claim(claim), happened, successors).await? {
            Changed::Done(after) => {
                self.wake_limited(&tree, task);
                Ok(receipt(&tree, &after, task))
            }
            Changed::Unknown => Ok(Receipt::UnknownTask),
            Changed::Refused(tree) => {
                if let Some(output) = may_have_made(&tree, task, answer)
                    && !mutants::on(Mutant::LateEffectForgotten)
                {
                    self.keep_orphan(task.dataset(), output).await?;
                }
                Ok(refused(&tree, task))
            }
        }
    }

    /// Claims for a call; when the call is given up in the meantime, so are the tasks.
    async fn claim_for(
        &self,
        session: SessionId,
        max: u32,
    ) -> Result<(Vec<Assignment>, Option<Timestamp>), Refusal> {
        let engine = self.clone();
        let claiming = tokio::spawn(async move {
            let (tasks, next_at) = engine.claim_now(session, max).await?;
            Ok::<_, Refusal>((OnTheWay::new(&engine, session, tasks), next_at))
        });
        let (tasks, next_at) = claiming.await.map_err(|_| Refusal::Busy)??;
        Ok((tasks.arrive(), next_at))
    }

    async fn claim_now(
        &self,
        session: SessionId,
        max: u32,
    ) -> Result<(Vec<Assignment>, Option<Timestamp>), Refusal> {
        match self.claim_in_store(session, max).await? {
            Claims::Given { tasks, next_at, .. } => Ok((self.assignments(tasks).await, next_at)),
            Claims::NotLive => Err(self.why_not_live(session).await?),
        }
    }

    /// Claims, and remembers when nothing is left for the session.
    pub(crate) async fn claim_in_store(&self, session: SessionId, max: u32) -> Result<Claims, StoreError> {
        let writes = self.inner.parked.writes();
        let claims = self.store().claim_tasks(session, max).await?;
        if matches!(claims, Claims::Given { exhausted: true, .. }) {
            self.inner.parked.looked(session, writes);
        }
        Ok(claims)
    }

    fn assignment(&self, tree: &Tree, claimed: &Claimed) -> Option<Assignment> {
        let assignment = Assignment::of(tree, claimed)?;
        self.inner.measures.handed_out(&tree.environment, &assignment.contract, claimed.waited_ms);
        Some(assignment)
    }

    pub(crate) async fn assignments(&self, claimed: Vec<Claimed>) -> Vec<Assignment> {
        let mut assignments = Vec::with_capacity(claimed.len());
        for claimed in claimed {
            match self.tree_of_claim(claimed.claim.task.tree, claimed.tree_version).await {
                Ok(Some(tree)) => match self.assignment(&tree, &claimed) {
                    Some(assignment) if claimed.operation == Operation::Find => {
                        let part = &tree.parts[claimed.claim.task.part as usize];
                        let exclude = self.excluded(&tree, part).await;
                        assignments.push(Assignment { exclude, ..assignment });
                    }
                    Some(assignment) => assignments.push(assignment),
                    // Its deadline brings it back to the planner.
                    None => tracing::error!(task = %claimed.claim.task, "a claimed task is not in its tree"),
                },
                Ok(None) => tracing::error!(task = %claimed.claim.task, "a claimed task has no tree"),
                Err(error) => {
                    tracing::error!(task = %claimed.claim.task, %error, "a claimed task cannot be read");
                }
            }
        }
        assignments
    }

    /// A slot of a capability with limits has become free: another supplier may have been waiting for it.
    fn wake_limited(&self, tree: &Tree, task: TaskId) {
        let part = &tree.parts[task.part as usize];
        let limited = self
            .shelf(&tree.environment)
            .and_then(|shelf| shelf.contract(&part.contract, part.version))
            .is_some_and(|contract| {
                contract.capability().is_some_and(|capability| capability.concurrency.is_some())
            });
        if limited {
            let queue = Queue::of(tree, &part.contract, part.version);
            let engine = self.clone();
            tokio::spawn(async move { engine.offer(&queue).await });
        }
    }

    async fn pause_until(&self, at: Option<Timestamp>) -> Result<Duration, StoreError> {
        let Some(at) = at else { return Ok(Duration::MAX) };
        let now = self.store().now().await?;
        // Never zero: a time that has just passed must not turn waiting into spinning.
        Ok(Duration::try_from(at.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1)))
    }
}

fn given_tasks(given: Given) -> Vec<Assignment> {
    match given {
        Given::Tasks(tasks) => tasks,
        Given::Nothing | Given::GoAway => Vec::new(),
    }
}

/// What a late answer says about effects: `None` that there is none, `Some(None)` that there may be one under the key.
fn may_have_made(tree: &Tree, task: TaskId, answer: Answer) -> Option<Option<Value>> {
    let part = tree.parts.get(task.part as usize)?;
    // Looking for something makes nothing, whatever comes of it.
    if part.is_find(task.serial) {
        return None;
    }
    match answer {
        Answer::Produced { output, .. } => Some(Some(output)),
        Answer::Again { .. } | Answer::Failed { retryable: true, .. }
            if part.is_first_to_make(task.serial) =>
        {
            Some(None)
        }
        _ => None,
    }
}

/// An answer after which there is nothing to undo.
fn nothing_made() -> Answer {
    let (code, message) = ("cancelled".to_owned(), "nobody wants it any more".to_owned());
    Answer::Failed { retryable: false, code, message, details: None }
}

/// A supplier may speak of its own domain in its own environment only.
fn concerns(tree: &Tree, task: TaskId, session: &KnownSession) -> bool {
    tree.environment.as_ref() == session.environment
        && tree.parts.get(task.part as usize).is_some_and(|part| {
            part.contract.domain() == session.domain && task.serial >= 1 && task.serial <= part.serials
        })
}

/// Whether nobody wants any more what is being done, and it is only waited for.
fn is_cancelled(tree: &Tree, task: TaskId) -> bool {
    let live = tree.parts.get(task.part as usize).and_then(|part| part.task.as_ref());
    live.is_some_and(|live| live.serial == task.serial && live.cancelled)
}

fn receipt(before: &Tree, after: &Tree, task: TaskId) -> Receipt {
    let (was, is) = (&before.parts[task.part as usize], &after.parts[task.part as usize]);
    if was.task.as_ref().is_some_and(|task| task.cancelled) || ran_out_of_time(before, after, task.part) {
        return Receipt::Cancelled;
    }
    if let Some(given_up) = is.search.as_ref().and_then(|search| search.given_up.as_ref())
        && given_up.why == WhyGivenUp::ContractViolation
        && was.is_find(task.serial)
    {
        return Receipt::ContractViolation(given_up.message.clone());
    }
    match &is.failure {
        Some(failure) if was.failure.is_none() && failure.class == FailureClass::ContractViolation => {
            Receipt::ContractViolation(failure.message.clone())
        }
        _ => Receipt::Recorded,
    }
}

/// Whether the part was given up because something ran out of time before this very answer came.
fn ran_out_of_time(before: &Tree, after: &Tree, part: u32) -> bool {
    let timed_out =
        |part: &Part| part.failure.as_ref().is_some_and(|failure| failure.class == FailureClass::Timeout);
    let given_up = !matches!(after.parts[part as usize].status, PartStatus::Ready | PartStatus::Leased)
        && !after.parts[part as usize].is_being_made();
    given_up
        && after
            .parts
            .iter()
            .any(|part| timed_out(part) && !before.parts.get(part.part as usize).is_some_and(timed_out))
}

fn refused(tree: &Tree, task: TaskId) -> Receipt {
    match tree.parts.get(task.part as usize).and_then(|part| part.task.as_ref()) {
        _ if is_cancelled(tree, task) => Receipt::Cancelled,
        Some(live) if live.serial == task.serial => Receipt::ClaimLost,
        _ => Receipt::AlreadyCompleted,
    }
}

//! Together: calls that may share a transaction are served by one.
//!
//! ```text
//! call --> waiting --those that go together, when the ones before are served--> one transaction --> each its own answer
//! ```
//!
//! Nobody waits for others to come: whoever comes while others are being served is served behind them, with all who came
//! meanwhile, or beside them once there are as many as are served at once. What cannot be done for all of them is done for each by
//! itself.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::sync::oneshot;

use super::turns::Turn;
use super::writer::{Doing, Tx};
use super::{Inner, PostgresStore};
use crate::error::StoreError;

/// Calls that are served at once: what they write fits into a few packets, and nobody waits long for the others' rows.
const AT_ONCE: usize = 64;

/// How many such transactions there may be at one time in a lane, each but the first with as many calls as are served at once: two small
/// ones cost the database twice as much as one, and a database that is far away is still kept busy.
const SERVING: usize = 2;

/// Lanes of calls that go together. Those of others wait behind each other only where they meet in one; all lanes together keep as
/// many transactions going as there are connections.
const LANES: usize = 8;

/// A call that may share its transaction with others.
pub(super) trait Shared: Sized + Send + Sync + 'static {
    /// What the caller is told.
    type Answer: Send + 'static;

    /// What is being done, for errors.
    const DOING: &'static str;

    /// What all have in common that may be served together, such as their environment.
    fn in_common(&self) -> impl Hash;

    /// Whether it may be served with these, of which there is at least one.
    fn goes_with(&self, group: &[Self]) -> bool;

    /// Serves all of them, which are at least two; whoever gets `None` is to be served by itself, and nothing has happened for it.
    fn serve_all<'a>(tx: &'a mut Tx, all: &'a [Self]) -> Doing<'a, Vec<Option<Self::Answer>>>;

    /// Serves one by itself.
    fn serve_one<'a>(tx: &'a mut Tx, one: &'a Self) -> Doing<'a, Self::Answer>;
}

/// Calls that are to be served.
pub(super) struct Together<C: Shared>([Mutex<Lane<C>>; LANES]);

struct Lane<C: Shared> {
    // Each belongs to one waiting caller, and callers are limited before they come here.
    waiting: VecDeque<(C, Caller<C>)>,
    serving: usize,
}

struct Caller<C: Shared> {
    turn: Turn,
    answer: oneshot::Sender<Result<C::Answer, StoreError>>,
}

impl<C: Shared> Caller<C> {
    fn tell(self, answer: Result<C::Answer, StoreError>) {
        drop(self.turn);
        // Whoever has gone away finds out what was done when it comes again.
        let _ = self.answer.send(answer);
    }
}

impl<C: Shared> Default for Together<C> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Lane { waiting: VecDeque::new(), serving: 0 })))
    }
}

impl<C: Shared> Together<C> {
    /// Takes a call in; the number of its lane when somebody has to begin to serve there.
    fn join(&self, call: C, caller: Caller<C>) -> Option<usize> {
        let mut hasher = DefaultHasher::new();
        call.in_common().hash(&mut hasher);
        let number = usize::try_from(hasher.finish() % LANES as u64).expect("a remainder is small");
        let mut lane = self.lock(number);
        lane.waiting.push_back((call, caller));
        let begins = lane.serving == 0 || (lane.serving < SERVING && lane.waiting.len() >= AT_ONCE);
        lane.serving += usize::from(begins);
        begins.then_some(number)
    }

    /// Those who are served next in a lane; `None`, and somebody less serves, when nobody is needed for them.
    fn next(&self, number: usize) -> Option<(Vec<C>, Vec<Caller<C>>)> {
        let mut lane = self.lock(number);
        let is_needed = lane.serving == 1 || lane.waiting.len() >= AT_ONCE;
        let Some((first, caller)) = is_needed.then(|| lane.waiting.pop_front()).flatten() else {
            lane.serving -= 1;
            return None;
        };
        let (mut group, mut callers) = (vec![first], vec![caller]);
        let mut others = VecDeque::new();
        while group.len() < AT_ONCE
            && let Some((call, caller)) = lane.waiting.pop_front()
        {
            if call.goes_with(&group) {
                group.push(call);
                callers.push(caller);
            } else {
                others.push_back((call, caller));
            }
        }
        others.append(&mut lane.waiting);
        lane.waiting = others;
        Some((group, callers))
    }

    fn lock(&self, lane: usize) -> MutexGuard<'_, Lane<C>> {
        self.0[lane].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostgresStore {
    /// Carries a call out, with others that go with it.
    pub(super) async fn share<C: Shared>(
        &self,
        together: &Arc<Together<C>>,
        call: C,
    ) -> Result<C::Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        if let Some(lane) = together.join(call, Caller { turn: self.turns.take(), answer }) {
            let (inner, together) = (Arc::clone(&self.inner), Arc::clone(together));
            self.under_way.spawn(async move {
                while let Some((group, callers)) = together.next(lane) {
                    // By itself, so that a panic is not that of whoever serves the next.
                    let _ = tokio::spawn(Arc::clone(&inner).serve(group, callers)).await;
                }
            });
        }
        answered.await.unwrap_or_else(|gone| Err(StoreError::Broken { doing: C::DOING, cause: gone.into() }))
    }
}

impl Inner {
    async fn serve<C: Shared>(self: Arc<Self>, group: Vec<C>, callers: Vec<Caller<C>>) {
        let mut answers = Vec::new();
        if group.len() > 1 {
            match self.carry_out(C::DOING, &group, &|tx, all| C::serve_all(tx, all)).await {
                Ok(served) => answers = served.into_iter().map(|answer| answer.map(Ok)).collect(),
                // Nobody knows whether it was done: it must not be done once more.
                Err(StoreError::Unanswered { cause, .. }) => {
                    let told = cause.to_string();
                    let unanswered =
                        || StoreError::Unanswered { doing: C::DOING, cause: told.clone().into() };
                    answers = group.iter().map(|_| Some(Err(unanswered()))).collect();
                }
                // Each is told what is wrong with its own.
                Err(_) => {}
            }
        }
        answers.resize_with(group.len(), || None);
        let mut alone = Vec::new();
        for ((call, caller), answer) in group.into_iter().zip(callers).zip(answers) {
            match answer {
                Some(answer) => caller.tell(answer),
                None => alone.push((call, caller)),
            }
        }
        // Side by side: what has failed for all of them, such as a database that is away, fails for each as fast.
        let inner = &self;
        join_all(alone.into_iter().map(async |(call, caller)| {
            caller.tell(inner.carry_out(C::DOING, &call, &|tx, call| C::serve_one(tx, call)).await);
        }))
        .await;
    }
}

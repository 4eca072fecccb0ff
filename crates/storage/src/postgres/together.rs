//! Together: requests that wish the same from stock are served by one transaction.
//!
//! ```text
//! request --> waiting --those that are alike, when the one before is served--> one transaction --> each its own answer
//! ```
//!
//! Nobody waits for others to come: whoever comes while others are being served is served behind them, with all who came
//! meanwhile. What cannot be done for all of them is done for each by itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::turns::Turn;
use super::{Inner, PostgresStore};
use crate::error::StoreError;
use crate::requests::Created;
use crate::stored::accepting::NewRequestRow;

/// What is being done, for errors.
pub(super) const ACCEPTING: &str = "accepting a request";

/// Requests that are served at once: what they write fits into a few packets, and nobody waits long for the others' rows.
const AT_ONCE: usize = 64;

/// How many such transactions there may be at one time: one is being flushed while the next is carried out.
const SERVING: usize = 2;

/// Requests that are to be served.
#[derive(Default)]
pub(super) struct Together(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    // Each belongs to one waiting caller, and callers are limited before they come here.
    waiting: VecDeque<Waiting>,
    serving: usize,
}

struct Waiting {
    new: NewRequestRow,
    turn: Turn,
    answer: oneshot::Sender<Result<Created, StoreError>>,
}

impl Together {
    /// Takes a request in; true when somebody has to begin to serve.
    fn join(&self, waiting: Waiting) -> bool {
        let mut queue = self.lock();
        queue.waiting.push_back(waiting);
        let begins = queue.serving < SERVING;
        queue.serving += usize::from(begins);
        begins
    }

    /// Those who are served next; `None`, and somebody less serves, when there are none.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.lock();
        let Some(first) = queue.waiting.pop_front() else {
            queue.serving -= 1;
            return None;
        };
        let mut group = vec![first];
        let mut others = VecDeque::with_capacity(queue.waiting.len());
        while let Some(other) = queue.waiting.pop_front() {
            let alike = group.len() < AT_ONCE && other.new.is_alike(&group[0].new);
            if alike { group.push(other) } else { others.push_back(other) }
        }
        queue.waiting = others;
        Some(group)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostgresStore {
    /// Accepts a request that takes what it wishes from stock or nothing.
    pub(super) async fn accept_together(&self, new: NewRequestRow) -> Result<Created, StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.together.join(Waiting { new, turn: self.turns.take(), answer }) {
            let (inner, together) = (Arc::clone(&self.inner), Arc::clone(&self.together));
            self.under_way.spawn(async move {
                while let Some(group) = together.next() {
                    // By itself, so that a panic is not that of whoever serves the next.
                    let _ = tokio::spawn(Arc::clone(&inner).serve(group)).await;
                }
            });
        }
        answered.await.unwrap_or_else(|gone| Err(StoreError::Broken { doing: ACCEPTING, cause: gone.into() }))
    }
}

impl Inner {
    async fn serve(self: Arc<Self>, group: Vec<Waiting>) {
        let mut rows = Vec::with_capacity(group.len());
        let mut callers = Vec::with_capacity(group.len());
        for Waiting { new, turn, answer } in group {
            rows.push(new);
            callers.push((turn, answer));
        }
        let mut together = None;
        if rows.len() > 1 {
            together =
                match self.carry_out(ACCEPTING, &rows, &|tx, rows| Box::pin(tx.accept_alike(rows))).await {
                    Ok(created) => created.map(|all| all.into_iter().map(Ok).collect::<Vec<_>>()),
                    // Nobody knows whether it was done: it must not be done once more.
                    Err(StoreError::Unanswered { cause, .. }) => {
                        let told = cause.to_string();
                        let unanswered =
                            || StoreError::Unanswered { doing: ACCEPTING, cause: told.clone().into() };
                        Some(rows.iter().map(|_| Err(unanswered())).collect())
                    }
                    Err(_) => None,
                };
        }
        let Some(all) = together else {
            for (new, (turn, answer)) in rows.iter().zip(callers) {
                let created = self.carry_out(ACCEPTING, new, &|tx, new| Box::pin(tx.accept(new))).await;
                drop(turn);
                let _ = answer.send(created);
            }
            return;
        };
        for (created, (turn, answer)) in all.into_iter().zip(callers) {
            drop(turn);
            // Whoever has gone away finds it by its key, or lets the lease end.
            let _ = answer.send(created);
        }
    }
}

//! The writer: carries a transaction out, again when it gave way to another one, and whether or not its caller still waits.
//!
//! ```text
//! first poll: takes a turn, is spawned -> BEGIN and the time -> the work -> COMMIT -> answered
//!                                          ^                      | gave way, or the connection was lost before COMMIT
//!                                          '---- ROLLBACK, pause <'
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Inner;
use super::columns::number;
use super::faults::Fault;
use super::limits::{ATTEMPTS, PAUSE_MS, TRANSACTION};
use super::locks::Held;
use super::memory::{Memory, Names};
use super::quotas::Taker;
use super::statements::Connection;
use crate::error::StoreError;

/// What a closure of the store returns: it borrows what it works with and its input.
pub(super) type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// What a write works with.
pub(super) struct Tx {
    /// The connection, inside a transaction.
    pub(super) connection: Connection,
    /// The store's time, in milliseconds: read once, with the beginning of the transaction, so that everything it writes
    /// agrees. Waiting for a row may make it older, by less than a row is waited for; an older time makes nothing happen too
    /// early.
    pub(super) now: i64,
    /// The upper part of every fence.
    pub(super) fence_epoch: u64,
    /// What all transactions know.
    pub(super) memory: Arc<Memory>,
    /// What this one has found out, for all if it commits.
    pub(super) found: Names,
    /// Whether it has announced that it takes numbers of events.
    pub(super) tells: bool,
    /// What it holds.
    pub(super) held: Held,
    /// Places that it gives back, with how many, when everything else is written.
    pub(super) given_back: Vec<(Taker, i64)>,
    /// Whether its outcome is a refusal, and nothing of it is kept.
    refused: bool,
}

impl Inner {
    /// Carries a write out.
    pub(super) async fn carry_out<I, T, F>(
        &self,
        doing: &'static str,
        input: &I,
        work: &F,
    ) -> Result<T, StoreError>
    where
        F: for<'a> Fn(&'a mut Tx, &'a I) -> Doing<'a, T>,
    {
        let mut attempt = 1;
        loop {
            let fault = match self.attempt(input, work).await {
                Ok(value) => return Ok(value),
                Err(Ended::Unknown(cause)) => {
                    tracing::error!(doing, error = ?cause, "the answer to a commit was lost");
                    return Err(StoreError::Unanswered { doing, cause: cause.into_cause() });
                }
                Err(Ended::Undone(fault)) => fault,
            };
            if !fault.is_passing() || attempt == ATTEMPTS {
                tracing::error!(doing, ?fault, attempt, "a write failed and was rolled back");
                return Err(fault.told(doing));
            }
            tracing::debug!(doing, ?fault, attempt, "a write is carried out again");
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn attempt<I, T, F>(&self, input: &I, work: &F) -> Result<T, Ended>
    where
        F: for<'a> Fn(&'a mut Tx, &'a I) -> Doing<'a, T>,
    {
        let mut tx = self.begin().await.map_err(Ended::Undone)?;
        let worked = timeout(TRANSACTION, work(&mut tx, input)).await;
        match worked.unwrap_or(Err(Fault::Late("the transaction"))) {
            Ok(value) if tx.refused => {
                tx.connection.roll_back().await;
                Ok(value)
            }
            Ok(value) => {
                if let Err(fault) = tx.settle_places().await {
                    tx.connection.roll_back().await;
                    return Err(Ended::Undone(fault));
                }
                tx.commit().await?;
                Ok(value)
            }
            // Its connection may be at a loss: closing it undoes everything as well.
            Err(fault @ Fault::Late(_)) => Err(Ended::Undone(fault)),
            Err(fault) => {
                tx.connection.roll_back().await;
                Err(Ended::Undone(fault))
            }
        }
    }

    async fn begin(&self) -> Result<Tx, Fault> {
        let connection = Connection::of(self.pool.get().await?);
        // What the database, or its administrator, has as the default does not matter.
        let begin = connection.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
        let now = connection.one("SELECT sixpack_now()", &[], |row| number(row, 0));
        let (_, now) = futures::future::try_join(begin, now).await?;
        Ok(Tx {
            connection,
            now: now.expect("a function gives a row"),
            fence_epoch: self.fence_epoch,
            memory: Arc::clone(&self.memory),
            found: Names::default(),
            tells: false,
            held: Held::default(),
            given_back: Vec::new(),
            refused: false,
        })
    }
}

/// How an attempt ended that did not succeed.
enum Ended {
    /// Nothing of it was done.
    Undone(Fault),
    /// It was told to be committed, and nobody knows whether it was.
    Unknown(Fault),
}

impl Tx {
    /// Says that the outcome is a refusal, and that whatever was made on the way to it goes again.
    pub(super) fn refuse<T>(&mut self, outcome: T) -> Result<T, Fault> {
        self.refused = true;
        Ok(outcome)
    }

    async fn commit(self) -> Result<(), Ended> {
        match timeout(TRANSACTION, self.connection.commit()).await {
            Ok(Ok(())) => {
                self.memory.keep(self.found);
                Ok(())
            }
            Ok(Err(fault @ Fault::Wrong(_))) => {
                self.connection.roll_back().await;
                Err(Ended::Undone(fault))
            }
            Ok(Err(fault)) if fault.is_refusal() => Err(Ended::Undone(fault)),
            Ok(Err(fault)) => Err(Ended::Unknown(fault)),
            Err(_) => Err(Ended::Unknown(Fault::Late("the commit"))),
        }
    }
}

/// A random pause, longer with each attempt: two that met must not meet again.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(fastrand::u64(1..=PAUSE_MS << attempt))
}

//! The writer: carries a transaction out, again when it gave way to another one, and whether or not its caller still waits.
//!
//! ```text
//! first poll: takes a turn, is spawned -> the time -> BEGIN -> the work -> COMMIT -> answered
//!                                          ^                      | gave way, or the connection was lost before COMMIT
//!                                          '---- ROLLBACK, pause <'
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Inner;
use super::claimants::Havings;
use super::counting::RequestState;
use super::faults::Fault;
use super::limits::{ATTEMPTS, PAUSE_MS};
use super::locks::Held;
use super::marks::Moved;
use super::memory::{Memory, Names};
use super::quotas::Taker;
use super::statements::{Committed, Connection};
use crate::error::StoreError;
use crate::stored::events::EventRow;
use crate::tasks::Claimed;

/// What a closure of the store returns: it borrows what it works with and its input.
pub(super) type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// What a write works with.
pub(super) struct Tx {
    /// The connection, inside a transaction.
    pub(super) connection: Connection,
    /// The store's time, in milliseconds: read once, before the beginning of the transaction, so that everything it writes
    /// agrees. Waiting for a connection, or for a row may make it older, by less than a row is waited for; an older time makes nothing happen too
    /// early.
    pub(super) now: i64,
    /// The upper part of every fence.
    pub(super) fence_epoch: u64,
    /// What all transactions know.
    pub(super) memory: Arc<Memory>,
    /// What this one has found out, for all if it commits.
    pub(super) found: Names,
    /// What it has taken and put where the oldest is taken first, for the marks of all if it commits.
    pub(super) moved: Mutex<Moved>,
    /// Events that it tells of when everything else is written, each with how long the attempt took that it is about.
    pub(super) told: Vec<(EventRow, Option<i64>)>,
    /// What it holds.
    pub(super) held: Held,
    /// A request that it holds, as it was read with that, for whoever touches it first.
    pub(super) read: Option<RequestState>,
    /// Tasks that are claimed with it, of those that it makes ready.
    pub(super) havings: Havings,
    /// Those that were made ready, and are claimed.
    pub(super) claimed: Vec<Claimed>,
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
        let failed = |error: StoreError| {
            self.measures.failed(&error);
            Err(error)
        };
        loop {
            let fault = match self.attempt(input, work).await {
                Ok(value) => return Ok(value),
                Err(Ended::Unknown(cause)) => {
                    tracing::error!(doing, error = ?cause, "the answer to a commit was lost");
                    return failed(StoreError::Unanswered { doing, cause: cause.into_cause() });
                }
                Err(Ended::Undone(fault)) => fault,
            };
            if !fault.is_passing() || attempt == ATTEMPTS {
                tracing::error!(doing, ?fault, attempt, "a write failed and was rolled back");
                return failed(fault.told(doing));
            }
            self.measures.again.add_one();
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
        let begun = Instant::now();
        let worked = timeout(self.patience, work(&mut tx, input)).await;
        match worked.unwrap_or(Err(Fault::Late("the transaction"))) {
            Ok(value) if tx.refused => {
                tx.connection.roll_back().await;
                Ok(value)
            }
            Ok(value) => {
                if let Err(fault) = tx.write_last().await {
                    tx.connection.roll_back().await;
                    return Err(Ended::Undone(fault));
                }
                tx.commit(self.patience).await?;
                self.measures.commits.note_span(begun.elapsed());
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
        // Asked for before there is a connection: whoever holds one waits for nobody who wants one.
        let now = self.time.now().await?;
        let connection = self.pool.get().await?;
        // What the database, or its administrator, has as the default does not matter.
        connection.begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
        Ok(Tx {
            connection,
            now,
            fence_epoch: self.epoch.get(),
            memory: Arc::clone(&self.memory),
            found: Names::default(),
            moved: Mutex::default(),
            told: Vec::new(),
            held: Held::default(),
            read: None,
            havings: Havings::new(),
            claimed: Vec::new(),
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
        self.claimed.clear();
        Ok(outcome)
    }

    /// Writes what comes last, and waits for nothing.
    async fn write_last(&mut self) -> Result<(), Fault> {
        self.settle_places().await?;
        self.write_told().await
    }

    /// Writes what is told of. Numbers are given out in the order of the arrays, the first after it was announced that some will
    /// be: for every row, all that is in `FROM` comes before what is selected.
    async fn write_told(&mut self) -> Result<(), Fault> {
        let told = std::mem::take(&mut self.told);
        if told.is_empty() {
            return Ok(());
        }
        let append = "INSERT INTO event (sequence, at, environment, kind, request, tree, part, data, duration_ms)
             SELECT nextval('event_sequence'), e.* FROM (SELECT event_begin()) AS begun,
                 unnest($1::bigint[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bigint[], $7::text[],
                        $8::bigint[]) AS e";
        let durations: Vec<Option<i64>> = told.iter().map(|(_, duration_ms)| *duration_ms).collect();
        self.connection
            .later(
                append,
                &[
                    &each(&told, |event| event.at),
                    &each(&told, |event| event.environment.as_str()),
                    &each(&told, |event| event.kind.as_ref()),
                    &each(&told, |event| event.request.map(|request| request.0)),
                    &each(&told, |event| event.tree.map(|tree| tree.0)),
                    &each(&told, |event| i64::from(event.part)),
                    &each(&told, |event| event.data.as_str()),
                    &durations,
                ],
            )
            .await
    }

    async fn commit(self, patience: Duration) -> Result<(), Ended> {
        match timeout(patience, self.connection.commit()).await {
            Ok(Committed::Done) => {
                self.memory.keep(self.found);
                self.memory.marks.keep(self.moved.into_inner().unwrap_or_else(PoisonError::into_inner));
                Ok(())
            }
            Ok(Committed::Undone(fault)) => Err(Ended::Undone(fault)),
            Ok(Committed::Unknown(fault)) => Err(Ended::Unknown(fault)),
            Err(_) => Err(Ended::Unknown(Fault::Late("the commit"))),
        }
    }
}

/// One column of all rows.
fn each<'e, T>(told: &'e [(EventRow, Option<i64>)], column: impl Fn(&'e EventRow) -> T) -> Vec<T> {
    told.iter().map(|(event, _)| column(event)).collect()
}

/// A random pause, longer with each attempt: two that met must not meet again.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(fastrand::u64(1..=PAUSE_MS << attempt))
}

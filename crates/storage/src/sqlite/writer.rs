//! The writer: one thread that takes every write that waits, runs them in order, and flushes them with one commit.
//!
//! ```text
//! waiting -> BEGIN, every write, COMMIT -> answered
//!                      | one fails
//!                      v
//!            ROLLBACK -> BEGIN, every write within its own SAVEPOINT, COMMIT -> answered
//! ```
//!
//! Writes rarely fail, so they are first run without savepoints, which would copy every page that a write touches.
//! A full disk fails the whole batch and nothing else. When reading or writing fails, or a commit, nobody knows what is
//! on the disk: the writer answers `InDoubt` from then on, and the process has to end and recover from the log.
//!
//! One commit fails otherwise: the log may have room in its file for all of it when the disk has none for the next piece of the
//! log's index, which comes behind every 4,062 pages and is written last. The commit is then in the log, unknown to the index:
//! the next one is written over it, and only whoever recovers the log before that finds it there. It is answered as not confirmed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpointer::{Checkpointer, checkpoint};
use super::columns::ms;
use super::faults::{BatchFault, Fault, told, verdict, verdict_of_control, with_code};
use super::limits::{BATCH, COMMITS_BETWEEN_LOOKS, IDLE, LOG_BYTES};
use super::memory::Memory;
use super::opening::Opened;
use super::statements::Statements;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::health::StoreMeasures;
use crate::mutants::{self, Mutant};

/// What a write works with.
pub(super) struct Tx<'a> {
    /// The connection, inside a transaction.
    pub(super) connection: &'a Connection,
    /// The store's time, in milliseconds.
    pub(super) now: i64,
    /// What the writer remembers; forgotten whenever something is rolled back.
    pub(super) memory: &'a mut Memory,
    /// The upper part of every fence.
    pub(super) fence_epoch: u64,
}

impl Tx<'_> {
    /// Commits what was written so far, and goes on in another transaction: what `mutant` does, and nobody else.
    pub(super) fn split_for(&self, mutant: Mutant) -> rusqlite::Result<()> {
        if mutants::on(mutant) { self.connection.execute_batch("COMMIT; BEGIN IMMEDIATE") } else { Ok(()) }
    }
}

/// The thread that writes, seen from outside.
pub(super) struct Writer {
    // Every waiting write belongs to one waiting caller, and callers are limited before they come here.
    jobs: Mutex<Option<Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    at_it_since: AtItSince,
}

/// When the thread took up what it does now; `None` while it waits.
type AtItSince = Arc<Mutex<Option<Instant>>>;

impl Writer {
    pub(super) fn start(
        opened: Opened,
        clock: Arc<dyn Clock>,
        checkpointer: Arc<Checkpointer>,
        measures: Arc<StoreMeasures>,
    ) -> Result<Self, StoreError> {
        let (jobs, waiting) = channel();
        let at_it_since = AtItSince::default();
        let mut desk = Desk {
            connection: opened.connection,
            fence_epoch: opened.fence_epoch,
            clock,
            checkpointer,
            memory: Memory::default(),
            broken: None,
            commits: 0,
            measures,
            at_it_since: Arc::clone(&at_it_since),
        };
        let thread = Builder::new()
            .name("store-write".to_owned())
            .spawn(move || desk.serve(&waiting))
            .map_err(|cause| StoreError::Broken { doing: "starting the writer", cause: cause.into() })?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)), at_it_since })
    }

    /// How long the thread has been at what it does now.
    pub(super) fn at_it_for(&self) -> Duration {
        let since = *self.at_it_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Queues a write before it returns control for the first time, and waits for its commit.
    pub(super) async fn submit<T, F>(&self, doing: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Work { doing, work, outcome: Err(StoreError::Closed), reply });
        let sent = match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        if sent { answer.await.unwrap_or(Err(StoreError::Closed)) } else { Err(StoreError::Closed) }
    }

    /// Lets the thread finish what waits, and end.
    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// One write that waits, whatever it returns.
trait Job: Send {
    /// Does it, and keeps what comes out.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault>;

    /// Replaces what came out.
    fn fail(&mut self, error: StoreError);

    /// Tells the caller.
    fn answer(self: Box<Self>);

    /// What it does, for errors.
    fn doing(&self) -> &'static str;
}

struct Work<T, F> {
    doing: &'static str,
    work: F,
    outcome: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        match catch_unwind(AssertUnwindSafe(|| (self.work)(tx))) {
            Ok(Ok(value)) => {
                self.outcome = Ok(value);
                Ok(())
            }
            Ok(Err(cause)) => Err(Fault::Sql(cause)),
            Err(panic) => Err(Fault::Panicked(message_of(panic.as_ref()))),
        }
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Err(error);
    }

    fn answer(self: Box<Self>) {
        // A caller that is gone needs no answer.
        let _ = self.reply.send(self.outcome);
    }

    fn doing(&self) -> &'static str {
        self.doing
    }
}

/// The thread that writes, seen from inside.
struct Desk {
    connection: Connection,
    fence_epoch: u64,
    clock: Arc<dyn Clock>,
    checkpointer: Arc<Checkpointer>,
    memory: Memory,
    broken: Option<String>,
    commits: u32,
    measures: Arc<StoreMeasures>,
    at_it_since: AtItSince,
}

impl Desk {
    fn serve(&mut self, waiting: &Receiver<Box<dyn Job>>) {
        let mut log_is_empty = true;
        loop {
            let first = if log_is_empty {
                waiting.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                waiting.recv_timeout(IDLE)
            };
            match first {
                Ok(first) => {
                    let begun = Instant::now();
                    self.note(Some(begun));
                    let mut batch = Vec::with_capacity(16);
                    batch.push(first);
                    batch.extend(waiting.try_iter().take(BATCH - 1));
                    self.carry_out(batch, waiting, begun);
                    log_is_empty = false;
                    self.note(None);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.fold_log();
                    log_is_empty = true;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn note(&self, since: Option<Instant>) {
        *self.at_it_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn carry_out(&mut self, mut batch: Vec<Box<dyn Job>>, waiting: &Receiver<Box<dyn Job>>, begun: Instant) {
        if let Some(cause) = &self.broken {
            return refuse_all(batch, cause);
        }
        let mut result = self.together(&mut batch, waiting);
        if let Err(BatchFault::One(at, fault)) = result {
            result = if batch.len() == 1 {
                let error = own_error(batch[at].doing(), fault);
                batch[at].fail(error);
                Ok(())
            } else {
                self.one_by_one(&mut batch)
            };
        }
        match result {
            Ok(()) => {
                self.measures.commits.note_span(begun.elapsed());
                self.measures.writes_per_commit.note(batch.len() as u64);
                batch.into_iter().for_each(Job::answer);
                if mutants::on(Mutant::AnswerBeforeCommit) {
                    let _ = self.control("COMMIT");
                }
                self.watch_log();
            }
            Err(BatchFault::Full) => {
                fail_all(batch, |_| StoreError::Full);
            }
            Err(BatchFault::Unconfirmed(cause)) => {
                tracing::warn!(cause, "there was no room to finish a commit with");
                fail_all(batch, |doing| StoreError::Unanswered { doing, cause: cause.as_str().into() });
            }
            Err(BatchFault::InDoubt(cause)) => {
                tracing::error!(cause, "the store is in doubt and takes no writes any more");
                refuse_all(batch, &cause);
                self.broken = Some(cause).filter(|_| !mutants::on(Mutant::GoesOnAfterFailure));
            }
            Err(BatchFault::One(..)) => {
                unreachable!("one write's fault does not fail a batch with savepoints")
            }
        }
    }

    /// Runs the batch without savepoints: all or nothing. What comes to wait meanwhile goes with it: the commit costs as
    /// much as all of its writes, and whoever came would wait for another one.
    fn together(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        waiting: &Receiver<Box<dyn Job>>,
    ) -> Result<(), BatchFault> {
        self.control("BEGIN IMMEDIATE")?;
        let mut at = 0;
        while at < batch.len() {
            if let Err(fault) = self.run(batch[at].as_mut()) {
                let fault = verdict(fault, at);
                self.roll_back()?;
                return Err(fault);
            }
            at += 1;
            if at == batch.len() && at < BATCH {
                batch.extend(waiting.try_iter().take(BATCH - at));
            }
        }
        if mutants::on(Mutant::AnswerBeforeCommit) { Ok(()) } else { self.control("COMMIT") }
    }

    /// Runs each write in a savepoint of its own: a failing one leaves the others.
    fn one_by_one(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), BatchFault> {
        self.control("BEGIN IMMEDIATE")?;
        for (at, job) in batch.iter_mut().enumerate() {
            self.control("SAVEPOINT write")?;
            if let Err(fault) = self.run(job.as_mut()) {
                match verdict(fault, at) {
                    BatchFault::One(_, fault) if !self.connection.is_autocommit() => {
                        self.memory.forget();
                        self.control("ROLLBACK TO write")?;
                        job.fail(own_error(job.doing(), fault));
                    }
                    BatchFault::One(_, fault) => {
                        self.memory.forget();
                        return Err(BatchFault::InDoubt(told(&fault)));
                    }
                    fault => {
                        self.roll_back()?;
                        return Err(fault);
                    }
                }
            }
            self.control("RELEASE write")?;
        }
        self.control("COMMIT")
    }

    fn run(&mut self, job: &mut dyn Job) -> Result<(), Fault> {
        let mut tx = Tx {
            connection: &self.connection,
            now: ms(self.clock.now()),
            memory: &mut self.memory,
            fence_epoch: self.fence_epoch,
        };
        job.run(&mut tx)
    }

    /// Begins or ends a transaction. Whatever fails here, a full disk apart, leaves the state of the disk unknown.
    fn control(&mut self, sql: &str) -> Result<(), BatchFault> {
        let Err(cause) = self.connection.run(sql, []) else { return Ok(()) };
        self.memory.forget();
        let fault = verdict_of_control(sql, &cause);
        if !matches!(fault, BatchFault::InDoubt(_)) {
            self.roll_back()?;
        }
        Err(fault)
    }

    fn roll_back(&mut self) -> Result<(), BatchFault> {
        self.memory.forget();
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let rolled_back = self.connection.run("ROLLBACK", []);
        rolled_back
            .map(|_| ())
            .map_err(|cause| BatchFault::InDoubt(format!("ROLLBACK: {}", with_code(&cause))))
    }

    /// Keeps the log from growing while there is no quiet moment.
    fn watch_log(&mut self) {
        if self.checkpointer.take_done() {
            self.fold_log();
        }
        self.commits += 1;
        if self.commits < COMMITS_BETWEEN_LOOKS {
            return;
        }
        self.commits = 0;
        let pages: rusqlite::Result<i64> =
            self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
                Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
            });
        // The next commit meets the same trouble, and tells.
        if pages.is_ok_and(|pages| pages * PAGE_BYTES > LOG_BYTES) {
            self.checkpointer.ask();
        }
    }

    /// Moves what is left of the log into the database, so that the next commit starts it anew.
    fn fold_log(&self) {
        if let Err(cause) = checkpoint(&self.connection) {
            tracing::warn!(%cause, "the log could not be folded into the database");
        }
    }
}

/// SQLite's own default, which the database is created with.
const PAGE_BYTES: i64 = 4096;

fn refuse_all(batch: Vec<Box<dyn Job>>, cause: &str) {
    fail_all(batch, |doing| StoreError::InDoubt { doing, cause: cause.into() });
}

fn fail_all(batch: Vec<Box<dyn Job>>, error: impl Fn(&'static str) -> StoreError) {
    for mut job in batch {
        job.fail(error(job.doing()));
        job.answer();
    }
}

fn own_error(doing: &'static str, fault: Fault) -> StoreError {
    tracing::error!(doing, fault = told(&fault), "a write failed and was rolled back");
    match fault {
        Fault::Sql(cause) => StoreError::Broken { doing, cause: Box::new(cause) },
        Fault::Panicked(_) => StoreError::Broken { doing, cause: told(&fault).into() },
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

//! Readers: a few threads, each with a read-only connection, that answer reads one snapshot at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::opening;
use crate::error::StoreError;

/// One read; it answers by itself.
type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The threads that read.
pub(super) struct Readers {
    // Every waiting read belongs to one waiting caller, and callers are limited before they come here.
    jobs: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub(super) fn start(file: &Path, count: usize) -> Result<Self, StoreError> {
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let connection = opening::open_reader(file)
                .map_err(|cause| StoreError::Broken { doing: "opening a reader", cause: Box::new(cause) })?;
            let waiting = Arc::clone(&waiting);
            let thread = Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(move || serve(&connection, &waiting))
                .map_err(|cause| StoreError::Broken { doing: "starting a reader", cause: Box::new(cause) })?;
            threads.push(thread);
        }
        Ok(Self { jobs: Mutex::new(Some(jobs)), threads: Mutex::new(threads) })
    }

    pub(super) async fn submit<T, F>(&self, doing: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A caller that is gone needs no answer.
            if !reply.is_closed() {
                let _ = reply.send(on_one_snapshot(connection, doing, work));
            }
        });
        let sent = match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        if sent { answer.await.unwrap_or(Err(StoreError::Closed)) } else { Err(StoreError::Closed) }
    }

    /// Lets the threads finish what waits, and end.
    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(connection: &Connection, waiting: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting: one thread waits for the next read, the others for their turn to wait.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(connection),
            Err(_) => return,
        }
    }
}

fn on_one_snapshot<T>(
    connection: &Connection,
    doing: &'static str,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let broken = |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::Broken { doing, cause };
    let result = catch_unwind(AssertUnwindSafe(|| {
        connection.prepare_cached("BEGIN")?.execute([])?;
        work(connection)
    }));
    let ended = if connection.is_autocommit() {
        Ok(())
    } else {
        connection.prepare_cached("ROLLBACK").and_then(|mut statement| statement.execute([])).map(|_| ())
    };
    match (result, ended) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Err(cause)), _) | (_, Err(cause)) => Err(broken(Box::new(cause))),
        (Err(_), Ok(())) => Err(broken("a read panicked".into())),
    }
}

//! The checkpointer: folds the write-ahead log into the database beside the writer, so that commits do not wait for it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rusqlite::Connection;

use super::limits::BUSY;
use crate::error::StoreError;

/// A thread with a connection of its own that checkpoints when it is asked to.
pub(super) struct Checkpointer {
    asked: Mutex<Option<SyncSender<()>>>,
    done: std::sync::Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpointer {
    pub(super) fn start(file: &Path) -> Result<Self, StoreError> {
        let broken = |doing, cause| StoreError::Broken { doing, cause };
        let connection = Connection::open(file)
            .and_then(|connection| {
                connection.busy_timeout(BUSY)?;
                connection.pragma_update(None, "wal_autocheckpoint", 0)?;
                Ok(connection)
            })
            .map_err(|cause| broken("opening the checkpointer", cause.into()))?;
        // One wish is enough: a second one while the first is being carried out asks for the same.
        let (asked, asks) = sync_channel(1);
        let done = std::sync::Arc::new(AtomicBool::new(false));
        let told = std::sync::Arc::clone(&done);
        let thread = Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || serve(&connection, &asks, &told))
            .map_err(|cause| broken("starting the checkpointer", cause.into()))?;
        Ok(Self { asked: Mutex::new(Some(asked)), done, thread: Mutex::new(Some(thread)) })
    }

    /// Asks for a checkpoint; does not wait for it.
    pub(super) fn ask(&self) {
        if let Some(asked) = &*self.asked.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = asked.try_send(());
        }
    }

    /// True once after each checkpoint: little is left in the log, so that the writer can empty it in no time.
    pub(super) fn take_done(&self) -> bool {
        self.done.load(Ordering::Relaxed) && self.done.swap(false, Ordering::AcqRel)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// Moves what it can from the log into the database without making anybody wait. Returns pages in the log, and how many
/// of them are in the database as well.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))
}

fn serve(connection: &Connection, asks: &Receiver<()>, done: &AtomicBool) {
    while asks.recv().is_ok() {
        match checkpoint(connection) {
            Ok(_) => done.store(true, Ordering::Release),
            // The writer meets the same trouble with its next commit, and knows whom to tell.
            Err(cause) => tracing::warn!(%cause, "the log could not be folded into the database"),
        }
    }
}

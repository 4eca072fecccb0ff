//! The SQLite store: one file, one writer thread that commits what is waiting together, a few readers.
//!
//! ```text
//! open: lock the folder -> open -> check it is ours -> migrate -> writer, readers, checkpointer
//! ```
//!
//! Every write is queued at the first poll of the future that a trait method returns, and writes run in the order in
//! which they were queued: a write that is queued behind another one sees its effects, and both are usually flushed
//! together. An answer is given after the commit that holds it was flushed. Reads see every write that was answered.

mod accepting;
pub mod backup;
mod census;
mod channels;
mod checkpointer;
mod columns;
mod contracts;
mod datasets;
mod doubts;
mod entities;
mod events;
mod faults;
mod guards;
mod health;
mod imports;
mod joins;
mod leases;
mod limits;
mod looking;
mod looks;
mod memory;
pub mod migrations;
pub mod moving;
mod names;
mod opening;
mod outcomes;
mod parts;
mod placing;
mod queues;
mod quotas;
mod readers;
mod requests;
mod restores;
mod retention;
mod services;
mod sessions;
mod statements;
mod statistics;
mod stock;
mod stock_history;
mod stock_rules;
mod taking;
mod tasks;
mod tokens;
mod trees;
mod troubles;
mod wakeups;
mod writer;
mod writes;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::clock::{Clock, SystemClock};
pub use crate::durability::Durability;
use crate::error::StoreError;
use crate::health::StoreMeasures;
use crate::stored::pins::PinsRead;
use crate::stored::{codes, failures};

use checkpointer::Checkpointer;
use columns::ms;
use readers::Readers;
use writer::{Tx, Writer};

/// How a store is to be opened.
#[derive(Clone)]
pub struct Settings {
    /// Where the store takes its time from.
    pub clock: Arc<dyn Clock>,
    /// How many reads may run at once; each has a connection and a thread of its own.
    pub readers: usize,
    /// What an answer stands for.
    pub durability: Durability,
}

impl Default for Settings {
    /// The machine's clock, four readers, flushed commits.
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), readers: 4, durability: Durability::Flushed }
    }
}

/// A store in a folder of its own.
///
/// Closing happens when it is dropped: what is queued is still written, and the log is folded into the database.
pub struct SqliteStore {
    // Dropped in this order: the writer behind the readers, because only a connection that may write folds the log in
    // when it is the last; the lock at the end.
    readers: Readers,
    writer: Writer,
    _checkpointer: Arc<Checkpointer>,
    clock: Arc<dyn Clock>,
    pins: Arc<PinsRead>,
    measures: Arc<StoreMeasures>,
    folder: PathBuf,
    _lock: File,
}

impl SqliteStore {
    /// Opens the store in `folder`, and creates both if they are not there.
    ///
    /// An older schema is brought up to date, and stays open for the build before until it is finalized.
    ///
    /// Fails with [`StoreError::InUse`] when another process has it, with [`StoreError::Unreadable`] when what is
    /// there is no store, and with [`StoreError::Newer`] when it is one that needs a newer build.
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, StoreError> {
        Self::open_knowing(folder, settings, migrations::known_version())
    }

    /// Opens the store as a build would that knows only this version of the schema.
    #[cfg(feature = "conformance")]
    pub fn open_as(folder: &Path, settings: Settings, known: u32) -> Result<Self, StoreError> {
        Self::open_knowing(folder, settings, known)
    }

    fn open_knowing(folder: &Path, settings: Settings, known: u32) -> Result<Self, StoreError> {
        let lock = opening::lock(folder)?;
        let file = folder.join(opening::DATABASE_FILE);
        let opened = opening::open(&file, settings.durability, settings.clock.as_ref(), known)?;
        let checkpointer = Arc::new(Checkpointer::start(&file)?);
        let readers = Readers::start(&file, settings.readers.max(1))?;
        let measures = Arc::<StoreMeasures>::default();
        let writer = Writer::start(
            opened,
            Arc::clone(&settings.clock),
            Arc::clone(&checkpointer),
            Arc::clone(&measures),
        )?;
        Ok(Self {
            writer,
            readers,
            _checkpointer: checkpointer,
            clock: settings.clock,
            pins: Arc::default(),
            measures,
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// Writes what is queued, and takes nothing any more: everything asked afterwards is answered `Closed`.
    pub fn close(&self) {
        self.readers.close();
        self.writer.close();
    }

    /// Runs `work` in a transaction that other waiting writes share.
    ///
    /// `work` may be called twice: when another write of the same transaction failed, everything is rolled back and
    /// done again, each write on its own. Checks come before its first change, so that an outcome such as `Stale`
    /// leaves nothing behind.
    async fn write<T, F>(&self, doing: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.writer.submit(doing, work).await.inspect_err(|error| self.measures.failed(error))
    }

    /// Runs `work` on one snapshot of the store.
    async fn read<T, F>(&self, doing: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.readers.submit(doing, work).await.inspect_err(|error| self.measures.failed(error))
    }

    fn clock_ms(&self) -> i64 {
        ms(self.clock_now())
    }

    fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;
    use tempfile::TempDir;

    use super::*;
    use crate::health::Health;
    use crate::tokens::Tokens;

    fn open() -> (TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { readers: 1, durability: Durability::TestsOnly, ..Settings::default() };
        let store = SqliteStore::open(folder.path(), settings).unwrap();
        (folder, store)
    }

    async fn fill(store: &SqliteStore) -> Result<(), StoreError> {
        store
            .write("filling", |tx| {
                tx.connection
                    .execute("INSERT INTO pins (pins) VALUES (hex(randomblob(100000)))", [])
                    .map(|_| ())
            })
            .await
    }

    async fn set_pages(store: &SqliteStore, pages: i64) {
        let set = move |tx: &mut Tx<'_>| {
            let limit = format!("PRAGMA max_page_count = {pages}");
            tx.connection.query_row(&limit, [], |row| row.get::<_, i64>(0)).map(|_| ())
        };
        store.write("limiting", set).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_store_takes_no_write_until_there_is_room() {
        let (_folder, store) = open();
        set_pages(&store, 1).await;
        let (filled, pinged) = tokio::join!(fill(&store), store.ping());
        assert!(matches!(filled, Err(StoreError::Full)), "{filled:?}");
        assert!(matches!(pinged, Err(StoreError::Full) | Ok(())), "{pinged:?}");
        store.tokens().await.unwrap();
        set_pages(&store, 1_000_000).await;
        fill(&store).await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_failed_takes_nothing_any_more() {
        let (_folder, store) = open();
        let failing = store.write("failing", |_| {
            Err::<(), _>(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR), None))
        });
        assert!(matches!(failing.await, Err(StoreError::InDoubt { doing: "failing", .. })));
        assert!(matches!(store.ping().await, Err(StoreError::InDoubt { .. })));
    }

    #[tokio::test]
    async fn a_writer_that_hangs_is_known_to_be_at_it() {
        let (_folder, store) = open();
        assert!(store.writing_for().is_zero());
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go_on, waits) = std::sync::mpsc::channel();
        let mut writing = Box::pin(store.write("hanging", move |_| {
            begun.send(()).expect("the test waits for it");
            waits.recv().expect("the test lets it go on");
            Ok(())
        }));
        assert!(futures::poll!(writing.as_mut()).is_pending());
        has_begun.recv().unwrap();
        assert!(!store.writing_for().is_zero());
        go_on.send(()).unwrap();
        writing.await.unwrap();
        // The answer comes a moment before the writer waits again.
        while !store.writing_for().is_zero() {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn memory_of_what_was_rolled_back_is_forgotten() {
        let (_folder, store) = open();
        let create = store.write("creating", |tx| tx.environment("staging").map(|_| ()));
        let failing = store.write("failing", |_| Err::<(), _>(rusqlite::Error::QueryReturnedNoRows));
        let use_it = store.write("using", |tx| {
            let number = tx.environment("staging")?;
            tx.contract(number, "shop/customer")
        });
        let (created, failed, used) = tokio::join!(create, failing, use_it);
        created.unwrap();
        failed.unwrap_err();
        used.unwrap();
    }

    #[tokio::test]
    async fn statements_run_in_flushed_mode_unless_asked_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), Settings::default()).unwrap();
        let settings = store.write("asking", |tx| {
            let ask = |pragma: &str| tx.connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
            Ok([ask("PRAGMA synchronous")?, ask("PRAGMA foreign_keys")?])
        });
        // 2 is FULL.
        assert_eq!(settings.await.unwrap(), [2, 1]);
    }
}

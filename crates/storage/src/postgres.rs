//! The PostgreSQL store: one schema of a database, used by any number of servers at once.
//!
//! ```text
//! open: find out whether a pooler is in between -> look at the server -> check it is ours -> made, if it is new -> of a version that fits -> first row -> pool
//! ```
//!
//! One method is one transaction, READ COMMITTED, with explicit row locks. What a statement changes, it changes under a
//! condition that it states itself, or on a row that the transaction has locked before it read it: nothing is read, decided
//! upon and written without one of both.
//!
//! # The sequence in which rows are locked
//!
//! No two methods wait for each other as long as all of them lock in this sequence, and within a table in the order of the key.
//! A method that finds out late what it should have locked early begins anew ([`faults::Fault::Again`]). PostgreSQL ends those
//! that wait for each other all the same, and they are carried out again.
//!
//! 1. Names, by name: `environment`, `contract`, `pins`. They are only ever inserted; remembered ones are not even read.
//! 2. `idempotency`, by the insert.
//! 3. `environment` FOR NO KEY UPDATE: by whoever publishes, changes rules, or changes who serves what. References to the row do
//!    not conflict with it.
//! 4. `session`: FOR NO KEY UPDATE by whoever ends it, FOR SHARE by whoever claims for it.
//! 5. `contract` FOR NO KEY UPDATE, by number: by whoever takes a capability's word about stock, or says that it is to blame. Then
//!    `stock_line` FOR NO KEY UPDATE, then the troubles that lines share: by whoever places a dataset into stock, fills a line or
//!    counts what is in it; not by whoever takes from it.
//! 6. `request` FOR NO KEY UPDATE. A second request is locked only by whoever holds the line in which it waits.
//! 7. `tree` FOR NO KEY UPDATE, by id. A tree goes to another request only with a new version, so that whoever has decided about
//!    a version knows its request; all others begin anew when it is not what they have read.
//! 8. `lease`.
//! 9. `queue` FOR NO KEY UPDATE: by whoever changes its limits or who serves it, and by whoever claims from one with a limit; FOR
//!    SHARE that of a channel, by whoever puts a task into it.
//! 10. `task_claim`, `task_ready`, `task_withdrawn`.
//! 11. `stock`, `stock_coming`, `stock_waiting`. Whoever takes from stock locks its rows with SKIP LOCKED before it knows their
//!     trees, so it takes these with SKIP LOCKED as well, and leaves a row whose tree is somebody else's.
//! 12. `entity_held`, by key, and as the last thing before the commit `quota_use`, first of the token and then of the environment,
//!     because many write them.
//! 13. `event`: nobody ever waits for it. `stock_level` stands alone, in the sequence of its key.
//!
//! Tables that are claimed from by many are claimed from with `WITH c AS MATERIALIZED (SELECT … FOR UPDATE SKIP LOCKED LIMIT n)`;
//! the whole condition lies on the locked row, and the order is that of one index.
//!
//! # Time
//!
//! Every deadline is computed and compared with `sixpack_now()`, a function of the schema, and with nothing else. A write reads
//! it once, before the beginning of its transaction, and hands it to its statements, so that all of what it writes agrees; a read
//! has it in its statements, as a subquery, which is read once: the function by itself is called again for every row that it is
//! compared with, at some 2 µs each. Whoever wants to know it at the same moment asks once ([`time`]).
//!
//! # Order
//!
//! A write is numbered at its first poll and carried out whether or not its caller waits. What must see the effects of the
//! writes before it, such as a claim, waits for those of its own process; others are seen when they are committed, and whoever
//! waits looks again after a while in any case.

mod accepting;
mod address;
mod board;
mod census;
mod channels;
mod claimants;
mod claiming;
mod columns;
mod connections;
mod contracts;
mod counting;
mod datasets;
mod decisions;
mod doubts;
mod entities;
mod epoch;
mod events;
mod faults;
mod guards;
mod health;
mod imports;
mod joins;
mod keys;
mod leases;
mod limits;
mod listening;
mod loading;
mod locks;
mod looking;
mod looks;
mod marks;
mod memory;
pub mod migrations;
pub mod moving;
mod names;
mod opening;
mod outcomes;
mod parts;
mod placing;
mod pooler;
pub mod presence;
mod queues;
mod quotas;
mod readers;
mod requests;
mod restores;
mod retention;
mod services;
mod sessions;
mod starting;
mod statements;
mod statistics;
mod stock;
mod stock_history;
mod stock_rules;
mod stocking;
mod taking;
mod tasks;
mod telling;
mod time;
mod tls;
mod together;
mod tokens;
mod trees;
mod troubles;
mod turns;
mod values;
mod versions;
mod wakeups;
mod writer;
mod writes;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::durability::Durability;
use crate::error::StoreError;
use crate::health::StoreMeasures;
use crate::stored::pins::PinsRead;

use accepting::FromStock;
pub use address::{Address, AddressError};
use board::Board;
use connections::Connections;
use decisions::Decision;
use epoch::Epoch;
use faults::Fault;
use leases::Unseen;
use limits::{AT_ONCE_OF_PATIENCE, CARRIED, CONNECTIONS, TRANSACTION, TURN};
use loading::Loading;
use memory::Memory;
use starting::Start;
use statements::Connection;
use time::Time;
use together::Together;
use turns::{Turn, Turns};
use writer::{Doing, Tx};

/// How a store is to be opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many connections at most for what is read and written; never more than sixteen.
    pub connections: usize,
    /// What the database must promise.
    pub durability: Durability,
    /// For how long the time of the database is carried on by this machine's clock, which only ever goes forward, before it is
    /// asked for again. Nothing, where something else moves the database's time.
    pub carried: Duration,
    /// How long a transaction is waited for as a whole, and a sixth of it what the database answers at once. A database that stands still,
    /// or somebody on the way to it who takes what is sent and brings nothing back, is waited for no longer.
    pub patience: Duration,
}

impl Default for Settings {
    /// Sixteen connections, to a database that loses nothing that it has acknowledged, and 30 seconds for a transaction.
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            durability: Durability::Flushed,
            carried: CARRIED,
            patience: TRANSACTION,
        }
    }
}

/// A store in a schema of its own.
///
/// Writes that are under way when it is dropped are carried out, as long as the runtime lives.
pub struct PostgresStore {
    inner: Arc<Inner>,
    turns: Arc<Turns>,
    /// Requests that take from stock.
    takings: Arc<Together<FromStock>>,
    /// Requests of which everything is made.
    starts: Arc<Together<Start>>,
    /// What follows from results.
    decisions: Arc<Together<Decision>>,
    under_way: TaskTracker,
    board: Arc<Board>,
    address: Address,
    durability: Durability,
    /// The version of the schema that it works with.
    known: u32,
    // Listening ends with the store.
    _listening: DropGuard,
}

/// What transactions share.
struct Inner {
    pool: Connections,
    time: Time,
    memory: Arc<Memory>,
    pins: Arc<PinsRead>,
    loading: Loading,
    epoch: Epoch,
    patience: Duration,
    leases_unseen: Unseen,
    /// How many share the store, when it was checked last.
    servers: AtomicU32,
    measures: StoreMeasures,
}

/// Creates the schema of a store if it is not there; the store need not be opened for it.
pub async fn create(address: &Address, durability: Durability) -> Result<(), StoreError> {
    migrations::prepare(address, durability, migrations::known_version()).await
}

const CHECKING: &str = "looking whether the store is still the same";

impl PostgresStore {
    /// Opens the store at an address, and creates its schema if it is not there. The database must be.
    ///
    /// Fails with [`StoreError::Unsuitable`] when the server is too old or may lose what it acknowledges, with
    /// [`StoreError::Unreadable`] when what is in the schema is no store, with [`StoreError::Older`] when its version is to be brought
    /// up to date first, with [`StoreError::Newer`] when it needs a newer build, and with [`StoreError::Denied`] when the database
    /// does not let us in.
    pub async fn open(address: &Address, settings: Settings) -> Result<Self, StoreError> {
        Self::open_knowing(address, settings, migrations::known_version()).await
    }

    /// Opens the store as a build would that knows only this version of the schema.
    #[cfg(feature = "conformance")]
    pub async fn open_as(address: &Address, settings: Settings, known: u32) -> Result<Self, StoreError> {
        Self::open_knowing(address, settings, known).await
    }

    async fn open_knowing(address: &Address, settings: Settings, known: u32) -> Result<Self, StoreError> {
        let way = pooler::find_out(address).await?;
        migrations::prepare(address, settings.durability, known).await?;
        let epoch = Epoch::new(opening::first_row(address).await?);
        let connections = settings.connections.clamp(1, CONNECTIONS);
        let pool = Connections::new(address, way.clone(), &epoch, connections)?;
        let patience = settings.patience;
        let at_once = patience / AT_ONCE_OF_PATIENCE;
        let time = Time::new(Connections::new(address, way.clone(), &epoch, 1)?, settings.carried, at_once);
        let inner = Arc::new(Inner {
            pool,
            time,
            memory: Arc::default(),
            pins: Arc::default(),
            loading: Loading::default(),
            epoch,
            patience,
            leases_unseen: Unseen::default(),
            servers: AtomicU32::default(),
            measures: StoreMeasures::default(),
        });
        let (board, stop) = (Arc::<Board>::default(), CancellationToken::new());
        tokio::spawn(listening::run(address.clone(), way, known, Arc::clone(&board), stop.clone()));
        let (turns, under_way) = (Arc::default(), TaskTracker::new());
        Ok(Self {
            inner,
            turns,
            takings: Arc::default(),
            starts: Arc::default(),
            decisions: Arc::default(),
            under_way,
            board,
            address: address.clone(),
            durability: settings.durability,
            known,
            _listening: stop.drop_guard(),
        })
    }

    /// Finds out whether the store is still one that this server can work with: somebody may have finalized the next version of its
    /// schema, restored it, or had the database set up anew. Sees how many [share it](crate::wakeups::Wakeups::servers) as well.
    ///
    /// Fails with [`StoreError::Newer`], [`StoreError::Restored`] and [`StoreError::Unsuitable`] then, and with another error when it
    /// cannot be found out.
    pub async fn check(&self) -> Result<(), StoreError> {
        let looked = timeout(self.inner.patience, async {
            let client = self.inner.pool.plain().await.map_err(|fault| fault.told(CHECKING))?;
            migrations::found(&client, &self.address, self.known).await?.check(&self.address)?;
            opening::check_server(&client, self.durability).await?;
            let is_current = self.inner.epoch.is_current(&client, &self.address).await;
            if !is_current.map_err(|cause| opening::told(CHECKING, cause))? {
                return Err(StoreError::Restored);
            }
            let servers = presence::servers(&client, self.address.schema(), u32::MAX).await?;
            self.inner.servers.store(u32::try_from(servers).unwrap_or(u32::MAX), Ordering::Relaxed);
            Ok(())
        });
        looked.await.unwrap_or_else(|_| Err(Fault::Late("the look").told(CHECKING)))
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Finishes what is under way, and takes nothing any more: everything asked afterwards is answered `Closed`.
    pub async fn close(&self) {
        self.under_way.close();
        self.under_way.wait().await;
        self.inner.pool.close();
        self.inner.time.close();
    }

    /// Carries `work` out in a transaction of its own.
    ///
    /// `work` may be called several times, each time in a new transaction: when two transactions wait for each other, one of them
    /// begins anew.
    async fn write<I, T, F>(&self, doing: &'static str, input: I, work: F) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx, &'a I) -> Doing<'a, T> + Send + Sync + 'static,
    {
        let turn = self.turns.take();
        self.finish(doing, turn, std::future::ready(Ok(())), input, work).await
    }

    /// The same for what gives back what it holds: it sees the effects of every write of this process that was polled before it.
    async fn write_in_turn<I, T, F>(&self, doing: &'static str, input: I, work: F) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx, &'a I) -> Doing<'a, T> + Send + Sync + 'static,
    {
        let before = self.before(doing);
        let turn = self.turns.take();
        self.finish(doing, turn, before, input, work).await
    }

    /// The same for what hands out: it sees what was written before it, and nobody waits for it.
    async fn claim<I, T, F>(&self, doing: &'static str, input: I, work: F) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx, &'a I) -> Doing<'a, T> + Send + Sync + 'static,
    {
        let before = self.before(doing);
        self.finish(doing, None::<Turn>, before, input, work).await
    }

    /// Runs `work` with a connection; each of its statements sees what was committed when it began.
    async fn read<I, T, F>(&self, doing: &'static str, input: I, work: F) -> Result<T, StoreError>
    where
        F: for<'a> Fn(&'a Connection, &'a I) -> Doing<'a, T>,
    {
        self.inner.look(doing, &input, &work).await
    }

    /// Runs `work` on one snapshot of the store: for what takes more than one statement and has to agree.
    async fn read_at_once<I, T, F>(&self, doing: &'static str, input: I, work: F) -> Result<T, StoreError>
    where
        F: for<'a> Fn(&'a Connection, &'a I) -> Doing<'a, T>,
    {
        self.inner.look_at_once(doing, &input, &work).await
    }

    /// Ends with the writes of this process that have come until now.
    fn before(&self, doing: &'static str) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        let (turns, last) = (Arc::clone(&self.turns), self.turns.last());
        async move {
            // No connection is held meanwhile, or those that are waited for might get none.
            timeout(TURN, turns.until(last))
                .await
                .map_err(|late| StoreError::Unavailable { doing, cause: late.into() })
        }
    }

    /// Spawns what is to be done, so that it is done although its caller may go away.
    async fn finish<I, T, F>(
        &self,
        doing: &'static str,
        turn: impl Send + 'static,
        before: impl Future<Output = Result<(), StoreError>> + Send + 'static,
        input: I,
        work: F,
    ) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx, &'a I) -> Doing<'a, T> + Send + Sync + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let spawned = self.under_way.spawn(async move {
            let _turn = turn;
            before.await?;
            inner.carry_out(doing, &input, &work).await
        });
        spawned.await.unwrap_or_else(|gone| {
            if gone.is_panic() {
                tracing::error!(doing, "a write panicked and was rolled back");
                return Err(StoreError::Broken { doing, cause: gone.into() });
            }
            Err(StoreError::Closed)
        })
    }
}

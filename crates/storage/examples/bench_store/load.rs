//! The load that a migration is measured under: writes of a build that knows one version, without a pause, each of them timed.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sixpack_storage::conformance::{Fixture, Order, StockLoop};
use sixpack_storage::leases::{Leases, Renewed};
use sixpack_storage::postgres::{Address, PostgresStore, Settings};
use sixpack_storage::trees::Guard;
use sixpack_storage::{Clock, ManualClock, StoreError, SystemClock};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::database::{self, columns};
use crate::migration::{Held, round};

/// Writers of each kind.
const WRITERS: usize = 2;

/// Ids of one writer are not those of another: the second fixture of a store is so far ahead of the first.
const APART_MS: i64 = 3_600_000;

/// How long writes took, since it was last asked.
#[derive(Default)]
pub(crate) struct Load {
    kinds: Mutex<BTreeMap<&'static str, Figure>>,
    failed: Mutex<BTreeMap<String, u64>>,
}

#[derive(Default)]
struct Figure {
    writes: u64,
    longest: Duration,
}

impl Load {
    fn note(&self, kind: Kind, span: Duration) {
        let mut kinds = locked(&self.kinds);
        let figure = kinds.entry(kind.name()).or_default();
        figure.writes += 1;
        figure.longest = figure.longest.max(span);
    }

    fn fail(&self, kind: Kind, error: &str) {
        *locked(&self.failed).entry(format!("{}: {error}", kind.name())).or_default() += 1;
    }

    /// What there was in this span, and the longest of all; it begins anew. A write counts where it ends.
    pub(crate) fn take(&self, span: Duration) -> (Value, u64) {
        let kinds = std::mem::take(&mut *locked(&self.kinds));
        let ms = |span: Duration| span.as_millis() as u64;
        let longest = kinds.values().map(|figure| ms(figure.longest)).max().unwrap_or_default();
        let each: BTreeMap<_, _> = kinds
            .iter()
            .map(|(kind, figure)| {
                (*kind, json!({ "writes": figure.writes, "longest_ms": ms(figure.longest) }))
            })
            .collect();
        let all: u64 = kinds.values().map(|figure| figure.writes).sum();
        let told = json!({
            "s": round(span.as_secs_f64()), "writes": all, "longest_write_ms": longest, "each": each,
        });
        (told, longest)
    }

    /// Every failure with how often it happened.
    pub(crate) fn failures(&self) -> Value {
        json!(*locked(&self.failed))
    }
}

/// What somebody writes again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Renews leases that are held.
    Renew,
    /// Accepts a request that is to be made.
    Accept,
    /// Accepts a request and makes its dataset ready, which grants a lease: two writes.
    Lease,
    /// Brings a dataset into stock and leases it: three writes.
    Stock,
    /// What the build before would have written of a dataset that has ended, in one transaction.
    ByHand,
}

impl Kind {
    const OF_THE_STORE: [Self; 4] = [Self::Renew, Self::Accept, Self::Lease, Self::Stock];

    fn name(self) -> &'static str {
        match self {
            Self::Renew => "renew",
            Self::Accept => "accept",
            Self::Lease => "accept_and_lease",
            Self::Stock => "stock_and_lease",
            Self::ByHand => "by_hand",
        }
    }
}

/// Those who write as a build that knows one version.
pub(crate) struct Writers {
    load: Arc<Load>,
    url: String,
    schema: String,
    store: Arc<Writer>,
    running: Vec<JoinHandle<()>>,
    kinds: Vec<Kind>,
    stop: Arc<AtomicBool>,
}

impl Writers {
    /// Starts what today's code can write into a store of this version.
    pub(crate) async fn start(
        load: &Arc<Load>,
        url: &str,
        address: &Address,
        version: u32,
        held: &Held,
    ) -> Result<Self, Box<dyn Error>> {
        let store = Arc::new(Writer::open(address, version, held).await?);
        let mut writers = Self {
            load: Arc::clone(load),
            url: url.to_owned(),
            schema: address.schema().to_owned(),
            store,
            running: Vec::new(),
            kinds: Vec::new(),
            stop: Arc::default(),
        };
        for kind in Kind::OF_THE_STORE {
            if kind == Kind::Stock && writers.store.stock.is_none() {
                continue;
            }
            match writers.store.write(kind, 0).await {
                Ok(()) => {}
                // It needs what this version does not have.
                Err(StoreError::Broken { .. }) => continue,
                Err(other) => return Err(other.into()),
            }
            writers.kinds.push(kind);
            for number in 0..WRITERS {
                let store = Arc::clone(&writers.store);
                writers.spawn(kind, move |turn| {
                    let store = Arc::clone(&store);
                    async move {
                        let place = number + turn * WRITERS;
                        store.write(kind, place).await.map_err(|error| format!("{error:?}"))
                    }
                });
            }
        }
        Ok(writers)
    }

    /// Starts those who write what the schema has at this moment, and nothing else.
    pub(crate) async fn begin_by_hand(&mut self) -> Result<(), Box<dyn Error>> {
        self.kinds.push(Kind::ByHand);
        for _ in 0..WRITERS {
            let client = Arc::new(database::connect_to(&self.url, &self.schema).await?);
            let statements: Arc<str> = ended_dataset(&client).await?.into();
            self.spawn(Kind::ByHand, move |_| {
                let (client, statements) = (Arc::clone(&client), with_new_ids(&statements));
                async move { client.batch_execute(&statements).await.map_err(|error| format!("{error:?}")) }
            });
        }
        Ok(())
    }

    /// What they write.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|kind| kind.name()).collect()
    }

    /// Waits until each has written its last.
    pub(crate) async fn stop(self) -> Result<(), Box<dyn Error>> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.running {
            writer.await?;
        }
        Ok(())
    }

    fn spawn<F: Future<Output = Result<(), String>> + Send>(
        &mut self,
        kind: Kind,
        write: impl Fn(usize) -> F + Send + 'static,
    ) {
        let (load, stop) = (Arc::clone(&self.load), Arc::clone(&self.stop));
        self.running.push(tokio::spawn(async move {
            let mut turn = 0;
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let written = write(turn).await;
                load.note(kind, begun.elapsed());
                if let Err(error) = written {
                    load.fail(kind, &error);
                }
                turn += 1;
            }
        }));
    }
}

/// Today's code over a store of some version.
struct Writer {
    store: Arc<PostgresStore>,
    fixture: Fixture,
    /// Nothing when it needs what the version does not have.
    stock: Option<StockLoop>,
    held: Held,
}

impl Writer {
    async fn open(address: &Address, version: u32, held: &Held) -> Result<Self, Box<dyn Error>> {
        let store = Arc::new(PostgresStore::open_as(address, Settings::default(), version).await?);
        let clock = ManualClock::at(SystemClock.now());
        let fixture = Fixture::new(Arc::clone(&store) as _, clock.clone(), ());
        let ahead = ManualClock::at(clock.now());
        ahead.advance_ms(APART_MS);
        let stock = match StockLoop::empty(Fixture::new(Arc::clone(&store) as _, ahead, ())).await {
            Ok(stock) => Some(stock),
            Err(StoreError::Broken { .. }) => None,
            Err(other) => return Err(other.into()),
        };
        Ok(Self { store, fixture, stock, held: held.clone() })
    }

    async fn write(&self, kind: Kind, place: usize) -> Result<(), StoreError> {
        match kind {
            Kind::Renew => {
                let (lease, fence) = self.held[place % self.held.len()];
                let renewed = self.store.renew_lease(lease, fence, None).await?;
                assert!(matches!(renewed, Renewed::Until(_)), "a held lease is renewed: {renewed:?}");
            }
            Kind::Accept => {
                self.fixture
                    .store
                    .create_request(self.fixture.new_request(Order::of(&["shop/customer"])))
                    .await?;
            }
            Kind::Lease => {
                let new = self.fixture.new_request(Order::of(&["shop/customer"]));
                let tree = Arc::clone(&new.trees[0].tree);
                self.fixture.store.create_request(new).await?;
                self.fixture.try_write(Guard::None, self.fixture.ready(&tree)).await?;
            }
            Kind::Stock => self.stock.as_ref().expect("only who has some is asked").turn().await?,
            Kind::ByHand => unreachable!("nothing of it is written by the store"),
        }
        Ok(())
    }
}

/// Statements that write once more what is there of a dataset that has ended, by the columns that there are now.
async fn ended_dataset(client: &Client) -> Result<String, Box<dyn Error>> {
    // The oldest: it has the form of a version when others still get it.
    let oldest = "SELECT l.tree, l.request FROM tree t JOIN lease l ON l.tree = t.id WHERE t.status = 9 ORDER BY t.id LIMIT 1";
    client.batch_execute(&format!("CREATE TEMP TABLE one AS {oldest}")).await?;
    let tables = [
        ("request", "id IN (SELECT request FROM one)"),
        ("tree", "id IN (SELECT tree FROM one)"),
        ("dataset", "tree IN (SELECT tree FROM one)"),
        ("lease", "tree IN (SELECT tree FROM one)"),
        ("event", "tree IN (SELECT tree FROM one)"),
    ];
    let mut statements = "BEGIN; SELECT event_begin();".to_owned();
    for (table, which) in tables {
        let names = columns(client, table).await?;
        let value = |name: &String| match (table, name.as_str()) {
            ("event", "sequence") => "nextval('event_sequence')".to_owned(),
            ("event", "at") => "sixpack_now()".to_owned(),
            ("request" | "tree" | "lease", "id") => format!("'{{{table}}}'"),
            (_, "tree" | "request") => format!("'{{{name}}}'"),
            (_, name) => name.to_owned(),
        };
        let values: Vec<String> = names.iter().map(value).collect();
        client
            .batch_execute(&format!("CREATE TEMP TABLE one_{table} AS SELECT * FROM {table} WHERE {which}"))
            .await?;
        statements.push_str(&format!(
            "INSERT INTO {table} ({}) SELECT {} FROM one_{table};",
            names.join(", "),
            values.join(", ")
        ));
    }
    statements.push_str("COMMIT");
    Ok(statements)
}

/// The same about another dataset. Ids are above all others, as those of what is written now are.
fn with_new_ids(statements: &str) -> String {
    let id = || Uuid::from_u128(u128::MAX << 112 | fastrand::u128(..) >> 16).to_string();
    ["{request}", "{tree}", "{lease}"]
        .iter()
        .fold(statements.to_owned(), |text, name| text.replace(name, &id()))
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

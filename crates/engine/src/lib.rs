//! The engine: reads, decides by the rules of the model, writes; the only place where rules meet time and a database.
//!
//! Every public operation takes the caller, reads what it needs once, asks the model, and writes once, guarded by what it
//! has read. When the guard fails, somebody else was faster: it reads again.

mod apply;
mod assignment;
mod caller;
mod catalogues;
mod channels;
mod claimants;
mod contracts;
mod datasets;
mod debts;
mod diagnosis;
mod doubts;
mod events;
mod extensions;
mod finding;
mod handing_out;
mod health;
mod imports;
mod joining;
mod leases;
mod measures;
mod mint;
mod offers;
mod on_the_way;
mod parked;
mod publish;
mod quarantine;
mod rechecks;
mod refill;
mod refusal;
mod reminder;
mod removal;
mod requests;
mod reruns;
mod retention;
mod sessions;
mod shelf;
mod shortage;
mod statistics;
mod stock;
mod stock_history;
mod stock_levels;
mod stock_rules;
mod successors;
mod sweeps;
mod tasks;
mod tokens;
mod tree_cache;
mod trees;
mod vacancies;
mod wakeups;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sixpack_storage::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use apply::{Applied, AppliedFile, AppliedFiles, Applying, Breaks, Over, ScenarioFile};
pub use assignment::{Assignment, Child};
pub use caller::Caller;
pub use contracts::{ContractState, ContractView, EnvironmentView, VersionView};
pub use datasets::{DatasetView, DebtStatus, Wait};
pub use diagnosis::DiagnosisView;
pub use doubts::Doubted;
pub use extensions::Extending;
pub use imports::{Import, ImportView};
pub use measures::{
    FENCED, LEASE_ENDS, LeaseCounts, Measures, REQUEST_ENDS, RequestEnds, StockMeasured, Waits,
};
pub use refusal::Refusal;
pub use requests::{Made, RequestView, Wanted};
pub use reruns::{GoneVersion, Rerun, RerunView};
pub use retention::Retention;
pub use sessions::{Opened, SessionView};
pub use shelf::Shelf;
pub use shortage::Shortage;
pub use statistics::LimitsView;
pub use stock_history::RuleHistory;
pub use stock_levels::{RuleStock, Starved};
pub use stock_rules::{AppliedRule, RuleView};
pub use sweeps::{Sweep, Sweeper};
pub use tasks::{Receipt, TaskAnswer};
pub use tokens::{MintedToken, NewToken};

// What callers name in calls of the engine; everything else of the store stays behind it.
pub use sixpack_storage::StoreError;
pub use sixpack_storage::census::{Counted, SupplierCounted};
pub use sixpack_storage::datasets::DatasetFilter;
pub use sixpack_storage::events::EventFilter;
pub use sixpack_storage::health::{ATTEMPT_ENDS, Attempts, Connections, StoreKind, StoreMeasures};
pub use sixpack_storage::leases::LeaseFilter;
pub use sixpack_storage::measures::{Counter, Histogram, NAMES_MAX, Name, Named, QUICK, Told};
pub use sixpack_storage::page::Page;
pub use sixpack_storage::requests::{QuotaOf, QuotaTaken, RequestFilter};
pub use sixpack_storage::stock_rules::{Put, StoredRule};
pub use sixpack_storage::trees::Lately;

/// Numbers that an operator may want to choose.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// How long a task may wait for a supplier of its capability to connect before its dataset fails: long enough for
    /// a rolling deployment, short enough for a tester to wait.
    pub offline_grace: Duration,
    /// How many parts of trees are kept in memory; each is about two kilobytes.
    pub cached_parts: u64,
    /// How many leases a token may have at one time, those of its open requests included: a pipeline with hundreds of
    /// tests at once has enough, one that never gives anything back is told so within a day.
    pub leases_per_token: u64,
    /// How many leases all tokens of an environment may have at one time: what suppliers have to keep for them is real.
    pub leases_per_environment: u64,
    /// How long what has ended is kept.
    pub retention: Retention,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            offline_grace: Duration::from_secs(60),
            cached_parts: 50_000,
            leases_per_token: 1_000,
            leases_per_environment: 10_000,
            retention: Retention::default(),
        }
    }
}

/// The engine. Cloning it is cheap: all clones are one engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    settings: EngineSettings,
    catalogues: catalogues::Catalogues,
    overlaid: channels::Overlaid,
    trees: tree_cache::TreeCache,
    parked: parked::Parked,
    /// Whoever wants to hear of every change of a request.
    requests: watch::Watch<sixpack_model::ids::RequestId>,
    /// Whoever only wants to hear that it has ended; a fulfilled one is told of as it was written.
    ended: watch::Watch<sixpack_model::ids::RequestId, requests::Fulfilment>,
    committed: watch::Pulse,
    sessions: sessions::SessionCache,
    tokens: tokens::TokenCache,
    token_uses: tokens::TokenUses,
    sweeps: sweeps::Wakers,
    stock: stock::StockKnown,
    patrol: rechecks::PatrolWalks,
    probes: doubts::ProbeWalks,
    suspects: rechecks::SuspectPauses,
    prune_pass: retention::PrunePass,
    looks: wakeups::Looks,
    lines: wakeups::Looks,
    broken: CancellationToken,
    /// Tasks that are on their way back, because the call that they were claimed for is gone.
    going_back: TaskTracker,
    measures: Measures,
}

impl Engine {
    /// An engine over a store. Catalogues are read now; nothing runs in the background until a [`Sweeper`] does.
    pub async fn start(store: Arc<dyn Store>, settings: EngineSettings) -> Result<Self, StoreError> {
        let trees = tree_cache::TreeCache::new(settings.cached_parts);
        let engine = Self {
            inner: Arc::new(Inner {
                store,
                settings,
                catalogues: catalogues::Catalogues::default(),
                overlaid: channels::Overlaid::default(),
                trees,
                parked: parked::Parked::default(),
                requests: watch::Watch::default(),
                ended: watch::Watch::default(),
                committed: watch::Pulse::default(),
                sessions: sessions::SessionCache::default(),
                tokens: tokens::TokenCache::default(),
                token_uses: tokens::TokenUses::default(),
                sweeps: sweeps::Wakers::default(),
                stock: stock::StockKnown::default(),
                patrol: rechecks::PatrolWalks::default(),
                probes: doubts::ProbeWalks::default(),
                suspects: rechecks::SuspectPauses::default(),
                prune_pass: retention::PrunePass::default(),
                looks: wakeups::Looks::default(),
                lines: wakeups::Looks::default(),
                broken: CancellationToken::new(),
                going_back: TaskTracker::new(),
                measures: Measures::default(),
            }),
        };
        engine.refresh_catalogues().await?;
        Ok(engine)
    }

    /// The store's time.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        self.store().now().await
    }

    /// Resolves when the store can no longer be trusted: the process has to end, and recover from the log at its next
    /// start. Noticed by the sweeps, within a second or so.
    pub async fn until_broken(&self) {
        self.inner.broken.cancelled().await;
    }

    fn store(&self) -> &dyn Store {
        &*self.inner.store
    }
}

//! The load: consumers and a supplier work on one store, and note what was acknowledged, and when.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use futures::future::{join, try_join_all};
use power_cut::{Recording, Tape};
use sixpack_model::ids::{LeaseId, RequestId, SessionId, TreeId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::plan::Change;
use sixpack_model::tree::{Ending, PartStatus, Tree};
use sixpack_storage::ManualClock;
use sixpack_storage::conformance::{Fixture, Order, Supplier, TTL_MS};
use sixpack_storage::leases::Renewed;
use sixpack_storage::requests::{Created, Idempotency};
use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::trees::{Guard, LeaseEnd, RequestAfter, Written};
use tokio::runtime::Runtime;

/// Consumers at once: some of their writes share a commit, and some come alone.
const CONSUMERS: usize = 4;

/// Requests of each consumer in one life of the store.
const ROUNDS: usize = 12;

/// The store is closed and opened again so often: with the last connection the log is folded in and taken away.
const LIVES: usize = 2;

/// The log is folded into the database once in so many rounds of everybody: the store itself waits until it is large, or nobody
/// writes.
const FOLD_EVERY: usize = 7;

/// One capability is enough: what a store keeps is the same for all of them.
const CONTRACT: &str = "shop/customer";

/// Something that somebody was told.
#[derive(Debug)]
pub(crate) enum Fact {
    Accepted(RequestId, Idempotency),
    Made(TreeId),
    Granted(LeaseId, u64),
    /// The deadline in milliseconds.
    Renewed(LeaseId, i64),
    Released(LeaseId),
}

/// A fact, and how much was on the tape when it was told.
pub(crate) type Told = (usize, Fact);

/// What a store has done and promised.
pub(crate) struct Work {
    pub(crate) tape: Tape,
    pub(crate) told: Vec<Told>,
    /// Where the clock stands at the end.
    pub(crate) clock: ManualClock,
}

struct Load {
    fixture: Fixture,
    session: SessionId,
    recording: Arc<Recording>,
    told: Arc<Mutex<Vec<Told>>>,
    random: Mutex<Rng>,
}

/// Opens a store in `folder` as a server does, and works on it.
pub(crate) fn work(folder: &Path, runtime: &Runtime, random: &mut Rng) -> anyhow::Result<Work> {
    let recording = Arc::new(Recording::of(folder));
    let (clock, told) = (ManualClock::at(Fixture::start()), Arc::<Mutex<Vec<Told>>>::default());
    for _ in 0..LIVES {
        // Ids of one life must not meet those of another: they begin with the time.
        clock.advance_ms(1);
        let settings = Settings { clock: Arc::new(clock.clone()), readers: 1, ..Settings::default() };
        let store = Arc::new(SqliteStore::open(folder, settings)?);
        runtime.block_on(async {
            let fixture = Fixture::new(store, clock.clone(), ());
            let session = fixture.supplier(Supplier::of(&[CONTRACT])).await;
            let (recording, told) = (Arc::clone(&recording), Arc::clone(&told));
            let load = Load { fixture, session, recording, told, random: Mutex::new(random.fork()) };
            load.run(folder).await
        })?;
    }
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    let recording = Arc::into_inner(recording).context("nobody records any more")?;
    Ok(Work { tape: recording.finish(), told, clock })
}

impl Load {
    async fn run(&self, folder: &Path) -> anyhow::Result<()> {
        let consumers = try_join_all((0..CONSUMERS).map(async |consumer| {
            for round in 0..ROUNDS {
                let asking = self.ask();
                if (round + consumer) % FOLD_EVERY == 0 {
                    let (asked, folded) = join(asking, fold(folder)).await;
                    folded?;
                    asked?;
                } else {
                    asking.await?;
                }
            }
            anyhow::Ok(())
        }));
        consumers.await.map(|_| ())
    }

    /// One consumer asks for a dataset, and the supplier performs whatever task is next.
    async fn ask(&self) -> anyhow::Result<()> {
        let f = &self.fixture;
        let mut new = f.new_request(Order::of(&[CONTRACT]));
        let key = Idempotency { token: new.request.token, key: f.id().to_string(), body: [7; 32] };
        new.idempotency = Some(key.clone());
        let id = new.request.id;
        let created = f.store.create_request(new).await?;
        ensure!(created == Created::Accepted, "a request came out as {created:?}");
        self.told(Fact::Accepted(id, key));
        for claimed in f.claim(self.session, 1).await {
            let task = claimed.claim.task;
            let tree = f.load(task.tree).await;
            done(&f.try_write(Guard::Claim(claimed.claim), f.made(&tree, task.part)).await?)?;
            self.told(Fact::Made(tree.id));
            let tree = f.load(tree.id).await;
            match f.try_write(Guard::None, f.ready(&tree)).await? {
                Written::Done(RequestAfter::Fulfilled { leases, .. }) => {
                    for lease in leases {
                        self.told(Fact::Granted(lease.id, lease.fence));
                        self.hold(&lease).await?;
                    }
                }
                other => bail!("a request with its only dataset came out as {other:?}"),
            }
        }
        Ok(())
    }

    /// Forgets it, renews it, gives it back, or both.
    async fn hold(&self, lease: &Lease) -> anyhow::Result<()> {
        let (renews, releases) = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            (random.bool(), random.bool())
        };
        let f = &self.fixture;
        if renews {
            let renewed = f.store.renew_lease(lease.id, lease.fence, Some(2 * TTL_MS)).await?;
            let Renewed::Until(renewed) = renewed else { bail!("a renewal came out as {renewed:?}") };
            self.told(Fact::Renewed(lease.id, renewed.expires_at.as_millisecond()));
        }
        if releases {
            let end = LeaseEnd {
                lease: lease.id,
                fence: Some(lease.fence),
                status: LeaseStatus::Released,
                outcome: Some(LeaseOutcome::Used),
                note: None,
                revoked_by: None,
            };
            let tree = f.load(lease.tree).await;
            done(&f.try_write(Guard::Lease(end), undoing(f, &tree)).await?)?;
            self.told(Fact::Released(lease.id));
        }
        Ok(())
    }

    fn told(&self, fact: Fact) {
        let at = self.recording.position();
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push((at, fact));
    }
}

/// Folds the log into the database as far as it goes, as the store does, while others write.
async fn fold(folder: &Path) -> anyhow::Result<()> {
    let file = folder.join("store.db");
    tokio::task::spawn_blocking(move || {
        let connection = rusqlite::Connection::open(file)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
    })
    .await?
    .context("folding the log")
}

fn done(written: &Written) -> anyhow::Result<()> {
    ensure!(matches!(written, Written::Done(_)), "a write came out as {written:?}");
    Ok(())
}

fn undoing(f: &Fixture, tree: &Tree) -> Change {
    let mut change = f.part_change(tree, 0, |root| root.status = PartStatus::Undoing);
    let tree = Arc::make_mut(&mut change.tree);
    (tree.lease, tree.ending) = (None, Some(Ending::Used));
    change
}

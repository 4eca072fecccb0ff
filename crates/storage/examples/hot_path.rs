//! Measures the hot path: runs of three steps, each accepted, claimed and answered on a real file with flushed commits.
//!
//! `cargo run --release -p sixpack-storage --example hot_path`, from the top folder.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use sixpack_model::ids::{LeaseId, SessionId, TreeId};
use sixpack_model::plan::Change;
use sixpack_model::tree::{Claim, PartStatus, Task, Tree};
use sixpack_storage::conformance::{Fixture, Order, Supplier, ready_task};
use sixpack_storage::requests::{Idempotency, Requests};
use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::tasks::{Claims, Tasks};
use sixpack_storage::trees::{Guard, TreeWrite, Trees, Written};
use sixpack_storage::{ManualClock, StoreError};

/// How long each measurement takes.
const SPAN: Duration = Duration::from_secs(5);

const STEPS: [&str; 3] = ["shop/customer", "shop/account", "shop/address"];

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for callers in [1, 64] {
        // Beside the build, because a folder for temporary files may be in memory, where flushing costs nothing.
        let folder = tempfile::tempdir_in("target")?;
        measure(folder.path(), callers).await?;
    }
    Ok(())
}

/// Every caller is a consumer and a supplier: it asks for a dataset of three steps, one behind the other, and performs
/// three steps of whichever datasets are next.
async fn measure(folder: &std::path::Path, callers: usize) -> Result<(), Box<dyn std::error::Error>> {
    let clock = ManualClock::at(Fixture::start());
    let settings = Settings { clock: Arc::new(clock.clone()), ..Settings::default() };
    let store = Arc::new(SqliteStore::open(folder, settings)?);
    let fixture = Arc::new(Fixture::new(store.clone(), clock.clone(), ()));
    let (runs, empty) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let trees = Arc::new(Mutex::new(HashMap::new()));
    let mut tasks = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..callers {
        sessions.push(fixture.supplier(Supplier::of(&STEPS)).await);
    }
    let begun = Instant::now();
    for session in sessions {
        let caller = Caller { store: store.clone(), fixture: fixture.clone(), session, trees: trees.clone() };
        let (runs, empty, clock) = (runs.clone(), empty.clone(), clock.clone());
        tasks.push(tokio::spawn(async move {
            while begun.elapsed() < SPAN {
                caller.run(&empty).await?;
                if runs.fetch_add(1, Ordering::Relaxed) % 4 == 0 {
                    clock.advance_ms(1);
                }
            }
            Ok::<(), StoreError>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let runs = runs.load(Ordering::Relaxed) as f64;
    report(&format!(
        "{callers:3} callers: {:6.0} runs/s, {:6.0} operations/s, {} empty claims",
        runs / seconds,
        runs * 7.0 / seconds,
        empty.load(Ordering::Relaxed),
    ));
    measure_empty(&store, &fixture).await
}

/// How many claims a second find nothing.
async fn measure_empty(
    store: &Arc<SqliteStore>,
    fixture: &Fixture,
) -> Result<(), Box<dyn std::error::Error>> {
    const CLAIMS: u32 = 64_000;
    let session = fixture.supplier(Supplier::of(&["shop/nothing", "shop/to-do"])).await;
    let begun = Instant::now();
    let polls = (0..64).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..CLAIMS / 64 {
                store.claim_tasks(session, 10).await?;
            }
            Ok::<(), StoreError>(())
        })
    });
    for poll in polls.collect::<Vec<_>>() {
        poll.await??;
    }
    report(&format!("    empty claims: {:7.0} a second", f64::from(CLAIMS) / begun.elapsed().as_secs_f64()));
    Ok(())
}

struct Caller {
    store: Arc<SqliteStore>,
    fixture: Arc<Fixture>,
    session: SessionId,
    /// The trees as they are, because a server knows those that it works on.
    trees: Arc<Mutex<HashMap<TreeId, Arc<Tree>>>>,
}

impl Caller {
    async fn run(&self, empty: &AtomicU64) -> Result<(), StoreError> {
        self.create().await?;
        let mut left = STEPS.len();
        while left > 0 {
            let Claims::Given { tasks, .. } = self.store.claim_tasks(self.session, 1).await? else {
                return Err(StoreError::Closed);
            };
            match tasks.first() {
                Some(task) => self.perform(task.claim).await?,
                None => {
                    empty.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            }
            left -= 1;
        }
        Ok(())
    }

    async fn create(&self) -> Result<(), StoreError> {
        let mut new = self.fixture.new_request(Order::of(&STEPS));
        new.idempotency =
            Some(Idempotency { token: new.request.token, key: new.request.id.to_string(), body: [7; 32] });
        // Only the first step can begin.
        new.trees[0].ready.truncate(1);
        let tree = Arc::make_mut(&mut new.trees[0].tree);
        for part in &mut tree.parts[2..] {
            part.status = PartStatus::Pending;
            part.task = None;
        }
        self.trees().insert(tree.id, new.trees[0].tree.clone());
        self.store.create_request(new).await.map(|_| ())
    }

    async fn perform(&self, claim: Claim) -> Result<(), StoreError> {
        let tree = self.trees().remove(&claim.task.tree).expect("a tree that is being made");
        let change = self.answer(&tree, claim);
        if change.outcome.is_none() {
            self.trees().insert(tree.id, change.tree.clone());
        }
        let leases = vec![LeaseId(self.fixture.id())];
        let write = TreeWrite { guard: Guard::Claim(claim), change, leases };
        let written = self.store.write_tree(write).await?;
        assert!(matches!(written, Written::Done(_)), "{written:?}");
        Ok(())
    }

    /// Writes a step's result, and begins the next step or ends the tree.
    fn answer(&self, tree: &Tree, claim: Claim) -> Change {
        let done = claim.task.part as usize;
        let mut change = self.fixture.made(tree, claim.task.part);
        let tree = Arc::make_mut(&mut change.tree);
        tree.parts[done].output = Some(Arc::new(
            json!({ "customer_id": 4711, "name": "Ada", "country": "FR", "status": "ACTIVE" }),
        ));
        let root_output = json!({ "customer_id": 4711 });
        match tree.parts.get_mut(done + 1) {
            Some(next) => {
                next.status = PartStatus::Building;
                next.task = Some(Task {
                    serial: 1,
                    operation: sixpack_model::tree::Operation::Produce,
                    ready_at: self.fixture.now(),
                    priority: sixpack_model::request::Priority::Person,
                    attempt: 0,
                    spent_from: 0,
                    cancelled: false,
                    message: None,
                });
                change.changed.push(next.part);
                change.ready.extend(ready_task(next));
            }
            None => {
                tree.parts[0].status = PartStatus::Ready;
                tree.parts[0].output = Some(Arc::new(root_output));
                change.changed.push(0);
                change.outcome = Some(self.fixture.readiness());
            }
        }
        change.events.push(self.fixture.event("dataset.made"));
        change
    }

    fn trees(&self) -> std::sync::MutexGuard<'_, HashMap<TreeId, Arc<Tree>>> {
        self.trees.lock().expect("no caller panics while it holds the trees")
    }
}

fn report(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

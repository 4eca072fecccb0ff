//! Checks: a store is opened over what a power cut has left, and held against what was told before.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use sixpack_model::lease::LeaseStatus;
use sixpack_storage::conformance::Fixture;
use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::{Clock, ManualClock};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::load::{Fact, Told};

/// What must be zero in a store in which every change was made as a whole, and what it means when it is not.
const CONSERVED: &[(&str, &str)] = &[
    (
        "requests without their key",
        "SELECT count(*) FROM request r WHERE NOT EXISTS (SELECT 1 FROM idempotency i WHERE i.request = r.id)",
    ),
    (
        "keys without their request",
        "SELECT count(*) FROM idempotency i WHERE NOT EXISTS (SELECT 1 FROM request r WHERE r.id = i.request)",
    ),
    (
        "requests without all of their datasets",
        "SELECT count(*) FROM request r WHERE r.trees <> (SELECT count(*) FROM tree t WHERE t.request = r.id)",
    ),
    (
        "requests that nothing was told of",
        "SELECT count(*) FROM request r
         WHERE (SELECT count(*) FROM event e WHERE e.request = r.id AND e.kind = 'request.accepted') <> 1",
    ),
    (
        "leases of which the grant was not told once",
        "SELECT count(*) FROM lease l
         WHERE (SELECT count(*) FROM event e WHERE e.tree = l.tree AND e.kind = 'lease.granted') <> 1",
    ),
    (
        "leases of which the end was not told once, or too early",
        "SELECT count(*) FROM lease l
         WHERE (SELECT count(*) FROM event e WHERE e.tree = l.tree AND e.kind = 'lease.released') <> (l.status <> 0)",
    ),
    (
        "datasets that are leased to nobody, or held and not leased",
        "SELECT count(*) FROM tree t
         WHERE (t.lease IS NOT NULL) <> EXISTS (SELECT 1 FROM lease l WHERE l.tree = t.id AND l.status = 0)",
    ),
    (
        "tasks that are in no queue or in two hands",
        "SELECT count(*) FROM dataset d WHERE d.detail ->> '$.task.serial' IS NOT NULL
           AND (SELECT count(*) FROM task_ready r WHERE r.tree = d.tree AND r.part = d.part)
             + (SELECT count(*) FROM task_claim c WHERE c.tree = d.tree AND c.part = d.part) <> 1",
    ),
    (
        "tokens whose leases are miscounted",
        "SELECT count(*) FROM quota_use q WHERE q.scope = 0 AND q.leases <>
           (SELECT count(*) FROM lease l WHERE l.status = 0 AND l.token = q.owner)
         + (SELECT coalesce(sum(r.trees), 0) FROM request r WHERE r.status < 2 AND r.token = q.owner)",
    ),
    ("rows that refer to nothing", "SELECT count(*) FROM pragma_foreign_key_check"),
];

/// Opens what was left, as a server does, and says what is wrong with it. `told` are the facts of the whole work, of which those up to
/// `cut` were told before the power went.
pub(crate) fn wrong(
    folder: &Path,
    told: &[Told],
    cut: usize,
    clock: &ManualClock,
    runtime: &Runtime,
) -> Vec<String> {
    let settings = Settings { clock: Arc::new(clock.clone()), readers: 1, ..Settings::default() };
    let store = match SqliteStore::open(folder, settings) {
        Ok(store) => Arc::new(store),
        Err(error) => return vec![format!("it does not open: {error:?}")],
    };
    let mut wrong =
        match Connection::open(folder.join("store.db")).and_then(|connection| read(&connection, told, cut)) {
            Ok(wrong) => wrong,
            Err(error) => vec![format!("it cannot be read: {error}")],
        };
    if wrong.is_empty() {
        runtime.block_on(goes_on(store, told, cut, clock, &mut wrong));
    }
    wrong
}

fn read(connection: &Connection, told: &[Told], cut: usize) -> rusqlite::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let whole: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if whole != "ok" {
        wrong.push(format!("the database is damaged: {whole}"));
    }
    for (what, count) in CONSERVED {
        let count: i64 = connection.query_row(count, [], |row| row.get(0))?;
        if count != 0 {
            wrong.push(format!("there are {count} {what}"));
        }
    }
    let kept = Kept::read(connection)?;
    let before = told.iter().filter(|(at, _)| *at <= cut).map(|(_, fact)| fact);
    wrong.extend(before.filter(|fact| !kept.has(fact)).map(|fact| format!("lost: {fact:?}")));
    Ok(wrong)
}

/// What facts are looked up in, read as a whole.
struct Kept {
    /// By key.
    requests: HashMap<String, Uuid>,
    /// Trees whose part is made.
    made: HashMap<Uuid, ()>,
    /// Fence, status and deadline.
    leases: HashMap<Uuid, (u64, i64, i64)>,
}

impl Kept {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let id = |row: &rusqlite::Row<'_>, at: usize| row.get::<_, [u8; 16]>(at).map(Uuid::from_bytes);
        let requests = connection
            .prepare("SELECT i.key, r.id FROM idempotency i JOIN request r ON r.id = i.request")?
            .query_map([], |row| Ok((row.get(0)?, id(row, 1)?)))?
            .collect::<Result<_, _>>()?;
        let made = connection
            .prepare("SELECT tree FROM dataset WHERE part = 1 AND output IS NOT NULL")?
            .query_map([], |row| Ok((id(row, 0)?, ())))?
            .collect::<Result<_, _>>()?;
        let leases = connection
            .prepare("SELECT id, fence, status, expires_at FROM lease")?
            .query_map([], |row| {
                Ok((id(row, 0)?, (row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?, row.get(3)?)))
            })?
            .collect::<Result<_, _>>()?;
        Ok(Self { requests, made, leases })
    }

    fn has(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Accepted(id, key) => self.requests.get(&key.key) == Some(&id.0),
            Fact::Made(tree) => self.made.contains_key(&tree.0),
            Fact::Granted(id, fence) => self.leases.get(&id.0).is_some_and(|lease| lease.0 == *fence),
            Fact::Renewed(id, until) => self.leases.get(&id.0).is_some_and(|lease| lease.2 >= *until),
            Fact::Released(id) => self.leases.get(&id.0).is_some_and(|lease| lease.1 != 0),
        }
    }
}

/// The store itself finds the last thing that was told, and works on.
async fn goes_on(
    store: Arc<SqliteStore>,
    told: &[Told],
    cut: usize,
    clock: &ManualClock,
    wrong: &mut Vec<String>,
) {
    // Ids must not meet those from before the cut: they begin with the time.
    let clock = ManualClock::at(clock.now());
    clock.advance_ms(1);
    let fixture = Fixture::new(store, clock, ());
    let lease = told.iter().rev().filter(|(at, _)| *at <= cut).find_map(|(_, fact)| match fact {
        Fact::Granted(id, fence) => Some((*id, *fence)),
        _ => None,
    });
    if let Some((id, fence)) = lease
        && !matches!(fixture.store.lease(id).await, Ok(Some(lease)) if lease.fence == fence)
    {
        wrong.push(format!("the store does not find lease {id}"));
    }
    let (_, lease) = fixture.leased().await;
    if lease.status != LeaseStatus::Held {
        wrong.push(format!("a new lease is {:?}", lease.status));
    }
}

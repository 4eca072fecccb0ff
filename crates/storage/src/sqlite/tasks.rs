//! Tasks in SQLite. There is no race for a row: the single writer hands out one claim after another.

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, params};
use sixpack_model::ids::{SessionId, TaskId, TreeId};
use sixpack_model::request::Priority;
use sixpack_model::task::{OpenTask, Standing};
use sixpack_model::tree::{Claim, Operation};

use super::SqliteStore;
use super::codes::Code;
use super::columns::{id, int, time, time_at, time_of};
use super::limits::RATE_BURST_US;
use super::memory::{Queue, ServiceRow};
use super::queues::Waiting;
use super::statements::Statements;
use super::writer::Tx;
use crate::error::StoreError;
use crate::tasks::{Abandoned, AbandonedClaim, Claimed, Claims, Tasks};

#[async_trait]
impl Tasks for SqliteStore {
    async fn claim_tasks(&self, session: SessionId, max: u32) -> Result<Claims, StoreError> {
        self.write("claiming tasks", move |tx| claim(tx, session, max)).await
    }

    async fn claims_of(&self, session: SessionId) -> Result<Vec<Claim>, StoreError> {
        self.read("reading claims", move |connection| {
            connection.all(
                "SELECT tree, part, serial, attempt, session FROM task_claim WHERE session = ?1
                 ORDER BY tree, part, serial",
                [session.0.as_bytes()],
                read_claim,
            )
        })
        .await
    }

    async fn cancelled_claims(&self, session: SessionId) -> Result<Vec<TaskId>, StoreError> {
        self.read("reading cancelled claims", move |connection| {
            connection.all(
                "SELECT tree, part, serial FROM task_claim WHERE session = ?1 AND cancelled = 1
                 ORDER BY tree, part, serial",
                [session.0.as_bytes()],
                read_task,
            )
        })
        .await
    }

    async fn return_claims(&self, claims: &[Claim]) -> Result<(), StoreError> {
        let claims = claims.to_vec();
        self.write("returning claims", move |tx| claims.iter().try_for_each(|claim| give_back(tx, claim)))
            .await
    }

    async fn lost_claims(
        &self,
        session: SessionId,
        running: &[TaskId],
        older_than_ms: u64,
    ) -> Result<Vec<Claim>, StoreError> {
        let running: HashSet<TaskId> = running.iter().copied().collect();
        let before = self.clock_ms().saturating_sub(int(older_than_ms));
        self.read("reading lost claims", move |connection| {
            let mut claims = connection.all(
                "SELECT tree, part, serial, attempt, session FROM task_claim
                 WHERE session = ?1 AND claimed_at <= ?2 ORDER BY tree, part, serial",
                params![session.0.as_bytes(), before],
                read_claim,
            )?;
            claims.retain(|claim| !running.contains(&claim.task));
            Ok(claims)
        })
        .await
    }

    async fn abandoned_claims(
        &self,
        after: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<AbandonedClaim>, StoreError> {
        let now = self.clock_ms();
        let (tree, part, serial) = key_behind(after);
        self.read("reading abandoned claims", move |connection| {
            connection.all(
                "SELECT c.tree, c.part, c.serial, c.attempt, c.session, c.claimed_at, coalesce(s.status, 2) > 1
                 FROM task_claim c LEFT JOIN session s ON s.id = c.session
                 WHERE (c.tree, c.part, c.serial) > (?1, ?2, ?3)
                   AND (c.deadline_at <= ?4 OR coalesce(s.status, 2) > 1)
                 ORDER BY c.tree, c.part, c.serial LIMIT ?5",
                params![tree, part, serial, now, limit],
                |row| {
                    let why =
                        if row.get(6)? { Abandoned::SessionGone } else { Abandoned::DeadlinePassed };
                    Ok(AbandonedClaim { claim: read_claim(row)?, why, claimed_at: time_at(row, 5)? })
                },
            )
        })
        .await
    }

    async fn open_tasks(&self, tree: TreeId) -> Result<Vec<OpenTask>, StoreError> {
        self.read("reading the tasks of a tree", move |connection| {
            connection.all(
                "SELECT d.part, d.detail ->> '$.task.serial', c.attempt, c.claimed_at,
                        EXISTS (SELECT 1 FROM queue q JOIN session_service s ON s.queue = q.id
                                WHERE q.contract = d.contract AND q.channel IN ('', t.channel)
                                  AND d.version BETWEEN s.oldest_version AND s.version)
                 FROM tree t JOIN dataset d ON d.tree = t.id
                 LEFT JOIN task_claim c
                     ON c.tree = d.tree AND c.part = d.part AND c.serial = d.detail ->> '$.task.serial'
                 WHERE t.id = ?1 AND d.detail ->> '$.task.serial' IS NOT NULL
                 ORDER BY d.part",
                [tree.0.as_bytes()],
                read_open,
            )
        })
        .await
    }

    async fn unserved_parts(&self, tree: TreeId) -> Result<Vec<(u32, Option<Timestamp>)>, StoreError> {
        self.read("reading who a tree waits for", move |connection| {
            connection.all(
                "SELECT d.part,
                        (SELECT max(q.served_until) FROM queue q
                         WHERE q.contract = d.contract AND q.channel IN ('', t.channel) AND q.served_until > 0)
                 FROM tree t JOIN dataset d ON d.tree = t.id
                 LEFT JOIN task_claim c
                     ON c.tree = d.tree AND c.part = d.part AND c.serial = d.detail ->> '$.task.serial'
                 WHERE t.id = ?1 AND d.detail ->> '$.task.serial' IS NOT NULL AND c.tree IS NULL
                   AND NOT EXISTS (SELECT 1 FROM queue q JOIN session_service s ON s.queue = q.id
                                   WHERE q.contract = d.contract AND q.channel IN ('', t.channel)
                                     AND d.version BETWEEN s.oldest_version AND s.version)
                 ORDER BY d.part",
                [tree.0.as_bytes()],
                |row| Ok((row.get(0)?, time_of(row, 1)?)),
            )
        })
        .await
    }

    async fn withdrawn_tasks(&self, after: Option<TaskId>, limit: u32) -> Result<Vec<TaskId>, StoreError> {
        let (tree, part, serial) = key_behind(after);
        self.read("reading withdrawn tasks", move |connection| {
            connection.all(
                "SELECT tree, part, serial FROM task_withdrawn WHERE (tree, part, serial) > (?1, ?2, ?3)
                 ORDER BY tree, part, serial LIMIT ?4",
                params![tree, part, serial, limit],
                read_task,
            )
        })
        .await
    }

    async fn unserved_tasks(
        &self,
        grace_ms: u64,
        after: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        let before = self.clock_ms().saturating_sub(int(grace_ms));
        let (tree, part, serial) = key_behind(after);
        self.read("reading unserved tasks", move |connection| {
            connection.all(
                "WITH coverage AS MATERIALIZED (
                     SELECT q.id, q.served_until, min(s.oldest_version) AS oldest, max(s.version) AS newest,
                            count(DISTINCT s.version) AS versions
                     FROM queue q LEFT JOIN session_service s ON s.queue = q.id
                     WHERE q.served_until <= ?1 GROUP BY q.id)
                 SELECT r.tree, r.part, r.serial, iif(c.served_until > 0, c.served_until, r.ready_at)
                 FROM coverage c CROSS JOIN task_ready r ON r.queue = c.id
                 WHERE r.ready_at <= ?1 AND (c.newest IS NULL OR r.version NOT BETWEEN c.oldest AND c.newest
                        -- Versions in between may be performed by nobody.
                        OR (c.versions > 1 AND NOT EXISTS (
                            SELECT 1 FROM session_service s
                            WHERE s.queue = c.id AND r.version BETWEEN s.oldest_version AND s.version)))
                   AND (r.tree, r.part, r.serial) > (?2, ?3, ?4)
                 ORDER BY r.tree, r.part, r.serial LIMIT ?5",
                params![before, tree, part, serial, limit],
                |row| Ok((read_task(row)?, time_at(row, 3)?)),
            )
        })
        .await
    }
}

/// A queue that has something for the session, and how much of it the target allows.
struct Offer {
    service: ServiceRow,
    queue: Queue,
    allowed: usize,
    taken: usize,
    rate: Option<Rate>,
}

/// What a rate allows now.
struct Rate {
    /// Microseconds for each task.
    cost_us: f64,
    /// How far the tasks so far have used it up.
    paid_until_us: i64,
}

fn claim(tx: &mut Tx<'_>, session: SessionId, max: u32) -> rusqlite::Result<Claims> {
    let Some(serving) = tx.serving(session)? else {
        return Ok(Claims::NotLive);
    };
    let services = std::sync::Arc::clone(&serving.services);
    let turn = serving.turn;
    serving.turn = turn.wrapping_add(1);
    let mut next_at = None;
    let mut offers = offers(tx, &services, turn, &mut next_at)?;
    let mut left = max as usize;
    let mut tasks = Vec::new();
    for priority in Priority::ALL {
        for offer in &mut offers {
            let limit = left.min(offer.allowed - offer.taken);
            if limit == 0 || offer.queue.quiet_until[priority as usize] > tx.now {
                continue;
            }
            let found = tx.look(&offer.service, priority.code(), limit)?;
            next_at = earlier(next_at, found.next_at);
            offer.taken += found.tasks.len();
            left -= found.tasks.len();
            for waiting in found.tasks {
                tasks.push(hand_out(tx, session, offer, &waiting)?);
            }
        }
    }
    for offer in &offers {
        next_at = earlier(next_at, pay(tx, offer)?);
    }
    let mut exhausted = true;
    for service in services.iter() {
        exhausted &= tx.queue(service.queue)?.quiet_until() == i64::MAX;
    }
    Ok(Claims::Given { tasks, next_at: next_at.map(time), exhausted })
}

/// The queues with something to look at, beginning with the one whose turn it is.
fn offers(
    tx: &mut Tx<'_>,
    services: &[ServiceRow],
    turn: usize,
    next_at: &mut Option<i64>,
) -> rusqlite::Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for place in 0..services.len() {
        let service = services[(turn % services.len() + place) % services.len()];
        let queue = tx.queue(service.queue)?;
        let quiet_until = queue.quiet_until();
        if quiet_until > tx.now {
            *next_at = earlier(*next_at, Some(quiet_until).filter(|at| *at < i64::MAX));
            continue;
        }
        let running = match queue.concurrency {
            None => 0,
            Some(concurrency) => running(tx, service.queue, concurrency)?,
        };
        let free = queue.concurrency.map_or(usize::MAX, |limit| to_usize(limit - running));
        let rate = rate(tx, &service, &queue)?;
        let allowed = rate.as_ref().map_or(free, |rate| free.min(rate.allowance(tx.now)));
        offers.push(Offer { service, queue, allowed, taken: 0, rate });
    }
    Ok(offers)
}

/// How many claims of a queue there are, counted up to `limit`.
fn running(tx: &Tx<'_>, queue: i64, limit: i64) -> rusqlite::Result<i64> {
    let count = "SELECT count(*) FROM (SELECT 1 FROM task_claim WHERE queue = ?1 LIMIT ?2)";
    tx.connection.prepare_cached(count)?.query_row([queue, limit], |row| row.get(0))
}

fn rate(tx: &Tx<'_>, service: &ServiceRow, queue: &Queue) -> rusqlite::Result<Option<Rate>> {
    let Some(per_s) = queue.rate_per_s else {
        return Ok(None);
    };
    let read = "SELECT paid_until_us FROM queue WHERE id = ?1";
    let paid_until_us = tx.connection.prepare_cached(read)?.query_row([service.queue], |row| row.get(0))?;
    Ok(Some(Rate { cost_us: 1_000_000.0 / per_s, paid_until_us }))
}

/// The generic cell rate algorithm (ITU-T I.371): each task pushes a virtual arrival time ahead, and is allowed while
/// that time is not further ahead than the burst.
impl Rate {
    fn allowance(&self, now: i64) -> usize {
        let ahead_us = (self.paid_until_us - now * 1_000).max(0);
        if ahead_us > RATE_BURST_US {
            0
        } else {
            ((RATE_BURST_US - ahead_us) as f64 / self.cost_us) as usize + 1
        }
    }

    fn after(&self, now: i64, tasks: usize) -> i64 {
        self.paid_until_us.max(now * 1_000) + (self.cost_us * tasks as f64).ceil() as i64
    }
}

/// Writes down how much of a rate is used up; returns when it allows the next task, if it held any back.
fn pay(tx: &Tx<'_>, offer: &Offer) -> rusqlite::Result<Option<i64>> {
    let Some(rate) = &offer.rate else {
        return Ok(None);
    };
    let paid_until_us = match offer.taken {
        0 => rate.paid_until_us,
        taken => rate.after(tx.now, taken),
    };
    if offer.taken > 0 {
        let write = "UPDATE queue SET paid_until_us = ?2 WHERE id = ?1";
        tx.connection.run(write, [offer.service.queue, paid_until_us])?;
    }
    let allowed_at = (paid_until_us - RATE_BURST_US + 999).div_euclid(1_000);
    Ok((offer.taken == offer.allowed && allowed_at > tx.now).then_some(allowed_at))
}

/// Moves one task from ready to claimed, and counts the attempt.
fn hand_out(tx: &Tx<'_>, session: SessionId, offer: &Offer, waiting: &Waiting) -> rusqlite::Result<Claimed> {
    let task = waiting.task;
    tx.connection.run(
        "DELETE FROM task_ready
         WHERE queue = ?1 AND priority = ?2 AND ready_at = ?3 AND tree = ?4 AND part = ?5 AND serial = ?6",
        params![
            offer.service.queue,
            waiting.priority,
            waiting.ready_at,
            task.tree.0.as_bytes(),
            task.part,
            task.serial,
        ],
    )?;
    let attempt = waiting.attempt + 1;
    tx.connection.run(
        "INSERT INTO task_claim (tree, part, serial, attempt, session, queue, priority, ready_at, claimed_at,
                                 deadline_at, cancelled, operation, version, tree_version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, ?12, ?13)",
        params![
            task.tree.0.as_bytes(),
            task.part,
            task.serial,
            attempt,
            session.0.as_bytes(),
            offer.service.queue,
            waiting.priority,
            waiting.ready_at,
            tx.now,
            tx.now.saturating_add(offer.queue.timeout_ms),
            waiting.operation,
            waiting.version,
            waiting.tree_version,
        ],
    )?;
    let out_of_range = rusqlite::Error::IntegralValueOutOfRange;
    let operation = Operation::from_code(waiting.operation).ok_or(out_of_range(6, waiting.operation))?;
    let attempt = u32::try_from(attempt).map_err(|_| out_of_range(5, attempt))?;
    let tree_version =
        u64::try_from(waiting.tree_version).map_err(|_| out_of_range(7, waiting.tree_version))?;
    Ok(Claimed {
        claim: Claim { task, attempt, session },
        tree_version,
        operation,
        timeout_ms: offer.queue.timeout_ms.unsigned_abs(),
        waited_ms: tx.now.saturating_sub(waiting.ready_at).max(0).unsigned_abs(),
    })
}

/// Makes one claim ready again, as if it had never been claimed. One whose answer nobody wants is withdrawn instead.
fn give_back(tx: &mut Tx<'_>, claim: &Claim) -> rusqlite::Result<()> {
    let task = claim.task;
    let row = tx.connection.one(
        "DELETE FROM task_claim
         WHERE tree = ?1 AND part = ?2 AND serial = ?3 AND attempt = ?4 AND session = ?5
         RETURNING queue, cancelled, priority, ready_at, operation, version, tree_version",
        params![task.tree.0.as_bytes(), task.part, task.serial, claim.attempt, claim.session.0.as_bytes()],
        |row| {
            let waiting = Waiting {
                priority: row.get(2)?,
                ready_at: row.get(3)?,
                task,
                attempt: i64::from(claim.attempt) - 1,
                operation: row.get(4)?,
                version: row.get(5)?,
                tree_version: row.get(6)?,
            };
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, waiting))
        },
    )?;
    let Some((queue, cancelled, waiting)) = row else {
        return Ok(());
    };
    if cancelled {
        return tx.withdraw(task);
    }
    tx.enqueue(queue, &waiting)?;
    tx.leave_channel(queue)
}

impl Tx<'_> {
    /// Notes that nobody wants a task that nobody has.
    pub(super) fn withdraw(&self, task: TaskId) -> rusqlite::Result<()> {
        let write =
            "INSERT INTO task_withdrawn (tree, part, serial) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.connection.run(write, params![task.tree.0.as_bytes(), task.part, task.serial]).map(|_| ())
    }
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

fn to_usize(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

/// The key that a page begins behind; the first page begins behind a key that no task has.
fn key_behind(after: Option<TaskId>) -> ([u8; 16], u32, u32) {
    after.map_or(([0; 16], 0, 0), |task| (task.tree.0.into_bytes(), task.part, task.serial))
}

fn read_task(row: &Row<'_>) -> rusqlite::Result<TaskId> {
    Ok(TaskId { tree: TreeId(id(row, 0)?), part: row.get(1)?, serial: row.get(2)? })
}

fn read_open(row: &Row<'_>) -> rusqlite::Result<OpenTask> {
    let standing = match row.get(2)? {
        Some(attempt) => Standing::Claimed { attempt, since: time_of(row, 3)? },
        None => Standing::Unclaimed { served: row.get(4)? },
    };
    Ok(OpenTask { part: row.get(0)?, serial: row.get(1)?, standing })
}

fn read_claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim { task: read_task(row)?, attempt: row.get(3)?, session: SessionId(id(row, 4)?) })
}

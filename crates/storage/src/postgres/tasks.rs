//! Tasks in PostgreSQL: who has which in hand. How they are handed out is in [`super::claiming`].

use std::collections::HashSet;

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::ids::{SessionId, TaskId, TreeId};
use sixpack_model::task::{OpenTask, Standing};
use sixpack_model::tree::Claim;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{Int, get, id, int, number, number_of, time_at, time_of};
use super::faults::Fault;
use super::marks::Pile;
use super::writer::Tx;
use crate::error::StoreError;
use crate::tasks::{Abandoned, AbandonedClaim, Claims, Tasks};

#[async_trait]
impl Tasks for PostgresStore {
    async fn claim_tasks(&self, session: SessionId, max: u32) -> Result<Claims, StoreError> {
        let input = (session, max, self.inner.memory.next_turn(session));
        self.claim("claiming tasks", input, |tx, (session, max, turn)| {
            Box::pin(tx.claim(*session, *max, *turn))
        })
        .await
    }

    async fn claims_of(&self, session: SessionId) -> Result<Vec<Claim>, StoreError> {
        self.read("reading claims", session, |connection, session| {
            Box::pin(async move {
                let list = "SELECT tree, part, serial, attempt, session FROM task_claim WHERE session = $1
                            ORDER BY tree, part, serial";
                connection.all(list, &[&session.0], read_claim).await
            })
        })
        .await
    }

    async fn cancelled_claims(&self, session: SessionId) -> Result<Vec<TaskId>, StoreError> {
        self.read("reading cancelled claims", session, |connection, session| {
            Box::pin(async move {
                let list = "SELECT tree, part, serial FROM task_claim WHERE session = $1 AND cancelled
                            ORDER BY tree, part, serial";
                connection.all(list, &[&session.0], read_task).await
            })
        })
        .await
    }

    async fn return_claims(&self, claims: &[Claim]) -> Result<(), StoreError> {
        self.write_in_turn("returning claims", claims.to_vec(), |tx, claims| Box::pin(tx.give_back(claims)))
            .await
    }

    async fn lost_claims(
        &self,
        session: SessionId,
        running: &[TaskId],
        older_than_ms: u64,
    ) -> Result<Vec<Claim>, StoreError> {
        let running: HashSet<TaskId> = running.iter().copied().collect();
        let input = (session, running, int(older_than_ms));
        self.read("reading lost claims", input, |connection, (session, running, older_than_ms)| {
            Box::pin(async move {
                let list = "SELECT tree, part, serial, attempt, session FROM task_claim
                            WHERE session = $1 AND claimed_at <= (SELECT sixpack_now()) - $2 ORDER BY tree, part, serial";
                let mut claims = connection.all(list, &[&session.0, older_than_ms], read_claim).await?;
                claims.retain(|claim| !running.contains(&claim.task));
                Ok(claims)
            })
        })
        .await
    }

    async fn abandoned_claims(
        &self,
        after: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<AbandonedClaim>, StoreError> {
        let input = (key_behind(after), Int::from(limit));
        self.read("reading abandoned claims", input, |connection, ((tree, part, serial), limit)| {
            Box::pin(async move {
                let list =
                    "SELECT c.tree, c.part, c.serial, c.attempt, c.session, c.claimed_at, coalesce(s.status, 2) > 1
                            FROM task_claim c LEFT JOIN session s ON s.id = c.session
                            WHERE (c.tree, c.part, c.serial) > ($1, $2, $3)
                              AND (c.deadline_at <= (SELECT sixpack_now()) OR coalesce(s.status, 2) > 1)
                            ORDER BY c.tree, c.part, c.serial LIMIT $4";
                let read = |row: &Row| {
                    let why = if get(row, 6)? { Abandoned::SessionGone } else { Abandoned::DeadlinePassed };
                    Ok(AbandonedClaim { claim: read_claim(row)?, why, claimed_at: time_at(row, 5)? })
                };
                connection.all(list, &[tree, part, serial, limit], read).await
            })
        })
        .await
    }

    async fn open_tasks(&self, tree: TreeId) -> Result<Vec<OpenTask>, StoreError> {
        self.read("reading the tasks of a tree", tree, |connection, tree| {
            Box::pin(async move {
                let list = "SELECT d.part, d.serial, c.attempt, c.claimed_at,
                                   EXISTS (SELECT 1 FROM queue q JOIN session_service s ON s.queue = q.id
                                           WHERE q.contract = d.contract AND q.channel IN ('', d.channel)
                                             AND d.version BETWEEN s.oldest_version AND s.version)
                            FROM (SELECT d.tree, d.part, d.contract, d.version, t.channel,
                                         (d.detail::json #>> '{task,serial}')::integer AS serial
                                  FROM tree t JOIN dataset d ON d.tree = t.id WHERE t.id = $1) d
                            LEFT JOIN task_claim c ON c.tree = d.tree AND c.part = d.part AND c.serial = d.serial
                            WHERE d.serial IS NOT NULL ORDER BY d.part";
                connection.all(list, &[&tree.0], read_open).await
            })
        })
        .await
    }

    async fn unserved_parts(&self, tree: TreeId) -> Result<Vec<(u32, Option<Timestamp>)>, StoreError> {
        self.read("reading who a tree waits for", tree, |connection, tree| {
            Box::pin(async move {
                let list = "SELECT d.part,
                                   (SELECT max(q.served_until) FROM queue q
                                    WHERE q.contract = d.contract AND q.channel IN ('', d.channel)
                                      AND q.served_until > 0)
                            FROM (SELECT d.tree, d.part, d.contract, d.version, t.channel,
                                         (d.detail::json #>> '{task,serial}')::integer AS serial
                                  FROM tree t JOIN dataset d ON d.tree = t.id WHERE t.id = $1) d
                            LEFT JOIN task_claim c ON c.tree = d.tree AND c.part = d.part AND c.serial = d.serial
                            WHERE d.serial IS NOT NULL AND c.tree IS NULL
                              AND NOT EXISTS (SELECT 1 FROM queue q JOIN session_service s ON s.queue = q.id
                                              WHERE q.contract = d.contract AND q.channel IN ('', d.channel)
                                                AND d.version BETWEEN s.oldest_version AND s.version)
                            ORDER BY d.part";
                connection.all(list, &[&tree.0], |row| Ok((number(row, 0)?, time_of(row, 1)?))).await
            })
        })
        .await
    }

    async fn withdrawn_tasks(&self, after: Option<TaskId>, limit: u32) -> Result<Vec<TaskId>, StoreError> {
        let input = (key_behind(after), Int::from(limit));
        self.read("reading withdrawn tasks", input, |connection, ((tree, part, serial), limit)| {
            Box::pin(async move {
                let list =
                    "SELECT tree, part, serial FROM task_withdrawn WHERE (tree, part, serial) > ($1, $2, $3)
                            ORDER BY tree, part, serial LIMIT $4";
                connection.all(list, &[tree, part, serial, limit], read_task).await
            })
        })
        .await
    }

    async fn unserved_tasks(
        &self,
        grace_ms: u64,
        after: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        let input = (int(grace_ms), key_behind(after), Int::from(limit));
        self.read("reading unserved tasks", input, |connection, (grace_ms, (tree, part, serial), limit)| {
            Box::pin(async move {
                let list = "WITH coverage AS MATERIALIZED (
                                SELECT q.id, q.served_until, min(s.oldest_version) AS oldest, max(s.version) AS newest,
                                       count(DISTINCT s.version) AS versions
                                FROM queue q LEFT JOIN session_service s ON s.queue = q.id
                                WHERE q.served_until <= (SELECT sixpack_now()) - $1 GROUP BY q.id)
                            SELECT r.tree, r.part, r.serial,
                                   CASE WHEN c.served_until > 0 THEN c.served_until ELSE r.ready_at END
                            FROM coverage c JOIN task_ready r ON r.queue = c.id
                            WHERE r.ready_at <= (SELECT sixpack_now()) - $1
                              AND (c.newest IS NULL OR r.version NOT BETWEEN c.oldest AND c.newest
                                   -- Versions in between may be performed by nobody.
                                   OR (c.versions > 1 AND NOT EXISTS (
                                       SELECT 1 FROM session_service s
                                       WHERE s.queue = c.id AND r.version BETWEEN s.oldest_version AND s.version)))
                              AND (r.tree, r.part, r.serial) > ($2, $3, $4)
                            ORDER BY r.tree, r.part, r.serial LIMIT $5";
                let read = |row: &Row| Ok((read_task(row)?, time_at(row, 3)?));
                connection.all(list, &[grace_ms, tree, part, serial, limit], read).await
            })
        })
        .await
    }
}

impl Tx {
    /// Makes claims ready again, as if they had never been made. Those whose answer nobody wants are withdrawn instead. What was
    /// given up meanwhile, or belongs to somebody else, stays as it is.
    async fn give_back(&mut self, claims: &[Claim]) -> Result<(), Fault> {
        // In one sequence with everybody who gives claims up, so that no two wait for each other.
        let mut claims = claims.to_vec();
        claims.sort_by_key(|claim| claim.task);
        let trees: Vec<Uuid> = claims.iter().map(|claim| claim.task.tree.0).collect();
        let parts: Vec<i64> = claims.iter().map(|claim| i64::from(claim.task.part)).collect();
        let serials: Vec<i64> = claims.iter().map(|claim| i64::from(claim.task.serial)).collect();
        // Whoever leaves a channel moves what waits there: its queue is locked before its tasks.
        let list = "SELECT DISTINCT q.id FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS g (tree, part, serial)
                    JOIN task_claim c ON c.tree = g.tree AND c.part = g.part AND c.serial = g.serial
                    JOIN queue q ON q.id = c.queue WHERE q.channel <> ''";
        let queues: Vec<i64> =
            self.connection.all(list, &[&trees, &parts, &serials], |row| get(row, 0)).await?;
        if !queues.is_empty() {
            self.lock_queues(&queues).await?;
        }
        let attempts: Vec<i64> = claims.iter().map(|claim| i64::from(claim.attempt)).collect();
        let sessions: Vec<Uuid> = claims.iter().map(|claim| claim.session.0).collect();
        let back = "WITH back AS (
                        DELETE FROM task_claim c
                        USING unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::uuid[])
                            AS g (tree, part, serial, attempt, session)
                        WHERE c.tree = g.tree AND c.part = g.part AND c.serial = g.serial
                          AND c.attempt = g.attempt AND c.session = g.session
                        RETURNING c.*),
                    aside AS (
                        INSERT INTO task_withdrawn (tree, part, serial)
                        SELECT tree, part, serial FROM back WHERE cancelled ON CONFLICT DO NOTHING)
                    INSERT INTO task_ready (queue, priority, ready_at, tree, part, serial, attempt, operation, version,
                                            tree_version)
                    SELECT queue, priority, ready_at, tree, part, serial, attempt - 1, operation, version, tree_version
                    FROM back WHERE NOT cancelled RETURNING queue, priority, ready_at";
        let read = |row: &Row| Ok((Pile::Queue(number(row, 0)?, number(row, 1)?), get(row, 2)?));
        let put = self.connection.all(back, &[&trees, &parts, &serials, &attempts, &sessions], read).await?;
        put.into_iter().for_each(|(pile, at)| self.note_put(pile, at));
        for queue in queues {
            self.leave_channel(queue).await?;
        }
        Ok(())
    }

    /// Notes that nobody wants a task that nobody has.
    pub(super) async fn withdraw(&self, task: TaskId) -> Result<(), Fault> {
        let write =
            "INSERT INTO task_withdrawn (tree, part, serial) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let (part, serial) = (Int::from(task.part), Int::from(task.serial));
        self.connection.later(write, &[&task.tree.0, &part, &serial]).await
    }
}

/// The key that a page begins behind; the first page begins behind a key that no task has.
fn key_behind(after: Option<TaskId>) -> (Uuid, Int, Int) {
    after.map_or((Uuid::nil(), Int(0), Int(0)), |task| {
        (task.tree.0, Int::from(task.part), Int::from(task.serial))
    })
}

fn read_task(row: &Row) -> Result<TaskId, Fault> {
    Ok(TaskId { tree: TreeId(id(row, 0)?), part: number(row, 1)?, serial: number(row, 2)? })
}

fn read_open(row: &Row) -> Result<OpenTask, Fault> {
    let standing = match number_of(row, 2)? {
        Some(attempt) => Standing::Claimed { attempt, since: time_of(row, 3)? },
        None => Standing::Unclaimed { served: get(row, 4)? },
    };
    Ok(OpenTask { part: number(row, 0)?, serial: number(row, 1)?, standing })
}

fn read_claim(row: &Row) -> Result<Claim, Fault> {
    Ok(Claim { task: read_task(row)?, attempt: number(row, 3)?, session: SessionId(id(row, 4)?) })
}

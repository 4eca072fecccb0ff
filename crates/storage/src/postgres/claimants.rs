//! Claimants: sessions that have a task from the write that makes it ready, without a claim behind it.
//!
//! ```text
//! names of queues -> sessions shared and looked at, beside what the write holds -> the task is written as claimed
//! ```
//!
//! A claim of its own is another transaction: begun, looked at, flushed and answered. It is needed where somebody must not be passed by,
//! or is counted, which a look at what the session serves tells: a limit, or a task that waits for such a session and is more
//! urgent, or has been waiting for longer than a claim takes ([`PASSED_BY_MS`]).

use std::collections::HashMap;

use futures::future::try_join;
use sixpack_model::ids::{SessionId, TaskId};
use sixpack_model::request::Priority;
use sixpack_model::tree::{Claim, Operation};
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{get, id};
use super::faults::Fault;
use super::limits::PASSED_BY_MS;
use super::marks::EVERYTHING;
use super::statements::Params;
use super::writer::Tx;
use crate::stored::changes::ChangeRow;
use crate::stored::codes::Code;
use crate::stored::tasks::{ServiceRow, Waiting};
use crate::tasks::{Claimant, Claimed};

/// A task of which the session that would claim it is known.
pub(super) struct Candidate<'c> {
    session: SessionId,
    queue: i64,
    waiting: &'c Waiting,
}

/// What a session has of a task that becomes ready.
#[derive(Debug, Clone, Copy)]
pub(super) struct Having {
    session: SessionId,
    timeout_ms: i64,
}

/// The tasks that are claimed with the write that makes them ready.
pub(super) type Havings = HashMap<TaskId, Having>;

impl Tx {
    /// The tasks of these changes that their claimants may have: of deployed suppliers, and due. Finds out where they wait.
    pub(super) async fn candidates<'c>(
        &mut self,
        changes: &[(&'c ChangeRow, &[Claimant])],
    ) -> Result<Vec<Candidate<'c>>, Fault> {
        let (now, mut candidates) = (self.now, Vec::new());
        for &(change, claimants) in changes {
            if claimants.is_empty() || change.channel.is_some() {
                continue;
            }
            let environment = self.environment(&change.environment).await?;
            for task in change.ready.iter().filter(|task| task.waiting.ready_at <= now) {
                let waiting = &task.waiting;
                let claimant = claimants.iter().find(|(id, _)| *id == waiting.task);
                let Some((_, session)) = claimant else { continue };
                let contract = self.contract(environment, &task.contract).await?;
                let queue = self.deployed_queue(contract).await?;
                candidates.push(Candidate { session: *session, queue, waiting });
            }
        }
        Ok(candidates)
    }

    /// Which of them are claimed. Their sessions are live and stay so until this transaction ends.
    pub(super) async fn claimed_of(&self, candidates: &[Candidate<'_>]) -> Result<Havings, Fault> {
        if candidates.is_empty() {
            return Ok(Havings::new());
        }
        // Whoever ends a session, or hears of it, is not waited for: the write is somebody else's, and a claim behind it does as well.
        let share = "SELECT s.id FROM session s
                     WHERE s.id = ANY ($1) AND s.status = 0 AND NOT EXISTS (
                         SELECT 1 FROM session_service v
                         CROSS JOIN unnest($2::smallint[], $3::bigint[]) AS p (priority, ready_at)
                         LEFT JOIN unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS m (queue, priority, ready_at)
                                ON m.queue = v.queue AND m.priority = p.priority
                         CROSS JOIN LATERAL (SELECT 1 FROM task_ready r
                                             WHERE r.queue = v.queue AND r.priority = p.priority AND r.ready_at <= p.ready_at
                                               AND r.ready_at >= coalesce(m.ready_at, -9223372036854775807)
                                             LIMIT 1) AS waiting
                         WHERE v.session = s.id)
                     ORDER BY s.id FOR SHARE SKIP LOCKED";
        let serve = "SELECT g.session, g.queue, v.oldest_version, v.version, q.timeout_ms
                     FROM unnest($1::uuid[], $2::bigint[]) AS g (session, queue)
                     JOIN session_service v ON v.session = g.session AND v.queue = g.queue
                     JOIN queue q ON q.id = g.queue AND q.concurrency IS NULL AND q.rate_per_s IS NULL";
        let mut pairs: Vec<(Uuid, i64)> = candidates.iter().map(|one| (one.session.0, one.queue)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let (of, queues): (Vec<Uuid>, Vec<i64>) = pairs.iter().copied().unzip();
        let mut sessions = of.clone();
        sessions.dedup();
        // What is as urgent is passed by for a moment. Nothing more urgent than any of them is.
        let least_urgent = candidates.iter().map(|one| one.waiting.priority).max().unwrap_or_default();
        let priorities = Priority::ALL.map(Priority::code);
        let passes = |priority| if priority < least_urgent { self.now } else { self.now - PASSED_BY_MS };
        let ready_at: Vec<i64> = priorities.iter().map(|priority| passes(*priority)).collect();
        let priorities: Vec<i16> = priorities.iter().map(|priority| *priority as i16).collect();
        let read = |row: &Row| {
            let (session, queue) = (SessionId(id(row, 0)?), get(row, 1)?);
            let service = ServiceRow { queue, oldest_version: get(row, 2)?, version: get(row, 3)? };
            Ok(((session, queue), (service, get::<i64>(row, 4)?)))
        };
        let (of_queues, of_priorities, times) =
            self.memory.marks.of_sessions(candidates.iter().map(|one| &one.session), EVERYTHING).columns();
        let shared: Params<'_> = &[&sessions, &priorities, &ready_at, &of_queues, &of_priorities, &times];
        let (free, services) = try_join(
            self.connection.all(share, shared, |row| id(row, 0).map(SessionId)),
            self.connection.all(serve, &[&of, &queues], read),
        )
        .await?;
        let services: HashMap<(SessionId, i64), (ServiceRow, i64)> = services.into_iter().collect();
        let having = |one: &Candidate<'_>| {
            let (service, timeout_ms) = services.get(&(one.session, one.queue))?;
            let has =
                free.contains(&one.session) && service.covers(one.waiting.version, one.waiting.operation);
            has.then_some((one.waiting.task, Having { session: one.session, timeout_ms: *timeout_ms }))
        };
        Ok(candidates.iter().filter_map(having).collect())
    }

    /// Notes that a task is claimed with this write.
    pub(super) fn note_claimed(&mut self, waiting: &Waiting, having: Having) -> Result<(), Fault> {
        let Having { session, timeout_ms } = having;
        let attempt = u32::try_from(waiting.attempt + 1).map_err(|_| too_large("an attempt"))?;
        self.claimed.push(Claimed {
            claim: Claim { task: waiting.task, attempt, session },
            tree_version: waiting.tree_version.unsigned_abs(),
            operation: Operation::from_code(waiting.operation).ok_or_else(|| too_large("an operation"))?,
            timeout_ms: timeout_ms.unsigned_abs(),
            waited_ms: self.now.saturating_sub(waiting.ready_at).max(0).unsigned_abs(),
        });
        Ok(())
    }

    /// Writes tasks as claimed, all at once.
    pub(super) async fn insert_claims(&self, all: &[(i64, &Waiting, Having)]) -> Result<(), Fault> {
        if all.is_empty() {
            return Ok(());
        }
        let insert =
            "INSERT INTO task_claim (tree, part, serial, attempt, session, queue, priority, ready_at, claimed_at, deadline_at,
                                     cancelled, operation, version, tree_version)
             SELECT g.tree, g.part, g.serial, g.attempt + 1, g.session, g.queue, g.priority, g.ready_at, $12::bigint,
                    $12::bigint + g.timeout_ms, false, g.operation, g.version, g.tree_version
             FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::uuid[], $6::bigint[], $7::bigint[],
                         $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $13::bigint[])
                  AS g (tree, part, serial, attempt, session, queue, priority, ready_at, operation, version, tree_version,
                        timeout_ms)";
        self.connection
            .later(
                insert,
                &[
                    &each(all, |(_, task, _)| task.task.tree.0),
                    &each(all, |(_, task, _)| i64::from(task.task.part)),
                    &each(all, |(_, task, _)| i64::from(task.task.serial)),
                    &each(all, |(_, task, _)| task.attempt),
                    &each(all, |(.., having)| having.session.0),
                    &each(all, |(queue, ..)| *queue),
                    &each(all, |(_, task, _)| task.priority),
                    &each(all, |(_, task, _)| task.ready_at),
                    &each(all, |(_, task, _)| task.operation),
                    &each(all, |(_, task, _)| task.version),
                    &each(all, |(_, task, _)| task.tree_version),
                    &self.now,
                    &each(all, |(.., having)| having.timeout_ms),
                ],
            )
            .await
    }
}

fn too_large(what: &str) -> Fault {
    Fault::Wrong(format!("{what} is none that this build knows"))
}

/// One column of all rows.
fn each<'w, T>(
    all: &[(i64, &'w Waiting, Having)],
    column: impl Fn(&(i64, &'w Waiting, Having)) -> T,
) -> Vec<T> {
    all.iter().map(column).collect()
}

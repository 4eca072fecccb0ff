//! Claiming: the tasks that a session gets, looked for in all of its queues and taken beside others who do the same.
//!
//! A claim shares its session, so that whoever ends that sees every claim that was made for it. It passes by what somebody else
//! has locked. Queues with a limit are handed out from by one at a time; all others by as many as come.

use std::collections::{BTreeSet, HashSet};

use futures::future::try_join;
use sixpack_model::ids::{SessionId, TaskId, TreeId};
use sixpack_model::request::Priority;
use sixpack_model::tree::{Claim, Operation};
use tokio_postgres::Row;

use super::columns::{code, get, id, int, number, number_of, number_of_code, time};
use super::faults::Fault;
use super::limits::RATE_BURST_US;
use super::marks::{Begins, EVERYTHING, Pile, UPON_NOTHING};
use super::statements::Params;
use super::writer::Tx;
use crate::mutants::{self, Mutant};
use crate::stored::codes::Code;
use crate::stored::tasks::ServiceRow;
use crate::tasks::{Claimed, Claims};

/// A queue of a session, and how much of it the target allows.
struct Offer {
    service: ServiceRow,
    limits: Limits,
    allowed: usize,
    taken: usize,
    rate: Option<Rate>,
}

/// The limits of a queue.
#[derive(Clone)]
struct Limits {
    concurrency: Option<i64>,
    rate_per_s: Option<f64>,
    timeout_ms: i64,
    /// How far the claims so far have used the rate up.
    paid_until_us: i64,
}

impl Limits {
    fn are_any(&self) -> bool {
        self.concurrency.is_some() || self.rate_per_s.is_some()
    }

    fn rate(&self) -> Option<Rate> {
        let cost_us = 1_000_000.0 / self.rate_per_s?;
        Some(Rate { cost_us, paid_until_us: self.paid_until_us })
    }
}

/// What a rate allows now.
struct Rate {
    /// Microseconds for each task.
    cost_us: f64,
    /// How far the tasks so far have used it up.
    paid_until_us: i64,
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

/// What a look into the queues of a session has found.
#[derive(Default)]
struct Seen {
    /// Queues and priorities in which something is ready for it.
    ready: HashSet<(i64, i64)>,
    /// When the next task is ready.
    next_at: Option<i64>,
    /// Whether there is anything at all.
    any: bool,
    /// Queues and priorities of which only what is behind a mark was looked at, and where that began.
    marked: Begins,
}

impl Tx {
    pub(super) async fn claim(&mut self, session: SessionId, max: u32, turn: usize) -> Result<Claims, Fault> {
        // Sent together: what is ready is looked for behind the lock on the session.
        let begins = self.memory.marks.of_sessions([&session], EVERYTHING);
        let (services, mut seen) = try_join(self.serving(session), self.see(session, begins)).await?;
        let Some(services) = services else {
            return self.refuse(Claims::NotLive);
        };
        if seen.ready.is_empty() && !seen.marked.0.is_empty() {
            // There may be some before the marks.
            let begins = self.memory.marks.of_sessions([&session], UPON_NOTHING);
            if seen.marked.0.keys().any(|key| !begins.0.contains_key(key)) {
                seen = self.see(session, begins).await?;
            }
        }
        let queues: Vec<i64> = services.iter().map(|(service, _)| service.queue).collect();
        let mut next_at = seen.next_at;
        let mut offers = self.offers(services, turn, &seen).await?;
        let mut left = max as usize;
        let mut tasks = Vec::new();
        for priority in Priority::ALL {
            for offer in &mut offers {
                let limit = left.min(offer.allowed - offer.taken);
                if limit == 0 || !seen.ready.contains(&(offer.service.queue, priority.code())) {
                    continue;
                }
                let begin = seen.marked.0.get(&(offer.service.queue, priority.code())).copied();
                let handed_out = self.hand_out(session, offer, priority, (limit, begin)).await?;
                offer.taken += handed_out.len();
                left -= handed_out.len();
                tasks.extend(handed_out);
            }
        }
        for offer in &offers {
            next_at = earlier(next_at, self.pay(offer).await?);
        }
        let exhausted = !seen.any || (!tasks.is_empty() && self.are_empty(&queues, &seen.marked).await?);
        let is_empty = tasks.is_empty();
        let given = Claims::Given { tasks, next_at: next_at.map(time), exhausted };
        // Most looks find nothing: what they have locked on the way is not worth a flush.
        if is_empty { self.refuse(given) } else { Ok(given) }
    }

    /// The services of a live session with the limits of their queues; `None` when it is not live. It stays live until this
    /// transaction ends.
    async fn serving(&self, session: SessionId) -> Result<Option<Vec<(ServiceRow, Limits)>>, Fault> {
        let share = "SELECT status = 0 FROM session WHERE id = $1 FOR SHARE";
        let list = "SELECT s.queue, s.oldest_version, s.version, q.concurrency, q.rate_per_s, q.timeout_ms, q.paid_until_us
                    FROM session_service s JOIN queue q ON q.id = s.queue WHERE s.session = $1 ORDER BY s.queue";
        let read = |row: &Row| {
            let (queue, oldest_version, version) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
            Ok((ServiceRow { queue, oldest_version, version }, read_limits(row, 3)?))
        };
        let (live, services) = try_join(
            self.connection.one(share, &[&session.0], |row| get::<bool>(row, 0)),
            self.connection.all(list, &[&session.0], read),
        )
        .await?;
        Ok((live == Some(true)).then_some(services))
    }

    /// Looks into every queue, and takes nothing.
    async fn see(&self, session: SessionId, begins: Begins) -> Result<Seen, Fault> {
        let look = "SELECT s.queue, p.priority, ready.found, later.ready_at, behind.found
                    FROM session_service s CROSS JOIN unnest($2::smallint[]) AS p (priority)
                    LEFT JOIN unnest($5::bigint[], $6::bigint[], $7::bigint[]) AS m (queue, priority, ready_at)
                           ON m.queue = s.queue AND m.priority = p.priority
                    CROSS JOIN LATERAL (SELECT coalesce(m.ready_at, -9223372036854775807) AS ready_at) AS begin
                    LEFT JOIN LATERAL (
                        SELECT true AS found FROM task_ready r
                        WHERE r.queue = s.queue AND r.priority = p.priority
                          AND r.ready_at >= begin.ready_at AND r.ready_at <= $3
                          AND r.version <= s.version AND (r.version >= s.oldest_version OR r.operation = $4)
                        LIMIT 1) ready ON true
                    LEFT JOIN LATERAL (
                        SELECT r.ready_at FROM task_ready r
                        WHERE r.queue = s.queue AND r.priority = p.priority AND r.ready_at > $3
                        ORDER BY r.ready_at LIMIT 1) later ON true
                    LEFT JOIN LATERAL (
                        SELECT true AS found FROM task_ready r
                        WHERE r.queue = s.queue AND r.priority = p.priority AND r.ready_at >= begin.ready_at
                        LIMIT 1) behind ON true
                    WHERE s.session = $1";
        let priorities: Vec<i16> = Priority::ALL.map(|priority| priority.code() as i16).to_vec();
        let undo = number_of_code(Operation::Undo);
        let read = |row: &Row| {
            let is_ready = get::<Option<bool>>(row, 2)?.is_some();
            let (later, any) = (number_of::<i64>(row, 3)?, get::<Option<bool>>(row, 4)?.is_some());
            Ok((number::<i64>(row, 0)?, number::<i64>(row, 1)?, is_ready, later, any))
        };
        let (of_queues, of_priorities, times) = begins.columns();
        let values: Params<'_> =
            &[&session.0, &priorities, &self.now, &undo, &of_queues, &of_priorities, &times];
        let rows = self.connection.all(look, values, read).await?;
        let (mut seen, mut everything) = (Seen::default(), Vec::with_capacity(rows.len()));
        let queues: BTreeSet<i64> = rows.iter().map(|(queue, ..)| *queue).collect();
        for (queue, priority, is_ready, later, any) in rows {
            match begins.0.get(&(queue, priority)) {
                Some(begin) => drop(seen.marked.0.insert((queue, priority), *begin)),
                None => everything.push(Pile::Queue(queue, priority)),
            }
            if is_ready {
                seen.ready.insert((queue, priority));
            }
            seen.next_at = earlier(seen.next_at, later);
            seen.any |= any;
        }
        self.memory.marks.looked(session, queues.into_iter(), everything);
        Ok(seen)
    }

    /// The queues with something to hand out, beginning with the one whose turn it is. Those with a limit are locked, and their
    /// limits read again under the lock: whoever hands out from them is counted.
    async fn offers(
        &self,
        services: Vec<(ServiceRow, Limits)>,
        turn: usize,
        seen: &Seen,
    ) -> Result<Vec<Offer>, Fault> {
        let has_ready = |queue: i64| seen.ready.iter().any(|(of, _)| *of == queue);
        let mut services = services;
        if !services.is_empty() {
            let first = turn % services.len();
            services.rotate_left(first);
        }
        services.retain(|(service, _)| has_ready(service.queue));
        let limited = services.iter().filter(|(_, limits)| limits.are_any());
        let limited: Vec<i64> = limited.map(|(service, _)| service.queue).collect();
        if !limited.is_empty() {
            self.lock_queues(&limited).await?;
        }
        let mut offers = Vec::with_capacity(services.len());
        for (service, mut limits) in services {
            if limits.are_any() {
                let read =
                    "SELECT concurrency, rate_per_s, timeout_ms, paid_until_us FROM queue WHERE id = $1";
                let found = self.connection.one(read, &[&service.queue], |row| read_limits(row, 0)).await?;
                limits = found.ok_or(Fault::Again("a queue"))?;
            }
            let free = match limits.concurrency {
                None => usize::MAX,
                Some(limit) => to_usize(limit - self.running(service.queue, limit).await?),
            };
            let rate = limits.rate();
            let allowed = rate.as_ref().map_or(free, |rate| free.min(rate.allowance(self.now)));
            offers.push(Offer { service, limits, allowed, taken: 0, rate });
        }
        Ok(offers)
    }

    /// How many claims of a queue there are, counted up to `limit`.
    async fn running(&self, queue: i64, limit: i64) -> Result<i64, Fault> {
        let count = "SELECT count(*) FROM (SELECT 1 FROM task_claim WHERE queue = $1 LIMIT $2) AS running";
        let counted = self.connection.one(count, &[&queue, &limit], |row| get(row, 0)).await?;
        Ok(counted.expect("a count gives a row"))
    }

    /// Moves up to so many tasks of one priority from ready to claimed, the oldest from `begin` on first, and counts the attempts.
    async fn hand_out(
        &self,
        session: SessionId,
        offer: &Offer,
        priority: Priority,
        (limit, begin): (usize, Option<i64>),
    ) -> Result<Vec<Claimed>, Fault> {
        // The whole condition lies on the locked row, and the order is that of the key.
        let move_them = "WITH c AS MATERIALIZED (
                             SELECT queue, priority, ready_at, tree, part, serial FROM task_ready
                             WHERE queue = $1 AND priority = $2 AND ready_at >= $10 AND ready_at <= $3
                               AND version <= $5 AND (version >= $4 OR operation = $6)
                             ORDER BY queue, priority, ready_at, tree, part, serial LIMIT $7 FOR UPDATE SKIP LOCKED),
                         d AS (
                             DELETE FROM task_ready r USING c
                             WHERE r.queue = c.queue AND r.priority = c.priority AND r.ready_at = c.ready_at
                               AND r.tree = c.tree AND r.part = c.part AND r.serial = c.serial
                             RETURNING r.*)
                         INSERT INTO task_claim (tree, part, serial, attempt, session, queue, priority, ready_at,
                                                 claimed_at, deadline_at, cancelled, operation, version, tree_version)
                         SELECT tree, part, serial, attempt + 1, $8::uuid, queue, priority, ready_at, $3::bigint,
                                $9::bigint, false, operation, version, tree_version FROM d
                         RETURNING tree, part, serial, attempt, operation, tree_version, ready_at";
        let move_them = match mutants::on(Mutant::ClaimWithoutLock) {
            true => &without_lock(move_them),
            false => move_them,
        };
        let ServiceRow { queue, oldest_version, version } = offer.service;
        let deadline_at = self.now.saturating_add(offer.limits.timeout_ms);
        let limit = int(limit as u64);
        let timeout_ms = offer.limits.timeout_ms.unsigned_abs();
        let read = |row: &Row| {
            let task = TaskId { tree: TreeId(id(row, 0)?), part: number(row, 1)?, serial: number(row, 2)? };
            let attempt = number(row, 3)?;
            let (operation, tree_version) = (code(row, 4)?, number(row, 5)?);
            let claim = Claim { task, attempt, session };
            let ready_at: i64 = get(row, 6)?;
            let waited_ms = self.now.saturating_sub(ready_at).max(0).unsigned_abs();
            Ok((ready_at, Claimed { claim, tree_version, operation, timeout_ms, waited_ms }))
        };
        let of = priority.code();
        let (priority, undo) = (number_of_code(priority), number_of_code(Operation::Undo));
        let mut tasks = self
            .connection
            .all(
                move_them,
                &[
                    &queue,
                    &priority,
                    &self.now,
                    &oldest_version,
                    &version,
                    &undo,
                    &limit,
                    &session.0,
                    &deadline_at,
                    &begin.unwrap_or(i64::MIN),
                ],
                read,
            )
            .await?;
        tasks.sort_by_key(|(ready_at, claimed)| (*ready_at, claimed.claim.task));
        if let Some((newest, _)) = tasks.last() {
            self.note_taken(Pile::Queue(queue, of), tasks.len(), *newest);
        }
        Ok(tasks.into_iter().map(|(_, claimed)| claimed).collect())
    }

    /// Writes down how much of a rate is used up; returns when it allows the next task, if it held any back.
    async fn pay(&self, offer: &Offer) -> Result<Option<i64>, Fault> {
        let Some(rate) = &offer.rate else {
            return Ok(None);
        };
        let paid_until_us = match offer.taken {
            0 => rate.paid_until_us,
            taken => rate.after(self.now, taken),
        };
        if offer.taken > 0 {
            let write = "UPDATE queue SET paid_until_us = $2 WHERE id = $1";
            self.connection.later(write, &[&offer.service.queue, &paid_until_us]).await?;
        }
        let allowed_at = (paid_until_us - RATE_BURST_US + 999).div_euclid(1_000);
        Ok((offer.taken == offer.allowed && allowed_at > self.now).then_some(allowed_at))
    }

    /// Whether nothing is left in these queues. What somebody else is taking is there as long as they have not ended.
    async fn are_empty(&self, queues: &[i64], begins: &Begins) -> Result<bool, Fault> {
        let look = "SELECT NOT EXISTS (
                        SELECT 1 FROM unnest($1::bigint[]) AS q (id) CROSS JOIN unnest($2::smallint[]) AS p (priority)
                        LEFT JOIN unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS m (queue, priority, ready_at)
                               ON m.queue = q.id AND m.priority = p.priority
                        CROSS JOIN LATERAL (
                            SELECT 1 FROM task_ready r
                            WHERE r.queue = q.id AND r.priority = p.priority
                              AND r.ready_at >= coalesce(m.ready_at, -9223372036854775807)
                            LIMIT 1) AS there)";
        let priorities: Vec<i16> = Priority::ALL.map(|priority| priority.code() as i16).to_vec();
        let (of_queues, of_priorities, times) = begins.columns();
        let values: Params<'_> = &[&queues, &priorities, &of_queues, &of_priorities, &times];
        let empty = self.connection.one(look, values, |row| get(row, 0)).await?;
        Ok(empty.expect("a look gives a row"))
    }
}

/// The claim as it must not be: what was seen is handed out, whether or not somebody else has seen it too.
fn without_lock(claim: &str) -> String {
    claim
        .replace("SELECT queue, priority, ready_at, tree, part, serial FROM", "SELECT * FROM")
        .replace(" FOR UPDATE SKIP LOCKED", "")
        .replace(
            "FROM d\n",
            "FROM c ON CONFLICT (tree, part, serial) DO UPDATE SET session = excluded.session\n",
        )
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

fn to_usize(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn read_limits(row: &Row, first: usize) -> Result<Limits, Fault> {
    Ok(Limits {
        concurrency: number_of(row, first)?,
        rate_per_s: get(row, first + 1)?,
        timeout_ms: get(row, first + 2)?,
        paid_until_us: get(row, first + 3)?,
    })
}

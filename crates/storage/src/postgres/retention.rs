//! Retention in PostgreSQL. What another transaction holds is left to the next look; events go by the week.

use async_trait::async_trait;
use sixpack_model::ids::{LeaseId, RequestId, SessionId, TreeId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{get, id, number};
use super::faults::Fault;
use super::limits::{EVENT_WEEKS_AHEAD_MS, KEY_MS};
use super::statements::Params;
use super::writer::Tx;
use crate::error::StoreError;
use crate::retention::{Pruned, Retention};
use crate::stored::retention::{Looked, PART_ROWS, before, choose, first_id_of};

#[async_trait]
impl Retention for PostgresStore {
    async fn prune_leases(
        &self,
        keep_ms: u64,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Pruned<LeaseId>, StoreError> {
        let page = (keep_ms, after.map(|id| id.0), limit);
        self.write("taking old leases away", page, |tx, page| {
            Box::pin(async move {
                let goes = "l.status <> 0 AND l.ended_at <= $1
                     AND NOT EXISTS (SELECT 1 FROM tree t WHERE t.id = l.tree AND t.lease = l.id)
                     AND NOT EXISTS (SELECT 1 FROM dataset d WHERE d.tree = l.tree AND d.status = 11)";
                let looked = tx.page_of_old("lease l", "l.id", goes, "1", *page).await?;
                let pruned = choose(&looked, page.2, i64::MAX, |id| id);
                // Whether one goes is told by its tree: looked at once more when nobody else can change that.
                let lock =
                    "SELECT id FROM tree WHERE id = ANY (ARRAY (SELECT tree FROM lease WHERE id = ANY ($1)))
                            ORDER BY id FOR UPDATE SKIP LOCKED";
                let trees = tx.connection.all(lock, &[&pruned.gone], |row| id(row, 0)).await?;
                let locked = tx.lock_old("lease", &pruned.gone).await?;
                let again = format!(
                    "SELECT l.id FROM lease l WHERE l.id = ANY ($2) AND {goes}
                         AND (l.tree = ANY ($3) OR NOT EXISTS (SELECT 1 FROM tree t WHERE t.id = l.tree))"
                );
                let values: Params<'_> = &[&before(tx.now, page.0), &locked, &trees];
                let gone: Vec<Uuid> = tx.connection.all(&again, values, |row| id(row, 0)).await?;
                tx.delete_old("DELETE FROM lease WHERE id = ANY ($1)", &gone).await?;
                Ok(named(gone, pruned.next, LeaseId))
            })
        })
        .await
    }

    async fn prune_trees(
        &self,
        keep_ms: u64,
        after: Option<TreeId>,
        limit: u32,
    ) -> Result<Pruned<TreeId>, StoreError> {
        let page = (keep_ms, after.map(|id| id.0), limit);
        self.write("taking old datasets away", page, |tx, page| {
            Box::pin(async move {
                let goes = "t.ended_at <= $1 AND t.due_at IS NULL AND t.recheck IS NULL
                     AND NOT EXISTS (SELECT 1 FROM dataset d WHERE d.tree = t.id AND d.status NOT IN (4, 9, 10))
                     AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.tree = t.id AND l.status = 0)
                     AND NOT EXISTS (SELECT 1 FROM task_claim c WHERE c.tree = t.id)
                     AND NOT EXISTS (SELECT 1 FROM task_withdrawn w WHERE w.tree = t.id)
                     AND NOT EXISTS (SELECT 1 FROM tree_unwanted u WHERE u.tree = t.id)
                     AND NOT EXISTS (SELECT 1 FROM request r WHERE r.id = t.request AND r.status < 2)
                     AND NOT EXISTS (SELECT 1 FROM request r WHERE r.rerun_of = t.id AND r.status < 2)";
                let weight = "(SELECT count(*) FROM dataset d WHERE d.tree = t.id)";
                let looked = tx.page_of_old("tree t", "t.id", goes, weight, *page).await?;
                let pruned = choose(&looked, page.2, PART_ROWS, |id| id);
                let locked = tx.lock_old("tree", &pruned.gone).await?;
                // Looked at once more now that nobody else can change them: a late answer may have brought one back.
                let again = format!("SELECT t.id FROM tree t WHERE t.id = ANY ($2) AND {goes}");
                let values: Params<'_> = &[&before(tx.now, page.0), &locked];
                let gone = tx.connection.all(&again, values, |row| id(row, 0)).await?;
                tx.delete_old("DELETE FROM dataset WHERE tree = ANY ($1)", &gone).await?;
                tx.delete_old("DELETE FROM entity WHERE tree = ANY ($1)", &gone).await?;
                tx.delete_old("DELETE FROM tree WHERE id = ANY ($1)", &gone).await?;
                Ok(named(gone, pruned.next, TreeId))
            })
        })
        .await
    }

    async fn prune_requests(
        &self,
        keep_ms: u64,
        after: Option<RequestId>,
        limit: u32,
    ) -> Result<Pruned<RequestId>, StoreError> {
        // A key may stand for it as long as keys are kept.
        let page = (keep_ms.max(KEY_MS.unsigned_abs()), after.map(|id| id.0), limit);
        self.write("taking old requests away", page, |tx, page| {
            Box::pin(async move {
                let goes = "r.status > 1 AND r.ended_at < $1
                     AND NOT EXISTS (SELECT 1 FROM tree t WHERE t.request = r.id AND t.place < 3)
                     AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.request = r.id)";
                let looked = tx.page_of_old("request r", "r.id", goes, "1", *page).await?;
                let pruned = choose(&looked, page.2, i64::MAX, |id| id);
                let gone = tx.lock_old("request", &pruned.gone).await?;
                tx.delete_old("DELETE FROM request WHERE id = ANY ($1)", &gone).await?;
                Ok(named(gone, pruned.next, RequestId))
            })
        })
        .await
    }

    async fn prune_sessions(
        &self,
        keep_ms: u64,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Pruned<SessionId>, StoreError> {
        let page = (keep_ms, after.map(|id| id.0), limit);
        self.write("taking old sessions away", page, |tx, page| {
            Box::pin(async move {
                let goes = "s.status > 1 AND s.ended_at <= $1
                     AND NOT EXISTS (SELECT 1 FROM task_claim c WHERE c.session = s.id)";
                let looked = tx.page_of_old("session s", "s.id", goes, "1", *page).await?;
                let pruned = choose(&looked, page.2, i64::MAX, |id| id);
                let gone = tx.lock_old("session", &pruned.gone).await?;
                tx.delete_old("DELETE FROM session_service WHERE session = ANY ($1)", &gone).await?;
                tx.delete_old("DELETE FROM session WHERE id = ANY ($1)", &gone).await?;
                Ok(named(gone, pruned.next, SessionId))
            })
        })
        .await
    }

    async fn prune_events(&self, keep_ms: u64, limit: u32) -> Result<bool, StoreError> {
        self.write("taking old events away", (keep_ms, limit), |tx, (keep_ms, limit)| {
            Box::pin(async move {
                let cutoff = before(tx.now, *keep_ms);
                // Of the weeks that nobody had made in time, row by row.
                let others = "WITH old AS MATERIALIZED (
                                  SELECT sequence, at FROM event_other WHERE at <= $1 ORDER BY sequence LIMIT $2
                                  FOR UPDATE SKIP LOCKED),
                              gone AS (DELETE FROM event_other o USING old
                                       WHERE o.sequence = old.sequence AND o.at = old.at RETURNING o.sequence)
                              SELECT count(*), max(sequence) FROM gone";
                let read = |row: &Row| Ok((number::<i64>(row, 0)?, get::<Option<i64>>(row, 1)?));
                let others = tx.connection.one(others, &[&cutoff, &i64::from(*limit)], read).await?;
                let (count, others) = others.expect("a count gives a row");
                let week = tx.connection.one("SELECT drop_event_week($1)", &[&cutoff], |row| get(row, 0)).await?;
                let week: Option<i64> = week.expect("a function gives a row");
                if let Some(last) = week.max(others) {
                    let note = "UPDATE meta SET events_gone = greatest(events_gone, $1)";
                    tx.connection.later(note, &[&last]).await?;
                }
                Ok(week.is_some() || count == i64::from(*limit))
            })
        })
        .await
    }

    async fn make_room_for_events(&self) -> Result<(), StoreError> {
        self.write("making room for events", (), |tx, ()| {
            Box::pin(async move {
                let weeks = "SELECT make_event_weeks($1, $2)";
                tx.connection.later(weeks, &[&tx.now, &(tx.now + EVENT_WEEKS_AHEAD_MS)]).await
            })
        })
        .await
    }
}

impl Tx {
    /// Reads a page of rows that were made before what ended longer ago than the span, with whether each of them goes.
    async fn page_of_old(
        &self,
        table: &'static str,
        key: &'static str,
        goes: &'static str,
        weight: &'static str,
        (keep_ms, after, limit): (u64, Option<Uuid>, u32),
    ) -> Result<Vec<Looked>, Fault> {
        let cutoff = before(self.now, keep_ms);
        let list = format!(
            "SELECT {key}, coalesce({goes}, false), ({weight})::bigint FROM {table}
             WHERE {key} > $2 AND {key} < $3 ORDER BY {key} LIMIT $4"
        );
        let read = |row: &Row| Ok(Looked { id: id(row, 0)?, goes: get(row, 1)?, weight: number(row, 2)? });
        let values: Params<'_> =
            &[&cutoff, &after.unwrap_or_default(), &first_id_of(cutoff), &i64::from(limit)];
        self.connection.all(&list, values, read).await
    }

    /// Locks those that nobody else holds.
    async fn lock_old(&self, table: &'static str, ids: &Vec<Uuid>) -> Result<Vec<Uuid>, Fault> {
        let lock = format!("SELECT id FROM {table} WHERE id = ANY ($1) ORDER BY id FOR UPDATE SKIP LOCKED");
        self.connection.all(&lock, &[ids], |row| id(row, 0)).await
    }

    async fn delete_old(&self, delete: &'static str, ids: &Vec<Uuid>) -> Result<(), Fault> {
        self.connection.later(delete, &[ids]).await
    }
}

fn named<T>(gone: Vec<Uuid>, next: Option<Uuid>, name: impl Fn(Uuid) -> T) -> Pruned<T> {
    Pruned { gone: gone.into_iter().map(&name).collect(), next: next.map(name) }
}

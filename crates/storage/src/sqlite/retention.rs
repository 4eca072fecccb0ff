//! Retention in SQLite. The file keeps its size; what becomes free in it is used again.

use async_trait::async_trait;
use rusqlite::{ToSql, params};
use sixpack_model::ids::{LeaseId, RequestId, SessionId, TreeId};
use uuid::Uuid;

use super::SqliteStore;
use super::columns::id;
use super::limits::KEY_MS;
use super::statements::Statements;
use super::writer::Tx;
use crate::error::StoreError;
use crate::retention::{Pruned, Retention};
use crate::stored::retention::{Looked, PART_ROWS, before, choose, first_id_of};

#[async_trait]
impl Retention for SqliteStore {
    async fn prune_leases(
        &self,
        keep_ms: u64,
        after: Option<LeaseId>,
        limit: u32,
    ) -> Result<Pruned<LeaseId>, StoreError> {
        self.write("taking old leases away", move |tx| {
            let goes = "l.status <> 0 AND l.ended_at <= ?3
                 AND NOT EXISTS (SELECT 1 FROM tree t WHERE t.id = l.tree AND t.lease = l.id)
                 AND NOT EXISTS (SELECT 1 FROM dataset d WHERE d.tree = l.tree AND d.status = 11)";
            let page =
                tx.page_of_old("lease l", "l.id", goes, "1", (keep_ms, after.map(|id| id.0), limit))?;
            let pruned = choose(&page, limit, i64::MAX, LeaseId);
            pruned
                .gone
                .iter()
                .try_for_each(|lease| tx.delete_old("DELETE FROM lease WHERE id = ?1", lease.0))?;
            Ok(pruned)
        })
        .await
    }

    async fn prune_trees(
        &self,
        keep_ms: u64,
        after: Option<TreeId>,
        limit: u32,
    ) -> Result<Pruned<TreeId>, StoreError> {
        self.write("taking old datasets away", move |tx| {
            tx.date_ends(keep_ms, after, limit)?;
            let goes = "t.ended_at <= ?3 AND t.due_at IS NULL AND t.recheck IS NULL
                 AND NOT EXISTS (SELECT 1 FROM dataset d WHERE d.tree = t.id AND d.status NOT IN (4, 9, 10))
                 AND NOT EXISTS (SELECT 1 FROM lease l INDEXED BY lease_held WHERE l.tree = t.id AND l.status = 0)
                 AND NOT EXISTS (SELECT 1 FROM task_claim c WHERE c.tree = t.id)
                 AND NOT EXISTS (SELECT 1 FROM task_withdrawn w WHERE w.tree = t.id)
                 AND NOT EXISTS (SELECT 1 FROM tree_unwanted u WHERE u.tree = t.id)
                 AND NOT EXISTS (SELECT 1 FROM request r WHERE r.id = t.request AND r.status < 2)
                 AND NOT EXISTS (SELECT 1 FROM request r INDEXED BY request_open_rerun
                                 WHERE r.rerun_of = t.id AND r.status < 2)";
            let weight = "(SELECT count(*) FROM dataset d WHERE d.tree = t.id)";
            let page = tx.page_of_old("tree t", "t.id", goes, weight, (keep_ms, after.map(|id| id.0), limit))?;
            let pruned = choose(&page, limit, PART_ROWS, TreeId);
            for tree in &pruned.gone {
                tx.delete_old("DELETE FROM dataset WHERE tree = ?1", tree.0)?;
                tx.delete_old("DELETE FROM entity INDEXED BY entity_by_tree WHERE tree = ?1", tree.0)?;
                tx.delete_old("DELETE FROM tree WHERE id = ?1", tree.0)?;
            }
            Ok(pruned)
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
        let keep_ms = keep_ms.max(KEY_MS.unsigned_abs());
        self.write("taking old requests away", move |tx| {
            let goes = "r.status > 1 AND r.ended_at < ?3
                 AND NOT EXISTS (SELECT 1 FROM tree t INDEXED BY tree_by_request
                                 WHERE t.request = r.id AND t.place < 3)
                 AND NOT EXISTS (SELECT 1 FROM lease l INDEXED BY lease_by_request WHERE l.request = r.id)";
            let page =
                tx.page_of_old("request r", "r.id", goes, "1", (keep_ms, after.map(|id| id.0), limit))?;
            let pruned = choose(&page, limit, i64::MAX, RequestId);
            pruned
                .gone
                .iter()
                .try_for_each(|request| tx.delete_old("DELETE FROM request WHERE id = ?1", request.0))?;
            Ok(pruned)
        })
        .await
    }

    async fn prune_sessions(
        &self,
        keep_ms: u64,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Pruned<SessionId>, StoreError> {
        self.write("taking old sessions away", move |tx| {
            let goes = "s.status > 1 AND s.ended_at <= ?3
                 AND NOT EXISTS (SELECT 1 FROM task_claim c INDEXED BY task_claim_by_session WHERE c.session = s.id)";
            let page = tx.page_of_old("session s", "s.id", goes, "1", (keep_ms, after.map(|id| id.0), limit))?;
            let pruned = choose(&page, limit, i64::MAX, SessionId);
            for session in &pruned.gone {
                tx.delete_old("DELETE FROM session_service WHERE session = ?1", session.0)?;
                tx.delete_old("DELETE FROM session WHERE id = ?1", session.0)?;
            }
            Ok(pruned)
        })
        .await
    }

    async fn prune_events(&self, keep_ms: u64, limit: u32) -> Result<bool, StoreError> {
        self.write("taking old events away", move |tx| {
            // The newest stays, so that no number is given out twice.
            let oldest = "SELECT sequence, at FROM event
                          WHERE sequence < (SELECT max(sequence) FROM event) ORDER BY sequence LIMIT ?1";
            let oldest: Vec<(i64, i64)> =
                tx.connection.all(oldest, [limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let cutoff = before(tx.now, keep_ms);
            let old = oldest.iter().take_while(|(_, at)| *at <= cutoff).count();
            let Some((last, _)) = old.checked_sub(1).map(|last| oldest[last]) else { return Ok(false) };
            tx.connection.run("DELETE FROM event WHERE sequence <= ?1", [last])?;
            tx.connection.run("UPDATE meta SET events_gone = ?1", [last])?;
            Ok(old == limit as usize)
        })
        .await
    }

    async fn make_room_for_events(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Tx<'_> {
    /// Reads a page of rows that were made before what ended longer ago than the span, with whether each of them goes.
    fn page_of_old(
        &self,
        table: &'static str,
        key: &'static str,
        goes: &'static str,
        weight: &'static str,
        (keep_ms, after, limit): (u64, Option<Uuid>, u32),
    ) -> rusqlite::Result<Vec<Looked>> {
        let cutoff = before(self.now, keep_ms);
        let list = format!(
            "SELECT {key}, coalesce({goes}, 0), {weight} FROM {table}
             WHERE {key} > ?1 AND {key} < ?2 ORDER BY {key} LIMIT ?4"
        );
        let (after, bound) = (after.unwrap_or_default().into_bytes(), first_id_of(cutoff).into_bytes());
        self.connection.all(&list, params![after, bound, cutoff, limit], |row| {
            Ok(Looked { id: id(row, 0)?, goes: row.get(1)?, weight: row.get(2)? })
        })
    }

    fn delete_old(&self, delete: &'static str, id: Uuid) -> rusqlite::Result<()> {
        self.connection.run(delete, [&id.into_bytes() as &dyn ToSql]).map(|_| ())
    }

    /// Trees that had ended before that was noted count from the first look at them.
    fn date_ends(&self, keep_ms: u64, after: Option<TreeId>, limit: u32) -> rusqlite::Result<()> {
        let after = after.map_or([0; 16], |tree| tree.0.into_bytes());
        let bound = first_id_of(before(self.now, keep_ms)).into_bytes();
        let date = "UPDATE tree SET ended_at = ?4 WHERE ended_at IS NULL AND status IN (9, 10)
                    AND id IN (SELECT id FROM tree WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3)";
        self.connection.run(date, params![after, bound, limit, self.now]).map(|_| ())
    }
}

//! The census of SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sixpack_model::tree::PartStatus;

use super::SqliteStore;
use super::codes::Code;
use super::columns::unsigned;
use super::opening;
use super::statements::Statements;
use crate::census::{Census, Counted, SupplierCounted};
use crate::error::StoreError;

#[async_trait]
impl Census for SqliteStore {
    async fn census(&self, limit: u32, names: u32) -> Result<Counted, StoreError> {
        let now = self.clock_ms();
        let counted = self.read("counting what there is", move |connection| {
            let requests = counted_since(connection, REQUESTS, now, limit)?;
            let tasks = counted_since(connection, TASKS, now, limit)?;
            let leases = counted_since(connection, LEASES, now, limit)?;
            let leases_held =
                connection.all(LEASES_BY_ENVIRONMENT, [limit], |row| Ok((row.get(0)?, unsigned(row, 1)?)))?;
            let suppliers = connection.all(SUPPLIERS, params![names, now], read_supplier)?;
            let quarantined = "SELECT count(*) FROM (SELECT 1 FROM tree WHERE status = ?1 LIMIT ?2)";
            Ok(Counted {
                requests_open: requests.0,
                request_overdue_ms: requests.1,
                tasks_waiting: tasks.0,
                task_due_for_ms: tasks.1,
                tasks_claimed: count(
                    connection,
                    "SELECT count(*) FROM (SELECT 1 FROM task_claim LIMIT ?1)",
                    [limit],
                )?,
                debts: count(
                    connection,
                    "SELECT count(*) FROM (SELECT 1 FROM dataset WHERE status = 11 LIMIT ?1)",
                    [limit],
                )?,
                quarantined: count(connection, quarantined, params![PartStatus::Quarantined.code(), limit])?,
                leases_held,
                lease_overdue_ms: leases.1,
                suppliers,
                size_bytes: count(
                    connection,
                    "SELECT p.page_count * s.page_size FROM pragma_page_count AS p, pragma_page_size AS s",
                    [],
                )?,
                log_bytes: None,
                backed_up_at: None,
            })
        });
        let mut counted = counted.await?;
        // A log that is not there is empty; a note that is not there was never made.
        let log = std::fs::metadata(opening::log_of(&self.folder));
        counted.log_bytes = Some(log.map_or(0, |log| log.len()));
        let noted = std::fs::metadata(opening::backup_note(&self.folder)).and_then(|note| note.modified());
        counted.backed_up_at = noted.ok().and_then(|at| Timestamp::try_from(at).ok());
        Ok(counted)
    }
}

/// How many rows, and how long ago the earliest time of them was.
const REQUESTS: &str = "SELECT count(*), max(0, ?1 - coalesce(min(deadline_at), ?1))
    FROM (SELECT deadline_at FROM request INDEXED BY request_open WHERE status < 2 LIMIT ?2)";
const TASKS: &str = "SELECT count(*), max(0, ?1 - coalesce(min(ready_at), ?1))
    FROM (SELECT ready_at FROM task_ready LIMIT ?2)";
const LEASES: &str = "SELECT count(*), max(0, ?1 - coalesce(min(expires_at), ?1))
    FROM (SELECT expires_at FROM lease INDEXED BY lease_due WHERE status = 0 ORDER BY expires_at LIMIT ?2)";

const LEASES_BY_ENVIRONMENT: &str = "SELECT e.name, count(*)
    FROM (SELECT environment FROM lease INDEXED BY lease_due WHERE status = 0 LIMIT ?1) l
    JOIN environment e ON e.id = l.environment GROUP BY e.name ORDER BY e.name";

const SUPPLIERS: &str = "SELECT e.name, s.domain, count(*), max(0, ?2 - max(s.seen_at))
    FROM session s INDEXED BY session_open JOIN environment e ON e.id = s.environment
    WHERE s.status < 2 AND s.status = 0 GROUP BY e.name, s.domain ORDER BY e.name, s.domain LIMIT ?1";

fn counted_since(connection: &Connection, sql: &str, now: i64, limit: u32) -> rusqlite::Result<(u64, u64)> {
    let read = |row: &Row<'_>| Ok((unsigned(row, 0)?, unsigned(row, 1)?));
    Ok(connection.one(sql, params![now, limit], read)?.expect("a count gives a row"))
}

fn count(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<u64> {
    Ok(connection.one(sql, params, |row| unsigned(row, 0))?.expect("a count gives a row"))
}

fn read_supplier(row: &Row<'_>) -> rusqlite::Result<SupplierCounted> {
    Ok(SupplierCounted {
        environment: row.get(0)?,
        domain: row.get(1)?,
        sessions: unsigned(row, 2)?,
        seen_ms_ago: unsigned(row, 3)?,
    })
}

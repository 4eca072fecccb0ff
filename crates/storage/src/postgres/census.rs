//! The census of PostgreSQL.

use async_trait::async_trait;
use sixpack_model::tree::PartStatus;
use tokio_postgres::Row;

use super::PostgresStore;
use super::columns::{Int, get, number, number_of_code};
use super::faults::Fault;
use super::statements::{Connection, Params};
use crate::census::{Census, Counted, SupplierCounted};
use crate::error::StoreError;

#[async_trait]
impl Census for PostgresStore {
    async fn census(&self, limit: u32, names: u32) -> Result<Counted, StoreError> {
        let input = (i64::from(limit), i64::from(names));
        self.read_at_once("counting what there is", input, |connection, (limit, names)| {
            Box::pin(async move {
                let requests = counted_since(connection, REQUESTS, *limit).await?;
                let tasks = counted_since(connection, TASKS, *limit).await?;
                let leases = counted_since(connection, LEASES, *limit).await?;
                let quarantined =
                    "SELECT count(*) FROM (SELECT 1 FROM tree WHERE status = $1 LIMIT $2) AS counted";
                let set_aside: Int = number_of_code(PartStatus::Quarantined);
                let by_environment = |row: &Row| Ok((get(row, 0)?, number(row, 1)?));
                Ok(Counted {
                    requests_open: requests.0,
                    request_overdue_ms: requests.1,
                    tasks_waiting: tasks.0,
                    task_due_for_ms: tasks.1,
                    tasks_claimed: count(
                        connection,
                        "SELECT count(*) FROM (SELECT 1 FROM task_claim LIMIT $1) AS counted",
                        &[limit],
                    )
                    .await?,
                    debts: count(
                        connection,
                        "SELECT count(*) FROM (SELECT 1 FROM dataset WHERE status = 11 LIMIT $1) AS counted",
                        &[limit],
                    )
                    .await?,
                    quarantined: count(connection, quarantined, &[&set_aside, limit]).await?,
                    leases_held: connection.all(LEASES_BY_ENVIRONMENT, &[limit], by_environment).await?,
                    lease_overdue_ms: leases.1,
                    suppliers: connection.all(SUPPLIERS, &[names], read_supplier).await?,
                    size_bytes: count(connection, SIZE, &[]).await?,
                    log_bytes: None,
                    backed_up_at: None,
                })
            })
        })
        .await
    }
}

/// How many rows, and how long ago the earliest time of them was.
const REQUESTS: &str =
    "SELECT count(*), greatest(0, sixpack_now() - coalesce(min(deadline_at), sixpack_now()))
    FROM (SELECT deadline_at FROM request WHERE status < 2 LIMIT $1) AS counted";
const TASKS: &str = "SELECT count(*), greatest(0, sixpack_now() - coalesce(min(ready_at), sixpack_now()))
    FROM (SELECT ready_at FROM task_ready LIMIT $1) AS counted";
const LEASES: &str = "SELECT count(*), greatest(0, sixpack_now() - coalesce(min(expires_at), sixpack_now()))
    FROM (SELECT expires_at FROM lease WHERE status = 0 LIMIT $1) AS counted";

const LEASES_BY_ENVIRONMENT: &str = "SELECT e.name, count(*)
    FROM (SELECT environment FROM lease WHERE status = 0 LIMIT $1) l
    JOIN environment e ON e.id = l.environment GROUP BY e.name ORDER BY e.name";

const SUPPLIERS: &str = "SELECT e.name, s.domain, count(*), greatest(0, sixpack_now() - max(s.seen_at))
    FROM session s JOIN environment e ON e.id = s.environment
    WHERE s.status < 2 AND s.status = 0 GROUP BY e.name, s.domain ORDER BY e.name, s.domain LIMIT $1";

/// Of the tables of the schema, with their indexes: as many as there are tables, however much is in them.
const SIZE: &str = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'";

async fn counted_since(connection: &Connection, sql: &str, limit: i64) -> Result<(u64, u64), Fault> {
    let read = |row: &Row| Ok((number(row, 0)?, number(row, 1)?));
    Ok(connection.one(sql, &[&limit], read).await?.expect("a count gives a row"))
}

async fn count(connection: &Connection, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
    Ok(connection.one(sql, params, |row| number(row, 0)).await?.expect("a count gives a row"))
}

fn read_supplier(row: &Row) -> Result<SupplierCounted, Fault> {
    Ok(SupplierCounted {
        environment: get(row, 0)?,
        domain: get(row, 1)?,
        sessions: number(row, 2)?,
        seen_ms_ago: number(row, 3)?,
    })
}

//! Datasets in PostgreSQL: lists go backwards through the primary key, or through the index that the filter asks for.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::ids::{DatasetId, TreeId};
use sixpack_model::tree::{Operation, PartStatus};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{Int, code, get, id, int, number, number_of_code, time_at};
use super::faults::Fault;
use super::names::contract_is;
use crate::datasets::{DatasetFilter, DatasetRow, Datasets};
use crate::error::StoreError;
use crate::page::Page;
use crate::stored::codes::Code;

/// What a root has become is written in its tree; its own row follows with its next change.
macro_rules! status {
    () => {
        "CASE d.part WHEN 0 THEN (SELECT of.status FROM tree of WHERE of.id = d.tree) ELSE d.status END"
    };
}

const COLUMNS: &str = concat!("d.tree, d.part, e.name, c.name, d.version, ", status!(), ", d.created_at");

/// Behind every row, because lists are read backwards.
const LAST: (Uuid, i64) = (Uuid::max(), i64::MAX);

#[async_trait]
impl Datasets for PostgresStore {
    async fn datasets(
        &self,
        filter: &DatasetFilter,
        page: Page<DatasetId>,
    ) -> Result<Vec<DatasetRow>, StoreError> {
        self.read("listing datasets", list(filter, &page), |connection, (sql, values)| {
            Box::pin(async move {
                let values: Vec<&(dyn ToSql + Sync)> =
                    values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
                connection.all(sql, &values, read_dataset).await
            })
        })
        .await
    }

    async fn debts(
        &self,
        environment: Option<&str>,
        page: Page<DatasetId>,
    ) -> Result<Vec<DatasetRow>, StoreError> {
        let (tree, part) = key_behind(page.after);
        let input = (environment.map(str::to_owned), tree, part, Int::from(page.limit));
        self.read("listing debts", input, |connection, (environment, tree, part, limit)| {
            Box::pin(async move {
                // Written out, because the index is one on debts only.
                let list = format!(
                    "SELECT {COLUMNS} FROM dataset d
                     JOIN contract c ON c.id = d.contract JOIN environment e ON e.id = c.environment
                     WHERE d.status = {} AND (d.tree, d.part) > ($1, $2) AND ($3::text IS NULL OR e.name = $3)
                     ORDER BY d.tree, d.part LIMIT $4",
                    PartStatus::Debt.code()
                );
                connection.all(&list, &[tree, part, environment, limit], read_dataset).await
            })
        })
        .await
    }

    async fn waiting_undos(
        &self,
        environment: Option<&str>,
        grace_ms: u64,
        page: Page<DatasetId>,
    ) -> Result<Vec<(DatasetId, Timestamp)>, StoreError> {
        let input =
            (int(grace_ms), key_behind(page.after), environment.map(str::to_owned), Int::from(page.limit));
        let doing = "listing undos that wait for their supplier";
        self.read(doing, input, |connection, (grace_ms, (tree, part), environment, limit)| {
            Box::pin(async move {
                let list = format!(
                    "{}
                     SELECT w.tree, w.part, w.since FROM waiting w
                     WHERE (w.tree, w.part) > ($2, $3) AND ($4::text IS NULL OR w.environment = $4)
                     ORDER BY w.tree, w.part LIMIT $5",
                    waiting_undos()
                );
                let read = |row: &Row| {
                    let dataset = DatasetId { tree: TreeId(id(row, 0)?), part: number(row, 1)? };
                    Ok((dataset, time_at(row, 2)?))
                };
                connection.all(&list, &[grace_ms, tree, part, environment, limit], read).await
            })
        })
        .await
    }

    async fn count_waiting_undos(&self, grace_ms: u64) -> Result<Vec<(String, u64)>, StoreError> {
        self.read("counting undos that wait for their supplier", int(grace_ms), |connection, grace_ms| {
            Box::pin(async move {
                let count = format!(
                    "{}
                     SELECT w.environment, count(*) FROM waiting w GROUP BY w.environment ORDER BY w.environment",
                    waiting_undos()
                );
                let grace_ms: &i64 = grace_ms;
                connection.all(&count, &[grace_ms], |row| Ok((get(row, 0)?, number(row, 1)?))).await
            })
        })
        .await
    }

    async fn count_trees(&self) -> Result<Vec<(PartStatus, u64)>, StoreError> {
        self.read("counting trees", (), |connection, ()| {
            Box::pin(async move {
                let count = "SELECT status, count(*) FROM tree GROUP BY status ORDER BY status";
                connection.all(count, &[], |row| Ok((code(row, 0)?, number(row, 1)?))).await
            })
        })
        .await
    }

    async fn environment_of(&self, tree: TreeId) -> Result<Option<String>, StoreError> {
        self.read("finding the environment of a tree", tree, |connection, tree| {
            Box::pin(async move {
                let find =
                    "SELECT e.name FROM tree t JOIN environment e ON e.id = t.environment WHERE t.id = $1";
                connection.one(find, &[&tree.0], |row| get(row, 0)).await
            })
        })
        .await
    }
}

/// Undos that nobody has been there for since `$1` milliseconds ago. Only what waits in queues that nobody serves is looked at,
/// as the sweep of unserved tasks does every two seconds.
fn waiting_undos() -> String {
    format!(
        "WITH coverage AS MATERIALIZED (
         SELECT q.id, q.contract, q.served_until, min(s.oldest_version) AS oldest, max(s.version) AS newest
         FROM queue q LEFT JOIN session_service s ON s.queue = q.id
         WHERE q.served_until <= sixpack_now() - $1 GROUP BY q.id),
     waiting AS (
         SELECT r.tree, r.part, greatest(r.ready_at, c.served_until) AS since, e.name AS environment
         FROM coverage c JOIN task_ready r ON r.queue = c.id
         JOIN contract k ON k.id = c.contract JOIN environment e ON e.id = k.environment
         WHERE r.ready_at <= sixpack_now() - $1 AND r.operation = {}
           AND (c.newest IS NULL OR r.version NOT BETWEEN c.oldest AND c.newest))",
        Operation::Undo.code()
    )
}

/// Where a list that is read forwards goes on.
fn key_behind(after: Option<DatasetId>) -> (Uuid, Int) {
    after.map_or((Uuid::nil(), Int(-1)), |after| (after.tree.0, after.part.into()))
}

/// Values of a statement that is put together.
type Values = Vec<Box<dyn ToSql + Send + Sync>>;

/// The statement for a filter; each begins with the table that leaves the fewest rows to look at.
fn list(filter: &DatasetFilter, page: &Page<DatasetId>) -> (String, Values) {
    let mut values: Values = Vec::new();
    let names = "JOIN contract c ON c.id = d.contract JOIN environment e ON e.id = c.environment";
    let mut sql = if let Some((kind, key)) = &filter.entity {
        values.push(Box::new(kind.clone()));
        values.push(Box::new(key.clone()));
        format!(
            "SELECT {COLUMNS} FROM entity n JOIN dataset d ON d.tree = n.tree AND d.part = n.part {names}
             WHERE n.environment = ANY (ARRAY (SELECT id FROM environment)) AND n.kind = $1 AND n.key = $2"
        )
    } else if let Some(contract) = &filter.contract {
        let of_contract = contract_is("d.contract", contract, filter.environment.as_deref(), &mut values);
        format!("SELECT {COLUMNS} FROM dataset d {names} WHERE {of_contract}")
    } else {
        format!(
            "SELECT {COLUMNS} FROM tree t JOIN dataset d ON d.tree = t.id AND d.part = 0 {names} WHERE true"
        )
    };
    let mut and = |condition: &str, value: Box<dyn ToSql + Send + Sync>| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    let root_only = filter.entity.is_none() && filter.contract.is_none();
    if let (Some(contract), Some(_)) = (&filter.contract, &filter.entity) {
        and(" AND c.name = ?", Box::new(contract.clone()));
    }
    if let Some(environment) = &filter.environment {
        and(" AND e.name = ?", Box::new(environment.clone()));
    }
    if let Some(status) = filter.status {
        let is = if root_only { " AND t.status = ?" } else { concat!(" AND ", status!(), " = ?") };
        and(is, Box::new(number_of_code(status)));
    }
    let (tree, part) = page.after.map_or(LAST, |after| (after.tree.0, after.part.into()));
    if root_only {
        and(" AND t.id < ? ORDER BY t.id DESC", Box::new(tree));
    } else {
        and(" AND (d.tree, d.part) < (?", Box::new(tree));
        and(", ?) ORDER BY d.tree DESC, d.part DESC", Box::new(part));
    }
    and(" LIMIT ?", Box::new(i64::from(page.limit)));
    (sql, values)
}

fn read_dataset(row: &Row) -> Result<DatasetRow, Fault> {
    Ok(DatasetRow {
        id: DatasetId { tree: TreeId(id(row, 0)?), part: number(row, 1)? },
        environment: get(row, 2)?,
        contract: get(row, 3)?,
        version: number(row, 4)?,
        status: code(row, 5)?,
        created_at: time_at(row, 6)?,
    })
}

//! Datasets in SQLite: lists go backwards through the primary key, or through the index that the filter asks for.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, ToSql, params, params_from_iter};
use sixpack_model::ids::{DatasetId, TreeId};
use sixpack_model::tree::{Operation, PartStatus};

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, id, int, time_at, unsigned};
use super::names::contract_is;
use super::statements::Statements;
use crate::datasets::{DatasetFilter, DatasetRow, Datasets};
use crate::error::StoreError;
use crate::page::Page;

/// What a root has become is written in its tree; its own row follows with its next change.
macro_rules! status {
    () => {
        "CASE d.part WHEN 0 THEN (SELECT of.status FROM tree of WHERE of.id = d.tree) ELSE d.status END"
    };
}

const COLUMNS: &str = concat!("d.tree, d.part, e.name, c.name, d.version, ", status!(), ", d.created_at");

/// Behind every row, because lists are read backwards.
const LAST: ([u8; 16], i64) = ([0xff; 16], i64::MAX);

#[async_trait]
impl Datasets for SqliteStore {
    async fn datasets(
        &self,
        filter: &DatasetFilter,
        page: Page<DatasetId>,
    ) -> Result<Vec<DatasetRow>, StoreError> {
        let (sql, values) = list(filter, &page);
        self.read("listing datasets", move |connection| {
            connection.all(&sql, params_from_iter(values), read_dataset)
        })
        .await
    }

    async fn debts(
        &self,
        environment: Option<&str>,
        page: Page<DatasetId>,
    ) -> Result<Vec<DatasetRow>, StoreError> {
        let environment = environment.map(str::to_owned);
        let (tree, part) = key_behind(page.after);
        self.read("listing debts", move |connection| {
            let list = format!(
                "SELECT {COLUMNS} FROM dataset d
                 CROSS JOIN contract c ON c.id = d.contract CROSS JOIN environment e ON e.id = c.environment
                 WHERE d.status = {} AND (d.tree, d.part) > (?1, ?2) AND (?3 IS NULL OR e.name = ?3)
                 ORDER BY d.tree, d.part LIMIT ?4",
                PartStatus::Debt.code()
            );
            connection.all(&list, params![tree, part, environment, page.limit], read_dataset)
        })
        .await
    }

    async fn waiting_undos(
        &self,
        environment: Option<&str>,
        grace_ms: u64,
        page: Page<DatasetId>,
    ) -> Result<Vec<(DatasetId, Timestamp)>, StoreError> {
        let before = self.clock_ms().saturating_sub(int(grace_ms));
        let environment = environment.map(str::to_owned);
        let (tree, part) = key_behind(page.after);
        self.read("listing undos that wait for their supplier", move |connection| {
            let list = format!(
                "{}
                 SELECT w.tree, w.part, w.since FROM waiting w
                 WHERE (w.tree, w.part) > (?2, ?3) AND (?4 IS NULL OR w.environment = ?4)
                 ORDER BY w.tree, w.part LIMIT ?5",
                waiting_undos()
            );
            connection.all(&list, params![before, tree, part, environment, page.limit], |row| {
                Ok((DatasetId { tree: TreeId(id(row, 0)?), part: row.get(1)? }, time_at(row, 2)?))
            })
        })
        .await
    }

    async fn count_waiting_undos(&self, grace_ms: u64) -> Result<Vec<(String, u64)>, StoreError> {
        let before = self.clock_ms().saturating_sub(int(grace_ms));
        self.read("counting undos that wait for their supplier", move |connection| {
            let count = format!(
                "{}
                 SELECT w.environment, count(*) FROM waiting w GROUP BY w.environment ORDER BY w.environment",
                waiting_undos()
            );
            connection.all(&count, [before], |row| Ok((row.get(0)?, unsigned(row, 1)?)))
        })
        .await
    }

    async fn count_trees(&self) -> Result<Vec<(PartStatus, u64)>, StoreError> {
        self.read("counting trees", |connection| {
            connection.all("SELECT status, count(*) FROM tree GROUP BY status ORDER BY status", [], |row| {
                Ok((code(row, 0)?, unsigned(row, 1)?))
            })
        })
        .await
    }

    async fn environment_of(&self, tree: TreeId) -> Result<Option<String>, StoreError> {
        self.read("finding the environment of a tree", move |connection| {
            connection.one(
                "SELECT e.name FROM tree t JOIN environment e ON e.id = t.environment WHERE t.id = ?1",
                [tree.0.as_bytes()],
                |row| row.get(0),
            )
        })
        .await
    }
}

/// Undos that nobody has been there for since `?1`. Only what waits in queues that nobody serves is looked at, as the sweep of
/// unserved tasks does every two seconds.
fn waiting_undos() -> String {
    format!(
        "WITH coverage AS MATERIALIZED (
         SELECT q.id, q.contract, q.served_until, min(s.oldest_version) AS oldest, max(s.version) AS newest
         FROM queue q LEFT JOIN session_service s ON s.queue = q.id
         WHERE q.served_until <= ?1 GROUP BY q.id),
     waiting AS (
         SELECT r.tree, r.part, max(r.ready_at, c.served_until) AS since, e.name AS environment
         FROM coverage c CROSS JOIN task_ready r ON r.queue = c.id
         CROSS JOIN contract k ON k.id = c.contract CROSS JOIN environment e ON e.id = k.environment
         WHERE r.ready_at <= ?1 AND r.operation = {}
           AND (c.newest IS NULL OR r.version NOT BETWEEN c.oldest AND c.newest))",
        Operation::Undo.code()
    )
}

/// Where a list that is read forwards goes on.
fn key_behind(after: Option<DatasetId>) -> ([u8; 16], i64) {
    after.map_or(([0; 16], -1), |after| (after.tree.0.into_bytes(), i64::from(after.part)))
}

/// The statement for a filter; each begins with the table that leaves the fewest rows to look at.
fn list(filter: &DatasetFilter, page: &Page<DatasetId>) -> (String, Vec<Box<dyn ToSql + Send>>) {
    let mut values: Vec<Box<dyn ToSql + Send>> = Vec::new();
    let names = "CROSS JOIN contract c ON c.id = d.contract CROSS JOIN environment e ON e.id = c.environment";
    let mut sql = if let Some((kind, key)) = &filter.entity {
        values.push(Box::new(kind.clone()));
        values.push(Box::new(key.clone()));
        format!(
            "SELECT {COLUMNS} FROM entity n CROSS JOIN dataset d ON d.tree = n.tree AND d.part = n.part {names}
             WHERE n.environment IN (SELECT id FROM environment) AND n.kind = ? AND n.key = ?"
        )
    } else if let Some(contract) = &filter.contract {
        let of_contract = contract_is("d.contract", contract, filter.environment.as_deref(), &mut values);
        format!("SELECT {COLUMNS} FROM dataset d {names} WHERE {of_contract}")
    } else {
        format!(
            "SELECT {COLUMNS} FROM tree t CROSS JOIN dataset d ON d.tree = t.id AND d.part = 0 {names}
             WHERE true"
        )
    };
    let root_only = filter.entity.is_none() && filter.contract.is_none();
    if let (Some(contract), Some(_)) = (&filter.contract, &filter.entity) {
        sql.push_str(" AND c.name = ?");
        values.push(Box::new(contract.clone()));
    }
    if let Some(environment) = &filter.environment {
        sql.push_str(" AND e.name = ?");
        values.push(Box::new(environment.clone()));
    }
    if let Some(status) = filter.status {
        sql.push_str(if root_only { " AND t.status = ?" } else { concat!(" AND ", status!(), " = ?") });
        values.push(Box::new(status.code()));
    }
    let (tree, part) = page.after.map_or(LAST, |after| (after.tree.0.into_bytes(), i64::from(after.part)));
    if root_only {
        sql.push_str(" AND t.id < ? ORDER BY t.id DESC LIMIT ?");
        values.push(Box::new(tree));
    } else {
        sql.push_str(" AND (d.tree, d.part) < (?, ?) ORDER BY d.tree DESC, d.part DESC LIMIT ?");
        values.push(Box::new(tree));
        values.push(Box::new(part));
    }
    values.push(Box::new(page.limit));
    (sql, values)
}

fn read_dataset(row: &Row<'_>) -> rusqlite::Result<DatasetRow> {
    Ok(DatasetRow {
        id: DatasetId { tree: TreeId(id(row, 0)?), part: row.get(1)? },
        environment: row.get(2)?,
        contract: row.get(3)?,
        version: row.get(4)?,
        status: code(row, 5)?,
        created_at: time_at(row, 6)?,
    })
}

//! Datasets in SQLite: lists go backwards through the primary key, or through the index that the filter asks for.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sixpack_model::ids::{DatasetId, TreeId};
use sixpack_model::tree::{Operation, PartStatus};

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, id, int, time_at, unsigned};
use super::looks::{self, Source};
use super::statements::Statements;
use crate::datasets::{DatasetFilter, DatasetRow, Datasets};
use crate::error::StoreError;
use crate::page::{Listed, Page};

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
    ) -> Result<Listed<DatasetRow, DatasetId>, StoreError> {
        let filter = filter.clone();
        self.read("listing datasets", move |connection| {
            let sources = sources_of(connection, &filter, page.after)?;
            let key = |row: &Row<'_>| Ok(DatasetId { tree: TreeId(id(row, 1)?), part: row.get(2)? });
            let found = looks::look(connection, &sources, page.limit, key)?;
            let read = format!(
                "SELECT {COLUMNS} FROM dataset d
                 CROSS JOIN contract c ON c.id = d.contract CROSS JOIN environment e ON e.id = c.environment
                 WHERE d.tree = ?1 AND d.part = ?2"
            );
            looks::rows(found, |dataset| {
                connection.one(&read, params![dataset.tree.0.as_bytes(), dataset.part], read_dataset)
            })
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

/// Where the datasets of a list are looked for: among those that hold an entity or are of a contract, in each environment; or
/// else among the roots, of a status if one is asked for.
pub(super) fn sources_of(
    connection: &Connection,
    filter: &DatasetFilter,
    after: Option<DatasetId>,
) -> rusqlite::Result<Vec<Source>> {
    let environments = looks::environments(connection, filter.environment.as_deref())?;
    let (tree, part) = after.map_or(LAST, |after| (after.tree.0.into_bytes(), i64::from(after.part)));
    let mut sources = Vec::new();
    if let Some((kind, key)) = &filter.entity {
        for environment in &environments {
            let mut source = looks::source("n.tree, n.part", "n.tree DESC, n.part DESC");
            let environment = source.value(Box::new(*environment));
            let (kind, key) = (source.value(Box::new(kind.clone())), source.value(Box::new(key.clone())));
            let (tree, part) = (source.value(Box::new(tree)), source.value(Box::new(part)));
            source.come_from(format!(
                "entity n CROSS JOIN dataset d ON d.tree = n.tree AND d.part = n.part
                 WHERE n.environment = {environment} AND n.kind = {kind} AND n.key = {key}
                   AND (n.tree, n.part) < ({tree}, {part})"
            ));
            if let Some(contract) = &filter.contract {
                let contract = source.value(Box::new(contract.clone()));
                source.matching(format!(
                    "(SELECT c.name FROM contract c WHERE c.id = d.contract) = {contract}"
                ));
            }
            sources.push(source);
        }
    } else if let Some(contract) = &filter.contract {
        for contract in looks::contracts(connection, contract, &environments)? {
            let mut source = looks::source("d.tree, d.part", "d.tree DESC, d.part DESC");
            let contract = source.value(Box::new(contract));
            let (tree, part) = (source.value(Box::new(tree)), source.value(Box::new(part)));
            source.come_from(format!(
                "dataset d INDEXED BY dataset_by_contract
                 WHERE d.contract = {contract} AND (d.tree, d.part) < ({tree}, {part})"
            ));
            sources.push(source);
        }
    } else {
        let roots = roots(filter, &environments, tree);
        return Ok(if environments.is_empty() { Vec::new() } else { vec![roots] });
    }
    if let Some(status) = filter.status {
        sources.iter_mut().for_each(|source| {
            let status = source.value(Box::new(status.code()));
            source.matching(format!("{} = {status}", status!()));
        });
    }
    Ok(sources)
}

fn roots(filter: &DatasetFilter, environments: &[i64], before: [u8; 16]) -> Source {
    let mut source = looks::source("t.id, 0", "t.id DESC");
    let before = source.value(Box::new(before));
    let from = match filter.status {
        Some(status) => {
            let status = source.value(Box::new(status.code()));
            format!("tree t WHERE t.status = {status} AND t.id < {before}")
        }
        None => format!("tree t WHERE t.id < {before}"),
    };
    source.come_from(from);
    if filter.environment.is_some() {
        let environment = source.value(Box::new(environments.first().copied()));
        source.matching(format!("t.environment = {environment}"));
    }
    source
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

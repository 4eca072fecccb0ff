//! Datasets in PostgreSQL: lists go backwards through the primary key, or through the index that the filter asks for.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::ids::{DatasetId, TreeId};
use sixpack_model::tree::{Operation, PartStatus};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{Int, code, get, id, int, number, number_of_code, time_at};
use super::faults::Fault;
use super::looks::{self, Source};
use super::statements::Connection;
use crate::datasets::{DatasetFilter, DatasetRow, Datasets};
use crate::error::StoreError;
use crate::page::{Listed, Page};
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
    ) -> Result<Listed<DatasetRow, DatasetId>, StoreError> {
        self.read_at_once("listing datasets", (filter.clone(), page), |connection, (filter, page)| {
            Box::pin(async move {
                let sources = sources_of(connection, filter, page.after).await?;
                let key = |row: &Row| Ok(DatasetId { tree: TreeId(id(row, 0)?), part: number(row, 1)? });
                let found = looks::look(connection, &sources, page.limit, key).await?;
                let list = format!(
                    "SELECT {COLUMNS} FROM unnest($1::uuid[], $2::bigint[]) AS k (tree, part)
                     JOIN dataset d ON d.tree = k.tree AND d.part = k.part
                     JOIN contract c ON c.id = d.contract JOIN environment e ON e.id = c.environment
                     ORDER BY d.tree DESC, d.part DESC"
                );
                let (trees, parts): (Vec<Uuid>, Vec<i64>) =
                    found.rows.iter().map(|dataset| (dataset.tree.0, i64::from(dataset.part))).unzip();
                let rows = connection.all(&list, &[&trees, &parts], read_dataset).await?;
                Ok(Listed { rows, next: found.next })
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
         WHERE q.served_until <= (SELECT sixpack_now()) - $1 GROUP BY q.id),
     waiting AS (
         SELECT r.tree, r.part, greatest(r.ready_at, c.served_until) AS since, e.name AS environment
         FROM coverage c JOIN task_ready r ON r.queue = c.id
         JOIN contract k ON k.id = c.contract JOIN environment e ON e.id = k.environment
         WHERE r.ready_at <= (SELECT sixpack_now()) - $1 AND r.operation = {}
           AND (c.newest IS NULL OR r.version NOT BETWEEN c.oldest AND c.newest))",
        Operation::Undo.code()
    )
}

/// Where a list that is read forwards goes on.
fn key_behind(after: Option<DatasetId>) -> (Uuid, Int) {
    after.map_or((Uuid::nil(), Int(-1)), |after| (after.tree.0, after.part.into()))
}

/// Where the datasets of a list are looked for: among those that hold an entity or are of a contract, in each environment; or
/// else among the roots, of a status if one is asked for.
pub(super) async fn sources_of(
    connection: &Connection,
    filter: &DatasetFilter,
    after: Option<DatasetId>,
) -> Result<Vec<Source>, Fault> {
    let environments = looks::environments(connection, filter.environment.as_deref()).await?;
    let (tree, part) = after.map_or(LAST, |after| (after.tree.0, after.part.into()));
    let mut sources = Vec::new();
    if let Some((kind, key)) = &filter.entity {
        for environment in &environments {
            let mut source = looks::source("n.tree, n.part", "n.tree DESC, n.part DESC");
            let environment = source.value(Box::new(*environment));
            let (kind, key) = (source.value(Box::new(kind.clone())), source.value(Box::new(key.clone())));
            let (tree, part) = (source.value(Box::new(tree)), source.value(Box::new(part)));
            source.come_from(format!(
                "entity n JOIN dataset d ON d.tree = n.tree AND d.part = n.part
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
        for contract in looks::contracts(connection, contract, &environments).await? {
            let mut source = looks::source("d.tree, d.part", "d.tree DESC, d.part DESC");
            let contract = source.value(Box::new(contract));
            let (tree, part) = (source.value(Box::new(tree)), source.value(Box::new(part)));
            source.come_from(format!(
                "dataset d WHERE d.contract = {contract} AND (d.tree, d.part) < ({tree}, {part})"
            ));
            sources.push(source);
        }
    } else {
        let roots = roots(filter, &environments, tree);
        return Ok(if environments.is_empty() { Vec::new() } else { vec![roots] });
    }
    if let Some(status) = filter.status {
        sources.iter_mut().for_each(|source| {
            let status = source.value(Box::new(number_of_code(status)));
            source.matching(format!("{} = {status}", status!()));
        });
    }
    Ok(sources)
}

fn roots(filter: &DatasetFilter, environments: &[i64], before: Uuid) -> Source {
    let mut source = looks::source("t.id, 0 AS part", "t.id DESC");
    let before = source.value(Box::new(before));
    let from = match filter.status {
        Some(status) => {
            let status = source.value(Box::new(number_of_code(status)));
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

//! Dataset trees in PostgreSQL.
//!
//! A decision is written by whoever holds the request and the tree that it is about. The version of the tree is compared under
//! that lock, so that of two decisions about one version the second is told that it is stale, whatever they are about.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::channel::is_of_channel;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::limits::CHANNEL_VERSIONS_FROM;
use sixpack_model::name::ContractName;
use sixpack_model::tree::{PartStatus, Tree};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{Int, code, code_of, get, id, id_of, number, number_of, parsed, time_of, unreadable};
use super::decisions::{Decision, WRITING};
use super::faults::Fault;
use super::limits::{LATELY_MS, LATELY_ROWS};
use super::parts::{PART_COLUMNS, read_part};
use super::statements::Connection;
use super::writes::read_recheck;
use crate::error::StoreError;
use crate::stored::attempts::Attempt;
use crate::stored::changes::ChangeRow;
use crate::tasks::{Claimant, Claimed};
use crate::trees::{Lately, TreeWrite, Trees, Written};

#[async_trait]
impl Trees for PostgresStore {
    async fn load_tree(&self, id: TreeId) -> Result<Option<Tree>, StoreError> {
        self.inner.load(id).await
    }

    async fn write_tree(&self, write: TreeWrite) -> Result<Written, StoreError> {
        Ok(self.write_tree_claiming(write, Vec::new()).await?.0)
    }

    async fn write_tree_claiming(
        &self,
        write: TreeWrite,
        claimants: Vec<Claimant>,
    ) -> Result<(Written, Vec<Claimed>), StoreError> {
        let TreeWrite { guard, change, leases } = write;
        let attempt = Attempt::of(&guard, &change);
        let written = match Decision::plain(guard, ChangeRow::from(change), leases) {
            Ok(plain) => self.share(&self.decisions, plain.with(claimants)).await,
            Err(input) => {
                self.write(WRITING, input, |tx, input| {
                    let (guard, change, leases) = &**input;
                    Box::pin(tx.write_tree(guard, change, leases, &[]))
                })
                .await
            }
        };
        Ok(written?.counted(attempt.as_ref(), &self.inner.measures))
    }

    async fn unwanted_trees(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<TreeId>, StoreError> {
        let input = (after.map_or(Uuid::nil(), |tree| tree.0), Int::from(limit));
        self.read("reading unwanted trees", input, |connection, (after, limit)| {
            Box::pin(async move {
                let list = "SELECT tree FROM tree_unwanted WHERE tree > $1 ORDER BY tree LIMIT $2";
                connection.all(list, &[after, limit], |row| id(row, 0).map(TreeId)).await
            })
        })
        .await
    }

    async fn due_trees(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<TreeId>, StoreError> {
        let input = (after.map_or(Uuid::nil(), |tree| tree.0), Int::from(limit));
        self.read("reading due trees", input, |connection, (after, limit)| {
            Box::pin(async move {
                // Found by when they are due, and sorted then: by id, all that ever were would be read to find a few.
                let list =
                    "WITH due AS MATERIALIZED (SELECT id FROM tree WHERE due_at <= (SELECT sixpack_now()))
                            SELECT id FROM due WHERE id > $1 ORDER BY id LIMIT $2";
                connection.all(list, &[after, limit], |row| id(row, 0).map(TreeId)).await
            })
        })
        .await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("looking for the next due tree", (), |connection, ()| {
            Box::pin(async move {
                let find = "SELECT min(due_at) FROM tree WHERE due_at > (SELECT sixpack_now())";
                Ok(connection.one(find, &[], |row| time_of(row, 0)).await?.flatten())
            })
        })
        .await
    }

    async fn lately(&self, environment: &str, contract: &str, version: u32) -> Result<Lately, StoreError> {
        let versions =
            if is_of_channel(version) { (version, version) } else { (0, CHANNEL_VERSIONS_FROM - 1) };
        let input = (environment.to_owned(), contract.to_owned(), versions);
        self.read("counting failures", input, |connection, (environment, contract, (from, to))| {
            Box::pin(async move {
                // Ids of version 7 begin with their time, 48 bits of milliseconds: this is the smallest of the span.
                let count = "SELECT count(*) FILTER (WHERE failed), count(*), min(created_at) FILTER (WHERE failed) FROM (
                                 SELECT d.failed, d.created_at FROM dataset d
                                 WHERE d.contract = (SELECT c.id FROM contract c JOIN environment e ON e.id = c.environment
                                                     WHERE e.name = $1 AND c.name = $2)
                                   AND d.tree >= (lpad(to_hex(greatest((SELECT sixpack_now()) - $3, 0)), 12, '0')
                                                  || repeat('0', 20))::uuid
                                   AND d.started_at IS NOT NULL AND d.version BETWEEN $5 AND $6
                                 ORDER BY d.tree DESC LIMIT $4) AS begun";
                let (from, to) = (Int::from(*from), Int::from(*to));
                let lately = connection
                    .one(count, &[environment, contract, &LATELY_MS, &LATELY_ROWS, &from, &to], |row| {
                        let (failures, of) = (number(row, 0)?, number(row, 1)?);
                        Ok(Lately { failures, of, first_failed_at: time_of(row, 2)? })
                    })
                    .await?;
                Ok(lately.expect("a count gives a row"))
            })
        })
        .await
    }
}

/// Sets of pinned versions by their number: they never change, and the same few are read over and over.
#[derive(Default)]
pub(super) struct PinsRead(Mutex<HashMap<i64, Arc<BTreeMap<ContractName, u32>>>>);

/// Sets that are kept; beyond, all are read again.
const PINS_KEPT: usize = 1_000;

impl PinsRead {
    async fn read(
        &self,
        connection: &Connection,
        number: i64,
    ) -> Result<Arc<BTreeMap<ContractName, u32>>, Fault> {
        if let Some(pins) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(Arc::clone(pins));
        }
        let find = "SELECT pins FROM pins WHERE id = $1";
        let texts: Option<BTreeMap<String, u32>> =
            connection.one(find, &[&number], |row| parsed(row, 0)).await?;
        let texts = texts.expect("a set that a tree refers to is there");
        let pins = texts
            .into_iter()
            .map(|(name, version)| Ok((ContractName::from_str(&name)?, version)))
            .collect::<Result<BTreeMap<_, _>, sixpack_model::name::NameError>>();
        let pins = Arc::new(pins.map_err(|cause| unreadable(0, cause))?);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= PINS_KEPT {
            kept.clear();
        }
        kept.insert(number, Arc::clone(&pins));
        Ok(pins)
    }
}

/// Trees and their parts, in one statement, so that they agree; those that are there, in the order of their ids.
pub(super) async fn load(
    connection: &Connection,
    trees: &[TreeId],
    pins: &PinsRead,
) -> Result<Vec<Tree>, Fault> {
    let list = format!(
        "SELECT {PART_COLUMNS}, t.version, e.name, t.request, t.unit, t.priority, t.channel, t.pins, t.seed,
                t.unique_text, t.lease, t.ending, t.made, t.line, t.status, t.recheck, t.takes_stock, t.id
         FROM tree t JOIN environment e ON e.id = t.environment
         JOIN dataset d ON d.tree = t.id JOIN contract c ON c.id = d.contract
         WHERE t.id = ANY ($1) ORDER BY t.id, d.part"
    );
    let ids: Vec<Uuid> = trees.iter().map(|tree| tree.0).collect();
    let mut found: Vec<(i64, PartStatus, Tree)> = Vec::with_capacity(ids.len());
    let read = |row: &Row| {
        let tree = TreeId(id(row, 29)?);
        if found.last().is_none_or(|(.., last)| last.id != tree) {
            found.push((get(row, 19)?, code(row, 26)?, read_tree(row, tree)?));
        }
        let (.., last) = found.last_mut().expect("one was pushed");
        last.parts.push(read_part(row)?);
        Ok(())
    };
    connection.all(&list, &[&ids], read).await?;
    let mut loaded = Vec::with_capacity(found.len());
    for (number, status, mut tree) in found {
        tree.pins = pins.read(connection, number).await?;
        // A grant writes the tree and not its root.
        if let Some(root) = tree.parts.first_mut() {
            root.status = status;
        }
        loaded.push(tree);
    }
    Ok(loaded)
}

/// Reads a tree without its parts and pins from the columns behind those of a part.
fn read_tree(row: &Row, tree: TreeId) -> Result<Tree, Fault> {
    Ok(Tree {
        id: tree,
        version: number(row, 13)?,
        environment: get::<&str>(row, 14)?.into(),
        request: RequestId(id(row, 15)?),
        unit: number(row, 16)?,
        priority: code(row, 17)?,
        channel: get::<Option<&str>>(row, 18)?.map(Into::into),
        pins: Arc::default(),
        seed: number(row, 20)?,
        unique: get(row, 21)?,
        line: number_of(row, 25)?.map(LineId),
        takes_stock: get(row, 28)?,
        recheck: read_recheck(row, 27)?,
        lease: id_of(row, 22)?.map(LeaseId),
        ending: code_of(row, 23)?,
        made: number(row, 24)?,
        parts: Vec::new(),
    })
}

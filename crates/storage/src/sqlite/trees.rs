//! Dataset trees in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sixpack_model::channel::is_of_channel;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::limits::CHANNEL_VERSIONS_FROM;
use sixpack_model::tree::{PartStatus, Tree};
use uuid::Uuid;

use super::SqliteStore;
use super::columns::{code, code_of, id, id_of, parsed, time_of, unreadable, unsigned};
use super::limits::{LATELY_MS, LATELY_ROWS};
use super::parts::{PART_COLUMNS, read_part};
use super::statements::Statements;
use super::writes::{ChangeRow, read_recheck};
use crate::error::StoreError;
use crate::stored::attempts::{Attempt, TreeWritten, held_ms};
use crate::stored::pins::{Pins, PinsRead};
use crate::tasks::{Claimant, Claimed};
use crate::trees::{Lately, TreeWrite, Trees, Written};

#[async_trait]
impl Trees for SqliteStore {
    async fn load_tree(&self, id: TreeId) -> Result<Option<Tree>, StoreError> {
        let pins = Arc::clone(&self.pins);
        self.read("loading a tree", move |connection| load(connection, id, &pins)).await
    }

    async fn write_tree(&self, write: TreeWrite) -> Result<Written, StoreError> {
        let TreeWrite { guard, change, leases } = write;
        let attempt = Attempt::of(&guard, &change);
        let change = ChangeRow::from(change);
        let written = self.write("writing a tree", move |tx| {
            let Some(from) = tx.standing(change.tree)?.filter(|from| from.version == change.expected) else {
                return Ok(Written::Stale.into());
            };
            if let Some(clash) = tx.clash(&change, from, leases.len())? {
                return Ok(Written::EntityHeld(clash).into());
            }
            if let Some(contract) = tx.doubted_upon(&change)? {
                return Ok(Written::Doubted(contract).into());
            }
            let joins = change.joins.as_deref();
            let stocked = joins.map(|joins| tx.joins_from(joins)).transpose()?.flatten();
            if joins.is_some() && stocked.is_none() {
                return Ok(Written::Refused.into());
            }
            let Some(passed) = tx.pass(&guard, &change)? else {
                return Ok(Written::Refused.into());
            };
            if let (Some(joins), Some(stocked)) = (joins, stocked) {
                tx.join(change.tree, joins, stocked)?;
            }
            tx.update_tree(&change, passed.claimed_at)?;
            tx.note_said(&change)?;
            tx.hold_extended(&change)?;
            let from = tx.leave_lease(&guard, &change, from)?;
            let before = tx.write_request(&change, from, &leases)?;
            // A tree that was leased just now, or whose request goes on, is wanted.
            if before.ended {
                tx.note_unwanted(&change)?;
            }
            Ok(TreeWritten {
                written: Written::Done(before.after),
                held_ms: held_ms(passed.claimed_at, tx.now),
                claimed: Vec::new(),
            })
        });
        Ok(written.await?.counted(attempt.as_ref(), &self.measures).0)
    }

    /// Nothing is claimed with it: a claim behind it shares its commit.
    async fn write_tree_claiming(
        &self,
        write: TreeWrite,
        _claimants: Vec<Claimant>,
    ) -> Result<(Written, Vec<Claimed>), StoreError> {
        Ok((self.write_tree(write).await?, Vec::new()))
    }

    async fn unwanted_trees(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<TreeId>, StoreError> {
        let after = after.map_or([0; 16], |tree| tree.0.into_bytes());
        self.read("reading unwanted trees", move |connection| {
            connection.all(
                "SELECT tree FROM tree_unwanted WHERE tree > ?1 ORDER BY tree LIMIT ?2",
                params![after, limit],
                |row| id(row, 0).map(TreeId),
            )
        })
        .await
    }

    async fn due_trees(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<TreeId>, StoreError> {
        let now = self.clock_ms();
        let after = after.map_or([0; 16], |tree| tree.0.into_bytes());
        self.read("reading due trees", move |connection| {
            connection.all(
                "SELECT id FROM tree INDEXED BY tree_due WHERE due_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                params![now, after, limit],
                |row| id(row, 0).map(TreeId),
            )
        })
        .await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock_ms();
        self.read("looking for the next due tree", move |connection| {
            connection
                .prepare_cached("SELECT min(due_at) FROM tree INDEXED BY tree_due WHERE due_at > ?1")?
                .query_row([now], |row| time_of(row, 0))
        })
        .await
    }

    async fn lately(&self, environment: &str, contract: &str, version: u32) -> Result<Lately, StoreError> {
        let (environment, contract) = (environment.to_owned(), contract.to_owned());
        let since = first_id_at(self.clock_ms() - LATELY_MS);
        let (from, to) =
            if is_of_channel(version) { (version, version) } else { (0, CHANNEL_VERSIONS_FROM - 1) };
        self.read("counting failures", move |connection| {
            connection
                .prepare_cached(
                    "SELECT coalesce(sum(failed), 0), count(*), min(CASE WHEN failed THEN created_at END) FROM (
                         SELECT d.failed, d.created_at FROM dataset d
                         WHERE d.contract = (SELECT c.id FROM contract c JOIN environment e ON e.id = c.environment
                                             WHERE e.name = ?1 AND c.name = ?2)
                           AND d.tree >= ?3 AND d.started_at IS NOT NULL AND d.version BETWEEN ?5 AND ?6
                         ORDER BY d.tree DESC LIMIT ?4)",
                )?
                .query_row(params![environment, contract, since, LATELY_ROWS, from, to], |row| {
                    let (failures, of) = (unsigned(row, 0)?, unsigned(row, 1)?);
                    Ok(Lately { failures, of, first_failed_at: time_of(row, 2)? })
                })
        })
        .await
    }
}

fn read_pins(connection: &Connection, number: i64, pins: &PinsRead) -> rusqlite::Result<Pins> {
    if let Some(known) = pins.get(number) {
        return Ok(known);
    }
    let stored = connection
        .prepare_cached("SELECT pins FROM pins WHERE id = ?1")?
        .query_row([number], |row| parsed(row, 0))?;
    pins.keep(number, stored).map_err(|cause| unreadable(0, cause))
}

fn load(connection: &Connection, tree: TreeId, pins: &PinsRead) -> rusqlite::Result<Option<Tree>> {
    let found = connection
        .prepare_cached(
            "SELECT t.version, e.name, t.request, t.unit, t.priority, t.channel, t.pins, t.seed, t.unique_text,
                    t.lease, t.ending, t.made, t.line, t.status, t.recheck, t.takes_stock
             FROM tree t JOIN environment e ON e.id = t.environment WHERE t.id = ?1",
        )?
        .query_row([tree.0.as_bytes()], |row| {
            Ok((row.get::<_, i64>(6)?, code::<PartStatus>(row, 13)?, read_tree(row, tree)?))
        })
        .optional()?;
    let Some((number, status, mut found)) = found else {
        return Ok(None);
    };
    found.pins = read_pins(connection, number, pins)?;
    let list = format!(
        "SELECT {PART_COLUMNS} FROM dataset d JOIN contract c ON c.id = d.contract
         WHERE d.tree = ?1 ORDER BY d.part"
    );
    found.parts = connection.all(&list, [tree.0.as_bytes()], read_part)?;
    // A grant writes the tree and not its root.
    if let Some(root) = found.parts.first_mut() {
        root.status = status;
    }
    Ok(Some(found))
}

fn read_tree(row: &Row<'_>, tree: TreeId) -> rusqlite::Result<Tree> {
    Ok(Tree {
        id: tree,
        version: unsigned(row, 0)?,
        environment: row.get(1)?,
        request: RequestId(id(row, 2)?),
        unit: row.get(3)?,
        priority: code(row, 4)?,
        channel: row.get(5)?,
        pins: Arc::default(),
        seed: unsigned(row, 7)?,
        unique: row.get(8)?,
        line: row.get::<_, Option<i64>>(12)?.map(LineId),
        takes_stock: row.get(15)?,
        recheck: read_recheck(row, 14)?,
        lease: id_of(row, 9)?.map(LeaseId),
        ending: code_of(row, 10)?,
        made: row.get(11)?,
        parts: Vec::new(),
    })
}

/// The smallest id that could be made at a time: ids of version 7 begin with it, 48 bits of milliseconds.
fn first_id_at(at: i64) -> [u8; 16] {
    Uuid::from_u128(u128::from(at.max(0).unsigned_abs()) << 80).into_bytes()
}

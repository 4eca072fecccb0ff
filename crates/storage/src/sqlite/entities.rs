//! Entities in SQLite: what the datasets under live leases own, and those that are of what was there before.
//!
//! What a tree owns is kept beside it from the moment it is ready, as the decision gave it: the grant reads it with the row
//! of the tree that it needs anyway, and a tree that owns nothing costs nothing.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use sixpack_model::ids::{LeaseId, TreeId};
use sixpack_model::plan::{EntityOwner, HeldEntity};
use sixpack_model::request::RequestStatus;
use sixpack_model::schema::Entity;
use sixpack_model::tree::PartStatus;

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, id, id_of, name, parsed, parsed_of};
use super::limits::{FIND_OUTPUTS, FIND_OWNERS, FIND_TREES};
use super::outcomes::Grant;
use super::placing::{Place, Standing};
use super::statements::Statements;
use super::writer::Tx;
use super::writes::{ChangeRow, OutcomeRow};
use crate::entities::{Entities, InUse, Made};
use crate::error::StoreError;
pub(super) use crate::stored::entities::{Owned, owns_text};
use crate::stored::places::is_over;
use crate::trees::Clash;

#[async_trait]
impl Entities for SqliteStore {
    async fn in_use(&self, environment: &str, but: TreeId) -> Result<InUse, StoreError> {
        let environment = environment.to_owned();
        self.read("reading what is in use", move |connection| {
            let mut in_use = InUse::default();
            for (status, _) in PartStatus::ALL.into_iter().filter(|(status, _)| !is_over(*status)) {
                let key = params![status.code(), FIND_TREES, environment, but.0.as_bytes()];
                let trees = connection.all(
                    "SELECT id, owns FROM (
                         SELECT id, owns, environment FROM tree INDEXED BY tree_by_status
                         WHERE status = ?1 ORDER BY id DESC LIMIT ?2)
                     WHERE environment = (SELECT id FROM environment WHERE name = ?3) AND id <> ?4",
                    key,
                    |row| Ok((TreeId(id(row, 0)?), parsed_of::<Vec<Owned>>(row, 1)?)),
                )?;
                for (tree, owns) in trees {
                    let Some(owns) = owns else {
                        if in_use.made.len() < FIND_OUTPUTS {
                            in_use.made.extend(made_by(connection, tree)?);
                        }
                        continue;
                    };
                    let owned = owns.into_iter().map(|(_, kind, key)| (tree, Entity { kind, key }));
                    in_use.owned.extend(owned);
                }
            }
            in_use.owned.sort_by_key(|(tree, _)| Reverse(*tree));
            in_use.made.sort_by_key(|(tree, _)| Reverse(*tree));
            Ok(in_use)
        })
        .await
    }
}

/// What the parts of a tree have made so far, one after the other, as far as it is looked at.
fn made_by(connection: &Connection, tree: TreeId) -> rusqlite::Result<Vec<(TreeId, Made)>> {
    connection.all(
        "SELECT c.name, d.version, d.output FROM dataset d JOIN contract c ON c.id = d.contract
         WHERE d.tree = ?1 AND d.output IS NOT NULL ORDER BY d.part LIMIT ?2",
        params![tree.0.as_bytes(), FIND_OUTPUTS as i64],
        |row| {
            let output = Arc::new(parsed(row, 2)?);
            Ok((tree, Made { contract: name(row, 0)?, version: row.get(1)?, output }))
        },
    )
}

impl Tx<'_> {
    /// What keeps the change from being written: an entity that somebody else owns already. `trees` is how many trees the
    /// request has.
    pub(super) fn clash(
        &mut self,
        change: &ChangeRow,
        from: Standing,
        trees: usize,
    ) -> rusqlite::Result<Option<Clash>> {
        if let Some(found) = change.found.as_deref().filter(|found| !found.is_empty()) {
            let environment = self.environment(&change.environment)?;
            if let Some(held) = self.first_taken(change.tree, environment, found)? {
                return Ok(Some(Clash { tree: change.tree, held }));
            }
        }
        let Some(owns) = &change.owns else { return Ok(None) };
        let owns = &*self.but_of_joining(change, owns)?;
        if matches!(change.outcome, Some(OutcomeRow::Extended)) {
            let environment = self.environment(&change.environment)?;
            let held = self.first_held_beside(change.lease, change.tree, environment, owns)?;
            return Ok(held.map(|held| Clash { tree: change.tree, held }));
        }
        if self.goes_to_stock(change, from)? {
            return Ok(None);
        }
        if trees > 1 {
            return self.clash_of_many(change, owns, trees);
        }
        if owns.is_empty() {
            return Ok(None);
        }
        let environment = self.environment(&change.environment)?;
        let held = self.first_held(change.tree, environment, owns)?;
        Ok(held.map(|held| Clash { tree: change.tree, held }))
    }

    /// Whether a tree that is ready goes to nobody now: what is in stock owns nothing until it is handed out.
    fn goes_to_stock(&self, change: &ChangeRow, from: Standing) -> rusqlite::Result<bool> {
        if from.line.is_none() || matches!(from.place, Place::Stock | Place::Apart) {
            return Ok(from.line.is_some());
        }
        let read = "SELECT line IS NOT NULL OR status > 1 FROM request WHERE id = ?1";
        Ok(self.connection.one(read, [change.request.0.as_bytes()], |row| row.get(0))?.unwrap_or(false))
    }

    /// Makes the dataset under a lease the owner of its entities; what was there before it owns already. Two owners of one
    /// cannot be written.
    pub(super) fn hold_entities(
        &self,
        environment: i64,
        lease: LeaseId,
        grant: &Grant,
    ) -> rusqlite::Result<()> {
        let write = "INSERT INTO entity_held (environment, kind, key, lease) SELECT ?1, ?2, ?3, ?4
                     WHERE NOT EXISTS (SELECT 1 FROM entity_held
                                       WHERE environment = ?1 AND kind = ?2 AND key = ?3 AND tree = ?5)";
        for (_, kind, key) in &grant.owns {
            let row = params![environment, kind, key, lease.0.as_bytes(), grant.tree.0.as_bytes()];
            self.connection.run(write, row)?;
        }
        Ok(())
    }

    /// Makes a tree the owner of what was there before, in place of what it owned of that kind so far.
    pub(super) fn hold_found(&self, environment: i64, tree: TreeId, found: &[Owned]) -> rusqlite::Result<()> {
        let tree = tree.0.as_bytes();
        self.connection.run("DELETE FROM entity_held WHERE tree = ?1", [tree])?;
        let write = "INSERT INTO entity_held (environment, kind, key, tree) VALUES (?1, ?2, ?3, ?4)";
        for (_, kind, key) in found {
            self.connection.run(write, params![environment, kind, key, tree])?;
        }
        Ok(())
    }

    /// Makes the dataset under a lease the owner of what it was extended by; what it owned before stays with it.
    pub(super) fn hold_extended(&mut self, change: &ChangeRow) -> rusqlite::Result<()> {
        let (Some(OutcomeRow::Extended), Some(owns), Some(lease)) =
            (&change.outcome, &change.owns, change.lease)
        else {
            return Ok(());
        };
        let environment = self.environment(&change.environment)?;
        let write = "INSERT INTO entity_held (environment, kind, key, lease) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO NOTHING";
        for (_, kind, key) in owns {
            self.connection.run(write, params![environment, kind, key, lease.0.as_bytes()])?;
        }
        Ok(())
    }

    /// What the dataset under a lease has owned is free.
    pub(super) fn free_entities(&self, lease: LeaseId) -> rusqlite::Result<()> {
        self.connection.run("DELETE FROM entity_held WHERE lease = ?1", [lease.0.as_bytes()]).map(|_| ())
    }

    /// As long as others are still being made, only the tree itself is looked at: theirs may be free by then.
    fn clash_of_many(
        &mut self,
        change: &ChangeRow,
        owns: &[Owned],
        trees: usize,
    ) -> rusqlite::Result<Option<Clash>> {
        let request = change.request.0.as_bytes();
        let (status, ready) = self
            .connection
            .prepare_cached("SELECT status, ready FROM request WHERE id = ?1")?
            .query_row([request], |row| Ok((code::<RequestStatus>(row, 0)?, row.get::<_, u32>(1)?)))?;
        if status.ended() {
            return Ok(None);
        }
        let mut waiting = vec![(change.unit, change.tree, owns.to_vec())];
        if ready as usize + 1 >= trees {
            waiting.extend(self.connection.all(
                "SELECT unit, id, owns FROM tree INDEXED BY tree_by_request
                 WHERE request = ?1 AND place < 3 AND id <> ?2 AND owns IS NOT NULL",
                params![request, change.tree.0.as_bytes()],
                |row| Ok((row.get(0)?, TreeId(id(row, 1)?), parsed_of(row, 2)?.unwrap_or_default())),
            )?);
            waiting.sort_by_key(|(unit, ..)| *unit);
        }
        let environment = self.environment(&change.environment)?;
        let mut owners: HashMap<(&str, &str), TreeId> = HashMap::new();
        for (_, tree, owns) in &waiting {
            if let Some(held) = self.first_held(*tree, environment, owns)? {
                return Ok(Some(Clash { tree: *tree, held }));
            }
            for (part, kind, key) in owns {
                if let Some(owner) = owners.insert((kind, key), *tree) {
                    let entity = Entity { kind: kind.clone(), key: key.clone() };
                    let held = HeldEntity { part: *part, entity, by: EntityOwner::Sibling(owner) };
                    return Ok(Some(Clash { tree: *tree, held }));
                }
            }
        }
        Ok(None)
    }

    /// The first of these that somebody else owns than this tree.
    pub(super) fn first_held(
        &self,
        tree: TreeId,
        environment: i64,
        owns: &[Owned],
    ) -> rusqlite::Result<Option<HeldEntity>> {
        self.first_held_beside(None, tree, environment, owns)
    }

    /// The first of these that another lease than this one owns, or another tree.
    fn first_held_beside(
        &self,
        own: Option<LeaseId>,
        tree: TreeId,
        environment: i64,
        owns: &[Owned],
    ) -> rusqlite::Result<Option<HeldEntity>> {
        for (part, kind, key) in owns {
            let owner = self.connection.one(
                "SELECT l.id, l.holder, h.tree FROM entity_held h LEFT JOIN tree t ON t.id = h.tree
                 LEFT JOIN lease l ON l.id = coalesce(h.lease, t.lease)
                 WHERE h.environment = ?1 AND h.kind = ?2 AND h.key = ?3
                   AND (h.lease IS NULL OR h.lease IS NOT ?4) AND h.tree IS NOT ?5",
                params![environment, kind, key, own.map(|own| own.0.into_bytes()), tree.0.as_bytes()],
                |row| owner_of(row, 2),
            )?;
            if let Some(by) = owner {
                return Ok(Some(held(*part, kind, key, by)));
            }
        }
        Ok(None)
    }

    /// The first of these that anybody has to do with: whoever owns it, or any tree that is not over and names it.
    pub(super) fn first_taken(
        &self,
        tree: TreeId,
        environment: i64,
        found: &[Owned],
    ) -> rusqlite::Result<Option<HeldEntity>> {
        if let Some(held) = self.first_held(tree, environment, found)? {
            return Ok(Some(held));
        }
        let over = [PartStatus::Skipped, PartStatus::Gone, PartStatus::Failed].map(PartStatus::code);
        for (part, kind, key) in found {
            let owner = self.connection.one(
                "SELECT l.id, l.holder, t.id FROM (
                     SELECT tree FROM entity WHERE environment = ?1 AND kind = ?2 AND key = ?3 AND tree <> ?4 AND used = 0
                     ORDER BY tree DESC LIMIT ?5) e
                 CROSS JOIN tree t ON t.id = e.tree LEFT JOIN lease l ON l.id = t.lease
                 WHERE t.status NOT IN (?6, ?7, ?8) ORDER BY t.id DESC LIMIT 1",
                params![environment, kind, key, tree.0.as_bytes(), FIND_OWNERS, over[0], over[1], over[2]],
                |row| owner_of(row, 2),
            )?;
            if let Some(by) = owner {
                return Ok(Some(held(*part, kind, key, by)));
            }
        }
        Ok(None)
    }
}

/// The owner in a row: the lease in its first two columns, or else the tree in this one.
fn owner_of(row: &Row<'_>, tree: usize) -> rusqlite::Result<EntityOwner> {
    Ok(match id_of(row, 0)? {
        Some(lease) => EntityOwner::Lease { id: LeaseId(lease), holder: row.get(1)? },
        None => EntityOwner::Dataset(TreeId(id(row, tree)?)),
    })
}

fn held(part: u32, kind: &str, key: &str, by: EntityOwner) -> HeldEntity {
    HeldEntity { part, entity: Entity { kind: kind.to_owned(), key: key.to_owned() }, by }
}

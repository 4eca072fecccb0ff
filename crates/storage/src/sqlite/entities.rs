//! Entities in SQLite: what the datasets under live leases own.
//!
//! What a tree owns is kept beside it from the moment it is ready, as the decision gave it: the grant reads it with the row
//! of the tree that it needs anyway, and a tree that owns nothing costs nothing.

use std::collections::HashMap;

use rusqlite::params;
use sixpack_model::ids::{LeaseId, TreeId};
use sixpack_model::plan::{EntityOwner, HeldEntity};
use sixpack_model::request::RequestStatus;
use sixpack_model::schema::Entity;

use super::columns::{code, id, parsed_of};
use super::placing::{Place, Standing};
use super::statements::Statements;
use super::writer::Tx;
use super::writes::{ChangeRow, OutcomeRow};
use crate::trees::Clash;

/// An entity with the part that has made it: part, kind, key.
pub(super) type Owned = (u32, String, String);

/// What a tree owns, as it is stored; `None` for nothing.
pub(super) fn owns_text(owns: &[Owned]) -> Option<String> {
    let text = || serde_json::to_string(owns).expect("numbers and text are always JSON");
    (!owns.is_empty()).then(text)
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
        let Some(owns) = &change.owns else { return Ok(None) };
        if matches!(change.outcome, Some(OutcomeRow::Extended)) {
            let environment = self.environment(&change.environment)?;
            let held = self.first_held_beside(change.lease, environment, owns)?;
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
        let held = self.first_held(environment, owns)?;
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

    /// What a tree owns that was ready before.
    pub(super) fn owned_by(&self, tree: TreeId) -> rusqlite::Result<Vec<Owned>> {
        let read = "SELECT owns FROM tree WHERE id = ?1";
        let owns = self.connection.one(read, [tree.0.as_bytes()], |row| parsed_of(row, 0))?;
        Ok(owns.flatten().unwrap_or_default())
    }

    /// Makes the dataset under a lease the owner of its entities. Two owners of one cannot be written.
    pub(super) fn hold_entities(
        &self,
        environment: i64,
        lease: LeaseId,
        owns: &[Owned],
    ) -> rusqlite::Result<()> {
        let write = "INSERT INTO entity_held (environment, kind, key, lease) VALUES (?1, ?2, ?3, ?4)";
        for (_, kind, key) in owns {
            self.connection.run(write, params![environment, kind, key, lease.0.as_bytes()])?;
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
            if let Some(held) = self.first_held(environment, owns)? {
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

    pub(super) fn first_held(
        &self,
        environment: i64,
        owns: &[Owned],
    ) -> rusqlite::Result<Option<HeldEntity>> {
        self.first_held_beside(None, environment, owns)
    }

    /// The first of these that another lease than this one owns.
    fn first_held_beside(
        &self,
        own: Option<LeaseId>,
        environment: i64,
        owns: &[Owned],
    ) -> rusqlite::Result<Option<HeldEntity>> {
        for (part, kind, key) in owns {
            let owner = self.connection.one(
                "SELECT l.id, l.holder FROM entity_held h JOIN lease l ON l.id = h.lease
                 WHERE h.environment = ?1 AND h.kind = ?2 AND h.key = ?3 AND (?4 IS NULL OR h.lease <> ?4)",
                params![environment, kind, key, own.map(|own| own.0.into_bytes())],
                |row| Ok(EntityOwner::Lease { id: LeaseId(id(row, 0)?), holder: row.get(1)? }),
            )?;
            if let Some(by) = owner {
                let entity = Entity { kind: kind.clone(), key: key.clone() };
                return Ok(Some(HeldEntity { part: *part, entity, by }));
            }
        }
        Ok(None)
    }
}

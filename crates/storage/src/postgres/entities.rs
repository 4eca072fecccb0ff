//! Entities in PostgreSQL: what the datasets under live leases own, and those that are of what was there before.
//!
//! What a tree owns is kept beside it from the moment it is ready, as the decision gave it: the grant reads it with the row
//! of the tree that it needs anyway, and a tree that owns nothing costs nothing.
//!
//! Owners are looked for before one is written, so that whoever is refused is told by whom. Between the look and the write
//! another transaction may write one: the key of the table then refuses this one, which begins anew and sees it.

use std::cmp::Reverse;
use std::collections::HashMap;

use async_trait::async_trait;
use sixpack_model::ids::{LeaseId, TreeId};
use sixpack_model::plan::{EntityOwner, HeldEntity};
use sixpack_model::request::RequestStatus;
use sixpack_model::schema::Entity;
use sixpack_model::tree::PartStatus;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{code, get, id, id_of, named, number, number_of_code, parsed, parsed_of};
use super::faults::Fault;
use super::limits::{FIND_OUTPUTS, FIND_OWNERS, FIND_TREES};
use super::statements::Connection;
use super::writer::Tx;
use crate::entities::{Entities, InUse, Made};
use crate::error::StoreError;
use crate::stored::changes::{ChangeRow, OutcomeRow};
use crate::stored::codes::Code;
use crate::stored::entities::Owned;
use crate::stored::grants::Granting;
use crate::stored::places::{Place, Standing, is_over};
use crate::trees::Clash;

#[async_trait]
impl Entities for PostgresStore {
    async fn in_use(&self, environment: &str, but: TreeId) -> Result<InUse, StoreError> {
        let input = (environment.to_owned(), but);
        self.read("reading what is in use", input, |connection, (environment, but)| {
            Box::pin(async move {
                let list = "SELECT t.id, t.owns FROM unnest($1::bigint[]) AS s (status)
                            CROSS JOIN LATERAL (
                                SELECT id, owns, environment FROM tree WHERE status = s.status::smallint
                                ORDER BY id DESC LIMIT $2) t
                            WHERE t.environment = (SELECT id FROM environment WHERE name = $3) AND t.id <> $4
                            ORDER BY t.id DESC";
                let under_way = PartStatus::ALL.into_iter().map(|(status, _)| status);
                let under_way: Vec<i64> =
                    under_way.filter(|status| !is_over(*status)).map(Code::code).collect();
                let read = |row: &Row| Ok((TreeId(id(row, 0)?), parsed_of::<Vec<Owned>>(row, 1)?));
                let trees =
                    connection.all(list, &[&under_way, &FIND_TREES, environment, &but.0], read).await?;
                let mut in_use = InUse::default();
                let mut being_made = Vec::new();
                for (tree, owns) in trees {
                    match owns {
                        None => being_made.push(tree.0),
                        Some(owns) => in_use
                            .owned
                            .extend(owns.into_iter().map(|(_, kind, key)| (tree, Entity { kind, key }))),
                    }
                }
                in_use.made = made_by(connection, &being_made).await?;
                in_use.made.sort_by_key(|(tree, _)| Reverse(*tree));
                Ok(in_use)
            })
        })
        .await
    }
}

/// What the parts of trees have made so far, one after the other, as far as it is looked at.
async fn made_by(connection: &Connection, trees: &[Uuid]) -> Result<Vec<(TreeId, Made)>, Fault> {
    let list = "SELECT t.id, c.name, d.version, d.output FROM unnest($1::uuid[]) WITH ORDINALITY AS t (id, place)
                CROSS JOIN LATERAL (
                    SELECT part, contract, version, output FROM dataset WHERE tree = t.id AND output IS NOT NULL
                    ORDER BY part LIMIT $2) d
                JOIN contract c ON c.id = d.contract ORDER BY t.place, d.part LIMIT $2";
    let read = |row: &Row| {
        let made = Made { contract: named(row, 1)?, version: number(row, 2)?, output: parsed(row, 3)? };
        Ok((TreeId(id(row, 0)?), made))
    };
    if trees.is_empty() { Ok(Vec::new()) } else { connection.all(list, &[&trees, &FIND_OUTPUTS], read).await }
}

impl Tx {
    /// What keeps the change from being written: an entity that somebody else owns already. `trees` is how many trees the
    /// request has. They are locked, as far as they are looked at, and so is the request.
    pub(super) async fn clash(
        &mut self,
        change: &ChangeRow,
        from: Standing,
        trees: usize,
    ) -> Result<Option<Clash>, Fault> {
        let clash = |held| Clash { tree: change.tree, held };
        if let Some(found) = change.found.as_deref().filter(|found| !found.is_empty()) {
            let environment = self.environment(&change.environment).await?;
            if let Some(held) = self.first_taken(change.tree, environment, found).await? {
                return Ok(Some(clash(held)));
            }
        }
        let Some(owns) = &change.owns else { return Ok(None) };
        let owns = &*self.but_of_joining(change, owns).await?;
        if matches!(change.outcome, Some(OutcomeRow::Extended)) {
            let environment = self.environment(&change.environment).await?;
            let held = self.held_beside(change.lease, environment, &[(change.tree, owns)]).await?;
            return Ok(held.into_iter().next().map(|(_, held)| clash(held)));
        }
        if self.goes_to_stock(change, from).await? {
            return Ok(None);
        }
        if trees > 1 {
            return self.clash_of_many(change, owns, trees).await;
        }
        if owns.is_empty() {
            return Ok(None);
        }
        let environment = self.environment(&change.environment).await?;
        let held = self.first_held(environment, &[(change.tree, owns)]).await?;
        self.held.note_free([change.tree]);
        Ok(held.into_iter().next().map(|(_, held)| clash(held)))
    }

    /// Whether a tree that is ready goes to nobody now: what is in stock owns nothing until it is handed out.
    async fn goes_to_stock(&self, change: &ChangeRow, from: Standing) -> Result<bool, Fault> {
        if from.line.is_none() || matches!(from.place, Place::Stock | Place::Apart) {
            return Ok(from.line.is_some());
        }
        let read = "SELECT line IS NOT NULL OR status > 1 FROM request WHERE id = $1";
        Ok(self.connection.one(read, &[&change.request.0], |row| get(row, 0)).await?.unwrap_or(false))
    }

    /// Makes the datasets under leases the owners of their entities; what was there before they own already. Two owners of one
    /// cannot be written.
    pub(super) async fn hold_entities(
        &self,
        environment: i64,
        granting: &[Granting<'_>],
    ) -> Result<(), Fault> {
        let rows = || {
            granting
                .iter()
                .flat_map(|one| one.grant.owns.iter().map(move |owned| (&one.grant, one.lease, owned)))
        };
        if rows().next().is_none() {
            return Ok(());
        }
        let kinds: Vec<&str> = rows().map(|(.., (_, kind, _))| kind.as_str()).collect();
        let keys: Vec<&str> = rows().map(|(.., (.., key))| key.as_str()).collect();
        let owners: Vec<Uuid> = rows().map(|(_, lease, _)| lease.0).collect();
        let trees: Vec<Uuid> = rows().map(|(grant, ..)| grant.tree.0).collect();
        // Everybody writes them in the order of the key, so that no two wait for each other.
        let write = "INSERT INTO entity_held (environment, kind, key, lease)
                     SELECT $1::bigint, o.kind, o.key, o.lease
                     FROM unnest($2::text[], $3::text[], $4::uuid[], $5::uuid[]) AS o (kind, key, lease, tree)
                     WHERE NOT EXISTS (SELECT 1 FROM entity_held h WHERE h.environment = $1 AND h.kind = o.kind
                                         AND h.key = o.key AND h.tree = o.tree)
                     ORDER BY o.kind COLLATE \"C\", o.key COLLATE \"C\"";
        self.connection
            .later_unless_taken(write, &[&environment, &kinds, &keys, &owners, &trees], "an entity")
            .await
    }

    /// Makes a tree the owner of what was there before, in place of what it owned of that kind so far.
    pub(super) async fn hold_found(
        &self,
        environment: i64,
        tree: TreeId,
        found: &[Owned],
    ) -> Result<(), Fault> {
        self.connection.later("DELETE FROM entity_held WHERE tree = $1", &[&tree.0]).await?;
        let (kinds, keys) = (kinds(found), keys(found));
        let write = "INSERT INTO entity_held (environment, kind, key, tree)
                     SELECT $1::bigint, o.kind, o.key, $4::uuid FROM unnest($2::text[], $3::text[]) AS o (kind, key)
                     ORDER BY o.kind COLLATE \"C\", o.key COLLATE \"C\"";
        self.connection.later_unless_taken(write, &[&environment, &kinds, &keys, &tree.0], "an entity").await
    }

    /// Makes the dataset under a lease the owner of what it was extended by; what it owned before stays with it.
    pub(super) async fn hold_extended(&mut self, change: &ChangeRow) -> Result<(), Fault> {
        let (Some(OutcomeRow::Extended), Some(owns), Some(lease)) =
            (&change.outcome, &change.owns, change.lease)
        else {
            return Ok(());
        };
        let environment = self.environment(&change.environment).await?;
        let (kinds, keys) = (kinds(owns), keys(owns));
        let write = "INSERT INTO entity_held (environment, kind, key, lease)
                     SELECT $1::bigint, o.kind, o.key, $4::uuid FROM unnest($2::text[], $3::text[]) AS o (kind, key)
                     WHERE NOT EXISTS (SELECT 1 FROM entity_held h WHERE h.environment = $1 AND h.kind = o.kind
                                         AND h.key = o.key AND (h.lease = $4 OR h.tree = $5))
                     ORDER BY o.kind COLLATE \"C\", o.key COLLATE \"C\"";
        let key = (lease.0, change.tree.0);
        self.connection
            .later_unless_taken(write, &[&environment, &kinds, &keys, &key.0, &key.1], "an entity")
            .await
    }

    /// What the dataset under a lease has owned is free.
    pub(super) async fn free_entities(&self, lease: LeaseId) -> Result<(), Fault> {
        self.connection.later("DELETE FROM entity_held WHERE lease = $1", &[&lease.0]).await
    }

    /// As long as others are still being made, only the tree itself is looked at: theirs may be free by then.
    async fn clash_of_many(
        &mut self,
        change: &ChangeRow,
        owns: &[Owned],
        trees: usize,
    ) -> Result<Option<Clash>, Fault> {
        let read = "SELECT status, ready FROM request WHERE id = $1";
        let read_state = |row: &Row| Ok((code::<RequestStatus>(row, 0)?, number::<usize>(row, 1)?));
        let found = self.connection.one(read, &[&change.request.0], read_state).await?;
        let (status, ready) = found.expect("a tree that is with its request has one");
        if status.ended() {
            return Ok(None);
        }
        let mut waiting: Vec<(u32, TreeId, Vec<Owned>)> = vec![(change.unit, change.tree, owns.to_vec())];
        if ready + 1 >= trees {
            let list = "SELECT unit, id, owns FROM tree
                        WHERE request = $1 AND place < 3 AND id <> $2 AND owns IS NOT NULL";
            let read = |row: &Row| {
                Ok((number(row, 0)?, TreeId(id(row, 1)?), parsed_of(row, 2)?.unwrap_or_default()))
            };
            waiting.extend(self.connection.all(list, &[&change.request.0, &change.tree.0], read).await?);
            waiting.sort_by_key(|(unit, ..)| *unit);
        }
        let environment = self.environment(&change.environment).await?;
        let of: Vec<(TreeId, &[Owned])> =
            waiting.iter().map(|(_, tree, owns)| (*tree, owns.as_slice())).collect();
        let held = self.first_held(environment, &of).await?.into_iter().next();
        let sibling = first_owned_twice(&of);
        self.held.note_free(of.iter().map(|(tree, _)| *tree));
        // What comes first is told; of one tree, what is somebody else's altogether.
        let first = match (held, sibling) {
            (Some(held), Some(sibling)) if sibling.0 < held.0 => Some(sibling),
            (held, sibling) => held.or(sibling),
        };
        Ok(first.map(|(place, held)| Clash { tree: of[place].0, held }))
    }

    /// The first that somebody else owns, of what each of these trees owns: with the place of the tree.
    pub(super) async fn first_held(
        &self,
        environment: i64,
        of: &[(TreeId, &[Owned])],
    ) -> Result<Vec<(usize, HeldEntity)>, Fault> {
        self.held_beside(None, environment, of).await
    }

    /// The same, with what this lease owns being theirs.
    async fn held_beside(
        &self,
        own: Option<LeaseId>,
        environment: i64,
        of: &[(TreeId, &[Owned])],
    ) -> Result<Vec<(usize, HeldEntity)>, Fault> {
        let rows = || {
            let places = of.iter().enumerate();
            places.flat_map(|(place, (tree, owns))| owns.iter().map(move |owned| (place, tree, owned)))
        };
        if rows().next().is_none() {
            return Ok(Vec::new());
        }
        let places: Vec<i64> = rows().map(|(place, ..)| place as i64).collect();
        let trees: Vec<Uuid> = rows().map(|(_, tree, _)| tree.0).collect();
        let parts: Vec<i64> = rows().map(|(.., (part, ..))| i64::from(*part)).collect();
        let kinds: Vec<&str> = rows().map(|(.., (_, kind, _))| kind.as_str()).collect();
        let keys: Vec<&str> = rows().map(|(.., (.., key))| key.as_str()).collect();
        let find = "SELECT DISTINCT ON (o.place) l.id, l.holder, h.tree, o.part, o.kind, o.key, o.place
                    FROM unnest($3::bigint[], $4::uuid[], $5::bigint[], $6::text[], $7::text[])
                        WITH ORDINALITY AS o (place, of, part, kind, key, n)
                    JOIN entity_held h ON h.environment = $1 AND h.kind = o.kind AND h.key = o.key
                    LEFT JOIN tree t ON t.id = h.tree LEFT JOIN lease l ON l.id = coalesce(h.lease, t.lease)
                    WHERE (h.lease IS NULL OR h.lease IS DISTINCT FROM $2) AND h.tree IS DISTINCT FROM o.of
                    ORDER BY o.place, o.n";
        let own = own.map(|own| own.0);
        self.connection
            .all(find, &[&environment, &own, &places, &trees, &parts, &kinds, &keys], |row| {
                Ok((number(row, 6)?, read_held(row)?))
            })
            .await
    }

    /// The first of these that anybody has to do with: whoever owns it, or any tree that is not over and names it.
    pub(super) async fn first_taken(
        &self,
        tree: TreeId,
        environment: i64,
        found: &[Owned],
    ) -> Result<Option<HeldEntity>, Fault> {
        if found.is_empty() {
            return Ok(None);
        }
        if let Some((_, held)) = self.first_held(environment, &[(tree, found)]).await?.into_iter().next() {
            return Ok(Some(held));
        }
        let over = [PartStatus::Skipped, PartStatus::Gone, PartStatus::Failed].map(number_of_code);
        let parts: Vec<i64> = found.iter().map(|(part, ..)| i64::from(*part)).collect();
        let (kinds, keys) = (kinds(found), keys(found));
        let find = "SELECT t.lease, t.holder, t.id, o.part, o.kind, o.key
                    FROM unnest($3::bigint[], $4::text[], $5::text[]) WITH ORDINALITY AS o (part, kind, key, n)
                    CROSS JOIN LATERAL (
                        SELECT l.id AS lease, l.holder, t.id FROM (
                            SELECT tree FROM entity
                            WHERE environment = $1 AND kind = o.kind AND key = o.key AND tree <> $2 AND NOT used
                            ORDER BY tree DESC LIMIT $6) e
                        JOIN tree t ON t.id = e.tree LEFT JOIN lease l ON l.id = t.lease
                        WHERE t.status NOT IN ($7, $8, $9) ORDER BY t.id DESC LIMIT 1) t
                    ORDER BY o.n LIMIT 1";
        self.connection
            .one(
                find,
                &[&environment, &tree.0, &parts, &kinds, &keys, &FIND_OWNERS, &over[0], &over[1], &over[2]],
                read_held,
            )
            .await
    }
}

/// The first entity that two of these trees own, with the place of the later one.
fn first_owned_twice(of: &[(TreeId, &[Owned])]) -> Option<(usize, HeldEntity)> {
    let mut owners: HashMap<(&str, &str), TreeId> = HashMap::new();
    for (place, (tree, owns)) in of.iter().enumerate() {
        for (part, kind, key) in *owns {
            if let Some(owner) = owners.insert((kind, key), *tree) {
                let entity = Entity { kind: kind.clone(), key: key.clone() };
                return Some((place, HeldEntity { part: *part, entity, by: EntityOwner::Sibling(owner) }));
            }
        }
    }
    None
}

fn kinds(owns: &[Owned]) -> Vec<&str> {
    owns.iter().map(|(_, kind, _)| kind.as_str()).collect()
}

fn keys(owns: &[Owned]) -> Vec<&str> {
    owns.iter().map(|(.., key)| key.as_str()).collect()
}

/// What is somebody else's: the lease in the first two columns, or else the tree in the third; then part, kind and key.
fn read_held(row: &Row) -> Result<HeldEntity, Fault> {
    let by = match id_of(row, 0)? {
        Some(lease) => EntityOwner::Lease { id: LeaseId(lease), holder: get(row, 1)? },
        None => EntityOwner::Dataset(TreeId(id(row, 2)?)),
    };
    Ok(HeldEntity { part: number(row, 3)?, entity: Entity { kind: get(row, 4)?, key: get(row, 5)? }, by })
}

//! Starting: requests of which everything is made, accepted by one transaction.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use futures::future::try_join;
use sixpack_model::ids::RequestId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::accepting::ACCEPTING;
use super::columns::id;
use super::faults::Fault;
use super::quotas::Taker;
use super::together::Shared;
use super::writer::{Doing, Tx};
use super::writes::Below;
use crate::mutants::Mutant;
use crate::requests::{Created, Idempotency};
use crate::stored::accepting::NewRequestRow;
use crate::stored::changes::ChangeRow;
use crate::tasks::{Claimant, Claimed};

/// A request for one dataset that is made.
pub(super) struct Start(NewRequestRow, Vec<Claimant>);

impl Start {
    /// A request that may be accepted with others; gives it back when it may not.
    pub(super) fn plain(new: NewRequestRow, claimants: Vec<Claimant>) -> Result<Self, Box<NewRequestRow>> {
        let is_plain = match new.trees.as_slice() {
            [tree] => {
                !tree.settles() && tree.channel.is_none() && tree.found.is_none() && tree.joins.is_none()
            }
            _ => false,
        };
        let is_made = new.wishes.is_empty() && new.line.is_none() && new.request.units.len() == 1;
        if is_plain && is_made { Ok(Self(new, claimants)) } else { Err(Box::new(new)) }
    }

    fn tree(&self) -> &ChangeRow {
        &self.0.trees[0]
    }
}

impl Shared for Start {
    type Answer = (Created, Vec<Claimed>);

    const DOING: &'static str = ACCEPTING;

    fn in_common(&self) -> impl Hash {
        self.0.taker()
    }

    fn goes_with(&self, group: &[Self]) -> bool {
        let (one, first) = (&self.0, &group[0].0);
        let is_same = |other: &Self| matches!((&one.idempotency, &other.0.idempotency), (Some(one), Some(other)) if one.key == other.key);
        one.taker() == first.taker() && one.quota == first.quota && !group.iter().any(is_same)
    }

    fn serve_all<'a>(tx: &'a mut Tx, all: &'a [Self]) -> Doing<'a, Vec<Option<Self::Answer>>> {
        Box::pin(tx.start(all))
    }

    fn serve_one<'a>(tx: &'a mut Tx, one: &'a Self) -> Doing<'a, Self::Answer> {
        Box::pin(async {
            let candidates = tx.candidates(&[(one.tree(), &one.1[..])]).await?;
            tx.havings = tx.claimed_of(&candidates).await?;
            let created = tx.accept(&one.0).await?;
            Ok((created, std::mem::take(&mut tx.claimed)))
        })
    }
}

impl Tx {
    async fn start(&mut self, all: &[Start]) -> Result<Vec<Option<(Created, Vec<Claimed>)>>, Fault> {
        let first = &all.first().expect("there are at least two").0;
        let environment = self.environment(&first.request.environment).await?;
        // Whose key is known is told what it stands for, which is looked up by itself.
        let wanted: Vec<_> = all.iter().map(|start| (start.tree(), &start.1[..])).collect();
        let candidates = self.candidates(&wanted).await?;
        let (havings, known) = try_join(self.claimed_of(&candidates), self.keep_keys(all)).await?;
        self.havings = havings;
        let starting = || all.iter().filter(|start| !known.contains(&start.0.request.id));
        let count = starting().count();
        if count == 0 {
            return self.refuse(Vec::new());
        }
        let rows: Vec<&NewRequestRow> = starting().map(|start| &start.0).collect();
        self.insert_requests(&rows, None).await?;
        let (mut below, mut changes, mut pins) = (Below::default(), Vec::new(), Vec::new());
        let mut claimed = HashMap::new();
        for start in starting() {
            let change = start.tree();
            self.note_own(start.0.request.id);
            self.tell(&start.0.event);
            pins.push(self.pins(change.pins.as_deref().unwrap_or("{}")).await?);
            self.name_more_below(environment, change, &mut below).await?;
            claimed.insert(start.0.request.id, std::mem::take(&mut self.claimed));
            self.tell_of(&change.events, None);
            changes.push(change);
        }
        self.insert_roots(environment, &changes, &pins).await?;
        self.write_below(environment, &changes, &below).await?;
        let taker = Taker { token: first.request.token.0, environment };
        if self.take_places(taker, count, first.quota).await?.is_some() {
            // Some of them may have a place.
            return self.refuse(Vec::new());
        }
        let mut accepted = |start: &Start| Some((Created::Accepted, claimed.remove(&start.0.request.id)?));
        Ok(all.iter().map(&mut accepted).collect())
    }

    /// Keeps the keys of requests that have one; returns the requests whose key is there already.
    async fn keep_keys(&self, all: &[Start]) -> Result<HashSet<RequestId>, Fault> {
        let mut keys: Vec<(&Idempotency, RequestId)> = all
            .iter()
            .filter_map(|start| Some((start.0.idempotency.as_ref()?, start.0.request.id)))
            .collect();
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        // In one sequence for all, so that no two groups wait for each other.
        keys.sort_by(|(one, _), (other, _)| (one.token, &one.key).cmp(&(other.token, &other.key)));
        let insert = "INSERT INTO idempotency (token, key, body, request, created_at)
                      SELECT k.token, k.key, k.body, k.request, $5::bigint
                      FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[]) AS k (token, key, body, request)
                      ON CONFLICT DO NOTHING RETURNING request";
        let tokens: Vec<Uuid> = keys.iter().map(|(key, _)| key.token.0).collect();
        let names: Vec<&str> = keys.iter().map(|(key, _)| key.key.as_str()).collect();
        let bodies: Vec<&[u8]> = keys.iter().map(|(key, _)| key.body.as_slice()).collect();
        let requests: Vec<Uuid> = keys.iter().map(|(_, request)| request.0).collect();
        let read = |row: &Row| id(row, 0).map(RequestId);
        let kept =
            self.connection.all(insert, &[&tokens, &names, &bodies, &requests, &self.now], read).await?;
        self.connection.split_for(Mutant::KeyInSecondTransaction).await?;
        let kept: HashSet<RequestId> = kept.into_iter().collect();
        Ok(keys.into_iter().map(|(_, request)| request).filter(|request| !kept.contains(request)).collect())
    }
}

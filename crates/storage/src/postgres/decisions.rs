//! Decisions: what follows from the results of suppliers, for many trees by one transaction.
//!
//! ```text
//! lines, requests, then trees: held and read -> claims given up -> rows of all trees -> leases of those that are complete
//! ```
//!
//! Only plain ones go together: a result that its tree takes in by itself, and that touches nobody else, or that brings a dataset
//! into stock for which nobody waits ([`super::stocking`]). What turns out not to be plain when it is held is left to be written by
//! itself, as is everything else.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use futures::future::{try_join, try_join3};
use serde_json::json;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::tree::Claim;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{get, id, number, number_of};
use super::counting::RequestState;
use super::faults::Fault;
use super::stocking::Stocking;
use super::together::Shared;
use super::writer::{Doing, Tx};
use super::writes::{Below, RootRow};
use crate::mutants::{self, Mutant};
use crate::stored::attempts::{TreeWritten, held_ms};
use crate::stored::changes::{ChangeRow, OutcomeRow};
use crate::stored::events::EventRow;
use crate::stored::grants::{Grant, Granting, lease_ids};
use crate::stored::places::Place;
use crate::tasks::{Claimant, Claimed};
use crate::trees::{Guard, RequestAfter, Written};

/// A decision about a tree upon a result, which gives up the claim that it came for.
pub(super) struct Decision {
    claim: Claim,
    change: ChangeRow,
    leases: Vec<LeaseId>,
    claimants: Vec<Claimant>,
}

/// A tree as it is held.
struct HeldTree {
    version: i64,
    line: Option<LineId>,
    place: Place,
    fence: i64,
}

/// What is held of all.
struct HeldAll {
    requests: HashMap<RequestId, RequestState>,
    trees: HashMap<TreeId, HeldTree>,
    /// Lines in which somebody waits, of those into whose stock something may come.
    waited_in: HashSet<LineId>,
}

/// What a plain decision means for its request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    GoesOn,
    /// Its only tree is leased with it.
    Leased(LeaseId),
    /// It has refilled stock.
    Stocked,
}

impl Meaning {
    pub(super) fn lease(self) -> Option<LeaseId> {
        if let Self::Leased(lease) = self { Some(lease) } else { None }
    }
}

impl Decision {
    /// A decision that may be written with others; gives back what it is made of when it may not.
    pub(super) fn plain(
        guard: Guard,
        change: ChangeRow,
        leases: Vec<LeaseId>,
    ) -> Result<Self, Box<(Guard, ChangeRow, Vec<LeaseId>)>> {
        match guard {
            Guard::Claim(claim) if is_plain(&change) && leases.len() < 2 => {
                Ok(Self { claim, change, leases, claimants: Vec::new() })
            }
            guard => Err(Box::new((guard, change, leases))),
        }
    }

    /// The same decision, and who would claim what it makes ready.
    pub(super) fn with(self, claimants: Vec<Claimant>) -> Self {
        Self { claimants, ..self }
    }

    /// Whether it touches nothing that one of these touches.
    fn is_beside(&self, others: &[Self]) -> bool {
        let is_alike = |first: &Self| {
            self.change.environment == first.change.environment && self.is_for_stock() == first.is_for_stock()
        };
        others.first().is_none_or(is_alike)
            && others.iter().all(|other| {
                self.change.tree != other.change.tree && self.change.request != other.change.request
            })
    }

    fn is_for_stock(&self) -> bool {
        Stocking::of(&self.change).is_some()
    }

    /// What it means when it is plain.
    fn meaning(&self, now: i64) -> Meaning {
        match self.change.outcome {
            None => Meaning::GoesOn,
            Some(_) if self.change.line.is_some() => Meaning::Stocked,
            Some(_) => Meaning::Leased(lease_ids(&self.leases, 1, now)[0]),
        }
    }

    /// Whether it is as plain as it looked, now that all is held.
    fn is_plain_in(&self, held: &HeldAll, tree: &HeldTree) -> bool {
        let Some(request) = held.requests.get(&self.change.request) else { return false };
        if request.status.ended() || matches!(tree.place, Place::Stock | Place::Apart) {
            return false;
        }
        match (&self.change.outcome, self.change.line) {
            (None, _) => true,
            (Some(_), None) => tree.place == Place::Request && request.line.is_none() && request.trees == 1,
            (Some(_), Some(line)) => {
                let is_coming = tree.place == Place::Coming && tree.line == Some(line);
                is_coming && request.line.is_some() && !held.waited_in.contains(&line)
            }
        }
    }
}

fn is_plain(change: &ChangeRow) -> bool {
    // What is being made for stock touches that only when it is ready.
    let stocking = Stocking::of(change);
    let is_by_itself = change.channel.is_none()
        && stocking.as_ref().is_none_or(Stocking::is_refill)
        && change.joins.is_none()
        && change.found.is_none()
        && change.pins.is_none()
        && change.upon.is_none()
        && change.said.is_empty()
        && change.withdrawn.is_empty();
    // What owns something is compared with what others own; not in stock, where it owns nothing until it is handed out.
    let has_no_rivals = stocking.is_some() || change.owns.as_ref().is_none_or(Vec::is_empty);
    is_by_itself && has_no_rivals && matches!(change.outcome, None | Some(OutcomeRow::Ready(_)))
}

/// What is being done, for errors.
pub(super) const WRITING: &str = "writing a tree";

impl Shared for Decision {
    type Answer = TreeWritten;

    const DOING: &'static str = WRITING;

    fn in_common(&self) -> impl Hash {
        // What comes into stock may have to wait for its line; what does not goes beside it, and waits for none.
        (&self.change.environment, self.is_for_stock())
    }

    fn goes_with(&self, group: &[Self]) -> bool {
        self.is_beside(group)
    }

    fn serve_all<'a>(tx: &'a mut Tx, all: &'a [Self]) -> Doing<'a, Vec<Option<TreeWritten>>> {
        Box::pin(tx.decide(all))
    }

    fn serve_one<'a>(tx: &'a mut Tx, one: &'a Self) -> Doing<'a, TreeWritten> {
        Box::pin(async {
            tx.write_tree(&Guard::Claim(one.claim), &one.change, &one.leases, &one.claimants).await
        })
    }
}

impl Tx {
    /// Writes one decision by itself.
    pub(super) async fn write_tree(
        &mut self,
        guard: &Guard,
        change: &ChangeRow,
        leases: &[LeaseId],
        claimants: &[Claimant],
    ) -> Result<TreeWritten, Fault> {
        let (from, claim) = match guard {
            Guard::Claim(claim) if change.channel.is_none() && change.joins.is_none() => {
                self.hold_with_claim(change, leases, claim, claimants).await?
            }
            _ => (self.hold_for(change, leases).await?, None),
        };
        let Some(from) = from.filter(|from| from.version == change.expected) else {
            return self.refuse(Written::Stale.into());
        };
        if let Some(clash) = self.clash(change, from, leases.len()).await? {
            return self.refuse(Written::EntityHeld(clash).into());
        }
        if let Some(contract) = self.doubted_upon(change).await? {
            return self.refuse(Written::Doubted(contract).into());
        }
        let joins = match change.joins.as_deref() {
            None => None,
            Some(joins) => match self.joins_from(joins).await? {
                Some(stocked) => Some((joins, stocked)),
                None => return self.refuse(Written::Refused.into()),
            },
        };
        let environment = self.environment(&change.environment).await?;
        self.share_queues(environment, change).await?;
        let passed = match claim {
            Some(passed) => passed,
            None => self.pass(guard, change).await?,
        };
        let Some(passed) = passed else { return self.refuse(Written::Refused.into()) };
        if let Some((joins, stocked)) = joins {
            self.join(change.tree, joins, stocked).await?;
        }
        self.update_tree(change, passed.claimed_at).await?;
        self.note_said(change).await?;
        self.hold_extended(change).await?;
        let from = self.leave_lease(guard, change, from).await?;
        let before = self.write_request(change, from, leases).await?;
        // A tree that was leased just now, or whose request goes on, is wanted.
        if before.ended {
            self.note_unwanted(change).await?;
        }
        Ok(TreeWritten {
            written: Written::Done(before.after),
            held_ms: held_ms(passed.claimed_at, self.now),
            claimed: std::mem::take(&mut self.claimed),
        })
    }

    /// Writes all of them; whoever gets `None` is to be written by itself.
    async fn decide(&mut self, all: &[Decision]) -> Result<Vec<Option<TreeWritten>>, Fault> {
        let wanted: Vec<_> = all.iter().map(|one| (&one.change, &one.claimants[..])).collect();
        let candidates = self.candidates(&wanted).await?;
        let (havings, mut held) = try_join(self.claimed_of(&candidates), self.hold_all(all)).await?;
        self.havings = havings;
        let mut answers: Vec<Option<TreeWritten>> = Vec::with_capacity(all.len());
        answers.resize_with(all.len(), || None);
        let mut going: Vec<(usize, &Decision)> = Vec::with_capacity(all.len());
        for (number, decision) in all.iter().enumerate() {
            let tree = held.trees.get(&decision.change.tree);
            let Some(tree) = tree.filter(|tree| tree.version == decision.change.expected) else {
                answers[number] = Some(Written::Stale.into());
                continue;
            };
            if decision.is_plain_in(&held, tree) {
                going.push((number, decision));
            }
        }
        let claimed = self.drop_claims(&going).await?;
        going.retain(|(number, decision)| {
            let is_claimed =
                claimed.contains_key(&decision.change.tree) || mutants::on(Mutant::SecondResultTaken);
            if !is_claimed {
                answers[*number] = Some(Written::Refused.into());
            }
            is_claimed
        });
        if going.is_empty() {
            return self.refuse(answers);
        }
        let written = self.write_all(&going, &claimed, &mut held).await?;
        for ((number, decision), (after, claimed_now)) in going.iter().zip(written) {
            let held_ms = held_ms(claimed.get(&decision.change.tree).copied(), self.now);
            let written = Written::Done(after);
            answers[*number] = Some(TreeWritten { written, held_ms, claimed: claimed_now });
        }
        Ok(answers)
    }

    /// Holds the lines, the requests and the trees, each in the order of their ids.
    async fn hold_all(&self, all: &[Decision]) -> Result<HeldAll, Fault> {
        let requests: Vec<Uuid> = all.iter().map(|decision| decision.change.request.0).collect();
        let trees: Vec<Uuid> = all.iter().map(|decision| decision.change.tree.0).collect();
        let stocking: Vec<Stocking<'_>> =
            all.iter().filter_map(|decision| Stocking::of(&decision.change)).collect();
        let list = "SELECT id, version, line, place, fence FROM tree WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
        let read = |row: &Row| {
            let (line, place) = (number_of(row, 2)?.map(LineId), Place::from_code(number(row, 3)?));
            let tree = HeldTree { version: number(row, 1)?, line, place, fence: number(row, 4)? };
            Ok((TreeId(id(row, 0)?), tree))
        };
        self.hold_stock(&stocking).await?;
        let (waited_in, requests, trees) = try_join3(
            self.lines_waited_in(&stocking),
            self.hold_and_read_all(&requests),
            self.connection.all(list, &[&trees], read),
        )
        .await?;
        let requests = requests.into_iter().map(|request| (request.id, request)).collect();
        Ok(HeldAll { requests, trees: trees.into_iter().collect(), waited_in })
    }

    /// Gives up the claims that are still there; says since when each was held, by its tree.
    async fn drop_claims(&self, going: &[(usize, &Decision)]) -> Result<HashMap<TreeId, i64>, Fault> {
        if going.is_empty() {
            return Ok(HashMap::new());
        }
        let drop = "DELETE FROM task_claim c
                    USING unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::uuid[])
                          AS g (tree, part, serial, attempt, session)
                    WHERE c.tree = g.tree AND c.part = g.part AND c.serial = g.serial AND c.attempt = g.attempt
                      AND c.session = g.session
                    RETURNING c.tree, c.claimed_at";
        let read = |row: &Row| Ok((TreeId(id(row, 0)?), get(row, 1)?));
        // In one sequence with everybody who gives claims up, so that no two wait for each other.
        let mut claims: Vec<&Claim> = going.iter().map(|(_, decision)| &decision.claim).collect();
        claims.sort_by_key(|claim| claim.task);
        let claims = || claims.iter();
        let trees: Vec<Uuid> = claims().map(|claim| claim.task.tree.0).collect();
        let parts: Vec<i64> = claims().map(|claim| claim.task.part.into()).collect();
        let serials: Vec<i64> = claims().map(|claim| claim.task.serial.into()).collect();
        let attempts: Vec<i64> = claims().map(|claim| claim.attempt.into()).collect();
        let sessions: Vec<Uuid> = claims().map(|claim| claim.session.0).collect();
        let dropped =
            self.connection.all(drop, &[&trees, &parts, &serials, &attempts, &sessions], read).await?;
        Ok(dropped.into_iter().collect())
    }

    /// Writes all rows, and waits for nothing; returns what it means for the requests.
    async fn write_all(
        &mut self,
        going: &[(usize, &Decision)],
        claimed: &HashMap<TreeId, i64>,
        held: &mut HeldAll,
    ) -> Result<Vec<(RequestAfter, Vec<Claimed>)>, Fault> {
        let (_, first) = going.first().expect("somebody goes");
        let name = &first.change.environment;
        let environment = self.environment(name).await?;
        let (mut below, mut changes, mut roots) = (Below::default(), Vec::new(), Vec::new());
        let (mut meanings, mut claimed_now) = (Vec::new(), Vec::with_capacity(going.len()));
        for (_, decision) in going {
            let change = &decision.change;
            self.name_more_below(environment, change, &mut below).await?;
            claimed_now.push(std::mem::take(&mut self.claimed));
            let meaning = decision.meaning(self.now);
            let place = matches!(meaning, Meaning::Stocked).then_some(Place::Stock);
            changes.push(change);
            roots.push(RootRow { change, pins: None, granted: meaning.lease(), place });
            meanings.push(meaning);
            let request = held.requests.get_mut(&change.request).expect("its request is held");
            request.revision += 1;
        }
        self.update_roots(&roots).await?;
        self.write_below(environment, &changes, &below).await?;
        self.touch_all(&changes, &meanings).await?;
        let stocking: Vec<Stocking<'_>> = changes.iter().copied().filter_map(Stocking::of).collect();
        self.put_all_in_stock(&stocking).await?;
        for change in &changes {
            self.tell_of(&change.events, claimed.get(&change.tree).copied());
        }
        let granting: Vec<Granting<'_>> = changes
            .iter()
            .zip(&meanings)
            .filter_map(|(change, meaning)| {
                let (tree, unit) = (change.tree, change.unit);
                let counter = held.trees[&tree].fence.unsigned_abs() + 1;
                let grant = Grant { tree, unit, counter, owns: Vec::new() };
                let terms = held.requests[&change.request].terms();
                Some(Granting { terms, grant, lease: meaning.lease()? })
            })
            .collect();
        let mut granted = if granting.is_empty() {
            Vec::new().into_iter()
        } else {
            self.insert_leases(environment, name, &granting).await?.into_iter()
        };
        let mut after = Vec::with_capacity(changes.len());
        for ((change, meaning), claimed) in changes.iter().zip(meanings).zip(claimed_now) {
            let (request, kind) = (change.request, "request.fulfilled");
            let mut fulfilled = |data| self.tell(&EventRow::told(self.now, name, kind, request, None, &data));
            let behind = match meaning {
                Meaning::GoesOn => RequestAfter::GoesOn,
                Meaning::Leased(lease) => {
                    fulfilled(json!({ "leases": [lease.to_string()] }));
                    let leases = granted.next().into_iter().collect();
                    RequestAfter::Fulfilled { revision: held.requests[&request].revision, leases }
                }
                Meaning::Stocked => {
                    fulfilled(json!({}));
                    RequestAfter::Stocked
                }
            };
            after.push((behind, claimed));
        }
        Ok(after)
    }
}

//! Locks: what a decision about a tree may change, held in the sequence of the store before anything is read that it depends on.
//!
//! The names of what is locked come with the decision. They were read with the version of the tree that it was made upon, and a
//! tree goes to another request, or to another line, only with a new version: when the version is still the same once everything
//! is held, what is held is the right thing.

use futures::future::{try_join, try_join3};
use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::tree::Claim;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{id, int, number};
use super::counting::RequestState;
use super::faults::Fault;
use super::guards::Passed;
use super::placing::{Waiter, read_standing, read_waiter};
use super::writer::Tx;
use crate::stored::changes::{ChangeRow, OutcomeRow};
use crate::stored::places::Standing;
use crate::tasks::Claimant;

/// What a transaction holds that others may have to be compared with.
#[derive(Default)]
pub(super) struct Held {
    requests: Vec<RequestId>,
    /// Contracts whose word is taken.
    contracts: Vec<i64>,
    /// Trees of which nobody else owned anything when that was looked at. Nothing is locked for that.
    free: Vec<TreeId>,
}

impl Held {
    pub(super) fn request(&self, request: RequestId) -> bool {
        self.requests.contains(&request)
    }

    pub(super) fn contract(&self, contract: i64) -> bool {
        self.contracts.contains(&contract)
    }

    pub(super) fn note_free(&mut self, trees: impl IntoIterator<Item = TreeId>) {
        self.free.extend(trees);
    }

    pub(super) fn was_free(&self, tree: TreeId) -> bool {
        self.free.contains(&tree)
    }
}

impl Tx {
    /// Holds all that may change with a decision, and says where its tree stands; `None` when there is none.
    ///
    /// What does not touch stock holds its request and its tree, and is one round trip.
    pub(super) async fn hold_for(
        &mut self,
        change: &ChangeRow,
        leases: &[LeaseId],
    ) -> Result<Option<Standing>, Fault> {
        self.hold_contracts(change).await?;
        let is_ready = matches!(change.outcome, Some(OutcomeRow::Ready(_)));
        let has_failed = matches!(change.outcome, Some(OutcomeRow::Failed(_)));
        let is_held_back = matches!(change.outcome, Some(OutcomeRow::HeldBack(_)));
        let line = change.line.filter(|_| is_ready || has_failed || is_held_back);
        let mut waiter = None;
        if let Some(line) = line {
            self.hold_line(line).await?;
            if is_ready {
                self.hold_shared_troubles(change.tree).await?;
                waiter = self.waiter_for(change.tree, line).await?;
            }
        }
        let (with, instead) = waiter.map_or((None, None), |waiter| (Some(waiter.request), Some(waiter.tree)));
        let requests: Vec<RequestId> = with.into_iter().chain([change.request]).collect();
        let mut trees: Vec<TreeId> = instead.into_iter().chain([change.tree]).collect();
        trees.extend(change.joins.iter().map(|joins| joins.tree));
        self.held.requests.extend(&requests);
        // What ends a request, or grants it, changes all of its trees; nobody else does while it is held.
        let all = with.is_some() || has_failed || (is_ready && leases.len() > 1);
        let locked = if all {
            self.lock_requests(&requests).await?;
            trees.extend(self.trees_with(&requests).await?);
            self.lock_trees(&trees).await?
        } else {
            self.lock_requests(&requests).await?;
            self.lock_trees(&trees).await?
        };
        Ok(locked.into_iter().find(|(tree, _)| *tree == change.tree).map(|(_, standing)| standing))
    }

    /// Holds what may change with a decision, and gives up the claim that it was made under behind that, in one round trip. What
    /// comes of the claim is undone with the rest when the decision is refused.
    #[allow(clippy::type_complexity, reason = "where the tree stands; and whether the claim was there")]
    pub(super) async fn hold_with_claim(
        &mut self,
        change: &ChangeRow,
        leases: &[LeaseId],
        claim: &Claim,
        claimants: &[Claimant],
    ) -> Result<(Option<Standing>, Option<Option<Passed>>), Fault> {
        let simple = change.line.is_none()
            && leases.len() < 2
            && !matches!(change.outcome, Some(OutcomeRow::Failed(_)));
        if !simple {
            return Ok((self.hold_for(change, leases).await?, None));
        }
        self.hold_contracts(change).await?;
        let candidates = self.candidates(&[(change, claimants)]).await?;
        let all = try_join3(self.claimed_of(&candidates), self.hold_own(change), self.drop_claim(claim));
        let (havings, (from, request), passed) = all.await?;
        self.havings = havings;
        self.read = request;
        self.note_own(change.request);
        Ok((from, Some(passed)))
    }

    /// Holds the request and the tree of a decision that touches nothing else; says where the tree stands, and what the request is.
    pub(super) async fn hold_own(
        &self,
        change: &ChangeRow,
    ) -> Result<(Option<Standing>, Option<RequestState>), Fault> {
        let trees = [change.tree];
        let (request, locked) = try_join(self.hold_and_read(change.request), self.lock_trees(&trees)).await?;
        Ok((locked.into_iter().next().map(|(_, standing)| standing), request))
    }

    /// Holds requests in the order of their ids.
    pub(super) async fn hold_requests(&mut self, requests: &[RequestId]) -> Result<(), Fault> {
        self.held.requests.extend(requests);
        self.lock_requests(requests).await
    }

    /// Holds the trees that are with these requests, which are held.
    pub(super) async fn hold_trees_with(&self, requests: &[RequestId]) -> Result<(), Fault> {
        let trees = self.trees_with(requests).await?;
        self.lock_trees(&trees).await.map(|_| ())
    }

    /// Notes a request that this transaction has made itself.
    pub(super) fn note_own(&mut self, request: RequestId) {
        self.held.requests.push(request);
    }

    /// Holds a line: nobody else places a dataset into its stock, fills it, or counts what is in it.
    pub(super) async fn hold_line(&self, line: LineId) -> Result<(), Fault> {
        let lock = "SELECT 1 FROM stock_line WHERE id = $1 FOR NO KEY UPDATE";
        self.connection.one(lock, &[&line.0], |_| Ok(())).await.map(|_| ())
    }

    /// The same for several, in the order of their numbers; waits for nothing.
    pub(super) async fn hold_lines(&self, lines: &[i64]) -> Result<(), Fault> {
        let lock = "SELECT 1 FROM stock_line WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
        self.connection.later(lock, &[&lines]).await
    }

    /// Holds the contracts whose word is taken with a decision, that count a drift, or that are to blame for a line.
    ///
    /// A word that something holds is taken only from a capability of which more is known; most of the time there is none.
    pub(super) async fn hold_contracts(&mut self, change: &ChangeRow) -> Result<(), Fault> {
        let blamed = match &change.outcome {
            Some(OutcomeRow::Quarantined(contract)) => Some(contract),
            Some(OutcomeRow::Failed(failure)) => change.line.map(|_| &failure.contract),
            _ => None,
        };
        if blamed.is_none() && change.upon.is_none() && change.said.is_empty() {
            return Ok(());
        }
        let environment = self.environment(&change.environment).await?;
        let (mut contracts, mut praised) = (Vec::new(), Vec::new());
        if let Some(blamed) = blamed {
            contracts.push(self.contract(environment, blamed).await?);
        }
        if let Some(upon) = &change.upon {
            contracts.push(self.contract(environment, &upon.to_string()).await?);
        }
        for said in &change.said {
            let contract = self.contract(environment, &said.contract.to_string()).await?;
            if said.holds { praised.push(contract) } else { contracts.push(contract) }
        }
        if !praised.is_empty() {
            let known = "SELECT c.id FROM unnest($1::bigint[]) AS c (id)
                         WHERE EXISTS (SELECT 1 FROM capability_said s WHERE s.contract = c.id)
                            OR EXISTS (SELECT 1 FROM capability_doubt d WHERE d.contract = c.id)";
            contracts.extend(self.connection.all(known, &[&praised], |row| number::<i64>(row, 0)).await?);
        }
        self.lock_contracts(contracts).await
    }

    /// Holds contracts in the order of their numbers.
    pub(super) async fn lock_contracts(&mut self, contracts: Vec<i64>) -> Result<(), Fault> {
        if contracts.is_empty() {
            return Ok(());
        }
        let lock = "SELECT id FROM contract WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
        self.connection.later(lock, &[&contracts]).await?;
        self.held.contracts.extend(contracts);
        Ok(())
    }

    /// Holds the troubles that end when this tree is ready.
    async fn hold_shared_troubles(&self, tree: TreeId) -> Result<(), Fault> {
        let lock = "SELECT contract FROM stock_trouble_shared
                    WHERE contract = ANY (ARRAY (SELECT contract FROM dataset WHERE tree = $1))
                    ORDER BY contract FOR UPDATE";
        self.connection.later(lock, &[&tree.0]).await
    }

    /// Who waits in a line, which is held, for a tree that would go into stock. Whether it will, and whether they still wait, is
    /// seen again once their request is held.
    async fn waiter_for(&self, tree: TreeId, line: LineId) -> Result<Option<Waiter>, Fault> {
        let find = "SELECT w.request, w.unit, w.tree FROM stock_waiting w WHERE w.line = $1 AND w.tree <> $2
                      AND EXISTS (SELECT 1 FROM tree t LEFT JOIN request r ON r.id = t.request
                                  WHERE t.id = $2 AND (t.place > 2 OR r.line IS NOT NULL OR r.status > 1))
                    ORDER BY w.priority, w.request, w.unit LIMIT 1";
        self.connection.one(find, &[&line.0, &tree.0], read_waiter).await
    }

    /// Holds the first who wait in a line, which is held: as many as datasets may come into its stock with this transaction.
    pub(super) async fn hold_waiters(&mut self, line: LineId, limit: usize) -> Result<(), Fault> {
        if limit == 0 {
            return Ok(());
        }
        let list = "SELECT request, unit, tree FROM stock_waiting WHERE line = $1
                    ORDER BY priority, request, unit LIMIT $2";
        let waiters = self.connection.all(list, &[&line.0, &int(limit as u64)], read_waiter).await?;
        let requests: Vec<RequestId> = waiters.into_iter().map(|waiter| waiter.request).collect();
        self.hold_requests(&requests).await?;
        self.hold_trees_with(&requests).await
    }

    async fn lock_requests(&self, requests: &[RequestId]) -> Result<(), Fault> {
        let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
        let lock = "SELECT id FROM request WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
        self.connection.later(lock, &[&ids]).await
    }

    async fn trees_with(&self, requests: &[RequestId]) -> Result<Vec<TreeId>, Fault> {
        let ids: Vec<Uuid> = requests.iter().map(|request| request.0).collect();
        let list = "SELECT id FROM tree WHERE request = ANY ($1) AND place < 3";
        self.connection.all(list, &[&ids], |row| id(row, 0).map(TreeId)).await
    }

    async fn lock_trees(&self, trees: &[TreeId]) -> Result<Vec<(TreeId, Standing)>, Fault> {
        let ids: Vec<Uuid> = trees.iter().map(|tree| tree.0).collect();
        let lock =
            "SELECT version, line, place, id FROM tree WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
        let read = |row: &Row| Ok((TreeId(id(row, 3)?), read_standing(row)?));
        self.connection.all(lock, &[&ids], read).await
    }
}

//! Outcomes: what a decision about a tree means for its request, and the leases that it grants.

use std::collections::HashSet;

use rusqlite::params;
use serde_json::json;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TokenId, TreeId};
use sixpack_model::lease::{FENCE_EPOCH, Lease, LeaseStatus};
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::PartStatus;

use super::codes::Code;
use super::columns::{code, id, int, parsed_of, time, unsigned};
use super::events::EventRow;
use super::placing::{Place, Standing};
use super::quotas::Taker;
use super::statements::Statements;
use super::writer::Tx;
use super::writes::{ChangeRow, OutcomeRow};
use crate::stored::grants::lease_ids;
pub(super) use crate::stored::grants::{Grant, Terms};
pub(super) use crate::stored::places::is_unwanted;
use crate::trees::RequestAfter;

/// What a write of a tree has meant for its request.
pub(super) struct Counted {
    /// True when the request had ended before.
    pub(super) ended: bool,
    pub(super) after: RequestAfter,
}

/// A request as a write of one of its trees finds it.
struct RequestState {
    id: RequestId,
    status: RequestStatus,
    revision: u64,
    ready: i64,
    trees: i64,
    ttl_ms: i64,
    holder: String,
    token: TokenId,
    /// Set when it refills stock, or imports something.
    line: Option<LineId>,
    /// Whether it refills stock because a rule says so.
    refills: bool,
}

impl RequestState {
    fn terms(&self) -> Terms<'_> {
        Terms { request: self.id, ttl_ms: self.ttl_ms, holder: &self.holder, token: self.token }
    }
}

impl Tx<'_> {
    /// Counts a decision in its request, and ends the request when it is complete or has failed with it. `leases` are
    /// given out in the order of the units; `from` is where the tree was kept.
    pub(super) fn write_request(
        &mut self,
        change: &ChangeRow,
        from: Standing,
        leases: &[LeaseId],
    ) -> rusqlite::Result<Counted> {
        // What is in stock or apart belongs to no request.
        if matches!(from.place, Place::Stock | Place::Apart) {
            return self.write_apart(change, from, leases);
        }
        let mut request = self.touch_request(change.request)?;
        if let (Some(OutcomeRow::Ready(readiness)), Some(_)) = (&change.outcome, from.line)
            && (request.line.is_some() || request.status.ended())
        {
            let after = self.bring_to_stock(change, readiness, from, leases)?;
            if after == RequestAfter::Stocked && !request.status.ended() {
                self.end_refill(&change.environment, request.id, &json!({}))?;
            }
            return Ok(Counted { ended: false, after });
        }
        if let (Some(OutcomeRow::HeldBack(readiness)), Some(line)) = (&change.outcome, from.line) {
            self.connection.run("DELETE FROM tree_unwanted WHERE tree = ?1", [change.tree.0.as_bytes()])?;
            self.put_in_stock(change, line, readiness, true)?;
            if request.status.ended() {
                return Ok(Counted { ended: false, after: RequestAfter::Stocked });
            }
            self.leave_unit_vacant(change)?;
            return Ok(Counted { ended: false, after: RequestAfter::Vacant });
        }
        if request.status.ended() {
            return Ok(Counted { ended: true, after: RequestAfter::GoesOn });
        }
        let after = match &change.outcome {
            Some(OutcomeRow::Ready(_)) => {
                self.leave_place(change.tree, from)?;
                self.count_trees(&mut request)?;
                match self.grant_if_complete(&change.environment, &request, leases)? {
                    Some(leases) => RequestAfter::Fulfilled { revision: request.revision, leases },
                    // Complete, and not granted: something of it could not be handed over.
                    None if request.ready == request.trees => RequestAfter::Vacant,
                    None => RequestAfter::GoesOn,
                }
            }
            Some(OutcomeRow::Failed(failure)) => {
                self.close_request(change.request, RequestStatus::Failed, Some(&failure.text))?;
                let (environment, event) = (&change.environment, &failure.event);
                let kind = "request.failed";
                self.tell(&EventRow::told(self.now, environment, kind, change.request, None, event))?;
                // A wrong row of an import says nothing about the next refill.
                if let Some(line) = request.line.filter(|_| request.refills) {
                    self.note_trouble(line, (&failure.contract, &failure.text), change.tree)?;
                }
                RequestAfter::Failed
            }
            Some(OutcomeRow::Quarantined(contract)) => {
                self.note_drift(&change.environment, contract)?;
                self.leave_vacant(change)?;
                RequestAfter::Vacant
            }
            Some(
                OutcomeRow::Ended | OutcomeRow::Extended | OutcomeRow::Confirmed(_) | OutcomeRow::HeldBack(_),
            )
            | None => RequestAfter::GoesOn,
        };
        Ok(Counted { ended: false, after })
    }

    /// What a decision about a tree means that belongs to no request.
    fn write_apart(
        &mut self,
        change: &ChangeRow,
        from: Standing,
        leases: &[LeaseId],
    ) -> rusqlite::Result<Counted> {
        let after = match (&change.outcome, from.line, from.place) {
            (Some(OutcomeRow::Ready(readiness)), Some(_), Place::Apart) => {
                self.bring_to_stock(change, readiness, from, leases)?
            }
            (
                Some(OutcomeRow::Confirmed(readiness) | OutcomeRow::HeldBack(readiness)),
                Some(line),
                Place::Stock,
            ) => {
                self.note_confirmed(line, change.tree, readiness)?;
                RequestAfter::GoesOn
            }
            (Some(OutcomeRow::Quarantined(contract)), Some(_), Place::Stock) => {
                self.note_drift(&change.environment, contract)?;
                self.leave_stock(change, from)?;
                RequestAfter::Quarantined
            }
            _ => RequestAfter::GoesOn,
        };
        if change.ending.is_some() {
            let wanted = "DELETE FROM tree_unwanted WHERE tree = ?1";
            self.connection.run(wanted, [change.tree.0.as_bytes()])?;
            self.leave_lists(change.tree, from)?;
            self.set_place(change.tree, Place::Apart)?;
        }
        Ok(Counted { ended: false, after })
    }

    /// Counts a dataset that is set aside, with the contract that was the first to drift.
    fn note_drift(&mut self, environment: &str, contract: &str) -> rusqlite::Result<()> {
        let environment = self.environment(environment)?;
        let contract = self.contract(environment, contract)?;
        self.connection.run("UPDATE contract SET drifted = drifted + 1 WHERE id = ?1", [contract]).map(|_| ())
    }

    /// A tree of another request than the one written about has become ready: counts, and grants when that completes it.
    pub(super) fn count_ready(
        &mut self,
        environment: &str,
        request: RequestId,
        leases: &[LeaseId],
    ) -> rusqlite::Result<Option<(u64, Vec<Lease>)>> {
        let mut request = self.touch_request(request)?;
        self.count_trees(&mut request)?;
        let granted = self.grant_if_complete(environment, &request, leases)?;
        Ok(granted.map(|leases| (request.revision, leases)))
    }

    /// Notes whether a tree of a request that has ended is still to be taken down.
    pub(super) fn note_unwanted(&self, change: &ChangeRow) -> rusqlite::Result<()> {
        let unwanted = change.ending.is_none() && is_unwanted(change.status);
        let write = if unwanted {
            "INSERT INTO tree_unwanted (tree) VALUES (?1) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM tree_unwanted WHERE tree = ?1"
        };
        self.connection.run(write, [change.tree.0.as_bytes()]).map(|_| ())
    }

    /// Ends a request; the trees that nobody wants any more are noted for whoever takes them down.
    pub(super) fn close_request(
        &self,
        request: RequestId,
        status: RequestStatus,
        failure: Option<&str>,
    ) -> rusqlite::Result<()> {
        let (taker, places) = self.places_of(request)?;
        self.give_places_back(taker, places)?;
        self.set_ended(request, status, failure)?;
        self.release_trees(request)
    }

    fn touch_request(&self, id: RequestId) -> rusqlite::Result<RequestState> {
        let key = id.0.as_bytes();
        let request = self
            .connection
            .prepare_cached(
                "SELECT status, revision, ready, trees, ttl_ms, holder, token, line, refills IS NOT NULL FROM request
                 WHERE id = ?1",
            )?
            .query_row([key], |row| {
                Ok(RequestState {
                    id,
                    status: code(row, 0)?,
                    revision: unsigned(row, 1)? + 1,
                    ready: row.get(2)?,
                    trees: row.get(3)?,
                    ttl_ms: row.get(4)?,
                    holder: row.get(5)?,
                    token: TokenId(super::columns::id(row, 6)?),
                    line: row.get::<_, Option<i64>>(7)?.map(LineId),
                    refills: row.get(8)?,
                })
            })?;
        let write = "UPDATE request SET revision = ?2 WHERE id = ?1";
        self.connection.run(write, params![key, int(request.revision)])?;
        Ok(request)
    }

    /// The count of ready trees is taken anew each time, so that it can never drift from the trees.
    fn count_trees(&self, request: &mut RequestState) -> rusqlite::Result<()> {
        let key = request.id.0.as_bytes();
        request.ready = self
            .connection
            .prepare_cached(
                "SELECT count(*) FROM tree INDEXED BY tree_by_request
                 WHERE request = ?1 AND place < 3 AND status = ?2",
            )?
            .query_row(params![key, PartStatus::Ready.code()], |row| row.get(0))?;
        let write = "UPDATE request SET ready = ?2 WHERE id = ?1";
        self.connection.run(write, params![key, request.ready]).map(|_| ())
    }

    /// Whose places a request has taken, and how many; what refills stock takes none.
    fn places_of(&self, request: RequestId) -> rusqlite::Result<(Taker, i64)> {
        self.connection
            .prepare_cached(
                "SELECT token, environment, iif(line IS NULL, trees, 0) FROM request WHERE id = ?1",
            )?
            .query_row([request.0.as_bytes()], |row| {
                Ok((Taker { token: row.get(0)?, environment: row.get(1)? }, row.get(2)?))
            })
    }

    /// Writes the end of a request; its places are somebody else's to give back.
    pub(super) fn set_ended(
        &self,
        request: RequestId,
        status: RequestStatus,
        failure: Option<&str>,
    ) -> rusqlite::Result<()> {
        let write = "UPDATE request SET status = ?2, ended_at = ?3, failure = ?4 WHERE id = ?1";
        let columns = params![request.0.as_bytes(), status.code(), self.now, failure];
        self.connection.run(write, columns).map(|_| ())
    }

    /// Leases every tree of a request to whoever asked for it, once all of them are ready.
    fn grant_if_complete(
        &mut self,
        environment: &str,
        request: &RequestState,
        leases: &[LeaseId],
    ) -> rusqlite::Result<Option<Vec<Lease>>> {
        if request.ready != request.trees {
            return Ok(None);
        }
        let number = self.environment(environment)?;
        let trees: Vec<Grant> = self.connection.all(
            "SELECT id, unit, fence + 1, owns FROM tree INDEXED BY tree_by_request
             WHERE request = ?1 AND place < 3 ORDER BY unit",
            [request.id.0.as_bytes()],
            |row| {
                let (unit, counter) = (row.get(1)?, unsigned(row, 2)?);
                let owns = parsed_of(row, 3)?.unwrap_or_default();
                Ok(Grant { tree: TreeId(id(row, 0)?), unit, counter, owns })
            },
        )?;
        let leases = lease_ids(leases, trees.len(), self.now);
        if self.leave_those_held(number, request.id, &trees)? {
            return Ok(None);
        }
        let mut granted = Vec::with_capacity(trees.len());
        for (grant, lease) in trees.iter().zip(&leases) {
            // The root is as the tree says: its own row is written with its next change.
            self.connection.run(
                "UPDATE tree SET version = version + 1, status = ?2, lease = ?3, fence = ?4 WHERE id = ?1",
                params![
                    grant.tree.0.as_bytes(),
                    PartStatus::Leased.code(),
                    lease.0.as_bytes(),
                    int(grant.counter)
                ],
            )?;
            granted.push(self.insert_lease(number, environment, &request.terms(), grant, *lease)?);
        }
        self.set_ended(request.id, RequestStatus::Fulfilled, None)?;
        let data = json!({ "leases": leases.iter().map(LeaseId::to_string).collect::<Vec<_>>() });
        self.tell(&EventRow::told(self.now, environment, "request.fulfilled", request.id, None, &data))?;
        Ok(Some(granted))
    }

    /// Sets aside what came from stock and has made something that is somebody else's by now; true when there was any, and
    /// other datasets are needed in their places. Whoever is written about was looked at before.
    fn leave_those_held(
        &self,
        environment: i64,
        request: RequestId,
        trees: &[Grant],
    ) -> rusqlite::Result<bool> {
        let mut any = false;
        let mut own: HashSet<(&str, &str)> = HashSet::new();
        for grant in trees.iter().filter(|grant| !grant.owns.is_empty()) {
            let twice = grant.owns.iter().any(|(_, kind, key)| !own.insert((kind, key)));
            if twice || self.first_held(grant.tree, environment, &grant.owns)?.is_some() {
                self.leave_unit(grant.tree, request, grant.unit)?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Writes the lease of a tree that was marked as leased.
    pub(super) fn insert_lease(
        &self,
        number: i64,
        environment: &str,
        terms: &Terms<'_>,
        grant: &Grant,
        lease: LeaseId,
    ) -> rusqlite::Result<Lease> {
        let Grant { tree, unit, counter, .. } = *grant;
        let (fence, expires_at) = (self.fence(counter), self.now.saturating_add(terms.ttl_ms));
        self.connection.run(
            "INSERT INTO lease (id, tree, environment, request, unit, holder, token, fence, status, ttl_ms,
                                granted_at, expires_at, contract)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11,
                     (SELECT d.contract FROM dataset d WHERE d.tree = ?2 AND d.part = 0))",
            params![
                lease.0.as_bytes(),
                tree.0.as_bytes(),
                number,
                terms.request.0.as_bytes(),
                unit,
                terms.holder,
                terms.token.0.as_bytes(),
                int(fence),
                terms.ttl_ms,
                self.now,
                expires_at,
            ],
        )?;
        self.hold_entities(number, lease, grant)?;
        let data = json!({ "lease": lease.to_string(), "ttl_ms": terms.ttl_ms });
        self.tell(&EventRow::told(self.now, environment, "lease.granted", terms.request, Some(tree), &data))?;
        Ok(Lease {
            id: lease,
            tree,
            environment: environment.to_owned(),
            request: terms.request,
            holder: terms.holder.to_owned(),
            token: terms.token,
            fence,
            status: LeaseStatus::Held,
            ttl_ms: terms.ttl_ms.unsigned_abs(),
            granted_at: time(self.now),
            expires_at: time(expires_at),
            ended_at: None,
            outcome: None,
            note: None,
            revoked_by: None,
        })
    }

    fn fence(&self, counter: u64) -> u64 {
        self.fence_epoch * FENCE_EPOCH + counter
    }
}

//! Outcomes: what a decision about a tree means for its request, and the leases that it grants.
//!
//! Whoever writes one holds the request, and all of its trees when they change with it ([`super::locks`]).

use std::collections::HashSet;

use serde_json::json;
use sixpack_model::ids::{LeaseId, RequestId, TreeId};
use sixpack_model::lease::{FENCE_EPOCH, Lease, LeaseStatus};
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::PartStatus;
use uuid::Uuid;

use super::columns::{Int, get, int, ms, number_of_code, time};
use super::counting::RequestState;
use super::faults::Fault;
use super::quotas::Taker;
use super::statements::Params;
use super::writer::Tx;
use crate::stored::changes::{ChangeRow, OutcomeRow};
use crate::stored::entities::Owned;
use crate::stored::events::EventRow;
use crate::stored::grants::{Grant, Granting, lease_ids};
use crate::stored::places::{Place, Standing, is_unwanted};
use crate::trees::RequestAfter;

/// What a write of a tree has meant for its request.
pub(super) struct Counted {
    /// True when the request had ended before.
    pub(super) ended: bool,
    pub(super) after: RequestAfter,
}

impl Tx {
    /// Counts a decision in its request, and ends the request when it is complete or has failed with it. `leases` are
    /// given out in the order of the units; `from` is where the tree was kept.
    pub(super) async fn write_request(
        &mut self,
        change: &ChangeRow,
        from: Standing,
        leases: &[LeaseId],
    ) -> Result<Counted, Fault> {
        // What is in stock or apart belongs to no request.
        if matches!(from.place, Place::Stock | Place::Apart) {
            return self.write_apart(change, from, leases).await;
        }
        let mut request = self.touch_request(change.request).await?;
        if let (Some(OutcomeRow::Ready(readiness)), Some(_)) = (&change.outcome, from.line)
            && (request.line.is_some() || request.status.ended())
        {
            let after = self.bring_to_stock(change, readiness, from, leases).await?;
            if after == RequestAfter::Stocked && !request.status.ended() {
                self.end_refill(&change.environment, request.id, &json!({})).await?;
            }
            return Ok(Counted { ended: false, after });
        }
        if let (Some(OutcomeRow::HeldBack(readiness)), Some(line)) = (&change.outcome, from.line) {
            self.set_wanted(change.tree).await?;
            self.put_in_stock(change, line, readiness, true).await?;
            if request.status.ended() {
                return Ok(Counted { ended: false, after: RequestAfter::Stocked });
            }
            self.leave_unit_vacant(change).await?;
            return Ok(Counted { ended: false, after: RequestAfter::Vacant });
        }
        if request.status.ended() {
            return Ok(Counted { ended: true, after: RequestAfter::GoesOn });
        }
        let after = match &change.outcome {
            Some(OutcomeRow::Ready(_)) => {
                self.leave_place(change.tree, from).await?;
                let trees = self.count_trees(&mut request).await?;
                match self.grant_if_complete(&change.environment, &request, trees, leases).await? {
                    Some(leases) => RequestAfter::Fulfilled { revision: request.revision, leases },
                    // Complete, and not granted: something of it could not be handed over.
                    None if request.ready == request.trees => RequestAfter::Vacant,
                    None => RequestAfter::GoesOn,
                }
            }
            Some(OutcomeRow::Failed(failure)) => {
                self.close_request(change.request, RequestStatus::Failed, Some(&failure.text)).await?;
                let (environment, event) = (&change.environment, &failure.event);
                let kind = "request.failed";
                self.tell(&EventRow::told(self.now, environment, kind, change.request, None, event));
                // A wrong row of an import says nothing about the next refill.
                if let Some(line) = request.line.filter(|_| request.refills) {
                    self.note_trouble(line, (&failure.contract, &failure.text), change.tree).await?;
                }
                RequestAfter::Failed
            }
            Some(OutcomeRow::Quarantined(contract)) => {
                self.note_drift(&change.environment, contract).await?;
                self.leave_vacant(change).await?;
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
    async fn write_apart(
        &mut self,
        change: &ChangeRow,
        from: Standing,
        leases: &[LeaseId],
    ) -> Result<Counted, Fault> {
        let after = match (&change.outcome, from.line, from.place) {
            (Some(OutcomeRow::Ready(readiness)), Some(_), Place::Apart) => {
                self.bring_to_stock(change, readiness, from, leases).await?
            }
            (
                Some(OutcomeRow::Confirmed(readiness) | OutcomeRow::HeldBack(readiness)),
                Some(line),
                Place::Stock,
            ) => {
                self.note_confirmed(line, change.tree, readiness).await?;
                RequestAfter::GoesOn
            }
            (Some(OutcomeRow::Quarantined(contract)), Some(_), Place::Stock) => {
                self.note_drift(&change.environment, contract).await?;
                self.leave_stock(change, from).await?;
                RequestAfter::Quarantined
            }
            _ => RequestAfter::GoesOn,
        };
        if change.ending.is_some() {
            self.set_wanted(change.tree).await?;
            self.leave_lists(change.tree, from).await?;
            self.set_place(change.tree, Place::Apart).await?;
        }
        Ok(Counted { ended: false, after })
    }

    /// Counts a dataset that is set aside, with the contract that was the first to drift.
    async fn note_drift(&mut self, environment: &str, contract: &str) -> Result<(), Fault> {
        let environment = self.environment(environment).await?;
        let contract = self.contract(environment, contract).await?;
        let count = "UPDATE contract SET drifted = drifted + 1 WHERE id = $1";
        self.connection.later(count, &[&contract]).await
    }

    /// A tree of another request than the one written about has become ready: counts, and grants when that completes it.
    pub(super) async fn count_ready(
        &mut self,
        environment: &str,
        request: RequestId,
        leases: &[LeaseId],
    ) -> Result<Option<(u64, Vec<Lease>)>, Fault> {
        let mut request = self.touch_request(request).await?;
        let trees = self.count_trees(&mut request).await?;
        let granted = self.grant_if_complete(environment, &request, trees, leases).await?;
        Ok(granted.map(|leases| (request.revision, leases)))
    }

    /// Notes whether a tree of a request that has ended is still to be taken down.
    pub(super) async fn note_unwanted(&self, change: &ChangeRow) -> Result<(), Fault> {
        let unwanted = change.ending.is_none() && is_unwanted(change.status);
        if unwanted { self.set_unwanted(&[change.tree]).await } else { self.set_wanted(change.tree).await }
    }

    /// Ends a request; the trees that nobody wants any more are noted for whoever takes them down.
    pub(super) async fn close_request(
        &mut self,
        request: RequestId,
        status: RequestStatus,
        failure: Option<&str>,
    ) -> Result<(), Fault> {
        let (taker, places) = self.places_of(request).await?;
        self.give_places_back(taker, places);
        self.set_ended(request, status, failure).await?;
        self.release_trees(request).await
    }

    /// Whose places a request has taken, and how many; what refills stock takes none.
    async fn places_of(&self, request: RequestId) -> Result<(Taker, i64), Fault> {
        let read = "SELECT token, environment, CASE WHEN line IS NULL THEN trees ELSE 0 END FROM request WHERE id = $1";
        let places = self
            .connection
            .one(read, &[&request.0], |row| {
                Ok((Taker { token: get(row, 0)?, environment: get(row, 1)? }, get(row, 2)?))
            })
            .await?;
        Ok(places.expect("a request that ends is there"))
    }

    /// Writes the end of a request; its places are somebody else's to give back.
    pub(super) async fn set_ended(
        &self,
        request: RequestId,
        status: RequestStatus,
        failure: Option<&str>,
    ) -> Result<(), Fault> {
        let write = "UPDATE request SET status = $2, ended_at = $3, failure = $4 WHERE id = $1";
        let status = number_of_code(status);
        self.connection.later(write, &[&request.0, &status, &self.now, &failure]).await
    }

    /// Leases every tree of a request to whoever asked for it, once all of them are ready.
    async fn grant_if_complete(
        &mut self,
        environment: &str,
        request: &RequestState,
        trees: Vec<Grant>,
        leases: &[LeaseId],
    ) -> Result<Option<Vec<Lease>>, Fault> {
        if request.ready != request.trees {
            return Ok(None);
        }
        let number_of_environment = self.environment(environment).await?;
        let leases = lease_ids(leases, trees.len(), self.now);
        if self.leave_those_held(number_of_environment, request.id, &trees).await? {
            return Ok(None);
        }
        // The roots are as the trees say: their own rows are written with their next change.
        let lease =
            "UPDATE tree t SET version = t.version + 1, status = $1, lease = g.lease, fence = t.fence + 1
                     FROM unnest($2::uuid[], $3::uuid[]) AS g (tree, lease) WHERE t.id = g.tree";
        let ids: Vec<Uuid> = trees.iter().map(|grant| grant.tree.0).collect();
        let of: Vec<Uuid> = leases.iter().map(|lease| lease.0).collect();
        self.connection.later(lease, &[&number_of_code(PartStatus::Leased), &ids, &of]).await?;
        let terms = request.terms();
        let granting = trees.into_iter().zip(&leases);
        let granting: Vec<Granting<'_>> =
            granting.map(|(grant, lease)| Granting { terms, grant, lease: *lease }).collect();
        let granted = self.insert_leases(number_of_environment, environment, &granting).await?;
        self.set_ended(request.id, RequestStatus::Fulfilled, None).await?;
        let data = json!({ "leases": leases.iter().map(LeaseId::to_string).collect::<Vec<_>>() });
        let told = EventRow::told(self.now, environment, "request.fulfilled", request.id, None, &data);
        self.tell(&told);
        Ok(Some(granted))
    }

    /// Sets aside what came from stock and has made something that is somebody else's by now; true when there was any, and
    /// other datasets are needed in their places. Whoever is written about was looked at before.
    async fn leave_those_held(
        &mut self,
        environment: i64,
        request: RequestId,
        trees: &[Grant],
    ) -> Result<bool, Fault> {
        let of: Vec<(TreeId, &[Owned])> =
            trees.iter().map(|grant| (grant.tree, grant.owns.as_slice())).collect();
        let held = self.first_held(environment, &of).await?;
        // Somebody has got it since it was looked at: whoever is written about is not set aside for that, but refused.
        if held.iter().any(|(place, _)| self.held.was_free(trees[*place].tree)) {
            return Err(Fault::Again("an entity"));
        }
        let mut own = HashSet::new();
        let mut leaving = Vec::new();
        for (place, grant) in trees.iter().enumerate() {
            let twice = grant.owns.iter().any(|(_, kind, key)| !own.insert((kind.as_str(), key.as_str())));
            if twice || held.iter().any(|(of, _)| *of == place) {
                leaving.push(grant);
            }
        }
        for grant in &leaving {
            self.leave_unit(grant.tree, request, grant.unit).await?;
        }
        Ok(!leaving.is_empty())
    }

    /// Writes the leases of trees that were marked as leased, in the order of the trees.
    pub(super) async fn insert_leases(
        &mut self,
        number: i64,
        environment: &str,
        granting: &[Granting<'_>],
    ) -> Result<Vec<Lease>, Fault> {
        let granted: Vec<Lease> = granting.iter().map(|one| self.granted(environment, one)).collect();
        let each = |column: fn(&Lease) -> Uuid| granted.iter().map(column).collect::<Vec<_>>();
        let (ids, trees) = (each(|lease| lease.id.0), each(|lease| lease.tree.0));
        let (requests, tokens) = (each(|lease| lease.request.0), each(|lease| lease.token.0));
        let units: Vec<i64> = granting.iter().map(|one| i64::from(one.grant.unit)).collect();
        let fences: Vec<i64> = granted.iter().map(|lease| int(lease.fence)).collect();
        let holders: Vec<&str> = granting.iter().map(|one| one.terms.holder).collect();
        let spans: Vec<i64> = granting.iter().map(|one| one.terms.ttl_ms).collect();
        let ends: Vec<i64> = granted.iter().map(|lease| ms(lease.expires_at)).collect();
        let insert = "INSERT INTO lease (id, tree, environment, request, unit, holder, token, fence, status, ttl_ms,
                                         granted_at, expires_at, contract)
                      SELECT g.id, g.tree, $10::bigint, g.request, g.unit, g.holder, g.token, g.fence, $11::smallint,
                             g.ttl_ms, $12::bigint, g.expires_at,
                             (SELECT d.contract FROM dataset d WHERE d.tree = g.tree AND d.part = 0)
                      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::uuid[], $7::bigint[],
                                  $8::bigint[], $9::bigint[])
                           AS g (id, tree, request, unit, holder, token, fence, ttl_ms, expires_at)";
        let held: Int = number_of_code(LeaseStatus::Held);
        let values: Params<'_> = &[
            &ids, &trees, &requests, &units, &holders, &tokens, &fences, &spans, &ends, &number, &held,
            &self.now,
        ];
        self.connection.later(insert, values).await?;
        self.hold_entities(number, granting).await?;
        for lease in &granted {
            let data = json!({ "lease": lease.id.to_string(), "ttl_ms": lease.ttl_ms });
            let (kind, tree) = ("lease.granted", Some(lease.tree));
            self.tell(&EventRow::told(self.now, environment, kind, lease.request, tree, &data));
        }
        Ok(granted)
    }

    fn granted(&self, environment: &str, one: &Granting<'_>) -> Lease {
        let Granting { terms, grant, lease } = one;
        Lease {
            id: *lease,
            tree: grant.tree,
            environment: environment.to_owned(),
            request: terms.request,
            holder: terms.holder.to_owned(),
            token: terms.token,
            fence: self.fence(grant.counter),
            status: LeaseStatus::Held,
            ttl_ms: terms.ttl_ms.unsigned_abs(),
            granted_at: time(self.now),
            expires_at: time(self.now.saturating_add(terms.ttl_ms)),
            ended_at: None,
            outcome: None,
            note: None,
            revoked_by: None,
        }
    }

    fn fence(&self, counter: u64) -> u64 {
        self.fence_epoch * FENCE_EPOCH + counter
    }
}

//! Outcomes: what a decision about a tree means for its request, and the leases that it grants.

use rusqlite::params;
use serde_json::json;
use sixpack_model::ids::{LeaseId, RequestId, TokenId, TreeId};
use sixpack_model::lease::{FENCE_EPOCH, Lease, LeaseStatus};
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::PartStatus;

use super::codes::Code;
use super::columns::{code, id, int, parsed_of, time, unsigned};
use super::entities::Owned;
use super::events::EventRow;
use super::quotas::Taker;
use super::statements::Statements;
use super::writer::Tx;
use super::writes::{ChangeRow, OutcomeRow};
use crate::trees::RequestAfter;

/// What a write of a tree has meant for its request.
pub(super) struct Counted {
    /// True when the request had ended before.
    pub(super) ended: bool,
    pub(super) after: RequestAfter,
}

/// A request as a write of one of its trees finds it.
struct RequestState {
    status: RequestStatus,
    revision: u64,
    ready: i64,
    trees: i64,
    ttl_ms: i64,
    holder: String,
    token: TokenId,
}

/// A tree that is to be leased.
struct Grant {
    tree: TreeId,
    unit: u32,
    /// The number of this lease among those of the tree.
    counter: u64,
    owns: Vec<Owned>,
}

impl Tx<'_> {
    /// Counts a decision in its request, and ends the request when it is complete or has failed with it. `leases` are
    /// given out in the order of the units.
    pub(super) fn write_request(
        &mut self,
        change: &ChangeRow,
        leases: &[LeaseId],
    ) -> rusqlite::Result<Counted> {
        let request = self.touch_request(change)?;
        if request.status.ended() {
            return Ok(Counted { ended: true, after: RequestAfter::GoesOn });
        }
        let after = match &change.outcome {
            Some(OutcomeRow::Ready) if request.ready == request.trees => {
                let revision = request.revision;
                RequestAfter::Fulfilled { revision, leases: self.grant(change, &request, leases)? }
            }
            Some(OutcomeRow::Failed(failure)) => {
                self.close_request(change.request, RequestStatus::Failed, Some(&failure.text))?;
                let (environment, event) = (&change.environment, &failure.event);
                let kind = "request.failed";
                self.tell(&EventRow::told(self.now, environment, kind, change.request, None, event))?;
                RequestAfter::Failed
            }
            Some(OutcomeRow::Ready | OutcomeRow::Ended) | None => RequestAfter::GoesOn,
        };
        Ok(Counted { ended: false, after })
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
        let (taker, places) = self.set_ended(request, status, failure)?;
        self.give_places_back(taker, places)?;
        let trees = self.connection.all(
            "SELECT id, status, ending IS NULL FROM tree WHERE request = ?1",
            [request.0.as_bytes()],
            |row| Ok((row.get::<_, [u8; 16]>(0)?, code::<PartStatus>(row, 1)?, row.get::<_, bool>(2)?)),
        )?;
        for (tree, status, stands) in trees {
            if stands && is_unwanted(status) {
                let note = "INSERT INTO tree_unwanted (tree) VALUES (?1) ON CONFLICT DO NOTHING";
                self.connection.run(note, [tree])?;
            }
        }
        Ok(())
    }

    /// The count of ready trees is taken anew each time, so that it can never drift from the trees.
    fn touch_request(&self, change: &ChangeRow) -> rusqlite::Result<RequestState> {
        let key = change.request.0.as_bytes();
        let mut request = self
            .connection
            .prepare_cached(
                "SELECT status, revision + 1, ready, trees, ttl_ms, holder, token FROM request WHERE id = ?1",
            )?
            .query_row([key], |row| {
                Ok(RequestState {
                    status: code(row, 0)?,
                    revision: unsigned(row, 1)?,
                    ready: row.get(2)?,
                    trees: row.get(3)?,
                    ttl_ms: row.get(4)?,
                    holder: row.get(5)?,
                    token: TokenId(id(row, 6)?),
                })
            })?;
        if matches!(change.outcome, Some(OutcomeRow::Ready)) && !request.status.ended() {
            request.ready = self
                .connection
                .prepare_cached(
                    "SELECT count(*) FROM tree INDEXED BY tree_by_request WHERE request = ?1 AND status = ?2",
                )?
                .query_row(params![key, PartStatus::Ready.code()], |row| row.get(0))?;
        }
        let write = "UPDATE request SET revision = revision + 1, ready = ?2 WHERE id = ?1";
        self.connection.run(write, params![key, request.ready])?;
        Ok(request)
    }

    /// Returns whose places it has taken, and how many.
    fn set_ended(
        &self,
        request: RequestId,
        status: RequestStatus,
        failure: Option<&str>,
    ) -> rusqlite::Result<(Taker, i64)> {
        self.connection
            .prepare_cached(
                "UPDATE request SET status = ?2, ended_at = ?3, failure = ?4 WHERE id = ?1
                 RETURNING token, environment, trees",
            )?
            .query_row(params![request.0.as_bytes(), status.code(), self.now, failure], |row| {
                Ok((Taker { token: row.get(0)?, environment: row.get(1)? }, row.get(2)?))
            })
    }

    /// Leases every tree of a complete request to whoever asked for it.
    fn grant(
        &mut self,
        change: &ChangeRow,
        request: &RequestState,
        leases: &[LeaseId],
    ) -> rusqlite::Result<Vec<Lease>> {
        let environment = self.environment(&change.environment)?;
        let trees: Vec<Grant> = self.connection.all(
            "SELECT id, unit, fence + 1, owns FROM tree WHERE request = ?1 ORDER BY unit",
            [change.request.0.as_bytes()],
            |row| {
                let (unit, counter) = (row.get(1)?, unsigned(row, 2)?);
                let owns = parsed_of(row, 3)?.unwrap_or_default();
                Ok(Grant { tree: TreeId(id(row, 0)?), unit, counter, owns })
            },
        )?;
        assert_eq!(trees.len(), leases.len(), "a complete request needs one lease id for each of its trees");
        let mut granted = Vec::with_capacity(trees.len());
        for (tree, lease) in trees.iter().zip(leases) {
            granted.push(self.grant_one(environment, change, request, tree, *lease)?);
        }
        self.set_ended(change.request, RequestStatus::Fulfilled, None)?;
        let data = json!({ "leases": leases.iter().map(LeaseId::to_string).collect::<Vec<_>>() });
        self.tell(&EventRow::told(
            self.now,
            &change.environment,
            "request.fulfilled",
            change.request,
            None,
            &data,
        ))?;
        Ok(granted)
    }

    fn grant_one(
        &self,
        environment: i64,
        change: &ChangeRow,
        request: &RequestState,
        grant: &Grant,
        lease: LeaseId,
    ) -> rusqlite::Result<Lease> {
        let leased = PartStatus::Leased.code();
        let Grant { tree, unit, counter, ref owns } = *grant;
        self.connection.run(
            "UPDATE tree SET version = version + 1, status = ?2, lease = ?3, fence = ?4 WHERE id = ?1",
            params![tree.0.as_bytes(), leased, lease.0.as_bytes(), int(counter)],
        )?;
        let root = "UPDATE dataset SET status = ?2 WHERE tree = ?1 AND part = 0";
        self.connection.run(root, params![tree.0.as_bytes(), leased])?;
        let (fence, expires_at) = (self.fence(counter), self.now.saturating_add(request.ttl_ms));
        self.connection.run(
            "INSERT INTO lease (id, tree, environment, request, unit, holder, token, fence, status, ttl_ms,
                                granted_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11)",
            params![
                lease.0.as_bytes(),
                tree.0.as_bytes(),
                environment,
                change.request.0.as_bytes(),
                unit,
                request.holder,
                request.token.0.as_bytes(),
                int(fence),
                request.ttl_ms,
                self.now,
                expires_at,
            ],
        )?;
        self.hold_entities(environment, lease, owns)?;
        let data = json!({ "lease": lease.to_string(), "ttl_ms": request.ttl_ms });
        self.tell(&EventRow::told(
            self.now,
            &change.environment,
            "lease.granted",
            change.request,
            Some(tree),
            &data,
        ))?;
        Ok(Lease {
            id: lease,
            tree,
            environment: change.environment.clone(),
            request: change.request,
            holder: request.holder.clone(),
            token: request.token,
            fence,
            status: LeaseStatus::Held,
            ttl_ms: request.ttl_ms.unsigned_abs(),
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

/// True for a tree that is being made, or is made and in nobody's hands.
fn is_unwanted(status: PartStatus) -> bool {
    match status {
        PartStatus::Pending
        | PartStatus::Building
        | PartStatus::Checking
        | PartStatus::Ready
        | PartStatus::Suspect => true,
        PartStatus::Skipped
        | PartStatus::Leased
        | PartStatus::Quarantined
        | PartStatus::Undoing
        | PartStatus::Gone
        | PartStatus::Failed
        | PartStatus::Debt => false,
    }
}

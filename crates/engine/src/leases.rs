//! Leases: renewed and given back by whoever holds the live fence, taken away by an owner of a part or an administrator.

use std::collections::BTreeSet;
use std::sync::Arc;

use sixpack_model::ids::{LeaseId, TreeId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::plan::Happened;
use sixpack_model::token::Role;
use sixpack_model::tree::Tree;
use sixpack_storage::leases::{LeaseFilter, Renewed};
use sixpack_storage::page::{Listed, Page};
use sixpack_storage::trees::{Guard, LeaseEnd};

use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::trees::Changed;

impl Engine {
    /// Reads one lease and its dataset.
    pub async fn lease(&self, caller: &Caller, id: LeaseId) -> Result<(Lease, Arc<Tree>), Refusal> {
        let lease = self.visible_lease(caller, id).await?;
        let tree = self.leased_tree(lease.tree).await?.ok_or_else(|| Refusal::unknown("lease", id))?;
        Ok((lease, tree))
    }

    /// Lists leases, newest first.
    pub async fn leases(
        &self,
        caller: &Caller,
        mut filter: LeaseFilter,
        page: Page<LeaseId>,
    ) -> Result<Listed<(Lease, Arc<Tree>), LeaseId>, Refusal> {
        if !caller.narrow(&mut filter.environment) {
            return Ok(Listed::empty());
        }
        let found = self.store().leases(&filter, page).await?;
        let mut rows = Vec::with_capacity(found.rows.len());
        for lease in found.rows {
            if let Some(tree) = self.leased_tree(lease.tree).await? {
                rows.push((lease, tree));
            }
        }
        Ok(Listed { rows, next: found.next })
    }

    /// Moves the deadline of a lease; never to an earlier time.
    pub async fn renew_lease(
        &self,
        caller: &Caller,
        id: LeaseId,
        fence: u64,
        ttl_ms: Option<u64>,
    ) -> Result<(Lease, Arc<Tree>), Refusal> {
        self.held_by(caller, id).await?;
        match self.store().renew_lease(id, fence, ttl_ms).await? {
            Renewed::Until(_) => self.lease(caller, id).await,
            Renewed::Fenced(_) => Err(self.fenced("renew")),
            Renewed::Ended(lease) => Err(ended(lease)),
            Renewed::Unknown => Err(Refusal::unknown("lease", id)),
        }
    }

    /// Gives a dataset back. One that came from stock and is `unused`, or that is reusable, goes back there if it still
    /// holds; any other is undone. An outcome that is not said is that it was used. Releasing twice with the same fence
    /// answers the same, unless the second time says another outcome: the first one has had its consequences.
    pub async fn release_lease(
        &self,
        caller: &Caller,
        id: LeaseId,
        fence: u64,
        outcome: impl Into<Option<LeaseOutcome>>,
        note: Option<String>,
    ) -> Result<(Lease, Arc<Tree>), Refusal> {
        let said = outcome.into();
        let outcome = said.unwrap_or(LeaseOutcome::Used);
        let lease = self.held_by(caller, id).await?;
        let end = LeaseEnd {
            lease: id,
            fence: Some(fence),
            status: LeaseStatus::Released,
            outcome: Some(outcome),
            note,
            revoked_by: None,
        };
        let keep = match outcome {
            LeaseOutcome::Unused => true,
            LeaseOutcome::Used => self.is_reusable(lease.tree).await?,
            LeaseOutcome::Broken => false,
        };
        match self.change_tree(lease.tree, Guard::Lease(end), Happened::LeaseEnded { keep }).await? {
            Changed::Done(_) => self.lease(caller, id).await,
            Changed::Unknown => Err(Refusal::unknown("lease", id)),
            Changed::Refused(_) => {
                let (lease, tree) = self.lease(caller, id).await?;
                match lease.status {
                    _ if lease.fence != fence => Err(self.fenced("release")),
                    LeaseStatus::Released => {
                        match lease.outcome.filter(|first| said.is_some_and(|said| said != *first)) {
                            Some(first) => Err(Refusal::ReleasedAs(first)),
                            None => Ok((lease, tree)),
                        }
                    }
                    _ => Err(ended(lease)),
                }
            }
        }
    }

    /// Whether a dataset may be handed out again although somebody has used it.
    pub(crate) async fn is_reusable(&self, id: TreeId) -> Result<bool, Refusal> {
        let Some(tree) = self.tree(id).await? else { return Ok(false) };
        let shelf = self.shelf_of(&tree).await?.unwrap_or_default();
        let contract = shelf.contract(&tree.root().contract, tree.root().version);
        Ok(contract
            .is_some_and(|contract| contract.capability().is_some_and(|capability| capability.reusable)))
    }

    /// Takes a dataset away from its holder; it is undone. Revoking twice answers the same, with the first reason.
    ///
    /// Allowed to administrators, and to whoever supplies a domain that has made a part of the dataset.
    pub async fn revoke_lease(
        &self,
        caller: &Caller,
        id: LeaseId,
        reason: String,
    ) -> Result<(Lease, Arc<Tree>), Refusal> {
        let (lease, tree) = self.lease(caller, id).await?;
        has_a_say(caller, &tree)?;
        let end = LeaseEnd {
            lease: id,
            fence: None,
            status: LeaseStatus::Revoked,
            outcome: None,
            note: Some(reason),
            revoked_by: Some(caller.name.clone()),
        };
        match self.change_tree(lease.tree, Guard::Lease(end), Happened::LeaseEnded { keep: false }).await? {
            Changed::Done(_) => self.lease(caller, id).await,
            Changed::Unknown => Err(Refusal::unknown("lease", id)),
            Changed::Refused(_) => match self.lease(caller, id).await? {
                (lease, tree) if lease.status == LeaseStatus::Revoked => Ok((lease, tree)),
                (lease, _) => Err(ended(lease)),
            },
        }
    }

    /// Only who made the request may act on its leases; to others they do not exist.
    pub(crate) async fn held_by(&self, caller: &Caller, id: LeaseId) -> Result<Lease, Refusal> {
        let lease = self.visible_lease(caller, id).await?;
        if caller.owns(lease.token) { Ok(lease) } else { Err(Refusal::unknown("lease", id)) }
    }

    /// Refuses a call under another fence than the live one.
    pub(crate) fn fenced(&self, operation: &str) -> Refusal {
        self.inner.measures.fenced(operation);
        Refusal::LeaseFenced
    }

    async fn visible_lease(&self, caller: &Caller, id: LeaseId) -> Result<Lease, Refusal> {
        let lease = self.store().lease(id).await?;
        lease.filter(|lease| caller.sees(&lease.environment)).ok_or_else(|| Refusal::unknown("lease", id))
    }
}

/// A lease whose deadline has passed is as good as expired, also before the reaper has come by.
pub(crate) fn ended(lease: Lease) -> Refusal {
    match (lease.status, lease.revoked_by) {
        (LeaseStatus::Held, _) => Refusal::LeaseEnded(LeaseStatus::Expired),
        (LeaseStatus::Revoked, Some(by)) => {
            Refusal::LeaseRevoked { by, reason: lease.note.unwrap_or_default(), at: lease.ended_at }
        }
        (ended, _) => Refusal::LeaseEnded(ended),
    }
}

/// The domain that has made a part of a dataset has a say in it: the part is in its service.
pub(crate) fn has_a_say(caller: &Caller, tree: &Tree) -> Result<(), Refusal> {
    let domains: BTreeSet<&str> = tree.parts.iter().map(|part| part.contract.domain()).collect();
    if caller.role == Role::Admin || domains.iter().any(|domain| caller.supplies(domain)) {
        return Ok(());
    }
    Err(Refusal::NotOfDomain {
        own: caller.domain.clone().unwrap_or_default(),
        domains: domains.into_iter().map(str::to_owned).collect(),
    })
}

//! Diagnosis: the services of a leased dataset are asked about it, and what they say is held against what it was.

use std::sync::Arc;
use std::time::Duration;

use sixpack_model::diagnosis::{Diagnosis, diagnose};
use sixpack_model::ids::LeaseId;
use sixpack_model::lease::{Lease, LeaseStatus};
use sixpack_model::plan::World;
use sixpack_model::recheck::Why;
use sixpack_model::tree::Tree;
use tokio::time::Instant;

use crate::caller::Caller;
use crate::leases::ended;
use crate::rechecks::HAND_OVER_ALLOWED_MS;
use crate::refusal::Refusal;
use crate::shelf::Shelf;
use crate::trees::Changed;
use crate::{Engine, mint};

/// How long the end of the recheck is waited for: the time that services have, and a second for whoever ends it.
const WAIT: Duration = Duration::from_millis(HAND_OVER_ALLOWED_MS + 1_000);

/// Whoever waits looks again after this long even if nothing woke it.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What has become of a leased dataset, with everything that is shown of it.
#[derive(Debug, Clone)]
pub struct DiagnosisView {
    /// The lease.
    pub lease: Lease,
    /// The dataset as it is now.
    pub tree: Arc<Tree>,
    /// What was found.
    pub diagnosis: Diagnosis,
    /// The contracts, to explain the dataset with.
    pub shelf: Arc<Shelf>,
}

impl Engine {
    /// Asks every service about its part of a leased dataset, and says what has become of it since it was handed over.
    ///
    /// Answers within three seconds: whoever has not said anything by then is part of the answer. What is being extended
    /// is being changed on purpose, and is not compared with what it was.
    pub async fn diagnose_lease(&self, caller: &Caller, id: LeaseId) -> Result<DiagnosisView, Refusal> {
        let lease = self.live_lease(caller, id).await?;
        let asked_at = self.store().now().await?;
        let until = Instant::now() + WAIT;
        let watching = self.inner.requests.watch(lease.request);
        if let Changed::Unknown = self.recheck(lease.tree, Why::Diagnosis, true).await? {
            return Err(Refusal::unknown("lease", id));
        }
        let tree = loop {
            // Listening begins before looking: an answer in between is not missed.
            let news = watching.next();
            let tree = self.leased_tree(lease.tree).await?.ok_or_else(|| Refusal::unknown("lease", id))?;
            let is_asking = tree.recheck.is_some_and(|recheck| recheck.why == Why::Diagnosis);
            if !is_asking || Instant::now() >= until {
                break tree;
            }
            // Woken or not, it is read again.
            let _ = tokio::time::timeout_at(until.min(Instant::now() + LOOK_AGAIN), news).await;
        };
        if let Some(part) = tree.extension_under_way() {
            return Err(Refusal::Extending { step: tree.steps_to(part) });
        }
        // What was taken down meanwhile is not what was leased.
        let lease = self.live_lease(caller, id).await?;
        let shelf = self.shelf_of(&tree).await?.unwrap_or_default();
        let now = self.store().now().await?;
        let world = World { versions: &*shelf, now, chance: mint::chance() };
        let diagnosis = diagnose(&tree, asked_at, world);
        Ok(DiagnosisView { lease, tree, diagnosis, shelf })
    }

    /// A lease that the caller may act on, and that has not ended.
    async fn live_lease(&self, caller: &Caller, id: LeaseId) -> Result<Lease, Refusal> {
        let lease = self.held_by(caller, id).await?;
        let is_over = lease.expires_at <= self.store().now().await?;
        if lease.status != LeaseStatus::Held || is_over { Err(ended(lease)) } else { Ok(lease) }
    }
}

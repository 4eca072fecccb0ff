//! Sweeps: level-triggered loops that look for what nobody will report by itself.
//!
//! Each looks, compares and acts on what it finds now; running one twice, or on two servers at once, changes nothing more,
//! because every act is guarded by the very thing that was seen. Pages go by key, so that rows that cannot be mended now
//! never hide the others.

use std::time::Duration;

use sixpack_model::ids::{LeaseId, RequestId, TaskId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::plan::{Attempt, Happened};
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::Claim;
use sixpack_storage::StoreError;
use sixpack_storage::tasks::{Abandoned, AbandonedClaim};
use sixpack_storage::trees::Guard;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Engine;
use crate::refusal::Refusal;

/// How many rows one look takes.
const PAGE: u32 = 200;

/// Wake the sweeps whose work is known to be there.
#[derive(Default)]
pub(crate) struct Wakers {
    pub(crate) withdrawn: Notify,
    pub(crate) unwanted: Notify,
}

/// One loop: what it looks for, and how often it looks when nothing wakes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Sessions that were not heard of in time.
    SilentSessions,
    /// Claims that nobody will answer.
    AbandonedClaims,
    /// Tasks taken back before anybody claimed them.
    WithdrawnTasks,
    /// Tasks that no connected supplier can do.
    UnservedTasks,
    /// Requests whose time is over.
    OverdueRequests,
    /// Trees whose request ended without them.
    UnwantedTrees,
    /// Leases whose time is over.
    OverdueLeases,
    /// Idempotency keys that need not be kept any more.
    OldKeys,
    /// Catalogues changed by other servers.
    Catalogues,
}

impl Sweep {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SilentSessions,
        Self::AbandonedClaims,
        Self::WithdrawnTasks,
        Self::UnservedTasks,
        Self::OverdueRequests,
        Self::UnwantedTrees,
        Self::OverdueLeases,
        Self::OldKeys,
        Self::Catalogues,
    ];

    /// Short enough that what is promised in seconds holds: dead sessions' tasks are handed on and leases are reaped
    /// within a second or two of their time.
    fn every(self) -> Duration {
        match self {
            Self::OverdueRequests => Duration::from_millis(500),
            Self::UnservedTasks | Self::Catalogues => Duration::from_secs(2),
            Self::OldKeys => Duration::from_secs(600),
            _ => Duration::from_secs(1),
        }
    }
}

/// Runs the loops until it is stopped.
pub struct Sweeper {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Sweeper {
    /// Starts all loops.
    pub fn start(engine: &Engine) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        for sweep in Sweep::ALL {
            let (engine, stop) = (engine.clone(), stop.clone());
            tasks.spawn(async move {
                while !stop.is_cancelled() {
                    if let Err(error) = engine.sweep(sweep).await {
                        tracing::warn!(?sweep, %error, "a sweep could not finish; it is tried again");
                        if matches!(error, Refusal::Store(StoreError::Broken { .. })) {
                            engine.inner.broken.cancel();
                        }
                    }
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = engine.work_for(sweep) => {}
                        () = tokio::time::sleep(sweep.every()) => {}
                    }
                }
            });
        }
        let (engine, stopped) = (engine.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = engine.inner.parked.strayed() => engine.bring_back_strays().await,
                }
            }
        });
        tasks.close();
        Self { stop, tasks }
    }

    /// Stops all loops, each behind the row it is at.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Engine {
    /// Looks once, and acts on all that is found.
    pub async fn sweep(&self, sweep: Sweep) -> Result<(), Refusal> {
        match sweep {
            Sweep::SilentSessions => self.end_silent_sessions().await,
            Sweep::AbandonedClaims => self.take_abandoned_claims().await,
            Sweep::WithdrawnTasks => self.settle_withdrawn_tasks().await,
            Sweep::UnservedTasks => self.fail_unserved_tasks().await,
            Sweep::OverdueRequests => self.expire_requests().await,
            Sweep::UnwantedTrees => self.take_down_unwanted().await,
            Sweep::OverdueLeases => self.expire_leases().await,
            Sweep::OldKeys => self.forget_keys().await,
            Sweep::Catalogues => Ok(self.refresh_catalogues().await?),
        }
    }

    async fn work_for(&self, sweep: Sweep) {
        match sweep {
            Sweep::WithdrawnTasks => self.inner.sweeps.withdrawn.notified().await,
            Sweep::UnwantedTrees => self.inner.sweeps.unwanted.notified().await,
            _ => std::future::pending().await,
        }
    }

    async fn bring_back_strays(&self) {
        for (session, tasks) in self.inner.parked.take_strays() {
            self.give_back(session, &tasks).await;
        }
    }

    async fn end_silent_sessions(&self) -> Result<(), Refusal> {
        let ended = self.store().end_silent_sessions(PAGE).await?;
        for session in &ended {
            tracing::info!(session = %session.id, instance = session.instance, status = session.status.name(), "a supplier session is over");
            self.forget_session(session.id);
        }
        if ended.is_empty() { Ok(()) } else { self.take_abandoned_claims().await }
    }

    async fn take_abandoned_claims(&self) -> Result<(), Refusal> {
        let mut after: Option<TaskId> = None;
        loop {
            let page = self.store().abandoned_claims(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.claim.task);
            for abandoned in page {
                self.abandon(abandoned).await?;
            }
        }
    }

    async fn abandon(&self, abandoned: AbandonedClaim) -> Result<(), Refusal> {
        let AbandonedClaim { claim, why, .. } = abandoned;
        let attempt = attempt_of(claim);
        let happened = match why {
            Abandoned::SessionGone => Happened::Crashed(attempt),
            Abandoned::DeadlinePassed => Happened::TimedOut(attempt),
        };
        self.change_tree(claim.task.tree, Guard::Abandoned(claim), happened).await?;
        Ok(())
    }

    async fn settle_withdrawn_tasks(&self) -> Result<(), Refusal> {
        loop {
            let page = self.store().withdrawn_tasks(PAGE).await?;
            let mut settled = 0;
            for task in &page {
                let happened = Happened::Withdrawn { part: task.part, serial: task.serial };
                let changed = self.change_tree(task.tree, Guard::Withdrawn(*task), happened).await?;
                settled += u32::from(matches!(changed, crate::trees::Changed::Done(_)));
            }
            if settled == 0 || page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    async fn fail_unserved_tasks(&self) -> Result<(), Refusal> {
        let grace_ms = u64::try_from(self.inner.settings.offline_grace.as_millis()).unwrap_or(u64::MAX);
        let mut after: Option<TaskId> = None;
        loop {
            let page = self.store().unserved_tasks(grace_ms, after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (task, since) in page {
                self.fail_unserved(task, since).await?;
            }
        }
    }

    /// An undo waits for its supplier however long that takes: giving up would leave the effect behind.
    async fn fail_unserved(&self, task: TaskId, since: jiff::Timestamp) -> Result<(), Refusal> {
        let Some(tree) = self.tree(task.tree, 0).await? else { return Ok(()) };
        if tree.ending.is_some() {
            return Ok(());
        }
        let happened = Happened::Unserved { part: task.part, serial: task.serial, since };
        self.change_tree(task.tree, Guard::Unclaimed(task), happened).await?;
        Ok(())
    }

    async fn expire_requests(&self) -> Result<(), Refusal> {
        let mut after: Option<RequestId> = None;
        loop {
            let page = self.store().overdue_requests(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            for id in page {
                if let Some(request) = self.store().request(id).await? {
                    self.end_request(&request, RequestStatus::Expired, "request.expired").await?;
                }
            }
        }
    }

    async fn take_down_unwanted(&self) -> Result<(), Refusal> {
        let mut after: Option<TreeId> = None;
        loop {
            let page = self.store().unwanted_trees(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            for tree in page {
                self.change_tree(tree, Guard::None, Happened::Unwanted).await?;
            }
        }
    }

    async fn expire_leases(&self) -> Result<(), Refusal> {
        let mut after: Option<LeaseId> = None;
        loop {
            let page: Vec<Lease> = self.store().overdue_leases(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            let ended = page
                .iter()
                .map(|lease| self.change_tree(lease.tree, Guard::Overdue(lease.id), Happened::LeaseEnded));
            // Together, so that a storm of expiries shares its commits.
            futures::future::try_join_all(ended).await?;
        }
    }

    async fn forget_keys(&self) -> Result<(), Refusal> {
        while self.store().forget_keys(PAGE).await? == u64::from(PAGE) {}
        Ok(())
    }
}

/// The attempt that a claim is for.
pub(crate) fn attempt_of(claim: Claim) -> Attempt {
    Attempt { part: claim.task.part, serial: claim.task.serial, number: claim.attempt }
}

//! Sweeps: level-triggered loops that look for what nobody will report by itself.
//!
//! Each looks, compares and acts on what it finds now; running one twice, or on two servers at once, changes nothing more,
//! because every act is guarded by the very thing that was seen. Pages go by key, so that rows that cannot be mended now
//! never hide the others.

mod outcome;

use std::time::Duration;

use futures::future::join_all;
use sixpack_model::ids::{LeaseId, RequestId, TaskId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::plan::{Attempt, Happened};
use sixpack_model::request::RequestStatus;
use sixpack_model::session::SESSION_TTL_MS;
use sixpack_model::tree::{Claim, Operation, Tree};
use sixpack_storage::mutants::{self, Mutant};
use sixpack_storage::tasks::{Abandoned, AbandonedClaim};
use sixpack_storage::trees::Guard;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::outcome::Outcome;
use crate::Engine;
use crate::refusal::Refusal;
use crate::reminder::Reminder;

/// How many rows one look takes.
const PAGE: u32 = 200;

/// The same for due trees: each comes with all of its open tasks, up to ten thousand.
const DUE_PAGE: u32 = 50;

/// Wake the sweeps whose work is known to be there.
#[derive(Default)]
pub(crate) struct Wakers {
    pub(crate) withdrawn: Notify,
    pub(crate) unwanted: Notify,
    pub(crate) due: Reminder,
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
    /// Trees of which a step runs out of time, or a pause is over.
    DueTrees,
    /// Trees whose request ended without them.
    UnwantedTrees,
    /// Leases whose time is over.
    OverdueLeases,
    /// Idempotency keys that need not be kept any more.
    OldKeys,
    /// Catalogues changed by other servers, and versions on offer that nobody performs while another is performed.
    Catalogues,
    /// Uses of tokens that are noted and not kept yet.
    TokenUses,
    /// Stock that is too little, too much or too old.
    Stock,
    /// Datasets that are to be asked about before they go anywhere.
    Suspects,
    /// Units of requests whose dataset was found not to hold.
    VacantUnits,
    /// Datasets in stock that have not been asked about for a while.
    Patrol,
    /// Capabilities that are doubted, to be probed.
    Doubts,
    /// What has ended and was kept for long enough.
    Retention,
}

impl Sweep {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::SilentSessions,
        Self::AbandonedClaims,
        Self::WithdrawnTasks,
        Self::UnservedTasks,
        Self::OverdueRequests,
        Self::DueTrees,
        Self::UnwantedTrees,
        Self::OverdueLeases,
        Self::OldKeys,
        Self::Catalogues,
        Self::TokenUses,
        Self::Stock,
        Self::Suspects,
        Self::VacantUnits,
        Self::Patrol,
        Self::Doubts,
        Self::Retention,
    ];

    /// Short enough that what is promised in seconds holds: dead sessions' tasks are handed on and leases are reaped
    /// within a second or two of their time.
    fn every(self) -> Duration {
        match self {
            Self::OverdueRequests => Duration::from_millis(500),
            // Somebody may wait for what its own server could not have asked about; those that nobody can tell about are asked about again
            // after a pause of their own.
            Self::Suspects | Self::UnservedTasks | Self::Catalogues => Duration::from_secs(2),
            // What a killed server forgets; each token is written once a minute whatever the pace.
            Self::TokenUses => Duration::from_secs(10),
            Self::OldKeys => Duration::from_secs(600),
            // A pass goes on with each; between two passes nothing is asked but the time.
            Self::Retention => Duration::from_secs(3),
            _ => Duration::from_secs(1),
        }
    }
}

impl Sweep {
    /// After a start, suppliers are given the time to say that they are alive before any of them counts as dead.
    fn first_after(self) -> Duration {
        match self {
            Self::SilentSessions => Duration::from_millis(SESSION_TTL_MS),
            _ => Duration::ZERO,
        }
    }
}

async fn pause(span: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(span) => {}
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
                pause(sweep.first_after(), &stop).await;
                while !stop.is_cancelled() {
                    if !engine.sweep_and_tell(sweep).await {
                        // While the store could not be used, nobody could say that it is alive.
                        pause(sweep.first_after(), &stop).await;
                    }
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = engine.work_for(sweep) => {}
                        () = tokio::time::sleep(sweep.every()) => {}
                    }
                }
                if sweep == Sweep::TokenUses {
                    // Whatever was noted while the others stopped.
                    engine.sweep_and_tell(sweep).await;
                }
            });
        }
        let (strays, stopped) = (engine.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return strays.bring_back_all().await,
                    () = strays.inner.parked.strayed() => strays.bring_back_strays().await,
                }
            }
        });
        let (engine, stopped) = (engine.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                let hearing = engine.clone();
                // On its own, so that not even a panic ends the loop.
                let mut hearing = tokio::spawn(async move { hearing.hear().await });
                tokio::select! {
                    () = stopped.cancelled() => return hearing.abort(),
                    ended = &mut hearing => {
                        if let Err(panic) = ended {
                            tracing::error!(%panic, "what another server told was not taken in");
                        }
                    }
                }
            }
        });
        tasks.close();
        Self { stop, tasks }
    }

    /// Stops all loops, each behind the row it is at. Tasks that were claimed for calls that are gone are handed back first.
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
            Sweep::DueTrees => self.look_at_due_trees().await,
            Sweep::UnwantedTrees => self.take_down_unwanted().await,
            Sweep::OverdueLeases => self.expire_leases().await,
            Sweep::OldKeys => self.forget_keys().await,
            Sweep::Catalogues => self.tend_catalogues().await,
            Sweep::TokenUses => self.keep_token_uses().await,
            Sweep::Stock => self.tend_stock().await,
            Sweep::Suspects => self.recheck_suspects().await,
            Sweep::VacantUnits => self.fill_vacant_units().await,
            Sweep::Patrol => self.patrol().await,
            Sweep::Doubts => self.probe_doubted().await,
            Sweep::Retention => self.prune().await,
        }
    }

    /// One look on its own, so that not even a panic ends the loop; says whether it came to its end.
    async fn sweep_and_tell(&self, sweep: Sweep) -> bool {
        let engine = self.clone();
        match tokio::spawn(async move { engine.sweep(sweep).await }).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => {
                tracing::warn!(?sweep, %error, "a sweep could not finish; it is tried again");
                if matches!(&error, Refusal::Store(error) if error.ends_process()) {
                    self.inner.broken.cancel();
                }
            }
            Err(panic) => tracing::error!(?sweep, %panic, "a sweep panicked; it is tried again"),
        }
        false
    }

    /// Lets something happen to many trees at once, so that they share their commits. One that cannot be changed keeps
    /// none of the others from it; the first error is told when all are done.
    async fn change_all(&self, all: impl Iterator<Item = (TreeId, Guard, Happened)>) -> Result<(), Refusal> {
        let changes = all.map(|(tree, guard, happened)| self.change_tree(tree, guard, happened));
        join_all(changes).await.into_iter().try_for_each(|changed| changed.map(drop))
    }

    /// Comes back when there is something to look at before the time for the next look.
    pub async fn work_for(&self, sweep: Sweep) {
        match sweep {
            Sweep::WithdrawnTasks => self.inner.sweeps.withdrawn.notified().await,
            Sweep::UnwantedTrees => self.inner.sweeps.unwanted.notified().await,
            Sweep::DueTrees => self.inner.sweeps.due.comes().await,
            Sweep::Suspects => self.inner.suspects.wake.notified().await,
            Sweep::Stock => {
                self.inner.stock.wake.notified().await;
                // What comes together is looked at together.
                tokio::time::sleep(self.inner.stock.gather(self.store().servers())).await;
            }
            _ => std::future::pending().await,
        }
    }

    async fn bring_back_strays(&self) {
        for (session, tasks) in self.inner.parked.take_strays() {
            self.give_back(session, &tasks).await;
        }
    }

    /// The same for all that are on their way back, because nobody would be here to bring them later.
    async fn bring_back_all(&self) {
        self.bring_back_strays().await;
        self.inner.going_back.close();
        self.inner.going_back.wait().await;
    }

    async fn end_silent_sessions(&self) -> Result<(), Refusal> {
        let mut some_ended = false;
        loop {
            let ended = self.store().end_silent_sessions(PAGE).await?;
            for session in &ended {
                tracing::info!(session = %session.id, instance = session.instance, channel = session.channel, status = session.status.name(), "a supplier session is over");
                self.forget_session(session.id);
                self.release(session.id);
            }
            some_ended |= !ended.is_empty();
            // Thousands that fall silent together, behind a broken network, must not wait for each other.
            if ended.len() < PAGE as usize {
                break;
            }
        }
        if !some_ended {
            return Ok(());
        }
        self.follow_suppliers().await?;
        self.take_abandoned_claims().await
    }

    async fn tend_catalogues(&self) -> Result<(), Refusal> {
        self.refresh_catalogues().await?;
        self.follow_suppliers().await
    }

    async fn take_abandoned_claims(&self) -> Result<(), Refusal> {
        let mut after: Option<TaskId> = None;
        let mut outcome = Outcome::default();
        loop {
            let page = self.store().abandoned_claims(after, PAGE).await?;
            let Some(last) = page.last() else { return outcome.told() };
            after = Some(last.claim.task);
            outcome.keep(self.change_all(page.into_iter().map(given_up)).await)?;
        }
    }

    async fn settle_withdrawn_tasks(&self) -> Result<(), Refusal> {
        let mut after: Option<TaskId> = None;
        let mut outcome = Outcome::default();
        loop {
            let page = self.store().withdrawn_tasks(after, PAGE).await?;
            let Some(last) = page.last() else { return outcome.told() };
            after = Some(*last);
            let settled = page.into_iter().map(|task| {
                let happened = Happened::Withdrawn { part: task.part, serial: task.serial };
                (task.tree, Guard::Withdrawn(task), happened)
            });
            outcome.keep(self.change_all(settled).await)?;
        }
    }

    /// How long a task waits for a supplier that is not connected before that is told, or held against it.
    pub(crate) fn grace_ms(&self) -> u64 {
        u64::try_from(self.inner.settings.offline_grace.as_millis()).unwrap_or(u64::MAX)
    }

    async fn fail_unserved_tasks(&self) -> Result<(), Refusal> {
        let mut after: Option<TaskId> = None;
        let mut outcome = Outcome::default();
        loop {
            let page = self.store().unserved_tasks(self.grace_ms(), after, PAGE).await?;
            let Some((last, _)) = page.last() else { return outcome.told() };
            after = Some(*last);
            let mut unserved = Vec::new();
            for (task, since) in page {
                let tree = outcome.keep(self.tree(task.tree).await)?.flatten();
                if tree.is_some_and(|tree| may_be_given_up(&tree, task)) {
                    let happened = Happened::Unserved { part: task.part, serial: task.serial, since };
                    unserved.push((task.tree, Guard::Unclaimed(task), happened));
                }
            }
            outcome.keep(self.change_all(unserved.into_iter()).await)?;
        }
    }

    async fn expire_requests(&self) -> Result<(), Refusal> {
        let mut after: Option<RequestId> = None;
        let mut outcome = Outcome::default();
        loop {
            let page = self.store().overdue_requests(after, PAGE).await?;
            let Some(last) = page.last() else { return outcome.told() };
            after = Some(*last);
            for id in page {
                outcome.keep(self.expire_request(id).await)?;
            }
        }
    }

    async fn expire_request(&self, id: RequestId) -> Result<(), Refusal> {
        if let Some(request) = self.store().request(id).await? {
            self.end_request(&request, RequestStatus::Expired, "request.expired").await?;
        }
        Ok(())
    }

    async fn look_at_due_trees(&self) -> Result<(), Refusal> {
        let mut after: Option<TreeId> = None;
        let mut outcome = Outcome::default();
        loop {
            let page = self.store().due_trees(after, DUE_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            let mut due = Vec::with_capacity(page.len());
            for tree in page {
                if let Some(open) = outcome.keep(self.store().open_tasks(tree).await)? {
                    due.push((tree, Guard::None, Happened::Due { open }));
                }
            }
            outcome.keep(self.change_all(due.into_iter()).await)?;
        }
        if let Some(next) = self.store().next_due().await? {
            self.remind_of_due(self.store().now().await?, next);
        }
        outcome.told()
    }

    async fn take_down_unwanted(&self) -> Result<(), Refusal> {
        let mut after: Option<TreeId> = None;
        let mut outcome = Outcome::default();
        loop {
            let page = self.store().unwanted_trees(after, PAGE).await?;
            let Some(last) = page.last() else { return outcome.told() };
            after = Some(*last);
            let unwanted = page.into_iter().map(|tree| (tree, Guard::None, Happened::Unwanted));
            outcome.keep(self.change_all(unwanted).await)?;
        }
    }

    async fn expire_leases(&self) -> Result<(), Refusal> {
        let mut after: Option<LeaseId> = None;
        let mut outcome = Outcome::default();
        loop {
            let page: Vec<Lease> = self.store().overdue_leases(after, PAGE).await?;
            let Some(last) = page.last() else { return outcome.told() };
            after = Some(last.id);
            let now = self.store().now().await?;
            let mut ended = Vec::with_capacity(page.len());
            for lease in &page {
                let over = Duration::try_from(now.duration_since(lease.expires_at)).unwrap_or_default();
                self.inner.measures.reap_delay.note_span(over);
                if let Some(is_reusable) = outcome.keep(self.is_reusable(lease.tree).await)? {
                    let keep = is_reusable || mutants::on(Mutant::ExpiredIsKept);
                    ended.push((lease.tree, Guard::Overdue(lease.id), Happened::LeaseEnded { keep }));
                }
            }
            outcome.keep(self.change_all(ended.into_iter()).await)?;
        }
    }

    async fn forget_keys(&self) -> Result<(), Refusal> {
        while self.store().forget_keys(PAGE).await? == u64::from(PAGE) {}
        Ok(())
    }
}

/// An undo waits for its supplier however long that takes: giving up would leave the effect behind.
fn may_be_given_up(tree: &Tree, task: TaskId) -> bool {
    let live = tree.parts.get(task.part as usize).and_then(|part| part.task.as_ref());
    live.is_some_and(|live| live.serial == task.serial && live.operation != Operation::Undo)
}

/// What has become of a claim that nobody will answer.
fn given_up(abandoned: AbandonedClaim) -> (TreeId, Guard, Happened) {
    let AbandonedClaim { claim, why, .. } = abandoned;
    let happened = match why {
        Abandoned::SessionGone => Happened::Crashed(attempt_of(claim)),
        Abandoned::DeadlinePassed => Happened::TimedOut(attempt_of(claim)),
    };
    (claim.task.tree, Guard::Abandoned(claim), happened)
}

/// The attempt that a claim is for.
pub(crate) fn attempt_of(claim: Claim) -> Attempt {
    Attempt { part: claim.task.part, serial: claim.task.serial, number: claim.attempt }
}

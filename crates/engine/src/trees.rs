//! Trees: the one way in which something that happened becomes a change of a dataset.
//!
//! Read the tree (from memory when it is there), let the planner decide, write guarded by the version; when somebody else
//! was faster, read again. What the write makes ready is offered to waiting suppliers in the same commit.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use jiff::Timestamp;
use sixpack_model::find::Origin;
use sixpack_model::ids::{LeaseId, RequestId, TaskId, TreeId};
use sixpack_model::plan::{self, Change, FoundOut, Happened, World};
use sixpack_model::request::Priority;
use sixpack_model::tree::{PartStatus, Tree};
use sixpack_storage::StoreError;
use sixpack_storage::tasks::{Claimant, Claims};
use sixpack_storage::trees::{Clash, Guard, RequestAfter, TreeWrite, Written};
use tokio::time::Instant;

use crate::joining::Kept;
use crate::measures::lease_end;
use crate::parked::{Poller, Queue};
use crate::refusal::Refusal;
use crate::requests::Fulfilment;
use crate::successors::Successors;
use crate::{Engine, mint};

/// How often a decision may become stale before the caller is told to come back: only other servers can cause it.
const STALE_LIMIT: u32 = 20;

/// What changes make ready, and whom to offer it.
#[derive(Default)]
pub(crate) struct Offers {
    pub(crate) pollers: Vec<Poller>,
    pub(crate) tasks: Vec<Offer>,
    /// Who would claim which of the tasks.
    pub(crate) claimants: Vec<Claimant>,
}

/// A task that a change makes ready.
pub(crate) struct Offer {
    pub(crate) task: TaskId,
    queue: Queue,
    /// Whether it is due at once.
    due: bool,
}

impl Offer {
    pub(crate) fn due(task: TaskId, queue: Queue) -> Self {
        Self { task, queue, due: true }
    }
}

impl Offers {
    /// Nothing new; whatever there is.
    pub(crate) fn to(pollers: Vec<Poller>) -> Self {
        Self { pollers, tasks: Vec::new(), claimants: Vec::new() }
    }
}

/// A supplier that was offered tasks, and what it got.
pub(crate) type Offered = (Poller, Result<Claims, StoreError>);

/// What became of something that happened to a tree.
pub(crate) enum Changed {
    /// It is written; this is the tree now.
    Done(Arc<Tree>),
    /// What the guard asks for is not true; this is the tree as it is.
    Refused(Arc<Tree>),
    /// There is no such tree.
    Unknown,
}

/// How a turn at a tree has ended.
enum Turn {
    /// With the change, or without; and with what is to be looked for in stock.
    Over(Changed, Vec<u32>),
    /// Another tree of the same request has to fail first.
    NotBeside(Clash),
}

impl Engine {
    /// The tree as it is.
    pub(crate) async fn tree(&self, id: TreeId) -> Result<Option<Arc<Tree>>, StoreError> {
        match self.is_alone() {
            true => self.remembered(id, 0).await,
            // Others may have gone on with it.
            false => Ok(self.store().load_tree(id).await?.map(Arc::new)),
        }
    }

    /// The tree, at least as new as this version: for decisions that the store guards by what they have read.
    pub(crate) async fn remembered(&self, id: TreeId, version: u64) -> Result<Option<Arc<Tree>>, StoreError> {
        if let Some(tree) = self.inner.trees.known(id, version) {
            return Ok(Some(tree));
        }
        // Not kept: a writer may have gone on in the meantime, and only writers take turns.
        Ok(self.store().load_tree(id).await?.map(Arc::new))
    }

    /// The tree of a task that the store has handed out: as it was when the task was planned, or later.
    pub(crate) async fn tree_of_claim(
        &self,
        id: TreeId,
        version: u64,
    ) -> Result<Option<Arc<Tree>>, StoreError> {
        let coming = self.inner.trees.expected(id, version);
        match coming {
            Some(tree) => Ok(Some(tree)),
            None => self.remembered(id, version).await,
        }
    }

    /// The tree of a lease, as it was when the lease was granted or later: the store grants before memory knows.
    pub(crate) async fn leased_tree(&self, id: TreeId) -> Result<Option<Arc<Tree>>, StoreError> {
        match self.tree(id).await? {
            Some(tree) if tree.lease.is_none() && tree.ending.is_none() => {
                Ok(self.store().load_tree(id).await?.map(Arc::new))
            }
            known => Ok(known),
        }
    }

    /// Lets something happen to a tree, also when the caller stops waiting for it.
    pub(crate) async fn change_tree(
        &self,
        id: TreeId,
        guard: Guard,
        happened: Happened,
    ) -> Result<Changed, Refusal> {
        let engine = self.clone();
        let changing = tokio::spawn(async move { engine.change_tree_here(id, guard, happened).await });
        changing.await.map_err(|_| Refusal::Busy)?
    }

    /// Lets something happen to a tree, and looks in stock for what is sought then. Must not be dropped half-way: what the write
    /// made ready would be told to nobody.
    pub(crate) async fn change_tree_here(
        &self,
        id: TreeId,
        guard: Guard,
        happened: Happened,
    ) -> Result<Changed, Refusal> {
        self.change_for(id, guard, happened, &Successors::of_nobody()).await
    }

    /// The same; what becomes ready by it goes to whoever asks for `successors` first.
    pub(crate) async fn change_for(
        &self,
        id: TreeId,
        guard: Guard,
        happened: Happened,
        successors: &Successors,
    ) -> Result<Changed, Refusal> {
        let (changed, sought) = self.change_once(id, guard, happened, successors).await?;
        if !sought.is_empty() {
            self.seek_children(id, sought).await;
        }
        Ok(changed)
    }

    /// Lets something happen to a tree; returns which parts of it are to be looked for in stock as well.
    pub(crate) async fn change_once(
        &self,
        id: TreeId,
        guard: Guard,
        happened: Happened,
        successors: &Successors,
    ) -> Result<(Changed, Vec<u32>), Refusal> {
        for _ in 0..STALE_LIMIT {
            match self.change_in_turn(id, guard.clone(), happened.clone(), successors).await? {
                Turn::Over(changed, sought) => return Ok((changed, sought)),
                // It cannot be complete with that one. The turn is over before the other begins: two trees that wait for
                // each other's would wait for ever.
                Turn::NotBeside(other) => {
                    let held = Happened::EntityHeld(other.held);
                    self.change_in_turn(other.tree, Guard::None, held, &Successors::of_nobody()).await?;
                }
            }
        }
        Err(Refusal::Busy)
    }

    async fn change_in_turn(
        &self,
        id: TreeId,
        guard: Guard,
        happened: Happened,
        successors: &Successors,
    ) -> Result<Turn, Refusal> {
        let mut found_out = FoundOut::default();
        let _turn = self.inner.trees.turn(id).lock().await;
        for _ in 0..STALE_LIMIT {
            let unknown = Turn::Over(Changed::Unknown, Vec::new());
            let Some(tree) = self.remembered(id, 0).await? else { return Ok(unknown) };
            let Some(shelf) = self.shelf_of(&tree).await? else { return Ok(unknown) };
            let now = self.store().now().await?;
            let kept = Kept { shelf: &shelf, stock: &self.inner.stock, environment: &tree.environment };
            let world = World { versions: &kept, now, chance: mint::chance() };
            let change = plan::decide_knowing(&tree, happened.clone(), found_out.clone(), world);
            let (decided, sought) = (Arc::clone(&change.tree), change.sought());
            let write = TreeWrite { guard: guard.clone(), change, leases: Vec::new() };
            match self.write_tree(write, successors).await? {
                Written::Done(_) => return Ok(Turn::Over(Changed::Done(decided), sought)),
                Written::Refused => {
                    self.inner.trees.forget(&[id]);
                    let tree = self.tree(id).await?;
                    return Ok(Turn::Over(tree.map_or(Changed::Unknown, Changed::Refused), Vec::new()));
                }
                Written::Stale => self.inner.trees.forget(&[id]),
                // The same again, in the knowledge that it is somebody else's.
                Written::EntityHeld(clash) if clash.tree == id => found_out.held.push(clash.held),
                // The same again, in the knowledge that this word alone does not count.
                Written::Doubted(contract) => drop(found_out.doubted.insert(contract)),
                Written::EntityHeld(other) => return Ok(Turn::NotBeside(other)),
            }
        }
        Err(Refusal::Busy)
    }

    /// Writes a decision, offers what it makes ready, and wakes whoever waits for it.
    async fn write_tree(&self, mut write: TreeWrite, successors: &Successors) -> Result<Written, StoreError> {
        let tree = Arc::clone(&write.change.tree);
        let at = write.change.at;
        let ends = lease_end(&write.guard);
        let withdrawn = !write.change.withdrawn.is_empty();
        if matches!(write.change.outcome, Some(plan::Outcome::Ready(_))) {
            let units = self.units(tree.request).await?;
            write.leases = (0..units).map(|_| LeaseId(mint::id(at))).collect();
        }
        let offers = self.offers_beside([&write.change], successors);
        self.inner.trees.expect(&tree);
        let (written, offered) = match self.is_alone() {
            true => self.commit_with_offers(self.store().write_tree(write), offers).await,
            false => {
                let write = |claimants| self.store().write_tree_claiming(write, claimants);
                self.commit_claiming(write, offers, successors).await
            }
        };
        match &written {
            Ok(Written::Done(RequestAfter::GoesOn | RequestAfter::Quarantined)) => {
                self.inner.trees.keep(&tree);
            }
            Ok(Written::Done(RequestAfter::Vacant)) => {
                self.forget_members(tree.request).await;
                self.inner.trees.keep(&tree);
                self.inner.trees.forget_places(&[], &[tree.request]);
            }
            Ok(Written::Done(RequestAfter::Stocked)) => {
                self.inner.trees.keep(&tree);
                self.inner.trees.forget_places(&[], &[tree.request]);
            }
            Ok(Written::Done(RequestAfter::Exchanged { with, tree: other, fulfilled })) => {
                self.inner.trees.forget_places(&[tree.id, *other], &[tree.request, *with]);
                let leases = fulfilled.iter().flat_map(|(_, leases)| leases);
                self.inner.trees.forget(&leases.map(|lease| lease.tree).collect::<Vec<_>>());
            }
            Ok(Written::Done(RequestAfter::Fulfilled { leases, .. })) => match &leases[..] {
                [lease] => self.inner.trees.keep(&leased(&tree, lease.id)),
                // The store has gone on with the other trees as well.
                leases => {
                    let all: Vec<TreeId> = leases.iter().map(|lease| lease.tree).collect();
                    self.inner.trees.forget_places(&all, &[tree.request]);
                }
            },
            Ok(Written::Done(RequestAfter::Failed)) => self.forget_members(tree.request).await,
            _ => self.inner.trees.forget(&[tree.id]),
        }
        self.inner.trees.expect_no_more(tree.id);
        if let Ok(Written::Done(after)) = &written {
            self.inner.measures.written(&tree.environment, after, ends);
            self.note_refilled(&tree, at, after);
            self.tell_tree(tree.id, tree.version);
            self.tell_waiting(tree.request, after);
            if let Some(line) = tree.line.filter(|_| *after != RequestAfter::GoesOn) {
                self.inner.stock.tend(line);
            }
            if withdrawn {
                self.inner.sweeps.withdrawn.notify_one();
            }
            if let Some(due_at) = tree.due_at() {
                self.remind_of_due(at, due_at);
            }
            if tree.root().status == PartStatus::Suspect && tree.recheck.is_none() {
                self.stays_suspect(tree.id);
            }
            if *after != RequestAfter::GoesOn && tree.ending.is_some() {
                self.inner.sweeps.unwanted.notify_one();
            }
        }
        self.hand_out(offered).await;
        if let Ok(Written::Done(RequestAfter::Vacant)) = &written {
            self.fill_after(tree);
        }
        written
    }

    /// Has a tree looked at when its time comes.
    pub(crate) fn remind_of_due(&self, now: Timestamp, at: Timestamp) {
        let pause = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        if let Some(at) = Instant::now().checked_add(pause) {
            self.inner.sweeps.due.set(at);
        }
    }

    /// Counts what refills have come to.
    fn note_refilled(&self, tree: &Tree, at: Timestamp, after: &RequestAfter) {
        let root = tree.root();
        let Some(line) = tree.line.filter(|_| root.origin != Origin::Imported) else { return };
        match after {
            // What comes back was made earlier.
            RequestAfter::Stocked | RequestAfter::Exchanged { .. } if root.ready_at == Some(at) => {
                self.inner.stock.note_made(line);
            }
            // What was taken over is a request's, at the priority of that.
            RequestAfter::Failed if tree.priority == Priority::Stock => self.inner.stock.note_failed(line),
            _ => {}
        }
    }

    /// Wakes whoever waits for news of a request, or for any.
    fn tell_waiting(&self, request: RequestId, after: &RequestAfter) {
        match after {
            RequestAfter::GoesOn | RequestAfter::Vacant | RequestAfter::Quarantined => {}
            RequestAfter::Failed | RequestAfter::Stocked => self.inner.ended.wake(request),
            RequestAfter::Exchanged { with, fulfilled, .. } => {
                if let Some((revision, leases)) = fulfilled {
                    let told = || Fulfilment { revision: *revision, leases: leases.clone() };
                    self.inner.ended.tell(*with, told);
                }
                self.wake_request(*with);
            }
            RequestAfter::Fulfilled { revision, leases } => {
                self.inner.ended.tell(request, || Fulfilment { revision: *revision, leases: leases.clone() });
            }
        }
        self.wake_request(request);
        self.beat();
    }

    /// Suppliers that shall be offered what the changes make ready, and reminders for what becomes ready later.
    pub(crate) fn offers<'a>(&self, changes: impl IntoIterator<Item = &'a Change>) -> Offers {
        self.offers_to(changes, &Successors::of_nobody(), |_| None)
    }

    /// The same, for a write that claims what it makes ready, where the store does so: also those who are on their way back, but
    /// nothing that goes to whoever asks for `successors`.
    pub(crate) fn offers_beside<'a>(
        &self,
        changes: impl IntoIterator<Item = &'a Change>,
        successors: &Successors,
    ) -> Offers {
        let is_alone = self.is_alone();
        let returning = |queue: &Queue| match is_alone {
            true => None,
            false => self.inner.parked.take_returning(queue),
        };
        self.offers_to(changes, successors, returning)
    }

    fn offers_to<'a>(
        &self,
        changes: impl IntoIterator<Item = &'a Change>,
        successors: &Successors,
        returning: impl Fn(&Queue) -> Option<Poller>,
    ) -> Offers {
        let mut offers = Offers::default();
        for change in changes {
            for task in &change.ready {
                let queue = Queue::of(&change.tree, &task.contract, task.version);
                let due = task.ready_at <= change.at;
                let id = TaskId { tree: change.tree.id, part: task.part, serial: task.serial };
                if !due {
                    self.remind(queue.clone(), change.at, task.ready_at);
                } else if successors.take(id, &queue) {
                    offers.claimants.extend(successors.session().map(|session| (id, session)));
                    continue;
                } else {
                    let mut pollers = self.inner.parked.take(&queue, 1);
                    if pollers.is_empty() {
                        pollers.extend(returning(&queue));
                    }
                    offers.claimants.extend(pollers.first().map(|poller| (id, poller.session)));
                    offers.pollers.extend(pollers);
                }
                offers.tasks.push(Offer { task: id, queue, due });
            }
        }
        offers
    }

    /// Submits a write and, right behind it, a claim for each supplier.
    ///
    /// The first poll of a store's future submits it, and `join` polls in this order: both share one commit.
    pub(crate) async fn commit_with_offers<T>(
        &self,
        write: impl Future<Output = T>,
        offers: Offers,
    ) -> (T, Vec<Offered>) {
        let claims = offers.pollers.into_iter().map(|poller| async move {
            let claims = self.claim_in_store(poller.session, poller.max).await;
            (poller, claims)
        });
        let (written, offered) = join(write, join_all(claims)).await;
        self.leave_what_nobody_took(offers.tasks, offered.iter().map(|(_, claims)| claims));
        (written, offered)
    }

    /// Somebody who parked while a task was being written has looked too early to see it: what nobody took with the
    /// write is offered once more. A write that failed leaves nothing, which costs one look in vain.
    pub(crate) fn leave_what_nobody_took<'a>(
        &self,
        offers: Vec<Offer>,
        claims: impl Iterator<Item = &'a Result<Claims, StoreError>>,
    ) {
        let given = claims.filter_map(|claims| match claims {
            Ok(Claims::Given { tasks, .. }) => Some(tasks),
            Ok(Claims::NotLive) | Err(_) => None,
        });
        let taken: Vec<TaskId> = given.flatten().map(|claimed| claimed.claim.task).collect();
        let left: Vec<Offer> = offers.into_iter().filter(|offer| !taken.contains(&offer.task)).collect();
        if left.is_empty() {
            return;
        }
        self.inner.parked.leave(left.iter().map(|offer| &offer.queue));
        let mut due: Vec<Queue> =
            left.into_iter().filter(|offer| offer.due).map(|offer| offer.queue).collect();
        if !self.is_alone() {
            // Elsewhere there may be somebody for each of them.
            due.iter()
                .filter(|queue| !self.inner.parked.waits(queue))
                .for_each(|queue| self.tell_task(queue));
            due.retain(|queue| self.inner.parked.waits(queue));
        }
        due.dedup();
        due.into_iter().for_each(|queue| self.offer_soon(queue));
    }

    async fn forget_members(&self, request: RequestId) {
        match self.members(request).await {
            Ok(members) => self.inner.trees.forget(&members),
            // Whoever writes next on what is remembered finds it stale.
            Err(error) => tracing::warn!(%request, %error, "the trees of a request could not be read"),
        }
    }

    /// The trees of a request, in the order of its units.
    pub(crate) async fn members(&self, request: RequestId) -> Result<Arc<[TreeId]>, StoreError> {
        // Which they are may be changed by whoever hands something over.
        if let Some(members) = self.inner.trees.members.get(&request).filter(|_| self.is_alone()) {
            return Ok(members);
        }
        let members: Arc<[TreeId]> = self.store().trees_of(request).await?.into();
        self.inner.trees.members.insert(request, Arc::clone(&members));
        Ok(members)
    }

    /// How many leases a request may be given, as far as is known here: one for each of its units, or for each tree that it has now.
    async fn units(&self, request: RequestId) -> Result<usize, StoreError> {
        match self.inner.trees.units.get(&request) {
            Some(units) => Ok(units),
            None => Ok(self.members(request).await?.len()),
        }
    }
}

/// The tree as the store goes on with it when the request of this one tree is fulfilled by a write.
fn leased(tree: &Tree, lease: LeaseId) -> Arc<Tree> {
    let mut tree = tree.clone();
    tree.version += 1;
    tree.lease = Some(lease);
    tree.parts[0].status = PartStatus::Leased;
    Arc::new(tree)
}

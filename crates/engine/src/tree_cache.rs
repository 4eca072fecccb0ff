//! The memory of trees: as they are, as writes that are under way make them, and the turns of those who change them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sixpack_model::ids::{LeaseId, RequestId, TreeId};
use sixpack_model::request::Request;
use sixpack_model::tree::{PartStatus, Tree};
use sixpack_storage::requests::{How, Taken};
use tokio::sync::Mutex;

/// Writers of one tree take turns, so that they do not make each other's decisions stale; trees share the places.
const TURNS: usize = 256;

/// Requests whose trees are remembered; those of a forgotten one are read again.
const MEMBERS: u64 = 10_000;

/// Requests of which is remembered what could not be handed over to them; of a forgotten one it is asked about once more.
const UNCONFIRMED: u64 = 10_000;

/// Trees in memory, and the turns of those who change them.
pub(crate) struct TreeCache {
    trees: Cache<TreeId, Arc<Tree>>,
    /// The trees of a request; whoever finds one that belongs to another reads them again.
    pub(crate) members: Cache<RequestId, Arc<[TreeId]>>,
    /// How many units a request has, which never changes: as many leases as it may be given.
    pub(crate) units: Cache<RequestId, usize>,
    /// What a request was given from stock and nobody could tell about.
    pub(crate) unconfirmed: Cache<RequestId, Arc<BTreeSet<TreeId>>>,
    /// Trees as they will be once a write that is under way is committed: whoever is handed a task of such a version
    /// knows by that that it is. One entry for each write that waits.
    coming: SyncMutex<HashMap<TreeId, Arc<Tree>>>,
    turns: Vec<Mutex<()>>,
}

impl TreeCache {
    /// Remembers so many parts. The newest are wanted next, and what was wanted often is over: by how often it was asked for, a full
    /// memory would keep that, and take nothing new.
    pub(crate) fn new(parts: u64) -> Self {
        let trees = Cache::builder()
            .max_capacity(parts)
            .weigher(|_, tree: &Arc<Tree>| u32::try_from(tree.parts.len()).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let turns = (0..TURNS).map(|_| Mutex::new(())).collect();
        let members = Cache::builder().max_capacity(MEMBERS).eviction_policy(EvictionPolicy::lru()).build();
        let units = Cache::builder().max_capacity(MEMBERS).eviction_policy(EvictionPolicy::lru()).build();
        let unconfirmed =
            Cache::builder().max_capacity(UNCONFIRMED).eviction_policy(EvictionPolicy::lru()).build();
        Self { trees, members, units, unconfirmed, coming: SyncMutex::default(), turns }
    }

    /// Notes what a write makes of a tree, before it is written.
    pub(crate) fn expect(&self, tree: &Arc<Tree>) {
        self.coming().insert(tree.id, Arc::clone(tree));
    }

    /// The write of the tree has come to its end, whichever.
    pub(crate) fn expect_no_more(&self, tree: TreeId) {
        self.coming().remove(&tree);
    }

    /// The tree as a write that is under way makes it, if it makes this version.
    pub(crate) fn expected(&self, id: TreeId, version: u64) -> Option<Arc<Tree>> {
        self.coming().get(&id).filter(|tree| tree.version == version).cloned()
    }

    fn coming(&self) -> MutexGuard<'_, HashMap<TreeId, Arc<Tree>>> {
        // Single inserts and removals: a panic elsewhere leaves nothing half done.
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a tree up to date that a request was given.
    pub(crate) fn taken(&self, request: &Request, taken: &Taken, lease: Option<LeaseId>) {
        let before = self.trees.get(&taken.tree).filter(|tree| tree.version + 1 == taken.version);
        let (Some(before), How::Ready) = (before, taken.how) else {
            return self.trees.invalidate(&taken.tree);
        };
        let mut tree = Tree::clone(&before);
        tree.version = taken.version;
        tree.request = request.id;
        tree.unit = taken.unit;
        tree.priority = request.priority;
        if lease.is_some() {
            tree.lease = lease;
            tree.parts[0].status = PartStatus::Leased;
        }
        self.trees.insert(tree.id, Arc::new(tree));
    }

    /// The tree, if it is remembered in this version or a later one.
    pub(crate) fn known(&self, id: TreeId, version: u64) -> Option<Arc<Tree>> {
        self.trees.get(&id).filter(|tree| tree.version >= version)
    }

    /// The tree under a lease, if it is remembered as it was when that was granted, or later.
    pub(crate) fn under_lease(&self, id: TreeId, lease: LeaseId) -> Option<Arc<Tree>> {
        self.trees.get(&id).filter(|tree| tree.lease == Some(lease))
    }

    /// Forgets trees that the store has changed without being told what about them.
    pub(crate) fn forget(&self, trees: &[TreeId]) {
        trees.iter().for_each(|tree| self.trees.invalidate(tree));
    }

    /// Forgets a tree that is older than this.
    pub(crate) fn forget_before(&self, id: TreeId, version: u64) {
        if self.trees.get(&id).is_some_and(|tree| tree.version < version) {
            self.trees.invalidate(&id);
        }
    }

    /// Forgets all that can be read again.
    pub(crate) fn forget_all(&self) {
        self.trees.invalidate_all();
        self.members.invalidate_all();
    }

    /// Forgets where trees and requests belong that have changed their places.
    pub(crate) fn forget_places(&self, trees: &[TreeId], requests: &[RequestId]) {
        trees.iter().for_each(|tree| self.trees.invalidate(tree));
        requests.iter().for_each(|request| self.members.invalidate(request));
    }

    /// The place in which whoever changes the tree waits for the others.
    pub(crate) fn turn(&self, id: TreeId) -> &Mutex<()> {
        &self.turns[(id.0.as_u128() % TURNS as u128) as usize]
    }

    /// Remembers a tree as it is now; one that is over is forgotten.
    pub(crate) fn keep(&self, tree: &Arc<Tree>) {
        if tree.root().status.ended() {
            self.trees.invalidate(&tree.id);
        } else {
            self.trees.insert(tree.id, Arc::clone(tree));
        }
    }
}

//! Loading: trees that are wanted at the same time are read by one statement.
//!
//! ```text
//! wanted --> waiting --as many as are read at once, when those before are there--> one statement --> each its own
//! ```
//!
//! Nobody waits for others to come: whoever comes while as many reads are under way as may be is read for behind them, with all who
//! came meanwhile. A read begins behind every call that it serves, so that each gets its tree as it was then or later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sixpack_model::ids::TreeId;
use sixpack_model::tree::Tree;
use tokio::sync::oneshot;

use super::Inner;
use super::trees::load;
use crate::error::StoreError;

const LOADING: &str = "loading a tree";

/// Trees that one statement reads: few enough that a small one hardly waits for the large.
const AT_ONCE: usize = 16;

/// Reads that are under way at one time, so that one with a large tree keeps nobody away.
const READING: usize = 2;

type Caller = oneshot::Sender<Result<Option<Tree>, StoreError>>;

/// Trees that are to be read.
#[derive(Default)]
pub(super) struct Loading(Mutex<Wanted>);

#[derive(Default)]
struct Wanted {
    // Each belongs to waiting callers, and callers are limited before they come here.
    waiting: BTreeMap<TreeId, Vec<Caller>>,
    reading: usize,
}

impl Loading {
    /// Takes a call in; whether somebody has to begin to read.
    fn join(&self, tree: TreeId, caller: Caller) -> bool {
        let mut wanted = self.lock();
        wanted.waiting.entry(tree).or_default().push(caller);
        let begins = wanted.reading < READING;
        wanted.reading += usize::from(begins);
        begins
    }

    /// What is read next, the oldest first; `None`, and somebody less reads, when nothing is wanted any more.
    fn next(&self) -> Option<BTreeMap<TreeId, Vec<Caller>>> {
        let mut wanted = self.lock();
        if wanted.waiting.is_empty() {
            wanted.reading -= 1;
            return None;
        }
        let rest = wanted.waiting.keys().nth(AT_ONCE).copied();
        let rest = rest.map(|first| wanted.waiting.split_off(&first)).unwrap_or_default();
        Some(std::mem::replace(&mut wanted.waiting, rest))
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        // Whole entries: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A tree, as it is from this call on.
    pub(super) async fn load(self: &Arc<Self>, tree: TreeId) -> Result<Option<Tree>, StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.loading.join(tree, answer) {
            let inner = Arc::clone(self);
            tokio::spawn(async move {
                while let Some(callers) = inner.loading.next() {
                    // By itself, so that a panic is not that of whoever is read for next.
                    let _ = tokio::spawn(Arc::clone(&inner).load_for(callers)).await;
                }
            });
        }
        match answered.await {
            Ok(loaded) => loaded,
            // What is wrong with one of them is not told to the others.
            Err(_) => Ok(self.load_all(vec![tree]).await?.pop()),
        }
    }

    async fn load_for(self: Arc<Self>, callers: BTreeMap<TreeId, Vec<Caller>>) {
        match self.load_all(callers.keys().copied().collect()).await {
            Ok(trees) => {
                let mut trees: BTreeMap<TreeId, Tree> =
                    trees.into_iter().map(|tree| (tree.id, tree)).collect();
                for (id, callers) in callers {
                    let tree = trees.remove(&id);
                    // Whoever has gone away wants it no more.
                    callers.into_iter().for_each(|caller| drop(caller.send(Ok(tree.clone()))));
                }
            }
            // Each would wait for as long, and be told the same.
            Err(StoreError::Unavailable { cause, .. }) => {
                let told = cause.to_string();
                for caller in callers.into_values().flatten() {
                    let unavailable = StoreError::Unavailable { doing: LOADING, cause: told.clone().into() };
                    let _ = caller.send(Err(unavailable));
                }
            }
            Err(_) => {}
        }
    }

    async fn load_all(&self, trees: Vec<TreeId>) -> Result<Vec<Tree>, StoreError> {
        let input = (trees, Arc::clone(&self.pins));
        self.look(LOADING, &input, &|connection, (trees, pins)| Box::pin(load(connection, trees, pins))).await
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tree(number: u128) -> TreeId {
        TreeId(Uuid::from_u128(number))
    }

    fn joins(loading: &Loading, number: u128) -> bool {
        loading.join(tree(number), oneshot::channel().0)
    }

    #[test]
    fn as_many_reads_are_under_way_as_may_be_and_the_others_are_read_for_together() {
        let loading = Loading::default();
        assert!(joins(&loading, 100));
        assert_eq!(loading.next().unwrap().len(), 1);
        assert!(joins(&loading, 101), "a second one beside the first");
        assert_eq!(loading.next().unwrap().len(), 1);
        let begun = (1..=20).filter(|number| joins(&loading, *number)).count();
        assert_eq!(begun, 0, "two are under way");
        assert!(!joins(&loading, 1), "the same tree once more");
        let next = loading.next().unwrap();
        assert_eq!(next.keys().copied().collect::<Vec<_>>(), (1..=16).map(tree).collect::<Vec<_>>());
        assert_eq!(next[&tree(1)].len(), 2, "read once for both");
        assert_eq!(loading.next().unwrap().len(), 4);
        assert!(loading.next().is_none() && loading.next().is_none(), "nothing is wanted any more");
        assert!(joins(&loading, 1), "somebody has to begin again");
    }
}

//! Joining: children of a scenario that is being made are looked for in stock, and what is there becomes a part of it.
//!
//! Nothing is kept in memory about it. A part that is sought says so in its tree; whoever wrote that looks at once, and when
//! that process dies, the tree is due a moment later and the part is made.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use serde_json::Value;
use sixpack_model::contract::Contract;
use sixpack_model::ids::{DatasetId, LineId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::plan::{Change, Happened, Versions, may_join, pins_of};
use sixpack_model::tree::Tree;
use sixpack_storage::StoreError;
use sixpack_storage::stock::StockWish;
use sixpack_storage::trees::Guard;

use crate::Engine;
use crate::refusal::Refusal;
use crate::shelf::Shelf;
use crate::stock::StockKnown;
use crate::successors::Successors;
use crate::trees::Changed;

/// How many datasets are tried for one part: others take from the same line, and whoever was slower three times in a row
/// makes his own sooner than he gets one.
const TRIES: usize = 3;

/// The contracts together with what is kept in stock of them.
pub(crate) struct Kept<'a> {
    pub(crate) shelf: &'a Shelf,
    pub(crate) stock: &'a StockKnown,
    pub(crate) environment: &'a str,
}

impl Versions for Kept<'_> {
    fn version(&self, name: &ContractName, version: u32) -> Option<Arc<Contract>> {
        self.shelf.version(name, version)
    }

    fn current(&self, name: &ContractName) -> Option<Arc<Contract>> {
        self.shelf.current(name)
    }

    fn is_stocked(&self, name: &ContractName, input: &Value) -> bool {
        self.stock.keeps(self.environment, name, input)
    }
}

/// What changes look for in stock, by tree.
pub(crate) fn sought_by<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<(TreeId, Vec<u32>)> {
    let sought = changes.into_iter().map(|change| (change.tree.id, change.sought()));
    sought.filter(|(_, parts)| !parts.is_empty()).collect()
}

impl Engine {
    /// The same for several trees at once, so that they share their commits.
    pub(crate) async fn seek_all(&self, sought: Vec<(TreeId, Vec<u32>)>) {
        join_all(sought.into_iter().map(|(tree, parts)| self.seek_children(tree, parts))).await;
    }

    /// Looks for parts of a tree in stock, one after the other, and for whatever can begin with what is found.
    ///
    /// Boxed, because what is found is written like any other change.
    pub(crate) fn seek_children(&self, tree: TreeId, parts: Vec<u32>) -> BoxFuture<'static, ()> {
        let engine = self.clone();
        Box::pin(async move {
            let mut parts = VecDeque::from(parts);
            while let Some(part) = parts.pop_front() {
                match engine.seek(tree, part).await {
                    Ok(more) => parts.extend(more),
                    Err(error) => {
                        tracing::warn!(dataset = %tree.part(part), %error, "a child could not be looked for in stock; it is made soon");
                    }
                }
            }
        })
    }

    /// Looks for one part in stock; returns what else is looked for then.
    async fn seek(&self, id: TreeId, part: u32) -> Result<Vec<u32>, Refusal> {
        let mut tried = BTreeSet::new();
        for _ in 0..TRIES {
            let Some(tree) = self.tree(id).await?.filter(|tree| is_sought(tree, part)) else {
                return Ok(Vec::new());
            };
            let Some(wish) = self.wish_for_part(&tree, part).await? else { break };
            let Some(found) = self.store().first_in_stock(&wish, &tried).await? else { break };
            tried.insert(found);
            // As it is stored: what is remembered may be behind.
            let stocked = self.store().load_tree(found).await?.map(Arc::new);
            let Some(stocked) = stocked.filter(|stocked| may_join(&tree, part, stocked)) else { continue };
            let happened = Happened::Sought { part, found: Some(Arc::clone(&stocked)) };
            let (changed, sought) =
                self.change_once(id, Guard::None, happened, &Successors::of_nobody()).await?;
            if let Changed::Done(tree) = &changed
                && tree.parts[part as usize].from_stock() == Some(found)
            {
                self.has_joined(&stocked);
                return Ok(sought);
            }
        }
        if let Some(tree) = self.tree(id).await?
            && let Some(line) = self.line_of_part(&tree, part)
        {
            self.inner.stock.note_miss(line);
        }
        let happened = Happened::Sought { part, found: None };
        let (_, sought) = self.change_once(id, Guard::None, happened, &Successors::of_nobody()).await?;
        Ok(sought)
    }

    /// Notes that a dataset is in stock no more, because it is a part of another one.
    fn has_joined(&self, stocked: &Tree) {
        self.inner.trees.forget(&[stocked.id]);
        if let Some(line) = stocked.line {
            self.inner.stock.note_hit(line);
            self.inner.stock.tend(line);
        }
    }

    /// What the part would take: what was made from the very same input, with the versions that the tree has.
    async fn wish_for_part(&self, tree: &Tree, part: u32) -> Result<Option<Arc<StockWish>>, StoreError> {
        let Some(shelf) = self.shelf_of(tree).await? else { return Ok(None) };
        let node = &tree.parts[part as usize];
        let Some(contract) = shelf.contract(&node.contract, node.version) else { return Ok(None) };
        let pins = Arc::new(pins_of(&contract, &*shelf, &tree.pins));
        let now = self.store().now().await?;
        Ok(self.inner.stock.wish_of_same(&tree.environment, (&contract, &node.input), pins, now))
    }

    fn line_of_part(&self, tree: &Tree, part: u32) -> Option<LineId> {
        let node = tree.parts.get(part as usize)?;
        self.inner.stock.line_of(&tree.environment, &node.contract, &node.input)
    }

    /// Has what a late answer tells of kept with the dataset that it belongs to by now.
    pub(crate) async fn keep_orphan(
        &self,
        mut dataset: DatasetId,
        output: Option<Value>,
    ) -> Result<(), Refusal> {
        loop {
            let orphaned = Happened::Orphaned { part: dataset.part, output: output.clone() };
            match self.change_tree_here(dataset.tree, Guard::None, orphaned).await? {
                Changed::Done(tree) | Changed::Refused(tree) => match tree.moved(dataset.part) {
                    Some(moved) => dataset = moved,
                    None => return Ok(()),
                },
                Changed::Unknown => return Ok(()),
            }
        }
    }
}

fn is_sought(tree: &Tree, part: u32) -> bool {
    tree.parts.get(part as usize).is_some_and(sixpack_model::tree::Part::is_sought)
}

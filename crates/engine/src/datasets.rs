//! Datasets: one with its parts and what happened to it, and lists of them.

use std::sync::Arc;

use sixpack_model::event::Event;
use sixpack_model::ids::DatasetId;
use sixpack_model::lease::Lease;
use sixpack_model::tree::Tree;
use sixpack_storage::datasets::{DatasetFilter, DatasetRow};
use sixpack_storage::events::EventFilter;
use sixpack_storage::page::Page;

use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// How much of what happened to a dataset is shown.
const TIMELINE: u32 = 1_000;

/// A dataset with everything that is shown of it.
#[derive(Debug, Clone)]
pub struct DatasetView {
    /// Its whole tree.
    pub tree: Arc<Tree>,
    /// The part of it that was asked for.
    pub part: u32,
    /// The live lease on the tree.
    pub lease: Option<Lease>,
    /// What happened to the tree, oldest first.
    pub timeline: Vec<Event>,
    /// The contracts, to explain the dataset with.
    pub shelf: Arc<Shelf>,
}

impl Engine {
    /// Reads a dataset with its tree and timeline.
    pub async fn dataset(&self, caller: &Caller, id: DatasetId) -> Result<DatasetView, Refusal> {
        let mut view = self.dataset_now(caller, id).await?;
        let filter = EventFilter { tree: Some(id.tree), ..EventFilter::default() };
        view.timeline = self.store().events(&filter, 0, TIMELINE).await?;
        Ok(view)
    }

    /// Lists datasets, newest first.
    pub async fn datasets(
        &self,
        caller: &Caller,
        mut filter: DatasetFilter,
        page: Page<DatasetId>,
    ) -> Result<Vec<DatasetView>, Refusal> {
        if !caller.narrow(&mut filter.environment) {
            return Ok(Vec::new());
        }
        let rows = self.store().datasets(&filter, page).await?;
        self.views(caller, rows).await
    }

    /// Lists effects that could not be undone, oldest first.
    pub async fn debts(
        &self,
        caller: &Caller,
        environment: Option<&str>,
        mut page: Page<DatasetId>,
    ) -> Result<Vec<DatasetView>, Refusal> {
        let mut environment = environment.map(str::to_owned);
        if !caller.narrow(&mut environment) {
            return Ok(Vec::new());
        }
        let environment = environment.as_deref();
        let limit = page.limit as usize;
        let mut debts = Vec::new();
        while debts.len() < limit {
            let rows = self.store().debts(environment, page.clone()).await?;
            let Some(last) = rows.last() else { break };
            page.after = Some(last.id);
            // A root stands as `debt` because a part of it does; what is owed is listed once, where it is owed.
            let views = self.views(caller, rows).await?.into_iter();
            debts.extend(views.filter(|view| view.tree.parts[view.part as usize].owes()));
        }
        debts.truncate(limit);
        Ok(debts)
    }

    async fn views(&self, caller: &Caller, rows: Vec<DatasetRow>) -> Result<Vec<DatasetView>, Refusal> {
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            match self.dataset_now(caller, row.id).await {
                Ok(view) => views.push(view),
                // Gone between the two reads.
                Err(Refusal::Unknown { .. }) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(views)
    }

    async fn dataset_now(&self, caller: &Caller, id: DatasetId) -> Result<DatasetView, Refusal> {
        let tree = self.tree(id.tree, 0).await?;
        let known =
            |tree: &Arc<Tree>| caller.sees(&tree.environment) && (id.part as usize) < tree.parts.len();
        let tree = tree.filter(known).ok_or_else(|| Refusal::unknown("dataset", id))?;
        let lease = match tree.lease {
            Some(lease) => self.store().lease(lease).await?,
            None => None,
        };
        let shelf = self.shelf_of(&tree).await?.unwrap_or_default();
        Ok(DatasetView { tree, part: id.part, lease, timeline: Vec::new(), shelf })
    }
}

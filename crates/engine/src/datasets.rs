//! Datasets: one with its parts and what happened to it, and lists of them.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use sixpack_model::event::Event;
use sixpack_model::ids::DatasetId;
use sixpack_model::lease::Lease;
use sixpack_model::tree::{Operation, Task, Tree};
use sixpack_storage::datasets::DatasetFilter;
use sixpack_storage::events::EventFilter;
use sixpack_storage::page::{Listed, Page};

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
    /// Which parts wait for a supplier that is not connected; empty in lists of datasets.
    pub waits: Vec<Wait>,
    /// The contracts, to explain the dataset with.
    pub shelf: Arc<Shelf>,
}

/// A part that waits for a supplier of its capability: nobody is connected who could do its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The part.
    pub part: u32,
    /// Since when its task is due and nobody is there.
    pub since: Timestamp,
}

/// What somebody has to look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebtStatus {
    /// Its undo is exhausted: it stays until a person resolves it.
    Debt,
    /// Its undo has been waiting longer than the grace for a supplier that is not connected.
    Waiting,
}

impl DebtStatus {
    /// Every status with its name on the wire.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Debt, "debt"), (Self::Waiting, "waiting")];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).expect("every status is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }
}

impl Engine {
    /// Reads a dataset with its tree and timeline.
    pub async fn dataset(&self, caller: &Caller, id: DatasetId) -> Result<DatasetView, Refusal> {
        let mut view = self.dataset_now(caller, id).await?;
        let filter = EventFilter { tree: Some(id.tree), ..EventFilter::default() };
        view.timeline = self.store().events(&filter, 0, TIMELINE).await?;
        view.waits = self.waits_of(&view.tree).await?;
        Ok(view)
    }

    /// Lists datasets, newest first. One that has gone since it was found is left out.
    pub async fn datasets(
        &self,
        caller: &Caller,
        mut filter: DatasetFilter,
        page: Page<DatasetId>,
    ) -> Result<Listed<DatasetView, DatasetId>, Refusal> {
        if !caller.narrow(&mut filter.environment) {
            return Ok(Listed::empty());
        }
        let found = self.store().datasets(&filter, page).await?;
        let rows = self.views(caller, found.rows.iter().map(|row| row.id)).await?;
        Ok(Listed { rows, next: found.next })
    }

    /// Lists effects that could not be undone, and those whose undo has been waiting for its supplier longer than the
    /// grace; oldest first. Only those of one status, if it is named.
    pub async fn debts(
        &self,
        caller: &Caller,
        environment: Option<&str>,
        status: Option<DebtStatus>,
        page: Page<DatasetId>,
    ) -> Result<Vec<DatasetView>, Refusal> {
        let mut environment = environment.map(str::to_owned);
        if !caller.narrow(&mut environment) {
            return Ok(Vec::new());
        }
        let (environment, limit) = (environment.as_deref(), page.limit as usize);
        let wanted = |one: DebtStatus| status.is_none_or(|status| status == one);
        let mut debts = Vec::new();
        if wanted(DebtStatus::Debt) {
            debts = self.owed(caller, environment, page.clone()).await?;
        }
        if wanted(DebtStatus::Waiting) {
            debts.extend(self.waiting(caller, environment, page).await?);
        }
        debts.sort_by_key(|view| (view.tree.id, view.part));
        // Read one after the other: what has become a debt in between stands there once.
        debts.dedup_by_key(|view| (view.tree.id, view.part));
        debts.truncate(limit);
        Ok(debts)
    }

    async fn owed(
        &self,
        caller: &Caller,
        environment: Option<&str>,
        mut page: Page<DatasetId>,
    ) -> Result<Vec<DatasetView>, Refusal> {
        let mut owed = Vec::new();
        while owed.len() < page.limit as usize {
            let rows = self.store().debts(environment, page.clone()).await?;
            let Some(last) = rows.last() else { break };
            page.after = Some(last.id);
            // A root stands as `debt` because a part of it does; what is owed is listed once, where it is owed.
            let views = self.views(caller, rows.iter().map(|row| row.id)).await?.into_iter();
            owed.extend(views.filter(|view| view.tree.parts[view.part as usize].owes()));
        }
        Ok(owed)
    }

    async fn waiting(
        &self,
        caller: &Caller,
        environment: Option<&str>,
        mut page: Page<DatasetId>,
    ) -> Result<Vec<DatasetView>, Refusal> {
        let mut waiting = Vec::new();
        while waiting.len() < page.limit as usize {
            let rows = self.store().waiting_undos(environment, self.grace_ms(), page.clone()).await?;
            let Some((last, _)) = rows.last() else { break };
            page.after = Some(*last);
            let since: HashMap<DatasetId, Timestamp> = rows.iter().copied().collect();
            for mut view in self.views(caller, rows.iter().map(|(id, _)| *id)).await? {
                let (part, since) = (view.part, since.get(&view.tree.dataset(view.part)).copied());
                // Claimed, or over, since the store was asked.
                let goes_on = |task: &Task| task.operation == Operation::Undo && !task.cancelled;
                if let Some(since) =
                    since.filter(|_| view.tree.parts[part as usize].task.as_ref().is_some_and(goes_on))
                {
                    view.waits.push(Wait { part, since });
                    waiting.push(view);
                }
            }
        }
        Ok(waiting)
    }

    /// How many undos have been waiting for their supplier longer than the grace, by environment.
    pub(crate) async fn count_waiting_undos(&self) -> Result<HashMap<String, u64>, Refusal> {
        Ok(self.store().count_waiting_undos(self.grace_ms()).await?.into_iter().collect())
    }

    /// Which parts of a tree wait for a supplier that is not connected.
    async fn waits_of(&self, tree: &Tree) -> Result<Vec<Wait>, Refusal> {
        if tree.parts.iter().all(|part| part.task.is_none()) {
            return Ok(Vec::new());
        }
        let now = self.store().now().await?;
        let parts = self.store().unserved_parts(tree.id).await?.into_iter();
        let waits = parts.filter_map(|(part, served_until)| {
            let task = tree.parts.get(part as usize)?.task.as_ref()?;
            let is_due = !task.cancelled && task.ready_at <= now;
            is_due.then(|| Wait {
                part,
                since: served_until.map_or(task.ready_at, |until| until.max(task.ready_at)),
            })
        });
        Ok(waits.collect())
    }

    async fn views(
        &self,
        caller: &Caller,
        ids: impl Iterator<Item = DatasetId>,
    ) -> Result<Vec<DatasetView>, Refusal> {
        let mut views = Vec::new();
        for id in ids {
            match self.dataset_now(caller, id).await {
                Ok(view) => views.push(view),
                // Gone between the two reads.
                Err(Refusal::Unknown { .. }) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(views)
    }

    async fn dataset_now(&self, caller: &Caller, id: DatasetId) -> Result<DatasetView, Refusal> {
        let tree = self.tree(id.tree).await?;
        let known =
            |tree: &Arc<Tree>| caller.sees(&tree.environment) && (id.part as usize) < tree.parts.len();
        let tree = tree.filter(known).ok_or_else(|| Refusal::unknown("dataset", id))?;
        let lease = match tree.lease {
            Some(lease) => self.store().lease(lease).await?,
            None => None,
        };
        let shelf = self.shelf_of(&tree).await?.unwrap_or_default();
        Ok(DatasetView { tree, part: id.part, lease, timeline: Vec::new(), waits: Vec::new(), shelf })
    }
}

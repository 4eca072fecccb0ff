//! Quarantine: datasets that were set aside because they do not hold any more, until somebody decides about them.

use sixpack_model::ids::DatasetId;
use sixpack_model::plan::{Happened, Resolution};
use sixpack_model::tree::PartStatus;
use sixpack_storage::datasets::DatasetFilter;
use sixpack_storage::page::{Listed, Page};
use sixpack_storage::trees::Guard;

use crate::Engine;
use crate::caller::Caller;
use crate::datasets::DatasetView;
use crate::leases::has_a_say;
use crate::refusal::Refusal;
use crate::trees::Changed;

impl Engine {
    /// Lists datasets in quarantine, newest first.
    pub async fn quarantine(
        &self,
        caller: &Caller,
        environment: Option<String>,
        page: Page<DatasetId>,
    ) -> Result<Listed<DatasetView, DatasetId>, Refusal> {
        let status = Some(PartStatus::Quarantined);
        let filter = DatasetFilter { environment, status, ..DatasetFilter::default() };
        let mut found = self.datasets(caller, filter, page).await?;
        // Others were decided about between the two reads.
        found.rows.retain(|view| view.tree.root().status == PartStatus::Quarantined);
        Ok(found)
    }

    /// Decides what becomes of a dataset in quarantine; answers it as it stands then.
    ///
    /// Allowed to administrators, and to whoever supplies a domain that has made a part of the dataset.
    pub async fn resolve_dataset(
        &self,
        caller: &Caller,
        id: DatasetId,
        resolution: Resolution,
        reason: String,
    ) -> Result<DatasetView, Refusal> {
        let view = self.dataset(caller, id).await?;
        has_a_say(caller, &view.tree)?;
        let status = view.tree.parts[id.part as usize].status;
        if id.part > 0 || status != PartStatus::Quarantined {
            return Err(Refusal::NotInQuarantine { dataset: id, status: status.name() });
        }
        let offline = self.offline_parts(&view.tree).await?;
        let happened = Happened::Resolved { resolution, by: caller.name.clone(), reason, offline };
        match self.change_tree(id.tree, Guard::Quarantined, happened).await? {
            Changed::Done(_) => self.dataset(caller, id).await,
            // Somebody else was faster.
            Changed::Refused(tree) => {
                Err(Refusal::NotInQuarantine { dataset: id, status: tree.root().status.name() })
            }
            Changed::Unknown => Err(Refusal::unknown("dataset", id)),
        }
    }
}

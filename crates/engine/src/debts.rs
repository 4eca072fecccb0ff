//! Debts: effects that could not be undone, until somebody has looked after them.

use sixpack_model::ids::DatasetId;
use sixpack_model::plan::Happened;
use sixpack_storage::trees::Guard;

use crate::Engine;
use crate::caller::Caller;
use crate::datasets::DatasetView;
use crate::leases::has_a_say;
use crate::refusal::Refusal;
use crate::trees::Changed;

impl Engine {
    /// Notes that somebody has looked after an effect that could not be undone, and answers its part as it stands then. What was
    /// resolved before stays as it was resolved then.
    ///
    /// Allowed to administrators, and to whoever supplies a domain that has made a part of the dataset.
    pub async fn resolve_debt(
        &self,
        caller: &Caller,
        id: DatasetId,
        reason: String,
    ) -> Result<DatasetView, Refusal> {
        let view = self.dataset(caller, id).await?;
        has_a_say(caller, &view.tree)?;
        let part = &view.tree.parts[id.part as usize];
        if part.resolved.is_some() {
            return Ok(view);
        }
        if !part.owes() {
            return Err(Refusal::NotOwed { dataset: id, status: part.status.name() });
        }
        let happened = Happened::DebtResolved { part: id.part, by: caller.name.clone(), reason };
        match self.change_tree(id.tree, Guard::None, happened).await? {
            // Also when somebody else was faster.
            Changed::Done(_) | Changed::Refused(_) => self.dataset(caller, id).await,
            Changed::Unknown => Err(Refusal::unknown("dataset", id)),
        }
    }
}

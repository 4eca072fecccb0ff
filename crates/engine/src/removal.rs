//! Removal: a contract is taken out of the catalogue when nothing depends on it any more.

use serde_json::json;
use sixpack_model::contract::ContractKind;
use sixpack_model::event::Event;
use sixpack_model::name::ContractName;
use sixpack_storage::contracts::{Publication, Published};

use crate::Engine;
use crate::apply::STALE_LIMIT;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

impl Engine {
    /// Takes a scenario out of the catalogue, unless others use it. Deleting it twice changes nothing more.
    pub async fn delete_scenario(
        &self,
        caller: &Caller,
        environment: &str,
        name: &ContractName,
    ) -> Result<(), Refusal> {
        for _ in 0..STALE_LIMIT {
            let shelf = self.visible_shelf(caller, environment).await?;
            if !caller.supplies(name.domain()) {
                return Err(Refusal::unknown("scenario", name));
            }
            match shelf.entry(name) {
                Some(entry) if entry.contract.kind() == ContractKind::Scenario => {}
                None if shelf.next_version(name) > 1 => return Ok(()),
                _ => return Err(Refusal::unknown("scenario", name)),
            }
            if self.withdraw(environment, &shelf, name, users(&shelf, name)).await? {
                return Ok(());
            }
        }
        Err(Refusal::Busy)
    }

    /// Takes a contract out of the catalogue, unless others use it; a capability also only when nobody performs it and
    /// nothing of it is left. Removing it twice changes nothing more. A capability that is published again comes back,
    /// with its next version.
    pub async fn remove_contract(
        &self,
        caller: &Caller,
        environment: &str,
        name: &ContractName,
    ) -> Result<(), Refusal> {
        for _ in 0..STALE_LIMIT {
            let shelf = self.visible_shelf(caller, environment).await?;
            if !caller.supplies(name.domain()) {
                return Err(Refusal::unknown("contract", name));
            }
            let kind = match shelf.entry(name) {
                Some(entry) => entry.contract.kind(),
                None if shelf.next_version(name) > 1 => return Ok(()),
                None => return Err(Refusal::unknown("contract", name)),
            };
            let mut by = users(&shelf, name);
            if kind == ContractKind::Capability {
                by.extend(self.remains(environment, name).await?);
            }
            if self.withdraw(environment, &shelf, name, by).await? {
                return Ok(());
            }
        }
        Err(Refusal::Busy)
    }

    /// What keeps a capability that no contract and no rule names.
    async fn remains(&self, environment: &str, name: &ContractName) -> Result<Vec<String>, Refusal> {
        let sessions = self.supply(environment).await?.sessions(name);
        let left = self.store().left_of(environment, &name.to_string()).await?;
        let counted = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let remains = [
            counted(sessions, "connected supplier", "connected suppliers"),
            counted(left.datasets, "dataset that is not over", "datasets that are not over"),
            counted(left.debts, "debt", "debts"),
        ];
        Ok(remains.into_iter().flatten().collect())
    }

    /// Returns false when the catalogue has changed, or somebody has come who performs it.
    async fn withdraw(
        &self,
        environment: &str,
        shelf: &Shelf,
        name: &ContractName,
        by: Vec<String>,
    ) -> Result<bool, Refusal> {
        if !by.is_empty() {
            return Err(Refusal::ContractInUse { name: name.to_string(), by });
        }
        let publication = Publication {
            expected_revision: shelf.revision,
            withdrawn: vec![name.to_string()],
            ..Publication::default()
        };
        let at = self.store().now().await?;
        let told = json!({ "contract": name.to_string() });
        let event = Event::of_environment(environment, at, "contract.deleted", told);
        let published = self.store().publish(environment, publication, vec![event]).await?;
        self.refresh_catalogue(environment).await?;
        let is_done = matches!(published, Published::Revision(_));
        if is_done {
            self.beat_published();
        }
        Ok(is_done)
    }
}

/// Scenarios and stock rules that name a contract.
fn users(shelf: &Shelf, name: &ContractName) -> Vec<String> {
    let rules = shelf.rules().filter(|(_, stored)| stored.rule.contract == *name);
    let rules = rules.map(|(rule, _)| format!("the stock rule {rule}"));
    shelf.used_by(name).iter().map(ToString::to_string).chain(rules).collect()
}

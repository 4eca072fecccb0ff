//! Contracts: searching the catalogue, and reading one with everything that is known about it.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use sixpack_model::catalogue::Search;
use sixpack_model::channel::is_of_channel;
use sixpack_model::contract::Contract;
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::name::ContractName;
use sixpack_storage::contracts::EnvironmentRow;
use sixpack_storage::imports::ImportedStock;

use crate::Engine;
use crate::caller::Caller;
use crate::offers::Supply;
use crate::refusal::Refusal;
use crate::shelf::{Entry, Shelf};

/// Whether a contract can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractState {
    /// Everything that it needs is connected.
    Online,
    /// It, or a part of it, has no connected supplier.
    Offline,
    /// A scenario that no longer fits the contracts it uses.
    Broken,
}

impl ContractState {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Broken => "broken",
        }
    }
}

/// A contract as the catalogue shows it.
#[derive(Debug, Clone)]
pub struct ContractView {
    /// The version that is shown.
    pub contract: Arc<Contract>,
    /// Whether it can be had.
    pub state: ContractState,
    /// How many live sessions perform the version on offer; `None` for a scenario, which nobody performs.
    pub sessions: Option<u64>,
    /// Leaves that can be checked, out of how many.
    pub checked: (u32, u32),
    /// In how many datasets it was the first that did not hold any more; read for one contract, and not for a list.
    pub drifted: Option<u64>,
    /// How many imported datasets of it are in stock, or on their way there; read for one contract, and not for a list.
    pub imported: ImportedStock,
    /// Set while it is doubted, or something below it is; read for one contract, and not for a list.
    pub doubted: Option<crate::Doubted>,
    /// When the version on offer was published.
    pub updated_at: jiff::Timestamp,
    /// Scenarios that use it.
    pub used_by: Vec<ContractName>,
    /// All versions, newest first.
    pub versions: Vec<VersionView>,
    /// Why it is broken.
    pub faults: Vec<Diagnostic>,
    /// The channel that offers it in place of the deployed contract, or beside all of them.
    pub channel: Option<String>,
}

/// A version of a contract as the catalogue shows it.
#[derive(Debug, Clone)]
pub struct VersionView {
    /// Its number.
    pub version: u32,
    /// `new`, `compatible` or `breaking`.
    pub change: String,
    /// What changed.
    pub changes: Value,
    /// When it was published.
    pub published_at: jiff::Timestamp,
    /// How many live sessions have registered it; `None` for a scenario, and for a version of a channel.
    pub sessions: Option<u64>,
}

/// An environment as it is listed.
#[derive(Debug, Clone)]
pub struct EnvironmentView {
    /// The environment.
    pub row: EnvironmentRow,
    /// Its contracts.
    pub shelf: Arc<Shelf>,
    /// How many sessions are live in it.
    pub sessions: u64,
    /// How many leases are held in it.
    pub leases: u64,
    /// How many undos have been waiting for their supplier longer than the grace.
    pub waiting_undos: u64,
}

impl Engine {
    /// The environments that exist for the caller, by name.
    pub async fn environments(&self, caller: &Caller) -> Result<Vec<EnvironmentView>, Refusal> {
        self.catch_up().await?;
        let rows = self.store().environments().await?;
        let sessions: HashMap<String, u64> = self.store().count_live_sessions().await?.into_iter().collect();
        let leases: HashMap<String, u64> = self.store().count_held_leases().await?.into_iter().collect();
        let waiting = self.count_waiting_undos().await?;
        let visible = rows.into_iter().filter(|row| caller.sees(&row.name));
        Ok(visible
            .map(|row| EnvironmentView {
                shelf: self.shelf(&row.name).unwrap_or_default(),
                sessions: sessions.get(&row.name).copied().unwrap_or(0),
                leases: leases.get(&row.name).copied().unwrap_or(0),
                waiting_undos: waiting.get(&row.name).copied().unwrap_or(0),
                row,
            })
            .collect())
    }

    /// Searches the catalogue as it is seen in a channel, or without one; the best first.
    pub async fn search_contracts(
        &self,
        caller: &Caller,
        environment: &str,
        channel: Option<&str>,
        search: &Search,
    ) -> Result<Vec<ContractView>, Refusal> {
        let (shelf, _) = self.visible_shelf_in(caller, environment, channel).await?;
        let served = self.supply(environment).await?;
        Ok(shelf.search(search).map(|entry| view(&shelf, entry, &served)).collect())
    }

    /// Reads one contract as it is seen in a channel, or without one; or one version of it.
    pub async fn contract(
        &self,
        caller: &Caller,
        environment: &str,
        channel: Option<&str>,
        name: &ContractName,
        version: Option<u32>,
    ) -> Result<ContractView, Refusal> {
        let (shelf, _) = self.visible_shelf_in(caller, environment, channel).await?;
        let Some(entry) = shelf.entry(name) else {
            return Err(shelf.requestable(name).err().unwrap_or_else(|| Refusal::unknown("contract", name)));
        };
        let served = self.supply(environment).await?;
        let mut view = view(&shelf, entry, &served);
        view.drifted = Some(self.store().drifted(environment, &name.to_string()).await?);
        view.imported = self.store().imported(environment, name).await?;
        // What a channel makes is never in stock.
        view.doubted = match channel {
            Some(_) => None,
            None => self.doubted_in(environment, &shelf, &entry.contract).await?,
        };
        if let Some(version) = version {
            let known = entry.versions.iter().any(|note| note.version == version);
            view.contract = shelf
                .contract(name, version)
                .filter(|_| known)
                .ok_or_else(|| Refusal::unknown("contract", format!("{name}@{version}")))?;
        }
        Ok(view)
    }
}

fn view(shelf: &Shelf, entry: &Entry, supply: &Supply) -> ContractView {
    let leaves = leaves(shelf, &entry.contract);
    let sessions = |contract: &Contract| supply.performs(&contract.name, contract.version);
    // What a channel puts over the catalogue is there because somebody is live in it.
    let is_served = |leaf: &Contract| is_of_channel(leaf.version) || sessions(leaf) > 0;
    let offline = leaves.iter().any(|leaf| !is_served(leaf));
    let checks =
        |leaf: &&Arc<Contract>| leaf.capability().is_some_and(|capability| capability.operations.check);
    let state = match (entry.faults.is_empty(), offline) {
        (false, _) => ContractState::Broken,
        (true, true) => ContractState::Offline,
        (true, false) => ContractState::Online,
    };
    ContractView {
        contract: Arc::clone(&entry.contract),
        state,
        sessions: entry.contract.capability().map(|_| sessions(&entry.contract)),
        checked: (leaves.iter().filter(checks).count() as u32, leaves.len() as u32),
        drifted: None,
        imported: ImportedStock::default(),
        doubted: None,
        updated_at: entry.note().published_at,
        used_by: shelf.used_by(&entry.contract.name).to_vec(),
        versions: entry
            .versions
            .iter()
            .map(|note| VersionView {
                version: note.version,
                change: note.change.clone(),
                changes: note.changes.clone(),
                published_at: note.published_at,
                sessions: (entry.contract.capability().is_some() && !is_of_channel(note.version))
                    .then(|| supply.registered(&entry.contract.name, note.version)),
            })
            .collect(),
        faults: entry.faults.clone(),
        channel: entry.channel.clone(),
    }
}

/// The capabilities that a contract comes down to.
pub(crate) fn leaves(shelf: &Shelf, contract: &Arc<Contract>) -> Vec<Arc<Contract>> {
    let mut leaves = Vec::new();
    collect_leaves(shelf, contract, &mut leaves, 0);
    leaves
}

/// The capabilities that a contract comes down to. The depth is bounded, because a broken catalogue may go in circles.
fn collect_leaves(shelf: &Shelf, contract: &Arc<Contract>, leaves: &mut Vec<Arc<Contract>>, depth: usize) {
    let Some(scenario) = contract.scenario() else { return leaves.push(Arc::clone(contract)) };
    if depth > sixpack_model::limits::TREE_DEPTH {
        return;
    }
    for name in scenario.uses() {
        if let Some(entry) = shelf.entry(name) {
            collect_leaves(shelf, &entry.contract, leaves, depth + 1);
        }
    }
}

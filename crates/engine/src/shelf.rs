//! The shelf: every contract and every stock rule of one environment.
//!
//! Contracts are there in every version that a dataset may still refer to.
//!
//! It never changes: a publication puts a new shelf in its place. Requests that are under way go on with the versions that
//! they were begun with.

mod channels;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use sixpack_model::catalogue::{self, Catalogue, Search};
use sixpack_model::channel::is_of_channel;
use sixpack_model::contract::Contract;
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::fault::Fault;
use sixpack_model::name::ContractName;
use sixpack_model::plan::Versions;
use sixpack_model::scenario;
use sixpack_model::stock::{RuleName, StockRule};
use sixpack_model::text::nearest;
use sixpack_model::typecheck::{self, Contracts};
use sixpack_storage::contracts::{Definition, StoredCatalogue, StoredContract};
use sixpack_storage::stock_rules::StoredRule;

use crate::refusal::Refusal;

/// Every contract and every stock rule of one environment.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Grows with each publication and each change of a rule; 0 for an environment that does not exist.
    pub revision: u64,
    /// The channel that has put something over the deployed catalogue; `None` for that catalogue alone.
    pub channel: Option<String>,
    entries: BTreeMap<ContractName, Entry>,
    /// For searching, and for who uses what.
    index: Catalogue,
    versions: HashMap<(ContractName, u32), Arc<Contract>>,
    /// The highest version that a name ever had, also when it is no longer offered; not counting those of channels.
    highest: HashMap<ContractName, u32>,
    rules: BTreeMap<RuleName, StoredRule>,
    /// Versions of channels in ascending order, whether or not their channel is there.
    in_channels: Arc<HashMap<ContractName, Vec<Arc<StoredContract>>>>,
}

/// One contract that is offered.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The version on offer; a broken scenario as it is written, unchecked.
    pub contract: Arc<Contract>,
    /// What it is made from.
    pub definition: Definition,
    /// Of what others depend on.
    pub fingerprint: String,
    /// All versions, newest first; in a channel that of the channel before the deployed ones.
    pub versions: Vec<VersionNote>,
    /// Why it cannot be requested.
    pub faults: Vec<Diagnostic>,
    /// The channel that offers it in place of the deployed contract, or beside all of them.
    pub channel: Option<String>,
}

/// What is remembered of one version.
#[derive(Debug, Clone)]
pub struct VersionNote {
    /// Its number.
    pub version: u32,
    /// `new`, `compatible` or `breaking`.
    pub change: String,
    /// What changed, for people.
    pub changes: Value,
    /// Of what others depend on.
    pub fingerprint: String,
    /// When it was published.
    pub published_at: Timestamp,
}

impl Shelf {
    /// Puts a stored catalogue on the shelf. What the shelf before it knew stays known: a version that no longer fits
    /// its neighbours can still be finished.
    pub(crate) fn of(stored: StoredCatalogue, before: &Self) -> Self {
        let mut versions = before.versions.clone();
        // The store forgets old versions of channels, and so must we.
        versions.retain(|(_, version), _| !is_of_channel(*version));
        let mut shelf = Self { revision: stored.revision, versions, ..Self::default() };
        shelf.keep_channels(stored.in_channels, before);
        for contract in &stored.withdrawn {
            shelf.remember(contract);
        }
        for contract in stored.contracts {
            match stored.on_offer.get(&contract.name) {
                Some(on_offer) if contract.version > *on_offer => shelf.note(&contract),
                _ => shelf.offer(contract),
            }
        }
        shelf.check_scenarios(|_| true);
        shelf.rules = stored.rules.into_iter().map(|stored| (stored.rule.name.clone(), stored)).collect();
        shelf
    }

    /// The entry of a name.
    pub fn entry(&self, name: &ContractName) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All entries by name.
    pub fn entries(&self) -> impl Iterator<Item = (&ContractName, &Entry)> {
        self.entries.iter()
    }

    /// One version, also one that is no longer offered.
    pub fn contract(&self, name: &ContractName, version: u32) -> Option<Arc<Contract>> {
        self.versions.get(&(name.clone(), version)).cloned()
    }

    /// The scenarios that use a contract.
    pub fn used_by(&self, name: &ContractName) -> &[ContractName] {
        self.index.used_by(name)
    }

    /// The version on offer, or the newest that is known of a contract that is no longer offered.
    pub fn last_known(&self, name: &ContractName) -> Option<Arc<Contract>> {
        if let Some(entry) = self.entries.get(name) {
            return self.contract(name, entry.contract.version);
        }
        self.contract(name, *self.highest.get(name)?)
    }

    /// All stock rules by name.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = (&RuleName, &StoredRule)> {
        self.rules.iter()
    }

    /// The stock rule of a name.
    pub fn rule(&self, name: &RuleName) -> Option<&StoredRule> {
        self.rules.get(name)
    }

    /// Why a stock rule cannot be filled with what is on offer now; empty when it can.
    pub fn rule_faults(&self, rule: &StockRule) -> Vec<Fault> {
        rule.faults(&self.index)
    }

    /// Entries that meet a search, the best first.
    pub fn search(&self, search: &Search) -> impl Iterator<Item = &Entry> {
        self.index.search(search).into_iter().filter_map(|found| self.entries.get(&found.contract.name))
    }

    /// The version that a new request gets.
    pub(crate) fn requestable(&self, name: &ContractName) -> Result<Arc<Contract>, Refusal> {
        let Some(entry) = self.entries.get(name) else {
            let names: Vec<String> = self.entries.keys().map(ToString::to_string).collect();
            return Err(Refusal::Unknown {
                what: "contract",
                name: name.to_string(),
                nearest: nearest(&name.to_string(), names.iter().map(String::as_str)).map(str::to_owned),
            });
        };
        if entry.faults.is_empty() {
            Ok(Arc::clone(&entry.contract))
        } else {
            Err(Refusal::ContractBroken {
                name: name.to_string(),
                channel: self.channel.clone(),
                faults: entry.faults.clone(),
            })
        }
    }

    /// The number that a new version of a name gets.
    pub(crate) fn next_version(&self, name: &ContractName) -> u32 {
        self.highest.get(name).map_or(1, |highest| highest + 1)
    }

    /// The shelf as it would be with these contracts on it as well.
    pub(crate) fn with(&self, contracts: &[StoredContract]) -> Self {
        let mut shelf = self.copied();
        for contract in contracts {
            shelf.offer(contract.clone());
        }
        shelf.check_scenarios(|_| true);
        shelf
    }

    /// What is wrong with a scenario file whose name is not known, over what is on offer.
    pub(crate) fn faults_of(&self, path: &str, text: &str) -> Vec<Diagnostic> {
        let checked = Checked { offered: self, scenarios: HashMap::new() };
        typecheck::check_file(path, text, &checked).err().unwrap_or_default()
    }

    /// How much of it there is to keep in memory.
    pub(crate) fn size(&self) -> usize {
        self.entries.len() + self.versions.len()
    }

    /// The same without its index, to be changed and checked.
    fn copied(&self) -> Self {
        Self {
            revision: self.revision,
            channel: self.channel.clone(),
            entries: self.entries.clone(),
            versions: self.versions.clone(),
            highest: self.highest.clone(),
            in_channels: Arc::clone(&self.in_channels),
            index: Catalogue::default(),
            rules: self.rules.clone(),
        }
    }

    /// Keeps a version for the datasets that refer to it.
    fn remember(&mut self, stored: &StoredContract) -> Option<(ContractName, Arc<Contract>)> {
        let name: ContractName = stored.name.parse().ok()?;
        let highest = self.highest.entry(name.clone()).or_default();
        *highest = stored.version.max(*highest);
        let key = (name.clone(), stored.version);
        let known = self.versions.get(&key).filter(|known| known.scenario().is_some()).cloned();
        // What runs on a version of a scenario goes on with the very object that it was begun with.
        let contract = match known {
            Some(known) => known,
            None => Arc::new(read(&name, stored)?),
        };
        self.versions.insert(key, Arc::clone(&contract));
        Some((name, contract))
    }

    /// Puts a version on offer, in the place of the one that is.
    fn offer(&mut self, stored: StoredContract) {
        let Some((name, contract)) = self.remember(&stored) else { return };
        let mut versions = self.entries.remove(&name).map(|entry| entry.versions).unwrap_or_default();
        keep_note(&mut versions, VersionNote::of(&stored));
        let (definition, fingerprint) = (stored.definition, stored.fingerprint);
        let entry = Entry { contract, definition, fingerprint, versions, faults: Vec::new(), channel: None };
        self.entries.insert(name, entry);
    }

    /// Keeps a version that is newer than the one on offer.
    fn note(&mut self, stored: &StoredContract) {
        let Some((name, _)) = self.remember(stored) else { return };
        if let Some(entry) = self.entries.get_mut(&name) {
            keep_note(&mut entry.versions, VersionNote::of(stored));
        }
    }

    /// Type-checks these scenarios of those on offer against what is on offer now, inner ones first.
    fn check_scenarios(&mut self, among: impl Fn(&ContractName) -> bool) {
        let mut open: Vec<(ContractName, String)> = self
            .entries
            .iter()
            .filter(|(name, _)| among(name))
            .filter_map(|(name, entry)| match &entry.definition {
                Definition::Scenario(source) => Some((name.clone(), source.clone())),
                Definition::Capability(_) => None,
            })
            .collect();
        let mut checked = Checked { offered: self, scenarios: HashMap::new() };
        let mut results = Vec::new();
        // Each round checks the scenarios whose own scenarios are checked; what is left over goes in circles, and the
        // type checker says so.
        loop {
            let names: Vec<ContractName> = open.iter().map(|(name, _)| name.clone()).collect();
            let (mut now, later): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|(name, source)| !uses_any(name, source, &names));
            let stuck = now.is_empty();
            if stuck {
                now = later;
                open = Vec::new();
            } else {
                open = later;
            }
            if now.is_empty() {
                break;
            }
            for (name, source) in now {
                let result = checked.check(&name, &source);
                if let Ok(contract) = &result {
                    checked.scenarios.insert(name.clone(), Arc::clone(contract));
                }
                results.push((name, result));
            }
        }
        for (name, result) in results {
            self.keep_checked(&name, result);
        }
        self.reindex();
    }

    fn keep_checked(&mut self, name: &ContractName, result: Result<Arc<Contract>, Vec<Diagnostic>>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        match result {
            Ok(contract) => {
                self.versions.insert((name.clone(), contract.version), Arc::clone(&contract));
                entry.contract = contract;
            }
            Err(faults) => entry.faults = faults,
        }
    }

    fn reindex(&mut self) {
        let entries = self.entries.values().map(|entry| catalogue::Entry {
            contract: Arc::clone(&entry.contract),
            fingerprint: entry.fingerprint.clone(),
            older: Vec::new(),
            faults: entry.faults.clone(),
            registered_at: entry.note().published_at,
        });
        self.index = Catalogue::new(entries.collect(), Vec::new());
    }
}

impl Entry {
    /// What is remembered of the version on offer.
    pub fn note(&self) -> &VersionNote {
        let note = self.versions.iter().find(|note| note.version == self.contract.version);
        note.expect("the version on offer is one of all versions")
    }
}

/// Keeps one version among all, newest first.
fn keep_note(versions: &mut Vec<VersionNote>, note: VersionNote) {
    versions.retain(|known| known.version != note.version);
    let place = versions.partition_point(|known| known.version > note.version);
    versions.insert(place, note);
}

impl VersionNote {
    fn of(stored: &StoredContract) -> Self {
        Self {
            version: stored.version,
            change: stored.change.clone(),
            changes: stored.changes.clone(),
            fingerprint: stored.fingerprint.clone(),
            published_at: stored.published_at,
        }
    }
}

impl Versions for Shelf {
    fn version(&self, name: &ContractName, version: u32) -> Option<Arc<Contract>> {
        self.contract(name, version)
    }

    fn current(&self, name: &ContractName) -> Option<Arc<Contract>> {
        self.entries.get(name).map(|entry| Arc::clone(&entry.contract))
    }
}

/// What the type checker sees: capabilities as offered, scenarios as checked so far.
struct Checked<'a> {
    offered: &'a Shelf,
    scenarios: HashMap<ContractName, Arc<Contract>>,
}

impl Checked<'_> {
    fn check(&self, name: &ContractName, source: &str) -> Result<Arc<Contract>, Vec<Diagnostic>> {
        let version = self.offered.entries[name].contract.version;
        typecheck::check_file(&name.to_string(), source, self)
            .map(|scenario| Arc::new(scenario.into_contract(version)))
    }
}

impl Contracts for Checked<'_> {
    fn contract(&self, name: &ContractName) -> Option<Arc<Contract>> {
        if let Some(scenario) = self.scenarios.get(name) {
            return Some(Arc::clone(scenario));
        }
        // A scenario that is not checked by now is broken or goes in circles: it is shown as it is written, so that
        // the type checker can name the circle.
        self.offered.entries.get(name).map(|entry| Arc::clone(&entry.contract))
    }

    fn names(&self) -> Vec<String> {
        self.offered.entries.keys().map(ToString::to_string).collect()
    }
}

/// A stored version as a contract; a scenario is taken as it is written, and checked where that matters.
fn read(name: &ContractName, stored: &StoredContract) -> Option<Contract> {
    match &stored.definition {
        Definition::Capability(definition) => {
            let read = Contract::from_definition(name.domain(), definition, stored.version);
            read.map_err(
                |faults| tracing::error!(contract = %name, ?faults, "a stored capability cannot be read"),
            )
            .ok()
        }
        Definition::Scenario(source) => {
            // One with faults of its form is on the shelf as far as it can be read: whoever uses it is not told that it
            // does not exist.
            let (draft, faults) = scenario::read_draft(&stored.name, source);
            if draft.is_none() {
                tracing::error!(contract = %name, ?faults, "a stored scenario cannot be read");
            }
            draft.map(|draft| draft.unchecked(stored.version))
        }
    }
}

/// Whether a scenario uses one of these names other than its own.
fn uses_any(own: &ContractName, source: &str, names: &[ContractName]) -> bool {
    let (draft, _) = scenario::read_draft("", source);
    draft.is_some_and(|draft| draft.uses().any(|used| used != own && names.contains(used)))
}

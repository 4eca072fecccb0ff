//! Publishing: a contract that somebody offers becomes a version, or turns out to be the one that is there.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use sixpack_model::compatibility::{Verdict, compare, fingerprint};
use sixpack_model::contract::{Contract, ContractKind};
use sixpack_model::event::Event;
use sixpack_model::manifest::Manifest;
use sixpack_model::name::ContractName;
use sixpack_storage::contracts::{Definition, Publication, StoredContract};
use sixpack_storage::sessions::Service;

use crate::apply::{Applied, Breaks};
use crate::refusal::Refusal;
use crate::shelf::{Entry, Shelf};

/// What a registration publishes and serves.
pub(crate) struct PublicationPlan {
    pub(crate) publication: Publication,
    pub(crate) services: Vec<Service>,
    pub(crate) applied: Vec<Applied>,
}

impl PublicationPlan {
    /// What to tell about the contracts that changed.
    pub(crate) fn events(&self, environment: &str, at: Timestamp) -> Vec<Event> {
        contract_events(&self.applied, environment, at)
    }
}

/// A contract held against what is on the shelf.
pub(crate) struct Offered {
    /// What to store; `None` when everything is as it was.
    pub(crate) stored: Option<StoredContract>,
    pub(crate) applied: Applied,
    /// The oldest version whose datasets this one can still be asked about.
    oldest_version: u32,
}

impl Shelf {
    /// Decides what a supplier's capabilities mean for the catalogue.
    pub(crate) fn plan_capabilities(
        &self,
        manifest: &Manifest,
        served: &[(String, u64)],
    ) -> Result<PublicationPlan, Refusal> {
        let mut plan = PublicationPlan {
            publication: Publication { expected_revision: self.revision, ..Publication::default() },
            services: Vec::new(),
            applied: Vec::new(),
        };
        for definition in &manifest.capabilities {
            let contract = definition.clone().into_contract(&manifest.domain, 1).map_err(Refusal::Invalid)?;
            let capability = contract.capability().cloned().expect("a manifest defines capabilities only");
            let name = contract.name.to_string();
            let is_served = served.iter().any(|(served, _)| *served == name);
            let offered = self.offered(contract, Definition::Capability(definition.to_json()), is_served)?;
            plan.services.push(Service {
                contract: name,
                oldest_version: offered.oldest_version,
                version: offered.applied.version,
                concurrency: capability.concurrency,
                rate_per_s: capability.rate.map(|rate| rate.per_s),
                timeout_ms: u64::from(capability.timeout_s) * 1000,
            });
            plan.publication.contracts.extend(offered.stored);
            plan.applied.push(offered.applied);
        }
        self.note_breaks(&plan.publication.contracts, &mut plan.applied);
        Ok(plan)
    }

    /// Decides which version a contract is: one that is there, or the next.
    pub(crate) fn offered(
        &self,
        contract: Contract,
        definition: Definition,
        served: bool,
    ) -> Result<Offered, Refusal> {
        let Some(entry) = self.entry(&contract.name) else {
            return Ok(self.next(contract, definition, "new", Vec::new(), None));
        };
        if entry.contract.kind() != contract.kind() {
            let kind = match entry.contract.kind() {
                ContractKind::Capability => "capability",
                ContractKind::Scenario => "scenario",
            };
            return Err(Refusal::NameTaken { name: contract.name.to_string(), kind });
        }
        let print = fingerprint(&contract);
        // During a rolling deployment instances of the build before come and go: they serve the version that they
        // know. When nobody serves the newest any more it is a roll-back, and what is offered is what counts.
        let older = entry.versions.iter().skip(1).find(|note| note.fingerprint == print).filter(|_| served);
        if let Some(note) = older {
            let applied = Applied::unchanged(&contract.name, note.version);
            return Ok(Offered { stored: None, applied, oldest_version: oldest(entry, note.version) });
        }
        match compare(&entry.contract, &contract) {
            Verdict::Same => Ok(same(entry, &contract, definition, print)),
            Verdict::New => Ok(self.next(contract, definition, "new", Vec::new(), None)),
            Verdict::Compatible(changes) => {
                let changes = changes.into_iter().map(|message| (String::new(), message)).collect();
                Ok(self.next(contract, definition, "compatible", changes, Some(entry)))
            }
            Verdict::Breaking(changes) => {
                let changes = changes.into_iter().map(|change| (change.pointer, change.message)).collect();
                Ok(self.next(contract, definition, "breaking", changes, None))
            }
        }
    }

    fn next(
        &self,
        contract: Contract,
        definition: Definition,
        change: &'static str,
        changes: Vec<(String, String)>,
        goes_on_from: Option<&Entry>,
    ) -> Offered {
        let version = self.next_version(&contract.name);
        let stored = StoredContract {
            name: contract.name.to_string(),
            version,
            definition,
            fingerprint: fingerprint(&contract),
            change: change.to_owned(),
            changes: changes_json(&changes),
            published_at: Timestamp::UNIX_EPOCH,
        };
        let applied = Applied { version, change, changes, ..Applied::unchanged(&contract.name, version) };
        let oldest_version = goes_on_from.map_or(version, |entry| oldest(entry, entry.contract.version));
        Offered { stored: Some(stored), applied, oldest_version }
    }

    /// Notes which scenarios no longer fit once these contracts are published.
    pub(crate) fn note_breaks(&self, contracts: &[StoredContract], applied: &mut [Applied]) {
        if !applied.iter().any(|applied| applied.change == "breaking" || applied.change == "compatible") {
            return;
        }
        let after = self.with(contracts);
        for (name, entry) in after.entries() {
            let was_whole = self.entry(name).is_some_and(|before| before.faults.is_empty());
            let (Some(fault), true) = (entry.faults.first(), was_whole) else { continue };
            for applied in
                applied.iter_mut().filter(|applied| reaches(&after, &entry.contract, &applied.name))
            {
                applied.breaks.push(Breaks { contract: name.clone(), message: fault.message.clone() });
            }
        }
    }
}

/// Whether a scenario uses the contract, directly or through scenarios that it uses.
fn reaches(shelf: &Shelf, scenario: &Arc<Contract>, name: &ContractName) -> bool {
    let mut open = vec![Arc::clone(scenario)];
    let mut seen = Vec::new();
    while let Some(contract) = open.pop() {
        for used in contract.scenario().into_iter().flat_map(|scenario| scenario.uses()) {
            if used == name {
                return true;
            }
            if !seen.contains(used) {
                seen.push(used.clone());
                open.extend(shelf.entry(used).map(|entry| Arc::clone(&entry.contract)));
            }
        }
    }
    false
}

/// Nothing that others depend on has changed; descriptions, owners and limits are replaced in place.
fn same(entry: &Entry, contract: &Contract, definition: Definition, fingerprint: String) -> Offered {
    let version = entry.contract.version;
    let note = entry.versions.first().expect("an entry has at least the version on offer");
    let stored = (entry.definition != definition).then(|| StoredContract {
        name: contract.name.to_string(),
        version,
        definition,
        fingerprint,
        change: note.change.clone(),
        changes: note.changes.clone(),
        published_at: note.published_at,
    });
    let applied = Applied::unchanged(&contract.name, version);
    Offered { stored, applied, oldest_version: oldest(entry, version) }
}

/// How far back a version can be asked about the datasets of those before it: to the last breaking change.
fn oldest(entry: &Entry, version: u32) -> u32 {
    entry
        .versions
        .iter()
        .filter(|note| note.version <= version)
        .find(|note| note.change != "compatible")
        .map_or(version, |note| note.version)
}

fn changes_json(changes: &[(String, String)]) -> Value {
    changes.iter().map(|(pointer, message)| json!({ "pointer": pointer, "message": message })).collect()
}

/// What to tell about contracts that changed.
pub(crate) fn contract_events(applied: &[Applied], environment: &str, at: Timestamp) -> Vec<Event> {
    let told = |applied: &Applied| {
        let kind = match applied.change {
            "new" => "contract.new",
            "compatible" => "contract.compatible",
            "breaking" => "contract.breaking",
            _ => return None,
        };
        let breaks: Vec<String> = applied.breaks.iter().map(|breaks| breaks.contract.to_string()).collect();
        let data =
            json!({ "contract": applied.name.to_string(), "version": applied.version, "breaks": breaks });
        Some(Event::of_environment(environment, at, kind, data))
    };
    applied.iter().filter_map(told).collect()
}

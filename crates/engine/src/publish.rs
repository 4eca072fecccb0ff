//! Publishing: a contract that somebody offers becomes a version, or turns out to be the one that is there.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use sixpack_model::channel::{is_of_channel, stands_in_for};
use sixpack_model::compatibility::{Verdict, compare, fingerprint};
use sixpack_model::contract::{Capability, Contract, ContractKind};
use sixpack_model::event::Event;
use sixpack_model::fault::Fault;
use sixpack_model::manifest::Manifest;
use sixpack_model::name::ContractName;
use sixpack_model::text::quoted;
use sixpack_storage::contracts::{Definition, Publication, StandIn, StoredContract};
use sixpack_storage::sessions::Service;

use crate::apply::{Applied, Breaks};
use crate::offers::Supply;
use crate::refusal::Refusal;
use crate::shelf::{Entry, Shelf, VersionNote};

/// What a registration publishes and serves.
pub(crate) struct PublicationPlan {
    pub(crate) publication: Publication,
    pub(crate) services: Vec<Service>,
    pub(crate) applied: Vec<Applied>,
    /// What to tell about the catalogue.
    pub(crate) told: Vec<Applied>,
}

impl PublicationPlan {
    /// Nothing yet, decided upon a catalogue of this revision.
    pub(crate) fn upon(expected_revision: u64) -> Self {
        let publication = Publication { expected_revision, ..Publication::default() };
        Self { publication, services: Vec::new(), applied: Vec::new(), told: Vec::new() }
    }

    /// What to tell about the contracts that changed.
    pub(crate) fn events(&self, environment: &str, at: Timestamp) -> Vec<Event> {
        contract_events(&self.told, environment, at)
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
        supply: &Supply,
    ) -> Result<PublicationPlan, Refusal> {
        let mut plan = PublicationPlan::upon(self.revision);
        for definition in &manifest.capabilities {
            let contract = definition.clone().into_contract(&manifest.domain, 1).map_err(Refusal::Invalid)?;
            let capability = contract.capability().cloned().expect("a manifest defines capabilities only");
            let name = contract.name.to_string();
            let newest_live = supply.newest(&contract.name);
            let in_channels = self.in_channels(&contract.name);
            let kept = (!in_channels.is_empty()).then(|| contract.clone());
            let definition = Definition::Capability(definition.to_json());
            let offered = self.offered(contract, definition, newest_live)?;
            if let (Some(contract), Some(stored)) = (kept, &offered.stored) {
                let contract = Contract { version: stored.version, ..contract };
                plan.publication.stand_ins.extend(self.stand_ins(&contract, in_channels));
            }
            let versions = (offered.oldest_version, offered.applied.version);
            plan.services.push(service(name, &capability, versions));
            plan.publication.contracts.extend(offered.stored);
            plan.applied.push(offered.applied);
        }
        self.note_breaks(|| self.with(&plan.publication.contracts), &mut plan.applied);
        plan.told.clone_from(&plan.applied);
        Ok(plan)
    }

    /// Tells when a domain comes from another team than before: whoever publishes a domain replaces what is on offer of it.
    pub(crate) fn other_owner(&self, manifest: &Manifest) -> Option<Fault> {
        let team = &manifest.capabilities.first()?.owner.team;
        let published = self.entries().filter(|(name, entry)| {
            name.domain() == manifest.domain && entry.contract.kind() == ContractKind::Capability
        });
        let owners: Vec<_> = published.map(|(name, entry)| (name, &entry.contract.owner.team)).collect();
        let (name, before) = owners.into_iter().find(|(_, before)| *before != team)?;
        let message = format!(
            "is {}, and {name} was published by {}: what a domain publishes takes the place of what it had; if that is not \
             meant, end this session and start the supplier of {} again",
            quoted(team),
            quoted(before),
            quoted(before),
        );
        Some(Fault::new("/owner/team", "other_owner", message))
    }

    /// Versions of channels that had no deployed one to ask, and have one now.
    pub(crate) fn stand_ins(&self, deployed: &Contract, in_channels: &[Arc<StoredContract>]) -> Vec<StandIn> {
        let alone = |stored: &&Arc<StoredContract>| {
            stored.channel.as_ref().is_some_and(|channel| channel.stands_in_for.is_none())
        };
        let fitting = |stored: &Arc<StoredContract>| {
            let of_channel = self.contract(&deployed.name, stored.version)?;
            let stands_in_for = stands_in_for(deployed, &of_channel)?;
            Some(StandIn { contract: stored.name.clone(), version: stored.version, stands_in_for })
        };
        in_channels.iter().filter(alone).filter_map(fitting).collect()
    }

    /// Decides which version a contract is: one that is there, or the next. `newest_live` is the newest version of it that
    /// live suppliers perform; nobody performs a scenario.
    pub(crate) fn offered(
        &self,
        contract: Contract,
        definition: Definition,
        newest_live: Option<u32>,
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
        // A supplier that comes back with what it has offered before is that version again. A scenario is not: its text is
        // all there is of it, and the text of now is the newest.
        let is_capability = contract.kind() == ContractKind::Capability;
        let known = entry.versions.iter().find(|note| note.fingerprint == print).filter(|_| is_capability);
        if let Some(note) = known {
            // During a rolling deployment instances of the build before come and go.
            if newest_live.is_some_and(|live| live > note.version) {
                let applied = Applied::unchanged(&contract.name, note.version);
                let oldest_version = self.oldest(entry, note.version);
                return Ok(Offered { stored: None, applied, oldest_version });
            }
            if note.version != entry.contract.version {
                return Ok(self.again(entry, note, contract, definition));
            }
        }
        let verdict = compare(&entry.contract, &contract);
        let goes_on_from = match verdict {
            Verdict::Same => return Ok(self.same(entry, &contract, definition, print)),
            Verdict::Compatible(_) => Some(entry),
            Verdict::Breaking(_) | Verdict::New => None,
        };
        let change = verdict.name();
        Ok(self.next(contract, definition, change, changes_of(verdict), goes_on_from))
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
            channel: None,
            published_at: Timestamp::UNIX_EPOCH,
        };
        let applied = Applied { version, change, changes, ..Applied::unchanged(&contract.name, version) };
        // What is on offer may be older than versions that are performed no more, and tasks are given out by a range.
        let newest = |entry: &Entry| {
            let last = entry.versions.iter().map(|note| note.version).find(|known| !is_of_channel(*known));
            last.is_some_and(|last| last == entry.contract.version)
        };
        let goes_on_from = goes_on_from.filter(|entry| newest(entry));
        let oldest_version = goes_on_from.map_or(version, |entry| self.oldest(entry, entry.contract.version));
        Offered { stored: Some(stored), applied, oldest_version }
    }

    /// A version of before comes into the place of the one on offer.
    fn again(
        &self,
        entry: &Entry,
        note: &VersionNote,
        contract: Contract,
        definition: Definition,
    ) -> Offered {
        let contract = Contract { version: note.version, ..contract };
        let applied = Applied::in_place_of(&entry.contract, &contract);
        let stored = stored_again(note, &contract, definition);
        Offered { stored: Some(stored), applied, oldest_version: self.oldest(entry, note.version) }
    }

    /// Nothing that others depend on has changed; descriptions, owners and limits are replaced in place.
    fn same(
        &self,
        entry: &Entry,
        contract: &Contract,
        definition: Definition,
        fingerprint: String,
    ) -> Offered {
        let version = entry.contract.version;
        let note = entry.note();
        let is_edited = entry.definition != definition;
        let stored =
            is_edited.then(|| StoredContract { fingerprint, ..stored_again(note, contract, definition) });
        let applied = Applied::unchanged(&contract.name, version);
        Offered { stored, applied, oldest_version: self.oldest(entry, version) }
    }

    /// How far back a version can be asked about the datasets of those before it: to the last breaking change.
    pub(crate) fn oldest(&self, entry: &Entry, version: u32) -> u32 {
        let name = &entry.contract.name;
        if entry.contract.kind() == ContractKind::Scenario || is_of_channel(version) {
            let mut until = entry.versions.iter().filter(|note| note.version <= version);
            return until.find(|note| note.change != "compatible").map_or(version, |note| note.version);
        }
        // What a version was held against when it was published need not be the one before it, if that was rolled back.
        let mut newer = self.contract(name, version);
        let mut oldest = version;
        for note in entry.versions.iter().filter(|note| note.version < version) {
            let older = self.contract(name, note.version);
            let goes_on = older.as_ref().zip(newer.as_ref()).is_some_and(|(older, newer)| {
                matches!(compare(older, newer), Verdict::Same | Verdict::Compatible(_))
            });
            if !goes_on {
                break;
            }
            (oldest, newer) = (note.version, older);
        }
        oldest
    }

    /// Notes which scenarios and stock rules no longer fit once the shelf is as `after` puts it.
    pub(crate) fn note_breaks(&self, after: impl FnOnce() -> Self, applied: &mut [Applied]) {
        if !applied.iter().any(|applied| applied.change == "breaking" || applied.change == "compatible") {
            return;
        }
        let after = after();
        for (name, entry) in after.entries() {
            let was_whole = self.entry(name).is_some_and(|before| before.faults.is_empty());
            let (Some(fault), true) = (entry.faults.first(), was_whole) else { continue };
            for applied in
                applied.iter_mut().filter(|applied| reaches(&after, &entry.contract, &applied.name))
            {
                let message = fault.message.clone();
                applied.breaks.push(Breaks { contract: name.clone(), rule: None, message });
            }
        }
        for (name, stored) in after.rules().filter(|(_, stored)| self.rule_faults(&stored.rule).is_empty()) {
            let contract = &stored.rule.contract;
            let Some(fault) = after.rule_faults(&stored.rule).into_iter().next() else { continue };
            let Some(entry) = after.entry(contract) else { continue };
            let to_blame = |applied: &&mut Applied| {
                applied.name == *contract || reaches(&after, &entry.contract, &applied.name)
            };
            for applied in applied.iter_mut().filter(to_blame) {
                let message = fault.message.clone();
                applied.breaks.push(Breaks { contract: contract.clone(), rule: Some(name.clone()), message });
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

/// A version of before as it is stored: what others depend on, and what is told of its change, stay as they were.
fn stored_again(note: &VersionNote, contract: &Contract, definition: Definition) -> StoredContract {
    StoredContract {
        name: contract.name.to_string(),
        version: note.version,
        definition,
        fingerprint: note.fingerprint.clone(),
        change: note.change.clone(),
        changes: note.changes.clone(),
        channel: None,
        published_at: note.published_at,
    }
}

/// What a session performs of a capability: from the oldest to the newest version.
pub(crate) fn service(contract: String, capability: &Capability, versions: (u32, u32)) -> Service {
    let (oldest_version, version) = versions;
    Service {
        contract,
        oldest_version,
        version,
        concurrency: capability.concurrency,
        rate_per_s: capability.rate.map(|rate| rate.per_s),
        timeout_ms: u64::from(capability.timeout_s) * 1000,
    }
}

/// What changed: a pointer, if there is one place to point at, and a sentence.
pub(crate) fn changes_of(verdict: Verdict) -> Vec<(String, String)> {
    match verdict {
        Verdict::New | Verdict::Same => Vec::new(),
        Verdict::Compatible(changes) | Verdict::Breaking(changes) => {
            changes.into_iter().map(|change| (change.pointer, change.message)).collect()
        }
    }
}

pub(crate) fn changes_json(changes: &[(String, String)]) -> Value {
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
        let scenarios = applied.breaks.iter().filter(|breaks| breaks.rule.is_none());
        let breaks: Vec<String> = scenarios.map(|breaks| breaks.contract.to_string()).collect();
        let rules = applied.breaks.iter().filter_map(|breaks| breaks.rule.as_ref());
        let breaks_rules: Vec<String> = rules.map(ToString::to_string).collect();
        let mut data = json!({
            "contract": applied.name.to_string(),
            "version": applied.version,
            "breaks": breaks,
            "breaks_rules": breaks_rules,
        });
        if let Some(against) = applied.against {
            data["against"] = against.into();
        }
        Some(Event::of_environment(environment, at, kind, data))
    };
    applied.iter().filter_map(told).collect()
}

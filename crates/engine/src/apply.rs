//! Applying files: scenarios and stock rules are read, checked together, and published together or not at all.

use jiff::Timestamp;
use serde_json::json;
use sixpack_model::contract::ContractKind;
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::event::Event;
use sixpack_model::files::{self, Parsed};
use sixpack_model::name::ContractName;
use sixpack_model::scenario::{self, Draft};
use sixpack_model::stock::{RuleName, StockFile};
use sixpack_storage::contracts::{Definition, Publication, Published, StoredContract};

use crate::Engine;
use crate::caller::Caller;
use crate::publish::contract_events;
use crate::refusal::Refusal;
use crate::shelf::Shelf;
use crate::stock_rules::{AppliedRule, RulePlan, plan_rules, rules_put};

/// How often a publication may find the catalogue changed before the caller is told to come back.
pub(crate) const STALE_LIMIT: u32 = 20;

/// A file to be applied: of a scenario, or of stock rules.
#[derive(Debug, Clone)]
pub struct ScenarioFile {
    /// Its name, for diagnostics.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The scenario that it must define, when the caller named one.
    pub named: Option<ContractName>,
}

/// How files are to be applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Applying {
    /// Nothing is changed.
    pub dry_run: bool,
    /// What is only warned of is refused.
    pub strict: bool,
    /// The only version that may be replaced.
    pub over: Option<u32>,
}

/// What became of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its name.
    pub name: ContractName,
    /// The version that it has now.
    pub version: u32,
    /// `new`, `same`, `compatible` or `breaking`.
    pub change: &'static str,
    /// What changed: a pointer and a sentence.
    pub changes: Vec<(String, String)>,
    /// Which scenarios and stock rules no longer fit because of it; in a channel, which would not if it were deployed.
    pub breaks: Vec<Breaks>,
    /// The deployed version that a contract of a channel was held against.
    pub against: Option<u32>,
}

/// A scenario or a stock rule that no longer fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaks {
    /// The scenario, or the contract of the rule.
    pub contract: ContractName,
    /// The stock rule, if it is one.
    pub rule: Option<RuleName>,
    /// The first thing that is wrong with it now.
    pub message: String,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedFile {
    /// The file.
    pub path: String,
    /// The scenario in it.
    pub applied: Applied,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// What became of files that were applied together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedFiles {
    /// The scenarios, in the order of their files.
    pub scenarios: Vec<AppliedFile>,
    /// The stock rules, in the order of their files and by name.
    pub rules: Vec<AppliedRule>,
}

impl Applied {
    pub(crate) fn unchanged(name: &ContractName, version: u32) -> Self {
        Self {
            name: name.clone(),
            version,
            change: "same",
            changes: Vec::new(),
            breaks: Vec::new(),
            against: None,
        }
    }
}

impl Engine {
    /// Applies files of scenarios and of stock rules together: all or none.
    pub async fn apply(
        &self,
        caller: &Caller,
        environment: &str,
        files: &[ScenarioFile],
        applying: Applying,
    ) -> Result<AppliedFiles, Refusal> {
        if !caller.sees(environment) {
            return Err(Refusal::unknown("environment", environment));
        }
        for _ in 0..STALE_LIMIT {
            let shelf = self.shelf(environment).unwrap_or_default();
            let at = self.store().now().await?;
            let plan = plan_files(caller, &shelf, read_files(files, at), environment, at, applying)?;
            let FilePlan { stored, scenarios, mut rules } = plan;
            rules.warn(self.inner.settings.leases_per_environment);
            if applying.dry_run {
                return Ok(AppliedFiles { scenarios, rules: rules.applied });
            }
            let publication = Publication {
                expected_revision: shelf.revision,
                contracts: stored,
                ..Publication::default()
            };
            if publication.is_empty() && rules.changes_nothing() && shelf.revision > 0 {
                return Ok(AppliedFiles { scenarios, rules: rules.applied });
            }
            let contracts: Vec<Applied> = scenarios.iter().map(|file| file.applied.clone()).collect();
            let events = contract_events(&contracts, environment, at);
            let outcome = self.store().put_rules(environment, publication, rules.writes, events).await?;
            self.refresh_catalogue(environment).await?;
            if let Some(put) = rules_put(outcome)? {
                self.inner.committed.beat();
                let rules = rules.applied.into_iter().zip(put);
                let rules = rules.map(|(applied, put)| AppliedRule { put, ..applied }).collect();
                return Ok(AppliedFiles { scenarios, rules });
            }
        }
        Err(Refusal::Busy)
    }

    /// The text of a scenario as it was applied, and its version.
    pub fn scenario_source(
        &self,
        caller: &Caller,
        environment: &str,
        name: &ContractName,
    ) -> Result<(String, u32), Refusal> {
        let shelf = self.visible_shelf(caller, environment)?;
        match shelf.entry(name).map(|entry| (&entry.definition, entry.contract.version)) {
            Some((Definition::Scenario(source), version)) => Ok((source.clone(), version)),
            _ => Err(Refusal::unknown("scenario", name)),
        }
    }

    /// Takes a scenario out of the catalogue, unless others use it. Deleting it twice changes nothing more.
    pub async fn delete_scenario(
        &self,
        caller: &Caller,
        environment: &str,
        name: &ContractName,
    ) -> Result<(), Refusal> {
        for _ in 0..STALE_LIMIT {
            let shelf = self.visible_shelf(caller, environment)?;
            if !caller.supplies(name.domain()) {
                return Err(Refusal::unknown("scenario", name));
            }
            match shelf.entry(name) {
                Some(entry) if entry.contract.kind() == ContractKind::Scenario => {}
                None if shelf.next_version(name) > 1 => return Ok(()),
                _ => return Err(Refusal::unknown("scenario", name)),
            }
            let rules = shelf.rules().filter(|(_, stored)| stored.rule.contract == *name);
            let rules = rules.map(|(rule, _)| format!("the stock rule {rule}"));
            let by: Vec<String> = shelf.used_by(name).iter().map(ToString::to_string).chain(rules).collect();
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
            if let Published::Revision(_) = published {
                self.inner.committed.beat();
                return Ok(());
            }
        }
        Err(Refusal::Busy)
    }
}

/// Files as far as they could be read, and what is wrong with the others.
struct ReadFiles<'a> {
    scenarios: Vec<(&'a ScenarioFile, Box<Draft>)>,
    stock: Vec<(String, StockFile)>,
    faults: Vec<Diagnostic>,
}

fn read_files(files: &[ScenarioFile], at: Timestamp) -> ReadFiles<'_> {
    let mut read = ReadFiles { scenarios: Vec::new(), stock: Vec::new(), faults: Vec::new() };
    for file in files {
        let parsed = match &file.named {
            Some(_) => scenario::parse(&file.path, &file.text).map(|draft| Parsed::Scenario(Box::new(draft))),
            None => files::parse(&file.path, &file.text, at),
        };
        match parsed {
            Ok(Parsed::Scenario(draft)) => match misnamed(file, &draft) {
                Some(fault) => read.faults.push(fault),
                None => read.scenarios.push((file, draft)),
            },
            Ok(Parsed::Stock(rules)) => read.stock.push((file.path.clone(), rules)),
            Err(found) => read.faults.extend(found),
        }
    }
    read
}

/// What applying some files comes to.
struct FilePlan {
    stored: Vec<StoredContract>,
    scenarios: Vec<AppliedFile>,
    rules: RulePlan,
}

/// Puts the files on the shelf as if they were applied, and collects what is wrong with any of them.
fn plan_files(
    caller: &Caller,
    shelf: &Shelf,
    read: ReadFiles<'_>,
    environment: &str,
    at: Timestamp,
    applying: Applying,
) -> Result<FilePlan, Refusal> {
    let ReadFiles { scenarios: drafts, stock, mut faults } = read;
    // Whatever a rule names may be in a file that could not be read.
    let all_read = faults.is_empty();
    faults.extend(twice(&drafts));
    let mut stored = Vec::new();
    let mut applied = Vec::new();
    for (file, draft) in &drafts {
        let name = draft.name();
        if !caller.supplies(name.domain()) {
            return Err(Refusal::unknown("domain", name.domain()));
        }
        if let Some(expected) = applying.over {
            let current = shelf.entry(name).map_or(0, |entry| entry.contract.version);
            if current != expected {
                return Err(Refusal::VersionMismatch { expected: expected.into(), current: current.into() });
            }
        }
        let definition = Definition::Scenario(file.text.clone());
        // Held against the shelf unchecked first, to know its version; what it hands on is known once it is checked.
        let offered = shelf.offered(draft.unchecked(1), definition, false)?;
        stored.extend(offered.stored);
        let path = file.path.clone();
        applied.push(AppliedFile { path, applied: offered.applied, warnings: Vec::new() });
    }
    let after = shelf.with(&stored);
    for file in &mut applied {
        let Some(entry) = after.entry(&file.applied.name) else { continue };
        let here = |found: &Diagnostic| Diagnostic { file: file.path.clone(), ..found.clone() };
        faults.extend(entry.faults.iter().map(here));
        let scenario = entry.contract.scenario();
        file.warnings =
            scenario.into_iter().flat_map(|scenario| scenario.warnings.iter().map(here)).collect();
    }
    if applying.strict {
        faults.extend(applied.iter().flat_map(|file| file.warnings.iter().cloned()));
    }
    let mut rules = RulePlan::default();
    if all_read {
        let (planned, found) = plan_rules(caller, shelf, &after, &stock, environment, at)?;
        rules = planned;
        faults.extend(found);
    }
    if !faults.is_empty() {
        return Err(Refusal::ScenarioFaults(faults));
    }
    let (stored, scenarios) = finish(shelf, &after, stored, applied)?;
    Ok(FilePlan { stored, scenarios, rules })
}

/// With everything checked, the verdicts are made again: now it is known what each scenario hands on.
fn finish(
    shelf: &Shelf,
    after: &Shelf,
    stored: Vec<StoredContract>,
    mut applied: Vec<AppliedFile>,
) -> Result<(Vec<StoredContract>, Vec<AppliedFile>), Refusal> {
    let mut checked = Vec::with_capacity(stored.len());
    for contract in stored {
        let Some(file) = applied.iter_mut().find(|file| file.applied.name.to_string() == contract.name)
        else {
            continue;
        };
        let Some(entry) = after.entry(&file.applied.name) else { continue };
        let offered = shelf.offered(entry.contract.as_ref().clone(), contract.definition, false)?;
        file.applied = offered.applied;
        checked.extend(offered.stored);
    }
    let mut verdicts: Vec<Applied> = applied.iter().map(|file| file.applied.clone()).collect();
    shelf.note_breaks(|| shelf.with(&checked), &mut verdicts);
    for (file, verdict) in applied.iter_mut().zip(verdicts) {
        file.applied = verdict;
    }
    Ok((checked, applied))
}

/// A file must define the scenario under whose name it was sent.
fn misnamed(file: &ScenarioFile, draft: &Draft) -> Option<Diagnostic> {
    let named = file.named.as_ref().filter(|named| *named != draft.name())?;
    Some(Diagnostic {
        file: file.path.clone(),
        line: 1,
        column: 1,
        length: 1,
        code: "name_mismatch",
        message: format!("the file defines {}, and the path names {named}", draft.name()),
        hint: Some("let `scenario:` be the name in the path".to_owned()),
    })
}

/// Two files of one call must not define the same scenario.
fn twice(drafts: &[(&ScenarioFile, Box<Draft>)]) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (place, (file, draft)) in drafts.iter().enumerate() {
        let first = drafts[..place].iter().find(|(_, other)| other.name() == draft.name());
        if let Some((other, _)) = first {
            faults.push(Diagnostic {
                file: file.path.clone(),
                line: 1,
                column: 1,
                length: 1,
                code: "duplicate_scenario",
                message: format!("{} is also defined in {}", draft.name(), other.path),
                hint: Some("keep one of the two".to_owned()),
            });
        }
    }
    faults
}

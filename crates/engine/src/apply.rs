//! Applying scenarios: files are read, type-checked together, and published together or not at all.

use serde_json::json;
use sixpack_model::contract::ContractKind;
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::event::Event;
use sixpack_model::name::ContractName;
use sixpack_model::scenario;
use sixpack_storage::contracts::{Definition, Publication, Published, StoredContract};

use crate::Engine;
use crate::caller::Caller;
use crate::publish::contract_events;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// How often a publication may find the catalogue changed before the caller is told to come back.
const STALE_LIMIT: u32 = 20;

/// A scenario file.
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
    /// Which scenarios no longer fit because of it; in a channel, which would not if it were deployed.
    pub breaks: Vec<Breaks>,
    /// The deployed version that a contract of a channel was held against.
    pub against: Option<u32>,
}

/// A scenario that no longer fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaks {
    /// The scenario.
    pub contract: ContractName,
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
    /// Applies scenario files together: all or none.
    pub async fn apply_scenarios(
        &self,
        caller: &Caller,
        environment: &str,
        files: &[ScenarioFile],
        applying: Applying,
    ) -> Result<Vec<AppliedFile>, Refusal> {
        if !caller.sees(environment) {
            return Err(Refusal::unknown("environment", environment));
        }
        for _ in 0..STALE_LIMIT {
            let shelf = self.shelf(environment).unwrap_or_default();
            let (stored, applied) = plan_files(caller, &shelf, files, applying)?;
            if applying.dry_run {
                return Ok(applied);
            }
            let publication = Publication {
                expected_revision: shelf.revision,
                contracts: stored,
                ..Publication::default()
            };
            if publication.is_empty() && shelf.revision > 0 {
                return Ok(applied);
            }
            let at = self.store().now().await?;
            let contracts: Vec<Applied> = applied.iter().map(|file| file.applied.clone()).collect();
            let events = contract_events(&contracts, environment, at);
            let published = self.store().publish(environment, publication, events).await?;
            self.refresh_catalogue(environment).await?;
            if let Published::Revision(_) = published {
                self.inner.committed.beat();
                return Ok(applied);
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
            let by: Vec<String> = shelf.used_by(name).iter().map(ToString::to_string).collect();
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

/// Reads all files, puts them on the shelf as if they were applied, and collects what is wrong with any of them.
fn plan_files(
    caller: &Caller,
    shelf: &Shelf,
    files: &[ScenarioFile],
    applying: Applying,
) -> Result<(Vec<StoredContract>, Vec<AppliedFile>), Refusal> {
    let mut faults = Vec::new();
    let mut drafts = Vec::new();
    for file in files {
        match scenario::parse(&file.path, &file.text) {
            Ok(draft) => match misnamed(file, &draft) {
                Some(fault) => faults.push(fault),
                None => drafts.push((file, draft)),
            },
            Err(found) => faults.extend(found),
        }
    }
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
                return Err(Refusal::VersionMismatch { expected, current });
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
    if faults.is_empty() {
        finish(shelf, &after, stored, applied)
    } else {
        Err(Refusal::ScenarioFaults(faults))
    }
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
fn misnamed(file: &ScenarioFile, draft: &scenario::Draft) -> Option<Diagnostic> {
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
fn twice(drafts: &[(&ScenarioFile, scenario::Draft)]) -> Vec<Diagnostic> {
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

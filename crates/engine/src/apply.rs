//! Applying files: scenarios and stock rules are read, checked together, and published together or not at all.

use std::collections::HashSet;

use jiff::Timestamp;
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::files::{self, Parsed, Read};
use sixpack_model::limits::DIAGNOSTICS;
use sixpack_model::name::ContractName;
use sixpack_model::scenario::{self, Draft};
use sixpack_model::stock::{RuleName, StockFile};
use sixpack_storage::contracts::{Definition, Publication, StoredContract};

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
#[derive(Debug, Clone, Default)]
pub struct Applying {
    /// Nothing is changed.
    pub dry_run: bool,
    /// What is only warned of is refused.
    pub strict: bool,
    /// The only scenario that may be replaced.
    pub over: Option<Over>,
}

/// What a caller has read of a scenario and wants to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// The version; 0 when there was none.
    pub version: u64,
    /// The [mark](scenario::mark) of the text, if that matters as well.
    pub mark: Option<String>,
}

/// What became of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its name.
    pub name: ContractName,
    /// The version that it has now.
    pub version: u32,
    /// `new`, `same`, `compatible` or `breaking`; of a scenario also `updated`, when its text is another and its version the
    /// same.
    pub change: &'static str,
    /// What changed: a pointer and a sentence.
    pub changes: Vec<(String, String)>,
    /// Which scenarios and stock rules no longer fit because of it; in a channel, which would not if it were deployed.
    pub breaks: Vec<Breaks>,
    /// The deployed version that a contract of a channel was held against, or that a deployed version of before has taken
    /// the place of.
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
    /// The [mark](scenario::mark) of its text.
    pub mark: String,
}

impl AppliedFile {
    fn of(file: &ScenarioFile, applied: Applied) -> Self {
        let (path, mark) = (file.path.clone(), scenario::mark(&file.text));
        Self { path, applied, warnings: Vec::new(), mark }
    }
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
            self.catch_up().await?;
            let shelf = self.shelf(environment).unwrap_or_default();
            let at = self.store().now().await?;
            let plan = plan_files(caller, &shelf, read_files(files, at), environment, at, &applying)?;
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
                self.beat_published();
                let rules = rules.applied.into_iter().zip(put);
                let rules = rules.map(|(applied, put)| AppliedRule { put, ..applied }).collect();
                return Ok(AppliedFiles { scenarios, rules });
            }
        }
        Err(Refusal::Busy)
    }

    /// The text of a scenario as it was applied, and its version.
    pub async fn scenario_source(
        &self,
        caller: &Caller,
        environment: &str,
        name: &ContractName,
    ) -> Result<(String, u32), Refusal> {
        let shelf = self.visible_shelf(caller, environment).await?;
        match shelf.entry(name).map(|entry| (&entry.definition, entry.contract.version)) {
            Some((Definition::Scenario(source), version)) => Ok((source.clone(), version)),
            _ => Err(Refusal::unknown("scenario", name)),
        }
    }
}

/// Files as far as they could be read, and what is wrong with their form.
#[derive(Default)]
struct ReadFiles<'a> {
    scenarios: Vec<ReadScenario<'a>>,
    stock: Vec<(String, StockFile)>,
    faults: Vec<Diagnostic>,
    /// Scenarios that seem to stand in files which cannot be understood.
    hidden: Vec<ContractName>,
}

struct ReadScenario<'a> {
    file: &'a ScenarioFile,
    draft: Box<Draft>,
    /// False when something is wrong with its form: what could be read is looked at, and nothing comes of it.
    is_whole: bool,
}

fn read_files(files: &[ScenarioFile], at: Timestamp) -> ReadFiles<'_> {
    let mut read = ReadFiles::default();
    for file in files {
        let Read { parsed, faults } = match &file.named {
            Some(_) => {
                let (draft, faults) = scenario::read_draft(&file.path, &file.text);
                Read { parsed: draft.map(|draft| Parsed::Scenario(Box::new(draft))), faults }
            }
            None => files::read(&file.path, &file.text, at),
        };
        let mut is_whole = faults.is_empty();
        let parsed = parsed.filter(|_| is_worth_a_look(&faults));
        read.faults.extend(faults);
        match parsed {
            Some(Parsed::Scenario(draft)) => {
                if let Some(fault) = misnamed(file, &draft) {
                    read.faults.push(fault);
                    is_whole = false;
                }
                read.scenarios.push(ReadScenario { file, draft, is_whole });
            }
            Some(Parsed::Stock(rules)) => read.stock.push((file.path.clone(), rules)),
            None => {
                read.faults.push(not_looked_at(file));
                read.hidden.extend(files::seems_to_define(&file.text));
            }
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
    applying: &Applying,
) -> Result<FilePlan, Refusal> {
    let ReadFiles { scenarios, stock, mut faults, hidden } = read;
    faults.extend(twice(&scenarios));
    let mut stored = Vec::new();
    let mut applied = Vec::new();
    for ReadScenario { file, draft, is_whole } in &scenarios {
        if *is_whole {
            may_apply(caller, shelf, draft, applying)?;
        }
        if !draft.is_named() {
            continue;
        }
        let definition = Definition::Scenario(file.text.clone());
        // Held against the shelf unchecked first, to know its version; what it hands on is known once it is checked.
        let offered = match shelf.offered(draft.unchecked(1), definition, None) {
            Ok(offered) => offered,
            Err(_) if !is_whole => continue,
            Err(refusal) => return Err(refusal),
        };
        stored.extend(offered.stored);
        applied.push((*file, AppliedFile::of(file, offered.applied)));
    }
    let after = shelf.with(&stored);
    for (file, applied) in &mut applied {
        let Some(entry) = after.entry(&applied.applied.name) else { continue };
        // Of two files that define the same scenario only one is on the shelf.
        if !matches!(&entry.definition, Definition::Scenario(text) if *text == file.text) {
            continue;
        }
        let here = |found: &Diagnostic| Diagnostic { file: file.path.clone(), ..found.clone() };
        faults.extend(entry.faults.iter().map(here));
        let scenario = entry.contract.scenario();
        applied.warnings =
            scenario.into_iter().flat_map(|scenario| scenario.warnings.iter().map(here)).collect();
    }
    let unnamed = scenarios.iter().filter(|scenario| !scenario.draft.is_named());
    faults.extend(unnamed.flat_map(|scenario| after.faults_of(&scenario.file.path, &scenario.file.text)));
    if applying.strict {
        faults.extend(applied.iter().flat_map(|(_, file)| file.warnings.iter().cloned()));
    }
    let (rules, found) = plan_rules(caller, shelf, &after, &stock, environment, at)?;
    faults.extend(found);
    if !faults.is_empty() {
        return Err(Refusal::ScenarioFaults(told_once(faults, &hidden)));
    }
    let applied = applied.into_iter().map(|(_, applied)| applied).collect();
    let (stored, scenarios) = finish(shelf, &after, stored, applied)?;
    Ok(FilePlan { stored, scenarios, rules })
}

/// A scenario belongs to its domain, and replaces what the caller has seen.
fn may_apply(caller: &Caller, shelf: &Shelf, draft: &Draft, applying: &Applying) -> Result<(), Refusal> {
    let name = draft.name();
    if !caller.supplies(name.domain()) {
        return Err(Refusal::unknown("domain", name.domain()));
    }
    let Some(over) = &applying.over else { return Ok(()) };
    let entry = shelf.entry(name);
    let (expected, current) = (over.version, entry.map_or(0, |entry| entry.contract.version.into()));
    if expected != current {
        return Err(Refusal::VersionMismatch { expected, current });
    }
    match (&over.mark, entry.map(|entry| &entry.definition)) {
        (Some(mark), Some(Definition::Scenario(text))) if *mark != scenario::mark(text) => {
            Err(Refusal::TextMismatch { version: expected })
        }
        _ => Ok(()),
    }
}

/// Faults in the order in which they were found, each once, and without those that only echo that a file cannot be
/// understood. A file whose form was told is read again to be type-checked, and tells it again.
fn told_once(faults: Vec<Diagnostic>, hidden: &[ContractName]) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    let is_echo = |fault: &Diagnostic| {
        let names = |name: &ContractName| {
            let quoted = fault.message.trim_start_matches("there is no contract ").trim_start_matches('`');
            let rest = quoted.strip_prefix(name.to_string().as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['`', ';']))
        };
        fault.code == "unknown_contract" && hidden.iter().any(names)
    };
    let place = |fault: &Diagnostic| {
        let Diagnostic { file, line, column, code, message, .. } = fault;
        (file.clone(), *line, *column, *code, message.clone())
    };
    faults.into_iter().filter(|fault| !is_echo(fault) && seen.insert(place(fault))).collect()
}

/// Whether types are looked at beside these faults of form. What is too large costs too much to look at, and when there are
/// as many as are told, nobody would hear of more.
fn is_worth_a_look(faults: &[Diagnostic]) -> bool {
    faults.len() < DIAGNOSTICS && faults.iter().all(|fault| fault.code != "limit")
}

/// Says of a file that more may be wrong with it than is told.
fn not_looked_at(file: &ScenarioFile) -> Diagnostic {
    Diagnostic {
        file: file.path.clone(),
        line: 1,
        column: 1,
        length: 1,
        code: "types_not_checked",
        message: "types were not looked at: too little of this file can be understood, or it is too large"
            .to_owned(),
        hint: Some("mend what else is told about it, and apply it again".to_owned()),
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
        let offered = shelf.offered(entry.contract.as_ref().clone(), contract.definition, None)?;
        file.applied = offered.applied;
        if file.applied.change == "same" && offered.stored.is_some() {
            file.applied.change = "updated";
        }
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
fn twice(scenarios: &[ReadScenario<'_>]) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    let named: Vec<_> = scenarios.iter().filter(|scenario| scenario.draft.is_named()).collect();
    for (place, ReadScenario { file, draft, .. }) in named.iter().enumerate() {
        let first = named[..place].iter().find(|other| other.draft.name() == draft.name());
        if let Some(other) = first {
            faults.push(Diagnostic {
                file: file.path.clone(),
                line: 1,
                column: 1,
                length: 1,
                code: "duplicate_scenario",
                message: format!("{} is also defined in {}", draft.name(), other.file.path),
                hint: Some("keep one of the two".to_owned()),
            });
        }
    }
    faults
}

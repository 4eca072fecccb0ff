//! Stock rules: put, edited and deleted by who supplies the domain of their contract; read by everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use sixpack_model::contract::Contract;
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::event::Event;
use sixpack_model::fault::Fault;
use sixpack_model::limits::STOCK_RULES;
use sixpack_model::name::ContractName;
use sixpack_model::stock::{RuleDraft, RuleEdit, RuleName, StockFile, StockRule};
use sixpack_model::text::nearest;
use sixpack_storage::contracts::Publication;
use sixpack_storage::page::Page;
use sixpack_storage::stock_rules::{Deleted, Edited, Put, PutRules, RuleWrite, StoredRule};

use crate::Engine;
use crate::apply::STALE_LIMIT;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::shelf::Shelf;
use crate::stock_levels::RuleStock;

/// A rule with everything that is shown of it.
#[derive(Debug, Clone)]
pub struct RuleView {
    /// The rule, its revision and its times.
    pub stored: StoredRule,
    /// Why it cannot be filled with what is on offer; empty when it can. Pointers lead into the rule.
    pub faults: Vec<Fault>,
    /// Its contract, in the newest version that is known; to tell what of its input is secret.
    pub contract: Option<Arc<Contract>>,
    /// Whether its window is open, and when that opens next; `None` for a rule without one.
    pub window: Option<(bool, Option<Timestamp>)>,
    /// What there is of what it keeps.
    pub stock: RuleStock,
    /// What its author should know. Pointers lead into the rule.
    pub warnings: Vec<Fault>,
}

/// What became of a rule in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedRule {
    /// The file.
    pub path: String,
    /// The rule.
    pub name: RuleName,
    /// Its contract.
    pub contract: ContractName,
    /// Whether it is new, and its revision; of a dry run those that it would have.
    pub put: Put,
    /// What its author should know. Pointers lead into the rule.
    pub warnings: Vec<Fault>,
}

/// The rules of some files, held against what will be on the shelf.
#[derive(Debug, Default)]
pub(crate) struct RulePlan {
    pub(crate) writes: Vec<RuleWrite>,
    pub(crate) applied: Vec<AppliedRule>,
}

impl RulePlan {
    /// Says of each rule what its author should know; so many leases may be held at one time.
    pub(crate) fn warn(&mut self, leases: u64) {
        for (applied, write) in self.applied.iter_mut().zip(&self.writes) {
            applied.warnings = write.rule.warnings(leases);
        }
    }

    /// True when every rule is there as it is.
    pub(crate) fn changes_nothing(&self) -> bool {
        self.applied.iter().all(|rule| matches!(rule.put, Put::Same(_)))
    }
}

impl Engine {
    /// Puts one rule in place of the one that has its name. With `dry_run` nothing is changed.
    pub async fn put_rule(
        &self,
        caller: &Caller,
        environment: &str,
        draft: &RuleDraft,
        dry_run: bool,
        over: Option<u64>,
    ) -> Result<(RuleView, Put), Refusal> {
        for _ in 0..STALE_LIMIT {
            let shelf = self.visible_shelf(caller, environment).await?;
            let before = shelf.rule(draft.name());
            check_domains(caller, &shelf, draft)?;
            let current = before.map_or(0, |before| before.revision);
            if let Some(expected) = over.filter(|expected| *expected != current) {
                return Err(Refusal::VersionMismatch { expected, current });
            }
            let at = self.now().await?;
            let rule = draft.clone().into_rule(before.map(|before| &before.rule));
            let faults = shelf.rule_faults(&rule);
            if !faults.is_empty() {
                return Err(Refusal::Invalid(faults));
            }
            let put = would_put(&shelf, &rule);
            if dry_run || matches!(put, Put::Same(_)) {
                check_count(&shelf, usize::from(before.is_none()))?;
                let created_at = before.map_or(at, |before| before.created_at);
                let changed_at =
                    before.filter(|_| matches!(put, Put::Same(_))).map_or(at, |one| one.changed_at);
                let stored = StoredRule { rule, revision: put.revision(), created_at, changed_at };
                return Ok((self.view_of(environment, &shelf, stored, at).await?, put));
            }
            let write = RuleWrite { expected: over, event: rule_event(environment, at, &rule, put), rule };
            let publication = Publication { expected_revision: shelf.revision, ..Publication::default() };
            let outcome = self.store().put_rules(environment, publication, vec![write], Vec::new()).await?;
            self.refresh_catalogue(environment).await?;
            if let Some(put) = rules_put(outcome)? {
                self.beat_published();
                let put = put.first().copied().expect("one rule has one result");
                return Ok((self.stock_rule(caller, environment, draft.name()).await?, put));
            }
        }
        Err(Refusal::Busy)
    }

    /// Reads one rule.
    pub async fn stock_rule(
        &self,
        caller: &Caller,
        environment: &str,
        name: &RuleName,
    ) -> Result<RuleView, Refusal> {
        let (shelf, stored) = self.known_rule(caller, environment, name).await?;
        self.view_of(environment, &shelf, stored, self.now().await?).await
    }

    /// One rule as it is kept, and the shelf that it is held against.
    pub(crate) async fn known_rule(
        &self,
        caller: &Caller,
        environment: &str,
        name: &RuleName,
    ) -> Result<(Arc<Shelf>, StoredRule), Refusal> {
        let shelf = self.visible_shelf(caller, environment).await?;
        let stored = self.store().rule(environment, name).await?.ok_or_else(|| unknown(&shelf, name))?;
        Ok((shelf, stored))
    }

    /// Lists rules by name.
    pub async fn stock_rules(
        &self,
        caller: &Caller,
        environment: &str,
        page: Page<RuleName>,
    ) -> Result<Vec<RuleView>, Refusal> {
        let shelf = self.visible_shelf(caller, environment).await?;
        let rules = self.store().rules(environment, page).await?;
        let now = self.now().await?;
        let mut views = Vec::with_capacity(rules.len());
        for stored in rules {
            views.push(self.view_of(environment, &shelf, stored, now).await?);
        }
        Ok(views)
    }

    /// Changes target and state of a rule while it is at work. What it asks for is not looked at, so that also a rule that
    /// no longer fits can be paused.
    pub async fn edit_rule(
        &self,
        caller: &Caller,
        environment: &str,
        name: &RuleName,
        edit: RuleEdit,
        over: Option<u64>,
    ) -> Result<RuleView, Refusal> {
        for _ in 0..STALE_LIMIT {
            let (shelf, before) = self.rule_to_change(caller, environment, name, over).await?;
            let at = self.now().await?;
            let edited = before.rule.edited(edit);
            let event = rule_event(environment, at, &edited, Put::Changed(before.revision));
            match self.store().edit_rule(environment, name, before.revision, edit, event).await? {
                Edited::Rule(stored) => {
                    if stored.revision != before.revision {
                        self.refresh_catalogue(environment).await?;
                        self.beat_published();
                    }
                    return self.view_of(environment, &shelf, *stored, at).await;
                }
                Edited::Stale(_) => {}
                Edited::Unknown => return Err(unknown(&shelf, name)),
            }
        }
        Err(Refusal::Busy)
    }

    /// Deletes a rule.
    pub async fn delete_rule(
        &self,
        caller: &Caller,
        environment: &str,
        name: &RuleName,
        over: Option<u64>,
    ) -> Result<(), Refusal> {
        for _ in 0..STALE_LIMIT {
            let (shelf, before) = self.rule_to_change(caller, environment, name, over).await?;
            let told = json!({ "rule": name.to_string(), "contract": before.rule.contract.to_string() });
            let event = Event::of_environment(environment, self.now().await?, "stock_rule.deleted", told);
            match self.store().delete_rule(environment, name, before.revision, event).await? {
                Deleted::Gone => {
                    self.refresh_catalogue(environment).await?;
                    self.beat_published();
                    return Ok(());
                }
                Deleted::Stale(_) => {}
                Deleted::Unknown => return Err(unknown(&shelf, name)),
            }
        }
        Err(Refusal::Busy)
    }

    async fn view_of(
        &self,
        environment: &str,
        shelf: &Shelf,
        stored: StoredRule,
        now: Timestamp,
    ) -> Result<RuleView, Refusal> {
        let stock = self.rule_stock(environment, shelf, &stored.rule).await?;
        let warnings = stored.rule.warnings(self.inner.settings.leases_per_environment);
        Ok(RuleView { stock, warnings, ..view(shelf, stored, now) })
    }

    /// The rule as it is kept, if the caller may change it and has seen it as it is.
    async fn rule_to_change(
        &self,
        caller: &Caller,
        environment: &str,
        name: &RuleName,
        over: Option<u64>,
    ) -> Result<(Arc<Shelf>, StoredRule), Refusal> {
        let shelf = self.visible_shelf(caller, environment).await?;
        let stored = self.store().rule(environment, name).await?;
        let current = stored.as_ref().map_or(0, |stored| stored.revision);
        let own = stored.filter(|stored| caller.supplies(stored.rule.contract.domain()));
        let own = own.ok_or_else(|| unknown(&shelf, name))?;
        match over.filter(|expected| *expected != current) {
            Some(expected) => Err(Refusal::VersionMismatch { expected, current }),
            None => Ok((shelf, own)),
        }
    }
}

/// Holds the rules of some files against the shelf as it will be, and collects what is wrong with any of them.
pub(crate) fn plan_rules(
    caller: &Caller,
    before: &Shelf,
    after: &Shelf,
    files: &[(String, StockFile)],
    environment: &str,
    at: Timestamp,
) -> Result<(RulePlan, Vec<Diagnostic>), Refusal> {
    let mut plan = RulePlan::default();
    let mut faults = Vec::new();
    let mut seen: BTreeMap<&RuleName, &str> = BTreeMap::new();
    // What is wrong with a scenario of the same call is told where it stands.
    let is_told = |contract: &ContractName, fault: &Fault| {
        let definition = |shelf: &Shelf| shelf.entry(contract).map(|entry| entry.definition.clone());
        fault.code == "contract_broken" && definition(before) != definition(after)
    };
    for (path, file) in files {
        for sketch in file.sketches() {
            let mut found = after.rule_faults(sketch.rule());
            found.retain(|fault| !is_told(&sketch.rule().contract, fault));
            faults.extend(file.sketch_diagnostics(sketch, &found));
        }
        for draft in file.rules() {
            let name = draft.name();
            if let Some(other) = seen.insert(name, path) {
                faults.push(file.duplicate(name, other));
                continue;
            }
            check_domains(caller, before, draft)?;
            let rule = draft.clone().into_rule(before.rule(name).map(|before| &before.rule));
            let mut found = after.rule_faults(&rule);
            found.retain(|fault| !is_told(&rule.contract, fault));
            faults.extend(file.diagnostics(name, &found));
            let put = would_put(before, &rule);
            let contract = rule.contract.clone();
            plan.applied.push(AppliedRule {
                path: path.clone(),
                name: name.clone(),
                contract,
                put,
                warnings: Vec::new(),
            });
            plan.writes.push(RuleWrite {
                expected: None,
                event: rule_event(environment, at, &rule, put),
                rule,
            });
        }
    }
    let new = plan.applied.iter().filter(|rule| matches!(rule.put, Put::Created(_))).count();
    check_count(before, new)?;
    Ok((plan, faults))
}

/// What became of rules that were put; `None` when the catalogue has to be read again first.
pub(crate) fn rules_put(outcome: PutRules) -> Result<Option<Vec<Put>>, Refusal> {
    match outcome {
        PutRules::Put(put) => Ok(Some(put)),
        // Who wants to replace one revision only is told when the rule has been read again.
        PutRules::Stale | PutRules::RuleStale(..) => Ok(None),
        PutRules::TooMany => Err(too_many()),
    }
}

/// A rule belongs to the domain of its contract, and so does the one that it replaces.
fn check_domains(caller: &Caller, shelf: &Shelf, draft: &RuleDraft) -> Result<(), Refusal> {
    let before = shelf.rule(draft.name()).map(|before| before.rule.contract.domain());
    for domain in [draft.contract().domain()].into_iter().chain(before) {
        if !caller.supplies(domain) {
            return Err(Refusal::unknown("domain", domain));
        }
    }
    Ok(())
}

fn check_count(shelf: &Shelf, new: usize) -> Result<(), Refusal> {
    if new > 0 && shelf.rules().len() + new > STOCK_RULES { Err(too_many()) } else { Ok(()) }
}

fn too_many() -> Refusal {
    let message = format!(
        "would be one stock rule too many: an environment has at most {STOCK_RULES}, each of which may keep many datasets; \
         delete what nobody needs"
    );
    Refusal::Invalid(vec![Fault::new("", "limit", message)])
}

/// What putting the rule would do.
fn would_put(shelf: &Shelf, rule: &StockRule) -> Put {
    match shelf.rule(&rule.name) {
        Some(before) if before.rule == *rule => Put::Same(before.revision),
        Some(_) => Put::Changed(shelf.revision + 1),
        None => Put::Created(shelf.revision + 1),
    }
}

fn rule_event(environment: &str, at: Timestamp, rule: &StockRule, put: Put) -> Event {
    let kind = match put {
        Put::Created(_) => "stock_rule.new",
        Put::Changed(_) | Put::Same(_) => "stock_rule.changed",
    };
    let told = json!({
        "rule": rule.name.to_string(),
        "contract": rule.contract.to_string(),
        "target": rule.target,
        "state": rule.state.name(),
    });
    Event::of_environment(environment, at, kind, told)
}

fn view(shelf: &Shelf, stored: StoredRule, now: Timestamp) -> RuleView {
    let window = stored.rule.window.as_ref();
    RuleView {
        faults: shelf.rule_faults(&stored.rule),
        contract: shelf.last_known(&stored.rule.contract),
        window: window.map(|window| (window.is_open(now), window.next_opening(now))),
        stock: RuleStock::default(),
        warnings: Vec::new(),
        stored,
    }
}

fn unknown(shelf: &Shelf, name: &RuleName) -> Refusal {
    // What is there and not the caller's to change has that very name, which helps nobody.
    let names = shelf.rules().map(|(known, _)| known.as_str()).filter(|known| *known != name.as_str());
    Refusal::Unknown {
        what: "stock rule",
        name: name.to_string(),
        nearest: nearest(name.as_str(), names).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use sixpack_storage::contracts::{Definition, StoredCatalogue, StoredContract};

    use super::*;

    #[test]
    fn a_rule_whose_contract_was_withdrawn_says_so_and_still_knows_what_is_secret() {
        let manifest = json!({
            "name": "first", "owner": { "team": "A" }, "operations": ["produce"], "output": true,
            "input": { "properties": { "pin": { "x-secret": true } } },
        });
        let contract = StoredContract {
            name: "a/first".to_owned(),
            version: 2,
            definition: Definition::Capability(manifest),
            fingerprint: String::new(),
            change: "new".to_owned(),
            changes: json!([]),
            channel: None,
            published_at: Timestamp::UNIX_EPOCH,
        };
        let rule = json!({ "contract": "a/first", "target": 1, "input": { "pin": "1234" } });
        let draft = RuleDraft::read("rule".parse().unwrap(), &rule, Timestamp::UNIX_EPOCH).unwrap();
        let stored = StoredRule {
            rule: draft.into_rule(None),
            revision: 1,
            created_at: Timestamp::UNIX_EPOCH,
            changed_at: Timestamp::UNIX_EPOCH,
        };
        let catalogue = StoredCatalogue {
            revision: 3,
            contracts: Vec::new(),
            withdrawn: vec![contract],
            on_offer: Default::default(),
            in_channels: Vec::new(),
            rules: vec![stored.clone()],
        };
        let view = view(&Shelf::of(catalogue, &Shelf::default()), stored, Timestamp::UNIX_EPOCH);
        assert_eq!((view.faults[0].pointer.as_str(), view.faults[0].code), ("/contract", "unknown_contract"));
        assert!(view.contract.unwrap().input.has_secrets());
    }
}

//! The type checker: everything about a scenario that can be known to fail before it runs.
//!
//! It looks at the contracts that the steps use, and finds all faults at once. It is told nothing about values: where a
//! schema leaves something open, it holds its peace and the check at run time decides.

mod bind;
mod criteria;
mod graph;
mod infer;
mod literals;
mod preference;
mod schemas;
mod static_type;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::contract::Contract;
use crate::diagnostic::{Diagnostic, Position, sort};
use crate::expression::Expression;
use crate::expression::syntax::Kind;
use crate::limits::{CONTRACTS_LOOKED_FOR, DIAGNOSTICS, FOR_EACH_VALUES};
use crate::name::ContractName;
use crate::scenario::{self, Draft, DraftStep, Invariant, Located, Scenario, Step};
use crate::schema::Schema;

pub use criteria::check_criteria;
pub use preference::check_preference;

use bind::{Binder, output_schema};
use graph::Edge;
use infer::Surroundings;
use schemas::Reference;
use static_type::{Below, Kinds, Type, meant};

/// The contracts of an environment, as a scenario that is applied now would find them.
pub trait Contracts {
    /// The offered version of a contract.
    fn contract(&self, name: &ContractName) -> Option<Arc<Contract>>;

    /// The names of all contracts, for suggestions.
    fn names(&self) -> Vec<String>;
}

/// Checks a draft; reports everything that is wrong with it at once, top to bottom.
pub fn check(draft: &Draft, contracts: &dyn Contracts) -> Result<Scenario, Vec<Diagnostic>> {
    let mut checker = Checker::new(draft, contracts);
    let scenario = checker.scenario();
    let mut diagnostics = checker.diagnostics;
    sort(&mut diagnostics);
    match scenario {
        Some(scenario) if diagnostics.is_empty() => Ok(scenario),
        _ => Err(diagnostics),
    }
}

/// Reads and checks a file; the faults of its form and of its types come together.
pub fn check_file(file: &str, text: &str, contracts: &dyn Contracts) -> Result<Scenario, Vec<Diagnostic>> {
    let (draft, mut diagnostics) = scenario::read_draft(file, text);
    let checked = draft.map(|draft| check(&draft, contracts));
    match checked {
        Some(Ok(scenario)) if diagnostics.is_empty() => Ok(scenario),
        other => {
            if let Some(Err(more)) = other {
                diagnostics.extend(more);
            }
            sort(&mut diagnostics);
            Err(diagnostics)
        }
    }
}

struct Checker<'a> {
    draft: &'a Draft,
    contracts: &'a dyn Contracts,
    found: HashMap<&'a str, Arc<Contract>>,
    /// Unknown contracts for which a near one was looked for.
    looked_for: usize,
    diagnostics: Vec<Diagnostic>,
    /// Inputs of steps that nothing reads.
    undeclared: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn new(draft: &'a Draft, contracts: &'a dyn Contracts) -> Self {
        Self {
            draft,
            contracts,
            found: HashMap::new(),
            looked_for: 0,
            diagnostics: Vec::new(),
            undeclared: Vec::new(),
        }
    }

    fn scenario(&mut self) -> Option<Scenario> {
        let draft = self.draft;
        for step in &draft.steps {
            self.find(step);
            self.needs(step);
            if self.is_full() {
                return None;
            }
        }
        let edges: HashMap<&str, Vec<Edge>> =
            draft.steps.iter().map(|step| (step.name.as_str(), graph::edges(draft, step))).collect();
        let order = graph::order(draft, &edges).map_err(|circles| self.diagnostics.extend(circles)).ok();
        let outputs = self.outputs();
        for step in &draft.steps {
            self.step(step, &outputs);
            if self.is_full() {
                return None;
            }
        }
        self.invariants(&outputs);
        let output_schema = self.output(&outputs);
        let steps = order?.into_iter().map(|index| checked_step(&draft.steps[index], &edges)).collect();
        Some(Scenario {
            name: draft.name.clone(),
            owner: draft.owner.clone(),
            description: draft.description.clone(),
            labels: draft.labels.clone(),
            input: draft.input.clone(),
            output_schema: output_schema?,
            steps,
            invariants: draft.invariants.iter().map(checked_invariant).collect(),
            output: draft.output.clone(),
            settle_s: draft.settle_s,
            timeout_s: draft.timeout_s,
            source: draft.source.clone(),
            warnings: self.warnings(),
        })
    }

    /// Steps come in the order of the file, so that what is found so far is what the report begins with.
    fn is_full(&self) -> bool {
        self.diagnostics.len() >= DIAGNOSTICS
    }

    fn find(&mut self, step: &'a DraftStep) {
        let name = &step.uses.value;
        match self.contracts.contract(name) {
            Some(contract) => {
                self.diagnostics.extend(graph::nesting(self.draft, step, &contract, self.contracts));
                self.found.insert(&step.name, contract);
            }
            None if *name == self.draft.name => {
                let message = format!("the scenario uses itself: {name} → {name}");
                self.push(
                    step.uses.place.position,
                    "cycle",
                    message,
                    "use a contract that does not lead back here",
                );
            }
            None => {
                let hint = match self.nearest_contract(name) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "start the supplier that offers it, or apply the scenario first".to_owned(),
                };
                self.push(
                    step.uses.place.position,
                    "unknown_contract",
                    format!("there is no contract `{name}`"),
                    hint,
                );
            }
        }
    }

    fn nearest_contract(&mut self, name: &ContractName) -> Option<String> {
        self.looked_for += 1;
        if self.looked_for > CONTRACTS_LOOKED_FOR {
            return None;
        }
        let names = self.contracts.names();
        crate::text::nearest(&name.to_string(), names.iter().map(String::as_str)).map(str::to_owned)
    }

    fn needs(&mut self, step: &DraftStep) {
        for need in &step.needs {
            if !self.draft.step_names.contains(&need.value) {
                let message = format!("there is no step `{}`", crate::text::excerpt(&need.value));
                let hint = meant(&need.value, &self.draft.step_names, "steps");
                self.push(need.place.position, "unknown_step", message, hint);
            }
        }
    }

    /// What bindings read from each step.
    fn outputs(&self) -> HashMap<String, Type> {
        let output = |contract: &Arc<Contract>| Reference::new(&contract.output).typed();
        self.by_step(output)
    }

    /// What invariants read from each step.
    fn facts(&self) -> HashMap<String, Type> {
        let below = Arc::new(self.below());
        self.by_step(|contract| Type::facts(contract, &below))
    }

    fn by_step(&self, typed: impl Fn(&Arc<Contract>) -> Type) -> HashMap<String, Type> {
        let one = |step: &DraftStep| {
            let found = self.found.get(step.name.as_str()).map_or_else(Type::any, &typed);
            found.of_step(&step.name, step.for_each.is_some(), step.condition.is_some())
        };
        self.draft.steps.iter().map(|step| (step.name.clone(), one(step))).collect()
    }

    /// The contracts of the steps, and those below them.
    fn below(&self) -> Below {
        let mut found: HashMap<ContractName, Arc<Contract>> = HashMap::new();
        let mut next: Vec<Arc<Contract>> = self.found.values().cloned().collect();
        while let Some(contract) = next.pop() {
            if found.insert(contract.name.clone(), Arc::clone(&contract)).is_none()
                && let Some(scenario) = contract.scenario()
            {
                next.extend(scenario.uses().filter_map(|name| self.contracts.contract(name)));
            }
        }
        Below(found)
    }

    fn step(&mut self, step: &DraftStep, outputs: &HashMap<String, Type>) {
        let mut binder = self.binder(outputs, None);
        if let Some(Located { value, place }) = &step.condition {
            let mut present = binder.condition(value, place);
            present.extend(self.implied(value));
            binder.surroundings.present = present;
        }
        if let Some(Located { value, place }) = &step.for_each {
            let found = binder.infer(value, place);
            if let Kind::List(values) = &value.root().kind
                && values.len() > FOR_EACH_VALUES
            {
                let message =
                    format!("`for_each` has {} values; at most {FOR_EACH_VALUES} are allowed", values.len());
                let wrong = Diagnostic::new(&self.draft.file, place.position, "limit", message);
                binder.diagnostics.push(wrong.hint("request several datasets instead"));
            }
            if !found.kinds.meets(Kinds::LIST) {
                let message = format!("`for_each` takes a list, this is {}", found.kinds.words());
                let wrong = Diagnostic::new(&self.draft.file, place.position, "type_mismatch", message);
                binder.diagnostics.push(wrong.hint("give a list, as in `input.countries` or `[1, 2, 3]`"));
            } else if let Some(skipped) = &found.skipped {
                let message = format!("`{skipped}` may be skipped, and `for_each` does not take null");
                let wrong = Diagnostic::new(&self.draft.file, place.position, "maybe_skipped", message);
                binder.diagnostics.push(wrong.hint(format!(
                    "write `steps.{skipped} != null ? … : []`, or put the same `if` on this step"
                )));
            }
            binder.surroundings.each = Some(found.element());
        }
        match self.found.get(step.name.as_str()) {
            Some(contract) => {
                binder.bind_input(&step.with.root, &Reference::new(&contract.input), step.position);
            }
            None => binder.look(&step.with.root),
        }
        self.diagnostics.extend(binder.diagnostics);
        self.undeclared.extend(binder.warnings);
        self.undeclared.truncate(DIAGNOSTICS);
    }

    /// The steps whose own condition is part of this one: where this step runs, they have run.
    fn implied(&self, condition: &Expression) -> Vec<String> {
        let here = conjuncts(condition);
        let implied = |step: &&DraftStep| {
            step.condition
                .as_ref()
                .is_some_and(|other| conjuncts(&other.value).iter().all(|part| here.contains(part)))
        };
        self.draft.steps.iter().filter(implied).map(|step| step.name.clone()).collect()
    }

    fn invariants(&mut self, outputs: &HashMap<String, Type>) {
        let facts = self.facts();
        let mut binder = self.binder(outputs, Some(&facts));
        for invariant in &self.draft.invariants {
            binder.condition(&invariant.that.value, &invariant.that.place);
        }
        let found = binder.diagnostics;
        self.diagnostics.extend(found);
    }

    /// The schema of the output; what it refers to and is not there is an output that nobody can reach.
    fn output(&mut self, outputs: &HashMap<String, Type>) -> Option<Schema> {
        let mut binder = self.binder(outputs, None);
        let document = output_schema(&self.draft.output.root, &mut binder);
        for mut found in binder.diagnostics {
            if matches!(found.code, "unknown_step" | "unknown_field" | "unknown_variable") {
                found.code = "unreachable_output";
            }
            self.diagnostics.push(found);
        }
        match Schema::parse(&document) {
            Ok(schema) => Some(schema),
            Err(faults) => {
                let at = self.draft.output.root.place.position;
                for fault in faults {
                    let message = format!("the schema of the output {}", fault.message);
                    self.push(at, fault.code, message, "give out fewer fields");
                }
                None
            }
        }
    }

    /// What the file alone shows, and what the contracts of the steps show beside it.
    fn warnings(&self) -> Vec<Diagnostic> {
        let draft = self.draft;
        let mut warnings = draft.warnings.clone();
        warnings.extend_from_slice(&self.undeclared);
        for step in &draft.steps {
            let input = self.found.get(step.name.as_str()).map(|contract| Reference::new(&contract.input));
            warnings.extend(literals::in_template(&draft.file, &step.with.root, input));
        }
        warnings.extend(literals::in_template(&draft.file, &draft.output.root, None));
        sort(&mut warnings);
        warnings
    }

    fn binder<'b>(
        &self,
        outputs: &'b HashMap<String, Type>,
        facts: Option<&'b HashMap<String, Type>>,
    ) -> Binder<'b>
    where
        'a: 'b,
    {
        let surroundings = Surroundings {
            input: Reference::new(&self.draft.input).typed(),
            steps: outputs,
            facts,
            names: &self.draft.step_names,
            each: None,
            present: Vec::new(),
        };
        Binder { file: &self.draft.file, surroundings, diagnostics: Vec::new(), warnings: Vec::new() }
    }

    fn push(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic::new(&self.draft.file, at, code, message).hint(hint));
    }
}

fn conjuncts(expression: &Expression) -> Vec<&str> {
    let root = expression.root();
    let parts = match &root.kind {
        Kind::And(parts) => parts.iter().map(|part| part.range.clone()).collect(),
        _ => vec![root.range.clone()],
    };
    parts.into_iter().filter_map(|range| expression.text().get(range)).collect()
}

fn checked_step(step: &DraftStep, edges: &HashMap<&str, Vec<Edge>>) -> Step {
    Step {
        name: step.name.clone(),
        uses: step.uses.value.clone(),
        with: step.with.clone(),
        depends_on: edges[step.name.as_str()].iter().map(|edge| edge.to.clone()).collect(),
        condition: step.condition.as_ref().map(|located| located.value.clone()),
        for_each: step.for_each.as_ref().map(|located| located.value.clone()),
        retry: step.retry,
        timeout_s: step.timeout_s,
        from: step.from,
    }
}

fn checked_invariant(invariant: &scenario::DraftInvariant) -> Invariant {
    Invariant { that: invariant.that.value.clone(), says: invariant.says.clone() }
}

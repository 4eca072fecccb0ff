//! Bindings: the values that a step is made from, and that a scenario hands on.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Plan;
use super::steps::Steps;
use crate::contract::Contract;
use crate::expression::Scope;
use crate::fault::Fault;
use crate::limits::FOR_EACH_VALUES;
use crate::scenario::Step;
use crate::tree::{Part, PartStatus};

/// What a step is to be made from.
pub(super) enum Bound {
    /// Its condition says that it is not needed.
    NotNeeded,
    /// One dataset from this input.
    One(Value),
    /// One dataset for each of these inputs, in this order.
    Each(Vec<Value>),
}

impl Plan<'_> {
    /// Evaluates condition, `for_each` and bindings of a step of the scenario part `node`.
    pub(super) fn bind_step(&self, node: u32, step: &Step, steps: &Steps<'_>) -> Result<Bound, String> {
        let steps = self.steps_value(steps, step.depends_on.iter().map(String::as_str));
        let scope =
            Scope { input: Some(&self.part(node).input), steps: Some(&steps), facts: None, each: None };
        if let Some(condition) = &step.condition {
            match condition.evaluate(&scope).map_err(|error| format!("`if`: {error}"))? {
                Value::Bool(true) => {}
                Value::Bool(false) => return Ok(Bound::NotNeeded),
                other => return Err(format!("`if` must be true or false, it is {}", kind_of(&other))),
            }
        }
        let Some(for_each) = &step.for_each else {
            return step.with.evaluate(&scope).map(Bound::One).map_err(|error| format!("`with`: {error}"));
        };
        let values = match for_each.evaluate(&scope).map_err(|error| format!("`for_each`: {error}"))? {
            Value::Array(values) => values,
            other => return Err(format!("`for_each` must be a list, it is {}", kind_of(&other))),
        };
        if values.len() > FOR_EACH_VALUES {
            return Err(format!(
                "`for_each` has {} values; at most {FOR_EACH_VALUES} are allowed",
                values.len()
            ));
        }
        let bind = |(index, value): (usize, &Value)| {
            let scope = Scope { each: Some((value, index as u64)), ..scope };
            step.with.evaluate(&scope).map_err(|error| format!("`with` of [{index}]: {error}"))
        };
        values.iter().enumerate().map(bind).collect::<Result<_, _>>().map(Bound::Each)
    }

    /// What a scenario hands on once all its steps are there.
    pub(super) fn bind_output(
        &self,
        node: u32,
        contract: &Contract,
        steps: &Steps<'_>,
    ) -> Result<Value, String> {
        let scenario = contract.scenario().expect("only a scenario has an output to bind");
        let references = scenario.output.references();
        let steps = self.steps_value(steps, references.into_iter());
        let scope =
            Scope { input: Some(&self.part(node).input), steps: Some(&steps), facts: None, each: None };
        scenario.output.evaluate(&scope).map_err(|error| format!("`output`: {error}"))
    }

    /// Outputs by step name: null for a step that was not needed, a list for one with `for_each`.
    fn steps_value<'a>(&self, steps: &Steps<'_>, names: impl Iterator<Item = &'a str>) -> Value {
        let names: BTreeSet<&str> = names.collect();
        self.by_step(names.into_iter().flat_map(|name| steps.parts(name)).copied(), output_of)
    }

    /// The outputs of all steps.
    pub(super) fn all_steps_value(&self, node: u32) -> Value {
        self.by_step(self.children(node), output_of)
    }

    /// Facts by step name; those of a nested scenario are again by step name.
    pub(super) fn facts_value(&self, node: u32) -> Value {
        self.by_step(self.children(node), |part| {
            let nested = self.contract(part.part).is_some_and(|contract| contract.scenario().is_some());
            if part.status == PartStatus::Skipped {
                // An empty loop has handed on an empty list; its facts are one as well.
                return output_of(part);
            }
            if nested {
                return self.facts_value(part.part);
            }
            part.facts.as_deref().cloned().unwrap_or(Value::Null)
        })
    }

    fn by_step(&self, parts: impl Iterator<Item = u32>, value_of: impl Fn(&Part) -> Value) -> Value {
        let mut steps = Map::new();
        for part in parts.map(|part| self.part(part)) {
            match part.index {
                None => drop(steps.insert(part.step.clone(), value_of(part))),
                Some(_) => {
                    let list = steps.entry(part.step.clone()).or_insert_with(|| Value::Array(Vec::new()));
                    list.as_array_mut().expect("a step has either one part or a list").push(value_of(part));
                }
            }
        }
        Value::Object(steps)
    }
}

/// What a part hands on: null when it was not needed.
fn output_of(part: &Part) -> Value {
    part.output.as_deref().cloned().unwrap_or(Value::Null)
}

/// Fills defaults in and holds an input against the contract that takes it.
pub(super) fn accept_input(contract: &Contract, input: Value) -> Result<Arc<Value>, String> {
    let input = contract.input.with_defaults(input);
    let faults = contract.input.validate(&input);
    if faults.is_empty() { Ok(Arc::new(input)) } else { Err(list(&faults)) }
}

/// Faults in one sentence.
pub(super) fn list(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| match fault.pointer.as_str() {
            "" => fault.message.clone(),
            pointer => format!("{pointer}: {}", fault.message),
        })
        .collect();
    lines.join("; ")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

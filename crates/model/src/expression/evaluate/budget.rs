//! The budget of an evaluation: steps taken and bytes made, counted before either happens.

use serde_json::Value as Json;

use super::{Machine, Outcome, failure};
use crate::expression::syntax::Node;
use crate::expression::value::Value;
use crate::limits::{EXPRESSION_MADE_BYTES, EXPRESSION_STEPS};

/// What one element of a list or map that an expression makes counts for.
pub(super) const ELEMENT_BYTES: usize = size_of::<Value<'_>>();

/// What an evaluation has left to spend.
pub(in crate::expression) struct Budget {
    steps: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn full() -> Self {
        Self { steps: EXPRESSION_STEPS, bytes: EXPRESSION_MADE_BYTES }
    }

    /// Spends `steps` on looking at something.
    pub(in crate::expression) fn look(&mut self, node: &Node, steps: usize) -> Outcome<()> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(failure(
                node,
                "expression_budget",
                format!("the evaluation takes more than {EXPRESSION_STEPS} steps"),
            )),
        }
    }

    /// Spends a step for each 64 bytes of a text.
    pub(in crate::expression) fn read(&mut self, node: &Node, bytes: usize) -> Outcome<()> {
        self.look(node, bytes / 64)
    }

    /// Spends `bytes` before they are allocated.
    pub(in crate::expression) fn make(&mut self, node: &Node, bytes: usize) -> Outcome<()> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                self.read(node, bytes)
            }
            None => Err(failure(
                node,
                "expression_budget",
                format!("the evaluation makes more than {EXPRESSION_MADE_BYTES} bytes"),
            )),
        }
    }
}

impl<'a> Machine<'a> {
    /// Pays for writing the value out: what refers to one part many times grows only then.
    ///
    /// A value that lies in the scope as it is costs nothing; it is as large as the scope allows.
    pub(super) fn weigh(&mut self, node: &Node, value: &Value<'a>) -> Outcome<()> {
        match value {
            Value::List(values) => values.iter().try_for_each(|value| self.weigh_part(node, value)),
            Value::Map(fields) => fields.iter().try_for_each(|(name, value)| {
                self.budget.make(node, name.len())?;
                self.weigh_part(node, value)
            }),
            _ => Ok(()),
        }
    }

    fn weigh_part(&mut self, node: &Node, value: &Value<'a>) -> Outcome<()> {
        self.budget.look(node, 1)?;
        match value {
            Value::Json(json) => self.budget.make(node, size_of::<Json>() + weight(json)),
            Value::Text(text) => self.budget.make(node, size_of::<Json>() + text.len()),
            Value::Made(text) => self.budget.make(node, size_of::<Json>() + text.len()),
            _ => {
                self.budget.make(node, size_of::<Json>())?;
                self.weigh(node, value)
            }
        }
    }
}

/// About how many bytes a copy of a JSON value takes.
fn weight(json: &Json) -> usize {
    match json {
        Json::Null | Json::Bool(_) => 0,
        Json::Number(number) => number.as_str().len(),
        Json::String(text) => text.len(),
        Json::Array(values) => values.iter().map(|value| size_of::<Json>() + weight(value)).sum(),
        Json::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + size_of::<Json>() + weight(value)).sum()
        }
    }
}

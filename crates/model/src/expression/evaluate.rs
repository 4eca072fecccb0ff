//! Evaluation of expressions, step by step, within a budget of steps and of bytes.

mod budget;
mod compare;
mod loops;

use std::ops::Range;
use std::rc::Rc;

use serde_json::Value as Json;

use super::Scope;
use super::functions::call;
use super::number::{Impossible, Number};
use super::syntax::{Kind, Literal, Node, Operator, Root};
use super::value::{Value, View};
use crate::text::excerpt;

pub(super) use budget::Budget;
use budget::ELEMENT_BYTES;

/// Why an evaluation stopped, and at which bytes of the text.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) range: Range<usize>,
}

pub(super) type Outcome<T> = Result<T, Failure>;

/// Evaluates a syntax tree.
pub(super) fn evaluate(root: &Node, scope: &Scope<'_>) -> Outcome<Json> {
    let mut machine = Machine { scope, locals: Vec::new(), budget: Budget::full() };
    let value = machine.value(root)?;
    machine.weigh(root, &value)?;
    value.into_json().ok_or_else(|| {
        failure(root, "not_finite", "the result is infinite or not a number, which JSON cannot carry")
    })
}

struct Machine<'a> {
    scope: &'a Scope<'a>,
    locals: Vec<Value<'a>>,
    budget: Budget,
}

impl<'a> Machine<'a> {
    fn value(&mut self, node: &'a Node) -> Outcome<Value<'a>> {
        self.budget.look(node, 1)?;
        match &node.kind {
            Kind::Literal(literal) => Ok(match literal {
                Literal::Null => Value::Null,
                Literal::Bool(value) => Value::Bool(*value),
                Literal::Int(value) => Value::Number(Number::Int(*value)),
                Literal::UInt(value) => Value::Number(Number::UInt(*value)),
                Literal::Double(value) => Value::Number(Number::Double(*value)),
                Literal::Text(value) => Value::Text(value),
            }),
            Kind::Root(root) => self.variable(node, *root),
            Kind::Local(slot) => Ok(self.locals[*slot].clone()),
            Kind::Select(of, name) => {
                let value = select(node, &self.value(of)?, name)?;
                let skipped = value.is_null() && node.step().is_some();
                Ok(if skipped { Value::Skipped } else { value })
            }
            Kind::Has(of, name) => {
                let value = self.value(of)?;
                match value.view() {
                    View::Map(fields) => Ok(Value::Bool(fields.get(name).is_some())),
                    View::Null if matches!(value, Value::Skipped) => Ok(Value::Bool(false)),
                    _ => Err(failure(node, "no_such_field", format!("{} has no fields", value.kind()))),
                }
            }
            Kind::Index(of, index) => {
                let (value, index) = (self.value(of)?, self.value(index)?);
                at(node, &value, &index)
            }
            Kind::Not(of) => Ok(Value::Bool(!self.condition(of)?)),
            Kind::Negate(of) => {
                let value = self.value(of)?;
                match value.view() {
                    View::Number(number) => {
                        Ok(Value::Number(number.negate().map_err(|why| impossible(node, why))?))
                    }
                    _ => Err(unfit(node, "-", &value)),
                }
            }
            Kind::And(parts) => self.junction(parts, false),
            Kind::Or(parts) => self.junction(parts, true),
            Kind::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(node, *operator, &left, &right)
            }
            Kind::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                if self.condition(condition)? { self.value(then) } else { self.value(otherwise) }
            }
            Kind::List(parts) => {
                self.budget.make(node, parts.len() * ELEMENT_BYTES)?;
                let values = parts.iter().map(|part| self.value(part)).collect::<Outcome<_>>()?;
                Ok(Value::List(Rc::new(values)))
            }
            Kind::Map(entries) => self.map(node, entries),
            Kind::Call(function, arguments, pattern) => {
                let values =
                    arguments.iter().map(|argument| self.value(argument)).collect::<Outcome<Vec<_>>>()?;
                call(&mut self.budget, node, *function, &values, pattern.as_ref())
            }
            Kind::Comprehension(inner) => self.comprehension(node, inner),
        }
    }

    fn variable(&self, node: &Node, root: Root) -> Outcome<Value<'a>> {
        let value = match root {
            Root::Input => self.scope.input.map(Value::Json),
            Root::Steps => self.scope.steps.map(Value::Json),
            Root::Facts => self.scope.facts.map(Value::Json),
            Root::EachValue => self.scope.each.map(|(value, _)| Value::Json(value)),
            Root::EachIndex => self.scope.each.map(|(_, index)| Value::Number(integer(index))),
        };
        value.ok_or_else(|| failure(node, "no_such_variable", format!("`{}` is not there", root.name())))
    }

    fn condition(&mut self, node: &'a Node) -> Outcome<bool> {
        let value = self.value(node)?;
        match value.view() {
            View::Bool(value) => Ok(value),
            _ => Err(failure(
                node,
                "wrong_type",
                format!("{} stands where true or false is expected", value.kind()),
            )),
        }
    }

    /// `&&` and `||`: the value that `decides` wins over an error on either side, as CEL defines it.
    fn junction(&mut self, parts: &'a [Node], decides: bool) -> Outcome<Value<'a>> {
        let mut failed = None;
        for part in parts {
            match self.condition(part) {
                Ok(value) if value == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(budget) if budget.code == "expression_budget" => return Err(budget),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn binary(
        &mut self,
        node: &'a Node,
        operator: Operator,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Outcome<Value<'a>> {
        match operator {
            Operator::Equal => Ok(Value::Bool(self.equal(node, left, right)?)),
            Operator::Unequal => Ok(Value::Bool(!self.equal(node, left, right)?)),
            Operator::In => self.contains(node, left, right).map(Value::Bool),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                self.order(node, operator, left, right).map(Value::Bool)
            }
            _ => match (left.view(), right.view()) {
                (View::Number(one), View::Number(other)) => {
                    one.calculate(operator, other).map(Value::Number).map_err(|why| impossible(node, why))
                }
                (View::Text(one), View::Text(other)) if operator == Operator::Add => {
                    self.budget.make(node, one.len() + other.len())?;
                    Ok(Value::Made([one, other].concat().into()))
                }
                (View::List(one), View::List(other)) if operator == Operator::Add => {
                    self.budget.make(node, (one.len() + other.len()) * ELEMENT_BYTES)?;
                    Ok(Value::List(Rc::new(one.iter().chain(other.iter()).collect())))
                }
                (View::Huge, View::Number(_) | View::Huge) | (View::Number(_), View::Huge) => {
                    Err(impossible(node, Impossible::Overflow))
                }
                _ => Err(mismatch(node, operator, left, right)),
            },
        }
    }

    fn map(&mut self, node: &'a Node, entries: &'a [(Node, Node)]) -> Outcome<Value<'a>> {
        let mut fields: Vec<(Rc<str>, Value<'a>)> = Vec::new();
        for (key, value) in entries {
            let name = self.value(key)?;
            let View::Text(name) = name.view() else {
                return Err(failure(
                    key,
                    "wrong_type",
                    format!("{} stands where the name of a field is expected", name.kind()),
                ));
            };
            if fields.iter().any(|(other, _)| **other == *name) {
                return Err(failure(key, "duplicate_key", "the map has this key twice"));
            }
            self.budget.make(key, name.len() + ELEMENT_BYTES)?;
            let name = Rc::from(name);
            fields.push((name, self.value(value)?));
        }
        self.budget.look(node, 1)?;
        Ok(Value::Map(Rc::new(fields)))
    }
}

fn select<'a>(node: &Node, value: &Value<'a>, name: &str) -> Outcome<Value<'a>> {
    match value.view() {
        View::Map(fields) => fields
            .get(name)
            .ok_or_else(|| failure(node, "no_such_field", format!("there is no field `{}`", excerpt(name)))),
        View::Null if matches!(value, Value::Skipped) => Ok(Value::Skipped),
        _ => {
            Err(failure(node, "no_such_field", format!("{} has no field `{}`", value.kind(), excerpt(name))))
        }
    }
}

fn at<'a>(node: &Node, value: &Value<'a>, index: &Value<'a>) -> Outcome<Value<'a>> {
    match (value.view(), index.view()) {
        (View::Map(_), View::Text(name)) => select(node, value, name),
        (View::List(list), View::Number(number)) => {
            position(number).and_then(|position| list.get(position)).ok_or_else(|| {
                let message = format!("the list has no such index; its length is {}", list.len());
                failure(node, "no_such_index", message)
            })
        }
        (View::Null, _) if matches!(value, Value::Skipped) => Ok(Value::Skipped),
        _ => {
            let message = format!("{} has no index that is {}", value.kind(), index.kind());
            Err(failure(node, "no_such_index", message))
        }
    }
}

fn position(number: Number) -> Option<usize> {
    match number {
        Number::Int(value) => usize::try_from(value).ok(),
        Number::UInt(value) => usize::try_from(value).ok(),
        Number::Double(value) if value.fract() == 0.0 && (0.0..1e15).contains(&value) => Some(value as usize),
        Number::Double(_) => None,
    }
}

/// An index or a size; always far below the largest integer.
pub(super) fn integer(value: u64) -> Number {
    i64::try_from(value).map_or(Number::UInt(value), Number::Int)
}

pub(super) fn failure(node: &Node, code: &'static str, message: impl Into<String>) -> Failure {
    Failure { code, message: message.into(), range: node.range.clone() }
}

fn impossible(node: &Node, why: Impossible) -> Failure {
    match why {
        Impossible::DivisionByZero => failure(node, "division_by_zero", "division by zero"),
        Impossible::Overflow => failure(node, "overflow", "the number does not fit into 64 bits"),
        Impossible::NotDefined => failure(node, "wrong_type", "`%` is defined for integers only"),
    }
}

fn unfit(node: &Node, operator: &str, value: &Value<'_>) -> Failure {
    failure(node, "wrong_type", format!("`{operator}` cannot take {}", value.kind()))
}

fn mismatch(node: &Node, operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Failure {
    failure(
        node,
        "wrong_type",
        format!("`{}` cannot take {} and {}", operator.symbol(), left.kind(), right.kind()),
    )
}

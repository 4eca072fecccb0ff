//! Comparison of values: order, equality, membership.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::{Machine, Outcome, impossible, mismatch};
use crate::expression::number::{Impossible, same_digits};
use crate::expression::syntax::{Node, Operator};
use crate::expression::value::{Fields, List, Value, View};

impl<'a> Machine<'a> {
    pub(super) fn order(
        &mut self,
        node: &'a Node,
        operator: Operator,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Outcome<bool> {
        let ordering = match (left.view(), right.view()) {
            (View::Number(one), View::Number(other)) => one.compare(other),
            (View::Text(one), View::Text(other)) => {
                self.budget.read(node, one.len().min(other.len()))?;
                Some(one.cmp(other))
            }
            (View::Bool(one), View::Bool(other)) => Some(one.cmp(&other)),
            (View::Huge, View::Number(_) | View::Huge) | (View::Number(_), View::Huge) => {
                return Err(impossible(node, Impossible::Overflow));
            }
            _ => return Err(mismatch(node, operator, left, right)),
        };
        Ok(match operator {
            Operator::Less => ordering == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Operator::Greater => ordering == Some(Ordering::Greater),
            _ => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        })
    }

    /// Values of different kinds are unequal; numbers are compared by value.
    pub(super) fn equal(&mut self, node: &'a Node, left: &Value<'a>, right: &Value<'a>) -> Outcome<bool> {
        self.budget.look(node, 1)?;
        // Numbers of the scope are compared digit by digit: doubles would take long keys for equal.
        if let (Value::Json(Json::Number(one)), Value::Json(Json::Number(other))) = (left, right) {
            return Ok(same_digits(one.as_str(), other.as_str()));
        }
        match (left.view(), right.view()) {
            (View::Null, View::Null) => Ok(true),
            (View::Bool(one), View::Bool(other)) => Ok(one == other),
            (View::Number(one), View::Number(other)) => Ok(one.compare(other) == Some(Ordering::Equal)),
            (View::Text(one), View::Text(other)) => {
                self.budget.read(node, one.len().min(other.len()))?;
                Ok(one == other)
            }
            (View::List(one), View::List(other)) => self.equal_lists(node, one, other),
            (View::Map(one), View::Map(other)) => self.equal_maps(node, one, other),
            _ => Ok(false),
        }
    }

    fn equal_lists(&mut self, node: &'a Node, left: List<'_, 'a>, right: List<'_, 'a>) -> Outcome<bool> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for (one, other) in left.iter().zip(right.iter()) {
            if !self.equal(node, &one, &other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_maps(&mut self, node: &'a Node, left: Fields<'_, 'a>, right: Fields<'_, 'a>) -> Outcome<bool> {
        if left.len() != right.len() {
            return Ok(false);
        }
        for name in left.names() {
            let View::Text(name) = name.view() else { continue };
            let (Some(one), Some(other)) = (left.get(name), right.get(name)) else { return Ok(false) };
            if !self.equal(node, &one, &other)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn contains(&mut self, node: &'a Node, left: &Value<'a>, right: &Value<'a>) -> Outcome<bool> {
        match (left.view(), right.view()) {
            (_, View::List(values)) => {
                for value in values.iter() {
                    if self.equal(node, left, &value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (View::Text(name), View::Map(fields)) => Ok(fields.get(name).is_some()),
            _ => Err(mismatch(node, Operator::In, left, right)),
        }
    }
}

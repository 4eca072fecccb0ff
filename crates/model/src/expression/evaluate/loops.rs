//! Loops over lists and the keys of maps.

use std::rc::Rc;

use super::budget::ELEMENT_BYTES;
use super::{Machine, Outcome, failure};
use crate::expression::syntax::{Comprehension, Loop, Node};
use crate::expression::value::{Value, View};

impl<'a> Machine<'a> {
    pub(super) fn comprehension(&mut self, node: &'a Node, inner: &'a Comprehension) -> Outcome<Value<'a>> {
        let over = self.value(&inner.over)?;
        let values: Vec<Value<'a>> = match over.view() {
            View::List(list) => {
                self.budget.make(node, list.len() * ELEMENT_BYTES)?;
                list.iter().collect()
            }
            View::Map(fields) => {
                self.budget.make(node, fields.len() * ELEMENT_BYTES)?;
                fields.names()
            }
            _ => {
                return Err(failure(
                    &inner.over,
                    "wrong_type",
                    format!("{} cannot be looped over", over.kind()),
                ));
            }
        };
        match inner.kind {
            Loop::Map => self.mapped(node, inner, values),
            Loop::Filter => {
                let mut kept = Vec::new();
                for value in values {
                    if self.with(value.clone(), |machine| machine.condition(&inner.body))? {
                        kept.push(value);
                    }
                }
                Ok(Value::List(Rc::new(kept)))
            }
            Loop::ExistsOne => {
                let mut count = 0;
                for value in values {
                    count += usize::from(self.with(value, |machine| machine.condition(&inner.body))?);
                }
                Ok(Value::Bool(count == 1))
            }
            Loop::All => self.quantified(inner, values, false),
            Loop::Exists => self.quantified(inner, values, true),
        }
    }

    fn mapped(
        &mut self,
        node: &'a Node,
        inner: &'a Comprehension,
        values: Vec<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        let mut made = Vec::new();
        for value in values {
            let result = self.with(value, |machine| {
                if let Some(filter) = &inner.filter
                    && !machine.condition(filter)?
                {
                    return Ok(None);
                }
                machine.value(&inner.body).map(Some)
            })?;
            if let Some(result) = result {
                self.budget.make(node, ELEMENT_BYTES)?;
                made.push(result);
            }
        }
        Ok(Value::List(Rc::new(made)))
    }

    /// `all` and `exists`: like `&&` and `||` over the elements.
    fn quantified(
        &mut self,
        inner: &'a Comprehension,
        values: Vec<Value<'a>>,
        decides: bool,
    ) -> Outcome<Value<'a>> {
        let mut failed = None;
        for value in values {
            match self.with(value, |machine| machine.condition(&inner.body)) {
                Ok(value) if value == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(budget) if budget.code == "expression_budget" => return Err(budget),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn with<T>(&mut self, local: Value<'a>, inner: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        let depth = self.locals.len();
        self.locals.push(local);
        let outcome = inner(self);
        self.locals.truncate(depth);
        outcome
    }
}

//! Expressions: the Common Expression Language (CEL) over JSON, bounded in length, depth, time and memory.
//!
//! An expression reads its variables where they lie, as JSON. A value that is only passed on comes out digit for
//! digit; calculating turns a number into a 64 bit integer, or into a double when it has a fraction or is larger.
//!
//! What CEL leaves open, or what differs from it:
//! - integers and doubles may be mixed in calculations, because JSON does not tell `2` from `2.0`;
//! - whatever is read from a skipped step is `null`; any other missing field or index is an error;
//! - steps are named, never computed: `steps.order`, `steps["order"]`;
//! - there are no bytes, times, message types or types as values, and nothing that is not a function of its
//!   arguments.
//!
//! Two things bound an evaluation whatever the text: a count of steps and a count of bytes made. Both end it with
//! `expression_budget`.

mod evaluate;
pub(crate) mod functions;
mod number;
mod parse;
pub(crate) mod syntax;
mod token;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use syntax::{Node, Root};

/// A parsed expression; cloning it is cheap.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    root: Arc<Node>,
}

/// What an expression may read. A variable that is `None` is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The input of the scenario, defaults applied.
    pub input: Option<&'a Value>,
    /// An object: the outputs by step. A skipped step is null, a `for_each` step a list.
    pub steps: Option<&'a Value>,
    /// An object: the facts by step, shaped like `steps`. Only invariants see it.
    pub facts: Option<&'a Value>,
    /// The value and the index of a `for_each` step.
    pub each: Option<(&'a Value, u64)>,
}

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// A stable name for this kind of fault.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The bytes of the text that are meant.
    pub range: Range<usize>,
}

/// Why an expression has no value. It names no value, only the expression itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} in `{expression}`")]
pub struct EvaluationError {
    /// A stable name for this kind of fault.
    pub code: &'static str,
    /// What went wrong.
    pub message: String,
    /// The part of the expression that failed.
    pub expression: String,
    /// Where in the expression that part begins, in bytes.
    pub offset: usize,
}

impl Expression {
    /// Parses an expression.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let root = parse::parse(text)?;
        Ok(Self { text: text.into(), root: Arc::new(root) })
    }

    /// Evaluates the expression.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        evaluate::evaluate(&self.root, scope).map_err(|failure| self.explain(failure))
    }

    /// Evaluates a condition; anything but `true` and `false` is an error.
    pub fn evaluate_condition(&self, scope: &Scope<'_>) -> Result<bool, EvaluationError> {
        match self.evaluate(scope)? {
            Value::Bool(value) => Ok(value),
            _ => Err(EvaluationError {
                code: "wrong_type",
                message: "the condition is neither true nor false".to_owned(),
                expression: crate::text::excerpt(&self.text),
                offset: 0,
            }),
        }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The steps whose outputs the expression reads, each once, in order.
    pub fn steps(&self) -> Vec<&str> {
        self.named(Root::Steps)
    }

    /// The steps whose facts the expression reads, each once, in order.
    pub fn facts(&self) -> Vec<&str> {
        self.named(Root::Facts)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    fn named(&self, root: Root) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        self.root.walk(&mut |node| {
            if let Some((of, name)) = node.step()
                && of == root
                && !names.contains(&&**name)
            {
                names.push(name);
            }
        });
        names
    }

    fn explain(&self, failure: evaluate::Failure) -> EvaluationError {
        EvaluationError {
            code: failure.code,
            message: failure.message,
            expression: crate::text::excerpt(self.text.get(failure.range.clone()).unwrap_or(&self.text)),
            offset: failure.range.start,
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

/// Two expressions are equal when they are written alike.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ExpressionError {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn fault(range: Range<usize>, code: &'static str, message: impl Into<String>) -> ExpressionError {
    ExpressionError { code, message: message.into(), hint: None, range }
}

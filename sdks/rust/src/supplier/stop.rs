//! How a handler ends other than by an answer: the error type behind `?`.
//!
//! ```text
//! handler --Ok--> done      --Err(Stop)--> again | obtain | failed (retryable or rejected)
//! ```

use std::error::Error as StdError;
use std::time::Duration;

use serde_json::Value;

use crate::wire::{Child, TaskResult};

/// Code of a failure that came as an ordinary error through `?`.
const CODE_OF_ERRORS: &str = "error";

/// Why a handler ends without an answer.
///
/// Any error becomes a *retryable* failure by `?`; a [`Reject`], also as the cause of another error, becomes a
/// rejection that is not retried. `again`, `obtain` and the rest come from the [`Context`](crate::Context).
#[derive(Debug)]
pub struct Stop(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Again { after: Duration, state: Option<Value>, message: Option<String> },
    Obtain(Vec<Child>),
    Failed { retryable: bool, code: String, message: String, details: Option<Value> },
}

impl Stop {
    /// A failure that may pass: the task is attempted again as its retry limits allow.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::failed(true, code.into(), message.into())
    }

    /// A no of the domain: the request fails at once with class `rejected`.
    pub fn reject(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::failed(false, code.into(), message.into())
    }

    /// Adds details to a failure; of no effect on anything else.
    #[must_use]
    pub fn details(mut self, value: Value) -> Self {
        if let Kind::Failed { details, .. } = &mut self.0 {
            *details = Some(value);
        }
        self
    }

    fn failed(retryable: bool, code: String, message: String) -> Self {
        Self(Kind::Failed { retryable, code, message, details: None })
    }

    /// The result that tells the server.
    pub(crate) fn into_result(self, task_id: &str, attempt: u32) -> TaskResult {
        match self.0 {
            Kind::Again { after, state, message } => {
                let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                TaskResult::again(task_id, attempt, after_ms, state, message)
            }
            Kind::Obtain(children) => TaskResult::obtain(task_id, attempt, children),
            Kind::Failed { retryable, code, message, details } => {
                let mut result = TaskResult::failed(task_id, attempt, retryable, code, message);
                result.details = details;
                result
            }
        }
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Stop {
    fn from(error: E) -> Self {
        let error = error.into();
        let mut message = error.to_string();
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
        while let Some(inner) = cause {
            if let Some(reject) = inner.downcast_ref::<Reject>() {
                let mut stop = Self::reject(&reject.code, &reject.message);
                if let Some(details) = &reject.details {
                    stop = stop.details(details.clone());
                }
                return stop;
            }
            let text = inner.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self::retry(CODE_OF_ERRORS, message)
    }
}

/// A no of the domain, as an error that functions below a handler can return.
///
/// ```
/// use sixpack::{Reject, Stop};
///
/// fn currency_of(country: &str) -> Result<&'static str, Reject> {
///     match country {
///         "FR" | "DE" => Ok("EUR"),
///         _ => Err(Reject::new("unknown_country", format!("no currency for {country}"))),
///     }
/// }
///
/// fn handler() -> Result<String, Stop> {
///     Ok(currency_of("XX")?.to_owned())
/// }
/// assert!(handler().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Reject {
    code: String,
    message: String,
    details: Option<Value>,
}

impl Reject {
    /// A stable code (`[a-z0-9_.-]`, at most 64 characters) and a message that a tester of another team understands.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), details: None }
    }

    /// Adds details for machines.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result_of(stop: Stop) -> Value {
        serde_json::to_value(stop.into_result("task_1", 3)).unwrap()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("billing did not answer")]
    struct Outer(#[source] Box<dyn StdError + Send + Sync>);

    #[test]
    fn an_ordinary_error_is_a_retryable_failure_with_its_causes() {
        let stop = Stop::from(Outer("connection reset".into()));
        assert_eq!(
            result_of(stop),
            json!({"task_id":"task_1","attempt":3,"outcome":"failed","retryable":true,"code":"error",
                   "message":"billing did not answer: connection reset"})
        );
        assert_eq!(result_of(Stop::from("plain text"))["message"], "plain text");
    }

    #[test]
    fn a_rejection_is_found_below_other_errors() {
        let reject = Reject::new("no_money", "the account is empty").details(json!({"balance":0}));
        let result = result_of(Stop::from(Outer(Box::new(reject))));
        assert_eq!(
            result,
            json!({"task_id":"task_1","attempt":3,"outcome":"failed","retryable":false,"code":"no_money",
                   "message":"the account is empty","details":{"balance":0}})
        );
    }
}

//! Why the server wants nothing of a supplier any more, and which results it has never heard.

use std::fmt;

use crate::Error;
use crate::wire::{Operation, Task};

/// Idempotency keys that one message names; the log has them all.
const KEYS_SHOWN: usize = 10;

/// Why a supplier came to its end although nobody had asked it to.
///
/// Its running handlers were given the time of [`Supplier::drain_within`](crate::Supplier::drain_within) to finish, and
/// their results were reported as far as the server took them.
#[derive(Debug)]
#[non_exhaustive]
pub struct SupplierEnded {
    /// Domain of the supplier.
    pub domain: String,
    /// Name of this process.
    pub instance: String,
    /// What kind of end it is; what to do about it depends on that.
    pub reason: EndReason,
    /// What the server said.
    pub cause: Error,
    /// Attempts whose results the server has never heard, by task.
    pub unreported: Vec<UnreportedResult>,
}

/// What kind of end a supplier came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// A newer process with the same environment, domain and instance name has taken over.
    Superseded,
    /// The token is not good (any more), or has another role.
    TokenRefused,
    /// The server does not speak the protocol of this SDK, or is no Sixpack server at all.
    ProtocolRefused,
    /// The server does not take what the supplier publishes.
    ManifestRefused,
}

/// An attempt of which the server has never heard how it ended.
///
/// It gives the attempt up and has it made again or undone under the same idempotency key, by whichever supplier of the
/// domain is connected then.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreportedResult {
    /// `task_…`
    pub task_id: String,
    /// Which go at it.
    pub attempt: u32,
    /// What was being done.
    pub operation: Operation,
    /// Name of the capability, without the domain.
    pub capability: String,
    /// `ds_…`
    pub dataset_id: String,
    /// Names the effect in the service.
    pub idempotency_key: String,
    /// Whether the handler came to its end; otherwise it was dropped when the time was over.
    pub finished: bool,
    /// Whether the attempt may have made something that nobody knows of but by the idempotency key.
    pub may_have_made: bool,
}

impl UnreportedResult {
    /// What is to be said of an attempt that still runs.
    pub(crate) fn of(task: &Task) -> Self {
        Self {
            task_id: task.id.clone(),
            attempt: task.attempt,
            operation: task.operation,
            capability: task.capability.clone(),
            dataset_id: task.dataset_id.clone(),
            idempotency_key: task.idempotency_key.clone(),
            finished: false,
            may_have_made: task.operation == Operation::Produce,
        }
    }

    /// Tells the log of it.
    pub(crate) fn log(&self, what: &str) {
        let Self { task_id, attempt, operation, capability, dataset_id, idempotency_key, finished, .. } =
            self;
        if self.may_have_made {
            tracing::error!(
                task = task_id, attempt, %operation, capability, dataset = dataset_id, idempotency_key, finished,
                "{what}; what it made under its idempotency key may have been left behind"
            );
        } else {
            tracing::warn!(
                task = task_id, attempt, %operation, capability, dataset = dataset_id, idempotency_key, finished,
                "{what}; it is done again"
            );
        }
    }
}

impl SupplierEnded {
    /// The end of a supplier by what the server said.
    pub(crate) fn by(cause: Error, domain: &str, instance: &str, unreported: Vec<UnreportedResult>) -> Self {
        let reason = EndReason::of(&cause);
        Self { domain: domain.to_owned(), instance: instance.to_owned(), reason, cause, unreported }
    }
}

impl EndReason {
    /// What an answer that ends a supplier stands for.
    fn of(cause: &Error) -> Self {
        match cause {
            Error::Problem(problem) => match (problem.status, problem.code.as_str()) {
                (409, "superseded") => Self::Superseded,
                (401 | 403, _) => Self::TokenRefused,
                (426, _) | (_, "protocol" | "route_not_found" | "not_sixpack") => Self::ProtocolRefused,
                _ => Self::ManifestRefused,
            },
            Error::Unreadable { .. } => Self::ProtocolRefused,
            _ => Self::ManifestRefused,
        }
    }

    /// The code of `sysexits` for a process that ends for this reason; see [`Error::exit_code`].
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Superseded => 1,
            Self::ManifestRefused => 65,
            Self::ProtocolRefused => 69,
            Self::TokenRefused => 77,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Superseded => "a newer process with the same instance name has taken its place",
            Self::TokenRefused => "the server does not take its token",
            Self::ProtocolRefused => "the server does not speak the protocol of this SDK",
            Self::ManifestRefused => "the server does not take what it publishes",
        }
    }

    fn next(self, cause: &Error) -> &'static str {
        match self {
            Self::Superseded => {
                "stop one of the two, or give each a name of its own with `Supplier::instance` (without it every \
                 process has one)"
            }
            Self::TokenRefused => {
                "start it with a token of the role supplier in SIXPACK_TOKEN: `sixpack token create --role supplier`"
            }
            Self::ProtocolRefused if cause.code() == Some("protocol") => {
                "do what the server says, and start it again; `sixpack version --server` tells its release"
            }
            Self::ProtocolRefused => {
                "check the address in SIXPACK_URL, and compare the releases of SDK and server: `sixpack version --server`"
            }
            Self::ManifestRefused => "mend what it publishes, and start it again",
        }
    }
}

/// It has no source: its own words hold the cause, which a reader of the whole chain would be told twice.
impl std::error::Error for SupplierEnded {}

impl fmt::Display for SupplierEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, instance, reason, cause, unreported } = self;
        write!(f, "the supplier `{instance}` of `{domain}` has ended: {}: {cause}", reason.what())?;
        write!(f, "\n  next: {}", reason.next(cause))?;
        match unreported.len() {
            0 => return Ok(()),
            1 => f.write_str("\n  1 result could not be reported")?,
            several => write!(f, "\n  {several} results could not be reported")?,
        }
        let made: Vec<_> = unreported.iter().filter(|attempt| attempt.may_have_made).collect();
        if made.is_empty() {
            return Ok(());
        }
        f.write_str("; something may have been left behind under the idempotency keys ")?;
        let keys: Vec<_> = made
            .iter()
            .take(KEYS_SHOWN)
            .map(|attempt| format!("{} ({})", attempt.idempotency_key, attempt.capability))
            .collect();
        f.write_str(&keys.join(", "))?;
        match made.len().saturating_sub(KEYS_SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more, which the log names"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tasks::task;
    use super::*;
    use crate::wire::Problem;

    fn said(status: u16, code: &str) -> Error {
        let said = serde_json::json!({"status": status, "code": code, "detail": "No."});
        let problem: Problem = serde_json::from_value(said).unwrap();
        Error::Problem(Box::new(problem))
    }

    #[test]
    fn what_the_server_said_decides_how_the_process_ends() {
        for (status, code, reason, exit) in [
            (409, "superseded", EndReason::Superseded, 1),
            (401, "unauthenticated", EndReason::TokenRefused, 77),
            (403, "forbidden", EndReason::TokenRefused, 77),
            (409, "protocol", EndReason::ProtocolRefused, 69),
            (426, "upgrade", EndReason::ProtocolRefused, 69),
            (404, "route_not_found", EndReason::ProtocolRefused, 69),
            (502, "not_sixpack", EndReason::ProtocolRefused, 69),
            (422, "name_pattern", EndReason::ManifestRefused, 65),
            (404, "domain_not_found", EndReason::ManifestRefused, 65),
            (409, "name_taken", EndReason::ManifestRefused, 65),
        ] {
            let ended = SupplierEnded::by(said(status, code), "billing", "billing-1", Vec::new());
            assert_eq!(ended.reason, reason, "{status} {code}");
            let error = Error::from(Box::new(ended));
            assert_eq!(error.to_string().matches("No.").count(), 1, "{error}");
            assert!(std::error::Error::source(&error).is_none(), "the cause is told once");
            assert_eq!((error.exit_code(), error.code()), (exit, Some(code)), "{status} {code}");
        }
    }

    #[test]
    fn only_who_has_not_said_who_is_behind_leaves_it_to_the_reader() {
        for (status, code, next) in [
            (409, "protocol", "do what the server says"),
            (404, "route_not_found", "check the address in SIXPACK_URL"),
        ] {
            let ended = SupplierEnded::by(said(status, code), "billing", "billing-1", Vec::new()).to_string();
            assert!(ended.contains(&format!("\n  next: {next}")), "{ended}");
        }
    }

    #[test]
    fn an_end_says_what_happened_what_to_do_and_what_may_be_left() {
        let check = UnreportedResult { may_have_made: false, ..UnreportedResult::of(&task("c", 1)) };
        let unreported =
            vec![UnreportedResult::of(&task("a", 1)), UnreportedResult::of(&task("b", 2)), check];
        let ended = SupplierEnded::by(said(401, "unauthenticated"), "billing", "billing-1", unreported);
        assert_eq!(
            ended.to_string(),
            "the supplier `billing-1` of `billing` has ended: the server does not take its token: No. (401 unauthenticated)\n  \
             next: start it with a token of the role supplier in SIXPACK_TOKEN: `sixpack token create --role supplier`\n  \
             3 results could not be reported; something may have been left behind under the idempotency keys \
             key-a (x), key-b (x)"
        );
        let many = (0..12).map(|number| UnreportedResult::of(&task(&number.to_string(), 1))).collect();
        let ended = SupplierEnded::by(said(409, "superseded"), "billing", "billing-1", many).to_string();
        assert!(ended.contains("key-9 (x) and 2 more") && !ended.contains("key-10"), "{ended}");
    }
}

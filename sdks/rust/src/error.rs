//! What can go wrong, in words that a tester can act on.

use std::fmt;

use crate::supplier::SupplierEnded;
use crate::wire::{Extension, Failure, Problem, Request, RequestStatus};

/// The code of a refusal that stock could not prevent.
const OUT_OF_STOCK: &str = "out_of_stock";

/// Why a call did not give what was asked for, or a supplier could not go on.
///
/// Its debug form is its message: that is what Rust prints of an error that `main` returns.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request ended without leases; it says which capability is to blame, why, and whom to ask.
    #[error(transparent)]
    Failed(#[from] Box<RequestFailed>),
    /// The dataset could not be extended, and stays leased as it was; it says which capability is to blame, why, and whom to
    /// ask.
    #[error(transparent)]
    NotExtended(#[from] Box<ExtensionFailed>),
    /// The server wants nothing of a supplier any more; it says why, and which results could not be reported.
    #[error(transparent)]
    Ended(#[from] Box<SupplierEnded>),
    /// The server refused the call. Branch on `code`.
    #[error("{}", DisplayProblem(.0))]
    Problem(Box<Problem>),
    /// The deadline passed before there was an answer, and no capability is to blame.
    #[error(
        "{what} was not done in time; ask again with a longer timeout, or look at the server with `sixpack suppliers`"
    )]
    Timeout {
        /// What was waited for.
        what: String,
    },
    /// The server could not be reached, or the connection broke, until patience ended.
    #[error(
        "no answer from {url}: {reason}; is the server running there? (`sixpack dev` starts one, SIXPACK_URL names another)"
    )]
    Connection {
        /// Address of the server.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The answer, or a payload in it, is not what this program expects.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// Which answer or payload.
        what: String,
        /// Where and why.
        reason: String,
    },
    /// The call contradicts itself, and was not sent.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// The stable code of a refusal, if it is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            Self::Ended(ended) => ended.cause.code(),
            // The one failure that is a refusal which came late.
            Self::Failed(failed) => {
                let code = failed.failure.as_ref().and_then(|failure| failure.code.as_deref());
                code.filter(|code| *code == OUT_OF_STOCK)
            }
            _ => None,
        }
    }

    /// The code with which a process ends that cannot go on because of this, as `sysexits` has them: 64 wrong usage, 65
    /// refused as it is, 69 the server is absent or speaks another protocol, 70 its mistake, 75 later may help, 76 its answer
    /// cannot be read, 77 the token does not suffice; 1 for everything else that was refused.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ended(ended) => ended.reason.exit_code(),
            Self::Problem(problem) => match problem.status {
                400 | 413 | 414 | 415 | 422 => 65,
                401 | 403 => 77,
                408 | 429 | 503 => 75,
                500 => 70,
                _ => 1,
            },
            Self::Usage(_) => 64,
            Self::Connection { .. } => 69,
            Self::Timeout { .. } => 75,
            Self::Unreadable { .. } => 76,
            Self::Failed(_) | Self::NotExtended(_) => 1,
        }
    }

    /// Whether not everything that has to be in stock is there: the request is of [`Source::StockOnly`](crate::Source::StockOnly), or
    /// chooses what stock does not have. It was refused, or has failed because what it was given at first could not be handed over.
    /// The message says what is being made, or why it is not; [`stock`](crate::wire::Problem::stock) of a refusal says it to machines.
    /// Nothing was taken.
    pub fn is_out_of_stock(&self) -> bool {
        self.code() == Some(OUT_OF_STOCK)
    }

    /// The failure of a request or an extension, if a capability is to blame.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failed) => failed.failure.as_ref(),
            Self::NotExtended(failed) => failed.extension.failure.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request that ended without leases.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RequestFailed {
    /// The request.
    pub request_id: String,
    /// What was asked for.
    pub contract: String,
    /// `failed`, `cancelled` or `expired`.
    pub status: RequestStatus,
    /// Which part is to blame, if any is.
    pub failure: Option<Failure>,
}

impl RequestFailed {
    /// What became of `request`, which has ended without leases.
    pub(crate) fn of(request: Request) -> Self {
        let items = || request.items.iter().map(|item| item.contract.as_str()).collect::<Vec<_>>().join(", ");
        Self {
            contract: request.contract.clone().unwrap_or_else(items),
            request_id: request.id,
            status: request.status,
            failure: request.failure,
        }
    }
}

impl std::error::Error for RequestFailed {}

/// An extension of a leased dataset that came to nothing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExtensionFailed {
    /// The lease.
    pub lease_id: String,
    /// What it was, `failed` or `cancelled`.
    pub extension: Extension,
}

impl std::error::Error for ExtensionFailed {}

impl fmt::Display for ExtensionFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Extension { contract, step, status, failure, .. } = &self.extension;
        match failure {
            None => write!(f, "{contract} was not made: {step} was {status}")?,
            Some(failure) => describe(f, contract, failure)?,
        }
        write!(f, "; lease {}", self.lease_id)
    }
}

impl fmt::Display for RequestFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.failure else {
            return write!(
                f,
                "{} was not made: request {} was {}",
                self.contract, self.request_id, self.status
            );
        };
        describe(f, &self.contract, failure)?;
        write!(f, "; request {}", self.request_id)
    }
}

/// What could not be made, which part is to blame, why, and whom to ask.
fn describe(f: &mut fmt::Formatter<'_>, contract: &str, failure: &Failure) -> fmt::Result {
    write!(f, "{contract} was not made: {} {}", failure.path, failure.class)?;
    if !failure.message.is_empty() {
        write!(f, ": {}", failure.message)?;
    }
    if let Some(code) = &failure.code {
        write!(f, " (code {code})")?;
    }
    if failure.attempts > 1 {
        write!(f, " after {} attempts", failure.attempts)?;
    }
    if !failure.owner.team.is_empty() {
        write!(f, "; owner {}", failure.owner.team)?;
        if let Some(contact) = &failure.owner.contact {
            write!(f, " <{contact}>")?;
        }
        if let Some(issues) = &failure.owner.issues {
            write!(f, ", report at {issues}")?;
        }
    }
    Ok(())
}

struct DisplayProblem<'a>(&'a Problem);

impl fmt::Display for DisplayProblem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { status, code, detail, errors, .. } = self.0;
        write!(f, "{detail} ({status} {code}")?;
        if let Some(id) = &self.0.request_id {
            write!(f, ", {id}")?;
        }
        f.write_str(")")?;
        // One fault is what the detail speaks of already.
        if errors.len() > 1 || errors.iter().any(|fault| fault.file.is_some()) {
            for fault in errors {
                write!(f, "\n  {fault}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_request_names_path_class_reason_and_owner() {
        let failure = serde_json::from_value(serde_json::json!({
            "path":"payment › billing/payment-account@3","class":"rejected","code":"currency_mismatch",
            "message":"currency CZK does not fit country FR","contract":"billing/payment-account","version":3,
            "dataset_id":"ds_1_2","owner":{"team":"Billing","contact":"billing@shop.test","issues":"https://i.test"},"attempts":1
        }))
        .unwrap();
        let failed = RequestFailed {
            request_id: "req_1".into(),
            contract: "checkout/ready-customer".into(),
            status: RequestStatus::Failed,
            failure: Some(failure),
        };
        assert_eq!(
            Error::from(Box::new(failed)).to_string(),
            "checkout/ready-customer was not made: payment › billing/payment-account@3 rejected: \
             currency CZK does not fit country FR (code currency_mismatch); \
             owner Billing <billing@shop.test>, report at https://i.test; request req_1"
        );
    }

    #[test]
    fn a_request_is_out_of_stock_whether_it_was_refused_or_failed() {
        let refused: Problem = serde_json::from_value(serde_json::json!({
            "status": 409, "code": "out_of_stock", "detail": "no",
            "stock": { "contract": "a/b", "asked": 50, "ready": 5, "rule": "fr", "coming": 3 }
        }))
        .unwrap();
        assert_eq!(
            refused.stock.as_ref().map(|stock| (stock.asked, stock.ready, stock.coming)),
            Some((50, 5, 3))
        );
        assert!(Error::Problem(Box::new(refused)).is_out_of_stock());
        for (code, is_out_of_stock) in [("out_of_stock", true), ("invalid", false)] {
            let failure = serde_json::from_value(serde_json::json!({
                "path": "b/second@1", "class": "check", "code": code, "message": "closed; there is no other in stock",
                "contract": "b/second", "version": 1, "owner": { "team": "b" }, "attempts": 0
            }))
            .unwrap();
            let failed = RequestFailed {
                request_id: "req_1".into(),
                contract: "shop/pair".into(),
                status: RequestStatus::Failed,
                failure: Some(failure),
            };
            assert_eq!(Error::from(Box::new(failed)).is_out_of_stock(), is_out_of_stock, "{code}");
        }
    }

    #[test]
    fn a_refusal_lists_its_faults_when_there_are_several() {
        let problem: Problem = serde_json::from_value(serde_json::json!({
            "status":422,"code":"scenario_faults","detail":"2 faults in 1 file; nothing was applied.","request_id":"r-1",
            "errors":[{"file":"a.yaml","line":3,"column":5,"code":"x","message":"no step `b`","hint":"did you mean `a`?"},
                      {"pointer":"/input","code":"y","message":"not an object"}]
        }))
        .unwrap();
        assert_eq!(
            Error::Problem(Box::new(problem)).to_string(),
            "2 faults in 1 file; nothing was applied. (422 scenario_faults, r-1)\n  \
             a.yaml:3:5: no step `b` (did you mean `a`?)\n  /input: not an object"
        );
    }
}

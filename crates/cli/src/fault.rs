//! Faults: why a command was not carried out, in words that tell its user what to do next.

use std::io;
use std::path::Path;

use serde_json::{Value, json};
use sixpack::Error;
use sixpack::wire::Problem;

use crate::exit::Exit;

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub(crate) struct Fault {
    /// How the program ends.
    pub(crate) exit: Exit,
    /// What happened, where and why; empty when everything was said already.
    pub(crate) what: String,
    /// What to do next.
    pub(crate) next: Option<String>,
    /// The server's own words, if it spoke.
    pub(crate) problem: Option<Box<Problem>>,
}

/// What an id or a name that was given on the command line stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named {
    Request,
    Lease,
    Dataset,
    Token,
    StockRule,
}

impl Named {
    /// What ids of this kind begin with (names: with anything), and the command that lists them.
    fn known_by(self) -> (&'static str, &'static str) {
        match self {
            Self::Request => ("req_", "sixpack requests"),
            Self::Lease => ("lease_", "sixpack lease list --all"),
            Self::Dataset => ("ds_", "sixpack datasets list"),
            Self::Token => ("tok_", "sixpack token list"),
            Self::StockRule => ("", "sixpack stock"),
        }
    }
}

impl Fault {
    /// A fault that says what happened.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), next: None, problem: None }
    }

    /// A fault that was told already, or that nobody is left to read.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Names what was asked for, when the server's words do not, and says where to find what is there.
    #[must_use]
    pub(crate) fn about(mut self, id: &str, named: Named) -> Self {
        let Some(problem) = &self.problem else { return self };
        if problem.status == 404 && self.next.is_none() {
            let (prefix, list) = named.known_by();
            self.next = Some(match id.starts_with(prefix) {
                true => format!("list what there is with `{list}`"),
                false => format!("the id begins with `{prefix}`; list what there is with `{list}`"),
            });
        }
        if !self.what.contains(id) {
            self.what = format!("{id}: {}", self.what);
        }
        self
    }

    /// A file or folder that cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::InvalidData => Exit::Data,
            _ => Exit::Io,
        };
        Self::new(exit, format!("{} cannot be read: {error}", path.display()))
    }

    /// A file or folder that cannot be made.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            io::ErrorKind::StorageFull => Exit::Io,
            _ => Exit::CannotCreate,
        };
        Self::new(exit, format!("{} cannot be written: {error}", path.display()))
    }

    /// The standard output cannot be written to.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // Whoever read the output has seen enough.
            return Self::silent(Exit::Done);
        }
        Self::new(Exit::Io, format!("the output cannot be written: {error}"))
    }

    /// The same for machines: one object, the server's own where it spoke.
    pub(crate) fn json(&self) -> Value {
        let mut object = match &self.problem {
            Some(problem) => serde_json::to_value(problem).unwrap_or_default(),
            None => json!({ "code": "client", "detail": self.what }),
        };
        object["exit"] = self.exit.code().into();
        if let Some(next) = &self.next {
            object["next"] = next.as_str().into();
        }
        object
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let what = error.to_string();
        match error {
            Error::Problem(problem) => {
                let (exit, next) = judged(&problem);
                let what = match problem.status {
                    // The server's own words are for whoever writes the header by hand.
                    401 => format!("the server takes no call without a usable token (401 {})", problem.code),
                    _ => what,
                };
                Self { exit, what, next: next.map(str::to_owned), problem: Some(problem) }
            }
            Error::Connection { url, reason } => {
                Self::new(Exit::Unavailable, format!("no answer from {url}: {reason}"))
                    .next("start a server with `sixpack dev`, or name another one with --url or SIXPACK_URL")
            }
            Error::Unreadable { .. } => {
                Self::new(Exit::Mismatch, what).next("compare the releases of both sides: `sixpack version`")
            }
            Error::Timeout { .. } => Self::new(Exit::TryLater, what),
            Error::Usage(_) => Self::new(Exit::Usage, what),
            Error::Failed(failed) => {
                let class = failed.failure.as_ref().map(|failure| failure.class);
                Self::new(class.map_or(Exit::Cancelled, Exit::Request), what)
            }
            Error::NotExtended(failed) => {
                let class = failed.extension.failure.as_ref().map(|failure| failure.class);
                Self::new(class.map_or(Exit::Cancelled, Exit::Request), what)
            }
            _ => Self::new(Exit::Internal, what),
        }
    }
}

/// What a refusal means for the caller, and what to do about it.
fn judged(problem: &Problem) -> (Exit, Option<&'static str>) {
    match (problem.status, problem.code.as_str()) {
        (_, "not_sixpack") => {
            (Exit::Mismatch, Some("name the address of a Sixpack server with --url or SIXPACK_URL"))
        }
        (401, _) => (
            Exit::NotPermitted,
            Some(
                "`sixpack settings` shows which token is sent, and where it comes from; set another with SIXPACK_TOKEN or --token-file (`sixpack dev` keeps its own in .sixpack/token, an administrator makes others with `sixpack token create`)",
            ),
        ),
        // It names who may.
        (403, "foreign_dataset") => (Exit::NotPermitted, None),
        (403, _) => (Exit::NotPermitted, Some("use a token of that role: `sixpack token create --role …`")),
        (404, "environment_not_found") => (
            Exit::No,
            Some("list them with `sixpack environments`; they appear with the first supplier or scenario"),
        ),
        (404, "contract_not_found" | "scenario_not_found") => {
            (Exit::No, Some("list what there is with `sixpack contracts`"))
        }
        (404, "stock_rule_not_found") => (Exit::No, Some("list what there is with `sixpack stock`")),
        (422, "name_pattern")
            if problem.errors.iter().any(|fault| fault.pointer.as_deref() == Some("/contract")) =>
        {
            (Exit::Data, Some("list what there is with `sixpack contracts`"))
        }
        (409, "contract_broken") => (Exit::No, Some("see its faults with `sixpack contracts show`")),
        (409, "out_of_stock") => (
            Exit::OutOfStock,
            Some(
                "`sixpack stock` shows what is kept, and why it is not there; without --source stock_only and --select it is made for you",
            ),
        ),
        (409, "extending") => (Exit::No, Some("see how far it is with `sixpack lease show`")),
        (404 | 409 | 412, _) => (Exit::No, None),
        (429, "quota_leases") => (
            Exit::TryLater,
            Some(
                "see what is held with `sixpack lease list`, and release what nobody needs with `sixpack lease release`",
            ),
        ),
        (408 | 429 | 503, _) => (Exit::TryLater, Some("try again in a moment")),
        (400 | 413 | 414 | 415 | 422, _) => (Exit::Data, None),
        (500, _) => (Exit::Internal, Some("report it with the id in the brackets")),
        _ => (Exit::No, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, code: &str) -> Fault {
        let problem: Problem =
            serde_json::from_value(json!({"status":status,"code":code,"detail":"no"})).unwrap();
        Error::Problem(Box::new(problem)).into()
    }

    #[test]
    fn a_refusal_ends_by_what_its_caller_can_do_about_it() {
        for (status, code, exit) in [
            (401, "unauthenticated", Exit::NotPermitted),
            (403, "forbidden", Exit::NotPermitted),
            (403, "foreign_dataset", Exit::NotPermitted),
            (404, "lease_not_found", Exit::No),
            (409, "lease_ended", Exit::No),
            (409, "extending", Exit::No),
            (409, "out_of_stock", Exit::OutOfStock),
            (422, "input_invalid", Exit::Data),
            (400, "json_syntax", Exit::Data),
            (429, "too_many_requests", Exit::TryLater),
            (429, "quota_leases", Exit::TryLater),
            (503, "unavailable", Exit::TryLater),
            (500, "internal", Exit::Internal),
            (502, "not_sixpack", Exit::Mismatch),
        ] {
            let fault = problem(status, code);
            assert_eq!(fault.exit, exit, "{status} {code}");
            assert_eq!(fault.json()["exit"], exit.code());
            assert_eq!(fault.json()["code"], code);
        }
    }

    #[test]
    fn an_id_of_another_kind_is_told_by_its_beginning() {
        let told = |id: &str| problem(404, "lease_not_found").about(id, Named::Lease);
        assert_eq!(told("lease_1").what, "lease_1: no (404 lease_not_found)");
        assert_eq!(told("lease_1").next.unwrap(), "list what there is with `sixpack lease list --all`");
        assert!(told("req_1").next.unwrap().starts_with("the id begins with `lease_`"));
        assert_eq!(told("lease_1").json()["next"], "list what there is with `sixpack lease list --all`");
        assert_eq!(problem(409, "lease_ended").about("req_1", Named::Lease).next, None);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_fault() {
        let fault = Fault::output(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((fault.exit, fault.what.as_str()), (Exit::Done, ""));
        assert_eq!(Fault::output(&io::Error::from(io::ErrorKind::StorageFull)).exit, Exit::Io);
    }
}

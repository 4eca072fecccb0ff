//! Exit codes: what the end of the program tells the script that called it.

use sixpack::wire::{FailureClass, Request, RequestStatus};

/// How the program ends. Codes from 64 are those of `sysexits`; 20 to 32 say why a request brought no data,
/// 40 and 41 what a diagnosis has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done; also after SIGTERM.
    Done,
    /// The server or the command said no: what was named is not there, or its state does not allow it.
    No,
    /// A request ended without data, for this reason.
    Request(FailureClass),
    /// A request was cancelled.
    Cancelled,
    /// A request that needs stock was refused, or has ended: not enough of it is there.
    OutOfStock,
    /// Leased data is not what was handed over any more.
    Changed,
    /// Nobody can tell whether leased data is still what was handed over.
    CheckFailed,
    /// Wrong usage.
    Usage,
    /// Bad input: a scenario with faults, an input that breaks its schema, a foreign database.
    Data,
    /// Something needed is not there: the server, or a free port.
    Unavailable,
    /// Our own mistake.
    Internal,
    /// A file cannot be made.
    CannotCreate,
    /// Reading or writing failed; a store is not trusted any more.
    Io,
    /// Trying again later may help.
    TryLater,
    /// The other side is no Sixpack, or of another time.
    Mismatch,
    /// A token or the rights of a file do not suffice.
    NotPermitted,
    /// The settings have faults.
    Settings,
    /// Interrupted by ctrl-c.
    Interrupted,
}

/// The table that `sixpack help` shows; a test compares it with [`Exit::code`].
pub(crate) const TABLE: &str = "\
Exit codes:
   0  done (for a request: the data is leased)
   1  the server said no: not found, already ended, held by somebody else
  20  request failed: rejected (the domain said no)
  21  request failed: contract_violation
  22  request failed: supplier_offline
  23  request failed: timeout, or its deadline passed
  24  request failed: crashed
  25  request failed: binding
  26  request failed: invariant
  27  request failed: check
  28  request failed: orchestration
  29  request failed for a reason that this release does not know
  30  request was cancelled
  31  request refused, or failed: not in stock
  32  request failed: unavailable (the supplier could not do it now: try later)
  40  diagnosed: the data has changed under its lease
  41  diagnosed: the check itself fails
  64  wrong usage
  65  bad input: a scenario with faults, an input that breaks its schema, a foreign database
  69  server not reachable, or port in use
  70  internal error
  73  a file cannot be made
  74  reading or writing failed
  75  try again later
  76  the other side is no Sixpack server, or of another time
  77  not permitted: token, or rights of a file
  78  the settings have faults
 130  interrupted";

impl Exit {
    /// Why a request that has ended, ended; `None` when it is fulfilled.
    pub(crate) fn of_request(request: &Request) -> Option<Self> {
        match (request.status, &request.failure) {
            (RequestStatus::Fulfilled, _) => None,
            (RequestStatus::Cancelled, _) => Some(Self::Cancelled),
            (_, Some(failure)) if failure.code.as_deref() == Some("out_of_stock") => Some(Self::OutOfStock),
            (_, Some(failure)) => Some(Self::Request(failure.class)),
            (RequestStatus::Expired, None) => Some(Self::Request(FailureClass::Timeout)),
            (_, None) => Some(Self::Request(FailureClass::from("unknown"))),
        }
    }

    /// The number for the caller.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Request(class) => match class {
                FailureClass::Rejected => 20,
                FailureClass::Unavailable => 32,
                FailureClass::ContractViolation => 21,
                FailureClass::SupplierOffline => 22,
                FailureClass::Timeout => 23,
                FailureClass::Crashed => 24,
                FailureClass::Binding => 25,
                FailureClass::Invariant => 26,
                FailureClass::Check => 27,
                FailureClass::Orchestration => 28,
                // A word of a newer server.
                _ => 29,
            },
            Self::Cancelled => 30,
            Self::OutOfStock => 31,
            Self::Changed => 40,
            Self::CheckFailed => 41,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::CannotCreate => 73,
            Self::Io => 74,
            Self::TryLater => 75,
            Self::Mismatch => 76,
            Self::NotPermitted => 77,
            Self::Settings => 78,
            Self::Interrupted => 130,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unit that is shipped.
    const UNIT: &str = include_str!("../../../deploy/sixpack.service");

    #[test]
    fn a_server_that_would_end_the_same_way_again_is_not_started_again() {
        let for_good =
            [Exit::Usage, Exit::Data, Exit::CannotCreate, Exit::Mismatch, Exit::NotPermitted, Exit::Settings];
        let codes: Vec<_> = for_good.iter().map(|exit| exit.code().to_string()).collect();
        let line = format!("RestartPreventExitStatus={}", codes.join(" "));
        assert!(UNIT.lines().any(|told| told == line), "{line}");
    }

    #[test]
    fn a_request_that_stock_could_not_serve_ends_as_one_that_was_refused() {
        for (code, exit) in
            [("out_of_stock", Exit::OutOfStock), ("invalid", Exit::Request(FailureClass::Check))]
        {
            let request: Request = serde_json::from_value(serde_json::json!({
                "id": "req_1", "environment": "default", "status": "failed", "revision": 2, "created_at": "t", "deadline_at": "t",
                "progress": { "done": 0, "total": 1, "steps": [] },
                "failure": { "path": "a/b@1", "class": "check", "code": code, "message": "no", "contract": "a/b", "version": 1,
                             "owner": { "team": "a" }, "attempts": 0 }
            }))
            .unwrap();
            assert_eq!(Exit::of_request(&request), Some(exit), "{code}");
        }
    }

    #[test]
    fn the_table_lists_every_code_once_and_in_its_place() {
        use FailureClass as Class;
        let classes = [
            Class::Rejected,
            Class::ContractViolation,
            Class::SupplierOffline,
            Class::Timeout,
            Class::Crashed,
            Class::Binding,
            Class::Invariant,
            Class::Check,
            Class::Orchestration,
            Class::from("tomorrow"),
        ];
        let rest = [
            Exit::Cancelled,
            Exit::OutOfStock,
            Exit::Request(Class::Unavailable),
            Exit::Changed,
            Exit::CheckFailed,
            Exit::Usage,
            Exit::Data,
            Exit::Unavailable,
            Exit::Internal,
            Exit::CannotCreate,
            Exit::Io,
            Exit::TryLater,
            Exit::Mismatch,
            Exit::NotPermitted,
            Exit::Settings,
            Exit::Interrupted,
        ];
        let all = [Exit::Done, Exit::No].into_iter().chain(classes.map(Exit::Request)).chain(rest);
        let listed: Vec<u8> = TABLE
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(all.map(Exit::code).collect::<Vec<_>>(), listed);
        for class in classes[..9].iter().chain(&[Class::Unavailable]) {
            let row = format!("  {}  request failed: {class}", Exit::Request(*class).code());
            assert!(TABLE.contains(&row), "{row}");
        }
    }
}

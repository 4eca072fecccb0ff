//! Failures: why a dataset could not be made, in words a tester can act on.

use serde_json::Value;

use crate::contract::Owner;
use crate::name::ContractName;

/// The kind of a failure; decides the exit code of the command line and who has to look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The domain said no, for good.
    Rejected,
    /// The supplier could not do it now, in any of the attempts that it was given: its service is down, or fails.
    Unavailable,
    /// The supplier's answer does not satisfy the contract's schema.
    ContractViolation,
    /// No supplier offers the capability.
    SupplierOffline,
    /// The time allowed was over.
    Timeout,
    /// The supplier went away in the middle of every attempt.
    Crashed,
    /// An expression of the scenario could not be evaluated, or gave a value that the step does not take.
    Binding,
    /// The services disagree: an invariant does not hold over the facts.
    Invariant,
    /// A service says that its part of the state does not hold.
    Check,
    /// An orchestrator asked for children that it may not have, or asked differently under the same name.
    Orchestration,
}

impl FailureClass {
    /// Every class with its name on the wire.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Rejected, "rejected"),
        (Self::Unavailable, "unavailable"),
        (Self::ContractViolation, "contract_violation"),
        (Self::SupplierOffline, "supplier_offline"),
        (Self::Timeout, "timeout"),
        (Self::Crashed, "crashed"),
        (Self::Binding, "binding"),
        (Self::Invariant, "invariant"),
        (Self::Check, "check"),
        (Self::Orchestration, "orchestration"),
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(class, _)| *class == self).expect("every class is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(class, _)| *class)
    }

    /// What a contract has done so many times, for a sentence: `billing/payment-account rejected 6 of 6`.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Unavailable => "was not able to do",
            Self::ContractViolation => "broke its contract in",
            Self::SupplierOffline => "had no supplier for",
            Self::Timeout => "ran out of time in",
            Self::Crashed => "crashed in",
            Self::Binding => "could not be given its input in",
            Self::Invariant => "did not come to agree in",
            Self::Check => "did not hold in",
            Self::Orchestration => "asked for what it may not have in",
        }
    }
}

/// Why a dataset could not be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// From the request's contract down to the one that failed: `payment › billing/payment-account@3`.
    pub path: String,
    /// What kind of failure it is.
    pub class: FailureClass,
    /// The domain's own code, if it gave one.
    pub code: Option<String>,
    /// What happened, in the words of the domain or of Sixpack.
    pub message: String,
    /// What the domain added, as it was given.
    pub details: Option<Value>,
    /// The contract that failed.
    pub contract: ContractName,
    /// Its version.
    pub version: u32,
    /// The part of the tree that failed.
    pub part: u32,
    /// Whom to ask.
    pub owner: Owner,
    /// How many attempts were made at what failed.
    pub attempts: u32,
    /// The steps around it that had been made anew, innermost first.
    pub retried: Vec<Retried>,
    /// Paths of the parts that were not made because they depend on the one that failed.
    pub blocked: Vec<String>,
}

/// A step that was made anew before the dataset failed all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// Where it stands in the tree: `ready › checkout/ready-customer@2`.
    pub path: String,
    /// How many attempts were made at it, the last one included.
    pub attempts: u32,
}

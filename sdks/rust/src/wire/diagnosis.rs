//! Diagnosis: what has become of a leased dataset since it was handed over.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CheckVerdict, Difference, Owner, words};

words! {
    /// What has become of a leased dataset.
    DiagnosisVerdict {
        /// It is as it was: look at the product, or at the test.
        StillValid = "still_valid",
        /// It is not what was handed over any more.
        Changed = "changed",
        /// Nobody can tell.
        CheckFailed = "check_failed",
    }
}

words! {
    /// How a part stands to what it was at hand-over.
    PartState {
        /// Its service says the same.
        Same = "same",
        /// It does not hold any more, or its facts are others.
        Changed = "changed",
        /// Its service cannot tell, or did not answer.
        Failed = "failed",
        /// It has no check, or a later part speaks for it.
        Unchecked = "unchecked",
    }
}

/// What has become of a leased dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The lease.
    pub lease_id: String,
    /// The dataset under it.
    pub dataset_id: String,
    /// The answer.
    pub verdict: DiagnosisVerdict,
    /// The same for people.
    #[serde(default)]
    pub message: String,
    /// The part that it is about: of those that have changed, or whose check fails, the one that was made first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<NamedPart>,
    /// When the lease was granted.
    #[serde(default)]
    pub handed_over_at: String,
    /// When this was found out.
    #[serde(default)]
    pub diagnosed_at: String,
    /// Parts that were asked about.
    #[serde(default)]
    pub checked: u32,
    /// Parts.
    #[serde(default)]
    pub of: u32,
    /// Leaf by leaf.
    #[serde(default)]
    pub parts: Vec<PartDiagnosis>,
    /// In what the facts differ from those at hand-over; the first hundred.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// How many differences there are beyond those.
    #[serde(default)]
    pub more: u64,
    /// What the scenarios demand, over the facts of now.
    #[serde(default)]
    pub invariants: Vec<JudgedInvariant>,
}

/// A part by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamedPart {
    /// Where in the tree, with contract and version.
    pub path: String,
    /// The part.
    #[serde(default)]
    pub dataset_id: String,
    /// Its contract.
    #[serde(default)]
    pub contract: String,
    /// Version of the contract.
    #[serde(default)]
    pub version: u32,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

/// What has become of one leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartDiagnosis {
    /// Step names from the root; empty for the root.
    pub path: String,
    /// The part.
    #[serde(default)]
    pub dataset_id: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    pub version: u32,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// In one word.
    pub state: PartState,
    /// What was known at hand-over.
    pub then: Known,
    /// What is known now.
    pub now: Known,
}

/// What a service has said about its part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Known {
    /// What its check said.
    pub verdict: CheckVerdict,
    /// What was read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// What the supplier said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<String>,
    /// When it had last said that the part is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_at: Option<String>,
    /// The build of the supplier that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The instance of the supplier that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// A condition of a scenario over the facts of now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JudgedInvariant {
    /// Step names down to the scenario; empty for the root.
    #[serde(default)]
    pub path: String,
    /// The invariant in words.
    pub says: String,
    /// Whether it holds.
    pub held: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

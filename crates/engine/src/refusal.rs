//! Refusals: what the engine says no to, and why.

use std::time::Duration;

use jiff::Timestamp;
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::fault::Fault;
use sixpack_model::ids::DatasetId;
use sixpack_model::import::RowFaults;
use sixpack_model::lease::LeaseStatus;
use sixpack_model::protocol::UnsupportedProtocol;
use sixpack_storage::StoreError;
use sixpack_storage::requests::QuotaOf;

use crate::reruns::GoneVersion;
use crate::shortage::Shortage;

/// Why an operation was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or it does not exist for this caller.
    #[error("there is no {what} `{name}`")]
    Unknown {
        /// `request`, `lease`, `contract` …
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// The body is well-formed and wrong.
    #[error("the body has {} faults", .0.len())]
    Invalid(Vec<Fault>),
    /// The supplier speaks another revision of the protocol.
    #[error("{0}")]
    Protocol(UnsupportedProtocol),
    /// Rows of an import are wrong.
    #[error("{} faults in {} rows", .0.total, .0.rows)]
    Rows(RowFaults),
    /// Nobody performs what is needed now.
    #[error("no supplier of {contract} is connected")]
    Unserved {
        /// The capability.
        contract: String,
    },
    /// The input does not satisfy the contract's schema.
    #[error("the input does not satisfy the contract")]
    InputInvalid(Vec<Fault>),
    /// Files of scenarios or of stock rules have faults.
    #[error("the files have faults")]
    ScenarioFaults(Vec<Diagnostic>),
    /// The scenario no longer fits the contracts that it uses.
    #[error("{name} no longer fits the contracts that it uses")]
    ContractBroken {
        /// The scenario.
        name: String,
        /// The channel whose contracts they are; `None` for the deployed ones.
        channel: Option<String>,
        /// Why.
        faults: Vec<Diagnostic>,
    },
    /// Nobody is live in the channel.
    #[error("nobody is live in the channel `{name}`")]
    UnknownChannel {
        /// The channel.
        name: String,
        /// Where it was looked for.
        environment: String,
        /// The channels that there are.
        live: Vec<String>,
    },
    /// The environment has as many live channels as it may have.
    #[error("there are {} live channels already", .live.len())]
    TooManyChannels {
        /// Where.
        environment: String,
        /// The channels that there are.
        live: Vec<String>,
    },
    /// Versions that a dataset was made on are not on offer any more.
    #[error("{} of the versions that {dataset} was made on are gone", .gone.len())]
    VersionGone {
        /// The dataset that was to be made again.
        dataset: DatasetId,
        /// Which, that of the dataset itself first.
        gone: Vec<GoneVersion>,
    },
    /// There is nothing to make again.
    #[error("{dataset} was never made")]
    NeverMade {
        /// The dataset that was to be made again.
        dataset: DatasetId,
        /// Where it stands.
        status: &'static str,
    },
    /// The input of a dataset holds secrets of another token.
    #[error("the input of {dataset} holds secrets of another token")]
    SecretInput {
        /// The dataset that was to be made again.
        dataset: DatasetId,
    },
    /// Other scenarios or stock rules use it.
    #[error("{name} is used by {}", .by.join(", "))]
    ContractInUse {
        /// The contract.
        name: String,
        /// Who uses it, and what is left of it.
        by: Vec<String>,
    },
    /// The name belongs to a contract of the other kind.
    #[error("{name} is already the name of a {kind}")]
    NameTaken {
        /// The name.
        name: String,
        /// Of what.
        kind: &'static str,
    },
    /// The version that the caller wants to replace is not the current one.
    #[error("the current version is {current}, not {expected}")]
    VersionMismatch {
        /// What the caller has seen.
        expected: u64,
        /// What is there; 0 for nothing.
        current: u64,
    },
    /// The version that the caller wants to replace is the current one, and its text is another by now.
    #[error("the text of version {version} has been replaced")]
    TextMismatch {
        /// The version.
        version: u64,
    },
    /// Not everything that was asked for is in stock, and it was to come from there.
    #[error("{} is not in stock", .0.contract)]
    OutOfStock(Box<Shortage>),
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// There would be more leases than the quota allows.
    #[error("{taken} of {limit} leases are taken, and {asked} more were asked for")]
    QuotaLeases {
        /// Whose quota it is.
        of: QuotaOf,
        /// The name of the token, or of the environment.
        name: String,
        /// How many leases it may have.
        limit: u64,
        /// How many it has, those of open requests included.
        taken: u64,
        /// How many were asked for.
        asked: u64,
    },
    /// The fence is not the live one.
    #[error("the fence is not the live one")]
    LeaseFenced,
    /// The lease was released before, with this outcome, and is to be released with another one.
    #[error("the lease was released as {} before", .0.name())]
    ReleasedAs(sixpack_model::lease::LeaseOutcome),
    /// The dataset is being extended already.
    #[error("the dataset is being extended by {step}")]
    Extending {
        /// The step of the extension that is under way.
        step: String,
    },
    /// The extension of that number was another one.
    #[error("{step} was made of another contract or input")]
    OtherExtension {
        /// Its step.
        step: String,
    },
    /// The dataset was extended as often as it may be, or has as many parts as it may have.
    #[error("{dataset} cannot be extended any more")]
    TooManyExtensions {
        /// The dataset.
        dataset: DatasetId,
        /// How many parts it has.
        parts: usize,
    },
    /// The lease has ended.
    #[error("the lease has ended as {}", .0.name())]
    LeaseEnded(LeaseStatus),
    /// The lease was taken away.
    #[error("the lease was revoked by {by}")]
    LeaseRevoked {
        /// The name of the token that did it.
        by: String,
        /// Why.
        reason: String,
        /// When.
        at: Option<Timestamp>,
    },
    /// The caller supplies a domain that has no part in the dataset.
    #[error("the dataset has no part of the domain {own}")]
    NotOfDomain {
        /// What the caller supplies.
        own: String,
        /// Those that have a part in it.
        domains: Vec<String>,
    },
    /// The dataset is not in quarantine, so there is nothing to decide about.
    #[error("{dataset} is {status}, and not in quarantine")]
    NotInQuarantine {
        /// The dataset.
        dataset: DatasetId,
        /// Where it stands.
        status: &'static str,
    },
    /// Nothing of the dataset is owed, so there is nothing that somebody could have looked after.
    #[error("{dataset} is {status}, and owes nothing")]
    NotOwed {
        /// The dataset.
        dataset: DatasetId,
        /// Where it stands.
        status: &'static str,
    },
    /// The session is dead or has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// A newer instance of the same name has taken the session's place.
    #[error("a newer supplier of the same instance name has taken over")]
    Superseded,
    /// The session sends heartbeats faster than anybody needs them.
    #[error("the session sends too many heartbeats")]
    TooManyHeartbeats {
        /// After how long the next one counts.
        wait: Duration,
    },
    /// Too many others were faster.
    #[error("too many changes at once; try again")]
    Busy,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    pub(crate) fn unknown(what: &'static str, name: impl ToString) -> Self {
        Self::Unknown { what, name: name.to_string(), nearest: None }
    }
}

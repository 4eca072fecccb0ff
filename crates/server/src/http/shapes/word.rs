//! Words: the states and kinds of the model by their names on the wire.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use sixpack_engine::DebtStatus;
use sixpack_model::contract::ContractKind;
use sixpack_model::diagnosis::PartState;
use sixpack_model::failure::FailureClass;
use sixpack_model::find::{Origin, WhyGivenUp};
use sixpack_model::lease::{LeaseOutcome, LeaseStatus};
use sixpack_model::plan::Resolution;
use sixpack_model::request::RequestStatus;
use sixpack_model::session::SessionStatus;
use sixpack_model::stock::RuleState;
use sixpack_model::token::Role;
use sixpack_model::tree::{Operation, PartStatus, Verdict};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A state or kind of the model that has names on the wire.
pub(in crate::http) trait Named: Copy + 'static {
    /// Every name.
    const NAMES: &'static [&'static str];

    fn word(self) -> &'static str;

    fn of_word(word: &str) -> Option<Self>;
}

/// The name of one of the model's states or kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Word<T>(pub(in crate::http) T);

const fn names<T, const N: usize>(all: &[(T, &'static str); N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = all[at].1;
        at += 1;
    }
    names
}

macro_rules! named {
    ($($kind:ty),+) => {$(
        impl Named for $kind {
            const NAMES: &'static [&'static str] = &names(&<$kind>::ALL);

            fn word(self) -> &'static str {
                self.name()
            }

            fn of_word(word: &str) -> Option<Self> {
                Self::from_name(word)
            }
        }
    )+};
}

named!(
    ContractKind,
    DebtStatus,
    FailureClass,
    LeaseOutcome,
    LeaseStatus,
    Operation,
    Origin,
    PartState,
    PartStatus,
    RequestStatus,
    Resolution,
    Role,
    RuleState,
    SessionStatus,
    Verdict,
    WhyGivenUp
);

impl<T: Named> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl<'de, T: Named> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Known<T>(PhantomData<T>);

        impl<T: Named> Visitor<'_> for Known<T> {
            type Value = Word<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "one of {}", T::NAMES.join(", "))
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Word<T>, E> {
                T::of_word(word).map(Word).ok_or_else(|| E::unknown_variant(word, T::NAMES))
            }
        }

        deserializer.deserialize_str(Known(PhantomData))
    }
}

impl<T: Named> PartialSchema for Word<T> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(T::NAMES.iter().copied())).into()
    }
}

impl<T: Named> ToSchema for Word<T> {}

/// A closed list of words that answers are made of.
pub(in crate::http) trait Listed {
    /// Every word.
    const WORDS: &'static [&'static str];
}

impl<T: Named> Listed for T {
    const WORDS: &'static [&'static str] = T::NAMES;
}

/// A word of a list, as an answer says it. The list is in the API description, and clients know what is described.
pub(in crate::http) struct Said<'a, L>(&'a str, PhantomData<L>);

impl<'a, L: Listed> Said<'a, L> {
    /// A word that is not on its list is a mistake of ours, which tests find.
    pub(in crate::http) fn new(word: &'a str) -> Self {
        debug_assert!(L::WORDS.contains(&word), "`{word}` is not among {:?}", L::WORDS);
        Self(word, PhantomData)
    }

    /// Whether it is this word.
    pub(in crate::http) fn is(&self, word: &str) -> bool {
        self.0 == word
    }
}

impl<L> Serialize for Said<'_, L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<L: Listed> PartialSchema for Said<'_, L> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(L::WORDS.iter().copied())).into()
    }
}

impl<L: Listed> ToSchema for Said<'_, L> {}

macro_rules! listed {
    ($($(#[$doc:meta])* $said:ident of $list:ident: $($word:literal)|+;)+) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $list;

        impl Listed for $list {
            const WORDS: &'static [&'static str] = &[$($word),+];
        }

        $(#[$doc])*
        pub(in crate::http) type $said<'a> = Said<'a, $list>;
    )+};
}

listed! {
    /// Where a dataset stands: what the model says of a part, and what its task tells besides.
    Standing of Standings: "pending" | "waiting" | "building" | "checking" | "ready" | "skipped" | "leased" | "suspect" | "quarantined"
        | "cancelling" | "undoing" | "gone" | "failed" | "debt";
    /// The same of a step of a request, which does not say that it is leased.
    StepStanding of StepStandings: "pending" | "waiting" | "building" | "checking" | "ready" | "skipped" | "suspect" | "quarantined"
        | "cancelling" | "undoing" | "gone" | "failed" | "debt";
    /// What is known of a whole dataset.
    WholeVerdict of WholeVerdicts: "valid" | "invalid" | "unknown" | "stale" | "unchecked";
    /// What is known of one part.
    PartVerdict of PartVerdicts: "valid" | "invalid" | "unknown" | "unchecked";
    /// How far an extension is.
    ExtensionStanding of ExtensionStandings: "building" | "ready" | "failed" | "cancelled";
    /// Whether a contract can be had.
    ContractStanding of ContractStandings: "online" | "offline" | "broken";
    /// How a version differs from the one before.
    Change of Changes: "new" | "same" | "compatible" | "breaking";
    /// What applying a scenario has changed.
    AppliedChange of AppliedChanges: "new" | "same" | "updated" | "compatible" | "breaking";
    /// What putting a stock rule has changed.
    RuleChange of RuleChanges: "new" | "same" | "changed";
    /// Why a stock rule is not filled.
    StarvedCode of StarvedCodes: "failing" | "offline";
    /// What a diagnosis has found.
    DiagnosisVerdict of DiagnosisVerdicts: "still_valid" | "changed" | "check_failed";
    /// How the facts of a rerun compare.
    RerunFacts of RerunFactsList: "pending" | "equal" | "different" | "unknown";
    /// Where a request may take its data from.
    SourceSaid of SourceSaids: "stock_first" | "stock_only" | "fresh" | "find_first";
    /// Where a step may take its dataset from.
    StepSource of StepSources: "stock_first" | "fresh";
    /// Who waits for a request.
    PrioritySaid of PrioritySaids: "person" | "pipeline" | "stock" | "patrol";
}

// The API description wants names without parameters.
pub(in crate::http) type DebtStatusWord = Word<DebtStatus>;
pub(in crate::http) type KindWord = Word<ContractKind>;
pub(in crate::http) type ClassWord = Word<FailureClass>;
pub(in crate::http) type OutcomeWord = Word<LeaseOutcome>;
pub(in crate::http) type LeaseStatusWord = Word<LeaseStatus>;
pub(in crate::http) type OperationSaid<'a> = Said<'a, Operation>;
pub(in crate::http) type OperationWord = Word<Operation>;
pub(in crate::http) type OriginWord = Word<Origin>;
pub(in crate::http) type PartStateWord = Word<PartState>;
pub(in crate::http) type PartStatusWord = Word<PartStatus>;
pub(in crate::http) type RequestStatusWord = Word<RequestStatus>;
pub(in crate::http) type ResolutionWord = Word<Resolution>;
pub(in crate::http) type RoleWord = Word<Role>;
pub(in crate::http) type RuleStateWord = Word<RuleState>;
pub(in crate::http) type SessionStatusWord = Word<SessionStatus>;
pub(in crate::http) type VerdictWord = Word<Verdict>;
pub(in crate::http) type WhyGivenUpWord = Word<WhyGivenUp>;

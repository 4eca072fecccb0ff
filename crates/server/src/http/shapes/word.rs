//! Words: the states and kinds of the model by their names on the wire.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use sixpack_engine::DebtStatus;
use sixpack_model::contract::ContractKind;
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

// The API description wants names without parameters.
pub(in crate::http) type DebtStatusWord = Word<DebtStatus>;
pub(in crate::http) type KindWord = Word<ContractKind>;
pub(in crate::http) type ClassWord = Word<FailureClass>;
pub(in crate::http) type OutcomeWord = Word<LeaseOutcome>;
pub(in crate::http) type LeaseStatusWord = Word<LeaseStatus>;
pub(in crate::http) type OperationWord = Word<Operation>;
pub(in crate::http) type OriginWord = Word<Origin>;
pub(in crate::http) type PartStatusWord = Word<PartStatus>;
pub(in crate::http) type RequestStatusWord = Word<RequestStatus>;
pub(in crate::http) type ResolutionWord = Word<Resolution>;
pub(in crate::http) type RoleWord = Word<Role>;
pub(in crate::http) type RuleStateWord = Word<RuleState>;
pub(in crate::http) type SessionStatusWord = Word<SessionStatus>;
pub(in crate::http) type VerdictWord = Word<Verdict>;
pub(in crate::http) type WhyGivenUpWord = Word<WhyGivenUp>;

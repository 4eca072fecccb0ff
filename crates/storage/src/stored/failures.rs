//! Failures as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sixpack_model::contract::Owner;
use sixpack_model::failure::{Failure, FailureClass, Retried};

/// A failure as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredFailure<'a> {
    path: Cow<'a, str>,
    class: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Cow<'a, str>>,
    message: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    details: Option<Cow<'a, Value>>,
    contract: String,
    version: u32,
    part: u32,
    owner: StoredOwner<'a>,
    attempts: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retried: Vec<StoredRetried<'a>>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    blocked: Cow<'a, [String]>,
}

#[derive(Serialize, Deserialize)]
struct StoredRetried<'a> {
    path: Cow<'a, str>,
    attempts: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredOwner<'a> {
    team: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issues: Option<Cow<'a, str>>,
}

impl<'a> From<&'a Failure> for StoredFailure<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            path: Cow::Borrowed(&failure.path),
            class: Cow::Borrowed(failure.class.name()),
            code: failure.code.as_deref().map(Cow::Borrowed),
            message: Cow::Borrowed(&failure.message),
            details: failure.details.as_ref().map(Cow::Borrowed),
            contract: failure.contract.to_string(),
            version: failure.version,
            part: failure.part,
            owner: StoredOwner {
                team: Cow::Borrowed(&failure.owner.team),
                contact: failure.owner.contact.as_deref().map(Cow::Borrowed),
                issues: failure.owner.issues.as_deref().map(Cow::Borrowed),
            },
            attempts: failure.attempts,
            retried: failure
                .retried
                .iter()
                .map(|step| StoredRetried { path: Cow::Borrowed(&step.path), attempts: step.attempts })
                .collect(),
            blocked: Cow::Borrowed(&failure.blocked),
        }
    }
}

impl StoredFailure<'_> {
    /// The failure, unless it was written by somebody else.
    pub(crate) fn into_failure(self) -> Result<Failure, String> {
        let class = FailureClass::ALL.iter().find(|(_, name)| *name == self.class);
        Ok(Failure {
            path: self.path.into_owned(),
            class: class.ok_or_else(|| format!("{} is no class of failures", self.class))?.0,
            code: self.code.map(Cow::into_owned),
            message: self.message.into_owned(),
            details: self.details.map(Cow::into_owned),
            contract: self.contract.parse().map_err(|cause| format!("{cause}"))?,
            version: self.version,
            part: self.part,
            owner: Owner {
                team: self.owner.team.into_owned(),
                contact: self.owner.contact.map(Cow::into_owned),
                issues: self.owner.issues.map(Cow::into_owned),
            },
            attempts: self.attempts,
            retried: self
                .retried
                .into_iter()
                .map(|step| Retried { path: step.path.into_owned(), attempts: step.attempts })
                .collect(),
            blocked: self.blocked.into_owned(),
        })
    }
}

/// A failure as JSON text.
pub(crate) fn failure_text(failure: &Failure) -> String {
    serde_json::to_string(&StoredFailure::from(failure)).expect("text and JSON values are always JSON")
}

/// Tells a `null` that is there from nothing.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

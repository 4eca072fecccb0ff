//! Debts that were resolved, as they are stored with their part.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sixpack_model::debt::ResolvedDebt;

use super::values::{ms, time};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredResolved<'a> {
    by: Cow<'a, str>,
    reason: Cow<'a, str>,
    at: i64,
}

impl StoredResolved<'_> {
    pub(super) fn into_resolved(self) -> ResolvedDebt {
        let (by, reason) = (self.by.into_owned(), self.reason.into_owned());
        ResolvedDebt { by, reason, at: time(self.at) }
    }
}

impl<'a> From<&'a ResolvedDebt> for StoredResolved<'a> {
    fn from(resolved: &'a ResolvedDebt) -> Self {
        let ResolvedDebt { by, reason, at } = resolved;
        Self { by: Cow::Borrowed(by), reason: Cow::Borrowed(reason), at: ms(*at) }
    }
}

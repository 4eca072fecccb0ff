//! Rechecks that are under way, as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sixpack_model::recheck::{Recheck, Why};

use super::values::{ms, time};

/// A recheck that is under way, as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredRecheck<'a> {
    why: Cow<'a, str>,
    begun_at: i64,
    until: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    at_once: bool,
}

pub(crate) fn recheck_text(recheck: &Recheck) -> String {
    let stored = StoredRecheck {
        why: Cow::Borrowed(recheck.why.name()),
        begun_at: ms(recheck.begun_at),
        until: ms(recheck.until),
        strict: recheck.strict,
        at_once: recheck.at_once,
    };
    serde_json::to_string(&stored).expect("text and numbers are always JSON")
}

impl StoredRecheck<'_> {
    /// The recheck, unless it was written by somebody else.
    pub(crate) fn into_recheck(self) -> Result<Recheck, String> {
        let Self { why, begun_at, until, strict, at_once } = self;
        let unknown = || format!("{why} is no reason for a recheck");
        let why = Why::from_name(&why).ok_or_else(unknown)?;
        Ok(Recheck { why, begun_at: time(begun_at), until: time(until), strict, at_once })
    }
}

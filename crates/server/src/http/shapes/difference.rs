//! Differences: places in facts that are not what they were.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use sixpack_model::rerun::Difference;
use utoipa::ToSchema;

use super::secret::inside;

/// A place in which the facts differ.
#[derive(Serialize, ToSchema)]
#[schema(as = Difference)]
pub(in crate::http) struct DifferenceJson<'a> {
    /// Step names from the root, joined by ` › `; empty for the root.
    path: &'a str,
    /// JSON Pointer into the facts.
    pointer: &'a str,
    /// As it was; absent when there was nothing. Secrets are covered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    before: Option<Value>,
    /// As it is now; absent when there is nothing. Secrets are covered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    after: Option<Value>,
}

impl<'a> DifferenceJson<'a> {
    /// With the facts as the caller may see them, before and after.
    pub(in crate::http) fn of(
        difference: &'a Difference,
        before: Option<Cow<'_, Value>>,
        after: Option<Cow<'_, Value>>,
    ) -> Self {
        let value = |facts: Option<Cow<'_, Value>>| inside(facts?.as_ref(), &difference.pointer).cloned();
        Self {
            path: &difference.path,
            pointer: &difference.pointer,
            before: value(before),
            after: value(after),
        }
    }
}

//! Owners: the team that is responsible, and where to ask.

use serde::Serialize;
use sixpack_model::contract::Owner;
use utoipa::ToSchema;

/// The team that is responsible.
#[derive(Serialize, ToSchema)]
#[schema(as = Owner)]
pub(in crate::http) struct OwnerJson<'a> {
    /// Its name.
    team: &'a str,
    /// Where to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<&'a str>,
    /// Where to report.
    #[serde(skip_serializing_if = "Option::is_none")]
    issues: Option<&'a str>,
}

impl<'a> From<&'a Owner> for OwnerJson<'a> {
    fn from(owner: &'a Owner) -> Self {
        let Owner { team, contact, issues } = owner;
        Self { team, contact: contact.as_deref(), issues: issues.as_deref() }
    }
}

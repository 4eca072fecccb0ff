//! Tokens: who may call, and as what.

use serde::{Deserialize, Serialize};

use super::words;

words! {
    /// What the bearer of a token may do.
    Role {
        /// Everything.
        Admin = "admin",
        /// Sessions, and scenarios of its domain.
        Supplier = "supplier",
        /// Requests and leases.
        Consumer = "consumer",
    }
}

/// Body of `POST /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewToken {
    /// For people (at most 200 bytes).
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Binds it to one environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Binds a supplier's to one domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Life (60 to 31536000); 90 days when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

impl NewToken {
    /// A token by name and role.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, environment: None, domain: None, expires_in_s: None }
    }
}

/// A new token: the only answer that holds the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CreatedToken {
    /// `tok_…`
    pub id: String,
    /// `sxp_…`: shown this once.
    pub token: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Environment it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Domain it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub created_at: String,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret must not reach a log by way of a debug print.
        f.debug_struct("CreatedToken").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

/// A token as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Token {
    /// `tok_…`
    pub id: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Environment it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Domain it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub created_at: String,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Last use, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
}

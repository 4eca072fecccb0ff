//! Health and version of a server.

use serde::{Deserialize, Serialize};

/// Answer of `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// `sixpack`
    #[serde(default)]
    pub name: String,
    /// Release.
    pub version: String,
    /// Version of the API.
    #[serde(default)]
    pub api: String,
    /// Source revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it was built, if whoever built it wrote that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_at: Option<String>,
    /// What keeps the data; older servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<VersionStore>,
}

/// What keeps the data of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VersionStore {
    /// `sqlite` or `postgres`
    pub kind: String,
    /// The version of the schema that the server writes.
    pub schema_version: u32,
}

/// Answer of `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// `ok` when all checks are.
    pub status: String,
    /// Check by check.
    #[serde(default)]
    pub checks: Vec<HealthCheck>,
}

/// One check of a server's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HealthCheck {
    /// What is checked.
    pub name: String,
    /// `ok`, or what is wrong.
    pub status: String,
    /// For people.
    #[serde(default)]
    pub message: String,
}

//! Scenarios: applying their files, and those of stock rules.

use serde::{Deserialize, Serialize};

use super::{AppliedRule, Break, Change, ContractChange, Warning};

/// Body of `POST /v1/environments/{env}/apply`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Apply {
    /// Files, checked together; all or nothing.
    pub files: Vec<ScenarioFile>,
    /// Only check.
    #[serde(default)]
    pub dry_run: bool,
    /// Refuse what is otherwise only warned of.
    #[serde(default)]
    pub strict: bool,
}

impl Apply {
    /// Applies `files`.
    pub fn new(files: Vec<ScenarioFile>) -> Self {
        Self { files, dry_run: false, strict: false }
    }

    /// Only checks `files`.
    pub fn check(files: Vec<ScenarioFile>) -> Self {
        Self { dry_run: true, ..Self::new(files) }
    }

    /// The same, and what is otherwise only warned of is refused.
    #[must_use]
    pub fn strictly(self) -> Self {
        Self { strict: true, ..self }
    }
}

/// One file: of a scenario, or of stock rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScenarioFile {
    /// Name that faults are reported with.
    pub path: String,
    /// YAML or JSON.
    pub text: String,
}

impl ScenarioFile {
    /// A file by its name and text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// Answer of `POST /v1/environments/{env}/apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Applied {
    /// Environment.
    pub environment: String,
    /// Whether it was only checked.
    #[serde(default)]
    pub dry_run: bool,
    /// The scenarios, file by file.
    pub applied: Vec<AppliedScenario>,
    /// The stock rules, file by file and by name.
    #[serde(default)]
    pub rules: Vec<AppliedRule>,
}

/// What became of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AppliedScenario {
    /// Its file, when it came in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `domain/name`
    pub name: String,
    /// Version it has now.
    pub version: u32,
    /// How it differs from the one before.
    pub change: Change,
    /// What is different.
    #[serde(default)]
    pub changes: Vec<ContractChange>,
    /// Who suffers.
    #[serde(default)]
    pub breaks: Vec<Break>,
    /// What its author should know.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

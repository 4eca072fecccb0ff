//! Tasks: one operation of one part, handed to a supplier, and its results.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CheckVerdict, Operation};

/// Body of `POST /v1/sessions/{id}/claim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Claim {
    /// At most so many tasks (1 to 100).
    pub max: u32,
    /// How long to wait for the first (0 to 30).
    pub wait_s: u64,
}

impl Claim {
    /// Asks for up to `max` tasks, waiting `wait_s` for the first.
    pub fn new(max: u32, wait_s: u64) -> Self {
        Self { max, wait_s }
    }
}

/// Answer to a claim.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Claimed {
    /// Empty when there was none in time.
    #[serde(default)]
    pub tasks: Vec<Task>,
}

/// One operation of one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Task {
    /// `task_…`
    pub id: String,
    /// 1, 2, …
    pub attempt: u32,
    /// What to do.
    pub operation: Operation,
    /// Name without the domain.
    pub capability: String,
    /// Version of the contract that the dataset is built on.
    #[serde(default)]
    pub version: u32,
    /// The part.
    pub dataset_id: String,
    /// Input with defaults filled in.
    #[serde(default)]
    pub input: Value,
    /// What produce answered; absent in an undo when no produce ever answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Facts last known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// What the last `again` left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// Of find: what must not be the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Entity>,
    /// Children obtained so far, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub children: BTreeMap<String, ObtainedChild>,
    /// The same in every attempt; below 2^53.
    pub seed: u64,
    /// The same in every attempt; safe in addresses and names.
    pub unique: String,
    /// Names the effect; the same for produce, check and undo of one part.
    pub idempotency_key: String,
    /// How long this attempt may take from now on.
    pub deadline_ms: u64,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Fence of the live lease on the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
}

/// A thing in a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entity {
    /// As in the mark `x-entity`.
    pub kind: String,
    /// Its key.
    pub key: String,
}

/// A child that an orchestrator obtained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ObtainedChild {
    /// The child.
    pub dataset_id: String,
    /// Its contract.
    pub contract: String,
    /// Version of the contract.
    #[serde(default)]
    pub version: u32,
    /// What came of it.
    #[serde(default)]
    pub output: Value,
    /// What its check read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
}

/// A child that an orchestrator asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Child {
    /// The same name always answers the same child.
    pub name: String,
    /// Contract `domain/name`.
    pub contract: String,
    /// Its input.
    pub input: Value,
}

impl Child {
    /// A child by name, contract and input.
    pub fn new(name: impl Into<String>, contract: impl Into<String>, input: Value) -> Self {
        Self { name: name.into(), contract: contract.into(), input }
    }
}

/// One result of `POST /v1/sessions/{id}/results`; `outcome` says which fields count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskResult {
    /// The task.
    pub task_id: String,
    /// The attempt that was claimed.
    pub attempt: u32,
    /// `done`, `again`, `failed`, `none` or `obtain`.
    pub outcome: String,
    /// Of a done produce or find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Of a done produce, find or check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
    /// Of a done check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<CheckVerdict>,
    /// Of again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// Of again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// Of failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Of failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of failed, again, none and check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Of obtain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<Child>>,
}

impl TaskResult {
    fn of(task_id: impl Into<String>, attempt: u32, outcome: &str) -> Self {
        Self { task_id: task_id.into(), attempt, outcome: outcome.into(), ..Self::default() }
    }

    /// A produce that made `output`.
    pub fn produced(task_id: impl Into<String>, attempt: u32, output: Value) -> Self {
        Self { output: Some(output), ..Self::of(task_id, attempt, "done") }
    }

    /// A find that came upon `output`.
    pub fn found(task_id: impl Into<String>, attempt: u32, output: Value) -> Self {
        Self::produced(task_id, attempt, output)
    }

    /// A find that came upon nothing that fits.
    pub fn found_nothing(task_id: impl Into<String>, attempt: u32, message: Option<String>) -> Self {
        Self { message, ..Self::of(task_id, attempt, "none") }
    }

    /// A check that came to a verdict.
    pub fn checked(
        task_id: impl Into<String>,
        attempt: u32,
        verdict: CheckVerdict,
        facts: Option<Value>,
        message: Option<String>,
    ) -> Self {
        Self { verdict: Some(verdict), facts, message, ..Self::of(task_id, attempt, "done") }
    }

    /// An undo that left nothing.
    pub fn undone(task_id: impl Into<String>, attempt: u32) -> Self {
        Self::of(task_id, attempt, "done")
    }

    /// Not finished: call again after `after_ms` with `state`.
    pub fn again(
        task_id: impl Into<String>,
        attempt: u32,
        after_ms: u64,
        state: Option<Value>,
        message: Option<String>,
    ) -> Self {
        Self { after_ms: Some(after_ms), state, message, ..Self::of(task_id, attempt, "again") }
    }

    /// Failed; not retryable means that the domain said no.
    pub fn failed(
        task_id: impl Into<String>,
        attempt: u32,
        retryable: bool,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            retryable: Some(retryable),
            code: Some(code.into()),
            message: Some(message.into()),
            ..Self::of(task_id, attempt, "failed")
        }
    }

    /// Call again when these children are there.
    pub fn obtain(task_id: impl Into<String>, attempt: u32, children: Vec<Child>) -> Self {
        Self { children: Some(children), ..Self::of(task_id, attempt, "obtain") }
    }
}

/// Answer of `POST /v1/sessions/{id}/results`, in the order of the results.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResultsAnswer {
    /// Result by result.
    #[serde(default)]
    pub results: Vec<ResultAnswer>,
    /// Tasks that were asked for with the results; empty when none was ready.
    #[serde(default)]
    pub tasks: Vec<Task>,
}

/// What became of one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResultAnswer {
    /// The task.
    pub task_id: String,
    /// Whether it counts.
    pub accepted: bool,
    /// Why not, or what was wrong with it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

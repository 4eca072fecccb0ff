//! Events: what happened, in the order in which it was committed.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use crate::ids::{RequestId, TreeId};

/// Something that happened and was committed together with the change that it tells of.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the order of commits; 0 until it is stored.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Where.
    pub environment: String,
    /// What, as `noun.participle`: `dataset.ready`, `task.failed`, `lease.granted`.
    pub kind: Cow<'static, str>,
    /// The request it belongs to.
    pub request: Option<RequestId>,
    /// The tree it belongs to.
    pub tree: Option<TreeId>,
    /// The part of the tree it belongs to.
    pub part: u32,
    /// Of an event about an attempt, how long it was in its supplier's hands; the store knows when it was claimed.
    pub duration_ms: Option<u64>,
    /// More about it; never holds a secret or a dataset's content.
    pub data: Value,
}

impl Event {
    /// An event of an environment that belongs to no request and no tree; yet to be stored.
    pub fn of_environment(environment: &str, at: Timestamp, kind: &'static str, data: Value) -> Self {
        Self {
            sequence: 0,
            at,
            environment: environment.to_owned(),
            kind: kind.into(),
            request: None,
            tree: None,
            part: 0,
            duration_ms: None,
            data,
        }
    }
}

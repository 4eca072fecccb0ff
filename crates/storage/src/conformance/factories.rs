//! Factories: suppliers and requests, with everything filled in that a case leaves open.

use std::sync::Arc;

use jiff::Timestamp;
use sixpack_model::ids::{LineId, TaskId, TokenId, TreeId};
use sixpack_model::plan::{Change, ReadyTask};
use sixpack_model::request::Priority;
use sixpack_model::tree::{Part, Tree};
use uuid::Uuid;

use crate::sessions::Service;

/// The environment that everything lives in unless a case says otherwise.
pub const ENVIRONMENT: &str = "staging";

/// How long a lease of a test request lasts.
pub const TTL_MS: u64 = 60_000;

/// How long the evidence of a dataset of a test stays fresh.
pub const FRESH_FOR_MS: i64 = 300_000;

/// How long an attempt of a test capability may take.
pub const TIMEOUT_MS: u64 = 60_000;

/// Small steps that cases take on a decision.
pub trait Decision {
    /// The same decision, leading to this version.
    fn with_version(self, version: u64) -> Self;
}

impl Decision for Change {
    fn with_version(mut self, version: u64) -> Self {
        Arc::make_mut(&mut self.tree).version = version;
        self
    }
}

/// The queue entry for the task of a part.
pub fn ready_task(part: &Part) -> Option<ReadyTask> {
    part.task.as_ref().map(|task| ReadyTask {
        part: part.part,
        serial: task.serial,
        operation: task.operation,
        contract: part.contract.clone(),
        version: part.version,
        priority: task.priority,
        ready_at: task.ready_at,
        attempt: task.attempt,
    })
}

/// The id of the first task of a part.
pub fn first_task(tree: &Tree, part: u32) -> TaskId {
    TaskId { tree: tree.id, part, serial: 1 }
}

/// A supplier to be registered.
#[derive(Debug, Clone)]
pub struct Supplier {
    /// Where it works.
    pub environment: String,
    /// Its own name; a new one each time if it has none.
    pub instance: Option<String>,
    /// The channel it is developed in.
    pub channel: Option<String>,
    /// What it performs.
    pub services: Vec<Service>,
}

impl Supplier {
    /// A deployed supplier of version 1 of these capabilities, without limits.
    pub fn of(contracts: &[&str]) -> Self {
        let service = |contract: &&str| Service {
            contract: (*contract).to_owned(),
            oldest_version: 1,
            version: 1,
            concurrency: None,
            rate_per_s: None,
            timeout_ms: TIMEOUT_MS,
        };
        Self {
            environment: ENVIRONMENT.to_owned(),
            instance: None,
            channel: None,
            services: contracts.iter().map(service).collect(),
        }
    }

    /// The same in a channel.
    #[must_use]
    pub fn in_channel(self, channel: &str) -> Self {
        Self { channel: Some(channel.to_owned()), ..self }
    }

    /// The same under a name.
    #[must_use]
    pub fn named(self, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..self }
    }

    /// The same with something else about each of its services.
    #[must_use]
    pub fn with(mut self, edit: impl Fn(&mut Service)) -> Self {
        self.services.iter_mut().for_each(edit);
        self
    }
}

/// A request to be accepted.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where the datasets live.
    pub environment: String,
    /// What is asked for.
    pub root: String,
    /// The capabilities that each tree consists of.
    pub parts: Vec<String>,
    /// The version of each of them.
    pub version: u32,
    /// How many trees.
    pub units: u32,
    /// Who waits.
    pub priority: Priority,
    /// The channel that is preferred.
    pub channel: Option<String>,
    /// The tree that is asked for again.
    pub rerun_of: Option<TreeId>,
    /// When the first tasks are ready; at once unless it says so.
    pub ready_at: Option<Timestamp>,
    /// How long it may take.
    pub timeout_ms: i64,
    /// Who asks.
    pub token: TokenId,
    /// The stock line that it refills.
    pub line: Option<LineId>,
}

impl Order {
    /// One tree made of these capabilities.
    pub fn of(parts: &[&str]) -> Self {
        Self {
            environment: ENVIRONMENT.to_owned(),
            root: "shop/ready-customer".to_owned(),
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            version: 1,
            units: 1,
            priority: Priority::Person,
            channel: None,
            rerun_of: None,
            ready_at: None,
            timeout_ms: 300_000,
            token: TokenId(Uuid::nil()),
            line: None,
        }
    }

    /// So many trees.
    #[must_use]
    pub fn times(self, units: u32) -> Self {
        Self { units, ..self }
    }
}

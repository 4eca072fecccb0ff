//! Health: which store it is, whether it gets on, and what it has counted.
//!
//! All of it is answered from memory, so that nobody waits for a database here.

use std::time::Duration;

use crate::error::StoreError;
use crate::measures::{Counter, FEW, Histogram, Named, QUICK, SLOW};

/// What is behind the traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// A file of this machine.
    Sqlite,
    /// A database that many servers share.
    Postgres,
}

impl StoreKind {
    /// Its word in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// How an attempt at a task can end, in the words of its event (`task.done`).
pub const ATTEMPT_ENDS: [&str; 7] = ["done", "again", "failed", "found_none", "obtained", "lost", "orphaned"];

/// What a store can fail with while it works, in the words of its errors.
pub const FAILURES: [&str; 5] = ["full", "denied", "broken", "unavailable", "unanswered"];

/// What a store has counted since this process has it.
#[derive(Debug)]
pub struct StoreMeasures {
    /// How long transactions took that were committed, from their beginning to the flush.
    pub commits: Histogram,
    /// How many writes shared a commit; nothing where each has its own.
    pub writes_per_commit: Histogram,
    /// Transactions that gave way to another one, or whose connection was lost, and that were carried out again.
    pub again: Counter,
    /// What has failed, as [`FAILURES`] has it.
    failures: [Counter; FAILURES.len()],
    /// Attempts at tasks, by environment and capability.
    pub attempts: Named<Attempts>,
}

/// The attempts at the tasks of a capability.
#[derive(Debug)]
pub struct Attempts {
    /// How long each was in its supplier's hands.
    pub held: Histogram,
    /// How they ended, as [`ATTEMPT_ENDS`] has it.
    pub ends: [Counter; ATTEMPT_ENDS.len()],
}

impl Default for Attempts {
    fn default() -> Self {
        Self { held: Histogram::of(&SLOW), ends: Default::default() }
    }
}

impl Default for StoreMeasures {
    fn default() -> Self {
        Self {
            commits: Histogram::of(&QUICK),
            writes_per_commit: Histogram::of(&FEW),
            again: Counter::default(),
            failures: Default::default(),
            attempts: Named::default(),
        }
    }
}

impl StoreMeasures {
    /// Counts a failure. What is about how a store was opened, or that it is being closed, is none of its work.
    pub(crate) fn failed(&self, error: &StoreError) {
        let place = match error {
            StoreError::Full => 0,
            StoreError::Denied { .. } => 1,
            StoreError::Broken { .. } | StoreError::InDoubt { .. } => 2,
            StoreError::Unavailable { .. } => 3,
            StoreError::Unanswered { .. } => 4,
            _ => return,
        };
        self.failures[place].add_one();
    }

    /// How often each kind of failure has happened.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FAILURES.into_iter().zip(&self.failures).map(|(name, counter)| (name, counter.get()))
    }
}

/// Connections to a database at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// In use.
    pub used: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

/// Tells of the store itself.
pub trait Health: Send + Sync {
    /// What is behind the traits.
    fn kind(&self) -> StoreKind;

    /// The version of the schema that this build writes.
    fn schema_version(&self) -> u32;

    /// How long the one who writes has been at what it does now; zero while nothing waits for it, and for a store where
    /// writing is not the matter of one.
    fn writing_for(&self) -> Duration;

    /// What was counted.
    fn measures(&self) -> &StoreMeasures;

    /// The connections to the database; `None` for a store that has none.
    fn connections(&self) -> Option<Connections>;
}

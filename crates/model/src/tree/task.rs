//! Tasks of a tree: what a supplier is asked to do for a part, and the attempt that it was handed.

use jiff::Timestamp;

use crate::ids::{SessionId, TaskId};
use crate::request::Priority;

/// What a supplier is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Create or advance a state.
    Produce,
    /// Read back whether it still holds.
    Check,
    /// Remove or compensate it.
    Undo,
    /// Take something existing that fits.
    Find,
}

impl Operation {
    /// Every operation with its name on the wire.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Produce, "produce"), (Self::Check, "check"), (Self::Undo, "undo"), (Self::Find, "find")];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(operation, _)| *operation == self).expect("every operation is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(operation, _)| *operation)
    }
}

/// The one thing that a supplier has to do for a part now.
///
/// It exists from the moment it is planned until its answer is recorded. Whether it is ready, claimed or waiting for its
/// time is the store's to know: the tree does not change when a task is claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Counts the tasks of the part from 1.
    pub serial: u32,
    /// What is to be done.
    pub operation: Operation,
    /// Not handed out earlier than this.
    pub ready_at: Timestamp,
    /// Who waits for it.
    pub priority: Priority,
    /// The number of the last attempt that the planner knows of. Attempts are counted when the task is claimed and the
    /// number is never used again, so that (task, attempt) is a fence.
    pub attempt: u32,
    /// Attempts up to this one do not count as used up: they ended in `again`.
    pub spent_from: u32,
    /// True once nobody wants the answer any more; the claim, if there is one, is still waited for.
    pub cancelled: bool,
    /// What the supplier said last: what it waits for, or why it has to be tried again.
    pub message: Option<String>,
}

/// Names an attempt that the store has handed out; an answer without a live claim is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: u32,
    /// Who was given it.
    pub session: SessionId,
}

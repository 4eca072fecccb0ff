//! Tasks as they wait, and who can do them.

use sixpack_model::ids::TaskId;
use sixpack_model::limits::CHANNEL_VERSIONS_FROM;
use sixpack_model::tree::Operation;

use super::codes::Code;

/// A task as it waits in a queue.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) priority: i64,
    pub(crate) ready_at: i64,
    pub(crate) task: TaskId,
    /// The number of the last attempt.
    pub(crate) attempt: i64,
    pub(crate) operation: i64,
    pub(crate) version: i64,
    pub(crate) tree_version: i64,
}

impl Waiting {
    /// Whether the task is about what a version of a channel makes.
    pub(crate) fn is_of_channel(&self) -> bool {
        self.version >= i64::from(CHANNEL_VERSIONS_FROM)
    }

    /// Only the channel itself can make what its version promises.
    pub(crate) fn only_in_channel(&self) -> bool {
        [Operation::Produce, Operation::Find].map(Operation::code).contains(&self.operation)
    }
}

/// One capability that a session serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServiceRow {
    pub(crate) queue: i64,
    pub(crate) oldest_version: i64,
    pub(crate) version: i64,
}

impl ServiceRow {
    /// Whether the session can perform a task of this version. An undo goes by the key of what was made: any later
    /// build can be asked for it, also across a breaking change.
    pub(crate) fn covers(&self, version: i64, operation: i64) -> bool {
        let oldest = if operation == Operation::Undo.code() { 0 } else { self.oldest_version };
        (oldest..=self.version).contains(&version)
    }
}

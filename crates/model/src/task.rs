//! Tasks as the store has them: a tree knows what is to be done, and not in whose hands it is.

use jiff::Timestamp;

/// A task that a tree waits for, with what only the store knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenTask {
    /// The part that it is about.
    pub part: u32,
    /// Its number within the part.
    pub serial: u32,
    /// In whose hands it is.
    pub standing: Standing,
}

/// In whose hands a task is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// Nobody has it yet.
    Unclaimed {
        /// Whether a connected supplier performs its capability.
        served: bool,
    },
    /// A supplier works on it.
    Claimed {
        /// Which attempt this is.
        attempt: u32,
        /// Since when; `None` when it was answered just now.
        since: Option<Timestamp>,
    },
}

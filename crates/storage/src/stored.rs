//! What both databases write alike: the numbers of states, and values that are stored as JSON.

pub(crate) mod codes;
pub(crate) mod failures;
pub(crate) mod searches;

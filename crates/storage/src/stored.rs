//! What both databases write alike: the numbers of states, values that are stored as JSON, and rows before they are written.

pub(crate) mod accepting;
pub(crate) mod attempts;
pub(crate) mod changes;
pub(crate) mod codes;
pub(crate) mod debts;
pub(crate) mod entities;
pub(crate) mod events;
pub(crate) mod exports;
pub(crate) mod failures;
pub(crate) mod grants;
pub(crate) mod joins;
pub(crate) mod limits;
pub(crate) mod looks;
pub(crate) mod partial;
pub(crate) mod parts;
pub(crate) mod pins;
pub(crate) mod places;
pub(crate) mod rechecks;
pub(crate) mod requests;
pub(crate) mod restores;
pub(crate) mod retention;
pub(crate) mod searches;
pub(crate) mod statistics;
pub(crate) mod tables;
pub(crate) mod tasks;
pub(crate) mod values;

//! Shapes: the JSON of things that several operations show.
//!
//! They borrow from what the engine handed out and are written at once: a payload is never copied to be shown, unless
//! something in it has to be covered.

pub(super) mod dataset;
pub(super) mod diagnostic;
pub(super) mod difference;
pub(super) mod doubted;
pub(super) mod event;
pub(super) mod evidence;
pub(super) mod extension;
pub(super) mod failure;
pub(super) mod from_stock;
pub(super) mod lease;
pub(super) mod owner;
pub(super) mod scalar;
pub(super) mod search;
pub(super) mod secret;
pub(super) mod step;
pub(super) mod tree;
pub(super) mod waits_for;
pub(super) mod word;

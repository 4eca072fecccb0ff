//! Models: the two rules that everything else rests on, small enough that every sequence of what can happen is tried.
//!
//! [`lease`] has holders, servers and a system under test; [`claim`] has suppliers, one task and its results. Each rule of the store
//! is a switch: with all of them on no sequence breaks a property, and without any single one of them some sequence does, so that none
//! is there for nothing and no property is true of itself. Which statement of the store a transition stands for is in
//! `docs/verification.md`.

#![allow(clippy::unwrap_used, reason = "everything in here is a test")]

mod claim;
mod lease;

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Model};

/// As many as the smallest machine has that this is tried on.
const THREADS: usize = 2;

/// Tries every sequence; panics with the shortest one that breaks a property, or when something never happens. Returns how many
/// different states there are.
fn holds<M>(model: M) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Debug + Send + Sync + Clone + PartialEq + 'static,
    M::Action: Debug + Send + Sync + Clone + PartialEq + 'static,
{
    let checker = model.checker().threads(THREADS).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.is_done());
    checker.unique_state_count()
}

/// Looks for a sequence that breaks `property`; panics when there is none.
fn is_broken<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Debug + Send + Sync + Clone + PartialEq + 'static,
    M::Action: Debug + Send + Sync + Clone + PartialEq + 'static,
{
    let wanted = stateright::HasDiscoveries::AnyOf([property].into());
    let checker = model.checker().threads(THREADS).finish_when(wanted).spawn_bfs().join();
    let found = checker.discovery(property);
    assert!(found.is_some(), "`{property}` holds without the rule: it does not depend on it");
}

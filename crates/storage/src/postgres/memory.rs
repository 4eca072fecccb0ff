//! Memory: numbers of names, remembered so that they need not be read again.
//!
//! A name keeps its number for ever, so whatever was committed may be remembered by every server. What a transaction has read or
//! made is its own until it has committed. Nothing else is remembered that is in the database: queues, sessions and services
//! change under the hands of other servers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sixpack_model::ids::SessionId;

use super::limits::REMEMBERED;
use super::marks::Marks;

/// Numbers by name.
#[derive(Default)]
pub(super) struct Names {
    pub(super) environments: HashMap<String, i64>,
    /// By the number of the environment and the name.
    pub(super) contracts: HashMap<i64, HashMap<String, i64>>,
    pub(super) pins: HashMap<String, i64>,
    /// Queues of deployed suppliers by contract.
    pub(super) deployed: HashMap<i64, i64>,
}

impl Names {
    fn len(&self) -> usize {
        let contracts: usize = self.contracts.values().map(HashMap::len).sum();
        contracts + self.environments.len() + self.pins.len() + self.deployed.len()
    }

    fn take_over(&mut self, others: Self) {
        self.environments.extend(others.environments);
        for (environment, names) in others.contracts {
            self.contracts.entry(environment).or_default().extend(names);
        }
        self.pins.extend(others.pins);
        self.deployed.extend(others.deployed);
    }
}

/// What all transactions of this process know.
#[derive(Default)]
pub(super) struct Memory {
    names: Mutex<Names>,
    /// Where the next round of a session through its capabilities begins. A session that goes to another server begins anew.
    turns: Mutex<HashMap<SessionId, usize>>,
    /// Where looks begin.
    pub(super) marks: Marks,
}

impl Memory {
    /// Looks something up.
    pub(super) fn know(&self, look: impl FnOnce(&Names) -> Option<i64>) -> Option<i64> {
        look(&self.lock())
    }

    /// Keeps what a committed transaction has found out; forgets everything when it has become too much.
    pub(super) fn keep(&self, found: Names) {
        if found.len() == 0 {
            return;
        }
        let mut known = self.lock();
        if known.len() + found.len() > REMEMBERED {
            *known = Names::default();
        }
        known.take_over(found);
    }

    /// Where the round of a session through its capabilities begins that comes now.
    pub(super) fn next_turn(&self, session: SessionId) -> usize {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= REMEMBERED {
            turns.clear();
        }
        let turn = turns.entry(session).or_default();
        *turn = turn.wrapping_add(1);
        *turn
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Memory: what the writer remembers between writes so that it need not read it again.
//!
//! Everything in here is also in the database, and only the writer changes either. After a rollback all of it is
//! forgotten, because some of it may never have happened.

use std::collections::HashMap;
use std::sync::Arc;

use sixpack_model::ids::SessionId;

use super::limits::REMEMBERED;
pub(super) use crate::stored::tasks::ServiceRow;

/// Remembered rows.
#[derive(Default)]
pub(super) struct Memory {
    /// Numbers of environments by name.
    pub(super) environments: HashMap<String, i64>,
    /// Numbers of contracts by the number of the environment and the name.
    pub(super) contracts: HashMap<i64, HashMap<String, i64>>,
    /// Numbers of sets of pinned versions.
    pub(super) pins: HashMap<String, i64>,
    /// Queues of deployed suppliers by contract.
    pub(super) deployed: HashMap<i64, i64>,
    /// Queues.
    pub(super) queues: HashMap<i64, Queue>,
    /// Live sessions.
    pub(super) sessions: HashMap<SessionId, Serving>,
}

/// What is remembered of a queue.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) concurrency: Option<i64>,
    pub(super) rate_per_s: Option<f64>,
    pub(super) timeout_ms: i64,
    /// For each priority a time before which no task is ready; too early does no harm.
    pub(super) quiet_until: [i64; 4],
}

impl Queue {
    /// The earliest time at which there may be something to hand out.
    pub(super) fn quiet_until(&self) -> i64 {
        self.quiet_until.iter().copied().min().expect("there are four priorities")
    }
}

/// What is remembered of a live session.
pub(super) struct Serving {
    /// What it serves, in the order of the queues' numbers.
    pub(super) services: Arc<[ServiceRow]>,
    /// Where its next round through the services begins.
    pub(super) turn: usize,
}

impl Memory {
    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets everything when it has become too much.
    pub(super) fn bound(&mut self) {
        let contracts: usize = self.contracts.values().map(HashMap::len).sum();
        let largest = [contracts, self.environments.len(), self.pins.len(), self.sessions.len()];
        if largest.into_iter().any(|size| size > REMEMBERED) {
            self.forget();
        }
    }

    /// Notes that a task will be ready at a time.
    pub(super) fn expect_task(&mut self, queue: i64, priority: i64, ready_at: i64) {
        if let Some(queue) = self.queues.get_mut(&queue) {
            let quiet_until = &mut queue.quiet_until[place_of(priority)];
            *quiet_until = ready_at.min(*quiet_until);
        }
    }
}

/// The place of a priority in lists by priority.
pub(super) fn place_of(priority: i64) -> usize {
    usize::try_from(priority).expect("a priority is 0 to 3")
}

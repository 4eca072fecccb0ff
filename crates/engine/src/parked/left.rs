//! Left behind: which queues may hold tasks that nobody was taken for.

use std::collections::HashMap;

use sixpack_model::ids::SessionId;

use super::{Queue, REMEMBERED};

/// Which queues may hold tasks that a session has not looked at: spares looks that cannot find anything.
///
/// A hint as well: tasks that another server leaves are found when a parked supplier looks again by itself.
#[derive(Default)]
pub(super) struct LeftBehind {
    /// Counts the writes that left tasks to nobody.
    pub(super) writes: u64,
    /// Every look before this write has to be done again.
    all_since: u64,
    /// The last such write of each queue.
    queues: HashMap<Queue, u64>,
    /// How many of these writes each session had behind it when it last looked and nothing was left.
    looked: HashMap<SessionId, u64>,
}

impl LeftBehind {
    pub(super) fn forget(&mut self, session: SessionId) {
        self.looked.remove(&session);
    }

    pub(super) fn leave<'a>(&mut self, queues: impl IntoIterator<Item = &'a Queue>) {
        self.writes += 1;
        for queue in queues {
            self.queues.insert(queue.clone(), self.writes);
        }
        if self.queues.len() > REMEMBERED {
            self.leave_everywhere();
        }
    }

    pub(super) fn leave_everywhere(&mut self) {
        self.writes += 1;
        self.all_since = self.writes;
        self.queues.clear();
        self.looked.clear();
    }

    pub(super) fn looked(&mut self, session: SessionId, writes: u64) {
        let looked = self.looked.entry(session).or_default();
        *looked = writes.max(*looked);
        if self.looked.len() > REMEMBERED {
            self.looked.clear();
        }
    }

    pub(super) fn worth_a_look(&self, session: SessionId, queues: &[Queue]) -> bool {
        let Some(looked) = self.looked.get(&session) else { return true };
        let newer = |queue: &Queue| self.queues.get(queue).is_some_and(|write| write > looked);
        self.all_since > *looked || queues.iter().any(newer)
    }
}

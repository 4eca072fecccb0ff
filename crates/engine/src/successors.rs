//! Successors: tasks that a supplier's answers make ready, and that go back to it with the receipts.
//!
//! Most answers make the next task of the same supplier ready. It is claimed with the writes of the answers, or right behind them in
//! their commit, and neither a parked call nor another round trip is needed for it.

use std::sync::{Arc, Mutex, PoisonError};

use sixpack_model::ids::{SessionId, TaskId};
use sixpack_storage::tasks::Claimed;

use crate::parked::Queue;
use crate::trees::Offer;

/// Room for the tasks that one call's answers make ready.
pub(crate) struct Successors {
    /// Whose they are.
    session: Option<SessionId>,
    queues: Arc<[Queue]>,
    room: Mutex<Room>,
}

struct Room {
    /// How many more fit.
    left: usize,
    /// Those that wait to be claimed.
    taken: Vec<Offer>,
    /// Those that were claimed with the write that made them ready.
    claimed: Vec<Claimed>,
}

impl Successors {
    /// Room for `max` tasks of these queues.
    pub(crate) fn of(session: SessionId, queues: Arc<[Queue]>, max: u32) -> Self {
        let room = Room { left: max as usize, taken: Vec::new(), claimed: Vec::new() };
        Self { session: Some(session), queues, room: Mutex::new(room) }
    }

    /// No room: whatever becomes ready is offered to those who are parked.
    pub(crate) fn of_nobody() -> Self {
        let room = Room { left: 0, taken: Vec::new(), claimed: Vec::new() };
        Self { session: None, queues: Arc::from([]), room: Mutex::new(room) }
    }

    /// Whose they are.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Notes what was claimed with the write that has made it ready.
    pub(crate) fn claimed(&self, claimed: Vec<Claimed>) {
        let mut room = self.room();
        room.taken.retain(|offer| !claimed.iter().any(|claimed| claimed.claim.task == offer.task));
        room.claimed.extend(claimed);
    }

    /// Takes a task that the next write makes ready, if there is room for it.
    pub(crate) fn take(&self, task: TaskId, queue: &Queue) -> bool {
        if !self.queues.contains(queue) {
            return false;
        }
        let mut room = self.room();
        if room.left == 0 {
            return false;
        }
        room.left -= 1;
        room.taken.push(Offer::due(task, queue.clone()));
        true
    }

    /// Takes no more, and says what was taken, and what of that was claimed already: a claim that follows finds no task that is written behind it.
    pub(crate) fn close(&self) -> (Vec<Offer>, Vec<Claimed>) {
        let mut room = self.room();
        room.left = 0;
        (std::mem::take(&mut room.taken), std::mem::take(&mut room.claimed))
    }

    fn room(&self) -> std::sync::MutexGuard<'_, Room> {
        // Single pushes: a panic elsewhere leaves nothing half done.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sixpack_model::ids::TreeId;

    use super::*;

    fn queue(name: &str) -> Queue {
        Queue::new(&Arc::from("default"), name, None)
    }

    fn session() -> SessionId {
        SessionId(uuid::Uuid::nil())
    }

    fn task(part: u32) -> TaskId {
        TaskId { tree: TreeId(uuid::Uuid::nil()), part, serial: 1 }
    }

    #[test]
    fn only_tasks_of_its_queues_are_taken_and_only_while_there_is_room() {
        let successors = Successors::of(session(), Arc::from([queue("a")]), 2);
        assert!(!successors.take(task(1), &queue("b")), "another supplier's");
        assert!(successors.take(task(2), &queue("a")));
        assert!(successors.take(task(3), &queue("a")));
        assert!(!successors.take(task(4), &queue("a")), "there is room for two");
        assert_eq!(successors.close().0.len(), 2);
    }

    #[test]
    fn nothing_is_taken_behind_the_claim() {
        let successors = Successors::of(session(), Arc::from([queue("a")]), 2);
        assert!(successors.close().0.is_empty());
        assert!(!successors.take(task(1), &queue("a")));
    }
}

//! Returning: suppliers that are being given tasks, have room for more, and ask again as soon as they have them.
//!
//! ```text
//! taken with room -> given its tasks -> on its way back -> parked again, with what has been kept for it meanwhile
//! ```
//!
//! Over a store that others use as well a claim is a transaction of its own, and what nobody here is parked for is told to all
//! servers: another one's supplier would carry out what is remembered here, and read it first. What becomes ready while a supplier
//! is on its way back is claimed for it with the write that makes it ready instead, and kept until it is here.
//!
//! Only a supplier that was seen to come back at once is counted on, and only for the room that it has shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sixpack_model::ids::SessionId;
use tokio::time::Instant;

use super::{Queue, REMEMBERED};
use crate::assignment::Assignment;

/// Whoever asks again within this time is counted on: the way to a supplier and back, on a busy machine.
const BACK_WITHIN: Duration = Duration::from_millis(50);

/// What is kept for a supplier goes back after this time.
pub(crate) const KEPT_FOR: Duration = Duration::from_millis(100);

/// A task that is being claimed for a supplier on its way back: it takes room for as long as this lives.
#[derive(Debug)]
pub(super) struct Promise {
    _room: Arc<()>,
}

/// All who are on their way back.
#[derive(Default)]
pub(super) struct Returning {
    sessions: HashMap<SessionId, Away>,
    /// Who was taken last for a queue.
    queues: HashMap<Queue, SessionId>,
}

/// A session that was taken for tasks.
#[derive(Default)]
struct Away {
    /// How much room it has shown; nothing while it is here.
    room: usize,
    /// How many tasks it was given of that, or is taken for until then.
    taken: usize,
    /// When it was given its tasks; `None` while they are being written.
    given_at: Option<Instant>,
    /// Whether it has come back at once when it last could.
    is_prompt: bool,
    /// Shared with every promise that was made since it was first taken.
    promised: Arc<()>,
    /// What is kept for it, and since when.
    kept: Vec<(Instant, Assignment)>,
}

impl Away {
    fn is_counted_on(&self, now: Instant) -> bool {
        let spoken_for = self.taken + Arc::strong_count(&self.promised) - 1 + self.kept.len();
        self.is_prompt && self.room > spoken_for && self.given_at.is_none_or(|at| now - at < BACK_WITHIN)
    }
}

impl Returning {
    /// Notes that a supplier of these queues is taken for so many tasks of the room that it has shown.
    pub(super) fn taken(&mut self, session: SessionId, room: u32, queues: &[Queue], tasks: usize) {
        if self.sessions.len().max(self.queues.len()) > REMEMBERED {
            self.sessions.retain(|_, away| !away.kept.is_empty());
            self.queues.clear();
        }
        let away = self.sessions.entry(session).or_default();
        (away.room, away.taken, away.given_at) = (room as usize, tasks, None);
        if away.room > tasks {
            self.queues.extend(queues.iter().map(|queue| (queue.clone(), session)));
        }
    }

    /// Notes that a supplier has been given so many tasks.
    pub(super) fn given(&mut self, session: SessionId, tasks: usize, now: Instant) {
        if let Some(away) = self.sessions.get_mut(&session) {
            (away.taken, away.given_at) = (tasks, Some(now));
        }
    }

    /// Notes that a supplier was given nothing: its call goes on, and is parked again by the server.
    pub(super) fn given_nothing(&mut self, session: SessionId) {
        if let Some(away) = self.sessions.get_mut(&session) {
            (away.room, away.given_at) = (0, None);
        }
    }

    /// Notes that a supplier had given its call up. It is not counted on until it has come back at once again.
    pub(super) fn is_gone(&mut self, session: SessionId) {
        self.given_nothing(session);
        if let Some(away) = self.sessions.get_mut(&session) {
            away.is_prompt = false;
        }
    }

    /// Who is counted on for one more task of a queue.
    pub(super) fn take(&mut self, queue: &Queue, now: Instant) -> Option<(SessionId, Promise)> {
        let session = *self.queues.get(queue)?;
        let away = self.sessions.get(&session).filter(|away| away.is_counted_on(now))?;
        Some((session, Promise { _room: Arc::clone(&away.promised) }))
    }

    /// Keeps tasks for a supplier until it asks.
    pub(super) fn keep(&mut self, session: SessionId, tasks: Vec<Assignment>, now: Instant) {
        let away = self.sessions.entry(session).or_default();
        away.kept.extend(tasks.into_iter().map(|task| (now, task)));
    }

    /// Up to `max` of the tasks that are kept for a supplier.
    pub(super) fn collect(&mut self, session: SessionId, max: usize) -> Vec<Assignment> {
        let Some(away) = self.sessions.get_mut(&session) else { return Vec::new() };
        away.kept.drain(..max.min(away.kept.len())).map(|(_, task)| task).collect()
    }

    /// Notes that a supplier asks again.
    pub(super) fn is_back(&mut self, session: SessionId, now: Instant) {
        let Some(away) = self.sessions.get_mut(&session) else { return };
        away.room = 0;
        if let Some(given_at) = away.given_at.take() {
            away.is_prompt = now - given_at < BACK_WITHIN;
        }
    }

    /// What has been kept for a supplier for too long. It is not counted on until it has come back at once again.
    pub(super) fn take_uncollected(&mut self, session: SessionId, now: Instant) -> Vec<Assignment> {
        let Some(away) = self.sessions.get_mut(&session) else { return Vec::new() };
        let stale = away.kept.iter().take_while(|(since, _)| now - *since >= KEPT_FOR).count();
        away.is_prompt &= stale == 0;
        away.kept.drain(..stale).map(|(_, task)| task).collect()
    }

    /// Forgets a session; what is kept for it.
    pub(super) fn forget(&mut self, session: SessionId) -> Vec<Assignment> {
        let away = self.sessions.remove(&session).unwrap_or_default();
        away.kept.into_iter().map(|(_, task)| task).collect()
    }

    /// Forgets everybody; what is kept for each.
    pub(super) fn forget_all(&mut self) -> Vec<(SessionId, Vec<Assignment>)> {
        self.queues.clear();
        let kept = |away: Away| away.kept.into_iter().map(|(_, task)| task).collect::<Vec<_>>();
        let all = std::mem::take(&mut self.sessions).into_iter().map(|(session, away)| (session, kept(away)));
        all.filter(|(_, kept)| !kept.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{in_channel, queue, session, task};
    use super::*;

    const SOON: Duration = Duration::from_millis(3);

    fn taken(returning: &mut Returning, room: u32) {
        returning.taken(session(1), room, &[queue("a")], 1);
    }

    /// Is taken for one task with room for three, given it, and comes back.
    fn comes_back(returning: &mut Returning, now: Instant, after: Duration) {
        taken(returning, 3);
        returning.given(session(1), 1, now);
        returning.is_back(session(1), now + after);
    }

    /// How many tasks it is counted on for; the promises for them live as long as this is counted.
    fn counted_on(returning: &mut Returning, name: &str, now: Instant) -> usize {
        let mut promises = Vec::new();
        while let Some((of, promise)) = returning.take(&queue(name), now) {
            assert_eq!(of, session(1));
            promises.push(promise);
        }
        promises.len()
    }

    #[test]
    fn who_has_come_back_at_once_is_counted_on_for_as_much_as_it_has_room_for() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        taken(&mut returning, 3);
        assert_eq!(counted_on(&mut returning, "a", now), 0, "it has never come back yet");
        comes_back(&mut returning, now, SOON);
        assert_eq!(counted_on(&mut returning, "a", now), 0, "it is here");
        taken(&mut returning, 3);
        assert_eq!(counted_on(&mut returning, "b", now), 0, "it does nothing of that queue");
        assert!(returning.take(&in_channel("a"), now).is_none(), "it is of no channel");
        assert_eq!(counted_on(&mut returning, "a", now), 2, "while its task is being written");
        returning.given(session(1), 1, now);
        assert_eq!(counted_on(&mut returning, "a", now + SOON), 2, "while it is on its way back");
        returning.keep(session(1), vec![task(1)], now);
        assert_eq!(counted_on(&mut returning, "a", now + SOON), 1, "what is kept takes room");
        taken(&mut returning, 1);
        assert_eq!(counted_on(&mut returning, "a", now), 0, "it has no room for more");
    }

    #[test]
    fn the_room_is_what_it_was_really_given_and_promised() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        comes_back(&mut returning, now, SOON);
        taken(&mut returning, 4);
        let (_, promise) = returning.take(&queue("a"), now).unwrap();
        returning.given(session(1), 3, now);
        assert_eq!(counted_on(&mut returning, "a", now), 0, "three were claimed for it, and one more is");
        drop(promise);
        assert_eq!(counted_on(&mut returning, "a", now), 1, "nothing came of that one");
        let (_, _promise) = returning.take(&queue("a"), now).unwrap();
        returning.is_back(session(1), now + SOON);
        taken(&mut returning, 2);
        assert_eq!(counted_on(&mut returning, "a", now), 0, "what was promised before still comes");
    }

    #[test]
    fn who_was_late_or_is_gone_is_not_counted_on_until_it_comes_back_at_once_again() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        comes_back(&mut returning, now, SOON);
        taken(&mut returning, 3);
        returning.given(session(1), 1, now);
        assert_eq!(counted_on(&mut returning, "a", now + BACK_WITHIN), 0, "it should be back by now");
        returning.is_back(session(1), now + BACK_WITHIN);
        taken(&mut returning, 3);
        assert_eq!(counted_on(&mut returning, "a", now), 0, "it was late");
        returning.given_nothing(session(1));
        returning.is_back(session(1), now);
        taken(&mut returning, 3);
        assert_eq!(counted_on(&mut returning, "a", now), 0, "the server has parked it again, not it itself");
        comes_back(&mut returning, now, SOON);
        taken(&mut returning, 3);
        assert_eq!(counted_on(&mut returning, "a", now), 2);
        returning.is_gone(session(1));
        assert_eq!(counted_on(&mut returning, "a", now), 0);
        taken(&mut returning, 3);
        assert_eq!(counted_on(&mut returning, "a", now), 0);
    }

    #[test]
    fn what_nobody_asks_for_goes_back_and_its_supplier_is_not_counted_on() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        comes_back(&mut returning, now, SOON);
        taken(&mut returning, 9);
        returning.keep(session(1), vec![task(1)], now);
        returning.keep(session(1), vec![task(2)], now + SOON);
        assert!(returning.take_uncollected(session(1), now + SOON).is_empty());
        assert_ne!(counted_on(&mut returning, "a", now), 0);
        let stale = returning.take_uncollected(session(1), now + KEPT_FOR);
        assert_eq!(stale.iter().map(|task| task.task.serial).collect::<Vec<_>>(), [1]);
        assert_eq!(counted_on(&mut returning, "a", now), 0);
        assert_eq!(returning.collect(session(1), 5).len(), 1, "the later one is still kept");
    }

    #[test]
    fn no_more_is_collected_than_there_is_room_for() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        returning.keep(session(1), vec![task(1), task(2), task(3)], now);
        assert_eq!(returning.collect(session(1), 2).len(), 2);
        assert_eq!(returning.collect(session(2), 2).len(), 0, "another one's");
        assert_eq!(returning.collect(session(1), 2).len(), 1);
    }
}

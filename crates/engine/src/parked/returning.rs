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
use std::time::Duration;

use sixpack_model::ids::SessionId;
use tokio::time::Instant;

use super::{Poller, Queue};
use crate::assignment::Assignment;

/// Whoever asks again within this time is counted on: the way to a supplier and back, on a busy machine.
const BACK_WITHIN: Duration = Duration::from_millis(50);

/// What is kept for a supplier goes back after this time.
pub(crate) const KEPT_FOR: Duration = Duration::from_millis(100);

/// Sessions and queues that are remembered: more than a busy server has.
const REMEMBERED: usize = 100_000;

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
    /// How many more tasks it has room for.
    room: u32,
    /// When it was given its tasks; `None` while they are being written.
    given_at: Option<Instant>,
    /// Whether it has come back at once when it last could.
    is_prompt: bool,
    /// What is kept for it, and since when.
    kept: Vec<(Instant, Assignment)>,
}

impl Away {
    fn is_counted_on(&self, now: Instant) -> bool {
        self.is_prompt && self.room > 0 && self.given_at.is_none_or(|at| now - at < BACK_WITHIN)
    }
}

impl Returning {
    /// Notes that a supplier is taken for so many of the tasks that it has room for.
    pub(super) fn taken(&mut self, poller: &Poller, tasks: usize) {
        let room = poller.max.saturating_sub(u32::try_from(tasks).unwrap_or(u32::MAX));
        if self.sessions.len().max(self.queues.len()) > REMEMBERED {
            self.sessions.retain(|_, away| !away.kept.is_empty());
            self.queues.clear();
        }
        let away = self.sessions.entry(poller.session).or_default();
        (away.room, away.given_at) = (room, None);
        if room > 0 {
            self.queues.extend(poller.queues.iter().map(|queue| (queue.clone(), poller.session)));
        }
    }

    /// Notes that a supplier has been given its tasks.
    pub(super) fn given(&mut self, session: SessionId, now: Instant) {
        if let Some(away) = self.sessions.get_mut(&session) {
            away.given_at = Some(now);
        }
    }

    /// Who is counted on for one more task of a queue.
    pub(super) fn take(&mut self, queue: &Queue, now: Instant) -> Option<SessionId> {
        let session = *self.queues.get(queue)?;
        let away = self.sessions.get_mut(&session).filter(|away| away.is_counted_on(now))?;
        away.room -= 1;
        Some(session)
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

    /// What has been kept for a supplier for too long. It is not counted on any more.
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
    use super::super::tests::{in_channel, poller, queue, session, task};
    use super::*;

    const SOON: Duration = Duration::from_millis(3);

    /// Is taken for one task with room for three, given it, and comes back.
    fn comes_back(returning: &mut Returning, now: Instant, after: Duration) {
        returning.taken(&poller(1, 3, "a"), 1);
        returning.given(session(1), now);
        returning.is_back(session(1), now + after);
    }

    #[test]
    fn who_has_come_back_at_once_is_counted_on_for_as_much_as_it_has_room_for() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        returning.taken(&poller(1, 3, "a"), 1);
        assert_eq!(returning.take(&queue("a"), now), None, "it has never come back yet");
        comes_back(&mut returning, now, SOON);
        assert_eq!(returning.take(&queue("a"), now), None, "it is here");
        returning.taken(&poller(1, 3, "a"), 1);
        assert_eq!(returning.take(&queue("b"), now), None, "it does nothing of that queue");
        assert_eq!(returning.take(&in_channel("a"), now), None, "it is of no channel");
        assert_eq!(returning.take(&queue("a"), now), Some(session(1)), "while its task is being written");
        returning.given(session(1), now);
        assert_eq!(returning.take(&queue("a"), now + SOON), Some(session(1)), "while it is on its way back");
        assert_eq!(
            returning.take(&queue("a"), now + SOON),
            None,
            "it has room for three, and has one and two more"
        );
        returning.taken(&poller(1, 1, "a"), 1);
        assert_eq!(returning.take(&queue("a"), now), None, "it has no room for more");
    }

    #[test]
    fn who_was_late_is_not_counted_on_until_it_comes_back_at_once_again() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        comes_back(&mut returning, now, SOON);
        returning.taken(&poller(1, 3, "a"), 1);
        returning.given(session(1), now);
        assert_eq!(returning.take(&queue("a"), now + BACK_WITHIN), None, "it should be back by now");
        returning.is_back(session(1), now + BACK_WITHIN);
        returning.taken(&poller(1, 3, "a"), 1);
        assert_eq!(returning.take(&queue("a"), now), None);
        comes_back(&mut returning, now, SOON);
        returning.taken(&poller(1, 3, "a"), 1);
        assert_eq!(returning.take(&queue("a"), now), Some(session(1)));
    }

    #[test]
    fn what_nobody_asks_for_goes_back_and_its_supplier_is_not_counted_on() {
        let (mut returning, now) = (Returning::default(), Instant::now());
        comes_back(&mut returning, now, SOON);
        returning.taken(&poller(1, 3, "a"), 1);
        returning.keep(session(1), vec![task(1)], now);
        returning.keep(session(1), vec![task(2)], now + SOON);
        assert!(returning.take_uncollected(session(1), now + SOON).is_empty());
        assert_eq!(returning.take(&queue("a"), now), Some(session(1)));
        let stale = returning.take_uncollected(session(1), now + KEPT_FOR);
        assert_eq!(stale.iter().map(|task| task.task.serial).collect::<Vec<_>>(), [1]);
        assert_eq!(returning.take(&queue("a"), now), None);
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

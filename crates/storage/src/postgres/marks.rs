//! Marks: where a look into a queue, or into the stock of a line, begins.
//!
//! ```text
//! in the sequence of their times:   taken, taken, ... taken | SLACK_MS | what was taken last | there | there ...
//!                                   (dead in the index)     ^ the look begins here
//! ```
//!
//! Whoever takes the oldest first leaves what is dead at the front of the index, and every look walks over that until it is vacuumed:
//! which it cannot be while an old snapshot of somebody might still see it. So a look begins behind what was taken.
//!
//! A mark is a hint of this process. What comes in with a time before its mark, because its transaction took long, or because it was
//! given back, is found by the next look at everything: after ten seconds, or after one when nothing else is there. What this process
//! itself puts there moves the mark.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sixpack_model::ids::SessionId;
use sixpack_model::request::Priority;

use super::limits::REMEMBERED;
use super::writer::Tx;
use crate::stored::codes::Code;

/// So many are taken before a mark is worth it: what they leave is walked over in some tenths of a millisecond.
const WORTH_IT: u64 = 256;

/// Longer than a transaction takes that puts something there, in milliseconds of the store's time.
const SLACK_MS: i64 = 5_000;

/// Everything is looked at that often.
pub(super) const EVERYTHING: Duration = Duration::from_secs(10);

/// And that often when nothing was found behind the mark.
pub(super) const UPON_NOTHING: Duration = Duration::from_secs(1);

/// What is taken from, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pile {
    /// The stock of a line.
    Line(i64),
    /// What is ready in a queue, at one priority.
    Queue(i64, i64),
}

/// What a transaction has taken from piles, and put onto them.
#[derive(Debug, Default)]
pub(super) struct Moved {
    taken: Vec<(Pile, u64, i64)>,
    put: Vec<(Pile, i64)>,
}

impl Tx {
    /// Notes so many rows that were taken from a pile, the newest of which is of this time.
    pub(super) fn note_taken(&self, pile: Pile, rows: usize, newest: i64) {
        self.moved().taken.push((pile, rows as u64, newest));
    }

    /// Notes a row of this time that was put onto a pile.
    pub(super) fn note_put(&self, pile: Pile, at: i64) {
        self.moved().put.push((pile, at));
    }

    /// Notes rows of whatever time that were put into a queue.
    pub(super) fn note_moved_to(&self, queue: i64) {
        let piles = Priority::ALL.map(|priority| (Pile::Queue(queue, priority.code()), i64::MIN));
        self.moved().put.extend(piles);
    }

    fn moved(&self) -> MutexGuard<'_, Moved> {
        // Single pushes: a panic elsewhere leaves nothing half done.
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where looks at queues and priorities begin that do not begin with the oldest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Begins(pub(super) HashMap<(i64, i64), i64>);

impl Begins {
    /// Queues, priorities and times.
    pub(super) fn columns(&self) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
        let of_queues = self.0.keys().map(|(queue, _)| *queue).collect();
        let of_priorities = self.0.keys().map(|(_, priority)| *priority).collect();
        (of_queues, of_priorities, self.0.values().copied().collect())
    }
}

/// The marks of this process.
#[derive(Default)]
pub(super) struct Marks {
    piles: Mutex<HashMap<Pile, Mark>>,
    /// The queues of each session that has looked into them, which stay the same as long as it lives: a look asks for the marks of these,
    /// and one of a session that is not known looks at everything.
    queues: Mutex<HashMap<SessionId, Vec<i64>>>,
}

struct Mark {
    /// How many were taken in all.
    taken: u64,
    /// The time of what was taken last.
    last: i64,
    /// When everything was looked at last.
    looked: Instant,
}

impl Mark {
    /// The time with which a look begins at `now`, unless it is time for one at everything.
    fn begin(&self, now: Instant, every: Duration) -> Option<i64> {
        let holds = self.taken >= WORTH_IT && now.duration_since(self.looked) < every;
        holds.then(|| self.last.saturating_sub(SLACK_MS))
    }
}

impl Marks {
    /// The time with which a look at a pile begins; `None`, and noted, when it is one at everything, which is due after `every`.
    pub(super) fn begin(&self, pile: Pile, every: Duration) -> Option<i64> {
        self.begin_at(Instant::now(), pile, every)
    }

    fn begin_at(&self, now: Instant, pile: Pile, every: Duration) -> Option<i64> {
        let mut marks = self.lock();
        let mark = marks.get_mut(&pile)?;
        let begin = mark.begin(now, every);
        if begin.is_none() {
            mark.looked = now;
        }
        begin
    }

    /// The queues of these sessions with a mark, by priority, and where looks at them begin. Whoever looks at others says so behind it, by
    /// [`looked`](Self::looked).
    pub(super) fn of_sessions<'s>(
        &self,
        sessions: impl IntoIterator<Item = &'s SessionId>,
        every: Duration,
    ) -> Begins {
        let now = Instant::now();
        let known = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = self.lock();
        let queues = sessions.into_iter().filter_map(|session| known.get(session)).flatten();
        let all = queues.flat_map(|queue| Priority::ALL.map(|priority| (*queue, priority.code())));
        let begin = |key: (i64, i64)| Some((key, marks.get(&Pile::Queue(key.0, key.1))?.begin(now, every)?));
        Begins(all.filter_map(begin).collect())
    }

    /// Notes that a session has looked into these queues, and at all of these.
    pub(super) fn looked(&self, session: SessionId, queues: impl Iterator<Item = i64>, piles: Vec<Pile>) {
        let mut known = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&session) {
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(session, queues.collect());
        }
        drop(known);
        let now = Instant::now();
        let mut marks = self.lock();
        for pile in piles {
            if let Some(mark) = marks.get_mut(&pile) {
                mark.looked = now;
            }
        }
    }

    /// Takes in what a committed transaction has moved; forgets all marks when there are too many.
    pub(super) fn keep(&self, moved: Moved) {
        if moved.taken.is_empty() && moved.put.is_empty() {
            return;
        }
        let mut marks = self.lock();
        for (pile, rows, newest) in moved.taken {
            if marks.len() >= REMEMBERED {
                marks.clear();
            }
            let mark =
                marks.entry(pile).or_insert_with(|| Mark { taken: 0, last: newest, looked: Instant::now() });
            mark.taken += rows;
            // Also an earlier one: where that was there may be more.
            mark.last = newest;
        }
        for (pile, at) in moved.put {
            if let Some(mark) = marks.get_mut(&pile) {
                mark.last = mark.last.min(at);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pile, Mark>> {
        self.piles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Pile = Pile::Line(1);

    fn taken_from(pile: Pile, rows: u64, newest: i64) -> Moved {
        Moved { taken: vec![(pile, rows, newest)], put: Vec::new() }
    }

    fn taken(rows: u64, newest: i64) -> Moved {
        taken_from(LINE, rows, newest)
    }

    fn put(at: i64) -> Moved {
        Moved { taken: Vec::new(), put: vec![(LINE, at)] }
    }

    #[test]
    fn a_look_begins_behind_what_was_taken_once_that_is_much() {
        let marks = Marks::default();
        let begin = || marks.begin(LINE, EVERYTHING);
        assert_eq!(begin(), None);
        marks.keep(taken(255, 100_000));
        assert_eq!(begin(), None);
        marks.keep(taken(1, 200_000));
        assert_eq!(begin(), Some(195_000));
        assert_eq!(marks.begin(Pile::Queue(1, 1), EVERYTHING), None);
    }

    #[test]
    fn what_is_put_there_or_found_before_the_mark_moves_it() {
        let marks = Marks::default();
        marks.keep(taken(256, 200_000));
        marks.keep(put(300_000));
        assert_eq!(marks.begin(LINE, EVERYTHING), Some(195_000));
        marks.keep(put(50_000));
        assert_eq!(marks.begin(LINE, EVERYTHING), Some(45_000));
        marks.keep(taken(1, 200_000));
        marks.keep(taken(1, 70_000));
        assert_eq!(marks.begin(LINE, EVERYTHING), Some(65_000));
    }

    #[test]
    fn everything_is_looked_at_in_time_and_earlier_upon_nothing() {
        let marks = Marks::default();
        marks.keep(taken(256, 200_000));
        let from = Instant::now();
        let begin = |after_ms, every| marks.begin_at(from + Duration::from_millis(after_ms), LINE, every);
        assert_eq!(begin(9_000, EVERYTHING), Some(195_000));
        assert_eq!(begin(11_000, EVERYTHING), None);
        assert_eq!(begin(11_001, EVERYTHING), Some(195_000), "it was looked at just now");
        assert_eq!(begin(11_900, UPON_NOTHING), Some(195_000));
        assert_eq!(begin(12_001, UPON_NOTHING), None);
    }

    #[test]
    fn queues_with_a_mark_are_told_with_it() {
        let marks = Marks::default();
        marks.keep(taken(300, 9_000));
        marks.keep(taken_from(Pile::Queue(7, 1), 300, 10_000));
        marks.keep(taken_from(Pile::Queue(7, 2), 1, 10_000));
        marks.keep(taken_from(Pile::Queue(8, 1), 300, 10_000));
        let session = SessionId(uuid::Uuid::nil());
        let begins = |every| marks.of_sessions([&session], every);
        assert_eq!(begins(EVERYTHING), Begins::default(), "its queues are not known yet");
        marks.looked(session, [7, 9].into_iter(), Vec::new());
        assert_eq!(begins(EVERYTHING), Begins(HashMap::from([((7, 1), 5_000)])));
        assert_eq!(begins(Duration::ZERO), Begins::default(), "it is time to look at everything");
    }

    #[test]
    fn marks_are_forgotten_when_there_are_too_many() {
        let marks = Marks::default();
        for queue in 0..=REMEMBERED as i64 {
            marks.keep(taken_from(Pile::Queue(queue, 1), 1, 10_000));
        }
        assert_eq!(marks.lock().len(), 1);
    }
}

//! Time: that of the database, asked for once by all who want to know it at the same moment, and carried on for a moment.
//!
//! It has a connection of its own, so that nobody who holds one waits for it, and whoever waits for a connection does not wait
//! for one twice.
//!
//! ```text
//! asked for ----> the database reads its clock ----> answered           wanted again
//!                 t                                  |-- d, at most CARRIED --|  t + d, which is earlier than the database's
//! ```
//!
//! What is carried on counts from the answer, not from the question: it is behind the database's time by as long as the answer
//! took, never ahead of it, and never behind anything that was told before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex as Guarded, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::columns::number;
use super::connections::Connections;
use super::faults::Fault;

/// The database's clock.
pub(super) struct Time {
    pool: Connections,
    begun: AtomicU64,
    /// What came of the last look.
    last: Mutex<Look>,
    /// For how long an answer is carried on.
    carried: Duration,
    /// How long an answer is waited for, by everybody who wants to know it.
    patience: Duration,
    /// The last answer, with when it came.
    answer: Guarded<Option<(i64, Instant)>>,
}

#[derive(Default)]
struct Look {
    number: u64,
    seen: Option<Seen>,
}

#[derive(Clone, Copy)]
enum Seen {
    Now(i64),
    Nothing { is_passing: bool },
}

impl Time {
    /// `pool` has one connection.
    pub(super) fn new(pool: Connections, carried: Duration, patience: Duration) -> Self {
        let (begun, last, answer) = (AtomicU64::new(0), Mutex::default(), Guarded::default());
        Self { pool, begun, last, carried, patience, answer }
    }

    /// The time at some moment behind this call, or at most as long before it as an answer takes, in milliseconds.
    pub(super) async fn now(&self) -> Result<i64, Fault> {
        if let Some(now) = self.carried_on() {
            return Ok(now);
        }
        let before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.number > before
            && let Some(seen) = last.seen
        {
            // What does not help the one does not help the others, who would wait for it one after another.
            return match seen {
                Seen::Now(now) => Ok(now),
                Seen::Nothing { is_passing: true } => Err(Fault::Again("the connection for the time")),
                Seen::Nothing { is_passing: false } => Err(Fault::Late("asking for the time")),
            };
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        last.seen = None;
        let looked = self.look().await;
        let seen = match &looked {
            Ok(now) => Seen::Now(*now),
            Err(fault) => Seen::Nothing { is_passing: fault.is_passing() },
        };
        *last = Look { number, seen: Some(seen) };
        looked
    }

    pub(super) fn close(&self) {
        self.pool.close();
        // A store that is closed tells nothing any more.
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The last answer and the time since then.
    fn carried_on(&self) -> Option<i64> {
        let (now, answered) = (*self.answer.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since = answered.elapsed();
        (since < self.carried).then(|| now.saturating_add(since.as_millis() as i64))
    }

    async fn look(&self) -> Result<i64, Fault> {
        let connection = self.pool.get().await?;
        let asked = Instant::now();
        connection.begin_to_read();
        let read = connection.one("SELECT sixpack_now()", &[], |row| number(row, 0));
        let Ok(now) = timeout(self.patience, read).await else {
            connection.give_up();
            return Err(Fault::Late("asking for the time"));
        };
        connection.end_reading();
        let now = now?.expect("a function gives a row");
        let answered = Instant::now();
        // What was long on its way would be behind for as long.
        let is_recent = answered.duration_since(asked) < self.carried && !self.pool.is_closed();
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = is_recent.then_some((now, answered));
        Ok(now)
    }
}

//! Time: that of the database, asked for once by all who want to know it at the same moment.
//!
//! It has a connection of its own, so that nobody who holds one waits for it, and whoever waits for a connection does not wait
//! for one twice.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::columns::number;
use super::connections::Connections;
use super::faults::Fault;

/// The database's clock.
pub(super) struct Time {
    pool: Connections,
    begun: AtomicU64,
    /// What came of the last look.
    last: Mutex<Look>,
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
    pub(super) fn new(pool: Connections) -> Self {
        Self { pool, begun: AtomicU64::new(0), last: Mutex::default() }
    }

    /// The time at some moment behind this call, in milliseconds.
    pub(super) async fn now(&self) -> Result<i64, Fault> {
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
    }

    async fn look(&self) -> Result<i64, Fault> {
        let connection = self.pool.get().await?;
        connection.begin_to_read();
        let now = connection.one("SELECT sixpack_now()", &[], |row| number(row, 0)).await;
        connection.end_reading();
        Ok(now?.expect("a function gives a row"))
    }
}

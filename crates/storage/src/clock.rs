//! Clocks: where a store takes its time from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Tells the time. All deadlines of one store are computed and compared with one clock.
pub trait Clock: Send + Sync + 'static {
    /// The time now, in whole milliseconds: what a store is given reads the same when it comes back.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(Timestamp::now().as_millisecond())
            .expect("the present is within jiff's range")
    }
}

/// A clock that stands still until it is moved: for tests and simulations.
#[derive(Clone)]
pub struct ManualClock {
    millis: Arc<AtomicI64>,
    follower: Option<Follower>,
}

/// Is told the new time, in milliseconds since 1970, before a move returns.
type Follower = Arc<dyn Fn(i64) + Send + Sync>;

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self { millis: Arc::new(AtomicI64::new(start.as_millisecond())), follower: None }
    }

    /// The same clock, which tells `follower` of every move before the move returns: for a store that takes its time from
    /// elsewhere. It is told of the time at which the clock stands at once.
    #[must_use]
    pub fn followed_by(self, follower: impl Fn(i64) + Send + Sync + 'static) -> Self {
        follower(self.millis.load(Ordering::SeqCst));
        Self { follower: Some(Arc::new(follower)), ..self }
    }

    /// Moves the clock forward.
    pub fn advance_ms(&self, ms: i64) {
        let before = self.millis.fetch_add(ms, Ordering::SeqCst);
        if let Some(follower) = &self.follower {
            follower(before + ms);
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis.load(Ordering::SeqCst)).expect("a clock within jiff's range")
    }
}

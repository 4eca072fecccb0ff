//! A clock that goes on while the machine sleeps, for deadlines that a server keeps meanwhile.

use std::time::Duration;

/// A moment on a clock that also runs during suspend.
///
/// `std::time::Instant` stands still while a Linux machine sleeps: a lease counted on it would seem alive long after the
/// server ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// The present moment.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn now() -> Self {
        Self::from_timespec(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
    }

    /// The present moment. `CLOCK_MONOTONIC` of the Apple systems runs during sleep.
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    pub(crate) fn now() -> Self {
        Self::from_timespec(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
    }

    /// The present moment. The performance counter behind `Instant` runs during sleep on Windows.
    #[cfg(not(unix))]
    pub(crate) fn now() -> Self {
        static START: std::sync::LazyLock<std::time::Instant> =
            std::sync::LazyLock::new(std::time::Instant::now);
        Self(START.elapsed())
    }

    #[cfg(unix)]
    fn from_timespec(time: rustix::time::Timespec) -> Self {
        let seconds = u64::try_from(time.tv_sec).expect("a clock that counts from the start is not negative");
        let nanos = u32::try_from(time.tv_nsec).expect("nanoseconds of a second fit 32 bits");
        Self(Duration::new(seconds, nanos))
    }

    /// `span` after this moment.
    pub(crate) fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// From `earlier` to this moment; zero when it is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let first = Moment::now();
        let second = Moment::now();
        assert!(second >= first);
        assert_eq!(first.since(second.plus(Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(first.plus(Duration::from_secs(2)).since(first), Duration::from_secs(2));
    }
}

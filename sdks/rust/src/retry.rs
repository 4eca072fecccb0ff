//! Which calls are worth repeating, and when: pure decisions.

use std::time::Duration;

/// First delay of a row of tries; it doubles with every further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay: a server that comes back is found again within seconds.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// Unclassified server errors are repeated once; a second one means that repeating does not help.
const INTERNAL_TRIES: u32 = 1;

/// Why a call brought no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No answer at all: refused, reset, timed out.
    Connection,
    /// An error answer.
    Status { status: u16, code: String, retry_after: Option<Duration> },
}

/// After how long to repeat a call that met `trouble` for the `tries`th time (from 1) since `elapsed`.
///
/// `None`: repeating cannot help, or `patience` would be used up first. `chance` is in 0..1 and spreads clients that
/// met the same trouble at the same time.
pub(crate) fn delay_before_retry(
    trouble: &Trouble,
    tries: u32,
    elapsed: Duration,
    patience: Duration,
    chance: f64,
) -> Option<Duration> {
    let wanted = match trouble {
        Trouble::Connection | Trouble::Status { status: 408, .. } => Duration::ZERO,
        // Leases last for minutes, and it is for people to give some back.
        Trouble::Status { status: 429, code, .. } if code == "quota_leases" => return None,
        Trouble::Status { status: 429 | 503, retry_after, .. } => retry_after.unwrap_or_default(),
        Trouble::Status { status: 409, code, retry_after } if code == "idempotency_in_progress" => {
            retry_after.unwrap_or_default()
        }
        Trouble::Status { status: 500 | 502 | 504, .. } if tries <= INTERNAL_TRIES => Duration::ZERO,
        Trouble::Status { .. } => return None,
    };
    let delay = wanted.max(backoff(tries, chance));
    (elapsed + delay <= patience).then_some(delay)
}

/// Exponential delay before try `tries + 1`, spread over its upper half by `chance` (0..1).
pub(crate) fn backoff(tries: u32, chance: f64) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(MAX_DELAY);
    doubled.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn status(status: u16, code: &str, retry_after_s: Option<u64>) -> Trouble {
        Trouble::Status { status, code: code.into(), retry_after: retry_after_s.map(Duration::from_secs) }
    }

    fn delay(trouble: &Trouble, tries: u32) -> Option<Duration> {
        delay_before_retry(trouble, tries, Duration::ZERO, PATIENCE, 1.0)
    }

    #[test]
    fn a_quota_is_told_at_once() {
        let patience = Duration::from_secs(3_600);
        let delay = |code| delay_before_retry(&status(429, code, Some(60)), 1, Duration::ZERO, patience, 0.0);
        assert_eq!(delay("quota_leases"), None);
        assert_eq!(delay("too_many_polls"), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_lost_connection_is_retried_until_patience_ends() {
        assert_eq!(delay(&Trouble::Connection, 1), Some(Duration::from_millis(100)));
        assert_eq!(delay(&Trouble::Connection, 3), Some(Duration::from_millis(400)));
        assert_eq!(delay(&Trouble::Connection, 30), Some(MAX_DELAY));
        assert_eq!(delay_before_retry(&Trouble::Connection, 9, Duration::from_secs(29), PATIENCE, 1.0), None);
        assert_eq!(delay_before_retry(&Trouble::Connection, 1, Duration::ZERO, Duration::ZERO, 0.0), None);
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        assert_eq!(delay(&status(429, "too_many_requests", Some(7)), 1), Some(Duration::from_secs(7)));
        assert_eq!(delay(&status(503, "unavailable", None), 1), Some(Duration::from_millis(100)));
        assert_eq!(delay(&status(503, "unavailable", Some(31)), 1), None);
        assert_eq!(delay(&status(409, "idempotency_in_progress", Some(1)), 1), Some(Duration::from_secs(1)));
    }

    #[test]
    fn what_cannot_succeed_is_not_retried() {
        for refused in [400, 401, 403, 404, 409, 412, 413, 422] {
            assert_eq!(delay(&status(refused, "whatever", Some(1)), 1), None, "{refused}");
        }
    }

    #[test]
    fn an_internal_error_is_retried_once() {
        assert!(delay(&status(500, "internal", None), 1).is_some());
        assert_eq!(delay(&status(500, "internal", None), 2), None);
    }

    #[test]
    fn chance_spreads_a_delay_over_its_upper_half() {
        assert_eq!(backoff(1, 0.0), Duration::from_millis(50));
        assert_eq!(backoff(1, 1.0), Duration::from_millis(100));
        assert_eq!(backoff(u32::MAX, 0.0), MAX_DELAY / 2);
    }
}

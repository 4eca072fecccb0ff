//! Moments: the times that servers tell, as numbers that can be compared.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in microseconds since 1970. Everything in a trial shares the clock of one machine, the store too.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// A time as microseconds since 1970.
pub(crate) fn micros(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_1970() {
        assert_eq!(micros("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(micros("2000-02-29T12:00:00.5Z"), Some(951_825_600_500_000));
        assert_eq!(micros("2026-11-27T01:23:49.120045Z"), Some(1_795_742_629_120_045));
        assert_eq!(micros("yesterday"), None);
    }
}

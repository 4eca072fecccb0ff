//! Values: how times, spans and JSON are written.

use jiff::Timestamp;
use serde_json::Value;

/// A time as it is stored.
pub(crate) fn ms(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// An optional time as it is stored.
pub(crate) fn ms_of(time: Option<Timestamp>) -> Option<i64> {
    time.map(ms)
}

/// A stored time. What is out of range was not written by this store, so the nearest time will do.
pub(crate) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// A count or span as it is stored; no real one comes near the end of the range.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// JSON as it is stored.
pub(crate) fn json(value: &Value) -> String {
    value.to_string()
}

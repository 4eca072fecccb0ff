//! Times and spans as people read and write them; the machine's own wall clock is never asked.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;

/// A time of the server without its fraction, in UTC: `2026-11-22 10:41:07`.
pub(crate) fn moment(time: &str) -> String {
    match (time.get(..10), time.get(11..19)) {
        (Some(day), Some(clock)) if time.as_bytes()[10] == b'T' => format!("{day} {clock}"),
        _ => time.to_owned(),
    }
}

/// An optional time, or a dash.
pub(crate) fn moment_or_dash(time: Option<&String>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| moment(time))
}

/// How long it is from one time of the server to another; nothing when one cannot be read.
pub(crate) fn between(from: &str, to: &str) -> Option<Duration> {
    let (from, to): (Timestamp, Timestamp) = (from.parse().ok()?, to.parse().ok()?);
    Some(Duration::try_from(to.duration_since(from)).unwrap_or_default())
}

/// A span in at most two units: `289 ms`, `1.2 s`, `4 min 03 s`, `1 h 30 min`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{:.1} s", span.as_secs_f64().min(59.9)),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Units of spans and the seconds that they stand for, the largest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Lengths of a lease or of a request in seconds: at most a day.
pub(crate) const SPAN_S: RangeInclusive<u64> = 1..=86_400;

/// Reads spans of whole seconds within a range, which a refusal names.
pub(crate) fn seconds_within(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let seconds = read_seconds(text)?;
        if range.contains(&seconds) {
            return Ok(seconds);
        }
        Err(format!("must be from {} to {}", written(*range.start()), written(*range.end())))
    }
}

/// A span as people write it, in its largest whole unit.
fn written(seconds: u64) -> String {
    let unit = UNITS.iter().find(|(_, factor)| seconds.is_multiple_of(*factor));
    unit.map_or_else(|| seconds.to_string(), |(unit, factor)| format!("{}{unit}", seconds / factor))
}

/// Reads a span of whole seconds: `90`, `90s`, `30m`, `2h`, `7d`.
fn read_seconds(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, "s"),
    };
    let factor = UNITS.iter().find(|(known, _)| *known == unit).map_or(1, |(_, factor)| *factor);
    let number: u64 = digits.parse().map_err(|_| "write whole seconds like 90, or 30m, 2h, 7d".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is longer than anybody waits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_with_a_unit_or_in_seconds() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("30m", 1_800), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(read_seconds(text), Ok(seconds), "{text}");
        }
        for text in ["", "m", "1.5h", "-1", "1w", "99999999999999999999", "18446744073709551615d"] {
            assert!(read_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_outside_of_its_range_is_refused_with_both_ends() {
        let read = seconds_within(SPAN_S);
        assert_eq!(read("24h"), Ok(86_400));
        for text in ["0", "2d"] {
            assert_eq!(read(text), Err("must be from 1s to 1d".to_owned()), "{text}");
        }
    }

    #[test]
    fn spans_are_shown_in_at_most_two_units() {
        for (millis, shown) in [
            (289, "289 ms"),
            (1_240, "1.2 s"),
            (59_990, "59.9 s"),
            (243_000, "4 min 03 s"),
            (5_400_000, "1 h 30 min"),
            (90_000_000, "1 d 01 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn times_are_shown_without_their_fraction() {
        assert_eq!(moment("2026-11-22T10:41:07.120Z"), "2026-11-22 10:41:07");
        assert_eq!(moment("later"), "later");
        assert_eq!(
            between("2026-11-22T10:41:07.131Z", "2026-11-22T10:41:07.420Z"),
            Some(Duration::from_millis(289))
        );
        assert_eq!(between("x", "2026-11-22T10:41:07.420Z"), None);
    }
}

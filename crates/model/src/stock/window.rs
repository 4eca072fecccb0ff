//! Windows: the hours in which a rule is refilled, by the wall clock of a place.
//!
//! A window opens at every time of its cron expression and stays open for a span. Times are those of the zone's wall
//! clock. One that the clock skips in spring comes later, by as much as was skipped; of one that it shows twice in autumn
//! the first counts. So no opening is left out, and none comes twice.
//!
//! The calendar of zones is in the program, so that every machine means the same by a zone. Only this file knows the
//! library that reads cron expressions.

use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use crate::fault::Fault;
use crate::limits::WINDOW_YEARS;
use crate::text::{excerpt, quoted};

/// Further than any zone has ever moved its clock at once: Samoa skipped a day.
const LARGEST_SHIFT: SignedDuration = SignedDuration::from_hours(25);

/// When a rule is refilled.
#[derive(Debug, Clone)]
pub struct Window {
    opens: String,
    for_s: u32,
    time_zone: String,
    calendar: Result<Arc<Calendar>, Vec<Fault>>,
}

#[derive(Debug)]
struct Calendar {
    cron: Cron,
    zone: TimeZone,
}

/// Equal when they are written alike.
impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        (&self.opens, self.for_s, &self.time_zone) == (&other.opens, other.for_s, &other.time_zone)
    }
}

impl Window {
    /// A window as it is written. One that cannot be understood never opens, and says so in its [faults](Self::faults).
    pub fn new(opens: impl Into<String>, for_s: u32, time_zone: impl Into<String>) -> Self {
        let (opens, time_zone) = (opens.into(), time_zone.into());
        let calendar = match (cron(&opens), zone(&time_zone)) {
            (Ok(cron), Ok(zone)) => Ok(Arc::new(Calendar { cron, zone })),
            (cron, zone) => Err(cron.err().into_iter().chain(zone.err()).collect()),
        };
        Self { opens, for_s, time_zone, calendar }
    }

    /// When it opens: minute, hour, day of the month, month, day of the week.
    pub fn opens(&self) -> &str {
        &self.opens
    }

    /// How long it stays open, in seconds.
    pub fn for_s(&self) -> u32 {
        self.for_s
    }

    /// Whose wall clock counts: a name of the IANA database.
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// Why it cannot be understood; empty when it can. Pointers lead into the window.
    pub fn faults(&self) -> &[Fault] {
        self.calendar.as_ref().err().map_or(&[], Vec::as_slice)
    }

    /// Whether it is open. It is from the moment at which it opens, and no longer at the moment at which it closes.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let Ok(calendar) = &self.calendar else { return false };
        let closed_before = now.checked_sub(SignedDuration::from_secs(self.for_s.into()));
        let closed_before = closed_before.unwrap_or(Timestamp::MIN);
        let (_, latest) = calendar.local_times(now);
        calendar
            .openings(closed_before)
            .take_while(|(local, _)| *local <= latest)
            .any(|(_, at)| closed_before < at && at <= now)
    }

    /// The next time at which it opens, behind `now` also when it is open; `None` when it never does again.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        let calendar = self.calendar.as_ref().ok()?;
        let mut openings = calendar.openings(now).skip_while(|(_, at)| *at <= now);
        let (_, mut next) = openings.next()?;
        // What the clock skips comes later than some of what stands behind it on the dial.
        let dial = calendar.zone.to_datetime(next);
        for (_, at) in openings.take_while(|(local, _)| *local < dial) {
            if now < at {
                next = next.min(at);
            }
        }
        Some(next)
    }

    /// Refuses a window that does not open for years to come: `0 0 30 2 *` never does.
    pub(crate) fn check_opens(&self, now: Timestamp) -> Result<(), Fault> {
        // A pattern that cannot be read has been told; a day that never comes comes in no zone.
        let (Ok(_), zone) = (cron(&self.opens), zone(&self.time_zone).unwrap_or(TimeZone::UTC)) else {
            return Ok(());
        };
        let local = zone.to_datetime(now);
        // The years are part of the pattern, so that the library gives up where they end and not in the year 5000.
        let years = format!("0 {} {}-{}", self.opens, local.year(), local.year() + WINDOW_YEARS);
        let bounded = CronParser::new().parse(&years);
        let opens = bounded.is_ok_and(|cron| cron.find_next_occurrence(&local, false).is_ok());
        let message = format!(
            "{} does not come within {WINDOW_YEARS} years: no month has such a day",
            quoted(&self.opens)
        );
        if opens { Ok(()) } else { Err(Fault::new("/opens", "cron_never", message)) }
    }
}

impl Calendar {
    /// Times on the dial at which it opens, with the moments that they stand for: all from `from` on, and perhaps a few
    /// before. They come in the order of the dial, which is that of the moments but where the clock is moved.
    fn openings(&self, from: Timestamp) -> impl Iterator<Item = (DateTime, Timestamp)> + '_ {
        let (mut at, _) = self.local_times(from);
        let mut inclusive = true;
        std::iter::from_fn(move || {
            let local = self.cron.find_next_occurrence(&at, inclusive).ok()?;
            (at, inclusive) = (local, false);
            let moment = self.zone.to_ambiguous_timestamp(local).compatible().ok()?;
            Some((local, moment))
        })
    }

    /// What the dial shows at a moment, by the offset of now and by the one before the clock was last moved: the earlier
    /// of the two, and the later.
    fn local_times(&self, at: Timestamp) -> (DateTime, DateTime) {
        let before = at.checked_sub(LARGEST_SHIFT).unwrap_or(Timestamp::MIN);
        let (now, before) =
            (self.zone.to_offset(at).to_datetime(at), self.zone.to_offset(before).to_datetime(at));
        (now.min(before), now.max(before))
    }
}

fn cron(text: &str) -> Result<Cron, Fault> {
    let fault = |message: String| Fault::new("/opens", "cron", message);
    let fields = text.split_whitespace().count();
    if fields > 5 {
        return Err(fault(format!(
            "has {fields} fields, and five are allowed: minute, hour, day of the month, month, day of the week. A window \
             opens at most once a minute, in every year"
        )));
    }
    if fields < 5 {
        return Err(fault(format!(
            "has {fields} of the five fields: minute, hour, day of the month, month, day of the week"
        )));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| {
        fault(format!("{} is not a cron expression: {}", quoted(text), excerpt(&error.to_string())))
    })
}

fn zone(name: &str) -> Result<TimeZone, Fault> {
    let zone = TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown());
    zone.ok_or_else(|| {
        let message = format!(
            "{} is not a zone of the IANA time zone database, such as Europe/Prague or UTC",
            quoted(name)
        );
        Fault::new("/time_zone", "time_zone", message)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn openings(window: &Window, from: &str, count: usize) -> Vec<String> {
        let mut now = at(from);
        let mut found = Vec::new();
        while found.len() < count {
            now = window.next_opening(now).unwrap();
            found.push(now.to_string());
        }
        found
    }

    #[test]
    fn a_window_is_open_from_its_opening_for_its_span() {
        let office = Window::new("0 6 * * 1-5", 43_200, "Europe/Prague");
        assert_eq!(office.faults(), []);
        for (now, open) in [
            ("2026-11-26T04:59:59.999Z", false), // a Thursday, an hour behind in winter
            ("2026-11-26T05:00:00Z", true),
            ("2026-11-26T16:59:59.999Z", true),
            ("2026-11-26T17:00:00Z", false),
            ("2026-11-28T08:00:00Z", false), // a Saturday
            ("2026-07-01T04:00:00Z", true),  // two hours behind in summer
            ("2026-07-01T03:59:59Z", false),
        ] {
            assert_eq!(office.is_open(at(now)), open, "{now}");
        }
        assert_eq!(
            openings(&office, "2026-11-26T05:00:00Z", 3),
            ["2026-11-27T05:00:00Z", "2026-11-30T05:00:00Z", "2026-12-01T05:00:00Z"]
        );
    }

    #[test]
    fn a_window_that_opens_before_it_has_closed_stays_open() {
        let always = Window::new("* * * * *", 60, "UTC");
        assert!(always.is_open(at("2026-01-01T00:00:00Z")) && always.is_open(at("2026-01-01T00:00:59.999Z")));
        let often = Window::new("*/10 * * * *", 86_400, "Asia/Kathmandu");
        assert!(often.is_open(at("2026-01-01T00:09:59Z")));
    }

    #[test]
    fn what_the_clock_skips_comes_later_and_of_what_it_shows_twice_the_first_counts() {
        let night = Window::new("30 2 * * *", 60, "Europe/Berlin");
        assert_eq!(
            openings(&night, "2025-03-29T12:00:00Z", 2),
            ["2025-03-30T01:30:00Z", "2025-03-31T00:30:00Z"],
            "half past two is skipped: it is half past three"
        );
        assert_eq!(
            openings(&night, "2025-10-25T12:00:00Z", 2),
            ["2025-10-26T00:30:00Z", "2025-10-27T01:30:00Z"],
            "the first half past two, and not again an hour later"
        );
        for (now, open) in [
            ("2025-03-30T01:29:59Z", false),
            ("2025-03-30T01:30:00Z", true),
            ("2025-03-30T01:31:00Z", false),
            ("2025-10-26T00:30:30Z", true),
            ("2025-10-26T01:30:30Z", false),
        ] {
            assert_eq!(night.is_open(at(now)), open, "{now}");
        }
        let halves = Window::new("0,30 * * * *", 60, "Europe/Berlin");
        assert_eq!(
            openings(&halves, "2025-03-30T00:30:00Z", 4),
            ["2025-03-30T01:00:00Z", "2025-03-30T01:30:00Z", "2025-03-30T02:00:00Z", "2025-03-30T02:30:00Z"]
        );
        assert_eq!(
            openings(&halves, "2025-10-26T00:00:00Z", 3),
            ["2025-10-26T00:30:00Z", "2025-10-26T02:00:00Z", "2025-10-26T02:30:00Z"]
        );
    }

    #[test]
    fn a_whole_day_that_a_zone_skips_is_made_up_for() {
        // Samoa went from the 29th of December 2011 to the 31st.
        let noon = Window::new("0 12 30 12 *", 60, "Pacific/Apia");
        assert_eq!(openings(&noon, "2011-12-01T00:00:00Z", 1), ["2011-12-30T22:00:00Z"]);
        let daily = Window::new("0 12 * * *", 60, "Pacific/Apia");
        assert_eq!(
            openings(&daily, "2011-12-29T00:00:00Z", 3),
            ["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T22:00:00Z"]
        );
    }

    #[test]
    fn a_window_that_cannot_be_understood_never_opens_and_says_why() {
        for (opens, time_zone, codes) in [
            ("* * * * * *", "UTC", vec!["cron"]),
            ("0 0 1 1 * 2200", "UTC", vec!["cron"]),
            ("* * * * * * 2200", "UTC", vec!["cron"]),
            ("*/0", "UTC", vec!["cron"]),
            ("*/0 * * * *", "UTC", vec!["cron"]),
            ("", "UTC", vec!["cron"]),
            ("@daily", "UTC", vec!["cron"]),
            ("60 * * * *", "UTC", vec!["cron"]),
            ("* 24 * * *", "UTC", vec!["cron"]),
            ("* * 0 * *", "UTC", vec!["cron"]),
            ("* * * 13 *", "UTC", vec!["cron"]),
            ("* * * * 8", "UTC", vec!["cron"]),
            ("5-1 * * * *", "UTC", vec!["cron"]),
            ("* * * * \u{1b}[31m", "UTC", vec!["cron"]),
            ("0 6 * * *", "Mars/Olympus", vec!["time_zone"]),
            ("0 6 * * *", "", vec!["time_zone"]),
            ("0 6 * * *", "+02:00", vec!["time_zone"]),
            ("0 6 * * *", "Etc/Unknown", vec!["time_zone"]),
            ("0 6", "../etc/passwd", vec!["cron", "time_zone"]),
        ] {
            let window = Window::new(opens, 60, time_zone);
            let found: Vec<&str> = window.faults().iter().map(|fault| fault.code).collect();
            assert_eq!(found, codes, "{opens} {time_zone}");
            let now = at("2026-01-01T00:00:00Z");
            assert!(!window.is_open(now) && window.next_opening(now).is_none(), "{opens} {time_zone}");
            let told: String = window.faults().iter().map(ToString::to_string).collect();
            assert!(!told.contains('\u{1b}'), "{told}");
        }
    }

    #[test]
    fn a_day_that_no_month_has_is_refused_and_one_that_is_rare_is_not() {
        let now = at("2026-11-26T12:00:00Z");
        for (opens, comes) in [
            ("0 0 30 2 *", false),
            ("0 0 31 4,6,9,11 *", false),
            ("0 0 29 2 *", true),
            ("0 0 L 2 *", true),
            ("0 0 * * 7", true),
            ("0 0 1 1 *", true),
            ("0 0 * * 1#5", true),
            ("0 0 29 2 +1", false), // the next leap day that is a Monday comes in 2044
        ] {
            let window = Window::new(opens, 60, "Europe/Prague");
            assert_eq!(window.faults(), [], "{opens}");
            assert_eq!(window.check_opens(now).is_ok(), comes, "{opens}");
        }
    }

    proptest! {
        /// By the minutes of two days in which clocks are moved, compared with counting them one by one.
        #[test]
        fn a_window_is_open_exactly_when_one_of_its_openings_is_near(
            minute in 0..60_u32, hours in prop::sample::subsequence(vec![0, 1, 2, 3, 12, 23], 1..4),
            span_min in 1..180_u32, day in 0..4_usize, zone in 0..5_usize,
        ) {
            let zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"];
            let days = ["2025-03-29T22:00:00Z", "2025-10-25T22:00:00Z", "2025-04-05T12:00:00Z", "2011-12-29T08:00:00Z"];
            let hours: Vec<String> = hours.iter().map(ToString::to_string).collect();
            let window = Window::new(format!("{minute} {} * * *", hours.join(",")), span_min * 60, zones[zone]);
            let calendar = window.calendar.clone().unwrap();
            let start = at(days[day]);
            let minutes = |count: i64| start + SignedDuration::from_mins(count);
            // Every minute of the dial that the pattern names, as the moment that it stands for.
            let dial = calendar.zone.to_datetime(start - SignedDuration::from_hours(72));
            let moments: Vec<Timestamp> = (0..144 * 60)
                .map(|count| dial.checked_add(SignedDuration::from_mins(count)).unwrap())
                .filter(|local| calendar.cron.is_time_matching(&local.round(jiff::Unit::Minute).unwrap()).unwrap())
                .map(|local| calendar.zone.to_ambiguous_timestamp(local).compatible().unwrap())
                .collect();
            for count in (0..1_440).step_by(7) {
                let now = minutes(count);
                let span = SignedDuration::from_mins(span_min.into());
                let open = moments.iter().any(|at| *at <= now && now < *at + span);
                prop_assert_eq!(window.is_open(now), open, "{} {}", &window.opens, now);
                let next = moments.iter().filter(|at| **at > now).min().copied();
                prop_assert_eq!(window.next_opening(now), next, "{} {}", &window.opens, now);
            }
        }
    }
}

//! History: what a line has had over the last day, in spans of the same length.
//!
//! ```text
//! samples    |3      |5      |       |2      |      at the beginning of each span that somebody has looked in
//! counts     |90     |97     |       |99     |104   what it had come to by then, and has come to now
//! spans      |3, +7  |5, +2  |  gap  |2, +5  |
//! ```

use jiff::{SignedDuration, Timestamp};

use crate::limits::{STOCK_HISTORY_EVERY_S, STOCK_HISTORY_POINTS_LEAST, STOCK_HISTORY_SPANS};

/// What a line has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Datasets that were handed out from it.
    pub hits: u64,
    /// Datasets that were asked for and not there.
    pub misses: u64,
    /// Datasets that refills have made for it.
    pub made: u64,
    /// Refills that failed.
    pub failed: u64,
}

impl LineCounts {
    /// What has come since it was this; nothing where it is less now, as behind a store that was restored.
    fn since(self, before: Self) -> Self {
        Self {
            hits: self.hits.saturating_sub(before.hits),
            misses: self.misses.saturating_sub(before.misses),
            made: self.made.saturating_sub(before.made),
            failed: self.failed.saturating_sub(before.failed),
        }
    }
}

/// What a line had at the beginning of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelSample {
    /// When the span began.
    pub at: Timestamp,
    /// In stock.
    pub ready: u64,
    /// Being made for it, or checked.
    pub coming: u64,
    /// How many its rules wanted ready.
    pub target: u64,
    /// What it had come to by then.
    pub counts: LineCounts,
}

/// The spans that a history is told in: the last of them is that of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryGrid {
    /// When the first begins.
    pub since: Timestamp,
    /// How long each is.
    pub every_s: u32,
    /// How many there are.
    pub spans: u32,
}

impl HistoryGrid {
    /// A day before `now` in at most so many spans.
    pub fn of(points: u32, now: Timestamp) -> Self {
        let points = points.clamp(STOCK_HISTORY_POINTS_LEAST, STOCK_HISTORY_SPANS);
        let together = STOCK_HISTORY_SPANS.div_ceil(points);
        let (every_s, spans) = (STOCK_HISTORY_EVERY_S * together, STOCK_HISTORY_SPANS.div_ceil(together));
        let second = now.as_second();
        let last = second - second.rem_euclid(every_s.into());
        let since = last - i64::from(every_s) * i64::from(spans - 1);
        let since = Timestamp::from_second(since).unwrap_or(Timestamp::MIN);
        Self { since, every_s, spans }
    }

    fn place(self, at: Timestamp) -> Option<usize> {
        let behind = at.as_second() - self.since.as_second();
        let place = usize::try_from(behind / i64::from(self.every_s)).ok()?;
        (behind >= 0 && place < self.spans as usize).then_some(place)
    }
}

/// One span of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelSpan {
    /// In stock: the lowest that was noted.
    pub ready: u64,
    /// Being made for it, or checked: the highest that was noted.
    pub coming: u64,
    /// How many its rules wanted ready: the highest that was noted.
    pub target: u64,
    /// What it has come to in this span, and in those behind it in which nobody looked.
    pub counts: LineCounts,
}

/// What a line has had over the last day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// When the first span begins; `None` when nothing was noted yet.
    pub since: Option<Timestamp>,
    /// How long each span is.
    pub every_s: u32,
    /// From the first in which anything was noted to that of now; `None` for one in which nobody looked.
    pub spans: Vec<Option<LevelSpan>>,
}

impl History {
    /// The history that these samples tell, the oldest first and at most one of a span; `now` is what the line has come to.
    pub fn of(grid: HistoryGrid, samples: &[LevelSample], now: LineCounts) -> Self {
        let mut spans = vec![None; grid.spans as usize];
        let mut first = None;
        for (number, sample) in samples.iter().enumerate() {
            let Some(place) = grid.place(sample.at) else { continue };
            let until = samples.get(number + 1).map_or(now, |next| next.counts);
            let LevelSample { ready, coming, target, .. } = *sample;
            spans[place] = Some(LevelSpan { ready, coming, target, counts: until.since(sample.counts) });
            first = first.or(Some(place));
        }
        let start =
            |place: usize| grid.since + SignedDuration::from_secs(i64::from(grid.every_s) * place as i64);
        let since = first.map(start);
        spans.drain(..first.unwrap_or(spans.len()));
        Self { since, every_s: grid.every_s, spans }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-01-05T{time}Z").parse().unwrap()
    }

    fn counts(hits: u64, misses: u64) -> LineCounts {
        LineCounts { hits, misses, made: 2 * hits, failed: 0 }
    }

    fn sample(time: &str, ready: u64, counts: LineCounts) -> LevelSample {
        LevelSample { at: at(time), ready, coming: 1, target: 5, counts }
    }

    #[test]
    fn a_day_is_told_in_as_many_spans_as_were_asked_for_or_fewer() {
        let now = "2026-01-06T12:04:59Z".parse().unwrap();
        for (points, every_s, spans, since) in [
            (288, 300, 288, "2026-01-05T12:05:00Z"),
            (1_000, 300, 288, "2026-01-05T12:05:00Z"),
            (200, 600, 144, "2026-01-05T12:10:00Z"),
            (48, 1_800, 48, "2026-01-05T12:30:00Z"),
            (47, 2_100, 42, "2026-01-05T11:55:00Z"),
            (12, 7_200, 12, "2026-01-05T14:00:00Z"),
            (1, 7_200, 12, "2026-01-05T14:00:00Z"),
        ] {
            let since = since.parse().unwrap();
            assert_eq!(HistoryGrid::of(points, now), HistoryGrid { since, every_s, spans }, "{points}");
        }
    }

    #[test]
    fn a_span_says_what_came_until_the_next_one_that_was_looked_in() {
        let grid = HistoryGrid::of(288, at("12:16:00"));
        let samples = [
            sample("12:00:00", 3, counts(90, 4)),
            sample("12:05:00", 5, counts(97, 4)),
            sample("12:15:00", 2, counts(99, 6)),
        ];
        let history = History::of(grid, &samples, counts(104, 6));
        assert_eq!((history.since, history.every_s), (Some(at("12:00:00")), 300));
        let told: Vec<_> = history
            .spans
            .iter()
            .map(|span| span.map(|span| (span.ready, span.counts.hits, span.counts.misses, span.counts.made)))
            .collect();
        assert_eq!(told, [Some((3, 7, 0, 14)), Some((5, 2, 2, 4)), None, Some((2, 5, 0, 10))]);
    }

    #[test]
    fn a_history_reaches_to_now_also_when_nobody_has_looked_for_long() {
        let grid = HistoryGrid::of(288, at("12:16:00"));
        let history = History::of(grid, &[sample("11:50:00", 3, counts(1, 0))], counts(1, 0));
        assert_eq!((history.since, history.spans.len()), (Some(at("11:50:00")), 6));
        assert_eq!(history.spans[1..], [None; 5]);
    }

    #[test]
    fn what_was_never_noted_has_an_empty_history_and_what_is_too_old_is_left_out() {
        let grid = HistoryGrid::of(48, at("12:00:00"));
        let nothing = History { since: None, every_s: 1_800, spans: Vec::new() };
        assert_eq!(History::of(grid, &[], counts(9, 9)), nothing);
        let old = LevelSample {
            at: grid.since - SignedDuration::from_secs(1),
            ..sample("00:00:00", 1, counts(0, 0))
        };
        assert_eq!(History::of(grid, &[old], counts(9, 9)), nothing);
    }

    #[test]
    fn counts_that_are_less_than_before_are_nothing_new() {
        let grid = HistoryGrid::of(288, at("12:01:00"));
        let history = History::of(grid, &[sample("12:00:00", 3, counts(90, 4))], counts(10, 5));
        assert_eq!(history.spans[0].unwrap().counts, LineCounts { misses: 1, ..LineCounts::default() });
    }
}

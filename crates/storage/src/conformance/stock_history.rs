//! History of stock: noted once in a span however many look, kept for a day, told by spans.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sixpack_model::ids::LineId;
use sixpack_model::limits::{STOCK_HISTORY_EVERY_S, STOCK_HISTORY_SPANS};
use sixpack_model::stock::{LevelSample, LineCounts};

use super::fixture::Fixture;
use super::stock::line;
use crate::stock_history::{LineHistory, NotedLevel};

const SPAN_MS: i64 = STOCK_HISTORY_EVERY_S as i64 * 1_000;

fn level(line: LineId, ready: u64) -> NotedLevel {
    NotedLevel { line, ready, coming: 1, target: 5 }
}

/// Begins at the beginning of an hour, so that spans of every length begin with it.
fn at_the_hour(f: &Fixture) -> Timestamp {
    let behind = f.now().as_millisecond().rem_euclid(3_600_000);
    f.clock.advance_ms(3_600_000 - behind);
    f.now()
}

async fn history(f: &Fixture, line: LineId, every_s: u32) -> LineHistory {
    let all = f.store.stock_history(&[line], Timestamp::UNIX_EPOCH, every_s).await.unwrap();
    all.into_iter().next().unwrap()
}

async fn ready(f: &Fixture, line: LineId) -> Vec<u64> {
    let history = history(f, line, STOCK_HISTORY_EVERY_S).await;
    history.samples.iter().map(|sample| sample.ready).collect()
}

pub async fn what_lines_come_to_is_counted(f: &Fixture) {
    let line = line(f, json!({})).await;
    let one = LineCounts { hits: 3, misses: 1, made: 4, failed: 2 };
    f.store.count_in_lines(vec![(line, one)]).await.unwrap();
    let other = LineCounts { hits: 1, made: 1, ..LineCounts::default() };
    f.store.count_in_lines(vec![(line, other), (line, other)]).await.unwrap();
    let counts = LineCounts { hits: 5, misses: 1, made: 6, failed: 2 };
    assert_eq!(f.store.lines(None, 10).await.unwrap()[0].counts, counts);
    assert_eq!(history(f, line, STOCK_HISTORY_EVERY_S).await, LineHistory { counts, samples: Vec::new() });
}

pub async fn what_a_line_has_is_noted_once_in_a_span(f: &Fixture) {
    let (line, other) = (line(f, json!({})).await, line(f, json!({ "country": "FR" })).await);
    let begun = at_the_hour(f);
    f.clock.advance_ms(SPAN_MS / 2);
    let counts = LineCounts { hits: 7, misses: 2, made: 8, failed: 1 };
    f.store.count_in_lines(vec![(line, counts)]).await.unwrap();
    assert_eq!(f.store.note_levels(vec![level(line, 3)]).await.unwrap(), 1);
    f.store.count_in_lines(vec![(line, counts)]).await.unwrap();
    let noted = f.store.note_levels(vec![level(other, 9), level(line, 4)]).await.unwrap();
    assert_eq!(noted, 1, "another server was there before");

    let sample = LevelSample { at: begun, ready: 3, coming: 1, target: 5, counts };
    let read = f.store.stock_history(&[other, line], begun, STOCK_HISTORY_EVERY_S).await.unwrap();
    assert_eq!(read[1].samples, [sample], "with what it had come to when it was looked at");
    assert_eq!(read[1].counts, LineCounts { hits: 14, misses: 4, made: 16, failed: 2 });
    assert_eq!(read[0].samples[0].ready, 9);

    f.clock.advance_ms(SPAN_MS);
    assert_eq!(f.store.note_levels(vec![level(line, 4), level(other, 9)]).await.unwrap(), 2);
    assert_eq!(ready(f, line).await, [3, 4]);
}

pub async fn of_many_that_note_a_line_at_once_one_does(f: &Fixture) {
    let line = line(f, json!({})).await;
    let notes = (0..6).map(|ready| f.store.note_levels(vec![level(line, ready)]));
    let noted = futures::future::join_all(notes).await;
    assert_eq!(noted.into_iter().map(Result::unwrap).sum::<u64>(), 1);
    assert_eq!(ready(f, line).await.len(), 1);
}

pub async fn a_line_that_is_not_there_is_not_noted(f: &Fixture) {
    let line = line(f, json!({})).await;
    let nowhere = LineId(line.0 + 1);
    assert_eq!(f.store.note_levels(vec![level(nowhere, 1), level(line, 2)]).await.unwrap(), 1);
    let read = f.store.stock_history(&[nowhere], Timestamp::UNIX_EPOCH, 300).await.unwrap();
    assert_eq!(read, [LineHistory::default()]);
}

pub async fn what_was_noted_is_kept_for_a_day(f: &Fixture) {
    let (line, other) = (line(f, json!({})).await, line(f, json!({ "country": "FR" })).await);
    at_the_hour(f);
    f.store.note_levels(vec![level(line, 1), level(other, 1)]).await.unwrap();
    f.clock.advance_ms(SPAN_MS);
    f.store.note_levels(vec![level(line, 2)]).await.unwrap();
    f.clock.advance_ms(SPAN_MS * i64::from(STOCK_HISTORY_SPANS - 1));
    assert_eq!(f.store.forget_levels(vec![line, other]).await.unwrap(), 0, "it is a day old and no more");
    f.clock.advance_ms(1);
    assert_eq!(f.store.forget_levels(vec![line]).await.unwrap(), 1);
    assert_eq!(f.store.forget_levels(vec![line]).await.unwrap(), 0);
    assert_eq!((ready(f, line).await, ready(f, other).await), (vec![2], vec![1]), "of others nothing goes");
}

pub async fn a_history_is_told_by_spans_of_any_length_and_from_a_time_on(f: &Fixture) {
    let line = line(f, json!({})).await;
    let begun = at_the_hour(f);
    for ready in [4, 2, 3, 7, 6, 5, 8] {
        f.store.note_levels(vec![NotedLevel { coming: 10 - ready, ..level(line, ready) }]).await.unwrap();
        let counts = LineCounts { hits: 1, ..LineCounts::default() };
        f.store.count_in_lines(vec![(line, counts)]).await.unwrap();
        f.clock.advance_ms(SPAN_MS);
    }
    let told = history(f, line, 3 * STOCK_HISTORY_EVERY_S).await;
    let told: Vec<_> = told
        .samples
        .iter()
        .map(|sample| {
            (
                sample.at.duration_since(begun).as_millis() as i64 / SPAN_MS,
                sample.ready,
                sample.coming,
                sample.counts.hits,
            )
        })
        .collect();
    assert_eq!(told, [(0, 2, 8, 0), (3, 5, 5, 3), (6, 8, 2, 6)]);
    let since = begun + SignedDuration::from_millis(5 * SPAN_MS);
    let read = f.store.stock_history(&[line], since, STOCK_HISTORY_EVERY_S).await.unwrap();
    assert_eq!(read[0].samples.iter().map(|sample| sample.ready).collect::<Vec<_>>(), [5, 8]);
}

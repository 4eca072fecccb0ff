//! What stock rules have had ready over the last day, drawn in a line of text.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sixpack::Error;
use sixpack::wire::{StockHistory, StockRule};

use crate::times::moment;

/// Points of a history in a list: an hour each, so that a table fits on a screen.
pub(super) const POINTS_LISTED: u32 = 24;

/// Points of the history of one rule: half hours.
pub(super) const POINTS: u32 = 48;

/// A rule with what it has had, as one object.
#[derive(Serialize)]
pub(super) struct WithHistory<'a> {
    #[serde(flatten)]
    pub(super) rule: &'a StockRule,
    /// An older server does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<&'a StockHistory>,
}

/// Nothing in place of what an older server does not know.
pub(super) fn if_known<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.code() == Some("route_not_found") => Ok(None),
        read => read.map(Some),
    }
}

/// What was ready in each span, up to the largest of what was wanted and what was there; a dot where nobody has looked.
pub(super) fn spark(history: &StockHistory) -> Option<String> {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = history.ready.iter().chain(&history.target).flatten().copied().max()?.max(1);
    let block = |ready: &Option<u64>| match ready {
        None => '·',
        Some(0) => BLOCKS[0],
        // Only what is as high as can be is full, and only nothing is empty.
        Some(ready) if *ready < top => BLOCKS[1 + usize::try_from(ready * 6 / top).unwrap_or(5).min(5)],
        Some(_) => BLOCKS[7],
    };
    Some(history.ready.iter().map(block).collect())
}

/// The same with what it says, in lines of a name and a text.
pub(super) fn lines(history: &StockHistory) -> Vec<(&'static str, String)> {
    let (Some(spark), Some(since)) = (spark(history), &history.since) else {
        return vec![("last day", "nothing was noted yet".to_owned())];
    };
    let noted = || history.ready.iter().flatten().copied();
    let (lowest, highest) = (noted().min().unwrap_or(0), noted().max().unwrap_or(0));
    let place = history.ready.iter().rposition(|ready| *ready == Some(lowest));
    let when = place.and_then(|place| begin(history, place));
    let when = when.map_or(String::new(), |when| format!(" ({} UTC)", moment(&when)));
    let sum = |all: &[Option<u64>]| all.iter().flatten().sum::<u64>();
    vec![
        (
            "last day",
            format!("{spark}  lowest {lowest}{when}, highest {highest}, since {} UTC", moment(since)),
        ),
        (
            "in that",
            format!(
                "{} handed out, {} not there when asked for; refills made {}, {} failed",
                sum(&history.hits),
                sum(&history.misses),
                sum(&history.made),
                sum(&history.failed)
            ),
        ),
    ]
}

/// When a span begins.
fn begin(history: &StockHistory, place: usize) -> Option<String> {
    let since: Timestamp = history.since.as_ref()?.parse().ok()?;
    let behind = i64::from(history.every_s) * i64::try_from(place).ok()?;
    Some(since.checked_add(SignedDuration::from_secs(behind)).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn history(more: Value) -> StockHistory {
        let mut whole = json!({ "name": "fr", "since": "2026-11-22T10:00:00Z", "every_s": 1800 });
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_spark_reaches_up_to_what_was_wanted_or_there() {
        for (ready, target, drawn) in [
            (json!([0, 5, 10]), json!([10, 10, 10]), "▁▅█"),
            (json!([1, 99, 100]), json!([100, 100, 100]), "▂▇█"),
            (json!([3, null, 6]), json!([3, null, 3]), "▅·█"),
            (json!([0, 0]), json!([0, 0]), "▁▁"),
        ] {
            let history = history(json!({ "ready": ready, "target": target }));
            assert_eq!(spark(&history).as_deref(), Some(drawn), "{history:?}");
        }
        assert_eq!(spark(&history(json!({}))), None);
    }

    #[test]
    fn what_a_rule_had_is_told_with_its_last_low_and_its_refills() {
        let told = lines(&history(json!({
            "ready": [2, 0, 0, null, 5], "target": [5, 5, 5, null, 5], "hits": [1, 2, 0, null, 0], "misses": [0, 3, 0, null, 0],
            "made": [0, 1, 4, null, 0], "failed": [2, 0, 0, null, 0]
        })));
        assert_eq!(
            told,
            [
                (
                    "last day",
                    "▄▁▁·█  lowest 0 (2026-11-22 11:00:00 UTC), highest 5, since 2026-11-22 10:00:00 UTC"
                        .to_owned()
                ),
                ("in that", "3 handed out, 3 not there when asked for; refills made 5, 2 failed".to_owned()),
            ]
        );
        assert_eq!(
            lines(&history(json!({ "since": null }))),
            [("last day", "nothing was noted yet".to_owned())]
        );
    }
}

//! Audit: what the servers have told of everything that happened, one event after another, against what they say it came to.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::effects::Effect;

/// A task may be carried out a little after its result was recorded, by whom stood still or whose answer was lost on the way.
const STRAGGLER_MS: u64 = 5_000;

/// What the events count.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// How often a task was taken from whoever had it.
    pub(crate) lost: usize,
    /// How often somebody answered too late.
    pub(crate) orphaned: usize,
    pub(crate) events: usize,
    pub(crate) wrong: Vec<String>,
}

/// Holds the events against the leases, and against the world behind the suppliers.
pub(crate) fn hold(
    events: &[Value],
    leases: &BTreeMap<String, Value>,
    effects: &BTreeMap<String, Effect>,
) -> Audit {
    let kind = |event: &Value, kind: &str| event["kind"] == kind;
    let mut audit = Audit {
        lost: events.iter().filter(|event| kind(event, "task.lost")).count(),
        orphaned: events.iter().filter(|event| kind(event, "task.orphaned")).count(),
        events: events.len(),
        wrong: Vec::new(),
    };
    audit.wrong.extend(ids_grow(events));
    audit.wrong.extend(ledger_of_leases(events, leases));
    audit.wrong.extend(recorded_once(events, effects));
    audit
}

/// I2: events have ids that grow, and come once.
fn ids_grow(events: &[Value]) -> Option<String> {
    let ids: Vec<u64> = events.iter().filter_map(|event| event["id"].as_u64()).collect();
    let pair = ids.windows(2).find(|pair| pair[0] >= pair[1])?;
    Some(format!("event {} came after event {}", pair[1], pair[0]))
}

/// I11: events replayed give the leases as they are: each granted once and ended at most once, as its status says.
fn ledger_of_leases(events: &[Value], leases: &BTreeMap<String, Value>) -> Vec<String> {
    let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events {
        let Some(what) = event["kind"].as_str().and_then(|kind| kind.strip_prefix("lease.")) else {
            continue;
        };
        if let Some(lease) = event["lease_id"].as_str() {
            told.entry(lease).or_default().push(what);
        }
    }
    let mut wrong = Vec::new();
    for (id, lease) in leases {
        let told = told.remove(id.as_str()).unwrap_or_default();
        let status = lease["status"].as_str().unwrap_or_default();
        let expected = if status == "held" { vec!["granted"] } else { vec!["granted", status] };
        if told != expected {
            wrong.push(format!("lease {id} is {status}, and events tell of it: {told:?}"));
        }
    }
    wrong.extend(
        told.into_iter().map(|(id, told)| format!("there is no lease {id}, and events tell: {told:?}")),
    );
    wrong
}

/// I8: what a part was made as is recorded once, and nobody is asked to make it again after that.
fn recorded_once(events: &[Value], effects: &BTreeMap<String, Effect>) -> Vec<String> {
    let mut recorded: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["kind"] == "task.done" && event["operation"] == "produce")
    {
        let (Some(part), Some(at)) = (event["dataset_id"].as_str(), event["at"].as_str()) else { continue };
        recorded.entry(part).or_default().push(at);
    }
    let mut wrong = Vec::new();
    for (part, at) in recorded {
        if at.len() > 1 {
            wrong.push(format!("the result of part {part} was recorded more than once: {at:?}"));
        }
        // The key of an effect is the id of its part.
        let Some(effect) = effects.get(part) else {
            wrong.push(format!("part {part} was recorded as made, and nobody made it"));
            continue;
        };
        if milliseconds(at[0]).is_some_and(|at| effect.last_made_ms > at + STRAGGLER_MS) {
            wrong.push(format!(
                "part {part} was made once more after its result was recorded at {}: {effect:?}",
                at[0]
            ));
        }
    }
    wrong
}

/// A time in UTC as milliseconds since 1970.
fn milliseconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    // Years begin in March, so that the day that a leap year has more comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    let thousandths = format!("{fraction:0<3}").get(..3)?.parse::<u64>().ok()?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + thousandths)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_count_from_1970() {
        assert_eq!(milliseconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(milliseconds("2000-02-29T12:00:00.5Z"), Some(951_825_600_500));
        assert_eq!(milliseconds("2026-11-27T01:23:49.120Z"), Some(1_795_742_629_120));
        assert_eq!(milliseconds("yesterday"), None);
    }

    #[test]
    fn a_lease_that_ends_twice_or_that_nobody_granted_is_found() {
        let event = |what: &str| json!({ "kind": format!("lease.{what}"), "lease_id": "l" });
        let leases = |status: &str| BTreeMap::from([("l".to_owned(), json!({ "status": status }))]);
        assert!(ledger_of_leases(&[event("granted"), event("expired")], &leases("expired")).is_empty());
        let twice = [event("granted"), event("released"), event("expired")];
        assert_eq!(ledger_of_leases(&twice, &leases("released")).len(), 1);
        assert_eq!(ledger_of_leases(&[event("granted")], &BTreeMap::new()).len(), 1);
    }

    #[test]
    fn a_result_that_is_recorded_twice_or_made_again_later_is_found() {
        let event =
            |at: &str| json!({ "kind": "task.done", "operation": "produce", "dataset_id": "d", "at": at });
        let effects =
            |last_made_ms| BTreeMap::from([("d".to_owned(), Effect { last_made_ms, ..Effect::default() })]);
        assert!(recorded_once(&[event("1970-01-01T00:00:01Z")], &effects(900)).is_empty());
        assert_eq!(recorded_once(&[event("1970-01-01T00:00:01Z")], &effects(6_001)).len(), 1);
        let twice = [event("1970-01-01T00:00:01Z"), event("1970-01-01T00:00:02Z")];
        assert_eq!(recorded_once(&twice, &effects(900)).len(), 1);
    }
}

//! Kept: what was acknowledged is there at the end, as it was acknowledged, and no dataset was in two hands (I1, I3, I6).

use std::collections::BTreeMap;

use serde_json::Value;

use super::journal::{Act, End, Operation};
use super::moments::micros;
use super::rules::Told;

/// How many of each status.
pub(crate) type ByStatus = BTreeMap<String, usize>;

/// I1: every request that was acknowledged is there, and has ended; how many of them in which status.
pub(crate) fn requests(
    found: &BTreeMap<String, Value>,
    history: &[Operation],
    wrong: &mut Vec<String>,
) -> ByStatus {
    let mut by_status = ByStatus::new();
    let acknowledged: BTreeMap<&str, &str> = history
        .iter()
        .filter(|operation| operation.act == Act::Ask && operation.end == End::Ok)
        .map(|operation| (operation.answer.id.as_str(), operation.subject.as_str()))
        .collect();
    for (id, key) in acknowledged {
        let Some(request) = found.get(id) else {
            wrong.push(format!("request {id} of key {key} was acknowledged and is lost"));
            continue;
        };
        let status = text(request, "status").to_owned();
        if matches!(status.as_str(), "queued" | "building" | "") {
            wrong.push(format!("request {id} never ended: {request}"));
        }
        *by_status.entry(status).or_default() += 1;
    }
    by_status
}

/// I1: every lease that was seen is there as it was, and every release that was acknowledged; how many leases in which status.
pub(crate) fn leases(
    found: &BTreeMap<String, Value>,
    history: &[Operation],
    told: &BTreeMap<&str, Told<'_>>,
    wrong: &mut Vec<String>,
) -> ByStatus {
    let mut by_status = ByStatus::new();
    for lease in found.values() {
        *by_status.entry(text(lease, "status").to_owned()).or_default() += 1;
    }
    for (id, seen) in told {
        let fence = seen.lease.fence;
        match found.get(*id) {
            None => wrong.push(format!("lease {id} was seen and is lost")),
            Some(lease) if lease["fence"].as_u64() != Some(fence) => {
                wrong.push(format!("lease {id} was seen with fence {fence} and has {} now", lease["fence"]));
            }
            Some(_) => {}
        }
    }
    for call in history.iter().filter(|call| call.end == End::Ok) {
        let lease = found.get(&call.subject);
        let is_kept = match call.act {
            Act::Release => lease.is_some_and(|lease| {
                lease["status"] == "released" && lease["outcome"].as_str() == call.outcome
            }),
            // It never ends before what a renewal has told, unless somebody has given it back.
            Act::Renew => lease.is_some_and(|lease| {
                let expires_us = lease["expires_at"].as_str().and_then(micros);
                call.answer.leases.iter().all(|told| expires_us.is_some_and(|us| us >= told.expires_us))
            }),
            _ => true,
        };
        if !is_kept {
            let what = if call.act == Act::Release { "release" } else { "renewal" };
            wrong.push(format!(
                "the {what} of lease {} was acknowledged and is lost: {lease:?}",
                call.subject
            ));
        }
    }
    by_status
}

/// I3 and I6: of leases on one dataset each has ended before the next, unused, and fences grow; how many datasets were leased more
/// than once.
pub(crate) fn used_once(found: &BTreeMap<String, Value>, wrong: &mut Vec<String>) -> usize {
    let mut holders: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for lease in found.values() {
        match lease["dataset"]["id"].as_str() {
            Some(dataset) => holders.entry(dataset).or_default().push(lease),
            None => wrong.push(format!("a lease is on no dataset: {lease}")),
        }
    }
    for (dataset, leases) in &mut holders {
        leases.sort_by_key(|lease| lease["fence"].as_u64());
        wrong.extend(leases.windows(2).filter_map(|pair| doubled(dataset, pair[0], pair[1])));
    }
    holders.values().filter(|leases| leases.len() > 1).count()
}

/// What is wrong with two leases on one dataset, one after the other: nobody may have used it before the second, and the
/// first must have ended.
fn doubled(dataset: &str, first: &Value, second: &Value) -> Option<String> {
    let time = |lease: &Value, field: &str| micros(text(lease, field));
    let unused = text(first, "outcome") == "unused" && text(first, "status") == "released";
    let ended = match (time(first, "ended_at"), time(second, "granted_at")) {
        (Some(ended), Some(granted)) => ended <= granted,
        _ => false,
    };
    let fenced = first["fence"].as_u64() < second["fence"].as_u64();
    (!unused || !ended || !fenced)
        .then(|| format!("dataset {dataset} was leased twice: {first} and then {second}"))
}

fn text<'a>(one: &'a Value, field: &str) -> &'a str {
    one[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::journal::{Answer, SeenLease};
    use super::super::rules;
    use super::*;

    fn found(one: Value) -> BTreeMap<String, Value> {
        BTreeMap::from([(one["id"].as_str().unwrap().to_owned(), one)])
    }

    fn call(act: Act, subject: &str, answer: Answer) -> Operation {
        let outcome = (act == Act::Release).then_some("used");
        Operation { fence: Some(7), outcome, ended_us: 10, ..Operation::made_up(act, subject, answer) }
    }

    /// A request that was acknowledged, with a lease of fence 7.
    fn asked() -> Operation {
        let lease = SeenLease {
            id: "l".to_owned(),
            dataset: "d".to_owned(),
            fence: 7,
            status: "held".to_owned(),
            ttl_us: 1,
            expires_us: 2_000_000,
        };
        call(Act::Ask, "key", Answer { id: "r".to_owned(), leases: vec![lease], ..Answer::default() })
    }

    #[test]
    fn a_request_that_is_lost_or_never_ended_is_found() {
        let wrong = |found: &BTreeMap<String, Value>| {
            let mut wrong = Vec::new();
            requests(found, &[asked()], &mut wrong);
            wrong.len()
        };
        assert_eq!(wrong(&found(json!({ "id": "r", "status": "fulfilled" }))), 0);
        assert_eq!(wrong(&BTreeMap::new()), 1);
        assert_eq!(wrong(&found(json!({ "id": "r", "status": "building" }))), 1);
    }

    #[test]
    fn a_lease_that_is_lost_or_has_another_fence_is_found_and_so_is_a_lost_release_or_renewal() {
        let wrong = |found: BTreeMap<String, Value>, then: Option<Act>| {
            let mut history = vec![asked()];
            history.extend(then.map(|act| call(act, "l", history[0].answer.clone())));
            let mut wrong = Vec::new();
            leases(&found, &history, &rules::leases(&history), &mut wrong);
            wrong.len()
        };
        let lease = |fence: u64, outcome: &str, expires: &str| {
            found(
                json!({ "id": "l", "fence": fence, "status": "released", "outcome": outcome, "expires_at": expires }),
            )
        };
        let as_told = "1970-01-01T00:00:02Z";
        assert_eq!(wrong(lease(7, "used", as_told), Some(Act::Release)), 0);
        assert_eq!(wrong(lease(7, "used", as_told), Some(Act::Renew)), 0);
        assert_eq!(wrong(BTreeMap::new(), None), 1);
        assert_eq!(wrong(lease(8, "used", as_told), None), 1);
        assert_eq!(wrong(lease(7, "unused", as_told), Some(Act::Release)), 1);
        assert_eq!(wrong(lease(7, "used", "1970-01-01T00:00:01Z"), Some(Act::Renew)), 1);
    }

    #[test]
    fn a_dataset_that_was_used_and_leased_again_or_in_two_hands_is_found() {
        let wrong = |outcome: &str, ended: &str, fence: u64| {
            let first = json!({ "id": "a", "dataset": { "id": "d" }, "fence": 1, "status": "released", "outcome": outcome, "ended_at": ended });
            let second = json!({ "id": "b", "dataset": { "id": "d" }, "fence": fence, "granted_at": "1970-01-01T00:00:02.5Z" });
            let both = BTreeMap::from([("a".to_owned(), first), ("b".to_owned(), second)]);
            let mut wrong = Vec::new();
            assert_eq!(used_once(&both, &mut wrong), 1);
            wrong.len()
        };
        assert_eq!(wrong("unused", "1970-01-01T00:00:02.05Z", 2), 0);
        assert_eq!(wrong("used", "1970-01-01T00:00:02Z", 2), 1);
        assert_eq!(wrong("unused", "1970-01-01T00:00:03Z", 2), 1);
        assert_eq!(wrong("unused", "1970-01-01T00:00:02Z", 1), 1);
        let mut told = Vec::new();
        used_once(&found(json!({ "id": "a" })), &mut told);
        assert_eq!(told.len(), 1, "a row without what is expected of it");
    }
}

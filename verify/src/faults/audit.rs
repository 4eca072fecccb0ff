//! Audit: what the servers have told of everything that happened, one event after another, against what they say it came to.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the events count.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// How often a task was taken from whoever had it.
    pub(crate) lost: usize,
    /// How often somebody answered when the result of somebody else was recorded already, or was being waited for.
    pub(crate) late: usize,
    /// How often somebody answered what nobody wanted any more.
    pub(crate) cancelled: usize,
    /// How often an undo failed, and was tried again.
    pub(crate) undo_failed: usize,
    pub(crate) wrong: Vec<String>,
}

/// Holds the events against each other, and against the leases.
pub(crate) fn hold(events: &[Value], leases: &BTreeMap<String, Value>) -> Audit {
    let count = |holds: &dyn Fn(&Value) -> bool| events.iter().filter(|event| holds(event)).count();
    let mut wrong = ids_grow(events);
    wrong.extend(ledger_of_leases(events, leases));
    Audit {
        lost: count(&|event| event["kind"] == "task.lost"),
        // What was cancelled says which operation it was; a result beside the recorded one is told by itself.
        late: count(&|event| event["kind"] == "task.orphaned" && event["operation"].is_null()),
        cancelled: count(&|event| event["kind"] == "task.orphaned" && !event["operation"].is_null()),
        undo_failed: count(&|event| event["kind"] == "task.failed" && event["operation"] == "undo"),
        wrong,
    }
}

/// I2: events have ids that grow, and come once.
fn ids_grow(events: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last = 0;
    for event in events {
        match event["id"].as_u64() {
            Some(id) if id > last => last = id,
            _ => wrong.push(format!("after event {last} came {event}")),
        }
    }
    wrong
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
    fn events_that_come_twice_or_out_of_turn_or_without_an_id_are_found() {
        let event = |id: u64| json!({ "id": id });
        assert!(ids_grow(&[event(1), event(2), event(4)]).is_empty());
        assert_eq!(ids_grow(&[event(1), event(2), event(2)]).len(), 1);
        assert_eq!(ids_grow(&[event(2), event(1)]).len(), 1);
        assert_eq!(ids_grow(&[json!({})]).len(), 1);
    }

    #[test]
    fn results_that_came_too_late_are_counted_by_why() {
        let of =
            |kind: &str, operation: Option<&str>| json!({ "id": 1, "kind": kind, "operation": operation });
        let events = [
            of("task.lost", Some("produce")),
            of("task.orphaned", None),
            of("task.orphaned", Some("produce")),
            of("task.failed", Some("undo")),
            of("task.failed", Some("produce")),
        ];
        let audit = hold(&events, &BTreeMap::new());
        assert_eq!((audit.lost, audit.late, audit.cancelled, audit.undo_failed), (1, 1, 1, 1));
    }
}

//! Places: every dataset that was ever made is in one place at the end (I11), and stock is never filled beyond its target (I12).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::journal::{Act, End, Level, Operation};

/// I12: what is ready and what is coming are together no more than the target, but for what came back; how many levels were looked at.
pub(crate) fn beyond_target(history: &[Operation], wrong: &mut Vec<String>) -> usize {
    let mut looked = 0;
    for call in history.iter().filter(|call| call.act == Act::LookAtStock && call.end == End::Ok) {
        let Some(level) = call.answer.level else {
            wrong.push(format!("a stock rule that says nothing of its stock: {call:?}"));
            continue;
        };
        looked += 1;
        if level.ready.saturating_sub(level.came_back) + level.coming > level.target {
            wrong.push(format!("stock was filled beyond its target: {call:?}"));
        }
    }
    looked
}

/// I11: what a stock rule counts is what the list of datasets has in stock.
pub(crate) fn stock_disagrees(level: Level, in_stock: &[Value]) -> Option<String> {
    let listed = in_stock.iter().filter(|dataset| dataset["lease_id"].is_null()).count() as u64;
    (level.ready != listed).then(|| {
        let ids: Vec<&Value> = in_stock.iter().map(|dataset| &dataset["id"]).collect();
        format!("the rule counts {level:?}, and {listed} are listed as ready: {ids:?}")
    })
}

/// I11: with every request ended, what is counted against quotas is what is held: a count that has drifted would refuse leases, or grant too
/// many, from then on.
pub(crate) fn counted_as_taken<'a>(
    limits: &Value,
    leases: impl IntoIterator<Item = &'a Value>,
) -> Vec<String> {
    let held = leases.into_iter().filter(|lease| lease["status"] == "held").count() as u64;
    let counts = ["of_token", "of_environment"].into_iter();
    counts
        .filter(|of| limits["leases"][of]["taken"].as_u64() != Some(held))
        .map(|of| format!("{held} leases are held, and {of} counts otherwise: {limits}"))
        .collect()
}

/// I11: every dataset that anybody was told of is listed once, and each is where its own status says that it is.
pub(crate) fn in_one_place<'a>(
    datasets: &[Value],
    leases: impl IntoIterator<Item = &'a Value>,
    debts: &[Value],
    events: &[Value],
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut places: BTreeMap<&str, &Value> = BTreeMap::new();
    for dataset in datasets {
        match dataset["id"].as_str() {
            Some(id) => {
                if let Some(before) = places.insert(id, dataset) {
                    wrong.push(format!("dataset {id} is in two places: {before} and {dataset}"));
                }
            }
            None => wrong.push(format!("a dataset without an id: {dataset}")),
        }
    }
    let begun = events.iter().filter(|event| event["kind"] == "dataset.building" && is_root(event));
    let begun = begun.filter_map(|event| event["dataset_id"].as_str());
    let (mut held, mut told) = (BTreeSet::new(), begun.collect::<BTreeSet<&str>>());
    for lease in leases {
        let Some(dataset) = lease["dataset"]["id"].as_str() else { continue };
        told.insert(dataset);
        if lease["status"] == "held" {
            held.insert(dataset);
        }
    }
    let lost = told.iter().filter(|id| !places.contains_key(*id));
    wrong.extend(lost.map(|id| format!("dataset {id} was begun or leased, and is nowhere")));
    let owing: BTreeSet<&str> = debts.iter().filter_map(|debt| debt["root_id"].as_str()).collect();
    for (id, dataset) in &places {
        let (leased, owes) = (held.contains(id), owing.contains(id));
        let agrees = match dataset["status"].as_str() {
            Some("leased") => leased && !owes,
            Some("debt") => owes && !leased,
            _ => !leased && !owes,
        };
        if !agrees {
            wrong
                .push(format!("dataset {id} is held: {leased}, owes: {owes}, and says of itself: {dataset}"));
        }
    }
    wrong
}

/// Where events have a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Made,
    /// In stock, waiting, or with its request.
    There,
    Held,
    Undone,
    Over,
    /// Over, and somebody has to look after what is left.
    Owing,
}

/// I11: events replayed bring each dataset to where its status says that it is: it is begun once, leased only while it is there, given
/// back before it is undone, and over in the end.
pub(crate) fn ledger(datasets: &[Value], events: &[Value]) -> Vec<String> {
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    let mut wrong = Vec::new();
    for event in events {
        // What came too late is told of its part, and undone when everything else is over.
        let late = event["kind"] == "task.orphaned";
        let told_of = event["dataset_id"].as_str().map(|id| if late { root_of(id) } else { id });
        if !late && !is_root(event) {
            continue;
        }
        let (Some(kind), Some(id)) = (event["kind"].as_str(), told_of) else { continue };
        if !late && !kind.starts_with("dataset.") && !kind.starts_with("lease.") {
            continue;
        }
        let before = places.get(id).copied();
        match next(before, kind) {
            Some(place) => drop(places.insert(id, place)),
            None => wrong.push(format!("{kind} of dataset {id}, which was {before:?}: {event}")),
        }
    }
    for dataset in datasets {
        let place = dataset["id"].as_str().and_then(|id| places.get(id));
        let agrees = match dataset["status"].as_str() {
            Some("gone" | "failed") => place == Some(&Place::Over),
            Some("debt") => place == Some(&Place::Owing),
            // Nothing else is an end, which others say.
            _ => true,
        };
        if !agrees {
            wrong.push(format!(
                "dataset {} is {}, and by its events {place:?}",
                dataset["id"], dataset["status"]
            ));
        }
    }
    wrong
}

/// Where an event brings a dataset; `None` when it cannot happen there.
fn next(place: Option<Place>, kind: &str) -> Option<Place> {
    match (place, kind) {
        (None, "dataset.building") => Some(Place::Made),
        (Some(Place::Made), "dataset.ready") | (Some(Place::Held), "lease.released" | "lease.expired") => {
            Some(Place::There)
        }
        (Some(Place::There), "lease.granted") => Some(Place::Held),
        (Some(Place::Made | Place::There), "dataset.undoing")
        | (Some(Place::Over | Place::Owing), "task.orphaned") => Some(Place::Undone),
        (Some(Place::Undone), "dataset.gone") => Some(Place::Over),
        (Some(Place::Undone), "dataset.owing") => Some(Place::Owing),
        (_, "dataset.building" | "dataset.ready" | "dataset.undoing" | "dataset.gone" | "dataset.owing") => {
            None
        }
        (_, "lease.granted" | "lease.released" | "lease.expired" | "lease.revoked") => None,
        // Anything else moves nothing, and happens to what was begun.
        (place, _) => place,
    }
}

/// A part is named by its dataset and its number.
fn root_of(part: &str) -> &str {
    let mut pieces = part.match_indices('_').skip(1).map(|(at, _)| at);
    pieces.next().map_or(part, |at| &part[..at])
}

/// Parts have a path below the dataset.
fn is_root(event: &Value) -> bool {
    event["path"].as_str().is_none_or(str::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::journal::Answer;
    use super::*;

    fn level(ready: u64, coming: u64, came_back: u64) -> Level {
        Level { target: 10, ready, coming, came_back }
    }

    #[test]
    fn a_count_that_has_drifted_is_found() {
        let limits = |of_token: u64, of_environment: u64| {
            let taken = |taken: u64| json!({ "taken": taken, "limit": 1_000 });
            json!({ "leases": { "of_token": taken(of_token), "of_environment": taken(of_environment) } })
        };
        let leases = [json!({ "status": "held" }), json!({ "status": "released" })];
        assert!(counted_as_taken(&limits(1, 1), &leases).is_empty());
        assert_eq!(counted_as_taken(&limits(1, 2), &leases).len(), 1);
        assert_eq!(counted_as_taken(&limits(0, 0), &leases).len(), 2);
        assert_eq!(counted_as_taken(&json!({}), []).len(), 2);
    }

    #[test]
    fn stock_beyond_its_target_is_found_but_for_what_came_back() {
        let wrong = |level| {
            let answer = Answer { level, ..Answer::default() };
            let call = Operation::made_up(Act::LookAtStock, "", answer);
            let mut wrong = Vec::new();
            beyond_target(&[call], &mut wrong);
            wrong.len()
        };
        assert_eq!(wrong(Some(level(7, 3, 0))), 0);
        assert_eq!(wrong(Some(level(7, 4, 0))), 1);
        assert_eq!(wrong(Some(level(12, 0, 2))), 0);
        assert_eq!(wrong(Some(level(12, 1, 2))), 1);
        assert_eq!(wrong(None), 1);
    }

    #[test]
    fn a_count_that_is_not_what_is_listed_is_found() {
        let listed = [json!({ "id": "a" }), json!({ "id": "b" }), json!({ "id": "c", "lease_id": "l" })];
        assert_eq!(stock_disagrees(level(2, 0, 0), &listed), None);
        assert!(stock_disagrees(level(3, 0, 0), &listed).is_some());
    }

    #[test]
    fn a_dataset_that_is_nowhere_or_in_two_places_is_found() {
        let begun = json!({ "kind": "dataset.building", "dataset_id": "a" });
        let gone = json!({ "id": "a", "status": "gone" });
        let wrong = |datasets: &[&Value], leases: &[&Value], debts: &[&Value]| {
            let owned = |all: &[&Value]| all.iter().map(|one| (*one).clone()).collect::<Vec<Value>>();
            in_one_place(&owned(datasets), &owned(leases), &owned(debts), std::slice::from_ref(&begun)).len()
        };
        assert_eq!(wrong(&[&gone], &[], &[]), 0);
        assert_eq!(wrong(&[], &[], &[]), 1);
        assert_eq!(wrong(&[&gone, &gone], &[], &[]), 1);
        let (leased, owing) =
            (json!({ "id": "a", "status": "leased" }), json!({ "id": "a", "status": "debt" }));
        let debt = json!({ "root_id": "a" });
        let held = json!({ "status": "held", "dataset": { "id": "a" } });
        assert_eq!(wrong(&[&gone], &[&held], &[]), 1);
        assert_eq!(wrong(&[&leased], &[&held], &[]), 0);
        assert_eq!(wrong(&[&gone], &[], &[&debt]), 1);
        assert_eq!(wrong(&[&owing], &[], &[]), 1);
        let other = json!({ "status": "released", "dataset": { "id": "b" } });
        assert_eq!(in_one_place(&[], &[other], &[], &[]).len(), 1);
    }

    #[test]
    fn events_that_bring_a_dataset_somewhere_else_are_found() {
        let wrong = |status: &str, kinds: &[&str]| {
            let event = |kind: &&str| {
                let late = *kind == "task.orphaned";
                json!({ "kind": kind, "dataset_id": if late { "ds_a_2" } else { "ds_a" }, "path": if late { "second" } else { "" } })
            };
            let events: Vec<Value> = kinds.iter().map(event).collect();
            ledger(&[json!({ "id": "ds_a", "status": status })], &events).len()
        };
        let (begun, ready) = ("dataset.building", "dataset.ready");
        let (undoing, gone) = ("dataset.undoing", "dataset.gone");
        let (granted, released) = ("lease.granted", "lease.released");
        let life = [begun, ready, granted, released, "dataset.confirmed", granted, released, undoing, gone];
        assert_eq!(wrong("gone", &life), 0);
        assert_eq!(wrong("failed", &[begun, undoing, gone, "task.orphaned", gone]), 0);
        assert_eq!(
            wrong("failed", &[begun, undoing, gone, "task.orphaned"]),
            1,
            "the late one is still there"
        );
        assert_eq!(wrong("failed", &[begun, undoing, gone, gone]), 1);
        assert_eq!(wrong("debt", &[begun, undoing, "dataset.owing"]), 0);
        assert_eq!(wrong("gone", &[begun, undoing]), 1, "it never came to its end");
        assert_eq!(wrong("debt", &[begun, undoing, gone]), 1);
        assert_eq!(wrong("gone", &[begun, ready, granted, granted, released, undoing, gone]), 1);
        assert_eq!(wrong("gone", &[begun, ready, undoing, granted, gone]), 1);
        assert_eq!(wrong("gone", &[begun, begun, undoing, gone]), 1);
        assert_eq!(wrong("gone", &[]), 1, "nothing is told of it");
    }
}

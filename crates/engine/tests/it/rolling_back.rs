//! Rolling back: the version on offer is the newest that a live deployed supplier performs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sixpack_engine::{ContractState, ContractView, Opened, Receipt};
use sixpack_model::ids::SessionId;
use sixpack_model::request::RequestStatus;
use sixpack_storage::Store;
use sixpack_storage::events::EventFilter;

use crate::stock::stock_first;
use crate::town::{ALL, Town, capability, with, with_pair};

/// The capability `first` as a build of before or after has it: with this property in its output beside or instead of the
/// one that the pair reads.
fn promising(properties: &[&str]) -> Value {
    let text = json!({ "type": "string" });
    let all: serde_json::Map<String, Value> =
        properties.iter().map(|name| ((*name).to_owned(), text.clone())).collect();
    with(
        capability("first", ALL),
        json!({ "output": { "type": "object", "properties": all, "required": [properties[0]] } }),
    )
}

fn v1() -> Value {
    promising(&["id"])
}

fn v2() -> Value {
    promising(&["key"])
}

/// The domain `a` with two instances of the first version and, after them, one of the second, which breaks the pair.
struct Rolling {
    town: Town,
    old: [SessionId; 2],
    b: SessionId,
    canary: Opened,
}

impl Rolling {
    async fn new() -> Self {
        let town = Town::new().await;
        let old = [instance(&town, "one", v1()).await.id, instance(&town, "two", v1()).await.id];
        let b = town.connect("b", &[capability("second", ALL)]).await;
        town.apply(crate::town::PAIR).await;
        let canary = instance(&town, "three", v2()).await;
        assert_eq!((canary.contracts[0].version, canary.contracts[0].change), (2, "breaking"));
        Self { town, old, b, canary }
    }
}

async fn instance(town: &Town, name: &str, first: Value) -> Opened {
    town.connect_as("a", name, &[first]).await.expect("accepted")
}

async fn drain(town: &Town, session: SessionId) {
    town.engine.drain_session(&town.supplier(), session).await.expect("drained");
}

async fn seen(town: &Town, name: &str) -> ContractView {
    let name = name.parse().expect("a name");
    town.engine.contract(&town.consumer(), "default", None, &name, None).await.expect("listed")
}

/// Version, state, sessions, and the sessions of each version.
async fn first(town: &Town) -> (u32, &'static str, u64, Vec<(u32, u64)>) {
    let view = seen(town, "a/first").await;
    let versions = view.versions.iter().map(|one| (one.version, one.sessions.unwrap_or(99))).collect();
    (view.contract.version, view.state.name(), view.sessions.unwrap_or(99), versions)
}

#[tokio::test]
async fn the_newer_version_is_on_offer_as_soon_as_somebody_performs_it() {
    let rolling = Rolling::new().await;
    assert_eq!(first(&rolling.town).await, (2, "online", 1, vec![(2, 1), (1, 2)]));
    assert_eq!(seen(&rolling.town, "shop/pair").await.state, ContractState::Broken);
    let old = instance(&rolling.town, "four", v1()).await;
    assert_eq!((old.contracts[0].version, old.contracts[0].change), (1, "same"));
    assert_eq!(first(&rolling.town).await, (2, "online", 1, vec![(2, 1), (1, 3)]));
}

#[tokio::test]
async fn a_version_whose_last_supplier_is_drained_gives_way_to_the_one_before() {
    let Rolling { town, old, b, canary } = Rolling::new().await;
    drain(&town, canary.id).await;
    assert_eq!(first(&town).await, (1, "online", 2, vec![(2, 0), (1, 2)]));
    assert_eq!(seen(&town, "shop/pair").await.state, ContractState::Online);
    let id = town.ask("shop/pair", json!({})).await;
    for session in [old[0], b, old[1]] {
        town.serve(session).await;
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
    let all = EventFilter::default();
    let (events, _) =
        town.engine.follow_events(&town.consumer(), &all, 0, Duration::ZERO).await.expect("events");
    let told: Vec<_> = events.iter().filter(|event| event.kind.starts_with("contract.")).collect();
    let last = told.last().expect("something was told");
    assert_eq!(last.kind, "contract.breaking");
    assert_eq!(last.data["version"], 1);
    assert_eq!(last.data["against"], 2);
}

#[tokio::test]
async fn a_version_whose_last_supplier_is_dead_gives_way_to_the_one_before() {
    let Rolling { town, old, b, .. } = Rolling::new().await;
    town.pass_s(16, &[old[0], old[1], b]).await;
    assert_eq!(first(&town).await, (1, "online", 2, vec![(2, 0), (1, 2)]));
}

#[tokio::test]
async fn what_a_server_that_was_killed_did_not_notice_is_noticed_by_the_next() {
    let Rolling { town, canary, .. } = Rolling::new().await;
    let ended = async |store: Arc<dyn Store>| {
        store.drain_session(canary.id).await.expect("drained");
    };
    let town = town.while_down(ended).await;
    town.sweep().await;
    assert_eq!(first(&town).await, (1, "online", 2, vec![(2, 0), (1, 2)]));
    let town = town.restarted().await;
    assert_eq!(first(&town).await.0, 1);
}

#[tokio::test]
async fn a_version_stays_on_offer_when_nobody_is_left() {
    let Rolling { town, old, canary, .. } = Rolling::new().await;
    for session in [old[0], old[1], canary.id] {
        drain(&town, session).await;
    }
    assert_eq!(first(&town).await, (2, "offline", 0, vec![(2, 0), (1, 0)]));
}

#[tokio::test]
async fn who_comes_back_with_what_was_offered_before_is_that_version_again() {
    let Rolling { town, old, canary, .. } = Rolling::new().await;
    for session in [old[0], old[1], canary.id] {
        drain(&town, session).await;
    }
    let back = instance(&town, "five", v1()).await;
    let applied = &back.contracts[0];
    assert_eq!((applied.version, applied.change, applied.against), (1, "breaking", Some(2)));
    assert_eq!(first(&town).await, (1, "online", 1, vec![(2, 0), (1, 1)]));
    let forward = instance(&town, "six", v2()).await;
    let applied = &forward.contracts[0];
    assert_eq!((applied.version, applied.change, applied.against), (2, "breaking", Some(1)));
    assert_eq!(applied.breaks[0].contract.to_string(), "shop/pair");
    assert_eq!(first(&town).await, (2, "online", 1, vec![(2, 1), (1, 1)]));
}

#[tokio::test]
async fn an_instance_that_is_started_with_the_build_before_rolls_back_in_its_place() {
    let town = Town::new().await;
    for (definition, expected) in [
        (v1(), (1, "new", None)),
        (v2(), (2, "breaking", None)),
        (v1(), (1, "breaking", Some(2))),
        (v1(), (1, "same", None)),
    ] {
        let opened = instance(&town, "one", definition).await;
        let applied = &opened.contracts[0];
        assert_eq!((applied.version, applied.change, applied.against), expected);
    }
    assert_eq!(first(&town).await, (1, "online", 1, vec![(2, 0), (1, 1)]));
}

#[tokio::test]
async fn what_comes_after_a_roll_back_is_not_given_what_was_rolled_back() {
    let Rolling { town, canary, .. } = Rolling::new().await;
    let pinned = town.ask("a/first", json!({})).await;
    drain(&town, canary.id).await;
    let next = instance(&town, "four", promising(&["id", "more"])).await;
    let applied = &next.contracts[0];
    assert_eq!((applied.version, applied.change), (3, "compatible"));
    assert!(town.claim(next.id).await.is_empty(), "it does not know what version 2 promises");
    town.ask("a/first", json!({})).await;
    let task = town.claim_one(next.id).await;
    assert_eq!(task.version, 3);
    assert_eq!(town.answer(next.id, &task, crate::town::made("x")).await, Receipt::Recorded);
    // The roll-back of the build after it goes back to the version that is performed, whatever was in between.
    drain(&town, next.id).await;
    assert_eq!(first(&town).await, (1, "online", 2, vec![(3, 0), (2, 0), (1, 2)]));
    town.engine.cancel_request(&town.consumer(), pinned).await.expect("cancelled");
}

#[tokio::test]
async fn stock_of_the_version_that_was_rolled_back_is_not_handed_out_without_its_supplier() {
    let (town, ..) = with_pair().await;
    let canary = instance(&town, "canary", v2()).await;
    town.keep("firsts", json!({ "contract": "a/first", "target": 1 })).await;
    for task in town.claim(canary.id).await {
        let made = sixpack_model::plan::Answer::Produced { output: json!({ "key": "k" }), facts: None };
        town.answer(canary.id, &task, made).await;
    }
    town.serve(canary.id).await;
    assert_eq!(town.level("firsts").await.0, 1);
    drain(&town, canary.id).await;
    town.tend().await;
    assert_eq!(town.level("firsts").await.0, 0, "it is asked about first, and nobody can tell");
    let view = town.take(stock_first("a/first")).await;
    assert_eq!(view.request.status, RequestStatus::Building);
}

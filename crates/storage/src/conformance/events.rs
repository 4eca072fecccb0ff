//! Events: in the order of their commits, found by what they belong to.

use serde_json::json;
use sixpack_model::event::Event;
use sixpack_model::ids::TreeId;
use sixpack_model::session::SESSION_TTL_MS;
use sixpack_model::tree::{Claim, Tree};

use super::factories::{Order, Supplier};
use super::fixture::Fixture;
use crate::events::EventFilter;
use crate::trees::Guard;

async fn kinds(f: &Fixture, filter: EventFilter) -> Vec<String> {
    let events = f.store.events(&filter, 0, 100).await.unwrap();
    events.into_iter().map(|event| event.kind.into_owned()).collect()
}

pub async fn an_event_reads_back_as_it_was_told(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let mut told = f.event("task.failed");
    told.request = Some(tree.request);
    told.tree = Some(tree.id);
    told.part = 1;
    told.data = json!({ "attempt": 2 });
    let mut change = f.change(&tree);
    change.events.push(told.clone());
    f.write(Guard::None, change).await;
    told.sequence = f.store.last_sequence().await.unwrap();
    let filter = EventFilter { tree: Some(tree.id), ..Default::default() };
    assert_eq!(f.store.events(&filter, 0, 10).await.unwrap(), [told]);
}

pub async fn an_event_about_an_attempt_says_how_long_it_was_claimed(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let (answered, crashed) = (f.one("shop/customer").await, f.one("shop/customer").await);
    f.clock.advance_ms(70);
    let claims: Vec<Claim> = f.claim(session, 2).await.into_iter().map(|claimed| claimed.claim).collect();
    let durations = async |tree: &Tree| {
        let filter = EventFilter { tree: Some(tree.id), ..Default::default() };
        let events = f.store.events(&filter, 0, 10).await.unwrap();
        events.into_iter().map(|event| (event.kind, event.duration_ms)).collect::<Vec<_>>()
    };
    let told = |tree: &Tree, kinds: [&'static str; 2]| {
        let of = |kind| Event { tree: Some(tree.id), part: 1, ..f.event(kind) };
        let mut change = f.made(tree, 1);
        change.events.extend(kinds.map(of));
        change
    };
    f.clock.advance_ms(250);
    f.write(Guard::Claim(claims[0]), told(&answered, ["task.done", "dataset.ready"])).await;
    assert_eq!(durations(&answered).await, [("task.done".into(), Some(250)), ("dataset.ready".into(), None)]);
    f.store.drain_session(session).await.unwrap();
    f.clock.advance_ms(SESSION_TTL_MS as i64);
    f.store.end_silent_sessions(10).await.unwrap();
    f.write(Guard::Abandoned(claims[1]), told(&crashed, ["task.lost", "task.orphaned"])).await;
    let lost = Some(250 + SESSION_TTL_MS);
    assert_eq!(durations(&crashed).await, [("task.lost".into(), lost), ("task.orphaned".into(), lost)]);
}

pub async fn events_are_read_in_order_and_behind_a_place(f: &Fixture) {
    assert_eq!(f.store.last_sequence().await.unwrap(), 0);
    for _ in 0..4 {
        f.one("shop/customer").await;
    }
    let all = f.store.events(&EventFilter::default(), 0, 100).await.unwrap();
    assert!(all.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    assert_eq!(all.len(), 4);
    let behind = f.store.events(&EventFilter::default(), all[1].sequence, 1).await.unwrap();
    assert_eq!(behind, all[2..3]);
    assert_eq!(f.store.last_sequence().await.unwrap(), all[3].sequence);
}

pub async fn a_lease_is_told_before_the_request_is_fulfilled(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"]).times(2)).await;
    for tree in &trees {
        let mut change = f.ready(tree);
        change.events.push(f.event("dataset.ready"));
        f.write(Guard::None, change).await;
    }
    let filter = EventFilter { request: Some(request.id), ..Default::default() };
    let expected = [
        "request.accepted",
        "dataset.ready",
        "dataset.ready",
        "lease.granted",
        "lease.granted",
        "request.fulfilled",
    ];
    assert_eq!(kinds(f, filter).await, expected);
    let filter = EventFilter { tree: Some(trees[1].id), ..Default::default() };
    assert_eq!(kinds(f, filter).await, ["lease.granted"]);
}

pub async fn filters_leave_out_what_belongs_elsewhere(f: &Fixture) {
    let elsewhere = Order { environment: "qa2".to_owned(), ..Order::of(&["shop/customer"]) };
    let mut new = f.new_request(elsewhere);
    new.event.environment = "qa2".to_owned();
    let id = new.request.id;
    f.store.create_request(new).await.unwrap();
    f.one("shop/customer").await;
    let environment = Some("qa2".to_owned());
    let filter = EventFilter { environment, ..Default::default() };
    let found = f.store.events(&filter, 0, 10).await.unwrap();
    assert_eq!(found.iter().map(|event| event.request).collect::<Vec<_>>(), [Some(id)]);
    let filter = EventFilter { tree: Some(TreeId(f.id())), ..Default::default() };
    assert_eq!(kinds(f, filter).await, [""; 0]);
}

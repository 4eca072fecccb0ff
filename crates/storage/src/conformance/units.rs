//! Requests with several trees: fulfilled together or not at all.

use sixpack_model::ids::LeaseId;
use sixpack_model::lease::LeaseStatus;
use sixpack_model::plan::{Change, Outcome};
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::{Ending, PartStatus, Tree};

use super::factories::{Order, TTL_MS};
use super::fixture::Fixture;
use crate::events::EventFilter;
use crate::requests::Created;
use crate::trees::{Guard, RequestAfter, RequestEnd, Written};

fn failed(f: &Fixture, tree: &Tree) -> Change {
    let mut change = f.part_change(tree, 0, |root| {
        root.status = PartStatus::Failed;
        root.failure = Some(f.failure());
    });
    std::sync::Arc::make_mut(&mut change.tree).ending = Some(Ending::Failed);
    change.outcome = Some(Outcome::Failed(Box::new(f.failure())));
    change
}

const GOES_ON: Written = Written::Done(RequestAfter::GoesOn);

pub async fn a_request_is_fulfilled_with_its_last_tree(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"]).times(3)).await;
    let mut last = RequestAfter::GoesOn;
    for (place, tree) in trees.iter().rev().enumerate() {
        assert_eq!(f.store.leases_of(request.id).await.unwrap(), []);
        let written = f.write(Guard::None, f.ready(tree)).await;
        let Written::Done(after) = written else { panic!("nobody else writes: {written:?}") };
        last = after;
        assert_eq!(matches!(last, RequestAfter::Fulfilled { .. }), place == 2, "{last:?}");
    }
    let read = f.store.request(request.id).await.unwrap().unwrap();
    assert_eq!((read.status, read.ready), (RequestStatus::Fulfilled, 3));
    assert_eq!(read.ended_at, Some(f.now()));
    let leases = f.store.leases_of(request.id).await.unwrap();
    assert_eq!(last, RequestAfter::Fulfilled { revision: read.revision, leases: leases.clone() });
    let leased: Vec<_> = leases.iter().map(|lease| lease.tree).collect();
    assert_eq!(leased, trees.iter().map(|tree| tree.id).collect::<Vec<_>>());
    for lease in &leases {
        assert_eq!((lease.status, lease.ttl_ms), (LeaseStatus::Held, TTL_MS));
        assert_eq!((lease.granted_at, lease.expires_at), (f.now(), f.in_ms(TTL_MS as i64)));
        assert_eq!((lease.holder.as_str(), lease.token), ("a test", request.token));
        let tree = f.load(lease.tree).await;
        assert_eq!((tree.lease, tree.root().status), (Some(lease.id), PartStatus::Leased));
        assert_eq!(tree.version, 3);
    }
}

pub async fn the_count_of_ready_trees_grows_one_by_one(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"]).times(2)).await;
    f.write(Guard::None, f.ready(&trees[0])).await;
    let read = f.store.request(request.id).await.unwrap().unwrap();
    assert_eq!((read.ready, read.status), (1, RequestStatus::Building));
    assert_eq!(read.revision, request.revision + 1);
}

pub async fn one_failing_tree_fails_the_request_and_leaves_its_siblings_unwanted(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"]).times(3)).await;
    f.write(Guard::None, f.ready(&trees[0])).await;
    assert_eq!(f.write(Guard::None, failed(f, &trees[1])).await, Written::Done(RequestAfter::Failed));
    let read = f.store.request(request.id).await.unwrap().unwrap();
    assert_eq!((read.status, read.failure), (RequestStatus::Failed, Some(f.failure())));
    let unwanted = f.store.unwanted_trees(None, 10).await.unwrap();
    assert_eq!(unwanted, [trees[0].id, trees[2].id]);
    assert_eq!(f.store.unwanted_trees(Some(trees[0].id), 10).await.unwrap(), [trees[2].id]);
    assert_eq!(f.store.unwanted_trees(None, 1).await.unwrap(), [trees[0].id]);
}

pub async fn a_tree_that_is_taken_down_is_no_longer_unwanted(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(&["shop/customer"]).times(2)).await;
    f.write(Guard::None, failed(f, &trees[0])).await;
    let mut change = f.part_change(&trees[1], 0, |root| root.status = PartStatus::Undoing);
    std::sync::Arc::make_mut(&mut change.tree).ending = Some(Ending::Unwanted);
    assert_eq!(f.write(Guard::None, change).await, GOES_ON);
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), []);
}

pub async fn a_second_failing_tree_does_not_end_the_request_again(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"]).times(2)).await;
    f.write(Guard::None, failed(f, &trees[0])).await;
    assert_eq!(f.write(Guard::None, failed(f, &trees[1])).await, GOES_ON);
    let filter = EventFilter { request: Some(request.id), ..Default::default() };
    let events = f.store.events(&filter, 0, 100).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == "request.failed").count(), 1);
}

pub async fn a_tree_of_an_ended_request_is_never_leased(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"])).await;
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(request.id, RequestStatus::Cancelled, end).await.unwrap();
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), [trees[0].id]);
    assert_eq!(f.write(Guard::None, f.ready(&trees[0])).await, GOES_ON);
    let tree = f.load(trees[0].id).await;
    assert_eq!((tree.lease, tree.root().status), (None, PartStatus::Ready));
    assert_eq!(f.store.leases_of(request.id).await.unwrap(), []);
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), [trees[0].id]);
}

pub async fn a_request_that_is_ready_with_its_first_decision_is_fulfilled_at_once(f: &Fixture) {
    let mut new = f.new_request(Order::of(&[]).times(2));
    for change in &mut new.trees {
        let tree = std::sync::Arc::make_mut(&mut change.tree);
        tree.parts[0].status = PartStatus::Ready;
        change.outcome = Some(f.readiness());
    }
    let id = new.request.id;
    assert_eq!(f.store.create_request(new).await.unwrap(), Created::Accepted);
    assert_eq!(f.store.request(id).await.unwrap().unwrap().status, RequestStatus::Fulfilled);
    assert_eq!(f.store.leases_of(id).await.unwrap().len(), 2);
}

pub async fn a_request_that_fails_with_its_first_decision_is_failed_at_once(f: &Fixture) {
    let mut new = f.new_request(Order::of(&["shop/customer"]).times(2));
    new.trees[0].outcome = Some(Outcome::Failed(Box::new(f.failure())));
    std::sync::Arc::make_mut(&mut new.trees[0].tree).ending = Some(Ending::Failed);
    let (id, sibling) = (new.request.id, new.trees[1].tree.id);
    f.store.create_request(new).await.unwrap();
    assert_eq!(f.store.request(id).await.unwrap().unwrap().status, RequestStatus::Failed);
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), [sibling]);
}

pub async fn a_request_that_got_more_trees_than_its_writer_knew_of_is_fulfilled(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"]).times(2)).await;
    f.write(Guard::None, f.ready(&trees[0])).await;
    // Whoever writes has counted the trees before; one was given to a unit that had none in between.
    let id = LeaseId(f.id());
    let write = crate::trees::TreeWrite { guard: Guard::None, change: f.ready(&trees[1]), leases: vec![id] };
    let written = f.store.write_tree(write).await.unwrap();
    let leases = f.store.leases_of(request.id).await.unwrap();
    assert!(matches!(written, Written::Done(RequestAfter::Fulfilled { .. })), "{written:?}");
    assert_eq!((leases.len(), leases[0].id), (2, id));
    assert_ne!(leases[1].id, id);
}

pub async fn granted_leases_have_the_ids_that_came_with_the_write(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"])).await;
    let id = LeaseId(f.id());
    let change = f.ready(&trees[0]);
    let write = crate::trees::TreeWrite { guard: Guard::None, change, leases: vec![id] };
    f.store.write_tree(write).await.unwrap();
    assert_eq!(f.store.leases_of(request.id).await.unwrap()[0].id, id);
    assert_eq!(f.store.lease(id).await.unwrap().unwrap().request, request.id);
}

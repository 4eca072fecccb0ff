//! Retention: what has ended goes when its time is over, and what something still needs stays.

use sixpack_model::ids::{RequestId, TreeId};
use sixpack_model::lease::{LeaseOutcome, LeaseStatus};
use sixpack_model::plan::Change;
use sixpack_model::request::RequestStatus;
use sixpack_model::schema::Entity;
use sixpack_model::tree::{Ending, PartStatus, Tree};

use super::factories::{Order, Supplier};
use super::fixture::Fixture;
use crate::events::EventFilter;
use crate::requests::{Created, Idempotency};
use crate::trees::{Guard, LeaseEnd, RequestEnd};

const DAY_MS: u64 = 24 * 3_600_000;

/// Longer than keys are kept, and than a week of events may be kept on.
const KEEP_MS: u64 = 2 * DAY_MS;

fn pass_ms(f: &Fixture, ms: u64) {
    f.clock.advance_ms(ms as i64);
}

/// A decision that nothing of a dataset is left.
fn gone(f: &Fixture, tree: &Tree) -> Change {
    let mut change = f.change(tree);
    let after = std::sync::Arc::make_mut(&mut change.tree);
    (after.lease, after.ending) = (None, Some(Ending::Used));
    for part in &mut after.parts {
        part.status = PartStatus::Gone;
        part.task = None;
        change.changed.push(part.part);
    }
    change
}

/// A dataset that was leased, used and undone.
pub async fn used_up(f: &Fixture) -> Tree {
    let (tree, lease) = f.leased().await;
    let end = LeaseEnd {
        lease: lease.id,
        fence: None,
        status: LeaseStatus::Released,
        outcome: Some(LeaseOutcome::Used),
        note: None,
        revoked_by: None,
    };
    f.write(Guard::Lease(end), gone(f, &tree)).await;
    f.load(tree.id).await
}

/// Goes through everything once, as a sweep does; returns how many leases, datasets and requests went.
async fn prune(f: &Fixture, limit: u32) -> [usize; 3] {
    let mut went = [0; 3];
    let mut after = None;
    loop {
        let pruned = f.store.prune_leases(KEEP_MS, after, limit).await.unwrap();
        went[0] += pruned.gone.len();
        after = pruned.next;
        if after.is_none() {
            break;
        }
    }
    let mut after = None;
    loop {
        let pruned = f.store.prune_trees(KEEP_MS, after, limit).await.unwrap();
        went[1] += pruned.gone.len();
        after = pruned.next;
        if after.is_none() {
            break;
        }
    }
    let mut after = None;
    loop {
        let pruned = f.store.prune_requests(KEEP_MS, after, limit).await.unwrap();
        went[2] += pruned.gone.len();
        after = pruned.next;
        if after.is_none() {
            break;
        }
    }
    went
}

async fn is_there(f: &Fixture, tree: TreeId) -> bool {
    f.store.load_tree(tree).await.unwrap().is_some()
}

pub async fn what_is_over_goes_when_its_time_is_and_not_before(f: &Fixture) {
    let mut trees = Vec::new();
    for _ in 0..5 {
        trees.push(used_up(f).await);
    }
    pass_ms(f, KEEP_MS - 1);
    assert_eq!(prune(f, 2).await, [0, 0, 0]);
    pass_ms(f, 2);
    // In small pages as in large ones.
    assert_eq!(prune(f, 2).await, [5, 5, 5]);
    for tree in &trees {
        assert!(!is_there(f, tree.id).await);
        assert!(f.store.request(tree.request).await.unwrap().is_none());
        assert_eq!(f.store.leases_of(tree.request).await.unwrap(), []);
    }
    assert_eq!(prune(f, 2).await, [0, 0, 0]);
}

pub async fn what_is_in_use_or_under_way_stays_however_old(f: &Fixture) {
    let (leased, _) = f.leased().await;
    let building = f.one("shop/customer").await;
    pass_ms(f, 10 * KEEP_MS);
    assert_eq!(prune(f, 100).await, [0, 0, 0]);
    assert!(is_there(f, leased.id).await && is_there(f, building.id).await);
    assert!(f.store.request(leased.request).await.unwrap().is_some());
}

pub async fn a_dataset_stays_while_a_part_of_it_is_owed(f: &Fixture) {
    let tree = used_up(f).await;
    let owed = f.part_change(&tree, 1, |part| part.status = PartStatus::Debt);
    f.write(Guard::None, owed).await;
    pass_ms(f, KEEP_MS + 1);
    assert_eq!(prune(f, 100).await, [0, 0, 0]);
    let tree = f.load(tree.id).await;
    f.write(Guard::None, f.part_change(&tree, 1, |part| part.status = PartStatus::Gone)).await;
    assert_eq!(prune(f, 100).await, [1, 1, 1]);
}

pub async fn a_failed_dataset_stays_with_its_request(f: &Fixture) {
    let (request, trees) = f.accept(Order::of(&["shop/customer"]).times(2)).await;
    f.write(Guard::None, gone(f, &trees[0])).await;
    pass_ms(f, KEEP_MS + 1);
    assert_eq!(prune(f, 100).await, [0, 0, 0], "the request is open");
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(request.id, RequestStatus::Cancelled, end).await.unwrap();
    assert_eq!(prune(f, 100).await, [0, 1, 0]);
    pass_ms(f, KEEP_MS + 1);
    assert_eq!(prune(f, 100).await, [0, 0, 0], "the other dataset is not over");
    assert!(is_there(f, trees[1].id).await && f.store.request(request.id).await.unwrap().is_some());
}

pub async fn a_dataset_stays_while_an_open_request_asks_for_it_again(f: &Fixture) {
    let tree = used_up(f).await;
    pass_ms(f, KEEP_MS + 1);
    let again = Order { rerun_of: Some(tree.id), ..Order::of(&["shop/customer"]) };
    let (request, _) = f.accept(again).await;
    assert_eq!(prune(f, 100).await, [1, 0, 0]);
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(request.id, RequestStatus::Cancelled, end).await.unwrap();
    assert_eq!(prune(f, 100).await, [0, 1, 1]);
}

pub async fn a_request_stays_as_long_as_its_key(f: &Fixture) {
    let mut new = f.new_request(Order::of(&["shop/customer"]));
    let key = Idempotency { token: new.request.token, key: "k".to_owned(), body: [7; 32] };
    new.idempotency = Some(key.clone());
    let (id, tree) = (new.request.id, new.trees[0].tree.id);
    assert_eq!(f.store.create_request(new).await.unwrap(), Created::Accepted);
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(id, RequestStatus::Cancelled, end).await.unwrap();
    let stored = f.load(tree).await;
    f.write(Guard::None, gone(f, &stored)).await;
    pass_ms(f, DAY_MS);
    assert_eq!(f.store.prune_trees(1, None, 10).await.unwrap().gone, [tree]);
    assert_eq!(f.store.find_idempotent(&key).await.unwrap(), Some(Created::Replayed(id)));
    assert_eq!(f.store.prune_requests(1, None, 10).await.unwrap().gone, [] as [RequestId; 0]);
    pass_ms(f, 1);
    assert_eq!(f.store.find_idempotent(&key).await.unwrap(), None);
    assert_eq!(f.store.prune_requests(1, None, 10).await.unwrap().gone, [id]);
}

pub async fn entities_go_with_their_dataset(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let mut change = f.made(&tree, 1);
    change.entities = vec![(1, Entity { kind: "customer".to_owned(), key: "c-7".to_owned() })];
    f.write(Guard::None, change).await;
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(tree.request, RequestStatus::Cancelled, end).await.unwrap();
    let stored = f.load(tree.id).await;
    f.write(Guard::None, gone(f, &stored)).await;
    pass_ms(f, KEEP_MS + 1);
    assert_eq!(prune(f, 100).await, [0, 1, 1]);
    let filter = crate::datasets::DatasetFilter {
        entity: Some(("customer".to_owned(), "c-7".to_owned())),
        ..crate::datasets::DatasetFilter::default()
    };
    assert_eq!(f.store.datasets(&filter, crate::page::Page::first(10)).await.unwrap().rows, []);
}

pub async fn a_session_goes_when_it_has_ended_long_ago(f: &Fixture) {
    let (ended, live) =
        (f.supplier(Supplier::of(&["shop/a"])).await, f.supplier(Supplier::of(&["shop/b"])).await);
    f.store.drain_session(ended).await.unwrap();
    pass_ms(f, KEEP_MS);
    assert_eq!(f.store.prune_sessions(KEEP_MS + 1, None, 10).await.unwrap().gone, []);
    pass_ms(f, 1);
    let pruned = f.store.prune_sessions(KEEP_MS, None, 10).await.unwrap();
    assert_eq!((pruned.gone, pruned.next), (vec![ended], None));
    assert!(f.store.session(live).await.unwrap().is_some());
    assert!(f.store.session(ended).await.unwrap().is_none());
}

pub async fn old_events_go_and_numbers_are_never_given_out_again(f: &Fixture) {
    f.one("shop/customer").await;
    let old = f.store.last_sequence().await.unwrap();
    assert_eq!(f.store.events_gone().await.unwrap(), 0);
    while f.store.prune_events(KEEP_MS, 2).await.unwrap() {}
    assert_eq!(f.store.events_gone().await.unwrap(), 0, "they are not old");
    // A week of events may be kept until all of it is old.
    pass_ms(f, KEEP_MS + 7 * DAY_MS + 1);
    f.store.make_room_for_events().await.unwrap();
    f.one("shop/customer").await;
    while f.store.prune_events(KEEP_MS, 2).await.unwrap() {}
    assert_eq!(f.store.events_gone().await.unwrap(), old);
    let left = f.store.events(&EventFilter::default(), 0, 100).await.unwrap();
    assert!(!left.is_empty() && left.iter().all(|event| event.sequence > old), "{left:?}");
    pass_ms(f, 10 * (KEEP_MS + 7 * DAY_MS));
    while f.store.prune_events(KEEP_MS, 100).await.unwrap() {}
    let last = left.last().expect("some are left").sequence;
    f.one("shop/customer").await;
    let next = f.store.events(&EventFilter::default(), last, 100).await.unwrap();
    assert!(!next.is_empty() && next.iter().all(|event| event.sequence > last), "{next:?}");
}

pub async fn room_for_events_is_made_in_time_and_used(f: &Fixture) {
    for _ in 0..3 {
        // Longer than room is made for at once.
        pass_ms(f, 40 * DAY_MS);
        f.one("shop/customer").await;
        f.store.make_room_for_events().await.unwrap();
        f.store.make_room_for_events().await.unwrap();
    }
    let told = f.store.events(&EventFilter::default(), 0, 100).await.unwrap().len();
    assert!(told >= 3, "{told}");
    pass_ms(f, KEEP_MS + 7 * DAY_MS + 1);
    f.one("shop/customer").await;
    while f.store.prune_events(KEEP_MS, 1).await.unwrap() {}
    let left = f.store.events(&EventFilter::default(), 0, 100).await.unwrap();
    assert!(left.iter().all(|event| event.at == f.now()) && !left.is_empty(), "{left:?}");
}

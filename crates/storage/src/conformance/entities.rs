//! Entities: no two live leases own the same one.

use std::sync::Arc;

use sixpack_model::lease::{Lease, LeaseStatus};
use sixpack_model::plan::{Change, EntityOwner, HeldEntity, Outcome};
use sixpack_model::request::RequestStatus;
use sixpack_model::schema::Entity;
use sixpack_model::tree::{PartStatus, Tree};

use super::factories::{ENVIRONMENT, Order, Supplier, TTL_MS};
use super::fixture::Fixture;
use crate::trees::{Clash, Guard, LeaseEnd, RequestAfter, RequestEnd, Written};

const CUSTOMER: &[&str] = &["shop/customer"];
const GOES_ON: Written = Written::Done(RequestAfter::GoesOn);

fn entity(kind: &str, key: &str) -> Entity {
    Entity { kind: kind.to_owned(), key: key.to_owned() }
}

/// A decision that a tree is ready, of which part 1 has made these entities.
fn owning(f: &Fixture, tree: &Tree, keys: &[&str]) -> Change {
    let mut change = f.ready(tree);
    change.owns = keys.iter().map(|key| (1, entity("customer", key))).collect();
    change
}

/// A dataset in somebody's hands that owns these customers.
async fn leased(f: &Fixture, keys: &[&str]) -> (Tree, Lease) {
    let tree = f.one("shop/customer").await;
    let written = f.write(Guard::None, owning(f, &tree, keys)).await;
    assert!(matches!(written, Written::Done(RequestAfter::Fulfilled { .. })), "{written:?}");
    let leases = f.store.leases_of(tree.request).await.unwrap();
    (f.load(tree.id).await, leases.into_iter().next().unwrap())
}

fn clash(tree: &Tree, key: &str, lease: &Lease) -> Written {
    let by = EntityOwner::Lease { id: lease.id, holder: lease.holder.clone() };
    Written::EntityHeld(Clash {
        tree: tree.id,
        held: HeldEntity { part: 1, entity: entity("customer", key), by },
    })
}

fn undoing(f: &Fixture, tree: &Tree) -> Change {
    let mut change = f.part_change(tree, 0, |root| root.status = PartStatus::Undoing);
    Arc::make_mut(&mut change.tree).lease = None;
    change
}

pub async fn two_live_leases_never_own_the_same_entity(f: &Fixture) {
    let (_, lease) = leased(f, &["41", "42"]).await;
    let tree = f.one("shop/account").await;
    assert_eq!(f.write(Guard::None, owning(f, &tree, &["40", "42"])).await, clash(&tree, "42", &lease));
    let fulfilled = f.write(Guard::None, owning(f, &tree, &["40", "43"])).await;
    assert!(matches!(fulfilled, Written::Done(RequestAfter::Fulfilled { .. })), "{fulfilled:?}");
}

pub async fn many_trees_that_are_ready_at_once_get_one_lease_on_an_entity(f: &Fixture) {
    let mut trees = Vec::new();
    for _ in 0..20 {
        trees.push(f.one("shop/customer").await);
    }
    let writes = trees.iter().map(|tree| f.write(Guard::None, owning(f, tree, &["42"])));
    let written = futures::future::join_all(writes).await;
    let granted = |written: &&Written| matches!(written, Written::Done(RequestAfter::Fulfilled { .. }));
    assert_eq!(written.iter().filter(granted).count(), 1);
    let clashes = |written: &&Written| matches!(written, Written::EntityHeld(_));
    assert_eq!(written.iter().filter(clashes).count(), 19);
    assert_eq!(f.store.count_held_leases().await.unwrap(), [(ENVIRONMENT.to_owned(), 1)]);
}

pub async fn an_entity_is_free_with_every_end_of_its_lease(f: &Fixture) {
    let by_word = |lease: &Lease, status| LeaseEnd {
        lease: lease.id,
        fence: None,
        status,
        outcome: None,
        note: None,
        revoked_by: (status == LeaseStatus::Revoked).then(|| "ada".to_owned()),
    };
    for status in [LeaseStatus::Released, LeaseStatus::Revoked, LeaseStatus::Expired] {
        let (tree, lease) = leased(f, &["42", "43"]).await;
        let other = f.one("shop/customer").await;
        // By nobody's word a lease ends once its deadline has passed; it owns its entities until it has ended.
        let early = if status == LeaseStatus::Expired { 0 } else { 1 };
        f.clock.advance_ms(TTL_MS as i64 - early);
        assert_eq!(f.write(Guard::None, owning(f, &other, &["43"])).await, clash(&other, "43", &lease));
        let guard = match status {
            LeaseStatus::Expired => Guard::Overdue(lease.id),
            status => Guard::Lease(by_word(&lease, status)),
        };
        assert_eq!(f.write(guard, undoing(f, &tree)).await, GOES_ON, "{status:?}");
        let (next, lease) = leased(f, &["42", "43"]).await;
        f.write(Guard::Lease(by_word(&lease, LeaseStatus::Released)), undoing(f, &next)).await;
    }
}

pub async fn entities_of_other_environments_kinds_and_keys_are_others(f: &Fixture) {
    leased(f, &["42"]).await;
    let elsewhere = Order { environment: "qa2".to_owned(), ..Order::of(CUSTOMER) };
    let (_, trees) = f.accept(elsewhere).await;
    let mut changes = vec![owning(f, &trees[0], &["42"])];
    for other in [
        entity("account", "42"),
        entity("customer", "4"),
        entity("customer", "042"),
        entity("Customer", "42"),
    ] {
        let tree = f.one("shop/customer").await;
        changes.push(Change { owns: vec![(1, other)], ..f.ready(&tree) });
    }
    for change in changes {
        let written = f.write(Guard::None, change).await;
        assert!(matches!(written, Written::Done(RequestAfter::Fulfilled { .. })), "{written:?}");
    }
}

pub async fn a_clash_leaves_its_claim_and_everything_else_alone(f: &Fixture) {
    let (_, lease) = leased(f, &["42"]).await;
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    // The tree of the lease still has its task: nobody has answered it.
    f.claim(session, 10).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    let before = f.store.last_sequence().await.unwrap();
    let change = owning(f, &tree, &["42"]);
    assert_eq!(f.write(Guard::Claim(claim), change).await, clash(&tree, "42", &lease));
    assert!(f.store.claims_of(session).await.unwrap().contains(&claim));
    assert_eq!((f.load(tree.id).await, f.store.last_sequence().await.unwrap()), (tree.clone(), before));
    let request = f.store.request(tree.request).await.unwrap().unwrap();
    assert_eq!((request.revision, request.ready, request.status), (1, 0, RequestStatus::Building));
}

pub async fn a_tree_that_waits_is_looked_at_again_when_its_request_is_complete(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(CUSTOMER).times(3)).await;
    assert_eq!(f.write(Guard::None, owning(f, &trees[1], &["42"])).await, GOES_ON);
    let (_, lease) = leased(f, &["42"]).await;
    assert_eq!(f.write(Guard::None, owning(f, &trees[0], &["40"])).await, GOES_ON, "it may be free by then");
    let last = || owning(f, &trees[2], &["41"]);
    assert_eq!(f.write(Guard::None, last()).await, clash(&trees[1], "42", &lease));
    let end = LeaseEnd {
        lease: lease.id,
        fence: None,
        status: LeaseStatus::Released,
        outcome: None,
        note: None,
        revoked_by: None,
    };
    let owner = f.load(lease.tree).await;
    assert_eq!(f.write(Guard::Lease(end), undoing(f, &owner)).await, GOES_ON);
    let fulfilled = f.write(Guard::None, last()).await;
    assert!(matches!(fulfilled, Written::Done(RequestAfter::Fulfilled { .. })), "{fulfilled:?}");
    for (place, key) in ["40", "42", "41"].into_iter().enumerate() {
        let lease = &f.store.leases_of(trees[0].request).await.unwrap()[place];
        let tree = f.one("shop/customer").await;
        assert_eq!(f.write(Guard::None, owning(f, &tree, &[key])).await, clash(&tree, key, lease));
    }
}

pub async fn two_datasets_of_one_request_never_own_the_same_entity(f: &Fixture) {
    for first in [0, 1] {
        let (_, trees) = f.accept(Order::of(CUSTOMER).times(2)).await;
        assert_eq!(f.write(Guard::None, owning(f, &trees[first], &["42"])).await, GOES_ON);
        // Whichever came first, the first unit keeps it.
        let held =
            HeldEntity { part: 1, entity: entity("customer", "42"), by: EntityOwner::Sibling(trees[0].id) };
        let expected = Written::EntityHeld(Clash { tree: trees[1].id, held });
        assert_eq!(f.write(Guard::None, owning(f, &trees[1 - first], &["42"])).await, expected);
    }
}

/// A decision that a leased tree was extended, and owns these customers now.
fn extended(f: &Fixture, tree: &Tree, keys: &[&str]) -> Change {
    let owns = keys.iter().map(|key| (1, entity("customer", key))).collect();
    Change { outcome: Some(Outcome::Extended), owns, ..f.change(tree) }
}

pub async fn a_lease_owns_what_its_dataset_was_extended_by_and_nothing_of_others(f: &Fixture) {
    let (tree, lease) = leased(f, &["42"]).await;
    let (_, others) = leased(f, &["50"]).await;
    let change = extended(f, &tree, &["42", "50"]);
    assert_eq!(f.write(Guard::None, change).await, clash(&tree, "50", &others));
    assert_eq!(f.load(tree.id).await, tree, "nothing was written");
    assert_eq!(f.write(Guard::None, extended(f, &tree, &["42", "43"])).await, GOES_ON);
    for key in ["42", "43"] {
        let other = f.one("shop/customer").await;
        assert_eq!(f.write(Guard::None, owning(f, &other, &[key])).await, clash(&other, key, &lease));
    }
    let tree = f.load(tree.id).await;
    assert_eq!((tree.root().status, tree.lease), (PartStatus::Leased, Some(lease.id)));
    let end = LeaseEnd {
        lease: lease.id,
        fence: Some(lease.fence),
        status: LeaseStatus::Released,
        outcome: None,
        note: None,
        revoked_by: None,
    };
    assert_eq!(f.write(Guard::Lease(end), undoing(f, &tree)).await, GOES_ON);
    leased(f, &["42", "43"]).await;
}

pub async fn a_dataset_is_extended_only_under_its_lease_and_fence(f: &Fixture) {
    let (tree, lease) = leased(f, &[]).await;
    let held = |fence| Guard::Held { lease: lease.id, fence };
    for fence in [lease.fence - 1, lease.fence + 1] {
        assert_eq!(f.write(held(fence), f.change(&tree)).await, Written::Refused);
    }
    let (other, _) = leased(f, &[]).await;
    assert_eq!(f.write(held(lease.fence), f.change(&other)).await, Written::Refused, "it is another's");
    assert_eq!(f.write(held(lease.fence), f.change(&tree)).await, GOES_ON);
    let tree = f.load(tree.id).await;
    f.clock.advance_ms(TTL_MS as i64);
    assert_eq!(f.write(held(lease.fence), f.change(&tree)).await, Written::Refused, "its time is over");
}

pub async fn a_tree_of_an_ended_request_clashes_with_nobody(f: &Fixture) {
    leased(f, &["42"]).await;
    let (request, trees) = f.accept(Order::of(CUSTOMER).times(2)).await;
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(request.id, RequestStatus::Cancelled, end).await.unwrap();
    assert_eq!(f.write(Guard::None, owning(f, &trees[0], &["42"])).await, GOES_ON);
}

//! Claims: each attempt to one session, in order, cancelled and returned.

use std::collections::HashSet;

use sixpack_model::ids::{SessionId, TaskId};
use sixpack_model::request::Priority;
use sixpack_model::session::SessionStatus;
use sixpack_model::tree::{Operation, Tree};

use super::factories::{Order, Supplier, TIMEOUT_MS, first_task, ready_task};
use super::fixture::Fixture;
use crate::requests::Created;
use crate::tasks::Claims;
use crate::trees::{Guard, RequestAfter, TreeWrite, Written};

const CUSTOMER: &[&str] = &["shop/customer"];

async fn order(f: &Fixture, edit: impl FnOnce(&mut Order)) -> Tree {
    let mut order = Order::of(CUSTOMER);
    edit(&mut order);
    f.accept(order).await.1.remove(0)
}

pub async fn a_claim_says_what_is_to_be_done(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER).with(|service| service.timeout_ms = 1_234)).await;
    let tree = f.one("shop/customer").await;
    let claimed = f.claim(session, 10).await.remove(0);
    assert_eq!(claimed.claim.task, first_task(&tree, 1));
    assert_eq!((claimed.claim.attempt, claimed.claim.session), (1, session));
    assert_eq!((claimed.tree_version, claimed.operation), (tree.version, Operation::Produce));
    assert_eq!(claimed.timeout_ms, 1_234);
    assert_eq!(f.store.claims_of(session).await.unwrap(), [claimed.claim]);
}

pub async fn a_task_is_handed_out_once(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let other = f.supplier(Supplier::of(CUSTOMER)).await;
    f.one("shop/customer").await;
    f.claim_one(session).await;
    assert_eq!(f.claim(other, 10).await, []);
    assert_eq!(f.claim(session, 10).await, []);
}

pub async fn many_claimers_at_once_never_share_an_attempt(f: &Fixture) {
    let mut sessions = Vec::new();
    for _ in 0..64 {
        sessions.push(f.supplier(Supplier::of(CUSTOMER)).await);
    }
    f.accept(Order::of(CUSTOMER).times(100)).await;
    let claims = sessions.iter().map(|session| f.claim(*session, 3));
    let claimed: Vec<_> = futures::future::join_all(claims).await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 100);
    let tasks: HashSet<_> = claimed.iter().map(|claimed| claimed.claim.task).collect();
    assert_eq!(tasks.len(), 100);
}

pub async fn no_more_than_the_maximum_are_handed_out(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.accept(Order::of(CUSTOMER).times(5)).await;
    assert_eq!(f.claim(session, 2).await.len(), 2);
    assert_eq!(f.claim(session, 0).await.len(), 0);
    assert_eq!(f.claim(session, 10).await.len(), 3);
}

pub async fn the_oldest_task_goes_first(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let mut expected = Vec::new();
    for _ in 0..4 {
        expected.push(first_task(&f.one("shop/customer").await, 1));
        f.clock.advance_ms(1);
    }
    let claimed = f.claim(session, 10).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.claim.task).collect::<Vec<_>>(), expected);
}

pub async fn the_most_urgent_task_goes_first_whatever_its_capability(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/account", "shop/customer"])).await;
    let mut expected = Vec::new();
    for (priority, part) in Priority::ALL.into_iter().rev().zip([
        "shop/customer",
        "shop/account",
        "shop/customer",
        "shop/account",
    ]) {
        let tree = order(f, |order| {
            order.priority = priority;
            order.parts = vec![part.to_owned()];
        });
        expected.push(first_task(&tree.await, 1));
    }
    expected.reverse();
    let claimed = f.claim(session, 10).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.claim.task).collect::<Vec<_>>(), expected);
}

pub async fn a_busy_capability_does_not_starve_the_others(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/account", "shop/address", "shop/customer"])).await;
    for contract in ["shop/account", "shop/customer", "shop/address"] {
        f.accept(Order::of(&[contract]).times(10)).await;
    }
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let claimed = f.claim(session, 1).await.remove(0).claim.task;
        seen.insert(f.load(claimed.tree).await.parts[1].contract.to_string());
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

pub async fn a_delayed_task_is_handed_out_when_it_is_ready_and_not_before(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let (sooner, later) = (f.in_ms(1_000), f.in_ms(2_000));
    order(f, |order| order.ready_at = Some(later)).await;
    order(f, |order| order.ready_at = Some(sooner)).await;
    assert_eq!(f.next_at(session).await, Some(sooner));
    f.clock.advance_ms(999);
    assert_eq!(f.claim(session, 10).await, []);
    f.clock.advance_ms(1);
    assert_eq!(f.claim(session, 10).await.len(), 1);
    assert_eq!(f.next_at(session).await, Some(later));
    f.clock.advance_ms(1_000);
    assert_eq!(f.claim(session, 10).await.len(), 1);
    assert_eq!(f.next_at(session).await, None);
}

pub async fn a_new_task_is_found_after_an_empty_look(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    assert_eq!(f.claim(session, 10).await, []);
    f.one("shop/customer").await;
    assert_eq!(f.claim(session, 10).await.len(), 1);
}

pub async fn a_session_gets_only_what_it_performs(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.one("shop/account").await;
    order(f, |order| order.environment = "qa2".to_owned()).await;
    assert_eq!(f.claim(session, 10).await, []);
}

pub async fn a_session_gets_only_the_versions_it_can_perform(f: &Fixture) {
    let supplier = Supplier::of(CUSTOMER).with(|service| (service.oldest_version, service.version) = (2, 3));
    let session = f.supplier(supplier).await;
    let mut expected = Vec::new();
    for version in 1..=4 {
        let tree = order(f, |order| order.version = version).await;
        if (2..=3).contains(&version) {
            expected.push(first_task(&tree, 1));
        }
        f.clock.advance_ms(1);
    }
    let claimed = f.claim(session, 10).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.claim.task).collect::<Vec<_>>(), expected);
    let older = Supplier::of(CUSTOMER);
    let older = f.supplier(older).await;
    assert_eq!(f.claim(older, 10).await.len(), 1);
}

pub async fn a_session_that_is_not_live_gets_nothing(f: &Fixture) {
    f.one("shop/customer").await;
    let unknown = f.store.claim_tasks(SessionId(f.id()), 1).await.unwrap();
    assert_eq!(unknown, Claims::NotLive);
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    assert_eq!(f.store.drain_session(session).await.unwrap(), Some(SessionStatus::Ended));
    assert_eq!(f.store.claim_tasks(session, 1).await.unwrap(), Claims::NotLive);
}

pub async fn a_returned_claim_is_ready_again_as_if_it_had_never_been_made(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    f.clock.advance_ms(50);
    f.one("shop/customer").await;
    f.store.return_claims(&[claim]).await.unwrap();
    assert_eq!(f.store.claims_of(session).await.unwrap(), []);
    // Under its old time, so that it is not overtaken.
    let again = f.claim(session, 1).await.remove(0);
    // Nobody has seen the first go at it, so it does not count.
    assert_eq!((again.claim.task, again.claim.attempt), (first_task(&tree, 1), 1));
    assert_eq!(f.store.claims_of(session).await.unwrap(), [again.claim]);
}

pub async fn what_is_given_back_comes_first_however_many_were_handed_out_since(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let first = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    for _ in 0..6 {
        f.clock.advance_ms(10_000);
        for _ in 0..50 {
            f.one("shop/customer").await;
        }
        assert_eq!(f.claim(session, 100).await.len(), 50);
    }
    let last = f.one("shop/customer").await;
    f.store.return_claims(&[claim]).await.unwrap();
    let order: Vec<_> = f.claim(session, 10).await.into_iter().map(|one| one.claim.task.tree).collect();
    assert_eq!(order, [first.id, last.id]);
}

pub async fn a_returned_task_can_still_be_withdrawn(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    f.clock.advance_ms(50);
    f.store.return_claims(&[claim]).await.unwrap();
    let mut change = f.change(&tree);
    change.withdrawn.extend(ready_task(&tree.parts[1]));
    f.write(Guard::None, change).await;
    assert_eq!(f.store.withdrawn_tasks(None, 10).await.unwrap(), [first_task(&tree, 1)]);
    assert_eq!(f.claim(session, 10).await, []);
}

pub async fn a_withdrawn_task_that_is_claimed_is_cancelled(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    assert_eq!(f.store.cancelled_claims(session).await.unwrap(), []);
    let mut change = f.change(&tree);
    change.withdrawn.extend(ready_task(&tree.parts[1]));
    f.write(Guard::None, change).await;
    assert_eq!(f.store.cancelled_claims(session).await.unwrap(), [claim.task]);
    assert_eq!(f.store.withdrawn_tasks(None, 10).await.unwrap(), []);
    assert_eq!(f.store.claims_of(session).await.unwrap(), [claim]);
}

pub async fn a_cancelled_claim_that_is_returned_is_withdrawn(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    let mut change = f.change(&tree);
    change.withdrawn.extend(ready_task(&tree.parts[1]));
    f.write(Guard::None, change).await;
    f.store.return_claims(&[claim]).await.unwrap();
    assert_eq!(f.store.withdrawn_tasks(None, 10).await.unwrap(), [claim.task]);
    assert_eq!(f.claim(session, 10).await, []);
}

pub async fn the_next_task_of_a_part_keeps_its_own_count(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    let mut change = f.part_change(&tree, 1, |part| {
        let task = part.task.as_mut().unwrap();
        task.attempt = claim.attempt;
        task.ready_at = f.in_ms(500);
    });
    change.ready.extend(ready_task(&change.tree.parts[1].clone()));
    f.write(Guard::Claim(claim), change).await;
    assert_eq!(f.next_at(session).await, Some(f.in_ms(500)));
    f.clock.advance_ms(500);
    let again = f.claim(session, 10).await.remove(0);
    assert_eq!((again.claim.attempt, again.tree_version), (2, 2));
}

pub async fn lost_claims_are_the_old_ones_that_are_not_running(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.accept(Order::of(CUSTOMER).times(2)).await;
    let old = f.claim(session, 10).await;
    f.clock.advance_ms(10_000);
    f.one("shop/customer").await;
    let young = f.claim(session, 10).await;
    assert_eq!(young.len(), 1);
    let running = [old[0].claim.task];
    let lost = f.store.lost_claims(session, &running, 10_000).await.unwrap();
    assert_eq!(lost, [old[1].claim]);
    assert_eq!(f.store.lost_claims(session, &running, 10_001).await.unwrap(), []);
}

pub async fn a_claim_queued_behind_a_write_finds_what_it_wrote(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let new = f.new_request(Order::of(CUSTOMER));
    let (created, claims) = futures::join!(f.store.create_request(new), f.store.claim_tasks(session, 10));
    created.unwrap();
    let Claims::Given { tasks, .. } = claims.unwrap() else { panic!("the session is live") };
    assert_eq!(tasks.len(), 1);
}

pub async fn a_deadline_is_counted_from_the_claim(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.one("shop/customer").await;
    f.clock.advance_ms(5_000);
    let claim = f.claim_one(session).await;
    f.clock.advance_ms(TIMEOUT_MS as i64 - 1);
    assert_eq!(f.store.abandoned_claims(None, 10).await.unwrap(), []);
    f.clock.advance_ms(1);
    assert_eq!(f.store.abandoned_claims(None, 10).await.unwrap()[0].claim, claim);
}

pub async fn what_has_a_claimant_is_claimed_with_the_write_or_ready_behind_it(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let new = f.new_request(Order::of(CUSTOMER));
    let first = first_task(&new.trees[0].tree, 1);
    let (created, with) = f.store.create_request_claiming(new, vec![(first, session)]).await.unwrap();
    assert_eq!(created, Created::Accepted);
    let behind = f.claim(session, 10).await;
    let claimed: Vec<_> = with.into_iter().chain(behind).collect();
    assert_eq!(
        claimed.iter().map(|one| (one.claim.task, one.claim.attempt)).collect::<Vec<_>>(),
        [(first, 1)]
    );
    let tree = f.load(first.tree).await;
    let change = f.next_of_part(&tree, 1);
    let next = TaskId { serial: 2, ..first };
    let write = TreeWrite { guard: Guard::Claim(claimed[0].claim), change, leases: Vec::new() };
    let (written, with) = f.store.write_tree_claiming(write, vec![(next, session)]).await.unwrap();
    assert_eq!(written, Written::Done(RequestAfter::GoesOn));
    let behind = f.claim(session, 10).await;
    let claimed: Vec<_> = with.into_iter().chain(behind).collect();
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].claim.task, claimed[0].claim.attempt, claimed[0].tree_version), (next, 1, 2));
    assert_eq!(f.store.claims_of(session).await.unwrap(), [claimed[0].claim]);
}

//! Sweeps: what was left behind is found, page by page, past whatever cannot be mended now.

use std::sync::Arc;

use jiff::Timestamp;
use sixpack_model::ids::TaskId;
use sixpack_model::session::SESSION_TTL_MS;
use sixpack_model::task::{OpenTask, Standing};
use sixpack_model::tree::{Retrying, Tree};

use super::factories::{Order, Supplier, TIMEOUT_MS, first_task, ready_task};
use super::fixture::Fixture;
use crate::tasks::Abandoned;
use crate::trees::{Guard, RequestAfter, Written};

const CUSTOMER: &[&str] = &["shop/customer"];
const GRACE_MS: u64 = 10_000;

async fn unserved(f: &Fixture) -> Vec<TaskId> {
    let found = f.store.unserved_tasks(GRACE_MS, None, 100).await.unwrap();
    found.into_iter().map(|(task, _)| task).collect()
}

pub async fn claims_of_a_dead_session_are_abandoned(f: &Fixture) {
    let dead = f.supplier(Supplier::of(CUSTOMER)).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(dead).await;
    let claimed_at = f.now();
    f.clock.advance_ms(SESSION_TTL_MS as i64);
    assert_eq!(f.store.abandoned_claims(None, 10).await.unwrap(), []);
    assert_eq!(f.write(Guard::Abandoned(claim), f.change(&tree)).await, Written::Refused);
    f.store.end_silent_sessions(10).await.unwrap();
    let found = f.store.abandoned_claims(None, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].claim, found[0].why), (claim, Abandoned::SessionGone));
    assert_eq!(found[0].claimed_at, claimed_at);
    let done = Written::Done(RequestAfter::GoesOn);
    assert_eq!(f.write(Guard::Abandoned(claim), f.change(&tree)).await, done);
    assert_eq!(f.store.abandoned_claims(None, 10).await.unwrap(), []);
}

pub async fn a_claim_behind_its_deadline_is_abandoned_although_its_session_lives(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.one("shop/customer").await;
    f.claim_one(session).await;
    f.clock.advance_ms(TIMEOUT_MS as i64);
    let found = f.store.abandoned_claims(None, 10).await.unwrap();
    assert_eq!(found[0].why, Abandoned::DeadlinePassed);
}

pub async fn abandoned_claims_are_paged_past_those_that_stay(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer", "shop/account"])).await;
    f.accept(Order::of(&["shop/customer", "shop/account"]).times(3)).await;
    let mut expected: Vec<_> = f.claim(session, 10).await.iter().map(|task| task.claim.task).collect();
    expected.sort();
    f.clock.advance_ms(TIMEOUT_MS as i64);
    let mut found = Vec::new();
    while let Some(page) = Some(f.store.abandoned_claims(found.last().copied(), 2).await.unwrap())
        .filter(|page| !page.is_empty())
    {
        found.extend(page.iter().map(|abandoned| abandoned.claim.task));
    }
    assert_eq!(found, expected);
}

/// Sets a limit to the time of a part.
async fn limit(f: &Fixture, tree: &Tree, at: Option<Timestamp>) -> Tree {
    let change = f.part_change(tree, 1, |part| part.deadline_at = at);
    assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::GoesOn));
    f.load(tree.id).await
}

pub async fn a_tree_is_due_when_a_moment_of_one_of_its_parts_comes(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    f.one("shop/customer").await;
    assert_eq!(f.store.next_due().await.unwrap(), None);
    let tree = limit(f, &tree, Some(f.in_ms(2_000))).await;
    assert_eq!(f.store.next_due().await.unwrap(), Some(f.in_ms(2_000)));
    f.clock.advance_ms(1_999);
    assert_eq!(f.store.due_trees(None, 10).await.unwrap(), []);
    f.clock.advance_ms(1);
    assert_eq!(f.store.due_trees(None, 10).await.unwrap(), [tree.id]);
    assert_eq!(f.store.next_due().await.unwrap(), None, "the time of this one has come");
    let tree = limit(f, &tree, Some(f.in_ms(1))).await;
    assert_eq!(f.store.due_trees(None, 10).await.unwrap(), []);
    f.clock.advance_ms(1);
    assert_eq!(f.store.due_trees(None, 10).await.unwrap(), [tree.id]);
    limit(f, &tree, None).await;
    assert_eq!(f.store.due_trees(None, 10).await.unwrap(), []);
}

pub async fn a_tree_can_be_due_with_its_first_decision(f: &Fixture) {
    let mut new = f.new_request(Order::of(CUSTOMER));
    let tree = Arc::make_mut(&mut new.trees[0].tree);
    tree.parts[1].retrying = Some(Retrying::Pausing { until: f.in_ms(5) });
    let id = tree.id;
    f.store.create_request(new).await.unwrap();
    assert_eq!(f.store.next_due().await.unwrap(), Some(f.in_ms(5)));
    f.clock.advance_ms(5);
    assert_eq!(f.store.due_trees(None, 10).await.unwrap(), [id]);
}

pub async fn due_trees_are_paged_past_those_that_stay(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(CUSTOMER).times(3)).await;
    // The one that was due first has the highest id.
    for (tree, ms) in trees.iter().zip([3, 2, 1]) {
        limit(f, tree, Some(f.in_ms(ms))).await;
    }
    f.clock.advance_ms(3);
    let ids: Vec<_> = trees.iter().map(|tree| tree.id).collect();
    assert_eq!(f.store.due_trees(None, 2).await.unwrap(), ids[..2]);
    assert_eq!(f.store.due_trees(Some(ids[1]), 2).await.unwrap(), ids[2..]);
}

pub async fn open_tasks_tell_who_has_them(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(&["shop/customer", "shop/account", "shop/order"])).await;
    f.one("shop/account").await;
    let tree = &trees[0];
    let open = |part, standing| OpenTask { part, serial: 1, standing };
    let nobody = Standing::Unclaimed { served: false };
    let all = [open(1, nobody), open(2, nobody), open(3, nobody)];
    assert_eq!(f.store.open_tasks(tree.id).await.unwrap(), all);
    let busy = f.supplier(Supplier::of(CUSTOMER)).await;
    f.supplier(Supplier::of(&["shop/account"])).await;
    let newer =
        Supplier::of(&["shop/order"]).with(|service| (service.oldest_version, service.version) = (2, 2));
    f.supplier(newer).await;
    f.clock.advance_ms(7);
    f.claim_one(busy).await;
    let claimed = Standing::Claimed { attempt: 1, since: Some(f.now()) };
    let some = [open(1, claimed), open(2, Standing::Unclaimed { served: true }), open(3, nobody)];
    assert_eq!(f.store.open_tasks(tree.id).await.unwrap(), some);
    let done = f.part_change(tree, 2, |part| part.task = None);
    f.write(Guard::None, done).await;
    assert_eq!(f.store.open_tasks(tree.id).await.unwrap(), [some[0].clone(), some[2].clone()]);
}

pub async fn a_supplier_of_a_channel_serves_only_the_trees_that_name_it(f: &Fixture) {
    f.supplier(Supplier::of(CUSTOMER).in_channel("mine")).await;
    for (channel, served) in [(None, false), (Some("other"), false), (Some("mine"), true)] {
        let channel = channel.map(str::to_owned);
        let (_, trees) = f.accept(Order { channel: channel.clone(), ..Order::of(CUSTOMER) }).await;
        let open = f.store.open_tasks(trees[0].id).await.unwrap();
        assert_eq!(open[0].standing, Standing::Unclaimed { served }, "{channel:?}");
    }
}

pub async fn withdrawn_tasks_come_a_limited_number_at_a_time(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(CUSTOMER).times(3)).await;
    for tree in &trees {
        let mut change = f.change(tree);
        change.withdrawn.extend(ready_task(&tree.parts[1]));
        f.write(Guard::None, change).await;
    }
    let first = f.store.withdrawn_tasks(None, 2).await.unwrap();
    assert_eq!(first.len(), 2);
    // Behind those that stay.
    let last = f.store.withdrawn_tasks(first.last().copied(), 2).await.unwrap();
    assert_eq!(last.len(), 1);
    assert!(
        first
            .iter()
            .all(|task| (task.tree, task.part, task.serial) < (last[0].tree, last[0].part, last[0].serial))
    );
    assert_eq!(f.store.withdrawn_tasks(None, 10).await.unwrap().len(), 3);
}

pub async fn a_task_that_nobody_serves_is_unserved_after_the_grace(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let since = f.now();
    f.clock.advance_ms(GRACE_MS as i64 - 1);
    assert_eq!(unserved(f).await, []);
    f.clock.advance_ms(1);
    let found = f.store.unserved_tasks(GRACE_MS, None, 10).await.unwrap();
    assert_eq!(found, [(first_task(&tree, 1), since)]);
}

pub async fn a_task_that_somebody_serves_is_not_unserved(f: &Fixture) {
    f.one("shop/customer").await;
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.clock.advance_ms(GRACE_MS as i64);
    assert_eq!(unserved(f).await, []);
    f.store.drain_session(session).await.unwrap();
    let since = f.now();
    f.clock.advance_ms(GRACE_MS as i64 - 1);
    assert_eq!(unserved(f).await, []);
    f.clock.advance_ms(1);
    assert_eq!(f.store.unserved_tasks(GRACE_MS, None, 10).await.unwrap()[0].1, since);
    f.supplier(Supplier::of(CUSTOMER)).await;
    assert_eq!(unserved(f).await, []);
}

pub async fn a_task_that_begins_once_its_supplier_has_left_is_unserved_since_it_left(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.store.drain_session(session).await.unwrap();
    let left = f.now();
    f.clock.advance_ms(5_000);
    let tree = f.one("shop/customer").await;
    f.clock.advance_ms(GRACE_MS as i64 - 1);
    assert_eq!(unserved(f).await, [], "it has the grace from its own beginning on");
    f.clock.advance_ms(1);
    let found = f.store.unserved_tasks(GRACE_MS, None, 10).await.unwrap();
    assert_eq!(found, [(first_task(&tree, 1), left)]);
}

pub async fn a_task_of_a_version_that_nobody_performs_is_unserved(f: &Fixture) {
    f.supplier(Supplier::of(CUSTOMER).with(|service| (service.oldest_version, service.version) = (2, 2)))
        .await;
    let old = f.one("shop/customer").await;
    f.accept(Order { version: 2, ..Order::of(CUSTOMER) }).await;
    f.clock.advance_ms(GRACE_MS as i64);
    assert_eq!(unserved(f).await, [first_task(&old, 1)]);
}

pub async fn a_task_of_a_version_between_those_that_are_performed_is_unserved(f: &Fixture) {
    f.supplier(Supplier::of(CUSTOMER)).await;
    f.supplier(Supplier::of(CUSTOMER).with(|service| (service.oldest_version, service.version) = (3, 3)))
        .await;
    f.one("shop/customer").await;
    let (_, between) = f.accept(Order { version: 2, ..Order::of(CUSTOMER) }).await;
    f.clock.advance_ms(GRACE_MS as i64);
    assert_eq!(unserved(f).await, [first_task(&between[0], 1)]);
}

pub async fn a_delayed_task_is_unserved_from_its_own_time_on(f: &Fixture) {
    let ready_at = Some(f.in_ms(1_000));
    f.accept(Order { ready_at, ..Order::of(CUSTOMER) }).await;
    f.clock.advance_ms(GRACE_MS as i64);
    assert_eq!(unserved(f).await, []);
    f.clock.advance_ms(1_000);
    assert_eq!(unserved(f).await.len(), 1);
}

pub async fn unserved_tasks_are_paged_past_those_that_stay(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(&["shop/customer", "shop/account"]).times(2)).await;
    f.clock.advance_ms(GRACE_MS as i64);
    let expected: Vec<_> = trees.iter().flat_map(|tree| [first_task(tree, 1), first_task(tree, 2)]).collect();
    assert_eq!(unserved(f).await, expected);
    let page = f.store.unserved_tasks(GRACE_MS, Some(expected[1]), 1).await.unwrap();
    assert_eq!(page[0].0, expected[2]);
}

pub async fn parts_that_wait_for_a_supplier_say_when_it_was_there_last(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(&["shop/customer", "shop/account", "shop/order"])).await;
    let parts = async || f.store.unserved_parts(trees[0].id).await.unwrap();
    assert_eq!(parts().await, [(1, None), (2, None), (3, None)]);
    let customer = f.supplier(Supplier::of(CUSTOMER)).await;
    let account = f.supplier(Supplier::of(&["shop/account"])).await;
    assert_eq!(parts().await, [(3, None)]);
    f.claim_one(customer).await;
    f.clock.advance_ms(7);
    f.store.drain_session(account).await.unwrap();
    f.store.drain_session(customer).await.unwrap();
    assert_eq!(parts().await, [(2, Some(f.now())), (3, None)], "one of them is in somebody's hands");
}

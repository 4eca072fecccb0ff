//! Tasks that are claimed with the write that makes them ready, and those that are not.

use std::collections::HashSet;

use futures::future::join_all;
use sixpack_model::ids::{SessionId, TaskId};
use sixpack_model::request::Priority;
use sixpack_model::tree::Claim;
use sixpack_storage::conformance::{Fixture, Order, PostgresServer, Supplier};
use sixpack_storage::requests::{Created, Quota};
use sixpack_storage::tasks::{Claimant, Claimed};
use sixpack_storage::trees::{Guard, RequestAfter, TreeWrite, Written};

use tokio_postgres::NoTls;

use crate::postgres::open;

const CUSTOMER: &[&str] = &["shop/customer"];

async fn accept(f: &Fixture, edit: impl FnOnce(&mut Order), session: SessionId) -> (TaskId, Vec<Claimed>) {
    let mut order = Order::of(CUSTOMER);
    edit(&mut order);
    let new = f.new_request(order);
    let task = TaskId { tree: new.trees[0].tree.id, part: 1, serial: 1 };
    let (created, claimed) = f.store.create_request_claiming(new, vec![(task, session)]).await.unwrap();
    assert_eq!(created, Created::Accepted);
    (task, claimed)
}

async fn answer(f: &Fixture, claim: Claim, claimants: Vec<Claimant>) -> (Written, Vec<Claimed>) {
    let tree = f.load(claim.task.tree).await;
    let change = f.next_of_part(&tree, 1);
    let write = TreeWrite { guard: Guard::Claim(claim), change, leases: Vec::new() };
    f.store.write_tree_claiming(write, claimants).await.unwrap()
}

/// The task is ready: somebody else gets it.
async fn is_ready(f: &Fixture, task: TaskId) {
    let other = f.supplier(Supplier::of(CUSTOMER).with(|service| service.version = 9)).await;
    let claimed = f.claim(other, 100).await;
    assert!(claimed.iter().any(|claimed| claimed.claim.task == task), "{claimed:?}");
}

#[tokio::test]
async fn a_task_is_claimed_with_the_request_and_the_next_with_the_result() {
    let f = open().await;
    let session = f.supplier(Supplier::of(CUSTOMER).with(|service| service.timeout_ms = 1_234)).await;
    let (task, claimed) = accept(&f, |_| {}, session).await;
    let claim = Claim { task, attempt: 1, session };
    assert_eq!(claimed.iter().map(|one| one.claim).collect::<Vec<_>>(), [claim]);
    assert_eq!((claimed[0].timeout_ms, claimed[0].waited_ms, claimed[0].tree_version), (1_234, 0, 1));
    assert_eq!(f.store.claims_of(session).await.unwrap(), [claim]);
    assert_eq!(f.claim(session, 10).await, []);
    let next = TaskId { serial: 2, ..task };
    let (written, claimed) = answer(&f, claim, vec![(next, session)]).await;
    assert_eq!(written, Written::Done(RequestAfter::GoesOn));
    assert_eq!((claimed[0].claim, claimed[0].tree_version), (Claim { task: next, ..claim }, 2));
    assert_eq!(f.store.claims_of(session).await.unwrap(), [claimed[0].claim]);
    // Its time runs from the write.
    f.clock.advance_ms(1_233);
    assert_eq!(f.store.abandoned_claims(None, 10).await.unwrap(), []);
    f.clock.advance_ms(1);
    assert_eq!(f.store.abandoned_claims(None, 10).await.unwrap()[0].claim, claimed[0].claim);
}

#[tokio::test]
async fn what_goes_together_is_claimed_by_each_that_would() {
    let f = open().await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(f.supplier(Supplier::of(CUSTOMER)).await);
    }
    let all = (0..24).map(|number| accept(&f, |_| {}, sessions[number % sessions.len()]));
    let accepted = join_all(all).await;
    let claims: Vec<Claim> =
        accepted.into_iter().flat_map(|(_, claimed)| claimed).map(|one| one.claim).collect();
    assert_eq!(claims.len(), 24);
    let answers = claims.iter().map(|claim| {
        let next = TaskId { serial: 2, ..claim.task };
        answer(&f, *claim, vec![(next, claim.session)])
    });
    let mut next = HashSet::new();
    for ((written, claimed), before) in join_all(answers).await.into_iter().zip(&claims) {
        assert_eq!(written, Written::Done(RequestAfter::GoesOn));
        assert_eq!(claimed.len(), 1);
        let task = TaskId { serial: 2, ..before.task };
        assert_eq!(claimed[0].claim, Claim { task, attempt: 1, session: before.session });
        next.insert(claimed[0].claim);
    }
    let mut stored = HashSet::new();
    for session in sessions {
        stored.extend(f.store.claims_of(session).await.unwrap());
        assert_eq!(f.claim(session, 100).await, []);
    }
    assert_eq!(stored, next);
}

#[tokio::test]
async fn who_is_not_live_or_does_not_perform_it_gets_nothing() {
    let f = open().await;
    let drained = f.supplier(Supplier::of(CUSTOMER)).await;
    f.store.drain_session(drained).await.unwrap();
    let of_another = f.supplier(Supplier::of(&["shop/account"])).await;
    let older = f.supplier(Supplier::of(CUSTOMER)).await;
    for (session, version) in [(drained, 1), (SessionId(f.id()), 1), (of_another, 1), (older, 2)] {
        let (task, claimed) = accept(&f, |order| order.version = version, session).await;
        assert_eq!(claimed, []);
        is_ready(&f, task).await;
    }
}

#[tokio::test]
async fn a_limit_is_kept_by_whoever_claims() {
    let f = open().await;
    for limited in [
        Supplier::of(CUSTOMER).with(|service| service.concurrency = Some(1)),
        Supplier::of(CUSTOMER).with(|service| service.rate_per_s = Some(1.0)),
    ] {
        let session = f.supplier(limited).await;
        let (task, claimed) = accept(&f, |_| {}, session).await;
        assert_eq!(claimed, []);
        assert_eq!(f.claim_one(session).await.task, task);
        f.store.drain_session(session).await.unwrap();
    }
}

#[tokio::test]
async fn what_has_been_waiting_comes_first_and_what_is_not_due_waits() {
    let f = open().await;
    let session = f.supplier(Supplier::of(&["shop/account", "shop/customer"])).await;
    let later = f.in_ms(1_000);
    let (_, claimed) = accept(&f, |order| order.ready_at = Some(later), session).await;
    assert_eq!(claimed, [], "it is not due");
    let (_, claimed) = accept(&f, |_| {}, session).await;
    assert_eq!(claimed.len(), 1);
    let waiting = f.one("shop/account").await;
    f.clock.advance_ms(49);
    let (_, claimed) = accept(&f, |_| {}, session).await;
    assert_eq!(claimed.len(), 1, "it has been waiting for a moment only");
    f.clock.advance_ms(1);
    let (task, claimed) = accept(&f, |_| {}, session).await;
    assert_eq!(claimed, []);
    let order: Vec<_> = f.claim(session, 10).await.into_iter().map(|one| one.claim.task.tree).collect();
    assert_eq!(order.len(), 2);
    assert!(order.contains(&waiting.id) && order.contains(&task.tree));
}

#[tokio::test]
async fn what_is_more_urgent_is_passed_by_not_even_for_a_moment() {
    let f = open().await;
    let session = f.supplier(Supplier::of(&["shop/account", "shop/customer"])).await;
    let mut urgent = Order::of(&["shop/account"]);
    urgent.priority = Priority::Person;
    let (_, waiting) = f.accept(urgent).await;
    let (task, claimed) = accept(&f, |order| order.priority = Priority::Stock, session).await;
    assert_eq!(claimed, []);
    let (_, claimed) = accept(&f, |order| order.priority = Priority::Person, session).await;
    assert_eq!(claimed.len(), 1, "it is as urgent");
    let order: Vec<_> = f.claim(session, 10).await.into_iter().map(|one| one.claim.task.tree).collect();
    assert_eq!(order, [waiting[0].id, task.tree]);
}

#[tokio::test]
async fn a_write_that_is_not_done_claims_nothing() {
    let f = open().await;
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let (task, claimed) = accept(&f, |_| {}, session).await;
    let claim = claimed[0].claim;
    let next = TaskId { serial: 2, ..task };
    let not_mine = Claim { attempt: 2, ..claim };
    assert_eq!(answer(&f, not_mine, vec![(next, session)]).await, (Written::Refused, Vec::new()));
    let tree = f.load(task.tree).await;
    let mut change = f.next_of_part(&tree, 1);
    change.expected += 1;
    let write = TreeWrite { guard: Guard::Claim(claim), change, leases: Vec::new() };
    let stale = f.store.write_tree_claiming(write, vec![(next, session)]).await.unwrap();
    assert_eq!(stale, (Written::Stale, Vec::new()));
    assert_eq!(f.store.claims_of(session).await.unwrap(), [claim]);
    let mut over = f.new_request(Order::of(CUSTOMER));
    over.quota = Quota { per_token: 0, ..Quota::UNLIMITED };
    let task = TaskId { tree: over.trees[0].tree.id, part: 1, serial: 1 };
    let (created, claimed) = f.store.create_request_claiming(over, vec![(task, session)]).await.unwrap();
    assert!(matches!(created, Created::OverQuota(_)), "{created:?}");
    assert_eq!(claimed, []);
}

#[tokio::test]
async fn a_session_that_somebody_holds_is_not_waited_for() {
    let server = PostgresServer::shared();
    let (address, _, f) = crate::postgres_writer::open().await;
    let schema = address.schema();
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; UPDATE {schema}.session SET seen_at = seen_at")).await.unwrap();
    let (task, claimed) = accept(&f, |_| {}, session).await;
    assert_eq!(claimed, []);
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(f.claim_one(session).await.task, task);
    drop(client);
    connection.await.unwrap().unwrap();
}

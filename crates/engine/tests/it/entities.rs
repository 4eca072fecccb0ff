//! Entities: two live leases never own the same one, also across contracts, and whoever makes it twice is told.

use serde_json::{Value, json};
use sixpack_engine::{Assignment, DatasetFilter, Receipt, Wanted};
use sixpack_model::failure::FailureClass;
use sixpack_model::ids::{RequestId, SessionId};
use sixpack_model::lease::LeaseOutcome;
use sixpack_model::plan::Answer;
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::{PartStatus, Verdict};
use sixpack_storage::page::Page;

use crate::town::{ALL, Town, capability, made, wanted, with};

/// A capability that makes a customer; what it is given may name one.
fn customer(name: &str) -> Value {
    let id = json!({ "type": "string", "x-entity": "customer" });
    let object = json!({ "type": "object", "properties": { "id": id } });
    with(capability(name, ALL), json!({ "input": object, "output": object }))
}

async fn town() -> (Town, SessionId, SessionId) {
    let town = Town::new().await;
    let a = town.connect("a", &[customer("one")]).await;
    let b = town.connect("b", &[customer("two")]).await;
    (town, a, b)
}

fn valid() -> Answer {
    Answer::Checked { verdict: Verdict::Valid, facts: None, message: None }
}

/// Makes the customer of this id for the one request that waits, up to its last check.
async fn up_to_the_check(town: &Town, session: SessionId, id: &str) -> (Assignment, Assignment) {
    let produce = town.claim_one(session).await;
    town.answer(session, &produce, made(id)).await;
    (produce, town.claim_one(session).await)
}

async fn lease(town: &Town, session: SessionId, contract: &str, id: &str) -> RequestId {
    let request = town.ask(contract, json!({})).await;
    let (_, check) = up_to_the_check(town, session, id).await;
    town.answer(session, &check, valid()).await;
    assert_eq!(town.request(request).await.request.status, RequestStatus::Fulfilled);
    request
}

async fn release(town: &Town, request: RequestId) {
    for lease in town.request(request).await.leases {
        let consumer = town.consumer();
        let released = town.engine.release_lease(&consumer, lease.id, lease.fence, LeaseOutcome::Used, None);
        released.await.expect("released");
    }
}

#[tokio::test]
async fn of_two_requests_granted_at_once_one_gets_the_entity_and_the_other_is_told_who_has_it() {
    let (town, a, b) = town().await;
    let (one, two) = (town.ask("a/one", json!({})).await, town.ask("b/two", json!({})).await);
    let (produced_one, check_one) = up_to_the_check(&town, a, "42").await;
    let (produced_two, check_two) = up_to_the_check(&town, b, "42").await;
    let receipts = tokio::join!(town.answer(a, &check_one, valid()), town.answer(b, &check_two, valid()));
    let won_first = town.request(one).await.request.status == RequestStatus::Fulfilled;
    let (won, lost, session, produced, receipt) = match won_first {
        true => (one, two, b, produced_two, receipts.1),
        false => (two, one, a, produced_one, receipts.0),
    };
    let lease = town.request(won).await.leases.remove(0);
    let view = town.request(lost).await;
    assert_eq!((view.request.status, view.leases.len()), (RequestStatus::Failed, 0));
    let failure = view.request.failure.expect("a failure");
    assert_eq!(
        (failure.class, failure.code.as_deref()),
        (FailureClass::ContractViolation, Some("entity_held"))
    );
    assert_eq!(failure.contract, produced.contract);
    for part in ["`customer:42`", &lease.id.to_string(), "`tester`"] {
        assert!(failure.message.contains(part), "{part} in {}", failure.message);
    }
    assert_eq!(receipt, Receipt::ContractViolation(failure.message));
    let undo = town.claim_one(session).await;
    assert_eq!(
        (undo.operation.name(), undo.output.as_deref()),
        ("undo", None),
        "only the key says what it made"
    );
    assert_eq!(undo.idempotency_key, produced.idempotency_key);
    town.answer(session, &undo, Answer::Undone).await;
    assert_eq!(town.request(lost).await.trees[0].root().status, PartStatus::Failed);
    assert_eq!(town.request(won).await.trees[0].root().status, PartStatus::Leased);
    release(&town, won).await;
    self::lease(&town, session, &produced.contract.to_string(), "42").await;
}

#[tokio::test]
async fn what_a_request_brings_along_may_be_in_many_hands() {
    let (town, a, b) = town().await;
    let owner = lease(&town, a, "a/one", "42").await;
    for _ in 0..2 {
        let request = town.ask("b/two", json!({ "id": "42" })).await;
        let (_, check) = up_to_the_check(&town, b, "42").await;
        assert_eq!(town.answer(b, &check, valid()).await, Receipt::Recorded);
        assert_eq!(town.request(request).await.request.status, RequestStatus::Fulfilled);
    }
    release(&town, owner).await;
    assert_eq!(town.serve(a).await, ["undo a/one"]);
    lease(&town, a, "a/one", "42").await;
}

#[tokio::test]
async fn what_was_given_an_entity_is_found_by_it_and_holds_it_against_nobody() {
    let town = Town::new().await;
    let of_customer =
        json!({ "type": "object", "properties": { "of": { "type": "string", "x-entity": "customer" } } });
    let b = town.connect("b", &[with(capability("account", ALL), json!({ "input": of_customer }))]).await;
    let mut leased = Vec::new();
    for id in ["a-1", "a-2"] {
        let request = town.ask("b/account", json!({ "of": "42" })).await;
        let (_, check) = up_to_the_check(&town, b, id).await;
        town.answer(b, &check, valid()).await;
        let view = town.request(request).await;
        assert_eq!(view.request.status, RequestStatus::Fulfilled);
        leased.push(view.trees[0].id.root());
    }
    let entity = Some(("customer".to_owned(), "42".to_owned()));
    let filter = DatasetFilter { entity, ..DatasetFilter::default() };
    let found = town.engine.datasets(&town.consumer(), filter, Page::first(10)).await.expect("a list").rows;
    let found: Vec<_> = found.iter().rev().map(|view| view.tree.dataset(view.part)).collect();
    assert_eq!(found, leased);
}

#[tokio::test]
async fn two_datasets_of_one_request_have_an_entity_each() {
    for last_is_first in [false, true] {
        let (town, a, _) = town().await;
        let unit = wanted("a/one", json!({})).units.remove(0);
        let two = Wanted { units: vec![unit.clone(), unit], ..wanted("a/one", json!({})) };
        let id = town.ask_for(two).await.expect("accepted");
        for produce in town.claim(a).await {
            town.answer(a, &produce, made("42")).await;
        }
        let trees = town.request(id).await.trees;
        let mut checks = town.claim(a).await;
        checks.sort_by_key(|check| trees.iter().position(|tree| tree.id == check.task.tree));
        if last_is_first {
            checks.reverse();
        }
        for check in &checks {
            town.answer(a, check, valid()).await;
        }
        let view = town.request(id).await;
        assert_eq!(view.request.status, RequestStatus::Failed, "the second is not leased beside the first");
        let message = view.request.failure.expect("a failure").message;
        assert!(message.contains(&format!("{} of the same request", trees[0].id.root())), "{message}");
        let failed: Vec<bool> = view.trees.iter().map(|tree| tree.root().failure.is_some()).collect();
        assert_eq!(failed, [false, true]);
        town.sweep().await;
        let mut undone: Vec<Option<Value>> = Vec::new();
        for undo in town.claim(a).await {
            assert_eq!(undo.operation.name(), "undo");
            undone.push(undo.output.as_deref().cloned());
            town.answer(a, &undo, Answer::Undone).await;
        }
        undone.sort_by_key(Option::is_some);
        assert_eq!(undone, [None, Some(json!({ "id": "42" }))]);
        let statuses: Vec<PartStatus> =
            town.request(id).await.trees.iter().map(|tree| tree.root().status).collect();
        assert_eq!(statuses, [PartStatus::Gone, PartStatus::Failed]);
        lease(&town, a, "a/one", "42").await;
    }
}

#[tokio::test]
async fn an_entity_stays_with_its_lease_over_a_restart() {
    let (town, a, b) = town().await;
    lease(&town, a, "a/one", "42").await;
    let town = town.restarted().await;
    let request = town.ask("b/two", json!({})).await;
    let (_, check) = up_to_the_check(&town, b, "42").await;
    town.answer(b, &check, valid()).await;
    let failure = town.request(request).await.request.failure.expect("a failure");
    assert_eq!(failure.code.as_deref(), Some("entity_held"));
}

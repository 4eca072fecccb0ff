//! Requests: fulfilled as a whole, accepted once, waited for, out of time.

use serde_json::json;
use sixpack_engine::Refusal;
use sixpack_model::failure::FailureClass;
use sixpack_model::lease::LeaseStatus;
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::PartStatus;

use crate::town::{SOON, Town, made, refused, wanted, with_pair};

#[tokio::test]
async fn a_scenario_is_built_checked_and_leased() {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    assert_eq!(town.serve(a).await, ["produce a/first"]);
    assert_eq!(town.serve(b).await, ["produce b/second", "check b/second"]);
    assert_eq!(town.request(id).await.request.status, RequestStatus::Building);
    assert_eq!(town.serve(a).await, ["check a/first"]);
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    assert_eq!(view.leases.len(), 1);
    assert_eq!(view.leases[0].status, LeaseStatus::Held);
    let root = view.trees[0].root();
    assert_eq!(root.status, PartStatus::Leased);
    let first = view.trees[0].dataset(1).to_string();
    assert_eq!(root.output.as_ref().expect("an output")["first"], first);
}

#[tokio::test]
async fn whoever_waits_is_told_when_the_request_ends() {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    let (engine, consumer) = (town.engine.clone(), town.consumer());
    let waiting = tokio::spawn(async move { engine.wait_for_request(&consumer, id, None, SOON).await });
    for session in [a, b, a, b] {
        town.serve(session).await;
    }
    let view = waiting.await.expect("it waits").expect("the request is there");
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn several_datasets_are_handed_over_together_or_not_at_all() {
    let (town, a, _) = with_pair().await;
    let three = vec![("a/first".parse().expect("a name"), json!({})); 3];
    let three = sixpack_engine::Wanted { units: three, ..wanted("a/first", json!({})) };
    let id = town.ask_for(three).await.expect("accepted");
    let tasks = town.claim(a).await;
    assert_eq!(tasks.len(), 3);
    for task in &tasks[..2] {
        town.answer(a, task, made("x")).await;
    }
    let ids: Vec<_> = town.claim(a).await;
    for check in &ids {
        let valid = sixpack_model::plan::Answer::Checked {
            verdict: sixpack_model::tree::Verdict::Valid,
            facts: None,
            message: None,
        };
        town.answer(a, check, valid).await;
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Building);
    town.answer(a, &tasks[2], refused(false)).await;
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Failed);
    assert!(view.leases.is_empty());
    town.sweep().await;
    assert_eq!(town.serve(a).await, ["undo a/first", "undo a/first"]);
    let trees = town.request(id).await.trees;
    let count = |status| trees.iter().filter(|tree| tree.root().status == status).count();
    assert_eq!((count(PartStatus::Gone), count(PartStatus::Failed)), (2, 1));
}

#[tokio::test]
async fn who_waits_for_what_it_made_is_told_exactly_what_is_stored() {
    let (town, a, b) = with_pair().await;
    let consumer = town.consumer();
    let made = town.engine.create_request(&consumer, wanted("shop/pair", json!({}))).await.expect("accepted");
    let (engine, id) = (town.engine.clone(), made.id);
    let waiting = tokio::spawn(async move { engine.wait_for_made(&consumer, &made, SOON).await });
    for session in [a, b, a, b] {
        town.serve(session).await;
    }
    let told = waiting.await.expect("it waits").expect("the request is there");
    let read = town.request(id).await;
    assert_eq!(told.request, read.request);
    assert_eq!(told.leases, read.leases);
    assert_eq!(told.trees, read.trees);
}

#[tokio::test]
async fn a_known_key_is_answered_also_when_the_contract_is_gone() {
    let (town, ..) = with_pair().await;
    let keyed = |contract: &str| sixpack_engine::Wanted {
        idempotency: Some(("key".to_owned(), [1; 32])),
        ..wanted(contract, json!({}))
    };
    let first = town.ask_for(keyed("shop/pair")).await.expect("accepted");
    let again = town.ask_for(keyed("shop/nothing-of-that-name")).await.expect("answered again");
    assert_eq!(again, first);
}

#[tokio::test]
async fn the_same_key_and_body_is_one_request() {
    let (town, ..) = with_pair().await;
    let keyed = |body: u8| sixpack_engine::Wanted {
        idempotency: Some(("key".to_owned(), [body; 32])),
        ..wanted("shop/pair", json!({}))
    };
    let first = town.ask_for(keyed(1)).await.expect("accepted");
    let again = town.engine.create_request(&town.consumer(), keyed(1)).await.expect("answered again");
    assert_eq!((again.id, again.replayed), (first, true));
    assert!(matches!(town.ask_for(keyed(2)).await, Err(Refusal::KeyReused)));
    let all = town
        .engine
        .requests(&town.consumer(), Default::default(), sixpack_storage::page::Page::first(10))
        .await;
    assert_eq!(all.expect("a list").rows.len(), 1);
}

#[tokio::test]
async fn a_failure_says_who_and_why_and_what_was_made_is_undone() {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    town.serve(a).await;
    let task = town.claim_one(b).await;
    town.answer(b, &task, refused(false)).await;
    let view = town.request(id).await;
    let failure = view.request.failure.expect("a failure");
    assert_eq!(failure.path, "second › b/second@1");
    assert_eq!((failure.class, failure.code.as_deref()), (FailureClass::Rejected, Some("no")));
    assert_eq!(failure.owner.contact.as_deref(), Some("b@shop.test"));
    assert_eq!(view.lately.expect("a count").failures, 1);
    assert_eq!(town.serve(a).await, ["undo a/first"]);
    assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Failed);
}

#[tokio::test]
async fn a_request_out_of_time_expires_and_is_taken_down() {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    town.serve(a).await;
    town.pass_s(301, &[a, b]).await;
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Expired);
    assert_eq!(view.request.failure.expect("blame").path, "second › b/second@1");
    town.sweep().await;
    town.sweep().await;
    assert_eq!(town.serve(a).await, ["undo a/first"]);
    assert!(town.claim(b).await.is_empty(), "nobody wants it any more");
    assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Gone);
}

#[tokio::test]
async fn a_cancelled_request_ends_at_once_and_waits_for_what_is_running() {
    let (town, a, _) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    let task = town.claim_one(a).await;
    let view = town.engine.cancel_request(&town.consumer(), id).await.expect("cancelled");
    assert_eq!(view.request.status, RequestStatus::Cancelled);
    town.sweep().await;
    let (cancelled, _) =
        town.engine.heartbeat(&town.supplier(), a, &[task.task]).await.expect("the session is alive");
    assert_eq!(cancelled, [task.task]);
    assert_eq!(town.answer(a, &task, made("late")).await, sixpack_engine::Receipt::Cancelled);
    let undo = town.claim_one(a).await;
    assert_eq!((undo.operation.name(), undo.output.as_deref()), ("undo", Some(&json!({ "id": "late" }))));
}

#[tokio::test]
async fn nobody_to_ask_fails_after_the_grace_and_says_since_when() {
    let (town, a, b) = with_pair().await;
    town.engine.drain_session(&town.supplier(), b).await.expect("drained");
    let id = town.ask("shop/pair", json!({})).await;
    town.serve(a).await;
    town.pass_s(30, &[a]).await;
    assert_eq!(town.request(id).await.request.status, RequestStatus::Building);
    town.pass_s(40, &[a]).await;
    let failure = town.request(id).await.request.failure.expect("a failure");
    assert_eq!(failure.class, FailureClass::SupplierOffline);
    assert_eq!(failure.path, "second › b/second@1");
}

#[tokio::test]
async fn an_input_that_breaks_the_contract_is_refused_with_all_faults() {
    let town = Town::new().await;
    let capability = crate::town::with(
        crate::town::capability("thing", &["produce"]),
        json!({ "input": { "type": "object", "required": ["n", "m"], "properties": { "n": { "type": "integer" } } } }),
    );
    town.connect("a", &[capability]).await;
    match town.ask_for(wanted("a/thing", json!({ "n": "x" }))).await {
        Err(Refusal::InputInvalid(faults)) => {
            let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
            assert!(pointers.iter().all(|pointer| pointer.starts_with("/input")), "{faults:?}");
            assert_eq!(faults.len(), 2, "{faults:?}");
        }
        other => panic!("{other:?}"),
    }
    match town.ask_for(wanted("a/thign", json!({}))).await {
        Err(Refusal::Unknown { what: "contract", nearest, .. }) => {
            assert_eq!(nearest.as_deref(), Some("a/thing"));
        }
        other => panic!("{other:?}"),
    }
}

//! Finding: existing data is taken before anything is made, by one holder at a time, and never undone.

use serde_json::json;
use sixpack_engine::{Assignment, Receipt, Refusal, RequestView, TaskAnswer, Wanted};
use sixpack_model::find::{Origin, WhyGivenUp};
use sixpack_model::ids::SessionId;
use sixpack_model::lease::LeaseOutcome;
use sixpack_model::plan::Answer;
use sixpack_model::request::{RequestStatus, Source};
use sixpack_model::tree::{PartStatus, Verdict};

use crate::town::{ALL, Town, capability, made, refused, wanted, with_pair, within};

const FIND: &[&str] = &["produce", "check", "undo", "find"];

async fn with_finder() -> (Town, SessionId) {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", FIND)]).await;
    (town, a)
}

fn find_first(contract: &str, count: usize) -> Wanted {
    let one = wanted(contract, json!({}));
    Wanted { source: Source::FindFirst, units: vec![one.units[0].clone(); count], ..one }
}

fn valid() -> Answer {
    Answer::Checked { verdict: Verdict::Valid, facts: None, message: None }
}

fn excluded(task: &Assignment) -> Vec<String> {
    task.exclude.iter().map(|entity| format!("{}:{}", entity.kind, entity.key)).collect()
}

/// A request that is given what the service has; returns it as it is then.
async fn found(town: &Town, a: SessionId, id: &str) -> RequestView {
    let request = town.ask_for(find_first("a/first", 1)).await.expect("it can be found");
    let task = town.claim_one(a).await;
    assert_eq!(task.operation.name(), "find");
    assert_eq!(town.answer(a, &task, made(id)).await, Receipt::Recorded);
    let check = town.claim_one(a).await;
    assert_eq!((check.operation.name(), check.output.as_deref()), ("check", Some(&json!({ "id": id }))));
    town.answer(a, &check, valid()).await;
    town.request(request).await
}

async fn release(town: &Town, view: &RequestView) {
    for lease in &view.leases {
        town.engine
            .release_lease(&town.consumer(), lease.id, lease.fence, LeaseOutcome::Used, None)
            .await
            .expect("the lease is held");
    }
}

#[tokio::test]
async fn what_the_service_has_is_leased_checked_and_left_when_the_lease_ends() {
    let (town, a) = with_finder().await;
    let view = found(&town, a, "old").await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    assert_eq!(view.trees[0].root().origin, Origin::Found);
    assert_eq!(view.leases.len(), 1);
    release(&town, &view).await;
    assert_eq!(town.serve(a).await, [""; 0], "nobody is asked to undo it");
    let view = town.request(view.request.id).await;
    assert_eq!(view.trees[0].root().status, PartStatus::Gone);
}

#[tokio::test]
async fn nobody_is_given_what_somebody_else_has() {
    let (town, a) = with_finder().await;
    let held = found(&town, a, "old").await;
    let second = town.ask_for(find_first("a/first", 1)).await.unwrap();
    for _ in 0..2 {
        let task = town.claim_one(a).await;
        assert_eq!((task.operation.name(), excluded(&task)), ("find", vec!["first:old".to_owned()]));
        assert_eq!(town.answer(a, &task, made("old")).await, Receipt::Recorded);
    }
    let task = town.claim_one(a).await;
    town.answer(a, &task, made("other")).await;
    let check = town.claim_one(a).await;
    town.answer(a, &check, valid()).await;
    let view = town.request(second).await;
    assert_eq!((view.request.status, view.trees[0].root().finds()), (RequestStatus::Fulfilled, 3));
    release(&town, &held).await;
    let again = found(&town, a, "old").await;
    assert_eq!(again.request.status, RequestStatus::Fulfilled, "it was given back");
}

#[tokio::test]
async fn of_finds_that_come_upon_the_same_at_once_one_has_it() {
    let (town, a) = with_finder().await;
    let request = town.ask_for(find_first("a/first", 8)).await.unwrap();
    let tasks = town.claim(a).await;
    assert_eq!(tasks.len(), 8);
    let answers = tasks.iter().map(|task| town.answer(a, task, made("old")));
    futures::future::join_all(answers).await;
    let view = town.request(request).await;
    let having = view.trees.iter().filter(|tree| tree.root().origin == Origin::Found);
    assert_eq!(having.count(), 1);
    let asked = town.claim(a).await;
    let finds = asked.iter().filter(|task| task.operation.name() == "find");
    assert_eq!(finds.clone().count(), 7);
    assert!(finds.clone().all(|task| excluded(task) == ["first:old"]));
}

#[tokio::test]
async fn what_is_being_made_or_in_stock_or_owed_is_not_found() {
    let (town, a) = with_finder().await;
    let building = town.ask("a/first", json!({})).await;
    let produce = town.claim_one(a).await;
    town.answer(a, &produce, made("new")).await;
    let check = town.claim_one(a).await;
    town.ask_for(find_first("a/first", 1)).await.unwrap();
    let task = town.claim_one(a).await;
    assert_eq!(excluded(&task), ["first:new"], "it is being checked");
    town.answer(a, &task, made("new")).await;
    town.answer(a, &check, valid()).await;
    let view = town.request(building).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled, "whoever made it has it");
    let task = town.claim_one(a).await;
    assert_eq!(task.operation.name(), "find");
}

#[tokio::test]
async fn it_is_made_when_there_is_nothing_and_then_undone_as_ever() {
    for (answer, why) in [
        (Answer::Nothing { message: None }, WhyGivenUp::Nothing),
        (refused(false), WhyGivenUp::Failed),
        (Answer::Produced { output: json!({ "id": 7 }), facts: None }, WhyGivenUp::ContractViolation),
    ] {
        let (town, a) = with_finder().await;
        let request = town.ask_for(find_first("a/first", 1)).await.unwrap();
        let task = town.claim_one(a).await;
        let receipt = town.answer(a, &task, answer).await;
        let violates = matches!(receipt, Receipt::ContractViolation(_));
        assert_eq!(violates, why == WhyGivenUp::ContractViolation, "{receipt:?}");
        assert_eq!(town.serve(a).await, ["produce a/first", "check a/first"]);
        let view = town.request(request).await;
        let root = view.trees[0].root();
        assert_eq!((view.request.status, root.origin), (RequestStatus::Fulfilled, Origin::Made));
        assert_eq!(root.search.as_ref().unwrap().given_up.as_ref().unwrap().why, why);
        release(&town, &view).await;
        assert_eq!(town.serve(a).await, ["undo a/first"]);
    }
}

#[tokio::test]
async fn no_answer_that_comes_late_has_anything_undone() {
    for late in [made("old"), refused(true), Answer::Nothing { message: None }] {
        let (town, a) = with_finder().await;
        let request = town.ask_for(find_first("a/first", 1)).await.unwrap();
        let task = town.claim_one(a).await;
        town.engine.cancel_request(&town.consumer(), request).await.unwrap();
        town.sweep().await;
        assert_eq!(town.answer(a, &task, late.clone()).await, Receipt::Cancelled, "{late:?}");
        assert_ne!(town.answer(a, &task, late.clone()).await, Receipt::Recorded);
        town.sweep().await;
        assert_eq!(town.serve(a).await, [""; 0], "{late:?}");
        assert_eq!(town.request(request).await.trees[0].root().status, PartStatus::Gone);
    }
}

#[tokio::test]
async fn a_find_whose_supplier_has_crashed_is_tried_again_and_leaves_nothing_to_undo() {
    let (town, a) = with_finder().await;
    let request = town.ask_for(find_first("a/first", 1)).await.unwrap();
    let lost = town.claim_one(a).await;
    town.pass_s(16, &[]).await;
    let b = town.connect("a", &[capability("first", FIND)]).await;
    town.pass_s(2, &[b]).await;
    let task = town.claim_one(b).await;
    assert_eq!((task.operation.name(), task.attempt), ("find", 2));
    town.answer(b, &task, made("old")).await;
    let check = town.claim_one(b).await;
    town.answer(b, &check, valid()).await;
    let answer = TaskAnswer { task: lost.task, attempt: lost.attempt, answer: made("other") };
    let supplier = town.supplier();
    let late = town.engine.answer(&supplier, b, vec![answer], 0);
    assert_ne!(late.await.unwrap().0, [Receipt::Recorded]);
    let view = town.request(request).await;
    release(&town, &view).await;
    town.sweep().await;
    assert_eq!(town.serve(b).await, [""; 0]);
}

#[tokio::test]
async fn only_a_capability_that_offers_find_can_be_asked() {
    let (town, _, _) = with_pair().await;
    town.connect("c", &[capability("found", FIND)]).await;
    let pointers = |refusal: Result<_, Refusal>| match refusal {
        Err(Refusal::Invalid(faults)) => {
            faults.into_iter().map(|fault| (fault.code, fault.pointer, fault.message)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let faults = pointers(town.ask_for(find_first("a/first", 3)).await);
    assert_eq!((faults.len(), faults[0].0, faults[0].1.as_str()), (1, "not_findable", "/source"));
    assert!(faults[0].2.contains("offers produce, check, undo, and not `find`"), "{}", faults[0].2);
    let faults = pointers(town.ask_for(find_first("shop/pair", 1)).await);
    assert!(faults[0].2.contains("it is a scenario"), "{}", faults[0].2);
    let listed = |names: &[&str]| Wanted {
        listed: true,
        units: names.iter().map(|name| (name.parse().unwrap(), json!({}))).collect(),
        ..find_first("c/found", 1)
    };
    let faults = pointers(town.ask_for(listed(&["c/found", "a/first", "shop/pair"])).await);
    let at: Vec<&str> = faults.iter().map(|(_, pointer, _)| pointer.as_str()).collect();
    assert_eq!(at, ["/items/1", "/items/2"]);
    assert!(town.ask_for(listed(&["c/found", "c/found"])).await.is_ok());
}

#[tokio::test]
async fn a_channel_is_asked_for_what_its_supplier_finds() {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    let dev = town.develop("ada", "a", &[capability("first", FIND)]).await.unwrap().id;
    let request = town.ask_for(within("ada", find_first("a/first", 1))).await.unwrap();
    assert_eq!(town.claim(a).await.len(), 0);
    let task = town.claim_one(dev).await;
    town.answer(dev, &task, made("old")).await;
    let check = town.claim_one(dev).await;
    town.answer(dev, &check, valid()).await;
    assert_eq!(town.request(request).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn the_same_key_answers_the_request_that_found_it() {
    let (town, a) = with_finder().await;
    let keyed = || Wanted { idempotency: Some(("k".to_owned(), [1; 32])), ..find_first("a/first", 1) };
    let first = town.ask_for(keyed()).await.unwrap();
    let task = town.claim_one(a).await;
    town.answer(a, &task, made("old")).await;
    assert_eq!(town.ask_for(keyed()).await.unwrap(), first);
    assert_eq!(town.claim_one(a).await.operation.name(), "check");
}

#[tokio::test]
async fn what_was_found_survives_a_restart_as_found() {
    let (town, a) = with_finder().await;
    let view = found(&town, a, "old").await;
    let town = town.restarted().await;
    release(&town, &view).await;
    assert_eq!(town.request(view.request.id).await.trees[0].root().status, PartStatus::Gone);
}

//! Claims and answers: parked suppliers, limits, what comes late, twice, or never.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sixpack_engine::{Receipt, Refusal, TaskAnswer};
use sixpack_model::plan::Answer;
use sixpack_model::request::RequestStatus;
use sixpack_model::session::HEARTBEATS_AT_ONCE;

use crate::town::{ALL, SOON, Town, capability, made, refused, with, with_pair};

#[tokio::test]
async fn a_parked_supplier_gets_a_task_the_moment_it_is_written() {
    let (town, a, b) = with_pair().await;
    let (engine, supplier) = (town.engine.clone(), town.supplier());
    let parked = tokio::spawn(async move { engine.claim(&supplier, b, 10, SOON).await });
    town.ask("shop/pair", json!({})).await;
    town.serve(a).await;
    let tasks = parked.await.expect("it waits").expect("the session is live");
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].contract.to_string(), "b/second");
}

#[tokio::test]
async fn a_parked_supplier_of_a_draining_session_is_sent_away() {
    let (town, a, _) = with_pair().await;
    let (engine, supplier) = (town.engine.clone(), town.supplier());
    let parked = tokio::spawn(async move { engine.claim(&supplier, a, 10, SOON).await });
    tokio::task::yield_now().await;
    town.engine.drain_session(&town.supplier(), a).await.expect("drained");
    match parked.await.expect("it waits") {
        Ok(tasks) => assert!(tasks.is_empty()),
        Err(refusal) => assert!(matches!(refusal, Refusal::SessionEnded), "{refusal:?}"),
    }
}

/// Whether it comes with the write or is found by the next look: whatever becomes ready while a supplier is on its way back reaches
/// it once, with its first attempt.
#[tokio::test]
async fn what_becomes_ready_while_a_supplier_is_on_its_way_back_reaches_it_once() {
    let (town, a, _) = with_pair().await;
    let supplier = town.supplier();
    let mut seen = BTreeSet::new();
    for round in 0..5 {
        let (engine, caller) = (town.engine.clone(), town.supplier());
        let parked = tokio::spawn(async move { engine.claim(&caller, a, 4, SOON).await });
        for _ in 0..3 {
            town.ask("shop/pair", json!({})).await;
        }
        let mut tasks = parked.await.expect("it waits").expect("the session is live");
        while tasks.len() < 3 {
            let more = town.engine.claim(&supplier, a, 4, SOON).await.expect("the session is live");
            assert!(!more.is_empty(), "round {round}: {tasks:?}");
            tasks.extend(more);
        }
        assert!(tasks.iter().all(|task| task.attempt == 1), "round {round}: {tasks:?}");
        seen.extend(tasks.iter().map(|task| task.task));
        assert_eq!((tasks.len(), seen.len()), (3, 3 * (round + 1)), "{tasks:?}");
    }
}

#[tokio::test]
async fn what_was_kept_for_a_supplier_that_does_not_come_back_goes_to_another() {
    let (town, a, _) = with_pair().await;
    let supplier = town.supplier();
    let other = town.connect_as("a", "two", &[capability("first", ALL)]).await.expect("accepted").id;
    for _ in 0..3 {
        let (engine, caller) = (town.engine.clone(), town.supplier());
        let parked = tokio::spawn(async move { engine.claim(&caller, a, 4, SOON).await });
        town.ask("shop/pair", json!({})).await;
        assert_eq!(parked.await.expect("it waits").expect("the session is live").len(), 1);
    }
    let asked = [town.ask("shop/pair", json!({})).await, town.ask("shop/pair", json!({})).await];
    let mut taken = Vec::new();
    while taken.len() < asked.len() {
        let more = town.engine.claim(&supplier, other, 5, SOON).await.expect("the session is live");
        assert!(!more.is_empty(), "they are given back: {taken:?}");
        taken.extend(more);
    }
    assert!(taken.iter().all(|task| task.attempt == 1), "as if they had never been claimed: {taken:?}");
}

/// Two steps of one supplier behind a first one of it.
const FORK: &str = r#"
scenario: shop/fork
owner: { team: Shop }
steps:
  one:   { uses: a/first, with: {} }
  two:   { uses: a/first, with: {}, needs: [one] }
  three: { uses: a/first, with: {}, needs: [one] }
output:
  id: "${{ steps.two.id }}"
"#;

#[tokio::test]
async fn an_answer_brings_as_many_of_the_next_tasks_as_were_asked_for() {
    let (town, a, _) = with_pair().await;
    let other = town.connect_as("a", "two", &[capability("first", ALL)]).await.expect("accepted").id;
    town.apply(FORK).await;
    town.ask("shop/fork", json!({})).await;
    let first = town.claim_one(a).await;
    let (receipt, next) = town.answer_for_more(a, &first, made("one"), 1).await;
    assert_eq!((receipt, next.len()), (Receipt::Recorded, 1));
    assert_eq!(next[0].attempt, 1);
    let rest = town.claim_one(other).await;
    assert_ne!(rest.task, next[0].task);
    assert_eq!(town.answer(a, &next[0], made("two")).await, Receipt::Recorded);
    assert_eq!(town.answer(other, &rest, made("three")).await, Receipt::Recorded);
}

#[tokio::test]
async fn an_answer_brings_what_was_left_before_and_nothing_of_others() {
    let (town, a, b) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    let first = town.claim_one(a).await;
    town.ask("shop/pair", json!({})).await;
    let (_, next) = town.answer_for_more(a, &first, made("one"), 5).await;
    assert_eq!(next.len(), 1, "the first step of the other request");
    assert_eq!(next[0].contract.to_string(), "a/first");
    let (_, next) = town.answer_for_more(a, &next[0], made("other"), 5).await;
    assert!(next.is_empty(), "{next:?}");
    assert_eq!(town.claim(b).await.len(), 2);
}

#[tokio::test]
async fn a_draining_supplier_gets_nothing_with_its_answer() {
    let (town, a, _) = with_pair().await;
    town.apply(FORK).await;
    town.ask("shop/fork", json!({})).await;
    let first = town.claim_one(a).await;
    town.engine.drain_session(&town.supplier(), a).await.expect("drained");
    let (receipt, next) = town.answer_for_more(a, &first, made("one"), 5).await;
    assert_eq!((receipt, next.len()), (Receipt::Recorded, 0));
}

#[tokio::test]
async fn tasks_of_an_answer_that_nobody_waits_for_go_to_others() {
    let (town, a, _) = with_pair().await;
    let other = town.connect_as("a", "two", &[capability("first", ALL)]).await.expect("accepted").id;
    town.apply(FORK).await;
    town.ask("shop/fork", json!({})).await;
    let first = town.claim_one(a).await;
    let answers = vec![TaskAnswer { task: first.task, attempt: first.attempt, answer: made("one") }];
    let supplier = town.supplier();
    let mut answering = Box::pin(town.engine.answer(&supplier, a, answers, 5));
    assert!(futures::poll!(&mut answering).is_pending(), "it waits for the store");
    drop(answering);
    let mut taken = Vec::new();
    while taken.len() < 2 {
        let more = town.engine.claim(&supplier, other, 5, SOON).await.expect("the session is live");
        assert!(!more.is_empty(), "they are given back");
        taken.extend(more);
    }
    assert!(taken.iter().all(|task| task.attempt == 1), "as if they had never been claimed: {taken:?}");
}

#[tokio::test]
async fn an_answer_counts_once() {
    let (town, a, _) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    let task = town.claim_one(a).await;
    assert_eq!(town.answer(a, &task, made("one")).await, Receipt::Recorded);
    assert_eq!(town.answer(a, &task, made("two")).await, Receipt::AlreadyCompleted);
}

#[tokio::test]
async fn an_answer_about_somebody_elses_task_is_not_known() {
    let (town, a, b) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    let task = town.claim_one(a).await;
    assert_eq!(town.answer(b, &task, made("stolen")).await, Receipt::UnknownTask);
    assert_eq!(town.answer(a, &task, made("mine")).await, Receipt::Recorded);
}

#[tokio::test]
async fn rubbish_fails_the_attempt_and_says_what_is_wrong_with_it() {
    let (town, a, _) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    let task = town.claim_one(a).await;
    let rubbish = Answer::Produced { output: json!({ "id": 1 }), facts: None };
    match town.answer(a, &task, rubbish).await {
        Receipt::ContractViolation(message) => assert!(message.contains("/id"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Failed);
}

#[tokio::test]
async fn the_task_of_a_dead_supplier_goes_to_another_and_its_late_answer_is_undone_in_the_end() {
    let (town, a, _) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    let lost = town.claim_one(a).await;
    town.clock.advance_ms(16_000);
    town.sweep().await;
    let a2 = town.connect_as("a", "two", &[capability("first", ALL)]).await.expect("accepted").id;
    let b2 = town.connect_as("b", "two", &[capability("second", ALL)]).await.expect("accepted").id;
    town.pass_s(2, &[a2, b2]).await;
    let again = town.claim_one(a2).await;
    assert_eq!((again.task, again.attempt), (lost.task, lost.attempt + 1));
    assert_eq!(again.idempotency_key, lost.idempotency_key);
    assert_eq!(town.answer(a2, &again, made("second go")).await, Receipt::Recorded);
    let late = town.answer(a, &lost, made("first go")).await;
    assert_eq!(late, Receipt::AlreadyCompleted);
    for session in [b2, a2, b2] {
        town.serve(session).await;
    }
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    let lease = &view.leases[0];
    let outcome = sixpack_model::lease::LeaseOutcome::Used;
    town.engine
        .release_lease(&town.consumer(), lease.id, lease.fence, outcome, None)
        .await
        .expect("released");
    town.serve(b2).await;
    // What was recorded is undone first, then what the late answer told of.
    let mut undone = Vec::new();
    for _ in 0..2 {
        let undo = town.claim_one(a2).await;
        undone.push(undo.output.as_ref().expect("an output")["id"].clone());
        town.answer(a2, &undo, Answer::Undone).await;
    }
    assert_eq!(undone, ["second go", "first go"]);
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_to_another() {
    let (town, a, _) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    let slow = town.claim_one(a).await;
    for _ in 0..61 {
        town.clock.advance_ms(1_000);
        town.engine.heartbeat(&town.supplier(), a, &[slow.task]).await.expect("alive");
    }
    town.sweep().await;
    town.clock.advance_ms(1_000);
    let again = town.claim_one(a).await;
    assert_eq!((again.task, again.attempt), (slow.task, 2));
    assert_eq!(town.answer(a, &slow, made("late")).await, Receipt::ClaimLost);
}

#[tokio::test]
async fn a_task_that_a_heartbeat_does_not_name_was_lost_on_the_way() {
    let (town, a, _) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    let lost = town.claim_one(a).await;
    town.clock.advance_ms(11_000);
    town.engine.heartbeat(&town.supplier(), a, &[]).await.expect("alive");
    town.clock.advance_ms(1_000);
    assert_eq!(town.claim_one(a).await.attempt, lost.attempt + 1);
}

#[tokio::test]
async fn a_poison_task_ends_as_failed_and_not_in_a_loop() {
    let (town, _, _) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    for round in 0..3 {
        let instance = format!("poisoned-{round}");
        let victim = town.connect_as("a", &instance, &[capability("first", ALL)]).await.expect("accepted").id;
        assert_eq!(town.claim_one(victim).await.attempt, round + 1);
        town.clock.advance_ms(20_000);
        town.sweep().await;
        town.clock.advance_ms(5_000);
    }
    let failure = town.request(id).await.request.failure.expect("a failure");
    assert_eq!((failure.class.name(), failure.attempts), ("crashed", 3));
}

#[tokio::test]
async fn concurrency_is_held_over_all_sessions() {
    let town = Town::new().await;
    let limited = with(capability("thing", &["produce"]), json!({ "concurrency": 2 }));
    let one = town.connect_as("a", "one", std::slice::from_ref(&limited)).await.expect("accepted").id;
    let two = town.connect_as("a", "two", &[limited]).await.expect("accepted").id;
    for _ in 0..5 {
        town.ask("a/thing", json!({})).await;
    }
    let first = town.claim(one).await;
    assert_eq!(first.len(), 2);
    assert!(town.claim(two).await.is_empty());
    let (engine, supplier) = (town.engine.clone(), town.supplier());
    let parked = tokio::spawn(async move { engine.claim(&supplier, two, 10, SOON).await });
    tokio::task::yield_now().await;
    assert_eq!(town.answer(one, &first[0], made("x")).await, Receipt::Recorded);
    let second = parked.await.expect("it waits").expect("live");
    assert_eq!(second.len(), 1, "the slot that became free");
}

#[tokio::test]
async fn a_retry_is_not_handed_out_before_its_time() {
    let (town, a, _) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    let task = town.claim_one(a).await;
    town.answer(a, &task, refused(true)).await;
    assert!(town.claim(a).await.is_empty());
    town.clock.advance_ms(1_000);
    assert_eq!(town.claim_one(a).await.attempt, 2);
}

#[tokio::test]
async fn a_newer_instance_of_the_same_name_takes_over() {
    let (town, a, _) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    let task = town.claim_one(a).await;
    let newer = town.connect("a", &[capability("first", ALL)]).await;
    let refusal = town.engine.claim(&town.supplier(), a, 1, Duration::ZERO).await.expect_err("replaced");
    assert!(matches!(refusal, Refusal::Superseded), "{refusal:?}");
    town.clock.advance_ms(1_000);
    assert_eq!(town.claim_one(newer).await.task, task.task);
}

#[tokio::test]
async fn a_flood_of_heartbeats_is_refused_until_its_time_comes_and_no_other_session_notices() {
    let town = Town::new().await;
    let loud = town.connect("a", &[capability("first", ALL)]).await;
    let quiet = town.connect("b", &[capability("second", ALL)]).await;
    let beat = async |session| town.engine.heartbeat(&town.supplier(), session, &[]).await;
    for _ in 0..HEARTBEATS_AT_ONCE {
        beat(loud).await.expect("the session is alive");
    }
    let Err(Refusal::TooManyHeartbeats { wait }) = beat(loud).await else { panic!("it is one too many") };
    beat(quiet).await.expect("the other session is alive");
    town.clock.advance_ms(wait.as_millis() as i64);
    beat(loud).await.expect("its time has come");
    assert!(matches!(beat(loud).await, Err(Refusal::TooManyHeartbeats { .. })));
}

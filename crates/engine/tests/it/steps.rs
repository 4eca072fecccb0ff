//! Steps of scenarios: their time, and scenarios that are made anew.

use std::collections::BTreeSet;

use serde_json::json;
use sixpack_engine::{Receipt, Sweep};
use sixpack_model::failure::FailureClass;
use sixpack_model::ids::SessionId;
use sixpack_model::plan::Answer;
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::PartStatus;

use crate::town::{Town, capability, made, refused, with, with_pair};

/// The pair in limited time, and made anew once.
const PATIENT: &str = r#"
scenario: shop/patient
owner: { team: Shop, contact: shop@shop.test }
steps:
  pair:
    uses: shop/pair
    timeout_s: 30
    retry: { max_attempts: 2, first_delay_ms: 1000, max_delay_ms: 1000 }
output: { first: "${{ steps.pair.first }}" }
"#;

async fn with_patient() -> (Town, SessionId, SessionId) {
    let (town, a, b) = with_pair().await;
    town.apply(PATIENT).await;
    (town, a, b)
}

/// Lets the attempts of the one task that is ready be used up.
async fn exhaust(town: &Town, session: SessionId) {
    for attempt in 1..=3 {
        let task = town.claim_one(session).await;
        assert_eq!(task.attempt, attempt);
        town.answer(session, &task, refused(true)).await;
        town.clock.advance_ms(1_000);
    }
}

async fn cancelled(town: &Town, session: SessionId) -> usize {
    let heartbeat = town.engine.heartbeat(&town.supplier(), session, &[]).await;
    heartbeat.expect("the session is alive").0.len()
}

#[tokio::test]
async fn a_step_out_of_time_cancels_what_runs_and_undoes_what_there_is() {
    let (town, a, b) = with_patient().await;
    let id = town.ask("shop/patient", json!({})).await;
    town.serve(a).await;
    town.clock.advance_ms(20_000);
    let running = town.claim_one(b).await;
    town.clock.advance_ms(9_999);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    assert_eq!(
        (town.request(id).await.request.status, cancelled(&town, b).await),
        (RequestStatus::Building, 0)
    );
    town.clock.advance_ms(1);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Failed);
    let failure = view.request.failure.expect("a failure");
    assert_eq!((failure.class, failure.path.as_str()), (FailureClass::Timeout, "pair › shop/pair@1"));
    assert_eq!(
        failure.message,
        "step `pair` was not made within its `timeout_s` of 30 s: pair › second › b/second@1 \
         had attempt 1 of `produce` running since 2026-01-01T00:00:20Z"
    );
    let (named, _) = town.engine.heartbeat(&town.supplier(), b, &[running.task]).await.expect("alive");
    assert_eq!(named, [running.task]);
    assert!(town.claim(a).await.is_empty(), "nothing is undone while an attempt is out");
    assert_eq!(town.answer(b, &running, made("late")).await, Receipt::Cancelled);
    assert_eq!(town.claim_one(b).await.output.as_deref(), Some(&json!({ "id": "late" })));
}

#[tokio::test]
async fn an_answer_that_comes_before_the_sweep_comes_too_late_all_the_same() {
    let (town, a, b) = with_patient().await;
    let id = town.ask("shop/patient", json!({})).await;
    town.serve(a).await;
    let running = town.claim_one(b).await;
    town.clock.advance_ms(30_000);
    assert_eq!(town.answer(b, &running, made("late")).await, Receipt::Cancelled);
    assert_eq!(town.request(id).await.request.status, RequestStatus::Failed);
    assert_eq!(town.serve(b).await, ["undo b/second"]);
    assert_eq!(town.serve(a).await, ["undo a/first"]);
    assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Failed);
}

#[tokio::test]
async fn the_time_of_a_step_passes_while_the_server_is_down() {
    let (town, a, b) = with_patient().await;
    let id = town.ask("shop/patient", json!({})).await;
    town.serve(a).await;
    town.claim_one(b).await;
    let town = town.restarted().await;
    town.clock.advance_ms(30_000);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    let failure = town.request(id).await.request.failure.expect("a failure");
    assert_eq!(failure.class, FailureClass::Timeout);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept again");
}

#[tokio::test]
async fn waiting_for_a_free_slot_or_a_supplier_is_part_of_the_time() {
    let town = Town::new().await;
    let limited = with(capability("thing", &["produce"]), json!({ "concurrency": 1 }));
    let a = town.connect("a", &[limited]).await;
    town.apply(
        "scenario: shop/quick\nowner: { team: Shop }\nsteps:\n  thing: { uses: a/thing, with: {}, timeout_s: 5 }\noutput: {}\n",
    )
    .await;
    town.ask("a/thing", json!({})).await;
    town.claim_one(a).await;
    let busy = town.ask("shop/quick", json!({})).await;
    town.clock.advance_ms(5_000);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    let message = town.request(busy).await.request.failure.expect("a failure").message;
    assert!(
        message.ends_with("it was waiting for a free slot for `produce` since 2026-01-01T00:00:00Z"),
        "{message}"
    );
    town.engine.drain_session(&town.supplier(), a).await.expect("drained");
    let alone = town.ask("shop/quick", json!({})).await;
    town.clock.advance_ms(5_000);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    let message = town.request(alone).await.request.failure.expect("a failure").message;
    assert!(message.contains("waiting for a supplier of a/thing@1 since"), "{message}");
}

#[tokio::test]
async fn a_scenario_is_undone_and_made_anew_under_other_keys() {
    let (town, a, b) = with_patient().await;
    let id = town.ask("shop/patient", json!({})).await;
    let first = town.claim_one(a).await;
    town.answer(a, &first, made("one")).await;
    exhaust(&town, b).await;
    assert_eq!(town.request(id).await.request.status, RequestStatus::Building);
    // Nobody has said for certain that nothing was made.
    assert_eq!(town.serve(b).await, ["undo b/second"]);
    let undo = town.claim_one(a).await;
    assert_eq!((undo.operation.name(), &undo.idempotency_key), ("undo", &first.idempotency_key));
    town.answer(a, &undo, Answer::Undone).await;
    assert!(town.claim(a).await.is_empty(), "the next attempt waits for its time");
    let town = town.restarted().await;
    town.clock.advance_ms(1_000);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    let second = town.claim_one(a).await;
    assert_eq!((second.attempt, second.operation.name()), (1, "produce"));
    let names: BTreeSet<&str> = [&first, &undo, &second].map(|task| task.unique.as_str()).into();
    assert_eq!(names.len(), 2, "undo goes by the numbers of its produce, another attempt has its own");
    assert_ne!(first.seed, second.seed);
    assert_ne!(first.idempotency_key, second.idempotency_key);
    town.answer(a, &second, made("two")).await;
    for session in [b, a, b, a, b] {
        town.serve(session).await;
    }
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    assert_eq!(view.trees[0].root().output.as_deref(), Some(&json!({ "first": "two" })));
}

#[tokio::test]
async fn the_undo_of_a_failed_attempt_waits_for_its_supplier_and_is_part_of_the_time() {
    let (town, a, b) = with_patient().await;
    town.apply(&PATIENT.replace("timeout_s: 30", "timeout_s: 200").replace("patient", "calm")).await;
    let id = town.ask("shop/calm", json!({})).await;
    town.serve(a).await;
    exhaust(&town, b).await;
    town.serve(b).await;
    town.engine.drain_session(&town.supplier(), a).await.expect("drained");
    town.pass_s(120, &[b]).await;
    assert_eq!(town.request(id).await.request.status, RequestStatus::Building, "an undo is not given up");
    town.pass_s(80, &[b]).await;
    let failure = town.request(id).await.request.failure.expect("a failure");
    assert_eq!(failure.class, FailureClass::Timeout);
    assert!(failure.message.contains("waiting for the undo of attempt 1"), "{}", failure.message);
    let a = town.connect("a", &[capability("first", crate::town::ALL)]).await;
    assert_eq!(town.serve(a).await, ["undo a/first"]);
    assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Failed);
}

#[tokio::test]
async fn a_request_out_of_time_says_what_was_waited_for() {
    let (town, a, b) = with_patient().await;
    let wanted =
        sixpack_engine::Wanted { timeout_ms: 20_000, ..crate::town::wanted("shop/patient", json!({})) };
    let id = town.ask_for(wanted).await.expect("accepted");
    town.serve(a).await;
    town.pass_s(20, &[a, b]).await;
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Expired);
    let failure = view.request.failure.expect("a failure");
    assert_eq!(failure.path, "pair › second › b/second@1");
    assert!(failure.message.contains("it was waiting for a free slot for `produce`"), "{}", failure.message);
    town.sweep().await;
    assert_eq!(town.serve(a).await, ["undo a/first"]);
    assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Gone);
}

const HURRY: &str = "scenario: shop/hurry\nowner: { team: Shop }\ntimeout_s: 10\nsteps:\n  first: { uses: a/first, with: {} }\noutput: {}\n";

#[tokio::test]
async fn a_scenario_with_less_time_of_its_own_shortens_the_request_for_it_alone() {
    let (town, a, b) = with_pair().await;
    town.apply(HURRY).await;
    let alone = town.ask("shop/hurry", json!({})).await;
    let request = town.request(alone).await.request;
    assert_eq!((request.deadline_at - request.created_at).get_seconds(), 10);
    let both = ["shop/hurry", "shop/pair"].map(|name| (name.parse().expect("a name"), json!({})));
    let listed = sixpack_engine::Wanted {
        units: both.to_vec(),
        listed: true,
        ..crate::town::wanted("shop/hurry", json!({}))
    };
    let in_time = town.ask_for(listed.clone()).await.expect("accepted");
    let request = town.request(in_time).await.request;
    assert_eq!((request.deadline_at - request.created_at).get_seconds(), 300, "the pair has all the time");
    town.serve(a).await;
    town.pass_s(10, &[a, b]).await;
    assert_eq!(
        town.request(in_time).await.request.status,
        RequestStatus::Building,
        "its hurried part is there"
    );
    let late = town.ask_for(listed).await.expect("accepted");
    town.pass_s(10, &[a, b]).await;
    let view = town.request(late).await;
    assert_eq!(view.request.status, RequestStatus::Failed);
    let failure = view.request.failure.expect("a failure");
    assert_eq!((failure.class, failure.path.as_str()), (FailureClass::Timeout, "shop/hurry@1"));
    assert!(failure.message.contains("its own `timeout_s` of 10 s"), "{}", failure.message);
}

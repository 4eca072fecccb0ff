//! Validity: what is handed over from stock holds, or is not handed over.

use futures::FutureExt;
use serde_json::json;
use sixpack_engine::{Assignment, Refusal, RequestView, Sweep, Wanted};
use sixpack_model::failure::FailureClass;
use sixpack_model::ids::{SessionId, TreeId};
use sixpack_model::lease::{Lease, LeaseOutcome};
use sixpack_model::plan::Answer;
use sixpack_model::request::{RequestStatus, Selection, Source};
use sixpack_model::stock::{RuleEdit, RuleState};
use sixpack_model::tree::{PartStatus, Verdict};

use crate::stock::{from, stock_first};
use crate::town::{ALL, SOON, Town, capability, with, with_pair};

const PAUSED: RuleEdit = RuleEdit { target: None, state: Some(RuleState::Paused) };

/// A town with so many pairs in stock, whose evidence is not fresh any more.
pub(crate) async fn stocked(target: u32) -> (Town, SessionId, SessionId) {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": target })).await;
    town.settle(&[a, b]).await;
    town.set("pairs", PAUSED).await;
    town.pass_s(301, &[a, b]).await;
    (town, a, b)
}

pub(crate) fn checked(verdict: Verdict, message: &str) -> Answer {
    Answer::Checked { verdict, facts: None, message: Some(message.to_owned()) }
}

impl Town {
    /// Waits for the one task of a session, which somebody hands out soon.
    pub(crate) async fn next_check(&self, session: SessionId) -> Assignment {
        let mut tasks =
            self.engine.claim(&self.supplier(), session, 1, SOON).await.expect("the session is live");
        let task = tasks.pop().expect("a task comes soon");
        assert_eq!(task.operation.name(), "check");
        task
    }

    pub(crate) async fn tree_status(&self, tree: TreeId) -> PartStatus {
        self.engine.dataset(&self.consumer(), tree.root()).await.expect("there").tree.root().status
    }

    pub(crate) async fn asked(&self, wanted: Wanted) -> RequestView {
        let id = self.ask_for(wanted).await.expect("the request is accepted");
        self.request(id).await
    }

    pub(crate) async fn until_ended(&self, view: &RequestView) -> RequestView {
        self.engine.wait_for_request(&self.consumer(), view.request.id, None, SOON).await.expect("there")
    }

    async fn give_back(&self, lease: &Lease, outcome: LeaseOutcome) {
        let released =
            self.engine.release_lease(&self.consumer(), lease.id, lease.fence, outcome, None).await;
        released.expect("released");
    }
}

#[tokio::test]
async fn what_is_fresh_is_handed_over_unasked() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    town.pass_s(299, &[a, b]).await;
    assert_eq!(town.asked(stock_first("shop/pair")).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn what_is_not_fresh_is_asked_about_at_hand_over() {
    let (town, a, b) = stocked(1).await;
    let view = town.asked(stock_first("shop/pair")).await;
    assert_eq!(view.request.status, RequestStatus::Building);
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    assert_eq!(town.request(view.request.id).await.request.status, RequestStatus::Building);
    town.answer(b, &second, checked(Verdict::Valid, "")).await;
    let view = town.until_ended(&view).await;
    assert_eq!((view.request.status, view.leases.len()), (RequestStatus::Fulfilled, 1));
    assert_eq!(view.trees[0].root().status, PartStatus::Leased);
}

#[tokio::test]
async fn what_has_drifted_is_set_aside_and_the_next_is_handed_over() {
    let (town, a, b) = stocked(2).await;
    let view = town.asked(stock_first("shop/pair")).await;
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    let bad = first.task.tree;
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.answer(b, &second, checked(Verdict::Invalid, "the account is closed")).await;
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    assert_ne!(first.task.tree, bad);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.answer(b, &second, checked(Verdict::Valid, "")).await;
    let view = town.until_ended(&view).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    assert_eq!(view.leases[0].tree, first.task.tree);
    let set_aside = town.engine.dataset(&town.consumer(), bad.root()).await.expect("there").tree;
    assert_eq!(set_aside.root().status, PartStatus::Quarantined);
    let failure = set_aside.root().failure.as_ref().expect("it says why");
    assert_eq!((failure.class, failure.contract.to_string()), (FailureClass::Check, "b/second".to_owned()));
    assert!(failure.message.contains("the account is closed"), "{}", failure.message);
    town.sweep().await;
    assert!(town.claim(a).await.is_empty(), "it is left as it is, for somebody to look at");
}

#[tokio::test]
async fn when_nothing_else_is_in_stock_another_is_made() {
    let (town, a, b) = stocked(1).await;
    let view = town.asked(stock_first("shop/pair")).await;
    let bad = town.next_check(a).await;
    town.answer(a, &bad, checked(Verdict::Invalid, "gone")).await;
    let mut served = town.engine.claim(&town.supplier(), a, 1, SOON).await.expect("live");
    let produce = served.pop().expect("another is made");
    assert_eq!(produce.operation.name(), "produce");
    town.answer(a, &produce, crate::town::made("x")).await;
    town.settle(&[b, a, b]).await;
    let view = town.until_ended(&view).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    assert_eq!(view.leases[0].tree, produce.task.tree);
    assert_ne!(view.leases[0].tree, bad.task.tree);
}

#[tokio::test]
async fn a_request_for_stock_only_fails_with_what_drifted() {
    let (town, a, _) = stocked(1).await;
    let view = town.asked(from(Source::StockOnly, "shop/pair", json!({}))).await;
    let first = town.next_check(a).await;
    town.answer(a, &first, checked(Verdict::Invalid, "gone")).await;
    let view = town.until_ended(&view).await;
    assert_eq!(view.request.status, RequestStatus::Failed);
    let failure = view.request.failure.expect("it says why");
    assert_eq!(failure.contract.to_string(), "a/first");
    assert!(
        failure.message.contains("gone") && failure.message.contains("no other in stock"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn what_nobody_can_tell_about_is_handed_over_while_it_was_valid_lately() {
    let (town, a, b) = stocked(1).await;
    let view = town.asked(stock_first("shop/pair")).await;
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.answer(b, &second, checked(Verdict::Unknown, "the database is away")).await;
    let view = town.until_ended(&view).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    let evidence = view.trees[0].parts[2].evidence.clone().expect("asked");
    assert_eq!(evidence.verdict, Verdict::Unknown);
    assert!(evidence.valid_at.expect("it was valid before") < evidence.at);
}

#[tokio::test]
async fn a_supplier_that_is_away_is_not_waited_for() {
    let (town, a, b) = stocked(1).await;
    town.engine.drain_session(&town.supplier(), b).await.expect("ended");
    let view = town.asked(stock_first("shop/pair")).await;
    let first = town.next_check(a).await;
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    let view = town.until_ended(&view).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    let evidence = view.trees[0].parts[2].evidence.clone().expect("noted");
    let message = evidence.message.expect("it says why");
    assert!(
        message.contains("no supplier of b/second has been connected since 2026-01-01T00:05:01Z"),
        "{message}"
    );
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_waited_for_only_so_long() {
    let (town, a, b) = stocked(1).await;
    let view = town.asked(stock_first("shop/pair")).await;
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.clock.advance_ms(2_001);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    let view = town.until_ended(&view).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    // What it says in the end is nobody's trouble.
    town.answer(b, &second, checked(Verdict::Valid, "")).await;
    assert_eq!(town.tree_status(view.leases[0].tree).await, PartStatus::Leased);
}

#[tokio::test]
async fn whoever_wants_fresh_evidence_only_waits_for_it() {
    let (town, a, b) = stocked(1).await;
    let selection = Selection { require_fresh: true, ..Selection::default() };
    let view = town.asked(Wanted { selection, ..stock_first("shop/pair") }).await;
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.answer(b, &second, checked(Verdict::Unknown, "away")).await;
    assert_eq!(town.request(view.request.id).await.request.status, RequestStatus::Building);
    assert!(town.claim(b).await.is_empty(), "not at once");
    town.clock.advance_ms(2_000);
    let again = town.next_check(b).await;
    town.answer(b, &again, checked(Verdict::Valid, "")).await;
    assert_eq!(town.until_ended(&view).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn what_was_valid_too_long_ago_is_not_handed_over() {
    let (town, a, b) = stocked(1).await;
    town.pass_s(3_600, &[a, b]).await;
    let view = town.asked(stock_first("shop/pair")).await;
    for session in [a, b] {
        let task = town.next_check(session).await;
        town.answer(session, &task, checked(Verdict::Unknown, "away")).await;
    }
    assert_eq!(town.request(view.request.id).await.request.status, RequestStatus::Building);
    let tree = town.request(view.request.id).await.trees[0].id;
    // The request runs out of time, and what was in stock goes back there.
    town.pass_s(301, &[a, b]).await;
    town.sweep().await;
    let expired = town.request(view.request.id).await.request;
    assert_eq!(expired.status, RequestStatus::Expired);
    assert_eq!(town.tree_status(tree).await, PartStatus::Ready);
    assert_eq!(town.level("pairs").await, (1, 0));
}

#[tokio::test]
async fn patrol_asks_about_what_is_in_stock_and_sets_aside_what_has_drifted() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 2, "check_every_s": 60 })).await;
    town.settle(&[a, b]).await;
    town.engine.sweep(Sweep::Patrol).await.expect("swept");
    assert!(town.claim(a).await.is_empty(), "not yet");
    town.pass_s(61, &[a, b]).await;
    assert_eq!(town.level("pairs").await, (2, 0), "it can be taken meanwhile");
    let (first, second) = (town.claim(a).await, town.claim(b).await);
    assert_eq!((first.len(), second.len()), (2, 2));
    for task in &first {
        town.answer(a, task, checked(Verdict::Valid, "")).await;
    }
    let bad = second[0].task.tree;
    town.answer(b, &second[0], checked(Verdict::Invalid, "closed")).await;
    town.answer(b, &second[1], checked(Verdict::Valid, "")).await;
    assert_eq!(town.tree_status(bad).await, PartStatus::Quarantined);
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (2, 0), "another was made in its place");
    town.pass_s(240, &[a, b]).await;
    let view = town.asked(stock_first("shop/pair")).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled, "the patrol keeps evidence fresh");
}

#[tokio::test]
async fn what_is_taken_while_the_patrol_is_there_stays_with_its_holder() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1, "check_every_s": 60 })).await;
    town.settle(&[a, b]).await;
    town.pass_s(61, &[a, b]).await;
    let view = town.asked(stock_first("shop/pair")).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    let task = town.claim(b).await.remove(0);
    town.answer(b, &task, checked(Verdict::Invalid, "closed")).await;
    assert_eq!(town.tree_status(view.leases[0].tree).await, PartStatus::Leased);
}

#[tokio::test]
async fn what_was_not_used_goes_back_into_stock_once_it_holds() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    let lease = town.asked(stock_first("shop/pair")).await.leases[0].clone();
    town.set("pairs", PAUSED).await;
    town.give_back(&lease, LeaseOutcome::Unused).await;
    assert_eq!(town.tree_status(lease.tree).await, PartStatus::Checking);
    for session in [a, b] {
        let task = town.next_check(session).await;
        town.answer(session, &task, checked(Verdict::Valid, "")).await;
    }
    assert_eq!(town.tree_status(lease.tree).await, PartStatus::Ready);
    town.sweep().await;
    assert_eq!(town.level("pairs").await, (1, 0));
    let again = town.asked(stock_first("shop/pair")).await.leases[0].clone();
    assert_eq!(again.tree, lease.tree);
    assert!(again.fence > lease.fence);
    // And what comes back broken does not.
    town.give_back(&again, LeaseOutcome::Broken).await;
    assert_eq!(town.serve(b).await, ["undo b/second"]);
}

#[tokio::test]
async fn what_was_not_used_and_does_not_hold_is_undone() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    let lease = town.asked(stock_first("shop/pair")).await.leases[0].clone();
    town.give_back(&lease, LeaseOutcome::Unused).await;
    let task = town.claim(a).await.into_iter().find(|task| task.task.tree == lease.tree).expect("asked");
    town.answer(a, &task, checked(Verdict::Invalid, "used after all")).await;
    assert_eq!(town.tree_status(lease.tree).await, PartStatus::Undoing);
}

#[tokio::test]
async fn what_is_reusable_is_handed_out_again() {
    let town = Town::new().await;
    let a = town.connect("a", &[with(capability("first", ALL), json!({ "reusable": true }))]).await;
    town.keep("firsts", json!({ "contract": "a/first", "target": 1 })).await;
    town.settle(&[a]).await;
    let lease = town.asked(stock_first("a/first")).await.leases[0].clone();
    town.give_back(&lease, LeaseOutcome::Used).await;
    let task = town.claim(a).await.into_iter().find(|task| task.task.tree == lease.tree).expect("asked");
    town.answer(a, &task, checked(Verdict::Valid, "")).await;
    assert_eq!(town.tree_status(lease.tree).await, PartStatus::Ready);
}

#[tokio::test]
async fn a_new_version_has_what_is_in_stock_asked_about_before_anybody_gets_it() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    let grown = json!({ "input": { "properties": { "more": { "type": "string" } } } });
    let b = town.connect("b", &[with(capability("second", ALL), grown)]).await;
    let refused = town.ask_for(from(Source::StockOnly, "shop/pair", json!({}))).await;
    assert!(matches!(refused, Err(Refusal::OutOfStock(_))), "{refused:?}");
    town.tend().await;
    assert_eq!(town.level("pairs").await, (0, 1), "what is asked about counts as coming");
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.answer(b, &second, checked(Verdict::Valid, "")).await;
    assert_eq!(town.level("pairs").await, (1, 0));
    let view = town.asked(from(Source::StockOnly, "shop/pair", json!({}))).await;
    assert_eq!(view.leases[0].tree, first.task.tree, "it was not thrown away");
    assert_eq!(view.trees[0].parts[2].version, 2);
}

#[tokio::test]
async fn a_suspect_that_nobody_can_tell_about_is_asked_about_later_each_time() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    town.engine.drain_session(&town.supplier(), b).await.expect("drained");
    let newer = with(capability("first", ALL), json!({ "input": { "properties": { "more": {} } } }));
    let a = town.connect("a", &[newer]).await;
    town.clock.advance_ms(10_000);
    town.tend().await;
    let task = town.next_check(a).await;
    town.answer(a, &task, checked(Verdict::Valid, "")).await;
    let mut asked_at = Vec::new();
    for second in 0..1_000 {
        town.clock.advance_ms(1_000);
        town.engine.heartbeat(&town.supplier(), a, &[]).await.expect("alive");
        town.engine.sweep(Sweep::Suspects).await.expect("swept");
        for task in town.claim(a).await {
            asked_at.push(second);
            town.answer(a, &task, checked(Verdict::Valid, "")).await;
        }
    }
    assert_eq!(asked_at, [0, 10, 30, 70, 150, 310, 610, 910]);
    // Whoever connects may be able to tell.
    let b = town.connect("b", &[capability("second", ALL)]).await;
    town.engine.sweep(Sweep::Suspects).await.expect("swept");
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0));
}

/// A town with a suspect that one of two services can be asked about.
async fn half_asked() -> (Town, SessionId, Assignment) {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    town.engine.drain_session(&town.supplier(), b).await.expect("drained");
    let newer = with(capability("first", ALL), json!({ "input": { "properties": { "more": {} } } }));
    let a = town.connect("a", &[newer]).await;
    town.engine.sweep(Sweep::Suspects).await.expect("swept");
    while town.engine.work_for(Sweep::Suspects).now_or_never().is_some() {}
    town.clock.advance_ms(10_000);
    town.tend().await;
    let asked = town.next_check(a).await;
    (town, a, asked)
}

#[tokio::test]
async fn whoever_connects_has_suspects_asked_about_at_once() {
    let (town, a, asked) = half_asked().await;
    town.answer(a, &asked, checked(Verdict::Valid, "")).await;
    while town.engine.work_for(Sweep::Suspects).now_or_never().is_some() {
        town.engine.sweep(Sweep::Suspects).await.expect("swept");
        for task in town.claim(a).await {
            town.answer(a, &task, checked(Verdict::Valid, "")).await;
        }
    }
    let b = town.connect("b", &[capability("second", ALL)]).await;
    assert!(town.engine.work_for(Sweep::Suspects).now_or_never().is_some());
    town.engine.sweep(Sweep::Suspects).await.expect("swept");
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0));
}

#[tokio::test]
async fn whoever_connects_while_a_suspect_is_being_asked_about_has_it_asked_about_once_more() {
    let (town, a, asked) = half_asked().await;
    let b = town.connect("b", &[capability("second", ALL)]).await;
    // The look that this begins finds nothing: it is being asked about.
    assert!(town.engine.work_for(Sweep::Suspects).now_or_never().is_some());
    town.engine.sweep(Sweep::Suspects).await.expect("swept");
    assert!(town.engine.work_for(Sweep::Suspects).now_or_never().is_none());
    town.answer(a, &asked, checked(Verdict::Valid, "")).await;
    assert!(town.engine.work_for(Sweep::Suspects).now_or_never().is_some());
    town.engine.sweep(Sweep::Suspects).await.expect("swept");
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0));
}

//! Out of stock: a request that only stock may serve is served from there, or ends at once and says why.

use serde_json::json;
use sixpack_engine::{Sweep, Wanted};
use sixpack_model::request::{RequestStatus, Selection, Source};
use sixpack_model::stock::{RuleEdit, RuleState};
use sixpack_model::tree::Verdict;

use crate::stock::from;
use crate::validity::{checked, stocked};

fn stock_only() -> Wanted {
    from(Source::StockOnly, "shop/pair", json!({}))
}

#[tokio::test]
async fn a_request_that_only_stock_may_serve_ends_as_out_of_stock_when_the_last_one_has_drifted() {
    let (town, a, b) = stocked(1).await;
    let view = town.asked(stock_only()).await;
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.answer(b, &second, checked(Verdict::Invalid, "closed")).await;
    let ended = town.until_ended(&view).await.request;
    let failure = ended.failure.expect("it says why");
    assert_eq!((ended.status, failure.code.as_deref()), (RequestStatus::Failed, Some("out_of_stock")));
    assert_eq!(failure.contract.to_string(), "b/second");
    assert!(failure.message.contains("closed; there is no other in stock"), "{}", failure.message);
}

#[tokio::test]
async fn a_request_that_only_stock_may_serve_does_not_wait_for_a_service_that_is_away() {
    for strict in [false, true] {
        let (town, a, b) = stocked(2).await;
        if !strict {
            town.pass_s(3_600, &[a, b]).await;
        }
        town.engine.drain_session(&town.supplier(), b).await.expect("drained");
        let selection = Selection { require_fresh: strict, ..Selection::default() };
        let view = town.asked(Wanted { selection, ..stock_only() }).await;
        // Both are tried, and stay where they are.
        for _ in 0..2 {
            let task = town.next_check(a).await;
            town.answer(a, &task, checked(Verdict::Valid, "")).await;
        }
        let ended = town.until_ended(&view).await.request;
        let failure = ended.failure.expect("it says why");
        assert_eq!((ended.status, failure.code.as_deref()), (RequestStatus::Failed, Some("out_of_stock")));
        assert!(
            failure.message.contains("no supplier of b/second has been connected"),
            "{}",
            failure.message
        );
        assert_eq!(town.level("pairs").await, (2, 0));
    }
}

#[tokio::test]
async fn a_request_that_only_stock_may_serve_waits_as_long_as_one_check_may_take_and_no_longer() {
    let (town, a, b) = stocked(2).await;
    town.pass_s(3_600, &[a, b]).await;
    let view = town.asked(stock_only()).await;
    let (first, _silent) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    assert_eq!(town.request(view.request.id).await.request.status, RequestStatus::Building);
    town.clock.advance_ms(2_000);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    let ended = town.until_ended(&view).await.request;
    let failure = ended.failure.expect("it says why");
    assert_eq!(failure.code.as_deref(), Some("out_of_stock"));
    assert!(failure.message.contains("b/second did not answer in time"), "{}", failure.message);
    assert_eq!(town.level("pairs").await, (2, 0));
}

#[tokio::test]
async fn a_request_that_only_stock_may_serve_is_given_what_needs_no_asking() {
    let (town, a, b) = stocked(1).await;
    town.pass_s(3_600, &[a, b]).await;
    let view = town.asked(stock_only()).await;
    let old = town.next_check(a).await.task.tree;
    // Another one comes into stock while the service does not answer.
    town.set("pairs", RuleEdit { target: Some(2), state: Some(RuleState::Active) }).await;
    for session in [a, b] {
        for task in town.claim(session).await {
            if task.operation.name() == "produce" || task.task.tree != old {
                town.answer(session, &task, crate::town::well(&task)).await;
            }
        }
    }
    for session in [b, a] {
        for task in town.claim(session).await {
            if task.task.tree != old {
                town.answer(session, &task, crate::town::well(&task)).await;
            }
        }
    }
    town.clock.advance_ms(2_000);
    town.engine.sweep(Sweep::DueTrees).await.expect("swept");
    let ended = town.until_ended(&view).await;
    assert_eq!(ended.request.status, RequestStatus::Fulfilled, "{:?}", ended.request.failure);
    assert_ne!(ended.leases[0].tree, old);
}

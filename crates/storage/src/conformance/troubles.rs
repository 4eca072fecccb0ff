//! Troubles: lines that fail because of the same contract are tried one at a time.

use serde_json::json;
use sixpack_model::ids::LineId;
use sixpack_model::plan::Outcome;
use sixpack_model::tree::{PartStatus, Tree};

use super::fixture::Fixture;
use super::stock::{coming, level, line, refill_of};
use crate::requests::NewRequest;
use crate::stock::{FillTo, SharedTrouble};
use crate::trees::{Guard, RequestAfter, Written};

const FULL: FillTo = FillTo { target: 5, ahead: 100 };

fn refills(f: &Fixture, line: LineId) -> Vec<NewRequest> {
    (0..5).map(|_| refill_of(f, line)).collect()
}

async fn refill(f: &Fixture, line: LineId) -> usize {
    f.store.refill(line, FULL, refills(f, line)).await.unwrap()
}

async fn fail(f: &Fixture, tree: &Tree) {
    let mut change = f.part_change(tree, 0, |root| root.status = PartStatus::Failed);
    change.outcome = Some(Outcome::Failed(Box::new(f.failure())));
    assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::Failed));
}

async fn shared(f: &Fixture) -> Vec<SharedTrouble> {
    f.store.shared_troubles().await.unwrap()
}

/// Two lines that have failed because of one contract.
async fn in_trouble(f: &Fixture) -> (LineId, LineId) {
    let (one, two) = (line(f, json!({ "n": 1 })).await, line(f, json!({ "n": 2 })).await);
    let (first, second, third) = (coming(f, one).await.1, coming(f, one).await.1, coming(f, two).await.1);
    for tree in [first, second] {
        fail(f, &tree).await;
    }
    assert_eq!(shared(f).await, [], "one line alone is its own trouble");
    fail(f, &third).await;
    (one, two)
}

pub async fn what_a_second_line_fails_for_is_shared(f: &Fixture) {
    in_trouble(f).await;
    let there = shared(f).await;
    assert_eq!(there.len(), 1);
    let SharedTrouble { contract, trouble, is_tried, .. } = &there[0];
    assert_eq!((contract, *is_tried), (&f.failure().contract, false));
    assert_eq!((trouble.failures, trouble.pauses, trouble.since), (3, 1, f.now()));
    assert_eq!(trouble.failure, f.failure());
    let pause = trouble.retry_at.as_millisecond() - f.now().as_millisecond();
    assert!((800..=1_200).contains(&pause), "{pause}");
}

pub async fn lines_that_share_a_trouble_are_tried_one_at_a_time_and_later_each_time(f: &Fixture) {
    let (one, two) = in_trouble(f).await;
    assert_eq!(refill(f, one).await, 0, "not yet");
    f.clock.advance_ms(1_200);
    let tried = futures::future::join_all([one, two, one, two].map(|line| refill(f, line))).await;
    assert_eq!(tried.iter().sum::<usize>(), 1, "however many try at once");
    assert!(shared(f).await[0].is_tried);
    let line = if tried[0] + tried[2] == 1 { one } else { two };
    let request = f.store.refills(line, 1).await.unwrap()[0];
    let tree = f.store.trees_of(request).await.unwrap()[0];
    fail(f, &f.load(tree).await).await;
    let there = shared(f).await;
    assert_eq!((there[0].is_tried, there[0].trouble.failures, there[0].trouble.pauses), (false, 4, 2));
    f.clock.advance_ms(1_200);
    assert_eq!(refill(f, one).await + refill(f, two).await, 0, "it is left alone for longer");
    f.clock.advance_ms(1_200);
    assert_eq!(refill(f, one).await, 1);
}

pub async fn a_line_that_has_not_failed_itself_may_show_at_once_that_it_works(f: &Fixture) {
    let (one, _) = in_trouble(f).await;
    let other = line(f, json!({ "n": 3 })).await;
    assert_eq!(refill(f, other).await, 1, "one at a time");
    assert_eq!(refill(f, other).await, 0);
    let request = f.store.refills(other, 1).await.unwrap()[0];
    let tree = f.store.trees_of(request).await.unwrap()[0];
    let written = f.write(Guard::None, f.ready(&f.load(tree).await)).await;
    assert_eq!(written, Written::Done(RequestAfter::Stocked));
    assert_eq!(shared(f).await, [], "it works");
    assert_eq!(refill(f, other).await, 4);
    assert_eq!(refill(f, one).await, 5, "when that is tried is its own affair");
}

pub async fn a_refill_that_is_given_up_leaves_its_turn_to_others(f: &Fixture) {
    let (one, two) = in_trouble(f).await;
    f.clock.advance_ms(1_200);
    assert_eq!((refill(f, one).await, refill(f, two).await), (1, 0));
    let request = f.store.refills(one, 1).await.unwrap()[0];
    let end = crate::trees::RequestEnd { failure: None, event: f.event("request.cancelled") };
    let cancelled = sixpack_model::request::RequestStatus::Cancelled;
    f.store.end_request(request, cancelled, end).await.unwrap();
    assert_eq!(level(f, one).await, (0, 0));
    assert_eq!(refill(f, two).await, 1);
}

pub async fn lines_that_need_something_else_are_not_kept_back(f: &Fixture) {
    in_trouble(f).await;
    let other = line(f, json!({ "n": 3 })).await;
    let mut requests = refills(f, other);
    for request in &mut requests {
        let change = &mut request.trees[0];
        let tree = std::sync::Arc::make_mut(&mut change.tree);
        tree.pins = std::sync::Arc::default();
    }
    assert_eq!(f.store.refill(other, FULL, requests).await.unwrap(), 5);
}

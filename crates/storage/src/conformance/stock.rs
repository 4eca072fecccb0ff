//! Stock: filled up to a target and no further, taken by one request each, given back, discarded.

use std::sync::Arc;

use serde_json::{Value, json};
use sixpack_model::ids::{LineId, RequestId};
use sixpack_model::plan::{Outcome, Readiness};
use sixpack_model::request::{Priority, Request, RequestStatus};
use sixpack_model::tree::{PartStatus, Tree};

use super::factories::{ENVIRONMENT, FRESH_FOR_MS, Order, Supplier};
use super::fixture::Fixture;
use crate::requests::{Created, How, Looking, NewRequest, Served};
use crate::stock::{Discard, FillTo, Level, Pace, StockWish, WishedLine};
use crate::trees::{Guard, RequestAfter, RequestEnd, Written};

const ONE: FillTo = FillTo { target: 1, ahead: 10 };

pub(super) async fn line(f: &Fixture, input: Value) -> LineId {
    let contract = "shop/ready-customer".parse().unwrap();
    f.store.line(ENVIRONMENT, &contract, &input).await.unwrap()
}

pub(super) fn refill_of(f: &Fixture, line: LineId) -> NewRequest {
    let order = Order { line: Some(line), priority: Priority::Stock, ..Order::of(&["shop/customer"]) };
    let mut new = f.new_request(order);
    new.request.refills = Some("a-rule".parse().unwrap());
    new
}

/// Starts one refill; returns it with its tree.
pub(super) async fn coming(f: &Fixture, line: LineId) -> (Request, Tree) {
    let new = refill_of(f, line);
    let (request, tree) = (new.request.clone(), Tree::clone(&new.trees[0].tree));
    let target = f.store.level(line, 100).await.unwrap();
    let fill_to = FillTo { target: (target.ready + target.coming + 1) as u32, ahead: 100 };
    assert_eq!(f.store.refill(line, fill_to, vec![new]).await.unwrap(), 1);
    (request, tree)
}

/// Brings one dataset into stock.
pub(super) async fn stocked(f: &Fixture, line: LineId) -> Tree {
    let (_, tree) = coming(f, line).await;
    let written = f.write(Guard::None, f.ready(&f.load(tree.id).await)).await;
    assert_eq!(written, Written::Done(RequestAfter::Stocked));
    f.load(tree.id).await
}

pub(super) fn wish(f: &Fixture, lines: &[LineId]) -> Arc<StockWish> {
    let pins = Arc::clone(&f.new_request(Order::of(&["shop/customer"])).trees[0].tree.pins);
    let lines = lines.iter().map(|id| WishedLine { id: *id, same_input: true, not_before: None }).collect();
    let contract = "shop/ready-customer".parse().unwrap();
    Arc::new(StockWish { environment: ENVIRONMENT.into(), contract, lines, select: None, version: 1, pins })
}

/// A request that takes what there is, and makes the rest.
fn asking(f: &Fixture, wish: &Arc<StockWish>, units: u32) -> NewRequest {
    let new = f.new_request(Order::of(&["shop/customer"]).times(units));
    NewRequest { wishes: vec![Some(Arc::clone(wish)); units as usize], looking: Looking::Anywhere, ..new }
}

/// The same for a request that makes nothing.
pub(super) fn asking_stock_only(f: &Fixture, wish: &Arc<StockWish>, units: u32) -> NewRequest {
    NewRequest { trees: Vec::new(), looking: Looking::Fresh, ..asking(f, wish, units) }
}

pub(super) async fn served(f: &Fixture, new: NewRequest) -> Served {
    match f.store.create_request(new).await.unwrap() {
        Created::Served(served) => served,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn level(f: &Fixture, line: LineId) -> (u64, u64) {
    let Level { ready, coming, .. } = f.store.level(line, 1_000).await.unwrap();
    (ready, coming)
}

pub(super) async fn status(f: &Fixture, request: RequestId) -> RequestStatus {
    f.store.request(request).await.unwrap().unwrap().status
}

pub async fn a_line_has_one_number_however_its_input_is_written(f: &Fixture) {
    let one = line(f, json!({ "country": "FR", "lines": 2 })).await;
    assert_eq!(line(f, json!({ "lines": 2, "country": "FR" })).await, one);
    assert_ne!(line(f, json!({ "lines": 3, "country": "FR" })).await, one);
    let lines = f.store.lines(None, 10).await.unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].line.id, lines[0].environment.as_str()), (one, ENVIRONMENT));
    assert_eq!(*lines[0].line.input, json!({ "country": "FR", "lines": 2 }));
    assert_eq!(f.store.lines(Some(one), 10).await.unwrap().len(), 1);
}

pub async fn a_line_is_filled_up_to_its_target_and_no_further(f: &Fixture) {
    let line = line(f, json!({})).await;
    let offers = (0..4).map(|_| {
        let requests = (0..5).map(|_| refill_of(f, line)).collect();
        f.store.refill(line, FillTo { target: 7, ahead: 100 }, requests)
    });
    let accepted = futures::future::join_all(offers).await;
    let accepted: usize = accepted.into_iter().map(Result::unwrap).sum();
    assert_eq!(accepted, 7, "however many fill it at once");
    assert_eq!(level(f, line).await, (0, 7));
}

pub async fn only_so_many_are_made_for_a_line_at_once(f: &Fixture) {
    let line = line(f, json!({})).await;
    let requests = |count: usize| (0..count).map(|_| refill_of(f, line)).collect::<Vec<_>>();
    let fill_to = FillTo { target: 10, ahead: 3 };
    assert_eq!(f.store.refill(line, fill_to, requests(5)).await.unwrap(), 3);
    assert_eq!(f.store.refill(line, fill_to, requests(5)).await.unwrap(), 0);
}

pub async fn what_a_refill_makes_is_in_stock_and_in_nobodys_hands(f: &Fixture) {
    let line = line(f, json!({})).await;
    let (request, tree) = coming(f, line).await;
    assert_eq!(level(f, line).await, (0, 1));
    assert_eq!(f.store.refills(line, 10).await.unwrap(), [request.id]);
    f.clock.advance_ms(5);
    let written = f.write(Guard::None, f.ready(&tree)).await;
    assert_eq!(written, Written::Done(RequestAfter::Stocked));
    let level = f.store.level(line, 10).await.unwrap();
    assert_eq!(level, Level { ready: 1, oldest_at: Some(f.now()), ..Level::default() });
    assert_eq!(status(f, request.id).await, RequestStatus::Fulfilled);
    assert_eq!(f.store.leases_of(request.id).await.unwrap(), []);
    assert_eq!(f.store.trees_of(request.id).await.unwrap(), [], "it belongs to no request");
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), []);
    assert_eq!(f.load(tree.id).await.root().status, PartStatus::Ready);
}

pub async fn the_oldest_in_stock_is_leased_at_once(f: &Fixture) {
    let line = line(f, json!({})).await;
    let first = stocked(f, line).await;
    f.clock.advance_ms(10);
    let second = stocked(f, line).await;
    let new = asking(f, &wish(f, &[line]), 1);
    let (id, lease) = (new.request.id, new.leases[0]);
    let served = served(f, new).await;
    assert_eq!(
        served.taken.iter().map(|taken| (taken.tree, taken.how)).collect::<Vec<_>>(),
        [(first.id, How::Ready)]
    );
    let leases = served.leases.unwrap();
    assert_eq!((leases[0].id, leases[0].tree, leases[0].request), (lease, first.id, id));
    assert_eq!(f.store.leases_of(id).await.unwrap(), leases);
    let request = f.store.request(id).await.unwrap().unwrap();
    assert_eq!((request.status, request.ready), (RequestStatus::Fulfilled, 1));
    assert_eq!(f.store.trees_of(id).await.unwrap(), [first.id]);
    let taken = f.load(first.id).await;
    assert_eq!((taken.request, taken.root().status, taken.lease), (id, PartStatus::Leased, Some(lease)));
    assert_eq!(taken.version, first.version + 1);
    assert_eq!(level(f, line).await, (1, 0));
    assert_eq!(f.load(second.id).await, second);
}

pub async fn no_dataset_is_taken_twice(f: &Fixture) {
    let line = line(f, json!({})).await;
    for _ in 0..5 {
        stocked(f, line).await;
    }
    let wish = wish(f, &[line]);
    let asks = (0..8).map(|_| f.store.create_request(asking_stock_only(f, &wish, 1)));
    let created = futures::future::join_all(asks).await;
    let mut trees = std::collections::BTreeSet::new();
    let mut short = 0;
    for created in created {
        match created.unwrap() {
            Created::Served(served) => assert!(trees.insert(served.taken[0].tree)),
            Created::Short => short += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((trees.len(), short), (5, 3));
}

pub async fn what_is_short_leaves_everything_as_it_was(f: &Fixture) {
    let line = line(f, json!({})).await;
    stocked(f, line).await;
    let new = asking_stock_only(f, &wish(f, &[line]), 2);
    let id = new.request.id;
    assert_eq!(f.store.create_request(new).await.unwrap(), Created::Short);
    assert_eq!(f.store.request(id).await.unwrap(), None);
    assert_eq!(level(f, line).await, (1, 0));
}

pub async fn a_dataset_of_another_version_or_too_old_or_not_fresh_is_left(f: &Fixture) {
    let line = line(f, json!({})).await;
    stocked(f, line).await;
    let ask = async |wish: StockWish| {
        f.store.create_request(asking_stock_only(f, &Arc::new(wish), 1)).await.unwrap()
    };
    let as_it_is = StockWish::clone(&wish(f, &[line]));
    let newer = StockWish { version: 2, ..as_it_is.clone() };
    assert_eq!(ask(newer).await, Created::Short);
    let pins = Arc::new([("shop/customer".parse().unwrap(), 2)].into());
    assert_eq!(ask(StockWish { pins, ..as_it_is.clone() }).await, Created::Short);
    f.clock.advance_ms(1);
    let mut younger = as_it_is.clone();
    younger.lines[0].not_before = Some(f.now());
    assert_eq!(ask(younger).await, Created::Short);
    f.clock.advance_ms(FRESH_FOR_MS);
    assert_eq!(ask(as_it_is).await, Created::Short);
}

pub async fn criteria_choose_among_what_is_there(f: &Fixture) {
    let line = line(f, json!({})).await;
    let mut trees = Vec::new();
    for plan in ["silver", "gold"] {
        let (_, tree) = coming(f, line).await;
        let mut change = f.ready(&tree);
        let selectable = json!({ "plan": plan }).as_object().unwrap().clone();
        let Some(Outcome::Ready(readiness)) = change.outcome else { panic!("it is ready") };
        change.outcome = Some(Outcome::Ready(Readiness { selectable, ..readiness }));
        assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::Stocked));
        trees.push(tree.id);
    }
    let wish = |plan: &str| {
        let select = Some(json!({ "plan": plan }).as_object().unwrap().clone());
        Arc::new(StockWish { select, ..StockWish::clone(&wish(f, &[line])) })
    };
    let gold = served(f, asking_stock_only(f, &wish("gold"), 1)).await;
    assert_eq!(gold.taken[0].tree, trees[1]);
    let again = f.store.create_request(asking_stock_only(f, &wish("gold"), 1)).await.unwrap();
    assert_eq!(again, Created::Short);
}

pub async fn a_repeated_key_takes_nothing_more(f: &Fixture) {
    let line = line(f, json!({})).await;
    stocked(f, line).await;
    stocked(f, line).await;
    let idempotency = crate::requests::Idempotency {
        token: sixpack_model::ids::TokenId(f.id()),
        key: "a".to_owned(),
        body: [1; 32],
    };
    let ask = || {
        let new = asking_stock_only(f, &wish(f, &[line]), 1);
        f.store.create_request(NewRequest { idempotency: Some(idempotency.clone()), ..new })
    };
    assert!(matches!(ask().await.unwrap(), Created::Served(_)));
    assert!(matches!(ask().await.unwrap(), Created::Replayed(_)));
    assert_eq!(level(f, line).await, (1, 0));
}

pub async fn what_is_coming_is_taken_over_and_made_at_the_priority_of_who_waits(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let line = line(f, json!({})).await;
    let new = refill_of(f, line);
    let (refilling, tree) = (new.request.id, new.trees[0].tree.id);
    assert_eq!(f.store.refill(line, ONE, vec![new]).await.unwrap(), 1);
    let other = f.one("shop/customer").await;

    let new = asking(f, &wish(f, &[line]), 1);
    let id = new.request.id;
    let served = served(f, new).await;
    assert_eq!((served.taken[0].tree, served.taken[0].how), (tree, How::Coming));
    assert_eq!(served.leases, None);
    assert_eq!(level(f, line).await, (0, 0));
    assert_eq!(status(f, refilling).await, RequestStatus::Fulfilled);
    assert_eq!(status(f, id).await, RequestStatus::Building);
    assert_eq!(f.store.trees_of(id).await.unwrap(), [tree]);
    let claimed = f.claim(session, 10).await;
    let order: Vec<_> = claimed.iter().map(|claimed| claimed.claim.task.tree).collect();
    assert_eq!(order, [tree, other.id], "the oldest task of the same priority goes first");

    let taken = f.load(tree).await;
    assert_eq!(taken.parts[1].task.as_ref().unwrap().priority, taken.priority);
    let written = f.write(Guard::None, f.ready(&taken)).await;
    assert!(matches!(written, Written::Done(RequestAfter::Fulfilled { .. })), "{written:?}");
}

pub async fn what_comes_into_stock_goes_to_whoever_waits_longest(f: &Fixture) {
    let line = line(f, json!({})).await;
    let (refilling, first) = coming(f, line).await;
    // Both wait for their own, because what was coming is taken over by the first of three.
    let mut waiting = Vec::new();
    for _ in 0..3 {
        f.clock.advance_ms(1);
        let new = asking(f, &wish(f, &[line]), 1);
        waiting.push((new.request.id, new.trees[0].tree.id));
        f.store.create_request(new).await.unwrap();
    }
    assert_eq!(f.store.trees_of(waiting[0].0).await.unwrap(), [first.id]);
    assert_eq!(status(f, refilling.id).await, RequestStatus::Fulfilled);
    let places = [0, 1, 2].map(|place| f.store.place_in_line(waiting[place].0));
    let places = futures::future::join_all(places).await;
    assert_eq!(places.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);

    // Another refill is ready before any of them: the first in line gets it, and the refill goes on with theirs.
    let (refilling, other) = coming(f, line).await;
    let written = f.write(Guard::None, f.ready(&other)).await;
    let Written::Done(RequestAfter::Exchanged { with, tree, fulfilled: Some((_, leases)) }) = written else {
        panic!("{written:?}")
    };
    assert_eq!((with, tree, leases[0].tree), (waiting[0].0, first.id, other.id));
    assert_eq!(status(f, waiting[0].0).await, RequestStatus::Fulfilled);
    assert_eq!(f.load(other.id).await.root().status, PartStatus::Leased);
    assert_eq!(f.store.trees_of(refilling.id).await.unwrap(), [first.id]);
    assert_eq!((level(f, line).await, status(f, refilling.id).await), ((0, 1), RequestStatus::Building));

    // One that is made for its own request leaves the line.
    let own = f.load(waiting[1].1).await;
    let written = f.write(Guard::None, f.ready(&own)).await;
    assert!(matches!(written, Written::Done(RequestAfter::Fulfilled { .. })), "{written:?}");
    assert_eq!(f.store.place_in_line(waiting[1].0).await.unwrap(), None);
    assert_eq!(f.store.place_in_line(waiting[2].0).await.unwrap(), Some(0));
    assert!(matches!(
        f.write(Guard::None, f.ready(&f.load(first.id).await)).await,
        Written::Done(RequestAfter::Exchanged { .. })
    ));
}

pub async fn a_request_for_several_is_leased_when_the_last_is_there(f: &Fixture) {
    let line = line(f, json!({})).await;
    let there = stocked(f, line).await;
    let new = asking(f, &wish(f, &[line]), 2);
    let (id, own) = (new.request.id, new.trees[1].tree.id);
    let served = served(f, new).await;
    assert_eq!((served.taken.len(), served.leases), (1, None));
    assert_eq!(f.store.trees_of(id).await.unwrap(), [there.id, own]);
    assert_eq!(f.store.request(id).await.unwrap().unwrap().ready, 1);
    let written = f.write(Guard::None, f.ready(&f.load(own).await)).await;
    let Written::Done(RequestAfter::Fulfilled { leases, .. }) = written else { panic!("{written:?}") };
    assert_eq!(leases.iter().map(|lease| lease.tree).collect::<Vec<_>>(), [there.id, own]);
}

pub async fn what_was_taken_and_not_leased_can_go_back(f: &Fixture) {
    let line = line(f, json!({})).await;
    let there = stocked(f, line).await;
    let new = asking(f, &wish(f, &[line]), 2);
    let (id, own) = (new.request.id, new.trees[1].tree.id);
    served(f, new).await;
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(id, RequestStatus::Cancelled, end).await.unwrap();
    let mut unwanted = vec![there.id, own];
    unwanted.sort();
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), unwanted);
    let written = f.write(Guard::None, f.ready(&f.load(there.id).await)).await;
    assert_eq!(written, Written::Done(RequestAfter::Stocked));
    assert_eq!(level(f, line).await, (1, 0));
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), [own]);
    assert_eq!(status(f, id).await, RequestStatus::Cancelled);
}

pub async fn what_is_too_much_or_too_old_is_nobodys_any_more(f: &Fixture) {
    let line = line(f, json!({})).await;
    let mut trees = Vec::new();
    for _ in 0..5 {
        f.clock.advance_ms(10);
        trees.push(stocked(f, line).await);
    }
    let discard = async |keep, made_before| {
        f.store.discard_stock(line, Discard { keep, made_before }, 100).await.unwrap().len()
    };
    assert_eq!(discard(5, None).await, 0);
    assert_eq!(discard(4, None).await, 1);
    assert_eq!(discard(4, Some(f.in_ms(-15))).await, 2);
    assert_eq!(level(f, line).await, (2, 0));
    let unwanted = f.store.unwanted_trees(None, 10).await.unwrap();
    assert_eq!(unwanted, trees[..3].iter().map(|tree| tree.id).collect::<Vec<_>>());
    let gone = f.load(trees[0].id).await;
    assert_eq!((gone.line, gone.version), (None, trees[0].version + 1), "it cannot go back");
    assert_eq!(discard(0, None).await, 2);
}

pub async fn a_line_that_cannot_be_filled_is_left_alone_longer_each_time(f: &Fixture) {
    let line = line(f, json!({})).await;
    let fail = async || {
        let (request, tree) = coming(f, line).await;
        let mut change = f.part_change(&tree, 0, |root| root.status = PartStatus::Failed);
        change.outcome = Some(Outcome::Failed(Box::new(f.failure())));
        assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::Failed));
        assert_eq!(status(f, request.id).await, RequestStatus::Failed);
        f.store.lines(None, 10).await.unwrap()[0].trouble.clone().unwrap()
    };
    let first = fail().await;
    assert_eq!((first.failures, first.pauses, first.since), (1, 1, f.now()));
    assert_eq!(first.failure, f.failure());
    let pause = first.retry_at.as_millisecond() - f.now().as_millisecond();
    assert!((800..=1_200).contains(&pause), "{pause}");
    // Begun before the pause: counted, and no reason for a longer one.
    let second = fail().await;
    assert_eq!((second.failures, second.pauses, second.retry_at), (2, 1, first.retry_at));
    f.clock.advance_ms(pause);
    let third = fail().await;
    assert_eq!((third.failures, third.pauses), (3, 2));
    assert_eq!(level(f, line).await, (0, 0));
    stocked(f, line).await;
    assert_eq!(f.store.lines(None, 10).await.unwrap()[0].trouble, None);
}

pub async fn the_timeline_of_a_tree_goes_with_it_from_request_to_request(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = stocked(f, line).await;
    let served = served(f, asking_stock_only(f, &wish(f, &[line]), 1)).await;
    let filter = crate::events::EventFilter { tree: Some(tree.id), ..Default::default() };
    let kinds: Vec<_> =
        f.store.events(&filter, 0, 100).await.unwrap().into_iter().map(|event| event.kind).collect();
    assert!(kinds.iter().any(|kind| kind == "lease.granted"), "{kinds:?}");
    let filter =
        crate::events::EventFilter { request: Some(served.leases.unwrap()[0].request), ..Default::default() };
    let kinds: Vec<_> =
        f.store.events(&filter, 0, 100).await.unwrap().into_iter().map(|event| event.kind).collect();
    assert!(kinds.iter().any(|kind| kind == "request.fulfilled"), "{kinds:?}");
    assert!(kinds.iter().any(|kind| kind == "lease.granted"), "{kinds:?}");
}

pub async fn how_quickly_a_line_is_filled_is_known_from_what_was_made_for_it(f: &Fixture) {
    let line = line(f, json!({})).await;
    assert_eq!(f.store.pace(line).await.unwrap(), Pace::default());
    let (_, first) = coming(f, line).await;
    let since = f.now();
    assert_eq!(f.store.pace(line).await.unwrap(), Pace { since: Some(since), usual_ms: None });
    let mut last = first;
    for took_ms in [4_000, 9_000, 5_000] {
        f.clock.advance_ms(took_ms);
        let ready_at = Some(f.now());
        let mut change = f.ready(&f.load(last.id).await);
        Arc::make_mut(&mut change.tree).parts[0].ready_at = ready_at;
        assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::Stocked));
        last = coming(f, line).await.1;
    }
    let since = Some(f.now());
    assert_eq!(f.store.pace(line).await.unwrap(), Pace { since, usual_ms: Some(5_000) });
}

pub async fn a_refill_that_is_given_up_leaves_its_line(f: &Fixture) {
    let line = line(f, json!({})).await;
    let (request, tree) = coming(f, line).await;
    let end = RequestEnd { failure: Some(f.failure()), event: f.event("request.expired") };
    f.store.end_request(request.id, RequestStatus::Expired, end).await.unwrap();
    assert_eq!(level(f, line).await, (0, 0));
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), [tree.id]);
    let lines = f.store.lines(None, 10).await.unwrap();
    assert_eq!(lines[0].trouble.as_ref().map(|trouble| trouble.failures), Some(1), "it says why it was late");
}

//! Doubts: a check that is broken empties no stock, and what it has held back is handed out once it is mended.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sixpack_engine::{DatasetFilter, EventFilter, Page, Refusal, Sweep};
use sixpack_model::ids::{SessionId, TreeId};
use sixpack_model::request::{RequestStatus, Source};
use sixpack_model::tree::{PartStatus, Tree, Verdict};

use crate::joining::OUTER;
use crate::stock::{from, stock_first};
use crate::town::{ALL, Town, capability, made, with, with_pair};
use crate::validity::checked;

/// How many may leave stock before anybody doubts: one less than half of the ten that count.
const LEAVE: usize = 4;

impl Town {
    async fn quarantined(&self) -> Vec<TreeId> {
        let page = Page { after: None, limit: 200 };
        let listed = self.engine.quarantine(&self.consumer(), None, page).await.expect("listed");
        listed.rows.into_iter().map(|view| view.tree.id).collect()
    }

    /// Answers every check of a session with this verdict; returns the trees.
    async fn say(&self, session: SessionId, verdict: Verdict) -> Vec<TreeId> {
        let mut asked = Vec::new();
        for task in self.claim(session).await {
            let answer = match task.operation.name() {
                "check" => checked(verdict, "no such table"),
                _ => made(&task.idempotency_key),
            };
            asked.push(task.task.tree);
            self.answer(session, &task, answer).await;
        }
        asked
    }

    /// How many events of a kind there are.
    async fn times_told(&self, kind: &str) -> usize {
        let (mut found, mut after) = (0, 0);
        loop {
            let filter = EventFilter::default();
            let page = self.engine.follow_events(&self.consumer(), &filter, after, Duration::ZERO).await;
            let (events, place) = page.expect("read");
            if events.is_empty() {
                return found;
            }
            found += events.iter().filter(|event| event.kind == kind).count();
            after = place;
        }
    }

    async fn datasets(&self) -> Vec<Arc<Tree>> {
        let page = Page { after: None, limit: 200 };
        let views = self.engine.datasets(&self.consumer(), DatasetFilter::default(), page).await;
        views.expect("listed").rows.into_iter().map(|view| view.tree).collect()
    }

    /// Lets the pause between two probes pass, and probes.
    async fn probe(&self, alive: &[SessionId]) {
        for _ in 0..10 {
            self.clock.advance_ms(1_000);
            for session in alive {
                self.engine.heartbeat(&self.supplier(), *session, &[]).await.expect("alive");
            }
        }
        self.engine.sweep(Sweep::Doubts).await.expect("swept");
    }

    async fn is_doubted(&self, rule: &str) -> bool {
        self.stock(rule).await.doubted.is_some()
    }
}

/// A town with so many pairs in stock, which patrol asks about now.
async fn patrolled(target: u32) -> (Town, SessionId, SessionId) {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": target, "check_every_s": 60 })).await;
    town.settle(&[a, b]).await;
    town.keep(
        "pairs",
        json!({ "contract": "shop/pair", "target": target, "check_every_s": 60, "paused": true }),
    )
    .await;
    town.pass_s(61, &[a, b]).await;
    (town, a, b)
}

#[tokio::test]
async fn a_check_that_fails_for_everything_empties_no_stock_and_what_is_left_is_handed_out_after_the_mend() {
    let (town, a, b) = patrolled(50).await;
    town.say(a, Verdict::Valid).await;
    assert_eq!(town.say(b, Verdict::Invalid).await.len(), 50);
    assert_eq!(town.quarantined().await.len(), LEAVE, "however many were asked about at once");
    assert_eq!(town.level("pairs").await, (46, 0));
    let doubted = town.stock("pairs").await.doubted.expect("it is doubted");
    assert_eq!(
        doubted.told(),
        "hand-over from stock is paused, because b/second said invalid 10 of 10 times since 2026-01-01T00:01:01Z: no such \
         table; its owner is b · b@shop.test"
    );
    // Patrol does not ask about it any more, and nobody gets any of it.
    town.pass_s(61, &[a, b]).await;
    assert!(town.claim(b).await.len() <= 1, "one probe, and nothing else");
    let refused = town.ask_for(from(Source::StockOnly, "shop/pair", json!({}))).await;
    let Err(Refusal::OutOfStock(short)) = refused else { panic!("{refused:?}") };
    let why = short.doubted.expect("it is doubted").told();
    assert!(why.contains("b/second said invalid 10 of 10 times"), "{why}");
    let waiting = town.take(stock_first("shop/pair")).await;
    assert_eq!(waiting.request.status, RequestStatus::Building, "its own is made");
    assert_eq!(town.level("pairs").await, (46, 0));

    // Mended: three probes in a row hold.
    town.settle(&[a, b]).await;
    for probe in 1..=3 {
        town.probe(&[a, b]).await;
        assert!(town.is_doubted("pairs").await, "before probe {probe} is answered");
        town.settle(&[a, b]).await;
    }
    assert!(!town.is_doubted("pairs").await);
    assert_eq!(
        (town.times_told("capability.doubted").await, town.times_told("capability.believed").await),
        (1, 1)
    );
    // What was held back is asked about before anybody gets it: by patrol here.
    for _ in 0..2 {
        // The first look is at what stands behind the last one that was asked about.
        town.engine.sweep(Sweep::Patrol).await.expect("swept");
        town.settle(&[a, b]).await;
    }
    assert_eq!(town.quarantined().await.len(), LEAVE);
    for left in (0..46).rev() {
        let view = town.take(from(Source::StockOnly, "shop/pair", json!({}))).await;
        assert_eq!(view.request.status, RequestStatus::Fulfilled, "{left} are left");
    }
}

#[tokio::test]
async fn one_of_ten_that_has_drifted_is_set_aside_and_the_others_are_handed_out() {
    let (town, a, b) = patrolled(10).await;
    town.say(a, Verdict::Valid).await;
    let tasks = town.claim(b).await;
    for (number, task) in tasks.iter().enumerate() {
        let verdict = if number == 0 { Verdict::Invalid } else { Verdict::Valid };
        town.answer(b, task, checked(verdict, "closed")).await;
    }
    assert_eq!(town.quarantined().await, [tasks[0].task.tree]);
    assert!(!town.is_doubted("pairs").await);
    assert_eq!(town.take(stock_first("shop/pair")).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn what_was_called_invalid_is_never_handed_out_before_it_was_found_to_hold_again() {
    let (town, a, b) = patrolled(8).await;
    town.say(a, Verdict::Valid).await;
    town.say(b, Verdict::Invalid).await;
    assert_eq!(town.level("pairs").await, (4, 0));
    for _ in 0..3 {
        town.probe(&[a, b]).await;
        town.settle(&[a, b]).await;
    }
    assert!(!town.is_doubted("pairs").await);
    for _ in 0..3 {
        let view = town.take(from(Source::StockOnly, "shop/pair", json!({}))).await;
        assert_eq!(view.request.status, RequestStatus::Fulfilled, "it was probed");
    }
    // The last thing that was said about the fourth is that it is invalid, and nobody can tell now.
    town.engine.drain_session(&town.supplier(), b).await.expect("drained");
    let view = town.take(from(Source::StockOnly, "shop/pair", json!({}))).await;
    let task = town.next_check(a).await;
    town.answer(a, &task, checked(Verdict::Valid, "")).await;
    assert_eq!(town.until_ended(&view).await.request.status, RequestStatus::Failed, "it is out of stock");
    let view = town.take(stock_first("shop/pair")).await;
    let task = town.next_check(a).await;
    town.answer(a, &task, checked(Verdict::Valid, "")).await;
    assert_eq!(town.request(view.request.id).await.request.status, RequestStatus::Building, "it waits");
    let b = town.connect("b", &[capability("second", ALL)]).await;
    town.clock.advance_ms(2_000);
    let task = town.next_check(b).await;
    town.answer(b, &task, checked(Verdict::Valid, "")).await;
    assert_eq!(town.until_ended(&view).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn what_a_request_was_given_goes_back_and_its_own_is_made() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 8, "paused": true })).await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 8, "paused": false })).await;
    town.settle(&[a, b]).await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 8, "paused": true })).await;
    town.pass_s(301, &[a, b]).await;
    let view = town.asked(stock_first("shop/pair")).await;
    for _ in 0..=LEAVE {
        let task = town.next_check(b).await;
        town.answer(b, &task, checked(Verdict::Invalid, "no such table")).await;
    }
    // The fifth made it doubted: that one is in stock again, and nothing else is taken from there.
    let mut tasks = Vec::new();
    while !tasks.iter().any(|task: &sixpack_engine::Assignment| task.operation.name() == "produce") {
        tasks = town.engine.claim(&town.supplier(), a, 10, crate::town::SOON).await.expect("live");
        for task in &tasks {
            let answer = match task.operation.name() {
                "produce" => made("own"),
                _ => checked(Verdict::Valid, ""),
            };
            town.answer(a, task, answer).await;
        }
    }
    assert_eq!((town.quarantined().await.len(), town.level("pairs").await), (LEAVE, (4, 0)));
    town.settle(&[a, b, a]).await;
    let view = town.until_ended(&view).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    assert!(!town.quarantined().await.contains(&view.leases[0].tree));
}

#[tokio::test]
async fn a_request_for_stock_only_that_finds_out_is_told_that_hand_over_is_paused() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 6 })).await;
    town.settle(&[a, b]).await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 6, "paused": true })).await;
    town.pass_s(301, &[a, b]).await;
    let view = town.asked(from(Source::StockOnly, "shop/pair", json!({}))).await;
    for _ in 0..=LEAVE {
        let task = town.next_check(b).await;
        town.answer(b, &task, checked(Verdict::Invalid, "no such table")).await;
    }
    let view = town.until_ended(&view).await;
    let message = view.request.failure.expect("it says why").message;
    assert!(
        message.contains("hand-over from stock is paused, because b/second said invalid 5 of 5"),
        "{message}"
    );
    assert_eq!(town.level("pairs").await, (2, 0));
}

#[tokio::test]
async fn a_doubt_is_about_one_capability_and_about_all_lines_that_have_a_part_of_it() {
    let (town, a, b) = patrolled(6).await;
    town.keep("firsts", json!({ "contract": "a/first", "target": 1 })).await;
    town.keep("seconds", json!({ "contract": "b/second", "input": { "of": "x" }, "target": 1 })).await;
    town.settle(&[a]).await;
    // What was asked about by patrol is answered by the others only now.
    for task in town.claim(b).await {
        let is_pair = task.operation.name() == "check" && task.task.part > 0;
        let answer = match task.operation.name() {
            "produce" => made(&task.idempotency_key),
            _ if is_pair => checked(Verdict::Invalid, "no such table"),
            _ => checked(Verdict::Valid, ""),
        };
        town.answer(b, &task, answer).await;
    }
    town.settle(&[a]).await;
    assert!(town.is_doubted("pairs").await);
    assert!(town.is_doubted("seconds").await && !town.is_doubted("firsts").await);
    assert_eq!(town.take(stock_first("a/first")).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn a_doubt_survives_a_restart_and_ends_with_the_last_dataset_in_stock() {
    let (town, a, b) = patrolled(6).await;
    town.say(a, Verdict::Valid).await;
    town.say(b, Verdict::Invalid).await;
    let town = town.restarted().await;
    assert!(town.is_doubted("pairs").await);
    town.sweep().await;
    town.probe(&[a, b]).await;
    let probed = town.say(b, Verdict::Invalid).await;
    town.say(a, Verdict::Valid).await;
    town.probe(&[a, b]).await;
    assert_ne!(town.say(b, Verdict::Invalid).await, probed, "the next one comes next");
    town.say(a, Verdict::Valid).await;
    assert_eq!(town.quarantined().await.len(), LEAVE);
    let name = "pairs".parse().expect("a name");
    town.engine.delete_rule(&town.supplier(), "default", &name, None).await.expect("deleted");
    town.tend().await;
    town.sweep().await;
    town.probe(&[a, b]).await;
    assert_eq!(town.times_told("capability.believed").await, 1);
}

#[tokio::test]
async fn a_new_version_whose_check_is_broken_has_nothing_undone_beyond_the_first_few() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 12 })).await;
    town.settle(&[a, b]).await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 12, "paused": true })).await;
    let newer = with(capability("second", ALL), json!({ "input": { "properties": { "more": {} } } }));
    let b = town.connect("b", &[newer]).await;
    town.clock.advance_ms(10_000);
    town.tend().await;
    town.say(a, Verdict::Valid).await;
    assert_eq!(town.say(b, Verdict::Invalid).await.len(), 12);
    town.engine.sweep(Sweep::Suspects).await.expect("swept");
    let (mut undone, mut kept) = (0, Vec::new());
    for view in town.datasets().await {
        match view.root().status {
            PartStatus::Undoing => undone += 1,
            PartStatus::Suspect | PartStatus::Checking => kept.push(view.id),
            status => panic!("{status:?}"),
        }
    }
    assert_eq!((undone, kept.len()), (LEAVE, 12 - LEAVE));
    for _ in 0..3 {
        town.probe(&[a, b]).await;
        town.settle(&[a, b]).await;
    }
    assert!(!town.is_doubted("pairs").await);
    town.engine.sweep(Sweep::Suspects).await.expect("swept");
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await.0, 12 - LEAVE as u64);
}

#[tokio::test]
async fn what_a_diagnosis_hears_is_no_reason_to_doubt() {
    let (town, a, b) = with_pair().await;
    for _ in 0..6 {
        let view = town.asked(crate::town::wanted("shop/pair", json!({}))).await;
        town.settle(&[a, b, a, b]).await;
        let lease = town.until_ended(&view).await.leases[0].clone();
        let engine = town.engine.clone();
        let caller = town.consumer();
        let diagnosis = tokio::spawn(async move { engine.diagnose_lease(&caller, lease.id).await });
        for session in [a, b] {
            let task = town.next_check(session).await;
            town.answer(session, &task, checked(Verdict::Invalid, "used up")).await;
        }
        diagnosis.await.expect("no panic").expect("diagnosed");
    }
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    assert!(!town.is_doubted("pairs").await);
}

#[tokio::test]
async fn nothing_becomes_a_part_that_has_a_part_of_what_is_doubted() {
    let (town, a, b) = patrolled(20).await;
    town.apply(OUTER).await;
    town.say(a, Verdict::Valid).await;
    town.say(b, Verdict::Invalid).await;
    let (ready, _) = town.level("pairs").await;
    let view = town.take(stock_first("shop/outer")).await;
    let pair = &view.trees[0].parts[1];
    assert_eq!((pair.status, pair.from_stock()), (PartStatus::Building, None));
    assert_eq!(town.level("pairs").await.0, ready);
}

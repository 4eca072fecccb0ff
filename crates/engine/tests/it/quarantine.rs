//! Quarantine: what was set aside is listed, counted, and decided about by somebody who has a say in it.

use serde_json::json;
use sixpack_engine::{Caller, DatasetView, Page, Refusal, Sweep};
use sixpack_model::ids::{SessionId, TokenId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::plan::Resolution;
use sixpack_model::recheck::Why;
use sixpack_model::request::{RequestStatus, Source};
use sixpack_model::stock::{RuleEdit, RuleState};
use sixpack_model::token::Role;
use sixpack_model::tree::{PartStatus, Verdict};

use crate::stock::{from, stock_first};
use crate::town::Town;
use crate::validity::{checked, stocked};

fn caller(domain: Option<&str>, role: Role) -> Caller {
    Caller {
        token: TokenId(uuid::Uuid::from_u128(9)),
        name: "ada".to_owned(),
        role,
        environment: None,
        domain: domain.map(str::to_owned),
    }
}

/// Two were in stock; the first was set aside at hand-over, and the second was handed over in its place.
async fn set_aside() -> (Town, SessionId, SessionId, TreeId, Lease) {
    let (town, a, b) = stocked(2).await;
    let view = town.asked(stock_first("shop/pair")).await;
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    let bad = first.task.tree;
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.answer(b, &second, checked(Verdict::Invalid, "the account is closed")).await;
    for session in [a, b] {
        let task = town.next_check(session).await;
        town.answer(session, &task, checked(Verdict::Valid, "")).await;
    }
    let view = town.until_ended(&view).await;
    town.clock.advance_ms(1_000);
    assert_eq!((view.request.status, view.leases.len()), (RequestStatus::Fulfilled, 1));
    (town, a, b, bad, view.leases[0].clone())
}

impl Town {
    async fn quarantine(&self) -> Vec<DatasetView> {
        self.engine.quarantine(&self.consumer(), None, Page::first(10)).await.expect("listed").rows
    }

    async fn resolve(&self, tree: TreeId, resolution: Resolution) -> Result<DatasetView, Refusal> {
        let owner = caller(Some("b"), Role::Supplier);
        self.engine.resolve_dataset(&owner, tree.root(), resolution, "opened again".to_owned()).await
    }

    async fn resolved(&self, tree: TreeId, resolution: Resolution) -> PartStatus {
        self.resolve(tree, resolution).await.expect("resolved").tree.root().status
    }

    async fn drifted(&self, contract: &str) -> u64 {
        let name = contract.parse().expect("a name");
        let view = self.engine.contract(&self.consumer(), "default", None, &name, None).await.expect("there");
        view.drifted.expect("it is read for one")
    }
}

#[tokio::test]
async fn what_is_set_aside_says_what_drifted_first_since_when_and_what_for() {
    let (town, _, _, bad, _) = set_aside().await;
    let listed = town.quarantine().await;
    assert_eq!(listed.iter().map(|view| view.tree.id).collect::<Vec<_>>(), [bad]);
    let root = listed[0].tree.root();
    let failure = root.failure.as_ref().expect("it says why");
    assert_eq!((failure.path.as_str(), failure.owner.team.as_str()), ("second › b/second@1", "b"));
    assert_eq!(root.set_aside.map(|set_aside| set_aside.because), Some(Why::HandOver));
    assert_eq!([town.drifted("b/second").await, town.drifted("a/first").await], [1, 0]);
    let town = town.restarted().await;
    let again = town.quarantine().await;
    assert_eq!(again[0].tree.root().set_aside, root.set_aside);
    assert_eq!(town.drifted("b/second").await, 1);
}

#[tokio::test]
async fn what_is_returned_goes_back_into_stock_although_another_took_its_place() {
    let (town, _, _, bad, _) = set_aside().await;
    assert_eq!(town.resolved(bad, Resolution::Return).await, PartStatus::Ready);
    assert_eq!(town.level("pairs").await, (1, 0));
    assert!(town.quarantine().await.is_empty());
    let view = town.engine.dataset(&town.consumer(), bad.root()).await.expect("there");
    let told = view.timeline.iter().find(|event| event.kind == "dataset.resolved").expect("it is told");
    let told =
        ["resolution", "by", "message"].map(|name| told.data[name].as_str().unwrap_or_default().to_owned());
    assert_eq!(told, ["return", "ada", "opened again"]);
    let taken = town.asked(from(Source::StockOnly, "shop/pair", json!({}))).await;
    assert_eq!(taken.trees[0].id, bad);
}

#[tokio::test]
async fn what_holds_again_when_it_is_asked_about_once_more_goes_back_into_stock() {
    let (town, a, b, bad, _) = set_aside().await;
    assert_eq!(town.resolved(bad, Resolution::Retry).await, PartStatus::Checking);
    for session in [a, b] {
        let task = town.next_check(session).await;
        town.answer(session, &task, checked(Verdict::Valid, "")).await;
    }
    assert_eq!((town.tree_status(bad).await, town.level("pairs").await), (PartStatus::Ready, (1, 0)));
}

#[tokio::test]
async fn what_does_not_hold_or_cannot_be_told_stays_in_quarantine() {
    let (town, a, b, bad, _) = set_aside().await;
    town.resolved(bad, Resolution::Retry).await;
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Invalid, "blocked")).await;
    town.answer(b, &second, checked(Verdict::Valid, "")).await;
    let listed = town.quarantine().await;
    let root = listed[0].tree.root();
    assert!(root.failure.as_ref().expect("it says why").message.contains("blocked"));
    assert_eq!(town.drifted("a/first").await, 0, "it was set aside once");
    let since = root.set_aside;
    town.clock.advance_ms(1_000);
    town.engine.drain_session(&town.supplier(), b).await.expect("drained");
    town.resolved(bad, Resolution::Retry).await;
    let first = town.next_check(a).await;
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    let listed = town.quarantine().await;
    assert_eq!(listed[0].tree.root().set_aside, since, "nobody can tell: it stays, without waiting");
}

#[tokio::test]
async fn what_is_undone_is_gone_and_what_is_discarded_is_left_as_it_is() {
    let (town, a, b, bad, _) = set_aside().await;
    assert_eq!(town.resolved(bad, Resolution::Undo).await, PartStatus::Undoing);
    assert_eq!(town.serve(b).await, ["undo b/second"]);
    assert_eq!(town.serve(a).await, ["undo a/first"]);
    assert_eq!(town.tree_status(bad).await, PartStatus::Gone);
    let (town, a, b, bad, _) = set_aside().await;
    assert_eq!(town.resolved(bad, Resolution::Discard).await, PartStatus::Gone);
    town.sweep().await;
    assert!(town.claim(a).await.is_empty() && town.claim(b).await.is_empty());
    assert_eq!((town.level("pairs").await, town.quarantine().await.len()), ((0, 0), 0));
}

#[tokio::test]
async fn what_is_returned_goes_to_the_first_in_line() {
    let (town, a, b, bad, lease) = set_aside().await;
    // Nothing is in stock: it is being made, and waits in line besides.
    let waiting = town.asked(stock_first("shop/pair")).await;
    assert_eq!(waiting.request.status, RequestStatus::Building);
    let own = waiting.trees[0].id;
    town.resolved(bad, Resolution::Return).await;
    let served = town.until_ended(&waiting).await;
    assert_eq!((served.request.status, served.leases[0].tree), (RequestStatus::Fulfilled, bad));
    // What was being made for it belongs to nobody, and is taken down.
    town.engine.sweep(Sweep::UnwantedTrees).await.expect("swept");
    town.settle(&[b, a]).await;
    assert!(matches!(town.tree_status(own).await, PartStatus::Gone | PartStatus::Undoing));
    // Whoever got the other one in its place still has that.
    let held = town.engine.lease(&town.consumer(), lease.id).await.expect("there");
    assert_eq!(held.1.root().status, PartStatus::Leased);
}

#[tokio::test]
async fn only_who_has_a_say_decides_and_only_about_what_is_in_quarantine() {
    let (town, _, _, bad, lease) = set_aside().await;
    let decide = |caller: Caller, id| {
        let engine = town.engine.clone();
        async move { engine.resolve_dataset(&caller, id, Resolution::Discard, "x".to_owned()).await }
    };
    let stranger = decide(caller(Some("c"), Role::Supplier), bad.root()).await;
    assert!(matches!(stranger, Err(Refusal::NotOfDomain { .. })), "{stranger:?}");
    let elsewhere = Caller { environment: Some("staging".to_owned()), ..caller(None, Role::Admin) };
    let elsewhere = decide(elsewhere, bad.root()).await;
    assert!(matches!(elsewhere, Err(Refusal::Unknown { what: "dataset", .. })), "{elsewhere:?}");
    for id in [lease.tree.root(), bad.part(1)] {
        let refused = decide(caller(None, Role::Admin), id).await;
        assert!(matches!(refused, Err(Refusal::NotInQuarantine { .. })), "{refused:?}");
    }
    assert!(decide(caller(Some("shop"), Role::Supplier), bad.root()).await.is_ok());
    let twice = decide(caller(None, Role::Admin), bad.root()).await;
    assert!(matches!(twice, Err(Refusal::NotInQuarantine { status: "gone", .. })), "{twice:?}");
}

#[tokio::test]
async fn of_several_who_decide_at_once_one_does_and_the_others_are_told() {
    for resolution in [Resolution::Retry, Resolution::Undo, Resolution::Discard, Resolution::Return] {
        let (town, _, _, bad, _) = set_aside().await;
        let all = futures::future::join_all((0..4).map(|_| town.resolve(bad, resolution))).await;
        let decided = all.iter().filter(|one| one.is_ok()).count();
        let told = all.iter().filter(|one| matches!(one, Err(Refusal::NotInQuarantine { .. }))).count();
        assert_eq!((decided, told), (1, 3), "{resolution:?}");
    }
}

#[tokio::test]
async fn what_the_patrol_sets_aside_comes_back_as_well() {
    let (town, a, b) = stocked(1).await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1, "check_every_s": 60, "paused": true }))
        .await;
    town.engine.sweep(Sweep::Patrol).await.expect("swept");
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Invalid, "blocked")).await;
    town.answer(b, &second, checked(Verdict::Valid, "")).await;
    let listed = town.quarantine().await;
    let root = listed[0].tree.root();
    assert_eq!(root.set_aside.map(|set_aside| set_aside.because), Some(Why::Patrol));
    assert_eq!(town.resolved(listed[0].tree.id, Resolution::Return).await, PartStatus::Ready);
    assert_eq!((town.level("pairs").await, town.drifted("a/first").await), ((1, 0), 1));
}

/// The first of two was set aside, and stock was filled behind it.
async fn set_aside_and_refilled() -> (Town, SessionId, SessionId, TreeId) {
    let (town, a, b) = stocked(1).await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1, "check_every_s": 60 })).await;
    town.engine.sweep(Sweep::Patrol).await.expect("swept");
    let (first, second) = (town.next_check(a).await, town.next_check(b).await);
    town.answer(a, &first, checked(Verdict::Valid, "")).await;
    town.answer(b, &second, checked(Verdict::Invalid, "closed")).await;
    town.set("pairs", RuleEdit { state: Some(RuleState::Active), ..RuleEdit::default() }).await;
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0));
    town.clock.advance_ms(1_000);
    (town, a, b, first.task.tree)
}

#[tokio::test]
async fn what_comes_back_is_kept_beyond_the_target_until_somebody_takes_it() {
    for resolution in [Resolution::Retry, Resolution::Return] {
        let (town, a, b, repaired) = set_aside_and_refilled().await;
        town.resolved(repaired, resolution).await;
        town.settle(&[a, b]).await;
        town.sweep().await;
        assert_eq!(town.tree_status(repaired).await, PartStatus::Ready, "{resolution:?}");
        let there = town.stock("pairs").await;
        assert_eq!((there.ready, there.coming, there.came_back), (2, 0, 1), "{resolution:?}");
        let view = town.engine.dataset(&town.consumer(), repaired.root()).await.expect("there");
        let because = |kind: &str| {
            let told = view.timeline.iter().find(|event| event.kind == kind);
            told.map(|event| event.data["because"].as_str().unwrap_or_default().to_owned())
        };
        if resolution == Resolution::Retry {
            assert_eq!(because("dataset.confirmed").as_deref(), Some("retry"));
        }
        // It was made first, and is given first; nothing is made in its place.
        let taken = town.take(from(Source::StockOnly, "shop/pair", json!({}))).await;
        let taken = if taken.leases.is_empty() {
            town.settle(&[a, b]).await;
            town.until_ended(&taken).await
        } else {
            taken
        };
        town.settle(&[a, b]).await;
        assert_eq!((taken.leases.len(), town.level("pairs").await), (1, (1, 0)), "{resolution:?}");
    }
}

#[tokio::test]
async fn what_comes_back_goes_with_the_rule_that_keeps_it() {
    let (town, a, b, repaired) = set_aside_and_refilled().await;
    town.resolved(repaired, Resolution::Return).await;
    town.set("pairs", RuleEdit { state: Some(RuleState::Draining), ..RuleEdit::default() }).await;
    assert_eq!(town.level("pairs").await, (0, 0));
    town.sweep().await;
    town.settle(&[b, a]).await;
    assert_eq!(town.tree_status(repaired).await, PartStatus::Gone);
}

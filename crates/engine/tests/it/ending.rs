//! Orchestrators, debts and what is told of all that.

use serde_json::json;
use sixpack_engine::{DebtStatus, Sweep, Wait};
use sixpack_model::event::Event;
use sixpack_model::plan::Answer;
use sixpack_model::request::RequestStatus;
use sixpack_model::session::{SESSION_TTL_MS, SessionStatus};
use sixpack_model::tree::{PartStatus, Wish};
use sixpack_storage::events::EventFilter;
use sixpack_storage::page::Page;

use crate::town::{ALL, Town, capability, made, refused, with_pair};

#[tokio::test]
async fn an_orchestrator_gets_its_children_by_name() {
    let (town, a, b) = with_pair().await;
    let qa = town.connect("qa", &[capability("twins", &["produce"])]).await;
    let id = town.ask("qa/twins", json!({})).await;
    let wish = |name: &str| Wish {
        name: name.to_owned(),
        contract: "shop/pair".parse().expect("a name"),
        input: json!({}),
    };
    let first = town.claim_one(qa).await;
    assert!(first.children.is_none());
    town.answer(qa, &first, Answer::Obtain { children: vec![wish("left"), wish("right")] }).await;
    for session in [a, b, a, b] {
        town.serve(session).await;
    }
    let second = town.claim_one(qa).await;
    let children = second.children.as_ref().expect("they are there");
    assert_eq!(children.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(), ["left", "right"]);
    assert_eq!(second.idempotency_key, first.idempotency_key);
    town.answer(qa, &second, made("twins")).await;
    for session in [a, b, a, b] {
        town.serve(session).await;
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn what_cannot_be_undone_is_listed_as_a_debt() {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    town.serve(a).await;
    let task = town.claim_one(b).await;
    town.answer(b, &task, refused(false)).await;
    let undo = town.claim_one(a).await;
    town.answer(a, &undo, refused(false)).await;
    let debts =
        town.engine.debts(&town.consumer(), Some("default"), None, Page::first(10)).await.expect("a list");
    assert_eq!(debts.len(), 1);
    assert_eq!(debts[0].tree.path_of(debts[0].part), "first › a/first@1");
    assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Debt);
}

#[tokio::test]
async fn an_undo_that_waits_for_its_supplier_is_listed_after_the_grace() {
    let (town, a, b) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    town.serve(a).await;
    let task = town.claim_one(b).await;
    town.answer(b, &task, refused(false)).await;
    town.engine.drain_session(&town.supplier(), a).await.expect("it is live");
    let since = town.engine.now().await.expect("a clock");
    let listed = async |status| {
        let listed = town.engine.debts(&town.consumer(), Some("default"), status, Page::first(10)).await;
        listed.expect("a list")
    };
    let counted = async || town.engine.environments(&town.consumer()).await.expect("a list")[0].waiting_undos;
    town.pass_s(59, &[b]).await;
    assert_eq!((listed(None).await.len(), counted().await), (0, 0), "a deployment is no news");
    town.pass_s(1, &[b]).await;
    let waiting = listed(None).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].tree.path_of(waiting[0].part), "first › a/first@1");
    assert_eq!(waiting[0].waits, [Wait { part: waiting[0].part, since }]);
    assert_eq!(counted().await, 1);
    assert_eq!(listed(Some(DebtStatus::Waiting)).await.len(), 1);
    assert_eq!(listed(Some(DebtStatus::Debt)).await.len(), 0);
    let whole = town.engine.dataset(&town.consumer(), waiting[0].tree.id.root()).await.expect("it is there");
    assert_eq!(whole.waits, waiting[0].waits);
    let back = town.connect("a", &[capability("first", ALL)]).await;
    assert_eq!(listed(None).await.len(), 0, "it is there again");
    assert_eq!(town.serve(back).await, ["undo a/first"]);
    assert_eq!(counted().await, 0);
}

#[tokio::test]
async fn events_tell_the_story_in_order() {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    for session in [a, b, a] {
        town.serve(session).await;
    }
    let filter = EventFilter { request: Some(id), ..EventFilter::default() };
    let (events, place) = town
        .engine
        .follow_events(&town.consumer(), &filter, 0, std::time::Duration::ZERO)
        .await
        .expect("events");
    let kinds: Vec<&str> = events.iter().map(|event: &Event| event.kind.as_ref()).collect();
    assert_eq!(kinds.first(), Some(&"request.building"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "task.done").count(), 4);
    assert!(kinds.ends_with(&["dataset.ready", "lease.granted", "request.fulfilled"]), "{kinds:?}");
    assert!(events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    assert_eq!(place, events.last().expect("some").sequence);
}

#[tokio::test]
async fn a_dataset_is_found_by_an_entity_of_one_of_its_parts() {
    let (town, a, b) = with_pair().await;
    town.ask("shop/pair", json!({})).await;
    let task = town.claim_one(a).await;
    town.answer(a, &task, made("c-42")).await;
    town.serve(b).await;
    let filter = sixpack_storage::datasets::DatasetFilter {
        entity: Some(("first".to_owned(), "c-42".to_owned())),
        ..Default::default()
    };
    let found = town.engine.datasets(&town.consumer(), filter, Page::first(10)).await.expect("a list").rows;
    assert!(found.iter().any(|view| view.part == task.task.part), "{found:?}");
    let _ = ALL;
}

#[tokio::test]
async fn sessions_that_fall_silent_together_are_all_over_with_one_look() {
    let town = Town::new().await;
    let capabilities = [capability("first", ALL)];
    for number in 0..450 {
        town.connect_as("a", &format!("a-{number}"), &capabilities).await.expect("the manifest is accepted");
    }
    town.clock.advance_ms(SESSION_TTL_MS as i64);
    town.engine.sweep(Sweep::SilentSessions).await.expect("a store that works");
    let sessions = town.engine.sessions(&town.supplier(), Some("default"), Page::first(1_000)).await;
    let dead =
        sessions.expect("a list").iter().filter(|view| view.session.status == SessionStatus::Dead).count();
    assert_eq!(dead, 450);
}

//! Doubts: begun and ended with what capabilities say about stock, and none of that goes away meanwhile.

use std::sync::Arc;

use serde_json::json;
use sixpack_model::doubt::{Doubt, INVALID, PROBE_PAUSE_MS, PROBES};
use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::plan::{Change, Outcome, Readiness, Said};
use sixpack_model::tree::{PartStatus, Tree};

use super::factories::ENVIRONMENT;
use super::fixture::Fixture;
use super::stock::{asking_stock_only, level, line, served, stocked, wish};
use crate::doubts::Probing;
use crate::requests::{Created, Looking, NewRequest};
use crate::trees::{Guard, RequestAfter, Written};

fn customer() -> ContractName {
    "shop/customer".parse().unwrap()
}

fn said(holds: bool) -> Said {
    Said { contract: customer(), holds, message: Some("no such table".to_owned()) }
}

/// A decision that a dataset in stock holds, and that the capability says so.
fn confirmed(f: &Fixture, tree: &Tree) -> Change {
    let Outcome::Ready(readiness) = f.readiness() else { panic!("it is ready") };
    let mut change = f.part_change(tree, 0, |root| root.status = PartStatus::Ready);
    change.outcome = Some(Outcome::Confirmed(Readiness { ready_at: made_at(tree), ..readiness }));
    change.said = vec![said(true)];
    change
}

/// A decision that it does not, upon the word of the capability alone.
fn set_aside(f: &Fixture, tree: &Tree) -> Change {
    let mut change = f.part_change(tree, 0, |root| root.status = PartStatus::Quarantined);
    Arc::make_mut(&mut change.tree).parts[0].ready_at = Some(made_at(tree));
    change.outcome = Some(Outcome::Quarantined(Box::new(f.failure())));
    change.said = vec![said(false)];
    change.upon = Some(customer());
    change
}

/// The same in the knowledge that the capability is doubted.
fn held_back(f: &Fixture, tree: &Tree) -> Change {
    let mut change = confirmed(f, tree);
    if let Some(Outcome::Confirmed(readiness)) = change.outcome {
        change.outcome =
            Some(Outcome::HeldBack(Readiness { fresh_until: jiff::Timestamp::MIN, ..readiness }));
    }
    change.said = vec![said(false)];
    change
}

/// Datasets of a test are made at the time at which their ids are.
fn made_at(tree: &Tree) -> jiff::Timestamp {
    let ms = tree.id.0.as_u128() >> 80;
    jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap()
}

async fn doubts(f: &Fixture) -> Vec<Doubt> {
    f.store.doubts().await.unwrap()
}

/// So many datasets in stock, and the capability doubted because of the first ones.
async fn doubted(f: &Fixture, count: usize) -> (LineId, Vec<Tree>) {
    let line = line(f, json!({})).await;
    let mut trees = Vec::new();
    for _ in 0..count {
        trees.push(stocked(f, line).await);
    }
    for tree in &trees[..INVALID - 1] {
        let written = f.write(Guard::None, set_aside(f, tree)).await;
        assert_eq!(written, Written::Done(RequestAfter::Quarantined));
    }
    let last = trees[INVALID - 1].clone();
    assert_eq!(f.write(Guard::None, set_aside(f, &last)).await, Written::Doubted(customer()));
    assert_eq!(doubts(f).await, [], "nothing was written");
    let written = f.write(Guard::None, held_back(f, &last)).await;
    assert_eq!(written, Written::Done(RequestAfter::GoesOn));
    (line, trees)
}

pub async fn a_capability_is_doubted_when_half_of_the_last_ten_are_invalid(f: &Fixture) {
    let (line, trees) = doubted(f, 7).await;
    let there = doubts(f).await;
    assert_eq!(there.len(), 1);
    let Doubt { environment, contract, since, invalid, of, message, held, probed_at } = there[0].clone();
    assert_eq!((environment.as_str(), contract, since), (ENVIRONMENT, customer(), f.now()));
    assert_eq!((invalid, of, message.as_str()), (5, 5, "no such table"));
    assert_eq!((held, probed_at), (0, None));
    assert_eq!(level(f, line).await, (3, 0), "the fifth is still there");
    assert_eq!(f.write(Guard::None, set_aside(f, &trees[5])).await, Written::Doubted(customer()));
    assert_eq!(told(f, "capability.doubted").await, 1);
}

pub async fn a_few_that_are_invalid_among_many_that_hold_are_set_aside(f: &Fixture) {
    let line = line(f, json!({})).await;
    for round in 0..6 {
        for number in 0..10 {
            let tree = stocked(f, line).await;
            let change = if number < 4 { set_aside(f, &tree) } else { confirmed(f, &tree) };
            let written = f.write(Guard::None, change).await;
            assert!(matches!(written, Written::Done(_)), "{round}, {number}: {written:?}");
        }
    }
    assert_eq!(doubts(f).await, []);
    assert_eq!(level(f, line).await, (36, 0));
}

pub async fn asking_about_one_dataset_again_and_again_is_no_reason_to_doubt(f: &Fixture) {
    let line = line(f, json!({})).await;
    let mut tree = stocked(f, line).await;
    for _ in 0..INVALID * 2 {
        f.write(Guard::None, held_back(f, &tree)).await;
        tree = f.load(tree.id).await;
    }
    assert_eq!(doubts(f).await, []);
}

pub async fn nothing_of_what_is_doubted_is_taken_from_stock(f: &Fixture) {
    let (line, trees) = doubted(f, 7).await;
    for looking in [Looking::Fresh, Looking::InStock] {
        let ask = NewRequest { looking, ..asking_stock_only(f, &wish(f, &[line]), 1) };
        assert_eq!(f.store.create_request(ask).await.unwrap(), Created::Short, "{looking:?}");
    }
    probe(f, trees[5].id).await;
    for tree in [&trees[5], &trees[6], &trees[4]] {
        f.clock.advance_ms(PROBE_PAUSE_MS.cast_signed());
        probe(f, tree.id).await;
        f.write(Guard::None, confirmed(f, &f.load(tree.id).await)).await;
    }
    assert_eq!(doubts(f).await, []);
    assert_eq!(told(f, "capability.believed").await, 1);
    served(f, asking_stock_only(f, &wish(f, &[line]), 3)).await;
}

async fn probe(f: &Fixture, tree: TreeId) {
    assert_eq!(f.store.begin_probe(ENVIRONMENT, &customer(), tree).await.unwrap(), Probing::Begun);
}

pub async fn only_probes_in_a_row_end_a_doubt(f: &Fixture) {
    let (_, trees) = doubted(f, 9).await;
    for tree in &trees[5..9] {
        f.write(Guard::None, confirmed(f, tree)).await;
    }
    assert_eq!(doubts(f).await[0].held, 0, "nobody has probed with any of them");
    for holds in [true, true, false, true, true, true] {
        assert_eq!(doubts(f).await.len(), 1);
        f.clock.advance_ms(PROBE_PAUSE_MS.cast_signed());
        probe(f, trees[5].id).await;
        let tree = f.load(trees[5].id).await;
        let change = if holds { confirmed(f, &tree) } else { held_back(f, &tree) };
        f.write(Guard::None, change).await;
        // Said once more, without a probe.
        let tree = f.load(trees[5].id).await;
        f.write(Guard::None, confirmed(f, &tree)).await;
    }
    assert_eq!((doubts(f).await.len(), PROBES), (0, 3));
}

pub async fn a_probe_begins_once_in_its_pause_however_many_begin_it(f: &Fixture) {
    let (_, trees) = doubted(f, 6).await;
    let begin = || f.store.begin_probe(ENVIRONMENT, &trees[5].root().contract, trees[5].id);
    assert_eq!(begin().await.unwrap(), Probing::NotNow, "nobody doubts that one");
    let contract = customer();
    let begin = || f.store.begin_probe(ENVIRONMENT, &contract, trees[5].id);
    let all = futures::future::join_all((0..4).map(|_| begin())).await;
    let begun = all.into_iter().filter(|one| matches!(one, Ok(Probing::Begun))).count();
    assert_eq!(begun, 1);
    assert_eq!(doubts(f).await[0].probed_at, Some(f.now()));
    f.clock.advance_ms(PROBE_PAUSE_MS.cast_signed() - 1);
    assert_eq!(begin().await.unwrap(), Probing::NotNow);
    f.clock.advance_ms(1);
    assert_eq!(begin().await.unwrap(), Probing::Begun);
}

pub async fn a_doubt_about_what_is_gone_ends_and_is_told_once(f: &Fixture) {
    doubted(f, 5).await;
    for _ in 0..2 {
        f.store.end_doubt(ENVIRONMENT, &customer()).await.unwrap();
    }
    f.store.end_doubt("qa2", &customer()).await.unwrap();
    assert_eq!((doubts(f).await.len(), told(f, "capability.believed").await), (0, 1));
}

pub async fn what_a_request_was_given_and_is_held_back_goes_into_stock_again(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = stocked(f, line).await;
    f.clock.advance_ms(super::factories::FRESH_FOR_MS + 1);
    let new = NewRequest { looking: Looking::InStock, ..asking_stock_only(f, &wish(f, &[line]), 1) };
    let id = new.request.id;
    served(f, new).await;
    let taken = f.load(tree.id).await;
    assert_eq!(f.write(Guard::None, held_back(f, &taken)).await, Written::Done(RequestAfter::Vacant));
    assert_eq!(f.store.vacant_units(None, 10).await.unwrap(), [(id, 0)]);
    assert_eq!((level(f, line).await, f.store.trees_of(id).await.unwrap()), ((1, 0), vec![]));
    let again = asking_stock_only(f, &wish(f, &[line]), 1);
    assert_eq!(f.store.create_request(again).await.unwrap(), Created::Short, "it is not fresh");
}

async fn told(f: &Fixture, kind: &str) -> usize {
    let events = f.store.events(&crate::events::EventFilter::default(), 0, 1_000).await.unwrap();
    events.iter().filter(|event| event.kind == kind).count()
}

//! Imports: all or nothing, kept whatever rules say, and given to nobody before they are ready.

use std::sync::Arc;

use serde_json::json;
use sixpack_model::find::Origin;
use sixpack_model::ids::LineId;
use sixpack_model::plan::Outcome;
use sixpack_model::request::RequestStatus;
use sixpack_model::schema::Entity;
use sixpack_model::tree::{PartStatus, Tree};

use super::factories::{ENVIRONMENT, Order};
use super::fixture::Fixture;
use super::stock::{asking_stock_only, level, line, served, status, stocked, wish};
use crate::imports::{Imported, ImportedStock, NewImport};
use crate::requests::{Created, Looking, NewRequest};
use crate::stock::{Discard, WishedLine};
use crate::trees::{Guard, RequestAfter, Written};

/// A customer that is there already.
fn existing(f: &Fixture, line: LineId, key: &str) -> NewImport {
    let mut request = f.new_request(Order { line: Some(line), ..Order::of(&["shop/customer"]) });
    let customer = (0, Entity { kind: "customer".to_owned(), key: key.to_owned() });
    let change = &mut request.trees[0];
    change.found = Some(vec![customer.clone()]);
    change.entities = vec![customer];
    Arc::make_mut(&mut change.tree).parts[0].origin = Origin::Imported;
    NewImport { line, request }
}

/// Imports these customers; returns their trees.
async fn imported(f: &Fixture, line: LineId, keys: &[&str]) -> Vec<Tree> {
    let imports: Vec<NewImport> = keys.iter().map(|key| existing(f, line, key)).collect();
    let trees = imports.iter().map(|import| Tree::clone(&import.request.trees[0].tree)).collect();
    assert_eq!(f.store.import(imports).await.unwrap(), Imported::All);
    trees
}

async fn ready(f: &Fixture, tree: &Tree) {
    let written = f.write(Guard::None, f.ready(&f.load(tree.id).await)).await;
    assert_eq!(written, Written::Done(RequestAfter::Stocked));
}

async fn counted(f: &Fixture) -> (u64, u64) {
    let contract = "shop/ready-customer".parse().unwrap();
    let ImportedStock { ready, coming } = f.store.imported(ENVIRONMENT, &contract).await.unwrap();
    (ready, coming)
}

pub async fn what_somebody_has_already_is_told_before_it_is_imported(f: &Fixture) {
    let line = line(f, json!({})).await;
    let own = |key: &str| vec![Entity { kind: "customer".to_owned(), key: key.to_owned() }];
    imported(f, line, &["41"]).await;
    let before = level(f, line).await;
    let held = f.store.held(ENVIRONMENT, vec![own("40"), own("41"), own("42")]).await.unwrap();
    assert_eq!(
        held.iter().map(|(place, held)| (*place, held.entity.key.as_str())).collect::<Vec<_>>(),
        [(1, "41")]
    );
    assert_eq!(level(f, line).await, before, "nothing is written");
    assert_eq!(f.store.held(ENVIRONMENT, vec![own("42")]).await.unwrap(), []);
}

pub async fn what_is_imported_comes_into_stock_and_can_be_taken(f: &Fixture) {
    let line = line(f, json!({})).await;
    let trees = imported(f, line, &["41", "42"]).await;
    assert_eq!((level(f, line).await, counted(f).await), ((0, 2), (0, 2)));
    ready(f, &trees[0]).await;
    assert_eq!((level(f, line).await, counted(f).await), ((1, 1), (1, 1)));
    let wish = wish(f, &[line]);
    let served = served(f, asking_stock_only(f, &wish, 1)).await;
    assert_eq!(served.leases.unwrap()[0].tree, trees[0].id, "it owns what it found, and nobody else does");
    assert_eq!(status(f, trees[0].request).await, RequestStatus::Fulfilled);
}

pub async fn an_import_that_owns_what_anybody_has_leaves_nothing(f: &Fixture) {
    let line = line(f, json!({})).await;
    let first = imported(f, line, &["41"]).await.remove(0);
    let again = ["40", "41", "42"].map(|key| existing(f, line, key));
    let trees: Vec<_> = again.iter().map(|import| import.request.trees[0].tree.id).collect();
    match f.store.import(again.into()).await.unwrap() {
        Imported::Held(held) => {
            let held: Vec<_> = held.iter().map(|(row, held)| (*row, held.entity.key.as_str())).collect();
            assert_eq!(held, [(1, "41")]);
        }
        Imported::All => panic!("{} has it", first.id),
    }
    for tree in trees {
        assert_eq!(f.store.load_tree(tree).await.unwrap(), None);
    }
    assert_eq!(level(f, line).await, (0, 1));
}

pub async fn of_many_imports_of_the_same_at_once_one_is_taken(f: &Fixture) {
    let line = line(f, json!({})).await;
    let imports = (0..10).map(|_| f.store.import(vec![existing(f, line, "41"), existing(f, line, "42")]));
    let outcomes = futures::future::join_all(imports).await;
    let all = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Imported::All)));
    assert_eq!((all.count(), level(f, line).await), (1, (0, 2)));
}

pub async fn what_was_imported_stays_however_little_a_line_keeps(f: &Fixture) {
    let line = line(f, json!({})).await;
    let trees = imported(f, line, &["41", "42"]).await;
    for tree in &trees {
        ready(f, tree).await;
    }
    f.clock.advance_ms(10);
    let made = [stocked(f, line).await, stocked(f, line).await, stocked(f, line).await];
    let discarded = f.store.discard_stock(line, Discard { keep: 4, made_before: None }, 10).await.unwrap();
    assert_eq!(discarded, [made[0].id], "it is one too many, and the oldest of those that were made");
    let now = Some(f.in_ms(1));
    let discarded = f.store.discard_stock(line, Discard { keep: 0, made_before: now }, 10).await.unwrap();
    assert_eq!(discarded, [made[1].id, made[2].id]);
    let left = f.store.level(line, 10).await.unwrap();
    assert_eq!((left.ready, left.imported, left.oldest_at), (2, 2, None));
}

pub async fn an_import_that_is_too_old_for_its_line_is_taken_all_the_same(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = imported(f, line, &["41"]).await.remove(0);
    ready(f, &tree).await;
    let any_age = wish(f, &[line]);
    let mut wish = crate::stock::StockWish::clone(&any_age);
    wish.lines = vec![WishedLine { not_before: Some(f.in_ms(1_000)), ..wish.lines[0] }];
    let served = served(f, asking_stock_only(f, &Arc::new(wish), 1)).await;
    assert_eq!(served.taken[0].tree, tree.id);
}

pub async fn an_import_that_is_not_ready_is_taken_over_by_nobody_and_no_refill(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = imported(f, line, &["41"]).await.remove(0);
    let wish = wish(f, &[line]);
    let new = f.new_request(Order::of(&["shop/customer"]));
    let new = NewRequest { wishes: vec![Some(wish)], looking: Looking::Anywhere, ..new };
    let own = new.trees[0].tree.id;
    assert_eq!(f.store.create_request(new).await.unwrap(), Created::Accepted);
    assert_eq!(f.load(own).await.root().status, PartStatus::Building);
    assert_eq!(f.store.refills(line, 10).await.unwrap(), []);
    assert_eq!(f.store.level(line, 10).await.unwrap().importing, 1);
    assert_eq!(f.load(tree.id).await.request, tree.request);
}

pub async fn an_import_that_fails_leaves_its_line_alone(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = imported(f, line, &["41"]).await.remove(0);
    let mut failed = f.part_change(&f.load(tree.id).await, 0, |root| root.status = PartStatus::Failed);
    failed.outcome = Some(Outcome::Failed(Box::new(f.failure())));
    failed.found = Some(Vec::new());
    assert_eq!(f.write(Guard::None, failed).await, Written::Done(RequestAfter::Failed));
    let stored = f.store.lines(None, 10).await.unwrap().remove(0);
    assert_eq!((stored.trouble, level(f, line).await), (None, (0, 0)));
    imported(f, line, &["41"]).await;
}

pub async fn what_was_imported_counts_as_that_also_when_it_was_suspected_and_came_back(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = imported(f, line, &["41"]).await.remove(0);
    ready(f, &tree).await;
    let pins = std::collections::BTreeMap::from([("shop/other".parse().unwrap(), 2)]);
    assert_eq!(f.store.suspect_stock(line, 1, &pins, 10).await.unwrap(), [tree.id]);
    assert_eq!((counted(f).await, f.store.level(line, 10).await.unwrap().importing), ((0, 1), 1));
    ready(f, &tree).await;
    assert_eq!(counted(f).await, (1, 0));
}

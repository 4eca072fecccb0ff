//! Joins: a dataset in stock becomes a part of another one, once, and is in stock no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use sixpack_model::ids::DatasetId;
use sixpack_model::join::Join;
use sixpack_model::plan::{Change, EntityOwner, HeldEntity};
use sixpack_model::schema::Entity;
use sixpack_model::tree::{Ending, PartStatus, Tree};

use super::factories::{FRESH_FOR_MS, Order};
use super::fixture::Fixture;
use super::stock::{asking_stock_only, level, line, served, stocked, wish};
use crate::requests::Created;
use crate::trees::{Clash, Guard, RequestAfter, Written};

const GOES_ON: Written = Written::Done(RequestAfter::GoesOn);

/// What becomes of a dataset in stock that is a part of another one now.
fn over(f: &Fixture, stocked: &Tree, into: DatasetId) -> Change {
    let mut change = f.part_change(stocked, 0, |root| {
        root.status = PartStatus::Gone;
        root.join = Some(Box::new(Join::Into(into)));
    });
    Arc::make_mut(&mut change.tree).ending = Some(Ending::Joined);
    change
}

/// A decision that a dataset in stock takes the place of part 1.
fn joining(f: &Fixture, tree: &Tree, stocked: &Tree) -> Change {
    let mut change = f.part_change(tree, 1, |part| {
        part.status = PartStatus::Ready;
        part.task = None;
        part.join = Some(Box::new(Join::From(stocked.made_as(0))));
    });
    change.joins = Some(Box::new(over(f, stocked, tree.dataset(1))));
    change
}

fn customer() -> Entity {
    Entity { kind: "customer".to_owned(), key: "42".to_owned() }
}

/// A decision that a tree owns a customer that was there before.
fn finding(f: &Fixture, tree: &Tree) -> Change {
    Change { found: Some(vec![(1, customer())]), ..f.change(tree) }
}

pub async fn a_dataset_in_stock_joins_one_of_many(f: &Fixture) {
    let line = line(f, json!({})).await;
    let stocked = stocked(f, line).await;
    let mut trees = Vec::new();
    for _ in 0..10 {
        trees.push(f.one("shop/customer").await);
    }
    let writes = trees.iter().map(|tree| f.write(Guard::None, joining(f, tree, &stocked)));
    let written = futures::future::join_all(writes).await;
    assert_eq!(written.iter().filter(|written| **written == GOES_ON).count(), 1);
    assert_eq!(written.iter().filter(|written| **written == Written::Refused).count(), 9);

    assert_eq!(level(f, line).await, (0, 0), "and another one is missing");
    let gone = f.load(stocked.id).await;
    assert_eq!((gone.ending, gone.root().status), (Some(Ending::Joined), PartStatus::Gone));
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), [], "nobody takes it down");
    let into = gone.moved(0).expect("it says where it is");
    for (tree, written) in trees.iter().zip(written) {
        let after = f.load(tree.id).await;
        if written == GOES_ON {
            assert_eq!(into, tree.dataset(1));
            assert_eq!(after.parts[1].from_stock(), Some(stocked.id));
            assert_eq!(after.made_as(1), stocked.made_as(0));
        } else {
            assert_eq!(after.version, tree.version, "nothing of it is written");
            assert_eq!(after.parts[1].join, None);
        }
    }
}

pub async fn what_was_taken_meanwhile_joins_nothing(f: &Fixture) {
    let line = line(f, json!({})).await;
    let stocked = stocked(f, line).await;
    let tree = f.one("shop/customer").await;
    served(f, asking_stock_only(f, &wish(f, &[line]), 1)).await;
    let joins = joining(f, &tree, &stocked);
    assert_eq!(f.write(Guard::None, joins).await, Written::Refused);
    assert!(f.load(stocked.id).await.lease.is_some(), "it is in somebody's hands");
    // The version alone does not say where it is.
    let joins = joining(f, &tree, &f.load(stocked.id).await);
    assert_eq!(f.write(Guard::None, joins).await, Written::Refused);
    assert_eq!(f.load(tree.id).await.version, tree.version);
}

pub async fn what_has_changed_in_stock_meanwhile_joins_nothing(f: &Fixture) {
    let line = line(f, json!({})).await;
    let stocked = stocked(f, line).await;
    let tree = f.one("shop/customer").await;
    assert_eq!(f.write(Guard::None, f.change(&stocked)).await, GOES_ON);
    assert_eq!(f.write(Guard::None, joining(f, &tree, &stocked)).await, Written::Refused);
    assert_eq!(level(f, line).await, (1, 0));
    let now = f.load(stocked.id).await;
    assert_eq!(f.write(Guard::None, joining(f, &tree, &now)).await, GOES_ON);
    assert_eq!(level(f, line).await, (0, 0));
}

pub async fn a_tree_that_has_changed_meanwhile_is_joined_by_nothing(f: &Fixture) {
    let line = line(f, json!({})).await;
    let stocked = stocked(f, line).await;
    let tree = f.one("shop/customer").await;
    assert_eq!(f.write(Guard::None, f.change(&tree)).await, GOES_ON);
    assert_eq!(f.write(Guard::None, joining(f, &tree, &stocked)).await, Written::Stale);
    assert_eq!(level(f, line).await, (1, 0));
    assert_eq!(f.load(stocked.id).await.version, stocked.version);
}

pub async fn a_look_in_stock_takes_nothing(f: &Fixture) {
    let line = line(f, json!({})).await;
    let first = stocked(f, line).await;
    f.clock.advance_ms(10);
    let second = stocked(f, line).await;
    let wish = wish(f, &[line]);
    let look = async |but: &[&Tree]| {
        let but: BTreeSet<_> = but.iter().map(|tree| tree.id).collect();
        f.store.first_in_stock(&wish, &but).await.unwrap()
    };
    assert_eq!(look(&[]).await, Some(first.id), "the oldest, as for a request");
    assert_eq!(look(&[&first]).await, Some(second.id));
    assert_eq!(look(&[&first, &second]).await, None);
    assert_eq!(level(f, line).await, (2, 0));
    f.clock.advance_ms(FRESH_FOR_MS);
    assert_eq!(look(&[]).await, None, "what has to be asked about first is not for that");
}

pub async fn what_is_looked_for_in_stock_has_its_tree_due(f: &Fixture) {
    let mut new = f.new_request(Order::of(&["shop/customer"]));
    Arc::make_mut(&mut new.trees[0].tree).takes_stock = true;
    let tree = Tree::clone(&new.trees[0].tree);
    assert_eq!(f.store.create_request(new).await.unwrap(), Created::Accepted);
    let until = f.in_ms(2_000);
    let sought = f.part_change(&tree, 1, |part| {
        part.status = PartStatus::Pending;
        part.task = None;
        part.join = Some(Box::new(Join::Sought { until }));
    });
    assert_eq!(f.write(Guard::None, sought).await, GOES_ON);
    let stored = f.load(tree.id).await;
    assert_eq!((stored.parts[1].sought_until(), stored.takes_stock), (Some(until), true));
    assert_eq!(f.store.due_trees(None, 10).await.unwrap(), []);
    assert_eq!(f.store.next_due().await.unwrap(), Some(until));
    f.clock.advance_ms(2_000);
    assert_eq!(f.store.due_trees(None, 10).await.unwrap(), [tree.id]);
}

pub async fn what_was_there_before_is_owned_by_the_tree_that_it_joins(f: &Fixture) {
    let line = line(f, json!({})).await;
    let stocked = stocked(f, line).await;
    assert_eq!(f.write(Guard::None, finding(f, &stocked)).await, GOES_ON);
    let (tree, other) = (f.one("shop/customer").await, f.one("shop/customer").await);
    let clash = |by: &Tree| {
        let held = HeldEntity { part: 1, entity: customer(), by: EntityOwner::Dataset(by.id) };
        Written::EntityHeld(Clash { tree: other.id, held })
    };
    assert_eq!(f.write(Guard::None, finding(f, &other)).await, clash(&stocked));
    let stocked = f.load(stocked.id).await;
    let mut joins = joining(f, &tree, &stocked);
    // The dataset itself owns nothing any more.
    joins.joins.as_mut().unwrap().found = Some(Vec::new());
    assert_eq!(f.write(Guard::None, joins).await, GOES_ON);
    assert_eq!(f.write(Guard::None, finding(f, &other)).await, clash(&tree));

    let mut gone = f.part_change(&f.load(tree.id).await, 0, |root| root.status = PartStatus::Gone);
    gone.found = Some(Vec::new());
    assert_eq!(f.write(Guard::None, gone).await, GOES_ON);
    assert_eq!(f.write(Guard::None, finding(f, &other)).await, GOES_ON, "it is free again");
}

pub async fn what_joins_is_no_clash_when_it_is_handed_out_with_the_same_write(f: &Fixture) {
    let line = line(f, json!({})).await;
    let stocked = stocked(f, line).await;
    assert_eq!(f.write(Guard::None, finding(f, &stocked)).await, GOES_ON);
    let tree = f.one("shop/customer").await;
    let mut joins = joining(f, &tree, &f.load(stocked.id).await);
    Arc::make_mut(&mut joins.tree).parts[0].status = PartStatus::Ready;
    joins.changed.push(0);
    joins.outcome = Some(f.readiness());
    joins.owns = vec![(1, customer())];
    let written = f.write(Guard::None, joins).await;
    assert!(matches!(written, Written::Done(RequestAfter::Fulfilled { .. })), "{written:?}");
}

//! Stock that is asked about again: what holds stays, what drifted is set aside, what comes back is stock once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use sixpack_model::ids::{LeaseId, LineId, RequestId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::plan::{Change, Outcome, Readiness};
use sixpack_model::request::RequestStatus;
use sixpack_model::schema::Entity;
use sixpack_model::tree::{Ending, PartStatus, Tree};

use super::factories::{ENVIRONMENT, FRESH_FOR_MS};
use super::fixture::Fixture;
use super::stock::{asking_stock_only, coming, level, line, served, status, stocked, wish};
use crate::requests::{Created, Filled, How, Looking, NewRequest, UnitFill};
use crate::stock::Discard;
use crate::trees::{Guard, LeaseEnd, RequestAfter, RequestEnd, Written};

/// A decision that a dataset was found to hold, or not, as it stands now.
fn concluded(f: &Fixture, tree: &Tree, status: PartStatus, outcome: Outcome) -> Change {
    let mut change = f.part_change(tree, 0, |root| root.status = status);
    change.outcome = Some(outcome);
    change
}

/// A request that was given one dataset whose evidence is not fresh.
async fn asked_about(f: &Fixture, line: LineId) -> (RequestId, Tree) {
    let tree = stocked(f, line).await;
    f.clock.advance_ms(FRESH_FOR_MS + 1);
    let new = NewRequest { looking: Looking::InStock, ..asking_stock_only(f, &wish(f, &[line]), 1) };
    let id = new.request.id;
    let served = served(f, new).await;
    assert_eq!((served.taken[0].tree, served.taken[0].how, served.leases), (tree.id, How::Suspect, None));
    (id, f.load(tree.id).await)
}

fn fill(f: &Fixture, line: LineId, request: RequestId, looking: Looking) -> UnitFill {
    let wish = Some(wish(f, &[line]));
    let (but, leases) = (BTreeSet::new(), vec![LeaseId(f.id())]);
    UnitFill { request, unit: 0, wish, looking, but, tree: None, leases }
}

pub async fn what_is_not_fresh_is_taken_to_be_asked_about(f: &Fixture) {
    let line = line(f, json!({})).await;
    let (id, tree) = asked_about(f, line).await;
    assert_eq!((tree.root().status, tree.request), (PartStatus::Suspect, id));
    assert_eq!(f.store.suspects(None, 10).await.unwrap(), [(tree.id, true)]);
    let request = f.store.request(id).await.unwrap().unwrap();
    assert_eq!((request.status, request.ready), (RequestStatus::Building, 0));
    let written = f.write(Guard::None, concluded(f, &tree, PartStatus::Ready, f.readiness())).await;
    assert!(matches!(written, Written::Done(RequestAfter::Fulfilled { .. })), "{written:?}");
    assert_eq!(f.store.suspects(None, 10).await.unwrap(), []);
}

pub async fn a_unit_whose_dataset_does_not_hold_is_given_another_one_once(f: &Fixture) {
    let line = line(f, json!({})).await;
    let (id, tree) = asked_about(f, line).await;
    let quarantined =
        || concluded(f, &tree, PartStatus::Quarantined, Outcome::Quarantined(Box::new(f.failure())));
    assert_eq!(f.write(Guard::None, quarantined()).await, Written::Done(RequestAfter::Vacant));
    assert_eq!(f.store.vacant_units(None, 10).await.unwrap(), [(id, 0)]);
    assert_eq!(f.store.trees_of(id).await.unwrap(), []);
    assert_eq!(f.store.fill_unit(fill(f, line, id, Looking::InStock)).await.unwrap(), Filled::Short);
    assert_eq!(f.store.vacant_units(None, 10).await.unwrap(), [(id, 0)], "nothing was written");

    let other = stocked(f, line).await;
    let filled = f.store.fill_unit(fill(f, line, id, Looking::InStock)).await.unwrap();
    let Filled::Served(served) = filled else { panic!("{filled:?}") };
    assert_eq!((served.taken[0].tree, served.taken[0].how), (other.id, How::Ready));
    assert_eq!(served.leases.unwrap()[0].tree, other.id);
    assert_eq!(status(f, id).await, RequestStatus::Fulfilled);
    assert_eq!(f.store.fill_unit(fill(f, line, id, Looking::InStock)).await.unwrap(), Filled::NotVacant);
    assert_eq!(f.store.vacant_units(None, 10).await.unwrap(), []);
    let set_aside = f.load(tree.id).await;
    assert_eq!((set_aside.root().status, set_aside.lease), (PartStatus::Quarantined, None));
}

pub async fn what_could_not_be_handed_over_is_not_taken_once_more(f: &Fixture) {
    let line = line(f, json!({})).await;
    let (id, tree) = asked_about(f, line).await;
    let Outcome::Ready(readiness) = f.readiness() else { panic!("it is ready") };
    let readiness = Readiness { ready_at: f.now(), fresh_until: f.now(), ..readiness };
    let held_back = concluded(f, &tree, PartStatus::Ready, Outcome::HeldBack(readiness));
    assert_eq!(f.write(Guard::None, held_back).await, Written::Done(RequestAfter::Vacant));
    assert_eq!(level(f, line).await, (1, 0), "it is in stock again");
    let fill = |but| f.store.fill_unit(UnitFill { but, ..fill(f, line, id, Looking::InStock) });
    assert_eq!(fill(BTreeSet::from([tree.id])).await.unwrap(), Filled::Short);
    let filled = fill(BTreeSet::new()).await.unwrap();
    let Filled::Served(served) = filled else { panic!("{filled:?}") };
    assert_eq!((served.taken[0].tree, served.taken[0].how), (tree.id, How::Suspect));
}

pub async fn a_unit_of_a_request_that_has_ended_needs_no_dataset(f: &Fixture) {
    let line = line(f, json!({})).await;
    let (id, tree) = asked_about(f, line).await;
    let quarantined =
        concluded(f, &tree, PartStatus::Quarantined, Outcome::Quarantined(Box::new(f.failure())));
    f.write(Guard::None, quarantined).await;
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(id, RequestStatus::Cancelled, end).await.unwrap();
    assert_eq!(f.store.vacant_units(None, 10).await.unwrap(), []);
    stocked(f, line).await;
    assert_eq!(f.store.fill_unit(fill(f, line, id, Looking::InStock)).await.unwrap(), Filled::NotVacant);
    assert_eq!(level(f, line).await, (1, 0));
}

pub async fn what_other_versions_have_made_is_taken_out_of_stock_and_counts_as_coming(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = stocked(f, line).await;
    let wish = wish(f, &[line]);
    let suspect = |version| f.store.suspect_stock(line, version, &wish.pins, 10);
    assert_eq!(suspect(1).await.unwrap(), []);
    assert_eq!(suspect(2).await.unwrap(), [tree.id]);
    assert_eq!(level(f, line).await, (0, 1));
    assert_eq!(f.store.suspects(None, 10).await.unwrap(), [(tree.id, false)]);
    let suspect = f.load(tree.id).await;
    assert_eq!((suspect.root().status, suspect.version), (PartStatus::Suspect, tree.version + 1));
    let written = f.write(Guard::None, concluded(f, &suspect, PartStatus::Ready, f.readiness())).await;
    assert_eq!(written, Written::Done(RequestAfter::Stocked));
    assert_eq!(level(f, line).await, (1, 0));
}

pub async fn what_is_found_to_hold_is_fresh_again(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = stocked(f, line).await;
    let made_at = f.now();
    f.clock.advance_ms(FRESH_FOR_MS + 1);
    let Outcome::Ready(readiness) = f.readiness() else { panic!("it is ready") };
    let confirmed = Outcome::Confirmed(Readiness { ready_at: made_at, ..readiness });
    let written = f.write(Guard::None, concluded(f, &tree, PartStatus::Ready, confirmed)).await;
    assert_eq!(written, Written::Done(RequestAfter::GoesOn));
    let there = f.store.stocked(line, None, 10).await.unwrap();
    assert_eq!(there.iter().map(|one| (one.tree, one.checked_at)).collect::<Vec<_>>(), [(tree.id, f.now())]);
    assert_eq!(f.store.stocked(line, there.first(), 10).await.unwrap(), []);
    served(f, asking_stock_only(f, &wish(f, &[line]), 1)).await;
}

pub async fn what_is_found_not_to_hold_leaves_stock(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = stocked(f, line).await;
    let mut quarantined =
        concluded(f, &tree, PartStatus::Quarantined, Outcome::Quarantined(Box::new(f.failure())));
    Arc::make_mut(&mut quarantined.tree).parts[0].ready_at = Some(f.now());
    let written = f.write(Guard::None, quarantined).await;
    assert_eq!(written, Written::Done(RequestAfter::Quarantined));
    assert_eq!(level(f, line).await, (0, 0));
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), [], "it waits for a person");
    // Who decides about it is the only one.
    let tree = f.load(tree.id).await;
    assert!(matches!(f.write(Guard::Quarantined, f.ready(&tree)).await, Written::Done(_)));
    let tree = f.load(tree.id).await;
    assert_eq!(f.write(Guard::Quarantined, f.ready(&tree)).await, Written::Refused);
}

pub async fn what_is_given_back_comes_into_stock_when_it_holds(f: &Fixture) {
    let line = line(f, json!({})).await;
    stocked(f, line).await;
    let served = served(f, asking_stock_only(f, &wish(f, &[line]), 1)).await;
    let lease = served.leases.unwrap().remove(0);
    let end = LeaseEnd {
        lease: lease.id,
        fence: Some(lease.fence),
        status: LeaseStatus::Released,
        outcome: Some(LeaseOutcome::Unused),
        note: None,
        revoked_by: None,
    };
    let mut back = f.part_change(&f.load(lease.tree).await, 0, |root| root.status = PartStatus::Checking);
    Arc::make_mut(&mut back.tree).lease = None;
    assert_eq!(f.write(Guard::Lease(end), back).await, Written::Done(RequestAfter::GoesOn));
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), []);
    let tree = f.load(lease.tree).await;
    let written = f.write(Guard::None, concluded(f, &tree, PartStatus::Ready, f.readiness())).await;
    assert_eq!(written, Written::Done(RequestAfter::Stocked));
    assert_eq!(f.store.level(line, 10).await.unwrap().came_back, 1);
    let again = served_once_more(f, line).await;
    assert_eq!(again.tree, lease.tree);
    assert!(again.fence > lease.fence);
}

async fn served_once_more(f: &Fixture, line: LineId) -> Lease {
    served(f, asking_stock_only(f, &wish(f, &[line]), 1)).await.leases.unwrap().remove(0)
}

pub async fn what_owns_something_of_somebody_else_is_left_in_stock(f: &Fixture) {
    let line = line(f, json!({})).await;
    let entity = Entity { kind: "customer".to_owned(), key: "42".to_owned() };
    let mut trees = Vec::new();
    for _ in 0..2 {
        f.clock.advance_ms(1);
        let (_, tree) = coming(f, line).await;
        let mut change = f.ready(&tree);
        change.owns = vec![(1, entity.clone())];
        assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::Stocked));
        trees.push(tree.id);
    }
    let first = served_once_more(f, line).await;
    assert_eq!(first.tree, trees[0]);
    let short = f.store.create_request(asking_stock_only(f, &wish(f, &[line]), 1)).await.unwrap();
    assert_eq!(short, Created::Short);
    let mut gone = f.part_change(&f.load(first.tree).await, 0, |root| root.status = PartStatus::Undoing);
    let tree = Arc::make_mut(&mut gone.tree);
    (tree.lease, tree.ending) = (None, Some(Ending::Used));
    f.clock.advance_ms(super::factories::TTL_MS as i64);
    assert!(matches!(f.write(Guard::Overdue(first.id), gone).await, Written::Done(_)));
    assert_eq!(served_once_more(f, line).await.tree, trees[1]);
}

pub async fn what_drifted_is_set_aside_and_counted_with_its_contract(f: &Fixture) {
    let line = line(f, json!({})).await;
    let tree = stocked(f, line).await;
    let failure = f.failure();
    let contract = failure.contract.to_string();
    assert_eq!(f.store.drifted(ENVIRONMENT, &contract).await.unwrap(), 0);
    let change = f.part_change(&tree, 0, |root| {
        root.status = PartStatus::Quarantined;
        root.ready_at = Some(f.now());
    });
    let change = Change { outcome: Some(Outcome::Quarantined(Box::new(failure))), ..change };
    assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::Quarantined));
    assert_eq!((level(f, line).await, f.store.drifted(ENVIRONMENT, &contract).await.unwrap()), ((0, 0), 1));
    assert_eq!(f.store.drifted("qa2", &contract).await.unwrap(), 0);
    let written = f.write(Guard::None, f.ready(&f.load(tree.id).await)).await;
    assert_eq!((written, level(f, line).await), (Written::Done(RequestAfter::Stocked), (1, 0)));
}

/// Set aside, and brought back by a person.
async fn set_aside_and_back(f: &Fixture, tree: &Tree) {
    let ready_at = set_aside(f, tree).await;
    bring_back(f, tree, ready_at).await;
}

async fn set_aside(f: &Fixture, tree: &Tree) -> Timestamp {
    let mut change = concluded(f, tree, PartStatus::Quarantined, Outcome::Quarantined(Box::new(f.failure())));
    let ready_at = f.store.stocked(tree.line.unwrap(), None, 100).await.unwrap();
    let ready_at = ready_at.into_iter().find(|one| one.tree == tree.id).unwrap().ready_at;
    Arc::make_mut(&mut change.tree).parts[0].ready_at = Some(ready_at);
    assert_eq!(f.write(Guard::None, change).await, Written::Done(RequestAfter::Quarantined));
    ready_at
}

async fn bring_back(f: &Fixture, tree: &Tree, ready_at: Timestamp) {
    let Outcome::Ready(readiness) = f.readiness() else { panic!("it is ready") };
    let back = Outcome::Ready(Readiness { ready_at, ..readiness });
    let written = f.write(Guard::None, concluded(f, &f.load(tree.id).await, PartStatus::Ready, back)).await;
    assert_eq!(written, Written::Done(RequestAfter::Stocked));
}

pub async fn what_comes_back_is_the_oldest_however_many_were_taken_since(f: &Fixture) {
    let line = line(f, json!({})).await;
    let first = stocked(f, line).await;
    let ready_at = set_aside(f, &first).await;
    for _ in 0..13 {
        f.clock.advance_ms(1_000);
        for _ in 0..20 {
            stocked(f, line).await;
        }
        let taken = served(f, asking_stock_only(f, &wish(f, &[line]), 20)).await.taken;
        assert_eq!(taken.len(), 20);
    }
    let last = stocked(f, line).await;
    bring_back(f, &first, ready_at).await;
    for tree in [first.id, last.id] {
        assert_eq!(served(f, asking_stock_only(f, &wish(f, &[line]), 1)).await.taken[0].tree, tree);
    }
}

pub async fn what_came_back_is_counted_and_stays_beyond_what_is_kept(f: &Fixture) {
    let line = line(f, json!({})).await;
    let mut trees = Vec::new();
    for _ in 0..3 {
        trees.push(stocked(f, line).await);
        f.clock.advance_ms(1);
    }
    set_aside_and_back(f, &trees[0]).await;
    let there = f.store.level(line, 10).await.unwrap();
    assert_eq!((there.ready, there.came_back), (3, 1));
    let keep = |keep, made_before| f.store.discard_stock(line, Discard { keep, made_before }, 10);
    assert_eq!(keep(2, None).await.unwrap(), [], "two were made, and one is there beside them");
    assert_eq!(keep(1, None).await.unwrap(), [trees[1].id], "the oldest that was made for stock goes");
    let there = f.store.level(line, 10).await.unwrap();
    assert_eq!((there.ready, there.came_back), (2, 1));
    let before = Some(f.in_ms(-1));
    assert_eq!(keep(1, before).await.unwrap(), [trees[0].id], "its age counts as well");
    assert_eq!(level(f, line).await, (1, 0));

    let last = stocked(f, line).await;
    set_aside_and_back(f, &last).await;
    assert_eq!(keep(0, None).await.unwrap(), [trees[2].id, last.id], "nothing is kept at all");
}

pub async fn what_came_back_and_is_asked_about_anew_has_come_back_all_the_same(f: &Fixture) {
    let line = line(f, json!({})).await;
    let (back, made) = (stocked(f, line).await, stocked(f, line).await);
    set_aside_and_back(f, &back).await;
    let pins = Arc::clone(&wish(f, &[line]).pins);
    assert_eq!(f.store.suspect_stock(line, 2, &pins, 10).await.unwrap().len(), 2);
    for tree in [back.id, made.id] {
        let written =
            f.write(Guard::None, concluded(f, &f.load(tree).await, PartStatus::Ready, f.readiness())).await;
        assert_eq!(written, Written::Done(RequestAfter::Stocked));
    }
    let there = f.store.level(line, 10).await.unwrap();
    assert_eq!((there.ready, there.came_back), (2, 1));
}

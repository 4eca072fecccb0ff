//! Datasets: listed newest first, counted, and what is owed.

use std::collections::BTreeSet;

use sixpack_model::debt::ResolvedDebt;
use sixpack_model::ids::DatasetId;
use sixpack_model::tree::{Operation, PartStatus, Tree};

use super::factories::{Order, Supplier, ready_task};
use super::fixture::Fixture;
use crate::datasets::DatasetFilter;
use crate::page::{LOOK, Listed, Page};
use crate::trees::Guard;

async fn list(f: &Fixture, filter: DatasetFilter) -> Vec<DatasetId> {
    let found = f.store.datasets(&filter, Page::first(100)).await.unwrap();
    found.rows.iter().map(|row| row.id).collect()
}

pub async fn roots_are_listed_newest_first(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(&["shop/customer"]).times(4)).await;
    let mut expected: Vec<_> = trees.iter().map(|tree| tree.id.root()).collect();
    expected.reverse();
    assert_eq!(list(f, DatasetFilter::default()).await, expected);
    let page = Page { after: Some(expected[0]), limit: 2 };
    let rows = f.store.datasets(&DatasetFilter::default(), page).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), expected[1..3]);
    let row = &rows[0];
    assert_eq!((row.environment.as_str(), row.contract.as_str()), ("staging", "shop/ready-customer"));
    assert_eq!((row.version, row.status, row.created_at), (1, PartStatus::Building, f.now()));
}

pub async fn a_long_list_is_read_once_while_rows_come_in(f: &Fixture) {
    // A hundred thousand datasets: as many requests as there are pages, each as large as one may be.
    let mut staying = BTreeSet::new();
    for _ in 0..100 {
        f.clock.advance_ms(1);
        let (_, trees) = f.accept(Order::of(&[]).times(1_000)).await;
        staying.extend(trees.iter().map(|tree| tree.id.root()));
    }
    let mut seen = BTreeSet::new();
    let mut after = None;
    loop {
        let page = f.store.datasets(&DatasetFilter::default(), Page { after, limit: 1_000 }).await.unwrap();
        for row in &page.rows {
            assert!(seen.insert(row.id), "{} comes twice", row.id);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
        // The clock stands still: the new ones are of the very millisecond in which the list begins.
        f.accept(Order::of(&[]).times(10)).await;
    }
    assert_eq!(seen, staying, "every row that was there all the time, and no page has moved");
}

pub async fn a_page_looks_at_so_many_rows_and_says_where_it_goes_on(f: &Fixture) {
    let sought = f.one("shop/customer").await;
    f.finish(&sought).await;
    let elsewhere = Order { environment: "qa2".to_owned(), ..Order::of(&["shop/customer"]) };
    let other = f.accept(elsewhere).await.1.remove(0);
    for _ in 0..=LOOK / 1_000 {
        f.accept(Order::of(&[]).times(1_000)).await;
    }
    // Neither the environment of a root nor the status of what is of a contract is in an index.
    let contract = Some(sought.root().contract.to_string());
    let leased = DatasetFilter { contract, status: Some(PartStatus::Leased), ..Default::default() };
    let there = DatasetFilter { environment: Some("qa2".to_owned()), ..Default::default() };
    for (filter, expected) in [(leased, sought.id.root()), (there, other.id.root())] {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = f.store.datasets(&filter, Page { after, limit: 10 }).await.unwrap();
            found.extend(page.rows.iter().map(|row| row.id));
            (after, pages) = (page.next, pages + 1);
            if after.is_none() {
                break;
            }
            assert!(page.rows.is_empty() && pages < 10, "page {pages}: {page:?}");
        }
        assert_eq!((found, pages > 1), (vec![expected], true), "{filter:?} took {pages} pages");
    }
    let nowhere = DatasetFilter { environment: Some("nowhere".to_owned()), ..Default::default() };
    assert_eq!(f.store.datasets(&nowhere, Page::first(10)).await.unwrap(), Listed::empty());
}

pub async fn a_contract_finds_parts_as_well(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(&["shop/customer", "shop/account", "shop/account"])).await;
    let tree = trees[0].id;
    let contract = Some("shop/account".to_owned());
    let filter = DatasetFilter { contract, ..Default::default() };
    assert_eq!(list(f, filter.clone()).await, [tree.part(3), tree.part(2)]);
    let page = Page { after: Some(tree.part(3)), limit: 10 };
    let rows = f.store.datasets(&filter, page).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [tree.part(2)]);
}

pub async fn environment_and_status_narrow_a_list(f: &Fixture) {
    let here = f.one("shop/customer").await;
    let there = f.accept(Order { environment: "qa2".to_owned(), ..Order::of(&["shop/customer"]) }).await.1;
    f.finish(&here).await;
    let environment = Some("qa2".to_owned());
    let filter = DatasetFilter { environment: environment.clone(), ..Default::default() };
    assert_eq!(list(f, filter).await, [there[0].id.root()]);
    let status = Some(PartStatus::Leased);
    let filter = DatasetFilter { status, ..Default::default() };
    assert_eq!(list(f, filter).await, [here.id.root()]);
    let filter = DatasetFilter { status, environment, ..Default::default() };
    assert_eq!(list(f, filter).await, []);
    let contract = Some("shop/customer".to_owned());
    let building = Some(PartStatus::Building);
    let filter = DatasetFilter { contract: contract.clone(), status: building, ..Default::default() };
    assert_eq!(list(f, filter).await, [there[0].id.part(1), here.id.part(1)]);
    let environment = Some("qa2".to_owned());
    let filter = DatasetFilter { contract, environment, ..Default::default() };
    assert_eq!(list(f, filter).await, [there[0].id.part(1)]);
}

pub async fn a_root_is_found_by_what_it_has_become_also_by_its_contract(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    f.finish(&tree).await;
    let leased = f.load(tree.id).await;
    let contract = Some(leased.root().contract.to_string());
    let of_status =
        |status| DatasetFilter { contract: contract.clone(), status: Some(status), ..Default::default() };
    assert_eq!(leased.root().status, PartStatus::Leased);
    assert_eq!(list(f, of_status(PartStatus::Leased)).await, [tree.id.root()]);
    assert_eq!(list(f, of_status(PartStatus::Ready)).await, []);
    let rows = f.store.datasets(&of_status(PartStatus::Leased), Page::first(10)).await.unwrap().rows;
    assert_eq!(rows[0].status, PartStatus::Leased);
}

pub async fn debts_are_listed_oldest_first(f: &Fixture) {
    let mut expected = Vec::new();
    for _ in 0..3 {
        let tree = f.one("shop/customer").await;
        let change = f.part_change(&tree, 1, |part| part.status = PartStatus::Debt);
        f.write(Guard::None, change).await;
        expected.push(tree.id.part(1));
    }
    let debts = async |environment: Option<&str>, page: Page<DatasetId>| {
        let found = f.store.debts(environment, page).await.unwrap();
        found.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(debts(None, Page::first(2)).await, expected[..2]);
    assert_eq!(debts(Some("staging"), Page { after: Some(expected[1]), limit: 2 }).await, expected[2..]);
    assert_eq!(debts(Some("qa2"), Page::first(2)).await, []);
}

pub async fn a_debt_that_is_resolved_is_listed_no_more_and_its_tree_goes_in_its_time(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let set = async |part: u32, status: PartStatus, resolved: Option<ResolvedDebt>| {
        let change = f.part_change(&f.load(tree.id).await, part, |part| {
            part.status = status;
            part.resolved = resolved.map(Box::new);
        });
        f.write(Guard::None, change).await;
    };
    set(1, PartStatus::Debt, None).await;
    set(0, PartStatus::Debt, None).await;
    let debts = async || {
        let found = f.store.debts(None, Page::first(10)).await.unwrap();
        found.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(debts().await.len(), 2);
    f.clock.advance_ms(10_000);
    assert_eq!(f.store.prune_trees(1, None, 10).await.unwrap().gone, []);
    let resolved = ResolvedDebt { by: "ada".to_owned(), reason: "removed by hand".to_owned(), at: f.now() };
    set(1, PartStatus::Gone, Some(resolved.clone())).await;
    set(0, PartStatus::Gone, None).await;
    assert_eq!(debts().await, []);
    assert_eq!(f.load(tree.id).await.parts[1].resolved, Some(Box::new(resolved)));
    f.clock.advance_ms(500);
    assert_eq!(
        f.store.prune_trees(1_000, None, 10).await.unwrap().gone,
        [],
        "it is over since it was resolved"
    );
}

pub async fn trees_are_counted_by_the_status_of_their_root(f: &Fixture) {
    assert_eq!(f.store.count_trees().await.unwrap(), []);
    let (_, trees) = f.accept(Order::of(&["shop/customer"]).times(3)).await;
    f.write(Guard::None, f.ready(&trees[0])).await;
    let counted = f.store.count_trees().await.unwrap();
    assert_eq!(counted, [(PartStatus::Building, 2), (PartStatus::Ready, 1)]);
}

/// Turns the task of a part into an undo that is ready now.
async fn undoing(f: &Fixture, tree: &Tree, part: u32) {
    let session = f.supplier(Supplier::of(&["shop/customer", "shop/account"])).await;
    let claims = f.claim(session, 10).await;
    let claim = claims.iter().find(|task| task.claim.task.part == part).expect("it is ready").claim;
    let ready_at = f.now();
    let mut change = f.part_change(tree, part, |part| {
        part.status = PartStatus::Undoing;
        part.serials += 1;
        let task = part.task.as_mut().expect("it has one");
        (task.serial, task.operation, task.ready_at) = (part.serials, Operation::Undo, ready_at);
    });
    change.ready = ready_task(&change.tree.parts[part as usize]).into_iter().collect();
    f.write(Guard::Claim(claim), change).await;
    f.store.drain_session(session).await.unwrap();
    f.store.return_claims(&claims.iter().map(|task| task.claim).collect::<Vec<_>>()).await.unwrap();
}

pub async fn undos_that_nobody_performs_are_listed_and_counted_after_the_grace(f: &Fixture) {
    const GRACE_MS: u64 = 10_000;
    let (_, trees) = f.accept(Order::of(&["shop/customer", "shop/account"])).await;
    undoing(f, &trees[0], 1).await;
    f.one("shop/customer").await;
    let since = f.now();
    let waiting = async |environment: Option<&str>, after: Option<DatasetId>| {
        f.store.waiting_undos(environment, GRACE_MS, Page { after, limit: 10 }).await.unwrap()
    };
    f.clock.advance_ms(GRACE_MS as i64 - 1);
    assert_eq!(waiting(None, None).await, []);
    assert_eq!(f.store.count_waiting_undos(GRACE_MS).await.unwrap(), []);
    f.clock.advance_ms(1);
    let part = trees[0].id.part(1);
    assert_eq!(waiting(None, None).await, [(part, since)], "what is to be made is no undo");
    assert_eq!(waiting(Some("staging"), None).await, [(part, since)]);
    assert_eq!(waiting(Some("qa2"), None).await, []);
    assert_eq!(waiting(None, Some(part)).await, []);
    assert_eq!(f.store.count_waiting_undos(GRACE_MS).await.unwrap(), [("staging".to_owned(), 1)]);
    f.supplier(Supplier::of(&["shop/customer"])).await;
    assert_eq!(waiting(None, None).await, []);
}

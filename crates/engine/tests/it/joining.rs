//! Joining: a scenario is made of what its children have in stock, and goes as it would had it made them itself.

use serde_json::json;
use sixpack_engine::{DatasetFilter, DatasetView, Import, Page, Refusal, Wanted};
use sixpack_model::find::Origin;
use sixpack_model::ids::{DatasetId, SessionId, TreeId};
use sixpack_model::import::ImportedRow;
use sixpack_model::lease::{Lease, LeaseOutcome};
use sixpack_model::request::{RequestStatus, Source};
use sixpack_model::tree::{Ending, PartStatus, Tree};

use crate::stock::{from, stock_first};
use crate::town::{ALL, Town, capability, made, with_pair};

/// A scenario with a pair in it, and what needs the pair.
pub(crate) const OUTER: &str = r#"
scenario: shop/outer
owner: { team: Shop, contact: shop@shop.test }
steps:
  pair: { uses: shop/pair, with: {} }
  more: { uses: a/first, with: { of: "${{ steps.pair.first }}" } }
output:
  more: "${{ steps.more.id }}"
"#;

/// A town in which so many pairs are kept, all of them there already.
async fn with_outer(target: u32) -> (Town, SessionId, SessionId) {
    let (town, a, b) = with_pair().await;
    town.apply(OUTER).await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": target })).await;
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (u64::from(target), 0));
    (town, a, b)
}

async fn ready(town: &Town) -> Vec<TreeId> {
    let page: Page<DatasetId> = Page::first(100);
    let all = town.engine.datasets(&town.consumer(), DatasetFilter::default(), page).await;
    let all = all.expect("a list").rows.into_iter();
    all.filter(|view| view.tree.root().status == PartStatus::Ready).map(|view| view.tree.id).collect()
}

async fn dataset(town: &Town, tree: TreeId) -> DatasetView {
    town.engine.dataset(&town.consumer(), tree.root()).await.expect("it is there")
}

/// Lets suppliers do all that is asked now; returns each operation with the key under which it was asked.
async fn keys(town: &Town, sessions: [SessionId; 2]) -> Vec<String> {
    let mut keys = Vec::new();
    loop {
        let before = keys.len();
        for session in sessions {
            for task in town.claim(session).await {
                assert_eq!(task.idempotency_key, task.dataset.to_string());
                keys.push(format!("{} {}", task.operation.name(), task.idempotency_key));
                town.answer(session, &task, crate::town::well(&task)).await;
            }
        }
        if keys.len() == before {
            return keys;
        }
    }
}

async fn release(town: &Town, lease: &Lease) {
    let consumer = town.consumer();
    let released = town.engine.release_lease(&consumer, lease.id, lease.fence, LeaseOutcome::Used, None);
    released.await.expect("it is held");
}

fn part<'t>(tree: &'t Tree, steps: &str) -> &'t sixpack_model::tree::Part {
    tree.parts.iter().find(|part| tree.steps_to(part.part) == steps).expect("such a part")
}

#[tokio::test]
async fn a_child_from_stock_is_asked_and_undone_by_the_keys_it_was_made_with() {
    let (town, a, b) = with_outer(1).await;
    let [stocked] = ready(&town).await[..] else { panic!("one is in stock") };
    let id = town.ask_for(stock_first("shop/outer")).await.expect("the request is accepted");
    assert_eq!(town.level("pairs").await, (0, 0), "nobody else can have it");

    // All of it is on the disk.
    let town = town.restarted().await;
    let view = town.request(id).await;
    let tree = view.trees[0].id;
    let pair = part(&view.trees[0], "pair");
    assert_eq!((pair.status, pair.from_stock()), (PartStatus::Ready, Some(stocked)));
    let over = dataset(&town, stocked).await.tree;
    assert_eq!((over.ending, over.root().status), (Some(Ending::Joined), PartStatus::Gone));
    assert_eq!(over.moved(0), Some(tree.part(1)));

    let more = part(&view.trees[0], "more").part;
    let (first, second) = (stocked.part(1), stocked.part(2));
    let mut asked = keys(&town, [a, b]).await;
    asked.sort();
    let mut expected = [
        format!("produce {}", tree.part(more)),
        format!("check {}", tree.part(more)),
        format!("check {first}"),
        format!("check {second}"),
    ];
    expected.sort();
    assert_eq!(asked, expected, "nothing of the child is made");
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);

    let lease = &view.leases[0];
    release(&town, lease).await;
    let undone = [format!("undo {}", tree.part(more)), format!("undo {second}"), format!("undo {first}")];
    assert_eq!(keys(&town, [a, b]).await, undone, "the newest first");
    assert_eq!(dataset(&town, tree).await.tree.root().status, PartStatus::Gone);

    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0), "stock is filled behind it");
}

#[tokio::test]
async fn what_has_joined_is_a_hit_of_its_line_and_what_was_missing_a_miss() {
    let (town, a, b) = with_outer(1).await;
    let first = town.take(stock_first("shop/outer")).await;
    let second = town.take(stock_first("shop/outer")).await;
    assert!(part(&first.trees[0], "pair").from_stock().is_some());
    let pair = part(&second.trees[0], "pair");
    assert_eq!((pair.status, pair.from_stock()), (PartStatus::Building, None), "there was only one");
    town.settle(&[a, b]).await;
    for view in [first, second] {
        assert_eq!(town.request(view.request.id).await.request.status, RequestStatus::Fulfilled);
    }
    let stock = town.stock("pairs").await;
    assert_eq!((stock.ready, stock.counts.hits, stock.counts.misses), (1, 1, 1));
}

#[tokio::test]
async fn of_several_at_once_each_takes_another_one() {
    let (town, a, b) = with_outer(3).await;
    let one = stock_first("shop/outer");
    let four = Wanted { units: vec![one.units[0].clone(); 4], ..one };
    let view = town.take(four).await;
    let mut stocked: Vec<TreeId> =
        view.trees.iter().filter_map(|tree| part(tree, "pair").from_stock()).collect();
    stocked.sort();
    stocked.dedup();
    assert_eq!(stocked.len(), 3);
    town.settle(&[a, b]).await;
    assert_eq!(town.request(view.request.id).await.request.status, RequestStatus::Fulfilled);
    assert_eq!(town.level("pairs").await, (3, 0));
}

#[tokio::test]
async fn who_wants_it_made_has_its_children_made() {
    let (town, ..) = with_outer(1).await;
    let view = town.take(from(Source::Fresh, "shop/outer", json!({}))).await;
    assert_eq!(part(&view.trees[0], "pair").from_stock(), None);
    assert_eq!(town.level("pairs").await, (1, 0));
}

#[tokio::test]
async fn a_rule_is_not_filled_from_another_one() {
    let (town, a, b) = with_outer(1).await;
    town.keep("outers", json!({ "contract": "shop/outer", "target": 1 })).await;
    assert_eq!(town.level("pairs").await, (1, 0), "it would only be missing there");
    town.settle(&[a, b]).await;
    assert_eq!((town.level("pairs").await, town.level("outers").await), ((1, 0), (1, 0)));
}

#[tokio::test]
async fn a_late_answer_about_what_has_joined_is_undone_with_it() {
    let (town, a, b) = with_pair().await;
    town.apply(OUTER).await;
    let other = town.connect_as("a", "two", &[capability("first", ALL)]).await.expect("it connects").id;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    let lost = town.claim_one(other).await;
    town.pass_s(20, &[a, b]).await;
    town.pass_s(2, &[a, b]).await;
    town.settle(&[a, b]).await;
    let [stocked] = ready(&town).await[..] else { panic!("one is in stock") };
    let id = town.ask_for(stock_first("shop/outer")).await.expect("the request is accepted");
    town.answer(a, &lost, made("late")).await;

    let tree = &town.request(id).await.trees[0];
    assert_eq!(part(tree, "pair › first").orphans, [json!({ "id": "late" })]);
    assert!(dataset(&town, stocked).await.tree.parts.iter().all(|part| part.task.is_none()));
    town.settle(&[a, b]).await;
    let lease = town.request(id).await.leases[0].clone();
    release(&town, &lease).await;
    let undone = keys(&town, [a, b]).await;
    let twice = undone.iter().filter(|undone| **undone == format!("undo {}", stocked.part(1)));
    assert_eq!(twice.count(), 2, "what was recorded, and what came late: {undone:?}");
}

#[tokio::test]
async fn what_was_imported_is_left_alone_as_a_child_and_free_when_its_dataset_is_over() {
    let (town, a, b) = with_pair().await;
    let import = async || {
        let row = ImportedRow { input: json!({}).into(), output: json!({ "id": "one" }).into() };
        let contract = "a/first".parse().expect("a name");
        let import = Import { environment: "default".to_owned(), contract, rows: vec![row] };
        town.engine.import(&town.supplier(), import).await
    };
    import().await.expect("a sound row");
    assert_eq!(town.serve(a).await, ["check a/first"]);
    let view = town.take(stock_first("shop/pair")).await;
    let first = part(&view.trees[0], "first");
    assert_eq!((first.origin, first.from_stock().is_some()), (Origin::Imported, true));
    town.settle(&[a, b]).await;
    let view = town.request(view.request.id).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    assert!(matches!(import().await, Err(Refusal::Rows(_))), "it is somebody's");

    release(&town, &view.leases[0]).await;
    assert_eq!((town.serve(a).await, town.serve(b).await), (vec![], vec!["undo b/second".to_owned()]));
    import().await.expect("it is nobody's any more");
}

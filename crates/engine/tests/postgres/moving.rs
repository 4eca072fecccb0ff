//! Moving: what was begun over one kind of store is shown by the other, and goes on there.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use sixpack_engine::{Engine, EngineSettings, Receipt};
use sixpack_model::request::RequestStatus;
use sixpack_storage::datasets::DatasetFilter;
use sixpack_storage::leases::LeaseFilter;
use sixpack_storage::moving::{MoveError, MovedTable};
use sixpack_storage::page::Page;
use sixpack_storage::requests::RequestFilter;
use sixpack_storage::sqlite::{Settings, SqliteStore};
use sixpack_storage::{Durability, ManualClock, Store, StoreError, postgres, sqlite};

use crate::place::Place;
use crate::town::{ALL, Town, capability, open, refused, wanted, well, with_pair};

/// Everything that a store shows, as text.
async fn shown(store: &dyn Store) -> String {
    let requests =
        store.requests(&RequestFilter::default(), Page::first(1000)).await.expect("a store that works").rows;
    let leases =
        store.leases(&LeaseFilter::default(), Page::first(1000)).await.expect("a store that works").rows;
    let datasets =
        store.datasets(&DatasetFilter::default(), Page::first(1000)).await.expect("a store that works").rows;
    let mut trees = Vec::new();
    for dataset in &datasets {
        trees.push(store.load_tree(dataset.id.tree).await.expect("a store that works"));
    }
    let rules = store.rules("default", Page::first(1000)).await.expect("a store that works");
    let sessions = store.sessions(None, Page::first(1000)).await.expect("a store that works");
    let (tokens, environments) = (
        store.tokens().await.expect("a store that works"),
        store.environments().await.expect("a store that works"),
    );
    let catalogue =
        store.catalogue("default").await.expect("a store that works").expect("a store that works");
    // Its map has no order.
    let on_offer: std::collections::BTreeMap<_, _> = catalogue.on_offer.iter().collect();
    let (contracts, in_channels) = (&catalogue.contracts, &catalogue.in_channels);
    format!(
        "{requests:#?} {leases:#?} {trees:#?} {rules:#?} {sessions:#?} {tokens:#?} {environments:#?} \
         {contracts:#?} {in_channels:#?} {on_offer:#?}"
    )
}

async fn export(place: &Place, file: &Path) -> Vec<MovedTable> {
    loop {
        match postgres::moving::export(place.address(), file, &mut |_| {}).await {
            // The database has not noticed yet that its server is gone.
            Err(MoveError::Store(StoreError::Busy { .. })) => tokio::task::yield_now().await,
            other => return other.expect("a store that works"),
        }
    }
}

fn open_folder(folder: &Path, clock: &ManualClock) -> Arc<SqliteStore> {
    let clock = Arc::new(clock.clone());
    let settings = Settings { clock, durability: Durability::TestsOnly, ..Settings::default() };
    Arc::new(SqliteStore::open(folder, settings).expect("a store that works"))
}

/// Everything but what tells of the move itself.
fn compared(tables: &[MovedTable]) -> Vec<&MovedTable> {
    tables.iter().filter(|table| !["event", "meta"].contains(&table.name)).collect()
}

#[tokio::test]
async fn what_was_begun_over_one_store_is_shown_and_goes_on_in_the_other() {
    let (town, a, b) = with_pair().await;
    let odd = town.connect("odd", &[capability("one", ALL)]).await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 2 })).await;
    town.settle(&[a, b]).await;
    let leased = town.ask("shop/pair", json!({})).await;
    town.settle(&[a, b]).await;
    let failed = town.ask("odd/one", json!({ "text": "tab\tline\nback\\slash 'é' \u{1f600}" })).await;
    let task = town.claim_one(odd).await;
    town.answer(odd, &task, refused(false)).await;
    let building = town.ask("shop/pair", json!({})).await;
    let in_hand = town.claim_one(a).await;
    let lease = town.request(leased).await.leases[0].clone();
    assert_eq!(town.request(failed).await.request.status, RequestStatus::Failed);
    let before = shown(&*town.place.store(&town.clock).await).await;
    assert!(before.contains("pairs") && before.contains("tab\\tline"), "{before}");

    // To SQLite: the supplier answers what it has in hand, and the lease is renewed under its fence.
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let Town { engine, clock, place } = town;
    drop(engine);
    let written = export(&place, &first).await;
    let data = folder.path().join("data");
    let taken = sqlite::moving::import(&first, &data, &mut |_| {}).await.unwrap();
    assert_eq!(taken, written);
    let store = open_folder(&data, &clock);
    assert_eq!(shown(&*store).await, before);
    let engine = Engine::start(store, EngineSettings::default()).await.unwrap();
    let town = Town { engine, clock, place };
    assert_eq!(town.answer(a, &in_hand, well(&in_hand)).await, Receipt::Recorded);
    town.engine.renew_lease(&town.consumer(), lease.id, lease.fence, None).await.unwrap();
    town.settle(&[a, b]).await;
    let fulfilled = town.request(building).await;
    assert_eq!(fulfilled.request.status, RequestStatus::Fulfilled);
    assert!(fulfilled.leases[0].fence > lease.fence, "above all of before");

    // And back, into a new schema.
    let Town { engine, clock, .. } = town;
    drop(engine);
    let store = open_folder(&data, &clock);
    let before = shown(&*store).await;
    drop(store);
    let written = sqlite::moving::export(&data, &second, &mut |_| {}).await.unwrap();
    let (place, clock) = Place::new(clock).await;
    let lax = Durability::TestsOnly;
    let taken = postgres::moving::import(&second, place.address(), lax, &mut |_| {}).await.unwrap();
    assert_eq!(taken, written);
    assert_eq!(shown(&*place.store(&clock).await).await, before);
    let engine = open(&place, &clock).await;
    let town = Town { engine, clock, place };
    town.engine.renew_lease(&town.consumer(), lease.id, lease.fence, None).await.unwrap();
    let another = town.ask_for(wanted("shop/pair", json!({}))).await.unwrap();
    town.settle(&[a, b]).await;
    assert_eq!(town.request(another).await.request.status, RequestStatus::Fulfilled);

    // Moved once more without anything that happened, all rows are the same rows.
    let (place, clock) = (town.place.clone(), town.clock.clone());
    drop(town);
    let third = export(&place, &folder.path().join("third")).await;
    let (empty, _) = Place::new(clock).await;
    let file = folder.path().join("third");
    postgres::moving::import(&file, empty.address(), lax, &mut |_| {}).await.unwrap();
    assert_eq!(compared(&export(&empty, &folder.path().join("fourth")).await), compared(&third));
}

//! Contracts: every version kept, published only upon the catalogue that was read.

use serde_json::json;

use super::factories::Supplier;
use super::fixture::Fixture;
use crate::contracts::{Definition, Left, Publication, Published, StoredContract};

fn contract(f: &Fixture, name: &str, version: u32) -> StoredContract {
    StoredContract {
        name: name.to_owned(),
        version,
        definition: Definition::Capability(json!({ "name": name, "timeout_s": 60 })),
        fingerprint: format!("f{version}"),
        change: "new".to_owned(),
        changes: json!([{ "what": "added" }]),
        channel: None,
        published_at: f.now(),
    }
}

fn publication(expected_revision: u64, contracts: Vec<StoredContract>) -> Publication {
    Publication { expected_revision, contracts, ..Publication::default() }
}

pub async fn an_environment_comes_with_its_first_publication(f: &Fixture) {
    assert_eq!(f.store.catalogue("qa2").await.unwrap(), None);
    let publication = publication(0, vec![contract(f, "shop/customer", 1)]);
    let published = f.store.publish("qa2", publication, vec![f.event("contract.published")]).await;
    assert_eq!(published.unwrap(), Published::Revision(1));
    let environments = f.store.environments().await.unwrap();
    assert_eq!(environments.len(), 1);
    assert_eq!((environments[0].name.as_str(), environments[0].revision), ("qa2", 1));
    assert_eq!(environments[0].created_at, f.now());
    assert_eq!(f.store.last_sequence().await.unwrap(), 1);
}

pub async fn every_version_of_a_contract_is_kept(f: &Fixture) {
    let mut second = contract(f, "shop/customer", 2);
    second.definition = Definition::Scenario("scenario: shop/customer\n".to_owned());
    let one = publication(0, vec![contract(f, "shop/customer", 1), contract(f, "shop/account", 1)]);
    f.store.publish("staging", one, Vec::new()).await.unwrap();
    f.store.publish("staging", publication(1, vec![second.clone()]), Vec::new()).await.unwrap();
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!(catalogue.revision, 2);
    let expected = [contract(f, "shop/account", 1), contract(f, "shop/customer", 1), second];
    assert_eq!(catalogue.contracts, expected);
}

pub async fn a_publication_upon_an_old_catalogue_is_stale(f: &Fixture) {
    f.store.publish("staging", publication(0, vec![contract(f, "shop/a", 1)]), Vec::new()).await.unwrap();
    for revision in [0, 2] {
        let late = publication(revision, vec![contract(f, "shop/b", 1)]);
        let published = f.store.publish("staging", late, vec![f.event("contract.published")]).await;
        assert_eq!(published.unwrap(), Published::Stale);
    }
    assert_eq!(f.store.catalogue("staging").await.unwrap().unwrap().contracts.len(), 1);
    assert_eq!(f.store.last_sequence().await.unwrap(), 0);
}

pub async fn a_stale_publication_makes_no_environment(f: &Fixture) {
    let late = publication(3, vec![contract(f, "shop/b", 1)]);
    assert_eq!(f.store.publish("qa2", late, Vec::new()).await.unwrap(), Published::Stale);
    assert_eq!(f.store.environments().await.unwrap(), []);
}

pub async fn a_version_changed_in_place_keeps_its_time(f: &Fixture) {
    let first = contract(f, "shop/customer", 1);
    f.store.publish("staging", publication(0, vec![first.clone()]), Vec::new()).await.unwrap();
    f.clock.advance_ms(5);
    let mut edited = contract(f, "shop/customer", 1);
    edited.definition = Definition::Capability(json!({ "name": "customer", "timeout_s": 90 }));
    f.store.publish("staging", publication(1, vec![edited.clone()]), Vec::new()).await.unwrap();
    edited.published_at = first.published_at;
    assert_eq!(f.store.catalogue("staging").await.unwrap().unwrap().contracts, [edited]);
}

pub async fn a_withdrawn_contract_keeps_its_versions_and_can_come_back(f: &Fixture) {
    let contracts = vec![contract(f, "shop/customer", 1), contract(f, "shop/account", 1)];
    f.store.publish("staging", publication(0, contracts), Vec::new()).await.unwrap();
    let withdrawn = vec!["shop/customer".to_owned()];
    let without = Publication { withdrawn, ..publication(1, Vec::new()) };
    assert_eq!(f.store.publish("staging", without, Vec::new()).await.unwrap(), Published::Revision(2));
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!(catalogue.contracts, [contract(f, "shop/account", 1)]);
    assert_eq!(catalogue.withdrawn, [contract(f, "shop/customer", 1)]);
    let again = publication(2, vec![contract(f, "shop/customer", 2)]);
    f.store.publish("staging", again, Vec::new()).await.unwrap();
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!((catalogue.contracts.len(), catalogue.withdrawn.len()), (3, 0));
}

pub async fn an_empty_publication_leaves_the_revision(f: &Fixture) {
    f.store.publish("staging", publication(0, vec![contract(f, "shop/a", 1)]), Vec::new()).await.unwrap();
    let published = f.store.publish("staging", publication(1, Vec::new()), Vec::new()).await;
    assert_eq!(published.unwrap(), Published::Revision(1));
}

pub async fn a_contract_that_only_datasets_name_is_not_in_the_catalogue(f: &Fixture) {
    f.one("shop/customer").await;
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!((catalogue.revision, catalogue.contracts.len(), catalogue.withdrawn.len()), (0, 0, 0));
}

pub async fn what_is_not_over_of_a_contract_is_counted(f: &Fixture) {
    let left = async |name: &str| f.store.left_of("staging", name).await.unwrap();
    assert_eq!(left("shop/customer").await, Left::default());
    f.one("shop/customer").await;
    assert_eq!(left("shop/customer").await, Left { datasets: 1, debts: 0 });
    assert_eq!(left("shop/account").await, Left::default());
    assert_eq!(f.store.left_of("qa2", "shop/customer").await.unwrap(), Left::default());
}

pub async fn what_somebody_performs_is_not_withdrawn(f: &Fixture) {
    f.store
        .publish("staging", publication(0, vec![contract(f, "shop/customer", 1)]), Vec::new())
        .await
        .unwrap();
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let without =
        || Publication { withdrawn: vec!["shop/customer".to_owned()], ..publication(1, Vec::new()) };
    assert_eq!(f.store.publish("staging", without(), Vec::new()).await.unwrap(), Published::Stale);
    f.store.drain_session(session).await.unwrap();
    assert_eq!(f.store.publish("staging", without(), Vec::new()).await.unwrap(), Published::Revision(2));
}

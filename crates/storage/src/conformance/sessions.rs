//! Sessions: registered with their contracts, superseded, drained, found dead.

use serde_json::json;
use sixpack_model::ids::SessionId;
use sixpack_model::session::{SESSION_TTL_MS, Session, SessionStatus};

use super::factories::Supplier;
use super::fixture::Fixture;
use crate::contracts::{Definition, Publication, Published, StoredContract};
use crate::page::Page;
use crate::sessions::{Registered, ServedVersion, Service};
use crate::trees::Guard;

const CUSTOMER: &[&str] = &["shop/customer"];

async fn status(f: &Fixture, id: SessionId) -> SessionStatus {
    f.store.session(id).await.unwrap().unwrap().status
}

pub async fn a_session_reads_back_as_it_was_registered(f: &Fixture) {
    let id = SessionId(f.id());
    let new = f.new_session(id, Supplier::of(CUSTOMER).named("laptop")).await;
    let session = new.session.clone();
    assert_eq!(f.store.register_session(new).await.unwrap(), Registered::Live { superseded: None });
    assert_eq!(f.store.session(id).await.unwrap(), Some(session));
    assert_eq!(f.store.session(SessionId(f.id())).await.unwrap(), None);
}

pub async fn a_registration_publishes_its_contracts(f: &Fixture) {
    let mut new = f.new_session(SessionId(f.id()), Supplier::of(CUSTOMER)).await;
    new.publication.contracts.push(StoredContract {
        name: "shop/customer".to_owned(),
        version: 1,
        definition: Definition::Capability(json!({ "name": "customer" })),
        fingerprint: "f1".to_owned(),
        change: "new".to_owned(),
        changes: json!([]),
        channel: None,
        published_at: f.now(),
    });
    new.events.push(f.event("session.registered"));
    f.store.register_session(new).await.unwrap();
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!((catalogue.revision, catalogue.contracts.len()), (1, 1));
    assert_eq!(f.store.last_sequence().await.unwrap(), 1);
}

pub async fn a_registration_decided_upon_an_old_catalogue_is_stale(f: &Fixture) {
    let mut new = f.new_session(SessionId(f.id()), Supplier::of(CUSTOMER)).await;
    new.publication = Publication { expected_revision: 5, ..Publication::default() };
    let id = new.session.id;
    assert_eq!(f.store.register_session(new).await.unwrap(), Registered::Stale);
    assert_eq!(f.store.session(id).await.unwrap(), None);
    assert_eq!(f.store.environments().await.unwrap(), []);
}

pub async fn the_live_session_in_a_place_is_found(f: &Fixture) {
    let laptop = f.new_session(SessionId(f.id()), Supplier::of(CUSTOMER).named("laptop")).await.session;
    let live = async |place: &Session| f.store.live_session(place).await.unwrap();
    assert_eq!(live(&laptop).await, None);
    let older = f.supplier(Supplier::of(CUSTOMER).named("laptop")).await;
    assert_eq!(live(&laptop).await, Some(older));
    let newer = f.supplier(Supplier::of(CUSTOMER).named("laptop")).await;
    assert_eq!(live(&laptop).await, Some(newer));
    let in_channel = Session { channel: Some("ada".to_owned()), ..laptop.clone() };
    for elsewhere in [
        Session { instance: "other".to_owned(), ..laptop.clone() },
        Session { environment: "qa2".to_owned(), ..laptop.clone() },
        Session { domain: "billing".to_owned(), ..laptop.clone() },
        in_channel.clone(),
    ] {
        assert_eq!(live(&elsewhere).await, None, "{elsewhere:?}");
    }
    let of_ada = f.supplier(Supplier::of(CUSTOMER).named("another").in_channel("ada")).await;
    assert_eq!((live(&in_channel).await, live(&laptop).await), (Some(of_ada), Some(newer)));
    f.store.drain_session(newer).await.unwrap();
    assert_eq!(live(&laptop).await, None, "one that has ended is not live");
}

pub async fn a_newer_session_of_an_instance_supersedes_the_older(f: &Fixture) {
    let older = f.supplier(Supplier::of(CUSTOMER).named("pod-1")).await;
    let neighbour = f.supplier(Supplier::of(CUSTOMER).named("pod-2")).await;
    f.one("shop/customer").await;
    let claim = f.claim_one(older).await;
    let new = f.new_session(SessionId(f.id()), Supplier::of(CUSTOMER).named("pod-1")).await;
    let newer = new.session.id;
    let registered = f.store.register_session(new).await.unwrap();
    assert_eq!(registered, Registered::Live { superseded: Some(older) });
    assert_eq!(status(f, older).await, SessionStatus::Ended);
    assert_eq!(status(f, newer).await, SessionStatus::Live);
    assert_eq!(status(f, neighbour).await, SessionStatus::Live);
    assert_eq!(f.store.abandoned_claims(None, 10).await.unwrap()[0].claim, claim);
    assert_eq!(f.store.touch_session(older).await.unwrap(), Some(SessionStatus::Ended));
}

pub async fn a_sign_of_life_keeps_a_session_alive(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    for _ in 0..4 {
        f.clock.advance_ms(SESSION_TTL_MS as i64 - 1);
        assert_eq!(f.store.end_silent_sessions(10).await.unwrap(), []);
        assert_eq!(f.store.touch_session(session).await.unwrap(), Some(SessionStatus::Live));
    }
    assert_eq!(f.store.session(session).await.unwrap().unwrap().seen_at, f.now());
    assert_eq!(f.store.touch_session(SessionId(f.id())).await.unwrap(), None);
}

pub async fn a_silent_session_is_dead_and_stays_dead(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.clock.advance_ms(SESSION_TTL_MS as i64);
    let ended = f.store.end_silent_sessions(10).await.unwrap();
    assert_eq!(ended.iter().map(|session| session.id).collect::<Vec<_>>(), [session]);
    assert_eq!((ended[0].status, ended[0].ended_at), (SessionStatus::Dead, Some(f.now())));
    assert_eq!(f.store.touch_session(session).await.unwrap(), Some(SessionStatus::Dead));
    assert_eq!(f.store.end_silent_sessions(10).await.unwrap(), []);
    assert_eq!(f.store.served("staging").await.unwrap(), []);
}

pub async fn silent_sessions_are_ended_a_limited_number_at_a_time(f: &Fixture) {
    for _ in 0..3 {
        f.supplier(Supplier::of(CUSTOMER)).await;
    }
    f.clock.advance_ms(SESSION_TTL_MS as i64);
    assert_eq!(f.store.end_silent_sessions(2).await.unwrap().len(), 2);
    assert_eq!(f.store.end_silent_sessions(2).await.unwrap().len(), 1);
}

pub async fn a_draining_session_ends_with_its_last_claim(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    assert_eq!(f.store.drain_session(session).await.unwrap(), Some(SessionStatus::Draining));
    assert_eq!(f.store.end_silent_sessions(10).await.unwrap(), []);
    f.write(Guard::Claim(claim), f.made(&tree, 1)).await;
    let ended = f.store.end_silent_sessions(10).await.unwrap();
    assert_eq!((ended[0].id, ended[0].status), (session, SessionStatus::Ended));
}

pub async fn draining_twice_changes_nothing_more(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    assert_eq!(f.store.drain_session(session).await.unwrap(), Some(SessionStatus::Ended));
    let ended = f.store.session(session).await.unwrap();
    f.clock.advance_ms(1);
    assert_eq!(f.store.drain_session(session).await.unwrap(), Some(SessionStatus::Ended));
    assert_eq!(f.store.session(session).await.unwrap(), ended);
    assert_eq!(f.store.drain_session(SessionId(f.id())).await.unwrap(), None);
}

pub async fn a_draining_session_that_falls_silent_with_a_claim_is_dead(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.one("shop/customer").await;
    f.claim_one(session).await;
    f.store.drain_session(session).await.unwrap();
    f.clock.advance_ms(SESSION_TTL_MS as i64);
    let ended = f.store.end_silent_sessions(10).await.unwrap();
    assert_eq!(ended[0].status, SessionStatus::Dead);
    assert_eq!(f.store.abandoned_claims(None, 10).await.unwrap().len(), 1);
}

pub async fn sessions_are_listed_newest_first(f: &Fixture) {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, f.supplier(Supplier::of(CUSTOMER)).await);
    }
    let list = async |environment: Option<&str>, after: Option<SessionId>| {
        let found = f.store.sessions(environment, Page { after, limit: 2 }).await.unwrap();
        found.iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None).await, ids[..2]);
    assert_eq!(list(Some("staging"), Some(ids[1])).await, ids[2..]);
    assert_eq!(list(Some("qa2"), None).await, []);
}

pub async fn live_sessions_are_counted_by_environment(f: &Fixture) {
    assert_eq!(f.store.count_live_sessions().await.unwrap(), []);
    let in_channel = || Supplier::of(CUSTOMER).in_channel("ada");
    let elsewhere = || Supplier { environment: "qa2".to_owned(), ..Supplier::of(CUSTOMER) };
    let drained = f.supplier(Supplier::of(CUSTOMER)).await;
    for supplier in [elsewhere(), Supplier::of(CUSTOMER), elsewhere(), in_channel()] {
        f.supplier(supplier).await;
    }
    f.one("shop/customer").await;
    f.claim_one(drained).await;
    f.store.drain_session(drained).await.unwrap();
    let expected = [("qa2".to_owned(), 2), ("staging".to_owned(), 2)];
    assert_eq!(f.store.count_live_sessions().await.unwrap(), expected);
}

pub async fn what_is_served_is_known_by_capability_and_by_session(f: &Fixture) {
    let newer = |service: &mut Service| service.version = 2;
    let one = f.supplier(Supplier::of(&["shop/customer", "shop/account"])).await;
    let other = f.supplier(Supplier::of(CUSTOMER).in_channel("ada").with(newer)).await;
    let served = ["shop/account", "shop/customer"].map(|contract| served(contract, 1, 1));
    assert_eq!(f.store.served("staging").await.unwrap(), served, "what a channel serves is not counted");
    assert_eq!(f.store.served("qa2").await.unwrap(), []);
    let both = [("shop/account".to_owned(), 1), ("shop/customer".to_owned(), 1)];
    assert_eq!(f.store.serves(one).await.unwrap(), both);
    assert_eq!(f.store.serves(other).await.unwrap(), [("shop/customer".to_owned(), 2)]);
    f.store.drain_session(one).await.unwrap();
    assert_eq!(f.store.serves(one).await.unwrap(), []);
    assert_eq!(f.store.served("staging").await.unwrap(), []);
}

fn served(contract: &str, version: u32, sessions: u64) -> ServedVersion {
    ServedVersion { contract: contract.to_owned(), oldest_version: 1, version, sessions }
}

fn version(f: &Fixture, contract: &str, version: u32) -> StoredContract {
    StoredContract {
        name: contract.to_owned(),
        version,
        definition: Definition::Capability(json!({ "name": "customer" })),
        fingerprint: format!("f{version}"),
        change: "breaking".to_owned(),
        changes: json!([]),
        channel: None,
        published_at: f.now(),
    }
}

/// Publishes versions upon the catalogue as it is.
async fn publish(f: &Fixture, contracts: Vec<StoredContract>) -> Published {
    let expected_revision = f.store.catalogue("staging").await.unwrap().map_or(0, |stored| stored.revision);
    let publication = Publication { expected_revision, contracts, ..Publication::default() };
    f.store.publish("staging", publication, Vec::new()).await.unwrap()
}

async fn served_otherwise(f: &Fixture) -> Vec<(String, u32)> {
    let found = f.store.served_otherwise(10).await.unwrap();
    found.into_iter().map(|found| (found.contract, found.version)).collect()
}

pub async fn what_is_served_is_counted_by_version(f: &Fixture) {
    let newer = |service: &mut Service| service.version = 2;
    f.supplier(Supplier::of(CUSTOMER)).await;
    f.supplier(Supplier::of(CUSTOMER)).await;
    f.supplier(Supplier::of(CUSTOMER).with(newer)).await;
    let expected = [served("shop/customer", 1, 2), served("shop/customer", 2, 1)];
    assert_eq!(f.store.served("staging").await.unwrap(), expected);
}

pub async fn what_is_served_in_another_version_than_the_one_on_offer_is_found(f: &Fixture) {
    let newer = |service: &mut Service| service.version = 2;
    publish(f, vec![version(f, "shop/customer", 1)]).await;
    publish(f, vec![version(f, "shop/customer", 2)]).await;
    assert_eq!(served_otherwise(f).await, [], "nobody performs anything");
    f.supplier(Supplier::of(CUSTOMER)).await;
    f.supplier(Supplier::of(CUSTOMER).in_channel("ada").with(newer)).await;
    assert_eq!(served_otherwise(f).await, [("shop/customer".to_owned(), 1)]);
    publish(f, vec![version(f, "shop/customer", 1)]).await;
    assert_eq!(served_otherwise(f).await, []);
    let on_offer = f.store.catalogue("staging").await.unwrap().unwrap().on_offer;
    assert_eq!(on_offer.get("shop/customer"), Some(&1));
    f.supplier(Supplier::of(CUSTOMER).with(newer)).await;
    assert_eq!(served_otherwise(f).await, [("shop/customer".to_owned(), 2)]);
}

pub async fn a_version_is_not_put_on_offer_while_somebody_performs_a_newer_one(f: &Fixture) {
    let newer = |service: &mut Service| service.version = 2;
    publish(f, vec![version(f, "shop/customer", 1)]).await;
    publish(f, vec![version(f, "shop/customer", 2)]).await;
    f.supplier(Supplier::of(CUSTOMER).named("laptop").with(newer)).await;
    assert_eq!(publish(f, vec![version(f, "shop/customer", 1)]).await, Published::Stale);
    let again = async |instance: &str| {
        let mut new = f.new_session(SessionId(f.id()), Supplier::of(CUSTOMER).named(instance)).await;
        new.publication.contracts.push(version(f, "shop/customer", 1));
        f.store.register_session(new).await.unwrap()
    };
    assert_eq!(again("other").await, Registered::Stale);
    let taken = again("laptop").await;
    assert!(
        matches!(taken, Registered::Live { superseded: Some(_) }),
        "who makes room does not count: {taken:?}"
    );
}

//! Sessions: registered with their contracts, superseded, drained, found dead; and the channels of development.

use serde_json::json;
use sixpack_model::ids::SessionId;
use sixpack_model::session::{SESSION_TTL_MS, SessionStatus};

use super::factories::{Order, Supplier, first_task};
use super::fixture::Fixture;
use crate::contracts::{Definition, Publication, StoredContract};
use crate::page::Page;
use crate::sessions::{Registered, Service};
use crate::trees::Guard;

const CUSTOMER: &[&str] = &["shop/customer"];

fn dev() -> Supplier {
    Supplier::of(CUSTOMER).in_channel("ada")
}

fn in_channel() -> Order {
    Order { channel: Some("ada".to_owned()), ..Order::of(CUSTOMER) }
}

async fn status(f: &Fixture, id: SessionId) -> SessionStatus {
    f.store.session(id).await.unwrap().unwrap().status
}

pub async fn a_session_reads_back_as_it_was_registered(f: &Fixture) {
    let id = SessionId(f.id());
    let new = f.new_session(id, dev().named("laptop")).await;
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
    let elsewhere = || Supplier { environment: "qa2".to_owned(), ..Supplier::of(CUSTOMER) };
    let drained = f.supplier(Supplier::of(CUSTOMER)).await;
    for supplier in [elsewhere(), Supplier::of(CUSTOMER), elsewhere(), dev()] {
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
    let other = f.supplier(dev().with(newer)).await;
    let served = [("shop/account".to_owned(), 1), ("shop/customer".to_owned(), 2)];
    assert_eq!(f.store.served("staging").await.unwrap(), served);
    assert_eq!(f.store.served("qa2").await.unwrap(), []);
    let both = [("shop/account".to_owned(), 1), ("shop/customer".to_owned(), 1)];
    assert_eq!(f.store.serves(one).await.unwrap(), both);
    assert_eq!(f.store.serves(other).await.unwrap(), [("shop/customer".to_owned(), 2)]);
    f.store.drain_session(one).await.unwrap();
    assert_eq!(f.store.serves(one).await.unwrap(), []);
    assert_eq!(f.store.served("staging").await.unwrap(), [("shop/customer".to_owned(), 1)]);
}

pub async fn a_channel_gets_the_tasks_of_requests_that_name_it(f: &Fixture) {
    let deployed = f.supplier(Supplier::of(CUSTOMER)).await;
    let developed = f.supplier(dev()).await;
    let plain = f.one("shop/customer").await;
    let (_, named) = f.accept(in_channel()).await;
    assert_eq!(f.claim_one(developed).await.task, first_task(&named[0], 1));
    assert_eq!(f.claim_one(deployed).await.task, first_task(&plain, 1));
}

pub async fn a_channel_without_a_supplier_is_served_by_the_deployed(f: &Fixture) {
    let deployed = f.supplier(Supplier::of(CUSTOMER)).await;
    f.supplier(Supplier::of(&["shop/account"]).in_channel("ada")).await;
    f.supplier(dev().in_channel("bob")).await;
    f.supplier(dev().with(|service| (service.oldest_version, service.version) = (2, 2))).await;
    f.accept(in_channel()).await;
    assert_eq!(f.claim(deployed, 10).await.len(), 1);
}

pub async fn tasks_of_a_channel_that_ends_go_to_the_deployed(f: &Fixture) {
    let deployed = f.supplier(Supplier::of(CUSTOMER)).await;
    let (first, second) = (f.supplier(dev()).await, f.supplier(dev()).await);
    f.accept(in_channel().times(2)).await;
    f.store.drain_session(first).await.unwrap();
    assert_eq!(f.claim(deployed, 10).await, []);
    assert_eq!(f.claim(second, 1).await.len(), 1);
    f.clock.advance_ms(SESSION_TTL_MS as i64 - 1);
    f.store.touch_session(deployed).await.unwrap();
    f.clock.advance_ms(1);
    f.store.end_silent_sessions(10).await.unwrap();
    assert_eq!(f.claim(deployed, 10).await.len(), 1);
}

pub async fn a_claim_returned_by_a_channel_that_has_ended_goes_to_the_deployed(f: &Fixture) {
    let deployed = f.supplier(Supplier::of(CUSTOMER)).await;
    let developed = f.supplier(dev()).await;
    f.accept(in_channel()).await;
    let claim = f.claim_one(developed).await;
    f.store.drain_session(developed).await.unwrap();
    f.store.return_claims(&[claim]).await.unwrap();
    assert_eq!(f.claim(deployed, 10).await.len(), 1);
}

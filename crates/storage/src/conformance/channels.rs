//! Channels: versions and tasks of suppliers under development, kept apart from the deployed ones.

use std::sync::Arc;

use serde_json::json;
use sixpack_model::ids::{SessionId, TaskId};
use sixpack_model::limits::{CHANNEL_VERSIONS_FROM as FIRST, CHANNEL_VERSIONS_KEPT as KEPT, CHANNELS};
use sixpack_model::session::SessionStatus;
use sixpack_model::tree::{Operation, PartStatus, Task, Tree};

use super::factories::{Order, Supplier, first_task, ready_task};
use super::fixture::Fixture;
use crate::contracts::{Definition, InChannel, Publication, Published, StandIn, StoredContract};
use crate::sessions::Registered;
use crate::trees::{Guard, Lately, Written};

const CUSTOMER: &[&str] = &["shop/customer"];
const GRACE_MS: u64 = 10_000;

fn deployed() -> Supplier {
    Supplier::of(CUSTOMER)
}

/// A supplier in the channel `ada` whose version goes on from the first.
fn developed(version: u32) -> Supplier {
    Supplier::of(CUSTOMER)
        .in_channel("ada")
        .with(|service| (service.oldest_version, service.version) = (FIRST, version))
}

fn in_channel() -> Order {
    Order { channel: Some("ada".to_owned()), version: FIRST, ..Order::of(CUSTOMER) }
}

/// Publishes a version of the channel `ada`.
async fn publish(f: &Fixture, version: u32, stands_in_for: Option<u32>) -> StoredContract {
    let contract = StoredContract {
        name: "shop/customer".to_owned(),
        version,
        definition: Definition::Capability(json!({ "name": "customer", "timeout_s": 60 })),
        fingerprint: format!("f{version}"),
        change: "breaking".to_owned(),
        changes: json!([{ "what": "added" }]),
        channel: Some(InChannel { name: "ada".to_owned(), since: FIRST, stands_in_for }),
        published_at: f.now(),
    };
    let publication = Publication { contracts: vec![contract.clone()], ..upon_now(f).await };
    let published = f.store.publish("staging", publication, Vec::new()).await.unwrap();
    assert!(matches!(published, Published::Revision(_)), "{published:?}");
    contract
}

async fn upon_now(f: &Fixture) -> Publication {
    let catalogue = f.store.catalogue("staging").await.unwrap();
    Publication { expected_revision: catalogue.map_or(0, |now| now.revision), ..Publication::default() }
}

/// Has the supplier make the part of a new tree in the channel, and then plans a task about it.
async fn planned(f: &Fixture, maker: SessionId, operation: Operation) -> TaskId {
    let (_, trees) = f.accept(in_channel()).await;
    let claim = f.claim_one(maker).await;
    plan(f, &trees[0], Guard::Claim(claim), operation).await
}

async fn plan(f: &Fixture, tree: &Tree, guard: Guard, operation: Operation) -> TaskId {
    let mut change = f.made(tree, 1);
    let part = &mut Arc::make_mut(&mut change.tree).parts[1];
    part.serials = 2;
    part.task = Some(Task {
        serial: 2,
        operation,
        ready_at: f.now(),
        priority: tree.priority,
        attempt: 0,
        spent_from: 0,
        cancelled: false,
        message: None,
    });
    change.ready.extend(ready_task(part));
    assert!(matches!(f.write(guard, change).await, Written::Done { .. }));
    TaskId { serial: 2, ..first_task(tree, 1) }
}

/// The one task that the session is given.
async fn given(f: &Fixture, session: SessionId) -> TaskId {
    f.claim_one(session).await.task
}

async fn unserved(f: &Fixture) -> Vec<TaskId> {
    let found = f.store.unserved_tasks(GRACE_MS, None, 100).await.unwrap();
    found.into_iter().map(|(task, _)| task).collect()
}

async fn status(f: &Fixture, id: SessionId) -> SessionStatus {
    f.store.session(id).await.unwrap().unwrap().status
}

pub async fn a_session_in_a_channel_reads_back_as_it_was_registered(f: &Fixture) {
    let id = SessionId(f.id());
    let new = f.new_session(id, developed(FIRST).named("laptop")).await;
    let session = new.session.clone();
    assert_eq!(f.store.register_session(new).await.unwrap(), Registered::Live { superseded: None });
    assert_eq!(session.channel.as_deref(), Some("ada"));
    assert_eq!(f.store.session(id).await.unwrap(), Some(session));
    assert_eq!(f.store.served("staging").await.unwrap(), [], "nothing of it is deployed");
}

pub async fn a_channel_is_there_while_somebody_is_live_in_it(f: &Fixture) {
    assert_eq!(f.store.channels("staging").await.unwrap(), [""; 0]);
    let session = f.supplier(developed(FIRST + 3)).await;
    f.supplier(Supplier::of(&["shop/b", "shop/a"]).in_channel("bob")).await;
    f.supplier(deployed()).await;
    assert_eq!(f.store.channels("staging").await.unwrap(), ["ada", "bob"]);
    assert_eq!(f.store.channels("qa2").await.unwrap(), [""; 0]);
    let overlay = async |channel| f.store.overlay("staging", channel).await.unwrap();
    assert_eq!(overlay("ada").await, [("shop/customer".to_owned(), FIRST + 3)]);
    assert_eq!(overlay("bob").await, [("shop/a".to_owned(), 1), ("shop/b".to_owned(), 1)]);
    f.store.drain_session(session).await.unwrap();
    assert_eq!(f.store.channels("staging").await.unwrap(), ["bob"]);
    assert_eq!(overlay("ada").await, []);
}

pub async fn the_younger_session_of_a_domain_takes_over_in_its_channel_only(f: &Fixture) {
    let same = f.supplier(deployed().named("pod-1")).await;
    let other = f.supplier(developed(FIRST).in_channel("bob").named("pod-1")).await;
    let older = f.supplier(developed(FIRST).named("pod-1")).await;
    let new = f.new_session(SessionId(f.id()), developed(FIRST).named("pod-2")).await;
    let younger = new.session.id;
    let registered = f.store.register_session(new).await.unwrap();
    assert_eq!(registered, Registered::Live { superseded: Some(older) });
    assert_eq!(status(f, older).await, SessionStatus::Ended);
    for stays in [same, other, younger] {
        assert_eq!(status(f, stays).await, SessionStatus::Live);
    }
}

pub async fn there_are_only_so_many_channels_at_once(f: &Fixture) {
    let numbered = |number: usize| developed(FIRST).in_channel(&format!("channel-{number}"));
    let first = f.supplier(numbered(0)).await;
    for number in 1..CHANNELS {
        f.supplier(numbered(number)).await;
    }
    let register = async |supplier| {
        let new = f.new_session(SessionId(f.id()), supplier).await;
        f.store.register_session(new).await.unwrap()
    };
    assert_eq!(register(numbered(CHANNELS)).await, Registered::TooManyChannels);
    assert_eq!(f.store.channels("staging").await.unwrap().len(), CHANNELS);
    assert!(matches!(register(numbered(7)).await, Registered::Live { superseded: Some(_) }));
    assert!(matches!(register(deployed()).await, Registered::Live { .. }));
    let elsewhere = Supplier { environment: "qa2".to_owned(), ..numbered(CHANNELS) };
    assert!(matches!(register(elsewhere).await, Registered::Live { .. }));
    f.store.drain_session(first).await.unwrap();
    assert!(matches!(register(numbered(CHANNELS)).await, Registered::Live { .. }));
}

pub async fn versions_of_channels_are_in_no_catalogue(f: &Fixture) {
    let first = publish(f, FIRST, Some(3)).await;
    let second = publish(f, FIRST + 1, None).await;
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!((catalogue.contracts, catalogue.withdrawn), (Vec::new(), Vec::new()));
    assert_eq!(catalogue.in_channels, [first.clone(), second]);
    let plain = StoredContract { version: 1, channel: None, ..first.clone() };
    let publication = Publication { contracts: vec![plain.clone()], ..upon_now(f).await };
    f.store.publish("staging", publication, Vec::new()).await.unwrap();
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!((catalogue.contracts, catalogue.in_channels.len()), (vec![plain], 2));
}

pub async fn old_versions_of_channels_are_forgotten_unless_somebody_serves_them(f: &Fixture) {
    for version in [FIRST, FIRST + 1, FIRST + 2] {
        publish(f, version, None).await;
    }
    f.supplier(developed(FIRST + 1)).await;
    publish(f, FIRST + KEPT + 1, None).await;
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    let kept: Vec<u32> = catalogue.in_channels.iter().map(|contract| contract.version).collect();
    assert_eq!(kept, [FIRST + 1, FIRST + 2, FIRST + KEPT + 1]);
}

pub async fn tasks_of_its_versions_go_to_the_channel_and_all_others_to_the_deployed(f: &Fixture) {
    let (plain, ours) = (f.supplier(deployed()).await, f.supplier(developed(FIRST)).await);
    let without = f.one("shop/customer").await;
    let (_, named) = f.accept(in_channel()).await;
    let (_, of_deployed) = f.accept(Order { version: 1, ..in_channel() }).await;
    assert_eq!(given(f, ours).await, first_task(&named[0], 1));
    let claimed = f.claim(plain, 10).await;
    let claimed: Vec<TaskId> = claimed.iter().map(|claimed| claimed.claim.task).collect();
    assert_eq!(claimed, [first_task(&without, 1), first_task(&of_deployed[0], 1)]);
}

pub async fn nobody_makes_what_belongs_to_a_channel_in_which_nobody_is_left(f: &Fixture) {
    publish(f, FIRST, Some(1)).await;
    let (plain, ours) = (f.supplier(deployed()).await, f.supplier(developed(FIRST)).await);
    let other = f.supplier(developed(FIRST).in_channel("bob")).await;
    let (_, before) = f.accept(in_channel()).await;
    f.store.drain_session(ours).await.unwrap();
    f.accept(in_channel()).await;
    for session in [plain, other] {
        assert_eq!(f.claim(session, 10).await, []);
    }
    let back = f.supplier(developed(FIRST)).await;
    let claimed = f.claim(back, 10).await;
    assert_eq!((claimed.len(), claimed[0].claim.task), (2, first_task(&before[0], 1)));
}

pub async fn what_nobody_makes_in_a_channel_is_unserved_after_the_grace(f: &Fixture) {
    f.supplier(deployed()).await;
    let ours = f.supplier(developed(FIRST)).await;
    let (_, trees) = f.accept(in_channel()).await;
    f.clock.advance_ms(GRACE_MS as i64);
    assert_eq!(unserved(f).await, []);
    f.store.drain_session(ours).await.unwrap();
    f.clock.advance_ms(GRACE_MS as i64 - 1);
    assert_eq!(unserved(f).await, []);
    f.clock.advance_ms(1);
    assert_eq!(unserved(f).await, [first_task(&trees[0], 1)]);
}

pub async fn checks_and_undos_go_to_the_deployed_when_nobody_is_left_in_the_channel(f: &Fixture) {
    publish(f, FIRST, Some(1)).await;
    let plain = f.supplier(deployed()).await;
    for operation in [Operation::Check, Operation::Undo] {
        let ours = f.supplier(developed(FIRST)).await;
        let task = planned(f, ours, operation).await;
        assert_eq!(f.claim(plain, 10).await, [], "it is the channel's as long as that is there");
        f.store.drain_session(ours).await.unwrap();
        assert_eq!(given(f, plain).await, task);
        return_all(f, plain).await;
    }
}

/// What a session has in hand is over and done with.
async fn return_all(f: &Fixture, session: SessionId) {
    for claim in f.store.claims_of(session).await.unwrap() {
        let tree = f.load(claim.task.tree).await;
        f.write(Guard::Claim(claim), f.made(&tree, 1)).await;
    }
}

pub async fn checks_and_undos_planned_when_nobody_is_left_go_to_the_deployed(f: &Fixture) {
    publish(f, FIRST, Some(1)).await;
    let (plain, ours) = (f.supplier(deployed()).await, f.supplier(developed(FIRST)).await);
    let (_, trees) = f.accept(in_channel()).await;
    let claim = f.claim_one(ours).await;
    f.store.drain_session(ours).await.unwrap();
    let task = plan(f, &trees[0], Guard::Claim(claim), Operation::Undo).await;
    assert_eq!(given(f, plain).await, task);
}

pub async fn a_version_that_stands_in_for_none_waits_for_its_channel(f: &Fixture) {
    publish(f, FIRST, None).await;
    let (plain, ours) = (f.supplier(deployed()).await, f.supplier(developed(FIRST)).await);
    let task = planned(f, ours, Operation::Undo).await;
    f.store.drain_session(ours).await.unwrap();
    assert_eq!(f.claim(plain, 10).await, []);
    let back = f.supplier(developed(FIRST + 5)).await;
    assert_eq!(given(f, back).await, task, "any later build can be asked to undo");
}

pub async fn a_channel_that_is_back_takes_back_what_waits(f: &Fixture) {
    publish(f, FIRST, Some(1)).await;
    let ours = f.supplier(developed(FIRST)).await;
    let (_, others) = f.accept(Order { version: 1, ..in_channel() }).await;
    let task = planned(f, ours, Operation::Check).await;
    f.store.drain_session(ours).await.unwrap();
    let back = f.supplier(developed(FIRST + 1)).await;
    assert_eq!(given(f, back).await, task);
    let plain = f.supplier(deployed()).await;
    assert_eq!(given(f, plain).await, first_task(&others[0], 1), "that was never the channel's");
}

pub async fn a_channel_that_is_back_with_a_breaking_change_takes_back_undos_only(f: &Fixture) {
    publish(f, FIRST, Some(1)).await;
    let ours = f.supplier(developed(FIRST)).await;
    let check = planned(f, ours, Operation::Check).await;
    f.store.drain_session(ours).await.unwrap();
    let again = f.supplier(developed(FIRST)).await;
    assert_eq!(given(f, again).await, check);
    return_all(f, again).await;
    let undo = planned(f, again, Operation::Undo).await;
    let tree = f.load(check.tree).await;
    let check = plan(f, &tree, Guard::None, Operation::Check).await;
    f.store.drain_session(again).await.unwrap();
    let breaking = developed(FIRST + 1).with(|service| service.oldest_version = FIRST + 1);
    let breaking = f.supplier(breaking).await;
    assert_eq!(given(f, breaking).await, undo);
    let plain = f.supplier(deployed()).await;
    assert_eq!(given(f, plain).await, check);
}

pub async fn what_waits_goes_to_the_first_deployed_version_that_fits(f: &Fixture) {
    publish(f, FIRST, None).await;
    let ours = f.supplier(developed(FIRST)).await;
    let task = planned(f, ours, Operation::Undo).await;
    f.store.drain_session(ours).await.unwrap();
    let fits = deployed().with(|service| (service.oldest_version, service.version) = (4, 4));
    let plain = f.supplier(fits).await;
    assert_eq!(f.claim(plain, 10).await, []);
    let stand_in = StandIn { contract: "shop/customer".to_owned(), version: FIRST, stands_in_for: 4 };
    let publication = Publication { stand_ins: vec![stand_in], ..upon_now(f).await };
    f.store.publish("staging", publication, Vec::new()).await.unwrap();
    assert_eq!(given(f, plain).await, task);
    let catalogue = f.store.catalogue("staging").await.unwrap().unwrap();
    assert_eq!(catalogue.in_channels[0].channel.as_ref().unwrap().stands_in_for, Some(4));
}

pub async fn a_claim_returned_by_a_channel_that_has_ended_waits_where_it_can_be_done(f: &Fixture) {
    publish(f, FIRST, Some(1)).await;
    let (plain, ours) = (f.supplier(deployed()).await, f.supplier(developed(FIRST)).await);
    let undo = planned(f, ours, Operation::Undo).await;
    let undo = (undo, f.claim_one(ours).await);
    let (_, trees) = f.accept(in_channel()).await;
    let produce = f.claim_one(ours).await;
    f.store.drain_session(ours).await.unwrap();
    f.store.return_claims(&[undo.1, produce]).await.unwrap();
    assert_eq!(given(f, plain).await, undo.0);
    let back = f.supplier(developed(FIRST)).await;
    assert_eq!(given(f, back).await, first_task(&trees[0], 1));
}

pub async fn versions_of_channels_are_counted_for_themselves(f: &Fixture) {
    let (_, named) = f.accept(in_channel().times(2)).await;
    f.one("shop/customer").await;
    let failed = f.part_change(&named[0], 1, |part| {
        part.status = PartStatus::Failed;
        part.failure = Some(f.failure());
    });
    f.write(Guard::None, failed).await;
    let lately = async |version| f.store.lately("staging", "shop/customer", version).await.unwrap();
    let first_failed_at = Some(f.now());
    assert_eq!(lately(FIRST).await, Lately { failures: 1, of: 2, first_failed_at });
    assert_eq!(lately(1).await, Lately { failures: 0, of: 1, first_failed_at: None });
    assert_eq!(lately(FIRST + 1).await, Lately { failures: 0, of: 0, first_failed_at: None });
}

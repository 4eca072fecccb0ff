//! Leases: renewed, ended, and fenced.

use sixpack_model::event::Event;
use sixpack_model::ids::{LeaseId, TokenId};
use sixpack_model::lease::{FENCE_EPOCH, LeaseOutcome, LeaseStatus};
use sixpack_model::tree::{PartStatus, Tree};

use super::factories::TTL_MS;
use super::fixture::Fixture;
use crate::events::EventFilter;
use crate::leases::{LeaseFilter, Renewed};
use crate::page::Page;
use crate::trees::{Guard, LeaseEnd, RequestAfter, Written};

const DONE: Written = Written::Done(RequestAfter::GoesOn);

fn release(lease: LeaseId, fence: Option<u64>) -> Guard {
    Guard::Lease(LeaseEnd {
        lease,
        fence,
        status: LeaseStatus::Released,
        outcome: Some(LeaseOutcome::Unused),
        note: Some("not needed".to_owned()),
        revoked_by: None,
    })
}

fn revocation(lease: LeaseId) -> Guard {
    Guard::Lease(LeaseEnd {
        lease,
        fence: None,
        status: LeaseStatus::Revoked,
        outcome: None,
        note: Some("the service is migrated".to_owned()),
        revoked_by: Some("ada".to_owned()),
    })
}

/// What is told of leases and datasets of a request behind the grant.
async fn told_behind_the_grant(f: &Fixture, tree: &Tree) -> Vec<Event> {
    let filter = EventFilter { request: Some(tree.request), ..EventFilter::default() };
    let events = f.store.events(&filter, 0, 100).await.unwrap();
    events.into_iter().skip_while(|event| event.kind != "request.fulfilled").skip(1).collect()
}

fn undoing(f: &Fixture, tree: &Tree) -> sixpack_model::plan::Change {
    let mut change = f.part_change(tree, 0, |root| root.status = PartStatus::Undoing);
    let tree = std::sync::Arc::make_mut(&mut change.tree);
    (tree.lease, tree.ending) = (None, Some(sixpack_model::tree::Ending::Used));
    change
}

pub async fn a_fence_carries_the_epoch_of_the_store(f: &Fixture) {
    let (_, lease) = f.leased().await;
    assert!(lease.fence > FENCE_EPOCH, "{}", lease.fence);
    assert!(lease.fence < 1 << 53, "{}", lease.fence);
    assert_eq!(lease.fence % FENCE_EPOCH, 1);
}

pub async fn a_renewal_moves_the_deadline(f: &Fixture) {
    let (_, lease) = f.leased().await;
    f.clock.advance_ms(10_000);
    let Renewed::Until(renewed) = f.store.renew_lease(lease.id, lease.fence, None).await.unwrap() else {
        panic!("a held lease is renewed");
    };
    assert_eq!(renewed.expires_at, f.in_ms(TTL_MS as i64));
    assert_eq!(f.store.lease(lease.id).await.unwrap(), Some(renewed));
}

pub async fn a_renewal_never_shortens_a_lease(f: &Fixture) {
    let (_, lease) = f.leased().await;
    let renewed = f.store.renew_lease(lease.id, lease.fence, Some(1)).await.unwrap();
    assert_eq!(renewed, Renewed::Until(lease.clone()));
    assert_eq!(f.store.lease(lease.id).await.unwrap(), Some(lease));
}

pub async fn a_renewal_with_another_fence_is_refused(f: &Fixture) {
    let (_, lease) = f.leased().await;
    for fence in [0, lease.fence - 1, lease.fence + 1, u64::MAX] {
        let renewed = f.store.renew_lease(lease.id, fence, Some(999_999)).await.unwrap();
        assert_eq!(renewed, Renewed::Fenced(lease.clone()), "{fence}");
    }
    let unknown = f.store.renew_lease(LeaseId(f.id()), lease.fence, None).await.unwrap();
    assert_eq!(unknown, Renewed::Unknown);
}

pub async fn a_lease_ends_at_its_deadline_and_not_before(f: &Fixture) {
    let (_, lease) = f.leased().await;
    f.clock.advance_ms(TTL_MS as i64 - 1);
    assert_eq!(f.store.overdue_leases(None, 10).await.unwrap(), []);
    f.clock.advance_ms(1);
    assert_eq!(f.store.overdue_leases(None, 10).await.unwrap(), std::slice::from_ref(&lease));
    let renewed = f.store.renew_lease(lease.id, lease.fence, None).await.unwrap();
    assert_eq!(renewed, Renewed::Ended(lease));
}

pub async fn an_overdue_lease_expires_with_its_tree(f: &Fixture) {
    let (tree, lease) = f.leased().await;
    let guard = Guard::Overdue(lease.id);
    assert_eq!(f.write(guard.clone(), undoing(f, &tree)).await, Written::Refused);
    f.clock.advance_ms(TTL_MS as i64);
    assert_eq!(f.write(guard.clone(), undoing(f, &tree)).await, DONE);
    let read = f.store.lease(lease.id).await.unwrap().unwrap();
    assert_eq!((read.status, read.ended_at), (LeaseStatus::Expired, Some(f.now())));
    assert_eq!(f.load(tree.id).await.lease, None);
    assert_eq!(f.store.overdue_leases(None, 10).await.unwrap(), []);
    let now = f.load(tree.id).await;
    assert_eq!(f.write(guard, f.change(&now)).await, Written::Refused);
}

pub async fn a_release_ends_the_lease_with_what_the_holder_says(f: &Fixture) {
    let (tree, lease) = f.leased().await;
    let guard = release(lease.id, Some(lease.fence));
    assert_eq!(f.write(guard, undoing(f, &tree)).await, DONE);
    let read = f.store.lease(lease.id).await.unwrap().unwrap();
    assert_eq!(read.status, LeaseStatus::Released);
    assert_eq!(read.outcome, Some(LeaseOutcome::Unused));
    assert_eq!(read.note.as_deref(), Some("not needed"));
    let renewed = f.store.renew_lease(lease.id, lease.fence, None).await.unwrap();
    assert_eq!(renewed, Renewed::Ended(read));
}

pub async fn a_release_with_another_fence_is_refused(f: &Fixture) {
    let (tree, lease) = f.leased().await;
    for fence in [0, lease.fence + 1] {
        let guard = release(lease.id, Some(fence));
        assert_eq!(f.write(guard, undoing(f, &tree)).await, Written::Refused, "{fence}");
    }
    assert_eq!(f.store.lease(lease.id).await.unwrap(), Some(lease));
}

/// It is as good as expired, also before somebody has noticed: whoever was told so by a renewal is told the same here.
pub async fn a_lease_whose_time_is_over_is_ended_by_nobody(f: &Fixture) {
    let (tree, lease) = f.leased().await;
    f.clock.advance_ms(TTL_MS as i64);
    for guard in [release(lease.id, Some(lease.fence)), release(lease.id, None), revocation(lease.id)] {
        assert_eq!(f.write(guard, undoing(f, &tree)).await, Written::Refused);
    }
    assert_eq!(f.store.lease(lease.id).await.unwrap(), Some(lease.clone()));
    assert_eq!(f.write(Guard::Overdue(lease.id), undoing(f, &tree)).await, DONE);
}

pub async fn a_lease_of_another_tree_is_no_guard(f: &Fixture) {
    let (_, lease) = f.leased().await;
    let (other, _) = f.leased().await;
    let guard = release(lease.id, Some(lease.fence));
    assert_eq!(f.write(guard, undoing(f, &other)).await, Written::Refused);
    f.clock.advance_ms(TTL_MS as i64);
    assert_eq!(f.write(Guard::Overdue(lease.id), undoing(f, &other)).await, Written::Refused);
}

pub async fn an_administrator_needs_no_fence(f: &Fixture) {
    let (tree, lease) = f.leased().await;
    assert_eq!(f.write(release(lease.id, None), undoing(f, &tree)).await, DONE);
    assert_eq!(f.store.lease(lease.id).await.unwrap().unwrap().status, LeaseStatus::Released);
}

pub async fn a_revocation_needs_no_fence_and_says_by_whom_and_why(f: &Fixture) {
    let (tree, lease) = f.leased().await;
    assert_eq!(f.write(revocation(lease.id), undoing(f, &tree)).await, DONE);
    let read = f.store.lease(lease.id).await.unwrap().unwrap();
    assert_eq!((read.status, read.ended_at), (LeaseStatus::Revoked, Some(f.now())));
    assert_eq!(read.revoked_by.as_deref(), Some("ada"));
    assert_eq!((read.note.as_deref(), read.outcome), (Some("the service is migrated"), None));
    let renewed = f.store.renew_lease(lease.id, lease.fence, None).await.unwrap();
    assert_eq!(renewed, Renewed::Ended(read.clone()));
    let now = f.load(tree.id).await;
    for guard in [revocation(lease.id), release(lease.id, Some(lease.fence)), Guard::Overdue(lease.id)] {
        assert_eq!(f.write(guard, f.change(&now)).await, Written::Refused);
    }
    assert_eq!(f.store.lease(lease.id).await.unwrap(), Some(read));
}

pub async fn every_end_of_a_lease_is_told_once(f: &Fixture) {
    for (kind, guard) in [
        ("released", release as fn(LeaseId, Option<u64>) -> Guard),
        ("revoked", |lease, _| revocation(lease)),
        ("expired", |lease, _| Guard::Overdue(lease)),
    ] {
        let (tree, lease) = f.leased().await;
        // By somebody's word it ends before its deadline, by itself at it.
        let early = if kind == "expired" { 0 } else { 1 };
        f.clock.advance_ms(TTL_MS as i64 - early);
        let guard = guard(lease.id, Some(lease.fence));
        assert_eq!(f.write(guard.clone(), undoing(f, &tree)).await, DONE);
        let now = f.load(tree.id).await;
        assert_eq!(f.write(guard, f.change(&now)).await, Written::Refused);
        let told = told_behind_the_grant(f, &tree).await;
        let kinds: Vec<_> = told.iter().map(|event| event.kind.to_string()).collect();
        assert_eq!(kinds, [format!("lease.{kind}")]);
        assert_eq!((told[0].tree, told[0].at), (Some(tree.id), f.now()));
        assert_eq!(told[0].data["lease"], lease.id.to_string());
        let details = ["outcome", "by", "message"]
            .map(|name| told[0].data[name].as_str().unwrap_or_default().to_owned());
        let expected = match kind {
            "released" => ["unused", "", ""],
            "revoked" => ["", "ada", "the service is migrated"],
            _ => ["", "", ""],
        };
        assert_eq!(details, expected, "{kind}");
    }
}

pub async fn overdue_leases_are_paged_past_those_that_stay(f: &Fixture) {
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(f.leased().await.1.id);
    }
    f.clock.advance_ms(TTL_MS as i64);
    let first = f.store.overdue_leases(None, 2).await.unwrap();
    assert_eq!(first.iter().map(|lease| lease.id).collect::<Vec<_>>(), ids[..2]);
    let rest = f.store.overdue_leases(Some(ids[1]), 2).await.unwrap();
    assert_eq!(rest.iter().map(|lease| lease.id).collect::<Vec<_>>(), ids[2..]);
}

pub async fn leases_are_listed_newest_first_and_filtered(f: &Fixture) {
    let (tree, first) = f.leased().await;
    let (_, second) = f.leased().await;
    f.write(release(first.id, Some(first.fence)), undoing(f, &tree)).await;
    let list = async |filter: LeaseFilter, page: Page<LeaseId>| {
        let found = f.store.leases(&filter, page).await.unwrap();
        found.rows.iter().map(|lease| lease.id).collect::<Vec<_>>()
    };
    let ten = || Page::first(10);
    assert_eq!(list(LeaseFilter::default(), ten()).await, [second.id, first.id]);
    let behind = Page { after: Some(second.id), limit: 10 };
    assert_eq!(list(LeaseFilter::default(), behind).await, [first.id]);
    let status = Some(LeaseStatus::Held);
    assert_eq!(list(LeaseFilter { status, ..Default::default() }, ten()).await, [second.id]);
    let holder = Some("somebody else".to_owned());
    assert_eq!(list(LeaseFilter { holder, ..Default::default() }, ten()).await, []);
    let token = Some(TokenId(f.id()));
    assert_eq!(list(LeaseFilter { token, ..Default::default() }, ten()).await, []);
    let environment = Some("qa2".to_owned());
    assert_eq!(list(LeaseFilter { environment, ..Default::default() }, ten()).await, []);
    for (contract, found) in [("shop/ready-customer", vec![second.id, first.id]), ("shop/customer", vec![])] {
        let contract = Some(contract.to_owned());
        assert_eq!(list(LeaseFilter { contract, ..Default::default() }, ten()).await, found);
    }
}

pub async fn held_leases_are_counted_by_environment(f: &Fixture) {
    assert_eq!(f.store.count_held_leases().await.unwrap(), []);
    let (tree, lease) = f.leased().await;
    f.leased().await;
    assert_eq!(f.store.count_held_leases().await.unwrap(), [("staging".to_owned(), 2)]);
    f.write(release(lease.id, None), undoing(f, &tree)).await;
    assert_eq!(f.store.count_held_leases().await.unwrap(), [("staging".to_owned(), 1)]);
}

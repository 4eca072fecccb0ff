//! Crowds: many who want the same from stock at one time, each of whom gets their own or nothing.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;
use sixpack_model::ids::{RequestId, TokenId};
use sixpack_model::request::RequestStatus;

use super::factories::Order;
use super::fixture::Fixture;
use super::stock::{asking_stock_only, level, line, status, stocked, wish};
use crate::events::EventFilter;
use crate::requests::{Created, NewRequest, OverQuota, Quota, QuotaOf};

/// Accepts all of these at one time.
async fn ask(f: &Fixture, all: Vec<NewRequest>) -> Vec<(RequestId, Created)> {
    join_all(all.into_iter().map(async |new| {
        let id = new.request.id;
        (id, f.store.create_request(new).await.unwrap())
    }))
    .await
}

pub async fn each_of_many_who_wish_the_same_gets_one_or_nothing(f: &Fixture) {
    let line = line(f, json!({})).await;
    for _ in 0..20 {
        stocked(f, line).await;
    }
    let (wish, other) = (wish(f, &[line]), TokenId(f.id()));
    let mut all: Vec<NewRequest> = (0..48).map(|_| asking_stock_only(f, &wish, 1)).collect();
    // Not all are of one token, and not all last equally long.
    all.iter_mut().step_by(5).for_each(|new| new.request.token = other);
    all.iter_mut().step_by(3).for_each(|new| new.request.ttl_ms += 1_000);
    let asked: Vec<_> =
        all.iter().map(|new| (new.request.id, new.request.clone(), new.leases.clone())).collect();
    let mut taken = BTreeSet::new();
    for ((id, created), (_, request, leases)) in ask(f, all).await.into_iter().zip(asked) {
        let served = match created {
            Created::Served(served) => served,
            Created::Short => {
                assert_eq!(f.store.request(id).await.unwrap(), None, "it leaves nothing");
                continue;
            }
            other => panic!("{other:?}"),
        };
        assert!(taken.insert(served.taken[0].tree), "two have got the same");
        let [lease] = &served.leases.unwrap()[..] else { panic!("one lease each") };
        assert_eq!((lease.id, lease.tree, lease.request), (leases[0], served.taken[0].tree, id));
        assert_eq!((lease.token, lease.ttl_ms), (request.token, request.ttl_ms));
        assert_eq!(f.store.leases_of(id).await.unwrap()[0], *lease);
        assert_eq!(status(f, id).await, RequestStatus::Fulfilled);
        assert_eq!(f.store.request(id).await.unwrap().unwrap().holder, request.holder);
        let tree = f.load(lease.tree).await;
        assert_eq!((tree.request, tree.lease, tree.version), (id, Some(lease.id), served.taken[0].version));
        let filter = EventFilter { request: Some(id), ..EventFilter::default() };
        let events = f.store.events(&filter, 0, 100).await.unwrap();
        let told = |kind: &str| {
            events.iter().filter(|event| event.kind == kind && event.request == Some(id)).count()
        };
        assert_eq!((told("lease.granted"), told("request.fulfilled")), (1, 1));
    }
    assert_eq!((taken.len(), level(f, line).await), (20, (0, 0)));
}

pub async fn of_many_at_one_time_no_more_are_served_than_the_quota_allows(f: &Fixture) {
    let line = line(f, json!({})).await;
    for _ in 0..16 {
        stocked(f, line).await;
    }
    let (wish, token) = (wish(f, &[line]), TokenId(f.id()));
    f.accept(Order { token, ..Order::of(&["shop/customer"]) }).await;
    let quota = Quota { per_token: 6, ..Quota::UNLIMITED };
    let all = (0..14).map(|_| {
        let mut new = NewRequest { quota, ..asking_stock_only(f, &wish, 1) };
        new.request.token = token;
        new
    });
    let mut served = 0;
    for (_, created) in ask(f, all.collect()).await {
        match created {
            Created::Served(_) => served += 1,
            Created::OverQuota(OverQuota { of: QuotaOf::Token, limit: 6, taken: 6 }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((served, level(f, line).await), (5, (11, 0)));
}

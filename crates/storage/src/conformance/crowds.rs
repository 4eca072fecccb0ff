//! Crowds: many calls at one time, each of which means what it would have meant by itself.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;
use sixpack_model::ids::{LeaseId, RequestId, TokenId, TreeId};
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::{Claim, PartStatus};

use super::factories::{Order, Supplier};
use super::fixture::Fixture;
use super::stock::{asking_stock_only, coming, level, line, status, stocked, wish};
use crate::events::EventFilter;
use crate::requests::{Created, Idempotency, NewRequest, OverQuota, Quota, QuotaOf};
use crate::trees::{Guard, RequestAfter, RequestEnd, TreeWrite, Written};

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

pub async fn many_new_requests_are_each_accepted_under_their_own_key(f: &Fixture) {
    let token = TokenId(f.id());
    let key = |number: usize| Idempotency { token, key: format!("k{number}"), body: [number as u8; 32] };
    let quota = Quota { per_token: 20, ..Quota::UNLIMITED };
    // Every key comes twice, and each fourth call has none.
    let all = (0..40).map(|call| {
        let mut new = NewRequest { quota, ..f.new_request(Order { token, ..Order::of(&["shop/customer"]) }) };
        new.idempotency = (call % 4 != 0).then(|| key(call / 8 * 4 + call % 4));
        new
    });
    let all: Vec<_> = all.collect();
    let keys: Vec<_> = all.iter().map(|new| new.idempotency.clone()).collect();
    let mut accepted = 0;
    for ((id, created), key) in ask(f, all).await.into_iter().zip(keys) {
        let request = f.store.request(id).await.unwrap();
        match created {
            Created::Accepted => {
                accepted += 1;
                assert_eq!(request.unwrap().status, RequestStatus::Building);
                let trees = f.store.trees_of(id).await.unwrap();
                assert_eq!(f.load(trees[0]).await.parts.len(), 2, "a root and a part");
            }
            Created::Replayed(first) => {
                assert_eq!(request, None, "a key stands for one request");
                let found = f.store.find_idempotent(&key.unwrap()).await.unwrap();
                assert_eq!(found, Some(Created::Replayed(first)));
            }
            Created::OverQuota(OverQuota { of: QuotaOf::Token, limit: 20, taken: 20 }) => {
                assert_eq!(request, None, "what is refused leaves nothing");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, 20, "of ten without a key and fifteen keys, as many as the quota allows");
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    assert_eq!(f.claim(session, 100).await.len(), 20, "each has its task");
}

pub async fn of_many_results_each_means_what_it_means_by_itself(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let mut trees = Vec::new();
    for _ in 0..40 {
        trees.push(f.one("shop/customer").await);
    }
    let claims: Vec<Claim> = f.claim(session, 100).await.into_iter().map(|claimed| claimed.claim).collect();
    let claim_of =
        |tree: TreeId| *claims.iter().find(|claim| claim.task.tree == tree).expect("it is claimed");
    // One has moved on since it was read.
    for tree in trees.iter().skip(1).step_by(5) {
        f.write(Guard::None, f.change(tree)).await;
    }
    let writes = trees.iter().enumerate().map(|(number, tree)| {
        let claim = claim_of(tree.id);
        let (claim, change) = match number % 5 {
            0 | 1 => (claim, f.made(tree, 1)),
            2 => (Claim { attempt: claim.attempt + 1, ..claim }, f.made(tree, 1)),
            _ => {
                let mut change = f.ready(tree);
                let part = &mut std::sync::Arc::make_mut(&mut change.tree).parts[1];
                (part.status, part.task) = (PartStatus::Ready, None);
                change.changed.push(1);
                (claim, change)
            }
        };
        let leases = vec![LeaseId(f.id())];
        f.store.write_tree(TreeWrite { guard: Guard::Claim(claim), change, leases })
    });
    for (number, written) in join_all(writes).await.into_iter().enumerate() {
        let (tree, now) = (&trees[number], f.load(trees[number].id).await);
        let request = f.store.request(tree.request).await.unwrap().unwrap();
        let leases = f.store.leases_of(tree.request).await.unwrap();
        let part = now.parts[1].status;
        match (number % 5, written.unwrap()) {
            (0, Written::Done(RequestAfter::GoesOn)) => {
                assert_eq!((part, request.revision, now.version), (PartStatus::Ready, 2, tree.version + 1));
            }
            (1, Written::Stale) | (2, Written::Refused) => assert_eq!(part, PartStatus::Building),
            (3 | 4, Written::Done(RequestAfter::Fulfilled { revision, leases: granted })) => {
                assert_eq!((request.status, request.revision), (RequestStatus::Fulfilled, revision));
                assert_eq!((granted.len(), &granted), (1, &leases));
                assert_eq!((now.lease, now.version), (Some(granted[0].id), tree.version + 2));
                assert_eq!((now.root().status, request.ready), (PartStatus::Leased, 1));
            }
            (number, other) => panic!("{number}: {other:?}"),
        }
        assert_eq!(leases.len(), usize::from(number % 5 > 2));
    }
    // Whoever was not taken at its word still has its claim.
    for (number, tree) in trees.iter().enumerate().filter(|(number, _)| matches!(number % 5, 1 | 2)) {
        let late = f.part_change(&f.load(tree.id).await, 1, |part| part.task = None);
        let written = f.write(Guard::Claim(claim_of(tree.id)), late).await;
        assert_eq!(written, Written::Done(RequestAfter::GoesOn), "{number}");
    }
}

pub async fn of_many_that_are_ready_for_stock_each_comes_there_once(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let lines = [line(f, json!({ "country": "FR" })).await, line(f, json!({ "country": "DE" })).await];
    let mut refills = Vec::new();
    for number in 0..30 {
        refills.push(coming(f, lines[number % 2]).await);
    }
    let claims: Vec<Claim> = f.claim(session, 100).await.into_iter().map(|claimed| claimed.claim).collect();
    // Somebody has given up on one.
    let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
    f.store.end_request(refills[7].0.id, RequestStatus::Cancelled, end).await.unwrap();
    let writes = refills.iter().enumerate().map(|(number, (_, tree))| {
        let claim = *claims.iter().find(|claim| claim.task.tree == tree.id).expect("it is claimed");
        let claim = if number == 8 { Claim { attempt: claim.attempt + 1, ..claim } } else { claim };
        let leases = vec![LeaseId(f.id())];
        f.store.write_tree(TreeWrite { guard: Guard::Claim(claim), change: f.ready(tree), leases })
    });
    for (number, written) in join_all(writes).await.into_iter().enumerate() {
        let (request, tree) = &refills[number];
        let (now, stands) = (f.load(tree.id).await, status(f, request.id).await);
        let filter = EventFilter { request: Some(request.id), ..EventFilter::default() };
        let events = f.store.events(&filter, 0, 100).await.unwrap();
        let told = events.iter().filter(|event| event.kind == "request.fulfilled");
        let told: Vec<_> = told.map(|event| event.data.clone()).collect();
        if number == 8 {
            assert_eq!((written.unwrap(), now.version), (Written::Refused, tree.version));
            assert_eq!((stands, told), (RequestStatus::Building, vec![]));
            continue;
        }
        assert_eq!(written.unwrap(), Written::Done(RequestAfter::Stocked));
        assert_eq!((now.version, now.root().status), (tree.version + 1, PartStatus::Ready));
        if number == 7 {
            assert_eq!((stands, told), (RequestStatus::Cancelled, vec![]));
        } else {
            assert_eq!((stands, told), (RequestStatus::Fulfilled, vec![json!({})]));
        }
        assert_eq!(f.store.trees_of(request.id).await.unwrap(), [], "it belongs to no request");
    }
    assert_eq!((level(f, lines[0]).await, level(f, lines[1]).await), ((14, 1), (15, 0)));
    assert_eq!(f.store.unwanted_trees(None, 10).await.unwrap(), []);
}

//! Quotas: leases of a token and of an environment, those under way included, are never more than allowed.

use std::sync::Arc;

use sixpack_model::ids::TokenId;
use sixpack_model::lease::LeaseStatus;
use sixpack_model::plan::{Change, Outcome};
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::{Ending, PartStatus, Tree};

use super::factories::{ENVIRONMENT, Order, TTL_MS};
use super::fixture::Fixture;
use crate::requests::{Created, Idempotency, NewRequest, OverQuota, Quota, QuotaOf, QuotaTaken};
use crate::trees::{Guard, LeaseEnd, RequestEnd};

const CUSTOMER: &[&str] = &["shop/customer"];

fn wish(f: &Fixture, order: Order, per_token: u64) -> NewRequest {
    let quota = Quota { per_token, ..Quota::UNLIMITED };
    NewRequest { quota, ..f.new_request(order) }
}

fn full(limit: u64, taken: u64) -> Created {
    Created::OverQuota(OverQuota { of: QuotaOf::Token, limit, taken })
}

/// Whether a request for one more dataset is accepted under a quota of so many.
async fn has_room(f: &Fixture, token: TokenId, per_token: u64) -> bool {
    let new = wish(f, Order { token, ..Order::of(CUSTOMER) }, per_token);
    let id = new.request.id;
    match f.store.create_request(new).await.unwrap() {
        Created::Accepted => {
            let end = RequestEnd { failure: None, event: f.event("request.cancelled") };
            f.store.end_request(id, RequestStatus::Cancelled, end).await.unwrap();
            true
        }
        Created::OverQuota(over) => {
            assert_eq!((over.of, over.limit), (QuotaOf::Token, per_token));
            false
        }
        other => panic!("{other:?}"),
    }
}

fn taken_down(f: &Fixture, tree: &Tree) -> Change {
    let mut change = f.part_change(tree, 0, |root| root.status = PartStatus::Undoing);
    Arc::make_mut(&mut change.tree).lease = None;
    change
}

pub async fn a_request_beyond_the_quota_is_refused_and_leaves_nothing(f: &Fixture) {
    let token = TokenId(f.id());
    f.accept(Order { token, ..Order::of(CUSTOMER).times(3) }).await;
    let mut new = wish(f, Order { token, ..Order::of(CUSTOMER).times(2) }, 4);
    let idempotency = Idempotency { token, key: "again".to_owned(), body: [1; 32] };
    new.idempotency = Some(idempotency.clone());
    let id = new.request.id;
    assert_eq!(f.store.create_request(new).await.unwrap(), full(4, 3));
    assert_eq!(f.store.request(id).await.unwrap(), None);
    assert_eq!(f.store.trees_of(id).await.unwrap(), []);
    assert_eq!(f.store.find_idempotent(&idempotency).await.unwrap(), None);
    let mut fits = wish(f, Order { token, ..Order::of(CUSTOMER).times(2) }, 5);
    fits.idempotency = Some(idempotency.clone());
    let id = fits.request.id;
    assert_eq!(f.store.create_request(fits).await.unwrap(), Created::Accepted);
    let mut again = wish(f, Order { token, ..Order::of(CUSTOMER).times(2) }, 5);
    again.idempotency = Some(idempotency);
    assert_eq!(f.store.create_request(again).await.unwrap(), Created::Replayed(id));
}

pub async fn what_is_under_way_and_what_is_held_count_alike(f: &Fixture) {
    let token = TokenId(f.id());
    let (_, trees) = f.accept(Order { token, ..Order::of(CUSTOMER).times(2) }).await;
    assert!(!has_room(f, token, 2).await);
    f.write(Guard::None, f.ready(&trees[0])).await;
    assert!(!has_room(f, token, 2).await);
    f.write(Guard::None, f.ready(&trees[1])).await;
    assert!(!has_room(f, token, 2).await, "a grant takes no place and gives none back");
    assert!(has_room(f, token, 3).await);
    assert!(has_room(f, TokenId(f.id()), 1).await, "another token has its own");
}

pub async fn a_request_that_ends_without_leases_gives_its_places_back(f: &Fixture) {
    let token = TokenId(f.id());
    for status in [RequestStatus::Cancelled, RequestStatus::Expired] {
        let (request, trees) = f.accept(Order { token, ..Order::of(CUSTOMER).times(2) }).await;
        f.write(Guard::None, f.ready(&trees[0])).await;
        let end = || RequestEnd { failure: None, event: f.event("request.cancelled") };
        f.store.end_request(request.id, status, end()).await.unwrap();
        f.store.end_request(request.id, status, end()).await.unwrap();
        assert!(has_room(f, token, 1).await, "{status:?}");
    }
    let (_, trees) = f.accept(Order { token, ..Order::of(CUSTOMER).times(2) }).await;
    for tree in &trees {
        let mut change = f.part_change(tree, 0, |root| root.status = PartStatus::Failed);
        Arc::make_mut(&mut change.tree).ending = Some(Ending::Failed);
        change.outcome = Some(Outcome::Failed(Box::new(f.failure())));
        f.write(Guard::None, change).await;
    }
    assert!(has_room(f, token, 1).await);
    f.accept(Order { token, ..Order::of(CUSTOMER) }).await;
    assert!(!has_room(f, token, 1).await, "nothing is given back twice");
}

pub async fn every_end_of_a_lease_gives_one_place_back(f: &Fixture) {
    let token = TokenId(f.id());
    let (request, trees) = f.accept(Order { token, ..Order::of(CUSTOMER).times(3) }).await;
    for tree in &trees {
        f.write(Guard::None, f.ready(tree)).await;
    }
    f.clock.advance_ms(TTL_MS as i64 - 1);
    let leases = f.store.leases_of(request.id).await.unwrap();
    let by_word = |lease, status| LeaseEnd {
        lease,
        fence: None,
        status,
        outcome: None,
        note: None,
        revoked_by: (status == LeaseStatus::Revoked).then(|| "ada".to_owned()),
    };
    let guards = [
        Guard::Lease(by_word(leases[0].id, LeaseStatus::Released)),
        Guard::Lease(by_word(leases[1].id, LeaseStatus::Revoked)),
        Guard::Overdue(leases[2].id),
    ];
    for (held, (tree, guard)) in (0..3_u64).rev().zip(trees.iter().zip(guards)) {
        assert!(!has_room(f, token, held + 1).await);
        if matches!(guard, Guard::Overdue(_)) {
            f.clock.advance_ms(1);
        }
        for _ in 0..2 {
            let now = f.load(tree.id).await;
            f.write(guard.clone(), taken_down(f, &now)).await;
        }
        assert!(has_room(f, token, held + 1).await);
        assert!(held == 0 || !has_room(f, token, held).await, "only one was given back");
    }
}

pub async fn the_quota_of_an_environment_counts_all_its_tokens(f: &Fixture) {
    f.accept(Order { token: TokenId(f.id()), ..Order::of(CUSTOMER).times(2) }).await;
    let ask = async |environment: &str| {
        let order =
            Order { token: TokenId(f.id()), environment: environment.to_owned(), ..Order::of(CUSTOMER) };
        let quota = Quota { per_environment: 2, ..Quota::UNLIMITED };
        f.store.create_request(NewRequest { quota, ..f.new_request(order) }).await.unwrap()
    };
    let of = QuotaOf::Environment;
    assert_eq!(ask(ENVIRONMENT).await, Created::OverQuota(OverQuota { of, limit: 2, taken: 2 }));
    assert_eq!(ask("qa2").await, Created::Accepted);
}

pub async fn many_requests_at_once_never_exceed_a_quota(f: &Fixture) {
    let token = TokenId(f.id());
    let asking =
        (0..20).map(|_| f.store.create_request(wish(f, Order { token, ..Order::of(CUSTOMER).times(3) }, 10)));
    let answers = futures::future::join_all(asking).await;
    let accepted = answers.iter().filter(|answer| matches!(answer, Ok(Created::Accepted))).count();
    assert_eq!(accepted, 3);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Created::Accepted)) || *answer.as_ref().unwrap() == full(10, 9)));
}

pub async fn how_much_of_a_quota_is_taken_can_be_read(f: &Fixture) {
    let (ours, theirs) = (TokenId(f.id()), TokenId(f.id()));
    f.accept(Order { token: ours, ..Order::of(CUSTOMER).times(3) }).await;
    f.accept(Order { token: theirs, ..Order::of(CUSTOMER).times(2) }).await;
    let taken = async |token, environment| f.store.quota_taken(token, environment).await.unwrap();
    assert_eq!(taken(ours, ENVIRONMENT).await, QuotaTaken { by_token: 3, in_environment: 5 });
    assert_eq!(taken(TokenId(f.id()), ENVIRONMENT).await, QuotaTaken { by_token: 0, in_environment: 5 });
    assert_eq!(taken(ours, "nowhere").await, QuotaTaken { by_token: 3, in_environment: 0 });
}

//! Requests: accepted once, listed, ended.

use sixpack_model::ids::{RequestId, TokenId};
use sixpack_model::request::RequestStatus;

use super::factories::{Order, Supplier};
use super::fixture::Fixture;
use crate::page::Page;
use crate::requests::{Created, Ended, Idempotency, RequestFilter};
use crate::trees::RequestEnd;

fn key(token: TokenId, key: &str, body: u8) -> Idempotency {
    Idempotency { token, key: key.to_owned(), body: [body; 32] }
}

async fn send(f: &Fixture, idempotency: Idempotency) -> (RequestId, Created) {
    let mut new = f.new_request(Order::of(&["shop/customer"]));
    new.idempotency = Some(idempotency);
    let id = new.request.id;
    (id, f.store.create_request(new).await.unwrap())
}

fn end(f: &Fixture, kind: &'static str) -> RequestEnd {
    RequestEnd { failure: None, event: f.event(kind) }
}

pub async fn a_request_reads_back_as_it_was_accepted(f: &Fixture) {
    let mut order = Order::of(&["shop/customer"]).times(3);
    order.channel = Some("ada".to_owned());
    let (request, trees) = f.accept(order).await;
    assert_eq!(f.store.request(request.id).await.unwrap(), Some(request.clone()));
    let ids: Vec<_> = trees.iter().map(|tree| tree.id).collect();
    assert_eq!(f.store.trees_of(request.id).await.unwrap(), ids);
}

pub async fn a_request_keeps_which_dataset_it_asks_for_again(f: &Fixture) {
    let first = f.one("shop/customer").await;
    let mut order = Order::of(&["shop/customer"]);
    order.rerun_of = Some(first.id);
    let (again, _) = f.accept(order).await;
    let read = f.store.request(again.id).await.unwrap().unwrap();
    assert_eq!(read.rerun_of, Some(first.id));
    let listed = f.store.requests(&RequestFilter::default(), Page::first(10)).await.unwrap().rows;
    let of: Vec<_> = listed.iter().map(|request| request.rerun_of).collect();
    assert_eq!(of, [Some(first.id), None]);
}

pub async fn the_same_key_and_body_answer_the_first_request(f: &Fixture) {
    let token = TokenId(f.id());
    let (first, created) = send(f, key(token, "a", 1)).await;
    assert_eq!(created, Created::Accepted);
    let (second, replayed) = send(f, key(token, "a", 1)).await;
    assert_eq!(replayed, Created::Replayed(first));
    assert_eq!(f.store.request(second).await.unwrap(), None);
    let found = f.store.find_idempotent(&key(token, "a", 1)).await.unwrap();
    assert_eq!(found, Some(Created::Replayed(first)));
}

pub async fn the_same_key_with_another_body_is_refused(f: &Fixture) {
    let token = TokenId(f.id());
    send(f, key(token, "a", 1)).await;
    assert_eq!(send(f, key(token, "a", 2)).await.1, Created::KeyReused);
    let found = f.store.find_idempotent(&key(token, "a", 2)).await.unwrap();
    assert_eq!(found, Some(Created::KeyReused));
}

pub async fn keys_of_another_token_are_independent(f: &Fixture) {
    send(f, key(TokenId(f.id()), "a", 1)).await;
    let other = TokenId(f.id());
    assert_eq!(f.store.find_idempotent(&key(other, "a", 1)).await.unwrap(), None);
    assert_eq!(send(f, key(other, "a", 1)).await.1, Created::Accepted);
}

pub async fn a_key_sent_many_times_at_once_makes_one_request(f: &Fixture) {
    let token = TokenId(f.id());
    let sends = (0..32).map(|_| send(f, key(token, "a", 1)));
    let created = futures::future::join_all(sends).await;
    let accepted: Vec<_> = created.iter().filter(|(_, created)| *created == Created::Accepted).collect();
    assert_eq!(accepted.len(), 1);
    let replayed = Created::Replayed(accepted[0].0);
    assert_eq!(created.iter().filter(|(_, created)| *created == replayed).count(), 31);
}

/// How long a key stands for its request.
const DAY_MS: i64 = 24 * 3_600_000;

pub async fn a_key_stands_for_its_request_for_a_day_and_not_longer(f: &Fixture) {
    let token = TokenId(f.id());
    let (first, _) = send(f, key(token, "a", 1)).await;
    f.clock.advance_ms(DAY_MS);
    assert_eq!(send(f, key(token, "a", 1)).await.1, Created::Replayed(first));
    assert_eq!(send(f, key(token, "a", 2)).await.1, Created::KeyReused);
    f.clock.advance_ms(1);
    // No sweep has come by.
    assert_eq!(f.store.find_idempotent(&key(token, "a", 1)).await.unwrap(), None);
    let (second, created) = send(f, key(token, "a", 2)).await;
    assert_eq!(created, Created::Accepted, "another body is as good as the same");
    assert_eq!(send(f, key(token, "a", 2)).await.1, Created::Replayed(second));
    assert_eq!(send(f, key(token, "a", 1)).await.1, Created::KeyReused);
    assert_eq!(f.store.request(first).await.unwrap().map(|request| request.id), Some(first));
}

pub async fn a_key_whose_day_is_over_makes_one_request_however_often_it_comes(f: &Fixture) {
    let token = TokenId(f.id());
    send(f, key(token, "a", 1)).await;
    f.clock.advance_ms(DAY_MS + 1);
    let created = futures::future::join_all((0..32).map(|_| send(f, key(token, "a", 1)))).await;
    let accepted: Vec<_> = created.iter().filter(|(_, created)| *created == Created::Accepted).collect();
    assert_eq!(accepted.len(), 1);
    let replayed = Created::Replayed(accepted[0].0);
    assert_eq!(created.iter().filter(|(_, created)| *created == replayed).count(), 31);
}

pub async fn a_key_that_ran_anew_is_forgotten_in_its_own_time(f: &Fixture) {
    let token = TokenId(f.id());
    for name in ["a", "b", "c"] {
        send(f, key(token, name, 1)).await;
    }
    f.clock.advance_ms(DAY_MS + 1);
    let (anew, _) = send(f, key(token, "a", 1)).await;
    // It is among the youngest now, and keeps nothing older from being found.
    assert_eq!(f.store.forget_keys(1).await.unwrap(), 1);
    assert_eq!(f.store.forget_keys(1).await.unwrap(), 1);
    assert_eq!(f.store.forget_keys(1).await.unwrap(), 0);
    let found = f.store.find_idempotent(&key(token, "a", 1)).await.unwrap();
    assert_eq!(found, Some(Created::Replayed(anew)));
    f.clock.advance_ms(DAY_MS + 1);
    assert_eq!(f.store.forget_keys(10).await.unwrap(), 1);
}

pub async fn keys_are_forgotten_after_a_day_and_not_before(f: &Fixture) {
    let token = TokenId(f.id());
    for name in ["a", "b", "c"] {
        send(f, key(token, name, 1)).await;
    }
    f.clock.advance_ms(DAY_MS);
    assert_eq!(f.store.forget_keys(10).await.unwrap(), 0);
    send(f, key(token, "d", 1)).await;
    f.clock.advance_ms(1);
    assert_eq!(f.store.forget_keys(2).await.unwrap(), 2);
    assert_eq!(f.store.forget_keys(2).await.unwrap(), 1);
    assert_eq!(f.store.find_idempotent(&key(token, "a", 1)).await.unwrap(), None);
    assert!(f.store.find_idempotent(&key(token, "d", 1)).await.unwrap().is_some());
}

pub async fn an_ended_request_keeps_its_end(f: &Fixture) {
    let (request, _) = f.accept(Order::of(&["shop/customer"])).await;
    let cancelled = RequestStatus::Cancelled;
    f.clock.advance_ms(5);
    let ended = f.store.end_request(request.id, cancelled, end(f, "request.cancelled")).await.unwrap();
    assert_eq!(ended, Ended::Now);
    let read = f.store.request(request.id).await.unwrap().unwrap();
    assert_eq!((read.status, read.ended_at), (cancelled, Some(f.now())));
    assert!(read.revision > request.revision);
    let again = f.store.end_request(request.id, RequestStatus::Expired, end(f, "request.expired")).await;
    assert_eq!(again.unwrap(), Ended::Before(cancelled));
    let unknown = f.store.end_request(RequestId(f.id()), cancelled, end(f, "request.cancelled")).await;
    assert_eq!(unknown.unwrap(), Ended::Unknown);
}

pub async fn a_failure_reads_back_as_it_was_given(f: &Fixture) {
    let (request, _) = f.accept(Order::of(&["shop/customer"])).await;
    let given = RequestEnd { failure: Some(f.failure()), event: f.event("request.failed") };
    f.store.end_request(request.id, RequestStatus::Failed, given).await.unwrap();
    let read = f.store.request(request.id).await.unwrap().unwrap();
    assert_eq!(read.failure, Some(f.failure()));
}

pub async fn requests_are_listed_newest_first_and_by_page(f: &Fixture) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        f.clock.advance_ms(1);
        ids.push(f.accept(Order::of(&["shop/customer"])).await.0.id);
    }
    ids.reverse();
    let all = RequestFilter::default();
    let first = f.store.requests(&all, Page::first(2)).await.unwrap();
    assert_eq!(first.next, Some(ids[1]));
    assert_eq!(first.rows.iter().map(|request| request.id).collect::<Vec<_>>(), ids[..2]);
    let rest = f.store.requests(&all, Page { after: Some(ids[1]), limit: 10 }).await.unwrap();
    assert_eq!(rest.next, None);
    assert_eq!(rest.rows.iter().map(|request| request.id).collect::<Vec<_>>(), ids[2..]);
}

pub async fn a_filter_leaves_only_what_fits(f: &Fixture) {
    let mut elsewhere = Order::of(&["shop/customer"]);
    elsewhere.environment = "qa2".to_owned();
    elsewhere.root = "shop/other".to_owned();
    let (other, _) = f.accept(elsewhere).await;
    let (here, _) = f.accept(Order::of(&["shop/customer"])).await;
    let (cancelled, _) = f.accept(Order::of(&["shop/customer"])).await;
    f.store.end_request(cancelled.id, RequestStatus::Cancelled, end(f, "request.cancelled")).await.unwrap();
    let list = async |filter: RequestFilter| {
        let found = f.store.requests(&filter, Page::first(10)).await.unwrap();
        found.rows.iter().map(|request| request.id).collect::<Vec<_>>()
    };
    let environment = Some("qa2".to_owned());
    assert_eq!(list(RequestFilter { environment, ..Default::default() }).await, [other.id]);
    let contract = Some("shop/other".to_owned());
    assert_eq!(list(RequestFilter { contract: contract.clone(), ..Default::default() }).await, [other.id]);
    for (environment, expected) in [("qa2", vec![other.id]), ("staging", vec![])] {
        let filter = RequestFilter {
            contract: contract.clone(),
            environment: Some(environment.to_owned()),
            status: Some(RequestStatus::Building),
            ..RequestFilter::default()
        };
        assert_eq!(list(filter).await, expected, "{environment}");
    }
    let status = Some(RequestStatus::Cancelled);
    assert_eq!(list(RequestFilter { status, ..Default::default() }).await, [cancelled.id]);
    let status = Some(RequestStatus::Building);
    assert_eq!(list(RequestFilter { status, ..Default::default() }).await, [here.id, other.id]);
    let line = super::stock::line(f, serde_json::json!({})).await;
    let (refill, _) = super::stock::coming(f, line).await;
    assert_eq!(list(RequestFilter { refills: Some(true), ..Default::default() }).await, [refill.id]);
    let holder = Some("nobody".to_owned());
    assert_eq!(list(RequestFilter { holder, ..Default::default() }).await, []);
    let holder = Some("a test".to_owned());
    assert_eq!(list(RequestFilter { holder, ..Default::default() }).await.len(), 4);
    let others = RequestFilter { refills: Some(false), ..Default::default() };
    assert_eq!(list(others).await, [cancelled.id, here.id, other.id]);
}

pub async fn overdue_requests_are_the_open_ones_behind_their_deadline(f: &Fixture) {
    let mut ids = Vec::new();
    for timeout_ms in [1_000, 2_000, 1_000, 1_000] {
        let mut order = Order::of(&["shop/customer"]);
        order.timeout_ms = timeout_ms;
        ids.push(f.accept(order).await.0.id);
    }
    f.store.end_request(ids[3], RequestStatus::Cancelled, end(f, "request.cancelled")).await.unwrap();
    f.clock.advance_ms(999);
    assert_eq!(f.store.overdue_requests(None, 10).await.unwrap(), []);
    f.clock.advance_ms(1);
    assert_eq!(f.store.overdue_requests(None, 10).await.unwrap(), [ids[0], ids[2]]);
    assert_eq!(f.store.overdue_requests(None, 1).await.unwrap(), [ids[0]]);
    assert_eq!(f.store.overdue_requests(Some(ids[0]), 1).await.unwrap(), [ids[2]]);
}

pub async fn a_replayed_request_leaves_no_second_task(f: &Fixture) {
    let token = TokenId(f.id());
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    send(f, key(token, "a", 1)).await;
    send(f, key(token, "a", 1)).await;
    assert_eq!(f.claim(session, 10).await.len(), 1);
}

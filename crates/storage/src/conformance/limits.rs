//! Limits of the target: how many at once, how many a second, over all sessions.

use super::factories::{Order, Supplier};
use super::fixture::Fixture;
use crate::trees::Guard;

const CUSTOMER: &[&str] = &["shop/customer"];

pub async fn concurrency_is_held_over_all_sessions(f: &Fixture) {
    let limited = || Supplier::of(CUSTOMER).with(|service| service.concurrency = Some(3));
    let (one, other) = (f.supplier(limited()).await, f.supplier(limited()).await);
    let (_, trees) = f.accept(Order::of(CUSTOMER).times(6)).await;
    let first = f.claim(one, 2).await;
    assert_eq!(first.len(), 2);
    assert_eq!(f.claim(other, 10).await.len(), 1);
    assert_eq!(f.claim(one, 10).await, []);
    let claim = first[0].claim;
    let tree = trees.iter().find(|tree| tree.id == claim.task.tree).unwrap();
    f.write(Guard::Claim(claim), f.made(tree, 1)).await;
    assert_eq!(f.claim(other, 10).await.len(), 1);
    f.store.return_claims(&[first[1].claim]).await.unwrap();
    assert_eq!(f.claim(other, 10).await.len(), 1);
}

pub async fn concurrency_of_one_capability_leaves_the_others_alone(f: &Fixture) {
    let supplier = Supplier::of(&["shop/account", "shop/customer"]).with(|service| {
        service.concurrency = (service.contract == "shop/account").then_some(1);
    });
    let session = f.supplier(supplier).await;
    f.accept(Order::of(&["shop/account", "shop/customer"]).times(3)).await;
    assert_eq!(f.claim(session, 10).await.len(), 4);
}

pub async fn a_limit_is_that_of_the_latest_registration(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER)).await;
    f.accept(Order::of(CUSTOMER).times(5)).await;
    assert_eq!(f.claim(session, 2).await.len(), 2);
    f.supplier(Supplier::of(CUSTOMER).with(|service| service.concurrency = Some(3))).await;
    assert_eq!(f.claim(session, 10).await.len(), 1);
}

pub async fn a_low_rate_is_spaced_evenly_over_all_sessions(f: &Fixture) {
    let limited = || Supplier::of(CUSTOMER).with(|service| service.rate_per_s = Some(2.0));
    let (one, other) = (f.supplier(limited()).await, f.supplier(limited()).await);
    f.accept(Order::of(CUSTOMER).times(5)).await;
    assert_eq!(f.claim(one, 10).await.len(), 1);
    let next_at = f.next_at(other).await.expect("the rate holds tasks back");
    assert!(next_at > f.now() && next_at <= f.in_ms(500), "{next_at}");
    f.clock.advance_ms(next_at.as_millisecond() - f.now().as_millisecond() - 1);
    assert_eq!(f.claim(other, 10).await, []);
    f.clock.advance_ms(1);
    assert_eq!(f.claim(other, 10).await.len(), 1);
}

pub async fn a_rate_is_never_exceeded_in_the_long_run(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER).with(|service| service.rate_per_s = Some(100.0))).await;
    f.accept(Order::of(CUSTOMER).times(600)).await;
    let mut claimed = 0;
    for _ in 0..500 {
        claimed += f.claim(session, 100).await.len();
        f.clock.advance_ms(10);
    }
    // Five seconds, and a burst of 50 ms.
    assert!((495..=506).contains(&claimed), "{claimed}");
}

pub async fn a_rate_holds_nothing_back_when_nothing_is_there(f: &Fixture) {
    let session = f.supplier(Supplier::of(CUSTOMER).with(|service| service.rate_per_s = Some(0.001))).await;
    assert_eq!(f.next_at(session).await, None);
    f.one("shop/customer").await;
    assert_eq!(f.claim(session, 10).await.len(), 1);
    assert_eq!(f.claim(session, 10).await, []);
}

//! Leases: renewed and given back under their fence, ended by time.

use serde_json::json;
use sixpack_engine::Refusal;
use sixpack_model::ids::RequestId;
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::tree::PartStatus;

use crate::town::{Town, with_pair};

async fn leased() -> (Town, [sixpack_model::ids::SessionId; 2], RequestId, Lease) {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    for session in [a, b, a] {
        town.serve(session).await;
    }
    let lease = town.request(id).await.leases.remove(0);
    (town, [a, b], id, lease)
}

#[tokio::test]
async fn a_released_dataset_is_undone_newest_first_and_gone() {
    let (town, [a, b], id, lease) = leased().await;
    let (released, _) = town
        .engine
        .release_lease(&town.consumer(), lease.id, lease.fence, LeaseOutcome::Used, None)
        .await
        .expect("released");
    assert_eq!(released.status, LeaseStatus::Released);
    assert!(town.serve(a).await.is_empty(), "the second part goes first");
    assert_eq!(town.serve(b).await, ["undo b/second"]);
    assert_eq!(town.serve(a).await, ["undo a/first"]);
    assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Gone);
}

#[tokio::test]
async fn releasing_twice_answers_the_same_and_another_fence_is_refused() {
    let (town, _, _, lease) = leased().await;
    let release = |fence| {
        let (engine, consumer) = (town.engine.clone(), town.consumer());
        async move { engine.release_lease(&consumer, lease.id, fence, LeaseOutcome::Used, None).await }
    };
    assert!(matches!(release(lease.fence + 1).await, Err(Refusal::LeaseFenced)));
    assert!(matches!(release(lease.fence - 1).await, Err(Refusal::LeaseFenced)));
    assert!(release(lease.fence).await.is_ok());
    assert!(release(lease.fence).await.is_ok());
    assert!(matches!(release(lease.fence + 1).await, Err(Refusal::LeaseFenced)));
}

#[tokio::test]
async fn an_expired_lease_is_reaped_and_its_dataset_undone() {
    let (town, [a, b], _, lease) = leased().await;
    town.pass_s(59, &[a, b]).await;
    assert_eq!(
        town.engine.lease(&town.consumer(), lease.id).await.expect("there").0.status,
        LeaseStatus::Held
    );
    town.pass_s(2, &[a, b]).await;
    let (expired, _) = town.engine.lease(&town.consumer(), lease.id).await.expect("there");
    assert_eq!(expired.status, LeaseStatus::Expired);
    let late = town.engine.renew_lease(&town.consumer(), lease.id, lease.fence, None).await;
    assert!(matches!(late, Err(Refusal::LeaseEnded(LeaseStatus::Expired))), "{late:?}");
    assert_eq!(town.serve(b).await, ["undo b/second"]);
}

#[tokio::test]
async fn a_renewed_lease_lasts_from_then_and_never_shorter() {
    let (town, [a, b], _, lease) = leased().await;
    town.pass_s(30, &[a, b]).await;
    let renew = |ttl_ms| {
        let (engine, consumer) = (town.engine.clone(), town.consumer());
        async move { engine.renew_lease(&consumer, lease.id, lease.fence, ttl_ms).await }
    };
    let (renewed, _) = renew(None).await.expect("renewed");
    assert_eq!(renewed.expires_at.duration_since(lease.expires_at).as_secs(), 30);
    let (same, _) = renew(Some(1_000)).await.expect("renewed");
    assert_eq!(same.expires_at, renewed.expires_at);
}

#[tokio::test]
async fn somebody_elses_lease_does_not_exist() {
    let (town, _, _, lease) = leased().await;
    let other = town.supplier();
    let renewed = town.engine.renew_lease(&other, lease.id, lease.fence, None).await;
    assert!(matches!(renewed, Err(Refusal::Unknown { what: "lease", .. })), "{renewed:?}");
}

#[tokio::test]
async fn leases_and_datasets_survive_a_restart() {
    let (town, [a, b], id, lease) = leased().await;
    let town = town.restarted().await;
    let view = town.request(id).await;
    assert_eq!(view.leases[0].fence, lease.fence);
    town.engine
        .release_lease(&town.consumer(), lease.id, lease.fence, LeaseOutcome::Used, None)
        .await
        .expect("released");
    assert_eq!(town.serve(b).await, ["undo b/second"]);
    assert_eq!(town.serve(a).await, ["undo a/first"]);
}

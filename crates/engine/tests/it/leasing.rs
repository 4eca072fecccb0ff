//! Leases: renewed and given back under their fence, ended by time.

use serde_json::json;
use sixpack_engine::{Caller, Refusal};
use sixpack_model::ids::{RequestId, TokenId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::token::Role;
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

fn supplier_of(domain: Option<&str>, role: Role) -> Caller {
    Caller {
        token: TokenId(uuid::Uuid::from_u128(9)),
        name: "ada".to_owned(),
        role,
        environment: None,
        domain: domain.map(str::to_owned),
    }
}

#[tokio::test]
async fn whoever_has_a_part_in_a_dataset_takes_it_away_and_the_holder_is_told() {
    for caller in [
        supplier_of(Some("b"), Role::Supplier),
        supplier_of(Some("shop"), Role::Supplier),
        supplier_of(None, Role::Supplier),
        supplier_of(None, Role::Admin),
    ] {
        let (town, [a, b], id, lease) = leased().await;
        let revoke = |reason: &str| town.engine.revoke_lease(&caller, lease.id, reason.to_owned());
        let (revoked, _) = revoke("migrated at noon").await.expect("revoked");
        assert_eq!((revoked.status, revoked.revoked_by.as_deref()), (LeaseStatus::Revoked, Some("ada")));
        let (again, _) = revoke("another reason").await.expect("answered again");
        assert_eq!(again, revoked);
        let consumer = town.consumer();
        let renewed = town.engine.renew_lease(&consumer, lease.id, lease.fence, None).await;
        let released =
            town.engine.release_lease(&consumer, lease.id, lease.fence, LeaseOutcome::Used, None).await;
        for late in [renewed, released] {
            match late {
                Err(Refusal::LeaseRevoked { by, reason, at }) => {
                    assert_eq!((by.as_str(), reason.as_str()), ("ada", "migrated at noon"));
                    assert_eq!(at, revoked.ended_at);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(town.serve(b).await, ["undo b/second"]);
        assert_eq!(town.serve(a).await, ["undo a/first"]);
        assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Gone);
    }
}

#[tokio::test]
async fn whoever_has_no_part_in_a_dataset_cannot_take_it_away() {
    let (town, _, _, lease) = leased().await;
    let stranger = supplier_of(Some("c"), Role::Supplier);
    match town.engine.revoke_lease(&stranger, lease.id, "mine".to_owned()).await {
        Err(Refusal::NotOfDomain { own, domains }) => {
            assert_eq!(
                (own.as_str(), domains),
                ("c", vec!["a".to_owned(), "b".to_owned(), "shop".to_owned()])
            );
        }
        other => panic!("{other:?}"),
    }
    let bound = Caller { environment: Some("staging".to_owned()), ..supplier_of(None, Role::Admin) };
    let elsewhere = town.engine.revoke_lease(&bound, lease.id, "mine".to_owned()).await;
    assert!(matches!(elsewhere, Err(Refusal::Unknown { what: "lease", .. })), "{elsewhere:?}");
    let (held, _) = town.engine.lease(&town.consumer(), lease.id).await.expect("there");
    assert_eq!(held.status, LeaseStatus::Held);
}

#[tokio::test]
async fn what_has_ended_otherwise_is_not_revoked() {
    let (town, _, _, lease) = leased().await;
    let consumer = town.consumer();
    let released = town.engine.release_lease(&consumer, lease.id, lease.fence, LeaseOutcome::Used, None);
    released.await.expect("released");
    let late = town.engine.revoke_lease(&supplier_of(None, Role::Admin), lease.id, "late".to_owned()).await;
    assert!(matches!(late, Err(Refusal::LeaseEnded(LeaseStatus::Released))), "{late:?}");
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

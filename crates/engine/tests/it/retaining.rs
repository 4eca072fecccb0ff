//! Retaining: what is over can be looked at and asked for again for a month, and goes then.

use serde_json::json;
use sixpack_engine::{Refusal, Rerun, Sweep};
use sixpack_model::ids::DatasetId;
use sixpack_model::lease::LeaseOutcome;
use sixpack_model::request::{Priority, RequestStatus};
use sixpack_model::tree::PartStatus;

use crate::town::{ALL, Town, capability};

const DAY_MS: i64 = 86_400_000;

fn again(of: DatasetId) -> Rerun {
    Rerun {
        of,
        environment: None,
        channel: None,
        ttl_ms: 60 * DAY_MS as u64,
        holder: String::new(),
        timeout_ms: 300_000,
        priority: Priority::Pipeline,
        idempotency: None,
    }
}

#[tokio::test]
async fn what_is_over_is_kept_for_a_month_and_what_is_in_use_for_as_long_as_it_is() {
    let town = Town::new().await;
    let session = town.connect("shop", &[capability("customer", ALL)]).await;
    let id = town.ask("shop/customer", json!({})).await;
    town.serve(session).await;
    let view = town.request(id).await;
    let (tree, lease) = (view.trees[0].id, view.leases[0].clone());
    let consumer = town.consumer();
    town.engine.release_lease(&consumer, lease.id, lease.fence, LeaseOutcome::Used, None).await.unwrap();
    town.serve(session).await;
    assert_eq!(town.request(id).await.trees[0].root().status, PartStatus::Gone);

    town.clock.advance_ms(30 * DAY_MS - 1);
    town.engine.sweep(Sweep::Retention).await.unwrap();
    let session = town.connect("shop", &[capability("customer", ALL)]).await;
    let rerun = town.engine.rerun_dataset(&consumer, again(tree.root())).await.expect("it is still known").id;
    town.serve(session).await;
    assert_eq!(town.request(rerun).await.request.status, RequestStatus::Fulfilled);

    town.clock.advance_ms(DAY_MS);
    town.engine.sweep(Sweep::Retention).await.unwrap();
    let gone = town.engine.rerun_dataset(&consumer, again(tree.root())).await.map(|made| made.id);
    assert!(matches!(gone, Err(Refusal::Unknown { what: "dataset", .. })), "{gone:?}");
    assert!(matches!(town.engine.request(&consumer, id).await, Err(Refusal::Unknown { .. })));
    assert!(matches!(town.engine.lease(&consumer, lease.id).await, Err(Refusal::Unknown { .. })));
    let view = town.request(rerun).await;
    assert_eq!(view.leases.len(), 1, "it is leased for sixty days");
    assert!(view.rerun.expect("it is a rerun").original.is_none(), "nobody knows what it was made after");

    town.clock.advance_ms(50 * DAY_MS);
    town.engine.sweep(Sweep::Retention).await.unwrap();
    assert_eq!(town.request(rerun).await.trees[0].root().status, PartStatus::Leased);
    assert!(town.engine.has_missed_events(1).await.unwrap());
    assert!(!town.engine.has_missed_events(0).await.unwrap());
    let last = town.engine.last_event().await.unwrap();
    assert!(!town.engine.has_missed_events(last).await.unwrap());
}

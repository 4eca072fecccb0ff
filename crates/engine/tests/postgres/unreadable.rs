//! Rows that cannot be read: sweeps tell of them, and handle all others.

use serde_json::json;
use sixpack_engine::Sweep;
use sixpack_model::lease::LeaseStatus;
use sixpack_model::request::RequestStatus;

use crate::town::{Town, open, with_pair};

/// More rows in a row than a store that is away is asked for.
const SPOILED: usize = 5;

#[tokio::test]
async fn a_row_that_cannot_be_read_hides_none_behind_it() {
    let (here, a, b) = with_pair().await;
    let mut requests = Vec::new();
    for _ in 0..=SPOILED {
        requests.push(here.ask("shop/pair", json!({})).await);
        for session in [a, b, a, b] {
            here.serve(session).await;
        }
    }
    let mut leased = Vec::new();
    for request in requests {
        leased.push(here.request(request).await.leases[0].clone());
    }
    let mut waiting = Vec::new();
    for _ in 0..=SPOILED {
        let id = here.ask("shop/pair", json!({})).await;
        waiting.push((id, here.request(id).await.trees[0].id));
    }
    // Ids begin with the time: the last is behind the others in every list.
    let ((last_lease, leases), (last_request, requests)) =
        (leased.split_last().expect("some"), waiting.split_last().expect("some"));
    let spoiled: Vec<_> =
        leases.iter().map(|lease| lease.tree).chain(requests.iter().map(|(_, tree)| *tree)).collect();
    here.place.spoil(&spoiled).await;

    // Another server, which remembers nothing of them.
    let engine = open(&here.place, &here.clock).await;
    let there = Town { engine, clock: here.clock.clone(), place: here.place.clone() };
    here.clock.advance_ms(24 * 3_600_000);
    let told = there.engine.sweep(Sweep::OverdueLeases).await.expect_err("some cannot be read");
    assert!(told.to_string().contains("the store failed"), "{told}");
    let store = here.place.store(&here.clock).await;
    let lease = store.lease(last_lease.id).await.expect("leases themselves can be read").expect("it is kept");
    assert_eq!(lease.status, LeaseStatus::Expired);

    let told = there.engine.sweep(Sweep::OverdueRequests).await;
    // Why they are late is not known of those that cannot be read; they end all the same.
    told.expect("requests themselves can be read");
    assert_eq!(there.request(last_request.0).await.request.status, RequestStatus::Expired);
}

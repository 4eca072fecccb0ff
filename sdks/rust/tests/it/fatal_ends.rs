//! Ends that reconnecting cannot mend: running handlers finish, and nothing that they made is kept quiet about.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use sixpack::wire::{NewToken, PageFilter, Role};
use sixpack::{DynamicCapability, EndReason, Error, Running, SupplierEnded};
use tokio::sync::{Semaphore, mpsc};

use crate::server::{DEADLINE, Server, until};

/// An order that is made only once its handler has been told that nobody wants it any more, and the gate is open.
fn unwanted_order(began: mpsc::UnboundedSender<()>, gate: Arc<Semaphore>) -> DynamicCapability {
    DynamicCapability::new("order", move |cx, _input| {
        began.send(()).unwrap();
        let gate = Arc::clone(&gate);
        async move {
            cx.cancelled().await;
            gate.acquire().await?.forget();
            Ok(json!({ "id": "order-1" }))
        }
    })
}

async fn end_of(running: Running) -> Box<SupplierEnded> {
    let ended = tokio::time::timeout(DEADLINE, running.ended()).await.unwrap();
    match ended.unwrap_err() {
        Error::Ended(ended) => ended,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_superseded_supplier_finishes_and_the_server_has_undone_what_it_made() {
    let server = Server::start().await;
    let (began, mut attempts) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let mut running = server.supplier(unwanted_order(began, Arc::clone(&gate))).start().unwrap();
    running.ready().await.unwrap();
    server.request("one").await;
    attempts.recv().await.unwrap();
    server.usurp().await;
    // An answer that comes before the server has given the attempt up is one like any other.
    until(&mut server.events(), "task.lost").await;
    gate.add_permits(1);

    let ended = end_of(running).await;
    assert_eq!((ended.reason, ended.unreported.len()), (EndReason::Superseded, 0), "{ended}");
    assert_eq!(Error::Ended(ended).exit_code(), 1);
    until(&mut server.events(), "task.orphaned").await;
}

#[tokio::test]
async fn a_supplier_whose_token_is_revoked_finishes_and_names_what_it_could_not_report() {
    let server = Server::start().await;
    let client = server.client();
    let token = client.create_token(&NewToken::new("shop", Role::Supplier)).await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let (began, mut attempts) = mpsc::unbounded_channel();
    let (opened, first) = (Arc::clone(&gate), AtomicBool::new(true));
    let order = DynamicCapability::new("order", move |cx, _input| {
        let (gate, first) = (Arc::clone(&opened), first.swap(false, Ordering::SeqCst));
        began.send(cx.idempotency_key().to_owned()).unwrap();
        async move {
            // The first brings the news that the token is gone, the other hears of it.
            if first {
                gate.acquire().await?.forget();
            } else {
                cx.cancelled().await;
            }
            Ok(json!({ "id": "order-1" }))
        }
    });
    // With both slots taken no claim is parked.
    let mut running = server.supplier(order).token(&token.token).concurrency(2).start().unwrap();
    running.ready().await.unwrap();
    server.request("one").await;
    server.request("two").await;
    let mut keys = vec![attempts.recv().await.unwrap(), attempts.recv().await.unwrap()];
    client.revoke_token(&token.id).await.unwrap();
    gate.add_permits(1);

    let ended = end_of(running).await;
    assert_eq!(ended.reason, EndReason::TokenRefused, "{ended}");
    let mut unreported: Vec<_> =
        ended.unreported.iter().map(|attempt| attempt.idempotency_key.clone()).collect();
    keys.sort();
    unreported.sort();
    assert_eq!(unreported, keys);
    assert!(ended.unreported.iter().all(|attempt| attempt.finished && attempt.may_have_made), "{ended}");
    let told = ended.to_string();
    assert!(told.contains("2 results could not be reported") && told.contains(&keys[0]), "{told}");
    assert!(told.contains("sixpack token create --role supplier"), "{told}");
    assert_eq!(Error::Ended(ended).exit_code(), 77);
    // The server itself is well.
    client.tokens(&PageFilter::default()).await.unwrap();
}

#[tokio::test]
async fn a_handler_that_does_not_finish_in_the_time_of_a_drain_is_dropped_and_named() {
    let server = Server::start().await;
    let (began, mut attempts) = mpsc::unbounded_channel();
    let order = DynamicCapability::new("order", move |_cx, _input| {
        began.send(()).unwrap();
        std::future::pending()
    });
    let supplier = server.supplier(order).drain_within(Duration::from_millis(1));
    let mut running = supplier.start().unwrap();
    running.ready().await.unwrap();
    server.request("one").await;
    attempts.recv().await.unwrap();
    server.usurp().await;

    let ended = end_of(running).await;
    let unreported: Vec<_> =
        ended.unreported.iter().map(|attempt| (attempt.capability.as_str(), attempt.finished)).collect();
    assert_eq!(unreported, [("order", false)], "{ended}");
}

#[tokio::test]
async fn a_manifest_that_the_server_does_not_take_ends_the_supplier_with_all_its_faults() {
    let server = Server::start().await;
    let order = DynamicCapability::new("No Name", |_cx, _input| async { Ok(json!({})) });
    let mut running = server.supplier(order).start().unwrap();
    let refused = running.ready().await.unwrap_err();
    assert_eq!((refused.exit_code(), refused.code()), (65, Some("name_pattern")), "{refused}");
    assert!(refused.to_string().contains("/capabilities/0/name"), "{refused}");
}

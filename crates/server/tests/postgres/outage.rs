//! While the database is away every call is answered, and afterwards everything goes on by itself.

use serde_json::json;
use sixpack_engine::EngineSettings;
use sixpack_storage::conformance::PostgresServer;

use crate::api_server::{ApiServer, HandSupplier, capability, manifest, settings, within};
use crate::place::Place;

#[tokio::test]
async fn without_its_database_a_server_says_so_and_goes_on_when_it_is_back() {
    let database = PostgresServer::start(&[]);
    let place = Place::of(&database);
    let server = ApiServer::start_at(place.clone(), settings(), EngineSettings::default()).await;
    let beside = ApiServer::start_at(place, settings(), EngineSettings::default()).await;
    let (consumer, supplier) = (server.consumer().await, server.supplier().await);
    let hand = HandSupplier::open(&supplier, &manifest("a", &[capability("one", &["produce"])])).await;
    let wanted = json!({"environment": "default", "contract": "a/one"});
    let before = consumer.post("/v1/requests", &wanted).await.expect(201);
    assert_eq!(consumer.get("/readyz").await.status, 200);

    database.stop();
    for reply in [
        consumer.post("/v1/requests", &wanted).await,
        consumer.get(&format!("/v1/requests/{}", before["id"].as_str().unwrap())).await,
        supplier.post(&hand.path("claim"), &json!({"max": 1, "wait_s": 1})).await,
    ] {
        reply.refused(503, "unavailable");
        assert!(!reply.header("retry-after").is_empty());
    }
    // The store is tried once a second, whoever asks.
    within(async {
        while consumer.get("/readyz").await.status != 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(consumer.get("/livez").await.status, 200);
    assert!(!server.running.is_finished() && !beside.running.is_finished());

    database.start_again();
    within(async {
        while consumer.get("/readyz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Nothing of what was acknowledged is lost, and the supplier's session is not held against it.
    hand.serve();
    let path = format!("/v1/requests/{}", before["id"].as_str().unwrap());
    let there = beside.client(consumer.secret.clone());
    let done = there.until(&path, |request| request["status"] != "building").await;
    assert_eq!(done["status"], "fulfilled", "{done}");
}

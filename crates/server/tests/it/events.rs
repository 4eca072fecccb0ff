//! Events as a stream: from the beginning, from a place, filtered, and by whom they are seen.

use futures::StreamExt;
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sixpack_engine::{EngineSettings, Sweep};
use sixpack_model::token::Role;
use sixpack_storage::ManualClock;

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest, read, settings, within};
use crate::place::Place;

/// Reads events until one is of this kind.
pub(crate) async fn until(api: &Api, path: &str, after: u64, kind: &str) -> Vec<Value> {
    read_until(api.request(Method::GET, path).header("last-event-id", after.to_string()), kind).await
}

async fn read_until(request: RequestBuilder, kind: &str) -> Vec<Value> {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut stream, mut text, mut events) = (response.bytes_stream(), String::new(), Vec::new());
    within(async {
        while let Some(bytes) = stream.next().await {
            text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
            while let Some((event, rest)) = text.split_once("\n\n") {
                if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                    let data: Value = serde_json::from_str(data).unwrap();
                    assert!(event.contains(&format!("id: {}\n", data["id"])), "{event}");
                    assert!(
                        event.contains(&format!("event: {}\n", data["kind"].as_str().unwrap())),
                        "{event}"
                    );
                    events.push(data);
                }
                text = rest.to_owned();
            }
            if events.iter().any(|event| event["kind"] == kind) {
                return;
            }
        }
        panic!("the stream ended before {kind}: {events:?}");
    })
    .await;
    events
}

#[tokio::test]
async fn events_are_followed_from_the_beginning_and_from_a_place() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let supplier =
        HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    let made = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let following = {
        let admin = admin.clone();
        tokio::spawn(async move { until(&admin, "/v1/events", 0, "request.fulfilled").await })
    };
    supplier.perform("produce", json!({"outcome": "done", "output": {"id": "a-1"}})).await;
    let events = within(following).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for kind in [
        "token.created",
        "contract.new",
        "session.live",
        "request.building",
        "dataset.building",
        "task.done",
        "dataset.ready",
        "lease.granted",
    ] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    let numbers: Vec<u64> = events.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted());
    let done = events.iter().find(|event| event["kind"] == "task.done").unwrap();
    assert_eq!((&done["request_id"], &done["session_id"]), (&made["id"], &json!(supplier.session)));
    assert_eq!((&done["operation"], &done["attempt"]), (&json!("produce"), &json!(1)));
    assert!(done["duration_ms"].is_u64(), "{done}");
    for event in &events {
        assert_eq!(event.get("path").is_some(), event.get("dataset_id").is_some(), "{event}");
    }
    let place = done["id"].as_u64().unwrap();
    let rest = until(&admin, "/v1/events", place, "request.fulfilled").await;
    assert!(rest.iter().all(|event| event["id"].as_u64().unwrap() > place));
}

#[tokio::test]
async fn filters_and_bounds_keep_events_apart() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut staging = manifest("billing", &[capability("account", &["produce"])]);
    staging["environment"] = json!("staging");
    HandSupplier::open(&admin, &staging).await;
    HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    let one = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    let other = admin.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    for request in [&one, &other] {
        let id = request["id"].as_str().unwrap();
        admin.post(&format!("/v1/requests/{id}/cancel"), &json!({})).await.expect(200);
    }
    let path = format!("/v1/events?request={}", other["id"].as_str().unwrap());
    let events = until(&admin, &path, 0, "request.cancelled").await;
    assert!(events.iter().all(|event| event["request_id"] == other["id"]), "{events:?}");
    let bound = server.api(Role::Consumer, Some("staging"), None).await;
    let seen = until(&bound, "/v1/events", 0, "session.live").await;
    assert!(seen.iter().all(|event| event["environment"] == "staging"), "{seen:?}");
    let consumer = server.consumer().await;
    let seen = until(&consumer, "/v1/events", 0, "request.cancelled").await;
    assert!(seen.iter().all(|event| !event["kind"].as_str().unwrap().starts_with("token.")), "{seen:?}");
    for id in ["x", "-1", "18446744073709551616"] {
        let request = admin.request(Method::GET, "/v1/events").header("last-event-id", id);
        read(request).await.refused(400, "bad_event_id");
    }
}

#[tokio::test]
async fn whoever_was_away_for_longer_than_events_are_kept_is_told_so() {
    let (place, clock) = Place::at(ManualClock::at(Timestamp::now())).await;
    let server = ApiServer::start_at(place, settings(), EngineSettings::default()).await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    let seen = until(&admin, "/v1/events", 0, "session.live").await;
    let (first, last) = (seen.first().unwrap(), seen.last().unwrap());
    // Over PostgreSQL a week goes as a whole, when the last of it is old enough.
    clock.advance_ms(38 * 86_400_000);
    let admin = server.admin().await;
    server.engine.sweep(Sweep::Retention).await.unwrap();
    let from = |id: &Value| admin.request(Method::GET, "/v1/events").header("last-event-id", id.to_string());
    read(from(&first["id"])).await.refused(410, "events_gone");
    // Whoever has seen all that went has missed nothing, and the very beginning is the oldest that is left.
    for after in [last["id"].as_u64().unwrap(), 0] {
        let left = until(&admin, "/v1/events", after, "token.created").await;
        assert!(left.iter().all(|event| event["kind"] != "session.live"), "{left:?}");
    }
}

#[tokio::test]
async fn a_stream_may_begin_a_few_events_before_now() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    for name in ["first", "second", "third"] {
        admin.post("/v1/tokens", &json!({"name": name, "role": "consumer"})).await.expect(201);
    }
    let events = read_until(admin.request(Method::GET, "/v1/events?back=2"), "token.created").await;
    assert_eq!(events[0]["name"], "second", "{events:?}");
    let with_id = admin.request(Method::GET, "/v1/events?back=2").header("last-event-id", "0");
    let events = read_until(with_id, "token.created").await;
    assert!(events[0]["id"].as_u64().unwrap() < 3, "{events:?}");
    admin.get("/v1/events?back=1001").await.refused(422, "range");
}

//! Results of attempts that outlive their session: the server hears of what they made, and has it undone.

use std::sync::Arc;

use serde_json::{Value, json};
use sixpack::wire::{EventFilter, SessionFilter, SessionState};
use sixpack::{Client, DynamicCapability, EventStream, Owner, Running, Supplier};
use tokio::sync::{Semaphore, mpsc};

use crate::server::{DEADLINE, Server};

const INSTANCE: &str = "the-only-one";

/// Ends the live session of the supplier, as if the server had given it up.
async fn end_session(server: &Server) {
    let url = format!("{}/v1/sessions", server.url);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let usurper = json!({
        "environment": "default",
        "domain": "shop",
        "instance": INSTANCE,
        "owner": {"team": "Shop"},
        "capabilities": [{"name": "other", "description": "Something else", "input": {"type": "object"}, "output": {"type": "object"},
                          "operations": ["produce"]}]
    });
    let opened = client.post(&url).bearer_auth(&server.token).json(&usurper).send().await.unwrap();
    let opened: Value = opened.json().await.unwrap();
    let url = format!("{url}/{}", opened["id"].as_str().unwrap_or_else(|| panic!("{opened}")));
    client.delete(url).bearer_auth(&server.token).send().await.unwrap().error_for_status().unwrap();
}

/// A supplier in the middle of an attempt, whose session was lost.
struct Scene {
    running: Running,
    /// Each attempt waits for a permit before it makes something.
    gate: Arc<Semaphore>,
    client: Client,
    events: EventStream,
    _server: Server,
}

impl Scene {
    async fn with_a_lost_session() -> Self {
        let server = Server::start().await;
        let gate = Arc::new(Semaphore::new(0));
        let (began, mut attempts) = mpsc::unbounded_channel();
        let held = Arc::clone(&gate);
        let order = DynamicCapability::new("order", move |_cx, _input| {
            began.send(()).unwrap();
            let gate = Arc::clone(&held);
            async move {
                gate.acquire().await?.forget();
                Ok(json!({ "id": "order-1" }))
            }
        });
        // With its only slot taken it has no claim parked, and hears of its session with a heartbeat.
        let supplier = Supplier::new("shop").owner(Owner::new("Shop")).instance(INSTANCE).concurrency(1);
        let supplier = supplier.url(&server.url).token(&server.token);
        let supplier = supplier.dynamic(order.with_undo(|_cx, _input, _output| async { Ok(()) }));
        let mut running = supplier.start().unwrap();
        running.ready().await.unwrap();

        let client = Client::new(&server.url, &server.token).unwrap();
        let request = serde_json::from_value(json!({"contract": "shop/order"})).unwrap();
        client.create_request(&request, "one", 0).await.unwrap();
        attempts.recv().await.unwrap();
        end_session(&server).await;
        let events = client.events(&EventFilter::default(), Some(0));
        let mut scene = Self { running, gate, client, events, _server: server };
        for _session in ["lost", "usurper", "next"] {
            scene.until("session.live").await;
        }
        scene
    }

    async fn until(&mut self, kind: &str) {
        let seen = async { while self.events.next().await.unwrap().kind != kind {} };
        tokio::time::timeout(DEADLINE, seen).await.unwrap_or_else(|_| panic!("no `{kind}` came"));
    }

    async fn until_no_session_is_live(&self) {
        let live = SessionFilter { state: Some(SessionState::Live), ..SessionFilter::default() };
        let gone = async { while !self.client.sessions(&live).await.unwrap().items.is_empty() {} };
        tokio::time::timeout(DEADLINE, gone).await.unwrap();
    }
}

#[tokio::test]
async fn what_an_attempt_of_a_lost_session_made_is_known_to_the_server() {
    let mut scene = Scene::with_a_lost_session().await;
    scene.gate.add_permits(1);
    scene.until("task.orphaned").await;
}

#[tokio::test]
async fn a_drain_waits_for_attempts_of_lost_sessions() {
    let mut scene = Scene::with_a_lost_session().await;
    scene.running.begin_drain();
    scene.until_no_session_is_live().await;
    scene.gate.add_permits(1);
    scene.until("task.orphaned").await;
    tokio::time::timeout(DEADLINE, scene.running.drain()).await.unwrap().unwrap();
}

//! Results of attempts that outlive their session: the server hears of what they made, and has it undone.

use std::sync::Arc;

use serde_json::json;
use sixpack::wire::{SessionFilter, SessionState};
use sixpack::{Client, DynamicCapability, EventStream, Running};
use tokio::sync::{Semaphore, mpsc};

use crate::server::{DEADLINE, Server, until};

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
        let mut running = server.supplier(order).concurrency(1).start().unwrap();
        running.ready().await.unwrap();

        server.request("one").await;
        attempts.recv().await.unwrap();
        server.end_session().await;
        let (client, events) = (server.client(), server.events());
        let mut scene = Self { running, gate, client, events, _server: server };
        for _session in ["lost", "usurper", "next"] {
            scene.until("session.live").await;
        }
        scene
    }

    async fn until(&mut self, kind: &str) {
        until(&mut self.events, kind).await;
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

//! A small server with the edge in front, and a raw client: what goes over the socket is what a test wrote.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sixpack_server::edge::check::{Check, Faults};
use sixpack_server::edge::fallback::json_only;
use sixpack_server::edge::json::Json;
use sixpack_server::edge::overload::{InFlight, LongPolls};
use sixpack_server::edge::path::Path;
use sixpack_server::edge::problem::Problem;
use sixpack_server::edge::query::{NoParameters, Query};
use sixpack_server::edge::sse::{SseEvent, sse};
use sixpack_server::edge::{EdgeSettings, Peer, Stopping, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::log;

/// Longest a test waits for anything; reached only when something hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// Body cap of the route `/orders`.
pub(crate) const ORDER_MAX_BYTES: usize = 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
}

impl Check for Order {
    const BODY_MAX_BYTES: usize = ORDER_MAX_BYTES;

    fn check(&self, faults: &mut Faults) {
        faults.range("count", &self.count, 1..=100);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    text: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Large {
    title: String,
}

impl Check for Large {
    const BODY_MAX_BYTES: usize = 32 * 1024 * 1024;

    fn check(&self, faults: &mut Faults) {
        faults.too_long("title", &self.title, 200);
    }
}

/// What the slow handlers of the small server wait for and tell.
#[derive(Clone)]
pub(crate) struct Hold {
    /// A permit lets one held request go on.
    pub(crate) release: Arc<Semaphore>,
    /// A permit is added for every held request that began.
    pub(crate) begun: Arc<Semaphore>,
    pub(crate) polls: LongPolls,
}

/// The small server, running until it is dropped or shut down.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) settings: EdgeSettings,
    pub(crate) hold: Hold,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(settings: EdgeSettings) -> Self {
        log::keep();
        let hold = Hold {
            release: Arc::new(Semaphore::new(0)),
            begun: Arc::new(Semaphore::new(0)),
            polls: LongPolls::new(2, 100),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shutdown = CancellationToken::new();
        let serving = serve(listener, router(hold.clone()), settings.clone(), shutdown.clone());
        Self { address, settings, hold, shutdown, running: tokio::spawn(serving) }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::to(self.address).await
    }

    /// A good request on a new connection is answered well.
    pub(crate) async fn assert_serves(&self, after: &str) {
        let mut client = self.connect().await;
        client.send(b"GET /things/7 HTTP/1.1\r\nHost: good.test\r\n\r\n").await;
        let reply = client.reply().await.unwrap_or_else(|| panic!("no answer after {after}"));
        assert_eq!((reply.status, reply.json()["id"].as_u64()), (200, Some(7)), "after {after}");
    }

    /// Waits until a held request began.
    pub(crate) async fn begun(&self) {
        within(self.hold.begun.acquire()).await.expect("the semaphore is never closed").forget();
    }
}

/// Short limits for tests that wait for them, wide ones for everything else; the host list is on.
pub(crate) fn settings() -> EdgeSettings {
    EdgeSettings {
        hosts: vec!["good.test".to_owned()],
        access_log: true,
        drain_delay: Duration::ZERO,
        linger: Duration::from_millis(500),
        ..EdgeSettings::default()
    }
}

/// A raw connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Client {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("the server accepts"), read: Vec::new() }
    }

    /// Sends what the server takes; one that has closed already is no failure of the test.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _sent = within(self.stream.write_all(bytes)).await;
    }

    /// The next answer; `None` when the connection ends before one.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        read_reply(&mut self.stream, &mut self.read).await
    }

    /// Sends and reads at the same time: an answer may come before everything is sent, and end the sending.
    pub(crate) async fn exchange(&mut self, bytes: &[u8]) -> Option<Reply> {
        let (mut reading, mut writing) = self.stream.split();
        let mut send = pin!(writing.write_all(bytes));
        let mut receive = pin!(read_reply(&mut reading, &mut self.read));
        let mut is_sent = false;
        loop {
            tokio::select! {
                _sent = &mut send, if !is_sent => is_sent = true,
                reply = &mut receive => {
                    let goes_on = reply.as_ref().is_some_and(|reply| reply.header("connection") != Some("close"));
                    if goes_on && !is_sent {
                        let _sent = within(send).await;
                    }
                    return reply;
                }
            }
        }
    }

    /// Everything until `wanted` came.
    pub(crate) async fn until(&mut self, wanted: &str) -> String {
        within(async {
            loop {
                let read = String::from_utf8_lossy(&self.read).into_owned();
                if read.contains(wanted) {
                    return read;
                }
                assert!(self.more().await, "the connection ended before {wanted:?}: {read}");
            }
        })
        .await
    }

    /// Waits for the end of the connection; a reset is one too.
    pub(crate) async fn ended(&mut self) {
        while self.more().await {}
    }

    async fn more(&mut self) -> bool {
        more(&mut self.stream, &mut self.read).await
    }
}

async fn read_reply(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Option<Reply> {
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if !more(stream, read).await {
            return None;
        }
    };
    let head = String::from_utf8(read.drain(..head_end).collect()).expect("heads are ASCII");
    let status = head[9..12].parse().expect("an answer begins with its status");
    let mut reply = Reply { status, head, body: Vec::new() };
    let length = reply.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while read.len() < length && more(stream, read).await {}
    reply.body = read.drain(..length.min(read.len())).collect();
    Some(reply)
}

async fn more(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> bool {
    within(stream.read_buf(read)).await.is_ok_and(|count| count > 0)
}

/// Waits with a deadline, so that a hanging server fails the test and not the run.
pub(crate) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, waiting).await.expect("nothing happened until the deadline")
}

fn router(hold: Hold) -> Router {
    let api = Router::new()
        .route("/things", get(async |_: Query<Listing>| "[]"))
        .route("/things/{id}", get(thing))
        .route("/names/{name}", get(async |Path((name,)): Path<(String,)>| name))
        .route("/plain", get(async |_: Query<NoParameters>| "plain"))
        .route("/text", get(async |Query(listing): Query<Listing>| listing.text.unwrap_or_default()))
        .route("/orders", post(async |order: Json<Order>| order))
        .route("/large", post(async |large: Json<Large>| large))
        .route("/unread", post(async || "unread"))
        .route("/peer", get(async |peer: Peer| peer.0.ip().to_string()))
        .route("/panic", get(panics))
        .route("/held", get(held))
        .route("/urgent", get(async || "urgent"))
        .route("/poll/{token}", get(poll))
        .layer(middleware::from_fn(json_only))
        .layer(DefaultBodyLimit::disable());
    api.route("/events", get(events)).with_state(hold)
}

async fn thing(Path((id,)): Path<(u64,)>) -> Json<Value> {
    Json(serde_json::json!({ "id": id }))
}

async fn panics() -> String {
    panic!("a handler that panics")
}

async fn held(hold: axum::extract::State<Hold>) -> &'static str {
    hold.begun.add_permits(1);
    hold.release.acquire().await.expect("the semaphore is never closed").forget();
    "released"
}

async fn poll(
    hold: axum::extract::State<Hold>,
    Path((token,)): Path<(String,)>,
    in_flight: InFlight,
    stopping: Stopping,
) -> Result<&'static str, Problem> {
    let _place = hold.polls.park(&token, &in_flight)?;
    hold.begun.add_permits(1);
    tokio::select! {
        released = hold.release.acquire() => { released.expect("the semaphore is never closed").forget(); Ok("released") }
        () = stopping.0.cancelled() => Ok("none"),
    }
}

async fn events(
    hold: axum::extract::State<Hold>,
    in_flight: InFlight,
    stopping: Stopping,
) -> Result<Response, Problem> {
    let place = hold.polls.park("events", &in_flight)?;
    let first = SseEvent { id: Some("1".to_owned()), event: None, data: "a\nb".to_owned() };
    let events = futures::StreamExt::chain(futures::stream::iter([first]), futures::stream::pending());
    Ok(sse(events, stopping, place, Duration::from_millis(20)))
}

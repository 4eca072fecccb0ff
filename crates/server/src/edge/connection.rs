//! The accept loop: takes connections within the caps, serves each, and drains them all at the end.
//!
//! ```text
//! serving --shutdown--> announced --drain_delay--> stopping --all done, or grace is over--> closed
//! ```

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::{Guard, Wire};
use super::overload::InFlight;
use super::settings::EdgeSettings;
use super::{Edge, Peer, Stopping};

/// Buffer of the HTTP library: the guard lets through at most a request line and a header block.
const HTTP_BUFFER_MAX_BYTES: usize = 64 * 1024;

/// Pause after `accept` failed for want of descriptors or memory: some connections will have closed by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Refused connections that are told why at one time; those beyond are closed without a word.
const TOLD_MAX: usize = 64;

/// The answer to a connection beyond the caps; nothing of the request is read.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\ncache-control: no-store\r\nretry-after: 1\r\n\
    connection: close\r\ncontent-length: 182\r\n\r\n\
    {\"type\":\"/docs/errors#too_many_connections\",\"title\":\"Too many connections\",\"status\":503,\
    \"code\":\"too_many_connections\",\"detail\":\"Too many connections are open; use fewer, ask later.\"}";

/// Serves `router` on `listener` until `shutdown` is cancelled and the drain is over.
///
/// Requests in flight may finish within the grace; what is left then is cut off. A second wish to stop is the
/// caller's: dropping this future ends everything at once.
///
/// # Errors
/// When the listener cannot say its own address; failures of single connections end only those.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: EdgeSettings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let stopping = CancellationToken::new();
    let edge = Edge::new(router, settings, Stopping(stopping.clone()));
    let settings = edge.settings();
    let cut = CancellationToken::new();
    // Cuts the connections off also when this future is dropped.
    let _cut_at_last = cut.clone().drop_guard();
    let connections = TaskTracker::new();
    let caps = Caps::new(&settings);
    let announced = async {
        shutdown.cancelled().await;
        tokio::time::sleep(settings.drain_delay).await;
    };
    tokio::pin!(announced);
    tracing::debug!(%address, "accepting connections");
    loop {
        let (stream, from) = tokio::select! {
            () = &mut announced => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    tracing::warn!(err = %error, "connections cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        settings.counters.connections.add_one();
        let Some(place) = caps.enter(from.ip()) else {
            settings.counters.connections_refused.add_one();
            caps.tell(stream, settings.linger);
            continue;
        };
        let connection = Connection { edge: edge.clone(), from, stopping: stopping.clone() };
        let cut = cut.clone();
        connections.spawn(async move {
            let _place = place;
            tokio::select! {
                () = connection.serve(stream) => {}
                () = cut.cancelled() => {}
            }
        });
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    if tokio::time::timeout(settings.grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "the grace is over; open connections are cut off");
        cut.cancel();
        connections.wait().await;
    }
    Ok(())
}

/// Whether `accept` failed for the connection only, so that the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

struct Connection {
    edge: Arc<Edge>,
    from: SocketAddr,
    stopping: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // Answers are small and complete; waiting for more to send only delays them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let Self { edge, from, stopping } = self;
        let wire = Arc::new(Wire::new());
        let guard = Guard::new(stream, Arc::clone(&wire), edge.settings(), stopping.clone());
        let requests = Requests { edge, from, wire };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(HTTP_BUFFER_MAX_BYTES)
            .serve_connection(TokioIo::new(guard), requests);
        let mut connection = Box::pin(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(err = %error, "a connection ended early");
        }
    }
}

/// The requests of one connection.
struct Requests {
    edge: Arc<Edge>,
    from: SocketAddr,
    wire: Arc<Wire>,
}

impl hyper::service::Service<http::Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let refused = self.wire.begin();
        let (edge, wire, from) = (Arc::clone(&self.edge), Arc::clone(&self.wire), Peer(self.from));
        Box::pin(async move {
            let in_flight = InFlight::default();
            let mut response = match refused {
                Some(problem) => edge.refuse(&request, problem, from),
                None => edge.answer_within(request.map(Body::new), from, &in_flight).await,
            };
            if wire.body_open() {
                let close = http::HeaderValue::from_static("close");
                response.headers_mut().insert(http::header::CONNECTION, close);
            }
            Ok(response.map(|body| Answer { body, wire, _in_flight: in_flight }))
        })
    }
}

/// The body of an answer; when it is gone, the request is over.
pub(super) struct Answer {
    body: Body,
    wire: Arc<Wire>,
    _in_flight: InFlight,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.wire.end();
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The open connections, in all and by address.
struct Caps {
    total: Arc<Semaphore>,
    told: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    by_address_max: usize,
}

/// The place of one open connection; dropping it makes room.
struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _total: OwnedSemaphorePermit,
}

impl Caps {
    fn new(settings: &EdgeSettings) -> Self {
        let total = Arc::new(Semaphore::new(settings.connections_max));
        settings.counters.open.are(&total, settings.connections_max);
        Self {
            total,
            told: Arc::new(Semaphore::new(TOLD_MAX)),
            by_address: Arc::default(),
            by_address_max: settings.connections_per_address_max,
        }
    }

    fn enter(&self, address: IpAddr) -> Option<Place> {
        let total = Arc::clone(&self.total).try_acquire_owned().ok()?;
        let mut open = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.entry(address).or_insert(0);
        if *here >= self.by_address_max {
            return None;
        }
        *here += 1;
        Some(Place { address, by_address: Arc::clone(&self.by_address), _total: total })
    }

    fn tell(&self, mut stream: TcpStream, linger: Duration) {
        let Ok(told) = Arc::clone(&self.told).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let _told = told;
            let telling = async {
                stream.write_all(TOO_MANY_CONNECTIONS).await?;
                stream.shutdown().await?;
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
            };
            // The client may be gone or slow; it is refused either way.
            let _outcome = tokio::time::timeout(linger, telling).await;
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = open.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_connection_beyond_the_caps_declares_its_length() {
        let answer = std::str::from_utf8(TOO_MANY_CONNECTIONS).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.ends_with(&format!("content-length: {}", body.len())),
            "the body has {} bytes",
            body.len()
        );
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], "too_many_connections");
    }
}

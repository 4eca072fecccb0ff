//! HTTP in and out.
//!
//! A request passes the [`edge`], is authorized by the table in `http/auth.rs`, and reaches the one handler of its
//! operation, which takes it apart, calls the engine, and puts the answer together. Nothing in here decides anything
//! about datasets, and nothing in here knows a store.

pub mod edge;
mod http;
mod metrics;

use std::io;
use std::sync::Arc;

use axum::Router;
use sixpack_engine::Engine;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::edge::Counters;
pub use self::edge::EdgeSettings;
pub use self::http::openapi;
pub use self::metrics::{MetricsSettings, count_panics, serve_metrics};

/// Calls that one token may have parked: a build farm behind one token, each call on a connection of its own.
pub const LONG_POLLS_PER_TOKEN: usize = 2_000;

/// Claims that one session may have parked: it handles tasks in parallel without parking more than one.
pub const CLAIMS_PER_SESSION: usize = 8;

/// What a server allows.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The limits of HTTP itself.
    pub edge: EdgeSettings,
    /// Takes calls without a token as an administrator's. Whoever sets it makes sure that only loopback is listened to.
    pub insecure_dev: bool,
    /// Browsers keep their token only for TLS, which a proxy before the server speaks.
    pub secure_cookies: bool,
    /// Calls that one token may have parked.
    pub long_polls_per_token: usize,
}

impl Default for ServerSettings {
    fn default() -> Self {
        let counters = Arc::new(Counters::of(http::operations_by_number().count()));
        let edge = EdgeSettings { is_urgent: http::is_urgent, counters, ..EdgeSettings::default() };
        Self { edge, insecure_dev: false, secure_cookies: false, long_polls_per_token: LONG_POLLS_PER_TOKEN }
    }
}

/// All operations, without the edge before them and without sockets.
pub fn app(engine: Engine, settings: &ServerSettings) -> Router {
    http::router(engine, settings, CancellationToken::new())
}

/// Serves all operations on `listener` until `shutdown` is cancelled and everything in flight is answered.
///
/// From the moment of the shutdown `/readyz` says no; parked calls are answered at once when the listener closes.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    settings: ServerSettings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = http::router(engine, &settings, shutdown.clone());
    edge::serve(listener, router, settings.edge, shutdown).await
}

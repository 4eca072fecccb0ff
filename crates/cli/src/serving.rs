//! A server from its start to its end, the same for `sixpack serve` and `sixpack dev`.
//!
//! ```text
//! settings -> store (locked, migrated) -> engine -> tokens -> listening: ready      a signal before that: 0
//!   ready --signal--> draining --drain delay, grace--> finishing --> stopped: 0
//!     |                  '--second signal--> ended at once <--'
//!     '--the store cannot be trusted any more--> ended: 74
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sixpack_engine::{Engine, EngineSettings, Retention, Sweeper};
use sixpack_server::{MetricsSettings, ServerSettings, count_panics};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::settings::Settings;
use crate::stores::{self, OpenStore};

/// The names of this machine's loopback: a page of another site that points its name here is refused.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// How long the background may take to finish behind the last answer: each sweep the row it is at, the store its last write.
const FINISH: Duration = Duration::from_secs(10);

/// A server that listens and does not serve yet.
pub(crate) struct Server {
    opened: Opened,
    signals: Signals,
}

/// What a server serves with.
struct Opened {
    engine: Engine,
    store: OpenStore,
    listener: TcpListener,
    address: SocketAddr,
    metrics: Option<Metrics>,
    settings: ServerSettings,
}

/// Metrics that are listened for and not answered yet.
struct Metrics {
    listener: TcpListener,
    address: SocketAddr,
    settings: MetricsSettings,
}

impl Server {
    /// Opens the store, starts the engine, and listens. Nobody is answered yet. `None` when a signal has come before: nothing was
    /// acknowledged, and a migration goes on where it is with the next start.
    pub(crate) async fn open(settings: &Settings) -> Result<Option<Self>, Fault> {
        let mut signals = Signals::new()?;
        tokio::select! {
            opened = Opened::open(settings) => Ok(Some(Self { opened: opened?, signals })),
            signal = signals.next() => {
                tracing::info!(signal, "stopped before it served");
                Ok(None)
            }
        }
    }

    /// Takes calls without a token as an administrator's.
    pub(crate) fn without_tokens(&mut self) {
        self.opened.settings.insecure_dev = true;
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.opened.engine
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.opened.address)
    }

    /// Where metrics are answered, if anywhere.
    pub(crate) fn metrics_url(&self) -> Option<String> {
        self.opened.metrics.as_ref().map(|metrics| format!("http://{}/metrics", metrics.address))
    }

    /// Serves until a signal comes, or the store breaks.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let Self { opened: Opened { engine, store, listener, metrics, settings, .. }, mut signals } = self;
        let watching = metrics.map(|metrics| Watching::start(metrics, &engine));
        let sweeper = Sweeper::start(&engine);
        let drain_delay = settings.edge.drain_delay;
        let shutdown = CancellationToken::new();
        let serving = sixpack_server::serve(listener, engine.clone(), settings, shutdown.clone());
        let mut serving = std::pin::pin!(serving);
        let signal = tokio::select! {
            signal = signals.next() => signal,
            fault = store.broken(&engine) => return Err(fault),
            ended = &mut serving => return Err(stopped_serving(ended)),
        };
        tracing::info!(signal, "draining");
        shutdown.cancel();
        tokio::spawn(release_parked(engine.clone(), drain_delay));
        tokio::select! {
            ended = &mut serving => ended.map_err(|error| stopped_serving(Err(error)))?,
            fault = store.broken(&engine) => return Err(fault),
            signal = signals.next() => return Ok(interrupted(signal)),
        }
        let finishing = async {
            if let Some(watching) = watching {
                watching.stop().await;
            }
            sweeper.stop().await;
            drop(engine);
            store.close().await;
        };
        tokio::select! {
            finished = timeout(FINISH, finishing) => if finished.is_err() {
                // Whatever is left belongs to nobody who waits, and is taken up by the next one.
                tracing::warn!("what was under way in the background did not come to its end");
            },
            signal = signals.next() => return Ok(interrupted(signal)),
        }
        tracing::info!("stopped");
        Ok(Exit::Done)
    }
}

impl Opened {
    async fn open(settings: &Settings) -> Result<Self, Fault> {
        let store = OpenStore::open(settings).await?;
        let engine_settings = EngineSettings {
            offline_grace: Duration::from_secs(settings.offline_grace_s),
            leases_per_token: settings.leases_per_token,
            leases_per_environment: settings.leases_per_environment,
            retention: retention(settings),
            ..EngineSettings::default()
        };
        let engine = Engine::start(store.shared(), engine_settings);
        let engine = engine.await.map_err(|error| stores::refused(&error, settings))?;
        count_panics();
        let (listener, address) = listen(settings.listen, "listen").await?;
        let server = server_settings(settings);
        let metrics = match settings.metrics_listen {
            Some(address) => {
                let (listener, address) = listen(address, "metrics-listen").await?;
                let mut of = MetricsSettings::of(Arc::clone(&server.edge.counters));
                of.hosts = hosts_of(address, settings.behind_proxy);
                Some(Metrics { listener, address, settings: of })
            }
            None => None,
        };
        Ok(Self { engine, store, listener, address, metrics, settings: server })
    }
}

/// Metrics, answered until everything else was: whoever watches sees the drain to its end.
struct Watching {
    stop: CancellationToken,
    serving: JoinHandle<io::Result<()>>,
}

impl Watching {
    fn start(metrics: Metrics, engine: &Engine) -> Self {
        let stop = CancellationToken::new();
        let Metrics { listener, settings, .. } = metrics;
        let serving = sixpack_server::serve_metrics(listener, engine.clone(), settings, stop.clone());
        Self { stop, serving: tokio::spawn(serving) }
    }

    async fn stop(self) {
        self.stop.cancel();
        if let Ok(Err(error)) = self.serving.await {
            tracing::warn!(%error, "metrics were not answered to the end");
        }
    }
}

/// The signals that ask a server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Fault> {
        let failed =
            |error: io::Error| Fault::new(Exit::Internal, format!("signals cannot be waited for: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// How a server ends that is told to a second time.
fn interrupted(signal: &str) -> Exit {
    tracing::warn!(signal, "ended at once by a second signal");
    Exit::Interrupted
}

/// Answers calls that wait for news, once no further ones are accepted.
async fn release_parked(engine: Engine, drain_delay: Duration) {
    tokio::time::sleep(drain_delay).await;
    engine.release_parked();
}

fn retention(settings: &Settings) -> Retention {
    let days = |days: u64| (days > 0).then(|| Duration::from_secs(days * 86_400));
    Retention {
        datasets: days(settings.keep_datasets_days),
        events: days(settings.keep_events_days),
        sessions: days(settings.keep_sessions_days),
    }
}

fn server_settings(settings: &Settings) -> ServerSettings {
    let mut server = ServerSettings::default();
    let count = |number: u64| usize::try_from(number).expect("the ranges of settings fit every machine");
    server.long_polls_per_token = count(settings.long_polls_per_token);
    server.secure_cookies = settings.behind_proxy;
    server.edge.connections_max = count(settings.max_connections);
    server.edge.drain_delay = Duration::from_secs(settings.drain_delay_s);
    server.edge.grace = Duration::from_secs(settings.grace_s);
    server.edge.access_log = settings.access_log;
    server.edge.hosts = settings.public_hosts.clone();
    if server.edge.hosts.is_empty() {
        server.edge.hosts = hosts_of(settings.listen, settings.behind_proxy);
    }
    server
}

/// The names under which an address may be asked; any, when there are none. Whoever can be reached from elsewhere, or by a proxy on this machine,
/// has names that nobody knows here.
fn hosts_of(address: SocketAddr, behind_proxy: bool) -> Vec<String> {
    if address.ip().is_loopback() && !behind_proxy { own_hosts(address) } else { Vec::new() }
}

/// The names under which a loopback address is asked.
fn own_hosts(address: SocketAddr) -> Vec<String> {
    let own = match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    LOOPBACK_HOSTS.map(str::to_owned).into_iter().chain([own]).collect()
}

/// Listens on an address that a setting names.
async fn listen(address: SocketAddr, flag: &str) -> Result<(TcpListener, SocketAddr), Fault> {
    let failed = |error: io::Error| no_listener(address, flag, &error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn no_listener(address: SocketAddr, flag: &str, error: &io::Error) -> Fault {
    let (exit, why, next) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            Exit::Unavailable,
            "another program listens there".to_owned(),
            format!("choose another port with --{flag}; port 0 takes any free one"),
        ),
        io::ErrorKind::PermissionDenied => (
            Exit::NotPermitted,
            "ports below 1024 are for administrators".to_owned(),
            format!("choose a port from 1024 with --{flag}"),
        ),
        io::ErrorKind::AddrNotAvailable => (
            Exit::Settings,
            "this machine has no such address".to_owned(),
            format!("choose an address of this machine with --{flag}"),
        ),
        _ => (Exit::Unavailable, error.to_string(), format!("choose another address with --{flag}")),
    };
    Fault::new(exit, format!("cannot listen on {address}: {why}")).next(next)
}

fn stopped_serving(ended: io::Result<()>) -> Fault {
    let why = ended.err().map_or("nobody asked it to".to_owned(), |error| error.to_string());
    Fault::new(Exit::Internal, format!("the server stopped listening: {why}"))
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_address_cannot_be_listened_on_names_it() {
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        for (kind, exit) in [
            (io::ErrorKind::AddrInUse, Exit::Unavailable),
            (io::ErrorKind::PermissionDenied, Exit::NotPermitted),
            (io::ErrorKind::AddrNotAvailable, Exit::Settings),
        ] {
            let fault = no_listener(address, "listen", &io::Error::from(kind));
            assert_eq!(fault.exit, exit);
            assert!(fault.what.contains("127.0.0.1:80"), "{}", fault.what);
        }
    }
}

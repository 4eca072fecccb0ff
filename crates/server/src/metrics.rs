//! Metrics: what this server has done and what its store has, for whoever watches, on an address of its own.
//!
//! Nothing is counted here: layers count by themselves while they work, and a page is what they have come to. What is read from the
//! store for it is bounded, and read at most once in some seconds, however often and by however many a page is asked for.

mod families;
mod page;
mod process;

use std::io;
use std::panic;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use sixpack_engine::{
    ATTEMPT_ENDS, Counted, Counter, Engine, LEASE_ENDS, NAMES_MAX, Name, REQUEST_ENDS, StockMeasured,
};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::page::Page;
use crate::edge::{self, Counters, EdgeSettings};
use crate::http::operations_by_number;

/// Connections at one time: whoever watches needs one.
const CONNECTIONS_MAX: usize = 64;

/// Pages that are put together at one time.
const IN_FLIGHT_MAX: usize = 8;

/// How long whoever has asked may still be told when the server ends.
const GRACE: Duration = Duration::from_secs(1);

/// How long the store may take for its numbers: a page is late after ten seconds for most who ask, and says the rest before.
const CENSUS_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the numbers of the store hold.
const CENSUS_HOLDS: Duration = Duration::from_secs(5);

/// Panics since [`count_panics`].
static PANICS: Counter = Counter::new();

/// How metrics are served.
#[derive(Debug, Clone)]
pub struct MetricsSettings {
    /// What the edge of the API counts.
    pub counters: Arc<Counters>,
    /// Hosts that are answered to; empty for any. A page of another site must not read the metrics of this machine.
    pub hosts: Vec<String>,
    /// How long the numbers of the store hold.
    pub census_holds: Duration,
}

impl MetricsSettings {
    /// Those of a server whose edge has these counters.
    pub fn of(counters: Arc<Counters>) -> Self {
        Self { counters, hosts: Vec::new(), census_holds: CENSUS_HOLDS }
    }
}

/// Counts every panic of this process from now on, and tells it as before.
pub fn count_panics() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        PANICS.add_one();
        told(what);
    }));
}

/// Serves `/metrics`, and nothing else, on `listener` until `shutdown` is cancelled.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_metrics(
    listener: TcpListener,
    engine: Engine,
    settings: MetricsSettings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let edge = EdgeSettings {
        connections_max: CONNECTIONS_MAX,
        connections_per_address_max: CONNECTIONS_MAX,
        in_flight_max: IN_FLIGHT_MAX,
        in_flight_urgent_max: 0,
        hosts: settings.hosts.clone(),
        drain_delay: Duration::ZERO,
        grace: GRACE,
        ..EdgeSettings::default()
    };
    let started_at_s = Timestamp::now().as_millisecond() as f64 / 1e3;
    let watched = Watched { engine, settings, started_at_s, census: Mutex::default() };
    let router = Router::new().route("/metrics", get(show)).with_state(Arc::new(watched));
    edge::serve(listener, router, edge, shutdown).await
}

/// What is watched, and what the store said last.
struct Watched {
    engine: Engine,
    settings: MetricsSettings,
    started_at_s: f64,
    census: Mutex<Option<(Instant, Option<Arc<Counted>>)>>,
}

async fn show(State(watched): State<Arc<Watched>>) -> Response {
    let mut page = Page::new();
    add_http(&mut page, &watched.settings.counters);
    add_engine(&mut page, &watched.engine);
    add_store(&mut page, &watched.engine);
    let counted = watched.counted().await;
    page.number("sixpack_store_counted", &[], u64::from(counted.is_some()));
    if let Some(counted) = counted {
        add_counted(&mut page, &counted);
    }
    add_build(&mut page, &watched.engine);
    process::add(&mut page, watched.started_at_s);
    ([(CONTENT_TYPE, page::CONTENT_TYPE)], page.write()).into_response()
}

impl Watched {
    /// The numbers of the store; `None` when it could not be asked. One asks it at a time, and the others hear the same.
    async fn counted(&self) -> Option<Arc<Counted>> {
        let mut last = self.census.lock().await;
        if let Some((at, counted)) = &*last
            && at.elapsed() < self.settings.census_holds
        {
            return counted.clone();
        }
        let counted = match tokio::time::timeout(CENSUS_TIMEOUT, self.engine.census()).await {
            Ok(Ok(counted)) => Some(Arc::new(counted)),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the store could not be counted; metrics go without its numbers"
                );
                None
            }
            Err(_) => {
                tracing::warn!("the store was not counted in time; metrics go without its numbers");
                None
            }
        };
        *last = Some((Instant::now(), counted.clone()));
        counted
    }
}

fn add_http(page: &mut Page, counters: &Counters) {
    let operations: Vec<_> = operations_by_number().collect();
    for (number, calls) in counters.calls.all() {
        let (method, route) = number.map_or(("other", "other"), |number| operations[number]);
        for (status, count) in calls.by_status() {
            let status = if status == 0 { "other".to_owned() } else { status.to_string() };
            page.number("sixpack_http_requests", &[route, method, &status], count);
        }
        let took = calls.took.told();
        if took.count > 0 {
            page.histogram("sixpack_http_request_duration_seconds", &[route, method], took);
        }
    }
    let in_flight = counters.in_flight.now() + counters.in_flight_urgent.now();
    page.number("sixpack_http_in_flight", &[], in_flight as u64);
    page.number("sixpack_http_parked", &[], counters.parked.now() as u64);
    for (code, count) in counters.refused.all() {
        add_if_any(page, "sixpack_http_refused", &[code.first], count);
    }
    page.number("sixpack_http_connections_open", &[], counters.open.now() as u64);
    page.number("sixpack_http_connections_refused", &[], counters.connections_refused.get());
}

fn add_engine(page: &mut Page, engine: &Engine) {
    let measures = engine.measures();
    for (name, count) in measures.accepted.all() {
        add_if_any(page, "sixpack_requests_accepted", &[name.first], count);
    }
    for (name, ends) in measures.requests.all() {
        for (end, count) in REQUEST_ENDS.iter().zip(&ends.0) {
            add_if_any(page, "sixpack_requests_ended", &[name.first, end], count);
        }
    }
    for (name, waits) in measures.waits.all() {
        let waited = waits.0.told();
        if waited.count > 0 {
            page.histogram("sixpack_task_wait_seconds", &[name.first, &of_capability(name)], waited);
        }
    }
    for (name, leases) in measures.leases.all() {
        add_if_any(page, "sixpack_leases_granted", &[name.first], &leases.granted);
        for (end, count) in LEASE_ENDS.iter().zip(&leases.ended) {
            add_if_any(page, "sixpack_leases_ended", &[name.first, end], count);
        }
    }
    for (operation, count) in measures.fenced_by_operation() {
        page.number("sixpack_lease_fenced", &[operation], count);
    }
    page.histogram("sixpack_lease_reap_delay_seconds", &[], measures.reap_delay.told());
    for (result, count) in ["hit", "miss"].iter().zip(&measures.stock_served) {
        page.number("sixpack_stock_served", &[result], count.get());
    }
    for StockMeasured { environment, rule, ready, coming, target } in measures.stock() {
        let labels = [environment.as_str(), rule.as_str()];
        page.number("sixpack_stock_ready", &labels, ready);
        page.number("sixpack_stock_coming", &labels, coming);
        page.number("sixpack_stock_target", &labels, target);
        page.number("sixpack_stock_lacking", &labels, target.saturating_sub(ready));
    }
}

fn add_store(page: &mut Page, engine: &Engine) {
    let measures = engine.store_measures();
    for (name, attempts) in measures.attempts.all() {
        let capability = of_capability(name);
        for (end, count) in ATTEMPT_ENDS.iter().zip(&attempts.ends) {
            add_if_any(page, "sixpack_tasks_ended", &[name.first, &capability, end], count);
        }
        let held = attempts.held.told();
        if held.count > 0 {
            page.histogram("sixpack_task_duration_seconds", &[name.first, &capability], held);
        }
    }
    page.histogram("sixpack_store_commit_duration_seconds", &[], measures.commits.told());
    for (class, count) in measures.failures() {
        page.number("sixpack_store_failures", &[class], count);
    }
    match engine.store_connections() {
        None => page.histogram("sixpack_store_writes_per_commit", &[], measures.writes_per_commit.told()),
        Some(connections) => {
            page.number("sixpack_store_retries", &[], measures.again.get());
            page.number("sixpack_store_connections_used", &[], connections.used as u64);
            page.number("sixpack_store_connections_waiting", &[], connections.waiting as u64);
        }
    }
}

fn add_counted(page: &mut Page, counted: &Counted) {
    let seconds = |ms: u64| ms as f64 / 1e3;
    page.number("sixpack_requests_open", &[], counted.requests_open);
    page.seconds("sixpack_request_overdue_seconds", &[], seconds(counted.request_overdue_ms));
    page.number("sixpack_tasks", &["waiting"], counted.tasks_waiting);
    page.number("sixpack_tasks", &["claimed"], counted.tasks_claimed);
    page.seconds("sixpack_task_due_seconds", &[], seconds(counted.task_due_for_ms));
    let (told, others) = counted.leases_held.split_at(counted.leases_held.len().min(NAMES_MAX));
    for (environment, leases) in told {
        page.number("sixpack_leases_held", &[environment], *leases);
    }
    if !others.is_empty() {
        let leases = others.iter().map(|(_, leases)| leases).sum();
        page.number("sixpack_leases_held", &[Name::OTHER.first], leases);
    }
    page.seconds("sixpack_lease_overdue_seconds", &[], seconds(counted.lease_overdue_ms));
    for supplier in &counted.suppliers {
        let labels = [supplier.environment.as_str(), supplier.domain.as_str()];
        page.number("sixpack_supplier_sessions", &labels, supplier.sessions);
        page.seconds("sixpack_supplier_seen_seconds", &labels, seconds(supplier.seen_ms_ago));
    }
    page.number("sixpack_debts", &[], counted.debts);
    page.number("sixpack_quarantined", &[], counted.quarantined);
    page.number("sixpack_store_size_bytes", &[], counted.size_bytes);
    if let Some(bytes) = counted.log_bytes {
        page.number("sixpack_store_log_bytes", &[], bytes);
    }
    if let Some(at) = counted.backed_up_at {
        let at_s = at.as_millisecond() as f64 / 1e3;
        page.seconds("sixpack_backup_last_success_timestamp_seconds", &[], at_s);
    }
}

fn add_build(page: &mut Page, engine: &Engine) {
    page.number("sixpack_panics", &[], PANICS.get());
    let (version, commit) = (env!("CARGO_PKG_VERSION"), option_env!("SIXPACK_COMMIT").unwrap_or_default());
    let (store, schema) = (engine.store_kind().name(), engine.schema_version().to_string());
    page.number("sixpack_build", &[version, commit, store, &schema], 1);
}

fn add_if_any(page: &mut Page, name: &str, labels: &[&str], count: &Counter) {
    if count.get() > 0 {
        page.number(name, labels, count.get());
    }
}

/// A capability as people write it.
fn of_capability(name: Name<'_>) -> String {
    if name == Name::OTHER { name.name.to_owned() } else { format!("{}/{}", name.domain, name.name) }
}

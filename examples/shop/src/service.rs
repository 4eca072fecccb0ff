//! A service of the shop: one process with one database, its rules, its peers, and a back door for administration.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router, middleware};
use rusqlite::{OptionalExtension, Transaction};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::database::Database;
use crate::events::{self, Event};
use crate::fault::{self, Fault, FaultMode};
use crate::http::{Body, Denial, unknown_method, unknown_route};
use crate::state::states;
use crate::{billing, client, customer, delivery, order};

/// Where a service keeps the addresses it was given last.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS peers (
    only INTEGER PRIMARY KEY CHECK (only = 1), json TEXT NOT NULL);";

/// Requests under way get this long when the service is told to end.
const STOP_GRACE: Duration = Duration::from_secs(5);

states! {
    /// The four services.
    ServiceName {
        /// Who the customers are, and whether they may buy.
        Customer = "customer",
        /// What they want to have.
        Order = "order",
        /// How they pay.
        Billing = "billing",
        /// Where it goes.
        Delivery = "delivery",
    }
}

impl ServiceName {
    /// All four, in the way that news travels.
    pub const ALL: [Self; 4] = [Self::Customer, Self::Order, Self::Billing, Self::Delivery];

    fn domain(self) -> &'static Domain {
        match self {
            Self::Customer => &customer::DOMAIN,
            Self::Order => &order::DOMAIN,
            Self::Billing => &billing::DOMAIN,
            Self::Delivery => &delivery::DOMAIN,
        }
    }
}

/// How a service is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which of the four.
    pub name: ServiceName,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of its database file; several services may share one.
    pub data: PathBuf,
    /// How long its events take to the others.
    pub lag_ms: u64,
    /// How long the bank takes to verify a payment method; only billing has a use for it.
    pub verify_ms: u64,
    /// The other services. Without any, those it was given last.
    pub peers: Peers,
}

/// What a service knows of the others; also what `PUT /admin/peers` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Where order has its charges made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing: Option<String>,
    /// Who hears the events.
    #[serde(default)]
    pub subscribers: Vec<String>,
}

/// What `GET /admin/counts` answers: rows by table. All of them are zero when nothing is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// What was made here.
    pub own: BTreeMap<String, i64>,
    /// What was heard of other services' entities.
    pub copies: BTreeMap<String, i64>,
}

impl Counts {
    /// Whether nothing is left.
    pub fn are_zero(&self) -> bool {
        self.own.values().chain(self.copies.values()).all(|rows| *rows == 0)
    }
}

/// A service that runs in this process. Dropped without [`Running::stop`] it hears no more requests, and delivers
/// its events until the runtime ends.
#[derive(Debug)]
pub struct Running {
    url: String,
    service: Service,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

/// What makes one service different from the others.
pub(crate) struct Domain {
    pub(crate) schema: &'static str,
    pub(crate) own: &'static [&'static str],
    pub(crate) copies: &'static [&'static str],
    pub(crate) routes: fn() -> Router<Service>,
    /// Takes in the news of another service; kinds it has no use for are passed over.
    pub(crate) hear: fn(&Transaction<'_>, &Event) -> Result<(), Denial>,
}

/// What the handlers of a service share.
#[derive(Clone)]
pub(crate) struct Service(Arc<Inner>);

struct Inner {
    options: Options,
    database: Database,
    http_client: reqwest::Client,
    faults: watch::Sender<Fault>,
    /// Rings after every change; those who deliver events listen.
    bell: watch::Sender<u64>,
    peers: Mutex<Peers>,
    deliveries: Mutex<HashMap<String, JoinHandle<()>>>,
}

/// Starts a service; it answers when this returns.
pub async fn start(options: Options) -> anyhow::Result<Running> {
    let service = Service::open(options)?;
    let Options { name, listen, .. } = service.0.options;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("{name} cannot listen on {listen}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let routes = (service.domain().routes)()
        .route("/events", post(events::hear))
        .route("/health", get(health))
        .route("/admin/peers", put(set_peers))
        .route("/admin/fault", put(fault::set))
        .route("/admin/counts", get(counts))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(service.clone(), fault::intercept))
        .with_state(service.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes).with_graceful_shutdown(async {
        // A handle that is dropped without a word ends the service as well.
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());
    service.deliver_to(&service.peers().subscribers);
    Ok(Running { url, service, stop, server })
}

impl Running {
    /// Where the service is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets requests under way finish, for a while, and ends.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.service.deliver_to(&[]);
        self.service.faults().send_replace(Fault::new(FaultMode::None));
        // The server may have ended by itself.
        let _ = self.stop.send(());
        match tokio::time::timeout(STOP_GRACE, &mut self.server).await {
            Ok(ended) => ended.context("the server panicked")?.context("the server failed"),
            Err(_) => {
                self.server.abort();
                Ok(())
            }
        }
    }
}

impl Service {
    fn open(options: Options) -> anyhow::Result<Self> {
        let name = options.name;
        let folder = &options.data;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join(format!("{name}.db"));
        let database = Database::open(&file, &[SCHEMA, events::SCHEMA, name.domain().schema])
            .with_context(|| format!("cannot open {}", file.display()))?;
        let service = Self(Arc::new(Inner {
            peers: Mutex::new(Peers::default()),
            database,
            http_client: client::http_client()?,
            faults: watch::Sender::new(Fault::new(FaultMode::None)),
            bell: watch::Sender::new(0),
            deliveries: Mutex::default(),
            options,
        }));
        let given = service.0.options.peers.clone();
        let refused = |denial: Denial| anyhow::anyhow!("{name} cannot start: {}", denial.message);
        if given == Peers::default() {
            *service.0.peers.lock().unwrap_or_else(PoisonError::into_inner) =
                service.database().transaction(remembered_peers).map_err(refused)?;
        } else {
            service.remember_peers(given).map_err(refused)?;
        }
        Ok(service)
    }

    pub(crate) fn name(&self) -> ServiceName {
        self.0.options.name
    }

    pub(crate) fn domain(&self) -> &'static Domain {
        self.name().domain()
    }

    pub(crate) fn lag_ms(&self) -> u64 {
        self.0.options.lag_ms
    }

    pub(crate) fn verify_ms(&self) -> u64 {
        self.0.options.verify_ms
    }

    pub(crate) fn http_client(&self) -> &reqwest::Client {
        &self.0.http_client
    }

    pub(crate) fn faults(&self) -> &watch::Sender<Fault> {
        &self.0.faults
    }

    pub(crate) fn bell(&self) -> watch::Receiver<u64> {
        self.0.bell.subscribe()
    }

    pub(crate) fn peers(&self) -> Peers {
        self.0.peers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For reading, and for writing what is nobody else's business.
    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    /// Does all of `act` or nothing, and has the events of it delivered.
    pub(crate) fn change<T>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, Denial>,
    ) -> Result<T, Denial> {
        let done = self.0.database.transaction(act)?;
        self.0.bell.send_modify(|changes| *changes += 1);
        Ok(done)
    }

    fn remember_peers(&self, peers: Peers) -> Result<(), Denial> {
        for url in peers.billing.iter().chain(&peers.subscribers) {
            if !reqwest::Url::parse(url).is_ok_and(|parsed| parsed.scheme() == "http") {
                let message =
                    format!("`{url}` is no address of a service; it looks like http://127.0.0.1:8080");
                return Err(Denial::unfit("peer_invalid", message));
            }
        }
        let json = serde_json::to_string(&peers)?;
        self.database().transaction(|transaction| {
            transaction.execute("INSERT OR REPLACE INTO peers (only, json) VALUES (1, ?1)", [json])?;
            Ok(())
        })?;
        *self.0.peers.lock().unwrap_or_else(PoisonError::into_inner) = peers;
        Ok(())
    }

    /// Has the events brought to these subscribers, and to no others any more.
    fn deliver_to(&self, subscribers: &[String]) {
        let mut deliveries = self.0.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        deliveries.retain(|subscriber, delivery| {
            let stays = subscribers.contains(subscriber);
            if !stays {
                delivery.abort();
            }
            stays
        });
        for subscriber in subscribers {
            deliveries
                .entry(subscriber.clone())
                .or_insert_with(|| tokio::spawn(events::deliver(self.clone(), subscriber.clone())));
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Service").field(&self.0.options).finish()
    }
}

fn remembered_peers(transaction: &Transaction<'_>) -> Result<Peers, Denial> {
    let json: Option<String> =
        transaction.query_row("SELECT json FROM peers", [], |row| row.get(0)).optional()?;
    json.map_or(Ok(Peers::default()), |json| Ok(serde_json::from_str(&json)?))
}

async fn health() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn set_peers(State(service): State<Service>, Body(peers): Body<Peers>) -> Result<StatusCode, Denial> {
    service.remember_peers(peers)?;
    service.deliver_to(&service.peers().subscribers);
    Ok(StatusCode::NO_CONTENT)
}

async fn counts(State(service): State<Service>) -> Result<Json<Counts>, Denial> {
    let count = |transaction: &Transaction<'_>, tables: &[&str]| {
        let rows = |table: &&str| {
            let rows =
                transaction.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
            Ok(((*table).to_owned(), rows))
        };
        tables.iter().map(rows).collect::<Result<BTreeMap<_, _>, Denial>>()
    };
    let domain = service.domain();
    let counts = service.database().transaction(|transaction| {
        Ok(Counts { own: count(transaction, domain.own)?, copies: count(transaction, domain.copies)? })
    })?;
    Ok(Json(counts))
}

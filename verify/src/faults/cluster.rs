//! Cluster: the servers, the database and the suppliers of one trial, and everything that can be done to them.

mod room;
mod telling;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinHandle;

use super::journal::Journal;
use super::made::Killed;
use super::moments::now_us;
use super::strikes::Strike;
use crate::api::Api;
use crate::disk::Disk;
use crate::postgres::Postgres;
use crate::processes::{Begins, Server, SupplierProcess, free_port};
use crate::proxy::Proxy;

/// Domains with suppliers; the scenario goes through all of them.
pub(crate) const DOMAINS: [&str; 3] = ["first", "second", "third"];

/// So many suppliers has each domain: what one of them does not do, the other one does.
const INSTANCES: usize = 2;

/// What stands still does so for so many milliseconds: longer than most leases, and shorter than a session may be silent.
const PAUSE_MS: std::ops::Range<u64> = 50..3_000;

/// A supplier does so for longer: mostly longer than an attempt may take, so that somebody else is given what it has in hand.
const SUPPLIER_PAUSE_MS: std::ops::Range<u64> = 1_000..4_000;

/// A way does something else than to carry for so many milliseconds: longer than a call takes, and short enough that much happens
/// in between.
const WAY_MS: std::ops::Range<u64> = 50..1_200;

/// The database is away for so many milliseconds, beside the time that it takes to recover.
const ABSENCE_MS: std::ops::Range<u64> = 0..400;

/// A consumer waits so long for an answer: longer than the server may wait, and than anything stands still.
const CALL_LIMIT: Duration = Duration::from_secs(12);

/// Whoever wants to know what a server has counted waits no longer than this.
const COUNT_LIMIT: Duration = Duration::from_millis(500);

/// So long after something has ended by itself, it is started again.
const SUPERVISE_EVERY: Duration = Duration::from_millis(100);

/// Where the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// Everything that runs.
pub(crate) struct Cluster {
    servers: Vec<Member<Server>>,
    /// Where each server tells what it has counted.
    counting: Vec<String>,
    suppliers: Vec<Member<SupplierProcess>>,
    database: Option<Postgres>,
    /// The disk of the one server of a store in SQLite; that of a database belongs to it.
    disk: Option<Disk>,
    /// The ways of everybody to each server.
    calls: Vec<Proxy>,
    /// The ways of each server to the database.
    to_database: Vec<Proxy>,
    folder: PathBuf,
    api: Api,
    /// How often each thing was done.
    pub(crate) struck: BTreeMap<Strike, u32>,
    /// The longest that a server took to be ready.
    pub(crate) slowest_start: Duration,
    /// How often a supplier was started again because it had ended by itself: somebody had opened its session once more.
    pub(crate) suppliers_replaced: u32,
    /// Suppliers that were killed.
    pub(crate) killed: Vec<Killed>,
    /// How many writes were refused because the disk of the store was full.
    pub(crate) refused_without_room: u64,
    /// How often a store whose disk was full has come to itself.
    pub(crate) found_room: u32,
    /// How often the database has ended, and all its connections with it, because there was no room for its log.
    pub(crate) ended_without_room: u32,
    /// What has ended in another way than it must.
    pub(crate) wrong: Vec<String>,
}

/// A process, and what will let it go on if it stands still.
struct Member<T> {
    process: T,
    resting: Option<JoinHandle<()>>,
}

impl<T> Member<T> {
    fn new(process: T) -> Self {
        Self { process, resting: None }
    }

    fn goes_on(&self) -> bool {
        self.resting.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Cluster {
    /// Starts so many servers over one store, below `folder`; on a disk of the trial's own if it is `on_a_disk`.
    pub(crate) async fn start(
        binary: &Path,
        folder: &Path,
        store: Store,
        servers: usize,
        on_a_disk: bool,
    ) -> anyhow::Result<Self> {
        ensure!(servers > 0, "a trial needs at least one server");
        ensure!(
            store == Store::Postgres || servers == 1,
            "a SQLite store has one server; several need --store postgres"
        );
        let database = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(Postgres::start(on_a_disk).await?),
        };
        let (mut members, mut calls, mut to_database) = (Vec::new(), Vec::new(), Vec::new());
        let (mut disk, mut counting) = (None, Vec::new());
        for number in 0..servers {
            let folder = folder.join(format!("server-{number}"));
            std::fs::create_dir(&folder)?;
            if on_a_disk && store == Store::Sqlite {
                // What it logs lies elsewhere.
                disk = Some(Disk::mount(&folder.join("data"))?);
            }
            // There is no load balancer that would have to notice first.
            let mut arguments: Vec<String> =
                ["--drain-delay-s", "0", "--grace-s", "20"].map(str::to_owned).into();
            if let Some(database) = &database {
                let way = Proxy::open(format!("127.0.0.1:{}", database.port())).await?;
                let address = format!("postgres://sixpack@{}/postgres", way.address());
                arguments.extend(["--store".to_owned(), address]);
                to_database.push(way);
            }
            let metrics = format!("127.0.0.1:{}", free_port()?);
            arguments.extend(["--metrics-listen".to_owned(), metrics.clone()]);
            counting.push(metrics);
            let server = Server::start_with(binary, &folder, arguments).await?;
            calls.push(Proxy::open(server.address().to_owned()).await?);
            members.push(Member::new(server));
        }
        // The first server of a new store makes the token.
        let api = members[0].process.api()?;
        let slowest_start = members.iter().map(|server| server.process.ready_after).max().unwrap_or_default();
        Ok(Self {
            servers: members,
            counting,
            suppliers: Vec::new(),
            database,
            disk,
            calls,
            to_database,
            folder: folder.to_owned(),
            api,
            struck: BTreeMap::new(),
            slowest_start,
            suppliers_replaced: 0,
            killed: Vec::new(),
            refused_without_room: 0,
            found_room: 0,
            ended_without_room: 0,
            wrong: Vec::new(),
        })
    }

    /// Starts the suppliers, each with any of the servers.
    pub(crate) fn start_suppliers(&mut self, effects: &str) -> anyhow::Result<()> {
        for (domain, instance) in DOMAINS.iter().flat_map(|domain| (1..=INSTANCES).map(move |n| (domain, n)))
        {
            let (api, seed) = (self.any(), fastrand::u64(..));
            let log = self.folder.join(format!("supplier-{domain}-{instance}.log"));
            let begins = Begins {
                instance,
                effects: Some(effects.to_owned()),
                seed,
                log: Some(log),
                ..Begins::alone(domain)
            };
            self.suppliers.push(Member::new(SupplierProcess::start(&api, begins)?));
        }
        Ok(())
    }

    /// The first server, for what belongs to no consumer.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Every server, as consumers reach it.
    pub(crate) fn apis(&self) -> Vec<Api> {
        let through = |way: &Proxy| self.api.through(way.address().to_owned(), CALL_LIMIT);
        self.calls.iter().map(through).collect()
    }

    /// Where each server tells what it has counted since it was started.
    pub(crate) fn counting(&self) -> Vec<Api> {
        self.counting.iter().map(|address| self.api.through(address.clone(), COUNT_LIMIT)).collect()
    }

    /// Whether this can be done to it.
    pub(crate) fn has(&self, strike: Strike) -> bool {
        match strike {
            Strike::DiskFull => self.disk().is_some(),
            Strike::DatabaseLogFull => self.database.is_some() && self.disk().is_some(),
            _ => self.database.is_some() || !strike.needs_database(),
        }
    }

    /// Does one thing, and waits until it is done; what stands still goes on later, by itself.
    pub(crate) async fn strike(&mut self, strike: Strike, journal: &Journal) -> anyhow::Result<()> {
        self.supervise().await?;
        if let Some(mode) = strike.mode() {
            let ways = if strike.needs_database() { &self.to_database } else { &self.calls };
            let whole: Vec<&Proxy> = ways.iter().filter(|way| way.passes()).collect();
            if !whole.is_empty() {
                whole[fastrand::usize(..whole.len())].set_for(mode, span(WAY_MS));
                *self.struck.entry(strike).or_default() += 1;
            }
            return Ok(());
        }
        let done = match strike {
            Strike::ServerKilled | Strike::ServerStopped | Strike::ServerPaused => {
                self.strike_server(strike).await?
            }
            Strike::SupplierKilled | Strike::SupplierStopped | Strike::SupplierPaused => {
                self.strike_supplier(strike).await?
            }
            Strike::DiskFull | Strike::DatabaseLogFull => self.fill_disk(strike, journal).await?,
            Strike::DatabaseStopped => {
                let database = self.database.as_mut().context("this store is no database")?;
                database.stop_and_restart(span(ABSENCE_MS)).await?;
                true
            }
            Strike::DatabaseKilled => {
                self.database.as_mut().context("this store is no database")?.kill_and_restart().await?;
                true
            }
            // What is left, but for ways, which are struck above.
            _ => {
                self.database.as_ref().context("this store is no database")?.kill_a_backend().await?;
                true
            }
        };
        if done {
            *self.struck.entry(strike).or_default() += 1;
        }
        Ok(())
    }

    /// Starts again what has ended by itself, which a server never does for what is done to it here.
    async fn supervise(&mut self) -> anyhow::Result<()> {
        for (number, server) in self.servers.iter_mut().enumerate() {
            if let Some(status) = server.process.restart_if_ended().await? {
                self.wrong.push(format!("server {number} ended by itself with {status}"));
            }
        }
        let api = self.any();
        for supplier in &mut self.suppliers {
            if supplier.process.restart_if_ended(&api)? {
                self.suppliers_replaced += 1;
            }
        }
        Ok(())
    }

    /// Sees something through that the suppliers may be needed for, and supervises everything meanwhile: a supplier whose session was
    /// opened once more, because its call was carried out twice, learns that when it next asks for something.
    pub(crate) async fn see_through<T>(&mut self, something: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut something = std::pin::pin!(something);
        loop {
            match tokio::time::timeout(SUPERVISE_EVERY, &mut something).await {
                Ok(done) => return Ok(done),
                Err(_) => self.supervise().await?,
            }
        }
    }

    async fn strike_server(&mut self, strike: Strike) -> anyhow::Result<bool> {
        let Some(number) = any_that_goes_on(&self.servers) else { return Ok(false) };
        let server = &mut self.servers[number];
        match strike {
            Strike::ServerStopped => {
                let status = server.process.stop_and_restart().await?;
                if !status.success() {
                    self.wrong.push(format!("server {number} was told to stop and ended with {status}"));
                }
            }
            Strike::ServerPaused => server.resting = Some(server.process.pause(span(PAUSE_MS))?),
            _ => server.process.kill_and_restart().await?,
        }
        self.slowest_start = self.slowest_start.max(server.process.ready_after);
        Ok(true)
    }

    async fn strike_supplier(&mut self, strike: Strike) -> anyhow::Result<bool> {
        let Some(number) = any_that_goes_on(&self.suppliers) else { return Ok(false) };
        let api = self.any();
        let supplier = &mut self.suppliers[number];
        match strike {
            Strike::SupplierStopped => {
                let status = supplier.process.stop_and_restart(&api).await?;
                if !status.success() {
                    let domain = DOMAINS[number / INSTANCES];
                    self.wrong
                        .push(format!("a supplier of {domain} was told to stop and ended with {status}"));
                }
            }
            Strike::SupplierPaused => {
                supplier.resting = Some(supplier.process.pause(span(SUPPLIER_PAUSE_MS))?);
            }
            _ => {
                let killed = supplier.process.kill_and_restart(&api).await?;
                self.killed.push(Killed { process: killed, at_us: now_us() });
            }
        }
        Ok(true)
    }

    /// Waits until nothing stands still any more, and every way is whole: the last strike is over.
    pub(crate) async fn heal(&mut self) -> anyhow::Result<()> {
        self.supervise().await?;
        let servers = self.servers.iter_mut().map(|server| &mut server.resting);
        for resting in servers.chain(self.suppliers.iter_mut().map(|supplier| &mut supplier.resting)) {
            if let Some(resting) = resting.take() {
                resting.await?;
            }
        }
        for way in self.calls.iter().chain(&self.to_database) {
            way.whole().await;
        }
        Ok(())
    }

    /// Waits until every server is ready, which takes no longer than an answer does.
    pub(crate) async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        self.supervise().await?;
        let limit = Instant::now() + CALL_LIMIT;
        for api in self.apis() {
            while !api.is_ready().await {
                ensure!(
                    Instant::now() < limit,
                    "{} is not ready although nothing ails it any more",
                    api.address()
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    fn any(&self) -> Api {
        let apis = self.apis();
        apis[fastrand::usize(..apis.len())].clone()
    }
}

fn any_that_goes_on<T>(members: &[Member<T>]) -> Option<usize> {
    let going: Vec<usize> = (0..members.len()).filter(|number| members[*number].goes_on()).collect();
    (!going.is_empty()).then(|| going[fastrand::usize(..going.len())])
}

fn span(milliseconds: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(fastrand::u64(milliseconds))
}

//! Processes: the server and its suppliers, started on loopback and ended by their ids only.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};

use crate::api::Api;

/// Longer than any start takes on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often a starting server is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// A server over a data folder of its own, with its store in it or elsewhere.
pub(crate) struct Server {
    binary: PathBuf,
    folder: PathBuf,
    /// The address of its store; SQLite in the folder when there is none.
    store: Option<String>,
    address: String,
    child: Child,
    /// From the start of the process until it was ready.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts a server on a free port and waits until it is ready.
    pub(crate) async fn start(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::start_over(binary, folder, None).await
    }

    /// The same over a store that may be shared with other servers.
    pub(crate) async fn start_over(
        binary: &Path,
        folder: &Path,
        store: Option<&str>,
    ) -> anyhow::Result<Self> {
        // Free now; the server keeps the same one over all its lives, so that suppliers find it again.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let (child, ready_after) = launch(binary, folder, &address, store).await?;
        let (binary, folder) = (binary.to_owned(), folder.to_owned());
        Ok(Self { binary, folder, store: store.map(str::to_owned), address, child, ready_after })
    }

    /// Kills the process without warning and starts it again over the same data.
    pub(crate) async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        let (child, ready_after) =
            launch(&self.binary, &self.folder, &self.address, self.store.as_deref()).await?;
        (self.child, self.ready_after) = (child, ready_after);
        Ok(())
    }

    /// Kills the process without warning.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing the server")
    }

    /// A client with the token that the server wrote at its first start.
    pub(crate) fn api(&self) -> anyhow::Result<Api> {
        let token = std::fs::read_to_string(self.folder.join("data/admin-token"))
            .context("reading the token that the server wrote at its first start")?;
        Ok(Api::new(self.address.clone(), token.trim().to_owned()))
    }

    /// A client with the token of another server of the same store: only the first of them has written one.
    pub(crate) fn api_as(&self, other: &Api) -> Api {
        Api::new(self.address.clone(), other.token().to_owned())
    }

    /// What it has logged in all its lives.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.join("server.log"))?)
    }

    /// Memory in use now, in kilobytes.
    pub(crate) fn rss_kb(&self) -> anyhow::Result<u64> {
        self.status_kb("VmRSS:")
    }

    /// The most memory that was in use since [`forget_peak`](Self::forget_peak), in kilobytes.
    pub(crate) fn peak_kb(&self) -> anyhow::Result<u64> {
        self.status_kb("VmHWM:")
    }

    /// Lets the peak begin anew from what is in use now.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        let id = self.child.id().context("the server is not running")?;
        // 5 resets the peak, see proc_pid_clear_refs(5).
        std::fs::write(format!("/proc/{id}/clear_refs"), "5").context("resetting the peak of memory")
    }

    fn status_kb(&self, field: &str) -> anyhow::Result<u64> {
        let id = self.child.id().context("the server is not running")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find(|line| line.starts_with(field)).context("no such figure")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    }

    /// Processor time used so far, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("the server is not running")?;
        cpu_ms_of(&format!("/proc/{id}/stat"))
    }
}

/// Processor time that a process has used so far, in milliseconds.
pub(crate) fn cpu_ms_of(stat: &str) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(stat)?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // Linux counts in hundredths of a second for every process that asks this way.
    Ok(ticks * 10)
}

async fn launch(
    binary: &Path,
    folder: &Path,
    address: &str,
    store: Option<&str>,
) -> anyhow::Result<(Child, Duration)> {
    let log = File::options().create(true).append(true).open(folder.join("server.log"))?;
    let begun = Instant::now();
    let mut command = Command::new(binary);
    if let Some(store) = store {
        command.env("SIXPACK_STORE", store);
    }
    let mut child = command
        .args(["serve", "--listen", address, "--data"])
        .arg(folder.join("data"))
        // What is measured is the work, with as many leases as it takes.
        .args(["--limits-leases-per-token", "1000000", "--limits-leases-per-environment", "1000000"])
        .current_dir(folder)
        .env_remove("SIXPACK_URL")
        .env_remove("SIXPACK_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))?;
    let api = Api::new(address.to_owned(), String::new());
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("the server ended with {status} instead of becoming ready; see its log");
        }
        if api.is_ready().await {
            return Ok((child, begun.elapsed()));
        }
        ensure!(begun.elapsed() < START_LIMIT, "the server was not ready within {START_LIMIT:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// A supplier of one domain, started again whenever it is killed.
pub(crate) struct SupplierProcess {
    domain: String,
    address: String,
    token: String,
    effects: Option<String>,
    instance: usize,
    seed: u64,
    child: Child,
}

impl SupplierProcess {
    /// Starts the only supplier of a domain.
    pub(crate) fn start(api: &Api, domain: &str, effects: Option<String>, seed: u64) -> anyhow::Result<Self> {
        Self::start_one(api, domain, 1, effects, seed)
    }

    /// Starts one of several suppliers of a domain.
    pub(crate) fn start_one(
        api: &Api,
        domain: &str,
        instance: usize,
        effects: Option<String>,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let (domain, effects_at) = (domain.to_owned(), effects.as_deref());
        let child = launch_supplier(api.address(), api.token(), &domain, instance, effects_at, seed)?;
        let (address, token) = (api.address().to_owned(), api.token().to_owned());
        Ok(Self { domain, address, token, effects, instance, seed, child })
    }

    /// Kills the process without warning and starts it again.
    pub(crate) async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing a supplier")?;
        self.seed += 1;
        let (instance, effects) = (self.instance, self.effects.as_deref());
        self.child = launch_supplier(&self.address, &self.token, &self.domain, instance, effects, self.seed)?;
        Ok(())
    }
}

fn launch_supplier(
    address: &str,
    token: &str,
    domain: &str,
    instance: usize,
    effects: Option<&str>,
    seed: u64,
) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["supplier", "--domain", domain, "--seed", &seed.to_string()]);
    command.args(["--instance", &instance.to_string()]);
    if let Some(effects) = effects {
        command.args(["--effects", effects]);
    }
    command
        .env("SIXPACK_URL", format!("http://{address}"))
        .env("SIXPACK_TOKEN", token)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting the supplier of {domain}"))
}

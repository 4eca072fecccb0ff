//! Processes: the server and its suppliers, started on loopback and ended by their ids only.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::stock::round;

/// Longer than any start takes on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How a server ends that cannot reach its database when it starts.
const DATABASE_AWAY: i32 = 69;

/// The number of SIGTERM.
const SIGTERM: u32 = 15;

/// How often a starting process is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// A server that is told to stop has so long to finish and to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// A server over a data folder of its own, with its store in it or elsewhere.
pub(crate) struct Server {
    binary: PathBuf,
    folder: PathBuf,
    address: String,
    arguments: Vec<String>,
    child: Child,
    /// From the start of the process until it was ready.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts a server on a free port and waits until it is ready.
    pub(crate) async fn start(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(binary, folder, Vec::new()).await
    }

    /// Starts a server with more arguments, which it keeps over all its lives.
    pub(crate) async fn start_with(
        binary: &Path,
        folder: &Path,
        arguments: Vec<String>,
    ) -> anyhow::Result<Self> {
        // The server keeps the same port over all its lives, so that suppliers find it again.
        let address = format!("127.0.0.1:{}", free_port()?);
        let (child, ready_after) = launch(binary, folder, &address, &arguments).await?;
        Ok(Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            address,
            arguments,
            child,
            ready_after,
        })
    }

    /// Kills the process without warning and starts it again over the same data.
    pub(crate) async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.restart().await
    }

    /// Tells the process to stop, waits until it has, and starts it again; returns how it ended.
    pub(crate) async fn stop_and_restart(&mut self) -> anyhow::Result<ExitStatus> {
        let status = stop(&mut self.child, DRAIN_LIMIT).await.context("stopping a server")?;
        self.restart().await?;
        Ok(status)
    }

    /// Lets the process stand still for so long, while others go on.
    pub(crate) fn pause(&self, span: Duration) -> anyhow::Result<JoinHandle<()>> {
        pause(&self.child, span)
    }

    /// Starts it again if it has ended by itself; returns how.
    pub(crate) async fn restart_if_ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let ended = self.child.try_wait()?;
        if ended.is_some() {
            self.restart().await?;
        }
        Ok(ended)
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        let (child, ready_after) = launch(&self.binary, &self.folder, &self.address, &self.arguments).await?;
        (self.child, self.ready_after) = (child, ready_after);
        Ok(())
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
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

    /// The same in megabytes.
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        Ok(round(self.rss_kb()? as f64 / 1024.0))
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

/// A port of the loopback address that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Sends a signal, by its name, to a process that was started here.
pub(crate) fn signal(child: &Child, name: &str) -> anyhow::Result<()> {
    let id = child.id().context("the process has ended")?;
    let sent = std::process::Command::new("kill").args(["-s", name, &id.to_string()]).status()?;
    ensure!(sent.success(), "signal {name} did not reach process {id}");
    Ok(())
}

/// Tells a process to stop, as soon as it listens, and waits for it.
async fn stop(child: &mut Child, limit: Duration) -> anyhow::Result<ExitStatus> {
    let listens = tokio::time::timeout(limit, until_it_listens(child)).await;
    if let Some(ended) =
        listens.with_context(|| format!("it did not listen to SIGTERM within {limit:?}"))??
    {
        return Ok(ended);
    }
    signal(child, "TERM")?;
    let ended = tokio::time::timeout(limit, child.wait()).await;
    Ok(ended.with_context(|| format!("it did not end within {limit:?}"))??)
}

/// Waits until a process does something about SIGTERM, which merely ends one that was started a moment ago. Returns how it has ended
/// by itself before that.
async fn until_it_listens(child: &mut Child) -> anyhow::Result<Option<ExitStatus>> {
    let id = child.id().context("the process has ended")?;
    loop {
        if let Some(ended) = child.try_wait()? {
            return Ok(Some(ended));
        }
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.context("no signals in its status")?.trim(), 16)?;
        if caught & (1 << (SIGTERM - 1)) != 0 {
            return Ok(None);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Lets a process stand still for so long. It must not be killed in between.
fn pause(child: &Child, span: Duration) -> anyhow::Result<JoinHandle<()>> {
    signal(child, "STOP")?;
    let id = child.id().context("the process has ended")?;
    Ok(tokio::spawn(async move {
        tokio::time::sleep(span).await;
        // Somebody may have ended it in between.
        let _ =
            Command::new("kill").args(["-s", "CONT", &id.to_string()]).stderr(Stdio::null()).status().await;
    }))
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
    arguments: &[String],
) -> anyhow::Result<(Child, Duration)> {
    let begun = Instant::now();
    let mut child = spawn(binary, folder, address, arguments)?;
    let api = Api::new(address.to_owned(), String::new());
    loop {
        match child.try_wait()? {
            None if api.is_ready().await => return Ok((child, begun.elapsed())),
            None => {}
            // Whoever supervises a server starts it again when it says that its database was away.
            Some(status) if status.code() == Some(DATABASE_AWAY) => {
                child = spawn(binary, folder, address, arguments)?;
            }
            Some(status) => bail!("the server ended with {status} instead of becoming ready; see its log"),
        }
        ensure!(begun.elapsed() < START_LIMIT, "the server was not ready within {START_LIMIT:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn spawn(binary: &Path, folder: &Path, address: &str, arguments: &[String]) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("server.log"))?;
    Command::new(binary)
        .args(["serve", "--listen", address, "--data"])
        .arg(folder.join("data"))
        // What is measured is the work, with as many leases as it takes.
        .args(["--limits-leases-per-token", "1000000", "--limits-leases-per-environment", "1000000"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("SIXPACK_URL")
        .env_remove("SIXPACK_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))
}

/// A supplier of one domain, started again whenever it has ended.
pub(crate) struct SupplierProcess {
    begins: Begins,
    child: Child,
}

/// How a supplier is started.
pub(crate) struct Begins {
    pub(crate) domain: String,
    /// Which of the suppliers of its domain it is, from 1.
    pub(crate) instance: usize,
    /// Where it keeps its effects, unless in memory.
    pub(crate) effects: Option<String>,
    pub(crate) seed: u64,
    /// Where it says what it has to say, unless here.
    pub(crate) log: Option<PathBuf>,
}

impl Begins {
    /// The only supplier of a domain, without effects that last.
    pub(crate) fn alone(domain: &str) -> Self {
        Self { domain: domain.to_owned(), instance: 1, effects: None, seed: 0, log: None }
    }
}

impl SupplierProcess {
    /// Starts a supplier of the server that `api` is of.
    pub(crate) fn start(api: &Api, begins: Begins) -> anyhow::Result<Self> {
        let child = launch_supplier(api, &begins)?;
        Ok(Self { begins, child })
    }

    /// Kills the process without warning and starts it again, with this server; returns which it was.
    pub(crate) async fn kill_and_restart(&mut self, api: &Api) -> anyhow::Result<u32> {
        let killed = self.child.id().unwrap_or_default();
        self.child.kill().await.context("killing a supplier")?;
        self.restart(api)?;
        Ok(killed)
    }

    /// Tells the process to stop, waits until it has, and starts it again, with this server; returns how it ended.
    pub(crate) async fn stop_and_restart(&mut self, api: &Api) -> anyhow::Result<ExitStatus> {
        let status = stop(&mut self.child, DRAIN_LIMIT).await.context("stopping a supplier")?;
        self.restart(api)?;
        Ok(status)
    }

    /// Lets the process stand still for so long, while others go on.
    pub(crate) fn pause(&self, span: Duration) -> anyhow::Result<JoinHandle<()>> {
        pause(&self.child, span)
    }

    /// Starts it again, with this server, if it has ended by itself; whether it had.
    pub(crate) fn restart_if_ended(&mut self, api: &Api) -> anyhow::Result<bool> {
        let ended = self.child.try_wait()?.is_some();
        if ended {
            self.restart(api)?;
        }
        Ok(ended)
    }

    /// What it has said in all its lives, if it says it into a file.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        self.begins.log.as_ref().map_or(Ok(String::new()), |log| Ok(std::fs::read_to_string(log)?))
    }

    fn restart(&mut self, api: &Api) -> anyhow::Result<()> {
        self.begins.seed += 1;
        self.child = launch_supplier(api, &self.begins)?;
        Ok(())
    }
}

fn launch_supplier(api: &Api, begins: &Begins) -> anyhow::Result<Child> {
    let Begins { domain, instance, effects, seed, log } = begins;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["supplier", "--domain", domain, "--seed", &seed.to_string()]);
    command.args(["--instance", &instance.to_string()]);
    if let Some(effects) = effects {
        command.args(["--effects", effects]);
    }
    if let Some(log) = log {
        command.stderr(File::options().create(true).append(true).open(log)?);
    }
    command
        .env("SIXPACK_URL", format!("http://{}", api.address()))
        .env("SIXPACK_TOKEN", api.token())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting the supplier of {domain}"))
}

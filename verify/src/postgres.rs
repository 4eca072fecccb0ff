//! A PostgreSQL server of the trial's own: on loopback, in a folder of the trial, and ended with it.
//!
//! It keeps what it acknowledges, as a store demands, so that stopping it as if its machine had failed loses nothing.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::processes::{free_port, signal};

/// Where packages put programs that are not in the path.
const PACKAGES: &str = "/usr/lib/postgresql";

/// Who runs the server when the trial is run by root, whom PostgreSQL refuses; the best first.
const OTHERS: [&str; 2] = ["postgres", "nobody"];

/// Longer than any start takes on a busy machine, with everything to recover that one trial has written.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often a starting server is tried.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// A server with one empty database.
pub(crate) struct Postgres {
    // By itself, because whoever runs the server may not enter a folder inside one of somebody else's.
    folder: TempDir,
    runs_as: Option<User>,
    port: u16,
    child: Child,
}

impl Postgres {
    /// Makes an empty database and serves it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sixpack-postgres-").tempdir()?;
        let runs_as = other_user(folder.path())?;
        if let Some(user) = &runs_as {
            chown(folder.path(), Some(user.id), Some(user.group))?;
        }
        let made = as_user(runs_as.as_ref(), &program("initdb"))
            .args([
                "--username=sixpack",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--pgdata",
            ])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()
            .await
            .context("starting initdb; it comes with PostgreSQL, on Debian `apt-get install postgresql`")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port()?;
        let child = launch(folder.path(), runs_as.as_ref(), port).await?;
        Ok(Self { folder, runs_as, port, child })
    }

    /// What the server has said.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("postgres.log"))?)
    }

    /// The port of the loopback address that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server as if its machine had failed, and starts it again after `absence`.
    pub(crate) async fn stop_and_restart(&mut self, absence: Duration) -> anyhow::Result<()> {
        // What `pg_ctl stop -m immediate` sends.
        signal(&self.child, "QUIT")?;
        self.child.wait().await.context("waiting for PostgreSQL to end")?;
        tokio::time::sleep(absence).await;
        self.child = launch(self.folder.path(), self.runs_as.as_ref(), self.port).await?;
        Ok(())
    }

    /// Kills one of the processes that serve connections: the server then ends all others, and recovers.
    pub(crate) async fn kill_a_backend(&self) -> anyhow::Result<()> {
        let server = self.child.id().context("PostgreSQL is not running")?;
        let mut serving = Vec::new();
        for child in std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"))?.split(' ') {
            // A process that ended in between has no name any more.
            let name = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if name.starts_with("postgres: sixpack") {
                serving.push(child.to_owned());
            }
        }
        ensure!(!serving.is_empty(), "nobody is connected to PostgreSQL");
        let victim = &serving[fastrand::usize(..serving.len())];
        // It may have ended by itself since then, which is what was wanted.
        Command::new("kill").args(["-s", "KILL", victim]).stderr(Stdio::null()).status().await?;
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its own way to end takes its shared memory along. A server that has ended already needs nothing.
        let _ = signal(&self.child, "QUIT");
        let limit = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < limit {
            std::thread::sleep(ASK_EVERY);
        }
    }
}

async fn launch(folder: &Path, user: Option<&User>, port: u16) -> anyhow::Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("postgres.log"))?;
    let mut child = as_user(user, &program("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("starting PostgreSQL")?;
    let begun = Instant::now();
    while !takes_connections(port).await {
        if let Some(status) = child.try_wait()? {
            bail!("PostgreSQL ended with {status}; see postgres.log");
        }
        ensure!(begun.elapsed() < START_LIMIT, "PostgreSQL was not ready within {START_LIMIT:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(child)
}

/// Whether somebody could begin a session: while it recovers, PostgreSQL answers with an error.
async fn takes_connections(port: u16) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // Length, version 3.0, and the user, without whom nobody is let in.
    const HELLO: &[u8] = b"\0\0\0\x28\0\x03\0\0user\0sixpack\0database\0postgres\0\0";
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut answer = [0];
    // R is what follows a greeting that is heard; E is an error.
    stream.write_all(HELLO).await.is_ok() && stream.read_exact(&mut answer).await.is_ok() && answer[0] == b'R'
}

/// Somebody who is not root.
struct User {
    id: u32,
    group: u32,
}

/// Who is to run the server; `None` when whoever runs the trial may.
fn other_user(folder: &Path) -> anyhow::Result<Option<User>> {
    if std::fs::metadata(folder)?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let user = |name: &&str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some(User { id: fields.next()?.ok()?, group: fields.next()?.ok()? })
    };
    let found = OTHERS.iter().find_map(user);
    found
        .map(Some)
        .with_context(|| format!("PostgreSQL refuses root, and there is none of {OTHERS:?} to run it"))
}

fn as_user(user: Option<&User>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={}", user.id)).arg(format!("--regid={}", user.group)).arg("--clear-groups");
    command.arg("--").arg(program);
    command
}

/// A program of PostgreSQL, from the newest package that has it, or from the path.
fn program(name: &str) -> PathBuf {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = std::fs::read_dir(PACKAGES).into_iter().flatten().flatten();
    let mut packages: Vec<PathBuf> = versions.map(|version| version.path()).collect();
    packages.sort_by_key(number);
    let mut packaged = packages.into_iter().rev().map(|path| path.join("bin").join(name));
    packaged.find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

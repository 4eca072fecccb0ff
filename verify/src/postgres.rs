//! A PostgreSQL server of the trial's own: on loopback, in a folder of the trial, and ended with it.
//!
//! It keeps what it acknowledges, as a store demands, so that stopping it as if its machine had failed loses nothing. Where a disk of
//! the trial's own can be mounted, its data lie on one, and its log is written in small pieces: it needs room for the next one
//! often.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::disk::Disk;
use crate::processes::{free_port, signal};

/// Where packages put programs that are not in the path.
const PACKAGES: &str = "/usr/lib/postgresql";

/// Who runs the server when the trial is run by root, whom PostgreSQL refuses; the best first.
const OTHERS: [&str; 2] = ["postgres", "nobody"];

/// Longer than any start takes on a busy machine, with everything to recover that one trial has written.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often a starting server is tried.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// The user of an inner namespace who is not its root, and stands for whoever runs the trial.
const NOT_ROOT: u32 = 1;

/// Pieces of the log on a disk of the trial's own, in megabytes, and how little of it is kept for the next ones.
const LOG_PIECE_MB: &str = "--wal-segsize=1";
const LOG_KEPT: [&str; 2] = ["-c", "min_wal_size=2MB"];

/// Writes sixty-four pieces of the log, and nothing else: there is no room for so many.
const WRITE_LOG: &str =
    "SELECT pg_logical_emit_message(false, 'verify', repeat('x', 1000000)) FROM generate_series(1, 64)";

/// A server with one empty database.
pub(crate) struct Postgres {
    // The disk goes before the folder that it is mounted in.
    disk: Option<Disk>,
    // By itself, because whoever runs the server may not enter a folder inside one of somebody else's.
    folder: TempDir,
    runs_as: RunsAs,
    port: u16,
    child: Child,
}

impl Postgres {
    /// Makes an empty database and serves it; on a disk of the trial's own if it is `on_a_disk`.
    pub(crate) async fn start(on_a_disk: bool) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sixpack-postgres-").tempdir()?;
        let runs_as = who_runs_it(folder.path())?;
        let data = folder.path().join("data");
        let disk = if on_a_disk { Some(Disk::mount(&data)?) } else { None };
        if let RunsAs::Other(user) = &runs_as {
            for place in [Some(folder.path()), on_a_disk.then_some(&*data)].into_iter().flatten() {
                chown(place, Some(user.id), Some(user.group))?;
            }
        }
        let made = as_user(&runs_as, &program("initdb"))
            .args([
                "--username=sixpack",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data)
            .args(on_a_disk.then_some(LOG_PIECE_MB))
            .current_dir(folder.path())
            .output()
            .await
            .context("starting initdb; it comes with PostgreSQL, on Debian `apt-get install postgresql`")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port()?;
        let child = launch(folder.path(), &runs_as, port, on_a_disk).await?;
        Ok(Self { disk, folder, runs_as, port, child })
    }

    /// What its data lie on, if that is the trial's own.
    pub(crate) fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
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
        self.launch_again().await
    }

    /// Kills the process that all others belong to, without warning, and starts the server again when they are gone: as long as one of
    /// them uses the memory that they share, it refuses to start.
    pub(crate) async fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        // While it stands still nobody is added to its children.
        signal(&self.child, "STOP")?;
        let children = self.children()?;
        self.child.kill().await.context("killing PostgreSQL")?;
        let limit = Instant::now() + START_LIMIT;
        // They are told by the kernel that it is gone, and end by themselves.
        while children.iter().any(|child| runs(*child)) {
            ensure!(Instant::now() < limit, "processes of a killed PostgreSQL are still there: {children:?}");
            tokio::time::sleep(ASK_EVERY).await;
        }
        self.launch_again().await
    }

    /// The processes that it has started.
    fn children(&self) -> anyhow::Result<Vec<u32>> {
        let server = self.child.id().context("PostgreSQL is not running")?;
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"))?;
        children.split_whitespace().map(|child| Ok(child.parse()?)).collect()
    }

    /// Starts it again if it has ended by itself.
    pub(crate) async fn restart_if_ended(&mut self) -> anyhow::Result<()> {
        // A server whose recovery has failed ends a moment later, and answers nobody until then.
        let limit = Instant::now() + START_LIMIT;
        while !takes_connections(self.port).await {
            if self.child.try_wait()?.is_some() {
                return self.launch_again().await;
            }
            ensure!(Instant::now() < limit, "PostgreSQL neither recovered nor ended within {START_LIMIT:?}");
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    async fn launch_again(&mut self) -> anyhow::Result<()> {
        let on_a_disk = self.disk.is_some();
        self.child = launch(self.folder.path(), &self.runs_as, self.port, on_a_disk).await?;
        Ok(())
    }

    /// How often it has ended all that it was doing because it could not write its log.
    pub(crate) fn panics(&self) -> anyhow::Result<usize> {
        Ok(self.log()?.lines().filter(|line| line.contains("PANIC:")).count())
    }

    /// Writes so much into its log that it runs out of room, and waits until it has ended this connection over it.
    pub(crate) async fn write_log_until_it_ends(&self) -> anyhow::Result<()> {
        // Whatever comes of it: it may have run out of room by itself before.
        let _ = ask(self.port, WRITE_LOG).await;
        Ok(())
    }

    /// Kills one of the processes that serve connections: the server then ends all others, and recovers.
    pub(crate) async fn kill_a_backend(&self) -> anyhow::Result<()> {
        let mut serving = Vec::new();
        for child in self.children()? {
            if name_of(child).starts_with("postgres: sixpack") {
                serving.push(child.to_string());
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

/// What a process calls itself; nothing once it has ended.
fn name_of(process: u32) -> String {
    std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default()
}

/// Whether a process of PostgreSQL is still there. Its number may belong to somebody else by now, or to nobody who does anything.
fn runs(process: u32) -> bool {
    name_of(process).starts_with("postgres")
}

async fn launch(folder: &Path, user: &RunsAs, port: u16, on_a_disk: bool) -> anyhow::Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("postgres.log"))?;
    let mut child = as_user(user, &program("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(LOG_KEPT.iter().filter(|_| on_a_disk))
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

/// Length, version 3.0, and the user, without whom nobody is let in.
const HELLO: &[u8] = b"\0\0\0\x28\0\x03\0\0user\0sixpack\0database\0postgres\0\0";

/// Whether somebody could begin a session: while it recovers, PostgreSQL answers with an error.
async fn takes_connections(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut answer = [0];
    // R is what follows a greeting that is heard; E is an error.
    stream.write_all(HELLO).await.is_ok() && stream.read_exact(&mut answer).await.is_ok() && answer[0] == b'R'
}

/// Has one statement carried out, and reads what comes until the connection ends or the next one could be sent.
async fn ask(port: u16, statement: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(HELLO).await?;
    read_until_ready(&mut stream).await?;
    let length = u32::try_from(statement.len() + 5)?;
    let query = [b"Q", &length.to_be_bytes()[..], statement.as_bytes(), b"\0"].concat();
    stream.write_all(&query).await?;
    read_until_ready(&mut stream).await
}

/// Messages are a letter, a length that counts itself, and the rest; Z is the end of what belongs together.
async fn read_until_ready(stream: &mut TcpStream) -> anyhow::Result<()> {
    loop {
        let (kind, length) = (stream.read_u8().await?, stream.read_u32().await?);
        let mut rest = vec![0; length.saturating_sub(4) as usize];
        stream.read_exact(&mut rest).await?;
        if kind == b'Z' {
            return Ok(());
        }
    }
}

/// Somebody who is not root.
struct User {
    id: u32,
    group: u32,
}

/// Who runs the server.
enum RunsAs {
    /// Whoever runs the trial.
    Whoever,
    /// Somebody else, because PostgreSQL refuses root.
    Other(User),
    /// Whoever runs the trial, under another name: in a namespace of users in which there is nobody but root.
    Renamed,
}

fn who_runs_it(folder: &Path) -> anyhow::Result<RunsAs> {
    if std::fs::metadata(folder)?.uid() != 0 {
        return Ok(RunsAs::Whoever);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let user = |name: &&str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some(User { id: fields.next()?.ok()?, group: fields.next()?.ok()? })
    };
    let Some(found) = OTHERS.iter().find_map(user) else {
        bail!("PostgreSQL refuses root, and there is none of {OTHERS:?} to run it")
    };
    let known = std::fs::read_to_string("/proc/self/uid_map")?;
    Ok(if is_mapped(&known, found.id) { RunsAs::Other(found) } else { RunsAs::Renamed })
}

/// Whether a namespace of users has this one, by what the kernel says of it: the first here, the first outside, and how many.
fn is_mapped(known: &str, id: u32) -> bool {
    known.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        matches!(numbers[..], [first, _, count] if (first..first + count).contains(&id.into()))
    })
}

fn as_user(user: &RunsAs, program: &Path) -> Command {
    let mut command = match user {
        RunsAs::Whoever => return Command::new(program),
        RunsAs::Other(user) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={}", user.id)).arg(format!("--regid={}", user.group));
            command.arg("--clear-groups");
            command
        }
        RunsAs::Renamed => {
            let mut command = Command::new("unshare");
            command.args(["--user", &format!("--map-user={NOT_ROOT}"), &format!("--map-group={NOT_ROOT}")]);
            command
        }
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_users_has_those_whom_the_kernel_names() {
        let everybody = "         0          0 4294967295\n";
        let root_alone = "         0       1000          1\n";
        assert!(is_mapped(everybody, 65_534) && is_mapped(root_alone, 0));
        assert!(!is_mapped(root_alone, 65_534) && !is_mapped("", 0));
    }
}

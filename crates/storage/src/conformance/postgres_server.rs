//! A PostgreSQL server of the tests' own: one for each program of tests, in a temporary folder, reached by a socket in it.
//!
//! ```text
//! tests --pipe--> shell: starts the server, waits for the end of the pipe, stops the server, removes the folder
//! ```
//!
//! The pipe ends with the program, however that ends: the shell has a process group of its own, so that what interrupts the
//! tests ends them and not it. PostgreSQL refuses to run as root, so that it then runs as whoever owns the least.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::clock::ManualClock;
use crate::durability::Durability;
use crate::postgres::{Address, create};

/// Where packages put programs that are not in the path.
const PACKAGES: &str = "/usr/lib/postgresql";

/// How long the server may take to answer: it has a new, empty database to start with.
const START: Duration = Duration::from_secs(60);

/// Faster, and just as good until the machine itself fails. There are as many tests at once as the machine has cores, each with
/// half a dozen connections.
const UNSAFE: &[&str] = &[
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "shared_buffers=64MB",
    "max_connections=500",
];

/// Who runs the server when the tests are run by root, the best first.
const OTHERS: &[&str] = &["postgres", "nobody"];

/// Starts the server, and stops it with a signal when the standard input ends. Every argument behind folder and signal belongs to
/// the server.
const KEEPER: &str = "folder=$1; signal=$2; shift 2; \"$@\" >&2 & server=$!; cat >/dev/null; kill -$signal $server; wait $server; rm -rf \"$folder\"";

/// The name of its socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// What the server says when it takes connections.
const READY: &str = "database system is ready to accept connections";

/// Lines that are kept of what it says before that.
const LINES: usize = 50;

/// A server with one empty database.
pub struct PostgresServer {
    folder: PathBuf,
    runs_as: Option<User>,
    settings: Vec<String>,
    // A server ends with its pipe; there are several when it was stopped in between.
    keepers: Mutex<Vec<Child>>,
    schemas: AtomicU64,
}

impl PostgresServer {
    /// The server that all tests of this program share. What it acknowledges does not survive the machine.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(UNSAFE))
    }

    /// Starts a server with these settings on top of PostgreSQL's own.
    pub fn start(settings: &[&str]) -> Self {
        let (folder, runs_as) = Self::make();
        Self::start_in(folder, runs_as, settings)
    }

    /// Starts a server that can also be reached by this port of the loopback address, with TLS.
    pub fn start_with_tls(port: u16, certificate: &Path, key: &Path) -> Self {
        let (folder, runs_as) = Self::make();
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = folder.path().join("data").join(name);
            std::fs::copy(from, &to).expect("the file is there");
            std::fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("it is ours");
            if let Some(user) = &runs_as {
                chown(&to, Some(user.id), Some(user.group)).expect("root may give a file away");
            }
        }
        let port = format!("port={port}");
        Self::start_in(folder, runs_as, &["ssl=on", "listen_addresses=127.0.0.1", &port])
    }

    /// Makes an empty database; returns its folder, and who is to run its server.
    fn make() -> (TempDir, Option<User>) {
        let folder =
            tempfile::Builder::new().prefix("sixpack-postgres-").tempdir().expect("a folder can be made");
        let runs_as = other_user(folder.path());
        if let Some(user) = &runs_as {
            chown(folder.path(), Some(user.id), Some(user.group)).expect("root may give a folder away");
        }
        let data = folder.path().join("data");
        let made = as_user(runs_as.as_ref(), &program("initdb"))
            .args([
                "--username=sixpack",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data)
            .current_dir(folder.path())
            .output();
        succeeded("initdb", runs_as.as_ref(), made);
        (folder, runs_as)
    }

    fn start_in(folder: TempDir, runs_as: Option<User>, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        // It is the shell's to remove.
        let (folder, keepers) = (folder.keep(), Mutex::default());
        let server = Self { folder, runs_as, settings, keepers, schemas: AtomicU64::new(0) };
        server.start_again();
        server
    }

    /// Stops the server as if its machine had failed, and comes back when it is gone.
    pub fn stop(&self) {
        let file = self.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file).expect("the server runs");
        let process = text.lines().next().expect("its number stands in the first line");
        let signalled = Command::new("kill").args(["-s", "QUIT", process]).status();
        assert!(signalled.expect("there is a program for that").success(), "the server runs");
        let process = Path::new("/proc").join(process);
        let deadline = Instant::now() + START;
        while process.exists() {
            assert!(Instant::now() < deadline, "the server does not stop");
            std::thread::yield_now();
        }
    }

    /// Starts the server that was stopped, on what it has acknowledged.
    pub fn start_again(&self) {
        let mut server = as_user(self.runs_as.as_ref(), &program("postgres"));
        server.arg("-D").arg(self.folder.join("data")).arg("-k").arg(&self.folder).args(["-h", ""]);
        for setting in &self.settings {
            server.arg("-c").arg(setting);
        }
        let keeper = keep(&self.folder, "QUIT", &server, READY);
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner).push(keeper);
    }

    /// A program of PostgreSQL's own that works with this database, such as `pg_dump`.
    pub fn tool(&self, name: &str) -> Command {
        let mut tool = Command::new(program(name));
        tool.env("PGHOST", &self.folder).env("PGUSER", "sixpack").env("PGDATABASE", "postgres");
        tool
    }

    /// Where a store in this schema is; its connections have the name of the schema.
    pub fn address(&self, schema: &str) -> Address {
        format!("{}?schema={schema}&application_name={schema}", self.url())
            .parse()
            .expect("an address of ours is well-formed")
    }

    /// Where a store is in a schema that nobody has yet.
    pub fn new_address(&self) -> Address {
        self.address(&format!("case_{}", self.schemas.fetch_add(1, Ordering::Relaxed)))
    }

    /// The folder of its socket.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The socket that the server listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }

    /// Where the database is, with the user but without anything else.
    pub fn url(&self) -> String {
        let folder = self.folder.to_str().expect("temporary folders have plain names");
        format!("postgres://sixpack@{}/postgres", folder.replace('/', "%2F"))
    }

    /// Makes the schema of a store whose time is that of `clock`: its function for the time reads a table that follows the clock.
    pub async fn migrate_with(&self, address: &Address, clock: ManualClock) -> ManualClock {
        create(address, Durability::TestsOnly).await.expect("a new schema can be made");
        let schema = address.schema();
        self.run(&format!(
            "CREATE TABLE {schema}.test_clock (ms bigint NOT NULL);
             INSERT INTO {schema}.test_clock VALUES (0);
             CREATE OR REPLACE FUNCTION {schema}.sixpack_now() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
                 AS $$ SELECT ms FROM {schema}.test_clock $$"
        ))
        .await;
        let moves = self.mover(schema.to_owned());
        clock.followed_by(move |ms| {
            let (done, moved) = channel();
            moves.send((ms, done)).expect("the thread that moves the clock lives as long as the clock");
            moved.recv().expect("the database takes the time");
        })
    }

    /// Runs statements that give nothing.
    pub async fn run(&self, sql: &str) {
        let (client, connection) =
            tokio_postgres::connect(&self.url(), NoTls).await.expect("the server answers");
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.expect("the statements are right");
        drop(client);
        let _ = connection.await;
    }

    /// A thread with a connection of its own, because a clock is moved without waiting for anybody.
    fn mover(&self, schema: String) -> Sender<(i64, Sender<()>)> {
        let (moves, waiting) = channel::<(i64, Sender<()>)>();
        let url = self.url();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let (client, connection) =
                    tokio_postgres::connect(&url, NoTls).await.expect("the server answers");
                tokio::spawn(connection);
                while let Ok((ms, done)) = waiting.recv() {
                    let update = format!("UPDATE {schema}.test_clock SET ms = $1");
                    client.execute(&update, &[&ms]).await.expect("the clock can be moved");
                    let _ = done.send(());
                }
            });
        });
        moves
    }
}

/// Starts a server in its folder, which goes with it, and waits until it says that it is ready.
pub(super) fn keep(folder: &Path, signal: &str, server: &Command, ready: &'static str) -> Child {
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(folder)
        .arg(signal)
        .arg(server.get_program())
        .args(server.get_args())
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell can be started");
    wait(keeper.stderr.take().expect("it is piped"), ready);
    keeper
}

/// What a server says that has failed, and what is said of one that is not on this machine.
const FAILED: [&str; 3] = ["FATAL", "failed to execute", "not found"];

/// Waits until the server takes connections, and goes on reading what it says, so that it is never held up by that.
fn wait(said: ChildStderr, ready: &'static str) {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut lines = Vec::new();
        let mut waiting = Some(tell);
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            let outcome = match &line {
                line if line.contains(ready) => Ok(()),
                line if FAILED.iter().any(|why| line.contains(why)) => Err(lines.join("\n") + "\n" + line),
                _ if lines.len() < LINES => {
                    lines.push(line);
                    continue;
                }
                _ => continue,
            };
            if let Some(tell) = waiting.take() {
                let _ = tell.send(outcome);
            }
        }
    });
    match told.recv_timeout(START) {
        Ok(Ok(())) => {}
        Ok(Err(log)) => panic!("a server does not start:\n{log}"),
        Err(_) => panic!("a server does not start within {START:?}"),
    }
}

/// Somebody who is not root.
pub(super) struct User {
    pub(super) id: u32,
    pub(super) group: u32,
}

/// Who is to run the server; `None` when whoever runs the tests may.
pub(super) fn other_user(folder: &Path) -> Option<User> {
    let mine = std::fs::metadata(folder).expect("the folder was just made").uid();
    if mine != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("the machine has users");
    let user = |name: &&str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some(User { id: fields.next()?.ok()?, group: fields.next()?.ok()? })
    };
    let found = OTHERS.iter().find_map(user);
    Some(
        found.unwrap_or_else(|| panic!("PostgreSQL refuses root, and there is none of {OTHERS:?} to run it")),
    )
}

pub(super) fn as_user(user: Option<&User>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={}", user.id)).arg(format!("--regid={}", user.group)).arg("--clear-groups");
    command.arg("--").arg(program);
    command
}

/// A program of PostgreSQL, from the newest package that has it, or from the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(PACKAGES).into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut packages: Vec<PathBuf> = versions.map(|version| version.path()).collect();
    packages.sort_by_key(|path| number(path));
    let packaged =
        packages.into_iter().rev().map(|path| path.join("bin").join(name)).find(|path| path.exists());
    packaged.unwrap_or_else(|| PathBuf::from(name))
}

fn succeeded(name: &str, user: Option<&User>, output: std::io::Result<Output>) {
    let output = output.unwrap_or_else(|cause| match (cause.kind(), user) {
        (ErrorKind::NotFound, Some(_)) => {
            panic!("setpriv cannot be started ({cause}): PostgreSQL refuses root; on Debian `apt-get install util-linux`")
        }
        (ErrorKind::NotFound, None) => panic!(
            "{name} cannot be started ({cause}): these tests need PostgreSQL; on Debian `apt-get install postgresql`"
        ),
        _ => panic!("{name} cannot be started: {cause}"),
    });
    let said = String::from_utf8_lossy(&output.stderr);
    // What setpriv could not start, and where the other user may not go, is told by them.
    let hint = user.map_or_else(String::new, |user| {
        format!(
            " (as user {}, who needs PostgreSQL, on Debian `apt-get install postgresql`, and a TMPDIR that it can enter)",
            user.id
        )
    });
    assert!(output.status.success(), "{name}{hint}: {said}");
}

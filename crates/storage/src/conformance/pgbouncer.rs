//! A PgBouncer of the tests' own, in transaction mode: before a PostgreSQL server, in a folder of its own, reached by a socket in it.
//!
//! It runs as whoever runs PostgreSQL, because it refuses root as well, and ends with the program of tests.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;

use super::postgres_server::{PostgresServer, as_user, keep, other_user};
use crate::postgres::Address;

/// Where Debian puts it, out of the path of those who are not root.
const PACKAGED: &str = "/usr/sbin/pgbouncer";

/// What it says when it takes connections.
const READY: &str = "process up";

/// The last part of the name of its socket.
const PORT: u16 = 6432;

/// Fewer connections than the tests have, and the next one for each transaction: who relies on a session is found out.
const SHARED: &[&str] = &["default_pool_size = 24", "server_round_robin = 1"];

/// A pooler in transaction mode.
pub struct PgBouncer {
    folder: PathBuf,
    // It ends with its pipe.
    _keeper: Child,
}

impl PgBouncer {
    /// The pooler that all tests of this program share, before the server that they share.
    pub fn shared() -> &'static Self {
        static POOLER: OnceLock<PgBouncer> = OnceLock::new();
        POOLER.get_or_init(|| Self::start(PostgresServer::shared(), SHARED))
    }

    /// Starts one before a server, with these settings on top of its own.
    pub fn start(server: &PostgresServer, settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("sixpack-pgbouncer-").tempdir();
        // It is the shell's to remove.
        let folder = folder.expect("a folder can be made").keep();
        let database = server.folder().display();
        let place = folder.display();
        let all = format!(
            "[databases]\n* = host={database} port=5432\n[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\n\
             unix_socket_dir = {place}\nauth_type = trust\nauth_file = {place}/users\npool_mode = transaction\n\
             max_client_conn = 1000\n{}\n",
            settings.join("\n")
        );
        std::fs::write(folder.join("settings"), all).expect("the folder is ours");
        std::fs::write(folder.join("users"), "\"sixpack\" \"\"\n").expect("the folder is ours");
        let program = if Path::new(PACKAGED).exists() { PACKAGED } else { "pgbouncer" };
        let runs_as = other_user(&folder);
        let mut pooler = as_user(runs_as.as_ref(), Path::new(program));
        pooler.arg(folder.join("settings"));
        if let Some(user) = runs_as {
            for path in [folder.clone(), folder.join("settings"), folder.join("users")] {
                chown(path, Some(user.id), Some(user.group)).expect("root may give a file away");
            }
        }
        Self { _keeper: keep(&folder, "TERM", &pooler, READY), folder }
    }

    /// Where a store is in this schema, through the pooler; its connections have the name of the schema.
    pub fn address(&self, schema: &str) -> Address {
        let address = format!("{}?schema={schema}&application_name={schema}", self.url());
        address.parse().expect("an address of ours is well-formed")
    }

    /// Where the database is through the pooler, with the user but without anything else.
    pub fn url(&self) -> String {
        let folder = self.folder.to_str().expect("temporary folders have plain names");
        format!("postgres://sixpack@{}:{PORT}/postgres", folder.replace('/', "%2F"))
    }
}

//! Settings: what an operator may choose, read from flags, environment, file and defaults; all faults at once.

mod command;
mod keys;
mod sources;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) use command::{SettingsArgs, SettingsCommand, run};
pub(crate) use keys::Value;
pub(crate) use sources::{Effective, SettingFlags, effective};

use sixpack_storage::postgres::Address;

use crate::exit::Exit;
use crate::fault::Fault;

/// The commented file of defaults.
pub(crate) const DEFAULTS: &str = include_str!("settings/defaults.toml");

/// What a server needs to know. The meaning of each value is told in `settings/defaults.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) store: StoreChoice,
    pub(crate) migrate: bool,
    pub(crate) behind_proxy: bool,
    pub(crate) public_hosts: Vec<String>,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) offline_grace_s: u64,
    pub(crate) drain_delay_s: u64,
    pub(crate) grace_s: u64,
    pub(crate) access_log: bool,
    pub(crate) log_level: String,
    pub(crate) log_json: bool,
    pub(crate) max_connections: u64,
    pub(crate) long_polls_per_token: u64,
    pub(crate) leases_per_token: u64,
    pub(crate) leases_per_environment: u64,
    pub(crate) keep_datasets_days: u64,
    pub(crate) keep_events_days: u64,
    pub(crate) keep_sessions_days: u64,
}

/// Which store a server uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    /// SQLite, in the data folder.
    Sqlite,
    /// PostgreSQL, shared by any number of servers.
    Postgres(Box<Address>),
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("SQLite"),
            Self::Postgres(address) => write!(f, "PostgreSQL: {address}"),
        }
    }
}

impl Settings {
    /// Where the store is, in one phrase.
    pub(crate) fn place(&self) -> String {
        match &self.store {
            StoreChoice::Sqlite => self.data.display().to_string(),
            StoreChoice::Postgres(address) => address.to_string(),
        }
    }
}

/// One setting that cannot be used, by its name and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingFault {
    /// `limits.max_connections`, as its source writes it.
    pub(crate) name: String,
    /// Where it was found.
    pub(crate) origin: String,
    /// What is wrong, and what to do.
    pub(crate) what: String,
}

/// All faults of the settings as one.
pub(crate) fn refused(faults: &[SettingFault]) -> Fault {
    let count = faults.len();
    let lines = faults.iter().map(|fault| format!("  {} ({}): {}", fault.name, fault.origin, fault.what));
    let head = match count {
        1 => "the settings have a fault; nothing was started".to_owned(),
        _ => format!("the settings have {count} faults; nothing was started"),
    };
    let what = std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n");
    Fault::new(Exit::Settings, what).next("`sixpack settings --defaults` explains every setting")
}

//! `sixpack settings`: shows the settings that hold, and where each comes from.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{DEFAULTS, SettingFlags, effective, refused};
use crate::connection::Connection;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::Output;

/// Shows the settings of a server that hold here, and where each comes from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack settings                            what `sixpack serve` would use in this folder
  sixpack settings --defaults > sixpack.toml  a commented file to begin with
  SIXPACK_LISTEN=127.0.0.1:7000 sixpack settings

Ends with 78 and lists every fault when a server would not start.")]
pub(crate) struct SettingsCommand {
    /// Print the commented file of all defaults
    #[arg(long)]
    defaults: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "defaults")]
    pub(crate) json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    connection: Connection,
}

/// One flag for each setting; they are stronger than variables, those than the file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings (explained by `sixpack settings --defaults`)")]
pub(crate) struct SettingsArgs {
    /// File of settings [default: sixpack.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:6776]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Folder of the store [default: .sixpack]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// `sqlite`, or the address of a PostgreSQL store, shared by any number of servers [default: sqlite]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// File with the password of the PostgreSQL store [default: what PGPASSWORD says]
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<String>,
    /// Bring an older schema of a PostgreSQL store up to date before serving, as `sixpack migrate up` does
    #[arg(long)]
    migrate: bool,
    /// A proxy with TLS stands before the server: any address may be listened on
    #[arg(long)]
    behind_proxy: bool,
    /// Hosts that the server answers to, with commas between
    #[arg(long, value_name = "HOSTS")]
    public_hosts: Option<String>,
    /// Address and port for metrics [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<String>,
    /// How long a dataset may wait for an absent supplier
    #[arg(long, value_name = "SECONDS")]
    offline_grace_s: Option<String>,
    /// How long connections are still accepted after SIGTERM
    #[arg(long, value_name = "SECONDS")]
    drain_delay_s: Option<String>,
    /// How long calls in flight may take to finish after that
    #[arg(long, value_name = "SECONDS")]
    grace_s: Option<String>,
    /// Log one line for each call
    #[arg(long)]
    pub(crate) access_log: bool,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// json or text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// Connections at one time
    #[arg(long, value_name = "COUNT")]
    limits_max_connections: Option<String>,
    /// Calls of one token that may wait for news at one time
    #[arg(long, value_name = "COUNT")]
    limits_long_polls_per_token: Option<String>,
    /// Leases of one token at one time
    #[arg(long, value_name = "COUNT")]
    limits_leases_per_token: Option<String>,
    /// Leases of all tokens in one environment at one time
    #[arg(long, value_name = "COUNT")]
    limits_leases_per_environment: Option<String>,
    /// How long ended datasets, requests and leases are kept; 0 for ever
    #[arg(long, value_name = "DAYS")]
    retention_datasets_days: Option<String>,
    /// How long events are kept; 0 for ever
    #[arg(long, value_name = "DAYS")]
    retention_events_days: Option<String>,
    /// How long ended sessions are kept; 0 for ever
    #[arg(long, value_name = "DAYS")]
    retention_sessions_days: Option<String>,
}

impl SettingsArgs {
    /// What was said, by names of settings.
    pub(crate) fn flags(&self) -> SettingFlags {
        let switch = |on: bool| on.then(|| "true".to_owned());
        let said = [
            ("listen", self.listen.clone()),
            ("data", self.data.clone()),
            ("store", self.store.clone()),
            ("store_password_file", self.store_password_file.clone()),
            ("migrate", switch(self.migrate)),
            ("behind_proxy", switch(self.behind_proxy)),
            ("public_hosts", self.public_hosts.clone()),
            ("metrics_listen", self.metrics_listen.clone()),
            ("offline_grace_s", self.offline_grace_s.clone()),
            ("drain_delay_s", self.drain_delay_s.clone()),
            ("grace_s", self.grace_s.clone()),
            ("access_log", switch(self.access_log)),
            ("log.level", self.log_level.clone()),
            ("log.format", self.log_format.clone()),
            ("limits.max_connections", self.limits_max_connections.clone()),
            ("limits.long_polls_per_token", self.limits_long_polls_per_token.clone()),
            ("limits.leases_per_token", self.limits_leases_per_token.clone()),
            ("limits.leases_per_environment", self.limits_leases_per_environment.clone()),
            ("retention.datasets_days", self.retention_datasets_days.clone()),
            ("retention.events_days", self.retention_events_days.clone()),
            ("retention.sessions_days", self.retention_sessions_days.clone()),
        ];
        let values = said.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        SettingFlags { file: self.config.clone(), values, ..SettingFlags::default() }
    }
}

/// Runs the command.
pub(crate) fn run(command: &SettingsCommand, output: &mut Output) -> Result<Exit, Fault> {
    if command.defaults {
        output.block(DEFAULTS)?;
        return Ok(Exit::Done);
    }
    let effective =
        effective(&command.settings.flags(), std::env::vars_os()).map_err(|faults| refused(&faults))?;
    let server = effective
        .rows
        .iter()
        .map(|(name, value, origin)| [(*name).to_owned(), value.to_string(), origin.to_string()]);
    let rows = server.chain(command.connection.shown());
    if command.json {
        let rows = rows.map(|[name, value, origin]| (name, json!({ "value": value, "from": origin })));
        output.json(&rows.collect::<serde_json::Map<_, _>>())?;
    } else {
        output.table(["SETTING", "VALUE", "FROM"], rows)?;
    }
    Ok(Exit::Done)
}

//! `sixpack serve`: a server for a team.

use std::time::Duration;

use clap::Args;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::serving::Server;
use crate::settings::{Effective, SettingsArgs, effective, refused};
use crate::{logging, stores, token_files};

/// Where the first token is kept, in the data folder.
const TOKEN_FILE: &str = "admin-token";

/// How long the first token is good: as long as every other one when nothing else is said.
const TOKEN_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// Runs a server.
///
/// It speaks HTTP without TLS: it listens on loopback, or on any address when a proxy with TLS stands before it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack settings --defaults > sixpack.toml    every setting, explained
  sixpack serve                                 with sixpack.toml of this folder, if there is one
  sixpack serve --listen 0.0.0.0:6776 --behind-proxy --data /var/lib/sixpack
  PGPASSWORD=… sixpack serve --store postgres://sixpack@db/sixpack   one of several, all of one store

When nobody holds a usable token of the role admin, the server makes one and keeps it in DATA/admin-token, \
readable by its owner only. Make further ones with it:
  sixpack token create ci --role consumer --token-file DATA/admin-token

Logs go to the standard error output. SIGTERM drains and ends with 0; a second one ends at once.")]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs the command.
pub(crate) async fn run(command: &ServeCommand) -> Result<Exit, Fault> {
    let Effective { settings, .. } =
        effective(&command.settings.flags(), std::env::vars_os()).map_err(|faults| refused(&faults))?;
    logging::start(&settings.log_level, settings.log_json);
    let Some(server) = Server::open(&settings).await? else { return Ok(Exit::Done) };
    if !token_files::has_administrator(server.engine()).await? {
        stores::make_folder(&settings.data)?;
        let file = settings.data.join(TOKEN_FILE);
        token_files::make(server.engine(), "first administrator", Some(TOKEN_LIFETIME), &file).await?;
        tracing::info!(file = %file.display(), "nobody held a token of the role admin; a new one is in this file");
    }
    if !settings.listen.ip().is_loopback() && settings.public_hosts.is_empty() {
        tracing::warn!("any host is answered; name yours in public_hosts");
    }
    tracing::info!(
        url = server.url(),
        metrics = server.metrics_url(),
        data = %settings.data.display(),
        store = %settings.store,
        behind_proxy = settings.behind_proxy,
        drain_delay_s = settings.drain_delay_s,
        grace_s = settings.grace_s,
        "ready"
    );
    server.run().await
}

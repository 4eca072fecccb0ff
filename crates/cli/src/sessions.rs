//! `sixpack suppliers`: which suppliers are connected, and what they can do.

use clap::Args;
use sixpack::wire::{Session, SessionFilter, SessionState};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::paging::{Listing, or_dash};
use crate::printing::Output;
use crate::times::moment;

/// Lists the suppliers that are connected, and with --all those that were.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack suppliers                    who is there
  sixpack suppliers --domain billing   is billing there?
  sixpack suppliers --all              and who was")]
pub(crate) struct SuppliersCommand {
    /// Only suppliers of this domain
    #[arg(long)]
    domain: Option<String>,
    /// Also those that have ended or died
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &SuppliersCommand, output: &mut Output) -> Result<Exit, Fault> {
    let client = command.connection.client()?;
    let filter = SessionFilter {
        environment: Some(command.environment.name()),
        domain: command.domain.clone(),
        state: (!command.all).then_some(SessionState::Live),
        ..SessionFilter::default()
    };
    let page = async |limit, cursor| {
        client.sessions(&SessionFilter { limit: Some(limit), cursor, ..filter.clone() }).await
    };
    let rows = command.listing.read(page).await?;
    let header = ["DOMAIN", "INSTANCE", "CHANNEL", "STATE", "TASKS", "LAST SEEN", "CAPABILITIES"];
    let environment = command.environment.name();
    let none = match command.all {
        true => format!("no supplier of the environment `{environment}` is known"),
        false => format!(
            "no supplier is connected in the environment `{environment}`; --all shows those that were"
        ),
    };
    command.listing.print(output, &rows, header, &none, |session| {
        [
            session.domain.clone(),
            session.instance.clone(),
            or_dash(session.channel.as_ref()),
            session.state.to_string(),
            session.claimed.to_string(),
            moment(&session.last_seen_at),
            capabilities(session),
        ]
    })?;
    Ok(Exit::Done)
}

fn capabilities(session: &Session) -> String {
    let each = session.capabilities.iter().map(|capability| {
        let name = capability.name.split_once('/').map_or(capability.name.as_str(), |(_, name)| name);
        capability.version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"))
    });
    each.collect::<Vec<_>>().join(", ")
}

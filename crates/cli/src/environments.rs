//! `sixpack environments`: the target landscapes that the server knows.

use clap::Args;
use sixpack::wire::PageFilter;

use crate::connection::Connection;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::paging::Listing;
use crate::printing::Output;
use crate::times::moment;

/// Lists the environments.
///
/// An environment appears with the first supplier or scenario that names it.
#[derive(Debug, Args)]
pub(crate) struct EnvironmentsCommand {
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &EnvironmentsCommand, output: &mut Output) -> Result<Exit, Fault> {
    let client = command.connection.client()?;
    let page = async |limit, cursor| client.environments(&PageFilter { limit: Some(limit), cursor }).await;
    let rows = command.listing.read(page).await?;
    let header = ["NAME", "CONTRACTS", "LIVE SESSIONS", "HELD LEASES", "WAITING UNDOS", "SINCE"];
    let none = "there is no environment yet; the first supplier or scenario makes one";
    command.listing.print(output, &rows, header, none, |environment| {
        [
            environment.name.clone(),
            environment.contracts.to_string(),
            environment.sessions.to_string(),
            environment.leases.to_string(),
            environment.waiting_undos.to_string(),
            moment(&environment.created_at),
        ]
    })?;
    Ok(Exit::Done)
}

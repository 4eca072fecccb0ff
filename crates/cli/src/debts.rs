//! `sixpack debts`: effects that could not be undone and need a person, or wait for a supplier that is away.

use clap::Args;
use sixpack::wire::{DebtFilter, DebtStatus, Owner};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::paging::Listing;
use crate::printing::Output;
use crate::times::moment;

/// Lists what was made, is not needed any more, and could not be undone, or waits for a supplier that is not connected.
#[derive(Debug, Args)]
#[command(after_help = "\
What stands as `debt` is for a person: ask its owner to remove by hand what is left in the service. \
What stands as `waiting` is undone as soon as its supplier is there again: ask its owner to start it. \
`sixpack datasets show DATASET` says what that is, and why it could not be undone.")]
pub(crate) struct DebtsCommand {
    /// Only those of this contract (domain/name)
    #[arg(long)]
    contract: Option<String>,
    /// Only those with this status: debt, waiting
    #[arg(long, value_parser = status)]
    status: Option<DebtStatus>,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &DebtsCommand, output: &mut Output) -> Result<Exit, Fault> {
    let client = command.connection.client()?;
    let filter = DebtFilter {
        environment: Some(command.environment.name()),
        contract: command.contract.clone(),
        status: command.status,
        ..DebtFilter::default()
    };
    let page = async |limit, cursor| {
        client.debts(&DebtFilter { limit: Some(limit), cursor, ..filter.clone() }).await
    };
    let rows = command.listing.read(page).await?;
    let header = ["DATASET", "STATUS", "PATH", "SINCE", "ATTEMPTS", "OWNER", "MESSAGE"];
    let none = format!("there are no debts in the environment `{}`", command.environment.name());
    command.listing.print(output, &rows, header, &none, |debt| {
        [
            debt.dataset_id.clone(),
            debt.status.to_string(),
            debt.path.clone(),
            moment(&debt.since),
            debt.attempts.to_string(),
            whom(&debt.owner),
            match &debt.code {
                Some(code) => format!("{} (code {code})", debt.message),
                None => debt.message.clone(),
            },
        ]
    })?;
    Ok(Exit::Done)
}

/// A team, and where it is reached.
pub(crate) fn whom(owner: &Owner) -> String {
    match &owner.contact {
        Some(contact) => format!("{} <{contact}>", owner.team),
        None => owner.team.clone(),
    }
}

fn status(text: &str) -> Result<DebtStatus, String> {
    match serde_json::from_value(text.into()) {
        Ok(DebtStatus::Unknown(_)) | Err(_) => Err("write one of debt, waiting".to_owned()),
        Ok(status) => Ok(status),
    }
}

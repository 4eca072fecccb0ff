//! `sixpack debts`: effects that could not be undone and need a person.

use clap::Args;
use sixpack::wire::DebtFilter;

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::paging::Listing;
use crate::printing::Output;
use crate::times::moment;

/// Lists what was made, is not needed any more, and could not be undone.
#[derive(Debug, Args)]
#[command(after_help = "\
Each debt is for a person: ask its owner to remove by hand what is left in the service. \
`sixpack datasets show DATASET` says what that is, and why it could not be undone.")]
pub(crate) struct DebtsCommand {
    /// Only those of this contract (domain/name)
    #[arg(long)]
    contract: Option<String>,
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
        ..DebtFilter::default()
    };
    let page = async |limit, cursor| {
        client.debts(&DebtFilter { limit: Some(limit), cursor, ..filter.clone() }).await
    };
    let rows = command.listing.read(page).await?;
    let header = ["DATASET", "PATH", "SINCE", "ATTEMPTS", "OWNER", "MESSAGE"];
    let none = format!("there are no debts in the environment `{}`", command.environment.name());
    command.listing.print(output, &rows, header, &none, |debt| {
        let owner = match &debt.owner.contact {
            Some(contact) => format!("{} <{contact}>", debt.owner.team),
            None => debt.owner.team.clone(),
        };
        [
            debt.dataset_id.clone(),
            debt.path.clone(),
            moment(&debt.since),
            debt.attempts.to_string(),
            owner,
            match &debt.code {
                Some(code) => format!("{} (code {code})", debt.message),
                None => debt.message.clone(),
            },
        ]
    })?;
    Ok(Exit::Done)
}

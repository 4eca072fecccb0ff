//! `sixpack debts`: effects that could not be undone and need a person, or wait for a supplier that is away.

use clap::{Args, Subcommand};
use sixpack::wire::{DebtFilter, DebtStatus, Owner, ResolveDebt};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::paging::Listing;
use crate::printing::Output;
use crate::times::moment;

/// Lists what was made, is not needed any more, and could not be undone, or waits for a supplier that is not connected; and resolves it.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
What stands as `debt` is for a person: ask its owner to remove by hand what is left in the service, and say so with \
`sixpack debts resolve`. \
What stands as `waiting` is undone as soon as its supplier is there again: ask its owner to start it. \
`sixpack datasets show DATASET` says what that is, and why it could not be undone.

Examples:
  sixpack debts                                                     what is owed, why, and by whom
  sixpack debts resolve ds_06e8…_2 --reason \"removed in the console\""
)]
pub(crate) struct DebtsCommand {
    #[command(subcommand)]
    pub(crate) action: Option<DebtsAction>,
    #[command(flatten)]
    pub(crate) list: ListDebts,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum DebtsAction {
    /// List what is owed, oldest first; the same as without a command
    List(ListDebts),
    /// Say that somebody has looked after an effect that could not be undone; for owners of a part of the dataset, and administrators
    Resolve(ResolveDebtCommand),
}

/// Lists what is owed.
#[derive(Debug, Args)]
pub(crate) struct ListDebts {
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

/// Says that somebody has looked after what is owed.
#[derive(Debug, Args)]
pub(crate) struct ResolveDebtCommand {
    /// Id of what owes it, as it is listed (ds_…)
    id: String,
    /// What has become of it, for whoever reads what happened: one line
    #[arg(long)]
    reason: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &DebtsCommand, output: &mut Output) -> Result<Exit, Fault> {
    match &command.action {
        None => list_debts(&command.list, output).await?,
        Some(DebtsAction::List(list)) => list_debts(list, output).await?,
        Some(DebtsAction::Resolve(resolve)) => {
            resolve_debt(resolve, output).await.map_err(|fault| fault.about(&resolve.id, Named::Dataset))?;
        }
    }
    Ok(Exit::Done)
}

async fn resolve_debt(command: &ResolveDebtCommand, output: &mut Output) -> Result<(), Fault> {
    let client = command.connection.client()?;
    let dataset = client.resolve_debt(&command.id, &ResolveDebt::new(&command.reason)).await?;
    if command.json {
        return output.json(&dataset);
    }
    match &dataset.resolved {
        // Somebody else may have said so before.
        Some(resolved) => output.line(format!(
            "{} owes nothing any more: {} ({}, {} UTC)",
            dataset.id,
            resolved.reason,
            resolved.by,
            moment(&resolved.at)
        )),
        None => output.line(format!("{} owes nothing any more", dataset.id)),
    }
}

async fn list_debts(command: &ListDebts, output: &mut Output) -> Result<(), Fault> {
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
    })
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

//! `sixpack quarantine`: datasets that do not hold any more, and what becomes of them.

use clap::{Args, Subcommand, ValueEnum};
use sixpack::wire::{QuarantineFilter, Quarantined, Resolution, Resolve};

use crate::connection::{Connection, InEnvironment};
use crate::contracts::owner;
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::paging::{Listing, or_dash};
use crate::printing::{Output, note};
use crate::times::moment;

/// Lists datasets that do not hold any more, and decides about them.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sixpack quarantine                                        what drifted, since when, and whom to ask
  sixpack quarantine resolve ds_06e8… retry --reason \"billing has opened it again\"
  sixpack quarantine resolve ds_06e8… undo --reason \"closed for good\""
)]
pub(crate) struct QuarantineCommand {
    #[command(subcommand)]
    pub(crate) action: Option<QuarantineAction>,
    #[command(flatten)]
    pub(crate) list: ListQuarantine,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineAction {
    /// List what is in quarantine, newest first; the same as without a command
    List(ListQuarantine),
    /// Decide what becomes of a dataset; for owners of a part of it, and administrators
    Resolve(ResolveQuarantined),
}

/// Lists what is in quarantine.
#[derive(Debug, Args)]
pub(crate) struct ListQuarantine {
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Decides what becomes of a dataset.
#[derive(Debug, Args)]
pub(crate) struct ResolveQuarantined {
    /// Id of the dataset (ds_…)
    id: String,
    /// What becomes of it
    #[arg(value_enum)]
    resolution: Decision,
    /// Why, for whoever reads what happened to it: one line
    #[arg(long)]
    reason: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What becomes of a dataset.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decision {
    /// Ask about it again; back into stock if it holds, also beyond the target
    Retry,
    /// Undo it
    Undo,
    /// Forget it as it is; nothing is undone
    Discard,
    /// Back into stock unasked, also beyond the target
    Return,
}

/// Runs the command.
pub(crate) async fn run(command: &QuarantineCommand, output: &mut Output) -> Result<Exit, Fault> {
    match &command.action {
        None => show_all(&command.list, output).await?,
        Some(QuarantineAction::List(list)) => show_all(list, output).await?,
        Some(QuarantineAction::Resolve(resolve)) => {
            decide(resolve, output).await.map_err(|fault| fault.about(&resolve.id, Named::Dataset))?;
        }
    }
    Ok(Exit::Done)
}

async fn show_all(list: &ListQuarantine, output: &mut Output) -> Result<(), Fault> {
    let client = list.connection.client()?;
    let filter =
        QuarantineFilter { environment: Some(list.environment.name()), ..QuarantineFilter::default() };
    let page = async |limit, cursor| {
        client.quarantine(&QuarantineFilter { limit: Some(limit), cursor, ..filter.clone() }).await
    };
    let rows = list.listing.read(page).await?;
    let header = ["DATASET", "CONTRACT", "SINCE", "FOUND BY", "DRIFTED FIRST", "OWNER", "MESSAGE"];
    let none = format!("nothing is in quarantine in the environment `{}`", list.environment.name());
    list.listing.print(output, &rows, header, &none, row)
}

fn row(dataset: &Quarantined) -> [String; 7] {
    let drifted = dataset.drifted.as_ref();
    let found_by = dataset.because.as_deref().map(|because| because.replace('_', "-"));
    [
        dataset.dataset_id.clone(),
        format!("{}@{}", dataset.contract, dataset.version),
        or_dash(dataset.since.as_deref().map(moment)),
        or_dash(found_by),
        or_dash(drifted.map(|part| &part.path)),
        or_dash(drifted.map(|part| owner(&part.owner))),
        drifted.map(|part| part.message.clone()).unwrap_or_default(),
    ]
}

async fn decide(command: &ResolveQuarantined, output: &mut Output) -> Result<(), Fault> {
    let (resolution, told) = match command.resolution {
        Decision::Retry => (Resolution::Retry, "is asked about again"),
        Decision::Undo => (Resolution::Undo, "is being undone"),
        Decision::Discard => (Resolution::Discard, "is forgotten as it is"),
        Decision::Return => (Resolution::Return, "is back in stock, or with whoever waited for it"),
    };
    let client = command.connection.client()?;
    let dataset = client.resolve_dataset(&command.id, &Resolve::new(resolution, &command.reason)).await?;
    if command.json {
        return output.json(&dataset);
    }
    output.line(format!("{} {told}", dataset.id))?;
    if matches!(resolution, Resolution::Retry | Resolution::Undo) {
        note(format!("see what becomes of it: sixpack datasets show {}", dataset.id));
    }
    if matches!(resolution, Resolution::Retry | Resolution::Return) {
        note(
            "what comes back stays in stock beyond the target, until it is taken, too old, or its rule is drained",
        );
    }
    Ok(())
}

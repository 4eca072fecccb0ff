//! `sixpack request`, `requests` and `cancel`: asks for datasets, and shows what becomes of it.

mod foreseen;
mod input;
mod live;
mod making;
mod rerun;
mod telling;

use clap::{Args, Subcommand};
use sixpack::wire::{Request, RequestFilter, RequestStatus};

pub(crate) use input::INPUT;
pub(crate) use making::{RequestCommand, run as run_request};
pub(crate) use telling::{Branch, branches, failure, told};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::paging::{Listing, one_of};
use crate::printing::{Output, note};
use crate::times::moment;
use crate::undoing::{Seen, Waiting};

/// Lists requests, and shows one.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sixpack requests                                the newest ones
  sixpack requests list --status failed --limit 10
  sixpack requests list --no-refills              without what Sixpack makes for stock
  sixpack requests show req_06e8…                 its steps, its data, or why it failed"
)]
pub(crate) struct RequestsCommand {
    #[command(subcommand)]
    pub(crate) action: Option<RequestsAction>,
    #[command(flatten)]
    pub(crate) list: ListRequests,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestsAction {
    /// List requests, newest first
    List(ListRequests),
    /// Show one request
    Show(ShowRequest),
}

/// Lists requests.
#[derive(Debug, Args)]
pub(crate) struct ListRequests {
    /// Only those with this status: queued, building, fulfilled, failed, cancelled, expired
    #[arg(long, value_parser = status)]
    status: Option<RequestStatus>,
    /// Only those of this contract (domain/name)
    #[arg(long)]
    contract: Option<String>,
    /// Only those of this holder, exactly
    #[arg(long)]
    holder: Option<String>,
    /// Only those that refill stock
    #[arg(long, conflicts_with = "no_refills")]
    refills: bool,
    /// Only those that do not
    #[arg(long)]
    no_refills: bool,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Shows one request.
#[derive(Debug, Args)]
pub(crate) struct ShowRequest {
    /// Id of the request (req_…)
    id: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Cancels a request: running tasks are told to stop, and what was made is undone.
#[derive(Debug, Args)]
#[command(
    after_help = "A request that has ended stays as it is; give its data back with `sixpack lease release`."
)]
pub(crate) struct CancelCommand {
    /// Id of the request (req_…)
    id: String,
    #[command(flatten)]
    waiting: Waiting,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs `sixpack requests`.
pub(crate) async fn run(command: &RequestsCommand, output: &mut Output) -> Result<Exit, Fault> {
    match &command.action {
        None => show_all(&command.list, output).await?,
        Some(RequestsAction::List(list)) => show_all(list, output).await?,
        Some(RequestsAction::Show(show)) => {
            let request = show.connection.client()?.get_request(&show.id, 0, None).await;
            let request = request.map_err(|error| Fault::from(error).about(&show.id, Named::Request))?;
            if show.json {
                output.json(&request)?;
            } else {
                told(&request, output)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Runs `sixpack cancel`.
pub(crate) async fn run_cancel(command: &CancelCommand, output: &mut Output) -> Result<Exit, Fault> {
    let client = match command.waiting.is_asked() {
        true => command.connection.waiting_client()?,
        false => command.connection.client()?,
    };
    let request = client.cancel_request(&command.id).await;
    let request = request.map_err(|error| Fault::from(error).about(&command.id, Named::Request))?;
    if request.status != RequestStatus::Cancelled {
        if command.json {
            output.json(&request)?;
        } else {
            note(format!("{} was {} already, and stays so", request.id, request.status));
        }
        // A script that cancels wants to know whether there is data to give back.
        return Ok(Exit::No);
    }
    let seen = match command.waiting.is_asked() {
        true => Seen::of_request(&client, &request, &command.waiting, command.json).await?,
        false => Seen::from(&request),
    };
    if command.json {
        output.json(&request)?;
    } else {
        output.line(format!("cancelled {}; {}", request.id, seen.undoing.told()))?;
    }
    seen.tell_next(&format!("sixpack requests show {}", request.id), command.json);
    Ok(seen.exit(&command.waiting))
}

/// What a request asks for, in a few words.
pub(crate) fn asked(request: &Request) -> String {
    let many = request.count.filter(|count| *count > 1).map_or(String::new(), |count| format!("{count} × "));
    match (&request.contract, request.version) {
        (Some(name), Some(version)) => format!("{many}{name}@{version}"),
        (Some(name), None) => format!("{many}{name}"),
        (None, _) => {
            let names = request.items.iter().map(|wanted| wanted.contract.as_str());
            names.collect::<Vec<_>>().join(", ")
        }
    }
}

async fn show_all(list: &ListRequests, output: &mut Output) -> Result<(), Fault> {
    let client = list.connection.client()?;
    let filter = RequestFilter {
        environment: Some(list.environment.name()),
        status: list.status,
        contract: list.contract.clone(),
        refills: (list.refills || list.no_refills).then_some(list.refills),
        holder: list.holder.clone(),
        ..RequestFilter::default()
    };
    let page = async |limit, cursor| {
        client.requests(&RequestFilter { limit: Some(limit), cursor, ..filter.clone() }).await
    };
    let rows = list.listing.read(page).await?;
    let header = ["REQUEST", "STATUS", "CONTRACT", "DONE", "CREATED", "HOLDER", "FAILED AT"];
    let none = format!("there is no such request in the environment `{}`", list.environment.name());
    list.listing.print(output, &rows, header, &none, |request| {
        [
            request.id.clone(),
            request.status.to_string(),
            asked(request),
            format!("{} of {}", request.progress.done, request.progress.total),
            moment(&request.created_at),
            holder(request),
            request
                .failure
                .as_ref()
                .map_or(String::new(), |failure| format!("{} ({})", failure.path, failure.class)),
        ]
    })
}

/// Who uses the data; what refills stock is for nobody yet.
fn holder(request: &Request) -> String {
    request.refills.as_ref().map_or_else(|| request.holder.clone(), |rule| format!("(refills {rule})"))
}

fn status(text: &str) -> Result<RequestStatus, String> {
    match RequestStatus::from(text) {
        RequestStatus::Unknown(_) => Err(one_of(RequestStatus::ALL)),
        status => Ok(status),
    }
}

//! `sixpack datasets`: lists datasets, and shows one with its parts, its evidence and its timeline.

use clap::{Args, Subcommand};
use sixpack::wire::{Dataset, DatasetFilter, DatasetStatus, TimelineEntry};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::leases::{evidence, plain, verdict};
use crate::paging::Listing;
use crate::printing::Output;
use crate::requests::{Branch, branches, failure};
use crate::times::{between, moment, span};

/// Characters of an output that are shown in a tree; `--json` shows all.
const SAYS_CHARS: usize = 80;

/// Lists datasets, and shows one with its parts, its evidence and its timeline.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack datasets list --entity customer:c-17   every dataset that made or used this customer
  sixpack datasets show ds_06e8…                 what it is made of, who agreed to it, and what happened to it")]
pub(crate) struct DatasetsCommand {
    #[command(subcommand)]
    pub(crate) action: DatasetsAction,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetsAction {
    /// List datasets, newest first
    List(ListDatasets),
    /// Show one dataset, or one part of it
    Show(ShowDataset),
}

/// Lists datasets.
#[derive(Debug, Args)]
pub(crate) struct ListDatasets {
    /// Only those that made or used this entity (kind:key)
    #[arg(long, value_name = "KIND:KEY")]
    entity: Option<String>,
    /// Only those of this contract (domain/name)
    #[arg(long)]
    contract: Option<String>,
    /// Only those with this status: building, ready, leased, failed, gone, debt, …
    #[arg(long, value_parser = status)]
    status: Option<DatasetStatus>,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    pub(crate) listing: Listing,
    #[command(flatten)]
    connection: Connection,
}

/// Shows one dataset.
#[derive(Debug, Args)]
pub(crate) struct ShowDataset {
    /// Id of the dataset or of a part (ds_…)
    id: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &DatasetsCommand, output: &mut Output) -> Result<Exit, Fault> {
    match &command.action {
        DatasetsAction::List(list) => show_all(list, output).await?,
        DatasetsAction::Show(show) => {
            let dataset = show
                .connection
                .client()?
                .dataset(&show.id)
                .await
                .map_err(|error| Fault::from(error).about(&show.id))?;
            if show.json {
                output.json(&dataset)?;
            } else {
                show_one(&dataset, output)?;
            }
        }
    }
    Ok(Exit::Done)
}

async fn show_all(list: &ListDatasets, output: &mut Output) -> Result<(), Fault> {
    let client = list.connection.client()?;
    let filter = DatasetFilter {
        environment: Some(list.environment.name()),
        contract: list.contract.clone(),
        status: list.status,
        entity: list.entity.clone(),
        ..DatasetFilter::default()
    };
    let page = async |limit, cursor| {
        client.datasets(&DatasetFilter { limit: Some(limit), cursor, ..filter.clone() }).await
    };
    let rows = list.listing.read(page).await?;
    let header = ["DATASET", "STATUS", "CONTRACT", "CREATED", "OUTPUT"];
    list.listing.print(output, &rows, header, "there is no such dataset", |dataset| {
        [
            dataset.id.clone(),
            dataset.status.to_string(),
            format!("{}@{}", dataset.contract, dataset.version),
            moment(&dataset.created_at),
            dataset.output.as_ref().map_or(String::new(), plain),
        ]
    })
}

fn show_one(dataset: &Dataset, output: &mut Output) -> Result<(), Fault> {
    output.line(format!("dataset  {}  {}", dataset.id, dataset.status))?;
    output.line(format!("owner    {}", crate::contracts::owner(&dataset.owner)))?;
    let ids = [("request", &dataset.request_id), ("lease", &dataset.lease_id)];
    for (what, id) in ids.into_iter().filter_map(|(what, id)| id.as_ref().map(|id| (what, id))) {
        output.line(format!("{what:<7}  {id}"))?;
    }
    if let Some(channel) = &dataset.channel {
        output.line(format!("channel  {channel}"))?;
    }
    if dataset.id != dataset.root_id {
        output.line(format!("part of  {}  ({})", dataset.root_id, dataset.path))?;
    }
    for (what, value) in [("input", &dataset.input), ("output", &dataset.output), ("facts", &dataset.facts)] {
        if let Some(value) = value {
            output.line(format!("{what:<7}  {value}"))?;
        }
    }
    if let Some(evidence) = &dataset.evidence {
        output.line(format!("valid?   {}", verdict(evidence)))?;
    }
    output.line("")?;
    let mut lines = Vec::new();
    gather(dataset, 0, &mut lines);
    for line in branches(&lines) {
        output.line(line)?;
    }
    evidence(dataset.evidence.as_ref(), output)?;
    if let Some(said) = &dataset.failure {
        output.line("")?;
        failure(said).into_iter().try_for_each(|line| output.line(line))?;
    }
    timeline(&dataset.timeline, output)
}

/// The parts of a tree from top to bottom.
fn gather(dataset: &Dataset, depth: usize, lines: &mut Vec<Branch>) {
    let ended = dataset.ready_at.as_ref().or(dataset.ended_at.as_ref());
    let attempt = dataset.attempt.map(|attempt| format!("attempt {attempt}"));
    let made = dataset.output.as_ref().map(|output| excerpt(&plain(output)));
    lines.push(Branch {
        depth,
        name: dataset
            .step
            .clone()
            .or_else(|| last(&dataset.path))
            .unwrap_or_else(|| dataset.contract.clone()),
        contract: format!("{}@{}", dataset.contract, dataset.version),
        status: dataset.status.to_string(),
        took: ended.and_then(|ended| between(&dataset.created_at, ended)),
        says: [attempt, made].into_iter().flatten().collect::<Vec<_>>().join(": "),
    });
    for part in &dataset.parts {
        gather(part, depth + 1, lines);
    }
}

/// The beginning of a text that would make a tree too wide to be read.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(SAYS_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn last(path: &str) -> Option<String> {
    path.rsplit(" › ").next().filter(|name| !name.is_empty()).map(str::to_owned)
}

fn timeline(entries: &[TimelineEntry], output: &mut Output) -> Result<(), Fault> {
    let Some(first) = entries.first() else { return Ok(()) };
    output.line("")?;
    output.line(format!("timeline from {} UTC", moment(&first.at)))?;
    output
        .table(["AFTER", "WHAT", "PART", "TOOK", "SAYS"], entries.iter().map(|entry| told(entry, &first.at)))
}

fn told(entry: &TimelineEntry, start: &str) -> [String; 5] {
    let attempt = entry.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!("(attempt {attempt})"));
    let says = [Some(entry.message.clone()), attempt].into_iter().flatten().filter(|text| !text.is_empty());
    [
        between(start, &entry.at).map_or_else(|| moment(&entry.at), |after| format!("+{}", span(after))),
        entry.kind.clone(),
        entry.path.clone(),
        entry.duration_ms.map_or(String::new(), |ms| span(std::time::Duration::from_millis(ms))),
        says.collect::<Vec<_>>().join(" "),
    ]
}

fn status(text: &str) -> Result<DatasetStatus, String> {
    match serde_json::from_value(text.into()) {
        Ok(DatasetStatus::Unknown) | Err(_) => Err("write one of pending, waiting, building, checking, ready, leased, failed, skipped, cancelling, undoing, gone, debt".to_owned()),
        Ok(status) => Ok(status),
    }
}

//! `sixpack datasets`: lists datasets, and shows one with its parts, its evidence and its timeline.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use sixpack::wire::{CheckVerdict, Dataset, DatasetFilter, DatasetStatus, Origin, TimelineEntry};

use crate::connection::{Connection, InEnvironment};
use crate::debts::whom;
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::leases::{evidence, plain, verdict};
use crate::paging::{Listing, one_of};
use crate::printing::Output;
use crate::requests::{Branch, branches, failure};
use crate::times::{between, moment, span};

/// Characters of an output that are shown in a tree; `--json` shows all.
const SAYS_CHARS: usize = 80;

/// Lists datasets, and shows one with its parts, its evidence and its timeline.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack datasets list --entity customer:c-17   every dataset that made or used this customer, and its lease
  sixpack datasets show ds_06e8…                 its parts, who agreed to it, what happened to it")]
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
    #[arg(long, value_name = "KIND:KEY", value_parser = entity)]
    entity: Option<String>,
    /// Only those of this contract (domain/name)
    #[arg(long)]
    contract: Option<String>,
    /// Only those with this status: pending, building, checking, ready, leased, suspect, quarantined, skipped, undoing, gone,
    /// failed, debt
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
                .map_err(|error| Fault::from(error).about(&show.id, Named::Dataset))?;
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
    let header = ["DATASET", "STATUS", "CONTRACT", "CREATED", "LEASE", "OUTPUT OR FAILURE"];
    let none = format!("there is no such dataset in the environment `{}`", list.environment.name());
    list.listing.print(output, &rows, header, &none, |dataset| {
        [
            dataset.id.clone(),
            dataset.status.to_string(),
            format!("{}@{}", dataset.contract, dataset.version),
            moment(&dataset.created_at),
            dataset.lease_id.clone().unwrap_or_else(|| "-".to_owned()),
            match (&dataset.failure, &dataset.output) {
                (Some(failure), _) => format!("{} ({})", failure.path, failure.class),
                (None, output) => output.as_ref().map_or(String::new(), |output| excerpt(&plain(output))),
            },
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
    for line in origin(dataset) {
        output.line(line)?;
    }
    if let Some(from) = &dataset.from_stock {
        output.line(format!("stock    it was {} there", from.dataset_id))?;
    }
    if let Some(resolved) = &dataset.resolved {
        let (by, at) = (&resolved.by, moment(&resolved.at));
        output.line(format!("resolved {}; {by}, {at} UTC", resolved.reason))?;
    }
    if let Some(joined) = &dataset.joined_id {
        output.line(format!("joined   it is {joined} now, with all that was made of it"))?;
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
        if let Some(part) = said.dataset_id.as_ref().filter(|part| **part != dataset.id) {
            output.line(format!("  see      sixpack datasets show {part}"))?;
        }
    }
    timeline(&dataset.timeline, output)
}

/// Where its data comes from, when that is not the usual way.
fn origin(dataset: &Dataset) -> Vec<String> {
    let kept = match dataset.origin {
        Some(Origin::Found) => Some("found in its service; never undone"),
        Some(Origin::Imported) => Some("imported; never undone"),
        Some(_) | None => None,
    };
    let given_up = dataset.search.as_ref().and_then(|search| search.given_up.as_ref());
    let made = given_up.map(|given_up| format!("made, because nothing was found: {}", given_up.message));
    kept.map(str::to_owned).or(made).map(|told| format!("origin   {told}")).into_iter().collect()
}

/// The parts of a tree from top to bottom.
fn gather(dataset: &Dataset, depth: usize, lines: &mut Vec<Branch>) {
    let ended = dataset.ready_at.as_ref().or(dataset.ended_at.as_ref());
    let attempt = dataset.attempt.map(|attempt| format!("attempt {attempt}"));
    let stocked = dataset.from_stock.as_ref().map(|from| format!("from stock, was {}", from.dataset_id));
    let waits = dataset.waits_for.as_ref().map(|awaited| {
        let (of, since) = (awaited.operation, moment(&awaited.since));
        format!(
            "{of} waits since {since} for a supplier of {}, ask {}",
            awaited.contract,
            whom(&awaited.owner)
        )
    });
    let made = dataset.output.as_ref().map(|output| excerpt(&plain(output)));
    lines.push(Branch {
        depth,
        // The path says which turn of a loop it is, the step does not.
        name: last(&dataset.path).unwrap_or_else(|| dataset.contract.clone()),
        contract: format!("{}@{}", dataset.contract, dataset.version),
        status: standing(dataset),
        took: ended.and_then(|ended| between(&dataset.created_at, ended)),
        says: [attempt, stocked, waits, made].into_iter().flatten().collect::<Vec<_>>().join(": "),
    });
    for part in &dataset.parts {
        gather(part, depth + 1, lines);
    }
}

/// Where a part stands. One that was made and is known not to hold, or about which nobody can tell, is not called ready.
fn standing(dataset: &Dataset) -> String {
    let verdict = dataset.evidence.as_ref().map(|evidence| evidence.verdict);
    match (dataset.status, verdict) {
        (DatasetStatus::Ready, Some(verdict @ (CheckVerdict::Invalid | CheckVerdict::Undecided))) => {
            verdict.to_string()
        }
        (status, _) => status.to_string(),
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
    let header = ["AFTER", "WHAT", "OPERATION", "PART", "TOOK", "SAYS"];
    output.table(header, entries.iter().map(|entry| told(entry, &first.at)))
}

fn told(entry: &TimelineEntry, start: &str) -> [String; 6] {
    let attempt = entry.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!("(attempt {attempt})"));
    let says = [Some(entry.message.clone()), because(&entry.more), attempt];
    let says = says.into_iter().flatten().filter(|text| !text.is_empty());
    [
        between(start, &entry.at).map_or_else(|| moment(&entry.at), |after| format!("+{}", span(after))),
        entry.kind.clone(),
        entry.operation.map_or(String::new(), |operation| operation.to_string()),
        entry.path.clone(),
        entry.duration_ms.map_or(String::new(), |ms| span(std::time::Duration::from_millis(ms))),
        says.collect::<Vec<_>>().join(" "),
    ]
}

/// Why a dataset is taken down, in more than one word.
pub(crate) fn because(more: &Map<String, Value>) -> Option<String> {
    let because = more.get("because")?.as_str()?;
    Some(match because {
        "failed" => "a part of it failed".to_owned(),
        "unwanted" => "nobody wants it any more".to_owned(),
        "used" => "its lease has ended".to_owned(),
        other => format!("because {other}"),
    })
}

fn entity(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((kind, key)) if !kind.is_empty() && !key.is_empty() => Ok(text.to_owned()),
        _ => Err("write kind:key, for example customer:c-17".to_owned()),
    }
}

/// A status that datasets can be listed by; those that only steps have are none.
fn status(text: &str) -> Result<DatasetStatus, String> {
    let only_of_steps = [DatasetStatus::Waiting, DatasetStatus::Cancelling];
    let listed: Vec<DatasetStatus> =
        DatasetStatus::ALL.iter().copied().filter(|status| !only_of_steps.contains(status)).collect();
    let asked = DatasetStatus::from(text);
    if listed.contains(&asked) { Ok(asked) } else { Err(one_of(&listed)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_part_that_is_known_not_to_hold_is_not_called_ready() {
        let standing_of = |status: &str, verdict: &str| {
            let evidence = json!({"verdict": verdict, "checked": 1, "of": 1, "parts": [], "invariants": []});
            let dataset = json!({"id":"ds_1","root_id":"ds_1","contract":"a/b","version":1,"status":status,"evidence":evidence});
            standing(&serde_json::from_value(dataset).unwrap())
        };
        assert_eq!(standing_of("ready", "valid"), "ready");
        assert_eq!(standing_of("ready", "stale"), "ready");
        assert_eq!(standing_of("ready", "invalid"), "invalid");
        assert_eq!(standing_of("ready", "unknown"), "unknown");
        assert_eq!(standing_of("quarantined", "invalid"), "quarantined");
        assert_eq!(
            standing_of("dreaming", "valid"),
            "dreaming",
            "a word of a newer server is shown as it is"
        );
    }
}

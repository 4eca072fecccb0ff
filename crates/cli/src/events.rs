//! `sixpack events`: what happened, and what happens.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use sixpack::wire::{Event, EventFilter};

use crate::connection::{Connection, InEnvironment};
use crate::datasets::because;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::{Output, note};
use crate::times::moment;

/// After this silence everything kept has been told: the server sends it in one go.
const SILENCE: Duration = Duration::from_secs(1);

/// Shows what happened, and with --follow what happens from now on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack events --follow                    what happens now
  sixpack events --request req_06e8…         everything about one request
  sixpack events --dataset ds_06e8… --json   everything about one dataset, one JSON object a line")]
pub(crate) struct EventsCommand {
    /// Go on with what happens from now on, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Only what is about this request (req_…)
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only what is about this dataset and its parts (ds_…)
    #[arg(long, value_name = "ID")]
    dataset: Option<String>,
    /// Begin after this event; 0 is the oldest kept [default: 0, with --follow now]
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    /// Print one JSON object for each event
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &EventsCommand, output: &mut Output) -> Result<Exit, Fault> {
    let client =
        if command.follow { command.connection.waiting_client()? } else { command.connection.client()? };
    let filter = EventFilter {
        environment: Some(command.environment.name()),
        request: command.request.clone(),
        dataset: command.dataset.clone(),
    };
    let after = command.after.or((!command.follow).then_some(0));
    let mut events = client.events(&filter, after);
    if command.follow && std::io::stderr().is_terminal() {
        note("following what happens; ctrl-c ends it");
    }
    loop {
        let event = if command.follow {
            events.next().await?
        } else {
            match tokio::time::timeout(SILENCE, events.next()).await {
                Ok(event) => event?,
                Err(_) => return Ok(Exit::Done),
            }
        };
        if command.json {
            output.json_line(&event)?;
        } else {
            output.line(told(&event))?;
        }
    }
}

/// Fields of some kinds that say what an event is about.
const SAYING: [&str; 6] = ["domain", "instance", "name", "role", "holder", "class"];

/// One event in one line: when, what, about what, and in which words.
fn told(event: &Event) -> String {
    let mut line = format!("{:>8}  {}  {:<20}", event.id, moment(&event.at), event.kind);
    let contract = event.contract.as_ref().map(|name| match event.version {
        Some(version) => format!("{name}@{version}"),
        None => name.clone(),
    });
    let path = event.path.clone().filter(|path| !path.is_empty());
    let operation = event.operation.map(|operation| operation.to_string());
    let about_lease = event.lease_id.as_ref().filter(|_| event.kind.starts_with("lease."));
    let ids = [about_lease, event.dataset_id.as_ref(), event.request_id.as_ref(), event.session_id.as_ref()];
    let id = ids.into_iter().flatten().next().cloned();
    let attempt = event.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!("attempt {attempt}"));
    let took = event.duration_ms.map(|ms| crate::times::span(Duration::from_millis(ms)));
    let message = Some(event.message.clone()).filter(|message| !message.is_empty());
    let said = SAYING.iter().filter_map(|name| Some(format!("{name} {}", event.more.get(*name)?.as_str()?)));
    let parts = [path, contract, operation, attempt, message, because(&event.more)];
    for part in parts.into_iter().flatten().chain(said).chain(took).chain(id) {
        line.push_str("  ");
        line.push_str(&part);
    }
    line
}

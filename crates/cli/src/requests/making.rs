//! `sixpack request`: asks for datasets, and waits for their leases.
//!
//! ```text
//! asked --no-wait--> id printed
//!   |--revisions--> fulfilled: data and leases printed
//!   |               failed, expired, cancelled: reason told
//!   '--ctrl-c--> cancelled --ctrl-c--> ended at once
//! ```

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use sixpack::Client;
use sixpack::wire::{
    LeaseTerms, NewRequest, Outcome, Priority, Release, Request, RequestStatus, Require, Source,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::foreseen::{unread, unserved};
use super::live::Progress;
use super::{input, telling};
use crate::connection::{Connection, InChannel, InEnvironment};
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::printing::{Output, note};
use crate::times::{SPAN_S, seconds_within};
use crate::undoing::Undoing;

/// How long one call waits for news. Short enough for proxies that close silent connections after a minute.
const WAIT_S: u64 = 30;

/// How often spans of running steps are drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// Asks for datasets, and waits until they are leased to you.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack request checkout/ready-customer
  sixpack request checkout/ready-customer --set country=FR --set lines=3
  sixpack request checkout/ready-customer --input @customer.json --ttl 2h --holder \"me, refunds\"
  sixpack request checkout/ready-customer --json | jq -r .leases[0].dataset.output.customer_id
  sixpack request checkout/ready-customer --source stock_only    at once, or not at all
  sixpack request checkout/ready-customer --prefer lines=3 --select 'slot=[\"MORNING\",\"EVENING\"]'
  sixpack request checkout/ready-customer --channel ada-laptop   with what Ada is working on
  sixpack request --rerun-of ds_06e8…            the same once more: version, input and seed

The data is yours until the lease ends: renew it with `sixpack lease renew`, give it back with \
`sixpack lease release`. While it is being made, ctrl-c cancels the request and undoes what was made.

Ends with 0 when the data is leased, with 20 to 30 when it could not be made, with 31 when \
it is not in stock: `sixpack help` lists the codes.")]
pub(crate) struct RequestCommand {
    /// The contract: domain/name (`sixpack contracts` lists them)
    #[arg(required_unless_present = "rerun_of")]
    contract: Option<String>,
    /// Dataset (ds_…) to make again, also when it is gone: same version, input and seed. Tells which facts differ
    #[arg(long, value_name = "ID", conflicts_with_all = ["contract", "input", "single", "count", "fresh"])]
    rerun_of: Option<String>,
    /// Input as a JSON object, @FILE, or @- for the standard input
    #[arg(long, value_name = "JSON|@FILE")]
    input: Option<String>,
    /// One value of the input; may be repeated. The value is JSON, or else text; dots lead into objects
    #[arg(long = "set", value_name = "KEY=VALUE")]
    single: Vec<String>,
    /// How many datasets, all or nothing
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    count: Option<u32>,
    /// How long the data is yours: 1800, 30m, 2h [default: 30m]
    #[arg(long, value_name = "SPAN", value_parser = seconds_within(SPAN_S))]
    ttl: Option<u64>,
    /// Who uses it, for people [default: the name of the token]
    #[arg(long, value_name = "TEXT")]
    holder: Option<String>,
    /// How long making it may take: 300, 10m [default: 5m]
    #[arg(long, value_name = "SPAN", value_parser = seconds_within(SPAN_S))]
    timeout: Option<u64>,
    /// Where it may come from [default: stock_first]
    #[arg(long, value_enum, value_name = "SOURCE")]
    source: Option<AskedSource>,
    /// Have it made, even if there is some in stock; as --source fresh
    #[arg(long, conflicts_with = "source")]
    fresh: bool,
    /// A property that the input leaves open: it ranks what is in stock, and excludes nothing; may be repeated, and is written as for --set
    #[arg(long, value_name = "KEY=VALUE")]
    prefer: Vec<String>,
    /// All such properties as a JSON object, @FILE, or @- for the standard input
    #[arg(long, value_name = "JSON|@FILE")]
    prefer_json: Option<String>,
    /// A property of the output to choose from stock by (one marked x-selectable): a value, or a JSON list of values of which any
    /// will do; may be repeated. What does not meet it is not made
    #[arg(long, value_name = "KEY=VALUE")]
    select: Vec<String>,
    /// Wait while a service cannot be asked about what is in stock, in place of taking what was valid not long ago
    #[arg(long)]
    require_fresh: bool,
    /// Repeating the command with the same key finds the same request
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Print the id of the request, and do not wait for its end
    #[arg(long)]
    no_wait: bool,
    /// Print one JSON object: the request with its leases, or with its failure
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    channel: InChannel,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    connection: Connection,
}

/// Where the data may come from.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum AskedSource {
    /// From stock when there is some, else made
    StockFirst,
    /// From stock, or not at all
    StockOnly,
    /// What the service has already and nobody is using, else made; capabilities that offer find
    FindFirst,
    /// Made, even if there is some in stock
    Fresh,
}

/// Runs the command.
pub(crate) async fn run(command: &RequestCommand, output: &mut Output) -> Result<Exit, Fault> {
    let body = body(command)?;
    let key = command.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let client = command.connection.client()?;
    let mut interrupts = interrupts()?;
    let request = tokio::select! {
        made = client.create_request(&body, &key, 0) => made.map_err(|error| refused(command, error))?,
        _ = interrupts.recv() => {
            let what = "interrupted before the server answered; if the request was made, its deadline ends it";
            return Err(Fault::new(Exit::Interrupted, what));
        }
    };
    if let Some(name) = &command.contract
        && let Ok(contract) = client.contract(&command.environment.name(), name).await
    {
        unread(&contract, body.input.as_ref()).into_iter().for_each(note);
        // What came from stock needs nobody any more.
        unserved(&contract).filter(|_| !request.status.ended()).into_iter().for_each(note);
    }
    if command.no_wait {
        if command.json {
            output.json(&request)?;
        } else {
            output.line(&request.id)?;
            note(format!("it is {}; see it with `sixpack requests show {}`", request.status, request.id));
        }
        return Ok(Exit::Done);
    }
    let request = wait(&command.connection.waiting_client()?, request, command.json, &mut interrupts).await?;
    let exit = Exit::of_request(&request);
    if command.json {
        output.json(&request)?;
    } else if exit.is_none() {
        telling::told(&request, output)?;
    } else {
        telling::not_made(&request).into_iter().for_each(note);
    }
    Ok(exit.unwrap_or(Exit::Done))
}

fn body(command: &RequestCommand) -> Result<NewRequest, Fault> {
    let mut body = NewRequest::default();
    body.rerun_of = command.rerun_of.clone();
    if body.rerun_of.is_some() {
        // The dataset is made again where it was made, whatever the settings are for everything else.
        body.environment = command.environment.given();
        body.channel = command.channel.given();
    } else {
        body.environment = Some(command.environment.name());
        body.channel = command.channel.name();
        body.contract = command.contract.clone();
        body.input = input::INPUT.object(command.input.as_deref(), &command.single)?;
        body.prefer = input::PREFER.object(command.prefer_json.as_deref(), &command.prefer)?;
        body.select = input::SELECT.object(None, &command.select)?;
        body.count = command.count;
    }
    body.require = command.require_fresh.then_some(Require::Fresh);
    body.source = match command.source {
        Some(AskedSource::StockFirst) => Some(Source::StockFirst),
        Some(AskedSource::StockOnly) => Some(Source::StockOnly),
        Some(AskedSource::FindFirst) => Some(Source::FindFirst),
        Some(AskedSource::Fresh) => Some(Source::Fresh),
        None => command.fresh.then_some(Source::Fresh),
    };
    body.lease = command.ttl.map(LeaseTerms::new);
    body.holder = command.holder.clone();
    body.timeout_s = command.timeout;
    // Whoever sits before a terminal waits in person.
    body.priority = (std::io::stdout().is_terminal() && !command.json).then_some(Priority::Person);
    Ok(body)
}

/// Why the server did not take the request.
fn refused(command: &RequestCommand, error: sixpack::Error) -> Fault {
    match &command.rerun_of {
        Some(dataset) => Fault::from(error).about(dataset, Named::Dataset),
        None => input::INPUT.told(&command.single, error),
    }
}

/// From here on ctrl-c does not end the process by itself.
fn interrupts() -> Result<Signal, Fault> {
    let failed = |error| Fault::new(Exit::Internal, format!("signals cannot be waited for: {error}"));
    signal(SignalKind::interrupt()).map_err(failed)
}

/// Follows a request to its end.
async fn wait(
    client: &Client,
    mut request: Request,
    for_machine: bool,
    interrupts: &mut Signal,
) -> Result<Request, Fault> {
    let mut progress = Progress::new(for_machine, Instant::now());
    let mut tick = tokio::time::interval(TICK);
    progress.see(&request, Instant::now());
    while !request.status.ended() {
        let id = request.id.clone();
        let mut news = std::pin::pin!(client.get_request(&id, WAIT_S, Some(request.revision)));
        request = loop {
            tokio::select! {
                news = &mut news => break news?,
                _ = tick.tick() => progress.tick(Instant::now()),
                _ = interrupts.recv() => {
                    progress.clear();
                    return Err(cancel(client, &id, interrupts).await?);
                }
            }
        };
        progress.see(&request, Instant::now());
    }
    progress.clear();
    Ok(request)
}

/// Cancels a request that nobody waits for any more, and gives back what came in the same moment.
async fn cancel(client: &Client, id: &str, interrupts: &mut Signal) -> Result<Fault, Fault> {
    note(format!("cancelling {id}; ctrl-c again leaves it to its deadline"));
    let cancelling = async {
        let request = client.cancel_request(id).await?;
        for lease in request.leases.iter().filter(|_| request.status == RequestStatus::Fulfilled) {
            client.release_lease(&lease.id, &Release::new(lease.fence, Outcome::Unused)).await?;
        }
        Ok::<_, sixpack::Error>(Undoing::from(&request))
    };
    let undoing = tokio::select! {
        undoing = cancelling => undoing?,
        _ = interrupts.recv() => return Ok(Fault::silent(Exit::Interrupted)),
    };
    let fault = Fault::new(Exit::Interrupted, format!("{id} was cancelled; {}", undoing.told()));
    Ok(Fault { next: undoing.next(&format!("sixpack requests show {id}")), ..fault })
}

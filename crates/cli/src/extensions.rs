//! `sixpack extend`: advances a leased dataset by one more contract, and waits for it.

use clap::Args;
use serde_json::Value;
use sixpack::wire::{Extension, ExtensionStatus, NewExtension};

use crate::connection::Connection;
use crate::exit::Exit;
use crate::fault::{Fault, Named};
use crate::leases::plain;
use crate::printing::{Output, note};
use crate::requests::{INPUT, failure};

/// How long one call waits for news. Short enough for proxies that close silent connections after a minute.
const WAIT_S: u64 = 30;

/// Advances a dataset that you hold by one more contract, just in time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack extend lease_06e8… order/paid-order
  sixpack extend lease_06e8… order/paid-order --set method=CARD
  sixpack extend lease_06e8… checkout/refund --json | jq .output

What is made joins the dataset: it is checked with the rest, and undone with it when the lease ends. When it cannot be \
made, what it has made is undone and the rest stays leased.

Ends with 0 when it is made, with 20 to 29 when it could not be, with 30 when the lease ended first: `sixpack help` \
lists the codes.")]
pub(crate) struct ExtendCommand {
    /// Id of the lease (lease_…)
    id: String,
    /// The contract: domain/name (`sixpack contracts` lists them)
    contract: String,
    /// Input as a JSON object, @FILE, or @- for the standard input; what it leaves out comes from the dataset's output, or is
    /// the default
    #[arg(long, value_name = "JSON|@FILE")]
    input: Option<String>,
    /// One value of the input; may be repeated. The value is JSON, or else text; dots lead into objects
    #[arg(long = "set", value_name = "NAME=VALUE")]
    single: Vec<String>,
    /// Fence of the lease, to be refused when somebody else holds it by now [default: the one it has]
    #[arg(long, value_name = "NUMBER")]
    fence: Option<u64>,
    /// Print one JSON object: the extension
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &ExtendCommand, output: &mut Output) -> Result<Exit, Fault> {
    let input = INPUT.object(command.input.as_deref(), &command.single)?;
    let extension = extend(command, input).await.map_err(|fault| fault.about(&command.id, Named::Lease))?;
    if command.json {
        output.json(&extension)?;
    } else {
        told(&extension, output)?;
    }
    Ok(match (extension.status, &extension.failure) {
        (ExtensionStatus::Ready, _) => Exit::Done,
        (_, Some(failure)) => Exit::Request(failure.class),
        (_, None) => Exit::Cancelled,
    })
}

/// Prints an extension with what it has made, or why it has not.
pub(crate) fn told(extension: &Extension, output: &mut Output) -> Result<(), Fault> {
    let Extension { step, contract, version, status, .. } = extension;
    output.line(format!("{step}  {contract}@{version}  {status}"))?;
    if let Value::Object(properties) = &extension.output {
        let wide = properties.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, value) in properties {
            output.line(format!("  {name:<wide$}  {}", plain(value)))?;
        }
    }
    for row in extension.failure.iter().flat_map(failure) {
        output.line(row)?;
    }
    Ok(())
}

async fn extend(command: &ExtendCommand, input: Option<Value>) -> Result<Extension, Fault> {
    let client = command.connection.waiting_client()?;
    let lease = client.lease(&command.id).await?;
    let number = lease.extensions.len() + 1;
    let fence = command.fence.unwrap_or(lease.fence);
    let mut body =
        NewExtension::new(fence, &command.contract).number(u32::try_from(number).unwrap_or(u32::MAX));
    if let Some(input) = input {
        body = body.input(input);
    }
    let extended = client.extend_lease(&command.id, &body, WAIT_S).await;
    let mut now = extended.map_err(|error| INPUT.told(&command.single, error))?;
    loop {
        let lacking =
            || Fault::new(Exit::Mismatch, "the server does not show the extension that it has begun");
        let extension = now.extensions.into_iter().nth(number - 1).ok_or_else(lacking)?;
        if extension.status != ExtensionStatus::Building {
            return Ok(extension);
        }
        note(format!("{} is being made", extension.step));
        now = client.wait_for_extension(&command.id, WAIT_S).await?;
    }
}

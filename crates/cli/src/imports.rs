//! `sixpack import`: registers data that a service has already as stock, all rows of a file or none.

mod csv_rows;
mod json_rows;
mod rows;

use std::path::{Path, PathBuf};

use clap::Args;
use sixpack::Error;
use sixpack::wire::{self, ImportRow, NewImport, Problem};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::{Output, note};

use rows::{Place, Rows, Wrong};

/// Registers existing data as stock: every row of the file, or none.
///
/// A row says what a capability would have been given and what it would have answered. What is imported is checked before it can
/// be taken, and never undone: when its lease ends it stays in its service as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack import customer/active-customer customers.csv
  sixpack import customer/active-customer customers.jsonl
  sixpack datasets list --contract customer/active-customer      what became of them
  sixpack request customer/active-customer --source stock_only

customers.csv has a column for each property:
  input.country,output.customer_id,output.email,output.country
  FR,CUSTOMER,ada@example.test,FR

customers.jsonl has an object on each line:
  {\"input\":{\"country\":\"FR\"},\"output\":{\"customer_id\":\"CUSTOMER\",\"email\":\"ada@example.test\",\"country\":\"FR\"}}")]
pub(crate) struct ImportCommand {
    /// Capability that the data is of (domain/name)
    contract: String,
    /// File of rows, by its ending .csv or .jsonl
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) async fn run(command: &ImportCommand, output: &mut Output) -> Result<Exit, Fault> {
    let environment = command.environment.name();
    let client = command.connection.client()?;
    let text =
        std::fs::read_to_string(&command.file).map_err(|error| Fault::unreadable(&command.file, &error))?;
    let ending = command.file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let read = match ending {
        "jsonl" => json_rows::read(&text),
        "csv" => {
            // Only the contract says whether `7` is a number.
            let contract = client.contract(&environment, &command.contract).await?;
            csv_rows::read(&text, &contract.input, &contract.output)
        }
        _ => {
            let what = format!("{} is neither a .csv nor a .jsonl file", command.file.display());
            return Err(Fault::new(Exit::Usage, what).next("see `sixpack import --help` for both formats"));
        }
    };
    let (rows, mut wrong) = read;
    let sent = rows.rows.iter().map(|row| ImportRow::new(row.input.clone(), row.output.clone()));
    let import = NewImport::new(&command.contract, sent.collect());
    if !wrong.is_empty() {
        // Whoever mends the file wants to hear of everything at once: what can be read of it is checked as well.
        if !rows.rows.is_empty()
            && let Err(Error::Problem(problem)) = client.check_import(&environment, &import).await
        {
            wrong.extend(wrong_rows(&rows, &problem));
        }
        wrong.sort_by_key(|wrong| (wrong.place.line, wrong.place.column));
        let faults = if wrong.len() == 1 { "fault" } else { "faults" };
        return Err(told(&command.file, &wrong, &format!("{} {faults}; nothing was imported.", wrong.len())));
    }
    let imported =
        client.import(&environment, &import).await.map_err(|error| refused(&command.file, &rows, error))?;
    if command.json {
        output.json(&imported)?;
        return Ok(Exit::Done);
    }
    let count = imported.datasets.len();
    let datasets = if count == 1 { "dataset" } else { "datasets" };
    output.line(format!("{count} {datasets} of {}@{} imported", imported.contract, imported.version))?;
    note(format!(
        "each is checked before it can be taken; see what became of them with `sixpack datasets list --contract {}`: \
         ready can be taken, failed did not hold",
        imported.contract
    ));
    Ok(Exit::Done)
}

/// What the server says of rows, by their lines.
fn refused(file: &Path, rows: &Rows, error: Error) -> Fault {
    let Error::Problem(problem) = error else { return error.into() };
    let wrong = wrong_rows(rows, &problem);
    if wrong.is_empty() {
        return Error::Problem(problem).into();
    }
    let fault = told(file, &wrong, &problem.detail);
    Fault { problem: Some(problem), ..fault }
}

/// What the server finds wrong with rows, each with its place in the file.
fn wrong_rows(rows: &Rows, problem: &Problem) -> Vec<Wrong> {
    let told = |fault: &wire::Fault| {
        let place = rows.place(fault.pointer.as_deref()?)?;
        Some(Wrong { place, message: rows.by_lines(&fault.message) })
    };
    problem.errors.iter().filter_map(told).collect()
}

/// Every fault with its place in the file.
fn told(file: &Path, wrong: &[Wrong], end: &str) -> Fault {
    let name = file.display();
    let mut lines: Vec<String> = Vec::with_capacity(wrong.len() + 1);
    for Wrong { place: Place { line, column, property }, message } in wrong {
        let column = column.map(|column| format!(":{column}")).unwrap_or_default();
        let property = if property.is_empty() { String::new() } else { format!("{property}: ") };
        lines.push(format!("{name}:{line}{column}: {property}{message}"));
    }
    lines.push(end.to_owned());
    Fault::new(Exit::Data, lines.join("\n"))
}

//! `sixpack export` and `sixpack import-store`: a whole store into a file, and into the other kind of store.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use sixpack_storage::moving::{MoveError, MovedTable, Progress};
use sixpack_storage::{Durability, StoreError, postgres, sqlite};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::migrate::StoreArgs;
use crate::printing::{self, Output};
use crate::serving::chain;
use crate::settings::{Settings, StoreChoice};
use crate::stores;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Writes a whole store into one file, for another kind of store to take.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack export move.sixpack --data /var/lib/sixpack
  sixpack import-store move.sixpack --store postgres://sixpack@db/sixpack

Stop every server of the store first; 75 says that one is still there. The file holds every row with a count and a hash for each table. \
It is whole when it has its name; FILE.partial is what an export left that did not come to its end. It is readable by its owner only: \
it holds test data and hashes of tokens. A backup is something else: `sixpack backup`.")]
pub(crate) struct ExportCommand {
    /// File to write; it must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Puts the store of an export into an empty folder, or an empty schema of PostgreSQL.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack import-store move.sixpack --store postgres://sixpack@db/sixpack
  sixpack import-store move.sixpack --data /var/lib/sixpack

What was written is read again, and compared with the counts and hashes of the file, before any of it counts: an import that did not \
come to its end has left nothing. Moving is not restoring: leases, sessions, tokens and keys stay what they are, and time went on \
meanwhile. Never start a server over the store that was left. Ends with 65 when the file is damaged or of another version, 73 when \
something is there already, 75 when a server is.")]
pub(crate) struct ImportStoreCommand {
    /// File that `sixpack export` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Runs `sixpack export`.
pub(crate) async fn run_export(command: &ExportCommand, output: &mut Output) -> Result<Exit, Fault> {
    let settings = command.store.settings()?;
    let mut tell = by_and_by();
    let written = match &settings.store {
        StoreChoice::Sqlite => sqlite::moving::export(&settings.data, &command.file, &mut tell).await,
        StoreChoice::Postgres(address) => postgres::moving::export(address, &command.file, &mut tell).await,
    };
    let tables = written.map_err(|error| told(error, &settings))?;
    let what = format!("{} holds the store in {}", command.file.display(), settings.place());
    show(&what, &tables, command.store.json, output)
}

/// Runs `sixpack import-store`.
pub(crate) async fn run_import(command: &ImportStoreCommand, output: &mut Output) -> Result<Exit, Fault> {
    let settings = command.store.settings()?;
    let mut tell = by_and_by();
    let taken = match &settings.store {
        StoreChoice::Sqlite => sqlite::moving::import(&command.file, &settings.data, &mut tell).await,
        StoreChoice::Postgres(address) => {
            postgres::moving::import(&command.file, address, Durability::Flushed, &mut tell).await
        }
    };
    let tables = taken.map_err(|error| told(error, &settings))?;
    let what = format!("{} is in {}, and reads as it was", command.file.display(), settings.place());
    show(&what, &tables, command.store.json, output)
}

fn by_and_by() -> impl FnMut(Progress) + Send {
    let mut last = Instant::now();
    move |progress| {
        if last.elapsed() >= TELL_EVERY {
            last = Instant::now();
            printing::note(format!("{}: {} rows", progress.table, progress.rows));
        }
    }
}

fn show(what: &str, tables: &[MovedTable], json: bool, output: &mut Output) -> Result<Exit, Fault> {
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    if json {
        let tables = tables
            .iter()
            .map(|table| (table.name.to_owned(), json!({ "rows": table.rows, "hash": table.hash })));
        let tables: serde_json::Map<_, _> = tables.collect();
        output.json(&json!({ "rows": rows, "tables": tables }))?;
        return Ok(Exit::Done);
    }
    output.line(format!("{what}: {rows} rows"))?;
    for table in tables.iter().filter(|table| table.rows > 0) {
        output.line(format!("  {:<20} {:>10}  {}", table.name, table.rows, &table.hash[..16]))?;
    }
    Ok(Exit::Done)
}

/// Why a store was not moved.
fn told(error: MoveError, settings: &Settings) -> Fault {
    let what = chain(&error);
    match error {
        MoveError::Damaged { .. } | MoveError::OtherVersion(_) => {
            Fault::new(Exit::Data, what).next("export once more; nothing was changed")
        }
        MoveError::Occupied(_) => Fault::new(Exit::CannotCreate, what)
            .next("name a file that is not there yet, an empty folder, or a schema in which nothing is"),
        MoveError::Differs { .. } => {
            Fault::new(Exit::Io, what).next("nothing was kept; look at the disks, and import once more")
        }
        MoveError::Io { ref path, ref cause, doing: "read" } => Fault::unreadable(path, cause),
        MoveError::Io { ref path, ref cause, .. } => Fault::unwritable(path, cause),
        MoveError::Store(StoreError::Unreadable { .. }) => Fault::new(Exit::Data, what),
        MoveError::Store(error) => stores::refused(&error, settings),
    }
}

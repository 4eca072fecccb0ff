//! `sixpack backup` and `sixpack restore`: a store in one file, and back. They work on the files themselves, with a server or without.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sixpack_storage::StoreError;
use sixpack_storage::postgres::{self, PostgresStore};
use sixpack_storage::restores::{Restored, Restores};
use sixpack_storage::sqlite::backup::{self, Backup, BackupError};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::Output;
use crate::serving::chain;
use crate::settings::{SettingFlags, Settings, StoreChoice, effective, refused};
use crate::stores;

/// How long the last step of a restore may take: it touches all that is in stock and leased.
const AFTER_RESTORE: Duration = Duration::from_secs(3_600);

/// Writes the store of a server into one file, while the server goes on.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  sixpack backup /backups/monday.sixpack --data /var/lib/sixpack
  sixpack backup verify /backups/monday.sixpack

The file is whole and looked through when it has its name; FILE.partial is what a backup left that did not come to its end. \
Ends with 65 when the store or the file is not sound, 73 when FILE is there already.
A store in PostgreSQL is backed up by pg_dump, or by PostgreSQL's own continuous archiving."
)]
pub(crate) struct BackupCommand {
    #[command(subcommand)]
    action: Option<BackupAction>,
    /// File to write; it must not be there yet
    #[arg(value_name = "FILE", required = true)]
    file: Option<PathBuf>,
    #[command(flatten)]
    folder: FolderArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What to do with a backup.
#[derive(Debug, Subcommand)]
enum BackupAction {
    Verify(VerifyCommand),
}

/// Looks a backup through: that it is one of ours, every page sound, and nothing missing.
#[derive(Debug, Args)]
struct VerifyCommand {
    /// File to look through
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Puts the store of a backup into an empty folder, and makes it go on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack restore /backups/monday.sixpack --data /var/lib/sixpack
  sixpack restore --after-restore --store postgres://sixpack@db/sixpack    what was brought back by pg_restore
  SIXPACK_STORE=postgres://… sixpack restore --after-restore               the same, with a password that nobody else sees

Leases that were held when the backup was made are over, fences are above all that were ever given out, suppliers connect anew, and \
what is in stock is asked about before it is handed out. Start servers only when it is done.")]
pub(crate) struct RestoreCommand {
    /// Backup to restore
    #[arg(value_name = "FILE", required_unless_present = "after_restore", conflicts_with = "after_restore")]
    file: Option<PathBuf>,
    #[command(flatten)]
    folder: FolderArgs,
    /// Make a store go on that PostgreSQL's own tools have brought back
    #[arg(long, conflicts_with = "data")]
    after_restore: bool,
    /// Its address, postgres://user@host:5432/database [default: as the settings say]
    #[arg(long, value_name = "ADDRESS", requires = "after_restore")]
    store: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which store.
#[derive(Debug, Args)]
struct FolderArgs {
    /// File of settings [default: sixpack.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the store [default: as the settings say, else .sixpack]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

impl BackupCommand {
    /// Whether the output is for a machine.
    pub(crate) fn wants_json(&self) -> bool {
        match &self.action {
            Some(BackupAction::Verify(verify)) => verify.json,
            None => self.json,
        }
    }
}

impl FolderArgs {
    fn settings(&self, store: Option<&str>) -> Result<Settings, Fault> {
        let data = self.data.iter().map(|data| ("data", data.clone()));
        let values = data.chain(store.map(|store| ("store", store.to_owned()))).collect();
        let flags = SettingFlags { file: self.config.clone(), values, ..SettingFlags::default() };
        let effective = effective(&flags, std::env::vars_os()).map_err(|faults| refused(&faults))?;
        Ok(effective.settings)
    }

    /// The folder of a store in SQLite; a store in PostgreSQL is named by nobody, or a folder all the same.
    fn folder(&self) -> Result<PathBuf, Fault> {
        let settings = self.settings(None)?;
        match &settings.store {
            StoreChoice::Postgres(address) if self.data.is_none() => {
                Err(Fault::new(Exit::Usage, format!("the store is in PostgreSQL, at {address}")).next(
                    "back it up with pg_dump or with continuous archiving, or name the folder of a store in SQLite with --data",
                ))
            }
            _ => Ok(settings.data),
        }
    }
}

/// Runs `sixpack backup`.
pub(crate) async fn run_backup(command: &BackupCommand, output: &mut Output) -> Result<Exit, Fault> {
    if let Some(BackupAction::Verify(verify)) = &command.action {
        let file = verify.file.clone();
        let backup = in_background(move || backup::verify(&file)).await?;
        tell(output, verify.json, &verify.file, "is sound", &backup, None)?;
        return Ok(Exit::Done);
    }
    let file = command.file.clone().expect("the file is required");
    let (folder, target) = (command.folder.folder()?, file.clone());
    let backup = in_background(move || backup::back_up(&folder, &target)).await?;
    tell(output, command.json, &file, "is written and looked through", &backup, None)?;
    Ok(Exit::Done)
}

/// Runs `sixpack restore`.
pub(crate) async fn run_restore(command: &RestoreCommand, output: &mut Output) -> Result<Exit, Fault> {
    if command.after_restore {
        let restored = after_restore(&command.folder.settings(command.store.as_deref())?).await?;
        match command.json {
            true => output.json(&went_on(&restored))?,
            false => output.line(in_words(&restored))?,
        }
        return Ok(Exit::Done);
    }
    let file = command.file.as_deref().expect("a file, or --after-restore, is required");
    let folder = command.folder.folder()?;
    let from = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let (backup, restored) = backup::restore(file, &folder, &from).await.map_err(told)?;
    let done = format!("is restored into {}", folder.display());
    tell(output, command.json, file, &done, &backup, Some(&restored))?;
    Ok(Exit::Done)
}

async fn after_restore(settings: &Settings) -> Result<Restored, Fault> {
    let StoreChoice::Postgres(address) = &settings.store else {
        return Err(Fault::new(Exit::Usage, "which store was restored is not said")
            .next("name it with --store, or in the variable SIXPACK_STORE"));
    };
    let alone = postgres::presence::nobody_serves(address).await;
    alone.map_err(|error| stores::refused(&error, settings))?;
    let unhurried = postgres::Settings { patience: AFTER_RESTORE, ..postgres::Settings::default() };
    let opened = PostgresStore::open(address, unhurried).await;
    let store = opened.map_err(|error| stores::refused(&error, settings))?;
    let restored = store.after_restore("PostgreSQL").await;
    store.close().await;
    restored.map_err(|error| stores::refused(&error, settings))
}

/// Reading and writing whole files takes its time, on a thread of its own.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.expect("a backup does not panic").map_err(told)
}

fn tell(
    output: &mut Output,
    json: bool,
    file: &Path,
    done: &str,
    backup: &Backup,
    restored: Option<&Restored>,
) -> Result<(), Fault> {
    if json {
        let rows: serde_json::Map<String, Value> =
            backup.rows.iter().map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect();
        let mut object = json!({
            "file": file.display().to_string(), "bytes": backup.bytes, "schema_version": backup.schema_version,
            "rows": rows,
        });
        if let Some(restored) = restored {
            object["restored"] = went_on(restored);
        }
        return output.json(&object);
    }
    let rows: Vec<String> = backup.rows.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
    output.line(format!("{} {done}", file.display()))?;
    output.line(format!(
        "  {} bytes, schema {}; rows: {}",
        backup.bytes,
        backup.schema_version,
        rows.join(", ")
    ))?;
    match restored {
        Some(restored) => output.line(format!("  {}", in_words(restored))),
        None => Ok(()),
    }
}

fn went_on(restored: &Restored) -> Value {
    json!({
        "leases_over": restored.leases, "sessions_over": restored.sessions, "stock_to_check": restored.in_stock,
        "fence_epoch": restored.fence_epoch,
    })
}

fn in_words(restored: &Restored) -> String {
    format!(
        "{} leases and {} sessions of before are over; {} datasets in stock are asked about before they are handed out",
        restored.leases, restored.sessions, restored.in_stock
    )
}

/// Why there is no backup, or no restored store.
fn told(error: BackupError) -> Fault {
    let what = chain(&error);
    match error {
        BackupError::NoStore(_) => {
            Fault::new(Exit::Data, what).next("name the folder of a store with --data")
        }
        BackupError::Occupied(_) => Fault::new(Exit::CannotCreate, what)
            .next("name a file that is not there yet, or a folder in which nothing is"),
        BackupError::InUse(_) | BackupError::Store(StoreError::InUse { .. }) => {
            Fault::new(Exit::TryLater, what).next("wait for the one who is at it")
        }
        BackupError::Store(StoreError::Busy { .. }) => Fault::new(Exit::TryLater, what),
        BackupError::Store(StoreError::Newer { .. }) => {
            Fault::new(Exit::Mismatch, what).next("use the build that wrote it, or a newer one")
        }
        // It says itself what to do.
        BackupError::Store(StoreError::Older { .. }) => Fault::new(Exit::Mismatch, what),
        BackupError::Unsound { .. } | BackupError::Store(StoreError::Unreadable { .. }) => {
            Fault::new(Exit::Data, what).next("take another backup; this one was not changed")
        }
        BackupError::Io { ref path, ref cause, doing: "read", .. } => Fault::unreadable(path, cause),
        BackupError::Io { ref path, ref cause, .. } => Fault::unwritable(path, cause),
        // Only files are worked on here; the others are what a database says.
        BackupError::Store(
            StoreError::Full
            | StoreError::Broken { .. }
            | StoreError::InDoubt { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Unanswered { .. }
            | StoreError::Denied { .. }
            | StoreError::Unsuitable { .. },
        ) => Fault::new(Exit::Io, what).next("look at the disks; nothing was changed where the store is"),
        BackupError::Store(StoreError::Closed | StoreError::Restored) => Fault::new(Exit::Internal, what),
    }
}

//! `sixpack migrate`: how far the schema of a store is, bringing it up to date, and leaving the build before behind.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sixpack_storage::migrations::{Fit, Schema, Stage};
use sixpack_storage::postgres::{self, Address};
use sixpack_storage::{Durability, StoreError, sqlite};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::{self, Output};
use crate::settings::{SettingFlags, Settings, StoreChoice, effective, refused};
use crate::stores;

/// How often progress is told: often enough for whoever watches, seldom enough for a log.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Brings the schema of a store from one version to the next, beside servers that go on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack migrate status
  sixpack migrate up --store postgres://sixpack@db/sixpack
  sixpack migrate finalize

With PostgreSQL, in this sequence: `up` with the new build, while servers of the build before go on; replace the servers one by \
one; `finalize` when none of the build before is left. Until then going back is possible. A store in SQLite is brought up to date \
by its server when it starts.
Whoever ends `up` or `finalize` in the middle runs it again. Ends with 75 while another one runs, or while a server of the build \
before is still there; 76 when the store needs a newer build.")]
pub(crate) struct MigrateCommand {
    #[command(subcommand)]
    action: MigrateAction,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum MigrateAction {
    /// Show the version of the schema, how far it is, and what to do next
    Status(StoreArgs),
    /// Bring the schema to the version of this build; what is there gets its new form in small batches
    Up(StoreArgs),
    /// Refuse servers of the build before from now on, so that the next version may begin
    Finalize(StoreArgs),
}

/// Which store.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// File of settings [default: sixpack.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of a store in SQLite [default: as the settings say, else .sixpack]
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    data: Option<String>,
    /// `sqlite`, or the address of a PostgreSQL store [default: as the settings say]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl StoreArgs {
    /// The settings that say where the store is.
    pub(crate) fn settings(&self) -> Result<Settings, Fault> {
        let data = self.data.iter().map(|data| ("data", data.clone()));
        let of_folder = self.data.iter().map(|_| ("store", "sqlite".to_owned()));
        let named = self.store.iter().map(|store| ("store", store.clone()));
        let values = data.chain(of_folder).chain(named).collect();
        let flags = SettingFlags { file: self.config.clone(), values, ..SettingFlags::default() };
        let effective = effective(&flags, std::env::vars_os()).map_err(|faults| refused(&faults))?;
        Ok(effective.settings)
    }
}

impl MigrateCommand {
    /// Whether the output is for a machine.
    pub(crate) fn wants_json(&self) -> bool {
        let (MigrateAction::Status(store) | MigrateAction::Up(store) | MigrateAction::Finalize(store)) =
            &self.action;
        store.json
    }
}

/// Runs `sixpack migrate`.
pub(crate) async fn run(command: &MigrateCommand, output: &mut Output) -> Result<Exit, Fault> {
    let (MigrateAction::Status(args) | MigrateAction::Up(args) | MigrateAction::Finalize(args)) =
        &command.action;
    let settings = args.settings()?;
    let mut tell = told_by_and_by(printing::note);
    let schema = match (&command.action, settings.store.clone()) {
        (MigrateAction::Status(_), StoreChoice::Postgres(address)) => {
            postgres::migrations::status(&address).await
        }
        (MigrateAction::Up(_), StoreChoice::Postgres(address)) => {
            postgres::migrations::up(&address, Durability::Flushed, &mut tell).await
        }
        (MigrateAction::Finalize(_), StoreChoice::Postgres(address)) => {
            postgres::migrations::finalize(&address, Durability::Flushed, &mut tell).await
        }
        (MigrateAction::Status(_), StoreChoice::Sqlite) => sqlite::migrations::status(&settings.data),
        (MigrateAction::Up(_), StoreChoice::Sqlite) => sqlite::migrations::up(&settings.data, &mut tell),
        (MigrateAction::Finalize(_), StoreChoice::Sqlite) => {
            sqlite::migrations::finalize(&settings.data, &mut tell)
        }
    };
    let schema = schema.map_err(|error| stores::refused(&error, &settings))?;
    if args.json {
        output.json(&as_json(&settings, schema))?;
        return Ok(Exit::Done);
    }
    output.line(format!("{}: {}", settings.place(), in_words(schema)))?;
    output.line(format!("  {}", next(schema)))?;
    Ok(Exit::Done)
}

/// Brings an older schema up to date for a server that was told to; progress goes to its log.
pub(crate) async fn up_before_serving(address: &Address) -> Result<(), StoreError> {
    let schema = postgres::migrations::status(address).await?;
    if schema.version == 0 || schema.fit() != Fit::Older {
        return Ok(());
    }
    let mut tell = told_by_and_by(|progress| tracing::info!(progress, "migrating"));
    let schema = postgres::migrations::up(address, Durability::Flushed, &mut tell).await?;
    tracing::info!(version = schema.version, moved = schema.moved, "the schema was migrated");
    Ok(())
}

/// Tells of progress now and then.
fn told_by_and_by(mut tell: impl FnMut(String) + Send) -> impl FnMut(&Schema) + Send {
    let mut last: Option<Instant> = None;
    move |schema| {
        if last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
            last = Some(Instant::now());
            tell(in_words(*schema));
        }
    }
}

fn in_words(schema: Schema) -> String {
    let Schema { version, stage, moved, known } = schema;
    match stage {
        _ if version == 0 => "there is no store yet".to_owned(),
        Stage::Expanded => {
            format!("schema {version}, {moved} rows brought to its form so far; this build knows {known}")
        }
        Stage::Moved => {
            format!("schema {version}, all rows brought to its form, not finalized; this build knows {known}")
        }
        Stage::Closed => format!("schema {version}, being finalized; this build knows {known}"),
        Stage::Finalized => format!("schema {version}, finalized; this build knows {known}"),
    }
}

fn next(schema: Schema) -> &'static str {
    match (schema.fit(), schema.stage) {
        _ if schema.version == 0 => "the first server makes it",
        (Fit::Newer, _) => "this build is too old for it: servers of it are refused",
        (Fit::Older, Stage::Finalized) => "`sixpack migrate up` brings it up to date, while servers go on",
        (Fit::Older, _) => "`sixpack migrate finalize`, then `sixpack migrate up`",
        (Fit::Fits, _) if schema.known < schema.version => {
            "a newer build has begun with it; this one works until it is finalized"
        }
        (Fit::Fits, Stage::Expanded) => {
            "`sixpack migrate up` goes on; servers of this build and of the one before work with it"
        }
        (Fit::Fits, Stage::Moved) => {
            "servers of this build and of the one before work with it; `sixpack migrate finalize` when the latter are gone"
        }
        (Fit::Fits, Stage::Closed) => "`sixpack migrate finalize` goes on",
        (Fit::Fits, Stage::Finalized) => "there is nothing to do",
    }
}

fn as_json(settings: &Settings, schema: Schema) -> Value {
    json!({
        "store": settings.place(), "schema_version": schema.version, "stage": schema.stage.name(),
        "rows_moved": schema.moved, "known_version": schema.known, "oldest_build": schema.oldest_build(),
        "fits": schema.fit() == Fit::Fits,
    })
}

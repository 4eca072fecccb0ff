//! Migrations in SQLite: done by whoever has the folder for itself, step by step, each with its state in the same commit.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

use super::Durability;
use super::limits::MOVED_AT_ONCE;
use super::opening;
use crate::error::StoreError;
use crate::migrations::{Schema, Stage, Step};

mod embedded {
    refinery::embed_migrations!("migrations/sqlite");
}

/// The first version whose change is written down; those before were one step each.
const FIRST_IN_STEPS: u32 = 18;

/// How the rows of a version get their new form: `next` gives the last key of a batch of `?2` behind `?1`, `fill` gives those
/// from behind `?1` to `?2` their form that have not got it.
struct Move {
    version: u32,
    next: &'static str,
    fill: &'static str,
}

const MOVES: &[Move] = &[Move {
    version: 18,
    next: "SELECT hex(id) FROM (SELECT id FROM lease WHERE id > unhex(?1) ORDER BY id LIMIT ?2) ORDER BY id DESC LIMIT 1",
    fill: "UPDATE lease SET contract =
               coalesce((SELECT d.contract FROM dataset d WHERE d.tree = lease.tree AND d.part = 0), 0)
           WHERE id > unhex(?1) AND id <= unhex(?2) AND contract IS NULL",
}];

/// Where the schema of the store in `folder` stands. A server may go on meanwhile.
pub fn status(folder: &Path) -> Result<Schema, StoreError> {
    let file = opening::existing(folder)?;
    let connection = opening::open_reader(&file).map_err(|cause| opening::told(&file, READING, cause))?;
    opening::check_ours(&connection, &file)?;
    found(&connection, &file, known_version())
}

/// Brings the schema of the store in `folder` up to date, and tells after each step.
pub fn up(folder: &Path, tell: &mut (dyn FnMut(&Schema) + Send)) -> Result<Schema, StoreError> {
    bring(Migrator::begin(folder, Durability::Flushed)?, tell)
}

/// The same as a build would that knows only this version of the schema.
#[cfg(feature = "conformance")]
pub fn up_as(
    folder: &Path,
    known: u32,
    durability: Durability,
    tell: &mut (dyn FnMut(&Schema) + Send),
) -> Result<Schema, StoreError> {
    bring(Migrator::begin_as(folder, durability, known)?, tell)
}

/// Finalizes the version of the store in `folder`: builds of the version before are refused from then on.
pub fn finalize(folder: &Path, tell: &mut (dyn FnMut(&Schema) + Send)) -> Result<Schema, StoreError> {
    let mut migrator = Migrator::begin(folder, Durability::Flushed)?;
    while migrator.close()? == Step::More {
        tell(&migrator.schema()?);
    }
    migrator.schema()
}

fn bring(mut migrator: Migrator, tell: &mut (dyn FnMut(&Schema) + Send)) -> Result<Schema, StoreError> {
    while migrator.step()? == Step::More {
        tell(&migrator.schema()?);
    }
    migrator.schema()
}

/// The one who migrates a store, for as long as it lives.
pub struct Migrator {
    connection: Connection,
    file: PathBuf,
    known: u32,
    _lock: File,
}

impl Migrator {
    /// Takes the folder for this process; [`StoreError::InUse`] when a server or another migrator has it.
    pub fn begin(folder: &Path, durability: Durability) -> Result<Self, StoreError> {
        Self::begin_knowing(folder, durability, known_version())
    }

    /// The same as a build would that knows only this version of the schema.
    #[cfg(feature = "conformance")]
    pub fn begin_as(folder: &Path, durability: Durability, known: u32) -> Result<Self, StoreError> {
        Self::begin_knowing(folder, durability, known)
    }

    fn begin_knowing(folder: &Path, durability: Durability, known: u32) -> Result<Self, StoreError> {
        let file = opening::existing(folder)?;
        let lock = opening::lock(folder)?;
        let connection = opening::open_writer(&file, durability)?;
        Ok(Self { connection, file, known, _lock: lock })
    }

    /// Where the schema stands.
    pub fn schema(&self) -> Result<Schema, StoreError> {
        found(&self.connection, &self.file, self.known)
    }

    /// Does the next step towards the version of this build.
    pub fn step(&mut self) -> Result<Step, StoreError> {
        step(&mut self.connection, &self.file, self.known)
    }

    /// Does the next step towards the end of the version that is there.
    pub fn close(&mut self) -> Result<Step, StoreError> {
        let schema = self.schema()?;
        if self.known < schema.version {
            return Err(schema.newer(&self.file.display()));
        }
        close(&mut self.connection, &self.file, schema)
    }
}

/// The newest migration of this build.
pub(super) fn known_version() -> u32 {
    let newest =
        embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max();
    newest.and_then(|version| u32::try_from(version).ok()).unwrap_or_default()
}

/// The newest migration of this build, and the newest that brings rows to a new form: what trials of migrations go through.
#[cfg(feature = "conformance")]
pub fn newest() -> (u32, u32) {
    let moving = MOVES.iter().map(|moving| moving.version).max();
    (known_version(), moving.unwrap_or_else(known_version))
}

/// Brings the schema to what a build can work with that knows this version. A store that is new is finalized at once; another
/// one is left open for the build before, until somebody finalizes it or the next version begins.
pub(super) fn prepare(connection: &mut Connection, file: &Path, known: u32) -> Result<(), StoreError> {
    let before = found(connection, file, known)?;
    if before.version == 0 {
        run(connection, known)?;
        return while_more(|| {
            let schema = found(connection, file, known)?;
            close(connection, file, schema)
        });
    }
    let mut told = Instant::now();
    while_more(|| {
        let step = step(connection, file, known)?;
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            let Schema { version, moved, .. } = found(connection, file, known)?;
            tracing::info!(version, moved, "migrating");
        }
        Ok(step)
    })?;
    let after = found(connection, file, known)?;
    after.check(&file.display())?;
    if before.version != after.version {
        tracing::info!(
            from = before.version,
            to = after.version,
            moved = after.moved,
            "the schema was migrated"
        );
    }
    Ok(())
}

/// Where the schema of an open database stands.
pub(super) fn found(connection: &Connection, file: &Path, known: u32) -> Result<Schema, StoreError> {
    let read = |cause| opening::told(file, READING, cause);
    let version = opening::schema_version(connection).map_err(read)?;
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    let mut schema = Schema { version, stage: Stage::Finalized, moved: 0, known };
    if version < FIRST_IN_STEPS {
        return Ok(schema);
    }
    let state = "SELECT moved, moved_at IS NOT NULL, closed_at IS NOT NULL, finalized_at IS NOT NULL
                 FROM schema_change WHERE version = ?1";
    let state = connection.query_row(state, [version], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?, row.get::<_, bool>(3)?))
    });
    if let Some((moved, is_moved, is_closed, is_finalized)) = state.optional().map_err(read)? {
        schema.moved = moved.unsigned_abs();
        schema.stage = match (is_finalized, is_closed, is_moved) {
            (true, ..) => Stage::Finalized,
            (_, true, _) => Stage::Closed,
            (.., true) => Stage::Moved,
            _ => Stage::Expanded,
        };
    }
    Ok(schema)
}

/// How often a server that starts says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(5);

const READING: &str = "reading the version of the schema";
const MIGRATING: &str = "migrating the database";

fn step(connection: &mut Connection, file: &Path, known: u32) -> Result<Step, StoreError> {
    let schema = found(connection, file, known)?;
    if schema.version < known {
        // Nobody else has the folder: what was left open for the build before can be closed.
        if close(connection, file, schema)? == Step::More {
            return Ok(Step::More);
        }
        run(connection, schema.version + 1)?;
        return Ok(Step::More);
    }
    if schema.version > known || schema.stage != Stage::Expanded {
        return Ok(Step::Done);
    }
    if move_some(connection, file, schema)? == Step::Done {
        mark(connection, file, schema, "moved_at")?;
    }
    Ok(Step::More)
}

fn close(connection: &mut Connection, file: &Path, schema: Schema) -> Result<Step, StoreError> {
    let marked = match schema.stage {
        Stage::Expanded if move_some(connection, file, schema)? == Step::More => return Ok(Step::More),
        Stage::Expanded => "moved_at",
        Stage::Moved => "closed_at",
        // What the build before has written since the rows were moved.
        Stage::Closed if move_some(connection, file, schema)? == Step::More => return Ok(Step::More),
        Stage::Closed => "finalized_at",
        Stage::Finalized => return Ok(Step::Done),
    };
    mark(connection, file, schema, marked)?;
    Ok(Step::More)
}

/// Gives the rows of one batch their new form, and notes how far that goes.
fn move_some(connection: &mut Connection, file: &Path, schema: Schema) -> Result<Step, StoreError> {
    let Some(moving) = MOVES.iter().find(|moving| moving.version == schema.version) else {
        return Ok(Step::Done);
    };
    let failed = |cause| opening::told(file, MIGRATING, cause);
    let batch = |connection: &mut Connection| -> rusqlite::Result<Step> {
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let behind = "SELECT coalesce(behind, '') FROM schema_change WHERE version = ?1";
        let behind: String = transaction.query_row(behind, [schema.version], |row| row.get(0))?;
        let last = (behind.as_str(), MOVED_AT_ONCE);
        let last = transaction.query_row(moving.next, last, |row| row.get::<_, String>(0)).optional()?;
        let Some(last) = last else { return Ok(Step::Done) };
        let moved = transaction.execute(moving.fill, (&behind, &last))?;
        let note = "UPDATE schema_change SET behind = ?2, moved = moved + ?3 WHERE version = ?1";
        transaction.execute(note, (schema.version, &last, moved as i64))?;
        transaction.commit()?;
        Ok(Step::More)
    };
    let step = batch(connection).map_err(failed)?;
    // Or the log would grow by all that is moved.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(failed)?;
    Ok(step)
}

/// Notes that a stage is reached, also by the versions before, which a new store has come through at once; rows are looked at from the
/// first again.
fn mark(connection: &Connection, file: &Path, schema: Schema, stage: &str) -> Result<(), StoreError> {
    let mark = format!(
        "UPDATE schema_change SET {stage} = coalesce({stage}, CAST(round(unixepoch('subsec') * 1000) AS INTEGER)), behind = NULL
         WHERE version <= ?1"
    );
    let marked = connection.execute(&mark, [schema.version]);
    marked.map(|_| ()).map_err(|cause| opening::told(file, MIGRATING, cause))
}

fn run(connection: &mut Connection, version: u32) -> Result<(), StoreError> {
    let target = refinery::Target::Version(version.try_into().expect("versions are few"));
    // In one transaction: a step and the note that it was taken would be two otherwise, and a process that ends in between would leave a
    // store in which that step cannot be taken and is not known to be, and which never opens again.
    let applied = embedded::migrations::runner().set_target(target).set_grouped(true).run(connection);
    applied.map(|_| ()).map_err(|cause| opening::broken(MIGRATING, cause))
}

fn while_more(mut step: impl FnMut() -> Result<Step, StoreError>) -> Result<(), StoreError> {
    while step()? == Step::More {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_from_one_without_a_gap_or_a_double() {
        let runner = embedded::migrations::runner();
        let mut numbers: Vec<_> = runner.get_migrations().iter().map(refinery::Migration::version).collect();
        numbers.sort_unstable();
        let expected: Vec<_> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "two changes of the schema that meet get numbers one after the other");
    }

    #[test]
    fn leases_and_requests_from_before_there_were_quotas_are_counted() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection, 5).unwrap();
        for (id, token, environment, status) in [(1, 1, 1, 0), (2, 1, 2, 0), (3, 2, 1, 0), (4, 2, 1, 2)] {
            let lease =
                "INSERT INTO lease VALUES (?1, ?1, ?3, ?1, 0, 'me', ?2, 1, ?4, 1, 1, 1, NULL, NULL, NULL)";
            connection.execute(lease, (&[id; 16], &[token; 16], environment, status)).unwrap();
        }
        for (id, token, trees, status) in [(1, 1, 3, 1), (2, 1, 5, 2), (3, 3, 2, 0)] {
            let request = "INSERT INTO request VALUES (?1, 1, 1, '[]', ?3, 0, 0, 1, 'me', ?2, 1, NULL, ?4, 1, 0, 1, 1, NULL, NULL)";
            connection.execute(request, (&[id; 16], &[token; 16], trees, status)).unwrap();
        }
        run(&mut connection, 6).unwrap();
        run(&mut connection, 9).unwrap();
        let count = |scope: i64, owner: &dyn rusqlite::ToSql| -> i64 {
            let read = "SELECT leases FROM quota_use WHERE scope = ?1 AND owner = ?2";
            connection.query_row(read, rusqlite::params![scope, owner], |row| row.get(0)).unwrap()
        };
        assert_eq!([1_u8, 2, 3].map(|token| count(0, &[token; 16])), [5, 1, 2]);
        assert_eq!([1, 2].map(|environment| count(1, &environment)), [7, 1]);
    }
}

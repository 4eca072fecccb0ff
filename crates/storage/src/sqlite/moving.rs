//! Moving in SQLite: a store that no server has open is written to a file, and an empty folder takes one.

use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, Statement};
use uuid::Uuid;

use super::backup;
use super::opening;
use super::{Settings, SqliteStore, migrations};
use crate::durability::Durability;
use crate::error::StoreError;
use crate::migrations::Stage;
use crate::moving::{MoveError, MovedTable, Tell};
use crate::stored::exports::{Line, Sink, Source, Sum, Value, compare, line_of, tell_of};
use crate::stored::restores::{moved_event, next_epoch};
use crate::stored::tables::{Kind, TABLES, Table};

/// By how much the versions of this schema are ahead of those of PostgreSQL's.
const AHEAD: u32 = 16;

/// Rows of a table that one commit holds: the log stays small.
const ROWS_A_COMMIT: u64 = 20_000;

const EXPORTING: &str = "reading the store for an export";
const IMPORTING: &str = "writing an imported store";

/// Writes the store in `folder` to a file that is not there yet. No server may have it open, and none is let in meanwhile.
pub async fn export(folder: &Path, file: &Path, tell: Tell<'_>) -> Result<Vec<MovedTable>, MoveError> {
    let database = opening::existing(folder)?;
    let _lock = opening::lock(folder)?;
    let connection = opening::open_writer(&database, Durability::Flushed)?;
    let schema = migrations::found(&connection, &database, migrations::known_version())?;
    schema.check(&database.display())?;
    if schema.stage != Stage::Finalized || schema.version != schema.known {
        return Err(schema.unfinished(&database.display()).into());
    }
    let mut sink = Sink::begin(file, "sqlite", schema.version - AHEAD)?;
    for table in TABLES {
        let mut sum = Sum::default();
        sink.table(table)?;
        rows(&connection, &database, table, &mut |row| {
            sink.row(&mut sum, row)?;
            tell_of(&sum, table, tell);
            Ok(())
        })?;
        sink.end(table, sum)?;
    }
    sink.finish()
}

/// Puts the store of a file into a folder in which nothing is. What is in the folder afterwards is the whole store, or nothing.
pub async fn import(file: &Path, folder: &Path, tell: Tell<'_>) -> Result<Vec<MovedTable>, MoveError> {
    let mut source = Source::open(file, migrations::known_version() - AHEAD)?;
    let making = backup::make_place(folder)?;
    let _lock = opening::lock(folder)?;
    let making = backup::begin_in(folder, &making)?;
    let database = making.join(opening::DATABASE_FILE);
    drop(SqliteStore::open(&making, Settings::default())?);
    let mut connection = opening::open_writer(&database, Durability::Flushed)?;
    let failed = |cause| opening::told(&database, IMPORTING, cause);
    // What refers to something comes behind it, and all of it is looked at in the end.
    connection.execute_batch("DELETE FROM meta; PRAGMA wal_autocheckpoint = 1000").map_err(failed)?;
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        source.table(table)?;
        tables.push(take(&mut connection, &mut source, table, tell)?);
    }
    source.finish()?;
    for (table, wanted) in TABLES.iter().zip(&tables) {
        let mut sum = Sum::default();
        rows(&connection, &database, table, &mut |row| {
            sum.add(&line_of(row));
            Ok(())
        })?;
        compare(table, wanted, sum)?;
    }
    go_on(&connection, &source.header.store).map_err(failed)?;
    drop(connection);
    backup::put_in_place(folder, &making)?;
    Ok(tables)
}

/// Reads every row of a table.
fn rows(
    connection: &Connection,
    file: &Path,
    table: &Table,
    each: &mut dyn FnMut(&[Value]) -> Result<(), MoveError>,
) -> Result<(), MoveError> {
    let columns = table.columns();
    // A page that cannot be read is in a table that can be named.
    let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => MoveError::Store(StoreError::Unreadable {
            reason: format!("table {} of {} is damaged: {cause}", table.name, file.display()),
        }),
        _ => opening::told(file, EXPORTING, cause).into(),
    };
    let read = format!("SELECT {} FROM {} ORDER BY {}", table.names(), table.name, table.key);
    let mut statement = connection.prepare(&read).map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    while let Some(row) = found.next().map_err(failed)? {
        let values = columns.iter().enumerate().map(|(place, column)| {
            value(row, place, column.kind).ok_or_else(|| {
                let reason = format!(
                    "table {} of {}: column {} holds something else than it should",
                    table.name,
                    file.display(),
                    column.name
                );
                MoveError::Store(StoreError::Unreadable { reason })
            })
        });
        each(&values.collect::<Result<Vec<_>, _>>()?)?;
    }
    Ok(())
}

fn value(row: &Row<'_>, place: usize, kind: Kind) -> Option<Value> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    Some(match (kind, row.get_ref(place).ok()?) {
        (_, ValueRef::Null) => Value::Null,
        (Kind::Int, ValueRef::Integer(number)) => Value::Int(number),
        (Kind::Bool, ValueRef::Integer(number @ (0 | 1))) => Value::Bool(number == 1),
        (Kind::Real, ValueRef::Real(number)) => Value::Real(number),
        (Kind::Text, ValueRef::Text(bytes)) => Value::Text(text(bytes)?),
        (Kind::Id, ValueRef::Blob(bytes)) => Value::Id(Uuid::from_slice(bytes).ok()?),
        (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(bytes.to_vec()),
        (Kind::Owner, ValueRef::Blob(bytes)) => Value::Text(Uuid::from_slice(bytes).ok()?.to_string()),
        (Kind::Owner, ValueRef::Integer(number)) => Value::Text(number.to_string()),
        _ => return None,
    })
}

/// Writes the rows of a table, and comes back behind its last line.
fn take(
    connection: &mut Connection,
    source: &mut Source,
    table: &Table,
    tell: Tell<'_>,
) -> Result<MovedTable, MoveError> {
    let columns = table.columns();
    let marks = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT INTO {} ({}) VALUES ({marks})", table.name, table.names());
    let mut sum = Sum::default();
    loop {
        let transaction = connection.transaction().map_err(|cause| refused(source, table, cause))?;
        let mut statement = transaction.prepare(&insert).map_err(|cause| refused(source, table, cause))?;
        let ended = loop {
            match source.line(table, &sum)? {
                Line::End(told) => break Some(told),
                Line::Row(row, line) => {
                    let kinds = columns.iter().map(|column| column.kind);
                    write(&mut statement, kinds.zip(&row)).map_err(|cause| refused(source, table, cause))?;
                    sum.add(&line);
                    tell_of(&sum, table, tell);
                }
            }
            if sum.rows().is_multiple_of(ROWS_A_COMMIT) {
                break None;
            }
        };
        drop(statement);
        transaction.commit().map_err(|cause| refused(source, table, cause))?;
        if let Some(told) = ended {
            return Ok(told);
        }
    }
}

/// What a table does not take is the fault of the line, unless the disk is in trouble.
fn refused(source: &Source, table: &Table, cause: rusqlite::Error) -> MoveError {
    match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation | rusqlite::ErrorCode::TypeMismatch) => {
            source.damaged(format!("table {} does not take this row: {cause}", table.name))
        }
        Some(rusqlite::ErrorCode::DiskFull) => MoveError::Store(StoreError::Full),
        _ => MoveError::Store(opening::broken(IMPORTING, cause)),
    }
}

fn write<'v>(
    statement: &mut Statement<'_>,
    row: impl Iterator<Item = (Kind, &'v Value)>,
) -> rusqlite::Result<()> {
    for (place, (kind, value)) in row.enumerate() {
        statement.raw_bind_parameter(place + 1, bound(kind, value))?;
    }
    statement.raw_execute().map(|_| ())
}

/// A value as this database keeps it.
fn bound(kind: Kind, value: &Value) -> ToSqlOutput<'_> {
    match (kind, value) {
        (_, Value::Null) => ToSqlOutput::Borrowed(ValueRef::Null),
        (_, Value::Int(number)) => (*number).into(),
        (_, Value::Real(number)) => (*number).into(),
        (_, Value::Bool(yes)) => i64::from(*yes).into(),
        (_, Value::Id(id)) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
        (_, Value::Bytes(bytes)) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        (Kind::Owner, Value::Text(text)) => match (text.parse::<i64>(), text.parse::<Uuid>()) {
            (Ok(number), _) => number.into(),
            (_, Ok(id)) => id.into_bytes().to_vec().into(),
            _ => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        },
        (_, Value::Text(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
    }
}

/// Makes the store one that goes on: fences above all of before, even if somebody starts the one that was left; and the next event
/// tells of the move.
fn go_on(connection: &Connection, from: &str) -> rusqlite::Result<()> {
    let epoch: i64 = connection.query_row("SELECT fence_epoch FROM meta", [], |row| row.get(0))?;
    let now = "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)";
    let now: i64 = connection.query_row(now, [], |row| row.get(0))?;
    connection.execute("UPDATE meta SET fence_epoch = ?1", [next_epoch(now, epoch)])?;
    let last = "SELECT max(coalesce((SELECT max(sequence) FROM event), 0), events_gone) FROM meta";
    let last: i64 = connection.query_row(last, [], |row| row.get(0))?;
    let event = moved_event(now, from, last);
    connection.execute(
        "INSERT INTO event (sequence, at, environment, kind, part, data) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
        rusqlite::params![last + 1, event.at, event.environment, event.kind, event.data],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tables::OF_THE_SCHEMA;

    #[test]
    fn every_table_and_column_is_moved_and_versions_are_counted_alike() {
        assert_eq!(migrations::known_version() - AHEAD, crate::postgres::migrations::known_version());
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(folder.path(), Settings::default()).unwrap());
        let store = Connection::open(folder.path().join(opening::DATABASE_FILE)).unwrap();
        let all =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut all = store.prepare(all).unwrap();
        let names: Vec<String> = all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let mut known: Vec<&str> =
            TABLES.iter().map(|table| table.name).chain(OF_THE_SCHEMA.iter().copied()).collect();
        known.sort_unstable();
        assert_eq!(names, known);
        for table in TABLES {
            let columns = "SELECT name FROM pragma_table_info(?1) ORDER BY name";
            let mut columns = store.prepare(columns).unwrap();
            let found: Vec<String> =
                columns.query_map([table.name], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            let mut known: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
            known.sort_unstable();
            assert_eq!(found, known, "{}", table.name);
        }
    }
}

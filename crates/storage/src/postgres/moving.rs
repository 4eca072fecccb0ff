//! Moving in PostgreSQL: a store that no server has open is read as of one moment, and an empty one is filled by one transaction.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt, pin_mut};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Transaction};
use uuid::Uuid;

use super::address::Address;
use super::{migrations, opening, presence};
use crate::durability::Durability;
use crate::error::StoreError;
use crate::migrations::Stage;
use crate::moving::{MoveError, MovedTable, Tell};
use crate::stored::exports::{Line, Sink, Source, Sum, Value, compare, hex, line_of, tell_of};
use crate::stored::restores::{moved_event, next_epoch};
use crate::stored::tables::{Kind, TABLES, Table};

/// Bytes that are sent at once.
const CHUNK: usize = 1 << 18;

const EXPORTING: &str = "reading the store for an export";
const IMPORTING: &str = "writing an imported store";

/// Writes the store at an address to a file that is not there yet. No server may have it open.
pub async fn export(address: &Address, file: &Path, tell: Tell<'_>) -> Result<Vec<MovedTable>, MoveError> {
    let mut client = alone(address, Durability::TestsOnly).await?;
    let schema = migrations::found(&client, address, migrations::known_version()).await?;
    if schema.version == 0 {
        let reason = format!("there is no store in {address}");
        return Err(StoreError::Unreadable { reason }.into());
    }
    schema.check(address)?;
    if schema.stage != Stage::Finalized || schema.version != schema.known {
        return Err(schema.unfinished(address).into());
    }
    let read = |cause| opening::told(EXPORTING, cause);
    let snapshot = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(read)?;
    // A server that starts now writes here first, and waits until what is read is all there is.
    snapshot.batch_execute(&unhurried(address)).await.map_err(read)?;
    snapshot.batch_execute("LOCK TABLE meta IN SHARE MODE").await.map_err(read)?;
    let mut sink = Sink::begin(file, "postgres", schema.version)?;
    for table in TABLES {
        let mut sum = Sum::default();
        sink.table(table)?;
        rows(&snapshot, table, &mut |row| {
            sink.row(&mut sum, row)?;
            tell_of(&sum, table, tell);
            Ok(())
        })
        .await?;
        sink.end(table, sum)?;
    }
    sink.finish()
}

/// Puts the store of a file into an empty one, or makes it. All of it is one transaction: it is there as a whole, or nothing is.
pub async fn import(
    file: &Path,
    address: &Address,
    durability: Durability,
    tell: Tell<'_>,
) -> Result<Vec<MovedTable>, MoveError> {
    let mut source = Source::open(file, migrations::known_version())?;
    migrations::prepare(address, durability, migrations::known_version()).await?;
    let mut client = alone(address, durability).await?;
    let failed = |cause| opening::told(IMPORTING, cause);
    let transaction = opening::transaction(&mut client, &unhurried(address)).await.map_err(failed)?;
    // A server that starts meanwhile begins with this table, and gives up.
    transaction.batch_execute("LOCK TABLE meta IN ACCESS EXCLUSIVE MODE").await.map_err(failed)?;
    for table in TABLES.iter().filter(|table| table.name != "meta") {
        let any = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name);
        if transaction.query_typed_one(&any, &[]).await.map_err(failed)?.get(0) {
            let what = format!("{address} is not empty: there are rows in table {}", table.name);
            return Err(MoveError::Occupied(what));
        }
    }
    transaction.batch_execute("DELETE FROM meta").await.map_err(failed)?;
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        source.table(table)?;
        tables.push(take(&transaction, &mut source, table, tell).await?);
    }
    source.finish()?;
    for (table, wanted) in TABLES.iter().zip(&tables) {
        let mut sum = Sum::default();
        rows(&transaction, table, &mut |row| {
            sum.add(&line_of(row));
            Ok(())
        })
        .await?;
        compare(table, wanted, sum)?;
    }
    go_on(&transaction, &source.header.store).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(tables)
}

/// Whole tables are read and written; a table that somebody holds is waited for no longer than usual.
fn unhurried(address: &Address) -> String {
    address.of_a_transaction(&[("statement_timeout", 0), ("idle_in_transaction_session_timeout", 0)])
}

/// A connection to a store that no server has open.
async fn alone(address: &Address, durability: Durability) -> Result<Client, StoreError> {
    let client = opening::connect(address).await?;
    opening::check_server(&client, durability).await?;
    presence::nobody_else(&client, address).await?;
    Ok(client)
}

/// Reads every row of a table.
async fn rows(
    transaction: &Transaction<'_>,
    table: &Table,
    each: &mut (dyn FnMut(&[Value]) -> Result<(), MoveError> + Send),
) -> Result<(), MoveError> {
    let columns = table.columns();
    let wanted: Vec<String> = columns
        .iter()
        .map(|column| match column.kind {
            Kind::Int => format!("{}::bigint", column.name),
            _ => column.name.to_owned(),
        })
        .collect();
    let read = format!("SELECT {} FROM {} ORDER BY {}", wanted.join(", "), table.name, table.key);
    let failed = |cause| opening::told(EXPORTING, cause);
    let found =
        transaction.query_typed_raw(&read, std::iter::empty::<(i64, Type)>()).await.map_err(failed)?;
    pin_mut!(found);
    while let Some(row) = found.try_next().await.map_err(failed)? {
        let values = columns.iter().enumerate().map(|(place, column)| {
            value(&row, place, column.kind).map_err(|cause| {
                let reason = format!("table {}: column {}: {cause}", table.name, column.name);
                MoveError::Store(StoreError::Unreadable { reason })
            })
        });
        each(&values.collect::<Result<Vec<_>, _>>()?)?;
    }
    Ok(())
}

fn value(row: &Row, place: usize, kind: Kind) -> Result<Value, tokio_postgres::Error> {
    let found = match kind {
        Kind::Int => row.try_get::<_, Option<i64>>(place)?.map(Value::Int),
        Kind::Real => row.try_get::<_, Option<f64>>(place)?.map(Value::Real),
        Kind::Bool => row.try_get::<_, Option<bool>>(place)?.map(Value::Bool),
        Kind::Text | Kind::Owner => row.try_get::<_, Option<String>>(place)?.map(Value::Text),
        Kind::Id => row.try_get::<_, Option<Uuid>>(place)?.map(Value::Id),
        Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(place)?.map(Value::Bytes),
    };
    Ok(found.unwrap_or(Value::Null))
}

/// Writes the rows of a table, and comes back behind its last line.
async fn take(
    transaction: &Transaction<'_>,
    source: &mut Source,
    table: &Table,
    tell: Tell<'_>,
) -> Result<MovedTable, MoveError> {
    let copy = format!("COPY {} ({}) FROM STDIN", table.name, table.names());
    let failed = |source: &Source, cause| refused(source, table, cause);
    let at = table.columns().iter().position(|column| table.name == "event" && column.name == "at");
    let mut sum = Sum::default();
    let mut waiting = None;
    loop {
        // An event needs its week first, and that cannot be made while rows are on their way.
        let mut week = None;
        if let Some(at) = at {
            let (row, line) = match waiting.take() {
                Some(waiting) => waiting,
                None => match source.line(table, &sum)? {
                    Line::End(told) => return Ok(told),
                    Line::Row(row, line) => (row, line),
                },
            };
            make_week(transaction, &row[at]).await.map_err(|cause| failed(source, cause))?;
            week = Some(week_of(&row[at]));
            waiting = Some((row, line));
        }
        let sink = transaction.copy_in::<_, Bytes>(&copy).await.map_err(|cause| failed(source, cause))?;
        pin_mut!(sink);
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let ended = loop {
            let (row, line) = match waiting.take() {
                Some(waiting) => waiting,
                None => match source.line(table, &sum)? {
                    Line::End(told) => break Some(told),
                    Line::Row(row, line) => (row, line),
                },
            };
            if at.is_some_and(|at| week != Some(week_of(&row[at]))) {
                waiting = Some((row, line));
                break None;
            }
            copied(&row, &mut chunk);
            sum.add(&line);
            tell_of(&sum, table, tell);
            if chunk.len() >= CHUNK {
                let full = chunk.split().freeze();
                sink.send(full).await.map_err(|cause| failed(source, cause))?;
            }
        };
        sink.send(chunk.freeze()).await.map_err(|cause| failed(source, cause))?;
        sink.finish().await.map_err(|cause| failed(source, cause))?;
        if let Some(told) = ended {
            return Ok(told);
        }
    }
}

/// What a table does not take is the fault of the lines, unless the database is in trouble.
fn refused(source: &Source, table: &Table, cause: tokio_postgres::Error) -> MoveError {
    match cause.as_db_error() {
        Some(told) if ["22", "23"].iter().any(|class| told.code().code().starts_with(class)) => {
            let place = told.where_().and_then(|place| place.lines().next()).unwrap_or_default();
            source.damaged(format!(
                "table {} does not take what is in or before this line: {told} ({place})",
                table.name
            ))
        }
        _ => MoveError::Store(opening::told(IMPORTING, cause)),
    }
}

/// The week of an event, as the parts of its table are numbered.
fn week_of(at: &Value) -> i64 {
    const WEEK_MS: i64 = 7 * 86_400_000;
    match at {
        Value::Int(ms) => ms.div_euclid(WEEK_MS),
        _ => i64::MIN,
    }
}

async fn make_week(transaction: &Transaction<'_>, at: &Value) -> Result<(), tokio_postgres::Error> {
    let Value::Int(ms) = at else { return Ok(()) };
    transaction.query_typed("SELECT make_event_weeks($1, $1)", &[(ms, Type::INT8)]).await.map(|_| ())
}

/// A row in the text form of COPY.
fn copied(row: &[Value], chunk: &mut BytesMut) {
    for (place, value) in row.iter().enumerate() {
        if place > 0 {
            chunk.extend_from_slice(b"\t");
        }
        match value {
            Value::Null => chunk.extend_from_slice(b"\\N"),
            Value::Int(number) => chunk.extend_from_slice(number.to_string().as_bytes()),
            Value::Real(number) => chunk.extend_from_slice(number.to_string().as_bytes()),
            Value::Bool(yes) => chunk.extend_from_slice(if *yes { b"t" } else { b"f" }),
            Value::Id(id) => chunk.extend_from_slice(id.to_string().as_bytes()),
            Value::Bytes(bytes) => {
                chunk.extend_from_slice(b"\\\\x");
                chunk.extend_from_slice(hex(bytes).as_bytes());
            }
            Value::Text(text) => escaped(text, chunk),
        }
    }
    chunk.extend_from_slice(b"\n");
}

fn escaped(text: &str, chunk: &mut BytesMut) {
    for byte in text.bytes() {
        match byte {
            b'\\' => chunk.extend_from_slice(b"\\\\"),
            b'\n' => chunk.extend_from_slice(b"\\n"),
            b'\r' => chunk.extend_from_slice(b"\\r"),
            b'\t' => chunk.extend_from_slice(b"\\t"),
            other => chunk.extend_from_slice(&[other]),
        }
    }
}

/// Makes the store one that goes on: what it numbers by itself goes on behind what there is, fences are above all of before, even if
/// somebody starts the store that was left; and the next event tells of the move.
async fn go_on(transaction: &Transaction<'_>, from: &str) -> Result<(), tokio_postgres::Error> {
    for table in TABLES {
        let Some(column) = table.numbered() else { continue };
        let name = table.name;
        let set = format!(
            "SELECT setval(pg_get_serial_sequence('{name}', '{column}'), max({column})) FROM {name} HAVING count(*) > 0"
        );
        transaction.query_typed(&set, &[]).await?;
    }
    let last = "SELECT greatest(coalesce((SELECT max(sequence) FROM event), 0), events_gone), fence_epoch, sixpack_now() FROM meta";
    let row = transaction.query_typed_one(last, &[]).await?;
    let (last, epoch, now): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    transaction
        .execute_typed("UPDATE meta SET fence_epoch = $1", &[(&next_epoch(now, epoch), Type::INT8)])
        .await?;
    make_week(transaction, &Value::Int(now)).await?;
    let event = moved_event(now, from, last);
    let tell =
        "INSERT INTO event (sequence, at, environment, kind, part, data) VALUES ($1, $2, $3, $4, 0, $5)";
    let (next, kind) = (last + 1, event.kind.as_ref());
    let texts: [&(dyn ToSql + Sync); 3] = [&event.environment, &kind, &event.data];
    let numbers: [&(dyn ToSql + Sync); 2] = [&next, &event.at];
    let numbers = numbers.into_iter().map(|number| (number, Type::INT8));
    let values: Vec<_> = numbers.chain(texts.into_iter().map(|text| (text, Type::TEXT))).collect();
    transaction.execute_typed(tell, &values).await?;
    transaction.query_typed("SELECT setval('event_sequence', $1)", &[(&next, Type::INT8)]).await?;
    Ok(())
}

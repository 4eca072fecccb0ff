//! Columns: how ids, times, spans, numbers and JSON are written and read back.

use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sixpack_model::name::ContractName;
use uuid::Uuid;

use super::codes::Code;
pub(super) use crate::stored::values::{int, json, ms, ms_of, time};

/// Reads an id.
pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get::<_, [u8; 16]>(column).map(Uuid::from_bytes)
}

/// Reads an id that may be absent.
pub(super) fn id_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Uuid>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(Uuid::from_bytes))
}

/// Reads a time.
pub(super) fn time_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(time)
}

/// Reads a time that may be absent.
pub(super) fn time_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(time))
}

/// Reads a number that is never negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// Reads a state.
pub(super) fn code<T: Code>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let number = row.get(column)?;
    T::from_code(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// Reads a state that may be absent.
pub(super) fn code_of<T: Code>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(number) => {
            T::from_code(number).map(Some).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
        }
    }
}

/// Reads JSON.
pub(super) fn parsed<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str().map_err(|cause| unreadable(column, cause))?;
    serde_json::from_str(text).map_err(|cause| unreadable(column, cause))
}

/// Reads JSON that may be absent.
pub(super) fn parsed_of<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null().map_err(|cause| unreadable(column, cause))? {
        None => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|cause| unreadable(column, cause)),
    }
}

/// Reads a value that many may share.
pub(super) fn shared_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Arc<Value>>> {
    Ok(parsed_of(row, column)?.map(Arc::new))
}

/// Reads the name of a contract.
pub(super) fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<ContractName> {
    let text = row.get_ref(column)?.as_str().map_err(|cause| unreadable(column, cause))?;
    ContractName::from_str(text).map_err(|cause| unreadable(column, cause))
}

/// What is stored cannot be understood.
pub(super) fn unreadable(
    column: usize,
    cause: impl Into<Box<dyn Error + Send + Sync + 'static>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause.into())
}

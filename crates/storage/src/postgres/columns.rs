//! Columns: how ids, times, spans, numbers and JSON are written and read back.

use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;

use bytes::BytesMut;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::faults::Fault;
use crate::stored::codes::Code;
pub(super) use crate::stored::values::{int, json, ms, ms_of, time};

/// A whole number as it is stored, in a column of whichever width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Int(pub(super) i64);

impl From<u32> for Int {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl ToSql for Int {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match *kind {
            Type::INT2 => i16::try_from(self.0)?.to_sql(kind, out),
            Type::INT4 => i32::try_from(self.0)?.to_sql(kind, out),
            _ => self.0.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT2 | Type::INT4 | Type::INT8)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Int {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match *kind {
            Type::INT2 => i16::from_sql(kind, raw).map(|number| Self(number.into())),
            Type::INT4 => i32::from_sql(kind, raw).map(|number| Self(number.into())),
            _ => i64::from_sql(kind, raw).map(Self),
        }
    }

    fn accepts(kind: &Type) -> bool {
        <Self as ToSql>::accepts(kind)
    }
}

/// A state as it is stored.
pub(super) fn number_of_code(state: impl Code) -> Int {
    Int(state.code())
}

/// Reads a text, a truth, a fraction, bytes, or any of these that may be absent.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, Fault> {
    row.try_get(column).map_err(|cause| unreadable(column, cause))
}

/// Reads a whole number.
pub(super) fn number<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<T, Fault> {
    let Int(number) = get(row, column)?;
    T::try_from(number).map_err(|_| out_of_range(column, number))
}

/// Reads a whole number that may be absent.
pub(super) fn number_of<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<Option<T>, Fault> {
    let read = |Int(number)| T::try_from(number).map_err(|_| out_of_range(column, number));
    get::<Option<Int>>(row, column)?.map(read).transpose()
}

/// Reads an id.
pub(super) fn id(row: &Row, column: usize) -> Result<Uuid, Fault> {
    get(row, column)
}

/// Reads an id that may be absent.
pub(super) fn id_of(row: &Row, column: usize) -> Result<Option<Uuid>, Fault> {
    get(row, column)
}

/// Reads a time.
pub(super) fn time_at(row: &Row, column: usize) -> Result<Timestamp, Fault> {
    number(row, column).map(time)
}

/// Reads a time that may be absent.
pub(super) fn time_of(row: &Row, column: usize) -> Result<Option<Timestamp>, Fault> {
    Ok(number_of(row, column)?.map(time))
}

/// Reads a state.
pub(super) fn code<T: Code>(row: &Row, column: usize) -> Result<T, Fault> {
    let number = number(row, column)?;
    T::from_code(number).ok_or_else(|| out_of_range(column, number))
}

/// Reads a state that may be absent.
pub(super) fn code_of<T: Code>(row: &Row, column: usize) -> Result<Option<T>, Fault> {
    let read = |number| T::from_code(number).ok_or_else(|| out_of_range(column, number));
    number_of(row, column)?.map(read).transpose()
}

/// Reads JSON.
pub(super) fn parsed<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, Fault> {
    serde_json::from_str(get(row, column)?).map_err(|cause| unreadable(column, cause))
}

/// Reads JSON that may be absent.
pub(super) fn parsed_of<T: DeserializeOwned>(row: &Row, column: usize) -> Result<Option<T>, Fault> {
    let text: Option<&str> = get(row, column)?;
    text.map(serde_json::from_str).transpose().map_err(|cause| unreadable(column, cause))
}

/// Reads a value that many may share.
pub(super) fn shared_of(row: &Row, column: usize) -> Result<Option<Arc<Value>>, Fault> {
    Ok(parsed_of(row, column)?.map(Arc::new))
}

/// Reads what is written as text and has a type of its own.
pub(super) fn named<T: FromStr>(row: &Row, column: usize) -> Result<T, Fault>
where
    T::Err: Into<Box<dyn Error + Send + Sync>>,
{
    get::<&str>(row, column)?.parse().map_err(|cause: T::Err| unreadable(column, cause))
}

/// What is stored cannot be understood.
pub(super) fn unreadable(column: usize, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
    Fault::Unreadable { column, cause: cause.into() }
}

fn out_of_range(column: usize, number: i64) -> Fault {
    unreadable(column, format!("{number} is out of range"))
}

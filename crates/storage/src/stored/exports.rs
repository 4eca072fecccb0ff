//! Exports: the lines of a file that holds a whole store, written and read one row at a time.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::partial::Partial;
use super::tables::{Kind, TABLES, Table};
use crate::moving::{MoveError, MovedTable, Progress, Tell};

/// The form of the lines; a change of it gets the next number.
const FORM: u32 = 1;

/// The longest line that is read: several of the longest texts that a dataset may hold.
const LINE_BYTES: u64 = 512 << 20;

/// Rows between two words about progress.
const TOLD_EVERY: u64 = 20_000;

/// A value of a row, whichever database it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Real(f64),
    Bool(bool),
    Text(String),
    Id(Uuid),
    Bytes(Vec<u8>),
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Real(number) => serializer.serialize_f64(*number),
            Self::Bool(yes) => serializer.serialize_bool(*yes),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Id(id) => serializer.collect_str(id),
            Self::Bytes(bytes) => serializer.serialize_str(&hex(bytes)),
        }
    }
}

impl Value {
    /// Takes what a line holds, as JSON, for what a column of this kind holds.
    fn read(kind: Kind, json: &str) -> Option<Self> {
        fn of<'j, T: Deserialize<'j>>(json: &'j str) -> Option<T> {
            serde_json::from_str(json).ok()
        }
        if json == "null" {
            return Some(Self::Null);
        }
        Some(match kind {
            Kind::Int => Self::Int(of(json)?),
            Kind::Real => Self::Real(of(json)?),
            Kind::Bool => Self::Bool(of(json)?),
            Kind::Text | Kind::Owner => Self::Text(of(json)?),
            Kind::Id => Self::Id(of::<String>(json)?.parse().ok()?),
            Kind::Bytes => Self::Bytes(unhex(&of::<String>(json)?)?),
        })
    }
}

/// The values of a row as they stand there, and no more of them than it may have: what a line of nothing but values would take in memory
/// has no bound otherwise.
struct Texts {
    most: usize,
}

impl<'l> DeserializeSeed<'l> for Texts {
    type Value = Vec<&'l RawValue>;

    fn deserialize<D: Deserializer<'l>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'l> Visitor<'l> for Texts {
    type Value = Vec<&'l RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at most {} values", self.most)
    }

    fn visit_seq<A: SeqAccess<'l>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::with_capacity(self.most);
        while let Some(text) = values.next_element()? {
            if texts.len() == self.most {
                return Err(A::Error::custom("there are more values than columns"));
            }
            texts.push(text);
        }
        Ok(texts)
    }
}

/// The sum over the rows of a table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    rows: u64,
    lanes: [u64; 4],
}

impl Sum {
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.rows += 1;
        let hash = blake3::hash(line);
        for (lane, bytes) in self.lanes.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            let part = u64::from_le_bytes(bytes.try_into().expect("a chunk has eight bytes"));
            *lane = lane.wrapping_add(part);
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn told(self, table: &Table) -> MovedTable {
        let bytes: Vec<u8> = self.lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect();
        MovedTable { name: table.name, rows: self.rows, hash: hex(&bytes) }
    }
}

/// A row as it is written and summed up.
pub(crate) fn line_of(row: &[Value]) -> Vec<u8> {
    serde_json::to_vec(row).expect("values of a row can be written as JSON")
}

/// Says how far it is, when it is time to.
pub(crate) fn tell_of(sum: &Sum, table: &Table, tell: Tell<'_>) {
    if sum.rows.is_multiple_of(TOLD_EVERY) {
        tell(Progress { table: table.name, rows: sum.rows });
    }
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    sixpack_export: u32,
    /// The version of the schema, counted as PostgreSQL's are.
    pub(crate) schema: u32,
    pub(crate) store: String,
}

#[derive(Serialize, Deserialize)]
struct Begin<'s> {
    table: &'s str,
    columns: Vec<&'s str>,
}

#[derive(Serialize, Deserialize)]
struct End<'s> {
    end: &'s str,
    rows: u64,
    hash: &'s str,
}

/// The name of the last line.
const WHOLE: &str = "export";

/// A file that is being written.
pub(crate) struct Sink {
    out: BufWriter<File>,
    hash: blake3::Hasher,
    partial: Partial,
    sums: Vec<MovedTable>,
}

impl Sink {
    pub(crate) fn begin(file: &Path, store: &'static str, schema: u32) -> Result<Self, MoveError> {
        let partial = Partial::begin(file)?;
        let opened =
            partial.held().try_clone().map_err(|cause| io_error(partial.path(), "written", cause))?;
        let (out, hash) = (BufWriter::with_capacity(1 << 20, opened), blake3::Hasher::new());
        let mut sink = Self { out, hash, partial, sums: Vec::new() };
        sink.line(&Header { sixpack_export: FORM, schema, store: store.to_owned() })?;
        Ok(sink)
    }

    pub(crate) fn table(&mut self, table: &Table) -> Result<(), MoveError> {
        let columns = table.columns().iter().map(|column| column.name).collect();
        self.line(&Begin { table: table.name, columns })
    }

    pub(crate) fn row(&mut self, sum: &mut Sum, row: &[Value]) -> Result<(), MoveError> {
        let line = line_of(row);
        sum.add(&line);
        self.bytes(line)
    }

    pub(crate) fn end(&mut self, table: &Table, sum: Sum) -> Result<(), MoveError> {
        let told = sum.told(table);
        self.line(&End { end: told.name, rows: told.rows, hash: &told.hash })?;
        self.sums.push(told);
        Ok(())
    }

    /// Gives the file its name, when all of it is on the disk.
    pub(crate) fn finish(mut self) -> Result<Vec<MovedTable>, MoveError> {
        let hash = self.hash.finalize().to_hex();
        self.line(&End { end: WHOLE, rows: self.sums.len() as u64, hash: hash.as_str() })?;
        self.out.flush().map_err(|cause| io_error(self.partial.path(), "written", cause))?;
        self.partial.finish()?;
        Ok(self.sums)
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), MoveError> {
        self.bytes(serde_json::to_vec(line).expect("our own lines can be written as JSON"))
    }

    fn bytes(&mut self, mut line: Vec<u8>) -> Result<(), MoveError> {
        line.push(b'\n');
        self.hash.update(&line);
        self.out.write_all(&line).map_err(|cause| io_error(self.partial.path(), "written", cause))
    }
}

/// A file that is being read.
pub(crate) struct Source {
    lines: BufReader<File>,
    hash: blake3::Hasher,
    file: PathBuf,
    line: u64,
    pub(crate) header: Header,
}

/// What a line of a table is.
pub(crate) enum Line {
    Row(Vec<Value>, Vec<u8>),
    End(MovedTable),
}

impl Source {
    /// Opens an export of this version of the schema.
    pub(crate) fn open(file: &Path, schema: u32) -> Result<Self, MoveError> {
        let opened = File::open(file).map_err(|cause| io_error(file, "read", cause))?;
        let header = Header { sixpack_export: 0, schema: 0, store: String::new() };
        let lines = BufReader::with_capacity(1 << 20, opened);
        let mut source = Self { lines, hash: blake3::Hasher::new(), file: file.to_owned(), line: 0, header };
        let line = source.next()?;
        source.header = serde_json::from_slice(&line)
            .map_err(|_| source.damaged("this is not what `sixpack export` has written"))?;
        let (form, found) = (source.header.sixpack_export, source.header.schema);
        if form != FORM || found != schema {
            let file = file.display();
            return Err(MoveError::OtherVersion(format!(
                "{file} is in form {form} of schema version {found}, and this build takes form {FORM} of version {schema}: \
                 export and import with the same build"
            )));
        }
        Ok(source)
    }

    /// Begins a table; they come in one sequence.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), MoveError> {
        let line = self.next()?;
        let columns: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
        match serde_json::from_slice::<Begin<'_>>(&line) {
            Ok(begin) if begin.table == table.name && begin.columns == columns => Ok(()),
            _ => Err(self.damaged(format!("table {} with its columns is expected here", table.name))),
        }
    }

    /// The next line of a table.
    pub(crate) fn line(&mut self, table: &Table, sum: &Sum) -> Result<Line, MoveError> {
        let line = self.next()?;
        let wrong = |source: &Self| source.damaged(format!("this is no row of table {}", table.name));
        if line.first() == Some(&b'{') {
            let end: End<'_> = serde_json::from_slice(&line).map_err(|_| wrong(self))?;
            let found = sum.told(table);
            if end.end != table.name {
                return Err(wrong(self));
            }
            if (end.rows, end.hash) != (found.rows, found.hash.as_str()) {
                return Err(self.damaged(format!(
                    "table {} is said to have {} rows with the hash {}, and has {} with {}",
                    table.name, end.rows, end.hash, found.rows, found.hash
                )));
            }
            return Ok(Line::End(found));
        }
        let columns = table.columns();
        let values =
            Texts { most: columns.len() }.deserialize(&mut serde_json::Deserializer::from_slice(&line));
        let values = values.map_err(|_| wrong(self))?;
        if values.len() != columns.len() {
            return Err(wrong(self));
        }
        let row = columns.iter().zip(values).map(|(column, json)| {
            Value::read(column.kind, json.get()).ok_or_else(|| {
                self.damaged(format!("table {}: column {} holds something else", table.name, column.name))
            })
        });
        let row = row.collect::<Result<Vec<_>, _>>()?;
        Ok(Line::Row(row, line))
    }

    /// Reads the last line, which says that all was there.
    pub(crate) fn finish(&mut self) -> Result<(), MoveError> {
        let hash = self.hash.finalize().to_hex();
        let line = self.next()?;
        let whole = serde_json::from_slice::<End<'_>>(&line)
            .is_ok_and(|end| (end.end, end.rows, end.hash) == (WHOLE, TABLES.len() as u64, hash.as_str()));
        let mut rest = [0; 1];
        let behind = self.lines.read(&mut rest).map_err(|cause| io_error(&self.file, "read", cause))?;
        if whole && behind == 0 { Ok(()) } else { Err(self.damaged("the file is not what was written")) }
    }

    fn next(&mut self) -> Result<Vec<u8>, MoveError> {
        self.line += 1;
        let mut line = Vec::new();
        let read = self.lines.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line);
        read.map_err(|cause| io_error(&self.file, "read", cause))?;
        self.hash.update(&line);
        if line.pop() == Some(b'\n') {
            Ok(line)
        } else {
            Err(self.damaged("the file ends here, or the line is too long: it was cut off or damaged"))
        }
    }

    pub(crate) fn damaged(&self, why: impl Into<String>) -> MoveError {
        MoveError::Damaged { file: self.file.display().to_string(), line: self.line, why: why.into() }
    }
}

/// Compares what is there with what was to be written.
pub(crate) fn compare(table: &Table, wanted: &MovedTable, found: Sum) -> Result<(), MoveError> {
    let found = found.told(table);
    if found == *wanted {
        return Ok(());
    }
    Err(MoveError::Differs {
        table: table.name,
        rows: wanted.rows,
        hash: wanted.hash.clone(),
        found_rows: found.rows,
        found_hash: found.hash,
    })
}

pub(crate) fn io_error(path: &Path, doing: &'static str, cause: io::Error) -> MoveError {
    MoveError::Io { path: path.to_owned(), doing, cause }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("export");
        let mut sink = Sink::begin(&file, "sqlite", 2).unwrap();
        assert!(!file.exists());
        let token = TABLES.iter().find(|table| table.name == "token").unwrap();
        let row = |number: i64| -> Vec<Value> {
            let of = |kind| match kind {
                Kind::Int => Value::Int(number),
                Kind::Id => Value::Id(Uuid::from_u128(number.unsigned_abs().into())),
                Kind::Bytes => Value::Bytes(vec![0, 255, 7]),
                _ => Value::Text("two\nlines, \"quotes\", é and \u{1f600}".to_owned()),
            };
            token.columns().iter().map(|column| of(column.kind)).collect()
        };
        for table in TABLES {
            let mut sum = Sum::default();
            sink.table(table).unwrap();
            if table.name == "token" {
                sink.row(&mut sum, &row(-5)).unwrap();
                sink.row(&mut sum, &row(i64::MAX)).unwrap();
            }
            sink.end(table, sum).unwrap();
        }
        let sums = sink.finish().unwrap();
        assert_eq!(sums.iter().map(|sum| sum.rows).sum::<u64>(), 2);
        let mut source = Source::open(&file, 2).unwrap();
        for table in TABLES {
            let (mut sum, mut rows) = (Sum::default(), Vec::new());
            source.table(table).unwrap();
            while let Line::Row(values, line) = source.line(table, &sum).unwrap() {
                sum.add(&line);
                rows.push(values);
            }
            let expected = if table.name == "token" { vec![row(-5), row(i64::MAX)] } else { Vec::new() };
            assert_eq!(rows, expected, "{}", table.name);
        }
        source.finish().unwrap();
        assert!(matches!(Source::open(&file, 3), Err(MoveError::OtherVersion(_))));
        assert!(matches!(Sink::begin(&file, "sqlite", 2), Err(MoveError::Occupied(_))));
    }

    #[test]
    fn the_hash_of_a_table_is_that_of_its_rows_in_whatever_order() {
        let sum = |rows: &[&str]| {
            let mut sum = Sum::default();
            rows.iter().for_each(|row| sum.add(row.as_bytes()));
            sum
        };
        assert_eq!(sum(&["a", "b", "c"]), sum(&["c", "a", "b"]));
        assert_ne!(sum(&["a", "b"]), sum(&["a", "c"]));
        assert_ne!(sum(&["a"]), sum(&["a", "a"]));
    }
}

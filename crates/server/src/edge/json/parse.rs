//! The JSON parser: one pass to a value, refusing what the usual parsers take in silence.
//!
//! Our own, because the rules need what the library cannot give: duplicate keys refused in free-form values too,
//! numbers kept digit for digit but bounded, no room for keys by which the library smuggles numbers through its
//! data model, and a code and a place for each refusal. It agrees with the library on every other document (tested).

mod counting;
mod texts;

use http::StatusCode;
use serde_json::{Map, Number, Value};

use crate::edge::check::push_segment;
use crate::edge::problem::{Problem, ProblemFault, echoed};

use counting::{TooMany, max_objects, too_many};

/// Nesting that is refused beyond: every later walk over the value may recurse without fear for its stack.
pub const DEPTH_MAX: usize = 64;

/// Values in one document that does not say otherwise, so that the memory of a body is a small multiple of its size. At most a
/// quarter of them may be objects.
pub const VALUES_MAX: usize = 80_000;

/// Values that are built before those of the whole document are counted: most documents have fewer, and it costs nothing to
/// throw so many away.
const COUNTED_FROM: usize = 20_000;

/// Bytes of a key; keys are repeated in indexes, paths and messages.
pub const KEY_MAX_BYTES: usize = 1_024;

/// Bytes of one text: the longest that any field takes is a file. A longer one is never copied as a whole, so that a body
/// is not there twice to be refused.
pub const TEXT_MAX_BYTES: usize = 1024 * 1024;

/// Digits of a number and size of its exponent: beyond, writing it out or calculating costs more than it says.
pub const NUMBER_MAX: usize = 400;

/// Keys by which the library marks numbers and raw values on their way through its data model.
const RESERVED_KEY_PREFIX: &str = "$serde_json::private::";

/// What becomes of a text of more than [`TEXT_MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongTexts {
    /// The document is refused.
    Refused,
    /// Its end is left out behind the first byte that is too many, for documents of parts that are judged one by one:
    /// the part that it stands in is refused for its length, and the others are not.
    Cut,
}

/// Why a document is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonFault {
    /// 400 when it is not JSON, 422 when it is JSON that is not taken.
    pub status: StatusCode,
    /// Stable name of the refusal.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// JSON Pointer of the value that was being read.
    pub pointer: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl From<JsonFault> for Problem {
    fn from(fault: JsonFault) -> Self {
        let detail = format!("{} at line {}, column {}.", fault.message, fault.line, fault.column);
        let item = ProblemFault::new(fault.pointer, fault.code, fault.message).at(fault.line, fault.column);
        let title = if fault.status == StatusCode::BAD_REQUEST {
            "The body is not readable JSON"
        } else {
            "The body is not valid"
        };
        Self::new(fault.status, fault.code, title).detail(detail).fault(item)
    }
}

/// Parses one JSON document of ordinary size.
///
/// # Errors
/// Those of [`parse_within`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    parse_within(bytes, VALUES_MAX, LongTexts::Refused)
}

/// Parses one JSON document of at most so many values.
///
/// # Errors
/// `json_syntax`, `json_too_deep`, `duplicate_key` (400); `nul_not_allowed`, `number_range`, `too_many_values`,
/// `too_long`, `key_too_long`, `reserved_key` (422). The first fault ends the reading.
pub fn parse_within(bytes: &[u8], max_values: usize, long_texts: LongTexts) -> Result<Value, JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let fault = Fault::syntax(error.valid_up_to(), "The body is not UTF-8");
        fault.place(bytes)
    })?;
    let mut parser = Parser { text, bytes, at: 0, depth: 0, values: 0, objects: 0, max_values, long_texts };
    let value = parser.document().map_err(|fault| fault.place(bytes))?;
    Ok(value)
}

struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
    at: usize,
    /// Gathered from the inside out.
    path: Vec<String>,
}

impl Fault {
    fn syntax(at: usize, message: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::BAD_REQUEST, "json_syntax", at, message)
    }

    fn refused(code: &'static str, at: usize, message: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, at, message)
    }

    fn new(status: StatusCode, code: &'static str, at: usize, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { status, code, message: message.into(), at, path: Vec::new() })
    }

    fn within(mut self: Box<Self>, segment: &str) -> Box<Self> {
        self.path.push(echoed(segment));
        self
    }

    fn place(self, bytes: &[u8]) -> JsonFault {
        let before = String::from_utf8_lossy(&bytes[..self.at.min(bytes.len())]);
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) as u64 + 1;
        let mut pointer = String::new();
        for segment in self.path.iter().rev() {
            push_segment(&mut pointer, segment);
        }
        JsonFault { status: self.status, code: self.code, message: self.message, pointer, line, column }
    }
}

type Parsed<T> = Result<T, Box<Fault>>;

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    values: usize,
    objects: usize,
    max_values: usize,
    long_texts: LongTexts,
}

impl Parser<'_> {
    fn document(&mut self) -> Parsed<Value> {
        let value = self.value()?;
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(Fault::syntax(self.at, "Something follows the end of the document"));
        }
        Ok(value)
    }

    fn value(&mut self) -> Parsed<Value> {
        self.values += 1;
        // Counted ahead, because what has been built is far larger than what it was built from.
        if self.values == COUNTED_FROM
            && let Some(what) = too_many(self.bytes, self.max_values)
        {
            return Err(self.too_many(what));
        }
        if self.values > self.max_values {
            return Err(self.too_many(TooMany::Values));
        }
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(Fault::syntax(self.at, "A JSON value is expected")),
            None => Err(Fault::syntax(self.at, "The document ends where a JSON value is expected")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == DEPTH_MAX {
            let message = format!("The document is nested more than {DEPTH_MAX} deep");
            return Err(Fault::new(StatusCode::BAD_REQUEST, "json_too_deep", self.at, message));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn too_many(&self, what: TooMany) -> Box<Fault> {
        let message = match what {
            TooMany::Values => format!("The document has more than {} values", self.max_values),
            TooMany::Objects => {
                format!("The document has more than {} objects", max_objects(self.max_values))
            }
        };
        Fault::refused("too_many_values", self.at, message)
    }

    fn object(&mut self) -> Parsed<Value> {
        self.objects += 1;
        if self.objects > max_objects(self.max_values) {
            return Err(self.too_many(TooMany::Objects));
        }
        let mut fields = Map::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Object(fields));
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(Fault::syntax(self.at, "A key in double quotes is expected"));
            }
            let key = self.string()?;
            self.check_key(&key, start)?;
            if fields.contains_key(&key) {
                let message = format!("The key `{}` is there twice", echoed(&key));
                let fault = Fault::new(StatusCode::BAD_REQUEST, "duplicate_key", start, message);
                return Err(fault.within(&key));
            }
            self.skip_space();
            if !self.take(b':') {
                return Err(Fault::syntax(self.at, "A colon is expected after a key"));
            }
            match self.value() {
                Ok(value) => fields.insert(key, value),
                Err(fault) => return Err(fault.within(&key)),
            };
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Object(fields));
            }
            if !self.take(b',') {
                return Err(Fault::syntax(self.at, "A comma or the end of the object is expected"));
            }
        }
    }

    fn check_key(&self, key: &str, start: usize) -> Parsed<()> {
        if key.len() > KEY_MAX_BYTES {
            let message = format!("A key may have at most {KEY_MAX_BYTES} bytes");
            return Err(Fault::refused("key_too_long", start, message));
        }
        if key.starts_with(RESERVED_KEY_PREFIX) {
            let message = format!("Keys that begin with `{RESERVED_KEY_PREFIX}` are reserved");
            return Err(Fault::refused("reserved_key", start, message));
        }
        Ok(())
    }

    fn array(&mut self) -> Parsed<Value> {
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            match self.value() {
                Ok(value) => items.push(value),
                Err(fault) => return Err(fault.within(&items.len().to_string())),
            }
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(Fault::syntax(self.at, "A comma or the end of the array is expected"));
            }
        }
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        self.take(b'-');
        let mut digits = if self.take(b'0') { 1 } else { self.digits()? };
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(Fault::syntax(start, "A number must not begin with a zero"));
        }
        if self.take(b'.') {
            digits += self.digits()?;
        }
        let mut exponent = 0;
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            let from = self.at;
            self.digits()?;
            exponent = self.text[from..self.at].parse().unwrap_or(usize::MAX);
        }
        if digits > NUMBER_MAX || exponent > NUMBER_MAX {
            let message =
                format!("A number may have at most {NUMBER_MAX} digits and an exponent up to {NUMBER_MAX}");
            return Err(Fault::refused("number_range", start, message));
        }
        // The library's own parsing would lose digits or refuse; the text was just proven to be a number.
        Ok(Value::Number(Number::from_string_unchecked(self.text[start..self.at].to_owned())))
    }

    fn digits(&mut self) -> Parsed<usize> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { Err(Fault::syntax(from, "A digit is expected")) } else { Ok(self.at - from) }
    }

    fn word(&mut self, word: &str, value: Value) -> Parsed<Value> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(Fault::syntax(self.at, "A JSON value is expected"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

//! Fields of a JSON object, read one by one; what is wrong with any of them is collected.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::fault::{Fault, join};
use crate::limits::FAULTS_MAX;
use crate::name::segment;
use crate::schema::Schema;
use crate::text::{did_you_mean, excerpt, line, prose, quoted};

/// An object whose fields are all known.
pub(crate) struct Fields<'a> {
    members: &'a Map<String, Value>,
    pub(crate) pointer: String,
}

/// Faults found so far; a reading that found one still goes on, to find the others.
pub(crate) type Faults = Vec<Fault>;

impl<'a> Fields<'a> {
    /// Takes an object; what it holds beyond the known fields is a fault.
    pub(crate) fn open(value: &'a Value, pointer: &str, known: &[&str], faults: &mut Faults) -> Option<Self> {
        let Value::Object(members) = value else {
            faults.push(Fault::new(pointer, "type", "is not an object"));
            return None;
        };
        let unknown = members.keys().filter(|name| !known.contains(&name.as_str()));
        for name in unknown.take(FAULTS_MAX) {
            let hint = did_you_mean(name, known.iter().copied());
            let message =
                format!("{} is not a known field{hint}; known are {}", quoted(name), known.join(", "));
            faults.push(Fault::new(join(pointer, name), "unknown_field", message));
        }
        Some(Self { members, pointer: pointer.to_owned() })
    }

    /// Where a field is.
    pub(crate) fn at(&self, name: &str) -> String {
        join(&self.pointer, name)
    }

    /// A field that may be absent. `null` is not absent: it stays, and is of the wrong type for every field.
    pub(crate) fn optional(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &str, faults: &mut Faults) -> Option<&'a Value> {
        let value = self.members.get(name);
        if value.is_none() {
            faults.push(Fault::new(self.at(name), "required", format!("\"{name}\" is missing")));
        }
        value
    }

    /// One line of text, not empty.
    pub(crate) fn line(&self, name: &str, limit_bytes: usize, faults: &mut Faults) -> Option<String> {
        let text = self.text(name, faults)?;
        let line = keep(line(&self.at(name), text, limit_bytes), faults)?;
        if line.is_empty() {
            faults.push(Fault::new(self.at(name), "empty", "is empty"));
            return None;
        }
        Some(line)
    }

    /// Text of several lines; empty when absent.
    pub(crate) fn prose(&self, name: &str, limit_bytes: usize, faults: &mut Faults) -> String {
        let text = self.text(name, faults);
        text.and_then(|text| keep(prose(&self.at(name), text, limit_bytes), faults)).unwrap_or_default()
    }

    /// A part of a name; `what` completes "is not …".
    pub(crate) fn segment(&self, name: &str, what: &'static str, faults: &mut Faults) -> Option<String> {
        let text = self.text(name, faults)?;
        match segment(what, text) {
            Ok(()) => Some(text.to_owned()),
            Err(error) => {
                faults.push(Fault::new(self.at(name), "name_pattern", error.to_string()));
                None
            }
        }
    }

    /// A link that a browser may be sent to.
    pub(crate) fn link(&self, name: &str, limit_bytes: usize, faults: &mut Faults) -> Option<String> {
        let link = self.line(name, limit_bytes, faults)?;
        let host = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
        if host.is_some_and(|host| !host.is_empty()) && !link.contains(char::is_whitespace) {
            return Some(link);
        }
        let message = format!("{} is not a link that begins with https:// or http://", quoted(&link));
        faults.push(Fault::new(self.at(name), "link", message));
        None
    }

    /// True or false.
    pub(crate) fn boolean(&self, name: &str, faults: &mut Faults) -> Option<bool> {
        let value = self.optional(name)?;
        if value.as_bool().is_none() {
            faults.push(Fault::new(self.at(name), "type", "is neither true nor false"));
        }
        value.as_bool()
    }

    /// A whole number within bounds.
    pub(crate) fn integer(
        &self,
        name: &str,
        allowed: RangeInclusive<u64>,
        faults: &mut Faults,
    ) -> Option<u64> {
        let value = self.optional(name)?;
        let bounds = format!("a whole number from {} to {} is allowed", allowed.start(), allowed.end());
        let shown = excerpt(&value.to_string());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match value {
            Value::Number(number) => match number.as_u64() {
                Some(whole) if allowed.contains(&whole) => return Some(whole),
                None if !digits(number.as_str().trim_start_matches('-')) || number.as_str() == "-0" => {
                    faults.push(Fault::new(self.at(name), "type", format!("is {shown}; {bounds}")));
                }
                _ => faults.push(Fault::new(self.at(name), "range", format!("is {shown}; {bounds}"))),
            },
            _ => faults.push(Fault::new(self.at(name), "type", format!("is not a number; {bounds}"))),
        }
        None
    }

    /// A number within bounds.
    pub(crate) fn number(
        &self,
        name: &str,
        allowed: RangeInclusive<f64>,
        faults: &mut Faults,
    ) -> Option<f64> {
        let value = self.required(name, faults)?;
        let bounds = format!("a number from {} to {} is allowed", allowed.start(), allowed.end());
        match value.as_f64() {
            Some(number) if allowed.contains(&number) => return Some(number),
            None if !value.is_number() => {
                faults.push(Fault::new(self.at(name), "type", format!("is not a number; {bounds}")));
            }
            _ => {
                let shown = excerpt(&value.to_string());
                faults.push(Fault::new(self.at(name), "range", format!("is {shown}; {bounds}")));
            }
        }
        None
    }

    /// A schema; what it warns of is collected too.
    pub(crate) fn schema(&self, name: &str, faults: &mut Faults, warnings: &mut Faults) -> Option<Schema> {
        let at = self.at(name);
        match Schema::parse(self.optional(name)?) {
            Ok(schema) => {
                warnings.extend(schema.warnings().iter().cloned().map(|warning| warning.under(&at)));
                Some(schema)
            }
            Err(found) => {
                faults.extend(found.into_iter().map(|fault| fault.under(&at)));
                None
            }
        }
    }

    /// One of several words.
    pub(crate) fn word(
        &self,
        name: &str,
        allowed: &[&'static str],
        faults: &mut Faults,
    ) -> Option<&'static str> {
        let text = self.text(name, faults)?;
        word(text, &self.at(name), allowed, faults)
    }

    fn text(&self, name: &str, faults: &mut Faults) -> Option<&'a str> {
        let value = self.optional(name)?;
        if !value.is_string() {
            faults.push(Fault::new(self.at(name), "type", "is not a string"));
        }
        value.as_str()
    }
}

/// One of several words.
pub(crate) fn word(
    text: &str,
    pointer: &str,
    allowed: &[&'static str],
    faults: &mut Faults,
) -> Option<&'static str> {
    let found = allowed.iter().find(|word| **word == text).copied();
    if found.is_none() {
        let hint = did_you_mean(text, allowed.iter().copied());
        let message = format!("{} is not one of {}{hint}", quoted(text), allowed.join(", "));
        faults.push(Fault::new(pointer, "enum", message));
    }
    found
}

/// The result, or its fault to the others.
pub(crate) fn keep<T>(result: Result<T, Fault>, faults: &mut Faults) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

//! The supplier protocol: which of its revisions are spoken here.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::text::excerpt;

/// The revisions that are spoken. A manifest that names none speaks the first: there was no other when the field came.
///
/// It grows at its end with the first change that a supplier of before would misread, and is cut at its beginning when
/// nobody is left who speaks that.
pub const PROTOCOLS: RangeInclusive<u32> = 1..=1;

/// A revision that a manifest names and that is not spoken here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedProtocol {
    /// As the manifest names it.
    pub named: String,
    /// Whether it is one that is spoken no more, or not yet.
    pub age: Age,
}

/// How old a revision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// The supplier is behind.
    TooOld,
    /// The server is behind.
    TooNew,
}

/// Refuses a manifest of another revision, before anything else of it is looked at: the rest may read otherwise there.
///
/// A `protocol` that is no whole number is left to whoever reads the fields.
pub fn check_protocol(manifest: &Value) -> Result<(), UnsupportedProtocol> {
    let Some(Value::Number(number)) = manifest.get("protocol") else { return Ok(()) };
    let named = number.as_str();
    let digits = named.strip_prefix('-').unwrap_or(named);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    let age = match compare(named) {
        Ordering::Less => Age::TooOld,
        Ordering::Equal => return Ok(()),
        Ordering::Greater => Age::TooNew,
    };
    Err(UnsupportedProtocol { named: excerpt(named), age })
}

/// How a whole number stands to what is spoken.
fn compare(digits: &str) -> Ordering {
    match digits.parse::<u32>() {
        Ok(named) if named < *PROTOCOLS.start() => Ordering::Less,
        Ok(named) if PROTOCOLS.contains(&named) => Ordering::Equal,
        Err(_) if digits.starts_with('-') => Ordering::Less,
        Ok(_) | Err(_) => Ordering::Greater,
    }
}

/// `1`, or `1 to 3`.
pub fn spoken() -> String {
    match (PROTOCOLS.start(), PROTOCOLS.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first} to {last}"),
    }
}

impl fmt::Display for UnsupportedProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = match self.age {
            Age::TooOld => "upgrade the SDK of the supplier",
            Age::TooNew => "upgrade the server, or go back to an SDK of its release",
        };
        let Self { named, .. } = self;
        write!(f, "the supplier speaks protocol {named}, and this server speaks {}: {next}", spoken())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_of_another_revision_is_told_who_is_behind() {
        let numbers: Value = serde_json::from_str(
            r#"[-1, 0, 1, 2, 4294967296, 99999999999999999999999999, 1.0, 1e2, "2", null]"#,
        )
        .unwrap();
        let ages: Vec<Option<Age>> = numbers
            .as_array()
            .unwrap()
            .iter()
            .map(|number| {
                check_protocol(&json!({ "protocol": number, "unknown": true })).err().map(|found| found.age)
            })
            .collect();
        let (old, new) = (Some(Age::TooOld), Some(Age::TooNew));
        assert_eq!(ages, [old, old, None, new, new, new, None, None, None, None]);
        assert_eq!(check_protocol(&json!({})), Ok(()));
        assert_eq!(
            check_protocol(&json!({ "protocol": 2 })).unwrap_err().to_string(),
            "the supplier speaks protocol 2, and this server speaks 1: upgrade the server, or go back to an SDK of its release"
        );
    }
}

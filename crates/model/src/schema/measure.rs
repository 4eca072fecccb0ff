//! Measures JSON before anything recursive sees it: depth, values and bytes, without recursion.

use serde_json::Value;

use crate::fault::{Fault, push};
use crate::limits::{NUMBER_CHARS, NUMBER_EXPONENT};

/// How large a document may be, and what a refusal calls it.
pub(super) struct Bounds {
    pub(super) what: &'static str,
    pub(super) depth: usize,
    pub(super) nodes: usize,
    pub(super) bytes: usize,
    pub(super) key_bytes: usize,
}

/// How large a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Levels of lists and objects one inside another; a scalar has none.
    pub(super) depth: usize,
    /// Values, itself included.
    pub(super) nodes: usize,
    /// Bytes as compact JSON, nearly.
    pub(super) bytes: usize,
}

/// Measures a document and refuses what is too large, numbers that would have to be expanded, and U+0000, which one of
/// the two stores cannot keep.
pub(super) fn measure(document: &Value, bounds: &Bounds) -> Result<Size, Fault> {
    let mut open = Vec::new();
    let mut size = Size { depth: 0, nodes: 0, bytes: 0 };
    let mut next = Some(document);
    loop {
        if let Some(value) = next.take() {
            size.nodes += 1;
            size.bytes +=
                check_scalar(value).map_err(|(code, message)| Fault::new(pointer(&open), code, message))?;
            if let Some(level) = Level::of(value) {
                open.push(level);
                size.depth = size.depth.max(open.len());
            }
        } else {
            let Some(level) = open.last_mut() else { return Ok(size) };
            match level.step() {
                Some((key, value)) => {
                    if let Some(key) = key {
                        size.bytes += key.len() + 3;
                        check_key(key, bounds).map_err(|(code, message)| {
                            open.pop();
                            Fault::new(pointer(&open), code, message)
                        })?;
                    }
                    next = Some(value);
                }
                None => {
                    open.pop();
                }
            }
        }
        for (name, is, allowed) in [
            ("levels of nesting", size.depth, bounds.depth),
            ("values", size.nodes, bounds.nodes),
            ("bytes", size.bytes, bounds.bytes),
        ] {
            if is > allowed {
                let message =
                    format!("{} has more than {allowed} {name}, which is the most allowed", bounds.what);
                return Err(Fault::new(pointer(&open), "limit", message));
            }
        }
    }
}

const NUL: &str = "contains the character U+0000, which is not allowed";

enum Level<'a> {
    List { items: std::slice::Iter<'a, Value>, at: usize },
    Object { members: serde_json::map::Iter<'a>, at: &'a str },
}

impl<'a> Level<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::Array(items) => Some(Self::List { items: items.iter(), at: 0 }),
            Value::Object(members) => Some(Self::Object { members: members.iter(), at: "" }),
            _ => None,
        }
    }

    fn step(&mut self) -> Option<(Option<&'a str>, &'a Value)> {
        match self {
            Self::List { items, at } => {
                *at += 1;
                items.next().map(|item| (None, item))
            }
            Self::Object { members, at } => {
                let (key, value) = members.next()?;
                *at = key;
                Some((Some(key), value))
            }
        }
    }
}

/// Where the walk stands: the open levels hold the way down to it.
fn pointer(open: &[Level<'_>]) -> String {
    let mut pointer = String::new();
    for level in open {
        match level {
            Level::List { at, .. } if *at > 0 => push(&mut pointer, &(at - 1).to_string()),
            Level::Object { at, .. } if !at.is_empty() => push(&mut pointer, at),
            Level::List { .. } | Level::Object { .. } => {}
        }
    }
    pointer
}

/// Pointers repeat keys, once for each fault and each schema: a long one multiplies.
fn check_key(key: &str, bounds: &Bounds) -> Result<(), (&'static str, String)> {
    if key.contains('\0') {
        return Err((
            "nul_not_allowed",
            "has a property name with the character U+0000, which is not allowed".to_owned(),
        ));
    }
    if key.len() > bounds.key_bytes {
        let (length, allowed) = (key.len(), bounds.key_bytes);
        let message = format!("has a property name of {length} bytes; at most {allowed} are allowed");
        return Err(("limit", message));
    }
    Ok(())
}

fn check_scalar(value: &Value) -> Result<usize, (&'static str, String)> {
    match value {
        Value::Null | Value::Bool(_) => Ok(5),
        Value::Array(_) | Value::Object(_) => Ok(2),
        Value::String(text) if text.contains('\0') => Err(("nul_not_allowed", NUL.to_owned())),
        Value::String(text) => Ok(text.len() + 2),
        Value::Number(number) => {
            let text = number.as_str();
            if text.len() > NUMBER_CHARS {
                let message =
                    format!("is a number of {} characters; at most {NUMBER_CHARS} are allowed", text.len());
                return Err(("number_range", message));
            }
            let exponent = text.split_once(['e', 'E']).map_or(Ok(0), |(_, exponent)| exponent.parse::<i64>());
            match exponent {
                Ok(exponent) if exponent.abs() <= NUMBER_EXPONENT => Ok(text.len()),
                _ => {
                    let message = format!(
                        "is the number {text}; an exponent between -{NUMBER_EXPONENT} and {NUMBER_EXPONENT} is allowed"
                    );
                    Err(("number_range", message))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SMALL: Bounds = Bounds { what: "it", depth: 3, nodes: 10, bytes: 100, key_bytes: 50 };

    #[test]
    fn depth_and_values_are_counted() {
        assert_eq!(measure(&json!(1), &SMALL), Ok(Size { depth: 0, nodes: 1, bytes: 1 }));
        assert_eq!(
            measure(&json!({"a": [1, {"b": 2}], "c": []}), &SMALL),
            Ok(Size { depth: 3, nodes: 6, bytes: 22 })
        );
    }

    #[test]
    fn what_is_too_large_is_refused_where_it_becomes_so() {
        for (document, pointer, names) in [
            (json!({"a": [[[1]]]}), "/a/0/0", "3 levels of nesting"),
            (json!([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), "/9", "10 values"),
            (json!({"a": "x".repeat(100)}), "/a", "100 bytes"),
            (json!({"a": {"x".repeat(51): 1}}), "/a", "51 bytes"),
        ] {
            let fault = measure(&document, &SMALL).unwrap_err();
            assert_eq!((fault.pointer.as_str(), fault.code), (pointer, "limit"));
            assert!(fault.message.contains(names), "{fault}");
        }
    }

    #[test]
    fn what_a_store_could_not_keep_is_refused() {
        let numbers: Value = serde_json::from_str(
            r#"[9007199254740993, 123456789012345678901234567890, 1e400, 1e131071, 1e99999999999999999999]"#,
        )
        .unwrap();
        let wide = Bounds { what: "it", depth: 3, nodes: 10, bytes: 1000, key_bytes: 50 };
        for (index, fine) in [(0, true), (1, true), (2, false), (3, false), (4, false)] {
            let measured = measure(&numbers[index], &wide);
            assert_eq!(measured.is_ok(), fine, "{}", numbers[index]);
        }
        assert_eq!(
            measure(&json!({"a": ["x\0"]}), &wide).unwrap_err(),
            Fault::new("/a/0", "nul_not_allowed", NUL)
        );
        assert_eq!(measure(&json!({"a\0": 1}), &wide).unwrap_err().code, "nul_not_allowed");
    }

    #[test]
    fn a_document_of_any_depth_is_measured_without_recursion() {
        let mut document = json!(1);
        for _ in 0..2_000 {
            document = Value::Array(vec![document]);
        }
        assert_eq!(measure(&document, &SMALL).unwrap_err().code, "limit");
    }
}

//! The canonical text of a schema: equal for schemas that say the same in another order, or with other comments.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::keywords::{Holds, holds};

/// The text. The recursion is bounded: a schema was measured when it was parsed.
pub(crate) fn canonical(schema: &Value) -> String {
    let mut text = String::new();
    write_schema(&mut text, schema);
    text
}

/// A plain JSON value with the members of its objects sorted.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_json(&mut text, value);
    text
}

fn write_schema(text: &mut String, schema: &Value) {
    let Value::Object(keywords) = schema else { return write_json(text, schema) };
    let counts = |keyword: &str| holds(keyword) != Some(Holds::Annotation);
    write_members(text, keywords, counts, |text, keyword, value| match (holds(keyword), value) {
        (Some(Holds::Schema(_)), schema) => write_schema(text, schema),
        (Some(Holds::List(_)), Value::Array(schemas)) => write_items(text, schemas, write_schema),
        (Some(Holds::Map(_)), Value::Object(schemas)) => {
            write_members(text, schemas, |_| true, |text, _, schema| write_schema(text, schema));
        }
        (Some(Holds::Set), Value::Array(items)) => {
            let mut items: Vec<String> = items.iter().map(canonical_json).collect();
            items.sort_unstable();
            items.dedup();
            let _ = write!(text, "[{}]", items.join(","));
        }
        (_, other) => write_json(text, other),
    });
}

fn write_json(text: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            write_members(text, members, |_| true, |text, _, value| write_json(text, value));
        }
        Value::Array(items) => write_items(text, items, write_json),
        scalar => {
            let _ = write!(text, "{scalar}");
        }
    }
}

fn write_members(
    text: &mut String,
    members: &Map<String, Value>,
    counts: impl Fn(&str) -> bool,
    write: impl Fn(&mut String, &str, &Value),
) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().filter(|(key, _)| counts(key)).collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    text.push('{');
    for (place, (key, value)) in sorted.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        let _ = write!(text, "{}:", Value::String(key.clone()));
        write(text, key, value);
    }
    text.push('}');
}

fn write_items(text: &mut String, items: &[Value], write: impl Fn(&mut String, &Value)) {
    text.push('[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(']');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_and_comments_do_not_count() {
        let one: Value = serde_json::from_str(
            r#"{"type": "object", "title": "A", "required": ["b", "a"],
                "properties": {"b": {"enum": [2, 1], "description": "x"}, "a": true}}"#,
        )
        .unwrap();
        let other: Value = serde_json::from_str(
            r#"{"required": ["a", "b"], "properties": {"a": true, "b": {"enum": [1, 2]}}, "type": "object"}"#,
        )
        .unwrap();
        assert_eq!(canonical(&one), canonical(&other));
    }

    #[test]
    fn a_property_named_like_a_comment_counts() {
        let with = json!({"properties": {"title": {"type": "string"}}});
        assert_eq!(canonical(&with), r#"{"properties":{"title":{"type":"string"}}}"#);
        assert_eq!(canonical(&json!({"const": {"title": "x"}})), r#"{"const":{"title":"x"}}"#);
    }
}

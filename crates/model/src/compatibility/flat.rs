//! A schema with its references followed and its `allOf` merged, so that two can be held side by side.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::schema::keywords::{ENTITY, Holds, SECRET, VOLATILE, holds};
use crate::schema::{canonical, target};

/// What one schema says, in one place.
#[derive(Clone, Default)]
pub(super) struct Flat<'a> {
    /// True for the schema that accepts nothing.
    pub(super) never: bool,
    /// Everything that is not below.
    pub(super) keywords: BTreeMap<&'a str, &'a Value>,
    pub(super) properties: BTreeMap<&'a str, &'a Value>,
    pub(super) required: BTreeSet<&'a str>,
    pub(super) default: Option<&'a Value>,
    pub(super) entity: Option<&'a str>,
    /// How many schemas were merged into this one, those that say nothing not counted.
    parts: usize,
}

/// References followed and lists merged for one schema, at most; deeper ones count as too intricate.
const MERGED: usize = 200;

impl<'a> Flat<'a> {
    /// Flattens a schema of a document; `None` when its parts say different things about the same.
    pub(super) fn of(document: &'a Value, schema: &'a Value) -> Option<Self> {
        let mut flat = Self::default();
        let mut todo = vec![schema];
        for _ in 0..MERGED {
            let Some(part) = todo.pop() else { return flat.sound().then_some(flat) };
            flat.add(document, part, &mut todo)?;
        }
        None
    }

    /// This schema and another, both of which must hold.
    pub(super) fn and(mut self, document: &'a Value, other: &'a Value) -> Option<Self> {
        let other = Self::of(document, other)?;
        self.never |= other.never;
        self.parts += other.parts;
        for (name, schema) in other.properties {
            self.property(name, schema)?;
        }
        for (keyword, value) in other.keywords {
            self.keyword(keyword, value)?;
        }
        self.required.extend(other.required);
        self.sound().then_some(self)
    }

    /// The same without some keywords.
    pub(super) fn without(&self, keywords: &[&'a str]) -> Self {
        let mut rest = self.clone();
        for keyword in keywords {
            rest.keywords.remove(keyword);
        }
        rest
    }

    /// True when everything is accepted.
    pub(super) fn accepts_all(&self) -> bool {
        !self.never && self.keywords.is_empty() && self.properties.is_empty() && self.required.is_empty()
    }

    /// The values, when they are listed.
    pub(super) fn values(&self) -> Option<Vec<&'a Value>> {
        let listed = self.keywords.get("enum").and_then(|listed| listed.as_array());
        match (self.keywords.get("const"), listed) {
            (Some(only), _) => Some(vec![only]),
            (None, Some(listed)) => Some(listed.iter().collect()),
            (None, None) => None,
        }
    }

    /// The types that a value may have.
    pub(super) fn types(&self) -> BTreeSet<&'a str> {
        match (self.keywords.get("type"), self.values()) {
            (Some(Value::String(one)), _) => [one.as_str()].into(),
            (Some(Value::Array(several)), _) => several.iter().filter_map(Value::as_str).collect(),
            (_, Some(values)) => values.into_iter().map(type_of).collect(),
            (_, None) => ["array", "boolean", "null", "number", "object", "string"].into(),
        }
    }

    fn add(&mut self, document: &'a Value, part: &'a Value, todo: &mut Vec<&'a Value>) -> Option<()> {
        let keywords = match part {
            Value::Bool(accepts) => {
                self.never |= !accepts;
                return Some(());
            }
            part => part.as_object()?,
        };
        let before = self.keywords.len() + self.properties.len() + self.required.len();
        for (keyword, value) in keywords {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => todo.push(target(document, reference)?.1),
                ("allOf", Value::Array(parts)) => todo.extend(parts),
                ("properties", Value::Object(properties)) => {
                    for (name, schema) in properties {
                        self.property(name, schema)?;
                    }
                }
                ("required", Value::Array(names)) => {
                    self.required.extend(names.iter().filter_map(Value::as_str));
                }
                ("default", value) => self.default = self.default.or(Some(value)),
                (ENTITY, Value::String(kind)) => self.entity = self.entity.or(Some(kind)),
                (keyword, value) => match holds(keyword) {
                    Some(Holds::Annotation) | None => {}
                    Some(_) if SILENT.contains(&keyword) => {}
                    Some(_) => self.keyword(keyword, value)?,
                },
            }
        }
        if self.keywords.len() + self.properties.len() + self.required.len() > before {
            self.parts += 1;
        }
        Some(())
    }

    fn property(&mut self, name: &'a str, schema: &'a Value) -> Option<()> {
        let before = self.properties.insert(name, schema);
        before.is_none_or(|before| canonical(before) == canonical(schema)).then_some(())
    }

    fn keyword(&mut self, keyword: &'a str, value: &'a Value) -> Option<()> {
        let before = self.keywords.insert(keyword, value);
        before.is_none_or(|before| canonical(before) == canonical(value)).then_some(())
    }

    /// `additionalProperties` in one part does not see the properties of another: merged, it would say something else.
    fn sound(&self) -> bool {
        let says = |keyword: &str| self.keywords.contains_key(keyword);
        let looks_around = says("additionalProperties")
            || says("unevaluatedProperties")
            || says("unevaluatedItems")
            || (says("items") && says("prefixItems"));
        self.parts <= 1 || !looks_around
    }
}

/// Keywords that say nothing about a value by themselves.
const SILENT: [&str; 8] =
    ["$defs", "definitions", "$anchor", "$dynamicAnchor", "$vocabulary", "contentSchema", SECRET, VOLATILE];

/// The type of a value, in the words of JSON Schema.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number)
            if number.as_str().bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') =>
        {
            "integer"
        }
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

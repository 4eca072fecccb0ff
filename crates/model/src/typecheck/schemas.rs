//! JSON Schemas as the type checker sees them: what a value may be, what its properties are, and whether there are more.
//!
//! Only what can be told for certain is told: conditions (`if`, `not`, `dependentSchemas`) are passed over.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::static_type::{Inside, Kinds, Type, same};
use crate::limits::{SCHEMA_CHAIN, SCHEMA_NODES};
use crate::schema::Schema;
use crate::schema::keywords::{Holds, SECRET, holds};

/// Schemas that one question may lead through. Alternatives that lead to the same schemas again multiply; what lies
/// beyond is left open, as everything is that cannot be told.
const VISITS: usize = 10_000;

/// Schemas inside each other that are written out: as a document this is twice as deep.
const INLINED_LEVELS: usize = 24;

/// A schema within a document.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    document: Arc<Value>,
    here: Arc<Value>,
}

/// What a schema says about one property.
pub(super) enum Look {
    /// It is declared.
    Found(Type),
    /// It may be there; nothing is known about it.
    Open,
    /// It is not declared. `refused` when a value that has it is invalid.
    Closed { names: Vec<String>, refused: bool },
}

/// What is left of the bounds of one question.
#[derive(Clone, Copy)]
struct Left<'a> {
    levels: usize,
    visits: &'a Cell<usize>,
}

impl Left<'_> {
    /// The bounds one level deeper, and the schema as an object; `None` when it is none, or nothing is left.
    fn enter(self, here: &Value) -> Option<(Self, &Map<String, Value>)> {
        let object = here.as_object()?;
        let levels = self.levels.checked_sub(1)?;
        self.visits.set(self.visits.get().checked_sub(1)?);
        Some((Self { levels, ..self }, object))
    }
}

/// What one schema, or several that all apply, says about one property.
enum Says {
    Found(Type),
    Open,
    Closed { names: Vec<String>, refused: bool },
    Nothing,
}

impl Reference {
    pub(super) fn new(schema: &Schema) -> Self {
        let document = Arc::new(schema.document().clone());
        Self { here: Arc::clone(&document), document }
    }

    fn inner(&self, here: &Value) -> Self {
        Self { document: Arc::clone(&self.document), here: Arc::new(here.clone()) }
    }

    /// The type of a value that satisfies the schema.
    pub(super) fn typed(&self) -> Type {
        let mut found = Type { inside: Inside::Schema(self.clone()), ..Type::any() };
        self.narrow(&self.here, &mut found, Left { levels: SCHEMA_CHAIN, visits: &Cell::new(VISITS) });
        found
    }

    pub(super) fn field(&self, name: &str) -> Look {
        match self.says(&self.here, name, Left { levels: SCHEMA_CHAIN, visits: &Cell::new(VISITS) }) {
            Says::Found(found) => Look::Found(found),
            Says::Open | Says::Nothing => Look::Open,
            Says::Closed { names, refused } => Look::Closed { names, refused },
        }
    }

    /// The type of the elements of a list.
    pub(super) fn element(&self) -> Type {
        let mut found = None;
        self.always(&mut |schema| {
            if let Some(items) = schema.get("items")
                && schema.get("prefixItems").is_none()
            {
                found.get_or_insert_with(|| self.inner(items).typed());
            }
        });
        found.unwrap_or_else(Type::any)
    }

    /// The properties that every value has.
    pub(super) fn required(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        self.always(&mut |schema| {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            for name in required.filter_map(Value::as_str) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        });
        names
    }

    /// The names of the properties that are declared for every value.
    pub(super) fn declared(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        self.always(&mut |schema| {
            let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            names.extend(properties.map(|(name, _)| name.clone()));
        });
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the schema fills in a value that is absent.
    pub(super) fn has_default(&self) -> bool {
        let mut found = false;
        self.always(&mut |schema| found |= schema.contains_key("default"));
        found
    }

    /// A schema for a property; `None` when it is not declared.
    pub(super) fn property(&self, name: &str) -> Option<Reference> {
        let mut found = None;
        self.always(&mut |schema| {
            if let Some(property) = schema.get("properties").and_then(|properties| properties.get(name)) {
                found.get_or_insert_with(|| self.inner(property));
            }
        });
        found
    }

    /// A schema for the elements of a list; `None` when nothing is said about them.
    pub(super) fn element_schema(&self) -> Option<Reference> {
        let mut found = None;
        self.always(&mut |schema| {
            if let Some(items) = schema.get("items")
                && schema.get("prefixItems").is_none()
            {
                found.get_or_insert_with(|| self.inner(items));
            }
        });
        found
    }

    /// The schema by itself: references are replaced by what they stand for.
    ///
    /// A schema that contains itself is cut where it begins again, and one that would grow too large is cut there: what
    /// is cut accepts everything.
    pub(super) fn inlined(&self) -> Value {
        let mut left = SCHEMA_NODES / 2;
        self.inline(&self.here, &mut Vec::new(), &mut left, INLINED_LEVELS)
    }

    /// Calls `visit` with this schema and every schema that always applies to the same value.
    fn always(&self, visit: &mut impl FnMut(&Map<String, Value>)) {
        self.each_always(&self.here, Left { levels: SCHEMA_CHAIN, visits: &Cell::new(VISITS) }, visit);
    }

    fn each_always(&self, here: &Value, left: Left<'_>, visit: &mut impl FnMut(&Map<String, Value>)) {
        let Some((left, object)) = left.enter(here) else { return };
        visit(object);
        if let Some(target) = self.target(object) {
            self.each_always(target, left, visit);
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.each_always(part, left, visit);
        }
    }

    fn target(&self, object: &Map<String, Value>) -> Option<&Value> {
        let pointer = object.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.document.pointer(pointer)
    }

    fn narrow(&self, here: &Value, found: &mut Type, left: Left<'_>) {
        let Some((left, object)) = left.enter(here) else { return };
        if let Some(kinds) = declared(object) {
            found.kinds = found.kinds.and(kinds);
        }
        let values = match (object.get("const"), object.get("enum")) {
            (Some(value), _) => Some(vec![value.clone()]),
            (None, Some(Value::Array(values))) => Some(values.clone()),
            _ => None,
        };
        if let Some(values) = values {
            let kinds = values.iter().map(Kinds::of).fold(Kinds::NONE, Kinds::or);
            // Integers are numbers: `enum: [1, 2]` with `type: number` keeps both.
            found.kinds =
                found.kinds.and(if kinds.meets(Kinds::NUMBER) { kinds.or(Kinds::INTEGER) } else { kinds });
            found.values = Some(match found.values.take() {
                Some(known) => {
                    known.into_iter().filter(|value| values.iter().any(|other| same(value, other))).collect()
                }
                None => values,
            });
        }
        found.secret |= object.get(SECRET) == Some(&Value::Bool(true));
        if let Some(target) = self.target(object) {
            self.narrow(target, found, left);
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.narrow(part, found, left);
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(alternatives) = object.get(keyword).and_then(Value::as_array) else { continue };
            let mut either: Option<Type> = None;
            for alternative in alternatives {
                let mut one = Type::any();
                self.narrow(alternative, &mut one, left);
                either = Some(either.map_or_else(|| one.clone(), |either| either.or(one.clone())));
            }
            if let Some(either) = either {
                found.kinds = found.kinds.and(either.kinds);
                found.secret |= either.secret;
                found.values = found.values.take().or(either.values);
            }
        }
    }

    fn says(&self, here: &Value, name: &str, left: Left<'_>) -> Says {
        let Some((left, object)) = left.enter(here) else { return Says::Nothing };
        let mut said = self.says_itself(object, name);
        if let Some(target) = self.target(object) {
            said = said.and(self.says(target, name, left));
        }
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            said = said.and(self.says(part, name, left));
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(alternatives) = object.get(keyword).and_then(Value::as_array) else { continue };
            // An alternative that is no object says nothing about properties.
            let objects = alternatives.iter().filter(|alternative| {
                let mut found = Type::any();
                self.narrow(alternative, &mut found, left);
                found.kinds.meets(Kinds::MAP)
            });
            let either = objects.map(|alternative| self.says(alternative, name, left)).reduce(Says::or);
            said = said.and(either.unwrap_or(Says::Nothing));
        }
        said
    }

    fn says_itself(&self, object: &Map<String, Value>, name: &str) -> Says {
        let properties = object.get("properties").and_then(Value::as_object);
        if let Some(property) = properties.and_then(|properties| properties.get(name)) {
            return Says::Found(self.inner(property).typed());
        }
        let names = || properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default();
        if object.contains_key("patternProperties") {
            return Says::Open;
        }
        match object.get("additionalProperties").or(object.get("unevaluatedProperties")) {
            Some(Value::Bool(false)) => Says::Closed { names: names(), refused: true },
            Some(_) => Says::Open,
            None if properties.is_some() => Says::Closed { names: names(), refused: false },
            None => Says::Nothing,
        }
    }

    fn inline(&self, here: &Value, inside: &mut Vec<String>, left: &mut usize, levels: usize) -> Value {
        let Some(object) = here.as_object() else { return here.clone() };
        if *left == 0 || levels == 0 {
            return Value::Object(Map::new());
        }
        *left -= 1;
        let levels = levels - 1;
        let mut inlined = Map::new();
        for (keyword, value) in object {
            let value = match (holds(keyword), value) {
                _ if matches!(
                    keyword.as_str(),
                    "$ref" | "$schema" | "$id" | "$anchor" | "$defs" | "definitions" | "default"
                ) =>
                {
                    continue;
                }
                (Some(Holds::Schema(_)), _) => self.inline(value, inside, left, levels),
                (Some(Holds::List(_)), Value::Array(parts)) => {
                    parts.iter().map(|part| self.inline(part, inside, left, levels)).collect()
                }
                (Some(Holds::Map(_)), Value::Object(parts)) => Value::Object(
                    parts
                        .iter()
                        .map(|(name, part)| (name.clone(), self.inline(part, inside, left, levels)))
                        .collect(),
                ),
                _ => value.clone(),
            };
            inlined.insert(keyword.clone(), value);
        }
        let Some(pointer) = object.get("$ref").and_then(Value::as_str) else { return Value::Object(inlined) };
        if inside.iter().any(|other| other == pointer) {
            return Value::Object(inlined);
        }
        let Some(target) = self.target(object) else { return Value::Object(inlined) };
        inside.push(pointer.to_owned());
        let target = self.inline(target, inside, left, levels);
        inside.pop();
        merged(inlined, target)
    }
}

/// A schema that says what both say.
fn merged(mut one: Map<String, Value>, other: Value) -> Value {
    match other {
        Value::Object(other) if other.keys().all(|keyword| !one.contains_key(keyword)) => {
            one.extend(other);
        }
        other => match one.get_mut("allOf").and_then(Value::as_array_mut) {
            Some(parts) => parts.push(other),
            None => {
                one.insert("allOf".to_owned(), Value::Array(vec![other]));
            }
        },
    }
    Value::Object(one)
}

fn declared(object: &Map<String, Value>) -> Option<Kinds> {
    match object.get("type") {
        Some(Value::String(name)) => Some(Kinds::named(name)),
        Some(Value::Array(names)) => {
            Some(names.iter().filter_map(Value::as_str).map(Kinds::named).fold(Kinds::NONE, Kinds::or))
        }
        // Strictly this says nothing about values of other kinds; nobody means that.
        _ if object.contains_key("properties") => Some(Kinds::MAP),
        _ => None,
    }
}

impl Says {
    /// Both apply.
    fn and(self, other: Says) -> Says {
        match (self, other) {
            (Says::Found(found), _) | (_, Says::Found(found)) => Says::Found(found),
            (Says::Open, _) | (_, Says::Open) => Says::Open,
            (Says::Closed { mut names, refused }, Says::Closed { names: more, refused: also }) => {
                names.extend(more);
                Says::Closed { names, refused: refused || also }
            }
            (closed @ Says::Closed { .. }, Says::Nothing) | (Says::Nothing, closed @ Says::Closed { .. }) => {
                closed
            }
            (Says::Nothing, Says::Nothing) => Says::Nothing,
        }
    }

    /// One of them applies.
    fn or(self, other: Says) -> Says {
        match (self, other) {
            (Says::Found(one), Says::Found(other)) => Says::Found(one.or(other)),
            (Says::Found(found), _) | (_, Says::Found(found)) => Says::Found(found),
            (Says::Closed { mut names, refused }, Says::Closed { names: more, refused: also }) => {
                names.extend(more);
                Says::Closed { names, refused: refused && also }
            }
            _ => Says::Open,
        }
    }
}

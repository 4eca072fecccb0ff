//! Types: what is known about a value before there is one, read from JSON Schemas.
//!
//! A type is a set of kinds and, where they are known, the only possible values and what is inside. Nothing is ever
//! assumed: what a schema leaves open is any value.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::schemas::{Look, Reference};
use crate::contract::{Contract, ContractBody};
use crate::name::ContractName;
use crate::scenario::Scenario;
use crate::text::nearest;

/// A set of the kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Kinds = Kinds(0);
    pub(super) const NULL: Kinds = Kinds(1);
    pub(super) const BOOL: Kinds = Kinds(2);
    pub(super) const INTEGER: Kinds = Kinds(4);
    /// Integers and numbers with a fraction.
    pub(super) const NUMBER: Kinds = Kinds(4 | 8);
    pub(super) const TEXT: Kinds = Kinds(16);
    pub(super) const LIST: Kinds = Kinds(32);
    pub(super) const MAP: Kinds = Kinds(64);
    pub(super) const ALL: Kinds = Kinds(127);

    const NAMES: [(Kinds, &'static str, &'static str); 7] = [
        (Kinds::TEXT, "a string", "string"),
        (Kinds(8), "a number", "number"),
        (Kinds::INTEGER, "an integer", "integer"),
        (Kinds::BOOL, "a boolean", "boolean"),
        (Kinds::LIST, "a list", "array"),
        (Kinds::MAP, "a map", "object"),
        (Kinds::NULL, "null", "null"),
    ];

    pub(super) fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub(super) fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    pub(super) fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }

    pub(super) fn meets(self, other: Kinds) -> bool {
        self.and(other) != Kinds::NONE
    }

    pub(super) fn named(name: &str) -> Kinds {
        match name {
            "number" => Kinds::NUMBER,
            _ => {
                Self::NAMES.iter().find(|(.., json)| *json == name).map_or(Kinds::NONE, |(kinds, ..)| *kinds)
            }
        }
    }

    pub(super) fn of(value: &Value) -> Kinds {
        match value {
            Value::Null => Kinds::NULL,
            Value::Bool(_) => Kinds::BOOL,
            Value::Number(number) if number.is_i64() || number.is_u64() => Kinds::INTEGER,
            Value::Number(number) if number.as_f64().is_some_and(|value| value.fract() == 0.0) => {
                Kinds::INTEGER
            }
            Value::Number(_) => Kinds::NUMBER,
            Value::String(_) => Kinds::TEXT,
            Value::Array(_) => Kinds::LIST,
            Value::Object(_) => Kinds::MAP,
        }
    }

    /// `a string or null`.
    pub(super) fn words(self) -> String {
        if self == Kinds::ALL {
            return "anything".to_owned();
        }
        let words: Vec<&str> = self.listed().map(|(_, words, _)| words).collect();
        match words.split_last() {
            None => "nothing".to_owned(),
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        }
    }

    /// The kinds that this set has; "a number" stands for integers too.
    fn listed(self) -> impl Iterator<Item = (Kinds, &'static str, &'static str)> {
        let number = self.meets(Kinds(8));
        Self::NAMES
            .into_iter()
            .filter(move |(kinds, ..)| self.meets(*kinds) && !(number && *kinds == Kinds::INTEGER))
    }
}

/// What is known about a value.
#[derive(Clone, Debug)]
pub(super) struct Type {
    pub(super) kinds: Kinds,
    /// The only values that it can have.
    pub(super) values: Option<Vec<Value>>,
    pub(super) inside: Inside,
    pub(super) secret: bool,
    /// The value is null when this step is skipped.
    pub(super) skipped: Option<String>,
    /// The value would be facts that this contract never reads back.
    pub(super) unchecked: Option<String>,
}

/// What is known about the parts of a value.
#[derive(Clone, Debug)]
pub(super) enum Inside {
    Unknown,
    Schema(Reference),
    List(Arc<Type>),
    Fields(Arc<Vec<(String, Type)>>),
    /// The facts of a scenario, by step. Looked at only when they are asked for: nested scenarios multiply.
    Facts(Arc<Scenario>, Arc<Below>),
}

/// The contracts below the steps of a draft.
#[derive(Debug)]
pub(super) struct Below(pub(super) HashMap<ContractName, Arc<Contract>>);

/// What a field of a value is.
pub(super) enum Selected {
    Known(Type),
    /// There is no such field; the names that there are.
    Missing(Vec<String>),
    /// A value of this kind has no fields.
    NoFields,
}

impl Type {
    pub(super) fn of_kinds(kinds: Kinds) -> Self {
        Self { kinds, values: None, inside: Inside::Unknown, secret: false, skipped: None, unchecked: None }
    }

    pub(super) fn any() -> Self {
        Self::of_kinds(Kinds::ALL)
    }

    pub(super) fn of_value(value: &Value) -> Self {
        Self { values: Some(vec![value.clone()]), ..Self::of_kinds(Kinds::of(value)) }
    }

    pub(super) fn list(of: Type) -> Self {
        let secret = of.secret;
        Self { inside: Inside::List(Arc::new(of)), secret, ..Self::of_kinds(Kinds::LIST) }
    }

    pub(super) fn fields(fields: Vec<(String, Type)>) -> Self {
        Self { inside: Inside::Fields(Arc::new(fields)), ..Self::of_kinds(Kinds::MAP) }
    }

    /// The facts that a dataset of this contract has.
    pub(super) fn facts(contract: &Contract, below: &Arc<Below>) -> Self {
        match &contract.body {
            ContractBody::Capability(capability) if !capability.operations.check => {
                Self { unchecked: Some(contract.name.to_string()), ..Self::any() }
            }
            ContractBody::Capability(capability) => match &capability.facts {
                Some(schema) => Reference::new(schema).typed(),
                None => Self::any(),
            },
            ContractBody::Scenario(scenario) => {
                let inside = Inside::Facts(Arc::clone(scenario), Arc::clone(below));
                Self { inside, ..Self::of_kinds(Kinds::MAP) }
            }
        }
    }

    pub(super) fn is_any(&self) -> bool {
        self.kinds == Kinds::ALL && self.skipped.is_none()
    }

    /// What a step has of this: a list when it is made for each value, null when it is skipped.
    pub(super) fn of_step(self, step: &str, for_each: bool, conditional: bool) -> Self {
        let found = if for_each { Type::list(self) } else { self };
        if conditional { found.or_skipped(step) } else { found }
    }

    /// The same value, or null because the step was skipped.
    pub(super) fn or_skipped(mut self, step: &str) -> Self {
        self.kinds = self.kinds.or(Kinds::NULL);
        if let Some(values) = &mut self.values
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
        self.skipped = Some(step.to_owned());
        self
    }

    /// One of two values.
    pub(super) fn or(self, other: Type) -> Type {
        let values = match (self.values, other.values) {
            (Some(mut one), Some(other)) => {
                one.extend(other.into_iter().filter(|value| !one.contains(value)).collect::<Vec<_>>());
                Some(one)
            }
            _ => None,
        };
        // What is inside is known only when one side has no inside at all.
        let bare = |kinds: Kinds| !kinds.meets(Kinds::LIST.or(Kinds::MAP));
        let inside = match (bare(self.kinds), bare(other.kinds)) {
            (true, _) => other.inside,
            (_, true) => self.inside,
            _ => Inside::Unknown,
        };
        Type {
            kinds: self.kinds.or(other.kinds),
            values,
            inside,
            secret: self.secret || other.secret,
            skipped: self.skipped.or(other.skipped),
            unchecked: self.unchecked.or(other.unchecked),
        }
    }

    pub(super) fn select(&self, name: &str) -> Selected {
        if !self.kinds.meets(Kinds::MAP) {
            return Selected::NoFields;
        }
        let found = match &self.inside {
            Inside::Unknown => Type::any(),
            Inside::List(_) => return Selected::NoFields,
            Inside::Schema(schema) => match schema.field(name) {
                Look::Found(field) => field,
                Look::Open => Type::any(),
                Look::Closed { names, .. } => return Selected::Missing(names),
            },
            Inside::Fields(fields) => match fields.iter().find(|(field, _)| field == name) {
                Some((_, field)) => field.clone(),
                None => return Selected::Missing(fields.iter().map(|(name, _)| name.clone()).collect()),
            },
            Inside::Facts(scenario, below) => match scenario.step(name) {
                // What is gone by now is reported where it is used.
                Some(step) => below.0.get(&step.uses).map_or_else(Type::any, |contract| {
                    let facts = Type::facts(contract, below);
                    facts.of_step(name, step.for_each.is_some(), step.condition.is_some())
                }),
                None => {
                    return Selected::Missing(scenario.steps.iter().map(|step| step.name.clone()).collect());
                }
            },
        };
        Selected::Known(self.handed_on(found))
    }

    pub(super) fn element(&self) -> Type {
        let found = match &self.inside {
            Inside::List(element) => (**element).clone(),
            Inside::Schema(schema) => schema.element(),
            _ => Type::any(),
        };
        self.handed_on(found)
    }

    /// What is read from a secret is secret, what is read from a skipped step is null.
    fn handed_on(&self, mut found: Type) -> Type {
        found.secret |= self.secret;
        match &self.skipped {
            Some(step) => found.or_skipped(step),
            None => found,
        }
    }

    /// A schema that stands for itself, without references.
    pub(super) fn schema(&self) -> Value {
        let mut schema = match &self.inside {
            Inside::Schema(reference) => {
                let inlined = reference.inlined();
                if self.skipped.is_some() && !reference.typed().kinds.meets(Kinds::NULL) {
                    json!({"anyOf": [inlined, {"type": "null"}]})
                } else {
                    inlined
                }
            }
            Inside::List(element) => json!({"type": self.names(), "items": element.schema()}),
            Inside::Fields(fields) if self.kinds == Kinds::MAP => {
                object_schema(fields.iter().map(|(name, field)| (name.clone(), field.schema())))
            }
            _ if self.kinds == Kinds::ALL => json!({}),
            _ => json!({"type": self.names()}),
        };
        if let (Some(values), Some(object)) = (&self.values, schema.as_object_mut())
            && !matches!(self.inside, Inside::Schema(_))
        {
            object.insert("enum".to_owned(), values.clone().into());
        }
        if self.secret
            && let Some(object) = schema.as_object_mut()
        {
            object.insert("x-secret".to_owned(), true.into());
        }
        schema
    }

    fn names(&self) -> Value {
        let names: Vec<Value> = self.kinds.listed().map(|(.., json)| json.into()).collect();
        match <[Value; 1]>::try_from(names) {
            Ok([name]) => name,
            Err(names) => names.into(),
        }
    }
}

/// The schema of an object that has exactly these properties.
pub(super) fn object_schema(properties: impl Iterator<Item = (String, Value)>) -> Value {
    let properties: Map<String, Value> = properties.collect();
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "required": required, "additionalProperties": false, "properties": properties})
}

/// Whether two JSON values are equal; numbers by value.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        _ => one == other,
    }
}

/// "did you mean", or the names that there are.
pub(super) fn meant(name: &str, names: &[String], what: &str) -> String {
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("there are no {what}"),
        None => {
            let shown: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
            let more = if names.len() > shown.len() { ", …" } else { "" };
            format!("the {what} are {}{more}", shown.join(", "))
        }
    }
}

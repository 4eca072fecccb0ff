//! Values of an evaluation: JSON that is read where it lies, and what the expression made itself.

use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::number::Number;

/// A value during an evaluation. Cloning it copies no text, list or map.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Json(&'a Json),
    Null,
    /// The null that stands for a skipped step, and for everything that is read from it.
    Skipped,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    Made(Rc<str>),
    List(Rc<Vec<Value<'a>>>),
    Map(Rc<Vec<(Rc<str>, Value<'a>)>>),
}

/// A value seen as what it is, wherever it came from.
pub(super) enum View<'v, 'a> {
    Null,
    Bool(bool),
    Number(Number),
    /// A number of the JSON document that no double can hold.
    Huge,
    Text(&'v str),
    List(List<'v, 'a>),
    Map(Fields<'v, 'a>),
}

/// A list, wherever it came from.
#[derive(Clone, Copy)]
pub(super) enum List<'v, 'a> {
    Json(&'a [Json]),
    Made(&'v [Value<'a>]),
}

/// A map, wherever it came from.
#[derive(Clone, Copy)]
pub(super) enum Fields<'v, 'a> {
    Json(&'a Map<String, Json>),
    Made(&'v [(Rc<str>, Value<'a>)]),
}

impl<'a> Value<'a> {
    pub(super) fn view(&self) -> View<'_, 'a> {
        match self {
            Value::Json(Json::Null) | Value::Null | Value::Skipped => View::Null,
            Value::Json(Json::Bool(value)) => View::Bool(*value),
            Value::Json(Json::Number(value)) => Number::read(value).map_or(View::Huge, View::Number),
            Value::Json(Json::String(value)) => View::Text(value),
            Value::Json(Json::Array(values)) => View::List(List::Json(values)),
            Value::Json(Json::Object(fields)) => View::Map(Fields::Json(fields)),
            Value::Bool(value) => View::Bool(*value),
            Value::Number(value) => View::Number(*value),
            Value::Text(value) => View::Text(value),
            Value::Made(value) => View::Text(value),
            Value::List(values) => View::List(List::Made(values)),
            Value::Map(fields) => View::Map(Fields::Made(fields)),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.view(), View::Null)
    }

    /// What kind of value this is, in the words of an error message.
    pub(super) fn kind(&self) -> &'static str {
        match self.view() {
            View::Null => "null",
            View::Bool(_) => "a boolean",
            View::Number(_) | View::Huge => "a number",
            View::Text(_) => "a string",
            View::List(_) => "a list",
            View::Map(_) => "a map",
        }
    }

    /// The value as JSON; `None` when a number in it is infinite or not a number.
    pub(super) fn into_json(self) -> Option<Json> {
        Some(match self {
            Value::Json(value) => value.clone(),
            Value::Null | Value::Skipped => Json::Null,
            Value::Bool(value) => Json::Bool(value),
            Value::Number(value) => Json::Number(value.write()?),
            Value::Text(value) => Json::String(value.to_owned()),
            Value::Made(value) => Json::String(value.as_ref().to_owned()),
            Value::List(values) => {
                Json::Array(values.iter().cloned().map(Value::into_json).collect::<Option<_>>()?)
            }
            Value::Map(fields) => Json::Object(
                fields
                    .iter()
                    .map(|(name, value)| Some((name.as_ref().to_owned(), value.clone().into_json()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

impl<'v, 'a> List<'v, 'a> {
    pub(super) fn len(self) -> usize {
        match self {
            List::Json(values) => values.len(),
            List::Made(values) => values.len(),
        }
    }

    pub(super) fn get(self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(values) => values.get(index).map(Value::Json),
            List::Made(values) => values.get(index).cloned(),
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Value<'a>> + use<'v, 'a> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

impl<'v, 'a> Fields<'v, 'a> {
    pub(super) fn len(self) -> usize {
        match self {
            Fields::Json(fields) => fields.len(),
            Fields::Made(fields) => fields.len(),
        }
    }

    pub(super) fn get(self, name: &str) -> Option<Value<'a>> {
        match self {
            Fields::Json(fields) => fields.get(name).map(Value::Json),
            Fields::Made(fields) => {
                fields.iter().find(|(key, _)| **key == *name).map(|(_, value)| value.clone())
            }
        }
    }

    pub(super) fn names(self) -> Vec<Value<'a>> {
        match self {
            Fields::Json(fields) => fields.keys().map(|name| Value::Text(name)).collect(),
            Fields::Made(fields) => fields.iter().map(|(name, _)| Value::Made(Rc::clone(name))).collect(),
        }
    }
}

//! Functions of expressions: each depends on its arguments alone, and pays for what it reads and makes.

use std::rc::Rc;

use regex::Regex;

use super::evaluate::{Budget, Outcome, failure, integer};
use super::number::Number;
use super::parse::pattern;
use super::syntax::Node;
use super::value::{Value, View};
use serde_json::Value as Json;

/// A function that expressions may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Bool,
    Contains,
    Double,
    Dyn,
    EndsWith,
    IndexOf,
    Int,
    Join,
    LowerAscii,
    Matches,
    Replace,
    Size,
    Split,
    StartsWith,
    String,
    Substring,
    Trim,
    Uint,
    UpperAscii,
}

impl Function {
    pub(crate) const ALL: [Function; 19] = [
        Function::Bool,
        Function::Contains,
        Function::Double,
        Function::Dyn,
        Function::EndsWith,
        Function::IndexOf,
        Function::Int,
        Function::Join,
        Function::LowerAscii,
        Function::Matches,
        Function::Replace,
        Function::Size,
        Function::Split,
        Function::StartsWith,
        Function::String,
        Function::Substring,
        Function::Trim,
        Function::Uint,
        Function::UpperAscii,
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Function::Bool => "bool",
            Function::Contains => "contains",
            Function::Double => "double",
            Function::Dyn => "dyn",
            Function::EndsWith => "endsWith",
            Function::IndexOf => "indexOf",
            Function::Int => "int",
            Function::Join => "join",
            Function::LowerAscii => "lowerAscii",
            Function::Matches => "matches",
            Function::Replace => "replace",
            Function::Size => "size",
            Function::Split => "split",
            Function::StartsWith => "startsWith",
            Function::String => "string",
            Function::Substring => "substring",
            Function::Trim => "trim",
            Function::Uint => "uint",
            Function::UpperAscii => "upperAscii",
        }
    }

    /// Whether the function may be called as a method or not, with so many arguments, the receiver included.
    pub(super) fn takes(self, method: bool, count: usize) -> bool {
        match self {
            Function::Bool
            | Function::Double
            | Function::Dyn
            | Function::Int
            | Function::String
            | Function::Uint => !method && count == 1,
            Function::Size => count == 1,
            Function::Matches => count == 2,
            Function::LowerAscii | Function::Trim | Function::UpperAscii => method && count == 1,
            Function::Contains
            | Function::EndsWith
            | Function::StartsWith
            | Function::IndexOf
            | Function::Split => method && count == 2,
            Function::Join => method && (1..=2).contains(&count),
            Function::Replace => method && count == 3,
            Function::Substring => method && (2..=3).contains(&count),
        }
    }

    pub(super) fn usage(self) -> &'static str {
        match self {
            Function::Bool => "`bool(\"true\")`",
            Function::Contains => "`text.contains(\"part\")`",
            Function::Double => "`double(value)`",
            Function::Dyn => "`dyn(value)`",
            Function::EndsWith => "`text.endsWith(\"end\")`",
            Function::IndexOf => "`text.indexOf(\"part\")`",
            Function::Int => "`int(value)`",
            Function::Join => "`list.join(\", \")`",
            Function::LowerAscii => "`text.lowerAscii()`",
            Function::Matches => "`text.matches(\"pattern\")`",
            Function::Replace => "`text.replace(\"old\", \"new\")`",
            Function::Size => "`size(value)`",
            Function::Split => "`text.split(\",\")`",
            Function::StartsWith => "`text.startsWith(\"start\")`",
            Function::String => "`string(value)`",
            Function::Substring => "`text.substring(from, to)`",
            Function::Trim => "`text.trim()`",
            Function::Uint => "`uint(value)`",
            Function::UpperAscii => "`text.upperAscii()`",
        }
    }
}

/// Calls a function whose number of arguments the parser has checked.
pub(super) fn call<'a>(
    budget: &mut Budget,
    node: &Node,
    function: Function,
    arguments: &[Value<'a>],
    compiled: Option<&Regex>,
) -> Outcome<Value<'a>> {
    let first = &arguments[0];
    match function {
        Function::Dyn => return Ok(first.clone()),
        Function::Size => return size(budget, node, first),
        Function::String => return string(budget, node, first),
        Function::Bool | Function::Double | Function::Int | Function::Uint => {
            return convert(node, function, first);
        }
        Function::Join => return join(budget, node, first, arguments.get(1)),
        _ => {}
    }
    let text = text(node, function, first)?;
    budget.read(node, text.len())?;
    let made = match function {
        Function::LowerAscii => {
            budget.make(node, text.len())?;
            text.to_ascii_lowercase()
        }
        Function::UpperAscii => {
            budget.make(node, text.len())?;
            text.to_ascii_uppercase()
        }
        Function::Trim => {
            budget.make(node, text.len())?;
            text.trim().to_owned()
        }
        Function::Substring => substring(budget, node, text, &arguments[1..])?,
        _ => return search(budget, node, function, text, &arguments[1..], compiled),
    };
    Ok(Value::Made(made.into()))
}

/// The functions of a text and one or two more.
fn search<'a>(
    budget: &mut Budget,
    node: &Node,
    function: Function,
    within: &str,
    arguments: &[Value<'a>],
    compiled: Option<&Regex>,
) -> Outcome<Value<'a>> {
    let part = text(node, function, &arguments[0])?;
    Ok(match function {
        Function::Contains => Value::Bool(within.contains(part)),
        Function::StartsWith => Value::Bool(within.starts_with(part)),
        Function::EndsWith => Value::Bool(within.ends_with(part)),
        Function::IndexOf => {
            let found = within.find(part).map(|at| within[..at].chars().count());
            Value::Number(Number::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
        }
        Function::Matches => {
            // Matching is linear, but a thousand times slower than looking.
            budget.look(node, 10 + within.len() / 16)?;
            match compiled {
                Some(regex) => Value::Bool(regex.is_match(within)),
                None => {
                    budget.look(node, COMPILE_STEPS)?;
                    let regex = pattern(part).map_err(|message| failure(node, "bad_pattern", message))?;
                    Value::Bool(regex.is_match(within))
                }
            }
        }
        Function::Split => {
            let parts: Vec<&str> = if part.is_empty() {
                within.char_indices().map(|(at, c)| &within[at..at + c.len_utf8()]).collect()
            } else {
                within.split(part).collect()
            };
            budget.make(node, within.len() + parts.len() * size_of::<Value<'_>>())?;
            Value::List(Rc::new(parts.into_iter().map(|part| Value::Made(part.into())).collect()))
        }
        _ => {
            let with = text(node, function, &arguments[1])?;
            let count = if part.is_empty() { within.len() + 1 } else { within.matches(part).count() };
            budget.make(node, within.len().saturating_add(count.saturating_mul(with.len())))?;
            Value::Made(within.replace(part, with).into())
        }
    })
}

/// The first double beyond the signed integers.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Compiling a pattern that is computed costs up to a few milliseconds: some dozens fit into one evaluation.
const COMPILE_STEPS: usize = 3_000;

fn text<'v>(node: &Node, function: Function, value: &'v Value<'_>) -> Outcome<&'v str> {
    match value.view() {
        View::Text(text) => Ok(text),
        _ => Err(failure(node, "wrong_type", format!("`{}` cannot take {}", function.name(), value.kind()))),
    }
}

fn size<'a>(budget: &mut Budget, node: &Node, value: &Value<'a>) -> Outcome<Value<'a>> {
    let count = match value.view() {
        View::Text(text) => {
            budget.read(node, text.len())?;
            text.chars().count()
        }
        View::List(list) => list.len(),
        View::Map(fields) => fields.len(),
        _ => return Err(failure(node, "wrong_type", format!("`size` cannot take {}", value.kind()))),
    };
    Ok(Value::Number(integer(count as u64)))
}

/// A number of the scope keeps the digits that it came with.
fn string<'a>(budget: &mut Budget, node: &Node, value: &Value<'a>) -> Outcome<Value<'a>> {
    let text = match (value, value.view()) {
        (_, View::Text(_)) => return Ok(value.clone()),
        (Value::Json(Json::Number(number)), _) => number.to_string(),
        (_, View::Bool(value)) => value.to_string(),
        (_, View::Number(Number::Int(value))) => value.to_string(),
        (_, View::Number(Number::UInt(value))) => value.to_string(),
        (_, View::Number(Number::Double(value))) => value.to_string(),
        _ => return Err(failure(node, "wrong_type", format!("`string` cannot take {}", value.kind()))),
    };
    budget.make(node, text.len())?;
    Ok(Value::Made(text.into()))
}

fn convert<'a>(node: &Node, function: Function, value: &Value<'a>) -> Outcome<Value<'a>> {
    let refused =
        || failure(node, "bad_conversion", format!("{} cannot become `{}`", value.kind(), function.name()));
    let number = match (function, value.view()) {
        (Function::Bool, View::Bool(value)) => return Ok(Value::Bool(value)),
        (Function::Bool, View::Text("true")) => return Ok(Value::Bool(true)),
        (Function::Bool, View::Text("false")) => return Ok(Value::Bool(false)),
        (Function::Double, View::Number(number)) => Some(Number::Double(number.double())),
        (Function::Double, View::Text(text)) => {
            text.parse().ok().filter(|value: &f64| value.is_finite()).map(Number::Double)
        }
        (Function::Int, View::Text(text)) => text.parse().ok().map(Number::Int),
        (Function::Int, View::Number(Number::Int(value))) => Some(Number::Int(value)),
        (Function::Int, View::Number(Number::UInt(value))) => i64::try_from(value).ok().map(Number::Int),
        // Both bounds are exact: -2^63 is a double, and 2^63 is the first one that does not fit.
        (Function::Int, View::Number(Number::Double(value))) => {
            (-TWO_TO_63..TWO_TO_63).contains(&value).then_some(Number::Int(value as i64))
        }
        (Function::Uint, View::Text(text)) => text.parse().ok().map(Number::UInt),
        (Function::Uint, View::Number(Number::Int(value))) => u64::try_from(value).ok().map(Number::UInt),
        (Function::Uint, View::Number(Number::UInt(value))) => Some(Number::UInt(value)),
        (Function::Uint, View::Number(Number::Double(value))) => {
            (0.0..2.0 * TWO_TO_63).contains(&value).then_some(Number::UInt(value as u64))
        }
        _ => None,
    };
    number.map(Value::Number).ok_or_else(refused)
}

fn join<'a>(
    budget: &mut Budget,
    node: &Node,
    value: &Value<'a>,
    separator: Option<&Value<'a>>,
) -> Outcome<Value<'a>> {
    let View::List(list) = value.view() else {
        return Err(failure(node, "wrong_type", format!("`join` cannot take {}", value.kind())));
    };
    let separator = separator.map_or(Ok(""), |value| text(node, Function::Join, value))?;
    let mut joined = String::new();
    for (index, part) in list.iter().enumerate() {
        let part = text(node, Function::Join, &part)?.to_owned();
        let separator = if index == 0 { "" } else { separator };
        budget.make(node, separator.len() + part.len())?;
        joined.push_str(separator);
        joined.push_str(&part);
        budget.look(node, 1)?;
    }
    Ok(Value::Made(joined.into()))
}

/// The characters from the first index up to the second, or to the end.
fn substring(budget: &mut Budget, node: &Node, text: &str, bounds: &[Value<'_>]) -> Outcome<String> {
    let length = text.chars().count();
    let mut numbers = bounds.iter().map(|bound| match bound.view() {
        View::Number(Number::Int(value)) => usize::try_from(value).ok().filter(|value| *value <= length),
        _ => None,
    });
    let from = numbers.next().flatten();
    let to = numbers.next().unwrap_or(Some(length));
    match (from, to) {
        (Some(from), Some(to)) if from <= to => {
            budget.make(node, text.len())?;
            Ok(text.chars().skip(from).take(to - from).collect())
        }
        _ => {
            Err(failure(node, "no_such_index", format!("the text has no such part; its length is {length}")))
        }
    }
}

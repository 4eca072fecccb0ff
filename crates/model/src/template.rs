//! Templates: JSON values whose strings may hold expressions, as in `"${{ input.country }}"`.
//!
//! A string that is one `${{ }}` and nothing else becomes the value of the expression, with its type. Inside text a
//! string, number or boolean is written out. What an expression returns is never looked at again: a value that
//! happens to contain `${{` stays as it is.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::diagnostic::Place;
use crate::expression::{EvaluationError, Expression, ExpressionError, Scope};
use crate::fault::{Fault, join};
use crate::limits::{INSTANCE_BYTES, TEXT_EXPRESSIONS};

/// How an expression begins.
pub(crate) const OPENING: &str = "${{";

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub(crate) root: Node,
}

/// One value of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A scalar without expressions.
    Constant(Value),
    Expression(Expression, Place),
    Text(Vec<Piece>),
    List(Vec<Node>),
    Object(Vec<Field>),
    /// A string whose expressions are not understood; it has been reported.
    Broken,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Literal(String),
    Expression(Expression, Place),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Kind {
    /// How many expressions stand in a string.
    pub(crate) fn expressions(&self) -> usize {
        match self {
            Self::Expression(..) => 1,
            Self::Text(pieces) => {
                pieces.iter().filter(|piece| matches!(piece, Piece::Expression(..))).count()
            }
            Self::Constant(_) | Self::List(_) | Self::Object(_) | Self::Broken => 0,
        }
    }
}

/// What is wrong with a string of a template, and in which of its bytes.
pub(crate) type Slip = ExpressionError;

impl Template {
    /// Parses a template that is already JSON.
    pub fn parse(value: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let root = parse(value, "", &mut faults);
        if faults.is_empty() { Ok(Self { root }) } else { Err(faults) }
    }

    /// The template of an object without fields.
    pub fn empty() -> Self {
        Self { root: Node { kind: Kind::Object(Vec::new()), place: Place::default() } }
    }

    /// Puts the values of the expressions in. The result is at most as large as a value may be.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        let mut left = INSTANCE_BYTES;
        self.root.evaluate(scope, &mut left)
    }

    /// The template as JSON, with its expressions in their `${{ }}`.
    pub fn document(&self) -> Value {
        self.root.document()
    }

    /// The steps that the template reads, each once, in order.
    pub fn references(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let mut seen = HashSet::new();
        self.root.walk(&mut |expression, _| {
            let read = expression.steps().into_iter().chain(expression.facts());
            names.extend(read.filter(|name| seen.insert(*name)));
        });
        names
    }
}

impl Node {
    fn document(&self) -> Value {
        let marked = |expression: &Expression| format!("${{{{ {} }}}}", expression.text().trim());
        match &self.kind {
            Kind::Constant(value) => value.clone(),
            Kind::Expression(expression, _) => Value::String(marked(expression)),
            Kind::Text(pieces) => Value::String(
                pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Literal(text) => text.clone(),
                        Piece::Expression(expression, _) => marked(expression),
                    })
                    .collect(),
            ),
            Kind::List(nodes) => nodes.iter().map(Self::document).collect(),
            Kind::Object(fields) => {
                fields.iter().map(|field| (field.name.clone(), field.value.document())).collect()
            }
            Kind::Broken => Value::Null,
        }
    }

    fn evaluate(&self, scope: &Scope<'_>, left: &mut usize) -> Result<Value, EvaluationError> {
        match &self.kind {
            Kind::Constant(value) => Ok(value.clone()),
            Kind::Expression(expression, _) => {
                let value = expression.evaluate(scope)?;
                spend(left, size(&value), expression)?;
                Ok(value)
            }
            Kind::Text(pieces) => text(pieces, scope, left).map(Value::String),
            Kind::List(nodes) => Ok(Value::Array(
                nodes.iter().map(|node| node.evaluate(scope, left)).collect::<Result<_, _>>()?,
            )),
            Kind::Object(fields) => {
                let mut object = Map::new();
                for field in fields {
                    object.insert(field.name.clone(), field.value.evaluate(scope, left)?);
                }
                Ok(Value::Object(object))
            }
            Kind::Broken => unreachable!("a template with a broken string has been refused"),
        }
    }

    /// Calls `visit` with every expression of the template and its place.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expression, &'a Place)) {
        match &self.kind {
            Kind::Constant(_) | Kind::Broken => {}
            Kind::Expression(expression, place) => visit(expression, place),
            Kind::Text(pieces) => {
                for piece in pieces {
                    if let Piece::Expression(expression, place) = piece {
                        visit(expression, place);
                    }
                }
            }
            Kind::List(nodes) => nodes.iter().for_each(|node| node.walk(visit)),
            Kind::Object(fields) => fields.iter().for_each(|field| field.value.walk(visit)),
        }
    }

    /// The value of a template that holds no expression.
    pub(crate) fn constant(&self) -> Option<Value> {
        match &self.kind {
            Kind::Constant(value) => Some(value.clone()),
            Kind::List(nodes) => nodes.iter().map(Node::constant).collect::<Option<_>>().map(Value::Array),
            Kind::Object(fields) => fields
                .iter()
                .map(|field| Some((field.name.clone(), field.value.constant()?)))
                .collect::<Option<_>>()
                .map(Value::Object),
            Kind::Expression(..) | Kind::Text(_) | Kind::Broken => None,
        }
    }
}

/// Parses one string of a template, which stands at `place`.
pub(crate) fn parse_text(text: &str, place: &Place) -> Result<Kind, Vec<Slip>> {
    let (pieces, slips) = pieces(text, place);
    if !slips.is_empty() {
        return Err(slips);
    }
    // A block of YAML ends with a line break that nobody meant.
    let whole: Vec<&Piece> =
        pieces.iter().filter(|piece| !matches!(piece, Piece::Literal(text) if text == "\n")).collect();
    if let [Piece::Expression(expression, place)] = whole[..] {
        return Ok(Kind::Expression(expression.clone(), place.clone()));
    }
    if pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))) {
        return Ok(Kind::Constant(Value::String(text.to_owned())));
    }
    Ok(Kind::Text(pieces))
}

/// The bytes between `${{` and `}}`, when the text is that and nothing else.
pub(crate) fn unwrapped(text: &str) -> Option<Range<usize>> {
    let start = text.len() - text.trim_start().len();
    let inner = start + text[start..].strip_prefix(OPENING).map(|_| OPENING.len())?;
    let end = closing(&text[inner..])? + inner;
    text[end + 2..].trim().is_empty().then_some(inner..end)
}

fn pieces(text: &str, place: &Place) -> (Vec<Piece>, Vec<Slip>) {
    let mut pieces = Vec::new();
    let mut slips = Vec::new();
    let mut at = 0;
    let mut count = 0;
    while let Some(found) = text[at..].find(OPENING) {
        let start = at + found;
        if start > at {
            pieces.push(Piece::Literal(text[at..start].to_owned()));
        }
        let inner = start + OPENING.len();
        count += 1;
        if count > TEXT_EXPRESSIONS {
            let message = format!("the text has more than {TEXT_EXPRESSIONS} expressions");
            let hint = Some("have a supplier put the text together".to_owned());
            slips.push(Slip { code: "limit", message, hint, range: start..inner });
            return (pieces, slips);
        }
        let Some(length) = closing(&text[inner..]) else {
            slips.push(slip(start..inner, "`${{` has no `}}`", "close the expression with `}}`"));
            return (pieces, slips);
        };
        let end = inner + length;
        let range = trimmed(text, inner..end);
        match Expression::parse(&text[range.clone()]) {
            Ok(expression) => pieces.push(Piece::Expression(expression, place.part(text, range))),
            // What is wrong may be the end, which stands behind the blanks.
            Err(_) => slips.extend(Expression::parse(&text[inner..end]).err().map(|error| {
                let range = inner + error.range.start..inner + error.range.end;
                Slip { range, ..error }
            })),
        }
        at = end + 2;
        if text[at..].starts_with('}') {
            slips.push(slip(at..at + 1, "a brace too many follows `}}`", "remove it"));
        }
    }
    if at < text.len() {
        pieces.push(Piece::Literal(text[at..].to_owned()));
    }
    (pieces, slips)
}

/// Without the blanks around it, so that a place points at the expression itself.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let inner = &text[range.clone()];
    let start = range.start + inner.len() - inner.trim_start().len();
    start..start + inner.trim().len()
}

/// Where the `}}` begins that closes an expression; braces in strings and of maps do not count.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut open = 0usize;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(end), character) if character == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '{') => open += 1,
            (None, '}') if open > 0 => open -= 1,
            (None, '}') if text[at..].starts_with("}}") => return Some(at),
            (None, _) => {}
        }
    }
    None
}

fn slip(range: Range<usize>, message: &str, hint: &str) -> Slip {
    Slip { code: "syntax", message: message.to_owned(), hint: Some(hint.to_owned()), range }
}

fn parse(value: &Value, pointer: &str, faults: &mut Vec<Fault>) -> Node {
    let kind = match value {
        Value::String(text) => parse_text(text, &Place::default()).unwrap_or_else(|slips| {
            faults.extend(slips.into_iter().map(|slip| Fault::new(pointer, slip.code, slip.message)));
            Kind::Broken
        }),
        Value::Array(values) => Kind::List(
            values
                .iter()
                .enumerate()
                .map(|(index, value)| parse(value, &format!("{pointer}/{index}"), faults))
                .collect(),
        ),
        Value::Object(object) => Kind::Object(
            object
                .iter()
                .map(|(name, value)| Field {
                    name: name.clone(),
                    place: Place::default(),
                    value: parse(value, &join(pointer, name), faults),
                })
                .collect(),
        ),
        scalar => Kind::Constant(scalar.clone()),
    };
    Node { kind, place: Place::default() }
}

fn text(pieces: &[Piece], scope: &Scope<'_>, left: &mut usize) -> Result<String, EvaluationError> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Expression(expression, _) => {
                let written = match expression.evaluate(scope)? {
                    Value::String(value) => value,
                    Value::Number(value) => value.to_string(),
                    Value::Bool(value) => value.to_string(),
                    other => {
                        return Err(EvaluationError {
                            code: "not_text",
                            message: format!("{} cannot stand inside text", kind(&other)),
                            expression: crate::text::excerpt(expression.text()),
                            offset: 0,
                        });
                    }
                };
                spend(left, written.len(), expression)?;
                text.push_str(&written);
            }
        }
    }
    Ok(text)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
        Value::Bool(_) | Value::Number(_) | Value::String(_) => "a scalar",
    }
}

fn spend(left: &mut usize, bytes: usize, expression: &Expression) -> Result<(), EvaluationError> {
    match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => Err(EvaluationError {
            code: "expression_budget",
            message: format!("the values put in are larger than {INSTANCE_BYTES} bytes together"),
            expression: crate::text::excerpt(expression.text()),
            offset: 0,
        }),
    }
}

/// About how many bytes a value takes as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(number) => number.as_str().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(values) => 2 + values.iter().map(|value| 1 + size(value)).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(template: &Value) -> Result<Value, String> {
        let input = json!({"a": "x", "n": 1.5, "b": true, "list": [1], "none": null, "hostile": "${{ input.a }}\" }}"});
        let steps = json!({"s": {"id": 7}});
        let scope = Scope { input: Some(&input), steps: Some(&steps), ..Scope::default() };
        let template = Template::parse(template).map_err(|faults| {
            faults
                .iter()
                .map(|fault| format!("{} {}", fault.pointer, fault.code))
                .collect::<Vec<_>>()
                .join(", ")
        })?;
        template.evaluate(&scope).map_err(|error| error.code.to_owned())
    }

    #[track_caller]
    fn check(template: &Value, expected: &Value) {
        assert_eq!(evaluate(template).map(|value| value.to_string()), Ok(expected.to_string()), "{template}");
    }

    #[track_caller]
    fn refused(template: &Value, expected: &str) {
        assert_eq!(evaluate(template), Err(expected.to_owned()), "{template}");
    }

    #[test]
    fn one_expression_keeps_its_type_and_text_is_written_out() {
        check(&json!("${{ input.list }}"), &json!([1]));
        check(&json!("${{ input.n }}\n"), &json!(1.5));
        check(&json!("${{input.a}}"), &json!("x"));
        check(&json!(" ${{ input.a }}"), &json!(" x"));
        check(&json!("${{ input.a }}-${{ input.n }}-${{ input.b }}"), &json!("x-1.5-true"));
        check(&json!({"k": ["${{ steps.s.id }}", 1, null]}), &json!({"k": [7, 1, null]}));
        check(&json!("plain $ {{ }} text"), &json!("plain $ {{ }} text"));
    }

    #[test]
    fn braces_belong_to_strings_and_maps_first() {
        check(&json!("${{ '}}' + \"a\\\"}}\" }}"), &json!("}}a\"}}"));
        check(&json!("${{ {'a': {'b': 1}}.a.b }}"), &json!(1));
        check(&json!("${{ '${{' }} is written so"), &json!("${{ is written so"));
    }

    #[test]
    fn a_value_is_never_expanded_again() {
        check(&json!("${{ input.hostile }}"), &json!("${{ input.a }}\" }}"));
        check(&json!("<${{ input.hostile }}>"), &json!("<${{ input.a }}\" }}>"));
    }

    #[test]
    fn what_is_no_text_cannot_stand_inside_text() {
        for value in ["input.list", "input.none", "{'a': 1}"] {
            refused(&json!(format!("a ${{{{ {value} }}}}")), "not_text");
        }
    }

    #[test]
    fn broken_templates_are_refused_with_a_pointer() {
        refused(&json!({"a/b": ["x", "${{ input.a"]}), "/a~1b/1 syntax");
        refused(&json!("${{}}"), " empty");
        refused(&json!("${{ }}"), " empty");
        refused(&json!("${{ input.a }}}}"), " syntax");
        refused(&json!("${{ ${{ input.a }} }}"), " syntax");
        refused(&json!({"a": "${{ x }}", "b": "${{ f() }}"}), "/a unknown_variable, /b unknown_function");
    }

    #[test]
    fn expressions_of_one_text_are_counted() {
        let text = |count: usize| json!("${{ input.a }}".repeat(count));
        check(&text(100), &json!("x".repeat(100)));
        refused(&text(101), " limit");
        refused(&text(50_000), " limit");
    }

    #[test]
    fn a_template_does_not_multiply_a_large_value() {
        let input = json!("x".repeat(600_000));
        let scope = Scope { input: Some(&input), ..Scope::default() };
        for template in [json!(["${{ input }}", "${{ input }}"]), json!("a ${{ input }} ${{ input }}")] {
            let error = Template::parse(&template).unwrap().evaluate(&scope).unwrap_err();
            assert_eq!(error.code, "expression_budget");
        }
    }

    #[test]
    fn the_steps_that_are_read_are_known_before() {
        let template =
            Template::parse(&json!({"a": "x ${{ steps.b.x }} ${{ steps.a.y }}", "c": ["${{ steps.b }}"]}));
        assert_eq!(template.unwrap().references(), ["b", "a"]);
    }
}

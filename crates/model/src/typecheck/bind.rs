//! Bindings: whether what a template gives is what a schema takes.

use std::collections::HashSet;

use serde_json::Value;

use super::infer::{Finding, Surroundings, guarded, infer, is_open, listed};
use super::schemas::{Look, Reference};
use super::static_type::{Inside, Kinds, Selected, Type, meant, object_schema, same};
use crate::diagnostic::{Diagnostic, Place, Position};
use crate::expression::Expression;
use crate::fault::Fault;
use crate::limits::DIAGNOSTICS;
use crate::schema::Schema;
use crate::schema::keywords::SECRET;
use crate::template::{Field, Kind, Node, Piece};
use crate::text::{excerpt, nearest};

/// How deep the inside of a value is compared with the inside of a schema: deeper differences show at run time.
const COMPARED_LEVELS: usize = 8;

/// Checks templates in given surroundings, and collects what is wrong.
pub(super) struct Binder<'a> {
    pub(super) file: &'a str,
    pub(super) surroundings: Surroundings<'a>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// What is given and nobody may read.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Why a value does not fit.
struct Misfit {
    code: &'static str,
    message: String,
    hint: String,
}

impl Binder<'_> {
    /// The type of an expression; what is wrong with it is collected.
    pub(super) fn infer(&mut self, expression: &Expression, place: &Place) -> Type {
        if self.is_full() {
            return Type::any();
        }
        let (found, findings) = infer(expression.root(), &self.surroundings);
        for Finding { range, code, message, hint } in findings {
            self.push(place.position_of(expression.text(), range), code, message, hint);
        }
        found
    }

    /// There is more to tell already than is reported.
    fn is_full(&self) -> bool {
        self.diagnostics.len() >= DIAGNOSTICS
    }

    /// A condition; returns the steps that are there when it is true.
    pub(super) fn condition(&mut self, expression: &Expression, place: &Place) -> Vec<String> {
        let found = self.infer(expression, place);
        if !found.kinds.meets(Kinds::BOOL) {
            let message = format!("the condition is {}, not true or false", found.kinds.words());
            self.push(place.position, "type_mismatch", message, "compare it with something");
        }
        guarded(expression.root(), true)
    }

    /// Checks the input of a step, or of anything else that takes an object; `at` is where missing fields are reported.
    pub(super) fn bind_input(&mut self, node: &Node, schema: &Reference, at: Position) {
        match &node.kind {
            Kind::Object(fields) => self.bind_fields(fields, schema, at),
            _ => self.bind(node, schema, "the input"),
        }
    }

    fn bind(&mut self, node: &Node, schema: &Reference, what: &str) {
        let wanted = schema.typed();
        let at = node.place.position;
        match &node.kind {
            Kind::Broken => {}
            Kind::Constant(value) => self.bind_constant(value, schema, &wanted, at, what),
            Kind::Expression(expression, place) => {
                let found = self.infer(expression, place);
                self.fit(&found, &wanted, place.position, what);
            }
            Kind::Text(pieces) => {
                let found = self.text(pieces);
                self.fit(&found, &wanted, at, what);
            }
            Kind::List(nodes) => {
                if !wanted.kinds.meets(Kinds::LIST) {
                    self.misfit(at, misfit_kind(Kinds::LIST, wanted.kinds, what));
                    return;
                }
                match (node.constant(), schema.element_schema()) {
                    (Some(value), _) => self.validate(&value, schema, at, what),
                    (None, Some(items)) => {
                        nodes
                            .iter()
                            .for_each(|node| self.bind(node, &items, &format!("an element of {what}")));
                    }
                    (None, None) => nodes.iter().for_each(|node| self.look(node)),
                }
            }
            Kind::Object(fields) => {
                if wanted.kinds.meets(Kinds::MAP) {
                    self.bind_fields(fields, schema, at);
                } else {
                    self.misfit(at, misfit_kind(Kinds::MAP, wanted.kinds, what));
                }
            }
        }
    }

    fn bind_fields(&mut self, fields: &[Field], schema: &Reference, at: Position) {
        for field in fields {
            if self.is_full() {
                return;
            }
            let what = format!("`{}`", excerpt(&field.name));
            match (schema.property(&field.name), schema.field(&field.name)) {
                (Some(property), _) => self.bind(&field.value, &property, &what),
                (None, Look::Closed { names, refused: true }) => {
                    let hint = meant(&field.name, &names, "properties");
                    self.push(
                        field.place.position,
                        "unknown_property",
                        format!("the contract takes no {what}"),
                        hint,
                    );
                    self.look(&field.value);
                }
                (None, Look::Found(wanted)) => {
                    let found = self.typed(&field.value);
                    self.fit(&found, &wanted, field.value.place.position, &what);
                }
                (None, said) => {
                    self.look(&field.value);
                    self.undeclared(field, fields, schema, matches!(said, Look::Closed { .. }));
                }
            }
        }
        let names: HashSet<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        for name in schema.required() {
            let bound = names.contains(name.as_str());
            let filled = schema.property(&name).is_some_and(|property| property.has_default());
            if !bound && !filled {
                let hint = format!("add `{name}:` with a value or `${{{{ }}}}`");
                self.push(
                    at,
                    "missing_binding",
                    format!("`{}` is required and not given", excerpt(&name)),
                    hint,
                );
            }
        }
    }

    /// A property that the contract takes without declaring it: probably another one is meant. Where a contract says that
    /// it takes others, only a name that nearly is one of its own is told.
    fn undeclared(&mut self, field: &Field, given: &[Field], schema: &Reference, is_silent: bool) {
        let mut names = schema.declared();
        names.retain(|name| !given.iter().any(|other| other.name == *name));
        let is_near = nearest(&field.name, names.iter().map(String::as_str)).is_some();
        if !is_near && !is_silent || self.warnings.len() >= DIAGNOSTICS {
            return;
        }
        let message =
            format!("nothing reads `{}`: the contract declares no such input", excerpt(&field.name));
        let hint = if names.is_empty() {
            "leave it out".to_owned()
        } else {
            meant(&field.name, &names, "other inputs")
        };
        let found = Diagnostic::new(self.file, field.place.position, "undeclared_input", message);
        self.warnings.push(found.hint(hint));
    }

    fn bind_constant(&mut self, value: &Value, schema: &Reference, wanted: &Type, at: Position, what: &str) {
        let found = Type::of_value(value);
        if let Some(mut misfit) = unfit(&found, wanted, what, 0) {
            let quotable =
                wanted.kinds.meets(Kinds::TEXT) && matches!(value, Value::Number(_) | Value::Bool(_));
            if quotable {
                misfit.hint = "put it in quotes".to_owned();
            } else if misfit.code == "binding_type" {
                misfit.hint = format!("give {}", wanted.kinds.words());
            }
            self.misfit(at, misfit);
            return;
        }
        self.validate(value, schema, at, what);
    }

    fn validate(&mut self, value: &Value, schema: &Reference, at: Position, what: &str) {
        let mut alone = schema.inlined();
        // A text of the file may be a secret: marked as one, it is not repeated in the message.
        if let (Some(object), false) =
            (alone.as_object_mut(), matches!(value, Value::Number(_) | Value::Bool(_)))
        {
            object.insert(SECRET.to_owned(), true.into());
        }
        // A schema that cannot stand alone is checked when the scenario runs.
        let Ok(schema) = Schema::parse(&alone) else { return };
        for Fault { pointer, message, .. } in schema.validate(value) {
            let message = if pointer.is_empty() {
                format!("{what} {message}")
            } else {
                format!("{what}{pointer} {message}")
            };
            self.push(at, "binding_type", message, "see the input schema of the contract");
        }
    }

    /// Reports what is wrong inside a template that goes where anything may go.
    pub(super) fn look(&mut self, node: &Node) {
        self.typed(node);
    }

    /// The type of a template.
    pub(super) fn typed(&mut self, node: &Node) -> Type {
        match &node.kind {
            Kind::Constant(value) => Type::of_value(value),
            Kind::Broken => Type::any(),
            Kind::Expression(expression, place) => self.infer(expression, place),
            Kind::Text(pieces) => self.text(pieces),
            Kind::List(nodes) => {
                let elements: Vec<Type> = nodes.iter().map(|node| self.typed(node)).collect();
                Type::list(elements.into_iter().reduce(Type::or).unwrap_or_else(Type::any))
            }
            Kind::Object(fields) => Type::fields(
                fields.iter().map(|field| (field.name.clone(), self.typed(&field.value))).collect(),
            ),
        }
    }

    fn text(&mut self, pieces: &[Piece]) -> Type {
        let mut secret = false;
        for piece in pieces {
            let Piece::Expression(expression, place) = piece else { continue };
            let found = self.infer(expression, place);
            secret |= found.secret;
            let refused = found.kinds.and(Kinds::NULL.or(Kinds::LIST).or(Kinds::MAP));
            if found.is_any() || refused == Kinds::NONE {
                continue;
            }
            match &found.skipped {
                Some(step) if refused == Kinds::NULL => {
                    self.misfit(place.position, skipped(step, "the text"));
                }
                _ => {
                    let message = format!("{} cannot stand inside text", refused.words());
                    self.push(
                        place.position,
                        "not_text",
                        message,
                        "choose a string, a number or a boolean of it",
                    );
                }
            }
        }
        Type { secret, ..Type::of_kinds(Kinds::TEXT) }
    }

    fn fit(&mut self, found: &Type, wanted: &Type, at: Position, what: &str) {
        if let Some(misfit) = unfit(found, wanted, what, COMPARED_LEVELS) {
            self.misfit(at, misfit);
        }
    }

    fn misfit(&mut self, at: Position, misfit: Misfit) {
        self.push(at, misfit.code, misfit.message, misfit.hint);
    }

    fn push(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic::new(self.file, at, code, message).hint(hint));
    }
}

/// The schema of what a template of the output comes to.
pub(super) fn output_schema(node: &Node, binder: &mut Binder<'_>) -> Value {
    match &node.kind {
        Kind::Object(fields) => object_schema(
            fields
                .iter()
                .map(|field| (field.name.clone(), output_schema(&field.value, binder)))
                .collect::<Vec<_>>()
                .into_iter(),
        ),
        _ => binder.typed(node).schema(),
    }
}

/// Why a value of one type cannot be given where another is taken; `None` when it can, or when too little is known.
fn unfit(found: &Type, wanted: &Type, what: &str, levels: usize) -> Option<Misfit> {
    if found.is_any() {
        return None;
    }
    let extra = found.kinds.without(wanted.kinds);
    if let Some(step) = &found.skipped
        && extra.meets(Kinds::NULL)
    {
        return Some(skipped(step, what));
    }
    if extra != Kinds::NONE {
        // Beside a skipped step nothing may be known at all.
        let known = found.kinds != Kinds::ALL;
        return known.then(|| misfit_kind(found.kinds, wanted.kinds, what));
    }
    if let (Some(values), Some(possible)) = (&found.values, &wanted.values) {
        let never: Vec<Value> =
            values.iter().filter(|value| !possible.iter().any(|other| same(value, other))).cloned().collect();
        if !never.is_empty() {
            return Some(Misfit {
                code: "impossible_enum",
                message: format!("{what} never takes {}", listed(&never)),
                hint: format!("it takes {}", listed(possible)),
            });
        }
    }
    unfit_inside(found, wanted, what, levels.checked_sub(1)?)
}

fn unfit_inside(found: &Type, wanted: &Type, what: &str, levels: usize) -> Option<Misfit> {
    let Inside::Schema(schema) = &wanted.inside else { return None };
    if is_open(found) {
        return None;
    }
    if found.kinds.meets(Kinds::LIST) && wanted.kinds.meets(Kinds::LIST) {
        let elements = schema.element_schema()?.typed();
        return unfit(&found.element(), &elements, &format!("an element of {what}"), levels);
    }
    if !found.kinds.meets(Kinds::MAP) {
        return None;
    }
    for name in schema.required() {
        let Some(property) = schema.property(&name) else { continue };
        match found.select(&name) {
            Selected::Missing(_) if !property.has_default() => {
                return Some(Misfit {
                    code: "binding_type",
                    message: format!("{what} takes a map that has `{}`", excerpt(&name)),
                    hint: "build the map field by field".to_owned(),
                });
            }
            Selected::Known(inner) => {
                let what = format!("`{}` of {what}", excerpt(&name));
                if let Some(misfit) = unfit(&inner, &property.typed(), &what, levels) {
                    return Some(misfit);
                }
            }
            _ => {}
        }
    }
    None
}

fn misfit_kind(found: Kinds, wanted: Kinds, what: &str) -> Misfit {
    let hint = if found.without(wanted) == Kinds::NULL {
        "give something else instead of null: `value != null ? value : …`".to_owned()
    } else if wanted.meets(Kinds::TEXT) && !found.meets(Kinds::LIST.or(Kinds::MAP).or(Kinds::NULL)) {
        "convert it with `string(…)`".to_owned()
    } else if wanted.meets(Kinds::INTEGER)
        && !found.meets(Kinds::LIST.or(Kinds::MAP).or(Kinds::NULL).or(Kinds::BOOL))
    {
        "convert it with `int(…)`".to_owned()
    } else {
        format!("give {}", wanted.words())
    };
    Misfit {
        code: "binding_type",
        message: format!("{what} takes {}, this is {}", wanted.words(), found.words()),
        hint,
    }
}

fn skipped(step: &str, what: &str) -> Misfit {
    Misfit {
        code: "maybe_skipped",
        message: format!("`{step}` may be skipped, and {what} does not take null"),
        hint: format!(
            "give another value, `steps.{step} != null ? … : …`, or put the same `if` on this step"
        ),
    }
}

//! What the validator found, in words that a tester can act on.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use crate::fault::{Fault, join};
use crate::text::{did_you_mean, excerpt, quoted};

/// What is needed to explain an error without telling a secret.
pub(super) struct Explain<'a> {
    /// The schema that the value breaks.
    pub(super) schema: &'a Value,
    /// The whole value.
    pub(super) instance: &'a Value,
    /// The value with its secrets covered, when the schema has any.
    pub(super) redacted: Option<&'a Value>,
}

/// How many allowed values a message lists.
const LISTED: usize = 12;

impl Explain<'_> {
    /// One fault, or one for each property when several are wrong in the same way.
    pub(super) fn faults(&self, error: &ValidationError<'_>) -> Vec<Fault> {
        let at = error.instance_path().as_str();
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                let known = self.known_properties(error);
                unexpected.iter().map(|name| unknown_field(at, name, &known)).collect()
            }
            // What the library says when no property at all is declared; it does not say which one it met.
            Kind::FalseSchema if error.schema_path().as_str().ends_with("/additionalProperties") => {
                let names = self.instance.pointer(at).and_then(Value::as_object).into_iter().flatten();
                names.map(|(name, _)| unknown_field(at, name, &[])).collect()
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![Fault::new(join(at, name), "required", format!("{} is missing", quoted(name)))]
            }
            Kind::AnyOf { context } => self.alternatives(error, "any_of", context),
            Kind::OneOfNotValid { context } => self.alternatives(error, "one_of", context),
            Kind::PropertyNames { error: inner } => {
                let (_, why) = self.say(inner);
                vec![Fault::new(at, "property_name", format!("the name of a property is not allowed: {why}"))]
            }
            _ => {
                let (code, message) = self.say(error);
                vec![Fault::new(at, code, message)]
            }
        }
    }

    /// When all alternatives but one are of another type, the value was meant for that one, and its faults help most.
    fn alternatives(
        &self,
        error: &ValidationError<'_>,
        code: &'static str,
        context: &[Vec<ValidationError<'static>>],
    ) -> Vec<Fault> {
        let here = error.instance_path().as_str();
        let meant: Vec<&Vec<ValidationError<'static>>> = context
            .iter()
            .filter(|branch| !branch.iter().any(|error| of_another_kind(error, here)))
            .collect();
        if let [only] = meant.as_slice() {
            return only.iter().flat_map(|error| self.faults(error)).collect();
        }
        let mut message = format!("{} fits none of the {} allowed forms", self.value(error), context.len());
        if let Some(fault) = self.nearest(&meant) {
            let place = fault.pointer.strip_prefix(here).unwrap_or_default();
            message = format!("{message}; the nearest says: {}{}", spaced(place), fault.message);
        }
        vec![Fault::new(here, code, message)]
    }

    /// The first fault of the alternative with the fewest, alternatives within alternatives followed to the end.
    fn nearest(&self, branches: &[&Vec<ValidationError<'static>>]) -> Option<Fault> {
        let error = branches.iter().min_by_key(|branch| branch.len())?.first()?;
        let within: Vec<&Vec<ValidationError<'static>>> = match error.kind() {
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => context.iter().collect(),
            _ => Vec::new(),
        };
        self.nearest(&within).or_else(|| self.faults(error).into_iter().next())
    }

    /// Code and message of everything that is about one value.
    fn say(&self, error: &ValidationError<'_>) -> (&'static str, String) {
        let value = self.value(error);
        match error.kind() {
            Kind::Type { kind } => ("type", format!("{value} is not {}", type_names(kind))),
            Kind::Enum { options } => {
                let allowed = options.as_array().map(Vec::as_slice).unwrap_or_default();
                let hint = match (self.shown(error), allowed) {
                    (Some(Value::String(text)), allowed) => {
                        did_you_mean(&text, allowed.iter().filter_map(Value::as_str))
                    }
                    _ => String::new(),
                };
                ("enum", format!("{value} is not one of {}{hint}", listed(allowed.iter().map(show))))
            }
            Kind::Constant { expected_value } => {
                ("const", format!("{value} is not {}", show(expected_value)))
            }
            Kind::Minimum { limit } => ("range", format!("{value} is below the minimum of {limit}")),
            Kind::Maximum { limit } => ("range", format!("{value} is above the maximum of {limit}")),
            Kind::ExclusiveMinimum { limit } => ("range", format!("{value} is not above {limit}")),
            Kind::ExclusiveMaximum { limit } => ("range", format!("{value} is not below {limit}")),
            Kind::MultipleOf { multiple_of } => {
                ("multiple_of", format!("{value} is not a multiple of {multiple_of}"))
            }
            Kind::MinLength { limit } => ("too_short", format!("{value} has fewer than {limit} characters")),
            Kind::MaxLength { limit } => ("too_long", format!("{value} has more than {limit} characters")),
            Kind::MinItems { limit } => ("too_few", format!("has fewer than {limit} items")),
            Kind::MaxItems { limit } => ("too_many", format!("has more than {limit} items")),
            Kind::AdditionalItems { limit } => ("too_many", format!("has more than {limit} items")),
            Kind::MinProperties { limit } => ("too_few", format!("has fewer than {limit} properties")),
            Kind::MaxProperties { limit } => ("too_many", format!("has more than {limit} properties")),
            Kind::Pattern { pattern } => {
                ("pattern", format!("{value} does not match the pattern {}", excerpt(pattern)))
            }
            Kind::Format { format } => ("format", format!("{value} is not a valid {}", excerpt(format))),
            Kind::UniqueItems => ("not_unique", "has an item twice".to_owned()),
            Kind::Contains => {
                ("contains", "has no item, or not the number of items, of the form asked for".to_owned())
            }
            Kind::OneOfMultipleValid { .. } => {
                ("one_of", format!("{value} fits several of the allowed forms, and only one may fit"))
            }
            Kind::Not { .. } => ("not", format!("{value} has a form that is excluded")),
            Kind::FalseSchema => ("not_allowed", "nothing is allowed here".to_owned()),
            Kind::UnevaluatedItems { .. } => ("too_many", "has items that are not described".to_owned()),
            Kind::ContentEncoding { content_encoding } => {
                ("content", format!("{value} is not encoded as {}", excerpt(content_encoding)))
            }
            Kind::ContentMediaType { content_media_type } => {
                ("content", format!("{value} does not hold {}", excerpt(content_media_type)))
            }
            Kind::FromUtf8 { .. } => ("content", format!("{value} does not hold UTF-8 text")),
            // The regex engine in use has no backtracking; the others have messages of their own above.
            Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
                ("pattern", format!("{value} could not be compared with the pattern"))
            }
            Kind::Custom { message, .. } => ("invalid", excerpt(message)),
            Kind::Referencing(_)
            | Kind::AdditionalProperties { .. }
            | Kind::UnevaluatedProperties { .. }
            | Kind::Required { .. }
            | Kind::AnyOf { .. }
            | Kind::OneOfNotValid { .. }
            | Kind::PropertyNames { .. } => ("invalid", "does not have the form asked for".to_owned()),
        }
    }

    /// The value that an error is about, as a message may show it.
    fn value(&self, error: &ValidationError<'_>) -> String {
        self.shown(error).map_or_else(|| "the value".to_owned(), |value| show(&value))
    }

    /// The value that an error is about; `None` when it is a secret or within one.
    fn shown(&self, error: &ValidationError<'_>) -> Option<Value> {
        let value = error.instance().as_ref();
        match self.redacted {
            Some(redacted) => {
                redacted.pointer(error.instance_path().as_str()).filter(|shown| *shown == value).cloned()
            }
            None => Some(value.clone()),
        }
    }

    /// The properties that the schema at the place of the error declares.
    fn known_properties(&self, error: &ValidationError<'_>) -> Vec<String> {
        let keyword = error.schema_path().as_str();
        let schema = keyword.rsplit_once('/').map_or("", |(schema, _)| schema);
        let declared = self.schema.pointer(schema).and_then(|schema| schema.get("properties"));
        declared.and_then(Value::as_object).map(|names| names.keys().cloned().collect()).unwrap_or_default()
    }
}

fn unknown_field(at: &str, name: &str, known: &[String]) -> Fault {
    let hint = did_you_mean(name, known.iter().map(String::as_str));
    let allowed = match known {
        [] => "none are allowed".to_owned(),
        known => format!("allowed are {}", listed(known.iter().map(|name| excerpt(name)))),
    };
    Fault::new(
        join(at, name),
        "unknown_field",
        format!("{} is not a known property{hint}; {allowed}", quoted(name)),
    )
}

/// A value in a message: scalars cut and escaped, others by their kind.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "the list".to_owned(),
        Value::Object(_) => "the object".to_owned(),
        scalar => excerpt(&scalar.to_string()),
    }
}

/// An alternative for a value of another type, or for one that names itself otherwise.
fn of_another_kind(error: &ValidationError<'_>, here: &str) -> bool {
    match error.kind() {
        Kind::Type { .. } => error.instance_path().as_str() == here,
        Kind::Constant { .. } => true,
        _ => false,
    }
}

fn type_names(kind: &TypeKind) -> String {
    let names: Vec<String> = match kind {
        TypeKind::Single(single) => vec![single.as_str().to_owned()],
        TypeKind::Multiple(several) => several.iter().map(|single| single.as_str().to_owned()).collect(),
    };
    match names.as_slice() {
        [null] if null == "null" => null.clone(),
        [single] if matches!(single.as_bytes().first(), Some(b'a' | b'i' | b'o')) => format!("an {single}"),
        [single] => format!("a {single}"),
        several => format!("one of {}", listed(several.iter().cloned())),
    }
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let mut text = names.take(LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn spaced(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!("{place}: ") }
}

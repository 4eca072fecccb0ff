//! What one keyword or one list of values says by itself: bounds, types, values.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::schema::Schema;

use super::flat::Flat;

/// Whether a keyword says anything about values of these types.
pub(super) fn concerns(keyword: &str, from: &Flat<'_>) -> bool {
    let types = from.types();
    let any = |names: &[&str]| names.iter().any(|name| types.contains(name));
    match keyword {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            any(&["number", "integer"])
        }
        "minLength" | "maxLength" | "pattern" | "format" | "contentEncoding" | "contentMediaType" => {
            any(&["string"])
        }
        "minItems" | "maxItems" | "uniqueItems" | "contains" | "minContains" | "maxContains"
        | "unevaluatedItems" => any(&["array"]),
        "minProperties"
        | "maxProperties"
        | "patternProperties"
        | "propertyNames"
        | "dependentRequired"
        | "dependentSchemas"
        | "unevaluatedProperties" => any(&["object"]),
        _ => true,
    }
}

/// Whether what is accepted already keeps a bound.
pub(super) fn bound_holds(from: &Flat<'_>, keyword: &str, bound: &Value) -> bool {
    use Ordering::{Equal, Greater, Less};
    let own = |keyword: &str| from.keywords.get(keyword).and_then(|own| order(own, bound));
    match keyword {
        "minimum" => {
            matches!(own("minimum"), Some(Greater | Equal))
                || matches!(own("exclusiveMinimum"), Some(Greater | Equal))
        }
        "exclusiveMinimum" => {
            own("minimum") == Some(Greater) || matches!(own("exclusiveMinimum"), Some(Greater | Equal))
        }
        "maximum" => {
            matches!(own("maximum"), Some(Less | Equal))
                || matches!(own("exclusiveMaximum"), Some(Less | Equal))
        }
        "exclusiveMaximum" => {
            own("maximum") == Some(Less) || matches!(own("exclusiveMaximum"), Some(Less | Equal))
        }
        "minLength" | "minItems" | "minProperties" => {
            bound.as_f64() == Some(0.0) || matches!(own(keyword), Some(Greater | Equal))
        }
        "maxLength" | "maxItems" | "maxProperties" => matches!(own(keyword), Some(Less | Equal)),
        "uniqueItems" => *bound == Value::Bool(false),
        _ => false,
    }
}

/// The order of two numbers; of whole ones exactly.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    let whole = |value: &Value| value.as_number().and_then(|number| number.as_str().parse::<i128>().ok());
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// Whether every listed value satisfies a keyword by itself.
pub(super) fn values_satisfy(from: &Flat<'_>, keyword: &str, value: &Value) -> bool {
    let Some(values) = from.values() else { return false };
    let mut schema = serde_json::Map::new();
    schema.insert(keyword.to_owned(), value.clone());
    // A keyword with references says nothing by itself: it does not compile.
    Schema::parse(&schema.into())
        .is_ok_and(|schema| values.iter().all(|value| schema.validate(value).is_empty()))
}

/// All values of a schema whose types have only a few.
pub(super) fn few_values(from: &Flat<'_>) -> Option<Vec<&'static Value>> {
    static FEW: [Value; 3] = [Value::Null, Value::Bool(false), Value::Bool(true)];
    let types = from.types();
    let few = types.iter().all(|one| ["null", "boolean"].contains(one));
    few.then(|| {
        FEW.iter().filter(|value| types.contains(if value.is_null() { "null" } else { "boolean" })).collect()
    })
}

/// True when no value is in both because of its type, or because both list theirs.
pub(super) fn disjoint_values(one: &Flat<'_>, other: &Flat<'_>) -> bool {
    let kinds = |flat: &Flat<'_>| -> BTreeSet<String> {
        flat.types().into_iter().map(|one| one.replace("integer", "number")).collect()
    };
    if kinds(one).is_disjoint(&kinds(other)) {
        return true;
    }
    match (one.values(), other.values()) {
        (Some(one), Some(other)) => {
            // `1` and `1.0` are one value: only text and the like is compared by how it is written.
            let plain = |values: &[&Value]| {
                values.iter().all(|value| value.is_string() || value.is_boolean() || value.is_null())
            };
            plain(&one) && plain(&other) && !one.iter().any(|value| other.contains(value))
        }
        _ => false,
    }
}

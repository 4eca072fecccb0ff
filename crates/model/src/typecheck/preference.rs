//! Preferences: whether what a consumer prefers among what is in stock can make any difference.

use serde_json::{Map, Value};

use super::schemas::{Look, Reference};
use super::static_type::Inside;
use crate::fault::{Fault, join};
use crate::limits::{FAULTS_MAX, INSTANCE_DEPTH};
use crate::schema::Schema;
use crate::text::{did_you_mean, quoted};

/// What is wrong with a preference among datasets that were made from inputs of this schema, beside the input that is given;
/// pointers lead into the preference.
///
/// A property that the schema does not declare is refused, and so is one that the input gives itself: every dataset that matches has
/// it as it is given. A schema that declares nothing is open to anything.
pub fn check_preference(input: &Schema, given: &Value, preferred: &Map<String, Value>) -> Vec<Fault> {
    let mut faults = Vec::new();
    walk(Some(Reference::new(input)), given, preferred, ("", INSTANCE_DEPTH), &mut faults);
    faults.truncate(FAULTS_MAX);
    faults
}

fn walk(
    schema: Option<Reference>,
    given: &Value,
    preferred: &Map<String, Value>,
    (pointer, left): (&str, usize),
    faults: &mut Vec<Fault>,
) {
    for (name, value) in preferred {
        let at = join(pointer, name);
        let inside = match schema.as_ref().map(|schema| schema.field(name)) {
            Some(Look::Closed { names, .. }) if !names.is_empty() => {
                let hint = did_you_mean(name, names.iter().map(String::as_str));
                let message = format!("no input of the contract is called {}{hint}", quoted(name));
                faults.push(Fault::new(at, "unknown_field", message));
                continue;
            }
            Some(Look::Found(found)) => match found.inside {
                Inside::Schema(schema) => Some(schema),
                _ => None,
            },
            Some(Look::Open | Look::Closed { .. }) | None => None,
        };
        match (given.get(name), value) {
            (given @ (None | Some(Value::Object(_))), Value::Object(preferred)) if left > 0 => {
                walk(inside, given.unwrap_or(&Value::Null), preferred, (&at, left - 1), faults);
            }
            (None, _) => {}
            (Some(_), _) => {
                let message = format!(
                    "{} is given by the input, so that nothing else can be preferred; leave it out of one of them",
                    quoted(name)
                );
                faults.push(Fault::new(at, "no_effect", message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(schema: &Value, given: &Value, preferred: &Value) -> Vec<(String, &'static str)> {
        let schema = Schema::parse(schema).unwrap();
        let faults = check_preference(&schema, given, preferred.as_object().unwrap());
        faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn a_preference_that_can_make_no_difference_is_refused_where_it_stands() {
        let schema = json!({
            "type": "object",
            "properties": {
                "country": { "enum": ["FR", "CZ"], "default": "FR" },
                "lines": { "type": "integer", "default": 2 },
                "address": { "type": "object", "properties": { "zone": {}, "floor": {} } },
            },
        });
        for (given, preferred, faults) in [
            (json!({}), json!({ "lines": 3, "country": "CZ" }), vec![]),
            (json!({ "country": "FR" }), json!({ "lines": 3 }), vec![]),
            (json!({ "country": "FR" }), json!({ "country": "CZ" }), vec![("/country", "no_effect")]),
            (json!({}), json!({ "lnes": 3 }), vec![("/lnes", "unknown_field")]),
            (json!({ "address": { "zone": "A" } }), json!({ "address": { "floor": 1 } }), vec![]),
            (
                json!({ "address": { "zone": "A" } }),
                json!({ "address": { "zone": "B", "flor": 1 } }),
                vec![("/address/flor", "unknown_field"), ("/address/zone", "no_effect")],
            ),
            (json!({ "address": {} }), json!({ "address": "A" }), vec![("/address", "no_effect")]),
        ] {
            let faults: Vec<(String, &str)> =
                faults.into_iter().map(|(pointer, code)| (pointer.to_owned(), code)).collect();
            let mut found = found(&schema, &given, &preferred);
            found.sort();
            assert_eq!(found, faults, "{given} {preferred}");
        }
    }

    #[test]
    fn a_schema_that_declares_nothing_is_open_to_anything() {
        assert_eq!(found(&json!({ "type": "object" }), &json!({}), &json!({ "size": 3 })), []);
        let more = json!({ "properties": { "a": {} }, "additionalProperties": true });
        assert_eq!(found(&more, &json!({}), &json!({ "size": 3 })), []);
        let fixed = found(&json!({ "type": "object" }), &json!({ "size": 2 }), &json!({ "size": 3 }));
        assert_eq!(fixed, [("/size".to_owned(), "no_effect")]);
    }

    #[test]
    fn what_was_meant_is_named() {
        let schema = Schema::parse(&json!({ "properties": { "lines": {} } })).unwrap();
        let preferred = json!({ "lnes": 3 });
        let faults = check_preference(&schema, &json!({}), preferred.as_object().unwrap());
        assert!(faults[0].message.ends_with("is called \"lnes\" (did you mean \"lines\"?)"), "{faults:?}");
    }
}

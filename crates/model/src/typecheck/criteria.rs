//! Criteria: whether a dataset of a contract can ever meet what a consumer wants to choose by.

use serde_json::{Map, Value};

use super::schemas::{Look, Reference};
use super::static_type::{Inside, Kinds, Type, same};
use crate::fault::{Fault, join};
use crate::limits::{CRITERION_VALUES, FAULTS_MAX, INSTANCE_DEPTH};
use crate::schema::Schema;
use crate::text::{did_you_mean, excerpt, quoted};

/// What is wrong with criteria on the output of a contract; pointers lead into the criteria.
///
/// A criterion on a property that is not marked `x-selectable` is refused, and so is a value that the property can never
/// have: one of another type, or one that is not in its enum.
pub fn check_criteria(output: &Schema, criteria: &Value) -> Vec<Fault> {
    let mut checker = Checker { output, faults: Vec::new() };
    match criteria {
        Value::Object(criteria) => {
            let found = Type { inside: Inside::Schema(Reference::new(output)), ..Type::any() };
            checker.object(criteria, &mut Vec::new(), "", &found);
        }
        _ => checker.fault("", "type", "is not an object"),
    }
    checker.faults.truncate(FAULTS_MAX);
    checker.faults
}

struct Checker<'a> {
    output: &'a Schema,
    faults: Vec<Fault>,
}

impl<'a> Checker<'a> {
    fn object<'c>(
        &mut self,
        criteria: &'c Map<String, Value>,
        path: &mut Vec<&'c str>,
        pointer: &str,
        here: &Type,
    ) {
        for (name, criterion) in criteria {
            let at = join(pointer, name);
            let names = self.output.selectable_names(path);
            path.push(name);
            match criterion {
                Value::Object(inner) if names.contains(&name.as_str()) && path.len() < INSTANCE_DEPTH => {
                    self.object(inner, path, &at, &property(here, name));
                }
                _ if !self.output.is_selectable(path) => self.not_selectable(&at, name, &names),
                Value::Array(values) => self.list(values, &at, &property(here, name)),
                value => self.scalar(value, &at, &property(here, name)),
            }
            path.pop();
        }
    }

    fn list(&mut self, values: &[Value], at: &str, property: &Type) {
        if values.is_empty() {
            self.fault(at, "empty", "allows no value; name at least one, or leave the criterion out");
        }
        if values.len() > CRITERION_VALUES {
            let message = format!("has {} values; at most {CRITERION_VALUES} are allowed", values.len());
            self.fault(at, "limit", message);
        }
        for (index, value) in values.iter().take(CRITERION_VALUES).enumerate() {
            self.scalar(value, &format!("{at}/{index}"), property);
        }
    }

    fn scalar(&mut self, value: &Value, at: &str, property: &Type) {
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            return self.fault(at, "type", "is neither a scalar nor a list of scalars");
        }
        let kind = match Kinds::of(value) {
            // One with a fraction is no integer, whatever else is a number.
            Kinds::NUMBER => Kinds::NUMBER.without(Kinds::INTEGER),
            kind => kind,
        };
        if !property.kinds.meets(kind) {
            let message = format!("{} never is {}", shown(value), property.kinds.words());
            return self.fault(at, "type", message);
        }
        let Some(values) =
            property.values.as_ref().filter(|values| !values.iter().any(|one| same(one, value)))
        else {
            return;
        };
        let hint = match value {
            Value::String(text) => did_you_mean(text, values.iter().filter_map(Value::as_str)),
            _ => String::new(),
        };
        let listed: Vec<String> = values.iter().take(12).map(shown).collect();
        let more = if values.len() > listed.len() { ", …" } else { "" };
        let message = format!("{} is not one of {}{more}{hint}", shown(value), listed.join(", "));
        self.fault(at, "enum", message);
    }

    fn not_selectable(&mut self, at: &str, name: &str, names: &[&str]) {
        let hint = did_you_mean(name, names.iter().copied());
        let known = match names {
            [] => "nothing here is".to_owned(),
            names => format!(
                "marked are {}",
                names.iter().map(|name| excerpt(name)).collect::<Vec<_>>().join(", ")
            ),
        };
        let message = format!(
            "{} is not marked `x-selectable` in the output of the contract{hint}; {known}",
            quoted(name)
        );
        self.fault(at, "not_selectable", message);
    }

    fn fault(&mut self, at: &str, code: &'static str, message: impl Into<String>) {
        self.faults.push(Fault::new(at, code, message));
    }
}

/// What is known about a property; nothing when its schema leaves it open.
fn property(of: &Type, name: &str) -> Type {
    match &of.inside {
        Inside::Schema(reference) => match reference.field(name) {
            Look::Found(found) => found,
            Look::Open | Look::Closed { .. } => Type::any(),
        },
        _ => Type::any(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => excerpt(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn criteria_that_no_dataset_can_meet_are_refused_where_they_stand() {
        let output = Schema::parse(&json!({
            "type": "object",
            "properties": {
                "plan": {"enum": ["silver", "gold"], "x-selectable": true},
                "seats": {"type": "integer", "x-selectable": true},
                "closed": {"type": ["boolean", "null"], "x-selectable": true},
                "address": {"type": "object", "properties": {"zone": {"$ref": "#/$defs/zone"}, "street": {}}},
                "note": {"x-selectable": true},
                "either": {"anyOf": [{"const": 1}, {"const": "one"}], "x-selectable": true},
                "id": {"type": "string"}
            },
            "$defs": {"zone": {"type": "string", "pattern": "^[A-Z]$", "x-selectable": true}}
        }))
        .unwrap();
        for (criteria, expected) in [
            (json!({}), vec![]),
            (json!({"plan": "gold", "seats": 5, "closed": null, "note": 1.5}), vec![]),
            (json!({"plan": ["gold", "silver"], "seats": [1, 2.0], "either": [1, "one"]}), vec![]),
            (json!({"address": {"zone": ["A", "B"]}}), vec![]),
            (json!({"plan": "golden"}), vec![("/plan", "enum")]),
            (json!({"plan": ["gold", "bronze", 1]}), vec![("/plan/1", "enum"), ("/plan/2", "type")]),
            (json!({"seats": "5", "closed": 0}), vec![("/closed", "type"), ("/seats", "type")]),
            (json!({"seats": 1.5, "either": 2}), vec![("/either", "enum"), ("/seats", "type")]),
            (json!({"id": "c-1"}), vec![("/id", "not_selectable")]),
            (json!({"seat": 1}), vec![("/seat", "not_selectable")]),
            (json!({"address": "A"}), vec![("/address", "not_selectable")]),
            (
                json!({"address": {"street": "x", "zone": 1}}),
                vec![("/address/street", "not_selectable"), ("/address/zone", "type")],
            ),
            (json!({"plan": {"zone": "A"}}), vec![("/plan/zone", "not_selectable")]),
            (json!({"note": []}), vec![("/note", "empty")]),
            (json!({"note": [[1]]}), vec![("/note/0", "type")]),
            (json!({"note": vec![0; 101]}), vec![("/note", "limit")]),
            (json!({"a/b": 1}), vec![("/a~1b", "not_selectable")]),
            (json!(["gold"]), vec![("", "type")]),
        ] {
            let faults = check_criteria(&output, &criteria);
            let mut found: Vec<(&str, &str)> =
                faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{criteria}");
        }
        let faults = check_criteria(&output, &json!({"plan": "goldd", "seatz": 1}));
        assert!(faults[0].message.contains("did you mean \"gold\"?"), "{faults:?}");
        assert!(faults[1].message.contains("did you mean \"seats\"?"), "{faults:?}");
    }

    #[test]
    fn a_schema_that_leaves_everything_open_has_nothing_to_choose_by() {
        let faults = check_criteria(&Schema::any(), &json!({"plan": "gold"}));
        assert_eq!((faults.len(), faults[0].code), (1, "not_selectable"));
        assert!(faults[0].message.ends_with("nothing here is"), "{faults:?}");
    }
}

//! Values that nobody reads: properties that a schema takes without declaring them.

use serde_json::Value;

use super::Schema;
use crate::fault::{Fault, join};
use crate::limits::FAULTS_MAX;
use crate::text::{did_you_mean, quoted};

/// Keywords with which more properties may have a meaning than those that are listed.
const OPEN: [&str; 8] = [
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
];

impl Schema {
    /// What is given to a contract and declared nowhere in its input, each with what was probably meant. Nothing is said where
    /// the schema may give others a meaning, nor about values inside.
    pub fn unread(&self, input: &Value) -> Vec<Fault> {
        let document = self.document();
        let known = document.get("properties").and_then(Value::as_object).filter(|known| !known.is_empty());
        let is_open = OPEN.iter().any(|keyword| document.get(keyword).is_some());
        let (Some(known), false) = (known, is_open) else { return Vec::new() };
        let given = input.as_object().into_iter().flatten().map(|(name, _)| name);
        let unread = given.filter(|name| !known.contains_key(*name)).take(FAULTS_MAX);
        let told = unread.map(|name| {
            let near = did_you_mean(name, known.keys().map(String::as_str));
            let message =
                format!("nothing reads {}: the contract declares no such input{near}", quoted(name));
            Fault::new(join("", name), "undeclared_input", message)
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_declared_nowhere_is_told_with_what_was_meant() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {"country": {}, "lines": {}}}));
        let schema = schema.expect("a schema");
        assert_eq!(schema.unread(&json!({"country": "FR", "lines": 1})), []);
        let told = schema.unread(&json!({"contry": "FR"}));
        assert_eq!((told[0].pointer.as_str(), told[0].code), ("/contry", "undeclared_input"));
        assert!(told[0].message.contains("did you mean \"country\"?"), "{}", told[0].message);
    }

    #[test]
    fn a_schema_that_may_mean_more_says_nothing() {
        for more in
            [json!({"additionalProperties": true}), json!({"anyOf": [true]}), json!({"properties": {}})]
        {
            let mut schema = json!({"type": "object", "properties": {"country": {}}});
            schema.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            assert_eq!(
                Schema::parse(&schema).expect("a schema").unread(&json!({"contry": 1})),
                [],
                "{schema}"
            );
        }
    }
}

//! What can be foreseen of a request: inputs that nothing reads, and suppliers that are not there.

use serde_json::Value;
use sixpack::wire::{Contract, ContractStatus};
use sixpack_model::text::did_you_mean;

/// Keywords of a schema with which more inputs may have a meaning than those that it lists.
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

/// Sentences about what is given and is no input of the contract.
pub(super) fn unread(contract: &Contract, given: Option<&Value>) -> Vec<String> {
    let mut said = Vec::new();
    let known = contract.input["properties"].as_object().filter(|known| !known.is_empty());
    if let (Some(known), false) = (known, OPEN.iter().any(|keyword| !contract.input[*keyword].is_null())) {
        let given = given.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
        for name in given.filter(|name| !known.contains_key(*name)) {
            let near = did_you_mean(name, known.keys().map(String::as_str));
            said.push(format!("nothing reads the input `{name}` of {}{near}", contract.name));
        }
    }
    said
}

/// A sentence about a supplier that what is being made may need and that is not there.
pub(super) fn unserved(contract: &Contract) -> Option<String> {
    (contract.status == ContractStatus::Offline).then(|| {
        format!(
            "a supplier that {} needs is not connected; the request waits for it for a while, then it fails \
             (`sixpack suppliers` lists those that are)",
            contract.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(input: Value, given: Value) -> Vec<String> {
        let contract = json!({"name":"a/b","version":1,"kind":"capability","status":"online","input":input});
        unread(&serde_json::from_value(contract).unwrap(), Some(&given))
    }

    #[test]
    fn an_input_that_nothing_reads_is_told_with_the_one_that_was_meant() {
        let schema = json!({"type":"object","properties":{"country":{},"lines":{}}});
        assert_eq!(said(schema.clone(), json!({"country":"FR"})), [""; 0]);
        let told = said(schema, json!({"cuntry":"FR"}));
        assert_eq!(told, ["nothing reads the input `cuntry` of a/b (did you mean \"country\"?)"]);
    }

    #[test]
    fn a_schema_that_allows_more_is_left_to_the_server() {
        for schema in [
            json!({"type":"object"}),
            json!({"properties":{"a":{}},"additionalProperties":true}),
            json!({"properties":{"a":{}},"anyOf":[{"properties":{"b":{}}}]}),
        ] {
            assert_eq!(said(schema.clone(), json!({"b":1})), [""; 0], "{schema}");
        }
    }
}

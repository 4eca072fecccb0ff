//! Changes and what they mean for those who depend on a contract.

mod input;
mod output;
mod random;

use serde_json::{Value, json};

use super::*;
use crate::manifest::CapabilityDefinition;

fn contract(change: impl FnOnce(&mut Value)) -> Contract {
    let mut definition = json!({
        "name": "account", "owner": {"team": "Billing"}, "input": true, "output": true, "facts": true,
        "operations": ["produce", "check", "undo"]
    });
    change(&mut definition);
    CapabilityDefinition::from_json(&definition).unwrap().into_contract("billing", 1).unwrap()
}

fn with(field: &str, value: &Value) -> Contract {
    contract(|definition| definition[field] = value.clone())
}

/// What a change of one field means: the verdict, and the pointers of what breaks.
fn verdict(field: &str, old: &Value, new: &Value) -> (&'static str, Vec<String>) {
    let verdict = compare(&with(field, old), &with(field, new));
    let breaks = match &verdict {
        Verdict::Breaking(breaks) => breaks.iter().map(|change| change.pointer.clone()).collect(),
        _ => Vec::new(),
    };
    (verdict.name(), breaks)
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "required": required});
    schema["properties"] = properties;
    schema
}

fn closed(properties: Value) -> Value {
    let mut schema = object(properties, &[]);
    schema["additionalProperties"] = false.into();
    schema
}

#[test]
fn an_operation_that_goes_away_breaks() {
    for (old, new, expected) in [
        (json!(["produce", "undo"]), json!(["produce"]), "breaking"),
        (json!(["produce", "check"]), json!(["produce"]), "breaking"),
        (json!(["produce"]), json!(["produce", "check", "undo"]), "compatible"),
        (json!(["produce", "check"]), json!(["check", "produce"]), "same"),
    ] {
        assert_eq!(verdict("operations", &old, &new).0, expected, "{old} {new}");
    }
    assert_eq!(verdict("reusable", &json!(true), &json!(false)), ("breaking", vec!["/reusable".to_owned()]));
    assert_eq!(verdict("reusable", &json!(false), &json!(true)).0, "compatible");
    let without_facts = contract(|definition| {
        definition.as_object_mut().unwrap().remove("facts");
    });
    assert_eq!(compare(&contract(|_| {}), &without_facts).name(), "breaking");
    assert_eq!(compare(&without_facts, &contract(|_| {})).name(), "compatible");
}

#[test]
fn what_nobody_depends_on_changes_no_version() {
    for (field, value) in [
        ("description", json!("another")),
        ("owner", json!({"team": "Another", "issues": "https://x.test"})),
        ("labels", json!({"a": "b"})),
        ("timeout_s", json!(5)),
        ("concurrency", json!(5)),
        ("rate", json!({"per_s": 5})),
        ("fresh_for_s", json!(5)),
        ("stale_for_s", json!(5)),
        ("settle_s", json!(5)),
        ("retry", json!({"max_attempts": 1})),
        ("input", json!(true)),
    ] {
        assert_eq!(compare(&contract(|_| {}), &with(field, &value)), Verdict::Same, "{field}");
    }
    let (plain, told) = (
        object(json!({"a": true}), &[]),
        json!({
            "title": "T", "description": "d", "required": [], "properties": {"a": true}, "type": "object"
        }),
    );
    assert_eq!(verdict("input", &plain, &told).0, "same");
}

#[test]
fn a_compatible_change_says_where_it_is_as_a_breaking_one_does() {
    let (before, after) = (object(json!({ "a": true }), &[]), object(json!({ "a": true, "b": true }), &[]));
    let change =
        |pointer: &str, message: &str| Change { pointer: pointer.to_owned(), message: message.to_owned() };
    for (field, message) in [("input", "a new optional property"), ("output", "a new property")] {
        let (old, new) = (with(field, &before), with(field, &after));
        let expected = vec![change(&format!("/{field}/properties/b"), message)];
        assert_eq!(compare(&old, &new), Verdict::Compatible(expected), "{field}");
    }
    let reusable = with("reusable", &json!(true));
    let expected = vec![change("/reusable", "datasets can be handed out again")];
    assert_eq!(compare(&contract(|_| {}), &reusable), Verdict::Compatible(expected));
}

#[test]
fn a_recursive_schema_is_compared_to_its_end() {
    let tree =
        |value: Value| json!({"type": "object", "properties": {"value": value, "next": {"$ref": "#"}}});
    assert_eq!(
        verdict("input", &tree(json!({"type": "integer"})), &tree(json!({"type": "string"}))),
        ("breaking", vec!["/input/properties/value/type".to_owned()])
    );
    assert_eq!(
        verdict("input", &tree(json!({"type": "integer"})), &tree(json!({"type": "number"}))).0,
        "compatible"
    );
}

#[test]
fn schemas_that_could_be_compared_for_ever_are_given_up() {
    let list = |count: usize, add: usize| {
        let branches: Vec<Value> = (0..count)
            .map(|number| json!({"type": "array", "minItems": number + add, "items": {"$ref": "#"}}))
            .collect();
        json!({ "anyOf": branches })
    };
    let (name, _) = verdict("input", &list(60, 0), &list(60, 1));
    assert_eq!(name, "breaking");
}

#[test]
fn a_break_says_what_has_changed() {
    let message = |old: Value, new: Value| match compare(&with("input", &old), &with("input", &new)) {
        Verdict::Breaking(breaks) => breaks[0].message.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(message(json!({"enum": ["a", "b"]}), json!({"enum": ["b"]})), r#""a" is no longer accepted"#);
    assert_eq!(
        message(json!({"type": "integer", "minimum": 1}), json!({"type": "integer", "minimum": 2})),
        "`minimum` changed from 1 to 2, which may refuse what was accepted"
    );
}

const SCENARIO: &str = r#"
scenario: checkout/ready
owner: { team: Checkout, contact: c@shop.test }
description: ready
input: { type: object, properties: { country: { type: string, default: FR } } }
steps:
  customer: { uses: customer/active, with: { country: "${{ input.country }}" } }
  payment: { uses: billing/account, with: { id: "${{ steps.customer.id }}" } }
invariants:
  - { that: facts.payment.open, says: it can pay }
output: { id: "${{ steps.customer.id }}" }
"#;

fn scenario(text: &str) -> Contract {
    crate::scenario::parse("s.yaml", text).unwrap().unchecked(1)
}

#[test]
fn a_scenario_is_the_same_when_only_its_layout_changes() {
    let old = scenario(SCENARIO);
    for (from, to) in [
        ("description: ready", "description: another"),
        ("team: Checkout", "team: Shop"),
        ("  customer: {", "  # first\n  customer:   {"),
        ("\"${{ input.country }}\"", "'${{input.country}}'"),
        ("type: string,", "type: string, title: Country,"),
    ] {
        let text = SCENARIO.replace(from, to);
        assert_ne!(text, SCENARIO, "{from}");
        assert_eq!(compare(&old, &scenario(&text)), Verdict::Same, "{to}");
    }
}

#[test]
fn a_scenario_that_does_something_else_has_another_fingerprint() {
    let old = scenario(SCENARIO);
    for (from, to, expected) in [
        ("facts.payment.open", "facts.payment.closed", "compatible"),
        ("customer/active", "customer/verified", "compatible"),
        ("${{ input.country }}", "${{ input.country + 'x' }}", "compatible"),
        ("billing/account, with", "billing/account, timeout_s: 5, with", "compatible"),
        ("default: FR", "default: CZ", "breaking"),
        ("type: string,", "enum: [FR],", "breaking"),
    ] {
        let new = scenario(&SCENARIO.replace(from, to));
        assert_ne!(fingerprint(&old), fingerprint(&new), "{to}");
        assert_eq!(compare(&old, &new).name(), expected, "{to}");
    }
}

#[test]
fn a_capability_that_becomes_a_scenario_breaks() {
    assert_eq!(compare(&contract(|_| {}), &scenario(SCENARIO)).name(), "breaking");
}

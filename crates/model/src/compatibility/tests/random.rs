//! What holds for every change, tried on random schemas.

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Map, Value, json};

use super::{object, verdict};
use crate::schema::Schema;

/// Small closed objects over a few names and types: enough for every rule to meet every other.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": ["string", "null"]})),
        Just(json!({"enum": ["x", "y"]})),
        Just(json!({"enum": ["x"]})),
        Just(json!({"const": 1})),
        Just(json!({"type": "boolean"})),
        Just(json!(true)),
        (0..3_i64, 0..3_i64)
            .prop_map(|(low, more)| json!({"type": "integer", "minimum": low, "maximum": low + more})),
        (0..2_i64).prop_map(|low| json!({"type": "number", "exclusiveMinimum": low})),
        (0..3_u64).prop_map(|least| json!({"type": "string", "minLength": least})),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let properties = prop::collection::btree_map("[abc]", (inner.clone(), any::<bool>()), 0..3);
        prop_oneof![
            properties.prop_map(|properties| {
                let required: Vec<&String> = properties.iter().filter(|(_, (_, must))| *must).map(|(name, _)| name).collect();
                let schemas: Map<String, Value> = properties.iter().map(|(name, (schema, _))| (name.clone(), schema.clone())).collect();
                json!({"type": "object", "properties": schemas, "required": required, "additionalProperties": false})
            }),
            inner.clone().prop_map(|items| json!({"type": "array", "items": items, "maxItems": 2})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|branches| json!({ "anyOf": branches })),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|branches| json!({ "oneOf": branches })),
            prop::collection::vec(inner, 1..3).prop_map(|parts| json!({ "allOf": parts })),
        ]
    })
}

/// A schema and what somebody made of it: one place within it was edited.
fn edits() -> impl Strategy<Value = (Value, Value)> {
    (schemas(), schemas(), 0..6_usize, 0..7_u8).prop_map(|(old, other, place, kind)| {
        let mut left = place;
        let new = edited(&old, &other, &mut left, kind);
        (old, new)
    })
}

fn edited(schema: &Value, other: &Value, left: &mut usize, kind: u8) -> Value {
    if *left == 0 {
        *left = usize::MAX;
        return match (kind, schema) {
            (0, _) => other.clone(),
            (1, _) => json!({"anyOf": [schema, other]}),
            (2, _) => json!({"oneOf": [schema, other]}),
            (3, _) => json!({"allOf": [schema]}),
            (4, Value::Object(keywords)) => {
                let last = keywords.keys().next_back().cloned();
                keywords
                    .iter()
                    .filter(|(key, _)| last.as_ref() != Some(key))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect()
            }
            (5, _) => json!({"anyOf": [other, schema]}),
            (_, _) => json!({"$ref": "#/$defs/a", "$defs": {"a": schema}}),
        };
    }
    *left -= 1;
    let Value::Object(keywords) = schema else { return schema.clone() };
    let mut new = keywords.clone();
    for (keyword, value) in &mut new {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(|inner| *inner = edited(inner, other, left, kind));
            }
            ("items", items) => *items = edited(items, other, left, kind),
            ("anyOf" | "oneOf" | "allOf", Value::Array(list)) => {
                list.iter_mut().for_each(|inner| *inner = edited(inner, other, left, kind));
            }
            _ => {}
        }
    }
    new.into()
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!("")),
        Just(json!("x")),
        Just(json!("yy")),
        Just(json!(1.5)),
        (0..4_i64).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[abc]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_contract_is_the_same_as_itself(schema in schemas()) {
        prop_assert_eq!(verdict("input", &schema, &schema).0, "same");
        prop_assert_eq!(verdict("output", &schema, &schema).0, "same");
    }

    #[test]
    fn a_new_optional_property_never_breaks(schema in schemas()) {
        let old = object(json!({"old": schema}), &["old"]);
        let new = object(json!({"old": schema, "new": {"type": "string"}}), &["old"]);
        prop_assert_eq!(verdict("input", &old, &new).0, "compatible");
        prop_assert_eq!(verdict("output", &old, &new).0, "compatible");
    }

    #[test]
    fn what_an_input_accepted_it_accepts_after_every_compatible_change(
        (old, new) in prop_oneof![1 => (schemas(), schemas()), 3 => edits()],
        samples in prop::collection::vec(values(), 20)
    ) {
        // An edit may put a reference where it leads nowhere.
        let (Ok(before), Ok(after)) = (Schema::parse(&old), Schema::parse(&new)) else { return Ok(()) };
        if verdict("input", &old, &new).0 == "compatible" {
            for value in samples.iter().filter(|value| before.validate(value).is_empty()) {
                prop_assert!(after.validate(value).is_empty(), "{} is accepted by {} and not by {}", value, old, new);
            }
        }
    }
}

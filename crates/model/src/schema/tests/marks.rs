//! What the marks of a schema find in a value: defaults, entities, secrets.

use serde_json::json;

use super::schema;

#[test]
fn defaults_are_filled_where_properties_are_absent() {
    let schema = schema(&json!({
        "properties": {
            "country": {"$ref": "#/$defs/country"},
            "lines": {"type": "integer", "default": 2},
            "address": {"properties": {"zone": {"default": "A"}}},
            "options": {"default": {}, "properties": {"gift": {"default": false}}},
            "items": {"items": {"properties": {"count": {"default": 1}}}}
        },
        "allOf": [{"properties": {"channel": {"default": "web"}}}],
        "anyOf": [{"properties": {"never": {"default": 1}}}, true],
        "$defs": {"country": {"enum": ["FR", "CZ"], "default": "FR"}}
    }));
    assert_eq!(
        schema.with_defaults(json!({})),
        json!({"country": "FR", "lines": 2, "channel": "web", "options": {"gift": false}})
    );
    assert_eq!(
        schema.with_defaults(
            json!({"country": "CZ", "lines": null, "address": {}, "items": [{}, {"count": 2}], "x": 1})
        ),
        json!({"country": "CZ", "lines": null, "channel": "web", "options": {"gift": false}, "address": {"zone": "A"},
            "items": [{"count": 1}, {"count": 2}], "x": 1})
    );
    for value in [json!(null), json!(1), json!("x"), json!([{}])] {
        assert_eq!(schema.with_defaults(value.clone()), value);
    }
    let once = schema.with_defaults(json!({"address": {}}));
    assert_eq!(schema.with_defaults(once.clone()), once);
}

#[test]
fn a_default_that_asks_for_itself_ends() {
    let schema = schema(&json!({
        "properties": {"a": {"$ref": "#", "default": {}}, "b": {"$ref": "#", "default": {}}}
    }));
    let filled = schema.with_defaults(json!({}));
    assert!(filled.to_string().len() < 100_000);
}

#[test]
fn entities_are_found_wherever_they_are_marked() {
    let schema = schema(&json!({
        "properties": {
            "customer_id": {"type": "string", "x-entity": "customer"},
            "account": {"properties": {"number": {"type": "integer", "x-entity": "account"}}},
            "lines": {"items": {"$ref": "#/$defs/line"}},
            "owner": {"anyOf": [{"type": "null"}, {"type": "string", "x-entity": "customer"}]},
            "other": {"type": "string"}
        },
        "patternProperties": {"^ref_": {"x-entity": "thing"}},
        "$defs": {"line": {"properties": {"sku": {"x-entity": "product"}}}}
    }));
    let value = json!({
        "account": {"number": 12}, "customer_id": "42", "lines": [{"sku": "a"}, {"sku": "b"}, {"sku": "a"}],
        "owner": "42", "other": "x", "ref_x": "9"
    });
    let found: Vec<String> =
        schema.entities(&value).into_iter().map(|entity| format!("{}:{}", entity.kind, entity.key)).collect();
    assert_eq!(found, ["account:12", "customer:42", "product:a", "product:b", "thing:9"]);
    assert_eq!(schema.entities(&json!({"customer_id": null, "owner": null, "lines": [{}, 1]})), []);
}

#[test]
fn entities_that_could_not_be_recorded_are_refused() {
    let schema = schema(&json!({"items": {"x-entity": "customer"}}));
    let numbers = |count: u32| serde_json::Value::from((0..count).collect::<Vec<_>>());
    assert_eq!(schema.validate(&numbers(1_000)), []);
    assert_eq!(schema.validate(&numbers(1_001))[0].code, "limit");
    assert_eq!(schema.validate(&json!(["x".repeat(256)])), []);
    assert_eq!(schema.validate(&json!(["x".repeat(257)]))[0].code, "limit");
}

#[test]
fn secrets_are_covered_wherever_they_are_marked() {
    let schema = schema(&json!({
        "properties": {
            "password": {"x-secret": true},
            "card": {"x-secret": true, "type": "object"},
            "accounts": {"items": {"properties": {"pin": {"$ref": "#/$defs/pin"}}}},
            "either": {"oneOf": [{"type": "integer"}, {"type": "string", "x-secret": true}]},
            "name": {"type": "string"}
        },
        "additionalProperties": {"x-secret": true},
        "$defs": {"pin": {"type": "integer", "x-secret": true}}
    }));
    assert!(schema.has_secrets());
    assert_eq!(
        schema.redacted(&json!({
            "password": "p", "card": {"number": 1}, "accounts": [{"pin": 1, "id": 2}], "either": 1, "name": "n", "more": 1
        })),
        json!({
            "password": "***", "card": "***", "accounts": [{"pin": "***", "id": 2}], "either": "***", "name": "n",
            "more": "***"
        })
    );
    let open = crate::schema::Schema::any();
    assert!(!open.has_secrets());
    assert_eq!(open.redacted(&json!({"a": 1})), json!({"a": 1}));
}

#[test]
fn what_is_volatile_is_left_out_wherever_it_is_marked() {
    let document = schema(&json!({
        "properties": {
            "id": {"type": "string", "x-volatile": true},
            "account": {"properties": {"opened_at": {"$ref": "#/$defs/time"}, "status": {"type": "string"}}},
            "lines": {"items": {"properties": {"number": {"x-volatile": true}}}},
            "seen": {"items": {"x-volatile": true}},
            "either": {"anyOf": [{"type": "null"}, {"type": "integer", "x-volatile": true}]},
            "plain": {"x-volatile": false},
            "not": {"not": {"x-volatile": true}}
        },
        "patternProperties": {"_at$": {"x-volatile": true}},
        "$defs": {"time": {"type": "string", "x-volatile": true}}
    }));
    assert_eq!(
        document.lasting(&json!({
            "id": "c-1", "account": {"opened_at": "now", "status": "ACTIVE"}, "lines": [{"number": 1, "sku": "a"}],
            "seen": [1, 2], "either": 3, "plain": true, "not": 1, "closed_at": null, "more": {"id": 1}
        })),
        json!({
            "account": {"status": "ACTIVE"}, "lines": [{"sku": "a"}], "seen": [null, null], "plain": true, "not": 1,
            "more": {"id": 1}
        })
    );
    assert_eq!(schema(&json!({"x-volatile": true})).lasting(&json!({"a": 1})), json!(null));
    assert_eq!(schema(&json!(true)).lasting(&json!({"a": 1})), json!({"a": 1}));
    let endless = schema(&json!({"properties": {"next": {"$ref": "#"}, "id": {"x-volatile": true}}}));
    assert_eq!(endless.lasting(&json!({"next": {"id": 1, "a": 2}})), json!({"next": {"a": 2}}));
    let misspelt = crate::schema::Schema::parse(&json!({"x-volatil": true})).unwrap();
    assert!(misspelt.warnings()[0].message.contains("x-volatile"), "{:?}", misspelt.warnings());
}

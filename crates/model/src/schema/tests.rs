//! Schemas and values that must be refused, and how.

mod marks;

use serde_json::{Value, json};

use super::*;
use crate::limits::{SCHEMA_ALTERNATIVES, SCHEMA_DEPTH};

fn schema(document: &Value) -> Schema {
    Schema::parse(document).unwrap_or_else(|faults| panic!("{document} is refused: {faults:?}"))
}

/// Code and pointer of each fault.
fn told(faults: &[Fault]) -> Vec<(&str, &str)> {
    faults.iter().map(|fault| (fault.code, fault.pointer.as_str())).collect()
}

fn nested(levels: usize, inner: Value) -> Value {
    (0..levels).fold(inner, |inner, _| json!({"properties": {"a": inner}}))
}

/// A chain of definitions in which each uses the next one twice.
fn doubling(definitions: usize, link: impl Fn(Value, Value) -> Value) -> Value {
    let mut defs = serde_json::Map::new();
    for number in 0..definitions {
        let next = json!({"$ref": format!("#/$defs/d{}", number + 1)});
        defs.insert(format!("d{number}"), link(next.clone(), next));
    }
    defs.insert(format!("d{definitions}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/d0", "$defs": defs})
}

#[test]
fn a_value_that_is_not_listed_has_one_fault_whatever_its_type() {
    let schema = Schema::parse(&json!({"properties": {
        "country": {"type": "string", "enum": ["CZ", "FR"]}, "kind": {"type": "string", "const": "a"}
    }}))
    .unwrap();
    let faults = schema.validate(&json!({"country": 7, "kind": true}));
    let told: Vec<_> =
        faults.iter().map(|fault| (fault.pointer.as_str(), fault.code, fault.message.as_str())).collect();
    assert_eq!(
        told,
        [("/country", "enum", r#"7 is not one of "CZ", "FR""#), ("/kind", "const", r#"true is not "a""#)]
    );
}

#[test]
fn a_schema_that_is_wrong_is_refused_by_code_and_place() {
    let many = |count: usize| Value::Array(vec![json!({"type": "string"}); count]);
    let chain: Value = (0..600)
        .map(|number| (format!("d{number}"), json!({"$ref": format!("#/$defs/d{}", number + 1)})))
        .chain([("d600".to_owned(), json!(true))])
        .collect::<serde_json::Map<_, _>>()
        .into();
    for (name, document, code, pointer) in [
        ("http ref", json!({"$ref": "http://evil.test/x.json"}), "ref_not_allowed", "/$ref"),
        ("file ref", json!({"items": {"$ref": "file:///etc/passwd"}}), "ref_not_allowed", "/items/$ref"),
        ("relative ref", json!({"$ref": "other.json#/a"}), "ref_not_allowed", "/$ref"),
        ("unknown scheme", json!({"$ref": "urn:x:y"}), "ref_not_allowed", "/$ref"),
        ("unknown target", json!({"$ref": "#/$defs/none"}), "ref_not_allowed", "/$ref"),
        ("target that is no schema", json!({"$ref": "#/title", "title": "x"}), "ref_not_allowed", "/$ref"),
        ("anchor", json!({"$ref": "#a", "$defs": {"a": {"$anchor": "a"}}}), "ref_not_allowed", "/$ref"),
        ("dynamic ref", json!({"$dynamicRef": "#a"}), "ref_not_allowed", "/$dynamicRef"),
        ("id within", json!({"$defs": {"a": {"$id": "http://x.test"}}}), "ref_not_allowed", "/$defs/a/$id"),
        (
            "ref in an unused definition",
            json!({"$defs": {"a": {"$ref": "x"}}}),
            "ref_not_allowed",
            "/$defs/a/$ref",
        ),
        ("ref to itself", json!({"$ref": "#"}), "ref_cycle", ""),
        (
            "circle of two",
            json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}}),
            "ref_cycle",
            "/$defs/a",
        ),
        ("long chain", json!({"$ref": "#/$defs/d0", "$defs": chain}), "limit", ""),
        (
            "deep",
            nested(SCHEMA_DEPTH / 2 + 1, json!(true)),
            "limit",
            &"/properties/a".repeat(SCHEMA_DEPTH / 2),
        ),
        ("very deep", nested(1_250, json!(true)), "limit", &"/properties/a".repeat(SCHEMA_DEPTH / 2)),
        ("many alternatives", json!({"anyOf": many(SCHEMA_ALTERNATIVES + 1)}), "limit", "/anyOf"),
        ("very many alternatives", json!({"anyOf": many(10_000)}), "limit", "/anyOf/2499"),
        ("long name", json!({"properties": {"x".repeat(200): true}}), "limit", "/properties"),
        ("large", json!({"description": "x".repeat(200_000)}), "limit", "/description"),
        ("alternatives that double", doubling(30, |a, b| json!({"allOf": [a, b]})), "limit", ""),
        ("back-reference", json!({"pattern": "(a)\\1"}), "pattern_not_supported", "/pattern"),
        ("look-ahead", json!({"pattern": "a(?=b)"}), "pattern_not_supported", "/pattern"),
        (
            "no pattern",
            json!({"properties": {"a": {"pattern": "("}}}),
            "pattern_not_supported",
            "/properties/a/pattern",
        ),
        ("bomb", json!({"pattern": "\\p{L}{1000}"}), "pattern_not_supported", "/pattern"),
        ("bomb without braces", json!({"pattern": "\\pL{1000}"}), "pattern_not_supported", "/pattern"),
        ("nested bomb", json!({"pattern": "((a{100}){100}){100}"}), "pattern_not_supported", "/pattern"),
        ("long pattern", json!({"pattern": "x".repeat(1025)}), "limit", "/pattern"),
        (
            "pattern of properties",
            json!({"patternProperties": {"(": true}}),
            "pattern_not_supported",
            "/patternProperties/(",
        ),
        ("zero", json!({"multipleOf": 0}), "range", "/multipleOf"),
        ("zero with a fraction", json!({"multipleOf": 0.0}), "range", "/multipleOf"),
        ("negative", json!({"multipleOf": -1}), "range", "/multipleOf"),
        ("huge length", json!({"minLength": 1_000_000_000_000_u64}), "range", "/minLength"),
        ("negative length", json!({"minLength": -1}), "range", "/minLength"),
        (
            "other dialect",
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "dialect_not_supported",
            "/$schema",
        ),
        ("unknown dialect", json!({"$schema": "x"}), "dialect_not_supported", "/$schema"),
        ("unknown type", json!({"type": "text"}), "enum", "/type"),
        ("required is no list", json!({"required": "a"}), "type", "/required"),
        ("a list", json!([]), "type", ""),
        ("a number", json!(1), "type", ""),
        ("a property that is no schema", json!({"properties": {"a": 1}}), "type", "/properties/a"),
        ("entity without a name", json!({"x-entity": true}), "type", "/x-entity"),
        ("entity with a bad name", json!({"x-entity": "A b"}), "name_pattern", "/x-entity"),
        ("secret in words", json!({"x-secret": "yes"}), "type", "/x-secret"),
        ("volatile in words", json!({"x-volatile": 1}), "type", "/x-volatile"),
        ("secret entity", json!({"x-entity": "a", "x-secret": true}), "secret_entity", "/x-secret"),
        ("U+0000", json!({"const": "\0"}), "nul_not_allowed", "/const"),
    ] {
        let faults = Schema::parse(&document).expect_err(name);
        assert_eq!(told(&faults), [(code, pointer)], "{name}: {faults:?}");
    }
}

#[test]
fn every_fault_of_a_schema_is_told_at_once() {
    let document = json!({
        "type": "objekt",
        "properties": {"a": {"$ref": "http://x.test"}, "b": {"multipleOf": 0}, "c": {"pattern": "("}, "d": 7}
    });
    let faults = Schema::parse(&document).unwrap_err();
    let mut pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        ["/properties/a/$ref", "/properties/b/multipleOf", "/properties/c/pattern", "/properties/d", "/type"]
    );
}

#[test]
fn a_reference_that_leads_nowhere_offers_a_near_name() {
    let faults = Schema::parse(&json!({"$ref": "#/$defs/adress", "$defs": {"address": true}})).unwrap_err();
    assert!(faults[0].message.contains("did you mean \"address\""), "{faults:?}");
}

#[test]
fn a_schema_that_is_unusual_but_sound_is_accepted() {
    for document in [
        json!(true),
        json!(false),
        json!({}),
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema"}),
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema#", "$id": "https://shop.test/customer"}),
        json!({"properties": {"next": {"$ref": "#"}}}),
        json!({"const": {"$ref": "http://not.a.reference.test"}}),
        json!({"$ref": "#/definitions/a", "definitions": {"a": {"type": "string"}}}),
        json!({"type": "integer", "format": "uint32", "minimum": 0}),
        json!({"pattern": "^[A-Z]{2}$", "x-anything": 1}),
        nested(SCHEMA_DEPTH / 2 - 1, json!({"type": "string"})),
        doubling(12, |a, b| json!({"properties": {"x": a, "y": b}})),
        doubling(60, |a, b| json!({"properties": {"x": a, "y": b}})),
    ] {
        schema(&document);
    }
}

#[test]
fn a_slip_in_a_schema_is_a_warning() {
    for (document, expected) in [
        (json!({"type": "string", "default": 1}), ("example_invalid", "/default")),
        (
            json!({"properties": {"a": {"enum": ["x"], "examples": ["x", "y"]}}}),
            ("example_invalid", "/properties/a/examples/1"),
        ),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/b", "default": 1}}, "$defs": {"b": {"type": "string"}}}),
            ("example_invalid", "/properties/a/default"),
        ),
        (json!({"requried": ["a"]}), ("unknown_keyword", "/requried")),
        (json!({"x-secrets": true}), ("unknown_keyword", "/x-secrets")),
    ] {
        let parsed = schema(&document);
        assert_eq!(told(parsed.warnings()), [expected], "{document}");
    }
    let sound = schema(&json!({"type": "string", "default": "a", "examples": ["b"], "x-team": 1}));
    assert_eq!(sound.warnings(), []);
}

#[test]
fn a_value_that_does_not_fit_is_refused_by_code_and_place() {
    let document = json!({
        "type": "object",
        "properties": {
            "country": {"type": "string", "enum": ["CZ", "FR", "DE"]},
            "lines": {"type": "integer", "minimum": 1, "maximum": 9},
            "code": {"type": "string", "pattern": "^[A-Z]+$", "maxLength": 3},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true, "maxItems": 3},
            "mail": {"type": "string", "format": "email"},
            "step": {"multipleOf": 5},
            "kind": {"const": "a"},
            "a/b": {"type": "null"}
        },
        "required": ["country"],
        "additionalProperties": false
    });
    let schema = schema(&document);
    for (value, expected) in [
        (json!({}), vec![("required", "/country")]),
        (json!({"country": "fr"}), vec![("enum", "/country")]),
        (json!({"country": "FR", "lines": 0}), vec![("range", "/lines")]),
        (json!({"country": "FR", "lines": 10}), vec![("range", "/lines")]),
        (json!({"country": "FR", "lines": "2"}), vec![("type", "/lines")]),
        (json!({"country": "FR", "lines": 1.5}), vec![("type", "/lines")]),
        (json!({"country": "FR", "code": "ab"}), vec![("pattern", "/code")]),
        (json!({"country": "FR", "code": "ABCD"}), vec![("too_long", "/code")]),
        (json!({"country": "FR", "tags": ["a", 1]}), vec![("type", "/tags/1")]),
        (json!({"country": "FR", "tags": ["a", "a"]}), vec![("not_unique", "/tags")]),
        (json!({"country": "FR", "tags": ["a", "b", "c", "d"]}), vec![("too_many", "/tags")]),
        (json!({"country": "FR", "mail": "x"}), vec![("format", "/mail")]),
        (json!({"country": "FR", "step": 7}), vec![("multiple_of", "/step")]),
        (json!({"country": "FR", "kind": "b"}), vec![("const", "/kind")]),
        (json!({"country": "FR", "a/b": 1}), vec![("type", "/a~1b")]),
        (json!({"country": "FR", "contry": 1}), vec![("unknown_field", "/contry")]),
        (
            json!({"lines": 0, "x": 1, "y": 2}),
            vec![
                ("range", "/lines"),
                ("required", "/country"),
                ("unknown_field", "/x"),
                ("unknown_field", "/y"),
            ],
        ),
        (json!([]), vec![("type", "")]),
        (json!({"country": "FR", "code": "A\0"}), vec![("nul_not_allowed", "/code")]),
    ] {
        let mut faults = schema.validate(&value);
        faults.sort_by_key(|fault| (fault.code, fault.pointer.clone()));
        assert_eq!(told(&faults), expected, "{value}: {faults:?}");
    }
    assert_eq!(schema.validate(&json!({"country": "FR", "lines": 2, "tags": ["a"]})), []);
}

#[test]
fn a_refusal_says_what_is_allowed() {
    let schema = schema(&json!({
        "type": "object",
        "properties": {"country": {"enum": ["CZ", "FR"]}, "lines": {"type": "integer"}},
        "additionalProperties": false
    }));
    let message = |value: Value| schema.validate(&value).remove(0).message;
    assert_eq!(message(json!({"country": "FRA"})), r#""FRA" is not one of "CZ", "FR" (did you mean "FR"?)"#);
    assert_eq!(message(json!({"lines": "two"})), r#""two" is not an integer"#);
    assert_eq!(
        message(json!({"lined": 2})),
        r#""lined" is not a known property (did you mean "lines"?); allowed are country, lines"#
    );
    let hostile = message(json!({"country": format!("\u{1b}[2J{}", "x".repeat(1_000))}));
    assert!(!hostile.contains('\u{1b}') && hostile.len() < 200, "{hostile}");
}

#[test]
fn an_optional_form_is_explained_by_the_form_that_was_meant() {
    let schema = schema(&json!({
        "properties": {
            "address": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["zip"]}]},
            "payment": {"oneOf": [
                {"type": "object", "properties": {"kind": {"const": "card"}, "number": {"type": "string"}}, "required": ["kind"]},
                {"type": "object", "properties": {"kind": {"const": "cash"}}, "required": ["kind"]}
            ]}
        }
    }));
    assert_eq!(told(&schema.validate(&json!({"address": {}}))), [("required", "/address/zip")]);
    assert_eq!(
        told(&schema.validate(&json!({"payment": {"kind": "card", "number": 1}}))),
        [("type", "/payment/number")]
    );
    assert_eq!(told(&schema.validate(&json!({"payment": 1}))), [("one_of", "/payment")]);
    assert_eq!(told(&schema.validate(&json!({"address": 1}))), [("any_of", "/address")]);
}

#[test]
fn at_most_fifty_faults_are_told() {
    let schema = schema(&json!({"items": {"type": "string"}}));
    assert_eq!(schema.validate(&json!([1].repeat(200))).len(), 50);
    // Where the work is large only the first is looked for.
    assert_eq!(schema.validate(&json!([1].repeat(50_000))).len(), 1);
}

#[test]
fn a_secret_is_never_quoted() {
    let schema = schema(&json!({
        "properties": {
            "password": {"type": "string", "maxLength": 4, "x-secret": true},
            "card": {"x-secret": true, "properties": {"pin": {"type": "integer"}}},
            "name": {"type": "string", "maxLength": 4}
        }
    }));
    let faults =
        schema.validate(&json!({"password": "hunter2", "card": {"pin": "hunter3"}, "name": "public"}));
    let text = format!("{faults:?}");
    assert_eq!(faults.len(), 3);
    assert!(!text.contains("hunter"), "{text}");
    assert!(text.contains("public"), "{text}");
}

#[test]
fn a_number_is_compared_digit_for_digit() {
    let document: Value =
        serde_json::from_str(r#"{"maximum": 9007199254740993, "not": {"const": 9007199254740992}}"#).unwrap();
    let schema = schema(&document);
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(schema.validate(&number("9007199254740993")), []);
    assert_eq!(told(&schema.validate(&number("9007199254740994"))), [("range", "")]);
    assert_eq!(told(&schema.validate(&number("9007199254740992"))), [("not", "")]);
    assert_eq!(told(&schema.validate(&number("123456789012345678901234567890"))), [("range", "")]);
    assert_eq!(told(&schema.validate(&number("1e400"))), [("number_range", "")]);
}

#[test]
fn a_recursive_schema_accepts_a_value_of_64_levels_and_refuses_more() {
    let schema = schema(&json!({"type": "object", "properties": {"next": {"$ref": "#"}}}));
    let levels = |count: usize| (1..count).fold(json!({}), |inner, _| json!({"next": inner}));
    assert_eq!(schema.validate(&levels(64)), []);
    assert_eq!(told(&schema.validate(&levels(65))), [("limit", "/next".repeat(64).as_str())]);
}

#[test]
fn alternatives_that_multiply_with_depth_are_refused_before_they_cost() {
    let schema = schema(&json!({
        "anyOf": [
            {"properties": {"a": {"$ref": "#"}, "x": {"type": "string"}}},
            {"properties": {"a": {"$ref": "#"}, "x": {"type": "integer"}}}
        ]
    }));
    let levels = |count: usize| (1..count).fold(json!({"x": null}), |inner, _| json!({"a": inner}));
    let shallow = schema.validate(&levels(5));
    assert_eq!(told(&shallow), [("any_of", "")]);
    assert!(
        shallow[0].message.ends_with("allowed forms; the nearest says: /a/a/a/a/x: null is not a string"),
        "{shallow:?}"
    );
    assert_eq!(told(&schema.validate(&levels(60))), [("limit", "")]);
    let defs = doubling(40, |a, b| json!({"anyOf": [{"properties": {"a": a}}, {"properties": {"a": b}}]}));
    let deep = levels(41);
    assert_eq!(told(&super::Schema::parse(&defs).unwrap().validate(&deep)), [("limit", "")]);
}

#[test]
fn the_longest_chain_of_schemas_fits_into_the_stack_of_a_thread() {
    let chain: serde_json::Map<String, Value> = (0..7)
        .map(|number| {
            (format!("d{number}"), json!({"allOf": [{"$ref": format!("#/$defs/d{}", number + 1)}]}))
        })
        .chain([(
            "d7".to_owned(),
            json!({"anyOf": [{"type": "string"}, {"properties": {"a": {"$ref": "#/$defs/d0"}}}]}),
        )])
        .collect();
    let schema = schema(&json!({"$ref": "#/$defs/d0", "$defs": chain}));
    let levels = |count: usize| (1..count).fold(json!({"a": 1}), |inner, _| json!({"a": inner}));
    let deepest =
        (1..64).rev().find(|count| schema.0.graph.chain(*count) <= crate::limits::SCHEMA_CHAIN).unwrap();
    // Half of what a thread of the server has.
    let run = std::thread::Builder::new().stack_size(1024 * 1024).spawn(move || {
        (schema.validate(&levels(deepest)).len(), schema.validate(&levels(deepest + 1)).remove(0).code)
    });
    assert_eq!(run.unwrap().join().unwrap(), (0, "limit"));
}

#[test]
fn the_deepest_schema_compiles_in_the_stack_of_a_thread() {
    let looking_again = |levels: usize| {
        (0..levels).fold(json!({}), |inner, _| json!({"unevaluatedProperties": false, "anyOf": [inner]}))
    };
    // Each level multiplies the work: twenty of them would be too much.
    assert_eq!(told(&Schema::parse(&looking_again(SCHEMA_DEPTH / 2 - 1)).unwrap_err()), [("limit", "")]);
    let documents = [
        nested(SCHEMA_DEPTH / 2 - 1, json!({"type": "string"})),
        (0..SCHEMA_DEPTH - 1).fold(json!({}), |inner, _| json!({"not": inner})),
        looking_again(8),
    ];
    let run = std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || documents.map(|document| schema(&document).validate(&json!({})).len()));
    assert_eq!(run.unwrap().join().unwrap(), [0, 1, 0]);
}

#[test]
fn a_pattern_bomb_costs_nothing_at_validation() {
    let schema = schema(&json!({"pattern": "^(a+)+$"}));
    let value = json!(format!("{}b", "a".repeat(100_000)));
    assert_eq!(told(&schema.validate(&value)), [("pattern", "")]);
    let large = self::schema(&json!({"pattern": "[^x]*a[^x]{250}c"}));
    assert_eq!(told(&large.validate(&json!("a".repeat(600_000)))), [("limit", "")]);
    assert_eq!(told(&large.validate(&json!("a".repeat(1_000)))), [("pattern", "")]);
    let regex = self::schema(&json!({"format": "regex"}));
    assert_eq!(told(&regex.validate(&json!("\\p{L}{1000}"))), [("format", "")]);
    assert_eq!(regex.validate(&json!("^a+$")), []);
}

#[test]
fn schemas_are_equal_when_they_say_the_same() {
    let one = schema(&json!({"type": "object", "required": ["a", "b"], "title": "x"}));
    assert_eq!(one, schema(&json!({"required": ["b", "a"], "type": "object", "description": "y"})));
    assert_ne!(one, schema(&json!({"type": "object", "required": ["a"]})));
    assert_eq!(Schema::any(), schema(&json!(true)));
    assert_eq!(told(&Schema::empty_object().validate(&json!({"a": 1}))), [("unknown_field", "/a")]);
}

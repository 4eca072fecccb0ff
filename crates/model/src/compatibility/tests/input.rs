//! What a change of the input means.

use serde_json::{Value, json};

use super::{closed, object, verdict};

#[test]
fn a_change_of_the_input_breaks_when_something_is_no_longer_accepted() {
    let text = || json!({"a": {"type": "string"}});
    let (card, cash) = (json!({"const": "card"}), json!({"const": "cash"}));
    let kind = |kind: &Value, more: &str| {
        json!({
            "type": "object", "properties": {"kind": kind, more: {"type": "string"}}, "required": ["kind"]
        })
    };
    for (name, old, new, breaks) in [
        (
            "new optional property",
            object(text(), &[]),
            object(json!({"a": {"type": "string"}, "b": {"type": "integer"}}), &[]),
            vec![],
        ),
        (
            "new optional property of a closed object",
            closed(text()),
            closed(json!({"a": {"type": "string"}, "b": true})),
            vec![],
        ),
        (
            "new required property",
            object(text(), &[]),
            object(json!({"a": {"type": "string"}, "b": true}), &["b"]),
            vec!["/input/properties/b"],
        ),
        (
            "new required property with a default",
            object(text(), &[]),
            object(json!({"a": {"type": "string"}, "b": {"default": 1}}), &["b"]),
            vec![],
        ),
        ("required now", object(text(), &[]), object(text(), &["a"]), vec!["/input/properties/a"]),
        ("optional now", object(text(), &["a"]), object(text(), &[]), vec![]),
        ("removed property", object(text(), &[]), object(json!({}), &[]), vec![]),
        (
            "removed property of a closed object",
            closed(text()),
            closed(json!({})),
            vec!["/input/properties/a"],
        ),
        ("closed now", object(text(), &[]), closed(text()), vec!["/input/additionalProperties"]),
        ("opened", closed(text()), object(text(), &[]), vec![]),
        ("value removed", json!({"enum": ["CZ", "FR"]}), json!({"enum": ["FR"]}), vec!["/input/enum"]),
        ("value added", json!({"enum": ["CZ"]}), json!({"enum": ["FR", "CZ"]}), vec![]),
        (
            "listed now",
            json!({"type": "string"}),
            json!({"type": "string", "enum": ["FR"]}),
            vec!["/input/enum"],
        ),
        ("no longer listed", json!({"enum": ["FR"]}), json!({"type": "string"}), vec![]),
        (
            "values that keep a new bound",
            json!({"enum": [1, 2]}),
            json!({"type": "integer", "minimum": 1}),
            vec![],
        ),
        (
            "values that break a new bound",
            json!({"enum": [0, 2]}),
            json!({"type": "integer", "minimum": 1}),
            vec!["/input/minimum"],
        ),
        ("both of a boolean", json!({"type": "boolean"}), json!({"enum": [true, false]}), vec![]),
        ("one of a boolean", json!({"type": "boolean"}), json!({"const": true}), vec!["/input/const"]),
        ("narrower type", json!({"type": "number"}), json!({"type": "integer"}), vec!["/input/type"]),
        ("wider type", json!({"type": "integer"}), json!({"type": "number"}), vec![]),
        ("more types", json!({"type": "integer"}), json!({"type": ["string", "integer"]}), vec![]),
        ("fewer types", json!({"type": ["string", "null"]}), json!({"type": "string"}), vec!["/input/type"]),
        ("typed now", json!({}), json!({"type": "object"}), vec!["/input/type"]),
        ("untyped now", json!({"type": "object"}), json!({}), vec![]),
        (
            "narrower range",
            json!({"type": "integer", "minimum": 1}),
            json!({"type": "integer", "minimum": 2}),
            vec!["/input/minimum"],
        ),
        (
            "wider range",
            json!({"type": "integer", "minimum": 2, "maximum": 5}),
            json!({"type": "integer", "minimum": 1, "maximum": 6}),
            vec![],
        ),
        (
            "bound without its edge",
            json!({"type": "integer", "minimum": 1}),
            json!({"type": "integer", "exclusiveMinimum": 1}),
            vec!["/input/exclusiveMinimum"],
        ),
        (
            "bound with its edge",
            json!({"type": "integer", "exclusiveMinimum": 1}),
            json!({"type": "integer", "minimum": 1}),
            vec![],
        ),
        (
            "shorter",
            json!({"type": "string", "maxLength": 9}),
            json!({"type": "string", "maxLength": 8}),
            vec!["/input/maxLength"],
        ),
        (
            "longer",
            json!({"type": "string", "maxLength": 9}),
            json!({"type": "string", "maxLength": 10}),
            vec![],
        ),
        (
            "a bound of another type",
            json!({"type": "integer"}),
            json!({"type": "integer", "maxLength": 8}),
            vec![],
        ),
        (
            "other pattern",
            json!({"type": "string", "pattern": "^a"}),
            json!({"type": "string", "pattern": "^b"}),
            vec!["/input/pattern"],
        ),
        ("no pattern", json!({"type": "string", "pattern": "^a"}), json!({"type": "string"}), vec![]),
        (
            "format",
            json!({"type": "string"}),
            json!({"type": "string", "format": "email"}),
            vec!["/input/format"],
        ),
        (
            "default changed",
            object(json!({"a": {"default": 1}}), &[]),
            object(json!({"a": {"default": 2}}), &[]),
            vec!["/input/properties/a/default"],
        ),
        (
            "default removed",
            object(json!({"a": {"default": 1}}), &[]),
            object(json!({"a": true}), &[]),
            vec!["/input/properties/a/default"],
        ),
        ("default added", object(json!({"a": true}), &[]), object(json!({"a": {"default": 2}}), &[]), vec![]),
        (
            "items",
            json!({"items": {"type": "string"}}),
            json!({"items": {"type": "integer"}}),
            vec!["/input/items/type"],
        ),
        (
            "described items",
            json!({"type": "array"}),
            json!({"type": "array", "items": {"type": "integer"}}),
            vec!["/input/items/type"],
        ),
        (
            "nested",
            object(json!({"x": object(text(), &[])}), &[]),
            object(json!({"x": object(text(), &["a"])}), &[]),
            vec!["/input/properties/x/properties/a"],
        ),
        (
            "map of values",
            json!({"additionalProperties": {"type": "integer"}}),
            json!({"additionalProperties": {"type": "string"}}),
            vec!["/input/additionalProperties/type"],
        ),
        (
            "or null",
            json!({"type": "string"}),
            json!({"anyOf": [{"type": "null"}, {"type": "string"}]}),
            vec![],
        ),
        (
            "no longer null",
            json!({"anyOf": [{"type": "null"}, {"type": "string"}]}),
            json!({"type": "string"}),
            vec!["/input/0/type"],
        ),
        (
            "an alternative more",
            json!({"oneOf": [kind(&card, "n")]}),
            json!({"oneOf": [kind(&card, "n"), kind(&cash, "m")]}),
            vec![],
        ),
        (
            "an alternative less",
            json!({"oneOf": [kind(&card, "n"), kind(&cash, "m")]}),
            json!({"oneOf": [kind(&card, "n")]}),
            vec!["/input/1/properties/kind/const"],
        ),
        (
            "an alternative that overlaps",
            json!({"oneOf": [{"type": "integer"}]}),
            json!({"oneOf": [{"type": "integer"}, {"minimum": 5}]}),
            vec!["/input"],
        ),
        (
            "a condition",
            json!({"type": "object"}),
            json!({"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}),
            vec!["/input/if", "/input/then"],
        ),
        ("nothing any more", json!({"type": "object"}), json!(false), vec!["/input"]),
        ("something at last", json!(false), json!({"type": "object"}), vec![]),
        (
            "a reference in place of what it says",
            json!({"type": "string"}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}),
            vec![],
        ),
        (
            "a definition",
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"enum": [1, 2]}}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"enum": [1]}}}),
            vec!["/input/enum"],
        ),
        (
            "parts merged",
            json!({"allOf": [object(text(), &["a"]), {"required": ["b"]}]}),
            object(text(), &["a", "b"]),
            vec![],
        ),
        (
            "an entity no more",
            object(json!({"a": {"x-entity": "customer"}}), &[]),
            object(json!({"a": true}), &[]),
            vec!["/input/properties/a/x-entity"],
        ),
        ("a secret", object(json!({"a": true}), &[]), object(json!({"a": {"x-secret": true}}), &[]), vec![]),
    ] {
        let expected = if breaks.is_empty() { "compatible" } else { "breaking" };
        assert_eq!(
            verdict("input", &old, &new),
            (expected, breaks.iter().map(|at| (*at).to_owned()).collect()),
            "{name}"
        );
    }
}

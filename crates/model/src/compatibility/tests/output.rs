//! What a change of the output or the facts means.

use serde_json::json;

use super::{closed, object, verdict};

#[test]
fn a_change_of_the_output_breaks_when_something_is_no_longer_promised() {
    let text = || json!({"a": {"type": "string"}});
    for (name, old, new, breaks) in [
        (
            "new property",
            object(text(), &["a"]),
            object(json!({"a": {"type": "string"}, "b": true}), &["a", "b"]),
            vec![],
        ),
        (
            "new property of a closed object",
            closed(text()),
            closed(json!({"a": {"type": "string"}, "b": true})),
            vec![],
        ),
        ("removed property", object(text(), &[]), object(json!({}), &[]), vec!["/output/properties/a"]),
        ("no longer required", object(text(), &["a"]), object(text(), &[]), vec!["/output/properties/a"]),
        ("required now", object(text(), &[]), object(text(), &["a"]), vec![]),
        ("value added", json!({"enum": ["CZ"]}), json!({"enum": ["CZ", "FR"]}), vec!["/output/enum"]),
        ("value removed", json!({"enum": ["CZ", "FR"]}), json!({"enum": ["FR"]}), vec![]),
        ("wider type", json!({"type": "integer"}), json!({"type": "number"}), vec!["/output/type"]),
        ("narrower type", json!({"type": "number"}), json!({"type": "integer"}), vec![]),
        ("or null", json!({"type": "string"}), json!({"type": ["string", "null"]}), vec!["/output/type"]),
        (
            "wider range",
            json!({"type": "integer", "maximum": 5}),
            json!({"type": "integer", "maximum": 6}),
            vec!["/output/maximum"],
        ),
        (
            "narrower range",
            json!({"type": "integer", "maximum": 5}),
            json!({"type": "integer", "maximum": 4}),
            vec![],
        ),
        (
            "no range",
            json!({"type": "integer", "maximum": 5}),
            json!({"type": "integer"}),
            vec!["/output/maximum"],
        ),
        ("described at last", json!({}), object(text(), &["a"]), vec![]),
        ("described no more", object(text(), &[]), json!(true), vec!["/output/type", "/output/properties/a"]),
        (
            "nested",
            object(json!({"x": object(text(), &["a"])}), &["x"]),
            object(json!({"x": object(text(), &[])}), &["x"]),
            vec!["/output/properties/x/properties/a"],
        ),
        (
            "items",
            json!({"items": {"type": "integer"}}),
            json!({"items": {"type": "number"}}),
            vec!["/output/items/type"],
        ),
        (
            "a default",
            object(json!({"a": {"default": 1}}), &[]),
            object(json!({"a": {"default": 2}}), &[]),
            vec![],
        ),
        (
            "an entity no more",
            object(json!({"a": {"x-entity": "customer"}}), &[]),
            object(json!({"a": true}), &[]),
            vec!["/output/properties/a/x-entity"],
        ),
        (
            "volatile",
            object(json!({"a": true}), &[]),
            object(json!({"a": {"x-volatile": true}}), &[]),
            vec![],
        ),
        (
            "volatile no more",
            object(json!({"a": {"x-volatile": true, "type": "string"}}), &[]),
            object(json!({"a": {"type": "string"}}), &[]),
            vec![],
        ),
    ] {
        let expected = if breaks.is_empty() { "compatible" } else { "breaking" };
        assert_eq!(
            verdict("output", &old, &new),
            (expected, breaks.iter().map(|at| (*at).to_owned()).collect()),
            "{name}"
        );
        let facts = verdict("facts", &old, &new);
        assert_eq!(facts.0, expected, "{name}");
        assert!(facts.1.iter().all(|at| at.starts_with("/facts")), "{name}");
    }
}

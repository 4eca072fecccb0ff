//! Manifests that must be refused, by code and place, and what is made of those that are accepted.

use serde_json::{Value, json};

use super::*;
use crate::contract::{Rate, RetryPolicy};

fn manifest() -> Value {
    json!({
        "environment": "staging", "domain": "billing", "instance": "billing-7f9c", "mode": "deployment",
        "build": "git:1a2b3c",
        "owner": {"team": "Billing", "contact": "billing@shop.test", "issues": "https://issues.shop.test/billing"},
        "sdk": {"name": "rust", "version": "0.1.0"},
        "capabilities": [{
            "name": "payment-account", "description": "An account that can pay",
            "input": {"type": "object", "properties": {"customer_id": {"type": "string"}}},
            "output": {"type": "object"}, "facts": {"type": "object"},
            "operations": ["produce", "check", "undo"], "reusable": false, "timeout_s": 60, "concurrency": 4,
            "rate": {"per_s": 2.5}, "fresh_for_s": 300, "settle_s": 10,
            "retry": {"max_attempts": 5, "first_delay_ms": 500, "max_delay_ms": 30000}, "labels": {"pii": "none"}
        }]
    })
}

/// The manifest with one value put in or, for `None`, taken out.
fn with(pointer: &str, value: Option<Value>) -> Value {
    let mut manifest = manifest();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer to a field");
    let parent = manifest.pointer_mut(parent).expect("the field's object");
    match value {
        Some(value) if parent.is_array() => parent[name.parse::<usize>().expect("an index")] = value,
        Some(value) => parent[name] = value,
        None => {
            parent.as_object_mut().expect("an object").remove(name);
        }
    }
    manifest
}

fn told(faults: &[Fault]) -> Vec<(&str, &str)> {
    faults.iter().map(|fault| (fault.code, fault.pointer.as_str())).collect()
}

#[test]
fn a_manifest_is_read_whole() {
    let read = Manifest::parse(&manifest()).unwrap();
    assert_eq!(read.warnings, []);
    assert_eq!(
        (read.environment.as_str(), read.domain.as_str(), &read.mode),
        ("staging", "billing", &Mode::Deployment)
    );
    assert_eq!(read.sdk, Some(Sdk { name: "rust".to_owned(), version: "0.1.0".to_owned() }));
    let capability = &read.capabilities[0].capability;
    assert_eq!(capability.operations.names(), ["produce", "check", "undo"]);
    assert_eq!(capability.rate, Some(Rate { per_s: 2.5 }));
    assert_eq!((capability.settle_s, capability.concurrency), (10, Some(4)));
}

#[test]
fn what_is_left_out_has_its_default() {
    let least = json!({
        "environment": "e", "domain": "d", "instance": "i", "owner": {"team": "T", "contact": "c"},
        "capabilities": [{"name": "n", "description": "x", "input": {}, "output": {}}]
    });
    let read = Manifest::parse(&least).unwrap();
    let Capability {
        operations,
        reusable,
        timeout_s,
        concurrency,
        rate,
        fresh_for_s,
        stale_for_s,
        settle_s,
        retry,
        facts,
    } = &read.capabilities[0].capability;
    assert_eq!(operations.names(), ["produce"]);
    assert_eq!((*reusable, *timeout_s, *settle_s), (false, 60, 30));
    assert_eq!((*fresh_for_s, *stale_for_s), (300, 3_600));
    assert_eq!(*retry, RetryPolicy { max_attempts: 5, first_delay_ms: 500, max_delay_ms: 30_000 });
    assert!(concurrency.is_none() && rate.is_none() && facts.is_none() && read.build.is_none());
}

#[test]
fn one_wrong_field_is_refused_by_code_and_place() {
    let capability = |field: &str| format!("/capabilities/0/{field}");
    let entry = manifest()["capabilities"][0].clone();
    for (pointer, value, code, at) in [
        ("/environment", None, "required", "/environment"),
        ("/domain", None, "required", "/domain"),
        ("/instance", None, "required", "/instance"),
        ("/owner", None, "required", "/owner"),
        ("/owner/team", None, "required", "/owner/team"),
        ("/capabilities", None, "required", "/capabilities"),
        ("/environment", Some(json!("Staging")), "name_pattern", "/environment"),
        ("/domain", Some(json!("")), "name_pattern", "/domain"),
        ("/domain", Some(json!("аdmin")), "name_pattern", "/domain"),
        ("/domain", Some(json!("..")), "name_pattern", "/domain"),
        ("/domain", Some(json!("a".repeat(64))), "name_pattern", "/domain"),
        ("/instance", Some(json!(7)), "type", "/instance"),
        ("/mode", Some(json!("development")), "enum", "/mode"),
        ("/mode", Some(json!("dev")), "required", "/channel"),
        ("/channel", Some(json!("me")), "not_allowed", "/channel"),
        ("/build", Some(Value::Null), "type", "/build"),
        ("/build", Some(json!("a\nb")), "control_character", "/build"),
        ("/owner/team", Some(json!(" ")), "empty", "/owner/team"),
        ("/owner/team", Some(json!("x".repeat(201))), "too_long", "/owner/team"),
        ("/owner/team", Some(json!("a\u{202E}b")), "bidi_or_invisible", "/owner/team"),
        ("/owner/issues", Some(json!("javascript:alert(1)")), "link", "/owner/issues"),
        ("/owner/issues", Some(json!("https://")), "link", "/owner/issues"),
        ("/owner/phone", Some(json!("1")), "unknown_field", "/owner/phone"),
        ("/sdk/version", None, "required", "/sdk/version"),
        ("/protocol", Some(json!(2)), "range", "/protocol"),
        ("/capabilities", Some(json!({})), "type", "/capabilities"),
        ("/capabilities", Some(json!([])), "limit", "/capabilities"),
        ("/capabilities", Some(json!([1].repeat(1_001))), "limit", "/capabilities"),
        ("/capabilities", Some(json!([entry, entry])), "duplicate_capability", "/capabilities/1/name"),
        ("/capabilities/0", Some(json!("x")), "type", "/capabilities/0"),
        (&capability("name"), Some(json!("a/b")), "name_pattern", &capability("name")),
        (&capability("input"), None, "required", &capability("input")),
        (&capability("output"), None, "required", &capability("output")),
        (
            &capability("input"),
            Some(json!({"$ref": "file:///etc/passwd"})),
            "ref_not_allowed",
            &capability("input/$ref"),
        ),
        (&capability("facts"), Some(json!({"multipleOf": 0})), "range", &capability("facts/multipleOf")),
        (&capability("description"), Some(json!("\0")), "nul_not_allowed", &capability("description")),
        (&capability("operations"), Some(json!(["check"])), "required", &capability("operations")),
        (&capability("operations"), Some(json!(["produce", "undone"])), "enum", &capability("operations/1")),
        (
            &capability("operations"),
            Some(json!(["produce", "produce"])),
            "duplicate",
            &capability("operations/1"),
        ),
        (&capability("operations"), Some(json!("produce")), "type", &capability("operations")),
        (&capability("operations"), Some(json!(["produce", "find"])), "no_entity", &capability("output")),
        (&capability("reusable"), Some(json!("yes")), "type", &capability("reusable")),
        (&capability("timeout_s"), Some(json!(0)), "range", &capability("timeout_s")),
        (&capability("timeout_s"), Some(json!(-1)), "range", &capability("timeout_s")),
        (&capability("timeout_s"), Some(json!(86_401)), "range", &capability("timeout_s")),
        (
            &capability("timeout_s"),
            Some(json!(9_223_372_036_854_775_808_u64)),
            "range",
            &capability("timeout_s"),
        ),
        (&capability("timeout_s"), Some(json!("60")), "type", &capability("timeout_s")),
        (&capability("timeout_s"), Some(json!(1.0)), "type", &capability("timeout_s")),
        (&capability("timeout_s"), Some(Value::Null), "type", &capability("timeout_s")),
        (&capability("timeout_s"), Some(json!(true)), "type", &capability("timeout_s")),
        (&capability("concurrency"), Some(json!(10_001)), "range", &capability("concurrency")),
        (&capability("rate"), Some(json!({"per_s": 0})), "range", &capability("rate/per_s")),
        (&capability("rate"), Some(json!({"per_s": 10_001})), "range", &capability("rate/per_s")),
        (&capability("rate"), Some(json!({"per_s": "1"})), "type", &capability("rate/per_s")),
        (&capability("rate"), Some(json!({})), "required", &capability("rate/per_s")),
        (&capability("retry/max_attempts"), Some(json!(101)), "range", &capability("retry/max_attempts")),
        (&capability("retry/max_attempts"), Some(json!(0)), "range", &capability("retry/max_attempts")),
        (
            &capability("retry/first_delay_ms"),
            Some(json!(30_001)),
            "range",
            &capability("retry/first_delay_ms"),
        ),
        (&capability("retry/first_delay_ms"), Some(json!(0)), "range", &capability("retry/first_delay_ms")),
        (&capability("labels"), Some(json!({"A b": "x"})), "name_pattern", &capability("labels/A b")),
        (&capability("labels"), Some(json!({"a": 1})), "type", &capability("labels/a")),
        (&capability("labels"), Some(json!([])), "type", &capability("labels")),
        (&capability("timeout"), Some(json!(1)), "unknown_field", &capability("timeout")),
    ] {
        let faults = Manifest::parse(&with(pointer, value.clone())).expect_err(pointer);
        assert_eq!(told(&faults), [(code, at)], "{pointer} = {value:?}: {faults:?}");
    }
}

#[test]
fn a_number_beyond_any_bound_is_out_of_range_and_not_of_another_type() {
    for (text, code) in [
        ("1e2", "type"),
        ("-0", "type"),
        ("18446744073709551616", "range"),
        ("-9223372036854775809", "range"),
    ] {
        let number: Value = serde_json::from_str(text).unwrap();
        let faults = Manifest::parse(&with("/capabilities/0/timeout_s", Some(number))).unwrap_err();
        assert_eq!(told(&faults), [(code, "/capabilities/0/timeout_s")], "{text}");
        assert!(faults[0].message.contains("from 1 to 86400"), "{faults:?}");
    }
}

#[test]
fn too_many_labels_are_refused() {
    let labels: serde_json::Map<String, Value> =
        (0..33).map(|number| (format!("l{number}"), json!("x"))).collect();
    let faults = Manifest::parse(&with("/capabilities/0/labels", Some(labels.into()))).unwrap_err();
    assert_eq!(told(&faults), [("limit", "/capabilities/0/labels")]);
}

#[test]
fn a_document_that_is_no_object_is_refused() {
    for document in [json!([]), json!("x"), json!(1), Value::Null] {
        assert_eq!(told(&Manifest::parse(&document).unwrap_err()), [("type", "")]);
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let document = json!({
        "environment": "E", "domain": "d", "instance": "i", "owner": {},
        "capabilities": [
            {"name": "a", "input": {"type": "x"}, "output": {}, "timeout_s": 0},
            {"name": "b", "inptu": {}, "output": {}}
        ]
    });
    let faults = Manifest::parse(&document).unwrap_err();
    assert_eq!(
        told(&faults),
        [
            ("name_pattern", "/environment"),
            ("required", "/owner/team"),
            ("enum", "/capabilities/0/input/type"),
            ("range", "/capabilities/0/timeout_s"),
            ("unknown_field", "/capabilities/1/inptu"),
            ("required", "/capabilities/1/input"),
        ]
    );
    assert!(faults[4].message.contains("did you mean \"input\"?"), "{faults:?}");
}

#[test]
fn a_manifest_of_unknown_fields_names_the_first_ones() {
    let document: Value = (0..50_000)
        .map(|field| (format!("domai{field}"), json!(1)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let faults = Manifest::parse(&document).unwrap_err();
    assert_eq!(faults.len(), 50);
    assert!(faults[0].message.contains("did you mean \"domain\"?"), "{}", faults[0].message);
}

#[test]
fn what_is_only_warned_of_is_refused_strictly() {
    let slip = with("/capabilities/0/facts", Some(json!({"requierd": []})));
    assert_eq!(told(&Manifest::parse(&slip).unwrap().warnings).len(), 1);
    assert_eq!(
        told(&Manifest::parse_strictly(&slip).unwrap_err()),
        [("unknown_keyword", "/capabilities/0/facts/requierd")]
    );
    assert!(Manifest::parse_strictly(&manifest()).is_ok());
}

#[test]
fn at_most_fifty_faults_are_told() {
    let bad = json!({"name": "A", "input": {}, "output": {}});
    let faults = Manifest::parse(&with("/capabilities", Some(json!(vec![bad; 1_000])))).unwrap_err();
    assert_eq!(faults.len(), 50);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    for (pointer, value, code, at) in [
        ("/owner", Some(json!({"team": "T"})), "no_contact", "/owner"),
        ("/capabilities/0/description", None, "no_description", "/capabilities/0/description"),
        (
            "/capabilities/0/input",
            Some(json!({"type": "object", "default": 1})),
            "example_invalid",
            "/capabilities/0/input/default",
        ),
        (
            "/capabilities/0/facts",
            Some(json!({"requierd": []})),
            "unknown_keyword",
            "/capabilities/0/facts/requierd",
        ),
    ] {
        let read = Manifest::parse(&with(pointer, value)).unwrap();
        assert_eq!(told(&read.warnings), [(code, at)]);
    }
}

#[test]
fn a_supplier_in_development_has_a_channel() {
    let mut document = with("/mode", Some(json!("dev")));
    document["channel"] = json!("petra");
    assert_eq!(Manifest::parse(&document).unwrap().mode.channel(), Some("petra"));
    for (channel, code) in [
        (json!(""), "name_pattern"),
        (json!("Petra"), "name_pattern"),
        (json!("petra's laptop"), "name_pattern"),
        (json!("-petra"), "name_pattern"),
        (json!("petra."), "name_pattern"),
        (json!("p/a"), "name_pattern"),
        (json!("a".repeat(64)), "name_pattern"),
        (json!(["petra"]), "type"),
        (Value::Null, "type"),
    ] {
        document["channel"] = channel.clone();
        let faults = Manifest::parse(&document).unwrap_err();
        assert_eq!((faults[0].pointer.as_str(), faults[0].code), ("/channel", code), "{channel}");
    }
}

#[test]
fn one_of_two_delays_may_be_left_out() {
    for (retry, delays) in [
        (json!({"first_delay_ms": 60_000}), (60_000, 60_000)),
        (json!({"max_delay_ms": 100}), (100, 100)),
        (json!({"max_attempts": 1}), (500, 30_000)),
    ] {
        let read = Manifest::parse(&with("/capabilities/0/retry", Some(retry))).unwrap();
        let RetryPolicy { first_delay_ms, max_delay_ms, .. } = read.capabilities[0].capability.retry;
        assert_eq!((first_delay_ms, max_delay_ms), delays);
    }
}

#[test]
fn a_stored_definition_makes_the_same_contract_again() {
    let definition = Manifest::parse(&manifest()).unwrap().capabilities.remove(0);
    let stored = definition.to_json();
    assert_eq!(CapabilityDefinition::from_json(&stored).unwrap(), definition);
    let contract = Contract::from_definition("billing", &stored, 7).unwrap();
    assert_eq!((contract.name.to_string().as_str(), contract.version), ("billing/payment-account", 7));
    assert_eq!(contract.owner.contact.as_deref(), Some("billing@shop.test"));
    assert_eq!(contract.capability(), Some(&definition.capability));
    assert_eq!(contract.labels["pii"], "none");
    assert_eq!(contract.input.document(), &manifest()["capabilities"][0]["input"]);

    let least = json!({"name": "n", "owner": {"team": "T"}, "input": true, "output": true});
    let definition = CapabilityDefinition::from_json(&least).unwrap();
    assert_eq!(CapabilityDefinition::from_json(&definition.to_json()).unwrap(), definition);
}

#[test]
fn a_stored_definition_that_is_damaged_is_refused() {
    for (stored, expected) in [
        (json!({"name": "n", "input": true, "output": true}), ("required", "/owner")),
        (json!({"name": "n", "owner": {"team": "T"}, "output": true}), ("required", "/input")),
        (json!("x"), ("type", "")),
    ] {
        assert_eq!(told(&Contract::from_definition("d", &stored, 1).unwrap_err()), [expected]);
    }
}

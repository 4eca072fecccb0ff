//! Stock rules, as tables: what is written and every line that it answers.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::catalogue::Entry;
use crate::contract::{Capability, ContractBody, Operations, Owner, RetryPolicy};
use crate::diagnostic::Diagnostic;
use crate::files::{Parsed, read as read_file};
use crate::limits::STOCK_RULES;
use crate::schema::Schema;

const GOOD: &str = r#"stock:
  ready-customer-fr:
    contract: checkout/ready-customer
    input: { country: FR }
    target: 20
    max_age_s: 86400
    check_every_s: 900
    priority: 70
    paused: true
    window: { opens: "0 6 * * 1-5", for_s: 43200, time_zone: Europe/Prague }
  least: { contract: checkout/ready-customer, target: 1 }
"#;

fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn read(document: &Value) -> Result<StockRule, Vec<Fault>> {
    let name = "least".parse().unwrap();
    RuleDraft::read(name, document, now()).map(|draft| draft.into_rule(None))
}

fn file(text: &str) -> Result<StockFile, Vec<Diagnostic>> {
    let read = read_file("file", text, now());
    match read.parsed {
        Some(Parsed::Scenario(_)) => panic!("{text}"),
        Some(Parsed::Stock(file)) if read.faults.is_empty() => Ok(file),
        _ => Err(read.faults),
    }
}

fn lines(found: &[Diagnostic]) -> String {
    let one = |d: &Diagnostic| {
        let hint = d.hint.as_deref().map(|hint| format!(" | {hint}")).unwrap_or_default();
        format!("{}:{}+{} {} {}{hint}", d.line, d.column, d.length, d.code, d.message)
    };
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn catalogue(input: &Value) -> Catalogue {
    let capability = Capability {
        facts: None,
        operations: Operations { produce: true, check: false, undo: false, find: false },
        reusable: false,
        timeout_s: 60,
        concurrency: None,
        rate: None,
        fresh_for_s: 300,
        stale_for_s: 3_600,
        settle_s: 30,
        retry: RetryPolicy::default(),
    };
    let contract = Contract {
        name: "checkout/ready-customer".parse().unwrap(),
        version: 1,
        description: String::new(),
        owner: Owner { team: "Checkout".to_owned(), contact: None, issues: None },
        labels: std::collections::BTreeMap::new(),
        input: Schema::parse(input).unwrap(),
        output: Schema::any(),
        body: ContractBody::Capability(capability),
    };
    let entry = Entry {
        contract: Arc::new(contract),
        fingerprint: String::new(),
        older: Vec::new(),
        faults: Vec::new(),
        registered_at: Timestamp::UNIX_EPOCH,
    };
    Catalogue::new(vec![entry], Vec::new())
}

fn faults(found: &[Fault]) -> Vec<(&str, &str)> {
    found.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect()
}

#[test]
fn a_file_is_read_entire() {
    let file = file(GOOD).unwrap_or_else(|found| panic!("{}", lines(&found)));
    let rules: Vec<StockRule> = file.rules().map(|draft| draft.clone().into_rule(None)).collect();
    let whole = StockRule {
        name: "ready-customer-fr".parse().unwrap(),
        contract: "checkout/ready-customer".parse().unwrap(),
        input: Arc::new(json!({"country": "FR"})),
        target: 20,
        max_age_s: Some(86_400),
        check_every_s: Some(900),
        priority: 70,
        state: RuleState::Paused,
        window: Some(Window::new("0 6 * * 1-5", 43_200, "Europe/Prague")),
    };
    let least = StockRule {
        name: "least".parse().unwrap(),
        input: Arc::new(json!({})),
        target: 1,
        max_age_s: None,
        check_every_s: None,
        priority: 50,
        state: RuleState::Active,
        window: None,
        ..whole.clone()
    };
    assert_eq!(rules, [least, whole]);
}

#[test]
fn every_fault_of_a_file_is_told_at_once_where_it_stands() {
    let text = r#"version: 2
stock:
  Bad Name: { contract: a/b, target: 1 }
  none: { }
  numbers:
    contract: a
    target: -1
    max_age_s: 0
    check_every_s: 010
    priority: 101
    paused: yes
    input: [1]
  window:
    contract: a/b
    target: 1000000000
    targt: 5
    max_age_s: 60
    check_every_s: 61
    window:
      opens: "* * * * * *"
      for_s: 59
      time_zone: Mars/Olympus
      tz: UTC
  never: { contract: a/b, target: 1, window: { opens: 0 0 30 2 *, for_s: 60, time_zone: UTC } }
  text: hello
more: 1
"#;
    let expected = r#"
1:1+7 unsupported_version `version` is unknown: stock files carry no version | remove it; there is one format so far
3:3+8 bad_name "Bad Name" is not the name of a stock rule: 1 to 63 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit, the last not '.' | choose another name
4:3+4 required "contract" is missing | add it
4:3+4 required "target" is missing | add it
6:15+1 name_pattern `contract`: "a" is not the name of a contract: it is written domain/name | write it as `domain/name`
7:13+2 range `target`: is -1; a whole number from 1 to 100000 is allowed | choose a number in that range
8:16+1 range `max_age_s`: is 0; a whole number from 1 to 31536000 is allowed | choose a number in that range
9:20+3 type `check_every_s`: is not a number; a whole number from 1 to 604800 is allowed | text may stand in quotes; numbers, true and false must not
10:15+3 range `priority`: is 101; a whole number from 0 to 100 is allowed | choose a number in that range
11:13+3 type `paused`: is neither true nor false | text may stand in quotes; numbers, true and false must not
12:12+1 type `input`: is not an object | text may stand in quotes; numbers, true and false must not
15:13+10 range `target`: is 1000000000; a whole number from 1 to 100000 is allowed | choose a number in that range
16:5+5 unknown_field "targt" is not a known field (did you mean "target"?); known are contract, input, target, max_age_s, check_every_s, priority, paused, window | correct the name, or remove the field
18:20+2 range `check_every_s`: is 61, longer than the 60 of "max_age_s": no dataset would stay long enough to be checked | check more often, or keep the datasets for longer
20:14+13 cron `window.opens`: has 6 fields, and five are allowed: minute, hour, day of the month, month, day of the week. A window opens at most once a minute, in every year | as in `0 6 * * 1-5`: at six, from Monday to Friday
21:14+2 range `window.for_s`: is 59; a whole number from 60 to 604800 is allowed | choose a number in that range
22:18+12 time_zone `window.time_zone`: "Mars/Olympus" is not a zone of the IANA time zone database, such as Europe/Prague or UTC | as in `Europe/Prague`
23:7+2 unknown_field "tz" is not a known field; known are opens, for_s, time_zone | correct the name, or remove the field
24:55+10 cron_never `window.opens`: "0 0 30 2 *" does not come within 5 years: no month has such a day | `L` is the last day of a month
25:9+5 type the rule is not an object | text may stand in quotes; numbers, true and false must not
26:1+4 unknown_field a stock file has no field `more` | a rule stands under `stock:`, two spaces further in
"#;
    assert_eq!(lines(&file(text).unwrap_err()), expected.trim());
}

#[test]
fn what_yaml_has_beyond_data_is_told_once() {
    for (text, expected) in [
        ("stock: {}\n", "1:8+1 empty there is no rule here | name a rule, or remove the file"),
        (
            "stock: [a]\n",
            "1:8+1 wrong_type stock rules by name are expected here | write `name: { contract: domain/name, target: 10 }` for each rule",
        ),
        (
            "stock:\n",
            "1:6+1 wrong_type stock rules by name are expected here | write `name: { contract: domain/name, target: 10 }` for each rule",
        ),
        (
            "stock:\n  a: { contract: a/b, target: 1 }\n  a: { contract: a/b, target: 2 }\n",
            "3:3+1 duplicate_key `a` is already on line 2 | keep one of the two",
        ),
        (
            "stock:\n  a: &a { contract: a/b, target: 1 }\n  b: { <<: *a }\n",
            "3:3+1 required \"contract\" is missing | add it\n3:3+1 required \"target\" is missing | add it\n\
             3:8+2 unknown_field \"<<\" is not a known field; known are contract, input, target, max_age_s, check_every_s, priority, paused, window | correct the name, or remove the field\n\
             3:8+2 yaml_merge merge keys (`<<`) are not supported | write the fields out",
        ),
        (
            "stock:\n  a: { contract: a/b, target: !!int 1 }\n",
            "2:31+5 yaml_tag tags (`!…`) are not supported | remove the tag; quote the value if it is text",
        ),
    ] {
        assert_eq!(lines(&file(text).unwrap_err()), expected, "{text}");
    }
    let alias = "stock:\n  a: &a { contract: a/b, target: 1 }\n  b: *a\n";
    assert_eq!(file(alias).unwrap().rules().len(), 2);
}

#[test]
fn a_file_holds_as_many_rules_as_an_environment() {
    let with = |count: usize| {
        let rules = (0..count).map(|number| format!("  r{number}: {{ contract: a/b, target: 1 }}\n"));
        file(&format!("stock:\n{}", rules.collect::<String>()))
    };
    assert_eq!(with(STOCK_RULES).unwrap().rules().len(), STOCK_RULES);
    assert_eq!(with(STOCK_RULES + 1).unwrap_err()[0].code, "limit");
}

#[test]
fn json_answers_with_pointers() {
    let rule = json!({"contract": "a/b", "target": 1});
    let with = |field: &str, value: Value| {
        let mut rule = rule.clone();
        rule[field] = value;
        rule
    };
    let window = |opens: &str, for_s: Value, time_zone: &str| {
        with("window", json!({"opens": opens, "for_s": for_s, "time_zone": time_zone}))
    };
    for (document, expected) in [
        (json!({}), vec![("/contract", "required"), ("/target", "required")]),
        (json!([]), vec![("", "type")]),
        (json!(null), vec![("", "type")]),
        (with("target", json!(-1)), vec![("/target", "range")]),
        (with("target", json!(0)), vec![("/target", "range")]),
        (with("target", json!(1_000_000_000)), vec![("/target", "range")]),
        (
            with("target", serde_json::from_str("100000000000000000000000").unwrap()),
            vec![("/target", "range")],
        ),
        (with("target", json!(1.0)), vec![("/target", "type")]),
        (with("target", json!("1")), vec![("/target", "type")]),
        (with("target", json!(null)), vec![("/target", "type")]),
        (with("contract", json!("ab")), vec![("/contract", "name_pattern")]),
        (with("contract", json!(1)), vec![("/contract", "type")]),
        (with("input", json!([])), vec![("/input", "type")]),
        (with("input", json!({"a": "x".repeat(64 * 1024)})), vec![("/input", "too_long")]),
        (with("max_age_s", json!(31_536_001)), vec![("/max_age_s", "range")]),
        (with("check_every_s", json!(604_801)), vec![("/check_every_s", "range")]),
        (with("priority", json!(-1)), vec![("/priority", "range")]),
        (with("priority", json!(101)), vec![("/priority", "range")]),
        (with("paused", json!("true")), vec![("/paused", "type")]),
        (with("state", json!("paused")), vec![("/state", "unknown_field")]),
        (with("name", json!("x")), vec![("/name", "unknown_field")]),
        (with("window", json!("0 6 * * *")), vec![("/window", "type")]),
        (
            with("window", json!({})),
            vec![
                ("/window/opens", "required"),
                ("/window/for_s", "required"),
                ("/window/time_zone", "required"),
            ],
        ),
        (window("0 6 * * *", json!(59), "UTC"), vec![("/window/for_s", "range")]),
        (window("0 6 * * *", json!(604_801), "UTC"), vec![("/window/for_s", "range")]),
        (window("* * * * * *", json!(60), "UTC"), vec![("/window/opens", "cron")]),
        (window("*/0", json!(60), "UTC"), vec![("/window/opens", "cron")]),
        (window("0 0 1 1 * 2200", json!(60), "UTC"), vec![("/window/opens", "cron")]),
        (window("0 0 30 2 *", json!(60), "UTC"), vec![("/window/opens", "cron_never")]),
        (window("0 6 * * *", json!(60), "Mars/Olympus"), vec![("/window/time_zone", "time_zone")]),
        (
            window("x", json!("y"), "z"),
            vec![("/window/for_s", "type"), ("/window/opens", "cron"), ("/window/time_zone", "time_zone")],
        ),
        (window("", json!(60), "UTC"), vec![("/window/opens", "empty")]),
        (window(&"1,".repeat(200), json!(60), "UTC"), vec![("/window/opens", "too_long")]),
    ] {
        let found = read(&document).unwrap_err();
        assert_eq!(faults(&found), expected, "{document}");
    }
    for document in [
        rule.clone(),
        with("target", json!(100_000)),
        with("priority", json!(0)),
        with("max_age_s", json!(1)),
        window("0 0 29 2 *", json!(604_800), "america/new_york"),
    ] {
        assert!(read(&document).is_ok(), "{document}");
    }
}

#[test]
fn putting_a_rule_again_leaves_its_state_unless_it_says_so() {
    let before = read(&json!({"contract": "a/b", "target": 1, "paused": true})).unwrap();
    let draining = before.edited(RuleEdit { state: Some(RuleState::Draining), target: None });
    for (document, before, state) in [
        (json!({"contract": "a/b", "target": 2}), None, RuleState::Active),
        (json!({"contract": "a/b", "target": 2}), Some(&before), RuleState::Paused),
        (json!({"contract": "a/b", "target": 2}), Some(&draining), RuleState::Draining),
        (json!({"contract": "a/b", "target": 2, "paused": false}), Some(&draining), RuleState::Active),
        (json!({"contract": "a/b", "target": 2, "paused": true}), Some(&draining), RuleState::Paused),
    ] {
        let draft = RuleDraft::read("least".parse().unwrap(), &document, now()).unwrap();
        let rule = draft.into_rule(before);
        assert_eq!((rule.state, rule.target), (state, 2), "{document}");
    }
}

#[test]
fn an_edit_changes_target_and_state_and_nothing_else() {
    let rule = read(&json!({"contract": "a/b", "target": 1, "max_age_s": 60})).unwrap();
    let edit = RuleEdit::read(&json!({"target": 5, "state": "draining"})).unwrap();
    assert_eq!(rule.edited(edit), StockRule { target: 5, state: RuleState::Draining, ..rule.clone() });
    assert_eq!(rule.edited(RuleEdit::read(&json!({})).unwrap()), rule);
    for (document, expected) in [
        (json!([]), vec![("", "type")]),
        (json!({"target": 0}), vec![("/target", "range")]),
        (json!({"target": null}), vec![("/target", "type")]),
        (json!({"state": "stopped"}), vec![("/state", "enum")]),
        (json!({"state": null}), vec![("/state", "type")]),
        (json!({"targt": 1}), vec![("/targt", "unknown_field")]),
        (json!({"contract": "a/c", "target": -1}), vec![("/contract", "immutable"), ("/target", "range")]),
        (json!({"paused": true}), vec![("/paused", "immutable")]),
    ] {
        assert_eq!(faults(&RuleEdit::read(&document).unwrap_err()), expected, "{document}");
    }
}

#[test]
fn a_rule_fits_the_catalogue_or_says_why_not() {
    let schema = json!({
        "type": "object",
        "properties": {
            "country": {"enum": ["CZ", "FR"], "default": "FR"},
            "lines": {"type": "integer", "minimum": 1}
        },
        "required": ["country"],
        "additionalProperties": false
    });
    let offered = catalogue(&schema);
    for (contract, input, expected) in [
        ("checkout/ready-customer", json!({}), vec![]),
        ("checkout/ready-customer", json!({"country": "CZ", "lines": 2}), vec![]),
        ("checkout/ready-customer", json!({"country": "DE"}), vec![("/input/country", "enum")]),
        (
            "checkout/ready-customer",
            json!({"lines": 0, "colour": "red"}),
            vec![("/input/colour", "unknown_field"), ("/input/lines", "range")],
        ),
        ("checkout/ready-customers", json!({}), vec![("/contract", "unknown_contract")]),
    ] {
        let rule = read(&json!({"contract": contract, "input": input, "target": 1})).unwrap();
        let mut found = rule.faults(&offered);
        found.sort_by(|one, other| one.pointer.cmp(&other.pointer));
        assert_eq!(faults(&found), expected, "{contract} {input}");
    }
    let rule = read(&json!({"contract": "checkout/ready-customers", "target": 1})).unwrap();
    assert!(rule.faults(&offered)[0].message.contains("did you mean `checkout/ready-customer`?"));
    let rule = StockRule {
        window: Some(Window::new("x", 60, "UTC")),
        ..read(&json!({"contract": "checkout/ready-customer", "target": 1})).unwrap()
    };
    assert_eq!(faults(&rule.faults(&offered)), [("/window/opens", "cron")]);
}

#[test]
fn a_fault_of_the_catalogue_is_told_where_it_stands_in_the_file() {
    let offered = catalogue(
        &json!({"properties": {"country": {"enum": ["CZ", "FR"]}}, "required": ["country", "lines"]}),
    );
    let text = "stock:\n  a:\n    contract: checkout/ready-customer\n    target: 1\n    input:\n      country: DE\n  b: { contract: x/y, target: 1 }\n";
    let file = file(text).unwrap();
    let mut found: Vec<Diagnostic> = Vec::new();
    for draft in file.rules() {
        let rule = draft.clone().into_rule(None);
        found.extend(file.diagnostics(&rule.name, &rule.faults(&offered)));
    }
    let expected = r#"
6:16+2 enum `input.country`: "DE" is not one of "CZ", "FR" | `sixpack contracts show` tells what the contract takes
6:7+1 required "lines" is missing | add it
7:18+3 unknown_contract there is no contract x/y | `sixpack contracts` lists what there is
"#;
    let mut lines: Vec<String> = found.iter().map(|one| lines(std::slice::from_ref(one))).collect();
    lines.sort();
    let mut wanted: Vec<&str> = expected.trim().lines().collect();
    wanted.sort_unstable();
    assert_eq!(lines, wanted);
}

proptest! {
    /// Whatever is sent, reading answers, and every pointer is one.
    #[test]
    fn any_document_is_read_or_refused(
        target in any::<i64>(), opens in "[0-9*,/ LW#?@+A-Z-]{0,20}", zone in "[A-Za-z/_+-]{0,20}", text in ".{0,20}",
    ) {
        let document = json!({
            "contract": text, "target": target,
            "window": {"opens": opens, "for_s": target, "time_zone": zone}
        });
        for fault in read(&document).err().unwrap_or_default() {
            prop_assert!(document.pointer(&fault.pointer).is_some(), "{}", fault);
        }
    }
}

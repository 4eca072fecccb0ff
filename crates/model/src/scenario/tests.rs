//! Scenario files, as tables: a file and every line that it answers.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::limits::{FILE_BYTES, FILE_NODES};

const GOOD: &str = r#"scenario: checkout/ready-customer
owner: { team: Checkout, contact: checkout@shop.test, issues: https://shop.test/issues }
description: A customer that can order.
labels: { tier: "1", pii: none }
input: { type: object, properties: { country: { type: string, default: FR } } }
steps:
  customer:
    uses: customer/active-customer
    with: { country: "${{ input.country }}" }
    retry: { max_attempts: 3, first_delay_ms: 10 }
    timeout_s: 20
    from: fresh
  order:
    uses: order/prepared-order
    if: ${{ input.country == "FR" }}
    for_each: "[1, 2]"
    needs: [customer, customer]
invariants:
  - that: facts.customer.id == "x"
    says: it is so
output: { id: "${{ steps.customer.id }}" }
settle_s: 60
timeout_s: 600
"#;

fn lines(found: &[Diagnostic]) -> String {
    let one = |d: &Diagnostic| {
        let hint = d.hint.as_deref().map(|hint| format!(" | {hint}")).unwrap_or_default();
        format!("{}:{}+{} {} {}{hint}", d.line, d.column, d.length, d.code, d.message)
    };
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(steps: &str, expected: &str) {
    let found =
        parse("file", steps.trim_start_matches('\n')).map_or_else(|found| lines(&found), |_| String::new());
    assert_eq!(found, expected.trim(), "{steps}");
}

/// A whole scenario around one line of a step; the line is the seventh.
#[track_caller]
fn check_step(line: &str, code: &str) {
    let text = format!(
        "scenario: a/b\nowner: {{ team: T }}\noutput: {{}}\nsteps:\n  s:\n    uses: c/d\n    {line}\n"
    );
    let codes = match parse("file", &text) {
        Ok(_) => String::new(),
        Err(found) => found.iter().map(|found| found.code).collect::<Vec<_>>().join(" "),
    };
    assert_eq!(codes, code, "{line}");
}

/// A whole scenario around a description.
fn described(description: &str) -> Result<Draft, Vec<Diagnostic>> {
    parse(
        "file",
        &format!(
            "scenario: a/b\nowner: {{ team: T }}\ndescription: {description}\nsteps: {{ s: {{ uses: c/d }} }}\noutput: {{}}\n"
        ),
    )
}

#[test]
fn a_scenario_is_read_entire() {
    let draft = parse("file", GOOD).unwrap_or_else(|found| panic!("{}", lines(&found)));
    assert_eq!(draft.name().to_string(), "checkout/ready-customer");
    assert_eq!(draft.owner.contact.as_deref(), Some("checkout@shop.test"));
    assert_eq!((draft.labels["tier"].as_str(), draft.settle_s, draft.timeout_s), ("1", 60, Some(600)));
    let [customer, order] = &draft.steps[..] else { panic!("two steps") };
    let retry = RetryPolicy { max_attempts: 3, first_delay_ms: 10, max_delay_ms: 30_000 };
    assert_eq!((customer.retry, customer.timeout_s, customer.from), (Some(retry), Some(20), Source::Fresh));
    assert_eq!(order.condition.as_ref().unwrap().value.text(), "input.country == \"FR\"");
    assert_eq!(order.needs.iter().map(|need| need.value.as_str()).collect::<Vec<_>>(), ["customer"]);
    assert_eq!((order.retry, order.from, draft.source.as_str()), (None, Source::StockFirst, GOOD));
}

#[test]
fn json_carriage_returns_and_a_byte_order_mark_are_taken() {
    assert!(parse("file", &GOOD.replace('\n', "\r\n")).is_ok());
    assert!(parse("file", &format!("\u{feff}{GOOD}")).is_ok());
    let json = r#"{"scenario": "a/b", "owner": {"team": "T"}, "steps": {"s": {"uses": "c/d", "with": {"a": "\u00e9"}}}, "output": {}}"#;
    assert_eq!(parse("file", json).unwrap().steps[0].with.root.constant(), Some(json!({"a": "é"})));
}

#[test]
fn a_file_that_is_not_one_yaml_document_is_refused() {
    check(
        r#"
"#,
        r#"
1:1+1 empty the file holds nothing | begin with `scenario: domain/name`, or with `stock:`
"#,
    );
    check(
        r#"
# nothing
---
"#,
        r#"
1:1+1 empty the file holds nothing | begin with `scenario: domain/name`, or with `stock:`
"#,
    );
    check(
        r#"
scenario: a/b
---
scenario: a/c
"#,
        r#"
2:1+3 one_document the file holds a second document | put each into a file of its own
"#,
    );
    check(
        "\nscenario: a/b\nsteps:\n\ts: x\n",
        r#"
3:2+1 yaml_syntax tabs disallowed within this context (block indentation) | indent with spaces
"#,
    );
    check(
        r#"
scenario: [a
"#,
        r#"
1:11+1 yaml_syntax unclosed bracket '['
"#,
    );
    check(
        r#"
%YAML 1.1
---
scenario: a/b
"#,
        r#"
1:1+1 yaml_directive directives (`%…`) are not supported | remove the line
"#,
    );
    check(
        r#"
- scenario: a/b
"#,
        r#"
1:1+1 wrong_type a map with the fields of a scenario is expected here | this is a list
"#,
    );
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(parse_bytes("file", &utf16).unwrap_err()[0].code, "encoding");
    assert_eq!(parse_bytes("file", &[0xff, 0xfe]).unwrap_err()[0].code, "encoding");
    let large = format!("{GOOD}# {}", "x".repeat(FILE_BYTES));
    assert_eq!(
        lines(&parse("file", &large).unwrap_err()),
        "1:1+1 too_large the file is larger than 1048576 bytes"
    );
}

#[test]
fn what_yaml_has_beyond_data_is_refused() {
    check(
        r#"
scenario: a/b
owner: &owner { team: !!str T, contact: !include secret }
steps:
  s: { uses: c/d, with: { <<: *owner, x: !custom y, z: !<tag:x> [1] } }
output: {}
"#,
        r#"
2:23+5 yaml_tag tags (`!…`) are not supported | remove the tag; quote the value if it is text
2:41+8 yaml_tag tags (`!…`) are not supported | remove the tag; quote the value if it is text
4:27+2 yaml_merge merge keys (`<<`) are not supported | write the fields out
4:42+7 yaml_tag tags (`!…`) are not supported | remove the tag; quote the value if it is text
4:56+8 yaml_tag tags (`!…`) are not supported | remove the tag; quote the value if it is text
"#,
    );
    check(
        r#"
scenario: a/b
owner: { team: T }
steps:
  s: { uses: c/d, uses: c/e, with: { a: 1, "a": 2, [x]: 1 } }
  s: { uses: c/d }
output: {}
output: {}
"#,
        r#"
4:19+4 duplicate_key `uses` is already on line 4 | keep one of the two
4:44+3 duplicate_key `a` is already on line 4 | keep one of the two
4:52+1 wrong_type the name of a field must be text
5:3+1 duplicate_step `s` is already on line 4 | keep one of the two
7:1+6 duplicate_key `output` is already on line 6 | keep one of the two
"#,
    );
}

#[test]
fn aliases_stand_for_their_value_within_the_budget() {
    let text = GOOD.replace("\"${{ input.country }}\" }", "&c [x], other: *c }");
    assert_eq!(
        parse("file", &text).unwrap().steps[0].with.root.constant(),
        Some(json!({"country": ["x"], "other": ["x"]}))
    );

    let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let refers = format!("*a{},", level - 1).repeat(9);
        laughs.push_str(&format!("a{level}: &a{level} [{refers}]\n"));
    }
    let many = format!("a: &a x\nb: [{}]\n", "*a,".repeat(FILE_NODES + 1));
    for text in [laughs.as_str(), &many, "a: &a [*a]\n", "a: &a { b: { c: *a } }\n"] {
        assert_eq!(
            parse("file", text).unwrap_err()[0].code,
            "yaml_budget",
            "{}",
            &text[..20.min(text.len())]
        );
    }
}

#[test]
fn depth_is_bounded_in_every_style() {
    let nested = (0..64).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
    let chained = (0..40).fold("a0: &a0 [x]\n".to_owned(), |text, level| {
        format!("{text}a{}: &a{} [[*a{level}]]\n", level + 1, level + 1)
    });
    for text in [
        &"[".repeat(65),
        &"[".repeat(100_000),
        &"{a: ".repeat(100_000),
        &"- ".repeat(100_000),
        &nested,
        &chained,
    ] {
        let found = parse("file", text).unwrap_err();
        assert_eq!(found[0].code, "too_deep", "{}", lines(&found));
    }
}

#[test]
fn a_scalar_is_what_its_field_wants() {
    for text in [
        "NO",
        "on",
        "yes",
        "010",
        "1_000",
        "0o17",
        "12:30:45",
        "1e3",
        "1.0",
        "true",
        ".inf",
        "2026-01-01",
        "0x1F",
    ] {
        assert_eq!(described(text).unwrap_or_else(|found| panic!("{}", lines(&found))).description, text);
    }
    for text in ["~", "null", "", "[]", "{}"] {
        assert_eq!(described(text).unwrap_err()[0].code, "wrong_type", "{text}");
    }
    for text in [
        "010", "1_000", "0o17", "0x10", "12:30:45", "1e3", "1.0", ".inf", ".nan", "~", "\"10\"", "ten", "+5",
        "true", "[1]",
    ] {
        check_step(&format!("timeout_s: {text}"), "wrong_type");
    }
    for text in ["0", "-1", "86401", "31536000", "99999999999999999999999"] {
        check_step(&format!("timeout_s: {text}"), "range");
    }
    for text in ["NO", "on", "y", "yes", "True", "1", "\"true\"", "~"] {
        check_step(&format!("shared: {text}"), "wrong_type");
    }
    check_step("shared: true", "not_supported");
    check_step("shared: false", "");
    check_step("retry: { max_attempts: 0 }", "range");
    check_step("retry: { max_attempts: -1 }", "range");
    check_step("retry: { max_attempts: 1000000000 }", "range");
    check_step("retry: { first_delay_ms: 10 }", "missing_field");
    check_step("retry: { max_attempts: 2, first_delay_ms: 0 }", "range");
    check_step("retry: { max_attempts: 2, first_delay_ms: 20, max_delay_ms: 10 }", "range");
    check_step("from: stok_first", "bad_value");
    check_step("needs: customer", "wrong_type");
    check_step("if: true", "");
    check_step("if: [true]", "wrong_type");
    check_step("if: ~", "wrong_type");
    check_step("if: \"\"", "empty");
    check_step("with: [1]", "wrong_type");
    check_step("with: ~", "wrong_type");
}

#[test]
fn untyped_scalars_are_plain_decimal_or_text() {
    let text = GOOD.replace(
        "{ country: \"${{ input.country }}\" }",
        "{ a: NO, b: 010, c: 1_000, d: 0o17, e: 1e3, f: 12:30, g: true, h: False, i: ~, j: 12.50, k: -3, l: .nan, m: 12345678901234567890123 }",
    );
    let value = parse("file", &text).unwrap().steps[0].with.root.constant().unwrap();
    let expected = r#"{"a":"NO","b":"010","c":"1_000","d":"0o17","e":"1e3","f":"12:30","g":true,"h":"False","i":null,"j":12.50,"k":-3,"l":".nan","m":12345678901234567890123}"#;
    assert_eq!(value.to_string(), expected);
}

#[test]
fn every_fault_of_the_form_is_reported_at_once() {
    check(
        r#"
scenario: Checkout/Ready
owner: { tem: T, issues: "javascript:alert(1)" }
labels: { Tier: 1, ok: [] }
apiVersion: v2
setle_s: 5
settle_s: 3601
input: { type: object, properties: { a: { type: strng } , b: { type: integer, default: x } } }
steps:
  Order: { uses: order }
  two: { with: {}, iff: "true" }
  three: { uses: c/d, if: "1 +", with: { a: "${{ b", c: "x ${{ }} y", d: "${{ a }}}}" } }
invariants:
  - { that: "${{ facts.x.y = 1 }}" }
  - says: nothing
"#,
        r#"
1:1+1 missing_field `output` is missing | add `output:`
1:11+14 bad_name "Checkout" is not a domain: 1 to 63 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit, the last not '.' | write it as `domain/name`
2:8+1 missing_field `team` is missing | add `team:`
2:10+3 unknown_field an owner has no field `tem` | did you mean `team`?
2:26+21 bad_link this is not a link | begin it with `https://`
3:11+4 bad_name "Tier" is not the name of a label: 1 to 63 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit, the last not '.' | choose another name
3:24+1 wrong_type text is expected here | this is a list
4:1+10 unsupported_version `apiVersion` is unknown: scenario files carry no version | remove it; there is one format so far
5:1+7 unknown_field a scenario has no field `setle_s` | did you mean `settle_s`?
6:11+4 range the number must be from 1 to 3600 | choose a number in that range
7:49+5 enum in the schema, "strng" is not one of "array", "boolean", "integer", "null", "number", "object", "string" (did you mean "string"?)
9:3+5 bad_name "Order" is not the name of a step: 1 to 63 characters of a-z, 0-9 and '_', the first a letter | choose another name; bindings refer to it
9:18+5 bad_name "order" is not the name of a contract: it is written domain/name | write it as `domain/name`
10:3+3 missing_field `uses` is missing | add `uses: domain/name`
10:20+3 unknown_field a step has no field `iff` | did you mean `if`?
11:30+1 syntax the expression ends where a value is expected | expressions are written in CEL, as in `input.country == "FR"`
11:46+3 syntax `${{` has no `}}` | close the expression with `}}`
11:63+1 empty the expression is empty | expressions are written in CEL, as in `input.country == "FR"`
11:79+1 unknown_variable there is no variable `a` | the variables are `input`, `steps`, `facts` and `each`; quote a text
11:83+1 syntax a brace too many follows `}}` | remove it
13:5+1 missing_field `says` is missing | add `says:`
13:28+1 syntax `=` compares nothing | compare with `==`
14:5+1 missing_field `that` is missing | add `that:`
"#,
    );
    check(
        r#"
scenario: a/b
owner: { team: T }
input: { type: object, properties: { b: { type: integer, default: x } } }
steps: {}
output: text
"#,
        r#"
3:67+1 bad_default the default does not satisfy its own schema: "x" is not an integer
4:8+1 empty a scenario needs a step | name a step and say what it `uses`
5:9+4 wrong_type an object is expected here | write fields with their values, or one `${{ }}`
"#,
    );
    check(
        r#"
scenario: a/b
owner: { team: T }
input: { type: string }
steps: { s: [] }
output: { a: 1 }
"#,
        r#"
3:8+1 bad_schema the input must be an object | write `type: object` and list its `properties`
4:13+1 wrong_type a map with the fields of a step is expected here | this is a list
"#,
    );
}

#[test]
fn counts_are_bounded() {
    let steps: String = (0..201).map(|step| format!("  s{step}: {{ uses: c/d }}\n")).collect();
    let head = "scenario: a/b\nowner: { team: T }\noutput: {}\n";
    let needs = format!(
        "steps:\n  s: {{ uses: c/d, needs: [{}] }}\n",
        (0..51).map(|step| format!("s{step},")).collect::<String>()
    );
    let invariants = format!(
        "steps: {{ s: {{ uses: c/d }} }}\ninvariants:\n{}",
        "  - { that: \"true\", says: x }\n".repeat(101)
    );
    for text in [format!("{head}steps:\n{steps}"), format!("{head}{needs}"), format!("{head}{invariants}")] {
        assert_eq!(parse("file", &text).unwrap_err()[0].code, "limit");
    }
}

#[test]
fn what_templates_hold_is_bounded_over_the_whole_file() {
    let step = |name: &str, values: &[&str]| {
        format!("  {name}: {{ uses: c/d, with: {{ a: [{}] }} }}\n", values.join(","))
    };
    let file = |one: &[&str], other: &[&str]| {
        let steps = format!("{}{}", step("one", one), step("other", other));
        format!("scenario: a/b\nowner: {{ team: T }}\nsteps:\n{steps}output: {{ c: x }}\n")
    };
    let read = "\"${{ steps.unknown }}\"";
    // Each list is a value, too, and so is the map around it, and both of the output.
    for (one, other, expected) in [
        (vec!["x"; 4_994], vec!["x"; 5_000], ""),
        (
            vec!["x"; 4_995],
            vec!["x"; 5_000],
            "6:14 the scenario has more than 10000 values under `with` and `output`",
        ),
        (
            vec!["x"; 9],
            vec!["x"; 90_000],
            "5:20009 the scenario has more than 10000 values under `with` and `output`",
        ),
        (vec![read; 1_000], vec![read; 1_500], ""),
        (vec![read; 1_000], vec![read; 1_501], "5:34535 the scenario has more than 2500 expressions"),
        (vec![read; 9], vec![read; 9_000], "5:57328 the scenario has more than 2500 expressions"),
    ] {
        let found = parse("file", &file(&one, &other)).err().unwrap_or_default();
        let told = |found: &Diagnostic| format!("{}:{} {}", found.line, found.column, found.message);
        assert_eq!(
            found.iter().map(told).collect::<Vec<_>>().join("; "),
            expected,
            "{} and {}",
            one.len(),
            other.len()
        );
    }
}

#[test]
fn very_many_unknown_fields_are_told_from_the_first_on() {
    let fields: String = (0..40_000).map(|field| format!("scenari{field}: x\n")).collect();
    let found = parse("file", &format!("{fields}scenario: a/b\n")).unwrap_err();
    assert_eq!(found.len(), crate::limits::DIAGNOSTICS);
    assert!(found[..100].iter().all(|found| found.code == "unknown_field" || found.code == "missing_field"));
    assert_eq!(
        (found[found.len() - 1].code, found[50].hint.as_deref()),
        ("unknown_field", Some("did you mean `scenario`?"))
    );
}

#[test]
fn long_text_keeps_the_places_of_its_expressions() {
    let long = "x".repeat(100_000);
    let found = parse("file", &format!("scenario: a/b\nowner: {{ team: T }}\noutput: {{}}\nsteps:\n  s: {{ uses: c/d, with: {{ a: \"{long}${{{{ 1 + }}}}\" }} }}\n")).unwrap_err();
    assert_eq!((found[0].code, found[0].line, found[0].column), ("syntax", 5, 100_039));
}

#[test]
fn no_diagnostic_quotes_the_file() {
    for text in [
        "scenario: a/b\ndescription: [hunter2\n",
        "scenario: a/b\nowner: hunter2\nsteps: hunter2\noutput: { a: \"${{ 'hunter2 }}\" }\n",
        "scenario: a/b\nowner: { team: !hunter2 x, contact: \"\\q hunter2\" }\n",
        "scenario: a/b\nsteps: { s: { uses: c/d, timeout_s: hunter2, retry: hunter2, shared: hunter2 } }\n",
        "scenario: a/b\n\thunter2: x\n",
    ] {
        let found = parse("file", text).unwrap_err();
        assert!(!lines(&found).contains("hunter2"), "{}", lines(&found));
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,300}") {
        let _ = parse("file", &text);
    }

    #[test]
    fn no_damage_panics(at in 0..GOOD.len(), length in 0..40usize, insert in "[-:{}\\[\\]\"'&*!|> #\n\t$a1é]{0,6}") {
        let end = (at + length).min(GOOD.len());
        let text = format!("{}{insert}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(found) = parse("file", &text) {
            prop_assert!(!found.is_empty());
            for diagnostic in found {
                prop_assert!(diagnostic.line >= 1 && diagnostic.column >= 1 && diagnostic.length >= 1);
                prop_assert!(diagnostic.line as usize <= text.lines().count() + 1);
            }
        }
    }
}

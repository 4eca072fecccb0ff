//! Expressions, as tables: a text and the value, the fault or the failure that it gives.

mod bounds;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn world() -> (Value, Value, Value) {
    let input: Value = serde_json::from_str(
        r#"{"country": "FR", "lines": 3, "price": 1.50, "big": 123456789012345678901234567890, "bigger": 123456789012345678901234567891, "list": [1, 2, 3],
            "names": ["b", "a"], "none": null, "yes": true, "max": 18446744073709551615, "map": {"a": 1, "b-c": 2},
            "tiny": 1e-400, "huge": 1e400, "hostile": "${{ input.country }}"}"#,
    )
    .unwrap();
    let steps =
        json!({"customer": {"id": "c1", "middle": null}, "skipped": null, "each": [{"id": 1}, {"id": 2}]});
    let facts = json!({"customer": {"status": "ACTIVE"}});
    (input, steps, facts)
}

fn evaluate(text: &str) -> Result<Value, (&'static str, String)> {
    let (input, steps, facts) = world();
    let value = json!({"zip": "75001"});
    let scope =
        Scope { input: Some(&input), steps: Some(&steps), facts: Some(&facts), each: Some((&value, 4)) };
    let expression = Expression::parse(text).map_err(|error| (error.code, error.message))?;
    expression.evaluate(&scope).map_err(|error| (error.code, error.message))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(evaluate(text).map(|value| value.to_string()), Ok(expected.to_string()), "{text}");
}

#[track_caller]
fn fails(text: &str, code: &str) {
    assert_eq!(evaluate(text).map_err(|(code, _)| code), Err(code), "{text}");
}

/// What CEL says, for everything that JSON can carry.
const STANDARD: &[(&str, &str)] = &[
    ("1 + 2 * 3 - 4 / 2", "5"),
    ("-7 / 2", "-3"),
    ("-7 % 3", "-1"),
    ("(1 + 2) * 3", "9"),
    ("1.5 * 2.0", "3.0"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("- 3 - -3", "0"),
    ("0x1f + 1", "32"),
    ("5u + 3u", "8"),
    ("'a' + \"b\"", "\"ab\""),
    ("[1] + [2, 3]", "[1,2,3]"),
    ("[1, 2, 3][1]", "2"),
    ("{'a': 1}.a", "1"),
    ("{'a': {'b': [true]}}['a'].b[0]", "true"),
    ("1 < 2 && 2.5 >= 2.5 && 'a' < 'b' && false < true", "true"),
    ("1 == 1.0 && 1 != 2 && 1u == 1", "true"),
    ("1 == '1'", "false"),
    ("[1, 2] == [1, 2] && {'a': 1} == {'a': 1}", "true"),
    ("null == null", "true"),
    ("!true || !!true", "true"),
    ("true ? 1 : 2", "1"),
    ("false ? 1 : true ? 2 : 3", "2"),
    ("false && 1 / 0 > 0", "false"),
    ("1 / 0 > 0 && false", "false"),
    ("true || 1 / 0 > 0", "true"),
    ("1 / 0 > 0 || true", "true"),
    ("2 in [1, 2] && 'a' in {'a': 1} && !(5 in [1])", "true"),
    ("[1, 2, 3].all(x, x > 0)", "true"),
    ("[1, 2, 3].exists(x, x > 2)", "true"),
    ("[1, 2, 3].exists_one(x, x > 1)", "false"),
    ("[1, 2, 3].map(x, x * x)", "[1,4,9]"),
    ("[1, 2, 3].map(x, x > 1, x * 2)", "[4,6]"),
    ("[1, 2, 3].filter(x, x % 2 == 1)", "[1,3]"),
    ("[[1, 2], [3]].map(x, x.map(y, y + 1))", "[[2,3],[4]]"),
    ("{'b': 1, 'a': 2}.exists(k, k == 'a')", "true"),
    ("[0, 1].exists(x, 1 / x == 1)", "true"),
    ("has({'a': 1}.a) && !has({'a': 1}.b)", "true"),
    ("size('héé') + size([1]) + size({'a': 1}) + 'ab'.size()", "7"),
    ("'shop'.contains('ho') && 'shop'.startsWith('sh') && 'shop'.endsWith('op')", "true"),
    ("'a1'.matches('^[a-z][0-9]$') && matches('b', 'b')", "true"),
    ("int('42') + int(2.9) + int(3u)", "47"),
    ("double('1.5') + double(2)", "3.5"),
    ("string(12) + string(true) + string(1.5)", "\"12true1.5\""),
    ("bool('true')", "true"),
    ("uint(7) == 7u", "true"),
    (r#"'\u00e9\n\x41' + r'\n'"#, r#""é\nA\\n""#),
    ("'''it's''' // a comment", "\"it's\""),
];

#[test]
fn standard_expressions_have_their_standard_values() {
    for (text, expected) in STANDARD {
        check(text, expected);
    }
}

/// The library is the yardstick; where JSON needs something else, `our_own_rules_hold` says what.
#[test]
fn a_library_of_the_language_agrees() {
    for (text, expected) in STANDARD {
        // The library is built without regular expressions here.
        if text.contains("matches") {
            continue;
        }
        let program = cel::Program::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let value =
            program.execute(&cel::Context::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            plain(&value).to_string(),
            serde_json::from_str::<Value>(expected).unwrap().to_string(),
            "{text}"
        );
    }
}

fn plain(value: &cel::Value) -> Value {
    match value {
        cel::Value::Int(value) => json!(value),
        cel::Value::UInt(value) => json!(value),
        cel::Value::Float(value) => json!(value),
        cel::Value::Bool(value) => json!(value),
        cel::Value::String(value) => json!(value.as_str()),
        cel::Value::Null => Value::Null,
        cel::Value::List(values) => values.iter().map(plain).collect(),
        other => panic!("{other:?} is not in the table"),
    }
}

#[test]
fn our_own_rules_hold() {
    // JSON does not tell integers from doubles, so they mix.
    check("input.lines * input.price + 1", "5.5");
    check("input.max - 1", "18446744073709551614");
    check("input.lines / 2 + 0.5", "1.5");
    // Reading from a skipped step is null, all the way down.
    check("steps.skipped == null && steps.skipped.a.b == null && !has(steps.skipped.a)", "true");
    check("steps.skipped.list[0]", "null");
    check("each.value.zip + string(each.index)", "\"750014\"");
    check("facts.customer.status == 'ACTIVE'", "true");
    check("input.map['b-c'] + steps['each'][1].id", "4");
    check("' Ab '.trim().lowerAscii() + 'x'.upperAscii()", "\"abX\"");
    check("'a,b'.split(',').map(x, x + '!').join('-')", "\"a!-b!\"");
    check("'héllo'.substring(1, 3) + 'abc'.substring(2) + string('abc'.indexOf('c'))", "\"élc2\"");
    check("'aXbX'.replace('X', 'yy')", "\"ayybyy\"");
    check("[1, 2][1.0]", "2");
    check("dyn(1) == 1", "true");
}

#[test]
fn a_value_that_is_passed_on_keeps_every_digit() {
    check("input.big", "123456789012345678901234567890");
    check("true ? input.price : 0", "1.50");
    check("[input.tiny, input.huge]", "[1e-400,1e400]");
    check("string(input.big) + ' ' + string(input.price)", "\"123456789012345678901234567890 1.50\"");
    check("input.big == input.big && input.price == input.price", "true");
    check("input.big == input.bigger", "false");
    check("input.hostile", "\"${{ input.country }}\"");
    fails("input.huge + 1", "overflow");
    fails("input.huge > 1", "overflow");
}

#[test]
fn what_cannot_be_calculated_fails_by_name() {
    for (text, code) in [
        ("1 / 0", "division_by_zero"),
        ("1 % 0", "division_by_zero"),
        ("1.0 / 0", "division_by_zero"),
        ("9223372036854775807 + 1", "overflow"),
        ("-9223372036854775808 / -1", "overflow"),
        ("9223372036854775807 * 2", "overflow"),
        ("-(-9223372036854775808)", "overflow"),
        ("1u - 2u", "overflow"),
        ("1e308 * 10.0", "not_finite"),
        ("[1][5]", "no_such_index"),
        ("[1][-1]", "no_such_index"),
        ("[1][input.country]", "no_such_index"),
        ("input.nope", "no_such_field"),
        ("input.map['nope']", "no_such_field"),
        ("null.x", "no_such_field"),
        ("input.none.x", "no_such_field"),
        ("has(input.none.x)", "no_such_field"),
        ("steps.customer.middle.x", "no_such_field"),
        ("steps.each.id", "no_such_field"),
        ("steps.nobody", "no_such_field"),
        ("null < 1", "wrong_type"),
        ("'a' + 1", "wrong_type"),
        ("input.country ? 1 : 2", "wrong_type"),
        ("!1", "wrong_type"),
        ("1 && true", "wrong_type"),
        ("-'a'", "wrong_type"),
        ("5.5 % 2.0", "wrong_type"),
        ("input.lines.map(x, x)", "wrong_type"),
        ("{1: 2}", "wrong_type"),
        ("{'a': 1, 'a': 2}", "duplicate_key"),
        ("int('x')", "bad_conversion"),
        ("int(1e19)", "bad_conversion"),
        ("uint(-1)", "bad_conversion"),
        ("bool('yes')", "bad_conversion"),
        ("double('inf')", "bad_conversion"),
        ("'abc'.substring(2, 1)", "no_such_index"),
        ("'a'.matches(input.country + '(')", "bad_pattern"),
    ] {
        fails(text, code);
    }
}

#[test]
fn a_variable_that_is_not_given_fails_by_name() {
    for text in ["input", "input.a", "steps.a", "facts.a", "each.value", "each.index"] {
        let error = Expression::parse(text).unwrap().evaluate(&Scope::default()).unwrap_err();
        assert_eq!(error.code, "no_such_variable", "{text}");
    }
}

#[test]
fn a_failure_names_the_part_that_failed_and_no_value() {
    let (input, steps, _) = world();
    let scope = Scope { input: Some(&input), steps: Some(&steps), ..Scope::default() };
    let expression = Expression::parse("input.lines > 1 && steps.customer.nope == 'c1'").unwrap();
    let error = expression.evaluate(&scope).unwrap_err();
    assert_eq!(error.to_string(), "there is no field `nope` in `steps.customer.nope`");
    assert_eq!(error.offset, 19);
}

#[test]
fn a_text_that_is_no_expression_is_refused_where_it_breaks() {
    let check = |text: &str, code: &str, range: Range<usize>, hint: &str| {
        let error = Expression::parse(text).unwrap_err();
        let hinted = error.hint.clone().unwrap_or_default();
        assert_eq!((error.code, error.range.clone()), (code, range), "{text}: {error}");
        assert!(hinted.contains(hint), "{text}: {hinted}");
    };
    check("", "empty", 0..0, "");
    check("1 +", "syntax", 3..3, "");
    check("1 2", "syntax", 2..3, "");
    check("(1", "syntax", 2..2, "");
    check("input = 1", "syntax", 6..7, "`==`");
    check("inptu.a", "unknown_variable", 0..5, "did you mean `input`?");
    check("secrets.db", "unknown_variable", 0..7, "the variables are");
    check("NaN == NaN", "unknown_variable", 0..3, "");
    check("env('HOME')", "unknown_function", 0..3, "");
    check("now()", "unknown_function", 0..3, "");
    check("duration('1000000000000h')", "unknown_function", 0..8, "");
    check("timestamp('9999-12-31T23:59:60Z')", "unknown_function", 0..9, "");
    check("'a'.startWith('b')", "unknown_function", 4..13, "did you mean `startsWith`?");
    check("size()", "wrong_arguments", 0..6, "`size(value)`");
    check("has(1)", "syntax", 0..6, "has(input.country)");
    check("'a'.matches('(')", "bad_pattern", 12..15, "");
    check("steps", "dynamic_step", 0..5, "steps.customer");
    check("steps[input.a]", "dynamic_step", 0..5, "");
    check("facts.size()", "dynamic_step", 0..5, "");
    check("each", "unknown_field", 0..4, "each.value");
    check("each.key", "unknown_field", 5..8, "each.index");
    check("[1].map(input, 1)", "shadowed_variable", 8..13, "");
    check("[1].map(x, [2].map(x, x))", "shadowed_variable", 19..20, "");
    check("if", "syntax", 0..2, "");
    check("1 ? 2", "syntax", 5..5, "");
    check("{'a' 1}", "syntax", 5..6, "");
    check("9223372036854775808", "overflow", 0..19, "");
    check("input.country.", "syntax", 14..14, "");
}

#[test]
fn the_steps_that_are_read_are_known_before() {
    let text = "steps.a.x + steps['b'].y == facts.c.z && has(steps.a) && steps.d.all(s, s == steps.e)";
    let expression = Expression::parse(text).unwrap();
    assert_eq!(expression.steps(), ["a", "b", "d", "e"]);
    assert_eq!(expression.facts(), ["c"]);
}

#[test]
fn expressions_may_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Expression>();
}

fn fragments() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "input",
        "steps",
        ".a",
        ".country",
        "[0]",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "'x'",
        "\"",
        "'",
        "1",
        "0",
        "-",
        "!",
        "+",
        "*",
        "/",
        "%",
        "==",
        "<",
        "&&",
        "||",
        "?",
        ":",
        ",",
        ".map(x,",
        ".all(x,",
        "x",
        "size(",
        "has(",
        "int(",
        "string(",
        "null",
        "true",
        "9223372036854775807",
        "1e308",
        "1u",
        " in ",
        "each.value",
        ".matches('a*')",
        ".substring(1)",
        "é",
        "\\",
        "//",
        "\n",
        "0x",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = evaluate(&text);
    }

    #[test]
    fn no_arrangement_of_words_panics(text in fragments()) {
        let _ = evaluate(&text);
    }

    #[test]
    fn a_fault_points_into_the_text(text in fragments()) {
        if let Err(error) = Expression::parse(&text) {
            prop_assert!(error.range.start <= error.range.end && error.range.end <= text.len());
            prop_assert!(text.is_char_boundary(error.range.start) && text.is_char_boundary(error.range.end));
        }
    }

    #[test]
    fn whole_numbers_are_calculated_as_rust_does(a in any::<i64>(), b in any::<i64>()) {
        let calculate = |operator: &str| {
            evaluate(&format!("({a}) {operator} ({b})")).ok().and_then(|value| value.as_i64())
        };
        prop_assert_eq!(calculate("+"), a.checked_add(b));
        prop_assert_eq!(calculate("-"), a.checked_sub(b));
        prop_assert_eq!(calculate("*"), a.checked_mul(b));
        prop_assert_eq!(calculate("/"), a.checked_div(b));
        prop_assert_eq!(calculate("%"), if b == -1 { Some(0) } else { a.checked_rem(b) });
    }
}

//! Bounds: what would overflow a stack, fill the memory or never end.

use serde_json::{Value, json};

use super::check;
use crate::expression::{Expression, Scope};
use crate::limits::{EXPRESSION_BYTES, EXPRESSION_DEPTH, EXPRESSION_NESTING};

#[test]
fn expressions_that_overflow_a_stack_elsewhere_are_refused() {
    let nested =
        |open: &str, close: &str, count: usize| format!("{}1{}", open.repeat(count), close.repeat(count));
    for text in [
        nested("(", ")", 300),
        nested("[", "]", 300),
        nested("{'a':", "}", 300),
        nested("size([", "])", 300),
        nested("-(", ")", 300),
        nested("- ", "", 300),
        nested("!", "", 300),
        nested("true ? 1 : ", "", 200),
        "(".repeat(4_000),
        format!("1{}", " + 1".repeat(1_000)),
        format!("input{}", ".b".repeat(1_500)),
        format!("input{}", "[0]".repeat(1_000)),
        format!("'a'{}", ".trim()".repeat(500)),
        "[1].map(a, [1].map(b, [1].map(c, 1)))".to_owned(),
    ] {
        let error = Expression::parse(&text).unwrap_err();
        assert_eq!(error.code, "too_deep", "{}", &text[..30]);
    }
    for text in [
        "1".repeat(EXPRESSION_BYTES + 1),
        format!("1{}", " + 1".repeat(6_400)),
        format!("a{}", ".b".repeat(6_400)),
    ] {
        assert_eq!(Expression::parse(&text).unwrap_err().code, "too_long");
    }
}

#[test]
fn what_stays_within_the_bounds_is_evaluated() {
    check(&format!("{}1{}", "(".repeat(EXPRESSION_NESTING - 1), ")".repeat(EXPRESSION_NESTING - 1)), "1");
    check(&format!("1{}", " + 1".repeat(EXPRESSION_DEPTH - 1)), &EXPRESSION_DEPTH.to_string());
    check(&format!("true{}", " && true".repeat(500)), "true");
}

/// Bombs end by the budget; that it is a count and not a clock is what makes the outcome the same everywhere.
#[test]
fn bombs_end_by_the_budget() {
    let hundred: Value = (0..100).collect();
    let thousand: Value = (0..1_000).collect();
    let long = json!("x".repeat(600_000));
    let input = json!({"hundred": hundred, "thousand": thousand, "long": long, "pattern": "(x+x+)+y"});
    let scope = Scope { input: Some(&input), ..Scope::default() };
    for text in [
        "input.thousand.map(a, input.thousand.map(b, a * b))",
        "input.thousand.all(a, input.thousand.all(b, a + b >= 0))",
        "input.thousand.all(a, input.thousand.all(b, input.thousand != [b]))",
        "input.thousand.all(a, input.thousand == input.thousand)",
        "input.long + input.long",
        "input.thousand.map(a, input.long + 'y')",
        "input.long.replace('x', 'xx')",
        "input.long.replace('', input.long)",
        "input.long.split('')",
        "input.thousand.map(a, input.long.matches(input.pattern))",
        "input.thousand.all(a, input.long == input.long)",
        "input.thousand.all(a, size(input.long) > 0)",
        "input.hundred.map(a, input.thousand + input.thousand)",
        "input.hundred.map(a, input.thousand.map(b, [a, b]))",
        "input.thousand.exists(a, 'x'.matches('x' + string(a)))",
    ] {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(
            expression.evaluate(&scope).map_err(|error| error.code),
            Err("expression_budget"),
            "{text}"
        );
    }
    // A pattern that takes exponential time elsewhere is linear.
    let matched = Expression::parse("input.long.matches('^(x+x+)+y$')").unwrap().evaluate(&scope);
    assert_eq!(matched, Ok(json!(false)));
}

/// `s + s` in a chain of maps doubles a text at each link, and `[s, s]` a list.
#[test]
fn what_doubles_is_stopped() {
    for links in [20, 40] {
        for (start, link) in [("['x']", ".map(s, s + s)"), ("[['x']]", ".map(s, s + s)")] {
            let expression = Expression::parse(&format!("{start}{}", link.repeat(links))).unwrap();
            assert_eq!(
                expression.evaluate(&Scope::default()).map_err(|error| error.code),
                Err("expression_budget")
            );
        }
    }
}

/// A value may refer to one part many times; written out as JSON it would be far larger than what was made.
#[test]
fn a_value_that_grows_only_when_it_is_written_out_is_stopped() {
    let input = json!({"long": "x".repeat(600_000), "many": (0..1_000).collect::<Value>()});
    let scope = Scope { input: Some(&input), ..Scope::default() };
    for text in ["input.many.map(a, input)", "[[1]].map(s, [s, s])".to_owned().as_str()] {
        let text = format!("{text}{}", ".map(s, [s, s, s, s])".repeat(10));
        let expression = Expression::parse(&text).unwrap();
        assert_eq!(
            expression.evaluate(&scope).map_err(|error| error.code),
            Err("expression_budget"),
            "{text}"
        );
    }
}

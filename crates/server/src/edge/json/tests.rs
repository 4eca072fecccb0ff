//! What the JSON reader takes and refuses, and that it agrees with the library where both take.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::edge::integer::Int;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    count: u32,
    ttl_s: Option<Int<1, 86_400>>,
    lease: Option<Lease>,
    input: Option<Value>,
    source: Option<Source>,
    share: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    items: Vec<i64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Source {
    Stock,
    Fresh,
    Named { channel: String },
}

impl Check for Order {
    fn check(&self, faults: &mut Faults) {
        faults.range("count", &self.count, 1..=100);
    }
}

fn order(text: &str) -> Result<Order, (&'static str, String)> {
    accept(parse(text.as_bytes()).expect(text)).map_err(|problem| {
        let fault = problem.errors()[0].clone();
        (fault.code, fault.pointer)
    })
}

fn fault(bytes: &[u8]) -> (u16, &'static str) {
    let fault = parse(bytes).expect_err("the document must be refused");
    (fault.status.as_u16(), fault.code)
}

#[test]
fn what_is_not_json_is_refused_as_syntax() {
    for text in [
        "",
        " ",
        "{",
        "[1,",
        "{'a':1}",
        "{\"a\":1,}",
        "[1,]",
        "{\"a\":1}x",
        "\u{feff}{}",
        "NaN",
        "Infinity",
        "01",
        "-",
        "1.",
        ".5",
        "+1",
        "1e",
        "0x1",
        "-01",
        "\"\\x\"",
        "\"\n\"",
        "\"\t\"",
        "\"",
        "\"\\",
        "\"\\u12",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "{\"a\" 1}",
        "{a:1}",
        "[1 2]",
        "nul",
        "truth",
        "/**/1",
        "{\"a\":}",
        "[,1]",
        "{,}",
    ] {
        assert_eq!(fault(text.as_bytes()), (400, "json_syntax"), "{text:?}");
    }
    assert_eq!(fault(b"{\"a\":\"\xff\"}"), (400, "json_syntax"));
    assert_eq!(fault(b"\"\xed\xa0\x80\""), (400, "json_syntax"), "an encoded surrogate is not UTF-8");
}

#[test]
fn a_syntax_fault_has_a_line_and_a_column() {
    let fault = parse("{\n  \"é\": tru\n}".as_bytes()).unwrap_err();
    assert_eq!((fault.line, fault.column, fault.pointer.as_str()), (2, 8, "/é"));
}

#[test]
fn depth_counts_and_keys_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    for depth in [DEPTH_MAX + 1, 128, 100_000] {
        assert_eq!(fault(nested(depth).as_bytes()), (400, "json_too_deep"), "{depth}");
    }
    assert_eq!(fault("{\"a\":".repeat(100_000).as_bytes()), (400, "json_too_deep"));
    let items = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert!(parse(items(VALUES_MAX - 1).as_bytes()).is_ok());
    assert_eq!(fault(items(VALUES_MAX).as_bytes()), (422, "too_many_values"));
    let objects = |count: usize, object: &str| format!("[{}]", vec![object; count].join(","));
    for object in ["{}", "{\"a\":1}", "{\"{\":\"{\"}"] {
        assert!(parse(objects(VALUES_MAX / 4, object).as_bytes()).is_ok(), "{object}");
        let more = fault(objects(VALUES_MAX / 4 + 1, object).as_bytes());
        assert_eq!(more, (422, "too_many_values"), "{object}");
    }
    let keyed = |len: usize| format!("{{\"{}\":1}}", "k".repeat(len));
    assert!(parse(keyed(KEY_MAX_BYTES).as_bytes()).is_ok());
    assert_eq!(fault(keyed(KEY_MAX_BYTES + 1).as_bytes()), (422, "key_too_long"));
}

#[test]
fn a_text_that_is_longer_than_any_field_takes_is_never_there_as_a_whole() {
    let cut = |text: &str| parse_within(text.as_bytes(), VALUES_MAX, LongTexts::Cut).unwrap();
    let most = "x".repeat(TEXT_MAX_BYTES);
    let rest = "y".repeat(TEXT_MAX_BYTES);
    for (name, text, kept) in [
        ("as long as may be", most.clone(), most.clone()),
        ("one longer", format!("{most}y"), format!("{most}y")),
        ("twice as long", format!("{most}{rest}"), format!("{most}y")),
        ("longer behind an escape", format!("\\n{most}y"), format!("\n{most}")),
        ("longer by an escape", format!("{most}\\n{rest}\\n"), format!("{most}\n")),
        ("cut in a character", format!("{}€{rest}", &most[1..]), format!("{}€", &most[1..])),
    ] {
        let document = format!(r#"{{"a":["{text}"],"b":1}}"#);
        let read = cut(&document);
        assert!(read["a"][0] == kept && read["b"] == 1, "{name}: {} bytes", read["a"][0].to_string().len());
        let refused =
            parse(document.as_bytes()).map(|_| ()).map_err(|fault| (fault.code, fault.pointer, fault.column));
        let expected =
            if kept.len() > TEXT_MAX_BYTES { Err(("too_long", "/a/0".to_owned(), 7)) } else { Ok(()) };
        assert_eq!(refused, expected, "{name}");
    }
    let broken = format!("\"{most}{rest}\\x\"");
    assert!(parse_within(broken.as_bytes(), VALUES_MAX, LongTexts::Cut).is_err(), "what is left out is read");
}

#[test]
fn a_body_may_have_a_count_of_values_of_its_own() {
    let count = |values: usize| {
        parse_within(b"[1,2,{\"a\":3}]", values, LongTexts::Refused)
            .map(|_| ())
            .map_err(|fault| fault.message)
    };
    assert_eq!(count(5), Ok(()));
    assert_eq!(count(4), Err("The document has more than 4 values".to_owned()));
}

#[test]
fn values_are_counted_before_they_are_built() {
    // Built are so many, and that is where the reading ends when there are too many of them further on.
    let document = |values: usize| format!("[{}]", vec!["[ ]"; values - 1].join(" , "));
    let read = |text: &str, max_values: usize| {
        parse_within(text.as_bytes(), max_values, LongTexts::Refused)
            .map(|_| ())
            .map_err(|fault| (fault.code, fault.pointer))
    };
    let (few, many) = (document(30_000), document(30_001));
    assert_eq!(read(&few, 30_000), Ok(()));
    assert_eq!(read(&many, 30_000), Err(("too_many_values", "/19998".to_owned())));
    let texts = format!("[{}]", vec![r#""a,[b\",{\\""#; 29_999].join(","));
    assert_eq!(read(&texts, 30_000), Ok(()), "what stands in texts counts for nothing");
    let object: Vec<String> = (0..29_999).map(|key| format!(r#""k,{key}" : [ ]"#)).collect();
    let object = format!("{{{}}}", object.join(","));
    assert_eq!(read(&object, 30_000), Ok(()));
    assert_eq!(read(&object, 29_999).map_err(|(code, _)| code), Err("too_many_values"));
    let late = |objects: usize| format!("[{}{}]", "1, ".repeat(22_000), vec!["{ }"; objects].join(" , "));
    assert_eq!(read(&late(7_500), 30_000), Ok(()));
    assert_eq!(read(&late(7_501), 30_000), Err(("too_many_values", "/19998".to_owned())));
}

#[test]
fn a_duplicate_key_is_found_however_it_is_written() {
    for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"b":{"a":1,"a":2}}]}"#] {
        assert_eq!(fault(text.as_bytes()), (400, "duplicate_key"), "{text}");
    }
    assert_eq!(parse(br#"{"x":[{"a/":1,"a/":2}]}"#).unwrap_err().pointer, "/x/0/a~1");
}

#[test]
fn nul_and_the_librarys_own_keys_are_refused() {
    for text in [r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#, r#""x\u0000y""#] {
        assert_eq!(fault(text.as_bytes()), (422, "nul_not_allowed"), "{text}");
    }
    for key in ["$serde_json::private::Number", "\\u0024serde_json::private::RawValue"] {
        assert_eq!(fault(format!("{{\"{key}\":\"1\"}}").as_bytes()), (422, "reserved_key"));
    }
    let plain = r#"{"__proto__":{"x":1},"constructor":null}"#;
    assert_eq!(parse(plain.as_bytes()).unwrap().to_string(), plain);
}

#[test]
fn numbers_come_back_digit_for_digit_within_their_bounds() {
    for number in [
        "9007199254740993",
        "18446744073709551616",
        "123456789012345678901234567890",
        "1.10",
        "1e+2",
        "1e+400",
        "0.1e-400",
        "1.0",
        "-9223372036854775809",
        "-0",
        "-0.0",
    ] {
        let input = format!(r#"{{"count":1,"input":{{"n":[{number}]}}}}"#);
        let kept = order(&input).unwrap().input.unwrap();
        let expected = format!(r#"{{"n":[{number}]}}"#);
        // Through a request type as well as through the parser alone.
        assert_eq!(kept.to_string(), expected);
        assert_eq!(parse(expected.as_bytes()).unwrap().to_string(), expected);
    }
    let long = "9".repeat(NUMBER_MAX + 1);
    for number in ["1e401", "1e-401", "1e131071", "1E99999999999999999999999", long.as_str()] {
        assert_eq!(fault(number.as_bytes()), (422, "number_range"), "{number}");
    }
}

#[test]
fn an_integer_field_takes_plain_digits_only() {
    for (value, code) in [
        ("1.0", "type"),
        ("1e2", "type"),
        ("\"1\"", "type"),
        ("-0", "type"),
        ("true", "type"),
        ("null", "type"),
        ("[]", "type"),
        ("{}", "type"),
        ("-1", "range"),
        ("4294967296", "range"),
        ("9223372036854775808", "range"),
        ("123456789012345678901234567890123456789012345678901234567890", "range"),
        ("0", "range"),
        ("101", "range"),
    ] {
        let refused = order(&format!(r#"{{"count":{value}}}"#)).unwrap_err();
        assert_eq!(refused, (code, "/count".to_owned()), "{value}");
    }
    for value in
        ["-1", "0", "86401", "2147483648", "9007199254740992", "9223372036854775808", &"9".repeat(60)]
    {
        let text = format!(r#"{{"count":1,"ttl_s":{value}}}"#);
        let problem = accept::<Order>(parse(text.as_bytes()).unwrap()).unwrap_err();
        let fault = &problem.errors()[0];
        assert_eq!((fault.code, fault.pointer.as_str()), ("range", "/ttl_s"), "{value}");
        assert_eq!(fault.message, "must be an integer from 1 to 86400");
    }
    assert_eq!(order(r#"{"count":1,"ttl_s":86400}"#).unwrap().ttl_s, Int::new(86_400));
}

#[test]
fn every_misfit_has_its_code_and_pointer() {
    for (text, code, pointer) in [
        ("[]", "type", ""),
        ("\"x\"", "type", ""),
        ("1", "type", ""),
        ("null", "type", ""),
        (r#"{"count":1,"cuont":1}"#, "unknown_field", "/cuont"),
        (r#"{"count":1,"lease":{"items":[],"id":"x"}}"#, "unknown_field", "/lease/id"),
        ("{}", "missing_field", "/count"),
        (r#"{"count":1,"lease":{}}"#, "missing_field", "/lease/items"),
        (r#"{"count":1,"lease":{"items":[1,"2"]}}"#, "type", "/lease/items/1"),
        (r#"{"count":1,"lease":[]}"#, "type", "/lease"),
        (r#"{"count":1,"lease":null}"#, "type", "/lease"),
        (r#"{"count":1,"source":"frehs"}"#, "unknown_value", "/source"),
        (r#"{"count":1,"source":{"named":{"chanel":"x"}}}"#, "unknown_field", "/source/named/chanel"),
        (r#"{"count":1,"share":"x"}"#, "type", "/share"),
        (r#"{"count":1,"share":1e400}"#, "range", "/share"),
    ] {
        assert_eq!(order(text).unwrap_err(), (code, pointer.to_owned()), "{text}");
    }
    let problem = accept::<Order>(json!({"count": 1, "cuont": 1})).unwrap_err();
    assert!(problem.errors()[0].message.contains("did you mean `count`?"));
}

#[test]
fn a_sound_body_is_taken() {
    let order = order(r#"{"count":2,"lease":{"items":[-1]},"source":{"named":{"channel":"c"}},"share":0.5}"#)
        .unwrap();
    assert_eq!((order.count, order.share), (2, Some(0.5)));
    assert_eq!(order.lease.unwrap().items, [-1]);
    assert_eq!(order.source, Some(Source::Named { channel: "c".to_owned() }));
    assert_eq!(self::order(r#"{"count":1,"source":"stock"}"#).unwrap().source, Some(Source::Stock));
    assert_eq!(self::order(r#"{"count":1,"source":"fresh"}"#).unwrap().source, Some(Source::Fresh));
}

#[test]
fn only_json_in_utf_8_is_json() {
    for (kind, expected) in [
        ("application/json", true),
        ("Application/JSON; charset=UTF-8", true),
        ("application/json;charset=\"utf-8\"", true),
        ("application/json; charset=utf-16", false),
        ("text/plain", false),
        ("", false),
        ("application/json; q=1", false),
        ("application/jsonx", false),
    ] {
        assert_eq!(is_json(kind), expected, "{kind}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no infinity", |n| n.is_finite()).prop_map(Value::from),
        "[^\u{0}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[^\u{0}$]{0,8}", inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_reader_agrees_with_the_library_on_sound_documents(value in any_value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        prop_assert_eq!(parse(text.unwrap().as_bytes()).unwrap(), value);
    }

    #[test]
    fn what_the_reader_takes_the_library_takes_alike(text in "[\\[\\]{}\",:0-9eE.+\\-a-fln-u\\\\ \\n]{0,24}") {
        match (parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), theirs) => prop_assert_eq!(Some(ours), theirs.ok()),
            (Err(fault), theirs) => prop_assert!(theirs.is_err() || fault.code != "json_syntax", "{}", text),
        }
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let taken = parse(&bytes).is_ok();
        prop_assert!(!taken || serde_json::from_slice::<Value>(&bytes).is_ok());
    }
}

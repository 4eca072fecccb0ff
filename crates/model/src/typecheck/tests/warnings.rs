//! Warnings: what is accepted and probably not meant.

use super::*;

/// The shop, and a contract that takes secrets.
fn shop() -> Catalogue {
    let mut catalogue = Catalogue::shop();
    let input = json!({"type": "object", "properties": {
        "pin": {"type": "string", "x-secret": true},
        "login": {"type": "object", "properties": {"password": {"type": "string"}, "name": {"type": "string"}}},
        "card": {"$ref": "#/$defs/card"},
        "password": {"enum": ["weak", "expired"]},
        "api_key": {"type": "string"},
        "tokens": {"type": "array", "items": {"type": "string"}},
        "codes": {"type": "array", "items": {"type": "integer", "x-secret": true}}},
        "$defs": {"card": {"type": "object", "x-secret": true, "properties": {"number": {"type": "string"}}}}});
    catalogue.add("vault/account", &input, &json!({"type": "object"}), None);
    catalogue
}

#[track_caller]
fn warns(steps: &str, expected: &str) {
    let found = checked(steps, &shop()).unwrap_or_else(|found| panic!("{}", lines(&found)));
    let told = lines(&found.warnings).replace(
        " | whoever may read the catalogue can read it: take it as an input, or have the supplier look it up",
        "",
    );
    assert_eq!(told, expected.trim(), "{steps}");
    assert!(
        !told.contains("hunter2") && !told.contains("9f86d0"),
        "a warning never quotes the value: {told}"
    );
}

#[test]
fn a_secret_that_is_written_out_is_told_with_its_place() {
    warns(
        r#"
  a: { uses: vault/account, with: { pin: "1234", login: { password: hunter2, name: hunter2 } } }
  b:
    uses: vault/account
    with:
      card: { number: 4111-1111 }
      api_key: 9f86d081884c7d659a2feaa0c55ad015
      tokens: [visitor, 9f86d081884c7d659a2feaa0c55ad015]
      codes: [17, 18]
output: { secret: hunter2, id: hunter2 }
"#,
        r#"
1:42+6 literal_secret `pin` is a secret that is written out in the file
1:69+7 literal_secret `password` is a secret that is written out in the file
5:23+9 literal_secret `number` is a secret that is written out in the file
6:16+32 literal_secret `api_key` is a secret that is written out in the file
7:25+32 literal_secret `tokens` is a secret that is written out in the file
8:15+2 literal_secret `codes` is a secret that is written out in the file
8:19+2 literal_secret `codes` is a secret that is written out in the file
9:19+7 literal_secret `secret` is a secret that is written out in the file
"#,
    );
}

#[test]
fn an_expression_and_a_published_choice_are_no_secrets() {
    warns(
        r#"
  a:
    uses: vault/account
    with:
      pin: "${{ input.country }}"
      password: expired
      login: { password: "pw-${{ input.country }}", name: "9f86d081884c7d659a2feaa0c55ad015" }
      api_key: visitor-key
      tokens: ["${{ input.country }}"]
      card: {}
output: { password: "${{ input.country }}" }
"#,
        "",
    );
}

#[test]
fn a_schema_that_gives_a_secret_away_or_slips_is_told() {
    let file = r##"scenario: a/b
owner: { team: T }
labels: { token: 9f86d081884c7d659a2feaa0c55ad015, tier: gold }
input:
  type: object
  properties:
    password: { type: string, default: hunter2 }
    mode: { type: string, default: hunter2, exampels: [a] }
    pin: { type: string, x-secret: true, const: "1234" }
    token: { enum: [9f86d081884c7d659a2feaa0c55ad015], default: 9f86d081884c7d659a2feaa0c55ad015 }
    login: { $ref: "#/$defs/login", default: { password: hunter2 } }
    age: { type: integer, examples: [ten] }
  $defs:
    login: { type: object, properties: { pwd: { type: string, examples: ["${{ x }}", hunter2] } } }
steps: { s: { uses: order/any } }
output: {}
"##;
    let scenario = check_file("file", file, &shop()).unwrap_or_else(|found| panic!("{}", lines(&found)));
    let told: Vec<_> = scenario.warnings.iter().map(|w| (w.code, w.line, w.column)).collect();
    assert_eq!(
        told,
        [
            ("literal_secret", 3, 18),
            ("literal_secret", 7, 40),
            ("unknown_keyword", 8, 55),
            ("literal_secret", 9, 49),
            ("literal_secret", 11, 58),
            ("example_invalid", 12, 38),
            ("literal_secret", 14, 86),
        ],
        "{:?}",
        scenario.warnings
    );
    let unchecked = crate::scenario::parse("file", file).unwrap().unchecked(1);
    assert_eq!(
        unchecked.scenario().unwrap().warnings.len(),
        told.len(),
        "they do not depend on other contracts"
    );
}

#[test]
fn a_warning_is_no_fault() {
    let steps = "  a: { uses: vault/account, with: { pin: \"1234\", tokens: 7 } }";
    let found = checked(steps, &shop()).unwrap_err();
    assert_eq!(found.iter().map(|found| found.code).collect::<Vec<_>>(), ["binding_type"]);
}

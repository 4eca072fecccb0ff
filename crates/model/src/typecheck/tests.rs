//! The type checker, as tables: a scenario file and every line that it answers.

mod bindings;
mod expressions;
mod warnings;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::contract::{Capability, ContractBody, Operations, Owner, RetryPolicy};
use crate::scenario::Source;

/// A catalogue of the shop.
struct Catalogue(BTreeMap<String, Arc<Contract>>);

impl Contracts for Catalogue {
    fn contract(&self, name: &ContractName) -> Option<Arc<Contract>> {
        self.0.get(&name.to_string()).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

impl Catalogue {
    fn shop() -> Self {
        let country = json!({"type": "string", "enum": ["CZ", "FR", "DE"]});
        let key = |entity: &str| json!({"type": "string", "x-entity": entity});
        let mut catalogue = Self(BTreeMap::new());
        catalogue.add(
            "customer/active-customer",
            &json!({"type": "object", "additionalProperties": false, "required": ["country"],
                   "properties": {"country": country, "nick": {"type": "string"}, "age": {"type": "integer", "minimum": 18}}}),
            &json!({"type": "object", "required": ["customer_id"], "properties": {
                "customer_id": key("customer"), "token": {"type": "string", "x-secret": true}, "score": {"type": "number"},
                "addresses": {"type": "array", "items": {"$ref": "#/$defs/address"}}, "middle": {"type": ["string", "null"]},
                "home-page": {"type": "string"}, "extra": {}},
                "$defs": {"address": {"type": "object", "required": ["zip"], "properties": {"zip": {"type": "string"}}}}}),
            Some(&json!({"type": "object", "required": ["id", "status"], "properties": {
                "id": {"type": "string"}, "status": {"enum": ["ACTIVE", "CLOSED"]}, "orders": {"type": "integer"}}})),
        );
        catalogue.add(
            "billing/payment-account",
            &json!({"type": "object", "additionalProperties": false, "required": ["customer_id", "currency"], "properties": {
                "customer_id": {"type": "string"}, "currency": {"type": "string", "default": "EUR", "maxLength": 3}, "limit": {"type": ["integer", "null"]},
                "owner": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
                "tags": {"type": "array", "items": {"type": "string"}}}}),
            &json!({"type": "object", "required": ["account_id"], "properties": {"account_id": key("account"), "balance": {"type": "integer"}}}),
            None,
        );
        catalogue.add(
            "order/any",
            &json!({"type": "object"}),
            &json!({"type": "object", "properties": {"order_id": {"type": "string"}, "lines": {"type": "integer"}}, "additionalProperties": true}),
            Some(&json!({"type": "object", "properties": {"customer_id": {"type": "string"}}})),
        );
        catalogue
    }

    /// A capability; without facts it has no `check`.
    fn add(&mut self, name: &str, input: &Value, output: &Value, facts: Option<&Value>) {
        let schema = |document: &Value| Schema::parse(document).unwrap();
        let operations = Operations { produce: true, check: facts.is_some(), undo: false, find: false };
        let capability = Capability {
            facts: facts.map(schema),
            operations,
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
            name: name.parse().unwrap(),
            version: 1,
            description: String::new(),
            owner: Owner { team: "Shop".into(), contact: None, issues: None },
            labels: BTreeMap::new(),
            input: schema(input),
            output: schema(output),
            body: ContractBody::Capability(capability),
        };
        self.0.insert(name.into(), Arc::new(contract));
    }

    fn apply(&mut self, text: &str) {
        let scenario = check_file("file", text, self).unwrap_or_else(|found| panic!("{}", lines(&found)));
        self.0.insert(scenario.name.to_string(), Arc::new(scenario.into_contract(1)));
    }
}

const HEAD: &str = r#"scenario: checkout/ready
owner: { team: Checkout }
input:
  type: object
  properties:
    country: { type: string, enum: [CZ, FR] }
    lines: { type: integer }
    price: { type: number }
    ids: { type: array, items: { type: string } }
    other: { type: string, enum: [US] }
    vip: { type: boolean }
steps:
  customer: { uses: customer/active-customer, with: { country: FR } }
  maybe: { uses: customer/active-customer, if: input.vip, with: { country: FR } }
"#;

/// `line:column+length code message | hint`; lines are counted from the first one of the case.
fn lines(found: &[Diagnostic]) -> String {
    let first = i64::try_from(HEAD.lines().count()).unwrap();
    let one = |d: &Diagnostic| {
        let hint = d.hint.as_deref().map(|hint| format!(" | {hint}")).unwrap_or_default();
        format!("{}:{}+{} {} {}{hint}", i64::from(d.line) - first, d.column, d.length, d.code, d.message)
    };
    found.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn checked(steps: &str, catalogue: &Catalogue) -> Result<Scenario, Vec<Diagnostic>> {
    let output = if steps.contains("output:") { "" } else { "output: {}\n" };
    check_file("file", &format!("{HEAD}{}\n{output}", steps.trim_matches('\n')), catalogue)
}

/// Checks steps (and what follows them) in the catalogue of the shop.
#[track_caller]
fn check(steps: &str, expected: &str) {
    let found = checked(steps, &Catalogue::shop()).map_or_else(|found| lines(&found), |_| String::new());
    assert_eq!(found, expected.trim(), "{steps}");
}

fn accepted(steps: &str) -> Scenario {
    checked(steps, &Catalogue::shop()).unwrap_or_else(|found| panic!("{}", lines(&found)))
}

#[test]
fn names_that_do_not_exist_are_refused_with_the_nearest() {
    check(
        r#"
  c: { uses: customer/active-custmer, with: {} }
  d: { uses: gone/away }
  e: { uses: order/any, with: { id: "${{ steps.custmer.customer_id }}" }, needs: [custome, order2] }
"#,
        r#"
1:14+23 unknown_contract there is no contract `customer/active-custmer` | did you mean `customer/active-customer`?
2:14+9 unknown_contract there is no contract `gone/away` | start the supplier that offers it, or apply the scenario first
3:42+13 unknown_step there is no step `custmer` | did you mean `customer`?
3:83+7 unknown_step there is no step `custome` | did you mean `customer`?
3:92+6 unknown_step there is no step `order2` | the steps are customer, maybe, c, d, e
"#,
    );
}

#[test]
fn circles_are_refused_with_their_path() {
    check(
        r#"
  a: { uses: order/any, needs: [a] }
"#,
        r#"
1:33+1 cycle the steps wait for each other in a circle: a → a | remove one of these references, or split a step in two
"#,
    );
    check(
        r#"
  a: { uses: order/any, needs: [b] }
  b: { uses: order/any, with: { x: "${{ steps.c.order_id }}" } }
  c: { uses: order/any, if: steps.a.lines > 1 }
"#,
        r#"
3:29+17 cycle the steps wait for each other in a circle: a → b → c → a | remove one of these references, or split a step in two
"#,
    );
    check(
        r#"
  later: { uses: order/any, with: { x: "${{ steps.sooner.order_id }}" }, needs: [sooner, sooner] }
  sooner: { uses: order/any }
"#,
        "",
    );
}

#[test]
fn faults_of_form_and_of_type_come_together() {
    check(
        r#"
  a: { uses: order/any, colour: red, timeout_s: 0, with: { x: "${{ input.nope }}" } }
  b: { uses: gone/away, with: { x: "${{ 1 + }}", y: "${{ exec('x') }}" } }
"#,
        r#"
1:25+6 unknown_field a step has no field `colour` | the fields are uses, with, needs, if, for_each, retry, timeout_s, from, shared
1:49+1 range the number must be from 1 to 86400 | choose a number in that range
1:68+10 unknown_field there is no field `nope` | the fields are country, ids, lines, other, price, vip
2:14+9 unknown_contract there is no contract `gone/away` | start the supplier that offers it, or apply the scenario first
2:45+1 syntax the expression ends where a value is expected | expressions are written in CEL, as in `input.country == "FR"`
2:58+4 unknown_function there is no function `exec` | the functions are bool, contains, double, dyn, endsWith, indexOf, int, join, lowerAscii, matches, replace, size, split, startsWith, string, substring, trim, uint, upperAscii
"#,
    );
}

#[test]
fn steps_come_in_an_order_that_their_bindings_allow() {
    let scenario = accepted(
        r#"
  c: { uses: order/any, needs: [b, customer] }
  b: { uses: order/any, with: { x: "${{ steps.a.order_id }}" } }
  a: { uses: order/any, if: steps.customer.score > 1 }
"#,
    );
    let shown: Vec<String> =
        scenario.steps.iter().map(|step| format!("{} <- {}", step.name, step.depends_on.join(" "))).collect();
    assert_eq!(shown, ["customer <- ", "maybe <- ", "a <- customer", "b <- a", "c <- b customer"]);
    assert_eq!(
        (scenario.settle_s, scenario.timeout_s, scenario.steps[0].from),
        (30, None, Source::StockFirst)
    );
}

#[test]
fn the_output_schema_is_derived_with_its_marks() {
    let scenario = accepted(
        r#"
output:
  id: ${{ steps.customer.customer_id }}
  maybe: ${{ steps.maybe.customer_id }}
  secret: Bearer ${{ steps.customer.token }}
  addresses: ${{ steps.customer.addresses }}
  count: ${{ size(input.ids) }}
  half: ${{ input.price / 2 }}
  open: ${{ steps.customer.extra }}
  fixed: FR
  inner: { country: "${{ input.country }}", list: [1, "${{ input.lines }}"] }
"#,
    );
    assert_eq!(
        scenario.output_schema.document(),
        &json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["addresses", "count", "fixed", "half", "id", "inner", "maybe", "open", "secret"],
            "properties": {
                "id": {"type": "string", "x-entity": "customer"},
                "maybe": {"anyOf": [{"type": "string", "x-entity": "customer"}, {"type": "null"}]},
                "secret": {"type": "string", "x-secret": true},
                "addresses": {"type": "array", "items": {
                    "type": "object", "required": ["zip"], "properties": {"zip": {"type": "string"}}}},
                "count": {"type": "integer"},
                "half": {"type": "number"},
                "open": {},
                "fixed": {"type": "string", "enum": ["FR"]},
                "inner": {"type": "object", "additionalProperties": false, "required": ["country", "list"], "properties": {
                    "country": {"type": "string", "enum": ["CZ", "FR"]},
                    "list": {"type": "array", "items": {"type": "integer"}}}},
            }
        })
    );
}

const INNER: &str = r#"scenario: checkout/inner
owner: { team: Checkout }
input: { type: object, properties: { vip: { type: boolean, default: false } } }
steps:
  customer: { uses: customer/active-customer, with: { country: FR } }
  account: { uses: billing/payment-account, with: { customer_id: "${{ steps.customer.customer_id }}" } }
  gift: { uses: customer/active-customer, if: input.vip, with: { country: FR } }
output: { customer: "${{ steps.customer.customer_id }}", gift: "${{ steps.gift.customer_id }}" }
"#;

#[test]
fn the_facts_of_a_nested_scenario_are_found_by_its_steps() {
    let mut catalogue = Catalogue::shop();
    catalogue.apply(INNER);
    let found = checked(
        r#"
  inner: { uses: checkout/inner }
invariants:
  - { that: facts.inner.customer.status == 'ACTIVE', says: fine }
  - { that: facts.inner.customer.status == 'GONE', says: never }
  - { that: facts.inner.account.id == 'x', says: unchecked }
  - { that: facts.inner.custmer.id == 'x', says: unknown }
  - { that: facts.inner.gift.orders + 'x' == 'x', says: mismatch }
output:
  id: ${{ steps.inner.customer }}
  nope: ${{ steps.inner.order }}
"#,
        &catalogue,
    )
    .unwrap_err();
    assert_eq!(
        lines(&found),
        r#"
4:13+37 impossible_enum the two are never equal | possible is "ACTIVE", "CLOSED"
5:13+19 unchecked_facts `billing/payment-account` has no `check`, so there are no facts of it | ask its owner for a `check`, or use the output of the step, `steps.…`
6:13+19 unknown_field there is no field `custmer` | did you mean `customer`?
7:13+29 type_mismatch `+` cannot take an integer or null and a string | convert one of them with `string(…)`, `int(…)` or `double(…)`
10:13+17 unreachable_output there is no field `order` | the fields are customer, gift
"#
        .trim()
    );
}

#[test]
fn scenarios_that_use_each_other_in_a_circle_are_refused() {
    let mut catalogue = Catalogue::shop();
    catalogue.apply(&INNER.replace("checkout/inner", "checkout/ready"));
    let around = |name: &str, uses: &str| {
        format!(
            "scenario: {name}\nowner: {{ team: Checkout }}\nsteps: {{ a: {{ uses: {uses} }} }}\noutput: {{}}\n"
        )
    };
    catalogue.apply(&around("checkout/b", "checkout/ready"));
    catalogue.apply(&around("checkout/c", "checkout/b"));
    let found =
        checked("  a: { uses: checkout/c }\n  b: { uses: checkout/ready }\n", &catalogue).unwrap_err();
    assert_eq!(
        lines(&found),
        "1:14+10 cycle the scenario uses itself: checkout/ready → checkout/c → checkout/b → checkout/ready | use a contract that does not lead back here\n\
         2:14+14 cycle the scenario uses itself: checkout/ready → checkout/ready | use a contract that does not lead back here"
    );
}

#[test]
fn scenarios_nest_five_deep_and_no_deeper() {
    let mut catalogue = Catalogue::shop();
    catalogue.apply(INNER);
    let around = |name: &str, uses: &str| {
        format!(
            "scenario: {name}\nowner: {{ team: Checkout }}\nsteps: {{ a: {{ uses: {uses} }} }}\noutput: {{}}\n"
        )
    };
    for (name, uses) in
        [("n/two", "checkout/inner"), ("n/three", "n/two"), ("n/four", "n/three"), ("n/five", "n/four")]
    {
        catalogue.apply(&around(name, uses));
    }
    let found = check_file("file", &around("n/six", "n/five"), &catalogue).unwrap_err();
    assert_eq!((found[0].code, found.len()), ("limit", 1));
}

#[test]
fn a_long_circle_is_shown_shortened() {
    let steps: String =
        (0..200).map(|i| format!("  s{i}: {{ uses: order/any, needs: [s{}] }}\n", (i + 1) % 200)).collect();
    let text = format!("scenario: a/b\nowner: {{ team: T }}\nsteps:\n{steps}output: {{}}\n");
    let found = check_file("file", &text, &Catalogue::shop()).unwrap_err();
    assert_eq!((found[0].code, found.len()), ("cycle", 1));
    assert!(
        found[0]
            .message
            .ends_with("s0 → s1 → s2 → s3 → s4 → s5 → … (189 more) → s195 → s196 → s197 → s198 → s199 → s0"),
        "{}",
        found[0].message
    );
}

#[test]
fn no_diagnostic_quotes_a_value() {
    let steps = "  c: { uses: customer/active-customer, with: { country: FR, nick: [hunter2], age: \"hunter2 ${{ input.vip }}\" } }\n  d: { uses: billing/payment-account, with: { customer_id: hunter2 hunter2, tags: [[hunter2]], currency: hunter2 } }";
    let found = checked(steps, &Catalogue::shop()).unwrap_err();
    assert!(!found.is_empty() && !lines(&found).contains("hunter2"), "{}", lines(&found));
}

#[test]
fn schemas_whose_references_multiply_are_looked_at_in_bounds() {
    let mut catalogue = Catalogue::shop();
    let wide =
        |i: usize| json!({"anyOf": [{"$ref": format!("#/$defs/w{i}")}, {"$ref": format!("#/$defs/w{i}")}]});
    let deep = |i: usize| json!({"type": "object", "properties": {"x": {"$ref": format!("#/$defs/d{i}")}}});
    let mut defs: serde_json::Map<String, Value> = (0..12).map(|i| (format!("w{i}"), wide(i + 1))).collect();
    defs.extend((0..400).map(|i| (format!("d{i}"), deep(i + 1))));
    defs.insert("w12".into(), json!({"type": "object", "properties": {"end": {"type": "string"}}}));
    defs.insert("d400".into(), json!({"$ref": "#/$defs/d0"}));
    let output = json!({"type": "object", "$defs": defs, "properties": {"wide": {"$ref": "#/$defs/w0"}, "deep": {"$ref": "#/$defs/d0"}}});
    catalogue.add("a/maze", &json!({"type": "object"}), &output, None);
    let steps = "  m: { uses: a/maze }\noutput: { deep: \"${{ steps.m.deep }}\", wide: \"${{ steps.m.wide.end }}\", x: \"${{ steps.m.deep.x.x.x.y }}\" }";
    let found = checked(steps, &catalogue).unwrap_err();
    assert_eq!(lines(&found), "2:81+20 unreachable_output there is no field `y` | did you mean `x`?");
}

/// Each of these took minutes when everything wrong was named with everything that may have been meant.
#[test]
fn files_that_are_wrong_in_very_many_places_are_looked_at_in_bounds() {
    let long = "x".repeat(50);
    let steps = |rest: &dyn Fn(usize) -> String| {
        (0..190)
            .map(|step| format!("  s{step:03}_{long}: {{ uses: order/any{} }}\n", rest(step)))
            .collect::<String>()
    };
    let names = (0..50).map(|other| format!("t{other:03}_{long}")).collect::<Vec<_>>().join(", ");
    let reads = (0..9_000)
        .map(|other| format!("k{other}: \"${{{{ steps.t{other:04}_{long} }}}}\""))
        .collect::<Vec<_>>();
    let unknown_needs = steps(&|_| format!(", needs: [{names}]"));
    let unknown_reads = steps(&|step| match step {
        7 => format!(", with: {{ {} }}", reads.join(", ")),
        _ => String::new(),
    });
    let mut catalogue = Catalogue::shop();
    for (text, code) in [(&unknown_needs, "unknown_step"), (&unknown_reads, "unknown_step")] {
        let found = checked(text, &catalogue).unwrap_err();
        assert_eq!((found.len(), found[0].code), (crate::limits::DIAGNOSTICS, code));
    }
    for number in 0..1_000 {
        catalogue.add(&format!("{long}/c{number:04}-{long}"), &json!({}), &json!({}), None);
    }
    let unknown_contracts = steps(&|_| String::new()).replace("order/any", &format!("{long}/d-{long}"));
    let found = checked(&unknown_contracts, &catalogue).unwrap_err();
    assert!(
        found.len() >= 190 && found.iter().all(|found| found.code == "unknown_contract"),
        "{}",
        found.len()
    );
}

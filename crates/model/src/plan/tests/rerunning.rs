//! Reruns: a tree on versions that are given, and what is said of its facts.

use super::*;
use crate::rerun::{Comparison, Difference, compare};

const CUSTOMER: &str = "customer/active-customer";
const PAYMENT: &str = "billing/payment-account";

const PAYING: &str = "
scenario: checkout/paying
owner: { team: Checkout }
steps:
  ready: { uses: checkout/ready }
  payment: { uses: billing/payment-account, needs: [ready] }
output: {}
";

const READY: &str = "
scenario: checkout/ready
owner: { team: Checkout }
steps:
  customer: { uses: customer/active-customer }
output: {}
";

fn name(text: &str) -> ContractName {
    text.parse().expect("a name")
}

fn landscape() -> Landscape {
    let facts = json!({ "properties": { "id": { "x-volatile": true } } });
    let mut landscape = Landscape::default();
    landscape.add(capability(CUSTOMER, &["produce"], json!({ "facts": facts })));
    landscape.capability(PAYMENT, &["produce"]).scenario(READY).scenario(PAYING)
}

/// Both parts made, with these facts.
fn made(customer: Option<Value>, payment: Option<Value>) -> Scene {
    let mut scene = Scene::begin(landscape(), "checkout/paying", json!({}));
    for (steps, facts) in [("ready › customer", customer), ("payment", payment)] {
        scene.answer(steps, Answer::Produced { output: json!({ "id": steps }), facts });
    }
    scene
}

fn compared(before: &Scene, after: &Scene) -> Comparison {
    compare(&before.tree, &after.tree, &after.landscape)
}

fn places(comparison: Comparison) -> Vec<String> {
    let Comparison::Different { differences, more: 0 } = comparison else { panic!("{comparison:?}") };
    let which = |Difference { path, pointer, before, after }| {
        format!("{path}: {pointer} {} {}", before.is_some(), after.is_some())
    };
    differences.into_iter().map(which).collect()
}

#[test]
fn what_is_given_is_used_all_the_way_down_and_everything_else_is_current() {
    let landscape = landscape().version(CUSTOMER, 2).version(PAYMENT, 2);
    let given = BTreeMap::from([(name(CUSTOMER), 1)]);
    let new = NewTree { given, ..new_tree(&landscape, "checkout/paying", json!({})) };
    let mut scene = Scene::begin_with(landscape, new);
    assert_eq!(scene.part("ready › customer").version, 1);
    scene.produce("ready › customer");
    assert_eq!(scene.part("payment").version, 2);
    assert_eq!(scene.tree.pins[&name(CUSTOMER)], 1);
}

#[test]
fn facts_are_the_same_but_for_what_is_volatile() {
    let first = made(Some(json!({ "id": "c-1", "status": "ACTIVE" })), Some(json!({ "open": true })));
    let again = made(Some(json!({ "id": "c-2", "status": "ACTIVE" })), Some(json!({ "open": true })));
    assert_eq!(compared(&first, &again), Comparison::Equal);
}

#[test]
fn every_place_that_differs_is_named_with_its_part() {
    let first = made(
        Some(json!({ "id": "c-1", "status": "ACTIVE", "a/b": { "x": 1 } })),
        Some(json!([1, { "y": 2 }, 3])),
    );
    let again = made(
        Some(json!({ "id": "c-2", "status": "CLOSED", "a/b": { "x": 1, "z": null } })),
        Some(json!([1, { "y": 3 }])),
    );
    assert_eq!(
        places(compared(&first, &again)),
        [
            "payment: /1/y true true",
            "payment: /2 true false",
            "ready › customer: /a~1b/z false true",
            "ready › customer: /status true true",
        ]
    );
}

#[test]
fn a_part_of_which_only_one_has_facts_differs_as_a_whole() {
    let (with, without) = (made(None, Some(json!({ "open": true }))), made(Some(json!({ "id": 1 })), None));
    assert_eq!(places(compared(&with, &without)), ["payment:  true false", "ready › customer:  false true"]);
}

#[test]
fn without_any_facts_nothing_is_known() {
    assert_eq!(compared(&made(None, None), &made(None, None)), Comparison::Unknown);
}

#[test]
fn more_differences_than_anybody_reads_are_counted() {
    let many = |from: u32| made(None, Some((from..from + 130).map(Value::from).collect()));
    match compared(&many(0), &many(1_000)) {
        Comparison::Different { differences, more } => assert_eq!((differences.len(), more), (100, 30)),
        other => panic!("{other:?}"),
    }
}

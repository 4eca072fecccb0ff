//! Going forward: order, conditions, loops, nesting, patience.

use super::*;

#[test]
fn a_step_begins_as_soon_as_what_it_depends_on_is_there() {
    let mut scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({ "country": "CZ" }));
    assert_eq!(scene.asked(), ["produce customer"]);
    assert_eq!(*scene.part("customer").input, json!({ "country": "CZ" }));
    scene.produce("customer");
    assert_eq!(scene.asked(), ["produce payment", "produce address"]);
    assert_eq!(*scene.part("payment").input, json!({ "customer_id": "customer" }));
    scene.produce("address");
    assert_eq!(scene.asked(), ["produce payment"]);
    scene.produce("payment");
    scene.produce("order");
    assert_eq!(scene.status(""), PartStatus::Ready);
    let output = json!({ "customer_id": "customer", "order_id": "order" });
    assert_eq!(scene.part("").output.as_deref(), Some(&output));
    assert_eq!(scene.ended_as(), ["ready"]);
}

#[test]
fn an_answer_told_twice_changes_nothing_the_second_time() {
    let mut scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({}));
    let attempt = scene.attempt("customer");
    scene.produce("customer");
    let before = scene.tree.clone();
    let answer = Answer::Produced { output: json!({ "id": "another" }), facts: None };
    scene.happen(Happened::Answered { attempt, session: SessionId(Uuid::nil()), by: by(), answer });
    assert_eq!(scene.tree, Tree { version: before.version + 1, ..before });
}

#[test]
fn a_step_whose_condition_is_false_is_skipped_and_reads_as_null() {
    let landscape = Landscape::default().capability("a/a", MAKE).scenario(
        r#"
scenario: a/maybe
owner: { team: A }
input: { type: object }
steps:
  first:  { uses: a/a, if: input.wanted, with: {} }
  second: { uses: a/a, with: { got: "${{ steps.first }}" } }
output: { first: "${{ steps.first }}" }
"#,
    );
    let mut scene = Scene::begin(landscape, "a/maybe", json!({ "wanted": false }));
    assert_eq!(scene.status("first"), PartStatus::Skipped);
    assert_eq!(*scene.part("second").input, json!({ "got": null }));
    scene.produce("second");
    assert_eq!(scene.part("").output.as_deref(), Some(&json!({ "first": null })));
}

const LOOP: &str = r#"
scenario: a/many
owner: { team: A }
input: { type: object }
steps:
  line: { uses: a/a, for_each: input.lines, with: { sku: "${{ each.value }}", at: "${{ each.index }}" } }
  sum:  { uses: a/a, with: { lines: "${{ steps.line }}" } }
output: { lines: "${{ steps.line }}" }
"#;

#[test]
fn a_loop_makes_one_part_for_each_value_and_reads_as_a_list() {
    let landscape = Landscape::default().capability("a/a", MAKE).scenario(LOOP);
    let mut scene = Scene::begin(landscape, "a/many", json!({ "lines": ["x", "y"] }));
    assert_eq!(scene.asked(), ["produce line[0]", "produce line[1]"]);
    assert_eq!(*scene.part("line[1]").input, json!({ "sku": "y", "at": 1 }));
    scene.produce("line[1]");
    scene.produce("line[0]");
    assert_eq!(*scene.part("sum").input, json!({ "lines": [{ "id": "line[0]" }, { "id": "line[1]" }] }));
}

#[test]
fn an_event_tells_the_way_to_its_part() {
    let landscape = Landscape::default().capability("a/a", MAKE).scenario(LOOP);
    let mut scene = Scene::begin(landscape, "a/many", json!({ "lines": ["x", "y"] }));
    assert_eq!(scene.told_path("dataset.building"), None, "a root has no steps above it");
    scene.produce("line[1]");
    assert_eq!(scene.told_path("task.done"), Some("line[1]"));
    scene.fail("line[0]", false);
    assert_eq!(scene.told_path("task.failed"), Some("line[0]"));
    assert_eq!(scene.told_path("dataset.failed"), Some("line[0]"), "the contract has a field of its own");
}

#[test]
fn a_failure_of_a_root_is_told_without_a_way_to_it() {
    let mut scene = Scene::begin(Landscape::default().capability("a/a", MAKE), "a/a", json!({}));
    scene.fail("", false);
    assert_eq!(scene.told_path("dataset.failed"), None);
    let told = scene.events.iter().find(|event| event.kind == "dataset.failed").expect("it failed");
    assert_eq!((&told.data["contract"], &told.data["version"]), (&json!("a/a"), &json!(1)));
}

#[test]
fn a_loop_over_nothing_reads_as_an_empty_list() {
    let landscape = Landscape::default().capability("a/a", MAKE).scenario(LOOP);
    let mut scene = Scene::begin(landscape, "a/many", json!({ "lines": [] }));
    scene.produce("sum");
    assert_eq!(scene.part("").output.as_deref(), Some(&json!({ "lines": [] })));
}

#[test]
fn again_uses_up_no_attempt_and_brings_the_state_back() {
    let mut scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({}));
    for round in 0..10 {
        let state = Some(json!({ "round": round }));
        scene.answer("customer", Answer::Again { after_ms: 500, state: state.clone(), message: None });
        assert_eq!(scene.part("customer").state, state);
        let waits = scene.open[&scene.at("customer")].ready_at;
        assert_eq!(waits.duration_since(scene.now), SignedDuration::from_millis(500));
    }
    // Ten times later there are still all three attempts.
    scene.fail("customer", true);
    scene.fail("customer", true);
    assert_eq!(scene.asked(), ["produce customer"]);
    scene.fail("customer", true);
    assert_eq!(scene.failure().attempts, 3);
}

#[test]
fn a_retry_waits_longer_each_time() {
    let mut scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({}));
    let mut waits = Vec::new();
    for _ in 0..2 {
        scene.fail("customer", true);
        let ready_at = scene.open[&scene.at("customer")].ready_at;
        waits.push(ready_at.duration_since(scene.now).as_millis());
    }
    assert!(waits[0] > 0 && waits[1] > waits[0], "{waits:?}");
}

#[test]
fn versions_stay_as_they_were_when_the_tree_was_begun() {
    let mut scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({}));
    let newer = Contract { version: 2, ..capability("billing/payment-account", MAKE, json!({})) };
    scene.landscape.add(newer);
    scene.produce("customer");
    assert_eq!(scene.part("payment").version, 1);
}

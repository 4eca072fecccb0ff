//! Settling: asking until all agree, invariants, who speaks for whom.

use super::*;

const AGREEING: &str = r#"
scenario: a/agreeing
owner: { team: A }
settle_s: 5
steps:
  one: { uses: a/one, with: {} }
  two: { uses: b/two, with: { of: "${{ steps.one.id }}" } }
invariants:
  - { that: facts.one.number == facts.two.number, says: both know the same number }
output: {}
"#;

fn agreeing() -> Scene {
    let landscape = Landscape::default().capability("a/one", ALL).capability("b/two", ALL).scenario(AGREEING);
    let mut scene = Scene::begin(landscape, "a/agreeing", json!({}));
    scene.produce("one");
    scene.produce("two");
    scene
}

#[test]
fn everything_is_asked_together_once_it_is_made() {
    let mut scene = agreeing();
    assert_eq!(scene.status(""), PartStatus::Checking);
    assert_eq!(scene.asked(), ["check one", "check two"]);
    scene.check("one", Verdict::Valid, json!({ "number": 1 }));
    scene.check("two", Verdict::Valid, json!({ "number": 1 }));
    assert_eq!(scene.status(""), PartStatus::Ready);
    let facts = json!({ "one": { "number": 1 }, "two": { "number": 1 } });
    assert_eq!(scene.part("").facts.as_deref(), Some(&facts));
}

#[test]
fn a_service_that_is_behind_is_asked_again_until_it_agrees() {
    let mut scene = agreeing();
    scene.check("one", Verdict::Valid, json!({ "number": 1 }));
    for _ in 0..3 {
        scene.check("two", Verdict::Invalid, json!({}));
        assert_eq!(scene.asked(), ["check two"], "only who has not agreed is asked again");
        assert!(scene.open[&scene.at("two")].ready_at > scene.now);
        scene.pass_ms(500);
    }
    scene.check("two", Verdict::Valid, json!({ "number": 1 }));
    assert_eq!(scene.status(""), PartStatus::Ready);
}

#[test]
fn a_service_that_does_not_agree_in_time_is_blamed() {
    let mut scene = agreeing();
    scene.check("one", Verdict::Valid, json!({ "number": 1 }));
    scene.pass_ms(6_000);
    scene.check("two", Verdict::Invalid, json!({}));
    assert_eq!(scene.failure().class, FailureClass::Check);
    assert_eq!(scene.failure().path, "two › b/two@1");
    assert_eq!(scene.asked(), ["undo two"]);
}

#[test]
fn facts_that_break_their_schema_fail_what_is_being_made_at_once() {
    let facts = json!({ "properties": { "number": { "type": "integer" } } });
    for verdict in [Verdict::Valid, Verdict::Invalid, Verdict::Unknown] {
        let mut landscape = Landscape::default().capability("a/one", ALL).scenario(AGREEING);
        landscape.add(capability("b/two", ALL, json!({ "facts": facts })));
        let mut scene = Scene::begin(landscape, "a/agreeing", json!({}));
        scene.produce("one");
        scene.produce("two");
        scene.check("two", verdict, json!({ "number": "nope" }));
        let failure = scene.failure();
        assert_eq!(failure.class, FailureClass::ContractViolation, "asking again would bring the same");
        assert_eq!((failure.path.as_str(), failure.attempts), ("two › b/two@1", 1));
        assert!(failure.message.contains("/number"), "{}", failure.message);
    }
}

#[test]
fn an_answer_to_a_check_that_is_none_fails_what_is_being_made_at_once() {
    let mut scene = agreeing();
    scene.answer("two", Answer::Undone);
    assert_eq!(scene.failure().class, FailureClass::ContractViolation);
}

#[test]
fn unknown_is_never_taken_for_valid() {
    let mut scene = agreeing();
    scene.check("one", Verdict::Valid, json!({ "number": 1 }));
    scene.check("two", Verdict::Unknown, json!({ "number": 1 }));
    assert_eq!(scene.status(""), PartStatus::Checking);
    scene.pass_ms(6_000);
    scene.check("two", Verdict::Unknown, json!({ "number": 1 }));
    assert_eq!(scene.failure().code.as_deref(), Some("unknown"));
}

#[test]
fn facts_that_contradict_each_other_are_read_again_and_then_blamed_on_the_scenario() {
    let mut scene = agreeing();
    scene.check("one", Verdict::Valid, json!({ "number": 1 }));
    scene.check("two", Verdict::Valid, json!({ "number": 2 }));
    assert_eq!(scene.asked(), ["check one", "check two"]);
    scene.pass_ms(6_000);
    scene.check("one", Verdict::Valid, json!({ "number": 1 }));
    scene.check("two", Verdict::Valid, json!({ "number": 2 }));
    assert_eq!(scene.failure().class, FailureClass::Invariant);
    assert_eq!(scene.failure().path, "a/agreeing@1");
    assert!(scene.failure().message.contains("both know the same number"));
}

#[test]
fn what_a_nested_scenario_hands_on_is_checked_before_others_build_on_it() {
    let landscape = shop(ALL).capability("order/paid-order", ALL).scenario(PAID);
    let mut scene = Scene::begin(landscape, "checkout/paid", json!({}));
    for steps in ["customer", "payment", "address", "order"] {
        scene.produce(&format!("ready › {steps}"));
    }
    assert_eq!(scene.status("ready"), PartStatus::Checking);
    for steps in ["customer", "payment", "address", "order"] {
        scene.check(&format!("ready › {steps}"), Verdict::Valid, json!({}));
    }
    assert_eq!(scene.status("ready"), PartStatus::Ready);
    assert_eq!(scene.asked(), ["produce paid"]);
}

const PAID: &str = r#"
scenario: checkout/paid
owner: { team: Checkout }
steps:
  ready: { uses: checkout/ready-customer, with: {} }
  paid:  { uses: order/paid-order, with: { order_id: "${{ steps.ready.order_id }}" } }
output: { order_id: "${{ steps.paid.id }}" }
"#;

#[test]
fn the_part_that_advanced_an_entity_speaks_for_it() {
    let landscape = shop(ALL).capability("order/paid-order", ALL).scenario(PAID);
    let mut scene = Scene::begin(landscape, "checkout/paid", json!({}));
    for steps in ["customer", "payment", "address", "order"] {
        scene.produce(&format!("ready › {steps}"));
    }
    for steps in ["customer", "payment", "address", "order"] {
        scene.check(&format!("ready › {steps}"), Verdict::Valid, json!({}));
    }
    // The paid order is the same order: nobody asks any more whether it is only prepared.
    let output = json!({ "id": "ready › order" });
    scene.answer("paid", Answer::Produced { output, facts: None });
    assert_eq!(
        scene.asked(),
        ["check ready › customer", "check ready › payment", "check ready › address", "check paid"]
    );
}

#[test]
fn a_capability_without_a_check_is_ready_when_it_is_made() {
    let mut scene = Scene::begin(Landscape::default().capability("a/a", MAKE), "a/a", json!({}));
    scene.produce("");
    assert_eq!(scene.ended_as(), ["ready"]);
}

#[test]
fn a_check_that_does_not_work_is_repeated_like_an_unknown() {
    let mut scene = agreeing();
    scene.fail("two", false);
    assert_eq!(scene.asked(), ["check one", "check two"]);
    let attempt = scene.attempt("two");
    scene.happen(Happened::TimedOut(attempt));
    assert_eq!(scene.asked(), ["check one", "check two"]);
    assert!(scene.outcomes.is_empty());
}

#[test]
fn evidence_says_who_gave_it_and_when_the_part_was_last_valid() {
    let mut scene = agreeing();
    let evidence = |scene: &Scene, steps: &str| scene.part(steps).evidence.clone().expect("it was asked");
    scene.check("two", Verdict::Invalid, json!({}));
    let two = evidence(&scene, "two");
    assert_eq!(
        (two.verdict, two.valid_at, two.build, two.instance),
        (Verdict::Invalid, None, by().build, by().instance)
    );
    scene.pass_ms(500);
    scene.check("two", Verdict::Valid, json!({ "number": 2 }));
    let valid_at = Some(scene.now);
    assert_eq!(evidence(&scene, "two").valid_at, valid_at);
    scene.check("one", Verdict::Valid, json!({ "number": 1 }));
    assert_eq!(scene.asked(), ["check one", "check two"], "they contradict each other");
    scene.pass_ms(500);
    scene.check("two", Verdict::Invalid, json!({}));
    let two = evidence(&scene, "two");
    assert_eq!((two.verdict, two.at, two.valid_at), (Verdict::Invalid, scene.now, valid_at));
}

#[test]
fn a_check_that_nobody_answered_is_evidence_of_nobody() {
    let mut scene = agreeing();
    scene.happen(Happened::Crashed(scene.attempt("two")));
    let two = scene.part("two").evidence.clone().expect("it was asked");
    assert_eq!((two.verdict, two.build, two.instance), (Verdict::Unknown, None, None));
}

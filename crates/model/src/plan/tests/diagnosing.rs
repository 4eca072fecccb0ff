//! Diagnosing: a dataset under its lease, asked about and held against what it was at hand-over.

use super::*;
use crate::diagnosis::{Conclusion, Diagnosis, PartState, diagnose};
use crate::recheck::{Offline, Why};

const AGREEING: &str = r#"
scenario: a/agreeing
owner: { team: A }
steps:
  one: { uses: a/one, with: {} }
  two: { uses: b/two, with: { of: "${{ steps.one.id }}" } }
  bare: { uses: c/bare, with: {} }
invariants:
  - { that: facts.one.number == facts.two.number, says: both know the same number }
output: {}
"#;

fn name(text: &str) -> ContractName {
    text.parse().expect("a name")
}

/// Made, valid, and leased.
fn leased() -> Scene {
    let facts = json!({ "properties": { "number": { "type": "integer" }, "seen": { "x-volatile": true } } });
    let mut landscape = Landscape::default();
    landscape.add(capability("b/two", ALL, json!({ "facts": facts })));
    let landscape = landscape.capability("a/one", ALL).capability("c/bare", MAKE).scenario(AGREEING);
    let mut scene = Scene::begin(landscape, "a/agreeing", json!({}));
    for step in ["bare", "one", "two"] {
        scene.produce(step);
    }
    scene.check("one", Verdict::Valid, json!({ "number": 1, "open": true }));
    scene.check("two", Verdict::Valid, json!({ "number": 1, "seen": 7 }));
    assert_eq!(scene.ended_as(), ["ready"]);
    scene.tree.parts[0].status = PartStatus::Leased;
    scene.pass_ms(60_000);
    scene
}

/// The same, with everybody being asked.
fn asked() -> Scene {
    let mut scene = leased();
    scene.ask(Vec::new());
    assert_eq!(scene.asked(), ["check one", "check two"]);
    scene
}

impl Scene {
    fn ask(&mut self, offline: Vec<Offline>) {
        self.happen(Happened::Recheck {
            why: Why::Diagnosis,
            allow_ms: 2_000,
            strict: true,
            at_once: false,
            offline,
        });
    }

    fn say(&mut self, steps: &str, verdict: Verdict, message: &str) {
        self.answer(steps, Answer::Checked { verdict, facts: None, message: Some(message.to_owned()) });
    }

    fn diagnosed(&self) -> Diagnosis {
        assert_eq!((self.tree.recheck, self.status("")), (None, PartStatus::Leased));
        let begun_at = start().checked_add(SignedDuration::from_mins(1)).expect("within range");
        diagnose(&self.tree, begun_at, World { versions: &self.landscape, now: self.now, chance: 0.5 })
    }
}

/// How `one`, `bare` and `two` stand.
fn states(diagnosis: &Diagnosis) -> [PartState; 3] {
    [0, 1, 2].map(|at| diagnosis.parts[at].state)
}

#[test]
fn what_is_as_it_was_is_still_valid_whatever_is_volatile() {
    let mut scene = asked();
    scene.check("one", Verdict::Valid, json!({ "number": 1, "open": true }));
    scene.check("two", Verdict::Valid, json!({ "number": 1, "seen": 8 }));
    let diagnosis = scene.diagnosed();
    assert_eq!(diagnosis.conclusion, Conclusion::StillValid);
    assert_eq!(states(&diagnosis), [PartState::Same, PartState::Unchecked, PartState::Same]);
    assert!(diagnosis.message.contains("2 of 3 parts were asked about"), "{}", diagnosis.message);
    assert_eq!((diagnosis.differences.len(), diagnosis.invariants[0].broken.as_ref()), (0, None));
    let two = &diagnosis.parts[2];
    assert_eq!(two.then.facts.as_deref(), Some(&json!({ "number": 1, "seen": 7 })));
    assert_eq!(two.now.facts.as_deref(), Some(&json!({ "number": 1, "seen": 8 })));
    let at = |known: &crate::tree::Handed| known.evidence.as_ref().expect("asked").at;
    assert!(at(&two.then) < at(&two.now));
}

#[test]
fn everybody_is_heard_and_the_part_that_was_made_first_is_named() {
    let mut scene = asked();
    scene.say("two", Verdict::Invalid, "the account is closed");
    assert_eq!(scene.asked(), ["check one"], "the other one is waited for");
    scene.pass_ms(500);
    scene.say("one", Verdict::Invalid, "the customer is blocked");
    let diagnosis = scene.diagnosed();
    let first = scene.at("one");
    assert_eq!(diagnosis.conclusion, Conclusion::Changed { first });
    assert_eq!(
        diagnosis.message,
        "changed under your lease: `a` says that one › a/one@1 does not hold any more: the customer is blocked; noticed \
         at 2026-01-01T00:01:00Z",
    );
    assert_eq!(states(&diagnosis), [PartState::Changed, PartState::Unchecked, PartState::Changed]);
}

#[test]
fn other_facts_are_a_change_although_the_part_is_valid_and_values_are_not_in_the_message() {
    let mut scene = asked();
    scene.check("one", Verdict::Valid, json!({ "number": 1, "open": false }));
    scene.check("two", Verdict::Valid, json!({ "number": 1 }));
    let diagnosis = scene.diagnosed();
    assert_eq!(diagnosis.conclusion, Conclusion::Changed { first: scene.at("one") });
    assert!(diagnosis.message.contains("holds and reads back other facts (/open)"), "{}", diagnosis.message);
    assert!(!diagnosis.message.contains("false"));
    let places: Vec<_> =
        diagnosis.differences.iter().map(|it| (it.path.as_str(), it.pointer.as_str())).collect();
    assert_eq!(places, [("one", "/open")]);
}

#[test]
fn an_invariant_that_is_broken_by_facts_that_changed_is_told_beside_them() {
    let mut scene = asked();
    scene.check("one", Verdict::Valid, json!({ "number": 1, "open": true }));
    scene.check("two", Verdict::Valid, json!({ "number": 2, "seen": 7 }));
    let diagnosis = scene.diagnosed();
    assert_eq!(diagnosis.conclusion, Conclusion::Changed { first: scene.at("two") });
    let broken = diagnosis.invariants[0].broken.as_deref().expect("they are different");
    assert!(broken.contains("both know the same number"), "{broken}");
}

#[test]
fn who_cannot_tell_who_is_away_and_who_is_silent_is_named_as_a_check_that_fails() {
    let mut scene = asked();
    scene.say("one", Verdict::Unknown, "the database is away");
    scene.check("two", Verdict::Valid, json!({ "number": 1 }));
    let diagnosis = scene.diagnosed();
    assert_eq!(diagnosis.conclusion, Conclusion::CheckFailed { first: Some(scene.at("one")) });
    assert_eq!(diagnosis.message, "the check itself fails: one › a/one@1: the database is away");
    assert_eq!(diagnosis.parts[0].now.facts, None, "nobody knows them now");

    let mut scene = leased();
    let since = Some(start());
    scene.ask(vec![Offline { contract: name("b/two"), since }]);
    scene.check("one", Verdict::Valid, json!({ "number": 1, "open": true }));
    let message = scene.diagnosed().message;
    assert!(message.contains("no supplier of b/two has been connected since 2026-01-01"), "{message}");

    let mut scene = asked();
    scene.check("one", Verdict::Valid, json!({ "number": 1, "open": true }));
    scene.due();
    let diagnosis = scene.diagnosed();
    assert_eq!(diagnosis.message, "the check itself fails: two › b/two@1: b/two did not answer in time");
}

#[test]
fn what_has_changed_is_told_also_when_somebody_else_is_silent() {
    let mut scene = asked();
    scene.say("two", Verdict::Invalid, "closed");
    scene.due();
    let diagnosis = scene.diagnosed();
    assert_eq!(diagnosis.conclusion, Conclusion::Changed { first: scene.at("two") });
    assert_eq!(states(&diagnosis), [PartState::Failed, PartState::Unchecked, PartState::Changed]);
    let told = scene.told_path("dataset.drifted");
    assert_eq!(told, Some("two"));
}

#[test]
fn facts_that_break_their_schema_are_no_answer() {
    let mut scene = asked();
    scene.check("one", Verdict::Valid, json!({ "number": 1, "open": true }));
    scene.check("two", Verdict::Valid, json!({ "number": "nope" }));
    let diagnosis = scene.diagnosed();
    assert_eq!(diagnosis.conclusion, Conclusion::CheckFailed { first: Some(scene.at("two")) });
    assert!(diagnosis.message.contains("the facts do not satisfy their schema"), "{}", diagnosis.message);
    assert_eq!(states(&diagnosis), [PartState::Same, PartState::Unchecked, PartState::Failed]);
}

#[test]
fn what_nobody_can_be_asked_about_is_not_called_valid() {
    let landscape = Landscape::default().capability("c/bare", MAKE);
    let mut scene = Scene::begin(landscape, "c/bare", json!({}));
    scene.produce("");
    scene.tree.parts[0].status = PartStatus::Leased;
    scene.ask(Vec::new());
    let diagnosis = scene.diagnosed();
    assert_eq!(diagnosis.conclusion, Conclusion::CheckFailed { first: None });
    assert!(diagnosis.message.contains("none of the parts (1) has a check"), "{}", diagnosis.message);
}

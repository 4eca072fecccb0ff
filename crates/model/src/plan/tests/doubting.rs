//! Doubting: what a dataset in stock comes to when the capability that calls it invalid is not believed.

use super::*;
use crate::ids::LineId;
use crate::recheck::Why;

/// Made, valid, in stock, and asked about for this reason.
fn asked(why: Why) -> Scene {
    let scenario = r#"
scenario: a/agreeing
owner: { team: A }
steps:
  one: { uses: a/one, with: {} }
  two: { uses: b/two, with: { of: "${{ steps.one.id }}" } }
invariants:
  - { that: facts.one.number == facts.two.number, says: both know the same number }
output: {}
"#;
    let landscape = Landscape::default().capability("a/one", ALL).capability("b/two", ALL).scenario(scenario);
    let mut scene = Scene::begin(landscape, "a/agreeing", json!({}));
    for step in ["one", "two"] {
        scene.produce(step);
    }
    for step in ["one", "two"] {
        scene.check(step, Verdict::Valid, json!({ "number": 1 }));
    }
    scene.tree.line = Some(LineId(1));
    scene.tree.parts[0].status = match why {
        Why::HandOver | Why::Suspect => PartStatus::Suspect,
        Why::Patrol => PartStatus::Ready,
        Why::Retry => PartStatus::Quarantined,
        Why::Return | Why::Diagnosis => PartStatus::Leased,
    };
    scene.pass_ms(60_000);
    scene.happen(match why {
        Why::Return => Happened::LeaseEnded { keep: true },
        _ => Happened::Recheck { why, allow_ms: 2_000, strict: false, at_once: false, offline: Vec::new() },
    });
    assert_eq!(scene.asked(), ["check one", "check two"]);
    scene
}

impl Scene {
    /// What is decided when a part is called this, while capabilities are doubted.
    fn decided(&self, steps: &str, verdict: Verdict, facts: Option<Value>, doubted: &[&str]) -> Change {
        let answer = Answer::Checked { verdict, facts, message: Some("no such table".to_owned()) };
        let session = SessionId(Uuid::from_u128(1));
        let happened = Happened::Answered { attempt: self.attempt(steps), session, by: by(), answer };
        let doubted = doubted.iter().map(|name| name.parse().expect("a name")).collect();
        let known = FoundOut { doubted, ..FoundOut::default() };
        decide_knowing(
            &self.tree,
            happened,
            known,
            World { versions: &self.landscape, now: self.now, chance: 0.5 },
        )
    }
}

fn said(change: &Change) -> Vec<(String, bool)> {
    change.said.iter().map(|said| (said.contract.to_string(), said.holds)).collect()
}

#[test]
fn what_leaves_stock_upon_one_word_says_upon_whose() {
    for why in [Why::Patrol, Why::HandOver] {
        let change = asked(why).decided("two", Verdict::Invalid, None, &["a/one"]);
        assert!(matches!(change.outcome, Some(Outcome::Quarantined(_))), "{:?}", change.outcome);
        assert_eq!(change.upon.as_ref().map(ToString::to_string).as_deref(), Some("b/two"), "{why:?}");
        assert_eq!(said(&change), [("b/two".to_owned(), false)]);
    }
    let change = asked(Why::Suspect).decided("one", Verdict::Invalid, None, &[]);
    assert!(change.upon.is_some() && change.tree.ending.is_some());
}

#[test]
fn what_is_called_invalid_by_who_is_doubted_stays_and_is_asked_about_before_anybody_gets_it() {
    for why in [Why::Patrol, Why::HandOver] {
        let scene = asked(why);
        let change = scene.decided("two", Verdict::Invalid, None, &["b/two"]);
        let Some(Outcome::HeldBack(readiness)) = &change.outcome else { panic!("{:?}", change.outcome) };
        assert_eq!((readiness.fresh_until, &change.upon), (Timestamp::MIN, &None), "{why:?}");
        let root = change.tree.root();
        assert_eq!((root.status, root.set_aside, change.tree.recheck), (PartStatus::Ready, None, None));
        let evidence = |at: &str| change.tree.parts[scene.at(at) as usize].evidence.clone().expect("asked");
        assert_eq!((evidence("two").verdict, evidence("two").valid_at), (Verdict::Invalid, None));
        assert!(evidence("one").valid_at.is_some(), "nobody has called that invalid");
        assert_eq!(said(&change), [("b/two".to_owned(), false)]);
        assert!(change.events.iter().any(|event| event.kind == "dataset.held_back"));
    }
    let change = asked(Why::Suspect).decided("two", Verdict::Invalid, None, &["b/two"]);
    assert_eq!((change.tree.root().status, change.outcome), (PartStatus::Suspect, None));
}

#[test]
fn an_invariant_that_is_broken_is_nobodys_word() {
    let mut scene = asked(Why::Patrol);
    scene.check("one", Verdict::Valid, json!({ "number": 1 }));
    let change = scene.decided("two", Verdict::Valid, Some(json!({ "number": 2 })), &["a/one", "b/two"]);
    assert!(matches!(change.outcome, Some(Outcome::Quarantined(_))), "{:?}", change.outcome);
    assert_eq!((change.upon.as_ref(), said(&change)), (None, vec![("b/two".to_owned(), true)]));
}

#[test]
fn what_is_said_about_leased_data_and_what_comes_back_tells_nothing_and_what_nobody_can_tell_neither() {
    for why in [Why::Diagnosis, Why::Return] {
        let change = asked(why).decided("one", Verdict::Invalid, None, &["a/one"]);
        assert_eq!((said(&change), change.upon), (Vec::new(), None), "{why:?}");
    }
    let change = asked(Why::Patrol).decided("one", Verdict::Unknown, None, &[]);
    assert_eq!(said(&change), []);
    // Neither does who answers with facts that it does not declare.
    let mut scene = Scene::begin(
        {
            let mut landscape = Landscape::default();
            let facts = json!({ "properties": { "number": { "type": "integer" } } });
            landscape.add(capability("a/one", ALL, json!({ "facts": facts })));
            landscape
        },
        "a/one",
        json!({}),
    );
    scene.produce("");
    scene.check("", Verdict::Valid, json!({ "number": 1 }));
    scene.tree.line = Some(LineId(1));
    let why = Why::Patrol;
    scene.happen(Happened::Recheck {
        why,
        allow_ms: 2_000,
        strict: false,
        at_once: false,
        offline: Vec::new(),
    });
    for verdict in [Verdict::Valid, Verdict::Invalid] {
        let change = scene.decided("", verdict, Some(json!({ "number": "nope" })), &[]);
        assert_eq!((said(&change), change.outcome.is_none()), (Vec::new(), true), "{verdict:?}");
    }
    let mut fresh = asked(Why::Patrol);
    fresh.tree.line = None;
    assert_eq!(said(&fresh.decided("one", Verdict::Valid, None, &[])), [], "it is not there for stock");
}

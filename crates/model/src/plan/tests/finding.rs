//! Finding: what was there before is taken when it is nobody's, and is never undone.

use super::*;
use crate::find::{Origin, WhyGivenUp};
use crate::limits::FIND_ASKS;

const FIND: &[&str] = &["produce", "check", "undo", "find"];
const UNCHECKED: &[&str] = &["produce", "undo", "find"];

fn looked_for(operations: &[&str]) -> Scene {
    begun(operations, Beginning::Find)
}

fn imported(operations: &[&str]) -> Scene {
    begun(operations, Beginning::Import(Arc::new(json!({ "id": "c-1" }))))
}

fn begun(operations: &[&str], beginning: Beginning) -> Scene {
    let landscape = Landscape::default()
        .capability("customer/active", operations)
        .capability("order/prepared", MAKE_AND_UNDO);
    let new = NewTree { beginning, ..new_tree(&landscape, "customer/active", json!({})) };
    Scene::begin_with(landscape, new)
}

fn answer(id: &str) -> Answer {
    Answer::Produced { output: json!({ "id": id }), facts: None }
}

fn customer(key: &str) -> Entity {
    Entity { kind: "customer".to_owned(), key: key.to_owned() }
}

/// An answer to the open task of the root, and what it changes beside what others own.
fn answered_beside(scene: &Scene, answer: Answer, held: Vec<HeldEntity>) -> Change {
    let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
    let session = SessionId(Uuid::nil());
    let happened =
        Happened::Answered { attempt: scene.attempt(""), session, by: Answerer::default(), answer };
    decide_knowing(&scene.tree, happened, FoundOut { held, ..FoundOut::default() }, world)
}

fn held(key: &str) -> Vec<HeldEntity> {
    vec![HeldEntity { part: 0, entity: customer(key), by: EntityOwner::Dataset(TreeId(Uuid::nil())) }]
}

fn leased(scene: &mut Scene) {
    let root = &mut scene.tree.parts[0];
    assert_eq!(root.status, PartStatus::Ready);
    root.status = PartStatus::Leased;
    scene.tree.lease = Some(crate::ids::LeaseId(Uuid::nil()));
}

fn told(scene: &Scene) -> Vec<&str> {
    scene.events.iter().map(|event| &*event.kind).filter(|kind| kind.starts_with("dataset.")).collect()
}

#[test]
fn what_was_found_is_checked_leased_and_gone_without_an_undo() {
    let mut scene = looked_for(FIND);
    assert_eq!(scene.asked(), ["find"]);
    let change = answered_beside(&scene, answer("c-1"), Vec::new());
    assert_eq!(change.found, Some(vec![(0, customer("c-1"))]), "it is nobody else's from now on");
    assert_eq!(change.entities, [(0, customer("c-1"))]);
    scene.take(change);
    assert_eq!((scene.part("").origin, scene.status("")), (Origin::Found, PartStatus::Checking));
    assert_eq!(scene.asked(), ["check"]);
    scene.check("", Verdict::Valid, json!({}));
    assert_eq!(scene.ended_as(), ["ready"]);
    leased(&mut scene);
    let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
    let change = decide(&scene.tree, Happened::LeaseEnded { keep: false }, world);
    assert_eq!(change.found, Some(Vec::new()), "it is free again");
    scene.take(change);
    assert_eq!((scene.asked(), scene.status("")), (vec![], PartStatus::Gone));
    assert_eq!(told(&scene)[1..], ["dataset.found", "dataset.ready", "dataset.released", "dataset.gone"]);
}

#[test]
fn a_capability_without_a_check_hands_over_what_was_found_at_once() {
    let scene = looked_for(UNCHECKED);
    let change = answered_beside(&scene, answer("c-1"), Vec::new());
    assert!(matches!(change.outcome, Some(Outcome::Ready(_))), "{:?}", change.outcome);
    assert_eq!((change.found, change.owns), (Some(vec![(0, customer("c-1"))]), vec![(0, customer("c-1"))]));
}

#[test]
fn what_is_somebody_elses_is_asked_for_again_without_it_and_then_made() {
    let mut scene = looked_for(FIND);
    for ask in 1..=FIND_ASKS {
        assert_eq!((scene.asked(), scene.part("").finds()), (vec!["find".to_owned()], ask));
        let id = format!("c-{ask}");
        let change = answered_beside(&scene, answer(&id), held(&id));
        assert_eq!(change.found, None, "nothing of it is taken");
        scene.take(change);
    }
    assert_eq!(scene.asked(), ["produce"]);
    let search = scene.part("").search.clone().unwrap();
    assert_eq!(search.refused, [customer("c-1"), customer("c-2"), customer("c-3")]);
    let given_up = search.given_up.unwrap();
    assert_eq!(given_up.why, WhyGivenUp::Refused);
    assert!(given_up.message.contains("`customer:c-3` is owned by ds_"), "{}", given_up.message);
    scene.answer("", answer("new"));
    scene.check("", Verdict::Valid, json!({}));
    leased(&mut scene);
    scene.happen(Happened::LeaseEnded { keep: false });
    assert_eq!(scene.asked(), ["undo"], "what was made after all is undone as ever");
}

#[test]
fn an_answer_that_was_excluded_is_refused_although_nobody_owns_it_any_more() {
    let mut scene = looked_for(FIND);
    let change = answered_beside(&scene, answer("c-1"), held("c-1"));
    scene.take(change);
    scene.answer("", answer("c-1"));
    assert_eq!((scene.asked(), scene.part("").finds()), (vec!["find".to_owned()], 3));
}

#[test]
fn nothing_that_fits_and_a_find_that_fails_for_good_have_it_made() {
    let nothing = || Answer::Nothing { message: Some("none in FR".to_owned()) };
    for (answers, why, message) in [
        (vec![nothing()], WhyGivenUp::Nothing, "none in FR"),
        (vec![no(false)], WhyGivenUp::Failed, "the domain says no"),
        (vec![no(true), no(true), no(true)], WhyGivenUp::Failed, "the domain says no"),
        (vec![no(true), nothing()], WhyGivenUp::Nothing, "none in FR"),
        (
            vec![Answer::Produced { output: json!({ "id": 7 }), facts: None }],
            WhyGivenUp::ContractViolation,
            "the output does not satisfy its schema",
        ),
        (vec![Answer::Undone], WhyGivenUp::ContractViolation, "no answer to it"),
    ] {
        let mut scene = looked_for(FIND);
        for answer in answers {
            assert_eq!(scene.asked(), ["find"], "{why:?}");
            scene.answer("", answer);
        }
        assert_eq!(scene.asked(), ["produce"], "{why:?}");
        let given_up = scene.part("").search.as_ref().unwrap().given_up.clone().unwrap();
        assert_eq!(given_up.why, why);
        assert!(given_up.message.contains(message), "{}", given_up.message);
        let event = scene.events.iter().find(|event| event.kind == "dataset.not_found").unwrap();
        assert_eq!(event.data["code"], why.name());
        assert!(!scene.part("").effect_possible, "looking has made nothing");
    }
}

#[test]
fn what_was_found_and_does_not_hold_is_left_and_something_else_is_looked_for() {
    let mut scene = looked_for(FIND);
    scene.answer("", answer("c-1"));
    let gone_bad = |scene: &mut Scene| {
        while scene.asked() == ["check"] {
            scene.pass_ms(11_000);
            scene.check("", Verdict::Invalid, json!({}));
        }
    };
    gone_bad(&mut scene);
    assert_eq!(scene.asked(), ["find"]);
    let root = scene.part("");
    assert_eq!((root.origin, root.made, &root.output), (Origin::Made, None, &None));
    assert_eq!(root.search.as_ref().unwrap().refused, [customer("c-1")]);
    scene.answer("", answer("c-2"));
    scene.check("", Verdict::Valid, json!({}));
    assert_eq!(scene.ended_as(), ["ready"], "nobody heard of the one that did not hold");
}

#[test]
fn one_answer_is_enough_about_what_was_there_before_and_cannot_tell_is_none() {
    let mut scene = looked_for(FIND);
    scene.answer("", answer("c-1"));
    scene.check("", Verdict::Unknown, json!({}));
    assert_eq!(scene.asked(), ["check"], "it is asked again");
    scene.check("", Verdict::Invalid, json!({}));
    assert_eq!(scene.asked(), ["find"], "it has had its time to settle");
    let mut scene = imported(FIND);
    scene.check("", Verdict::Invalid, json!({}));
    assert_eq!((scene.status(""), scene.asked()), (PartStatus::Failed, vec![]));
}

#[test]
fn what_is_left_is_free_for_others() {
    let mut scene = looked_for(FIND);
    scene.answer("", answer("c-1"));
    scene.pass_ms(11_000);
    let invalid = Answer::Checked { verdict: Verdict::Invalid, facts: None, message: None };
    let change = answered_beside(&scene, invalid, Vec::new());
    assert_eq!(change.found, Some(Vec::new()));
}

#[test]
fn nothing_is_undone_of_a_find_that_nobody_wants_any_more() {
    let claimed = |mut scene: Scene, answer: Option<Answer>| {
        scene.happen(Happened::Unwanted);
        let attempt = Attempt { part: 0, serial: 1, number: 1 };
        let happened = match answer {
            Some(answer) => Happened::Answered { attempt, session: SessionId(Uuid::nil()), by: by(), answer },
            None => Happened::Crashed(attempt),
        };
        scene.happen(happened);
        scene
    };
    for late in [Some(answer("c-1")), Some(no(true)), None] {
        let scene = claimed(looked_for(FIND), late.clone());
        assert_eq!((scene.status(""), scene.asked()), (PartStatus::Gone, vec![]), "{late:?}");
    }
}

#[test]
fn no_late_answer_undoes_what_was_found() {
    let mut scene = looked_for(UNCHECKED);
    scene.answer("", answer("c-1"));
    for output in [Some(json!({ "id": "c-1" })), Some(json!({ "id": "c-2" })), None] {
        scene.happen(Happened::Orphaned { part: 0, output });
    }
    leased(&mut scene);
    scene.happen(Happened::LeaseEnded { keep: false });
    scene.happen(Happened::Orphaned { part: 0, output: Some(json!({ "id": "c-1" })) });
    assert_eq!((scene.status(""), scene.asked()), (PartStatus::Gone, vec![]));
}

#[test]
fn what_extends_a_found_dataset_is_undone_and_the_rest_stays() {
    let mut scene = looked_for(FIND);
    scene.answer("", answer("c-1"));
    scene.check("", Verdict::Valid, json!({}));
    leased(&mut scene);
    let contract = "order/prepared".parse().unwrap();
    let seen = scene.tree.version;
    scene.happen(Happened::Extended { seen, contract, version: 1, input: json!({}) });
    scene.produce("extend_1");
    scene.check("", Verdict::Valid, json!({}));
    let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
    let change = decide(&scene.tree, Happened::LeaseEnded { keep: false }, world);
    assert_eq!(change.found, None, "it is in use as long as something is undone upon it");
    scene.take(change);
    assert_eq!(scene.asked(), ["undo extend_1"]);
    scene.undo("extend_1");
    assert_eq!((scene.status(""), scene.asked()), (PartStatus::Gone, vec![]));
}

#[test]
fn what_was_imported_is_checked_and_never_undone() {
    let mut scene = imported(FIND);
    assert_eq!(scene.asked(), ["check"]);
    assert_eq!((scene.part("").origin, scene.part("").finds()), (Origin::Imported, 0));
    scene.check("", Verdict::Valid, json!({}));
    assert_eq!(scene.ended_as(), ["ready"]);
    scene.happen(Happened::Unwanted);
    assert_eq!((scene.status(""), scene.asked()), (PartStatus::Gone, vec![]));
}

#[test]
fn what_was_imported_and_does_not_hold_fails_and_nothing_is_looked_for() {
    let mut scene = imported(FIND);
    while scene.asked() == ["check"] {
        scene.pass_ms(11_000);
        scene.check("", Verdict::Invalid, json!({}));
    }
    assert_eq!((scene.status(""), scene.asked()), (PartStatus::Failed, vec![]));
    assert_eq!(scene.failure().class, FailureClass::Check);
}

#[test]
fn what_a_find_names_besides_its_input_is_its_own() {
    let settings = json!({
        "input": { "type": "object", "properties": { "of": { "type": "string", "x-entity": "customer" } } },
        "output": { "type": "object", "properties": {
            "id": { "type": "string", "x-entity": "account" }, "of": { "type": "string", "x-entity": "customer" },
        } },
    });
    let mut landscape = Landscape::default();
    landscape.add(capability("billing/account", FIND, settings));
    let new = new_tree(&landscape, "billing/account", json!({ "of": "c-1" }));
    let scene = Scene::begin_with(landscape, NewTree { beginning: Beginning::Find, ..new });
    let answered =
        |output: Value| answered_beside(&scene, Answer::Produced { output, facts: None }, Vec::new());
    let account = Entity { kind: "account".to_owned(), key: "a-1".to_owned() };
    assert_eq!(answered(json!({ "id": "a-1", "of": "c-1" })).found, Some(vec![(0, account)]));
    let change = answered(json!({ "of": "c-1" }));
    let given_up = change.tree.parts[0].search.as_ref().unwrap().given_up.clone().unwrap();
    assert_eq!(given_up.why, WhyGivenUp::ContractViolation, "{}", given_up.message);
}

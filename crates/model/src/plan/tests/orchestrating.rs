//! Orchestrators in code: children by name, the same answer for the same name.

use super::*;

fn wish(name: &str, contract: &str, input: Value) -> Wish {
    Wish { name: name.to_owned(), contract: contract.parse().expect("a name"), input }
}

fn obtain(children: Vec<Wish>) -> Answer {
    Answer::Obtain { children }
}

fn orchestrator() -> Scene {
    let landscape = shop(MAKE_AND_UNDO).capability("qa/pair", MAKE_AND_UNDO);
    Scene::begin(landscape, "qa/pair", json!({}))
}

#[test]
fn it_is_called_again_once_its_children_are_there() {
    let mut scene = orchestrator();
    let first = wish("first", "customer/active-customer", json!({ "n": 1 }));
    scene.answer("", obtain(vec![first.clone()]));
    assert_eq!(scene.asked(), ["produce first"]);
    scene.produce("first");
    assert_eq!(scene.asked(), ["produce"]);
    // It asks from the start each time it is called: what is there is not made again.
    scene.answer("", obtain(vec![first, wish("second", "customer/active-customer", json!({ "n": 2 }))]));
    assert_eq!(scene.asked(), ["produce second"]);
    scene.produce("second");
    scene.produce("");
    assert_eq!(scene.ended_as(), ["ready"]);
    assert_eq!(scene.paths(), ["", "first", "second"]);
}

#[test]
fn another_input_under_the_same_name_is_refused() {
    let mut scene = orchestrator();
    scene.answer("", obtain(vec![wish("first", "customer/active-customer", json!({ "n": 1 }))]));
    scene.produce("first");
    scene.answer("", obtain(vec![wish("first", "customer/active-customer", json!({ "n": 2 }))]));
    assert_eq!(scene.failure().class, FailureClass::Orchestration);
    assert_eq!(scene.failure().code.as_deref(), Some("child_changed"));
    // It may have begun something of its own before it asked.
    assert_eq!(scene.asked(), ["undo"]);
    scene.undo("");
    assert_eq!(scene.asked(), ["undo first"]);
}

#[test]
fn a_child_that_nobody_offers_is_refused_by_name() {
    let mut scene = orchestrator();
    scene.answer("", obtain(vec![wish("first", "nobody/knows", json!({}))]));
    assert_eq!(scene.failure().code.as_deref(), Some("unknown_contract"));
    assert!(scene.failure().message.contains("nobody/knows"));
}

#[test]
fn a_failed_child_is_blamed_itself() {
    let mut scene = orchestrator();
    scene.answer("", obtain(vec![wish("shop", "checkout/ready-customer", json!({}))]));
    scene.fail("shop › customer", false);
    assert_eq!(scene.failure().path, "shop › customer › customer/active-customer@1");
    scene.undo("");
    assert_eq!(scene.status(""), PartStatus::Failed);
}

#[test]
fn an_orchestrator_that_goes_ever_deeper_is_stopped() {
    let landscape = Landscape::default().capability("qa/deep", MAKE);
    let mut scene = Scene::begin(landscape, "qa/deep", json!({}));
    let mut at = String::new();
    while scene.outcomes.is_empty() {
        scene.answer(&at, obtain(vec![wish("down", "qa/deep", json!({}))]));
        at = if at.is_empty() { "down".to_owned() } else { format!("{at} › down") };
        assert!(at.len() < 200, "never stopped");
    }
    assert_eq!(scene.failure().code.as_deref(), Some("too_deep"));
}

#[test]
fn asking_again_only_for_what_is_there_is_stopped() {
    let mut scene = orchestrator();
    let first = wish("first", "customer/active-customer", json!({}));
    scene.answer("", obtain(vec![first.clone()]));
    scene.produce("first");
    scene.answer("", obtain(vec![first]));
    assert_eq!(scene.failure().code.as_deref(), Some("nothing_new"));
}

#[test]
fn children_are_undone_although_their_orchestrator_cannot_be() {
    let mut scene = orchestrator();
    scene.answer("", obtain(vec![wish("first", "customer/active-customer", json!({}))]));
    scene.produce("first");
    scene.produce("");
    scene.happen(Happened::LeaseEnded { keep: false });
    assert_eq!(scene.asked(), ["undo"]);
    scene.fail("", false);
    assert_eq!(scene.status(""), PartStatus::Debt);
    assert_eq!(scene.asked(), ["undo first"]);
    scene.undo("first");
    assert_eq!(scene.status("first"), PartStatus::Gone);
    assert_eq!(scene.status(""), PartStatus::Debt);
}

#[test]
fn children_and_orchestrator_that_cannot_be_undone_are_told_as_owing_once() {
    let mut scene = orchestrator();
    scene.answer("", obtain(vec![wish("first", "customer/active-customer", json!({}))]));
    scene.produce("first");
    scene.produce("");
    scene.happen(Happened::LeaseEnded { keep: false });
    scene.fail("", false);
    scene.fail("first", false);
    let told = |kind: &str| scene.events.iter().filter(|event| event.kind == kind).count();
    assert_eq!((told("dataset.debt"), told("dataset.owing")), (2, 1));
    assert_eq!(scene.ended_as(), ["ready", "ended"]);
}

#[test]
fn children_and_orchestrator_owe_each_for_itself_until_the_last_is_resolved() {
    for sequence in [["first", ""], ["", "first"]] {
        let mut scene = orchestrator();
        scene.answer("", obtain(vec![wish("first", "customer/active-customer", json!({}))]));
        scene.produce("first");
        scene.produce("");
        scene.happen(Happened::LeaseEnded { keep: false });
        scene.fail("", false);
        scene.fail("first", false);
        for (path, status) in sequence.into_iter().zip([PartStatus::Debt, PartStatus::Gone]) {
            let part = scene.part(path).part;
            let (by, reason) = ("ada".to_owned(), "by hand".to_owned());
            scene.happen(Happened::DebtResolved { part, by, reason });
            assert_eq!(scene.status(""), status, "{sequence:?}");
            assert!(!scene.part(path).owes() && scene.part(path).resolved.is_some());
        }
        let told = |kind: &str| scene.events.iter().filter(|event| event.kind == kind).count();
        assert_eq!((told("dataset.debt_resolved"), told("dataset.gone")), (2, 1), "{sequence:?}");
    }
}

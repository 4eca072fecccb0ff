//! Extending: a leased dataset is advanced by one more part, and stays as it was when that comes to nothing.

use super::*;
use crate::extension::{Extension, NotExtended, extension_input};
use crate::ids::LeaseId;
use crate::limits::EXTENSIONS;
use crate::recheck::Why;

/// A dataset as the store leases it.
pub(super) fn lease(scene: &mut Scene) {
    scene.tree.version += 1;
    scene.tree.lease = Some(LeaseId(Uuid::nil()));
    scene.tree.parts[0].status = PartStatus::Leased;
}

pub(super) fn extend(scene: &mut Scene, contract: &str, input: Value) {
    let name: ContractName = contract.parse().expect("a name");
    let version = scene.landscape.current(&name).expect("the contract is there").version;
    scene.happen(Happened::Extended { seen: scene.tree.version, contract: name, version, input });
}

/// A ready customer in somebody's hands, with one more capability that advances the order.
fn leased(operations: &[&str]) -> Scene {
    let landscape = shop(operations).capability("order/paid-order", operations).scenario(SHIPPED);
    let mut scene = Scene::begin(landscape, "checkout/ready-customer", json!({}));
    for steps in ["customer", "payment", "address", "order"] {
        scene.produce(steps);
    }
    for steps in ["customer", "payment", "address", "order"] {
        if scene.open.contains_key(&scene.at(steps)) {
            scene.check(steps, Verdict::Valid, json!({}));
        }
    }
    assert_eq!(scene.ended_as(), ["ready"]);
    lease(&mut scene);
    scene.outcomes.clear();
    scene
}

const SHIPPED: &str = r#"
scenario: delivery/shipped
owner: { team: Delivery }
steps:
  paid:   { uses: order/paid-order, with: {} }
  parcel: { uses: delivery/serviceable-address, with: { of: "${{ steps.paid.id }}" } }
output: { id: "${{ steps.parcel.id }}" }
"#;

fn kinds(scene: &Scene) -> Vec<&str> {
    let told = scene.events.iter().map(|event| event.kind.as_ref());
    told.filter(|kind| kind.contains("exten")).collect()
}

#[test]
fn an_extension_joins_the_tree_is_checked_with_the_rest_and_undone_with_it() {
    let mut scene = leased(ALL);
    extend(&mut scene, "order/paid-order", json!({ "customer_id": "customer" }));
    assert_eq!(scene.asked(), ["produce extend_1"]);
    let part = scene.part("extend_1");
    assert_eq!((part.parent, part.extension.clone()), (Some(0), Some(Extension::UnderWay)));
    assert_eq!(scene.tree.pins.get(&part.contract), Some(&1), "its version is pinned");
    // The same order, advanced: the new part speaks for the earlier one.
    scene.answer("extend_1", Answer::Produced { output: json!({ "id": "order" }), facts: None });
    assert_eq!(scene.asked(), ["check customer", "check payment", "check address", "check extend_1"]);
    assert_eq!((scene.status(""), scene.status("extend_1")), (PartStatus::Leased, PartStatus::Checking));
    for steps in ["customer", "payment", "address"] {
        scene.check(steps, Verdict::Valid, json!({ "seen": steps }));
    }
    assert_eq!(scene.ended_as(), [""; 0]);
    scene.check("extend_1", Verdict::Valid, json!({}));
    assert_eq!(scene.ended_as(), ["extended"]);
    assert_eq!(scene.part("extend_1").extension, Some(Extension::Ready));
    assert_eq!((scene.status(""), scene.status("extend_1")), (PartStatus::Leased, PartStatus::Ready));
    assert_eq!(scene.tree.root().output, leased(ALL).tree.root().output, "what was handed over stays");
    assert!(scene.tree.parts.iter().all(|part| part.handed.is_none()), "what is known now was handed over");
    assert_eq!(kinds(&scene), ["dataset.extending", "dataset.extended"]);
    scene.happen(Happened::LeaseEnded { keep: false });
    for steps in ["extend_1", "order", "address", "payment", "customer"] {
        assert_eq!(scene.asked(), [format!("undo {steps}")]);
        scene.undo(steps);
    }
    assert_eq!(scene.status(""), PartStatus::Gone);
}

#[test]
fn an_extension_by_a_scenario_has_parts_of_its_own() {
    let mut scene = leased(ALL);
    extend(&mut scene, "delivery/shipped", json!({}));
    scene.produce("extend_1 › paid");
    scene.produce("extend_1 › parcel");
    assert_eq!(scene.asked().len(), 6, "{:?}", scene.asked());
    for steps in ["customer", "payment", "address", "order", "extend_1 › paid", "extend_1 › parcel"] {
        scene.check(steps, Verdict::Valid, json!({}));
    }
    assert_eq!(scene.ended_as(), ["extended"]);
    assert_eq!(scene.part("extend_1").output.as_deref(), Some(&json!({ "id": "extend_1 › parcel" })));
}

#[test]
fn an_extension_that_fails_is_undone_alone_and_the_rest_stays_leased() {
    let mut scene = leased(ALL);
    let before: Vec<PartStatus> = scene.tree.parts.iter().map(|part| part.status).collect();
    extend(&mut scene, "delivery/shipped", json!({}));
    scene.produce("extend_1 › paid");
    scene.fail("extend_1 › parcel", false);
    assert_eq!(scene.ended_as(), [""; 0], "it means nothing for the request");
    assert_eq!(scene.asked(), ["undo extend_1 › paid"]);
    let Some(Extension::Failed(failure)) = &scene.part("extend_1").extension else { panic!("it failed") };
    assert_eq!(failure.path, "extend_1 › parcel › delivery/serviceable-address@1");
    assert_eq!(scene.tree.may_be_extended(), Ok(()), "another one may follow at once");
    scene.undo("extend_1 › paid");
    assert_eq!(
        ["extend_1 › parcel", "extend_1 › paid", "extend_1"].map(|steps| scene.status(steps)),
        [PartStatus::Failed, PartStatus::Gone, PartStatus::Gone]
    );
    let after: Vec<PartStatus> = scene.tree.parts.iter().map(|part| part.status).collect();
    assert_eq!(after[..before.len()], before);
    assert_eq!(kinds(&scene), ["dataset.extending", "dataset.not_extended"]);
    extend(&mut scene, "order/paid-order", json!({}));
    scene.produce("extend_2");
    assert_eq!(scene.asked().len(), 5, "what is undone is not asked about: {:?}", scene.asked());
}

#[test]
fn what_was_there_before_and_does_not_agree_any_more_fails_the_extension_only() {
    let mut scene = leased(ALL);
    extend(&mut scene, "order/paid-order", json!({}));
    scene.produce("extend_1");
    for steps in ["customer", "address", "order", "extend_1"] {
        scene.check(steps, Verdict::Valid, json!({}));
    }
    scene.check("payment", Verdict::Invalid, json!({ "status": "CLOSED" }));
    assert_eq!(scene.asked(), ["check payment"], "it may come to agree");
    for _ in 0..40 {
        if scene.part("extend_1").is_failed_extension() {
            break;
        }
        scene.pass_ms(1_000);
        scene.check("payment", Verdict::Invalid, json!({ "status": "CLOSED" }));
    }
    let Some(Extension::Failed(failure)) = &scene.part("extend_1").extension else { panic!("it failed") };
    assert_eq!(
        (failure.class, failure.path.as_str()),
        (FailureClass::Check, "payment › billing/payment-account@1")
    );
    assert_eq!(scene.status("payment"), PartStatus::Ready);
    assert_eq!(scene.part("payment").failure, None, "it is a part of a dataset that is leased");
    assert!(scene.part("payment").handed.is_some(), "what was handed over is known");
    assert_eq!(scene.asked(), ["undo extend_1"]);
    scene.undo("extend_1");
    assert_eq!((scene.status(""), scene.tree.ending), (PartStatus::Leased, None));
}

#[test]
fn checks_that_nobody_wants_any_more_are_taken_back_when_an_extension_fails() {
    let mut scene = leased(ALL);
    extend(&mut scene, "order/paid-order", json!({}));
    scene.produce("extend_1");
    scene.pass_ms(60_000);
    scene.check("extend_1", Verdict::Invalid, json!({}));
    assert_eq!(scene.withdrawn.len(), 4, "{:?}", scene.withdrawn);
    let withdrawn = scene.withdrawn.clone();
    for task in withdrawn {
        scene.happen(Happened::Withdrawn { part: task.part, serial: task.serial });
    }
    assert_eq!(scene.asked(), ["undo extend_1"]);
}

#[test]
fn an_extension_under_way_is_taken_down_with_its_lease() {
    let mut scene = leased(MAKE_AND_UNDO);
    extend(&mut scene, "delivery/shipped", json!({}));
    scene.produce("extend_1 › paid");
    scene.happen(Happened::LeaseEnded { keep: true });
    assert_eq!(scene.withdrawn.len(), 1, "nobody waits for the parcel");
    let parcel = scene.withdrawn[0].clone();
    scene.happen(Happened::Withdrawn { part: parcel.part, serial: parcel.serial });
    assert_eq!(scene.asked(), ["undo extend_1 › paid"]);
    assert_eq!(scene.part("extend_1").extension, Some(Extension::UnderWay), "it came to nothing of its own");
    for steps in ["extend_1 › paid", "order", "address", "payment", "customer"] {
        scene.undo(steps);
    }
    assert_eq!(scene.status(""), PartStatus::Gone);
}

#[test]
fn a_dataset_that_was_extended_never_goes_back_into_stock() {
    for fails in [false, true] {
        let mut scene = leased(MAKE);
        scene.tree.line = Some(crate::ids::LineId(1));
        extend(&mut scene, "order/paid-order", json!({}));
        if fails {
            scene.fail("extend_1", false);
        } else {
            scene.produce("extend_1");
        }
        scene.happen(Happened::LeaseEnded { keep: true });
        assert_eq!(scene.status(""), PartStatus::Gone, "fails: {fails}");
    }
}

#[test]
fn a_dataset_is_extended_by_one_contract_at_a_time_and_only_while_it_is_leased() {
    let mut scene = leased(MAKE);
    let (seen, version) = (scene.tree.version, 1);
    let contract: ContractName = "order/paid-order".parse().unwrap();
    let late = Happened::Extended { seen: seen - 1, contract, version, input: json!({}) };
    scene.happen(late);
    assert_eq!(scene.tree.extensions().count(), 0, "it was looked at as it is not any more");
    for number in 1..=EXTENSIONS {
        assert_eq!(scene.tree.may_be_extended(), Ok(()), "{number}");
        extend(&mut scene, "order/paid-order", json!({}));
        let steps = format!("extend_{number}");
        assert_eq!(scene.tree.may_be_extended(), Err(NotExtended::Extending(scene.at(&steps))));
        extend(&mut scene, "order/paid-order", json!({}));
        assert_eq!(scene.tree.extensions().count(), number);
        scene.produce(&steps);
    }
    assert_eq!(scene.tree.may_be_extended(), Err(NotExtended::TooMany));
    scene.happen(Happened::LeaseEnded { keep: false });
    assert_eq!(scene.tree.may_be_extended(), Err(NotExtended::NotLeased));
}

#[test]
fn a_step_of_the_dataset_keeps_its_name() {
    let scenario = "scenario: shop/odd\nowner: { team: Shop }\nsteps:\n  \
                    extend_1: { uses: a/one, with: {} }\noutput: {}\n";
    let mut scene = Scene::begin(
        Landscape::default().capability("a/one", MAKE).scenario(scenario),
        "shop/odd",
        json!({}),
    );
    scene.produce("extend_1");
    lease(&mut scene);
    extend(&mut scene, "a/one", json!({}));
    assert_eq!(scene.asked(), ["produce extend_2"]);
}

#[test]
fn nobody_is_asked_about_drift_while_a_dataset_is_being_extended() {
    let recheck = || Happened::Recheck {
        why: Why::Diagnosis,
        allow_ms: 1_000,
        strict: true,
        at_once: false,
        offline: Vec::new(),
    };
    let mut scene = leased(ALL);
    scene.happen(recheck());
    assert_eq!(scene.asked().len(), 4);
    extend(&mut scene, "order/paid-order", json!({}));
    assert_eq!((scene.tree.recheck, scene.withdrawn.len()), (None, 4));
    scene.happen(recheck());
    assert_eq!(scene.tree.recheck, None);
    // Whoever had been asked already has answered, and is asked again about what there is now.
    scene.pass_ms(1_000);
    scene.produce("extend_1");
    for steps in ["customer", "payment", "address", "order"] {
        scene.check(steps, Verdict::Valid, json!({}));
    }
    for steps in ["customer", "payment", "address", "order", "extend_1"] {
        scene.check(steps, Verdict::Valid, json!({}));
    }
    assert_eq!(scene.ended_as(), ["extended"]);
}

#[test]
fn an_extension_that_makes_what_somebody_else_owns_fails_and_what_it_was_given_is_not_its_own() {
    let output = json!({ "id": { "type": "string", "x-entity": "order" } });
    let object = json!({ "type": "object", "properties": output });
    let mut landscape = Landscape::default().capability("a/one", MAKE_AND_UNDO);
    landscape.add(capability("order/paid", MAKE_AND_UNDO, json!({ "input": object, "output": object })));
    let mut scene = Scene::begin(landscape, "a/one", json!({}));
    scene.answer("", Answer::Produced { output: json!({ "id": "a-1" }), facts: None });
    lease(&mut scene);
    extend(&mut scene, "order/paid", json!({ "id": "o-1" }));
    let beside = |scene: &Scene, id: &str, key: &str| {
        let by = EntityOwner::Lease { id: LeaseId(Uuid::nil()), holder: "ci 7".to_owned() };
        let held =
            HeldEntity { part: 9, entity: Entity { kind: "order".to_owned(), key: key.to_owned() }, by };
        let happened = Happened::Answered {
            attempt: scene.attempt("extend_1"),
            session: SessionId(Uuid::nil()),
            by: Answerer::default(),
            answer: Answer::Produced { output: json!({ "id": id }), facts: None },
        };
        let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
        decide_knowing(&scene.tree, happened, FoundOut { held: vec![held], ..FoundOut::default() }, world)
    };
    let given = beside(&scene, "o-1", "o-1");
    assert_eq!((given.outcome, given.owns.len()), (Some(Outcome::Extended), 1), "only what the root made");
    let own = beside(&scene, "o-2", "o-3");
    assert_eq!((own.outcome, own.owns.len()), (Some(Outcome::Extended), 2));
    let held = beside(&scene, "o-2", "o-2");
    assert_eq!(held.outcome, None);
    scene.take(held);
    let Some(Extension::Failed(failure)) = &scene.part("extend_1").extension else { panic!("it failed") };
    assert_eq!(failure.code.as_deref(), Some("entity_held"));
    assert_eq!((scene.asked(), scene.part("extend_1").to_undo()), (vec!["undo extend_1".to_owned()], None));
}

#[test]
fn the_input_of_an_extension_comes_from_the_caller_then_the_dataset_then_defaults() {
    let contract =
        |input: Value, output: Value| capability("a/one", MAKE, json!({ "input": input, "output": output }));
    let object =
        |properties: Value| json!({ "type": "object", "properties": properties, "required": ["id"] });
    let root = contract(
        json!(true),
        json!({ "properties": { "card": { "x-secret": true }, "pin": { "x-secret": true } } }),
    );
    let output =
        json!({ "id": "c-1", "lines": "many", "country": "FR", "card": "4711", "pin": "1", "more": 1 });
    let next = contract(
        object(json!({
            "id": { "type": "string" },
            "lines": { "type": "integer", "default": 2 },
            "country": { "type": "string", "default": "CZ" },
            "method": { "type": "string", "default": "CARD" },
            "card": { "type": "string" },
            "pin": { "type": "string", "x-secret": true },
        })),
        json!(true),
    );
    let bound = |given: Value| extension_input(&next, (&root, &output), given);
    let taken = json!({ "id": "c-1", "lines": 2, "country": "FR", "method": "CARD", "pin": "1" });
    assert_eq!(bound(json!({})).as_deref(), Ok(&taken), "a secret goes only where it is one");
    let given =
        json!({ "id": "c-2", "lines": 5, "country": "DE", "method": "CARD", "pin": "1", "card": "1" });
    let said = json!({ "id": "c-2", "lines": 5, "country": "DE", "card": "1" });
    assert_eq!(bound(said).as_deref(), Ok(&given), "what is given is never replaced");
    let pointers = |given: Value| -> Vec<String> {
        bound(given).unwrap_err().into_iter().map(|fault| fault.pointer).collect()
    };
    assert_eq!(pointers(json!({ "lines": "few" })), ["/lines"]);
    assert_eq!(pointers(json!("text")), [""]);
    let nothing = extension_input(&next, (&root, &json!({ "id": 5 })), json!({})).unwrap_err();
    assert_eq!(
        (nothing.len(), nothing[0].code),
        (1, "required"),
        "what does not fit is left out: {nothing:?}"
    );
}

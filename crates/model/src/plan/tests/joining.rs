//! Joining: what is ready in stock becomes a part, and is from then on what it would be had it been made there.

use super::*;
use crate::find::Origin;
use crate::join::{Join, MadeAs};
use crate::limits::{SOUGHT, SOUGHT_MS};
use crate::tree::Ending;

const PAID: &str = r#"
scenario: checkout/paid
owner: { team: Checkout }
steps:
  first: { uses: order/prepared-order, with: {} }
  ready: { uses: checkout/ready-customer, with: { country: DE } }
  last:  { uses: billing/payment-account, with: { customer_id: "${{ steps.ready.customer_id }}" } }
output: { order_id: "${{ steps.first.id }}" }
"#;

fn name(text: &str) -> ContractName {
    text.parse().expect("a name")
}

fn germany() -> Value {
    json!({ "country": "DE" })
}

/// A landscape in which these contracts are kept in stock, made from these inputs.
fn keeping(landscape: Landscape, stocked: &[(&str, Value)]) -> Landscape {
    let stocked = stocked.iter().map(|(contract, input)| (name(contract), input.clone())).collect();
    Landscape { stocked, ..landscape }
}

fn paid() -> Landscape {
    keeping(shop(ALL).scenario(PAID), &[("checkout/ready-customer", germany())])
}

/// A dataset as stock has it: made and found to hold by everybody.
fn in_stock(landscape: Landscape, contract: &str, input: Value) -> Tree {
    let new = NewTree {
        id: TreeId(Uuid::from_u128(99)),
        seed: 42,
        unique: "s".to_owned(),
        ..new_tree(&landscape, contract, input)
    };
    let mut scene = Scene::begin_with(landscape, new);
    finish(&mut scene);
    assert_eq!(scene.ended_as(), ["ready"]);
    scene.tree
}

/// Lets suppliers do all that is asked.
fn finish(scene: &mut Scene) {
    while let Some(ready) = scene.open.values().next().cloned() {
        let id = format!("{}/{}", scene.tree.unique, scene.tree.steps_to(ready.part));
        let answer = match ready.operation {
            Operation::Check => {
                Answer::Checked { verdict: Verdict::Valid, facts: Some(json!({})), message: None }
            }
            Operation::Undo => Answer::Undone,
            Operation::Produce | Operation::Find => {
                Answer::Produced { output: json!({ "id": id }), facts: None }
            }
        };
        scene.answer_at(ready.part, answer);
    }
}

fn seeking(landscape: Landscape, contract: &str) -> Scene {
    let new = NewTree { takes_stock: true, ..new_tree(&landscape, contract, json!({})) };
    Scene::begin_with(landscape, new)
}

/// What follows from having looked for a part.
fn looked(scene: &Scene, steps: &str, found: Option<&Tree>) -> Change {
    let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
    let found = found.cloned().map(Arc::new);
    decide(&scene.tree, Happened::Sought { part: scene.at(steps), found }, world)
}

fn joined(scene: &mut Scene, steps: &str, stocked: &Tree) -> Tree {
    assert!(may_join(&scene.tree, scene.at(steps), stocked));
    let mut change = looked(scene, steps, Some(stocked));
    let over = change.joins.take().expect("it joins");
    scene.take(change);
    assert_eq!(over.expected, stocked.version);
    Tree::clone(&over.tree)
}

fn leased(scene: &mut Scene) {
    let root = &mut scene.tree.parts[0];
    assert_eq!(root.status, PartStatus::Ready);
    root.status = PartStatus::Leased;
    scene.tree.lease = Some(crate::ids::LeaseId(Uuid::nil()));
}

/// The undos of a tree that is over, in the order in which they were asked for.
fn undos(scene: &mut Scene) -> Vec<String> {
    let mut undos = Vec::new();
    while let Some(ready) = scene.open.values().next().cloned() {
        assert_eq!(ready.operation, Operation::Undo);
        undos.push(scene.tree.steps_to(ready.part));
        scene.answer_at(ready.part, Answer::Undone);
    }
    undos
}

#[test]
fn a_child_that_is_in_stock_is_not_made() {
    let stocked = in_stock(paid(), "checkout/ready-customer", germany());
    let mut scene = seeking(paid(), "checkout/paid");
    assert_eq!(scene.asked(), ["produce first"], "the child is looked for before anything of it is begun");
    assert!(scene.part("ready").is_sought());
    let over = joined(&mut scene, "ready", &stocked);

    assert_eq!(scene.asked(), ["produce first", "produce last"], "and what needed it goes on");
    assert_eq!(scene.status("ready"), PartStatus::Ready);
    let paths = ["", "first", "ready", "ready › customer", "ready › payment", "ready › address"];
    assert_eq!(scene.paths()[..6], paths);
    assert_eq!(scene.part("ready").output, stocked.root().output);
    assert_eq!(scene.part("ready").from_stock(), Some(stocked.id));
    let told = scene.events.iter().rfind(|event| event.kind == "dataset.joined").expect("it is told");
    assert_eq!(told.data["from"], stocked.id.root().to_string());

    assert_eq!((over.ending, over.root().status), (Some(Ending::Joined), PartStatus::Gone));
    for part in &over.parts {
        let moved = over.moved(part.part).expect("every part is elsewhere now");
        assert_eq!(moved.tree, scene.tree.id);
        let there = &scene.tree.parts[moved.part as usize];
        assert_eq!((&there.contract, &there.output), (&part.contract, &part.output));
        assert_eq!((part.effects(), part.status), (0, PartStatus::Gone));
    }

    finish(&mut scene);
    assert_eq!(scene.ended_as(), ["ready"]);
}

#[test]
fn suppliers_know_what_has_joined_by_what_it_was_made_as() {
    let stocked = in_stock(paid(), "checkout/ready-customer", germany());
    let mut scene = seeking(paid(), "checkout/paid");
    joined(&mut scene, "ready", &stocked);
    let payment = stocked.parts.iter().find(|part| part.step == "payment").expect("a step").part;
    let made_as = MadeAs { dataset: stocked.id.part(payment), seed: 42, unique: "s".to_owned() };
    assert_eq!(scene.tree.made_as(scene.at("ready › payment")), made_as);
    let own = MadeAs { dataset: scene.tree.dataset(1), seed: 1, unique: "u".to_owned() };
    assert_eq!(scene.tree.made_as(1), own);
}

#[test]
fn what_has_joined_is_undone_in_its_turn() {
    let stocked = in_stock(paid(), "checkout/ready-customer", germany());
    let mut scene = seeking(paid(), "checkout/paid");
    scene.produce("first");
    joined(&mut scene, "ready", &stocked);
    finish(&mut scene);
    leased(&mut scene);
    scene.happen(Happened::LeaseEnded { keep: false });
    let order = ["last", "ready › order", "ready › address", "ready › payment", "ready › customer", "first"];
    assert_eq!(undos(&mut scene), order, "the newest first");
    assert_eq!(scene.status(""), PartStatus::Gone);
}

#[test]
fn what_has_joined_joins_another_one_with_its_keys() {
    let outer = r#"
scenario: checkout/outer
owner: { team: Checkout }
steps: { paid: { uses: checkout/paid, with: {} } }
output: {}
"#;
    let landscape = || {
        let stocked = [("checkout/ready-customer", germany()), ("checkout/paid", json!({}))];
        keeping(shop(ALL).scenario(PAID).scenario(outer), &stocked)
    };
    let innermost = in_stock(landscape(), "checkout/ready-customer", germany());
    let mut inner = seeking(landscape(), "checkout/paid");
    inner.tree.id = TreeId(Uuid::from_u128(8));
    joined(&mut inner, "ready", &innermost);
    finish(&mut inner);
    let mut scene = seeking(landscape(), "checkout/outer");
    joined(&mut scene, "paid", &inner.tree);
    let made_as = |steps: &str| scene.tree.made_as(scene.at(steps)).dataset;
    assert_eq!(made_as("paid › ready › customer"), innermost.id.part(1));
    assert_eq!(made_as("paid › first"), inner.tree.id.part(1));
    assert_eq!(scene.part("paid › ready").from_stock(), Some(innermost.id));
}

#[test]
fn a_child_is_made_when_there_is_none() {
    let mut scene = seeking(paid(), "checkout/paid");
    let change = looked(&scene, "ready", None);
    assert!(change.joins.is_none());
    scene.take(change);
    assert_eq!(scene.asked(), ["produce first", "produce ready › customer"]);
    assert!(!scene.part("ready").is_sought());
}

#[test]
fn a_child_is_made_when_nobody_has_looked_in_time() {
    let stocked = in_stock(paid(), "checkout/ready-customer", germany());
    let mut scene = seeking(paid(), "checkout/paid");
    assert_eq!(scene.tree.due_at(), Some(later(start(), SOUGHT_MS)), "a dead server leaves it to the next");
    scene.due();
    assert_eq!(scene.asked(), ["produce first", "produce ready › customer"]);
    let change = looked(&scene, "ready", Some(&stocked));
    assert!(change.joins.is_none(), "it is too late for what was found");
    assert_eq!(change.tree.parts, scene.tree.parts);
}

fn later(at: Timestamp, ms: u64) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(ms.cast_signed())).expect("within range")
}

#[test]
fn what_does_not_fit_is_left_where_it_is() {
    let scene = seeking(paid(), "checkout/paid");
    let whole = in_stock(paid(), "checkout/ready-customer", germany());
    type Edit = fn(&mut Tree);
    let rows: [(&str, Edit); 9] = [
        ("another input", |tree| tree.parts[0].input = Arc::new(json!({ "country": "FR" }))),
        ("another version", |tree| tree.parts[0].version = 2),
        ("another environment", |tree| tree.environment = Arc::from("other")),
        ("in somebody's hands", |tree| tree.lease = Some(crate::ids::LeaseId(Uuid::nil()))),
        ("not ready", |tree| tree.parts[0].status = PartStatus::Suspect),
        ("over", |tree| tree.ending = Some(Ending::Unwanted)),
        ("owing", |tree| tree.parts[1].status = PartStatus::Debt),
        ("asked about", |tree| {
            tree.parts[1].task = Some(Task {
                serial: 9,
                operation: Operation::Check,
                ready_at: start(),
                priority: Priority::Patrol,
                attempt: 0,
                spent_from: 0,
                cancelled: false,
                message: None,
            });
        }),
        ("other versions below", |tree| {
            Arc::make_mut(&mut tree.pins).insert(name("customer/active-customer"), 2);
        }),
    ];
    for (row, edit) in rows {
        let mut stocked = whole.clone();
        edit(&mut stocked);
        assert!(!may_join(&scene.tree, scene.at("ready"), &stocked), "{row}");
        let change = looked(&scene, "ready", Some(&stocked));
        assert!(change.joins.is_none() && change.tree.parts == scene.tree.parts, "{row}");
    }
}

#[test]
fn only_who_takes_from_stock_has_children_looked_for() {
    let made = ["produce first", "produce ready › customer"];
    let new = |edit: fn(&mut NewTree)| {
        let landscape = paid();
        let mut new = NewTree { takes_stock: true, ..new_tree(&landscape, "checkout/paid", json!({})) };
        edit(&mut new);
        Scene::begin_with(landscape, new)
    };
    assert_eq!(new(|new| new.takes_stock = false).asked(), made);
    let refill = new(|new| new.priority = Priority::Stock);
    assert_eq!(refill.asked(), made, "stock does not fill itself from stock");
    let other = keeping(shop(ALL).scenario(PAID), &[("checkout/ready-customer", json!({ "country": "FR" }))]);
    assert_eq!(seeking(other, "checkout/paid").asked(), made, "only the very same input will do");
}

#[test]
fn the_second_attempt_at_a_scenario_is_made() {
    let again = r#"
scenario: checkout/again
owner: { team: Checkout }
steps:
  paid: { uses: checkout/paid, with: {}, retry: { max_attempts: 2, first_delay_ms: 10, max_delay_ms: 10 } }
output: {}
"#;
    let landscape =
        || keeping(shop(ALL).scenario(PAID).scenario(again), &[("checkout/ready-customer", germany())]);
    let stocked = in_stock(landscape(), "checkout/ready-customer", germany());
    let mut scene = seeking(landscape(), "checkout/again");
    joined(&mut scene, "paid › ready", &stocked);
    scene.produce("paid › first");
    scene.produce("paid › last");
    while scene.status("paid") == PartStatus::Checking {
        let part = scene.open.values().next().expect("somebody is asked").part;
        let verdict = match scene.tree.steps_to(part).as_str() {
            "paid › ready › customer" => Verdict::Invalid,
            _ => Verdict::Valid,
        };
        scene.pass_ms(2_000);
        scene.answer_at(part, Answer::Checked { verdict, facts: None, message: None });
    }
    let mut undone = Vec::new();
    while let Some(part) = scene.open.values().next().map(|ready| ready.part) {
        undone.push(scene.tree.steps_to(part));
        scene.answer_at(part, Answer::Undone);
    }
    assert!(undone.contains(&"paid › ready › customer".to_owned()), "{undone:?}");
    scene.due();
    assert_eq!(scene.asked(), ["produce paid › first", "produce paid › ready › customer"]);
}

#[test]
fn children_of_an_orchestrator_are_made() {
    let landscape = keeping(
        Landscape::default()
            .capability("qa/both", ALL)
            .capability("customer/active", ALL)
            .scenario("scenario: qa/top\nowner: { team: QA }\nsteps: { both: { uses: qa/both, with: {} } }\noutput: {}\n"),
        &[("customer/active", json!({}))],
    );
    let mut scene = seeking(landscape, "qa/top");
    let wish = Wish { name: "one".to_owned(), contract: name("customer/active"), input: json!({}) };
    scene.answer("both", Answer::Obtain { children: vec![wish] });
    assert_eq!(scene.asked(), ["produce both › one"]);
}

#[test]
fn only_so_many_are_looked_for_at_once() {
    let each = r#"
scenario: qa/many
owner: { team: QA }
steps: { each: { uses: customer/active, with: {}, for_each: "${{ [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20] }}" } }
output: {}
"#;
    let landscape = Landscape::default().capability("customer/active", ALL).scenario(each);
    let scene = seeking(keeping(landscape, &[("customer/active", json!({}))]), "qa/many");
    let sought = scene.tree.parts.iter().filter(|part| part.is_sought()).count();
    assert_eq!((sought, scene.open.len()), (SOUGHT, 20 - SOUGHT));
}

#[test]
fn a_late_answer_is_kept_where_the_part_is_now() {
    let stocked = in_stock(paid(), "checkout/ready-customer", germany());
    let mut scene = seeking(paid(), "checkout/paid");
    let over = joined(&mut scene, "ready", &stocked);
    let late = |output: Option<Value>| Happened::Orphaned { part: 1, output };
    for output in [stocked.parts[1].output.as_deref().cloned(), Some(json!({ "id": "twin" })), None] {
        let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
        let change = decide(&over, late(output), world);
        assert!(change.ready.is_empty(), "what lives on elsewhere is not undone");
        assert_eq!(change.tree.parts, over.parts);
    }
    let part = over.moved(1).expect("it is elsewhere").part;
    scene.happen(Happened::Orphaned { part, output: Some(json!({ "id": "twin" })) });
    assert_eq!(scene.tree.parts[part as usize].orphans, [json!({ "id": "twin" })]);
}

#[test]
fn what_was_imported_is_never_undone_as_a_part_either() {
    let top = "scenario: qa/top\nowner: { team: QA }\nsteps:\n  one: { uses: customer/active, with: {} }\n  two: { uses: order/made, with: {} }\noutput: {}\n";
    let landscape = || {
        let contracts = Landscape::default()
            .capability("customer/active", ALL)
            .capability("order/made", ALL)
            .scenario(top);
        keeping(contracts, &[("customer/active", json!({}))])
    };
    let contracts = landscape();
    let mut new = new_tree(&contracts, "customer/active", json!({}));
    new.id = TreeId(Uuid::from_u128(99));
    new.beginning = Beginning::Import(Arc::new(json!({ "id": "c-1" })));
    let mut imported = Scene::begin_with(contracts, new);
    imported.check("", Verdict::Valid, json!({}));
    let mut scene = seeking(landscape(), "qa/top");
    joined(&mut scene, "one", &imported.tree);
    assert_eq!(scene.part("one").origin, Origin::Imported);
    finish(&mut scene);
    leased(&mut scene);
    scene.happen(Happened::LeaseEnded { keep: false });
    assert_eq!(scene.asked(), ["undo two"]);
    let attempt = scene.attempt("two");
    let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
    let undone =
        Happened::Answered { attempt, session: SessionId(Uuid::nil()), by: by(), answer: Answer::Undone };
    let change = decide(&scene.tree, undone, world);
    assert_eq!(change.found, Some(Vec::new()), "and it is free once the dataset is over");
    scene.take(change);
    assert_eq!(scene.status(""), PartStatus::Gone);
}

#[test]
fn what_has_joined_and_does_not_hold_fails_the_dataset() {
    let stocked = in_stock(paid(), "checkout/ready-customer", germany());
    let mut scene = seeking(paid(), "checkout/paid");
    joined(&mut scene, "ready", &stocked);
    scene.produce("first");
    scene.produce("last");
    while scene.tree.ending.is_none() {
        let part = scene.open.values().next().expect("somebody is asked").part;
        let customer = scene.tree.steps_to(part) == "ready › customer";
        let verdict = if customer { Verdict::Invalid } else { Verdict::Valid };
        scene.pass_ms(2_000);
        scene.answer_at(part, Answer::Checked { verdict, facts: None, message: None });
    }
    for ready in scene.open.clone().into_values().filter(|ready| ready.operation == Operation::Check) {
        scene.happen(Happened::Withdrawn { part: ready.part, serial: ready.serial });
    }
    assert_eq!(scene.failure().path, "ready › customer › customer/active-customer@1");
    let order = ["last", "first", "ready › order", "ready › address", "ready › payment", "ready › customer"];
    assert_eq!(undos(&mut scene), order);
}

#[test]
fn a_part_that_is_not_looked_for_any_more_takes_nothing() {
    let stocked = in_stock(paid(), "checkout/ready-customer", germany());
    let mut scene = seeking(paid(), "checkout/paid");
    scene.happen(Happened::Unwanted);
    let change = looked(&scene, "ready", Some(&stocked));
    assert!(change.joins.is_none());
    assert!(matches!(scene.part("ready").join.as_deref(), None | Some(Join::Sought { .. })));
}

//! Owning: what a tree has for itself, and that it fails when somebody else has it.

use super::*;
use crate::ids::LeaseId;

fn entity(kind: &str, key: &str) -> Entity {
    Entity { kind: kind.to_owned(), key: key.to_owned() }
}

fn held_by_a_lease(part: u32, kind: &str, key: &str) -> HeldEntity {
    let by = EntityOwner::Lease { id: LeaseId(Uuid::nil()), holder: "ci 7".to_owned() };
    HeldEntity { part, entity: entity(kind, key), by }
}

/// The last answer that a scene waits for, decided beside what others own.
fn answered_beside(scene: &mut Scene, steps: &str, id: &str, held: Vec<HeldEntity>) -> Change {
    let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
    let answer = Answer::Produced { output: json!({ "id": id }), facts: None };
    let session = SessionId(Uuid::nil());
    let happened =
        Happened::Answered { attempt: scene.attempt(steps), session, by: Answerer::default(), answer };
    decide_knowing(&scene.tree, happened, FoundOut { held, ..FoundOut::default() }, world)
}

fn owned(change: &Change) -> Vec<String> {
    let shown = |(part, entity): &(u32, Entity)| {
        format!("{} {}:{}", change.tree.steps_to(*part), entity.kind, entity.key)
    };
    change.owns.iter().map(shown).collect()
}

const ADVANCED: &str = r#"
scenario: checkout/advanced
owner: { team: Checkout }
input:
  type: object
  properties: { customer: { type: string, x-entity: customer }, note: { type: string } }
steps:
  account: { uses: billing/account, with: { of: "${{ input.customer }}" } }
  paid:    { uses: billing/paid, with: { of: "${{ steps.account.id }}" } }
output: { account: "${{ steps.paid.id }}" }
"#;

/// A landscape in which every output of billing names an account and the customer that it is of.
fn billing() -> Landscape {
    let output = json!({ "output": { "type": "object", "properties": {
        "id": { "type": "string", "x-entity": "account" },
        "customer": { "type": "string", "x-entity": "customer" },
    } } });
    let mut landscape = Landscape::default();
    for name in ["billing/account", "billing/paid"] {
        landscape.add(capability(name, MAKE_AND_UNDO, output.clone()));
    }
    landscape.scenario(ADVANCED)
}

#[test]
fn a_tree_owns_what_its_capabilities_made_and_not_what_came_in_through_its_input() {
    let scene = || {
        let input = json!({ "customer": "c-1", "note": "c-2" });
        let mut scene = Scene::begin(billing(), "checkout/advanced", input);
        let output = json!({ "id": "a-1", "customer": "c-1" });
        scene.answer("account", Answer::Produced { output, facts: None });
        scene
    };
    let finish = |scene: &mut Scene, output: Value| {
        let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
        let answer = Answer::Produced { output, facts: None };
        let happened = Happened::Answered {
            attempt: scene.attempt("paid"),
            session: SessionId(Uuid::nil()),
            by: Answerer::default(),
            answer,
        };
        decide(&scene.tree, happened, world)
    };
    let change = finish(&mut scene(), json!({ "id": "a-1", "customer": "c-1" }));
    assert_eq!(owned(&change), ["account account:a-1"], "the part that advanced it has not made it");
    let change = finish(&mut scene(), json!({ "id": "a-2", "customer": "c-2" }));
    assert_eq!(owned(&change), ["account account:a-1", "paid customer:c-2", "paid account:a-2"]);
}

#[test]
fn what_a_failed_attempt_made_is_owned_by_nobody() {
    let retrying = "scenario: shop/again\nowner: { team: Shop }\nsteps:\n  \
                    inner: { uses: shop/inner, with: {}, retry: { max_attempts: 2 } }\n\
                    output: { id: \"${{ steps.inner.id }}\" }\n";
    let inner = "scenario: shop/inner\nowner: { team: Shop }\nsteps:\n  one: { uses: a/one, with: {} }\n  \
                 two: { uses: b/two, with: { of: \"${{ steps.one.id }}\" } }\noutput: { id: \"${{ steps.two.id }}\" }\n";
    let landscape = Landscape::default()
        .capability("a/one", MAKE_AND_UNDO)
        .capability("b/two", MAKE_AND_UNDO)
        .scenario(inner)
        .scenario(retrying);
    let mut scene = Scene::begin(landscape, "shop/again", json!({}));
    scene.produce("inner › one");
    for _ in 0..3 {
        scene.fail("inner › two", true);
    }
    for steps in ["inner › two", "inner › one"] {
        scene.undo(steps);
    }
    scene.due();
    let output = json!({ "id": "second" });
    scene.answer("inner › one", Answer::Produced { output, facts: None });
    let change = answered_beside(&mut scene, "inner › two", "two", Vec::new());
    assert!(matches!(change.outcome, Some(Outcome::Ready(_))), "{:?}", change.outcome);
    assert_eq!(owned(&change), ["inner › one a:second", "inner › two b:two"]);
}

#[test]
fn a_tree_that_made_what_somebody_else_owns_fails_and_is_undone_by_its_key() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    for steps in ["customer", "payment", "address"] {
        scene.produce(steps);
    }
    let customer = scene.at("customer");
    let others = vec![held_by_a_lease(99, "somewhere", "else"), held_by_a_lease(99, "customer", "customer")];
    let change = answered_beside(&mut scene, "order", "order", others);
    assert_eq!(owned(&change), [""; 0]);
    scene.take(change);
    let failure = scene.failure().clone();
    assert_eq!(
        (failure.class, failure.code.as_deref()),
        (FailureClass::ContractViolation, Some("entity_held"))
    );
    assert_eq!((failure.path.as_str(), failure.part), ("customer › customer/active-customer@1", customer));
    for part in ["`customer:customer`", "lease_", "`ci 7`", "idempotency key"] {
        assert!(failure.message.contains(part), "{part} in {}", failure.message);
    }
    let details = failure.details.expect("what it is about");
    assert_eq!((&details["entity"], &details["holder"]), (&json!("customer:customer"), &json!("ci 7")));
    for steps in ["order", "address", "payment"] {
        assert!(scene.part(steps).to_undo().is_some(), "{steps} knows what it has made");
        scene.undo(steps);
    }
    assert_eq!(scene.asked(), ["undo customer"]);
    assert_eq!(scene.part("customer").to_undo(), None, "only the key says what it has made");
    scene.undo("customer");
    assert_eq!(scene.status(""), PartStatus::Failed);
    assert_eq!(scene.status("customer"), PartStatus::Failed);
}

#[test]
fn a_dataset_that_waits_for_its_siblings_fails_and_one_that_is_leased_does_not() {
    let mut scene = Scene::begin(Landscape::default().capability("a/a", MAKE_AND_UNDO), "a/a", json!({}));
    let sibling = TreeId(Uuid::from_u128(9));
    let held = HeldEntity { part: 0, entity: entity("a", "made"), by: EntityOwner::Sibling(sibling) };
    scene.answer("", Answer::Produced { output: json!({ "id": "made" }), facts: None });
    let mut leased = scene.tree.clone();
    leased.lease = Some(LeaseId(Uuid::nil()));
    leased.parts[0].status = PartStatus::Leased;
    let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
    let change = decide(&leased, Happened::EntityHeld(held.clone()), world);
    assert_eq!((change.outcome, change.changed), (None, Vec::new()));
    scene.outcomes.clear();
    scene.happen(Happened::EntityHeld(held.clone()));
    let message = &scene.failure().message;
    assert!(
        message.contains("of the same request") && message.contains(&sibling.root().to_string()),
        "{message}"
    );
    assert_eq!(scene.asked(), ["undo"]);
    scene.happen(Happened::EntityHeld(held));
    assert_eq!(scene.outcomes.len(), 1, "it fails once");
}

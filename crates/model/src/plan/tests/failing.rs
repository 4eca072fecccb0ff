//! Failing and taking down: blame, order of undo, what is owed, what comes too late.

use super::*;
use crate::limits::INSTANCE_BYTES;

#[test]
fn a_failure_names_path_owner_and_what_depended_on_it() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    scene.fail("payment", false);
    let failure = scene.failure();
    assert_eq!(failure.path, "payment › billing/payment-account@1");
    assert_eq!(failure.class, FailureClass::Rejected);
    assert_eq!(failure.owner.contact.as_deref(), Some("billing@shop.test"));
    assert_eq!((failure.attempts, failure.code.as_deref()), (1, Some("no")));
    assert_eq!(failure.blocked, ["order › order/prepared-order@1"]);
}

#[test]
fn what_was_made_is_undone_newest_first() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    scene.produce("address");
    scene.produce("payment");
    scene.fail("order", false);
    for steps in ["payment", "address", "customer"] {
        assert_eq!(scene.asked(), [format!("undo {steps}")]);
        scene.undo(steps);
        assert_eq!(
            scene.tree.parts.iter().filter(|part| part.task.is_some()).count(),
            usize::from(steps != "customer")
        );
    }
    assert_eq!(scene.status("customer"), PartStatus::Gone);
    assert_eq!(scene.status("order"), PartStatus::Failed);
    assert_eq!(scene.status(""), PartStatus::Failed);
}

#[test]
fn a_running_attempt_is_waited_for_before_anything_is_undone() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    scene.fail("payment", false);
    assert_eq!(scene.withdrawn.iter().map(|task| task.part).collect::<Vec<_>>(), [scene.at("address")]);
    assert_eq!(scene.asked(), ["produce address"], "still out");
    scene.produce("address");
    assert_eq!(scene.asked(), ["undo address"]);
    scene.undo("address");
    assert_eq!(scene.asked(), ["undo customer"]);
}

#[test]
fn a_task_that_nobody_had_claimed_is_simply_gone() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    scene.fail("payment", false);
    let serial = scene.part("address").task.as_ref().expect("it is waited for").serial;
    scene.happen(Happened::Withdrawn { part: scene.at("address"), serial });
    assert_eq!(scene.asked(), ["undo customer"]);
}

#[test]
fn an_attempt_without_an_answer_is_undone_by_its_key() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    for _ in 0..3 {
        let attempt = scene.attempt("customer");
        scene.happen(Happened::Crashed(attempt));
    }
    assert_eq!(scene.failure().class, FailureClass::Crashed);
    assert_eq!(scene.asked(), ["undo customer"]);
    assert_eq!(scene.part("customer").to_undo(), None);
    scene.undo("customer");
    assert_eq!(scene.status(""), PartStatus::Failed);
}

#[test]
fn a_plain_no_leaves_nothing_to_undo() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.fail("customer", false);
    assert_eq!(scene.status(""), PartStatus::Failed);
    assert!(scene.asked().is_empty());
}

#[test]
fn an_output_that_breaks_its_schema_is_not_asked_for_again_and_is_undone() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.answer("customer", Answer::Produced { output: json!({ "id": 7 }), facts: None });
    assert_eq!(scene.failure().class, FailureClass::ContractViolation);
    assert!(scene.failure().message.contains("/id"), "{}", scene.failure().message);
    assert_eq!(scene.asked(), ["undo customer"]);
}

#[test]
fn what_cannot_be_undone_is_owed_and_the_rest_is_still_undone() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    scene.produce("address");
    scene.fail("payment", false);
    scene.fail("address", false);
    assert_eq!(scene.status("address"), PartStatus::Debt);
    scene.undo("customer");
    assert_eq!(scene.status("customer"), PartStatus::Gone);
    assert_eq!(scene.status(""), PartStatus::Debt);
    assert!(scene.events.iter().any(|event| event.kind == "dataset.debt"));
}

#[test]
fn a_debt_that_somebody_looked_after_is_gone_and_with_the_last_one_the_tree_is_over() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    scene.produce("address");
    scene.fail("payment", false);
    scene.fail("address", false);
    scene.fail("customer", false);
    assert_eq!(scene.status(""), PartStatus::Debt);
    let resolved = |part: u32, reason: &str| Happened::DebtResolved {
        part,
        by: "ada".to_owned(),
        reason: reason.to_owned(),
    };
    scene.happen(resolved(0, "the root itself owes nothing"));
    assert!(scene.part("").resolved.is_none());
    scene.pass_ms(1_000);
    scene.happen(resolved(scene.at("address"), "removed by hand"));
    let address = scene.part("address").clone();
    assert_eq!(
        (address.status, address.failure, address.ended_at),
        (PartStatus::Gone, None, Some(scene.now))
    );
    assert_eq!(address.undone, 1);
    let told = address.resolved.clone().expect("it is known");
    assert_eq!((told.by.as_str(), told.reason.as_str(), told.at), ("ada", "removed by hand", scene.now));
    assert_eq!(scene.status(""), PartStatus::Debt, "another one is owed");

    // Said again, it changes nothing.
    let events = scene.events.len();
    scene.happen(resolved(scene.at("address"), "again"));
    assert_eq!((scene.part("address").resolved.clone(), scene.events.len()), (address.resolved, events));

    scene.happen(resolved(scene.at("customer"), "it was a test account"));
    assert_eq!(scene.status(""), PartStatus::Failed, "as it would have been");
    let last: Vec<_> = scene.events.iter().rev().take(2).map(|event| &*event.kind).collect();
    assert_eq!(last, ["dataset.gone", "dataset.debt_resolved"]);
    assert!(scene.part("payment").failure.is_some(), "why it failed stays");
    assert_eq!(scene.asked(), Vec::<String>::new(), "nobody is asked to undo it once more");
}

#[test]
fn a_debt_of_an_attempt_is_resolved_while_its_tree_goes_on_or_stands() {
    let landscape = Landscape::default().capability("a/a", MAKE_AND_UNDO);
    let mut scene = Scene::begin(landscape, "a/a", json!({}));
    scene.produce("");
    scene.happen(Happened::LeaseEnded { keep: false });
    scene.fail("", false);
    let resolved = Happened::DebtResolved { part: 0, by: "ada".to_owned(), reason: "by hand".to_owned() };
    scene.happen(resolved);
    assert_eq!((scene.status(""), scene.part("").failure.is_none()), (PartStatus::Gone, true));
    // What comes late is undone all the same, and owed anew when that cannot be.
    scene.happen(Happened::Orphaned { part: 0, output: Some(json!({ "id": "late" })) });
    scene.fail("", false);
    assert_eq!((scene.status(""), scene.part("").resolved.is_none()), (PartStatus::Debt, true));
}

#[test]
fn a_late_result_is_undone_although_everything_is_over() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    let attempt = scene.attempt("customer");
    scene.happen(Happened::Unwanted);
    scene.happen(Happened::Crashed(attempt));
    scene.undo("customer");
    assert_eq!(scene.status(""), PartStatus::Gone);
    let late = json!({ "id": "late" });
    scene.happen(Happened::Orphaned { part: scene.at("customer"), output: Some(late.clone()) });
    assert_eq!(scene.asked(), ["undo customer"]);
    assert_eq!(scene.part("customer").to_undo(), Some(&late));
    scene.undo("customer");
    assert_eq!(scene.status(""), PartStatus::Gone);
    // Told again it may have been made again, by an attempt that everybody believed dead.
    scene.happen(Happened::Orphaned { part: scene.at("customer"), output: Some(late) });
    assert_eq!(scene.asked(), ["undo customer"]);
}

#[test]
fn a_late_result_that_is_too_large_is_undone_by_its_key() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    let attempt = scene.attempt("customer");
    scene.happen(Happened::Unwanted);
    scene.happen(Happened::Crashed(attempt));
    scene.undo("customer");
    let large = json!({ "id": "x".repeat(INSTANCE_BYTES) });
    scene.happen(Happened::Orphaned { part: scene.at("customer"), output: Some(large) });
    assert_eq!(scene.asked(), ["undo customer"]);
    assert_eq!(scene.part("customer").to_undo(), None);
}

#[test]
fn the_same_result_told_late_is_not_undone_while_the_dataset_lives() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    scene
        .happen(Happened::Orphaned { part: scene.at("customer"), output: Some(json!({ "id": "customer" })) });
    assert!(scene.part("customer").orphans.is_empty());
    scene.happen(Happened::Orphaned { part: scene.at("customer"), output: Some(json!({ "id": "twin" })) });
    assert_eq!(scene.asked(), ["produce payment", "produce address"], "it waits for the end of the dataset");
}

#[test]
fn an_ended_lease_takes_everything_down_once() {
    let landscape = Landscape::default().capability("a/a", MAKE_AND_UNDO);
    let mut scene = Scene::begin(landscape, "a/a", json!({}));
    scene.produce("");
    scene.happen(Happened::LeaseEnded { keep: false });
    scene.happen(Happened::LeaseEnded { keep: false });
    assert_eq!(scene.asked(), ["undo"]);
    scene.undo("");
    assert_eq!(scene.status(""), PartStatus::Gone);
    assert_eq!(scene.ended_as(), ["ready", "ended"]);
}

#[test]
fn a_single_capability_that_cannot_be_undone_is_over_too() {
    let landscape = Landscape::default().capability("a/a", MAKE_AND_UNDO);
    let mut scene = Scene::begin(landscape, "a/a", json!({}));
    scene.produce("");
    scene.happen(Happened::LeaseEnded { keep: false });
    scene.fail("", false);
    assert_eq!(scene.status(""), PartStatus::Debt);
    let told: Vec<_> = scene.events.iter().rev().take(2).map(|event| &*event.kind).collect();
    assert_eq!(told, ["dataset.owing", "dataset.debt"]);
    assert_eq!(scene.ended_as(), ["ready", "ended"]);
}

#[test]
fn nobody_there_to_ask_is_told_with_the_time_since_when() {
    let mut scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({}));
    let since = scene.now;
    scene.pass_ms(60_000);
    scene.happen(Happened::Unserved { part: scene.at("customer"), serial: 1, since });
    assert_eq!(scene.failure().class, FailureClass::SupplierOffline);
    assert!(scene.failure().message.contains("2026-01-01T00:00:00Z"), "{}", scene.failure().message);
}

#[test]
fn an_input_that_a_step_does_not_take_fails_before_a_supplier_is_asked() {
    let mut landscape = shop(MAKE);
    let input =
        json!({ "input": { "type": "object", "properties": { "customer_id": { "type": "integer" } } } });
    landscape.add(capability("billing/payment-account", MAKE, input));
    let mut scene = Scene::begin(landscape, "checkout/ready-customer", json!({}));
    scene.produce("customer");
    let failure = scene.failure();
    assert_eq!((failure.class, failure.code.as_deref()), (FailureClass::Binding, Some("invalid_input")));
    assert_eq!(failure.path, "payment › billing/payment-account@1");
    assert!(failure.message.contains("customer_id"), "{}", failure.message);
}

#[test]
fn a_request_out_of_time_blames_what_is_waited_for() {
    let mut scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    let open = [scene.standing("payment", Standing::Claimed { attempt: 1, since: Some(scene.now) })];
    let failure = overdue(&scene.tree, &scene.landscape, &open, scene.now).expect("something is waited for");
    assert_eq!(failure.class, FailureClass::Timeout);
    let running = "it had attempt 1 of `produce` running since 2026-01-01T00:00:00Z";
    assert!(failure.message.ends_with(running), "{}", failure.message);
    assert_eq!(failure.path, "payment › billing/payment-account@1");
}

#[test]
fn what_waits_to_be_asked_again_has_begun_and_is_undone() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.produce("customer");
    scene.answer("payment", Answer::Again { after_ms: 60_000, state: Some(json!(1)), message: None });
    scene.fail("address", false);
    let serial = scene.part("payment").task.as_ref().expect("it is withdrawn, not forgotten").serial;
    scene.happen(Happened::Withdrawn { part: scene.at("payment"), serial });
    assert_eq!(scene.asked(), ["undo payment"]);
    assert_eq!(scene.part("payment").state, None, "what produce noted is none of the undo's business");
}

#[test]
fn what_may_pass_and_does_not_is_not_held_against_the_input() {
    for (retryable, goes, class) in [(false, 1, FailureClass::Rejected), (true, 3, FailureClass::Unavailable)]
    {
        let mut scene = Scene::begin(shop(MAKE), "checkout/ready-customer", json!({}));
        for _ in 0..goes {
            scene.fail("customer", retryable);
        }
        assert_eq!((scene.failure().class, scene.failure().attempts), (class, goes), "{retryable}");
    }
}

#[test]
fn what_a_cancelled_attempt_answers_is_told_as_an_orphan() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.happen(Happened::Unwanted);
    scene.produce("customer");
    let told = scene.events.iter().find(|event| event.kind.starts_with("task.")).expect("it is told");
    assert_eq!((told.kind.as_ref(), &told.data["operation"]), ("task.orphaned", &json!("produce")));
    assert_eq!(scene.asked(), ["undo customer"], "what it made is undone with its output");
    assert!(scene.part("customer").to_undo().is_some());
    scene.undo("customer");
    assert_eq!(scene.told_path("task.done"), Some("customer"), "the undo counts");
}

#[test]
fn an_answer_behind_the_deadline_is_told_as_an_orphan() {
    let scenario = "scenario: a/slow\nowner: { team: Qa }\nsteps:\n  slow: { uses: a/a, timeout_s: 60 }\n\
                    output: { id: \"${{ steps.slow.id }}\" }\n";
    let landscape = Landscape::default().capability("a/a", MAKE_AND_UNDO).scenario(scenario);
    let mut scene = Scene::begin(landscape, "a/slow", json!({}));
    scene.pass_ms(60_001);
    scene.produce("slow");
    assert!(scene.events.iter().any(|event| event.kind == "task.orphaned"));
    assert!(scene.events.iter().all(|event| event.kind != "task.done"));
    assert_eq!(scene.asked(), ["undo slow"]);
}

#[test]
fn nonsense_from_a_cancelled_attempt_is_taken_for_a_possible_effect() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO), "checkout/ready-customer", json!({}));
    scene.happen(Happened::Unwanted);
    scene.answer("customer", Answer::Undone);
    assert_eq!(scene.asked(), ["undo customer"]);
}

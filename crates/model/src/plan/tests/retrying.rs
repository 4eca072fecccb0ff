//! Retrying: a scenario used by a step is taken down and made anew.

use super::*;
use crate::failure::Retried;

const RETRYING: &str = r#"
scenario: checkout/outer
owner: { team: Checkout }
steps:
  ready: { uses: checkout/ready-customer, with: {}, retry: { max_attempts: 3, first_delay_ms: 100, max_delay_ms: 1000 } }
  other: { uses: a/other, with: {} }
output: { customer_id: "${{ steps.ready.customer_id }}" }
"#;

fn outer(operations: &[&str]) -> Scene {
    let landscape = shop(operations).capability("a/other", operations).scenario(RETRYING);
    Scene::begin(landscape, "checkout/outer", json!({}))
}

/// Lets an attempt of a part fail until no other is left.
fn exhaust(scene: &mut Scene, steps: &str) {
    for _ in 0..3 {
        scene.fail(steps, true);
    }
}

/// The first attempt fails at the payment, after the customer was made.
fn failed_once() -> Scene {
    let mut scene = outer(MAKE_AND_UNDO);
    scene.produce("ready › customer");
    scene.produce("ready › address");
    exhaust(&mut scene, "ready › payment");
    scene
}

#[test]
fn a_scenario_whose_attempts_are_used_up_is_taken_down_newest_first_and_made_anew() {
    let mut scene = failed_once();
    let first = scene.at("ready › customer");
    assert_eq!(scene.part("ready").retrying, Some(Retrying::TakingDown));
    for steps in ["ready › payment", "ready › address", "ready › customer"] {
        assert_eq!(undos(&scene), [format!("undo {steps}")]);
        scene.undo(steps);
    }
    let until = later_by(&scene, 75);
    assert_eq!(scene.part("ready").retrying, Some(Retrying::Pausing { until }));
    assert_eq!(scene.status("ready"), PartStatus::Building);
    assert_eq!(scene.asked(), ["produce other"], "the rest of the tree goes on");
    assert_eq!(scene.tree.due_at(), Some(until));
    scene.due();
    let second = scene.at("ready › customer");
    assert!(second > first, "another part has another key");
    assert_eq!(scene.tree.parts[first as usize].status, PartStatus::Gone);
    assert_eq!(scene.tree.parts[second as usize].attempts_before, 1);
    for steps in ["ready › customer", "ready › payment", "ready › address", "ready › order", "other"]
    {
        let output = json!({ "id": format!("{steps} of the second attempt") });
        scene.answer(steps, Answer::Produced { output, facts: None });
    }
    assert_eq!(scene.ended_as(), ["ready"]);
    let output = json!({ "customer_id": "ready › customer of the second attempt" });
    assert_eq!(scene.part("").output.as_deref(), Some(&output));
    assert_eq!((scene.part("ready").failure.as_ref(), scene.tree.due_at()), (None, None));
    scene.happen(Happened::LeaseEnded { keep: false });
    let mut undone = 0;
    while let Some(asked) = scene.asked().first().cloned() {
        scene.undo(asked.trim_start_matches("undo").trim());
        undone += 1;
    }
    assert_eq!((undone, scene.status("")), (5, PartStatus::Gone), "what was undone once is not undone again");
}

/// The undos that are asked for.
fn undos(scene: &Scene) -> Vec<String> {
    scene.asked().into_iter().filter(|asked| asked.starts_with("undo")).collect()
}

fn later_by(scene: &Scene, ms: i64) -> Timestamp {
    scene.now.checked_add(SignedDuration::from_millis(ms)).expect("within range")
}

#[test]
fn after_the_last_attempt_the_failure_says_how_many_there_were() {
    let mut scene = outer(MAKE);
    for attempt in 1..=3 {
        scene.produce("ready › customer");
        exhaust(&mut scene, "ready › payment");
        if attempt < 3 {
            let address = scene.part("ready › address").clone();
            let serial = address.task.expect("it was withdrawn").serial;
            scene.happen(Happened::Withdrawn { part: address.part, serial });
            scene.due();
        }
    }
    let failure = scene.failure();
    assert_eq!((failure.class, failure.attempts), (FailureClass::Unavailable, 3));
    assert_eq!(failure.path, "ready › payment › billing/payment-account@1");
    let retried = [Retried { path: "ready › checkout/ready-customer@1".to_owned(), attempts: 3 }];
    assert_eq!(failure.retried, retried);
    let retrying = scene.events.iter().filter(|event| event.kind == "dataset.retrying").count();
    assert_eq!(retrying, 2);
}

#[test]
fn only_what_may_be_another_time_is_tried_again() {
    type Fault = (&'static str, fn(&mut Scene), bool);
    let faults: [Fault; 8] = [
        ("a retryable no, used up", |scene| exhaust(scene, "ready › payment"), true),
        (
            "crashes, used up",
            |scene| {
                for _ in 0..3 {
                    let attempt = scene.attempt("ready › payment");
                    scene.happen(Happened::Crashed(attempt));
                }
            },
            true,
        ),
        (
            "attempts without an answer, used up",
            |scene| {
                for _ in 0..3 {
                    let attempt = scene.attempt("ready › payment");
                    scene.happen(Happened::TimedOut(attempt));
                }
            },
            true,
        ),
        ("a plain no", |scene| scene.fail("ready › payment", false), false),
        (
            "an output that breaks its schema",
            |scene| scene.answer("ready › payment", Answer::Produced { output: json!({}), facts: None }),
            false,
        ),
        (
            "nobody there",
            |scene| {
                let since = scene.now;
                let part = scene.at("ready › payment");
                scene.happen(Happened::Unserved { part, serial: 1, since });
            },
            false,
        ),
        (
            "a child that it may not have",
            |scene| scene.answer("ready › payment", Answer::Obtain { children: Vec::new() }),
            false,
        ),
        ("a step beside it", |scene| exhaust(scene, "other"), false),
    ];
    for (name, fault, retried) in faults {
        let mut scene = outer(MAKE);
        scene.produce("ready › customer");
        fault(&mut scene);
        assert_eq!(scene.outcomes.is_empty(), retried, "{name}: {:?}", scene.outcomes);
        assert_eq!(scene.part("ready").failed_attempts, u32::from(retried), "{name}");
        assert_eq!(scene.tree.ending.is_none(), retried, "{name}");
    }
}

#[test]
fn a_scenario_that_may_be_retried_is_checked_by_itself_and_made_anew_when_it_does_not_hold() {
    let mut scene = outer(ALL);
    for steps in ["customer", "payment", "address", "order"] {
        scene.produce(&format!("ready › {steps}"));
    }
    assert_eq!(scene.status("ready"), PartStatus::Checking);
    for steps in ["customer", "address", "order"] {
        scene.check(&format!("ready › {steps}"), Verdict::Valid, json!({}));
    }
    scene.pass_ms(31_000);
    scene.check("ready › payment", Verdict::Invalid, json!({}));
    assert_eq!(scene.part("ready").failed_attempts, 1);
    let failure = scene.part("ready").failure.as_ref().expect("why it is made anew");
    assert_eq!(
        (failure.class, failure.path.as_str()),
        (FailureClass::Check, "ready › payment › billing/payment-account@1")
    );
    assert_eq!(undos(&scene), ["undo ready › order"]);
}

#[test]
fn an_invariant_that_does_not_hold_makes_the_scenario_anew() {
    let landscape = Landscape::default().capability("a/a", ALL).scenario(
        "scenario: a/inner\nowner: { team: A }\nsettle_s: 1\nsteps:\n  a: { uses: a/a, with: {} }\n\
         invariants:\n  - { that: facts.a.good, says: it is good }\noutput: {}\n",
    );
    let landscape = landscape.scenario(
        "scenario: a/outer\nowner: { team: A }\nsteps:\n  inner: { uses: a/inner, with: {}, retry: { max_attempts: 2 } }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/outer", json!({}));
    for (attempt, good) in [(0, false), (1, true)] {
        scene.produce("inner › a");
        assert_eq!(scene.part("inner › a").attempts_before, attempt);
        scene.pass_ms(1_000);
        scene.check("inner › a", Verdict::Valid, json!({ "good": good }));
        if !good {
            assert_eq!(
                scene.part("inner").failure.as_ref().map(|failure| failure.class),
                Some(FailureClass::Invariant)
            );
            assert_eq!(scene.asked(), ["undo inner › a"]);
            scene.undo("inner › a");
            scene.due();
        }
    }
    assert_eq!(scene.status("inner"), PartStatus::Ready);
}

#[test]
fn an_attempt_that_leaves_a_debt_is_the_last() {
    let mut scene = failed_once();
    scene.undo("ready › payment");
    scene.fail("ready › address", false);
    assert_eq!(undos(&scene), ["undo ready › customer"], "the rest is still undone");
    assert!(scene.outcomes.is_empty());
    scene.undo("ready › customer");
    assert!(scene.failure().message.contains("could not be undone"), "{}", scene.failure().message);
    assert_eq!(scene.status("ready › address"), PartStatus::Debt);
    let other = scene.part("other").clone();
    scene.happen(Happened::Withdrawn { part: other.part, serial: 1 });
    assert_eq!(scene.status(""), PartStatus::Debt);
}

#[test]
fn a_late_result_of_a_failed_attempt_is_undone_while_the_next_one_goes_on() {
    let mut scene = failed_once();
    let first = scene.at("ready › customer");
    for steps in ["ready › payment", "ready › address", "ready › customer"] {
        scene.undo(steps);
    }
    scene.due();
    scene.happen(Happened::Orphaned { part: first, output: Some(json!({ "id": "late" })) });
    let undo = scene.open.get(&first).expect("it is asked for").clone();
    assert_eq!(undo.operation, Operation::Undo);
    scene.produce("ready › customer");
    assert!(scene.asked().contains(&"produce ready › payment".to_owned()), "{:?}", scene.asked());
    let attempt = Attempt { part: first, serial: undo.serial, number: 1 };
    scene.happen(Happened::Answered {
        attempt,
        session: SessionId(Uuid::nil()),
        by: by(),
        answer: Answer::Undone,
    });
    assert_eq!(scene.tree.parts[first as usize].status, PartStatus::Gone);
    assert!(scene.outcomes.is_empty());
}

#[test]
fn a_running_attempt_of_a_failed_one_is_waited_for() {
    let mut scene = outer(MAKE_AND_UNDO);
    scene.produce("ready › customer");
    exhaust(&mut scene, "ready › payment");
    let withdrawn: Vec<u32> = scene.withdrawn.iter().map(|task| task.part).collect();
    assert_eq!(withdrawn, [scene.at("ready › address")]);
    assert!(undos(&scene).is_empty(), "{:?}", scene.asked());
    scene.produce("ready › address");
    assert_eq!(undos(&scene), ["undo ready › payment"]);
}

#[test]
fn the_time_of_the_step_covers_all_its_attempts() {
    let landscape = shop(MAKE_AND_UNDO).scenario(
        "scenario: a/outer\nowner: { team: A }\nsteps:\n  ready: { uses: checkout/ready-customer, with: {}, timeout_s: 10, \
         retry: { max_attempts: 9, first_delay_ms: 4000, max_delay_ms: 4000 } }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/outer", json!({}));
    exhaust(&mut scene, "ready › customer");
    scene.undo("ready › customer");
    scene.due();
    assert_eq!(scene.now.to_string(), "2026-01-01T00:00:03Z");
    scene.due();
    assert_eq!(scene.now.to_string(), "2026-01-01T00:00:10Z");
    let failure = scene.failure();
    assert_eq!((failure.class, failure.attempts), (FailureClass::Timeout, 2));
    assert_eq!(failure.path, "ready › checkout/ready-customer@1");
    assert_eq!(failure.retried[0].attempts, 2);
}

#[test]
fn an_attempt_for_which_no_time_is_left_is_not_begun() {
    let landscape = shop(MAKE_AND_UNDO).scenario(
        "scenario: a/outer\nowner: { team: A }\nsteps:\n  ready: { uses: checkout/ready-customer, with: {}, timeout_s: 2, \
         retry: { max_attempts: 9, first_delay_ms: 4000, max_delay_ms: 4000 } }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/outer", json!({}));
    exhaust(&mut scene, "ready › customer");
    assert!(scene.outcomes.is_empty());
    scene.undo("ready › customer");
    assert_eq!(scene.failure().class, FailureClass::Unavailable, "the cause, not the time");
    assert_eq!(scene.status(""), PartStatus::Failed);
}

#[test]
fn a_step_out_of_time_says_what_its_retry_waits_for() {
    let landscape = shop(MAKE_AND_UNDO).scenario(
        "scenario: a/outer\nowner: { team: A }\nsteps:\n  ready: { uses: checkout/ready-customer, with: {}, timeout_s: 2, \
         retry: { max_attempts: 9, first_delay_ms: 100, max_delay_ms: 100 } }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/outer", json!({}));
    exhaust(&mut scene, "ready › customer");
    scene.due();
    let failure = scene.failure();
    assert_eq!(failure.class, FailureClass::Timeout);
    let doing = "it was waiting for the undo of attempt 1, which had failed: the domain says no";
    assert!(failure.message.ends_with(doing), "{}", failure.message);
    // The undo that was under way goes on, and is asked for once.
    assert_eq!(scene.asked(), ["undo ready › customer"]);
    scene.undo("ready › customer");
    assert_eq!(scene.status(""), PartStatus::Failed);
}

#[test]
fn a_scenario_out_of_its_own_time_is_made_anew_with_new_time() {
    let landscape = Landscape::default().capability("a/a", MAKE).scenario(
        "scenario: a/quick\nowner: { team: A }\ntimeout_s: 3\nsteps:\n  a: { uses: a/a, with: {} }\noutput: {}\n",
    );
    let landscape = landscape.scenario(
        "scenario: a/outer\nowner: { team: A }\nsteps:\n  quick: { uses: a/quick, with: {}, \
         retry: { max_attempts: 2, first_delay_ms: 1000, max_delay_ms: 1000 } }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/outer", json!({}));
    scene.due();
    let lost = scene.attempt("quick › a");
    scene.happen(Happened::Crashed(lost));
    scene.due();
    assert_eq!((scene.now - scene.part("quick › a").created_at).get_seconds(), 0);
    scene.due();
    assert_eq!(scene.failure().class, FailureClass::Timeout);
    assert_eq!(scene.failure().retried[0].attempts, 2);
    assert_eq!(scene.now.to_string(), "2026-01-01T00:00:06.75Z");
}

#[test]
fn an_inner_step_out_of_time_lets_the_scenario_around_it_try_again() {
    let landscape = Landscape::default().capability("a/a", MAKE_AND_UNDO).scenario(
        "scenario: a/inner\nowner: { team: A }\nsteps:\n  a: { uses: a/a, with: {}, timeout_s: 3 }\noutput: {}\n",
    );
    let landscape = landscape.scenario(
        "scenario: a/outer\nowner: { team: A }\nsteps:\n  inner: { uses: a/inner, with: {}, retry: { max_attempts: 2 } }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/outer", json!({}));
    scene.due();
    scene.fail("inner › a", false);
    scene.due();
    assert_eq!(scene.asked(), ["produce inner › a"]);
    scene.produce("inner › a");
    assert_eq!(scene.status(""), PartStatus::Ready);
}

const NESTED: &str = r#"
scenario: a/top
owner: { team: A }
steps:
  middle: { uses: a/middle, with: {}, retry: { max_attempts: 2, first_delay_ms: 10, max_delay_ms: 10 } }
output: {}
"#;

#[test]
fn inner_attempts_are_used_up_before_outer_ones_and_begin_anew_with_each() {
    let landscape = Landscape::default()
        .capability("a/a", MAKE)
        .scenario("scenario: a/inner\nowner: { team: A }\nsteps:\n  a: { uses: a/a, with: {} }\noutput: {}\n")
        .scenario(
            "scenario: a/middle\nowner: { team: A }\nsteps:\n  inner: { uses: a/inner, with: {}, \
             retry: { max_attempts: 2, first_delay_ms: 10, max_delay_ms: 10 } }\noutput: {}\n",
        )
        .scenario(NESTED);
    let mut scene = Scene::begin(landscape, "a/top", json!({}));
    for (middle, inner) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        assert_eq!(scene.part("middle › inner").attempts_before, middle);
        assert_eq!(scene.part("middle › inner › a").attempts_before, inner);
        exhaust(&mut scene, "middle › inner › a");
        if (middle, inner) != (1, 1) {
            scene.due();
        }
    }
    let counts: Vec<(&str, u32)> =
        scene.failure().retried.iter().map(|retried| (retried.path.as_str(), retried.attempts)).collect();
    assert_eq!(counts, [("middle › inner › a/inner@1", 2), ("middle › a/middle@1", 2)]);
}

#[test]
fn one_dataset_of_a_loop_is_made_anew_in_its_place() {
    let landscape = Landscape::default()
        .capability("a/a", MAKE)
        .scenario("scenario: a/inner\nowner: { team: A }\ninput: { type: object }\nsteps:\n  a: { uses: a/a, with: {} }\noutput: { id: \"${{ steps.a.id }}\" }\n")
        .scenario(
            "scenario: a/many\nowner: { team: A }\nsteps:\n  each: { uses: a/inner, for_each: \"[1, 2]\", with: {}, \
             retry: { max_attempts: 2, first_delay_ms: 10, max_delay_ms: 10 } }\noutput: { all: \"${{ steps.each }}\" }\n",
        );
    let mut scene = Scene::begin(landscape, "a/many", json!({}));
    exhaust(&mut scene, "each[0] › a");
    assert_eq!((scene.part("each[0]").failed_attempts, scene.part("each[1]").failed_attempts), (1, 0));
    scene.produce("each[1] › a");
    scene.due();
    scene.produce("each[0] › a");
    let all = json!({ "all": [{ "id": "each[0] › a" }, { "id": "each[1] › a" }] });
    assert_eq!(scene.part("").output.as_deref(), Some(&all));
}

#[test]
fn a_request_that_ends_in_between_takes_down_what_is_left() {
    let mut scene = failed_once();
    scene.undo("ready › payment");
    scene.happen(Happened::Unwanted);
    assert_eq!(undos(&scene), ["undo ready › address"], "the undo that was asked for goes on");
    scene.undo("ready › address");
    scene.happen(Happened::Withdrawn { part: scene.at("other"), serial: 1 });
    scene.undo("ready › customer");
    assert_eq!((scene.status(""), scene.tree.due_at()), (PartStatus::Gone, None));
}

#[test]
fn what_an_orchestrator_obtained_is_taken_down_with_the_attempt_and_obtained_anew() {
    let landscape = Landscape::default()
        .capability("qa/pair", MAKE_AND_UNDO)
        .capability("a/a", MAKE_AND_UNDO)
        .scenario("scenario: a/inner\nowner: { team: A }\nsteps:\n  pair: { uses: qa/pair, with: {} }\noutput: {}\n")
        .scenario(
            "scenario: a/outer\nowner: { team: A }\nsteps:\n  inner: { uses: a/inner, with: {}, retry: { max_attempts: 2 } }\noutput: {}\n",
        );
    let mut scene = Scene::begin(landscape, "a/outer", json!({}));
    let child = Wish { name: "child".to_owned(), contract: "a/a".parse().expect("a name"), input: json!({}) };
    let obtain = || Answer::Obtain { children: vec![child.clone()] };
    scene.answer("inner › pair", obtain());
    scene.produce("inner › pair › child");
    let first = scene.at("inner › pair › child");
    exhaust(&mut scene, "inner › pair");
    scene.undo("inner › pair");
    assert_eq!(scene.asked(), ["undo inner › pair › child"]);
    scene.undo("inner › pair › child");
    scene.due();
    scene.answer("inner › pair", obtain());
    assert!(scene.at("inner › pair › child") > first);
    scene.produce("inner › pair › child");
    scene.produce("inner › pair");
    assert_eq!(scene.status(""), PartStatus::Ready);
}

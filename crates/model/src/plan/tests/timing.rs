//! Time: what a step, or a scenario as a step, may take in all.

use super::*;

const SLOW: &str = "scenario: a/slow\nowner: { team: A }\nsteps:\n  slow: { uses: a/a, with: {}, timeout_s: 2 }\noutput: {}\n";

fn slow() -> Scene {
    let landscape = Landscape::default().capability("a/a", MAKE_AND_UNDO).scenario(SLOW);
    Scene::begin(landscape, "a/slow", json!({}))
}

fn again() -> Answer {
    Answer::Again { after_ms: 60_000, state: None, message: Some("the bank has not called".to_owned()) }
}

fn attempt(number: u32, since: Timestamp) -> Standing {
    Standing::Claimed { attempt: number, since: Some(since) }
}

#[test]
fn a_step_that_is_not_made_in_time_fails_and_says_what_it_was_doing() {
    type Situation = (&'static str, fn(&mut Scene) -> Option<Standing>, &'static str, u32);
    let situations: [Situation; 6] = [
        (
            "nobody is there",
            |_| Some(Standing::Unclaimed { served: false }),
            "it was waiting for a supplier of a/a@1 since 2026-01-01T00:00:00Z: none is connected",
            0,
        ),
        (
            "all are busy",
            |_| Some(Standing::Unclaimed { served: true }),
            "it was waiting for a free slot for `produce` since 2026-01-01T00:00:00Z",
            0,
        ),
        (
            "the first attempt runs",
            |scene| Some(attempt(1, scene.now)),
            "it had attempt 1 of `produce` running since 2026-01-01T00:00:00Z",
            1,
        ),
        (
            "another attempt runs",
            |scene| {
                scene.fail("slow", true);
                scene.pass_ms(1_000);
                Some(attempt(2, scene.now))
            },
            "it had attempt 2 of `produce` running since 2026-01-01T00:00:01Z (a/a said last: the domain says no)",
            2,
        ),
        (
            "it is to be asked again later",
            |scene| {
                scene.answer("slow", again());
                Some(Standing::Unclaimed { served: true })
            },
            "it was pausing until 2026-01-01T00:01:00Z before attempt 1 of `produce` (a/a said last: the bank has not called)",
            0,
        ),
        (
            "the store says nothing",
            |_| None,
            "it was waiting for attempt 1 of `produce` since 2026-01-01T00:00:00Z",
            0,
        ),
    ];
    for (name, situation, doing, attempts) in situations {
        let mut scene = slow();
        let standing = situation(&mut scene);
        let open = standing.map(|standing| scene.standing("slow", standing)).into_iter().collect();
        scene.due_with(open);
        assert_eq!(scene.now.to_string(), "2026-01-01T00:00:02Z", "{name}");
        let failure = scene.failure();
        assert_eq!((failure.class, failure.path.as_str()), (FailureClass::Timeout, "slow › a/a@1"), "{name}");
        let message = format!("step `slow` was not made within its `timeout_s` of 2 s: {doing}");
        assert_eq!((&failure.message, failure.attempts), (&message, attempts), "{name}");
        assert_eq!(scene.withdrawn.len(), 1, "{name}: whoever works on it hears that nobody wants it");
    }
}

#[test]
fn a_step_that_is_to_be_asked_again_is_not_asked_before_its_time() {
    let mut scene = slow();
    scene.answer("slow", again());
    let ready_at = scene.open[&scene.at("slow")].ready_at;
    assert_eq!(ready_at.duration_since(scene.now).as_secs(), 60);
    assert_eq!(scene.tree.due_at().expect("a deadline").duration_since(scene.now).as_secs(), 2);
}

#[test]
fn an_answer_behind_the_deadline_comes_too_late_and_is_undone() {
    let mut scene = slow();
    scene.pass_ms(2_000);
    scene.produce("slow");
    assert_eq!(scene.failure().class, FailureClass::Timeout);
    let message =
        "step `slow` was not made within its `timeout_s` of 2 s: it had attempt 1 of `produce` running";
    assert_eq!((scene.failure().message.as_str(), scene.failure().attempts), (message, 1));
    assert_eq!(scene.asked(), ["undo slow"]);
    assert_eq!(scene.part("slow").to_undo(), Some(&json!({ "id": "slow" })));
}

#[test]
fn an_answer_just_before_the_deadline_makes_the_step_and_ends_its_time() {
    let mut scene = slow();
    scene.pass_ms(1_999);
    scene.produce("slow");
    assert_eq!((scene.status(""), scene.tree.due_at()), (PartStatus::Ready, None));
}

#[test]
fn what_a_cancelled_attempt_may_have_made_is_undone() {
    let mut scene = slow();
    let lost = scene.attempt("slow");
    scene.due();
    assert_eq!(scene.asked(), ["produce slow"], "the attempt is waited for");
    scene.happen(Happened::TimedOut(lost));
    assert_eq!(scene.asked(), ["undo slow"]);
    assert_eq!(scene.part("slow").to_undo(), None, "it goes by the key");
    scene.undo("slow");
    assert_eq!(scene.status(""), PartStatus::Failed);
}

const OUTER: &str = r#"
scenario: checkout/outer
owner: { team: Checkout }
steps:
  before: { uses: customer/active-customer, with: {} }
  ready:  { uses: checkout/ready-customer, with: {}, needs: [before], timeout_s: 30 }
output: {}
"#;

#[test]
fn the_time_of_a_step_that_uses_a_scenario_covers_all_that_is_inside() {
    let mut scene = Scene::begin(shop(MAKE_AND_UNDO).scenario(OUTER), "checkout/outer", json!({}));
    assert_eq!(scene.tree.due_at(), None, "its time begins with the step");
    scene.pass_ms(60_000);
    scene.produce("before");
    scene.produce("ready › customer");
    scene.pass_ms(20_000);
    scene.produce("ready › address");
    let running = scene.standing("ready › payment", attempt(1, scene.now));
    scene.due_with(vec![running]);
    let failure = scene.failure();
    assert_eq!(
        (failure.class, failure.path.as_str()),
        (FailureClass::Timeout, "ready › checkout/ready-customer@1")
    );
    assert_eq!(
        failure.message,
        "step `ready` was not made within its `timeout_s` of 30 s: ready › payment › billing/payment-account@1 \
         had attempt 1 of `produce` running since 2026-01-01T00:01:20Z"
    );
    assert_eq!(scene.asked(), ["produce ready › payment"]);
    scene.produce("ready › payment");
    for steps in ["ready › payment", "ready › address", "ready › customer", "before"] {
        assert_eq!(scene.asked(), [format!("undo {steps}")]);
        scene.undo(steps);
    }
    assert_eq!(scene.status(""), PartStatus::Failed);
}

#[test]
fn each_dataset_of_a_loop_has_its_own_time() {
    let landscape = Landscape::default().capability("a/a", MAKE_AND_UNDO).scenario(
        "scenario: a/many\nowner: { team: A }\nsteps:\n  each: { uses: a/a, for_each: \"[1, 2]\", with: {}, timeout_s: 5 }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/many", json!({}));
    scene.produce("each[0]");
    scene.due();
    assert_eq!(scene.failure().path, "each[1] › a/a@1");
    assert!(
        scene.failure().message.starts_with("step `each[1]` was not made"),
        "{}",
        scene.failure().message
    );
}

const QUICK: &str =
    "scenario: a/quick\nowner: { team: A }\ntimeout_s: 3\nsteps:\n  a: { uses: a/a, with: {} }\noutput: {}\n";

#[test]
fn a_scenario_holds_its_own_time_also_as_a_step() {
    let landscape = Landscape::default().capability("a/a", MAKE).scenario(QUICK).scenario(
        "scenario: a/around\nowner: { team: A }\nsteps:\n  quick: { uses: a/quick, with: {}, timeout_s: 9 }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/around", json!({}));
    scene.due();
    assert_eq!(scene.now.to_string(), "2026-01-01T00:00:03Z");
    let message =
        "a/quick was not made within its own `timeout_s` of 3 s: quick › a › a/a@1 was waiting for attempt 1";
    assert!(scene.failure().message.starts_with(message), "{}", scene.failure().message);
    assert_eq!(scene.failure().path, "quick › a/quick@1");
}

#[test]
fn the_time_of_a_root_is_that_of_its_request_unless_it_has_less() {
    let landscape = || Landscape::default().capability("a/a", MAKE).scenario(QUICK);
    let scene = Scene::begin(landscape(), "a/quick", json!({}));
    assert_eq!(scene.tree.due_at(), None);
    let until = start().checked_add(SignedDuration::from_secs(3)).ok();
    let new = NewTree { until, ..new_tree(&landscape(), "a/quick", json!({})) };
    let mut scene = Scene::begin_with(landscape(), new.clone());
    scene.due();
    assert_eq!((scene.failure().class, scene.failure().path.as_str()), (FailureClass::Timeout, "a/quick@1"));
    let message =
        "a/quick was not made within its own `timeout_s` of 3 s: a › a/a@1 was waiting for attempt 1";
    assert!(scene.failure().message.starts_with(message), "{}", scene.failure().message);
    let mut scene = Scene::begin_with(landscape(), new);
    scene.produce("a");
    assert_eq!(
        (scene.status(""), scene.tree.due_at()),
        (PartStatus::Ready, None),
        "it waits for its siblings"
    );
}

#[test]
fn a_retry_that_would_come_too_late_is_not_made() {
    let mut scene = slow();
    scene.pass_ms(1_999);
    scene.fail("slow", true);
    assert_eq!((scene.failure().class, scene.failure().attempts), (FailureClass::Unavailable, 1));
}

#[test]
fn a_step_overrides_the_retry_of_its_capability() {
    let landscape = Landscape::default().capability("a/a", MAKE).scenario(
        "scenario: a/once\nowner: { team: A }\nsteps:\n  once: { uses: a/a, with: {}, retry: { max_attempts: 1 } }\n  \
         often: { uses: a/a, with: {}, retry: { max_attempts: 5, first_delay_ms: 40, max_delay_ms: 40 } }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/once", json!({}));
    for _ in 0..4 {
        scene.fail("often", true);
        let ready_at = scene.open[&scene.at("often")].ready_at;
        assert_eq!(ready_at.duration_since(scene.now), SignedDuration::from_millis(30));
    }
    scene.fail("once", true);
    assert_eq!((scene.failure().path.as_str(), scene.failure().attempts), ("once › a/a@1", 1));
}

#[test]
fn the_checks_of_a_scenario_are_part_of_the_time_of_its_step() {
    let landscape = shop(ALL).scenario(
        "scenario: a/outer\nowner: { team: A }\nsteps:\n  ready: { uses: checkout/ready-customer, with: {}, timeout_s: 30 }\n  \
         then:  { uses: customer/active-customer, with: {}, needs: [ready] }\noutput: {}\n",
    );
    let mut scene = Scene::begin(landscape, "a/outer", json!({}));
    for steps in ["customer", "payment", "address", "order"] {
        scene.produce(&format!("ready › {steps}"));
    }
    for steps in ["customer", "payment", "address"] {
        scene.check(&format!("ready › {steps}"), Verdict::Valid, json!({}));
    }
    scene.answer(
        "ready › order",
        Answer::Checked { verdict: Verdict::Invalid, facts: None, message: Some("not yet".to_owned()) },
    );
    scene.pass_ms(29_000);
    let running = scene.standing("ready › order", attempt(1, scene.now));
    scene.due_with(vec![running]);
    let message = "ready › order › order/prepared-order@1 had attempt 1 of `check` running since 2026-01-01T00:00:29Z \
                   (order/prepared-order said last: not yet)";
    assert!(scene.failure().message.ends_with(message), "{}", scene.failure().message);
}

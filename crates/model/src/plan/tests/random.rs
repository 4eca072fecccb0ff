//! Whatever suppliers do, in whatever order: every tree comes to an end and no effect is forgotten.

use proptest::prelude::*;

use super::extending::{extend, lease};
use super::*;

/// What may happen next; the number chooses among the open tasks.
#[derive(Debug, Clone)]
enum Move {
    Done(u8),
    Fail(u8, bool),
    Crash(u8),
    Again(u8),
    Late(u8),
    Withdraw(u8),
    Owe(u8),
    Unwanted,
    Extend(bool),
    EndLease,
    Pass,
    Due,
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        6 => any::<u8>().prop_map(Move::Done),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(which, retryable)| Move::Fail(which, retryable)),
        2 => any::<u8>().prop_map(Move::Crash),
        1 => any::<u8>().prop_map(Move::Again),
        1 => any::<u8>().prop_map(Move::Late),
        1 => any::<u8>().prop_map(Move::Withdraw),
        1 => any::<u8>().prop_map(Move::Owe),
        1 => Just(Move::Unwanted),
        4 => any::<bool>().prop_map(Move::Extend),
        1 => Just(Move::EndLease),
        1 => Just(Move::Pass),
        2 => Just(Move::Due),
    ]
}

/// Effects that suppliers have made and not undone, by part and output.
type Effects = BTreeMap<u32, Vec<Value>>;

fn play(scene: &mut Scene, effects: &mut Effects, step: &Move) {
    let open: Vec<ReadyTask> = scene.open.values().cloned().collect();
    let pick = |which: u8| open.get(usize::from(which) % open.len().max(1)).cloned();
    let output = |part: u32| json!({ "id": format!("made by {part}") });
    match step {
        Move::Done(which) => {
            let Some(ready) = pick(*which) else { return };
            let answer = match ready.operation {
                Operation::Produce => {
                    effects.entry(ready.part).or_default().push(output(ready.part));
                    Answer::Produced { output: output(ready.part), facts: None }
                }
                // It has something every other time.
                Operation::Find if which % 2 == 0 => {
                    let existing = format!("existing {}", scene.tree.parts[ready.part as usize].finds());
                    Answer::Produced { output: json!({ "id": existing }), facts: None }
                }
                Operation::Find => Answer::Nothing { message: None },
                Operation::Check => {
                    Answer::Checked { verdict: Verdict::Valid, facts: Some(json!({})), message: None }
                }
                Operation::Undo => {
                    // Undo is told an output, or goes by the key and then undoes all that the key has made.
                    let told = scene.tree.parts[ready.part as usize].to_undo().cloned();
                    let made = effects.entry(ready.part).or_default();
                    made.retain(|effect| told.as_ref().is_some_and(|told| told != effect));
                    Answer::Undone
                }
            };
            scene.answer_at(ready.part, answer);
        }
        Move::Fail(which, retryable) => {
            let Some(ready) = pick(*which) else { return };
            // A failed undo for good is a debt: accounted for by being listed.
            scene.answer_at(ready.part, no(*retryable || ready.operation == Operation::Undo));
        }
        Move::Crash(which) => {
            let Some(ready) = pick(*which) else { return };
            if ready.operation == Operation::Produce {
                effects.entry(ready.part).or_default().push(output(ready.part));
            }
            let attempt = scene.attempt_at(ready.part);
            scene.happen(Happened::Crashed(attempt));
        }
        Move::Again(which) => {
            let Some(ready) = pick(*which).filter(|ready| ready.operation == Operation::Produce) else {
                return;
            };
            // What it waits for has begun.
            effects.entry(ready.part).or_default().push(output(ready.part));
            scene.answer_at(ready.part, Answer::Again { after_ms: 10, state: None, message: None });
        }
        Move::Late(which) => {
            let may_have_made = |part: &&Part| part.serials > part.finds() && !part.origin.existed();
            let leaves: Vec<u32> =
                scene.tree.parts.iter().filter(may_have_made).map(|part| part.part).collect();
            let Some(part) = leaves.get(usize::from(*which) % leaves.len().max(1)).copied() else { return };
            let output = json!({ "id": format!("late {part}") });
            effects.entry(part).or_default().push(output.clone());
            scene.happen(Happened::Orphaned { part, output: Some(output) });
        }
        Move::Withdraw(which) => {
            let Some(ready) = pick(*which) else { return };
            // The store takes back only what the planner has withdrawn and nobody has claimed.
            scene.happen(Happened::Withdrawn { part: ready.part, serial: ready.serial });
        }
        Move::Owe(which) => {
            let Some(ready) = pick(*which).filter(|ready| ready.operation == Operation::Undo) else { return };
            scene.answer_at(ready.part, no(false));
        }
        // The store tells it of no dataset that is leased.
        Move::Unwanted if scene.tree.lease.is_some() => {}
        Move::Unwanted => scene.happen(Happened::Unwanted),
        Move::Extend(by_scenario) => {
            if scene.status("") == PartStatus::Ready && scene.tree.ending.is_none() {
                lease(scene);
            }
            let contract = if *by_scenario { "checkout/ready-customer" } else { "order/prepared-order" };
            extend(scene, contract, json!({}));
        }
        Move::EndLease if scene.tree.lease.is_some() => scene.happen(Happened::LeaseEnded { keep: true }),
        Move::EndLease => {}
        Move::Pass => scene.pass_ms(1_000),
        Move::Due if scene.tree.due_at().is_some() => scene.due(),
        Move::Due => {}
    }
}

fn finish(scene: &mut Scene, effects: &mut Effects) {
    for round in 0.. {
        assert!(round < 5_000, "it never ends: {:?}", scene.asked());
        if !scene.open.is_empty() {
            play(scene, effects, &Move::Done(0));
        } else if scene.tree.due_at().is_some() {
            scene.due();
        } else if scene.tree.ending.is_none() {
            scene.happen(Happened::LeaseEnded { keep: false });
        } else {
            return;
        }
    }
}

/// Everything is over, and every effect is undone or listed.
fn over(scene: &Scene, effects: &Effects) -> Result<(), TestCaseError> {
    prop_assert!(scene.tree.root().status.ended(), "{:?}", scene.tree.root().status);
    for part in &scene.tree.parts {
        prop_assert!(part.status.ended() && part.task.is_none(), "{:?}", part);
        let left = effects.get(&part.part).map_or(0, Vec::len);
        prop_assert!(left == 0 || part.status == PartStatus::Debt, "{left} effects left: {:?}", part);
    }
    let ready = scene.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Ready(_))).count();
    prop_assert!(ready <= 1);
    prop_assert_eq!(scene.tree.due_at(), None);
    Ok(())
}

/// Two scenarios one in the other, both tried again, one of them in limited time.
const PATIENT: &str = r#"
scenario: checkout/patient
owner: { team: Checkout }
steps:
  middle: { uses: checkout/middle, with: {}, retry: { max_attempts: 3, first_delay_ms: 100, max_delay_ms: 1000 } }
  other:  { uses: a/other, with: {}, timeout_s: 60 }
output: {}
"#;

const MIDDLE: &str = r#"
scenario: checkout/middle
owner: { team: Checkout }
timeout_s: 40
steps:
  ready: { uses: checkout/ready-customer, with: {}, timeout_s: 20, retry: { max_attempts: 2 } }
  extra: { uses: a/other, with: { id: "${{ steps.ready.order_id }}" }, timeout_s: 10 }
output: {}
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_tree_ends_and_every_effect_is_undone_or_owed(moves in proptest::collection::vec(any_move(), 0..60)) {
        let mut scene = Scene::begin(shop(ALL), "checkout/ready-customer", json!({}));
        let mut effects = Effects::new();
        for step in &moves {
            play(&mut scene, &mut effects, step);
        }
        finish(&mut scene, &mut effects);
        over(&scene, &effects)?;
    }

    #[test]
    fn what_was_handed_over_stays_as_it_is_whatever_becomes_of_extensions(
        moves in proptest::collection::vec(any_move(), 0..120),
    ) {
        let mut scene = Scene::begin(shop(ALL), "checkout/ready-customer", json!({}));
        let mut effects = Effects::new();
        while scene.outcomes.is_empty() {
            play(&mut scene, &mut effects, &Move::Done(0));
        }
        lease(&mut scene);
        let handed_over = scene.tree.parts.len();
        for step in &moves {
            play(&mut scene, &mut effects, step);
            if scene.tree.ending.is_some() {
                break;
            }
            prop_assert_eq!(scene.status(""), PartStatus::Leased);
            for part in &scene.tree.parts[1..handed_over] {
                prop_assert!(part.status == PartStatus::Ready && part.failure.is_none(), "{:?}", part);
            }
            let under_way = scene.tree.extensions().filter(|part| part.is_being_made()).count();
            prop_assert!(under_way <= 1);
        }
        finish(&mut scene, &mut effects);
        over(&scene, &effects)?;
    }

    #[test]
    fn what_was_there_before_is_never_undone(moves in proptest::collection::vec(any_move(), 0..60)) {
        let mut landscape = shop(ALL);
        landscape.add(capability("customer/found", &["produce", "check", "undo", "find"], json!({})));
        let new = new_tree(&landscape, "customer/found", json!({}));
        let mut scene = Scene::begin_with(landscape, NewTree { beginning: Beginning::Find, ..new });
        let mut effects = Effects::new();
        for step in &moves {
            play(&mut scene, &mut effects, step);
            for task in scene.open.values().filter(|task| task.operation == Operation::Undo) {
                let part = &scene.tree.parts[task.part as usize];
                prop_assert!(!part.origin.existed(), "{:?}", part);
                let told = part.to_undo().map(ToString::to_string).unwrap_or_default();
                prop_assert!(!told.contains("existing"), "{}", told);
            }
        }
        finish(&mut scene, &mut effects);
        over(&scene, &effects)?;
    }

    #[test]
    fn the_same_holds_while_failed_attempts_are_taken_down_and_time_runs_out(
        moves in proptest::collection::vec(any_move(), 0..120),
    ) {
        let landscape = shop(ALL).capability("a/other", ALL).scenario(PATIENT).scenario(MIDDLE);
        let mut scene = Scene::begin(landscape, "checkout/patient", json!({}));
        let mut effects = Effects::new();
        for step in &moves {
            play(&mut scene, &mut effects, step);
            for part in scene.tree.parts.iter().filter(|part| part.status == PartStatus::Ready) {
                let in_time = part.deadline_at.zip(part.ready_at).is_none_or(|(deadline, at)| at < deadline);
                prop_assert!(in_time, "{:?}", part);
            }
        }
        finish(&mut scene, &mut effects);
        over(&scene, &effects)?;
    }
}

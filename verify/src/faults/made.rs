//! Made: what was really made and undone behind the suppliers, against what the servers have recorded (I8, I9, I10).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::moments::micros;
use crate::effects::Effect;

/// A task may be carried out so long after its result was recorded, by whom stood still or whose answer was lost on the way: longer
/// than anything stands still.
const STRAGGLER_US: u64 = 5_000_000;

/// Each step of the scenario that relies on another one.
const RELIES_ON: [(&str, &str); 3] = [("second", "first"), ("beside", "first"), ("third", "second")];

/// A result as the events tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recorded {
    at_us: u64,
    attempt: u64,
}

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// How many results were held against what the part says that it was made as.
    pub(crate) results: usize,
    /// How many parts were held against what they rely on.
    pub(crate) relying: usize,
}

/// I8: what every part was recorded as, by the part. Results that were recorded twice, or that cannot be read, are wrong.
pub(crate) fn recorded(events: &[Value], wrong: &mut Vec<String>) -> BTreeMap<String, Recorded> {
    let mut recorded = BTreeMap::new();
    for event in events.iter().filter(|event| event["kind"] == "task.done" && event["operation"] == "produce")
    {
        let at_us = event["at"].as_str().and_then(micros);
        let (Some(part), Some(at_us), Some(attempt)) =
            (event["dataset_id"].as_str(), at_us, event["attempt"].as_u64())
        else {
            wrong.push(format!("an event does not say what was made, when, and by which attempt: {event}"));
            continue;
        };
        if let Some(before) = recorded.insert(part.to_owned(), Recorded { at_us, attempt }) {
            wrong.push(format!(
                "the result of part {part} was recorded more than once: {before:?} and {event}"
            ));
        }
    }
    recorded
}

/// I8: what is recorded was made, under the key that is the part's own, and nobody was asked to make it again after that.
pub(crate) fn made_once(
    recorded: &BTreeMap<String, Recorded>,
    effects: &BTreeMap<String, Effect>,
    wrong: &mut Vec<String>,
) {
    for (part, recorded) in recorded {
        let Some(effect) = effects.get(part).filter(|effect| effect.made > 0) else {
            wrong.push(format!("part {part} was recorded as made, and nobody made it"));
            continue;
        };
        // Attempts are counted when they are handed out.
        if effect.attempt > recorded.attempt || effect.last_made_us > recorded.at_us + STRAGGLER_US {
            wrong.push(format!("part {part} was made once more after {recorded:?}: {effect:?}"));
        }
    }
}

/// I8 and I9: every part says that it was made as what was recorded, and from what the part was recorded as that it relies on; nothing
/// was made before that was recorded.
pub(crate) fn as_recorded(
    datasets: &[Value],
    recorded: &BTreeMap<String, Recorded>,
    effects: &BTreeMap<String, Effect>,
    wrong: &mut Vec<String>,
) -> Compared {
    let mut compared = Compared::default();
    let mut known = BTreeSet::new();
    for dataset in datasets {
        let parts = leaves(dataset);
        for part in &parts {
            let Some(id) = part["id"].as_str() else {
                wrong.push(format!("a part without an id: {part}"));
                continue;
            };
            known.insert(id.to_owned());
            if let Some(recorded) = recorded.get(id) {
                compared.results += 1;
                let output = &part["output"];
                if output["id"] != id || output["attempt"].as_u64() != Some(recorded.attempt) {
                    wrong.push(format!("part {id} was recorded as {recorded:?}, and says {output}"));
                }
            }
            // What was only ever undone was asked for, and never begun as far as its supplier knows.
            if let Some(effect) = effects.get(id).filter(|effect| effect.made > 0) {
                compared.relying += usize::from(effect.after.is_some());
                wrong.extend(relied(part, id, effect, &parts, recorded));
            }
        }
    }
    let strange = effects.keys().chain(recorded.keys()).filter(|key| !known.contains(*key));
    wrong.extend(strange.map(|key| format!("{key} was made, and is a part of nothing")));
    compared
}

/// What is wrong with what a part was made after.
fn relied(
    part: &Value,
    id: &str,
    effect: &Effect,
    parts: &[&Value],
    recorded: &BTreeMap<String, Recorded>,
) -> Option<String> {
    let Some(step) = part["step"].as_str() else { return Some(format!("part {id} belongs to no step")) };
    let needed = RELIES_ON.iter().find(|(relying, _)| *relying == step).map(|(_, needed)| *needed);
    let Some(needed) = needed else {
        let alone = effect.after.is_none() && part["input"]["after"].is_null();
        return (!alone)
            .then(|| format!("part {id} relies on nothing, and was made after {:?}", effect.after));
    };
    let needed = parts.iter().find(|other| other["step"] == needed && other["attempt"] == part["attempt"]);
    let key = needed.and_then(|needed| needed["id"].as_str());
    let Some((needed, key)) = needed.zip(key) else {
        return Some(format!("part {id} was made without what it relies on: {effect:?}"));
    };
    if effect.after.as_deref() != Some(key) || part["input"]["after"] != needed["output"]["id"] {
        return Some(format!(
            "part {id} relies on {key}, which is {}, and was made after {:?} with {}",
            needed["output"], effect.after, part["input"]
        ));
    }
    match recorded.get(key) {
        Some(recorded) if recorded.at_us <= effect.first_made_us => None,
        recorded => Some(format!(
            "part {id} was made at {}, and {key}, which it relies on, was recorded as {recorded:?}",
            effect.first_made_us
        )),
    }
}

/// The parts of a dataset that somebody makes.
fn leaves(dataset: &Value) -> Vec<&Value> {
    let mut leaves = Vec::new();
    let mut to_see = vec![dataset];
    while let Some(node) = to_see.pop() {
        if node["kind"] == "capability" {
            leaves.push(node);
        }
        to_see.extend(node["parts"].as_array().into_iter().flatten());
    }
    leaves
}

/// A supplier that was killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Killed {
    /// Its number.
    pub(crate) process: u32,
    /// When, in microseconds since 1970.
    pub(crate) at_us: u64,
}

/// I10: what is still there at the end is a listed debt: everything was given back or has expired. But for what nobody can know of: a
/// supplier stood still until its attempt was given up and undone, went on, made it, and was killed before it could say so. Returns how
/// many of these there are.
pub(crate) fn left_behind(
    effects: &BTreeMap<String, Effect>,
    debts: &[Value],
    events: &[Value],
    killed: &[Killed],
    wrong: &mut Vec<String>,
) -> usize {
    let mut of_the_dead = 0;
    let mut listed = BTreeSet::new();
    for debt in debts {
        match debt["dataset_id"].as_str() {
            Some(part) => drop(listed.insert(part)),
            None => wrong.push(format!("a debt of no part: {debt}")),
        }
    }
    for (key, effect) in effects.iter().filter(|(_, effect)| effect.there) {
        if listed.contains(key.as_str()) {
            continue;
        }
        if nobody_was_told(key, effect, events) && is_of_the_dead(effect, killed) {
            of_the_dead += 1;
        } else {
            wrong.push(format!("effect {key} is left behind and nobody knows of it: {effect:?}"));
        }
    }
    of_the_dead
}

/// Whether the attempt that has made it was given up before that, and has not answered since.
fn nobody_was_told(key: &str, effect: &Effect, events: &[Value]) -> bool {
    let of_attempt = events.iter().filter(|event| {
        event["dataset_id"] == key
            && event["operation"] == "produce"
            && event["attempt"] == effect.last_attempt
    });
    let mut was_given_up = false;
    for event in of_attempt {
        let is_before =
            event["at"].as_str().and_then(micros).is_some_and(|at_us| at_us <= effect.last_made_us);
        if event["kind"] != "task.lost" || !is_before {
            return false;
        }
        was_given_up = true;
    }
    was_given_up
}

/// Whether it was made behind its undo, by somebody who was killed shortly after.
fn is_of_the_dead(effect: &Effect, killed: &[Killed]) -> bool {
    let shortly = effect.last_made_us..=effect.last_made_us + STRAGGLER_US;
    let was_killed =
        killed.iter().any(|killed| killed.process == effect.last_by && shortly.contains(&killed.at_us));
    effect.undone > 0 && effect.last_undone_us < effect.last_made_us && was_killed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn done(part: &str, at: &str, attempt: u64) -> Value {
        json!({ "kind": "task.done", "operation": "produce", "dataset_id": part, "at": at, "attempt": attempt })
    }

    fn record(events: &[Value]) -> (BTreeMap<String, Recorded>, usize) {
        let mut wrong = Vec::new();
        let recorded = recorded(events, &mut wrong);
        (recorded, wrong.len())
    }

    const SECOND: &str = "1970-01-01T00:00:01Z";

    #[test]
    fn a_result_that_is_recorded_twice_or_cannot_be_read_is_found() {
        assert_eq!(record(&[done("a", SECOND, 1), done("b", SECOND, 1)]).1, 0);
        assert_eq!(record(&[done("a", SECOND, 1), done("a", "1970-01-01T00:00:02Z", 2)]).1, 1);
        let mut event = done("a", SECOND, 1);
        event["attempt"] = Value::Null;
        assert_eq!(record(&[event]).1, 1);
    }

    #[test]
    fn what_is_made_by_nobody_or_once_more_is_found() {
        let recorded = record(&[done("a", SECOND, 2)]).0;
        let wrong = |last_made_us, attempt| {
            let effect = Effect { made: 1, last_made_us, attempt, ..Effect::default() };
            let mut wrong = Vec::new();
            made_once(&recorded, &BTreeMap::from([("a".to_owned(), effect)]), &mut wrong);
            wrong.len()
        };
        assert_eq!(wrong(900_000, 2), 0);
        assert_eq!(wrong(3_000_000, 1), 0, "an earlier attempt that stood still");
        assert_eq!(wrong(1_100_000, 3), 1, "an attempt that was handed out later");
        assert_eq!(wrong(6_000_001, 1), 1);
        let mut told = Vec::new();
        made_once(&recorded, &BTreeMap::new(), &mut told);
        made_once(&recorded, &BTreeMap::from([("a".to_owned(), Effect::default())]), &mut told);
        assert_eq!(told.len(), 2, "it was never made, or only undone");
    }

    /// A dataset of two parts, the second of which relies on the first; both are recorded and made.
    struct Scene {
        dataset: Value,
        recorded: BTreeMap<String, Recorded>,
        effects: BTreeMap<String, Effect>,
    }

    impl Scene {
        fn new() -> Self {
            let part = |id: &str, step: &str, input: Value| json!({ "id": id, "step": step, "kind": "capability", "input": input, "output": { "id": id, "attempt": 1 } });
            let parts = [part("a", "first", json!({})), part("b", "second", json!({ "after": "a" }))];
            let effect = |first_made_us, after: Option<&str>| Effect {
                made: 1,
                first_made_us,
                after: after.map(str::to_owned),
                ..Effect::default()
            };
            Self {
                dataset: json!({ "id": "root", "kind": "scenario", "parts": parts }),
                recorded: record(&[done("a", SECOND, 1), done("b", "1970-01-01T00:00:02Z", 1)]).0,
                effects: BTreeMap::from([
                    ("a".to_owned(), effect(500_000, None)),
                    ("b".to_owned(), effect(1_500_000, Some("a"))),
                ]),
            }
        }

        fn wrong(&self) -> usize {
            let mut wrong = Vec::new();
            as_recorded(std::slice::from_ref(&self.dataset), &self.recorded, &self.effects, &mut wrong);
            wrong.len()
        }
    }

    #[test]
    fn a_part_that_says_something_else_than_was_recorded_is_found() {
        assert_eq!(Scene::new().wrong(), 0);
        let mut scene = Scene::new();
        scene.dataset["parts"][1]["output"]["attempt"] = json!(2);
        assert_eq!(scene.wrong(), 1, "the late result of another attempt");
        let mut scene = Scene::new();
        scene.dataset["parts"][1]["output"]["id"] = json!("c");
        assert_eq!(scene.wrong(), 1);
        let mut scene = Scene::new();
        scene.dataset["parts"][1]["output"] = Value::Null;
        assert_eq!(scene.wrong(), 1);
    }

    #[test]
    fn what_was_made_too_early_or_from_something_else_is_found() {
        let after = |change: &dyn Fn(&mut Scene)| {
            let mut scene = Scene::new();
            change(&mut scene);
            scene.wrong()
        };
        let made = |scene: &mut Scene| scene.effects.get_mut("b").unwrap().first_made_us = 999_999;
        assert_eq!(after(&made), 1, "before the other was recorded");
        assert_eq!(after(&|scene| scene.effects.get_mut("b").unwrap().after = None), 1);
        assert_eq!(after(&|scene| scene.effects.get_mut("b").unwrap().after = Some("c".to_owned())), 1);
        assert_eq!(after(&|scene| scene.effects.get_mut("a").unwrap().after = Some("b".to_owned())), 1);
        assert_eq!(after(&|scene| scene.dataset["parts"][1]["input"]["after"] = json!("c")), 1);
        let forget = |scene: &mut Scene| scene.recorded.retain(|part, _| part != "a");
        assert_eq!(after(&forget), 1, "it was never recorded");
    }

    #[test]
    fn what_was_made_for_nobody_is_found() {
        let mut scene = Scene::new();
        scene.effects.insert("c".to_owned(), Effect::default());
        assert_eq!(scene.wrong(), 1);
    }

    #[test]
    fn what_is_left_and_listed_nowhere_is_found() {
        let effects = BTreeMap::from([("a".to_owned(), Effect { there: true, ..Effect::default() })]);
        let wrong = |debts: &[Value]| {
            let mut wrong = Vec::new();
            left_behind(&effects, debts, &[], &[], &mut wrong);
            wrong.len()
        };
        assert_eq!(wrong(&[json!({ "dataset_id": "a" })]), 0);
        assert_eq!(wrong(&[]), 1);
        assert_eq!(wrong(&[json!({ "dataset_id": "a" }), json!({})]), 1);
    }

    #[test]
    fn only_what_nobody_could_be_told_of_may_be_left() {
        let event = |kind: &str, at: &str, attempt: u64| json!({ "kind": kind, "operation": "produce", "dataset_id": "a", "at": at, "attempt": attempt });
        let effect = Effect {
            there: true,
            made: 1,
            undone: 1,
            last_made_us: 3_000_000,
            last_undone_us: 2_000_000,
            last_attempt: 1,
            last_by: 7,
            ..Effect::default()
        };
        let outcome = |change: &dyn Fn(&mut Effect), events: &[Value], process, at_us| {
            let mut effect = effect.clone();
            change(&mut effect);
            let (effects, mut wrong) = (BTreeMap::from([("a".to_owned(), effect)]), Vec::new());
            let allowed = left_behind(&effects, &[], events, &[Killed { process, at_us }], &mut wrong);
            (allowed, wrong.len())
        };
        let lost = event("task.lost", SECOND, 1);
        let given_up = std::slice::from_ref(&lost);
        let (as_it_was, killed_us) = (&|_: &mut Effect| {}, 3_500_000);
        assert_eq!(outcome(as_it_was, given_up, 7, killed_us), (1, 0));
        assert_eq!(outcome(as_it_was, &[], 7, killed_us), (0, 1), "it was never given up");
        assert_eq!(
            outcome(as_it_was, &[event("task.lost", SECOND, 2)], 7, killed_us),
            (0, 1),
            "another attempt"
        );
        let late = event("task.orphaned", "1970-01-01T00:00:04Z", 1);
        assert_eq!(outcome(as_it_was, &[lost.clone(), late], 7, killed_us), (0, 1), "it has answered");
        let behind = event("task.lost", "1970-01-01T00:00:04Z", 1);
        assert_eq!(outcome(as_it_was, &[behind], 7, killed_us), (0, 1), "it was made before that");
        assert_eq!(outcome(as_it_was, given_up, 8, killed_us), (0, 1), "somebody else was killed");
        assert_eq!(outcome(as_it_was, given_up, 7, 2_999_999), (0, 1), "who was killed makes nothing");
        assert_eq!(outcome(as_it_was, given_up, 7, 8_000_001), (0, 1), "there was time to answer");
        assert_eq!(outcome(&|effect| effect.undone = 0, given_up, 7, killed_us), (0, 1));
        assert_eq!(outcome(&|effect| effect.last_undone_us = 3_000_001, given_up, 7, killed_us), (0, 1));
    }
}

//! Claims: one task, suppliers who may be lost with it in hand and answer all the same, and answers that come late and twice.
//!
//! ```text
//! ready --claim--> claimed (attempt n) --result of attempt n--> recorded
//!   ^                  |                                           ^
//!   \--session lost----/  ... until the attempts are used up ------/   as a failure
//! ```
//!
//! A supplier makes its effect in another system, under a key that is the part's own. Whoever was lost does not know it, and goes on.

use stateright::{Model, Property};

use super::{holds, is_broken};

const SUPPLIERS: usize = 3;

/// Attempts at one part, as a contract allows them.
const ATTEMPTS: u8 = 3;

/// An answer arrives at most so often.
const DELIVERIES: u8 = 2;

/// The conditions of the statements, each of which can be left out.
#[derive(Clone, Copy)]
struct Rules {
    /// A task is handed out only while it is ready.
    claim_only_ready: bool,
    /// A result is written only together with the claim that it belongs to, with its attempt.
    result_needs_its_claim: bool,
    /// A claim whose session is lost is given to somebody else, and a failure when there were enough.
    lost_is_found: bool,
    /// All attempts have the key of the part.
    one_key: bool,
}

const ALL: Rules =
    Rules { claim_only_ready: true, result_needs_its_claim: true, lost_is_found: true, one_key: true };

struct Claims {
    rules: Rules,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Task {
    Ready,
    Claimed { attempt: u8, supplier: usize },
    Recorded,
}

/// What a supplier has in hand, whether or not it is still its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Work {
    Nothing,
    Given { attempt: u8 },
    Made { attempt: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Answer {
    attempt: u8,
    supplier: usize,
    left: u8,
}

/// What is recorded: whose result, or that nobody managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Record {
    Result { attempt: u8, supplier: usize },
    Failure,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    task: Task,
    attempts: u8,
    /// Sessions that the server believes in; a supplier whose session is lost opens another one under another number.
    live: [bool; SUPPLIERS],
    work: [Work; SUPPLIERS],
    answers: Vec<Answer>,
    /// Everything that was ever recorded, in sequence.
    records: Vec<Record>,
    /// Keys under which something was made, in the other system.
    keys: Vec<u8>,
    given_after_record: bool,
    /// What must happen sometimes.
    came_too_late: bool,
    came_twice: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Claim(usize),
    Make(usize),
    Answer(usize),
    /// Its session is lost, and it goes on.
    Lose(usize),
    /// Its session is lost, and it has ended with all that it had in hand.
    End(usize),
    Find,
    Deliver(usize),
}

impl State {
    fn give(&mut self, supplier: usize) {
        self.attempts += 1;
        self.given_after_record |= !self.records.is_empty();
        self.task = Task::Claimed { attempt: self.attempts, supplier };
        self.work[supplier] = Work::Given { attempt: self.attempts };
    }

    fn make(&mut self, rules: Rules, supplier: usize) {
        let Work::Given { attempt } = self.work[supplier] else { return };
        let key = if rules.one_key { 0 } else { attempt };
        if !self.keys.contains(&key) {
            self.keys.push(key);
            self.keys.sort_unstable();
        }
        self.work[supplier] = Work::Made { attempt };
    }

    /// A claim whose session is gone, as the sweep finds it.
    fn find(&mut self) {
        if self.attempts < ATTEMPTS {
            self.task = Task::Ready;
        } else {
            self.task = Task::Recorded;
            self.records.push(Record::Failure);
        }
    }

    fn deliver(&mut self, rules: Rules, answer: Answer) {
        let Answer { attempt, supplier, left } = answer;
        self.came_twice |= left < DELIVERIES;
        let own = self.task == Task::Claimed { attempt, supplier };
        if own || !rules.result_needs_its_claim {
            self.task = Task::Recorded;
            self.records.push(Record::Result { attempt, supplier });
        } else {
            // Kept as an orphan, so that what it made is undone.
            self.came_too_late = true;
        }
    }
}

impl Model for Claims {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            task: Task::Ready,
            attempts: 0,
            live: [true; SUPPLIERS],
            work: [Work::Nothing; SUPPLIERS],
            answers: Vec::new(),
            records: Vec::new(),
            keys: Vec::new(),
            given_after_record: false,
            came_too_late: false,
            came_twice: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let ready = match state.task {
            Task::Ready => true,
            Task::Claimed { .. } | Task::Recorded => !self.rules.claim_only_ready,
        };
        for supplier in 0..SUPPLIERS {
            let idle = state.work[supplier] == Work::Nothing;
            if ready && idle && state.live[supplier] && state.attempts < ATTEMPTS {
                actions.push(Action::Claim(supplier));
            }
            match state.work[supplier] {
                Work::Given { .. } => actions.push(Action::Make(supplier)),
                Work::Made { .. } => actions.push(Action::Answer(supplier)),
                Work::Nothing => {}
            }
            // One of them stays: when nobody is there, nothing can be done, and the deadline of the request ends it.
            if supplier > 0 && state.live[supplier] {
                actions.extend([Action::Lose(supplier), Action::End(supplier)]);
            }
        }
        if let Task::Claimed { supplier, .. } = state.task
            && !state.live[supplier]
            && self.rules.lost_is_found
        {
            actions.push(Action::Find);
        }
        actions.extend((0..state.answers.len()).map(Action::Deliver));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Claim(supplier) => state.give(supplier),
            Action::Make(supplier) => state.make(self.rules, supplier),
            Action::Answer(supplier) => {
                if let Work::Made { attempt } = state.work[supplier] {
                    state.answers.push(Answer { attempt, supplier, left: DELIVERIES });
                    state.answers.sort();
                    state.work[supplier] = Work::Nothing;
                }
            }
            Action::Lose(supplier) => state.live[supplier] = false,
            Action::End(supplier) => {
                state.live[supplier] = false;
                state.work[supplier] = Work::Nothing;
            }
            Action::Find => state.find(),
            Action::Deliver(at) => {
                let answer = state.answers[at];
                state.answers[at].left -= 1;
                state.answers.retain(|answer| answer.left > 0);
                state.answers.sort();
                state.deliver(self.rules, answer);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_RECORD, |_, state: &State| state.records.len() <= 1),
            Property::always(NO_CALL_AFTER, |_, state: &State| !state.given_after_record),
            Property::always(ONE_EFFECT, |_, state: &State| state.keys.len() <= 1),
            // Every step uses something up, so that every sequence ends; none may end before that.
            Property::always(RECORDED, |model, state: &State| {
                !state.records.is_empty() || !model.next_steps(state).is_empty()
            }),
            Property::sometimes("an answer comes too late", |_, state: &State| state.came_too_late),
            Property::sometimes("an answer comes twice", |_, state: &State| state.came_twice),
            Property::sometimes("the last attempt is recorded", |_, state: &State| {
                matches!(state.records[..], [Record::Result { attempt: ATTEMPTS, .. }])
            }),
        ]
    }
}

const ONE_RECORD: &str = "one result is recorded, and never replaced";
const NO_CALL_AFTER: &str = "nobody is given the task once a result is recorded";
const ONE_EFFECT: &str = "all attempts make one effect";
const RECORDED: &str = "something is recorded in the end";

#[test]
fn claims_keep_every_property_whoever_is_lost() {
    let states = holds(Claims { rules: ALL });
    // A model that was narrowed to nothing would keep everything.
    assert!(states > 500, "only {states} states");
}

#[test]
fn each_rule_of_claims_is_needed() {
    let without = |edit: fn(&mut Rules), property| {
        let mut rules = ALL;
        edit(&mut rules);
        is_broken(Claims { rules }, property);
    };
    without(|rules| rules.claim_only_ready = false, NO_CALL_AFTER);
    without(|rules| rules.result_needs_its_claim = false, ONE_RECORD);
    without(|rules| rules.lost_is_found = false, RECORDED);
    without(|rules| rules.one_key = false, ONE_EFFECT);
}

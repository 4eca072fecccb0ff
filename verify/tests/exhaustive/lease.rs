//! Leases: holders who may stand still for long, servers that read and then write, and a system under test that knows fences.
//!
//! There is one dataset, and a database whose clock may be set.
//!
//! ```text
//! in stock --grant--> held --release as unused--> in stock      fence: one more with every grant
//!                      |  \--release as used----> gone          renew: the deadline moves, never back
//!                      \-----deadline, reaper---> gone          a reusable dataset: in stock instead of gone
//! ```
//!
//! A call may be carried out twice, at any later time, by any server. A server reads the time and what it decides by, then writes
//! under the conditions that the statement repeats, with the time that it has read; whatever happens in between is another
//! transition. A holder does not look at a clock before it uses what it holds, which is what a holder does that stood still between
//! looking and using; nor does it learn that a call was refused.

mod properties;
mod state;

use stateright::{Model, Property};

use self::properties::{
    FENCES_GROW, LATE, NOT_EARLY, OLDER_REFUSED, ONCE, ONE_COUNTS, ONE_LIVE, OWN_WORD, properties,
};
use self::state::{Call, Holder, Pending, State, Status, Wish};
use super::{holds, is_broken};

const HOLDERS: usize = 2;
const SERVERS: usize = 2;

/// How long a lease lasts; a holder counts on it for one step less, and from before it asked.
const TTL: i8 = 2;

/// How far things may go. What can happen grows with the product of all of these: each scope is wide where another one is narrow.
#[derive(Clone, Copy)]
struct Scope {
    /// Steps of time.
    end: i8,
    /// Grants of the dataset.
    grants: usize,
    /// How often a release may arrive.
    deliveries: u8,
    /// Calls that are under way, or may come once more, at one time.
    under_way: usize,
    /// Whether holders use what they have.
    uses: bool,
    /// Whether the dataset can be used again: it goes back to stock when its lease ends, however it ends.
    reusable: bool,
    /// By how much the clock of the database may be set, once, at any time.
    clock_steps: &'static [i8],
}

/// Leases run out in the hands of their holders.
const PATIENT: Scope =
    Scope { end: 3, grants: 2, deliveries: 2, under_way: 2, uses: false, reusable: false, clock_steps: &[] };

/// One holder after the other, at one moment.
const CROWDED: Scope =
    Scope { end: 0, grants: 3, deliveries: 2, under_way: 2, uses: true, reusable: false, clock_steps: &[] };

/// The clock of the database is set ahead or back by a whole lease.
const CLOCKS: Scope = Scope {
    end: 3,
    grants: 2,
    deliveries: 1,
    under_way: 1,
    uses: false,
    reusable: false,
    clock_steps: &[-2, 2],
};

/// A holder stands still beyond its deadline; the reaper ends its lease, the dataset goes to another one, and then the first
/// goes on with what it had.
const STOOD_STILL: Scope =
    Scope { end: 3, grants: 2, deliveries: 1, under_way: 2, uses: true, reusable: true, clock_steps: &[] };

/// The conditions that a statement repeats although they held when its server read, each of which can be left out.
#[derive(Clone, Copy)]
struct Rules {
    /// A grant takes only what is in stock when it writes.
    grant_from_stock: bool,
    /// A grant raises the fence.
    fence_grows: bool,
    /// A release names the live fence.
    release_fenced: bool,
    /// A renewal names the live fence.
    renewal_fenced: bool,
    /// Release and renewal come before the deadline.
    deadline_checked: bool,
    /// The reaper ends only what is past its deadline when it writes.
    reaper_waits: bool,
    /// What can be used once, and was held until its deadline, is never leased again.
    expired_is_gone: bool,
    /// A renewal never makes a lease shorter.
    renewal_adds: bool,
    /// The system under test refuses a fence below one that it has seen.
    guarded: bool,
}

const ALL: Rules = Rules {
    grant_from_stock: true,
    fence_grows: true,
    release_fenced: true,
    renewal_fenced: true,
    deadline_checked: true,
    reaper_waits: true,
    expired_is_gone: true,
    renewal_adds: true,
    guarded: true,
};

struct Leases {
    rules: Rules,
    scope: Scope,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Tick,
    SetClock(i8),
    Ask(usize),
    Renew(usize),
    Release(usize, bool),
    /// Somebody uses the dataset under the lease with this number.
    Use(usize),
    Read(Call),
    Reap(usize),
    Write(Pending),
}

impl Leases {
    /// What holders may send.
    fn calls(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, holder) in state.holders.iter().enumerate() {
            match holder {
                // Holders are alike: the first one is the one that asks first.
                Holder::Idle if number > 0 && state.leases.is_empty() && state.holders[0] == Holder::Idle => {
                }
                // Whoever asks behind the last grant gets nothing.
                Holder::Idle if state.leases.len() >= self.scope.grants => {}
                Holder::Idle => actions.push(Action::Ask(number)),
                Holder::Holds { renewed, .. } => {
                    actions.push(Action::Release(number, false));
                    // What can be used again goes back whatever is said of it.
                    if !self.scope.reusable {
                        actions.push(Action::Release(number, true));
                    }
                    if !renewed {
                        actions.push(Action::Renew(number));
                    }
                }
                Holder::Waits | Holder::Done => {}
            }
        }
    }
}

impl Model for Leases {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let Scope { end, under_way, uses, clock_steps, .. } = self.scope;
        if state.time < end {
            actions.push(Action::Tick);
        }
        if !state.set {
            actions.extend(clock_steps.iter().map(|step| Action::SetClock(*step)));
        }
        if state.calls.len() < under_way {
            self.calls(state, actions);
        }
        // Whoever has got a lease may use it at any time, also when it stood still for so long that the lease has ended, or gave it
        // back while another part of it still had work under way.
        if uses {
            actions.extend((0..state.leases.len()).map(Action::Use));
        }
        actions.extend(state.pending.iter().copied().map(Action::Write));
        if state.pending.len() < SERVERS {
            actions.extend(state.calls.iter().copied().map(Action::Read));
            let leases = state.leases.iter().enumerate();
            let overdue =
                leases.filter(|(_, lease)| lease.status == Status::Held && lease.expires_at <= state.clock());
            actions.extend(overdue.map(|(lease, _)| Action::Reap(lease)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        state.refused = None;
        match action {
            Action::Tick => state.tick(),
            Action::SetClock(step) => (state.ahead, state.set) = (step, true),
            Action::Ask(holder) => {
                state.holders[holder] = Holder::Waits;
                // A request has a key: however often it comes, it is carried out once.
                state.send(Call { holder, fence: 0, wish: Wish::Grant { asked_at: last.time }, left: 1 });
            }
            Action::Renew(number) => {
                if let Holder::Holds { fence, renewed, .. } = &mut state.holders[number] {
                    *renewed = true;
                    let wish = Wish::Renew { asked_at: last.time };
                    let call = Call { holder: number, fence: *fence, wish, left: 1 };
                    state.send(call);
                }
            }
            Action::Release(number, unused) => {
                if let Holder::Holds { fence, .. } = state.holders[number] {
                    let (wish, left) = (Wish::Release { unused }, self.scope.deliveries);
                    state.send(Call { holder: number, fence, wish, left });
                    // It may ask again, as somebody else would.
                    let again = state.leases.len() < self.scope.grants;
                    state.holders[number] = if again { Holder::Idle } else { Holder::Done };
                }
            }
            Action::Use(lease) => state.use_it(self.rules, lease),
            Action::Read(call) => state.read(&call),
            Action::Reap(lease) => state.begin(Pending::Reap { lease, now: last.clock() }),
            Action::Write(pending) => state.write(self, pending),
        }
        // Where no property asks for it, it would only be another state.
        if !self.scope.reusable {
            state.refused = None;
        }
        // What changes nothing is no step.
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties(self.scope)
    }
}

#[test]
fn leases_keep_every_property_whoever_stands_still() {
    for scope in [PATIENT, CROWDED, CLOCKS, STOOD_STILL] {
        let states = holds(Leases { rules: ALL, scope });
        // A model that was narrowed to nothing would keep everything.
        assert!(states > 10_000, "only {states} states");
    }
}

fn without(edit: fn(&mut Rules), scope: Scope, property: &'static str) {
    let mut rules = ALL;
    edit(&mut rules);
    is_broken(Leases { rules, scope }, property);
}

#[test]
fn each_rule_of_leases_is_needed() {
    without(|rules| rules.grant_from_stock = false, CROWDED, ONE_LIVE);
    without(|rules| rules.fence_grows = false, CROWDED, FENCES_GROW);
    without(|rules| rules.release_fenced = false, CROWDED, OWN_WORD);
    without(|rules| rules.release_fenced = false, CROWDED, ONE_COUNTS);
    without(|rules| rules.renewal_fenced = false, CROWDED, OWN_WORD);
    without(|rules| rules.deadline_checked = false, PATIENT, LATE);
    without(|rules| rules.reaper_waits = false, CLOCKS, NOT_EARLY);
    without(|rules| rules.expired_is_gone = false, PATIENT, ONCE);
    without(|rules| rules.renewal_adds = false, CLOCKS, NOT_EARLY);
    without(|rules| rules.guarded = false, CROWDED, OLDER_REFUSED);
}

#[test]
fn each_rule_is_needed_where_a_holder_stood_still() {
    without(|rules| rules.grant_from_stock = false, STOOD_STILL, ONE_LIVE);
    // The system under test cannot tell the one from the other, and neither can the store.
    without(|rules| rules.fence_grows = false, STOOD_STILL, OLDER_REFUSED);
    without(|rules| rules.fence_grows = false, STOOD_STILL, OWN_WORD);
    without(|rules| rules.fence_grows = false, STOOD_STILL, ONE_COUNTS);
    without(|rules| rules.release_fenced = false, STOOD_STILL, OWN_WORD);
    without(|rules| rules.renewal_fenced = false, STOOD_STILL, ONE_COUNTS);
    without(|rules| rules.deadline_checked = false, STOOD_STILL, LATE);
    // A renewal that came in time is written while the reaper is about to end what was overdue.
    without(|rules| rules.reaper_waits = false, STOOD_STILL, NOT_EARLY);
    without(|rules| rules.guarded = false, STOOD_STILL, OLDER_REFUSED);
}

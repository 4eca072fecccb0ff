//! Leases: holders who may stand still for long, servers that read and then write, and a system under test that knows fences.
//!
//! There is one dataset, and a database whose clock may be set.
//!
//! ```text
//! in stock --grant--> held --release as unused--> in stock      fence: one more with every grant
//!                      |  \--release as used----> gone
//!                      \-----deadline, reaper---> gone          renew: the deadline moves, never back
//! ```
//!
//! A call may be carried out twice, at any later time, by any server. A server reads, then writes under the conditions that the
//! statement repeats; whatever happens in between is another transition. A holder does not look at a clock before it uses what it
//! holds, which is what a holder does that stood still between looking and using.

use stateright::{Model, Property};

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
    /// By how much the clock of the database may be set, once, at any time.
    clock_steps: &'static [i8],
}

/// Leases run out in the hands of their holders.
const PATIENT: Scope =
    Scope { end: 3, grants: 2, deliveries: 2, under_way: 2, uses: false, clock_steps: &[] };

/// One holder after the other, at one moment.
const CROWDED: Scope = Scope { end: 0, grants: 3, deliveries: 2, under_way: 2, uses: true, clock_steps: &[] };

/// The clock of the database is set ahead or back by a whole lease.
const CLOCKS: Scope =
    Scope { end: 3, grants: 2, deliveries: 1, under_way: 1, uses: false, clock_steps: &[-2, 2] };

/// The conditions that a statement repeats although they held when its server read, each of which can be left out.
#[derive(Clone, Copy)]
struct Rules {
    /// A grant takes only what is in stock when it writes.
    grant_from_stock: bool,
    /// A grant raises the fence.
    fence_grows: bool,
    /// Release and renewal name the live fence.
    fence_checked: bool,
    /// Release and renewal come before the deadline.
    deadline_checked: bool,
    /// The reaper ends only what is past its deadline when it writes.
    reaper_waits: bool,
    /// What was held until its deadline is never leased again.
    expired_is_gone: bool,
    /// A renewal never makes a lease shorter.
    renewal_adds: bool,
    /// The system under test refuses a fence below one that it has seen.
    guarded: bool,
}

const ALL: Rules = Rules {
    grant_from_stock: true,
    fence_grows: true,
    fence_checked: true,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Status {
    Held,
    Unused,
    Used,
    Expired,
}

/// A row of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Lease {
    holder: usize,
    fence: u8,
    expires_at: i8,
    /// The latest deadline that its holder was told.
    promised: i8,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Wish {
    Grant { asked_at: i8 },
    Renew { asked_at: i8 },
    Release { unused: bool },
}

/// A call that is under way, or may come once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Call {
    holder: usize,
    fence: u8,
    wish: Wish,
    /// How often it may still arrive.
    left: u8,
}

/// What a server has read and is about to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pending {
    Call(Call),
    Reap { lease: usize },
}

/// What a holder believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Idle,
    Waits,
    Holds { fence: u8, counts_until: i8, renewed: bool },
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    time: i8,
    /// What the clock of the database is ahead, and whether it was set.
    ahead: i8,
    set: bool,
    in_stock: bool,
    fence: u8,
    leases: Vec<Lease>,
    holders: [Holder; HOLDERS],
    calls: Vec<Call>,
    servers: [Option<Pending>; SERVERS],
    /// The highest fence that the system under test has seen.
    seen: u8,
    /// What must never happen, and has.
    older_used: bool,
    ended_early: bool,
    ended_by_another: bool,
    late_taken: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Tick,
    SetClock(i8),
    Ask(usize),
    Renew(usize),
    Release(usize, bool),
    Use(u8),
    Read(usize, usize),
    Reap(usize, usize),
    Write(usize),
}

impl State {
    fn clock(&self) -> i8 {
        self.time + self.ahead
    }

    fn held(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(|lease| lease.status == Status::Held)
    }

    fn live(&self) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.status == Status::Held)
    }

    /// Whether a call looks right to a server that reads.
    fn looks_right(&self, call: &Call) -> bool {
        match call.wish {
            Wish::Grant { .. } => self.in_stock,
            Wish::Renew { .. } | Wish::Release { .. } => {
                self.live().is_some_and(|lease| lease.fence == call.fence && lease.expires_at > self.clock())
            }
        }
    }

    /// The live lease, if the statement of a call finds it.
    fn named(&mut self, call: &Call, rules: Rules) -> Option<&mut Lease> {
        let now = self.clock();
        let live = self.leases.iter_mut().find(|lease| lease.status == Status::Held);
        let named = live.filter(|lease| {
            (!rules.fence_checked || lease.fence == call.fence)
                && (!rules.deadline_checked || lease.expires_at > now)
        });
        self.late_taken |= named.as_ref().is_some_and(|lease| lease.expires_at <= now);
        named
    }

    fn send(&mut self, call: Call) {
        self.calls.push(call);
        self.calls.sort();
    }

    /// A grant, as the one statement makes it.
    fn grant(&mut self, model: &Leases, call: &Call, asked_at: i8) {
        let (rules, grants) = (model.rules, model.scope.grants);
        if (rules.grant_from_stock && !self.in_stock) || self.leases.len() >= grants {
            self.holders[call.holder] = Holder::Done;
            return;
        }
        self.in_stock = false;
        self.fence += u8::from(rules.fence_grows || self.fence == 0);
        let expires_at = self.clock() + TTL;
        let (holder, fence) = (call.holder, self.fence);
        self.leases.push(Lease { holder, fence, expires_at, promised: expires_at, status: Status::Held });
        self.holders[holder] = Holder::Holds { fence, counts_until: asked_at + TTL - 1, renewed: false };
    }

    fn renew(&mut self, rules: Rules, call: &Call, asked_at: i8) {
        let until = self.clock() + TTL;
        let Some(lease) = self.named(call, rules) else { return };
        lease.expires_at = if rules.renewal_adds { until.max(lease.expires_at) } else { until };
        lease.promised = lease.promised.max(lease.expires_at);
        if let Holder::Holds { fence, counts_until, .. } = &mut self.holders[call.holder]
            && *fence == call.fence
        {
            *counts_until = (*counts_until).max(asked_at + TTL - 1);
        }
    }

    fn release(&mut self, rules: Rules, call: &Call, unused: bool) {
        let Some(lease) = self.named(call, rules) else { return };
        lease.status = if unused { Status::Unused } else { Status::Used };
        let another = lease.fence != call.fence || lease.holder != call.holder;
        self.ended_by_another |= another;
        self.in_stock = unused;
    }

    fn reap(&mut self, rules: Rules, lease: usize) {
        let now = self.clock();
        let lease = &mut self.leases[lease];
        let overdue = lease.expires_at <= now;
        if lease.status != Status::Held || (rules.reaper_waits && !overdue) {
            return;
        }
        self.ended_early |= lease.promised > now;
        lease.status = Status::Expired;
        self.in_stock = !rules.expired_is_gone;
    }

    fn write(&mut self, model: &Leases, pending: Pending) {
        let rules = model.rules;
        match pending {
            Pending::Call(call) => match call.wish {
                Wish::Grant { asked_at } => self.grant(model, &call, asked_at),
                Wish::Renew { asked_at } => self.renew(rules, &call, asked_at),
                Wish::Release { unused } => self.release(rules, &call, unused),
            },
            Pending::Reap { lease } => self.reap(rules, lease),
        }
    }

    fn use_it(&mut self, rules: Rules, fence: u8) {
        if !rules.guarded || fence >= self.seen {
            self.older_used |= fence < self.seen;
            self.seen = self.seen.max(fence);
        }
    }
}

impl Leases {
    /// What holders may send.
    fn calls(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, holder) in state.holders.iter().enumerate() {
            match holder {
                // Holders are alike: the first one is the one that asks first.
                Holder::Idle if number > 0 && state.leases.is_empty() && state.holders[0] == Holder::Idle => {
                }
                Holder::Idle => actions.push(Action::Ask(number)),
                Holder::Holds { renewed, .. } => {
                    actions.extend([Action::Release(number, true), Action::Release(number, false)]);
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
        vec![State {
            time: 0,
            ahead: 0,
            set: false,
            in_stock: true,
            fence: 0,
            leases: Vec::new(),
            holders: [Holder::Idle; HOLDERS],
            calls: Vec::new(),
            servers: [None; SERVERS],
            seen: 0,
            older_used: false,
            ended_early: false,
            ended_by_another: false,
            late_taken: false,
        }]
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
            actions.extend(state.leases.iter().map(|lease| Action::Use(lease.fence)));
        }
        for (server, pending) in state.servers.iter().enumerate() {
            if pending.is_some() {
                actions.push(Action::Write(server));
                continue;
            }
            // Servers are alike: what the first idle one does, another could do.
            if state.servers[..server].contains(&None) {
                continue;
            }
            actions.extend((0..state.calls.len()).map(|call| Action::Read(server, call)));
            let overdue = |lease: &Lease| lease.status == Status::Held && lease.expires_at <= state.clock();
            let leases = state.leases.iter().enumerate().filter(|(_, lease)| overdue(lease));
            actions.extend(leases.map(|(lease, _)| Action::Reap(server, lease)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.time += 1,
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
            Action::Use(fence) => state.use_it(self.rules, fence),
            Action::Read(server, at) => {
                let call = state.calls[at];
                state.calls[at].left -= 1;
                state.calls.retain(|call| call.left > 0);
                state.calls.sort();
                if state.looks_right(&call) {
                    state.servers[server] = Some(Pending::Call(call));
                } else if matches!(call.wish, Wish::Grant { .. }) {
                    state.holders[call.holder] = Holder::Done;
                }
            }
            Action::Reap(server, lease) => state.servers[server] = Some(Pending::Reap { lease }),
            Action::Write(server) => {
                let pending = state.servers[server].take()?;
                state.write(self, pending);
            }
        }
        // What changes nothing is no step.
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_LIVE, |_, state: &State| state.held().count() <= 1),
            Property::always(FENCES_GROW, |_, state: &State| {
                state.leases.windows(2).all(|pair| pair[0].fence < pair[1].fence)
            }),
            Property::always(OLDER_REFUSED, |_, state: &State| !state.older_used),
            Property::always(ONCE, |_, state: &State| {
                let before_the_last = state.leases.split_last().map_or(&[][..], |(_, before)| before);
                !before_the_last.iter().any(|lease| matches!(lease.status, Status::Used | Status::Expired))
            }),
            Property::always(NOT_EARLY, |_, state: &State| !state.ended_early),
            Property::always(LATE, |_, state: &State| !state.late_taken),
            Property::always(OWN_WORD, |_, state: &State| !state.ended_by_another),
            // Holders count from before they asked, by clocks of their own. When the clock of the database is set ahead, leases end
            // earlier than that, and the fences are what is left.
            Property::always(ONE_COUNTS, |_, state: &State| {
                let counts = |holder: &&Holder| matches!(holder, Holder::Holds { counts_until, .. } if *counts_until > state.time);
                state.ahead > 0 || state.holders.iter().filter(counts).count() <= 1
            }),
            Property::sometimes("what looked right is refused when it is written", |_, state: &State| {
                let refused = |pending: &Option<Pending>| matches!(pending, Some(Pending::Call(call)) if !state.looks_right(call));
                state.servers.iter().any(refused)
            }),
            Property::sometimes("what was given back is leased again", |_, state: &State| {
                state.leases.len() > 1
            }),
            Property::sometimes(
                "a holder has an older fence than the system under test",
                |model, state: &State| {
                    !model.scope.uses || state.leases.iter().any(|lease| lease.fence < state.seen)
                },
            ),
            Property::sometimes("a lease expires", |model, state: &State| {
                model.scope.end < TTL || state.leases.iter().any(|lease| lease.status == Status::Expired)
            }),
        ]
    }
}

const ONE_LIVE: &str = "a dataset has at most one live lease";
const FENCES_GROW: &str = "the fences of a dataset grow";
const OLDER_REFUSED: &str = "the system under test never takes an older fence behind a newer one";
const ONCE: &str = "what was used, or held until its deadline, is not leased again";
const NOT_EARLY: &str = "no lease ends by time before its deadline";
const LATE: &str = "whoever comes after the deadline is refused";
const OWN_WORD: &str = "nobody ends the lease of another";
const ONE_COUNTS: &str = "at most one holder counts on a dataset";

#[test]
fn leases_keep_every_property_whoever_stands_still() {
    for scope in [PATIENT, CROWDED, CLOCKS] {
        let states = holds(Leases { rules: ALL, scope });
        // A model that was narrowed to nothing would keep everything.
        assert!(states > 10_000, "only {states} states");
    }
}

#[test]
fn each_rule_of_leases_is_needed() {
    let without = |edit: fn(&mut Rules), scope, property| {
        let mut rules = ALL;
        edit(&mut rules);
        is_broken(Leases { rules, scope }, property);
    };
    without(|rules| rules.grant_from_stock = false, CROWDED, ONE_LIVE);
    without(|rules| rules.fence_grows = false, CROWDED, FENCES_GROW);
    without(|rules| rules.fence_checked = false, CROWDED, OWN_WORD);
    without(|rules| rules.fence_checked = false, CROWDED, ONE_COUNTS);
    without(|rules| rules.deadline_checked = false, PATIENT, LATE);
    without(|rules| rules.reaper_waits = false, CLOCKS, NOT_EARLY);
    without(|rules| rules.expired_is_gone = false, PATIENT, ONCE);
    without(|rules| rules.renewal_adds = false, CLOCKS, NOT_EARLY);
    without(|rules| rules.guarded = false, CROWDED, OLDER_REFUSED);
}

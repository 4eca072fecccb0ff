//! What there is at one moment, and what each statement of the store makes of it.

use super::{HOLDERS, Leases, Rules, SERVERS, TTL};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Status {
    Held,
    Unused,
    Used,
    Expired,
}

/// A row of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub(super) holder: usize,
    pub(super) fence: u8,
    pub(super) expires_at: i8,
    /// The latest deadline that its holder was told.
    promised: i8,
    pub(super) status: Status,
}

impl Lease {
    /// Nobody asks for the deadline of what has ended: each would be another state.
    fn end(&mut self, status: Status) {
        (self.status, self.expires_at, self.promised) = (status, 0, 0);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Wish {
    Grant { asked_at: i8 },
    Renew { asked_at: i8 },
    Release { unused: bool },
}

/// A call that is under way, or may come once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) holder: usize,
    pub(super) fence: u8,
    pub(super) wish: Wish,
    /// How often it may still arrive.
    pub(super) left: u8,
}

/// What a server has read and is about to write, with the time that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Pending {
    Call { call: Call, now: i8 },
    Reap { lease: usize, now: i8 },
}

/// What a holder believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    Idle,
    Waits,
    Holds { fence: u8, counts_until: i8, renewed: bool },
    Done,
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refused {
    /// By the system under test, to whoever has this lease.
    Use {
        lease: usize,
    },
    /// By the store.
    Renewal {
        fence: u8,
    },
    Release {
        fence: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) time: i8,
    /// What the clock of the database is ahead, and whether it was set.
    pub(super) ahead: i8,
    pub(super) set: bool,
    in_stock: bool,
    fence: u8,
    pub(super) leases: Vec<Lease>,
    pub(super) holders: [Holder; HOLDERS],
    pub(super) calls: Vec<Call>,
    /// What servers are about to write. They are alike: which one it is does not matter.
    pub(super) pending: Vec<Pending>,
    /// The highest fence that the system under test has seen.
    pub(super) seen: u8,
    /// How many leases there were when the newest was granted under which it was used.
    newest_used: usize,
    /// What the step that led here was refused; the next one forgets it.
    pub(super) refused: Option<Refused>,
    /// What must never happen, and has.
    pub(super) older_used: bool,
    pub(super) ended_early: bool,
    pub(super) taken_for_another: bool,
    pub(super) late_taken: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            time: 0,
            ahead: 0,
            set: false,
            in_stock: true,
            fence: 0,
            leases: Vec::new(),
            holders: [Holder::Idle; HOLDERS],
            calls: Vec::new(),
            pending: Vec::new(),
            seen: 0,
            newest_used: 0,
            refused: None,
            older_used: false,
            ended_early: false,
            taken_for_another: false,
            late_taken: false,
        }
    }
}

impl State {
    pub(super) fn clock(&self) -> i8 {
        self.time + self.ahead
    }

    /// Time passes. Who has stopped counting on a dataset does not remember when.
    pub(super) fn tick(&mut self) {
        self.time += 1;
        for holder in &mut self.holders {
            if let Holder::Holds { counts_until, .. } = holder
                && *counts_until <= self.time
            {
                *counts_until = 0;
            }
        }
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(|lease| lease.status == Status::Held)
    }

    /// Whether the holder of a lease that has expired still goes on as if it had not.
    pub(super) fn stands_still(&self, lease: &Lease) -> bool {
        let has_it = |holder: &Holder| matches!(holder, Holder::Holds { fence, .. } if *fence == lease.fence);
        lease.status == Status::Expired && has_it(&self.holders[lease.holder])
    }

    /// Whether a call looks right to a server that reads. A renewal is one statement, before which nothing but the time is read.
    pub(super) fn looks_right(&self, call: &Call) -> bool {
        match call.wish {
            Wish::Grant { .. } => self.in_stock,
            Wish::Renew { .. } => true,
            Wish::Release { .. } => self.held().next().is_some_and(|lease| lease.fence == call.fence),
        }
    }

    pub(super) fn send(&mut self, call: Call) {
        self.calls.push(call);
        self.calls.sort();
    }

    /// A server takes a call, and goes on to write if it looks right.
    pub(super) fn read(&mut self, call: &Call) {
        let at = self.calls.iter().position(|known| known == call).expect("only what is under way arrives");
        self.calls[at].left -= 1;
        self.calls.retain(|call| call.left > 0);
        self.calls.sort();
        if self.looks_right(call) {
            // How often it may come once more is nothing to whoever has it.
            self.begin(Pending::Call { call: Call { left: 0, ..*call }, now: self.clock() });
        } else {
            self.refuse(call);
        }
    }

    pub(super) fn begin(&mut self, pending: Pending) {
        self.pending.push(pending);
        self.pending.sort();
        assert!(self.pending.len() <= SERVERS, "a server does one thing at a time");
    }

    pub(super) fn write(&mut self, model: &Leases, pending: Pending) {
        let at = self.pending.iter().position(|known| *known == pending);
        self.pending.remove(at.expect("only what was begun is written"));
        match pending {
            Pending::Call { call, now } => match call.wish {
                Wish::Grant { asked_at } => self.grant(model, &call, asked_at, now),
                Wish::Renew { asked_at } => self.renew(model.rules, &call, asked_at, now),
                Wish::Release { unused } => self.release(model, &call, unused, now),
            },
            Pending::Reap { lease, now } => self.reap(model, lease, now),
        }
    }

    /// A grant, as the one statement makes it.
    fn grant(&mut self, model: &Leases, call: &Call, asked_at: i8, now: i8) {
        let (rules, grants) = (model.rules, model.scope.grants);
        if (rules.grant_from_stock && !self.in_stock) || self.leases.len() >= grants {
            self.refuse(call);
            return;
        }
        self.in_stock = false;
        self.fence += u8::from(rules.fence_grows || self.fence == 0);
        let expires_at = now + TTL;
        let (holder, fence) = (call.holder, self.fence);
        self.leases.push(Lease { holder, fence, expires_at, promised: expires_at, status: Status::Held });
        self.holders[holder] = Holder::Holds { fence, counts_until: asked_at + TTL - 1, renewed: false };
    }

    fn renew(&mut self, rules: Rules, call: &Call, asked_at: i8, now: i8) {
        let Some(lease) = self.named(call, rules, rules.renewal_fenced, now) else { return };
        let until = now + TTL;
        lease.expires_at = if rules.renewal_adds { until.max(lease.expires_at) } else { until };
        lease.promised = lease.promised.max(lease.expires_at);
        if let Holder::Holds { fence, counts_until, .. } = &mut self.holders[call.holder]
            && *fence == call.fence
        {
            *counts_until = (*counts_until).max(asked_at + TTL - 1);
        }
    }

    fn release(&mut self, model: &Leases, call: &Call, unused: bool, now: i8) {
        let Some(lease) = self.named(call, model.rules, model.rules.release_fenced, now) else { return };
        lease.end(if unused { Status::Unused } else { Status::Used });
        self.in_stock = unused || model.scope.reusable;
    }

    fn reap(&mut self, model: &Leases, lease: usize, now: i8) {
        let lease = &mut self.leases[lease];
        let overdue = lease.expires_at <= now;
        if lease.status != Status::Held || (model.rules.reaper_waits && !overdue) {
            return;
        }
        self.ended_early |= lease.promised > now;
        lease.end(Status::Expired);
        self.in_stock = model.scope.reusable || !model.rules.expired_is_gone;
    }

    /// The live lease, if the statement of a call finds it.
    fn named(&mut self, call: &Call, rules: Rules, fenced: bool, now: i8) -> Option<&mut Lease> {
        let named = self.leases.iter().position(|lease| {
            lease.status == Status::Held
                && (!fenced || lease.fence == call.fence)
                && (!rules.deadline_checked || lease.expires_at > now)
        });
        let Some(at) = named else {
            self.refuse(call);
            return None;
        };
        let lease = &mut self.leases[at];
        self.late_taken |= lease.expires_at <= now;
        self.taken_for_another |= lease.fence != call.fence || lease.holder != call.holder;
        Some(lease)
    }

    fn refuse(&mut self, call: &Call) {
        let fence = call.fence;
        match call.wish {
            Wish::Grant { .. } => self.holders[call.holder] = Holder::Done,
            Wish::Renew { .. } => self.refused = Some(Refused::Renewal { fence }),
            Wish::Release { .. } => self.refused = Some(Refused::Release { fence }),
        }
    }

    /// What the system under test does: it knows fences, and nothing of leases.
    pub(super) fn use_it(&mut self, rules: Rules, lease: usize) {
        let fence = self.leases[lease].fence;
        if rules.guarded && fence < self.seen {
            self.refused = Some(Refused::Use { lease });
            return;
        }
        self.seen = self.seen.max(fence);
        self.older_used |= lease + 1 < self.newest_used;
        self.newest_used = self.newest_used.max(lease + 1);
    }
}

//! What must hold in every state, and what has to happen in some: a property that is true because nothing happens says nothing.

use stateright::Property;

use super::state::{Holder, Lease, Pending, Refused, State, Status};
use super::{Leases, Scope, TTL};

pub(super) const ONE_LIVE: &str = "at most one lease is live";
pub(super) const FENCES_GROW: &str = "each lease has a higher fence than the one before it";
pub(super) const OLDER_REFUSED: &str = "the system under test never takes an older lease behind a newer one";
pub(super) const ONCE: &str = "what was used, or held until its deadline, is not leased again";
pub(super) const NOT_EARLY: &str = "no lease ends by time before its deadline";
pub(super) const LATE: &str = "whoever comes after the deadline is refused";
pub(super) const OWN_WORD: &str = "nobody ends or renews the lease of another";
pub(super) const ONE_COUNTS: &str = "at most one holder counts on a dataset";

pub(super) fn properties(scope: Scope) -> Vec<Property<Leases>> {
    [held(scope), happening(scope)].into_iter().flatten().collect()
}

/// What must hold.
fn held(scope: Scope) -> Vec<Property<Leases>> {
    let mut held = vec![
        Property::always(ONE_LIVE, |_: &Leases, state: &State| state.held().count() <= 1),
        Property::always(FENCES_GROW, |_, state: &State| {
            state.leases.windows(2).all(|pair| pair[0].fence < pair[1].fence)
        }),
        Property::always(OLDER_REFUSED, |_, state: &State| !state.older_used),
        Property::always(NOT_EARLY, |_, state: &State| !state.ended_early),
        Property::always(LATE, |_, state: &State| !state.late_taken),
        Property::always(OWN_WORD, |_, state: &State| !state.taken_for_another),
        // Holders count from before they asked, by clocks of their own. When the clock of the database is set ahead, leases end
        // earlier than that, and the fences are what is left.
        Property::always(ONE_COUNTS, |_, state: &State| {
            let counts = |holder: &&Holder| matches!(holder, Holder::Holds { counts_until, .. } if *counts_until > state.time);
            state.ahead > 0 || state.holders.iter().filter(counts).count() <= 1
        }),
    ];
    if !scope.reusable {
        held.push(Property::always(ONCE, |_, state: &State| {
            let before_the_last = state.leases.split_last().map_or(&[][..], |(_, before)| before);
            !before_the_last.iter().any(|lease| matches!(lease.status, Status::Used | Status::Expired))
        }));
    }
    held
}

/// What has to happen, as far as the scope has it.
fn happening(scope: Scope) -> Vec<Property<Leases>> {
    let time_passes = scope.end >= TTL;
    let mut happening = vec![
        Property::sometimes(
            "what looked right is refused when it is written",
            |_: &Leases, state: &State| {
                let refused = |pending: &Pending| matches!(pending, Pending::Call { call, .. } if !state.looks_right(call));
                state.pending.iter().any(refused)
            },
        ),
        Property::sometimes("what was given back is leased again", |_, state: &State| {
            state.leases.len() > 1 && matches!(state.leases[0].status, Status::Unused | Status::Used)
        }),
    ];
    if scope.uses {
        happening.push(Property::sometimes(
            "a holder has an older fence than the system under test",
            |_, state: &State| state.leases.iter().any(|lease| lease.fence < state.seen),
        ));
    }
    if time_passes {
        happening.push(Property::sometimes("a lease expires", |_, state: &State| {
            state.leases.iter().any(|lease| lease.status == Status::Expired)
        }));
    }
    if time_passes && scope.reusable {
        happening.extend(refused_behind_another());
    }
    if time_passes && scope.reusable && scope.uses {
        happening.push(Property::sometimes(
            "whoever stood still uses the dataset with its older fence, and is refused",
            |_, state: &State| {
                let Some(Refused::Use { lease }) = state.refused else { return false };
                state.stands_still(&state.leases[lease])
            },
        ));
    }
    happening
}

/// What has to happen where a dataset goes to another holder while the one before it goes on.
fn refused_behind_another() -> [Property<Leases>; 3] {
    [
        Property::sometimes(
            "a lease has expired, and another has the dataset while its holder goes on",
            |_, state: &State| {
                let taken_over = |old: &Lease| state.held().any(|live| live.holder != old.holder);
                state.leases.iter().any(|lease| state.stands_still(lease) && taken_over(lease))
            },
        ),
        Property::sometimes(
            "a renewal with the fence of an expired lease is refused",
            |_, state: &State| matches!(state.refused, Some(Refused::Renewal { fence }) if has_gone_on(state, fence)),
        ),
        Property::sometimes(
            "a release with the fence of an expired lease is refused",
            |_, state: &State| matches!(state.refused, Some(Refused::Release { fence }) if has_gone_on(state, fence)),
        ),
    ]
}

/// Whether a lease has expired, and another holder has the dataset.
fn has_gone_on(state: &State, fence: u8) -> bool {
    let expired = state.leases.iter().find(|lease| lease.fence == fence && lease.status == Status::Expired);
    expired.is_some_and(|old| state.held().any(|live| live.fence > fence && live.holder != old.holder))
}

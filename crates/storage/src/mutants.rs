//! Mutants: mistakes that could be made here, one of which can be switched on, so that it is seen whether it would be found.
//!
//! They are in builds for tests only: without the feature `mutants`, and in every build for release, [`on`] is `false` wherever it
//! stands and what it guards is gone. Which test has to find which mutant is in `xtask/src/mutants.rs`.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// SQLite: a write is answered before it is committed.
    AnswerBeforeCommit,
    /// SQLite: the log is flushed when it is folded in, and not with each commit.
    SynchronousNormal,
    /// A lease is ended whatever fence is named.
    ReleaseWithoutFence,
    /// A lease is renewed whatever fence is named.
    RenewWithoutFence,
    /// A leased dataset is extended whatever fence is named.
    ExtendWithoutFence,
    /// PostgreSQL: whether a lease is overdue is decided by the clock of the server that looks.
    ExpiryByOwnClock,
    /// PostgreSQL: tasks are looked for and then claimed, without a lock in between.
    ClaimWithoutLock,
    /// A request and its key are two transactions.
    KeyInSecondTransaction,
    /// A key is looked up without whose it is.
    KeyOfAnybody,
    /// Each attempt has a key of its own.
    KeyForEachAttempt,
    /// A result is taken although its claim is gone.
    SecondResultTaken,
    /// What an attempt made that nobody waits for any more is forgotten.
    LateEffectForgotten,
    /// What a step has made that was running when its request was cancelled is not undone.
    CancelledStepNotUndone,
    /// What was held until its deadline is kept, although it can be used only once.
    ExpiredIsKept,
    /// A restored store goes on with the fences that it had.
    RestoreKeepsFences,
    /// A change and what is told of it are two transactions.
    EventInSecondTransaction,
    /// Stock is filled up whatever is coming already.
    RefillWithoutComing,
    /// SQLite: writes go on after one that the disk has failed.
    GoesOnAfterFailure,
    /// A sweep ends at the first row that it cannot handle.
    SweepEndsAtError,
}

impl Mutant {
    /// Every one with its name.
    pub const ALL: [(Self, &'static str); 19] = [
        (Self::AnswerBeforeCommit, "answer_before_commit"),
        (Self::SynchronousNormal, "synchronous_normal"),
        (Self::ReleaseWithoutFence, "release_without_fence"),
        (Self::RenewWithoutFence, "renew_without_fence"),
        (Self::ExtendWithoutFence, "extend_without_fence"),
        (Self::ExpiryByOwnClock, "expiry_by_own_clock"),
        (Self::ClaimWithoutLock, "claim_without_lock"),
        (Self::KeyInSecondTransaction, "key_in_second_transaction"),
        (Self::KeyOfAnybody, "key_of_anybody"),
        (Self::KeyForEachAttempt, "key_for_each_attempt"),
        (Self::SecondResultTaken, "second_result_taken"),
        (Self::LateEffectForgotten, "late_effect_forgotten"),
        (Self::CancelledStepNotUndone, "cancelled_step_not_undone"),
        (Self::ExpiredIsKept, "expired_is_kept"),
        (Self::RestoreKeepsFences, "restore_keeps_fences"),
        (Self::EventInSecondTransaction, "event_in_second_transaction"),
        (Self::RefillWithoutComing, "refill_without_coming"),
        (Self::GoesOnAfterFailure, "goes_on_after_failure"),
        (Self::SweepEndsAtError, "sweep_ends_at_error"),
    ];

    /// Its name in `SIXPACK_MUTANT` and in reports.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mutant, _)| *mutant == self).expect("every mutant is listed").1
    }
}

#[cfg(all(feature = "mutants", debug_assertions))]
mod switch {
    use std::sync::{Mutex, PoisonError};

    use super::Mutant;

    /// Names the mutant that a program is from its beginning.
    const VARIABLE: &str = "SIXPACK_MUTANT";

    enum Chosen {
        /// Nobody has asked yet.
        Unread,
        Read(Option<Mutant>),
    }

    static CHOSEN: Mutex<Chosen> = Mutex::new(Chosen::Unread);

    /// Whether this mistake is being made.
    pub fn on(mutant: Mutant) -> bool {
        chosen() == Some(mutant)
    }

    /// Which mistake is being made.
    ///
    /// # Panics
    ///
    /// When the environment names one that does not exist: whoever tries it would believe that nothing finds it.
    pub fn chosen() -> Option<Mutant> {
        let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Chosen::Unread = *chosen {
            let named = std::env::var(VARIABLE).ok().map(|name| {
                let found = Mutant::ALL.iter().find(|(_, known)| *known == name);
                found.unwrap_or_else(|| panic!("{VARIABLE} is `{name}`, which is no mutant")).0
            });
            *chosen = Chosen::Read(named);
        }
        match *chosen {
            Chosen::Read(mutant) => mutant,
            Chosen::Unread => unreachable!("it was read above"),
        }
    }

    /// Makes this mistake from now on, or none.
    pub fn choose(mutant: Option<Mutant>) {
        *CHOSEN.lock().unwrap_or_else(PoisonError::into_inner) = Chosen::Read(mutant);
    }
}

#[cfg(all(feature = "mutants", debug_assertions))]
pub use switch::{choose, chosen, on};

/// Whether this mistake is being made: never in what is shipped.
#[cfg(not(all(feature = "mutants", debug_assertions)))]
pub const fn on(_: Mutant) -> bool {
    false
}

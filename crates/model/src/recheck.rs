//! Rechecks: a dataset that stands is asked about as a whole, again.
//!
//! ```text
//! every part that can be asked is asked
//!   one says `invalid`, or an invariant does not hold -> drifted: quarantined, or undone
//!   all say `valid`, and every invariant holds        -> confirmed
//!   one cannot tell, or does not answer in time       -> unconfirmed: what was valid not long ago will do, or will not
//! ```

use jiff::Timestamp;

use crate::name::ContractName;

/// Why a dataset that stands is asked about again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It is about to be handed over, and its evidence is too old.
    HandOver,
    /// It has been in stock for a while; it may be handed over all the same meanwhile.
    Patrol,
    /// It was given back, and may go into stock again.
    Return,
    /// Its contract has changed.
    Suspect,
    /// It was set aside, and somebody has decided that it is to be asked about again.
    Retry,
    /// Its holder wants to know what has become of it.
    Diagnosis,
}

impl Why {
    /// Every reason with its name in the store and in events.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::HandOver, "hand_over"),
        (Self::Patrol, "patrol"),
        (Self::Return, "return"),
        (Self::Suspect, "suspect"),
        (Self::Retry, "retry"),
        (Self::Diagnosis, "diagnosis"),
    ];

    /// The name in the store and in events.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(why, _)| *why == self).expect("every reason is listed").1
    }

    /// Reads the name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(why, _)| *why)
    }

    /// Whether the dataset is in nobody's reach while it is asked about.
    pub fn holds_back(self) -> bool {
        match self {
            Self::HandOver | Self::Return | Self::Suspect | Self::Retry => true,
            Self::Patrol | Self::Diagnosis => false,
        }
    }
}

/// A recheck that is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recheck {
    /// Why.
    pub why: Why,
    /// When it began: what was said before does not count.
    pub begun_at: Timestamp,
    /// Until when answers are waited for.
    pub until: Timestamp,
    /// True when only fresh evidence will do.
    pub strict: bool,
    /// True when whoever waits gets another one or nothing, rather than wait for a service that cannot be asked.
    pub at_once: bool,
}

/// A capability that nobody performs now, so that its parts are not asked about in vain.
#[derive(Debug, Clone, PartialEq)]
pub struct Offline {
    /// Which one.
    pub contract: ContractName,
    /// When its last supplier was there.
    pub since: Option<Timestamp>,
}

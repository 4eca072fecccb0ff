//! Codes: the numbers under which states are stored. A number that was ever given out keeps its meaning.

use sixpack_model::lease::{LeaseOutcome, LeaseStatus};
use sixpack_model::request::{Priority, RequestStatus, Source};
use sixpack_model::session::SessionStatus;
use sixpack_model::stock::RuleState;
use sixpack_model::token::Role;
use sixpack_model::tree::{Ending, Operation, PartStatus};

/// A state that is stored as a number.
pub(crate) trait Code: Copy + Sized {
    /// The number.
    fn code(self) -> i64;

    /// The state with this number.
    fn from_code(code: i64) -> Option<Self>;
}

macro_rules! codes {
    ($type:ident { $($variant:ident = $code:literal),+ $(,)? }) => {
        impl Code for $type {
            fn code(self) -> i64 {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            fn from_code(code: i64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

// The migrations name some of these numbers in conditions of indexes: 0 of sessions and leases, below 2 and above 2 of
// requests, below 2 of sessions, 11 of parts.
codes!(PartStatus {
    Pending = 0,
    Building = 1,
    Checking = 2,
    Ready = 3,
    Skipped = 4,
    Leased = 5,
    Suspect = 6,
    Quarantined = 7,
    Undoing = 8,
    Gone = 9,
    Failed = 10,
    Debt = 11,
});
codes!(Operation { Produce = 0, Check = 1, Undo = 2, Find = 3 });
codes!(Ending { Failed = 0, Unwanted = 1, Used = 2, Discarded = 3, Joined = 4 });
codes!(Priority { Person = 0, Pipeline = 1, Stock = 2, Patrol = 3 });
codes!(Source { StockFirst = 0, Fresh = 1, StockOnly = 2, FindFirst = 3 });
codes!(RequestStatus { Queued = 0, Building = 1, Fulfilled = 2, Failed = 3, Cancelled = 4, Expired = 5 });
codes!(SessionStatus { Live = 0, Draining = 1, Dead = 2, Ended = 3 });
codes!(LeaseStatus { Held = 0, Released = 1, Expired = 2, Revoked = 3 });
codes!(LeaseOutcome { Used = 0, Unused = 1, Broken = 2 });
codes!(RuleState { Active = 0, Paused = 1, Draining = 2 });
codes!(Role { Admin = 0, Supplier = 1, Consumer = 2 });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_comes_back_from_its_number() {
        for (status, _) in PartStatus::ALL {
            assert_eq!(PartStatus::from_code(status.code()), Some(status));
        }
        assert_eq!(PartStatus::from_code(99), None);
    }

    #[test]
    fn the_numbers_that_migrations_name_stay_what_they_are() {
        assert_eq!(PartStatus::Debt.code(), 11);
        assert_eq!((SessionStatus::Live.code(), LeaseStatus::Held.code()), (0, 0));
        for (status, _) in RequestStatus::ALL {
            assert_eq!(status.code() < 2, !status.ended(), "{status:?}");
            assert_eq!(status.code() > 2, status.ended() && status != RequestStatus::Fulfilled, "{status:?}");
        }
        for (status, _) in SessionStatus::ALL {
            let open = matches!(status, SessionStatus::Live | SessionStatus::Draining);
            assert_eq!(status.code() < 2, open, "{status:?}");
        }
    }
}

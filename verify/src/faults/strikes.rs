//! Strikes: what is done to processes and to the ways between them, and how often each is done.

use crate::proxy::Mode;

/// One thing that is done to one process, or to one way, chosen at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strike {
    /// Killed without warning, and started again.
    ServerKilled,
    /// Told to stop: it drains, ends well, and is started again.
    ServerStopped,
    /// Stands still for a while, with all that it has in hand.
    ServerPaused,
    SupplierKilled,
    SupplierStopped,
    SupplierPaused,
    /// The database ends as if its machine had failed, and is started again.
    DatabaseStopped,
    /// The process that all others of the database belong to is killed without warning, and started again when they are gone.
    DatabaseKilled,
    /// One process of the database is killed: all of its connections are lost, and it recovers.
    DatabaseConnectionKilled,
    /// No more can be written to the disk of the store, for a while.
    DiskFull,
    /// The same in the middle of the database's own log, without which it cannot go on: it ends.
    DatabaseLogFull,
    /// Everything between one server and all who call it comes late.
    CallsLate,
    /// All connections to one server are cut, and new ones too.
    CallsReset,
    /// Connections to one server carry nothing, and nobody is told.
    CallsHalfOpen,
    /// One server hears every call, and nobody hears it.
    AnswersDropped,
    /// One server hears every call twice.
    CallsReplayed,
    /// The same between one server and its database.
    DatabaseLate,
    DatabaseReset,
    DatabaseHalfOpen,
    DatabaseAnswersDropped,
}

/// Every strike, with how often it is in the deck.
const WEIGHTS: [(Strike, usize); 20] = [
    (Strike::ServerKilled, 24),
    (Strike::ServerStopped, 4),
    (Strike::ServerPaused, 4),
    (Strike::SupplierKilled, 14),
    (Strike::SupplierStopped, 3),
    (Strike::SupplierPaused, 6),
    (Strike::DatabaseStopped, 2),
    (Strike::DatabaseKilled, 3),
    (Strike::DatabaseConnectionKilled, 1),
    (Strike::DiskFull, 3),
    (Strike::DatabaseLogFull, 2),
    (Strike::CallsLate, 2),
    (Strike::CallsReset, 2),
    (Strike::CallsHalfOpen, 2),
    (Strike::AnswersDropped, 3),
    (Strike::CallsReplayed, 3),
    (Strike::DatabaseLate, 2),
    (Strike::DatabaseReset, 2),
    (Strike::DatabaseHalfOpen, 2),
    (Strike::DatabaseAnswersDropped, 3),
];

/// How many cards the deck has of strikes that `can` be done.
pub(crate) fn cards(can: impl Fn(Strike) -> bool) -> usize {
    WEIGHTS.iter().filter(|(strike, _)| can(*strike)).map(|(_, times)| times).sum()
}

/// Strikes in a chance sequence, so that none of them is left out for long.
#[derive(Default)]
pub(crate) struct Deck {
    left: Vec<Strike>,
}

impl Deck {
    /// The next strike that `can` be done, following the seed.
    pub(crate) fn deal(&mut self, can: impl Fn(Strike) -> bool) -> Strike {
        loop {
            if let Some(strike) = self.left.pop() {
                return strike;
            }
            for (strike, times) in WEIGHTS.into_iter().filter(|(strike, _)| can(*strike)) {
                self.left.extend(std::iter::repeat_n(strike, times));
            }
            fastrand::shuffle(&mut self.left);
        }
    }
}

impl Strike {
    /// Whether only a store that is a process of its own can be struck so.
    pub(crate) fn needs_database(self) -> bool {
        matches!(
            self,
            Self::DatabaseStopped
                | Self::DatabaseKilled
                | Self::DatabaseConnectionKilled
                | Self::DatabaseLogFull
                | Self::DatabaseLate
                | Self::DatabaseReset
                | Self::DatabaseHalfOpen
                | Self::DatabaseAnswersDropped
        )
    }

    /// Whether a process is killed without warning.
    pub(crate) fn kills(self) -> bool {
        matches!(
            self,
            Self::ServerKilled | Self::SupplierKilled | Self::DatabaseKilled | Self::DatabaseConnectionKilled
        )
    }

    /// What it makes of a way, if it is about one.
    pub(crate) fn mode(self) -> Option<Mode> {
        match self {
            Self::CallsLate | Self::DatabaseLate => Some(Mode::Delay),
            Self::CallsReset | Self::DatabaseReset => Some(Mode::Reset),
            Self::CallsHalfOpen | Self::DatabaseHalfOpen => Some(Mode::HalfOpen),
            Self::AnswersDropped | Self::DatabaseAnswersDropped => Some(Mode::DropAnswers),
            Self::CallsReplayed => Some(Mode::Replay),
            _ => None,
        }
    }

    /// Every strike, with its name in reports.
    pub(crate) fn all() -> impl Iterator<Item = (Self, &'static str)> {
        WEIGHTS.into_iter().map(|(strike, _)| (strike, strike.name()))
    }

    /// Its name in histories and reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServerKilled => "server_killed",
            Self::ServerStopped => "server_stopped",
            Self::ServerPaused => "server_paused",
            Self::SupplierKilled => "supplier_killed",
            Self::SupplierStopped => "supplier_stopped",
            Self::SupplierPaused => "supplier_paused",
            Self::DatabaseStopped => "database_stopped",
            Self::DatabaseKilled => "database_killed",
            Self::DatabaseConnectionKilled => "database_connection_killed",
            Self::DiskFull => "disk_full",
            Self::DatabaseLogFull => "database_log_full",
            Self::CallsLate => "calls_late",
            Self::CallsReset => "calls_reset",
            Self::CallsHalfOpen => "calls_half_open",
            Self::AnswersDropped => "answers_dropped",
            Self::CallsReplayed => "calls_replayed",
            Self::DatabaseLate => "database_late",
            Self::DatabaseReset => "database_reset",
            Self::DatabaseHalfOpen => "database_half_open",
            Self::DatabaseAnswersDropped => "database_answers_dropped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strike_has_a_name_of_its_own_and_comes_up_in_one_deck() {
        let mut deck = Deck::default();
        let cards = cards(|_| true);
        let dealt: std::collections::BTreeSet<&str> =
            (0..cards).map(|_| deck.deal(|_| true).name()).collect();
        assert_eq!(dealt.len(), WEIGHTS.len());
    }

    #[test]
    fn at_night_kills_alone_come_to_two_thousand_over_both_stores() {
        let kills = |database: bool| {
            let can = |strike: Strike| database || !strike.needs_database();
            2_000 * cards(|strike| can(strike) && strike.kills()) / cards(can)
        };
        assert!(kills(false) + kills(true) >= 2_000, "{} and {}", kills(false), kills(true));
    }
}

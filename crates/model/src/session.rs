//! Sessions: connected supplier instances, and which tasks they may be given.
//!
//! ```text
//! live --drain--> draining --last answer--> ended
//!      --no heartbeat--> dead
//! ```

use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{SessionId, TokenId};

/// How often a supplier says that it is alive.
pub const HEARTBEAT_MS: u64 = 5_000;

/// After this long without a sign of life a session is dead and its tasks go to others: three missed heartbeats.
pub const SESSION_TTL_MS: u64 = 15_000;

/// Heartbeats of one session that count in a second, in the long run: fifty times as many as are asked for, and few
/// enough that a supplier in a loop costs nobody else anything.
pub const HEARTBEATS_PER_S: u32 = 10;

/// Heartbeats that may come at once: those of a machine that slept and has much to catch up on.
pub const HEARTBEATS_AT_ONCE: u32 = 20;

/// What a session has left of its heartbeats.
///
/// It is kept as the time up to which the heartbeats so far have used the rate up (the generic cell rate algorithm of ATM
/// Forum TM 4.0, 4.4.2), so that nothing has to be counted or refilled.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeartbeatAllowance {
    used_until: Timestamp,
}

impl HeartbeatAllowance {
    /// Takes one heartbeat; an error says after how long there will be another.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        let each = Duration::from_secs(1) / HEARTBEATS_PER_S;
        let allowed = each * (HEARTBEATS_AT_ONCE - 1);
        let mut ahead = Duration::try_from(self.used_until.duration_since(now)).unwrap_or_default();
        // No number of heartbeats leads so far ahead: the clock was set back, and must not silence a session.
        if ahead > allowed + each {
            ahead = Duration::ZERO;
        }
        if ahead > allowed {
            return Err(ahead - allowed);
        }
        self.used_until = now.saturating_add(ahead + each).unwrap_or(Timestamp::MAX);
        Ok(())
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionStatus {
    /// Takes tasks.
    Live,
    /// Finishes what it has; takes no more.
    Draining,
    /// Was not heard of in time.
    Dead,
    /// Went away in order, or a newer instance took its place.
    Ended,
}

impl SessionStatus {
    /// Every status with its name on the wire.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Live, "live"), (Self::Draining, "draining"), (Self::Dead, "dead"), (Self::Ended, "ended")];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).expect("every status is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }
}

/// One connected supplier instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The id; fresh for each start of the supplier.
    pub id: SessionId,
    /// Where it works.
    pub environment: String,
    /// Whose capabilities it performs.
    pub domain: String,
    /// Its own name, unique among the live deployed sessions of the domain. In a channel a domain has one session.
    pub instance: String,
    /// The channel it is developed in; `None` for a deployed supplier.
    pub channel: Option<String>,
    /// The build it says it is.
    pub build: Option<String>,
    /// The SDK and its version.
    pub sdk: Option<String>,
    /// The token that registered it.
    pub token: TokenId,
    /// Names of the capabilities that it performs, without the domain.
    pub capabilities: Vec<String>,
    /// Where it stands.
    pub status: SessionStatus,
    /// When it registered.
    pub created_at: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// When it ended or was found dead.
    pub ended_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + i64::try_from(ms).unwrap()).unwrap()
    }

    #[test]
    fn a_flood_of_heartbeats_is_held_to_the_rate_and_one_in_time_never_is() {
        let mut allowance = HeartbeatAllowance::default();
        let taken = (0..10_000).filter(|ms| allowance.take(at(*ms)).is_ok()).count();
        assert_eq!(taken as u32, HEARTBEATS_AT_ONCE + 10 * HEARTBEATS_PER_S - 1);

        let mut allowance = HeartbeatAllowance::default();
        assert!((0..1_000).all(|beat| allowance.take(at(beat * HEARTBEAT_MS)).is_ok()));
    }

    #[test]
    fn a_refused_heartbeat_is_told_when_to_come_again() {
        let mut allowance = HeartbeatAllowance::default();
        for _ in 0..HEARTBEATS_AT_ONCE {
            allowance.take(at(7)).unwrap();
        }
        assert_eq!(allowance.take(at(7)), Err(Duration::from_millis(100)));
        assert_eq!(allowance.take(at(57)), Err(Duration::from_millis(50)), "asking too early costs nothing");
        assert_eq!(allowance.take(at(107)), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nobody() {
        let mut allowance = HeartbeatAllowance::default();
        for _ in 0..HEARTBEATS_AT_ONCE {
            allowance.take(at(3_600_000)).unwrap();
        }
        assert_eq!(allowance.take(at(0)), Ok(()));
    }
}

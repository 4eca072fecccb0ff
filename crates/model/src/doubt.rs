//! Doubt: a capability that calls most of what is in stock invalid is not believed, until it is found to be right again.
//!
//! ```text
//! believed -- most of the last datasets that it was asked about are invalid --> doubted
//! doubted  -- one dataset is asked about every ten seconds; three in a row hold, or none is left --> believed
//! ```
//!
//! While it is doubted, nothing that has a part of it is handed out from stock, and nothing goes away upon its word.

use jiff::Timestamp;

use crate::contract::Owner;
use crate::name::ContractName;

/// How many datasets count, those that were asked about last. Where one in ten drifts, five of ten are invalid by chance in
/// two cases of a thousand; twenty would find out twice as late.
pub const LOOK: usize = 10;

/// How many of them have to be invalid: half, at which the circuit breakers of Hystrix and Resilience4j open. One less is what
/// leaves stock at most before anybody doubts, and each of those waits for a person.
pub const INVALID: usize = 5;

/// How many probes in a row have to hold until it is believed: one may be luck, and three take half a minute.
pub const PROBES: u32 = 3;

/// The pause between two probes: a check that is broken is not asked often, and one that is mended is noticed soon.
pub const PROBE_PAUSE_MS: u64 = 10_000;

/// Whether so many are too many.
pub fn is_doubtful(invalid: usize) -> bool {
    invalid >= INVALID
}

/// A capability that is doubted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Where.
    pub environment: String,
    /// Which capability.
    pub contract: ContractName,
    /// Since when.
    pub since: Timestamp,
    /// How many of the last datasets it has called invalid.
    pub invalid: u32,
    /// Of how many.
    pub of: u32,
    /// What it said about the last of them; empty when it said nothing.
    pub message: String,
    /// How many probes in a row have held.
    pub held: u32,
    /// When the last probe began.
    pub probed_at: Option<Timestamp>,
}

impl Doubt {
    /// Which capability, how often, since when, and why, in a sentence.
    pub fn told(&self) -> String {
        let Self { contract, since, invalid, of, message, .. } = self;
        let said = if message.is_empty() { String::new() } else { format!(": {message}") };
        format!("{contract} said invalid {invalid} of {of} times since {since:.0}{said}")
    }

    /// The same, with what follows and whom to ask.
    pub fn told_with(&self, owner: &Owner) -> String {
        let contact = owner.contact.as_ref().map(|contact| format!(" · {contact}")).unwrap_or_default();
        format!(
            "hand-over from stock is paused, because {}; its owner is {}{contact}",
            self.told(),
            owner.team
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_last_ones_are_too_many_and_less_are_not() {
        let doubted: Vec<bool> = (0..=LOOK).map(is_doubtful).collect();
        assert_eq!(doubted.iter().position(|doubted| *doubted), Some(LOOK / 2));
    }

    #[test]
    fn a_doubt_says_who_how_often_since_when_why_and_whom_to_ask() {
        let doubt = Doubt {
            environment: "default".to_owned(),
            contract: "billing/payment-account".parse().unwrap(),
            since: "2026-01-01T10:42:00Z".parse().unwrap(),
            invalid: 8,
            of: 10,
            message: "no such table".to_owned(),
            held: 0,
            probed_at: None,
        };
        let owner =
            Owner { team: "Billing".to_owned(), contact: Some("billing@shop.test".to_owned()), issues: None };
        assert_eq!(
            doubt.told_with(&owner),
            "hand-over from stock is paused, because billing/payment-account said invalid 8 of 10 times since \
             2026-01-01T10:42:00Z: no such table; its owner is Billing · billing@shop.test"
        );
        let silent = Doubt { message: String::new(), ..doubt };
        assert!(silent.told().ends_with("since 2026-01-01T10:42:00Z"));
    }
}

//! Contracts: what the catalogue lists and a consumer requests. Either a capability of one domain or a scenario.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::ContractName;
use crate::scenario::Scenario;
use crate::schema::Schema;

/// One version of one contract.
#[derive(Debug, Clone)]
pub struct Contract {
    /// Its name.
    pub name: ContractName,
    /// Counts from 1; the server gives it out when what others depend on has changed.
    pub version: u32,
    /// What the state is, for people.
    pub description: String,
    /// Who is responsible.
    pub owner: Owner,
    /// Free text by name, to search by.
    pub labels: BTreeMap<String, String>,
    /// What a consumer gives.
    pub input: Schema,
    /// What a consumer gets.
    pub output: Schema,
    /// How it is fulfilled.
    pub body: ContractBody,
}

/// How a contract is fulfilled.
#[derive(Debug, Clone)]
pub enum ContractBody {
    /// By one domain's supplier.
    Capability(Capability),
    /// By steps that use other contracts.
    Scenario(Arc<Scenario>),
}

/// The kind of a contract, without its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContractKind {
    /// Fulfilled by one domain's supplier.
    Capability,
    /// Composed of other contracts.
    Scenario,
}

impl ContractKind {
    /// Every kind with its name on the wire.
    pub const ALL: [(Self, &'static str); 2] =
        [(Self::Capability, "capability"), (Self::Scenario, "scenario")];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::Scenario => "scenario",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }
}

impl Contract {
    /// Whether its supplier can be asked for something that its service has already.
    pub fn can_find(&self) -> bool {
        self.capability().is_some_and(|capability| capability.operations.find)
    }

    /// Capability or scenario.
    pub fn kind(&self) -> ContractKind {
        match &self.body {
            ContractBody::Capability(_) => ContractKind::Capability,
            ContractBody::Scenario(_) => ContractKind::Scenario,
        }
    }

    /// What a supplier promises; `None` for a scenario.
    pub fn capability(&self) -> Option<&Capability> {
        match &self.body {
            ContractBody::Capability(capability) => Some(capability),
            ContractBody::Scenario(_) => None,
        }
    }

    /// The steps; `None` for a capability.
    pub fn scenario(&self) -> Option<&Arc<Scenario>> {
        match &self.body {
            ContractBody::Capability(_) => None,
            ContractBody::Scenario(scenario) => Some(scenario),
        }
    }
}

/// The team that is responsible for a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub team: String,
    /// Where to ask: an address or a channel.
    pub contact: Option<String>,
    /// Where to report: a link, http or https.
    pub issues: Option<String>,
}

/// What a supplier promises about one state, and the limits of the service behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Capability {
    /// What `check` reads back; `None` when it tells only a verdict.
    pub facts: Option<Schema>,
    /// What can be asked for.
    pub operations: Operations,
    /// True when a dataset may be handed out again after its lease.
    pub reusable: bool,
    /// How long one attempt may take.
    pub timeout_s: u32,
    /// How many tasks may run at once, over all sessions; `None` is as many as sessions take.
    pub concurrency: Option<u32>,
    /// How often a task may begin, over all sessions.
    pub rate: Option<Rate>,
    /// How old evidence may be at hand-over.
    pub fresh_for_s: u32,
    /// How long what was valid is handed over although its service cannot be asked.
    pub stale_for_s: u32,
    /// How long the services may take to agree after everything was made.
    pub settle_s: u32,
    /// When an attempt that failed is made again.
    pub retry: RetryPolicy,
}

/// The operations that a capability offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operations {
    /// Create or advance a state; every capability offers it.
    pub produce: bool,
    /// Read back whether it still holds.
    pub check: bool,
    /// Remove or compensate.
    pub undo: bool,
    /// Take something existing that fits.
    pub find: bool,
}

impl Operations {
    /// The names on the wire of those that are offered.
    pub fn names(self) -> Vec<&'static str> {
        [(self.produce, "produce"), (self.check, "check"), (self.undo, "undo"), (self.find, "find")]
            .into_iter()
            .filter_map(|(offered, name)| offered.then_some(name))
            .collect()
    }
}

/// How often something may begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Times in a second.
    pub per_s: f64,
}

/// When an attempt that failed is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// The longest pause after the first attempt.
    pub first_delay_ms: u64,
    /// The longest pause after any attempt.
    pub max_delay_ms: u64,
}

impl Default for RetryPolicy {
    /// Rides out a restart of the service behind the supplier.
    fn default() -> Self {
        Self { max_attempts: 5, first_delay_ms: 500, max_delay_ms: 30_000 }
    }
}

impl RetryPolicy {
    /// The pause after a number of attempts, counted from 1; `chance` is in `0..1`.
    ///
    /// Exponential with equal jitter: half of the pause is certain, so that a service in trouble gets its rest, and half
    /// is chance, so that those who failed together do not come back together. The algorithm is "Equal Jitter" of
    /// Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    pub fn delay_ms(&self, attempts: u32, chance: f64) -> u64 {
        let doublings = attempts.saturating_sub(1).min(u64::BITS - 1);
        let longest = self.first_delay_ms.saturating_mul(1 << doublings).min(self.max_delay_ms);
        let half = longest / 2;
        let random = (longest - half) as f64 * chance.clamp(0.0, 1.0);
        half + random as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_the_longest() {
        let retry = RetryPolicy { max_attempts: 5, first_delay_ms: 500, max_delay_ms: 3_000 };
        let pauses: Vec<(u64, u64)> = [1, 2, 3, 4, 5]
            .map(|attempts| (retry.delay_ms(attempts, 0.0), retry.delay_ms(attempts, 1.0)))
            .to_vec();
        assert_eq!(pauses, [(250, 500), (500, 1_000), (1_000, 2_000), (1_500, 3_000), (1_500, 3_000)]);
    }

    #[test]
    fn no_number_of_attempts_overflows_the_pause() {
        let retry = RetryPolicy { max_attempts: u32::MAX, first_delay_ms: u64::MAX, max_delay_ms: u64::MAX };
        assert_eq!(retry.delay_ms(u32::MAX, 0.0), u64::MAX / 2);
        assert_eq!(RetryPolicy { first_delay_ms: 0, ..retry }.delay_ms(u32::MAX, 1.0), 0);
        assert_eq!(RetryPolicy::default().delay_ms(0, 0.0), 250);
    }
}

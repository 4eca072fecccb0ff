//! Measures: what this server has done since it started, and what there is in the store as a whole.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sixpack_model::ids::LineId;
use sixpack_model::lease::LeaseStatus;
use sixpack_model::name::ContractName;
use sixpack_model::request::RequestStatus;
use sixpack_model::stock::RuleName;
use sixpack_storage::StoreError;
use sixpack_storage::census::Counted;
use sixpack_storage::health::{Connections, StoreMeasures};
use sixpack_storage::measures::{Counter, Histogram, NAMES_MAX, Name, Named, SLOW};
use sixpack_storage::stock::Level;
use sixpack_storage::trees::{Guard, RequestAfter};

use crate::Engine;

/// Rows of one kind that a census looks at: some ten milliseconds for a database, and more than anybody has to tell apart.
const COUNTED_MAX: u32 = 100_000;

/// How a request can end, in the order in which [`RequestEnds`] counts.
pub const REQUEST_ENDS: [&str; 5] = ["fulfilled", "stocked", "failed", "cancelled", "expired"];

/// How a lease can end, in the order in which [`LeaseCounts`] counts.
pub const LEASE_ENDS: [&str; 3] = ["released", "expired", "revoked"];

/// Under which operations a fence is compared.
pub const FENCED: [&str; 3] = ["renew", "release", "extend"];

/// What this server has counted since it started.
#[derive(Debug)]
pub struct Measures {
    /// Requests of consumers that were accepted, by environment.
    pub accepted: Named<Counter>,
    /// Requests that have ended, refills among them, by environment.
    pub requests: Named<RequestEnds>,
    /// Leases, by environment.
    pub leases: Named<LeaseCounts>,
    /// Calls with another fence than the live one, as [`FENCED`] has it.
    fenced: [Counter; FENCED.len()],
    /// How long leases were over when they were reaped.
    pub reap_delay: Histogram,
    /// How long tasks were due when they were handed out, by environment and capability.
    pub waits: Named<Waits>,
    /// Datasets that came from stock, and that were asked for and not there.
    pub stock_served: [Counter; 2],
    /// What each line had when it was looked at last.
    stock: Mutex<BTreeMap<LineId, StockMeasured>>,
}

/// The requests of an environment that have ended, as [`REQUEST_ENDS`] has it.
#[derive(Debug, Default)]
pub struct RequestEnds(pub [Counter; REQUEST_ENDS.len()]);

/// The leases of an environment.
#[derive(Debug, Default)]
pub struct LeaseCounts {
    /// Those that were granted.
    pub granted: Counter,
    /// Those that have ended, as [`LEASE_ENDS`] has it.
    pub ended: [Counter; LEASE_ENDS.len()],
}

/// How long the tasks of a capability were due when they were handed out.
#[derive(Debug)]
pub struct Waits(pub Histogram);

/// What a line had when it was looked at last, and what its rules want of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockMeasured {
    /// Where.
    pub environment: String,
    /// The rule that asks for the most.
    pub rule: String,
    /// How many can be taken.
    pub ready: u64,
    /// How many are being made.
    pub coming: u64,
    /// How many are to be kept ready at this time.
    pub target: u64,
}

impl Default for Waits {
    fn default() -> Self {
        Self(Histogram::of(&SLOW))
    }
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            accepted: Named::default(),
            requests: Named::default(),
            leases: Named::default(),
            fenced: Default::default(),
            reap_delay: Histogram::of(&SLOW),
            waits: Named::default(),
            stock_served: Default::default(),
            stock: Mutex::default(),
        }
    }
}

impl Measures {
    /// A decision about a dataset was written, and a lease may have ended with it.
    pub(crate) fn written(&self, environment: &str, after: &RequestAfter, ends: Option<LeaseStatus>) {
        if let Some(status) = ends {
            self.lease_ended(environment, status);
        }
        match after {
            RequestAfter::GoesOn | RequestAfter::Vacant | RequestAfter::Quarantined => {}
            RequestAfter::Fulfilled { leases, .. } => self.request_fulfilled(environment, leases.len()),
            RequestAfter::Failed => self.request_ended(environment, RequestStatus::Failed),
            RequestAfter::Stocked => self.ended(environment, "stocked"),
            // The refill goes on with what was being made for the other.
            RequestAfter::Exchanged { fulfilled, .. } => {
                if let Some((_, leases)) = fulfilled {
                    self.request_fulfilled(environment, leases.len());
                }
            }
        }
    }

    /// A request has ended.
    pub(crate) fn request_ended(&self, environment: &str, status: RequestStatus) {
        self.ended(environment, status.name());
    }

    fn ended(&self, environment: &str, how: &str) {
        if let Some(place) = REQUEST_ENDS.iter().position(|end| *end == how) {
            self.requests.of(Name::place(environment)).0[place].add_one();
        }
    }

    /// A request was fulfilled with so many leases.
    pub(crate) fn request_fulfilled(&self, environment: &str, leases: usize) {
        self.request_ended(environment, RequestStatus::Fulfilled);
        self.leases.of(Name::place(environment)).granted.add(leases as u64);
    }

    fn lease_ended(&self, environment: &str, status: LeaseStatus) {
        if let Some(place) = LEASE_ENDS.iter().position(|end| *end == status.name()) {
            self.leases.of(Name::place(environment)).ended[place].add_one();
        }
    }

    /// A call was refused for its fence.
    pub(crate) fn fenced(&self, operation: &str) {
        if let Some(place) = FENCED.iter().position(|known| *known == operation) {
            self.fenced[place].add_one();
        }
    }

    /// How often calls were refused for their fence, by operation.
    pub fn fenced_by_operation(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FENCED.into_iter().zip(&self.fenced).map(|(name, counter)| (name, counter.get()))
    }

    /// A task was handed out so long after it was due.
    pub(crate) fn handed_out(&self, environment: &str, contract: &ContractName, waited_ms: u64) {
        let name = Name { first: environment, domain: contract.domain(), name: contract.name() };
        self.waits.of(name).0.note_ms(waited_ms);
    }

    /// A line was looked at. One without a rule is nobody's concern, and more than a few hundred are not told apart.
    pub(crate) fn stock_looked_at(&self, line: LineId, measured: Option<StockMeasured>) {
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        match measured {
            Some(measured) if stock.len() < NAMES_MAX || stock.contains_key(&line) => {
                stock.insert(line, measured);
            }
            Some(_) => {}
            None => drop(stock.remove(&line)),
        }
    }

    /// What the lines had when they were looked at last, by environment and rule.
    pub fn stock(&self) -> Vec<StockMeasured> {
        let stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines: Vec<_> = stock.values().cloned().collect();
        lines.sort_by(|one, other| (&one.environment, &one.rule).cmp(&(&other.environment, &other.rule)));
        lines.dedup_by(|one, other| (&one.environment, &one.rule) == (&other.environment, &other.rule));
        lines
    }
}

impl StockMeasured {
    pub(crate) fn new(environment: &str, rule: &RuleName, level: Level, target: u32) -> Self {
        Self {
            environment: environment.to_owned(),
            rule: rule.to_string(),
            ready: level.ready,
            coming: level.coming,
            target: u64::from(target),
        }
    }
}

/// How a lease ends with a write under this guard, if one does.
pub(crate) fn lease_end(guard: &Guard) -> Option<LeaseStatus> {
    match guard {
        Guard::Lease(end) => Some(end.status),
        Guard::Overdue(_) => Some(LeaseStatus::Expired),
        _ => None,
    }
}

impl Engine {
    /// What this server has counted.
    pub fn measures(&self) -> &Measures {
        &self.inner.measures
    }

    /// What the store has counted for this server.
    pub fn store_measures(&self) -> &StoreMeasures {
        self.store().measures()
    }

    /// The connections of this server to the database, for a store that has any.
    pub fn store_connections(&self) -> Option<Connections> {
        self.store().connections()
    }

    /// Counts what there is in the whole store, whichever servers have made it, up to a bound for each kind.
    pub async fn census(&self) -> Result<Counted, StoreError> {
        let names = u32::try_from(NAMES_MAX).expect("a few hundred");
        self.store().census(COUNTED_MAX, names).await
    }
}

//! Statistics: how a contract has been doing, told from the last of its requests and datasets.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::contract::ContractKind;
use crate::failure::Failure;
use crate::ids::{DatasetId, RequestId};
use crate::limits::STATISTICS_CAUSES;
use crate::name::ContractName;
use crate::request::RequestStatus;

/// What became of a request for a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestSample {
    /// Which one.
    pub id: RequestId,
    /// Where it stands.
    pub status: RequestStatus,
    /// True when stock is refilled by it; nobody waits for that.
    pub refills: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When the dataset that it was given was begun; `None` while there is none, or when it is not kept any more.
    pub given_at: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// What became of a dataset of a contract, or of a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct PartSample {
    /// Which one.
    pub id: DatasetId,
    /// When its making began.
    pub begun_at: Timestamp,
    /// When it was ready.
    pub ready_at: Option<Timestamp>,
    /// True when it was made, and not found, imported or taken from stock.
    pub is_made: bool,
    /// Why it could not be made, and when that was told last.
    pub failure: Option<(Failure, Timestamp)>,
}

/// The last requests for a contract and the last datasets of it, each newest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// Requests for this contract alone.
    pub requests: Vec<RequestSample>,
    /// Datasets, whether they were asked for, kept in stock, or parts of others.
    pub parts: Vec<PartSample>,
}

/// How a contract has been doing lately.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// What became of the last requests.
    pub requests: RequestCounts,
    /// What became of the last datasets.
    pub datasets: DatasetCounts,
    /// Why some failed, the most frequent reason first: at most [`STATISTICS_CAUSES`].
    pub causes: Vec<Cause>,
}

/// What became of the last requests that somebody made for a contract; what refills stock is counted with the datasets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Those that got what they asked for.
    pub fulfilled: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those whose time was over.
    pub expired: u64,
    /// Those that nobody wanted any more.
    pub cancelled: u64,
    /// Of the fulfilled ones, those whose dataset was there, or on its way, before they asked.
    pub from_stock: u64,
    /// How long those waited.
    pub from_stock_ms: Option<Spread>,
    /// How long the other fulfilled ones waited.
    pub made_ms: Option<Spread>,
    /// When the oldest of all of these was made.
    pub since: Option<Timestamp>,
}

/// What became of the last datasets of a contract.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetCounts {
    /// Those that were made.
    pub made: u64,
    /// Those that could not be made.
    pub failed: u64,
    /// How long those that were made took.
    pub made_ms: Option<Spread>,
    /// When the oldest of all of these was begun.
    pub since: Option<Timestamp>,
}

/// How long something took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Half of them took no longer.
    pub median_ms: u64,
    /// Nine of ten took no longer.
    pub p90_ms: u64,
}

/// What failed for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// The newest of them.
    pub failure: Failure,
    /// How many there are.
    pub count: u64,
    /// When the newest was.
    pub last_at: Timestamp,
    /// Where to see it.
    pub seen_in: SeenIn,
}

/// Where a failure can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenIn {
    /// In a request.
    Request(RequestId),
    /// In a dataset, or a part of one.
    Dataset(DatasetId),
}

impl Statistics {
    /// Tells statistics from samples.
    ///
    /// What a capability failed for is told by its datasets, which are parts of others most of the time; what a scenario failed
    /// for by its requests, because it fails for one of its parts. A request that ran out of time says so itself.
    pub fn of(kind: ContractKind, samples: Samples) -> Self {
        let requests = RequestCounts::of(&samples.requests);
        let datasets = DatasetCounts::of(kind, &samples);
        let is_capability = kind == ContractKind::Capability;
        let by_itself = |sample: &RequestSample| !is_capability || sample.status == RequestStatus::Expired;
        let of_requests = samples.requests.into_iter().filter(by_itself).filter_map(|sample| {
            let at = sample.ended_at.unwrap_or(sample.created_at);
            Some((sample.failure?, at, SeenIn::Request(sample.id)))
        });
        let of_parts = samples.parts.into_iter().filter(|_| is_capability).filter_map(|sample| {
            let (failure, at) = sample.failure?;
            Some((failure, at, SeenIn::Dataset(sample.id)))
        });
        Self { requests, datasets, causes: grouped(of_requests.chain(of_parts)) }
    }

    /// What failed last.
    pub fn last_failure(&self) -> Option<&Cause> {
        self.causes.iter().max_by_key(|cause| cause.last_at)
    }
}

impl RequestCounts {
    fn of(samples: &[RequestSample]) -> Self {
        let mut counts = Self::default();
        let (mut from_stock, mut made) = (Vec::new(), Vec::new());
        for sample in samples.iter().filter(|sample| !sample.refills) {
            match sample.status {
                RequestStatus::Fulfilled => counts.fulfilled += 1,
                RequestStatus::Failed => counts.failed += 1,
                RequestStatus::Expired => counts.expired += 1,
                RequestStatus::Cancelled => counts.cancelled += 1,
                RequestStatus::Queued | RequestStatus::Building => continue,
            }
            counts.since = Some(sample.created_at);
            if sample.status != RequestStatus::Fulfilled {
                continue;
            }
            let was_there = sample.given_at.is_some_and(|at| at < sample.created_at);
            counts.from_stock += u64::from(was_there);
            let took = sample.ended_at.map(|at| span_ms(sample.created_at, at));
            let waited = if was_there { &mut from_stock } else { &mut made };
            waited.extend(took);
        }
        counts.from_stock_ms = Spread::of(from_stock);
        counts.made_ms = Spread::of(made);
        counts
    }
}

impl DatasetCounts {
    /// A scenario that failed is not marked as such: what its requests say counts, those that refill stock included.
    fn of(kind: ContractKind, samples: &Samples) -> Self {
        let mut counts = Self::default();
        let mut took = Vec::new();
        let is_capability = kind == ContractKind::Capability;
        for sample in &samples.parts {
            match (&sample.failure, sample.ready_at) {
                (Some(_), _) if is_capability => counts.failed += 1,
                (_, Some(ready_at)) if sample.is_made => {
                    counts.made += 1;
                    took.push(span_ms(sample.begun_at, ready_at));
                }
                _ => continue,
            }
            counts.since = Some(sample.begun_at);
        }
        if !is_capability {
            let since = counts.since;
            let failed = samples.requests.iter().filter(|sample| {
                sample.status == RequestStatus::Failed && since.is_none_or(|since| sample.created_at >= since)
            });
            counts.failed = failed.count() as u64;
        }
        counts.made_ms = Spread::of(took);
        counts
    }
}

impl Spread {
    /// The spread of these; `None` when there are none.
    pub fn of(mut spans_ms: Vec<u64>) -> Option<Self> {
        spans_ms.sort_unstable();
        let last = spans_ms.len().checked_sub(1)?;
        // The smallest that so many of a hundred do not exceed.
        let at = |percent: usize| spans_ms[((last + 1) * percent).div_ceil(100).saturating_sub(1)];
        Some(Self { median_ms: at(50), p90_ms: at(90) })
    }
}

/// Puts together what failed for the same reason: the same contract, class and code of the domain; where it gave no code, the
/// same message.
fn grouped(failures: impl Iterator<Item = (Failure, Timestamp, SeenIn)>) -> Vec<Cause> {
    let mut causes: BTreeMap<(ContractName, &'static str, String), Cause> = BTreeMap::new();
    for (failure, at, seen_in) in failures {
        let reason = failure.code.clone().unwrap_or_else(|| failure.message.clone());
        let key = (failure.contract.clone(), failure.class.name(), reason);
        match causes.get_mut(&key) {
            Some(cause) => {
                cause.count += 1;
                if at > cause.last_at {
                    (cause.failure, cause.last_at, cause.seen_in) = (failure, at, seen_in);
                }
            }
            None => {
                causes.insert(key, Cause { failure, count: 1, last_at: at, seen_in });
            }
        }
    }
    let mut causes: Vec<Cause> = causes.into_values().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse((cause.count, cause.last_at)));
    let newest = causes.iter().max_by_key(|cause| cause.last_at).cloned();
    causes.truncate(STATISTICS_CAUSES);
    // What failed last is told in any case.
    if let (Some(newest), true) = (newest, causes.len() == STATISTICS_CAUSES)
        && !causes.iter().any(|cause| cause.last_at == newest.last_at)
    {
        causes[STATISTICS_CAUSES - 1] = newest;
    }
    causes
}

fn span_ms(from: Timestamp, to: Timestamp) -> u64 {
    to.duration_since(from).as_millis().max(0).unsigned_abs() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Owner;
    use crate::failure::FailureClass;
    use crate::ids::TreeId;
    use uuid::Uuid;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + ms).unwrap()
    }

    fn failure(contract: &str, code: Option<&str>, message: &str) -> Failure {
        Failure {
            path: format!("{contract}@1"),
            class: FailureClass::Rejected,
            code: code.map(str::to_owned),
            message: message.to_owned(),
            details: None,
            contract: contract.parse().unwrap(),
            version: 1,
            part: 0,
            owner: Owner { team: "Billing".to_owned(), contact: None, issues: None },
            attempts: 1,
            retried: Vec::new(),
            blocked: Vec::new(),
        }
    }

    fn request(status: RequestStatus, created: i64, ended: i64, given: Option<i64>) -> RequestSample {
        RequestSample {
            id: RequestId(Uuid::from_u128(created.unsigned_abs().into())),
            status,
            refills: false,
            created_at: at(created),
            ended_at: Some(at(ended)),
            given_at: given.map(at),
            failure: None,
        }
    }

    fn part(begun: i64, ready: Option<i64>, failure: Option<(Failure, i64)>) -> PartSample {
        PartSample {
            id: TreeId(Uuid::from_u128(begun.unsigned_abs().into())).part(0),
            begun_at: at(begun),
            ready_at: ready.map(at),
            is_made: true,
            failure: failure.map(|(failure, when)| (failure, at(when))),
        }
    }

    #[test]
    fn half_and_nine_of_ten_took_no_longer() {
        assert_eq!(Spread::of(Vec::new()), None);
        assert_eq!(Spread::of(vec![7]), Some(Spread { median_ms: 7, p90_ms: 7 }));
        assert_eq!(Spread::of((1..=10).rev().collect()), Some(Spread { median_ms: 5, p90_ms: 9 }));
        assert_eq!(Spread::of((1..=100).collect()), Some(Spread { median_ms: 50, p90_ms: 90 }));
    }

    #[test]
    fn requests_that_got_what_was_there_are_told_from_those_that_waited_for_it() {
        let mut refill = request(RequestStatus::Failed, 1, 2, None);
        refill.refills = true;
        let requests = vec![
            request(RequestStatus::Building, 900, 900, None),
            request(RequestStatus::Fulfilled, 800, 803, Some(100)),
            request(RequestStatus::Fulfilled, 700, 760, Some(700)),
            request(RequestStatus::Failed, 600, 610, None),
            request(RequestStatus::Expired, 500, 510, None),
            refill,
        ];
        let told = Statistics::of(ContractKind::Scenario, Samples { requests, parts: Vec::new() }).requests;
        assert_eq!((told.fulfilled, told.failed, told.expired, told.from_stock), (2, 1, 1, 1));
        assert_eq!(told.from_stock_ms, Some(Spread { median_ms: 3, p90_ms: 3 }));
        assert_eq!(told.made_ms, Some(Spread { median_ms: 60, p90_ms: 60 }));
        assert_eq!(told.since, Some(at(500)), "what is under way and what nobody waits for do not count");
    }

    #[test]
    fn what_fails_for_the_same_reason_is_one_cause_however_it_is_worded() {
        let closed = |message: &str| failure("billing/account", Some("closed"), message);
        let other = failure("billing/account", None, "no route to host");
        let parts = vec![
            part(40, None, Some((other.clone(), 45))),
            part(30, None, Some((closed("DE is closed"), 35))),
            part(20, Some(25), None),
            part(10, None, Some((closed("FR is closed"), 15))),
        ];
        let samples = Samples { requests: Vec::new(), parts };
        let told = Statistics::of(ContractKind::Capability, samples);
        let counts: Vec<_> =
            told.causes.iter().map(|cause| (cause.count, cause.failure.message.as_str())).collect();
        assert_eq!(counts, [(2, "DE is closed"), (1, "no route to host")]);
        assert_eq!(told.last_failure().map(|cause| &cause.failure), Some(&other));
        assert_eq!((told.datasets.made, told.datasets.failed), (1, 3));
    }

    #[test]
    fn a_scenario_fails_by_its_requests_and_a_capability_by_its_datasets() {
        let mut failed = request(RequestStatus::Failed, 50, 60, None);
        failed.failure = Some(failure("billing/account", None, "no"));
        let samples = Samples { requests: vec![failed], parts: vec![part(55, None, None)] };
        let told = Statistics::of(ContractKind::Scenario, samples.clone());
        assert_eq!((told.datasets.failed, told.causes.len()), (1, 1));
        assert_eq!(told.causes[0].seen_in, SeenIn::Request(samples.requests[0].id));
        let told = Statistics::of(ContractKind::Capability, samples);
        assert_eq!(
            (told.datasets.failed, told.causes.len()),
            (0, 0),
            "its dataset says so when it has failed"
        );
    }

    #[test]
    fn what_failed_last_is_told_however_many_causes_there_are() {
        let mut parts = vec![part(9_000, None, Some((failure("a/b", None, "the newest"), 9_001)))];
        for reason in 0..40 {
            for nth in 0..2 {
                let begun = reason * 10 + nth;
                parts.push(part(begun, None, Some((failure("a/b", None, &reason.to_string()), begun))));
            }
        }
        let told = Statistics::of(ContractKind::Capability, Samples { requests: Vec::new(), parts });
        assert_eq!(told.causes.len(), STATISTICS_CAUSES);
        assert_eq!(told.last_failure().unwrap().failure.message, "the newest");
    }
}

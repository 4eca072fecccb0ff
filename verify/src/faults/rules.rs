//! Rules: what must hold of the history alone, whatever the servers say afterwards.
//!
//! Rules speak of real time: one call comes before another when it had been answered before the other was begun.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::{Act, CLOCKS, End, Operation, SeenLease};

/// Everything that is wrong with a history, as sentences.
pub(crate) fn broken(history: &[Operation]) -> Vec<String> {
    let mut wrong = one_request_for_a_key(history);
    wrong.extend(nothing_goes_back(history));
    let leases = leases(history);
    wrong.extend(one_request_for_a_lease(history));
    wrong.extend(strangers_are_refused(history, &leases));
    wrong.extend(leases.values().flat_map(Told::ends_in_time));
    wrong
}

/// I7: everything that was carried out under one key is one request.
fn one_request_for_a_key(history: &[Operation]) -> Vec<String> {
    let mut keys: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for operation in history.iter().filter(|operation| operation.act == Act::Ask && operation.end == End::Ok)
    {
        keys.entry(&operation.subject).or_default().insert(&operation.answer.id);
    }
    let doubled = keys.into_iter().filter(|(_, requests)| requests.len() > 1);
    doubled.map(|(key, requests)| format!("key {key} stands for several requests: {requests:?}")).collect()
}

/// I2: what one server has shown of a request, no other shows an earlier revision of; and one revision looks the same
/// everywhere.
fn nothing_goes_back(history: &[Operation]) -> Vec<String> {
    let mut shown: BTreeMap<&str, Vec<(&Operation, u64)>> = BTreeMap::new();
    for operation in history.iter().filter(|operation| operation.end == End::Ok) {
        if let Some(revision) = operation.answer.revision {
            shown.entry(&operation.answer.id).or_default().push((operation, revision));
        }
    }
    let mut wrong = Vec::new();
    for (id, mut shown) in shown {
        let mut statuses: BTreeMap<u64, &str> = BTreeMap::new();
        for (operation, revision) in &shown {
            let status = statuses.entry(*revision).or_insert(&operation.answer.status);
            if *status != operation.answer.status {
                wrong.push(format!(
                    "request {id} was {status} and {} in revision {revision}",
                    operation.answer.status
                ));
            }
        }
        let mut by_end = shown.clone();
        by_end.sort_by_key(|(operation, _)| operation.ended_us);
        shown.sort_by_key(|(operation, _)| operation.begun_us);
        let (mut answered, mut highest) = (by_end.iter().peekable(), 0);
        for (operation, revision) in shown {
            while let Some((_, earlier)) = answered.next_if(|(other, _)| other.ended_us < operation.begun_us)
            {
                highest = highest.max(*earlier);
            }
            if revision < highest {
                wrong.push(format!(
                    "request {id} was shown in revision {highest}, and in {revision} by server {} later",
                    operation.server
                ));
            }
        }
    }
    wrong
}

/// What the history tells of one lease.
pub(crate) struct Told<'a> {
    pub(crate) lease: &'a SeenLease,
    /// The lease has ended at the latest at this time, unless it was renewed.
    ends_by_us: u64,
    /// And not before this time, unless it was given back.
    ends_from_us: u64,
    /// Calls under the lease, by the time that they were begun.
    calls: Vec<&'a Operation>,
}

/// Every lease that was seen in a request.
pub(crate) fn leases(history: &[Operation]) -> BTreeMap<&str, Told<'_>> {
    let mut leases: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    for operation in
        history.iter().filter(|operation| matches!(operation.act, Act::Ask | Act::Look | Act::Cancel))
    {
        for lease in &operation.answer.leases {
            let told = leases.entry(&lease.id).or_insert(Told {
                lease,
                ends_by_us: u64::MAX,
                ends_from_us: 0,
                calls: Vec::new(),
            });
            if lease.status == "held" {
                // `ttl_us` counts from some moment between the call and its answer.
                told.ends_by_us = told.ends_by_us.min(operation.ended_us + lease.ttl_us);
                told.ends_from_us = told.ends_from_us.max(operation.begun_us + lease.ttl_us);
            }
        }
    }
    for operation in history {
        if let Some(told) = leases.get_mut(operation.subject.as_str()) {
            told.calls.push(operation);
        }
    }
    for told in leases.values_mut() {
        told.calls.sort_by_key(|call| call.begun_us);
    }
    leases
}

/// I3: a lease belongs to one request.
fn one_request_for_a_lease(history: &[Operation]) -> Vec<String> {
    let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
    let mut wrong = Vec::new();
    for operation in
        history.iter().filter(|operation| matches!(operation.act, Act::Ask | Act::Look | Act::Cancel))
    {
        for lease in &operation.answer.leases {
            let holder = holders.entry(&lease.id).or_insert(&operation.answer.id);
            if *holder != operation.answer.id {
                wrong.push(format!("lease {} belongs to {holder} and to {}", lease.id, operation.answer.id));
            }
        }
    }
    wrong
}

/// I5: whoever names another fence than the lease's own is refused.
fn strangers_are_refused(history: &[Operation], leases: &BTreeMap<&str, Told<'_>>) -> Vec<String> {
    let strangers = history.iter().filter(|operation| {
        let lease = leases.get(operation.subject.as_str());
        matches!(operation.act, Act::Renew | Act::Release)
            && operation.end == End::Ok
            && lease.is_some_and(|told| operation.fence != Some(told.lease.fence))
    });
    strangers
        .map(|operation| {
            format!("lease {} took a call with fence {:?}: {operation:?}", operation.subject, operation.fence)
        })
        .collect()
}

impl Told<'_> {
    /// The time from which this lease may have ended by itself, as far as its holder can know.
    pub(crate) fn ends_from_us(&self) -> u64 {
        let renewals = self.calls.iter().filter(|call| call.act == Act::Renew && call.end == End::Ok);
        let renewed =
            renewals.flat_map(|call| call.answer.leases.iter().map(|lease| call.begun_us + lease.ttl_us));
        renewed.chain([self.ends_from_us]).max().unwrap_or_default()
    }

    /// Calls with the lease's own fence.
    pub(crate) fn own_calls(&self) -> impl Iterator<Item = &Operation> {
        let calls = self.calls.iter().copied().filter(|call| matches!(call.act, Act::Renew | Act::Release));
        calls.filter(|call| call.fence == Some(self.lease.fence))
    }

    /// Looks at the lease itself.
    pub(crate) fn looks(&self) -> impl Iterator<Item = &Operation> {
        self.calls.iter().copied().filter(|call| call.act == Act::LookAtLease)
    }

    /// P6 and I5: a lease does not end before its time, and nobody renews or gives back what has ended.
    fn ends_in_time(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let (mut ends_by_us, mut ends_from_us) = (self.ends_by_us, self.ends_from_us);
        let mut given_back = false;
        for call in self.own_calls() {
            let late = ends_by_us.saturating_add(CLOCKS.as_micros() as u64);
            if call.end == End::Ok && !given_back && call.begun_us > late {
                wrong.push(format!("lease {} had expired and took a call: {call:?}", self.lease.id));
            }
            if call.end == End::Fail && !given_back && call.ended_us < ends_from_us {
                wrong.push(format!("lease {} ended before its time: {call:?}", self.lease.id));
            }
            match (call.act, call.end) {
                (Act::Renew, End::Ok) => {
                    for lease in &call.answer.leases {
                        ends_by_us = ends_by_us.max(call.ended_us + lease.ttl_us);
                        ends_from_us = ends_from_us.max(call.begun_us + lease.ttl_us);
                    }
                }
                // It may be carried out at any time from now on.
                (Act::Renew, End::Maybe) => ends_by_us = u64::MAX,
                (Act::Release, End::Ok | End::Maybe) => given_back = true,
                _ => {}
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::Answer;
    use super::*;

    /// A call about a request, which shows it in this revision.
    fn shown(
        act: Act,
        subject: &str,
        (begun_us, ended_us): (u64, u64),
        id: &str,
        revision: u64,
    ) -> Operation {
        let answer = Answer { id: id.to_owned(), revision: Some(revision), ..Answer::default() };
        Operation { begun_us, ended_us, ..Operation::made_up(act, subject, answer) }
    }

    /// A request that was fulfilled with a lease of a second, fence 7, seen between 0 and 10.
    fn granted() -> Operation {
        let mut asked = shown(Act::Ask, "key", (0, 10), "req", 3);
        asked.answer.leases.push(SeenLease {
            id: "lease".to_owned(),
            dataset: "ds".to_owned(),
            fence: 7,
            status: "held".to_owned(),
            ttl_us: 1_000_000,
            expires_us: 1_000_005,
        });
        asked
    }

    /// A release with this fence.
    fn released(fence: u64, begun_us: u64, end: End) -> Operation {
        let call = shown(Act::Release, "lease", (begun_us, begun_us + 10), "lease", 0);
        let answer = Answer { revision: None, ..call.answer };
        Operation { fence: Some(fence), outcome: Some("used"), end, answer, ..call }
    }

    #[test]
    fn a_history_in_which_all_is_well_breaks_no_rule() {
        let history = [granted(), released(8, 15, End::Fail), released(7, 30, End::Ok)];
        assert_eq!(broken(&history), Vec::<String>::new());
    }

    #[test]
    fn a_key_that_brings_two_requests_is_found() {
        let history = [shown(Act::Ask, "key", (0, 10), "a", 1), shown(Act::Ask, "key", (20, 30), "b", 1)];
        assert_eq!(broken(&history).len(), 1);
    }

    #[test]
    fn an_earlier_revision_is_found_only_when_it_was_asked_for_later() {
        let first = shown(Act::Ask, "key", (0, 10), "req", 5);
        let behind = |times| [first.clone(), shown(Act::Look, "req", times, "req", 4)];
        assert_eq!(broken(&behind((20, 30))).len(), 1);
        assert_eq!(broken(&behind((5, 30))), Vec::<String>::new());
    }

    #[test]
    fn one_revision_that_looks_different_is_found() {
        let mut other = shown(Act::Look, "req", (5, 30), "req", 5);
        other.answer.status = "fulfilled".to_owned();
        assert_eq!(broken(&[shown(Act::Ask, "key", (0, 10), "req", 5), other]).len(), 1);
    }

    #[test]
    fn a_lease_that_belongs_to_two_requests_is_found() {
        let mut other = granted();
        (other.subject, other.answer.id) = ("other".to_owned(), "other".to_owned());
        assert_eq!(broken(&[granted(), other]).len(), 1);
    }

    #[test]
    fn a_call_with_a_foreign_fence_that_is_carried_out_is_found() {
        assert_eq!(broken(&[granted(), released(6, 20, End::Ok)]).len(), 1);
    }

    #[test]
    fn a_lease_that_ends_too_early_or_too_late_is_found() {
        assert_eq!(broken(&[granted(), released(7, 900_000, End::Fail)]).len(), 1);
        assert_eq!(broken(&[granted(), released(7, 1_000_005, End::Fail)]), Vec::<String>::new());
        assert_eq!(broken(&[granted(), released(7, 1_100_000, End::Ok)]).len(), 1);
    }

    #[test]
    fn a_release_is_repeated_however_late_when_nobody_knows_whether_it_was_heard() {
        let lost = released(7, 500_000, End::Maybe);
        assert_eq!(broken(&[granted(), lost, released(7, 2_000_000, End::Ok)]), Vec::<String>::new());
    }
}

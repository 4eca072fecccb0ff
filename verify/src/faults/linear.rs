//! Linearizability: whether there is any sequence in which all calls about one dataset can have been carried out (I14).
//!
//! ```text
//! free -grant(f)-> held(f) -seen-> held(f)
//!                          -release(f), unused-> free
//!                          -release(f), otherwise, or expiry-> over
//! ```
//!
//! The search follows Wing and Gong: a call may come next when no call that was answered before it was begun is still to come. It
//! believes nothing that a server says about time or versions. Expiry is a call that nobody has made and that may be carried out
//! at any time from the end of the lease on.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::journal::{Act, End, Operation};
use super::rules::Told;

/// More calls about one dataset than this are too many to be searched: the sets of them fit into one number.
const CALLS_MAX: usize = 64;

/// At most one dataset in so many may be left out for that.
const LEFT_OUT_ONE_IN: usize = 50;

/// Something that was done to a dataset, or may have been.
#[derive(Debug, Clone)]
struct Step {
    what: What,
    fence: u64,
    begun_us: u64,
    /// `u64::MAX` for what may be carried out at any time, or never.
    ended_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Grant,
    Renew,
    ReleaseUnused,
    Release,
    /// The lease was shown as held.
    Seen,
    /// A call that was refused although it named the fence of its lease, or a look that showed it as over.
    Refused,
    Expiry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Free,
    Held(u64),
    Over,
}

/// What was searched, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    /// How many datasets were searched.
    pub(crate) datasets: usize,
    /// How many of those were leased more than once.
    pub(crate) leased_again: usize,
    /// How many were left out because too much has happened to them.
    pub(crate) left_out: usize,
    pub(crate) wrong: Vec<String>,
}

/// Searches every dataset.
pub(crate) fn search_all(history: &[Operation], leases: &BTreeMap<&str, Told<'_>>) -> Searched {
    let mut datasets: BTreeMap<&str, Vec<&Told<'_>>> = BTreeMap::new();
    for told in leases.values() {
        datasets.entry(&told.lease.dataset).or_default().push(told);
    }
    let asked = asked(history);
    let mut searched = Searched::default();
    for (dataset, leases) in datasets {
        let mut steps = Vec::new();
        let leased_again = leases.len() > 1;
        for told in leases {
            let (begun_us, ended_us) = asked.get(told.lease.id.as_str()).copied().unwrap_or_default();
            let fence = told.lease.fence;
            steps.push(Step { what: What::Grant, fence, begun_us, ended_us });
            steps.extend(told.own_calls().filter_map(|call| step(call, fence)));
            steps.extend(told.looks().filter_map(|look| seen(look, fence)));
            let begun_us = told.ends_from_us();
            steps.push(Step { what: What::Expiry, fence, begun_us, ended_us: u64::MAX });
        }
        if steps.len() > CALLS_MAX {
            searched.left_out += 1;
            continue;
        }
        searched.datasets += 1;
        searched.leased_again += usize::from(leased_again);
        if !can_be_put_in_sequence(&steps) {
            searched
                .wrong
                .push(format!("no sequence of calls explains what was seen of dataset {dataset}: {steps:?}"));
        }
    }
    if searched.left_out * LEFT_OUT_ONE_IN > searched.datasets + searched.left_out {
        searched.wrong.push(format!(
            "{} datasets of {} were not searched, because more than {CALLS_MAX} calls were about each",
            searched.left_out,
            searched.datasets + searched.left_out
        ));
    }
    searched
}

/// For each lease: when the request was first sent that it belongs to, and when it was first seen.
fn asked(history: &[Operation]) -> BTreeMap<&str, (u64, u64)> {
    let mut first_sent: BTreeMap<&str, u64> = BTreeMap::new();
    let mut keys: BTreeMap<&str, &str> = BTreeMap::new();
    for operation in history.iter().filter(|operation| operation.act == Act::Ask) {
        let sent = first_sent.entry(&operation.subject).or_insert(u64::MAX);
        *sent = operation.begun_us.min(*sent);
        if operation.end == End::Ok {
            keys.insert(&operation.answer.id, &operation.subject);
        }
    }
    let mut asked: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for operation in
        history.iter().filter(|operation| matches!(operation.act, Act::Ask | Act::Look | Act::Cancel))
    {
        let sent = keys.get(operation.answer.id.as_str()).and_then(|key| first_sent.get(key));
        for lease in &operation.answer.leases {
            let (_, seen) = asked.entry(&lease.id).or_insert((sent.copied().unwrap_or_default(), u64::MAX));
            *seen = operation.ended_us.min(*seen);
        }
    }
    asked
}

fn step(call: &Operation, fence: u64) -> Option<Step> {
    let what = match (call.end, call.act, call.outcome) {
        (End::Fail, Act::Renew, _) => What::Refused,
        // A second release with another outcome is refused as well, and says nothing of the dataset.
        (End::Fail, Act::Release, _) if call.answer.code == "lease_ended" => What::Refused,
        (End::Ok | End::Maybe, Act::Renew, _) => What::Renew,
        (End::Ok | End::Maybe, Act::Release, Some("unused")) => What::ReleaseUnused,
        (End::Ok | End::Maybe, Act::Release, _) => What::Release,
        _ => return None,
    };
    let ended_us = if call.end == End::Maybe { u64::MAX } else { call.ended_us };
    Some(Step { what, fence, begun_us: call.begun_us, ended_us })
}

/// A look that was answered, by what it showed; one that was not says nothing.
fn seen(look: &Operation, fence: u64) -> Option<Step> {
    let shown = look.answer.leases.first().filter(|_| look.end == End::Ok)?;
    let what = if shown.status == "held" { What::Seen } else { What::Refused };
    Some(Step { what, fence, begun_us: look.begun_us, ended_us: look.ended_us })
}

fn can_be_put_in_sequence(steps: &[Step]) -> bool {
    search(steps, 0, State::Free, &mut HashSet::new())
}

/// Whether the steps that are not in `done` can follow on `state`.
fn search(steps: &[Step], done: u64, state: State, tried: &mut HashSet<(u64, State)>) -> bool {
    let to_come = || (0..steps.len()).filter(|number| done & (1 << number) == 0);
    if to_come().all(|number| steps[number].ended_us == u64::MAX) {
        return true;
    }
    if !tried.insert((done, state)) {
        return false;
    }
    let first_answer = to_come().map(|number| steps[number].ended_us).min().unwrap_or(u64::MAX);
    let granted = fences(steps, done, |what| what == What::Grant);
    let released = fences(steps, done, |what| matches!(what, What::Release | What::ReleaseUnused));
    to_come().filter(|number| steps[*number].begun_us <= first_answer).any(|number| {
        after(state, &steps[number], &granted, &released)
            .is_some_and(|next| search(steps, done | 1 << number, next, tried))
    })
}

/// The fences of steps of one kind that have come already.
fn fences(steps: &[Step], done: u64, of_kind: impl Fn(What) -> bool) -> BTreeSet<u64> {
    let come =
        steps.iter().enumerate().filter(|(number, step)| done & (1 << number) != 0 && of_kind(step.what));
    come.map(|(_, step)| step.fence).collect()
}

/// What follows on a step; `None` when it cannot be carried out, or not with this answer.
fn after(state: State, step: &Step, granted: &BTreeSet<u64>, released: &BTreeSet<u64>) -> Option<State> {
    let is_held = state == State::Held(step.fence);
    match step.what {
        What::Grant => (state == State::Free && granted.last().is_none_or(|last| *last < step.fence))
            .then_some(State::Held(step.fence)),
        What::Renew | What::Seen => is_held.then_some(state),
        What::ReleaseUnused if is_held => Some(State::Free),
        What::Release if is_held => Some(State::Over),
        // The same call once more is answered as before, whatever has become of the dataset since.
        What::ReleaseUnused | What::Release => released.contains(&step.fence).then_some(state),
        What::Refused => (!is_held).then_some(state),
        What::Expiry => is_held.then_some(State::Over),
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Answer, SeenLease};
    use super::super::rules;
    use super::*;

    fn step(what: What, fence: u64, begun_us: u64, ended_us: u64) -> Step {
        Step { what, fence, begun_us, ended_us }
    }

    #[test]
    fn a_dataset_that_comes_back_unused_may_be_granted_again_with_a_higher_fence() {
        let mut steps = vec![
            step(What::Grant, 1, 0, 10),
            step(What::ReleaseUnused, 1, 11, 20),
            step(What::Grant, 2, 15, 30),
            step(What::Release, 2, 31, 40),
        ];
        assert!(can_be_put_in_sequence(&steps));
        steps[2].fence = 1;
        assert!(!can_be_put_in_sequence(&steps));
    }

    #[test]
    fn two_holders_at_one_time_cannot_be_explained() {
        let steps = [
            step(What::Grant, 1, 0, 10),
            step(What::Grant, 2, 11, 20),
            step(What::Renew, 1, 21, 30),
            step(What::ReleaseUnused, 1, 31, 40),
        ];
        assert!(!can_be_put_in_sequence(&steps));
    }

    #[test]
    fn what_nobody_answered_may_have_been_carried_out_at_any_time_or_never() {
        let lost = step(What::ReleaseUnused, 1, 11, u64::MAX);
        let granted_again = [step(What::Grant, 1, 0, 10), lost.clone(), step(What::Grant, 2, 50, 60)];
        assert!(can_be_put_in_sequence(&granted_again));
        let still_held = [step(What::Grant, 1, 0, 10), lost, step(What::Renew, 1, 50, 60)];
        assert!(can_be_put_in_sequence(&still_held));
    }

    #[test]
    fn a_holder_is_refused_only_after_the_lease_has_ended() {
        let refused_early = [
            step(What::Grant, 1, 0, 10),
            step(What::Refused, 1, 20, 30),
            step(What::Expiry, 1, 100, u64::MAX),
        ];
        assert!(!can_be_put_in_sequence(&refused_early));
        let refused_late = [
            step(What::Grant, 1, 0, 10),
            step(What::Refused, 1, 90, 130),
            step(What::Expiry, 1, 100, u64::MAX),
        ];
        assert!(can_be_put_in_sequence(&refused_late));
    }

    #[test]
    fn what_has_expired_is_not_given_back() {
        let steps = [
            step(What::Grant, 1, 0, 10),
            step(What::Expiry, 1, 100, u64::MAX),
            step(What::Refused, 1, 110, 120),
            step(What::Release, 1, 130, 140),
        ];
        assert!(!can_be_put_in_sequence(&steps));
    }

    #[test]
    fn a_lease_that_is_shown_as_held_after_it_was_given_back_is_found() {
        let steps = [
            step(What::Grant, 1, 0, 10),
            step(What::Release, 1, 11, 20),
            step(What::Seen, 1, 21, 30),
            step(What::Expiry, 1, 100, u64::MAX),
        ];
        assert!(!can_be_put_in_sequence(&steps));
    }

    /// A dataset that is leased once, renewed so often, and given back.
    fn renewed(times: u64) -> Vec<Operation> {
        let lease = SeenLease {
            id: "lease".to_owned(),
            dataset: "ds".to_owned(),
            fence: 1,
            status: "held".to_owned(),
            ttl_us: 1_000_000,
            expires_us: 0,
        };
        let call = |act: Act, subject: &str, begun_us: u64| {
            let answer = Answer { id: "req".to_owned(), leases: vec![lease.clone()], ..Answer::default() };
            let call = Operation::made_up(act, subject, answer);
            Operation { fence: Some(1), begun_us, ended_us: begun_us + 1, ..call }
        };
        let renewals = (1..=times).map(|number| call(Act::Renew, "lease", number * 10));
        [call(Act::Ask, "key", 0)].into_iter().chain(renewals).collect()
    }

    #[test]
    fn a_history_that_is_too_long_to_be_searched_is_no_proof() {
        let search = |history: &[Operation]| search_all(history, &rules::leases(history));
        let short = search(&renewed(5));
        assert_eq!((short.datasets, short.left_out, short.wrong.len()), (1, 0, 0));
        let long = search(&renewed(100));
        assert_eq!((long.datasets, long.left_out, long.wrong.len()), (0, 1, 1));
    }

    #[test]
    fn what_was_used_is_never_granted_again() {
        let steps =
            [step(What::Grant, 1, 0, 10), step(What::Release, 1, 11, 20), step(What::Grant, 2, 21, 30)];
        assert!(!can_be_put_in_sequence(&steps));
    }
}

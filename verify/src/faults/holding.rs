//! Holding: what a holder may rely on as long as it believes to hold a lease, and what nobody else may do meanwhile (I4).
//!
//! ```text
//! asked ----- answered ======================= 4/5 of what is left of it, counted from when it was asked
//!                          renewed: asked ----- answered ================================
//!                          belief of the holder, until it gives the lease back: ===
//! ```
//!
//! A holder believes in several stretches when a renewal was answered late. While it does, the system under test admits it, the
//! servers show the lease as held, and nobody else believes to hold the dataset.

use std::collections::BTreeMap;

use super::journal::{Act, End, Operation, SeenLease};
use crate::guard::Entry;

/// How long somebody believes: from the answer on, and until four fifths of what was left are over since the call was begun.
#[derive(Debug, Clone, Copy)]
struct Belief {
    from_us: u64,
    until_us: u64,
}

/// One lease in the hands of its holder.
#[derive(Debug)]
struct Held<'a> {
    lease: &'a SeenLease,
    beliefs: Vec<Belief>,
    /// When each renewal was answered, and the end of the lease that it told.
    renewed: Vec<(u64, u64)>,
}

impl Held<'_> {
    /// Whether the holder believed from the beginning to the end of this.
    fn believed_during(&self, call: &Operation) -> bool {
        self.beliefs.iter().any(|belief| belief.from_us <= call.begun_us && call.ended_us < belief.until_us)
    }
}

/// Everything that happened against the belief of a holder, as sentences.
pub(crate) fn broken(history: &[Operation]) -> Vec<String> {
    let held = held(history);
    let mut wrong = Vec::new();
    for call in history.iter().filter(|call| matches!(call.act, Act::Use | Act::LookAtLease)) {
        let Some(held) = held.get(call.subject.as_str()) else { continue };
        wrong.extend(match call.act {
            Act::Use => turned_away(held, call),
            _ => shown_otherwise(held, call),
        });
    }
    wrong.extend(believed_by_two(&held));
    wrong
}

/// The system under test has admitted nobody with an older fence after a newer one.
pub(crate) fn went_back(log: &[Entry]) -> Vec<String> {
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in log.iter().filter(|entry| entry.admitted) {
        let highest = highest.entry(&entry.dataset).or_default();
        if entry.fence < *highest {
            wrong.push(format!("{entry:?} was admitted after somebody with fence {highest}"));
        }
        *highest = entry.fence.max(*highest);
    }
    wrong
}

/// How many leases were renewed, and used again when their first time was over.
pub(crate) fn used_beyond_first_deadline(history: &[Operation]) -> usize {
    let mut first: BTreeMap<&str, u64> = BTreeMap::new();
    for call in history.iter().filter(|call| asks(call)) {
        for lease in &call.answer.leases {
            first.entry(&lease.id).or_insert(call.ended_us + lease.ttl_us);
        }
    }
    let held = held(history);
    let beyond = |call: &&Operation| {
        call.act == Act::Use
            && first.get(call.subject.as_str()).is_some_and(|first| call.begun_us > *first)
            && held.get(call.subject.as_str()).is_some_and(|held| held.believed_during(call))
    };
    let leases: std::collections::BTreeSet<&str> =
        history.iter().filter(beyond).map(|call| call.subject.as_str()).collect();
    leases.len()
}

fn asks(call: &Operation) -> bool {
    matches!(call.act, Act::Ask | Act::Look | Act::Cancel) && call.end == End::Ok
}

/// Every lease that somebody was told of, with what its holder could believe.
fn held(history: &[Operation]) -> BTreeMap<&str, Held<'_>> {
    let mut held: BTreeMap<&str, Held<'_>> = BTreeMap::new();
    for call in history.iter().filter(|call| asks(call)) {
        for lease in call.answer.leases.iter().filter(|lease| lease.status == "held") {
            let held = held.entry(&lease.id).or_insert_with(|| Held {
                lease,
                beliefs: Vec::new(),
                renewed: Vec::new(),
            });
            held.beliefs.push(belief(call, lease));
        }
    }
    for call in history.iter().filter(|call| call.act == Act::Renew && call.end == End::Ok) {
        if let (Some(held), Some(lease)) = (held.get_mut(call.subject.as_str()), call.answer.leases.first()) {
            held.beliefs.push(belief(call, lease));
            held.renewed.push((call.ended_us, lease.expires_us));
        }
    }
    for call in history.iter().filter(|call| call.act == Act::Release) {
        if let Some(held) = held.get_mut(call.subject.as_str())
            && call.fence == Some(held.lease.fence)
        {
            // Whoever gives a lease back does not believe in it any more, whatever the answer is.
            for belief in &mut held.beliefs {
                belief.until_us = belief.until_us.min(call.begun_us);
            }
        }
    }
    held
}

fn belief(call: &Operation, lease: &SeenLease) -> Belief {
    Belief { from_us: call.ended_us, until_us: call.begun_us + lease.ttl_us / 5 * 4 }
}

/// The system under test refused a holder who believed in its lease.
fn turned_away(held: &Held<'_>, call: &Operation) -> Option<String> {
    (call.end != End::Ok && held.believed_during(call)).then(|| {
        format!("{:?} was in use by somebody with a higher fence, while it was held: {call:?}", held.lease)
    })
}

/// A server showed a lease as something else than its holder could believe.
fn shown_otherwise(held: &Held<'_>, call: &Operation) -> Option<String> {
    if call.end == End::Maybe || !held.believed_during(call) {
        return None;
    }
    let before = held.renewed.iter().filter(|(answered_us, _)| *answered_us < call.begun_us);
    let least_us = before.map(|(_, expires_us)| *expires_us).max().unwrap_or_default();
    let shown = call.answer.leases.first();
    let as_believed = call.end == End::Ok
        && shown.is_some_and(|shown| {
            shown.status == "held" && shown.fence == held.lease.fence && shown.expires_us >= least_us
        });
    (!as_believed).then(|| {
        format!("lease {} was held until {least_us} at least, and was shown as {call:?}", held.lease.id)
    })
}

/// Nobody believes to hold a dataset while somebody else does.
fn believed_by_two(held: &BTreeMap<&str, Held<'_>>) -> Vec<String> {
    let mut datasets: BTreeMap<&str, Vec<(Belief, &str)>> = BTreeMap::new();
    for held in held.values() {
        let beliefs = held.beliefs.iter().filter(|belief| belief.from_us < belief.until_us);
        let of_dataset = datasets.entry(&held.lease.dataset).or_default();
        of_dataset.extend(beliefs.map(|belief| (*belief, held.lease.id.as_str())));
    }
    let mut wrong = Vec::new();
    for (dataset, mut beliefs) in datasets {
        beliefs.sort_by_key(|(belief, _)| belief.from_us);
        let mut last: Option<(Belief, &str)> = None;
        for (belief, lease) in beliefs {
            if let Some((other, holder)) = last
                && holder != lease
                && belief.from_us < other.until_us
            {
                wrong.push(format!(
                    "dataset {dataset} was believed to be held under {holder} ({other:?}) and under {lease} ({belief:?})"
                ));
            }
            if last.is_none_or(|(other, _)| other.until_us <= belief.until_us) {
                last = Some((belief, lease));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::journal::Answer;
    use super::*;

    fn lease(id: &str, fence: u64) -> SeenLease {
        SeenLease {
            id: id.to_owned(),
            dataset: "ds".to_owned(),
            fence,
            status: "held".to_owned(),
            ttl_us: 1_000,
            expires_us: 1_000,
        }
    }

    /// A call about this lease that was answered with it.
    fn call(act: Act, lease: &SeenLease, begun_us: u64, ended_us: u64) -> Operation {
        let answer = Answer { id: "req".to_owned(), leases: vec![lease.clone()], ..Answer::default() };
        let call = Operation::made_up(act, &lease.id, answer);
        Operation { fence: Some(lease.fence), begun_us, ended_us, ..call }
    }

    fn failed(call: Operation) -> Operation {
        Operation { end: End::Fail, ..call }
    }

    #[test]
    fn a_holder_who_is_turned_away_while_it_believes_is_found() {
        let lease = lease("a", 1);
        let used = |begun_us| failed(call(Act::Use, &lease, begun_us, begun_us + 1));
        let asked = || call(Act::Ask, &lease, 0, 10);
        assert_eq!(broken(&[asked(), used(500)]).len(), 1);
        assert_eq!(broken(&[asked(), used(800)]), Vec::<String>::new());
        let released = call(Act::Release, &lease, 400, 410);
        assert_eq!(broken(&[asked(), released, used(500)]), Vec::<String>::new());
    }

    #[test]
    fn a_renewal_that_was_answered_goes_on_to_be_believed_and_one_that_was_not_does_not() {
        let lease = lease("a", 1);
        let used = failed(call(Act::Use, &lease, 1_200, 1_201));
        let renewed = call(Act::Renew, &lease, 600, 610);
        assert_eq!(broken(&[call(Act::Ask, &lease, 0, 10), renewed.clone(), used.clone()]).len(), 1);
        let lost = Operation { end: End::Maybe, answer: Answer::default(), ..renewed };
        assert_eq!(broken(&[call(Act::Ask, &lease, 0, 10), lost, used]), Vec::<String>::new());
    }

    #[test]
    fn a_lease_that_is_shown_as_over_or_without_its_renewal_is_found() {
        let first = lease("a", 1);
        let look = |shown: SeenLease| {
            let mut look = call(Act::LookAtLease, &first, 700, 710);
            look.answer.leases = vec![shown];
            look
        };
        let asked = || call(Act::Ask, &first, 0, 10);
        assert_eq!(broken(&[asked(), look(first.clone())]), Vec::<String>::new());
        let over = SeenLease { status: "expired".to_owned(), ..first.clone() };
        assert_eq!(broken(&[asked(), look(over)]).len(), 1);
        assert_eq!(broken(&[asked(), look(SeenLease { fence: 2, ..first.clone() })]).len(), 1);
        let later = SeenLease { expires_us: 1_600, ..first.clone() };
        let renewed = call(Act::Renew, &later, 600, 610);
        assert_eq!(broken(&[asked(), renewed.clone(), look(later)]), Vec::<String>::new());
        assert_eq!(broken(&[asked(), renewed, look(first.clone())]).len(), 1, "the renewal is lost");
    }

    #[test]
    fn two_who_believe_to_hold_one_dataset_are_found() {
        let (one, other) = (lease("a", 1), lease("b", 2));
        let asked =
            |second_us| [call(Act::Ask, &one, 0, 10), call(Act::Ask, &other, second_us, second_us + 10)];
        assert_eq!(broken(&asked(300)).len(), 1);
        assert_eq!(broken(&asked(900)), Vec::<String>::new());
        let mut given_back = asked(300).to_vec();
        given_back.push(call(Act::Release, &one, 200, 210));
        assert_eq!(broken(&given_back), Vec::<String>::new());
        let mut renewed = asked(900).to_vec();
        renewed.push(call(Act::Renew, &one, 700, 710));
        assert_eq!(broken(&renewed).len(), 1);
    }

    #[test]
    fn a_guard_that_went_back_is_found() {
        let entry = |fence, admitted| Entry { dataset: "ds".to_owned(), fence, admitted, at_us: 0 };
        assert_eq!(went_back(&[entry(1, true), entry(2, true), entry(1, false)]), Vec::<String>::new());
        assert_eq!(went_back(&[entry(2, true), entry(1, true)]).len(), 1);
    }

    #[test]
    fn a_use_beyond_the_first_deadline_counts_only_under_a_renewal() {
        let lease = lease("a", 1);
        let used = call(Act::Use, &lease, 1_100, 1_101);
        let history = [call(Act::Ask, &lease, 0, 10), call(Act::Renew, &lease, 600, 610), used.clone()];
        assert_eq!(used_beyond_first_deadline(&history), 1);
        assert_eq!(used_beyond_first_deadline(&[call(Act::Ask, &lease, 0, 10), used]), 0);
    }
}

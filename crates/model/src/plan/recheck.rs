//! Rechecking a dataset that stands: it is confirmed, found to have drifted, or nobody can tell.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answers::later;
use super::blame::{Cause, failure};
use super::{Outcome, Plan, Resolution, Said};
use crate::failure::FailureClass;
use crate::recheck::{Offline, Recheck, Why};
use crate::request::Priority;
use crate::tree::{Answerer, Ending, Evidence, Handed, Operation, PartStatus, SetAside, Verdict};

/// The pause before a service is asked again that could not tell, while somebody waits for it.
const PAUSE_MS: u64 = 2_000;

/// How it is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    /// How long answers are waited for.
    pub(super) allow_ms: u64,
    /// True when only fresh evidence will do.
    pub(super) strict: bool,
    /// True when nobody waits for a service that cannot be asked.
    pub(super) at_once: bool,
}

impl Asking {
    /// About what may go back into stock: nobody waits, and only what all agree about goes there.
    const UNHURRIED: Self = Self { allow_ms: RETURN_ALLOWED_MS, strict: true, at_once: false };
}

impl Plan<'_> {
    /// Begins to ask about the whole dataset; nothing happens when it does not stand.
    pub(super) fn recheck(&mut self, why: Why, asking: Asking, offline: &[Offline]) {
        if self.tree.ending.is_some() || !self.may_be_rechecked(why) {
            return;
        }
        if matches!(why, Why::Suspect | Why::Retry)
            && let Err(message) = self.renew()
        {
            self.tell(0, "dataset.outdated", json!({ "message": message }));
            return self.end(Ending::Unwanted);
        }
        if why.holds_back() {
            self.change(0).status = PartStatus::Checking;
        }
        let now = self.world.now;
        let Asking { allow_ms, strict, at_once } = asking;
        let until = later(now, allow_ms);
        self.tree.recheck = Some(Recheck { why, begun_at: now, until, strict, at_once });
        for part in self.checked_parts(self.below(0)) {
            let away = offline.iter().find(|offline| offline.contract == self.part(part).contract);
            if let Some(away) = away {
                let since = away.since.map(|since| format!(" since {since:.0}")).unwrap_or_default();
                let message = format!("no supplier of {} has been connected{since}", away.contract);
                self.note(part, Verdict::Unknown, None, Some(message));
            } else if self.part(part).task.is_none() {
                self.add_task(part, Operation::Check, now, self.priority_of(why));
            }
        }
    }

    fn may_be_rechecked(&self, why: Why) -> bool {
        let status = self.part(0).status;
        match why {
            Why::HandOver => matches!(status, PartStatus::Ready | PartStatus::Suspect),
            Why::Patrol => status == PartStatus::Ready && self.tree.recheck.is_none(),
            Why::Suspect => status == PartStatus::Suspect,
            Why::Retry => status == PartStatus::Quarantined,
            // An extension asks everybody as well, and what it is about to change is not found to have drifted.
            Why::Return | Why::Diagnosis => {
                status == PartStatus::Leased && self.extension_under_way().is_none()
            }
        }
    }

    fn priority_of(&self, why: Why) -> Priority {
        match why {
            Why::HandOver | Why::Diagnosis => self.tree.priority,
            Why::Return | Why::Suspect | Why::Retry => Priority::Stock,
            Why::Patrol => Priority::Patrol,
        }
    }

    /// True when the dataset was made and is not being taken down: what is said about it is noted, and fails nothing.
    ///
    /// That does not go for what is new by an extension that is under way.
    pub(super) fn stands(&self, part: u32) -> bool {
        let status = self.part(0).status;
        self.tree.ending.is_none()
            && !self.is_of_extension_under_way(part)
            && (self.tree.recheck.is_some()
                || matches!(
                    status,
                    PartStatus::Ready | PartStatus::Leased | PartStatus::Suspect | PartStatus::Quarantined
                ))
    }

    /// Keeps what a service said about its part of a dataset that stands.
    pub(super) fn note(
        &mut self,
        part: u32,
        verdict: Verdict,
        facts: Option<Value>,
        message: Option<String>,
    ) {
        let at = self.world.now;
        let Answerer { build, instance } = self.answerer.clone();
        let leased = self.part(0).status == PartStatus::Leased;
        if verdict != Verdict::Unknown && self.is_there_for_stock() {
            let contract = self.part(part).contract.clone();
            self.said.push(Said { contract, holds: verdict == Verdict::Valid, message: message.clone() });
        }
        let node = self.change(part);
        node.task = None;
        if leased && node.handed.is_none() {
            let (facts, evidence) = (node.facts.clone(), node.evidence.clone());
            node.handed = Some(Box::new(Handed { facts, evidence }));
        }
        if let Some(facts) = facts {
            node.facts = Some(Arc::new(facts));
        }
        let before = node.evidence.as_ref().and_then(|evidence| evidence.valid_at);
        let valid_at = if verdict == Verdict::Valid { Some(at) } else { before };
        node.evidence = Some(Evidence { verdict, at, message, valid_at, build, instance });
        // Late, and no less true: nobody shall be handed what is known not to hold.
        if verdict == Verdict::Invalid && self.tree.recheck.is_none() && !leased {
            let recheck =
                Recheck { why: Why::Patrol, begun_at: at, until: at, strict: false, at_once: false };
            self.tree.recheck = Some(recheck);
        }
    }

    /// Concludes a recheck once enough is known, or its time is over.
    pub(super) fn look_at_recheck(&mut self) {
        let Some(recheck) = self.tree.recheck else { return };
        let checked = self.checked_parts(self.below(0));
        let said =
            |part: u32| self.part(part).evidence.as_ref().filter(|evidence| evidence.at >= recheck.begun_at);
        let invalid = |part: &u32| said(*part).is_some_and(|evidence| evidence.verdict == Verdict::Invalid);
        let first =
            checked.iter().copied().filter(invalid).min_by_key(|part| (said(*part).map(|it| it.at), *part));
        let open = checked.iter().any(|part| self.part(*part).task.is_some());
        let is_awaited = open && self.world.now < recheck.until;
        // Whoever wants to know what has become of it wants to hear everybody.
        if let Some(part) = first.filter(|_| !is_awaited || recheck.why != Why::Diagnosis) {
            let told = said(part).and_then(|evidence| evidence.message.clone());
            let told = told.map(|message| format!(": {message}")).unwrap_or_default();
            let contract = &self.part(part).contract;
            let message = format!("{contract} says that its part of the state does not hold any more{told}");
            let cause = Cause::of(FailureClass::Check, message).with_code(Verdict::Invalid.name());
            return self.drifted(recheck, part, cause);
        }
        if is_awaited {
            return;
        }
        let valid = |part: &u32| said(*part).is_some_and(|evidence| evidence.verdict == Verdict::Valid);
        let unknown: Vec<u32> = checked.iter().copied().filter(|part| !valid(part)).collect();
        if !unknown.is_empty() {
            return self.unconfirmed(recheck, &unknown);
        }
        match self.broken_invariant(0) {
            None => self.confirmed(recheck, &checked),
            Some((node, message)) => {
                self.drifted(recheck, node, Cause::of(FailureClass::Invariant, message));
            }
        }
    }

    fn confirmed(&mut self, recheck: Recheck, checked: &[u32]) {
        if recheck.why == Why::HandOver
            && let Some((part, cause)) = self.clash()
        {
            return self.drifted(recheck, part, cause);
        }
        self.stop_recheck();
        self.owns = self.owned();
        let readiness = self.readiness(checked);
        match recheck.why {
            Why::HandOver | Why::Return | Why::Suspect | Why::Retry => {
                let root = self.change(0);
                root.status = PartStatus::Ready;
                root.failure = None;
                root.set_aside = None;
                self.outcome = Some(Outcome::Ready(readiness));
                self.tell(0, "dataset.confirmed", json!({ "because": recheck.why.name() }));
            }
            Why::Patrol => self.outcome = Some(Outcome::Confirmed(readiness)),
            Why::Diagnosis => {}
        }
    }

    fn drifted(&mut self, recheck: Recheck, part: u32, cause: Cause) {
        self.stop_recheck();
        if cause.class == FailureClass::Check && self.is_upon_its_word(recheck.why) {
            let contract = self.part(part).contract.clone();
            if self.found_out.doubted.contains(&contract) {
                return self.hold_back(recheck, part, &cause.message);
            }
            self.upon = Some(contract);
        }
        let failure = failure(&self.tree, self.world.versions, part, cause);
        let told = json!({
            "because": recheck.why.name(), "contract": failure.contract.to_string(), "version": failure.version,
            "class": failure.class.name(), "message": failure.message, "owner": failure.owner.team,
        });
        match recheck.why {
            // It was handed over while the patrol was there.
            Why::Patrol if self.part(0).status == PartStatus::Leased => {
                self.tell(part, "dataset.drifted", told);
            }
            Why::HandOver | Why::Patrol => {
                let set_aside = SetAside { at: self.world.now, because: recheck.why };
                let root = self.change(0);
                root.set_aside = Some(set_aside);
                root.status = PartStatus::Quarantined;
                root.failure = Some(failure.clone());
                self.tell(part, "dataset.quarantined", told);
                self.outcome = Some(Outcome::Quarantined(Box::new(failure)));
            }
            Why::Retry => {
                // It was in quarantine before, and stays there, with what is wrong now.
                let root = self.change(0);
                root.status = PartStatus::Quarantined;
                root.failure = Some(failure);
                self.tell(part, "dataset.quarantined", told);
            }
            Why::Suspect => {
                self.tell(part, "dataset.drifted", told);
                self.end(Ending::Unwanted);
            }
            Why::Return => {
                self.tell(part, "dataset.drifted", told);
                self.end(Ending::Used);
            }
            Why::Diagnosis => self.tell(part, "dataset.drifted", told),
        }
    }

    /// Somebody cannot tell, or does not answer.
    fn unconfirmed(&mut self, recheck: Recheck, unknown: &[u32]) {
        for part in unknown.iter().copied() {
            let answered =
                self.part(part).evidence.as_ref().is_some_and(|evidence| evidence.at >= recheck.begun_at);
            if !answered {
                let message = format!("{} did not answer in time", self.part(part).contract);
                let task = self.part(part).task.clone();
                self.note(part, Verdict::Unknown, None, Some(message));
                // Its task is still out: whatever comes of it is noted.
                self.change(part).task = task;
            }
        }
        let recent = unknown.iter().all(|part| self.was_valid_lately(*part));
        match recheck.why {
            Why::HandOver if recent && !recheck.strict => {
                if let Some((part, cause)) = self.clash() {
                    return self.drifted(recheck, part, cause);
                }
                self.stop_recheck();
                let paths: Vec<String> = unknown.iter().map(|part| self.tree.path_of(*part)).collect();
                self.tell(0, "dataset.stale", json!({ "unconfirmed": paths }));
                let checked = self.checked_parts(self.below(0));
                self.change(0).status = PartStatus::Ready;
                self.owns = self.owned();
                self.outcome = Some(Outcome::Ready(self.readiness(&checked)));
            }
            // It stays in stock as it is: nobody has said anything against it.
            Why::HandOver if recheck.at_once => {
                self.stop_recheck();
                let paths: Vec<String> = unknown.iter().map(|part| self.tree.path_of(*part)).collect();
                self.tell(0, "dataset.unconfirmed", json!({ "unconfirmed": paths }));
                let checked = self.checked_parts(self.below(0));
                self.change(0).status = PartStatus::Ready;
                self.outcome = Some(Outcome::HeldBack(self.readiness(&checked)));
            }
            // Whoever waits goes on waiting, until the time of the request is over.
            Why::HandOver => self.ask_once_more(recheck, unknown),
            Why::Suspect | Why::Retry => {
                self.stop_recheck();
                let set_aside = recheck.why == Why::Retry;
                self.change(0).status = if set_aside { PartStatus::Quarantined } else { PartStatus::Suspect };
            }
            Why::Return => {
                self.stop_recheck();
                self.end(Ending::Used);
            }
            Why::Patrol | Why::Diagnosis => self.stop_recheck(),
        }
    }

    fn ask_once_more(&mut self, recheck: Recheck, unknown: &[u32]) {
        let (now, allowed) = (self.world.now, recheck.until.duration_since(recheck.begun_at));
        let next = later(now, PAUSE_MS);
        let until = next.checked_add(allowed).unwrap_or(next);
        self.tree.recheck = Some(Recheck { until, ..recheck });
        for part in unknown.iter().copied() {
            // Nobody shall take what it said now for what it is going to say.
            if self.part(part).task.is_none() {
                self.add_task(part, Operation::Check, next, self.tree.priority);
            }
        }
    }

    /// Whether what a part's service said last can still be relied upon while it cannot be asked.
    fn was_valid_lately(&self, part: u32) -> bool {
        let valid_at = self.part(part).evidence.as_ref().and_then(|evidence| evidence.valid_at);
        let contract = self.contract(part);
        let capability = contract.as_ref().and_then(|contract| contract.capability());
        let stale_for_s = capability.map_or(0, |capability| capability.stale_for_s);
        valid_at.is_some_and(|valid_at| self.world.now <= later(valid_at, u64::from(stale_for_s) * 1000))
    }

    /// Nobody waits for the answers any more: tasks that are still out are taken back.
    pub(super) fn stop_recheck(&mut self) {
        if self.tree.recheck.take().is_some() {
            self.withdraw_checks();
        }
    }

    /// Takes back everything that services are asked about the dataset.
    pub(super) fn withdraw_checks(&mut self) {
        for part in self.below(0) {
            let asked = self.part(part).task.as_ref().is_some_and(|task| task.operation == Operation::Check);
            if !asked {
                continue;
            }
            if self.ready.remove(&part).is_some() {
                // Planned by this very decision: it was never there for anybody to claim.
                self.change(part).task = None;
            } else if let Some(withdrawn) = self.ready_task(part) {
                self.withdrawn.push(withdrawn);
                self.change(part).task.as_mut().expect("a withdrawn task is there").cancelled = true;
            }
        }
    }

    /// The lease has ended. What was not used up goes back into stock once it is found to hold; never what was extended,
    /// because it is not any more what the stock is of.
    pub(super) fn lease_ended(&mut self, keep: bool) {
        let is_extended = self.tree.extensions().next().is_some();
        if !keep || is_extended || self.tree.line.is_none() || self.tree.ending.is_some() {
            return self.end(Ending::Used);
        }
        self.stop_recheck();
        self.recheck(Why::Return, Asking::UNHURRIED, &[]);
        self.tree.lease = None;
        for part in self.below(0) {
            if self.part(part).handed.is_some() {
                self.change(part).handed = None;
            }
        }
    }

    /// Somebody has decided about a dataset that was set aside.
    pub(super) fn resolve(
        &mut self,
        resolution: Resolution,
        (by, reason): (&str, &str),
        offline: &[Offline],
    ) {
        if self.part(0).status != PartStatus::Quarantined || self.tree.ending.is_some() {
            return;
        }
        let told = json!({ "resolution": resolution.name(), "by": by, "message": reason });
        self.tell(0, "dataset.resolved", told);
        match resolution {
            Resolution::Retry => self.recheck(Why::Retry, Asking::UNHURRIED, offline),
            Resolution::Undo => self.end(Ending::Unwanted),
            Resolution::Discard => self.discard(),
            Resolution::Return => {
                let root = self.change(0);
                root.status = PartStatus::Ready;
                root.failure = None;
                root.set_aside = None;
                let checked = self.checked_parts(self.below(0));
                self.owns = self.owned();
                self.outcome = Some(Outcome::Ready(self.readiness(&checked)));
            }
        }
    }

    /// The dataset is over as it is: nothing of it is undone.
    fn discard(&mut self) {
        let now = self.world.now;
        self.tree.ending = Some(Ending::Discarded);
        for part in self.below(0) {
            if !self.part(part).status.ended() {
                let node = self.change(part);
                node.status = PartStatus::Gone;
                node.ended_at = Some(now);
            }
        }
        self.outcome = Some(Outcome::Ended);
    }
}

/// How long the services are waited for about a dataset that may go back into stock; nobody waits for it.
const RETURN_ALLOWED_MS: u64 = 60_000;

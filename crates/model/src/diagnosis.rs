//! Diagnosis: what was known of a dataset when it was handed over, against what its services say now.
//!
//! ```text
//! of every part that a capability has made, the service
//!   says `invalid`, or reads back other facts     -> changed
//!   cannot tell, or does not answer               -> failed
//!   says `valid`, and reads back the same         -> same
//!   is not asked                                  -> unchecked
//!
//! one has changed, or an invariant does not hold  -> changed under the lease
//! otherwise one has failed, or none was asked     -> the check itself fails
//! otherwise                                       -> still valid
//! ```

use jiff::Timestamp;

use crate::plan::{Judged, Plan, World};
use crate::rerun::{Difference, Found, lasting};
use crate::tree::{Evidence, Handed, Part, PartStatus, Tree, Verdict};

/// Places in the facts that one message names: a person reads the rest below it.
const POINTERS_NAMED: usize = 3;

/// What has become of a dataset under its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// The answer.
    pub conclusion: Conclusion,
    /// The same for people.
    pub message: String,
    /// Everything that a capability has made, in the order of the plan.
    pub parts: Vec<PartDiagnosis>,
    /// Where facts are different, but for what is volatile; in the order of the plan, at most as many as of a rerun.
    pub differences: Vec<Difference>,
    /// How many there are beyond those.
    pub more: usize,
    /// The invariants of all scenarios over the facts of now.
    pub invariants: Vec<Judged>,
}

/// One of three answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Every service that was asked says the same as at hand-over: look at the product, or at the test.
    StillValid,
    /// It is not what was handed over any more.
    Changed {
        /// Of the parts that have changed, the one that was made first; a scenario, when nothing but an invariant tells.
        first: u32,
    },
    /// Nobody can tell.
    CheckFailed {
        /// Of the parts whose check fails, the one that was made first; `None` when no part has a check.
        first: Option<u32>,
    },
}

/// What has become of one part.
#[derive(Debug, Clone, PartialEq)]
pub struct PartDiagnosis {
    /// Its number.
    pub part: u32,
    /// In one word.
    pub state: PartState,
    /// What was known at hand-over.
    pub then: Handed,
    /// What is known now; without facts when nobody could tell.
    pub now: Handed,
}

/// How a part stands to what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartState {
    /// Its service says the same as at hand-over.
    Same,
    /// It does not hold any more, or its facts are others.
    Changed,
    /// Its service cannot tell, or did not answer.
    Failed,
    /// It cannot be asked about, or a later part speaks for it.
    Unchecked,
}

impl PartState {
    /// Every state with its name on the wire.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Same, "same"),
        (Self::Changed, "changed"),
        (Self::Failed, "failed"),
        (Self::Unchecked, "unchecked"),
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).expect("every state is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

impl Conclusion {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::StillValid => "still_valid",
            Self::Changed { .. } => "changed",
            Self::CheckFailed { .. } => "check_failed",
        }
    }
}

/// Compares a leased dataset, whose services were asked from `asked_at` on, with what it was when it was handed over.
pub fn diagnose(tree: &Tree, asked_at: Timestamp, world: World<'_>) -> Diagnosis {
    let plan = Plan::of(tree.clone(), tree.parts.len(), world);
    let asked = plan.checked_parts(plan.below(0));
    let mut found = Found::default();
    let mut parts = Vec::new();
    for part in made_by_capabilities(&plan) {
        let is_asked = asked.binary_search(&part.part).is_ok();
        parts.push(compared(&plan, part, is_asked.then_some(asked_at), &mut found));
    }
    let judged = plan.below(0).into_iter().filter_map(|number| plan.judge(number));
    let invariants: Vec<Judged> = judged.flat_map(|(_, judged)| judged).collect();
    let first = |state: PartState| {
        let parts = parts.iter().filter(|part| part.state == state);
        parts.min_by_key(|part| tree.parts[part.part as usize].made).map(|part| part.part)
    };
    let broken = invariants.iter().find(|judged| judged.broken.is_some());
    let conclusion = match (first(PartState::Changed), broken, first(PartState::Failed)) {
        (Some(first), ..) => Conclusion::Changed { first },
        (None, Some(judged), _) => Conclusion::Changed { first: judged.part },
        (None, None, Some(first)) => Conclusion::CheckFailed { first: Some(first) },
        (None, None, None) if asked.is_empty() => Conclusion::CheckFailed { first: None },
        (None, None, None) => Conclusion::StillValid,
    };
    let Found { differences, more, .. } = found;
    let mut diagnosis =
        Diagnosis { conclusion, message: String::new(), parts, differences, more, invariants };
    diagnosis.message = diagnosis.told(tree, world.now);
    diagnosis
}

/// Everything that a capability has made and that belongs to the dataset as it is.
fn made_by_capabilities<'a>(plan: &'a Plan<'_>) -> Vec<&'a Part> {
    let mut numbers = plan.below(0);
    numbers.sort_unstable();
    let is_scenario = |part: &Part| plan.contract(part.part).is_some_and(|it| it.scenario().is_some());
    let parts = numbers.into_iter().map(|number| plan.part(number));
    parts.filter(|part| part.status != PartStatus::Skipped && !is_scenario(part)).collect()
}

fn compared(plan: &Plan<'_>, part: &Part, asked_at: Option<Timestamp>, found: &mut Found) -> PartDiagnosis {
    let known = Handed { facts: part.facts.clone(), evidence: part.evidence.clone() };
    let then = part.handed.as_deref().cloned().unwrap_or_else(|| known.clone());
    let Some(asked_at) = asked_at else {
        return PartDiagnosis { part: part.part, state: PartState::Unchecked, then, now: known };
    };
    let answer = known.evidence.clone().filter(|evidence| evidence.at >= asked_at);
    let evidence = answer.unwrap_or_else(|| Evidence {
        verdict: Verdict::Unknown,
        at: plan.world.now,
        message: Some(format!("{} did not answer in time", part.contract)),
        valid_at: known.evidence.as_ref().and_then(|evidence| evidence.valid_at),
        build: None,
        instance: None,
    });
    let verdict = evidence.verdict;
    let facts = known.facts.filter(|_| verdict != Verdict::Unknown);
    let differs = match (&then.facts, &facts) {
        (Some(before), Some(now)) => {
            let contract = plan.contract(part.part);
            let values = (lasting(contract.as_deref(), before), lasting(contract.as_deref(), now));
            found.path = plan.tree.steps_to(part.part);
            found.parts = (Some(part.part), Some(part.part));
            found.look("", Some(&values.0), Some(&values.1));
            values.0 != values.1
        }
        // What was not read back at hand-over cannot have changed since.
        _ => false,
    };
    let state = match verdict {
        Verdict::Invalid => PartState::Changed,
        Verdict::Valid if differs => PartState::Changed,
        Verdict::Valid => PartState::Same,
        Verdict::Unknown => PartState::Failed,
    };
    PartDiagnosis { part: part.part, state, then, now: Handed { facts, evidence: Some(evidence) } }
}

impl Diagnosis {
    /// How many parts were asked about.
    pub fn asked(&self) -> usize {
        self.parts.iter().filter(|part| part.state != PartState::Unchecked).count()
    }

    fn told(&self, tree: &Tree, now: Timestamp) -> String {
        let (asked, of) = (self.asked(), self.parts.len());
        match self.conclusion {
            Conclusion::StillValid => format!(
                "the data is still valid: {asked} of {of} parts were asked about and are as they were handed over; look \
                 at the product, or at the test"
            ),
            Conclusion::Changed { first } => {
                format!("changed under your lease: {}", self.change(tree, first, now))
            }
            Conclusion::CheckFailed { first: None } => {
                format!(
                    "the check itself fails: nobody can be asked, because none of the parts ({of}) has a check"
                )
            }
            Conclusion::CheckFailed { first: Some(first) } => {
                let why = self.said(first).unwrap_or("the service cannot tell, and does not say why");
                format!("the check itself fails: {}: {why}", tree.path_of(first))
            }
        }
    }

    /// Whose part has changed, how, and when that was noticed.
    fn change(&self, tree: &Tree, first: u32, now: Timestamp) -> String {
        let path = tree.path_of(first);
        let domain = tree.parts[first as usize].contract.domain();
        let Some(part) = self.parts.iter().find(|part| part.part == first) else {
            let broken =
                self.invariants.iter().find(|judged| judged.part == first && judged.broken.is_some());
            let broken = broken.and_then(|judged| judged.broken.as_deref()).unwrap_or_default();
            return format!(
                "every service says that its part holds, but {broken} ({path}), noticed at {now:.0}"
            );
        };
        let evidence = part.now.evidence.as_ref();
        let at = evidence.map_or(now, |evidence| evidence.at);
        if evidence.is_some_and(|evidence| evidence.verdict == Verdict::Invalid) {
            let said = self.said(first).map(|said| format!(": {said}")).unwrap_or_default();
            return format!("`{domain}` says that {path} does not hold any more{said}; noticed at {at:.0}");
        }
        let places: Vec<&Difference> = self
            .differences
            .iter()
            .filter(|difference| difference.after == Some(first) || difference.before == Some(first))
            .collect();
        // What stands there may be a secret: values are for whoever shows the differences.
        let named = places.iter().take(POINTERS_NAMED).map(|difference| match difference.pointer.as_str() {
            "" => "all of them",
            pointer => pointer,
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let rest = if places.len() > POINTERS_NAMED { ", …" } else { "" };
        let named = if named.is_empty() { String::new() } else { format!(" ({named}{rest})") };
        format!("`{domain}` says that {path} holds and reads back other facts{named}; noticed at {at:.0}")
    }

    /// What the service of a part says now, in its own words.
    fn said(&self, part: u32) -> Option<&str> {
        let part = self.parts.iter().find(|known| known.part == part)?;
        part.now.evidence.as_ref()?.message.as_deref().filter(|message| !message.is_empty())
    }
}

//! Dataset trees: one business state and the parts that it is made of.
//!
//! ```text
//! part   pending -> building -> checking -> ready -> undoing -> gone
//!                      |            |                   |
//!                      +------------+--> failed         +--> debt
//! root   ... ready -> leased -> undoing -> gone
//! ```
//!
//! A leaf is made by one capability; an inner node is a scenario, or an orchestrator with the children that it obtained.
//! Everything the planner needs to decide what happens next is in here: a tree is read once, decided upon, and written
//! back guarded by its version.

mod task;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::debt::ResolvedDebt;
use crate::extension::Extension;
use crate::failure::Failure;
use crate::find::{Origin, Search};
use crate::ids::{DatasetId, LeaseId, LineId, RequestId, TreeId};
use crate::join::Join;
use crate::name::ContractName;
use crate::recheck::{Recheck, Why};
use crate::request::Priority;

pub use task::{Claim, Operation, Task};

/// Where one part of a tree stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartStatus {
    /// Planned; what it depends on is not there yet.
    Pending,
    /// Being made.
    Building,
    /// Made; the services are asked whether they agree.
    Checking,
    /// Made and agreed upon.
    Ready,
    /// Its condition said that it is not needed.
    Skipped,
    /// In the hands of a holder; only a root.
    Leased,
    /// Stock whose contract changed; it is asked about again before it may be handed out. Only a root.
    Suspect,
    /// Failed a check while in stock; waits for a person. Only a root.
    Quarantined,
    /// Being removed or compensated.
    Undoing,
    /// Nothing of it is left.
    Gone,
    /// Could not be made; what had been made of it was undone.
    Failed,
    /// An effect of it could not be undone; waits for a person.
    Debt,
}

impl PartStatus {
    /// Every status with its name on the wire.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::Pending, "pending"),
        (Self::Building, "building"),
        (Self::Checking, "checking"),
        (Self::Ready, "ready"),
        (Self::Skipped, "skipped"),
        (Self::Leased, "leased"),
        (Self::Suspect, "suspect"),
        (Self::Quarantined, "quarantined"),
        (Self::Undoing, "undoing"),
        (Self::Gone, "gone"),
        (Self::Failed, "failed"),
        (Self::Debt, "debt"),
    ];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).expect("every status is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }

    /// True when nothing will happen to the part by itself any more.
    pub fn ended(self) -> bool {
        matches!(self, Self::Skipped | Self::Gone | Self::Failed | Self::Debt)
    }
}

/// What a service says about its part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It holds.
    Valid,
    /// It does not hold.
    Invalid,
    /// The service cannot tell; never taken for valid.
    Unknown,
}

impl Verdict {
    /// Every verdict with its name on the wire.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Valid, "valid"), (Self::Invalid, "invalid"), (Self::Unknown, "unknown")];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(verdict, _)| *verdict == self).expect("every verdict is listed").1
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(verdict, _)| *verdict)
    }
}

/// The last answer of one service about one part.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What it said.
    pub verdict: Verdict,
    /// When it was asked.
    pub at: Timestamp,
    /// Why, in the words of the domain.
    pub message: Option<String>,
    /// When it last said that the part holds; `None` when it never did.
    pub valid_at: Option<Timestamp>,
    /// The build of the supplier that said it; `None` when that has told none, or when nobody answered.
    pub build: Option<Arc<str>>,
    /// The instance of the supplier that said it; `None` when nobody answered.
    pub instance: Option<Arc<str>>,
}

/// Who gives an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answerer {
    /// The build of the supplier, if it has told one.
    pub build: Option<Arc<str>>,
    /// The instance of the supplier.
    pub instance: Option<Arc<str>>,
}

/// What was known of a part when its dataset was handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct Handed {
    /// What the owning service had read back.
    pub facts: Option<Arc<Value>>,
    /// Its last answer.
    pub evidence: Option<Evidence>,
}

/// Since when a dataset is in quarantine, and what had it asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetAside {
    /// When it was set aside first.
    pub at: Timestamp,
    /// What it was asked about for.
    pub because: Why,
}

/// What stands between an attempt at a scenario that failed and the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Retrying {
    /// What the failed attempt has made is undone first.
    TakingDown,
    /// The next attempt begins then.
    Pausing {
        /// Not earlier than this.
        until: Timestamp,
    },
}

/// A child that an orchestrator asked for by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The name that always answers the same child.
    pub name: String,
    /// What is asked for.
    pub contract: ContractName,
    /// With which input.
    pub input: Value,
}

/// One node of a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its number; its place in [`Tree::parts`].
    pub part: u32,
    /// The part that it belongs to; `None` only for the root.
    pub parent: Option<u32>,
    /// The step of the scenario, or the name that the orchestrator gave it; empty for the root.
    pub step: String,
    /// Its place in a `for_each` step.
    pub index: Option<u32>,
    /// What it is an instance of.
    pub contract: ContractName,
    /// In which version.
    pub version: u32,
    /// What it is made from.
    pub input: Arc<Value>,
    /// Where its data comes from.
    pub origin: Origin,
    /// How far the search for existing data has come; `None` when there is none.
    pub search: Option<Box<Search>>,
    /// What it has to do with stock; `None` for what is made in its place, as most parts are.
    pub join: Option<Box<Join>>,
    /// What was made.
    pub output: Option<Arc<Value>>,
    /// What the owning service last read back; for a scenario, those of its steps by name.
    pub facts: Option<Arc<Value>>,
    /// The last answer of the service.
    pub evidence: Option<Evidence>,
    /// What was known at hand-over, kept from the first answer under a lease on; until then it is what is known.
    pub handed: Option<Box<Handed>>,
    /// Of the root of a dataset in quarantine, or that is asked about there; `failure` says why.
    pub set_aside: Option<SetAside>,
    /// Where it stands.
    pub status: PartStatus,
    /// What the supplier wants to be told again next time.
    pub state: Option<Value>,
    /// What is to be done now.
    pub task: Option<Task>,
    /// How many tasks it has had.
    pub serials: u32,
    /// The order in which parts were made; undo goes backwards through it.
    pub made: Option<u32>,
    /// True when an attempt to make it ended without a definite answer: there may be an effect that nobody reported.
    pub effect_possible: bool,
    /// Results of attempts that were no longer waited for: what they made has to be undone as well. Null stands for
    /// something of which only the key is known.
    pub orphans: Vec<Value>,
    /// How many of its effects are undone: first what was recorded, then the orphans.
    pub undone: u32,
    /// Until when its parts may still come to agree; set while it is checking.
    pub settle_until: Option<Timestamp>,
    /// Until when it has to be made, all attempts included; set when its step limits the time.
    pub deadline_at: Option<Timestamp>,
    /// Until when the present attempt at it has to be made; set when it is a scenario that limits its own time.
    pub attempt_until: Option<Timestamp>,
    /// How many attempts at it have failed. Only a scenario counts them here: of what a capability makes, the task does.
    pub failed_attempts: u32,
    /// How many attempts at the part above had failed when this one was planned: it belongs to the attempt after those.
    pub attempts_before: u32,
    /// Set from the failure of an attempt at it until the next one begins; `failure` then says why.
    pub retrying: Option<Retrying>,
    /// Why it could not be made or undone.
    pub failure: Option<Failure>,
    /// Set when somebody has looked after what it owed.
    pub resolved: Option<Box<ResolvedDebt>>,
    /// Set when the dataset was extended by it: how far that has come.
    pub extension: Option<Extension>,
    /// When it was planned.
    pub created_at: Timestamp,
    /// When its first task was planned.
    pub started_at: Option<Timestamp>,
    /// When it became ready.
    pub ready_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Why a tree is being taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// A part of it could not be made.
    Failed,
    /// The request was cancelled, expired, or another of its datasets failed.
    Unwanted,
    /// Its lease has ended.
    Used,
    /// Somebody has decided to forget it as it is.
    Discarded,
    /// It is a part of another dataset now.
    Joined,
}

impl Ending {
    /// Every ending with its name in the store.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Failed, "failed"),
        (Self::Unwanted, "unwanted"),
        (Self::Used, "used"),
        (Self::Discarded, "discarded"),
        (Self::Joined, "joined"),
    ];

    /// The name in the store.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(ending, _)| *ending == self).expect("every ending is listed").1
    }

    /// Reads the name in the store.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(ending, _)| *ending)
    }
}

/// One dataset with all its parts, as it was at one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The id.
    pub id: TreeId,
    /// Grows by one with each write; a write names the version that it was decided upon.
    pub version: u64,
    /// Where it lives.
    pub environment: Arc<str>,
    /// The request that it is made for.
    pub request: RequestId,
    /// Its place in the request.
    pub unit: u32,
    /// Who waits for it.
    pub priority: Priority,
    /// The channel that its request named: parts whose version is one of the channel are made there.
    pub channel: Option<Arc<str>>,
    /// The versions that every contract below has had when the request was accepted; in a channel those of all contracts
    /// of the channel as well.
    pub pins: Arc<BTreeMap<ContractName, u32>>,
    /// Given to every supplier, below 2^53: the same for all attempts, so that random choices repeat.
    pub seed: u64,
    /// A short token that no other tree has, safe in e-mail addresses and names.
    pub unique: String,
    /// The stock line that it was made for, or has come from: it can go back there as long as nobody has used it.
    pub line: Option<LineId>,
    /// Whether children of its scenarios may be taken from stock.
    pub takes_stock: bool,
    /// Set while the whole dataset is asked about again.
    pub recheck: Option<Recheck>,
    /// The live lease.
    pub lease: Option<LeaseId>,
    /// Why it is being taken down, once it is.
    pub ending: Option<Ending>,
    /// The last number given out in [`Part::made`].
    pub made: u32,
    /// Root first, then in the order in which they were planned.
    pub parts: Vec<Part>,
}

impl Tree {
    /// The root.
    pub fn root(&self) -> &Part {
        &self.parts[0]
    }

    /// The children of a part, in the order in which they were planned; not those of attempts that failed.
    pub fn children(&self, parent: u32) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.parent == Some(parent) && !self.is_left_behind(part))
    }

    /// Whether a part belongs to an attempt of the scenario above it that failed, or is an extension that failed. It is, or
    /// was, taken down by itself, with everything below it, while the tree lives on.
    pub fn is_left_behind(&self, part: &Part) -> bool {
        let above = part.parent.map(|parent| &self.parts[parent as usize]);
        above.is_some_and(|above| part.attempts_before < above.failed_attempts) || part.is_failed_extension()
    }

    /// The scenario of whose failed attempts the part is a piece, or the extension that failed; the outermost one when there
    /// are several.
    ///
    /// Such a part is, or was, taken down by itself, while the tree lives on.
    pub fn failed_attempt_at(&self, part: u32) -> Option<u32> {
        let mut found = None;
        let mut child = &self.parts[part as usize];
        while let Some(parent) = child.parent {
            let above = &self.parts[parent as usize];
            if child.attempts_before < above.failed_attempts {
                found = Some(parent);
            }
            if child.is_failed_extension() {
                found = Some(child.part);
            }
            child = above;
        }
        found
    }

    /// The next moment at which something follows from the time alone: a limit passes, or a pause is over.
    pub fn due_at(&self) -> Option<Timestamp> {
        let being_made = self.parts.iter().filter(|part| part.is_being_made()).flat_map(Part::moments);
        being_made.chain(self.recheck.map(|recheck| recheck.until)).min()
    }

    /// The id of one of its parts.
    pub fn dataset(&self, part: u32) -> DatasetId {
        self.id.part(part)
    }

    /// From the root's step down to a part: `ready › payment`; empty for the root.
    pub fn steps_to(&self, part: u32) -> String {
        let mut names = Vec::new();
        let mut at = Some(part);
        while let Some(part) = at.and_then(|at| self.parts.get(at as usize)) {
            if !part.step.is_empty() {
                names.push(part.label());
            }
            at = part.parent;
        }
        names.reverse();
        names.join(" › ")
    }

    /// The path shown to people: `payment › billing/payment-account@3`.
    pub fn path_of(&self, part: u32) -> String {
        let node = &self.parts[part as usize];
        let contract = format!("{}@{}", node.contract, node.version);
        match self.steps_to(part) {
            steps if steps.is_empty() => contract,
            steps => format!("{steps} › {contract}"),
        }
    }
}

impl Part {
    /// True from its beginning until it is there, or is given up.
    pub fn is_being_made(&self) -> bool {
        matches!(self.status, PartStatus::Pending | PartStatus::Building | PartStatus::Checking)
    }

    /// The moments at which something follows from the time alone, as long as it is being made.
    fn moments(&self) -> impl Iterator<Item = Timestamp> {
        let pause = match self.retrying {
            Some(Retrying::Pausing { until }) => Some(until),
            Some(Retrying::TakingDown) | None => None,
        };
        [self.deadline_at, self.attempt_until, pause, self.sought_until()].into_iter().flatten()
    }

    /// The name of the step, with its place when there are several: `lines[2]`.
    pub fn label(&self) -> String {
        match self.index {
            Some(index) => format!("{}[{index}]", self.step),
            None => self.step.clone(),
        }
    }
}

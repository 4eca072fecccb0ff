//! The planner: given a tree as it is and something that happened to it, decides everything that follows.
//!
//! A pure function: it reads nothing, waits for nothing, and is told the time. What it decides is one [`Change`], which
//! the store writes as a whole, guarded by the version of the tree that was decided upon.

use jiff::Timestamp;
use serde_json::Value;

mod advance;
mod answers;
mod bind;
mod blame;
mod settle;
mod takedown;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::contract::Contract;
use crate::event::Event;
use crate::failure::Failure;
use crate::ids::{RequestId, SessionId, TreeId};
use crate::name::ContractName;
use crate::request::Priority;
use crate::schema::Entity;
use crate::tree::{Ending, Operation, Part, PartStatus, Task, Tree, Verdict, Wish};

pub use blame::overdue;

/// The contracts that a tree may refer to.
pub trait Versions {
    /// One version, also one that is no longer offered.
    fn version(&self, name: &ContractName, version: u32) -> Option<Arc<Contract>>;

    /// The version offered now.
    fn current(&self, name: &ContractName) -> Option<Arc<Contract>>;
}

/// What the planner has to be told about the world.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The contracts.
    pub versions: &'a dyn Versions,
    /// The store's time.
    pub now: Timestamp,
    /// A number from 0 up to but not including 1, chosen at random: spreads retries.
    pub chance: f64,
}

/// Everything that one decision changes about one tree.
#[derive(Debug, Clone)]
pub struct Change {
    /// The tree as it will be; its version is `expected + 1`.
    pub tree: Arc<Tree>,
    /// The version that was decided upon; 0 when the tree is new.
    pub expected: u64,
    /// The time at which it was decided.
    pub at: Timestamp,
    /// Numbers of the parts that are new.
    pub created: Vec<u32>,
    /// Numbers of the parts that exist already and are different now.
    pub changed: Vec<u32>,
    /// Tasks to hand out from their `ready_at` on.
    pub ready: Vec<ReadyTask>,
    /// Tasks that nobody wants any more: a ready one goes to the withdrawn, a claimed one is marked as cancelled.
    pub withdrawn: Vec<ReadyTask>,
    /// True when [`Tree::pins`] has grown and has to be written again.
    pub pins_changed: bool,
    /// Entities that parts hold from now on.
    pub entities: Vec<(u32, Entity)>,
    /// What it means for the request.
    pub outcome: Option<Outcome>,
    /// What to tell.
    pub events: Vec<Event>,
}

/// A task for the queue of its capability.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyTask {
    /// The part that it is about.
    pub part: u32,
    /// Its number within the part.
    pub serial: u32,
    /// What is to be done.
    pub operation: Operation,
    /// Who performs it.
    pub contract: ContractName,
    /// The version of the contract that the tree was begun with.
    pub version: u32,
    /// Who waits for it.
    pub priority: Priority,
    /// Not handed out earlier.
    pub ready_at: Timestamp,
    /// The number of the last attempt; the next claim has the number after it.
    pub attempt: u32,
}

/// What a decision means for the request of the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The dataset is ready to be leased.
    Ready,
    /// The dataset could not be made.
    Failed(Box<Failure>),
    /// Everything that could be undone is undone.
    Ended,
}

/// What a supplier answered to one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `produce`: it is there.
    Produced {
        /// What was made.
        output: Value,
        /// What the service says about it.
        facts: Option<Value>,
    },
    /// `check`: this is how it stands.
    Checked {
        /// The verdict.
        verdict: Verdict,
        /// What the service read back.
        facts: Option<Value>,
        /// Why.
        message: Option<String>,
    },
    /// `undo`: nothing of it is left.
    Undone,
    /// Not finished: ask again later, with this state. No attempt is used up.
    Again {
        /// Not earlier than after this time.
        after_ms: u64,
        /// To be sent along next time.
        state: Option<Value>,
        /// What it is waiting for.
        message: Option<String>,
    },
    /// It could not be done.
    Failed {
        /// Whether trying again may help.
        retryable: bool,
        /// The domain's code.
        code: String,
        /// The domain's reason.
        message: String,
        /// More, as given.
        details: Option<Value>,
    },
    /// An orchestrator wants these children first.
    Obtain {
        /// Each by its name.
        children: Vec<Wish>,
    },
}

/// What happened to a tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// A supplier answered an attempt.
    Answered {
        /// Which attempt.
        attempt: Attempt,
        /// Who answered.
        session: SessionId,
        /// What it said.
        answer: Answer,
    },
    /// An attempt will never be answered: its session is gone.
    Crashed(Attempt),
    /// An attempt was not answered in its time.
    TimedOut(Attempt),
    /// A task was taken back before anybody had claimed it.
    Withdrawn {
        /// Its part.
        part: u32,
        /// Its number.
        serial: u32,
    },
    /// Nobody performs the task's capability.
    Unserved {
        /// Its part.
        part: u32,
        /// Its number.
        serial: u32,
        /// Since when the task has been waiting.
        since: Timestamp,
    },
    /// A result came when nobody waited for it any more.
    Orphaned {
        /// Its part.
        part: u32,
        /// What the supplier says that it has made; `None` when it only says that it has done something.
        output: Option<Value>,
    },
    /// The request has ended without this dataset.
    Unwanted,
    /// The lease has ended.
    LeaseEnded,
}

/// One attempt at one task of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The part.
    pub part: u32,
    /// The task's number within the part.
    pub serial: u32,
    /// The attempt's number within the task.
    pub number: u32,
}

/// A dataset to be made.
#[derive(Debug, Clone)]
pub struct NewTree {
    /// The id.
    pub id: TreeId,
    /// Where it shall live.
    pub environment: Arc<str>,
    /// The request that it is made for.
    pub request: RequestId,
    /// Its place in the request.
    pub unit: u32,
    /// What is to be made.
    pub contract: Arc<Contract>,
    /// From what: valid, with defaults filled in.
    pub input: Arc<Value>,
    /// Who waits for it.
    pub priority: Priority,
    /// The channel of suppliers under development that it prefers.
    pub channel: Option<Arc<str>>,
    /// See [`Tree::seed`].
    pub seed: u64,
    /// See [`Tree::unique`].
    pub unique: String,
}

/// Plans a new tree: its root and whatever can begin at once.
pub fn begin(new: NewTree, world: World<'_>) -> Change {
    let pins = Arc::new(pins_of(&new.contract, world.versions));
    let root = Part::planned(0, None, &new.contract, new.input, world.now);
    let tree = Tree {
        id: new.id,
        version: 0,
        environment: new.environment,
        request: new.request,
        unit: new.unit,
        priority: new.priority,
        channel: new.channel,
        pins,
        seed: new.seed,
        unique: new.unique,
        lease: None,
        ending: None,
        made: 0,
        parts: vec![root],
    };
    let mut plan = Plan::of(tree, 0, world);
    plan.tell(0, "dataset.building", serde_json::json!({ "contract": new.contract.name.to_string() }));
    plan.advance();
    plan.into_change()
}

/// Decides what follows from something that happened.
///
/// The same event told twice changes nothing the second time: what it is about is no longer there.
pub fn decide(tree: &Tree, happened: Happened, world: World<'_>) -> Change {
    let mut plan = Plan::of(tree.clone(), tree.parts.len(), world);
    match happened {
        Happened::Answered { attempt, session, answer } => plan.answered(attempt, session, answer),
        Happened::Crashed(attempt) => plan.unanswered(attempt, answers::Silence::Crashed),
        Happened::TimedOut(attempt) => plan.unanswered(attempt, answers::Silence::TimedOut),
        Happened::Withdrawn { part, serial } => plan.withdrawn_unclaimed(part, serial),
        Happened::Unserved { part, serial, since } => plan.unserved(part, serial, since),
        Happened::Orphaned { part, output } => plan.orphaned(part, output),
        Happened::Unwanted => plan.end(Ending::Unwanted),
        Happened::LeaseEnded => plan.end(Ending::Used),
    }
    plan.advance();
    plan.into_change()
}

/// The versions that everything below a contract has now.
fn pins_of(contract: &Contract, versions: &dyn Versions) -> BTreeMap<ContractName, u32> {
    let mut pins = BTreeMap::new();
    let mut open: Vec<ContractName> = used_by(contract);
    while let Some(name) = open.pop() {
        if pins.contains_key(&name) {
            continue;
        }
        // A name that is unknown here is found out when its step is to begin, with a failure that names it.
        if let Some(used) = versions.current(&name) {
            pins.insert(name, used.version);
            open.extend(used_by(&used));
        }
    }
    pins
}

fn used_by(contract: &Contract) -> Vec<ContractName> {
    contract.scenario().map(|scenario| scenario.uses().cloned().collect()).unwrap_or_default()
}

/// A tree on the way from what it was to what it will be.
struct Plan<'w> {
    world: World<'w>,
    tree: Tree,
    expected: u64,
    /// Parts below this number existed before.
    known: usize,
    touched: BTreeSet<u32>,
    ready: Vec<ReadyTask>,
    withdrawn: Vec<ReadyTask>,
    pins_changed: bool,
    entities: Vec<(u32, Entity)>,
    outcome: Option<Outcome>,
    events: Vec<Event>,
}

impl<'w> Plan<'w> {
    fn of(tree: Tree, known: usize, world: World<'w>) -> Self {
        Self {
            world,
            expected: tree.version,
            tree,
            known,
            touched: BTreeSet::new(),
            ready: Vec::new(),
            withdrawn: Vec::new(),
            pins_changed: false,
            entities: Vec::new(),
            outcome: None,
            events: Vec::new(),
        }
    }

    fn into_change(self) -> Change {
        let known = self.known;
        let (changed, created) = (
            self.touched.into_iter().filter(|part| (*part as usize) < known).collect(),
            (known..self.tree.parts.len()).map(|part| part as u32).collect(),
        );
        let mut tree = self.tree;
        tree.version = self.expected + 1;
        Change {
            tree: Arc::new(tree),
            expected: self.expected,
            at: self.world.now,
            created,
            changed,
            ready: self.ready,
            withdrawn: self.withdrawn,
            pins_changed: self.pins_changed,
            entities: self.entities,
            outcome: self.outcome,
            events: self.events,
        }
    }

    fn part(&self, part: u32) -> &Part {
        &self.tree.parts[part as usize]
    }

    /// The part, to be changed: it will be written.
    fn change(&mut self, part: u32) -> &mut Part {
        self.touched.insert(part);
        &mut self.tree.parts[part as usize]
    }

    fn contract(&self, part: u32) -> Option<Arc<Contract>> {
        let part = self.part(part);
        self.world.versions.version(&part.contract, part.version)
    }

    /// Tells of something, with the way to the part; a failure brings its own, which names the contract as well.
    fn tell(&mut self, part: u32, kind: &'static str, mut data: Value) {
        let path = self.tree.steps_to(part);
        if !path.is_empty() && data.get("path").is_none() {
            data["path"] = path.into();
        }
        self.events.push(Event {
            request: Some(self.tree.request),
            tree: Some(self.tree.id),
            part,
            ..Event::of_environment(&self.tree.environment, self.world.now, kind, data)
        });
    }

    fn add_part(&mut self, part: Part) -> u32 {
        let number = self.tree.parts.len() as u32;
        self.tree.parts.push(Part { part: number, ..part });
        number
    }

    /// Plans the next thing that a supplier has to do for a part.
    fn add_task(&mut self, part: u32, operation: Operation, ready_at: Timestamp, priority: Priority) {
        let now = self.world.now;
        let node = self.change(part);
        node.serials += 1;
        node.started_at.get_or_insert(now);
        node.task = Some(Task {
            serial: node.serials,
            operation,
            ready_at,
            priority,
            attempt: 0,
            spent_from: 0,
            cancelled: false,
            message: None,
        });
        self.hand_out(part);
    }

    /// Plans another attempt at the part's task.
    fn hand_out_again(&mut self, part: u32, attempt: u32, ready_at: Timestamp) {
        let task = self.change(part).task.as_mut().expect("only a part with a task is tried again");
        task.attempt = attempt;
        task.ready_at = ready_at;
        self.hand_out(part);
    }

    fn hand_out(&mut self, part: u32) {
        let ready = self.ready_task(part).expect("the task was planned just now");
        self.ready.push(ready);
    }

    fn ready_task(&self, part: u32) -> Option<ReadyTask> {
        let node = self.part(part);
        node.task.as_ref().map(|task| ReadyTask {
            part,
            serial: task.serial,
            operation: task.operation,
            contract: node.contract.clone(),
            version: node.version,
            priority: task.priority,
            ready_at: task.ready_at,
            attempt: task.attempt,
        })
    }
}

impl Part {
    /// A part that is planned and not begun. Its number is given to it when it joins a tree.
    fn planned(
        part: u32,
        parent: Option<u32>,
        contract: &Contract,
        input: Arc<Value>,
        now: Timestamp,
    ) -> Self {
        Self {
            part,
            parent,
            step: String::new(),
            index: None,
            contract: contract.name.clone(),
            version: contract.version,
            input,
            output: None,
            facts: None,
            evidence: None,
            status: PartStatus::Pending,
            state: None,
            task: None,
            serials: 0,
            made: None,
            effect_possible: false,
            orphans: Vec::new(),
            undone: 0,
            settle_until: None,
            failure: None,
            created_at: now,
            started_at: None,
            ready_at: None,
            ended_at: None,
        }
    }
}

//! The planner: given a tree as it is and something that happened to it, decides everything that follows.
//!
//! A pure function: it reads nothing, waits for nothing, and is told the time. What it decides is one [`Change`], which
//! the store writes as a whole, guarded by the version of the tree that was decided upon.

use jiff::Timestamp;
use serde_json::Value;

mod advance;
mod answers;
mod beginning;
mod bind;
mod blame;
mod change;
mod children;
mod deadlines;
mod doubt;
mod extend;
mod find;
mod found_out;
mod happened;
mod join;
mod owning;
mod readiness;
mod recheck;
mod renew;
mod retry;
mod settle;
mod steps;
mod takedown;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::contract::Contract;
use crate::event::Event;
use crate::find::Origin;
use crate::name::ContractName;
use crate::request::Priority;
use crate::schema::Entity;
use crate::tree::{Answerer, Operation, Part, PartStatus, Task, Tree};

use children::Children;
use recheck::Asking;

pub use beginning::{Beginning, NewTree, begin, pins_of};
pub use blame::{overdue, unconfirmed};
pub use change::{Change, Judged, Outcome, Readiness, ReadyTask, Said};
pub use found_out::{FoundOut, decide_knowing};
pub use happened::{Answer, Attempt, Happened, Resolution};
pub use join::may_join;
pub use owning::{EntityOwner, HeldEntity};

/// The contracts that a tree may refer to.
pub trait Versions {
    /// One version, also one that is no longer offered.
    fn version(&self, name: &ContractName, version: u32) -> Option<Arc<Contract>>;

    /// The version offered now.
    fn current(&self, name: &ContractName) -> Option<Arc<Contract>>;

    /// Whether datasets of this contract, made from this input, are kept in stock: whether there is one now is not said.
    fn is_stocked(&self, _name: &ContractName, _input: &Value) -> bool {
        false
    }
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

/// Decides what follows from something that happened.
///
/// The same event told twice changes nothing the second time: what it is about is no longer there. What is out of time
/// fails first, whatever the event is, so that a decision depends on the time and not on who came first.
pub fn decide(tree: &Tree, happened: Happened, world: World<'_>) -> Change {
    let mut plan = Plan::of(tree.clone(), tree.parts.len(), world);
    plan.happen(happened);
    plan.into_change()
}

/// A tree on the way from what it was to what it will be.
///
/// A decision takes time in proportion to the number of parts, not of pairs of parts: what is below a part is found through
/// `children`, and whoever looks at all parts does so once, not for each part. Tests count it.
pub(crate) struct Plan<'w> {
    pub(crate) world: World<'w>,
    /// Read through [`Plan::part`], [`Plan::parts`] and [`Plan::children`].
    pub(crate) tree: Tree,
    children: Children,
    /// How many parts were looked at.
    #[cfg(test)]
    looks: std::cell::Cell<usize>,
    expected: u64,
    /// Parts below this number existed before.
    known: usize,
    /// How often the tree, or a scenario within it, turned around: whoever goes through it forwards has to stop then.
    turns: u32,
    touched: BTreeSet<u32>,
    /// By part: none has two.
    ready: BTreeMap<u32, ReadyTask>,
    withdrawn: Vec<ReadyTask>,
    pins_changed: bool,
    entities: Vec<(u32, Entity)>,
    uses: Vec<(u32, Entity)>,
    owns: Vec<(u32, Entity)>,
    found: Option<Vec<(u32, Entity)>>,
    found_out: FoundOut,
    /// How many parts are looked for in stock.
    sought: usize,
    joins: Option<Box<Change>>,
    said: Vec<Said>,
    upon: Option<ContractName>,
    outcome: Option<Outcome>,
    events: Vec<Event>,
    /// Who gave the answer that is being taken.
    answerer: Answerer,
}

impl<'w> Plan<'w> {
    pub(crate) fn of(tree: Tree, known: usize, world: World<'w>) -> Self {
        let tree_sought = tree.parts.iter().filter(|part| part.is_sought()).count();
        Self {
            world,
            expected: tree.version,
            children: Children::of(&tree),
            #[cfg(test)]
            looks: std::cell::Cell::new(tree.parts.len()),
            tree,
            known,
            turns: 0,
            touched: BTreeSet::new(),
            ready: BTreeMap::new(),
            withdrawn: Vec::new(),
            pins_changed: false,
            entities: Vec::new(),
            uses: Vec::new(),
            owns: Vec::new(),
            found: None,
            found_out: FoundOut::default(),
            sought: tree_sought,
            joins: None,
            said: Vec::new(),
            upon: None,
            outcome: None,
            events: Vec::new(),
            answerer: Answerer::default(),
        }
    }

    /// Lets something happen, and all that follows from it.
    fn happen(&mut self, happened: Happened) {
        self.expire(&happened.open_tasks());
        match happened {
            Happened::Answered { attempt, session, by, answer } => {
                self.answerer = by;
                self.answered(attempt, session, answer);
            }
            Happened::Crashed(attempt) => self.unanswered(attempt, answers::Silence::Crashed),
            Happened::TimedOut(attempt) => self.unanswered(attempt, answers::Silence::TimedOut),
            Happened::Withdrawn { part, serial } => self.withdrawn_unclaimed(part, serial),
            Happened::Unserved { part, serial, since } => self.unserved(part, serial, since),
            Happened::Orphaned { part, output } => self.orphaned(part, output),
            // What follows from the time is looked at with every event.
            Happened::Due { .. } => {}
            Happened::Unwanted => self.unwanted(),
            Happened::LeaseEnded { keep } => self.lease_ended(keep),
            Happened::Recheck { why, allow_ms, strict, at_once, offline } => {
                self.recheck(why, Asking { allow_ms, strict, at_once }, &offline);
            }
            Happened::Extended { seen, contract, version, input } => {
                self.extend(seen, &contract, version, input);
            }
            Happened::Resolved { resolution, by, reason, offline } => {
                self.resolve(resolution, (&by, &reason), &offline);
            }
            Happened::DebtResolved { part, by, reason } => self.resolve_debt(part, by, reason),
            Happened::EntityHeld(held) => self.entity_held(held),
            Happened::Sought { part, found } => self.sought(part, found.as_deref()),
        }
        self.advance();
    }

    fn into_change(mut self) -> Change {
        self.free_found();
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
            ready: self.ready.into_values().collect(),
            withdrawn: self.withdrawn,
            pins_changed: self.pins_changed,
            entities: self.entities,
            uses: self.uses,
            owns: self.owns,
            found: self.found,
            joins: self.joins,
            outcome: self.outcome,
            said: self.said,
            upon: self.upon,
            events: self.events,
        }
    }

    pub(crate) fn part(&self, part: u32) -> &Part {
        self.look(1);
        &self.tree.parts[part as usize]
    }

    /// All parts, root first.
    fn parts(&self) -> &[Part] {
        self.look(self.tree.parts.len());
        &self.tree.parts
    }

    /// The children of a part, in the order in which they were planned; not those of attempts that failed.
    fn children(&self, parent: u32) -> impl Iterator<Item = u32> + '_ {
        self.children.below(parent).inspect(|_| self.look(1))
    }

    /// The part itself and everything below it, nearer ones first; not what belongs to attempts that failed.
    pub(crate) fn below(&self, top: u32) -> Vec<u32> {
        let mut numbers = vec![top];
        let mut next = 0;
        while let Some(at) = numbers.get(next).copied() {
            numbers.extend(self.children(at));
            next += 1;
        }
        numbers
    }

    /// Counts parts that are looked at.
    fn look(&self, parts: usize) {
        #[cfg(test)]
        self.looks.set(self.looks.get() + parts);
        #[cfg(not(test))]
        let _ = parts;
    }

    /// The part, to be changed: it will be written.
    fn change(&mut self, part: u32) -> &mut Part {
        self.touched.insert(part);
        &mut self.tree.parts[part as usize]
    }

    pub(crate) fn contract(&self, part: u32) -> Option<Arc<Contract>> {
        let part = self.part(part);
        self.world.versions.version(&part.contract, part.version)
    }

    /// Tells of something, with the way to the part: the same that a timeline shows for it.
    fn tell(&mut self, part: u32, kind: &'static str, mut data: Value) {
        let path = self.tree.steps_to(part);
        if !path.is_empty() {
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
        self.children.add(part.parent);
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
        self.ready.insert(part, ready);
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
            origin: Origin::Made,
            search: None,
            join: None,
            output: None,
            facts: None,
            evidence: None,
            handed: None,
            set_aside: None,
            status: PartStatus::Pending,
            state: None,
            task: None,
            serials: 0,
            made: None,
            effect_possible: false,
            orphans: Vec::new(),
            undone: 0,
            settle_until: None,
            deadline_at: None,
            attempt_until: None,
            failed_attempts: 0,
            attempts_before: 0,
            retrying: None,
            failure: None,
            resolved: None,
            extension: None,
            created_at: now,
            started_at: None,
            ready_at: None,
            ended_at: None,
        }
    }
}

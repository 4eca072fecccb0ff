//! Assignments: everything that a supplier needs to know about one attempt.

use std::sync::Arc;

use serde_json::Value;
use sixpack_model::ids::{DatasetId, TaskId};
use sixpack_model::name::ContractName;
use sixpack_model::schema::Entity;
use sixpack_model::tree::{Operation, Part, PartStatus, Tree};
use sixpack_storage::mutants::{self, Mutant};
use sixpack_storage::tasks::Claimed;

/// One attempt, as it is given to a supplier.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The task.
    pub task: TaskId,
    /// What it is about, under the id that it was begun with.
    pub dataset: DatasetId,
    /// The number of the attempt.
    pub attempt: u32,
    /// What is to be done.
    pub operation: Operation,
    /// The capability.
    pub contract: ContractName,
    /// The version that the dataset was begun with.
    pub version: u32,
    /// What the dataset is made from.
    pub input: Arc<Value>,
    /// What was made; for `undo` absent when no attempt ever said so.
    pub output: Option<Arc<Value>>,
    /// What was last read back.
    pub facts: Option<Arc<Value>>,
    /// What the supplier wanted to be told again.
    pub state: Option<Value>,
    /// What must not be the answer to `find`.
    pub exclude: Vec<Entity>,
    /// What an orchestrator has obtained so far; `None` for a capability that asked for nothing.
    pub children: Option<Vec<Child>>,
    /// The same for every attempt.
    pub seed: u64,
    /// The same for every attempt, and of no other dataset.
    pub unique: String,
    /// Names the effect: the same for produce, check and undo of one dataset.
    pub idempotency_key: String,
    /// How long the attempt may take.
    pub timeout_ms: u64,
}

/// A child that an orchestrator has obtained.
#[derive(Debug, Clone)]
pub struct Child {
    /// The name that it was asked for by.
    pub name: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// What it is.
    pub contract: ContractName,
    /// In which version.
    pub version: u32,
    /// What was made.
    pub output: Option<Arc<Value>>,
    /// What was last read back.
    pub facts: Option<Arc<Value>>,
}

impl Assignment {
    /// Puts together what the claimed attempt is about; `None` when the tree knows no such task.
    pub(crate) fn of(tree: &Tree, claimed: &Claimed) -> Option<Self> {
        let id = claimed.claim.task;
        let part = tree.parts.get(id.part as usize)?;
        part.task.as_ref().filter(|task| task.serial == id.serial)?;
        let made_as = tree.made_as(id.part);
        let own = made_as.dataset.part;
        Some(Self {
            task: id,
            dataset: made_as.dataset,
            attempt: claimed.claim.attempt,
            operation: claimed.operation,
            contract: part.contract.clone(),
            version: part.version,
            input: Arc::clone(&part.input),
            output: output(part, claimed.operation),
            facts: part
                .facts
                .clone()
                .filter(|_| !matches!(claimed.operation, Operation::Produce | Operation::Find)),
            state: part.state.clone(),
            exclude: Vec::new(),
            children: children(tree, part.part),
            seed: seed_of(made_as.seed, own),
            unique: unique_of(&made_as.unique, own),
            idempotency_key: match mutants::on(Mutant::KeyForEachAttempt) {
                true => format!("{}-{}", made_as.dataset, claimed.claim.attempt),
                false => made_as.dataset.to_string(),
            },
            timeout_ms: claimed.timeout_ms,
        })
    }
}

fn output(part: &Part, operation: Operation) -> Option<Arc<Value>> {
    match operation {
        Operation::Produce | Operation::Find => None,
        Operation::Check => part.output.clone(),
        Operation::Undo => part.to_undo().cloned().map(Arc::new),
    }
}

fn children(tree: &Tree, part: u32) -> Option<Vec<Child>> {
    let children: Vec<Child> = tree
        .children(part)
        .filter(|child| child.status != PartStatus::Pending)
        .map(|child| Child {
            name: child.step.clone(),
            dataset: tree.made_as(child.part).dataset,
            contract: child.contract.clone(),
            version: child.version,
            output: child.output.clone(),
            facts: child.facts.clone(),
        })
        .collect();
    (!children.is_empty()).then_some(children)
}

/// Each part draws its own numbers; the mixing is one step of SplitMix64 (Steele, Lea, Flood 2014), cut to 53 bits.
fn seed_of(tree: u64, part: u32) -> u64 {
    let mut mixed = tree.wrapping_add(u64::from(part).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) >> 11
}

/// Parts of one tree have tokens that show that they belong together.
fn unique_of(tree: &str, part: u32) -> String {
    match part {
        0 => tree.to_owned(),
        part => format!("{tree}{part}"),
    }
}

//! Tasks as they are given to suppliers.

use serde::{Serialize, Serializer};
use serde_json::Value;
use sixpack_engine::{Assignment, Child};
use sixpack_model::ids::{DatasetId, TaskId};
use sixpack_model::name::ContractName;
use sixpack_model::tree::Operation;
use utoipa::ToSchema;

use super::shapes::scalar::Text;
use super::shapes::word::{OperationWord, Word};

/// Tasks for one supplier.
#[derive(Serialize, ToSchema)]
#[schema(as = Tasks)]
pub(super) struct TasksJson<'a> {
    pub(super) tasks: Vec<TaskJson<'a>>,
}

/// One attempt at one operation.
#[derive(Serialize, ToSchema)]
#[schema(as = Task)]
pub(super) struct TaskJson<'a> {
    #[schema(value_type = String)]
    id: Text<TaskId>,
    /// Names the attempt; grows with every hand-out of the task.
    attempt: u32,
    #[schema(inline)]
    operation: OperationWord,
    /// The name without the domain.
    capability: &'a str,
    /// The version that the dataset is built on.
    version: u32,
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    /// As the contract's schema says, with defaults filled in.
    #[schema(value_type = Value)]
    input: &'a Value,
    /// What was made, for check and undo. Absent in an undo when no attempt ever said so: undo whatever the idempotency
    /// key made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    output: Option<&'a Value>,
    /// What was last read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    facts: Option<&'a Value>,
    /// What the last `again` left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    state: Option<&'a Value>,
    /// Of find: what must not be the answer, because datasets have to do with it, or it was refused; at most 1,000, the most
    /// relevant first.
    #[serde(skip_serializing_if = "Option::is_none")]
    exclude: Option<Vec<EntityJson<'a>>>,
    /// What an orchestrator has obtained so far, by name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "by_name")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, ChildJson<'_>>>)]
    children: Option<&'a [Child]>,
    /// Below 2^53; the same in every attempt.
    seed: u64,
    /// Safe in addresses and names; the same in every attempt.
    unique: &'a str,
    /// Names the effect: the same for produce, check and undo of one dataset.
    idempotency_key: &'a str,
    /// How long this attempt may take from now on.
    deadline_ms: u64,
}

/// A thing in a service.
#[derive(Serialize, ToSchema)]
#[schema(as = Entity)]
pub(super) struct EntityJson<'a> {
    /// As in the mark `x-entity`.
    kind: &'a str,
    key: &'a str,
}

/// A child that an orchestrator has obtained.
#[derive(Serialize, ToSchema)]
#[schema(as = Child)]
pub(super) struct ChildJson<'a> {
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    output: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    facts: Option<&'a Value>,
}

impl<'a> From<&'a Assignment> for TaskJson<'a> {
    fn from(task: &'a Assignment) -> Self {
        Self {
            id: Text(task.task),
            attempt: task.attempt,
            operation: Word(task.operation),
            capability: task.contract.name(),
            version: task.version,
            dataset_id: Text(task.dataset),
            input: &task.input,
            output: task.output.as_deref(),
            facts: task.facts.as_deref(),
            state: task.state.as_ref(),
            exclude: (task.operation == Operation::Find).then(|| {
                let entities = task.exclude.iter();
                entities.map(|entity| EntityJson { kind: &entity.kind, key: &entity.key }).collect()
            }),
            children: task.children.as_deref(),
            seed: task.seed,
            unique: &task.unique,
            idempotency_key: &task.idempotency_key,
            deadline_ms: task.timeout_ms,
        }
    }
}

impl<'a> From<&'a Child> for ChildJson<'a> {
    fn from(child: &'a Child) -> Self {
        Self {
            dataset_id: Text(child.dataset),
            contract: Text(&child.contract),
            version: child.version,
            output: child.output.as_deref(),
            facts: child.facts.as_deref(),
        }
    }
}

fn by_name<S: Serializer>(children: &Option<&[Child]>, serializer: S) -> Result<S::Ok, S::Error> {
    let children = children.unwrap_or_default();
    serializer.collect_map(children.iter().map(|child| (child.name.as_str(), ChildJson::from(child))))
}

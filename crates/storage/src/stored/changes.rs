//! Changes: one decision about one tree, turned into columns before any transaction begins.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sixpack_model::failure::Failure;
use sixpack_model::find::Origin;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TaskId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::plan::{Change, Outcome, ReadyTask, Said};
use sixpack_model::tree::PartStatus;

use super::codes::Code;
use super::entities::{Owned, owned};
use super::events::EventRow;
use super::failures::failure_text;
use super::parts::PartRow;
use super::places::{Place, ReadinessRow, Standing};
use super::rechecks::recheck_text;
use super::tasks::Waiting;
use super::values::{int, ms, ms_of};

/// A decision about a tree, turned into columns before any transaction begins.
pub(crate) struct ChangeRow {
    pub(crate) tree: TreeId,
    pub(crate) request: RequestId,
    pub(crate) environment: String,
    pub(crate) expected: i64,
    pub(crate) version: i64,
    pub(crate) unit: u32,
    pub(crate) priority: i64,
    pub(crate) channel: Option<String>,
    pub(crate) line: Option<LineId>,
    pub(crate) takes_stock: bool,
    /// As JSON, when they are new or have grown.
    pub(crate) pins: Option<String>,
    pub(crate) seed: i64,
    pub(crate) unique: String,
    pub(crate) status: PartStatus,
    pub(crate) root_version: u32,
    /// Whether nobody has made the root for anybody.
    pub(crate) imported: bool,
    pub(crate) lease: Option<LeaseId>,
    pub(crate) recheck: Option<String>,
    pub(crate) root_ready_at: Option<i64>,
    pub(crate) ending: Option<i64>,
    pub(crate) made: u32,
    pub(crate) due_at: Option<i64>,
    pub(crate) created: Vec<PartRow>,
    pub(crate) changed: Vec<PartRow>,
    pub(crate) ready: Vec<TaskRow>,
    pub(crate) withdrawn: Vec<TaskRow>,
    pub(crate) entities: Vec<Owned>,
    pub(crate) uses: Vec<Owned>,
    /// What the tree owns, when it becomes ready or was extended.
    pub(crate) owns: Option<Vec<Owned>>,
    /// What the tree owns from now on because it was there before.
    pub(crate) found: Option<Vec<Owned>>,
    /// What becomes of the dataset in stock that joins the tree.
    pub(crate) joins: Option<Box<ChangeRow>>,
    pub(crate) outcome: Option<OutcomeRow>,
    pub(crate) said: Vec<Said>,
    pub(crate) upon: Option<ContractName>,
    pub(crate) events: Vec<EventRow>,
}

/// What a decision means for the request.
pub(crate) enum OutcomeRow {
    Ready(ReadinessRow),
    Confirmed(ReadinessRow),
    Extended,
    /// The contract that was the first to drift.
    Quarantined(String),
    HeldBack(ReadinessRow),
    Failed(FailureRow),
    Ended,
}

/// Why a request failed.
pub(crate) struct FailureRow {
    pub(crate) text: String,
    /// Who is to blame.
    pub(crate) contract: String,
    /// What the event tells; never the domain's own words, which may hold anything.
    pub(crate) event: Value,
}

pub(crate) struct TaskRow {
    pub(crate) contract: String,
    pub(crate) waiting: Waiting,
}

impl From<Change> for ChangeRow {
    fn from(change: Change) -> Self {
        let tree = &change.tree;
        let rows = |parts: &[u32]| {
            parts.iter().map(|part| PartRow::from(&tree.parts[*part as usize])).collect::<Vec<_>>()
        };
        let tasks = |tasks: &[ReadyTask]| {
            tasks.iter().map(|task| TaskRow::new(tree.id, tree.version, task)).collect::<Vec<_>>()
        };
        let pins = (change.expected == 0 || change.pins_changed).then(|| pins_text(&tree.pins));
        Self {
            tree: tree.id,
            request: tree.request,
            environment: tree.environment.to_string(),
            expected: int(change.expected),
            version: int(tree.version),
            unit: tree.unit,
            priority: tree.priority.code(),
            channel: tree.channel.as_deref().map(str::to_owned),
            line: tree.line,
            takes_stock: tree.takes_stock,
            pins,
            seed: int(tree.seed),
            unique: tree.unique.clone(),
            status: tree.root().status,
            root_version: tree.root().version,
            imported: tree.root().origin == Origin::Imported,
            lease: tree.lease,
            recheck: tree.recheck.as_ref().map(recheck_text),
            root_ready_at: ms_of(tree.root().ready_at),
            ending: tree.ending.map(Code::code),
            made: tree.made,
            due_at: ms_of(tree.due_at()),
            created: rows(&change.created),
            changed: rows(&change.changed),
            ready: tasks(&change.ready),
            withdrawn: tasks(&change.withdrawn),
            entities: owned(change.entities),
            uses: owned(change.uses),
            owns: matches!(change.outcome, Some(Outcome::Ready(_) | Outcome::Extended))
                .then(|| owned(change.owns)),
            found: change.found.map(owned),
            joins: change.joins.map(|joins| Box::new(Self::from(*joins))),
            outcome: change.outcome.map(OutcomeRow::from),
            said: change.said,
            upon: change.upon,
            events: change
                .events
                .into_iter()
                .map(|event| EventRow::from(event).of_request(tree.request))
                .collect(),
        }
    }
}

impl ChangeRow {
    /// True when the decision means something for the request.
    pub(crate) fn settles(&self) -> bool {
        self.outcome.is_some()
    }

    /// Where the tree stands once it was inserted.
    pub(crate) fn inserted(&self, place: Place) -> Standing {
        Standing { version: self.version, line: self.line, place }
    }
}

impl From<Outcome> for OutcomeRow {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ready(readiness) => Self::Ready(ReadinessRow::from(&readiness)),
            Outcome::Confirmed(readiness) => Self::Confirmed(ReadinessRow::from(&readiness)),
            Outcome::Extended => Self::Extended,
            Outcome::Quarantined(failure) => Self::Quarantined(failure.contract.to_string()),
            Outcome::HeldBack(readiness) => Self::HeldBack(ReadinessRow::from(&readiness)),
            Outcome::Failed(failure) => Self::Failed(FailureRow::from(&*failure)),
            Outcome::Ended => Self::Ended,
        }
    }
}

impl From<&Failure> for FailureRow {
    fn from(failure: &Failure) -> Self {
        Self {
            text: failure_text(failure),
            contract: failure.contract.to_string(),
            event: json!({
                "path": failure.path,
                "class": failure.class.name(),
                "contract": failure.contract.to_string(),
                "version": failure.version,
            }),
        }
    }
}

impl TaskRow {
    fn new(tree: TreeId, tree_version: u64, task: &ReadyTask) -> Self {
        Self {
            contract: task.contract.to_string(),
            waiting: Waiting {
                priority: task.priority.code(),
                ready_at: ms(task.ready_at),
                task: TaskId { tree, part: task.part, serial: task.serial },
                attempt: i64::from(task.attempt),
                operation: task.operation.code(),
                version: i64::from(task.version),
                tree_version: int(tree_version),
            },
        }
    }
}

/// A set of pinned versions as it is stored.
pub(crate) fn pins_text(pins: &BTreeMap<ContractName, u32>) -> String {
    let pins = pins.iter().map(|(name, version)| (name.to_string(), json!(version)));
    pins.collect::<Value>().to_string()
}

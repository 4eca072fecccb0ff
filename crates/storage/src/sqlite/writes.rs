//! Writes: one decision about one tree, turned into rows outside of the writer and written within it.

use std::borrow::Cow;

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sixpack_model::failure::Failure;
use sixpack_model::find::Origin;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TaskId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::plan::{Change, Outcome, ReadyTask, Said};
use sixpack_model::recheck::{Recheck, Why};
use sixpack_model::schema::Entity;
use sixpack_model::tree::PartStatus;

use super::codes::Code;
use super::columns::{int, ms, ms_of, parsed_of, time, unreadable};
use super::entities::{Owned, owns_text};
use super::events::EventRow;
use super::failures::failure_text;
use super::looking::pins_text;
use super::parts::PartRow;
use super::placing::{Place, ReadinessRow, Standing};
use super::queues::Waiting;
use super::statements::Statements;

use super::writer::Tx;

/// A decision about a tree, turned into columns before the writer sees it.
pub(super) struct ChangeRow {
    pub(super) tree: TreeId,
    pub(super) request: RequestId,
    pub(super) environment: String,
    pub(super) expected: i64,
    pub(super) version: i64,
    pub(super) unit: u32,
    priority: i64,
    channel: Option<String>,
    line: Option<LineId>,
    takes_stock: bool,
    /// As JSON, when they are new or have grown.
    pins: Option<String>,
    seed: i64,
    unique: String,
    pub(super) status: PartStatus,
    pub(super) root_version: u32,
    /// Whether nobody has made the root for anybody.
    pub(super) imported: bool,
    pub(super) lease: Option<LeaseId>,
    recheck: Option<String>,
    pub(super) root_ready_at: Option<i64>,
    pub(super) ending: Option<i64>,
    made: u32,
    due_at: Option<i64>,
    created: Vec<PartRow>,
    changed: Vec<PartRow>,
    ready: Vec<TaskRow>,
    withdrawn: Vec<TaskRow>,
    entities: Vec<Owned>,
    uses: Vec<Owned>,
    /// What the tree owns, when it becomes ready or was extended.
    pub(super) owns: Option<Vec<Owned>>,
    /// What the tree owns from now on because it was there before.
    pub(super) found: Option<Vec<Owned>>,
    /// What becomes of the dataset in stock that joins the tree.
    pub(super) joins: Option<Box<ChangeRow>>,
    pub(super) outcome: Option<OutcomeRow>,
    pub(super) said: Vec<Said>,
    pub(super) upon: Option<ContractName>,
    events: Vec<EventRow>,
}

/// What a decision means for the request.
pub(super) enum OutcomeRow {
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
pub(super) struct FailureRow {
    pub(super) text: String,
    /// Who is to blame.
    pub(super) contract: String,
    /// What the event tells; never the domain's own words, which may hold anything.
    pub(super) event: Value,
}

/// A recheck that is under way, as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredRecheck<'a> {
    why: Cow<'a, str>,
    begun_at: i64,
    until: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    at_once: bool,
}

fn recheck_text(recheck: &Recheck) -> String {
    let stored = StoredRecheck {
        why: Cow::Borrowed(recheck.why.name()),
        begun_at: ms(recheck.begun_at),
        until: ms(recheck.until),
        strict: recheck.strict,
        at_once: recheck.at_once,
    };
    serde_json::to_string(&stored).expect("text and numbers are always JSON")
}

/// Reads a recheck that is under way.
pub(super) fn read_recheck(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Recheck>> {
    let Some(stored) = parsed_of::<StoredRecheck<'_>>(row, column)? else { return Ok(None) };
    let StoredRecheck { why, begun_at, until, strict, at_once } = stored;
    let unknown = || unreadable(column, format!("{why} is no reason for a recheck"));
    let why = Why::from_name(&why).ok_or_else(unknown)?;
    Ok(Some(Recheck { why, begun_at: time(begun_at), until: time(until), strict, at_once }))
}

struct TaskRow {
    contract: String,
    waiting: Waiting,
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

fn owned(entities: Vec<(u32, Entity)>) -> Vec<Owned> {
    entities.into_iter().map(|(part, entity)| (part, entity.kind, entity.key)).collect()
}

impl ChangeRow {
    /// True when the decision means something for the request.
    pub(super) fn settles(&self) -> bool {
        self.outcome.is_some()
    }

    /// Where the tree stands once it was inserted.
    pub(super) fn inserted(&self, place: Place) -> Standing {
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

impl Tx<'_> {
    /// Writes a tree that is new, with everything that was decided first.
    pub(super) fn insert_tree(&mut self, change: &ChangeRow) -> rusqlite::Result<()> {
        let environment = self.environment(&change.environment)?;
        let pins = self.pins(change.pins.as_deref().unwrap_or("{}"))?;
        self.connection.run(
            "INSERT INTO tree (id, version, environment, request, unit, priority, channel, pins, seed, unique_text,
                               status, lease, ending, made, due_at, fence, line, place, owns, takes_stock)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 0, ?16, 0, ?17, ?18)",
            params![
                change.tree.0.as_bytes(),
                change.version,
                environment,
                change.request.0.as_bytes(),
                change.unit,
                change.priority,
                change.channel,
                pins,
                change.seed,
                change.unique,
                change.status.code(),
                change.lease.as_ref().map(|lease| lease.0.as_bytes()),
                change.ending,
                change.made,
                change.due_at,
                change.line.map(|line| line.0),
                change.owns.as_deref().and_then(owns_text),
                change.takes_stock,
            ],
        )?;
        self.write_below(environment, change, None)
    }

    /// Writes what was decided about a tree that is there; its version has been checked. `claimed_at` is that of the
    /// claim that is given up with it.
    pub(super) fn update_tree(
        &mut self,
        change: &ChangeRow,
        claimed_at: Option<i64>,
    ) -> rusqlite::Result<()> {
        let environment = self.environment(&change.environment)?;
        self.connection.run(
            "UPDATE tree SET version = ?2, status = ?3, lease = ?4, ending = ?5, made = ?6, due_at = ?7, recheck = ?8,
                             owns = iif(?9, ?10, owns)
             WHERE id = ?1",
            params![
                change.tree.0.as_bytes(),
                change.version,
                change.status.code(),
                change.lease.as_ref().map(|lease| lease.0.as_bytes()),
                change.ending,
                change.made,
                change.due_at,
                change.recheck,
                change.owns.is_some(),
                change.owns.as_deref().and_then(owns_text),
            ],
        )?;
        if let Some(pins) = &change.pins {
            let pins = self.pins(pins)?;
            self.connection
                .run("UPDATE tree SET pins = ?2 WHERE id = ?1", params![change.tree.0.as_bytes(), pins])?;
        }
        self.write_below(environment, change, claimed_at)
    }

    fn write_below(
        &mut self,
        environment: i64,
        change: &ChangeRow,
        claimed_at: Option<i64>,
    ) -> rusqlite::Result<()> {
        for part in &change.created {
            self.insert_part(environment, change.tree, part)?;
        }
        for part in &change.changed {
            self.update_part(change.tree, part)?;
        }
        for task in &change.withdrawn {
            self.withdraw_task(environment, task)?;
        }
        for task in &change.ready {
            let contract = self.contract(environment, &task.contract)?;
            match &change.channel {
                Some(channel) if task.waiting.is_of_channel() => {
                    self.enqueue_in_channel(contract, channel, &task.waiting)?;
                }
                _ => {
                    let queue = self.deployed_queue(contract)?;
                    self.enqueue(queue, &task.waiting)?;
                }
            }
        }
        for (used, entities) in [(false, &change.entities), (true, &change.uses)] {
            for (part, kind, key) in entities {
                self.connection.run(
                    "INSERT INTO entity (environment, kind, key, tree, part, used) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO NOTHING",
                    params![environment, kind, key, change.tree.0.as_bytes(), part, used],
                )?;
            }
        }
        if let Some(found) = &change.found {
            self.hold_found(environment, change.tree, found)?;
        }
        change.events.iter().try_for_each(|event| self.tell_of(event, claimed_at))
    }

    /// Marks the claim of a task that nobody wants, or moves the waiting task aside. A task that is neither claimed nor
    /// waiting was given up by this very write.
    fn withdraw_task(&mut self, environment: i64, task: &TaskRow) -> rusqlite::Result<()> {
        let id = task.waiting.task;
        let claimed = self.connection.run(
            "UPDATE task_claim SET cancelled = 1 WHERE tree = ?1 AND part = ?2 AND serial = ?3",
            params![id.tree.0.as_bytes(), id.part, id.serial],
        )?;
        if claimed == 0 {
            let contract = self.contract(environment, &task.contract)?;
            if self.dequeue(contract, task.waiting.priority, task.waiting.ready_at, id)? {
                self.withdraw(id)?;
            }
        }
        Ok(())
    }
}

//! Parts of trees as rows: what is searched in columns, the rest as JSON.

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sixpack_model::extension::Extension;
use sixpack_model::find::Origin;
use sixpack_model::ids::TreeId;
use sixpack_model::recheck::Why;
use sixpack_model::request::Priority;
use sixpack_model::tree::{Evidence, Handed, Operation, Part, Retrying, SetAside, Task, Verdict};

use super::codes::Code;
use super::columns::{code, json, ms, ms_of, name, parsed, shared_of, time, time_at, time_of, unreadable};
use super::failures::{StoredFailure, present};
use super::joins::StoredJoin;
use super::searches::StoredSearch;
use super::statements::Statements;
use super::writer::Tx;

/// The columns that [`read_part`] reads, in its order.
pub(super) const PART_COLUMNS: &str = "d.part, d.parent, d.step, d.place, c.name, d.version, d.status, \
     d.created_at, d.started_at, d.input, d.output, d.facts, d.detail";

/// A part, turned into columns before the writer sees it.
pub(super) struct PartRow {
    part: u32,
    parent: Option<u32>,
    step: String,
    place: Option<u32>,
    contract: String,
    version: u32,
    status: i64,
    failed: bool,
    created_at: i64,
    started_at: Option<i64>,
    input: String,
    output: Option<String>,
    facts: Option<String>,
    detail: String,
}

impl From<&Part> for PartRow {
    fn from(part: &Part) -> Self {
        Self {
            part: part.part,
            parent: part.parent,
            step: part.step.clone(),
            place: part.index,
            contract: part.contract.to_string(),
            version: part.version,
            status: part.status.code(),
            failed: part.failure.is_some(),
            created_at: ms(part.created_at),
            started_at: ms_of(part.started_at),
            input: json(&part.input),
            output: part.output.as_deref().map(json),
            facts: part.facts.as_deref().map(json),
            detail: detail_text(part),
        }
    }
}

impl Tx<'_> {
    /// Writes a part that is new.
    pub(super) fn insert_part(
        &mut self,
        environment: i64,
        tree: TreeId,
        part: &PartRow,
    ) -> rusqlite::Result<()> {
        let contract = self.contract(environment, &part.contract)?;
        self.connection.run(
            "INSERT INTO dataset (tree, part, parent, step, place, contract, version, status, failed, created_at,
                                  started_at, input, output, facts, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                tree.0.as_bytes(),
                part.part,
                part.parent,
                part.step,
                part.place,
                contract,
                part.version,
                part.status,
                part.failed,
                part.created_at,
                part.started_at,
                part.input,
                part.output,
                part.facts,
                part.detail,
            ],
        )?;
        Ok(())
    }

    /// Writes what can change of a part.
    pub(super) fn update_part(&self, tree: TreeId, part: &PartRow) -> rusqlite::Result<()> {
        let rows = self.connection.run(
            "UPDATE dataset SET status = ?3, failed = ?4, started_at = ?5, input = ?6, output = ?7, facts = ?8,
                                detail = ?9
             WHERE tree = ?1 AND part = ?2",
            params![
                tree.0.as_bytes(),
                part.part,
                part.status,
                part.failed,
                part.started_at,
                part.input,
                part.output,
                part.facts,
                part.detail,
            ],
        )?;
        assert_eq!(rows, 1, "part {} of {tree} is to be changed and has never been created", part.part);
        Ok(())
    }
}

/// Reads a part from [`PART_COLUMNS`].
pub(super) fn read_part(row: &Row<'_>) -> rusqlite::Result<Part> {
    let input: Value = parsed(row, 9)?;
    let detail: Detail<'_> = parsed(row, 12)?;
    let refused = |cause: String| unreadable(12, cause);
    Ok(Part {
        part: row.get(0)?,
        parent: row.get(1)?,
        step: row.get(2)?,
        index: row.get(3)?,
        contract: name(row, 4)?,
        version: row.get(5)?,
        status: code(row, 6)?,
        created_at: time_at(row, 7)?,
        started_at: time_of(row, 8)?,
        input: Arc::new(input),
        origin: detail.origin.as_deref().map_or(Ok(Origin::Made), read_origin).map_err(refused)?,
        search: detail.search.map(StoredSearch::into_search).transpose().map_err(refused)?.map(Box::new),
        join: detail.join.map(StoredJoin::into_join).transpose().map_err(refused)?.map(Box::new),
        output: shared_of(row, 10)?,
        facts: shared_of(row, 11)?,
        evidence: detail.evidence.map(StoredEvidence::into_evidence).transpose().map_err(refused)?,
        handed: detail.handed.map(StoredHanded::into_handed).transpose().map_err(refused)?,
        set_aside: detail.set_aside.map(StoredSetAside::into_set_aside).transpose().map_err(refused)?,
        state: detail.state.map(Cow::into_owned),
        task: detail.task.map(StoredTask::into_task).transpose().map_err(refused)?,
        serials: detail.serials,
        made: detail.made,
        effect_possible: detail.effect_possible,
        orphans: detail.orphans.into_owned(),
        undone: detail.undone,
        settle_until: detail.settle_until.map(time),
        deadline_at: detail.deadline_at.map(time),
        attempt_until: detail.attempt_until.map(time),
        failed_attempts: detail.failed_attempts,
        attempts_before: detail.attempts_before,
        retrying: detail.retrying.map(StoredRetrying::into_retrying),
        failure: detail.failure.map(StoredFailure::into_failure).transpose().map_err(refused)?,
        extension: detail.extension.map(StoredExtension::into_extension).transpose().map_err(refused)?,
        ready_at: detail.ready_at.map(time),
        ended_at: detail.ended_at.map(time),
    })
}

/// What has no column of its own; what is absent or zero is not written.
#[derive(Serialize, Deserialize)]
struct Detail<'a> {
    // `Guard::Unclaimed` finds the waiting task by these paths: task.serial, task.priority, task.ready_at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<StoredTask>,
    /// Of what was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    search: Option<StoredSearch<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join: Option<StoredJoin<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<StoredEvidence<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handed: Option<StoredHanded<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set_aside: Option<StoredSetAside<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    state: Option<Cow<'a, Value>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    serials: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    effect_possible: bool,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    orphans: Cow<'a, [Value]>,
    #[serde(default, skip_serializing_if = "is_zero")]
    undone: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settle_until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt_until: Option<i64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    failed_attempts: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempts_before: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retrying: Option<StoredRetrying>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<StoredFailure<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extension: Option<StoredExtension<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct StoredTask {
    serial: u32,
    operation: i64,
    ready_at: i64,
    priority: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempt: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    spent_from: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cancelled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// The end of the pause; without one, the failed attempt is still being taken down.
#[derive(Serialize, Deserialize)]
struct StoredRetrying {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pausing_until: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct StoredEvidence<'a> {
    verdict: Cow<'a, str>,
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Cow<'a, str>>,
}

/// How far an extension has come; a failure says that it came to nothing.
#[derive(Serialize, Deserialize)]
struct StoredExtension<'a> {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ready: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<StoredFailure<'a>>,
}

impl<'a> From<&'a Extension> for StoredExtension<'a> {
    fn from(extension: &'a Extension) -> Self {
        let failure = match extension {
            Extension::Failed(failure) => Some(StoredFailure::from(&**failure)),
            Extension::UnderWay | Extension::Ready => None,
        };
        Self { ready: *extension == Extension::Ready, failure }
    }
}

impl StoredExtension<'_> {
    fn into_extension(self) -> Result<Extension, String> {
        Ok(match self.failure.map(StoredFailure::into_failure).transpose()? {
            Some(failure) => Extension::Failed(Box::new(failure)),
            None if self.ready => Extension::Ready,
            None => Extension::UnderWay,
        })
    }
}

/// What was known at hand-over.
#[derive(Serialize, Deserialize)]
struct StoredHanded<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    facts: Option<Cow<'a, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<StoredEvidence<'a>>,
}

/// Since when a dataset is in quarantine.
#[derive(Serialize, Deserialize)]
struct StoredSetAside<'a> {
    at: i64,
    because: Cow<'a, str>,
}

impl StoredSetAside<'_> {
    fn into_set_aside(self) -> Result<SetAside, String> {
        let because = Why::from_name(&self.because)
            .ok_or_else(|| format!("{} is no reason for a recheck", self.because))?;
        Ok(SetAside { at: time(self.at), because })
    }
}

impl StoredHanded<'_> {
    fn into_handed(self) -> Result<Box<Handed>, String> {
        Ok(Box::new(Handed {
            facts: self.facts.map(|facts| Arc::new(facts.into_owned())),
            evidence: self.evidence.map(StoredEvidence::into_evidence).transpose()?,
        }))
    }
}

impl StoredTask {
    fn into_task(self) -> Result<Task, String> {
        Ok(Task {
            serial: self.serial,
            operation: Operation::from_code(self.operation)
                .ok_or_else(|| format!("{} is no operation", self.operation))?,
            ready_at: time(self.ready_at),
            priority: Priority::from_code(self.priority)
                .ok_or_else(|| format!("{} is no priority", self.priority))?,
            attempt: self.attempt,
            spent_from: self.spent_from,
            cancelled: self.cancelled,
            message: self.message,
        })
    }
}

impl From<&Task> for StoredTask {
    fn from(task: &Task) -> Self {
        Self {
            serial: task.serial,
            operation: task.operation.code(),
            ready_at: ms(task.ready_at),
            priority: task.priority.code(),
            attempt: task.attempt,
            spent_from: task.spent_from,
            cancelled: task.cancelled,
            message: task.message.clone(),
        }
    }
}

impl StoredRetrying {
    fn into_retrying(self) -> Retrying {
        self.pausing_until.map_or(Retrying::TakingDown, |until| Retrying::Pausing { until: time(until) })
    }
}

impl From<Retrying> for StoredRetrying {
    fn from(retrying: Retrying) -> Self {
        match retrying {
            Retrying::TakingDown => Self { pausing_until: None },
            Retrying::Pausing { until } => Self { pausing_until: Some(ms(until)) },
        }
    }
}

impl<'a> StoredEvidence<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        Self {
            verdict: Cow::Borrowed(evidence.verdict.name()),
            at: ms(evidence.at),
            valid_at: ms_of(evidence.valid_at),
            message: evidence.message.as_deref().map(Cow::Borrowed),
            build: evidence.build.as_deref().map(Cow::Borrowed),
            instance: evidence.instance.as_deref().map(Cow::Borrowed),
        }
    }
}

impl StoredEvidence<'_> {
    fn into_evidence(self) -> Result<Evidence, String> {
        Ok(Evidence {
            verdict: Verdict::from_name(&self.verdict)
                .ok_or_else(|| format!("{} is no verdict", self.verdict))?,
            at: time(self.at),
            message: self.message.map(Cow::into_owned),
            valid_at: self.valid_at.map(time),
            build: self.build.as_deref().map(Arc::from),
            instance: self.instance.as_deref().map(Arc::from),
        })
    }
}

fn detail_text(part: &Part) -> String {
    let detail = Detail {
        task: part.task.as_ref().map(StoredTask::from),
        origin: part.origin.existed().then(|| Cow::Borrowed(part.origin.name())),
        search: part.search.as_deref().map(StoredSearch::from),
        join: part.join.as_deref().map(StoredJoin::from),
        evidence: part.evidence.as_ref().map(StoredEvidence::of),
        handed: part.handed.as_ref().map(|handed| StoredHanded {
            facts: handed.facts.as_deref().map(Cow::Borrowed),
            evidence: handed.evidence.as_ref().map(StoredEvidence::of),
        }),
        set_aside: part.set_aside.map(|set_aside| StoredSetAside {
            at: ms(set_aside.at),
            because: Cow::Borrowed(set_aside.because.name()),
        }),
        state: part.state.as_ref().map(Cow::Borrowed),
        serials: part.serials,
        made: part.made,
        effect_possible: part.effect_possible,
        orphans: Cow::Borrowed(&part.orphans),
        undone: part.undone,
        settle_until: ms_of(part.settle_until),
        deadline_at: ms_of(part.deadline_at),
        attempt_until: ms_of(part.attempt_until),
        failed_attempts: part.failed_attempts,
        attempts_before: part.attempts_before,
        retrying: part.retrying.map(StoredRetrying::from),
        failure: part.failure.as_ref().map(StoredFailure::from),
        extension: part.extension.as_ref().map(StoredExtension::from),
        ready_at: ms_of(part.ready_at),
        ended_at: ms_of(part.ended_at),
    };
    serde_json::to_string(&detail).expect("text, numbers and JSON values are always JSON")
}

fn read_origin(name: &str) -> Result<Origin, String> {
    Origin::from_name(name).ok_or_else(|| format!("{name} is no origin of data"))
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_that_was_written_without_its_supplier_reads_back_as_of_nobody() {
        let detail = r#"{"evidence":{"verdict":"valid","at":7,"message":"fine"}}"#;
        let detail: Detail<'_> = serde_json::from_str(detail).unwrap();
        let evidence = detail.evidence.map(StoredEvidence::into_evidence).unwrap().unwrap();
        let expected = Evidence {
            verdict: Verdict::Valid,
            at: time(7),
            message: Some("fine".to_owned()),
            valid_at: None,
            build: None,
            instance: None,
        };
        assert_eq!(evidence, expected);
    }
}

//! Parts of trees: what is searched in columns, the rest as JSON.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sixpack_model::extension::Extension;
use sixpack_model::find::Origin;
use sixpack_model::name::ContractName;
use sixpack_model::recheck::Why;
use sixpack_model::request::Priority;
use sixpack_model::tree::{Evidence, Handed, Operation, Part, PartStatus, Retrying, SetAside, Task, Verdict};

use super::codes::Code;
use super::debts::StoredResolved;
use super::failures::{StoredFailure, present};
use super::joins::StoredJoin;
use super::searches::StoredSearch;
use super::values::{json, ms, ms_of, time};

/// A part, turned into columns before any transaction begins.
pub(crate) struct PartRow {
    pub(crate) part: u32,
    pub(crate) parent: Option<u32>,
    pub(crate) step: String,
    pub(crate) place: Option<u32>,
    pub(crate) contract: String,
    pub(crate) version: u32,
    pub(crate) status: i64,
    pub(crate) failed: bool,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) input: String,
    pub(crate) output: Option<String>,
    pub(crate) facts: Option<String>,
    pub(crate) detail: String,
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

/// What is read of a part from columns of its own.
pub(crate) struct PartColumns {
    pub(crate) part: u32,
    pub(crate) parent: Option<u32>,
    pub(crate) step: String,
    pub(crate) index: Option<u32>,
    pub(crate) contract: ContractName,
    pub(crate) version: u32,
    pub(crate) status: PartStatus,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) input: Arc<Value>,
    pub(crate) output: Option<Arc<Value>>,
    pub(crate) facts: Option<Arc<Value>>,
}

/// The task that a part has open, as its tree knows it.
pub(crate) struct OpenTask {
    pub(crate) serial: u32,
    pub(crate) priority: i64,
    pub(crate) ready_at: i64,
}

impl Detail<'_> {
    /// Moves the open task to another priority; returns it as it was before, and the detail as it is stored from now on.
    pub(crate) fn reprioritised(mut self, priority: i64) -> Option<(OpenTask, String)> {
        let task = self.task.as_mut()?;
        let StoredTask { serial, ready_at, .. } = *task;
        let before = OpenTask { serial, ready_at, priority: std::mem::replace(&mut task.priority, priority) };
        Some((before, serde_json::to_string(&self).expect("text, numbers and JSON values are always JSON")))
    }

    /// The part with this detail, unless it was written by somebody else.
    pub(crate) fn into_part(self, columns: PartColumns) -> Result<Part, String> {
        Ok(Part {
            part: columns.part,
            parent: columns.parent,
            step: columns.step,
            index: columns.index,
            contract: columns.contract,
            version: columns.version,
            status: columns.status,
            created_at: columns.created_at,
            started_at: columns.started_at,
            input: columns.input,
            origin: self.origin.as_deref().map_or(Ok(Origin::Made), read_origin)?,
            search: self.search.map(StoredSearch::into_search).transpose()?.map(Box::new),
            join: self.join.map(StoredJoin::into_join).transpose()?.map(Box::new),
            output: columns.output,
            facts: columns.facts,
            evidence: self.evidence.map(StoredEvidence::into_evidence).transpose()?,
            handed: self.handed.map(StoredHanded::into_handed).transpose()?,
            set_aside: self.set_aside.map(StoredSetAside::into_set_aside).transpose()?,
            state: self.state.map(Cow::into_owned),
            task: self.task.map(StoredTask::into_task).transpose()?,
            serials: self.serials,
            made: self.made,
            effect_possible: self.effect_possible,
            orphans: self.orphans.into_owned(),
            undone: self.undone,
            settle_until: self.settle_until.map(time),
            deadline_at: self.deadline_at.map(time),
            attempt_until: self.attempt_until.map(time),
            failed_attempts: self.failed_attempts,
            attempts_before: self.attempts_before,
            retrying: self.retrying.map(StoredRetrying::into_retrying),
            failure: self.failure.map(StoredFailure::into_failure).transpose()?,
            resolved: self.resolved.map(|resolved| Box::new(resolved.into_resolved())),
            extension: self.extension.map(StoredExtension::into_extension).transpose()?,
            ready_at: self.ready_at.map(time),
            ended_at: self.ended_at.map(time),
        })
    }
}

/// What has no column of its own; what is absent or zero is not written.
#[derive(Serialize, Deserialize)]
pub(crate) struct Detail<'a> {
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
    resolved: Option<StoredResolved<'a>>,
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
        resolved: part.resolved.as_deref().map(StoredResolved::from),
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

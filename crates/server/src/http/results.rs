//! Results: what suppliers answer, taken apart one by one, and what became of each.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sixpack_engine::{Receipt, TaskAnswer};
use sixpack_model::ids::TaskId;
use sixpack_model::limits::{AGAIN_MS, INSTANCE_BYTES, OBTAINED};
use sixpack_model::name::{ContractName, step_name};
use sixpack_model::plan::Answer;
use sixpack_model::tree::Wish;
use utoipa::ToSchema;

use super::body::written_bytes;
use super::shapes::word::{VerdictWord, Word};
use super::tasks::TaskJson;
use crate::edge::check::{Check, Faults};
use crate::edge::integer::Int;
use crate::edge::json::{LongTexts, accept};
use crate::edge::problem::ECHO_MAX_CHARS;

/// Bytes of one call: thirty results of the largest kind.
const RESULTS_MAX_BYTES: usize = 32 * 1024 * 1024;

/// Results of one call: as many as one claim hands out.
pub(super) const RESULTS_MAX: usize = 100;

/// Bytes of the state that a supplier leaves for itself: a token and a few ids, not a document.
const STATE_MAX_BYTES: usize = 64 * 1024;

/// Bytes of the details of a failure: what a person reads.
const DETAILS_MAX_BYTES: usize = 16 * 1024;

/// Characters of a message; the rest is cut, because a long message must not make a result fail.
const MESSAGE_MAX_CHARS: usize = 2_000;

/// Bytes of a domain's own code.
pub(super) const CODE_MAX_BYTES: usize = 64;

/// Several answers.
#[derive(Deserialize, ToSchema)]
#[schema(as = Results)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswersJson {
    /// Each is judged for itself.
    #[schema(min_items = 1, max_items = 100, value_type = Vec<ResultJson>)]
    results: Vec<Value>,
    /// Asks for tasks that are ready with these results.
    claim: Option<NextClaimJson>,
}

/// How many tasks a supplier takes with the answer to its results. Nobody waits for them.
#[derive(Deserialize, ToSchema)]
#[schema(as = NextClaim)]
#[serde(deny_unknown_fields)]
struct NextClaimJson {
    #[schema(inline)]
    max: Int<1, 100>,
}

impl Check for AnswersJson {
    const BODY_MAX_BYTES: usize = RESULTS_MAX_BYTES;

    /// A text that no field takes makes its own result fail, and not the call.
    const LONG_TEXTS: LongTexts = LongTexts::Cut;

    fn check(&self, faults: &mut Faults) {
        if self.results.is_empty() {
            faults.add("results", "range", format!("must have from 1 to {RESULTS_MAX} entries"));
        }
        faults.too_many("results", self.results.len(), RESULTS_MAX);
    }
}

/// One answer to one attempt; which fields belong to it depends on `outcome`.
#[derive(Deserialize, ToSchema)]
#[schema(as = TaskResult)]
#[serde(deny_unknown_fields)]
struct ResultJson {
    task_id: String,
    #[schema(inline)]
    attempt: Int<1, 4_294_967_295>,
    outcome: OutcomeJson,
    /// `done` of a produce: what was made; of a find: what is there.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    output: Option<Value>,
    /// `done` of a produce, find or check: what the service says.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    facts: Option<Value>,
    /// `done` of a check.
    #[schema(inline)]
    verdict: Option<VerdictWord>,
    /// `again`: when to ask again; held to 0 to 86,400,000.
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 86400000)]
    after_ms: Option<i64>,
    /// `again`: to be sent along next time.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    state: Option<Value>,
    /// `failed`: whether trying again may help.
    retryable: Option<bool>,
    /// `failed`: the domain's own code.
    #[schema(max_length = 64, pattern = "^[a-z0-9_.-]+$")]
    code: Option<String>,
    /// For people; cut after 2,000 characters.
    message: Option<String>,
    /// `failed`: more, as given.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    details: Option<Value>,
    /// `obtain`: what an orchestrator wants first.
    #[schema(min_items = 1, max_items = 100)]
    children: Option<Vec<WishJson>>,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = Outcome)]
#[serde(rename_all = "snake_case")]
enum OutcomeJson {
    Done,
    Again,
    Failed,
    /// Of find: there is nothing that fits.
    None,
    Obtain,
}

/// A child that an orchestrator wants.
#[derive(Deserialize, ToSchema)]
#[schema(as = Wish)]
#[serde(deny_unknown_fields)]
struct WishJson {
    /// The same name always answers the same child.
    name: String,
    /// `domain/name`.
    contract: String,
    #[schema(value_type = Option<Object>)]
    input: Option<Map<String, Value>>,
}

/// What became of several answers, in the same order.
#[derive(Serialize, ToSchema)]
#[schema(as = Receipts)]
pub(super) struct ReceiptsJson<'a> {
    pub(super) results: Vec<ReceiptJson>,
    /// The tasks that were asked for; none when nothing is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tasks: Option<Vec<TaskJson<'a>>>,
}

/// What became of one answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(super) struct ReceiptJson {
    /// As it was given, cut after 64 characters.
    task_id: String,
    accepted: bool,
    /// `unknown_task`, `claim_lost`, `already_completed`, `cancelled`, `bad_result`, or with `accepted`
    /// `contract_violation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl AnswersJson {
    /// How many tasks the supplier takes with the answer, if it asks for any.
    pub(super) fn claim_max(&self) -> Option<u32> {
        let max = self.claim.as_ref()?.max.get();
        Some(u32::try_from(max).expect("the type of `max` keeps it small"))
    }

    /// The answers that the engine is to judge, and a receipt for each result: settled for those that are none.
    pub(super) fn take_apart(self) -> (Vec<ReceiptJson>, Vec<TaskAnswer>) {
        let mut receipts = Vec::with_capacity(self.results.len());
        let mut answers = Vec::with_capacity(self.results.len());
        for result in self.results {
            let given = result.get("task_id").and_then(Value::as_str).unwrap_or_default();
            let parsed = given.parse::<TaskId>();
            // What is longer than any id is not repeated as a whole.
            let task_id = given.chars().take(ECHO_MAX_CHARS).collect();
            let mut receipt = ReceiptJson { task_id, accepted: true, reason: None, message: None };
            match parsed {
                Err(_) => receipt.refuse("unknown_task", None),
                Ok(_) => match read(result) {
                    Ok(answer) => answers.push(answer),
                    Err(message) => receipt.refuse("bad_result", Some(message)),
                },
            }
            receipts.push(receipt);
        }
        (receipts, answers)
    }
}

impl ReceiptJson {
    /// True as long as the engine has not judged the answer.
    pub(super) fn is_open(&self) -> bool {
        self.accepted
    }

    /// Notes what the engine says.
    pub(super) fn settle(&mut self, receipt: Receipt) {
        match receipt {
            Receipt::Recorded => {}
            Receipt::ContractViolation(message) => {
                self.reason = Some("contract_violation");
                self.message = Some(message);
            }
            Receipt::UnknownTask => self.refuse("unknown_task", None),
            Receipt::ClaimLost => self.refuse("claim_lost", None),
            Receipt::AlreadyCompleted => self.refuse("already_completed", None),
            Receipt::Cancelled => self.refuse("cancelled", None),
        }
    }

    fn refuse(&mut self, reason: &'static str, message: Option<String>) {
        self.accepted = false;
        self.reason = Some(reason);
        self.message = message;
    }
}

impl Check for ResultJson {
    fn check(&self, faults: &mut Faults) {
        self.check_sizes(faults);
        if let Some(code) = &self.code {
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
            if code.is_empty() || code.len() > CODE_MAX_BYTES || !code.bytes().all(allowed) {
                faults.add(
                    "code",
                    "invalid_value",
                    format!("must be 1 to {CODE_MAX_BYTES} of a-z 0-9 _ . -"),
                );
            }
        }
        let children = self.children.iter().flatten().enumerate();
        faults.within("children", |faults| {
            children.for_each(|(index, wish)| faults.within(index, |faults| wish.check(faults)));
        });
        for (name, given, belongs) in self.belongings() {
            match (given, belongs) {
                (false, Belongs::Required) => {
                    faults.add(name, "missing_field", format!("`{name}` is required"));
                }
                (true, Belongs::Not) => {
                    faults.add(name, "exclusive", format!("`{name}` does not belong to this outcome"));
                }
                _ => {}
            }
        }
    }
}

/// Whether a field goes with an outcome.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Required,
    May,
    Not,
}

impl ResultJson {
    fn belongings(&self) -> [(&'static str, bool, Belongs); 9] {
        use OutcomeJson::{Again, Done, Failed, Obtain};
        let to = |outcome: OutcomeJson, belongs: Belongs| {
            if self.outcome == outcome { belongs } else { Belongs::Not }
        };
        let checked = self.verdict.is_some();
        let produced = self.output.is_some();
        let either = if checked && produced { Belongs::Not } else { Belongs::May };
        let facts = if checked || produced { Belongs::May } else { Belongs::Not };
        let message = match self.outcome {
            Done if !checked => Belongs::Not,
            Failed => Belongs::Required,
            Done | Again | OutcomeJson::None => Belongs::May,
            Obtain => Belongs::Not,
        };
        [
            ("output", produced, to(Done, either)),
            ("verdict", checked, to(Done, either)),
            ("facts", self.facts.is_some(), to(Done, facts)),
            ("after_ms", self.after_ms.is_some(), to(Again, Belongs::Required)),
            ("state", self.state.is_some(), to(Again, Belongs::May)),
            ("retryable", self.retryable.is_some(), to(Failed, Belongs::Required)),
            ("code", self.code.is_some(), to(Failed, Belongs::Required)),
            ("message", self.message.is_some(), message),
            ("children", self.children.is_some(), to(Obtain, Belongs::Required)),
        ]
    }

    /// The output is left to its schema, which has the same bound and makes the attempt fail.
    fn check_sizes(&self, faults: &mut Faults) {
        let bounds = [
            ("facts", &self.facts, INSTANCE_BYTES),
            ("state", &self.state, STATE_MAX_BYTES),
            ("details", &self.details, DETAILS_MAX_BYTES),
        ];
        for (name, value, max_bytes) in bounds {
            if value.as_ref().is_some_and(|value| written_bytes(value) > max_bytes) {
                faults.add(
                    name,
                    "too_long",
                    format!("has more than {max_bytes} bytes, which is the most allowed"),
                );
            }
        }
        if let Some(children) = &self.children {
            if children.is_empty() {
                faults.add("children", "range", format!("must have from 1 to {OBTAINED} entries"));
            }
            faults.too_many("children", children.len(), OBTAINED);
        }
        if self.outcome != OutcomeJson::Failed && self.details.is_some() {
            faults.add("details", "exclusive", "`details` does not belong to this outcome");
        }
    }

    fn into_answer(self) -> Answer {
        let message = self.message.map(cut);
        match self.outcome {
            OutcomeJson::Done => match (self.output, self.verdict) {
                (Some(output), _) => Answer::Produced { output, facts: self.facts },
                (None, Some(Word(verdict))) => Answer::Checked { verdict, facts: self.facts, message },
                (None, None) => Answer::Undone,
            },
            OutcomeJson::Again => Answer::Again {
                after_ms: self.after_ms.map_or(0, |after_ms| after_ms.max(0).unsigned_abs()).min(AGAIN_MS),
                state: self.state,
                message,
            },
            OutcomeJson::Failed => Answer::Failed {
                retryable: self.retryable.unwrap_or(false),
                code: self.code.unwrap_or_default(),
                message: message.unwrap_or_default(),
                details: self.details,
            },
            OutcomeJson::None => Answer::Nothing { message },
            OutcomeJson::Obtain => Answer::Obtain {
                children: self.children.into_iter().flatten().map(WishJson::into_wish).collect(),
            },
        }
    }
}

impl WishJson {
    fn check(&self, faults: &mut Faults) {
        if let Err(error) = step_name(&self.name) {
            faults.add("name", "name_pattern", error.to_string());
        }
        if let Err(error) = self.contract.parse::<ContractName>() {
            faults.add("contract", "name_pattern", error.to_string());
        }
    }

    fn into_wish(self) -> Wish {
        Wish {
            name: self.name,
            contract: self.contract.parse().expect("the name was checked"),
            input: Value::Object(self.input.unwrap_or_default()),
        }
    }
}

/// One result whose id was read before.
fn read(result: Value) -> Result<TaskAnswer, String> {
    let result: ResultJson = accept(result).map_err(|problem| {
        let faults = problem.errors().iter().map(|item| format!("{}: {}", item.pointer, item.message));
        faults.collect::<Vec<_>>().join("; ")
    })?;
    let attempt = u32::try_from(result.attempt.get()).expect("the type of an attempt keeps it in bounds");
    let task = result.task_id.parse().expect("the id was read before");
    Ok(TaskAnswer { task, attempt, answer: result.into_answer() })
}

fn cut(message: String) -> String {
    match message.char_indices().nth(MESSAGE_MAX_CHARS) {
        Some((end, _)) => message[..end].to_owned(),
        None => message,
    }
}

/// A payload may be anything, `null` too; only a field that is not there is absent.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

//! What a handler knows about its task, and the ways it can end other than by an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Stop;
use super::stop::Kind;
use crate::wire::{Child, Entity, ObtainedChild, Operation, Task};

/// One attempt of one task, as its handler sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    task: Arc<Task>,
    environment: Arc<str>,
    deadline: Instant,
    cancelled: CancellationToken,
}

/// What the task is.
impl Context {
    pub(crate) fn new(task: Arc<Task>, environment: Arc<str>, cancelled: CancellationToken) -> Self {
        let deadline = Instant::now() + Duration::from_millis(task.deadline_ms);
        Self { task, environment, deadline, cancelled }
    }

    /// Names the effect: the same in every attempt, and for produce, check and undo of one dataset part.
    pub fn idempotency_key(&self) -> &str {
        &self.task.idempotency_key
    }

    /// The same in every attempt, below 2^53: seed your synthetic values with it.
    pub fn seed(&self) -> u64 {
        self.task.seed
    }

    /// A short token (`[a-z0-9]`), the same in every attempt and different for every part: safe in e-mail addresses and
    /// names.
    pub fn unique(&self) -> &str {
        &self.task.unique
    }

    /// Which go at it: 1, 2, …
    pub fn attempt(&self) -> u32 {
        self.task.attempt
    }

    /// What is being done.
    pub fn operation(&self) -> Operation {
        self.task.operation
    }

    /// `task_…`
    pub fn task_id(&self) -> &str {
        &self.task.id
    }

    /// `ds_…`, the part that is being made, found, checked or undone.
    pub fn dataset_id(&self) -> &str {
        &self.task.dataset_id
    }

    /// Version of the contract that the dataset is built on; an older one than yours while old requests finish.
    pub fn version(&self) -> u32 {
        self.task.version
    }

    /// Whether something must not be the answer to `find`: a dataset has to do with it, or it was refused.
    pub fn is_excluded(&self, kind: &str, key: &str) -> bool {
        self.task.exclude.iter().any(|entity| entity.kind == kind && entity.key == key)
    }

    /// What must not be the answer to `find`, the most relevant first; at most a thousand.
    pub fn excluded(&self) -> &[Entity] {
        &self.task.exclude
    }

    /// Environment of this supplier.
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Fence of the live lease on the dataset, if there is one.
    pub fn fence(&self) -> Option<u64> {
        self.task.fence
    }

    /// W3C trace context of the request, to continue its trace.
    pub fn traceparent(&self) -> Option<&str> {
        self.task.traceparent.as_deref()
    }

    /// When this attempt counts as timed out, and the handler is dropped.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Time left until then.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Returns when the task was cancelled: its result will be refused, and what it made undone. Stopping early is polite.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }
}

/// Ways to end, and to go on after one.
impl Context {
    /// The business says no: `return Err(cx.reject("currency_mismatch", "CZK does not fit FR"))`. Not retried.
    pub fn reject(&self, code: impl Into<String>, message: impl Into<String>) -> Stop {
        Stop::reject(code, message)
    }

    /// A failure that may pass, with your own code. Any error does the same by `?`.
    pub fn retry(&self, code: impl Into<String>, message: impl Into<String>) -> Stop {
        Stop::retry(code, message)
    }

    /// Not finished: call again after `after` with `state`; no attempt is used up. Produce and undo only.
    ///
    /// `return Err(cx.again_after(Duration::from_secs(2), &state, "waiting for the bank"))`
    pub fn again_after(&self, after: Duration, state: impl Serialize, message: impl Into<String>) -> Stop {
        match serde_json::to_value(state) {
            Ok(state) => {
                let state = (!state.is_null()).then_some(state);
                Stop(Kind::Again { after, state, message: Some(message.into()) })
            }
            Err(error) => Stop::reject("bad_state", format!("the state cannot be written as JSON: {error}")),
        }
    }

    /// What the last [`again_after`](Self::again_after) left; `None` the first time.
    ///
    /// # Errors
    /// A rejection when the state has another shape: it was left by another release of this supplier.
    pub fn state<T: DeserializeOwned>(&self) -> Result<Option<T>, Stop> {
        let read = |state| {
            T::deserialize(state).map_err(|error| {
                Stop::reject("bad_state", format!("the state left by `again` cannot be read: {error}"))
            })
        };
        self.task.state.as_ref().map(read).transpose()
    }

    /// Facts that were read back last, for check and undo.
    ///
    /// # Errors
    /// A rejection when the facts have another shape.
    pub fn facts<T: DeserializeOwned>(&self) -> Result<Option<T>, Stop> {
        let read = |facts| {
            T::deserialize(facts)
                .map_err(|error| Stop::reject("bad_facts", format!("the facts cannot be read: {error}")))
        };
        self.task.facts.as_ref().map(read).transpose()
    }

    /// Obtains a child dataset by name: an orchestrator's way to compose contracts in code.
    ///
    /// The first time it ends the handler (`?` does that); the handler is called again when the child is there, and the
    /// same name then answers the same child at once. So what stands before it runs more than once: keep it free of
    /// effects, or under the idempotency key.
    ///
    /// ```
    /// # use sixpack::{Context, Stop};
    /// # #[derive(serde::Deserialize)] struct Customer { customer_id: String }
    /// # async fn produce(cx: &Context) -> Result<(), Stop> {
    /// let customer: Customer =
    ///     cx.obtain("customer", "customer/active-customer", serde_json::json!({ "country": "FR" })).await?;
    /// # drop(customer.customer_id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The [`Stop`] that asks for the child, or a rejection when the child has another shape than `T`.
    pub async fn obtain<T: DeserializeOwned>(
        &self,
        name: &str,
        contract: &str,
        input: impl Serialize,
    ) -> Result<T, Stop> {
        let input = serde_json::to_value(input).map_err(|error| {
            Stop::reject("bad_child_input", format!("the input of child `{name}`: {error}"))
        })?;
        self.obtain_all([Child::new(name, contract, input)]).await?.output(name)
    }

    /// Obtains several children at once: those that are missing are made in parallel.
    ///
    /// ```
    /// # use sixpack::{Context, Stop, wire::Child};
    /// # use serde_json::{Value, json};
    /// # async fn produce(cx: &Context) -> Result<(), Stop> {
    /// let children = cx
    ///     .obtain_all([
    ///         Child::new("buyer", "customer/active-customer", json!({ "country": "FR" })),
    ///         Child::new("seller", "customer/active-customer", json!({ "country": "DE" })),
    ///     ])
    ///     .await?;
    /// let buyer: Value = children.output("buyer")?;
    /// # drop(buyer); Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The [`Stop`] that asks for all that are missing; a rejection when a name was used for another contract before.
    pub async fn obtain_all(&self, children: impl IntoIterator<Item = Child>) -> Result<Children, Stop> {
        let mut there = BTreeMap::new();
        let mut missing = Vec::new();
        for child in children {
            match self.task.children.get(&child.name) {
                Some(obtained) => {
                    same_contract(&child, obtained)?;
                    there.insert(child.name, obtained.clone());
                }
                None => missing.push(child),
            }
        }
        if missing.is_empty() { Ok(Children { there }) } else { Err(Stop(Kind::Obtain(missing))) }
    }
}

/// Children that were obtained, by name.
#[derive(Debug, Clone)]
pub struct Children {
    there: BTreeMap<String, ObtainedChild>,
}

impl Children {
    /// The output of a child, as your type.
    ///
    /// # Errors
    /// A rejection when there is no such child, or its output has another shape.
    pub fn output<T: DeserializeOwned>(&self, name: &str) -> Result<T, Stop> {
        let child = self.get(name)?;
        T::deserialize(&child.output).map_err(|error| {
            Stop::reject(
                "bad_child",
                format!("the output of child `{name}` ({}) cannot be read: {error}", child.contract),
            )
        })
    }

    /// A child with its dataset id and facts.
    ///
    /// # Errors
    /// A rejection when there is no such child.
    pub fn get(&self, name: &str) -> Result<&ObtainedChild, Stop> {
        let unknown = || Stop::reject("bad_child", format!("no child `{name}` was asked for"));
        self.there.get(name).ok_or_else(unknown)
    }

    /// All outputs by name.
    pub fn outputs(&self) -> BTreeMap<&str, &Value> {
        self.there.iter().map(|(name, child)| (name.as_str(), &child.output)).collect()
    }
}

/// A name stands for one child for ever; asking for another contract under it is a fault of the orchestrator.
fn same_contract(asked: &Child, obtained: &ObtainedChild) -> Result<(), Stop> {
    let without_version = |contract: &str| contract.split('@').next().unwrap_or_default().to_owned();
    if without_version(&asked.contract) == without_version(&obtained.contract) {
        return Ok(());
    }
    let Child { name, contract, .. } = asked;
    Err(Stop::reject(
        "child_changed",
        format!(
            "child `{name}` was obtained from {}, and is now asked from {contract}; use another name",
            obtained.contract
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn context(extra: &Value) -> Context {
        let mut task = json!({"id":"task_1","attempt":1,"operation":"produce","capability":"x","dataset_id":"ds_1",
            "input":{},"seed":7,"unique":"abc","idempotency_key":"ds_1","deadline_ms":60000});
        task.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let task: Task = serde_json::from_value(task).unwrap();
        Context::new(Arc::new(task), "default".into(), CancellationToken::new())
    }

    fn result_of(stop: Stop) -> Value {
        serde_json::to_value(stop.into_result("task_1", 1)).unwrap()
    }

    #[tokio::test]
    async fn a_missing_child_ends_the_handler_with_an_obtain() {
        let cx = context(&json!({}));
        let stop =
            cx.obtain::<Value>("customer", "customer/active", json!({"country":"FR"})).await.unwrap_err();
        assert_eq!(
            result_of(stop),
            json!({"task_id":"task_1","attempt":1,"outcome":"obtain",
                   "children":[{"name":"customer","contract":"customer/active","input":{"country":"FR"}}]})
        );
    }

    #[tokio::test]
    async fn a_child_that_is_there_is_answered_at_once() {
        let cx = context(&json!({"children":{"customer":
            {"dataset_id":"ds_2","contract":"customer/active","version":1,"output":{"id":"c-1"}}}}));
        let customer: Value = cx.obtain("customer", "customer/active", json!({})).await.unwrap();
        assert_eq!(customer, json!({"id":"c-1"}));
    }

    #[tokio::test]
    async fn only_the_missing_children_are_asked_for() {
        let cx =
            context(&json!({"children":{"a":{"dataset_id":"ds_2","contract":"x/a","version":1,"output":1}}}));
        let children = [Child::new("a", "x/a", json!({})), Child::new("b", "x/b", json!({}))];
        let stop = cx.obtain_all(children).await.unwrap_err();
        assert_eq!(result_of(stop)["children"], json!([{"name":"b","contract":"x/b","input":{}}]));
    }

    #[tokio::test]
    async fn a_name_cannot_change_its_contract() {
        let cx =
            context(&json!({"children":{"a":{"dataset_id":"ds_2","contract":"x/a","version":1,"output":1}}}));
        let result = result_of(cx.obtain::<Value>("a", "x/other", json!({})).await.unwrap_err());
        assert_eq!((&result["code"], &result["retryable"]), (&json!("child_changed"), &json!(false)));
    }

    #[tokio::test]
    async fn a_child_of_another_shape_is_rejected_by_name() {
        let cx = context(
            &json!({"children":{"a":{"dataset_id":"ds_2","contract":"x/a","version":1,"output":{"n":1}}}}),
        );
        let result = result_of(cx.obtain::<String>("a", "x/a", json!({})).await.unwrap_err());
        assert_eq!(result["code"], "bad_child");
        assert!(result["message"].as_str().unwrap().contains("`a`"));
    }

    #[test]
    fn state_comes_back_as_it_was_left() {
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Poll {
            payment: String,
            round: u32,
        }
        let left = Poll { payment: "p-1".into(), round: 2 };
        let result =
            result_of(context(&json!({})).again_after(Duration::from_millis(1500), &left, "verifying"));
        assert_eq!(
            result,
            json!({"task_id":"task_1","attempt":1,"outcome":"again","after_ms":1500,"message":"verifying",
                   "state":{"payment":"p-1","round":2}})
        );
        let cx = context(&json!({"state":result["state"]}));
        assert_eq!(cx.state::<Poll>().unwrap(), Some(left));
        assert_eq!(context(&json!({})).state::<Poll>().unwrap(), None);
        assert_eq!(result_of(cx.state::<String>().unwrap_err())["code"], "bad_state");
    }

    #[test]
    fn no_state_is_no_null() {
        let result = result_of(context(&json!({})).again_after(Duration::ZERO, (), "soon"));
        assert_eq!(result.get("state"), None);
    }
}

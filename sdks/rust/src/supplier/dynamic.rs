//! Capabilities from closures: quick ones, and those whose schemas are only known at run time.

use std::future::Future;
use std::pin::Pin;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::capability::{About, Check, Find, Produce, Undo};
use super::offer::{Answering, Offer, checked, input_schema, manifest, output_schema, unknown_operation};
use super::{Context, Stop};
use crate::wire::{CapabilityManifest, Operation, Task, TaskResult};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type ProduceFn = Box<dyn Fn(Context, Value) -> Boxed<Produce<Value>> + Send + Sync>;
type CheckFn = Box<dyn Fn(Context, Value, Value) -> Boxed<Check<Value>> + Send + Sync>;
type FindFn = Box<dyn Fn(Context, Value) -> Boxed<Find<Value>> + Send + Sync>;
type UndoFn = Box<dyn Fn(Context, Value, Option<Value>) -> Boxed<Undo> + Send + Sync>;

/// A capability from closures over JSON.
///
/// ```
/// use serde_json::json;
/// use sixpack::{About, DynamicCapability, Supplier, Verdict};
///
/// let noop = DynamicCapability::new("noop", |cx, _input| async move { Ok(json!({ "id": cx.unique() })) })
///     .about(About::new("Does nothing"))
///     .output_schema(json!({"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}))
///     .with_check(|_cx, _input, _output| async { Ok(Verdict::valid(json!({}))) })
///     .with_undo(|_cx, _input, _output| async { Ok(()) });
/// let supplier = Supplier::new("demo").dynamic(noop);
/// # drop(supplier);
/// ```
pub struct DynamicCapability {
    name: String,
    about: About,
    input: Value,
    output: Value,
    facts: Option<Value>,
    produce: ProduceFn,
    check: Option<CheckFn>,
    undo: Option<UndoFn>,
    find: Option<FindFn>,
}

impl DynamicCapability {
    /// A capability by name and its `produce`; input and output are any objects until schemas say more.
    pub fn new<F, R>(name: impl Into<String>, produce: F) -> Self
    where
        F: Fn(Context, Value) -> R + Send + Sync + 'static,
        R: Future<Output = Produce<Value>> + Send + 'static,
    {
        Self {
            name: name.into(),
            about: About::default(),
            input: json!({ "type": "object" }),
            output: json!({ "type": "object" }),
            facts: None,
            produce: Box::new(move |cx, input| Box::pin(produce(cx, input))),
            check: None,
            undo: None,
            find: None,
        }
    }

    /// A capability by name and a closure over your types, whose schemas it publishes.
    ///
    /// ```
    /// # use sixpack::DynamicCapability;
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Greet { name: String }
    /// #[derive(serde::Serialize, schemars::JsonSchema)]
    /// struct Greeting { text: String }
    ///
    /// let greeting = DynamicCapability::typed("greeting", |_cx, input: Greet| async move {
    ///     Ok(Greeting { text: format!("Hello {}", input.name) })
    /// });
    /// # drop(greeting);
    /// ```
    pub fn typed<I, O, F, R>(name: impl Into<String>, produce: F) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + 'static,
        F: Fn(Context, I) -> R + Send + Sync + 'static,
        R: Future<Output = Produce<O>> + Send + 'static,
    {
        let untyped = move |cx: Context, input: Value| {
            let answering = serde_json::from_value::<I>(input).map(|input| produce(cx, input));
            async move {
                let answering = answering.map_err(|error| Stop::reject("unreadable", error.to_string()))?;
                serde_json::to_value(answering.await?)
                    .map_err(|error| Stop::reject("unwritable", error.to_string()))
            }
        };
        Self::new(name, untyped).input_schema(input_schema::<I>()).output_schema(output_schema::<O>())
    }

    /// Sets description, limits, labels.
    #[must_use]
    pub fn about(mut self, about: About) -> Self {
        self.about = about;
        self
    }

    /// Sets the JSON Schema of the input.
    #[must_use]
    pub fn input_schema(mut self, schema: Value) -> Self {
        self.input = schema;
        self
    }

    /// Sets the JSON Schema of the output.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output = schema;
        self
    }

    /// Sets the JSON Schema of the facts.
    #[must_use]
    pub fn facts_schema(mut self, schema: Value) -> Self {
        self.facts = Some(schema);
        self
    }

    /// Adds a check: context, input, output.
    #[must_use]
    pub fn with_check<F, R>(mut self, check: F) -> Self
    where
        F: Fn(Context, Value, Value) -> R + Send + Sync + 'static,
        R: Future<Output = Check<Value>> + Send + 'static,
    {
        self.check = Some(Box::new(move |cx, input, output| Box::pin(check(cx, input, output))));
        self
    }

    /// Adds an undo: context, input, output (`None` when no produce ever answered).
    #[must_use]
    pub fn with_undo<F, R>(mut self, undo: F) -> Self
    where
        F: Fn(Context, Value, Option<Value>) -> R + Send + Sync + 'static,
        R: Future<Output = Undo> + Send + 'static,
    {
        self.undo = Some(Box::new(move |cx, input, output| Box::pin(undo(cx, input, output))));
        self
    }

    /// Adds a find: context, input. The output has to name its key with `x-entity`.
    ///
    /// ```
    /// use serde_json::json;
    /// use sixpack::DynamicCapability;
    ///
    /// let output = json!({ "type": "object", "properties": { "id": { "type": "string", "x-entity": "user" } } });
    /// let user = DynamicCapability::new("user", |cx, _input| async move { Ok(json!({ "id": cx.unique() })) })
    ///     .output_schema(output)
    ///     .with_find(|cx, _input| async move {
    ///         let known = ["ada", "boris"];
    ///         let free = known.into_iter().find(|id| !cx.is_excluded("user", id));
    ///         Ok(free.map(|id| json!({ "id": id })))
    ///     });
    /// # drop(user);
    /// ```
    #[must_use]
    pub fn with_find<F, R>(mut self, find: F) -> Self
    where
        F: Fn(Context, Value) -> R + Send + Sync + 'static,
        R: Future<Output = Find<Value>> + Send + 'static,
    {
        self.find = Some(Box::new(move |cx, input| Box::pin(find(cx, input))));
        self
    }

    fn operations(&self) -> Vec<Operation> {
        let mut operations = vec![Operation::Produce];
        operations.extend(self.check.is_some().then_some(Operation::Check));
        operations.extend(self.undo.is_some().then_some(Operation::Undo));
        operations.extend(self.find.is_some().then_some(Operation::Find));
        operations
    }
}

impl Offer for DynamicCapability {
    fn manifest(&self) -> CapabilityManifest {
        let schemas = [self.input.clone(), self.output.clone()];
        manifest(&self.name, &self.operations(), self.about.clone(), schemas, self.facts.clone())
    }

    fn answer<'a>(&'a self, cx: &'a Context, task: &'a Task) -> Answering<'a> {
        Box::pin(async move {
            let (cx, input) = (cx.clone(), task.input.clone());
            match (task.operation, &self.check, &self.undo) {
                (Operation::Find, ..) => {
                    let find = self.find.as_ref().ok_or_else(unknown_operation)?;
                    let (id, attempt) = (&task.id, task.attempt);
                    Ok(match find(cx, input).await? {
                        Some(output) => TaskResult::found(id, attempt, output),
                        None => TaskResult::found_nothing(id, attempt, None),
                    })
                }
                (Operation::Produce, ..) => {
                    Ok(TaskResult::produced(&task.id, task.attempt, (self.produce)(cx, input).await?))
                }
                (Operation::Check, Some(check), _) => {
                    checked(task, check(cx, input, task.output.clone().unwrap_or_default()).await?)
                }
                (Operation::Undo, _, Some(undo)) => {
                    undo(cx, input, task.output.clone()).await?;
                    Ok(TaskResult::undone(&task.id, task.attempt))
                }
                _ => Err(unknown_operation()),
            }
        })
    }
}

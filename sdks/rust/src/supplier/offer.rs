//! Capabilities without their types: what a session registers, and how it runs one task.

use std::any::TypeId;
use std::pin::Pin;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::capability::{About, Capability, NoFacts, Verdict};
use super::{Context, Stop};
use crate::wire::{CapabilityManifest, Operation, Rate, Task, TaskResult};

/// A future that borrows its capability.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Result<TaskResult, Stop>> + Send + 'a>>;

/// A capability as a session sees it.
pub(crate) trait Offer: Send + Sync {
    /// What is registered.
    fn manifest(&self) -> CapabilityManifest;

    /// Performs the task's operation.
    fn answer<'a>(&'a self, cx: &'a Context, task: &'a Task) -> Answering<'a>;
}

/// A [`Capability`] behind [`Offer`].
pub(crate) struct Typed<C>(pub(crate) C);

impl<C: Capability> Offer for Typed<C> {
    fn manifest(&self) -> CapabilityManifest {
        let facts = (TypeId::of::<C::Facts>() != TypeId::of::<NoFacts>()).then(output_schema::<C::Facts>);
        manifest(
            C::NAME,
            C::OPERATIONS,
            self.0.about(),
            [input_schema::<C::Input>(), output_schema::<C::Output>()],
            facts,
        )
    }

    fn answer<'a>(&'a self, cx: &'a Context, task: &'a Task) -> Answering<'a> {
        Box::pin(async move {
            let input = read::<C::Input>("input", &task.input)?;
            match task.operation {
                Operation::Produce => {
                    let output = self.0.produce(cx, input).await?;
                    Ok(TaskResult::produced(&task.id, task.attempt, write("output", output)?))
                }
                Operation::Find => match self.0.find(cx, input).await? {
                    Some(output) => Ok(TaskResult::found(&task.id, task.attempt, write("output", output)?)),
                    None => Ok(TaskResult::found_nothing(&task.id, task.attempt, None)),
                },
                Operation::Check => {
                    let output = read::<C::Output>("output", task.output.as_ref().unwrap_or(&Value::Null))?;
                    checked(task, self.0.check(cx, input, output).await?)
                }
                Operation::Undo => {
                    let output =
                        task.output.as_ref().map(|output| read::<C::Output>("output", output)).transpose()?;
                    self.0.undo(cx, input, output).await?;
                    Ok(TaskResult::undone(&task.id, task.attempt))
                }
                Operation::Unknown(_) => Err(unknown_operation()),
            }
        })
    }
}

/// Puts a manifest together; `schemas` are those of input and output.
pub(crate) fn manifest(
    name: &str,
    operations: &[Operation],
    about: About,
    schemas: [Value; 2],
    facts: Option<Value>,
) -> CapabilityManifest {
    let [input, output] = schemas;
    CapabilityManifest {
        name: name.to_owned(),
        description: about.description,
        input,
        output,
        facts,
        operations: operations.to_vec(),
        reusable: about.reusable,
        timeout_s: about.timeout_s,
        concurrency: about.concurrency,
        rate: about.rate_per_s.map(Rate::new),
        fresh_for_s: about.fresh_for_s,
        settle_s: about.settle_s,
        retry: about.retry,
        labels: about.labels,
    }
}

/// The result of a check that came to a verdict.
pub(crate) fn checked<F: Serialize>(task: &Task, verdict: Verdict<F>) -> Result<TaskResult, Stop> {
    let facts = verdict.facts.map(|facts| write("facts", facts)).transpose()?;
    Ok(TaskResult::checked(&task.id, task.attempt, verdict.verdict, facts, verdict.message))
}

/// The answer to an operation of a newer server.
pub(crate) fn unknown_operation() -> Stop {
    Stop::reject(
        "unknown_operation",
        "this release of the SDK does not know the operation; update the supplier",
    )
}

/// JSON Schema 2020-12 of what `T` reads.
pub(crate) fn input_schema<T: JsonSchema>() -> Value {
    schema_of::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

/// JSON Schema 2020-12 of what `T` writes.
pub(crate) fn output_schema<T: JsonSchema>() -> Value {
    schema_of::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    // The name of a Rust type says nothing to a tester, and renaming it must not make a new version.
    schema.remove("title");
    schema.to_value()
}

fn read<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, Stop> {
    T::deserialize(value).map_err(|error| {
        Stop::reject(
            "unreadable",
            format!("the {what} of the task does not fit this supplier's types: {error}"),
        )
    })
}

fn write<T: Serialize>(what: &str, value: T) -> Result<Value, Stop> {
    serde_json::to_value(value)
        .map_err(|error| Stop::reject("unwritable", format!("the {what} cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(serde::Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only its schema matters")]
    struct Input {
        /// Where the customer lives.
        country: String,
        #[serde(default)]
        lines: u32,
        note: Option<String>,
    }

    #[derive(Serialize, serde::Deserialize, JsonSchema)]
    struct Output {
        #[schemars(extend("x-entity" = "account"))]
        account_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-secret" = true))]
        pin: Option<String>,
    }

    #[test]
    fn the_schema_of_an_input_says_what_may_be_left_out() {
        let schema = input_schema::<Input>();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["required"], json!(["country"]));
        assert_eq!(schema["properties"]["country"]["description"], "Where the customer lives.");
        assert_eq!(schema.get("title"), None);
    }

    #[test]
    fn the_schema_of_an_output_keeps_entities_and_secrets() {
        let schema = output_schema::<Output>();
        assert_eq!(schema["required"], json!(["account_id"]));
        assert_eq!(schema["properties"]["account_id"]["x-entity"], "account");
        assert_eq!(schema["properties"]["pin"]["x-secret"], true);
    }
}

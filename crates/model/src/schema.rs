//! Schemas: what a value must look like, in JSON Schema 2020-12 with local references only.
//!
//! A schema comes from people and machines that we do not know. It is measured without recursion, its references and
//! patterns are checked, and the work that a value can cause is calculated before the library compiles it. Compiled once,
//! it is shared. Marks of our own are understood: `"x-entity": "customer"`, and `"x-secret"`, `"x-selectable"` and
//! `"x-volatile"` with `true`.

mod canonical;
mod graph;
pub(crate) mod keywords;
mod marks;
mod measure;
mod messages;
mod naming;
mod parse;
mod read;
mod selecting;
mod unread;

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use crate::fault::Fault;
use crate::limits::{
    ENTITIES, ENTITY_KEY_BYTES, FAULTS_MAX, INSTANCE_BYTES, INSTANCE_DEPTH, INSTANCE_NODES, KEY_BYTES,
    PATTERN_WORK, SCHEMA_CHAIN, SCHEMA_EVALUATIONS, SCHEMA_EXPLAINED,
};

pub(crate) use canonical::canonical;
pub use canonical::canonical_json;
use graph::Graph;
use measure::{Bounds, Size};
pub(crate) use read::target;

/// A compiled schema; a clone shares it.
#[derive(Clone)]
pub struct Schema(Arc<Compiled>);

struct Compiled {
    document: Value,
    canonical: String,
    validator: jsonschema::Validator,
    graph: Graph,
    /// What it costs to match one byte of text with all patterns.
    pattern_work: usize,
    warnings: Vec<Fault>,
}

/// A thing in a service that a value refers to: the customer with the key 42.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity {
    /// What kind of thing, in the words of the schema: `customer`.
    pub kind: String,
    /// Its key, as text.
    pub key: String,
}

const INSTANCE: Bounds = Bounds {
    what: "the value",
    depth: INSTANCE_DEPTH,
    nodes: INSTANCE_NODES,
    bytes: INSTANCE_BYTES,
    key_bytes: KEY_BYTES,
};

impl Schema {
    /// Compiles a schema, or says everything that is wrong with it; pointers lead into the schema.
    pub fn parse(document: &Value) -> Result<Self, Vec<Fault>> {
        parse::parse(document).map(|compiled| Self(Arc::new(compiled)))
    }

    /// Accepts everything.
    pub fn any() -> Self {
        static ANY: LazyLock<Schema> =
            LazyLock::new(|| Schema::parse(&Value::Bool(true)).expect("true is a schema"));
        ANY.clone()
    }

    /// Accepts the object without properties: the input of a contract that needs none.
    pub fn empty_object() -> Self {
        static EMPTY: LazyLock<Schema> = LazyLock::new(|| {
            Schema::parse(&json!({"type": "object", "additionalProperties": false}))
                .expect("an object without properties is a schema")
        });
        EMPTY.clone()
    }

    /// The schema as it was given.
    pub fn document(&self) -> &Value {
        &self.0.document
    }

    /// What is allowed but probably not meant: a default that breaks its own schema, a keyword that nobody knows.
    pub fn warnings(&self) -> &[Fault] {
        &self.0.warnings
    }

    /// The schema as text, the same for every way of writing it: members sorted, sets sorted, annotations for people left
    /// out.
    pub fn canonical(&self) -> &str {
        &self.0.canonical
    }

    /// Says what is wrong with a value; empty when it is valid. Pointers lead into the value; at most 50 faults.
    pub fn validate(&self, instance: &Value) -> Vec<Fault> {
        let size = match measure::measure(instance, &INSTANCE) {
            Ok(size) => size,
            Err(fault) => return vec![fault],
        };
        let work = self.work(size);
        if let Err(fault) = self.affordable(size, work) {
            return vec![fault];
        }
        if !self.0.validator.is_valid(instance) {
            return self.explain(instance, work);
        }
        self.check_entities(instance).err().into_iter().collect()
    }

    /// Puts the declared `default` where a property is absent, also within objects that are there.
    ///
    /// Only what always applies is followed: `properties`, `items`, `prefixItems`, `allOf` and `$ref`. The value does not
    /// have to be valid; what cannot be filled stays as it is.
    pub fn with_defaults(&self, mut instance: Value) -> Value {
        self.0.graph.fill_defaults(&mut instance);
        instance
    }

    /// The things that a value refers to, by the marks of the schema; each once, in the order of the value.
    pub fn entities(&self, instance: &Value) -> Vec<Entity> {
        self.0.graph.entities(instance)
    }

    /// The kinds of things that values may refer to, by the marks of the schema.
    pub fn entity_kinds(&self) -> Vec<&str> {
        self.0.graph.entity_kinds()
    }

    /// The value with everything that is marked as secret replaced by `"***"`.
    pub fn redacted(&self, instance: &Value) -> Value {
        self.0.graph.redacted(instance)
    }

    /// True when the schema marks anything as secret.
    pub fn has_secrets(&self) -> bool {
        self.0.graph.has_secrets()
    }

    /// The names of the properties that the schema speaks of, whatever the value is.
    pub fn property_names(&self) -> Vec<&str> {
        self.0.graph.property_names()
    }

    /// Whether a property is marked as secret itself, in any alternative.
    pub fn is_secret(&self, property: &str) -> bool {
        self.0.graph.is_secret(property)
    }

    /// Whether a property is marked as secret, or something inside of it is.
    pub fn has_secret_in(&self, property: &str) -> bool {
        self.0.graph.has_secret_in(property)
    }

    /// The value without what is marked as volatile, to be compared with another one's.
    pub(crate) fn lasting(&self, instance: &Value) -> Value {
        self.0.graph.lasting(instance)
    }

    /// What a consumer may choose a dataset by: the scalars of a value that are marked `x-selectable`, in the objects that
    /// they stand in. What stands in a list is not among them.
    pub fn selectable(&self, instance: &Value) -> Map<String, Value> {
        self.0.graph.selectable(instance)
    }

    /// The names of the properties of the object at `path` that are marked `x-selectable`, or lead to some that are.
    pub(crate) fn selectable_names(&self, path: &[&str]) -> Vec<&str> {
        self.0.graph.selectable_names(path)
    }

    /// Whether the property at `path` is marked `x-selectable` itself.
    pub(crate) fn is_selectable(&self, path: &[&str]) -> bool {
        self.0.graph.is_selectable(path)
    }

    /// Refuses values whose validation could take long or need too deep a stack, whatever they hold.
    fn affordable(&self, size: Size, work: u64) -> Result<(), Fault> {
        let chain = self.0.graph.chain(size.depth);
        let matching = self.0.pattern_work.saturating_mul(size.bytes);
        let message = if work > SCHEMA_EVALUATIONS {
            format!(
                "is too large or too deep for this schema, whose alternatives multiply: checking {} values in {} levels \
                 could take {work} steps of {SCHEMA_EVALUATIONS} allowed",
                size.nodes, size.depth
            )
        } else if chain > SCHEMA_CHAIN {
            format!(
                "is too deep for this schema: {} levels need {chain} schemas within schemas of {SCHEMA_CHAIN} allowed",
                size.depth
            )
        } else if matching > PATTERN_WORK {
            format!(
                "is too large for the patterns of this schema: {} bytes are given, {} are allowed",
                size.bytes,
                PATTERN_WORK / self.0.pattern_work.max(1)
            )
        } else {
            return Ok(());
        };
        Err(Fault::new("", "limit", message))
    }

    /// Refuses what could not be recorded: a dataset whose entities are unknown could be leased twice.
    fn check_entities(&self, instance: &Value) -> Result<(), Fault> {
        let entities = self.entities(instance);
        if entities.len() > ENTITIES {
            let message = format!("refers to {} entities; at most {ENTITIES} are allowed", entities.len());
            return Err(Fault::new("", "limit", message));
        }
        let Some(long) = entities.iter().find(|entity| entity.key.len() > ENTITY_KEY_BYTES) else {
            return Ok(());
        };
        let message = format!(
            "has a key of a {} with {} bytes; at most {ENTITY_KEY_BYTES} are allowed",
            long.kind,
            long.key.len()
        );
        Err(Fault::new("", "limit", message))
    }

    /// Says why the library refuses a value; never empty.
    fn explain(&self, instance: &Value, work: u64) -> Vec<Fault> {
        let redacted = self.has_secrets().then(|| self.redacted(instance));
        let explain = messages::Explain { schema: &self.0.document, instance, redacted: redacted.as_ref() };
        let mut faults = Vec::new();
        if work > SCHEMA_EXPLAINED {
            faults.extend(
                self.0.validator.validate(instance).err().iter().flat_map(|error| explain.faults(error)),
            );
        } else {
            for error in self.0.validator.iter_errors(instance) {
                faults.extend(explain.faults(&error));
                if faults.len() >= FAULTS_MAX {
                    break;
                }
            }
        }
        let mut faults = told_once(faults);
        faults.truncate(FAULTS_MAX);
        if faults.is_empty() {
            faults.push(Fault::new("", "invalid", "does not satisfy the schema"));
        }
        faults
    }

    /// An upper bound for the evaluations of schemas that a value of this size can cause.
    fn work(&self, size: Size) -> u64 {
        self.0.graph.cost(size.depth).saturating_mul(size.nodes as u64)
    }
}

/// One fault for each value and reason: a value that is none of those that are listed need not be told what type they have.
fn told_once(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.dedup();
    let listed: Vec<String> = faults
        .iter()
        .filter(|fault| matches!(fault.code, "enum" | "const"))
        .map(|fault| fault.pointer.clone())
        .collect();
    faults.retain(|fault| fault.code != "type" || !listed.contains(&fault.pointer));
    faults
}

impl fmt::Debug for Schema {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Schema({})", self.0.document)
    }
}

/// Equal when they accept the same by the same words; text for people does not count.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.canonical() == other.canonical()
    }
}

#[cfg(test)]
mod tests;

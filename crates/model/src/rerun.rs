//! Reruns: whether a dataset that was made again is the same as the first one, by the facts that its services read back.
//!
//! ```text
//! parts with facts, by their way from the root
//!   in both  --without what the schema marks volatile--> equal, or different from here on
//!   in one   --> different as a whole
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::contract::Contract;
use crate::fault::join;
use crate::limits::RERUN_DIFFERENCES;
use crate::plan::Versions;
use crate::tree::{Part, Tree};

/// How the facts of a dataset that was made again relate to those of the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// They are the same.
    Equal,
    /// They are not.
    Different {
        /// Where, in the order of the ways to the parts; at most [`RERUN_DIFFERENCES`].
        differences: Vec<Difference>,
        /// How many there are beyond those.
        more: usize,
    },
    /// No service has read anything back, neither of the one nor of the other.
    Unknown,
}

/// A place in which two datasets differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// From the root's step down to the part: `ready › payment`; empty for the root.
    pub path: String,
    /// Where in the facts, as a JSON pointer.
    pub pointer: String,
    /// The part of the first dataset, when it has something there.
    pub before: Option<u32>,
    /// The part of the other one, when it has something there.
    pub after: Option<u32>,
}

/// Compares the facts of two datasets, the second of which was made as the first one was.
pub fn compare(before: &Tree, after: &Tree, versions: &dyn Versions) -> Comparison {
    let (mut before, after) = (read_back(before, versions), read_back(after, versions));
    if before.is_empty() && after.is_empty() {
        return Comparison::Unknown;
    }
    let mut found = Found::default();
    let mut pairs: Vec<(String, Option<Facts<'_>>, Option<Facts<'_>>)> = after
        .into_iter()
        .map(|(path, facts)| {
            let first = before.remove(&path);
            (path, first, Some(facts))
        })
        .collect();
    pairs.extend(before.into_iter().map(|(path, facts)| (path, Some(facts), None)));
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    for (path, first, second) in &pairs {
        found.path.clone_from(path);
        found.parts = (first.as_ref().map(Facts::number), second.as_ref().map(Facts::number));
        let value = |facts: &Option<Facts<'_>>| facts.as_ref().map(Facts::lasting);
        found.look("", value(first).as_ref(), value(second).as_ref());
    }
    if found.differences.is_empty() {
        Comparison::Equal
    } else {
        Comparison::Different { differences: found.differences, more: found.more }
    }
}

/// What the service of a part has read back.
struct Facts<'a> {
    part: &'a Part,
    value: &'a Value,
    contract: Option<Arc<Contract>>,
}

impl Facts<'_> {
    fn number(&self) -> u32 {
        self.part.part
    }

    fn lasting(&self) -> Value {
        lasting(self.contract.as_deref(), self.value)
    }
}

/// Facts without what the contract's schema marks as volatile.
pub(crate) fn lasting(contract: Option<&Contract>, facts: &Value) -> Value {
    let schema = contract.and_then(|contract| contract.capability()?.facts.as_ref());
    schema.map_or_else(|| facts.clone(), |schema| schema.lasting(facts))
}

/// The facts of everything that a capability has made, by the way to it; not those of attempts that failed, nor what it was
/// extended by under a lease. The facts of a scenario are those of its parts once more.
fn read_back<'a>(tree: &'a Tree, versions: &dyn Versions) -> BTreeMap<String, Facts<'a>> {
    let mut found = BTreeMap::new();
    for part in &tree.parts {
        let Some(value) = part.facts.as_deref() else { continue };
        let contract = versions.version(&part.contract, part.version);
        let of_scenario = contract.as_ref().is_some_and(|contract| contract.scenario().is_some());
        let is_of_it = tree.failed_attempt_at(part.part).is_none() && tree.extension_of(part.part).is_none();
        if !of_scenario && is_of_it {
            found.insert(tree.steps_to(part.part), Facts { part, value, contract });
        }
    }
    found
}

/// What was found to be different so far.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) path: String,
    /// The parts that are being compared.
    pub(crate) parts: (Option<u32>, Option<u32>),
    pub(crate) differences: Vec<Difference>,
    pub(crate) more: usize,
}

impl Found {
    pub(crate) fn look(&mut self, pointer: &str, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (Some(before), Some(after)) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                self.look_into(pointer, before, after);
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                for index in 0..before.len().max(after.len()) {
                    let inside = join(pointer, &index.to_string());
                    self.look(&inside, before.get(index), after.get(index));
                }
            }
            (before, after) => self.add(pointer, before.is_some(), after.is_some()),
        }
    }

    fn look_into(&mut self, pointer: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
        let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            self.look(&join(pointer, name), before.get(name), after.get(name));
        }
    }

    fn add(&mut self, pointer: &str, before: bool, after: bool) {
        if self.differences.len() >= RERUN_DIFFERENCES {
            self.more += 1;
            return;
        }
        self.differences.push(Difference {
            path: self.path.clone(),
            pointer: pointer.to_owned(),
            before: self.parts.0.filter(|_| before),
            after: self.parts.1.filter(|_| after),
        });
    }
}

//! Compatibility: whether those who depend on a contract can go on when it changes.
//!
//! ```text
//! no contract before --> new
//! same fingerprint   --> same: description, labels, owner and limits change in place
//! everything that was accepted still is, everything that was promised still is --> compatible: the next version
//! anything else, and whatever cannot be proven --> breaking: the next version, and who it breaks is told
//! ```

mod bounds;
mod definition;
mod flat;
mod subset;

use serde_json::{Value, json};

use crate::contract::{Contract, ContractBody, Operations};
use crate::schema::{Schema, canonical_json};

use definition::definition;
use subset::{Findings, Side};

/// What a new definition means for those who depend on the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There was none before.
    New,
    /// Nothing that others depend on has changed.
    Same,
    /// Everybody can go on; what has changed, for people.
    Compatible(Vec<Change>),
    /// Somebody may not be able to go on; why.
    Breaking(Vec<Change>),
}

/// One change of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where, as a JSON pointer into the new definition with its references followed: `/input/properties/country`. Empty
    /// when there is no one place.
    pub pointer: String,
    /// What has changed, for people.
    pub message: String,
}

impl Verdict {
    /// The name on the wire and in the store.
    pub fn name(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Same => "same",
            Self::Compatible(_) => "compatible",
            Self::Breaking(_) => "breaking",
        }
    }
}

/// Equal for definitions that are the same to everybody who depends on them: BLAKE3 over their canonical text, in hex.
pub fn fingerprint(contract: &Contract) -> String {
    let mut essence = json!({
        "kind": contract.kind().name(),
        "input": contract.input.canonical(),
        "output": contract.output.canonical(),
    });
    match &contract.body {
        ContractBody::Capability(capability) => {
            essence["facts"] =
                capability.facts.as_ref().map_or(Value::Null, |facts| facts.canonical().into());
            essence["operations"] = capability.operations.names().into();
            essence["reusable"] = capability.reusable.into();
        }
        ContractBody::Scenario(scenario) => essence["definition"] = definition(scenario),
    }
    blake3::hash(canonical_json(&essence).as_bytes()).to_hex().to_string()
}

/// Compares two versions of one contract.
pub fn compare(old: &Contract, new: &Contract) -> Verdict {
    if fingerprint(old) == fingerprint(new) {
        return Verdict::Same;
    }
    let mut findings = Findings::default();
    subset::compare(Side::Input, "/input", (&old.input, &new.input), &mut findings);
    subset::compare(Side::Output, "/output", (&old.output, &new.output), &mut findings);
    match (&old.body, &new.body) {
        (ContractBody::Capability(old), ContractBody::Capability(new)) => {
            compare_facts(old.facts.as_ref(), new.facts.as_ref(), &mut findings);
            compare_operations(old.operations, new.operations, &mut findings);
            match (old.reusable, new.reusable) {
                (true, false) => findings.breaks("/reusable", "a dataset can no longer be handed out again"),
                (false, true) => findings.note("/reusable", "datasets can be handed out again"),
                _ => {}
            }
        }
        (ContractBody::Scenario(old), ContractBody::Scenario(new)) => {
            if definition(old) != definition(new) {
                findings.note("", "the steps, bindings or invariants changed");
            }
        }
        (_, _) => {
            let (was, is) = (old.kind().name(), new.kind().name());
            findings.breaks("", &format!("it was a {was} and is a {is}"));
        }
    }
    match findings {
        Findings { breaks, .. } if !breaks.is_empty() => Verdict::Breaking(breaks),
        Findings { notes, .. } if notes.is_empty() => {
            let message = "written differently; everything that was accepted and promised still is";
            Verdict::Compatible(vec![Change { pointer: String::new(), message: message.to_owned() }])
        }
        Findings { notes, .. } => Verdict::Compatible(notes),
    }
}

fn compare_facts(old: Option<&Schema>, new: Option<&Schema>, findings: &mut Findings) {
    match (old, new) {
        (Some(old), Some(new)) => subset::compare(Side::Output, "/facts", (old, new), findings),
        (Some(_), None) => findings.breaks("/facts", "facts are no longer declared"),
        (None, Some(_)) => findings.note("/facts", "facts are declared"),
        (None, None) => {}
    }
}

fn compare_operations(old: Operations, new: Operations, findings: &mut Findings) {
    for operation in old.names().iter().filter(|operation| !new.names().contains(operation)) {
        findings.breaks("/operations", &format!("\"{operation}\" is no longer offered"));
    }
    for operation in new.names().iter().filter(|operation| !old.names().contains(operation)) {
        findings.note("/operations", &format!("\"{operation}\" is offered"));
    }
}

#[cfg(test)]
mod tests;

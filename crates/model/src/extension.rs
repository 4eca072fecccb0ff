//! Extensions: a leased dataset is advanced by one more contract, for as long as it is leased.
//!
//! ```text
//! under way -> ready
//!     |
//!     +------> failed: what it has made is undone, and the rest stays leased
//! ```
//!
//! What an extension makes is a part of the tree, directly below the root. It is made from what the dataset hands on, is
//! checked with the rest, and is undone with the tree when the lease ends, also when it is under way at that moment.

use std::sync::Arc;

use serde_json::Value;

use crate::contract::Contract;
use crate::failure::Failure;
use crate::fault::Fault;
use crate::limits::{EXTENSIONS, TREE_PARTS};
use crate::tree::{Part, PartStatus, Tree};

/// How far an extension has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Extension {
    /// It is being made, or checked with the rest; or the lease has ended before that was over.
    UnderWay,
    /// It is made, and the services agreed with it.
    Ready,
    /// It could not be made, or the services did not come to agree with it.
    Failed(Box<Failure>),
}

/// Why a dataset cannot be extended now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotExtended {
    /// It is in nobody's hands.
    NotLeased,
    /// It is being extended by this part.
    Extending(u32),
    /// It has been extended as often as it may be.
    TooMany,
    /// It has as many parts as it may have.
    TooLarge,
}

impl Part {
    /// Whether the dataset was to be extended by it, in vain.
    pub fn is_failed_extension(&self) -> bool {
        matches!(self.extension, Some(Extension::Failed(_)))
    }
}

impl Tree {
    /// The parts that it was extended by, the oldest first, those that failed included.
    pub fn extensions(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.extension.is_some())
    }

    /// The part that it is being extended by.
    pub fn extension_under_way(&self) -> Option<u32> {
        let leased = self.ending.is_none() && self.root().status == PartStatus::Leased;
        let under_way = |part: &&Part| part.extension == Some(Extension::UnderWay);
        self.parts.iter().rfind(under_way).filter(|_| leased).map(|part| part.part)
    }

    /// The extension that a part is, or is below of.
    pub fn extension_of(&self, part: u32) -> Option<u32> {
        std::iter::successors(Some(part), |at| self.parts[*at as usize].parent)
            .find(|at| self.parts[*at as usize].extension.is_some())
    }

    /// Whether it can be extended now, or why not.
    pub fn may_be_extended(&self) -> Result<(), NotExtended> {
        if self.ending.is_some() || self.root().status != PartStatus::Leased {
            Err(NotExtended::NotLeased)
        } else if let Some(part) = self.extension_under_way() {
            Err(NotExtended::Extending(part))
        } else if self.extensions().count() >= EXTENSIONS {
            Err(NotExtended::TooMany)
        } else if self.parts.len() >= TREE_PARTS {
            Err(NotExtended::TooLarge)
        } else {
            Ok(())
        }
    }
}

/// What an extension is made from: what was given; where that leaves a property out, the value that the dataset hands on
/// under the same name, if it fits; then defaults. `handed_on` is the contract that the dataset is made of, and its output.
///
/// A value that is a secret of the dataset goes only where the extension keeps it as one.
pub fn extension_input(
    contract: &Contract,
    handed_on: (&Contract, &Value),
    given: Value,
) -> Result<Arc<Value>, Vec<Fault>> {
    let Value::Object(given) = given else {
        return accepted(contract, contract.input.with_defaults(given));
    };
    let (from, output) = handed_on;
    // A scenario that was never type-checked hands on nobody knows what.
    let hides_all = from.scenario().is_some() && *from.output.document() == true;
    let mut taken: Vec<(&str, &Value)> = contract
        .input
        .property_names()
        .into_iter()
        .filter(|name| !given.contains_key(*name))
        .filter(|name| !(hides_all || from.output.has_secret_in(name)) || contract.input.is_secret(name))
        .filter_map(|name| Some((name, output.get(name)?)))
        .collect();
    loop {
        let mut input = given.clone();
        input.extend(taken.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())));
        let input = contract.input.with_defaults(Value::Object(input));
        let faults = match accepted(contract, input) {
            Ok(input) => return Ok(input),
            Err(faults) => faults,
        };
        let before = taken.len();
        taken.retain(|(name, _)| !faults.iter().any(|fault| fault.is_about(name)));
        // What was given is at fault, or what is lacking.
        if taken.len() == before {
            return Err(faults);
        }
    }
}

fn accepted(contract: &Contract, input: Value) -> Result<Arc<Value>, Vec<Fault>> {
    let faults = contract.input.validate(&input);
    if faults.is_empty() { Ok(Arc::new(input)) } else { Err(faults) }
}

//! Scenarios: contracts composed of other contracts, declared in a file of steps, bindings and invariants.
//!
//! ```text
//! text --parse--> Draft --typecheck::check--> Scenario --into_contract--> Contract
//! ```
//!
//! A draft has the right form, and knows where everything stands in its file. A scenario has been checked against the
//! contracts that it uses, and is what the planner runs.

pub(crate) mod literals;
mod read;
#[cfg(test)]
mod tests;
mod unchecked;

pub(crate) use read::read_tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::{Contract, ContractBody, Owner, RetryPolicy};
use crate::diagnostic::{Diagnostic, Place, Position};
use crate::expression::Expression;
use crate::name::ContractName;
use crate::schema::Schema;
use crate::template::Template;

/// A checked scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The contract that the scenario fulfils.
    pub name: ContractName,
    /// Who owns it.
    pub owner: Owner,
    /// What it is for.
    pub description: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// What a request may ask for.
    pub input: Schema,
    /// What `output` comes to, derived from the contracts of the steps.
    pub output_schema: Schema,
    /// The steps; a step comes after all those that it depends on.
    pub steps: Vec<Step>,
    /// What must hold over the facts of all parts.
    pub invariants: Vec<Invariant>,
    /// What the consumer gets.
    pub output: Template,
    /// How long the services get to agree after the last step, in seconds.
    pub settle_s: u32,
    /// The longest time for the whole scenario, in seconds.
    pub timeout_s: Option<u32>,
    /// The file as it was applied.
    pub source: String,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// One step of a scenario.
#[derive(Clone, Debug)]
pub struct Step {
    /// The name of the step within the scenario.
    pub name: String,
    /// The contract that it asks for.
    pub uses: ContractName,
    /// The input that it gives.
    pub with: Template,
    /// The steps that must be there first, each once.
    pub depends_on: Vec<String>,
    /// The step is skipped unless this is true.
    pub condition: Option<Expression>,
    /// A list; one dataset is made for each value.
    pub for_each: Option<Expression>,
    /// When an attempt that failed is made again. For a capability in place of its own rule; a scenario is taken down
    /// and made anew as a whole, and only when its step says so.
    pub retry: Option<RetryPolicy>,
    /// How long the step may take from its beginning until its dataset is there, all attempts and pauses included, in
    /// seconds; each dataset of a `for_each` for itself.
    pub timeout_s: Option<u32>,
    /// Where the dataset may come from.
    pub from: Source,
}

/// Where the dataset of a step may come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// From stock when something fits, else made.
    #[default]
    StockFirst,
    /// Always made.
    Fresh,
}

/// A condition over the facts of all parts, and what it means.
#[derive(Clone, Debug)]
pub struct Invariant {
    /// The condition.
    pub that: Expression,
    /// What it says, for people.
    pub says: String,
}

impl Scenario {
    /// The contracts that the steps use, in the order of the steps; one may occur several times.
    pub fn uses(&self) -> impl Iterator<Item = &ContractName> {
        self.steps.iter().map(|step| &step.uses)
    }

    /// The step of this name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// The contract that the catalogue lists for this scenario.
    pub fn into_contract(self, version: u32) -> Contract {
        Contract {
            name: self.name.clone(),
            version,
            description: self.description.clone(),
            owner: self.owner.clone(),
            labels: self.labels.clone(),
            input: self.input.clone(),
            output: self.output_schema.clone(),
            body: ContractBody::Scenario(Arc::new(self)),
        }
    }
}

/// Reads a scenario file; reports everything that is wrong with its form at once.
pub fn parse(file: &str, text: &str) -> Result<Draft, Vec<Diagnostic>> {
    match read::read(file, text) {
        (Some(draft), diagnostics) if diagnostics.is_empty() => Ok(draft),
        (_, diagnostics) => Err(diagnostics),
    }
}

/// What tells one text of a scenario from another: 16 hexadecimal digits.
pub fn mark(text: &str) -> String {
    let mut mark = blake3::hash(text.as_bytes()).to_hex().to_string();
    mark.truncate(16);
    mark
}

/// Like [`parse`], from the bytes of a file.
pub fn parse_bytes(file: &str, bytes: &[u8]) -> Result<Draft, Vec<Diagnostic>> {
    parse(file, decode(file, bytes)?)
}

/// The text of a file; only UTF-8 is taken.
pub fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Vec<Diagnostic>> {
    std::str::from_utf8(bytes).map_err(|_| {
        let found = Diagnostic::new(file, Position::default(), "encoding", "the file is not UTF-8");
        vec![found.hint("save it as UTF-8")]
    })
}

/// Reads as much of a file as can be understood, for the type checker to go on with; and what is wrong with its form.
pub fn read_draft(file: &str, text: &str) -> (Option<Draft>, Vec<Diagnostic>) {
    read::read(file, text)
}

/// A scenario as it is written in a file, not yet checked against any contract.
#[derive(Debug)]
pub struct Draft {
    pub(crate) file: String,
    pub(crate) source: String,
    pub(crate) name: ContractName,
    /// Whether that name stands in the file.
    pub(crate) is_named: bool,
    pub(crate) owner: Owner,
    pub(crate) description: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) input: Schema,
    pub(crate) steps: Vec<DraftStep>,
    /// Every name under `steps`, also of those that could not be read.
    pub(crate) step_names: Vec<String>,
    pub(crate) invariants: Vec<DraftInvariant>,
    pub(crate) output: Template,
    pub(crate) settle_s: u32,
    pub(crate) timeout_s: Option<u32>,
    /// What is allowed and probably not meant, as far as the file alone shows it.
    pub(crate) warnings: Vec<Diagnostic>,
}

#[derive(Debug)]
pub(crate) struct DraftStep {
    pub(crate) name: String,
    pub(crate) position: Position,
    pub(crate) uses: Located<ContractName>,
    pub(crate) with: Template,
    pub(crate) needs: Vec<Located<String>>,
    pub(crate) condition: Option<Located<Expression>>,
    pub(crate) for_each: Option<Located<Expression>>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) timeout_s: Option<u32>,
    pub(crate) from: Source,
}

#[derive(Debug)]
pub(crate) struct DraftInvariant {
    pub(crate) that: Located<Expression>,
    pub(crate) says: String,
}

/// Something, and where it stands in the file.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl Draft {
    /// The contract that the scenario is to fulfil; a stand-in when the file does not say.
    pub fn name(&self) -> &ContractName {
        &self.name
    }

    /// Whether the file says which contract the scenario is to fulfil.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// The contracts that the steps use.
    pub fn uses(&self) -> impl Iterator<Item = &ContractName> {
        self.steps.iter().map(|step| &step.uses.value)
    }
}

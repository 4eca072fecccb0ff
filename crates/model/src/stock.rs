//! Stock rules: which datasets are kept ready before anybody asks, how many of them, and how fresh.
//!
//! ```text
//! text, JSON --read--> RuleDraft --into_rule--> StockRule --faults--> fits the catalogue, or why not
//!
//! active <--pause, resume--> paused
//!    ^ '------drain------.      |
//!    |                   v      | drain
//!    '-----resume----- draining <
//! ```
//!
//! An *active* rule is refilled whenever its window is open. A *paused* one is not refilled; what it has is kept, checked
//! and handed out. A *draining* one gets rid of what it has as well.
//!
//! A rule is checked against the catalogue when it is put and again whenever a contract changes; one that no longer fits
//! stays as it is, and says why.

mod history;
mod keeping;
mod matching;
mod reading;
#[cfg(test)]
mod tests;
mod window;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::contract::Contract;
use crate::fault::Fault;
use crate::name::{ContractName, NameError, segment};
use crate::text::nearest;

pub use history::{History, HistoryGrid, LevelSample, LevelSpan, LineCounts};
pub use keeping::{Keeping, Line, pause_ms};
pub use matching::{matches, prefers, selects};
pub(crate) use reading::read_tree;
pub use reading::{RuleDraft, RuleEdit, Sketch, StockFile};
pub use window::Window;

/// What a rule is called in its environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName(String);

impl RuleName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for RuleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        segment("the name of a stock rule", text)?;
        Ok(Self(text.to_owned()))
    }
}

/// A wish for datasets of one contract and input to be ready at any time.
#[derive(Debug, Clone, PartialEq)]
pub struct StockRule {
    /// What it is called.
    pub name: RuleName,
    /// What is kept in stock, always in its newest version.
    pub contract: ContractName,
    /// What the datasets are made from, as it was written: defaults are filled in when they are made.
    pub input: Arc<Value>,
    /// How many are kept ready.
    pub target: u32,
    /// How old a dataset may get in stock, in seconds; `None` when it does not age.
    pub max_age_s: Option<u32>,
    /// How often a dataset in stock is checked, in seconds; `None` leaves it to hand-over.
    pub check_every_s: Option<u32>,
    /// Which rule is refilled first: 0 to 100, the highest first.
    pub priority: u8,
    /// Whether it is refilled.
    pub state: RuleState,
    /// When it is refilled; `None` is at any time.
    pub window: Option<Window>,
}

/// Whether a rule is refilled, and what becomes of what it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RuleState {
    /// It is refilled.
    #[default]
    Active,
    /// It is not refilled; what is there stays.
    Paused,
    /// It is not refilled, and what is there is undone.
    Draining,
}

impl RuleState {
    /// Every state with its name on the wire.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Active, "active"), (Self::Paused, "paused"), (Self::Draining, "draining")];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}

impl StockRule {
    /// The rule with what a person has changed about it while it is at work.
    pub fn edited(&self, edit: RuleEdit) -> Self {
        Self {
            target: edit.target.unwrap_or(self.target),
            state: edit.state.unwrap_or(self.state),
            ..self.clone()
        }
    }

    /// What the datasets are made from, with the contract's defaults filled in.
    pub fn full_input(&self, contract: &Contract) -> Value {
        contract.input.with_defaults(self.input.as_ref().clone())
    }

    /// What its author should know: that it keeps more than may ever be handed out at once, which is so many leases.
    pub fn warnings(&self, leases: u64) -> Vec<Fault> {
        if u64::from(self.target) <= leases {
            return Vec::new();
        }
        let message = format!(
            "is more than all tokens of the environment together may have leased at one time, which is {leases} \
             (`limits.leases_per_environment`): what is beyond that cannot be handed out before something is given back"
        );
        vec![Fault::new("/target", "beyond_quota", message)]
    }

    /// Why the rule cannot be filled with what is on offer; empty when it can. Pointers lead into the rule.
    pub fn faults(&self, offered: &Catalogue) -> Vec<Fault> {
        let Some(entry) = offered.get(&self.contract) else {
            return vec![unknown_contract(&self.contract, offered)];
        };
        let mut faults = Vec::new();
        if !entry.faults.is_empty() {
            let message = format!(
                "{} no longer fits the contracts that it uses; it has to be applied anew",
                self.contract
            );
            faults.push(Fault::new("/contract", "contract_broken", message));
        }
        let broken = entry.contract.input.validate(&self.full_input(&entry.contract));
        faults.extend(broken.into_iter().map(|fault| fault.under("/input")));
        if let Some(window) = &self.window {
            faults.extend(window.faults().iter().cloned().map(|fault| fault.under("/window")));
        }
        faults
    }
}

fn unknown_contract(name: &ContractName, offered: &Catalogue) -> Fault {
    let names: Vec<String> = offered.iter().map(|entry| entry.contract.name.to_string()).collect();
    let hint = match nearest(&name.to_string(), names.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Fault::new("/contract", "unknown_contract", format!("there is no contract {name}{hint}"))
}

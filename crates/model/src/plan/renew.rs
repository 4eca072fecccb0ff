//! Renewing: a dataset that was made by an older version of a contract is held against the one that is offered now.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Plan;
use super::bind::list;
use super::steps::Steps;
use crate::contract::Contract;
use crate::tree::PartStatus;

impl Plan<'_> {
    /// Takes the versions that are offered now for those that the dataset was made with, as far as it fits them: what it
    /// was made from and what was made are valid, and a scenario has the same steps. Says what does not fit.
    pub(super) fn renew(&mut self) -> Result<(), String> {
        // Parts before what they are parts of, because a scenario's output is bound from its steps.
        for number in self.below(0).into_iter().rev() {
            if self.part(number).status != PartStatus::Skipped {
                self.renew_part(number)?;
            }
        }
        let root = self.contract(0).ok_or_else(|| gone(&self.part(0).contract.to_string()))?;
        let pins = super::pins_of(&root, self.world.versions, &BTreeMap::new());
        if *self.tree.pins != pins {
            self.tree.pins = Arc::new(pins);
            self.pins_changed = true;
        }
        Ok(())
    }

    fn renew_part(&mut self, number: u32) -> Result<(), String> {
        let part = self.part(number);
        let name = part.contract.to_string();
        let contract = self.world.versions.current(&part.contract).ok_or_else(|| gone(&name))?;
        if contract.version == part.version && contract.scenario().is_none() {
            return Ok(());
        }
        let faults = contract.input.validate(&part.input);
        if !faults.is_empty() {
            return Err(format!(
                "what {name} was made from does not fit version {}: {}",
                contract.version,
                list(&faults)
            ));
        }
        let output = match contract.scenario() {
            Some(_) => Arc::new(self.bind_anew(number, &contract)?),
            None => part.output.clone().ok_or_else(|| format!("nothing of {name} was made"))?,
        };
        let faults = contract.output.validate(&output);
        if !faults.is_empty() {
            return Err(format!(
                "what {name} has made does not fit version {}: {}",
                contract.version,
                list(&faults)
            ));
        }
        if part.version != contract.version || part.output.as_ref() != Some(&output) {
            let node = self.change(number);
            node.version = contract.version;
            node.output = Some(output);
        }
        Ok(())
    }

    fn bind_anew(&self, number: u32, contract: &Arc<Contract>) -> Result<serde_json::Value, String> {
        let scenario = contract.scenario().expect("the caller asks about a scenario");
        let name = &contract.name;
        let steps = Steps::of(self, number, scenario);
        for step in &scenario.steps {
            let parts = steps.parts(&step.name);
            if parts.is_empty() || parts.iter().any(|part| self.part(*part).contract != step.uses) {
                return Err(format!("{name} version {} has another step `{}`", contract.version, step.name));
            }
        }
        let known = |part: u32| scenario.steps.iter().any(|step| step.name == self.part(part).step);
        if let Some(other) = self.children(number).find(|part| !known(*part)) {
            let step = &self.part(other).step;
            return Err(format!("{name} version {} has no step `{step}` any more", contract.version));
        }
        self.bind_output(number, contract, &steps)
    }
}

fn gone(name: &str) -> String {
    format!("{name} is not offered any more")
}

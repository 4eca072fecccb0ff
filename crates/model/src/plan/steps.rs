//! Steps: which parts a scenario has for each of its steps, gathered once for each look at it.

use std::collections::HashMap;

use super::Plan;
use crate::scenario::{Scenario, Step};
use crate::tree::PartStatus;

/// The steps of one scenario part.
pub(super) struct Steps<'s> {
    scenario: &'s Scenario,
    /// Where each step stands in the scenario.
    places: HashMap<&'s str, usize>,
    /// The parts of each step; none as long as it has not begun.
    parts: Vec<Vec<u32>>,
    /// Whether all parts of each step are there, or not needed.
    there: Vec<bool>,
}

impl<'s> Steps<'s> {
    pub(super) fn of(plan: &Plan<'_>, part: u32, scenario: &'s Scenario) -> Self {
        let places: HashMap<&str, usize> =
            scenario.steps.iter().enumerate().map(|(place, step)| (step.name.as_str(), place)).collect();
        let count = scenario.steps.len();
        let mut steps = Self { scenario, places, parts: vec![Vec::new(); count], there: vec![false; count] };
        for child in plan.children(part) {
            if let Some(place) = steps.places.get(plan.part(child).step.as_str()).copied() {
                steps.there[place] =
                    is_there(plan, child) && (steps.there[place] || steps.parts[place].is_empty());
                steps.parts[place].push(child);
            }
        }
        steps
    }

    /// The steps that have not begun and wait for nothing any more, from one place on.
    pub(super) fn next_to_begin(&self, from: usize) -> Option<(usize, &'s Step)> {
        let steps = self.scenario.steps.iter().enumerate().skip(from);
        let there = |name: &String| self.places.get(name.as_str()).is_some_and(|place| self.there[*place]);
        steps
            .into_iter()
            .find(|(place, step)| self.parts[*place].is_empty() && step.depends_on.iter().all(there))
    }

    /// Takes in the parts with which a step has begun.
    pub(super) fn begun(&mut self, plan: &Plan<'_>, place: usize, parts: Vec<u32>) {
        self.there[place] = parts.iter().all(|part| is_there(plan, *part));
        self.parts[place] = parts;
    }

    /// The parts of a step.
    pub(super) fn parts(&self, step: &str) -> &[u32] {
        self.places.get(step).map_or(&[], |place| &self.parts[*place])
    }

    pub(super) fn all_there(&self) -> bool {
        self.there.iter().all(|there| *there)
    }
}

fn is_there(plan: &Plan<'_>, part: u32) -> bool {
    matches!(plan.part(part).status, PartStatus::Ready | PartStatus::Skipped)
}

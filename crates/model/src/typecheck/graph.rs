//! The graph of a scenario: what waits for what, in which order, and what goes round in circles.

use std::collections::{HashMap, HashSet};

use super::Contracts;
use crate::contract::Contract;
use crate::diagnostic::{Diagnostic, Position};
use crate::limits::SCENARIO_NESTING;
use crate::name::ContractName;
use crate::scenario::{Draft, DraftStep};

/// One step waits for another, because of something at a position.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) to: String,
    pub(super) at: Position,
}

/// What a step waits for, each step once, in the order of the file.
pub(super) fn edges(draft: &Draft, step: &DraftStep) -> Vec<Edge> {
    let mut edges: Vec<Edge> = Vec::new();
    let mut open: HashSet<&str> = draft.step_names.iter().map(String::as_str).collect();
    let mut add = |name: &str, at: Position| {
        if open.remove(name) {
            edges.push(Edge { to: name.to_owned(), at });
        }
    };
    step.with.root.walk(&mut |expression, place| {
        expression.steps().into_iter().for_each(|name| add(name, place.position));
    });
    for located in step.condition.iter().chain(&step.for_each) {
        located.value.steps().into_iter().for_each(|name| add(name, located.place.position));
    }
    step.needs.iter().for_each(|need| add(&need.value, need.place.position));
    edges
}

/// The steps in an order in which each comes after those that it waits for; or every circle.
pub(super) fn order(draft: &Draft, edges: &HashMap<&str, Vec<Edge>>) -> Result<Vec<usize>, Vec<Diagnostic>> {
    let mut walk = Walk {
        draft,
        edges,
        state: HashMap::new(),
        path: Vec::new(),
        order: Vec::new(),
        circles: Vec::new(),
    };
    for step in &draft.steps {
        walk.visit(&step.name);
    }
    if walk.circles.is_empty() { Ok(walk.order) } else { Err(walk.circles) }
}

/// A depth-first walk; it goes at most as deep as there may be steps.
struct Walk<'a> {
    draft: &'a Draft,
    edges: &'a HashMap<&'a str, Vec<Edge>>,
    state: HashMap<&'a str, bool>,
    path: Vec<&'a str>,
    order: Vec<usize>,
    circles: Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, name: &'a str) {
        let edges: &'a HashMap<&'a str, Vec<Edge>> = self.edges;
        let (Some(index), Some(next)) =
            (self.draft.steps.iter().position(|step| step.name == name), edges.get(name))
        else {
            return;
        };
        if self.state.contains_key(name) {
            return;
        }
        self.state.insert(name, false);
        self.path.push(name);
        for edge in next {
            if self.state.get(edge.to.as_str()) == Some(&false) {
                self.circle(&edge.to, edge.at);
            } else {
                self.visit(&edge.to);
            }
        }
        self.path.pop();
        self.state.insert(name, true);
        self.order.push(index);
    }

    fn circle(&mut self, to: &str, at: Position) {
        let from = self.path.iter().position(|name| *name == to).unwrap_or_default();
        let path = shown(self.path[from..].iter().copied().chain([to]));
        let message = format!("the steps wait for each other in a circle: {path}");
        let found = Diagnostic::new(&self.draft.file, at, "cycle", message);
        self.circles.push(found.hint("remove one of these references, or split a step in two"));
    }
}

/// A path, shortened in the middle when nobody could read it.
fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0..=12 => names.join(" → "),
        count => format!(
            "{} → … ({} more) → {}",
            names[..6].join(" → "),
            count - 12,
            names[count - 6..].join(" → ")
        ),
    }
}

/// Checks that using this contract neither leads back to the scenario nor nests too deep.
pub(super) fn nesting(
    draft: &Draft,
    step: &DraftStep,
    contract: &Contract,
    contracts: &dyn Contracts,
) -> Option<Diagnostic> {
    let mut below = Below { root: &draft.name, contracts, known: HashMap::new() };
    let found = match below.depth(contract, 1) {
        Err(mut path) => {
            path.push(draft.name.to_string());
            let message =
                format!("the scenario uses itself: {}", shown(path.iter().rev().map(String::as_str)));
            Diagnostic::new(&draft.file, step.uses.place.position, "cycle", message)
                .hint("use a contract that does not lead back here")
        }
        Ok(depth) if depth >= SCENARIO_NESTING => {
            let message = format!("more than {SCENARIO_NESTING} scenarios stand inside each other");
            Diagnostic::new(&draft.file, step.uses.place.position, "limit", message)
                .hint("use the inner scenarios directly")
        }
        Ok(_) => return None,
    };
    Some(found)
}

/// What stands below a contract that a scenario, the root, is about to use.
struct Below<'a> {
    root: &'a ContractName,
    contracts: &'a dyn Contracts,
    /// By contract, so that one that is used a thousand times is looked at once.
    known: HashMap<ContractName, usize>,
}

impl Below<'_> {
    /// How many scenarios stand inside each other in a contract, itself included; cut off where it is too many.
    ///
    /// An error is the way back to the root, from its end to the contract.
    fn depth(&mut self, contract: &Contract, level: usize) -> Result<usize, Vec<String>> {
        if contract.name == *self.root {
            return Err(vec![contract.name.to_string()]);
        }
        let Some(scenario) = contract.scenario() else { return Ok(0) };
        if let Some(depth) = self.known.get(&contract.name) {
            return Ok(*depth);
        }
        if level > SCENARIO_NESTING {
            return Ok(1);
        }
        let mut deepest = 0;
        for name in scenario.uses() {
            let depth = match self.contracts.contract(name) {
                Some(inner) => self.depth(&inner, level + 1),
                None if name == self.root => Err(vec![name.to_string()]),
                None => Ok(0),
            };
            deepest = deepest.max(depth.map_err(|mut path| {
                path.push(contract.name.to_string());
                path
            })?);
        }
        self.known.insert(contract.name.clone(), deepest + 1);
        Ok(deepest + 1)
    }
}

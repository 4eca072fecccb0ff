//! The graph of a schema: which schemas apply to a value, and which to what is inside it.
//!
//! The library that validates gives no access to its own, and knows no budget. Ours answers how much work a value can
//! cause before it is given to the library, and finds marks and defaults in a value.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::limits::INSTANCE_DEPTH;

use super::keywords::Applies;

/// One schema within a document.
#[derive(Default)]
pub(super) struct Node {
    /// Schemas that look at the same value.
    pub(super) same: Vec<(usize, Applies)>,
    /// Schemas of properties by name.
    pub(super) properties: BTreeMap<String, usize>,
    /// Schemas of properties by pattern.
    pub(super) patterns: Vec<(String, usize)>,
    /// The schema of all other properties.
    pub(super) additional: Option<usize>,
    /// Schemas of items by place.
    pub(super) prefix: Vec<usize>,
    /// The schema of all other items.
    pub(super) items: Option<usize>,
    /// Schemas that look at some of what is inside: `contains`, `unevaluatedProperties`, `propertyNames`, …
    pub(super) loose: Vec<usize>,
    /// True when `unevaluated…` makes the validator look at everything in place again.
    pub(super) again: bool,
    /// What it costs to compare a value with the alternatives of an `enum`, beside the schema itself.
    pub(super) options: u64,
    pub(super) default: Option<Value>,
    pub(super) entity: Option<String>,
    pub(super) secret: bool,
    pub(super) selectable: bool,
    pub(super) volatile: bool,
}

/// What a schema, or any that it leads to, carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Default,
    Entity,
    Secret,
    Selectable,
    Volatile,
}

/// All schemas of a document; number 0 is the document itself.
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) matchers: BTreeMap<String, jsonschema::Validator>,
    bears: Vec<[bool; 5]>,
    costs: Vec<u64>,
    anywhere: Vec<u64>,
    chains: Vec<usize>,
}

/// A schema leads back to itself without going into a property or an item, by way of this node.
pub(super) struct Circle(pub(super) usize);

impl Graph {
    /// Calculates what the nodes mean together; `matchers` has the patterns of properties.
    pub(super) fn new(
        nodes: Vec<Node>,
        matchers: BTreeMap<String, jsonschema::Validator>,
    ) -> Result<Self, Circle> {
        let order = innermost_first(&nodes)?;
        let (costs, anywhere, chains) = weigh(&nodes, &order);
        let marks = [Mark::Default, Mark::Entity, Mark::Secret, Mark::Selectable, Mark::Volatile];
        let bears = marks.map(|mark| leads_to(&nodes, mark));
        let bears = (0..nodes.len()).map(|node| bears.each_ref().map(|bears| bears[node])).collect();
        Ok(Self { nodes, matchers, bears, costs, anywhere, chains })
    }

    /// An upper bound for the evaluations that one value in an instance of this depth can cause, with all around it.
    pub(super) fn cost(&self, depth: usize) -> u64 {
        self.costs[depth.min(INSTANCE_DEPTH)]
    }

    /// The same bound for whichever schema of the document it is dearest for.
    pub(super) fn cost_anywhere(&self, depth: usize) -> u64 {
        self.anywhere[depth.min(INSTANCE_DEPTH)]
    }

    /// How many schemas can be under evaluation one within another for an instance of this depth.
    pub(super) fn chain(&self, depth: usize) -> usize {
        self.chains[depth.min(INSTANCE_DEPTH)]
    }

    /// True when a schema or any that it leads to carries the mark.
    pub(super) fn bears(&self, node: usize, mark: Mark) -> bool {
        self.bears[node][mark as usize]
    }

    /// Whether a property belongs to a pattern of the schema.
    pub(super) fn matches(&self, pattern: &str, key: &str) -> bool {
        self.matchers.get(pattern).is_some_and(|matcher| matcher.is_valid(&Value::String(key.to_owned())))
    }
}

impl Node {
    fn inside(&self) -> impl Iterator<Item = usize> {
        self.properties
            .values()
            .chain(self.patterns.iter().map(|(_, node)| node))
            .chain(&self.additional)
            .chain(&self.prefix)
            .chain(&self.items)
            .chain(&self.loose)
            .copied()
    }

    /// Combines a number of the schemas inside into one for this schema, for the property or item that is worst.
    fn worst_inside(&self, of: impl Fn(usize) -> u64, join: impl Fn(u64, u64) -> u64) -> u64 {
        let one = |node: &Option<usize>| node.map_or(0, &of);
        let any = |nodes: &mut dyn Iterator<Item = usize>| nodes.map(&of).max().unwrap_or(0);
        let all = |nodes: &mut dyn Iterator<Item = usize>| nodes.map(&of).fold(0, &join);
        let named = join(
            any(&mut self.properties.values().copied()),
            all(&mut self.patterns.iter().map(|(_, node)| *node)),
        );
        let property = named.max(one(&self.additional));
        let item = any(&mut self.prefix.iter().copied()).max(one(&self.items));
        join(property.max(item), all(&mut self.loose.iter().copied()))
    }
}

/// The nodes in an order in which those that look at the same value come before the one that asks for them.
fn innermost_first(nodes: &[Node]) -> Result<Vec<usize>, Circle> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        Open,
        Done,
    }
    let mut seen = vec![Seen::No; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for start in 0..nodes.len() {
        if seen[start] != Seen::No {
            continue;
        }
        seen[start] = Seen::Open;
        let mut open = vec![(start, 0)];
        while let Some((node, at)) = open.last_mut() {
            let Some((next, _)) = nodes[*node].same.get(*at) else {
                seen[*node] = Seen::Done;
                order.push(*node);
                open.pop();
                continue;
            };
            *at += 1;
            match seen[*next] {
                Seen::Open => return Err(Circle(*next)),
                Seen::Done => {}
                Seen::No => {
                    seen[*next] = Seen::Open;
                    open.push((*next, 0));
                }
            }
        }
    }
    Ok(order)
}

/// How often `unevaluated…` has the schemas beside it evaluated: to validate, to collect, to decide. Measured, not
/// documented: the time grows by less than this factor with each level.
const AGAIN: u64 = 3;

/// For each depth of an instance: the evaluations that the root can cause along the worst way down, the same for the worst
/// node, and the longest chain of schemas within schemas.
fn weigh(nodes: &[Node], order: &[usize]) -> (Vec<u64>, Vec<u64>, Vec<usize>) {
    let (mut costs, mut anywhere, mut chains) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cost_inside, mut chain_inside) = (vec![0_u64; nodes.len()], vec![0_u64; nodes.len()]);
    for _ in 0..=INSTANCE_DEPTH {
        let (mut cost, mut chain) = (vec![0_u64; nodes.len()], vec![0_u64; nodes.len()]);
        for &at in order {
            let node = &nodes[at];
            let times = if node.again { AGAIN } else { 1 };
            let here =
                node.same.iter().fold(1 + node.options, |sum, (same, _)| sum.saturating_add(cost[*same]));
            let inside = node.worst_inside(|inside| cost_inside[inside], u64::saturating_add);
            cost[at] = here.saturating_mul(times).saturating_add(inside);
            let here = node.same.iter().map(|(same, _)| chain[*same]).max().unwrap_or(0);
            chain[at] = 1 + here.max(node.worst_inside(|inside| chain_inside[inside], u64::max));
        }
        costs.push(cost[0]);
        anywhere.push(cost.iter().copied().max().unwrap_or(0));
        chains.push(usize::try_from(chain.iter().copied().max().unwrap_or(0)).unwrap_or(usize::MAX));
        (cost_inside, chain_inside) = (cost, chain);
    }
    (costs, anywhere, chains)
}

/// For each node, whether it or any node that it leads to carries the mark.
fn leads_to(nodes: &[Node], mark: Mark) -> Vec<bool> {
    let mut askers = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for next in node.same.iter().map(|(next, _)| *next).chain(node.inside()) {
            askers[next].push(at);
        }
    }
    let mut bears: Vec<bool> = nodes
        .iter()
        .map(|node| match mark {
            Mark::Default => node.default.is_some(),
            Mark::Entity => node.entity.is_some(),
            Mark::Secret => node.secret,
            Mark::Selectable => node.selectable,
            Mark::Volatile => node.volatile,
        })
        .collect();
    let mut todo: Vec<usize> = (0..nodes.len()).filter(|at| bears[*at]).collect();
    while let Some(at) = todo.pop() {
        for &asker in &askers[at] {
            if !bears[asker] {
                bears[asker] = true;
                todo.push(asker);
            }
        }
    }
    bears
}

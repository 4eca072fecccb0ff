//! Marks in a value: defaults to fill in, entities that it refers to, secrets to cover, what changes from one to the next.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::limits::{DEFAULTS_FILLED, INSTANCE_DEPTH};

use super::Entity;
use super::graph::{Graph, Mark, Node};
use super::keywords::Applies;

/// What stands in place of a secret.
const COVERED: &str = "***";

impl Graph {
    /// Puts defaults where properties are absent.
    pub(super) fn fill_defaults(&self, instance: &mut Value) {
        if self.bears(0, Mark::Default) {
            let mut left = DEFAULTS_FILLED;
            self.fill(instance, &[0], INSTANCE_DEPTH, &mut left);
        }
    }

    /// Everything marked as an entity, each once.
    pub(super) fn entities(&self, instance: &Value) -> Vec<Entity> {
        let mut found = Vec::new();
        if self.bears(0, Mark::Entity) {
            self.collect(instance, &[0], INSTANCE_DEPTH, &mut found);
            let mut seen = BTreeSet::new();
            found.retain(|entity| seen.insert(entity.clone()));
        }
        found
    }

    /// The kinds of entities that the schema marks anywhere, each once.
    pub(super) fn entity_kinds(&self) -> Vec<&str> {
        let kinds: BTreeSet<&str> = self.nodes.iter().filter_map(|node| node.entity.as_deref()).collect();
        kinds.into_iter().collect()
    }

    /// The value with its secrets covered.
    pub(super) fn redacted(&self, instance: &Value) -> Value {
        self.cover(instance, &[0], INSTANCE_DEPTH)
    }

    /// True when anything is marked as secret.
    pub(super) fn has_secrets(&self) -> bool {
        self.bears(0, Mark::Secret)
    }

    /// The value without what is marked as volatile: marked members are left out, and marked items are null, so that their
    /// number still counts.
    pub(super) fn lasting(&self, instance: &Value) -> Value {
        self.keep_lasting(instance, &[0], INSTANCE_DEPTH).unwrap_or(Value::Null)
    }

    /// `levels` and `left` bound schemas that ask for themselves by default, for ever.
    fn fill(&self, value: &mut Value, asked: &[usize], levels: usize, left: &mut usize) {
        let here = self.looking(asked, Mark::Default, |applies| applies == Applies::Always);
        if here.is_empty() || levels == 0 {
            return;
        }
        match value {
            Value::Object(members) => {
                for (key, inside) in here.iter().flat_map(|node| &self.nodes[*node].properties) {
                    if !members.contains_key(key)
                        && *left > 0
                        && let Some(default) = self.default_of(*inside)
                    {
                        *left -= 1;
                        members.insert(key.clone(), default.clone());
                    }
                }
                for (key, member) in members {
                    self.fill(member, &self.of_property(&here, key), levels - 1, left);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.fill(item, &self.of_item(&here, index), levels - 1, left);
                }
            }
            _ => {}
        }
    }

    /// `None` for what is volatile itself. A mark in any alternative counts, as an entity does.
    fn keep_lasting(&self, value: &Value, asked: &[usize], levels: usize) -> Option<Value> {
        let here = self.looking(asked, Mark::Volatile, |applies| applies != Applies::Against);
        if here.iter().any(|node| self.nodes[*node].volatile) {
            return None;
        }
        if here.is_empty() || levels == 0 {
            return Some(value.clone());
        }
        let inside = |asked: Vec<usize>, value: &Value| self.keep_lasting(value, &asked, levels - 1);
        Some(match value {
            Value::Object(members) => members
                .iter()
                .filter_map(|(key, member)| {
                    Some((key.clone(), inside(self.of_property(&here, key), member)?))
                })
                .collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| inside(self.of_item(&here, index), item).unwrap_or(Value::Null))
                .collect(),
            scalar => scalar.clone(),
        })
    }

    fn default_of(&self, node: usize) -> Option<&Value> {
        self.looking(&[node], Mark::Default, |applies| applies == Applies::Always)
            .into_iter()
            .find_map(|node| self.nodes[node].default.as_ref())
    }

    fn collect(&self, value: &Value, asked: &[usize], levels: usize, found: &mut Vec<Entity>) {
        let here = self.looking(asked, Mark::Entity, |applies| applies != Applies::Against);
        if here.is_empty() {
            return;
        }
        let key = match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            let kinds = here.iter().filter_map(|node| self.nodes[*node].entity.clone());
            found.extend(kinds.map(|kind| Entity { kind, key: key.clone() }));
        }
        match value {
            Value::Object(members) if levels > 0 => {
                for (key, member) in members {
                    self.collect(member, &self.of_property(&here, key), levels - 1, found);
                }
            }
            Value::Array(items) if levels > 0 => {
                for (index, item) in items.iter().enumerate() {
                    self.collect(item, &self.of_item(&here, index), levels - 1, found);
                }
            }
            _ => {}
        }
    }

    /// Covers too much rather than too little: a mark in any alternative counts, whether or not the value took it.
    fn cover(&self, value: &Value, asked: &[usize], levels: usize) -> Value {
        let here = self.looking(asked, Mark::Secret, |_| true);
        if here.is_empty() {
            return value.clone();
        }
        if levels == 0 || here.iter().any(|node| self.nodes[*node].secret) {
            return Value::String(COVERED.to_owned());
        }
        let loose: Vec<usize> =
            here.iter().flat_map(|node| self.nodes[*node].loose.iter().copied()).collect();
        let inside = |mut asked: Vec<usize>, value: &Value| {
            asked.extend_from_slice(&loose);
            self.cover(value, &asked, levels - 1)
        };
        match value {
            Value::Object(members) => members
                .iter()
                .map(|(key, member)| (key.clone(), inside(self.of_property(&here, key), member)))
                .collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| inside(self.of_item(&here, index), item))
                .collect(),
            scalar => scalar.clone(),
        }
    }

    /// The schemas that look at the same value as those asked for, as far as they lead to the mark; each once, the nearest
    /// first.
    pub(super) fn looking(
        &self,
        asked: &[usize],
        mark: Mark,
        follow: impl Fn(Applies) -> bool,
    ) -> Vec<usize> {
        let mut here = Vec::new();
        let mut seen = BTreeSet::new();
        for &node in asked {
            if self.bears(node, mark) && seen.insert(node) {
                here.push(node);
            }
        }
        let mut at = 0;
        while let Some(&node) = here.get(at) {
            at += 1;
            for &(next, applies) in &self.nodes[node].same {
                if follow(applies) && self.bears(next, mark) && seen.insert(next) {
                    here.push(next);
                }
            }
        }
        here
    }

    pub(super) fn of_property(&self, nodes: &[usize], key: &str) -> Vec<usize> {
        let mut found = Vec::new();
        for node in nodes.iter().map(|node| &self.nodes[*node]) {
            let before = found.len();
            found.extend(node.properties.get(key));
            found.extend(
                node.patterns.iter().filter(|(pattern, _)| self.matches(pattern, key)).map(|(_, node)| *node),
            );
            if found.len() == before {
                found.extend(node.additional);
            }
        }
        found
    }

    fn of_item(&self, nodes: &[usize], index: usize) -> Vec<usize> {
        let schema = |node: &Node| node.prefix.get(index).copied().or(node.items);
        nodes.iter().filter_map(|node| schema(&self.nodes[*node])).collect()
    }
}

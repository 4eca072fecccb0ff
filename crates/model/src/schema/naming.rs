//! Naming: which properties a schema speaks of, and which of them are secret.

use std::collections::BTreeSet;

use super::graph::{Graph, Mark};
use super::keywords::Applies;

impl Graph {
    /// The properties of the document itself and of what always applies beside it; by name.
    pub(super) fn property_names(&self) -> Vec<&str> {
        let (mut open, mut seen, mut names) = (vec![0], BTreeSet::from([0]), BTreeSet::new());
        while let Some(node) = open.pop() {
            let node = &self.nodes[node];
            names.extend(node.properties.keys().map(String::as_str));
            let always = node.same.iter().filter(|(_, applies)| *applies == Applies::Always);
            open.extend(always.map(|(next, _)| *next).filter(|next| seen.insert(*next)));
        }
        names.into_iter().collect()
    }

    /// Whether a property is marked as secret itself. Any alternative counts, as where secrets are covered.
    pub(super) fn is_secret(&self, property: &str) -> bool {
        self.of_secret(property).iter().any(|node| self.nodes[*node].secret)
    }

    /// Whether a property is marked as secret, or leads to something that is.
    pub(super) fn has_secret_in(&self, property: &str) -> bool {
        !self.of_secret(property).is_empty()
    }

    /// The schemas of a property that lead to a secret.
    fn of_secret(&self, property: &str) -> Vec<usize> {
        let here = self.looking(&[0], Mark::Secret, |_| true);
        let loose = here.iter().flat_map(|node| self.nodes[*node].loose.iter().copied());
        let asked: Vec<usize> = self.of_property(&here, property).into_iter().chain(loose).collect();
        self.looking(&asked, Mark::Secret, |_| true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::schema::Schema;

    #[test]
    fn the_properties_of_a_schema_are_those_that_always_apply() {
        let document = json!({
            "properties": {"b": {}, "a": {"properties": {"inner": {}}}},
            "allOf": [{"properties": {"c": {}}}, {"$ref": "#/$defs/more"}],
            "anyOf": [{"properties": {"sometimes": {}}}],
            "$defs": {"more": {"properties": {"d": {}, "a": {}}}, "unused": {"properties": {"e": {}}}}
        });
        assert_eq!(Schema::parse(&document).unwrap().property_names(), ["a", "b", "c", "d"]);
        assert!(Schema::any().property_names().is_empty());
    }

    #[test]
    fn a_secret_is_told_from_what_holds_one() {
        let document = json!({
            "properties": {
                "card": {"type": "string", "x-secret": true},
                "account": {"properties": {"pin": {"x-secret": true}}},
                "either": {"anyOf": [{"type": "integer"}, {"type": "string", "x-secret": true}]},
                "plain": {"type": "string"}
            }
        });
        let schema = Schema::parse(&document).unwrap();
        for (name, is_secret, has_secret) in [
            ("card", true, true),
            ("account", false, true),
            ("either", true, true),
            ("plain", false, false),
            ("nothing", false, false),
        ] {
            assert_eq!(
                (schema.is_secret(name), schema.has_secret_in(name)),
                (is_secret, has_secret),
                "{name}"
            );
        }
    }
}

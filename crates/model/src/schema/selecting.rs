//! Selecting: which properties of a value a consumer may choose by.
//!
//! A mark in any alternative counts, as an entity does: whether the value took it is told by whether the property is there.

use serde_json::{Map, Value};

use crate::limits::INSTANCE_DEPTH;

use super::graph::{Graph, Mark};
use super::keywords::Applies;

impl Graph {
    /// The marked scalars of a value, in the objects that they stand in.
    pub(super) fn selectable(&self, instance: &Value) -> Map<String, Value> {
        self.select(instance, &[0], INSTANCE_DEPTH)
    }

    /// The properties of the object at `path` that are marked, or have some that are; by name.
    pub(super) fn selectable_names(&self, path: &[&str]) -> Vec<&str> {
        let here = self.at(path);
        let properties = here.iter().flat_map(|node| &self.nodes[*node].properties);
        let mut names: Vec<&str> = properties
            .filter(|(_, inside)| self.selecting(&[**inside]).into_iter().any(|node| self.leads(node)))
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the property at `path` is marked itself.
    pub(super) fn is_selectable(&self, path: &[&str]) -> bool {
        self.at(path).iter().any(|node| self.nodes[*node].selectable)
    }

    fn select(&self, value: &Value, asked: &[usize], levels: usize) -> Map<String, Value> {
        let here = self.selecting(asked);
        let mut found = Map::new();
        let Value::Object(members) = value else { return found };
        if here.is_empty() || levels == 0 {
            return found;
        }
        for (name, member) in members {
            let inside = self.of_property(&here, name);
            match member {
                Value::Object(_) => {
                    let inner = self.select(member, &inside, levels - 1);
                    if !inner.is_empty() {
                        found.insert(name.clone(), Value::Object(inner));
                    }
                }
                Value::Array(_) => {}
                scalar => {
                    if self.selecting(&inside).iter().any(|node| self.nodes[*node].selectable) {
                        found.insert(name.clone(), scalar.clone());
                    }
                }
            }
        }
        found
    }

    /// Whether a schema is marked, or some property that it speaks of leads to a mark.
    fn leads(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        let patterns = node.patterns.iter().map(|(_, inside)| inside);
        let mut inside = node.properties.values().chain(patterns).chain(&node.additional);
        node.selectable || inside.any(|inside| self.bears(*inside, Mark::Selectable))
    }

    fn at(&self, path: &[&str]) -> Vec<usize> {
        path.iter().fold(self.selecting(&[0]), |here, name| self.selecting(&self.of_property(&here, name)))
    }

    fn selecting(&self, asked: &[usize]) -> Vec<usize> {
        self.looking(asked, Mark::Selectable, |applies| applies != Applies::Against)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::schema::Schema;

    fn schema() -> Schema {
        let document = json!({
            "properties": {
                "plan": {"type": "string", "x-selectable": true},
                "seats": {"$ref": "#/$defs/count"},
                "address": {"properties": {"zone": {"x-selectable": true}, "street": {"type": "string"}}},
                "either": {"anyOf": [{"type": "integer"}, {"type": "string", "x-selectable": true}]},
                "lines": {"items": {"properties": {"sku": {"x-selectable": true}}}},
                "tags": {"items": {"type": "string", "x-selectable": true}},
                "whole": {"x-selectable": true},
                "not": {"not": {"x-selectable": true}},
                "id": {"type": "string", "x-selectable": false}
            },
            "patternProperties": {"^ref_": {"x-selectable": true}},
            "$defs": {"count": {"type": "integer", "x-selectable": true}}
        });
        Schema::parse(&document).unwrap()
    }

    #[test]
    fn marked_scalars_are_selectable_in_the_objects_that_they_stand_in() {
        let output = json!({
            "plan": "gold", "seats": 5, "address": {"zone": "A", "street": "x"}, "either": "e",
            "lines": [{"sku": "a"}], "tags": ["t"], "whole": {"a": 1}, "not": "n", "id": "c-1", "ref_x": null, "more": 1
        });
        let selected = json!({
            "plan": "gold", "seats": 5, "address": {"zone": "A"}, "either": "e", "ref_x": null
        });
        assert_eq!(serde_json::Value::Object(schema().selectable(&output)), selected);
        for nothing in [json!({}), json!([1]), json!("x"), json!({"address": {}}), json!({"plan": ["gold"]})]
        {
            assert!(schema().selectable(&nothing).is_empty(), "{nothing}");
        }
        assert!(Schema::any().selectable(&output).is_empty());
    }

    #[test]
    fn marks_are_found_by_their_path() {
        let schema = schema();
        assert_eq!(schema.selectable_names(&[]), ["address", "either", "plan", "seats", "whole"]);
        assert_eq!(schema.selectable_names(&["address"]), ["zone"]);
        for (path, marked) in [
            (vec!["plan"], true),
            (vec!["seats"], true),
            (vec!["address"], false),
            (vec!["address", "zone"], true),
            (vec!["address", "street"], false),
            (vec!["ref_x"], true),
            (vec!["id"], false),
            (vec!["not"], false),
            (vec!["nothing"], false),
        ] {
            assert_eq!(schema.is_selectable(&path), marked, "{path:?}");
        }
    }

    #[test]
    fn a_mark_is_true_or_false_and_never_on_a_secret() {
        for (document, code) in [
            (json!({"properties": {"a": {"x-selectable": "yes"}}}), "type"),
            (json!({"properties": {"a": {"x-selectable": true, "x-secret": true}}}), "secret_selectable"),
        ] {
            let faults = Schema::parse(&document).unwrap_err();
            assert_eq!(faults[0].code, code, "{document}");
            assert!(faults[0].pointer.starts_with("/properties/a/x-"), "{faults:?}");
        }
        let misspelt = Schema::parse(&json!({"properties": {"a": {"x-selectible": true}}})).unwrap();
        assert!(misspelt.warnings()[0].message.contains("x-selectable"), "{:?}", misspelt.warnings());
    }
}

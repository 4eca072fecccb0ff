//! Literal secrets in templates: judged by the contract that takes them, and by the names that they are given under.

use serde_json::Value;

use super::schemas::Reference;
use crate::diagnostic::{Diagnostic, Position};
use crate::scenario::literals::{is_literal_secret, is_written_out, warning};
use crate::template::{Kind, Node};

/// The secrets that a template writes out; `taken` is the schema of what takes it.
pub(super) fn in_template(file: &str, root: &Node, taken: Option<Reference>) -> Vec<Diagnostic> {
    let mut search = Search { file, found: Vec::new() };
    search.look(root, &Surroundings { name: None, marked: false, schema: taken });
    search.found
}

struct Search<'a> {
    file: &'a str,
    found: Vec<Diagnostic>,
}

/// What is known about the place of a value.
struct Surroundings<'a> {
    /// The nearest field that it stands in.
    name: Option<&'a str>,
    /// The contract marks it as a secret, or something that it is a part of.
    marked: bool,
    schema: Option<Reference>,
}

impl Search<'_> {
    fn look(&mut self, node: &Node, here: &Surroundings<'_>) {
        match &node.kind {
            Kind::Constant(value) => self.judge(value, node.place.position, here),
            Kind::List(nodes) => {
                let schema = here.schema.as_ref().and_then(Reference::element_schema);
                let inside = Surroundings { marked: is_marked(here, schema.as_ref()), schema, ..*here };
                nodes.iter().for_each(|node| self.look(node, &inside));
            }
            Kind::Object(fields) => {
                for field in fields {
                    let schema = here.schema.as_ref().and_then(|schema| schema.property(&field.name));
                    let marked = is_marked(here, schema.as_ref());
                    self.look(&field.value, &Surroundings { name: Some(&field.name), marked, schema });
                }
            }
            // What an expression comes to is not written in the file.
            Kind::Expression(..) | Kind::Text(_) | Kind::Broken => {}
        }
    }

    fn judge(&mut self, value: &Value, at: Position, here: &Surroundings<'_>) {
        let Some(name) = here.name else { return };
        // What may be chosen from is published with the contract.
        let listed = || here.schema.as_ref().is_some_and(|schema| schema.typed().values.is_some());
        let is_secret =
            if here.marked { is_written_out(value) } else { is_literal_secret(name, value) && !listed() };
        if is_secret {
            self.found.push(warning(self.file, at, name));
        }
    }
}

fn is_marked(around: &Surroundings<'_>, schema: Option<&Reference>) -> bool {
    around.marked || schema.is_some_and(|schema| schema.typed().secret)
}

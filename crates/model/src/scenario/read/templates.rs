//! Templates of a scenario file: what stands under `with` and `output`, up to so many values and expressions.

use serde_json::Value;

use super::{LANGUAGE, Reader};
use crate::diagnostic::Place;
use crate::limits::{SCENARIO_EXPRESSIONS, SCENARIO_VALUES};
use crate::template::{self, Template};
use crate::yaml::{Content, Entry, Node};

/// How much of the templates of a file was read.
#[derive(Default)]
pub(super) struct Templates {
    values: usize,
    expressions: usize,
    /// There is too much of either, and nobody looks at the rest.
    beyond: bool,
}

impl Reader<'_> {
    pub(super) fn object_template(&mut self, node: &Node) -> Option<Template> {
        match &node.content {
            Content::Map(_) => Some(Template { root: self.template(node) }),
            Content::Scalar { text, .. } if template::unwrapped(text).is_some() => {
                Some(Template { root: self.template(node) })
            }
            _ => {
                self.push(
                    node.position(),
                    "wrong_type",
                    "an object is expected here",
                    "write fields with their values, or one `${{ }}`",
                );
                None
            }
        }
    }

    fn template(&mut self, node: &Node) -> template::Node {
        self.templates.values += 1;
        if self.is_beyond(node) {
            return template::Node { kind: template::Kind::Broken, place: node.place.clone() };
        }
        let kind = match &node.content {
            Content::Scalar { text, plain } => match node.json() {
                Value::String(_) => self.template_text(text, node),
                scalar => {
                    debug_assert!(*plain, "only plain scalars are anything but text");
                    template::Kind::Constant(scalar)
                }
            },
            Content::List(values) => {
                template::Kind::List(values.iter().map(|value| self.template(value)).collect())
            }
            Content::Map(entries) => {
                template::Kind::Object(entries.iter().map(|entry| self.template_field(entry)).collect())
            }
        };
        template::Node { kind, place: node.place.clone() }
    }

    fn template_text(&mut self, text: &str, node: &Node) -> template::Kind {
        match template::parse_text(text, &node.place) {
            Ok(kind) => {
                self.templates.expressions += kind.expressions();
                self.is_beyond(node);
                kind
            }
            Err(slips) => {
                for slip in slips {
                    let at = node.place.position_of(text, slip.range);
                    let hint = slip.hint.unwrap_or_else(|| LANGUAGE.to_owned());
                    self.push(at, slip.code, slip.message, hint);
                }
                template::Kind::Broken
            }
        }
    }

    /// Whether the templates have grown beyond what is read of them, which is reported once.
    fn is_beyond(&mut self, node: &Node) -> bool {
        let limits = [
            (self.templates.values, SCENARIO_VALUES, "values under `with` and `output`"),
            (self.templates.expressions, SCENARIO_EXPRESSIONS, "expressions"),
        ];
        let Some((_, most, what)) = limits.into_iter().find(|(count, most, _)| count > most) else {
            return false;
        };
        if !self.templates.beyond {
            self.templates.beyond = true;
            let message = format!("the scenario has more than {most} {what}");
            self.push(node.position(), "limit", message, "split the scenario; one may use another");
        }
        true
    }

    fn template_field(&mut self, entry: &Entry) -> template::Field {
        template::Field {
            name: entry.name.clone(),
            place: Place::whole(entry.position),
            value: self.template(&entry.value),
        }
    }
}

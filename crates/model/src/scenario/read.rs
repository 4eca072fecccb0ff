//! Reading of scenario files: from the tree of YAML to a draft, with every fault reported where it stands.

mod fields;
mod steps;
mod templates;

use std::collections::BTreeMap;

use serde_json::json;

use super::literals;
use super::{Draft, DraftInvariant, Located};
use crate::contract::Owner;
use crate::diagnostic::{Diagnostic, Position, sort};
use crate::expression::Expression;
use crate::fault::Fault;
use crate::limits::{
    DESCRIPTION_BYTES, LABEL_BYTES, LABELS, LINE_BYTES, LINK_BYTES, SCENARIO_INVARIANTS, SETTLE_S, TIMEOUT_S,
};
use crate::name::{ContractName, segment};
use crate::schema::Schema;
use crate::template::{self, Template};
use crate::text::{excerpt, line, prose};
use crate::yaml::{self, Content, Entry, Node, is_version};

use fields::Fields;
use templates::Templates;

/// How long services get to agree when a scenario does not say: the usual lag of events, several times over.
const SETTLE_DEFAULT_S: u32 = 30;

/// What helps when a parser has nothing better to say.
const LANGUAGE: &str = "expressions are written in CEL, as in `input.country == \"FR\"`";

const FIELDS: [&str; 10] = [
    "scenario",
    "owner",
    "description",
    "labels",
    "input",
    "steps",
    "invariants",
    "output",
    "settle_s",
    "timeout_s",
];

/// Reads a file. The draft is there when its form can be understood as far as the type checker needs it.
pub(super) fn read(file: &str, text: &str) -> (Option<Draft>, Vec<Diagnostic>) {
    match yaml::read(file, text) {
        (Some(tree), diagnostics) => read_tree(file, text, &tree, diagnostics),
        (None, mut diagnostics) => {
            sort(&mut diagnostics);
            (None, diagnostics)
        }
    }
}

/// The same for a file that is a tree already, with what was wrong with it as YAML.
pub(crate) fn read_tree(
    file: &str,
    text: &str,
    tree: &Node,
    diagnostics: Vec<Diagnostic>,
) -> (Option<Draft>, Vec<Diagnostic>) {
    let mut reader = Reader { file, diagnostics, warnings: Vec::new(), templates: Templates::default() };
    let draft = reader.draft(tree, text);
    let mut diagnostics = reader.diagnostics;
    sort(&mut diagnostics);
    (draft, diagnostics)
}

struct Reader<'a> {
    file: &'a str,
    diagnostics: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    templates: Templates,
}

impl Reader<'_> {
    fn draft(&mut self, tree: &Node, text: &str) -> Option<Draft> {
        for entry in unversioned(tree) {
            let message = format!("`{}` is unknown: scenario files carry no version", excerpt(&entry.name));
            self.push(
                entry.position,
                "unsupported_version",
                message,
                "remove it; there is one format so far",
            );
        }
        let fields = self.fields(tree, "a scenario", &FIELDS)?;
        let name = self.required(&fields, "scenario", tree).and_then(|node| self.contract_name(node));
        let owner = self.required(&fields, "owner", tree).and_then(|node| self.owner(node));
        let description = match fields.get("description") {
            Some(node) => self.prose(node, DESCRIPTION_BYTES).unwrap_or_default(),
            None => String::new(),
        };
        let labels = fields.get("labels").map(|node| self.labels(node)).unwrap_or_default();
        let input = fields.get("input").map_or_else(|| Some(Schema::empty_object()), |node| self.input(node));
        let steps = self.required(&fields, "steps", tree).and_then(|node| self.steps(node));
        let invariants = fields.get("invariants").map(|node| self.invariants(node)).unwrap_or_default();
        let output = self.required(&fields, "output", tree).and_then(|node| self.object_template(node));
        let settle_s = fields
            .get("settle_s")
            .and_then(|node| self.integer(node, 1, SETTLE_S))
            .unwrap_or(SETTLE_DEFAULT_S);
        let timeout_s = fields.get("timeout_s").and_then(|node| self.integer(node, 1, TIMEOUT_S));
        // What the steps say can be looked at whatever the scenario is called.
        let is_named = name.is_some();
        let name = name.map_or_else(unnamed, |(name, _)| name);
        let (steps, step_names) = steps?;
        Some(Draft {
            file: self.file.to_owned(),
            source: text.to_owned(),
            name,
            is_named,
            // A missing owner has been reported; the type checker does not look at it.
            owner: owner.unwrap_or_else(nobody),
            description,
            labels,
            input: input.unwrap_or_else(Schema::any),
            steps,
            step_names,
            invariants,
            output: output.unwrap_or_else(Template::empty),
            settle_s,
            timeout_s,
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    fn contract_name(&mut self, node: &Node) -> Option<(ContractName, Position)> {
        let text = self.text(node)?;
        match text.parse() {
            Ok(name) => Some((name, node.position())),
            Err(error) => {
                self.push(node.position(), "bad_name", format!("{error}"), "write it as `domain/name`");
                None
            }
        }
    }

    fn owner(&mut self, node: &Node) -> Option<Owner> {
        let fields = self.fields(node, "an owner", &["team", "contact", "issues"])?;
        let team = self.required(&fields, "team", node).and_then(|node| self.line(node, LINE_BYTES));
        let contact = fields.get("contact").and_then(|node| self.line(node, LINE_BYTES));
        let issues = fields.get("issues").and_then(|node| {
            let link = self.line(node, LINK_BYTES)?;
            if link.starts_with("https://") || link.starts_with("http://") {
                return Some(link);
            }
            self.push(node.position(), "bad_link", "this is not a link", "begin it with `https://`");
            None
        });
        Some(Owner { team: team?, contact, issues })
    }

    fn labels(&mut self, node: &Node) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let Some(entries) = self.entries(node, "labels") else { return labels };
        self.warnings.extend(literals::in_values(self.file, node));
        self.limit(node.position(), entries.len(), LABELS, "labels");
        for entry in entries {
            if let Err(error) = segment("the name of a label", &entry.name) {
                self.push(entry.position, "bad_name", error.to_string(), "choose another name");
            }
            if let Some(value) = self.line(&entry.value, LABEL_BYTES) {
                labels.insert(entry.name.clone(), value);
            }
        }
        labels
    }

    fn input(&mut self, node: &Node) -> Option<Schema> {
        let document = node.json();
        let schema = match Schema::parse(&document) {
            Ok(schema) => schema,
            Err(faults) => {
                self.diagnostics.extend(self.in_schema(node, &faults));
                return None;
            }
        };
        self.warnings.extend(literals::in_schema(self.file, node));
        if document.get("type") != Some(&json!("object")) {
            self.push(
                node.position(),
                "bad_schema",
                "the input must be an object",
                "write `type: object` and list its `properties`",
            );
        }
        for warning in schema.warnings() {
            // A default that breaks its own schema is put in and then refused: no request could ever succeed.
            if warning.code == "example_invalid" && !warning.pointer.contains("/examples/") {
                let fault = Fault { code: "bad_default", ..warning.clone() };
                self.diagnostics.extend(self.in_schema(node, &[fault]));
            } else {
                self.warnings.extend(self.in_schema(node, std::slice::from_ref(warning)));
            }
        }
        Some(schema)
    }

    /// What was found in a schema, at its places in the file.
    fn in_schema(&self, node: &Node, faults: &[Fault]) -> Vec<Diagnostic> {
        let placed = |fault: &Fault| {
            let at = node.nearest(&fault.pointer);
            let message = match fault.code {
                "bad_default" => format!("the default {}", fault.message),
                "example_invalid" => format!("the example {}", fault.message),
                // What begins with a value has a subject of its own.
                _ if fault.message.starts_with('"') => format!("in the schema, {}", fault.message),
                _ => format!("the schema {}", fault.message),
            };
            Diagnostic::new(self.file, at, fault.code, message)
        };
        faults.iter().map(placed).collect()
    }

    fn invariants(&mut self, node: &Node) -> Vec<DraftInvariant> {
        let Content::List(values) = &node.content else {
            self.wrong(node, "a list of invariants");
            return Vec::new();
        };
        self.limit(node.position(), values.len(), SCENARIO_INVARIANTS, "invariants");
        let mut invariants = Vec::new();
        // Beyond the limit nothing is looked at, as with steps.
        for value in values.iter().take(SCENARIO_INVARIANTS) {
            let Some(fields) = self.fields(value, "an invariant", &["that", "says"]) else { continue };
            let that = self.required(&fields, "that", value).and_then(|node| self.expression(node));
            let says =
                self.required(&fields, "says", value).and_then(|node| self.line(node, DESCRIPTION_BYTES));
            if let (Some(that), Some(says)) = (that, says) {
                invariants.push(DraftInvariant { that, says });
            }
        }
        invariants
    }

    /// An expression, written bare or as one `${{ }}`.
    fn expression(&mut self, node: &Node) -> Option<Located<Expression>> {
        let text = match &node.content {
            Content::Scalar { text, .. } if !node.is_null() => text,
            _ => {
                self.wrong(node, "an expression");
                return None;
            }
        };
        let range = template::unwrapped(text).unwrap_or(0..text.len());
        let blank = text[range.clone()].len() - text[range.clone()].trim_start().len();
        let start = range.start + blank;
        let inner = text[range].trim();
        match Expression::parse(inner) {
            Ok(value) => Some(Located { value, place: node.place.part(text, start..start + inner.len()) }),
            Err(error) => {
                let range = start + error.range.start..start + error.range.end;
                let at = node.place.position_of(text, range);
                let hint = error.hint.unwrap_or_else(|| LANGUAGE.to_owned());
                self.push(at, error.code, error.message, hint);
                None
            }
        }
    }

    fn line(&mut self, node: &Node, bytes: usize) -> Option<String> {
        let text = self.text(node)?;
        let cleaned = line("", text, bytes);
        self.cleaned(node, cleaned)
    }

    fn prose(&mut self, node: &Node, bytes: usize) -> Option<String> {
        let text = self.text(node)?;
        let cleaned = prose("", text, bytes);
        self.cleaned(node, cleaned)
    }

    fn cleaned(&mut self, node: &Node, cleaned: Result<String, Fault>) -> Option<String> {
        match cleaned {
            Ok(text) if text.is_empty() => {
                self.push(
                    node.position(),
                    "empty",
                    "the text is empty",
                    "write something, or leave the field out",
                );
                None
            }
            Ok(text) => Some(text),
            Err(fault) => {
                self.diagnostics.push(Diagnostic::new(
                    self.file,
                    node.position(),
                    fault.code,
                    format!("the text {}", fault.message),
                ));
                None
            }
        }
    }

    fn required<'n>(&mut self, fields: &Fields<'n>, name: &str, within: &Node) -> Option<&'n Node> {
        let found = fields.get(name);
        if found.is_none() {
            self.push(
                within.position(),
                "missing_field",
                format!("`{name}` is missing"),
                format!("add `{name}:`"),
            );
        }
        found
    }

    fn limit(&mut self, at: Position, count: usize, most: usize, what: &str) {
        if count > most {
            self.push(
                at,
                "limit",
                format!("{count} {what}; at most {most} are allowed"),
                "split the scenario; one may use another",
            );
        }
    }

    fn push(
        &mut self,
        at: Position,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic::new(self.file, at, code, message).hint(hint));
    }
}

/// Fields by which other formats say their version.
fn unversioned(tree: &Node) -> impl Iterator<Item = &Entry> {
    let entries = match &tree.content {
        Content::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().filter(|entry| is_version(&entry.name))
}

fn unnamed() -> ContractName {
    ContractName::new("unnamed", "scenario").expect("both are names")
}

fn nobody() -> Owner {
    Owner { team: String::new(), contact: None, issues: None }
}

//! Steps of a scenario file.

use std::collections::HashSet;

use super::super::{DraftStep, Located, Source};
use super::Reader;
use crate::contract::RetryPolicy;
use crate::diagnostic::Place;
use crate::limits::{ATTEMPTS, RETRY_DELAY_MS, SCENARIO_STEPS, STEP_NEEDS, TIMEOUT_S};
use crate::name::step_name;
use crate::template::Template;
use crate::text::{excerpt, nearest};
use crate::yaml::{Content, Entry, Node};

const FIELDS: [&str; 9] = ["uses", "with", "needs", "if", "for_each", "retry", "timeout_s", "from", "shared"];

impl Reader<'_> {
    /// The steps that can be understood, and the names of all of them.
    pub(super) fn steps(&mut self, node: &Node) -> Option<(Vec<DraftStep>, Vec<String>)> {
        let entries = self.entries(node, "steps, which are named")?;
        if entries.is_empty() {
            self.push(
                node.position(),
                "empty",
                "a scenario needs a step",
                "name a step and say what it `uses`",
            );
        }
        self.limit(node.position(), entries.len(), SCENARIO_STEPS, "steps");
        let mut seen = HashSet::new();
        let mut steps = Vec::new();
        // Beyond the limit nothing is looked at, so that a huge file costs no more than a large one.
        for entry in entries.iter().take(SCENARIO_STEPS).filter(|entry| seen.insert(&entry.name)) {
            if let Err(error) = step_name(&entry.name) {
                self.push(
                    entry.position,
                    "bad_name",
                    error.to_string(),
                    "choose another name; bindings refer to it",
                );
            }
            steps.extend(self.step(entry));
        }
        Some((steps, entries.iter().map(|entry| entry.name.clone()).collect()))
    }

    fn step(&mut self, entry: &Entry) -> Option<DraftStep> {
        let node = &entry.value;
        let fields = self.fields(node, "a step", &FIELDS)?;
        if let Some(shared) = fields.get("shared") {
            self.shared(shared);
        }
        let uses = match fields.get("uses") {
            Some(node) => {
                self.contract_name(node).map(|(value, at)| Located { value, place: Place::whole(at) })
            }
            None => {
                self.push(entry.position, "missing_field", "`uses` is missing", "add `uses: domain/name`");
                None
            }
        };
        let with =
            fields.get("with").map_or_else(|| Some(Template::empty()), |node| self.object_template(node));
        let needs = fields.get("needs").map(|node| self.needs(node)).unwrap_or_default();
        let condition = fields.get("if").and_then(|node| self.expression(node));
        let for_each = fields.get("for_each").and_then(|node| self.expression(node));
        let retry = fields.get("retry").and_then(|node| self.retry(node));
        let timeout_s = fields.get("timeout_s").and_then(|node| self.integer(node, 1, TIMEOUT_S));
        let from = fields.get("from").and_then(|node| self.from(node)).unwrap_or_default();
        Some(DraftStep {
            name: entry.name.clone(),
            position: entry.position,
            uses: uses?,
            with: with?,
            needs,
            condition,
            for_each,
            retry,
            timeout_s,
            from,
        })
    }

    fn shared(&mut self, node: &Node) {
        match &node.content {
            Content::Scalar { text, plain: true } if text == "false" => {}
            Content::Scalar { text, plain: true } if text == "true" => self.push(
                node.position(),
                "not_supported",
                "children that several parents share are not supported yet",
                "remove `shared`; every request gets a child of its own",
            ),
            _ => self.wrong(node, "`true` or `false`"),
        }
    }

    /// One name or a list of names; naming a step twice changes nothing.
    fn needs(&mut self, node: &Node) -> Vec<Located<String>> {
        let names: Vec<&Node> = match &node.content {
            Content::List(values) => values.iter().map(|value| &**value).collect(),
            _ => {
                self.wrong(node, "a list of steps");
                return Vec::new();
            }
        };
        self.limit(node.position(), names.len(), STEP_NEEDS, "names in `needs`");
        let mut needs: Vec<Located<String>> = Vec::new();
        for name in names.into_iter().take(STEP_NEEDS) {
            if let Some(text) = self.text(name)
                && !needs.iter().any(|other| other.value == text)
            {
                needs.push(Located { value: text.to_owned(), place: name.place.clone() });
            }
        }
        needs
    }

    fn retry(&mut self, node: &Node) -> Option<RetryPolicy> {
        let fields = self.fields(node, "retry", &["max_attempts", "first_delay_ms", "max_delay_ms"])?;
        let usual = RetryPolicy::default();
        let max_attempts =
            self.required(&fields, "max_attempts", node).and_then(|node| self.integer(node, 1, ATTEMPTS));
        let delay = |reader: &mut Self, name, usual: u64| match fields.get(name) {
            Some(node) => reader.integer(node, 1, RETRY_DELAY_MS).map(u64::from),
            None => Some(usual),
        };
        let first_delay_ms = delay(self, "first_delay_ms", usual.first_delay_ms)?;
        let max_delay_ms = delay(self, "max_delay_ms", usual.max_delay_ms.max(first_delay_ms))?;
        if first_delay_ms > max_delay_ms {
            self.push(
                node.position(),
                "range",
                "`first_delay_ms` is larger than `max_delay_ms`",
                "swap the two",
            );
        }
        Some(RetryPolicy { max_attempts: max_attempts?, first_delay_ms, max_delay_ms })
    }

    fn from(&mut self, node: &Node) -> Option<Source> {
        match self.text(node)? {
            "stock_first" => Some(Source::StockFirst),
            "fresh" => Some(Source::Fresh),
            other => {
                let hint = match nearest(other, ["stock_first", "fresh"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write `stock_first` or `fresh`".to_owned(),
                };
                self.push(
                    node.position(),
                    "bad_value",
                    format!("a dataset cannot come from `{}`", excerpt(other)),
                    hint,
                );
                None
            }
        }
    }
}

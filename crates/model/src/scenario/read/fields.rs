//! Fields of a scenario file: what they are called, and scalars read as what a field wants.

use std::collections::HashMap;

use super::Reader;
use crate::limits::DIAGNOSTICS;
use crate::text::{excerpt, nearest};
use crate::yaml::{Content, Entry, Node, is_version};

/// The known fields of a map that are there.
pub(super) struct Fields<'n>(HashMap<&'n str, &'n Node>);

impl<'n> Fields<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.0.get(name).copied()
    }
}

impl Reader<'_> {
    /// The fields of a map; reports those that are unknown. `what` completes "… has no field".
    pub(super) fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Fields<'n>> {
        let mut found = HashMap::new();
        let mut unknown = 0;
        for entry in self.entries(node, what)? {
            if known.contains(&entry.name.as_str()) {
                found.entry(entry.name.as_str()).or_insert(&*entry.value);
            } else if entry.name != "<<" && !is_version(&entry.name) {
                unknown += 1;
                // The first ones of a map come first in the report, and nobody sees more.
                if unknown > DIAGNOSTICS {
                    continue;
                }
                let hint = match nearest(&entry.name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the fields are {}", known.join(", ")),
                };
                self.push(
                    entry.position,
                    "unknown_field",
                    format!("{what} has no field `{}`", excerpt(&entry.name)),
                    hint,
                );
            }
        }
        Some(Fields(found))
    }

    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.content {
            Content::Map(entries) => Some(entries),
            _ => {
                self.wrong(node, &format!("a map with the fields of {what}"));
                None
            }
        }
    }

    /// Text as it is written, quoted or not: `NO` and `010` stay what they are.
    pub(super) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match &node.content {
            Content::Scalar { text, .. } if !node.is_null() => Some(text),
            _ => {
                self.wrong(node, "text");
                None
            }
        }
    }

    /// A decimal integer; `010`, `1_000`, `0o17` and `1e3` mean different numbers to different readers and are refused.
    pub(super) fn integer(&mut self, node: &Node, least: u64, most: u64) -> Option<u32> {
        let text = match &node.content {
            Content::Scalar { text, plain: true } => text.as_str(),
            _ => "",
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        let decimal = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        if !decimal {
            self.wrong(node, "an integer in decimal digits");
            return None;
        }
        let value = text.parse::<u64>().ok().filter(|value| (least..=most).contains(value));
        if value.is_none() {
            self.push(
                node.position(),
                "range",
                format!("the number must be from {least} to {most}"),
                "choose a number in that range",
            );
        }
        value.and_then(|value| u32::try_from(value).ok())
    }

    pub(super) fn wrong(&mut self, node: &Node, expected: &str) {
        let found = match &node.content {
            Content::Scalar { .. } if node.is_null() => "nothing",
            Content::Scalar { plain: true, .. } => "a plain value",
            Content::Scalar { plain: false, .. } => "quoted text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        };
        self.push(
            node.position(),
            "wrong_type",
            format!("{expected} is expected here"),
            format!("this is {found}"),
        );
    }
}

//! Files that are applied: of a scenario or of stock rules, told apart by the field at their top.

use jiff::Timestamp;

use crate::diagnostic::{Diagnostic, Position, sort};
use crate::name::ContractName;
use crate::scenario::{self, Draft};
use crate::stock::{self, StockFile};
use crate::text::nearest;
use crate::yaml::{self, Content, Node};

const SCENARIO: &str = "scenario";
const STOCK: &str = "stock";

/// A file as far as it could be understood.
#[derive(Debug)]
pub struct Read {
    /// What it holds; `None` when too little of it can be understood to look any further.
    pub parsed: Option<Parsed>,
    /// Everything that is wrong with its form.
    pub faults: Vec<Diagnostic>,
}

/// What a file holds, without the parts that could not be read.
#[derive(Debug)]
pub enum Parsed {
    /// One scenario.
    Scenario(Box<Draft>),
    /// Stock rules.
    Stock(StockFile),
}

/// Reads a file of either kind; reports everything that is wrong with its form at once.
///
/// `now` tells whether the windows of stock rules will ever open.
pub fn read(file: &str, text: &str, now: Timestamp) -> Read {
    let (tree, mut diagnostics) = yaml::read(file, text);
    let Some(tree) = tree else {
        sort(&mut diagnostics);
        return Read { parsed: None, faults: diagnostics };
    };
    match kind(file, &tree) {
        Ok(SCENARIO) => {
            let (draft, faults) = scenario::read_tree(file, text, &tree, diagnostics);
            Read { parsed: draft.map(|draft| Parsed::Scenario(Box::new(draft))), faults }
        }
        Ok(_) => {
            let (rules, faults) = stock::read_tree(file, &tree, diagnostics, now);
            Read { parsed: Some(Parsed::Stock(rules)), faults }
        }
        Err(found) => {
            diagnostics.push(found);
            sort(&mut diagnostics);
            Read { parsed: None, faults: diagnostics }
        }
    }
}

/// The scenario that a file seems to define which cannot be understood: whoever uses it shall not be told that it does not
/// exist.
pub fn seems_to_define(text: &str) -> Option<ContractName> {
    let line = text.lines().find_map(|line| line.strip_prefix(SCENARIO)?.trim_start().strip_prefix(':'))?;
    line.split('#').next()?.trim().trim_matches(['"', '\'']).parse().ok()
}

fn kind(file: &str, tree: &Node) -> Result<&'static str, Diagnostic> {
    let Content::Map(entries) = &tree.content else {
        let message = "a map with the fields of a scenario, or with `stock:`, is expected here";
        let found = Diagnostic::new(file, tree.position(), "wrong_type", message);
        return Err(found.hint("begin with `scenario: domain/name`, or with `stock:`"));
    };
    let place = |name: &str| entries.iter().find(|entry| entry.name == name).map(|entry| entry.position);
    match (place(SCENARIO), place(STOCK)) {
        (Some(_), None) => Ok(SCENARIO),
        (None, Some(_)) => Ok(STOCK),
        (Some(one), Some(other)) => {
            let message = "a file holds either a scenario or stock rules";
            let found = Diagnostic::new(file, one.max(other), "two_kinds", message);
            Err(found.hint("put each into a file of its own"))
        }
        (None, None) => {
            let near = entries
                .iter()
                .find_map(|entry| nearest(&entry.name, [SCENARIO, STOCK]).map(|near| (entry.position, near)));
            let (at, hint) = match near {
                Some((at, near)) => (at, format!("did you mean `{near}:`?")),
                None => (
                    entries.first().map_or_else(Position::default, |entry| entry.position),
                    "a scenario has `scenario: domain/name` at its top, stock rules stand under `stock:`"
                        .to_owned(),
                ),
            };
            let message = "the file holds neither a scenario nor stock rules";
            Err(Diagnostic::new(file, at, "unknown_kind", message).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Parsed, String> {
        let one = |found: &Diagnostic| format!("{}:{} {}", found.line, found.column, found.code);
        let Read { parsed, faults } = read("file", text, Timestamp::UNIX_EPOCH);
        match parsed {
            Some(parsed) if faults.is_empty() => Ok(parsed),
            _ => Err(faults.iter().map(one).collect::<Vec<_>>().join(", ")),
        }
    }

    #[test]
    fn the_name_of_a_scenario_is_found_in_a_file_that_cannot_be_understood() {
        for (text, expected) in [
            ("scenario: a/b\nsteps: [", Some("a/b")),
            ("# x\nscenario : \"a/b\" # y\nsteps: [", Some("a/b")),
            ("scenario: a b\n", None),
            ("  scenario: a/b\n", None),
            ("scenarios: a/b\n", None),
            ("", None),
        ] {
            assert_eq!(seems_to_define(text).map(|name| name.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_field_at_the_top_tells_what_a_file_holds() {
        let scenario = "scenario: a/b\nowner: { team: T }\nsteps: { s: { uses: c/d } }\noutput: {}\n";
        assert!(matches!(parsed(scenario), Ok(Parsed::Scenario(_))));
        let stock = "stock: { a: { contract: a/b, target: 1 } }\n";
        assert!(matches!(parsed(stock), Ok(Parsed::Stock(_))));
        assert!(matches!(parsed(&format!("\u{feff}# rules\n{stock}")), Ok(Parsed::Stock(_))));
    }

    #[test]
    fn a_file_of_neither_kind_or_of_both_says_so() {
        for (text, expected) in [
            ("", "1:1 empty"),
            ("- stock\n", "1:1 wrong_type"),
            ("stock\n", "1:1 wrong_type"),
            ("owner: { team: T }\nsteps: {}\n", "1:1 unknown_kind"),
            ("# x\nowner: {}\nscenaro: a/b\n", "3:1 unknown_kind"),
            ("{}\n", "1:1 unknown_kind"),
            ("scenario: a/b\nstock: {}\n", "2:1 two_kinds"),
            ("stock: {}\nscenario: a/b\n", "2:1 two_kinds"),
            ("stock: [a\n", "1:8 yaml_syntax"),
        ] {
            assert_eq!(parsed(text).unwrap_err(), expected, "{text}");
        }
        let found = read("file", "scenaro: a/b\n", Timestamp::UNIX_EPOCH);
        assert_eq!(found.faults[0].hint.as_deref(), Some("did you mean `scenario:`?"));
    }
}

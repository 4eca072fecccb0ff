//! Files that are applied: of a scenario or of stock rules, told apart by the field at their top.

use jiff::Timestamp;

use crate::diagnostic::{Diagnostic, Position, sort};
use crate::scenario::{self, Draft};
use crate::stock::{self, StockFile};
use crate::text::nearest;
use crate::yaml::{self, Content, Node};

const SCENARIO: &str = "scenario";
const STOCK: &str = "stock";

/// What a file holds.
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
pub fn parse(file: &str, text: &str, now: Timestamp) -> Result<Parsed, Vec<Diagnostic>> {
    let (tree, mut diagnostics) = yaml::read(file, text);
    let Some(tree) = tree else {
        sort(&mut diagnostics);
        return Err(diagnostics);
    };
    match kind(file, &tree) {
        Ok(SCENARIO) => match scenario::read_tree(file, text, &tree, diagnostics) {
            (Some(draft), found) if found.is_empty() => Ok(Parsed::Scenario(Box::new(draft))),
            (_, found) => Err(found),
        },
        Ok(_) => stock::read_tree(file, &tree, diagnostics, now).map(Parsed::Stock),
        Err(found) => {
            diagnostics.push(found);
            sort(&mut diagnostics);
            Err(diagnostics)
        }
    }
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
        parse("file", text, Timestamp::UNIX_EPOCH)
            .map_err(|found| found.iter().map(one).collect::<Vec<_>>().join(", "))
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
        let found = parse("file", "scenaro: a/b\n", Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(found[0].hint.as_deref(), Some("did you mean `scenario:`?"));
    }
}

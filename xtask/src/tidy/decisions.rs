//! Decision records: numbered once, listed in their index, and each with the same four parts.

use std::collections::BTreeMap;

use super::Fault;
use super::repository::{Repository, TextFile};

const FOLDER: &str = "docs/decisions/";
const INDEX: &str = "docs/decisions/README.md";
const PARTS: &[&str] = &["## Context", "## Decision", "## Consequences", "## State"];

/// Checks names, titles, parts and the index of all records.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let index = repository.file(INDEX).map_or("", |index| &index.text);
    let documents =
        repository.directly_in(FOLDER).filter(|file| file.extension() == "md" && file.path != INDEX);
    for record in documents {
        let Some(number) = number(record) else {
            let what = "the name of the record has no number";
            faults.push(Fault::new(&record.path, 1, what, "call it `NNNN-what-was-decided.md`"));
            continue;
        };
        if let Some(first) = seen.insert(number, &record.path) {
            let what = format!("the number {number} is taken by {first}");
            faults.push(Fault::new(&record.path, 1, what, "take the next free one"));
        }
        if !record.text.starts_with(&format!("# {number}: ")) {
            let what = "the title does not begin with the record's number";
            faults.push(Fault::new(
                &record.path,
                1,
                what,
                format!("begin with `# {number}: What was decided`"),
            ));
        }
        if !index.contains(record.file_name()) {
            faults.push(Fault::new(
                &record.path,
                1,
                "the index does not list it",
                format!("add a line to {INDEX}"),
            ));
        }
        let headings: Vec<&str> = record.text.lines().filter(|line| line.starts_with("## ")).collect();
        if headings != PARTS {
            let what = format!("the headings are not {}", PARTS.join(", "));
            faults.push(Fault::new(&record.path, 1, what, "give it these four, in this order"));
        }
    }
    faults
}

/// The four digits before the first hyphen.
fn number(record: &TextFile) -> Option<&str> {
    let (number, title) = record.file_name().split_once('-')?;
    (number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()) && title != ".md")
        .then_some(number)
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    fn record(title: &str) -> String {
        format!("# {title}\n\n## Context\n\n## Decision\n\n## Consequences\n\n## State\n")
    }

    #[test]
    fn a_complete_record_passes() {
        let fixture = Fixture::new(&[
            ("docs/decisions/0001-one.md", &record("0001: One")),
            ("docs/decisions/README.md", "# Decisions\n- [0001](0001-one.md)\n"),
        ]);
        assert!(fixture.faults(check).is_empty());
    }

    #[test]
    fn each_fault_of_a_record_is_found() {
        let whole = record("0001: One");
        for (name, text, what) in [
            ("one.md", whole.clone(), "has no number"),
            ("0001-one.md", record("One"), "does not begin with the record's number"),
            ("0001-one.md", whole.replace("## State", "## Status"), "headings are not"),
            (
                "0001-one.md",
                whole.replace("## Context\n\n## Decision", "## Decision\n\n## Context"),
                "headings are not",
            ),
        ] {
            let index = format!("# Decisions\n- [x]({name})\n");
            let path = format!("docs/decisions/{name}");
            let faults = Fixture::new(&[(&path, &text), ("docs/decisions/README.md", &index)]).faults(check);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains(what), "{faults:?}");
        }
    }

    #[test]
    fn a_number_is_given_once_and_every_record_is_listed() {
        let fixture = Fixture::new(&[
            ("docs/decisions/0001-one.md", &record("0001: One")),
            ("docs/decisions/0001-two.md", &record("0001: Two")),
            ("docs/decisions/README.md", "# Decisions\n- [0001](0001-one.md)\n"),
        ]);
        let faults = fixture.faults(check);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("0001-two.md:1: the number 0001 is taken by docs/decisions/0001-one.md"));
        assert!(faults[1].contains("0001-two.md:1: the index does not list it"));
    }
}

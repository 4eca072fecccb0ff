//! Openings: every source says in its first line what it is, every document has a title, every file a telling name.

use super::Fault;
use super::repository::Repository;

/// Names under which anything can be put, and in the end is.
const NAMES_OF_NOTHING: &[&str] =
    &["utils", "util", "common", "helpers", "helper", "types", "models", "misc"];

/// Files that are put into others as they are, where only ordinary comments may stand.
const PUT_INTO_OTHERS: &[&str] = &["sdks/rust/tests/doc/landscape.rs"];

/// Files that a program writes in its own words.
const GENERATED: &[&str] = &["web/src/api/schema.d.ts"];

/// Checks the first lines and the names of all files.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in repository.rust_files() {
        let first = file.text.lines().next().unwrap_or("");
        let comment = if PUT_INTO_OTHERS.contains(&file.path.as_str()) { "// " } else { "//! " };
        if !first
            .strip_prefix(comment)
            .is_some_and(|sentence| sentence.trim().len() > 1 && sentence.ends_with('.'))
        {
            faults.push(Fault::new(
                &file.path,
                1,
                "the file does not open with a sentence",
                "begin with one line `//! What this file is.`, full stop included",
            ));
        }
    }
    let scripts = ["ts", "tsx", "js", "mjs"].iter().flat_map(|kind| repository.with_extension(kind));
    for file in scripts.filter(|file| file.path.starts_with("web/")) {
        let first = file.text.lines().next().unwrap_or("");
        let sentence = first.strip_prefix("/** ").and_then(|rest| rest.strip_suffix(" */"));
        if !GENERATED.contains(&file.path.as_str()) && !sentence.is_some_and(|text| text.ends_with('.')) {
            faults.push(Fault::new(
                &file.path,
                1,
                "the file does not open with a sentence",
                "begin with one line `/** What this file is. */`, full stop included",
            ));
        }
    }
    for file in repository.with_extension("md") {
        let first = file.text.lines().next().unwrap_or("");
        if first.strip_prefix("# ").is_none_or(|title| title.trim().is_empty()) {
            faults.push(Fault::new(
                &file.path,
                1,
                "the document has no title",
                "begin with one line `# Title`",
            ));
        }
    }
    for file in repository.files() {
        let mut parts = file.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
        if let Some(name) = parts.find(|part| NAMES_OF_NOTHING.contains(part)) {
            let what = format!("`{name}` says nothing about what is inside");
            faults.push(Fault::new(&file.path, 1, what, "name the file after its noun or its operation"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    #[test]
    fn a_source_opens_with_one_sentence() {
        for (first, fine) in [
            ("//! Leases: the right of one holder to use one dataset.", true),
            ("//! Leases", false),
            ("//! A sentence that goes on", false),
            ("//! .", false),
            ("use std::fmt;", false),
            ("/// Leases.", false),
            ("", false),
        ] {
            let fixture = Fixture::new(&[("crates/model/src/lease.rs", &format!("{first}\n"))]);
            assert_eq!(fixture.faults(check).is_empty(), fine, "{first:?}");
        }
    }

    #[test]
    fn a_source_of_the_pages_opens_with_one_sentence() {
        for (path, first, fine) in [
            ("web/src/lib/times.ts", "/** Times for people. */", true),
            ("web/src/lib/times.ts", "/** Times */", false),
            ("web/src/app/Shell.tsx", "import x from \"y\";", false),
            ("web/src/api/schema.d.ts", "/**", true),
            ("sdks/other/a.ts", "import x;", true),
        ] {
            let fixture = Fixture::new(&[(path, &format!("{first}\n"))]);
            assert_eq!(fixture.faults(check).is_empty(), fine, "{path}: {first:?}");
        }
    }

    #[test]
    fn a_document_opens_with_its_title() {
        for (first, fine) in [("# Glossary", true), ("## Glossary", false), ("#", false), ("Glossary", false)]
        {
            let fixture = Fixture::new(&[("docs/glossary.md", &format!("{first}\n"))]);
            assert_eq!(fixture.faults(check).is_empty(), fine, "{first:?}");
        }
    }

    #[test]
    fn a_name_that_says_nothing_is_refused() {
        let fixture = Fixture::new(&[
            ("crates/model/src/utils.rs", "//! A.\n"),
            ("crates/model/src/common/a.rs", "//! A.\n"),
        ]);
        assert_eq!(fixture.faults(check).len(), 2);
    }
}

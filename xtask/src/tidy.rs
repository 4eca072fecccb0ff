//! Tidy: what the project promises about its own sources, and no compiler checks.
//!
//! Every rule reads the same [`Repository`] and returns all the faults it finds. All faults of all rules are
//! printed at once, one a line: `path:line: what is wrong: what to do`. Warnings are printed and do not fail.

mod arrows;
mod codes;
mod decisions;
mod dependencies;
mod fences;
mod generated;
mod lengths;
mod links;
mod manifests;
mod openings;
mod promises;
mod repository;
mod text;
mod twins;
mod words;

use std::fmt;
use std::path::Path;

use self::repository::Repository;

/// One thing to mend.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    path: String,
    line: usize,
    severity: Severity,
    what: String,
    fix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Error,
    Warning,
}

impl Fault {
    fn new(path: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, severity: Severity::Error, what: what.into(), fix: fix.into() }
    }

    fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, fix, severity } = self;
        let mark = if *severity == Severity::Warning { "warning: " } else { "" };
        write!(f, "{path}:{line}: {mark}{what}: {fix}")
    }
}

type Rule = fn(&Repository) -> Vec<Fault>;

/// Every rule, in the order in which its file can be read.
const RULES: &[Rule] = &[
    arrows::check,
    fences::check,
    openings::check,
    words::check,
    lengths::check,
    text::check,
    twins::check,
    twins::check_tests,
    links::check,
    decisions::check,
    codes::check,
    promises::check,
    dependencies::check,
    generated::check,
];

/// Checks the repository and prints what is wrong. `true` when nothing is; warnings do not count.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let repository = Repository::read(root)?;
    let mut faults: Vec<Fault> = RULES.iter().flat_map(|rule| rule(&repository)).collect();
    faults.sort();
    for fault in &faults {
        println!("{fault}");
    }
    let warnings = faults.iter().filter(|fault| fault.severity == Severity::Warning).count();
    let errors = faults.len() - warnings;
    println!("tidy: {} files, {errors} faults, {warnings} warnings", repository.files().len());
    Ok(errors == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_with_place_and_advice() {
        let fault = Fault::new("docs/api.md", 7, "dead link", "mend it");
        assert_eq!(fault.to_string(), "docs/api.md:7: dead link: mend it");
        assert_eq!(fault.warning().to_string(), "docs/api.md:7: warning: dead link: mend it");
    }

    #[test]
    fn faults_fail_the_run_and_warnings_do_not() {
        let fine = repository::Fixture::new(&[("docs/README.md", "# A\n")]);
        assert!(run(fine.root()).expect("the fixture can be read"));
        let broken = repository::Fixture::new(&[("docs/README.md", "no title\n")]);
        assert!(!run(broken.root()).expect("the fixture can be read"));
        let long = "fn x() {}\n".repeat(450);
        let warned = repository::Fixture::new(&[("crates/model/src/a.rs", &format!("//! A.\n{long}"))]);
        assert!(run(warned.root()).expect("the fixture can be read"));
    }
}

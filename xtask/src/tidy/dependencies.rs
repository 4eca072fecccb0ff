//! Dependencies: every third-party crate of the workspace is used, and explained in `docs/dependencies.md`.
//!
//! The packages of the pages are explained there as well.

use std::collections::BTreeMap;

use regex::Regex;
use toml::{Table, Value};

use super::Fault;
use super::manifests::{self, Dependency, Package};
use super::repository::{Repository, TextFile};

const DOCUMENT: &str = "docs/dependencies.md";
const MANIFEST: &str = "Cargo.toml";
const PAGES_MANIFEST: &str = "web/package.json";
/// The heading of the document below which packages of the pages stand, and no crates.
const PAGES_HEADING: &str = "## Pages";

/// Compares the workspace's table with the rows of the document.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let Some(manifest) = repository.file(MANIFEST) else { return Vec::new() };
    let table: Table = manifest.text.parse().unwrap_or_default();
    let declared =
        table.get("workspace").and_then(|workspace| workspace.get("dependencies")).and_then(Value::as_table);
    let Some(declared) = declared else { return Vec::new() };
    let ours = |value: &Value| value.get("path").is_some();
    let explained = explained(repository, |heading| heading != PAGES_HEADING);
    let mut faults = check_pages(repository);
    let packages = manifests::packages(repository);
    for name in declared.iter().filter(|(_, value)| !ours(value)).map(|(name, _)| name) {
        let line = line_of(manifest, name);
        if !explained.contains_key(name.as_str()) {
            let what = format!("nobody says why `{name}` is here");
            faults.push(Fault::new(MANIFEST, line, what, format!("add a row to {DOCUMENT}")));
        }
        let used = |package: &Package<'_>| package.dependencies.iter().any(|used| used.name == *name);
        if !packages.iter().any(used) {
            let what = format!("no package uses `{name}`");
            faults.push(Fault::new(MANIFEST, line, what, "remove it until one does").warning());
        }
    }
    for package in &packages {
        faults.extend(unused(repository, &packages, package));
    }
    for (name, line) in explained {
        if !declared.contains_key(name) {
            let what = format!("`{name}` is no dependency of the workspace");
            faults.push(Fault::new(
                DOCUMENT,
                line,
                what,
                "remove the row, or name the crate as Cargo.toml does",
            ));
        }
    }
    faults
}

/// Dependencies of a package that none of its sources names.
fn unused(repository: &Repository, packages: &[Package<'_>], package: &Package<'_>) -> Vec<Fault> {
    let owns = |file: &&TextFile| {
        manifests::package_of(packages, &file.path).is_some_and(|owner| owner.folder() == package.folder())
    };
    let sources: Vec<&TextFile> = repository.rust_files().filter(owns).collect();
    let named = |dependency: &str| {
        let name = manifests::crate_name(dependency);
        let pattern = Regex::new(&format!(r"\b{}\b", regex::escape(&name))).expect("the name is escaped");
        sources.iter().any(|file| pattern.is_match(&file.text))
    };
    // A package that depends on itself does so to give its tests a feature.
    let others = package.dependencies.iter().filter(|dependency| dependency.name != package.name);
    let silent = others.filter(|dependency| !named(&dependency.name));
    let fault = |dependency: &Dependency| {
        let what = format!("no source of `{}` names `{}`", package.name, dependency.name);
        Fault::new(&package.manifest.path, dependency.line, what, "remove the dependency").warning()
    };
    silent.map(fault).collect()
}

fn line_of(manifest: &TextFile, name: &str) -> usize {
    let declares = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '.', '=']));
    manifest.lines().find(|(_, line)| declares(line)).map_or(1, |(number, _)| number)
}

/// Compares the packages of the pages with their rows of the document.
fn check_pages(repository: &Repository) -> Vec<Fault> {
    let Some(manifest) = repository.file(PAGES_MANIFEST) else { return Vec::new() };
    let explained = explained(repository, |heading| heading == PAGES_HEADING);
    let declared = packages_of_the_pages(manifest);
    let silent = declared.iter().filter(|(name, _)| !explained.contains_key(*name)).map(|(name, line)| {
        let what = format!("nobody says why `{name}` is here");
        Fault::new(PAGES_MANIFEST, *line, what, format!("add a row to {DOCUMENT} under `{PAGES_HEADING}`"))
    });
    let gone = explained.iter().filter(|(name, _)| !declared.contains_key(*name)).map(|(name, line)| {
        let what = format!("`{name}` is no dependency of the pages");
        Fault::new(
            DOCUMENT,
            *line,
            what,
            format!("remove the row, or name the package as {PAGES_MANIFEST} does"),
        )
    });
    silent.chain(gone).collect()
}

/// The names in the tables of dependencies, with their lines; the file is written by npm, one name a line.
fn packages_of_the_pages(manifest: &TextFile) -> BTreeMap<&str, usize> {
    let mut packages = BTreeMap::new();
    let mut inside = false;
    for (number, line) in manifest.lines() {
        let line = line.trim();
        if line.ends_with("ependencies\": {") {
            inside = true;
        } else if line.starts_with('}') {
            inside = false;
        } else if inside && let Some(name) = line.split('"').nth(1) {
            packages.insert(name, number);
        }
    }
    packages
}

/// The names in backticks in the first column of the document's tables, with their lines: of those parts whose heading counts.
fn explained(repository: &Repository, counts: fn(&str) -> bool) -> BTreeMap<&str, usize> {
    let mut explained = BTreeMap::new();
    let mut heading = "";
    for (number, line) in repository.file(DOCUMENT).into_iter().flat_map(|document| document.lines()) {
        if line.starts_with("## ") {
            heading = line;
        }
        if !counts(heading) {
            continue;
        }
        let first = line.strip_prefix('|').and_then(|row| row.split('|').next()).unwrap_or("");
        for name in first.split('`').skip(1).step_by(2) {
            explained.insert(name, number);
        }
    }
    explained
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    const MANIFEST_TEXT: &str = "[workspace.dependencies]\nsixpack = { path = \"sdks/rust\" }\n\nbytes = \"1\"\nserde = { version = \"1\" }\n";
    const USER: &str =
        "[package]\nname = \"a\"\n[dependencies]\nbytes = \"1\"\n[dev-dependencies]\nserde = \"1\"\n";
    const DOCUMENT_TEXT: &str = "# D\n| crate | why |\n|---|---|\n| `bytes`, `serde` | why not `axum` |\n";

    fn faults(user: &str, document: &str) -> Vec<String> {
        let files = [
            ("Cargo.toml", MANIFEST_TEXT),
            ("a/Cargo.toml", user),
            ("a/src/lib.rs", "use {bytes, serde};"),
            (DOCUMENT, document),
        ];
        Fixture::new(&files).faults(check)
    }

    #[test]
    fn explained_crates_pass_and_ours_need_no_explanation() {
        assert!(faults(USER, DOCUMENT_TEXT).is_empty());
    }

    #[test]
    fn silent_and_superfluous_rows_are_found() {
        let faults = faults(USER, &DOCUMENT_TEXT.replace("`serde`", "`gone`"));
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("Cargo.toml:5: nobody says why `serde` is here"));
        assert!(faults[1].starts_with("docs/dependencies.md:4: `gone` is no dependency"));
    }

    #[test]
    fn packages_of_the_pages_are_explained_where_they_belong() {
        let manifest = "{\n  \"name\": \"a\",\n  \"dependencies\": {\n    \"react\": \"19.0.0\",\n    \"yaml\": \"2.0.0\"\n  }\n}\n";
        let document = format!(
            "{DOCUMENT_TEXT}\n{PAGES_HEADING}\n\n| package | why |\n|---|---|\n| `react` | |\n| `vue` | |\n"
        );
        let files = [
            ("Cargo.toml", MANIFEST_TEXT),
            ("a/Cargo.toml", USER),
            ("a/src/lib.rs", "use {bytes, serde};"),
            (PAGES_MANIFEST, manifest),
            (DOCUMENT, &document),
        ];
        let faults = Fixture::new(&files).faults(check);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("web/package.json:5: nobody says why `yaml` is here"));
        assert!(faults[1].contains("`vue` is no dependency of the pages"));
    }

    #[test]
    fn a_crate_that_nobody_uses_is_warned_of() {
        let faults = faults("[package]\nname = \"a\"\n[dependencies]\nserde = \"1\"\n", DOCUMENT_TEXT);
        assert_eq!(faults, ["Cargo.toml:4: warning: no package uses `bytes`: remove it until one does"]);
    }

    #[test]
    fn a_dependency_that_no_source_names_is_warned_of() {
        let user = format!("{USER}serde-other = \"1\"\n");
        let faults = faults(&user, DOCUMENT_TEXT);
        assert_eq!(
            faults,
            ["a/Cargo.toml:7: warning: no source of `a` names `serde-other`: remove the dependency"]
        );
    }
}

//! The `Cargo.toml` files as far as the rules need them: who is called what, and who depends on whom.

use toml::Table;

use super::repository::{Repository, TextFile};

/// One package of the workspace.
pub(crate) struct Package<'a> {
    pub(crate) name: String,
    pub(crate) manifest: &'a TextFile,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a package's dependency tables.
pub(crate) struct Dependency {
    /// The package's name, also when it is used under another one.
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Only tests, examples and benchmarks see it.
    pub(crate) only_tests: bool,
}

impl Package<'_> {
    /// The folder of the package from the top folder, ending with a slash.
    pub(crate) fn folder(&self) -> &str {
        self.manifest.path.trim_end_matches("Cargo.toml")
    }
}

/// All packages, in the order of their folders. A manifest that is not TOML is left out: cargo refuses it first.
pub(crate) fn packages(repository: &Repository) -> Vec<Package<'_>> {
    let manifests = repository.files().iter().filter(|file| file.file_name() == "Cargo.toml");
    manifests.filter_map(package).collect()
}

/// The package that a file belongs to.
pub(crate) fn package_of<'a, 'b>(packages: &'b [Package<'a>], path: &str) -> Option<&'b Package<'a>> {
    packages
        .iter()
        .filter(|package| path.starts_with(package.folder()))
        .max_by_key(|package| package.folder().len())
}

/// The name under which sources use a package.
pub(crate) fn crate_name(package: &str) -> String {
    package.replace('-', "_")
}

fn package(manifest: &TextFile) -> Option<Package<'_>> {
    let table: Table = manifest.text.parse().ok()?;
    let name = table.get("package")?.get("name")?.as_str()?.to_owned();
    let mut dependencies = Vec::new();
    collect(manifest, &table, &mut dependencies);
    for target in
        table.get("target").and_then(|targets| targets.as_table()).into_iter().flat_map(Table::values)
    {
        if let Some(target) = target.as_table() {
            collect(manifest, target, &mut dependencies);
        }
    }
    Some(Package { name, manifest, dependencies })
}

fn collect(manifest: &TextFile, table: &Table, into: &mut Vec<Dependency>) {
    for (section, only_tests) in
        [("dependencies", false), ("dev-dependencies", true), ("build-dependencies", false)]
    {
        for (key, value) in table.get(section).and_then(|section| section.as_table()).into_iter().flatten() {
            let name = value.get("package").and_then(|name| name.as_str()).unwrap_or(key).to_owned();
            into.push(Dependency { name, line: line_of(manifest, section, key), only_tests });
        }
    }
}

/// The line of a key in the section whose header ends with `section`; 1 when it is written in an unusual way.
fn line_of(manifest: &TextFile, section: &str, key: &str) -> usize {
    let mut inside = false;
    for (number, line) in manifest.lines() {
        if let Some(header) = line.trim().strip_prefix('[') {
            let header = header.trim_end_matches(']');
            if header.strip_suffix(key).is_some_and(|rest| rest.ends_with(&format!("{section}."))) {
                return number;
            }
            inside = header == section || header.ends_with(&format!(".{section}"));
        } else if inside && line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '.', '='])) {
            return number;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    #[test]
    fn every_kind_of_dependency_is_found_with_its_line() {
        let fixture = Fixture::new(&[(
            "a/Cargo.toml",
            "[package]\nname = \"a\"\n[dependencies]\nx.workspace = true\ny = { package = \"real-y\", version = \"1\" }\n\
             [dev-dependencies]\nz = \"1\"\n[target.'cfg(unix)'.dependencies]\nu = \"1\"\n",
        )]);
        let repository = Repository::read(fixture.root()).unwrap();
        let packages = packages(&repository);
        let found: Vec<_> =
            packages[0].dependencies.iter().map(|d| (d.name.as_str(), d.line, d.only_tests)).collect();
        assert_eq!(found, [("x", 4, false), ("real-y", 5, false), ("z", 7, true), ("u", 9, false)]);
    }

    #[test]
    fn a_file_belongs_to_the_innermost_package() {
        let fixture = Fixture::new(&[
            ("Cargo.toml", "[package]\nname = \"top\"\n"),
            ("a/Cargo.toml", "[package]\nname = \"a\"\n"),
        ]);
        let repository = Repository::read(fixture.root()).unwrap();
        let packages = packages(&repository);
        assert_eq!(package_of(&packages, "a/src/lib.rs").unwrap().name, "a");
        assert_eq!(package_of(&packages, "b/src/lib.rs").unwrap().name, "top");
    }
}

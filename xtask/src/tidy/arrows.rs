//! Arrows: which of our packages may use which.
//!
//! ```text
//! cli --> server --> engine --> storage --> model        shop, verify --> sdk
//!  |  \------------> engine, storage, model, sdk         power-cut --> storage, model
//! ```
//!
//! A new arrow is a decision: it changes this table and gets a record in `docs/decisions`.

use regex::Regex;

use super::Fault;
use super::manifests::{self, Package};
use super::repository::{Repository, code_of};

struct Arrows {
    package: &'static str,
    may_use: &'static [&'static str],
    /// What its tests may use besides, because they run against real parts and never against imitations.
    tests_may_use: &'static [&'static str],
}

const ARROWS: &[Arrows] = &[
    Arrows { package: "sixpack-model", may_use: &[], tests_may_use: &[] },
    Arrows { package: "sixpack-storage", may_use: &["sixpack-model"], tests_may_use: &[] },
    Arrows { package: "sixpack-engine", may_use: &["sixpack-storage", "sixpack-model"], tests_may_use: &[] },
    Arrows {
        package: "sixpack-server",
        may_use: &["sixpack-engine", "sixpack-model"],
        tests_may_use: &["sixpack-storage"],
    },
    Arrows {
        package: "sixpack-cli",
        may_use: &["sixpack", "sixpack-server", "sixpack-engine", "sixpack-storage", "sixpack-model"],
        tests_may_use: &[],
    },
    Arrows {
        package: "sixpack",
        may_use: &[],
        tests_may_use: &["sixpack-server", "sixpack-engine", "sixpack-storage", "sixpack-model"],
    },
    Arrows { package: "shop", may_use: &["sixpack"], tests_may_use: &[] },
    Arrows { package: "verify", may_use: &["sixpack"], tests_may_use: &[] },
    // Its example opens a real store over what a power cut has left.
    Arrows { package: "power-cut", may_use: &["sixpack-storage", "sixpack-model"], tests_may_use: &[] },
    Arrows { package: "xtask", may_use: &[], tests_may_use: &[] },
];

/// Compares manifests and sources with the table.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let packages = manifests::packages(repository);
    let mut faults = Vec::new();
    for package in &packages {
        match ARROWS.iter().find(|arrows| arrows.package == package.name) {
            Some(arrows) => {
                check_manifest(package, arrows, &mut faults);
                check_sources(repository, &packages, package, arrows, &mut faults);
            }
            None => faults.push(Fault::new(
                &package.manifest.path,
                1,
                format!("the package `{}` stands in no table of arrows", package.name),
                "say in xtask/src/tidy/arrows.rs whom it may use",
            )),
        }
    }
    faults
}

fn check_manifest(package: &Package<'_>, arrows: &Arrows, faults: &mut Vec<Fault>) {
    for dependency in package.dependencies.iter().filter(|dependency| is_ours(&dependency.name)) {
        if !arrows.allow(&dependency.name, dependency.only_tests) {
            faults.push(forbidden(&package.manifest.path, dependency.line, &package.name, &dependency.name));
        }
    }
}

fn check_sources(
    repository: &Repository,
    packages: &[Package<'_>],
    package: &Package<'_>,
    arrows: &Arrows,
    faults: &mut Vec<Fault>,
) {
    let others: Vec<(&str, Regex)> = ARROWS
        .iter()
        .map(|other| other.package)
        .filter(|other| *other != package.name)
        .map(|other| (other, path_into(&manifests::crate_name(other))))
        .collect();
    for file in repository.rust_files() {
        if manifests::package_of(packages, &file.path).map(|owner| &owner.name) != Some(&package.name) {
            continue;
        }
        let product = file.product_lines().map(|line| (line, false));
        for ((number, line), only_tests) in product.chain(file.test_lines().map(|line| (line, true))) {
            for (other, pattern) in &others {
                if pattern.is_match(&code_of(line)) && !arrows.allow(other, only_tests) {
                    faults.push(forbidden(&file.path, number, &package.name, other));
                }
            }
        }
    }
}

impl Arrows {
    fn allow(&self, other: &str, only_tests: bool) -> bool {
        other == self.package
            || self.may_use.contains(&other)
            || (only_tests && self.tests_may_use.contains(&other))
    }
}

/// Matches a path that begins at a crate: `name::…` or `use name;`, but not `crate::name::…`.
pub(crate) fn path_into(crate_name: &str) -> Regex {
    let name = regex::escape(crate_name);
    Regex::new(&format!(r"(?:^|[^\w:.]){name}::|^\s*(?:pub )?use {name}(?:;| as )"))
        .expect("the name is escaped")
}

fn is_ours(name: &str) -> bool {
    ARROWS.iter().any(|arrows| arrows.package == name)
}

fn forbidden(path: &str, line: usize, from: &str, to: &str) -> Fault {
    Fault::new(
        path,
        line,
        format!("`{from}` uses `{to}`, and no arrow points that way"),
        "go through the layer between, or decide on a new arrow (xtask/src/tidy/arrows.rs, docs/decisions)",
    )
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{rest}")
    }

    #[test]
    fn arrows_of_the_table_are_allowed() {
        let fixture = Fixture::new(&[
            (
                "crates/server/Cargo.toml",
                &manifest("sixpack-server", "[dependencies]\nsixpack-engine.workspace = true\n"),
            ),
            ("crates/server/src/lib.rs", "use sixpack_engine::Engine;\n"),
            ("crates/model/Cargo.toml", &manifest("sixpack-model", "")),
        ]);
        assert!(fixture.faults(check).is_empty());
    }

    #[test]
    fn an_arrow_upwards_is_found_in_the_manifest_and_in_the_sources() {
        let fixture = Fixture::new(&[
            (
                "crates/server/Cargo.toml",
                &manifest("sixpack-server", "[dependencies]\nsixpack-storage.workspace = true\n"),
            ),
            ("crates/server/src/lib.rs", "//! Server.\nfn f() { sixpack_storage::open() }\n"),
        ]);
        let faults = fixture.faults(check);
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("crates/server/Cargo.toml:4: `sixpack-server` uses `sixpack-storage`"));
        assert!(faults[1].starts_with("crates/server/src/lib.rs:2: "));
    }

    #[test]
    fn tests_may_use_the_real_store_and_the_product_may_not() {
        let tests = "//! X.\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    use sixpack_storage::Sqlite;\n}\n";
        let fixture = Fixture::new(&[
            (
                "crates/server/Cargo.toml",
                &manifest("sixpack-server", "[dev-dependencies]\nsixpack-storage.workspace = true\n"),
            ),
            ("crates/server/src/lib.rs", tests),
        ]);
        assert!(fixture.faults(check).is_empty());
    }

    #[test]
    fn a_package_outside_the_table_is_a_fault() {
        let fixture = Fixture::new(&[("crates/extra/Cargo.toml", &manifest("sixpack-extra", ""))]);
        assert_eq!(fixture.faults(check).len(), 1);
    }

    #[test]
    fn comments_and_own_modules_are_no_arrows() {
        let fixture = Fixture::new(&[
            ("crates/model/Cargo.toml", &manifest("sixpack-model", "")),
            (
                "crates/model/src/lib.rs",
                "//! See sixpack_storage::Store.\nuse crate::shop::Thing; // shop::x\n",
            ),
        ]);
        assert!(fixture.faults(check).is_empty());
    }
}

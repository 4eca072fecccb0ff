//! Twins: both databases have the same files with the same functions in the same order, to be read side by side.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::Fault;
use super::repository::{Repository, TextFile};

/// Where the traits lie, one file a noun.
const TRAITS: &str = "crates/storage/src/";
const SQLITE: &str = "crates/storage/src/sqlite/";
const POSTGRES: &str = "crates/storage/src/postgres/";

/// The list of tests of a package, and the same once more for those that are run over PostgreSQL as well.
const OVER_SQLITE: &str = "tests/it/main.rs";
const OVER_POSTGRES: &str = "tests/postgres/main.rs";

/// Files that only one of the databases needs, with the reason.
const ALONE: &[(&str, &str)] = &[
    ("crates/storage/src/postgres/address.rs", "a folder is named by its path"),
    ("crates/storage/src/postgres/board.rs", "one server tells itself nothing"),
    ("crates/storage/src/postgres/epoch.rs", "a folder is restored by whoever has it to itself"),
    ("crates/storage/src/postgres/listening.rs", "one server tells itself nothing"),
    (
        "crates/storage/src/postgres/claimants.rs",
        "a claim behind a write costs the one writer of SQLite no commit",
    ),
    ("crates/storage/src/postgres/claiming.rs", "to take beside others is more than to take"),
    ("crates/storage/src/postgres/connections.rs", "a file is opened by whoever uses it"),
    (
        "crates/storage/src/postgres/counting.rs",
        "a request that is held is read with the lock, of which SQLite needs none",
    ),
    (
        "crates/storage/src/postgres/decisions.rs",
        "the one writer of SQLite carries all that waits out by one commit",
    ),
    ("crates/storage/src/postgres/keys.rs", "nobody stands between a process and its file"),
    ("crates/storage/src/postgres/loading.rs", "a read of SQLite costs no round trip"),
    ("crates/storage/src/postgres/locks.rs", "the one writer of SQLite needs none"),
    ("crates/storage/src/postgres/marks.rs", "SQLite leaves nothing dead in an index"),
    ("crates/storage/src/postgres/pooler.rs", "nobody stands between a process and its file"),
    ("crates/storage/src/postgres/presence.rs", "whoever has the folder is the only one"),
    (
        "crates/storage/src/postgres/starting.rs",
        "the one writer of SQLite carries all that waits out by one commit",
    ),
    (
        "crates/storage/src/postgres/stocking.rs",
        "the one writer of SQLite carries all that waits out by one commit",
    ),
    ("crates/storage/src/postgres/telling.rs", "one server tells itself nothing"),
    ("crates/storage/src/postgres/time.rs", "the time of SQLite is that of the process"),
    ("crates/storage/src/postgres/tls.rs", "nothing of SQLite leaves the process"),
    (
        "crates/storage/src/postgres/together.rs",
        "the one writer of SQLite carries all that waits out by one commit",
    ),
    ("crates/storage/src/postgres/turns.rs", "one writer takes what comes in turn"),
    ("crates/storage/src/postgres/values.rs", "SQLite waits for nothing, and borrows"),
    ("crates/storage/src/postgres/versions.rs", "SQLite runs them on the one connection that writes"),
    ("crates/storage/src/sqlite/backup.rs", "PostgreSQL has tools of its own for that"),
    ("crates/storage/src/sqlite/checkpointer.rs", "PostgreSQL looks after its own log"),
];

/// Compares the two folders once there are two: they have the same files, and those that are named after a noun with traits
/// offer the same functions. How a database is opened and written to differs by nature.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let traits: BTreeSet<&str> = repository.directly_in(TRAITS).map(TextFile::file_name).collect();
    let files = |folder: &'static str| -> BTreeSet<&str> {
        repository.directly_in(folder).map(TextFile::file_name).collect()
    };
    let (sqlite, postgres) = (files(SQLITE), files(POSTGRES));
    if sqlite.is_empty() || postgres.is_empty() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for name in sqlite.union(&postgres) {
        let (left, right) = (format!("{SQLITE}{name}"), format!("{POSTGRES}{name}"));
        let may_be_alone = |path: &str| ALONE.iter().any(|(alone, _)| *alone == path);
        match (repository.file(&left), repository.file(&right)) {
            (Some(left), Some(right)) if traits.contains(name) => faults.extend(compare(left, right)),
            (Some(_), Some(_)) => {}
            (Some(_), None) if may_be_alone(&left) => {}
            (Some(_), None) => faults.push(alone(&left, &right)),
            (None, _) if may_be_alone(&right) => {}
            (None, _) => faults.push(alone(&right, &left)),
        }
    }
    faults
}

/// Tests that are run over both databases are listed twice, once for each: none may be left out of the second list.
pub(crate) fn check_tests(repository: &Repository) -> Vec<Fault> {
    let lists = repository.files().iter().filter(|file| file.path.ends_with(OVER_SQLITE));
    let mut faults = Vec::new();
    for ours in lists {
        let other = format!("{}{OVER_POSTGRES}", &ours.path[..ours.path.len() - OVER_SQLITE.len()]);
        let Some(theirs) = repository.file(&other) else { continue };
        let there: BTreeSet<&str> = modules(theirs).map(|(_, name)| name).collect();
        for (line, name) in modules(ours).filter(|(_, name)| !there.contains(name)) {
            let what = format!("the tests of `{name}` are not run over PostgreSQL");
            faults.push(Fault::new(&ours.path, line, what, format!("list the module in {other} as well")));
        }
    }
    faults
}

fn modules(file: &TextFile) -> impl Iterator<Item = (usize, &str)> {
    file.lines().filter_map(|(number, line)| Some((number, line.strip_prefix("mod ")?.strip_suffix(';')?)))
}

fn alone(here: &str, there: &str) -> Fault {
    Fault::new(
        here,
        1,
        "the other database has no such file",
        format!("write {there} as well, or say in `ALONE` why not"),
    )
}

fn compare(left: &TextFile, right: &TextFile) -> Option<Fault> {
    let (ours, theirs) = (offered(left), offered(right));
    let names =
        |functions: &[(usize, String)]| functions.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
    if names(&ours) == names(&theirs) {
        return None;
    }
    let differs = ours.iter().zip(&theirs).find(|((_, ours), (_, theirs))| ours != theirs);
    let (line, what) = match differs {
        Some(((_, ours), (line, theirs))) => {
            (*line, format!("`{theirs}` stands where {SQLITE} has `{ours}`"))
        }
        None if ours.len() > theirs.len() => (1, format!("`{}` is missing", ours[theirs.len()].1)),
        None => (theirs[ours.len()].0, format!("`{}` is not in {SQLITE}", theirs[ours.len()].1)),
    };
    Some(Fault::new(&right.path, line, what, "offer the same functions in the same order in both"))
}

/// What a file offers, with lines: public functions, and those of a trait that it implements.
fn offered(file: &TextFile) -> Vec<(usize, String)> {
    static FUNCTION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?: {4})?(pub(?:\([a-z: ]+\))? )?(?:const |async |unsafe )*fn (\w+)")
            .expect("the pattern is well-formed")
    });
    let mut inside_trait = false;
    let mut functions = Vec::new();
    for (number, line) in file.product_lines() {
        if line.starts_with("impl") {
            inside_trait = line.contains(" for ");
        } else if line == "}" {
            inside_trait = false;
        }
        if let Some(found) = FUNCTION.captures(line).filter(|found| inside_trait || found.get(1).is_some()) {
            functions.push((number, found[2].to_owned()));
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    const LEASES: &str =
        "impl Leases for A {\n    async fn grant(&self) {\n    }\n    fn renew(&self) {}\n}\nfn own() {}\n";

    /// What the rule finds when `tokens` and `events` are nouns.
    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let traits =
            ["crates/storage/src/tokens.rs", "crates/storage/src/events.rs"].map(|path| (path, "//! T.\n"));
        Fixture::new(&[&traits, files].concat()).faults(check)
    }

    #[test]
    fn one_database_alone_has_no_twin() {
        assert!(faults(&[("crates/storage/src/sqlite/tokens.rs", LEASES)]).is_empty());
    }

    #[test]
    fn private_functions_and_machinery_may_differ() {
        let faults = faults(&[
            ("crates/storage/src/sqlite/tokens.rs", LEASES),
            ("crates/storage/src/sqlite/writer.rs", "pub fn write() {}\n"),
            ("crates/storage/src/postgres/writer.rs", "pub fn carry_out() {}\n"),
            ("crates/storage/src/postgres/keys.rs", "nobody stands between a process and its file"),
            ("crates/storage/src/postgres/locks.rs", "the one writer of SQLite needs none"),
            ("crates/storage/src/postgres/pooler.rs", "nobody stands between a process and its file"),
            ("crates/storage/src/postgres/presence.rs", "whoever has the folder is the only one"),
            (
                "crates/storage/src/postgres/starting.rs",
                "the one writer of SQLite carries all that waits out by one commit",
            ),
            ("crates/storage/src/postgres/telling.rs", "one server tells itself nothing"),
            ("crates/storage/src/postgres/time.rs", "the time of SQLite is that of the process"),
            ("crates/storage/src/postgres/tls.rs", "pub fn connector() {}\n"),
            ("crates/storage/src/postgres/tokens.rs", &LEASES.replace("own", "other")),
        ]);
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn a_module_of_tests_is_run_over_both_databases() {
        let ours = ("crates/engine/tests/it/main.rs", "mod leases;\nmod town;\n");
        let tests = |theirs: &'static str| {
            let theirs = ("crates/engine/tests/postgres/main.rs", theirs);
            Fixture::new(&[ours, theirs, ("crates/cli/tests/it/main.rs", "mod program;\n")])
                .faults(check_tests)
        };
        assert!(tests("mod more;\nmod town;\nmod leases;\n").is_empty());
        assert_eq!(tests("mod town;\n").len(), 1);
    }

    #[test]
    fn a_missing_file_is_found_on_either_side() {
        let faults = faults(&[
            ("crates/storage/src/sqlite/tokens.rs", LEASES),
            ("crates/storage/src/postgres/events.rs", LEASES),
        ]);
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn machinery_has_a_twin_or_a_reason() {
        let faults = faults(&[
            ("crates/storage/src/sqlite/tokens.rs", LEASES),
            ("crates/storage/src/postgres/tokens.rs", LEASES),
            ("crates/storage/src/postgres/magic.rs", "pub fn magic() {}\n"),
        ]);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn missing_added_and_swapped_functions_are_found() {
        let swapped = "impl Leases for B {\n    fn renew(&self) {}\n    async fn grant(&self) {}\n}\n";
        let missing = "impl Leases for B {\n    async fn grant(&self) {}\n}\n";
        let added = format!("{LEASES}pub(super) fn extra() {{}}\n");
        for (other, line) in [(swapped, 2), (missing, 1), (added.as_str(), 7)] {
            let faults = faults(&[
                ("crates/storage/src/sqlite/tokens.rs", LEASES),
                ("crates/storage/src/postgres/tokens.rs", other),
            ]);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(
                faults[0].starts_with(&format!("crates/storage/src/postgres/tokens.rs:{line}: ")),
                "{faults:?}"
            );
        }
    }
}

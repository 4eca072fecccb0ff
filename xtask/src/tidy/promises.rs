//! Promises: each one on the page of guarantees has its limit, and a command that tests it and would run something.
//!
//! The name of a test that was renamed would select nothing, and `cargo test` is content with that.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::Fault;
use super::repository::{Repository, TextFile};

const PAGE: &str = "docs/guarantees.md";

/// Where the list of what is not promised begins; nothing behind it has a test.
const NOT_YET: &str = "## Not promised yet";

/// Cases that a list turns into tests, one a line.
const LIST_OF_CASES: &str = "crates/storage/src/conformance/suite.rs";

/// The commands of our own, one variant each.
const COMMANDS: &str = "xtask/src/main.rs";

/// What the names of tests stand behind.
const TESTS: &str = "cargo test --workspace --tests";

/// What stands before the name of one of our own commands.
const OWN: &str = "cargo xtask ";

/// One promise, as far as it was read.
struct Promise<'a> {
    line: usize,
    title: &'a str,
    has_limit: bool,
    commands: Vec<(usize, String)>,
}

/// Reads the page, and looks for every test and command that it names.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    let Some(page) = repository.file(PAGE) else { return Vec::new() };
    let (tests, commands) = (tests(repository), commands(repository));
    let mut faults = Vec::new();
    for promise in promises(page) {
        let mut fault = |line: usize, what: String, fix: &str| faults.push(Fault::new(PAGE, line, what, fix));
        if !promise.has_limit {
            let what = format!("`{}` does not say where it ends", promise.title);
            fault(promise.line, what, "begin a paragraph with `**Limit.**`");
        }
        if promise.commands.is_empty() {
            let what = format!("nothing tests `{}`", promise.title);
            fault(
                promise.line,
                what,
                "name the command in a block of `sh`, or move it to what is not promised yet",
            );
        }
        for (line, command) in &promise.commands {
            for what in wrong_with(command, &tests, &commands) {
                fault(*line, what, "name what there is");
            }
        }
    }
    faults
}

fn wrong_with(command: &str, tests: &BTreeSet<&str>, commands: &BTreeSet<String>) -> Vec<String> {
    if let Some(own) = command.strip_prefix(OWN) {
        let name = own.split(' ').next().unwrap_or_default();
        let known = commands.contains(name);
        return if known { Vec::new() } else { vec![format!("there is no command `{OWN}{name}`")] };
    }
    let Some(rest) = command.strip_prefix(TESTS) else {
        return vec![format!("`{command}` is neither `{TESTS}` nor `{OWN}…`")];
    };
    let names = rest.split(' ').filter(|name| !name.is_empty() && *name != "--");
    names.filter(|name| !tests.contains(name)).map(|name| format!("there is no test `{name}`")).collect()
}

fn promises(page: &TextFile) -> Vec<Promise<'_>> {
    let mut promises: Vec<Promise<'_>> = Vec::new();
    let mut inside = false;
    let mut goes_on: Option<(usize, String)> = None;
    for (number, line) in page.lines().take_while(|(_, line)| *line != NOT_YET) {
        if let Some(title) = line.strip_prefix("### ") {
            promises.push(Promise { line: number, title, has_limit: false, commands: Vec::new() });
        }
        let Some(promise) = promises.last_mut() else { continue };
        promise.has_limit |= line.starts_with("**Limit.** ");
        if line.starts_with("```") {
            inside = line == "```sh";
            continue;
        }
        if !inside {
            continue;
        }
        let (begun, before) = goes_on.take().unwrap_or((number, String::new()));
        let command = format!("{before}{}", line.trim().trim_end_matches('\\'));
        match line.ends_with('\\') {
            true => goes_on = Some((begun, command)),
            false => promise.commands.push((begun, command)),
        }
    }
    promises
}

/// The names of all tests: functions with the attribute, and cases of the list.
fn tests(repository: &Repository) -> BTreeSet<&str> {
    static FUNCTION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\s*(?:async )?fn (\w+)\(").expect("the pattern is well-formed"));
    static CASE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\s+(\w+),$").expect("the pattern is well-formed"));
    let mut names = BTreeSet::new();
    for file in repository.rust_files() {
        let mut is_test = false;
        for (_, line) in file.test_lines() {
            let code = line.trim();
            if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(found) = FUNCTION.captures(line) {
                if std::mem::take(&mut is_test) {
                    names.extend(found.get(1).map(|name| name.as_str()));
                }
            } else if !code.starts_with("#[") && !code.starts_with("///") {
                is_test = false;
            }
        }
    }
    let cases = repository.file(LIST_OF_CASES).into_iter().flat_map(|file| file.lines());
    names.extend(cases.filter_map(|(_, line)| Some(CASE.captures(line)?.get(1)?.as_str())));
    names
}

/// The names of our own commands, as they are typed.
fn commands(repository: &Repository) -> BTreeSet<String> {
    static VARIANT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^    ([A-Z]\w*)(?:\(|,)").expect("the pattern is well-formed"));
    let lines = repository.file(COMMANDS).into_iter().flat_map(|file| file.lines());
    let variants = lines
        .skip_while(|(_, line)| !line.starts_with("enum Command"))
        .take_while(|(_, line)| *line != "}")
        .filter_map(|(_, line)| Some(VARIANT.captures(line)?[1].to_lowercase()));
    variants.collect()
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    const SOURCE: &str = "//! A.\n#[cfg(test)]\nmod tests {\n    #[tokio::test(flavor = \"multi_thread\")]\n    async fn it_is_stored() {}\n\n    fn helper() {}\n}\n";

    fn faults(page: &str) -> Vec<String> {
        let files = [
            (PAGE, page),
            ("crates/storage/src/a.rs", SOURCE),
            (
                LIST_OF_CASES,
                "//! B.\n            leases {\n                a_case_of_the_list,\n            }\n",
            ),
            (COMMANDS, "//! C.\nenum Command {\n    /// D\n    Verify(Flags),\n    Tidy,\n}\n"),
        ];
        Fixture::new(&files).faults(check)
    }

    fn promise(limit: &str, commands: &str) -> String {
        format!("# G\n\n### P1: Stored\n\nIt is.\n\n{limit}\n\n```sh\n{commands}\n```\n")
    }

    #[test]
    fn tests_cases_and_commands_that_there_are_pass() {
        let page = promise(
            "**Limit.** Not always.",
            "cargo test --workspace --tests -- it_is_stored \\\n  a_case_of_the_list\ncargo xtask verify --seed 1\ncargo test --workspace --tests",
        );
        assert_eq!(faults(&page), Vec::<String>::new());
    }

    #[test]
    fn what_selects_nothing_is_found_in_the_line_where_its_command_begins() {
        for (command, told) in [
            ("cargo test --workspace --tests -- it_is_stored \\\n  helper", "there is no test `helper`"),
            ("cargo test --workspace --tests -- it_is", "there is no test `it_is`"),
            ("cargo xtask strike", "there is no command `cargo xtask strike`"),
            ("cargo test it_is_stored", "is neither"),
        ] {
            let faults = faults(&promise("**Limit.** None.", command));
            assert_eq!(faults.len(), 1, "{command}: {faults:?}");
            assert!(faults[0].starts_with(&format!("{PAGE}:10: ")) && faults[0].contains(told), "{faults:?}");
        }
    }

    #[test]
    fn a_promise_has_a_limit_and_a_test() {
        let silent = faults(&promise("It ends nowhere.", "cargo xtask tidy"));
        assert!(silent.len() == 1 && silent[0].contains("does not say where it ends"), "{silent:?}");
        let untested =
            faults("# G\n\n### P1: Stored\n\n**Limit.** None.\n\n## Not promised yet\n\n### P2: Later\n");
        assert!(untested.len() == 1 && untested[0].contains("nothing tests `P1: Stored`"), "{untested:?}");
    }
}

//! Lengths: a file fits a sitting, a function fits a screen.

use std::sync::LazyLock;

use regex::Regex;

use super::Fault;
use super::repository::{Repository, TextFile};

/// What one sitting takes in. A file may pass it when splitting would tear one thing apart.
const FILE_WARNING_LINES: usize = 400;
/// Half as much again: here two things live in one file.
const FILE_LIMIT_LINES: usize = 600;
/// Tests are read one at a time, so a file of them, or a file together with its tests, may be longer.
const FILE_WITH_TESTS_LIMIT_LINES: usize = 900;
/// The style asks for 70; past this not even a tall screen shows the whole function.
const FUNCTION_LIMIT_LINES: usize = 100;

/// Measures all Rust files and their functions.
pub(crate) fn check(repository: &Repository) -> Vec<Fault> {
    repository
        .rust_files()
        .flat_map(|file| {
            let mut faults = check_functions(file);
            faults.extend(check_file(file));
            faults
        })
        .collect()
}

fn check_file(file: &TextFile) -> Option<Fault> {
    const SPLIT: &str = "split it by noun or operation";
    let product = file.product_lines().count();
    let all = file.lines().count();
    if product > FILE_LIMIT_LINES {
        let what = format!("{product} lines without tests, and {FILE_LIMIT_LINES} are the limit");
        Some(Fault::new(&file.path, FILE_LIMIT_LINES + 1, what, SPLIT))
    } else if all > FILE_WITH_TESTS_LIMIT_LINES {
        let what = format!("{all} lines with tests, and {FILE_WITH_TESTS_LIMIT_LINES} are the limit");
        Some(Fault::new(
            &file.path,
            FILE_WITH_TESTS_LIMIT_LINES + 1,
            what,
            "move tests to a file of their own",
        ))
    } else if product > FILE_WARNING_LINES {
        let what = format!("{product} lines without tests, more than {FILE_WARNING_LINES}");
        Some(Fault::new(&file.path, FILE_WARNING_LINES + 1, what, SPLIT).warning())
    } else {
        None
    }
}

/// Relies on the formatter: a function ends at the first closing brace that is as far in as its first line.
fn check_functions(file: &TextFile) -> Vec<Fault> {
    static FUNCTION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r#"^(\s*)(?:pub(?:\([a-z: ]+\))? )?(?:default |const |async |unsafe |extern "C" )*fn (\w+)"#,
        )
        .expect("the pattern is well-formed")
    });
    let lines: Vec<&str> = file.product_lines().map(|(_, line)| line).collect();
    let mut faults = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(found) = FUNCTION.captures(line) else { continue };
        let has_body = lines[start..]
            .iter()
            .map(|line| line.trim_end())
            .find(|line| line.ends_with(['{', '}', ';']))
            .is_some_and(|line| line.ends_with('{'));
        let end = format!("{}}}", &found[1]);
        let Some(length) = lines[start..].iter().position(|line| *line == end).map(|last| last + 1) else {
            continue;
        };
        if has_body && length > FUNCTION_LIMIT_LINES {
            let what =
                format!("`{}` has {length} lines, and {FUNCTION_LIMIT_LINES} are the limit", &found[2]);
            faults.push(Fault::new(&file.path, start + 1, what, "give its parts names"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::repository::Fixture;
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        Fixture::new(&[(path, text)]).faults(check)
    }

    #[test]
    fn a_long_file_is_warned_of_and_a_longer_one_refused() {
        let path = "crates/model/src/a.rs";
        assert!(faults(path, &"use x;\n".repeat(400)).is_empty());
        assert!(faults(path, &"use x;\n".repeat(401))[0].contains("warning: 401 lines"));
        let refused = faults(path, &"use x;\n".repeat(601));
        assert!(refused[0].contains(":601: 601 lines"), "{refused:?}");
    }

    #[test]
    fn tests_do_not_count_until_the_whole_is_too_long() {
        let product = "use x;\n".repeat(300);
        let with =
            |tests: usize| format!("{product}#[cfg(test)]\nmod tests {{\n{}}}\n", "use x;\n".repeat(tests));
        assert!(faults("crates/model/src/a.rs", &with(500)).is_empty());
        assert_eq!(faults("crates/model/src/a.rs", &with(700)).len(), 1);
        assert!(faults("crates/model/tests/it/a.rs", &"use x;\n".repeat(900)).is_empty());
        assert_eq!(faults("crates/model/tests/it/a.rs", &"use x;\n".repeat(901)).len(), 1);
    }

    #[test]
    fn a_long_function_is_found_by_name() {
        let long = |lines: usize| {
            format!("impl A {{\n    pub async fn walk() {{\n{}    }}\n}}\n", "        x();\n".repeat(lines))
        };
        assert!(faults("crates/model/src/a.rs", &long(98)).is_empty());
        let found = faults("crates/model/src/a.rs", &long(99));
        assert!(found[0].starts_with("crates/model/src/a.rs:2: `walk` has 101 lines"), "{found:?}");
    }

    #[test]
    fn functions_without_a_body_have_no_length() {
        let rest = "    /// Documented.\n".repeat(150);
        let text = format!(
            "trait A {{\n    fn a();\n    fn b(\n        x: u8,\n    ) -> u8;\n{rest}    fn c() {{\n    }}\n}}\n"
        );
        assert!(faults("crates/model/src/a.rs", &text).is_empty());
    }
}

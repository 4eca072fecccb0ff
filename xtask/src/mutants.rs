//! Mutants: every mistake that can be switched on is made, one after the other, and the test that has to find it is run.
//!
//! The mistakes are in `crates/storage/src/mutants.rs`, in builds for tests only. A test that passes with its mistake, or fails without
//! it, is a fault of this table. Those that only a power cut shows are tried by the power-cut trial.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use regex::Regex;

use crate::test::cargo;

/// A mistake, and what finds it.
struct Row {
    mutant: &'static str,
    /// The file of the test program, and the test in it.
    found_by: FoundBy,
}

enum FoundBy {
    Test(&'static str, &'static str),
    PowerCut,
}

use FoundBy::{PowerCut, Test};

const STORAGE: &str = "crates/storage/tests/it/main.rs";
const STORAGE_LIB: &str = "crates/storage/src/lib.rs";
const ENGINE: &str = "crates/engine/tests/it/main.rs";
const ENGINE_POSTGRES: &str = "crates/engine/tests/postgres/main.rs";

const ROWS: &[Row] = &[
    Row { mutant: "answer_before_commit", found_by: PowerCut },
    Row { mutant: "synchronous_normal", found_by: PowerCut },
    Row {
        mutant: "release_without_fence",
        found_by: Test(STORAGE, "conformance::leases::a_release_with_another_fence_is_refused"),
    },
    Row {
        mutant: "release_without_fence",
        found_by: Test(STORAGE, "postgres::leases::a_release_with_another_fence_is_refused"),
    },
    Row {
        mutant: "renew_without_fence",
        found_by: Test(STORAGE, "conformance::leases::a_renewal_with_another_fence_is_refused"),
    },
    Row {
        mutant: "renew_without_fence",
        found_by: Test(STORAGE, "postgres::leases::a_renewal_with_another_fence_is_refused"),
    },
    Row {
        mutant: "extend_without_fence",
        found_by: Test(
            STORAGE,
            "conformance::entities::a_dataset_is_extended_only_under_its_lease_and_fence",
        ),
    },
    Row {
        mutant: "extend_without_fence",
        found_by: Test(STORAGE, "postgres::entities::a_dataset_is_extended_only_under_its_lease_and_fence"),
    },
    Row {
        mutant: "expiry_by_own_clock",
        found_by: Test(STORAGE, "postgres::leases::a_lease_ends_at_its_deadline_and_not_before"),
    },
    Row {
        mutant: "claim_without_lock",
        found_by: Test(STORAGE, "postgres::claims::many_claimers_at_once_never_share_an_attempt"),
    },
    Row { mutant: "key_in_second_transaction", found_by: PowerCut },
    Row {
        mutant: "key_in_second_transaction",
        found_by: Test(STORAGE, "postgres::quotas::a_request_beyond_the_quota_is_refused_and_leaves_nothing"),
    },
    Row {
        mutant: "key_of_anybody",
        found_by: Test(STORAGE, "conformance::requests::keys_of_another_token_are_independent"),
    },
    Row {
        mutant: "key_of_anybody",
        found_by: Test(STORAGE, "postgres::requests::keys_of_another_token_are_independent"),
    },
    Row {
        mutant: "key_for_each_attempt",
        found_by: Test(
            ENGINE,
            "claiming::the_task_of_a_dead_supplier_goes_to_another_and_its_late_answer_is_undone_in_the_end",
        ),
    },
    Row {
        mutant: "second_result_taken",
        found_by: Test(STORAGE, "conformance::trees::an_answer_is_recorded_once"),
    },
    Row {
        mutant: "second_result_taken",
        found_by: Test(STORAGE, "postgres::trees::an_answer_is_recorded_once"),
    },
    Row {
        // Of many at once, which PostgreSQL is told in one statement.
        mutant: "second_result_taken",
        found_by: Test(STORAGE, "postgres::crowds::of_many_results_each_means_what_it_means_by_itself"),
    },
    Row {
        mutant: "late_effect_forgotten",
        found_by: Test(
            ENGINE,
            "claiming::the_task_of_a_dead_supplier_goes_to_another_and_its_late_answer_is_undone_in_the_end",
        ),
    },
    Row {
        mutant: "cancelled_step_not_undone",
        found_by: Test(ENGINE, "requesting::a_cancelled_request_ends_at_once_and_waits_for_what_is_running"),
    },
    Row {
        mutant: "expired_is_kept",
        found_by: Test(ENGINE, "stock::a_preference_chooses_where_the_contract_has_a_default"),
    },
    Row {
        mutant: "restore_keeps_fences",
        found_by: Test(
            STORAGE,
            "conformance::restores::leases_of_before_are_over_and_fences_are_above_all_of_theirs",
        ),
    },
    Row { mutant: "event_in_second_transaction", found_by: PowerCut },
    Row {
        mutant: "event_in_second_transaction",
        found_by: Test(STORAGE, "postgres_writer::nothing_is_changed_that_cannot_be_told_of"),
    },
    Row {
        mutant: "refill_without_coming",
        found_by: Test(STORAGE, "conformance::stock::a_line_is_filled_up_to_its_target_and_no_further"),
    },
    Row {
        mutant: "refill_without_coming",
        found_by: Test(STORAGE, "postgres::stock::a_line_is_filled_up_to_its_target_and_no_further"),
    },
    Row {
        mutant: "goes_on_after_failure",
        found_by: Test(STORAGE_LIB, "sqlite::tests::a_store_that_failed_takes_nothing_any_more"),
    },
    Row {
        mutant: "sweep_ends_at_error",
        found_by: Test(ENGINE_POSTGRES, "unreadable::a_row_that_cannot_be_read_hides_none_behind_it"),
    },
];

/// Makes every mistake that a test has to find, and prints what found it. `true` when each was found.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let programs = test_programs(root)?;
    let mut unfound = 0;
    println!("{:<28} found by", "mutant");
    for Row { mutant, found_by } in ROWS {
        let told = match found_by {
            PowerCut => "the power-cut trial, which `cargo xtask verify --store sqlite` runs".to_owned(),
            Test(file, test) => {
                let program = programs.get(*file).with_context(|| format!("{file} was not built"))?;
                let (right, wrong) = (outcome(program, test, None)?, outcome(program, test, Some(mutant))?);
                let found = right == Outcome::Passed && wrong == Outcome::Failed;
                unfound += u32::from(!found);
                match found {
                    true => format!("{test}, in {file}"),
                    false => format!("NOTHING: {test} is {right:?} without it and {wrong:?} with it"),
                }
            }
        };
        println!("{mutant:<28} {told}");
    }
    let tried = ROWS.iter().filter(|row| matches!(row.found_by, Test(..))).count();
    println!("{} of {tried} found", tried - unfound as usize);
    Ok(unfound == 0)
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// There is no such test, or its program ended otherwise.
    Missing,
}

/// Runs one test of a program.
fn outcome(program: &Path, test: &str, mutant: Option<&str>) -> anyhow::Result<Outcome> {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--test-threads", "1"]);
    match mutant {
        Some(mutant) => command.env("SIXPACK_MUTANT", mutant),
        None => command.env_remove("SIXPACK_MUTANT"),
    };
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {program:?}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(read(&told))
}

fn read(told: &str) -> Outcome {
    if told.contains("test result: ok. 1 passed; 0 failed") {
        Outcome::Passed
    } else if told.contains("test result: FAILED. 0 passed; 1 failed") {
        Outcome::Failed
    } else {
        Outcome::Missing
    }
}

/// Builds all test programs, as `cargo xtask test` does; answers them by the file that each begins with.
fn test_programs(root: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let output = cargo()
        .args(["test", "--workspace", "--locked", "--tests", "--no-run", "--message-format=json"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "the tests could not be built");
    Ok(programs_in(&String::from_utf8_lossy(&output.stdout), root))
}

/// What cargo says that it has built for tests. A library is named by its file like every program of tests.
fn programs_in(told: &str, root: &Path) -> BTreeMap<String, PathBuf> {
    let field =
        |name: &str| Regex::new(&format!(r#""{name}":"([^"]+)""#)).expect("the pattern is well-formed");
    let (source, program) = (field("src_path"), field("executable"));
    let of_a_test = told.lines().filter(|line| line.contains(r#""test":true}"#));
    of_a_test
        .filter_map(|line| {
            let source = Path::new(source.captures(line)?.get(1)?.as_str());
            let source = source.strip_prefix(root).ok()?.to_string_lossy().into_owned();
            Some((source, PathBuf::from(program.captures(line)?.get(1)?.as_str())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_tests_are_found_in_what_cargo_says() {
        let line = |source: &str, test: &str, program: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"src_path":"{source}"}},"profile":{{"opt_level":"0","test":{test}}},"executable":{program}}}"#
            )
        };
        let told = [
            line("/r/a/tests/it/main.rs", "true", r#""/t/it-1""#),
            line("/r/a/src/main.rs", "false", r#""/t/a""#),
            line("/r/b/src/lib.rs", "true", "null"),
            line("/elsewhere/c/src/lib.rs", "true", r#""/t/c-1""#),
        ]
        .join("\n");
        let found = programs_in(&told, Path::new("/r"));
        assert_eq!(found, BTreeMap::from([("a/tests/it/main.rs".to_owned(), PathBuf::from("/t/it-1"))]));
    }

    #[test]
    fn a_test_that_is_not_there_finds_nothing() {
        assert_eq!(read("test result: ok. 1 passed; 0 failed; 0 ignored"), Outcome::Passed);
        assert_eq!(read("test result: FAILED. 0 passed; 1 failed; 0 ignored"), Outcome::Failed);
        assert_eq!(read("test result: ok. 0 passed; 0 failed; 0 ignored"), Outcome::Missing);
    }

    #[test]
    fn every_mutant_has_a_row_and_every_row_a_mutant() {
        let source = include_str!("../../crates/storage/src/mutants.rs");
        let named = Regex::new(r#"\(Self::\w+, "(\w+)"\)"#).unwrap();
        let known: std::collections::BTreeSet<&str> =
            named.captures_iter(source).map(|found| found.get(1).unwrap().as_str()).collect();
        let rows: std::collections::BTreeSet<&str> = ROWS.iter().map(|row| row.mutant).collect();
        assert_eq!(rows, known);
    }
}

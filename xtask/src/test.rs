//! Test: everything that must pass before a change goes in, the same on the build server and on a laptop.
//!
//! Stages run one after another; a stage that fails does not keep the next from telling what it knows.
//! The last line counts everything: tests one by one, and each stage without tests of its own as one.

pub(crate) mod machine;
mod tally;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

pub(crate) use self::tally::Tally;
use crate::{demo, mutants, pages, tidy, trials};

struct Stage {
    name: &'static str,
    run: Run,
}

enum Run {
    Tidy,
    /// The main purpose from end to end, with the real programs.
    Demo,
    /// A script of the pages.
    Pages(&'static str),
    /// The pages in a browser, before the real programs.
    Browser,
    /// Known mistakes, each of which a test has to find.
    Mutants,
    /// The real programs, struck at random over both stores.
    Verify,
    /// Arguments for cargo. What it prints is shown and searched for results of tests.
    Cargo(&'static [&'static str]),
}

/// In the order in which a mistake is found most cheaply.
const STAGES: &[Stage] = &[
    Stage { name: "format", run: Run::Cargo(&["fmt", "--all", "--check"]) },
    Stage { name: "tidy", run: Run::Tidy },
    Stage { name: "types of the pages", run: Run::Pages("check") },
    Stage { name: "tests of the pages", run: Run::Pages("test") },
    // Before anything of Rust: the program has them inside.
    Stage { name: "pages", run: Run::Pages("build") },
    Stage {
        name: "lints",
        run: Run::Cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    },
    Stage {
        name: "tests",
        run: Run::Cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--tests"]),
    },
    Stage {
        name: "documentation tests",
        run: Run::Cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--doc"]),
    },
    // Of the same programs as the tests: nothing is built anew.
    Stage { name: "mutants", run: Run::Mutants },
    Stage { name: "demo", run: Run::Demo },
    Stage { name: "pages in a browser", run: Run::Browser },
    Stage { name: "fault trial", run: Run::Verify },
];

struct Outcome {
    stage: &'static str,
    tally: Tally,
    took: Duration,
}

/// Runs all stages. `true` when nothing failed.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    machine::prepare()?;
    let mut outcomes = Vec::new();
    for (index, stage) in STAGES.iter().enumerate() {
        println!("\n=== {}/{} {}: {}", index + 1, STAGES.len(), stage.name, stage.run.describe());
        let started = Instant::now();
        let tally = run_stage(root, &stage.run)?;
        outcomes.push(Outcome { stage: stage.name, tally, took: started.elapsed() });
    }
    println!("\n{}", summary(&outcomes));
    Ok(outcomes.iter().all(|outcome| outcome.tally.failed == 0))
}

fn run_stage(root: &Path, run: &Run) -> anyhow::Result<Tally> {
    match run {
        Run::Tidy => Ok(Tally::default().finished(tidy::run(root)?)),
        Run::Demo => Ok(Tally::default().finished(demo::run_once(root)?)),
        Run::Pages(script) => counted(&mut pages::script(root, script)?),
        Run::Browser => counted(&mut pages::in_a_browser(root, &programs(root)?)?),
        Run::Mutants => Ok(Tally::default().finished(mutants::run(root)?)),
        Run::Verify => trials::verify_as_test(root),
        Run::Cargo(arguments) => run_cargo(root, arguments),
    }
}

fn run_cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<Tally> {
    counted(cargo().args(arguments).current_dir(root))
}

/// Shows standard output as it comes, because a stage may take minutes, and counts the results in it.
pub(crate) fn counted(command: &mut Command) -> anyhow::Result<Tally> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let output = child.stdout.take().expect("standard output is piped");
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("cannot read what {name} prints"))?;
        let line = String::from_utf8_lossy(&line);
        tally.read(&line);
        println!("{line}");
    }
    let status = child.wait().with_context(|| format!("cannot wait for {name}"))?;
    Ok(tally.finished(status.success()))
}

/// Builds all programs; answers the folder they are in.
///
/// Always all of them together: cargo chooses the features of third-party crates anew for each set of packages, and
/// would build the same crates several times over.
pub(crate) fn programs(root: &Path) -> anyhow::Result<PathBuf> {
    let status = cargo()
        .args(["build", "--workspace", "--locked", "--bins"])
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the programs could not be built");
    trials::programs_folder()
}

/// The cargo that runs us, without what it told us about this package.
///
/// Build scripts that watch these variables would otherwise run anew each time cargo is called from here and from
/// a shell in turn, and with them everything that depends on them.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// A table of the stages, and the sum as the last line.
fn summary(outcomes: &[Outcome]) -> String {
    let mut lines =
        vec![format!("{:<22} {:>8} {:>8} {:>8} {:>9}", "stage", "passed", "failed", "ignored", "time")];
    lines.extend(outcomes.iter().map(|Outcome { stage, tally: Tally { passed, failed, ignored }, took }| {
        format!("{stage:<22} {passed:>8} {failed:>8} {ignored:>8} {:>7.1} s", took.as_secs_f64())
    }));
    lines.push(outcomes.iter().fold(Tally::default(), |sum, outcome| sum + outcome.tally).to_string());
    lines.join("\n")
}

impl Run {
    fn describe(&self) -> String {
        match self {
            Self::Tidy => "cargo xtask tidy".to_owned(),
            Self::Demo => "cargo xtask demo --once".to_owned(),
            Self::Pages(script) => format!("npm run {script}, in web/"),
            Self::Browser => "npm run e2e, in web/".to_owned(),
            Self::Mutants => "cargo xtask verify --mutants".to_owned(),
            Self::Verify => "cargo xtask verify".to_owned(),
            Self::Cargo(arguments) => format!("cargo {}", arguments.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A package with one test that passes and, behind it in a program of its own, one that fails.
    fn package() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("tests")).unwrap();
        for (path, text) in [
            (
                "Cargo.toml",
                "[package]\nname = \"fixture\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n",
            ),
            ("lib.rs", "#[test]\nfn fine() {}\n"),
            ("tests/broken.rs", "#[test]\nfn broken() { panic!() }\n"),
        ] {
            fs::write(folder.path().join(path), text).unwrap();
        }
        folder
    }

    #[test]
    fn what_cargo_reports_is_counted() {
        let package = package();
        let target = package.path().join("target");
        let target = target.to_str().expect("temporary folders have plain names");
        let arguments = |more: &'static [&'static str]| {
            [&["test", "--offline", "--no-fail-fast", "--target-dir", target], more].concat()
        };
        let all = run_cargo(package.path(), &arguments(&["--lib", "--tests"])).unwrap();
        assert_eq!(all, Tally { passed: 1, failed: 1, ignored: 0 });
        let fine = run_cargo(package.path(), &arguments(&["--lib"])).unwrap();
        assert_eq!(fine, Tally { passed: 1, failed: 0, ignored: 0 });
        let missing = run_cargo(package.path(), &arguments(&["--test", "nothing-of-that-name"])).unwrap();
        assert_eq!(missing, Tally { passed: 0, failed: 1, ignored: 0 });
    }

    #[test]
    fn the_last_line_is_the_sum_of_all_stages() {
        let outcome = |passed, failed| Outcome {
            stage: "tests",
            tally: Tally { passed, failed, ignored: 0 },
            took: Duration::from_millis(1_234),
        };
        let text = summary(&[outcome(120, 0), outcome(3, 1)]);
        assert_eq!(text.lines().last(), Some("123 passed, 1 failed"));
        assert!(text.contains("1.2 s"), "{text}");
    }
}

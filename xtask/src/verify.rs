//! Kill test and benchmark: builds what they need and runs it.
//!
//! Both live in the package `verify`, so that this one stays quick to build.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

/// How often something is killed in the test that every change has to pass.
const CYCLES: &str = "200";

/// Kills server and suppliers at random under load. `true` when nothing was lost, doubled or left behind.
pub(crate) fn kill(root: &Path) -> anyhow::Result<bool> {
    // The whole workspace, so that what the tests have built is used again.
    build(root, &["build", "--workspace", "--locked", "--bins"])?;
    run(root, "debug", &["kill", "--cycles", CYCLES])
}

/// Measures a release build and prints one JSON object.
pub(crate) fn bench(root: &Path) -> anyhow::Result<bool> {
    build(root, &["build", "--release", "--locked", "-p", "sixpack-cli", "-p", "verify"])?;
    run(root, "release", &["bench"])
}

fn build(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = crate::test::cargo().args(arguments).current_dir(root).status().context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "cargo {} failed", arguments.join(" "));
    Ok(())
}

fn run(root: &Path, profile: &str, arguments: &[&str]) -> anyhow::Result<bool> {
    let folder = crate::test::target_folder(root).join(profile);
    let mut command = Command::new(folder.join("verify"));
    command.args(arguments).arg("--server").arg(folder.join("sixpack"));
    Ok(command.status().context("cannot start `verify`")?.success())
}

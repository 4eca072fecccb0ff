//! Kill test and benchmark: builds what they need and runs it.
//!
//! Both live in the package `verify`, so that this one stays quick to build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args;

use crate::test::{cargo, machine, programs};

/// How to kill.
#[derive(Args)]
pub(crate) struct KillFlags {
    /// How many kills
    #[arg(long, default_value_t = 200)]
    cycles: u32,
    /// What the choices follow; chosen at random and printed when it is left out
    #[arg(long)]
    seed: Option<u64>,
}

/// How to measure.
#[derive(Args)]
pub(crate) struct BenchFlags {
    /// Seconds of load for each number of requests in flight
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Measure one part alone: what bad inputs cost (`inputs`), or ordinary calls among very many of everything (`sizes`)
    #[arg(long, value_parser = ["inputs", "sizes"])]
    only: Option<String>,
}

/// Kills server and suppliers at random under load. `true` when nothing was lost, doubled or left behind.
pub(crate) fn kill(root: &Path, flags: &KillFlags) -> anyhow::Result<bool> {
    machine::prepare_to_build()?;
    let mut command = verify(&programs(root)?, "kill");
    command.args(["--cycles", &flags.cycles.to_string()]);
    if let Some(seed) = flags.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    Ok(command.status().context("cannot start `verify`")?.success())
}

/// The kill test as every change has to pass it.
pub(crate) fn kill_as_test(root: &Path) -> anyhow::Result<bool> {
    kill(root, &KillFlags { cycles: 200, seed: None })
}

/// Measures a release build and prints one JSON object.
pub(crate) fn bench(root: &Path, flags: &BenchFlags) -> anyhow::Result<bool> {
    machine::prepare_to_build()?;
    let packages = ["--package", "sixpack-cli", "--package", "verify", "--bins"];
    let status = cargo()
        .args(["build", "--release", "--locked"])
        .args(packages)
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the programs could not be built");
    // By itself, because it needs what only the tests of the store need, and the server shall not get that.
    let status = cargo()
        .args(["build", "--release", "--locked", "--package", "sixpack-storage", "--example", "bench_store"])
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "what measures the bare store could not be built");
    let debug = programs_folder()?;
    let release = debug.parent().context("the programs lie in no target folder")?.join("release");
    let mut command = verify(&release, "bench");
    command.arg("--bench-store").arg(release.join("examples/bench_store"));
    command.args(["--seconds", &flags.seconds.to_string()]);
    if let Some(part) = &flags.only {
        command.args(["--only", part]);
    }
    Ok(command.status().context("cannot start `verify`")?.success())
}

fn verify(programs: &Path, what: &str) -> Command {
    let mut command = Command::new(programs.join("verify"));
    command.arg(what).arg("--server").arg(programs.join("sixpack"));
    command
}

/// Cargo puts all programs of one profile into one folder, this one too.
pub(crate) fn programs_folder() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    Ok(this.parent().context("this program lies in no folder")?.to_owned())
}

//! Demo: builds the programs that it needs, and lets `shop demo` show what Sixpack is for.
//!
//! The acts are in the shop, not here: this program is built before anything else can begin, `cargo xtask tidy`
//! included, and must not wait for an HTTP client and a store.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use clap::Args;

use crate::pages;
use crate::test::{machine, programs};

/// How to show it.
#[derive(Args)]
pub(crate) struct Flags {
    /// End after the last act, well only if all of them held
    #[arg(long)]
    once: bool,
    /// Print one JSON object with all acts and nothing else; implies --once
    #[arg(long)]
    json: bool,
}

/// Builds and shows. `true` when all acts held and it was not interrupted before.
pub(crate) fn run(root: &Path, flags: &Flags) -> anyhow::Result<bool> {
    machine::prepare_to_build()?;
    let mut show = build(root)?;
    if flags.once {
        show.arg("--once");
    }
    if flags.json {
        show.arg("--json");
    }
    hand_over(show)
}

/// The demo as a test.
pub(crate) fn run_once(root: &Path) -> anyhow::Result<bool> {
    let status = build(root)?.arg("--once").status().context("cannot start the demo")?;
    Ok(status.success())
}

/// Builds the programs; answers the command that shows them.
fn build(root: &Path) -> anyhow::Result<Command> {
    eprintln!("building sixpack and the shop; for the first time this takes some minutes");
    pages::build_if_possible(root);
    let folder = programs(root)?;
    let mut show = Command::new(folder.join("shop"));
    show.arg("demo").arg("--sixpack").arg(folder.join("sixpack"));
    show.arg("--scenarios").arg(root.join("examples/shop/scenarios"));
    show.arg("--stock").arg(root.join("examples/shop/stock.yaml"));
    Ok(show)
}

/// Becomes the other program, so that ctrl-c finds it alone, and the shell waits until it has stopped everything.
#[cfg(unix)]
fn hand_over(mut show: Command) -> anyhow::Result<bool> {
    use std::os::unix::process::CommandExt;
    Err(show.exec()).context("cannot start the demo")
}

#[cfg(not(unix))]
fn hand_over(mut show: Command) -> anyhow::Result<bool> {
    Ok(show.status().context("cannot start the demo")?.success())
}

//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! One file a command, one variant here. A command returns whether all is well; what it found it has printed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands for people talk on the terminal")]

mod demo;
mod mutants;
mod pages;
mod test;
mod tidy;
mod trials;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

/// What a developer or the build server can ask for.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "The project's own commands")]
enum Command {
    /// Show what Sixpack is for: four services, their suppliers and a server, on this machine, act by act
    Demo(demo::Flags),
    /// Strike servers, suppliers and database at random under load, and look for anything lost, doubled or left behind
    Verify(trials::VerifyFlags),
    /// Measure throughput, latency and memory of a release build; prints one JSON object
    Bench(trials::BenchFlags),
    /// Fill a server with 1,000 contracts and 100,000 datasets, and keep it up to look at the pages
    Seed(trials::SeedFlags),
    /// Run everything that must pass before a change goes in: format, tidy, lints, all tests
    Test,
    /// Check what no compiler checks: allowed arrows, file heads, words, links, lengths
    Tidy,
}

fn main() -> ExitCode {
    let root = repository_root();
    let outcome = match Command::parse() {
        Command::Demo(flags) => demo::run(root, &flags),
        Command::Verify(flags) => trials::verify(root, &flags).map(|tally| {
            println!("{tally}");
            tally.failed == 0
        }),
        Command::Bench(flags) => trials::bench(root, &flags),
        Command::Seed(flags) => trials::seed(root, &flags),
        Command::Test => test::run(root),
        Command::Tidy => tidy::run(root),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The top folder of the repository; commands give the same answer from whichever folder they are called.
fn repository_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies one folder below the top")
}

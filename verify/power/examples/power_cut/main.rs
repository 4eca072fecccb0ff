//! The power-cut trial: a store works on a recorded disk, the power is cut, and opening it has to find what was acknowledged.
//!
//! `power_cut --images N` prints one line of JSON; `cargo xtask verify` runs it. A part of the images is made of a store that is wrong in
//! a known way, and has to be found out.

mod checks;
mod load;
mod trial;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

#[cfg(not(debug_assertions))]
compile_error!("the power-cut trial makes mistakes that no build for release has");

/// Cuts the power of a store in SQLite, again and again.
#[derive(Parser)]
struct Arguments {
    /// How many images are made and opened.
    #[arg(long, default_value_t = 4_000)]
    images: usize,
    /// What the choices follow; chosen at random and told when it is left out.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { images, seed } = Arguments::parse();
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    match trial::run(images, seed) {
        Ok(report) => {
            let _ = writeln!(std::io::stdout(), "{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: seed {seed}: {error:#}; repeat with --seed {seed}");
            ExitCode::FAILURE
        }
    }
}

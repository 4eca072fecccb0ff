//! Fault trial, benchmark and seed: builds what they need and runs it.
//!
//! All live in the package `verify`, so that this one stays quick to build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::mutants;
use crate::pages;
use crate::test::{Tally, cargo, counted, machine, programs};

/// What to strike, and how often.
#[derive(Args)]
pub(crate) struct VerifyFlags {
    /// How much
    #[arg(long, value_enum, default_value = "ci")]
    profile: Profile,
    /// Which store; both, one after the other, when it is left out
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// How many servers share the store; 3 over PostgreSQL, and always 1 over SQLite, when it is left out
    #[arg(long, requires = "store")]
    servers: Option<u32>,
    /// How many strikes, in place of those of the profile
    #[arg(long)]
    strikes: Option<u32>,
    /// What the choices follow; chosen at random and printed when it is left out
    #[arg(long)]
    seed: Option<u64>,
    /// Make known mistakes instead, one after the other, and show which test finds each
    #[arg(long, conflicts_with_all = ["store", "servers", "strikes", "seed"])]
    mutants: bool,
}

/// How many images of a store in SQLite are made as a power cut would leave them, in the time that there is: about a minute, and
/// about half an hour.
const POWER_CUTS: u32 = 6_000;
const POWER_CUTS_AT_NIGHT: u32 = 200_000;

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// What every change has to pass, in some minutes
    Ci,
    /// What there is time for at night: 4,500 strikes over each store, of which more than 2,000 are kills
    Night,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

/// How to measure.
#[derive(Args)]
pub(crate) struct BenchFlags {
    /// Seconds of load for each number of requests in flight
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Measure one part alone: scenarios (`runs`), stock, stock in a store with a long `history`, a `migration` of very many datasets,
    /// what bad `inputs` cost, or ordinary calls among very many of everything (`sizes`). With PostgreSQL there are the first four
    #[arg(long, value_parser = ["runs", "stock", "history", "migration", "inputs", "sizes"])]
    only: Option<String>,
    /// Where servers keep what they have; `postgres` is a server of the benchmark's own, in a temporary folder, with PostgreSQL's
    /// own settings, `pooled` is the same behind PgBouncer in transaction mode
    #[arg(long, default_value = "sqlite", value_parser = ["sqlite", "postgres", "pooled"])]
    store: String,
    /// How many servers share the database
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// A setting of the database that is not its own default, as NAME=VALUE; may be repeated
    #[arg(long)]
    database_setting: Vec<String>,
    /// Rows of history in PostgreSQL; 5,000,000 when it is left out
    #[arg(long)]
    rows: Option<u64>,
    /// How old a snapshot is before it is measured beside it, in seconds; 300 when it is left out
    #[arg(long)]
    snapshot_s: Option<u64>,
    /// Datasets that are migrated; 1,000,000 when it is left out
    #[arg(long)]
    datasets: Option<u64>,
    /// Small, to see that it works: the figures mean nothing
    #[arg(long)]
    quick: bool,
}

/// How much to seed, and where.
#[derive(Args)]
pub(crate) struct SeedFlags {
    /// Where the server keeps what it has; a folder that is removed at the end when it is left out
    #[arg(long)]
    folder: Option<PathBuf>,
    /// How many contracts, 40 to 1,000
    #[arg(long, default_value_t = 1_000)]
    contracts: u32,
    /// How many datasets, about
    #[arg(long, default_value_t = 100_000)]
    datasets: u32,
    /// End when everything is there
    #[arg(long)]
    once: bool,
}

/// Strikes servers, suppliers and database at random under load. Each trial counts as one; what one had to leave out counts as ignored.
pub(crate) fn verify(root: &Path, flags: &VerifyFlags) -> anyhow::Result<Tally> {
    machine::prepare_to_build()?;
    if flags.mutants {
        return Ok(Tally::default().finished(mutants::run(root)?));
    }
    // With every change those that were built for the tests, whose assertions are on; at night those that are shipped.
    let programs = match flags.profile {
        Profile::Ci => programs(root)?,
        Profile::Night => released(root)?,
    };
    let stores = flags.store.map_or(vec![Store::Sqlite, Store::Postgres], |store| vec![store]);
    let mut tally = Tally::default();
    for store in stores {
        let strikes = flags.strikes.unwrap_or(match flags.profile {
            Profile::Ci => 150,
            Profile::Night => 4_500,
        });
        let (name, servers) = match store {
            Store::Sqlite => ("sqlite", 1),
            Store::Postgres => ("postgres", 3),
        };
        let mut command = program(&programs, "faults");
        command.args(["--store", name, "--strikes", &strikes.to_string()]);
        command.args(["--servers", &flags.servers.unwrap_or(servers).to_string()]);
        if let Some(seed) = flags.seed {
            command.args(["--seed", &seed.to_string()]);
        }
        tally = tally + trial(&mut command)?;
        if store == Store::Sqlite {
            tally = tally + cut_power(root, flags)?;
        }
    }
    Ok(tally)
}

/// Makes images of a store as a power cut would leave them, and opens each.
fn cut_power(root: &Path, flags: &VerifyFlags) -> anyhow::Result<Tally> {
    // With all packages, so that it shares what the tests are built of: it needs what only they need, and the server does not get it.
    let status = cargo()
        .args(["build", "--workspace", "--locked", "--example", "power_cut"])
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the power-cut trial could not be built");
    let images = match flags.profile {
        Profile::Ci => POWER_CUTS,
        Profile::Night => POWER_CUTS_AT_NIGHT,
    };
    let mut command = Command::new(programs_folder()?.join("examples/power_cut"));
    command.args(["--images", &images.to_string()]);
    if let Some(seed) = flags.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    trial(&mut command)
}

/// Runs one trial, shows what it prints, and counts it.
fn trial(command: &mut Command) -> anyhow::Result<Tally> {
    let tally = counted(command)?;
    Ok(Tally { passed: u64::from(tally.failed == 0), ..tally })
}

/// The trial over both stores as every change has to pass it.
pub(crate) fn verify_as_test(root: &Path) -> anyhow::Result<Tally> {
    verify(
        root,
        &VerifyFlags {
            profile: Profile::Ci,
            store: None,
            servers: None,
            strikes: None,
            seed: None,
            mutants: false,
        },
    )
}

/// Measures a release build and prints one JSON object.
pub(crate) fn bench(root: &Path, flags: &BenchFlags) -> anyhow::Result<bool> {
    machine::prepare_to_build()?;
    let release = released(root)?;
    // By itself, because it needs what only the tests of the store need, and the server shall not get that.
    let status = cargo()
        .args(["build", "--release", "--locked", "--package", "sixpack-storage", "--example", "bench_store"])
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "what measures the bare store could not be built");
    let mut command = program(&release, "bench");
    command.arg("--bench-store").arg(release.join("examples/bench_store"));
    command.args(["--seconds", &flags.seconds.to_string()]);
    if flags.store != "sqlite" {
        command.args(["--store", &flags.store, "--replicas", &flags.replicas.to_string()]);
        for setting in &flags.database_setting {
            command.args(["--database-setting", setting]);
        }
    } else {
        anyhow::ensure!(
            flags.replicas == 1 && flags.database_setting.is_empty(),
            "only a database is shared: --store postgres"
        );
    }
    if let Some(part) = &flags.only {
        command.args(["--only", part]);
    }
    let sizes = [("--rows", flags.rows), ("--snapshot-s", flags.snapshot_s), ("--datasets", flags.datasets)];
    for (name, value) in sizes {
        command.args(value.into_iter().flat_map(|value| [name.to_owned(), value.to_string()]));
    }
    if flags.quick {
        command.arg("--quick");
    }
    Ok(command.status().context("cannot start `verify`")?.success())
}

/// Fills a server with very many of everything, and keeps it up.
pub(crate) fn seed(root: &Path, flags: &SeedFlags) -> anyhow::Result<bool> {
    machine::prepare_to_build()?;
    pages::build_if_possible(root);
    let mut command = program(&released(root)?, "seed");
    command.args(["--contracts", &flags.contracts.to_string(), "--datasets", &flags.datasets.to_string()]);
    if let Some(folder) = &flags.folder {
        command.arg("--folder").arg(folder);
    }
    if flags.once {
        command.arg("--once");
    }
    Ok(command.status().context("cannot start `verify`")?.success())
}

/// Builds the programs for release; returns where they lie.
fn released(root: &Path) -> anyhow::Result<PathBuf> {
    let packages = ["--package", "sixpack-cli", "--package", "verify", "--bins"];
    let status = cargo()
        .args(["build", "--release", "--locked"])
        .args(packages)
        .current_dir(root)
        .status()
        .context("cannot start cargo")?;
    anyhow::ensure!(status.success(), "the programs could not be built");
    let debug = programs_folder()?;
    Ok(debug.parent().context("the programs lie in no target folder")?.join("release"))
}

fn program(programs: &Path, what: &str) -> Command {
    let mut command = Command::new(programs.join("verify"));
    command.arg(what).arg("--server").arg(programs.join("sixpack"));
    command
}

/// Cargo puts all programs of one profile into one folder, this one too.
pub(crate) fn programs_folder() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    Ok(this.parent().context("this program lies in no folder")?.to_owned())
}

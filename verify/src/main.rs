//! Verification: the real binaries under load, struck and measured, and held to what they promise.

mod api;
mod bench;
mod caller;
mod disk;
mod effects;
mod faults;
mod guard;
mod history;
mod inputs;
mod machine;
mod postgres;
mod processes;
mod progress;
mod proxy;
mod replicas;
mod seed;
mod sizes;
mod stock;
mod supplier;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Strikes, loads and measures a Sixpack server, all on loopback.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Strikes servers, suppliers and database at random under load, then looks for anything lost, doubled or left behind.
    Faults {
        /// The server's binary.
        #[arg(long)]
        server: PathBuf,
        /// Where the store is.
        #[arg(long, value_enum, default_value = "sqlite")]
        store: faults::Store,
        /// How many servers share it; several need PostgreSQL.
        #[arg(long, default_value_t = 1)]
        servers: usize,
        /// How many strikes.
        #[arg(long, default_value_t = 150)]
        strikes: u32,
        /// What the choices follow; chosen at random and printed when it is left out.
        #[arg(long)]
        seed: Option<u64>,
        /// How the program got where it may mount a disk of its own; it tells itself.
        #[arg(long, hide = true)]
        disk: Option<String>,
    },
    /// Measures throughput, latency and memory; prints one JSON object.
    Bench {
        /// The server's binary, built for release.
        #[arg(long)]
        server: PathBuf,
        /// What measures the bare store and gives it a history, built for release.
        #[arg(long)]
        bench_store: PathBuf,
        /// Seconds of load for each number of requests in flight.
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Measure one part alone; `sizes` and `history` are measured in no other way, because they take some minutes; so is `migration`.
        #[arg(long)]
        only: Option<bench::Part>,
        /// Where servers keep what they have.
        #[arg(long, default_value = "sqlite")]
        store: bench::StoreKind,
        /// How many servers share the database.
        #[arg(long, default_value_t = 1, requires = "store")]
        replicas: usize,
        /// A setting of the database that is not its own default, as NAME=VALUE.
        #[arg(long, requires = "store")]
        database_setting: Vec<String>,
        /// Rows of history in PostgreSQL; 5,000,000 when it is left out.
        #[arg(long)]
        rows: Option<u64>,
        /// How old a snapshot is before it is measured beside it, in seconds; 300 when it is left out.
        #[arg(long)]
        snapshot_s: Option<u64>,
        /// Datasets that are migrated; 1,000,000 when it is left out.
        #[arg(long)]
        datasets: Option<u64>,
        /// Small, to see that it works: the figures mean nothing.
        #[arg(long)]
        quick: bool,
    },
    /// Fills a server with very many of everything, and keeps it up to be looked at.
    Seed {
        /// The server's binary.
        #[arg(long)]
        server: PathBuf,
        /// Where the server keeps what it has; a folder that is removed at the end when it is left out.
        #[arg(long)]
        folder: Option<PathBuf>,
        /// How many contracts.
        #[arg(long, default_value_t = 1_000)]
        contracts: usize,
        /// How many datasets, about.
        #[arg(long, default_value_t = 100_000)]
        datasets: usize,
        /// End when everything is there.
        #[arg(long)]
        once: bool,
    },
    /// Performs the capabilities of one domain; started by the other commands.
    #[command(hide = true)]
    Supplier {
        /// The domain.
        #[arg(long)]
        domain: String,
        /// Its number among the suppliers of the domain.
        #[arg(long, default_value_t = 1)]
        instance: usize,
        /// Where effects are made; without it the capabilities do nothing.
        #[arg(long)]
        effects: Option<String>,
        /// What the choices follow.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            // What was found and its reasons; where in here it was found helps nobody. There is nowhere else to say it.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Faults { server, store, servers, strikes, seed, disk } => {
            if disk.is_none() {
                if let Some(ended) = disk::enclose()? {
                    return Ok(ended);
                }
                let _ = std::io::stderr().write_all(format!("NOT TRIED: {}\n", disk::LACKING).as_bytes());
            }
            let (server, seed) = (server.canonicalize()?, seed.unwrap_or_else(|| fastrand::u64(..)));
            faults::run(&faults::Trial { server, store, servers, strikes, seed, disk }).await?;
        }
        Command::Bench {
            server,
            bench_store,
            seconds,
            only,
            store,
            replicas,
            database_setting,
            rows,
            snapshot_s,
            datasets,
            quick,
        } => {
            let programs = bench::Programs::new(&server, &bench_store)?;
            let (rows_else, snapshot_else, stocked) = if quick {
                (100_000, 60, replicas::STOCKED / 16)
            } else {
                (5_000_000, 300, replicas::STOCKED)
            };
            let datasets = datasets.unwrap_or(if quick { 20_000 } else { 1_000_000 });
            match (store, only) {
                (store, Some(bench::Part::Migration)) => bench::migrate(&programs, store, datasets).await?,
                (bench::StoreKind::Sqlite, None) => bench::run(&programs, seconds).await?,
                (bench::StoreKind::Sqlite, Some(part)) => bench::run_part(&programs, part, seconds).await?,
                (kind, only) => {
                    let wish = replicas::Wish {
                        seconds,
                        kind,
                        servers: replicas,
                        settings: database_setting,
                        only,
                        rows: rows.unwrap_or(rows_else),
                        snapshot: Duration::from_secs(snapshot_s.unwrap_or(snapshot_else)),
                        stocked,
                    };
                    replicas::run(&programs, &wish).await?;
                }
            }
        }
        Command::Seed { server, folder, contracts, datasets, once } => {
            let wish = seed::Wish { server: server.canonicalize()?, folder, contracts, datasets, once };
            let say = |line: &str| {
                let mut out = std::io::stdout().lock();
                // Whoever has stopped to listen misses nothing that is needed.
                let _ = writeln!(out, "{line}").and_then(|()| out.flush());
            };
            seed::run(&wish, say).await?;
        }
        Command::Supplier { domain, instance, effects, seed } => {
            supplier::run(&domain, instance, effects, seed).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

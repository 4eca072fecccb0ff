//! The program `shop`: one service or one supplier per process, and the demonstration of all of them.

mod demo;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use shop::service::{self, Options, Peers, ServiceName};
use shop::supplier::{self, Team};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Four small services with rules of their own.
///
/// Each runs in a process of its own, keeps its data in a database of its own, and tells the others what happened
/// a moment later.
#[derive(Parser)]
#[command(name = "shop", version)]
struct Shop {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Who the customers are, and whether they may buy.
    Customer(Flags),
    /// What they want to have, from the first line to the payment.
    Order {
        #[command(flatten)]
        flags: Flags,
        /// Where billing is, such as http://127.0.0.1:8082.
        #[arg(long, env = "SHOP_BILLING", value_name = "URL")]
        billing: Option<String>,
    },
    /// How they pay.
    Billing {
        #[command(flatten)]
        flags: Flags,
        /// How long the bank takes to verify a payment method.
        #[arg(long, env = "SHOP_VERIFY_MS", value_name = "MS", default_value_t = 600)]
        verify_ms: u64,
    },
    /// Where it goes, and when.
    Delivery(Flags),
    /// Publishes to Sixpack what a team's service can do.
    ///
    /// SIXPACK_URL and SIXPACK_TOKEN say where the server is and who calls, SIXPACK_ENVIRONMENT which environment
    /// the services belong to, and SIXPACK_CHANNEL a channel to publish in beside the deployed suppliers.
    Supplier {
        #[command(subcommand)]
        team: TeamFlags,
    },
    /// Starts all of it with a Sixpack server, and shows act by act what it is for. (`cargo xtask demo` calls this.)
    Demo(demo::Flags),
}

#[derive(Subcommand)]
enum TeamFlags {
    /// customer/active-customer
    Customer {
        #[command(flatten)]
        service: ServiceFlags,
    },
    /// order/prepared-order, order/paid-order
    Order {
        #[command(flatten)]
        service: ServiceFlags,
        /// Where billing is, which has the receipts.
        #[arg(long, value_name = "URL")]
        billing_url: String,
    },
    /// billing/payment-account
    Billing {
        #[command(flatten)]
        service: ServiceFlags,
    },
    /// delivery/serviceable-address
    Delivery {
        #[command(flatten)]
        service: ServiceFlags,
    },
    /// qa/two-buyers, which is made of other teams' states
    Qa,
}

#[derive(Args)]
struct ServiceFlags {
    /// Where the team's service is, such as http://127.0.0.1:8081.
    #[arg(long, value_name = "URL")]
    service_url: String,
}

#[derive(Args)]
struct Flags {
    /// Where to listen; port 0 takes a free one, and the line that is printed says which.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The folder of the database file. The services may share it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How long events take to the others.
    #[arg(long, env = "SHOP_LAG_MS", value_name = "MS", default_value_t = 400)]
    lag_ms: u64,
    /// Who hears the events; may be given several times. Without peers, those of the last run are kept.
    #[arg(long = "subscriber", env = "SHOP_SUBSCRIBERS", value_name = "URL", value_delimiter = ',')]
    subscribers: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Shop::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            // There is nowhere else to say it.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            let code = error.downcast_ref::<sixpack::Error>().map(|error| ExitCode::from(error.exit_code()));
            code.unwrap_or(ExitCode::FAILURE)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Customer(flags) => serve(flags.into_options(ServiceName::Customer)).await?,
        Command::Order { flags, billing } => {
            let mut options = flags.into_options(ServiceName::Order);
            options.peers.billing = billing;
            serve(options).await?;
        }
        Command::Billing { flags, verify_ms } => {
            serve(Options { verify_ms, ..flags.into_options(ServiceName::Billing) }).await?;
        }
        Command::Delivery(flags) => serve(flags.into_options(ServiceName::Delivery)).await?,
        Command::Supplier { team } => supply(team.into_team()).await?,
        // All acts together are more than a stack should carry.
        Command::Demo(flags) => return Box::pin(demo::run(flags)).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one service until it is told to end.
async fn serve(options: Options) -> anyhow::Result<()> {
    // Before the line is printed, so that whoever reads it can end the service in an orderly way at once.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for ctrl-c")?;
    let running = service::start(options).await?;
    writeln!(std::io::stdout(), "listening on {}", running.url()).context("cannot print the address")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await
}

/// Runs one supplier until it is told to end.
async fn supply(team: Team) -> anyhow::Result<()> {
    let mut running = supplier::of(team)?.start()?;
    for contract in running.ready().await?.iter() {
        writeln!(std::io::stdout(), "publishing {}@{}", contract.name, contract.version)
            .context("cannot print what is published")?;
    }
    Ok(running.until_signal().await?)
}

impl TeamFlags {
    fn into_team(self) -> Team {
        match self {
            Self::Customer { service: ServiceFlags { service_url } } => Team::Customer { service_url },
            Self::Order { service: ServiceFlags { service_url }, billing_url } => {
                Team::Order { service_url, billing_url }
            }
            Self::Billing { service: ServiceFlags { service_url } } => Team::Billing { service_url },
            Self::Delivery { service: ServiceFlags { service_url } } => Team::Delivery { service_url },
            Self::Qa => Team::Qa,
        }
    }
}

impl Flags {
    fn into_options(self, name: ServiceName) -> Options {
        /// Only billing waits for a bank.
        const NO_BANK_MS: u64 = 0;
        let peers = Peers { billing: None, subscribers: self.subscribers };
        Options {
            name,
            listen: self.listen,
            data: self.data,
            lag_ms: self.lag_ms,
            verify_ms: NO_BANK_MS,
            peers,
        }
    }
}

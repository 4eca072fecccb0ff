//! The program `shop`: one service per process.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use shop::service::{self, Options, Peers, ServiceName};
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
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    serve(Shop::parse().command.into_options()).await
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

impl Command {
    fn into_options(self) -> Options {
        /// Only billing waits for a bank.
        const NO_BANK_MS: u64 = 0;
        match self {
            Self::Customer(flags) => flags.into_options(ServiceName::Customer, None, NO_BANK_MS),
            Self::Order { flags, billing } => flags.into_options(ServiceName::Order, billing, NO_BANK_MS),
            Self::Billing { flags, verify_ms } => flags.into_options(ServiceName::Billing, None, verify_ms),
            Self::Delivery(flags) => flags.into_options(ServiceName::Delivery, None, NO_BANK_MS),
        }
    }
}

impl Flags {
    fn into_options(self, name: ServiceName, billing: Option<String>, verify_ms: u64) -> Options {
        let peers = Peers { billing, subscribers: self.subscribers };
        Options { name, listen: self.listen, data: self.data, lag_ms: self.lag_ms, verify_ms, peers }
    }
}

//! The demonstration: the four services, a Sixpack server and the suppliers, shown on loopback act by act.
//!
//! ```text
//! start --> a naive script fails --> ready customer --> checkout --> billing rejects
//!       --> served from stock --> drifted --> diagnosed --> released --> stop, or stay up
//! ```
//!
//! Nothing is taken on trust from what is printed: each act asks the services themselves whether it held.

mod checkout;
mod diagnosed;
mod drifted;
mod landscape;
mod more;
mod naive;
mod processes;
mod ready;
mod rejection;
mod release;
mod stage;
mod stocked;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::landscape::{Landscape, Parts};
use self::processes::Processes;
use self::stage::{Shown, Stage};

/// What of the demonstration is wanted, and where its parts are.
#[derive(Args)]
pub(crate) struct Flags {
    /// The program `sixpack`.
    #[arg(long, value_name = "FILE")]
    sixpack: PathBuf,
    /// The folder of the scenarios.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))]
    scenarios: PathBuf,
    /// The file of the stock rule.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/stock.yaml"))]
    stock: PathBuf,
    /// End after the last act, well only if all of them held.
    #[arg(long)]
    once: bool,
    /// Print one JSON object with all acts and nothing else; implies --once.
    #[arg(long)]
    json: bool,
}

/// What a program ends with that ctrl-c has ended.
const INTERRUPTED: u8 = 130;

/// Shows everything, and ends well if all acts held. However it ends, no process is left behind.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    let mut interrupt = Interrupt::listen()?;
    let stage = Stage::new(flags.json);
    let folder = tempfile::Builder::new()
        .prefix("sixpack-demo-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let mut processes = Processes::in_folder(folder.path());
    let outcome = tokio::select! {
        outcome = show(&flags, folder.path(), &mut processes, &stage) => Some(outcome),
        () = interrupt.wait() => None,
    };
    if matches!(outcome, Some(Ok(true))) && !flags.once && !flags.json {
        interrupt.wait().await;
    }
    stage.say("\nstopping everything");
    processes.stop().await;
    let Some(outcome) = outcome else { return Ok(ExitCode::from(INTERRUPTED)) };
    if matches!(outcome, Ok(true)) {
        return Ok(ExitCode::SUCCESS);
    }
    stage.complain(format!("the logs of all processes are in {}", folder.keep().display()));
    outcome.map(|_| ExitCode::FAILURE)
}

/// Starts the landscape, plays all acts, and says how to go on.
async fn show(
    flags: &Flags,
    folder: &Path,
    processes: &mut Processes,
    stage: &Stage,
) -> anyhow::Result<bool> {
    let once = flags.once || flags.json;
    let Flags { sixpack, scenarios, stock, .. } = flags;
    let landscape = Landscape::start(Parts { sixpack, scenarios, stock }, folder, processes, stage).await?;
    let acts = play(&landscape, stage).await;
    // What an act that did not hold has left behind would spoil the rest.
    let go_on = once && acts.iter().all(Shown::held);
    let also = if go_on { Box::pin(more::play(&landscape, stage)).await } else { Vec::new() };
    stage.end(&acts, &also)?;
    let held = acts.iter().chain(&also).all(Shown::held);
    if held && !once {
        stage.say(landscape.how_to_go_on());
    }
    Ok(held)
}

/// The acts in their sequence. One that needs what an earlier one did not leave fails for that reason.
async fn play(landscape: &Landscape, stage: &Stage) -> Vec<Shown> {
    let naive = stage.play(&naive::ACT, naive::play(landscape, stage)).await;
    let mut data = None;
    let ready = stage
        .play(&ready::ACT, async {
            let (brought, evidence) = ready::play(landscape, stage).await?;
            data = Some(brought);
            Ok(evidence)
        })
        .await;
    let brought = || data.as_ref().context("the request of act 2 brought no data");
    let checkout =
        stage.play(&checkout::ACT, async { checkout::play(landscape, stage, brought()?).await }).await;
    let rejection = stage.play(&rejection::ACT, rejection::play(landscape, stage)).await;
    let stocked = stage.play(&stocked::ACT, stocked::play(landscape, stage)).await;
    let drifted = stage.play(&drifted::ACT, drifted::play(landscape, stage)).await;
    let diagnosed = stage.play(&diagnosed::ACT, diagnosed::play(landscape, stage)).await;
    let release =
        stage.play(&release::ACT, async { release::play(landscape, stage, brought()?).await }).await;
    vec![naive, ready, checkout, rejection, stocked, drifted, diagnosed, release]
}

/// Ctrl-c or SIGTERM.
struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for ctrl-c")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

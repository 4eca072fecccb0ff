//! `sixpack version`, `openapi` and `completions`: what this program is, and what it speaks.

use clap::Args;
use clap_complete::Shell;
use serde_json::json;

use crate::connection::Connection;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::Output;

/// Shows the release of this program, and with --server that of the server.
#[derive(Debug, Args)]
pub(crate) struct VersionCommand {
    /// Also ask the server
    #[arg(long)]
    server: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Prints a script that completes the commands in your shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(sixpack completions bash)
  sixpack completions fish > ~/.config/fish/completions/sixpack.fish")]
pub(crate) struct CompletionsCommand {
    /// Your shell
    shell: Shell,
}

/// Runs `sixpack completions`.
pub(crate) fn run_completions(
    command: &CompletionsCommand,
    mut program: clap::Command,
    output: &mut Output,
) -> Result<Exit, Fault> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut program, "sixpack", &mut script);
    output.script(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Runs `sixpack version`.
pub(crate) async fn run_version(command: &VersionCommand, output: &mut Output) -> Result<Exit, Fault> {
    let ours = env!("CARGO_PKG_VERSION");
    let server = if command.server { Some(command.connection.client()?.version().await?) } else { None };
    if command.json {
        let mut object = json!({ "version": ours });
        if let Some(server) = server {
            object["server"] = json!(server);
        }
        output.json(&object)?;
        return Ok(Exit::Done);
    }
    output.line(format!("sixpack {ours}"))?;
    if let Some(server) = server {
        let commit = server.commit.map_or(String::new(), |commit| format!(" ({commit})"));
        let store = server.store.map_or(String::new(), |store| {
            format!(", store {} with schema {}", store.kind, store.schema_version)
        });
        output.line(format!("server  {}{commit}, API {}{store}", server.version, server.api))?;
    }
    Ok(Exit::Done)
}

/// Runs `sixpack openapi`.
pub(crate) fn run_openapi(output: &mut Output) -> Result<Exit, Fault> {
    output.block(sixpack_server::openapi())?;
    Ok(Exit::Done)
}

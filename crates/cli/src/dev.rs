//! `sixpack dev`: a server for one developer, ready in a moment.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::connection::InEnvironment;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::{Output, note};
use crate::serving::Server;
use crate::settings::{Effective, SettingFlags, Value, effective, refused};
use crate::{logging, stores, token_files, watching};

/// Where the token is kept, in the data folder; client commands in the same working folder find it there.
const TOKEN_FILE: &str = "token";

/// The address that client commands call when none is said.
const DEFAULT_URL: &str = sixpack::DEFAULT_URL;

/// What an environment means to a server that has them all.
const WATCHED: &str =
    "Environment that watched scenarios are applied in [default: SIXPACK_ENVIRONMENT, else \"default\"]";

/// Runs a server on this machine for development: data in ./.sixpack, a token that lasts, nothing to set up.
#[derive(Debug, Args)]
#[command(mut_arg("environment", |argument| argument.help(WATCHED)), after_help = "\
Examples:
  sixpack dev                        then, in another terminal of the folder: sixpack contracts
  sixpack dev --watch scenarios/     applies your scenarios and stock rules now, and whenever you save one
  sixpack dev --listen 127.0.0.1:0   on any free port

Client commands in the same folder find the server and its token by themselves. \
SIXPACK_* variables of settings hold, a sixpack.toml does not: it is for `sixpack serve`.")]
pub(crate) struct DevCommand {
    /// Folder with scenarios and stock rules (*.yaml, *.yml) to apply at the start, and again when one is saved
    #[arg(long, value_name = "DIR")]
    watch: Option<PathBuf>,
    /// Address and port to listen on, on loopback [default: 127.0.0.1:6776]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Folder of the store [default: .sixpack]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The address of a PostgreSQL store to use in place of SQLite: postgres://user@host:5432/database
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Take calls without a token, as an administrator's
    #[arg(long)]
    insecure_dev: bool,
    /// error, warn, info, debug or trace [default: warn]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    #[command(flatten)]
    environment: InEnvironment,
}

/// Runs the command.
pub(crate) async fn run(command: &DevCommand, output: &mut Output) -> Result<Exit, Fault> {
    let Effective { settings, .. } =
        effective(&flags(command), std::env::vars_os()).map_err(|faults| refused(&faults))?;
    if !settings.listen.ip().is_loopback() {
        return Err(Fault::new(
            Exit::Settings,
            format!("`sixpack dev` listens on loopback only, not on {}", settings.listen),
        )
        .next("use `sixpack serve` for a server that others reach"));
    }
    if let Some(folder) = &command.watch
        && !folder.is_dir()
    {
        return Err(Fault::new(Exit::Data, format!("there is no folder {} to watch", folder.display()))
            .next("make it, or name the folder with your scenarios by --watch"));
    }
    logging::start(&settings.log_level, settings.log_json);
    let Some(mut server) = Server::open(&settings).await? else { return Ok(Exit::Done) };
    stores::make_folder(&settings.data)?;
    keep_out_of_repositories(&settings.data)?;
    let file = settings.data.join(TOKEN_FILE);
    let token = match token_files::kept(server.engine(), &file).await? {
        Some(token) => token,
        None => token_files::make(server.engine(), "sixpack dev", None, &file).await?,
    };
    if command.insecure_dev {
        server.without_tokens();
    }
    for line in welcome(&server.url(), &token, &file) {
        output.line(line)?;
    }
    if command.insecure_dev {
        note(
            "warning: --insecure-dev takes calls without a token: everybody on this machine is an administrator here",
        );
    }
    let Some(folder) = &command.watch else { return server.run().await };
    let client = sixpack::Client::new(server.url(), &token)?;
    let environment = command.environment.name();
    let mut watching_output = Output::new();
    let watching = watching::watch(&client, &environment, folder, &mut watching_output);
    tokio::select! {
        ended = server.run() => ended,
        fault = watching => Err(fault),
    }
}

fn flags(command: &DevCommand) -> SettingFlags {
    let said = [
        ("listen", &command.listen),
        ("data", &command.data),
        ("store", &command.store),
        ("log.level", &command.log_level),
    ];
    SettingFlags {
        file: None,
        values: said
            .into_iter()
            .filter_map(|(name, value)| value.clone().map(|value| (name, value)))
            .collect(),
        defaults: vec![
            ("drain_delay_s", Value::Number(0)),
            ("log.level", Value::Text("warn".into())),
            ("log.format", Value::Text("text".into())),
        ],
        without_file: true,
    }
}

fn welcome(url: &str, token: &str, file: &Path) -> Vec<String> {
    let mut lines = vec![
        format!("Sixpack is ready at {url}"),
        format!("  token  {token}"),
        format!("         role admin, kept in {}", file.display()),
        // Behind the `#`, where it is neither sent nor logged: the page hands it in and forgets it.
        format!("  pages  {url}/sign-in#{token}"),
        String::new(),
        "Next, in another terminal:".to_owned(),
    ];
    let found = file == Path::new(".sixpack").join(TOKEN_FILE);
    if url != DEFAULT_URL {
        lines.push(format!("  export SIXPACK_URL={url}"));
    }
    if !found {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        lines.push(format!("  export SIXPACK_TOKEN=$(cat '{}')", file.display()));
    }
    lines.extend(
        [
            "  sixpack contracts                      what can be requested (suppliers publish it)",
            "  sixpack apply -f scenarios/ --check    are these scenarios sound?",
            "  sixpack request domain/name            have a dataset made and leased to you",
            "",
            "Stop it with ctrl-c; the data stays.",
        ]
        .map(str::to_owned),
    );
    lines
}

/// The folder holds a token: it must not be committed by accident.
fn keep_out_of_repositories(folder: &Path) -> Result<(), Fault> {
    let file = folder.join(".gitignore");
    if file.exists() {
        return Ok(());
    }
    std::fs::write(&file, "*\n").map_err(|error| Fault::unwritable(&file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_commands_work_wherever_the_server_listens_and_keeps_its_data() {
        let usual = welcome(DEFAULT_URL, "sxp_x", Path::new(".sixpack/token"));
        assert!(!usual.iter().any(|line| line.contains("export")), "{usual:?}");
        let other = welcome("http://127.0.0.1:7000", "sxp_x", Path::new("/tmp/data/token"));
        assert!(other.contains(&"  export SIXPACK_URL=http://127.0.0.1:7000".to_owned()));
        assert!(other.contains(&"  pages  http://127.0.0.1:7000/sign-in#sxp_x".to_owned()));
        assert!(other.contains(&"  export SIXPACK_TOKEN=$(cat '/tmp/data/token')".to_owned()));
    }
}

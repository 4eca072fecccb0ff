//! The connection of client commands: address, token and environment, and where each comes from.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sixpack::{Client, DEFAULT_URL};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::note;

/// How long a command looks for a server: long enough for one that is just starting, short enough for a person.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a command that waits for a result bears a server that restarts or is replaced.
const WAITING_PATIENCE: Duration = Duration::from_secs(30);

/// Where `sixpack dev` keeps its token.
const DEV_TOKEN: &str = ".sixpack/token";

const URL_VARIABLE: &str = "SIXPACK_URL";
const TOKEN_VARIABLE: &str = "SIXPACK_TOKEN";
const ENVIRONMENT_VARIABLE: &str = "SIXPACK_ENVIRONMENT";
const CHANNEL_VARIABLE: &str = "SIXPACK_CHANNEL";

/// The environment when none is named.
const DEFAULT_ENVIRONMENT: &str = "default";

/// Which server to talk to, and with which token. The token is never an argument: arguments are seen by everybody on the
/// machine and stay in the history of the shell.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Address of the server [default: SIXPACK_URL, else http://127.0.0.1:6776]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the token [default: the variable SIXPACK_TOKEN, else .sixpack/token for a server on this machine]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Which environment a command is about.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct InEnvironment {
    /// Environment [default: SIXPACK_ENVIRONMENT, else "default"]
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
}

/// Which suppliers under development a command is about.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct InChannel {
    /// Channel of suppliers under development: what they offer takes the place of what is deployed
    /// [default: SIXPACK_CHANNEL, else none]
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

impl Connection {
    /// A client for one call after another.
    pub(crate) fn client(&self) -> Result<Client, Fault> {
        self.client_with(PATIENCE)
    }

    /// A client for waiting.
    pub(crate) fn waiting_client(&self) -> Result<Client, Fault> {
        self.client_with(WAITING_PATIENCE)
    }

    /// Name, value and origin of address and token, for people; the token itself is not shown.
    pub(crate) fn shown(&self) -> Vec<[String; 3]> {
        let (url, url_from) = self.url();
        let token = match self.token(&url) {
            Ok(Some((_, from))) => ["***".to_owned(), from],
            Ok(None) => ["(none)".to_owned(), "default".to_owned()],
            Err(fault) => [format!("({})", fault.what), "--token-file".to_owned()],
        };
        let (environment, environment_from) = InEnvironment::default().found();
        let [token, token_from] = token;
        let (channel, channel_from) = InChannel::default().found();
        vec![
            ["url".to_owned(), url, url_from.to_owned()],
            ["token".to_owned(), token, token_from],
            ["environment".to_owned(), environment, environment_from.to_owned()],
            ["channel".to_owned(), channel.unwrap_or_default(), channel_from.to_owned()],
        ]
    }

    fn client_with(&self, patience: Duration) -> Result<Client, Fault> {
        let (url, _) = self.url();
        let token = self.token(&url)?;
        Ok(Client::with_patience(&url, token.as_ref().map(|(token, _)| token.as_str()), patience)?)
    }

    fn url(&self) -> (String, &'static str) {
        match (&self.url, variable(URL_VARIABLE)) {
            (Some(url), _) => (url.clone(), "--url"),
            (None, Some(url)) => (url, URL_VARIABLE),
            (None, None) => (DEFAULT_URL.to_owned(), "default"),
        }
    }

    fn token(&self, url: &str) -> Result<Option<(String, String)>, Fault> {
        if let Some(path) = &self.token_file {
            let token = read_token(path).map_err(|error| {
                Fault::new(
                    Exit::Settings,
                    format!("the token file {} cannot be used: {error}", path.display()),
                )
                .next("name a file that holds a token; `sixpack token create NAME --role ROLE > FILE` makes one")
            })?;
            return Ok(Some((token, "--token-file".to_owned())));
        }
        if let Some(token) = variable(TOKEN_VARIABLE) {
            return Ok(Some((token.trim().to_owned(), TOKEN_VARIABLE.to_owned())));
        }
        // The token of the server on this machine is nobody else's business.
        if !is_local(url) {
            return Ok(None);
        }
        Ok(read_token(Path::new(DEV_TOKEN)).ok().map(|token| (token, DEV_TOKEN.to_owned())))
    }
}

impl InEnvironment {
    /// Its name if it is on the command line, whatever the settings say.
    pub(crate) fn given(&self) -> Option<String> {
        self.environment.clone()
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        self.found().0
    }

    fn found(&self) -> (String, &'static str) {
        match (&self.environment, variable(ENVIRONMENT_VARIABLE)) {
            (Some(name), _) => (name.clone(), "--environment"),
            (None, Some(name)) => (name, ENVIRONMENT_VARIABLE),
            (None, None) => (DEFAULT_ENVIRONMENT.to_owned(), "default"),
        }
    }
}

impl InChannel {
    /// Its name if it is on the command line, whatever the settings say.
    pub(crate) fn given(&self) -> Option<String> {
        self.channel.clone()
    }

    /// Its name; `None` for the deployed suppliers alone.
    pub(crate) fn name(&self) -> Option<String> {
        self.found().0
    }

    fn found(&self) -> (Option<String>, &'static str) {
        match (&self.channel, variable(CHANNEL_VARIABLE)) {
            (Some(name), _) => (Some(name.clone()), "--channel"),
            (None, Some(name)) => (Some(name), CHANNEL_VARIABLE),
            (None, None) => (None, "default"),
        }
    }
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn read_token(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.is_empty() {
        return Err("it is empty".to_owned());
    }
    if others_may_read(path) {
        note(format!(
            "sixpack: others on this machine may read the token in {0}; run `chmod 600 {0}`",
            path.display()
        ));
    }
    Ok(token.to_owned())
}

fn others_may_read(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return false;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_on_this_machine_gets_its_token_from_the_working_folder() {
        for url in ["http://127.0.0.1:6776", "http://localhost", "http://[::1]:80/x", "http://127.9.9.9"] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://example.org",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org:80",
            "http://127.0.0.1@example.org",
            "http://x/127.0.0.1",
            "",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }

    #[test]
    fn a_token_file_is_read_without_its_newline_and_must_hold_something() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "sxp_abc\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), "sxp_abc");
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(read_token(&path).unwrap_err(), "it is empty");
    }
}

//! What tests and demo need on this machine: found, installed, or named with the command that installs it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// A program that must be there before the first stage.
struct Tool {
    /// A command that succeeds when the tool is there.
    probe: &'static [&'static str],
    needed_for: &'static str,
    /// Whether building needs it already, and not only testing.
    to_build: bool,
    /// The package of Debian and Ubuntu that has it.
    apt: &'static str,
    /// The component of rustup that has it, when it belongs to the Rust toolchain.
    rustup: Option<&'static str>,
}

const TOOLS: &[Tool] = &[
    Tool {
        probe: &["cc", "--version"],
        needed_for: "linking, and building the SQLite inside",
        to_build: true,
        apt: "build-essential",
        rustup: None,
    },
    Tool {
        probe: &["cargo", "fmt", "--version"],
        needed_for: "checking the format",
        to_build: false,
        apt: "rustfmt",
        rustup: Some("rustfmt"),
    },
    Tool {
        probe: &["cargo", "clippy", "--version"],
        needed_for: "lints",
        to_build: false,
        apt: "rust-clippy",
        rustup: Some("clippy"),
    },
    Tool {
        // Debian keeps it out of the path.
        probe: &["sh", "-c", "command -v initdb || ls /usr/lib/postgresql/*/bin/initdb"],
        needed_for: "a PostgreSQL server of the tests' own",
        to_build: false,
        apt: "postgresql",
        rustup: None,
    },
    Tool {
        // Debian keeps it out of the path of those who are not root.
        probe: &["sh", "-c", "command -v pgbouncer || ls /usr/sbin/pgbouncer"],
        needed_for: "a pooler of the tests' own before that server",
        to_build: false,
        apt: "pgbouncer",
        rustup: None,
    },
    Tool {
        // PostgreSQL and PgBouncer refuse root.
        probe: &["sh", "-c", "test \"$(id -u)\" != 0 || setpriv --version"],
        needed_for: "running both as somebody who is not root",
        to_build: false,
        apt: "util-linux",
        rustup: None,
    },
    Tool {
        probe: &["openssl", "version"],
        needed_for: "certificates for tests of TLS",
        to_build: false,
        apt: "openssl",
        rustup: None,
    },
    Tool {
        probe: NODE_PROBE,
        needed_for: "the pages; version 20.19 or newer",
        to_build: false,
        apt: "nodejs",
        rustup: None,
    },
    Tool {
        probe: &["npm", "--version"],
        needed_for: "the packages of the pages",
        to_build: false,
        apt: "npm",
        rustup: None,
    },
    Tool {
        probe: &[
            "sh",
            "-c",
            "command -v chromium || command -v chromium-browser || command -v google-chrome",
        ],
        needed_for: "trying the pages in a browser",
        to_build: false,
        apt: "chromium",
        rustup: None,
    },
];

/// The oldest Node that builds the pages.
pub(crate) const NODE_PROBE: &[&str] = &[
    "node",
    "-e",
    "const [a, b] = process.versions.node.split('.'); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)",
];

/// What can be used here to install something.
struct Means {
    root: bool,
    apt: bool,
    rustup: bool,
}

/// How a lack is mended: by commands that we run, or by one line that a person runs.
#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    Run(Vec<Vec<&'static str>>),
    Name(String),
}

/// Makes sure that everything is there that the tests need; an error names what is lacking and the command to run.
pub(crate) fn prepare() -> anyhow::Result<()> {
    provide(TOOLS.iter())
}

/// Makes sure that everything is there that building needs.
pub(crate) fn prepare_to_build() -> anyhow::Result<()> {
    provide(TOOLS.iter().filter(|tool| tool.to_build))
}

fn provide(tools: impl Iterator<Item = &'static Tool>) -> anyhow::Result<()> {
    let lacking: Vec<&Tool> = tools.filter(|tool| !succeeds(tool.probe)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let list: Vec<String> =
        lacking.iter().map(|tool| format!("{} ({})", tool.apt, tool.needed_for)).collect();
    let list = list.join(", ");
    match remedy(&lacking, &Means::of_this_machine()) {
        Remedy::Name(command) => bail!("lacking: {list}; run: {command}"),
        Remedy::Run(commands) => {
            println!("lacking: {list}; installing");
            for command in commands {
                install(&command)?;
            }
        }
    }
    match lacking.iter().find(|tool| !succeeds(tool.probe)) {
        Some(tool) => bail!("`{}` still fails after installing {}", tool.probe.join(" "), tool.apt),
        None => Ok(()),
    }
}

/// Toolchain components come from rustup where there is one, which needs no rights; all else from apt.
fn remedy(lacking: &[&Tool], means: &Means) -> Remedy {
    let (components, packages): (Vec<&Tool>, Vec<&Tool>) =
        lacking.iter().partition(|tool| means.rustup && tool.rustup.is_some());
    let mut commands = Vec::new();
    if !packages.is_empty() {
        let install = ["apt-get", "install", "--yes", "--no-install-recommends"];
        commands.push(vec!["apt-get", "update"]);
        commands.push(install.into_iter().chain(packages.iter().map(|tool| tool.apt)).collect());
    }
    if !components.is_empty() {
        let names = components.iter().filter_map(|tool| tool.rustup);
        commands.push(["rustup", "component", "add"].into_iter().chain(names).collect());
    }
    if packages.is_empty() || (means.root && means.apt) {
        return Remedy::Run(commands);
    }
    let shown = commands.iter().map(|command| match (command[0], means.root) {
        ("apt-get", false) => format!("sudo {}", command.join(" ")),
        _ => command.join(" "),
    });
    Remedy::Name(shown.collect::<Vec<_>>().join(" && "))
}

impl Means {
    fn of_this_machine() -> Self {
        Self {
            root: is_root(),
            apt: succeeds(&["apt-get", "--version"]),
            rustup: succeeds(&["rustup", "--version"]),
        }
    }
}

/// On Linux our own folder in `/proc` belongs to the user we run as; elsewhere there is no apt to ask for.
#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self").metadata().is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

pub(crate) fn succeeds(command: &[&str]) -> bool {
    let status = silent(command).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn install(command: &[&str]) -> anyhow::Result<()> {
    let status = silent(command)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .with_context(|| format!("cannot run `{}`", command.join(" ")))?;
    if !status.success() {
        bail!("`{}` failed ({status})", command.join(" "));
    }
    Ok(())
}

/// A command that can ask no questions.
fn silent(command: &[&str]) -> Command {
    let (program, arguments) = command.split_first().expect("every command names a program");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(packages: &[&str]) -> Vec<&'static Tool> {
        TOOLS.iter().filter(|tool| packages.contains(&tool.apt)).collect()
    }

    #[test]
    fn root_on_debian_gets_everything_installed() {
        let means = Means { root: true, apt: true, rustup: false };
        let Remedy::Run(commands) = remedy(&lacking(&["build-essential", "rust-clippy"]), &means) else {
            panic!("root can install")
        };
        assert_eq!(commands[0], ["apt-get", "update"]);
        assert!(commands[1].ends_with(&["build-essential", "rust-clippy"]));
        assert_eq!(commands.len(), 2);
    }

    #[test]
    fn toolchain_components_need_no_rights_with_rustup() {
        let means = Means { root: false, apt: true, rustup: true };
        let remedy = remedy(&lacking(&["rustfmt", "rust-clippy"]), &means);
        assert_eq!(remedy, Remedy::Run(vec![vec!["rustup", "component", "add", "rustfmt", "clippy"]]));
    }

    #[test]
    fn others_are_told_the_one_line_to_run() {
        let means = Means { root: false, apt: true, rustup: true };
        let Remedy::Name(line) = remedy(&lacking(&["build-essential", "rustfmt"]), &means) else {
            panic!("a user cannot install packages")
        };
        assert!(line.starts_with("sudo apt-get update && sudo apt-get install --yes"), "{line}");
        assert!(line.ends_with("build-essential && rustup component add rustfmt"), "{line}");
    }
}

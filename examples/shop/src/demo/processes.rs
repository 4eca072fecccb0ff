//! Processes: started one after another, and stopped by their ids, newest first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Longer than any start takes on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Longer than a drain without tasks takes.
const STOP_GRACE: Duration = Duration::from_secs(8);

/// All processes of the demonstration but the short ones. Dropping it kills them.
pub(super) struct Processes {
    folder: PathBuf,
    running: Vec<Process>,
}

struct Process {
    child: Child,
    /// Kept, so that printing goes on to succeed.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Processes {
    /// No process yet; their logs will be in this folder.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), running: Vec::new() }
    }

    /// Starts a process, and waits for the line of its output that begins with `sign`. Answers the rest of that line.
    pub(super) async fn start(
        &mut self,
        name: &str,
        mut command: Command,
        sign: &str,
    ) -> anyhow::Result<String> {
        let log = self.folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // A group of its own: ctrl-c is for us alone, and we stop the others in the right sequence.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let output = child.stdout.take().expect("standard output is piped");
        let mut output = BufReader::new(output).lines();
        let found = tokio::time::timeout(START_LIMIT, line_with(&mut output, sign)).await;
        self.running.push(Process { child, _output: output });
        match found {
            Ok(Ok(Some(rest))) => Ok(rest),
            Ok(Ok(None)) => bail!("{name} ended instead of starting: {}", last_line(&log)),
            Ok(Err(error)) => Err(error).with_context(|| format!("cannot read what {name} prints")),
            Err(_) => bail!("{name} did not start within {START_LIMIT:?}: {}", last_line(&log)),
        }
    }

    /// Stops all, newest first, so that nobody is left calling someone who is gone.
    pub(super) async fn stop(&mut self) {
        while let Some(mut process) = self.running.pop() {
            // Without an id it has ended already.
            let id = process.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            let told = id.is_some_and(|id| kill_process(id, Signal::TERM).is_ok());
            let ended = told && tokio::time::timeout(STOP_GRACE, process.child.wait()).await.is_ok();
            if !ended {
                // It has ended, or cannot be helped.
                let _ = process.child.kill().await;
            }
        }
    }
}

async fn line_with(
    output: &mut Lines<BufReader<ChildStdout>>,
    sign: &str,
) -> std::io::Result<Option<String>> {
    while let Some(line) = output.next_line().await? {
        if let Some(rest) = line.strip_prefix(sign) {
            return Ok(Some(rest.trim().to_owned()));
        }
    }
    Ok(None)
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    match text.lines().next_back() {
        Some(line) => format!("its last words are `{line}`"),
        None => format!("it said nothing in {}", log.display()),
    }
}

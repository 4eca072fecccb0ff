//! Runs the program in a folder of its own, without anything of the environment of the tests.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Far beyond what anything here takes; reached only by a program that hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A folder to work in.
pub(crate) struct Place {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that runs until it ends by itself, or is dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("there is room for a folder"), variables: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and returns its name for the command line.
    pub(crate) fn put(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).unwrap();
        std::fs::write(path, text).unwrap();
        name.to_owned()
    }

    /// Sets a variable for all programs of this place.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().expect("the program was built");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts the program and returns at once.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::of(self.command(arguments))
    }

    /// The same with a disk that fails to write beyond so many pieces of 512 bytes of a file, by another error than that it is full.
    pub(crate) fn start_on_a_failing_disk(&self, pieces: u64, arguments: &[&str]) -> Running {
        let program = self.command(arguments);
        let mut limited = self.shell("trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"");
        limited.arg(pieces.to_string()).arg(program.get_program()).args(program.get_args());
        Running::of(limited)
    }

    /// Starts `sixpack dev` on a free port, and sets address and token for the other programs of this place.
    pub(crate) fn start_dev(&mut self, more: &[&str]) -> Running {
        let mut server = self.start(&[&["dev", "--listen", "127.0.0.1:0"], more].concat());
        let url = server.stdout.until(|line| line.contains("ready at http://"));
        let url = url.rsplit(' ').next().expect("the line ends with the address").to_owned();
        let token = server.stdout.until(|line| line.trim_start().starts_with("token "));
        let token = token.rsplit(' ').next().expect("the line ends with the token").to_owned();
        self.set("SIXPACK_URL", &url);
        server.stdout.until(|line| line.starts_with("Stop it"));
        assert_eq!(std::fs::read_to_string(self.path(".sixpack/token")).unwrap().trim(), token);
        server
    }

    /// The address of the server that was started.
    pub(crate) fn url(&self) -> String {
        let found = self.variables.iter().find(|(name, _)| name == "SIXPACK_URL");
        found.expect("a server was started").1.clone()
    }

    /// The token of `sixpack dev`.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.path(".sixpack/token")).unwrap().trim().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.prepared(env!("CARGO_BIN_EXE_sixpack"));
        command.args(arguments);
        command
    }

    /// A shell, whose blocks are 512 bytes as POSIX has it.
    fn shell(&self, script: &str) -> Command {
        let mut command = self.prepared("sh");
        command.args(["-c", script]).env("POSIXLY_CORRECT", "1");
        command
    }

    fn prepared(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIXPACK_"))
        {
            command.env_remove(name);
        }
        command.env_remove("HTTP_PROXY").env_remove("http_proxy").env("NO_COLOR", "1");
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Ended {
    /// The one JSON object of the output.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless the program ended so.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

impl Running {
    fn of(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program was built");
        let stdout = Lines::of(child.stdout.take().expect("it is piped"));
        let stderr = Lines::of(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr }
    }

    /// The next line of the output that `wanted` accepts.
    pub(crate) fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.until(wanted)
    }

    /// The next line of the log that `wanted` accepts.
    pub(crate) fn log(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr.until(wanted)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the end of the process; returns every line of its log.
    pub(crate) fn ended_with_log(&mut self) -> Vec<String> {
        self.ended();
        self.stderr.seen.clone()
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        // Both outputs end with the process; until then nobody has to look.
        self.stdout.until_end();
        self.stderr.until_end();
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that a process writes, as they come.
struct Lines {
    receiver: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            BufReader::new(stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| sender.send(line.clone()).is_ok())
                .count()
        });
        Self { receiver, seen: Vec::new() }
    }

    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(error) => panic!("{error}; it wrote:\n{}", self.seen.join("\n")),
            }
        }
    }

    fn until_end(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it does not end; it wrote:\n{}", self.seen.join("\n"))
                }
            }
        }
    }
}

/// The rights of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

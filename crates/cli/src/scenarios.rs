//! `sixpack apply`: reads files of scenarios and of stock rules, has them checked, and applies them.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use sixpack::wire::{
    Applied, AppliedRule, AppliedScenario, Apply, Break, Change, Problem, RuleChange, ScenarioFile,
};
use sixpack::{Client, Error};

use crate::connection::{Connection, InEnvironment};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::printing::{Output, note_report};
use crate::report::Sources;

/// Names of files that are taken from a folder end like this.
const EXTENSIONS: [&str; 2] = ["yaml", "yml"];

/// Folders within folders that are looked into; more is a circle of links.
pub(crate) const DEPTH_MAX: usize = 16;

/// Bytes of a file: the server refuses larger ones, so they are not read.
const FILE_BYTES: u64 = 1024 * 1024;

/// What the standard input is called in reports.
const STDIN: &str = "stdin";

/// Checks files of scenarios and of stock rules and applies them, all or nothing.
///
/// A file holds one scenario (`scenario: domain/name` at its top) or stock rules (under `stock:`).
/// Every fault of form and of type of every file is reported at once, each in the line where it is; of a file that cannot be
/// understood at all a line says that its types were not looked at.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixpack apply -f scenarios/ --check    only check: nothing is changed
  sixpack apply ready.yaml stock.yaml
  sixpack apply -f scenarios/ --strict   what is only warned of is refused as well
  sixpack apply -f scenarios/ -f more.yaml --environment staging
  generate | sixpack apply -f -

Ends with 65 when a file has faults; with --strict also when it has warnings.")]
pub(crate) struct ApplyCommand {
    /// Files, folders (all *.yaml and *.yml below them), or - for the standard input
    #[arg(value_name = "FILE|DIR", required_unless_present = "files")]
    named: Vec<PathBuf>,
    /// The same; may be repeated
    #[arg(short, long = "file", value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// Only check: nothing is changed
    #[arg(long)]
    check: bool,
    /// Refuse what is otherwise only warned of: a secret that is written out, an input that nothing reads
    #[arg(long)]
    strict: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    environment: InEnvironment,
    #[command(flatten)]
    connection: Connection,
}

/// What became of files that were sent.
pub(crate) enum Outcome {
    /// They were applied, or pass.
    Applied(Applied),
    /// They have faults.
    Faults(Box<Problem>),
}

/// Runs the command.
pub(crate) async fn run(command: &ApplyCommand, output: &mut Output) -> Result<Exit, Fault> {
    let mut files = Vec::new();
    for path in command.named.iter().chain(&command.files) {
        files.extend(read(path)?);
    }
    let client = command.connection.client()?;
    let body = if command.check { Apply::check(files.clone()) } else { Apply::new(files.clone()) };
    let body = if command.strict { body.strictly() } else { body };
    let outcome = apply(&client, &command.environment.name(), &body).await?;
    match &outcome {
        Outcome::Applied(applied) if command.json => output.json(applied)?,
        Outcome::Applied(applied) => {
            told(applied, &files).into_iter().try_for_each(|line| output.line(line))?;
            warnings(applied, &files).iter().for_each(|report| note_report(report));
        }
        Outcome::Faults(problem) if command.json => output.json(problem)?,
        Outcome::Faults(problem) => note_report(&faults(problem, &files)),
    }
    Ok(match outcome {
        Outcome::Applied(_) => Exit::Done,
        Outcome::Faults(_) => Exit::Data,
    })
}

/// Reads a file, or all files below a folder, in the order of their names.
pub(crate) fn read(path: &Path) -> Result<Vec<ScenarioFile>, Fault> {
    if path == Path::new("-") {
        let mut text = String::new();
        let failed = |error| Fault::new(Exit::Io, format!("the standard input cannot be read: {error}"));
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(vec![ScenarioFile::new(STDIN, text)]);
    }
    let metadata = std::fs::metadata(path).map_err(|error| Fault::unreadable(path, &error))?;
    if !metadata.is_dir() {
        return Ok(vec![read_file(path)?]);
    }
    let paths = below(path, DEPTH_MAX)?;
    if paths.is_empty() {
        return Err(Fault::new(Exit::Data, format!("there is no *.yaml or *.yml below {}", path.display())));
    }
    paths.iter().map(|path| read_file(path)).collect()
}

/// The files of scenarios and stock rules below a folder, sorted; hidden files and folders are left out.
pub(crate) fn below(folder: &Path, depth: usize) -> Result<Vec<PathBuf>, Fault> {
    let unreadable = |error: std::io::Error| Fault::unreadable(folder, &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().map_err(unreadable)?.is_dir() {
            if depth > 0 {
                found.extend(below(&path, depth - 1)?);
            }
        } else if path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Sends files to be applied, or only checked.
pub(crate) async fn apply(client: &Client, environment: &str, body: &Apply) -> Result<Outcome, Fault> {
    match client.apply(environment, body).await {
        Ok(applied) => Ok(Outcome::Applied(applied)),
        Err(Error::Problem(problem))
            if problem.status == 422 && problem.errors.iter().any(|fault| fault.file.is_some()) =>
        {
            Ok(Outcome::Faults(problem))
        }
        Err(error) => Err(error.into()),
    }
}

/// What was applied, one line a scenario or a stock rule, what is different, and whom it breaks.
pub(crate) fn told(applied: &Applied, files: &[ScenarioFile]) -> Vec<String> {
    let place = |path: Option<&str>| {
        path.filter(|_| files.len() > 1).map_or(String::new(), |path| format!("  {path}"))
    };
    let mut lines = Vec::new();
    for scenario in &applied.applied {
        lines.push(format!("{}{}", one_line(scenario, applied.dry_run), place(scenario.path.as_deref())));
        lines.extend(scenario.changes.iter().map(|change| format!("  {change}")));
        lines.extend(scenario.breaks.iter().map(broken));
    }
    for rule in &applied.rules {
        lines.push(format!("{}{}", one_rule(rule, applied.dry_run), place(Some(&rule.path))));
        lines.extend(rule.warnings.iter().map(|warning| format!("  ⚠ {warning}")));
    }
    lines
}

/// The caret reports of all warnings.
pub(crate) fn warnings(applied: &Applied, files: &[ScenarioFile]) -> Vec<String> {
    let sources = Sources::new(files);
    let each = applied.applied.iter().flat_map(|scenario| &scenario.warnings);
    each.map(|warning| sources.warning(warning)).collect()
}

/// The caret reports of all faults, and what became of the files.
pub(crate) fn faults(problem: &Problem, files: &[ScenarioFile]) -> String {
    let sources = Sources::new(files);
    let mut report: String = problem.errors.iter().map(|fault| sources.fault(fault) + "\n").collect();
    report.push_str(&crate::printing::clean(&problem.detail));
    report
}

fn one_line(scenario: &AppliedScenario, only_checked: bool) -> String {
    let AppliedScenario { name, version, change, .. } = scenario;
    match (change, only_checked) {
        (Change::Same, _) => format!("unchanged {name}@{version}"),
        (Change::Updated, true) => format!("would update {name}@{version} (text only)"),
        (Change::Updated, false) => format!("updated {name}@{version} (text only)"),
        (_, true) => format!("would apply {name}@{version} ({change})"),
        (_, false) => format!("applied {name}@{version} ({change})"),
    }
}

fn one_rule(rule: &AppliedRule, only_checked: bool) -> String {
    let AppliedRule { name, change, .. } = rule;
    match (change, only_checked) {
        (RuleChange::Same, _) => format!("unchanged stock rule {name}"),
        (_, true) => format!("would apply stock rule {name} ({change})"),
        (_, false) => format!("applied stock rule {name} ({change})"),
    }
}

fn broken(broken: &Break) -> String {
    match &broken.stock_rule {
        Some(rule) => format!("  breaks the stock rule {rule} for {}: {}", broken.contract, broken.message),
        None => format!("  breaks {}: {}", broken.contract, broken.message),
    }
}

fn read_file(path: &Path) -> Result<ScenarioFile, Fault> {
    let unreadable = |error: std::io::Error| Fault::unreadable(path, &error);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(Fault::new(Exit::Data, format!("{} is larger than 1 MiB", path.display())));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        Fault::new(Exit::Data, format!("{} is not UTF-8: {}", path.display(), error.utf8_error()))
    })?;
    Ok(ScenarioFile::new(path.display().to_string(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_scenarios_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &&str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "scenario: a/b\n").unwrap();
        };
        ["b.yaml", "a.yml", "sub/c.yaml", "notes.txt", ".hidden.yaml", ".git/d.yaml"].iter().for_each(put);
        let names: Vec<_> = read(folder.path())
            .unwrap()
            .iter()
            .map(|file| file.path.strip_prefix(&format!("{}/", folder.path().display())).unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.yml", "b.yaml", "sub/c.yaml"]);
    }

    #[test]
    fn what_cannot_be_a_scenario_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap_err().exit, Exit::Data);
        let path = folder.path().join("x.yaml");
        assert_eq!(read(&path).unwrap_err().exit, Exit::Data);
        std::fs::write(&path, b"a: \xff\n").unwrap();
        let fault = read(&path).unwrap_err();
        assert_eq!(fault.exit, Exit::Data);
        assert!(fault.what.contains("x.yaml") && fault.what.contains("UTF-8"), "{}", fault.what);
        std::fs::write(&path, vec![b'a'; 1024 * 1024 + 1]).unwrap();
        assert!(read(&path).unwrap_err().what.contains("1 MiB"));
    }
}

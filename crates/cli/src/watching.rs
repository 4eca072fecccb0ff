//! Watching a folder of files: applies them at the start, when one is saved, and when the catalogue has changed.
//!
//! ```text
//! looked --same as before--> looked
//!   '--changed--> looked again --changed again--> looked again
//!                   '--quiet--> applied | faults --a contract they may need appeared--> applied again
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sixpack::wire::{Apply, ContractFilter};
use sixpack::{Client, Error};

use crate::fault::Fault;
use crate::printing::{Output, note, note_report, tell};
use crate::scenarios::{self, Outcome};

/// How often the folder is looked at. Two looks must agree, because editors write a file in several steps.
const LOOK: Duration = Duration::from_millis(250);

/// How often the catalogue is looked at while there are faults, in looks at the folder.
const LOOKS_PER_CATALOGUE: u32 = 4;

/// Rows of the catalogue that are compared; a contract beyond them is noticed when the file is saved again.
const CONTRACTS: u32 = 1_000;

/// The files of the folder as they were seen.
type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Watches for ever; returns only when nobody can be told of it any more.
pub(crate) async fn watch(client: &Client, environment: &str, folder: &Path, output: &mut Output) -> Fault {
    let mut watcher = Watcher { client, environment, folder, output, told: String::new(), faulty: false };
    match watcher.run().await {
        Ok(never) => match never {},
        Err(fault) => fault,
    }
}

struct Watcher<'a> {
    client: &'a Client,
    environment: &'a str,
    folder: &'a Path,
    output: &'a mut Output,
    /// The last report, so that the same is not told twice.
    told: String,
    /// Whether the files as they are have faults.
    faulty: bool,
}

impl Watcher<'_> {
    async fn run(&mut self) -> Result<std::convert::Infallible, Fault> {
        let mut tick = tokio::time::interval(LOOK);
        let (mut applied, mut before) = (None, None);
        let (mut catalogue, mut looks) = (None, 0);
        loop {
            tick.tick().await;
            let now = match look(self.folder) {
                Ok(now) => now,
                Err(fault) => {
                    // It may come back: other branches of a repository may not have it.
                    self.tell_once(fault.what.clone(), |_| tell(&fault));
                    continue;
                }
            };
            let quiet = before.as_ref() == Some(&now) || before.is_none();
            if quiet && applied.as_ref() != Some(&now) {
                catalogue = self.catalogue().await;
                self.apply(&now).await?;
                applied = Some(now.clone());
            } else if self.faulty {
                looks += 1;
                if looks % LOOKS_PER_CATALOGUE == 0 {
                    let seen = self.catalogue().await;
                    if seen.is_some() && seen != catalogue {
                        catalogue = seen;
                        self.apply(&now).await?;
                    }
                }
            }
            before = Some(now);
        }
    }

    /// Applies all files; faults are told and do not end anything.
    async fn apply(&mut self, seen: &Seen) -> Result<(), Fault> {
        self.faulty = false;
        if seen.is_empty() {
            self.tell_once(format!("no *.yaml or *.yml below {} yet", self.folder.display()), note);
            return Ok(());
        }
        let outcome = match scenarios::read(self.folder) {
            Ok(files) => scenarios::apply(self.client, self.environment, &Apply::new(files.clone()))
                .await
                .map(|outcome| (outcome, files)),
            Err(fault) => Err(fault),
        };
        match outcome {
            Ok((Outcome::Applied(applied), files)) => {
                self.told.clear();
                for line in scenarios::told(&applied, &files) {
                    self.output.line(line)?;
                }
                scenarios::warnings(&applied, &files).iter().for_each(|report| note_report(report));
            }
            Ok((Outcome::Faults(problem), files)) => {
                self.faulty = true;
                self.tell_once(scenarios::faults(&problem, &files), |report| {
                    note_report(&report);
                    note(
                        "They are applied again when one is saved, or when a supplier publishes a contract.",
                    );
                });
            }
            Err(fault) => {
                self.faulty = true;
                self.tell_once(fault.what.clone(), |_| tell(&fault));
            }
        }
        Ok(())
    }

    fn tell_once(&mut self, report: String, tell: impl FnOnce(String)) {
        if self.told != report {
            tell(report.clone());
            self.told = report;
        }
    }

    /// Names and versions of all contracts; nothing when they cannot be read.
    async fn catalogue(&self) -> Option<Vec<(String, u32)>> {
        let filter = ContractFilter { limit: Some(CONTRACTS), ..ContractFilter::default() };
        match self.client.contracts(self.environment, &filter).await {
            Ok(page) => {
                Some(page.items.into_iter().map(|contract| (contract.name, contract.version)).collect())
            }
            // It comes into being with its first supplier.
            Err(Error::Problem(problem)) if problem.code == "environment_not_found" => Some(Vec::new()),
            Err(_) => None,
        }
    }
}

/// The files as they are now. One that vanishes in between is as if it were not there.
fn look(folder: &Path) -> Result<Seen, Fault> {
    let paths = scenarios::below(folder, scenarios::DEPTH_MAX)?;
    let seen = paths.into_iter().filter_map(|path| {
        let metadata = std::fs::metadata(&path).ok()?;
        Some((path, (metadata.modified().ok(), metadata.len())))
    });
    Ok(seen.collect())
}

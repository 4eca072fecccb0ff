//! The progress of a request while it is made: a live tree on a terminal, a line for each change elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sixpack::wire::{Request, Step, StepStatus};

use super::asked;
use super::telling::{branches, contract, in_line, says, steps, trees};
use crate::printing::{clean, note};
use crate::times::span;

/// Lines of the live tree; more than fit a screen would flicker.
const LINES_MAX: usize = 40;

/// Under which the place in line is noted among what was told about steps; no id of a step is like it.
const IN_LINE: &str = "in line";

/// Shows progress beside the output.
pub(super) struct Progress {
    way: Way,
    began: Instant,
    /// When each step was first seen at work, by our own clock: the server's may differ from it.
    at_work: HashMap<String, Instant>,
    /// What was told last about each step.
    told: HashMap<String, String>,
    seen: Option<Request>,
}

enum Way {
    /// Drawn anew with each change and each tick.
    Live(ProgressBar),
    /// One line for each change of a step.
    Lines,
    /// A machine reads the output, and nobody looks.
    Silent,
}

impl Progress {
    /// Shows nothing yet. When the output is for a machine, only a terminal gets to see anything.
    pub(super) fn new(for_machine: bool, now: Instant) -> Self {
        let way = match (std::io::stderr().is_terminal(), for_machine) {
            (true, _) => Way::Live(bar()),
            (false, false) => Way::Lines,
            (false, true) => Way::Silent,
        };
        Self { way, began: now, at_work: HashMap::new(), told: HashMap::new(), seen: None }
    }

    /// Takes a new revision.
    pub(super) fn see(&mut self, request: &Request, now: Instant) {
        for id in request
            .progress
            .steps
            .iter()
            .filter(|step| is_at_work(step))
            .filter_map(|step| step.dataset_id.clone())
        {
            self.at_work.entry(id).or_insert(now);
        }
        if matches!(self.way, Way::Lines) {
            self.tell(request);
        }
        self.seen = Some(request.clone());
        self.tick(now);
    }

    /// Draws the spans of running steps anew.
    pub(super) fn tick(&self, now: Instant) {
        let (Way::Live(bar), Some(request)) = (&self.way, &self.seen) else { return };
        let running = |step: &Step| {
            let began = self.at_work.get(step.dataset_id.as_ref()?)?;
            is_at_work(step).then(|| now.duration_since(*began))
        };
        let progress = &request.progress;
        let mut lines = vec![format!(
            "{}  {}  {} of {} done  {}",
            asked(request),
            request.status,
            progress.done,
            progress.total,
            span(now.duration_since(self.began))
        )];
        lines.extend(in_line(request));
        lines.extend(branches(&steps(request, running)));
        let left_out = lines.len().saturating_sub(LINES_MAX);
        lines.truncate(LINES_MAX);
        if left_out > 0 {
            lines.push(format!("… and {left_out} more lines"));
        }
        bar.set_message(lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n"));
    }

    /// Leaves the place to what is told at the end.
    pub(super) fn clear(&self) {
        if let Way::Live(bar) = &self.way {
            bar.finish_and_clear();
        }
    }

    fn tell(&mut self, request: &Request) {
        if self.told.is_empty() {
            note(format!("{}  {}  {}", request.id, asked(request), request.status));
            self.told.insert(String::new(), String::new());
        }
        if let Some(place) = in_line(request).filter(|place| self.told.get(IN_LINE) != Some(place)) {
            note(format!("  {place}"));
            self.told.insert(IN_LINE.to_owned(), place);
        }
        for (number, step) in numbered(request) {
            // Without an id it has not begun, and is not going to be made.
            let Some(id) = step.dataset_id.as_ref().filter(|_| step.status != StepStatus::Pending) else {
                continue;
            };
            // A step that is asked about again and again goes to and fro between the two.
            let turn = match step.status {
                StepStatus::Waiting => StepStatus::Building,
                status => status,
            };
            let says = says(step);
            let news = format!("{turn} {says}");
            if self.told.get(id) == Some(&news) {
                continue;
            }
            let number = number.map(|number| format!("#{number}"));
            let path = Some(step.path.clone()).filter(|path| !path.is_empty());
            let state = format!("{:<11} {says}", step.status).trim_end().to_owned();
            let parts = [number, path, Some(contract(step)), Some(state)];
            note(format!("  {}", parts.into_iter().flatten().collect::<Vec<_>>().join("  ")));
            self.told.insert(id.clone(), news);
        }
    }
}

/// All steps; of several datasets each with the number of its own.
fn numbered(request: &Request) -> impl Iterator<Item = (Option<usize>, &Step)> {
    let trees = trees(&request.progress.steps);
    let several = trees.len() > 1;
    trees.into_iter().enumerate().flat_map(move |(index, tree)| {
        let number = several.then_some(index + 1);
        tree.iter().map(move |step| (number, step))
    })
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").expect("the text of the style is well-formed");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}

fn is_at_work(step: &Step) -> bool {
    step.ended_at.is_none()
        && !matches!(step.status, StepStatus::Pending | StepStatus::Ready | StepStatus::Skipped)
}

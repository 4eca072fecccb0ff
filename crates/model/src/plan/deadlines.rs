//! Deadlines: a step that is out of time fails, whatever else happens to its tree at that moment.
//!
//! ```text
//! a step's `timeout_s`      from its beginning until its dataset is there, all attempts included
//! a scenario's `timeout_s`  one attempt at it, as part of another dataset
//! ```

use jiff::Timestamp;

use super::Plan;
use super::blame::Cause;
use crate::failure::FailureClass;
use crate::task::{OpenTask, Standing};
use crate::tree::{Operation, Part, Retrying, Task, Tree};

/// Whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    /// That of a step: there is no other attempt.
    Step,
    /// That of a scenario: there may be another attempt.
    Attempt,
}

impl Plan<'_> {
    /// Fails what is out of time, what was out of time first at first.
    pub(super) fn expire(&mut self, open: &[OpenTask]) {
        while self.tree.ending.is_none()
            && let Some((part, limit)) = self.out_of_time()
        {
            self.time_out(part, limit, open);
        }
    }

    /// The limit that passed first; of two that passed together the outer one.
    fn out_of_time(&self) -> Option<(u32, Limit)> {
        let limits = self.tree.parts.iter().filter(|part| part.is_being_made()).flat_map(|part| {
            let step = part.deadline_at.map(|at| (at, part.part, Limit::Step));
            let attempt = part.attempt_until.map(|at| (at, part.part, Limit::Attempt));
            step.into_iter().chain(attempt)
        });
        let (_, part, limit) = limits.filter(|(at, ..)| *at <= self.world.now).min()?;
        Some((part, limit))
    }

    fn time_out(&mut self, part: u32, limit: Limit, open: &[OpenTask]) {
        let doing = Doing { tree: &self.tree, now: self.world.now, open };
        let node = self.part(part);
        let what = match limit {
            Limit::Step => {
                let since = node.started_at.unwrap_or(node.created_at);
                let allowed = node.deadline_at.map_or(0, |at| at.duration_since(since).as_secs());
                format!("step `{}` was not made within its `timeout_s` of {allowed} s", node.label())
            }
            Limit::Attempt => {
                let contract = self.contract(part);
                let scenario = contract.as_ref().and_then(|contract| contract.scenario());
                let allowed = scenario.and_then(|scenario| scenario.timeout_s).unwrap_or(0);
                format!("{} was not made within its own `timeout_s` of {allowed} s", node.contract)
            }
        };
        let message = format!("{what}: {}", doing.tell(part));
        let attempts = doing.attempts(part);
        self.fail_for(part, Cause { attempts, ..Cause::of(FailureClass::Timeout, message).passing() });
    }
}

/// What a tree is doing, for people who want to know why it takes so long.
pub(super) struct Doing<'a> {
    pub(super) tree: &'a Tree,
    pub(super) now: Timestamp,
    pub(super) open: &'a [OpenTask],
}

impl Doing<'_> {
    /// What a part was doing: itself, or the first that is waited for below it.
    pub(super) fn tell(&self, part: u32) -> String {
        let waiting = self.waited_for(part);
        let Some((first, others)) = waiting.split_first() else {
            return "nothing of it was under way".to_owned();
        };
        let node = &self.tree.parts[*first as usize];
        let whose = if *first == part { "it".to_owned() } else { self.tree.path_of(*first) };
        let others = match others.len() {
            0 => String::new(),
            1 => "; one more part was under way".to_owned(),
            more => format!("; {more} more parts were under way"),
        };
        format!("{whose} {}{others}", self.tell_one(node))
    }

    /// How many attempts were made at a part, the one that is on included.
    pub(super) fn attempts(&self, part: u32) -> u32 {
        let node = &self.tree.parts[part as usize];
        match &node.task {
            Some(task) => match self.standing(node, task) {
                Some(Standing::Claimed { attempt, .. }) => attempt.saturating_sub(task.spent_from),
                Some(Standing::Unclaimed { .. }) | None => task.attempt.saturating_sub(task.spent_from),
            },
            None => node.failed_attempts + u32::from(node.retrying.is_none()),
        }
    }

    /// The parts at and below one that something is waited for at, in the order in which they were planned.
    pub(super) fn waited_for(&self, top: u32) -> Vec<u32> {
        let mut inside = vec![false; self.tree.parts.len()];
        let mut waiting = Vec::new();
        // A part stands behind the one above it.
        for node in &self.tree.parts[top as usize..] {
            let above = node.parent.map(|parent| &self.tree.parts[parent as usize]);
            let belongs = above.is_some_and(|above| {
                inside[above.part as usize] && node.attempts_before == above.failed_attempts
            });
            inside[node.part as usize] = node.part == top || belongs;
            if inside[node.part as usize] && waits(node) {
                waiting.push(node.part);
            }
        }
        waiting
    }

    fn tell_one(&self, node: &Part) -> String {
        match (&node.task, node.retrying) {
            (Some(task), _) => self.tell_task(node, task),
            (None, Some(retrying)) => {
                let failed = node.failed_attempts;
                let because = match &node.failure {
                    Some(failure) => format!(", which had failed: {}", failure.message),
                    None => String::new(),
                };
                match retrying {
                    Retrying::TakingDown => {
                        format!("was waiting for the undo of attempt {failed}{because}")
                    }
                    Retrying::Pausing { until } => {
                        let next = failed + 1;
                        format!(
                            "was pausing until {until:.0} before attempt {next}, after attempt {failed}{because}"
                        )
                    }
                }
            }
            (None, None) => "was being made".to_owned(),
        }
    }

    fn tell_task(&self, node: &Part, task: &Task) -> String {
        let (said, verb) = match task.operation {
            Operation::Check => {
                (node.evidence.as_ref().and_then(|evidence| evidence.message.as_ref()), "check")
            }
            Operation::Produce | Operation::Undo => (task.message.as_ref(), task.operation.name()),
        };
        let said = said.map(|said| format!(" ({} said last: {said})", node.contract)).unwrap_or_default();
        let attempt = |number: u32| number.saturating_sub(task.spent_from);
        let since = task.ready_at;
        match self.standing(node, task) {
            Some(Standing::Claimed { attempt: number, since: Some(since) }) => {
                format!("had attempt {} of `{verb}` running since {since:.0}{said}", attempt(number))
            }
            Some(Standing::Claimed { attempt: number, since: None }) => {
                format!("had attempt {} of `{verb}` running{said}", attempt(number))
            }
            _ if task.ready_at > self.now => {
                format!(
                    "was pausing until {since:.0} before attempt {} of `{verb}`{said}",
                    attempt(task.attempt) + 1
                )
            }
            Some(Standing::Unclaimed { served: true }) => {
                format!("was waiting for a free slot for `{verb}` since {since:.0}{said}")
            }
            Some(Standing::Unclaimed { served: false }) => {
                format!(
                    "was waiting for a supplier of {} since {since:.0}: none is connected{said}",
                    node.contract
                )
            }
            None => format!(
                "was waiting for attempt {} of `{verb}` since {since:.0}{said}",
                attempt(task.attempt) + 1
            ),
        }
    }

    fn standing(&self, node: &Part, task: &Task) -> Option<Standing> {
        let found = self.open.iter().find(|open| open.part == node.part && open.serial == task.serial)?;
        Some(found.standing)
    }
}

/// Whether something is waited for at the part itself.
fn waits(node: &Part) -> bool {
    let asked = node.task.as_ref().is_some_and(|task| !task.cancelled && task.operation != Operation::Undo);
    asked || (node.is_being_made() && node.retrying.is_some())
}

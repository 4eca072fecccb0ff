//! Deadlines: a step that is out of time fails, whatever else happens to its tree at that moment.
//!
//! ```text
//! a step's `timeout_s`      from its beginning until its dataset is there, all attempts included
//! a scenario's `timeout_s`  one attempt at it, as part of another dataset
//! ```

use std::collections::HashMap;

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

/// One limit of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline {
    at: Timestamp,
    part: u32,
    limit: Limit,
}

impl Plan<'_> {
    /// Fails what is out of time, in the order in which the limits passed; of two that passed together the outer one
    /// goes first.
    pub(super) fn expire(&mut self, open: &[OpenTask]) {
        let now = self.world.now;
        let mut passed: Vec<Deadline> =
            self.parts().iter().flat_map(deadlines).filter(|deadline| deadline.at <= now).collect();
        if passed.is_empty() {
            return;
        }
        passed.sort_unstable();
        let open = Open::of(open);
        for deadline in passed {
            // What has failed with another one has no deadline any more.
            if deadlines(self.part(deadline.part)).any(|present| present == deadline) {
                self.time_out(deadline, &open);
            }
        }
    }

    fn time_out(&mut self, deadline: Deadline, open: &Open) {
        let part = deadline.part;
        let below = self.below(part);
        let doing = Doing { tree: &self.tree, now: self.world.now, open };
        let node = self.part(part);
        let what = match deadline.limit {
            Limit::Step => {
                let since = node.started_at.unwrap_or(node.created_at);
                let allowed = deadline.at.duration_since(since).as_secs();
                format!("step `{}` was not made within its `timeout_s` of {allowed} s", node.label())
            }
            Limit::Attempt => {
                let contract = self.contract(part);
                let scenario = contract.as_ref().and_then(|contract| contract.scenario());
                let allowed = scenario.and_then(|scenario| scenario.timeout_s).unwrap_or(0);
                format!("{} was not made within its own `timeout_s` of {allowed} s", node.contract)
            }
        };
        let message = format!("{what}: {}", doing.tell(part, &below));
        let attempts = doing.attempts(part);
        self.fail_for(part, Cause { attempts, ..Cause::of(FailureClass::Timeout, message).passing() });
    }
}

/// The limits of a part, as long as it is being made.
fn deadlines(part: &Part) -> impl Iterator<Item = Deadline> + use<> {
    let of = |at: Option<Timestamp>, limit| at.map(|at| Deadline { at, part: part.part, limit });
    let both = [of(part.deadline_at, Limit::Step), of(part.attempt_until, Limit::Attempt)];
    let being_made = part.is_being_made();
    both.into_iter().flatten().filter(move |_| being_made)
}

/// What the store knows of open tasks, by part and serial number.
pub(super) struct Open(HashMap<(u32, u32), Standing>);

impl Open {
    pub(super) fn of(open: &[OpenTask]) -> Self {
        Self(open.iter().map(|open| ((open.part, open.serial), open.standing)).collect())
    }
}

/// What a tree is doing, for people who want to know why it takes so long.
pub(super) struct Doing<'a> {
    pub(super) tree: &'a Tree,
    pub(super) now: Timestamp,
    pub(super) open: &'a Open,
}

impl Doing<'_> {
    /// What a part was doing: itself, or the first that is waited for among those at and below it.
    pub(super) fn tell(&self, part: u32, below: &[u32]) -> String {
        let mut waiting: Vec<u32> =
            below.iter().copied().filter(|at| waits(&self.tree.parts[*at as usize])).collect();
        waiting.sort_unstable();
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
            Operation::Produce | Operation::Undo | Operation::Find => {
                (task.message.as_ref(), task.operation.name())
            }
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
                    "was waiting for a supplier of {}@{} since {since:.0}: none is connected{said}",
                    node.contract, node.version
                )
            }
            None => format!(
                "was waiting for attempt {} of `{verb}` since {since:.0}{said}",
                attempt(task.attempt) + 1
            ),
        }
    }

    fn standing(&self, node: &Part, task: &Task) -> Option<Standing> {
        self.open.0.get(&(node.part, task.serial)).copied()
    }
}

/// Whether something is waited for at the part itself, so that it is made.
pub(super) fn waits(node: &Part) -> bool {
    let asked = node.task.as_ref().is_some_and(|task| !task.cancelled && task.operation != Operation::Undo);
    asked || (node.is_being_made() && node.retrying.is_some())
}

//! Undoing: how far what was made is taken down, in words that are true when they are said, and waiting for its end.
//!
//! ```text
//! looked --an event, or some seconds--> looked again: who is waited for is told --the time is over--> told once more
//!   '--undone, owed, in stock again, or never made--> the end
//! ```

use std::time::Duration;

use clap::Args;
use sixpack::wire::{
    ContractKind, ContractStatus, Dataset, DatasetStatus, EventFilter, Lease, Origin, Request, StepStatus,
};
use sixpack::{Client, Error};
use tokio::time::{Instant, interval_at, sleep_until};

use crate::contracts::owner;
use crate::exit::Exit;
use crate::printing::note;
use crate::times::{SPAN_S, moment, seconds_within, span};

/// After one of these events it is looked at again.
const ENDS: [&str; 3] = ["dataset.gone", "dataset.owing", "dataset.confirmed"];

/// How often is looked without an event, and who is waited for is told if that has changed. Most undoing takes less.
const LOOK: Duration = Duration::from_secs(3);

/// How long is waited when nothing is said: as long as a request waits for its data.
const LIMIT_S: u64 = 300;

/// Contracts that are named at most; the rest can be read with the dataset.
const AWAITED_SHOWN: usize = 3;

/// Whether to wait for the end, and how long.
#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// Come back only when what was made is undone, or in stock again; ends with 1 when some of it could not be undone
    #[arg(long)]
    wait: bool,
    /// How long to wait for that: 300, 10m. After it the command ends with 75, and the undoing goes on [default: 5m]
    #[arg(long, value_name = "SPAN", requires = "wait", value_parser = seconds_within(SPAN_S))]
    timeout: Option<u64>,
}

impl Waiting {
    /// Whether to wait at all.
    pub(crate) fn is_asked(&self) -> bool {
        self.wait
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(LIMIT_S))
    }
}

/// How far something is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undoing {
    /// Some of it is still there.
    Underway,
    /// Nothing of it is left.
    Done,
    /// Some of it could not be undone, and nothing more happens by itself.
    Owing,
    /// The services are asked whether it can be in stock again.
    Returning,
    /// It is in stock again, or was taken from there by somebody else since.
    Returned,
    /// Its data was there before, and nothing was made for it.
    Untouched,
}

/// What was seen at last.
#[derive(Debug)]
pub(crate) struct Seen {
    /// How far it is.
    pub(crate) undoing: Undoing,
    environment: String,
    /// Who has to do something: the contract, what, and about which part.
    awaited: Vec<(String, &'static str, String)>,
    /// Set when the time to wait was over: how long that was, and who was waited for.
    given_up: Option<String>,
}

impl Seen {
    /// How far a dataset is whose lease has ended.
    pub(crate) async fn of_lease(
        client: &Client,
        lease: &Lease,
        waiting: &Waiting,
        silent: bool,
    ) -> Result<Self, Error> {
        let id = &lease.dataset.id;
        let filter = EventFilter { dataset: Some(id.clone()), ..EventFilter::default() };
        let look = async || Ok(Self::from(&client.dataset(id).await?));
        Self::wait_for(client, filter, waiting, (lease.ended_at.as_deref(), silent), look).await
    }

    /// How far everything is that was made for a request which has ended without leases.
    pub(crate) async fn of_request(
        client: &Client,
        request: &Request,
        waiting: &Waiting,
        silent: bool,
    ) -> Result<Self, Error> {
        let id = &request.id;
        let filter = EventFilter { request: Some(id.clone()), ..EventFilter::default() };
        let look = async || Ok(Self::from(&client.get_request(id, 0, None).await?));
        Self::wait_for(client, filter, waiting, (request.ended_at.as_deref(), silent), look).await
    }

    /// Tells beside the output what to do next; `see` is the command that shows how far it is.
    ///
    /// When the output is for a machine, only that the time was over is told: nothing else says so.
    pub(crate) fn tell_next(&self, see: &str, for_machine: bool) {
        self.given_up.iter().for_each(note);
        if !for_machine {
            self.undoing.next(see).into_iter().for_each(note);
        }
    }

    /// How a command ends that was to wait for it: what is left is no success, and neither is what is not known yet.
    pub(crate) fn exit(&self, waiting: &Waiting) -> Exit {
        match self.undoing {
            _ if self.given_up.is_some() => Exit::TryLater,
            Undoing::Owing if waiting.wait => Exit::No,
            _ => Exit::Done,
        }
    }

    async fn wait_for(
        client: &Client,
        filter: EventFilter,
        waiting: &Waiting,
        (since, silent): (Option<&str>, bool),
        look: impl AsyncFn() -> Result<Self, Error>,
    ) -> Result<Self, Error> {
        let until = Instant::now() + waiting.limit();
        // From the oldest on, so that an end between two looks is not missed; they are few.
        let mut events = client.events(&filter, Some(0));
        let mut ticks = interval_at(Instant::now() + LOOK, LOOK);
        let (mut is_told, mut told) = (false, String::new());
        loop {
            let seen = look().await?;
            if !seen.undoing.goes_on() || !waiting.wait {
                return Ok(seen);
            }
            if Instant::now() >= until {
                let told = seen.told(client, since).await;
                let given_up = Some(format!("gave up after {}: {told}", span(waiting.limit())));
                return Ok(Self { given_up, ..seen });
            }
            if std::mem::take(&mut is_told) && !silent {
                let now = seen.told(client, since).await;
                if now != told {
                    note(&now);
                    told = now;
                }
            }
            loop {
                tokio::select! {
                    event = events.next() => if ENDS.contains(&event?.kind.as_str()) { break },
                    _ = ticks.tick() => {
                        is_told = true;
                        break;
                    }
                    () = sleep_until(until) => break,
                }
            }
        }
    }

    /// Who is waited for, whose that is, and whether anybody is there to do it.
    async fn told(&self, client: &Client, since: Option<&str>) -> String {
        let since = since.map_or_else(String::new, |since| format!(" since {} UTC", moment(since)));
        let mut each = Vec::new();
        for (name, does, path) in self.awaited.iter().take(AWAITED_SHOWN) {
            let known = client.contract(&self.environment, name).await.ok();
            let away = known.as_ref().is_some_and(|contract| contract.status == ContractStatus::Offline);
            let away = if away { ", of which no supplier is connected," } else { "" };
            let whose =
                known.map_or_else(String::new, |contract| format!(" (owner {})", owner(&contract.owner)));
            let part = if path.is_empty() { String::new() } else { format!(" `{path}`") };
            each.push(format!("{name}{whose}{away} to {does}{part}"));
        }
        match self.awaited.len().checked_sub(AWAITED_SHOWN).filter(|more| *more > 0) {
            Some(more) => each.push(format!("{more} more")),
            None if each.is_empty() => each.push("it to end".to_owned()),
            None => {}
        }
        format!("waiting{since} for {}", each.join("; for "))
    }
}

impl Undoing {
    /// What there is to say about it.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Underway => "what was made for it is being undone",
            Self::Done => "what was made for it is undone",
            Self::Owing => "some of what was made for it could not be undone",
            Self::Returning => {
                "it goes back into stock, also beyond the target, when every service says that it holds, and is undone otherwise"
            }
            Self::Returned => "it is in stock again",
            Self::Untouched => "nothing was made for it: the data stays in its service as it is",
        }
    }

    /// What to do next; `see` is the command that shows it.
    pub(crate) fn next(self, see: &str) -> Option<String> {
        match self {
            Self::Underway | Self::Returning => Some(format!("see how far it is with `{see}`")),
            Self::Done | Self::Returned | Self::Untouched => None,
            Self::Owing => Some("see what is left, and whom to ask, with `sixpack debts`".to_owned()),
        }
    }

    /// Whether more happens to it by itself.
    fn goes_on(self) -> bool {
        matches!(self, Self::Underway | Self::Returning)
    }
}

impl From<&Dataset> for Seen {
    fn from(dataset: &Dataset) -> Self {
        let undoing = Undoing::from(dataset);
        let mut awaited = Vec::new();
        gather(dataset, undoing, &mut awaited);
        Self { undoing, environment: dataset.environment.clone(), awaited, given_up: None }
    }
}

impl From<&Request> for Seen {
    fn from(request: &Request) -> Self {
        let at_work = |status| matches!(status, StepStatus::Undoing | StepStatus::Cancelling);
        let steps = request.progress.steps.iter().filter(|step| at_work(step.status));
        let awaited = steps.map(|step| (step.contract.clone(), "undo", step.path.clone())).collect();
        let environment = request.environment.clone();
        Self { undoing: Undoing::from(request), environment, awaited, given_up: None }
    }
}

/// The capabilities that have something to do.
fn gather(dataset: &Dataset, undoing: Undoing, awaited: &mut Vec<(String, &'static str, String)>) {
    let does = match (dataset.status, undoing) {
        (DatasetStatus::Undoing | DatasetStatus::Cancelling, _) => Some("undo"),
        (DatasetStatus::Checking, Undoing::Returning) => Some("check"),
        _ => None,
    };
    if let Some(does) = does.filter(|_| dataset.kind != Some(ContractKind::Scenario)) {
        awaited.push((dataset.contract.clone(), does, dataset.path.clone()));
    }
    dataset.parts.iter().for_each(|part| gather(part, undoing, awaited));
}

impl From<&Dataset> for Undoing {
    fn from(dataset: &Dataset) -> Self {
        let existed = matches!(dataset.origin, Some(Origin::Found | Origin::Imported));
        match dataset.status {
            // What extended it was made.
            DatasetStatus::Gone | DatasetStatus::Failed if existed && dataset.parts.is_empty() => {
                Self::Untouched
            }
            DatasetStatus::Gone | DatasetStatus::Failed | DatasetStatus::Skipped => Self::Done,
            DatasetStatus::Debt => Self::Owing,
            DatasetStatus::Checking => Self::Returning,
            DatasetStatus::Ready
            | DatasetStatus::Leased
            | DatasetStatus::Suspect
            | DatasetStatus::Quarantined => Self::Returned,
            _ => Self::Underway,
        }
    }
}

impl From<&Request> for Undoing {
    fn from(request: &Request) -> Self {
        let stands = |status| request.progress.steps.iter().any(|step| step.status == status);
        let over = [StepStatus::Gone, StepStatus::Failed, StepStatus::Skipped, StepStatus::Debt];
        match request.progress.steps.iter().all(|step| over.contains(&step.status)) {
            false => Self::Underway,
            true if stands(StepStatus::Debt) => Self::Owing,
            true => Self::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_goes_back_into_stock_is_not_being_undone() {
        for (status, expected) in [
            ("undoing", Undoing::Underway),
            ("gone", Undoing::Done),
            ("debt", Undoing::Owing),
            ("checking", Undoing::Returning),
            ("ready", Undoing::Returned),
            ("leased", Undoing::Returned),
        ] {
            let dataset: Dataset = serde_json::from_value(json!({
                "id": "ds_1", "root_id": "ds_1", "environment": "default", "contract": "a/b", "version": 1, "kind": "capability",
                "status": status, "request_id": "req_1", "created_at": "t"
            }))
            .unwrap();
            assert_eq!(Undoing::from(&dataset), expected, "{status}");
        }
    }

    #[test]
    fn a_request_is_undone_when_all_of_it_is() {
        for (statuses, expected) in [
            (&["gone", "undoing"][..], Undoing::Underway),
            (&["debt", "undoing"][..], Undoing::Underway),
            (&["cancelling", "gone"][..], Undoing::Underway),
            (&["gone", "failed", "skipped"][..], Undoing::Done),
            (&["gone", "debt"][..], Undoing::Owing),
            (&[][..], Undoing::Done),
        ] {
            let steps: Vec<_> =
                statuses.iter().map(|status| json!({"path":"a","contract":"x/y","status":status})).collect();
            let request: Request = serde_json::from_value(json!({
                "id":"req_1","environment":"default","status":"cancelled","revision":1,"created_at":"t",
                "deadline_at":"t","progress":{"done":0,"total":3,"steps":steps}
            }))
            .unwrap();
            assert_eq!(Undoing::from(&request), expected, "{statuses:?}");
        }
    }

    fn dataset(more: serde_json::Value) -> Dataset {
        let mut whole = json!({"id":"ds_1","root_id":"ds_1","environment":"default","contract":"x/y","version":1,"status":"gone"});
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn what_becomes_of_a_dataset_is_told_as_it_is() {
        let part = json!({"id":"ds_1_1","root_id":"ds_1","contract":"x/y","version":1,"status":"gone","path":"extend_1"});
        for (more, expected) in [
            (json!({"origin":"made"}), Undoing::Done),
            (json!({"origin":"found"}), Undoing::Untouched),
            (json!({"origin":"imported"}), Undoing::Untouched),
            (json!({"origin":"imported","parts":[part]}), Undoing::Done),
            (json!({"origin":"made","status":"undoing"}), Undoing::Underway),
            (json!({"origin":"made","status":"checking"}), Undoing::Returning),
            (json!({"origin":"imported","status":"ready"}), Undoing::Returned),
            (json!({"origin":"made","status":"leased"}), Undoing::Returned),
            (json!({"origin":"made","status":"debt"}), Undoing::Owing),
        ] {
            assert_eq!(Undoing::from(&dataset(more.clone())), expected, "{more}");
        }
    }

    #[test]
    fn who_is_waited_for_is_gathered_from_all_parts() {
        let part = |path: &str, status: &str, kind: &str| json!({"id":"ds_1_1","root_id":"ds_1","contract":format!("x/{path}"),"version":1,"status":status,"path":path,"kind":kind});
        let parts = [part("one", "undoing", "capability"), part("two", "gone", "capability")];
        let seen = Seen::from(&dataset(json!({"status":"undoing","kind":"scenario","parts":parts})));
        assert_eq!(seen.awaited, [("x/one".to_owned(), "undo", "one".to_owned())]);
        let parts = [part("one", "checking", "capability"), part("two", "ready", "capability")];
        let seen = Seen::from(&dataset(json!({"status":"checking","kind":"scenario","parts":parts})));
        assert_eq!(seen.awaited, [("x/one".to_owned(), "check", "one".to_owned())]);
    }
}

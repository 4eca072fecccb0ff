//! Undoing: how far what was made is taken down, in words that are true when they are said, and waiting for its end.

use sixpack::wire::{Dataset, DatasetStatus, EventFilter, Request, StepStatus};
use sixpack::{Client, Error};

use crate::exit::Exit;

/// After one of these events it is looked at again.
const ENDS: [&str; 3] = ["dataset.gone", "dataset.owing", "dataset.confirmed"];

/// How far something is taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undoing {
    /// Some of it is still there.
    Underway,
    /// Nothing of it is left.
    Done,
    /// Some of it could not be undone, and nothing more happens by itself.
    Owing,
    /// It came from stock, and is asked about before it goes back there.
    Returning,
    /// It is back in stock, or with who waited for it.
    Back,
}

impl Undoing {
    /// How far a dataset is whose lease has ended.
    pub(crate) async fn of_dataset(client: &Client, id: &str, wait: bool) -> Result<Self, Error> {
        let filter = EventFilter { dataset: Some(id.to_owned()), ..EventFilter::default() };
        Self::read(client, filter, wait, async || Ok(Self::from(&client.dataset(id).await?))).await
    }

    /// How far everything is that was made for a request which has ended without leases.
    pub(crate) async fn of_request(client: &Client, id: &str, wait: bool) -> Result<Self, Error> {
        let filter = EventFilter { request: Some(id.to_owned()), ..EventFilter::default() };
        Self::read(client, filter, wait, async || Ok(Self::from(&client.get_request(id, 0, None).await?)))
            .await
    }

    /// What there is to say about it.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Underway => "what was made for it is being undone",
            Self::Done => "what was made for it is undone",
            Self::Owing => "some of what was made for it could not be undone",
            Self::Returning => {
                "it goes back into stock, also beyond the target, if all services agree that it holds, and is undone if not"
            }
            Self::Back => "it is back in stock, also beyond the target, or with who waited for it",
        }
    }

    /// What to do next; `see` is the command that shows it.
    pub(crate) fn next(self, see: &str) -> Option<String> {
        match self {
            Self::Underway | Self::Returning => Some(format!("see how far it is with `{see}`")),
            Self::Done | Self::Back => None,
            Self::Owing => Some("see what is left, and whom to ask, with `sixpack debts`".to_owned()),
        }
    }

    /// How a command ends that was to wait for it: what is left is no success.
    pub(crate) fn exit(self, wait: bool) -> Exit {
        if wait && self == Self::Owing { Exit::No } else { Exit::Done }
    }

    async fn read(
        client: &Client,
        filter: EventFilter,
        wait: bool,
        look: impl AsyncFn() -> Result<Self, Error>,
    ) -> Result<Self, Error> {
        // From the oldest on, so that an end between two looks is not missed; they are few.
        let mut events = client.events(&filter, Some(0));
        loop {
            let now = look().await?;
            if !matches!(now, Self::Underway | Self::Returning) || !wait {
                return Ok(now);
            }
            while !ENDS.contains(&events.next().await?.kind.as_str()) {}
        }
    }
}

impl From<&Dataset> for Undoing {
    fn from(dataset: &Dataset) -> Self {
        match dataset.status {
            DatasetStatus::Gone | DatasetStatus::Failed | DatasetStatus::Skipped => Self::Done,
            DatasetStatus::Debt => Self::Owing,
            DatasetStatus::Checking => Self::Returning,
            DatasetStatus::Ready | DatasetStatus::Leased => Self::Back,
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
            ("ready", Undoing::Back),
            ("leased", Undoing::Back),
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
}

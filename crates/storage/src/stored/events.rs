//! Events as columns.

use std::borrow::Cow;

use serde_json::Value;
use sixpack_model::event::Event;
use sixpack_model::ids::{RequestId, TreeId};

use super::values::{json, ms};

/// An event, turned into columns before any transaction begins.
#[derive(Clone)]
pub(crate) struct EventRow {
    pub(crate) at: i64,
    pub(crate) environment: String,
    pub(crate) kind: Cow<'static, str>,
    pub(crate) request: Option<RequestId>,
    pub(crate) tree: Option<TreeId>,
    pub(crate) part: u32,
    pub(crate) data: String,
}

impl From<Event> for EventRow {
    fn from(event: Event) -> Self {
        Self {
            at: ms(event.at),
            environment: event.environment,
            kind: event.kind,
            request: event.request,
            tree: event.tree,
            part: event.part,
            data: json(&event.data),
        }
    }
}

impl EventRow {
    /// An event that the store itself tells of.
    pub(crate) fn told(
        at: i64,
        environment: &str,
        kind: &'static str,
        request: RequestId,
        tree: Option<TreeId>,
        data: &Value,
    ) -> Self {
        Self {
            at,
            environment: environment.to_owned(),
            kind: Cow::Borrowed(kind),
            request: Some(request),
            tree,
            part: 0,
            data: json(data),
        }
    }

    /// Whether it tells of an attempt at a task.
    pub(crate) fn is_about_attempt(&self) -> bool {
        self.kind.starts_with("task.")
    }

    /// Fills the request in, so that the event is found by it.
    pub(crate) fn of_request(mut self, request: RequestId) -> Self {
        self.request = self.request.or(Some(request));
        self
    }
}

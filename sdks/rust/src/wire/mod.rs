//! The JSON of the HTTP API as Rust types, one file a noun.
//!
//! Unknown fields of newer servers are ignored, and their unknown words are read as `Unknown`, which keeps and shows the
//! word, so that an old client goes on working. Times are RFC 3339 strings in UTC, exactly as the server sent them.

mod contracts;
mod datasets;
mod debts;
mod diagnosis;
mod events;
mod health;
mod imports;
mod leases;
mod problems;
mod quarantine;
mod requests;
mod reruns;
mod scenarios;
mod sessions;
mod statistics;
mod stock_history;
mod stock_rules;
mod tasks;
mod tokens;
mod word;

pub use contracts::*;
pub use datasets::*;
pub use debts::*;
pub use diagnosis::*;
pub use events::*;
pub use health::*;
pub use imports::*;
pub use leases::*;
pub use problems::*;
pub use quarantine::*;
pub use requests::*;
pub use reruns::*;
pub use scenarios::*;
pub use sessions::*;
pub use statistics::*;
pub use stock_history::*;
pub use stock_rules::*;
pub use tasks::*;
pub use tokens::*;
pub use word::Word;
use word::words;

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows, newest first unless the list says otherwise.
    pub items: Vec<T>,
    /// Give it back as `cursor` with the same filters; `None` at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Which page of a list that has no filters.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PageFilter {
    /// Rows a page (1 to 1000).
    pub limit: Option<u32>,
    /// Where the last page ended.
    pub cursor: Option<String>,
}

/// Who owns a contract, and whom to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Owner {
    /// Name of the team.
    pub team: String,
    /// Where a person answers: an address, a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Where to report an issue (http or https).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issues: Option<String>,
}

impl Owner {
    /// An owner by the name of its team.
    pub fn new(team: impl Into<String>) -> Self {
        Self { team: team.into(), contact: None, issues: None }
    }

    /// Adds where a person answers.
    #[must_use]
    pub fn contact(mut self, contact: impl Into<String>) -> Self {
        self.contact = Some(contact.into());
        self
    }

    /// Adds where to report an issue (http or https).
    #[must_use]
    pub fn issues(mut self, issues: impl Into<String>) -> Self {
        self.issues = Some(issues.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_newer_server_reads_as_unknown() {
        assert_eq!(serde_json::from_str::<RequestStatus>("\"fulfilled\"").unwrap(), RequestStatus::Fulfilled);
        let unknown = serde_json::from_str::<RequestStatus>("\"dreaming\"").unwrap();
        assert!(matches!(unknown, RequestStatus::Unknown(_)), "{unknown:?}");
        assert_eq!(unknown.to_string(), "dreaming", "the word itself is shown");
        assert_eq!(serde_json::to_string(&unknown).unwrap(), "\"dreaming\"");
        assert_eq!(serde_json::to_string(&RequestStatus::Building).unwrap(), "\"building\"");
    }

    #[test]
    fn a_request_of_a_newer_server_is_read_and_written_digit_for_digit() {
        let text = r#"{"id":"req_1","environment":"default","contract":"a/b","version":2,"count":1,"status":"fulfilled",
            "revision":9,"created_at":"2026-11-22T10:41:07.120Z","deadline_at":"2026-11-22T10:46:07.120Z","holder":"me",
            "a_field_of_tomorrow":{"x":1},"input":{"big":123456789012345678901234567890},
            "leases":[{"id":"lease_1","fence":912680550401,"status":"held","environment":"default","holder":"me",
              "request_id":"req_1","ttl_s":1800,"ttl_ms":1799412,"granted_at":"t","expires_at":"t",
              "dataset":{"id":"ds_1","contract":"a/b","version":2,"output":{"id":1.10},
                "evidence":{"verdict":"valid","checked":1,"of":2,"parts":[],"invariants":[]}}}],
            "progress":{"done":1,"total":1,"steps":[]}}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert_eq!(request.leases[0].fence, 912_680_550_401);
        assert_eq!(request.input.as_ref().unwrap()["big"].to_string(), "123456789012345678901234567890");
        assert_eq!(request.leases[0].dataset.output["id"].to_string(), "1.10");
        let again: Request = serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
        assert_eq!(again, request);
    }

    #[test]
    fn an_event_keeps_what_has_no_field_of_its_own() {
        let text = serde_json::json!({
            "id": 7, "at": "t", "environment": "default", "kind": "session.live", "message": "",
            "session_id": "ses_1", "domain": "billing", "big": 123_456_789_012_345_678_u64
        });
        let event: Event = serde_json::from_value(text.clone()).unwrap();
        assert_eq!((event.session_id.as_deref(), &event.more["domain"]), (Some("ses_1"), &"billing".into()));
        let event: Event = serde_json::from_str(&text.to_string()).unwrap();
        assert_eq!(serde_json::to_value(event).unwrap(), text);
        let entry = serde_json::json!({
            "at": "t", "kind": "task.done", "path": "a", "message": "", "operation": "produce", "attempt": 1,
            "session_id": "ses_1", "duration_ms": 289, "code": "x"
        });
        let read: TimelineEntry = serde_json::from_value(entry.clone()).unwrap();
        assert_eq!((read.operation, read.duration_ms), (Some(Operation::Produce), Some(289)));
        assert_eq!(serde_json::to_value(read).unwrap(), entry);
    }

    #[test]
    fn a_failure_reads_whole() {
        let failure: Failure = serde_json::from_str(
            r#"{"path":"payment › billing/payment-account@3","class":"rejected","code":"currency_mismatch",
            "message":"no","details":{"allowed":["EUR"]},"contract":"billing/payment-account","version":3,
            "dataset_id":"ds_1_2","owner":{"team":"Billing","contact":"billing@shop.test"},"attempts":1,
            "blocked":["order › order/prepared-order@1"],"lately":{"failures":12,"of":40,"since":"t","first_failed_at":"u"},
            "undo":{"done":["a"],"pending":[],"debts":[]}}"#,
        )
        .unwrap();
        assert_eq!(failure.class, FailureClass::Rejected);
        let lately = failure.lately.unwrap();
        assert_eq!((lately.failures, lately.first_failed_at.as_deref()), (12, Some("u")));
        assert_eq!(failure.undo.done, ["a"]);
    }

    #[test]
    fn a_result_carries_only_the_fields_of_its_outcome() {
        let result = TaskResult::failed("task_1", 2, false, "no", "not today");
        assert_eq!(
            serde_json::to_value(&result).unwrap(),
            serde_json::json!({"task_id":"task_1","attempt":2,"outcome":"failed","retryable":false,"code":"no","message":"not today"})
        );
        let result = TaskResult::undone("task_1", 1);
        assert_eq!(
            serde_json::to_value(&result).unwrap(),
            serde_json::json!({"task_id":"task_1","attempt":1,"outcome":"done"})
        );
    }

    #[test]
    fn an_undo_task_without_output_reads() {
        let task: Task = serde_json::from_str(
            r#"{"id":"task_1","attempt":1,"operation":"undo","capability":"x","version":1,"dataset_id":"ds_1","input":{},
            "seed":9007199254740991,"unique":"abc","idempotency_key":"ds_1","deadline_ms":60000}"#,
        )
        .unwrap();
        assert_eq!(task.operation, Operation::Undo);
        assert_eq!(task.output, None);
        assert_eq!(task.seed, 9_007_199_254_740_991);
    }
}

//! Leases as they are shown, with the dataset that they are about.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sixpack_model::ids::{DatasetId, LeaseId, RequestId};
use sixpack_model::lease::{Lease, LeaseStatus};
use sixpack_model::name::ContractName;
use utoipa::ToSchema;

use super::evidence::EvidenceJson;
use super::extension::ExtensionJson;
use super::scalar::{Text, Time};
use super::tree::TreeView;
use super::word::{LeaseStatusWord, OutcomeWord, Word};

/// The right of one holder to use one dataset until a deadline.
#[derive(Serialize, ToSchema)]
#[schema(as = Lease)]
pub(in crate::http) struct LeaseJson<'a> {
    #[schema(value_type = String)]
    id: Text<LeaseId>,
    /// Below 2^53, greater than every earlier fence of the dataset; name it in every call under the lease.
    fence: u64,
    #[schema(inline)]
    status: LeaseStatusWord,
    environment: &'a str,
    holder: &'a str,
    #[schema(value_type = String)]
    request_id: Text<RequestId>,
    /// The channel of suppliers under development that the request named.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    /// The length that was asked for.
    ttl_s: u64,
    /// What is left of it at the time of this answer.
    ttl_ms: u64,
    #[schema(value_type = String, format = DateTime)]
    granted_at: Time,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// What the holder said at release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    outcome: Option<OutcomeWord>,
    /// What the holder added at release, or why it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    /// The name of the token that revoked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<&'a str>,
    dataset: LeasedDatasetJson<'a>,
    /// What the dataset was advanced by under this lease, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extensions: Vec<ExtensionJson<'a>>,
}

/// The dataset under a lease.
#[derive(Serialize, ToSchema)]
#[schema(as = LeasedDataset)]
pub(in crate::http) struct LeasedDatasetJson<'a> {
    #[schema(value_type = String)]
    id: Text<DatasetId>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    /// What the contract's `output` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    output: Option<Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceJson<'a>>,
}

impl<'a> LeaseJson<'a> {
    /// The lease and the tree that it is on.
    pub(in crate::http) fn of(lease: &'a Lease, view: &'a TreeView<'a>) -> Self {
        let root = view.tree.root();
        Self {
            id: Text(lease.id),
            fence: lease.fence,
            status: Word(lease.status),
            environment: &lease.environment,
            holder: &lease.holder,
            request_id: Text(lease.request),
            channel: view.tree.channel.as_deref(),
            ttl_s: lease.ttl_ms / 1000,
            ttl_ms: left_ms(lease, view.now),
            granted_at: Time(lease.granted_at),
            expires_at: Time(lease.expires_at),
            ended_at: lease.ended_at.map(Time),
            outcome: lease.outcome.map(Word),
            note: lease.note.as_deref(),
            revoked_by: lease.revoked_by.as_deref(),
            dataset: LeasedDatasetJson {
                id: Text(view.tree.id.root()),
                contract: Text(&root.contract),
                version: root.version,
                output: view.output(0),
                evidence: view.evidence(0),
            },
            extensions: view.extensions(),
        }
    }
}

fn left_ms(lease: &Lease, now: Timestamp) -> u64 {
    match lease.status {
        LeaseStatus::Held => u64::try_from(lease.expires_at.duration_since(now).as_millis()).unwrap_or(0),
        LeaseStatus::Released | LeaseStatus::Expired | LeaseStatus::Revoked => 0,
    }
}

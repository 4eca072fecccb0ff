//! Unported: what the PostgreSQL store does not do yet.
//!
//! Each noun leaves this file when its own is there, and the file goes with the last of them. Nothing outside of the tests of
//! this crate opens the store as long as it is here.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use sixpack_model::doubt::Doubt;
use sixpack_model::ids::{DatasetId, LeaseId, LineId, RequestId, SessionId, TaskId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::name::ContractName;
use sixpack_model::request::{Request, RequestStatus};
use sixpack_model::task::OpenTask;
use sixpack_model::tree::{Claim, PartStatus, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::PostgresStore;
use crate::datasets::{DatasetFilter, DatasetRow, Datasets};
use crate::doubts::{Doubts, Probing};
use crate::entities::{Entities, InUse};
use crate::error::StoreError;
use crate::imports::{Imported, ImportedStock, Imports, NewImport};
use crate::leases::{LeaseFilter, Leases, Renewed};
use crate::page::Page;
use crate::requests::{Created, Ended, Filled, Idempotency, NewRequest, RequestFilter, Requests, UnitFill};
use crate::stock::{Discard, FillTo, Level, SharedTrouble, Stock, StockWish, Stocked, StoredLine};
use crate::tasks::{AbandonedClaim, Claims, Tasks};
use crate::trees::{Lately, RequestEnd, TreeWrite, Trees, Written};

fn absent<T>() -> Result<T, StoreError> {
    let cause = "this is not in the PostgreSQL store yet".into();
    Err(StoreError::Broken { doing: "doing what is not there", cause })
}

#[async_trait]
impl Datasets for PostgresStore {
    async fn datasets(
        &self,
        _filter: &DatasetFilter,
        _page: Page<DatasetId>,
    ) -> Result<Vec<DatasetRow>, StoreError> {
        absent()
    }

    async fn debts(
        &self,
        _environment: Option<&str>,
        _page: Page<DatasetId>,
    ) -> Result<Vec<DatasetRow>, StoreError> {
        absent()
    }

    async fn count_trees(&self) -> Result<Vec<(PartStatus, u64)>, StoreError> {
        absent()
    }

    async fn environment_of(&self, _tree: TreeId) -> Result<Option<String>, StoreError> {
        absent()
    }
}

#[async_trait]
impl Doubts for PostgresStore {
    async fn doubts(&self) -> Result<Vec<Doubt>, StoreError> {
        absent()
    }

    async fn begin_probe(
        &self,
        _environment: &str,
        _contract: &ContractName,
        _tree: TreeId,
    ) -> Result<Probing, StoreError> {
        absent()
    }

    async fn end_doubt(&self, _environment: &str, _contract: &ContractName) -> Result<(), StoreError> {
        absent()
    }
}

#[async_trait]
impl Entities for PostgresStore {
    async fn in_use(&self, _environment: &str, _but: TreeId) -> Result<InUse, StoreError> {
        absent()
    }
}

#[async_trait]
impl Imports for PostgresStore {
    async fn import(&self, _imports: Vec<NewImport>) -> Result<Imported, StoreError> {
        absent()
    }

    async fn imported(
        &self,
        _environment: &str,
        _contract: &ContractName,
    ) -> Result<ImportedStock, StoreError> {
        absent()
    }
}

#[async_trait]
impl Leases for PostgresStore {
    async fn lease(&self, _id: LeaseId) -> Result<Option<Lease>, StoreError> {
        absent()
    }

    async fn leases_of(&self, _id: RequestId) -> Result<Vec<Lease>, StoreError> {
        absent()
    }

    async fn leases(&self, _filter: &LeaseFilter, _page: Page<LeaseId>) -> Result<Vec<Lease>, StoreError> {
        absent()
    }

    async fn count_held_leases(&self) -> Result<Vec<(String, u64)>, StoreError> {
        absent()
    }

    async fn renew_lease(
        &self,
        _id: LeaseId,
        _fence: u64,
        _ttl_ms: Option<u64>,
    ) -> Result<Renewed, StoreError> {
        absent()
    }

    async fn overdue_leases(&self, _after: Option<LeaseId>, _limit: u32) -> Result<Vec<Lease>, StoreError> {
        absent()
    }
}

#[async_trait]
impl Requests for PostgresStore {
    async fn create_request(&self, _new: NewRequest) -> Result<Created, StoreError> {
        absent()
    }

    async fn fill_unit(&self, _fill: UnitFill) -> Result<Filled, StoreError> {
        absent()
    }

    async fn vacant_units(
        &self,
        _after: Option<(RequestId, u32)>,
        _limit: u32,
    ) -> Result<Vec<(RequestId, u32)>, StoreError> {
        absent()
    }

    async fn find_idempotent(&self, _idempotency: &Idempotency) -> Result<Option<Created>, StoreError> {
        absent()
    }

    async fn request(&self, _id: RequestId) -> Result<Option<Request>, StoreError> {
        absent()
    }

    async fn trees_of(&self, _id: RequestId) -> Result<Vec<TreeId>, StoreError> {
        absent()
    }

    async fn requests(
        &self,
        _filter: &RequestFilter,
        _page: Page<RequestId>,
    ) -> Result<Vec<Request>, StoreError> {
        absent()
    }

    async fn end_request(
        &self,
        _id: RequestId,
        _status: RequestStatus,
        _end: RequestEnd,
    ) -> Result<Ended, StoreError> {
        absent()
    }

    async fn overdue_requests(
        &self,
        _after: Option<RequestId>,
        _limit: u32,
    ) -> Result<Vec<RequestId>, StoreError> {
        absent()
    }

    async fn forget_keys(&self, _limit: u32) -> Result<u64, StoreError> {
        absent()
    }
}

#[async_trait]
impl Stock for PostgresStore {
    async fn line(
        &self,
        _environment: &str,
        _contract: &ContractName,
        _input: &Value,
    ) -> Result<LineId, StoreError> {
        absent()
    }

    async fn lines(&self, _after: Option<LineId>, _limit: u32) -> Result<Vec<StoredLine>, StoreError> {
        absent()
    }

    async fn shared_troubles(&self) -> Result<Vec<SharedTrouble>, StoreError> {
        absent()
    }

    async fn level(&self, _line: LineId, _limit: u32) -> Result<Level, StoreError> {
        absent()
    }

    async fn refill(
        &self,
        _line: LineId,
        _fill_to: FillTo,
        _requests: Vec<NewRequest>,
    ) -> Result<usize, StoreError> {
        absent()
    }

    async fn discard_stock(
        &self,
        _line: LineId,
        _discard: Discard,
        _limit: u32,
    ) -> Result<Vec<TreeId>, StoreError> {
        absent()
    }

    async fn refills(&self, _line: LineId, _limit: u32) -> Result<Vec<RequestId>, StoreError> {
        absent()
    }

    async fn place_in_line(&self, _request: RequestId) -> Result<Option<u64>, StoreError> {
        absent()
    }

    async fn suspect_stock(
        &self,
        _line: LineId,
        _version: u32,
        _pins: &BTreeMap<ContractName, u32>,
        _limit: u32,
    ) -> Result<Vec<TreeId>, StoreError> {
        absent()
    }

    async fn suspects(&self, _after: Option<TreeId>, _limit: u32) -> Result<Vec<(TreeId, bool)>, StoreError> {
        absent()
    }

    async fn stocked(
        &self,
        _line: LineId,
        _after: Option<&Stocked>,
        _limit: u32,
    ) -> Result<Vec<Stocked>, StoreError> {
        absent()
    }

    async fn first_in_stock(
        &self,
        _wish: &Arc<StockWish>,
        _but: &BTreeSet<TreeId>,
    ) -> Result<Option<TreeId>, StoreError> {
        absent()
    }

    async fn count_served(&self, _served: Vec<(LineId, u64, u64)>) -> Result<(), StoreError> {
        absent()
    }
}

#[async_trait]
impl Tasks for PostgresStore {
    async fn claim_tasks(&self, _session: SessionId, _max: u32) -> Result<Claims, StoreError> {
        absent()
    }

    async fn claims_of(&self, _session: SessionId) -> Result<Vec<Claim>, StoreError> {
        absent()
    }

    async fn cancelled_claims(&self, _session: SessionId) -> Result<Vec<TaskId>, StoreError> {
        absent()
    }

    async fn return_claims(&self, _claims: &[Claim]) -> Result<(), StoreError> {
        absent()
    }

    async fn lost_claims(
        &self,
        _session: SessionId,
        _running: &[TaskId],
        _older_than_ms: u64,
    ) -> Result<Vec<Claim>, StoreError> {
        absent()
    }

    async fn abandoned_claims(
        &self,
        _after: Option<TaskId>,
        _limit: u32,
    ) -> Result<Vec<AbandonedClaim>, StoreError> {
        absent()
    }

    async fn open_tasks(&self, _tree: TreeId) -> Result<Vec<OpenTask>, StoreError> {
        absent()
    }

    async fn withdrawn_tasks(&self, _limit: u32) -> Result<Vec<TaskId>, StoreError> {
        absent()
    }

    async fn unserved_tasks(
        &self,
        _grace_ms: u64,
        _after: Option<TaskId>,
        _limit: u32,
    ) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        absent()
    }
}

#[async_trait]
impl Trees for PostgresStore {
    async fn load_tree(&self, _id: TreeId) -> Result<Option<Tree>, StoreError> {
        absent()
    }

    async fn write_tree(&self, _write: TreeWrite) -> Result<Written, StoreError> {
        absent()
    }

    async fn unwanted_trees(&self, _after: Option<TreeId>, _limit: u32) -> Result<Vec<TreeId>, StoreError> {
        absent()
    }

    async fn due_trees(&self, _after: Option<TreeId>, _limit: u32) -> Result<Vec<TreeId>, StoreError> {
        absent()
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        absent()
    }

    async fn lately(&self, _environment: &str, _contract: &str, _version: u32) -> Result<Lately, StoreError> {
        absent()
    }
}

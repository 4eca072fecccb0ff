//! Leases in PostgreSQL.
//!
//! A lease ends with a write about its tree, by whoever holds that. A renewal touches the lease alone: the condition that it has
//! not ended, and has not passed its deadline, is in the statement, and so is that for expiring.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Value, json};
use sixpack_model::ids::{LeaseId, RequestId, TokenId, TreeId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{Int, code, code_of, get, id, int, number, number_of_code, time_at, time_of};
use super::faults::Fault;
use super::limits::LEASES_UNSEEN;
use super::looks::{self, Source};
use super::quotas::Taker;
use super::statements::Connection;
use super::writer::Tx;
use crate::clock::{Clock, SystemClock};
use crate::error::StoreError;
use crate::leases::{LeaseFilter, Leases, Renewed};
use crate::mutants::{self, Mutant};
use crate::page::{Listed, Page};
use crate::stored::changes::ChangeRow;
use crate::stored::codes::Code;
use crate::stored::events::EventRow;
use crate::trees::LeaseEnd;

const COLUMNS: &str = "l.id, l.tree, e.name, l.request, l.holder, l.token, l.fence, l.status, l.ttl_ms, \
     l.granted_at, l.expires_at, l.ended_at, l.outcome, l.note, l.revoked_by";

const OVERDUE: &str = "reading overdue leases";

/// The number of the contract that was asked for. A build before the second version of the schema does not write it down.
const CONTRACT: &str =
    "coalesce(l.contract, (SELECT d.contract FROM dataset d WHERE d.tree = l.tree AND d.part = 0))";

#[async_trait]
impl Leases for PostgresStore {
    async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        self.read("reading a lease", id, |connection, id| Box::pin(lease_by_id(connection, *id))).await
    }

    async fn leases_of(&self, id: RequestId) -> Result<Vec<Lease>, StoreError> {
        self.read("reading the leases of a request", id, |connection, id| {
            Box::pin(async move {
                let list = format!(
                    "SELECT {COLUMNS} FROM lease l JOIN environment e ON e.id = l.environment
                     WHERE l.request = $1 ORDER BY l.unit, l.id"
                );
                connection.all(&list, &[&id.0], read_lease).await
            })
        })
        .await
    }

    async fn leases(
        &self,
        filter: &LeaseFilter,
        page: Page<LeaseId>,
    ) -> Result<Listed<Lease, LeaseId>, StoreError> {
        self.read_at_once("listing leases", (filter.clone(), page), |connection, (filter, page)| {
            Box::pin(async move {
                let environments = looks::environments(connection, filter.environment.as_deref()).await?;
                if environments.is_empty() {
                    return Ok(Listed::empty());
                }
                let contracts = match &filter.contract {
                    Some(contract) => looks::contracts(connection, contract, &environments).await?,
                    None => Vec::new(),
                };
                let source = source_of(filter, &environments, contracts, page.after);
                let key = |row: &Row| id(row, 0).map(LeaseId);
                let found = looks::look(connection, &[source], page.limit, key).await?;
                let list = format!(
                    "SELECT {COLUMNS} FROM lease l JOIN environment e ON e.id = l.environment
                     WHERE l.id = ANY ($1) ORDER BY l.id DESC"
                );
                let ids: Vec<Uuid> = found.rows.iter().map(|lease| lease.0).collect();
                Ok(Listed { rows: connection.all(&list, &[&ids], read_lease).await?, next: found.next })
            })
        })
        .await
    }

    async fn count_held_leases(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read("counting held leases", (), |connection, ()| {
            Box::pin(async move {
                let count = "SELECT e.name, count(*) FROM lease l JOIN environment e ON e.id = l.environment
                             WHERE l.status = 0 GROUP BY e.name ORDER BY e.name";
                connection.all(count, &[], |row| Ok((get(row, 0)?, number(row, 1)?))).await
            })
        })
        .await
    }

    async fn renew_lease(&self, id: LeaseId, fence: u64, ttl_ms: Option<u64>) -> Result<Renewed, StoreError> {
        let input = (id, int(fence), ttl_ms.map(int));
        self.write("renewing a lease", input, |tx, (id, fence, ttl_ms)| {
            Box::pin(async move {
                let renew = match mutants::on(Mutant::RenewWithoutFence) {
                    true => {
                        "UPDATE lease SET expires_at = greatest(expires_at, $4 + coalesce($3, ttl_ms))
                         WHERE id = $1 AND $2::bigint >= 0 AND status = 0 AND expires_at > $4"
                    }
                    false => {
                        "UPDATE lease SET expires_at = greatest(expires_at, $4 + coalesce($3, ttl_ms))
                         WHERE id = $1 AND fence = $2 AND status = 0 AND expires_at > $4"
                    }
                };
                let renewed = tx.connection.run(renew, &[&id.0, fence, ttl_ms, &tx.now]).await?;
                let Some(lease) = lease_by_id(&tx.connection, *id).await? else {
                    return tx.refuse(Renewed::Unknown);
                };
                if renewed > 0 {
                    return Ok(Renewed::Until(lease));
                }
                let is_theirs = int(lease.fence) == *fence;
                tx.refuse(if is_theirs { Renewed::Ended(lease) } else { Renewed::Fenced(lease) })
            })
        })
        .await
    }

    async fn overdue_leases(&self, after: Option<LeaseId>, limit: u32) -> Result<Vec<Lease>, StoreError> {
        let now = self.inner.now(OVERDUE).await?;
        let looks = after.is_none() && !mutants::on(Mutant::ExpiryByOwnClock);
        if looks && self.inner.leases_unseen.lasts(now) {
            return Ok(Vec::new());
        }
        let input = (after.map_or(Uuid::nil(), |lease| lease.0), Int::from(limit));
        let overdue: Vec<Lease> = self.read_overdue(input).await?;
        if looks && overdue.is_empty() {
            self.inner.leases_unseen.begin(self.first_expiry().await?);
        }
        Ok(overdue)
    }
}

/// How long nobody need look for overdue leases: until the first is over of those that were there, and not for long in any case.
#[derive(Default)]
pub(super) struct Unseen(Mutex<Option<(Instant, i64)>>);

impl Unseen {
    fn begin(&self, first_expiry: i64) {
        *self.lock() = Some((Instant::now(), first_expiry));
    }

    /// Whether it lasts at this time of the database, which may have gone back meanwhile.
    fn lasts(&self, now: i64) -> bool {
        self.lock().is_some_and(|(begun, first)| now < first && begun.elapsed() < LEASES_UNSEEN)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PostgresStore {
    async fn read_overdue(&self, page: (Uuid, Int)) -> Result<Vec<Lease>, StoreError> {
        self.read(OVERDUE, page, |connection, (after, limit)| {
            Box::pin(async move {
                let now = match mutants::on(Mutant::ExpiryByOwnClock) {
                    true => SystemClock.now().as_millisecond().to_string(),
                    false => "(SELECT sixpack_now())".to_owned(),
                };
                let list = format!(
                    "SELECT {COLUMNS} FROM lease l JOIN environment e ON e.id = l.environment
                     WHERE l.status = 0 AND l.expires_at <= {now} AND l.id > $1 ORDER BY l.id LIMIT $2"
                );
                connection.all(&list, &[after, limit], read_lease).await
            })
        })
        .await
    }

    /// When the first of all held leases is over, as far as they are there by now. None has an index of its deadline, which renewals
    /// would have to keep: all are read.
    async fn first_expiry(&self) -> Result<i64, StoreError> {
        self.read(OVERDUE, (), |connection, ()| {
            Box::pin(async move {
                let first = "SELECT min(expires_at) FROM lease WHERE status = 0";
                let read = connection.one(first, &[], |row| get::<Option<i64>>(row, 0)).await?;
                Ok(read.flatten().unwrap_or(i64::MAX))
            })
        })
        .await
    }
}

/// Where the leases of a list are looked for.
pub(super) fn source_of(
    filter: &LeaseFilter,
    environments: &[i64],
    contracts: Vec<i64>,
    after: Option<LeaseId>,
) -> Source {
    let mut source = looks::source("l.id", "l.id DESC");
    let before = source.value(Box::new(after.map_or(Uuid::max(), |lease| lease.0)));
    // Held ones are few among all that ever were; written out, because the index is one on held leases only.
    let from = match filter.status {
        Some(LeaseStatus::Held) => format!("lease l WHERE l.status = 0 AND l.id < {before}"),
        _ => format!("lease l WHERE l.id < {before}"),
    };
    source.come_from(from);
    if filter.environment.is_some() {
        let environment = source.value(Box::new(environments.first().copied()));
        source.matching(format!("l.environment = {environment}"));
    }
    if let Some(status) = filter.status {
        source.matching(format!("l.status = {}", status.code()));
    }
    if filter.contract.is_some() {
        let contracts = source.value(Box::new(contracts));
        source.matching(format!("{CONTRACT} = ANY ({contracts})"));
    }
    if let Some(holder) = &filter.holder {
        let holder = source.value(Box::new(holder.clone()));
        source.matching(format!("l.holder = {holder}"));
    }
    if let Some(token) = filter.token {
        let token = source.value(Box::new(token.0));
        source.matching(format!("l.token = {token}"));
    }
    source
}

impl Tx {
    /// Ends a lease by somebody's word; false, and nothing written, when it is not held with this fence, or its deadline has
    /// passed.
    pub(super) async fn end_lease(&mut self, end: &LeaseEnd, change: &ChangeRow) -> Result<bool, Fault> {
        let fence = end.fence.filter(|_| !mutants::on(Mutant::ReleaseWithoutFence));
        let write = "UPDATE lease SET status = $4, ended_at = $5, outcome = $6, note = $7, revoked_by = $8
                     WHERE id = $1 AND tree = $2 AND status = 0 AND ($3::bigint IS NULL OR fence = $3)
                         AND expires_at > $5
                     RETURNING token, environment";
        let taker = self
            .connection
            .one(
                write,
                &[
                    &end.lease.0,
                    &change.tree.0,
                    &fence.map(int),
                    &number_of_code(end.status),
                    &self.now,
                    &end.outcome.map(number_of_code),
                    &end.note,
                    &end.revoked_by,
                ],
                read_taker,
            )
            .await?;
        let Some(taker) = taker else { return Ok(false) };
        let (kind, data) = match &end.revoked_by {
            // What a holder adds may be anything; a reason is written to be told.
            Some(by) => ("lease.revoked", json!({ "by": by, "message": end.note })),
            None => ("lease.released", json!({ "outcome": end.outcome.map(LeaseOutcome::name) })),
        };
        self.lease_ended(end.lease, taker, change, (kind, data)).await?;
        Ok(true)
    }

    /// Whether a lease is held with this fence, and its deadline has not passed. It ends only with its tree, which is held, and
    /// a renewal makes its deadline no earlier.
    pub(super) async fn is_held(
        &self,
        lease: LeaseId,
        fence: u64,
        change: &ChangeRow,
    ) -> Result<bool, Fault> {
        let find = match mutants::on(Mutant::ExtendWithoutFence) {
            true => {
                "SELECT 1 FROM lease WHERE id = $1 AND tree = $2 AND status = 0 AND $3::bigint > 0 AND expires_at > $4"
            }
            false => {
                "SELECT 1 FROM lease WHERE id = $1 AND tree = $2 AND status = 0 AND fence = $3 AND expires_at > $4"
            }
        };
        let held = self
            .connection
            .one(find, &[&lease.0, &change.tree.0, &int(fence), &self.now], |_| Ok(()))
            .await?;
        Ok(held.is_some())
    }

    /// Ends a lease whose deadline has passed; false, and nothing written, when it has not, or the lease has ended.
    pub(super) async fn expire_lease(&mut self, lease: LeaseId, change: &ChangeRow) -> Result<bool, Fault> {
        let write = "UPDATE lease SET status = $3, ended_at = $4
                     WHERE id = $1 AND tree = $2 AND status = 0 AND expires_at <= $4 RETURNING token, environment";
        let expired = number_of_code(LeaseStatus::Expired);
        let key = (lease.0, change.tree.0);
        let taker = self.connection.one(write, &[&key.0, &key.1, &expired, &self.now], read_taker).await?;
        let Some(taker) = taker else { return Ok(false) };
        self.lease_ended(lease, taker, change, ("lease.expired", json!({}))).await?;
        Ok(true)
    }

    /// What follows from the end of a lease, however it came.
    async fn lease_ended(
        &mut self,
        lease: LeaseId,
        taker: Taker,
        change: &ChangeRow,
        (kind, mut data): (&'static str, Value),
    ) -> Result<(), Fault> {
        self.give_places_back(taker, 1);
        self.free_entities(lease).await?;
        data["lease"] = lease.to_string().into();
        let (environment, tree) = (&change.environment, Some(change.tree));
        self.tell(&EventRow::told(self.now, environment, kind, change.request, tree, &data));
        Ok(())
    }
}

fn read_taker(row: &Row) -> Result<Taker, Fault> {
    Ok(Taker { token: get(row, 0)?, environment: get(row, 1)? })
}

async fn lease_by_id(connection: &Connection, id: LeaseId) -> Result<Option<Lease>, Fault> {
    let find =
        format!("SELECT {COLUMNS} FROM lease l JOIN environment e ON e.id = l.environment WHERE l.id = $1");
    connection.one(&find, &[&id.0], read_lease).await
}

fn read_lease(row: &Row) -> Result<Lease, Fault> {
    Ok(Lease {
        id: LeaseId(id(row, 0)?),
        tree: TreeId(id(row, 1)?),
        environment: get(row, 2)?,
        request: RequestId(id(row, 3)?),
        holder: get(row, 4)?,
        token: TokenId(id(row, 5)?),
        fence: number(row, 6)?,
        status: code(row, 7)?,
        ttl_ms: number(row, 8)?,
        granted_at: time_at(row, 9)?,
        expires_at: time_at(row, 10)?,
        ended_at: time_of(row, 11)?,
        outcome: code_of(row, 12)?,
        note: get(row, 13)?,
        revoked_by: get(row, 14)?,
    })
}

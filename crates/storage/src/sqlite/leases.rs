//! Leases in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};
use sixpack_model::ids::{LeaseId, RequestId, TokenId, TreeId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, code_of, id, int, ms, time, time_at, time_of, unsigned};
use super::events::EventRow;
use super::looks::{self, Source};
use super::quotas::Taker;
use super::statements::Statements;
use super::writer::Tx;
use super::writes::ChangeRow;
use crate::error::StoreError;
use crate::leases::{LeaseFilter, Leases, Renewed};
use crate::mutants::{self, Mutant};
use crate::page::{Listed, Page};
use crate::trees::LeaseEnd;

const COLUMNS: &str = "l.id, l.tree, e.name, l.request, l.holder, l.token, l.fence, l.status, l.ttl_ms, \
     l.granted_at, l.expires_at, l.ended_at, l.outcome, l.note, l.revoked_by";

/// The number of the contract that was asked for. A build before the eighteenth version of the schema does not write it down.
const CONTRACT: &str =
    "coalesce(l.contract, (SELECT d.contract FROM dataset d WHERE d.tree = l.tree AND d.part = 0))";

#[async_trait]
impl Leases for SqliteStore {
    async fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        self.read("reading a lease", move |connection| lease_by_id(connection, id)).await
    }

    async fn leases_of(&self, id: RequestId) -> Result<Vec<Lease>, StoreError> {
        self.read("reading the leases of a request", move |connection| {
            let list = format!(
                "SELECT {COLUMNS} FROM lease l JOIN environment e ON e.id = l.environment
                 WHERE l.request = ?1 ORDER BY l.unit, l.id"
            );
            connection.all(&list, [id.0.as_bytes()], read_lease)
        })
        .await
    }

    async fn leases(
        &self,
        filter: &LeaseFilter,
        page: Page<LeaseId>,
    ) -> Result<Listed<Lease, LeaseId>, StoreError> {
        let filter = filter.clone();
        self.read("listing leases", move |connection| {
            let environments = looks::environments(connection, filter.environment.as_deref())?;
            if environments.is_empty() {
                return Ok(Listed::empty());
            }
            let contracts = match &filter.contract {
                Some(contract) => looks::contracts(connection, contract, &environments)?,
                None => Vec::new(),
            };
            let source = source_of(filter, &environments, &contracts, page.after);
            let found = looks::look(connection, &[source], page.limit, |row| id(row, 1).map(LeaseId))?;
            looks::rows(found, |lease| lease_by_id(connection, *lease))
        })
        .await
    }

    async fn count_held_leases(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read("counting held leases", |connection| {
            connection.all(
                "SELECT e.name, count(*) FROM lease l INDEXED BY lease_due
                 CROSS JOIN environment e ON e.id = l.environment
                 WHERE l.status = 0 GROUP BY e.name ORDER BY e.name",
                [],
                |row| Ok((row.get(0)?, unsigned(row, 1)?)),
            )
        })
        .await
    }

    async fn renew_lease(&self, id: LeaseId, fence: u64, ttl_ms: Option<u64>) -> Result<Renewed, StoreError> {
        self.write("renewing a lease", move |tx| {
            let Some(mut lease) = lease_by_id(tx.connection, id)? else {
                return Ok(Renewed::Unknown);
            };
            if lease.fence != fence && !mutants::on(Mutant::RenewWithoutFence) {
                return Ok(Renewed::Fenced(lease));
            }
            if lease.status != LeaseStatus::Held || ms(lease.expires_at) <= tx.now {
                return Ok(Renewed::Ended(lease));
            }
            let asked = tx.now.saturating_add(int(ttl_ms.unwrap_or(lease.ttl_ms)));
            let expires_at = asked.max(ms(lease.expires_at));
            tx.connection.run(
                "UPDATE lease SET expires_at = ?2 WHERE id = ?1",
                params![id.0.as_bytes(), expires_at],
            )?;
            lease.expires_at = time(expires_at);
            Ok(Renewed::Until(lease))
        })
        .await
    }

    async fn overdue_leases(&self, after: Option<LeaseId>, limit: u32) -> Result<Vec<Lease>, StoreError> {
        let now = self.clock_ms();
        let after = after.map_or([0; 16], |id| id.0.into_bytes());
        self.read("reading overdue leases", move |connection| {
            let list = format!(
                "SELECT {COLUMNS} FROM lease l INDEXED BY lease_due CROSS JOIN environment e ON e.id = l.environment
                 WHERE l.status = 0 AND l.expires_at <= ?1 AND l.id > ?2 ORDER BY l.id LIMIT ?3"
            );
            connection.all(&list, params![now, after, limit], read_lease)
        })
        .await
    }
}

/// Where the leases of a list are looked for.
pub(super) fn source_of(
    filter: LeaseFilter,
    environments: &[i64],
    contracts: &[i64],
    after: Option<LeaseId>,
) -> Source {
    let mut source = looks::source("l.id", "l.id DESC");
    let before = after.map_or([0xff; 16], |id| id.0.into_bytes());
    let before = source.value(Box::new(before));
    // Held ones are few among all that ever were; written out, because the index is one on held leases only.
    let from = match filter.status {
        Some(LeaseStatus::Held) => {
            format!("lease l INDEXED BY lease_due WHERE l.status = 0 AND l.id < {before}")
        }
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
        let contracts: Vec<String> =
            contracts.iter().map(|contract| source.value(Box::new(*contract))).collect();
        source.matching(format!("{CONTRACT} IN ({})", contracts.join(", ")));
    }
    if let Some(holder) = filter.holder {
        let holder = source.value(Box::new(holder));
        source.matching(format!("l.holder = {holder}"));
    }
    if let Some(token) = filter.token {
        let token = source.value(Box::new(token.0.into_bytes()));
        source.matching(format!("l.token = {token}"));
    }
    source
}

impl Tx<'_> {
    /// Ends a lease by somebody's word; false, and nothing written, when it is not held with this fence, or its deadline has
    /// passed.
    pub(super) fn end_lease(&self, end: &LeaseEnd, change: &ChangeRow) -> rusqlite::Result<bool> {
        let fence = end.fence.filter(|_| !mutants::on(Mutant::ReleaseWithoutFence));
        let taker = self.connection.one(
            "SELECT token, environment FROM lease
             WHERE id = ?1 AND tree = ?2 AND status = 0 AND (?3 IS NULL OR fence = ?3) AND expires_at > ?4",
            params![end.lease.0.as_bytes(), change.tree.0.as_bytes(), fence.map(int), self.now],
            read_taker,
        )?;
        let Some(taker) = taker else { return Ok(false) };
        self.connection.run(
            "UPDATE lease SET status = ?2, ended_at = ?3, outcome = ?4, note = ?5, revoked_by = ?6 WHERE id = ?1",
            params![
                end.lease.0.as_bytes(),
                end.status.code(),
                self.now,
                end.outcome.map(Code::code),
                end.note,
                end.revoked_by,
            ],
        )?;
        let (kind, data) = match &end.revoked_by {
            // What a holder adds may be anything; a reason is written to be told.
            Some(by) => ("lease.revoked", json!({ "by": by, "message": end.note })),
            None => ("lease.released", json!({ "outcome": end.outcome.map(LeaseOutcome::name) })),
        };
        self.lease_ended(end.lease, taker, change, (kind, data))?;
        Ok(true)
    }

    /// Whether a lease is held with this fence, and its deadline has not passed.
    pub(super) fn is_held(&self, lease: LeaseId, fence: u64, change: &ChangeRow) -> rusqlite::Result<bool> {
        let find = match mutants::on(Mutant::ExtendWithoutFence) {
            true => {
                "SELECT 1 FROM lease WHERE id = ?1 AND tree = ?2 AND status = 0 AND ?3 > 0 AND expires_at > ?4"
            }
            false => {
                "SELECT 1 FROM lease WHERE id = ?1 AND tree = ?2 AND status = 0 AND fence = ?3 AND expires_at > ?4"
            }
        };
        let held = self.connection.one(
            find,
            params![lease.0.as_bytes(), change.tree.0.as_bytes(), int(fence), self.now],
            |_| Ok(()),
        )?;
        Ok(held.is_some())
    }

    /// Ends a lease whose deadline has passed; false, and nothing written, when it has not, or the lease has ended.
    pub(super) fn expire_lease(&self, lease: LeaseId, change: &ChangeRow) -> rusqlite::Result<bool> {
        let taker = self.connection.one(
            "SELECT token, environment FROM lease WHERE id = ?1 AND tree = ?2 AND status = 0 AND expires_at <= ?3",
            params![lease.0.as_bytes(), change.tree.0.as_bytes(), self.now],
            read_taker,
        )?;
        let Some(taker) = taker else { return Ok(false) };
        self.connection.run(
            "UPDATE lease SET status = ?2, ended_at = ?3 WHERE id = ?1",
            params![lease.0.as_bytes(), LeaseStatus::Expired.code(), self.now],
        )?;
        self.lease_ended(lease, taker, change, ("lease.expired", json!({})))?;
        Ok(true)
    }

    /// What follows from the end of a lease, however it came.
    fn lease_ended(
        &self,
        lease: LeaseId,
        taker: Taker,
        change: &ChangeRow,
        (kind, mut data): (&'static str, Value),
    ) -> rusqlite::Result<()> {
        self.give_places_back(taker, 1)?;
        self.free_entities(lease)?;
        data["lease"] = lease.to_string().into();
        let (environment, tree) = (&change.environment, Some(change.tree));
        self.tell(&EventRow::told(self.now, environment, kind, change.request, tree, &data))
    }
}

fn read_taker(row: &Row<'_>) -> rusqlite::Result<Taker> {
    Ok(Taker { token: row.get(0)?, environment: row.get(1)? })
}

fn lease_by_id(connection: &Connection, id: LeaseId) -> rusqlite::Result<Option<Lease>> {
    let find =
        format!("SELECT {COLUMNS} FROM lease l JOIN environment e ON e.id = l.environment WHERE l.id = ?1");
    connection.one(&find, [id.0.as_bytes()], read_lease)
}

fn read_lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease {
        id: LeaseId(id(row, 0)?),
        tree: TreeId(id(row, 1)?),
        environment: row.get(2)?,
        request: RequestId(id(row, 3)?),
        holder: row.get(4)?,
        token: TokenId(id(row, 5)?),
        fence: unsigned(row, 6)?,
        status: code(row, 7)?,
        ttl_ms: unsigned(row, 8)?,
        granted_at: time_at(row, 9)?,
        expires_at: time_at(row, 10)?,
        ended_at: time_of(row, 11)?,
        outcome: code_of(row, 12)?,
        note: row.get(13)?,
        revoked_by: row.get(14)?,
    })
}

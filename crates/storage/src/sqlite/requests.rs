//! Requests in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use sixpack_model::ids::{RequestId, TokenId, TreeId};
use sixpack_model::request::{Request, RequestStatus, Unit};

use super::SqliteStore;
use super::accepting::{NewRequestRow, UnitFillRow};
use super::codes::Code;
use super::columns::{code, id, id_of, parsed, parsed_of, time_at, time_of, unreadable, unsigned};
use super::events::EventRow;
use super::failures::{StoredFailure, failure_text};
use super::limits::KEY_MS;
use super::looks::{self, Source};
use super::quotas::{Taker, places_taken};
use super::statements::Statements;
use crate::error::StoreError;
use crate::mutants::{self, Mutant};
use crate::page::{Listed, Page};
use crate::requests::{
    Created, Ended, Filled, Idempotency, NewRequest, QuotaTaken, RequestFilter, Requests, UnitFill,
};
use crate::stored::requests::{StoredSelection, units_of};
use crate::tasks::{Claimant, Claimed};
use crate::trees::RequestEnd;

pub(super) const COLUMNS: &str = "r.id, e.name, r.units, r.listed, r.source, r.ttl_ms, r.holder, r.token, r.priority, \
     r.channel, r.status, r.revision, r.ready, r.created_at, r.deadline_at, r.ended_at, r.failure, r.refills, \
     r.selection, r.rerun_of";

/// Looks at every open request, and at nothing of them that is not in the index.
pub(super) const OVERDUE: &str = "SELECT id FROM request INDEXED BY request_open
     WHERE status < 2 AND deadline_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3";

#[async_trait]
impl Requests for SqliteStore {
    async fn create_request(&self, new: NewRequest) -> Result<Created, StoreError> {
        let new = NewRequestRow::from(new);
        self.write("accepting a request", move |tx| tx.accept(&new)).await
    }

    /// Nothing is claimed with it: a claim behind it shares its commit.
    async fn create_request_claiming(
        &self,
        new: NewRequest,
        _claimants: Vec<Claimant>,
    ) -> Result<(Created, Vec<Claimed>), StoreError> {
        Ok((self.create_request(new).await?, Vec::new()))
    }

    async fn fill_unit(&self, fill: UnitFill) -> Result<Filled, StoreError> {
        let fill = UnitFillRow::from(fill);
        self.write("giving a unit another dataset", move |tx| tx.fill(&fill)).await
    }

    async fn vacant_units(
        &self,
        after: Option<(RequestId, u32)>,
        limit: u32,
    ) -> Result<Vec<(RequestId, u32)>, StoreError> {
        let (request, unit) = after.map_or(([0; 16], -1), |(id, unit)| (id.0.into_bytes(), i64::from(unit)));
        self.read("reading units without a dataset", move |connection| {
            connection.all(
                "SELECT request, unit FROM unit_vacant WHERE (request, unit) > (?1, ?2)
                 ORDER BY request, unit LIMIT ?3",
                params![request, unit, limit],
                |row| Ok((RequestId(id(row, 0)?), row.get(1)?)),
            )
        })
        .await
    }

    async fn find_idempotent(&self, idempotency: &Idempotency) -> Result<Option<Created>, StoreError> {
        let (idempotency, now) = (idempotency.clone(), self.clock_ms());
        self.read("looking a key up", move |connection| find_key(connection, &idempotency, now)).await
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.read("reading a request", move |connection| request_by_id(connection, id)).await
    }

    async fn trees_of(&self, request: RequestId) -> Result<Vec<TreeId>, StoreError> {
        self.read("reading the trees of a request", move |connection| {
            connection.all(
                "SELECT id FROM tree INDEXED BY tree_by_request
                 WHERE request = ?1 AND place < 3 ORDER BY unit",
                [request.0.as_bytes()],
                |row| id(row, 0).map(TreeId),
            )
        })
        .await
    }

    async fn requests(
        &self,
        filter: &RequestFilter,
        page: Page<RequestId>,
    ) -> Result<Listed<Request, RequestId>, StoreError> {
        let filter = filter.clone();
        self.read("listing requests", move |connection| {
            let environments = looks::environments(connection, filter.environment.as_deref())?;
            if environments.is_empty() {
                return Ok(Listed::empty());
            }
            let contracts = match &filter.contract {
                Some(contract) => looks::contracts(connection, contract, &environments)?,
                None => Vec::new(),
            };
            let sources = sources_of(&filter, &environments, &contracts, page.after);
            let found = looks::look(connection, &sources, page.limit, |row| id(row, 1).map(RequestId))?;
            looks::rows(found, |request| request_by_id(connection, *request))
        })
        .await
    }

    async fn quota_taken(&self, token: TokenId, environment: &str) -> Result<QuotaTaken, StoreError> {
        let environment = environment.to_owned();
        self.read("reading what quotas are taken", move |connection| {
            let number = "SELECT id FROM environment WHERE name = ?1";
            let environment = connection.one(number, [environment], |row| row.get(0))?.unwrap_or(-1);
            places_taken(connection, Taker { token: token.0.into_bytes(), environment })
        })
        .await
    }

    async fn end_request(
        &self,
        id: RequestId,
        status: RequestStatus,
        end: RequestEnd,
    ) -> Result<Ended, StoreError> {
        let failure =
            end.failure.as_ref().map(|failure| (failure.contract.to_string(), failure_text(failure)));
        let event = EventRow::from(end.event).of_request(id);
        self.write("ending a request", move |tx| {
            let read = "SELECT status FROM request WHERE id = ?1";
            let before = tx.connection.one(read, [id.0.as_bytes()], |row| code::<RequestStatus>(row, 0))?;
            match before {
                None => Ok(Ended::Unknown),
                Some(before) if before.ended() => Ok(Ended::Before(before)),
                Some(_) => {
                    let refilled = tx.refilled_by(id)?;
                    tx.close_request(id, status, failure.as_ref().map(|(_, text)| text.as_str()))?;
                    let grow = "UPDATE request SET revision = revision + 1 WHERE id = ?1";
                    tx.connection.run(grow, [id.0.as_bytes()])?;
                    tx.tell(&event)?;
                    if let (Some((contract, text)), Some((line, tree))) = (&failure, refilled) {
                        tx.note_trouble(line, (contract, text), tree)?;
                    }
                    Ok(Ended::Now)
                }
            }
        })
        .await
    }

    async fn overdue_requests(
        &self,
        after: Option<RequestId>,
        limit: u32,
    ) -> Result<Vec<RequestId>, StoreError> {
        let now = self.clock_ms();
        let after = after.map_or([0; 16], |id| id.0.into_bytes());
        self.read("reading overdue requests", move |connection| {
            connection.all(OVERDUE, params![now, after, limit], |row| id(row, 0).map(RequestId))
        })
        .await
    }

    async fn forget_keys(&self, limit: u32) -> Result<u64, StoreError> {
        self.write("forgetting keys", move |tx| {
            let before = tx.now.saturating_sub(KEY_MS);
            let rows = tx.connection.run(
                "DELETE FROM idempotency WHERE created_at < ?1
                 AND place IN (SELECT place FROM idempotency ORDER BY place LIMIT ?2)",
                params![before, limit],
            )?;
            Ok(rows as u64)
        })
        .await
    }
}

/// Where the requests of a list are looked for: among those of a status if the index of these is short, or else among those of
/// each contract, or else among all.
pub(super) fn sources_of(
    filter: &RequestFilter,
    environments: &[i64],
    contracts: &[i64],
    after: Option<RequestId>,
) -> Vec<Source> {
    // The indexes hold a part of the statuses each, which the planner cannot tell from a single one.
    let short = match filter.status {
        Some(open) if !open.ended() => Some(("request_open", "r.status < 2".to_owned())),
        Some(unhappy) if unhappy != RequestStatus::Fulfilled => {
            Some(("request_unhappy", format!("r.status > 2 AND r.status = {}", unhappy.code())))
        }
        _ => None,
    };
    let new = || {
        let mut source = looks::source("r.id", "r.id DESC");
        let before = source.value(Box::new(after.map_or([0xff; 16], |id| id.0.into_bytes())));
        (source, before)
    };
    let mut sources = Vec::new();
    if let Some((index, status)) = short {
        let (mut source, before) = new();
        source.come_from(format!("request r INDEXED BY {index} WHERE {status} AND r.id < {before}"));
        if filter.contract.is_some() {
            let contracts: Vec<String> =
                contracts.iter().map(|contract| source.value(Box::new(*contract))).collect();
            source.matching(format!("r.contract IN ({})", contracts.join(", ")));
        }
        sources.push(source);
    } else if filter.contract.is_some() {
        for contract in contracts {
            let (mut source, before) = new();
            let contract = source.value(Box::new(*contract));
            source.come_from(format!("request r WHERE r.contract = {contract} AND r.id < {before}"));
            sources.push(source);
        }
    } else {
        let (mut source, before) = new();
        source.come_from(format!("request r WHERE r.id < {before}"));
        sources.push(source);
    }
    for source in &mut sources {
        if filter.environment.is_some() {
            let environment = source.value(Box::new(environments.first().copied()));
            source.matching(format!("r.environment = {environment}"));
        }
        if let Some(holder) = &filter.holder {
            let holder = source.value(Box::new(holder.clone()));
            source.matching(format!("r.holder = {holder}"));
        }
        if let Some(status) = filter.status {
            source.matching(format!("r.status = {}", status.code()));
        }
        match filter.refills {
            Some(true) => source.matching("r.line IS NOT NULL"),
            Some(false) => source.matching("r.line IS NULL"),
            None => {}
        }
    }
    sources
}

fn read_units(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Unit>> {
    units_of(parsed(row, column)?).map_err(|cause| unreadable(column, cause))
}

/// What a key stands for. One whose time is over stands for nothing, whether or not a sweep has come by.
pub(super) fn find_key(
    connection: &Connection,
    idempotency: &Idempotency,
    now: i64,
) -> rusqlite::Result<Option<Created>> {
    let whose = if mutants::on(Mutant::KeyOfAnybody) { "?1 IS NOT NULL" } else { "token = ?1" };
    connection.one(
        &format!("SELECT body, request FROM idempotency WHERE {whose} AND key = ?2 AND created_at >= ?3"),
        params![idempotency.token.0.as_bytes(), idempotency.key, now.saturating_sub(KEY_MS)],
        |row| {
            let body: [u8; 32] = row.get(0)?;
            if body == idempotency.body {
                Ok(Created::Replayed(RequestId(id(row, 1)?)))
            } else {
                Ok(Created::KeyReused)
            }
        },
    )
}

fn request_by_id(connection: &Connection, id: RequestId) -> rusqlite::Result<Option<Request>> {
    let find =
        format!("SELECT {COLUMNS} FROM request r JOIN environment e ON e.id = r.environment WHERE r.id = ?1");
    connection.one(&find, [id.0.as_bytes()], read_request)
}

pub(super) fn read_request(row: &Row<'_>) -> rusqlite::Result<Request> {
    let failure: Option<StoredFailure<'_>> = parsed_of(row, 16)?;
    let refills: Option<String> = row.get(17)?;
    let selection: Option<StoredSelection<'_>> = parsed_of(row, 18)?;
    Ok(Request {
        id: RequestId(id(row, 0)?),
        environment: row.get(1)?,
        units: read_units(row, 2)?,
        listed: row.get(3)?,
        rerun_of: id_of(row, 19)?.map(TreeId),
        source: code(row, 4)?,
        selection: selection.map(StoredSelection::into_selection).unwrap_or_default(),
        refills: refills.map(|name| name.parse().map_err(|cause| unreadable(17, cause))).transpose()?,
        ttl_ms: unsigned(row, 5)?,
        holder: row.get(6)?,
        token: TokenId(id(row, 7)?),
        priority: code(row, 8)?,
        channel: row.get(9)?,
        status: code(row, 10)?,
        revision: unsigned(row, 11)?,
        ready: row.get(12)?,
        created_at: time_at(row, 13)?,
        deadline_at: time_at(row, 14)?,
        ended_at: time_of(row, 15)?,
        failure: failure
            .map(StoredFailure::into_failure)
            .transpose()
            .map_err(|cause| unreadable(16, cause))?,
    })
}

//! Requests in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Row, params, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sixpack_model::ids::{RequestId, TokenId, TreeId};
use sixpack_model::request::{Request, RequestStatus, Unit};

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, id, int, ms, parsed, parsed_of, time_at, time_of, unreadable, unsigned};
use super::events::EventRow;
use super::failures::{StoredFailure, failure_text};
use super::limits::KEY_MS;
use super::names::contract_is;
use super::quotas::Taker;
use super::statements::Statements;
use super::writer::Tx;
use super::writes::ChangeRow;
use crate::error::StoreError;
use crate::page::Page;
use crate::requests::{Created, Ended, Idempotency, NewRequest, OverQuota, Quota, RequestFilter, Requests};
use crate::trees::RequestEnd;

const COLUMNS: &str = "r.id, e.name, r.units, r.listed, r.source, r.ttl_ms, r.holder, r.token, r.priority, \
     r.channel, r.status, r.revision, r.ready, r.created_at, r.deadline_at, r.ended_at, r.failure";

#[async_trait]
impl Requests for SqliteStore {
    async fn create_request(&self, new: NewRequest) -> Result<Created, StoreError> {
        let NewRequest { request, trees, leases, idempotency, quota, event } = new;
        let units = units_text(&request.units);
        let trees: Vec<ChangeRow> = trees.into_iter().map(ChangeRow::from).collect();
        let event = EventRow::from(event).of_request(request.id);
        self.write("accepting a request", move |tx| {
            if let Some(idempotency) = &idempotency
                && let Some(before) = tx.keep_key(idempotency, request.id)?
            {
                return Ok(before);
            }
            if let Some(over) = tx.count_request(&request, trees.len(), quota)? {
                if let Some(idempotency) = &idempotency {
                    tx.drop_key(idempotency)?;
                }
                return Ok(Created::OverQuota(over));
            }
            tx.insert_request(&request, &units, trees.len())?;
            tx.tell(&event)?;
            trees.iter().try_for_each(|change| tx.insert_tree(change))?;
            for change in trees.iter().filter(|change| change.settles()) {
                tx.write_request(change, &leases)?;
            }
            Ok(Created::Accepted)
        })
        .await
    }

    async fn find_idempotent(&self, idempotency: &Idempotency) -> Result<Option<Created>, StoreError> {
        let (idempotency, now) = (idempotency.clone(), self.clock_ms());
        self.read("looking a key up", move |connection| find_key(connection, &idempotency, now)).await
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.read("reading a request", move |connection| {
            let find = format!(
                "SELECT {COLUMNS} FROM request r JOIN environment e ON e.id = r.environment WHERE r.id = ?1"
            );
            connection.one(&find, [id.0.as_bytes()], read_request)
        })
        .await
    }

    async fn trees_of(&self, request: RequestId) -> Result<Vec<TreeId>, StoreError> {
        self.read("reading the trees of a request", move |connection| {
            connection.all(
                "SELECT id FROM tree WHERE request = ?1 ORDER BY unit",
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
    ) -> Result<Vec<Request>, StoreError> {
        let filter = filter.clone();
        self.read("listing requests", move |connection| {
            let before = page.after.map_or([0xff; 16], |id| id.0.into_bytes());
            // The indexes hold a part of the statuses each, which the planner cannot tell from a single one.
            let (index, status) = match filter.status {
                None => ("", String::new()),
                Some(RequestStatus::Fulfilled) => {
                    ("", format!(" AND r.status = {}", RequestStatus::Fulfilled.code()))
                }
                Some(open) if !open.ended() => {
                    ("INDEXED BY request_due", format!(" AND r.status < 2 AND r.status = {}", open.code()))
                }
                Some(unhappy) => (
                    "INDEXED BY request_unhappy",
                    format!(" AND r.status > 2 AND r.status = {}", unhappy.code()),
                ),
            };
            let mut values: Vec<Box<dyn rusqlite::ToSql + Send>> = vec![Box::new(before)];
            let mut sql = format!(
                "SELECT {COLUMNS} FROM request r {index} CROSS JOIN environment e ON e.id = r.environment
                 WHERE r.id < ? {status}"
            );
            if let Some(contract) = filter.contract {
                let environment = filter.environment.as_deref();
                sql.push_str(" AND ");
                sql.push_str(&contract_is("r.contract", &contract, environment, &mut values));
            }
            if let Some(environment) = filter.environment {
                sql.push_str(" AND e.name = ?");
                values.push(Box::new(environment));
            }
            sql.push_str(" ORDER BY r.id DESC LIMIT ?");
            values.push(Box::new(page.limit));
            connection.all(&sql, params_from_iter(values), read_request)
        })
        .await
    }

    async fn end_request(
        &self,
        id: RequestId,
        status: RequestStatus,
        end: RequestEnd,
    ) -> Result<Ended, StoreError> {
        let failure = end.failure.as_ref().map(failure_text);
        let event = EventRow::from(end.event).of_request(id);
        self.write("ending a request", move |tx| {
            let read = "SELECT status FROM request WHERE id = ?1";
            let before = tx.connection.one(read, [id.0.as_bytes()], |row| code::<RequestStatus>(row, 0))?;
            match before {
                None => Ok(Ended::Unknown),
                Some(before) if before.ended() => Ok(Ended::Before(before)),
                Some(_) => {
                    tx.close_request(id, status, failure.as_deref())?;
                    let grow = "UPDATE request SET revision = revision + 1 WHERE id = ?1";
                    tx.connection.run(grow, [id.0.as_bytes()])?;
                    tx.tell(&event)?;
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
            connection.all(
                "SELECT id FROM request INDEXED BY request_due
                 WHERE status < 2 AND deadline_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                params![now, after, limit],
                |row| id(row, 0).map(RequestId),
            )
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

impl Tx<'_> {
    /// Keeps a key, or says what it stands for already, and writes nothing.
    fn keep_key(&self, idempotency: &Idempotency, request: RequestId) -> rusqlite::Result<Option<Created>> {
        if self.insert_key(idempotency, request)? {
            return Ok(None);
        }
        if let Some(before) = find_key(self.connection, idempotency, self.now)? {
            return Ok(Some(before));
        }
        // Its time is over and the sweep has not come by yet. The new row takes its place among the newest, so that the
        // oldest stay in front.
        self.drop_key(idempotency)?;
        let kept = self.insert_key(idempotency, request)?;
        debug_assert!(kept, "nothing else writes in this transaction");
        Ok(None)
    }

    fn drop_key(&self, idempotency: &Idempotency) -> rusqlite::Result<()> {
        let drop = "DELETE FROM idempotency WHERE token = ?1 AND key = ?2";
        let key = params![idempotency.token.0.as_bytes(), idempotency.key];
        self.connection.run(drop, key).map(|_| ())
    }

    /// Counts the leases that a request asks for. Here, and where a request is closed, is said which requests count.
    fn count_request(
        &mut self,
        request: &Request,
        trees: usize,
        quota: Quota,
    ) -> rusqlite::Result<Option<OverQuota>> {
        let environment = self.environment(&request.environment)?;
        self.take_places(Taker { token: request.token.0.into_bytes(), environment }, trees, quota)
    }

    /// Writes a key; false, and nothing written, when it is there.
    fn insert_key(&self, idempotency: &Idempotency, request: RequestId) -> rusqlite::Result<bool> {
        let rows = self.connection.run(
            "INSERT INTO idempotency (token, key, body, request, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            params![
                idempotency.token.0.as_bytes(),
                idempotency.key,
                idempotency.body,
                request.0.as_bytes(),
                self.now,
            ],
        )?;
        Ok(rows > 0)
    }

    fn insert_request(&mut self, request: &Request, units: &str, trees: usize) -> rusqlite::Result<()> {
        let environment = self.environment(&request.environment)?;
        let first = request.units.first().expect("a request has at least one unit");
        let contract = self.contract(environment, &first.contract.to_string())?;
        self.connection.run(
            "INSERT INTO request (id, environment, contract, units, trees, listed, source, ttl_ms, holder, token,
                                  priority, channel, status, revision, ready, created_at, deadline_at, ended_at,
                                  failure)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
            params![
                request.id.0.as_bytes(),
                environment,
                contract,
                units,
                trees as i64,
                request.listed,
                request.source.code(),
                int(request.ttl_ms),
                request.holder,
                request.token.0.as_bytes(),
                request.priority.code(),
                request.channel,
                request.status.code(),
                int(request.revision),
                request.ready,
                ms(request.created_at),
                ms(request.deadline_at),
                request.ended_at.map(ms),
                request.failure.as_ref().map(failure_text),
            ],
        )?;
        Ok(())
    }
}

/// Units as they are stored; equal neighbours are written once.
#[derive(Serialize, Deserialize)]
struct StoredUnits {
    contract: String,
    version: u32,
    input: Arc<Value>,
    count: u32,
}

fn units_text(units: &[Unit]) -> String {
    let mut stored: Vec<StoredUnits> = Vec::new();
    for (place, unit) in units.iter().enumerate() {
        match stored.last_mut() {
            Some(last) if units[place - 1] == *unit => last.count += 1,
            _ => stored.push(StoredUnits {
                contract: unit.contract.to_string(),
                version: unit.version,
                input: Arc::clone(&unit.input),
                count: 1,
            }),
        }
    }
    serde_json::to_string(&stored).expect("text, numbers and JSON values are always JSON")
}

fn read_units(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Unit>> {
    let stored: Vec<StoredUnits> = parsed(row, column)?;
    let mut units = Vec::new();
    for StoredUnits { contract, version, input, count } in stored {
        let contract = contract.parse().map_err(|cause| {
            let cause: sixpack_model::name::NameError = cause;
            unreadable(column, cause)
        })?;
        units.extend(std::iter::repeat_n(Unit { contract, version, input }, count as usize));
    }
    Ok(units)
}

/// What a key stands for. One whose time is over stands for nothing, whether or not a sweep has come by.
fn find_key(
    connection: &rusqlite::Connection,
    idempotency: &Idempotency,
    now: i64,
) -> rusqlite::Result<Option<Created>> {
    connection.one(
        "SELECT body, request FROM idempotency WHERE token = ?1 AND key = ?2 AND created_at >= ?3",
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

fn read_request(row: &Row<'_>) -> rusqlite::Result<Request> {
    let failure: Option<StoredFailure<'_>> = parsed_of(row, 16)?;
    Ok(Request {
        id: RequestId(id(row, 0)?),
        environment: row.get(1)?,
        units: read_units(row, 2)?,
        listed: row.get(3)?,
        source: code(row, 4)?,
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

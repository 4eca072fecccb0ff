//! Requests in SQLite.

use async_trait::async_trait;
use rusqlite::{Row, params, params_from_iter};
use sixpack_model::ids::{RequestId, TokenId, TreeId};
use sixpack_model::request::{Request, RequestStatus, Unit};

use super::SqliteStore;
use super::accepting::{NewRequestRow, UnitFillRow};
use super::codes::Code;
use super::columns::{code, id, id_of, parsed, parsed_of, time_at, time_of, unreadable, unsigned};
use super::events::EventRow;
use super::failures::{StoredFailure, failure_text};
use super::limits::KEY_MS;
use super::names::contract_is;
use super::statements::Statements;
use crate::error::StoreError;
use crate::page::Page;
use crate::requests::{Created, Ended, Filled, Idempotency, NewRequest, RequestFilter, Requests, UnitFill};
use crate::stored::requests::{StoredSelection, units_of};
use crate::trees::RequestEnd;

pub(super) const COLUMNS: &str = "r.id, e.name, r.units, r.listed, r.source, r.ttl_ms, r.holder, r.token, r.priority, \
     r.channel, r.status, r.revision, r.ready, r.created_at, r.deadline_at, r.ended_at, r.failure, r.refills, \
     r.selection, r.rerun_of";

/// Looks at every open request, and at nothing of them that is not in the index.
const OVERDUE: &str = "SELECT id FROM request INDEXED BY request_open
     WHERE status < 2 AND deadline_at <= ?1 AND id > ?2 ORDER BY id LIMIT ?3";

#[async_trait]
impl Requests for SqliteStore {
    async fn create_request(&self, new: NewRequest) -> Result<Created, StoreError> {
        let new = NewRequestRow::from(new);
        self.write("accepting a request", move |tx| tx.accept(&new)).await
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
    ) -> Result<Vec<Request>, StoreError> {
        let filter = filter.clone();
        self.read("listing requests", move |connection| {
            let (sql, values) = listing(filter, page);
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

/// The statement that lists requests, newest first, and its values.
fn listing(filter: RequestFilter, page: Page<RequestId>) -> (String, Vec<Box<dyn rusqlite::ToSql + Send>>) {
    let before = page.after.map_or([0xff; 16], |id| id.0.into_bytes());
    // The indexes hold a part of the statuses each, which the planner cannot tell from a single one.
    let (index, status) = match filter.status {
        None => ("", String::new()),
        Some(RequestStatus::Fulfilled) => {
            ("", format!(" AND r.status = {}", RequestStatus::Fulfilled.code()))
        }
        Some(open) if !open.ended() => {
            ("INDEXED BY request_open", format!(" AND r.status < 2 AND r.status = {}", open.code()))
        }
        Some(unhappy) => {
            ("INDEXED BY request_unhappy", format!(" AND r.status > 2 AND r.status = {}", unhappy.code()))
        }
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
    match filter.refills {
        Some(true) => sql.push_str(" AND r.line IS NOT NULL"),
        Some(false) => sql.push_str(" AND r.line IS NULL"),
        None => {}
    }
    sql.push_str(" ORDER BY r.id DESC LIMIT ?");
    values.push(Box::new(page.limit));
    (sql, values)
}

fn read_units(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Unit>> {
    units_of(parsed(row, column)?).map_err(|cause| unreadable(column, cause))
}

/// What a key stands for. One whose time is over stands for nothing, whether or not a sweep has come by.
pub(super) fn find_key(
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

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::sqlite::{Durability, Settings};

    /// How SQLite goes about a statement, step by step.
    fn plan(connection: &Connection, sql: &str, values: &[Box<dyn rusqlite::ToSql + Send>]) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn lists_and_the_sweep_read_an_index_in_its_order_and_sort_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { durability: Durability::TestsOnly, ..Settings::default() };
        drop(SqliteStore::open(folder.path(), settings).unwrap());
        let file = folder.path().join(crate::sqlite::opening::DATABASE_FILE);
        let connection = crate::sqlite::opening::open_reader(&file).unwrap();
        for (status, expected) in [
            (None, "SEARCH r USING PRIMARY KEY (id<?)"),
            (Some(RequestStatus::Fulfilled), "SEARCH r USING PRIMARY KEY (id<?)"),
            (Some(RequestStatus::Queued), "SEARCH r USING INDEX request_open (id<?)"),
            (Some(RequestStatus::Building), "SEARCH r USING INDEX request_open (id<?)"),
            (Some(RequestStatus::Failed), "SEARCH r USING INDEX request_unhappy (status=? AND id<?)"),
        ] {
            let page = Page { after: None, limit: 100 };
            let (sql, values) = listing(RequestFilter { status, ..RequestFilter::default() }, page);
            let plan = plan(&connection, &sql, &values);
            assert!(plan.starts_with(expected) && !plan.contains("TEMP B-TREE"), "{status:?}: {plan}");
        }
        let values: [Box<dyn rusqlite::ToSql + Send>; 3] = [Box::new(0), Box::new([0u8; 16]), Box::new(100)];
        let expected = "SEARCH request USING COVERING INDEX request_open (id>?)";
        assert_eq!(plan(&connection, OVERDUE, &values), expected);
    }
}

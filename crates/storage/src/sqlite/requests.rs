//! Requests in SQLite.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Row, params, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sixpack_model::ids::{LeaseId, LineId, RequestId, TokenId, TreeId};
use sixpack_model::request::{Request, RequestStatus, Selection, Unit};
use sixpack_model::stock::RuleName;

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, id, id_of, int, ms, parsed, parsed_of, time_at, time_of, unreadable, unsigned};
use super::events::EventRow;
use super::failures::{StoredFailure, failure_text};
use super::limits::KEY_MS;
use super::names::contract_is;
use super::placing::Place;
use super::quotas::Taker;
use super::statements::Statements;
use super::taking::{Found, WishRow};
use super::writer::Tx;
use super::writes::ChangeRow;
use crate::error::StoreError;
use crate::page::Page;
use crate::requests::{
    Created, Ended, Filled, How, Idempotency, Looking, NewRequest, OverQuota, Quota, RequestFilter, Requests,
    Served, UnitFill,
};
use crate::stock::StockWish;
use crate::trees::{RequestAfter, RequestEnd};

const COLUMNS: &str = "r.id, e.name, r.units, r.listed, r.source, r.ttl_ms, r.holder, r.token, r.priority, \
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
        let fill = UnitFillRow {
            request: fill.request,
            unit: fill.unit,
            wish: fill.wish.as_ref().map(|wish| Arc::new(WishRow::new(wish))),
            looking: fill.looking,
            tree: fill.tree.map(ChangeRow::from),
            leases: fill.leases,
        };
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
        let failure = end.failure.as_ref().map(failure_text);
        let event = EventRow::from(end.event).of_request(id);
        self.write("ending a request", move |tx| {
            let read = "SELECT status FROM request WHERE id = ?1";
            let before = tx.connection.one(read, [id.0.as_bytes()], |row| code::<RequestStatus>(row, 0))?;
            match before {
                None => Ok(Ended::Unknown),
                Some(before) if before.ended() => Ok(Ended::Before(before)),
                Some(_) => {
                    let refilled = tx.refilled_by(id)?;
                    tx.close_request(id, status, failure.as_deref())?;
                    let grow = "UPDATE request SET revision = revision + 1 WHERE id = ?1";
                    tx.connection.run(grow, [id.0.as_bytes()])?;
                    tx.tell(&event)?;
                    if let (Some(failure), Some((line, tree))) = (&failure, refilled) {
                        tx.note_trouble(line, failure, tree)?;
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

    /// Counts the leases that a request asks for; what refills stock asks for none.
    fn count_request(&mut self, new: &NewRequestRow) -> rusqlite::Result<Option<OverQuota>> {
        if new.line.is_some() {
            return Ok(None);
        }
        let request = &new.request;
        let environment = self.environment(&request.environment)?;
        let taker = Taker { token: request.token.0.into_bytes(), environment };
        self.take_places(taker, request.units.len(), new.quota)
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

    /// Accepts a request: everything is looked for before anything is written.
    pub(super) fn accept(&mut self, new: &NewRequestRow) -> rusqlite::Result<Created> {
        let request = &new.request;
        let found = if new.wishes.is_empty() {
            Vec::new()
        } else {
            if let Some(idempotency) = &new.idempotency
                && let Some(before) = find_key(self.connection, idempotency, self.now)?
            {
                return Ok(before);
            }
            match self.find_in_stock(&new.wishes, new.looking)? {
                Some(found) => found,
                None => return Ok(Created::Short),
            }
        };
        if let Some(idempotency) = &new.idempotency
            && let Some(before) = self.keep_key(idempotency, request.id)?
        {
            return Ok(before);
        }
        if let Some(over) = self.count_request(new)? {
            if let Some(idempotency) = &new.idempotency {
                self.drop_key(idempotency)?;
            }
            return Ok(Created::OverQuota(over));
        }
        if !found.is_empty() && found.iter().all(|found| matches!(found, Found::Ready { .. })) {
            return self.accept_served(new, &found);
        }
        self.insert_request(new, None)?;
        self.tell(&new.event)?;
        let taken = self.take(request, 0, &found)?;
        let mut leases = None;
        let own =
            |change: &&ChangeRow| matches!(found.get(change.unit as usize), Some(Found::Own { .. }) | None);
        for change in new.trees.iter().filter(own) {
            self.insert_own(change, found.get(change.unit as usize))?;
        }
        for change in new.trees.iter().filter(own).filter(|change| change.settles()) {
            let from = change.inserted(Place::Request);
            if let RequestAfter::Fulfilled { leases: granted, .. } =
                self.write_request(change, from, &new.leases)?.after
            {
                leases = Some(granted);
            }
        }
        if taken.is_empty() {
            return Ok(Created::Accepted);
        }
        // What is ready counts, although nothing of the request has happened yet.
        if leases.is_none() && taken.iter().any(|taken| taken.how == How::Ready) {
            leases =
                self.count_ready(&request.environment, request.id, &new.leases)?.map(|(_, leases)| leases);
        }
        Ok(Created::Served(Served { taken, leases }))
    }

    /// Writes the tree that is made for a unit; it stands in line for one that is ready earlier, if there may be one.
    fn insert_own(&mut self, change: &ChangeRow, found: Option<&Found>) -> rusqlite::Result<()> {
        self.insert_tree(change)?;
        match found {
            Some(Found::Own { line: Some(line) }) if !change.settles() => {
                self.wait_in_line(change.tree, *line)
            }
            _ => Ok(()),
        }
    }

    /// Gives a unit a dataset that has none.
    fn fill(&mut self, fill: &UnitFillRow) -> rusqlite::Result<Filled> {
        let key = params![fill.request.0.as_bytes(), fill.unit];
        let vacant = "SELECT 1 FROM unit_vacant WHERE request = ?1 AND unit = ?2";
        let is_vacant = self.connection.one(vacant, key, |_| Ok(()))?.is_some();
        let find = format!(
            "SELECT {COLUMNS} FROM request r JOIN environment e ON e.id = r.environment WHERE r.id = ?1"
        );
        let request = self.connection.one(&find, [fill.request.0.as_bytes()], read_request)?;
        let Some(request) = request.filter(|request| is_vacant && !request.has_ended()) else {
            return Ok(Filled::NotVacant);
        };
        let found = match &fill.wish {
            Some(_) => self.find_in_stock(std::slice::from_ref(&fill.wish), fill.looking)?,
            None => fill.tree.is_some().then(|| vec![Found::Own { line: None }]),
        };
        let Some(found) = found else { return Ok(Filled::Short) };
        let fill_it = "DELETE FROM unit_vacant WHERE request = ?1 AND unit = ?2";
        self.connection.run(fill_it, params![fill.request.0.as_bytes(), fill.unit])?;
        let taken = self.take(&request, fill.unit, &found)?;
        if taken.is_empty() {
            let change = fill.tree.as_ref().expect("what is not found is made");
            self.insert_own(change, found.first())?;
            if change.settles() {
                self.write_request(change, change.inserted(Place::Request), &fill.leases)?;
            }
            return Ok(Filled::Made);
        }
        let leases = self.count_ready(&request.environment, request.id, &fill.leases)?;
        Ok(Filled::Served(Served { taken, leases: leases.map(|(_, leases)| leases) }))
    }

    /// Accepts a request of which everything is in stock: it is fulfilled from the beginning.
    fn accept_served(&mut self, new: &NewRequestRow, found: &[Found]) -> rusqlite::Result<Created> {
        let request = &new.request;
        self.insert_request(new, Some(self.now))?;
        let served = self.take_all_leased(request, found, &new.leases)?;
        let data = json!({ "leases": new.leases.iter().map(LeaseId::to_string).collect::<Vec<_>>() });
        self.tell(&EventRow::told(
            self.now,
            &request.environment,
            "request.fulfilled",
            request.id,
            None,
            &data,
        ))?;
        Ok(Created::Served(served))
    }

    /// The line that an open request refills, and the tree that it makes for it.
    fn refilled_by(&self, request: RequestId) -> rusqlite::Result<Option<(LineId, TreeId)>> {
        self.connection.one(
            "SELECT r.line, t.id FROM request r
             CROSS JOIN tree t INDEXED BY tree_by_request ON t.request = r.id AND t.place < 3
             WHERE r.id = ?1 AND r.line IS NOT NULL",
            [request.0.as_bytes()],
            |row| Ok((LineId(row.get(0)?), TreeId(id(row, 1)?))),
        )
    }

    /// Writes a request as it begins; one that is fulfilled from the beginning ends at `served_at`.
    fn insert_request(&mut self, new: &NewRequestRow, served_at: Option<i64>) -> rusqlite::Result<()> {
        let NewRequestRow { request, units, selection, line, .. } = new;
        let environment = self.environment(&request.environment)?;
        let first = request.units.first().expect("a request has at least one unit");
        let contract = self.contract(environment, &first.contract.to_string())?;
        self.connection.run(
            "INSERT INTO request (id, environment, contract, units, trees, listed, source, ttl_ms, holder, token,
                                  priority, channel, status, revision, ready, created_at, deadline_at, ended_at,
                                  failure, line, refills, selection, rerun_of)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                     ?22, ?23)",
            params![
                request.id.0.as_bytes(),
                environment,
                contract,
                units,
                request.units.len() as i64,
                request.listed,
                request.source.code(),
                int(request.ttl_ms),
                request.holder,
                request.token.0.as_bytes(),
                request.priority.code(),
                request.channel,
                served_at.map_or(request.status, |_| RequestStatus::Fulfilled).code(),
                int(request.revision),
                served_at.map_or(request.ready, |_| request.units.len() as u32),
                ms(request.created_at),
                ms(request.deadline_at),
                served_at.or(request.ended_at.map(ms)),
                request.failure.as_ref().map(failure_text),
                line.map(|line| line.0),
                request.refills.as_ref().map(RuleName::as_str),
                selection,
                request.rerun_of.map(|tree| tree.0.into_bytes()),
            ],
        )?;
        Ok(())
    }
}

/// A dataset for a unit that has none, turned into columns before the writer sees it.
struct UnitFillRow {
    request: RequestId,
    unit: u32,
    wish: Option<Arc<WishRow>>,
    looking: Looking,
    tree: Option<ChangeRow>,
    leases: Vec<LeaseId>,
}

/// A request to be accepted, turned into columns before the writer sees it.
pub(super) struct NewRequestRow {
    request: Request,
    units: String,
    selection: Option<String>,
    line: Option<LineId>,
    trees: Vec<ChangeRow>,
    wishes: Vec<Option<Arc<WishRow>>>,
    looking: Looking,
    leases: Vec<LeaseId>,
    idempotency: Option<Idempotency>,
    quota: Quota,
    event: EventRow,
}

impl From<NewRequest> for NewRequestRow {
    fn from(new: NewRequest) -> Self {
        let NewRequest { request, trees, wishes, looking, leases, idempotency, quota, event } = new;
        let mut rows: Vec<(Arc<StockWish>, Arc<WishRow>)> = Vec::new();
        // Units that wish the same go on doing so.
        let wishes = wishes.into_iter().map(|wish| {
            let wish = wish?;
            if let Some((_, row)) = rows.iter().find(|(known, _)| Arc::ptr_eq(known, &wish)) {
                return Some(Arc::clone(row));
            }
            let row = Arc::new(WishRow::new(&wish));
            rows.push((wish, Arc::clone(&row)));
            Some(row)
        });
        Self {
            wishes: wishes.collect(),
            looking,
            units: units_text(&request.units),
            selection: selection_text(&request.selection),
            line: None,
            trees: trees.into_iter().map(ChangeRow::from).collect(),
            leases,
            idempotency,
            quota,
            event: EventRow::from(event).of_request(request.id),
            request,
        }
    }
}

impl NewRequestRow {
    /// The same as one that refills stock.
    pub(super) fn refilling(self, line: LineId) -> Self {
        Self { line: Some(line), ..self }
    }

    /// The tree of a request that refills stock.
    pub(super) fn only_tree(&self) -> &ChangeRow {
        self.trees.first().expect("what refills stock makes one dataset")
    }
}

/// What is wished beyond contract and input; what is absent is not written.
#[derive(Serialize, Deserialize)]
struct StoredSelection<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefer: Option<Cow<'a, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    select: Option<Cow<'a, Map<String, Value>>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    require_fresh: bool,
}

fn selection_text(selection: &Selection) -> Option<String> {
    if *selection == Selection::default() {
        return None;
    }
    let stored = StoredSelection {
        prefer: selection.prefer.as_deref().map(Cow::Borrowed),
        select: selection.select.as_deref().map(Cow::Borrowed),
        require_fresh: selection.require_fresh,
    };
    Some(serde_json::to_string(&stored).expect("JSON values are always JSON"))
}

impl StoredSelection<'_> {
    fn into_selection(self) -> Selection {
        Selection {
            prefer: self.prefer.map(|prefer| Arc::new(prefer.into_owned())),
            select: self.select.map(|select| Arc::new(select.into_owned())),
            require_fresh: self.require_fresh,
        }
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
    sql.push_str(" ORDER BY r.id DESC LIMIT ?");
    values.push(Box::new(page.limit));
    (sql, values)
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

//! Requests in PostgreSQL.

use async_trait::async_trait;
use sixpack_model::ids::{RequestId, TokenId, TreeId};
use sixpack_model::request::{Request, RequestStatus};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::accepting::{ACCEPTING, FromStock};
use super::columns::{Int, code, get, id, id_of, number, parsed, parsed_of, time_at, time_of, unreadable};
use super::faults::Fault;
use super::limits::KEY_MS;
use super::looks::{self, Source};
use super::quotas::{Taker, places_taken};
use super::starting::Start;
use super::statements::Connection;
use super::writer::Tx;
use crate::error::StoreError;
use crate::mutants::{self, Mutant};
use crate::page::{Listed, Page};
use crate::requests::{
    Created, Ended, Filled, Idempotency, NewRequest, QuotaTaken, RequestFilter, Requests, UnitFill,
};
use crate::stored::accepting::{NewRequestRow, UnitFillRow};
use crate::stored::codes::Code;
use crate::stored::events::EventRow;
use crate::stored::failures::{StoredFailure, failure_text};
use crate::stored::requests::{StoredSelection, units_of};
use crate::tasks::{Claimant, Claimed};
use crate::trees::RequestEnd;

pub(super) const COLUMNS: &str = "r.id, e.name, r.units, r.listed, r.source, r.ttl_ms, r.holder, r.token, r.priority, \
     r.channel, r.status, r.revision, r.ready, r.created_at, r.deadline_at, r.ended_at, r.failure, r.refills, \
     r.selection, r.rerun_of";

#[async_trait]
impl Requests for PostgresStore {
    async fn create_request(&self, new: NewRequest) -> Result<Created, StoreError> {
        Ok(self.create_request_claiming(new, Vec::new()).await?.0)
    }

    async fn create_request_claiming(
        &self,
        new: NewRequest,
        claimants: Vec<Claimant>,
    ) -> Result<(Created, Vec<Claimed>), StoreError> {
        let new = NewRequestRow::from(new);
        if new.only_wish().is_some() {
            return Ok((self.share(&self.takings, FromStock(new)).await?, Vec::new()));
        }
        match Start::plain(new, claimants) {
            Ok(plain) => self.share(&self.starts, plain).await,
            Err(new) => {
                let created = self.write(ACCEPTING, new, |tx, new| Box::pin(tx.accept(new))).await?;
                Ok((created, Vec::new()))
            }
        }
    }

    async fn fill_unit(&self, fill: UnitFill) -> Result<Filled, StoreError> {
        let fill = UnitFillRow::from(fill);
        self.write("giving a unit another dataset", fill, |tx, fill| Box::pin(tx.fill(fill))).await
    }

    async fn vacant_units(
        &self,
        after: Option<(RequestId, u32)>,
        limit: u32,
    ) -> Result<Vec<(RequestId, u32)>, StoreError> {
        let (request, unit) = after.map_or((Uuid::nil(), -1), |(id, unit)| (id.0, i64::from(unit)));
        let input = (request, unit, Int::from(limit));
        self.read("reading units without a dataset", input, |connection, (request, unit, limit)| {
            Box::pin(async move {
                let list = "SELECT request, unit FROM unit_vacant WHERE (request, unit) > ($1, $2)
                            ORDER BY request, unit LIMIT $3";
                let read = |row: &Row| Ok((RequestId(id(row, 0)?), number(row, 1)?));
                connection.all(list, &[request, unit, limit], read).await
            })
        })
        .await
    }

    async fn find_idempotent(&self, idempotency: &Idempotency) -> Result<Option<Created>, StoreError> {
        self.read("looking a key up", idempotency.clone(), |connection, idempotency| {
            Box::pin(find_key(connection, idempotency))
        })
        .await
    }

    async fn request(&self, id: RequestId) -> Result<Option<Request>, StoreError> {
        self.read("reading a request", id, |connection, id| {
            Box::pin(async move {
                let find = format!(
                    "SELECT {COLUMNS} FROM request r JOIN environment e ON e.id = r.environment WHERE r.id = $1"
                );
                connection.one(&find, &[&id.0], read_request).await
            })
        })
        .await
    }

    async fn trees_of(&self, request: RequestId) -> Result<Vec<TreeId>, StoreError> {
        self.read("reading the trees of a request", request, |connection, request| {
            Box::pin(async move {
                let list = "SELECT id FROM tree WHERE request = $1 AND place < 3 ORDER BY unit";
                connection.all(list, &[&request.0], |row| id(row, 0).map(TreeId)).await
            })
        })
        .await
    }

    async fn requests(
        &self,
        filter: &RequestFilter,
        page: Page<RequestId>,
    ) -> Result<Listed<Request, RequestId>, StoreError> {
        self.read_at_once("listing requests", (filter.clone(), page), |connection, (filter, page)| {
            Box::pin(async move {
                let environments = looks::environments(connection, filter.environment.as_deref()).await?;
                if environments.is_empty() {
                    return Ok(Listed::empty());
                }
                let contracts = match &filter.contract {
                    Some(contract) => looks::contracts(connection, contract, &environments).await?,
                    None => Vec::new(),
                };
                let sources = sources_of(filter, &environments, &contracts, page.after);
                let key = |row: &Row| id(row, 0).map(RequestId);
                let found = looks::look(connection, &sources, page.limit, key).await?;
                let list = format!(
                    "SELECT {COLUMNS} FROM request r JOIN environment e ON e.id = r.environment
                     WHERE r.id = ANY ($1) ORDER BY r.id DESC"
                );
                let ids: Vec<Uuid> = found.rows.iter().map(|request| request.0).collect();
                Ok(Listed { rows: connection.all(&list, &[&ids], read_request).await?, next: found.next })
            })
        })
        .await
    }

    async fn quota_taken(&self, token: TokenId, environment: &str) -> Result<QuotaTaken, StoreError> {
        let input = (token.0, environment.to_owned());
        self.read("reading what quotas are taken", input, |connection, (token, environment)| {
            Box::pin(async move {
                let number = "SELECT id FROM environment WHERE name = $1";
                let environment =
                    connection.one(number, &[environment], |row| get(row, 0)).await?.unwrap_or(-1);
                places_taken(connection, Taker { token: *token, environment }).await
            })
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
        let input = (id, status, failure, event);
        self.write("ending a request", input, |tx, (id, status, failure, event)| {
            Box::pin(tx.end_request(*id, *status, failure.as_ref(), event))
        })
        .await
    }

    async fn overdue_requests(
        &self,
        after: Option<RequestId>,
        limit: u32,
    ) -> Result<Vec<RequestId>, StoreError> {
        let input = (after.map_or(Uuid::nil(), |request| request.0), Int::from(limit));
        self.read("reading overdue requests", input, |connection, (after, limit)| {
            Box::pin(async move {
                // Looks at every open request, and at nothing of them that is not in the index.
                let list =
                    "SELECT id FROM request WHERE status < 2 AND deadline_at <= (SELECT sixpack_now()) AND id > $1
                            ORDER BY id LIMIT $2";
                connection.all(list, &[after, limit], |row| id(row, 0).map(RequestId)).await
            })
        })
        .await
    }

    async fn forget_keys(&self, limit: u32) -> Result<u64, StoreError> {
        self.write("forgetting keys", Int::from(limit), |tx, limit| {
            Box::pin(async move {
                let before = tx.now.saturating_sub(KEY_MS);
                // One that somebody is using anew is left to them.
                let forget = "WITH oldest AS MATERIALIZED (
                                  SELECT place FROM idempotency ORDER BY place LIMIT $2 FOR UPDATE SKIP LOCKED)
                              DELETE FROM idempotency i USING oldest WHERE i.place = oldest.place AND i.created_at < $1";
                tx.connection.run(forget, &[&before, limit]).await
            })
        })
        .await
    }
}

impl Tx {
    /// A request that refills stock holds what says that its line could not be filled, before itself.
    async fn end_request(
        &mut self,
        id: RequestId,
        status: RequestStatus,
        failure: Option<&(String, String)>,
        event: &EventRow,
    ) -> Result<Ended, Fault> {
        let refilled = self.refilled_by(id).await?;
        let trouble = failure.zip(refilled);
        if let Some(((contract, _), (line, _))) = trouble {
            let blamed = self.blamed(line, contract).await?;
            self.lock_contracts(blamed.into_iter().collect()).await?;
            self.hold_line(line).await?;
        }
        self.hold_requests(&[id]).await?;
        let read = "SELECT status FROM request WHERE id = $1";
        match self.connection.one(read, &[&id.0], |row| code::<RequestStatus>(row, 0)).await? {
            None => return self.refuse(Ended::Unknown),
            Some(before) if before.ended() => return self.refuse(Ended::Before(before)),
            Some(_) => {}
        }
        self.hold_trees_with(&[id]).await?;
        // It may have gone on with another tree meanwhile.
        if trouble.is_some() && self.refilled_by(id).await? != refilled {
            return Err(Fault::Again("what refills stock"));
        }
        self.close_request(id, status, failure.map(|(_, text)| text.as_str())).await?;
        let grow = "UPDATE request SET revision = revision + 1 WHERE id = $1";
        self.connection.later(grow, &[&id.0]).await?;
        self.tell(event);
        if let Some(((contract, text), (line, tree))) = trouble {
            self.note_trouble(line, (contract, text), tree).await?;
        }
        Ok(Ended::Now)
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
    // Written out, because the indexes hold a part of the statuses each.
    let short = match filter.status {
        Some(open) if !open.ended() => Some("r.status < 2".to_owned()),
        Some(unhappy) if unhappy != RequestStatus::Fulfilled => {
            Some(format!("r.status > 2 AND r.status = {}", unhappy.code()))
        }
        _ => None,
    };
    let new = || {
        let mut source = looks::source("r.id", "r.id DESC");
        let before = source.value(Box::new(after.map_or(Uuid::max(), |id| id.0)));
        (source, before)
    };
    let mut sources = Vec::new();
    if let Some(status) = short {
        let (mut source, before) = new();
        source.come_from(format!("request r WHERE {status} AND r.id < {before}"));
        if filter.contract.is_some() {
            let contracts = source.value(Box::new(contracts.to_vec()));
            source.matching(format!("r.contract = ANY ({contracts})"));
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

/// What a key stands for. One whose time is over stands for nothing, whether or not a sweep has come by.
pub(super) async fn find_key(
    connection: &Connection,
    idempotency: &Idempotency,
) -> Result<Option<Created>, Fault> {
    let whose = if mutants::on(Mutant::KeyOfAnybody) { "$1::uuid IS NOT NULL" } else { "token = $1" };
    let find = format!(
        "SELECT body, request FROM idempotency
         WHERE {whose} AND key = $2 AND created_at >= (SELECT sixpack_now()) - $3"
    );
    connection
        .one(&find, &[&idempotency.token.0, &idempotency.key, &KEY_MS], |row| {
            let body: &[u8] = get(row, 0)?;
            if body == idempotency.body.as_slice() {
                Ok(Created::Replayed(RequestId(id(row, 1)?)))
            } else {
                Ok(Created::KeyReused)
            }
        })
        .await
}

pub(super) fn read_request(row: &Row) -> Result<Request, Fault> {
    let failure: Option<StoredFailure<'_>> = parsed_of(row, 16)?;
    let refills: Option<&str> = get(row, 17)?;
    let selection: Option<StoredSelection<'_>> = parsed_of(row, 18)?;
    Ok(Request {
        id: RequestId(id(row, 0)?),
        environment: get(row, 1)?,
        units: units_of(parsed(row, 2)?).map_err(|cause| unreadable(2, cause))?,
        listed: get(row, 3)?,
        rerun_of: id_of(row, 19)?.map(TreeId),
        source: code(row, 4)?,
        selection: selection.map(StoredSelection::into_selection).unwrap_or_default(),
        refills: refills.map(str::parse).transpose().map_err(|cause| unreadable(17, cause))?,
        ttl_ms: number(row, 5)?,
        holder: get(row, 6)?,
        token: TokenId(id(row, 7)?),
        priority: code(row, 8)?,
        channel: get(row, 9)?,
        status: code(row, 10)?,
        revision: number(row, 11)?,
        ready: number(row, 12)?,
        created_at: time_at(row, 13)?,
        deadline_at: time_at(row, 14)?,
        ended_at: time_of(row, 15)?,
        failure: failure
            .map(StoredFailure::into_failure)
            .transpose()
            .map_err(|cause| unreadable(16, cause))?,
    })
}

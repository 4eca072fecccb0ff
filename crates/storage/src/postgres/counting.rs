//! Counting: what a request is when one of its trees is written about, and how many of them are ready.

use futures::future::try_join;
use sixpack_model::ids::{LineId, RequestId, TokenId, TreeId};
use sixpack_model::request::RequestStatus;
use sixpack_model::tree::PartStatus;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{code, get, id, number, number_of, number_of_code, parsed_of};
use super::decisions::Meaning;
use super::faults::Fault;
use super::statements::Params;
use super::writer::Tx;
use crate::stored::changes::ChangeRow;
use crate::stored::codes::Code;
use crate::stored::grants::{Grant, Terms};

/// Trees of a request that are read before it is known whether they are complete.
const FEW: i64 = 4;

/// A request as a write of one of its trees finds it.
pub(super) struct RequestState {
    pub(super) id: RequestId,
    pub(super) status: RequestStatus,
    pub(super) revision: u64,
    pub(super) ready: i64,
    pub(super) trees: i64,
    pub(super) ttl_ms: i64,
    pub(super) holder: String,
    pub(super) token: TokenId,
    /// Set when it refills stock, or imports something.
    pub(super) line: Option<LineId>,
    /// Whether it refills stock because a rule says so.
    pub(super) refills: bool,
}

impl RequestState {
    pub(super) fn terms(&self) -> Terms<'_> {
        Terms { request: self.id, ttl_ms: self.ttl_ms, holder: &self.holder, token: self.token }
    }
}

/// What [`read_state`] reads, in its order.
const STATE: &str = "status, revision, ready, trees, ttl_ms, holder, token, line, refills IS NOT NULL, id";

fn read_state(row: &Row) -> Result<RequestState, Fault> {
    Ok(RequestState {
        id: RequestId(id(row, 9)?),
        status: code(row, 0)?,
        revision: number(row, 1)?,
        ready: get(row, 2)?,
        trees: get(row, 3)?,
        ttl_ms: get(row, 4)?,
        holder: get(row, 5)?,
        token: TokenId(get(row, 6)?),
        line: number_of(row, 7)?.map(LineId),
        refills: get(row, 8)?,
    })
}

impl Tx {
    /// Holds a request, and reads it for whoever touches it then: nobody else changes it in between.
    pub(super) async fn hold_and_read(&self, request: RequestId) -> Result<Option<RequestState>, Fault> {
        let lock = format!("SELECT {STATE} FROM request WHERE id = $1 FOR NO KEY UPDATE");
        self.connection.one(&lock, &[&request.0], read_state).await
    }

    /// The same for several, in the order of their ids.
    pub(super) async fn hold_and_read_all(&self, requests: &[Uuid]) -> Result<Vec<RequestState>, Fault> {
        let lock = format!("SELECT {STATE} FROM request WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE");
        self.connection.all(&lock, &[&requests], read_state).await
    }

    /// Counts a visible change of a request, and says what it is.
    pub(super) async fn touch_request(&mut self, id: RequestId) -> Result<RequestState, Fault> {
        if let Some(mut state) = self.read.take_if(|state| state.id == id) {
            let touch = "UPDATE request SET revision = revision + 1 WHERE id = $1";
            self.connection.later(touch, &[&id.0]).await?;
            state.revision += 1;
            return Ok(state);
        }
        let touch = format!("UPDATE request SET revision = revision + 1 WHERE id = $1 RETURNING {STATE}");
        let found = self.connection.one(&touch, &[&id.0], read_state).await?;
        Ok(found.expect("a tree that is with its request has one"))
    }

    /// Counts a visible change of each request, and ends those whose only tree is leased with it, or has refilled stock.
    pub(super) async fn touch_all(&self, changes: &[&ChangeRow], meanings: &[Meaning]) -> Result<(), Fault> {
        let touch =
            "UPDATE request r SET revision = r.revision + 1, ready = CASE WHEN g.leased THEN 1 ELSE r.ready END,
                                  status = CASE WHEN g.ends THEN $4::smallint ELSE r.status END,
                                  ended_at = CASE WHEN g.ends THEN $5::bigint ELSE r.ended_at END
             FROM unnest($1::uuid[], $2::boolean[], $3::boolean[]) AS g (id, leased, ends) WHERE r.id = g.id";
        let requests: Vec<Uuid> = changes.iter().map(|change| change.request.0).collect();
        // What is in stock belongs to no request, and is not counted as ready in one.
        let leased: Vec<bool> = meanings.iter().map(|meaning| meaning.lease().is_some()).collect();
        let ends: Vec<bool> = meanings.iter().map(|meaning| !matches!(meaning, Meaning::GoesOn)).collect();
        let fulfilled = i16::try_from(RequestStatus::Fulfilled.code()).expect("it is a small number");
        let rows = requests.len() as u64;
        let values: Params<'_> = &[&requests, &leased, &ends, &fulfilled, &self.now];
        self.connection.later_all(touch, values, rows, None).await
    }

    /// The count of ready trees is taken anew each time, so that it can never drift from the trees. Returns the trees, which are
    /// what is granted if they are complete.
    pub(super) async fn count_trees(&self, request: &mut RequestState) -> Result<Vec<Grant>, Fault> {
        let count = "UPDATE request SET ready = (SELECT count(*) FROM tree
                                                 WHERE request = $1 AND place < 3 AND status = $2)
                     WHERE id = $1 RETURNING ready";
        let ready = number_of_code(PartStatus::Ready);
        let list = "SELECT id, unit, fence + 1, owns FROM tree WHERE request = $1 AND place < 3 ORDER BY unit LIMIT $2";
        let read = |row: &Row| {
            let (tree, unit, counter) = (TreeId(id(row, 0)?), number(row, 1)?, number(row, 2)?);
            Ok(Grant { tree, unit, counter, owns: parsed_of(row, 3)?.unwrap_or_default() })
        };
        // Most requests have few: they come with the count. Of many, nothing is read in vain.
        let limit = if request.trees <= FEW { request.trees } else { 0 };
        let (counted, trees) = try_join(
            self.connection.one(count, &[&request.id.0, &ready], |row| get(row, 0)),
            self.connection.all(list, &[&request.id.0, &limit], read),
        )
        .await?;
        request.ready = counted.expect("a request that was touched is there");
        if request.ready == request.trees && request.trees > FEW {
            return self.connection.all(list, &[&request.id.0, &request.trees], read).await;
        }
        Ok(trees)
    }
}

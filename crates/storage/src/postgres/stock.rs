//! Stock in PostgreSQL.
//!
//! Whoever fills a line, or counts what is in it, holds it; whoever takes from it does not, and is never waited for: what they have
//! in hand is passed by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join;
use serde_json::Value;
use sixpack_model::ids::{LineId, RequestId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::schema::canonical_json;
use sixpack_model::stock::{Line, LineCounts};
use sixpack_model::tree::{PartStatus, Tree};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{
    Int, get, id, ms, ms_of, named, number, number_of_code, parsed, parsed_of, time_at, time_of, unreadable,
};
use super::faults::Fault;
use super::limits::{PACE_ROWS, PLACES};
use super::troubles::shared_troubles;
use super::writer::Tx;
use crate::error::StoreError;
use crate::mutants::{self, Mutant};
use crate::requests::NewRequest;
use crate::stock::{
    Discard, FillTo, Level, Pace, SharedTrouble, Stock, StockWish, Stocked, StoredLine, Trouble,
};
use crate::stored::accepting::{NewRequestRow, WishRow};
use crate::stored::changes::{OutcomeRow, pins_text};
use crate::stored::failures::StoredFailure;
use crate::stored::places::Place;

#[async_trait]
impl Stock for PostgresStore {
    async fn line(
        &self,
        environment: &str,
        contract: &ContractName,
        input: &Value,
    ) -> Result<LineId, StoreError> {
        let input = (environment.to_owned(), contract.to_string(), canonical_json(input));
        self.write("finding a stock line", input, |tx, (environment, contract, input)| {
            Box::pin(async move {
                let environment = tx.environment(environment).await?;
                let contract = tx.contract(environment, contract).await?;
                // Looks first, because an insert that comes to nothing uses up a number.
                let find =
                    "SELECT id FROM stock_line WHERE contract = $1 AND text_hash(input) = text_hash($2)";
                let insert = "INSERT INTO stock_line (contract, input, hits, misses) VALUES ($1, $2, 0, 0)
                              ON CONFLICT DO NOTHING";
                let key = (contract, input);
                let read = |row: &Row| get(row, 0).map(LineId);
                if let Some(line) = tx.connection.one(find, &[&key.0, key.1], read).await? {
                    return Ok(line);
                }
                tx.connection.later(insert, &[&key.0, key.1]).await?;
                let line = tx.connection.one(find, &[&key.0, key.1], read).await?;
                Ok(line.expect("a line is there once it was inserted, and stays"))
            })
        })
        .await
    }

    async fn lines(&self, after: Option<LineId>, limit: u32) -> Result<Vec<StoredLine>, StoreError> {
        let input = (after.map_or(0, |line| line.0), Int::from(limit));
        self.read("reading stock lines", input, |connection, (after, limit)| {
            Box::pin(async move {
                let list = "SELECT l.id, e.name, c.name, l.input, l.hits, l.misses, l.made, l.failed, t.failures, t.pauses, t.since,
                                   t.retry_at,
                                   t.failure
                            FROM stock_line l JOIN contract c ON c.id = l.contract JOIN environment e ON e.id = c.environment
                            LEFT JOIN stock_trouble t ON t.line = l.id
                            WHERE l.id > $1 ORDER BY l.id LIMIT $2";
                let after: &i64 = after;
                connection.all(list, &[after, limit], read_line).await
            })
        })
        .await
    }

    async fn shared_troubles(&self) -> Result<Vec<SharedTrouble>, StoreError> {
        self.read("reading shared troubles", (), |connection, ()| Box::pin(shared_troubles(connection))).await
    }

    async fn level(&self, line: LineId, limit: u32) -> Result<Level, StoreError> {
        self.read("counting stock", (line, Int::from(limit)), |connection, (line, limit)| {
            Box::pin(async move {
                // One statement, so that what comes into stock meanwhile is not counted in two places.
                let count = "SELECT ready.*, coming.* FROM (
                                 SELECT count(*), count(*) FILTER (WHERE imported),
                                        count(*) FILTER (WHERE came_back AND NOT imported),
                                        min(ready_at) FILTER (WHERE NOT imported)
                                 FROM (SELECT ready_at, imported, came_back FROM stock WHERE line = $1
                                       ORDER BY ready_at LIMIT $2) AS s) AS ready,
                                (SELECT count(*), count(*) FILTER (WHERE imported) FROM stock_coming
                                 WHERE line = $1) AS coming";
                let read = |row: &Row| {
                    Ok(Level {
                        ready: number(row, 0)?,
                        coming: number(row, 4)?,
                        imported: number(row, 1)?,
                        came_back: number(row, 2)?,
                        importing: number(row, 5)?,
                        oldest_at: time_of(row, 3)?,
                    })
                };
                let level = connection.one(count, &[&line.0, limit], read).await?;
                Ok(level.expect("a count gives a row"))
            })
        })
        .await
    }

    async fn refill(
        &self,
        line: LineId,
        fill_to: FillTo,
        requests: Vec<NewRequest>,
    ) -> Result<usize, StoreError> {
        let Some(tree) = requests.first().and_then(|request| request.trees.first()) else { return Ok(0) };
        let tree = Arc::clone(&tree.tree);
        let requests: Vec<NewRequestRow> =
            requests.into_iter().map(|request| NewRequestRow::from(request).refilling(line)).collect();
        self.write(
            "refilling stock",
            (line, fill_to, tree, requests),
            |tx, (line, fill_to, tree, requests)| Box::pin(tx.refill(*line, fill_to, tree, requests)),
        )
        .await
    }

    async fn discard_stock(
        &self,
        line: LineId,
        discard: Discard,
        limit: u32,
    ) -> Result<Vec<TreeId>, StoreError> {
        let input = (line, discard, Int::from(limit));
        self.write("discarding stock", input, |tx, (line, discard, limit)| {
            Box::pin(async move {
                tx.hold_line(*line).await?;
                // A line without an age keeps the old ones.
                let before = ms_of(discard.made_before).unwrap_or(i64::MIN);
                let list = "SELECT tree FROM (
                                SELECT ready_at, tree, came_back,
                                       row_number() OVER (PARTITION BY came_back ORDER BY ready_at, tree) AS place
                                FROM (
                                    SELECT ready_at, tree, came_back FROM stock
                                    WHERE line = $1 AND NOT imported AND (NOT came_back OR ready_at < $3 OR $5)
                                    ORDER BY ready_at, tree LIMIT $4) AS oldest) AS numbered
                            WHERE ready_at < $3 OR $5 OR (NOT came_back AND place <= (
                                      SELECT count(*) FROM stock WHERE line = $1 AND (imported OR NOT came_back)
                                  ) - $2::bigint)";
                let (keep, all) = (i64::from(discard.keep), discard.keep == 0);
                let found = tx
                    .connection
                    .all(list, &[&line.0, &keep, &before, limit, &all], |row| get::<Uuid>(row, 0))
                    .await?;
                let trees = tx.leave_in_bulk(*line, &found).await?;
                // Nobody's any more, they cannot go back there: they are taken down.
                let aside = "UPDATE tree SET version = version + 1, line = NULL, place = $2 WHERE id = ANY ($1)";
                let ids: Vec<Uuid> = trees.iter().map(|tree| tree.0).collect();
                tx.connection.later(aside, &[&ids, &Int(Place::Apart.code())]).await?;
                tx.set_unwanted(&trees).await?;
                Ok(trees)
            })
        })
        .await
    }

    async fn refills(&self, line: LineId, limit: u32) -> Result<Vec<RequestId>, StoreError> {
        self.read("reading refills", (line, Int::from(limit)), |connection, (line, limit)| {
            Box::pin(async move {
                let list = "SELECT t.request FROM stock_coming c JOIN tree t ON t.id = c.tree
                            WHERE c.line = $1 AND NOT c.imported ORDER BY c.tree DESC LIMIT $2";
                connection.all(list, &[&line.0, limit], |row| id(row, 0).map(RequestId)).await
            })
        })
        .await
    }

    async fn pace(&self, line: LineId) -> Result<Pace, StoreError> {
        self.read_at_once("looking how quickly stock is filled", line, |connection, line| {
            Box::pin(async move {
                let begun = "SELECT min(r.created_at) FROM stock_coming c
                             JOIN tree t ON t.id = c.tree JOIN request r ON r.id = t.request
                             WHERE c.line = $1 AND NOT c.imported AND t.place = 1";
                // What was there before took no time.
                let list = "SELECT ready_at - created_at FROM (
                                SELECT d.created_at, (d.detail::json ->> 'ready_at')::bigint AS ready_at,
                                       d.detail::json ->> 'origin' AS origin
                                FROM dataset d
                                WHERE d.contract = (SELECT contract FROM stock_line WHERE id = $1) AND d.part = 0
                                ORDER BY d.tree DESC LIMIT $2) AS newest
                            WHERE ready_at IS NOT NULL AND origin IS NULL";
                let key: &[&(dyn ToSql + Sync)] = &[&line.0];
                let values: &[&(dyn ToSql + Sync)] = &[&line.0, &PACE_ROWS];
                let (since, mut took) = try_join(
                    connection.one(begun, key, |row| time_of(row, 0)),
                    connection.all(list, values, |row| number::<u64>(row, 0)),
                )
                .await?;
                took.sort_unstable();
                Ok(Pace { since: since.flatten(), usual_ms: took.get(took.len() / 2).copied() })
            })
        })
        .await
    }

    async fn place_in_line(&self, request: RequestId) -> Result<Option<u64>, StoreError> {
        self.read("finding the place in a line", request, |connection, request| {
            Box::pin(async move {
                let count = "SELECT (SELECT count(*) FROM (
                                         SELECT 1 FROM stock_waiting b
                                         WHERE b.line = own.line
                                           AND (b.priority, b.request, b.unit) < (own.priority, own.request, own.unit)
                                         LIMIT $2) AS before)
                             FROM (SELECT w.line, w.priority, w.request, w.unit FROM tree t
                                   JOIN stock_waiting w ON w.line = t.line AND w.priority = t.priority
                                    AND w.request = t.request AND w.unit = t.unit
                                   WHERE t.request = $1 AND t.place = 2 ORDER BY t.unit LIMIT 1) AS own";
                connection.one(count, &[&request.0, &PLACES], |row| number(row, 0)).await
            })
        })
        .await
    }

    async fn suspect_stock(
        &self,
        line: LineId,
        version: u32,
        pins: &BTreeMap<ContractName, u32>,
        limit: u32,
    ) -> Result<Vec<TreeId>, StoreError> {
        let input = (line, Int::from(version), pins_text(pins), Int::from(limit));
        let doing = "taking datasets of older versions out of stock";
        self.write(doing, input, |tx, (line, version, pins, limit)| {
            Box::pin(async move {
                let pins = tx.pins(pins).await?;
                tx.hold_line(*line).await?;
                let list = "SELECT tree FROM stock WHERE line = $1 AND (version <> $2 OR pins <> $3)
                            ORDER BY ready_at, tree LIMIT $4";
                let found = tx
                    .connection
                    .all(list, &[&line.0, version, &pins, limit], |row| get::<Uuid>(row, 0))
                    .await?;
                // It counts as what it was.
                let come = "INSERT INTO stock_coming (line, tree, imported, came_back)
                            SELECT line, tree, imported, came_back FROM stock WHERE line = $1 AND tree = ANY ($2)
                            ON CONFLICT DO NOTHING";
                let held = tx.hold_in_stock(*line, &found).await?;
                let ids: Vec<Uuid> = held.iter().map(|tree| tree.0).collect();
                tx.connection.later(come, &[&line.0, &ids]).await?;
                let trees = tx.leave_in_bulk(*line, &ids).await?;
                let suspect =
                    "UPDATE tree SET version = version + 1, status = $2, place = $3 WHERE id = ANY ($1)";
                let (status, apart) = (number_of_code(PartStatus::Suspect), Int(Place::Apart.code()));
                tx.connection.later(suspect, &[&ids, &status, &apart]).await?;
                Ok(trees)
            })
        })
        .await
    }

    async fn suspects(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<(TreeId, bool)>, StoreError> {
        let input = (after.map_or(Uuid::nil(), |tree| tree.0), Int::from(limit));
        self.read("reading suspects", input, |connection, (after, limit)| {
            Box::pin(async move {
                let list =
                    "SELECT id, place < 3 FROM tree WHERE status = $1 AND id > $2 ORDER BY id LIMIT $3";
                let suspect = number_of_code(PartStatus::Suspect);
                let read = |row: &Row| Ok((TreeId(id(row, 0)?), get(row, 1)?));
                connection.all(list, &[&suspect, after, limit], read).await
            })
        })
        .await
    }

    async fn stocked(
        &self,
        line: LineId,
        after: Option<&Stocked>,
        limit: u32,
    ) -> Result<Vec<Stocked>, StoreError> {
        let (ready_at, tree) =
            after.map_or((i64::MIN, Uuid::nil()), |after| (ms(after.ready_at), after.tree.0));
        let input = (line, ready_at, tree, Int::from(limit));
        self.read("reading stock", input, |connection, (line, ready_at, tree, limit)| {
            Box::pin(async move {
                let list = "SELECT ready_at, tree, checked_at FROM stock WHERE line = $1 AND (ready_at, tree) > ($2, $3)
                            ORDER BY ready_at, tree LIMIT $4";
                let read = |row: &Row| {
                    let (ready_at, checked_at) = (time_at(row, 0)?, time_at(row, 2)?);
                    Ok(Stocked { tree: TreeId(id(row, 1)?), ready_at, checked_at })
                };
                connection.all(list, &[&line.0, ready_at, tree, limit], read).await
            })
        })
        .await
    }

    async fn first_in_stock(
        &self,
        wish: &Arc<StockWish>,
        but: &BTreeSet<TreeId>,
    ) -> Result<Option<TreeId>, StoreError> {
        self.write("looking in stock", (WishRow::new(wish), but.clone()), |tx, (row, but)| {
            Box::pin(tx.first_in_stock(row, but))
        })
        .await
    }
}

impl Tx {
    /// Begins as many of these refills as there is room for. What one of them may come to with its first decision is held
    /// before: the contract to blame, and whoever waits in the line.
    async fn refill(
        &mut self,
        line: LineId,
        fill_to: &FillTo,
        tree: &Tree,
        requests: &[NewRequestRow],
    ) -> Result<usize, Fault> {
        for request in requests {
            if let Some(OutcomeRow::Failed(failure)) = &request.only_tree().outcome {
                let blamed = self.blamed(line, &failure.contract).await?;
                self.lock_contracts(blamed.into_iter().collect()).await?;
            }
        }
        self.hold_line(line).await?;
        // All of them make the same.
        let needs: Vec<String> =
            tree.pins.keys().chain([&tree.root().contract]).map(ContractName::to_string).collect();
        let (room_in_trouble, troubles) = self.room_in_trouble(line, &tree.environment, &needs).await?;
        let count = "SELECT (SELECT count(*) FROM (SELECT 1 FROM stock WHERE line = $1 LIMIT $2) AS ready),
                            (SELECT count(*) FROM stock_coming WHERE line = $1)";
        let target = i64::from(fill_to.target);
        let read = |row: &Row| Ok((get::<i64>(row, 0)?, get::<i64>(row, 1)?));
        let counted = self.connection.one(count, &[&line.0, &target], read).await?;
        let (ready, coming) = counted.expect("a count gives a row");
        let coming = if mutants::on(Mutant::RefillWithoutComing) { 0 } else { coming };
        let room = (target - ready - coming).min(i64::from(fill_to.ahead) - coming);
        let accepted = usize::try_from(room).unwrap_or(0).min(requests.len()).min(room_in_trouble);
        let settle = requests[..accepted].iter().filter(|request| request.only_tree().settles()).count();
        self.hold_waiters(line, settle).await?;
        for request in &requests[..accepted] {
            self.accept(request).await?;
            let change = request.only_tree();
            // One that is there already, because nothing of it had to be made, is in stock by now.
            if !change.settles() {
                self.come_to_stock(change.tree, line).await?;
                self.try_shared(&troubles, change.tree).await?;
            }
        }
        Ok(accepted)
    }

    /// Holds those of these datasets in stock that nobody else has in hand, in the order in which they are taken.
    async fn hold_in_stock(&self, line: LineId, trees: &[Uuid]) -> Result<Vec<TreeId>, Fault> {
        let hold =
            "SELECT s.tree FROM stock s JOIN tree t ON t.id = s.tree WHERE s.line = $1 AND s.tree = ANY ($2)
                    ORDER BY s.ready_at, s.tree
                    FOR UPDATE OF s SKIP LOCKED FOR NO KEY UPDATE OF t SKIP LOCKED";
        self.connection.all(hold, &[&line.0, &trees], |row| id(row, 0).map(TreeId)).await
    }

    /// Takes those of these datasets out of stock that nobody else has in hand, and returns them.
    async fn leave_in_bulk(&self, line: LineId, trees: &[Uuid]) -> Result<Vec<TreeId>, Fault> {
        let held = self.hold_in_stock(line, trees).await?;
        let ids: Vec<Uuid> = held.iter().map(|tree| tree.0).collect();
        let leave = "DELETE FROM stock WHERE line = $1 AND tree = ANY ($2)";
        self.connection.later(leave, &[&line.0, &ids]).await?;
        Ok(held)
    }
}

fn read_line(row: &Row) -> Result<StoredLine, Fault> {
    let failure: Option<StoredFailure<'_>> = parsed_of(row, 12)?;
    let trouble = match failure {
        None => None,
        Some(failure) => Some(Trouble {
            failures: number(row, 8)?,
            pauses: number(row, 9)?,
            since: time_at(row, 10)?,
            retry_at: time_at(row, 11)?,
            failure: failure.into_failure().map_err(|cause| unreadable(12, cause))?,
        }),
    };
    let line = Line { id: LineId(get(row, 0)?), contract: named(row, 2)?, input: Arc::new(parsed(row, 3)?) };
    Ok(StoredLine {
        environment: get(row, 1)?,
        line,
        counts: LineCounts {
            hits: number(row, 4)?,
            misses: number(row, 5)?,
            made: number(row, 6)?,
            failed: number(row, 7)?,
        },
        trouble,
    })
}

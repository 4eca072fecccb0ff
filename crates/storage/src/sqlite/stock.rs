//! Stock in SQLite.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Row, params};
use serde_json::Value;
use sixpack_model::ids::{LineId, RequestId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::schema::canonical_json;
use sixpack_model::stock::{Line, LineCounts};
use sixpack_model::tree::PartStatus;

use super::SqliteStore;
use super::accepting::NewRequestRow;
use super::codes::Code;
use super::columns::{id, ms, ms_of, name, parsed, parsed_of, time_at, time_of, unreadable, unsigned};
use super::failures::StoredFailure;
use super::limits::PACE_ROWS;
use super::looking::{WishRow, pins_text};
use super::placing::Place;
use super::statements::Statements;

use super::troubles::shared_troubles;
use super::writer::Tx;
use crate::error::StoreError;
use crate::mutants::{self, Mutant};
use crate::requests::NewRequest;
use crate::stock::{
    Discard, FillTo, Level, Pace, SharedTrouble, Stock, StockWish, Stocked, StoredLine, Trouble,
};

#[async_trait]
impl Stock for SqliteStore {
    async fn line(
        &self,
        environment: &str,
        contract: &ContractName,
        input: &Value,
    ) -> Result<LineId, StoreError> {
        let (environment, contract) = (environment.to_owned(), contract.to_string());
        let input = canonical_json(input);
        self.write("finding a stock line", move |tx| {
            let environment = tx.environment(&environment)?;
            let contract = tx.contract(environment, &contract)?;
            tx.connection.run(
                "INSERT INTO stock_line (contract, input, hits, misses) VALUES (?1, ?2, 0, 0) ON CONFLICT DO NOTHING",
                params![contract, input],
            )?;
            tx.connection
                .prepare_cached("SELECT id FROM stock_line WHERE contract = ?1 AND input = ?2")?
                .query_row(params![contract, input], |row| row.get(0).map(LineId))
        })
        .await
    }

    async fn lines(&self, after: Option<LineId>, limit: u32) -> Result<Vec<StoredLine>, StoreError> {
        let after = after.map_or(0, |line| line.0);
        self.read("reading stock lines", move |connection| {
            connection.all(
                "SELECT l.id, e.name, c.name, l.input, l.hits, l.misses, l.made, l.failed, t.failures, t.pauses, t.since, t.retry_at,
                        t.failure
                 FROM stock_line l JOIN contract c ON c.id = l.contract JOIN environment e ON e.id = c.environment
                 LEFT JOIN stock_trouble t ON t.line = l.id
                 WHERE l.id > ?1 ORDER BY l.id LIMIT ?2",
                params![after, limit],
                read_line,
            )
        })
        .await
    }

    async fn shared_troubles(&self) -> Result<Vec<SharedTrouble>, StoreError> {
        self.read("reading shared troubles", shared_troubles).await
    }

    async fn level(&self, line: LineId, limit: u32) -> Result<Level, StoreError> {
        self.read("counting stock", move |connection| {
            let ready = connection
                .prepare_cached(
                    "SELECT count(*), coalesce(sum(imported), 0), coalesce(sum(came_back AND NOT imported), 0),
                            min(ready_at) FILTER (WHERE imported = 0)
                     FROM (SELECT ready_at, imported, came_back FROM stock WHERE line = ?1 ORDER BY ready_at LIMIT ?2)",
                )?
                .query_row(params![line.0, limit], |row| {
                    Ok((unsigned(row, 0)?, unsigned(row, 1)?, unsigned(row, 2)?, time_of(row, 3)?))
                })?;
            let coming = connection
                .prepare_cached("SELECT count(*), coalesce(sum(imported), 0) FROM stock_coming WHERE line = ?1")?
                .query_row([line.0], |row| Ok((unsigned(row, 0)?, unsigned(row, 1)?)))?;
            Ok(Level {
                ready: ready.0,
                coming: coming.0,
                imported: ready.1,
                came_back: ready.2,
                importing: coming.1,
                oldest_at: ready.3,
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
        let tree = std::sync::Arc::clone(&tree.tree);
        // All of them make the same.
        let needs: Vec<String> =
            tree.pins.keys().chain([&tree.root().contract]).map(ContractName::to_string).collect();
        let requests: Vec<NewRequestRow> =
            requests.into_iter().map(|request| NewRequestRow::from(request).refilling(line)).collect();
        self.write("refilling stock", move |tx| {
            let count = |sql: &str, limit: u32| {
                tx.connection
                    .prepare_cached(sql)?
                    .query_row(params![line.0, limit], |row| row.get::<_, i64>(0))
            };
            let ready =
                count("SELECT count(*) FROM (SELECT 1 FROM stock WHERE line = ?1 LIMIT ?2)", fill_to.target)?;
            let coming = count(
                "SELECT count(*) FROM (SELECT 1 FROM stock_coming WHERE line = ?1 LIMIT ?2)",
                u32::MAX,
            )?;
            let coming = if mutants::on(Mutant::RefillWithoutComing) { 0 } else { coming };
            let room = (i64::from(fill_to.target) - ready - coming).min(i64::from(fill_to.ahead) - coming);
            let (room_in_trouble, troubles) = tx.room_in_trouble(line, &tree.environment, &needs)?;
            let accepted = usize::try_from(room).unwrap_or(0).min(requests.len()).min(room_in_trouble);
            for request in &requests[..accepted] {
                tx.accept(request)?;
                let change = request.only_tree();
                // One that is there already, because nothing of it had to be made, is in stock by now.
                if !change.settles() {
                    tx.come_to_stock(change.tree, line)?;
                    tx.try_shared(&troubles, change.tree)?;
                }
            }
            Ok(accepted)
        })
        .await
    }

    async fn discard_stock(
        &self,
        line: LineId,
        discard: Discard,
        limit: u32,
    ) -> Result<Vec<TreeId>, StoreError> {
        self.write("discarding stock", move |tx| {
            let there: i64 = tx
                .connection
                .prepare_cached(
                    "SELECT count(*) FROM stock WHERE line = ?1 AND (imported = 1 OR came_back = 0)",
                )?
                .query_row([line.0], |row| row.get(0))?;
            let excess = (there - i64::from(discard.keep)).max(0);
            let all = discard.keep == 0;
            // A line without an age keeps the old ones.
            let before = ms_of(discard.made_before).unwrap_or(i64::MIN);
            let rows = tx.connection.all(
                "SELECT ready_at, tree FROM (
                     SELECT ready_at, tree, came_back,
                            row_number() OVER (PARTITION BY came_back ORDER BY ready_at, tree) AS place
                     FROM (
                         SELECT ready_at, tree, came_back FROM stock
                         WHERE line = ?1 AND imported = 0 AND (came_back = 0 OR ready_at < ?3 OR ?5)
                         ORDER BY ready_at, tree LIMIT ?4))
                 WHERE (came_back = 0 AND place <= ?2) OR ready_at < ?3 OR ?5",
                params![line.0, excess, before, limit, all],
                |row| Ok((row.get::<_, i64>(0)?, TreeId(id(row, 1)?))),
            )?;
            for (ready_at, tree) in &rows {
                let key = params![line.0, ready_at, tree.0.as_bytes()];
                tx.connection
                    .run("DELETE FROM stock WHERE line = ?1 AND ready_at = ?2 AND tree = ?3", key)?;
                tx.set_aside(*tree)?;
            }
            Ok(rows.into_iter().map(|(_, tree)| tree).collect())
        })
        .await
    }

    async fn refills(&self, line: LineId, limit: u32) -> Result<Vec<RequestId>, StoreError> {
        self.read("reading refills", move |connection| {
            connection.all(
                "SELECT t.request FROM stock_coming c CROSS JOIN tree t ON t.id = c.tree
                 WHERE c.line = ?1 AND c.imported = 0 ORDER BY c.tree DESC LIMIT ?2",
                params![line.0, limit],
                |row| id(row, 0).map(RequestId),
            )
        })
        .await
    }

    async fn pace(&self, line: LineId) -> Result<Pace, StoreError> {
        self.read("looking how quickly stock is filled", move |connection| {
            let since = connection
                .prepare_cached(
                    "SELECT min(r.created_at) FROM stock_coming c
                     CROSS JOIN tree t ON t.id = c.tree CROSS JOIN request r ON r.id = t.request
                     WHERE c.line = ?1 AND c.imported = 0 AND t.place = 1",
                )?
                .query_row([line.0], |row| time_of(row, 0))?;
            // What was there before took no time.
            let mut took = connection.all(
                "SELECT ready_at - created_at FROM (
                     SELECT d.created_at, d.detail ->> '$.ready_at' AS ready_at, d.detail ->> '$.origin' AS origin
                     FROM dataset d
                     WHERE d.contract = (SELECT contract FROM stock_line WHERE id = ?1) AND d.part = 0
                     ORDER BY d.tree DESC LIMIT ?2)
                 WHERE ready_at IS NOT NULL AND origin IS NULL",
                params![line.0, PACE_ROWS],
                |row| unsigned(row, 0),
            )?;
            took.sort_unstable();
            Ok(Pace { since, usual_ms: took.get(took.len() / 2).copied() })
        })
        .await
    }

    async fn place_in_line(&self, request: RequestId) -> Result<Option<u64>, StoreError> {
        self.read("finding the place in a line", move |connection| {
            let key = request.0.as_bytes();
            let own = connection.one(
                "SELECT w.line, w.priority, w.unit FROM tree t INDEXED BY tree_by_request
                 CROSS JOIN stock_waiting w
                   ON w.line = t.line AND w.priority = t.priority AND w.request = t.request AND w.unit = t.unit
                 WHERE t.request = ?1 AND t.place = 2 AND t.place < 3 ORDER BY t.unit LIMIT 1",
                [key],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
            )?;
            let Some((line, priority, unit)) = own else { return Ok(None) };
            connection
                .prepare_cached(
                    "SELECT count(*) FROM (
                         SELECT 1 FROM stock_waiting
                         WHERE line = ?1 AND (priority, request, unit) < (?2, ?3, ?4) LIMIT 10000)",
                )?
                .query_row(params![line, priority, key, unit], |row| unsigned(row, 0))
                .map(Some)
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
        let pins = pins_text(pins);
        self.write("taking datasets of older versions out of stock", move |tx| {
            let pins = tx.pins(&pins)?;
            let rows = tx.connection.all(
                "SELECT ready_at, tree, imported, came_back FROM stock WHERE line = ?1 AND (version <> ?2 OR pins <> ?3)
                 ORDER BY ready_at, tree LIMIT ?4",
                params![line.0, version, pins, limit],
                |row| Ok((row.get::<_, i64>(0)?, TreeId(id(row, 1)?), row.get::<_, bool>(2)?, row.get::<_, bool>(3)?)),
            )?;
            for (ready_at, tree, imported, came_back) in &rows {
                let key = params![line.0, ready_at, tree.0.as_bytes()];
                tx.connection
                    .run("DELETE FROM stock WHERE line = ?1 AND ready_at = ?2 AND tree = ?3", key)?;
                tx.connection.run(
                    "UPDATE tree SET version = version + 1, status = ?2, place = ?3 WHERE id = ?1",
                    params![tree.0.as_bytes(), PartStatus::Suspect.code(), Place::Apart.code()],
                )?;
                let come = "INSERT INTO stock_coming (line, tree, imported, came_back) VALUES (?1, ?2, ?3, ?4)
                            ON CONFLICT DO NOTHING";
                tx.connection.run(come, params![line.0, tree.0.as_bytes(), imported, came_back])?;
            }
            Ok(rows.into_iter().map(|(_, tree, ..)| tree).collect())
        })
        .await
    }

    async fn suspects(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<(TreeId, bool)>, StoreError> {
        let after = after.map_or([0; 16], |tree| tree.0.into_bytes());
        self.read("reading suspects", move |connection| {
            connection.all(
                "SELECT id, place < 3 FROM tree INDEXED BY tree_by_status WHERE status = ?1 AND id > ?2
                 ORDER BY id LIMIT ?3",
                params![PartStatus::Suspect.code(), after, limit],
                |row| Ok((TreeId(id(row, 0)?), row.get(1)?)),
            )
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
            after.map_or((i64::MIN, [0; 16]), |after| (ms(after.ready_at), after.tree.0.into_bytes()));
        self.read("reading stock", move |connection| {
            connection.all(
                "SELECT ready_at, tree, checked_at FROM stock WHERE line = ?1 AND (ready_at, tree) > (?2, ?3)
                 ORDER BY ready_at, tree LIMIT ?4",
                params![line.0, ready_at, tree, limit],
                |row| {
                    let (ready_at, checked_at) = (time_at(row, 0)?, time_at(row, 2)?);
                    Ok(Stocked { tree: TreeId(id(row, 1)?), ready_at, checked_at })
                },
            )
        })
        .await
    }

    async fn first_in_stock(
        &self,
        wish: &Arc<StockWish>,
        but: &BTreeSet<TreeId>,
    ) -> Result<Option<TreeId>, StoreError> {
        let (row, but) = (WishRow::new(wish), but.clone());
        self.write("looking in stock", move |tx| tx.first_in_stock(&row, &but)).await
    }
}

impl Tx<'_> {
    /// A dataset that was in stock is nobody's any more, and cannot go back there: it is taken down.
    fn set_aside(&self, tree: TreeId) -> rusqlite::Result<()> {
        self.connection.run(
            "UPDATE tree SET version = version + 1, line = NULL, place = ?2 WHERE id = ?1",
            params![tree.0.as_bytes(), Place::Apart.code()],
        )?;
        self.set_unwanted(tree)
    }
}

fn read_line(row: &Row<'_>) -> rusqlite::Result<StoredLine> {
    let failure: Option<StoredFailure<'_>> = parsed_of(row, 12)?;
    let trouble = match failure {
        None => None,
        Some(failure) => Some(Trouble {
            failures: row.get(8)?,
            pauses: row.get(9)?,
            since: time_at(row, 10)?,
            retry_at: time_at(row, 11)?,
            failure: failure.into_failure().map_err(|cause| unreadable(12, cause))?,
        }),
    };
    let line = Line { id: LineId(row.get(0)?), contract: name(row, 2)?, input: Arc::new(parsed(row, 3)?) };
    Ok(StoredLine {
        environment: row.get(1)?,
        line,
        counts: LineCounts {
            hits: unsigned(row, 4)?,
            misses: unsigned(row, 5)?,
            made: unsigned(row, 6)?,
            failed: unsigned(row, 7)?,
        },
        trouble,
    })
}

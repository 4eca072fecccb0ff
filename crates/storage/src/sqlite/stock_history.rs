//! History of stock in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, params};
use sixpack_model::ids::LineId;
use sixpack_model::stock::{LevelSample, LineCounts};

use super::SqliteStore;
use super::columns::{int, ms, time_at, unsigned};
use super::statements::Statements;
use crate::error::StoreError;
use crate::stock_history::{LineHistory, NotedLevel, StockHistory};
use crate::stored::limits::{LEVEL_EVERY_MS, LEVELS_MS};

#[async_trait]
impl StockHistory for SqliteStore {
    async fn count_in_lines(&self, counts: Vec<(LineId, LineCounts)>) -> Result<(), StoreError> {
        self.write("counting what stock comes to", move |tx| {
            let count = "UPDATE stock_line SET hits = hits + ?2, misses = misses + ?3, made = made + ?4, failed = failed + ?5
                         WHERE id = ?1";
            for (line, LineCounts { hits, misses, made, failed }) in &counts {
                tx.connection
                    .run(count, params![line.0, int(*hits), int(*misses), int(*made), int(*failed)])?;
            }
            Ok(())
        })
        .await
    }

    async fn note_levels(&self, levels: Vec<NotedLevel>) -> Result<u64, StoreError> {
        self.write("noting what stock has", move |tx| {
            let at = tx.now - tx.now % LEVEL_EVERY_MS;
            let note = "INSERT INTO stock_level (line, at, ready, coming, target, hits, misses, made, failed)
                        SELECT id, ?2, ?3, ?4, ?5, hits, misses, made, failed FROM stock_line WHERE id = ?1
                        ON CONFLICT DO NOTHING";
            let mut noted = 0;
            for NotedLevel { line, ready, coming, target } in &levels {
                let values = params![line.0, at, int(*ready), int(*coming), target];
                noted += tx.connection.run(note, values)? as u64;
            }
            Ok(noted)
        })
        .await
    }

    async fn forget_levels(&self, lines: Vec<LineId>) -> Result<u64, StoreError> {
        self.write("forgetting what stock had", move |tx| {
            // What was noted while the clock was ahead goes as well.
            let (before, ahead) = (tx.now - LEVELS_MS, tx.now + LEVEL_EVERY_MS);
            let mut gone = 0;
            for line in &lines {
                let old = "DELETE FROM stock_level WHERE line = ?1 AND (at < ?2 OR at > ?3)";
                gone += tx.connection.run(old, params![line.0, before, ahead])? as u64;
            }
            Ok(gone)
        })
        .await
    }

    async fn stock_history(
        &self,
        lines: &[LineId],
        since: Timestamp,
        every_s: u32,
    ) -> Result<Vec<LineHistory>, StoreError> {
        let (lines, since, every_ms) = (lines.to_vec(), ms(since), i64::from(every_s) * 1_000);
        self.read("reading what stock had", move |connection| {
            let counts = "SELECT hits, misses, made, failed FROM stock_line WHERE id = ?1";
            let samples = "SELECT at - at % ?3, min(ready), max(coming), max(target), min(hits), min(misses), min(made), min(failed)
                           FROM stock_level WHERE line = ?1 AND at >= ?2 GROUP BY 1 ORDER BY 1";
            let read = |line: &LineId| {
                let counts = connection.one(counts, [line.0], |row| read_counts(row, 0))?;
                let samples = connection.all(samples, params![line.0, since, every_ms], read_sample)?;
                Ok(LineHistory { counts: counts.unwrap_or_default(), samples })
            };
            lines.iter().map(read).collect()
        })
        .await
    }
}

fn read_sample(row: &Row<'_>) -> rusqlite::Result<LevelSample> {
    Ok(LevelSample {
        at: time_at(row, 0)?,
        ready: unsigned(row, 1)?,
        coming: unsigned(row, 2)?,
        target: unsigned(row, 3)?,
        counts: read_counts(row, 4)?,
    })
}

fn read_counts(row: &Row<'_>, from: usize) -> rusqlite::Result<LineCounts> {
    Ok(LineCounts {
        hits: unsigned(row, from)?,
        misses: unsigned(row, from + 1)?,
        made: unsigned(row, from + 2)?,
        failed: unsigned(row, from + 3)?,
    })
}

//! History of stock in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::future::try_join;
use jiff::Timestamp;
use sixpack_model::ids::LineId;
use sixpack_model::stock::{LevelSample, LineCounts};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::columns::{get, int, ms, number, time_at};
use super::faults::Fault;
use crate::error::StoreError;
use crate::stock_history::{LineHistory, NotedLevel, StockHistory};
use crate::stored::limits::{LEVEL_EVERY_MS, LEVELS_MS};

#[async_trait]
impl StockHistory for PostgresStore {
    async fn count_in_lines(&self, counts: Vec<(LineId, LineCounts)>) -> Result<(), StoreError> {
        let column = |of: fn(&LineCounts) -> u64| counts.iter().map(|(_, count)| int(of(count))).collect();
        let columns: [Vec<i64>; 4] = [
            column(|count| count.hits),
            column(|count| count.misses),
            column(|count| count.made),
            column(|count| count.failed),
        ];
        let lines: Vec<i64> = counts.iter().map(|(line, _)| line.0).collect();
        self.write("counting what stock comes to", (lines, columns), |tx, (lines, columns)| {
            Box::pin(async move {
                let [hits, misses, made, failed] = columns;
                tx.hold_lines(lines).await?;
                let count = "UPDATE stock_line l SET hits = l.hits + s.hits, misses = l.misses + s.misses,
                                                     made = l.made + s.made, failed = l.failed + s.failed FROM (
                                 SELECT line, sum(hits)::bigint AS hits, sum(misses)::bigint AS misses,
                                        sum(made)::bigint AS made, sum(failed)::bigint AS failed
                                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
                                      AS u (line, hits, misses, made, failed)
                                 GROUP BY line) AS s
                             WHERE l.id = s.line";
                tx.connection.later(count, &[lines, hits, misses, made, failed]).await
            })
        })
        .await
    }

    async fn note_levels(&self, levels: Vec<NotedLevel>) -> Result<u64, StoreError> {
        let column = |of: fn(&NotedLevel) -> i64| levels.iter().map(of).collect::<Vec<i64>>();
        let input = (
            column(|level| level.line.0),
            column(|level| int(level.ready)),
            column(|level| int(level.coming)),
            column(|level| level.target.into()),
        );
        self.write("noting what stock has", input, |tx, (lines, ready, coming, targets)| {
            Box::pin(async move {
                let at = tx.now - tx.now % LEVEL_EVERY_MS;
                // In one sequence, so that servers that note the same at the same time wait for each other and in no circle.
                let note = "INSERT INTO stock_level (line, at, ready, coming, target, hits, misses, made, failed)
                            SELECT l.id, $1, n.ready, n.coming, n.target, l.hits, l.misses, l.made, l.failed
                            FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n (line, ready, coming, target)
                            JOIN stock_line l ON l.id = n.line ORDER BY l.id
                            ON CONFLICT DO NOTHING";
                tx.connection.run(note, &[&at, lines, ready, coming, targets]).await
            })
        })
        .await
    }

    async fn forget_levels(&self, lines: Vec<LineId>) -> Result<u64, StoreError> {
        let lines: Vec<i64> = lines.into_iter().map(|line| line.0).collect();
        self.write("forgetting what stock had", lines, |tx, lines| {
            Box::pin(async move {
                let (before, ahead) = (tx.now - LEVELS_MS, tx.now + LEVEL_EVERY_MS);
                // What was noted while the clock was ahead goes as well. What somebody else takes away at the same time is passed by.
                let old = "DELETE FROM stock_level WHERE (line, at) IN (
                               SELECT line, at FROM stock_level WHERE line = ANY ($1) AND (at < $2 OR at > $3)
                               FOR UPDATE SKIP LOCKED)";
                tx.connection.run(old, &[lines, &before, &ahead]).await
            })
        })
        .await
    }

    async fn stock_history(
        &self,
        lines: &[LineId],
        since: Timestamp,
        every_s: u32,
    ) -> Result<Vec<LineHistory>, StoreError> {
        let lines: Vec<i64> = lines.iter().map(|line| line.0).collect();
        let input = (lines, ms(since), i64::from(every_s) * 1_000);
        self.read_at_once("reading what stock had", input, |connection, (lines, since, every_ms)| {
            Box::pin(async move {
                let counts = "SELECT id, hits, misses, made, failed FROM stock_line WHERE id = ANY ($1)";
                let samples = "SELECT line, at - at % $3, min(ready), max(coming), max(target), min(hits), min(misses), min(made),
                                      min(failed)
                               FROM stock_level WHERE line = ANY ($1) AND at >= $2 GROUP BY 1, 2 ORDER BY 1, 2";
                let key: &[&(dyn ToSql + Sync)] = &[lines];
                let values: &[&(dyn ToSql + Sync)] = &[lines, since, every_ms];
                let (counts, samples) = try_join(
                    connection.all(counts, key, |row| Ok((get::<i64>(row, 0)?, read_counts(row, 1)?))),
                    connection.all(samples, values, |row| Ok((get::<i64>(row, 0)?, read_sample(row)?))),
                )
                .await?;
                let mut found: HashMap<i64, LineHistory> = HashMap::new();
                for (line, counts) in counts {
                    found.entry(line).or_default().counts = counts;
                }
                for (line, sample) in samples {
                    found.entry(line).or_default().samples.push(sample);
                }
                Ok(lines.iter().map(|line| found.get(line).cloned().unwrap_or_default()).collect())
            })
        })
        .await
    }
}

fn read_sample(row: &Row) -> Result<LevelSample, Fault> {
    Ok(LevelSample {
        at: time_at(row, 1)?,
        ready: number(row, 2)?,
        coming: number(row, 3)?,
        target: number(row, 4)?,
        counts: read_counts(row, 5)?,
    })
}

fn read_counts(row: &Row, from: usize) -> Result<LineCounts, Fault> {
    Ok(LineCounts {
        hits: number(row, from)?,
        misses: number(row, from + 1)?,
        made: number(row, from + 2)?,
        failed: number(row, from + 3)?,
    })
}

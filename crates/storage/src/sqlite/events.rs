//! Events in SQLite: appended by the transaction that they tell of, in the order of the commits.

use std::borrow::Cow;

use async_trait::async_trait;
use rusqlite::{Row, params, params_from_iter};
use sixpack_model::event::Event;
use sixpack_model::ids::{RequestId, TreeId};

use super::SqliteStore;
use super::columns::{id_of, int, parsed, time_at, unsigned};
use super::statements::Statements;
use super::writer::Tx;
use crate::error::StoreError;
use crate::events::{EventFilter, Events};
use crate::mutants::Mutant;
pub(super) use crate::stored::events::EventRow;

#[async_trait]
impl Events for SqliteStore {
    async fn events(&self, filter: &EventFilter, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let filter = filter.clone();
        self.read("reading events", move |connection| {
            let mut sources = Vec::new();
            let mut values: Vec<Box<dyn rusqlite::ToSql>> = Vec::new();
            // Each event is in one index: that of its tree, or that of its request if it tells of no tree.
            match (filter.tree, filter.request) {
                (Some(tree), _) => {
                    sources.push("INDEXED BY event_by_tree WHERE tree = ?");
                    values.push(Box::new(tree.0.into_bytes()));
                }
                (None, Some(request)) => {
                    sources.push("INDEXED BY event_by_request WHERE tree IS NULL AND request = ?");
                    values.push(Box::new(request.0.into_bytes()));
                    sources.push(
                        "INDEXED BY event_by_tree WHERE tree IN (SELECT id FROM tree WHERE request = ? AND place < 3)",
                    );
                    values.push(Box::new(request.0.into_bytes()));
                }
                (None, None) => sources.push("WHERE true"),
            }
            let columns = "sequence, at, environment, kind, request, tree, part, data, duration_ms";
            let sources: Vec<String> =
                sources.into_iter().map(|source| format!("SELECT {columns} FROM event {source}")).collect();
            let mut sql = format!("SELECT {columns} FROM ({}) WHERE sequence > ?", sources.join(" UNION ALL "));
            values.push(Box::new(int(after)));
            if let (Some(request), Some(_)) = (filter.request, filter.tree) {
                sql.push_str(" AND request = ?");
                values.push(Box::new(request.0.into_bytes()));
            }
            if let Some(environment) = filter.environment {
                sql.push_str(" AND environment = ?");
                values.push(Box::new(environment));
            }
            sql.push_str(" ORDER BY sequence LIMIT ?");
            values.push(Box::new(limit));
            connection.all(&sql, params_from_iter(values), read_event)
        })
        .await
    }

    async fn last_sequence(&self) -> Result<u64, StoreError> {
        self.read("reading the last event", |connection| {
            let last = "SELECT coalesce(max(sequence), 0) FROM event";
            connection.prepare_cached(last)?.query_row([], |row| unsigned(row, 0))
        })
        .await
    }

    async fn events_gone(&self) -> Result<u64, StoreError> {
        self.read("reading which events are gone", |connection| {
            let gone = "SELECT events_gone FROM meta";
            connection.prepare_cached(gone)?.query_row([], |row| unsigned(row, 0))
        })
        .await
    }
}

impl Tx<'_> {
    /// Appends an event.
    pub(super) fn tell(&self, event: &EventRow) -> rusqlite::Result<()> {
        self.tell_of(event, None)
    }

    /// Appends an event of a change that gives up a claim; what it tells of the attempt says how long that took.
    pub(super) fn tell_of(&self, event: &EventRow, claimed_at: Option<i64>) -> rusqlite::Result<()> {
        self.split_for(Mutant::EventInSecondTransaction)?;
        let claimed_at = claimed_at.filter(|_| event.is_about_attempt());
        let duration_ms = claimed_at.map(|claimed_at| self.now.saturating_sub(claimed_at).max(0));
        self.connection.run(
            "INSERT INTO event (at, environment, kind, request, tree, part, data, duration_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                event.at,
                event.environment,
                event.kind,
                event.request.as_ref().map(|request| request.0.as_bytes()),
                event.tree.as_ref().map(|tree| tree.0.as_bytes()),
                event.part,
                event.data,
                duration_ms,
            ],
        )?;
        Ok(())
    }
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        sequence: unsigned(row, 0)?,
        at: time_at(row, 1)?,
        environment: row.get(2)?,
        kind: Cow::Owned(row.get(3)?),
        request: id_of(row, 4)?.map(RequestId),
        tree: id_of(row, 5)?.map(TreeId),
        part: row.get(6)?,
        duration_ms: row.get::<_, Option<i64>>(8)?.map(i64::unsigned_abs),
        data: parsed(row, 7)?,
    })
}

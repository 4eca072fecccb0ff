//! Events in PostgreSQL: appended by the transaction that they tell of, and read as far as no lower number can follow.

use std::borrow::Cow;

use async_trait::async_trait;
use sixpack_model::event::Event;
use sixpack_model::ids::{RequestId, TreeId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::columns::{get, id_of, int, number, number_of, parsed, time_at};
use super::faults::Fault;
use super::statements::Connection;
use super::writer::Tx;
use crate::error::StoreError;
use crate::events::{EventFilter, Events};
pub(super) use crate::stored::events::EventRow;

#[async_trait]
impl Events for PostgresStore {
    async fn events(&self, filter: &EventFilter, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let input = (filter.clone(), int(after), i64::from(limit));
        self.read("reading events", input, |connection, (filter, after, limit)| {
            Box::pin(async move {
                let horizon = horizon(connection).await?;
                let columns = "sequence, at, environment, kind, request, tree, part, data, duration_ms";
                let (tree, request) =
                    (filter.tree.map(|tree| tree.0), filter.request.map(|request| request.0));
                let mut values: Vec<&(dyn ToSql + Sync)> = vec![after, &horizon, limit];
                let mut next = |value| {
                    values.push(value);
                    values.len()
                };
                // Each event is in one index: that of its tree, or that of its request if it tells of no tree.
                let mut sources = match (&tree, &request) {
                    (Some(tree), None) => vec![format!("tree = ${}", next(tree))],
                    (Some(tree), Some(request)) => {
                        vec![format!("tree = ${} AND request = ${}", next(tree), next(request))]
                    }
                    (None, Some(request)) => {
                        let place = next(request);
                        let trees = format!("SELECT id FROM tree WHERE request = ${place} AND place < 3");
                        vec![
                            format!("tree IS NULL AND request = ${place}"),
                            format!("tree = ANY (ARRAY ({trees}))"),
                        ]
                    }
                    (None, None) => vec!["true".to_owned()],
                };
                if let Some(environment) = &filter.environment {
                    let place = next(environment);
                    sources
                        .iter_mut()
                        .for_each(|source| source.push_str(&format!(" AND environment = ${place}")));
                }
                let bounds = "sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3";
                let sources = sources
                    .iter()
                    .map(|source| format!("(SELECT {columns} FROM event WHERE {source} AND {bounds})"));
                let sources = sources.collect::<Vec<_>>().join(" UNION ALL ");
                let sql = format!("SELECT {columns} FROM ({sources}) AS e ORDER BY sequence LIMIT $3");
                connection.all(&sql, &values, read_event).await
            })
        })
        .await
    }

    async fn last_sequence(&self) -> Result<u64, StoreError> {
        self.read("reading the last event", (), |connection, ()| {
            Box::pin(async move {
                let horizon = horizon(connection).await?;
                let last = "SELECT coalesce(max(sequence), 0) FROM event WHERE sequence <= $1";
                let last = connection.one(last, &[&horizon], |row| number(row, 0)).await?;
                Ok(last.expect("a count gives a row"))
            })
        })
        .await
    }

    async fn events_gone(&self) -> Result<u64, StoreError> {
        self.read("reading which events are gone", (), |connection, ()| {
            Box::pin(async move {
                let gone = connection.one("SELECT events_gone FROM meta", &[], |row| number(row, 0)).await?;
                Ok(gone.expect("an open store has its row"))
            })
        })
        .await
    }
}

/// The number up to which a statement that begins from now on sees all events that will ever be.
async fn horizon(connection: &Connection) -> Result<i64, Fault> {
    let horizon = connection.one("SELECT event_horizon()", &[], |row| get(row, 0)).await?;
    Ok(horizon.expect("a function gives a row"))
}

impl Tx {
    /// Appends an event, when everything else is written.
    pub(super) fn tell(&mut self, event: &EventRow) {
        self.tell_of(std::slice::from_ref(event), None);
    }

    /// Appends the events of a change that gives up a claim; those that tell of the attempt say how long that took.
    pub(super) fn tell_of(&mut self, events: &[EventRow], claimed_at: Option<i64>) {
        let duration_ms = claimed_at.map(|claimed_at| self.now.saturating_sub(claimed_at).max(0));
        let duration = |event: &EventRow| duration_ms.filter(|_| event.is_about_attempt());
        self.told.extend(events.iter().map(|event| (event.clone(), duration(event))));
    }
}

fn read_event(row: &Row) -> Result<Event, Fault> {
    Ok(Event {
        sequence: number(row, 0)?,
        at: time_at(row, 1)?,
        environment: get(row, 2)?,
        kind: Cow::Owned(get(row, 3)?),
        request: id_of(row, 4)?.map(RequestId),
        tree: id_of(row, 5)?.map(TreeId),
        part: number(row, 6)?,
        duration_ms: number_of(row, 8)?,
        data: parsed(row, 7)?,
    })
}

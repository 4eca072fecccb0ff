//! Events: what a service tells the others, late, in order, and at least once.
//!
//! ```text
//! change --same transaction--> outbox --after the lag--> POST /events of each subscriber --> inbox --> copies
//! ```
//!
//! An event is in the outbox if and only if its change was made. Every subscriber has a cursor of its own: one
//! that is down hears the rest when it is back, one named later hears everything from the beginning. The inbox
//! knows the ids it has heard, so hearing twice is hearing once.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::database::now_ms;
use crate::http::{Body, Denial};
use crate::service::Service;

/// The tables of the outbox and the inbox. Both are logs: nothing in them is data of the shop.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, kind TEXT NOT NULL,
        data TEXT NOT NULL, at_ms INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS cursors (subscriber TEXT PRIMARY KEY, seq INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS inbox (event_id TEXT PRIMARY KEY);
";

/// Enough to catch up quickly, and far below the size of body that is taken.
const MAX_BATCH: i64 = 100;
/// A subscriber that is down is asked again this often: soon enough for people who watch, and cheap on loopback.
const RETRY_MS: u64 = 250;

/// One piece of news about one entity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// The same at every delivery.
    pub event_id: String,
    /// Who and what: `customer.activated`.
    pub kind: String,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// The entity as it was then.
    pub data: Value,
}

impl Event {
    /// The part of the data that the listener wants to know.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Denial> {
        T::deserialize(&self.data).map_err(|fault| {
            let message = format!("event {} ({}) cannot be understood: {fault}", self.event_id, self.kind);
            Denial::unfit("event_invalid", message)
        })
    }
}

/// What `POST /events` takes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    events: Vec<Event>,
}

/// Puts an event into the outbox, in the transaction that makes it true.
pub(crate) fn emit(transaction: &Transaction<'_>, kind: &str, data: &impl Serialize) -> Result<(), Denial> {
    transaction.execute(
        "INSERT INTO outbox (event_id, kind, data, at_ms) VALUES (?1, ?2, ?3, ?4)",
        params![format!("evt_{}", Uuid::now_v7().simple()), kind, serde_json::to_string(data)?, now_ms()],
    )?;
    Ok(())
}

/// `POST /events`: lets the domain hear what it has not heard yet. All of a batch or nothing.
pub(crate) async fn hear(
    State(service): State<Service>,
    Body(batch): Body<Batch>,
) -> Result<StatusCode, Denial> {
    service.change(|transaction| {
        for event in &batch.events {
            let is_news = transaction
                .execute("INSERT OR IGNORE INTO inbox (event_id) VALUES (?1)", [&event.event_id])?
                == 1;
            if is_news {
                (service.domain().hear)(transaction, event)?;
            }
        }
        Ok(StatusCode::NO_CONTENT)
    })
}

/// Brings one subscriber everything in the outbox, for as long as it is a subscriber.
pub(crate) async fn deliver(service: Service, subscriber: String) {
    let mut bell = service.bell();
    loop {
        bell.borrow_and_update();
        let wait = match next_delivery(&service, &subscriber) {
            Ok(Delivery::Now { events, last }) => match post(&service, &subscriber, events).await {
                Ok(()) => {
                    // Should this not be written, the same events go out again: at least once.
                    if let Err(denial) = advance(&service, &subscriber, last) {
                        tracing::warn!(message = denial.message, "a cursor could not be advanced");
                    }
                    continue;
                }
                Err(error) => {
                    tracing::debug!(subscriber, %error, "a subscriber does not listen; it is told later");
                    Duration::from_millis(RETRY_MS)
                }
            },
            Ok(Delivery::In(wait)) => wait,
            Ok(Delivery::Nothing) => {
                if bell.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Err(denial) => {
                tracing::warn!(message = denial.message, "the outbox could not be read");
                Duration::from_millis(RETRY_MS)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// What a subscriber has to be told.
enum Delivery {
    Now { events: Vec<Event>, last: i64 },
    In(Duration),
    Nothing,
}

fn next_delivery(service: &Service, subscriber: &str) -> Result<Delivery, Denial> {
    let waiting = service.database().transaction(|transaction| undelivered(transaction, subscriber))?;
    let Some((_, first)) = waiting.first() else { return Ok(Delivery::Nothing) };
    let now = now_ms();
    let lag_ms = service.lag_ms();
    // After the clock was put back an event may be from the future; it has no age yet.
    let age_ms = |event: &Event| u64::try_from(now - event.at_ms).unwrap_or(0);
    let wait_ms = lag_ms.saturating_sub(age_ms(first));
    let due: Vec<_> = waiting.into_iter().take_while(|(_, event)| age_ms(event) >= lag_ms).collect();
    Ok(match due.last() {
        Some((last, _)) => {
            Delivery::Now { last: *last, events: due.into_iter().map(|(_, event)| event).collect() }
        }
        None => Delivery::In(Duration::from_millis(wait_ms)),
    })
}

fn undelivered(transaction: &Transaction<'_>, subscriber: &str) -> Result<Vec<(i64, Event)>, Denial> {
    let cursor: Option<i64> = transaction
        .prepare_cached("SELECT seq FROM cursors WHERE subscriber = ?1")?
        .query_row([subscriber], |row| row.get(0))
        .optional()?;
    let mut statement = transaction.prepare_cached(
        "SELECT seq, event_id, kind, at_ms, data FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![cursor.unwrap_or(0), MAX_BATCH])?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next()? {
        let data: String = row.get("data")?;
        let event = Event {
            event_id: row.get("event_id")?,
            kind: row.get("kind")?,
            at_ms: row.get("at_ms")?,
            data: serde_json::from_str(&data)?,
        };
        waiting.push((row.get("seq")?, event));
    }
    Ok(waiting)
}

async fn post(service: &Service, subscriber: &str, events: Vec<Event>) -> reqwest::Result<()> {
    let url = format!("{}/events", subscriber.trim_end_matches('/'));
    service.http_client().post(url).json(&Batch { events }).send().await?.error_for_status()?;
    Ok(())
}

fn advance(service: &Service, subscriber: &str, seq: i64) -> Result<(), Denial> {
    service.database().transaction(|transaction| {
        transaction.execute(
            "INSERT INTO cursors (subscriber, seq) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET seq = excluded.seq",
            params![subscriber, seq],
        )?;
        Ok(())
    })
}

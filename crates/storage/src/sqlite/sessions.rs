//! Sessions in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde_json::Value;
use sixpack_model::ids::{SessionId, TokenId};
use sixpack_model::session::{SESSION_TTL_MS, Session, SessionStatus};

use super::SqliteStore;
use super::codes::Code;
use super::columns::{code, id, int, parsed, time_at, time_of, unsigned};
use super::contracts::PublicationRow;
use super::events::EventRow;
use super::statements::Statements;
use super::writer::Tx;
use crate::error::StoreError;
use crate::page::Page;
use crate::sessions::{NewSession, Registered, ServedOtherwise, ServedVersion, Sessions};

const COLUMNS: &str = "s.id, e.name, s.domain, s.instance, s.channel, s.build, s.sdk, s.token, s.capabilities, \
     s.status, s.created_at, s.seen_at, s.ended_at";

#[async_trait]
impl Sessions for SqliteStore {
    async fn register_session(&self, new: NewSession) -> Result<Registered, StoreError> {
        let NewSession { session, services, publication, events } = new;
        let publication = PublicationRow::from(publication);
        let events: Vec<EventRow> = events.into_iter().map(EventRow::from).collect();
        self.write("registering a session", move |tx| {
            if tx.is_stale(&session.environment, &publication)? {
                return Ok(Registered::Stale);
            }
            let environment = tx.environment(&session.environment)?;
            if let Some(channel) = &session.channel {
                if tx.is_one_too_many(environment, channel)? {
                    return Ok(Registered::TooManyChannels);
                }
                tx.forget_channels()?;
            }
            let older = tx.in_place_of(environment, &session)?;
            if tx.is_outrun(&session.environment, &publication, older)? {
                return Ok(Registered::Stale);
            }
            tx.publish(environment, &publication)?;
            let superseded = tx.supersede(older)?;
            tx.insert_session(environment, &session)?;
            let channel = session.channel.as_deref().unwrap_or_default();
            tx.serve(session.id, environment, channel, &services)?;
            events.iter().try_for_each(|event| tx.tell(event))?;
            Ok(Registered::Live { superseded })
        })
        .await
    }

    async fn touch_session(&self, id: SessionId) -> Result<Option<SessionStatus>, StoreError> {
        self.write("noting a sign of life", move |tx| {
            let touch = "UPDATE session SET seen_at = ?2 WHERE id = ?1 AND status < 2";
            tx.connection.run(touch, params![id.0.as_bytes(), tx.now])?;
            tx.session_status(id)
        })
        .await
    }

    async fn drain_session(&self, id: SessionId) -> Result<Option<SessionStatus>, StoreError> {
        self.write("draining a session", move |tx| {
            let status = tx.session_status(id)?;
            if status == Some(SessionStatus::Live) {
                tx.unserve(id)?;
                tx.move_session(id, SessionStatus::Draining)?;
            }
            if matches!(status, Some(SessionStatus::Live | SessionStatus::Draining)) && !tx.has_claims(id)? {
                tx.move_session(id, SessionStatus::Ended)?;
            }
            tx.session_status(id)
        })
        .await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read("reading a session", move |connection| {
            let find = format!(
                "SELECT {COLUMNS} FROM session s JOIN environment e ON e.id = s.environment WHERE s.id = ?1"
            );
            connection.one(&find, [id.0.as_bytes()], read_session)
        })
        .await
    }

    async fn live_session(&self, place: &Session) -> Result<Option<SessionId>, StoreError> {
        let (sql, third) = match &place.channel {
            None => (
                "SELECT s.id FROM environment e CROSS JOIN session s ON s.environment = e.id
                 WHERE e.name = ?1 AND s.domain = ?2 AND s.instance = ?3 AND s.status = 0 AND s.channel IS NULL",
                &place.instance,
            ),
            Some(channel) => (
                "SELECT s.id FROM environment e CROSS JOIN session s ON s.environment = e.id
                 WHERE e.name = ?1 AND s.domain = ?2 AND s.channel = ?3 AND s.status = 0",
                channel,
            ),
        };
        let names = [place.environment.clone(), place.domain.clone(), third.clone()];
        self.read("looking for the session of an instance", move |connection| {
            connection.one(sql, names, |row| id(row, 0).map(SessionId))
        })
        .await
    }

    async fn sessions(
        &self,
        environment: Option<&str>,
        page: Page<SessionId>,
    ) -> Result<Vec<Session>, StoreError> {
        let environment = environment.map(str::to_owned);
        let before = page.after.map_or([0xff; 16], |id| id.0.into_bytes());
        self.read("listing sessions", move |connection| {
            let list = format!(
                "SELECT {COLUMNS} FROM session s CROSS JOIN environment e ON e.id = s.environment
                 WHERE s.id < ?1 AND (?2 IS NULL OR e.name = ?2) ORDER BY s.id DESC LIMIT ?3"
            );
            connection.all(&list, params![before, environment, page.limit], read_session)
        })
        .await
    }

    async fn served(&self, environment: &str) -> Result<Vec<ServedVersion>, StoreError> {
        let environment = environment.to_owned();
        self.read("listing what is served", move |connection| {
            connection.all(
                "SELECT c.name, min(s.oldest_version), s.version, count(DISTINCT s.session) FROM session_service s
                 JOIN queue q ON q.id = s.queue JOIN contract c ON c.id = q.contract
                 JOIN environment e ON e.id = c.environment
                 WHERE e.name = ?1 AND q.channel = '' GROUP BY c.name, s.version ORDER BY c.name, s.version",
                [environment],
                |row| {
                    Ok(ServedVersion {
                        contract: row.get(0)?,
                        oldest_version: row.get(1)?,
                        version: row.get(2)?,
                        sessions: unsigned(row, 3)?,
                    })
                },
            )
        })
        .await
    }

    async fn served_otherwise(&self, limit: u32) -> Result<Vec<ServedOtherwise>, StoreError> {
        self.read("comparing what is on offer with what is served", move |connection| {
            connection.all(
                "SELECT e.name, c.name, max(s.version) AS served FROM session_service s
                 JOIN queue q ON q.id = s.queue JOIN contract c ON c.id = q.contract
                 JOIN environment e ON e.id = c.environment
                 WHERE q.channel = '' AND c.offered = 1 GROUP BY c.id
                 HAVING served <> coalesce(c.offered_version, (SELECT max(v.version) FROM contract_version v
                                                              WHERE v.contract = c.id AND v.channel IS NULL))
                 ORDER BY e.name, c.name LIMIT ?1",
                [limit],
                |row| {
                    let (environment, contract) = (row.get(0)?, row.get(1)?);
                    Ok(ServedOtherwise { environment, contract, version: row.get(2)? })
                },
            )
        })
        .await
    }

    async fn served_until(&self, environment: &str, contract: &str) -> Result<Option<Timestamp>, StoreError> {
        let (environment, contract) = (environment.to_owned(), contract.to_owned());
        self.read("looking when a supplier was last there", move |connection| {
            connection.one(
                "SELECT q.served_until FROM queue q
                 JOIN contract c ON c.id = q.contract JOIN environment e ON e.id = c.environment
                 WHERE e.name = ?1 AND c.name = ?2 AND q.channel = '' AND q.served_until > 0",
                params![environment, contract],
                |row| time_at(row, 0),
            )
        })
        .await
    }

    async fn serves(&self, id: SessionId) -> Result<Vec<(String, u32)>, StoreError> {
        self.read("listing what a session serves", move |connection| {
            connection.all(
                "SELECT c.name, s.version FROM session_service s
                 JOIN queue q ON q.id = s.queue JOIN contract c ON c.id = q.contract
                 WHERE s.session = ?1 ORDER BY c.name",
                [id.0.as_bytes()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .await
    }

    async fn count_live_sessions(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read("counting live sessions", |connection| {
            connection.all(
                "SELECT e.name, count(*) FROM session s INDEXED BY session_open
                 CROSS JOIN environment e ON e.id = s.environment
                 WHERE s.status < 2 AND s.status = 0 GROUP BY e.name ORDER BY e.name",
                [],
                |row| Ok((row.get(0)?, unsigned(row, 1)?)),
            )
        })
        .await
    }

    async fn end_silent_sessions(&self, limit: u32) -> Result<Vec<Session>, StoreError> {
        self.write("ending silent sessions", move |tx| {
            let silent_since = tx.now.saturating_sub(int(SESSION_TTL_MS));
            let found: Vec<(SessionId, bool)> = tx.connection.all(
                "SELECT s.id, s.seen_at <= ?1 FROM session s
                 WHERE s.status < 2 AND (s.seen_at <= ?1 OR (s.status = 1
                     AND NOT EXISTS (SELECT 1 FROM task_claim c WHERE c.session = s.id)))
                 ORDER BY s.id LIMIT ?2",
                params![silent_since, limit],
                |row| Ok((SessionId(id(row, 0)?), row.get(1)?)),
            )?;
            let mut ended = Vec::with_capacity(found.len());
            for (id, silent) in found {
                let idle_and_draining =
                    !tx.has_claims(id)? && tx.session_status(id)? == Some(SessionStatus::Draining);
                let dead = silent && !idle_and_draining;
                tx.unserve(id)?;
                tx.move_session(id, if dead { SessionStatus::Dead } else { SessionStatus::Ended })?;
                ended.extend(tx.read_session(id)?);
            }
            Ok(ended)
        })
        .await
    }
}

impl Tx<'_> {
    /// The live session of the same instance, or in a channel of the same domain, if there is one.
    fn in_place_of(&self, environment: i64, session: &Session) -> rusqlite::Result<Option<SessionId>> {
        let (find, name) = match &session.channel {
            None => (
                "SELECT id FROM session
                 WHERE environment = ?1 AND domain = ?2 AND instance = ?3 AND status = 0 AND channel IS NULL",
                &session.instance,
            ),
            Some(channel) => (
                "SELECT id FROM session
                 WHERE environment = ?1 AND domain = ?2 AND channel = ?3 AND status = 0 AND channel IS NOT NULL",
                channel,
            ),
        };
        let key = params![environment, session.domain, name];
        self.connection.one(find, key, |row| id(row, 0).map(SessionId))
    }

    /// Ends a session whose place is taken.
    fn supersede(&mut self, older: Option<SessionId>) -> rusqlite::Result<Option<SessionId>> {
        if let Some(older) = older {
            self.unserve(older)?;
            self.move_session(older, SessionStatus::Ended)?;
        }
        Ok(older)
    }

    /// A session is live and was heard of when it is registered, whatever it says itself.
    fn insert_session(&self, environment: i64, session: &Session) -> rusqlite::Result<()> {
        let capabilities: Vec<Value> = session.capabilities.iter().cloned().map(Value::String).collect();
        self.connection.run(
            "INSERT INTO session (id, environment, domain, instance, channel, build, sdk, token, capabilities,
                                  status, created_at, seen_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
            params![
                session.id.0.as_bytes(),
                environment,
                session.domain,
                session.instance,
                session.channel,
                session.build,
                session.sdk,
                session.token.0.as_bytes(),
                Value::Array(capabilities).to_string(),
                SessionStatus::Live.code(),
                self.now,
            ],
        )?;
        Ok(())
    }

    /// Writes where a session stands now.
    pub(super) fn move_session(&self, id: SessionId, to: SessionStatus) -> rusqlite::Result<()> {
        let ended_at = matches!(to, SessionStatus::Dead | SessionStatus::Ended).then_some(self.now);
        let write = "UPDATE session SET status = ?2, ended_at = ?3 WHERE id = ?1";
        self.connection.run(write, params![id.0.as_bytes(), to.code(), ended_at]).map(|_| ())
    }

    fn session_status(&self, id: SessionId) -> rusqlite::Result<Option<SessionStatus>> {
        let read = "SELECT status FROM session WHERE id = ?1";
        self.connection.one(read, [id.0.as_bytes()], |row| code(row, 0))
    }

    fn has_claims(&self, id: SessionId) -> rusqlite::Result<bool> {
        let any = "SELECT 1 FROM task_claim WHERE session = ?1 LIMIT 1";
        Ok(self.connection.one(any, [id.0.as_bytes()], |_| Ok(()))?.is_some())
    }

    fn read_session(&self, id: SessionId) -> rusqlite::Result<Option<Session>> {
        let find = format!(
            "SELECT {COLUMNS} FROM session s JOIN environment e ON e.id = s.environment WHERE s.id = ?1"
        );
        self.connection.one(&find, [id.0.as_bytes()], read_session)
    }
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: SessionId(id(row, 0)?),
        environment: row.get(1)?,
        domain: row.get(2)?,
        instance: row.get(3)?,
        channel: row.get(4)?,
        build: row.get(5)?,
        sdk: row.get(6)?,
        token: TokenId(id(row, 7)?),
        capabilities: parsed(row, 8)?,
        status: code(row, 9)?,
        created_at: time_at(row, 10)?,
        seen_at: time_at(row, 11)?,
        ended_at: time_of(row, 12)?,
    })
}

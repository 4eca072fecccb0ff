//! Sessions in PostgreSQL.
//!
//! What ends a session locks it against the claims that are being made for it, which share its row: none is left behind that it
//! does not see.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use sixpack_model::ids::{SessionId, TokenId};
use sixpack_model::session::{SESSION_TTL_MS, Session, SessionStatus};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{Int, code, get, id, int, number, number_of_code, parsed, time_at, time_of};
use super::contracts::PublicationRow;
use super::events::EventRow;
use super::faults::Fault;
use super::writer::Tx;
use crate::error::StoreError;
use crate::page::Page;
use crate::sessions::{NewSession, Registered, ServedOtherwise, ServedVersion, Service, Sessions};

const COLUMNS: &str = "s.id, e.name, s.domain, s.instance, s.channel, s.build, s.sdk, s.token, s.capabilities, \
     s.status, s.created_at, s.seen_at, s.ended_at";

#[async_trait]
impl Sessions for PostgresStore {
    async fn register_session(&self, new: NewSession) -> Result<Registered, StoreError> {
        let new = NewSessionRow::of(new);
        self.write("registering a session", new, |tx, new| Box::pin(tx.register(new))).await
    }

    async fn touch_session(&self, id: SessionId) -> Result<Option<SessionStatus>, StoreError> {
        self.write("noting a sign of life", id, |tx, id| {
            Box::pin(async move {
                let touch = "UPDATE session SET seen_at = greatest(seen_at, $2) WHERE id = $1 AND status < 2
                             RETURNING status";
                match tx.connection.one(touch, &[&id.0, &tx.now], |row| code(row, 0)).await? {
                    Some(open) => Ok(Some(open)),
                    None => tx.session_status(*id).await,
                }
            })
        })
        .await
    }

    async fn drain_session(&self, id: SessionId) -> Result<Option<SessionStatus>, StoreError> {
        self.write("draining a session", id, |tx, id| {
            Box::pin(async move {
                let lock = "SELECT status FROM session WHERE id = $1 FOR NO KEY UPDATE";
                let status = tx.connection.one(lock, &[&id.0], |row| code(row, 0)).await?;
                if status == Some(SessionStatus::Live) {
                    tx.lock_queues(&tx.queues_of(&[*id]).await?).await?;
                    tx.unserve(*id).await?;
                    tx.move_session(*id, SessionStatus::Draining).await?;
                }
                if matches!(status, Some(SessionStatus::Live | SessionStatus::Draining))
                    && !tx.has_claims(*id).await?
                {
                    tx.move_session(*id, SessionStatus::Ended).await?;
                }
                tx.session_status(*id).await
            })
        })
        .await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.read("reading a session", id, |connection, id| {
            Box::pin(async move {
                let find = format!(
                    "SELECT {COLUMNS} FROM session s JOIN environment e ON e.id = s.environment WHERE s.id = $1"
                );
                connection.one(&find, &[&id.0], read_session).await
            })
        })
        .await
    }

    async fn live_session(&self, place: &Session) -> Result<Option<SessionId>, StoreError> {
        let (sql, third) = match &place.channel {
            None => (
                "SELECT s.id FROM environment e JOIN session s ON s.environment = e.id
                 WHERE e.name = $1 AND s.domain = $2 AND s.instance = $3 AND s.status = 0 AND s.channel IS NULL",
                &place.instance,
            ),
            Some(channel) => (
                "SELECT s.id FROM environment e JOIN session s ON s.environment = e.id
                 WHERE e.name = $1 AND s.domain = $2 AND s.channel = $3 AND s.status = 0",
                channel,
            ),
        };
        let input = (sql, [place.environment.clone(), place.domain.clone(), third.clone()]);
        self.read("looking for the session of an instance", input, |connection, (sql, names)| {
            Box::pin(async move {
                let [environment, domain, third] = names;
                connection.one(sql, &[environment, domain, third], |row| id(row, 0).map(SessionId)).await
            })
        })
        .await
    }

    async fn sessions(
        &self,
        environment: Option<&str>,
        page: Page<SessionId>,
    ) -> Result<Vec<Session>, StoreError> {
        let before = page.after.map_or(Uuid::max(), |id| id.0);
        let input = (environment.map(str::to_owned), before, Int::from(page.limit));
        self.read("listing sessions", input, |connection, (environment, before, limit)| {
            Box::pin(async move {
                let list = format!(
                    "SELECT {COLUMNS} FROM session s JOIN environment e ON e.id = s.environment
                     WHERE s.id < $1 AND ($2::text IS NULL OR e.name = $2) ORDER BY s.id DESC LIMIT $3"
                );
                connection.all(&list, &[before, environment, limit], read_session).await
            })
        })
        .await
    }

    async fn served(&self, environment: &str) -> Result<Vec<ServedVersion>, StoreError> {
        self.read("listing what is served", environment.to_owned(), |connection, environment| {
            Box::pin(async move {
                let list = "SELECT c.name, min(s.oldest_version), s.version, count(DISTINCT s.session)
                            FROM session_service s
                            JOIN queue q ON q.id = s.queue JOIN contract c ON c.id = q.contract
                            JOIN environment e ON e.id = c.environment
                            WHERE e.name = $1 AND q.channel = '' GROUP BY c.name, s.version ORDER BY c.name, s.version";
                let read = |row: &Row| {
                    Ok(ServedVersion {
                        contract: get(row, 0)?,
                        oldest_version: number(row, 1)?,
                        version: number(row, 2)?,
                        sessions: number(row, 3)?,
                    })
                };
                connection.all(list, &[environment], read).await
            })
        })
        .await
    }

    async fn served_otherwise(&self, limit: u32) -> Result<Vec<ServedOtherwise>, StoreError> {
        let doing = "comparing what is on offer with what is served";
        self.read(doing, Int::from(limit), |connection, limit| {
            Box::pin(async move {
                let list = "SELECT e.name, c.name, max(s.version) FROM session_service s
                            JOIN queue q ON q.id = s.queue JOIN contract c ON c.id = q.contract
                            JOIN environment e ON e.id = c.environment
                            WHERE q.channel = '' AND c.offered GROUP BY c.id, e.id
                            HAVING max(s.version) <> coalesce(c.offered_version, (
                                SELECT max(v.version) FROM contract_version v
                                WHERE v.contract = c.id AND v.channel IS NULL))
                            ORDER BY e.name, c.name LIMIT $1";
                let read = |row: &Row| {
                    let (environment, contract) = (get(row, 0)?, get(row, 1)?);
                    Ok(ServedOtherwise { environment, contract, version: number(row, 2)? })
                };
                connection.all(list, &[limit], read).await
            })
        })
        .await
    }

    async fn served_until(&self, environment: &str, contract: &str) -> Result<Option<Timestamp>, StoreError> {
        let input = (environment.to_owned(), contract.to_owned());
        self.read("looking when a supplier was last there", input, |connection, (environment, contract)| {
            Box::pin(async move {
                let find = "SELECT q.served_until FROM queue q
                            JOIN contract c ON c.id = q.contract JOIN environment e ON e.id = c.environment
                            WHERE e.name = $1 AND c.name = $2 AND q.channel = '' AND q.served_until > 0";
                connection.one(find, &[environment, contract], |row| time_at(row, 0)).await
            })
        })
        .await
    }

    async fn serves(&self, id: SessionId) -> Result<Vec<(String, u32)>, StoreError> {
        self.read("listing what a session serves", id, |connection, id| {
            Box::pin(async move {
                let list = "SELECT c.name, s.version FROM session_service s
                            JOIN queue q ON q.id = s.queue JOIN contract c ON c.id = q.contract
                            WHERE s.session = $1 ORDER BY c.name";
                connection.all(list, &[&id.0], |row| Ok((get(row, 0)?, number(row, 1)?))).await
            })
        })
        .await
    }

    async fn count_live_sessions(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read("counting live sessions", (), |connection, ()| {
            Box::pin(async move {
                // The first condition is that of the index.
                let count =
                    "SELECT e.name, count(*) FROM session s JOIN environment e ON e.id = s.environment
                             WHERE s.status < 2 AND s.status = 0 GROUP BY e.name ORDER BY e.name";
                connection.all(count, &[], |row| Ok((get(row, 0)?, number(row, 1)?))).await
            })
        })
        .await
    }

    async fn end_silent_sessions(&self, limit: u32) -> Result<Vec<Session>, StoreError> {
        self.write("ending silent sessions", Int::from(limit), |tx, limit| {
            Box::pin(async move {
                let silent_since = tx.now.saturating_sub(int(SESSION_TTL_MS));
                // One that is being used is not silent, or is somebody else's to end. A draining one gets no more claims.
                let lock = "SELECT s.id, s.seen_at <= $1 FROM session s
                            WHERE s.status < 2 AND (s.seen_at <= $1 OR (s.status = 1
                                AND NOT EXISTS (SELECT 1 FROM task_claim c WHERE c.session = s.id)))
                            ORDER BY s.id LIMIT $2 FOR NO KEY UPDATE OF s SKIP LOCKED";
                let read = |row: &Row| Ok((SessionId(id(row, 0)?), get::<bool>(row, 1)?));
                let found = tx.connection.all(lock, &[&silent_since, limit], read).await?;
                let ids: Vec<SessionId> = found.iter().map(|(id, _)| *id).collect();
                tx.lock_queues(&tx.queues_of(&ids).await?).await?;
                let mut ended = Vec::with_capacity(found.len());
                for (id, silent) in found {
                    let idle_and_draining = !tx.has_claims(id).await?
                        && tx.session_status(id).await? == Some(SessionStatus::Draining);
                    let dead = silent && !idle_and_draining;
                    tx.unserve(id).await?;
                    tx.move_session(id, if dead { SessionStatus::Dead } else { SessionStatus::Ended })
                        .await?;
                    ended.extend(tx.read_session(id).await?);
                }
                Ok(ended)
            })
        })
        .await
    }
}

/// A session to be registered, turned into columns before the transaction begins.
struct NewSessionRow {
    session: Session,
    capabilities: String,
    services: Vec<Service>,
    publication: PublicationRow,
    events: Vec<EventRow>,
}

impl NewSessionRow {
    fn of(new: NewSession) -> Self {
        let capabilities = new.session.capabilities.iter().cloned().map(Value::String).collect();
        let mut services = new.services;
        // Names are made, and queues are made, in one order.
        services.sort_by(|one, other| one.contract.cmp(&other.contract));
        Self {
            session: new.session,
            capabilities: Value::Array(capabilities).to_string(),
            services,
            publication: PublicationRow::from(new.publication),
            events: new.events.into_iter().map(EventRow::from).collect(),
        }
    }
}

impl Tx {
    async fn register(&mut self, new: &NewSessionRow) -> Result<Registered, Fault> {
        let NewSessionRow { session, services, publication, events, .. } = new;
        if self.is_stale(&session.environment, publication).await? {
            return self.refuse(Registered::Stale);
        }
        let environment = self.environment(&session.environment).await?;
        if let Some(channel) = &session.channel
            && self.is_one_too_many(environment, channel).await?
        {
            return self.refuse(Registered::TooManyChannels);
        }
        let older = self.lock_superseded(environment, session).await?;
        if self.is_outrun(&session.environment, publication, older).await? {
            return self.refuse(Registered::Stale);
        }
        if session.channel.is_some() {
            self.forget_channels().await?;
        }
        self.publish(environment, publication).await?;
        let channel = session.channel.as_deref().unwrap_or_default();
        let queues = self.queues_for(environment, channel, services).await?;
        let theirs = match older {
            Some(older) => self.queues_of(&[older]).await?,
            None => Vec::new(),
        };
        let locked: Vec<i64> = queues.iter().map(|(_, queue)| *queue).chain(theirs).collect();
        self.lock_queues(&locked).await?;
        if let Some(older) = older {
            self.unserve(older).await?;
            self.move_session(older, SessionStatus::Ended).await?;
        }
        self.insert_session(environment, new).await?;
        self.serve(session.id, channel, services, &queues).await?;
        for event in events {
            self.tell(event);
        }
        Ok(Registered::Live { superseded: older })
    }

    /// Locks the live session of the same instance, or in a channel of the same domain, if there is one. With the environment
    /// locked, there will be no other.
    async fn lock_superseded(&self, environment: i64, session: &Session) -> Result<Option<SessionId>, Fault> {
        let (find, name) = match &session.channel {
            None => (
                "SELECT id FROM session
                 WHERE environment = $1 AND domain = $2 AND instance = $3 AND status = 0 AND channel IS NULL
                 FOR NO KEY UPDATE",
                &session.instance,
            ),
            Some(channel) => (
                "SELECT id FROM session
                 WHERE environment = $1 AND domain = $2 AND channel = $3 AND status = 0 AND channel IS NOT NULL
                 FOR NO KEY UPDATE",
                channel,
            ),
        };
        self.connection
            .one(find, &[&environment, &session.domain, name], |row| id(row, 0).map(SessionId))
            .await
    }

    /// A session is live and was heard of when it is registered, whatever it says itself.
    async fn insert_session(&self, environment: i64, new: &NewSessionRow) -> Result<(), Fault> {
        let session = &new.session;
        let insert = "INSERT INTO session (id, environment, domain, instance, channel, build, sdk, token, capabilities,
                                           status, created_at, seen_at)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";
        self.connection
            .later(
                insert,
                &[
                    &session.id.0,
                    &environment,
                    &session.domain,
                    &session.instance,
                    &session.channel,
                    &session.build,
                    &session.sdk,
                    &session.token.0,
                    &new.capabilities,
                    &number_of_code(SessionStatus::Live),
                    &self.now,
                ],
            )
            .await
    }

    /// Writes where a session stands now. It is locked.
    pub(super) async fn move_session(&self, id: SessionId, to: SessionStatus) -> Result<(), Fault> {
        let ended_at = matches!(to, SessionStatus::Dead | SessionStatus::Ended).then_some(self.now);
        let write = "UPDATE session SET status = $2, ended_at = $3 WHERE id = $1";
        self.connection.later(write, &[&id.0, &number_of_code(to), &ended_at]).await
    }

    async fn session_status(&self, id: SessionId) -> Result<Option<SessionStatus>, Fault> {
        let read = "SELECT status FROM session WHERE id = $1";
        self.connection.one(read, &[&id.0], |row| code(row, 0)).await
    }

    async fn has_claims(&self, id: SessionId) -> Result<bool, Fault> {
        let any = "SELECT 1 FROM task_claim WHERE session = $1 LIMIT 1";
        Ok(self.connection.one(any, &[&id.0], |_| Ok(())).await?.is_some())
    }

    async fn read_session(&self, id: SessionId) -> Result<Option<Session>, Fault> {
        let find = format!(
            "SELECT {COLUMNS} FROM session s JOIN environment e ON e.id = s.environment WHERE s.id = $1"
        );
        self.connection.one(&find, &[&id.0], read_session).await
    }
}

fn read_session(row: &Row) -> Result<Session, Fault> {
    Ok(Session {
        id: SessionId(id(row, 0)?),
        environment: get(row, 1)?,
        domain: get(row, 2)?,
        instance: get(row, 3)?,
        channel: get(row, 4)?,
        build: get(row, 5)?,
        sdk: get(row, 6)?,
        token: TokenId(id(row, 7)?),
        capabilities: parsed(row, 8)?,
        status: code(row, 9)?,
        created_at: time_at(row, 10)?,
        seen_at: time_at(row, 11)?,
        ended_at: time_of(row, 12)?,
    })
}

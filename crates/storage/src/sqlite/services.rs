//! Services: what live sessions perform, and what becomes of waiting tasks when one goes.

use rusqlite::params;
use sixpack_model::ids::SessionId;

use super::columns::int;
use super::memory::{ServiceRow, Serving};
use super::statements::Statements;
use super::writer::Tx;
use crate::sessions::Service;

impl Tx<'_> {
    /// Notes what a session performs; the limits of the target are those of whoever registered last.
    pub(super) fn serve(
        &mut self,
        session: SessionId,
        environment: i64,
        channel: &str,
        services: &[Service],
    ) -> rusqlite::Result<()> {
        for service in services {
            let contract = self.contract(environment, &service.contract)?;
            let queue = self.named_queue(contract, channel)?;
            self.connection.run(
                "UPDATE queue SET concurrency = ?2, rate_per_s = ?3, timeout_ms = ?4 WHERE id = ?1",
                params![queue, service.concurrency, service.rate_per_s, int(service.timeout_ms)],
            )?;
            self.connection.run(
                "INSERT INTO session_service (session, queue, oldest_version, version) VALUES (?1, ?2, ?3, ?4)",
                params![session.0.as_bytes(), queue, service.oldest_version, service.version],
            )?;
            self.memory.queues.remove(&queue);
            if !channel.is_empty() {
                let (oldest_version, version) = (service.oldest_version.into(), service.version.into());
                let service = ServiceRow { queue, oldest_version, version };
                self.return_to_channel(contract, channel, &service)?;
            }
        }
        Ok(())
    }

    /// Forgets what a session performs, because it takes no tasks any more. What waits for a channel in which nobody is
    /// left goes to the deployed suppliers as far as they can do it.
    pub(super) fn unserve(&mut self, session: SessionId) -> rusqlite::Result<()> {
        self.memory.sessions.remove(&session);
        let queues: Vec<i64> = self.connection.all(
            "SELECT queue FROM session_service WHERE session = ?1",
            [session.0.as_bytes()],
            |row| row.get(0),
        )?;
        self.connection.run("DELETE FROM session_service WHERE session = ?1", [session.0.as_bytes()])?;
        for queue in queues {
            self.connection.run("UPDATE queue SET served_until = ?2 WHERE id = ?1", [queue, self.now])?;
            self.leave_channel(queue)?;
        }
        Ok(())
    }

    /// The services of a live session; `None` when it is not live. They stay the same as long as it is.
    pub(super) fn serving(&mut self, session: SessionId) -> rusqlite::Result<Option<&mut Serving>> {
        if !self.memory.sessions.contains_key(&session) {
            let live = self.connection.one(
                "SELECT status = 0 FROM session WHERE id = ?1",
                [session.0.as_bytes()],
                |row| row.get::<_, bool>(0),
            )?;
            if live != Some(true) {
                return Ok(None);
            }
            let services: Vec<ServiceRow> = self.connection.all(
                "SELECT queue, oldest_version, version FROM session_service WHERE session = ?1 ORDER BY queue",
                [session.0.as_bytes()],
                |row| Ok(ServiceRow { queue: row.get(0)?, oldest_version: row.get(1)?, version: row.get(2)? }),
            )?;
            self.memory.bound();
            self.memory.sessions.insert(session, Serving { services: services.into(), turn: 0 });
        }
        Ok(self.memory.sessions.get_mut(&session))
    }
}

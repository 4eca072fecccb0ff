//! Channels in SQLite: what is live in them, and where their tasks wait when nobody is.

use async_trait::async_trait;
use rusqlite::params;
use sixpack_model::limits::{CHANNEL_VERSIONS_FROM, CHANNEL_VERSIONS_KEPT, CHANNELS};
use sixpack_model::tree::Operation;

use super::SqliteStore;
use super::codes::Code;
use super::memory::ServiceRow;
use super::queues::Waiting;
use super::statements::Statements;
use super::writer::Tx;
use crate::channels::Channels;
use crate::contracts::StandIn;
use crate::error::StoreError;

#[async_trait]
impl Channels for SqliteStore {
    async fn channels(&self, environment: &str) -> Result<Vec<String>, StoreError> {
        let environment = environment.to_owned();
        self.read("listing channels", move |connection| {
            connection.all(
                "SELECT DISTINCT s.channel FROM session s
                 WHERE s.environment = (SELECT id FROM environment WHERE name = ?1)
                   AND s.status = 0 AND s.channel IS NOT NULL ORDER BY s.channel",
                [environment],
                |row| row.get(0),
            )
        })
        .await
    }

    async fn overlay(&self, environment: &str, channel: &str) -> Result<Vec<(String, u32)>, StoreError> {
        let (environment, channel) = (environment.to_owned(), channel.to_owned());
        self.read("reading a channel", move |connection| {
            connection.all(
                "SELECT c.name, v.version FROM session s
                 JOIN session_service v ON v.session = s.id
                 JOIN queue q ON q.id = v.queue JOIN contract c ON c.id = q.contract
                 WHERE s.environment = (SELECT id FROM environment WHERE name = ?1)
                   AND s.status = 0 AND s.channel IS NOT NULL AND s.channel = ?2 ORDER BY c.name",
                params![environment, channel],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .await
    }
}

impl Tx<'_> {
    /// Whether there are as many live channels as there may be, and this is another one.
    pub(super) fn is_one_too_many(&self, environment: i64, channel: &str) -> rusqlite::Result<bool> {
        let others: i64 = self
            .connection
            .prepare_cached(
                "SELECT count(DISTINCT channel) FROM session
                 WHERE environment = ?1 AND status = 0 AND channel IS NOT NULL AND channel <> ?2",
            )?
            .query_row(params![environment, channel], |row| row.get(0))?;
        Ok(usize::try_from(others).expect("a count is not negative") >= CHANNELS)
    }

    /// Channels come and go under ever new names: queues that nobody serves and in which nothing is go as well.
    pub(super) fn forget_channels(&mut self) -> rusqlite::Result<()> {
        let gone: Vec<i64> = self.connection.all(
            "DELETE FROM queue WHERE channel <> ''
               AND NOT EXISTS (SELECT 1 FROM session_service s WHERE s.queue = queue.id)
               AND NOT EXISTS (SELECT 1 FROM task_ready r WHERE r.queue = queue.id)
               AND NOT EXISTS (SELECT 1 FROM task_claim c WHERE c.queue = queue.id)
             RETURNING id",
            [],
            |row| row.get(0),
        )?;
        // Their numbers may be given out again.
        for queue in gone {
            self.memory.queues.remove(&queue);
        }
        Ok(())
    }

    /// Forgets old versions of channels, but for those that somebody serves.
    pub(super) fn forget_versions(&self, contract: i64, newest: u32) -> rusqlite::Result<()> {
        let oldest_kept = newest.saturating_sub(CHANNEL_VERSIONS_KEPT - 1);
        self.connection.run(
            "DELETE FROM contract_version WHERE contract = ?1 AND version >= ?2 AND version < ?3
               AND NOT EXISTS (SELECT 1 FROM session_service s JOIN queue q ON q.id = s.queue
                               WHERE q.contract = ?1 AND s.version = contract_version.version)",
            params![contract, CHANNEL_VERSIONS_FROM, oldest_kept],
        )?;
        Ok(())
    }

    /// Puts a task about what a version of a channel makes into the queue of those who can do it now.
    pub(super) fn enqueue_in_channel(
        &mut self,
        contract: i64,
        channel: &str,
        waiting: &Waiting,
    ) -> rusqlite::Result<()> {
        let queue = self.named_queue(contract, channel)?;
        if waiting.only_in_channel() || self.is_served(queue, waiting)? {
            return self.enqueue(queue, waiting);
        }
        let read = "SELECT stands_in_for FROM contract_version WHERE contract = ?1 AND version = ?2";
        let key = [contract, waiting.version];
        match self.connection.one(read, key, |row| row.get::<_, Option<i64>>(0))?.flatten() {
            None => self.enqueue(queue, waiting),
            Some(version) => {
                let deployed = self.deployed_queue(contract)?;
                self.enqueue(deployed, &Waiting { version, ..waiting.clone() })
            }
        }
    }

    /// Lets what waits in a channel's queue go to the deployed suppliers, as far as they can do it, when nobody is left
    /// in the channel.
    pub(super) fn leave_channel(&mut self, queue: i64) -> rusqlite::Result<()> {
        let contract: Option<i64> = self.connection.one(
            "SELECT contract FROM queue q WHERE id = ?1 AND channel <> ''
             AND NOT EXISTS (SELECT 1 FROM session_service s WHERE s.queue = q.id)",
            [queue],
            |row| row.get(0),
        )?;
        let Some(contract) = contract else {
            return Ok(());
        };
        let deployed = self.deployed_queue(contract)?;
        self.connection.run(
            "UPDATE task_ready SET queue = ?2, version = v.stands_in_for FROM contract_version v
             WHERE task_ready.queue = ?1 AND task_ready.operation NOT IN (?4, ?5)
               AND v.contract = ?3 AND v.version = task_ready.version AND v.stands_in_for IS NOT NULL",
            params![queue, deployed, contract, Operation::Produce.code(), Operation::Find.code()],
        )?;
        self.memory.queues.remove(&queue);
        self.memory.queues.remove(&deployed);
        Ok(())
    }

    /// Takes back what had gone to the deployed suppliers in the meantime and waits there still.
    pub(super) fn return_to_channel(
        &mut self,
        contract: i64,
        channel: &str,
        service: &ServiceRow,
    ) -> rusqlite::Result<()> {
        let deployed = self.deployed_queue(contract)?;
        self.connection.run(
            "UPDATE task_ready SET queue = ?1, version = d.version FROM dataset d JOIN tree t ON t.id = d.tree
             WHERE task_ready.queue = ?2 AND d.tree = task_ready.tree AND d.part = task_ready.part
               AND t.channel = ?3 AND d.version >= ?4 AND d.version <= ?5
               AND (d.version >= ?6 OR task_ready.operation = ?7)",
            params![
                service.queue,
                deployed,
                channel,
                CHANNEL_VERSIONS_FROM,
                service.version,
                service.oldest_version,
                Operation::Undo.code(),
            ],
        )?;
        self.memory.queues.remove(&service.queue);
        self.memory.queues.remove(&deployed);
        Ok(())
    }

    /// Notes which deployed version a version of a channel stands in for, and lets what waits go there.
    pub(super) fn stand_in(&mut self, contract: i64, stand_in: &StandIn) -> rusqlite::Result<()> {
        let write = "UPDATE contract_version SET stands_in_for = ?3 WHERE contract = ?1 AND version = ?2";
        self.connection.run(write, params![contract, stand_in.version, stand_in.stands_in_for])?;
        let queues: Vec<i64> = self.connection.all(
            "SELECT id FROM queue WHERE contract = ?1 AND channel <> ''",
            [contract],
            |row| row.get(0),
        )?;
        queues.into_iter().try_for_each(|queue| self.leave_channel(queue))
    }

    /// Whether a live session of the queue can do the task.
    fn is_served(&self, queue: i64, waiting: &Waiting) -> rusqlite::Result<bool> {
        let services: Vec<ServiceRow> = self.connection.all(
            "SELECT oldest_version, version FROM session_service WHERE queue = ?1",
            [queue],
            |row| Ok(ServiceRow { queue, oldest_version: row.get(0)?, version: row.get(1)? }),
        )?;
        Ok(services.iter().any(|service| service.covers(waiting.version, waiting.operation)))
    }
}

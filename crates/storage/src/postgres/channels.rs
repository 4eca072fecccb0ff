//! Channels in PostgreSQL: what is live in them, and where their tasks wait when nobody is.

use async_trait::async_trait;
use sixpack_model::limits::{CHANNEL_VERSIONS_FROM, CHANNEL_VERSIONS_KEPT, CHANNELS};
use sixpack_model::tree::Operation;
use tokio_postgres::Row;

use super::PostgresStore;
use super::columns::{Int, get, number, number_of, number_of_code};
use super::faults::Fault;
use super::writer::Tx;
use crate::channels::Channels;
use crate::contracts::StandIn;
use crate::error::StoreError;
use crate::stored::tasks::{ServiceRow, Waiting};

#[async_trait]
impl Channels for PostgresStore {
    async fn channels(&self, environment: &str) -> Result<Vec<String>, StoreError> {
        self.read("listing channels", environment.to_owned(), |connection, environment| {
            Box::pin(async move {
                let list = "SELECT DISTINCT s.channel FROM session s
                            WHERE s.environment = (SELECT id FROM environment WHERE name = $1)
                              AND s.status = 0 AND s.channel IS NOT NULL ORDER BY s.channel";
                connection.all(list, &[environment], |row| get(row, 0)).await
            })
        })
        .await
    }

    async fn overlay(&self, environment: &str, channel: &str) -> Result<Vec<(String, u32)>, StoreError> {
        let input = (environment.to_owned(), channel.to_owned());
        self.read("reading a channel", input, |connection, (environment, channel)| {
            Box::pin(async move {
                let list = "SELECT c.name, v.version FROM session s
                            JOIN session_service v ON v.session = s.id
                            JOIN queue q ON q.id = v.queue JOIN contract c ON c.id = q.contract
                            WHERE s.environment = (SELECT id FROM environment WHERE name = $1)
                              AND s.status = 0 AND s.channel IS NOT NULL AND s.channel = $2 ORDER BY c.name";
                connection.all(list, &[environment, channel], |row| Ok((get(row, 0)?, number(row, 1)?))).await
            })
        })
        .await
    }
}

impl Tx {
    /// Whether there are as many live channels as there may be, and this is another one. The environment is locked.
    pub(super) async fn is_one_too_many(&self, environment: i64, channel: &str) -> Result<bool, Fault> {
        let count = "SELECT count(DISTINCT channel) FROM session
                     WHERE environment = $1 AND status = 0 AND channel IS NOT NULL AND channel <> $2";
        let others: Option<usize> =
            self.connection.one(count, &[&environment, &channel], |row| number(row, 0)).await?;
        Ok(others.expect("a count gives a row") >= CHANNELS)
    }

    /// Channels come and go under ever new names: queues that nobody serves and in which nothing is go as well. One that
    /// somebody is about to use stays for the next time.
    pub(super) async fn forget_channels(&mut self) -> Result<(), Fault> {
        let idle = "NOT EXISTS (SELECT 1 FROM session_service s WHERE s.queue = q.id)
                    AND NOT EXISTS (SELECT 1 FROM task_ready r WHERE r.queue = q.id)
                    AND NOT EXISTS (SELECT 1 FROM task_claim c WHERE c.queue = q.id)";
        let lock = format!(
            "SELECT q.id FROM queue q WHERE q.channel <> '' AND {idle} ORDER BY q.id FOR UPDATE SKIP LOCKED"
        );
        let found: Vec<i64> = self.connection.all(&lock, &[], |row| number(row, 0)).await?;
        if found.is_empty() {
            return Ok(());
        }
        // Only now is what others had been doing with them there to be seen.
        let forget = format!("DELETE FROM queue q WHERE q.id = ANY ($1) AND {idle}");
        self.connection.later(&forget, &[&found]).await
    }

    /// Forgets old versions of channels, but for those that somebody serves.
    pub(super) async fn forget_versions(&self, contract: i64, newest: u32) -> Result<(), Fault> {
        let oldest_kept = newest.saturating_sub(CHANNEL_VERSIONS_KEPT - 1);
        let forget = "DELETE FROM contract_version WHERE contract = $1 AND version >= $2 AND version < $3
                        AND NOT EXISTS (SELECT 1 FROM session_service s JOIN queue q ON q.id = s.queue
                                        WHERE q.contract = $1 AND s.version = contract_version.version)";
        let bounds = (Int::from(CHANNEL_VERSIONS_FROM), Int::from(oldest_kept));
        self.connection.later(forget, &[&contract, &bounds.0, &bounds.1]).await
    }

    /// Puts a task about what a version of a channel makes into the queue of those who can do it now.
    pub(super) async fn enqueue_in_channel(
        &mut self,
        contract: i64,
        channel: &str,
        waiting: &Waiting,
    ) -> Result<(), Fault> {
        let queue = self.shared_queue(contract, channel).await?;
        if waiting.only_in_channel() || self.is_served(queue, waiting).await? {
            return self.enqueue(queue, waiting).await;
        }
        let read = "SELECT stands_in_for FROM contract_version WHERE contract = $1 AND version = $2";
        let found =
            self.connection.one(read, &[&contract, &waiting.version], |row| number_of(row, 0)).await?;
        match found.flatten() {
            None => self.enqueue(queue, waiting).await,
            Some(version) => {
                let deployed = self.deployed_queue(contract).await?;
                self.enqueue(deployed, &Waiting { version, ..waiting.clone() }).await
            }
        }
    }

    /// Lets what waits in a channel's queue go to the deployed suppliers, as far as they can do it, when nobody is left
    /// in the channel. The queue is locked.
    pub(super) async fn leave_channel(&mut self, queue: i64) -> Result<(), Fault> {
        let find = "SELECT contract FROM queue q WHERE id = $1 AND channel <> ''
                    AND NOT EXISTS (SELECT 1 FROM session_service s WHERE s.queue = q.id)";
        let Some(contract) = self.connection.one(find, &[&queue], |row| number(row, 0)).await? else {
            return Ok(());
        };
        let deployed = self.deployed_queue(contract).await?;
        let go = "UPDATE task_ready SET queue = $2, version = v.stands_in_for FROM contract_version v
                  WHERE task_ready.queue = $1 AND task_ready.operation NOT IN ($4, $5)
                    AND v.contract = $3 AND v.version = task_ready.version AND v.stands_in_for IS NOT NULL";
        let only_here = [Operation::Produce, Operation::Find].map(number_of_code);
        self.note_moved_to(deployed);
        self.connection.later(go, &[&queue, &deployed, &contract, &only_here[0], &only_here[1]]).await
    }

    /// Takes back what had gone to the deployed suppliers in the meantime and waits there still.
    pub(super) async fn return_to_channel(
        &mut self,
        contract: i64,
        channel: &str,
        service: &ServiceRow,
    ) -> Result<(), Fault> {
        let deployed = self.deployed_queue(contract).await?;
        let back = "UPDATE task_ready SET queue = $1, version = d.version FROM dataset d JOIN tree t ON t.id = d.tree
                    WHERE task_ready.queue = $2 AND d.tree = task_ready.tree AND d.part = task_ready.part
                      AND t.channel = $3 AND d.version >= $4 AND d.version <= $5
                      AND (d.version >= $6 OR task_ready.operation = $7)";
        self.note_moved_to(service.queue);
        self.connection
            .later(
                back,
                &[
                    &service.queue,
                    &deployed,
                    &channel,
                    &Int::from(CHANNEL_VERSIONS_FROM),
                    &service.version,
                    &service.oldest_version,
                    &number_of_code(Operation::Undo),
                ],
            )
            .await
    }

    /// Notes which deployed version a version of a channel stands in for, and lets what waits go there.
    pub(super) async fn stand_in(&mut self, contract: i64, stand_in: &StandIn) -> Result<(), Fault> {
        let write = "UPDATE contract_version SET stands_in_for = $3 WHERE contract = $1 AND version = $2";
        let versions = (Int::from(stand_in.version), Int::from(stand_in.stands_in_for));
        self.connection.later(write, &[&contract, &versions.0, &versions.1]).await?;
        let list = "SELECT id FROM queue WHERE contract = $1 AND channel <> '' ORDER BY id FOR NO KEY UPDATE";
        let queues: Vec<i64> = self.connection.all(list, &[&contract], |row| number(row, 0)).await?;
        for queue in queues {
            self.leave_channel(queue).await?;
        }
        Ok(())
    }

    /// Whether a live session of the queue can do the task. The queue is shared.
    async fn is_served(&self, queue: i64, waiting: &Waiting) -> Result<bool, Fault> {
        let list = "SELECT oldest_version, version FROM session_service WHERE queue = $1";
        let read =
            |row: &Row| Ok(ServiceRow { queue, oldest_version: number(row, 0)?, version: number(row, 1)? });
        let services = self.connection.all(list, &[&queue], read).await?;
        Ok(services.iter().any(|service| service.covers(waiting.version, waiting.operation)))
    }
}

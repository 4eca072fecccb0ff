//! Queues: which one a task waits in, and how it gets in.
//!
//! The queue of the deployed suppliers stays for ever. That of a channel goes when nothing is in it and nobody serves it, and what
//! waits in it goes elsewhere with the last who leaves: whoever puts a task into one shares its row, so that neither happens
//! meanwhile.

use super::columns::{Int, number};
use super::faults::Fault;
use super::limits::UNSERVED_TIMEOUT_MS;
use super::writer::Tx;
use crate::stored::tasks::Waiting;

impl Tx {
    /// The queue of the deployed suppliers; made when a task is there before its supplier.
    pub(super) async fn deployed_queue(&mut self, contract: i64) -> Result<i64, Fault> {
        let mine = self.found.deployed.get(&contract).copied();
        if let Some(known) = mine.or_else(|| self.memory.know(|names| names.deployed.get(&contract).copied()))
        {
            return Ok(known);
        }
        let queue = self.named_queue(contract, "").await?;
        self.found.deployed.insert(contract, queue);
        Ok(queue)
    }

    /// The queue of a channel; `''` is that of the deployed suppliers.
    pub(super) async fn named_queue(&self, contract: i64, channel: &str) -> Result<i64, Fault> {
        self.find_queue("SELECT id FROM queue WHERE contract = $1 AND channel = $2", contract, channel).await
    }

    /// The same, and nobody begins or ceases to serve it before this transaction ends.
    pub(super) async fn shared_queue(&self, contract: i64, channel: &str) -> Result<i64, Fault> {
        let find = "SELECT id FROM queue WHERE contract = $1 AND channel = $2 FOR SHARE";
        self.find_queue(find, contract, channel).await
    }

    async fn find_queue(&self, find: &str, contract: i64, channel: &str) -> Result<i64, Fault> {
        if let Some(queue) = self.connection.one(find, &[&contract, &channel], |row| number(row, 0)).await? {
            return Ok(queue);
        }
        let insert = "INSERT INTO queue (contract, channel, timeout_ms, paid_until_us, served_until)
                      VALUES ($1, $2, $3, 0, 0) ON CONFLICT DO NOTHING";
        self.connection.run(insert, &[&contract, &channel, &UNSERVED_TIMEOUT_MS]).await?;
        let found = self.connection.one(find, &[&contract, &channel], |row| number(row, 0)).await?;
        found.ok_or(Fault::Again("a queue"))
    }

    /// Locks queues whose limits or suppliers are about to change.
    pub(super) async fn lock_queues(&self, queues: &[i64]) -> Result<(), Fault> {
        let mut queues = queues.to_vec();
        queues.sort_unstable();
        queues.dedup();
        let lock = "SELECT id FROM queue WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
        let locked = self.connection.run(lock, &[&queues]).await?;
        // One that was found and is gone was forgotten with its channel meanwhile.
        if locked == queues.len() as u64 { Ok(()) } else { Err(Fault::Again("a queue")) }
    }

    /// Puts a task into a queue.
    pub(super) async fn enqueue(&self, queue: i64, waiting: &Waiting) -> Result<(), Fault> {
        let task = waiting.task;
        let put = "INSERT INTO task_ready (queue, priority, ready_at, tree, part, serial, attempt, operation, version,
                                           tree_version)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        self.connection
            .run(
                put,
                &[
                    &queue,
                    &Int(waiting.priority),
                    &waiting.ready_at,
                    &task.tree.0,
                    &Int::from(task.part),
                    &Int::from(task.serial),
                    &Int(waiting.attempt),
                    &Int(waiting.operation),
                    &waiting.version,
                    &waiting.tree_version,
                ],
            )
            .await
            .map(|_| ())
    }
}

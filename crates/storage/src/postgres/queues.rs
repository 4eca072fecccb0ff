//! Queues: which one a task waits in, and how it gets in.
//!
//! The queue of the deployed suppliers stays for ever. That of a channel goes when nothing is in it and nobody serves it, and what
//! waits in it goes elsewhere with the last who leaves: whoever puts a task into one shares its row, so that neither happens
//! meanwhile.

use sixpack_model::ids::TaskId;

use super::columns::{Int, number};
use super::faults::Fault;
use super::limits::UNSERVED_TIMEOUT_MS;
use super::marks::Pile;
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
        self.connection.later(insert, &[&contract, &channel, &UNSERVED_TIMEOUT_MS]).await?;
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
        self.enqueue_all(&[(queue, waiting)]).await
    }

    /// Puts tasks into queues, all at once.
    pub(super) async fn enqueue_all(&self, tasks: &[(i64, &Waiting)]) -> Result<(), Fault> {
        if tasks.is_empty() {
            return Ok(());
        }
        for (queue, task) in tasks {
            self.note_put(Pile::Queue(*queue, task.priority), task.ready_at);
        }
        let put = "INSERT INTO task_ready (queue, priority, ready_at, tree, part, serial, attempt, operation, version,
                                           tree_version)
                   SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::bigint[],
                                        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])";
        self.connection
            .later(
                put,
                &[
                    &tasks.iter().map(|(queue, _)| *queue).collect::<Vec<_>>(),
                    &each(tasks, |task| task.priority),
                    &each(tasks, |task| task.ready_at),
                    &each(tasks, |task| task.task.tree.0),
                    &each(tasks, |task| i64::from(task.task.part)),
                    &each(tasks, |task| i64::from(task.task.serial)),
                    &each(tasks, |task| task.attempt),
                    &each(tasks, |task| task.operation),
                    &each(tasks, |task| task.version),
                    &each(tasks, |task| task.tree_version),
                ],
            )
            .await
    }

    /// Takes a task out of whichever queue of its contract it waits in; false when it does not wait.
    ///
    /// Whoever hands it out at this moment is waited for. The queues are listed once: one that it is moved to meanwhile is among
    /// them.
    pub(super) async fn dequeue(
        &self,
        contract: i64,
        priority: i64,
        ready_at: i64,
        task: TaskId,
    ) -> Result<bool, Fault> {
        let take = "DELETE FROM task_ready
                    WHERE queue = ANY (ARRAY (SELECT id FROM queue WHERE contract = $1))
                      AND priority = $2 AND ready_at = $3 AND tree = $4 AND part = $5 AND serial = $6";
        let (part, serial) = (Int::from(task.part), Int::from(task.serial));
        let rows = self
            .connection
            .run(take, &[&contract, &Int(priority), &ready_at, &task.tree.0, &part, &serial])
            .await?;
        Ok(rows > 0)
    }
}

/// One column of all rows.
fn each<'t, T>(tasks: &[(i64, &'t Waiting)], column: impl Fn(&'t Waiting) -> T) -> Vec<T> {
    tasks.iter().map(|(_, waiting)| column(waiting)).collect()
}

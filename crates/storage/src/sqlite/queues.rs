//! Queues: which one a task waits in, and how it gets in and out.

use rusqlite::params;
use sixpack_model::ids::{TaskId, TreeId};

use super::limits::UNSERVED_TIMEOUT_MS;
use super::memory::{Queue, ServiceRow, place_of};
use super::statements::Statements;
use super::writer::Tx;
pub(super) use crate::stored::tasks::Waiting;

/// What a look into one priority of a queue found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Tasks to hand out, oldest first.
    pub(super) tasks: Vec<Waiting>,
    /// When the next one is ready.
    pub(super) next_at: Option<i64>,
}

impl Tx<'_> {
    /// The queue of the deployed suppliers; made when a task is there before its supplier.
    pub(super) fn deployed_queue(&mut self, contract: i64) -> rusqlite::Result<i64> {
        if let Some(queue) = self.memory.deployed.get(&contract) {
            return Ok(*queue);
        }
        let queue = self.named_queue(contract, "")?;
        self.memory.deployed.insert(contract, queue);
        Ok(queue)
    }

    /// The queue of a channel; `''` is that of the deployed suppliers.
    pub(super) fn named_queue(&self, contract: i64, channel: &str) -> rusqlite::Result<i64> {
        let find = "SELECT id FROM queue WHERE contract = ?1 AND channel = ?2";
        if let Some(queue) = self.connection.one(find, params![contract, channel], |row| row.get(0))? {
            return Ok(queue);
        }
        self.connection.run(
            "INSERT INTO queue (contract, channel, timeout_ms, paid_until_us, served_until)
             VALUES (?1, ?2, ?3, 0, 0)",
            params![contract, channel, UNSERVED_TIMEOUT_MS],
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Puts a task into a queue.
    pub(super) fn enqueue(&mut self, queue: i64, waiting: &Waiting) -> rusqlite::Result<()> {
        let task = waiting.task;
        self.connection.run(
            "INSERT INTO task_ready (queue, priority, ready_at, tree, part, serial, attempt, operation, version,
                                     tree_version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                queue,
                waiting.priority,
                waiting.ready_at,
                task.tree.0.as_bytes(),
                task.part,
                task.serial,
                waiting.attempt,
                waiting.operation,
                waiting.version,
                waiting.tree_version,
            ],
        )?;
        self.memory.expect_task(queue, waiting.priority, waiting.ready_at);
        Ok(())
    }

    /// Takes a task out of whichever queue of its contract it waits in; false when it does not wait.
    pub(super) fn dequeue(
        &self,
        contract: i64,
        priority: i64,
        ready_at: i64,
        task: TaskId,
    ) -> rusqlite::Result<bool> {
        let rows = self.connection.run(
            "DELETE FROM task_ready
             WHERE queue IN (SELECT id FROM queue WHERE contract = ?1)
               AND priority = ?2 AND ready_at = ?3 AND tree = ?4 AND part = ?5 AND serial = ?6",
            params![contract, priority, ready_at, task.tree.0.as_bytes(), task.part, task.serial],
        )?;
        Ok(rows > 0)
    }

    /// Finds up to `limit` tasks of one priority that are ready and that the service covers. They stay where they are.
    pub(super) fn look(
        &mut self,
        service: &ServiceRow,
        priority: i64,
        limit: usize,
    ) -> rusqlite::Result<Found> {
        let mut statement = self.connection.prepare_cached(
            "SELECT ready_at, version, tree, part, serial, attempt, operation, tree_version FROM task_ready
             WHERE queue = ?1 AND priority = ?2 ORDER BY ready_at, tree, part, serial",
        )?;
        let mut rows = statement.query(params![service.queue, priority])?;
        let mut found = Found::default();
        let mut left_behind = None;
        // The rows come one by one out of the index: no more of them are read than are looked at here.
        while let Some(row) = rows.next()? {
            let (ready_at, version): (i64, i64) = (row.get(0)?, row.get(1)?);
            let ready = ready_at <= self.now;
            if ready && service.covers(version, row.get(6)?) && found.tasks.len() < limit {
                let tree = TreeId(super::columns::id(row, 2)?);
                found.tasks.push(Waiting {
                    priority,
                    ready_at,
                    task: TaskId { tree, part: row.get(3)?, serial: row.get(4)? },
                    attempt: row.get(5)?,
                    operation: row.get(6)?,
                    version,
                    tree_version: row.get(7)?,
                });
                continue;
            }
            left_behind = left_behind.or(Some(ready_at));
            if !ready {
                found.next_at = Some(ready_at);
            }
            if !ready || found.tasks.len() == limit {
                break;
            }
        }
        drop(rows);
        drop(statement);
        if let Some(queue) = self.memory.queues.get_mut(&service.queue) {
            queue.quiet_until[place_of(priority)] = left_behind.unwrap_or(i64::MAX);
        }
        Ok(found)
    }

    /// A queue's limits, and when it is worth looking into.
    pub(super) fn queue(&mut self, queue: i64) -> rusqlite::Result<Queue> {
        if let Some(known) = self.memory.queues.get(&queue) {
            return Ok(known.clone());
        }
        let read = self
            .connection
            .prepare_cached("SELECT concurrency, rate_per_s, timeout_ms FROM queue WHERE id = ?1")?
            .query_row([queue], |row| {
                Ok(Queue {
                    concurrency: row.get(0)?,
                    rate_per_s: row.get(1)?,
                    timeout_ms: row.get(2)?,
                    quiet_until: [i64::MIN; 4],
                })
            })?;
        self.memory.queues.insert(queue, read.clone());
        Ok(read)
    }
}

//! Writes: one decision about one tree, turned into rows outside of the writer and written within it.

use rusqlite::{Row, params};
use sixpack_model::recheck::Recheck;

use super::codes::Code;
use super::columns::{parsed_of, unreadable};
use super::entities::owns_text;
use super::statements::Statements;
use super::writer::Tx;
use crate::stored::changes::TaskRow;
pub(super) use crate::stored::changes::{ChangeRow, OutcomeRow};
use crate::stored::rechecks::StoredRecheck;

/// Reads a recheck that is under way.
pub(super) fn read_recheck(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Recheck>> {
    let stored: Option<StoredRecheck<'_>> = parsed_of(row, column)?;
    stored.map(StoredRecheck::into_recheck).transpose().map_err(|cause| unreadable(column, cause))
}

impl Tx<'_> {
    /// Writes a tree that is new, with everything that was decided first.
    pub(super) fn insert_tree(&mut self, change: &ChangeRow) -> rusqlite::Result<()> {
        let environment = self.environment(&change.environment)?;
        let pins = self.pins(change.pins.as_deref().unwrap_or("{}"))?;
        self.connection.run(
            "INSERT INTO tree (id, version, environment, request, unit, priority, channel, pins, seed, unique_text,
                               status, lease, ending, made, due_at, fence, line, place, owns, takes_stock, ended_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 0, ?16, 0, ?17, ?18,
                     iif(?11 IN (9, 10), ?19, NULL))",
            params![
                change.tree.0.as_bytes(),
                change.version,
                environment,
                change.request.0.as_bytes(),
                change.unit,
                change.priority,
                change.channel,
                pins,
                change.seed,
                change.unique,
                change.status.code(),
                change.lease.as_ref().map(|lease| lease.0.as_bytes()),
                change.ending,
                change.made,
                change.due_at,
                change.line.map(|line| line.0),
                change.owns.as_deref().and_then(owns_text),
                change.takes_stock,
                self.now,
            ],
        )?;
        self.write_below(environment, change, None)
    }

    /// Writes what was decided about a tree that is there; its version has been checked. `claimed_at` is that of the
    /// claim that is given up with it.
    pub(super) fn update_tree(
        &mut self,
        change: &ChangeRow,
        claimed_at: Option<i64>,
    ) -> rusqlite::Result<()> {
        let environment = self.environment(&change.environment)?;
        self.connection.run(
            "UPDATE tree SET version = ?2, status = ?3, lease = ?4, ending = ?5, made = ?6, due_at = ?7, recheck = ?8,
                             owns = iif(?9, ?10, owns),
                             ended_at = iif(?3 IN (9, 10), coalesce(ended_at, ?11), NULL)
             WHERE id = ?1",
            params![
                change.tree.0.as_bytes(),
                change.version,
                change.status.code(),
                change.lease.as_ref().map(|lease| lease.0.as_bytes()),
                change.ending,
                change.made,
                change.due_at,
                change.recheck,
                change.owns.is_some(),
                change.owns.as_deref().and_then(owns_text),
                self.now,
            ],
        )?;
        if let Some(pins) = &change.pins {
            let pins = self.pins(pins)?;
            self.connection
                .run("UPDATE tree SET pins = ?2 WHERE id = ?1", params![change.tree.0.as_bytes(), pins])?;
        }
        self.write_below(environment, change, claimed_at)
    }

    fn write_below(
        &mut self,
        environment: i64,
        change: &ChangeRow,
        claimed_at: Option<i64>,
    ) -> rusqlite::Result<()> {
        for part in &change.created {
            self.insert_part(environment, change.tree, part)?;
        }
        for part in &change.changed {
            self.update_part(change.tree, part)?;
        }
        for task in &change.withdrawn {
            self.withdraw_task(environment, task)?;
        }
        for task in &change.ready {
            let contract = self.contract(environment, &task.contract)?;
            match &change.channel {
                Some(channel) if task.waiting.is_of_channel() => {
                    self.enqueue_in_channel(contract, channel, &task.waiting)?;
                }
                _ => {
                    let queue = self.deployed_queue(contract)?;
                    self.enqueue(queue, &task.waiting)?;
                }
            }
        }
        for (used, entities) in [(false, &change.entities), (true, &change.uses)] {
            for (part, kind, key) in entities {
                self.connection.run(
                    "INSERT INTO entity (environment, kind, key, tree, part, used) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT DO NOTHING",
                    params![environment, kind, key, change.tree.0.as_bytes(), part, used],
                )?;
            }
        }
        if let Some(found) = &change.found {
            self.hold_found(environment, change.tree, found)?;
        }
        change.events.iter().try_for_each(|event| self.tell_of(event, claimed_at))
    }

    /// Marks the claim of a task that nobody wants, or moves the waiting task aside. A task that is neither claimed nor
    /// waiting was given up by this very write.
    fn withdraw_task(&mut self, environment: i64, task: &TaskRow) -> rusqlite::Result<()> {
        let id = task.waiting.task;
        let claimed = self.connection.run(
            "UPDATE task_claim SET cancelled = 1 WHERE tree = ?1 AND part = ?2 AND serial = ?3",
            params![id.tree.0.as_bytes(), id.part, id.serial],
        )?;
        if claimed == 0 {
            let contract = self.contract(environment, &task.contract)?;
            if self.dequeue(contract, task.waiting.priority, task.waiting.ready_at, id)? {
                self.withdraw(id)?;
            }
        }
        Ok(())
    }
}

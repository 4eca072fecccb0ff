//! Writes: one decision about one tree, turned into rows before the transaction and written within it.
//!
//! Its tree is locked, and everything below a tree is written by whoever has locked it. What waits or is claimed is taken from
//! under the tree by others, each row by one statement.

use futures::future::{try_join, try_join4};
use sixpack_model::recheck::Recheck;
use tokio_postgres::Row;

use super::columns::{Int, number_of_code, parsed_of, unreadable};
use super::faults::Fault;
use super::writer::Tx;
use crate::stored::changes::{ChangeRow, TaskRow};
use crate::stored::entities::{Owned, owns_text};
use crate::stored::rechecks::StoredRecheck;
use crate::stored::tasks::Waiting;

/// Reads a recheck that is under way.
pub(super) fn read_recheck(row: &Row, column: usize) -> Result<Option<Recheck>, Fault> {
    let stored: Option<StoredRecheck<'_>> = parsed_of(row, column)?;
    stored.map(StoredRecheck::into_recheck).transpose().map_err(|cause| unreadable(column, cause))
}

/// What the rows below a tree refer to.
#[derive(Default)]
struct Below<'c> {
    /// The contracts of the parts that are new.
    contracts: Vec<i64>,
    /// What is to be done by deployed suppliers, with its queue.
    waiting: Vec<(i64, &'c Waiting)>,
}

impl Tx {
    /// Writes a tree that is new, with everything that was decided first.
    pub(super) async fn insert_tree(&mut self, change: &ChangeRow) -> Result<(), Fault> {
        let environment = self.environment(&change.environment).await?;
        let pins = self.pins(change.pins.as_deref().unwrap_or("{}")).await?;
        self.share_queues(environment, change).await?;
        let below = self.name_below(environment, change).await?;
        try_join(self.insert_root(environment, pins, change), self.write_below(environment, change, &below))
            .await?;
        self.write_behind(environment, change, None).await
    }

    /// Writes what was decided about a tree that is there; it is locked, and its version has been checked. `claimed_at` is that
    /// of the claim that is given up with it.
    pub(super) async fn update_tree(
        &mut self,
        change: &ChangeRow,
        claimed_at: Option<i64>,
    ) -> Result<(), Fault> {
        let environment = self.environment(&change.environment).await?;
        let pins = match &change.pins {
            Some(pins) => Some(self.pins(pins).await?),
            None => None,
        };
        let below = self.name_below(environment, change).await?;
        try_join(self.update_root(pins, change), self.write_below(environment, change, &below)).await?;
        self.write_behind(environment, change, claimed_at).await
    }

    async fn insert_root(&self, environment: i64, pins: i64, change: &ChangeRow) -> Result<(), Fault> {
        let insert = "INSERT INTO tree (id, version, environment, request, unit, priority, channel, pins, seed, unique_text,
                                        status, lease, ending, made, due_at, fence, line, place, owns, takes_stock,
                                        ended_at)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, $16, 0, $17, $18,
                              CASE WHEN $11::smallint IN (9, 10) THEN $19::bigint END)";
        self.connection
            .later(
                insert,
                &[
                    &change.tree.0,
                    &change.version,
                    &environment,
                    &change.request.0,
                    &i64::from(change.unit),
                    &Int(change.priority),
                    &change.channel,
                    &pins,
                    &change.seed,
                    &change.unique,
                    &number_of_code(change.status),
                    &change.lease.map(|lease| lease.0),
                    &change.ending.map(Int),
                    &i64::from(change.made),
                    &change.due_at,
                    &change.line.map(|line| line.0),
                    &change.owns.as_deref().and_then(owns_text),
                    &change.takes_stock,
                    &self.now,
                ],
            )
            .await
    }

    async fn update_root(&self, pins: Option<i64>, change: &ChangeRow) -> Result<(), Fault> {
        let update =
            "UPDATE tree SET version = $2, status = $3, lease = $4, ending = $5, made = $6, due_at = $7,
                                      recheck = $8, owns = CASE WHEN $9 THEN $10 ELSE owns END,
                                      pins = coalesce($11, pins),
                                      ended_at = CASE WHEN $3::smallint IN (9, 10) THEN coalesce(ended_at, $12::bigint) END
                      WHERE id = $1";
        self.connection
            .later(
                update,
                &[
                    &change.tree.0,
                    &change.version,
                    &number_of_code(change.status),
                    &change.lease.map(|lease| lease.0),
                    &change.ending.map(Int),
                    &i64::from(change.made),
                    &change.due_at,
                    &change.recheck,
                    &change.owns.is_some(),
                    &change.owns.as_deref().and_then(owns_text),
                    &pins,
                    &self.now,
                ],
            )
            .await
    }

    /// Shares the queues of channels into which tasks will be put, before any task is touched: whoever moves what waits in a
    /// queue has locked that first.
    pub(super) async fn share_queues(&mut self, environment: i64, change: &ChangeRow) -> Result<(), Fault> {
        let Some(channel) = &change.channel else { return Ok(()) };
        let mut contracts = Vec::new();
        for task in change.ready.iter().filter(|task| task.waiting.is_of_channel()) {
            contracts.push(self.contract(environment, &task.contract).await?);
        }
        contracts.sort_unstable();
        contracts.dedup();
        for contract in contracts {
            self.shared_queue(contract, channel).await?;
        }
        Ok(())
    }

    /// Finds out what the rows below a tree refer to, and takes away what waits for it and is not wanted any more.
    async fn name_below<'c>(&mut self, environment: i64, change: &'c ChangeRow) -> Result<Below<'c>, Fault> {
        let mut below = Below::default();
        for part in &change.created {
            below.contracts.push(self.contract(environment, &part.contract).await?);
        }
        for task in &change.withdrawn {
            self.withdraw_task(environment, task).await?;
        }
        for task in &change.ready {
            let contract = self.contract(environment, &task.contract).await?;
            match &change.channel {
                Some(channel) if task.waiting.is_of_channel() => {
                    self.enqueue_in_channel(contract, channel, &task.waiting).await?;
                }
                _ => below.waiting.push((self.deployed_queue(contract).await?, &task.waiting)),
            }
        }
        Ok(below)
    }

    /// Writes what lies below a tree, all at once.
    async fn write_below(
        &self,
        environment: i64,
        change: &ChangeRow,
        below: &Below<'_>,
    ) -> Result<(), Fault> {
        try_join4(
            self.insert_parts(change.tree, &change.created, &below.contracts),
            self.update_parts(change.tree, &change.changed),
            self.insert_entities(environment, change),
            self.enqueue_all(&below.waiting),
        )
        .await
        .map(|_| ())
    }

    /// Writes what others may wait for, or read in the order in which it was written.
    async fn write_behind(
        &mut self,
        environment: i64,
        change: &ChangeRow,
        claimed_at: Option<i64>,
    ) -> Result<(), Fault> {
        if let Some(found) = &change.found {
            self.hold_found(environment, change.tree, found).await?;
        }
        self.tell_of(&change.events, claimed_at);
        Ok(())
    }

    /// Writes by which entities the parts are found. What a part has made and was given as well, it has made.
    async fn insert_entities(&self, environment: i64, change: &ChangeRow) -> Result<(), Fault> {
        let made = change.entities.iter().map(|entity| (false, entity));
        let rows: Vec<(bool, &Owned)> = made.chain(change.uses.iter().map(|entity| (true, entity))).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let parts: Vec<i64> = rows.iter().map(|(_, (part, ..))| (*part).into()).collect();
        let kinds: Vec<&str> = rows.iter().map(|(_, (_, kind, _))| kind.as_str()).collect();
        let keys: Vec<&str> = rows.iter().map(|(_, (.., key))| key.as_str()).collect();
        let used: Vec<bool> = rows.iter().map(|(used, _)| *used).collect();
        let insert = "INSERT INTO entity (environment, kind, key, tree, part, used)
                      SELECT $1::bigint, e.kind, e.key, $2::uuid, e.part, bool_and(e.used)
                      FROM unnest($3::text[], $4::text[], $5::bigint[], $6::boolean[]) AS e (kind, key, part, used)
                      GROUP BY e.kind, e.key, e.part ON CONFLICT DO NOTHING";
        let tree = &change.tree.0;
        self.connection.later(insert, &[&environment, tree, &kinds, &keys, &parts, &used]).await
    }

    /// Marks the claim of a task that nobody wants, or moves the waiting task aside. A task that is neither claimed nor
    /// waiting was given up by this very write.
    ///
    /// It may be handed out, or given back, while it is looked for. Each look waits for whoever has it in hand, and sees what
    /// they have done; two rounds find it, unless it is handed out and given back again between any two of these statements.
    /// Then it is carried out, and its answer is one that nobody waits for.
    async fn withdraw_task(&mut self, environment: i64, task: &TaskRow) -> Result<(), Fault> {
        let id = task.waiting.task;
        let contract = self.contract(environment, &task.contract).await?;
        let (part, serial) = (Int::from(id.part), Int::from(id.serial));
        let cancel = "UPDATE task_claim SET cancelled = true WHERE tree = $1 AND part = $2 AND serial = $3";
        for _ in 0..2 {
            if self.connection.run(cancel, &[&id.tree.0, &part, &serial]).await? > 0 {
                return Ok(());
            }
            if self.dequeue(contract, task.waiting.priority, task.waiting.ready_at, id).await? {
                return self.withdraw(id).await;
            }
        }
        Ok(())
    }
}

//! Taking: a new request is given what was found for it.

use rusqlite::params;
use serde_json::json;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TaskId, TreeId};
use sixpack_model::request::Request;
use sixpack_model::tree::PartStatus;

use super::codes::Code;
use super::columns::{id, int, parsed_of, unsigned};
use super::events::EventRow;
use super::looking::Found;
use super::outcomes::{Grant, Terms};
use super::queues::Waiting;
use super::statements::Statements;
use super::writer::Tx;
use crate::requests::{How, Served, Taken};

impl Tx<'_> {
    /// Gives a request what was found for its units, from one on.
    pub(super) fn take(
        &mut self,
        request: &Request,
        first: u32,
        found: &[Found],
    ) -> rusqlite::Result<Vec<Taken>> {
        let mut all = Vec::new();
        for (unit, found) in (first..).zip(found) {
            match *found {
                Found::Own { .. } => {}
                Found::Ready { line, ready_at, tree } => {
                    self.take_out(line, ready_at, tree)?;
                    let version = self.rehome(tree, request, unit)?;
                    all.push(Taken { unit, tree, version, line, how: How::Ready });
                }
                Found::Due { line, ready_at, tree } => {
                    self.take_out(line, ready_at, tree)?;
                    let version = self.rehome(tree, request, unit)?;
                    let suspect = "UPDATE tree SET status = ?2 WHERE id = ?1";
                    self.connection.run(suspect, params![tree.0.as_bytes(), PartStatus::Suspect.code()])?;
                    all.push(Taken { unit, tree, version, line, how: How::Suspect });
                }
                Found::Coming { line, tree } => {
                    let version = self.take_over(line, tree, request, unit)?;
                    all.push(Taken { unit, tree, version, line, how: How::Coming });
                }
            }
        }
        Ok(all)
    }

    /// Leases what a request takes, all of which is in stock, without ever being in its hands before that.
    pub(super) fn take_all_leased(
        &mut self,
        request: &Request,
        found: &[Found],
        leases: &[LeaseId],
    ) -> rusqlite::Result<Served> {
        let environment = self.environment(&request.environment)?;
        let mut served = Served { taken: Vec::with_capacity(found.len()), leases: None };
        let mut granted = Vec::with_capacity(found.len());
        for ((unit, found), lease) in (0u32..).zip(found).zip(leases) {
            let Found::Ready { line, ready_at, tree } = *found else {
                unreachable!("everything is in stock");
            };
            self.take_out(line, ready_at, tree)?;
            let mut read = self
                .connection
                .prepare_cached("SELECT fence + 1, version + 1, owns FROM tree WHERE id = ?1")?;
            let (counter, version, owns) = read.query_row([tree.0.as_bytes()], |row| {
                Ok((unsigned(row, 0)?, unsigned(row, 1)?, parsed_of(row, 2)?.unwrap_or_default()))
            })?;
            self.connection.run(
                "UPDATE tree SET version = ?2, status = ?3, lease = ?4, fence = ?5, request = ?6, unit = ?7,
                                 priority = ?8, place = 0
                 WHERE id = ?1",
                params![
                    tree.0.as_bytes(),
                    int(version),
                    PartStatus::Leased.code(),
                    lease.0.as_bytes(),
                    int(counter),
                    request.id.0.as_bytes(),
                    unit,
                    request.priority.code(),
                ],
            )?;
            let terms = Terms {
                request: request.id,
                ttl_ms: int(request.ttl_ms),
                holder: &request.holder,
                token: request.token,
            };
            let grant = Grant { tree, unit, counter, owns };
            granted.push(self.insert_lease(environment, &request.environment, &terms, &grant, *lease)?);
            served.taken.push(Taken { unit, tree, version, line, how: How::Ready });
        }
        served.leases = Some(granted);
        Ok(served)
    }

    fn take_out(&self, line: LineId, ready_at: i64, tree: TreeId) -> rusqlite::Result<()> {
        let rows = self.connection.run(
            "DELETE FROM stock WHERE line = ?1 AND ready_at = ?2 AND tree = ?3",
            params![line.0, ready_at, tree.0.as_bytes()],
        )?;
        debug_assert_eq!(rows, 1, "nothing else writes between the look and this");
        Ok(())
    }

    /// From now on the tree belongs to a request; returns its version.
    fn rehome(&self, tree: TreeId, request: &Request, unit: u32) -> rusqlite::Result<u64> {
        let version = self
            .connection
            .prepare_cached("SELECT version + 1 FROM tree WHERE id = ?1")?
            .query_row([tree.0.as_bytes()], |row| unsigned(row, 0))?;
        self.connection.run(
            "UPDATE tree SET version = ?2, request = ?3, unit = ?4, priority = ?5, place = 0 WHERE id = ?1",
            params![tree.0.as_bytes(), int(version), request.id.0.as_bytes(), unit, request.priority.code()],
        )?;
        Ok(version)
    }

    /// A dataset that is being made for stock is made for a request from now on; what has refilled stock with it is done.
    fn take_over(
        &mut self,
        line: LineId,
        tree: TreeId,
        request: &Request,
        unit: u32,
    ) -> rusqlite::Result<u64> {
        let before: Option<RequestId> =
            self.connection.one("SELECT request FROM tree WHERE id = ?1", [tree.0.as_bytes()], |row| {
                id(row, 0).map(RequestId)
            })?;
        let standing = self.standing(tree)?.expect("a tree that is coming is there");
        self.leave_place(tree, standing)?;
        let version = self.rehome(tree, request, unit)?;
        self.wait_in_line(tree, line)?;
        self.reprioritise(tree, request.priority.code())?;
        let before = before.expect("a tree that is coming is there");
        let data = json!({ "taken_by": request.id.to_string() });
        self.end_refill(&request.environment, before, &data)?;
        let told = EventRow::told(
            self.now,
            &request.environment,
            "dataset.taken_over",
            request.id,
            Some(tree),
            &json!({ "from": before.to_string() }),
        );
        self.tell(&told)?;
        Ok(version)
    }

    /// Moves the open tasks of a tree to another priority.
    pub(super) fn reprioritise(&mut self, tree: TreeId, priority: i64) -> rusqlite::Result<()> {
        let tasks = self.connection.all(
            "SELECT part, contract, detail ->> '$.task.serial', detail ->> '$.task.priority',
                    detail ->> '$.task.ready_at'
             FROM dataset WHERE tree = ?1 AND detail ->> '$.task.serial' IS NOT NULL",
            [tree.0.as_bytes()],
            |row| {
                let task = TaskId { tree, part: row.get(0)?, serial: row.get(2)? };
                Ok((task, row.get::<_, i64>(1)?, row.get::<_, i64>(3)?, row.get::<_, i64>(4)?))
            },
        )?;
        for (task, contract, before, ready_at) in tasks {
            let waited = self.connection.one(
                "DELETE FROM task_ready
                 WHERE queue IN (SELECT id FROM queue WHERE contract = ?1)
                   AND priority = ?2 AND ready_at = ?3 AND tree = ?4 AND part = ?5 AND serial = ?6
                 RETURNING queue, attempt, operation, version, tree_version",
                params![contract, before, ready_at, tree.0.as_bytes(), task.part, task.serial],
                |row| {
                    let (attempt, operation) = (row.get(1)?, row.get(2)?);
                    let (version, tree_version) = (row.get(3)?, row.get(4)?);
                    let waiting =
                        Waiting { priority, ready_at, task, attempt, operation, version, tree_version };
                    Ok((row.get::<_, i64>(0)?, waiting))
                },
            )?;
            match waited {
                Some((queue, waiting)) => self.enqueue(queue, &waiting)?,
                // Given back, it waits at the new priority as well.
                None => {
                    self.connection.run(
                        "UPDATE task_claim SET priority = ?4 WHERE tree = ?1 AND part = ?2 AND serial = ?3",
                        params![tree.0.as_bytes(), task.part, task.serial, priority],
                    )?;
                }
            }
            self.connection.run(
                "UPDATE dataset SET detail = json_set(detail, '$.task.priority', ?3) WHERE tree = ?1 AND part = ?2",
                params![tree.0.as_bytes(), task.part, priority],
            )?;
        }
        Ok(())
    }
}

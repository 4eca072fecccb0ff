//! Taking: a new request is given what was found for it.
//!
//! What was found is held by this transaction since it was found ([`super::looking`]): the rows of stock, the trees, and the
//! requests that refill with what is being made.

use std::collections::HashMap;

use serde_json::json;
use sixpack_model::ids::{LineId, RequestId, TaskId, TreeId};
use sixpack_model::lease::Lease;
use sixpack_model::request::Request;
use sixpack_model::tree::PartStatus;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{Int, get, id, int, number, number_of_code, parsed, parsed_of};
use super::faults::Fault;
use super::marks::Pile;
use super::statements::Params;
use super::writer::Tx;
use crate::requests::{How, Served, Taken};
use crate::stored::accepting::{Found, NewRequestRow};
use crate::stored::codes::Code;
use crate::stored::entities::Owned;
use crate::stored::events::EventRow;
use crate::stored::grants::{Grant, Granting, Terms};
use crate::stored::parts::{Detail, OpenTask};
use crate::stored::tasks::Waiting;

/// A dataset in stock that was found for a unit.
struct InStock {
    unit: u32,
    line: LineId,
    ready_at: i64,
    tree: TreeId,
    how: How,
}

/// A request of which everything is in stock, and what was found for it.
pub(super) struct Handed<'h> {
    pub(super) new: &'h NewRequestRow,
    pub(super) found: &'h [Found],
}

impl Tx {
    /// Gives a request what was found for its units, from one on.
    pub(super) async fn take(
        &mut self,
        request: &Request,
        first: u32,
        found: &[Found],
    ) -> Result<Vec<Taken>, Fault> {
        let (mut all, mut in_stock) = (Vec::new(), Vec::new());
        for (unit, found) in (first..).zip(found) {
            match *found {
                Found::Own { .. } => {}
                Found::Ready { line, ready_at, tree } => {
                    in_stock.push(InStock { unit, line, ready_at, tree, how: How::Ready });
                }
                Found::Due { line, ready_at, tree } => {
                    in_stock.push(InStock { unit, line, ready_at, tree, how: How::Suspect });
                }
                Found::Coming { line, tree } => {
                    let version = self.take_over(line, tree, request, unit).await?;
                    all.push(Taken { unit, tree, version, line, how: How::Coming });
                }
            }
        }
        if !in_stock.is_empty() {
            self.take_out(in_stock.iter()).await?;
            let homes: Vec<_> =
                in_stock.iter().map(|found| (found.tree, found.unit, found.how == How::Suspect)).collect();
            let versions = self.rehome(request, &homes).await?;
            all.extend(in_stock.into_iter().map(|InStock { unit, line, tree, how, .. }| {
                let version = versions[&tree];
                Taken { unit, tree, version, line, how }
            }));
            all.sort_by_key(|taken| taken.unit);
        }
        Ok(all)
    }

    /// Leases what each of these requests takes, all of which is in stock, without ever being in their hands before that. They are
    /// of one environment.
    pub(super) async fn take_all_leased(&mut self, handed: &[Handed<'_>]) -> Result<Vec<Served>, Fault> {
        let Some(first) = handed.first() else { return Ok(Vec::new()) };
        let name = &first.new.request.environment;
        let environment = self.environment(name).await?;
        let mut in_stock: Vec<(usize, InStock)> = Vec::new();
        for (place, one) in handed.iter().enumerate() {
            in_stock.extend((0u32..).zip(one.found).map(|(unit, found)| match *found {
                Found::Ready { line, ready_at, tree } => {
                    (place, InStock { unit, line, ready_at, tree, how: How::Ready })
                }
                _ => unreachable!("everything is in stock"),
            }));
        }
        self.take_out(in_stock.iter().map(|(_, found)| found)).await?;
        let mut rows = self.mark_leased(handed, &in_stock).await?;
        let (mut granting, mut taken) = (Vec::new(), Vec::new());
        for (place, InStock { unit, line, tree, how, .. }) in in_stock {
            let NewRequestRow { request, leases, .. } = handed[place].new;
            let (counter, version, owns) = rows.remove(&tree).ok_or(Fault::Again("what is in stock"))?;
            let terms = Terms {
                request: request.id,
                ttl_ms: int(request.ttl_ms),
                holder: &request.holder,
                token: request.token,
            };
            let grant = Grant { tree, unit, counter, owns };
            granting.push(Granting { terms, grant, lease: leases[unit as usize] });
            taken.push((place, Taken { unit, tree, version, line, how }));
        }
        let granted = self.insert_leases(environment, name, &granting).await?;
        let mut served: Vec<(Vec<Taken>, Vec<Lease>)> = handed.iter().map(|_| Default::default()).collect();
        for ((place, taken), lease) in taken.into_iter().zip(granted) {
            served[place].0.push(taken);
            served[place].1.push(lease);
        }
        Ok(served.into_iter().map(|(taken, leases)| Served { taken, leases: Some(leases) }).collect())
    }

    /// Marks trees as leased; returns the number of the lease, the version and what it owns of each.
    async fn mark_leased(
        &self,
        handed: &[Handed<'_>],
        in_stock: &[(usize, InStock)],
    ) -> Result<HashMap<TreeId, (u64, u64, Vec<Owned>)>, Fault> {
        let lease =
            "UPDATE tree t SET version = t.version + 1, status = $1, lease = g.lease, fence = t.fence + 1,
                                       request = g.request, unit = g.unit, priority = g.priority, place = 0
                     FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::bigint[])
                          AS g (tree, unit, lease, request, priority)
                     WHERE t.id = g.tree RETURNING t.id, t.fence, t.version, t.owns";
        let trees: Vec<Uuid> = in_stock.iter().map(|(_, found)| found.tree.0).collect();
        let units: Vec<i64> = in_stock.iter().map(|(_, found)| i64::from(found.unit)).collect();
        let of = |place: usize| &handed[place].new;
        let leases: Vec<Uuid> =
            in_stock.iter().map(|(place, found)| of(*place).leases[found.unit as usize].0).collect();
        let requests: Vec<Uuid> = in_stock.iter().map(|(place, _)| of(*place).request.id.0).collect();
        let priorities: Vec<i64> =
            in_stock.iter().map(|(place, _)| of(*place).request.priority.code()).collect();
        let read = |row: &Row| {
            let owns: Vec<Owned> = parsed_of(row, 3)?.unwrap_or_default();
            Ok((TreeId(id(row, 0)?), (number::<u64>(row, 1)?, number::<u64>(row, 2)?, owns)))
        };
        let leased: Int = number_of_code(PartStatus::Leased);
        let values: Params<'_> = &[&leased, &trees, &units, &leases, &requests, &priorities];
        Ok(self.connection.all(lease, values, read).await?.into_iter().collect())
    }

    async fn take_out<'f>(&self, found: impl Iterator<Item = &'f InStock> + Send) -> Result<(), Fault> {
        let found: Vec<&InStock> = found.collect();
        for InStock { line, ready_at, .. } in &found {
            self.note_taken(Pile::Line(line.0), 1, *ready_at);
        }
        let lines: Vec<i64> = found.iter().map(|found| found.line.0).collect();
        let times: Vec<i64> = found.iter().map(|found| found.ready_at).collect();
        let trees: Vec<Uuid> = found.iter().map(|found| found.tree.0).collect();
        let take = "DELETE FROM stock s USING unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS g (line, ready_at, tree)
                    WHERE s.line = g.line AND s.ready_at = g.ready_at AND s.tree = g.tree";
        // They are held since they were found.
        let (rows, what) = (found.len() as u64, Some("what is in stock"));
        self.connection.later_all(take, &[&lines, &times, &trees], rows, what).await
    }

    /// From now on the trees belong to a request, at these units, some of them as suspects; returns their versions.
    async fn rehome(
        &self,
        request: &Request,
        homes: &[(TreeId, u32, bool)],
    ) -> Result<HashMap<TreeId, u64>, Fault> {
        let go = "UPDATE tree t SET version = t.version + 1, request = $1, unit = g.unit, priority = $2, place = 0,
                                    status = CASE WHEN g.suspect THEN $3 ELSE t.status END
                  FROM unnest($4::uuid[], $5::bigint[], $6::boolean[]) AS g (tree, unit, suspect) WHERE t.id = g.tree
                  RETURNING t.id, t.version";
        let trees: Vec<Uuid> = homes.iter().map(|(tree, ..)| tree.0).collect();
        let units: Vec<i64> = homes.iter().map(|(_, unit, _)| i64::from(*unit)).collect();
        let suspects: Vec<bool> = homes.iter().map(|(.., suspect)| *suspect).collect();
        let (priority, suspect) = (number_of_code(request.priority), number_of_code(PartStatus::Suspect));
        let read = |row: &Row| Ok((TreeId(id(row, 0)?), number(row, 1)?));
        let versions = self
            .connection
            .all(go, &[&request.id.0, &priority, &suspect, &trees, &units, &suspects], read)
            .await?;
        if versions.len() == homes.len() {
            Ok(versions.into_iter().collect())
        } else {
            Err(Fault::Again("what was found"))
        }
    }

    /// A dataset that is being made for stock is made for a request from now on; what has refilled stock with it is done.
    async fn take_over(
        &mut self,
        line: LineId,
        tree: TreeId,
        request: &Request,
        unit: u32,
    ) -> Result<u64, Fault> {
        let read = "SELECT request FROM tree WHERE id = $1";
        let before = self.connection.one(read, &[&tree.0], |row| get(row, 0).map(RequestId)).await?;
        let before = before.expect("a tree that is coming is there");
        let standing = self.standing(tree).await?.expect("a tree that is coming is there");
        self.leave_place(tree, standing).await?;
        let version = self.rehome(request, &[(tree, unit, false)]).await?[&tree];
        self.wait_in_line(tree, line).await?;
        self.reprioritise(tree, request.priority.code()).await?;
        let data = json!({ "taken_by": request.id.to_string() });
        self.end_refill(&request.environment, before, &data).await?;
        let data = json!({ "from": before.to_string() });
        let (environment, kind) = (&request.environment, "dataset.taken_over");
        self.tell(&EventRow::told(self.now, environment, kind, request.id, Some(tree), &data));
        Ok(version)
    }

    /// Moves the open tasks of a tree to another priority, those that wait and those that somebody has: given back, they wait at
    /// the new priority as well. One that is handed out at this moment goes on at the old one.
    pub(super) async fn reprioritise(&mut self, tree: TreeId, priority: i64) -> Result<(), Fault> {
        let list = "SELECT part, contract, detail FROM dataset
                    WHERE tree = $1 AND detail::json #>> '{task,serial}' IS NOT NULL";
        let read = |row: &Row| {
            let (part, contract) = (number::<u32>(row, 0)?, number::<i64>(row, 1)?);
            let detail: Detail<'_> = parsed(row, 2)?;
            Ok(detail.reprioritised(priority).map(|(task, detail)| (part, contract, task, detail)))
        };
        let tasks = self.connection.all(list, &[&tree.0], read).await?;
        let (mut parts, mut details) = (Vec::new(), Vec::new());
        let mut waiting: Vec<(i64, Waiting)> = Vec::new();
        for (part, contract, task, detail) in tasks.into_iter().flatten() {
            parts.push(i64::from(part));
            details.push(detail);
            let OpenTask { serial, ready_at, priority: before } = task;
            let task = TaskId { tree, part, serial };
            let take = "DELETE FROM task_ready
                        WHERE queue = ANY (ARRAY (SELECT id FROM queue WHERE contract = $1))
                          AND priority = $2 AND ready_at = $3 AND tree = $4 AND part = $5 AND serial = $6
                        RETURNING queue, attempt, operation, version, tree_version";
            let (part, serial) = (Int::from(task.part), Int::from(task.serial));
            let read = |row: &Row| {
                let (attempt, operation) = (number(row, 1)?, number(row, 2)?);
                let (version, tree_version) = (number(row, 3)?, number(row, 4)?);
                let waiting = Waiting { priority, ready_at, task, attempt, operation, version, tree_version };
                Ok((number::<i64>(row, 0)?, waiting))
            };
            let key = (Int(before), tree.0);
            let waited = self
                .connection
                .one(take, &[&contract, &key.0, &ready_at, &key.1, &part, &serial], read)
                .await?;
            match waited {
                Some(waited) => waiting.push(waited),
                None => {
                    let claimed =
                        "UPDATE task_claim SET priority = $4 WHERE tree = $1 AND part = $2 AND serial = $3";
                    self.connection.later(claimed, &[&tree.0, &part, &serial, &Int(priority)]).await?;
                }
            }
        }
        let waiting: Vec<(i64, &Waiting)> = waiting.iter().map(|(queue, task)| (*queue, task)).collect();
        self.enqueue_all(&waiting).await?;
        let write =
            "UPDATE dataset d SET detail = p.detail FROM unnest($2::bigint[], $3::text[]) AS p (part, detail)
                     WHERE d.tree = $1 AND d.part = p.part";
        self.connection.later(write, &[&tree.0, &parts, &details]).await
    }
}

//! Placing: where a dataset is kept once it is made for stock, and who gets it when somebody waits.

use rusqlite::params;
use serde_json::json;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::request::{Priority, RequestStatus};
use sixpack_model::tree::PartStatus;

use super::codes::Code;
use super::columns::{code, id};
use super::events::EventRow;
use super::statements::Statements;
use super::writer::Tx;
use super::writes::ChangeRow;
pub(super) use crate::stored::places::{Place, ReadinessRow, Standing};
use crate::trees::{Guard, RequestAfter};

/// A tree that waits in line for one that is ready earlier.
struct Waiter {
    request: RequestId,
    unit: u32,
    tree: TreeId,
}

impl Tx<'_> {
    /// The version of a tree, and where it is kept.
    pub(super) fn standing(&self, tree: TreeId) -> rusqlite::Result<Option<Standing>> {
        let read = "SELECT version, line, place FROM tree WHERE id = ?1";
        self.connection.one(read, [tree.0.as_bytes()], |row| {
            Ok(Standing {
                version: row.get(0)?,
                line: row.get::<_, Option<i64>>(1)?.map(LineId),
                place: Place::from_code(row.get(2)?),
            })
        })
    }

    /// Brings a dataset that is ready into stock; or to whoever has waited longest for one of its line, whose own then
    /// takes its place.
    pub(super) fn bring_to_stock(
        &mut self,
        change: &ChangeRow,
        readiness: &ReadinessRow,
        from: Standing,
        leases: &[LeaseId],
    ) -> rusqlite::Result<RequestAfter> {
        let line = from.line.expect("only a tree of a line goes into stock");
        self.connection.run("DELETE FROM stock_trouble WHERE line = ?1", [line.0])?;
        if from.place == Place::Coming {
            self.end_shared_trouble(change.tree)?;
        }
        // Its request may have ended while it was still being made: somebody wants it now, or stock does.
        self.connection.run("DELETE FROM tree_unwanted WHERE tree = ?1", [change.tree.0.as_bytes()])?;
        if let Some(waiter) = self.first_waiter(line, change.tree)? {
            return self.exchange(change, from, line, &waiter, leases);
        }
        let came_back = self.comes_back(change.tree, line, from)?;
        self.leave_lists(change.tree, from)?;
        self.put_in_stock(change, line, readiness, came_back)?;
        Ok(RequestAfter::Stocked)
    }

    /// Whether what comes into stock was made for it, or is there again. What was asked about because its contract has changed was
    /// in stock all the while: it is what it was before.
    fn comes_back(&self, tree: TreeId, line: LineId, from: Standing) -> rusqlite::Result<bool> {
        match from.place {
            Place::Coming => Ok(false),
            Place::Request | Place::Waiting | Place::Stock => Ok(true),
            Place::Apart => {
                let before = "SELECT came_back FROM stock_coming WHERE line = ?1 AND tree = ?2";
                let before =
                    self.connection.one(before, params![line.0, tree.0.as_bytes()], |row| row.get(0))?;
                Ok(before.unwrap_or(true))
            }
        }
    }

    /// Writes that a dataset is in stock.
    pub(super) fn put_in_stock(
        &self,
        change: &ChangeRow,
        line: LineId,
        readiness: &ReadinessRow,
        came_back: bool,
    ) -> rusqlite::Result<()> {
        self.set_place(change.tree, Place::Stock)?;
        self.connection.run(
            "INSERT INTO stock (line, ready_at, tree, version, pins, checked_at, fresh_until, selectable, imported, came_back)
             SELECT ?1, ?2, id, ?4, pins, ?5, ?6, ?7, ?8, ?9 FROM tree WHERE id = ?3",
            params![
                line.0,
                readiness.ready_at,
                change.tree.0.as_bytes(),
                change.root_version,
                readiness.checked_at,
                readiness.fresh_until,
                readiness.selectable,
                change.imported,
                came_back,
            ],
        )?;
        Ok(())
    }

    /// Takes a tree out of the lists that it stands in because of where it is kept; it is with its request from then on.
    pub(super) fn leave_place(&self, tree: TreeId, from: Standing) -> rusqlite::Result<()> {
        self.leave_lists(tree, from)?;
        if from.place == Place::Request { Ok(()) } else { self.set_place(tree, Place::Request) }
    }

    /// Takes a tree out of the lists that it stands in because of where it is kept, for whoever says where it is from then on.
    /// What is apart, or in stock, may not be with its request, not even for a moment: another tree may have its unit.
    pub(super) fn leave_lists(&self, tree: TreeId, from: Standing) -> rusqlite::Result<()> {
        let Some(line) = from.line else { return Ok(()) };
        match from.place {
            Place::Request => {}
            // One that is asked about, and may come into stock again, counts as coming.
            Place::Coming | Place::Apart => {
                let leave = "DELETE FROM stock_coming WHERE line = ?1 AND tree = ?2";
                self.connection.run(leave, params![line.0, tree.0.as_bytes()])?;
            }
            Place::Waiting => {
                self.connection.run(
                    "DELETE FROM stock_waiting
                     WHERE (line, priority, request, unit) IN (
                         SELECT t.line, t.priority, t.request, t.unit FROM tree t WHERE t.id = ?1)",
                    [tree.0.as_bytes()],
                )?;
            }
            // Whoever knows when it was made finds it faster.
            Place::Stock => {
                let leave = "DELETE FROM stock WHERE line = ?1 AND tree = ?2";
                self.connection.run(leave, params![line.0, tree.0.as_bytes()])?;
            }
        }
        Ok(())
    }

    pub(super) fn set_place(&self, tree: TreeId, place: Place) -> rusqlite::Result<()> {
        let write = "UPDATE tree SET place = ?2 WHERE id = ?1";
        self.connection.run(write, params![tree.0.as_bytes(), place.code()]).map(|_| ())
    }

    /// Puts a tree that is with its request in line for one that is ready earlier.
    pub(super) fn wait_in_line(&self, tree: TreeId, line: LineId) -> rusqlite::Result<()> {
        self.connection.run(
            "INSERT INTO stock_waiting (line, priority, request, unit, tree)
             SELECT ?2, priority, request, unit, id FROM tree WHERE id = ?1",
            params![tree.0.as_bytes(), line.0],
        )?;
        let write = "UPDATE tree SET line = ?2, place = ?3 WHERE id = ?1";
        self.connection.run(write, params![tree.0.as_bytes(), line.0, Place::Waiting.code()]).map(|_| ())
    }

    /// A dataset whose lease has ended and that is not taken down belongs to no request any more.
    pub(super) fn leave_lease(
        &self,
        guard: &Guard,
        change: &ChangeRow,
        from: Standing,
    ) -> rusqlite::Result<Standing> {
        if !matches!(guard, Guard::Lease(_) | Guard::Overdue(_)) || change.ending.is_some() {
            return Ok(from);
        }
        self.set_place(change.tree, Place::Apart)?;
        Ok(Standing { place: Place::Apart, ..from })
    }

    /// A dataset in stock was found to hold.
    pub(super) fn note_confirmed(
        &self,
        line: LineId,
        tree: TreeId,
        readiness: &ReadinessRow,
    ) -> rusqlite::Result<()> {
        self.connection.run(
            "UPDATE stock SET checked_at = ?4, fresh_until = ?5 WHERE line = ?1 AND ready_at = ?2 AND tree = ?3",
            params![
                line.0,
                readiness.ready_at,
                tree.0.as_bytes(),
                readiness.checked_at,
                readiness.fresh_until
            ],
        )?;
        Ok(())
    }

    /// A dataset in stock is set aside.
    pub(super) fn leave_stock(&self, change: &ChangeRow, from: Standing) -> rusqlite::Result<()> {
        let line = from.line.expect("what is in stock has a line");
        let leave = "DELETE FROM stock WHERE line = ?1 AND ready_at = ?2 AND tree = ?3";
        self.connection.run(leave, params![line.0, change.root_ready_at, change.tree.0.as_bytes()])?;
        self.set_place(change.tree, Place::Apart)
    }

    /// A dataset that was on its way to a request is set aside, and another one is needed in its place.
    pub(super) fn leave_vacant(&self, change: &ChangeRow) -> rusqlite::Result<()> {
        self.set_place(change.tree, Place::Apart)?;
        self.leave_unit_vacant(change)
    }

    /// The unit of a request has no dataset any more.
    pub(super) fn leave_unit_vacant(&self, change: &ChangeRow) -> rusqlite::Result<()> {
        let vacant = "INSERT INTO unit_vacant (request, unit) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.connection.run(vacant, params![change.request.0.as_bytes(), change.unit]).map(|_| ())
    }

    /// A dataset that is ready cannot be handed over now, and another one is needed in its place. It is asked about before
    /// it goes back into stock; one that was not made for any is taken down.
    pub(super) fn leave_unit(&self, tree: TreeId, request: RequestId, unit: u32) -> rusqlite::Result<()> {
        self.connection.run(
            "UPDATE tree SET version = version + 1, status = ?2, place = ?3 WHERE id = ?1",
            params![tree.0.as_bytes(), PartStatus::Suspect.code(), Place::Apart.code()],
        )?;
        let no_line = "SELECT 1 FROM tree WHERE id = ?1 AND line IS NULL";
        if self.connection.one(no_line, [tree.0.as_bytes()], |_| Ok(()))?.is_some() {
            self.set_unwanted(tree)?;
        }
        let vacant = "INSERT INTO unit_vacant (request, unit) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.connection.run(vacant, params![request.0.as_bytes(), unit]).map(|_| ())
    }

    fn first_waiter(&self, line: LineId, but: TreeId) -> rusqlite::Result<Option<Waiter>> {
        self.connection.one(
            "SELECT request, unit, tree FROM stock_waiting WHERE line = ?1 AND tree <> ?2
             ORDER BY priority, request, unit LIMIT 1",
            params![line.0, but.0.as_bytes()],
            |row| {
                Ok(Waiter { request: RequestId(id(row, 0)?), unit: row.get(1)?, tree: TreeId(id(row, 2)?) })
            },
        )
    }

    /// The tree that is ready goes to the request that waits, and the one that is being made for that takes its place.
    fn exchange(
        &mut self,
        change: &ChangeRow,
        from: Standing,
        line: LineId,
        waiter: &Waiter,
        leases: &[LeaseId],
    ) -> rusqlite::Result<RequestAfter> {
        let other = self.standing(waiter.tree)?.expect("a tree that waits in line is there");
        self.leave_lists(waiter.tree, other)?;
        self.leave_lists(change.tree, from)?;
        let (mine, theirs) = (change.request, waiter.request);
        let priority = "(SELECT priority FROM request WHERE id = ?2)";
        let go = format!(
            "UPDATE tree SET request = ?2, unit = ?3, priority = {priority}, version = version + 1 WHERE id = ?1"
        );
        // No two trees stand at one unit, not even for a moment.
        let aside = "UPDATE tree SET place = ?2 WHERE id = ?1";
        self.connection.run(aside, params![waiter.tree.0.as_bytes(), Place::Apart.code()])?;
        self.connection.run(&go, params![change.tree.0.as_bytes(), theirs.0.as_bytes(), waiter.unit])?;
        self.set_place(change.tree, Place::Request)?;
        self.connection.run(&go, params![waiter.tree.0.as_bytes(), mine.0.as_bytes(), change.unit])?;
        if from.place == Place::Coming {
            self.come_to_stock(waiter.tree, line)?;
            self.reprioritise(waiter.tree, Priority::Stock.code())?;
        } else if from.place == Place::Apart {
            // There is no request whose dataset it could be: it stays aside.
            self.set_unwanted(waiter.tree)?;
        } else {
            // Its new request has ended.
            self.set_place(waiter.tree, Place::Request)?;
            self.set_unwanted(waiter.tree)?;
        }
        let data = json!({ "by": waiter.tree.to_string(), "to": theirs.to_string() });
        let told = EventRow::told(
            self.now,
            &change.environment,
            "dataset.exchanged",
            theirs,
            Some(change.tree),
            &data,
        );
        self.tell(&told)?;
        let fulfilled = self.count_ready(&change.environment, theirs, leases)?;
        Ok(RequestAfter::Exchanged { with: theirs, tree: waiter.tree, fulfilled })
    }

    /// Notes that a tree is being made for stock.
    pub(super) fn come_to_stock(&self, tree: TreeId, line: LineId) -> rusqlite::Result<()> {
        let come = "INSERT INTO stock_coming (line, tree) VALUES (?1, ?2)";
        self.connection.run(come, params![line.0, tree.0.as_bytes()])?;
        let write = "UPDATE tree SET line = ?2, place = ?3 WHERE id = ?1";
        self.connection.run(write, params![tree.0.as_bytes(), line.0, Place::Coming.code()]).map(|_| ())
    }

    /// Every tree of a request that has ended leaves the lists it stands in; those that nobody wants any more are noted
    /// for whoever takes them down.
    pub(super) fn release_trees(&self, request: RequestId) -> rusqlite::Result<()> {
        let trees = self.connection.all(
            "SELECT id, status, ending IS NULL, version, line, place FROM tree INDEXED BY tree_by_request
             WHERE request = ?1 AND place < 3",
            [request.0.as_bytes()],
            |row| {
                let standing = Standing {
                    version: row.get(3)?,
                    line: row.get::<_, Option<i64>>(4)?.map(LineId),
                    place: Place::from_code(row.get(5)?),
                };
                Ok((TreeId(id(row, 0)?), code::<PartStatus>(row, 1)?, row.get::<_, bool>(2)?, standing))
            },
        )?;
        self.connection.run("DELETE FROM unit_vacant WHERE request = ?1", [request.0.as_bytes()])?;
        for (tree, status, stands, standing) in trees {
            self.leave_place(tree, standing)?;
            if stands && super::outcomes::is_unwanted(status) {
                self.set_unwanted(tree)?;
            }
        }
        Ok(())
    }

    /// Notes a tree for whoever takes down what nobody wants.
    pub(super) fn set_unwanted(&self, tree: TreeId) -> rusqlite::Result<()> {
        let note = "INSERT INTO tree_unwanted (tree) VALUES (?1) ON CONFLICT DO NOTHING";
        self.connection.run(note, [tree.0.as_bytes()]).map(|_| ())
    }

    /// The request that has refilled stock is done.
    pub(super) fn end_refill(
        &self,
        environment: &str,
        request: RequestId,
        data: &serde_json::Value,
    ) -> rusqlite::Result<()> {
        // What refills stock has taken no places.
        self.set_ended(request, RequestStatus::Fulfilled, None)?;
        self.tell(&EventRow::told(self.now, environment, "request.fulfilled", request, None, data))
    }
}

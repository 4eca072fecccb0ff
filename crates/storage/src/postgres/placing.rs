//! Placing: where a dataset is kept once it is made for stock, and who gets it when somebody waits.
//!
//! Whoever places holds the line, the request and the tree, and those of whoever waits in the line ([`super::locks`]). A row of
//! `stock` that is in somebody's hands is waited for: they have left the tree alone, and soon end.

use serde_json::json;
use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::request::{Priority, RequestStatus};
use sixpack_model::tree::PartStatus;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{Int, code, get, id, number, number_of, number_of_code};
use super::faults::Fault;
use super::marks::Pile;
use super::writer::Tx;
use crate::stored::changes::ChangeRow;
use crate::stored::codes::Code;
use crate::stored::events::EventRow;
use crate::stored::places::{Place, ReadinessRow, Standing, is_unwanted};
use crate::trees::{Guard, RequestAfter};

/// A tree that waits in line for one that is ready earlier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    pub(super) request: RequestId,
    pub(super) unit: u32,
    pub(super) tree: TreeId,
}

impl Tx {
    /// The version of a tree, and where it is kept.
    pub(super) async fn standing(&self, tree: TreeId) -> Result<Option<Standing>, Fault> {
        let read = "SELECT version, line, place FROM tree WHERE id = $1";
        self.connection.one(read, &[&tree.0], read_standing).await
    }

    /// Brings a dataset that is ready into stock; or to whoever has waited longest for one of its line, whose own then
    /// takes its place.
    pub(super) async fn bring_to_stock(
        &mut self,
        change: &ChangeRow,
        readiness: &ReadinessRow,
        from: Standing,
        leases: &[LeaseId],
    ) -> Result<RequestAfter, Fault> {
        let line = from.line.expect("only a tree of a line goes into stock");
        self.connection.later("DELETE FROM stock_trouble WHERE line = $1", &[&line.0]).await?;
        if from.place == Place::Coming {
            self.end_shared_trouble(change.tree).await?;
        }
        // Its request may have ended while it was still being made: somebody wants it now, or stock does.
        self.set_wanted(change.tree).await?;
        if let Some(waiter) = self.first_waiter(line, change.tree).await? {
            // They have come to the head of the line since it was looked at.
            if !self.held.request(waiter.request) {
                return Err(Fault::Again("who waits in line"));
            }
            return self.exchange(change, from, line, &waiter, leases).await;
        }
        let came_back = self.comes_back(change.tree, line, from).await?;
        self.leave_lists(change.tree, from).await?;
        self.put_in_stock(change, line, readiness, came_back).await?;
        Ok(RequestAfter::Stocked)
    }

    /// Whether what comes into stock was made for it, or is there again. What was asked about because its contract has changed was
    /// in stock all the while: it is what it was before. The line and the tree are held, so that the row stays.
    async fn comes_back(&self, tree: TreeId, line: LineId, from: Standing) -> Result<bool, Fault> {
        match from.place {
            Place::Coming => Ok(false),
            Place::Request | Place::Waiting | Place::Stock => Ok(true),
            Place::Apart => {
                let before = "SELECT came_back FROM stock_coming WHERE line = $1 AND tree = $2";
                let before = self.connection.one(before, &[&line.0, &tree.0], |row| get(row, 0)).await?;
                Ok(before.unwrap_or(true))
            }
        }
    }

    /// Writes that a dataset is in stock.
    pub(super) async fn put_in_stock(
        &self,
        change: &ChangeRow,
        line: LineId,
        readiness: &ReadinessRow,
        came_back: bool,
    ) -> Result<(), Fault> {
        self.set_place(change.tree, Place::Stock).await?;
        self.note_put(Pile::Line(line.0), readiness.ready_at);
        let put = "INSERT INTO stock (line, ready_at, tree, version, pins, checked_at, fresh_until, selectable, imported,
                                      came_back)
                   SELECT $1::bigint, $2::bigint, id, $4::bigint, pins, $5::bigint, $6::bigint, $7::text, $8::boolean,
                          $9::boolean
                   FROM tree WHERE id = $3";
        self.connection
            .later(
                put,
                &[
                    &line.0,
                    &readiness.ready_at,
                    &change.tree.0,
                    &i64::from(change.root_version),
                    &readiness.checked_at,
                    &readiness.fresh_until,
                    &readiness.selectable,
                    &change.imported,
                    &came_back,
                ],
            )
            .await
    }

    /// Takes a tree out of the lists that it stands in because of where it is kept; it is with its request from then on.
    pub(super) async fn leave_place(&self, tree: TreeId, from: Standing) -> Result<(), Fault> {
        self.leave_lists(tree, from).await?;
        if from.place == Place::Request { Ok(()) } else { self.set_place(tree, Place::Request).await }
    }

    /// Takes a tree out of the lists that it stands in because of where it is kept, for whoever says where it is from then on.
    /// What is apart, or in stock, may not be with its request, not even for a moment: another tree may have its unit.
    pub(super) async fn leave_lists(&self, tree: TreeId, from: Standing) -> Result<(), Fault> {
        let Some(line) = from.line else { return Ok(()) };
        let key = (line.0, tree.0);
        match from.place {
            Place::Request => Ok(()),
            // One that is asked about, and may come into stock again, counts as coming.
            Place::Coming | Place::Apart => {
                let leave = "DELETE FROM stock_coming WHERE line = $1 AND tree = $2";
                self.connection.later(leave, &[&key.0, &key.1]).await
            }
            Place::Waiting => {
                let leave = "DELETE FROM stock_waiting w USING tree t
                             WHERE t.id = $1 AND w.line = t.line AND w.priority = t.priority AND w.request = t.request
                               AND w.unit = t.unit";
                self.connection.later(leave, &[&key.1]).await
            }
            // Whoever knows when it was made finds it faster.
            Place::Stock => {
                let leave = "DELETE FROM stock WHERE line = $1 AND tree = $2";
                self.connection.later(leave, &[&key.0, &key.1]).await
            }
        }
    }

    pub(super) async fn set_place(&self, tree: TreeId, place: Place) -> Result<(), Fault> {
        let write = "UPDATE tree SET place = $2 WHERE id = $1";
        self.connection.later(write, &[&tree.0, &Int(place.code())]).await
    }

    /// Puts a tree that is with its request in line for one that is ready earlier.
    pub(super) async fn wait_in_line(&self, tree: TreeId, line: LineId) -> Result<(), Fault> {
        let wait = "INSERT INTO stock_waiting (line, priority, request, unit, tree)
                    SELECT $2::bigint, priority, request, unit, id FROM tree WHERE id = $1";
        self.connection.later(wait, &[&tree.0, &line.0]).await?;
        let write = "UPDATE tree SET line = $2, place = $3 WHERE id = $1";
        let place = Int(Place::Waiting.code());
        self.connection.later(write, &[&tree.0, &line.0, &place]).await
    }

    /// A dataset whose lease has ended and that is not taken down belongs to no request any more.
    pub(super) async fn leave_lease(
        &self,
        guard: &Guard,
        change: &ChangeRow,
        from: Standing,
    ) -> Result<Standing, Fault> {
        if !matches!(guard, Guard::Lease(_) | Guard::Overdue(_)) || change.ending.is_some() {
            return Ok(from);
        }
        self.set_place(change.tree, Place::Apart).await?;
        Ok(Standing { place: Place::Apart, ..from })
    }

    /// A dataset in stock was found to hold.
    pub(super) async fn note_confirmed(
        &self,
        line: LineId,
        tree: TreeId,
        readiness: &ReadinessRow,
    ) -> Result<(), Fault> {
        let write = "UPDATE stock SET checked_at = $4, fresh_until = $5 WHERE line = $1 AND ready_at = $2 AND tree = $3";
        let ReadinessRow { ready_at, checked_at, fresh_until, .. } = readiness;
        self.connection.later(write, &[&line.0, ready_at, &tree.0, checked_at, fresh_until]).await
    }

    /// A dataset in stock is set aside.
    pub(super) async fn leave_stock(&self, change: &ChangeRow, from: Standing) -> Result<(), Fault> {
        let line = from.line.expect("what is in stock has a line");
        let leave = "DELETE FROM stock WHERE line = $1 AND ready_at = $2 AND tree = $3";
        self.connection.later(leave, &[&line.0, &change.root_ready_at, &change.tree.0]).await?;
        self.set_place(change.tree, Place::Apart).await
    }

    /// A dataset that was on its way to a request is set aside, and another one is needed in its place.
    pub(super) async fn leave_vacant(&self, change: &ChangeRow) -> Result<(), Fault> {
        self.set_place(change.tree, Place::Apart).await?;
        self.leave_unit_vacant(change).await
    }

    /// The unit of a request has no dataset any more.
    pub(super) async fn leave_unit_vacant(&self, change: &ChangeRow) -> Result<(), Fault> {
        self.set_vacant(change.request, change.unit).await
    }

    async fn set_vacant(&self, request: RequestId, unit: u32) -> Result<(), Fault> {
        let vacant = "INSERT INTO unit_vacant (request, unit) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.connection.later(vacant, &[&request.0, &i64::from(unit)]).await
    }

    /// A dataset that is ready cannot be handed over now, and another one is needed in its place. It is asked about before
    /// it goes back into stock; one that was not made for any is taken down.
    pub(super) async fn leave_unit(&self, tree: TreeId, request: RequestId, unit: u32) -> Result<(), Fault> {
        let leave = "UPDATE tree SET version = version + 1, status = $2, place = $3 WHERE id = $1
                     RETURNING line IS NULL";
        let (suspect, apart) = (number_of_code(PartStatus::Suspect), Int(Place::Apart.code()));
        let no_line = self.connection.one(leave, &[&tree.0, &suspect, &apart], |row| get(row, 0)).await?;
        if no_line.expect("a tree that is to be leased is there") {
            self.set_unwanted(&[tree]).await?;
        }
        self.set_vacant(request, unit).await
    }

    async fn first_waiter(&self, line: LineId, but: TreeId) -> Result<Option<Waiter>, Fault> {
        let find = "SELECT request, unit, tree FROM stock_waiting WHERE line = $1 AND tree <> $2
                    ORDER BY priority, request, unit LIMIT 1";
        self.connection.one(find, &[&line.0, &but.0], read_waiter).await
    }

    /// The tree that is ready goes to the request that waits, and the one that is being made for that takes its place.
    async fn exchange(
        &mut self,
        change: &ChangeRow,
        from: Standing,
        line: LineId,
        waiter: &Waiter,
        leases: &[LeaseId],
    ) -> Result<RequestAfter, Fault> {
        let other = self.standing(waiter.tree).await?.expect("a tree that waits in line is there");
        self.leave_lists(waiter.tree, other).await?;
        self.leave_lists(change.tree, from).await?;
        let (mine, theirs) = (change.request, waiter.request);
        let go = "UPDATE tree SET request = $2, unit = $3, priority = (SELECT priority FROM request WHERE id = $2),
                                  version = version + 1
                  WHERE id = $1";
        // No two trees stand at one unit, not even for a moment.
        self.set_place(waiter.tree, Place::Apart).await?;
        let (my_unit, their_unit) = (i64::from(change.unit), i64::from(waiter.unit));
        self.connection.later(go, &[&change.tree.0, &theirs.0, &their_unit]).await?;
        self.set_place(change.tree, Place::Request).await?;
        self.connection.later(go, &[&waiter.tree.0, &mine.0, &my_unit]).await?;
        if from.place == Place::Coming {
            self.come_to_stock(waiter.tree, line).await?;
            self.reprioritise(waiter.tree, Priority::Stock.code()).await?;
        } else if from.place == Place::Apart {
            // There is no request whose dataset it could be: it stays aside.
            self.set_unwanted(&[waiter.tree]).await?;
        } else {
            // Its new request has ended.
            self.set_place(waiter.tree, Place::Request).await?;
            self.set_unwanted(&[waiter.tree]).await?;
        }
        let data = json!({ "by": waiter.tree.to_string(), "to": theirs.to_string() });
        let (kind, tree) = ("dataset.exchanged", Some(change.tree));
        self.tell(&EventRow::told(self.now, &change.environment, kind, theirs, tree, &data));
        let fulfilled = self.count_ready(&change.environment, theirs, leases).await?;
        Ok(RequestAfter::Exchanged { with: theirs, tree: waiter.tree, fulfilled })
    }

    /// Notes that a tree is being made for stock.
    pub(super) async fn come_to_stock(&self, tree: TreeId, line: LineId) -> Result<(), Fault> {
        let come = "INSERT INTO stock_coming (line, tree) VALUES ($1, $2)";
        self.connection.later(come, &[&line.0, &tree.0]).await?;
        let write = "UPDATE tree SET line = $2, place = $3 WHERE id = $1";
        let place = Int(Place::Coming.code());
        self.connection.later(write, &[&tree.0, &line.0, &place]).await
    }

    /// Every tree of a request that has ended leaves the lists it stands in; those that nobody wants any more are noted
    /// for whoever takes them down. The request and its trees are held.
    pub(super) async fn release_trees(&self, request: RequestId) -> Result<(), Fault> {
        let list = "SELECT version, line, place, id, status, ending IS NULL FROM tree WHERE request = $1 AND place < 3";
        let read = |row: &Row| {
            let (tree, status) = (TreeId(id(row, 3)?), code::<PartStatus>(row, 4)?);
            Ok((tree, status, get::<bool>(row, 5)?, read_standing(row)?))
        };
        let trees = self.connection.all(list, &[&request.0], read).await?;
        self.connection.later("DELETE FROM unit_vacant WHERE request = $1", &[&request.0]).await?;
        let mut unwanted = Vec::new();
        for (tree, status, stands, standing) in trees {
            self.leave_place(tree, standing).await?;
            if stands && is_unwanted(status) {
                unwanted.push(tree);
            }
        }
        self.set_unwanted(&unwanted).await
    }

    /// Notes trees for whoever takes down what nobody wants.
    pub(super) async fn set_unwanted(&self, trees: &[TreeId]) -> Result<(), Fault> {
        if trees.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = trees.iter().map(|tree| tree.0).collect();
        let note = "INSERT INTO tree_unwanted (tree) SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING";
        self.connection.later(note, &[&ids]).await
    }

    /// Somebody wants a tree.
    pub(super) async fn set_wanted(&self, tree: TreeId) -> Result<(), Fault> {
        self.connection.later("DELETE FROM tree_unwanted WHERE tree = $1", &[&tree.0]).await
    }

    /// The request that has refilled stock is done.
    pub(super) async fn end_refill(
        &mut self,
        environment: &str,
        request: RequestId,
        data: &serde_json::Value,
    ) -> Result<(), Fault> {
        // What refills stock has taken no places.
        self.set_ended(request, RequestStatus::Fulfilled, None).await?;
        self.tell(&EventRow::told(self.now, environment, "request.fulfilled", request, None, data));
        Ok(())
    }
}

/// Reads version, line and place from the first three columns.
pub(super) fn read_standing(row: &Row) -> Result<Standing, Fault> {
    let line = number_of(row, 1)?.map(LineId);
    Ok(Standing { version: get(row, 0)?, line, place: Place::from_code(number(row, 2)?) })
}

/// Reads request, unit and tree.
pub(super) fn read_waiter(row: &Row) -> Result<Waiter, Fault> {
    Ok(Waiter { request: RequestId(id(row, 0)?), unit: number(row, 1)?, tree: TreeId(id(row, 2)?) })
}

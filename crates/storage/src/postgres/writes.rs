//! Writes: one decision about one tree, turned into rows before the transaction and written within it.
//!
//! Its tree is locked, and everything below a tree is written by whoever has locked it. What waits or is claimed is taken from
//! under the tree by others, each row by one statement.

use futures::future::{try_join, try_join5};
use sixpack_model::ids::LeaseId;
use sixpack_model::recheck::Recheck;
use sixpack_model::tree::PartStatus;
use tokio_postgres::Row;
use uuid::Uuid;

use super::claimants::Having;
use super::columns::{Int, parsed_of, unreadable};
use super::faults::Fault;
use super::parts::PartOf;
use super::writer::Tx;
use crate::stored::changes::{ChangeRow, TaskRow};
use crate::stored::codes::Code;
use crate::stored::entities::{Owned, owns_text};
use crate::stored::parts::PartRow;
use crate::stored::places::Place;
use crate::stored::rechecks::StoredRecheck;
use crate::stored::tasks::Waiting;

/// Reads a recheck that is under way.
pub(super) fn read_recheck(row: &Row, column: usize) -> Result<Option<Recheck>, Fault> {
    let stored: Option<StoredRecheck<'_>> = parsed_of(row, column)?;
    stored.map(StoredRecheck::into_recheck).transpose().map_err(|cause| unreadable(column, cause))
}

/// What the rows below trees refer to.
#[derive(Default)]
pub(super) struct Below<'c> {
    /// The contracts of the parts that are new.
    contracts: Vec<i64>,
    /// What is to be done by deployed suppliers, with its queue.
    waiting: Vec<(i64, &'c Waiting)>,
    /// What is claimed with the write, of that.
    claimed: Vec<(i64, &'c Waiting, Having)>,
}

/// What can change of a tree itself.
pub(super) struct RootRow<'c> {
    pub(super) change: &'c ChangeRow,
    /// When they have grown.
    pub(super) pins: Option<i64>,
    /// The lease that it is given with this very write, which is a version of its own.
    pub(super) granted: Option<LeaseId>,
    /// Where it is kept from now on, when that is written with the rest.
    pub(super) place: Option<Place>,
}

impl RootRow<'_> {
    fn leases(&self) -> i64 {
        i64::from(self.granted.is_some())
    }

    fn status(&self) -> i64 {
        if self.granted.is_some() { PartStatus::Leased.code() } else { self.change.status.code() }
    }
}

impl Tx {
    /// Writes a tree that is new, with everything that was decided first.
    pub(super) async fn insert_tree(&mut self, change: &ChangeRow) -> Result<(), Fault> {
        let environment = self.environment(&change.environment).await?;
        let pins = self.pins(change.pins.as_deref().unwrap_or("{}")).await?;
        self.share_queues(environment, change).await?;
        let below = self.name_below(environment, change).await?;
        try_join(
            self.insert_roots(environment, &[change], &[pins]),
            self.write_below(environment, &[change], &below),
        )
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
        let root = RootRow { change, pins, granted: None, place: None };
        try_join(self.update_roots(&[root]), self.write_below(environment, &[change], &below)).await?;
        self.write_behind(environment, change, claimed_at).await
    }

    /// Writes trees that are new without what lies below them, all at once; `pins` are the numbers of theirs.
    pub(super) async fn insert_roots(
        &self,
        environment: i64,
        changes: &[&ChangeRow],
        pins: &[i64],
    ) -> Result<(), Fault> {
        let insert =
            "INSERT INTO tree (id, version, environment, request, unit, priority, channel, pins, seed, unique_text, status,
                               lease, ending, made, due_at, fence, line, place, owns, takes_stock, ended_at)
             SELECT r.id, r.version, $18::bigint, r.request, r.unit, r.priority, r.channel, r.pins, r.seed, r.unique_text,
                    r.status, r.lease, r.ending, r.made, r.due_at, 0, r.line, 0, r.owns, r.takes_stock,
                    CASE WHEN r.status IN (9, 10) THEN $19::bigint END
             FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],
                         $8::bigint[], $9::text[], $10::bigint[], $11::uuid[], $12::bigint[], $13::bigint[],
                         $14::bigint[], $15::bigint[], $16::text[], $17::boolean[])
                  AS r (id, version, request, unit, priority, channel, pins, seed, unique_text, status, lease, ending,
                        made, due_at, line, owns, takes_stock)";
        self.connection
            .later(
                insert,
                &[
                    &of_each(changes, |change| change.tree.0),
                    &of_each(changes, |change| change.version),
                    &of_each(changes, |change| change.request.0),
                    &of_each(changes, |change| i64::from(change.unit)),
                    &of_each(changes, |change| change.priority),
                    &of_each(changes, |change| change.channel.as_deref()),
                    &pins,
                    &of_each(changes, |change| change.seed),
                    &of_each(changes, |change| change.unique.as_str()),
                    &of_each(changes, |change| change.status.code()),
                    &of_each(changes, |change| change.lease.map(|lease| lease.0)),
                    &of_each(changes, |change| change.ending),
                    &of_each(changes, |change| i64::from(change.made)),
                    &of_each(changes, |change| change.due_at),
                    &of_each(changes, |change| change.line.map(|line| line.0)),
                    &of_each(changes, |change| change.owns.as_deref().and_then(owns_text)),
                    &of_each(changes, |change| change.takes_stock),
                    &environment,
                    &self.now,
                ],
            )
            .await
    }

    /// Writes what can change of trees themselves, all at once.
    pub(super) async fn update_roots(&self, roots: &[RootRow<'_>]) -> Result<(), Fault> {
        let update =
            "UPDATE tree t SET version = r.version, status = r.status, lease = r.lease, fence = t.fence + r.leases,
                               ending = r.ending, made = r.made, due_at = r.due_at, recheck = r.recheck,
                               owns = CASE WHEN r.has_owns THEN r.owns ELSE t.owns END, pins = coalesce(r.pins, t.pins),
                               place = coalesce(r.place, t.place),
                               ended_at = CASE WHEN r.status IN (9, 10) THEN coalesce(t.ended_at, $14::bigint) END
             FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::bigint[], $9::text[], $10::boolean[], $11::text[], $12::bigint[], $13::bigint[])
                  AS r (id, version, status, lease, leases, ending, made, due_at, recheck, has_owns, owns, pins, place)
             WHERE t.id = r.id";
        self.connection
            .later(
                update,
                &[
                    &each(roots, |root| root.change.tree.0),
                    &each(roots, |root| root.change.version + root.leases()),
                    &each(roots, RootRow::status),
                    &each(roots, |root| root.granted.or(root.change.lease).map(|lease| lease.0)),
                    &each(roots, RootRow::leases),
                    &each(roots, |root| root.change.ending),
                    &each(roots, |root| i64::from(root.change.made)),
                    &each(roots, |root| root.change.due_at),
                    &each(roots, |root| root.change.recheck.as_deref()),
                    &each(roots, |root| root.change.owns.is_some()),
                    &each(roots, |root| root.change.owns.as_deref().and_then(owns_text)),
                    &each(roots, |root| root.pins),
                    &each(roots, |root| root.place.map(Place::code)),
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
        for task in &change.withdrawn {
            self.withdraw_task(environment, task).await?;
        }
        let mut below = Below::default();
        self.name_more_below(environment, change, &mut below).await?;
        Ok(below)
    }

    /// Finds out what the rows below one more tree refer to.
    pub(super) async fn name_more_below<'c>(
        &mut self,
        environment: i64,
        change: &'c ChangeRow,
        below: &mut Below<'c>,
    ) -> Result<(), Fault> {
        for part in &change.created {
            below.contracts.push(self.contract(environment, &part.contract).await?);
        }
        for task in &change.ready {
            let contract = self.contract(environment, &task.contract).await?;
            match &change.channel {
                Some(channel) if task.waiting.is_of_channel() => {
                    self.enqueue_in_channel(contract, channel, &task.waiting).await?;
                }
                _ => {
                    let (queue, waiting) = (self.deployed_queue(contract).await?, &task.waiting);
                    match self.havings.get(&waiting.task).copied() {
                        Some(having) => {
                            self.note_claimed(waiting, having)?;
                            below.claimed.push((queue, waiting, having));
                        }
                        None => below.waiting.push((queue, waiting)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what lies below trees, all at once; `below` in their sequence.
    pub(super) async fn write_below(
        &self,
        environment: i64,
        changes: &[&ChangeRow],
        below: &Below<'_>,
    ) -> Result<(), Fault> {
        let of = |parts: fn(&ChangeRow) -> &[PartRow]| -> Vec<PartOf<'_>> {
            changes.iter().flat_map(|change| parts(change).iter().map(|part| (change.tree, part))).collect()
        };
        let (created, changed) = (of(|change| &change.created), of(|change| &change.changed));
        try_join5(
            self.insert_parts(&created, &below.contracts),
            self.update_parts(&changed),
            self.insert_entities(environment, changes),
            self.enqueue_all(&below.waiting),
            self.insert_claims(&below.claimed),
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
    async fn insert_entities(&self, environment: i64, changes: &[&ChangeRow]) -> Result<(), Fault> {
        let mut rows: Vec<(Uuid, bool, &Owned)> = Vec::new();
        for change in changes {
            rows.extend(change.entities.iter().map(|entity| (change.tree.0, false, entity)));
            rows.extend(change.uses.iter().map(|entity| (change.tree.0, true, entity)));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let trees: Vec<Uuid> = rows.iter().map(|(tree, ..)| *tree).collect();
        let parts: Vec<i64> = rows.iter().map(|(.., (part, ..))| (*part).into()).collect();
        let kinds: Vec<&str> = rows.iter().map(|(.., (_, kind, _))| kind.as_str()).collect();
        let keys: Vec<&str> = rows.iter().map(|(.., (.., key))| key.as_str()).collect();
        let used: Vec<bool> = rows.iter().map(|(_, used, _)| *used).collect();
        let insert = "INSERT INTO entity (environment, kind, key, tree, part, used)
                      SELECT $1::bigint, e.kind, e.key, e.tree, e.part, bool_and(e.used)
                      FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::boolean[])
                           AS e (tree, kind, key, part, used)
                      GROUP BY e.kind, e.key, e.tree, e.part ON CONFLICT DO NOTHING";
        self.connection.later(insert, &[&environment, &trees, &kinds, &keys, &parts, &used]).await
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

/// One column of all rows.
fn each<'r, 'c, T>(roots: &'r [RootRow<'c>], column: impl Fn(&'r RootRow<'c>) -> T) -> Vec<T> {
    roots.iter().map(column).collect()
}

/// The same of decisions.
fn of_each<'c, T>(changes: &[&'c ChangeRow], column: impl Fn(&'c ChangeRow) -> T) -> Vec<T> {
    changes.iter().map(|change| column(change)).collect()
}

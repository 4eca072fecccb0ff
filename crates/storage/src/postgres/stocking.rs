//! Stocking: datasets that come into stock with the results that make them ready, many by one transaction.
//!
//! ```text
//! lines held, in the order of their numbers -> troubles that end with them -> lines in which nobody waits -> requests, trees ... -> stock
//! ```
//!
//! By itself each would wait for the line until all before it are committed. Whoever is exchanged with somebody who waits holds
//! what is theirs as well, and is left to be written by itself ([`super::placing`]).

use std::collections::HashSet;

use sixpack_model::ids::LineId;
use sixpack_model::request::Priority;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::get;
use super::faults::Fault;
use super::writer::Tx;
use crate::stored::changes::{ChangeRow, OutcomeRow};
use crate::stored::codes::Code;
use crate::stored::places::ReadinessRow;

/// A dataset that comes into stock with others: its line, and what stock keeps of it.
pub(super) struct Stocking<'c> {
    line: LineId,
    readiness: &'c ReadinessRow,
    change: &'c ChangeRow,
}

impl<'c> Stocking<'c> {
    /// What a decision brings into stock if its tree is being made for that; `None` when it brings nothing there.
    pub(super) fn of(change: &'c ChangeRow) -> Option<Self> {
        match (&change.outcome, change.line) {
            (Some(OutcomeRow::Ready(readiness)), Some(line)) => Some(Self { line, readiness, change }),
            _ => None,
        }
    }

    /// Whether it looks as if its tree were being made for stock. What somebody waits for is of their priority, and would be held with
    /// others in vain.
    pub(super) fn is_refill(&self) -> bool {
        self.change.priority == Priority::Stock.code()
    }
}

impl Tx {
    /// Holds the lines into whose stock something comes, and then the troubles that end with that; waits for nothing.
    pub(super) async fn hold_stock(&self, stocking: &[Stocking<'_>]) -> Result<(), Fault> {
        if stocking.is_empty() {
            return Ok(());
        }
        self.hold_lines(&lines_of(stocking)).await?;
        let lock = "SELECT contract FROM stock_trouble_shared
                    WHERE contract = ANY (ARRAY (SELECT contract FROM dataset WHERE tree = ANY ($1)))
                    ORDER BY contract FOR UPDATE";
        self.connection.later(lock, &[&trees_of(stocking)]).await
    }

    /// The lines, which are held, in which somebody waits.
    pub(super) async fn lines_waited_in(&self, stocking: &[Stocking<'_>]) -> Result<HashSet<LineId>, Fault> {
        if stocking.is_empty() {
            return Ok(HashSet::new());
        }
        let find = "SELECT l.id FROM unnest($1::bigint[]) AS l (id)
                    WHERE EXISTS (SELECT 1 FROM stock_waiting w WHERE w.line = l.id)";
        let read = |row: &Row| get(row, 0).map(LineId);
        let waited_in = self.connection.all(find, &[&lines_of(stocking)], read).await?;
        Ok(waited_in.into_iter().collect())
    }

    /// Writes that datasets which were coming are in stock, all at once; their trees say so already. Whatever was needed for them
    /// works, and somebody wants them.
    pub(super) async fn put_all_in_stock(&self, stocking: &[Stocking<'_>]) -> Result<(), Fault> {
        if stocking.is_empty() {
            return Ok(());
        }
        let trees = trees_of(stocking);
        let end = "DELETE FROM stock_trouble WHERE line = ANY ($1)";
        self.connection.later(end, &[&lines_of(stocking)]).await?;
        let end_shared = "DELETE FROM stock_trouble_shared
                          WHERE contract = ANY (ARRAY (SELECT contract FROM dataset WHERE tree = ANY ($1)))";
        self.connection.later(end_shared, &[&trees]).await?;
        let want = "DELETE FROM tree_unwanted WHERE tree = ANY ($1)";
        self.connection.later(want, &[&trees]).await?;
        let leave = "DELETE FROM stock_coming c USING unnest($1::bigint[], $2::uuid[]) AS g (line, tree)
                     WHERE c.line = g.line AND c.tree = g.tree";
        let lines = each(stocking, |one| one.line.0);
        self.connection.later(leave, &[&lines, &trees]).await?;
        let put = "INSERT INTO stock (line, ready_at, tree, version, pins, checked_at, fresh_until, selectable, imported,
                                      came_back)
                   SELECT g.line, g.ready_at, g.tree, g.version, t.pins, g.checked_at, g.fresh_until, g.selectable,
                          g.imported, false
                   FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
                               $8::boolean[])
                        AS g (line, ready_at, tree, version, checked_at, fresh_until, selectable, imported)
                   JOIN tree t ON t.id = g.tree";
        self.connection
            .later(
                put,
                &[
                    &lines,
                    &each(stocking, |one| one.readiness.ready_at),
                    &trees,
                    &each(stocking, |one| i64::from(one.change.root_version)),
                    &each(stocking, |one| one.readiness.checked_at),
                    &each(stocking, |one| one.readiness.fresh_until),
                    &each(stocking, |one| one.readiness.selectable.as_deref()),
                    &each(stocking, |one| one.change.imported),
                ],
            )
            .await
    }
}

/// The lines of all, each once and in their order.
fn lines_of(stocking: &[Stocking<'_>]) -> Vec<i64> {
    let mut lines = each(stocking, |one| one.line.0);
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn trees_of(stocking: &[Stocking<'_>]) -> Vec<Uuid> {
    each(stocking, |one| one.change.tree.0)
}

/// One column of all rows.
fn each<'s, 'c, T>(stocking: &'s [Stocking<'c>], column: impl Fn(&'s Stocking<'c>) -> T) -> Vec<T> {
    stocking.iter().map(column).collect()
}

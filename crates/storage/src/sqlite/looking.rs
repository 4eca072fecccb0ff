//! Looking: what is in stock of what a request wishes, or is being made for it. Nothing is taken yet.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::{Row, params};
use serde_json::{Map, Value};
use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::stock::selects;

use super::columns::{id, ms, parsed_of};
use super::limits::{STOCK_LOOK, STOCK_SELECT_LOOK};
use super::statements::Statements;
use super::writer::Tx;
use crate::requests::Looking;
use crate::stock::{StockWish, WishedLine};
pub(super) use crate::stored::accepting::{Found, WishRow};
pub(super) use crate::stored::changes::pins_text;
use crate::stored::entities::Owned;

/// Rows of a line, the oldest first. What a wish wants of them is compared outside: a statement that filters and sorts what
/// it has cut off opens a table of its own, which costs more than the rows.
const OLDEST: &str = "SELECT ready_at, tree, version, pins, fresh_until, selectable FROM stock
                      WHERE line = ?1 AND (ready_at >= ?2 OR imported = 1) ORDER BY ready_at, tree LIMIT ?3";

/// The same, the newest first.
const NEWEST: &str = "SELECT ready_at, tree, version, pins, fresh_until, selectable FROM stock
                      WHERE line = ?1 AND (ready_at >= ?2 OR imported = 1) ORDER BY ready_at DESC, tree DESC LIMIT ?3";

/// A row that meets a wish.
struct Candidate {
    line: LineId,
    rank: usize,
    ready_at: i64,
    tree: TreeId,
}

impl Tx<'_> {
    /// Looks for what each unit wishes, but for these; nothing is taken yet. `None` when something is missing that nobody would make.
    pub(super) fn find_in_stock(
        &mut self,
        wishes: &[Option<Arc<WishRow>>],
        looking: Looking,
        but: &BTreeSet<TreeId>,
    ) -> rusqlite::Result<Option<Vec<Found>>> {
        let mut found: Vec<Found> = Vec::with_capacity(wishes.len());
        let mut taken = but.clone();
        // Units that wish the same share one look.
        let mut looked: HashMap<*const WishRow, Vec<Found>> = HashMap::new();
        let environment = wishes.iter().flatten().next().map(|row| Arc::clone(&row.wish.environment));
        let doubted = match environment {
            Some(environment) => self.doubted_in(&environment)?,
            None => BTreeSet::new(),
        };
        for (unit, wish) in wishes.iter().enumerate() {
            let Some(wish) = wish else {
                found.push(Found::Own { line: None });
                continue;
            };
            let key = Arc::as_ptr(wish);
            if let Entry::Vacant(entry) = looked.entry(key) {
                let same = wishes[unit..].iter().flatten().filter(|other| Arc::as_ptr(other) == key);
                let mut there = self.look_in_stock(wish, same.count(), looking, &taken, &doubted)?;
                // Taken from the end.
                there.reverse();
                entry.insert(there);
            }
            let next = looked.get_mut(&key).and_then(Vec::pop);
            match next {
                Some(next) => {
                    if let Found::Ready { tree, .. } | Found::Due { tree, .. } | Found::Coming { tree, .. } =
                        next
                    {
                        taken.insert(tree);
                    }
                    found.push(next);
                }
                None if looking == Looking::Anywhere => {
                    let line = wish.wish.lines.iter().find(|line| line.same_input).map(|line| line.id);
                    found.push(Found::Own { line });
                }
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// The dataset in stock that would be taken for a wish, but for these; nothing is taken.
    pub(super) fn first_in_stock(
        &mut self,
        wish: &WishRow,
        but: &BTreeSet<TreeId>,
    ) -> rusqlite::Result<Option<TreeId>> {
        let doubted = self.doubted_in(&wish.wish.environment)?;
        let found = self.look_in_stock(wish, 1, Looking::Fresh, but, &doubted)?;
        Ok(found.first().and_then(|found| match found {
            Found::Ready { tree, .. } => Some(*tree),
            Found::Due { .. } | Found::Coming { .. } | Found::Own { .. } => None,
        }))
    }

    /// Up to so many datasets that meet a wish: ready ones, the best first and then the oldest; then, if something may be
    /// made, those that are coming.
    fn look_in_stock(
        &mut self,
        row: &WishRow,
        count: usize,
        looking: Looking,
        taken: &BTreeSet<TreeId>,
        doubted: &BTreeSet<ContractName>,
    ) -> rusqlite::Result<Vec<Found>> {
        let pins = self.pins(&row.pins)?;
        let wish = &row.wish;
        let mut candidates = Vec::new();
        // What is being made is checked before anybody gets it.
        let in_stock = if row.is_among(doubted) { &[] } else { wish.lines.as_slice() };
        for (rank, line) in in_stock.iter().enumerate() {
            self.candidates(line, rank, pins, wish, count, taken, &mut candidates)?;
        }
        candidates.sort_by_key(|candidate| (candidate.rank, candidate.ready_at, candidate.tree));
        candidates.truncate(count);
        let mut found: Vec<Found> = candidates
            .into_iter()
            .map(|Candidate { line, ready_at, tree, .. }| Found::Ready { line, ready_at, tree })
            .collect();
        if looking != Looking::Fresh {
            for line in in_stock {
                if found.len() >= count {
                    break;
                }
                self.due(line, pins, wish, count - found.len(), taken, &mut found)?;
            }
        }
        if looking == Looking::Anywhere && wish.select.is_none() {
            for line in &wish.lines {
                if found.len() >= count {
                    break;
                }
                self.coming(line.id, pins, wish.version, count - found.len(), taken, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Rows of one line that meet a wish. Only the oldest of the line are looked at, and where none of these is fresh, the
    /// newest: what takes longer than that is not worth it, while somebody waits.
    #[expect(clippy::too_many_arguments, reason = "a look is told what it looks for")]
    fn candidates(
        &self,
        line: &WishedLine,
        rank: usize,
        pins: i64,
        wish: &StockWish,
        count: usize,
        taken: &BTreeSet<TreeId>,
        found: &mut Vec<Candidate>,
    ) -> rusqlite::Result<()> {
        let look = if wish.select.is_some() { STOCK_SELECT_LOOK } else { STOCK_LOOK };
        let look = look.max(count);
        let not_before = line.not_before.map_or(i64::MIN, ms);
        let key = params![line.id.0, not_before, look as i64];
        let candidate = |ready_at, tree| Candidate { line: line.id, rank, ready_at, tree };
        let mut statement = self.connection.prepare_cached(OLDEST)?;
        let mut rows = statement.query(key)?;
        let full = found.len() + count;
        let before = found.len();
        while found.len() < full {
            let Some(row) = rows.next()? else { break };
            let tree = TreeId(id(row, 1)?);
            if self.would_do(row, wish, pins, true)? && !taken.contains(&tree) && self.is_free(wish, tree)? {
                found.push(candidate(row.get(0)?, tree));
            }
        }
        if found.len() > before {
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached(NEWEST)?;
        let mut rows = statement.query(key)?;
        let mut newest = Vec::new();
        while let Some(row) = rows.next()? {
            if self.would_do(row, wish, pins, true)? {
                newest.push((row.get(0)?, TreeId(id(row, 1)?)));
            }
        }
        for (ready_at, tree) in newest.into_iter().rev().filter(|(_, tree)| !taken.contains(tree)) {
            if found.len() < full && self.is_free(wish, tree)? {
                found.push(candidate(ready_at, tree));
            }
        }
        Ok(())
    }

    /// Whether a row of a line is what is wished for, and its evidence fresh or not.
    fn would_do(&self, row: &Row<'_>, wish: &StockWish, pins: i64, fresh: bool) -> rusqlite::Result<bool> {
        Ok(row.get::<_, u32>(2)? == wish.version
            && row.get::<_, i64>(3)? == pins
            && (row.get::<_, i64>(4)? > self.now) == fresh
            && meets(row, 5, wish)?)
    }

    /// Whether nobody else owns now what a dataset in stock has made.
    fn is_free(&self, wish: &StockWish, tree: TreeId) -> rusqlite::Result<bool> {
        let owns = self.owned_by(tree)?;
        if owns.is_empty() {
            return Ok(true);
        }
        let environment = self.memory.environments.get(&*wish.environment);
        // An environment that nobody has written to since the start is read like any other.
        let environment = match environment {
            Some(number) => Some(*number),
            None => self.connection.one(
                "SELECT id FROM environment WHERE name = ?1",
                [&*wish.environment],
                |row| row.get(0),
            )?,
        };
        match environment {
            Some(environment) => Ok(self.first_held(tree, environment, &owns)?.is_none()),
            None => Ok(true),
        }
    }

    /// What a tree owns that was ready before.
    fn owned_by(&self, tree: TreeId) -> rusqlite::Result<Vec<Owned>> {
        let read = "SELECT owns FROM tree WHERE id = ?1";
        let owns = self.connection.one(read, [tree.0.as_bytes()], |row| parsed_of(row, 0))?;
        Ok(owns.flatten().unwrap_or_default())
    }

    /// Datasets of a line that would do if their evidence were fresh, the oldest first.
    fn due(
        &self,
        line: &WishedLine,
        pins: i64,
        wish: &StockWish,
        count: usize,
        taken: &BTreeSet<TreeId>,
        found: &mut Vec<Found>,
    ) -> rusqlite::Result<()> {
        let look = STOCK_LOOK.max(count + taken.len());
        let mut statement = self.connection.prepare_cached(OLDEST)?;
        let not_before = line.not_before.map_or(i64::MIN, ms);
        let mut rows = statement.query(params![line.id.0, not_before, look as i64])?;
        let full = found.len() + count;
        while found.len() < full {
            let Some(row) = rows.next()? else { break };
            let tree = TreeId(id(row, 1)?);
            if self.would_do(row, wish, pins, false)? && !taken.contains(&tree) && self.is_free(wish, tree)? {
                found.push(Found::Due { line: line.id, ready_at: row.get(0)?, tree });
            }
        }
        Ok(())
    }

    /// Datasets that are being made for a line, not those that are imported and may not hold, those that were begun first.
    fn coming(
        &self,
        line: LineId,
        pins: i64,
        version: u32,
        count: usize,
        taken: &BTreeSet<TreeId>,
        found: &mut Vec<Found>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT c.tree FROM stock_coming c
             CROSS JOIN tree t ON t.id = c.tree CROSS JOIN dataset d ON d.tree = c.tree AND d.part = 0
             WHERE c.line = ?1 AND c.imported = 0 AND t.pins = ?2 AND d.version = ?3 ORDER BY c.tree LIMIT ?4",
        )?;
        let limit = (count + taken.len()) as i64;
        let mut rows = statement.query(params![line.0, pins, version, limit])?;
        let full = found.len() + count;
        while found.len() < full {
            let Some(row) = rows.next()? else { break };
            let tree = TreeId(id(row, 0)?);
            if !taken.contains(&tree) {
                found.push(Found::Coming { line, tree });
            }
        }
        Ok(())
    }
}

/// Whether a row meets the criteria of a wish; what can be chosen by is in this column.
fn meets(row: &Row<'_>, column: usize, wish: &StockWish) -> rusqlite::Result<bool> {
    let Some(criteria) = &wish.select else { return Ok(true) };
    let selectable: Option<Map<String, Value>> = parsed_of(row, column)?;
    Ok(selects(criteria, &selectable.unwrap_or_default()))
}

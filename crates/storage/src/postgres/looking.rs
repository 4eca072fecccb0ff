//! Looking: what is in stock of what a request wishes, or is being made for it.
//!
//! What is found is held from then on, its row and its tree, so that nobody else finds it. What somebody else holds is passed by:
//! they are about to take it, or to write about it, and nobody waits for them. Only when there is too little, and something would be
//! made, what was found is let go, the lines are held in the order of their numbers, and all is looked for once more: what was coming
//! into stock meanwhile is there by then, and who stands in line behind that is seen by whatever comes next.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};
use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::stock::selects;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{Int, get, id, ms, parsed_of};
use super::faults::Fault;
use super::limits::{STOCK_LOOK, STOCK_SELECT_LOOK};
use super::marks::{EVERYTHING, Pile, UPON_NOTHING};
use super::writer::Tx;
use crate::requests::Looking;
use crate::stock::{StockWish, WishedLine};
use crate::stored::accepting::{Found, WishRow};
use crate::stored::entities::Owned;

/// The oldest of a line that would do, with what they own.
const THERE: &str = "SELECT s.ready_at, s.tree, t.owns FROM stock s JOIN tree t ON t.id = s.tree
     WHERE s.line = $1 AND (s.ready_at >= $2 OR s.imported) AND s.version = $3 AND s.pins = $4
       AND (s.fresh_until > $5) = $6 AND s.tree <> ALL ($7) AND ($8::uuid[] IS NULL OR s.tree = ANY ($8))
       AND s.ready_at >= $10
     ORDER BY s.ready_at, s.tree LIMIT $9";

/// Those that nobody else holds are held from now on. The whole condition lies on the row of stock; the tree is named by it.
const HELD: &str = "FOR UPDATE OF s SKIP LOCKED FOR NO KEY UPDATE OF t SKIP LOCKED";

/// The same rows with what can be chosen by. Criteria are compared outside, where numbers are what they were written as.
const SELECTABLE: &str = "SELECT s.tree, s.selectable FROM stock s
     WHERE s.line = $1 AND (s.ready_at >= $2 OR s.imported) AND s.version = $3 AND s.pins = $4
       AND (s.fresh_until > $5) = $6
     ORDER BY s.ready_at, s.tree LIMIT $7";

/// Those that are being made for a line by a request of its own, the oldest first.
const COMING: &str = "SELECT c.tree FROM stock_coming c
     JOIN tree t ON t.id = c.tree JOIN request r ON r.id = t.request JOIN dataset d ON d.tree = c.tree AND d.part = 0
     WHERE c.line = $1 AND NOT c.imported AND t.place = 1 AND t.pins = $2 AND d.version = $3 AND c.tree <> ALL ($4)
     ORDER BY c.tree LIMIT $5 FOR UPDATE OF c SKIP LOCKED FOR NO KEY UPDATE OF r, t SKIP LOCKED";

/// A look into stock.
struct Look<'l> {
    row: &'l WishRow,
    /// The number of its set of pinned versions.
    pins: i64,
    environment: i64,
    /// Whether what is found is held.
    hold: &'static str,
}

impl Look<'_> {
    /// The same for those who wish the same.
    fn key(&self) -> usize {
        std::ptr::from_ref(self.row).addr()
    }
}

impl Tx {
    /// Looks for what each unit wishes, but for these, and holds it. `None` when something is missing that nobody would make.
    pub(super) async fn find_in_stock(
        &mut self,
        wishes: &[Option<Arc<WishRow>>],
        looking: Looking,
        but: &BTreeSet<TreeId>,
    ) -> Result<Option<Vec<Found>>, Fault> {
        let environment = wishes.iter().flatten().next().map(|row| Arc::clone(&row.wish.environment));
        let doubted = match environment {
            Some(environment) => self.doubted_in(&environment).await?,
            None => BTreeSet::new(),
        };
        let mut looks = Vec::with_capacity(wishes.len());
        for wish in wishes {
            looks.push(match wish {
                Some(row) => Some(self.look(row, HELD).await?),
                None => None,
            });
        }
        let mut lines: Vec<i64> = match looking {
            Looking::Anywhere => {
                wishes.iter().flatten().filter_map(|row| own_line(&row.wish)).map(|line| line.0).collect()
            }
            Looking::Fresh | Looking::InStock => Vec::new(),
        };
        // Also whoever finds nothing: of a row that is passed by because its tree is held, what was come to before the tree stays held.
        let may_hold = !lines.is_empty();
        if may_hold {
            self.connection.later("SAVEPOINT looked", &[]).await?;
        }
        let found = self.find(&looks, looking, but, &doubted).await?;
        let is_short =
            |found: &[Found]| found.iter().any(|found| matches!(found, Found::Own { line: Some(_) }));
        if lines.is_empty() || !found.as_deref().is_some_and(is_short) {
            return Ok(found);
        }
        // Nobody waits for a line with something in hand that those who have it may want.
        if may_hold {
            self.connection.later("ROLLBACK TO SAVEPOINT looked", &[]).await?;
        }
        lines.sort_unstable();
        lines.dedup();
        self.hold_lines(&lines).await?;
        self.find(&looks, looking, but, &doubted).await
    }

    /// Looks once.
    async fn find(
        &self,
        looks: &[Option<Look<'_>>],
        looking: Looking,
        but: &BTreeSet<TreeId>,
        doubted: &BTreeSet<ContractName>,
    ) -> Result<Option<Vec<Found>>, Fault> {
        let mut found: Vec<Found> = Vec::with_capacity(looks.len());
        let mut taken = but.clone();
        // Units that wish the same share one look.
        let mut looked: HashMap<usize, Vec<Found>> = HashMap::new();
        for (unit, look) in looks.iter().enumerate() {
            let Some(look) = look else {
                found.push(Found::Own { line: None });
                continue;
            };
            let key = look.key();
            if let Entry::Vacant(entry) = looked.entry(key) {
                let same = looks[unit..].iter().flatten().filter(|other| other.key() == key);
                let mut there = self.look_in_stock(look, same.count(), looking, &taken, doubted).await?;
                // Taken from the end.
                there.reverse();
                entry.insert(there);
            }
            match looked.get_mut(&key).and_then(Vec::pop) {
                Some(next) => {
                    taken.extend(tree_of(&next));
                    found.push(next);
                }
                None if looking == Looking::Anywhere => {
                    found.push(Found::Own { line: own_line(&look.row.wish) });
                }
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// Up to so many datasets that meet a wish and can be leased at once, all of them held from now on.
    pub(super) async fn find_fresh(&mut self, wish: &WishRow, count: usize) -> Result<Vec<Found>, Fault> {
        let doubted = self.doubted_in(&wish.wish.environment).await?;
        let look = self.look(wish, HELD).await?;
        self.look_in_stock(&look, count, Looking::Fresh, &BTreeSet::new(), &doubted).await
    }

    /// The dataset in stock that would be taken for a wish, but for these; nothing is taken, and nothing held.
    pub(super) async fn first_in_stock(
        &mut self,
        wish: &WishRow,
        but: &BTreeSet<TreeId>,
    ) -> Result<Option<TreeId>, Fault> {
        let doubted = self.doubted_in(&wish.wish.environment).await?;
        let look = self.look(wish, "").await?;
        let found = self.look_in_stock(&look, 1, Looking::Fresh, but, &doubted).await?;
        Ok(found.first().and_then(tree_of))
    }

    async fn look<'l>(&mut self, row: &'l WishRow, hold: &'static str) -> Result<Look<'l>, Fault> {
        let pins = self.pins(&row.pins).await?;
        let environment = self.environment(&row.wish.environment).await?;
        Ok(Look { row, pins, environment, hold })
    }

    /// Up to so many datasets that meet a wish: ready ones, the best first and then the oldest; then, if something may be
    /// made, those that are coming.
    async fn look_in_stock(
        &self,
        look: &Look<'_>,
        count: usize,
        looking: Looking,
        taken: &BTreeSet<TreeId>,
        doubted: &BTreeSet<ContractName>,
    ) -> Result<Vec<Found>, Fault> {
        let wish = &look.row.wish;
        let mut found = Vec::new();
        // What is being made is checked before anybody gets it.
        let in_stock = if look.row.is_among(doubted) { &[] } else { wish.lines.as_slice() };
        for line in in_stock {
            let there = self.there(look, line, count - found.len(), true, taken).await?;
            let ready = |(ready_at, tree)| Found::Ready { line: line.id, ready_at, tree };
            found.extend(there.into_iter().map(ready));
        }
        if looking != Looking::Fresh {
            for line in in_stock {
                let there = self.there(look, line, count - found.len(), false, taken).await?;
                let due = |(ready_at, tree)| Found::Due { line: line.id, ready_at, tree };
                found.extend(there.into_iter().map(due));
            }
        }
        if looking == Looking::Anywhere && wish.select.is_none() {
            for line in &wish.lines {
                let rest = count - found.len();
                found.extend(self.coming(line.id, look.pins, wish.version, rest, taken).await?);
            }
        }
        Ok(found)
    }

    /// Datasets of one line that meet a wish, the oldest first, with evidence that is fresh or not. What has made something that
    /// is somebody else's by now is passed by; of very many such, only some are.
    async fn there(
        &self,
        look: &Look<'_>,
        line: &WishedLine,
        count: usize,
        fresh: bool,
        taken: &BTreeSet<TreeId>,
    ) -> Result<Vec<(i64, TreeId)>, Fault> {
        let mut found = Vec::new();
        let mut but: Vec<Uuid> = taken.iter().map(|tree| tree.0).collect();
        let passed_by = but.len() + STOCK_LOOK.max(count);
        let chosen = if count == 0 { None } else { self.chosen(look, line, fresh).await? };
        let sql = format!("{THERE} {}", look.hold);
        let version = i64::from(look.row.wish.version);
        let (marks, pile) = (&self.memory.marks, Pile::Line(line.id.0));
        let mut begin = marks.begin(pile, EVERYTHING);
        while found.len() < count && but.len() < passed_by {
            let limit = (count - found.len()) as i64;
            let not_before = line.not_before.map_or(i64::MIN, ms);
            let read = |row: &Row| {
                let owns: Vec<Owned> = parsed_of(row, 2)?.unwrap_or_default();
                Ok((get::<i64>(row, 0)?, TreeId(id(row, 1)?), owns))
            };
            let key = (line.id.0, look.pins);
            let rows = self
                .connection
                .all(
                    &sql,
                    &[
                        &key.0,
                        &not_before,
                        &version,
                        &key.1,
                        &self.now,
                        &fresh,
                        &but,
                        &chosen,
                        &limit,
                        &begin.unwrap_or(i64::MIN),
                    ],
                    read,
                )
                .await?;
            if rows.is_empty() {
                // There may be some before the mark.
                if begin.is_some() && marks.begin(pile, UPON_NOTHING).is_none() {
                    begin = None;
                    continue;
                }
                break;
            }
            but.extend(rows.iter().map(|(_, tree, _)| tree.0));
            let owns: Vec<(TreeId, &[Owned])> =
                rows.iter().map(|(_, tree, owns)| (*tree, owns.as_slice())).collect();
            let held = self.first_held(look.environment, &owns).await?;
            let is_free = |place: usize| held.iter().all(|(of, _)| *of != place);
            let free = rows.iter().enumerate().filter(|(place, _)| is_free(*place));
            found.extend(free.map(|(_, (ready_at, tree, _))| (*ready_at, *tree)));
        }
        Ok(found)
    }

    /// What meets the criteria of a wish; `None` when it has none. Only the oldest of the line are looked at: what takes longer
    /// than that is not worth it, while somebody waits.
    async fn chosen(
        &self,
        look: &Look<'_>,
        line: &WishedLine,
        fresh: bool,
    ) -> Result<Option<Vec<Uuid>>, Fault> {
        let Some(criteria) = &look.row.wish.select else { return Ok(None) };
        let not_before = line.not_before.map_or(i64::MIN, ms);
        let version = i64::from(look.row.wish.version);
        let limit = STOCK_SELECT_LOOK as i64;
        let read =
            |row: &Row| Ok((id(row, 0)?, parsed_of::<Map<String, Value>>(row, 1)?.unwrap_or_default()));
        let rows = self
            .connection
            .all(
                SELECTABLE,
                &[&line.id.0, &not_before, &version, &look.pins, &self.now, &fresh, &limit],
                read,
            )
            .await?;
        let meeting = rows.into_iter().filter(|(_, selectable)| selects(criteria, selectable));
        Ok(Some(meeting.map(|(tree, _)| tree).collect()))
    }

    /// Datasets that are being made for a line, not those that are imported and may not hold, those that were begun first.
    async fn coming(
        &self,
        line: LineId,
        pins: i64,
        version: u32,
        count: usize,
        taken: &BTreeSet<TreeId>,
    ) -> Result<Vec<Found>, Fault> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let but: Vec<Uuid> = taken.iter().map(|tree| tree.0).collect();
        let (version, limit) = (Int::from(version), count as i64);
        let read = |row: &Row| Ok(Found::Coming { line, tree: TreeId(id(row, 0)?) });
        self.connection.all(COMING, &[&line.0, &pins, &version, &but, &limit], read).await
    }
}

fn tree_of(found: &Found) -> Option<TreeId> {
    match found {
        Found::Ready { tree, .. } | Found::Due { tree, .. } | Found::Coming { tree, .. } => Some(*tree),
        Found::Own { .. } => None,
    }
}

/// The line in which a unit stands that finds nothing.
fn own_line(wish: &StockWish) -> Option<LineId> {
    wish.lines.iter().find(|line| line.same_input).map(|line| line.id)
}

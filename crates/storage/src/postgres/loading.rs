//! Loading: trees that are wanted at the same time are read by one statement.
//!
//! ```text
//! wanted --> waiting --as many as are read at once, when those before are there--> one statement --> each its own
//! ```
//!
//! Nobody waits for others to come: whoever comes while as many reads are under way as may be is read for behind them, with all who
//! came meanwhile. A read begins behind every call that it serves, so that each gets its tree as it was then or later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sixpack_model::ids::{LeaseId, LineId, RequestId, TreeId};
use sixpack_model::tree::{PartStatus, Tree};
use tokio::sync::oneshot;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Inner;
use super::columns::{code, code_of, get, id, id_of, number, number_of, parsed, unreadable};
use super::faults::Fault;
use super::parts::{PART_COLUMNS, read_part};
use super::statements::Connection;
use super::writes::read_recheck;
use crate::error::StoreError;
use crate::stored::pins::{Pins, PinsRead};

const LOADING: &str = "loading a tree";

/// Trees that one statement reads: few enough that a small one hardly waits for the large.
const AT_ONCE: usize = 16;

/// Reads that are under way at one time, so that one with a large tree keeps nobody away.
const READING: usize = 2;

/// Somebody who wants a tree.
type Caller = (TreeId, oneshot::Sender<Result<Option<Tree>, StoreError>>);

/// Trees that are to be read.
#[derive(Default)]
pub(super) struct Loading(Mutex<Wanted>);

#[derive(Default)]
struct Wanted {
    // Callers are limited before they come here.
    waiting: VecDeque<Caller>,
    reading: usize,
}

impl Loading {
    /// Takes a call in; whether somebody has to begin to read.
    fn join(&self, caller: Caller) -> bool {
        let mut wanted = self.lock();
        wanted.waiting.push_back(caller);
        let begins = wanted.reading < READING;
        wanted.reading += usize::from(begins);
        begins
    }

    /// Who is read for next, those first who came first; `None`, and somebody less reads, when nothing is wanted any more.
    fn next(&self) -> Option<Vec<Caller>> {
        let mut wanted = self.lock();
        // Whoever has gone away wants it no more.
        wanted.waiting.retain(|(_, answer)| !answer.is_closed());
        if wanted.waiting.is_empty() {
            wanted.reading -= 1;
            return None;
        }
        let count = wanted.waiting.len().min(AT_ONCE);
        Some(wanted.waiting.drain(..count).collect())
    }

    /// Everybody who waits.
    fn take_all(&self) -> VecDeque<Caller> {
        std::mem::take(&mut self.lock().waiting)
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        // Whole entries: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A tree, as it is from this call on.
    pub(super) async fn load(self: &Arc<Self>, tree: TreeId) -> Result<Option<Tree>, StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.loading.join((tree, answer)) {
            let inner = Arc::clone(self);
            tokio::spawn(async move {
                while let Some(callers) = inner.loading.next() {
                    // By itself, so that a panic is not that of whoever is read for next.
                    let _ = tokio::spawn(Arc::clone(&inner).load_for(callers)).await;
                }
            });
        }
        match answered.await {
            Ok(loaded) => loaded,
            // What is wrong with one of them is not told to the others.
            Err(_) => Ok(self.load_all(vec![tree]).await?.pop()),
        }
    }

    async fn load_for(self: Arc<Self>, mut callers: Vec<Caller>) {
        match self.load_all(callers.iter().map(|(tree, _)| *tree).collect()).await {
            Ok(trees) => {
                let mut trees: BTreeMap<TreeId, Tree> =
                    trees.into_iter().map(|tree| (tree.id, tree)).collect();
                while let Some((id, answer)) = callers.pop() {
                    let is_wanted_again = callers.iter().any(|(other, _)| *other == id);
                    let tree = if is_wanted_again { trees.get(&id).cloned() } else { trees.remove(&id) };
                    let _ = answer.send(Ok(tree));
                }
            }
            // Whoever waits would be told the same, each group as much later as that takes.
            Err(StoreError::Unavailable { cause, .. }) => {
                let told = cause.to_string();
                for (_, answer) in callers.into_iter().chain(self.loading.take_all()) {
                    let cause = told.clone().into();
                    let _ = answer.send(Err(StoreError::Unavailable { doing: LOADING, cause }));
                }
            }
            Err(_) => {}
        }
    }

    async fn load_all(&self, trees: Vec<TreeId>) -> Result<Vec<Tree>, StoreError> {
        let input = (trees, Arc::clone(&self.pins));
        self.look(LOADING, &input, &|connection, (trees, pins)| Box::pin(load(connection, trees, pins))).await
    }
}

async fn read_pins(connection: &Connection, number: i64, pins: &PinsRead) -> Result<Pins, Fault> {
    if let Some(known) = pins.get(number) {
        return Ok(known);
    }
    let find = "SELECT pins FROM pins WHERE id = $1";
    let stored = connection.one(find, &[&number], |row| parsed(row, 0)).await?;
    let stored = stored.expect("a set that a tree refers to is there");
    pins.keep(number, stored).map_err(|cause| unreadable(0, cause))
}

/// Trees and their parts, in one statement, so that they agree; those that are there, in the order of their ids.
async fn load(connection: &Connection, trees: &[TreeId], pins: &PinsRead) -> Result<Vec<Tree>, Fault> {
    let list = format!(
        "SELECT {PART_COLUMNS}, t.version, e.name, t.request, t.unit, t.priority, t.channel, t.pins, t.seed,
                t.unique_text, t.lease, t.ending, t.made, t.line, t.status, t.recheck, t.takes_stock, t.id
         FROM tree t JOIN environment e ON e.id = t.environment
         JOIN dataset d ON d.tree = t.id JOIN contract c ON c.id = d.contract
         WHERE t.id = ANY ($1) ORDER BY t.id, d.part"
    );
    let ids: Vec<Uuid> = trees.iter().map(|tree| tree.0).collect();
    let mut found: Vec<(i64, PartStatus, Tree)> = Vec::with_capacity(ids.len());
    let read = |row: &Row| {
        let tree = TreeId(id(row, 29)?);
        if found.last().is_none_or(|(.., last)| last.id != tree) {
            found.push((get(row, 19)?, code(row, 26)?, read_tree(row, tree)?));
        }
        let (.., last) = found.last_mut().expect("one was pushed");
        last.parts.push(read_part(row)?);
        Ok(())
    };
    connection.all(&list, &[&ids], read).await?;
    let mut loaded = Vec::with_capacity(found.len());
    for (number, status, mut tree) in found {
        tree.pins = read_pins(connection, number, pins).await?;
        // A grant writes the tree and not its root.
        if let Some(root) = tree.parts.first_mut() {
            root.status = status;
        }
        loaded.push(tree);
    }
    Ok(loaded)
}

/// Reads a tree without its parts and pins from the columns behind those of a part.
fn read_tree(row: &Row, tree: TreeId) -> Result<Tree, Fault> {
    Ok(Tree {
        id: tree,
        version: number(row, 13)?,
        environment: get::<&str>(row, 14)?.into(),
        request: RequestId(id(row, 15)?),
        unit: number(row, 16)?,
        priority: code(row, 17)?,
        channel: get::<Option<&str>>(row, 18)?.map(Into::into),
        pins: Arc::default(),
        seed: number(row, 20)?,
        unique: get(row, 21)?,
        line: number_of(row, 25)?.map(LineId),
        takes_stock: get(row, 28)?,
        recheck: read_recheck(row, 27)?,
        lease: id_of(row, 22)?.map(LeaseId),
        ending: code_of(row, 23)?,
        made: number(row, 24)?,
        parts: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(number: u128) -> TreeId {
        TreeId(Uuid::from_u128(number))
    }

    type Answered = oneshot::Receiver<Result<Option<Tree>, StoreError>>;

    /// Whether somebody has to begin to read for it, and where the answer comes.
    fn joins(loading: &Loading, number: u128) -> (bool, Answered) {
        let (answer, answered) = oneshot::channel();
        (loading.join((tree(number), answer)), answered)
    }

    fn next(loading: &Loading) -> Option<Vec<TreeId>> {
        Some(loading.next()?.into_iter().map(|(tree, _)| tree).collect())
    }

    #[test]
    fn as_many_reads_are_under_way_as_may_be_and_the_others_are_read_for_together() {
        let loading = Loading::default();
        let first = joins(&loading, 100);
        assert!(first.0 && next(&loading).is_some());
        let second = joins(&loading, 101);
        assert!(second.0 && next(&loading).is_some(), "a second one beside the first");
        let others: Vec<_> = (1..=20).rev().map(|number| joins(&loading, number)).collect();
        assert!(others.iter().all(|(begins, _)| !begins), "two are under way");
        assert_eq!(next(&loading).unwrap(), (5..=20).rev().map(tree).collect::<Vec<_>>(), "who came first");
        assert_eq!(next(&loading).unwrap().len(), 4);
        assert!(next(&loading).is_none() && next(&loading).is_none(), "nothing is wanted any more");
        assert!(joins(&loading, 1).0, "somebody has to begin again");
    }

    #[test]
    fn nothing_is_read_for_those_who_have_gone_away() {
        let loading = Loading::default();
        drop(joins(&loading, 1));
        let stays = joins(&loading, 2);
        assert_eq!(next(&loading).unwrap(), [tree(2)]);
        drop(joins(&loading, 3));
        assert!(next(&loading).is_none());
        assert!(stays.0);
    }
}

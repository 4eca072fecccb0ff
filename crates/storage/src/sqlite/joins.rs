//! Joins in SQLite: a dataset leaves stock and becomes a part of another one, in the write that takes it in.

use std::borrow::Cow;

use rusqlite::params;
use sixpack_model::ids::TreeId;

use super::entities::Owned;
use super::placing::{Place, Standing};
use super::statements::Statements;
use super::writer::Tx;
use super::writes::ChangeRow;

impl Tx<'_> {
    /// Where the dataset stands that is to join: in stock, as it was when that was decided; `None` when it is not.
    pub(super) fn joins_from(&self, joins: &ChangeRow) -> rusqlite::Result<Option<Standing>> {
        let standing = self.standing(joins.tree)?;
        Ok(standing.filter(|from| from.version == joins.expected && from.place == Place::Stock))
    }

    /// Takes a dataset out of stock for good: it is over, and what it owned because it was there before is the other tree's.
    pub(super) fn join(&mut self, tree: TreeId, joins: &ChangeRow, from: Standing) -> rusqlite::Result<()> {
        let hand_on = "UPDATE entity_held SET tree = ?2 WHERE tree = ?1";
        self.connection.run(hand_on, params![joins.tree.0.as_bytes(), tree.0.as_bytes()])?;
        self.update_tree(joins, None)?;
        self.write_request(joins, from, &[]).map(|_| ())
    }

    /// The same entities without those that the dataset owns which joins with this write.
    pub(super) fn but_of_joining<'o>(
        &self,
        change: &ChangeRow,
        owns: &'o [Owned],
    ) -> rusqlite::Result<Cow<'o, [Owned]>> {
        let Some(joins) = &change.joins else { return Ok(Cow::Borrowed(owns)) };
        let read = "SELECT kind, key FROM entity_held WHERE tree = ?1";
        let theirs: Vec<(String, String)> =
            self.connection.all(read, [joins.tree.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let is_other = |(_, kind, key): &&Owned| {
            theirs.iter().all(|(their_kind, their_key)| (their_kind, their_key) != (kind, key))
        };
        Ok(owns.iter().filter(is_other).cloned().collect())
    }
}

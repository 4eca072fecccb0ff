//! Joins in PostgreSQL: a dataset leaves stock and becomes a part of another one, in the write that takes it in.

use std::borrow::Cow;

use sixpack_model::ids::TreeId;

use super::columns::get;
use super::faults::Fault;
use super::writer::Tx;
use crate::stored::changes::ChangeRow;
use crate::stored::entities::Owned;
use crate::stored::places::{Place, Standing};

impl Tx {
    /// Where the dataset stands that is to join: in stock, as it was when that was decided; `None` when it is not. It is
    /// locked, so that nobody takes it from now on: whoever takes from stock leaves what is locked.
    pub(super) async fn joins_from(&self, joins: &ChangeRow) -> Result<Option<Standing>, Fault> {
        let standing = self.standing(joins.tree).await?;
        Ok(standing.filter(|from| from.version == joins.expected && from.place == Place::Stock))
    }

    /// Takes a dataset out of stock for good: it is over, and what it owned because it was there before is the other tree's.
    pub(super) async fn join(
        &mut self,
        tree: TreeId,
        joins: &ChangeRow,
        from: Standing,
    ) -> Result<(), Fault> {
        let hand_on = "UPDATE entity_held SET tree = $2 WHERE tree = $1";
        self.connection.later(hand_on, &[&joins.tree.0, &tree.0]).await?;
        self.update_tree(joins, None).await?;
        self.write_request(joins, from, &[]).await.map(|_| ())
    }

    /// The same entities without those that the dataset owns which joins with this write.
    pub(super) async fn but_of_joining<'o>(
        &self,
        change: &ChangeRow,
        owns: &'o [Owned],
    ) -> Result<Cow<'o, [Owned]>, Fault> {
        let Some(joins) = &change.joins else { return Ok(Cow::Borrowed(owns)) };
        let read = "SELECT kind, key FROM entity_held WHERE tree = $1";
        let theirs: Vec<(String, String)> =
            self.connection.all(read, &[&joins.tree.0], |row| Ok((get(row, 0)?, get(row, 1)?))).await?;
        let is_other = |(_, kind, key): &&Owned| {
            theirs.iter().all(|(their_kind, their_key)| (their_kind, their_key) != (kind, key))
        };
        Ok(owns.iter().filter(is_other).cloned().collect())
    }
}

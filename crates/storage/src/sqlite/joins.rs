//! Joins in SQLite: a dataset leaves stock and becomes a part of another one, in the write that takes it in.

use std::borrow::Cow;

use rusqlite::params;
use serde::{Deserialize, Serialize};
use sixpack_model::ids::{DatasetId, TreeId};
use sixpack_model::join::{Join, MadeAs};

use super::columns::{ms, time};
use super::entities::Owned;
use super::placing::{Place, Standing};
use super::statements::Statements;
use super::writer::Tx;
use super::writes::ChangeRow;

/// What a part has to do with stock, as it is stored with it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredJoin<'a> {
    Sought(i64),
    From { dataset: Cow<'a, str>, seed: u64, unique: Cow<'a, str> },
    Into(Cow<'a, str>),
}

impl<'a> From<&'a Join> for StoredJoin<'a> {
    fn from(join: &'a Join) -> Self {
        match join {
            Join::Sought { until } => Self::Sought(ms(*until)),
            Join::From(made_as) => Self::From {
                dataset: made_as.dataset.to_string().into(),
                seed: made_as.seed,
                unique: made_as.unique.as_str().into(),
            },
            Join::Into(dataset) => Self::Into(dataset.to_string().into()),
        }
    }
}

impl StoredJoin<'_> {
    pub(super) fn into_join(self) -> Result<Join, String> {
        let read = |dataset: Cow<'_, str>| dataset.parse::<DatasetId>().map_err(|error| error.to_string());
        Ok(match self {
            Self::Sought(until) => Join::Sought { until: time(until) },
            Self::From { dataset, seed, unique } => {
                Join::From(MadeAs { dataset: read(dataset)?, seed, unique: unique.into_owned() })
            }
            Self::Into(dataset) => Join::Into(read(dataset)?),
        })
    }
}

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

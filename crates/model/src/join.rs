//! Joining: a dataset that is ready in stock becomes a part of one that is being made, in place of making that part anew.
//!
//! ```text
//! the part      pending, sought -> ready: its own parts with it, under the keys that they were made with
//!                        |
//!                        +-> building: nothing was there, or nobody has looked in time
//! the dataset   in stock -> gone: everything that was made of it belongs to the other dataset
//! ```

use jiff::Timestamp;

use crate::ids::{DatasetId, TreeId};
use crate::tree::{Part, PartStatus, Tree};

/// What a part has to do with stock, as a part of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub enum Join {
    /// It is looked for in stock, and made once this moment has come.
    Sought {
        /// Not made earlier, unless it is known before that there is none.
        until: Timestamp,
    },
    /// It was made as a part of another dataset, which was in stock.
    From(MadeAs),
    /// It belongs to another dataset now, with all that was made of it.
    Into(DatasetId),
}

/// What suppliers know a part as: the same for produce, check and undo, whatever dataset it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeAs {
    /// The dataset that it was begun as.
    pub dataset: DatasetId,
    /// The seed of that tree.
    pub seed: u64,
    /// The token of that tree.
    pub unique: String,
}

impl Tree {
    /// What suppliers know a part as.
    pub fn made_as(&self, part: u32) -> MadeAs {
        match self.parts.get(part as usize).and_then(|part| part.join.as_deref()) {
            Some(Join::From(made_as)) => made_as.clone(),
            Some(Join::Sought { .. } | Join::Into(_)) | None => {
                MadeAs { dataset: self.dataset(part), seed: self.seed, unique: self.unique.clone() }
            }
        }
    }

    /// Where a part is that belongs to another dataset now.
    pub fn moved(&self, part: u32) -> Option<DatasetId> {
        match self.parts.get(part as usize)?.join.as_deref()? {
            Join::Into(dataset) => Some(*dataset),
            Join::Sought { .. } | Join::From(_) => None,
        }
    }
}

impl Part {
    /// Whether it is looked for in stock, and not begun.
    pub fn is_sought(&self) -> bool {
        self.sought_until().is_some()
    }

    /// When it is made at the latest, as long as it is looked for in stock.
    pub fn sought_until(&self) -> Option<Timestamp> {
        match self.join.as_deref()? {
            Join::Sought { until } if self.status == PartStatus::Pending => Some(*until),
            Join::Sought { .. } | Join::From(_) | Join::Into(_) => None,
        }
    }

    /// The dataset that was in stock, when it has taken the place of this part.
    pub fn from_stock(&self) -> Option<TreeId> {
        match self.join.as_deref()? {
            Join::From(made_as) if made_as.dataset.part == 0 => Some(made_as.dataset.tree),
            Join::Sought { .. } | Join::From(_) | Join::Into(_) => None,
        }
    }
}

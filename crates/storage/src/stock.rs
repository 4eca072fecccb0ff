//! Stock: datasets that are ready before anybody asks.
//!
//! ```text
//! refill -> coming -> in stock -> taken by a request -> leased
//!             |          |
//!             |          '-> discarded: too many, too old, or nobody wants them any more -> undone
//!             '-> taken over by a request that cannot wait for the next
//! ```
//!
//! A dataset is kept in one place at a time: being made for stock, in stock, or with its request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sixpack_model::failure::Failure;
use sixpack_model::ids::{LineId, RequestId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::stock::{Line, LineCounts};

use crate::error::StoreError;
use crate::requests::NewRequest;

/// A line with what it has served, and what keeps it from being filled.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLine {
    /// Where.
    pub environment: String,
    /// The line.
    pub line: Line,
    /// What it has come to.
    pub counts: LineCounts,
    /// Set while it cannot be filled.
    pub trouble: Option<Trouble>,
}

/// Why a line is not being filled at its full pace.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// How many refills have failed since the last one that did not.
    pub failures: u32,
    /// How often the pause has grown.
    pub pauses: u32,
    /// When the first of them failed.
    pub since: Timestamp,
    /// When the next refill is tried.
    pub retry_at: Timestamp,
    /// Why the last one failed.
    pub failure: Failure,
}

/// Why several lines of an environment are not being filled: they need the same, and one is tried on behalf of all.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedTrouble {
    /// Where.
    pub environment: String,
    /// What they need and do not get.
    pub contract: ContractName,
    /// How often they have failed because of it, and when one of them is tried again.
    pub trouble: Trouble,
    /// True while one is tried.
    pub is_tried: bool,
}

/// How many datasets a line has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// In stock.
    pub ready: u64,
    /// Being made for it, or checked.
    pub coming: u64,
    /// Of those that are ready, how many were imported.
    pub imported: u64,
    /// Of those that are ready and were made, how many came back: from a lease, a request or quarantine.
    pub came_back: u64,
    /// Of those that are coming, how many are imported.
    pub importing: u64,
    /// When the one in stock that was made first was made; what was imported was not.
    pub oldest_at: Option<Timestamp>,
}

/// How quickly a line is being filled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// When the refill that is under way longest was begun.
    pub since: Option<Timestamp>,
    /// How long the last datasets of its contract took until they were ready, in the middle; `None` when none is known.
    pub usual_ms: Option<u64>,
}

/// How far a line is to be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillTo {
    /// How many shall be there in the end, those that are coming included.
    pub target: u32,
    /// How many may be coming at once.
    pub ahead: u32,
}

/// What a dataset in stock has to be, to be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct StockWish {
    /// In which environment.
    pub environment: std::sync::Arc<str>,
    /// Of what. While it, or anything below it, is doubted, nothing is taken.
    pub contract: ContractName,
    /// Where to look, the best first.
    pub lines: Vec<WishedLine>,
    /// Criteria on what the output marks as selectable.
    pub select: Option<Map<String, Value>>,
    /// The version that is offered now: one of another version is left where it is.
    pub version: u32,
    /// The versions of everything below that are offered now, as they are pinned for a new tree.
    pub pins: std::sync::Arc<BTreeMap<ContractName, u32>>,
}

/// A line in which a wish may be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WishedLine {
    /// Which one.
    pub id: LineId,
    /// True when what is made for the wish itself would do for the line as well.
    pub same_input: bool,
    /// Older ones are too old to be handed out.
    pub not_before: Option<Timestamp>,
}

/// A dataset in stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stocked {
    /// Which one.
    pub tree: TreeId,
    /// When it was made.
    pub ready_at: Timestamp,
    /// When the part that was not asked for longest was last found valid.
    pub checked_at: Timestamp,
}

/// What is too much in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discard {
    /// How many may stay, imported ones included; the oldest that were made for stock go. What came back stays beside them, unless none
    /// may stay.
    pub keep: u32,
    /// Whatever was made before goes, whether or not it came back.
    pub made_before: Option<Timestamp>,
}

/// Keeps datasets in stock.
#[async_trait]
pub trait Stock: Send + Sync {
    /// The line for datasets of a contract made from an input, defaults filled in; made if it is not there.
    async fn line(
        &self,
        environment: &str,
        contract: &ContractName,
        input: &Value,
    ) -> Result<LineId, StoreError>;

    /// All lines of all environments, by number, at most `limit`, behind `after`.
    async fn lines(&self, after: Option<LineId>, limit: u32) -> Result<Vec<StoredLine>, StoreError>;

    /// What several lines of an environment fail for, of all environments. It begins when a second line fails because of the
    /// same contract, and ends with the first refill that gets through and has a part of it.
    async fn shared_troubles(&self) -> Result<Vec<SharedTrouble>, StoreError>;

    /// How many datasets a line has; those in stock are counted up to `limit`.
    async fn level(&self, line: LineId, limit: u32) -> Result<Level, StoreError>;

    /// Accepts as many of these requests, from the first on, as the line has room for, and returns how many. Each makes
    /// one dataset for the line.
    ///
    /// What is there is counted in the same transaction: two servers that refill one line together never start more than
    /// is missing. While something that the line needs is in [trouble](Self::shared_troubles), one refill of all lines that
    /// need it is accepted once its time has come, or for a line that has not failed itself, and no other until that is over.
    async fn refill(
        &self,
        line: LineId,
        fill_to: FillTo,
        requests: Vec<NewRequest>,
    ) -> Result<usize, StoreError>;

    /// Gives up to `limit` datasets in stock that were made, and are too many or too old, to whoever takes down what nobody wants;
    /// returns them.
    async fn discard_stock(
        &self,
        line: LineId,
        discard: Discard,
        limit: u32,
    ) -> Result<Vec<TreeId>, StoreError>;

    /// Requests that make a dataset for the line now, not those that import one, the newest first, at most `limit`.
    async fn refills(&self, line: LineId, limit: u32) -> Result<Vec<RequestId>, StoreError>;

    /// Since when a line is being filled, and how long one takes.
    async fn pace(&self, line: LineId) -> Result<Pace, StoreError>;

    /// How many requests wait for a dataset of the line that this one waits for, those before it; `None` when it does
    /// not wait for any.
    async fn place_in_line(&self, request: RequestId) -> Result<Option<u64>, StoreError>;

    /// Takes up to `limit` datasets out of stock that were made with other versions than these, so that they are asked about
    /// before anybody gets them; returns them. They count as coming meanwhile.
    async fn suspect_stock(
        &self,
        line: LineId,
        version: u32,
        pins: &BTreeMap<ContractName, u32>,
        limit: u32,
    ) -> Result<Vec<TreeId>, StoreError>;

    /// Datasets that are to be asked about before they go anywhere, at most `limit`, behind `after` in id order; and whether
    /// a request waits for them.
    async fn suspects(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<(TreeId, bool)>, StoreError>;

    /// Datasets of a line in the order in which they are handed out, at most `limit`, behind `after`.
    async fn stocked(
        &self,
        line: LineId,
        after: Option<&Stocked>,
        limit: u32,
    ) -> Result<Vec<Stocked>, StoreError>;

    /// The dataset in stock with fresh evidence that a request would be given for a wish now, but for these. Nothing is taken:
    /// it may be somebody else's by the time that anybody acts on it.
    async fn first_in_stock(
        &self,
        wish: &Arc<StockWish>,
        but: &BTreeSet<TreeId>,
    ) -> Result<Option<TreeId>, StoreError>;
}

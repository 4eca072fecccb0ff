//! History of stock: what each line had, noted once in a span and kept for a day.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::ids::LineId;
use sixpack_model::stock::{LevelSample, LineCounts};

use crate::error::StoreError;

/// What a line has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedLevel {
    /// Which line.
    pub line: LineId,
    /// In stock.
    pub ready: u64,
    /// Being made for it, or checked.
    pub coming: u64,
    /// How many its rules want ready.
    pub target: u32,
}

/// What is kept of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineHistory {
    /// What it has come to until now.
    pub counts: LineCounts,
    /// What it had, the oldest first.
    pub samples: Vec<LevelSample>,
}

/// Keeps what lines have had.
#[async_trait]
pub trait StockHistory: Send + Sync {
    /// Adds to what lines have come to.
    async fn count_in_lines(&self, counts: Vec<(LineId, LineCounts)>) -> Result<(), StoreError>;

    /// Notes what lines have in the span that it is now, those left out of which somebody has noted it in this span, and returns how
    /// many it has noted: any number of servers may look at the same lines.
    async fn note_levels(&self, levels: Vec<NotedLevel>) -> Result<u64, StoreError>;

    /// Takes away what was noted of lines longer ago than it is kept; returns how much.
    async fn forget_levels(&self, lines: Vec<LineId>) -> Result<u64, StoreError>;

    /// What lines have had since a time, in the sequence in which they are named. Samples are put together by spans of `every_s`
    /// seconds, counted from the beginning of time: of each the lowest that was ready, the highest that was coming and wanted, and what
    /// the line had come to when it began.
    async fn stock_history(
        &self,
        lines: &[LineId],
        since: Timestamp,
        every_s: u32,
    ) -> Result<Vec<LineHistory>, StoreError>;
}

//! Limits of the SQLite store: everything in it that could grow has one here, with its reason.

use std::time::Duration;

pub(super) use crate::stored::limits::{
    FIND_OWNERS, FIND_TREES, KEY_MS, LATELY_MS, LATELY_ROWS, PACE_ROWS, RATE_BURST_US, STOCK_LOOK,
    STOCK_SELECT_LOOK, TOKENS, UNSERVED_TIMEOUT_MS,
};

/// Writes that share one commit: enough to hide the flush, few enough that the first of them does not wait long.
pub(super) const BATCH: usize = 512;

/// Prepared statements kept by a connection: more than there are different ones.
pub(super) const STATEMENTS: usize = 256;

/// Pages that the writer keeps in memory, in KiB: the hot ends of every table and index with room to spare.
pub(super) const WRITER_CACHE_KIB: i64 = 64 * 1024;

/// Pages that each reader keeps in memory, in KiB.
pub(super) const READER_CACHE_KIB: i64 = 4 * 1024;

/// Size of the write-ahead log from which it is folded into the database although the store is busy.
pub(super) const LOG_BYTES: i64 = 64 * 1024 * 1024;

/// Commits between two looks at the size of the log.
pub(super) const COMMITS_BETWEEN_LOOKS: u32 = 32;

/// Quiet time after which the log is folded into the database.
pub(super) const IDLE: Duration = Duration::from_millis(500);

/// How long to wait for somebody else's lock on the file, such as a backup by hand.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// Names and other small things that the writer remembers; beyond, it forgets them all and reads them again.
pub(super) const REMEMBERED: usize = 20_000;

/// Outputs of trees that are being made that are looked at for the same: few are being made at a time, and a few of these may be
/// large.
pub(super) const FIND_OUTPUTS: usize = 2_000;

/// Rows that a migration brings to their new form with one commit: some ten milliseconds, so that whoever ends it waits for nothing.
pub(super) const MOVED_AT_ONCE: u32 = 5_000;

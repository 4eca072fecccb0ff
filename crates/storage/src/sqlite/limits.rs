//! Limits of the SQLite store: everything in it that could grow has one here, with its reason.

use std::time::Duration;

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

/// How long an idempotency key is kept: promised to callers.
pub(super) const KEY_MS: i64 = 24 * 3_600_000;

/// Span that "lately" means.
pub(super) const LATELY_MS: i64 = 3_600_000;

/// Parts that are looked at to tell how a contract has been doing lately.
pub(super) const LATELY_ROWS: i64 = 1_000;

/// Datasets of a contract that are looked at to tell how long one takes: enough that a few slow ones do not count.
pub(super) const PACE_ROWS: i64 = 32;

/// Tokens in one list.
pub(super) const TOKENS: i64 = 1_000;

/// Timeout of a queue that no session has ever served; nothing is handed out from it before one does.
pub(super) const UNSERVED_TIMEOUT_MS: i64 = 60_000;

/// How much of a rate may be used at once after a quiet time, in microseconds worth of it: high rates go in small
/// bursts instead of one task a millisecond, low ones are evenly spaced.
pub(super) const RATE_BURST_US: i64 = 50_000;

/// Trees of each status that are looked at for entities that a service is told to leave out, the newest: twice as many as it
/// is told of, because not every tree owns one of the kind.
pub(super) const FIND_TREES: i64 = 2_000;

/// Outputs of trees that are being made that are looked at for the same: few are being made at a time, and a few of these may be
/// large.
pub(super) const FIND_OUTPUTS: usize = 2_000;

/// Trees that have to do with one entity and are looked at for one that is not over, the newest: as long as there is one, no
/// other takes the entity, so that the one is among the last.
pub(super) const FIND_OWNERS: i64 = 1_000;

/// Datasets in stock that a wish looks at from either end of a line: enough to get past some whose evidence is too old,
/// few enough that looking takes no time.
pub(super) const STOCK_LOOK: usize = 256;

/// The same for a wish with criteria, which may have to look for long; each row is some hundred bytes.
pub(super) const STOCK_SELECT_LOOK: usize = 5_000;

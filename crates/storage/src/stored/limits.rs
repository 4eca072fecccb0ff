//! Limits that decide what is answered, the same over both databases.

use sixpack_model::limits::{STOCK_HISTORY_EVERY_S, STOCK_HISTORY_SPANS};

/// How long an idempotency key is kept: promised to callers.
pub(crate) const KEY_MS: i64 = 24 * 3_600_000;

/// Span that "lately" means.
pub(crate) const LATELY_MS: i64 = 3_600_000;

/// Parts that are looked at to tell how a contract has been doing lately.
pub(crate) const LATELY_ROWS: i64 = 1_000;

/// Datasets of a contract that are looked at to tell how long one takes: enough that a few slow ones do not count.
pub(crate) const PACE_ROWS: i64 = 32;

/// Tokens in one list.
pub(crate) const TOKENS: i64 = 1_000;

/// Timeout of a queue that no session has ever served; nothing is handed out from it before one does.
pub(crate) const UNSERVED_TIMEOUT_MS: i64 = 60_000;

/// The span in which the level of a line is noted once.
pub(crate) const LEVEL_EVERY_MS: i64 = STOCK_HISTORY_EVERY_S as i64 * 1_000;

/// How long what was noted is kept.
pub(crate) const LEVELS_MS: i64 = LEVEL_EVERY_MS * STOCK_HISTORY_SPANS as i64;

/// How much of a rate may be used at once after a quiet time, in microseconds worth of it: high rates go in small
/// bursts instead of one task a millisecond, low ones are evenly spaced.
pub(crate) const RATE_BURST_US: i64 = 50_000;

/// Trees of each status that are looked at for entities that a service is told to leave out, the newest: twice as many as it
/// is told of, because not every tree owns one of the kind.
pub(crate) const FIND_TREES: i64 = 2_000;

/// Trees that have to do with one entity and are looked at for one that is not over, the newest: as long as there is one, no
/// other takes the entity, so that the one is among the last.
pub(crate) const FIND_OWNERS: i64 = 1_000;

/// Datasets in stock that a wish looks at from either end of a line: enough to get past some whose evidence is too old,
/// few enough that looking takes no time.
pub(crate) const STOCK_LOOK: usize = 256;

/// The same for a wish with criteria, which may have to look for long; each row is some hundred bytes.
pub(crate) const STOCK_SELECT_LOOK: usize = 5_000;

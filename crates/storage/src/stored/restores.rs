//! Restores, the same over both databases: the next fence epoch, and what is told.

use serde_json::json;

use super::events::EventRow;
use crate::mutants::{self, Mutant};

/// 2025-01-01T00:00:00Z: fence epochs are minutes since then, so that they stay below 2^25 for half a century.
const FENCE_EPOCH_START_MS: i64 = 1_735_689_600_000;

/// The fence epoch of a restored store: the minute of now, and above the one that it had in any case.
pub(crate) fn next_epoch(now: i64, before: i64) -> i64 {
    if mutants::on(Mutant::RestoreKeepsFences) {
        return before;
    }
    ((now - FENCE_EPOCH_START_MS).max(0) / 60_000).max(before + 1)
}

/// The event that tells of a restore; it belongs to no environment.
pub(crate) fn told(now: i64, from: &str, behind: i64) -> EventRow {
    let data = json!({ "from": from, "behind": behind });
    EventRow {
        at: now,
        environment: String::new(),
        kind: "store.restored".into(),
        request: None,
        tree: None,
        part: 0,
        data: data.to_string(),
    }
}

/// The event that tells of a move from the other kind of store; it belongs to no environment.
pub(crate) fn moved_event(now: i64, from: &str, behind: i64) -> EventRow {
    let data = json!({ "from": from, "behind": behind }).to_string();
    EventRow { kind: "store.moved".into(), data, ..told(now, from, behind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_grows_with_every_restore_and_with_the_time() {
        assert_eq!(next_epoch(FENCE_EPOCH_START_MS + 600_000, 3), 10);
        assert_eq!(next_epoch(FENCE_EPOCH_START_MS + 600_000, 10), 11, "restored within the minute");
        assert_eq!(next_epoch(0, 7), 8, "a clock that is wrong");
    }
}

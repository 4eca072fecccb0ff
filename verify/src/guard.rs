//! Guard: a system under test that knows fences, and refuses whoever comes with one that is older than what it has seen.
//!
//! Its log is the one witness of who really used what, and in which sequence.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One use, in the sequence in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dataset: String,
    pub(crate) fence: u64,
    pub(crate) admitted: bool,
    /// By the clock of whoever came.
    pub(crate) at_us: u64,
}

#[derive(Default)]
struct Seen {
    /// The highest fence that each dataset was used with.
    fences: BTreeMap<String, u64>,
    log: Vec<Entry>,
}

/// Everything that it has seen.
#[derive(Clone, Default)]
pub(crate) struct Guard {
    seen: Arc<Mutex<Seen>>,
}

impl Guard {
    /// Whether the dataset may be used with this fence.
    pub(crate) fn admits(&self, dataset: &str, fence: u64, at_us: u64) -> bool {
        let mut seen = self.seen();
        let highest = seen.fences.entry(dataset.to_owned()).or_default();
        let admitted = fence >= *highest;
        *highest = fence.max(*highest);
        seen.log.push(Entry { dataset: dataset.to_owned(), fence, admitted, at_us });
        admitted
    }

    /// Every use so far.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.seen().log.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_fence_is_refused_once_a_newer_one_was_seen_and_everything_is_in_the_log() {
        let guard = Guard::default();
        assert!(guard.admits("a", 3, 1));
        assert!(guard.admits("a", 3, 2));
        assert!(guard.admits("a", 5, 3));
        assert!(!guard.admits("a", 3, 4));
        assert!(guard.admits("b", 1, 5));
        let admitted: Vec<bool> = guard.log().iter().map(|entry| entry.admitted).collect();
        assert_eq!(admitted, [true, true, true, false, true]);
        assert_eq!(guard.log()[3], Entry { dataset: "a".to_owned(), fence: 3, admitted: false, at_us: 4 });
    }
}

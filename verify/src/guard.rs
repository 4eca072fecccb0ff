//! Guard: a system under test that knows fences, and refuses whoever comes with one that is older than what it has seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The highest fence that each dataset was used with.
#[derive(Clone, Default)]
pub(crate) struct Guard {
    fences: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Guard {
    /// Whether the dataset may be used with this fence.
    pub(crate) fn admits(&self, dataset: &str, fence: u64) -> bool {
        let mut fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = fences.entry(dataset.to_owned()).or_default();
        let admitted = fence >= *seen;
        *seen = fence.max(*seen);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_fence_is_refused_once_a_newer_one_was_seen() {
        let guard = Guard::default();
        assert!(guard.admits("a", 3));
        assert!(guard.admits("a", 3));
        assert!(guard.admits("a", 5));
        assert!(!guard.admits("a", 3));
        assert!(guard.admits("b", 1));
    }
}

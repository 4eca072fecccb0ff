//! Watching: whoever waits for a change of something is woken when it is committed.
//!
//! A wake-up is a hint: whoever wakes reads again, and nobody waits for a hint without a bound.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Wakes those who watch one key.
pub(crate) struct Watch<K> {
    watched: Mutex<HashMap<K, (Arc<Notify>, usize)>>,
}

impl<K> Default for Watch<K> {
    fn default() -> Self {
        Self { watched: Mutex::new(HashMap::new()) }
    }
}

impl<K: Hash + Eq + Copy> Watch<K> {
    /// Begins to watch; changes from now on are not missed.
    pub(crate) fn watch(&self, key: K) -> Watching<'_, K> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let (notify, count) = watched.entry(key).or_default();
        *count += 1;
        Watching { watch: self, key, notify: Arc::clone(notify) }
    }

    pub(crate) fn wake(&self, key: K) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((notify, _)) = watched.get(&key) {
            notify.notify_waiters();
        }
    }

    pub(crate) fn wake_all(&self) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.values().for_each(|(notify, _)| notify.notify_waiters());
    }
}

/// Somebody watching one key.
pub(crate) struct Watching<'a, K: Hash + Eq + Copy> {
    watch: &'a Watch<K>,
    key: K,
    notify: Arc<Notify>,
}

impl<K: Hash + Eq + Copy> Watching<'_, K> {
    /// Resolves with the first wake-up after this call, polled or not.
    pub(crate) fn next(&self) -> OwnedNotified {
        Arc::clone(&self.notify).notified_owned()
    }
}

impl<K: Hash + Eq + Copy> Drop for Watching<'_, K> {
    fn drop(&mut self) {
        let mut watched = self.watch.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = watched.entry(self.key) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }
}

/// Wakes everybody who waits for anything to be committed.
#[derive(Default)]
pub(crate) struct Pulse {
    notify: Arc<Notify>,
}

impl Pulse {
    pub(crate) fn beat(&self) {
        self.notify.notify_waiters();
    }

    /// Resolves with the first beat after this call.
    pub(crate) fn next(&self) -> OwnedNotified {
        Arc::clone(&self.notify).notified_owned()
    }
}

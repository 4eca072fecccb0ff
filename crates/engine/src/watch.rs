//! Watching: whoever waits for a change of something is woken when it is committed.
//!
//! A wake-up is a hint: whoever wakes looks again, at the news that came with it or into the store, and nobody waits for a
//! hint without a bound.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Wakes those who watch one key. The last wake-up may bring news, so that nobody has to read what was written just now.
pub(crate) struct Watch<K, V = ()> {
    watched: Arc<Mutex<HashMap<K, Watched<V>>>>,
}

struct Watched<V> {
    place: Arc<Place<V>>,
    watchers: usize,
}

/// What the watchers of one key share.
struct Place<V> {
    notify: Arc<Notify>,
    news: OnceLock<V>,
}

impl<K, V> Default for Watch<K, V> {
    fn default() -> Self {
        Self { watched: Arc::default() }
    }
}

impl<K: Hash + Eq + Copy, V> Watch<K, V> {
    /// Begins to watch; changes from now on are not missed.
    pub(crate) fn watch(&self, key: K) -> Watching<K, V> {
        let mut watched = self.lock();
        let here = watched.entry(key).or_insert_with(|| {
            let place = Place { notify: Arc::default(), news: OnceLock::new() };
            Watched { place: Arc::new(place), watchers: 0 }
        });
        here.watchers += 1;
        let place = Arc::clone(&here.place);
        Watching { watch: Self { watched: Arc::clone(&self.watched) }, key, place }
    }

    pub(crate) fn wake(&self, key: K) {
        if let Some(here) = self.lock().get(&key) {
            here.place.notify.notify_waiters();
        }
    }

    /// Wakes, and tells what there is to know; only what is told first counts.
    pub(crate) fn tell(&self, key: K, news: impl FnOnce() -> V) {
        if let Some(here) = self.lock().get(&key) {
            here.place.news.get_or_init(news);
            here.place.notify.notify_waiters();
        }
    }

    pub(crate) fn wake_all(&self) {
        self.lock().values().for_each(|here| here.place.notify.notify_waiters());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Watched<V>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody watching one key.
pub(crate) struct Watching<K: Hash + Eq + Copy, V = ()> {
    watch: Watch<K, V>,
    key: K,
    place: Arc<Place<V>>,
}

impl<K: Hash + Eq + Copy, V> Watching<K, V> {
    /// Resolves with the first wake-up after this call, polled or not.
    pub(crate) fn next(&self) -> OwnedNotified {
        Arc::clone(&self.place.notify).notified_owned()
    }

    /// What was told since somebody began to watch.
    pub(crate) fn news(&self) -> Option<&V> {
        self.place.news.get()
    }
}

impl<K: Hash + Eq + Copy, V> Drop for Watching<K, V> {
    fn drop(&mut self) {
        let mut watched = self.watch.lock();
        if let Entry::Occupied(mut entry) = watched.entry(self.key) {
            entry.get_mut().watchers -= 1;
            if entry.get().watchers == 0 {
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

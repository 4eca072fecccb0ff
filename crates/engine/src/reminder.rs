//! A reminder: when the next tree is due, so that its time is noticed when it comes and not with the next look.
//!
//! A hint like every wake-up: one that is lost, such as with a restart, costs the time until the next look.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// One moment, the soonest of those that were named.
#[derive(Default)]
pub(crate) struct Reminder {
    at: Mutex<Option<Instant>>,
    sooner: Notify,
}

impl Reminder {
    /// Names a moment.
    pub(crate) fn set(&self, at: Instant) {
        let mut soonest = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if soonest.is_none_or(|soonest| at < soonest) {
            *soonest = Some(at);
            self.sooner.notify_one();
        }
    }

    /// Waits for the soonest moment that was or will be named, and forgets it.
    pub(crate) async fn comes(&self) {
        loop {
            let soonest = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(at) = soonest else {
                self.sooner.notified().await;
                continue;
            };
            tokio::select! {
                () = self.sooner.notified() => {}
                () = tokio::time::sleep_until(at) => {
                    let mut soonest = self.at.lock().unwrap_or_else(PoisonError::into_inner);
                    if soonest.is_some_and(|soonest| soonest <= at) {
                        *soonest = None;
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    /// Long enough for any machine; nothing waits for it.
    const NEVER: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn the_soonest_moment_counts_and_is_forgotten_when_it_has_come() {
        let reminder = Arc::new(Reminder::default());
        let waiting = tokio::spawn({
            let reminder = Arc::clone(&reminder);
            async move { reminder.comes().await }
        });
        reminder.set(Instant::now() + NEVER);
        tokio::task::yield_now().await;
        reminder.set(Instant::now());
        reminder.set(Instant::now() + NEVER);
        waiting.await.unwrap();
        assert!(reminder.at.lock().unwrap().is_none_or(|at| at > Instant::now()));
    }
}

//! Events: read in the order of their commits, waited for without polling.

use std::time::Duration;

use sixpack_model::event::Event;
use sixpack_storage::events::EventFilter;

use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;

/// How many events are read at once.
const BATCH: u32 = 500;

/// Whoever follows looks again after this long even if nothing woke it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Engine {
    /// The place in the order of events that "now" is.
    pub async fn last_event(&self) -> Result<u64, Refusal> {
        Ok(self.store().last_sequence().await?)
    }

    /// Events behind `after`; waits up to `wait` when there are none. Returns them with the place to go on from.
    pub async fn follow_events(
        &self,
        caller: &Caller,
        filter: &EventFilter,
        after: u64,
        wait: Duration,
    ) -> Result<(Vec<Event>, u64), Refusal> {
        let until = tokio::time::Instant::now() + wait;
        let mut filter = filter.clone();
        if !caller.narrow(&mut filter.environment) {
            tokio::time::sleep_until(until).await;
            return Ok((Vec::new(), after));
        }
        loop {
            let news = self.inner.committed.next();
            let events = self.store().events(&filter, after, BATCH).await?;
            if let Some(last) = events.last() {
                let place = last.sequence;
                return Ok((events, place));
            }
            let now = tokio::time::Instant::now();
            if now >= until {
                return Ok((events, after));
            }
            // Woken or not, they are read again.
            let _ = tokio::time::timeout_at(until.min(now + LOOK_AGAIN), news).await;
        }
    }
}

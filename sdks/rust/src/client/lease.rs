//! A lease as a guard: it renews itself while you hold it, and gives the dataset back when you drop it.
//!
//! ```text
//! held --renewed at a third of its length--> held --release, or drop--> released
//!   \--80 % of the time without an answer, or refused--> lost
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Client;
use crate::Error;
use crate::clock::Moment;
use crate::retry::backoff;
use crate::wire::{self, Outcome, Release, Renewal};

/// Longest nap of the renewal: timers stand still while a machine sleeps, so it looks at the clock this often.
const NAP: Duration = Duration::from_secs(5);

/// The right to use one dataset.
///
/// It renews itself in the background at a third of its length. It counts as lost at 80 % of the time since the last
/// answered renewal was *sent*, on a clock that runs during suspend; so it never seems alive after the server ended it.
///
/// End it by [`release`](Self::release). Dropping it releases in the background, which needs a runtime that goes on
/// running for a moment; without one the lease ends by expiry.
#[derive(Debug)]
#[must_use = "a dropped lease is released at once"]
pub struct Lease {
    client: Client,
    data: wire::Lease,
    shared: Arc<Shared>,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    clock: Mutex<LeaseClock>,
    lost: CancellationToken,
    stop: CancellationToken,
}

impl Lease {
    /// Guards `data`, which came in the answer to a call sent at `asked`.
    pub(super) fn new(client: Client, data: wire::Lease, asked: Moment) -> Self {
        let clock = LeaseClock::new(asked, Duration::from_millis(data.ttl_ms));
        let shared = Arc::new(Shared {
            clock: Mutex::new(clock),
            lost: CancellationToken::new(),
            stop: CancellationToken::new(),
        });
        let renewal = Renewal::new(data.fence, None);
        tokio::spawn(keep_alive(client.clone(), data.id.clone(), renewal, Arc::clone(&shared)));
        Self { client, data, shared, ended: false }
    }

    /// `lease_…`
    pub fn id(&self) -> &str {
        &self.data.id
    }

    /// Pass it on to systems that can refuse a stale holder.
    pub fn fence(&self) -> u64 {
        self.data.fence
    }

    /// `ds_…`
    pub fn dataset_id(&self) -> &str {
        &self.data.dataset.id
    }

    /// The data, as your type.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when the output has another shape.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.data.dataset.output).map_err(|error| Error::Unreadable {
            what: format!("the output of {}", self.data.dataset.contract),
            reason: error.to_string(),
        })
    }

    /// The data, as JSON.
    pub fn json(&self) -> &Value {
        &self.data.dataset.output
    }

    /// The lease as the server showed it when it was granted: holder, dataset, evidence.
    pub fn wire(&self) -> &wire::Lease {
        &self.data
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the data may still be used. Once false it stays false.
    pub fn is_usable(&self) -> bool {
        !self.shared.lost.is_cancelled() && self.shared.lock().usable(Moment::now())
    }

    /// How long the data may be used if no renewal succeeds from now on.
    pub fn usable_for(&self) -> Duration {
        if self.shared.lost.is_cancelled() {
            Duration::ZERO
        } else {
            self.shared.lock().usable_for(Moment::now())
        }
    }

    /// Returns when the lease is lost: stop using the data. Never returns while renewals succeed.
    pub async fn lost(&self) {
        self.shared.lost.cancelled().await;
    }

    /// Asks every service about the data, and says whether it is still valid, has changed under the lease, or cannot be
    /// checked: what to look at first when a test fails.
    ///
    /// # Errors
    /// [`Error::Problem`] with `lease_ended` when it was lost.
    pub async fn diagnose(&self) -> Result<wire::Diagnosis, Error> {
        self.client.diagnose_lease(&self.data.id).await
    }

    /// Gives the dataset back as used.
    ///
    /// # Errors
    /// [`Error::Problem`] with `lease_ended` or `lease_fenced` when it was lost before.
    pub async fn release(self) -> Result<wire::Lease, Error> {
        self.release_as(Outcome::Used).await
    }

    /// Gives the dataset back, saying what became of it.
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub async fn release_as(self, outcome: Outcome) -> Result<wire::Lease, Error> {
        let release = Release::new(self.data.fence, outcome);
        self.release_with(&release).await
    }

    /// Gives the dataset back as broken, with a note for the owner of the data.
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub async fn release_broken(self, note: impl Into<String>) -> Result<wire::Lease, Error> {
        let release = Release::new(self.data.fence, Outcome::Broken).note(note);
        self.release_with(&release).await
    }

    /// Stops renewing and does not release: the lease is yours to renew and release by id and fence.
    pub fn keep(mut self) -> wire::Lease {
        self.ended = true;
        self.data.clone()
    }

    async fn release_with(mut self, release: &Release) -> Result<wire::Lease, Error> {
        self.shared.stop.cancel();
        let answer = self.client.release_lease(&self.data.id, release).await;
        // Only an answer ends our duty: without one, or when this future is dropped, it is tried again in the background.
        self.ended = matches!(answer, Ok(_) | Err(Error::Problem(_)));
        answer
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.ended || self.shared.lost.is_cancelled() {
            return;
        }
        let (client, id, fence) = (self.client.clone(), self.data.id.clone(), self.data.fence);
        runtime.spawn(async move {
            if let Err(error) = client.release_lease(&id, &Release::new(fence, Outcome::Used)).await {
                tracing::warn!(lease = id, %error, "lease not released; it ends by expiry");
            }
        });
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, LeaseClock> {
        // The clock is replaced as a whole, so a panicking holder leaves nothing half done.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep_alive(client: Client, id: String, renewal: Renewal, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let lost = tokio::select! {
        () = stop.cancelled() => return,
        lost = renew_until_lost(&client, &id, &renewal, &shared) => lost,
    };
    tracing::warn!(lease = id, reason = lost, "lease lost: its data must not be used any more");
    shared.lost.cancel();
}

/// Renews whenever it is time; returns why that came to an end.
async fn renew_until_lost(client: &Client, id: &str, renewal: &Renewal, shared: &Shared) -> String {
    let mut tries = 0;
    let mut not_before = Moment::now();
    loop {
        let now = Moment::now();
        let clock = *shared.lock();
        if !clock.usable(now) {
            return "no renewal was answered in time".into();
        }
        let due = clock.renew_at().max(not_before);
        if due > now {
            tokio::time::sleep(due.since(now).min(clock.usable_for(now)).min(NAP)).await;
            continue;
        }
        // An answer that comes after the data may no longer be used is of no use: do not wait for it.
        let answer = tokio::time::timeout(clock.usable_for(now), client.renew_lease(id, renewal)).await;
        match answer {
            Ok(Ok(lease)) => {
                tries = 0;
                let renewed = clock.renewed(now, Duration::from_millis(lease.ttl_ms));
                *shared.lock() = renewed;
            }
            Ok(Err(Error::Problem(problem))) if matches!(problem.status, 404 | 409) => return problem.detail,
            Ok(Err(_)) | Err(_) => {
                tries += 1;
                not_before = Moment::now().plus(backoff(tries, fastrand::f64()));
            }
        }
    }
}

/// What we know of a lease's end: it lives at least `ttl` from `asked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LeaseClock {
    asked: Moment,
    ttl: Duration,
}

impl LeaseClock {
    /// From an answer that said `ttl` to a call sent at `asked`.
    fn new(asked: Moment, ttl: Duration) -> Self {
        Self { asked, ttl }
    }

    /// Four fifths: what is left covers clocks that run at different speeds.
    fn usable_span(self) -> Duration {
        self.ttl * 4 / 5
    }

    fn usable(self, now: Moment) -> bool {
        now.since(self.asked) < self.usable_span()
    }

    fn usable_for(self, now: Moment) -> Duration {
        self.usable_span().saturating_sub(now.since(self.asked))
    }

    fn renew_at(self) -> Moment {
        self.asked.plus(self.ttl / 3)
    }

    /// After a renewal sent at `asked` was answered with `ttl`. Both bounds hold; the later one is kept.
    fn renewed(self, asked: Moment, ttl: Duration) -> Self {
        let renewed = Self::new(asked, ttl);
        if renewed.asked.plus(renewed.ttl) >= self.asked.plus(self.ttl) { renewed } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_lease_is_usable_for_four_fifths_from_the_moment_it_was_asked_for() {
        let asked = Moment::now();
        let clock = LeaseClock::new(asked, TTL);
        assert!(clock.usable(asked.plus(seconds(239))));
        assert!(!clock.usable(asked.plus(seconds(240))));
        assert_eq!(clock.usable_for(asked.plus(seconds(200))), seconds(40));
        assert_eq!(clock.usable_for(asked.plus(seconds(999))), Duration::ZERO);
    }

    #[test]
    fn a_lease_is_renewed_at_a_third_of_its_length() {
        let asked = Moment::now();
        assert_eq!(LeaseClock::new(asked, TTL).renew_at(), asked.plus(seconds(100)));
    }

    #[test]
    fn a_renewal_counts_from_when_it_was_sent_and_never_shortens() {
        let asked = Moment::now();
        let clock = LeaseClock::new(asked, TTL);
        let later = clock.renewed(asked.plus(seconds(100)), TTL);
        assert!(later.usable(asked.plus(seconds(339))));
        assert!(!later.usable(asked.plus(seconds(340))));
        let shorter = clock.renewed(asked.plus(seconds(100)), seconds(10));
        assert_eq!(shorter, clock);
    }

    #[test]
    fn a_lease_without_time_left_is_not_usable() {
        let asked = Moment::now();
        assert!(!LeaseClock::new(asked, Duration::ZERO).usable(asked));
    }
}

//! Overload: how many requests are worked on at one time, and how many long polls are parked.
//!
//! A request holds a place from its admission to the end of its answer. A long poll gives its place back when it
//! parks and holds a poll's place instead: thousands may wait, because waiting costs next to nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use super::settings::{EdgeSettings, Taken};

/// When to ask again: most requests take milliseconds, so a second makes room.
const RETRY_AFTER_S: u64 = 1;

/// Long polls one token may have parked: one per connection of a usual client, not a flood.
pub const POLLS_PER_KEY_MAX: usize = 8;

/// Long polls parked in all; each holds a connection and a few KiB.
pub const POLLS_MAX: usize = 4_096;

/// The places for requests in flight.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
}

/// The place of one request in flight. Handlers take it as an extractor to park a long poll.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Request>);

/// What is known of a request while it is answered.
#[derive(Debug, Default)]
struct Request {
    place: Mutex<Option<OwnedSemaphorePermit>>,
    /// The number of its operation, from 1; 0 before it is known.
    operation: AtomicUsize,
    /// Whether it waited for news.
    parked: AtomicBool,
}

/// The long polls of a server: a cap for each key (a token) and one for all.
#[derive(Debug, Clone)]
pub struct LongPolls {
    total: Arc<Semaphore>,
    by_key: Arc<Mutex<HashMap<String, usize>>>,
    per_key_max: usize,
}

/// The place of one parked long poll; hold it while waiting, dropping it makes room.
#[derive(Debug)]
pub struct PollPlace {
    key: String,
    by_key: Arc<Mutex<HashMap<String, usize>>>,
    _total: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(settings: &EdgeSettings) -> Self {
        let admission = Self {
            places: Arc::new(Semaphore::new(settings.in_flight_max)),
            urgent: Arc::new(Semaphore::new(settings.in_flight_urgent_max)),
        };
        settings.counters.in_flight.are(&admission.places, settings.in_flight_max);
        settings.counters.in_flight_urgent.are(&admission.urgent, settings.in_flight_urgent_max);
        admission
    }

    /// Fills `in_flight` with a place, or refuses at once: a queue here would only make everybody slow.
    pub(super) fn admit(&self, urgent: bool, in_flight: &InFlight) -> Result<(), Problem> {
        let mut place = Arc::clone(&self.places).try_acquire_owned();
        if urgent && place.is_err() {
            place = Arc::clone(&self.urgent).try_acquire_owned();
        }
        let place =
            place.map_err(|_| overloaded("Too many requests are being worked on; ask again shortly."))?;
        *in_flight.0.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        Ok(())
    }
}

impl InFlight {
    /// Gives the place back before the request ends; a second time does nothing.
    fn give_back(&self) {
        self.0.parked.store(true, Ordering::Relaxed);
        drop(self.0.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Says which operation it is of, by its number.
    pub(crate) fn is_of(&self, operation: usize) {
        self.0.operation.store(operation + 1, Ordering::Relaxed);
    }

    /// Which operation it is of, once that is known.
    pub(super) fn operation(&self) -> Option<usize> {
        self.0.operation.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Whether it waited for news.
    pub(super) fn was_parked(&self) -> bool {
        self.0.parked.load(Ordering::Relaxed)
    }
}

impl<S: Sync> FromRequestParts<S> for InFlight {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

impl Default for LongPolls {
    fn default() -> Self {
        Self::new(POLLS_PER_KEY_MAX, POLLS_MAX)
    }
}

impl LongPolls {
    /// Room for `per_key_max` long polls of one key and `total_max` of all.
    pub fn new(per_key_max: usize, total_max: usize) -> Self {
        Self { total: Arc::new(Semaphore::new(total_max)), by_key: Arc::default(), per_key_max }
    }

    /// Has the places of all parked calls counted.
    pub(crate) fn counted_by(&self, taken: &Taken, total_max: usize) {
        taken.are(&self.total, total_max);
    }

    /// Parks the request `in_flight` as a long poll of `key`; its place in flight is given back.
    ///
    /// # Errors
    /// 429 `too_many_polls` when the key has as many parked as it may, 503 `overloaded` when the server has.
    pub fn park(&self, key: &str, in_flight: &InFlight) -> Result<PollPlace, Problem> {
        let mut parked = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if parked.get(key).is_some_and(|here| *here >= self.per_key_max) {
            let detail = format!(
                "At most {} long polls of one token may wait at a time; end one first, or wait for its answer.",
                self.per_key_max
            );
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_polls", "Too many long polls")
                .detail(detail)
                .retry_after_s(RETRY_AFTER_S));
        }
        let total = Arc::clone(&self.total)
            .try_acquire_owned()
            .map_err(|_| overloaded("Too many long polls wait on this server; ask again shortly."))?;
        *parked.entry(key.to_owned()).or_insert(0) += 1;
        drop(parked);
        in_flight.give_back();
        Ok(PollPlace { key: key.to_owned(), by_key: Arc::clone(&self.by_key), _total: total })
    }
}

impl Drop for PollPlace {
    fn drop(&mut self) {
        let mut parked = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = parked.get_mut(&self.key) {
            *here -= 1;
            if *here == 0 {
                parked.remove(&self.key);
            }
        }
    }
}

fn overloaded(detail: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The server is busy")
        .detail(detail)
        .retry_after_s(RETRY_AFTER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_cannot_take_the_polls_of_others() {
        let polls = LongPolls::new(2, 3);
        let (first, _second) = (park(&polls, "a").unwrap(), park(&polls, "a").unwrap());
        assert_eq!(park(&polls, "a").unwrap_err(), "too_many_polls");
        let _third = park(&polls, "b").unwrap();
        assert_eq!(park(&polls, "b").unwrap_err(), "overloaded");
        drop(first);
        assert!(park(&polls, "a").is_ok());
    }

    #[test]
    fn a_parked_poll_gives_its_place_in_flight_back() {
        let admission =
            Admission::new(&EdgeSettings { in_flight_max: 1, in_flight_urgent_max: 1, ..Default::default() });
        let (poll, other) = (InFlight::default(), InFlight::default());
        admission.admit(false, &poll).unwrap();
        assert_eq!(admission.admit(false, &other).unwrap_err().code(), "overloaded");
        assert!(admission.admit(true, &other).is_ok(), "urgent requests have places of their own");
        let _place = LongPolls::default().park("a", &poll).unwrap();
        assert!(admission.admit(false, &InFlight::default()).is_ok());
    }

    fn park(polls: &LongPolls, key: &str) -> Result<PollPlace, &'static str> {
        polls.park(key, &InFlight::default()).map_err(|problem| problem.code())
    }
}

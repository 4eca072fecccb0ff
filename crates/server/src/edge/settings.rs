//! The limits of the edge, each with its reason; tests and operators may override every one.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use sixpack_engine::{Counter, Named};
use tokio::sync::Semaphore;

use super::calls::Calls;

/// What the edge allows. [`EdgeSettings::default`] is meant for a server that faces a network.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// From the first byte of a head to its end. Honest clients send a head in one packet; half-sent heads are
    /// the cheapest way to hold connections open.
    pub header_timeout: Duration,
    /// From the end of the head to the end of the body, so that no body can trickle in for ever.
    pub body_timeout: Duration,
    /// Silence between two requests of one connection. Longer than the reuse time of common HTTP clients' pools
    /// would gain nothing, shorter would race with them.
    pub idle_timeout: Duration,
    /// How long an answer may wait for a client that does not read it.
    pub write_timeout: Duration,
    /// How long a closed connection still takes what the client had on the way, so that the client can read the
    /// last answer before it hears of the close.
    pub linger: Duration,
    /// Longest request target. Everything long belongs into a body.
    pub uri_max_bytes: usize,
    /// Most header fields of a request; browsers and proxies send about 30.
    pub headers_max: usize,
    /// Largest block of header fields, so that a head fits one small buffer.
    pub header_block_max_bytes: usize,
    /// Requests that may follow each other unanswered on one connection; real clients send one.
    pub pipelined_max: u32,
    /// Hosts that this server answers to, each `name` (any port) or `name:port`, lower case. Empty: any host,
    /// which suits only a server on loopback without a browser.
    pub hosts: Vec<String>,
    /// Open connections in all; each may cost about 40 KiB of buffers while it is active.
    pub connections_max: usize,
    /// Open connections of one address. Wide enough for a build farm behind one gateway.
    pub connections_per_address_max: usize,
    /// Requests worked on at one time, parked long polls aside. More would wait for the store, not be faster.
    pub in_flight_max: usize,
    /// Places kept beside `in_flight_max` for requests that `is_urgent` picks.
    pub in_flight_urgent_max: usize,
    /// Which requests are served before new work (renewing and releasing a lease); never asked for the body.
    pub is_urgent: fn(&Method, &str) -> bool,
    /// How long connections are still accepted after shutdown began, because load balancers learn of it late.
    pub drain_delay: Duration,
    /// How long requests in flight may take to finish once nothing is accepted any more.
    pub grace: Duration,
    /// One log line per request at INFO.
    pub access_log: bool,
    /// What the edge counts, shared with whoever shows metrics.
    pub counters: Arc<Counters>,
}

impl Default for EdgeSettings {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            linger: Duration::from_secs(1),
            uri_max_bytes: 8 * 1024,
            headers_max: 64,
            header_block_max_bytes: 32 * 1024,
            pipelined_max: 64,
            hosts: Vec::new(),
            connections_max: 8_192,
            connections_per_address_max: 2_048,
            in_flight_max: 512,
            in_flight_urgent_max: 64,
            is_urgent: |_, _| false,
            drain_delay: Duration::from_secs(5),
            grace: Duration::from_secs(25),
            access_log: false,
            counters: Arc::default(),
        }
    }
}

/// What the edge did that an operator should know of, since the start, and what it is at.
#[derive(Debug)]
pub struct Counters {
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused because too many were open, in all or from one address.
    pub connections_refused: Counter,
    /// Heads refused before routing.
    pub heads_refused: Counter,
    /// Requests refused because too many were in flight.
    pub overloaded: Counter,
    /// Handlers that panicked.
    pub panics: Counter,
    /// What was answered.
    pub calls: Calls,
    /// Refusals by code.
    pub refused: Named<Counter>,
    /// Open connections.
    pub open: Taken,
    /// Requests that are worked on.
    pub in_flight: Taken,
    /// The same beyond the places of all, of those that are urgent.
    pub in_flight_urgent: Taken,
    /// Calls that wait for news.
    pub parked: Taken,
}

impl Counters {
    /// Nothing yet, of so many operations.
    pub(crate) fn of(operations: usize) -> Self {
        Self {
            connections: Counter::default(),
            connections_refused: Counter::default(),
            heads_refused: Counter::default(),
            overloaded: Counter::default(),
            panics: Counter::default(),
            calls: Calls::of(operations),
            refused: Named::default(),
            open: Taken::default(),
            in_flight: Taken::default(),
            in_flight_urgent: Taken::default(),
            parked: Taken::default(),
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::of(0)
    }
}

/// How many places are taken of those that there are; none before whoever gives them out has said so.
#[derive(Debug, Default)]
pub struct Taken(OnceLock<(Arc<Semaphore>, usize)>);

impl Taken {
    /// Says which places these are. Only the first time counts: a second server with these counters counts for itself.
    pub(crate) fn are(&self, places: &Arc<Semaphore>, of: usize) {
        let _ = self.0.set((Arc::clone(places), of));
    }

    /// How many are taken now.
    pub fn now(&self) -> usize {
        self.0.get().map_or(0, |(places, of)| of.saturating_sub(places.available_permits()))
    }
}

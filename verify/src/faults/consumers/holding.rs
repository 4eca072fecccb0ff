//! Holding: what a consumer does with a lease, from the first use until it is given back, forgotten, or used too late.
//!
//! The consumer only decides what to do next; whether what came of it may be is for the rules, which see the whole history.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::super::journal::{Act, CLOCKS, End, SeenLease};
use super::Consumer;
use super::calling::Intent;

/// So much time goes by between two uses, in milliseconds.
const USE_MS: std::ops::Range<u64> = 10..250;

/// So many are remembered that were given back.
const REMEMBERED_MAX: usize = 8;

impl Consumer {
    /// Holds a lease that was seen in the answer to a call begun at `asked_us`, and uses it several times.
    pub(super) async fn hold(&mut self, lease: &SeenLease, asked_us: u64) {
        // A holder counts from before it asked, and stops at four fifths.
        let believed_until_us = asked_us + lease.ttl_us / 5 * 4;
        match self.random.u8(..20) {
            0..9 => {
                let until_us = self.random.u64(asked_us..=believed_until_us);
                self.use_until(lease, until_us).await;
                let outcome = ["used", "unused", "broken"][self.random.usize(..3)];
                self.release(lease, outcome).await;
            }
            9..15 => {
                if self.renew_beyond(lease, asked_us).await {
                    self.use_once_more(lease).await;
                }
                let outcome = ["used", "broken"][self.random.usize(..2)];
                self.release(lease, outcome).await;
            }
            15..18 => self.come_too_late(lease).await,
            // Forgotten: it expires.
            _ => self.use_until(lease, believed_until_us).await,
        }
    }

    /// Uses a lease once, and gives it back at once.
    pub(super) async fn use_once(&mut self, lease: &SeenLease, asked_us: u64) {
        self.use_now(lease);
        match self.random.u8(..20) {
            0..6 => self.release(lease, "used").await,
            6..16 => self.release(lease, "unused").await,
            16..19 => self.release(lease, "broken").await,
            _ => self.use_until(lease, asked_us + lease.ttl_us / 2).await,
        }
    }

    /// Uses again what it gave back unused. The system under test refuses that as soon as whoever has it now has used it.
    pub(super) fn use_what_was_given_back(&mut self) {
        for lease in std::mem::take(&mut self.given_back) {
            // As long as nobody else has used it, it may be tried again.
            if self.use_now(&lease) && self.given_back.len() < REMEMBERED_MAX {
                self.given_back.push(lease);
            }
        }
    }

    /// Uses the dataset at random moments, looks at the lease in between, and comes back at this time.
    async fn use_until(&mut self, lease: &SeenLease, until_us: u64) {
        self.use_now(lease);
        loop {
            let pause_us = self.random.u64(USE_MS) * 1_000;
            let left_us = until_us.saturating_sub(self.journal.now_us());
            tokio::time::sleep(Duration::from_micros(pause_us.min(left_us))).await;
            if left_us <= pause_us {
                return;
            }
            self.use_once_more(lease).await;
        }
    }

    async fn use_once_more(&mut self, lease: &SeenLease) {
        if self.random.u8(..3) == 0 {
            let path = format!("/v1/leases/{}", lease.id);
            self.insist(Intent::look(Act::LookAtLease, &lease.id, &path)).await;
        }
        self.use_now(lease);
    }

    /// Whether the system under test admits it.
    fn use_now(&mut self, lease: &SeenLease) -> bool {
        let begun_us = self.journal.now_us();
        let admitted = self.guard.admits(&lease.dataset, lease.fence, begun_us);
        self.journal.note_use(self.number, lease, begun_us, admitted);
        admitted
    }

    /// Renews while it believes, and goes on until the time is over that it was first told. Whether it still believes then.
    async fn renew_beyond(&mut self, lease: &SeenLease, asked_us: u64) -> bool {
        let first_us = self.journal.now_us() + lease.ttl_us;
        let (mut from_us, mut ttl_us) = (asked_us, lease.ttl_us);
        loop {
            // Before its belief ends, or when the first time is over.
            let until_us = (from_us + ttl_us / 2).min(first_us + USE_MS.start * 1_000);
            self.use_until(lease, until_us).await;
            if self.journal.now_us() > first_us {
                return true;
            }
            match self.renew(lease).await {
                Some((begun_us, renewed_us)) => (from_us, ttl_us) = (begun_us, renewed_us),
                None => return false,
            }
        }
    }

    /// Holds a lease until it has surely expired, and goes on all the same.
    async fn come_too_late(&mut self, lease: &SeenLease) {
        self.use_now(lease);
        tokio::time::sleep(Duration::from_micros(lease.ttl_us) + CLOCKS).await;
        self.tally.came_too_late.fetch_add(1, Ordering::Relaxed);
        self.use_now(lease);
        if self.random.bool() {
            self.renew(lease).await;
        } else {
            self.release(lease, "unused").await;
        }
    }

    /// When the renewal was sent that was answered, and for how long it is.
    async fn renew(&mut self, lease: &SeenLease) -> Option<(u64, u64)> {
        let path = format!("/v1/leases/{}/renew", lease.id);
        let body = json!({ "fence": lease.fence });
        let intent = Intent {
            body: Some(&body),
            fence: Some(lease.fence),
            ..Intent::look(Act::Renew, &lease.id, &path)
        };
        let heard = self.insist(intent).await?;
        let renewed = heard.answer.leases.first().filter(|_| heard.end == End::Ok)?;
        Some((heard.begun_us, renewed.ttl_us))
    }

    /// Gives a lease back; sometimes with a fence first that is not its own.
    async fn release(&mut self, lease: &SeenLease, outcome: &'static str) {
        let path = format!("/v1/leases/{}/release", lease.id);
        let lie = match self.random.u8(..8) {
            0 => Some(lease.fence + 1),
            1 => Some(lease.fence - 1),
            2 => Some((1 << 53) - 1),
            _ => None,
        };
        for fence in lie.into_iter().chain([lease.fence]) {
            let body = json!({ "fence": fence, "outcome": outcome });
            let intent = Intent {
                body: Some(&body),
                fence: Some(fence),
                outcome: Some(outcome),
                ..Intent::look(Act::Release, &lease.id, &path)
            };
            self.insist(intent).await;
        }
        if outcome == "unused" {
            self.given_back.push(lease.clone());
        }
    }
}

//! Quotas in SQLite: how many leases a token and an environment have, counted with every change instead of looked up.
//!
//! A request takes a place for each of its leases when it is accepted. The places go back when it ends without leases, and
//! otherwise one by one, with each lease. Both counts change in one statement over two small rows that are always in
//! memory, so that a request costs the same however many leases there are.

use rusqlite::params;

use super::columns::{int, unsigned};
use super::statements::Statements;
use super::writer::Tx;
use crate::requests::{OverQuota, Quota, QuotaOf};

/// Whose places are taken: those of a token in an environment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taker {
    pub(super) token: [u8; 16],
    pub(super) environment: i64,
}

impl Tx<'_> {
    /// Takes places; when there are not so many, says so and takes none.
    pub(super) fn take_places(
        &self,
        taker: Taker,
        places: usize,
        quota: Quota,
    ) -> rusqlite::Result<Option<OverQuota>> {
        let places = int(places as u64);
        let taken = self.change_places(taker, places)?;
        let over = [(QuotaOf::Token, quota.per_token), (QuotaOf::Environment, quota.per_environment)]
            .into_iter()
            .zip(taken)
            .find(|((_, limit), taken)| *taken > *limit);
        let Some(((of, limit), taken)) = over else { return Ok(None) };
        self.change_places(taker, -places)?;
        Ok(Some(OverQuota { of, limit, taken: taken.saturating_sub(places.unsigned_abs()) }))
    }

    /// Gives places back: of a request that has ended without leases, or of a lease that has ended.
    pub(super) fn give_places_back(&self, taker: Taker, places: i64) -> rusqlite::Result<()> {
        self.change_places(taker, -places).map(|_| ())
    }

    /// Adds to both counts; returns them, that of the token first.
    fn change_places(&self, taker: Taker, places: i64) -> rusqlite::Result<[u64; 2]> {
        let counts = self.connection.all(
            "INSERT INTO quota_use (scope, owner, leases) VALUES (0, ?1, ?3), (1, ?2, ?3)
             ON CONFLICT (scope, owner) DO UPDATE SET leases = leases + excluded.leases
             RETURNING scope, leases",
            params![taker.token, taker.environment, places],
            |row| Ok((row.get::<_, i64>(0)?, unsigned(row, 1)?)),
        )?;
        let of = |scope: i64| counts.iter().find(|(its, _)| *its == scope).map_or(0, |(_, leases)| *leases);
        Ok([of(0), of(1)])
    }
}

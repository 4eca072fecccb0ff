//! Quotas in SQLite: how many leases a token and an environment have, counted with every change instead of looked up.
//!
//! A request takes a place for each of its leases when it is accepted. The places go back when it ends without leases, and
//! otherwise one by one, with each lease. Both counts are small rows that are always in memory, so that a request costs the same
//! however many leases there are.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::columns::{int, unsigned};
use super::statements::Statements;
use super::writer::Tx;
use crate::requests::{OverQuota, Quota, QuotaOf, QuotaTaken};

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
        let limits = [quota.per_token, quota.per_environment];
        for ((of, scope, owner), limit) in scopes(taker).into_iter().zip(limits) {
            let taken = taken_in(self.connection, scope, &owner)?;
            if taken + places as u64 > limit {
                return Ok(Some(OverQuota { of, limit, taken }));
            }
        }
        self.change_places(taker, int(places as u64))?;
        Ok(None)
    }

    /// Gives places back: of a request that has ended without leases, or of a lease that has ended.
    pub(super) fn give_places_back(&self, taker: Taker, places: i64) -> rusqlite::Result<()> {
        self.change_places(taker, -places)
    }

    fn change_places(&self, taker: Taker, places: i64) -> rusqlite::Result<()> {
        for (_, scope, owner) in scopes(taker) {
            let add = "UPDATE quota_use SET leases = leases + ?3 WHERE scope = ?1 AND owner = ?2";
            if self.connection.run(add, params![scope, owner, places])? == 0 {
                let first = "INSERT INTO quota_use (scope, owner, leases) VALUES (?1, ?2, ?3)";
                self.connection.run(first, params![scope, owner, places])?;
            }
        }
        Ok(())
    }
}

/// How many places are taken.
pub(super) fn places_taken(connection: &Connection, taker: Taker) -> rusqlite::Result<QuotaTaken> {
    let [(_, first, token), (_, second, environment)] = scopes(taker);
    Ok(QuotaTaken {
        by_token: taken_in(connection, first, &token)?,
        in_environment: taken_in(connection, second, &environment)?,
    })
}

fn taken_in(connection: &Connection, scope: i64, owner: &Value) -> rusqlite::Result<u64> {
    let read = "SELECT leases FROM quota_use WHERE scope = ?1 AND owner = ?2";
    Ok(connection.one(read, params![scope, owner], |row| unsigned(row, 0))?.unwrap_or(0))
}

/// Both counts of a taker by their keys, that of the token first.
fn scopes(taker: Taker) -> [(QuotaOf, i64, Value); 2] {
    let token = Value::Blob(taker.token.to_vec());
    [(QuotaOf::Token, 0, token), (QuotaOf::Environment, 1, Value::Integer(taker.environment))]
}

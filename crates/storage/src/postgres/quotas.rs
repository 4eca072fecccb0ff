//! Quotas in PostgreSQL: how many leases a token and an environment have, counted with every change instead of looked up.
//!
//! A request takes a place for each of its leases when it is accepted. The places go back when it ends without leases, and
//! otherwise one by one, with each lease. Both counts are small rows that are always in memory, so that a request costs the same
//! however many leases there are.
//!
//! All that is accepted in an environment, or ends there, writes the same row: it is written as the last thing before the commit,
//! so that nobody waits for longer than that takes. Places are taken under the condition that there are so many, in one
//! statement, so that two at once never exceed a quota.

use futures::future::try_join;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{Int, int, number};
use super::faults::Fault;
use super::statements::{Connection, Params};
use super::writer::Tx;
use crate::mutants::Mutant;
use crate::requests::{OverQuota, Quota, QuotaOf, QuotaTaken};

/// Whose places are taken: those of a token in an environment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taker {
    pub(super) token: Uuid,
    pub(super) environment: i64,
}

impl Tx {
    /// Takes places; when there are not so many, says so, and the transaction is to be refused.
    pub(super) async fn take_places(
        &self,
        taker: Taker,
        places: usize,
        quota: Quota,
    ) -> Result<Option<OverQuota>, Fault> {
        let take = "INSERT INTO quota_use (scope, owner, leases) SELECT $1::smallint, $2::text, $3::bigint WHERE $3 <= $4
                    ON CONFLICT (scope, owner) DO UPDATE SET leases = quota_use.leases + excluded.leases
                        WHERE quota_use.leases + excluded.leases <= $4
                    RETURNING leases";
        let places = int(places as u64);
        let scopes = scopes(taker);
        let limits = [quota.per_token, quota.per_environment];
        let bounds = limits.map(int);
        let count = |row: &Row| number::<u64>(row, 0);
        let [(_, first, token), (_, second, environment)] = &scopes;
        // Sent together, and carried out in this sequence: what the first has let through goes again with the refusal by the second.
        let of_token: Params<'_> = &[first, token, &places, &bounds[0]];
        let of_environment: Params<'_> = &[second, environment, &places, &bounds[1]];
        let taken = try_join(
            self.connection.one(take, of_token, count),
            self.connection.one(take, of_environment, count),
        )
        .await?;
        let taken = [taken.0, taken.1];
        for (((of, scope, owner), limit), taken) in scopes.into_iter().zip(limits).zip(taken) {
            if taken.is_none() {
                let taken = taken_in(&self.connection, &scope, &owner).await?;
                return Ok(Some(OverQuota { of, limit, taken }));
            }
        }
        Ok(None)
    }

    /// Gives places back when everything else is written: of a request that has ended without leases, or of a lease that has
    /// ended.
    pub(super) fn give_places_back(&mut self, taker: Taker, places: i64) {
        self.given_back.push((taker, places));
    }

    /// Writes what is given back.
    pub(super) async fn settle_places(&mut self) -> Result<(), Fault> {
        // All that was decided is written; behind it come only these, and what is told.
        self.connection.split_for(Mutant::EventInSecondTransaction).await?;
        let given_back = std::mem::take(&mut self.given_back);
        if given_back.iter().all(|(_, places)| *places == 0) {
            return Ok(());
        }
        let rows =
            || given_back.iter().flat_map(|(taker, places)| scopes(*taker).map(|scope| (scope, -places)));
        let scopes: Vec<i64> = rows().map(|((_, Int(scope), _), _)| scope).collect();
        let owners: Vec<String> = rows().map(|((.., owner), _)| owner).collect();
        let places: Vec<i64> = rows().map(|(_, places)| places).collect();
        let give = "INSERT INTO quota_use (scope, owner, leases)
                    SELECT g.scope, g.owner, sum(g.places)::bigint
                    FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS g (scope, owner, places)
                    GROUP BY g.scope, g.owner ORDER BY g.scope, g.owner COLLATE \"C\"
                    ON CONFLICT (scope, owner) DO UPDATE SET leases = quota_use.leases + excluded.leases";
        self.connection.later(give, &[&scopes, &owners, &places]).await
    }
}

/// How many places are taken.
pub(super) async fn places_taken(connection: &Connection, taker: Taker) -> Result<QuotaTaken, Fault> {
    let [(_, first, token), (_, second, environment)] = &scopes(taker);
    let (by_token, in_environment) =
        try_join(taken_in(connection, first, token), taken_in(connection, second, environment)).await?;
    Ok(QuotaTaken { by_token, in_environment })
}

async fn taken_in(connection: &Connection, scope: &Int, owner: &String) -> Result<u64, Fault> {
    let read = "SELECT leases FROM quota_use WHERE scope = $1 AND owner = $2";
    let taken = connection.one(read, &[scope, owner], |row| number(row, 0)).await?;
    Ok(taken.unwrap_or(0))
}

/// Both counts of a taker by their keys, that of the token first.
fn scopes(taker: Taker) -> [(QuotaOf, Int, String); 2] {
    [
        (QuotaOf::Token, Int(0), taker.token.to_string()),
        (QuotaOf::Environment, Int(1), taker.environment.to_string()),
    ]
}

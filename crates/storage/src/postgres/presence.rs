//! Presence: which servers are there, and what they know. Told by locks that end with their connections.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::address::Address;
use super::opening::{self, told};
use crate::error::StoreError;

/// The lock that every server holds together with all others of its version, for as long as it is connected.
pub(super) fn announce(schema: &str, known: u32) -> String {
    format!("SELECT pg_advisory_lock_shared(hashtext('{}'), {known})", name(schema))
}

/// The same lock, for as long as the transaction stands in which it is taken.
pub(super) fn announce_in_transaction(schema: &str, known: u32) -> String {
    format!("SELECT pg_advisory_xact_lock_shared(hashtext('{}'), {known})", name(schema))
}

/// How many servers of a store are there that know less than this version.
pub(super) async fn servers(client: &Client, schema: &str, below: u32) -> Result<i64, StoreError> {
    let present = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
                       AND classid::bigint = hashtext($1)::bigint & 4294967295 AND objid::bigint < $2
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let row = client
        .query_typed_one(present, &[(&name(schema), Type::TEXT), (&i64::from(below), Type::INT8)])
        .await;
    Ok(row.map_err(|cause| told("looking for servers", cause))?.get(0))
}

/// Fails with [`StoreError::Busy`] when servers of the store are there: none may be while it is restored, nor begin before its last step
/// is done.
pub async fn nobody_serves(address: &Address) -> Result<(), StoreError> {
    nobody_else(&opening::connect(address).await?, address).await
}

/// The same, by a connection that is there.
pub(super) async fn nobody_else(client: &Client, address: &Address) -> Result<(), StoreError> {
    match servers(client, address.schema(), u32::MAX).await? {
        0 => Ok(()),
        servers => {
            let reason = format!("{servers} servers of {address} are running: stop them first");
            Err(StoreError::Busy { reason })
        }
    }
}

/// What the first half of the key is made of.
fn name(schema: &str) -> String {
    format!("{schema} servers")
}

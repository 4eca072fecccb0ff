//! Presence: which servers are there, and what they know. Told by locks that end with their connections.

use tokio_postgres::Client;

use super::opening::told;
use crate::error::StoreError;

/// The lock that every server holds together with all others of its version, for as long as it is connected.
pub(super) fn announce(known: u32) -> String {
    format!("SELECT pg_advisory_lock_shared({PRESENCE}, {known})")
}

/// How many servers are there that know less than this version.
pub(super) async fn servers(client: &Client, below: u32) -> Result<i64, StoreError> {
    let present = format!(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
             AND classid::bigint = ({PRESENCE})::bigint & 4294967295 AND objid::bigint < $1
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let row = client.query_one(&present, &[&i64::from(below)]).await;
    Ok(row.map_err(|cause| told("looking for servers", cause))?.get(0))
}

/// The first half of the key of that lock.
const PRESENCE: &str = "hashtext(current_schema() || ' servers')";

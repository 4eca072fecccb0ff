//! Opening: which servers are good enough, whose schema it is, and whether this build can work with it.

use std::error::Error;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, IsolationLevel, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::limits::EVENT_WEEKS_AHEAD_MS;
use super::{pooler, tls};
use crate::durability::Durability;
use crate::error::StoreError;

/// The oldest server whose behaviour this build is made for.
const OLDEST_SERVER: i64 = 140_000;

/// 2025-01-01T00:00:00Z: fence epochs are minutes since then, so that they stay below 2^25 for half a century.
const FENCE_EPOCH_START_MS: i64 = 1_735_689_600_000;

/// Makes the one row about the store itself, and returns the part of every fence that a restore raises.
pub(super) async fn first_row(address: &Address) -> Result<u64, StoreError> {
    let mut client = connect(address).await?;
    let failed = |cause| told("reading the database", cause);
    let settings = address.of_a_transaction(&[]);
    let first = transaction(&mut client, &settings).await.map_err(failed)?;
    let insert = "INSERT INTO meta (one, fence_epoch, created_at)
                  SELECT 1, greatest(n - $1, 0) / 60000, n FROM (SELECT sixpack_now() AS n) AS clock ON CONFLICT DO NOTHING";
    first.execute_typed(insert, &[(&FENCE_EPOCH_START_MS, Type::INT8)]).await.map_err(failed)?;
    let read = "SELECT fence_epoch, sixpack_now() FROM meta";
    let row = first.query_typed_one(read, &[]).await.map_err(failed)?;
    first.commit().await.map_err(failed)?;
    let (epoch, now): (i64, i64) = (row.get(0), row.get(1));
    let weeks = async {
        let second = transaction(&mut client, &settings).await?;
        let make = "SELECT make_event_weeks($1, $2)";
        let until = now + EVENT_WEEKS_AHEAD_MS;
        second.execute_typed(make, &[(&now, Type::INT8), (&until, Type::INT8)]).await?;
        second.commit().await
    };
    if let Err(cause) = weeks.await {
        // Nothing is lost without them, and whoever opens the store next makes them.
        tracing::warn!(%cause, "no weeks for events could be made");
    }
    u64::try_from(epoch).map_err(|_| unreadable(format!("the store's fence epoch is {epoch}")))
}

/// How connections are made.
pub(super) fn connector(address: &Address) -> Result<MakeRustlsConnect, StoreError> {
    tls::connector(&address.trust).map_err(|cause| broken("preparing TLS to the database", cause))
}

/// A connection for something that is not done often. A pooler may stand before the database: whatever needs our settings is done in
/// a [`transaction`], and no statement is prepared that would outlive one.
pub(super) async fn connect(address: &Address) -> Result<Client, StoreError> {
    match try_connect(&address.config, address).await? {
        Ok(client) => Ok(client),
        Err(cause) if pooler::is_refused_setting(&cause) && address.config.get_options().is_some() => {
            Err(pooler::no_options(address))
        }
        Err(cause) => Err(not_connected(cause)),
    }
}

/// The same, with what the database says when it refuses.
pub(super) async fn try_connect(
    config: &Config,
    address: &Address,
) -> Result<Result<Client, tokio_postgres::Error>, StoreError> {
    let (client, connection) = match config.connect(connector(address)?).await {
        Ok(connected) => connected,
        Err(cause) => return Ok(Err(cause)),
    };
    tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::debug!(%cause, "a connection to the database has ended");
        }
    });
    Ok(Ok(client))
}

pub(super) fn not_connected(cause: tokio_postgres::Error) -> StoreError {
    told("connecting to the database", cause)
}

/// Begins a transaction with these settings, which are its own.
pub(super) async fn transaction<'c>(
    client: &'c mut Client,
    settings: &str,
) -> Result<Transaction<'c>, tokio_postgres::Error> {
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    transaction.batch_execute(settings).await?;
    Ok(transaction)
}

/// A server that may lose what it has acknowledged, or that is too old, is refused by name.
pub(super) async fn check_server(client: &Client, durability: Durability) -> Result<(), StoreError> {
    let asked = "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'),
                        current_setting('fsync'), current_setting('full_page_writes'),
                        current_setting('synchronous_commit'), current_setting('server_encoding')";
    let row = client
        .query_typed_one(asked, &[])
        .await
        .map_err(|cause| told("asking the database how it is set up", cause))?;
    let text = |column: usize| -> String { row.get(column) };
    if row.get::<_, i64>(0) < OLDEST_SERVER {
        return Err(unsuitable(format!("PostgreSQL {} is too old; 14 or newer is needed", text(1))));
    }
    if text(5) != "UTF8" {
        return Err(unsuitable(format!("the database's encoding is {}; UTF8 is needed", text(5))));
    }
    if durability == Durability::TestsOnly {
        return Ok(());
    }
    for (name, value) in [("fsync", text(2)), ("full_page_writes", text(3)), ("synchronous_commit", text(4))]
    {
        if value == "off" {
            let reason = format!(
                "PostgreSQL runs with {name} = off and can lose what it has acknowledged: turn it on"
            );
            return Err(unsuitable(reason));
        }
    }
    Ok(())
}

/// Whether a store was begun in the schema; one that is neither empty nor ours is left alone.
pub(super) async fn is_ours(client: &Client, address: &Address) -> Result<bool, StoreError> {
    let tables = "SELECT count(*), count(*) FILTER (WHERE c.relname = 'refinery_schema_history')
                  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1";
    let row = client.query_typed_one(tables, &[(&address.schema, Type::TEXT)]).await;
    let row = row.map_err(|cause| told("looking into the schema", cause))?;
    let (tables, histories): (i64, i64) = (row.get(0), row.get(1));
    if tables > 0 && histories == 0 {
        return Err(unreadable(format!("{address} holds tables of another program")));
    }
    Ok(histories > 0)
}

/// Tells a database that is not there now from one that refuses.
pub(super) fn told(doing: &'static str, cause: tokio_postgres::Error) -> StoreError {
    let fault = super::faults::Fault::Sql(cause);
    if fault.is_denial() {
        return StoreError::Denied { doing, cause: fault.into_cause() };
    }
    fault.told(doing)
}

fn unsuitable(reason: String) -> StoreError {
    StoreError::Unsuitable { reason }
}

fn unreadable(reason: String) -> StoreError {
    StoreError::Unreadable { reason }
}

pub(super) fn broken(doing: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Broken { doing, cause: cause.into() }
}

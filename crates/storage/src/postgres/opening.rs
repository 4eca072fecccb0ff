//! Opening: which servers are good enough, whose schema it is, and bringing it up to date.

use std::error::Error;

use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Address;
use super::limits::{EVENT_WEEKS_AHEAD_MS, MIGRATION_MS};
use super::tls;
use crate::durability::Durability;
use crate::error::StoreError;

/// The oldest server whose behaviour this build is made for.
const OLDEST_SERVER: i64 = 140_000;

/// "SIX6": tells our locks from others in the database; the second half of the key is the schema's.
const LOCKS: i32 = 0x5349_5836;

/// 2025-01-01T00:00:00Z: fence epochs are minutes since then, so that they stay below 2^25 for half a century.
const FENCE_EPOCH_START_MS: i64 = 1_735_689_600_000;

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// Looks at the server, and brings the schema up to date.
pub(super) async fn migrate(address: &Address, durability: Durability) -> Result<(), StoreError> {
    // A migration may take longer than any statement of ours, and so may waiting for that of another server.
    let mut patient = address.config.clone();
    let longer = format!(
        "-c statement_timeout={MIGRATION_MS} -c lock_timeout={MIGRATION_MS} \
                          -c idle_in_transaction_session_timeout={MIGRATION_MS}"
    );
    patient.options(format!("{} {longer}", patient.get_options().unwrap_or_default()));
    let tls = connector(address)?;
    // The lock belongs to a transaction of its own, so that it ends with this process whatever happens.
    let (guard, mut client) = (connect(&patient, &tls).await?, connect(&patient, &tls).await?);
    check_server(&guard, durability).await?;
    let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCKS}, hashtext('{}'))", address.schema);
    guard.batch_execute(&begin).await.map_err(|cause| told("waiting for another migration", cause))?;
    check_owner(&client, address).await?;
    let create = format!("CREATE SCHEMA IF NOT EXISTS {}", address.schema);
    client.batch_execute(&create).await.map_err(|cause| told("creating the schema", cause))?;
    run(&mut client, address).await?;
    guard.batch_execute("COMMIT").await.map_err(|cause| told("ending a migration", cause))
}

/// Makes the one row about the store itself, and returns the part of every fence that a restore raises.
pub(super) async fn first_row(address: &Address) -> Result<u64, StoreError> {
    let client = connect(&address.config, &connector(address)?).await?;
    let failed = |cause| told("reading the database", cause);
    client
        .execute(
            "INSERT INTO meta (one, fence_epoch, created_at)
             SELECT 1, greatest(n - $1, 0) / 60000, n FROM (SELECT sixpack_now() AS n) AS clock ON CONFLICT DO NOTHING",
            &[&FENCE_EPOCH_START_MS],
        )
        .await
        .map_err(failed)?;
    let row = client.query_one("SELECT fence_epoch, sixpack_now() FROM meta", &[]).await.map_err(failed)?;
    let (epoch, now): (i64, i64) = (row.get(0), row.get(1));
    let weeks =
        client.execute("SELECT make_event_weeks($1, $2)", &[&now, &(now + EVENT_WEEKS_AHEAD_MS)]).await;
    if let Err(cause) = weeks {
        // Nothing is lost without them, and whoever opens the store next makes them.
        tracing::warn!(%cause, "no weeks for events could be made");
    }
    u64::try_from(epoch).map_err(|_| unreadable(format!("the store's fence epoch is {epoch}")))
}

/// How connections are made.
pub(super) fn connector(address: &Address) -> Result<MakeRustlsConnect, StoreError> {
    tls::connector(&address.trust).map_err(|cause| broken("preparing TLS to the database", cause))
}

async fn connect(config: &Config, tls: &MakeRustlsConnect) -> Result<Client, StoreError> {
    let connected = config.connect(tls.clone()).await;
    let (client, connection) = connected.map_err(|cause| told("connecting to the database", cause))?;
    tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::debug!(%cause, "a connection to the database has ended");
        }
    });
    Ok(client)
}

/// A server that may lose what it has acknowledged, or that is too old, is refused by name.
async fn check_server(client: &Client, durability: Durability) -> Result<(), StoreError> {
    let asked = "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'),
                        current_setting('fsync'), current_setting('full_page_writes'),
                        current_setting('synchronous_commit'), current_setting('server_encoding')";
    let row = client
        .query_one(asked, &[])
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

/// A schema that is neither empty nor ours is left alone.
async fn check_owner(client: &Client, address: &Address) -> Result<(), StoreError> {
    let tables = "SELECT count(*), count(*) FILTER (WHERE c.relname = 'refinery_schema_history')
                  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1";
    let row = client.query_one(tables, &[&address.schema]).await;
    let row = row.map_err(|cause| told("looking into the schema", cause))?;
    let (tables, histories): (i64, i64) = (row.get(0), row.get(1));
    if tables > 0 && histories == 0 {
        return Err(unreadable(format!("{address} holds tables of another program")));
    }
    if histories == 0 {
        return Ok(());
    }
    let newest =
        format!("SELECT coalesce(max(version), 0)::bigint FROM {}.refinery_schema_history", address.schema);
    let row = client.query_one(&newest, &[]).await;
    let found: i64 = row.map_err(|cause| told("reading the version of the schema", cause))?.get(0);
    let known = known_version();
    if found > i64::from(known) {
        let reason = format!(
            "{address} has schema version {found}, this build knows {known}: start the newer build that wrote it"
        );
        return Err(StoreError::Newer { reason });
    }
    Ok(())
}

/// The newest migration of this build.
pub(super) fn known_version() -> u32 {
    let newest =
        migrations::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max();
    newest.and_then(|version| u32::try_from(version).ok()).unwrap_or_default()
}

/// Brings the schema up to date, all of it in one transaction.
async fn run(client: &mut Client, address: &Address) -> Result<(), StoreError> {
    // In one transaction: otherwise a step and the note that it was taken are two, and whoever ends in between leaves a database in which
    // that step cannot be taken and is not known to be.
    let applied = migrations::migrations::runner().set_grouped(true).run_async(client).await;
    let applied = applied.map_err(|cause| broken("migrating the database", cause))?;
    for migration in applied.applied_migrations() {
        tracing::info!(version = migration.version(), name = migration.name(), %address, "the schema was migrated");
    }
    Ok(())
}

/// Tells a database that is not there now from one that refuses.
fn told(doing: &'static str, cause: tokio_postgres::Error) -> StoreError {
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

fn broken(doing: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Broken { doing, cause: cause.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_from_one_without_a_gap_or_a_double() {
        let runner = migrations::migrations::runner();
        let mut numbers: Vec<_> = runner.get_migrations().iter().map(refinery::Migration::version).collect();
        numbers.sort_unstable();
        let expected: Vec<_> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "two changes of the schema that meet get numbers one after the other");
    }
}

//! Versions: the statements of each version of the schema, run in transactions of ours.

use refinery::{AsyncMigrate, Migration, Target};
use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::opening::transaction;

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// The newest version of this build.
pub(super) fn newest() -> u32 {
    let newest =
        embedded::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max();
    newest.and_then(|version| u32::try_from(version).ok()).unwrap_or_default()
}

/// Runs the statements of all versions up to this one that were not run yet, all of them in one transaction.
pub(super) async fn run(
    client: &mut Client,
    schema: &str,
    settings: &str,
    version: u32,
) -> Result<(), refinery::Error> {
    let target = Target::Version(version.try_into().expect("versions are few"));
    let mut runner = embedded::migrations::runner().set_target(target).set_grouped(true);
    runner.set_migration_table_name(format!("{schema}.refinery_schema_history"));
    runner.run_async(&mut Run { client, settings }).await.map(|_| ())
}

/// A connection of which only a transaction can be relied upon.
struct Run<'c> {
    client: &'c mut Client,
    settings: &'c str,
}

impl AsyncTransaction for Run<'_> {
    type Error = Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Error> {
        let transaction = transaction(self.client, self.settings).await?;
        let mut count = 0;
        for query in queries {
            transaction.batch_execute(query).await?;
            count += 1;
        }
        transaction.commit().await?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for Run<'_> {
    /// In a transaction of its own, within which the statement ends that it prepares. It names the schema.
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, Error> {
        AsyncQuery::query(self.client, query).await
    }
}

impl AsyncMigrate for Run<'_> {}

/// Whether a statement gave way to somebody who holds what it needs, or to whom it would have waited for in a circle.
pub(super) fn gave_up(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(code) =
            inner.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code)
        {
            return [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED].contains(code);
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_from_one_without_a_gap_or_a_double() {
        let runner = embedded::migrations::runner();
        let mut numbers: Vec<_> = runner.get_migrations().iter().map(refinery::Migration::version).collect();
        numbers.sort_unstable();
        let expected: Vec<_> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "two changes of the schema that meet get numbers one after the other");
    }
}

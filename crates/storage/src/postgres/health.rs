//! Health of PostgreSQL: every write has a connection of its own, and none waits for longer than the patience of its settings.

use std::time::Duration;

use super::{PostgresStore, migrations};
use crate::health::{Connections, Health, StoreKind, StoreMeasures};

impl Health for PostgresStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Postgres
    }

    fn schema_version(&self) -> u32 {
        migrations::known_version()
    }

    fn writing_for(&self) -> Duration {
        Duration::ZERO
    }

    fn measures(&self) -> &StoreMeasures {
        &self.inner.measures
    }

    fn connections(&self) -> Option<Connections> {
        Some(self.inner.pool.status())
    }
}

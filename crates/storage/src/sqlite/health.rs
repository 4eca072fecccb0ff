//! Health of SQLite: its one writer can hang with the disk, and nothing is written as long as it does.

use std::time::Duration;

use super::{SqliteStore, migrations};
use crate::health::{Connections, Health, StoreKind, StoreMeasures};

impl Health for SqliteStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Sqlite
    }

    fn schema_version(&self) -> u32 {
        migrations::known_version()
    }

    fn writing_for(&self) -> Duration {
        self.writer.at_it_for()
    }

    fn measures(&self) -> &StoreMeasures {
        &self.measures
    }

    fn connections(&self) -> Option<Connections> {
        None
    }
}

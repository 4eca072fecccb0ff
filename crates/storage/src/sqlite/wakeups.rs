//! Wake-ups in SQLite: a folder has one server.

use std::future::pending;

use async_trait::async_trait;

use super::SqliteStore;
use crate::wakeups::{Reach, Wakeup, Wakeups};

#[async_trait]
impl Wakeups for SqliteStore {
    fn reach(&self) -> Reach {
        Reach::Alone
    }

    fn servers(&self) -> u32 {
        1
    }

    fn tell(&self, _: Wakeup) {}

    async fn heard(&self) -> Vec<(Wakeup, u32)> {
        pending().await
    }
}

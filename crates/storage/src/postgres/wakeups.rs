//! Wake-ups in PostgreSQL: gathered for a moment, and told to all servers of the store by one NOTIFY.

use std::sync::atomic::Ordering;

use async_trait::async_trait;

use super::PostgresStore;
use crate::wakeups::{Reach, Wakeup, Wakeups};

#[async_trait]
impl Wakeups for PostgresStore {
    fn reach(&self) -> Reach {
        if self.board.is_proven() { Reach::Proven } else { Reach::Doubtful }
    }

    fn servers(&self) -> u32 {
        self.inner.servers.load(Ordering::Relaxed).max(1)
    }

    fn tell(&self, wakeup: Wakeup) {
        self.board.tell(wakeup);
    }

    async fn heard(&self) -> Vec<(Wakeup, u32)> {
        self.board.heard().await
    }
}

//! Restores in PostgreSQL: its own tools bring the database back, and this makes the store in it go on.

use async_trait::async_trait;
use sixpack_model::ids::SessionId;
use sixpack_model::session::SessionStatus;

use super::PostgresStore;
use super::columns::{get, id};
use super::faults::Fault;
use super::writer::Tx;
use crate::error::StoreError;
use crate::restores::{EVENTS_JUMP, Restored, Restores};
use crate::stored::restores::{next_epoch, told};

#[async_trait]
impl Restores for PostgresStore {
    async fn after_restore(&self, from: &str) -> Result<Restored, StoreError> {
        let restored = self.write("making a restored store go on", from.to_owned(), |tx, from| {
            Box::pin(async move {
                // It touches all that is in stock and leased, however much that is, and nobody waits for it.
                tx.connection.later("SET LOCAL statement_timeout = 0", &[]).await?;
                let epoch = "SELECT fence_epoch FROM meta FOR NO KEY UPDATE";
                let before: i64 = tx.connection.one(epoch, &[], |row| get(row, 0)).await?.unwrap_or_default();
                let epoch = next_epoch(tx.now, before);
                tx.connection.later("UPDATE meta SET fence_epoch = $1", &[&epoch]).await?;
                let live = "SELECT id FROM session WHERE status < 2 ORDER BY id FOR NO KEY UPDATE";
                let live = tx.connection.all(live, &[], |row| id(row, 0).map(SessionId)).await?;
                for session in &live {
                    tx.unserve(*session).await?;
                    tx.move_session(*session, SessionStatus::Dead).await?;
                }
                let over = "UPDATE lease SET expires_at = least(expires_at, $1) WHERE status = 0";
                let leases = tx.connection.run(over, &[&tx.now]).await?;
                let in_stock =
                    tx.connection.run("UPDATE stock SET checked_at = 0, fresh_until = 0", &[]).await?;
                tx.tell_of_restore(from).await?;
                Ok(Restored {
                    leases,
                    sessions: live.len() as u64,
                    in_stock,
                    fence_epoch: epoch.unsigned_abs(),
                })
            })
        });
        let restored = restored.await?;
        self.inner.epoch.set(restored.fence_epoch);
        Ok(restored)
    }
}

impl Tx {
    /// Goes on with numbers of events that the store as it was cannot have reached, and tells of the restore under the first.
    async fn tell_of_restore(&mut self, from: &str) -> Result<(), Fault> {
        let last = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM event_sequence";
        let last: i64 = self.connection.one(last, &[], |row| get(row, 0)).await?.unwrap_or_default();
        let jump = "SELECT setval('event_sequence', $1)";
        self.connection.later(jump, &[&(last + EVENTS_JUMP - 1)]).await?;
        self.connection.later("UPDATE meta SET events_gone = $1", &[&(last + EVENTS_JUMP - 1)]).await?;
        self.tell(&told(self.now, from, last));
        Ok(())
    }
}
